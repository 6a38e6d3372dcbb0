//! Opaque bytes written in place: what `sheaf.Draft` is made of.
//!
//! `Draft` itself is written in Python: it derives from `Buffer`, so that `memoryview(draft)` is
//! the object's own memory, and calls this.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::buffer::{self, Shown};
use crate::errors::detached;
use crate::held::Held;
use crate::info::Info;

/// A draft's life.
#[pyclass(name = "DraftCore", module = "sheaf._sheaf", frozen)]
pub(crate) struct DraftCore {
    held: Arc<Held<sheaf_store::Draft>>,
    #[pyo3(get)]
    name: String,
    #[pyo3(get)]
    nbytes: usize,
}

#[pymethods]
impl DraftCore {
    /// Seals: every process may now read it, none may write.
    fn seal(&self, py: Python<'_>) -> PyResult<Info> {
        detached(py, || self.held.seal()).map(Info::new)
    }

    /// Ends the draft: nobody gets it.
    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || self.held.abort())
    }

    /// Whether it can still be written and sealed.
    #[getter]
    fn open(&self) -> bool {
        self.held.is_open()
    }
}

/// A `sheaf.Draft`.
pub(crate) fn draft<'py>(
    py: Python<'py>,
    mut draft: sheaf_store::Draft,
    name: String,
) -> PyResult<Bound<'py, PyAny>> {
    let bytes = draft.as_mut_slice();
    let (start, nbytes) = (bytes.as_mut_ptr(), bytes.len());
    let held = Arc::new(Held::new(draft));
    // SAFETY: the draft's memory does not move while it is open, and `Held` keeps it at its
    // addresses after that, as long as somebody looks.
    let shown = unsafe { Shown::writable(held.clone(), start, nbytes) };
    let class = py.import("sheaf._draft")?.getattr("Draft")?.cast_into::<PyType>()?;
    let made = buffer::new_derived(&class, shown)?;
    made.setattr("_core", DraftCore { held, name, nbytes })?;
    Ok(made)
}
