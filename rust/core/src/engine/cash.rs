//! Payments: in, out, from one account to another, and one asset for another.

use super::event::Payment;
use super::judge::{book_of, judge};
use super::{Engine, refused};
use crate::error::{Error, Place, Result};
use crate::kernel::result;
use crate::ledger::{Account, Pool, VenueMoves};
use crate::units::Key;

impl Engine {
    pub(super) fn deposit(&mut self, payment: Payment) -> Result<()> {
        self.check_amount("deposit", payment.amount)?;
        let mut venue = VenueMoves::default();
        let (before, mut after) = self.loaded(payment.account);
        self.pay(&mut after, payment.asset, payment.amount, &mut venue)?;
        venue.add(payment.asset, Pool::Deposits, payment.amount)?;
        self.commit(
            &mut [(payment.account as usize, &before, &mut after)],
            &venue,
        )
    }

    pub(super) fn withdraw(&mut self, payment: Payment) -> Result<()> {
        self.check_amount("withdraw", payment.amount)?;
        let mut venue = VenueMoves::default();
        let (before, mut after) = self.loaded(payment.account);
        self.pay(&mut after, payment.asset, -payment.amount, &mut venue)?;
        venue.add(payment.asset, Pool::Withdrawals, payment.amount)?;
        self.check_left("withdraw", payment, &after)?;
        self.commit(
            &mut [(payment.account as usize, &before, &mut after)],
            &venue,
        )
    }

    pub(super) fn transfer(&mut self, payment: Payment, to: u32) -> Result<()> {
        self.check_amount("transfer", payment.amount)?;
        self.check_apart("transfer", payment.account, to)?;
        let mut venue = VenueMoves::default();
        let (before, mut after) = self.loaded(payment.account);
        let (to_before, mut to_after) = self.loaded(to);
        self.pay(&mut after, payment.asset, -payment.amount, &mut venue)?;
        self.pay(&mut to_after, payment.asset, payment.amount, &mut venue)?;
        self.check_left("transfer", payment, &after)?;
        let changes = &mut [
            (payment.account as usize, &before, &mut after),
            (to as usize, &to_before, &mut to_after),
        ];
        self.commit(changes, &venue)
    }

    pub(super) fn exchange(
        &mut self,
        sold: Payment,
        (bought, amount): (u32, i128),
        fee: i128,
    ) -> Result<()> {
        self.check_amount("exchange", sold.amount)?;
        self.check_amount("exchange", amount)?;
        if sold.asset == bought {
            return Err(refused("exchange", "an asset is not given for itself"));
        }
        let mut venue = VenueMoves::default();
        let (before, mut after) = self.loaded(sold.account);
        self.pay(&mut after, sold.asset, -sold.amount, &mut venue)?;
        self.pay(&mut after, bought, amount, &mut venue)?;
        self.pay(&mut after, bought, -fee, &mut venue)?;
        venue.add(sold.asset, Pool::Street, sold.amount)?;
        venue.add(bought, Pool::Street, -amount)?;
        venue.add(bought, Pool::Fees, fee)?;
        let got = Payment {
            asset: bought,
            ..sold
        };
        // The fee may take more than is got.
        if amount < fee {
            self.check_left("exchange", got, &after)?;
        }
        self.check_left("exchange", sold, &after)?;
        self.commit(&mut [(sold.account as usize, &before, &mut after)], &venue)
    }

