//! One statement that was planned: run, as often as somebody wants it.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures_util::StreamExt;
use sheaf_store::sql::{self, Batches, Destination, Later};
use sheaf_store::{Error, Kind, Object, Result, Table};
use tokio::sync::mpsc;

use crate::bound::Bound;
use crate::change::{self, Change, count_schema, counted};
use crate::engine::Place;
use crate::error;
use crate::session::Inner;
use crate::sink;
use crate::snapshot::Snapshot;
use crate::stop::{self, Stop};

/// Batches that may wait for who reads them.
const WAITING: usize = 2;

/// A statement that was planned.
///
/// What it holds goes back by messages to the store, and a thread of the store's own may be the one
/// that drops it: so another one does that.
pub(crate) struct Planned(Option<Arc<Own>>);

impl Planned {
    pub(crate) fn new(own: Own) -> Self {
        Self(Some(Arc::new(own)))
    }

    /// There from [`new`](Self::new) to the drop.
    fn own(&self) -> &Arc<Own> {
        self.0.as_ref().expect("only the drop takes it")
    }
}

impl Drop for Planned {
    fn drop(&mut self) {
        if let Some(own) = self.0.take() {
            own.session.engine.clone().let_go(own);
        }
    }
}

/// What a run of a statement needs.
pub(crate) struct Own {
    pub(crate) session: Arc<Inner>,
    pub(crate) snapshot: Snapshot,
    pub(crate) state: SessionState,
    pub(crate) what: What,
    /// The values of its parameters, if there are several rows of them: `what` is the first's.
    pub(crate) bound: Option<Bound>,
    pub(crate) schema: SchemaRef,
    pub(crate) parameters: SchemaRef,
}

/// What a statement does.
pub(crate) enum What {
    /// Rows come of it.
    Rows {
        plan: LogicalPlan,
        /// The physical plan that the schema was taken from, for the first run.
        first: Mutex<Option<Ready>>,
        whole: Option<Table>,
    },
    /// Something changes.
    Change(Change),
}

/// A physical plan, and what ends it. It is good for one run.
pub(crate) struct Ready {
    pub(crate) physical: Arc<dyn ExecutionPlan>,
    pub(crate) stop: Stop,
}

impl Own {
    fn is_update(&self) -> bool {
        matches!(&self.what, What::Change(_))
    }

    /// Refuses to run what has parameters without values.
    fn check_bound(&self) -> Result<()> {
        match self.parameters.fields().len() {
            0 => Ok(()),
            count => {
                let message = format!("the statement has {count} parameters: give their values");
                Err(Error::new(Kind::Invalid, message))
            }
        }
    }

    /// The plan for the first run, if this is one.
    fn first(&self) -> Option<Ready> {
        let What::Rows { first, .. } = &self.what else { return None };
        first.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) async fn rows(
        &self,
        plan: &LogicalPlan,
        stop: &Stop,
    ) -> Result<SendableRecordBatchStream> {
        let physical = physical(&self.state, plan, stop).await?;
        execute_stream(physical, self.state.task_ctx()).map_err(|error| error::of(&error))
    }

    /// The rows of the statement itself.
    async fn own_rows(
        self: &Arc<Self>,
        plan: &LogicalPlan,
        run: Run,
    ) -> Result<SendableRecordBatchStream> {
        let first = match run.first {
            Some(first) => execute_stream(first, self.state.task_ctx()),
            None => return Ok(self.and_others(self.rows(plan, &run.stop).await?, &run.stop)),
        };
        Ok(self.and_others(first.map_err(|error| error::of(&error))?, &run.stop))
    }

    /// The whole result as an object.
    async fn object(self: &Arc<Self>, into: Option<Destination>, run: Run) -> Result<Object> {
        self.check_bound()?;
        match (&self.what, into) {
            (What::Rows { whole: Some(table), .. }, None) => Ok(table.object().clone()),
            (What::Rows { plan, .. }, None) => {
                let stop = run.stop.clone();
                let rows = self.own_rows(plan, run).await?;
                sink::object_of(&self.session.engine.client()?, rows, &stop).await
            }
            (What::Rows { plan, .. }, Some(into)) => self.stored(plan, into, &run.stop).await,
            (What::Change(_), Some(into)) => {
                let message = format!("{}: only what has rows can be put under a name", into.name);
                Err(Error::new(Kind::Invalid, message))
            }
            (What::Change(change), None) => {
                let batch = counted(self.change_all(change, &run.stop).await?)?;
                sink::in_memory(&count_schema(), &[batch])
            }
        }
    }

