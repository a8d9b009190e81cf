//! What options are worth: Black-76 and Bachelier, their greeks, under scenarios, and the volatility behind a price.
//!
//! One formula, generic in the number: in eight lanes it is fast, in f64 it is the oracle. Values are exact to 1e-12 of the
//! larger of forward and strike.

mod average;
mod bachelier;
mod black;
mod columns;
mod greeks;
mod implied;
mod pieces;
mod revalue;
mod shocked;
mod shocks;
mod surface;

pub use average::Averaging;
pub(crate) use greeks::GREEKS_OF_A_TASK;
pub use greeks::{Greeks, OptionColumns, OptionModel, option_greeks};
pub use implied::{ImpliedStatus, PriceColumns, implied_volatility};
pub use revalue::{Gains, revalue};
pub use shocked::{ShockedOption, ShockedOptions};
pub use shocks::ShockSet;
pub use surface::{CalendarArbitrage, SurfaceColumns, VolatilitySurface, YEAR_NS};
