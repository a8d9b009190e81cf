//! A block made account by account: how the live engine hands on what its ledger holds.

use super::Block;
use crate::exact::{Given, GivenColumn};

/// A position with its entry cost.
#[derive(Clone, Debug)]
pub(crate) struct BookedPosition {
    pub(crate) instrument: u32,
    pub(crate) quantity: Given,
    /// Average, for display: the cost counts.
    pub(crate) entry_price: f64,
    pub(crate) entry_cost: Given,
    pub(crate) entry_funding: Given,
    pub(crate) isolated_margin: Option<Given>,
}

impl Block {
    /// Number of balances, positions and orders.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let (balances, positions) = (self.asset.len(), self.instrument.len());
        (balances, positions, self.order_instrument.len())
    }

    /// Forgets all accounts; the memory is kept.
    pub(crate) fn clear(&mut self) {
        for ends in [
            &mut self.balance_ends,
            &mut self.position_ends,
            &mut self.order_ends,
            &mut self.asset,
            &mut self.instrument,
            &mut self.order_instrument,
        ] {
            ends.clear();
        }
        for column in [
            &mut self.balance,
            &mut self.quantity,
            &mut self.entry_price,
            &mut self.entry_cost,
            &mut self.entry_funding,
            &mut self.isolated_margin,
            &mut self.order_quantity,
            &mut self.order_price,
            &mut self.leverage_cap,
        ] {
            column.clear();
        }
        self.packed.clear();
    }

    /// Adds a balance of the account that is being added; assets ascend.
    pub(crate) fn push_balance(&mut self, asset: u32, balance: Given) {
        self.asset.push(asset);
        self.balance.push(balance);
    }

    /// Adds a position; instruments ascend.
    pub(crate) fn push_position(&mut self, position: BookedPosition) {
        let before = self.instrument.len();
        self.instrument.push(position.instrument);
        self.quantity.push(position.quantity);
        self.entry_price.push(position.entry_price.into());
        self.entry_cost.push(position.entry_cost);
        let funding = position.entry_funding;
        let says = funding.float() != 0.0;
        push_if(&mut self.entry_funding, before, funding, says, 0.0);
        let says = position.isolated_margin.is_some();
        let margin = position.isolated_margin.unwrap_or(f64::NAN.into());
        push_if(&mut self.isolated_margin, before, margin, says, f64::NAN);
    }

    /// Adds an open order that may add to a position; instruments ascend.
    pub(crate) fn push_order(&mut self, instrument: u32, quantity: Given, price: Given) {
        self.order_instrument.push(instrument);
        self.order_quantity.push(quantity);
        self.order_price.push(price);
    }

    /// Ends the account that is being added.
    pub(crate) fn end_account(&mut self, leverage_cap: Option<Given>) {
        let before = self.balance_ends.len();
        self.balance_ends.push(self.asset.len() as u32);
        self.position_ends.push(self.instrument.len() as u32);
        if self.has_orders() {
            self.order_ends.resize(before, 0);
            self.order_ends.push(self.order_instrument.len() as u32);
        }
        let says = leverage_cap.is_some();
        let cap = leverage_cap.unwrap_or(f64::NAN.into());
        push_if(&mut self.leverage_cap, before, cap, says, f64::NAN);
    }
}

/// Adds to a column that is empty as long as nothing is said in it.
fn push_if(column: &mut GivenColumn, before: usize, value: Given, says: bool, otherwise: f64) {
    if column.is_empty() && !says {
        return;
    }
    while column.len() < before {
        column.push(otherwise.into());
    }
    column.push(value);
}
