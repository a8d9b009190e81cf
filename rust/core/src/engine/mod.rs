//! The live engine: may this order go in, and who fell below on this tick.
//!
//! Every command is an [`Event`]; [`Engine::apply`] does it or changes nothing. The ledger holds what is owned in whole
//! units, the market what it costs; a watcher says which accounts an event can have moved across a threshold, so that
//! just those are judged again.

mod boxes;
mod cash;
mod check;
mod event;
mod fills;
mod hash;
mod judge;
mod levels;
mod metrics;
mod model;
mod plain;
mod reading;
mod table;
mod watcher;

pub use check::{OrderCheck, Reason};
pub use event::{AccountId, Accrual, Event, Fill, NewOrder, Payment, Price, Rejudged};
pub use metrics::{Latency, Metrics};
pub use model::MarginModel;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crate::book::Book;
use crate::error::{Error, Place, Result};
use crate::exact::Given;
use crate::ids::{Id, Ids};
use crate::kernel::FloatState;
use crate::ledger::{Account, Accounts, Ledger, OpenOrder, Totals, VenueMoves};
use crate::market::Market;
use crate::model::is_moderate;
use crate::pool::{Stop, never};
use crate::universe::{Universe, unknown};
use watcher::{Changes, Judging, Watcher};

/// Limits that have nothing to do with margin; contracts in whole units, by instrument.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest position of an account, open orders of the worse side filled.
    pub position: Vec<Option<i128>>,
    /// Largest sum of all long positions.
    pub open_interest: Vec<Option<i128>>,
    /// Assets in which cash may be taken below 0.
    pub borrowable: Vec<bool>,
    /// Part of an unrealized gain that may be withdrawn against.
    pub withdrawable_gain_share: Given,
}

impl Limits {
    /// None, but that nothing can be borrowed and no unrealized gain be withdrawn.
    #[must_use]
    pub fn none(universe: &Universe) -> Self {
        Self {
            position: vec![None; universe.specs().len()],
            open_interest: vec![None; universe.specs().len()],
            borrowable: vec![false; universe.assets().len()],
            withdrawable_gain_share: Given::from(0.0),
        }
    }
}

/// What an event did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// Number of the order that was placed.
    pub order: Option<u64>,
    /// What was said of an order; one that was not accepted was not placed or amended, and nothing has changed.
    pub check: Option<OrderCheck>,
    /// Which of [`Engine::fallen`] fell by it.
    pub fallen: Range<usize>,
}

/// A book that lives: orders, trades, payments and prices come in, and it is known at every moment who is liquidatable.
#[derive(Debug)]
pub struct Engine {
    market: Market,
    model: Arc<MarginModel>,
    /// The same, with no more of unrealized gains than may be withdrawn against.
    model_of_withdrawals: MarginModel,
    ledger: Ledger,
    limits: Limits,
    watcher: Watcher,
    changes: Changes,
    settled: Vec<bool>,
    next_order: u64,
    /// Account of every open order.
    order_account: HashMap<u64, u32>,
    /// What was done under a name: a fingerprint of the event, and what it did.
    named: BTreeMap<String, (u128, Applied)>,
    residue: Vec<f64>,
    metrics: Metrics,
    draft: Account,
    /// What a fill works on: before and after.
    filled: (Account, Account),
}

/// Refuses an event that the state does not allow.
fn refused(what: &'static str, problem: impl Into<String>) -> Error {
    Error::Refused {
        place: Place::frame(what),
        problem: problem.into(),
    }
}

impl Engine {
    /// Opens an engine with what a book holds, rounded to `decimals` of each asset against the accounts.
    ///
    /// # Errors
    /// As [`MarginModel::evaluate`]; an amount that is too large for the ledger.
    pub fn new(
        book: &Book,
        market: &Market,
        model: Arc<MarginModel>,
        (decimals, limits): (&[u32], Limits),
        stop: Stop<'_>,
    ) -> Result<Self> {
        let _state = FloatState::standard();
        for (name, other) in [("book", book.universe()), ("market", market.universe())] {
            if !Arc::ptr_eq(model.universe(), other) {
                return Err(Error::UniverseMismatch {
                    left: name,
                    right: "model",
                });
            }
        }
        let (mut ledger, residue) = Ledger::open(book, market, decimals, &mut *stop)?;
        let mut order_account = HashMap::new();
        let next_order = ledger.number_orders(&mut order_account);
        let book = ledger.accounts().book(&mut *stop)?;
        let judging = Judging {
            model: &model,
            market,
            accounts: ledger.accounts(),
        };
        let watcher = Watcher::open(judging, &book, stop)?;
        Ok(Self {
            market: market.clone(),
            model_of_withdrawals: model.with_gain_share_at_most(&limits.withdrawable_gain_share)?,
            settled: vec![false; book.universe().specs().len()],
            model,
            ledger,
            limits,
            watcher,
            changes: Changes::default(),
            next_order,
            order_account,
            named: BTreeMap::new(),
            residue,
            metrics: Metrics::default(),
            draft: Account::default(),
            filled: Default::default(),
        })
    }

