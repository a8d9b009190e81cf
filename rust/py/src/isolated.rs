use std::sync::Arc;

use arrow_array::Float64Array;
use numpy::{PyArray1, PyArray2, PyReadonlyArray1};
use pyo3::prelude::*;
use xmfast_core::{
    IsolatedPosition, PositionFacts, ResultRows, column, margin_ratios, position_facts,
};

use crate::book::id_array;
use crate::error::Result;
use crate::explain::{ExplainedParts, explain};
use crate::figures::{Origin, arrow_stream, columns, id_column, is_negative};
use crate::run::run;
use crate::view::{self, HasRows};

/// See `xmfast.IsolatedReport`.
#[pyclass(frozen, module = "xmfast._core")]
pub(crate) struct Isolated {
    pub(crate) rows: Arc<ResultRows>,
    pub(crate) positions: Arc<Vec<IsolatedPosition>>,
    pub(crate) origin: Arc<Origin>,
}

impl HasRows for Isolated {
    fn result_rows(&self) -> &ResultRows {
        &self.rows
    }
}

impl Isolated {
    /// Number of each position's account.
    fn accounts_of(&self) -> impl Iterator<Item = usize> {
        let positions = self.positions.iter();
        positions.map(|position| position.account as usize)
    }

    /// Universe row of each position's instrument.
    fn instruments_of(&self) -> impl Iterator<Item = usize> {
        let book = self.origin.book();
        self.positions.iter().map(|position| {
            let holdings = book.holdings(position.account as usize);
            holdings.instrument[position.position as usize] as usize
        })
    }

    fn position_facts(&self, py: Python<'_>) -> Result<Vec<PositionFacts>> {
        let Origin {
            model,
            book,
            market,
        } = &*self.origin;
        let (model, book, market) = (&model.get().model, &book.get().0, &market.get().0);
        run(py, |stop| {
            position_facts(model, book, market, &self.positions, stop)
        })
    }

    /// Value of what was posted, or of what the pool gave: equity less profit and loss.
    fn collateral(&self, facts: &[PositionFacts]) -> Vec<f64> {
        let rows = facts.iter().zip(self.rows.rows());
        rows.map(|(facts, row)| {
            facts
                .posted
                .unwrap_or(row.0[column::EQUITY] - facts.unrealized_pnl)
        })
        .collect()
    }
}

#[pymethods]
impl Isolated {
    /// All figures, shape (P, 8), in the order of the core's `result` columns.
    fn rows<'py>(slf: &Bound<'py, Self>) -> Result<Bound<'py, PyArray2<f64>>> {
        view::rows(slf)
    }

    fn accounts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        id_array(py, self.origin.book().accounts(), self.accounts_of())
    }

    fn instruments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let instruments = self.origin.book().universe().instruments();
        id_array(py, instruments, self.instruments_of())
    }

    /// Number of each position's account in the book.
    fn account_numbers<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        PyArray1::from_iter(py, self.accounts_of().map(|number| number as i64))
    }

    /// Quantity, isolated margin, notional and unrealized profit and loss.
    fn facts<'py>(&self, py: Python<'py>) -> Result<[Bound<'py, PyArray1<f64>>; 4]> {
        let facts = self.position_facts(py)?;
        let column = |of: fn(&PositionFacts) -> f64| PyArray1::from_iter(py, facts.iter().map(of));
        Ok([
            column(|facts| facts.quantity),
            PyArray1::from_vec(py, self.collateral(&facts)),
            column(|facts| facts.notional),
            column(|facts| facts.unrealized_pnl),
        ])
    }

    fn margin_ratio<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_vec(py, margin_ratios(self.rows.rows()))
    }

    /// Whether each position's figure in a column of `rows` is below 0, strictly.
    fn is_negative<'py>(&self, py: Python<'py>, column: usize) -> Bound<'py, PyArray1<bool>> {
        is_negative(py, &self.rows, column)
    }

    /// The positions of these rows, in this order.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a borrowed array is passed so"
    )]
    fn take(&self, rows: PyReadonlyArray1<'_, i64>) -> Self {
        let rows: Vec<usize> = rows.as_array().iter().map(|&row| row as usize).collect();
        let positions = rows.iter().map(|&row| self.positions[row]).collect();
        Self {
            rows: Arc::new(self.rows.pick(&rows)),
            positions: Arc::new(positions),
            origin: self.origin.clone(),
        }
    }

    /// The exact lines of a row's position.
    fn explain<'py>(&self, py: Python<'py>, row: usize) -> Result<Vec<ExplainedParts<'py>>> {
        explain(py, &self.origin, self.positions[row].into())
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        let facts = self.position_facts(py)?;
        let column = |of: fn(&PositionFacts) -> f64| {
            Arc::new(
                facts
                    .iter()
                    .map(|facts| Some(of(facts)))
                    .collect::<Float64Array>(),
            ) as _
        };
        let book = self.origin.book();
        let mut all = vec![
            ("account", id_column(book.accounts(), self.accounts_of())),
            (
                "instrument",
                id_column(book.universe().instruments(), self.instruments_of()),
            ),
            ("quantity", column(|facts| facts.quantity)),
            (
                "isolated_margin",
                Arc::new(Float64Array::from(self.collateral(&facts))),
            ),
            ("notional", column(|facts| facts.notional)),
            ("unrealized_pnl", column(|facts| facts.unrealized_pnl)),
        ];
        all.extend(columns(&self.rows));
        arrow_stream(py, all, requested_schema)
    }

    fn __len__(&self) -> usize {
        self.positions.len()
    }
}
