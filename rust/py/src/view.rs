//! NumPy views of memory that the core owns: with `kernel/`, the only place that says `unsafe`.

#![allow(unsafe_code)]

use numpy::ndarray::ArrayView2;
use numpy::{PyArray2, PyArrayMethods};
use pyo3::PyClass;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use xmfast_core::ResultRows;

use crate::error::Result;

/// A report that owns result rows.
pub(crate) trait HasRows: PyClass<Frozen = True> + Sync {
    /// The rows; the same ones as long as the report lives.
    fn result_rows(&self) -> &ResultRows;
}

/// The rows of a report as a read-only array of shape (A, 8) that keeps the report alive.
pub(crate) fn rows<'py, T: HasRows>(report: &Bound<'py, T>) -> Result<Bound<'py, PyArray2<f64>>> {
    let columns = report.get().result_rows().columns();
    let view =
        ArrayView2::from_shape((columns.len() / 8, 8), columns).expect("a row has eight columns");
    // SAFETY: the memory belongs to the report, which the array holds as its base. A report is frozen:
    // nothing writes to its rows or moves them until it is dropped.
    let array = unsafe { PyArray2::borrow_from_array(&view, report.clone().into_any()) };
    array.readwrite().make_nonwriteable();
    Ok(array)
}
