use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, LargeStringArray, RecordBatch,
};
use numpy::{PyArray1, PyArray2, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3_arrow::PyTable;
use xmfast_core::{Id, Ids, ResultRows, Row, column, margin_ratios, result, summarize};

use crate::book::id_array;
use crate::error::Result;
use crate::run::run;
use crate::universe::{id_object, with_id};
use crate::view;

/// See `xmfast.MarginReport`.
#[pyclass(frozen, module = "xmfast._core")]
pub(crate) struct Report {
    pub(crate) rows: ResultRows,
    pub(crate) accounts: Arc<Ids>,
}

#[pymethods]
impl Report {
    /// All figures, shape (A, 8), in the order of the core's `result` columns.
    fn rows<'py>(slf: &Bound<'py, Self>) -> Result<Bound<'py, PyArray2<f64>>> {
        view::rows(slf)
    }

    fn accounts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        id_array(py, &self.accounts)
    }

    fn margin_ratio<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_vec(py, margin_ratios(self.rows.rows()))
    }

    /// Whether each account's figure in a column of `rows` is below 0, strictly.
    fn is_negative<'py>(&self, py: Python<'py>, column: usize) -> Bound<'py, PyArray1<bool>> {
        PyArray1::from_iter(
            py,
            self.rows
                .signs()
                .iter()
                .map(|signs| signs >> column & 1 == 1),
        )
    }

    /// The ratio of one row.
    fn margin_ratio_of(&self, row: usize) -> f64 {
        margin_ratios(&self.rows.rows()[row..=row])[0]
    }

    /// Sums and counts over all accounts, by name.
    fn summary<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        let rows = self.rows.rows();
        let summary = run(py, |stop| summarize(rows, stop))?;
        let figures = PyDict::new(py);
        figures.set_item("accounts", rows.len())?;
        figures.set_item("equity", summary.equity)?;
        figures.set_item("collateral_value", summary.collateral_value)?;
        figures.set_item("initial_margin", summary.initial_margin)?;
        figures.set_item("maintenance_margin", summary.maintenance_margin)?;
        figures.set_item("below_initial", summary.below_initial)?;
        figures.set_item("liquidatable", summary.liquidatable)?;
        figures.set_item("bankrupt", summary.bankrupt)?;
        figures.set_item("shortfall", summary.shortfall)?;
        Ok(figures)
    }

    /// The id of a row.
    fn account<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyAny>> {
        id_object(py, self.accounts.get(row))
    }

    /// Row of an account, or None.
    fn find(&self, account: &Bound<'_, PyAny>) -> Result<Option<usize>> {
        with_id("report", account, |id| {
            Ok(self.accounts.find(id).map(|row| row as usize))
        })
    }

    /// What to say beside "no such account".
    fn hint(&self, account: &Bound<'_, PyAny>) -> Result<String> {
        with_id("report", account, |id| Ok(self.accounts.hint(id)))
    }

    /// A report of these rows, in this order.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a borrowed array is passed so"
    )]
    fn take(&self, rows: PyReadonlyArray1<'_, i64>) -> Self {
        let rows: Vec<usize> = rows.as_array().iter().map(|&row| row as usize).collect();
        let mut accounts = if self.accounts.is_text() {
            Ids::texts()
        } else {
            Ids::ints()
        };
        for &row in &rows {
            accounts.intern(self.accounts.get(row));
        }
        Self {
            rows: self.rows.pick(&rows),
            accounts: Arc::new(accounts),
        }
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        let batch = self.record_batch()?;
        let schema = batch.schema();
        let table = PyTable::try_new(vec![batch], schema)?.into_pyobject(py)?;
        Ok(table.call_method1("__arrow_c_stream__", (requested_schema,))?)
    }

    fn __len__(&self) -> usize {
        self.accounts.len()
    }
}

impl Report {
    /// Contiguous columns, made when Arrow asks.
    fn record_batch(&self) -> PyResult<RecordBatch> {
        let figure = |name: &'static str, value: fn(&Row) -> f64| {
            let values: Float64Array = self
                .rows
                .rows()
                .iter()
                .map(|row| Some(value(row)))
                .collect();
            (name, Arc::new(values) as ArrayRef)
        };
        let flag = |name: &'static str, value: fn(&Row) -> bool| {
            let values: BooleanArray = self
                .rows
                .rows()
                .iter()
                .map(|row| Some(value(row)))
                .collect();
            (name, Arc::new(values) as ArrayRef)
        };
        RecordBatch::try_from_iter([
            ("account", self.account_column()),
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
                Arc::new(Float64Array::from(margin_ratios(self.rows.rows()))) as ArrayRef,
            ),
            flag("liquidatable", |row| row.0[result::HEALTH] < 0.0),
            flag("bankrupt", |row| row.0[column::EQUITY] < 0.0),
        ])
        .map_err(|error| pyo3::exceptions::PyRuntimeError::new_err(error.to_string()))
    }

    fn account_column(&self) -> ArrayRef {
        match self.accounts.as_ints() {
            Some(ids) => Arc::new(Int64Array::from(ids.to_vec())),
            None => Arc::new(LargeStringArray::from_iter_values(
                self.accounts.iter().map(|id| match id {
                    Id::Text(id) => id,
                    Id::Int(_) => unreachable!("the ids are strings"),
                }),
            )),
        }
    }
}
