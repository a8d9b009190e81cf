//! May this order go in?

use super::Engine;
use super::event::NewOrder;
use super::judge::Verdict;
use crate::error::Result;
use crate::kernel::{FloatState, column, result};
use crate::ledger::Account;

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
    /// The account's position could grow beyond its limit, or go through 0 to more than it.
    PositionLimit,
    /// The venue's open interest could grow beyond its limit by the account's orders.
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
    pub(super) fn of(limit: Option<Reason>, order: NewOrder, verdict: &Verdict) -> Self {
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
    /// A price that the instrument cannot have or that is missing, a quantity of 0, missing parameters; figures that
    /// f64 cannot hold.
    pub fn check_order(
        &mut self,
        account: u32,
        order: NewOrder,
        instead: Option<u64>,
    ) -> Result<OrderCheck> {
        // All of it at once, rather than line after line as it is read.
        self.fetch(account, true);
        let _state = FloatState::standard();
        let mut checking = self.checking.take().unwrap_or_default();
        let mut checked = self.desk().check(account, order, instead, &mut checking);
        if let Ok(None) = checked {
            self.make_rows(account, order, instead)?;
            checked = self.desk().check(account, order, instead, &mut checking);
        }
        self.checking = Some(checking);
        let checked = checked?.expect("what was missing was made");
        self.metrics.checks += 1;
        Ok(checked)
    }

    /// Asks for the place of what a check of an account reads, and then, with `is_near`, for that: to be there in time, if
    /// something else is done meanwhile.
    pub fn fetch(&self, account: u32, is_near: bool) {
        self.watcher.fetch(account, is_near);
    }

    /// Makes what the table lacks to check an order.
    pub(super) fn make_rows(
        &mut self,
        account: u32,
        order: NewOrder,
        instead: Option<u64>,
    ) -> Result<()> {
        let mut draft = Account::default();
        self.desk().load(account, instead, &mut draft);
        draft.insert_order(order.resting(u64::MAX));
        let (watcher, judging) = self.judge_with();
        watcher.prepare(judging, account, &draft)
    }
}
