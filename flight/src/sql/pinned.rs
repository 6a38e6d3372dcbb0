//! Results that wait to be fetched; and their end, if somebody cancels them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use sheaf_store::sql::{Batches, Statement};
use sheaf_store::{Error, Kind, Object, Result};

/// A result that somebody has a ticket for.
pub(super) struct Pinned {
    what: What,
    schema: SchemaRef,
    cancelled: Mutex<Cancelled>,
}

/// Where a result comes from.
enum What {
    /// A statement that was planned.
    Statement(Box<dyn Statement>),
    /// It is there already, as it is to be sent.
    Object(Object),
}

#[derive(Default)]
struct Cancelled {
    is: bool,
    /// Who reads the result, to be told.
    readers: Vec<Waker>,
}

impl Pinned {
    /// A statement whose result has this schema.
    pub(super) fn statement(schema: SchemaRef, statement: Box<dyn Statement>) -> Self {
        Self { what: What::Statement(statement), schema, cancelled: Mutex::default() }
    }

    pub(super) fn object(schema: SchemaRef, object: Object) -> Self {
        Self { what: What::Object(object), schema, cancelled: Mutex::default() }
    }

    /// The object, if the result is one as it lies.
    pub(super) fn whole(&self) -> Option<&Object> {
        match &self.what {
            What::Object(object) => Some(object),
            What::Statement(_) => None,
        }
    }

    /// Runs it.
    pub(super) fn run(self: &Arc<Self>) -> Rows {
        let batches = match &self.what {
            What::Object(_) => None,
            What::Statement(statement) => Some(statement.stream()),
        };
        Rows { pinned: self.clone(), batches }
    }

    /// The columns of the result.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn state(&self) -> MutexGuard<'_, Cancelled> {
        self.cancelled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it, wherever it is read.
    pub(super) fn cancel(&self) {
        let mut state = self.state();
        state.is = true;
        state.readers.drain(..).for_each(Waker::wake);
    }

    /// Whether it was cancelled; if not, the reader hears of it when it is.
    fn is_cancelled(&self, cx: &Context<'_>) -> bool {
        let mut state = self.state();
        if !state.is && !state.readers.iter().any(|reader| reader.will_wake(cx.waker())) {
            state.readers.push(cx.waker().clone());
        }
        state.is
    }
}

/// The rows of a run.
pub(super) struct Rows {
    pinned: Arc<Pinned>,
    batches: Option<Batches>,
}

impl Rows {
    /// The next batch, unless the result was cancelled.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        if self.pinned.is_cancelled(cx) {
            self.batches = None;
            let message = "the statement was cancelled";
            return Poll::Ready(Some(Err(Error::new(Kind::Interrupted, message))));
        }
        match &mut self.batches {
            Some(batches) => batches.poll_next(cx),
            None => Poll::Ready(None),
        }
    }
}
