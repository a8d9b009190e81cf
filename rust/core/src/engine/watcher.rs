//! Who is liquidatable, and who must be judged again when: by levels under cross margin, all at once under other models.

use std::collections::HashMap;

use super::boxes::{index_variable, mark_variable, variables};
use super::event::{NewOrder, Price};
use super::judge::{Verdict, book_of, judge};
use super::kept::{ALONE, Kept, SHELF, Subject};
use super::levels::Levels;
use super::model::MarginModel;
use super::reading::{Inputs, Reading};
use super::standing::{AlertLevels, Changes, Standing};
use super::table::LiveTable;
use crate::book::Book;
use crate::error::Result;
use crate::ledger::{Account, Accounts};
use crate::market::Market;
use crate::model::CrossMargin;
use crate::pool::{self, Stop};
use crate::table::Missing;
use crate::units::Key;

/// What watches the accounts.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) standing: Standing,
    /// Under cross margin.
    wake: Option<Wake>,
    verdicts: Vec<Verdict>,
}

/// Watching by levels.
#[derive(Debug)]
struct Wake {
    table: LiveTable,
    reading: Reading,
    levels: Levels,
    alone: Alone,
    woken: Vec<Subject>,
    account: Account,
}

/// What everything is judged by.
#[derive(Clone, Copy)]
pub(crate) struct Judging<'a> {
    pub(crate) model: &'a MarginModel,
    pub(crate) market: &'a Market,
    pub(crate) accounts: &'a Accounts,
}

impl Judging<'_> {
    fn inputs<'a>(&'a self, model: &'a CrossMargin, number: usize) -> Inputs<'a> {
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
        let wake = match judging.model {
            MarginModel::Linear(model, Key::SettlementAsset) => {
                let levels = self.standing.levels();
                Some(Wake::open(judging, (model, levels), book, stop)?)
            }
            _ => None,
        };
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
                wake.reading.prepare(inputs, account, &mut wake.table)
            }
            _ => {
                let id = judging.accounts.ids().get(number as usize);
                let book = book_of(judging.accounts, id, account);
                judge(judging.model, judging.market, &book, &mut self.verdicts)
            }
        }
    }

    /// Judges an account as it would be, without noting it.
    ///
    /// # Errors
    /// As [`Watcher::prepare`].
    pub(crate) fn judge(
        &mut self,
        judging: Judging<'_>,
        number: u32,
        account: &Account,
    ) -> Result<&[Verdict]> {
        self.prepare(judging, number, account)?;
        if let (Some(wake), MarginModel::Linear(model, _)) = (&mut self.wake, judging.model) {
            let inputs = judging.inputs(model, number as usize);
            wake.reading
                .judge(inputs, account, &wake.table, &mut self.verdicts);
        }
        Ok(&self.verdicts)
    }

    /// Judges an account as if one more order rested, without looking into the ledger; `None` if that does not suffice.
    ///
    /// # Errors
    /// As [`Watcher::prepare`].
    pub(crate) fn judge_order(
        &mut self,
        judging: Judging<'_>,
        number: u32,
        order: NewOrder,
    ) -> Result<Option<Verdict>> {
        let (Some(wake), MarginModel::Linear(model, _)) = (&mut self.wake, judging.model) else {
            return Ok(None);
        };
        let Some(legs) = wake.levels.kept().get(number).legs else {
            return Ok(None);
        };
        let inputs = judging.inputs(model, number as usize);
        let table = &mut wake.table;
        let judged = wake.reading.judge_order(inputs, legs, order, table);
        judged.map(Some)
    }

    /// Judges the account that was prepared last, as it is now, and notes it.
    pub(crate) fn judge_prepared(
        &mut self,
        judging: Judging<'_>,
        number: u32,
        account: &Account,
        changes: &mut Changes,
    ) {
        if let (Some(wake), MarginModel::Linear(model, _)) = (&mut self.wake, judging.model) {
            let inputs = judging.inputs(model, number as usize);
            wake.judge_prepared(inputs, account, &mut self.verdicts);
        }
        self.standing.note(number, &self.verdicts, changes);
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
        let universe = model.universe();
        wake.woken.clear();
        for price in prices {
            match price {
                Price::Mark(instrument, price) => {
                    let instrument = *instrument as usize;
                    wake.table.tick_mark(instrument, model, judging.market);
                    let value = universe.specs()[instrument].price_value(price.float());
                    wake.levels
                        .cross(mark_variable(instrument), value, &mut wake.woken);
                }
                Price::Index(slot, price) => {
                    let slot = *slot as usize;
                    wake.table.tick_index(slot, model, judging.market);
                    let variable = index_variable(universe, slot);
                    wake.levels.cross(variable, price.float(), &mut wake.woken);
                }
            }
        }
        let mut woken = std::mem::take(&mut wake.woken);
        for subject in &mut woken {
            *subject = wake.alone.account(*subject);
        }
        woken.sort_unstable();
        woken.dedup();
        for &account in &woken {
            wake.judge(judging, model, account, &mut self.verdicts)?;
            self.standing.note(account, &self.verdicts, changes);
        }
        let count = woken.len();
        wake.woken = woken;
        Ok(Some(count))
    }

    /// Whether prices are watched, so that a tick wakes few.
    pub(crate) fn has_levels(&self) -> bool {
        self.wake.is_some()
    }

    /// Number of levels, and bytes of what watches.
    pub(crate) fn memory(&self) -> (usize, usize) {
        let wake = self.wake.as_ref();
        wake.map_or((0, 0), |wake| wake.levels.memory())
    }
}

