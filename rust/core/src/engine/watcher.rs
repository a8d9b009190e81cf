//! Who is liquidatable, and who must be judged again when: by levels under cross margin, all at once under other models.

use super::event::Price;
use super::judge::{Verdict, book_of, judge};
use super::model::MarginModel;
use super::reading::{Inputs, Reading};
use super::standing::{AlertLevels, Changes, Standing};
use super::table::LiveTable;
use super::wake::Wake;
use crate::book::Book;
use crate::error::Result;
use crate::kernel::UnitLegs;
use crate::ledger::{Account, Accounts};
use crate::market::Market;
use crate::model::CrossMargin;
use crate::pool::Stop;
use crate::units::Key;

/// What watches the accounts.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) standing: Standing,
    /// Under cross margin.
    wake: Option<Wake>,
    verdicts: Vec<Verdict>,
}

/// What everything is judged by.
#[derive(Clone, Copy)]
pub(crate) struct Judging<'a> {
    pub(crate) model: &'a MarginModel,
    pub(crate) market: &'a Market,
    pub(crate) accounts: &'a Accounts,
}

impl Judging<'_> {
    pub(crate) fn inputs<'a>(&'a self, model: &'a CrossMargin, number: usize) -> Inputs<'a> {
        Inputs {
            model,
            market: self.market,
            accounts: self.accounts,
            number,
        }
    }
}

impl Watcher {
    /// Judges everybody for the first time; nobody counts as fallen.
    ///
    /// # Errors
    /// As [`MarginModel::evaluate`].
    pub(crate) fn open(
        judging: Judging<'_>,
        levels: AlertLevels,
        book: &Book,
        stop: Stop<'_>,
    ) -> Result<Self> {
        let mut watcher = Self {
            standing: Standing::new(levels),
            wake: None,
            verdicts: Vec::new(),
        };
        watcher.judge_all(judging, book, &mut Changes::default(), stop)?;
        Ok(watcher)
    }

    /// Judges everybody, and watches them anew. An error changes nothing.
    ///
    /// # Errors
    /// As [`MarginModel::evaluate`].
    pub(crate) fn judge_all(
        &mut self,
        judging: Judging<'_>,
        book: &Book,
        changes: &mut Changes,
        stop: Stop<'_>,
    ) -> Result<usize> {
        let evaluated = judging.model.evaluate(book, judging.market, stop)?;
        let mut wake = match judging.model {
            MarginModel::Linear(model, Key::SettlementAsset) => {
                let levels = self.standing.levels();
                Some(Wake::open(judging, (model, levels), book, stop)?)
            }
            _ => None,
        };
        if let (Some(now), Some(before)) = (&mut wake, &self.wake) {
            now.take_over(before);
        }
        self.wake = wake;
        let now = Standing::of(self.standing.levels(), book, &evaluated);
        self.standing.replace(now, changes);
        Ok(evaluated.pools.rows().len())
    }

    /// Reads an account as it would be, and makes what judging it needs.
    ///
    /// # Errors
    /// A price or parameter that is missing.
    pub(crate) fn prepare(
        &mut self,
        judging: Judging<'_>,
        number: u32,
        account: &Account,
    ) -> Result<()> {
        match (&mut self.wake, judging.model) {
            (Some(wake), MarginModel::Linear(model, _)) => {
                let inputs = judging.inputs(model, number as usize);
                wake.prepare(inputs, account)
            }
            _ => {
                let id = judging.accounts.ids().get(number as usize);
                let book = book_of(judging.accounts, id, account);
                judge(judging.model, judging.market, &book, &mut self.verdicts)
            }
        }
    }

    /// Judges an account as it would be, without noting it. False if the table lacks what it needs: see
    /// [`Watcher::prepare`].
    ///
    /// # Errors
    /// A price or parameter that is missing.
    pub(crate) fn judge_as_is(
        &self,
        judging: Judging<'_>,
        (number, account): (u32, &Account),
        reading: &mut Reading,
        verdicts: &mut Vec<Verdict>,
    ) -> Result<bool> {
        let (Some(wake), MarginModel::Linear(model, _)) = (&self.wake, judging.model) else {
            let id = judging.accounts.ids().get(number as usize);
            let book = book_of(judging.accounts, id, account);
            return judge(judging.model, judging.market, &book, verdicts).map(|()| true);
        };
        let inputs = judging.inputs(model, number as usize);
        let ready = reading.read_if_ready(inputs, account, wake.table());
        if ready {
            reading.judge(inputs, account, wake.table(), verdicts);
        }
        Ok(ready)
    }

