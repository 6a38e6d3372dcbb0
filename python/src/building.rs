//! Tables built in place: columns are numpy arrays that are the shared memory.

use std::sync::Arc;

use arrow_schema::{DataType, SchemaRef};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use sheaf_store::TableBuilder;

use crate::args::count;
use crate::buffer::{self, Shown};
use crate::errors::{detached, raise_invalid};
use crate::held::Held;
use crate::info::Info;
use crate::schema::Schema;
use crate::{dtype, numpy};

/// Where bytes of the draft lie.
#[derive(Clone, Copy)]
struct Place {
    start: usize,
    len: usize,
}

impl Place {
    fn of(bytes: &mut [u8]) -> Self {
        Self { start: bytes.as_mut_ptr().expose_provenance(), len: bytes.len() }
    }
}

struct Column {
    values: Place,
    validity: Option<Place>,
}

/// A table of fixed-width columns that is filled in place; sealed when its `with` ends, aborted on
/// an exception. Made by `Store.build`.
///
/// >>> import numpy as np
/// >>> with store.build("prices", {"k": "int64", "up": "bool"}, rows=3) as prices:
/// ...     np.multiply(np.arange(3), 10, out=prices["k"])
/// ...     prices["up"] = [True, False, True]
/// array([ 0, 10, 20])
/// >>> prices
/// Builder('prices', 3 rows, ended; k: int64, up: bool)
/// >>> store.get("prices").to_arrow()["k"].to_pylist()
/// [0, 10, 20]
#[pyclass(name = "Builder", module = "sheaf", frozen)]
pub(crate) struct Builder {
    held: Arc<Held<TableBuilder>>,
    columns: Vec<Column>,
    schema: SchemaRef,
    name: String,
    rows: usize,
}

impl Builder {
    pub(crate) fn new(mut table: TableBuilder, name: String, rows: usize) -> Self {
        let schema = table.schema().clone();
        let columns = (0..schema.fields().len())
            .map(|index| Column {
                values: Place::of(table.values_mut(index)),
                validity: table.validity_mut(index).map(Place::of),
            })
            .collect();
        Self { held: Arc::new(Held::new(table)), columns, schema, name, rows }
    }

    fn column(&self, name: &str) -> PyResult<(&Column, &DataType)> {
        let Some((index, field)) = self.schema.column_with_name(name) else {
            let names: Vec<_> = self.schema.fields().iter().map(|field| field.name()).collect();
            let message = format!("no column {name:?}; there are {names:?}");
            return Err(PyKeyError::new_err(message));
        };
        Ok((&self.columns[index], field.data_type()))
    }

    fn shown(&self, place: Place) -> Shown {
        let start = std::ptr::with_exposed_provenance_mut(place.start);
        // SAFETY: the draft's memory does not move while it is open, and `Held` keeps it at its
        // addresses after that, as long as somebody looks.
        unsafe { Shown::writable(self.held.clone(), start, place.len) }
    }
}

#[pymethods]
impl Builder {
    /// A column's values as a writable numpy array.
    fn __getitem__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let (column, data_type) = self.column(name)?;
        let Some((word, width)) = dtype::numpy(data_type) else {
            let message = format!("column {name} is {data_type}: numpy has no such type");
            return Err(raise_invalid(py, message));
        };
        numpy::array(py, self.shown(column.values), &word, width)
    }

    /// Copies an array, or one value, into a column; booleans are packed into bits.
    fn __setitem__(&self, py: Python<'_>, name: &str, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let column = self.__getitem__(py, name)?;
        let numpy = py.import("numpy")?;
        let packed = if *self.column(name)?.1 == DataType::Boolean {
            let bits = numpy.call_method1("broadcast_to", (data, self.rows))?;
            let bits = numpy.call_method1("asarray", (bits, "bool"))?;
            let little = [("bitorder", "little")];
            let little = pyo3::types::IntoPyDict::into_py_dict(little, py)?;
            numpy.call_method("packbits", (bits,), Some(&little))?
        } else {
            data.clone()
        };
        column.set_item(py.Ellipsis(), packed)
    }

    /// A column's values as a writable `memoryview` of bytes.
    ///
    /// >>> with store.build("prices", {"k": "int64"}, rows=2) as prices:
    /// ...     prices.values("k").cast("q")[1] = 7
    /// >>> store.get("prices").to_arrow()["k"].to_pylist()
    /// [0, 7]
    fn values<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        buffer::memoryview(py, self.shown(self.column(name)?.0.values))
    }

    /// The bitmap that says which rows are not null, least significant bit first, as a writable
    /// numpy array of `uint8`; `None` for a column without nulls. All rows are valid at first.
    ///
    /// >>> with store.build("prices", {"k": "int64?"}, rows=2) as prices:
    /// ...     prices.validity("k")[0] = 0b10
    /// >>> store.get("prices").to_arrow()["k"].to_pylist()
    /// [None, 0]
    fn validity<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let validity = self.column(name)?.0.validity;
        validity.map(|place| numpy::array(py, self.shown(place), "uint8", None)).transpose()
    }

    /// Seals the table: every process may now read it. Arrays that still live become private.
    ///
    /// >>> store.build("prices", {"k": "int64"}, rows=2).seal().num_rows
    /// 2
    fn seal(&self, py: Python<'_>) -> PyResult<Info> {
        detached(py, || self.held.seal()).map(Info::new)
    }

    /// Ends the table unsealed: nobody gets it, and who waits for it learns so at once.
    ///
    /// >>> store.build("prices", {"k": "int64"}, rows=2).abort()
    /// >>> store.list()
    /// []
    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || self.held.abort())
    }

    /// The names and types of its columns.
    #[getter]
    fn schema(&self) -> Schema {
        Schema::new(self.schema.clone())
    }

    /// Rows.
    #[getter]
    fn num_rows(&self) -> usize {
        self.rows
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
        if !self.held.is_open() {
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
        let state = if self.held.is_open() { "open" } else { "ended" };
        let columns = crate::schema::columns(&self.schema);
        let rows = count(self.rows as u64, "row");
        format!("Builder({}, {rows}, {state}; {columns})", self.name)
    }
}
