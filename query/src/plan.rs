//! From a question to a plan over pinned tables.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::TableReference;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::dml::DmlStatement;
use datafusion::logical_expr::{
    DdlStatement, DropTable, LogicalPlan, SetVariable, Statement as Other, WriteOp,
};
use sheaf_store::sql::{CATALOG, PUBLIC, Question, Text};
use sheaf_store::{Error, Kind, Result};

use crate::bound::{Bound, nullable};
use crate::change::{Change, count_schema};
use crate::error;
use crate::order;
use crate::session::Inner;
use crate::snapshot::Snapshot;
use crate::statement::{Own, Planned, Ready, What, physical};
use crate::stop::Stop;
use crate::words::Words;

/// Reads and plans a statement.
///
/// # Errors
/// As [`sql::Session::plan`].
pub(crate) async fn plan(session: Arc<Inner>, question: Question) -> Result<Planned> {
    let snapshot = session.snapshot()?;
    let state = session.state(snapshot.clone());
    let mut bound = None;
    let (plan, parameters) = match question.text {
        Text::Sql(text) => {
            let words = Words::new(&text)?;
            match question.parameters {
                Some(values) => {
                    let values = Bound::new(words, values)?;
                    let plan = logical(&state, &snapshot, values.statement(0)?).await?;
                    bound = (values.num_rows() > 1).then_some(values);
                    (plan, Arc::new(Schema::empty()))
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
            let (bound, parameters) = (None, Arc::new(Schema::empty()));
            let own =
                Own { schema: count_schema(), session, snapshot, state, what, bound, parameters };
            return finished(own, question.may_write);
        }
    };
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
            let whole = order::whole(&physical).filter(|_| bound.is_none());
            What::Rows { plan, first: Mutex::new(Some(Ready { physical, stop })), whole }
        }
    };
    let schema = match &what {
        What::Rows { plan, first, .. } => schema_of(plan, first, bound.is_some()),
        What::Change(_) => count_schema(),
    };
    finished(Own { session, snapshot, state, what, bound, schema, parameters }, question.may_write)
}

fn schema_of(plan: &LogicalPlan, first: &Mutex<Option<Ready>>, is_followed: bool) -> SchemaRef {
    let first = first.lock().unwrap_or_else(PoisonError::into_inner);
    let first = first.as_ref().map(|first| first.physical.schema());
    let schema = first.unwrap_or_else(|| plan.schema().inner().clone());
    if is_followed { nullable(&schema) } else { schema }
}

fn finished(own: Own, may_write: bool) -> Result<Planned> {
    match &own.what {
        What::Change(Change::Set { .. }) | What::Rows { .. } => {}
        What::Change(_) if !may_write => {
            let message = "this client may read, not write: its token says so";
            return Err(Error::new(Kind::Denied, message));
        }
        What::Change(_) => {}
    }
    Ok(Planned::new(own))
}

/// The logical plan of a text, whose tables are all held from here on.
pub(crate) async fn logical(
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
        Ok(plan) => check(&plan).map(|()| plan),
        Err(error) => Err(missing(snapshot, &names, &error)),
    }
}

/// Refuses what would change something from within what only reads: `explain analyze copy …`.
fn check(plan: &LogicalPlan) -> Result<()> {
    let only_reads =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    if plan.inputs().iter().any(|input| only_reads.verify_plan(input).is_err()) {
        let message = "only what reads can be explained: explain the query alone";
        return Err(Error::new(Kind::Invalid, message));
    }
    Ok(())
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
/// Where types depend on them it is planned with nulls of one type after the other: what it tells
/// is a guess then, as the specification of Flight SQL has it.
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

/// `create view` for `CreateView`.
fn in_words(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// What a plan changes; the plan itself when that is nothing.
///
/// # Errors
/// [`Kind::Invalid`] for what there is not here.
pub(crate) fn change(plan: LogicalPlan) -> Result<Result<Change, LogicalPlan>> {
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
            let what = in_words(other.name());
            return absent(&what, "tables can be created and dropped, nothing else can");
        }
        LogicalPlan::Dml(DmlStatement { table_name, op: WriteOp::Insert(op), input, .. }) => {
            Change::Insert { table: table_name, op, input }
        }
        LogicalPlan::Dml(DmlStatement { table_name, op, .. }) => {
            let way = format!("create or replace table {table_name} as select …");
            return absent(&op.name().to_lowercase(), &way);
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
