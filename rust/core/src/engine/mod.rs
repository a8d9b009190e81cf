//! The live engine: may this order go in, and who fell below on this tick.
//!
//! Every command is an [`Event`]; [`Engine::apply`] does it or changes nothing. The ledger holds what is owned in whole
//! units, the market what it costs; a watcher says which accounts an event can have moved across a threshold, so that
//! just those are judged again.

mod account_set;
mod accrual;
mod aims;
mod alone;
mod boxes;
mod cash;
mod check;
mod check_many;
mod crowd;
mod desk;
mod event;
mod everybody;
mod extension;
mod fills;
mod hash;
mod judge;
mod judged;
mod kept;
mod levels;
mod liveliness;
mod metrics;
mod model;
mod orders;
mod plain;
mod queries;
mod queue;
mod reading;
mod standing;
mod table;
mod wake;
mod watcher;
mod with_order;

pub use check::{OrderCheck, Reason};
pub use check_many::ReadOrders;
pub use event::{AccountId, Accrual, Event, Fill, NewOrder, Payment, Price, Rejudged};
pub use extension::Extension;
pub use metrics::{Latency, Metrics};
pub use model::MarginModel;
pub use queries::Snapshot;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::book::Book;
use crate::error::{Error, Place, Result};
use crate::exact::Given;
use crate::kernel::FloatState;
use crate::ledger::{Account, Ledger, VenueMoves};
use crate::market::Market;
use crate::pool::Stop;
use crate::universe::Universe;
use desk::Checking;
use standing::{AlertLevels, Changes};
use watcher::{Judging, Watcher};

/// What a venue sets beside its margin model; contracts in whole units, by instrument.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest position of an account, its orders on the side of the one that is checked filled; who is above it may come
    /// down. Limits are asked of orders: what fills, trades and transfers report has happened.
    pub position: Vec<Option<i128>>,
    /// Largest sum of all long positions, with what the account's orders on that side would open.
    pub open_interest: Vec<Option<i128>>,
    /// Assets in which cash may be taken below 0.
    pub borrowable: Vec<bool>,
    /// Part of an unrealized gain that may be withdrawn against.
    pub withdrawable_gain_share: Given,
    /// Margin ratios that are told of when an account reaches them: ascending, above 0 and below 1.
    pub alert_levels: Vec<f64>,
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
            alert_levels: Vec::new(),
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
    /// Accounts that it made liquidatable, in order.
    pub fallen: Vec<u32>,
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
    /// Whom the last event made the engine judge again.
    rejudged: Option<Rejudged>,
    /// Memory of checks, unless one is under way.
    checking: Option<Box<Checking>>,
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

/// The alert levels, if they are such.
fn alert_levels(limits: &Limits) -> Result<AlertLevels> {
    let levels = &limits.alert_levels;
    let between = |level: &f64| 0.0 < *level && *level < 1.0;
    if !levels.iter().all(between) || !levels.is_sorted_by(|a, b| a < b) {
        return Err(Error::Parameter {
            place: Place::frame("alert_levels"),
            problem: format!("{levels:?} are not margin ratios between 0 and 1 that rise"),
        });
    }
    if levels.len() > usize::from(u8::MAX) {
        return Err(Error::Parameter {
            place: Place::frame("alert_levels"),
            problem: format!("{} levels, of which there can be 255", levels.len()),
        });
    }
    Ok(AlertLevels(levels.clone()))
}

impl Engine {
    /// Opens an engine with what a book holds, rounded to `decimals` of each asset against the accounts.
    ///
    /// # Errors
    /// As [`MarginModel::evaluate`]; an amount that is too large for the ledger; a figure of the market that no tick or
    /// accrual could set.
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
        extension::check_figures(market)?;
        let (mut ledger, residue) = Ledger::open(book, market, decimals, &mut *stop)?;
        let mut order_account = HashMap::new();
        let next_order = ledger.number_orders(&mut order_account);
        let book = ledger.accounts().book(&mut *stop)?;
        let judging = Judging {
            model: &model,
            market,
            accounts: ledger.accounts(),
        };
        let levels = alert_levels(&limits)?;
        let watcher = Watcher::open(judging, levels, &book, stop)?;
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
            rejudged: None,
            checking: None,
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
        self.rejudged = None;
        let done = self.act(event, stop);
        debug_assert!(
            !is_done(&done) || event.rejudges().is_covered_by(self.rejudged),
            "after {event:?} {:?} were judged again",
            self.rejudged
        );
        self.count(event, start.elapsed(), &done);
        let mut applied = done?;
        applied.fallen = self.changes.fallen[before..].to_vec();
        Ok(applied)
    }

    /// Does what an event says; who fell by it is not looked for yet.
    fn act(&mut self, event: &Event, stop: Stop<'_>) -> Result<Applied> {
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
            Event::Fills(fills) => self.fill_many(fills, stop)?,
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
            Event::AddInstruments(extension) => self.add_instruments(extension, stop)?,
        }
        Ok(applied)
    }

    /// Counts an event that was done or refused.
    fn count(&mut self, event: &Event, took: Duration, done: &Result<Applied>) {
        if is_done(done) {
            self.metrics.count_many(event.name(), event.count(), took);
        } else if !matches!(done, Err(Error::Interrupted)) {
            self.metrics.refused += 1;
        }
    }

    /// Notes whom an event made the engine judge again, and how many these were.
    fn judged(&mut self, whom: Rejudged, accounts: usize) {
        self.rejudged = Some(whom);
        self.metrics.judged(whom, accounts);
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
        if applied.check.is_some_and(|check| !check.is_accepted()) {
            return Ok(applied);
        }
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
        self.judged(Rejudged::Touched, changes.len());
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

    fn refuse_settled(&self, what: &'static str, instrument: u32) -> Error {
        refuse_settled(self.universe(), what, instrument)
    }

    fn check_terms(&self, instrument: u32, quantity: i128, price: f64) -> Result<()> {
        check_terms(self.universe(), instrument, quantity, price)
    }
}

/// Whether an event was done: one that is an order may also not have passed its check.
fn is_done(done: &Result<Applied>) -> bool {
    done.as_ref()
        .is_ok_and(|applied| applied.check.is_none_or(|check| check.is_accepted()))
}

fn refuse_settled(universe: &Universe, what: &'static str, instrument: u32) -> Error {
    let id = universe.instruments().get(instrument as usize);
    refused(what, format!("{id} is settled"))
}

/// Refuses contracts and prices that cannot be.
fn check_terms(universe: &Universe, instrument: u32, quantity: i128, price: f64) -> Result<()> {
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
