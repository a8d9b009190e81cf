//! Trades: positions change, the venue takes its fee, orders shrink.

use std::cmp::Ordering;

use super::event::{Fill, Rejudged};
use super::watcher::Judging;
use super::{Engine, check_terms, refuse_settled, refused};
use crate::error::Result;
use crate::exact::Given;
use crate::kernel::fetch;
use crate::ledger::{Account, Accounts, Changed, Pool, VenueMoves};
use crate::pool::Stop;

impl Engine {
    /// One side of a trade; the other is somebody outside the book.
    pub(super) fn fill(&mut self, fill: &Fill) -> Result<()> {
        let (mut before, mut after) = std::mem::take(&mut self.filled);
        self.watcher.fetch(fill.account, false);
        self.watcher.standing.fetch(&[fill.account]);
        self.ledger.accounts().fetch_place(fill.account as usize);
        self.ledger.accounts().fetch(fill.account as usize);
        self.watcher.fetch(fill.account, true);
        self.ledger
            .accounts()
            .load(fill.account as usize, &mut before);
        after.clone_from(&before);
        let filled = self.fill_one(fill, &before, &mut after);
        self.filled = (before, after);
        filled
    }

    fn fill_one(&mut self, fill: &Fill, before: &Account, after: &mut Account) -> Result<()> {
        let mut venue = VenueMoves::default();
        let accounts = self.ledger.accounts();
        self.filling()
            .fill_with_the_street(accounts, fill, after, &mut venue)?;
        let changes = &mut [(fill.account as usize, before, &mut *after)];
        self.commit(changes, &venue)?;
        self.forget_filled(before, after);
        Ok(())
    }

    /// Both sides of a trade, or neither.
    pub(super) fn trade(&mut self, maker: &Fill, taker: &Fill) -> Result<()> {
        if maker.account == taker.account {
            return Err(refused("trade", "an account does not trade with itself"));
        }
        let mut venue = VenueMoves::default();
        let (maker_before, mut maker_after) = self.loaded(maker.account);
        let (taker_before, mut taker_after) = self.loaded(taker.account);
        let cost = self.fill_draft(maker, &mut maker_after, &mut venue)?
            + self.fill_draft(taker, &mut taker_after, &mut venue)?;
        let settlement = self.ledger.accounts().terms(taker.instrument).settlement;
        // Each side was rounded against it.
        venue.add(settlement, Pool::Rounding, cost)?;
        let changes = &mut [
            (maker.account as usize, &maker_before, &mut maker_after),
            (taker.account as usize, &taker_before, &mut taker_after),
        ];
        self.commit(changes, &venue)?;
        self.forget_filled(&maker_before, &maker_after);
        self.forget_filled(&taker_before, &taker_after);
        Ok(())
    }

    /// See [`super::Event::Fills`].
    pub(super) fn fill_many(&mut self, fills: &[Fill], stop: Stop<'_>) -> Result<()> {
        let filling = Filling {
            settled: &self.settled,
        };
        let accounts: Vec<u32> = fills.iter().map(|fill| fill.account).collect();
        let fill = |terms: &Accounts, row: usize, account: &mut Account, venue: &mut VenueMoves| {
            filling.fill_with_the_street(terms, &fills[row], account, venue)
        };
        // Both ends: a fill is longer than a cache line.
        let ask = |row: usize| {
            fetch(&fills[row].quantity);
            fetch(&fills[row].instrument);
        };
        let changed = self.ledger.change_many(&accounts, (ask, fill), stop);
        let changed = changed.map_err(|(row, error)| match row {
            Some(row) => error.in_row("fills", row),
            None => error,
        })?;
        self.judge_booked(changed)
    }

    /// Judges accounts that were changed in the ledger. An error changes nothing.
    fn judge_booked(&mut self, changed: Changed) -> Result<()> {
        if let Err(error) = self.prepare_fresh(&changed) {
            self.ledger.undo(changed);
            return Err(error);
        }
        let judging = Judging {
            model: &self.model,
            market: &self.market,
            accounts: self.ledger.accounts(),
        };
        let touched = changed.accounts();
        let judged = self
            .watcher
            .judge_changed(judging, &touched, &mut self.changes);
        judged.expect("all were prepared");
        self.forget_gone(&changed);
        self.judged(Rejudged::Touched, touched.len());
        Ok(())
    }

    /// Forgets whose orders are open no more.
    fn forget_gone(&mut self, changed: &Changed) {
        for order in changed.gone() {
            self.order_account.remove(&order);
        }
    }

    /// Makes sure that all who hold something new can be judged.
    fn prepare_fresh(&mut self, changed: &Changed) -> Result<()> {
        let mut account = Account::default();
        for number in changed.fresh() {
            self.ledger.accounts().load(number as usize, &mut account);
            let (watcher, judging) = self.judge_with();
            watcher.prepare(judging, number, &account)?;
        }
        Ok(())
    }

    pub(super) fn loaded(&self, number: u32) -> (Account, Account) {
        let mut before = Account::default();
        self.ledger.accounts().load(number as usize, &mut before);
        let after = before.clone();
        (before, after)
    }

