//! The last risk tables of a model, of which an evaluation makes the rows anew whose inputs have moved and no others.

use std::sync::{Arc, Mutex};

use super::losses::MadeFor;
use super::{RiskModel, RiskTable};
use crate::market::Market;

/// All of a market that the rows of an instrument or asset depend on, as bits: where they are the same, so are the rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inputs {
    figures: [u64; 8],
    time: Option<i64>,
}

impl PartialEq for Inputs {
    fn eq(&self, other: &Self) -> bool {
        // All at once: the first that differs is no use to anybody.
        let pairs = self.figures.iter().zip(&other.figures);
        let difference = pairs.fold(0, |difference, (mine, other)| difference | (mine ^ other));
        difference == 0 && self.time == other.time
    }
}

impl Inputs {
    /// Takes the place of others; whether they were not the same.
    pub(super) fn replace(self, others: &mut Option<Self>) -> bool {
        let is_other = *others != Some(self);
        if is_other {
            *others = Some(self);
        }
        is_other
    }

    pub(super) fn of_instrument(model: &RiskModel, market: &Market, instrument: usize) -> Self {
        let universe = model.universe();
        let spec = &universe.specs()[instrument];
        let settlement = spec.settlement as usize;
        let underlying = universe.underlying_slot(spec.underlying);
        let follows_time = spec.is_option() || spec.settlement_average != 0.0;
        Self {
            figures: [
                market.mark_price().floats()[instrument],
                market.index_price().floats()[settlement],
                market.index_price().floats()[underlying],
                market.cumulative_funding().floats()[instrument],
                market.implied_volatility().floats()[instrument],
                market.forward().floats()[instrument],
                market.discount_rate().floats()[settlement],
                market.settlement_average().floats()[instrument],
            ]
            .map(f64::to_bits),
            time: market.time().filter(|_| follows_time),
        }
    }

    pub(super) fn of_asset(market: &Market, asset: usize) -> Self {
        let [price, deposit, borrow] = [
            market.index_price().floats()[asset],
            market.deposit_index().floats()[asset],
            market.borrow_index().floats()[asset],
        ]
        .map(f64::to_bits);
        Self {
            figures: [price, deposit, borrow, 0, 0, 0, 0, 0],
            time: None,
        }
    }
}

/// Two for accounts, because a report holds the table it was made with, as a rule until the next one takes its place; and
/// one for published losses.
const KEPT: usize = 3;

/// Tables, the latest last, of instruments x scenarios x 12 bytes for each set.
#[derive(Debug, Default)]
pub(super) struct KeptTables(Mutex<Vec<Arc<RiskTable>>>);

impl KeptTables {
    /// A table to be renewed: one that nobody reads, or a copy of the latest; none if all were made for others.
    pub(super) fn take(&self, made_for: MadeFor) -> Option<RiskTable> {
        let found = {
            // A lock that is held (or was, when this process was forked) is no reason to wait: make a fresh one.
            let mut kept = self.0.try_lock().ok()?;
            let fits = |table: &Arc<RiskTable>| table.made_for == made_for;
            let is_free = |table: &Arc<RiskTable>| fits(table) && Arc::strong_count(table) == 1;
            match kept.iter().rposition(is_free) {
                Some(free) => kept.remove(free),
                None => kept.iter().rfind(|table| fits(table))?.clone(),
            }
        };
        Some(Arc::unwrap_or_clone(found))
    }

    /// Keeps a table, and lets go of the oldest.
    pub(super) fn keep(&self, table: &Arc<RiskTable>) {
        if let Ok(mut kept) = self.0.try_lock() {
            kept.push(table.clone());
            if kept.len() > KEPT {
                kept.remove(0);
            }
        }
    }
}

impl Clone for KeptTables {
    /// Of a copied model nothing is kept yet.
    fn clone(&self) -> Self {
        Self::default()
    }
}
