use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyList};
use xmfast_core::exact::Given;
use xmfast_core::kernel::FloatState;
use xmfast_core::{
    AccountId, Accrual, Applied, Event, Fill, Id, Limits, MOST_DECIMALS, NewOrder, OpenOrder,
    OrderCheck, Payment, Place, Pool, Price, QUANTITY_DECIMALS, Reason, Rounding, whole_units,
};

use crate::book::{Book, id_array};
use crate::cell::{number, shown};
use crate::error::{Error, Result};
use crate::frame::{Frame, fault};
use crate::market::Market;
use crate::model::LinearModel;
use crate::risk::RiskModel;
use crate::run::run;
use crate::universe::{id_object, with_id};

type Object<'a, 'py> = &'a Bound<'py, PyAny>;

/// See `xmfast.Engine`.
#[pyclass(frozen, module = "xmfast._core")]
pub(crate) struct Engine(Mutex<xmfast_core::Engine>);

/// See `xmfast.OrderCheck`.
#[pyclass(frozen, get_all, module = "xmfast._core")]
pub(crate) struct OrderChecked {
    reason: u8,
    initial_margin: f64,
    free_collateral: f64,
}

impl From<OrderCheck> for OrderChecked {
    fn from(check: OrderCheck) -> Self {
        Self {
            reason: check.reason as u8,
            initial_margin: check.initial_margin,
            free_collateral: check.free_collateral,
        }
    }
}

/// Reasons, margins and free collateral of many checks.
type CheckColumns<'py> = (
    Bound<'py, PyArray1<u8>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<f64>>,
);

/// Name of a kind of event, how many, nanoseconds of all, and counts by power of two of nanoseconds.
type EventCounts = (&'static str, u64, u64, Vec<u64>);

/// Limits as Python says them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Said<'py> {
    decimals: Vec<u32>,
    borrowable: Vec<bool>,
    position_limit: Bound<'py, PyDict>,
    open_interest_limit: Bound<'py, PyDict>,
    withdrawable_gain_share: f64,
}

/// What a model is to an engine.
fn margin_model(model: Object<'_, '_>) -> Result<Arc<xmfast_core::MarginModel>> {
    if let Ok(model) = model.cast::<RiskModel>() {
        return Ok(Arc::new(xmfast_core::MarginModel::Risk(
            model.get().core().clone(),
        )));
    }
    let model = model.cast::<LinearModel>().map_err(PyErr::from)?.get();
    let (model, key) = (model.model.clone(), model.key);
    Ok(Arc::new(xmfast_core::MarginModel::Linear(model, key)))
}

impl Engine {
    /// The engine, waiting for whoever has it; the interpreter is let go meanwhile, so that they can end.
    fn locked<'a>(&'a self, py: Python<'_>) -> MutexGuard<'a, xmfast_core::Engine> {
        loop {
            match self.0.try_lock() {
                Ok(engine) => return engine,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => py.detach(|| {
                    drop(self.0.lock().unwrap_or_else(PoisonError::into_inner));
                }),
            }
        }
    }

    /// Applies an event that concerns few accounts, attached: letting go of the interpreter would take longer.
    fn apply(
        &self,
        py: Python<'_>,
        client_id: Option<Object<'_, '_>>,
        event: impl FnOnce(&xmfast_core::Engine) -> Result<Event>,
    ) -> Result<Applied> {
        let mut engine = self.locked(py);
        let event = event(&engine)?;
        let never = &mut xmfast_core::pool::never;
        let Some(name) = client_id else {
            return Ok(engine.apply(&event, never)?);
        };
        let Ok(name) = name.extract::<&str>() else {
            return Err(fault(
                &Place::frame("client_id"),
                None,
                needed("text", name),
            ));
        };
        Ok(engine.apply_once(name, &event, never)?)
    }

