//! Margin models: each builds a risk table; none has a loop over accounts.

mod cross;
mod lines;
mod parameters;
mod pieces;

pub use cross::CrossMargin;
pub(crate) use cross::{
    AssetSlopes, EXTRA_ROUNDINGS, Known, LOST_BY_UNDERFLOW, Steepness, is_moderate,
};
pub(crate) use lines::{MaintenanceLines, NetLines, Step, Weights};
pub use parameters::{Bracket, Collateral, CollateralColumns, HaircutTier, Margin, MarginColumns};
pub(crate) use pieces::RiskRow;