impl Wake {
    /// Watches everybody.
    ///
    /// # Errors
    /// A price or parameter that is missing; there is none where all were evaluated.
    fn open(
        judging: Judging<'_>,
        (model, alerts): (&CrossMargin, &AlertLevels),
        book: &Book,
        stop: Stop<'_>,
    ) -> Result<Self> {
        let mut table = LiveTable::new(model, judging.market);
        let used = &book.layout(Key::SettlementAsset, &mut *stop)?.used;
        let missing = |missing: Missing| missing.error(model.universe(), String::new());
        table
            .ensure_used(used, model, judging.market)
            .map_err(missing)?;
        let watch = |block: usize| {
            let first = block * SHELF;
            let numbers = first..(first + SHELF).min(judging.accounts.len());
            let inputs = judging.inputs(model, first);
            Reading::new(alerts).watch_first(inputs, (book, numbers), &table)
        };
        let blocks = pool::map(judging.accounts.len().div_ceil(SHELF), watch, stop)?;
        let mut levels = Levels::new(variables(model.universe()));
        let (mut pieces, mut entries, mut isolated) = (Vec::new(), Vec::new(), Vec::new());
        for block in blocks {
            pieces.push(block.pieces);
            entries.push(block.entries);
            isolated.extend(block.alone);
        }
        levels.fill(Kept::of_pools(pieces), &entries);
        let mut alone = Alone::default();
        for ((account, instrument), watches) in isolated {
            levels.set(alone.subject(account, instrument), &watches);
        }
        Ok(Self {
            table,
            reading: Reading::new(alerts),
            levels,
            alone,
            woken: Vec::new(),
            account: Account::default(),
        })
    }

    /// Judges an account of the ledger and watches its prices anew.
    fn judge(
        &mut self,
        judging: Judging<'_>,
        model: &CrossMargin,
        number: u32,
        verdicts: &mut Vec<Verdict>,
    ) -> Result<()> {
        let inputs = judging.inputs(model, number as usize);
        let kept = self.levels.kept().get(number);
        if let Some(legs) = kept.legs {
            let verdict = self.reading.judge_plain(inputs, kept, legs, &self.table);
            self.levels.set(number, self.reading.watches());
            verdicts.clear();
            verdicts.push(verdict);
            return Ok(());
        }
        let mut account = std::mem::take(&mut self.account);
        judging.accounts.load(number as usize, &mut account);
        let prepared = self.reading.prepare(inputs, &account, &mut self.table);
        if prepared.is_ok() {
            self.judge_prepared(inputs, &account, verdicts);
        }
        self.account = account;
        prepared
    }

    fn judge_prepared(
        &mut self,
        inputs: Inputs<'_>,
        account: &Account,
        verdicts: &mut Vec<Verdict>,
    ) {
        let Self {
            table,
            reading,
            levels,
            alone,
            ..
        } = self;
        let number = inputs.number as u32;
        let subject = |instrument: u32| alone.subject(number, instrument);
        reading.judge_and_watch(inputs, account, table, levels, subject, verdicts);
    }
}

/// Isolated positions that were ever seen.
#[derive(Debug, Default)]
struct Alone {
    subjects: HashMap<(u32, u32), Subject>,
    positions: Vec<(u32, u32)>,
}

impl Alone {
    fn subject(&mut self, account: u32, instrument: u32) -> Subject {
        let next = ALONE + self.positions.len() as u32;
        let position = (account, instrument);
        let subject = *self.subjects.entry(position).or_insert(next);
        if subject == next {
            self.positions.push(position);
        }
        subject
    }

    /// The account of a subject, whichever it is.
    fn account(&self, subject: Subject) -> u32 {
        if subject < ALONE {
            return subject;
        }
        self.positions[(subject - ALONE) as usize].0
    }
}
