//! Who holds what: the truth from which every layout is derived.

use std::sync::{Arc, OnceLock};

use crate::error::{Error, Place, Result, finite};
use crate::ids::{Id, IdColumn, Ids};
use crate::layout::Layout;
use crate::pool::{self, Stop};
use crate::universe::{Universe, unknown};

/// Accounts per block: the unit of parallel work, of cancellation and, later, of copy-on-write.
pub const BLOCK: usize = 4096;

/// Columns of the `balances` frame.
#[derive(Clone, Debug)]
pub struct Balances {
    /// Account of each row.
    pub account: IdColumn,
    /// Asset of each row.
    pub asset: IdColumn,
    /// Asset units, negative for a loan.
    pub balance: Vec<f64>,
}

/// Columns of the `positions` frame.
#[derive(Clone, Debug)]
pub struct Positions {
    /// Account of each row.
    pub account: IdColumn,
    /// Instrument of each row.
    pub instrument: IdColumn,
    /// Contracts, negative when short.
    pub quantity: Vec<f64>,
    /// Average price at which the position was opened, quote.
    pub entry_price: Vec<f64>,
}

/// Holdings of [`BLOCK`] consecutive accounts, each account's rows ascending.
#[derive(Debug)]
pub struct Block {
    balance_ends: Vec<u32>,
    asset: Vec<u32>,
    balance: Vec<f64>,
    position_ends: Vec<u32>,
    instrument: Vec<u32>,
    quantity: Vec<f64>,
    entry_price: Vec<f64>,
}

/// What one account holds: rows of the universe ascending, one entry for each.
#[derive(Clone, Copy, Debug)]
pub struct Holdings<'a> {
    /// Assets held or owed.
    pub asset: &'a [u32],
    /// Asset units, signed.
    pub balance: &'a [f64],
    /// Instruments with a position.
    pub instrument: &'a [u32],
    /// Contracts, signed.
    pub quantity: &'a [f64],
    /// Average entry price.
    pub entry_price: &'a [f64],
}

impl Block {
    /// Number of accounts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.balance_ends.len()
    }

    /// Whether there is no account.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.balance_ends.is_empty()
    }

    /// Holdings of the account in a slot.
    #[must_use]
    pub fn holdings(&self, slot: usize) -> Holdings<'_> {
        let range = |ends: &[u32]| {
            let start = if slot == 0 {
                0
            } else {
                ends[slot - 1] as usize
            };
            start..ends[slot] as usize
        };
        let (balances, positions) = (range(&self.balance_ends), range(&self.position_ends));
        Holdings {
            asset: &self.asset[balances.clone()],
            balance: &self.balance[balances],
            instrument: &self.instrument[positions.clone()],
            quantity: &self.quantity[positions.clone()],
            entry_price: &self.entry_price[positions],
        }
    }

    fn memory(&self) -> usize {
        4 * (self.balance_ends.capacity() + self.position_ends.capacity())
            + 12 * self.asset.capacity()
            + 20 * self.instrument.capacity()
    }
}

/// Balances and positions of all accounts of a venue.
#[derive(Debug)]
pub struct Book {
    universe: Arc<Universe>,
    accounts: Arc<Ids>,
    blocks: Vec<Block>,
    balances: usize,
    positions: usize,
    layout: OnceLock<Layout>,
}

/// Rows of one frame in order of account: the rows of account `a` are `order[ends[a - 1]..ends[a]]`.
struct ByAccount {
    order: Vec<u32>,
    ends: Vec<u32>,
}

impl ByAccount {
    fn rows(&self, account: usize) -> &[u32] {
        let start = if account == 0 {
            0
        } else {
            self.ends[account - 1] as usize
        };
        &self.order[start..self.ends[account] as usize]
    }
}

