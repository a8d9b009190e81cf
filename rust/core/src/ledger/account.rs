//! One account in whole units, and what events do to it.

use crate::error::{Error, Place, Result};
use crate::exact::{Given, GivenRef};
use crate::ledger::limit_price::LimitPrice;
use crate::ledger::money::{ContractValue, QUANTITY_DECIMALS, Round, bookable, part};
use crate::ledger::venue::{Pool, VenueMoves};

/// Cash in one asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cash {
    /// Row of the universe.
    pub asset: u32,
    /// Which of the asset's interest indices the amount stands at.
    pub touched: u32,
    /// Units; negative is a loan.
    pub amount: i128,
}

/// A position in one instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Row of the universe.
    pub instrument: u32,
    /// Up to which of the instrument's cumulative fundings it has paid.
    pub touched: u32,
    /// Contracts, [`QUANTITY_DECIMALS`]; never 0.
    pub quantity: i128,
    /// Signed entry cost, units of the settlement asset.
    pub cost: i128,
    /// What is posted for it alone, units of the settlement asset.
    pub isolated: Option<i64>,
}

/// An open order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenOrder {
    /// Its number.
    pub id: u64,
    /// Row of the universe.
    pub instrument: u32,
    /// Whether it can only make a position smaller.
    pub reduce_only: bool,
    /// Contracts still open, [`QUANTITY_DECIMALS`]; negative sells.
    pub quantity: i128,
    /// Limit price.
    pub price: LimitPrice,
}

/// What one account holds, taken out of the ledger to be changed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Account {
    /// Ascending by asset; an amount of 0 may stay.
    pub(crate) cash: Vec<Cash>,
    /// Ascending by instrument.
    pub(crate) positions: Vec<Position>,
    /// Ascending by instrument, then by number.
    pub(crate) orders: Vec<OpenOrder>,
    /// Highest notional per unit of initial margin.
    pub(crate) leverage_cap: Option<Given>,
}

/// How an instrument pays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) instrument: u32,
    pub(crate) settlement: u32,
    pub(crate) value: ContractValue<'a>,
    /// The number of the funding that is current.
    pub(crate) touched: u32,
}

/// What a fill does to a position: contracts and what they cost, rounded against the account.
#[derive(Clone, Copy, Debug, Default)]
struct Split {
    closed: i128,
    closed_cost: i128,
    opened: i128,
    opened_cost: i128,
}

pub(crate) fn too_large(what: &'static str) -> Error {
    Error::Value {
        place: Place::frame(what),
        problem: "the amount is too large for the ledger; give the asset fewer decimals".to_owned(),
    }
}

pub(crate) fn sum(a: i128, b: i128, what: &'static str) -> Result<i128> {
    a.checked_add(b)
        .and_then(bookable)
        .ok_or_else(|| too_large(what))
}

impl Clone for Account {
    fn clone(&self) -> Self {
        let mut copy = Self::default();
        copy.clone_from(self);
        copy
    }

    /// Keeps the memory of what is overwritten.
    fn clone_from(&mut self, other: &Self) {
        self.cash.clone_from(&other.cash);
        self.positions.clone_from(&other.positions);
        self.orders.clone_from(&other.orders);
        self.leverage_cap.clone_from(&other.leverage_cap);
    }
}

impl Account {
    pub(crate) fn clear(&mut self) {
        self.cash.clear();
        self.positions.clear();
        self.orders.clear();
        self.leverage_cap = None;
    }

    pub(crate) fn position(&self, instrument: u32) -> Option<&Position> {
        let at = self.position_place(instrument).ok()?;
        Some(&self.positions[at])
    }

    pub(crate) fn position_place(&self, instrument: u32) -> std::result::Result<usize, usize> {
        self.positions
            .binary_search_by_key(&instrument, |position| position.instrument)
    }

    pub(crate) fn cash_place(&self, asset: u32) -> std::result::Result<usize, usize> {
        self.cash.binary_search_by_key(&asset, |cash| cash.asset)
    }

    /// Units of an asset at the index of its last touch.
    pub(crate) fn cash(&self, asset: u32) -> i128 {
        self.cash_place(asset).map_or(0, |at| self.cash[at].amount)
    }

    /// Adds to cash that stands at the current index.
    pub(crate) fn add_cash(&mut self, asset: u32, amount: i128, touched: u32) -> Result<()> {
        match self.cash_place(asset) {
            Ok(at) => self.cash[at].amount = sum(self.cash[at].amount, amount, "balance")?,
            Err(at) => self.cash.insert(
                at,
                Cash {
                    asset,
                    touched,
                    amount,
                },
            ),
        }
        Ok(())
    }

    /// Adds an order at its place.
    pub(crate) fn insert_order(&mut self, order: OpenOrder) {
        let key = |order: &OpenOrder| (order.instrument, order.id);
        let at = self
            .orders
            .partition_point(|other| key(other) < key(&order));
        self.orders.insert(at, order);
    }

    pub(crate) fn order_place(&self, id: u64) -> Option<usize> {
        self.orders.iter().position(|order| order.id == id)
    }

    /// Contracts of open orders in an instrument that may add to a position: bought, sold (negative).
    pub(crate) fn ordered(&self, instrument: u32) -> (i128, i128) {
        let mine = self
            .orders
            .iter()
            .filter(|order| order.instrument == instrument && !order.reduce_only);
        mine.fold((0, 0), |(bought, sold), order| {
            if order.quantity > 0 {
                (bought + order.quantity, sold)
            } else {
                (bought, sold + order.quantity)
            }
        })
    }

