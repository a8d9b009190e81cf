//! What an order is checked with. Nothing of it changes meanwhile, so that threads can check many at once.

use super::check::{OrderCheck, Reason};
use super::event::NewOrder;
use super::judge::Verdict;
use super::reading::Reading;
use super::watcher::{Judging, Watcher};
use super::with_order::WithOrder;
use super::{Engine, Limits, check_terms};
use crate::error::{Error, Result};
use crate::kernel::{column, result};
use crate::ledger::{Account, OpenOrder};

/// What a thread needs to check orders, used again from one to the next.
#[derive(Debug, Default)]
pub(super) struct Checking {
    with_order: WithOrder,
    reading: Reading,
    account: Account,
    verdicts: Vec<Verdict>,
}

/// An engine, as far as checks of orders look at it.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    judging: Judging<'a>,
    watcher: &'a Watcher,
    limits: &'a Limits,
    settled: &'a [bool],
    open_interest: &'a [i128],
}

impl Engine {
    /// What orders are checked with.
    pub(super) fn desk(&self) -> Desk<'_> {
        let judging = Judging {
            model: &self.model,
            market: &self.market,
            accounts: self.ledger.accounts(),
        };
        Desk {
            judging,
            watcher: &self.watcher,
            limits: &self.limits,
            settled: &self.settled,
            open_interest: self.ledger.open_interest(),
        }
    }
}

impl Desk<'_> {
    /// Says whether an order may rest; `None` if the table of risk lacks what it takes to say so.
    ///
    /// # Errors
    /// As [`Engine::check_order`].
    pub(super) fn check(
        &self,
        account: u32,
        order: NewOrder,
        instead: Option<u64>,
        checking: &mut Checking,
    ) -> Result<Option<OrderCheck>> {
        if instead.is_none()
            && let Some(checked) = self.check_plain(account, order, checking)?
        {
            return Ok(Some(checked));
        }
        self.check_any(account, order, instead, checking)
    }

    /// Says whether an order may rest, if it is as nearly all are: by a plain account, with no limit near, and the table has
    /// what it takes.
    ///
    /// # Errors
    /// As [`Engine::check_order`], as far as the order's terms are wrong.
    pub(super) fn check_plain(
        &self,
        account: u32,
        order: NewOrder,
        checking: &mut Checking,
    ) -> Result<Option<OrderCheck>> {
        let universe = self.judging.accounts.universe();
        check_terms(
            universe,
            order.instrument,
            order.quantity,
            order.price.float(),
        )?;
        let instrument = order.instrument as usize;
        let limited = self.limits.position[instrument].is_some()
            || self.limits.open_interest[instrument].is_some();
        if limited || order.reduce_only || self.settled[instrument] {
            return Ok(None);
        }
        let plain = self.watcher.plain(&self.judging, account);
        let verdict = plain.and_then(|(legs, inputs, table)| {
            checking.with_order.judge(inputs, legs, order, table)
        });
        let said = verdict.map(|verdict| self.said(account, None, order, &verdict));
        said.transpose()
    }

    /// The same of any order.
    ///
    /// # Errors
    /// As [`Engine::check_order`].
    pub(super) fn check_any(
        &self,
        account: u32,
        order: NewOrder,
        instead: Option<u64>,
        checking: &mut Checking,
    ) -> Result<Option<OrderCheck>> {
        let universe = self.judging.accounts.universe();
        check_terms(
            universe,
            order.instrument,
            order.quantity,
            order.price.float(),
        )?;
        let Checking {
            reading,
            account: holder,
            verdicts,
            ..
        } = checking;
        self.load(account, instead, holder);
        let limit = self.limit_reached(order, holder);
        holder.insert_order(order.resting(u64::MAX));
        let mine = (account, &*holder);
        let (watcher, judging) = (self.watcher, self.judging);
        if !watcher.judge_as_is(judging, mine, reading, verdicts)? {
            return Ok(None);
        }
        let alone = verdicts[1..]
            .iter()
            .find(|verdict| verdict.instrument == Some(order.instrument));
        let verdict = alone.unwrap_or(&verdicts[0]);
        self.said(account, limit, order, verdict).map(Some)
    }

    /// What a verdict on an account with an order means for it.
    ///
    /// # Errors
    /// A figure that f64 cannot hold.
    fn said(
        &self,
        account: u32,
        limit: Option<Reason>,
        order: NewOrder,
        verdict: &Verdict,
    ) -> Result<OrderCheck> {
        let figures = [column::INITIAL_MARGIN, result::INITIAL_HEALTH];
        if figures.iter().all(|&at| verdict.row.0[at].is_finite()) {
            return Ok(OrderCheck::of(limit, order, verdict));
        }
        let accounts = self.judging.accounts;
        let instruments = accounts.universe().instruments();
        Err(Error::Range {
            account: accounts.ids().get(account as usize).to_string(),
            problem: format!(
                "with an order in {} its initial margin or initial health is too large for 64-bit floating point",
                instruments.get(order.instrument as usize)
            ),
        })
    }

    /// Loads an account, without the order that another is to replace.
    pub(super) fn load(&self, account: u32, instead: Option<u64>, into: &mut Account) {
        self.judging.accounts.load(account as usize, into);
        if let Some(at) = instead.and_then(|id| into.order_place(id)) {
            into.orders.remove(at);
        }
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
        let reached = held + side + order.quantity;
        // Who is above the limit may come down, but not go through 0 to as much on the other side.
        let is_beyond = |limit: i128| {
            let comes_down = reached.signum() == held.signum() && reached.abs() <= held.abs();
            reached.abs() > limit && !comes_down
        };
        if self.limits.position[instrument].is_some_and(is_beyond) {
            return Some(Reason::PositionLimit);
        }
        // What is bought or sold opens at most what it does not close.
        let closes = if held.signum() == -order.quantity.signum() {
            held.abs()
        } else {
            0
        };
        let opens = |contracts: i128| (contracts.abs() - closes).max(0);
        let (before, after) = (opens(side), opens(side + order.quantity));
        let interest = self.open_interest[instrument] + after;
        let is_beyond = |limit: i128| after > before && interest > limit;
        let limit = self.limits.open_interest[instrument];
        limit.is_some_and(is_beyond).then_some(Reason::OpenInterest)
    }
}
