//! The store: what a program calls.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use sheaf_flight::{AnyDoor, FarOptions, FarTls};
use sheaf_sort::Spill;
use sheaf_store::{ConnectOptions, Error, Kind, Name, Object, ObjectKind, PutOptions, State};

use crate::args::{NameArg, absolute, limit, names_of, near, options, printed, slices};
use crate::buffer::{self, Borrowed as Bytes, Shown};
use crate::building::Builder;
use crate::draft::DraftCore;
use crate::errors::{detached, invalid, raise};
use crate::info::Info;
use crate::sorting::Sort;
use crate::table::Table;
use crate::watch::Watch;
use crate::writer::Writer;
use crate::{capsule, draft, info, interrupt, schema, sorting};

/// A store, on this machine or reached by Flight; what `sheaf.connect` returns.
///
/// Blocking, and safe to share between threads; in a forked child it connects anew. Whoever gets an
/// object keeps it, whatever becomes of its name, this client or the store.
///
/// >>> store.put_bytes("greeting", b"hello")
/// Info('greeting': sealed bytes, 5 B)
/// >>> "greeting" in store
/// True
#[pyclass(name = "Store", module = "sheaf", frozen, subclass, weakref)]
pub(crate) struct Store {
    door: Mutex<Option<AnyDoor>>,
    /// Ends the waits of the threads that are in a call when it is closed.
    closed: Arc<AtomicBool>,
    url: Arc<str>,
}

impl Store {
    fn door(&self, py: Python<'_>) -> PyResult<AnyDoor> {
        let door = self.door.lock().unwrap_or_else(PoisonError::into_inner).clone();
        door.ok_or_else(|| self.is_closed(py))
    }

    fn is_closed(&self, py: Python<'_>) -> PyErr {
        raise(py, &invalid(format!("this store is closed: connect to {} again", self.url)))
    }

    /// Asks the store, with the interpreter free.
    pub(crate) fn ask<T: Send>(
        &self,
        py: Python<'_>,
        ask: impl FnOnce(&AnyDoor) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let door = self.door(py)?;
        let asked = py.detach(|| interrupt::until_closed(&self.closed, || ask(&door)));
        asked.map_err(|error| match error.kind() {
            Kind::Interrupted if self.closed.load(Ordering::Relaxed) => {
                interrupt::take().unwrap_or_else(|| self.is_closed(py))
            }
            _ => raise(py, &error),
        })
    }

    /// A draft of opaque bytes.
    pub(crate) fn draft(
        &self,
        py: Python<'_>,
        name: NameArg,
        nbytes: u64,
        options: &PutOptions,
    ) -> PyResult<DraftCore> {
        let name = Name::new(name).map_err(|error| raise(py, &error))?;
        let made = self.ask(py, |door| near(door, "create")?.create(&name, nbytes, options))?;
        Ok(DraftCore::new(made, name))
    }

    fn table(&self, object: &Object) -> Result<Table, Error> {
        if object.info().kind == ObjectKind::Bytes {
            let name = &object.info().name;
            let message = format!("object {name} is opaque bytes, not a table: read it with bytes");
            return Err(invalid(message));
        }
        Ok(Table::new(object.table()?, self.url.clone()))
    }
}

#[pymethods]
impl Store {
    #[new]
    #[pyo3(signature = (url=None, *, timeout=0.2, command=None, token=None, tls=None, near=true))]
    fn connect(
        py: Python<'_>,
        url: Option<String>,
        timeout: f64,
        command: Option<String>,
        token: Option<String>,
        tls: Option<&Bound<'_, PyAny>>,
        near: bool,
    ) -> PyResult<Self> {
        let url = absolute(url.unwrap_or_else(sheaf_store::default_url));
        let connect = ConnectOptions {
            timeout: limit(py, Some(timeout))?.min(Duration::from_secs(1 << 30)),
            command: command.unwrap_or_default(),
            interrupted: Some(interrupt::asked),
            ..ConnectOptions::default()
        };
        let tls = tls.map_or_else(|| Ok(FarTls::default()), crate::args::tls)?;
        let options = FarOptions { connect, token, tls, always_stream: !near };
        let door = detached(py, || sheaf_flight::connect(&url, &options))?;
        let url = door.url().into();
        Ok(Self { door: Mutex::new(Some(door)), closed: Arc::default(), url })
    }

