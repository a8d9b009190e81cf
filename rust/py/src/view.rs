//! NumPy views of memory that the core owns: with `kernel/`, the only place that says `unsafe`.

#![allow(unsafe_code)]

use std::ops::Range;

use numpy::ndarray::{ArrayView2, s};
use numpy::{PyArray2, PyArrayMethods};
use pyo3::PyClass;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use xmfast_core::ResultRows;

use crate::error::Result;
use crate::risk::Losses;

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

/// The losses of a set of scenarios in some rows of a risk table as a read-only array that keeps the table alive.
pub(crate) fn losses<'py>(
    table: &Bound<'py, Losses>,
    set: usize,
    rows: Range<usize>,
) -> Bound<'py, PyArray2<f64>> {
    let losses = &table.get().0.sets[set].losses;
    let (all, first) = losses.as_array();
    let shape = (losses.len(), all.len() / losses.len());
    let all = ArrayView2::from_shape(shape, all).expect("table rows are of one length");
    let view = all.slice_move(s![rows, first..first + losses.scenarios()]);
    // SAFETY: the memory belongs to the table, which the array holds as its base. Nothing writes to a table that is shared,
    // or moves it, until the last share of it is dropped.
    let array = unsafe { PyArray2::borrow_from_array(&view, table.clone().into_any()) };
    array.readwrite().make_nonwriteable();
    array
}
