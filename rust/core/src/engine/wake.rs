//! Watching by levels: who wakes when prices move, how they stand, and what is watched of them next.

use super::account_set::AccountSet;
use super::accrual::{Highest, most_moved};
use super::alone::Alone;
use super::boxes::{downwards, index_variable, mark_variable, variables};
use super::crowd::Crowd;
use super::event::Price;
use super::judged::Judged;
use super::kept::{Kept, SHELF, Subject};
use super::levels::Levels;
use super::reading::{Inputs, Reading, WatchedNow};
use super::standing::{AlertLevels, Changes, Standing};
use super::table::LiveTable;
use super::watcher::Judging;
use crate::book::Book;
use crate::error::Result;
use crate::ledger::Account;
use crate::market::Market;
use crate::model::CrossMargin;
use crate::pool::{self, Stop, never};
use crate::table::Missing;
use crate::units::Key;

/// Levels of all prices, and what judging by them needs.
#[derive(Debug)]
pub(crate) struct Wake {
    table: LiveTable,
    alerts: AlertLevels,
    reading: Reading,
    levels: Levels,
    alone: Alone,
    crowd: Crowd,
    woken: Vec<Subject>,
    /// Accounts whose box was left and that have no other yet: they are judged on every tick.
    waiting: AccountSet,
    judged: Judged,
    /// Of many that are judged on all threads.
    many: Vec<Judged>,
    /// By account, what payments have not used up of what its box leaves over.
    reserves: Vec<f32>,
    highest: Highest,
}

