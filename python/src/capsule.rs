//! Arrow data in and out of Python by the PyCapsule interface: pointers change hands, no bytes do.
//!
//! ```text
//! in:   __arrow_c_stream__, else __arrow_c_array__, else pyarrow's own way before version 14
//! out:  stream and schema capsules, whose destructors release what nobody has taken
//! ```
//!
//! A stream is read with the interpreter free: its producer may need it in another thread.

use std::ffi::CStr;
use std::sync::Arc;

use arrow_array::ffi::from_ffi_and_data_type;
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{Array, RecordBatch, RecordBatchOptions, RecordBatchReader, StructArray};
use arrow_array::{ffi::FFI_ArrowArray, make_array};
use arrow_schema::ffi::FFI_ArrowSchema;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};
use sheaf_store::Error;

use crate::buffer::Borrowed as Bytes;
use crate::errors::{invalid, raise_invalid};

const STREAM: &CStr = c"arrow_array_stream";
const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";

/// A capsule with a stream of the reader's batches.
pub(crate) fn stream_capsule(
    py: Python<'_>,
    reader: Box<dyn RecordBatchReader + Send>,
) -> PyResult<Bound<'_, PyCapsule>> {
    PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(reader), STREAM)
}

/// A capsule with a schema.
pub(crate) fn schema_capsule<'py>(
    py: Python<'py>,
    schema: &Schema,
) -> PyResult<Bound<'py, PyCapsule>> {
    let schema = FFI_ArrowSchema::try_from(schema);
    let schema = schema.map_err(|error| raise_invalid(py, error.to_string()))?;
    PyCapsule::new_with_value(py, schema, SCHEMA)
}

/// The address of what is in a stream capsule, for importers older than capsules.
pub(crate) fn stream_address(capsule: &Bound<'_, PyCapsule>) -> PyResult<usize> {
    Ok(capsule.pointer_checked(Some(STREAM))?.as_ptr() as usize)
}

/// The batches that a Python object hands over.
pub(crate) fn batches(object: &Bound<'_, PyAny>) -> PyResult<Batches> {
    let py = object.py();
    let imported = if object.hasattr("__arrow_c_stream__")? {
        Batches::of_stream(take_stream(&object.call_method0("__arrow_c_stream__")?)?)
    } else if object.hasattr("__arrow_c_array__")? {
        let pair = object.call_method0("__arrow_c_array__")?;
        let pair = pair.cast::<PyTuple>()?;
        let schema = take_schema(&pair.get_item(0)?)?;
        Batches::of_array(&schema, take_array(&pair.get_item(1)?)?)
    } else if let Some(stream) = old_pyarrow_stream(object)? {
        Batches::of_stream(stream)
    } else {
        return Err(not_a_table(object)?);
    };
    imported.map_err(|error| crate::errors::raise(py, &error))
}

/// The schema that a Python object hands over, if it has one to hand over.
pub(crate) fn schema(object: &Bound<'_, PyAny>) -> PyResult<Option<FFI_ArrowSchema>> {
    if object.hasattr("__arrow_c_schema__")? {
        return take_schema(&object.call_method0("__arrow_c_schema__")?).map(Some);
    }
    if is_of_pyarrow(object) && object.hasattr("_export_to_c")? {
        let mut schema = FFI_ArrowSchema::empty();
        object.call_method1("_export_to_c", (&raw mut schema as usize,))?;
        return Ok(Some(schema));
    }
    Ok(None)
}

fn not_a_table(object: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let kind = object.get_type().name()?;
    let way_out = if Bytes::of(object).is_ok() {
        "put opaque bytes with put_bytes, or write them in place with create"
    } else {
        "it has neither __arrow_c_stream__ nor __arrow_c_array__; pyarrow.table, polars.DataFrame \
         and pandas.DataFrame have"
    };
    Ok(PyTypeError::new_err(format!("{kind} is not an Arrow table: {way_out}")))
}

fn take_stream(capsule: &Bound<'_, PyAny>) -> PyResult<FFI_ArrowArrayStream> {
    let pointer = capsule.cast::<PyCapsule>()?.pointer_checked(Some(STREAM))?;
    // SAFETY: a capsule of this name holds a stream, which is moved out: what stays behind is
    // marked as released.
    Ok(unsafe { FFI_ArrowArrayStream::from_raw(pointer.cast().as_ptr()) })
}

fn take_schema(capsule: &Bound<'_, PyAny>) -> PyResult<FFI_ArrowSchema> {
    let pointer = capsule.cast::<PyCapsule>()?.pointer_checked(Some(SCHEMA))?;
    // SAFETY: as in `take_stream`.
    Ok(unsafe { FFI_ArrowSchema::from_raw(pointer.cast().as_ptr()) })
}

fn take_array(capsule: &Bound<'_, PyAny>) -> PyResult<FFI_ArrowArray> {
    let pointer = capsule.cast::<PyCapsule>()?.pointer_checked(Some(ARRAY))?;
    // SAFETY: as in `take_stream`.
    Ok(unsafe { FFI_ArrowArray::from_raw(pointer.cast().as_ptr()) })
}

