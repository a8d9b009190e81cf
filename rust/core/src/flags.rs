//! Who is liquidatable under portfolio risk, and nothing else: a bound settles most accounts, the others are evaluated.
//!
//! No portfolio loses more than its positions would if each met its own worst scenario. That is margin by the size of
//! positions, one contraction of the kind that cross margin is; scenarios are summed only where it does not suffice. Of
//! a book that is asked about again and again, [`Reserves`] settle who was far enough from the edge.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::book::{BLOCK, Book};
use crate::error::Result;
use crate::kernel::{
    BlockResults, BlockTable, BlockUnits, Charged, FloatState, Row, RowId, Scratch, Simd, column,
    contract_block, result,
};
use crate::layout::LayoutBlocks;
use crate::market::Market;
use crate::pool::{self, Stop};
use crate::report::Evaluation;
use crate::risk::{Priced, Reserves, RiskModel, Seen, share_out};
use crate::risk_inputs::RiskInputs;
use crate::risk_layout::RiskBlocks;
use crate::risk_report::RiskOfBook;
use crate::risk_scan::{ROUNDINGS, RiskScan, charge_row, risk_column};
use crate::settle::Subject;
use crate::table::{LegKind, Rows};

/// More than all roundings of a bound, relative to it.
const ROUNDED_UP: f64 = 1e-9;

/// Whether each account's health is below 0: what [`crate::evaluate_risk`] says of it, and decided exactly where that is.
///
/// # Errors
/// As [`crate::evaluate_risk`].
pub fn liquidatable(
    model: &RiskModel,
    book: &Book,
    market: &Market,
    stop: Stop<'_>,
) -> Result<Vec<bool>> {
    let _state = FloatState::standard();
    let inputs = RiskInputs::new(model, book, market, &mut *stop)?;
    let bound = inputs.bound_rows();
    let risk = RiskOfBook::without_figures(&inputs);
    let floor = charge_row([model.parameters.margin_floor, 0.0, 0.0]);
    let work = Flags {
        evaluation: &inputs.evaluation(&risk),
        inputs: &inputs,
        scan: &risk.scan,
        bound: &bound,
        floor: if model.parameters.margin_floor > 0.0 {
            vec![floor; BLOCK]
        } else {
            Vec::new()
        },
        seen: AtomicUsize::new(0),
        left_open: AtomicUsize::new(0),
        judged: AtomicUsize::new(0),
        bad: AtomicUsize::new(usize::MAX),
        near: Mutex::new(Vec::new()),
    };
    let mut flags = vec![false; book.accounts().len()];
    match &inputs.layout.blocks {
        LayoutBlocks::Narrow(packed) => work.flag(&packed.pools, &mut flags, &mut *stop)?,
        LayoutBlocks::Wide(packed) => work.flag(&packed.pools, &mut flags, &mut *stop)?,
    }
    match work.bad.load(Ordering::Relaxed) {
        usize::MAX => work.decide_near(&mut flags, stop)?,
        account => return Err(work.evaluation.range_error(pool_of(account))),
    }
    Ok(flags)
}

fn pool_of(account: usize) -> Subject {
    Subject {
        account,
        position: None,
    }
}

impl RiskInputs<'_> {
    /// The rows of collateral, with what a contract may add to the requirement at most as maintenance margin.
    fn bound_rows(&self) -> Vec<Row> {
        let mut bound = self.table.rows.clone();
        let kinds = Rows::of(self.model.universe());
        for &row in &self.layout.used.rows {
            let Some(LegKind::Position(position)) = kinds.kind(row) else {
                continue;
            };
            let sets = self.risk_table.sets.iter();
            let most = sets
                .map(|set| set.most(self.model, position.instrument))
                .fold(0.0, |a, b| if b > a { b } else { a });
            let row = &mut bound[row].0;
            row[column::MAINTENANCE_MARGIN] = most * (1.0 + ROUNDED_UP);
            row[column::BOUND] += most * ROUNDED_UP;
        }
        bound
    }
}

thread_local! {
    /// Kept from block to block.
    static KEPT: RefCell<Kept> = RefCell::default();
}

