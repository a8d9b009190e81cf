//! Margin models: each builds a risk table; none has a loop over accounts.

mod cross;

pub use cross::{Collateral, CollateralColumns, CrossMargin, Margin, MarginColumns};
