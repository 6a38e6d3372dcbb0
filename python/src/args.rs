//! What calls are given: names, time limits, metadata.

use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMapping, PyString};
use sheaf_flight::{AnyDoor, FarTls};
use sheaf_store::{Client, Error, Name, PutOptions};

use crate::buffer::Borrowed as Bytes;
use crate::errors::{invalid, raise, raise_invalid};

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

/// What encrypted connections go by: the path of the authority's certificate, or a dict of paths
/// with `ca`, `cert` and `key`, and the `server_name` that the server's certificate must have.
pub(crate) fn tls(given: &Bound<'_, PyAny>) -> PyResult<FarTls> {
    let Ok(parts) = given.cast::<PyDict>() else {
        return Ok(FarTls { ca: Some(given.extract()?), ..FarTls::default() });
    };
    let mut tls = FarTls::default();
    let (mut certificate, mut key) = (None, None);
    for (part, value) in parts {
        match part.extract::<String>()?.as_str() {
            "ca" => tls.ca = Some(value.extract()?),
            "cert" => certificate = Some(value.extract()?),
            "key" => key = Some(value.extract()?),
            "server_name" => tls.server_name = Some(value.extract()?),
            other => {
                let message = format!("tls has no {other}: give ca, cert, key, server_name");
                return Err(PyTypeError::new_err(message));
            }
        }
    }
    if certificate.is_some() != key.is_some() {
        return Err(PyTypeError::new_err("tls has cert and key together, or neither"));
    }
    tls.identity = certificate.zip(key);
    Ok(tls)
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
    Ok(PutOptions { replace, droppable, metadata, wait: limit(py, wait)?, ..Default::default() })
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

/// The name as Python shows it.
///
/// # Errors
/// `Invalid` if it is none.
pub(crate) fn printed(py: Python<'_>, name: &NameArg) -> PyResult<String> {
    let name = Name::new(name).map_err(|error| raise(py, &error))?;
    name_repr(py, &name)
}

/// Their bytes.
pub(crate) fn slices(names: &[NameArg]) -> Vec<&[u8]> {
    names.iter().map(AsRef::as_ref).collect()
}

/// Names from any iterable but a string, which is one name and surely a slip.
pub(crate) fn names_of(names: &Bound<'_, PyAny>) -> PyResult<Vec<NameArg>> {
    if names.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("get_many takes a list of names; get takes one name"));
    }
    names.try_iter()?.map(|name| name?.extract()).collect()
}

/// A URL that means the same in every folder.
pub(crate) fn absolute(url: String) -> String {
    let path = url.strip_prefix("unix://").or_else(|| url.strip_prefix("unix:")).unwrap_or(&url);
    if path.is_empty() || path.contains("://") {
        return url;
    }
    match std::path::absolute(path) {
        Ok(path) => format!("unix:{}", path.display()),
        Err(_) => url,
    }
}

/// The near door, for what only shared memory can do.
pub(crate) fn near<'a>(door: &'a AnyDoor, what: &str) -> Result<&'a Client, Error> {
    door.near().ok_or_else(|| {
        let url = door.url();
        invalid(format!(
            "{what} needs a store on this machine, and {url} is reached by Flight: put, or write \
             batch by batch with writer"
        ))
    })
}