#[derive(Default)]
struct Kept {
    scratch: Scratch,
    signs: Vec<u8>,
    /// Slots that the bound or reserves leave open.
    open: Vec<u32>,
    risk: Vec<Row>,
    charges: Vec<Row>,
    /// Result rows; empty where nobody asks.
    rows: Vec<Row>,
}

impl Kept {
    fn open_all(&mut self, accounts: usize) {
        self.open.clear();
        self.open.extend(0..accounts as u32);
    }
}

/// A block to be flagged.
struct Task<'a, R> {
    number: usize,
    units: &'a BlockUnits<R>,
    flags: &'a mut [bool],
}

fn tasks<'a, R>(
    blocks: &'a [Arc<BlockUnits<R>>],
    flags: &'a mut [bool],
) -> impl ExactSizeIterator<Item = Task<'a, R>> {
    let blocks = blocks.iter().zip(flags.chunks_mut(BLOCK)).enumerate();
    blocks.map(|(number, (units, flags))| Task {
        number,
        units,
        flags,
    })
}

struct Flags<'a> {
    evaluation: &'a Evaluation<'a, RiskOfBook<'a>>,
    inputs: &'a RiskInputs<'a>,
    scan: &'a RiskScan<'a>,
    bound: &'a [Row],
    /// What every account of a block is charged beside its legs.
    floor: Vec<Row>,
    /// Accounts that the bound was asked of, and those that it left open.
    seen: AtomicUsize,
    left_open: AtomicUsize,
    /// Accounts that were evaluated, where not all were.
    judged: AtomicUsize,
    /// The first account whose figures f64 cannot hold.
    bad: AtomicUsize,
    /// Accounts whose flag f64 does not prove.
    near: Mutex<Vec<usize>>,
}

