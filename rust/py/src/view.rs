//! NumPy views of memory that the core owns: with `kernel/`, the only place that says `unsafe`.

#![allow(unsafe_code)]

use numpy::ndarray::ArrayView2;
use numpy::{PyArray2, PyArrayMethods};
use pyo3::prelude::*;

use crate::error::Result;
use crate::report::Report;

/// The rows of a report as a read-only array of shape (A, 8) that keeps the report alive.
pub(crate) fn rows<'py>(report: &Bound<'py, Report>) -> Result<Bound<'py, PyArray2<f64>>> {
    let columns = report.get().rows.columns();
    let view =
        ArrayView2::from_shape((columns.len() / 8, 8), columns).expect("a row has eight columns");
    // SAFETY: the memory belongs to the report, which the array holds as its base. A report is frozen:
    // nothing writes to its rows or moves them until it is dropped.
    let array = unsafe { PyArray2::borrow_from_array(&view, report.clone().into_any()) };
    array.readwrite().make_nonwriteable();
    Ok(array)
}
