//! Funding and interest: the most that they can move health by, so that who has more than that left over keeps its box
//! and is not looked at.
//!
//! They change what accounts have of an asset, by `q x change` for a leg of quantity `q`. At any prices in a box, health
//! follows what is had of an asset no faster than the price of that asset and the steepest weight say. A box leaves a part
//! of health over wherever prices stand in it ([`Boxes::reserve`](super::boxes::Boxes::reserve)); as long as that is more
//! than all payments since the box was found, no sign can have changed.

use super::boxes::LARGEST_RISE;
use super::table::LiveTable;
use crate::exact::GivenColumn;
use crate::kernel::{Row, column};
use crate::market::Market;
use crate::table::LegKind;
use crate::universe::Universe;

/// The column that holds the most, whose operand is the absolute quantity.
pub(super) const MOST: usize = column::MAINTENANCE_MARGIN;

/// The highest price that each asset can have in a box in which it is what positions settle in.
#[derive(Debug)]
pub(super) struct Highest(Vec<f64>);

impl Highest {
    /// Before any price moved.
    pub(super) fn of(market: &Market) -> Self {
        let assets = market.universe().assets().len();
        let prices = market.index_price().floats()[..assets].iter();
        Self(prices.map(|price| price * (1.0 + LARGEST_RISE)).collect())
    }

    /// Notes an index price, of an asset or of something else.
    pub(super) fn follow(&mut self, slot: usize, price: f64) {
        if let Some(highest) = self.0.get_mut(slot) {
            *highest = highest.max(price * (1.0 + LARGEST_RISE));
        }
    }
}

/// By row of the table, the most that health can move by for one unit, from what was accrued `before` until `now`. It is
/// infinite where prices have no bound.
pub(super) fn most_moved(
    table: &LiveTable,
    universe: &Universe,
    [before, now]: [&Market; 2],
    highest: &Highest,
) -> Vec<Row> {
    let steepest = |asset: usize| {
        let slopes = table.steepness().assets[asset];
        slopes.most.max(slopes.debt)
    };
    let netted = |asset: usize, change: f64| times(change, highest.0[asset] * steepest(asset));
    let deposit = |asset: usize| change(1.0, asset, [before, now].map(Market::deposit_index));
    let borrow = |asset: usize| change(1.0, asset, [before, now].map(Market::borrow_index));
    // What a balance is worth that settles nothing may rise without end.
    let apart = |asset: usize, change: f64| {
        if asset == universe.numeraire() {
            netted(asset, change)
        } else {
            times(change, f64::INFINITY)
        }
    };
    let most = |kind: LegKind| match kind {
        LegKind::Deposit(asset) => apart(asset, deposit(asset)),
        LegKind::Loan(asset) => apart(asset, borrow(asset)),
        LegKind::NettedDeposit(asset) | LegKind::IsolatedMargin(asset) => {
            netted(asset, deposit(asset))
        }
        LegKind::NettedLoan(asset) => netted(asset, borrow(asset)),
        LegKind::Position(row) => {
            let spec = &universe.specs()[row.instrument];
            let fundings = [before, now].map(Market::cumulative_funding);
            let multiplier = spec.contract_multiplier.float();
            let paid = change(multiplier, row.instrument, fundings);
            netted(spec.settlement as usize, paid)
        }
        LegKind::Cost(_) | LegKind::Exposure(_) => 0.0,
    };
    let row = |row: usize| {
        let mut moved = Row::default();
        moved.0[MOST] = table.kind(row).map_or(0.0, most);
        moved
    };
    (0..table.rows().len()).map(row).collect()
}

/// How far two figures of a row are apart at most, times a factor; each of them was rounded.
fn change(factor: f64, row: usize, columns: [&GivenColumn; 2]) -> f64 {
    let [before, now] = columns.map(|column| column.get(row).to_given());
    if before == now {
        return 0.0;
    }
    let (before, now) = (factor * before.float(), factor * now.float());
    (now - before).abs() + 4.0 * f64::EPSILON * (now.abs() + before.abs())
}

/// A product in which no change is none, whatever the factor.
fn times(change: f64, factor: f64) -> f64 {
    if change == 0.0 { 0.0 } else { change * factor }
}
