//! Cross margin of a whole venue: one pool of collateral behind every position and loan of an account.
//!
//! A [`Universe`] says what exists, a [`Book`] who holds what, a [`Market`] what it costs, a
//! [`CrossMargin`] what is required; [`evaluate`] says what every account is worth, what margin it needs
//! and whether it is safe. Finance lives in the [`table`], speed in the [`kernel`].
//!
//! ```
//! use xmfast_core::{Balances, Book, CrossMargin, Id, Market, Universe, evaluate, pool::never, result};
//!
//! let universe = Universe::new(&["USD"].into_iter().collect(), None, Id::Text("USD"))?;
//! let balances = Balances {
//!     account: ["alice", "bob"].into_iter().collect(),
//!     asset: ["USD", "USD"].into_iter().collect(),
//!     balance: vec![100.0, -1.0],
//! };
//! let book = Book::new(&universe, Some(balances), None, &mut never)?;
//! let market = Market::new(universe.clone(), None);
//! let model = CrossMargin::new(&universe, None, None)?;
//! let report = evaluate(&model, &book, &market, &mut never)?;
//! assert_eq!(report.rows()[0].0[result::HEALTH], 100.0);
//! assert_eq!(report.rows()[1].0[result::HEALTH], -1.0);
//! # Ok::<(), xmfast_core::Error>(())
//! ```

// Each module uses only those to its left; `book` and `layout` share a place, because a book keeps its layout:
// error kernel pool buffer contract ids universe market table layout|book settle model summary report.
mod book;
mod buffer;
mod contract;
mod error;
mod ids;
pub mod kernel;
mod layout;
mod market;
mod model;
pub mod pool;
mod report;
mod settle;
mod summary;
pub mod table;
mod universe;

pub use book::{BLOCK, Balances, Block, Book, Holdings, Positions};
pub use buffer::ResultRows;
pub use contract::contract_table;
pub use error::{Error, Place, Result};
pub use ids::{Id, IdColumn, Ids};
pub use kernel::{Row, Simd, column, result};
pub use market::Market;
pub use model::{Collateral, CollateralColumns, CrossMargin, Margin, MarginColumns};
pub use report::{evaluate, margin_ratios};
pub use settle::{Settled, SettledLeg, settle};
pub use summary::{Summary, summarize};
pub use universe::{Instrument, InstrumentColumns, Kind, Right, Universe};
