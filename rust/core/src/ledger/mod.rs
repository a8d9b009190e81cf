//! What is owned and owed, in whole units: every payment is conserved to the last one, and rounded against the account.
//!
//! Accounts stand in blocks that readers may hold on to: a block that is read is copied when it changes. Interest and
//! funding are not booked when they accrue: a new index is noted, and an account pays up when it is touched.

mod account;
mod accounts;
mod block;
mod limit_price;
mod many;
pub(crate) mod money;
mod opening;
mod shelf;
mod venue;

pub(crate) use account::Account;
pub use account::{Cash, OpenOrder, Position};
pub(crate) use accounts::Accounts;
pub use limit_price::LimitPrice;
pub(crate) use many::Changed;
pub(crate) use money::Sum;
pub use money::{MOST_DECIMALS, QUANTITY_DECIMALS, Rounding, float_of, whole_units};
pub(crate) use venue::VenueMoves;
pub use venue::{Pool, Totals, is_conserved};

use std::sync::Arc;

use smallvec::SmallVec;

use crate::book::BLOCK;
use crate::error::Result;
use crate::exact::GivenRef;
use crate::ids::Ids;
use crate::market::Market;
use account::too_large;
use accounts::Accrued;

/// What is added to the open interest of instruments.
type Interest = SmallVec<[(u32, i128); 4]>;

/// The accounts, and what goes with them.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    accounts: Accounts,
    /// By asset.
    totals: Vec<Totals>,
    /// By instrument: contracts of all long positions.
    open_interest: Vec<i128>,
}

