//! numpy arrays over a store's memory. numpy is imported here, and only when it is asked for.

use pyo3::prelude::*;

use crate::buffer::{self, Shown};

/// An array of this numpy type over the bytes, with `width` numbers in a row if not one.
pub(crate) fn array<'py>(
    py: Python<'py>,
    shown: Shown,
    dtype: &str,
    width: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let numpy = py.import("numpy")?;
    // The array keeps the memoryview, which counts as one who looks for as long as it lives.
    let view = buffer::memoryview(py, shown)?;
    let array = numpy.call_method1("frombuffer", (view, dtype))?;
    match width {
        Some(width) => {
            let rows = array.len()?.checked_div(width).unwrap_or(0);
            array.call_method1("reshape", (rows, width))
        }
        None => Ok(array),
    }
}