    /// Does what an event says and judges whom it can have moved; or says why not, and nothing has changed.
    ///
    /// # Errors
    /// [`Error::Refused`] if the state does not allow it; what is wrong with the event itself.
    pub fn apply(&mut self, event: &Event, stop: Stop<'_>) -> Result<Applied> {
        let _state = FloatState::standard();
        let start = Instant::now();
        let before = self.changes.fallen.len();
        let mut applied = Applied::default();
        match event {
            Event::Place { account, order } => {
                let (id, check) = self.place(*account, *order)?;
                (applied.order, applied.check) = (id, Some(check));
            }
            Event::Amend {
                order,
                quantity,
                price,
            } => applied.check = Some(self.amend(*order, *quantity, *price)?),
            Event::Cancel { order } => self.cancel(*order)?,
            Event::Fill(fill) => self.fill(fill)?,
            Event::Trade { maker, taker } => self.trade(maker, taker)?,
            Event::Deposit(payment) => self.deposit(*payment)?,
            Event::Withdraw(payment) => self.withdraw(*payment)?,
            Event::Transfer { payment, to } => self.transfer(*payment, *to)?,
            Event::TransferPosition {
                from,
                to,
                instrument,
                quantity,
            } => self.transfer_position((*from, *to), *instrument, *quantity)?,
            Event::Exchange {
                sold,
                bought,
                amount,
                fee,
            } => self.exchange(*sold, (*bought, *amount), *fee)?,
            Event::Tick(prices) => self.tick(prices, stop)?,
            Event::Accrue(accrual) => self.accrue(accrual, stop)?,
            Event::Settle { instrument, price } => self.settle(*instrument, price, stop)?,
            Event::SetParameters(model) => self.set_parameters(model, stop)?,
            Event::AddAccount(id) => self.add_account(id)?,
        }
        self.metrics.count(event.name(), start.elapsed());
        applied.fallen = before..self.changes.fallen.len();
        Ok(applied)
    }

    /// [`Engine::apply`], but only once: a repetition under the same name changes nothing and says what the first one said.
    ///
    /// # Errors
    /// As [`Engine::apply`]; a name that was used for something else.
    pub fn apply_once(&mut self, name: &str, event: &Event, stop: Stop<'_>) -> Result<Applied> {
        let content = hash::of_event(event);
        if let Some((before, applied)) = self.named.get(name) {
            if *before != content {
                return Err(refused(
                    "client_id",
                    format!("'{name}' was used for another event"),
                ));
            }
            return Ok(applied.clone());
        }
        let applied = self.apply(event, stop)?;
        self.named
            .insert(name.to_owned(), (content, applied.clone()));
        Ok(applied)
    }

    /// What everybody is judged with, and by whom.
    fn judge_with(&mut self) -> (&mut Watcher, Judging<'_>) {
        let judging = Judging {
            model: &self.model,
            market: &self.market,
            accounts: self.ledger.accounts(),
        };
        (&mut self.watcher, judging)
    }

    /// Commits changed accounts and judges them. They are prepared before, so that prices and parameters are there.
    fn commit(
        &mut self,
        changes: &mut [(usize, &Account, &mut Account)],
        venue: &VenueMoves,
    ) -> Result<()> {
        for (number, _, after) in changes.iter() {
            let (watcher, judging) = self.judge_with();
            watcher.prepare(judging, *number as u32, after)?;
        }
        self.ledger.commit(changes, venue)?;
        let judging = Judging {
            model: &self.model,
            market: &self.market,
            accounts: self.ledger.accounts(),
        };
        let again = changes.len() > 1;
        for (number, _, after) in changes.iter() {
            let number = *number as u32;
            if again {
                self.watcher.prepare(judging, number, after)?;
            }
            self.watcher
                .judge_prepared(judging, number, after, &mut self.changes);
        }
        Ok(())
    }