impl Book {
    /// Checks the frames and sorts their rows into blocks.
    ///
    /// Accounts are numbered in order of first appearance, balances before positions.
    ///
    /// # Errors
    /// An unknown id, a number that is not finite, an entry price that the instrument cannot have,
    /// two rows for one account and asset or instrument; [`Error::Interrupted`].
    pub fn new(
        universe: &Arc<Universe>,
        balances: Option<Balances>,
        positions: Option<Positions>,
        stop: Stop<'_>,
    ) -> Result<Self> {
        let mut accounts = None;
        let mut take = |column: IdColumn, frame| merge_accounts(&mut accounts, column, frame);
        let balances = match balances {
            Some(frame) => {
                let asset = check_balances(universe, &frame)?;
                Some((take(frame.account, "balances")?, asset, frame.balance))
            }
            None => None,
        };
        let positions = match positions {
            Some(frame) => {
                let instrument = check_positions(universe, &frame)?;
                Some((
                    take(frame.account, "positions")?,
                    instrument,
                    frame.quantity,
                    frame.entry_price,
                ))
            }
            None => None,
        };
        let accounts = accounts.unwrap_or_else(Ids::ints);
        let (balance_accounts, asset, balance) = balances.unwrap_or_default();
        let (position_accounts, instrument, quantity, entry_price) = positions.unwrap_or_default();
        let balance_rows = by_account(&balance_accounts, accounts.len());
        let position_rows = by_account(&position_accounts, accounts.len());
        drop((balance_accounts, position_accounts));

        let assets = Keyed {
            frame: "balances",
            column: "asset",
            key: &asset,
            names: universe.assets(),
        };
        let instruments = Keyed {
            frame: "positions",
            column: "instrument",
            key: &instrument,
            names: universe.instruments(),
        };
        let build = |block: usize| {
            let range = block * BLOCK..((block + 1) * BLOCK).min(accounts.len());
            let (balance_ends, order) = assets.sorted(range.clone(), &balance_rows, &accounts)?;
            let gather = |column: &[f64]| order.iter().map(|&row| column[row as usize]).collect();
            let (block_asset, block_balance) = (
                order.iter().map(|&row| asset[row as usize]).collect(),
                gather(&balance),
            );
            let (position_ends, order) = instruments.sorted(range, &position_rows, &accounts)?;
            let gather = |column: &[f64]| order.iter().map(|&row| column[row as usize]).collect();
            Ok(Block {
                balance_ends,
                asset: block_asset,
                balance: block_balance,
                position_ends,
                instrument: order.iter().map(|&row| instrument[row as usize]).collect(),
                quantity: gather(&quantity),
                entry_price: gather(&entry_price),
            })
        };
        let blocks = pool::map(accounts.len().div_ceil(BLOCK), build, stop)?;
        // Of several errors, the first one: the same on every run.
        let blocks = blocks.into_iter().collect::<Result<Vec<Block>>>()?;
        Ok(Self {
            universe: Arc::clone(universe),
            accounts: Arc::new(accounts),
            blocks,
            balances: balance.len(),
            positions: quantity.len(),
            layout: OnceLock::new(),
        })
    }

    /// The universe that the rows refer to.
    #[must_use]
    pub fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    /// Ids of the accounts.
    #[must_use]
    pub fn accounts(&self) -> &Arc<Ids> {
        &self.accounts
    }

    /// The blocks in order.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Number of balance rows.
    #[must_use]
    pub fn balance_count(&self) -> usize {
        self.balances
    }

    /// Number of position rows.
    #[must_use]
    pub fn position_count(&self) -> usize {
        self.positions
    }

    /// Holdings of an account by its number.
    #[must_use]
    pub fn holdings(&self, account: usize) -> Holdings<'_> {
        self.blocks[account / BLOCK].holdings(account % BLOCK)
    }

    /// Legs netted by settlement asset; built on first use, then kept.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn layout(&self, stop: Stop<'_>) -> Result<&Layout> {
        if self.layout.get().is_none() {
            let layout = Layout::by_settlement_asset(&self.universe, &self.blocks, stop)?;
            // Another thread may have been faster; then its layout, which is the same, stays.
            let _ = self.layout.set(layout);
        }
        Ok(self.layout.get().expect("set above"))
    }

    /// Whether the layout is built already.
    #[must_use]
    pub fn has_layout(&self) -> bool {
        self.layout.get().is_some()
    }

    /// Bytes held by the holdings, by the layout (0 before first use) and by the account ids.
    #[must_use]
    pub fn memory(&self) -> (usize, usize, usize) {
        let book = self.blocks.iter().map(Block::memory).sum();
        (
            book,
            self.layout.get().map_or(0, Layout::memory),
            self.accounts.memory(),
        )
    }
}

/// Adds a column's accounts to the book's and returns the account number of each row.
fn merge_accounts(
    accounts: &mut Option<Ids>,
    column: IdColumn,
    frame: &'static str,
) -> Result<Vec<u32>> {
    let Some(known) = accounts else {
        *accounts = Some(column.ids);
        return Ok(column.codes);
    };
    if column.is_empty() {
        return Ok(Vec::new());
    }
    if known.is_empty() {
        *known = column.ids;
        return Ok(column.codes);
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
                "accounts are {} here but {} in balances; use one kind",
                kind(column.ids.is_text()),
                kind(!column.ids.is_text())
            ),
        })?;
    let mut codes = column.codes;
    codes
        .iter_mut()
        .for_each(|code| *code = map[*code as usize]);
    Ok(codes)
}

