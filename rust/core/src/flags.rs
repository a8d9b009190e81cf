//! Who is liquidatable under portfolio risk, and nothing else: a bound settles most accounts, the others are evaluated.
//!
//! No portfolio loses more than its positions would if each met its own worst scenario. That is margin by the size of
//! positions, one contraction of the kind that cross margin is; scenarios are summed only where it does not suffice.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::book::{BLOCK, Book};
use crate::error::Result;
use crate::kernel::{
    BlockResults, BlockTable, BlockUnits, FloatState, Row, RowId, Scratch, Simd, column,
    contract_block, result,
};
use crate::layout::LayoutBlocks;
use crate::market::Market;
use crate::pool::{self, Stop};
use crate::report::Evaluation;
use crate::risk::RiskModel;
use crate::risk_layout::RiskBlocks;
use crate::risk_report::{RiskInputs, RiskOfBook};
use crate::risk_scan::{RiskScan, charge_row, risk_column};
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
    let floor = charge_row(model.parameters.margin_floor, 0.0, 0.0, 0.0);
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
        bad: AtomicUsize::new(usize::MAX),
        near: Mutex::new(Vec::new()),
    };
    let mut flags = vec![false; book.accounts().len()];
    match &inputs.layout.blocks {
        LayoutBlocks::Narrow(packed) => work.run(&packed.pools, &mut flags, &mut *stop)?,
        LayoutBlocks::Wide(packed) => work.run(&packed.pools, &mut flags, &mut *stop)?,
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
    /// Slots that the bound leaves open.
    open: Vec<u32>,
    risk: Vec<Row>,
    charges: Vec<Row>,
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
    /// The first account whose figures f64 cannot hold.
    bad: AtomicUsize,
    /// Accounts whose flag f64 does not prove.
    near: Mutex<Vec<usize>>,
}

impl Flags<'_> {
    fn run<R: RowId>(
        &self,
        blocks: &[Arc<BlockUnits<R>>],
        flags: &mut [bool],
        stop: Stop<'_>,
    ) -> Result<()> {
        let tasks = blocks.iter().zip(flags.chunks_mut(BLOCK)).enumerate();
        let settle = |(number, (units, flags)): (usize, (&Arc<BlockUnits<R>>, &mut [bool]))| {
            KEPT.with_borrow_mut(|kept| {
                kept.signs.resize(BLOCK, 0);
                if self.bound_helps() {
                    self.leave_open(units, flags.len(), kept);
                } else {
                    kept.open.clear();
                    kept.open.extend(0..flags.len() as u32);
                }
                self.settle_open(number, units, flags, kept);
            });
        };
        pool::for_each(tasks, settle, stop)
    }

    /// Whether it settled enough of the accounts so far to be worth its time. The answers do not depend on it.
    fn bound_helps(&self) -> bool {
        let seen = self.seen.load(Ordering::Relaxed);
        let left_open = self.left_open.load(Ordering::Relaxed);
        // What is held in assets that move is no position, and the bound knows positions alone.
        self.scan.model.moving().is_none() && (seen < 2 * BLOCK || left_open < seen - seen / MANY)
    }

    /// Finds the accounts of a block that the bound does not prove healthy; all, if those are nearly all.
    fn leave_open<R: RowId>(&self, units: &BlockUnits<R>, accounts: usize, kept: &mut Kept) {
        let table = BlockTable {
            charges: self.floor.get(..accounts).unwrap_or_default(),
            rows: self.bound,
            ..self.collateral()
        };
        let results = BlockResults {
            rows: &mut [],
            signs: &mut kept.signs,
        };
        // A bound may be infinite where the requirement is not: such an account stays open.
        contract_block(Simd::current(), units, table, &mut kept.scratch, results);
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
            kept.open.clear();
            kept.open.extend(0..accounts as u32);
        }
    }

    /// Decides those as an evaluation does.
    fn settle_open<R: RowId>(
        &self,
        number: usize,
        units: &BlockUnits<R>,
        flags: &mut [bool],
        kept: &mut Kept,
    ) {
        let Kept {
            scratch,
            signs,
            open,
            risk,
            charges,
        } = kept;
        if open.is_empty() {
            return;
        }
        let (accounts, count) = (flags.len(), open.len());
        risk.resize(count, Row::default());
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
            charge_row(requirement, requirement, risk[risk_column::BOUND], 1.0)
        }));
        let units = only(units, open, accounts);
        let table = BlockTable {
            charges,
            ..self.collateral()
        };
        let mut contract = |rows: &mut [Row]| {
            let signs = &mut signs[..count];
            let results = BlockResults { rows, signs };
            contract_block(Simd::current(), units.get(), table, scratch, results)
        };
        let account = |place: usize| number * BLOCK + open[place] as usize;
        if !contract(&mut []) {
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
            flags[slot as usize] = signs & HEALTH != 0;
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
            charges: &[],
            rows: &self.inputs.table.rows,
            weights: &self.inputs.table.weights,
            rules: self.inputs.table.rules.as_ref(),
        }
    }
}

/// Where the bound settles less than one in so many, it is not worth its time.
const MANY: usize = 2;

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
