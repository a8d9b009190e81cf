//! From a book and a table to one result row per account and isolated position.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::book::{BLOCK, Book};
use crate::buffer::ResultRows;
use crate::error::{Error, Result};
use crate::exact::Rational;
use crate::kernel::{
    BlockResults, BlockTable, BlockUnits, Charged, FloatState, Row, RowId, Scratch, Simd,
    WorstLoss, column, contract_block, result,
};
use crate::layout::{IsolatedPosition, Layout, LayoutBlocks, Packed};
use crate::market::Market;
use crate::model::CrossMargin;
use crate::pool::{self, Stop};
use crate::settle::{LineKind, Settlement, Subject};
use crate::share::share_out;
use crate::table::{LegKind, Table};
use crate::units::{AccountUnits, Exposure, Key, Reader};

/// What an evaluation says.
#[derive(Debug)]
pub struct Evaluated {
    /// The pool of every account, one [`crate::kernel::result`] row each, in order of account.
    pub pools: ResultRows,
    /// The isolated positions, in the order of [`Layout::isolated`].
    pub isolated: ResultRows,
    /// Which positions they are.
    pub positions: Arc<Vec<IsolatedPosition>>,
}

/// Margin of every account of a book.
///
/// The same bits on any number of threads and on every instruction set.
///
/// # Errors
/// [`Error::UniverseMismatch`], [`Error::MissingPrice`], [`Error::MissingParameter`] for something held,
/// [`Error::Range`] if a result is not finite, [`Error::Interrupted`].
pub fn evaluate(
    model: &CrossMargin,
    key: Key,
    book: &Book,
    market: &Market,
    stop: Stop<'_>,
) -> Result<Evaluated> {
    let _state = FloatState::standard();
    if !Arc::ptr_eq(book.universe(), model.universe()) {
        return Err(Error::UniverseMismatch {
            left: "book",
            right: "model",
        });
    }
    let layout = book.layout(key, &mut *stop)?;
    let table = table_of(model, key, book, market, layout)?;
    let evaluation = Evaluation {
        settlement: Settlement {
            model,
            book,
            market,
            key,
        },
        layout,
        table: &table,
        beside: &Nothing,
    };
    let mut evaluated = evaluation.evaluated(stop)?;
    if key == Key::Position {
        let rows = (&mut evaluated.pools, &mut evaluated.isolated);
        share_out(evaluation.settlement, layout, &table, rows, stop)?;
    }
    Ok(evaluated)
}

/// What accounts are charged beside the rows of their legs, and what they require exactly.
pub(crate) trait Beside: Sync {
    /// Contracts a block and adds that. `number` is its number, with true if it is one of isolated positions; its units come
    /// with a table that charges nothing beside.
    fn contract<R: RowId>(
        &self,
        number: (usize, bool),
        block: (&BlockUnits<R>, BlockTable<'_>),
        memory: &mut Memory,
        results: BlockResults<'_>,
    ) -> bool;

    /// Adds what is charged to a settled result row.
    fn add_exactly(&self, subject: Subject, row: &mut [Rational; 8]);
}

/// Memory of what accounts of a block are charged, used again from block to block.
#[derive(Debug, Default)]
pub(crate) struct ChargeMemory {
    pub(crate) rows: Vec<Row>,
    pub(crate) worst: Vec<WorstLoss>,
    /// Of which accounts the worst is looked for.
    pub(crate) wanted: Vec<bool>,
}

/// What is kept from block to block, because asking the system for it costs as much as a block.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) scratch: Scratch,
    pub(crate) charges: ChargeMemory,
}

/// Nothing.
struct Nothing;

impl Beside for Nothing {
    fn contract<R: RowId>(
        &self,
        _: (usize, bool),
        (units, table): (&BlockUnits<R>, BlockTable<'_>),
        Memory { scratch, .. }: &mut Memory,
        results: BlockResults<'_>,
    ) -> bool {
        contract_block(Simd::current(), units, table, scratch, results)
    }

    fn add_exactly(&self, _subject: Subject, _row: &mut [Rational; 8]) {}
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// What one call of [`evaluate`] works with; prices and parameters were checked.
pub(crate) struct Evaluation<'a, B> {
    pub(crate) settlement: Settlement<'a>,
    pub(crate) layout: &'a Layout,
    pub(crate) table: &'a Table,
    pub(crate) beside: &'a B,
}

impl<B: Beside> Evaluation<'_, B> {
    /// Result rows of all accounts and isolated positions.
    pub(crate) fn evaluated(&self, stop: Stop<'_>) -> Result<Evaluated> {
        let mut evaluated = Evaluated {
            pools: ResultRows::take(self.settlement.book.accounts().len()),
            isolated: ResultRows::take(self.layout.isolated.len()),
            positions: Arc::clone(&self.layout.isolated),
        };
        match &self.layout.blocks {
            LayoutBlocks::Narrow(packed) => self.run(packed, &mut evaluated, stop)?,
            LayoutBlocks::Wide(packed) => self.run(packed, &mut evaluated, stop)?,
        }
        Ok(evaluated)
    }