    /// Applies an event that concerns everybody, detached.
    fn apply_to_all<'py>(
        &self,
        py: Python<'py>,
        event: impl FnOnce(&xmfast_core::Engine) -> Result<Event>,
    ) -> Result<Bound<'py, PyAny>> {
        let event = event(&self.locked(py))?;
        run(py, |stop| {
            let mut engine = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let applied = engine.apply(&event, stop)?;
            Ok(fallen(&engine, &applied))
        })
        .map(|(ids, accounts)| id_array(py, &ids, accounts.into_iter()))?
        .map_err(Error::from)
    }
}

/// Ids, and the accounts that an event made liquidatable, each once.
fn fallen(engine: &xmfast_core::Engine, applied: &Applied) -> (Arc<xmfast_core::Ids>, Vec<usize>) {
    let mut accounts: Vec<usize> = Vec::new();
    for &account in &engine.fallen()[applied.fallen.clone()] {
        accounts.push(account as usize);
    }
    (engine.accounts().clone(), accounts)
}

fn account(engine: &xmfast_core::Engine, id: Object<'_, '_>) -> Result<u32> {
    with_id("account", id, |id| Ok(engine.account_row(id)?))
}

fn instrument(engine: &xmfast_core::Engine, id: Object<'_, '_>) -> Result<u32> {
    with_id("instrument", id, |id| {
        Ok(engine
            .universe()
            .instrument_row(id, || Place::frame("instrument"))?)
    })
}

fn asset(engine: &xmfast_core::Engine, id: Object<'_, '_>) -> Result<u32> {
    with_id("asset", id, |id| {
        Ok(engine.universe().asset_row(id, || Place::frame("asset"))?)
    })
}

fn price(value: Object<'_, '_>) -> Result<Given> {
    number(value, || Place::frame("price"))
}

/// Contracts, of which a ledger keeps whole units.
fn contracts(value: Object<'_, '_>) -> Result<i128> {
    units("quantity", value, QUANTITY_DECIMALS, Rounding::Refused)
}

fn units(
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
fn money(engine: &xmfast_core::Engine, asset: u32, value: Object<'_, '_>) -> Result<i128> {
    units("amount", value, engine.decimals(asset), Rounding::Refused)
}

/// A fee, rounded against the account.
fn fee(engine: &xmfast_core::Engine, asset: u32, value: Object<'_, '_>) -> Result<i128> {
    units("fee", value, engine.decimals(asset), Rounding::Up)
}

fn limits(said: Object<'_, '_>, universe: &xmfast_core::Universe) -> Result<(Vec<u32>, Limits)> {
    let said: Said<'_> = said.extract()?;
    if let Some(&decimals) = said
        .decimals
        .iter()
        .find(|&&decimals| decimals > MOST_DECIMALS)
    {
        return Err(xmfast_core::Error::Parameter {
            place: Place::frame("decimals"),
            problem: format!("{decimals} is more than {MOST_DECIMALS}"),
        }
        .into());
    }
    let mut limits = Limits::none(universe);
    let each = |name: &'static str, said: &Bound<'_, PyDict>, of: &mut [Option<i128>]| {
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
            of[row as usize] = Some(limit);
        }
        Ok::<(), Error>(())
    };
    each("position_limit", &said.position_limit, &mut limits.position)?;
    each(
        "open_interest_limit",
        &said.open_interest_limit,
        &mut limits.open_interest,
    )?;
    limits.borrowable = said.borrowable;
    limits.withdrawable_gain_share = said.withdrawable_gain_share.into();
    Ok((said.decimals, limits))
}

