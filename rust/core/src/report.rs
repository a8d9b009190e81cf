//! From a book and a table to one result row per account.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::book::{BLOCK, Book};
use crate::buffer::ResultRows;
use crate::error::{Error, Result};
use crate::kernel::{BlockUnits, FloatState, Row, RowId, Simd, column, contract_block, result};
use crate::layout::LayoutBlocks;
use crate::market::Market;
use crate::model::CrossMargin;
use crate::pool::{self, Stop};
use crate::settle::settle;
use crate::table::{LegKind, Rows, Table};

/// Margin of every account of a book, one [`crate::kernel::result`] row each, in order of account.
///
/// The same bits on any number of threads and on every instruction set.
///
/// # Errors
/// [`Error::UniverseMismatch`], [`Error::MissingPrice`], [`Error::MissingParameter`] for something held,
/// [`Error::Range`] if a result is not finite, [`Error::Interrupted`].
pub fn evaluate(
    model: &CrossMargin,
    book: &Book,
    market: &Market,
    stop: Stop<'_>,
) -> Result<ResultRows> {
    let _state = FloatState::standard();
    if !Arc::ptr_eq(book.universe(), model.universe()) {
        return Err(Error::UniverseMismatch {
            left: "book",
            right: "model",
        });
    }
    let table = model.table(market)?;
    let layout = book.layout(stop)?;
    table.check(book.universe(), &layout.used_rows, |row| holder(book, row))?;
    let mut out = ResultRows::take(book.accounts().len());
    let finite = match &layout.blocks {
        LayoutBlocks::Narrow(blocks) => contract_blocks(blocks, &table, &mut out, stop)?,
        LayoutBlocks::Wide(blocks) => contract_blocks(blocks, &table, &mut out, stop)?,
    };
    if finite {
        Ok(out)
    } else {
        Err(range_error(book, &table, out.rows()))
    }
}

thread_local! {
    /// Parts of accounts that have several units; kept, because asking the system for it costs as much as the block.
    static SCRATCH: RefCell<Vec<Row>> = const { RefCell::new(Vec::new()) };
}

/// Contracts all blocks; whether every result is finite.
fn contract_blocks<R: RowId>(
    blocks: &[BlockUnits<R>],
    table: &Table,
    out: &mut ResultRows,
    stop: Stop<'_>,
) -> Result<bool> {
    let simd = Simd::current();
    let finite = AtomicBool::new(true);
    let contract = |(block, results)| {
        SCRATCH.with_borrow_mut(|scratch| {
            if !contract_block(simd, block, &table.rows, &table.weights, scratch, results) {
                finite.store(false, Ordering::Relaxed);
            }
        });
    };
    pool::for_each(blocks.iter().zip(out.blocks_mut(BLOCK)), contract, stop)?;
    Ok(finite.into_inner())
}

/// An account that needs a table row, ready to print.
fn holder(book: &Book, row: usize) -> String {
    let rows = Rows::of(book.universe());
    let mut units = crate::layout::AccountUnits::default();
    let holds = (0..book.accounts().len()).find(|&account| {
        units.read(book.universe(), rows, book.holdings(account));
        units
            .units()
            .any(|(_, legs)| legs.iter().any(|leg| leg.row == row))
    });
    holds.map_or_else(String::new, |account| {
        book.accounts().get(account).to_string()
    })
}

/// Names the first account whose result is not finite, and the leg that is to blame if one alone is.
fn range_error(book: &Book, table: &Table, rows: &[Row]) -> Error {
    let bad = |row: &Row| row.0.iter().any(|value| !value.is_finite());
    let account = rows
        .iter()
        .position(bad)
        .expect("the kernel saw a result that is not finite");
    let settled = settle(book, table, account);
    let names = [
        "equity",
        "collateral_value",
        "initial_collateral_value",
        "maintenance_margin",
        "initial_margin",
    ];
    let figure = names
        .iter()
        .zip(settled.row.0)
        .find(|(_, value)| !value.is_finite());
    let (name, value) = figure.map_or(("a figure", f64::NAN), |(name, value)| (*name, value));
    let blame = settled
        .legs
        .iter()
        .find(|leg| bad(&leg.parts))
        .map_or_else(String::new, |leg| {
            let universe = book.universe();
            let (what, id) = match leg.kind {
                LegKind::Deposit(asset) | LegKind::Loan(asset) | LegKind::NettedCash(asset) => {
                    ("balance", universe.assets().get(asset))
                }
                LegKind::Cost(asset) => ("entry cost", universe.assets().get(asset)),
                LegKind::Position(row) | LegKind::ShortOption(row) => {
                    ("position", universe.instruments().get(row))
                }
            };
            format!(" ({what} {id} of {:e})", leg.quantity)
        });
    Error::Range {
        account: book.accounts().get(account).to_string(),
        problem: format!("{name} is {value}: its holdings are too large for f64{blame}"),
    }
}

/// `(maintenance margin + weighted debts) / weighted assets` of each row, maintenance weights.
///
/// 1 exactly where health is 0, 0 if nothing is owed or required, infinite if there are no assets.
#[must_use]
pub fn margin_ratios(rows: &[Row]) -> Vec<f64> {
    let _state = FloatState::standard();
    let ratio = |Row(figures): &Row| {
        let needed = figures[column::MAINTENANCE_MARGIN] + figures[column::DEBTS];
        if needed == 0.0 {
            return 0.0;
        }
        needed / (figures[result::COLLATERAL] + figures[column::DEBTS]).max(0.0)
    };
    rows.iter().map(ratio).collect()
}
