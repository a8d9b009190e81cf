//! Events of the live engine as Python says them: ids become rows, numbers whole units.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt};
use xmfast_core::exact::{Given, GivenRef};
use xmfast_core::kernel::FloatState;
use xmfast_core::{
    Accrual, Fill, IdColumn, LimitPrice, Limits, MOST_DECIMALS, NewOrder, Payment, Place, Price,
    QUANTITY_DECIMALS, Rounding, whole_units,
};

use crate::cell::{number, shown};
use crate::error::Result;
use crate::frame::{Frame, fault};
use crate::model::LinearModel;
use crate::risk::RiskModel;
use crate::universe::with_id;

pub(crate) type Object<'a, 'py> = &'a Bound<'py, PyAny>;

/// Limits as Python says them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Said<'py> {
    decimals: Vec<u32>,
    borrowable: Vec<bool>,
    position_limit: Bound<'py, PyDict>,
    open_interest_limit: Bound<'py, PyDict>,
    withdrawable_gain_share: f64,
    alert_levels: Vec<f64>,
}

/// What a model is to an engine.
pub(crate) fn margin_model(model: Object<'_, '_>) -> Result<Arc<xmfast_core::MarginModel>> {
    if let Ok(model) = model.cast::<RiskModel>() {
        return Ok(Arc::new(xmfast_core::MarginModel::Risk(Box::new(
            model.get().core().clone(),
        ))));
    }
    let model = model.cast::<LinearModel>().map_err(PyErr::from)?.get();
    let (model, key) = (model.model.clone(), model.key);
    Ok(Arc::new(xmfast_core::MarginModel::Linear(model, key)))
}

pub(crate) fn account(engine: &xmfast_core::Engine, id: Object<'_, '_>) -> Result<u32> {
    with_id("account", id, |id| Ok(engine.account_row(id)?))
}

pub(crate) fn instrument(engine: &xmfast_core::Engine, id: Object<'_, '_>) -> Result<u32> {
    with_id("instrument", id, |id| {
        Ok(engine
            .universe()
            .instrument_row(id, || Place::frame("instrument"))?)
    })
}

pub(crate) fn asset(engine: &xmfast_core::Engine, id: Object<'_, '_>) -> Result<u32> {
    with_id("asset", id, |id| {
        Ok(engine.universe().asset_row(id, || Place::frame("asset"))?)
    })
}

pub(crate) fn price(value: Object<'_, '_>) -> Result<Given> {
    number(value, || Place::frame("price"))
}

/// Contracts, of which a ledger keeps whole units.
pub(crate) fn contracts(value: Object<'_, '_>) -> Result<i128> {
    units("quantity", value, QUANTITY_DECIMALS, Rounding::Refused)
}

pub(crate) fn units(
    name: &'static str,
    value: Object<'_, '_>,
    decimals: u32,
    rounding: Rounding,
) -> Result<i128> {
    let given = number(value, || Place::frame(name))?;
    Ok(whole_units(given.as_ref(), decimals, rounding, || {
        Place::frame(name)
    })?)
}

/// Money of an asset.
pub(crate) fn money(
    engine: &xmfast_core::Engine,
    asset: u32,
    value: Object<'_, '_>,
) -> Result<i128> {
    units("amount", value, engine.decimals(asset), Rounding::Refused)
}

/// A fee, rounded against the account.
pub(crate) fn fee(engine: &xmfast_core::Engine, asset: u32, value: Object<'_, '_>) -> Result<i128> {
    units("fee", value, engine.decimals(asset), Rounding::Up)
}

pub(crate) fn limits(
    said: Object<'_, '_>,
    universe: &xmfast_core::Universe,
) -> Result<(Vec<u32>, Limits)> {
    let said: Said<'_> = said.extract()?;
    check_decimals(&said.decimals)?;
    let mut limits = Limits::none(universe);
    let (position, open_interest) = (&said.position_limit, &said.open_interest_limit);
    contract_limits("position_limit", position, universe, &mut limits.position)?;
    contract_limits(
        "open_interest_limit",
        open_interest,
        universe,
        &mut limits.open_interest,
    )?;
    limits.borrowable = said.borrowable;
    limits.withdrawable_gain_share = said.withdrawable_gain_share.into();
    limits.alert_levels = said.alert_levels;
    Ok((said.decimals, limits))
}

/// Refuses a scale that no asset can have.
pub(crate) fn check_decimals(said: &[u32]) -> Result<()> {
    let Some(decimals) = said.iter().find(|&&decimals| decimals > MOST_DECIMALS) else {
        return Ok(());
    };
    Err(xmfast_core::Error::Parameter {
        place: Place::frame("decimals"),
        problem: format!("{decimals} is more than {MOST_DECIMALS}"),
    }
    .into())
}

