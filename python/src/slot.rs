//! A value that one thread uses at a time and that ends before its owner does.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::errors::raise_invalid;
use crate::owner::{NOT_HERE, Owner};

enum State<T> {
    Here(T),
    InUse,
    Ended,
}

/// Holds a value that is taken out while it is used, so that nobody waits for a lock meanwhile.
/// A forked child leaves it alone.
pub(crate) struct Slot<T> {
    owner: Owner,
    state: Mutex<State<T>>,
}

impl<T> Slot<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { owner: Owner::default(), state: Mutex::new(State::Here(value)) }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the value; `what` says in an error what has ended or is in use.
    pub(crate) fn take(&self, py: Python<'_>, what: &str) -> PyResult<T> {
        if !self.owner.is_here() {
            return Err(raise_invalid(py, format!("{what}: {NOT_HERE}")));
        }
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

    /// Whether the value can still be used here, now or after another thread.
    pub(crate) fn is_open(&self) -> bool {
        self.owner.is_here() && !matches!(*self.state(), State::Ended)
    }

    /// Uses the value where it is, shortly.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        match &*self.state() {
            State::Here(value) => Some(look(value)),
            _ => None,
        }
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !self.owner.is_here() {
            std::mem::forget(std::mem::replace(state, State::Ended));
        }
    }
}
