//! What can be asked of an engine, and copies of what it holds.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Engine;
use super::event::Price;
use super::metrics::Metrics;
use super::model::MarginModel;
use crate::book::Book;
use crate::error::{Error, Place, Result};
use crate::exact::Given;
use crate::ids::{Id, Ids};
use crate::ledger::{Account, Accounts, Cash, OpenOrder, Position, Totals};
use crate::market::Market;
use crate::pool::{Stop, never};
use crate::universe::{Universe, unknown};

impl Engine {
    /// What exists.
    #[must_use]
    pub fn universe(&self) -> &Arc<Universe> {
        self.model.universe()
    }

    /// Ids of the accounts.
    #[must_use]
    pub fn accounts(&self) -> &Arc<Ids> {
        self.ledger.accounts().ids()
    }

    /// Number of an account.
    ///
    /// # Errors
    /// [`Error::Unknown`] with a close name.
    pub fn account_row(&self, id: Id<'_>) -> Result<u32> {
        self.account_row_at(id, || Place::frame("account"))
    }

    /// The same, where the id stands at a place.
    ///
    /// # Errors
    /// [`Error::Unknown`] with a close name.
    pub fn account_row_at(&self, id: Id<'_>, place: impl FnOnce() -> Place) -> Result<u32> {
        let accounts = self.accounts();
        let found = accounts.find(id);
        found.ok_or_else(|| unknown(accounts, "account", id, place()))
    }

    /// The price that an id stands for: of an instrument, or of an index.
    ///
    /// # Errors
    /// [`Error::Unknown`] with a close name.
    pub fn price_of(
        &self,
        id: Id<'_>,
        is_index: Option<bool>,
        price: Given,
        place: impl Fn() -> Place,
    ) -> Result<Price> {
        let universe = self.universe();
        let index = || universe.index_slot(id, &place);
        match (universe.instruments().find(id), is_index) {
            (Some(instrument), None | Some(false)) => Ok(Price::Mark(instrument, price)),
            (None, Some(false)) => Err(unknown(universe.instruments(), "instrument", id, place())),
            (_, Some(true)) => Ok(Price::Index(index()? as u32, price)),
            (None, None) => match index() {
                Ok(slot) => Ok(Price::Index(slot as u32, price)),
                Err(_) => Err(self.unknown_name(id, place())),
            },
        }
    }

    /// The error that says of an id that it is no asset, underlying or instrument, with a close name among all of them.
    #[must_use]
    pub fn unknown_name(&self, id: Id<'_>, place: Place) -> Error {
        let universe = self.universe();
        let mut names = universe.instruments().clone();
        for slot in 0..universe.index_count() {
            names.intern(universe.index_name(slot));
        }
        unknown(&names, "asset, underlying or instrument", id, place)
    }

    /// Row of the asset in which an instrument pays.
    #[must_use]
    pub fn settlement(&self, instrument: u32) -> u32 {
        self.universe().specs()[instrument as usize].settlement
    }

    /// Whether prices are watched, so that a tick concerns few accounts.
    #[must_use]
    pub fn has_levels(&self) -> bool {
        self.watcher.has_levels()
    }

    /// The prices of now.
    #[must_use]
    pub fn market(&self) -> &Market {
        &self.market
    }

    /// The rules of now.
    #[must_use]
    pub fn model(&self) -> &Arc<MarginModel> {
        &self.model
    }

