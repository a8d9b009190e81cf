//! The frames of a book: their columns, and what each row is checked for.

use crate::error::{Error, Place, Result, finite};
use crate::exact::GivenColumn;
use crate::ids::{Id, IdColumn, Ids};
use crate::universe::{Universe, unknown};

/// Columns of the `balances` frame.
#[derive(Clone, Debug)]
pub struct Balances {
    /// Account of each row.
    pub account: IdColumn,
    /// Asset of each row.
    pub asset: IdColumn,
    /// Asset units, negative for a loan; at interest index 1.
    pub balance: GivenColumn,
}

/// Columns of the `positions` frame; a column left out is `None`.
#[derive(Clone, Debug)]
pub struct Positions {
    /// Account of each row.
    pub account: IdColumn,
    /// Instrument of each row.
    pub instrument: IdColumn,
    /// Contracts, negative when short.
    pub quantity: GivenColumn,
    /// Average price at which the position was opened, quote.
    pub entry_price: GivenColumn,
    /// Cumulative funding of the instrument when the position was opened; 0 if left out.
    pub entry_funding: Option<GivenColumn>,
    /// Settlement asset units posted for this position alone, at least 0; NaN where the whole pool backs it.
    pub isolated_margin: Option<GivenColumn>,
}

/// Columns of the `orders` frame; a column left out is `None`.
#[derive(Clone, Debug)]
pub struct Orders {
    /// Account of each row.
    pub account: IdColumn,
    /// Instrument of each row.
    pub instrument: IdColumn,
    /// Contracts still open, negative to sell.
    pub quantity: GivenColumn,
    /// Limit price, quote.
    pub price: GivenColumn,
    /// Whether the order can only shrink a position, so that it needs no margin; false if left out.
    pub reduce_only: Option<Vec<bool>>,
}

/// Columns of the `accounts` frame.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// Distinct accounts.
    pub account: IdColumn,
    /// Highest notional per unit of initial margin, above 0; NaN where there is no cap.
    pub leverage_cap: GivenColumn,
}

/// The account ids of a book, gathered from one frame after the other.
#[derive(Default)]
pub(super) struct AccountIds {
    ids: Option<Ids>,
    frame: &'static str,
}

impl AccountIds {
    /// Adds a column's accounts and returns the account number of each row.
    pub(super) fn merge(&mut self, column: IdColumn, frame: &'static str) -> Result<Vec<u32>> {
        let known = match &mut self.ids {
            Some(known) if !known.is_empty() => known,
            _ => {
                self.frame = frame;
                self.ids = Some(column.ids);
                return Ok(column.codes);
            }
        };
        if column.is_empty() {
            return Ok(Vec::new());
        }
        let kind = |text| if text { "strings" } else { "integers" };
        let map = column
            .ids
            .iter()
            .map(|id| known.intern(id))
            .collect::<Option<Vec<u32>>>()
            .ok_or_else(|| Error::Column {
                place: Place::column(frame, "account"),
                problem: format!(
                    "accounts are {} here but {} in {}; use one kind",
                    kind(column.ids.is_text()),
                    kind(!column.ids.is_text()),
                    self.frame
                ),
            })?;
        let mut codes = column.codes;
        codes
            .iter_mut()
            .for_each(|code| *code = map[*code as usize]);
        Ok(codes)
    }

    /// All accounts in order of first appearance.
    pub(super) fn finish(self) -> Ids {
        self.ids.unwrap_or_else(Ids::ints)
    }
}

/// A place in a row, with the account that the row speaks of.
fn place(frame: &'static str, column: &'static str, row: usize, account: &IdColumn) -> Place {
    Place::column(frame, column)
        .row(row)
        .id(format_args!("account {}", account.get(row)))
}

fn refused(place: Place, problem: String) -> Error {
    Error::Value { place, problem }
}

impl Balances {
    /// Checks every row and returns the universe row of its asset.
    pub(super) fn check(&self, universe: &Universe) -> Result<Vec<u32>> {
        refuse_too_many("balances", self.balance.len())?;
        let place = |column, row| place("balances", column, row, &self.account);
        let asset = rows_of(&self.asset, |id, row| {
            let asset = universe.assets().find(id);
            asset.ok_or_else(|| unknown(universe.assets(), "asset", id, place("asset", row)))
        })?;
        for (row, &balance) in self.balance.floats().iter().enumerate() {
            finite(balance, || place("balance", row))?;
        }
        Ok(asset)
    }
}

