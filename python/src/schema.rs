//! Schemas: what a table's columns are called and made of.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{Field, SchemaRef};
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyMapping, PyString};

use crate::errors::{raise, raise_invalid};
use crate::{capsule, dtype, pickled};

/// The names and types of a table's columns, from a dict or from whatever has
/// `__arrow_c_schema__`.
///
/// >>> schema = sheaf.Schema({"k": "int64", "v": "float64?"})
/// >>> schema
/// Schema(k: int64, v: float64?)
/// >>> schema["v"], "k" in schema, list(schema)
/// ('float64', True, ['k', 'v'])
#[pyclass(name = "Schema", module = "sheaf", frozen, eq)]
#[derive(PartialEq)]
pub(crate) struct Schema(SchemaRef);

impl Schema {
    pub(crate) fn new(schema: SchemaRef) -> Self {
        Self(schema)
    }
}

#[pymethods]
impl Schema {
    #[new]
    fn make(columns: &Bound<'_, PyAny>) -> PyResult<Self> {
        of(columns).map(Self)
    }

    /// The columns' names, in order.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.0.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// The columns' types as words, in order.
    #[getter]
    fn types(&self) -> Vec<String> {
        self.0.fields().iter().map(|field| dtype::name(field.data_type())).collect()
    }

    /// The schema's own metadata.
    #[getter]
    fn metadata(&self) -> HashMap<String, String> {
        self.0.metadata().clone()
    }

    /// The type of a column.
    fn __getitem__(&self, name: &str) -> PyResult<String> {
        let field = self.0.field_with_name(name);
        field
            .map(|field| dtype::name(field.data_type()))
            .map_err(|_| PyKeyError::new_err(name.to_owned()))
    }

    fn __contains__(&self, name: &str) -> bool {
        self.0.field_with_name(name).is_ok()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.names().into_pyobject(py)?.call_method0("__iter__")
    }

    fn __len__(&self) -> usize {
        self.0.fields().len()
    }

    /// As a `pyarrow.Schema`.
    ///
    /// >>> sheaf.Schema({"v": "float64?"}).to_arrow().field("v").nullable
    /// True
    fn to_arrow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("pyarrow")?.call_method1("schema", (slf,))
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        capsule::schema_capsule(py, &self.0)
    }

    fn __repr__(&self) -> String {
        format!("Schema({})", columns(&self.0))
    }

    /// A schema is pickled whole.
    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let again = py.import("sheaf._refs")?.getattr("schema_again")?;
        let file = pickled::schema_file(&self.0).map_err(|error| raise(py, &error))?;
        Ok((again, (PyBytes::new(py, &file),)))
    }

    /// What was pickled.
    #[staticmethod]
    fn _of_file(py: Python<'_>, file: &[u8]) -> PyResult<Self> {
        pickled::schema_of_file(file).map(Self).map_err(|error| raise(py, &error))
    }
}

/// The most columns that a `repr` shows.
const SHOWN: usize = 20;

/// `k: int64, v: float64?`: nullable columns end in a question mark.
pub(crate) fn columns(schema: &SchemaRef) -> String {
    let fields = schema.fields();
    let shown = fields.iter().take(SHOWN);
    let mut words: Vec<_> =
        shown.map(|field| format!("{}: {}", field.name(), word(field))).collect();
    if fields.len() > SHOWN {
        words.push(format!("and {} more", fields.len() - SHOWN));
    }
    words.join(", ")
}

fn word(field: &Arc<Field>) -> String {
    let nullable = if field.is_nullable() { "?" } else { "" };
    format!("{}{nullable}", dtype::name(field.data_type()))
}

/// The schema that a Python object describes: whatever has `__arrow_c_schema__`, or a mapping from
/// names to types.
pub(crate) fn of(given: &Bound<'_, PyAny>) -> PyResult<SchemaRef> {
    let py = given.py();
    if let Ok(mapping) = given.cast::<PyMapping>() {
        let mut fields = Vec::new();
        for pair in mapping.items()?.iter() {
            let (name, kind): (String, Bound<'_, PyAny>) = pair.extract()?;
            fields.push(field_of(name, &kind)?);
        }
        return Ok(Arc::new(arrow_schema::Schema::new(fields)));
    }
    match capsule::schema(given)? {
        Some(schema) => arrow_schema::Schema::try_from(&schema)
            .map(Arc::new)
            .map_err(|error| raise_invalid(py, error.to_string())),
        None => {
            let kind = given.get_type().name()?;
            Err(PyTypeError::new_err(format!(
                "a schema is a dict of names and types, or has __arrow_c_schema__; {kind} is not"
            )))
        }
    }
}

/// A column: its type as a word (`?` behind it: nullable), as an Arrow type, or as numpy's.
fn field_of(name: String, kind: &Bound<'_, PyAny>) -> PyResult<Field> {
    if let Ok(word) = kind.cast::<PyString>() {
        return parse(kind.py(), name, &word.to_cow()?);
    }
    if let Some(schema) = capsule::schema(kind)? {
        let field = Field::try_from(&schema);
        let field = field.map_err(|error| raise_invalid(kind.py(), error.to_string()))?;
        return Ok(field.with_name(name));
    }
    // numpy.dtype has `name`, and numpy.int64, float and int have `__name__`.
    let word = kind.getattr("name").or_else(|_| kind.getattr("__name__"))?;
    let word = word.cast::<PyString>()?.to_cow()?.into_owned();
    match word.as_str() {
        "int" => parse(kind.py(), name, "int64"),
        "float" => parse(kind.py(), name, "float64"),
        word => parse(kind.py(), name, word),
    }
}

fn parse(py: Python<'_>, name: String, word: &str) -> PyResult<Field> {
    let (word, nullable) = match word.strip_suffix('?') {
        Some(word) => (word, true),
        None => (word, false),
    };
    match dtype::parse(word) {
        Some(kind) => Ok(Field::new(name, kind, nullable)),
        None => Err(raise_invalid(
            py,
            format!(
                "column {name}: no type is called {word:?}; give int64, float64, bool, date32, \
                 timestamp[ns], string and so on, a pyarrow type, or a numpy one"
            ),
        )),
    }
}
