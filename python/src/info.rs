//! What the store tells of objects: infos, holders, events.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use sheaf_store::error::human_bytes;
use sheaf_store::{EventKind, ObjectKind, Stat, State};

use crate::args::{count, name_of, name_repr};
use crate::errors::raise;
use crate::pickled::{self, InfoParts};

/// What the store knows of an object; told by every put, and by `Store.info`, `list` and `wait`.
///
/// >>> info = store.put_bytes("note", b"hello", metadata={"by": "me"})
/// >>> info
/// Info('note': sealed bytes, 5 B)
/// >>> info.kind, info.state, info.nbytes, info.metadata, info.created <= info.sealed
/// ('bytes', 'sealed', 5, b'{"by": "me"}', True)
#[pyclass(name = "Info", module = "sheaf", frozen, eq)]
#[derive(PartialEq)]
pub(crate) struct Info(sheaf_store::Info);

impl Info {
    pub(crate) fn new(info: sheaf_store::Info) -> Self {
        Self(info)
    }
}

#[pymethods]
impl Info {
    /// The object's name.
    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        name_of(py, &self.0.name)
    }

    /// `"table"` or `"bytes"`.
    #[getter]
    fn kind(&self) -> &'static str {
        match self.0.kind {
            ObjectKind::Table => "table",
            ObjectKind::Bytes => "bytes",
        }
    }

    /// `"draft"`, `"sealed"` or `"retired"`.
    #[getter]
    fn state(&self) -> &'static str {
        match self.0.state {
            State::Draft => "draft",
            State::Sealed => "sealed",
            State::Retired => "retired",
        }
    }

    /// Its own bytes.
    #[getter]
    fn nbytes(&self) -> u64 {
        self.0.bytes
    }

    /// What it takes from the store's memory, in bytes.
    #[getter]
    fn charged_nbytes(&self) -> u64 {
        self.0.charged_bytes
    }

    /// Rows of a sealed table.
    #[getter]
    fn num_rows(&self) -> u64 {
        self.0.rows
    }

    /// Record batches of a sealed table.
    #[getter]
    fn num_batches(&self) -> u64 {
        self.0.batches
    }

    /// When it was created, in seconds since the Unix epoch.
    #[getter]
    fn created(&self) -> f64 {
        self.0.created_ms as f64 / 1000.0
    }

    /// When it was sealed, in seconds since the Unix epoch; `None` for a draft.
    #[getter]
    fn sealed(&self) -> Option<f64> {
        (self.0.sealed_ms != 0).then(|| self.0.sealed_ms as f64 / 1000.0)
    }

    /// When it was sealed, as the store has it.
    #[getter]
    fn _sealed_ms(&self) -> u64 {
        self.0.sealed_ms
    }

    /// Whether it may be dropped for room while nobody holds it.
    #[getter]
    fn droppable(&self) -> bool {
        self.0.droppable
    }

    /// User metadata.
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.metadata)
    }

    /// Who holds it or writes it; empty unless asked for.
    #[getter]
    fn holders(&self) -> Vec<Holder> {
        self.0.holders.iter().cloned().map(Holder).collect()
    }

    /// An info is pickled whole: a worker may return what its put told.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (InfoParts,))> {
        let again = py.import("sheaf._refs")?.getattr("info_again")?;
        Ok((again, (pickled::info_parts(&self.0),)))
    }

    /// What was pickled.
    #[staticmethod]
    fn _of_parts(py: Python<'_>, parts: InfoParts) -> PyResult<Self> {
        pickled::info_of_parts(parts).map(Self).map_err(|error| raise(py, &error))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let rows = match (self.0.kind, self.0.state) {
            (ObjectKind::Table, State::Sealed) => format!(", {}", count(self.0.rows, "row")),
            _ => String::new(),
        };
        Ok(format!(
            "Info({}: {} {}{rows}, {}{})",
            name_repr(py, &self.0.name)?,
            self.state(),
            self.kind(),
            human_bytes(self.0.bytes),
            if self.0.droppable { ", droppable" } else { "" }
        ))
    }
}

/// One process that holds an object or writes its draft; in `Info.holders`.
///
/// >>> import os
/// >>> draft = store.create("note", 5)
/// >>> [holder] = store.info("note", holders=True).holders
/// >>> holder.pid == os.getpid(), holder.writer
/// (True, True)
#[pyclass(name = "Holder", module = "sheaf", frozen, eq)]
#[derive(PartialEq)]
pub(crate) struct Holder(sheaf_store::Holder);

#[pymethods]
impl Holder {
    /// Process id.
    #[getter]
    fn pid(&self) -> u32 {
        self.0.peer.pid
    }

    /// User id.
    #[getter]
    fn uid(&self) -> u32 {
        self.0.peer.uid
    }

    /// The command's name.
    #[getter]
    fn command(&self) -> &str {
        &self.0.peer.command
    }

    /// How many times it holds the object.
    #[getter]
    fn holds(&self) -> u64 {
        self.0.holds
    }

    /// Whether it writes the object's draft.
    #[getter]
    fn writer(&self) -> bool {
        self.0.writer
    }

    fn __repr__(&self) -> String {
        let what = if self.0.writer { "writes" } else { "holds" };
        format!("Holder({} (pid {}) {what})", self.0.peer.command, self.0.peer.pid)
    }
}

/// One event of a watch. An object that is put whole in a message, as small ones are, is sealed
/// without having been created.
///
/// >>> with store.watch() as events:
/// ...     info = store.put_bytes("note", b"hello")
/// ...     event = next(events)
/// >>> event.kind, event.name, event.nbytes
/// ('sealed', 'note', 5)
#[pyclass(name = "Event", module = "sheaf", frozen, eq)]
#[derive(PartialEq)]
pub(crate) struct Event(sheaf_store::Event);

impl Event {
    pub(crate) fn new(event: sheaf_store::Event) -> Self {
        Self(event)
    }
}

#[pymethods]
impl Event {
    /// `"created"`, `"sealed"` or `"deleted"`.
    #[getter]
    fn kind(&self) -> &'static str {
        match self.0.kind {
            EventKind::Created => "created",
            EventKind::Sealed => "sealed",
            EventKind::Deleted => "deleted",
        }
    }

    /// To which name it happened.
    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        name_of(py, &self.0.name)
    }

    /// The object's bytes.
    #[getter]
    fn nbytes(&self) -> u64 {
        self.0.bytes
    }

    /// The size of its user metadata, in bytes.
    #[getter]
    fn metadata_nbytes(&self) -> u64 {
        self.0.metadata_bytes
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name = name_repr(py, &self.0.name)?;
        Ok(format!("Event({} {name}, {})", self.kind(), human_bytes(self.0.bytes)))
    }
}

/// The store's counters, and who it is.
pub(crate) fn stat<'py>(py: Python<'py>, stat: &Stat) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    for (name, value) in stat.fields() {
        told.set_item(name, value)?;
    }
    told.set_item("store_pid", stat.store_pid)?;
    told.set_item("store_id", &stat.store_id)?;
    told.set_item("version", &stat.version)?;
    told.set_item("socket", &stat.socket)?;
    Ok(told)
}
