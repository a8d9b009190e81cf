//! A risk table at a new market: rows are made anew where their inputs have moved, and nowhere else.

use super::kept::Inputs;
use super::losses::RiskTable;
use super::rows::{InstrumentRows, Making};
use super::{RiskModel, moving, options};
use crate::error::Result;
use crate::kernel::LossRows;
use crate::market::Market;
use crate::pool::{self, Stop};
use crate::risk_layout::{Held, loss_row};

/// Instruments that follow one another, and what a table says of them; the work of a task.
struct Part<'a> {
    /// Those that are held, ascending.
    held: &'a [usize],
    /// The first of which there is a row.
    first: usize,
    inputs: &'a mut [Option<Inputs>],
    /// By set.
    rows: Vec<PartRows<'a>>,
}

/// Rows of contracts, and of their present values where assets move.
struct PartRows<'a> {
    own: LossRows<'a>,
    value: LossRows<'a>,
}

impl RiskTable {
    /// Makes anew the rows whose inputs have changed.
    pub(super) fn renew(
        &mut self,
        model: &RiskModel,
        market: &Market,
        instruments: &[usize],
        holder: &(impl Fn(usize) -> String + Sync),
        stop: Stop<'_>,
    ) -> Result<()> {
        let universe = model.universe();
        let made_for = self.made_for;
        let sets = model.parameters.sets.iter().zip(&model.option_shocks);
        let makings = sets.map(|(set, shocks)| Making {
            model,
            market,
            set,
            shocks,
            holder,
            made_for,
        });
        let makings: Vec<_> = makings.collect();
        let assets = model.moving().map_or(0, |_| universe.assets().len());
        let moved_asset =
            |&asset: &usize| Inputs::of_asset(market, asset).replace(&mut self.assets[asset]);
        let moved_assets: Vec<usize> = (0..assets).filter(moved_asset).collect();
        let mut rows = Vec::with_capacity(makings.len());
        for (making, set) in makings.iter().zip(&mut self.sets) {
            // As they stand in a table: instruments, doubt, assets, present values.
            let mut value = set.losses.rows_mut();
            let _nothing = value.take_rows(loss_row(0));
            let own = value.take_rows(universe.specs().len());
            let _doubt = value.take_rows(1);
            let of_assets = value.take_rows(Held::ALL.len() * assets);
            moving::fill_assets(making, &moved_assets, &mut of_assets.collect::<Vec<_>>())?;
            rows.push(PartRows { own, value });
        }
        let scenarios = makings.iter().map(|making| making.set.len()).sum();
        let parts = parts(instruments, scenarios, &mut self.instruments, rows);
        let mut results = vec![Ok(()); parts.len()];
        let work = |(part, result): (Part<'_>, &mut Result<()>)| *result = part.renew(&makings);
        pool::for_each(parts.into_iter().zip(&mut results), work, stop)?;
        // In order, so that of several errors it is always the same that is told.
        results.into_iter().collect()
    }
}

/// Divides instruments among tasks.
fn parts<'a>(
    instruments: &'a [usize],
    scenarios: usize,
    mut inputs: &'a mut [Option<Inputs>],
    mut rows: Vec<PartRows<'a>>,
) -> Vec<Part<'a>> {
    /// Enough for a thread to be worth waking.
    const LOSSES: usize = 8192;
    /// So many greeks need no thread but that of the task.
    const MOST: usize = 1024;
    let count = (LOSSES / scenarios).next_multiple_of(8).clamp(8, MOST);
    let mut first = 0;
    let part = |held: &'a [usize]| {
        let begin = first;
        first = held.last().expect("a chunk is not empty") + 1;
        let count = first - begin;
        let take = |rows: &mut PartRows<'a>| PartRows {
            own: rows.own.take_rows(count),
            value: rows.value.take_rows(count),
        };
        Part {
            held,
            first: begin,
            inputs: inputs.split_off_mut(..count).expect("of every instrument"),
            rows: rows.iter_mut().map(take).collect(),
        }
    };
    instruments.chunks(count).map(part).collect()
}

impl Part<'_> {
    fn renew<H: Fn(usize) -> String + Sync>(mut self, makings: &[Making<'_, H>]) -> Result<()> {
        let Some(Making { model, market, .. }) = makings.first() else {
            return Ok(());
        };
        let mut moved = self.held.to_vec();
        moved.retain(|&instrument| {
            let now = Inputs::of_instrument(model, market, instrument);
            now.replace(&mut self.inputs[instrument - self.first])
        });
        let is_option = |instrument: usize| model.universe().specs()[instrument].is_option();
        for (making, rows) in makings.iter().zip(&mut self.rows) {
            let mut next = self.first;
            let of_instrument = |&instrument: &usize| {
                let skipped = instrument - next;
                next = instrument + 1;
                InstrumentRows {
                    instrument,
                    own: rows.own.nth(skipped).expect("a row of every instrument"),
                    reach: None,
                    value: rows.value.nth(skipped),
                }
            };
            let mut rows: Vec<_> = moved.iter().map(of_instrument).collect();
            // Options first, which are valued together.
            let is_other = |rows: &InstrumentRows<'_>| !is_option(rows.instrument);
            if !rows.is_sorted_by_key(is_other) {
                rows.sort_by_key(is_other);
            }
            options::fill(making, &mut rows)?;
            for rows in &mut rows {
                making.rows(rows)?;
            }
        }
        Ok(())
    }
}