#[pymethods]
impl Engine {
    #[new]
    fn new(
        py: Python<'_>,
        book: &Bound<'_, Book>,
        market: &Bound<'_, Market>,
        model: Object<'_, '_>,
        said: Object<'_, '_>,
    ) -> Result<Self> {
        let _state = FloatState::standard();
        let (book, market, model) = (&book.get().0, &market.get().0, margin_model(model)?);
        let (decimals, limits) = limits(said, book.universe())?;
        let open = |stop: xmfast_core::pool::Stop<'_>| {
            xmfast_core::Engine::new(book, market, model, (&decimals, limits), stop)
        };
        Ok(Self(Mutex::new(run(py, open)?)))
    }

    fn check_order(
        &self,
        py: Python<'_>,
        account_id: Object<'_, '_>,
        instrument_id: Object<'_, '_>,
        quantity: Object<'_, '_>,
        price: Object<'_, '_>,
        reduce_only: Object<'_, '_>,
    ) -> Result<OrderChecked> {
        let mut engine = self.locked(py);
        let row = account(&engine, account_id)?;
        let order = new_order(&engine, instrument_id, quantity, price, reduce_only)?;
        Ok(engine.check_order(row, order, None)?.into())
    }

    /// Columns account, instrument, quantity, price, reduce_only.
    fn check_orders<'py>(
        &self,
        py: Python<'py>,
        orders: Object<'_, 'py>,
    ) -> Result<CheckColumns<'py>> {
        let _state = FloatState::standard();
        let columns = ["account", "instrument", "quantity", "price", "reduce_only"];
        let frame = Frame::open("orders", orders, &columns)?;
        let (rows, flags) = (
            trades(&self.locked(py), &frame)?,
            frame.optional_flags("reduce_only")?,
        );
        let orders = rows.into_iter().enumerate();
        let order =
            |(row, (account, instrument, quantity, price)): (usize, (u32, u32, i128, f64))| {
                let order = NewOrder {
                    instrument,
                    quantity,
                    price,
                    reduce_only: flags.as_ref().is_some_and(|flags| flags[row]),
                };
                (account, order)
            };
        let orders: Vec<(u32, NewOrder)> = orders.map(order).collect();
        let checks = run(py, |stop| {
            let mut engine = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            engine.check_orders(&orders, stop)
        })?;
        let reasons: Vec<u8> = checks.iter().map(|check| check.reason as u8).collect();
        let margins: Vec<f64> = checks.iter().map(|check| check.initial_margin).collect();
        let free: Vec<f64> = checks.iter().map(|check| check.free_collateral).collect();
        Ok((
            reasons.into_pyarray(py),
            margins.into_pyarray(py),
            free.into_pyarray(py),
        ))
    }

    /// Number of the order, if it was placed, and its check.
    #[expect(clippy::too_many_arguments, reason = "as many as Python passes")]
    fn place(
        &self,
        py: Python<'_>,
        account_id: Object<'_, '_>,
        instrument_id: Object<'_, '_>,
        quantity: Object<'_, '_>,
        price: Object<'_, '_>,
        reduce_only: Object<'_, '_>,
        client_id: Option<Object<'_, '_>>,
    ) -> Result<(Option<u64>, OrderChecked)> {
        let applied = self.apply(py, client_id, |engine| {
            Ok(Event::Place {
                account: account(engine, account_id)?,
                order: new_order(engine, instrument_id, quantity, price, reduce_only)?,
            })
        })?;
        let check = applied.check.expect("an order was checked");
        Ok((applied.order, check.into()))
    }

    fn amend(
        &self,
        py: Python<'_>,
        order: Object<'_, '_>,
        quantity: Option<Object<'_, '_>>,
        new_price: Option<Object<'_, '_>>,
        client_id: Option<Object<'_, '_>>,
    ) -> Result<OrderChecked> {
        let applied = self.apply(py, client_id, |_| {
            Ok(Event::Amend {
                order: order_number(order)?,
                quantity: quantity.map(contracts).transpose()?,
                price: new_price.map(limit_price).transpose()?,
            })
        })?;
        Ok(applied.check.expect("an order was checked").into())
    }

    fn cancel(
        &self,
        py: Python<'_>,
        order: Object<'_, '_>,
        client_id: Option<Object<'_, '_>>,
    ) -> Result<()> {
        self.apply(py, client_id, |_| {
            Ok(Event::Cancel {
                order: order_number(order)?,
            })
        })?;
        Ok(())
    }

    /// Number, instrument, quantity, price, reduce_only of every open order.
    fn open_orders<'py>(
        &self,
        py: Python<'py>,
        account_id: Object<'_, '_>,
    ) -> Result<Vec<(u64, Bound<'py, PyAny>, f64, f64, bool)>> {
        let engine = self.locked(py);
        let row = account(&engine, account_id)?;
        let orders = engine.open_orders(row);
        let names = engine.universe().instruments();
        let shown = |order: &OpenOrder| {
            let quantity = xmfast_core::float_of(order.quantity, QUANTITY_DECIMALS);
            let id = id_object(py, names.get(order.instrument as usize))?;
            Ok((order.id, id, quantity, order.price, order.reduce_only))
        };
        orders.iter().map(shown).collect()
    }

    #[expect(clippy::too_many_arguments, reason = "as many as Python passes")]
    fn fill(
        &self,
        py: Python<'_>,
        account_id: Object<'_, '_>,
        instrument_id: Object<'_, '_>,
        quantity: Object<'_, '_>,
        at: Object<'_, '_>,
        fee_paid: Object<'_, '_>,
        order: Option<Object<'_, '_>>,
        client_id: Option<Object<'_, '_>>,
    ) -> Result<()> {
        self.apply(py, client_id, |engine| {
            let instrument = instrument(engine, instrument_id)?;
            Ok(Event::Fill(Fill {
                account: account(engine, account_id)?,
                instrument,
                quantity: contracts(quantity)?,
                price: price(at)?,
                fee: fee(engine, engine.settlement(instrument), fee_paid)?,
                order: order.map(order_number).transpose()?,
            }))
        })?;
        Ok(())
    }

    /// Columns account, instrument, quantity, price, fee.
    fn fills(&self, py: Python<'_>, fills: Object<'_, '_>) -> Result<()> {
        let _state = FloatState::standard();
        let columns = ["account", "instrument", "quantity", "price", "fee"];
        let frame = Frame::open("fills", fills, &columns)?;
        let fees = frame.optional_numbers("fee")?;
        let fills = {
            let engine = self.locked(py);
            let rows = trades(&engine, &frame)?;
            let fill =
                |(row, (account, instrument, quantity, price)): (usize, (u32, u32, i128, f64))| {
                    let decimals = engine.decimals(engine.settlement(instrument));
                    let place = || Place::column("fills", "fee").row(row);
                    let fee = fees.as_ref().map_or(Ok(0), |fees| {
                        whole_units(fees.get(row), decimals, Rounding::Up, place)
                    });
                    Ok(Fill {
                        account,
                        instrument,
                        quantity,
                        price: price.into(),
                        fee: fee?,
                        order: None,
                    })
                };
            rows.into_iter()
                .enumerate()
                .map(fill)
                .collect::<Result<Vec<Fill>>>()?
        };
        run(py, |stop| {
            let mut engine = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            engine.apply_fills(&fills, stop)
        })
    }

    #[expect(clippy::too_many_arguments, reason = "as many as Python passes")]
    fn trade(
        &self,
        py: Python<'_>,
        accounts: (Bound<'_, PyAny>, Bound<'_, PyAny>),
        instrument_id: Object<'_, '_>,
        quantity: Object<'_, '_>,
        at: Object<'_, '_>,
        fees: (Bound<'_, PyAny>, Bound<'_, PyAny>),
        orders: (Option<Bound<'_, PyAny>>, Option<Bound<'_, PyAny>>),
        client_id: Option<Object<'_, '_>>,
    ) -> Result<()> {
        self.apply(py, client_id, |engine| {
            let instrument = instrument(engine, instrument_id)?;
            let settlement = engine.settlement(instrument);
            let (quantity, price) = (contracts(quantity)?, price(at)?);
            let side = |id, quantity, paid, order: Option<&Bound<'_, PyAny>>| {
                Ok::<Fill, Error>(Fill {
                    account: account(engine, id)?,
                    instrument,
                    quantity,
                    price: price.clone(),
                    fee: fee(engine, settlement, paid)?,
                    order: order.map(order_number).transpose()?,
                })
            };
            Ok(Event::Trade {
                maker: side(&accounts.0, -quantity, &fees.0, orders.0.as_ref())?,
                taker: side(&accounts.1, quantity, &fees.1, orders.1.as_ref())?,
            })
        })?;
        Ok(())
    }

    fn deposit(
        &self,
        py: Python<'_>,
        account_id: Object<'_, '_>,
        asset_id: Object<'_, '_>,
        amount: Object<'_, '_>,
        client_id: Option<Object<'_, '_>>,
    ) -> Result<()> {
        self.apply(py, client_id, |engine| {
            Ok(Event::Deposit(payment(
                engine, account_id, asset_id, amount,
            )?))
        })?;
        Ok(())
    }

    fn withdraw(
        &self,
        py: Python<'_>,
        account_id: Object<'_, '_>,
        asset_id: Object<'_, '_>,
        amount: Object<'_, '_>,
        client_id: Option<Object<'_, '_>>,
    ) -> Result<()> {
        self.apply(py, client_id, |engine| {
            Ok(Event::Withdraw(payment(
                engine, account_id, asset_id, amount,
            )?))
        })?;
        Ok(())
    }

    /// Of an asset or of an instrument.
    fn transfer(
        &self,
        py: Python<'_>,
        source: Object<'_, '_>,
        target: Object<'_, '_>,
        id: Object<'_, '_>,
        amount: Object<'_, '_>,
        client_id: Option<Object<'_, '_>>,
    ) -> Result<()> {
        self.apply(py, client_id, |engine| {
            let to = account(engine, target)?;
            let found = with_id("transfer", id, |id| {
                Ok(engine.universe().instruments().find(id))
            })?;
            Ok(match found {
                Some(instrument) => Event::TransferPosition {
                    from: account(engine, source)?,
                    to,
                    instrument,
                    quantity: units("amount", amount, QUANTITY_DECIMALS, Rounding::Refused)?,
                },
                None => Event::Transfer {
                    payment: payment(engine, source, id, amount)?,
                    to,
                },
            })
        })?;
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "as many as Python passes")]
    fn exchange(
        &self,
        py: Python<'_>,
        account_id: Object<'_, '_>,
        sell: Object<'_, '_>,
        buy: Object<'_, '_>,
        sold: Object<'_, '_>,
        bought: Object<'_, '_>,
        fee_paid: Object<'_, '_>,
        client_id: Option<Object<'_, '_>>,
    ) -> Result<()> {
        self.apply(py, client_id, |engine| {
            let asset_bought = asset(engine, buy)?;
            Ok(Event::Exchange {
                sold: payment(engine, account_id, sell, sold)?,
                bought: asset_bought,
                amount: money(engine, asset_bought, bought)?,
                fee: fee(engine, asset_bought, fee_paid)?,
            })
        })?;
        Ok(())
    }

    /// Of one instrument, or of an index.
    fn tick<'py>(
        &self,
        py: Python<'py>,
        id: Object<'_, '_>,
        is_index: bool,
        new_price: Object<'_, '_>,
    ) -> Result<Bound<'py, PyAny>> {
        let one = |engine: &xmfast_core::Engine| {
            Ok(Event::Tick(vec![tick_price(
                engine,
                id,
                Some(is_index),
                price(new_price)?,
            )?]))
        };
        if !self.locked(py).has_levels() {
            return self.apply_to_all(py, one);
        }
        let mut engine = self.locked(py);
        let event = one(&engine)?;
        let applied = engine.apply(&event, &mut xmfast_core::pool::never)?;
        let (ids, accounts) = fallen(&engine, &applied);
        Ok(id_array(py, &ids, accounts.into_iter())?)
    }

    /// Of instruments and indices by id, each with its price.
    fn ticks<'py>(&self, py: Python<'py>, prices: Object<'_, '_>) -> Result<Bound<'py, PyAny>> {
        let _state = FloatState::standard();
        let frame = Frame::open("ticks", prices, &["id", "price"])?;
        let (ids, numbers) = (frame.ids("id")?, frame.numbers("price")?);
        self.apply_to_all(py, |engine| {
            let mut ticks = Vec::with_capacity(ids.len());
            for row in 0..ids.len() {
                let place = || Place::column("ticks", "id").row(row);
                let price = numbers.get(row).to_given();
                ticks.push(engine.price_of(ids.get(row), None, price, place)?);
            }
            Ok(Event::Tick(ticks))
        })
    }

    fn accrue<'py>(
        &self,
        py: Python<'py>,
        time: Option<i64>,
        funding: &Bound<'py, PyDict>,
        interest: &Bound<'py, PyDict>,
    ) -> Result<Bound<'py, PyAny>> {
        self.apply_to_all(py, |engine| {
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
            Ok(Event::Accrue(Box::new(accrual)))
        })
    }

    fn settle<'py>(
        &self,
        py: Python<'py>,
        instrument_id: Object<'_, '_>,
        at: Object<'_, '_>,
    ) -> Result<Bound<'py, PyAny>> {
        self.apply_to_all(py, |engine| {
            Ok(Event::Settle {
                instrument: instrument(engine, instrument_id)?,
                price: price(at)?,
            })
        })
    }

    fn set_parameters<'py>(
        &self,
        py: Python<'py>,
        model: Object<'_, '_>,
    ) -> Result<Bound<'py, PyAny>> {
        let model = margin_model(model)?;
        self.apply_to_all(py, |_| Ok(Event::SetParameters(model)))
    }

    fn add_account(
        &self,
        py: Python<'_>,
        id: Object<'_, '_>,
        client_id: Option<Object<'_, '_>>,
    ) -> Result<()> {
        self.apply(py, client_id, |_| {
            with_id("account", id, |id| {
                Ok(Event::AddAccount(match id {
                    Id::Int(id) => AccountId::Int(id),
                    Id::Text(id) => AccountId::Text(id.to_owned()),
                }))
            })
        })?;
        Ok(())
    }

    fn fallen<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut engine = self.locked(py);
        let accounts = engine.drain_fallen();
        id_array(
            py,
            engine.accounts(),
            accounts.into_iter().map(|account| account as usize),
        )
    }

    fn recovered<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut engine = self.locked(py);
        let accounts = engine.drain_recovered();
        id_array(
            py,
            engine.accounts(),
            accounts.into_iter().map(|account| account as usize),
        )
    }

    fn liquidatable<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.locked(py);
        let accounts = engine.liquidatable();
        id_array(
            py,
            engine.accounts(),
            accounts.into_iter().map(|account| account as usize),
        )
    }

    /// Accounts and instruments.
    fn liquidatable_positions<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyList>)> {
        let engine = self.locked(py);
        let positions: Vec<(u32, u32)> = engine.liquidatable_positions().collect();
        let accounts = positions.iter().map(|(account, _)| *account as usize);
        let names = engine.universe().instruments();
        let instruments = PyList::empty(py);
        for (_, instrument) in &positions {
            instruments.append(id_object(py, names.get(*instrument as usize))?)?;
        }
        Ok((id_array(py, engine.accounts(), accounts)?, instruments))
    }

    /// The book and the market of one moment.
    fn snapshot(&self, py: Python<'_>) -> Result<(Book, Market)> {
        let (snapshot, market) = {
            let engine = self.locked(py);
            (engine.snapshot(), engine.market().clone())
        };
        let book = run(py, |stop| snapshot.book(stop))?;
        Ok((Book(book), Market(market)))
    }

    /// By asset: units by pool, in the order of `pools`, and decimals.
    fn totals(&self, py: Python<'_>) -> Vec<(Vec<i128>, u32)> {
        let engine = self.locked(py);
        let totals = engine.totals().iter().enumerate();
        totals
            .map(|(asset, totals)| (totals.to_vec(), engine.decimals(asset as u32)))
            .collect()
    }

    /// Names of the pools.
    #[staticmethod]
    fn pools() -> Vec<&'static str> {
        Pool::ALL.iter().map(|(_, name)| *name).collect()
    }

    /// Names of the reasons.
    #[staticmethod]
    fn reasons() -> Vec<&'static str> {
        Reason::ALL.iter().map(|(_, name)| *name).collect()
    }

    fn residue(&self, py: Python<'_>) -> Vec<f64> {
        self.locked(py).residue().to_vec()
    }

    fn state_hash(&self, py: Python<'_>) -> String {
        format!("{:032x}", self.locked(py).state_hash())
    }

    /// Counts by kind of event, and how many accounts price changes made the engine judge.
    fn metrics(&self, py: Python<'_>) -> (Vec<EventCounts>, u64) {
        let engine = self.locked(py);
        let metrics = engine.metrics();
        let events = metrics.events.iter().map(|(name, latency)| {
            let total = latency.total.as_nanos() as u64;
            (*name, latency.count, total, latency.buckets.to_vec())
        });
        (events.collect(), metrics.rejudged)
    }

    /// Bytes of the ledger, number of levels, bytes of what watches.
    fn memory(&self, py: Python<'_>) -> (usize, usize, usize) {
        self.locked(py).memory()
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.locked(py).accounts().len()
    }
}

