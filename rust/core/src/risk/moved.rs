//! By how much the losses of one contract differ between two markets.

use super::RiskModel;
use crate::kernel::{LossTable, charge};
use crate::risk_layout::loss_row;

/// The largest difference by size between losses then and a share of those of now, roundings not counted; prices and
/// multipliers are moderate.
pub(super) fn largest_move(
    model: &RiskModel,
    then: &LossTable,
    (now, share): (&LossTable, f64),
    instrument: usize,
) -> f64 {
    let row = loss_row(instrument);
    let spec = &model.universe().specs()[instrument];
    let is_linear = !spec.is_option() && !spec.is_reciprocal() && !spec.allow_negative_price;
    if is_linear && model.moving().is_none() && model.has_moderate_shocks {
        // All its losses are multiples, the same then and now, of prices and what is open of a shock, none of which is below 0.
        return (share * reach(now, instrument) - reach(then, instrument)).abs();
    }
    let losses = then.losses(row).iter().zip(now.losses(row));
    losses.fold(0.0, |most, (then, now)| {
        larger(most, (share * now - then).abs())
    })
}

/// The largest loss of a contract by size.
pub(super) fn reach(table: &LossTable, instrument: usize) -> f64 {
    table.charges(loss_row(instrument))[charge::REACH]
}

/// The larger of two; no number if one is none.
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}
