//! Statements that were planned and wait to be fetched; and their end, if somebody cancels them.

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
    /// One or several statements, whose rows follow each other.
    Statements(Vec<Box<dyn Statement>>),
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
    /// Statements whose results have this schema.
    pub(super) fn statements(schema: SchemaRef, statements: Vec<Box<dyn Statement>>) -> Self {
        Self { what: What::Statements(statements), schema, cancelled: Mutex::default() }
    }

    pub(super) fn object(schema: SchemaRef, object: Object) -> Self {
        Self { what: What::Object(object), schema, cancelled: Mutex::default() }
    }

    /// The object, if the result is one as it lies.
    pub(super) fn whole(&self) -> Option<&Object> {
        match &self.what {
            What::Object(object) => Some(object),
            What::Statements(_) => None,
        }
    }

    /// Runs it.
    pub(super) fn run(self: &Arc<Self>) -> Rows {
        let left = match &self.what {
            What::Object(_) => 0,
            What::Statements(statements) => statements.len(),
        };
        Rows { pinned: self.clone(), next: 0, left, current: None }
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

/// The rows of a run: of one statement after the other.
pub(super) struct Rows {
    pinned: Arc<Pinned>,
    next: usize,
    left: usize,
    current: Option<Batches>,
}

impl Rows {
    /// The next batch, unless the result was cancelled.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        if self.pinned.is_cancelled(cx) {
            (self.left, self.current) = (0, None);
            let message = "the statement was cancelled";
            return Poll::Ready(Some(Err(Error::new(Kind::Interrupted, message))));
        }
        loop {
            if let Some(current) = &mut self.current {
                match current.poll_next(cx) {
                    Poll::Ready(None) => self.current = None,
                    outcome => return outcome,
                }
            }
            let What::Statements(statements) = &self.pinned.what else { return Poll::Ready(None) };
            if self.left == 0 {
                return Poll::Ready(None);
            }
            self.current = statements.get(self.next).map(|statement| statement.stream());
            self.next += 1;
            self.left -= 1;
        }
    }
}