    /// The legs of an account that is plain, and what they are contracted with.
    pub(crate) fn plain<'a>(
        &'a self,
        judging: &'a Judging<'a>,
        number: u32,
    ) -> Option<(UnitLegs<'a, u32>, Inputs<'a>, &'a LiveTable)> {
        let (Some(wake), MarginModel::Linear(model, _)) = (&self.wake, judging.model) else {
            return None;
        };
        let legs = wake.levels().kept().get(number).legs?;
        let inputs = judging.inputs(model, number as usize);
        Some((legs, inputs, wake.table()))
    }

    /// Judges the account that was prepared last, as it is now, and notes it.
    pub(crate) fn judge_prepared(
        &mut self,
        judging: Judging<'_>,
        number: u32,
        account: &Account,
        changes: &mut Changes,
    ) {
        let (Some(wake), MarginModel::Linear(model, _)) = (&mut self.wake, judging.model) else {
            self.standing.note(number, &self.verdicts, changes);
            return;
        };
        let inputs = judging.inputs(model, number as usize);
        wake.judge_prepared(inputs, account, |judged| {
            self.standing.note(number, &judged.verdicts, changes);
        });
    }

    /// Judges accounts of the ledger that changed, and for which all is prepared.
    ///
    /// # Errors
    /// As [`Watcher::prepare`].
    pub(crate) fn judge_changed(
        &mut self,
        judging: Judging<'_>,
        numbers: &[u32],
        changes: &mut Changes,
    ) -> Result<()> {
        let (Some(wake), MarginModel::Linear(model, _)) = (&mut self.wake, judging.model) else {
            return self.judge_touched(judging, numbers, changes);
        };
        let standing = &mut self.standing;
        wake.judge_many(judging, model, (numbers, true), &mut |judged| {
            standing.note(judged.number, &judged.verdicts, changes);
        });
        Ok(())
    }

    /// Judges accounts of the ledger.
    ///
    /// # Errors
    /// As [`Watcher::prepare`]; events make sure beforehand that there is none.
    pub(crate) fn judge_touched(
        &mut self,
        judging: Judging<'_>,
        numbers: &[u32],
        changes: &mut Changes,
    ) -> Result<()> {
        self.standing.grow(judging.accounts.len());
        let mut account = Account::default();
        for &number in numbers {
            judging.accounts.load(number as usize, &mut account);
            self.prepare(judging, number, &account)?;
            self.judge_prepared(judging, number, &account, changes);
        }
        Ok(())
    }

    /// Follows prices, and judges those that they wake. Returns how many were woken; `None` if this model has no levels.
    ///
    /// # Errors
    /// As [`Watcher::judge`]; there is none where all had prices.
    pub(crate) fn follow(
        &mut self,
        judging: Judging<'_>,
        prices: &[Price],
        changes: &mut Changes,
    ) -> Result<Option<usize>> {
        let (Some(wake), MarginModel::Linear(model, _)) = (&mut self.wake, judging.model) else {
            return Ok(None);
        };
        let woken = wake.follow(judging, model, prices, (&mut self.standing, changes));
        Ok(Some(woken))
    }

    /// Follows funding and interest since `before`, and judges those whom they may have moved across a threshold. Returns
    /// how many these were; `None`, and nothing was done, if everybody must be judged.
    pub(crate) fn accrue(
        &mut self,
        judging: Judging<'_>,
        before: &Market,
        changes: &mut Changes,
    ) -> Option<usize> {
        let (Some(wake), MarginModel::Linear(model, _)) = (&mut self.wake, judging.model) else {
            return None;
        };
        wake.accrue(judging, model, before, (&mut self.standing, changes))
    }

    /// Asks for the place of what is kept of an account, and then for that.
    pub(crate) fn fetch(&self, account: u32, is_near: bool) {
        if let Some(wake) = &self.wake {
            if is_near {
                wake.levels().kept().fetch(account);
            } else {
                wake.levels().kept().fetch_place(account);
            }
        }
    }

    /// Whether prices are watched, so that a tick wakes few.
    pub(crate) fn has_levels(&self) -> bool {
        self.wake.is_some()
    }

    /// Number of levels, and bytes of what watches.
    pub(crate) fn memory(&self) -> (usize, usize) {
        let wake = self.wake.as_ref();
        wake.map_or((0, 0), |wake| wake.levels().memory())
    }
}