fn check_balances(universe: &Universe, frame: &Balances) -> Result<Vec<u32>> {
    refuse_too_many("balances", frame.balance.len())?;
    let place = |column, row: usize| {
        Place::column("balances", column)
            .row(row)
            .id(format_args!("account {}", frame.account.get(row)))
    };
    let asset = rows_of(&frame.asset, |id, row| {
        let asset = universe.assets().find(id);
        asset.ok_or_else(|| unknown(universe.assets(), "asset", id, place("asset", row)))
    })?;
    for (row, &balance) in frame.balance.iter().enumerate() {
        finite(balance, || place("balance", row))?;
    }
    Ok(asset)
}

fn check_positions(universe: &Universe, frame: &Positions) -> Result<Vec<u32>> {
    refuse_too_many("positions", frame.quantity.len())?;
    let place = |column, row: usize| {
        Place::column("positions", column)
            .row(row)
            .id(format_args!("account {}", frame.account.get(row)))
    };
    let instrument = rows_of(&frame.instrument, |id, row| {
        universe.instrument_row(id, || place("instrument", row))
    })?;
    let rows = instrument
        .iter()
        .zip(&frame.quantity)
        .zip(&frame.entry_price)
        .enumerate();
    for (row, ((&instrument, &quantity), &entry_price)) in rows {
        finite(quantity, || place("quantity", row))?;
        finite(entry_price, || place("entry_price", row))?;
        if let Some(expected) = universe.specs()[instrument as usize].price_problem(entry_price) {
            let problem = format!("{entry_price}: {expected}");
            return Err(Error::Value {
                place: place("entry_price", row),
                problem,
            });
        }
    }
    Ok(instrument)
}

/// Row numbers are 32 bits wide.
fn refuse_too_many(frame: &'static str, rows: usize) -> Result<()> {
    if u32::try_from(rows).is_ok() {
        return Ok(());
    }
    let problem = format!("{rows} rows; one frame holds at most {}", u32::MAX);
    Err(Error::Value {
        place: Place::frame(frame),
        problem,
    })
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

/// Counting sort of row numbers by account, stable.
fn by_account(account_of_row: &[u32], accounts: usize) -> ByAccount {
    let mut ends = vec![0u32; accounts];
    for &account in account_of_row {
        ends[account as usize] += 1;
    }
    let mut next = 0;
    for end in &mut ends {
        next += std::mem::replace(end, next);
    }
    // `ends` holds starts now; placing the rows moves each start to its end.
    let mut order = vec![0u32; account_of_row.len()];
    for (row, &account) in (0u32..).zip(account_of_row) {
        let slot = &mut ends[account as usize];
        order[*slot as usize] = row;
        *slot += 1;
    }
    ByAccount { order, ends }
}

/// A frame's key column beside the account: at most one row for each account and key.
struct Keyed<'a> {
    frame: &'static str,
    column: &'static str,
    key: &'a [u32],
    names: &'a Ids,
}

impl Keyed<'_> {
    /// Row numbers of a range of accounts, by account and then by key; and where each account ends.
    fn sorted(
        &self,
        range: std::ops::Range<usize>,
        rows: &ByAccount,
        accounts: &Ids,
    ) -> Result<(Vec<u32>, Vec<u32>)> {
        let mut ends = Vec::with_capacity(range.len());
        let count = range.clone().map(|account| rows.rows(account).len()).sum();
        let mut order: Vec<u32> = Vec::with_capacity(count);
        for account in range {
            let start = order.len();
            order.extend_from_slice(rows.rows(account));
            let mine = &mut order[start..];
            // By row next, so that a duplicate is reported with its first row first.
            mine.sort_unstable_by_key(|&row| (self.key[row as usize], row));
            for pair in mine.windows(2) {
                if self.key[pair[0] as usize] == self.key[pair[1] as usize] {
                    return Err(self.duplicate(pair[0], pair[1], accounts.get(account)));
                }
            }
            ends.push(order.len() as u32);
        }
        Ok((ends, order))
    }

    fn duplicate(&self, first: u32, second: u32, account: Id<'_>) -> Error {
        let id = self.names.get(self.key[second as usize] as usize);
        Error::Duplicate {
            place: Place::column(self.frame, self.column)
                .row(second as usize)
                .id(format_args!("account {account}")),
            problem: format!("a second row for {id}; the first is row {first}"),
        }
    }
}