    fn tick(&mut self, prices: &[Price], stop: Stop<'_>) -> Result<()> {
        // Where levels are watched, a single price can only be refused before it is set.
        let may_fail = prices.len() > 1 || !self.watcher.has_levels();
        let market = may_fail.then(|| self.market.clone());
        let set = prices.iter().try_for_each(|price| {
            if let Price::Mark(instrument, _) = price
                && self.settled[*instrument as usize]
            {
                return Err(self.refuse_settled("tick", *instrument));
            }
            price.check(&self.market)?;
            price.set(&mut self.market)
        });
        if let Err(error) = set {
            if let Some(market) = market {
                self.market = market;
            }
            return Err(error);
        }
        let judging = Judging {
            model: &self.model,
            market: &self.market,
            accounts: self.ledger.accounts(),
        };
        match self.watcher.follow(judging, prices, &mut self.changes)? {
            Some(woken) => self.metrics.woke(woken),
            None => {
                let judged = self.judge_all(stop);
                if judged.is_err() {
                    if let Some(market) = market {
                        self.market = market;
                    }
                }
                judged?;
            }
        }
        Ok(())
    }

    fn judge_all(&mut self, stop: Stop<'_>) -> Result<()> {
        let book = self.ledger.accounts().book(&mut *stop)?;
        let judging = Judging {
            model: &self.model,
            market: &self.market,
            accounts: self.ledger.accounts(),
        };
        let judged = self
            .watcher
            .judge_all(judging, &book, &mut self.changes, stop)?;
        self.metrics.woke(judged);
        Ok(())
    }

    fn accrue(&mut self, accrual: &Accrual, stop: Stop<'_>) -> Result<()> {
        let mut market = self.market.clone();
        let accrued = accrual.funding.iter().map(|(_, funding)| funding);
        let indices = accrual.interest.iter().flat_map(|(_, indices)| indices);
        if let Some(extreme) = accrued
            .chain(indices)
            .find(|given| !is_moderate(given.float()))
        {
            let problem = format!("{:e} is out of range", extreme.float());
            return Err(refused("accrue", problem));
        }
        if let Some(time) = accrual.time {
            if market.time().is_some_and(|now| time < now) {
                return Err(refused("accrue", "time does not go back"));
            }
            market.set_time(Some(time));
        }
        for (instrument, funding) in &accrual.funding {
            market.set_cumulative_funding(*instrument as usize, funding.clone())?;
        }
        for (asset, [deposit, borrow]) in &accrual.interest {
            market.set_deposit_index(*asset as usize, deposit.clone())?;
            market.set_borrow_index(*asset as usize, borrow.clone())?;
        }
        let before = std::mem::replace(&mut self.market, market);
        if let Err(error) = self.judge_all(stop) {
            self.market = before;
            return Err(error);
        }
        self.ledger.accrue(&self.market);
        Ok(())
    }

    fn set_parameters(&mut self, model: &Arc<MarginModel>, stop: Stop<'_>) -> Result<()> {
        if !Arc::ptr_eq(model.universe(), self.model.universe()) {
            return Err(Error::UniverseMismatch {
                left: "model",
                right: "engine",
            });
        }
        let share = &self.limits.withdrawable_gain_share;
        let of_withdrawals = model.with_gain_share_at_most(share)?;
        let before = std::mem::replace(&mut self.model, Arc::clone(model));
        if let Err(error) = self.judge_all(stop) {
            self.model = before;
            return Err(error);
        }
        self.model_of_withdrawals = of_withdrawals;
        Ok(())
    }

    fn add_account(&mut self, id: &AccountId) -> Result<()> {
        let mut ids = (**self.ledger.accounts().ids()).clone();
        let id = match id {
            AccountId::Int(id) => Id::Int(*id),
            AccountId::Text(id) => Id::Text(id),
        };
        if ids.find(id).is_some() {
            return Err(refused("add_account", format!("{id} is there already")));
        }
        let number = ids.intern(id).ok_or_else(|| {
            refused(
                "add_account",
                format!("{id}: the ids of the book are of the other kind"),
            )
        })?;
        self.ledger.add_account(ids);
        let judging = Judging {
            model: &self.model,
            market: &self.market,
            accounts: self.ledger.accounts(),
        };
        self.watcher
            .judge_touched(judging, &[number], &mut self.changes)
    }

