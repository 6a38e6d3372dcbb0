//! One statement that was planned: run, as often as somebody wants it.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use datafusion::catalog::TableProviderFactory;
use datafusion::common::{ScalarValue, TableReference};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::dml::{CopyTo, InsertOp};
use datafusion::logical_expr::{CreateExternalTable, LogicalPlan};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures_util::StreamExt;
use sheaf_store::sql::{self, Batches, Destination, IfAbsent, IfPresent, Ingest, Later};
use sheaf_store::{Error, Kind, Object, Result, Table};
use tokio::sync::mpsc;

use crate::change::{self, Change, count_schema, counted, stored_name};
use crate::engine::Place;
use crate::error;
use crate::order::{self, Ordered};
use crate::session::Inner;
use crate::sink;
use crate::snapshot::{Snapshot, name_of};
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

    async fn rows(&self, plan: &LogicalPlan, stop: &Stop) -> Result<SendableRecordBatchStream> {
        let physical = physical(&self.state, plan, stop).await?;
        execute_stream(physical, self.state.task_ctx()).map_err(|error| error::of(&error))
    }

    /// The rows of the statement itself.
    async fn own_rows(&self, plan: &LogicalPlan, run: Run) -> Result<SendableRecordBatchStream> {
        let Some(first) = run.first else { return self.rows(plan, &run.stop).await };
        execute_stream(first, self.state.task_ctx()).map_err(|error| error::of(&error))
    }

    /// Puts the rows of a plan under a name, in the order that it ends in.
    async fn put(&self, plan: &LogicalPlan, into: Destination, stop: &Stop) -> Result<Object> {
        let client = self.session.engine.client()?;
        if let Some(Ordered { input, by }) = Ordered::of(plan) {
            match self.unordered(input, stop).await {
                Ok(table) => {
                    let threads = self.state.config().target_partitions();
                    return order::sort(&client, table, by, into, threads).await;
                }
                // The engine's own sort spills.
                Err(error) if order::lacks_room(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let rows = self.rows(plan, stop).await?;
        // What is declared without rows (`create table t (n int not null)`) is as it is declared.
        let rows = match plan {
            LogicalPlan::EmptyRelation(_) => rows,
            _ => nullable(rows),
        };
        sink::object_of(&client, rows, Some(into)).await
    }

    /// The rows of a plan as a table of the store: a stored one, or one without a name.
    async fn unordered(&self, plan: &LogicalPlan, stop: &Stop) -> Result<Table> {
        let physical = physical(&self.state, plan, stop).await?;
        if let Some(table) = order::whole(&physical) {
            return Ok(table);
        }
        let rows = execute_stream(physical, self.state.task_ctx());
        let client = self.session.engine.client()?;
        sink::object_of(&client, rows.map_err(|error| error::of(&error))?, None).await?.table()
    }

    /// Changes what is to be changed; how many rows that wrote.
    async fn change(&self, change: &Change, stop: &Stop) -> Result<u64> {
        let client = self.session.engine.client()?;
        match change {
            Change::Create(create) => {
                let into = change::destination(create)?;
                let is_there = self.is_there(create.name.table())?;
                if is_there && create.if_not_exists {
                    return Ok(0);
                }
                if is_there && !create.or_replace {
                    let message = format!(
                        "table {} exists: drop it, or say `create or replace`",
                        create.name.table()
                    );
                    return Err(Error::new(Kind::Exists, message));
                }
                Ok(self.put(&create.input, into, stop).await?.info().rows)
            }
            Change::Insert { table, op, input } => {
                let if_present = match op {
                    InsertOp::Append => IfPresent::Append,
                    InsertOp::Overwrite => IfPresent::Replace,
                    InsertOp::Replace => {
                        let message = "there are no keys by which rows could be replaced";
                        return Err(Error::new(Kind::Invalid, message));
                    }
                };
                let table = stored_name(table)?;
                let rows =
                    sink::object_of(&client, self.rows(input, stop).await?, None).await?.table()?;
                let if_absent = IfAbsent::Fail;
                change::ingest(&client, Ingest { table, rows, if_absent, if_present }).await
            }
            Change::Ingest(ingest) => change::ingest(&client, ingest.clone()).await,
            Change::Drop { table, if_exists } => self.drop_table(table, *if_exists).await,
            Change::Copy(plan) => self.copy(plan, stop).await,
            Change::External(create) => self.external(create).await,
            Change::Set { name, value } => {
                self.session.set(name, value.as_deref())?;
                Ok(0)
            }
        }
    }

    fn is_there(&self, table: &str) -> Result<bool> {
        Ok(self.is_own(table) || self.snapshot.table(table)?.is_some())
    }

    fn is_own(&self, table: &str) -> bool {
        let own = self.session.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.contains_key(table)
    }

    async fn drop_table(&self, table: &TableReference, if_exists: bool) -> Result<u64> {
        let name = stored_name(table)?;
        let own =
            self.session.own.lock().unwrap_or_else(PoisonError::into_inner).remove(table.table());
        if own.is_some() {
            return Ok(0);
        }
        let client = self.session.engine.client()?;
        let deleting = tokio::task::spawn_blocking(move || change::delete(&client, &name));
        match deleting.await.map_err(crate::engine::ended)?? {
            false if !if_exists => Err(error::no_table(table.table())),
            _ => Ok(0),
        }
    }

    /// Writes files, in a folder that is allowed.
    async fn copy(&self, plan: &LogicalPlan, stop: &Stop) -> Result<u64> {
        let LogicalPlan::Copy(copy) = plan else {
            return Err(Error::new(Kind::Internal, "no copy"));
        };
        let output_url = self.session.engine.files.allowed(&copy.output_url)?;
        let plan = LogicalPlan::Copy(CopyTo { output_url, ..copy.clone() });
        let mut rows = self.rows(&plan, stop).await?;
        let mut count = 0;
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|error| error::of(&error))?;
            for row in 0..batch.num_rows() {
                let value = ScalarValue::try_from_array(batch.column(0), row);
                if let Ok(ScalarValue::UInt64(Some(more))) = value {
                    count += more;
                }
            }
        }
        Ok(count)
    }

    /// A table of the session's own, of files in a folder that is allowed.
    async fn external(&self, create: &CreateExternalTable) -> Result<u64> {
        let name = name_of(create.name.table())?;
        stored_name(&create.name)?;
        let locations = create.locations.iter().map(|at| self.session.engine.files.allowed(at));
        let locations = locations.collect::<Result<Vec<_>>>()?;
        let is_there = self.is_there(create.name.table())?;
        if is_there && create.if_not_exists {
            return Ok(0);
        }
        if is_there && !(create.or_replace && self.is_own(create.name.table())) {
            let message = format!("table {name} exists: drop it, or choose another name");
            return Err(Error::new(Kind::Exists, message));
        }
        let create = CreateExternalTable { locations, ..create.clone() };
        let kind = create.file_type.to_uppercase();
        let Some(factory) = self.state.table_factories().get(&kind) else {
            let message = format!("{kind} files can't be read: parquet, csv, json and arrow can");
            return Err(Error::new(Kind::Invalid, message));
        };
        let factory: &dyn TableProviderFactory = factory.as_ref();
        let table =
            factory.create(&self.state, &create).await.map_err(|error| error::of(&error))?;
        let mut own = self.session.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.insert(create.name.table().to_owned(), table);
        Ok(0)
    }

    /// The whole result as an object.
    async fn object(&self, into: Option<Destination>, run: Run) -> Result<Object> {
        self.check_bound()?;
        match (&self.what, into) {
            (What::Rows { whole: Some(table), .. }, None) => Ok(table.object().clone()),
            (What::Rows { plan, .. }, None) => {
                let client = self.session.engine.client()?;
                sink::object_of(&client, self.own_rows(plan, run).await?, None).await
            }
            (What::Rows { plan, .. }, Some(into)) => self.put(plan, into, &run.stop).await,
            (What::Change(_), Some(into)) => {
                let message = format!("{}: only what has rows can be put under a name", into.name);
                Err(Error::new(Kind::Invalid, message))
            }
            (What::Change(change), None) => {
                let batch = counted(self.change(change, &run.stop).await?)?;
                let client = self.session.engine.client()?;
                sink::small(&client, count_schema(), vec![batch], None).await
            }
        }
    }

    /// Sends the result, batch by batch.
    async fn send(&self, to: &mpsc::Sender<Result<RecordBatch>>, run: Run) -> Result<()> {
        self.check_bound()?;
        match &self.what {
            What::Change(change) => {
                let batch = counted(self.change(change, &run.stop).await?)?;
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

/// The rows of a table that is made of them: that a query happens to have no null in a column is no
/// promise that later rows have none.
fn nullable(rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let metadata = schema.metadata().clone();
    let schema: SchemaRef =
        Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), metadata));
    let own = schema.clone();
    let rows = rows.map(move |batch| Ok(batch?.with_schema(own.clone())?));
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
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