/// Reads limits by id of an instrument.
pub(crate) fn contract_limits(
    name: &'static str,
    said: &Bound<'_, PyDict>,
    universe: &xmfast_core::Universe,
    limits: &mut [Option<i128>],
) -> Result<()> {
    for (id, limit) in said {
        let row = with_id(name, &id, |id| {
            Ok(universe.instrument_row(id, || Place::frame(name))?)
        })?;
        let limit = units(name, &limit, QUANTITY_DECIMALS, Rounding::Refused)?;
        if limit < 0 {
            return Err(xmfast_core::Error::Parameter {
                place: Place::frame(name).id(shown(&id)),
                problem: "the limit is negative".to_owned(),
            }
            .into());
        }
        limits[row as usize] = Some(limit);
    }
    Ok(())
}

pub(crate) fn needed(what: &str, value: Object<'_, '_>) -> String {
    format!("{what} is needed, not {}", shown(value))
}

/// True or False, as it was said; `None`: nothing was said, which means False.
#[derive(Clone, Copy)]
pub(crate) struct Flag<'a, 'py>(pub(crate) Option<Borrowed<'a, 'py, PyAny>>);

impl<'a, 'py> FromPyObject<'a, 'py> for Flag<'a, 'py> {
    type Error = std::convert::Infallible;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> std::result::Result<Self, Self::Error> {
        Ok(Self(Some(value)))
    }
}

impl Flag<'_, '_> {
    fn is_true(self, name: &'static str) -> Result<bool> {
        let Some(value) = self.0 else {
            return Ok(false);
        };
        let flag = value.cast::<PyBool>().map(|flag| flag.is_true());
        flag.map_err(|_| fault(&Place::frame(name), None, needed("True or False", &value)))
    }
}

pub(crate) fn order_number(value: Object<'_, '_>) -> Result<u64> {
    let place = Place::frame("order_id");
    let is_whole = value.is_instance_of::<PyInt>() || value.hasattr("__index__")?;
    if value.is_instance_of::<PyBool>() || !is_whole {
        return Err(fault(&place, None, needed("the number of an order", value)));
    }
    let problem = format!("there is no open order {}", shown(value));
    let refused = || xmfast_core::Error::Refused { place, problem };
    value.extract().map_err(|_| refused().into())
}

pub(crate) fn limit_price(value: Object<'_, '_>) -> Result<LimitPrice> {
    let place = || Place::frame("price");
    Ok(LimitPrice::new(number(value, place)?.as_ref(), place)?)
}

/// An order and the account that it is of.
pub(crate) fn new_order(
    engine: &xmfast_core::Engine,
    account_id: Object<'_, '_>,
    instrument_id: Object<'_, '_>,
    (quantity, price): (Object<'_, '_>, Object<'_, '_>),
    reduce_only: Flag<'_, '_>,
) -> Result<(u32, NewOrder)> {
    // What the account holds is on its way while the rest is read.
    let account = account(engine, account_id)?;
    engine.fetch(account, false);
    let instrument = instrument(engine, instrument_id)?;
    engine.fetch(account, true);
    let order = NewOrder {
        instrument,
        quantity: contracts(quantity)?,
        price: limit_price(price)?,
        reduce_only: reduce_only.is_true("reduce_only")?,
    };
    Ok((account, order))
}

pub(crate) fn payment(
    engine: &xmfast_core::Engine,
    account_id: Object<'_, '_>,
    asset_id: Object<'_, '_>,
    amount: Object<'_, '_>,
) -> Result<Payment> {
    let asset = asset(engine, asset_id)?;
    Ok(Payment {
        account: account(engine, account_id)?,
        asset,
        amount: money(engine, asset, amount)?,
    })
}

pub(crate) fn tick_price(
    engine: &xmfast_core::Engine,
    id: Object<'_, '_>,
    is_index: Option<bool>,
    price: Given,
) -> Result<Price> {
    with_id("tick", id, |id| {
        Ok(engine.price_of(id, is_index, price, || Place::frame("tick"))?)
    })
}

/// One row of a frame of trades: account, instrument, contracts, price.
type Trade = (u32, u32, i128, Given);

