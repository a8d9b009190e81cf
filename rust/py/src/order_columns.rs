//! Many orders as Python says them, read row by row where they lie while threads check them.

use pyo3::prelude::*;
use xmfast_core::exact::GivenColumn;
use xmfast_core::kernel::FloatState;
use xmfast_core::{LimitPrice, NewOrder, Place, QUANTITY_DECIMALS, Rounding, whole_units};

use crate::error::Result;
use crate::frame::Frame;
use crate::id_rows::{IdRows, IdSource};

const COLUMNS: [&str; 5] = ["account", "instrument", "quantity", "price", "reduce_only"];

/// Columns account, instrument, quantity, price, reduce_only.
pub(crate) struct OrderColumns<'py> {
    accounts: IdSource<'py>,
    instruments: IdSource<'py>,
    quantities: GivenColumn,
    prices: GivenColumn,
    reduce_only: Option<Vec<bool>>,
}

/// Their rows.
pub(crate) struct OrderRows<'a> {
    accounts: IdRows<'a>,
    instruments: IdRows<'a>,
    quantities: &'a GivenColumn,
    prices: &'a GivenColumn,
    reduce_only: Option<&'a [bool]>,
}

impl<'py> OrderColumns<'py> {
    pub(crate) fn read(orders: &Bound<'py, PyAny>) -> Result<Self> {
        let _state = FloatState::standard();
        let frame = Frame::open("orders", orders, &COLUMNS)?;
        Ok(Self {
            accounts: frame.id_rows("account")?,
            instruments: frame.id_rows("instrument")?,
            quantities: frame.numbers("quantity")?,
            prices: frame.numbers("price")?,
            reduce_only: frame.optional_flags("reduce_only")?,
        })
    }

    pub(crate) fn rows(&self) -> OrderRows<'_> {
        OrderRows {
            accounts: self.accounts.rows(),
            instruments: self.instruments.rows(),
            quantities: &self.quantities,
            prices: &self.prices,
            reduce_only: self.reduce_only.as_deref(),
        }
    }
}

impl OrderRows<'_> {
    pub(crate) fn len(&self) -> usize {
        self.prices.len()
    }

    /// Adds accounts and orders of some rows, up to the first that is wrong.
    pub(crate) fn read(
        &self,
        engine: &xmfast_core::Engine,
        rows: &[usize],
        orders: &mut Vec<(u32, NewOrder)>,
    ) -> xmfast_core::Result<()> {
        let accounts = self.accounts.find(engine.accounts(), rows);
        for (&row, account) in rows.iter().zip(accounts) {
            orders.push(self.order(engine, row, account)?);
        }
        Ok(())
    }

    /// Account and order of a row, where the account may have been found already.
    fn order(
        &self,
        engine: &xmfast_core::Engine,
        row: usize,
        account: Option<u32>,
    ) -> xmfast_core::Result<(u32, NewOrder)> {
        let place = |column: &'static str| move || Place::column("orders", column).row(row);
        let account = match account {
            Some(account) => account,
            None => self.accounts.with(row, place("account"), |id| {
                engine.account_row_at(id, place("account"))
            })?,
        };
        let instrument = self.instruments.with(row, place("instrument"), |id| {
            engine.universe().instrument_row(id, place("instrument"))
        })?;
        let quantity = whole_units(
            self.quantities.get(row),
            QUANTITY_DECIMALS,
            Rounding::Refused,
            place("quantity"),
        )?;
        let order = NewOrder {
            instrument,
            quantity,
            price: LimitPrice::new(self.prices.get(row), place("price"))?,
            reduce_only: self.reduce_only.is_some_and(|flags| flags[row]),
        };
        Ok((account, order))
    }
}