    /// Trades contracts at a price; what was earned goes to the position's own margin if it is isolated, else to cash, which
    /// stands at `cash_touched`. Returns the units that both parts cost.
    pub(crate) fn fill(
        &mut self,
        terms: Terms<'_>,
        quantity: i128,
        price: GivenRef<'_>,
        (cash_touched, venue): (u32, &mut VenueMoves),
    ) -> Result<i128> {
        let place = self.position_place(terms.instrument);
        let held = place.map_or(0, |at| self.positions[at].quantity);
        let closed = if held.signum() == -quantity.signum() {
            quantity.signum() * quantity.abs().min(held.abs())
        } else {
            0
        };
        let cost = |contracts: i128| {
            let cost = terms.value.units(contracts, price, Round::Up);
            cost.ok_or_else(|| too_large("fill"))
        };
        let opened = quantity - closed;
        let split = Split {
            closed,
            closed_cost: if closed == 0 { 0 } else { cost(closed)? },
            opened,
            opened_cost: if opened == 0 { 0 } else { cost(opened)? },
        };
        let at = match place {
            Ok(at) => at,
            Err(at) => {
                let position = Position {
                    instrument: terms.instrument,
                    touched: terms.touched,
                    quantity: 0,
                    cost: 0,
                    isolated: None,
                };
                self.positions.insert(at, position);
                at
            }
        };
        self.apply(at, split, terms, (cash_touched, venue))?;
        Ok(split.closed_cost + split.opened_cost)
    }

    fn apply(
        &mut self,
        at: usize,
        split: Split,
        terms: Terms<'_>,
        (cash_touched, venue): (u32, &mut VenueMoves),
    ) -> Result<()> {
        let position = &mut self.positions[at];
        if split.closed != 0 {
            let removed = part(position.cost, -split.closed, position.quantity);
            position.cost -= removed;
            position.quantity += split.closed;
            let earned = -split.closed_cost - removed;
            match &mut position.isolated {
                Some(margin) => {
                    let grown = i128::from(*margin) + earned;
                    *margin = i64::try_from(grown).map_err(|_| too_large("isolated margin"))?;
                }
                None => self.add_cash(terms.settlement, earned, cash_touched)?,
            }
        }
        let position = &mut self.positions[at];
        if position.quantity == 0
            && let Some(margin) = position.isolated.take()
        {
            // What is left is the account's again; a loss beyond it is the venue's.
            let margin = i128::from(margin);
            if margin > 0 {
                self.add_cash(terms.settlement, margin, cash_touched)?;
            } else {
                venue.add(terms.settlement, Pool::Shortfall, margin)?;
            }
        }
        let position = &mut self.positions[at];
        position.quantity = sum(position.quantity, split.opened, "position")?;
        position.cost = sum(position.cost, split.opened_cost, "entry cost")?;
        if position.quantity == 0 {
            self.positions.remove(at);
        }
        Ok(())
    }

    /// Posts what funding since the last touch takes from a position, units of the settlement asset; negative if it receives.
    pub(crate) fn pay_funding(
        &mut self,
        at: usize,
        paid: i128,
        terms: Terms<'_>,
        (cash_touched, venue): (u32, &mut VenueMoves),
    ) -> Result<()> {
        venue.add(terms.settlement, Pool::Funding, paid)?;
        let position = &mut self.positions[at];
        position.touched = terms.touched;
        match &mut position.isolated {
            Some(margin) => {
                let left = i128::from(*margin) - paid;
                *margin = i64::try_from(left).map_err(|_| too_large("isolated margin"))?;
                Ok(())
            }
            None => self.add_cash(terms.settlement, -paid, cash_touched),
        }
    }
}

/// Average price at which a position was entered, for display.
pub(crate) fn entry_price(position: &Position, terms: Terms<'_>, decimals: u32) -> f64 {
    let contracts = position.quantity as f64 / 10_f64.powi(QUANTITY_DECIMALS as i32);
    let value = position.cost as f64 / 10_f64.powi(decimals as i32) / contracts;
    if terms.value.reciprocal {
        -terms.value.multiplier.float / value
    } else {
        value / terms.value.multiplier.float
    }
}

impl Account {
    /// Takes out contracts, no more than are held, with their part of the entry cost.
    ///
    /// # Panics
    /// If none is held.
    pub(crate) fn take_position(&mut self, instrument: u32, contracts: i128) -> Position {
        let at = self.position_place(instrument).expect("it is held");
        let position = &mut self.positions[at];
        let moved = Position {
            quantity: position.quantity.signum() * contracts,
            cost: part(position.cost, contracts, position.quantity.abs()),
            ..*position
        };
        position.quantity -= moved.quantity;
        position.cost -= moved.cost;
        if position.quantity == 0 {
            self.positions.remove(at);
        }
        moved
    }

    /// Adds contracts at what they cost; those that meet opposite ones are closed, and what that earns is cash.
    pub(crate) fn give_position(
        &mut self,
        terms: Terms<'_>,
        moved: Position,
        cash_touched: u32,
    ) -> Result<()> {
        let Ok(at) = self.position_place(terms.instrument) else {
            let at = self.position_place(terms.instrument).unwrap_err();
            self.positions.insert(at, moved);
            return Ok(());
        };
        let position = &mut self.positions[at];
        if position.quantity.signum() == moved.quantity.signum() {
            position.quantity = sum(position.quantity, moved.quantity, "position")?;
            position.cost = sum(position.cost, moved.cost, "entry cost")?;
            return Ok(());
        }
        let closed = position.quantity.abs().min(moved.quantity.abs());
        let removed = part(position.cost, closed, position.quantity.abs());
        let removed_moved = part(moved.cost, closed, moved.quantity.abs());
        position.quantity += moved.quantity;
        position.cost = position.cost - removed + moved.cost - removed_moved;
        if position.quantity == 0 {
            self.positions.remove(at);
        }
        self.add_cash(terms.settlement, -(removed + removed_moved), cash_touched)
    }
}