    /// Everybody at this moment: a copy that does not change, from which a book can be made while the engine goes on.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.ledger.accounts().clone())
    }

    /// The book of this moment.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn book(&self) -> Result<Book> {
        self.ledger.accounts().book(&mut never)
    }

    /// Accounts that became liquidatable since [`Engine::drain_fallen`]; one that fell twice stands here twice.
    #[must_use]
    pub fn fallen(&self) -> &[u32] {
        &self.changes.fallen
    }

    /// Hands over who became liquidatable, each account once.
    pub fn drain_fallen(&mut self) -> Vec<u32> {
        distinct(std::mem::take(&mut self.changes.fallen))
    }

    /// Hands over who recovered, each account once.
    pub fn drain_recovered(&mut self) -> Vec<u32> {
        distinct(std::mem::take(&mut self.changes.recovered))
    }

    /// Hands over who has reached alert levels that they had not, each account once, with the highest.
    pub fn drain_alerted(&mut self) -> Vec<(u32, f64)> {
        let mut highest: HashMap<u32, u8> = HashMap::new();
        let alerted = std::mem::take(&mut self.changes.alerted);
        for &(account, reached) in &alerted {
            let highest = highest.entry(account).or_insert(reached);
            *highest = reached.max(*highest);
        }
        let levels = &self.limits.alert_levels;
        let accounts = distinct(alerted.into_iter().map(|(account, _)| account).collect());
        let with_level = |account: u32| (account, levels[highest[&account] as usize - 1]);
        accounts.into_iter().map(with_level).collect()
    }

    /// Accounts of which something has a margin ratio of at least this alert level now, ascending.
    ///
    /// # Errors
    /// [`Error::Value`] if it is none of the engine's alert levels.
    pub fn alerted(&self, level: f64) -> Result<Vec<u32>> {
        let levels = &self.limits.alert_levels;
        let at = levels.iter().position(|other| *other == level);
        let at = at.ok_or_else(|| Error::Value {
            place: Place::frame("alerted"),
            problem: format!("{level} is not among the engine's alert levels, {levels:?}"),
        })?;
        Ok(self.watcher.standing.alerted(at as u8 + 1))
    }

    /// Accounts whose pool or an isolated position is liquidatable, ascending.
    #[must_use]
    pub fn liquidatable(&self) -> Vec<u32> {
        self.watcher.standing.accounts()
    }

    /// Whether each account's pool is liquidatable.
    #[must_use]
    pub fn liquidatable_pools(&self) -> &[bool] {
        self.watcher.standing.pools()
    }

    /// Liquidatable positions that stand alone: account and instrument, ascending.
    pub fn liquidatable_positions(&self) -> impl Iterator<Item = (u32, u32)> {
        self.watcher.standing.positions()
    }

    /// What the venue and all accounts hold, by asset.
    #[must_use]
    pub fn totals(&self) -> &[Totals] {
        self.ledger.totals()
    }

    /// Decimals of an asset.
    #[must_use]
    pub fn decimals(&self, asset: u32) -> u32 {
        self.ledger.accounts().decimals(asset)
    }

    /// What rounding at opening took from the accounts, by asset.
    #[must_use]
    pub fn residue(&self) -> &[f64] {
        &self.residue
    }

    /// Open orders of an account.
    #[must_use]
    pub fn open_orders(&self, account: u32) -> Vec<OpenOrder> {
        self.holder(account).orders
    }

    /// Cash of an account, ascending by asset.
    #[must_use]
    pub fn cash(&self, account: u32) -> Vec<Cash> {
        self.holder(account).cash
    }

    /// Positions of an account, ascending by instrument.
    #[must_use]
    pub fn positions(&self, account: u32) -> Vec<Position> {
        self.holder(account).positions
    }

    fn holder(&self, account: u32) -> Account {
        let mut holder = Account::default();
        self.ledger.accounts().load(account as usize, &mut holder);
        holder
    }

    /// What was counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Bytes of the ledger, number of levels, bytes of what watches.
    #[must_use]
    pub fn memory(&self) -> (usize, usize, usize) {
        let (levels, watcher) = self.watcher.memory();
        (self.ledger.memory(), levels, watcher)
    }
}

/// Everybody at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot(Accounts);

impl Snapshot {
    /// The book of that moment.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn book(&self, stop: Stop<'_>) -> Result<Book> {
        self.0.book(stop)
    }
}

fn distinct(accounts: Vec<u32>) -> Vec<u32> {
    let mut seen = HashSet::new();
    accounts
        .into_iter()
        .filter(|account| seen.insert(*account))
        .collect()
}
