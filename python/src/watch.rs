//! Watching a store: an iterator of events.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use sheaf_store::{Error, Kind};

use crate::errors::raise;
use crate::info::Event;
use crate::interrupt;

/// The events of names with a prefix, as they happen: an iterator, made by `Store.watch`.
///
/// >>> with store.watch("trades/") as events:
/// ...     info = store.create("trades/monday", 5).seal()
/// ...     store.delete("trades/monday")
/// ...     [next(events).kind for _ in range(3)]
/// ['created', 'sealed', 'deleted']
#[pyclass(name = "Watch", module = "sheaf", frozen)]
pub(crate) struct Watch {
    /// Locked while its thread waits, and so only with the interpreter free.
    watch: Mutex<Option<sheaf_store::Watch>>,
    closed: Arc<AtomicBool>,
    prefix: String,
}

impl Watch {
    pub(crate) fn new(watch: sheaf_store::Watch, prefix: String) -> Self {
        Self { watch: Mutex::new(Some(watch)), closed: Arc::default(), prefix }
    }

    fn next(&self) -> Option<Result<sheaf_store::Event, Error>> {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        interrupt::until_closed(&self.closed, || watch.as_mut()?.next())
    }
}

#[pymethods]
impl Watch {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// Waits for the next event; ends when the watch is closed.
    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Event>> {
        if self.closed.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match py.detach(|| self.next()) {
            None => Ok(None),
            Some(Ok(event)) => Ok(Some(Event::new(event))),
            Some(Err(error)) => {
                let closed = self.closed.load(Ordering::Relaxed);
                if closed && error.kind() == Kind::Interrupted {
                    return interrupt::take().map_or(Ok(None), Err);
                }
                Err(raise(py, &error))
            }
        }
    }

    /// Ends the watch; a thread that waits for its next event gets none.
    ///
    /// >>> events = store.watch()
    /// >>> events.close()
    /// >>> list(events)
    /// []
    fn close(&self, py: Python<'_>) {
        self.closed.store(true, Ordering::Relaxed);
        py.detach(|| *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = None);
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) {
        self.close(py);
    }

    fn __repr__(&self) -> String {
        let closed = if self.closed.load(Ordering::Relaxed) { ", closed" } else { "" };
        format!("Watch({:?}{closed})", self.prefix)
    }
}
