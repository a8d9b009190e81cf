//! May this order go in?

use super::Engine;
use super::event::NewOrder;
use super::judge::Verdict;
use crate::error::{Error, Result};
use crate::kernel::{FloatState, column, result};
use crate::ledger::{Account, OpenOrder};
use crate::pool::Stop;

/// Why an order was accepted or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// It may rest.
    Accepted,
    /// Initial health would be below 0.
    InitialHealth,
    /// It says that it only reduces, and does not.
    NotReducing,
    /// The account's position could grow beyond its limit.
    PositionLimit,
    /// The venue's open interest could grow beyond its limit.
    OpenInterest,
    /// The instrument is settled.
    Settled,
}

impl Reason {
    /// All, in order, by name.
    pub const ALL: [(Self, &str); 6] = [
        (Self::Accepted, "accepted"),
        (Self::InitialHealth, "initial_health"),
        (Self::NotReducing, "not_reducing"),
        (Self::PositionLimit, "position_limit"),
        (Self::OpenInterest, "open_interest"),
        (Self::Settled, "settled"),
    ];
}

/// What is said of an order, as if it rested.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OrderCheck {
    /// Whether it may, and if not, why.
    pub reason: Reason,
    /// Initial margin of what backs it, numeraire.
    pub initial_margin: f64,
    /// What is left for more, numeraire, at least 0.
    pub free_collateral: f64,
}

impl OrderCheck {
    /// Whether the order may rest.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.reason == Reason::Accepted
    }

    /// What a verdict on an account with the order means for it, unless a limit stands against it.
    fn of(limit: Option<Reason>, order: NewOrder, verdict: &Verdict) -> Self {
        // What only reduces adds no exposure, so it is accepted however little is left.
        let enough = order.reduce_only || !verdict.is_negative(result::INITIAL_HEALTH);
        let by_margin = if enough {
            Reason::Accepted
        } else {
            Reason::InitialHealth
        };
        Self {
            reason: limit.unwrap_or(by_margin),
            initial_margin: verdict.row.0[column::INITIAL_MARGIN],
            free_collateral: verdict.row.0[result::INITIAL_HEALTH].max(0.0),
        }
    }
}

impl Engine {
    /// Says whether an order may rest; nothing changes. With `instead`, the order replaces an open one.
    ///
    /// # Errors
    /// A price that the instrument cannot have or that is missing, a quantity of 0, missing parameters.
    pub fn check_order(
        &mut self,
        account: u32,
        order: NewOrder,
        instead: Option<u64>,
    ) -> Result<OrderCheck> {
        let _state = FloatState::standard();
        self.check_terms(order.instrument, order.quantity, order.price)?;
        let instrument = order.instrument as usize;
        let limited = self.limits.position[instrument].is_some()
            || self.limits.open_interest[instrument].is_some();
        // Nearly all orders are by plain accounts, and no limit is near.
        if instead.is_none() && !limited && !order.reduce_only && !self.settled[instrument] {
            let (watcher, judging) = self.judge_with();
            if let Some(verdict) = watcher.judge_order(judging, account, order)? {
                return Ok(OrderCheck::of(None, order, &verdict));
            }
        }
        let mut draft = std::mem::take(&mut self.draft);
        self.ledger.accounts().load(account as usize, &mut draft);
        if let Some(at) = instead.and_then(|id| draft.order_place(id)) {
            draft.orders.remove(at);
        }
        let checked = self.checked(account, order, &mut draft);
        self.draft = draft;
        checked
    }

    /// Checks many orders, each on its own.
    ///
    /// # Errors
    /// As [`Engine::check_order`], with the row of the order; [`Error::Interrupted`].
    pub fn check_orders(
        &mut self,
        orders: &[(u32, NewOrder)],
        stop: Stop<'_>,
    ) -> Result<Vec<OrderCheck>> {
        let check = |(row, (account, order)): (usize, &(u32, NewOrder))| {
            if row % 65_536 == 65_535 && stop() {
                return Err(Error::Interrupted);
            }
            let checked = self.check_order(*account, *order, None);
            checked.map_err(|error| error.in_row("orders", row))
        };
        orders.iter().enumerate().map(check).collect()
    }

    fn checked(
        &mut self,
        account: u32,
        order: NewOrder,
        draft: &mut Account,
    ) -> Result<OrderCheck> {
        let limit = self.limit_reached(order, draft);
        draft.insert_order(order.resting(u64::MAX));
        let (watcher, judging) = self.judge_with();
        let verdicts = watcher.judge(judging, account, draft)?;
        let alone = verdicts[1..]
            .iter()
            .find(|verdict| verdict.instrument == Some(order.instrument));
        let verdict = alone.unwrap_or(&verdicts[0]);
        Ok(OrderCheck::of(limit, order, verdict))
    }

    /// A reason against an order that has nothing to do with margin.
    fn limit_reached(&self, order: NewOrder, account: &Account) -> Option<Reason> {
        let instrument = order.instrument as usize;
        if self.settled[instrument] {
            return Some(Reason::Settled);
        }
        let held = account.position(order.instrument);
        let held = held.map_or(0, |position| position.quantity);
        if order.reduce_only {
            let mine = |other: &&OpenOrder| {
                other.instrument == order.instrument
                    && other.reduce_only
                    && other.quantity.signum() == order.quantity.signum()
            };
            let others: i128 = account
                .orders
                .iter()
                .filter(mine)
                .map(|order| order.quantity)
                .sum();
            let reduces = held.signum() == -order.quantity.signum()
                && (others + order.quantity).abs() <= held.abs();
            return (!reduces).then_some(Reason::NotReducing);
        }
        let (bought, sold) = account.ordered(order.instrument);
        let side = if order.quantity > 0 { bought } else { sold };
        let largest = (held + side + order.quantity).abs();
        if self.limits.position[instrument]
            .is_some_and(|limit| largest > limit && largest > held.abs())
        {
            return Some(Reason::PositionLimit);
        }
        // An order can open at most what it does not close.
        let closes = if held.signum() == -order.quantity.signum() {
            held.abs()
        } else {
            0
        };
        let opens = (order.quantity.abs() - closes).max(0);
        let interest = self.ledger.open_interest()[instrument] + opens;
        let limit = self.limits.open_interest[instrument];
        (opens > 0 && limit.is_some_and(|limit| interest > limit)).then_some(Reason::OpenInterest)
    }
}
