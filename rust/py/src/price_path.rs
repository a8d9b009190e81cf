use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use xmfast_core::{Place, Settlement, nearest_moves, zero_moves};

use crate::book::Book;
use crate::cell::number;
use crate::error::Result;
use crate::liquidation_price::threshold;
use crate::lookup::account_row;
use crate::market::Market;
use crate::model::LinearModel;
use crate::run::run;
use crate::universe::{Universe, with_id};

/// See `xmfast.PricePath`.
#[pyclass(frozen, module = "xmfast._core")]
pub(crate) struct PricePath(xmfast_core::PricePath);

#[pymethods]
impl PricePath {
    /// Betas by id of an asset, underlying or instrument.
    #[new]
    fn new(universe: &Bound<'_, Universe>, betas: &Bound<'_, PyDict>) -> Result<Self> {
        let mut path = xmfast_core::PricePath::new(&universe.get().0);
        for (id, beta) in betas {
            let beta = number(&beta, || Place::frame("betas").id(&id))?.float();
            with_id("betas", &id, |id| Ok(path.set_beta(id, beta)?))?;
        }
        Ok(Self(path))
    }

    fn index_beta<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_slice(py, self.0.index_beta())
    }

    fn mark_beta<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_slice(py, self.0.mark_beta())
    }
}

/// See `xmfast.liquidation_moves`: all moves of one account, ascending.
#[pyfunction]
pub(crate) fn account_moves(
    model: &Bound<'_, LinearModel>,
    book: &Bound<'_, Book>,
    market: &Bound<'_, Market>,
    path: &Bound<'_, PricePath>,
    account: &Bound<'_, PyAny>,
    bankruptcy: bool,
) -> Result<Vec<f64>> {
    let LinearModel { model, key } = model.get();
    let settlement = Settlement::new(model, *key, &book.get().0, &market.get().0)?;
    let account = account_row(settlement.book, account)?;
    Ok(zero_moves(
        &settlement,
        &path.get().0,
        account,
        threshold(bankruptcy),
    )?)
}

type FallAndRise<'py> = (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>);

/// See `xmfast.liquidation_move`: the nearest fall and rise of every account, NaN where there is none.
#[pyfunction]
pub(crate) fn book_moves<'py>(
    py: Python<'py>,
    model: &Bound<'py, LinearModel>,
    book: &Bound<'py, Book>,
    market: &Bound<'py, Market>,
    path: &Bound<'py, PricePath>,
    bankruptcy: bool,
) -> Result<FallAndRise<'py>> {
    let LinearModel { model, key } = model.get();
    let (book, market, path) = (&book.get().0, &market.get().0, &path.get().0);
    let threshold = threshold(bankruptcy);
    let moves = run(py, |stop| {
        nearest_moves((model, *key), book, market, path, threshold, stop)
    })?;
    let column = |side: fn(&xmfast_core::Moves) -> Option<f64>| {
        let column: Vec<f64> = moves
            .iter()
            .map(|moves| side(moves).unwrap_or(f64::NAN))
            .collect();
        column.into_pyarray(py)
    };
    Ok((column(|moves| moves.fall), column(|moves| moves.rise)))
}
