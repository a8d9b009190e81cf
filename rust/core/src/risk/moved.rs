//! By how much the losses of one contract differ between two markets.

use super::RiskModel;
use crate::kernel::{LossTable, charge};
use crate::risk_layout::loss_row;

/// The largest difference by size, roundings not counted; prices and multipliers are moderate.
pub(super) fn largest_move(
    model: &RiskModel,
    (then, now): (&LossTable, &LossTable),
    instrument: usize,
) -> f64 {
    let row = loss_row(instrument);
    let spec = &model.universe().specs()[instrument];
    let is_linear = !spec.is_option() && !spec.is_reciprocal() && !spec.allow_negative_price;
    if is_linear && model.moving().is_none() && model.has_moderate_shocks {
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
