//! A sort as Python asks for it: what by, how, and whom to tell.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::Path;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};
use sheaf_sort::{NanOrder, Progress, SortKey, SortOptions, Spill};
use sheaf_store::{Client, Error, PutOptions, Table};

use crate::interrupt;

/// A sort that is about to begin.
pub(crate) struct Sort {
    pub(crate) by: Vec<SortKey>,
    pub(crate) threads: usize,
    pub(crate) nan: NanOrder,
    pub(crate) progress: Option<Py<PyAny>>,
}

thread_local! {
    /// What the callback raised in the sort of this thread.
    static RAISED: Cell<Option<PyErr>> = const { Cell::new(None) };
}

impl Sort {
    /// Sorts the table of this name.
    pub(crate) fn run(
        &self,
        store: &Client,
        name: &[u8],
        into: Option<&[u8]>,
        put: &PutOptions,
    ) -> Result<Table, Error> {
        let table = store.get(name)?.table()?;
        // By the calling thread alone: signals and what is raised are that thread's.
        let tell = |progress| self.tell(progress);
        let options = SortOptions { threads: self.threads, nan: self.nan, progress: Some(&tell) };
        match into {
            None => sheaf_sort::sort_unnamed(store, &table, &self.by, &options),
            Some(into) => {
                sheaf_sort::sort(store, &table, &self.by, into, put, &options)?;
                store.get(into)?.table()
            }
        }
    }

    /// Sorts the table of this name into a file.
    pub(crate) fn run_to_file(
        &self,
        store: &Client,
        name: &[u8],
        path: &Path,
        spill: &Spill,
    ) -> Result<u64, Error> {
        let table = store.get(name)?.table()?;
        let tell = |progress| self.tell(progress);
        let options = SortOptions { threads: self.threads, nan: self.nan, progress: Some(&tell) };
        sheaf_sort::sort_to_file(&table, &self.by, path, spill, &options)
    }

    fn tell(&self, progress: Progress) -> ControlFlow<()> {
        if interrupt::asked() {
            return ControlFlow::Break(());
        }
        let Some(callback) = &self.progress else { return ControlFlow::Continue(()) };
        let Progress { stage, rows, total } = progress;
        let called = Python::attach(|py| callback.call1(py, (stage.name(), rows, total)).map(drop));
        match called {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                RAISED.set(Some(error));
                ControlFlow::Break(())
            }
        }
    }

    /// Raises what the callback raised.
    pub(crate) fn raise(&self) -> PyResult<()> {
        RAISED.take().map_or(Ok(()), Err)
    }
}

/// The keys: one column or a list of them.
pub(crate) fn keys(by: &Bound<'_, PyAny>) -> PyResult<Vec<SortKey>> {
    match by.cast::<PyList>() {
        Ok(list) => list.iter().map(|key| key_of(&key)).collect(),
        Err(_) => Ok(vec![key_of(by)?]),
    }
}

/// A name, or a tuple of a name and words.
fn key_of(key: &Bound<'_, PyAny>) -> PyResult<SortKey> {
    if let Ok(name) = key.cast::<PyString>() {
        return Ok(SortKey::new(name.to_cow()?));
    }
    let Ok(tuple) = key.cast::<PyTuple>() else {
        let kind = key.get_type().name()?;
        let message = format!("a key is a column's name, or a tuple of it and words, not {kind}");
        return Err(PyTypeError::new_err(message));
    };
    let mut parts = texts(tuple)?.into_iter();
    let mut key = SortKey::new(parts.next().unwrap_or_default());
    for word in parts {
        if !key.understand(&word) {
            let message =
                format!("{word} says nothing of a key: asc, desc, nulls_first and nulls_last do");
            return Err(PyValueError::new_err(message));
        }
    }
    Ok(key)
}

fn texts(tuple: &Bound<'_, PyTuple>) -> PyResult<Vec<String>> {
    tuple.iter().map(|part| part.extract::<String>()).collect()
}

/// Where NaN stands.
pub(crate) fn nan(word: &str) -> PyResult<NanOrder> {
    match word {
        "greatest" => Ok(NanOrder::Greatest),
        "smallest" => Ok(NanOrder::Smallest),
        _ => Err(PyValueError::new_err(format!("nan is greatest or smallest, not {word}"))),
    }
}
