//! The risk table: one row of eight columns for everything a leg can be.

use crate::error::{Error, Result};
use crate::kernel::Row;
use crate::universe::{Kind, Universe};

/// Where each kind of leg has its row.
///
/// Row 0 is all zero, for spare slots. Then come the rows of the assets, then one row per instrument, then the rows
/// of short options. The sign of a balance picks its row, because deposits and loans differ in weight.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    assets: usize,
    instruments: usize,
    /// Whether each option needs a row of its own when short: kept apart so that the rows of
    /// perpetuals stay dense in the cache.
    short_rows: bool,
}

/// Rows per asset: deposit, loan, netted cash, cost.
const PER_ASSET: usize = 4;

/// What a table row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegKind {
    /// A deposit in an asset in which no position of the account settles.
    Deposit(usize),
    /// A loan of an asset in which no position of the account settles.
    Loan(usize),
    /// Cash in an asset in which positions settle: netted with them before it is weighed.
    NettedCash(usize),
    /// Signed entry cost of the positions that settle in the asset.
    Cost(usize),
    /// A position: any but a short option.
    Position(usize),
    /// A short position in an option.
    ShortOption(usize),
}

impl Rows {
    /// The rows of a universe's table.
    #[must_use]
    pub fn of(universe: &Universe) -> Self {
        Self {
            assets: universe.assets().len(),
            instruments: universe.specs().len(),
            short_rows: universe
                .specs()
                .iter()
                .any(|spec| spec.kind == Kind::Option),
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn count(self) -> usize {
        1 + PER_ASSET * self.assets + self.instruments * if self.short_rows { 2 } else { 1 }
    }

    /// Row of a balance of known sign.
    #[must_use]
    pub fn cash(self, asset: usize, balance: f64) -> usize {
        1 + PER_ASSET * asset + usize::from(balance < 0.0)
    }

    /// Row of a balance that is netted with positions.
    #[must_use]
    pub fn netted_cash(self, asset: usize) -> usize {
        1 + PER_ASSET * asset + 2
    }

    /// Row of the entry cost of positions settled in an asset.
    #[must_use]
    pub fn cost(self, asset: usize) -> usize {
        1 + PER_ASSET * asset + 3
    }

    /// Row of a position.
    #[must_use]
    pub fn instrument(self, universe: &Universe, instrument: usize, quantity: f64) -> usize {
        let short_option = quantity < 0.0 && universe.specs()[instrument].kind == Kind::Option;
        1 + PER_ASSET * self.assets + instrument + if short_option { self.instruments } else { 0 }
    }

    /// What a row stands for; `None` for the all-zero row.
    #[must_use]
    pub fn leg(self, row: usize) -> Option<LegKind> {
        let row = row.checked_sub(1)?;
        let asset = row / PER_ASSET;
        if asset < self.assets {
            return Some(match row % PER_ASSET {
                0 => LegKind::Deposit(asset),
                1 => LegKind::Loan(asset),
                2 => LegKind::NettedCash(asset),
                _ => LegKind::Cost(asset),
            });
        }
        let instrument = row - PER_ASSET * self.assets;
        Some(match instrument.checked_sub(self.instruments) {
            None => LegKind::Position(instrument),
            Some(option) => LegKind::ShortOption(option),
        })
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
    /// The rows, see [`Rows`] and [`crate::kernel::column`].
    pub rows: Vec<Row>,
    /// Two rows per home: what one unit of positive net adds to the sums, and of negative net. Home 0 nets nothing.
    pub weights: Vec<Row>,
    /// For each row, what keeps it from being used.
    pub missing: Vec<Option<Missing>>,
}

impl Table {
    /// Refuses to go on if a row that is needed lacks a price or parameter.
    ///
    /// # Errors
    /// [`Error::MissingPrice`] or [`Error::MissingParameter`]; `holder` names an account that needs the row.
    pub fn check(
        &self,
        universe: &Universe,
        used_rows: &[usize],
        holder: impl Fn(usize) -> String,
    ) -> Result<()> {
        let Some((row, missing)) = used_rows
            .iter()
            .find_map(|&row| Some((row, self.missing[row]?)))
        else {
            return Ok(());
        };
        let account = holder(row);
        Err(match missing {
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
        })
    }
}
