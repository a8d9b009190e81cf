//! Prices of all positions of a book: a pass over accounts of its own, because there is one answer for each position.

use super::Threshold;
use super::moving::{MovingMark, MovingUnit};
use crate::book::{BLOCK, Block, Book};
use crate::error::Result;
use crate::kernel::{BlockUnits, FloatState, Row, RowId, column};
use crate::layout::{IsolatedPosition, Layout, LayoutBlocks, Packed};
use crate::market::Market;
use crate::model::{CrossMargin, NetLines};
use crate::pool::{self, Stop};
use crate::report::{Evaluated, evaluate, table_of};
use crate::table::{LegKind, Rows, Table};
use crate::units::Key;

/// The price of every position of a book at which its account's health or equity is 0; NaN where there is none.
///
/// Positions by account, then by row of the universe; see [`super::zero_prices`].
///
/// # Errors
/// As [`evaluate`].
pub fn position_prices(
    model: &CrossMargin,
    key: Key,
    book: &Book,
    market: &Market,
    threshold: Threshold,
    stop: Stop<'_>,
) -> Result<Vec<f64>> {
    let evaluated = evaluate(model, key, book, market, &mut *stop)?;
    let _state = FloatState::standard();
    let layout = book.layout(key, &mut *stop)?;
    let table = table_of(model, key, book, market, layout)?;
    let moving = MovingTable::new(model, market, &layout.used.rows, threshold, &table);
    let mut prices = vec![f64::NAN; book.position_count()];
    match &layout.blocks {
        LayoutBlocks::Narrow(packed) => {
            fill(
                &moving,
                (book, layout, packed),
                &evaluated,
                &mut prices,
                stop,
            )?;
        }
        LayoutBlocks::Wide(packed) => {
            fill(
                &moving,
                (book, layout, packed),
                &evaluated,
                &mut prices,
                stop,
            )?;
        }
    }
    Ok(prices)
}

/// Fills in the prices of all positions, block by block.
fn fill<R: RowId>(
    moving: &MovingTable<'_>,
    (book, layout, packed): (&Book, &Layout, &Packed<R>),
    evaluated: &Evaluated,
    mut prices: &mut [f64],
    stop: Stop<'_>,
) -> Result<()> {
    let (mut pools, mut isolated) = (evaluated.pools.rows(), evaluated.isolated.rows());
    let mut alone = layout.isolated.as_slice();
    let mut alone_before = 0;
    let mut tasks = Vec::with_capacity(book.blocks().len());
    for (number, block) in book.blocks().iter().enumerate() {
        let alone_end = layout.isolated_ends[number];
        let alone_count = alone_end - std::mem::replace(&mut alone_before, alone_end);
        tasks.push(Task {
            block,
            units: &packed.pools[number],
            pools: pools.split_off(..block.len()).expect("a row each"),
            alone_units: packed.isolated.get(number).map(AsRef::as_ref),
            alone: alone.split_off(..alone_count).expect("as many"),
            alone_rows: isolated.split_off(..alone_count).expect("a row each"),
            prices: prices
                .split_off_mut(..block.position_count())
                .expect("one each"),
        });
    }
    pool::for_each(tasks.into_iter(), |mut task| moving.run(&mut task), stop)
}

/// One block of accounts.
struct Task<'a, R> {
    block: &'a Block,
    units: &'a BlockUnits<R>,
    pools: &'a [Row],
    /// The positions that stand alone: their units, what they are, and their figures.
    alone_units: Option<&'a BlockUnits<R>>,
    alone: &'a [IsolatedPosition],
    alone_rows: &'a [Row],
    prices: &'a mut [f64],
}

/// What a table row is to a mark that moves.
#[derive(Clone, Debug)]
enum MovingRow {
    Fixed,
    /// Cash that is netted.
    Cash,
    /// A position in an instrument.
    Position(u32, MovingMark<f64>),
}

/// What moves, for all accounts.
struct MovingTable<'a> {
    threshold: Threshold,
    table: &'a Table,
    /// By table row.
    rows: Vec<MovingRow>,
    /// By asset.
    homes: Vec<NetLines<f64>>,
}

impl<'a> MovingTable<'a> {
    /// Prices and parameters of the rows that are used were checked.
    fn new(
        model: &CrossMargin,
        market: &Market,
        used: &[usize],
        threshold: Threshold,
        table: &'a Table,
    ) -> Self {
        let kinds = Rows::of(model.universe());
        let mut rows = vec![MovingRow::Fixed; kinds.count()];
        for &row in used {
            rows[row] = match kinds.kind(row) {
                Some(LegKind::Position(position)) => {
                    let instrument = position.instrument;
                    let mark = MovingMark::new(model, market, instrument, threshold);
                    let mark = mark.expect("prices and parameters were checked");
                    MovingRow::Position(instrument as u32, mark)
                }
                Some(kind) if kind.is_netted_cash() => MovingRow::Cash,
                _ => MovingRow::Fixed,
            };
        }
        let assets = 0..model.universe().assets().len();
        let homes = assets.map(|asset| threshold.net_lines(model, asset, market));
        Self {
            threshold,
            table,
            rows,
            homes: homes.collect(),
        }
    }

    fn run<R: RowId>(&self, task: &mut Task<'_, R>) {
        let mut unit = MovingUnit::new();
        for (facts, rows, quantities) in task.units.iter() {
            let slot = facts.target as usize;
            let (start, instruments) = task.block.positions(slot);
            let prices = &mut task.prices[start..start + instruments.len()];
            let now = task.pools[slot].0[self.threshold.column()];
            self.fill(
                &mut unit,
                facts.home,
                (rows, quantities),
                now,
                (instruments, prices),
            );
        }
        let alone = task.alone_units.into_iter().flat_map(BlockUnits::iter);
        for (facts, rows, quantities) in alone {
            let at = facts.target as usize;
            let slot = task.alone[at].account as usize % BLOCK;
            let (start, instruments) = task.block.positions(slot);
            let prices = &mut task.prices[start..start + instruments.len()];
            let now = task.alone_rows[at].0[self.threshold.column()];
            self.fill(
                &mut unit,
                facts.home,
                (rows, quantities),
                now,
                (instruments, prices),
            );
        }
    }

    /// Prices of the positions in one unit, to their places among the account's instruments.
    fn fill<R: RowId>(
        &self,
        unit: &mut MovingUnit<f64>,
        home: R,
        (rows, quantities): (&[R], &[f64]),
        now: f64,
        (instruments, prices): (&[u32], &mut [f64]),
    ) {
        let Some(home) = home.index().checked_sub(1) else {
            return;
        };
        let (mut net, mut cash) = (0.0, 0.0);
        for (row, &quantity) in rows.iter().zip(quantities) {
            let value = self.table.rows[row.index()].0[column::NET];
            net += quantity * value;
            if let MovingRow::Cash = self.rows[row.index()] {
                cash += quantity * value;
            }
        }
        unit.set(&self.homes[home], &net, &cash);
        let mut place = 0;
        for (row, quantity) in rows.iter().zip(quantities) {
            let MovingRow::Position(instrument, moving) = &self.rows[row.index()] else {
                continue;
            };
            // Legs of a unit come by ascending instrument, but for short options and positions charged by exposure.
            if instruments[place] > *instrument {
                place = 0;
            }
            while instruments[place] != *instrument {
                place += 1;
            }
            let price = unit.zeros(&now, quantity, moving).nearest();
            prices[place] = price.filter(|price| price.is_finite()).unwrap_or(f64::NAN);
        }
    }
}
