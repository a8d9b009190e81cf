use std::collections::HashSet;
use std::sync::Arc;

use numpy::{PyArray1, PyArray2, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use xmfast_core::{
    Evaluated, Ids, IsolatedPosition, ResultRows, Subject, margin_ratios, summarize,
};

use crate::book::id_array;
use crate::error::Result;
use crate::explain::{ExplainedParts, explain};
use crate::figures::{Column, Origin, arrow_stream, columns, id_column, is_negative};
use crate::isolated::Isolated;
use crate::run::run;
use crate::universe::{id_object, with_id};
use crate::view::{self, HasRows};

/// See `xmfast.MarginReport`.
#[pyclass(frozen, module = "xmfast._core")]
pub(crate) struct Report {
    rows: ResultRows,
    accounts: Arc<Ids>,
    /// Numbers of the accounts in the book; `None` if they are all of them in order.
    numbers: Option<Vec<usize>>,
    isolated: Arc<ResultRows>,
    positions: Arc<Vec<IsolatedPosition>>,
    origin: Arc<Origin>,
}

impl HasRows for Report {
    fn result_rows(&self) -> &ResultRows {
        &self.rows
    }
}

impl Report {
    /// The report of all accounts.
    pub(crate) fn whole(evaluated: Evaluated, origin: Arc<Origin>) -> Self {
        Self {
            rows: evaluated.pools,
            accounts: origin.book().accounts().clone(),
            numbers: None,
            isolated: Arc::new(evaluated.isolated),
            positions: evaluated.positions,
            origin,
        }
    }

    /// Contiguous columns of all figures, made when Arrow asks.
    pub(crate) fn columns(&self) -> Vec<Column> {
        let mut all = vec![("account", id_column(&self.accounts, 0..self.accounts.len()))];
        all.extend(columns(&self.rows));
        all
    }

    /// Number of a row's account in the book.
    fn number(&self, row: usize) -> usize {
        self.numbers.as_ref().map_or(row, |numbers| numbers[row])
    }
}

#[pymethods]
impl Report {
    /// All figures, shape (A, 8), in the order of the core's `result` columns.
    fn rows<'py>(slf: &Bound<'py, Self>) -> Result<Bound<'py, PyArray2<f64>>> {
        view::rows(slf)
    }

    fn accounts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        id_array(py, &self.accounts, 0..self.accounts.len())
    }

    fn margin_ratio<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_vec(py, margin_ratios(self.rows.rows()))
    }

    /// How many accounts and isolated positions were decided in exact numbers.
    fn exact_decisions(&self) -> usize {
        self.rows.exact() + self.isolated.exact()
    }

    /// Whether each account's figure in a column of `rows` is below 0, strictly.
    fn is_negative<'py>(&self, py: Python<'py>, column: usize) -> Bound<'py, PyArray1<bool>> {
        is_negative(py, &self.rows, column)
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
        let numbers: Vec<usize> = rows.iter().map(|&row| self.number(row)).collect();
        let chosen: HashSet<usize> = numbers.iter().copied().collect();
        let isolated: Vec<usize> = (0..self.positions.len())
            .filter(|&at| chosen.contains(&(self.positions[at].account as usize)))
            .collect();
        let positions = isolated.iter().map(|&at| self.positions[at]).collect();
        Self {
            rows: self.rows.pick(&rows),
            accounts: Arc::new(accounts),
            numbers: Some(numbers),
            isolated: Arc::new(self.isolated.pick(&isolated)),
            positions: Arc::new(positions),
            origin: self.origin.clone(),
        }
    }

    /// The isolated positions of these accounts.
    fn isolated(&self) -> Isolated {
        Isolated {
            rows: self.isolated.clone(),
            positions: self.positions.clone(),
            origin: self.origin.clone(),
        }
    }

    /// The exact lines of a row's account.
    fn explain<'py>(&self, py: Python<'py>, row: usize) -> Result<Vec<ExplainedParts<'py>>> {
        let subject = Subject {
            account: self.number(row),
            position: None,
        };
        explain(py, &self.origin, subject)
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        arrow_stream(py, self.columns(), requested_schema)
    }

    fn __len__(&self) -> usize {
        self.accounts.len()
    }
}