    fn run<R: RowId>(&self, packed: &Packed<R>, out: &mut Evaluated, stop: Stop<'_>) -> Result<()> {
        let accounts = self.settlement.book.accounts().len();
        let pool = |account| Subject {
            account,
            position: None,
        };
        let ends = (0..packed.pools.len()).map(|block| ((block + 1) * BLOCK).min(accounts));
        let now = |_: Subject, _: &Row| true;
        self.contract(
            (&packed.pools, false),
            ends,
            &mut out.pools,
            (pool, now),
            &mut *stop,
        )?;
        if !packed.isolated.is_empty() {
            let alone = |number: usize| self.layout.isolated[number].into();
            let ends = self.layout.isolated_ends.iter().copied();
            // What is given a part of the pool afterwards is decided then.
            let Settlement { book, key, .. } = self.settlement;
            let now = |subject: Subject, row: &Row| {
                let posted = |position| book.holdings(subject.account).is_isolated(position);
                key != Key::Position
                    || row.0[column::INITIAL_MARGIN] == 0.0
                    || subject.position.is_some_and(posted)
            };
            self.contract(
                (&packed.isolated, true),
                ends,
                &mut out.isolated,
                (alone, now),
                stop,
            )?;
        }
        Ok(())
    }

    /// Contracts blocks, whose results end at `ends`; `subject` says what stands behind a result, `now` whether it is
    /// decided here.
    fn contract<R: RowId>(
        &self,
        (blocks, alone): (&[Arc<BlockUnits<R>>], bool),
        ends: impl ExactSizeIterator<Item = usize> + Send,
        out: &mut ResultRows,
        (subject, now): (
            impl Fn(usize) -> Subject + Sync,
            impl Fn(Subject, &Row) -> bool + Sync,
        ),
        stop: Stop<'_>,
    ) -> Result<()> {
        let (mut finite, near) = (AtomicBool::new(true), Mutex::new(Vec::new()));
        type Task<'a, R> = ((usize, &'a Arc<BlockUnits<R>>), (usize, BlockResults<'a>));
        let contract = |((number, block), (first, mut results)): Task<'_, R>| {
            MEMORY.with_borrow_mut(|memory| {
                let table = BlockTable {
                    charges: Charged::Nothing,
                    rows: &self.table.rows,
                    weights: &self.table.weights,
                    rules: self.table.rules.as_ref(),
                };
                let block = (&**block, table);
                if !self
                    .beside
                    .contract((number, alone), block, memory, results.lent())
                {
                    finite.store(false, Ordering::Relaxed);
                    return;
                }
                let near_here = &memory.scratch.near;
                if near_here.is_empty() {
                    return;
                }
                let slots = near_here.iter().map(|&slot| slot as usize);
                let mine = slots.filter(|&slot| now(subject(first + slot), &results.rows[slot]));
                let mut near = near.lock().unwrap_or_else(PoisonError::into_inner);
                near.extend(mine.map(|slot| first + slot));
            });
        };
        let tasks = blocks.iter().enumerate().zip(out.blocks_mut(ends));
        pool::for_each(tasks, contract, &mut *stop)?;
        if *finite.get_mut() {
            let mut near = near.into_inner().unwrap_or_else(PoisonError::into_inner);
            near.sort_unstable();
            self.decide_all(&near, &subject, &finite, out, stop)?;
        }
        if finite.into_inner() {
            return Ok(());
        }
        let bad = out.rows().iter().position(|row| !is_finite(&row.0));
        Err(self.range_error(subject(bad.expect("the kernel saw one"))))
    }

    /// Decides the results with these numbers, which ascend.
    ///
    /// One by one, not by block: each may take as long as thousands of others, so that threads share them and Ctrl-C is
    /// heard between any two.
    fn decide_all(
        &self,
        near: &[usize],
        subject: &(impl Fn(usize) -> Subject + Sync),
        finite: &AtomicBool,
        out: &mut ResultRows,
        stop: Stop<'_>,
    ) -> Result<()> {
        out.set_exact(near.len());
        // Each is the last row of its block.
        let blocks = out.blocks_mut(near.iter().map(|&number| number + 1));
        let decide = |(&number, (_, BlockResults { rows, signs, .. })): (&usize, (usize, _))| {
            let (Some(row), Some(signs)) = (rows.last_mut(), signs.last_mut()) else {
                unreachable!("numbers ascend")
            };
            (*row, *signs) = self.decide(subject(number));
            if !is_finite(&row.0) {
                finite.store(false, Ordering::Relaxed);
            }
        };
        pool::for_each(near.iter().zip(blocks), decide, stop)
    }

    /// A result so near to a threshold that rounding may have decided: in exact numbers.
    pub(crate) fn decide(&self, subject: Subject) -> (Row, u8) {
        let settled = self.settlement.settle::<Rational>(subject, false);
        let mut settled = settled.expect("prices and parameters were checked");
        self.beside.add_exactly(subject, &mut settled.row);
        settled.rounded()
    }

    /// Names an account whose result is not finite, and the leg that is to blame if one alone is.
    pub(crate) fn range_error(&self, subject: Subject) -> Error {
        let settled = self.settlement.settle::<f64>(subject, true);
        let settled = settled.expect("prices and parameters were checked");
        let names = [
            "equity",
            "collateral_value",
            "initial_collateral_value",
            "maintenance_margin",
            "initial_margin",
        ];
        let mut figures = names.iter().zip(settled.row);
        let figure = figures.find(|(_, value)| !value.is_finite());
        let (name, value) = figure.map_or(("a figure", f64::NAN), |(name, value)| (*name, value));
        let universe = self.settlement.book.universe();
        let mut lines = settled.lines.iter();
        let blame = lines
            .find(|line| {
                !line.parts[..column::BOUND]
                    .iter()
                    .all(|part| part.is_finite())
            })
            .map(|line| {
                let (what, id) = match line.kind {
                    LineKind::Leg(kind) | LineKind::LegTier(kind, _) => match kind {
                        LegKind::Cost(asset) => ("entry cost", universe.assets().get(asset)),
                        LegKind::Position(position) => {
                            ("position", universe.instruments().get(position.instrument))
                        }
                        LegKind::Exposure(instrument) => {
                            ("orders", universe.instruments().get(instrument))
                        }
                        LegKind::IsolatedMargin(asset) => {
                            ("isolated margin", universe.assets().get(asset))
                        }
                        LegKind::Deposit(asset)
                        | LegKind::Loan(asset)
                        | LegKind::NettedDeposit(asset)
                        | LegKind::NettedLoan(asset) => ("balance", universe.assets().get(asset)),
                    },
                    LineKind::UncountedGain(asset) | LineKind::NetTier(asset, _) => {
                        ("net balance", universe.assets().get(asset))
                    }
                    LineKind::Exposure(instrument) | LineKind::OpeningLoss(instrument) => {
                        ("orders", universe.instruments().get(instrument))
                    }
                };
                format!(" ({what} {id} of {:e})", line.quantity)
            });
        let blame = blame.unwrap_or_default();
        Error::Range {
            account: self
                .settlement
                .book
                .accounts()
                .get(subject.account)
                .to_string(),
            problem: format!("{name} is {value}: its holdings are too large for f64{blame}"),
        }
    }
}

