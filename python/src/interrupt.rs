//! Ctrl-C while a call waits for the store.
//!
//! Python's signal handlers run between two steps of Python code, and a wait is one long step. So
//! the client asks [`asked`] some twenty times a second, without any lock held; what the handlers
//! raise is kept until the call returns.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;

thread_local! {
    /// What a signal handler raised in a wait of this thread.
    static RAISED: Cell<Option<PyErr>> = const { Cell::new(None) };
    /// Another reason to end this thread's wait.
    static CLOSED: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// Whether the wait of this thread is to end: a signal handler raised, or what is waited for was
/// closed by another thread.
pub(crate) fn asked() -> bool {
    let closed = CLOSED
        .with_borrow(|flag| flag.as_ref().is_some_and(|closed| closed.load(Ordering::Relaxed)));
    closed || (is_main_thread() && signals())
}

/// Runs Python's signal handlers.
fn signals() -> bool {
    let raised = Python::try_attach(|py| py.check_signals().err()).flatten();
    let any = raised.is_some();
    if any {
        RAISED.set(raised);
    }
    any
}

/// What ended the last wait of this thread, if a signal handler did.
pub(crate) fn take() -> Option<PyErr> {
    RAISED.take()
}

/// Waits, and waits no longer once `closed` is set.
pub(crate) fn until_closed<T>(closed: &Arc<AtomicBool>, wait: impl FnOnce() -> T) -> T {
    let before = CLOSED.replace(Some(closed.clone()));
    let outcome = wait();
    CLOSED.set(before);
    outcome
}

/// Python handles signals in its main thread alone; the others need not take its lock to ask.
fn is_main_thread() -> bool {
    // SAFETY: neither call has preconditions.
    unsafe { libc::gettid() == libc::getpid() }
}
