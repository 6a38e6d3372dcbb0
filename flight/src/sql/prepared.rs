//! Prepared statements: words, and the values that were bound to them.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
};
use bytes::Bytes;
use sheaf_store::sql::{Question, Session, Statement, Text};
use sheaf_store::{Error, Kind, Table};
use tonic::Status;

use super::shelf::Owner;
use super::{Asker, Sql, wire};
use crate::get::hydrated;
use crate::status;

/// A prepared statement.
pub(super) struct Prepared {
    session: Arc<dyn Session>,
    text: String,
    /// The values of its parameters, a row for each run.
    values: Mutex<Option<Table>>,
}

impl Prepared {
    fn values(&self) -> Option<Table> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Binds values.
    pub(super) fn bind(&self, values: Option<Table>) {
        *self.values.lock().unwrap_or_else(PoisonError::into_inner) = values;
    }

    /// How many rows of values were bound, if any were.
    pub(super) fn num_rows(&self) -> Option<u64> {
        self.values().map(|values| values.num_rows())
    }

    /// The statement with the values that were bound, if any were.
    pub(super) async fn plan(&self, may_write: bool) -> Result<Box<dyn Statement>, Status> {
        let values = self.values().map(|values| in_one(&values)).transpose();
        self.plan_with(values.map_err(|error| status::of(&error))?, may_write).await
    }

    async fn plan_with(
        &self,
        parameters: Option<RecordBatch>,
        may_write: bool,
    ) -> Result<Box<dyn Statement>, Status> {
        let text = Text::Sql(self.text.clone());
        let question = Question { text, parameters, may_write };
        self.session.plan(question).await.map_err(|error| status::of(&error))
    }
}

/// All rows of a table in one batch.
fn in_one(values: &Table) -> sheaf_store::Result<RecordBatch> {
    let batches = values.batches().collect::<sheaf_store::Result<Vec<_>>>()?;
    arrow_select::concat::concat_batches(values.schema(), &batches)
        .map_err(|error| Error::new(Kind::Invalid, error.to_string()))
}

impl Sql {
    /// Prepares a statement: what it takes and what comes of it.
    pub(super) async fn prepare(
        &self,
        asker: &Asker,
        request: ActionCreatePreparedStatementRequest,
    ) -> Result<Bytes, Status> {
        if request.transaction_id.is_some() {
            return Err(no_transactions());
        }
        let prepared = Prepared {
            session: asker.session.clone(),
            text: request.query,
            values: Mutex::default(),
        };
        // A reader may know what a statement would do, though not have it done.
        let statement = prepared.plan_with(None, true).await?;
        let is_update = statement.is_update();
        // A client takes what has a schema for a query.
        let dataset_schema = match is_update {
            true => Bytes::new(),
            false => wire::schema(&hydrated(statement.schema())),
        };
        let parameter_schema = match statement.parameters().fields().is_empty() {
            true => Bytes::new(),
            false => wire::schema(statement.parameters()),
        };
        let prepared_statement_handle =
            self.prepared.put(Owner::of(&asker.session), Arc::new(prepared));
        let result = ActionCreatePreparedStatementResult {
            prepared_statement_handle,
            dataset_schema,
            parameter_schema,
        };
        Ok(wire::prepared(&result, is_update))
    }

    /// The prepared statement of a handle.
    pub(super) fn prepared(&self, handle: &[u8]) -> Result<Arc<Prepared>, Status> {
        self.prepared.get(handle).ok_or_else(|| {
            let message = "there is no such prepared statement: it was closed, or not used for \
                           an hour; prepare it again";
            status::of(&Error::new(Kind::NotFound, message))
        })
    }
}

/// What a client hears that begins a transaction.
pub(super) fn no_transactions() -> Status {
    Status::unimplemented("there are no transactions: each statement is atomic by itself")
}