    fn place(&mut self, account: u32, order: NewOrder) -> Result<(Option<u64>, OrderCheck)> {
        let check = self.check_order(account, order, None)?;
        if !check.is_accepted() {
            return Ok((None, check));
        }
        let id = self.next_order;
        self.change_orders(account, |holder| holder.insert_order(order.resting(id)))?;
        self.next_order += 1;
        self.order_account.insert(id, account);
        Ok((Some(id), check))
    }

    fn amend(&mut self, id: u64, quantity: Option<i128>, price: Option<f64>) -> Result<OrderCheck> {
        let account = self.account_of_order("amend", id)?;
        let before = self.open_order(account, id);
        let quantity = quantity.unwrap_or(before.quantity);
        let price = price.unwrap_or(before.price);
        if quantity.signum() != before.quantity.signum() {
            return Err(refused(
                "amend",
                format!("order {id}: an order keeps its side"),
            ));
        }
        let order = NewOrder {
            instrument: before.instrument,
            quantity,
            price,
            reduce_only: before.reduce_only,
        };
        let check = self.check_order(account, order, Some(id))?;
        if check.is_accepted() {
            self.change_orders(account, |account| {
                let at = account.order_place(id).expect("it is open");
                account.orders[at] = order.resting(id);
            })?;
        }
        Ok(check)
    }

    fn cancel(&mut self, id: u64) -> Result<()> {
        let account = self.account_of_order("cancel", id)?;
        self.change_orders(account, |account| {
            let at = account.order_place(id).expect("it is open");
            account.orders.remove(at);
        })?;
        self.order_account.remove(&id);
        Ok(())
    }

    /// Changes an account's open orders.
    fn change_orders(&mut self, number: u32, change: impl FnOnce(&mut Account)) -> Result<()> {
        let (before, mut after) = self.loaded(number);
        change(&mut after);
        let changes = &mut [(number as usize, &before, &mut after)];
        self.commit(changes, &VenueMoves::default())
    }

    fn account_of_order(&self, what: &'static str, id: u64) -> Result<u32> {
        let found = self.order_account.get(&id).copied();
        found.ok_or_else(|| refused(what, format!("there is no open order {id}")))
    }

    fn open_order(&self, account: u32, id: u64) -> OpenOrder {
        let mut holder = Account::default();
        self.ledger.accounts().load(account as usize, &mut holder);
        holder.orders[holder.order_place(id).expect("it is open")]
    }

    fn refuse_settled(&self, what: &'static str, instrument: u32) -> Error {
        let id = self.universe().instruments().get(instrument as usize);
        refused(what, format!("{id} is settled"))
    }

    /// Refuses contracts and prices that cannot be.
    fn check_terms(&self, instrument: u32, quantity: i128, price: f64) -> Result<()> {
        let universe = self.universe();
        let place = |name| Place::frame(name).id(universe.instruments().get(instrument as usize));
        if quantity == 0 {
            return Err(Error::Value {
                place: place("quantity"),
                problem: "0 contracts".to_owned(),
            });
        }
        crate::error::finite(price, || place("price"))?;
        match universe.specs()[instrument as usize].price_problem(price) {
            None => Ok(()),
            Some(problem) => Err(Error::Value {
                place: place("price"),
                problem: format!("{price}: {problem}"),
            }),
        }
    }

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
        self.account_row_at(id, Place::frame("account"))
    }

    /// The same, where the id stands at a place.
    ///
    /// # Errors
    /// [`Error::Unknown`] with a close name.
    pub fn account_row_at(&self, id: Id<'_>, place: Place) -> Result<u32> {
        let accounts = self.accounts();
        let found = accounts.find(id);
        found.ok_or_else(|| unknown(accounts, "account", id, place))
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
                Err(_) => {
                    let names = universe.instruments();
                    Err(unknown(names, "index or instrument", id, place()))
                }
            },
        }
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
        let mut holder = Account::default();
        self.ledger.accounts().load(account as usize, &mut holder);
        holder.orders
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
    let mut seen = std::collections::HashSet::new();
    accounts
        .into_iter()
        .filter(|account| seen.insert(*account))
        .collect()
}
