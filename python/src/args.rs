//! What calls are given: names, time limits, metadata.

use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMapping, PyString};
use sheaf_store::{Name, PutOptions};

use crate::buffer::Borrowed as Bytes;
use crate::errors::raise_invalid;

/// The name of an object, or the beginning of names: text, or the bytes themselves.
pub(crate) struct NameArg(Vec<u8>);

impl<'a, 'py> FromPyObject<'a, 'py> for NameArg {
    type Error = PyErr;

    fn extract(given: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = given.cast::<PyString>() {
            return Ok(Self(text.to_cow()?.as_bytes().to_vec()));
        }
        if let Ok(bytes) = given.cast::<PyBytes>() {
            return Ok(Self(bytes.as_bytes().to_vec()));
        }
        let kind = given.get_type().name()?;
        Err(PyTypeError::new_err(format!("a name is str or bytes, not {kind}")))
    }
}

impl AsRef<[u8]> for NameArg {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A name as Python has it: text if it is any.
pub(crate) fn name_of<'py>(py: Python<'py>, name: &Name) -> Bound<'py, PyAny> {
    match std::str::from_utf8(name.as_bytes()) {
        Ok(text) => PyString::new(py, text).into_any(),
        Err(_) => PyBytes::new(py, name.as_bytes()).into_any(),
    }
}

/// A name as it is printed: as Python would write it.
pub(crate) fn name_repr(py: Python<'_>, name: &Name) -> PyResult<String> {
    Ok(name_of(py, name).repr()?.to_cow()?.into_owned())
}

/// So many of these, for people.
pub(crate) fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// A time limit in seconds; `None` is none at all, `float("inf")` is for ever.
pub(crate) fn limit(py: Python<'_>, seconds: Option<f64>) -> PyResult<Duration> {
    match seconds {
        None => Ok(Duration::ZERO),
        Some(seconds) if seconds >= 0.0 => {
            Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
        }
        Some(seconds) => Err(raise_invalid(
            py,
            format!("a time limit is 0 or more seconds; this one is {seconds}"),
        )),
    }
}

/// How to put, as the keywords of every put say.
pub(crate) fn options(
    py: Python<'_>,
    replace: bool,
    droppable: bool,
    wait: Option<f64>,
    metadata: Option<&Bound<'_, PyAny>>,
) -> PyResult<PutOptions> {
    let metadata = metadata.map(metadata_bytes).transpose()?.unwrap_or_default();
    Ok(PutOptions { replace, droppable, metadata, wait: limit(py, wait)? })
}

/// User metadata: bytes as they are, text as UTF-8, a mapping as a JSON object.
fn metadata_bytes(given: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if given.cast::<PyMapping>().is_ok() {
        let json = given.py().import("json")?;
        let text = json.call_method1("dumps", (py_dict(given)?,))?;
        return Ok(text.cast::<PyString>()?.to_cow()?.as_bytes().to_vec());
    }
    if let Ok(text) = given.cast::<PyString>() {
        return Ok(text.to_cow()?.as_bytes().to_vec());
    }
    match Bytes::of(given) {
        Ok(bytes) => Ok(bytes.as_slice().to_vec()),
        Err(_) => {
            let kind = given.get_type().name()?;
            Err(PyTypeError::new_err(format!("metadata is bytes, str or a dict, not {kind}")))
        }
    }
}

fn py_dict<'py>(given: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    given.py().get_type::<pyo3::types::PyDict>().call1((given,))
}