fn needed(what: &str, value: Object<'_, '_>) -> String {
    format!("{what} is needed, not {}", shown(value))
}

fn flag(name: &'static str, value: Object<'_, '_>) -> Result<bool> {
    let flag = value.cast::<PyBool>().map(|flag| flag.is_true());
    flag.map_err(|_| fault(&Place::frame(name), None, needed("True or False", value)))
}

fn order_number(value: Object<'_, '_>) -> Result<u64> {
    let place = Place::frame("order_id");
    if value.is_instance_of::<PyBool>() || !value.is_instance_of::<PyInt>() {
        return Err(fault(&place, None, needed("the number of an order", value)));
    }
    let problem = format!("there is no open order {}", shown(value));
    let refused = || xmfast_core::Error::Refused { place, problem };
    value.extract().map_err(|_| refused().into())
}

fn limit_price(value: Object<'_, '_>) -> Result<f64> {
    Ok(price(value)?.float())
}

fn new_order(
    engine: &xmfast_core::Engine,
    instrument_id: Object<'_, '_>,
    quantity: Object<'_, '_>,
    price: Object<'_, '_>,
    reduce_only: Object<'_, '_>,
) -> Result<NewOrder> {
    Ok(NewOrder {
        instrument: instrument(engine, instrument_id)?,
        quantity: contracts(quantity)?,
        price: limit_price(price)?,
        reduce_only: flag("reduce_only", reduce_only)?,
    })
}

