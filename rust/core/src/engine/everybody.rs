//! What everybody feels: prices, interest and funding, other rules; and somebody new.

use std::sync::Arc;

use super::event::{AccountId, Accrual, Price, Rejudged};
use super::model::MarginModel;
use super::watcher::Judging;
use super::{Engine, refused};
use crate::error::{Error, Place, Result};
use crate::exact::Given;
use crate::ids::Id;
use crate::model::is_moderate;
use crate::pool::Stop;

impl Engine {
    pub(super) fn tick(&mut self, prices: &[Price], stop: Stop<'_>) -> Result<()> {
        // Where levels are watched, a single price can only be refused before it is set.
        let may_fail = prices.len() > 1 || !self.watcher.has_levels();
        let market = may_fail.then(|| self.market.clone());
        let set = prices.iter().try_for_each(|price| {
            if let Price::Mark(instrument, _) = price
                && self.settled[*instrument as usize]
            {
                return Err(self.refuse_settled("tick", *instrument));
            }
            price.check(&self.market)?;
            price.set(&mut self.market)
        });
        if let Err(error) = set {
            if let Some(market) = market {
                self.market = market;
            }
            return Err(error);
        }
        let judging = Judging {
            model: &self.model,
            market: &self.market,
            accounts: self.ledger.accounts(),
        };
        match self.watcher.follow(judging, prices, &mut self.changes)? {
            Some(woken) => self.judged(Rejudged::Woken, woken),
            None => {
                let judged = self.judge_all(stop);
                if let (Err(_), Some(market)) = (&judged, market) {
                    self.market = market;
                }
                self.metrics.woken += judged? as u64;
            }
        }
        Ok(())
    }

    /// Judges everybody; returns how many these are.
    pub(super) fn judge_all(&mut self, stop: Stop<'_>) -> Result<usize> {
        let book = self.ledger.accounts().book(&mut *stop)?;
        let judging = Judging {
            model: &self.model,
            market: &self.market,
            accounts: self.ledger.accounts(),
        };
        let judged = self
            .watcher
            .judge_all(judging, &book, &mut self.changes, stop)?;
        self.judged(Rejudged::Everybody, judged);
        Ok(judged)
    }

    pub(super) fn accrue(&mut self, accrual: &Accrual, stop: Stop<'_>) -> Result<()> {
        self.check_accrued(accrual)?;
        let mut market = self.market.clone();
        if let Some(time) = accrual.time {
            if market.time().is_some_and(|now| time < now) {
                return Err(refused("accrue", "time does not go back"));
            }
            market.set_time(Some(time));
        }
        for (instrument, funding) in &accrual.funding {
            market.set_cumulative_funding(*instrument as usize, funding.clone())?;
        }
        for (asset, [deposit, borrow]) in &accrual.interest {
            market.set_deposit_index(*asset as usize, deposit.clone())?;
            market.set_borrow_index(*asset as usize, borrow.clone())?;
        }
        let before = std::mem::replace(&mut self.market, market);
        if accrual.is_time_alone() && self.watcher.has_levels() {
            // Cross margin does not look at the clock.
            self.judged(Rejudged::TimeDependent, 0);
        } else {
            let judging = Judging {
                model: &self.model,
                market: &self.market,
                accounts: self.ledger.accounts(),
            };
            match self.watcher.accrue(judging, &before, &mut self.changes) {
                Some(judged) => self.judged(Rejudged::Paid, judged),
                None => {
                    if let Err(error) = self.judge_all(stop) {
                        self.market = before;
                        return Err(error);
                    }
                }
            }
        }
        self.ledger.accrue(&self.market);
        Ok(())
    }

    /// Refuses figures so far from 1 that an engine's could leave the range of f64.
    fn check_accrued(&self, accrual: &Accrual) -> Result<()> {
        let universe = self.universe();
        let check = |name, id: Id<'_>, given: &Given| {
            let figure = given.float();
            if is_moderate(figure) || !figure.is_finite() {
                return Ok(());
            }
            Err(Error::Value {
                place: Place::frame(name).id(id),
                problem: format!("{figure:e} is neither 0 nor from 1e-30 to below 1e30"),
            })
        };
        for (row, funding) in &accrual.funding {
            check(
                "funding",
                universe.instruments().get(*row as usize),
                funding,
            )?;
        }
        for (row, indices) in &accrual.interest {
            for index in indices {
                check("interest", universe.assets().get(*row as usize), index)?;
            }
        }
        Ok(())
    }

    pub(super) fn set_parameters(
        &mut self,
        model: &Arc<MarginModel>,
        stop: Stop<'_>,
    ) -> Result<()> {
        if !Arc::ptr_eq(model.universe(), self.model.universe()) {
            return Err(Error::UniverseMismatch {
                left: "model",
                right: "engine",
            });
        }
        let share = &self.limits.withdrawable_gain_share;
        let of_withdrawals = model.with_gain_share_at_most(share)?;
        let before = std::mem::replace(&mut self.model, Arc::clone(model));
        if let Err(error) = self.judge_all(stop) {
            self.model = before;
            return Err(error);
        }
        self.model_of_withdrawals = of_withdrawals;
        Ok(())
    }

    pub(super) fn add_account(&mut self, id: &AccountId) -> Result<()> {
        let mut ids = (**self.ledger.accounts().ids()).clone();
        let id = match id {
            AccountId::Int(id) => Id::Int(*id),
            AccountId::Text(id) => Id::Text(id),
        };
        if ids.find(id).is_some() {
            return Err(refused("add_account", format!("{id} is there already")));
        }
        let number = ids.intern(id).ok_or_else(|| {
            refused(
                "add_account",
                format!("{id}: the ids of the book are of the other kind"),
            )
        })?;
        self.ledger.add_account(ids);
        let judging = Judging {
            model: &self.model,
            market: &self.market,
            accounts: self.ledger.accounts(),
        };
        self.watcher
            .judge_touched(judging, &[number], &mut self.changes)?;
        self.judged(Rejudged::Touched, 1);
        Ok(())
    }
}
