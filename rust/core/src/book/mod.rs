//! Who holds what: the truth from which every layout is derived.

mod build;
mod frames;
mod packed;
mod sort;

pub(crate) use build::BookedPosition;
pub(crate) use packed::PackedBy;

pub use frames::{Accounts, Balances, Orders, Positions};

use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::error::{Place, Result};
use crate::exact::{Given, GivenColumn, GivenRef, GivenSlice};
use crate::ids::{Id, Ids};
use crate::layout::Layout;
use crate::pool::{self, Stop};
use crate::risk_layout::{MovingAssets, RiskGroup, RiskLayout};
use crate::units::Key;
use crate::universe::{Universe, unknown};
use frames::AccountIds;
use packed::PackedParts;
use sort::{ByAccount, Keyed, by_account};

/// Accounts per block: the unit of parallel work, of cancellation and, later, of copy-on-write.
pub const BLOCK: usize = 4096;

/// Holdings of [`BLOCK`] consecutive accounts, each account's rows ascending.
///
/// What few books have (funding, isolated margin, orders, leverage caps) is empty where no account of the block has it.
#[derive(Debug, Default)]
pub struct Block {
    balance_ends: Vec<u32>,
    asset: Vec<u32>,
    balance: GivenColumn,
    position_ends: Vec<u32>,
    instrument: Vec<u32>,
    quantity: GivenColumn,
    entry_price: GivenColumn,
    entry_cost: GivenColumn,
    entry_funding: GivenColumn,
    isolated_margin: GivenColumn,
    order_ends: Vec<u32>,
    order_instrument: Vec<u32>,
    order_quantity: GivenColumn,
    order_price: GivenColumn,
    leverage_cap: GivenColumn,
    packed: PackedParts,
}

/// What one account holds: rows of the universe ascending.
#[derive(Clone, Copy, Debug)]
pub struct Holdings<'a> {
    /// Assets held or owed, one entry for each.
    pub asset: &'a [u32],
    /// Asset units, signed.
    pub balance: GivenSlice<'a>,
    /// Instruments with a position, one entry for each.
    pub instrument: &'a [u32],
    /// Contracts, signed.
    pub quantity: GivenSlice<'a>,
    /// Average entry price.
    pub entry_price: GivenSlice<'a>,
    /// Signed entry cost, settlement asset, before funding; `None` if it follows from the entry price.
    pub entry_cost: Option<GivenSlice<'a>>,
    /// Cumulative funding at entry; `None` if it is 0 for all.
    pub entry_funding: Option<GivenSlice<'a>>,
    /// Margin of isolated positions, NaN for the others; `None` if no position is isolated.
    pub isolated_margin: Option<GivenSlice<'a>>,
    /// Instruments of the open orders that may add to a position, in no stated order within an instrument.
    pub order_instrument: &'a [u32],
    /// Contracts, negative to sell.
    pub order_quantity: GivenSlice<'a>,
    /// Limit price.
    pub order_price: GivenSlice<'a>,
    /// The account's leverage cap.
    pub leverage_cap: Option<GivenRef<'a>>,
}

impl Block {
    /// Its legs, packed.
    pub(crate) fn packed(&self) -> &PackedParts {
        &self.packed
    }

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

    /// Number of positions of all accounts.
    #[must_use]
    pub fn position_count(&self) -> usize {
        self.position_ends.last().map_or(0, |&end| end as usize)
    }

    /// Whether any account has open orders that may add to a position.
    #[must_use]
    pub fn has_orders(&self) -> bool {
        !self.order_instrument.is_empty()
    }

    /// Instruments of all positions that are not 0, and of all open orders that may add to one; with repetitions.
    pub(crate) fn instruments_at_risk(&self) -> impl Iterator<Item = u32> {
        let held = self.instrument.iter().zip(self.quantity.floats());
        let held = held.filter(|&(_, &quantity)| quantity != 0.0);
        held.map(|(&instrument, _)| instrument)
            .chain(self.order_instrument.iter().copied())
    }

