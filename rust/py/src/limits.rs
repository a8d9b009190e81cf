use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use xmfast_core::exact::Given;
use xmfast_core::{
    Offer, Place, Settlement, buying_power, buying_power_of_all, cheapest_collateral, transferable,
    withdrawable, withdrawable_of_all,
};

use crate::book::Book;
use crate::cell::number;
use crate::error::Result;
use crate::lookup::{account_row, asset_row, instrument_row};
use crate::market::Market;
use crate::model::LinearModel;
use crate::run::run;

type TwoArrays<'py> = (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>);

fn settlement<'a>(
    model: &'a Bound<'_, LinearModel>,
    book: &'a Bound<'_, Book>,
    market: &'a Bound<'_, Market>,
) -> Result<Settlement<'a>> {
    let LinearModel { model, key } = model.get();
    let (book, market) = (&book.get().0, &market.get().0);
    Ok(Settlement::new(model, *key, book, market)?)
}

fn given(name: &'static str, value: &Bound<'_, PyAny>) -> Result<Given> {
    number(value, || Place::frame(name))
}

/// See `xmfast.buying_power`: contracts to buy and to sell.
#[pyfunction]
pub(crate) fn account_buying_power(
    model: &Bound<'_, LinearModel>,
    book: &Bound<'_, Book>,
    market: &Bound<'_, Market>,
    account: &Bound<'_, PyAny>,
    instrument: &Bound<'_, PyAny>,
    price: Option<&Bound<'_, PyAny>>,
) -> Result<(f64, f64)> {
    let settlement = settlement(model, book, market)?;
    let account = account_row(settlement.book, account)?;
    let instrument = instrument_row(settlement.book.universe(), instrument)?;
    let price = price.map(|price| given("price", price)).transpose()?;
    let power = buying_power(&settlement, account, instrument, price.as_ref())?;
    Ok((power.long, power.short))
}

/// See `xmfast.buying_power`: of every account.
#[pyfunction]
pub(crate) fn book_buying_power<'py>(
    py: Python<'py>,
    model: &Bound<'py, LinearModel>,
    book: &Bound<'py, Book>,
    market: &Bound<'py, Market>,
    instrument: &Bound<'py, PyAny>,
    price: Option<&Bound<'py, PyAny>>,
) -> Result<TwoArrays<'py>> {
    let LinearModel { model, key } = model.get();
    let (book, market) = (&book.get().0, &market.get().0);
    let instrument = instrument_row(book.universe(), instrument)?;
    let price = price.map(|price| given("price", price)).transpose()?;
    let power = run(py, |stop| {
        buying_power_of_all(
            (model, *key),
            book,
            market,
            instrument,
            price.as_ref(),
            stop,
        )
    })?;
    let column = |side: fn(&xmfast_core::BuyingPower) -> f64| {
        power
            .iter()
            .map(side)
            .collect::<Vec<f64>>()
            .into_pyarray(py)
    };
    Ok((column(|power| power.long), column(|power| power.short)))
}

/// See `xmfast.withdrawable`: asset units.
#[pyfunction]
pub(crate) fn account_withdrawable(
    model: &Bound<'_, LinearModel>,
    book: &Bound<'_, Book>,
    market: &Bound<'_, Market>,
    account: &Bound<'_, PyAny>,
    asset: &Bound<'_, PyAny>,
    unrealized_gain_share: &Bound<'_, PyAny>,
) -> Result<f64> {
    let settlement = settlement(model, book, market)?;
    let account = account_row(settlement.book, account)?;
    let asset = asset_row(settlement.book.universe(), asset)?;
    let share = given("unrealized_gain_share", unrealized_gain_share)?;
    Ok(withdrawable(&settlement, account, asset, &share)?)
}

/// See `xmfast.withdrawable`: of every account.
#[pyfunction]
pub(crate) fn book_withdrawable<'py>(
    py: Python<'py>,
    model: &Bound<'py, LinearModel>,
    book: &Bound<'py, Book>,
    market: &Bound<'py, Market>,
    asset: &Bound<'py, PyAny>,
    unrealized_gain_share: &Bound<'py, PyAny>,
) -> Result<Bound<'py, PyArray1<f64>>> {
    let LinearModel { model, key } = model.get();
    let (book, market) = (&book.get().0, &market.get().0);
    let asset = asset_row(book.universe(), asset)?;
    let share = given("unrealized_gain_share", unrealized_gain_share)?;
    let amounts = run(py, |stop| {
        withdrawable_of_all((model, *key), book, market, asset, &share, stop)
    })?;
    Ok(amounts.into_pyarray(py))
}

/// See `xmfast.transferable`: the least that the target needs, the most that the source may let go.
#[pyfunction]
#[expect(
    clippy::needless_pass_by_value,
    reason = "an extracted pair is passed so"
)]
pub(crate) fn account_transferable(
    model: &Bound<'_, LinearModel>,
    book: &Bound<'_, Book>,
    market: &Bound<'_, Market>,
    accounts: (Bound<'_, PyAny>, Bound<'_, PyAny>),
    asset: &Bound<'_, PyAny>,
    unrealized_gain_share: &Bound<'_, PyAny>,
) -> Result<(Option<f64>, f64)> {
    let settlement = settlement(model, book, market)?;
    let source = account_row(settlement.book, &accounts.0)?;
    let target = account_row(settlement.book, &accounts.1)?;
    let asset = asset_row(settlement.book.universe(), asset)?;
    let share = given("unrealized_gain_share", unrealized_gain_share)?;
    let found = transferable(&settlement, (source, target), asset, &share)?;
    Ok((found.least, found.most))
}

/// See `xmfast.cheapest_collateral`: amounts by asset, their value and cost. `offers` has for each asset what is
/// available and what it costs.
#[pyfunction]
pub(crate) fn cheapest<'py>(
    py: Python<'py>,
    model: &Bound<'py, LinearModel>,
    market: &Bound<'py, Market>,
    need: &Bound<'py, PyAny>,
    offers: &Bound<'py, PyDict>,
    initial: bool,
) -> Result<(Bound<'py, PyDict>, f64, f64)> {
    let model = &model.get().model;
    let mut read = Vec::with_capacity(offers.len());
    for (asset, offer) in offers {
        let (available, cost_rate): (Bound<'_, PyAny>, Bound<'_, PyAny>) = offer.extract()?;
        read.push(Offer {
            asset: asset_row(model.universe(), &asset)?,
            available: number(&available, || Place::frame("available").id(&asset))?,
            cost_rate: number(&cost_rate, || Place::frame("cost_rate").id(&asset))?,
        });
    }
    let need = given("need", need)?;
    let lock = cheapest_collateral(model, &market.get().0, &need, &read, initial)?;
    let amounts = PyDict::new(py);
    for (asset, amount) in offers.keys().iter().zip(lock.amounts) {
        amounts.set_item(asset, amount)?;
    }
    Ok((amounts, lock.value, lock.cost))
}
