//! Opaque bytes written in place: what `sheaf.Draft` is made of.
//!
//! `Draft` itself is written in Python: it derives from `Buffer`, so that `memoryview(draft)` is
//! the object's own memory, and calls this.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use sheaf_store::Name;

use crate::args::name_repr;
use crate::buffer::{self, Shown};
use crate::errors::detached;
use crate::held::Held;
use crate::info::Info;

/// A draft's life.
#[pyclass(name = "DraftCore", module = "sheaf._sheaf", frozen)]
pub(crate) struct DraftCore {
    held: Arc<Held<sheaf_store::Draft>>,
    name: Name,
    /// Where its bytes lie.
    start: usize,
    #[pyo3(get)]
    nbytes: usize,
}

impl DraftCore {
    pub(crate) fn new(mut draft: sheaf_store::Draft, name: Name) -> Self {
        let bytes = draft.as_mut_slice();
        let (start, nbytes) = (bytes.as_mut_ptr().expose_provenance(), bytes.len());
        Self { held: Arc::new(Held::new(draft)), name, start, nbytes }
    }

    fn shown(&self) -> Shown {
        let start = std::ptr::with_exposed_provenance_mut(self.start);
        // SAFETY: the draft's memory does not move while it is open, and `Held` keeps it at its
        // addresses after that, as long as somebody looks.
        unsafe { Shown::writable(self.held.clone(), start, self.nbytes) }
    }
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

    /// The object's memory, to be written, as a `memoryview`.
    pub(crate) fn view<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        buffer::memoryview(py, self.shown())
    }

    /// The object's name, as Python would write it.
    #[getter]
    fn name(&self, py: Python<'_>) -> PyResult<String> {
        name_repr(py, &self.name)
    }

    /// Whether it can still be written and sealed.
    #[getter]
    fn open(&self) -> bool {
        self.held.is_open()
    }
}

/// A `sheaf.Draft`.
pub(crate) fn draft(py: Python<'_>, core: DraftCore) -> PyResult<Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();

    let class = CLASS.import(py, "sheaf._draft", "Draft")?;
    let made = buffer::new_derived(class, core.shown())?;
    made.setattr("_core", core)?;
    Ok(made)
}
