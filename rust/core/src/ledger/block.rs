//! A block of accounts as it is stored: as narrow as nearly all amounts are, and wide where one is not.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::account::{Account, Cash, OpenOrder, Position};
use super::shelf::Shelf;
use crate::book::Block;
use crate::exact::GivenColumn;
use crate::kernel::fetch;

/// [`Cash`] as it is stored. An amount is never 0: where it says so, it is wide.
#[derive(Clone, Copy, Debug)]
struct NarrowCash {
    asset: u32,
    touched: u32,
    amount: i64,
}

/// [`Position`] as it is stored. There is never none of it: where its quantity says so, it is wide.
#[derive(Clone, Copy, Debug)]
struct NarrowPosition {
    instrument: u32,
    touched: u32,
    quantity: i64,
    cost: i64,
}

/// What is posted for a position alone.
#[derive(Clone, Copy, Debug)]
struct Posted {
    instrument: u32,
    margin: i64,
}

/// The accounts of one block.
#[derive(Debug, Default)]
pub(super) struct LedgerBlock {
    cash: Shelf<NarrowCash>,
    positions: Shelf<NarrowPosition>,
    posted: Shelf<Posted>,
    orders: Shelf<OpenOrder>,
    leverage_cap: GivenColumn,
    /// Amounts beyond 64 bits, by slot and asset.
    wide_cash: BTreeMap<(u32, u32), i128>,
    /// Contracts and cost of positions of which either is beyond 64 bits, by slot and instrument.
    wide_positions: BTreeMap<(u32, u32), [i128; 2]>,
    /// The same as a block of a book, made when somebody asks.
    pub(super) booked: OnceLock<Arc<Block>>,
}

impl Clone for LedgerBlock {
    fn clone(&self) -> Self {
        Self {
            cash: self.cash.clone(),
            positions: self.positions.clone(),
            posted: self.posted.clone(),
            orders: self.orders.clone(),
            leverage_cap: self.leverage_cap.clone(),
            wide_cash: self.wide_cash.clone(),
            wide_positions: self.wide_positions.clone(),
            // A copy is made to be changed.
            booked: OnceLock::new(),
        }
    }
}

impl LedgerBlock {
    pub(super) fn len(&self) -> usize {
        self.leverage_cap.len()
    }

    /// Adds an account.
    pub(super) fn push(&mut self, account: &Account) {
        let slot = self.len();
        let cap = account.leverage_cap.clone();
        self.leverage_cap.push(cap.unwrap_or(f64::NAN.into()));
        self.cash.push();
        self.positions.push();
        self.posted.push();
        self.orders.push();
        self.set(slot, account);
    }

    /// Replaces what an account holds; its leverage cap stays.
    pub(super) fn set(&mut self, slot: usize, account: &Account) {
        let at = slot as u32;
        if !self.wide_cash.is_empty() {
            self.wide_cash.retain(|&(slot, _), _| slot != at);
        }
        if !self.wide_positions.is_empty() {
            self.wide_positions.retain(|&(slot, _), _| slot != at);
        }
        for cash in &account.cash {
            if narrow([cash.amount]).is_none() {
                self.wide_cash.insert((at, cash.asset), cash.amount);
            }
        }
        for position in &account.positions {
            let amounts = [position.quantity, position.cost];
            if narrow(amounts).is_none() {
                self.wide_positions
                    .insert((at, position.instrument), amounts);
            }
        }
        let cash = account.cash.iter().map(|cash| NarrowCash {
            asset: cash.asset,
            touched: cash.touched,
            amount: narrow([cash.amount]).unwrap_or_default()[0],
        });
        let positions = account.positions.iter().map(|position| {
            let amounts = narrow([position.quantity, position.cost]);
            let [quantity, cost] = amounts.unwrap_or_default();
            NarrowPosition {
                instrument: position.instrument,
                touched: position.touched,
                quantity,
                cost,
            }
        });
        self.cash.set(slot, cash);
        self.positions.set(slot, positions);
        self.orders.set(slot, account.orders.iter().copied());
        let posted = account.positions.iter().filter_map(|position| {
            let instrument = position.instrument;
            let margin = position.isolated?;
            Some(Posted { instrument, margin })
        });
        if !self.posted.get(slot).is_empty() || posted.clone().next().is_some() {
            let posted: Vec<Posted> = posted.collect();
            self.posted.set(slot, posted.into_iter());
        }
    }

