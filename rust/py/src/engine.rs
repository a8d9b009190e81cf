//! The live engine: a method for each thing that can be asked of it or told it. What only passes on what was said to
//! `xmfast.Engine` begins with an underscore.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use xmfast_core::kernel::FloatState;
use xmfast_core::{AccountId, Event, Fill, Id, Place, Pool, QUANTITY_DECIMALS, Rounding};

use crate::book::{Book, id_array};
use crate::engine_figures::{
    AssetTotals, EventCounts, ShownOrder, event_counts, fallen, ids_of, residue, shown_orders,
    totals,
};
use crate::engine_lock::Engine;
use crate::error::{Error, Result};
use crate::events::{
    Flag, Object, account, asset, contracts, fee, instrument, limit_price, limits, margin_model,
    money, new_order, order_number, payment, price, read_accrual, read_fills, read_ticks,
    tick_price, units,
};
use crate::extension::read_extension;
use crate::market::Market;
use crate::order_check::{CheckColumns, OrderCheck, check_columns, columns_of};
use crate::order_columns::OrderColumns;
use crate::run::run;
use crate::universe::{id_object, with_id};

#[pymethods]
impl Engine {
    #[new]
    fn new(
        py: Python<'_>,
        book: &Bound<'_, Book>,
        market: &Bound<'_, Market>,
        model: Object<'_, '_>,
        known_as: Py<PyAny>,
        said: Object<'_, '_>,
    ) -> Result<Self> {
        let _state = FloatState::standard();
        let (book, market, model) = (&book.get().0, &market.get().0, margin_model(model)?);
        let (decimals, limits) = limits(said, book.universe())?;
        let open = |stop: xmfast_core::pool::Stop<'_>| {
            xmfast_core::Engine::new(book, market, model, (&decimals, limits), stop)
        };
        Ok(Self::of(run(py, open)?, known_as))
    }

    /// Say whether an order may rest; nothing changes.
    ///
    /// Parameters
    /// ----------
    /// quantity : number
    ///     Contracts, negative to sell; at most 8 decimals.
    /// price : number
    ///     Limit price, quote; exact, with up to 37 digits.
    /// reduce_only : bool
    ///     Whether it can only make a position smaller: then it is accepted however little is left, if there is a
    ///     position on the other side as large as all such orders together.
    ///
    /// Returns
    /// -------
    /// OrderCheck
    ///     Accepted if initial health is >= 0 after the order rests, decided exactly, and no limit is passed.
    #[pyo3(
        signature = (account, instrument, quantity, price, reduce_only=Flag(None)),
        text_signature = "($self, account, instrument, quantity, price, reduce_only=False)"
    )]
    fn check_order(
        &self,
        py: Python<'_>,
        account: Object<'_, '_>,
        instrument: Object<'_, '_>,
        quantity: Object<'_, '_>,
        price: Object<'_, '_>,
        reduce_only: Flag<'_, '_>,
    ) -> Result<OrderCheck> {
        let mut engine = self.locked(py)?;
        let terms = (quantity, price);
        let (account, order) = new_order(&engine, account, instrument, terms, reduce_only)?;
        Ok(engine.check_order(account, order, None)?.into())
    }

    /// Columns account, instrument, quantity, price, reduce_only.
    fn _check_orders<'py>(
        &self,
        py: Python<'py>,
        orders: Object<'_, 'py>,
    ) -> Result<CheckColumns<'py>> {
        self.refuse_reentry()?;
        let orders = OrderColumns::read(orders)?;
        let orders = orders.rows();
        let columns = run(py, |stop| {
            let mut engine = self.held();
            let read = |engine: &xmfast_core::Engine, rows: &[usize], into: &mut Vec<_>| {
                orders.read(engine, rows, into)
            };
            Ok(columns_of(&engine.check_orders(
                orders.len(),
                read,
                stop,
            )?))
        })?;
        Ok(check_columns(py, columns))
    }

    /// Number of the order, if it was placed, and its check.
    #[expect(clippy::too_many_arguments, reason = "as many as Python passes")]
    fn _place(
        &self,
        py: Python<'_>,
        account_id: Object<'_, '_>,
        instrument_id: Object<'_, '_>,
        quantity: Object<'_, '_>,
        price: Object<'_, '_>,
        reduce_only: Flag<'_, '_>,
        client_id: Option<Object<'_, '_>>,
    ) -> Result<(Option<u64>, OrderCheck)> {
        let applied = self.apply(py, client_id, |engine| {
            let terms = (quantity, price);
            let (account, order) =
                new_order(engine, account_id, instrument_id, terms, reduce_only)?;
            Ok(Event::Place { account, order })
        })?;
        let check = applied.check.expect("an order was checked");
        Ok((applied.order, check.into()))
    }

    fn _amend(
        &self,
        py: Python<'_>,
        order: Object<'_, '_>,
        quantity: Option<Object<'_, '_>>,
        new_price: Option<Object<'_, '_>>,
        client_id: Option<Object<'_, '_>>,
    ) -> Result<OrderCheck> {
        let applied = self.apply(py, client_id, |_| {
            Ok(Event::Amend {
                order: order_number(order)?,
                quantity: quantity.map(contracts).transpose()?,
                price: new_price.map(limit_price).transpose()?,
            })
        })?;
        Ok(applied.check.expect("an order was checked").into())
    }

    fn _cancel(
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
    fn _open_orders<'py>(
        &self,
        py: Python<'py>,
        account_id: Object<'_, '_>,
    ) -> Result<Vec<ShownOrder<'py>>> {
        let engine = self.locked(py)?;
        let row = account(&engine, account_id)?;
        Ok(shown_orders(py, &engine, row)?)
    }

    #[expect(clippy::too_many_arguments, reason = "as many as Python passes")]
    fn _fill(
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

    /// Columns account, instrument, quantity, price, fee, order_id.
    fn _fills(
        &self,
        py: Python<'_>,
        fills: Object<'_, '_>,
        client_id: Option<Object<'_, '_>>,
    ) -> Result<()> {
        let event = |engine: &xmfast_core::Engine| Ok(Event::Fills(read_fills(engine, fills)?));
        self.apply_to_all(py, client_id, event).map(drop)
    }

    #[expect(
        clippy::too_many_arguments,
        clippy::needless_pass_by_value,
        reason = "as Python passes them"
    )]
    fn _trade(
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

    fn _deposit(
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

    fn _withdraw(
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
    fn _transfer(
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
                let universe = engine.universe();
                let instrument = universe.instruments().find(id);
                if instrument.is_none() && universe.assets().find(id).is_none() {
                    return Err(engine.unknown_name(id, Place::frame("transfer")).into());
                }
                Ok(instrument)
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
    fn _exchange(
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
    fn _tick<'py>(
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
        if !self.locked(py)?.has_levels() {
            return self.apply_to_all(py, None, one);
        }
        let mut engine = self.locked(py)?;
        let event = one(&engine)?;
        let applied = engine.apply(&event, &mut xmfast_core::pool::never)?;
        let (ids, accounts) = fallen(&engine, &applied);
        Ok(id_array(py, &ids, accounts.into_iter())?)
    }

    /// Of instruments and indices by id, each with its price.
    fn _ticks<'py>(&self, py: Python<'py>, prices: Object<'_, '_>) -> Result<Bound<'py, PyAny>> {
        self.apply_to_all(py, None, |engine| {
            Ok(Event::Tick(read_ticks(engine, prices)?))
        })
    }

    fn _accrue<'py>(
        &self,
        py: Python<'py>,
        time: Option<i64>,
        funding: &Bound<'py, PyDict>,
        interest: &Bound<'py, PyDict>,
        client_id: Option<Object<'_, '_>>,
    ) -> Result<Bound<'py, PyAny>> {
        self.apply_to_all(py, client_id, |engine| {
            let accrual = read_accrual(engine, time, funding, interest)?;
            Ok(Event::Accrue(Box::new(accrual)))
        })
    }

    fn _settle<'py>(
        &self,
        py: Python<'py>,
        instrument_id: Object<'_, '_>,
        at: Object<'_, '_>,
        client_id: Option<Object<'_, '_>>,
    ) -> Result<Bound<'py, PyAny>> {
        self.apply_to_all(py, client_id, |engine| {
            Ok(Event::Settle {
                instrument: instrument(engine, instrument_id)?,
                price: price(at)?,
            })
        })
    }

    fn _set_parameters<'py>(
        &self,
        py: Python<'py>,
        model: Object<'_, '_>,
        known_as: Py<PyAny>,
        client_id: Option<Object<'_, '_>>,
    ) -> Result<Bound<'py, PyAny>> {
        let model = margin_model(model)?;
        self.rules().note(&model, known_as);
        self.apply_to_all(py, client_id, |_| Ok(Event::SetParameters(model.clone())))
    }

    fn _add_instruments<'py>(
        &self,
        py: Python<'py>,
        model: Object<'_, '_>,
        known_as: Py<PyAny>,
        market: Option<&Bound<'_, Market>>,
        said: Object<'_, '_>,
    ) -> Result<Bound<'py, PyAny>> {
        let model = margin_model(model)?;
        self.rules().note(&model, known_as);
        self.apply_to_all(py, None, |engine| {
            let extension = read_extension(engine, &model, market, said)?;
            Ok(Event::AddInstruments(Box::new(extension)))
        })
    }

    fn _add_account(
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

    fn _fallen<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut engine = self.locked(py)?;
        let accounts = engine.drain_fallen();
        ids_of(py, &engine, accounts)
    }

    fn _recovered<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut engine = self.locked(py)?;
        let accounts = engine.drain_recovered();
        ids_of(py, &engine, accounts)
    }

    /// Accounts, and the alert level that each has reached.
    fn _alerts<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Vec<f64>)> {
        let mut engine = self.locked(py)?;
        let (accounts, levels) = engine.drain_alerted().into_iter().unzip();
        Ok((ids_of(py, &engine, accounts)?, levels))
    }

    fn _alerted<'py>(&self, py: Python<'py>, level: f64) -> Result<Bound<'py, PyAny>> {
        let engine = self.locked(py)?;
        let accounts = engine.alerted(level)?;
        Ok(ids_of(py, &engine, accounts)?)
    }

    fn _liquidatable<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.locked(py)?;
        let accounts = engine.liquidatable();
        ids_of(py, &engine, accounts)
    }

    /// Accounts and instruments.
    fn _liquidatable_positions<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyList>)> {
        let engine = self.locked(py)?;
        let positions: Vec<(u32, u32)> = engine.liquidatable_positions().collect();
        let accounts = positions.iter().map(|(account, _)| *account as usize);
        let names = engine.universe().instruments();
        let instruments = PyList::empty(py);
        for (_, instrument) in &positions {
            instruments.append(id_object(py, names.get(*instrument as usize))?)?;
        }
        Ok((id_array(py, engine.accounts(), accounts)?, instruments))
    }

    /// The book, the market and the model of one moment.
    fn _snapshot(&self, py: Python<'_>) -> Result<(Book, Market, Py<PyAny>)> {
        let (snapshot, market, model) = {
            let engine = self.locked(py)?;
            let model = self.rules().known_as(py, engine.model());
            (engine.snapshot(), engine.market().clone(), model)
        };
        let book = run(py, |stop| snapshot.book(stop))?;
        Ok((Book(book), Market(market), model))
    }

    /// The rules of now.
    fn _model(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let model = self.locked(py)?.model().clone();
        Ok(self.rules().known_as(py, &model))
    }

    /// By asset: its id, units by pool, in the order of `pools`, and decimals.
    fn _totals<'py>(&self, py: Python<'py>) -> PyResult<Vec<AssetTotals<'py>>> {
        totals(py, &*self.locked(py)?)
    }

    /// Names of the pools.
    #[staticmethod]
    fn _pools() -> Vec<&'static str> {
        Pool::ALL.iter().map(|(_, name)| *name).collect()
    }

    fn _residue<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        residue(py, &*self.locked(py)?)
    }

    fn _state_hash(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("{:032x}", self.locked(py)?.state_hash()))
    }

    /// Counts by kind of event; how many accounts were judged again, how many ticks woke, checks, refused calls.
    fn _metrics(&self, py: Python<'_>) -> PyResult<(Vec<EventCounts>, [u64; 4])> {
        let engine = self.locked(py)?;
        let counts = engine.metrics();
        let others = [counts.rejudged, counts.woken, counts.checks, counts.refused];
        Ok((event_counts(&engine), others))
    }

    /// Bytes of the ledger, number of levels, bytes of what watches.
    fn _memory(&self, py: Python<'_>) -> PyResult<(usize, usize, usize)> {
        Ok(self.locked(py)?.memory())
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.locked(py)?.accounts().len())
    }
}
