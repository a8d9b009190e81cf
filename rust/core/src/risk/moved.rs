//! By how much the losses of one contract differ between two markets.

use crate::kernel::{LossTable, charge};
use crate::risk_layout::loss_row;
use crate::universe::Universe;

/// The largest difference by size, roundings not counted.
pub(super) fn largest_move(
    universe: &Universe,
    (then, now): (&LossTable, &LossTable),
    instrument: usize,
) -> f64 {
    let (row, spec) = (loss_row(instrument), &universe.specs()[instrument]);
    if !spec.is_option() && !spec.is_reciprocal() && !spec.allow_negative_price {
        // All its losses are the same multiples of prices and of what is open of a shock, none of which is below 0.
        let reach = |table: &LossTable| table.charges(row)[charge::REACH];
        return (reach(now) - reach(then)).abs();
    }
    let losses = then.losses(row).iter().zip(now.losses(row));
    losses.fold(0.0, |most, (then, now)| larger(most, (now - then).abs()))
}

/// The larger of two; no number if one is none.
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}
