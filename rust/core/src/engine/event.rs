//! Everything that can happen to an engine, and which accounts must then be judged again.

use std::sync::Arc;

use super::extension::Extension;
use super::model::MarginModel;
use crate::error::{Error, Place, Result};
use crate::exact::Given;
use crate::ledger::{LimitPrice, OpenOrder};
use crate::market::Market;
use crate::model::is_moderate;

/// A command, a record and an input of a replay. Accounts, assets and instruments are rows; money and contracts are
/// whole units of the ledger's scales.
#[derive(Clone, Debug)]
pub enum Event {
    /// An order rests, if it passes the check.
    Place {
        /// Number of the account.
        account: u32,
        /// What is ordered.
        order: NewOrder,
    },
    /// An open order is replaced; it keeps its number.
    Amend {
        /// Number of the order.
        order: u64,
        /// Contracts that stay open, signed as before; `None`: as many as now.
        quantity: Option<i128>,
        /// Limit price; `None`: the same.
        price: Option<LimitPrice>,
    },
    /// An open order is taken back.
    Cancel {
        /// Number of the order.
        order: u64,
    },
    /// An account trades with somebody outside the book.
    Fill(Fill),
    /// Such fills in order, all or none of them; all are booked before anybody is judged, as with many prices.
    Fills(Vec<Fill>),
    /// Two accounts trade with each other.
    Trade {
        /// The one whose order rested; its quantity is the other's, reversed.
        maker: Fill,
        /// The other.
        taker: Fill,
    },
    /// Money is paid in.
    Deposit(Payment),
    /// Money is paid out.
    Withdraw(Payment),
    /// Money goes from one account to another.
    Transfer {
        /// What leaves.
        payment: Payment,
        /// Where it goes.
        to: u32,
    },
    /// Contracts go from one account to another at their entry cost.
    TransferPosition {
        /// Number of the account.
        from: u32,
        /// Number of the account.
        to: u32,
        /// Row of the instrument.
        instrument: u32,
        /// Contracts, at least one unit and no more than are held.
        quantity: i128,
    },
    /// One asset is given for another, to somebody outside the book.
    Exchange {
        /// What is given.
        sold: Payment,
        /// Row of the asset that is got.
        bought: u32,
        /// Units of it.
        amount: i128,
        /// Units of it that the venue keeps, signed.
        fee: i128,
    },
    /// Prices change; all of them before anybody is judged.
    Tick(Vec<Price>),
    /// Interest and funding go on, and time.
    Accrue(Box<Accrual>),
    /// Positions in an instrument are closed at its last price.
    Settle {
        /// Row of the instrument.
        instrument: u32,
        /// The price.
        price: Given,
    },
    /// Other rules.
    SetParameters(Arc<MarginModel>),
    /// Somebody comes.
    AddAccount(AccountId),
    /// Something comes that can be held.
    AddInstruments(Box<Extension>),
}

/// An id of an account, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountId {
    /// An integer id.
    Int(i64),
    /// A string id.
    Text(String),
}

/// An order before it has a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewOrder {
    /// Row of the instrument.
    pub instrument: u32,
    /// Contracts, negative to sell.
    pub quantity: i128,
    /// Limit price.
    pub price: LimitPrice,
    /// Whether it may only make a position smaller.
    pub reduce_only: bool,
}

impl NewOrder {
    /// The order as it rests under a number.
    pub(crate) fn resting(self, id: u64) -> OpenOrder {
        OpenOrder {
            id,
            instrument: self.instrument,
            reduce_only: self.reduce_only,
            quantity: self.quantity,
            price: self.price,
        }
    }
}

/// One side of a trade.
#[derive(Clone, Debug)]
pub struct Fill {
    /// Number of the account.
    pub account: u32,
    /// Row of the instrument.
    pub instrument: u32,
    /// Contracts, negative if sold.
    pub quantity: i128,
    /// Price of one.
    pub price: Given,
    /// Units of the settlement asset, negative for a rebate.
    pub fee: i128,
    /// The open order that is filled.
    pub order: Option<u64>,
}

/// Money of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Number of the account.
    pub account: u32,
    /// Row of the asset.
    pub asset: u32,
    /// Units, above 0.
    pub amount: i128,
}