impl Wake {
    /// Watches everybody.
    ///
    /// # Errors
    /// A price or parameter that is missing; there is none where all were evaluated.
    pub(crate) fn open(
        judging: Judging<'_>,
        (model, alerts): (&CrossMargin, &AlertLevels),
        book: &Book,
        stop: Stop<'_>,
    ) -> Result<Self> {
        let mut table = LiveTable::new(model, judging.market);
        let layout = book.layout(Key::SettlementAsset, &mut *stop)?;
        let missing = |missing: Missing| missing.error(model.universe(), String::new());
        table
            .ensure_used(&layout.used, model, judging.market)
            .map_err(missing)?;
        let crowd = Crowd::of(book, layout);
        let watch = |block: usize| {
            let first = block * SHELF;
            let numbers = first..(first + SHELF).min(judging.accounts.len());
            let inputs = judging.inputs(model, first);
            Reading::new(alerts).watch_first(inputs, (book, numbers), &table)
        };
        let blocks = pool::map(judging.accounts.len().div_ceil(SHELF), watch, stop)?;
        let mut levels = Levels::new(variables(model.universe()));
        let (mut pieces, mut entries, mut isolated) = (Vec::new(), Vec::new(), Vec::new());
        let mut reserves = Vec::with_capacity(judging.accounts.len());
        for block in blocks {
            reserves.extend(block.reserves);
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
            crowd,
            woken: Vec::new(),
            waiting: AccountSet::default(),
            judged: Judged::default(),
            many: Vec::new(),
            reserves,
            highest: Highest::of(judging.market),
        })
    }

    /// What accounts are contracted with.
    pub(crate) fn table(&self) -> &LiveTable {
        &self.table
    }

    pub(crate) fn levels(&self) -> &Levels {
        &self.levels
    }

    /// Takes over what was seen of prices.
    pub(crate) fn take_over(&mut self, before: &Self) {
        let lively = self.table.lively_mut();
        lively.take_over(before.table.lively());
    }

    /// Reads an account as it would be, and makes what judging it needs.
    ///
    /// # Errors
    /// A price or parameter that is missing.
    pub(crate) fn prepare(&mut self, inputs: Inputs<'_>, account: &Account) -> Result<()> {
        self.reading.prepare(inputs, account, &mut self.table)
    }

    /// Judges the account that was prepared last, as it is now, and watches its prices anew.
    pub(crate) fn judge_prepared(
        &mut self,
        inputs: Inputs<'_>,
        account: &Account,
        note: impl FnOnce(&Judged),
    ) {
        let mut judged = std::mem::take(&mut self.judged);
        judged.start(inputs.number as u32, true);
        let watched = WatchedNow {
            kept: self.levels.kept(),
            alone: &self.alone,
        };
        self.reading
            .judge_prepared(inputs, account, (&self.table, watched), &mut judged);
        self.keep(&judged);
        self.crowd.change(judged.number);
        self.crowd.keep_up(self.levels.kept());
        note(&judged);
        self.judged = judged;
    }

    /// Follows prices, and judges those that they wake; returns how many were judged.
    pub(crate) fn follow(
        &mut self,
        judging: Judging<'_>,
        model: &CrossMargin,
        prices: &[Price],
        (standing, changes): (&mut Standing, &mut Changes),
    ) -> usize {
        let was_behind = self.levels.is_behind();
        self.move_prices(judging, model, prices);
        let pace = Pace::of(judging.accounts.len(), self.levels.live());
        let mut woken = std::mem::take(&mut self.woken);
        woken.clear();
        // Somebody who is behind must be packed as it is.
        let is_packed = self.crowd.unpacked() <= pace.alone;
        let room = if is_packed { pace.crossed } else { usize::MAX };
        self.levels.cross(room, &mut woken);
        for subject in &mut woken {
            *subject = self.alone.account(*subject);
        }
        // Of those who were behind and are not any more, some may have changed sides all the same.
        let is_behind = was_behind || self.levels.is_behind();
        let count = if is_behind || !self.waiting.is_empty() || woken.len() > pace.armed {
            woken.iter().for_each(|&account| self.waiting.add(account));
            self.judge_waiting(judging, model, (pace, is_behind), (standing, changes))
        } else {
            woken.sort_unstable();
            woken.dedup();
            standing.fetch(&woken[..woken.len().min(FEW)]);
            self.judge_many(judging, model, (&woken, false), &mut |judged| {
                standing.note(judged.number, &judged.verdicts, changes);
            });
            woken.len()
        };
        self.woken = woken;
        count
    }

    /// Follows funding and interest since `before`, and judges those whose box does not bear them. Returns how many were
    /// judged; `None`, and nothing was done, if it is sooner done to judge everybody.
    pub(crate) fn accrue(
        &mut self,
        judging: Judging<'_>,
        model: &CrossMargin,
        before: &Market,
        (standing, changes): (&mut Standing, &mut Changes),
    ) -> Option<usize> {
        let most = SOME + judging.accounts.len() / 8;
        let markets = [before, judging.market];
        let moved = most_moved(&self.table, model.universe(), markets, &self.highest);
        let mut numbers = (self.crowd).outspent(&moved, &self.table, &mut self.reserves);
        numbers.extend(self.alone.accounts());
        // Those who wait have no box, and are judged in any case.
        numbers.retain(|&account| !self.waiting.has(account));
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.len() > most {
            return None;
        }
        self.table.accrue(model, judging.market);
        let is_behind = self.levels.is_behind();
        if is_behind || numbers.len() + self.waiting.len() > most {
            numbers
                .iter()
                .for_each(|&account| self.waiting.add(account));
            let pace = Pace::of(judging.accounts.len(), self.levels.live());
            let with = (pace, is_behind);
            return Some(self.judge_waiting(judging, model, with, (standing, changes)));
        }
        numbers.extend(self.waiting.iter());
        self.judge_many(judging, model, (&numbers, false), &mut |judged| {
            standing.note(judged.number, &judged.verdicts, changes);
        });
        Some(numbers.len())
    }

    /// Lets the table and the levels know where prices are.
    fn move_prices(&mut self, judging: Judging<'_>, model: &CrossMargin, prices: &[Price]) {
        let universe = model.universe();
        for price in prices {
            let (variable, now) = match price {
                Price::Mark(instrument, price) => {
                    let instrument = *instrument as usize;
                    self.table.tick_mark(instrument, model, judging.market);
                    let value = universe.specs()[instrument].price_value(price.float());
                    (mark_variable(instrument), value)
                }
                Price::Index(slot, price) => {
                    let slot = *slot as usize;
                    self.table.tick_index(slot, model, judging.market);
                    self.highest.follow(slot, price.float());
                    (index_variable(universe, slot), price.float())
                }
            };
            self.table.lively_mut().follow(variable, now);
            self.levels.follow(variable, now);
        }
    }

    /// Judges those that wait for a box, and everybody if some are behind, or if so many wait that this is sooner done; and
    /// gives a box to a few. Returns how many were judged.
    fn judge_waiting(
        &mut self,
        judging: Judging<'_>,
        model: &CrossMargin,
        (pace, is_behind): (Pace, bool),
        (standing, changes): (&mut Standing, &mut Changes),
    ) -> usize {
        let (numbers, count): (Vec<u32>, usize) = if is_behind || self.waiting.len() > pace.alone {
            let asked = |account: u32| is_behind || self.waiting.has(account);
            let doubtful = self.crowd.doubtful(&self.table, standing, asked);
            (doubtful, judging.accounts.len())
        } else {
            (self.waiting.iter().collect(), self.waiting.len())
        };
        self.judge_as_watched(judging, model, &numbers, (standing, changes));
        // To find a new box takes ten times as long as to judge.
        let armed = self.waiting.pick(pace.armed);
        self.judge_many(judging, model, (&armed, false), &mut |_| {});
        count
    }

    /// Judges accounts that did not change, and leaves what is watched of them.
    fn judge_as_watched(
        &mut self,
        judging: Judging<'_>,
        model: &CrossMargin,
        numbers: &[u32],
        (standing, changes): (&mut Standing, &mut Changes),
    ) {
        let tasks: Vec<&[u32]> = numbers.chunks(FEW).collect();
        let before = &*standing;
        let work = |task: usize| {
            let (mut reading, mut judged) = (Reading::new(&self.alerts), Judged::default());
            let mut changed = Vec::new();
            for (at, &number) in tasks[task].iter().enumerate() {
                self.fetch(judging, tasks[task], at, false);
                let inputs = judging.inputs(model, number as usize);
                judged.start(number, false);
                self.judge_one(&mut reading, inputs, false, &mut judged);
                if judged.is_late || !before.is_noted(number, &judged.verdicts) {
                    changed.push(std::mem::take(&mut judged));
                }
            }
            changed
        };
        let changed = pool::map(tasks.len(), work, &mut never).expect("nobody interrupts");
        let mut reading = std::mem::take(&mut self.reading);
        for mut judged in changed.into_iter().flatten() {
            let inputs = judging.inputs(model, judged.number as usize);
            self.judge_late(&mut reading, inputs, &mut judged);
            standing.note(judged.number, &judged.verdicts, changes);
        }
        self.reading = reading;
    }

    /// Judges accounts of the ledger, and watches their prices anew. Legs that are kept of them serve unless they `changed`.
    pub(crate) fn judge_many(
        &mut self,
        judging: Judging<'_>,
        model: &CrossMargin,
        (numbers, changed): (&[u32], bool),
        note: &mut impl FnMut(&Judged),
    ) {
        self.judge_all_of(judging, model, (numbers, changed), note);
        if changed {
            numbers.iter().for_each(|&number| self.crowd.change(number));
            self.crowd.keep_up(self.levels.kept());
        }
    }

    fn judge_all_of(
        &mut self,
        judging: Judging<'_>,
        model: &CrossMargin,
        (numbers, changed): (&[u32], bool),
        note: &mut impl FnMut(&Judged),
    ) {
        if numbers.len() < FEW {
            let (mut reading, mut judged) = (
                std::mem::take(&mut self.reading),
                std::mem::take(&mut self.judged),
            );
            for (at, &number) in numbers.iter().enumerate() {
                self.fetch(judging, numbers, at, changed);
                let inputs = judging.inputs(model, number as usize);
                judged.start(number, true);
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
                    judged.start(number, true);
                    self.judge_one(&mut reading, inputs, changed, judged);
                }
            };
            pool::for_each(tasks.into_iter(), work, &mut never).expect("nobody interrupts");
            let mut reading = std::mem::take(&mut self.reading);
            for at in 0..numbers.len() {
                self.fetch(judging, numbers, at, false);
                if let Some(soon) = many.get(at + AHEAD) {
                    soon.fetch();
                }
                let judged = &mut many[at];
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

    /// Judges an account, for what was started.
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
        judged.start(judged.number, judged.is_armed);
        let kept = self.levels.kept();
        let alone = &self.alone;
        reading.judge_booked(inputs, (&self.table, WatchedNow { kept, alone }), judged);
    }

    /// Watches what is to be watched from now on.
    fn keep(&mut self, judged: &Judged) {
        self.waiting.remove(judged.number);
        judged.keep_legs(self.levels.kept_mut());
        self.levels.set(judged.number, &judged.watches);
        let number = judged.number as usize;
        if self.reserves.len() <= number {
            self.reserves.resize(number + 1, 0.0);
        }
        self.reserves[number] = downwards(judged.reserve);
        for (instrument, watches) in &judged.alone {
            let subject = self.alone.subject(judged.number, *instrument);
            self.levels.set(subject, watches);
        }
    }
}

/// How many accounts are taken on at a time, so that no tick takes longer than about two evaluations of everybody.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// So many levels are taken out.
    crossed: usize,
    /// So many accounts get a new box.
    armed: usize,
    /// So many are judged alone; rather than more, everybody is.
    alone: usize,
}

impl Pace {
    /// That of so many accounts and levels.
    fn of(accounts: usize, levels: usize) -> Self {
        // To set a level takes as long as to judge about a hundred accounts at once.
        let levels_of_one = (levels / accounts.max(1)).max(1);
        Self {
            crossed: 1 + accounts / 64,
            armed: 1 + accounts / 128 / levels_of_one,
            alone: accounts / 32,
        }
    }
}

/// Of so few accounts nobody minds that they are judged one by one.
const SOME: usize = 64;

/// Fewer accounts are judged by the calling thread alone; so many are a task.
const FEW: usize = 512;

/// So many are judged before any is noted.
const MANY: usize = 32 * FEW;

/// How many accounts before it is judged one is asked for.
const AHEAD: usize = 4;