impl Ledger {
    fn set_totals(&mut self, totals: VenueMoves, interest: Interest) {
        for (asset, totals) in totals.0 {
            self.totals[asset as usize] = totals;
        }
        for (instrument, contracts) in interest {
            self.open_interest[instrument as usize] += contracts;
        }
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    pub(crate) fn totals(&self) -> &[Totals] {
        &self.totals
    }

    pub(crate) fn open_interest(&self) -> &[i128] {
        &self.open_interest
    }

    /// Puts changed accounts back, with what the event moved on the venue's side.
    ///
    /// # Panics
    /// In debug builds, if money was made or lost.
    pub(crate) fn commit(
        &mut self,
        changes: &mut [(usize, &Account, &mut Account)],
        venue: &VenueMoves,
    ) -> Result<()> {
        let (totals, interest) = self.counted(changes, venue)?;
        self.set_totals(totals, interest);
        for (number, _, after) in changes {
            after.cash.retain(|cash| cash.amount != 0);
            let block = Arc::make_mut(&mut self.accounts.blocks[*number / BLOCK]);
            block.booked.take();
            let slot = *number % BLOCK;
            block.set(slot, after);
        }
        debug_assert!(self.totals.iter().all(is_conserved), "{:?}", self.totals);
        Ok(())
    }

    /// What the sums over all accounts become, where a change moves them.
    fn counted(
        &self,
        changes: &[(usize, &Account, &mut Account)],
        venue: &VenueMoves,
    ) -> Result<(VenueMoves, Interest)> {
        let (mut moves, mut interest) = (venue.clone(), Interest::new());
        for (_, before, after) in changes {
            self.accounts
                .count(before, after, -1, &mut moves, &mut interest)?;
            self.accounts
                .count(after, before, 1, &mut moves, &mut interest)?;
        }
        for (asset, totals) in &mut moves.0 {
            for (total, now) in totals.iter_mut().zip(self.totals[*asset as usize]) {
                *total = total.checked_add(now).ok_or_else(|| too_large("ledger"))?;
            }
        }
        Ok((moves, interest))
    }

    /// Adds an account that holds nothing.
    pub(crate) fn add_account(&mut self, ids: Ids) {
        self.accounts.ids = Arc::new(ids);
        if self
            .accounts
            .blocks
            .last()
            .is_none_or(|block| block.len() == BLOCK)
        {
            self.accounts.blocks.push(Arc::default());
        }
        let block = self.accounts.blocks.last_mut().expect("pushed above");
        let block = Arc::make_mut(block);
        block.booked.take();
        block.push(&Account::default());
    }

    /// The same accounts in the larger universe of a market, with the decimals of its new assets. What is new has accrued
    /// nothing before.
    pub(crate) fn extended(&self, market: &Market, decimals: &[u32]) -> Self {
        let universe = market.universe();
        let (assets, instruments) = (universe.assets().len(), universe.specs().len());
        let mut ledger = self.clone();
        ledger.totals.resize(assets, Totals::default());
        ledger.open_interest.resize(instruments, 0);
        let accounts = &mut ledger.accounts;
        accounts.decimals = [&accounts.decimals, decimals].concat().into();
        accounts.universe = Arc::clone(universe);
        let accrued = Arc::make_mut(&mut accounts.accrued);
        accrued.interest.resize_with(assets, Vec::new);
        accrued.funding.resize_with(instruments, Vec::new);
        ledger.accrue(market);
        ledger
    }

    /// Notes the interest indices and cumulative fundings of a market where they moved.
    pub(crate) fn accrue(&mut self, market: &Market) {
        let accrued = Arc::make_mut(&mut self.accounts.accrued);
        for (asset, indices) in accrued.interest.iter_mut().enumerate() {
            let now = [market.deposit_index(), market.borrow_index()]
                .map(|column| column.get(asset).to_given());
            if indices.last() != Some(&now) {
                indices.push(now);
            }
        }
        for (instrument, fundings) in accrued.funding.iter_mut().enumerate() {
            let now = market.cumulative_funding().get(instrument).to_given();
            if fundings.last() != Some(&now) {
                fundings.push(now);
            }
        }
    }

    /// Calls `see` with every whole number that the ledger is made of, in a fixed order.
    pub(crate) fn each_number(&self, mut see: impl FnMut(i128)) {
        let mut account = Account::default();
        let mut see_all = |numbers: &[i128]| numbers.iter().for_each(|&number| see(number));
        for number in 0..self.accounts.len() {
            self.accounts.load(number, &mut account);
            for cash in &account.cash {
                see_all(&[cash.asset.into(), cash.touched.into(), cash.amount]);
            }
            for position in &account.positions {
                let isolated = position.isolated.map_or(i128::MAX, i128::from);
                see_all(&[position.instrument.into(), position.touched.into()]);
                see_all(&[position.quantity, position.cost, isolated]);
            }
            for order in &account.orders {
                let price = order.price.float().to_bits().into();
                see_all(&[order.id.into(), order.instrument.into(), price]);
                see_all(&[order.reduce_only.into(), order.quantity]);
                if let Some((digits, exponent)) = order.price.beyond_float() {
                    see_all(&[digits, exponent.into()]);
                }
            }
            match &account.leverage_cap {
                Some(cap) => see_given(cap.as_ref(), &mut see_all),
                None => see_all(&[0]),
            }
            let lengths = [
                account.cash.len(),
                account.positions.len(),
                account.orders.len(),
            ];
            see_all(&lengths.map(|length| length as i128));
        }
        let Accrued { interest, funding } = &*self.accounts.accrued;
        let indices = interest.iter().flatten().flatten();
        for index in indices.chain(funding.iter().flatten()) {
            see_given(index.as_ref(), &mut see_all);
        }
        let counts = interest
            .iter()
            .map(Vec::len)
            .chain(funding.iter().map(Vec::len));
        counts.for_each(|count| see_all(&[count as i128]));
        self.accounts
            .decimals
            .iter()
            .for_each(|&decimals| see_all(&[decimals.into()]));
        self.totals.iter().for_each(|totals| see_all(totals));
        see_all(&self.open_interest);
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        let blocks = self.accounts.blocks.iter();
        blocks.map(|block| block.memory()).sum()
    }
}

/// Calls `see` with a number's f64, and with its exact digits where it has some.
fn see_given(given: GivenRef<'_>, see: &mut impl FnMut(&[i128])) {
    see(&[given.float.to_bits().into()]);
    if let Some(exact) = given.exact {
        exact
            .to_string()
            .bytes()
            .for_each(|byte| see(&[byte.into()]));
    }
}
