//! What `sheaf.plasma` asks of a store, in one step each: it creates, puts and gets small objects
//! by the hundred thousand.
//!
//! Everything is droppable, since Plasma drops what nobody uses when it is full. What these calls
//! mean in Plasma's words is decided in Python.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sheaf_flight::AnyDoor;
use sheaf_store::{Error, Kind, Object, PutOptions};

use crate::args::{NameArg, limit, names_of, slices};
use crate::buffer::{self, Borrowed as Bytes, Shown};
use crate::draft::DraftCore;
use crate::errors::raise;
use crate::store::Store;

/// A store, as a `PlasmaClient` uses it.
#[pyclass(name = "PlasmaCore", module = "sheaf._sheaf", frozen)]
pub(crate) struct PlasmaCore(Py<Store>);

#[pymethods]
impl PlasmaCore {
    #[new]
    fn of(store: Py<Store>) -> Self {
        Self(store)
    }

    /// A draft of this size, and its memory.
    fn create<'py>(
        &self,
        py: Python<'py>,
        name: NameArg,
        nbytes: u64,
        metadata: &[u8],
        wait: Option<f64>,
    ) -> PyResult<(DraftCore, Bound<'py, PyAny>)> {
        let draft = self.0.get().draft(py, name, nbytes, &options(py, metadata, wait)?)?;
        let view = draft.view(py)?;
        Ok((draft, view))
    }

    /// Puts the bytes of whatever has a buffer.
    fn put(
        &self,
        py: Python<'_>,
        name: NameArg,
        data: &Bound<'_, PyAny>,
        metadata: &[u8],
        wait: Option<f64>,
    ) -> PyResult<()> {
        let options = options(py, metadata, wait)?;
        let data = Bytes::of(data)?;
        let put = |store: &AnyDoor| store.put_bytes(name.as_ref(), data.as_slice(), &options);
        self.0.get().ask(py, put).map(|_| ())
    }

    /// Views and user metadata of several objects; `None` for what did not come in time, or whose
    /// writer is gone.
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        names: &Bound<'py, PyAny>,
        timeout: f64,
    ) -> PyResult<Vec<Option<Viewed<'py>>>> {
        let names = names_of(names)?;
        let limit = limit(py, Some(timeout))?;
        let objects = self.0.get().ask(py, |client| client.get_many(&slices(&names), limit))?;
        objects.into_iter().map(|object| viewed(py, object)).collect()
    }
}

fn options(py: Python<'_>, metadata: &[u8], wait: Option<f64>) -> PyResult<PutOptions> {
    let (wait, metadata) = (limit(py, wait)?, metadata.to_vec());
    Ok(PutOptions { droppable: true, metadata, wait, ..PutOptions::default() })
}

/// A view of an object's bytes, and its user metadata.
type Viewed<'py> = (Bound<'py, PyAny>, Bound<'py, PyBytes>);

fn viewed(py: Python<'_>, object: Result<Object, Error>) -> PyResult<Option<Viewed<'_>>> {
    match object {
        Ok(object) => {
            let metadata = PyBytes::new(py, &object.info().metadata);
            Ok(Some((buffer::memoryview(py, Shown::object(object))?, metadata)))
        }
        Err(error) => match error.kind() {
            Kind::NotFound | Kind::Timeout | Kind::WriterGone => Ok(None),
            _ => Err(raise(py, &error)),
        },
    }
}
