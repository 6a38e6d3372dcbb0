//! Memory shown to Python through the buffer protocol, and Python's memory shown to us.
//!
//! PyO3 has the protocol only without the stable interface, or with Python 3.11 and newer. The
//! protocol itself is older, and its structure has never changed: so here is one class made by
//! hand, `Buffer`, and the few declarations that it needs.
//!
//! **Invariant:** what a buffer shows stays mapped as long as the [`Memory`] counts an export.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::Arc;

use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// `Py_buffer`, as CPython has had it since 3.0 and has frozen it in 3.11.
#[repr(C)]
struct RawBuffer {
    buf: *mut c_void,
    obj: *mut ffi::PyObject,
    len: ffi::Py_ssize_t,
    itemsize: ffi::Py_ssize_t,
    readonly: c_int,
    ndim: c_int,
    format: *mut c_char,
    shape: *mut ffi::Py_ssize_t,
    strides: *mut ffi::Py_ssize_t,
    suboffsets: *mut ffi::Py_ssize_t,
    internal: *mut c_void,
}

impl RawBuffer {
    const EMPTY: Self = Self {
        buf: ptr::null_mut(),
        obj: ptr::null_mut(),
        len: 0,
        itemsize: 0,
        readonly: 0,
        ndim: 0,
        format: ptr::null_mut(),
        shape: ptr::null_mut(),
        strides: ptr::null_mut(),
        suboffsets: ptr::null_mut(),
        internal: ptr::null_mut(),
    };
}

/// The slots of a class that say how to show its memory, and a request for plain bytes.
const GET_BUFFER: c_int = 1;
const RELEASE_BUFFER: c_int = 2;
const SIMPLE: c_int = 0;

// In every CPython from 3.10 on, if in the stable interface only from 3.11.
unsafe extern "C" {
    fn PyBuffer_FillInfo(
        view: *mut RawBuffer,
        exporter: *mut ffi::PyObject,
        buf: *mut c_void,
        len: ffi::Py_ssize_t,
        readonly: c_int,
        flags: c_int,
    ) -> c_int;
    fn PyObject_GetBuffer(
        exporter: *mut ffi::PyObject,
        view: *mut RawBuffer,
        flags: c_int,
    ) -> c_int;
    fn PyBuffer_Release(view: *mut RawBuffer);
}

/// What keeps the bytes that buffers show.
pub(crate) trait Memory: Send + Sync {
    /// Somebody begins to look; an error says why there is nothing to see any more.
    fn enter(&self) -> Result<(), &'static str>;

    /// Somebody who looked has let go.
    fn leave(&self);
}

/// Bytes that never change and stay as long as `self`: a sealed object's.
impl Memory for sheaf_store::Object {
    fn enter(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn leave(&self) {}
}

/// What a `Buffer` shows: `len` bytes at `start` of some memory.
pub(crate) struct Shown {
    memory: Arc<dyn Memory>,
    start: *mut u8,
    len: usize,
    readonly: bool,
}

impl Shown {
    /// Shows an object's bytes.
    pub(crate) fn object(object: sheaf_store::Object) -> Self {
        let (start, len) = (object.as_bytes().as_ptr().cast_mut(), object.as_bytes().len());
        Self { memory: Arc::new(object), start, len, readonly: true }
    }

    /// Shows bytes to be written.
    ///
    /// # Safety
    /// The bytes must stay, writable, as long as `memory` counts somebody who looks.
    pub(crate) unsafe fn writable(memory: Arc<dyn Memory>, start: *mut u8, len: usize) -> Self {
        Self { memory, start, len, readonly: false }
    }
}

/// An instance: what every Python object begins with, and ours.
#[repr(C)]
struct Instance {
    head: ffi::PyObject,
    shown: *mut Shown,
}

/// The class `Buffer`.
pub(crate) fn class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();

    CLASS.get_or_try_init(py, || make_class(py)).map(|class| class.bind(py))
}

const DOC: &CStr = c"Memory of a store, for memoryview and whatever else reads buffers.

A store makes them: what Store.bytes returns is a view of one, and a Draft is one.

>>> with store.create(\"raw\", 5) as draft:
...     isinstance(draft, sheaf.Buffer), memoryview(draft).readonly
(True, False)
";

fn make_class(py: Python<'_>) -> PyResult<Py<PyType>> {
    let slot = |slot, pfunc| ffi::PyType_Slot { slot, pfunc };
    let mut slots = [
        slot(GET_BUFFER, get_buffer as *mut c_void),
        slot(RELEASE_BUFFER, release_buffer as *mut c_void),
        slot(ffi::Py_tp_new, refuse_new as *mut c_void),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_doc, DOC.as_ptr().cast_mut().cast()),
        slot(0, ptr::null_mut()),
    ];
    let mut spec = ffi::PyType_Spec {
        name: c"sheaf._sheaf.Buffer".as_ptr(),
        basicsize: size_of::<Instance>() as c_int,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE) as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the slots end with a zero and have functions of the types that they ask for; the
    // texts are static; Python copies the rest.
    let class = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&raw mut spec))? };
    Ok(class.cast_into::<PyType>()?.unbind())
}

/// A `Buffer`.
pub(crate) fn new(py: Python<'_>, shown: Shown) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: `class` is the class itself.
    unsafe { new_of(class(py)?, shown) }
}