    /// The result under a name, as it was stored.
    async fn stored(&self, plan: &LogicalPlan, into: Destination, stop: &Stop) -> Result<Object> {
        let client = self.session.engine.client()?;
        let name = into.name.clone();
        // A put would say so as well, but after the work.
        if !into.options.replace && change::found(&client, &name)?.is_some() {
            let message = format!(
                "object {name} exists: choose another name, delete it, or put with replace"
            );
            return Err(Error::new(Kind::Exists, message));
        }
        let info = self.put(plan, into, stop).await?;
        let found = client.get_together(std::slice::from_ref(&name))?.into_iter().next();
        let own = found.and_then(Result::ok).filter(|object| object.info().id == info.id);
        own.ok_or_else(|| {
            let message = format!(
                "{name} was stored, {} rows, but replaced or deleted before it was answered",
                info.rows
            );
            Error::new(Kind::NotFound, message)
        })
    }

    /// Sends the result, batch by batch.
    async fn send(
        self: &Arc<Self>,
        to: &mpsc::Sender<Result<RecordBatch>>,
        run: Run,
    ) -> Result<()> {
        self.check_bound()?;
        match &self.what {
            What::Change(change) => {
                let batch = counted(self.change_all(change, &run.stop).await?)?;
                let _ = to.send(Ok(batch)).await;
            }
            What::Rows { plan, .. } => {
                let mut rows = self.own_rows(plan, run).await?;
                while let Some(batch) = rows.next().await {
                    let batch = batch.map_err(|error| error::of(&error))?;
                    if batch.num_rows() > 0 && to.send(Ok(batch)).await.is_err() {
                        break; // Nobody reads on.
                    }
                }
            }
        }
        Ok(())
    }
}

/// One run of a statement.
struct Run {
    /// The physical plan, if it is there already.
    first: Option<Arc<dyn ExecutionPlan>>,
    stop: Stop,
}

impl Run {
    fn begin(own: &Own) -> Self {
        match own.first() {
            Some(Ready { physical, stop }) => Self { first: Some(physical), stop },
            None => Self { first: None, stop: Stop::default() },
        }
    }
}

/// The physical plan of a logical one; a new one for each run.
pub(crate) async fn physical(
    state: &SessionState,
    plan: &LogicalPlan,
    stop: &Stop,
) -> Result<Arc<dyn ExecutionPlan>> {
    let physical = state.create_physical_plan(plan).await.map_err(|error| error::of(&error))?;
    stop::stoppable(physical, stop).map_err(|error| error::of(&error))
}

impl sql::Statement for Planned {
    fn schema(&self) -> &SchemaRef {
        &self.own().schema
    }

    fn parameters(&self) -> &SchemaRef {
        &self.own().parameters
    }

    fn is_update(&self) -> bool {
        self.own().is_update()
    }

    fn whole(&self) -> Option<Table> {
        match &self.own().what {
            What::Rows { whole, .. } => whole.clone(),
            What::Change(_) => None,
        }
    }

    fn stream(&self) -> Batches {
        let (to, coming) = mpsc::channel(WAITING);
        let own = self.own().clone();
        let engine = own.session.engine.clone();
        let running = engine.enter();
        let run = Run::begin(&own);
        let stop = run.stop.clone();
        let work = engine.clone().spawn(&stop, async move {
            let failed = to.clone();
            let outcome = match running {
                Err(error) => Err(error),
                Ok(running) => sent(own, run, running, to).await,
            };
            if let Err(error) = outcome {
                let _ = failed.send(Err(error)).await;
            }
        });
        Batches::new(self.own().schema.clone(), coming, work)
    }

    fn object(&self, into: Option<Destination>) -> Later<Object> {
        let own = self.own().clone();
        let engine = own.session.engine.clone();
        let running = engine.enter();
        let run = Run::begin(&own);
        let stop = run.stop.clone();
        engine.run(&stop, own.session.timeout(), async move {
            let _running = running?;
            own.object(into, run).await
        })
    }
}

/// Runs a statement in a task of its own, so that its panic is an error like any other.
async fn sent(
    own: Arc<Own>,
    run: Run,
    running: Place,
    to: mpsc::Sender<Result<RecordBatch>>,
) -> Result<()> {
    let engine = own.session.engine.clone();
    let (stop, limit) = (run.stop.clone(), own.session.timeout());
    let work = engine.run(&stop, limit, async move {
        let _running = running;
        own.send(&to, run).await
    });
    work.await
}
