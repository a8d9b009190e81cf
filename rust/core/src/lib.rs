//! Cross margin of a whole venue: one pool of collateral behind every position and loan of an account.
//!
//! A [`Universe`] says what exists, a [`Book`] who holds what, a [`Market`] what it costs, a
//! [`CrossMargin`] what is required; [`evaluate`] says what every account is worth, what margin it needs
//! and whether it is safe. Finance lives in the [`table`], speed in the [`kernel`].
//!
//! ```
//! use xmfast_core::{
//!     Balances, Book, CrossMargin, Frames, Id, Key, Market, Universe, evaluate, pool::never, result,
//! };
//!
//! let universe = Universe::new(&["USD"].into_iter().collect(), None, Id::Text("USD"))?;
//! let balances = Balances {
//!     account: ["alice", "bob"].into_iter().collect(),
//!     asset: ["USD", "USD"].into_iter().collect(),
//!     balance: vec![100.0, -1.0].into(),
//! };
//! let frames = Frames { balances: Some(balances), ..Frames::default() };
//! let book = Book::new(&universe, frames, &mut never)?;
//! let market = Market::new(universe.clone(), None);
//! let model = CrossMargin::new(&universe, None, None)?;
//! let report = evaluate(&model, Key::SettlementAsset, &book, &market, &mut never)?;
//! assert_eq!(report.pools.rows()[0].0[result::HEALTH], 100.0);
//! assert_eq!(report.pools.rows()[1].0[result::HEALTH], -1.0);
//! # Ok::<(), xmfast_core::Error>(())
//! ```

// Each module uses only those to its left; `book` and `layout` share a place, because a book keeps its layouts:
// error exact concave kernel pool buffer contract ids universe options market table units|layout|risk_layout|book model risk
// settle share explain positions summary report risk_inputs risk_scan risk_report flags liquidation_price price_path limits
// ledger engine.
mod book;
mod buffer;
mod concave;
mod contract;
mod engine;
mod error;
pub mod exact;
mod explain;
mod flags;
mod ids;
pub mod kernel;
mod layout;
mod ledger;
mod limits;
mod liquidation_price;
mod market;
mod model;
mod options;
pub mod pool;
mod positions;
mod price_path;
mod report;
mod risk;
mod risk_inputs;
mod risk_layout;
mod risk_report;
mod risk_scan;
mod settle;
mod share;
mod summary;
pub mod table;
mod units;
mod universe;

pub use book::{Accounts, BLOCK, Balances, Block, Book, Frames, Holdings, Orders, Positions};
pub use buffer::ResultRows;
pub use contract::contract_table;
pub use engine::{
    AccountId, Accrual, Applied, Engine, Event, Extension, Fill, Latency, Limits, MarginModel,
    Metrics, NewOrder, OrderCheck, Payment, Price, ReadOrders, Reason, Rejudged, Snapshot,
};
pub use error::{Error, Place, Result};
pub use explain::{About, ExplainedLine, Parts};
pub use flags::liquidatable;
pub use ids::{Id, IdColumn, Ids};
pub use kernel::{Measure, NO_SCENARIO};
pub use kernel::{Row, Simd, column, result};
pub use layout::IsolatedPosition;
pub use ledger::{
    Cash, LimitPrice, MOST_DECIMALS, OpenOrder, Pool, Position, QUANTITY_DECIMALS, Rounding,
    Totals, float_of, is_conserved, whole_units,
};
pub use limits::{
    BuyingPower, Lock, Offer, Transferable, buying_power, buying_power_of_all, cheapest_collateral,
    transferable, withdrawable, withdrawable_of_all,
};
pub use liquidation_price::{Threshold, ZeroPrices, position_prices, zero_prices};
pub use market::Market;
pub use model::{
    Bracket, Collateral, CollateralColumns, CrossMargin, HaircutTier, Margin, MarginColumns,
};
pub use options::{
    Averaging, CalendarArbitrage, Gains, Greeks, ImpliedStatus, OptionColumns, OptionModel,
    PriceColumns, ShockSet, ShockedOption, ShockedOptions, SurfaceColumns, VolatilitySurface,
    YEAR_NS, implied_volatility, option_greeks, revalue,
};
pub use positions::{PositionFacts, position_facts};
pub use price_path::{Moves, PricePath, nearest_moves, zero_moves};
pub use report::{Evaluated, evaluate, margin_ratios};
pub use risk::{
    Concentration, MadeFor, Offsets, RiskModel, RiskParameters, RiskTable, ScenarioSet, SetLosses,
    Shocks, VolatilityShock,
};
pub use risk_layout::{LossOf, MovingAssets, RiskGroup, loss_row};
pub use risk_report::{RiskEvaluated, RiskFigures, evaluate_risk, pool_losses, requirement_lines};
pub use risk_scan::risk_column;
pub use settle::{Line, LineKind, Settled, Settlement, Subject};
pub use summary::{Summary, summarize};
pub use units::Key;
pub use universe::{Instrument, InstrumentColumns, Kind, Right, Universe};