    fn filling(&self) -> Filling<'_> {
        Filling {
            settled: &self.settled,
        }
    }

    /// See [`Filling::fill`].
    fn fill_draft(
        &self,
        fill: &Fill,
        account: &mut Account,
        venue: &mut VenueMoves,
    ) -> Result<i128> {
        let accounts = self.ledger.accounts();
        self.filling().fill(accounts, fill, account, venue)
    }

    /// Forgets orders that are open no more.
    fn forget_filled(&mut self, before: &Account, after: &Account) {
        for order in &before.orders {
            if after.order_place(order.id).is_none() {
                self.order_account.remove(&order.id);
            }
        }
    }

    /// Closes all positions in an instrument at its last price; orders in it are taken back.
    pub(super) fn settle(&mut self, instrument: u32, price: &Given, stop: Stop<'_>) -> Result<()> {
        self.check_terms(instrument, 1, price.float())?;
        if self.settled[instrument as usize] {
            return Err(self.refuse_settled("settle", instrument));
        }
        let accounts = self.ledger.accounts().with_any_of(instrument);
        let filling = Filling {
            settled: &self.settled,
        };
        let end = |terms: &Accounts, row: usize, account: &mut Account, venue: &mut VenueMoves| {
            account
                .orders
                .retain(|order| order.instrument != instrument);
            let Some(position) = account.position(instrument) else {
                return Ok(());
            };
            let close = Fill {
                account: accounts[row],
                instrument,
                quantity: -position.quantity,
                price: price.clone(),
                fee: 0,
                order: None,
            };
            filling.fill_with_the_street(terms, &close, account, venue)
        };
        let changed = self
            .ledger
            .change_many(&accounts, (|_| (), end), &mut *stop);
        let changed = changed.map_err(|(_, error)| error)?;
        if self.watcher.has_levels() {
            self.judge_booked(changed)?;
        } else if let Err(error) = self.judge_all(stop) {
            self.ledger.undo(changed);
            return Err(error);
        } else {
            self.forget_gone(&changed);
        }
        self.settled[instrument as usize] = true;
        Ok(())
    }
}

/// What fills are checked against beside the accounts.
#[derive(Clone, Copy)]
struct Filling<'a> {
    settled: &'a [bool],
}

impl Filling<'_> {
    /// What a fill does to an account, if the other side is outside the book.
    fn fill_with_the_street(
        self,
        accounts: &Accounts,
        fill: &Fill,
        account: &mut Account,
        venue: &mut VenueMoves,
    ) -> Result<()> {
        let cost = self.fill(accounts, fill, account, venue)?;
        let settlement = accounts.terms(fill.instrument).settlement;
        venue.add(settlement, Pool::Street, cost)
    }

    /// What a fill does to an account; returns what its contracts cost.
    fn fill(
        self,
        accounts: &Accounts,
        fill: &Fill,
        account: &mut Account,
        venue: &mut VenueMoves,
    ) -> Result<i128> {
        let universe = accounts.universe();
        check_terms(universe, fill.instrument, fill.quantity, fill.price.float())?;
        if self.settled[fill.instrument as usize] {
            return Err(refuse_settled(universe, "fill", fill.instrument));
        }
        if let Some(id) = fill.order {
            take_from_order(account, id, fill)?;
        }
        let terms = accounts.terms(fill.instrument);
        accounts.touch_cash(account, terms.settlement, venue)?;
        if let Ok(at) = account.position_place(fill.instrument) {
            accounts.touch_position(account, at, venue)?;
        }
        let now = accounts.interest_now(terms.settlement);
        let cost = account.fill(terms, fill.quantity, fill.price.as_ref(), (now, venue))?;
        if fill.fee != 0 {
            account.add_cash(terms.settlement, -fill.fee, now)?;
            venue.add(terms.settlement, Pool::Fees, fill.fee)?;
        }
        Ok(cost)
    }
}

/// Takes the contracts of a fill from its order.
fn take_from_order(account: &mut Account, id: u64, fill: &Fill) -> Result<()> {
    let refuse = |problem: String| refused("fill", format!("order {id}: {problem}"));
    let Some(at) = account.order_place(id) else {
        return Err(refuse("the account has no such open order".to_owned()));
    };
    let order = &mut account.orders[at];
    if order.instrument != fill.instrument || order.quantity.signum() != fill.quantity.signum() {
        return Err(refuse(
            "it is in another instrument or on the other side".to_owned(),
        ));
    }
    if fill.quantity.abs() > order.quantity.abs() {
        return Err(refuse("less than that is open".to_owned()));
    }
    let worse = if fill.quantity > 0 {
        Ordering::Greater
    } else {
        Ordering::Less
    };
    if fill.price.compare(&order.price.given()) == worse {
        return Err(refuse(format!(
            "{} is worse than its limit {}",
            fill.price.float(),
            order.price
        )));
    }
    order.quantity -= fill.quantity;
    let (left, reduce_only) = (order.quantity, order.reduce_only);
    if left == 0 {
        account.orders.remove(at);
    }
    let held = account
        .position(fill.instrument)
        .map_or(0, |position| position.quantity);
    let reduces = held.signum() == -fill.quantity.signum() && fill.quantity.abs() <= held.abs();
    if reduce_only && !reduces {
        return Err(refuse(
            "it may only reduce, and there is less to reduce".to_owned(),
        ));
    }
    Ok(())
}