    /// Contracts change hands at what they cost; what meets an opposite position is closed.
    pub(super) fn transfer_position(
        &mut self,
        (from, to): (u32, u32),
        instrument: u32,
        quantity: i128,
    ) -> Result<()> {
        self.check_amount("transfer", quantity)?;
        self.check_apart("transfer", from, to)?;
        if self.settled[instrument as usize] {
            return Err(self.refuse_settled("transfer", instrument));
        }
        let mut venue = VenueMoves::default();
        let (before, mut after) = self.loaded(from);
        let (to_before, mut to_after) = self.loaded(to);
        let accounts = self.ledger.accounts();
        let terms = accounts.terms(instrument);
        for account in [&mut after, &mut to_after] {
            accounts.touch_cash(account, terms.settlement, &mut venue)?;
            if let Ok(at) = account.position_place(instrument) {
                accounts.touch_position(account, at, &mut venue)?;
            }
        }
        let isolated = |account: &Account| {
            let position = account.position(instrument);
            position.is_some_and(|position| position.isolated.is_some())
        };
        if isolated(&after) || isolated(&to_after) {
            return Err(refused(
                "transfer",
                "an isolated position stays where it is",
            ));
        }
        let held = after
            .position(instrument)
            .map_or(0, |position| position.quantity);
        if quantity > held.abs() {
            return Err(refused("transfer", "the account holds fewer contracts"));
        }
        let now = accounts.interest_now(terms.settlement);
        let moved = after.take_position(instrument, quantity);
        to_after.give_position(terms, moved, now)?;
        for (number, account) in [(from, &after), (to, &to_after)] {
            self.check_health("transfer", number, account)?;
        }
        let changes = &mut [
            (from as usize, &before, &mut after),
            (to as usize, &to_before, &mut to_after),
        ];
        self.commit(changes, &venue)
    }

    /// Adds to an account's cash, its interest booked.
    fn pay(
        &self,
        account: &mut Account,
        asset: u32,
        amount: i128,
        venue: &mut VenueMoves,
    ) -> Result<()> {
        let accounts = self.ledger.accounts();
        accounts.touch_cash(account, asset, venue)?;
        account.add_cash(asset, amount, accounts.interest_now(asset))
    }

    fn check_amount(&self, what: &'static str, amount: i128) -> Result<()> {
        if amount > 0 {
            return Ok(());
        }
        Err(Error::Value {
            place: Place::frame(what),
            problem: "the amount is not > 0".to_owned(),
        })
    }

    fn check_apart(&self, what: &'static str, from: u32, to: u32) -> Result<()> {
        if from == to {
            return Err(refused(what, "both are the same account"));
        }
        Ok(())
    }

    /// Refuses a payment that leaves a debt which may not be, or less than what the account needs.
    fn check_left(&mut self, what: &'static str, payment: Payment, after: &Account) -> Result<()> {
        if after.cash(payment.asset) < 0 && !self.limits.borrowable[payment.asset as usize] {
            let id = self.universe().assets().get(payment.asset as usize);
            let problem = format!("the account has less {id}, and it cannot be borrowed");
            return Err(refused(what, problem));
        }
        self.check_health(what, payment.account, after)
    }

    /// Refuses what leaves an account with less than its initial margin, unrealized gains counted as far as they may be
    /// withdrawn against.
    fn check_health(&mut self, what: &'static str, number: u32, after: &Account) -> Result<()> {
        let accounts = self.ledger.accounts();
        let id = accounts.ids().get(number as usize);
        let book = book_of(accounts, id, after);
        let mut verdicts = Vec::new();
        judge(
            &self.model_of_withdrawals,
            &self.market,
            &book,
            &mut verdicts,
        )?;
        // Where every position stands alone, the pool is what they share, but for those that have their own margin.
        let shares = |instrument| {
            let position = after.position(instrument);
            let posted = position.is_some_and(|position| position.isolated.is_some());
            self.model.key() == Key::Position && !posted
        };
        let short = verdicts.iter().find(|verdict| {
            verdict.is_negative(result::INITIAL_HEALTH) && verdict.instrument.is_none_or(shares)
        });
        match short {
            None => Ok(()),
            Some(verdict) => Err(refused(
                what,
                format!(
                    "account {id} would be {} below its initial margin",
                    -verdict.row.0[result::INITIAL_HEALTH]
                ),
            )),
        }
    }
}