fn is_finite(figures: &[f64; 8]) -> bool {
    figures.iter().all(|figure| figure.is_finite())
}

/// The risk table of what a layout of the book holds.
pub(crate) fn table_of(
    model: &CrossMargin,
    key: Key,
    book: &Book,
    market: &Market,
    layout: &Layout,
) -> Result<Table> {
    let reader = Reader::new(book.universe(), key);
    model.table(market, &layout.used, |row| holder(book, reader, row))
}

/// An account that needs a table row, ready to print.
fn holder(book: &Book, reader: Reader<'_>, row: usize) -> String {
    let mut units = AccountUnits::<f64>::default();
    let charges = |exposure: &Exposure<f64>| {
        reader.rows.kind(row) == Some(LegKind::Exposure(exposure.instrument))
    };
    let needs = |units: &AccountUnits<f64>| {
        units.units().any(|unit| {
            unit.legs.iter().any(|leg| leg.row == row) || unit.exposures.iter().any(charges)
        })
    };
    let holds = (0..book.accounts().len()).find(|&account| {
        let holdings = book.holdings(account);
        units.read(reader, holdings);
        needs(&units)
            || (0..holdings.instrument.len()).any(|position| {
                units.read_position(reader, holdings, position);
                reader.stands_alone(holdings, position) && needs(&units)
            })
    });
    holds.map_or_else(String::new, |account| {
        book.accounts().get(account).to_string()
    })
}

/// `(maintenance margin + weighted debts) / weighted assets` of each row, maintenance weights.
///
/// 1 exactly where health is 0, 0 if nothing is owed or required, infinite if there are no assets.
#[must_use]
pub fn margin_ratios(rows: &[Row]) -> Vec<f64> {
    let _state = FloatState::standard();
    rows.iter().map(margin_ratio).collect()
}

/// The same of one row.
pub(crate) fn margin_ratio(Row(figures): &Row) -> f64 {
    let needed = figures[column::MAINTENANCE_MARGIN] + figures[column::DEBTS];
    if needed == 0.0 {
        return 0.0;
    }
    needed / (figures[result::COLLATERAL] + figures[column::DEBTS]).max(0.0)
}
