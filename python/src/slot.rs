//! A value that one thread uses at a time and that ends before its owner does.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::errors::raise_invalid;

enum State<T> {
    Here(T),
    InUse,
    Ended,
}

/// Holds a value that is taken out while it is used, so that nobody waits for a lock meanwhile.
pub(crate) struct Slot<T>(Mutex<State<T>>);

impl<T> Slot<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(State::Here(value)))
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the value; `what` says in an error what has ended or is in use.
    pub(crate) fn take(&self, py: Python<'_>, what: &str) -> PyResult<T> {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::InUse) {
            State::Here(value) => Ok(value),
            State::InUse => Err(PyRuntimeError::new_err(format!("{what} is in use by a thread"))),
            State::Ended => {
                *state = State::Ended;
                Err(raise_invalid(py, format!("{what} is sealed or aborted already")))
            }
        }
    }

    /// Puts the value back for its next use.
    pub(crate) fn put_back(&self, value: T) {
        *self.state() = State::Here(value);
    }

    /// Says that the value will not come back.
    pub(crate) fn end(&self) {
        *self.state() = State::Ended;
    }

    /// Whether the value can still be used, now or after another thread.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(*self.state(), State::Ended)
    }

    /// Uses the value where it is, shortly.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        match &*self.state() {
            State::Here(value) => Some(look(value)),
            _ => None,
        }
    }
}