impl Positions {
    /// Checks every row and returns the universe row of its instrument.
    pub(super) fn check(&self, universe: &Universe) -> Result<Vec<u32>> {
        refuse_too_many("positions", self.quantity.len())?;
        let place = |column, row| place("positions", column, row, &self.account);
        let instrument = rows_of(&self.instrument, |id, row| {
            universe.instrument_row(id, || place("instrument", row))
        })?;
        let (quantity, entry_price) = (self.quantity.floats(), self.entry_price.floats());
        for (row, &instrument) in instrument.iter().enumerate() {
            finite(quantity[row], || place("quantity", row))?;
            let price = finite(entry_price[row], || place("entry_price", row))?;
            if let Some(expected) = universe.specs()[instrument as usize].price_problem(price) {
                return Err(refused(
                    place("entry_price", row),
                    format!("{price}: {expected}"),
                ));
            }
        }
        if let Some(funding) = &self.entry_funding {
            for (row, &funding) in funding.floats().iter().enumerate() {
                finite(funding, || place("entry_funding", row))?;
                if funding != 0.0 && universe.specs()[instrument[row] as usize].is_option() {
                    let problem = format!("{funding}: an option pays no funding");
                    return Err(refused(place("entry_funding", row), problem));
                }
            }
        }
        if let Some(margin) = &self.isolated_margin {
            for (row, &margin) in margin.floats().iter().enumerate() {
                if margin.is_nan() {
                    continue;
                }
                finite(margin, || place("isolated_margin", row))?;
                if margin < 0.0 {
                    let problem = format!("{margin} is negative");
                    return Err(refused(place("isolated_margin", row), problem));
                }
            }
        }
        Ok(instrument)
    }
}

impl Orders {
    /// Checks every row and returns the universe row of its instrument.
    pub(super) fn check(&self, universe: &Universe) -> Result<Vec<u32>> {
        refuse_too_many("orders", self.quantity.len())?;
        let place = |column, row| place("orders", column, row, &self.account);
        let instrument = rows_of(&self.instrument, |id, row| {
            universe.instrument_row(id, || place("instrument", row))
        })?;
        let (quantity, price) = (self.quantity.floats(), self.price.floats());
        for (row, &instrument) in instrument.iter().enumerate() {
            finite(quantity[row], || place("quantity", row))?;
            let price = finite(price[row], || place("price", row))?;
            if let Some(expected) = universe.specs()[instrument as usize].price_problem(price) {
                return Err(refused(place("price", row), format!("{price}: {expected}")));
            }
        }
        Ok(instrument)
    }
}

impl Accounts {
    /// Checks every row.
    pub(super) fn check(&self) -> Result<()> {
        crate::universe::refuse_duplicates(&self.account, "accounts", "account")?;
        for (row, &cap) in self.leverage_cap.floats().iter().enumerate() {
            if cap.is_nan() {
                continue;
            }
            let place = || place("accounts", "leverage_cap", row, &self.account);
            finite(cap, place)?;
            if cap <= 0.0 {
                return Err(refused(place(), format!("{cap} is not > 0")));
            }
        }
        Ok(())
    }
}

/// Row numbers are 32 bits wide.
fn refuse_too_many(frame: &'static str, rows: usize) -> Result<()> {
    if u32::try_from(rows).is_ok() {
        return Ok(());
    }
    let problem = format!("{rows} rows; one frame holds at most {}", u32::MAX);
    Err(refused(Place::frame(frame), problem))
}

/// Looks each distinct id up once and returns the universe row of every frame row.
fn rows_of(column: &IdColumn, look_up: impl Fn(Id<'_>, usize) -> Result<u32>) -> Result<Vec<u32>> {
    let map = (0..column.ids.len())
        .map(|code| {
            let id = column.ids.get(code);
            // The row matters for the message alone, and costs a scan.
            look_up(id, 0).or_else(|_| look_up(id, column.first_row(code)))
        })
        .collect::<Result<Vec<u32>>>()?;
    Ok(column
        .codes
        .iter()
        .map(|&code| map[code as usize])
        .collect())
}
