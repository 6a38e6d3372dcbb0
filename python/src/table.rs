//! Tables: what a get returns. Everything that reads one points into the store's memory.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyDict};
use sheaf_store::error::human_bytes;

use crate::args::{count, name_of, name_repr};
use crate::errors::detached;
use crate::info::Info;
use crate::schema::{self, Schema};
use crate::{capsule, preview};

/// A sealed table in the store, mapped and not copied; what `Store.get` returns.
///
/// Whatever reads the Arrow PyCapsule interface takes it: `pyarrow.table(table)`,
/// `polars.DataFrame(table)`, duckdb by the name of the variable.
///
/// >>> import pyarrow as pa
/// >>> info = store.put("trades", pa.table({"price": [1.5, 2.5]}), metadata="mine")
/// >>> table = store.get("trades")
/// >>> table
/// Table('trades': 2 rows, 1 column, 1 batch, ...; price: float64?)
/// >>> len(table), table.schema.names, table.metadata
/// (2, ['price'], b'mine')
#[pyclass(name = "Table", module = "sheaf", frozen, weakref)]
pub(crate) struct Table {
    table: sheaf_store::Table,
    url: Arc<str>,
}

impl Table {
    pub(crate) fn new(table: sheaf_store::Table, url: Arc<str>) -> Self {
        Self { table, url }
    }

    fn info(&self) -> &sheaf_store::Info {
        self.table.object().info()
    }

    fn title(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "{}: {}, {}, {}, {}",
            name_repr(py, &self.info().name)?,
            count(self.table.num_rows(), "row"),
            count(self.table.schema().fields().len() as u64, "column"),
            match self.table.num_batches() {
                1 => "1 batch".to_owned(),
                n => format!("{n} batches"),
            },
            human_bytes(self.table.nbytes())
        ))
    }
}

#[pymethods]
impl Table {
    /// The name it was got by.
    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        name_of(py, &self.info().name)
    }

    /// The names and types of its columns.
    #[getter]
    fn schema(&self) -> Schema {
        Schema::new(self.table.schema().clone())
    }

    /// Rows in all batches.
    #[getter]
    fn num_rows(&self) -> u64 {
        self.table.num_rows()
    }

    /// Columns.
    #[getter]
    fn num_columns(&self) -> usize {
        self.table.schema().fields().len()
    }

    /// Record batches.
    #[getter]
    fn num_batches(&self) -> usize {
        self.table.num_batches()
    }

    /// Its size in the store, in bytes.
    #[getter]
    fn nbytes(&self) -> u64 {
        self.table.nbytes()
    }

    /// The user metadata that it was put with.
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.info().metadata)
    }

    /// What the store knew of it when it was got.
    #[getter(info)]
    fn py_info(&self) -> Info {
        Info::new(self.info().clone())
    }

    /// Where the object's bytes lie in this process.
    #[getter]
    fn _address(&self) -> usize {
        self.table.object().as_bytes().as_ptr() as usize
    }

    /// Whether they are the store's own memory; a tiny object came in a message.
    #[getter]
    fn _mapped(&self) -> bool {
        self.table.mapped_range().is_some()
    }

    fn __len__(&self) -> usize {
        usize::try_from(self.table.num_rows()).unwrap_or(usize::MAX)
    }

    fn __bool__(&self) -> bool {
        true
    }

    /// As a `pyarrow.Table`, without a copy.
    ///
    /// >>> import pyarrow as pa
    /// >>> info = store.put("trades", pa.table({"price": [1.5, 2.5]}))
    /// >>> store.get("trades").to_arrow()["price"].to_pylist()
    /// [1.5, 2.5]
    fn to_arrow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let pyarrow = slf.py().import("pyarrow")?;
        let readers = pyarrow.getattr("RecordBatchReader")?;
        if readers.hasattr("from_stream")? {
            // Not `pyarrow.table`, which imports pandas to see whether this is one of its frames.
            return readers.call_method1("from_stream", (slf,))?.call_method0("read_all");
        }
        // Before version 15: by the stream's address. The capsule must outlive the call.
        let stream = Self::__arrow_c_stream__(slf, None)?;
        let address = capsule::stream_address(&stream)?;
        readers.call_method1("_import_from_c", (address,))?.call_method0("read_all")
    }

    /// As a `pandas.DataFrame`. Options are those of `pyarrow.Table.to_pandas`.
    ///
    /// >>> import pyarrow as pa
    /// >>> info = store.put("trades", pa.table({"price": [1.5, 2.5]}))
    /// >>> float(store.get("trades").to_pandas()["price"].sum())
    /// 4.0
    #[pyo3(signature = (**options))]
    fn to_pandas<'py>(
        slf: &Bound<'py, Self>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let table = Self::to_arrow(slf)?;
        // Blocks of many columns would be copies.
        let with = PyDict::new(slf.py());
        with.set_item("split_blocks", true)?;
        if let Some(options) = options {
            with.update(options.as_mapping())?;
        }
        table.call_method("to_pandas", (), Some(&with))
    }

    /// As a `polars.DataFrame`, without a copy.
    ///
    /// >>> import pyarrow as pa
    /// >>> info = store.put("trades", pa.table({"price": [1.5, 2.5]}))
    /// >>> store.get("trades").to_polars()["price"].sum()
    /// 4.0
    fn to_polars<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("polars")?.call_method1("DataFrame", (slf,))
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        slf: &Bound<'py, Self>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // A request is a wish. Another type would be a copy: that is for the consumer to make.
        let _ = requested_schema;
        let reader = Reader { table: slf.get().table.clone(), next: 0 };
        capsule::stream_capsule(slf.py(), Box::new(reader))
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        capsule::schema_capsule(py, self.table.schema())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Table({}; {})", self.title(py)?, schema::columns(self.table.schema())))
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let title = self.title(py)?;
        detached(py, || preview::html(&self.table, &title))
    }

    /// A table is pickled as a reference to this very object.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Reference<'py>)> {
        let info = self.info();
        let again = py.import("sheaf._refs")?.getattr("table_again")?;
        let name = name_of(py, &info.name);
        Ok((again, (self.url.to_string(), name, info.sealed_ms, info.bytes)))
    }
}

/// URL, name, when it was sealed, bytes.
type Reference<'py> = (String, Bound<'py, PyAny>, u64, u64);

/// A table's batches, one after the other.
struct Reader {
    table: sheaf_store::Table,
    next: usize,
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.table.num_batches() {
            return None;
        }
        self.next += 1;
        let batch = self.table.batch(self.next - 1);
        Some(batch.map_err(|error| ArrowError::ExternalError(Box::new(error))))
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        self.table.schema().clone()
    }
}
