use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use xmfast_core::{Settlement, Threshold, position_prices, zero_prices};

use crate::book::Book;
use crate::error::Result;
use crate::lookup::{account_row, instrument_row};
use crate::market::Market;
use crate::model::LinearModel;
use crate::run::run;

/// What is asked for.
pub(crate) fn threshold(bankruptcy: bool) -> Threshold {
    if bankruptcy {
        Threshold::Bankruptcy
    } else {
        Threshold::Liquidation
    }
}

/// See `xmfast.liquidation_price`: the nearest mark, and all of them.
#[pyfunction]
pub(crate) fn account_prices(
    model: &Bound<'_, LinearModel>,
    book: &Bound<'_, Book>,
    market: &Bound<'_, Market>,
    account: &Bound<'_, PyAny>,
    instrument: &Bound<'_, PyAny>,
    bankruptcy: bool,
) -> Result<(Option<f64>, Vec<f64>)> {
    let LinearModel { model, key } = model.get();
    let (book, market) = (&book.get().0, &market.get().0);
    let settlement = Settlement::new(model, *key, book, market)?;
    let account = account_row(book, account)?;
    let instrument = instrument_row(book.universe(), instrument)?;
    let prices = zero_prices(&settlement, account, instrument, threshold(bankruptcy))?;
    Ok((prices.nearest, prices.all))
}

/// See `xmfast.liquidation_price`: one price for every position.
#[pyfunction]
pub(crate) fn book_prices<'py>(
    py: Python<'py>,
    model: &Bound<'py, LinearModel>,
    book: &Bound<'py, Book>,
    market: &Bound<'py, Market>,
    bankruptcy: bool,
) -> Result<Bound<'py, PyArray1<f64>>> {
    let LinearModel { model, key } = model.get();
    let (book, market) = (&book.get().0, &market.get().0);
    let prices = run(py, |stop| {
        position_prices(model, *key, book, market, threshold(bankruptcy), stop)
    })?;
    Ok(prices.into_pyarray(py))
}