    /// The store's URL.
    #[getter]
    fn url(&self) -> &str {
        &self.url
    }

    /// The path of the store's socket; empty where the store is reached by Flight.
    #[getter]
    fn socket(&self) -> &str {
        self.url.strip_prefix("unix:").unwrap_or_default()
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Puts a table: one copy, then every process can map it.
    ///
    /// `data` is whatever has `__arrow_c_stream__` or `__arrow_c_array__`: tables and batches of
    /// pyarrow, data frames of polars and pandas, relations of duckdb. `replace` replaces a sealed
    /// object of this name, atomically; a `droppable` one may be dropped for room while nobody
    /// holds it; `wait` is how many seconds to wait for room; `metadata` is bytes, text, or a dict,
    /// which is stored as JSON.
    ///
    /// >>> import pyarrow as pa
    /// >>> store.put("trades", pa.table({"k": [1, 2, 3]})).num_rows
    /// 3
    /// >>> store.put("trades", pa.table({"k": [4]}), replace=True, metadata={"by": "me"}).metadata
    /// b'{"by": "me"}'
    #[pyo3(signature = (
        name, data, *, replace=false, droppable=false, wait=None, metadata=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of a Python call")]
    fn put(
        &self,
        py: Python<'_>,
        name: NameArg,
        data: &Bound<'_, PyAny>,
        replace: bool,
        droppable: bool,
        wait: Option<f64>,
        metadata: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Info> {
        let options = options(py, replace, droppable, wait, metadata)?;
        let batches = capsule::batches(data)?;
        self.ask(py, move |client| {
            let schema = batches.schema().clone();
            let batches: Vec<_> = batches.collect::<Result<_, _>>()?;
            client.put(name.as_ref(), &schema, &batches, &options)
        })
        .map(Info::new)
    }

    /// Puts opaque bytes: whatever has a buffer, such as bytes, a memoryview or a numpy array.
    ///
    /// The keywords are those of `put`.
    ///
    /// >>> store.put_bytes("note", b"hello", droppable=True)
    /// Info('note': sealed bytes, 5 B, droppable)
    #[pyo3(signature = (
        name, data, *, replace=false, droppable=false, wait=None, metadata=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of a Python call")]
    fn put_bytes(
        &self,
        py: Python<'_>,
        name: NameArg,
        data: &Bound<'_, PyAny>,
        replace: bool,
        droppable: bool,
        wait: Option<f64>,
        metadata: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Info> {
        let options = options(py, replace, droppable, wait, metadata)?;
        let data = Bytes::of(data)?;
        let put = self.ask(py, |client| client.put_bytes(name.as_ref(), data.as_slice(), &options));
        put.map(Info::new)
    }

    /// A table of `rows` rows that is filled in place.
    ///
    /// `schema` is a dict of names and types (`"int64"`, nullable `"int64?"`, a type of numpy or
    /// pyarrow), or whatever has `__arrow_c_schema__`. Values are zero and valid at first. Columns
    /// are numpy arrays that are the shared memory: nothing is copied. Booleans are bits, the
    /// lowest first, as `uint8`.
    ///
    /// >>> import numpy as np
    /// >>> with store.build("prices", {"k": "int64", "v": "float64?", "up": "bool"}, rows=4) as b:
    /// ...     b["k"][:] = np.arange(4)
    /// ...     b["v"][:] = 0.5
    /// ...     b.validity("v")[0] = 0b1110
    /// ...     b["up"] = [True, False, True, True]
    /// >>> store.get("prices").to_arrow().slice(0, 1).to_pylist()
    /// [{'k': 0, 'v': None, 'up': True}]
    #[pyo3(signature = (
        name, schema, rows, *, replace=false, droppable=false, wait=None, metadata=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of a Python call")]
    fn build(
        &self,
        py: Python<'_>,
        name: NameArg,
        schema: &Bound<'_, PyAny>,
        rows: usize,
        replace: bool,
        droppable: bool,
        wait: Option<f64>,
        metadata: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Builder> {
        let options = options(py, replace, droppable, wait, metadata)?;
        let schema = schema::of(schema)?;
        let printed = printed(py, &name)?;
        let table =
            self.ask(py, |door| near(door, "build")?.build(name, &schema, rows, &options))?;
        Ok(Builder::new(table, printed, rows))
    }

    /// A table whose length is not known yet, written batch by batch.
    ///
    /// >>> import pyarrow as pa
    /// >>> with store.writer("stream", {"k": "int64"}) as writer:
    /// ...     writer.write(pa.record_batch({"k": [1, 2]}))
    /// ...     writer.write(pa.record_batch({"k": [3]}))
    /// >>> len(store.get("stream"))
    /// 3
    #[pyo3(signature = (
        name, schema, *, replace=false, droppable=false, wait=None, metadata=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of a Python call")]
    fn writer(
        &self,
        py: Python<'_>,
        name: NameArg,
        schema: &Bound<'_, PyAny>,
        replace: bool,
        droppable: bool,
        wait: Option<f64>,
        metadata: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Writer> {
        let options = options(py, replace, droppable, wait, metadata)?;
        let schema = schema::of(schema)?;
        let printed = printed(py, &name)?;
        let writer = self.ask(py, |client| client.writer(name.as_ref(), &schema, &options))?;
        Ok(Writer::new(writer, printed, schema))
    }

    /// Sorts a table, stably, with every core, into a new object or, without `into`, a table that
    /// lasts as long as it is held.
    ///
    /// `by` is a column, or a list of them; a column is a name, or a tuple of a name and any of
    /// `"asc"`, `"desc"`, `"nulls_first"`, `"nulls_last"`. Ascending with nulls last unless it says
    /// so; NaN is greater than all numbers, or less with `nan="smallest"`. `progress` is called
    /// with stage, rows done and rows in all, some twenty times a second; what it raises cancels
    /// the sort. The schema of the result tells its order, under `sheaf.sorted_by`.
    ///
    /// >>> import pyarrow as pa
    /// >>> info = store.put("flights", pa.table({"to": ["SIN", None, "AMS"], "n": [1, 2, 3]}))
    /// >>> store.sort("flights", by="to").to_arrow()["n"].to_pylist()
    /// [3, 1, 2]
    /// >>> store.sort("flights", by=[("to", "desc", "nulls_first")], into="by_to").num_rows
    /// 3
    #[pyo3(signature = (
        name, by, into=None, *, threads=0, nan="greatest", progress=None, replace=false, wait=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of a Python call")]
    fn sort(
        &self,
        py: Python<'_>,
        name: NameArg,
        by: &Bound<'_, PyAny>,
        into: Option<NameArg>,
        threads: usize,
        nan: &str,
        progress: Option<Py<PyAny>>,
        replace: bool,
        wait: Option<f64>,
    ) -> PyResult<Table> {
        let put = options(py, replace, false, wait, None)?;
        let sort = Sort { by: sorting::keys(by)?, threads, nan: sorting::nan(nan)?, progress };
        let table = self.ask(py, |door| {
            sort.run(near(door, "sort")?, name.as_ref(), into.as_ref().map(AsRef::as_ref), &put)
        });
        sort.raise()?;
        Ok(Table::new(table?, self.url.clone()))
    }

    /// Sorts a table into an Arrow IPC file, and says how many rows it has.
    ///
    /// For what does not fit into the store beside its input: what is more than `memory` bytes goes
    /// through files without names in the folder `spill_dir` (default: that of the result), as
    /// large as the input. A file of that name is replaced when the new one is whole. The rest is
    /// as with `sort`; the stages that `progress` hears of are `spill` and `merge`.
    ///
    /// >>> import tempfile, pyarrow as pa
    /// >>> info = store.put("flights", pa.table({"to": ["SIN", None, "AMS"], "n": [1, 2, 3]}))
    /// >>> with tempfile.TemporaryDirectory() as folder:
    /// ...     rows = store.sort_to_file("flights", "to", f"{folder}/by_to.arrow")
    /// ...     pa.ipc.open_file(f"{folder}/by_to.arrow").read_all()["n"].to_pylist()
    /// [3, 1, 2]
    #[pyo3(signature = (
        name, by, path, *, memory=1 << 30, spill_dir=None, threads=0, nan="greatest", progress=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of a Python call")]
    fn sort_to_file(
        &self,
        py: Python<'_>,
        name: NameArg,
        by: &Bound<'_, PyAny>,
        path: PathBuf,
        memory: usize,
        spill_dir: Option<PathBuf>,
        threads: usize,
        nan: &str,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<u64> {
        let spill = match spill_dir {
            Some(directory) => Spill { directory, memory },
            None => Spill::beside(&path, memory),
        };
        let sort = Sort { by: sorting::keys(by)?, threads, nan: sorting::nan(nan)?, progress };
        let rows = self.ask(py, |door| {
            sort.run_to_file(near(door, "sort_to_file")?, name.as_ref(), &path, &spill)
        });
        sort.raise()?;
        rows
    }

    /// The result of a statement of SQL: a table, mapped and not copied; it lasts as long as it is
    /// held, or has the name `into`.
    ///
    /// Every table is a table; what changes something (`create table … as`, `insert into`, `drop
    /// table`) has a result of one row, `count`. Ctrl-C cancels the statement.
    ///
    /// >>> import pyarrow as pa
    /// >>> info = store.put("flights", pa.table({"to": ["SIN", "AMS", "SIN"], "n": [1, 2, 3]}))
    /// >>> sums = store.sql("select sum(n) as n from flights group by n % 2 order by 1")
    /// >>> sums.to_arrow().to_pylist()
    /// [{'n': 2}, {'n': 4}]
    /// >>> store.sql("select n from flights where n > 1", into="some").num_rows, "some" in store
    /// (2, True)
    #[pyo3(signature = (statement, into=None, *, replace=false))]
    fn sql(
        &self,
        py: Python<'_>,
        statement: &str,
        into: Option<NameArg>,
        replace: bool,
    ) -> PyResult<Table> {
        let put = PutOptions { replace, ..PutOptions::default() };
        let into = into.as_ref().map(|name| (name.as_ref(), &put));
        let table = self.ask(py, |door| door.sql(statement, into)?.table())?;
        Ok(Table::new(table, self.url.clone()))
    }

    /// Opaque bytes of this size, to be written in place and sealed.
    ///
    /// >>> with store.create("raw", 5) as draft:
    /// ...     memoryview(draft)[:] = b"hello"
    /// >>> bytes(store.bytes("raw"))
    /// b'hello'
    #[pyo3(signature = (
        name, nbytes, *, replace=false, droppable=false, wait=None, metadata=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of a Python call")]
    fn create<'py>(
        &self,
        py: Python<'py>,
        name: NameArg,
        nbytes: u64,
        replace: bool,
        droppable: bool,
        wait: Option<f64>,
        metadata: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = options(py, replace, droppable, wait, metadata)?;
        draft::draft(py, self.draft(py, name, nbytes, &options)?)
    }

    /// The sealed table of this name, waiting for it up to `timeout` seconds.
    ///
    /// Without a time limit `NotFound` at once; with one `Timeout`, or `WriterGone` as soon as the
    /// writer that would have sealed it aborts or dies. Nothing is copied.
    ///
    /// >>> import pyarrow as pa
    /// >>> info = store.put("trades", pa.table({"k": [1, 2, 3]}))
    /// >>> store.get("trades").to_arrow()["k"].to_pylist()
    /// [1, 2, 3]
    /// >>> store.get("later", timeout=0.01)
    /// Traceback (most recent call last):
    /// sheaf.Timeout: ...
    #[pyo3(signature = (name, timeout=None))]
    fn get(&self, py: Python<'_>, name: NameArg, timeout: Option<f64>) -> PyResult<Table> {
        let limit = limit(py, timeout)?;
        self.ask(py, |client| self.table(&client.get_timeout(name.as_ref(), limit)?))
    }

    /// Several tables, waiting for all of them up to `timeout` seconds; raises as `get` does for
    /// the first that does not come.
    ///
    /// >>> import pyarrow as pa
    /// >>> for name in ("a", "b"):
    /// ...     info = store.put(name, pa.table({"k": [1, 2, 3]}))
    /// >>> [len(table) for table in store.get_many(["a", "b"], timeout=1)]
    /// [3, 3]
    #[pyo3(signature = (names, timeout=None))]
    fn get_many(
        &self,
        py: Python<'_>,
        names: &Bound<'_, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<Vec<Table>> {
        let names = names_of(names)?;
        let limit = limit(py, timeout)?;
        self.ask(py, |client| {
            let objects = client.get_many(&slices(&names), limit)?;
            objects.into_iter().map(|object| self.table(&object?)).collect()
        })
    }

    /// The sealed bytes of this name as a read-only `memoryview`; a table's are an Arrow IPC file.
    ///
    /// Waits and raises as `get` does.
    ///
    /// >>> info = store.put_bytes("note", b"hello")
    /// >>> store.bytes("note")[0] == ord("h")
    /// True
    #[pyo3(signature = (name, timeout=None))]
    fn bytes<'py>(
        &self,
        py: Python<'py>,
        name: NameArg,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let limit = limit(py, timeout)?;
        let object = self.ask(py, |client| client.get_timeout(name.as_ref(), limit))?;
        buffer::memoryview(py, Shown::object(object))
    }

    /// Waits until an object of this name is sealed, without getting it.
    ///
    /// >>> import threading
    /// >>> threading.Timer(0.01, store.put_bytes, ["later", b"hello"]).start()
    /// >>> store.wait("later", timeout=10)
    /// Info('later': sealed bytes, 5 B)
    fn wait(&self, py: Python<'_>, name: NameArg, timeout: f64) -> PyResult<Info> {
        let limit = limit(py, Some(timeout))?;
        self.ask(py, |client| client.wait(name.as_ref(), limit)).map(Info::new)
    }

    /// What the store knows of the object or draft of this name; with `holders`, which processes
    /// hold it or write it.
    ///
    /// >>> info = store.put_bytes("note", b"hello")
    /// >>> store.info("note", holders=True).holders
    /// []
    #[pyo3(signature = (name, *, holders=false))]
    fn info(&self, py: Python<'_>, name: NameArg, holders: bool) -> PyResult<Info> {
        self.ask(py, |client| client.info(name.as_ref(), holders)).map(Info::new)
    }

    /// Every object and draft whose name starts with `prefix`, in order of names; with `holders`
    /// also what has no name any more and is still held.
    ///
    /// >>> for name in ("trades/2", "trades/1", "quotes"):
    /// ...     info = store.put_bytes(name, b"hello")
    /// >>> [info.name for info in store.list("trades/")]
    /// ['trades/1', 'trades/2']
    #[pyo3(signature = (prefix=None, *, holders=false))]
    fn list(&self, py: Python<'_>, prefix: Option<NameArg>, holders: bool) -> PyResult<Vec<Info>> {
        let prefix = prefix.map_or_else(Vec::new, |prefix| prefix.as_ref().to_vec());
        let infos = self.ask(py, |client| client.list(&prefix, holders))?;
        Ok(infos.into_iter().map(Info::new).collect())
    }

    /// Unbinds a name. Who holds the object keeps it, and its memory comes back with the last.
    ///
    /// >>> info = store.put_bytes("note", b"hello")
    /// >>> store.delete("note")
    /// >>> "note" in store
    /// False
    fn delete(&self, py: Python<'_>, name: NameArg) -> PyResult<()> {
        self.ask(py, |client| client.delete(name.as_ref()))
    }

    /// Drops droppable objects that nobody holds, least recently used first, until they amount to
    /// `nbytes` of the store's memory; returns how many bytes they did amount to.
    ///
    /// >>> info = store.put_bytes("note", b"hello", droppable=True)
    /// >>> store.evict(1) > 0, "note" in store
    /// (True, False)
    fn evict(&self, py: Python<'_>, nbytes: u64) -> PyResult<u64> {
        self.ask(py, |client| client.evict(nbytes))
    }

    /// The events of names that start with `prefix`, as they happen.
    ///
    /// With `replay` there is a sealed event for each object that is there already.
    ///
    /// >>> info = store.put_bytes("a", b"hello")
    /// >>> with store.watch(replay=True) as events:
    /// ...     next(events)
    /// Event(sealed 'a', 5 B)
    #[pyo3(signature = (prefix=None, *, replay=false))]
    fn watch(&self, py: Python<'_>, prefix: Option<NameArg>, replay: bool) -> PyResult<Watch> {
        let prefix = prefix.map_or_else(Vec::new, |prefix| prefix.as_ref().to_vec());
        let printed = String::from_utf8_lossy(&prefix).into_owned();
        let watch = self.ask(py, |door| near(door, "watch")?.watch(prefix, replay))?;
        Ok(Watch::new(watch, printed))
    }

    /// The store's counters, and who it is.
    ///
    /// >>> info = store.put_bytes("note", b"hello")
    /// >>> stat = store.stat()
    /// >>> stat["names"], stat["budget_bytes"] <= 64 << 20, stat["store_pid"] == store.pid
    /// (1, True, True)
    fn stat<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stat = self.ask(py, |client| client.stat())?;
        info::stat(py, &stat)
    }

    /// A reference to a name in this store, to be pickled and sent to another process. The object
    /// need not be there yet.
    ///
    /// >>> ref = store.ref("note")
    /// >>> info = store.put_bytes("note", b"hello")
    /// >>> bytes(ref.bytes(timeout=1))
    /// b'hello'
    #[pyo3(name = "ref")]
    fn reference<'py>(&self, py: Python<'py>, name: NameArg) -> PyResult<Bound<'py, PyAny>> {
        let name = sheaf_store::Name::new(name).map_err(|error| raise(py, &error))?;
        let name = crate::args::name_of(py, &name);
        py.import("sheaf._refs")?.call_method1("Ref", (name, &*self.url))
    }

    /// Whether there is a sealed object of this name.
    fn __contains__(&self, py: Python<'_>, name: NameArg) -> PyResult<bool> {
        self.ask(py, |client| match client.info(name.as_ref(), false) {
            Ok(info) => Ok(info.state == State::Sealed),
            Err(error) if error.kind() == Kind::NotFound => Ok(false),
            Err(error) => Err(error),
        })
    }

    /// Lets go of the connection. What was got from it stays valid; a thread that waits in a call
    /// is told that it was closed.
    ///
    /// >>> other = sheaf.connect(store.url)
    /// >>> other.close()
    /// >>> other.closed
    /// True
    fn close(&self, py: Python<'_>) {
        self.closed.store(true, Ordering::Relaxed);
        let door = self.door.lock().unwrap_or_else(PoisonError::into_inner).take();
        py.detach(|| drop(door));
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(slf: &Bound<'_, Self>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        slf.call_method0("close").map(|_| ())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let closed = if slf.get().closed() { ", closed" } else { "" };
        Ok(format!("{}({:?}{closed})", slf.get_type().name()?, slf.get().url))
    }

    /// A store is pickled as its URL.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        Ok((py.import("sheaf")?.getattr("connect")?, (self.url.to_string(),)))
    }
}
