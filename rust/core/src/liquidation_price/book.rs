//! Prices of all positions of a book: a pass over accounts of its own, because there is one answer for each position.

use super::moving::{MovingMark, MovingUnit};
use super::{Threshold, net_and_cash};
use crate::book::{Block, Book};
use crate::error::Result;
use crate::kernel::{FloatState, Row, column};
use crate::layout::IsolatedPosition;
use crate::market::Market;
use crate::model::{CrossMargin, NetLines};
use crate::pool::{self, Stop};
use crate::report::{evaluate, table_of};
use crate::table::{LegKind, Table};
use crate::units::{AccountUnits, Key, Leg, Reader};

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
    let moving = MovingBook::new(model, key, book, market, threshold)?;
    let mut prices = vec![f64::NAN; book.position_count()];
    let (mut pools, mut isolated) = (evaluated.pools.rows(), evaluated.isolated.rows());
    let (mut alone, mut rest) = (layout.isolated.as_slice(), prices.as_mut_slice());
    let (mut first, mut alone_before) = (0, 0);
    let mut tasks = Vec::with_capacity(book.blocks().len());
    for (block, &alone_end) in book.blocks().iter().zip(&layout.isolated_ends) {
        let alone_count = alone_end - std::mem::replace(&mut alone_before, alone_end);
        tasks.push(Task {
            block,
            first,
            pools: pools.split_off(..block.len()).expect("a row each"),
            isolated: isolated.split_off(..alone_count).expect("a row each"),
            alone: alone.split_off(..alone_count).expect("as many"),
            prices: rest
                .split_off_mut(..block.position_count())
                .expect("one each"),
        });
        first += block.len();
    }
    pool::for_each(tasks.into_iter(), |mut task| moving.run(&mut task), stop)?;
    Ok(prices)
}

/// One block of accounts.
struct Task<'a> {
    block: &'a Block,
    /// Number of its first account.
    first: usize,
    pools: &'a [Row],
    isolated: &'a [Row],
    /// The positions behind `isolated`.
    alone: &'a [IsolatedPosition],
    prices: &'a mut [f64],
}

/// What moves, for all accounts.
struct MovingBook<'a> {
    reader: Reader<'a>,
    threshold: Threshold,
    table: Table,
    /// By table row: whether it is cash that is netted.
    netted_cash: Vec<bool>,
    /// By table row: the instrument of a position in use.
    moving: Vec<Option<MovingMark<f64>>>,
    instruments: Vec<u32>,
    /// By asset.
    homes: Vec<NetLines<f64>>,
}

impl<'a> MovingBook<'a> {
    /// Prices and parameters of what the book holds were checked.
    fn new(
        model: &CrossMargin,
        key: Key,
        book: &'a Book,
        market: &Market,
        threshold: Threshold,
    ) -> Result<Self> {
        let layout = book.layout(key, &mut pool::never)?;
        let reader = Reader::new(book.universe(), key);
        let table = table_of(model, key, book, market, layout)?;
        let rows = reader.rows.count();
        let (mut netted_cash, mut moving) = (vec![false; rows], vec![None; rows]);
        let mut instruments = vec![0; rows];
        for &row in &layout.used.rows {
            match reader.rows.kind(row) {
                Some(LegKind::Position(position)) => {
                    let mark = MovingMark::new(model, market, position.instrument, threshold);
                    moving[row] = Some(mark.expect("prices and parameters were checked"));
                    instruments[row] = position.instrument as u32;
                }
                kind => netted_cash[row] = kind.is_some_and(LegKind::is_netted_cash),
            }
        }
        let assets = 0..book.universe().assets().len();
        let homes = assets.map(|asset| threshold.net_lines(model, asset, market));
        Ok(Self {
            reader,
            threshold,
            table,
            netted_cash,
            moving,
            instruments,
            homes: homes.collect(),
        })
    }

    fn run(&self, task: &mut Task<'_>) {
        let mut units = AccountUnits::<f64>::default();
        let mut moving_unit = MovingUnit::new();
        let mut starts = Vec::with_capacity(task.block.len());
        let mut start = 0;
        for (slot, pool) in task.pools.iter().enumerate() {
            let holdings = task.block.holdings(slot);
            starts.push(start);
            let end = start + holdings.instrument.len();
            units.read(self.reader, holdings);
            let prices = &mut task.prices[start..end];
            let now = pool.0[self.threshold.column()];
            self.fill(&units, &mut moving_unit, now, holdings.instrument, prices);
            start = end;
        }
        for (position, row) in task.alone.iter().zip(task.isolated) {
            let slot = position.account as usize - task.first;
            let (holdings, place) = (task.block.holdings(slot), position.position as usize);
            units.read_position(self.reader, holdings, place);
            let end = starts[slot] + holdings.instrument.len();
            let prices = &mut task.prices[starts[slot]..end];
            let now = row.0[self.threshold.column()];
            self.fill(&units, &mut moving_unit, now, holdings.instrument, prices);
        }
    }

    /// Prices of the positions in some units, to their places among an account's instruments.
    fn fill(
        &self,
        units: &AccountUnits<f64>,
        moving_unit: &mut MovingUnit<f64>,
        now: f64,
        instruments: &[u32],
        prices: &mut [f64],
    ) {
        for unit in units.units().filter(|unit| unit.home > 0) {
            let net_of = |leg: &Leg<f64>| {
                let net = self.table.rows[leg.row].0[column::NET];
                Ok((net, self.netted_cash[leg.row]))
            };
            let (net, cash) = net_and_cash(unit.legs, net_of).expect("a table row each");
            moving_unit.set(&self.homes[unit.home - 1], &net, &cash);
            let mut place = 0;
            for leg in unit.legs {
                let Some(moving) = &self.moving[leg.row] else {
                    continue;
                };
                let instrument = self.instruments[leg.row];
                // Legs of a unit come by ascending instrument, but for short options and the like.
                if instruments[place] > instrument {
                    place = 0;
                }
                while instruments[place] != instrument {
                    place += 1;
                }
                let zeros = moving_unit.zeros(&now, &leg.quantity, moving);
                prices[place] = zeros
                    .nearest()
                    .filter(|price| price.is_finite())
                    .unwrap_or(f64::NAN);
            }
        }
    }
}
