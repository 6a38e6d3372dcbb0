//! One statement: read, planned over pinned tables, run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::TableProviderFactory;
use datafusion::common::{ScalarValue, TableReference};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::dml::{CopyTo, DmlStatement, InsertOp};
use datafusion::logical_expr::{
    CreateExternalTable, DdlStatement, DropTable, LogicalPlan, SetVariable, Statement as Other,
    WriteOp,
};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures_util::StreamExt;
use sheaf_store::sql::{
    self, Batches, Destination, IfAbsent, IfPresent, Ingest, Later, Question, Text,
};
use sheaf_store::{Error, Kind, Object, Result, Table};
use tokio::sync::mpsc;

use crate::catalog::{CATALOG, PUBLIC};
use crate::change::{self, Change, count_schema, counted, stored_name};
use crate::engine::Running;
use crate::error;
use crate::order::{self, Ordered};
use crate::session::Inner;
use crate::sink;
use crate::snapshot::{Snapshot, name_of};
use crate::stop::{self, Stop};
use crate::words::Words;

/// Batches that may wait for who reads them.
const WAITING: usize = 2;

/// A statement that was planned.
pub(crate) struct Planned(Arc<Own>);

/// What a run of a statement needs.
struct Own {
    session: Arc<Inner>,
    snapshot: Snapshot,
    state: SessionState,
    what: What,
    schema: SchemaRef,
    parameters: SchemaRef,
}

