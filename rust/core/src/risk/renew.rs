//! A risk table at a new market: rows are made anew where their inputs have moved, and nowhere else.

use std::cell::RefCell;

use super::losses::RiskTable;
use super::made_of::{InstrumentsMadeOf, Moved};
use super::options::{self, Chain};
use super::rows::{Making, PartRows};
use super::{RiskModel, ScenarioSet, moving};
use crate::error::Result;
use crate::market::Market;
use crate::options::GREEKS_OF_A_TASK;
use crate::pool::{self, Stop};
use crate::risk_layout::{Held, loss_row};
use crate::universe::Universe;

/// Enough for a thread to be worth waking.
const LOSSES_OF_A_TASK: usize = 8192;

/// Instruments that follow one another, and what a table says of them; the work of a task.
struct Part<'a> {
    /// Those that are held, ascending.
    held: &'a [usize],
    made_of: InstrumentsMadeOf<'a>,
    /// By set.
    rows: Vec<PartRows<'a>>,
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
        let scenarios = model.parameters.sets.iter().map(ScenarioSet::len).sum();
        if scenarios * instruments.len() > LOSSES_OF_A_TASK {
            // What comes before the tasks takes about as long as waking.
            pool::rouse();
        }
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
        let moved = self.made_of.update(market);
        let moved_assets = self.made_of.assets_to_make(market);
        let mut rows = Vec::with_capacity(makings.len());
        for (making, set) in makings.iter().zip(&mut self.sets) {
            // As they stand in a table: instruments, doubt, assets, present values.
            let mut value = set.losses.rows_mut();
            let _nothing = value.take_rows(loss_row(0));
            let own = value.take_rows(universe.specs().len());
            let _doubt = value.take_rows(1);
            let of_assets = value.take_rows(Held::ALL.len() * assets);
            moving::fill_assets(making, &moved_assets, &mut of_assets.collect::<Vec<_>>())?;
            rows.push(PartRows {
                first: 0,
                own,
                value,
            });
        }
        let mut parts = parts(
            universe,
            instruments,
            scenarios,
            self.made_of.instruments(),
            rows,
        );
        let mut results = vec![Ok(()); parts.len()];
        let work = |(part, result): (&mut Part<'_>, &mut Result<()>)| {
            let renew = |scratch: &mut Scratch| part.renew(&makings, &moved, scratch);
            *result = SCRATCH.with_borrow_mut(renew);
        };
        // Lent, so that no thread frees what another one has allocated.
        pool::for_each(parts.iter_mut().zip(&mut results), work, stop)?;
        // In order, so that of several errors it is always the same that is told.
        results.into_iter().collect()
    }
}

/// Divides all instruments among tasks.
fn parts<'a>(
    universe: &Universe,
    instruments: &'a [usize],
    scenarios: usize,
    mut made_of: InstrumentsMadeOf<'a>,
    mut rows: Vec<PartRows<'a>>,
) -> Vec<Part<'a>> {
    let most = (LOSSES_OF_A_TASK / scenarios)
        .next_multiple_of(8)
        .clamp(8, GREEKS_OF_A_TASK);
    let (mut parts, mut first, mut rest) = (Vec::new(), 0, instruments);
    loop {
        let (held, later) = rest.split_at(most.min(rest.len()));
        let end = match (held.last(), later) {
            (Some(last), [_, ..]) => last + 1,
            _ => universe.specs().len(),
        };
        let count = end - first;
        parts.push(Part {
            held,
            made_of: made_of.take_rows(count),
            rows: rows.iter_mut().map(|rows| rows.take_rows(count)).collect(),
        });
        if later.is_empty() {
            return parts;
        }
        (first, rest) = (end, later);
    }
}

/// What a task works with.
#[derive(Default)]
struct Scratch {
    options: Vec<usize>,
    others: Vec<usize>,
    chain: Chain,
}

thread_local! {
    /// Kept, because an allocator has its threads wait for each other. A task calls for no other threads while it has this.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Part<'_> {
    fn renew<H: Fn(usize) -> String + Sync>(
        &mut self,
        makings: &[Making<'_, H>],
        moved: &Moved,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let Some(Making { model, market, .. }) = makings.first() else {
            return Ok(());
        };
        self.made_of.update(model, market, moved);
        let Scratch {
            options,
            others,
            chain,
        } = scratch;
        options.clear();
        others.clear();
        let specs = model.universe().specs();
        for &instrument in self.held {
            if !self.made_of.make(instrument) {
                continue;
            }
            // Options are valued together.
            let is_option = specs[instrument].is_option();
            (if is_option {
                &mut *options
            } else {
                &mut *others
            })
            .push(instrument);
        }
        for (making, rows) in makings.iter().zip(&mut self.rows) {
            options::make(making, options, rows, chain)?;
            for &instrument in &*others {
                making.linear(rows.of(instrument))?;
            }
        }
        Ok(())
    }
}