    /// Takes out an account.
    pub(super) fn load(&self, slot: usize, account: &mut Account) {
        let at = slot as u32;
        account.clear();
        account.cash.extend(self.cash.get(slot).iter().map(|cash| {
            let wide = || self.wide_cash[&(at, cash.asset)];
            Cash {
                asset: cash.asset,
                touched: cash.touched,
                amount: match cash.amount {
                    0 => wide(),
                    amount => amount.into(),
                },
            }
        }));
        let posted = self.posted.get(slot);
        let posted = |instrument: u32| {
            let mut posted = posted.iter();
            let posted = posted.find(|posted| posted.instrument == instrument)?;
            Some(posted.margin)
        };
        let positions = self.positions.get(slot).iter().map(|position| {
            let [quantity, cost] = match position.quantity {
                0 => self.wide_positions[&(at, position.instrument)],
                quantity => [quantity, position.cost].map(i128::from),
            };
            Position {
                instrument: position.instrument,
                touched: position.touched,
                quantity,
                cost,
                isolated: posted(position.instrument),
            }
        });
        account.positions.extend(positions);
        account.orders.extend_from_slice(self.orders.get(slot));
        let cap = self.leverage_cap.get(slot);
        account.leverage_cap = (!cap.float.is_nan()).then(|| cap.to_given());
    }

    /// Whether an account holds an instrument, or has orders in it.
    pub(super) fn has_any_of(&self, slot: usize, instrument: u32) -> bool {
        let positions = self.positions.get(slot).iter();
        let orders = self.orders.get(slot).iter();
        let mut held = positions.map(|position| position.instrument);
        let mut ordered = orders.map(|order| order.instrument);
        held.any(|other| other == instrument) || ordered.any(|other| other == instrument)
    }

    /// Asks for where it stands what an account holds.
    pub(super) fn fetch_place(&self, slot: usize) {
        self.cash.fetch_place(slot);
        self.positions.fetch_place(slot);
        self.orders.fetch_place(slot);
        self.posted.fetch_place(slot);
        fetch(&self.leverage_cap.floats()[slot]);
    }

    /// Asks for what an account holds.
    pub(super) fn fetch(&self, slot: usize) {
        self.cash.fetch(slot);
        self.positions.fetch(slot);
        self.orders.fetch(slot);
    }

    /// An account's orders, to be changed in place.
    pub(super) fn orders_mut(&mut self, slot: usize) -> &mut [OpenOrder] {
        self.orders.get_mut(slot)
    }

    /// Bytes held; wide amounts are not counted.
    pub(super) fn memory(&self) -> usize {
        self.cash.memory()
            + self.positions.memory()
            + self.posted.memory()
            + self.orders.memory()
            + self.leverage_cap.memory()
    }
}

/// Amounts in 64 bits, if all of them have room.
fn narrow<const N: usize>(amounts: [i128; N]) -> Option<[i64; N]>
where
    [i64; N]: Default,
{
    let mut narrow: [i64; N] = Default::default();
    for (narrow, amount) in narrow.iter_mut().zip(amounts) {
        *narrow = i64::try_from(amount).ok()?;
    }
    Some(narrow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Amounts on either side of 64 bits, never 0.
    fn amounts() -> impl Strategy<Value = i128> {
        let edge = i128::from(i64::MAX);
        prop_oneof![
            1..100_i128,
            -100..-1_i128,
            edge - 2..edge + 3,
            -edge - 3..2 - edge
        ]
    }

    proptest! {
        #[test]
        fn accounts_come_back_as_they_were_stored(
            changes in prop::collection::vec((0..3_usize, prop::collection::vec((amounts(), amounts(), any::<Option<i64>>()), 0..5)), 1..30),
        ) {
            let mut block = LedgerBlock::default();
            let mut stored: Vec<Account> = (0..3).map(|_| Account::default()).collect();
            stored.iter().for_each(|account| block.push(account));
            let mut loaded = Account::default();
            for (slot, amounts) in changes {
                let account = &mut stored[slot];
                account.clear();
                for (row, (first, second, isolated)) in (0..).zip(amounts) {
                    account.cash.push(Cash { asset: row, touched: 3, amount: second });
                    account.positions.push(Position { instrument: row, touched: 2, quantity: first, cost: second, isolated });
                }
                block.set(slot, account);
                for (slot, account) in stored.iter().enumerate() {
                    block.load(slot, &mut loaded);
                    prop_assert_eq!(&loaded, account);
                }
            }
        }
    }
}
