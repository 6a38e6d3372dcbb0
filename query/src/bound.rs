//! Several rows of values for the parameters of one statement: it is planned with each, and its
//! rows follow each other.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use datafusion::common::exec_err;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::parser::Statement;
use futures_util::stream;
use futures_util::{StreamExt, TryStreamExt};
use sheaf_store::{Error, Kind, Result};

use crate::change::Change;
use crate::error::{self, external};
use crate::plan;
use crate::statement::Own;
use crate::stop::Stop;
use crate::words::Words;

/// The words of a statement, and the values of its parameters.
pub(crate) struct Bound {
    words: Words,
    values: RecordBatch,
}

impl Bound {
    /// # Errors
    /// [`Kind::Invalid`] when there are no rows.
    pub(crate) fn new(words: Words, values: RecordBatch) -> Result<Self> {
        if values.num_rows() == 0 {
            let message = "no row of values for the parameters: give one at least";
            return Err(Error::new(Kind::Invalid, message));
        }
        Ok(Self { words, values })
    }

    pub(crate) fn num_rows(&self) -> usize {
        self.values.num_rows()
    }

    /// The statement with the values of a row.
    ///
    /// # Errors
    /// As [`Words::with_values`].
    pub(crate) fn statement(&self, row: usize) -> Result<Statement> {
        self.words.with_values(&self.values, row)
    }
}

impl Own {
    /// The rows of the statement with its first row of values, and those that it has with each of
    /// the others.
    pub(crate) fn and_others(
        self: &Arc<Self>,
        first: SendableRecordBatchStream,
        stop: &Stop,
    ) -> SendableRecordBatchStream {
        let Some(bound) = &self.bound else { return first };
        let (own, stop) = (self.clone(), stop.clone());
        let others = stream::iter(1..bound.num_rows()).then(move |row| {
            let (own, stop) = (own.clone(), stop.clone());
            async move {
                let at_row = move |error: Error| external(at_row(row, &error));
                let rows = own.rows_with(row, &stop).await.map_err(at_row)?;
                Ok::<_, DataFusionError>(rows.map_err(move |error| at_row(error::of(&error))))
            }
        });
        let schema = nullable(&first.schema());
        let told = schema.clone();
        let all = first.chain(others.try_flatten()).map(move |batch| alike(batch?, &told));
        Box::pin(RecordBatchStreamAdapter::new(schema, all))
    }

    async fn rows_with(&self, row: usize, stop: &Stop) -> Result<SendableRecordBatchStream> {
        match plan::change(self.with(row).await?)? {
            Ok(Change::Insert { input, .. }) => self.rows(&input, stop).await,
            Ok(_) => Err(Error::new(Kind::Internal, "no rows")),
            Err(plan) => self.rows(&plan, stop).await,
        }
    }

    async fn with(&self, row: usize) -> Result<LogicalPlan> {
        let bound = self.bound.as_ref().ok_or_else(|| Error::new(Kind::Internal, "no values"))?;
        plan::logical(&self.state, &self.snapshot, bound.statement(row)?).await
    }

    /// Makes the change with each row of values; how many rows that wrote. Rows that are inserted
    /// are all inserted at once; any other change is made for one row after the other.
    pub(crate) async fn change_all(self: &Arc<Self>, first: &Change, stop: &Stop) -> Result<u64> {
        let mut count = self.change(first, stop).await?;
        if matches!(first, Change::Insert { .. }) {
            return Ok(count);
        }
        for row in 1..self.bound.as_ref().map_or(1, Bound::num_rows) {
            let change = plan::change(self.with(row).await?)?;
            let change = change.map_err(|_| Error::new(Kind::Internal, "no change"))?;
            let more = self.change(&change, stop).await;
            count += more.map_err(|error| {
                let before = format!("{}; the {row} before it are done", error.message());
                at_row(row, &Error::new(error.kind(), before))
            })?;
        }
        Ok(count)
    }
}

fn at_row(row: usize, error: &Error) -> Error {
    let message = format!("row {} of the parameters: {}", row + 1, error.message());
    Error::new(error.kind(), message)
}

/// The schema of rows that may be followed by others: that there is no null in the first is no
/// promise.
pub(crate) fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let metadata = schema.metadata().clone();
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), metadata))
}

fn alike(batch: RecordBatch, schema: &SchemaRef) -> datafusion::error::Result<RecordBatch> {
    let own = batch.schema();
    let others = own.fields().iter().zip(schema.fields());
    if let Some((own, first)) =
        others.into_iter().find(|(own, first)| own.data_type() != first.data_type())
    {
        return exec_err!(
            "column {} is {} with one row of parameters and {} with another: cast it",
            own.name(),
            first.data_type(),
            own.data_type()
        );
    }
    Ok(RecordBatch::try_new_with_options(
        schema.clone(),
        batch.columns().to_vec(),
        &arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows())),
    )?)
}