/// Columns account, instrument, quantity, price, fee, order_id.
pub(crate) fn read_fills(engine: &xmfast_core::Engine, fills: Object<'_, '_>) -> Result<Vec<Fill>> {
    let _state = FloatState::standard();
    let columns = [
        "account",
        "instrument",
        "quantity",
        "price",
        "fee",
        "order_id",
    ];
    let frame = Frame::open("fills", fills, &columns)?;
    let (rows, fees) = (trades(engine, &frame)?, frame.optional_numbers("fee")?);
    let orders = frame.optional_numbers("order_id")?;
    let fill = |(row, (account, instrument, quantity, price)): (usize, Trade)| {
        let decimals = engine.decimals(engine.settlement(instrument));
        let place = || Place::column("fills", "fee").row(row);
        let fee = fees.as_ref().map_or(Ok(0), |fees| {
            whole_units(fees.get(row), decimals, Rounding::Up, place)
        });
        let number = orders.as_ref().map(|orders| order_in(orders.get(row), row));
        Ok(Fill {
            account,
            instrument,
            quantity,
            price,
            fee: fee?,
            // Numbers of orders begin at 1.
            order: number.transpose()?.filter(|&number| number != 0),
        })
    };
    rows.into_iter().enumerate().map(fill).collect()
}

/// The number of an order in a column.
fn order_in(number: GivenRef<'_>, row: usize) -> Result<u64> {
    let place = || Place::column("fills", "order_id").row(row);
    let number = whole_units(number, 0, Rounding::Refused, place)?;
    u64::try_from(number).map_err(|_| {
        let problem = format!("{number} is no number of an order, nor 0 for none");
        let place = place();
        xmfast_core::Error::Value { place, problem }.into()
    })
}

/// Columns id and price.
pub(crate) fn read_ticks(
    engine: &xmfast_core::Engine,
    ticks: Object<'_, '_>,
) -> Result<Vec<Price>> {
    let _state = FloatState::standard();
    let frame = Frame::open("ticks", ticks, &["id", "price"])?;
    let (ids, prices) = (frame.ids("id")?, frame.numbers("price")?);
    let tick = |row: usize| {
        let place = || Place::column("ticks", "id").row(row);
        let price = prices.get(row).to_given();
        Ok(engine.price_of(ids.get(row), None, price, place)?)
    };
    (0..ids.len()).map(tick).collect()
}

pub(crate) fn read_accrual(
    engine: &xmfast_core::Engine,
    time: Option<i64>,
    funding: &Bound<'_, PyDict>,
    interest: &Bound<'_, PyDict>,
) -> Result<Accrual> {
    let mut accrual = Accrual {
        time,
        ..Accrual::default()
    };
    for (id, value) in funding {
        let value = number(&value, || Place::frame("funding").id(shown(&id)))?;
        accrual.funding.push((instrument(engine, &id)?, value));
    }
    for (id, pair) in interest {
        let place = || Place::frame("interest").id(shown(&id));
        let (deposit, borrow): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair.extract()?;
        let indices = [number(&deposit, place)?, number(&borrow, place)?];
        accrual.interest.push((asset(engine, &id)?, indices));
    }
    Ok(accrual)
}

/// Account, instrument, contracts and price of every row.
fn trades(engine: &xmfast_core::Engine, frame: &Frame<'_>) -> Result<Vec<Trade>> {
    let (accounts, instruments) = (frame.ids("account")?, frame.ids("instrument")?);
    let (quantities, prices) = (frame.numbers("quantity")?, frame.numbers("price")?);
    // Where an id stands is looked for only if it is not known.
    let place =
        |column, ids: &IdColumn, code| Place::column(frame.name, column).row(ids.first_row(code));
    let account_rows = (0..accounts.ids.len()).map(|code| {
        let place = || place("account", &accounts, code);
        engine.account_row_at(accounts.ids.get(code), place)
    });
    let account_rows: Vec<u32> = account_rows.collect::<xmfast_core::Result<_>>()?;
    let instrument_rows = (0..instruments.ids.len()).map(|code| {
        let place = || place("instrument", &instruments, code);
        engine
            .universe()
            .instrument_row(instruments.ids.get(code), place)
    });
    let instrument_rows: Vec<u32> = instrument_rows.collect::<xmfast_core::Result<_>>()?;
    (0..accounts.len())
        .map(|row| {
            let place = || Place::column(frame.name, "quantity").row(row);
            let quantity = whole_units(
                quantities.get(row),
                QUANTITY_DECIMALS,
                Rounding::Refused,
                place,
            )?;
            let account = account_rows[accounts.codes[row] as usize];
            let instrument = instrument_rows[instruments.codes[row] as usize];
            Ok((account, instrument, quantity, prices.get(row).to_given()))
        })
        .collect()
}