enum What {
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
struct Ready {
    physical: Arc<dyn ExecutionPlan>,
    stop: Stop,
}

/// Reads and plans a statement.
///
/// # Errors
/// As [`sql::Session::plan`].
pub(crate) async fn plan(session: Arc<Inner>, question: Question) -> Result<Planned> {
    let snapshot = session.snapshot()?;
    let state = session.state(snapshot.clone());
    let plan = match question.text {
        Text::Sql(text) => {
            let words = Words::new(&text)?;
            match &question.parameters {
                Some(values) => {
                    let statement = words.with_values(values)?;
                    (logical(&state, &snapshot, statement).await?, Arc::new(Schema::empty()))
                }
                None => described(&state, &snapshot, &words).await?,
            }
        }
        Text::Substrait(_) => {
            let message = "plans of Substrait are not read: send SQL";
            return Err(Error::new(Kind::Invalid, message));
        }
        Text::Ingest(ingest) => {
            let what = What::Change(Change::Ingest(ingest));
            return finished(session, snapshot, state, what, None, question.may_write);
        }
    };
    let (plan, parameters) = plan;
    let is_open = !parameters.fields().is_empty();
    let what = match change(plan)? {
        Ok(change) => What::Change(change),
        Err(plan) if is_open => {
            // What has parameters to be given yet is only described.
            What::Rows { plan, first: Mutex::default(), whole: None }
        }
        Err(plan) => {
            let stop = Stop::default();
            let physical = physical(&state, &plan, &stop).await?;
            let whole = order::whole(&physical);
            What::Rows { plan, first: Mutex::new(Some(Ready { physical, stop })), whole }
        }
    };
    finished(session, snapshot, state, what, Some(parameters), question.may_write)
}

fn finished(
    session: Arc<Inner>,
    snapshot: Snapshot,
    state: SessionState,
    what: What,
    parameters: Option<SchemaRef>,
    may_write: bool,
) -> Result<Planned> {
    let schema = match &what {
        What::Rows { plan, first, .. } => {
            let first = first.lock().unwrap_or_else(PoisonError::into_inner);
            first
                .as_ref()
                .map_or_else(|| plan.schema().inner().clone(), |first| first.physical.schema())
        }
        What::Change(Change::Set { .. }) => count_schema(),
        What::Change(_) if !may_write => {
            let message = "this client may read, not write: its token says so";
            return Err(Error::new(Kind::Denied, message));
        }
        What::Change(_) => count_schema(),
    };
    let parameters = parameters.unwrap_or_else(|| Arc::new(Schema::empty()));
    Ok(Planned(Arc::new(Own { session, snapshot, state, what, schema, parameters })))
}

/// The logical plan of a text, whose tables are all held from here on.
async fn logical(
    state: &SessionState,
    snapshot: &Snapshot,
    statement: datafusion::sql::parser::Statement,
) -> Result<LogicalPlan> {
    let references =
        state.resolve_table_references(&statement).map_err(|error| error::of(&error))?;
    let is_stored = |reference: &&TableReference| {
        reference.catalog().is_none_or(|catalog| catalog == CATALOG)
            && reference.schema().is_none_or(|schema| schema == PUBLIC)
    };
    let stored = references.iter().filter(is_stored);
    let names: Vec<String> = stored.map(|reference| reference.table().to_owned()).collect();
    let pinned = snapshot.clone();
    let asked = names.clone();
    tokio::task::spawn_blocking(move || pinned.pin(&asked))
        .await
        .map_err(crate::engine::ended)??;
    match state.statement_to_plan(statement).await {
        Ok(plan) => Ok(plan),
        Err(error) => Err(missing(snapshot, &names, &error)),
    }
}

/// A planning error; of a table that is not there, in our own words.
fn missing(
    snapshot: &Snapshot,
    names: &[String],
    error: &datafusion::error::DataFusionError,
) -> Error {
    let told = error::of(error);
    let text = told.to_string();
    let is_absent = |name: &&String| matches!(snapshot.table(name), Ok(None));
    let absent = names
        .iter()
        .filter(is_absent)
        .find(|name| text == format!("table '{CATALOG}.{PUBLIC}.{name}' not found"));
    absent.map_or(told, |name| error::no_table(name))
}

/// The plan of a statement without values for its parameters, and what these are.
///
/// Where types depend on them it is planned with nulls of one type after the other: what it tells is
/// a guess then, as the specification of Flight SQL has it.
async fn described(
    state: &SessionState,
    snapshot: &Snapshot,
    words: &Words,
) -> Result<(LogicalPlan, SchemaRef)> {
    let told = match logical(state, snapshot, words.statement()?).await {
        Ok(plan) => {
            let parameters = parameters(&plan)?;
            return Ok((plan, parameters));
        }
        Err(error) => error,
    };
    let marks = words.parameters();
    if marks.is_empty() {
        return Err(told);
    }
    let fields = marks.iter().map(|mark| Field::new(*mark, DataType::Null, true));
    let parameters: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    for data_type in ["Utf8", "Int64", "Float64"] {
        let guess = words.with_all(&format!("arrow_cast(null, '{data_type}')"))?;
        if let Ok(plan) = logical(state, snapshot, guess).await {
            return Ok((plan, parameters));
        }
    }
    Err(told)
}

/// The statement's parameters, in the order of their numbers.
fn parameters(plan: &LogicalPlan) -> Result<SchemaRef> {
    let known: HashMap<String, Option<FieldRef>> =
        plan.get_parameter_fields().map_err(|error| error::of(&error))?;
    let mut fields: Vec<(String, Field)> = known
        .into_iter()
        .map(|(name, field)| {
            let data_type = field.map_or(DataType::Null, |field| field.data_type().clone());
            (name.clone(), Field::new(name, data_type, true))
        })
        .collect();
    let number = |name: &str| name.trim_start_matches('$').parse::<u32>().unwrap_or(u32::MAX);
    fields.sort_by_key(|(name, _)| (number(name), name.clone()));
    Ok(Arc::new(Schema::new(fields.into_iter().map(|(_, field)| field).collect::<Vec<_>>())))
}

/// What a plan changes; the plan itself when that is nothing.
///
/// # Errors
/// [`Kind::Invalid`] for what there is not here.
fn change(plan: LogicalPlan) -> Result<Result<Change, LogicalPlan>> {
    let absent = |what: &str, way: &str| {
        Err(Error::new(Kind::Invalid, format!("there is no {what} here: {way}")))
    };
    Ok(Ok(match plan {
        LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)) => Change::Create(create),
        LogicalPlan::Ddl(DdlStatement::CreateExternalTable(create)) => Change::External(create),
        LogicalPlan::Ddl(DdlStatement::DropTable(DropTable { name, if_exists, .. })) => {
            Change::Drop { table: name, if_exists }
        }
        LogicalPlan::Ddl(other) => {
            return absent(other.name(), "tables can be created and dropped, nothing else can");
        }
        LogicalPlan::Dml(DmlStatement { table_name, op: WriteOp::Insert(op), input, .. }) => {
            Change::Insert { table: table_name, op, input }
        }
        LogicalPlan::Dml(DmlStatement { table_name, op, .. }) => {
            let way = format!("create or replace table {table_name} as select …");
            return absent(op.name(), &way);
        }
        LogicalPlan::Copy(_) => Change::Copy(plan),
        LogicalPlan::Statement(Other::SetVariable(SetVariable { variable, value })) => {
            Change::Set { name: variable, value: Some(value) }
        }
        LogicalPlan::Statement(Other::ResetVariable(reset)) => {
            Change::Set { name: reset.variable, value: None }
        }
        LogicalPlan::Statement(_) => {
            return absent("PREPARE or EXECUTE", "clients of Flight SQL prepare statements");
        }
        plan => return Ok(Err(plan)),
    }))
}

