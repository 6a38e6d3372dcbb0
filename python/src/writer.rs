//! Tables of unknown length: batches as they come.

use arrow_schema::SchemaRef;
use pyo3::prelude::*;
use sheaf_store::Error;

use crate::capsule;
use crate::errors::{detached, raise};
use crate::info::Info;
use crate::schema::Schema;
use crate::slot::Slot;

/// Writes a table batch by batch; sealed when its `with` ends, aborted on an exception. Made by
/// `Store.writer`.
///
/// >>> import pyarrow as pa
/// >>> with store.writer("stream", {"k": "int64"}) as writer:
/// ...     for first in (0, 10):
/// ...         writer.write(pa.record_batch({"k": [first, first + 1]}))
/// >>> writer
/// Writer('stream', ended; k: int64)
/// >>> store.get("stream").to_arrow()["k"].to_pylist()
/// [0, 1, 10, 11]
#[pyclass(name = "Writer", module = "sheaf", frozen)]
pub(crate) struct Writer {
    writer: Slot<Box<dyn sheaf_store::Writer>>,
    name: String,
    schema: SchemaRef,
}

impl Writer {
    pub(crate) fn new(
        writer: Box<dyn sheaf_store::Writer>,
        name: String,
        schema: SchemaRef,
    ) -> Self {
        Self { writer: Slot::new(writer), name, schema }
    }

    fn what(&self) -> String {
        format!("writer {}", self.name)
    }
}

#[pymethods]
impl Writer {
    /// Writes the batches of a table, a batch or a stream, each with one copy. What is refused
    /// leaves the writer as it was.
    ///
    /// >>> import pyarrow as pa
    /// >>> with store.writer("stream", {"k": "int64"}) as writer:
    /// ...     writer.write(pa.table({"k": [1, 2]}))
    /// ...     writer.write(pa.table({"x": ["text"]}))
    /// Traceback (most recent call last):
    /// sheaf.Invalid: ...
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let batches = capsule::batches(data)?;
        let mut writer = self.writer.take(py, &self.what())?;
        let written = py.detach(|| {
            for batch in batches {
                writer.write(&batch?)?;
            }
            Ok::<_, Error>(())
        });
        self.writer.put_back(writer);
        written.map_err(|error| raise(py, &error))
    }

    /// Seals the table: every process may now read it.
    ///
    /// >>> store.writer("stream", {"k": "int64"}).seal()
    /// Info('stream': sealed table, 0 rows, ...)
    fn seal(&self, py: Python<'_>) -> PyResult<Info> {
        let writer = self.writer.take(py, &self.what())?;
        self.writer.end();
        detached(py, || writer.finish()).map(Info::new)
    }

    /// Ends the table unsealed: nobody gets it, and who waits for it learns so at once.
    ///
    /// >>> store.writer("stream", {"k": "int64"}).abort()
    /// >>> store.list()
    /// []
    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        let writer = self.writer.take(py, &self.what())?;
        self.writer.end();
        detached(py, || writer.abort())
    }

    /// The schema that every batch must have.
    #[getter]
    fn schema(&self) -> Schema {
        Schema::new(self.schema.clone())
    }

    /// The bytes written so far.
    #[getter]
    fn nbytes(&self) -> u64 {
        self.writer.look(|writer| writer.nbytes()).unwrap_or(0)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if !self.writer.is_open() {
            return Ok(());
        }
        if kind.is_none() {
            return self.seal(py).map(|_| ());
        }
        // The exception that ended the block is the one to be told.
        let _ = self.abort(py);
        Ok(())
    }

    fn __repr__(&self) -> String {
        let state = if self.writer.is_open() { "open" } else { "ended" };
        format!("Writer({}, {state}; {})", self.name, crate::schema::columns(&self.schema))
    }
}