/// An instance of a class that derives from `Buffer`.
pub(crate) fn new_derived<'py>(
    class: &Bound<'py, PyType>,
    shown: Shown,
) -> PyResult<Bound<'py, PyAny>> {
    if !class.is_subclass(self::class(class.py())?)? {
        return Err(PyTypeError::new_err("not a kind of Buffer"));
    }
    // SAFETY: just checked.
    unsafe { new_of(class, shown) }
}

/// # Safety
/// The class must be `Buffer` or derive from it.
unsafe fn new_of<'py>(class: &Bound<'py, PyType>, shown: Shown) -> PyResult<Bound<'py, PyAny>> {
    let kind = class.as_type_ptr();
    // SAFETY: a class that has instances of at least our size, says the caller.
    let made = unsafe { ffi::PyType_GenericAlloc(kind, 0) };
    // SAFETY: a new reference, or null with an error set.
    let made = unsafe { Bound::from_owned_ptr_or_err(class.py(), made)? };
    // SAFETY: the instance is ours alone, begins as `Instance` does, and was made all zeros.
    unsafe { (*made.as_ptr().cast::<Instance>()).shown = Box::into_raw(Box::new(shown)) };
    Ok(made)
}

/// A `memoryview` of the bytes.
pub(crate) fn memoryview(py: Python<'_>, shown: Shown) -> PyResult<Bound<'_, PyAny>> {
    let buffer = new(py, shown)?;
    // SAFETY: the interpreter is attached and the object is one.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyMemoryView_FromObject(buffer.as_ptr())) }
}

unsafe extern "C" fn refuse_new(
    _class: *mut ffi::PyTypeObject,
    _args: *mut ffi::PyObject,
    _kwargs: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let message = c"a store makes these: see Store.create and Store.bytes";
    // SAFETY: Python calls this attached; the text is static.
    unsafe { ffi::PyErr_SetString(ffi::PyExc_TypeError, message.as_ptr()) };
    ptr::null_mut()
}

unsafe extern "C" fn get_buffer(
    exporter: *mut ffi::PyObject,
    view: *mut RawBuffer,
    flags: c_int,
) -> c_int {
    // SAFETY: Python calls this for instances of our class and those derived, whose `shown` was
    // set when they were made and stays until they are freed; `view` is Python's to be filled.
    unsafe {
        (*view).obj = ptr::null_mut();
        let shown = &*(*exporter.cast::<Instance>()).shown;
        if let Err(why) = shown.memory.enter() {
            Python::assume_attached().run_error(why);
            return -1;
        }
        let (len, readonly) = (shown.len as ffi::Py_ssize_t, c_int::from(shown.readonly));
        let told = PyBuffer_FillInfo(view, exporter, shown.start.cast(), len, readonly, flags);
        if told != 0 {
            shown.memory.leave();
        }
        told
    }
}

unsafe extern "C" fn release_buffer(exporter: *mut ffi::PyObject, _view: *mut RawBuffer) {
    // SAFETY: as in `get_buffer`, which succeeded once for every call of this.
    unsafe { (*(*exporter.cast::<Instance>()).shown).memory.leave() };
}

unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: Python frees an instance once, after the last reference to it is gone, and so after
    // the last export. An instance of a heap class holds a reference to its class, also of a
    // derived one: whoever frees the instance gives it back.
    unsafe {
        let shown = (*object.cast::<Instance>()).shown;
        let class = ffi::Py_TYPE(object);
        let free = ffi::PyType_GetSlot(class, ffi::Py_tp_free);
        if !free.is_null() {
            let free: ffi::freefunc = std::mem::transmute(free);
            free(object.cast());
        }
        ffi::Py_DECREF(class.cast());
        if !shown.is_null() {
            drop(Box::from_raw(shown));
        }
    }
}

/// Sets an error where Python expects a C function to do so.
trait RunError {
    fn run_error(self, why: &str);
}

impl RunError for Python<'_> {
    fn run_error(self, why: &str) {
        PyBufferError::new_err(why.to_owned()).restore(self);
    }
}

/// The bytes of a Python object, borrowed.
pub(crate) struct Borrowed(Box<RawBuffer>);

// SAFETY: the structure belongs to us until it is released, and its fields are plain.
unsafe impl Send for Borrowed {}
// SAFETY: as above; through a shared reference it is only read.
unsafe impl Sync for Borrowed {}

impl Borrowed {
    /// Borrows the bytes of whatever has contiguous ones.
    ///
    /// # Errors
    /// Python's own, when it has none.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut raw = Box::new(RawBuffer::EMPTY);
        // SAFETY: the interpreter is attached; `raw` does not move, since some exporters point
        // into it.
        let told = unsafe { PyObject_GetBuffer(object.as_ptr(), &raw mut *raw, SIMPLE) };
        match told {
            0 => Ok(Self(raw)),
            _ => Err(PyErr::fetch(object.py())),
        }
    }

    /// The bytes. Who writes them while they are put puts a mixture, here as in every other
    /// consumer of buffers.
    pub(crate) fn as_slice(&self) -> &[u8] {
        if self.0.len == 0 || self.0.buf.is_null() {
            return &[];
        }
        // SAFETY: the exporter keeps `len` contiguous bytes there until they are released. They
        // are only ever copied to memory that is not theirs, which goes byte by byte.
        unsafe { std::slice::from_raw_parts(self.0.buf.cast(), self.0.len as usize) }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // Where the interpreter is gone there is nothing to give back to.
        Python::try_attach(|_| {
            // SAFETY: attached, and released once.
            unsafe { PyBuffer_Release(&raw mut *self.0) };
        });
    }
}
