//! `DoPut` of Flight SQL: updates, values of parameters, and rows to be put under a name.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_flight::sql::{
    Command, CommandStatementIngest, DoPutPreparedStatementResult, DoPutUpdateResult,
    TableExistsOption, TableNotExistOption,
};
use bytes::Bytes;
use prost::Message;
use sheaf_store::sql::{CATALOG, IfAbsent, IfPresent, Ingest, PUBLIC, Question, Statement, Text};
use sheaf_store::{Name, Table};
use tonic::Status;

use super::prepared::no_transactions;
use super::{Asker, Sql};
use crate::status;

/// A command of Flight SQL that `DoPut` takes.
#[derive(Clone, Debug)]
pub(crate) struct Update(Command);

impl Update {
    /// The command, if it is one for `DoPut`.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for one that is not.
    pub(crate) fn new(command: Command) -> Result<Self, Status> {
        match command {
            Command::CommandStatementUpdate(_)
            | Command::CommandPreparedStatementUpdate(_)
            | Command::CommandPreparedStatementQuery(_)
            | Command::CommandStatementSubstraitPlan(_)
            | Command::CommandStatementIngest(_) => Ok(Self(command)),
            other => Err(Status::invalid_argument(format!("{} takes no rows", other.type_url()))),
        }
    }

    /// Whether it changes nothing: it binds the values of a query.
    pub(crate) fn only_reads(&self) -> bool {
        matches!(self.0, Command::CommandPreparedStatementQuery(_))
    }
}

impl Sql {
    /// Does what was asked, with the rows that came; what the client is answered.
    pub(crate) async fn update(
        &self,
        asker: &Asker,
        update: Update,
        rows: Option<Table>,
    ) -> Result<Bytes, Status> {
        // Who has no values to bind may send a schema without columns.
        let rows = rows.filter(|rows| !rows.schema().fields().is_empty());
        let count = match update.0 {
            Command::CommandStatementUpdate(update) => {
                if update.transaction_id.is_some() {
                    return Err(no_transactions());
                }
                self.run(asker, Text::Sql(update.query)).await?
            }
            Command::CommandStatementSubstraitPlan(plan) => {
                let plan = plan.plan.map(|plan| plan.plan).unwrap_or_default();
                self.run(asker, Text::Substrait(plan)).await?
            }
            Command::CommandPreparedStatementUpdate(update) => {
                let prepared = self.prepared(&update.prepared_statement_handle)?;
                if rows.is_some() {
                    prepared.bind(rows);
                }
                // A batch of no rows is nothing to do.
                if prepared.num_rows() == Some(0) {
                    return Ok(DoPutUpdateResult { record_count: 0 }.encode_to_vec().into());
                }
                counted(&*prepared.plan(asker.may_write()).await?).await?
            }
            Command::CommandPreparedStatementQuery(query) => {
                let handle = query.prepared_statement_handle;
                self.prepared(&handle)?.bind(rows);
                let result =
                    DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) };
                return Ok(result.encode_to_vec().into());
            }
            Command::CommandStatementIngest(ingest) => {
                self.run(asker, Text::Ingest(ingest_of(ingest, rows)?)).await?
            }
            other => {
                let message = format!("{} takes no rows", other.type_url());
                return Err(Status::invalid_argument(message));
            }
        };
        Ok(DoPutUpdateResult { record_count: count }.encode_to_vec().into())
    }

    async fn run(&self, asker: &Asker, text: Text) -> Result<i64, Status> {
        let question = Question { text, parameters: None, may_write: asker.may_write() };
        let statement = asker.session.plan(question).await.map_err(|error| status::of(&error))?;
        counted(&*statement).await
    }
}

/// Runs a statement; how many rows it wrote, or had.
async fn counted(statement: &dyn Statement) -> Result<i64, Status> {
    let object = statement.object(None).await.map_err(|error| status::of(&error))?;
    let table = object.table().map_err(|error| status::of(&error))?;
    if !statement.is_update() {
        return Ok(i64::try_from(table.num_rows()).unwrap_or(i64::MAX));
    }
    let batch = table.batch(0).map_err(|error| status::of(&error))?;
    let count = batch.column(0).as_primitive_opt::<UInt64Type>().map(|count| count.value(0));
    Ok(count.and_then(|count| i64::try_from(count).ok()).unwrap_or(-1))
}

/// What is to be put, and what becomes of a table of that name.
fn ingest_of(ingest: CommandStatementIngest, rows: Option<Table>) -> Result<Ingest, Status> {
    if ingest.transaction_id.is_some() {
        return Err(no_transactions());
    }
    if ingest.temporary {
        return Err(Status::unimplemented("there are no temporary tables"));
    }
    let other = |given: &Option<String>, only: &str| {
        given.as_ref().is_some_and(|given| !given.is_empty() && given != only)
    };
    if other(&ingest.catalog, CATALOG) || other(&ingest.schema, PUBLIC) {
        let message = format!("rows are put into {CATALOG}.{PUBLIC}, nowhere else");
        return Err(Status::permission_denied(message));
    }
    let options = ingest.table_definition_options.unwrap_or_default();
    let if_absent = match options.if_not_exist() {
        TableNotExistOption::Create => IfAbsent::Create,
        TableNotExistOption::Fail => IfAbsent::Fail,
        TableNotExistOption::Unspecified => return Err(unspecified("it is not there")),
    };
    let if_present = match options.if_exists() {
        TableExistsOption::Fail => IfPresent::Fail,
        TableExistsOption::Append => IfPresent::Append,
        TableExistsOption::Replace => IfPresent::Replace,
        TableExistsOption::Unspecified => return Err(unspecified("it is there")),
    };
    let rows = rows.ok_or_else(|| Status::invalid_argument("an ingest without a schema"))?;
    let table = Name::new(ingest.table.as_bytes()).map_err(|error| status::of(&error))?;
    Ok(Ingest { table, rows, if_absent, if_present })
}

fn unspecified(when: &str) -> Status {
    Status::invalid_argument(format!("an ingest says what becomes of the table if {when}"))
}