impl Flags<'_> {
    /// Flags every account, from what is kept of the book as far as that suffices, and keeps what may do so next time.
    fn flag<R: RowId>(
        &self,
        blocks: &[Arc<BlockUnits<R>>],
        flags: &mut [bool],
        stop: Stop<'_>,
    ) -> Result<()> {
        let (kept, book) = (&self.scan.model.reserves, &self.inputs.layout.isolated);
        let seen = if self.is_smooth() {
            kept.take(book)
        } else {
            Seen::Never
        };
        let next = match seen {
            Seen::Known(mut reserves) => {
                let moved = reserves.moved(self.priced());
                let settle = |task: &mut Task<'_, R>, kept: &mut Kept| {
                    reserves.settle(task.number, moved, task.flags, &mut kept.open);
                    if kept.open.len() > task.flags.len() / FEW {
                        // So large a move that the bound may know more.
                        let unsettled = std::mem::take(&mut kept.open);
                        self.leave_open(task, kept);
                        kept.open
                            .retain(|slot| unsettled.binary_search(slot).is_ok());
                    }
                };
                self.run(blocks, flags, settle, stop)?;
                let judged = self.judged.load(Ordering::Relaxed);
                reserves.outlast(judged).then_some(reserves)
            }
            seen => {
                // Whoever asks twice of one book may ask again.
                let is_second = matches!(seen, Seen::Before);
                let unknown = || Reserves::new(self.priced(), flags.len());
                match is_second.then(unknown).flatten() {
                    Some(reserves) => Some(self.look_at_all(reserves, blocks, flags, stop)?),
                    None => {
                        self.run(
                            blocks,
                            flags,
                            |task, kept| self.leave_open(task, kept),
                            stop,
                        )?;
                        None
                    }
                }
            }
        };
        // Of figures that f64 cannot hold there is an error every time.
        if self.bad.load(Ordering::Relaxed) == usize::MAX {
            kept.keep(book, next);
        }
        Ok(())
    }

    fn priced(&self) -> Priced<'_> {
        Priced {
            layout: self.inputs.layout,
            model: self.inputs.model,
            table: &self.inputs.table,
            risk: &self.inputs.risk_table,
        }
    }

    /// Whether health moves no faster than what it is made of: no tiers, shares of gains, orders, leverage caps or charges.
    fn is_smooth(&self) -> bool {
        self.is_bounded() && self.inputs.table.rules.is_none() && self.scan.model.is_scan_alone()
    }

    /// Flags every account as an evaluation does, and notes how far from the edge it is.
    fn look_at_all<R: RowId>(
        &self,
        mut reserves: Reserves,
        blocks: &[Arc<BlockUnits<R>>],
        flags: &mut [bool],
        stop: Stop<'_>,
    ) -> Result<Reserves> {
        let scales = reserves.sum_up();
        let tasks = tasks(blocks, flags).zip(reserves.shares.chunks_mut(BLOCK));
        let look = |(mut task, shares): (Task<'_, R>, &mut [f32])| {
            KEPT.with_borrow_mut(|kept| {
                let accounts = task.flags.len();
                kept.open_all(accounts);
                kept.rows.resize(accounts, Row::default());
                self.settle_open(&mut task, kept);
                let (rows, scratch) = (&kept.rows, &mut kept.scratch);
                share_out(task.units, (&scales.0, &scales.1), scratch, rows, shares);
            });
        };
        pool::for_each(tasks, look, stop)?;
        Ok(reserves)
    }

    /// Flags the accounts of every block: those that `settle` leaves open as an evaluation does.
    fn run<R: RowId>(
        &self,
        blocks: &[Arc<BlockUnits<R>>],
        flags: &mut [bool],
        settle: impl Fn(&mut Task<'_, R>, &mut Kept) + Sync,
        stop: Stop<'_>,
    ) -> Result<()> {
        let flag = |mut task: Task<'_, R>| {
            KEPT.with_borrow_mut(|kept| {
                kept.rows.clear();
                settle(&mut task, kept);
                self.judged.fetch_add(kept.open.len(), Ordering::Relaxed);
                self.settle_open(&mut task, kept);
            });
        };
        pool::for_each(tasks(blocks, flags), flag, stop)
    }

    /// Whether it settled enough of the accounts so far to be worth its time. The answers do not depend on it.
    fn bound_helps(&self) -> bool {
        let seen = self.seen.load(Ordering::Relaxed);
        let left_open = self.left_open.load(Ordering::Relaxed);
        self.is_bounded() && (seen < 2 * BLOCK || left_open < seen - seen / MANY)
    }

    /// Whether there is a bound: what is held in assets that move is no position, and it knows positions alone.
    fn is_bounded(&self) -> bool {
        self.scan.model.moving().is_none()
    }

    /// Finds the accounts of a block that the bound does not prove healthy; all, if those are nearly all.
    fn leave_open<R: RowId>(&self, task: &Task<'_, R>, kept: &mut Kept) {
        let accounts = task.flags.len();
        if !self.bound_helps() {
            kept.open_all(accounts);
            return;
        }
        kept.signs.resize(accounts, 0);
        let table = BlockTable {
            charges: (self.floor.get(..accounts)).map_or(Charged::Nothing, Charged::Rows),
            rows: self.bound,
            ..self.collateral()
        };
        let results = BlockResults {
            rows: &mut [],
            signs: &mut kept.signs,
            ..BlockResults::default()
        };
        // A bound may be infinite where the requirement is not: such an account stays open.
        contract_block(
            Simd::current(),
            task.units,
            table,
            &mut kept.scratch,
            results,
        );
        kept.open.clear();
        let negative = |&slot: &u32| kept.signs[slot as usize] & HEALTH != 0;
        kept.open.extend((0..accounts as u32).filter(negative));
        if !kept.scratch.near.is_empty() {
            kept.open.extend_from_slice(&kept.scratch.near);
            kept.open.sort_unstable();
            kept.open.dedup();
        }
        self.seen.fetch_add(accounts, Ordering::Relaxed);
        self.left_open.fetch_add(kept.open.len(), Ordering::Relaxed);
        if kept.open.len() > accounts - accounts / MANY {
            kept.open_all(accounts);
        }
    }

    /// Decides those as an evaluation does.
    fn settle_open<R: RowId>(&self, task: &mut Task<'_, R>, kept: &mut Kept) {
        let Kept {
            scratch,
            signs,
            open,
            risk,
            charges,
            rows,
        } = kept;
        if open.is_empty() {
            return;
        }
        let (number, accounts, count) = (task.number, task.flags.len(), open.len());
        risk.resize(count, Row::default());
        signs.resize(count, 0);
        let mut first = 0;
        for (set, layout) in self.inputs.layouts.iter().enumerate() {
            match &layout.blocks {
                RiskBlocks::Narrow(packed) => {
                    let units = only(&packed.pools[number], open, accounts);
                    self.scan.add_set(set, units.get(), first, risk);
                }
                RiskBlocks::Wide(packed) => {
                    let units = only(&packed.pools[number], open, accounts);
                    self.scan.add_set(set, units.get(), first, risk);
                }
            }
            first += self.scan.table.sets[set].losses.scenarios() as u32;
        }
        charges.clear();
        charges.extend(risk.iter().map(|Row(risk)| {
            let requirement = risk[risk_column::REQUIREMENT];
            let bound = risk[risk_column::BOUND] + 2.0 * ROUNDINGS * requirement;
            charge_row([requirement, requirement, bound])
        }));
        let units = only(task.units, open, accounts);
        let table = BlockTable {
            charges: Charged::Rows(charges),
            ..self.collateral()
        };
        let mut contract = |rows: &mut [Row]| {
            let signs = &mut signs[..count];
            let results = BlockResults {
                rows,
                signs,
                ..BlockResults::default()
            };
            contract_block(Simd::current(), units.get(), table, scratch, results)
        };
        let account = |place: usize| number * BLOCK + open[place] as usize;
        if !contract(rows) {
            let mut rows = vec![Row::default(); count];
            contract(&mut rows);
            let finite = |Row(row): &Row| row.iter().all(|figure| figure.is_finite());
            let bad = rows.iter().position(|row| !finite(row));
            let bad = account(bad.expect("the kernel saw one"));
            self.bad.fetch_min(bad, Ordering::Relaxed);
            return;
        }
        if !scratch.near.is_empty() {
            let mine = scratch.near.iter().map(|&place| account(place as usize));
            let mut near = self.near.lock().unwrap_or_else(PoisonError::into_inner);
            near.extend(mine);
        }
        for (&slot, signs) in open.iter().zip(&*signs) {
            task.flags[slot as usize] = signs & HEALTH != 0;
        }
    }

    /// Decides in exact numbers what is left, one account by one, so that Ctrl-C is heard between any two.
    fn decide_near(&self, flags: &mut [bool], stop: Stop<'_>) -> Result<()> {
        let near = self.near.lock().unwrap_or_else(PoisonError::into_inner);
        let decide = |at: usize| {
            let (_, signs) = self.evaluation.decide(pool_of(near[at]));
            signs & HEALTH != 0
        };
        let decided = pool::map(near.len(), decide, stop)?;
        for (&account, flag) in near.iter().zip(decided) {
            flags[account] = flag;
        }
        Ok(())
    }

    /// The table that collateral is weighed with.
    fn collateral(&self) -> BlockTable<'_> {
        BlockTable {
            charges: Charged::Nothing,
            rows: &self.inputs.table.rows,
            weights: &self.inputs.table.weights,
            rules: self.inputs.table.rules.as_ref(),
        }
    }
}

/// Where the bound settles less than one in so many, it is not worth its time.
const MANY: usize = 2;

/// Of a block of which reserves leave more than one account in so many open, the bound is asked as well.
const FEW: usize = 8;

/// The units of all accounts of a block, or of some.
enum Chosen<'a, R> {
    All(&'a BlockUnits<R>),
    Only(Box<BlockUnits<R>>),
}

impl<R> Chosen<'_, R> {
    fn get(&self) -> &BlockUnits<R> {
        match self {
            Self::All(units) => units,
            Self::Only(units) => units,
        }
    }
}

fn only<'a, R: RowId>(units: &'a BlockUnits<R>, open: &[u32], accounts: usize) -> Chosen<'a, R> {
    if open.len() == accounts {
        Chosen::All(units)
    } else {
        Chosen::Only(Box::new(units.only(open, accounts)))
    }
}

/// The sign of health.
const HEALTH: u8 = 1 << result::HEALTH;
