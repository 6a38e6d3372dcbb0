//! The store's errors as Python exceptions: one class for each kind, the message unchanged.
//!
//! The classes are Python's own (`sheaf/_errors.py`), since each is a built-in exception too.

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use sheaf_store::{Error, Kind};

use crate::interrupt;

/// The exception for an error of the store.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    if error.kind() == Kind::Interrupted {
        return interrupt::take().unwrap_or_else(|| PyKeyboardInterrupt::new_err(()));
    }
    match class(py, error.kind()) {
        Ok(class) => PyErr::from_type(class, (error.message().to_owned(),)),
        Err(broken) => broken,
    }
}

/// An error of the caller's making.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, message.into())
}

/// The exception for it.
pub(crate) fn raise_invalid(py: Python<'_>, message: impl Into<String>) -> PyErr {
    raise(py, &invalid(message))
}

/// Does what waits or copies, with the interpreter free for other threads.
pub(crate) fn detached<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> PyResult<T> {
    py.detach(work).map_err(|error| raise(py, &error))
}

fn class(py: Python<'_>, kind: Kind) -> PyResult<Bound<'_, PyType>> {
    static CLASSES: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

    let module = CLASSES.get_or_try_init(py, || py.import("sheaf._errors").map(Bound::unbind))?;
    let name = match kind {
        Kind::NotFound => "NotFound",
        Kind::Exists => "Exists",
        Kind::Full => "Full",
        Kind::Timeout => "Timeout",
        Kind::WriterGone => "WriterGone",
        Kind::Invalid => "Invalid",
        Kind::Denied => "Denied",
        Kind::Unavailable => "Unavailable",
        _ => "Error",
    };
    Ok(module.bind(py).getattr(name)?.cast_into()?)
}