impl Own {
    fn is_update(&self) -> bool {
        matches!(&self.what, What::Change(change) if !matches!(change, Change::Set { .. }))
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
        sink::object_of(&client, self.rows(plan, stop).await?, Some(into)).await
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
async fn physical(
    state: &SessionState,
    plan: &LogicalPlan,
    stop: &Stop,
) -> Result<Arc<dyn ExecutionPlan>> {
    let physical = state.create_physical_plan(plan).await.map_err(|error| error::of(&error))?;
    stop::stoppable(physical, stop).map_err(|error| error::of(&error))
}

/// Work with an end: its own, or its time's.
async fn in_time<T>(limit: Option<Duration>, work: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(limit) = limit else { return work.await };
    match tokio::time::timeout(limit, work).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let message = format!(
                "the statement took longer than {} ms: raise sheaf.timeout_ms, or --sql-timeout",
                limit.as_millis()
            );
            Err(Error::new(Kind::Timeout, message))
        }
    }
}

impl sql::Statement for Planned {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    fn parameters(&self) -> &SchemaRef {
        &self.0.parameters
    }

    fn is_update(&self) -> bool {
        self.0.is_update()
    }

    fn whole(&self) -> Option<Table> {
        match &self.0.what {
            What::Rows { whole, .. } => whole.clone(),
            What::Change(_) => None,
        }
    }

    fn stream(&self) -> Batches {
        let (to, coming) = mpsc::channel(WAITING);
        let own = self.0.clone();
        let engine = own.session.engine.clone();
        let running = engine.enter();
        let run = Run::begin(&own);
        let stop = run.stop.clone();
        let work = engine.clone().spawn(&stop, async move {
            let failed = to.clone();
            let outcome = match running {
                Err(error) => Err(error),
                Ok(running) => guarded(own, run, running, to).await,
            };
            if let Err(error) = outcome {
                let _ = failed.send(Err(error)).await;
            }
        });
        Batches::new(self.0.schema.clone(), coming, work)
    }

    fn object(&self, into: Option<Destination>) -> Later<Object> {
        let own = self.0.clone();
        let engine = own.session.engine.clone();
        let running = engine.enter();
        let run = Run::begin(&own);
        let stop = run.stop.clone();
        engine.run(&stop, async move {
            let _running = running?;
            in_time(own.session.timeout(), own.object(into, run)).await
        })
    }
}

/// Runs a statement in a task of its own, so that its panic is an error like any other.
async fn guarded(
    own: Arc<Own>,
    run: Run,
    running: Running,
    to: mpsc::Sender<Result<RecordBatch>>,
) -> Result<()> {
    let engine = own.session.engine.clone();
    let stop = run.stop.clone();
    let work = engine.run(&stop, async move {
        let _running = running;
        in_time(own.session.timeout(), own.send(&to, run)).await
    });
    work.await
}
