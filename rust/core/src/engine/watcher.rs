//! Who is liquidatable, and who must be judged again when: by levels under cross margin, all at once under other models.

use super::alone::Alone;
use super::boxes::{index_variable, mark_variable, variables};
use super::event::Price;
use super::judge::{Verdict, book_of, judge};
use super::judged::Judged;
use super::kept::{Kept, SHELF, Subject};
use super::levels::Levels;
use super::model::MarginModel;
use super::reading::{Inputs, Reading, WatchedNow};
use super::standing::{AlertLevels, Changes, Standing};
use super::table::LiveTable;
use crate::book::Book;
use crate::error::Result;
use crate::kernel::UnitLegs;
use crate::ledger::{Account, Accounts};
use crate::market::Market;
use crate::model::CrossMargin;
use crate::pool::{self, Stop, never};
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
    alerts: AlertLevels,
    reading: Reading,
    levels: Levels,
    alone: Alone,
    woken: Vec<Subject>,
    judged: Judged,
    /// Of many that are judged on all threads.
    many: Vec<Judged>,
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
        let mut wake = match judging.model {
            MarginModel::Linear(model, Key::SettlementAsset) => {
                let levels = self.standing.levels();
                Some(Wake::open(judging, (model, levels), book, stop)?)
            }
            _ => None,
        };
        if let (Some(now), Some(before)) = (&mut wake, &self.wake) {
            now.table.lively_mut().take_over(before.table.lively());
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
                wake.reading.prepare(inputs, account, &mut wake.table)
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
        let ready = reading.read_if_ready(inputs, account, &wake.table);
        if ready {
            reading.judge(inputs, account, &wake.table, verdicts);
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
        let legs = wake.levels.kept().get(number).legs?;
        let inputs = judging.inputs(model, number as usize);
        Some((legs, inputs, &wake.table))
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
        let watched = WatchedNow {
            kept: wake.levels.kept(),
            alone: &wake.alone,
        };
        let (table, judged) = (&wake.table, &mut wake.judged);
        wake.reading
            .judge_prepared(inputs, account, (table, watched), judged);
        let judged = std::mem::take(&mut wake.judged);
        wake.keep(&judged);
        self.standing.note(number, &judged.verdicts, changes);
        wake.judged = judged;
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
        wake.judge_many(judging, model, numbers, true, |judged| {
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
        let universe = model.universe();
        wake.woken.clear();
        for price in prices {
            match price {
                Price::Mark(instrument, price) => {
                    let instrument = *instrument as usize;
                    wake.table.tick_mark(instrument, model, judging.market);
                    let value = universe.specs()[instrument].price_value(price.float());
                    wake.cross(mark_variable(instrument), value);
                }
                Price::Index(slot, price) => {
                    let slot = *slot as usize;
                    wake.table.tick_index(slot, model, judging.market);
                    wake.cross(index_variable(universe, slot), price.float());
                }
            }
        }
        let mut woken = std::mem::take(&mut wake.woken);
        for subject in &mut woken {
            *subject = wake.alone.account(*subject);
        }
        woken.sort_unstable();
        woken.dedup();
        let standing = &mut self.standing;
        wake.judge_many(judging, model, &woken, false, |judged| {
            standing.note(judged.number, &judged.verdicts, changes);
        });
        let count = woken.len();
        wake.woken = woken;
        Ok(Some(count))
    }

    /// Asks for the place of what is kept of an account, and then for that.
    pub(crate) fn fetch(&self, account: u32, is_near: bool) {
        if let Some(wake) = &self.wake {
            if is_near {
                wake.levels.kept().fetch(account);
            } else {
                wake.levels.kept().fetch_place(account);
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
            alerts: alerts.clone(),
            reading: Reading::new(alerts),
            levels,
            alone,
            woken: Vec::new(),
            judged: Judged::default(),
            many: Vec::new(),
        })
    }

    /// Notes whom it wakes that a price is `now`.
    fn cross(&mut self, variable: u32, now: f64) {
        self.table.lively_mut().follow(variable, now);
        self.levels.cross(variable, now, &mut self.woken);
    }

    /// Judges accounts of the ledger and watches their prices anew; legs that are kept serve, unless accounts changed.
    fn judge_many(
        &mut self,
        judging: Judging<'_>,
        model: &CrossMargin,
        numbers: &[u32],
        changed: bool,
        mut note: impl FnMut(&Judged),
    ) {
        if numbers.len() < FEW {
            let (mut reading, mut judged) = (
                std::mem::take(&mut self.reading),
                std::mem::take(&mut self.judged),
            );
            for (at, &number) in numbers.iter().enumerate() {
                self.fetch(judging, numbers, at, changed);
                let inputs = judging.inputs(model, number as usize);
                self.judge_one(&mut reading, inputs, changed, &mut judged);
                self.judge_late(&mut reading, inputs, &mut judged);
                self.keep(&judged);
                note(&judged);
            }
            (self.reading, self.judged) = (reading, judged);
            return;
        }
        let mut many = std::mem::take(&mut self.many);
        many.resize_with(MANY.min(numbers.len()), Judged::default);
        for numbers in numbers.chunks(MANY) {
            let tasks = numbers.chunks(FEW).zip(many.chunks_mut(FEW));
            let tasks: Vec<(&[u32], &mut [Judged])> = tasks.collect();
            let work = |(numbers, many): (&[u32], &mut [Judged])| {
                let mut reading = Reading::new(&self.alerts);
                for (at, (&number, judged)) in numbers.iter().zip(many).enumerate() {
                    self.fetch(judging, numbers, at, changed);
                    let inputs = judging.inputs(model, number as usize);
                    self.judge_one(&mut reading, inputs, changed, judged);
                }
            };
            pool::for_each(tasks.into_iter(), work, &mut never).expect("nobody interrupts");
            let mut reading = std::mem::take(&mut self.reading);
            for judged in &mut many[..numbers.len()] {
                let inputs = judging.inputs(model, judged.number as usize);
                self.judge_late(&mut reading, inputs, judged);
                self.keep(judged);
                note(judged);
            }
            self.reading = reading;
        }
        self.many = many;
    }

    /// Asks for what will be judged soon.
    fn fetch(&self, judging: Judging<'_>, numbers: &[u32], at: usize, changed: bool) {
        let kept = self.levels.kept();
        if let Some(&number) = numbers.get(at + 2 * AHEAD) {
            kept.fetch_place(number);
            if changed {
                judging.accounts.fetch_place(number as usize);
            }
        }
        if let Some(&number) = numbers.get(at + AHEAD) {
            kept.fetch(number);
            if changed {
                judging.accounts.fetch(number as usize);
            }
        }
    }

    fn judge_one(
        &self,
        reading: &mut Reading,
        inputs: Inputs<'_>,
        changed: bool,
        judged: &mut Judged,
    ) {
        let kept = self.levels.kept();
        let piece = kept.get(inputs.number as u32);
        if let Some(legs) = piece.legs.filter(|_| !changed) {
            reading.judge_plain(inputs, (legs, piece.watches), &self.table, judged);
            return;
        }
        let alone = &self.alone;
        reading.judge_booked(inputs, (&self.table, WatchedNow { kept, alone }), judged);
    }

    /// Judges again what the table had no rows for.
    fn judge_late(&mut self, reading: &mut Reading, inputs: Inputs<'_>, judged: &mut Judged) {
        if !judged.is_late {
            return;
        }
        let prepared = reading.prepare(inputs, &inputs.account(), &mut self.table);
        prepared.expect("what is new was prepared before");
        let kept = self.levels.kept();
        let alone = &self.alone;
        reading.judge_booked(inputs, (&self.table, WatchedNow { kept, alone }), judged);
    }

    /// Watches what is to be watched from now on.
    fn keep(&mut self, judged: &Judged) {
        judged.keep_legs(self.levels.kept_mut());
        self.levels.set(judged.number, &judged.watches);
        for (instrument, watches) in &judged.alone {
            let subject = self.alone.subject(judged.number, *instrument);
            self.levels.set(subject, watches);
        }
    }
}

/// Fewer accounts are judged by the calling thread alone; so many are a task.
const FEW: usize = 512;

/// So many are judged before any is noted.
const MANY: usize = 32 * FEW;

/// How many accounts before it is judged one is asked for.
const AHEAD: usize = 4;