/// A new price.
#[derive(Clone, Debug)]
pub enum Price {
    /// Mark price of an instrument, by row.
    Mark(u32, Given),
    /// Index price, by slot.
    Index(u32, Given),
}

/// New interest indices, cumulative fundings and time; what is not named stays.
#[derive(Clone, Debug, Default)]
pub struct Accrual {
    /// Nanoseconds since 1970 UTC.
    pub time: Option<i64>,
    /// Cumulative funding by row of the instrument.
    pub funding: Vec<(u32, Given)>,
    /// Deposit and borrow index by row of the asset.
    pub interest: Vec<(u32, [Given; 2])>,
}

impl Accrual {
    /// Whether nothing is paid.
    pub(crate) fn is_time_alone(&self) -> bool {
        self.funding.is_empty() && self.interest.is_empty()
    }
}

/// Which accounts an event can move across a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejudged {
    /// Those whose holdings or orders it changes: orders count in health where positions share a pool by initial margin.
    Touched,
    /// Those with a watched price that moved out of its interval.
    Woken,
    /// Those whom funding or interest can have moved so far.
    Paid,
    /// All, where figures of the model follow the time; else nobody.
    TimeDependent,
    /// All.
    Everybody,
}

impl Rejudged {
    /// Whether these are judged again where `done` were.
    pub(super) fn is_covered_by(self, done: Option<Self>) -> bool {
        done == Some(self) || done == Some(Self::Everybody)
    }
}

impl Event {
    /// Which accounts must be judged again; after each event, debug builds hold the engine to it.
    #[must_use]
    pub fn rejudges(&self) -> Rejudged {
        match self {
            Self::Place { .. }
            | Self::Amend { .. }
            | Self::Cancel { .. }
            | Self::Fill(_)
            | Self::Fills(_)
            | Self::Trade { .. }
            | Self::Deposit(_)
            | Self::Withdraw(_)
            | Self::Transfer { .. }
            | Self::TransferPosition { .. }
            | Self::Exchange { .. }
            | Self::Settle { .. }
            | Self::AddAccount(_) => Rejudged::Touched,
            Self::Tick(_) => Rejudged::Woken,
            Self::Accrue(accrual) if accrual.is_time_alone() => Rejudged::TimeDependent,
            Self::Accrue(_) => Rejudged::Paid,
            Self::SetParameters(_) | Self::AddInstruments(_) => Rejudged::Everybody,
        }
    }

    /// How many of its kind it counts as.
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Fills(fills) => fills.len() as u64,
            _ => 1,
        }
    }

    /// What counts of it are kept under.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Place { .. } => "place",
            Self::Amend { .. } => "amend",
            Self::Cancel { .. } => "cancel",
            Self::Fill(_) | Self::Fills(_) => "fill",
            Self::Trade { .. } => "trade",
            Self::Deposit(_) => "deposit",
            Self::Withdraw(_) => "withdraw",
            Self::Transfer { .. } => "transfer",
            Self::TransferPosition { .. } => "transfer_position",
            Self::Exchange { .. } => "exchange",
            Self::Tick(_) => "tick",
            Self::Accrue(_) => "accrue",
            Self::Settle { .. } => "settle",
            Self::SetParameters(_) => "set_parameters",
            Self::AddAccount(_) => "add_account",
            Self::AddInstruments(_) => "add_instruments",
        }
    }
}

impl Price {
    /// Refuses what is so far from 1 that an engine's figures could leave the range of f64.
    pub(crate) fn check(&self, market: &Market) -> Result<()> {
        let universe = market.universe();
        let (price, id) = match self {
            Self::Mark(instrument, price) => {
                (price, universe.instruments().get(*instrument as usize))
            }
            Self::Index(slot, price) => (price, universe.index_name(*slot as usize)),
        };
        if is_moderate(price.float()) || !price.float().is_finite() {
            return Ok(());
        }
        Err(Error::Value {
            place: Place::frame("price").id(id),
            problem: format!(
                "{:e} is neither 0 nor from 1e-30 to below 1e30",
                price.float()
            ),
        })
    }

    /// Sets it.
    pub(crate) fn set(&self, market: &mut Market) -> Result<()> {
        match self {
            Self::Mark(instrument, price) => {
                market.set_mark_price(*instrument as usize, price.clone())
            }
            Self::Index(slot, price) => market.set_index_price(*slot as usize, price.clone()),
        }
    }
}
