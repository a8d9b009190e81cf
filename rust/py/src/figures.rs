//! What the reports of accounts and of isolated positions share: columns of result rows.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, LargeStringArray, RecordBatch,
};
use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3_arrow::PyTable;
use xmfast_core::{Id, Ids, ResultRows, Row, column, margin_ratios, result};

use crate::book::Book;
use crate::error::Result;
use crate::market::Market;
use crate::model::LinearModel;

/// What a report was made from.
pub(crate) struct Origin {
    pub(crate) model: Py<LinearModel>,
    pub(crate) book: Py<Book>,
    pub(crate) market: Py<Market>,
}

impl Origin {
    pub(crate) fn book(&self) -> &xmfast_core::Book {
        &self.book.get().0
    }
}

/// A column of a frame that goes out.
pub(crate) type Column = (&'static str, ArrayRef);

/// Some ids as a column.
pub(crate) fn id_column(ids: &Ids, rows: impl Iterator<Item = usize>) -> ArrayRef {
    match ids.as_ints() {
        Some(ids) => Arc::new(Int64Array::from_iter_values(rows.map(|row| ids[row]))),
        None => Arc::new(LargeStringArray::from_iter_values(rows.map(
            |row| match ids.get(row) {
                Id::Text(id) => id,
                Id::Int(_) => unreachable!("the ids are strings"),
            },
        ))),
    }
}

/// Whether each row's figure in a column is below 0, strictly.
pub(crate) fn is_negative<'py>(
    py: Python<'py>,
    rows: &ResultRows,
    column: usize,
) -> Bound<'py, PyArray1<bool>> {
    let signs = rows.signs().iter();
    PyArray1::from_iter(py, signs.map(|signs| signs >> column & 1 == 1))
}

/// Contiguous columns of all figures, made when Arrow asks.
pub(crate) fn columns(rows: &ResultRows) -> Vec<Column> {
    let figure = |name: &'static str, value: fn(&Row) -> f64| -> Column {
        let values: Float64Array = rows.rows().iter().map(|row| Some(value(row))).collect();
        (name, Arc::new(values))
    };
    let flag = |name: &'static str, column: usize| -> Column {
        let signs = rows.signs().iter();
        let values: BooleanArray = signs.map(|signs| Some(signs >> column & 1 == 1)).collect();
        (name, Arc::new(values))
    };
    vec![
        figure("equity", |row| row.0[column::EQUITY]),
        figure("collateral_value", |row| row.0[result::COLLATERAL]),
        figure("initial_collateral_value", |row| {
            row.0[column::INITIAL_COLLATERAL]
        }),
        figure("initial_margin", |row| row.0[column::INITIAL_MARGIN]),
        figure("maintenance_margin", |row| {
            row.0[column::MAINTENANCE_MARGIN]
        }),
        figure("initial_health", |row| row.0[result::INITIAL_HEALTH]),
        figure("health", |row| row.0[result::HEALTH]),
        figure("free_collateral", |row| {
            row.0[result::INITIAL_HEALTH].max(0.0)
        }),
        (
            "margin_ratio",
            Arc::new(Float64Array::from(margin_ratios(rows.rows()))),
        ),
        flag("liquidatable", result::HEALTH),
        flag("bankrupt", column::EQUITY),
    ]
}

/// Hands columns over as an Arrow stream.
pub(crate) fn arrow_stream<'py>(
    py: Python<'py>,
    columns: Vec<Column>,
    requested_schema: Option<Bound<'py, PyAny>>,
) -> Result<Bound<'py, PyAny>> {
    let batch = RecordBatch::try_from_iter(columns)
        .map_err(|error| pyo3::exceptions::PyRuntimeError::new_err(error.to_string()))?;
    let schema = batch.schema();
    let table = PyTable::try_new(vec![batch], schema)?.into_pyobject(py)?;
    Ok(table.call_method1("__arrow_c_stream__", (requested_schema,))?)
}
