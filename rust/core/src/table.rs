//! The risk table: one row of eight columns for everything a leg can be.

use crate::error::Error;
use crate::kernel::{Row, RuleTable};
use crate::universe::Universe;

/// Where each kind of leg has its row.
///
/// Row 0 is all zero, for spare slots. Then come the rows of the assets, then one row per instrument for each way in
/// which a position can be charged. The sign of a balance picks its row, because deposits and loans differ in weight
/// and in interest.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    assets: usize,
    instruments: usize,
    /// Whether each instrument needs a row of its own when short, as options that are paid up front do: kept apart so that the rows of
    /// perpetuals stay dense in the cache.
    short_rows: bool,
}

/// Rows per asset: deposit, loan, netted deposit, netted loan, isolated margin, cost.
const PER_ASSET: usize = 6;

/// What a table row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegKind {
    /// A deposit in an asset in which no position of the account settles.
    Deposit(usize),
    /// A loan of an asset in which no position of the account settles.
    Loan(usize),
    /// A deposit in an asset in which positions settle: netted with them before it is weighed.
    NettedDeposit(usize),
    /// The same, for a loan.
    NettedLoan(usize),
    /// What is posted for one position alone, netted with it.
    IsolatedMargin(usize),
    /// Signed entry cost of the positions that settle in the asset.
    Cost(usize),
    /// A position.
    Position(PositionRow),
    /// An instrument's worst position with orders filled: charged initial margin, worth nothing.
    Exposure(usize),
}

impl LegKind {
    /// Whether it is cash that is netted with positions.
    pub(crate) fn is_netted_cash(self) -> bool {
        matches!(
            self,
            Self::NettedDeposit(_) | Self::NettedLoan(_) | Self::IsolatedMargin(_)
        )
    }
}

/// A way in which a position can be charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionRow {
    /// Row of the universe.
    pub instrument: usize,
    /// Whether it is a short position in an option that is paid up front, which is charged on that side alone.
    pub short_option: bool,
    /// Whether its initial margin is that of an exposure, because of open orders or a leverage cap: then the row
    /// charges none.
    pub by_exposure: bool,
}

impl Rows {
    /// The rows of a universe's table.
    #[must_use]
    pub fn of(universe: &Universe) -> Self {
        Self {
            assets: universe.assets().len(),
            instruments: universe.specs().len(),
            short_rows: universe.has_paid_up_front(),
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn count(self) -> usize {
        self.doubt() + 1
    }

    /// Row of a leg that stands for nothing but doubt: what an account with tiny quantities may have lost by underflow.
    #[must_use]
    pub fn doubt(self) -> usize {
        self.exposure(self.instruments)
    }

    /// Row of an exposure.
    #[must_use]
    pub fn exposure(self, instrument: usize) -> usize {
        1 + PER_ASSET * self.assets + self.ways() * self.instruments + instrument
    }

    /// Ways in which a position can be charged.
    fn ways(self) -> usize {
        if self.short_rows { 4 } else { 2 }
    }

    /// Row of a balance of known sign.
    #[must_use]
    pub fn cash(self, asset: usize, balance: f64) -> usize {
        1 + PER_ASSET * asset + usize::from(balance < 0.0)
    }

    /// Row of a balance that is netted with positions.
    #[must_use]
    pub fn netted_cash(self, asset: usize, balance: f64) -> usize {
        self.cash(asset, balance) + 2
    }

    /// Row of what is posted for an isolated position.
    #[must_use]
    pub fn isolated_margin(self, asset: usize) -> usize {
        1 + PER_ASSET * asset + 4
    }

    /// Row of the entry cost of positions settled in an asset.
    #[must_use]
    pub fn cost(self, asset: usize) -> usize {
        1 + PER_ASSET * asset + 5
    }

    /// The rows of cash that is netted in an asset: from, up to.
    #[must_use]
    pub fn cash_in_net(self, asset: usize) -> (usize, usize) {
        (self.netted_cash(asset, 0.0), self.cost(asset))
    }

    /// All rows of an asset.
    pub(crate) fn of_asset(self, asset: usize) -> std::ops::Range<usize> {
        1 + PER_ASSET * asset..1 + PER_ASSET * (asset + 1)
    }

    /// Row of a position.
    #[must_use]
    pub fn position(self, row: PositionRow) -> usize {
        let sides = if self.short_rows { 2 } else { 1 };
        let group = usize::from(row.short_option) + sides * usize::from(row.by_exposure);
        1 + PER_ASSET * self.assets + group * self.instruments + row.instrument
    }

    /// What a row stands for; `None` for the all-zero row and the row of doubt.
    #[must_use]
    pub fn kind(self, row: usize) -> Option<LegKind> {
        if row == self.doubt() {
            return None;
        }
        let row = row.checked_sub(1)?;
        let asset = row / PER_ASSET;
        if asset < self.assets {
            return Some(match row % PER_ASSET {
                0 => LegKind::Deposit(asset),
                1 => LegKind::Loan(asset),
                2 => LegKind::NettedDeposit(asset),
                3 => LegKind::NettedLoan(asset),
                4 => LegKind::IsolatedMargin(asset),
                _ => LegKind::Cost(asset),
            });
        }
        let row = row - PER_ASSET * self.assets;
        let (group, instrument) = (row / self.instruments, row % self.instruments);
        if group == self.ways() {
            return Some(LegKind::Exposure(instrument));
        }
        let (short_option, by_exposure) = if self.short_rows {
            (group % 2 == 1, group >= 2)
        } else {
            (false, group >= 1)
        };
        Some(LegKind::Position(PositionRow {
            instrument,
            short_option,
            by_exposure,
        }))
    }
}

/// Why a row cannot be used in this market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No index price in this slot.
    IndexPrice(usize),
    /// No mark price of this instrument.
    MarkPrice(usize),
    /// No margin rates for this instrument.
    Parameter(usize),
}

/// A model's table for one market: all the finance of an evaluation.
#[derive(Debug)]
pub struct Table {
    /// The rows, see [`Rows`] and [`crate::kernel::column`]; those that the layout does not use are 0.
    pub rows: Vec<Row>,
    /// Two rows per home ([`crate::kernel::WEIGHT_ROWS`]): what one unit of positive net adds to the sums, and of
    /// negative net. Home 0 nets nothing.
    pub weights: Vec<Row>,
    /// What is not a sum over legs, if anything is.
    pub rules: Option<RuleTable>,
    /// Relative error of all roundings of a figure, that of its parts taken absolutely; the rows' bounds hold it.
    pub error_factor: f64,
}

/// What a layout asks of a table.
#[derive(Clone, Debug, Default)]
pub struct Used {
    /// Rows that some leg reads, ascending.
    pub rows: Vec<usize>,
    /// Instruments in which somebody with a leverage cap is charged, ascending.
    pub capped: Vec<usize>,
    /// Instruments that somebody has orders in, ascending.
    pub ordered: Vec<usize>,
    /// The largest number of legs of an account.
    pub widest: usize,
}

impl Missing {
    /// The error that names what is missing and an account that needs it.
    #[must_use]
    pub fn error(self, universe: &Universe, account: String) -> Error {
        match self {
            Missing::IndexPrice(slot) => Error::MissingPrice {
                what: "index price",
                id: universe.index_name(slot).to_string(),
                account,
            },
            Missing::MarkPrice(instrument) => Error::MissingPrice {
                what: "mark price",
                id: universe.instruments().get(instrument).to_string(),
                account,
            },
            Missing::Parameter(instrument) => Error::MissingParameter {
                id: universe.instruments().get(instrument).to_string(),
                account,
            },
        }
    }
}