fn payment(
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

fn tick_price(
    engine: &xmfast_core::Engine,
    id: Object<'_, '_>,
    is_index: Option<bool>,
    price: Given,
) -> Result<Price> {
    with_id("tick", id, |id| {
        Ok(engine.price_of(id, is_index, price, || Place::frame("tick"))?)
    })
}

/// Account, instrument, contracts and price of every row.
fn trades(engine: &xmfast_core::Engine, frame: &Frame<'_>) -> Result<Vec<(u32, u32, i128, f64)>> {
    let (accounts, instruments) = (frame.ids("account")?, frame.ids("instrument")?);
    let (quantities, prices) = (frame.numbers("quantity")?, frame.numbers("price")?);
    let known = |column: &'static str,
                 ids: &xmfast_core::IdColumn,
                 found: &dyn Fn(Id<'_>, Place) -> xmfast_core::Result<u32>| {
        (0..ids.ids.len())
            .map(|code| {
                let place = Place::column(frame.name, column).row(ids.first_row(code));
                found(ids.ids.get(code), place)
            })
            .collect::<xmfast_core::Result<Vec<u32>>>()
    };
    let account_rows = known("account", &accounts, &|id, place| {
        engine.account_row_at(id, place)
    })?;
    let instrument_rows = known("instrument", &instruments, &|id, place| {
        engine.universe().instrument_row(id, || place)
    })?;
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
            Ok((account, instrument, quantity, prices.floats()[row]))
        })
        .collect()
}