    /// Where the positions of the account in a slot stand among those of the block, and their instruments.
    #[must_use]
    pub fn positions(&self, slot: usize) -> (usize, &[u32]) {
        let before = slot.checked_sub(1);
        let start = before.map_or(0, |before| self.position_ends[before] as usize);
        let end = self.position_ends[slot] as usize;
        (start, &self.instrument[start..end])
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
        let orders = if self.order_ends.is_empty() {
            0..0
        } else {
            range(&self.order_ends)
        };
        let some = |column: &'_ GivenColumn| !column.is_empty();
        let cap = some(&self.leverage_cap).then(|| self.leverage_cap.get(slot));
        Holdings {
            asset: &self.asset[balances.clone()],
            balance: self.balance.slice(balances),
            instrument: &self.instrument[positions.clone()],
            quantity: self.quantity.slice(positions.clone()),
            entry_price: self.entry_price.slice(positions.clone()),
            entry_cost: some(&self.entry_cost).then(|| self.entry_cost.slice(positions.clone())),
            entry_funding: some(&self.entry_funding)
                .then(|| self.entry_funding.slice(positions.clone())),
            isolated_margin: some(&self.isolated_margin)
                .then(|| self.isolated_margin.slice(positions)),
            order_instrument: &self.order_instrument[orders.clone()],
            order_quantity: self.order_quantity.slice(orders.clone()),
            order_price: self.order_price.slice(orders),
            leverage_cap: cap.filter(|cap| !cap.float.is_nan()),
        }
    }

    fn memory(&self) -> usize {
        let ends = [&self.balance_ends, &self.position_ends, &self.order_ends];
        let keys = [&self.asset, &self.instrument, &self.order_instrument];
        let numbers = [
            &self.balance,
            &self.quantity,
            &self.entry_price,
            &self.entry_cost,
            &self.entry_funding,
            &self.isolated_margin,
            &self.order_quantity,
            &self.order_price,
            &self.leverage_cap,
        ];
        ends.iter()
            .chain(&keys)
            .map(|column| 4 * column.capacity())
            .sum::<usize>()
            + numbers.iter().map(|column| column.memory()).sum::<usize>()
    }
}

impl Holdings<'_> {
    /// Whether a position, by its place, is isolated.
    #[must_use]
    pub fn is_isolated(&self, position: usize) -> bool {
        self.isolated_margin
            .is_some_and(|margin| !margin.floats()[position].is_nan())
    }
}

/// The frames of a book. A frame left out is `None`.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    /// Cash and coins.
    pub balances: Option<Balances>,
    /// Open positions.
    pub positions: Option<Positions>,
    /// Open orders.
    pub orders: Option<Orders>,
    /// What is agreed with single accounts.
    pub accounts: Option<Accounts>,
}

/// Balances, positions and open orders of all accounts of a venue.
#[derive(Debug)]
pub struct Book {
    universe: Arc<Universe>,
    accounts: Arc<Ids>,
    blocks: Vec<Arc<Block>>,
    balances: usize,
    positions: usize,
    orders: usize,
    by_settlement_asset: OnceLock<Layout>,
    by_position: OnceLock<Layout>,
    risk_layouts: Mutex<Vec<KeptRisk>>,
}

/// Positions grouped for scenarios, and how.
#[derive(Debug)]
struct KeptRisk {
    group: RiskGroup,
    moving: Option<MovingAssets>,
    layout: Arc<RiskLayout>,
}

/// So many are kept; the oldest goes first.
const KEPT_RISKS: usize = 4;

impl Book {
    /// Checks the frames and sorts their rows into blocks.
    ///
    /// Accounts are numbered in order of first appearance: balances, positions, orders, accounts.
    ///
    /// # Errors
    /// An unknown id, a number that is not finite or out of range, a price that the instrument cannot have,
    /// two rows for one account and asset or instrument (but for orders); [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn new(universe: &Arc<Universe>, frames: Frames, stop: Stop<'_>) -> Result<Self> {
        let mut ids = AccountIds::default();
        let (mut balance_accounts, mut asset) = (Vec::new(), Vec::new());
        let mut balance = GivenColumn::default();
        if let Some(frame) = frames.balances {
            asset = frame.check(universe)?;
            balance_accounts = ids.merge(frame.account, "balances")?;
            balance = frame.balance;
        }
        let (mut position_accounts, mut instrument) = (Vec::new(), Vec::new());
        let (mut quantity, mut entry_price) = (GivenColumn::default(), GivenColumn::default());
        let (mut entry_funding, mut isolated_margin) = (None, None);
        if let Some(frame) = frames.positions {
            instrument = frame.check(universe)?;
            position_accounts = ids.merge(frame.account, "positions")?;
            (quantity, entry_price) = (frame.quantity, frame.entry_price);
            (entry_funding, isolated_margin) = (frame.entry_funding, frame.isolated_margin);
        }
        let (mut order_accounts, mut order_instrument) = (Vec::new(), Vec::new());
        let (mut order_quantity, mut order_price) =
            (GivenColumn::default(), GivenColumn::default());
        let mut reduce_only = None;
        if let Some(frame) = frames.orders {
            order_instrument = frame.check(universe)?;
            order_accounts = ids.merge(frame.account, "orders")?;
            (order_quantity, order_price) = (frame.quantity, frame.price);
            reduce_only = frame.reduce_only;
        }
        let mut caps = None;
        if let Some(frame) = frames.accounts {
            frame.check()?;
            caps = Some((ids.merge(frame.account, "accounts")?, frame.leverage_cap));
        }
        let accounts = ids.finish();