/// What pyarrow before version 14 has instead of capsules.
fn old_pyarrow_stream(object: &Bound<'_, PyAny>) -> PyResult<Option<FFI_ArrowArrayStream>> {
    if !is_of_pyarrow(object) {
        return Ok(None);
    }
    let pyarrow = object.py().import("pyarrow")?;
    let reader = if object.hasattr("to_reader")? {
        object.call_method0("to_reader")?
    } else if object.is_instance(&pyarrow.getattr("RecordBatch")?)? {
        let table = pyarrow.getattr("Table")?.call_method1("from_batches", ((object,),))?;
        table.call_method0("to_reader")?
    } else if object.is_instance(&pyarrow.getattr("RecordBatchReader")?)? {
        object.clone()
    } else {
        return Ok(None);
    };
    let mut stream = FFI_ArrowArrayStream::empty();
    reader.call_method1("_export_to_c", (&raw mut stream as usize,))?;
    Ok(Some(stream))
}

fn is_of_pyarrow(object: &Bound<'_, PyAny>) -> bool {
    let module = object.get_type().module();
    module.is_ok_and(|module| module.to_cow().is_ok_and(|name| name.starts_with("pyarrow")))
}

/// Batches that a producer hands over one by one.
pub(crate) struct Batches {
    schema: SchemaRef,
    /// What the producer calls its arrays: batches, or columns of their own.
    data_type: DataType,
    source: Source,
}

enum Source {
    Stream(FFI_ArrowArrayStream),
    Array(Option<FFI_ArrowArray>),
}

impl Batches {
    fn of_stream(mut stream: FFI_ArrowArrayStream) -> Result<Self, Error> {
        let (Some(get_schema), Some(_)) = (stream.get_schema, stream.release) else {
            return Err(invalid("the Arrow stream has been read already: hand over a fresh one"));
        };
        let mut schema = FFI_ArrowSchema::empty();
        // SAFETY: the stream is not released, and `schema` is ours to be filled.
        let told = unsafe { get_schema(&raw mut stream, &raw mut schema) };
        if told != 0 {
            return Err(producer_error(&mut stream, told));
        }
        Self::new(&schema, Source::Stream(stream))
    }

    fn of_array(schema: &FFI_ArrowSchema, array: FFI_ArrowArray) -> Result<Self, Error> {
        Self::new(schema, Source::Array(Some(array)))
    }

    fn new(schema: &FFI_ArrowSchema, source: Source) -> Result<Self, Error> {
        let (schema, data_type) = table_schema(schema)?;
        Ok(Self { schema, data_type, source })
    }

    /// The schema of all batches.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn next_array(&mut self) -> Result<Option<FFI_ArrowArray>, Error> {
        match &mut self.source {
            Source::Array(array) => Ok(array.take()),
            Source::Stream(stream) => {
                let mut array = FFI_ArrowArray::empty();
                let Some(get_next) = stream.get_next else { return Ok(None) };
                // SAFETY: the stream is not released, and `array` is ours to be filled.
                let told = unsafe { get_next(stream, &raw mut array) };
                match told {
                    0 => Ok((!array.is_released()).then_some(array)),
                    _ => Err(producer_error(stream, told)),
                }
            }
        }
    }

    fn batch(&self, array: FFI_ArrowArray) -> Result<RecordBatch, Error> {
        // SAFETY: the producer answers for the array being of the type that it said.
        let data = unsafe { from_ffi_and_data_type(array, self.data_type.clone()) };
        let data = data.map_err(|error| invalid(error.to_string()))?;
        let rows = data.len();
        let columns = if matches!(self.data_type, DataType::Struct(_)) {
            let rows = StructArray::from(data);
            if rows.null_count() > 0 {
                return Err(invalid(format!(
                    "{} whole rows are null, which a table cannot say: fill or drop them",
                    rows.null_count()
                )));
            }
            rows.into_parts().1
        } else {
            vec![make_array(data)]
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| invalid(error.to_string()))
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_array() {
            Ok(array) => array.map(|array| self.batch(array)),
            Err(error) => Some(Err(error)),
        }
    }
}

/// The schema of a table; an array that is no table becomes one of one column.
fn table_schema(schema: &FFI_ArrowSchema) -> Result<(SchemaRef, DataType), Error> {
    let refuse = |error: arrow_schema::ArrowError| invalid(error.to_string());
    if schema.format() == "+s" {
        let schema = Schema::try_from(schema).map_err(refuse)?;
        let data_type = DataType::Struct(schema.fields().clone());
        return Ok((Arc::new(schema), data_type));
    }
    let field = Field::try_from(schema).map_err(refuse)?;
    let data_type = field.data_type().clone();
    let name = if field.name().is_empty() { "value" } else { field.name() }.to_owned();
    let field = field.with_name(name).with_nullable(true);
    Ok((Arc::new(Schema::new(vec![field])), data_type))
}

/// What the producer says went wrong.
fn producer_error(stream: &mut FFI_ArrowArrayStream, errno: i32) -> Error {
    let said = stream.get_last_error.and_then(|get| {
        // SAFETY: the stream is not released; it keeps the text until it is called again.
        let text = unsafe { get(stream) };
        // SAFETY: null, or a text that ends with a zero.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    });
    let said = said.unwrap_or_else(|| std::io::Error::from_raw_os_error(errno).to_string());
    invalid(format!("the producer of the Arrow stream failed: {said}"))
}