        let counts = (balance.len(), quantity.len(), order_quantity.len());
        let balance_rows = by_account(&balance_accounts, accounts.len());
        let position_rows = by_account(&position_accounts, accounts.len());
        let order_rows = by_account(&order_accounts, accounts.len());
        let caps =
            caps.map(|(account_of_row, cap)| (by_account(&account_of_row, accounts.len()), cap));
        drop((balance_accounts, position_accounts, order_accounts));
        let keyed = |frame, column, key, names| Keyed {
            frame,
            column,
            key,
            names,
        };
        let assets = keyed("balances", "asset", &asset, universe.assets());
        let instruments = keyed(
            "positions",
            "instrument",
            &instrument,
            universe.instruments(),
        );
        let ordered = keyed(
            "orders",
            "instrument",
            &order_instrument,
            universe.instruments(),
        );
        let opens = |row: u32| {
            let reduces = reduce_only
                .as_ref()
                .is_some_and(|flags| flags[row as usize]);
            !reduces && order_quantity.floats()[row as usize] != 0.0
        };
        let build = |block: usize| {
            let range = block * BLOCK..((block + 1) * BLOCK).min(accounts.len());
            let balances = assets.distinct(range.clone(), &balance_rows, &accounts)?;
            let positions = instruments.distinct(range.clone(), &position_rows, &accounts)?;
            let mut built = Block {
                asset: balances.gather(&asset),
                balance: balance.gather(&balances.order),
                balance_ends: balances.ends,
                instrument: positions.gather(&instrument),
                quantity: quantity.gather(&positions.order),
                entry_price: entry_price.gather(&positions.order),
                entry_funding: gather_if(entry_funding.as_ref(), &positions.order, |x| x != 0.0),
                isolated_margin: gather_if(isolated_margin.as_ref(), &positions.order, |x| {
                    !x.is_nan()
                }),
                position_ends: positions.ends,
                ..Block::default()
            };
            if !order_rows.is_empty() {
                let orders = ordered.sorted(range.clone(), &order_rows).filtered(opens);
                if !orders.order.is_empty() {
                    built.order_instrument = orders.gather(&order_instrument);
                    built.order_quantity = order_quantity.gather(&orders.order);
                    built.order_price = order_price.gather(&orders.order);
                    built.order_ends = orders.ends;
                }
            }
            if let Some((rows, cap)) = &caps {
                built.leverage_cap = spread(range, rows, cap);
            }
            Ok(Arc::new(built))
        };
        let blocks = pool::map(accounts.len().div_ceil(BLOCK), build, stop)?;
        // Of several errors, the first one: the same on every run.
        let blocks = blocks.into_iter().collect::<Result<Vec<Arc<Block>>>>()?;
        Ok(Self::of_blocks(
            universe,
            Arc::new(accounts),
            blocks,
            counts,
        ))
    }

    /// A book of finished blocks; `counts` of balances, positions and orders.
    pub(crate) fn of_blocks(
        universe: &Arc<Universe>,
        accounts: Arc<Ids>,
        blocks: Vec<Arc<Block>>,
        (balances, positions, orders): (usize, usize, usize),
    ) -> Self {
        Self {
            universe: Arc::clone(universe),
            accounts,
            blocks,
            balances,
            positions,
            orders,
            by_settlement_asset: OnceLock::new(),
            by_position: OnceLock::new(),
            risk_layouts: Mutex::default(),
        }
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

    /// Number of an account.
    ///
    /// # Errors
    /// [`Error::Unknown`](crate::Error::Unknown) with a close name.
    pub fn account_row(&self, id: Id<'_>, place: impl FnOnce() -> Place) -> Result<u32> {
        self.accounts
            .find(id)
            .ok_or_else(|| unknown(&self.accounts, "account", id, place()))
    }

    /// The blocks in order.
    #[must_use]
    pub fn blocks(&self) -> &[Arc<Block>] {
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

    /// Number of order rows, those that only reduce included.
    #[must_use]
    pub fn order_count(&self) -> usize {
        self.orders
    }

    /// Holdings of an account by its number.
    #[must_use]
    pub fn holdings(&self, account: usize) -> Holdings<'_> {
        self.blocks[account / BLOCK].holdings(account % BLOCK)
    }

    /// Legs grouped by a key; built on first use, then kept.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn layout(&self, key: Key, stop: Stop<'_>) -> Result<&Layout> {
        let kept = self.kept(key);
        if kept.get().is_none() {
            let layout = Layout::new(key, &self.universe, &self.blocks, stop)?;
            // Another thread may have been faster; then its layout, which is the same, stays.
            let _ = kept.set(layout);
        }
        Ok(kept.get().expect("set above"))
    }

    /// Whether a layout is built already.
    #[must_use]
    pub fn has_layout(&self, key: Key) -> bool {
        self.kept(key).get().is_some()
    }

    fn kept(&self, key: Key) -> &OnceLock<Layout> {
        match key {
            Key::SettlementAsset => &self.by_settlement_asset,
            Key::Position => &self.by_position,
        }
    }

    /// Positions grouped for scenarios; built on first use, then kept.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn risk_layout(
        &self,
        group: RiskGroup,
        moving: Option<&MovingAssets>,
        stop: Stop<'_>,
    ) -> Result<Arc<RiskLayout>> {
        let same = |kept: &&KeptRisk| kept.group == group && kept.moving.as_ref() == moving;
        let kept = || {
            self.risk_layouts
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(found) = kept().iter().find(same) {
            return Ok(Arc::clone(&found.layout));
        }
        let layout = Arc::new(RiskLayout::new(
            group,
            moving,
            &self.universe,
            &self.blocks,
            stop,
        )?);
        let mut kept = kept();
        if kept.len() == KEPT_RISKS {
            kept.remove(0);
        }
        kept.push(KeptRisk {
            group,
            moving: moving.cloned(),
            layout: Arc::clone(&layout),
        });
        Ok(layout)
    }

    /// Bytes held by the holdings, by the layouts (0 before first use) and by the account ids.
    #[must_use]
    pub fn memory(&self) -> (usize, usize, usize) {
        let book = self.blocks.iter().map(|block| block.memory()).sum();
        let layouts = [Key::SettlementAsset, Key::Position]
            .map(|key| self.kept(key).get().map_or(0, Layout::memory));
        let kept = self
            .risk_layouts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let risk = kept.iter().map(|kept| kept.layout.memory());
        let layouts = layouts.into_iter().chain(risk).sum();
        (book, layouts, self.accounts.memory())
    }
}

/// A column in a new order, or nothing if none of its rows says anything.
fn gather_if(column: Option<&GivenColumn>, order: &[u32], says: fn(f64) -> bool) -> GivenColumn {
    let column = column.filter(|column| {
        let floats = column.floats();
        order.iter().any(|&row| says(floats[row as usize]))
    });
    column.map_or_else(GivenColumn::default, |column| column.gather(order))
}

/// What a frame with one row for some accounts says of every account of a range: NaN where it says nothing.
fn spread(range: Range<usize>, rows: &ByAccount, column: &GivenColumn) -> GivenColumn {
    let mut spread = GivenColumn::default();
    let mut says = false;
    for account in range {
        let given = rows
            .rows(account)
            .first()
            .map_or(Given::from(f64::NAN), |&row| {
                column.get(row as usize).to_given()
            });
        says |= !given.float().is_nan();
        spread.push(given);
    }
    if says { spread } else { GivenColumn::default() }
}
