//! What is owned and owed, in whole units: every payment is conserved to the last one, and rounded against the account.
//!
//! Accounts stand in blocks that readers may hold on to: a block that is read is copied when it changes. Interest and
//! funding are not booked when they accrue: a new index is noted, and an account pays up when it is touched.

mod account;
pub(crate) mod money;
mod shelf;
mod venue;

pub(crate) use account::{Account, Terms, entry_price, too_large};
pub use account::{Cash, OpenOrder, Position};
pub use money::{MOST_DECIMALS, QUANTITY_DECIMALS, Rounding, float_of, whole_units};
pub(crate) use venue::VenueMoves;
pub use venue::{Pool, Totals, is_conserved};

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;

use crate::book::{BLOCK, Block, Book, BookedPosition, Holdings};
use crate::error::Result;
use crate::exact::{Given, GivenColumn, GivenRef, Number, Rational};
use crate::ids::Ids;
use crate::market::Market;
use crate::pool::{self, Stop};
use crate::universe::Universe;
use money::{ContractValue, Round};
pub(crate) use shelf::Shelf;

/// The accounts of one block.
#[derive(Debug, Default)]
struct LedgerBlock {
    cash: Shelf<Cash>,
    positions: Shelf<Position>,
    orders: Shelf<OpenOrder>,
    leverage_cap: GivenColumn,
    /// The same as a block of a book, made when somebody asks.
    booked: OnceLock<Arc<Block>>,
}

impl Clone for LedgerBlock {
    fn clone(&self) -> Self {
        Self {
            cash: self.cash.clone(),
            positions: self.positions.clone(),
            orders: self.orders.clone(),
            leverage_cap: self.leverage_cap.clone(),
            // A copy is made to be changed.
            booked: OnceLock::new(),
        }
    }
}

impl LedgerBlock {
    fn len(&self) -> usize {
        self.leverage_cap.len()
    }

    fn push(&mut self, account: &Account) {
        self.cash.push(&account.cash);
        self.positions.push(&account.positions);
        self.orders.push(&account.orders);
        let cap = account.leverage_cap.clone();
        self.leverage_cap.push(cap.unwrap_or(f64::NAN.into()));
    }
}

/// Interest and funding so far; what an account was last touched at is a number in these lists.
#[derive(Clone, Debug)]
struct Accrued {
    /// By asset: deposit and borrow index.
    interest: Vec<Vec<[Given; 2]>>,
    /// By instrument: cumulative funding.
    funding: Vec<Vec<Given>>,
}

/// All accounts at one moment; cheap to copy, and a copy does not change any more.
#[derive(Clone, Debug)]
pub(crate) struct Accounts {
    universe: Arc<Universe>,
    ids: Arc<Ids>,
    blocks: Vec<Arc<LedgerBlock>>,
    /// Decimals of each asset.
    decimals: Arc<[u32]>,
    accrued: Arc<Accrued>,
}

impl Accounts {
    pub(crate) fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    pub(crate) fn ids(&self) -> &Arc<Ids> {
        &self.ids
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn decimals(&self, asset: u32) -> u32 {
        self.decimals[asset as usize]
    }

    /// Takes out one account.
    pub(crate) fn load(&self, number: usize, account: &mut Account) {
        let (block, slot) = (&self.blocks[number / BLOCK], number % BLOCK);
        account.clear();
        account.cash.extend_from_slice(block.cash.get(slot));
        account
            .positions
            .extend_from_slice(block.positions.get(slot));
        account.orders.extend_from_slice(block.orders.get(slot));
        let cap = block.leverage_cap.get(slot);
        account.leverage_cap = (!cap.float.is_nan()).then(|| cap.to_given());
    }

    /// The book of this moment; blocks that did not change since the last one are shared with it.
    pub(crate) fn book(&self, stop: Stop<'_>) -> Result<Book> {
        let booked = |block: usize| {
            let block = &self.blocks[block];
            Arc::clone(block.booked.get_or_init(|| Arc::new(self.booked(block))))
        };
        let blocks = pool::map(self.blocks.len(), booked, stop)?;
        let mut counts = (0, 0, 0);
        for block in &blocks {
            let (balances, positions, orders) = block.counts();
            counts = (counts.0 + balances, counts.1 + positions, counts.2 + orders);
        }
        Ok(Book::of_blocks(
            &self.universe,
            Arc::clone(&self.ids),
            blocks,
            counts,
        ))
    }

    fn booked(&self, block: &LedgerBlock) -> Block {
        let (mut booked, mut account) = (Block::default(), Account::default());
        for slot in 0..block.len() {
            account.clear();
            account.cash.extend_from_slice(block.cash.get(slot));
            account
                .positions
                .extend_from_slice(block.positions.get(slot));
            account.orders.extend_from_slice(block.orders.get(slot));
            let cap = block.leverage_cap.get(slot);
            account.leverage_cap = (!cap.float.is_nan()).then(|| cap.to_given());
            self.push_booked(&account, true, &mut booked);
        }
        booked
    }

    /// Adds an account to a block of a book; average prices are for people alone.
    pub(crate) fn push_booked(&self, account: &Account, with_prices: bool, block: &mut Block) {
        for cash in account.cash.iter().filter(|cash| cash.amount != 0) {
            let index = &self.accrued.interest[cash.asset as usize][cash.touched as usize];
            let index = &index[usize::from(cash.amount < 0)];
            let balance = money::at_index_1(cash.amount, self.decimals(cash.asset), index.as_ref());
            block.push_balance(cash.asset, balance);
        }
        for position in &account.positions {
            let terms = self.terms(position.instrument);
            let decimals = self.decimals(terms.settlement);
            let funding = &self.accrued.funding[position.instrument as usize];
            block.push_position(BookedPosition {
                instrument: position.instrument,
                quantity: money::given(position.quantity, QUANTITY_DECIMALS),
                entry_price: if with_prices {
                    entry_price(position, terms, decimals)
                } else {
                    0.0
                },
                entry_cost: money::given(position.cost, decimals),
                entry_funding: funding[position.touched as usize].clone(),
                isolated_margin: position
                    .isolated
                    .map(|margin| money::given(margin.into(), decimals)),
            });
        }
        for order in account.orders.iter().filter(|order| !order.reduce_only) {
            let quantity = money::given(order.quantity, QUANTITY_DECIMALS);
            block.push_order(order.instrument, quantity, order.price.into());
        }
        block.end_account(account.leverage_cap.clone());
    }

    /// How an instrument pays.
    pub(crate) fn terms(&self, instrument: u32) -> Terms<'_> {
        let spec = &self.universe.specs()[instrument as usize];
        Terms {
            instrument,
            settlement: spec.settlement,
            value: ContractValue {
                multiplier: spec.contract_multiplier.as_ref(),
                reciprocal: spec.is_reciprocal(),
                decimals: self.decimals(spec.settlement),
            },
            touched: (self.accrued.funding[instrument as usize].len() - 1) as u32,
        }
    }

    /// The number of an asset's interest indices that are current.
    pub(crate) fn interest_now(&self, asset: u32) -> u32 {
        (self.accrued.interest[asset as usize].len() - 1) as u32
    }

    /// Books the interest of an account's cash in an asset since it was last touched.
    pub(crate) fn touch_cash(
        &self,
        account: &mut Account,
        asset: u32,
        venue: &mut VenueMoves,
    ) -> Result<()> {
        let now = self.interest_now(asset);
        let Ok(at) = account.cash_place(asset) else {
            return Ok(());
        };
        let cash = &mut account.cash[at];
        if cash.touched == now {
            return Ok(());
        }
        let indices = &self.accrued.interest[asset as usize];
        let side = usize::from(cash.amount < 0);
        let index = |touched: u32| indices[touched as usize][side].as_ref();
        let grown = money::grown(cash.amount, index(cash.touched), index(now));
        let grown = grown.ok_or_else(|| too_large("interest"))?;
        venue.add(asset, Pool::Interest, cash.amount - grown)?;
        (cash.amount, cash.touched) = (grown, now);
        Ok(())
    }

    /// Books the funding of a position since it was last touched; its cash must stand at the current index.
    pub(crate) fn touch_position(
        &self,
        account: &mut Account,
        at: usize,
        venue: &mut VenueMoves,
    ) -> Result<()> {
        let position = account.positions[at];
        let terms = self.terms(position.instrument);
        if position.touched == terms.touched {
            return Ok(());
        }
        let funding = &self.accrued.funding[position.instrument as usize];
        let exact = |touched: u32| Rational::given(funding[touched as usize].as_ref());
        let spec = &self.universe.specs()[position.instrument as usize];
        let owed = spec.funding_value(exact(terms.touched) - exact(position.touched))
            * money::exact(position.quantity, QUANTITY_DECIMALS);
        let paid = money::units(&owed, self.decimals(terms.settlement), Round::Up);
        let paid = paid.ok_or_else(|| too_large("funding"))?;
        let now = self.interest_now(terms.settlement);
        account.pay_funding(at, paid, terms, (now, venue))
    }
}

/// What is added to the open interest of instruments.
type Interest = SmallVec<[(u32, i128); 4]>;

/// The accounts, and what goes with them.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    accounts: Accounts,
    /// By asset.
    totals: Vec<Totals>,
    /// By instrument: contracts of all long positions.
    open_interest: Vec<i128>,
}

impl Ledger {
    /// Rounds what a book holds to whole units, against the accounts. Returns what that took of each asset, too.
    pub(crate) fn open(
        book: &Book,
        market: &Market,
        decimals: &[u32],
        stop: Stop<'_>,
    ) -> Result<(Self, Vec<f64>)> {
        let universe = book.universe();
        let first = |column: &GivenColumn, row: usize| column.get(row).to_given();
        let interest = (0..universe.assets().len()).map(|asset| {
            vec![[
                first(market.deposit_index(), asset),
                first(market.borrow_index(), asset),
            ]]
        });
        let funding = (0..universe.specs().len())
            .map(|instrument| vec![first(market.cumulative_funding(), instrument)]);
        let mut accounts = Accounts {
            universe: Arc::clone(universe),
            ids: Arc::clone(book.accounts()),
            blocks: Vec::new(),
            decimals: decimals.into(),
            accrued: Arc::new(Accrued {
                interest: interest.collect(),
                funding: funding.collect(),
            }),
        };
        let opened = |number: usize| -> Result<(LedgerBlock, Vec<f64>)> {
            let block = &book.blocks()[number];
            let mut residue = vec![0.0; universe.assets().len()];
            let (mut opened, mut account) = (LedgerBlock::default(), Account::default());
            for slot in 0..block.len() {
                account.clear();
                accounts.read(block.holdings(slot), market, &mut account, &mut residue)?;
                opened.push(&account);
            }
            Ok((opened, residue))
        };
        let opened = pool::map(book.blocks().len(), opened, stop)?;
        let mut residue = vec![0.0; universe.assets().len()];
        let mut blocks = Vec::with_capacity(opened.len());
        for block in opened {
            let (block, taken) = block?;
            blocks.push(Arc::new(block));
            for (residue, taken) in residue.iter_mut().zip(taken) {
                *residue += taken;
            }
        }
        accounts.blocks = blocks;
        let mut ledger = Self {
            totals: vec![Totals::default(); universe.assets().len()],
            open_interest: vec![0; universe.specs().len()],
            accounts,
        };
        ledger.count_opening()?;
        Ok((ledger, residue))
    }

    /// Opening balances are deposits; the other side of opening positions is the street's.
    fn count_opening(&mut self) -> Result<()> {
        let (mut account, nobody) = (Account::default(), Account::default());
        for number in 0..self.accounts.len() {
            self.accounts.load(number, &mut account);
            let mut venue = VenueMoves::default();
            for cash in &account.cash {
                venue.add(cash.asset, Pool::Deposits, cash.amount)?;
            }
            for position in &account.positions {
                let settlement = self.accounts.terms(position.instrument).settlement;
                venue.add(settlement, Pool::Street, position.cost)?;
                let margin = position.isolated.map_or(0, i128::from);
                venue.add(settlement, Pool::Deposits, margin)?;
            }
            let (totals, interest) = self.counted(&[(number, &nobody, &mut account)], &venue)?;
            self.set_totals(totals, interest);
        }
        Ok(())
    }

    fn set_totals(&mut self, totals: VenueMoves, interest: Interest) {
        for (asset, totals) in totals.0 {
            self.totals[asset as usize] = totals;
        }
        for (instrument, contracts) in interest {
            self.open_interest[instrument as usize] += contracts;
        }
    }

    /// Gives numbers from 1 on to the orders of the opening; returns the next one.
    pub(crate) fn number_orders(&mut self, account_of: &mut HashMap<u64, u32>) -> u64 {
        let mut next = 1;
        for (number, block) in self.accounts.blocks.iter_mut().enumerate() {
            let block = Arc::make_mut(block);
            for slot in 0..block.len() {
                for order in block.orders.get_mut(slot) {
                    order.id = next;
                    account_of.insert(next, (number * BLOCK + slot) as u32);
                    next += 1;
                }
            }
        }
        next
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    pub(crate) fn totals(&self) -> &[Totals] {
        &self.totals
    }

    pub(crate) fn open_interest(&self) -> &[i128] {
        &self.open_interest
    }

    /// Puts changed accounts back, with what the event moved on the venue's side.
    ///
    /// # Panics
    /// In debug builds, if money was made or lost.
    pub(crate) fn commit(
        &mut self,
        changes: &mut [(usize, &Account, &mut Account)],
        venue: &VenueMoves,
    ) -> Result<()> {
        let (totals, interest) = self.counted(changes, venue)?;
        self.set_totals(totals, interest);
        for (number, _, after) in changes {
            after.cash.retain(|cash| cash.amount != 0);
            let block = Arc::make_mut(&mut self.accounts.blocks[*number / BLOCK]);
            block.booked.take();
            let slot = *number % BLOCK;
            block.cash.set(slot, &after.cash);
            block.positions.set(slot, &after.positions);
            block.orders.set(slot, &after.orders);
        }
        debug_assert!(self.totals.iter().all(is_conserved), "{:?}", self.totals);
        Ok(())
    }

    /// What the sums over all accounts become, where a change moves them.
    fn counted(
        &self,
        changes: &[(usize, &Account, &mut Account)],
        venue: &VenueMoves,
    ) -> Result<(VenueMoves, Interest)> {
        let (mut moves, mut interest) = (venue.clone(), Interest::new());
        for (_, before, after) in changes {
            self.accounts
                .count(before, after, -1, &mut moves, &mut interest)?;
            self.accounts
                .count(after, before, 1, &mut moves, &mut interest)?;
        }
        for (asset, totals) in &mut moves.0 {
            for (total, now) in totals.iter_mut().zip(self.totals[*asset as usize]) {
                *total = total.checked_add(now).ok_or_else(|| too_large("ledger"))?;
            }
        }
        Ok((moves, interest))
    }

    /// Adds an account that holds nothing.
    pub(crate) fn add_account(&mut self, ids: Ids) {
        self.accounts.ids = Arc::new(ids);
        if self
            .accounts
            .blocks
            .last()
            .is_none_or(|block| block.len() == BLOCK)
        {
            self.accounts.blocks.push(Arc::default());
        }
        let block = self.accounts.blocks.last_mut().expect("pushed above");
        let block = Arc::make_mut(block);
        block.booked.take();
        block.push(&Account::default());
    }

    /// Notes the interest indices and cumulative fundings of a market where they moved.
    pub(crate) fn accrue(&mut self, market: &Market) {
        let accrued = Arc::make_mut(&mut self.accounts.accrued);
        for (asset, indices) in accrued.interest.iter_mut().enumerate() {
            let now = [market.deposit_index(), market.borrow_index()]
                .map(|column| column.get(asset).to_given());
            if indices.last() != Some(&now) {
                indices.push(now);
            }
        }
        for (instrument, fundings) in accrued.funding.iter_mut().enumerate() {
            let now = market.cumulative_funding().get(instrument).to_given();
            if fundings.last() != Some(&now) {
                fundings.push(now);
            }
        }
    }

    /// Calls `see` with every whole number that the ledger is made of, in a fixed order.
    pub(crate) fn each_number(&self, mut see: impl FnMut(i128)) {
        let mut account = Account::default();
        let mut see_all = |numbers: &[i128]| numbers.iter().for_each(|&number| see(number));
        for number in 0..self.accounts.len() {
            self.accounts.load(number, &mut account);
            for cash in &account.cash {
                see_all(&[cash.asset.into(), cash.touched.into(), cash.amount]);
            }
            for position in &account.positions {
                let isolated = position.isolated.map_or(i128::MAX, i128::from);
                see_all(&[position.instrument.into(), position.touched.into()]);
                see_all(&[position.quantity, position.cost, isolated]);
            }
            for order in &account.orders {
                let price = order.price.to_bits().into();
                see_all(&[order.id.into(), order.instrument.into(), price]);
                see_all(&[order.reduce_only.into(), order.quantity]);
            }
            let cap = account.leverage_cap.as_ref();
            see_all(&[cap.map_or(0, |cap| cap.float().to_bits()).into()]);
            let lengths = [
                account.cash.len(),
                account.positions.len(),
                account.orders.len(),
            ];
            see_all(&lengths.map(|length| length as i128));
        }
        let Accrued { interest, funding } = &*self.accounts.accrued;
        let indices = interest.iter().flatten().flatten();
        for index in indices.chain(funding.iter().flatten()) {
            see_all(&[index.float().to_bits().into()]);
            let exact = index.as_ref().exact.map(ToString::to_string);
            exact
                .iter()
                .flat_map(|text| text.bytes())
                .for_each(|byte| see_all(&[byte.into()]));
        }
        let counts = interest
            .iter()
            .map(Vec::len)
            .chain(funding.iter().map(Vec::len));
        counts.for_each(|count| see_all(&[count as i128]));
        self.accounts
            .decimals
            .iter()
            .for_each(|&decimals| see_all(&[decimals.into()]));
        self.totals.iter().for_each(|totals| see_all(totals));
        see_all(&self.open_interest);
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        let block = |block: &Arc<LedgerBlock>| {
            block.cash.memory()
                + block.positions.memory()
                + block.orders.memory()
                + block.leverage_cap.memory()
        };
        self.accounts.blocks.iter().map(block).sum()
    }
}

impl Accounts {
    /// Adds what an account holds and `other` does not, or takes it off, to sums over all accounts.
    fn count(
        &self,
        account: &Account,
        other: &Account,
        sign: i128,
        moves: &mut VenueMoves,
        interest: &mut Interest,
    ) -> Result<()> {
        for (at, cash) in account.cash.iter().enumerate() {
            if other.cash.get(at) != Some(cash) && !other.cash.contains(cash) {
                moves.add(cash.asset, Pool::Accounts, sign * cash.amount)?;
            }
        }
        for (at, position) in account.positions.iter().enumerate() {
            if other.positions.get(at) == Some(position) || other.positions.contains(position) {
                continue;
            }
            let settlement = self.universe.specs()[position.instrument as usize].settlement;
            let margin = position.isolated.map_or(0, i128::from);
            moves.add(settlement, Pool::Accounts, sign * (margin - position.cost))?;
            interest.push((position.instrument, sign * position.quantity.max(0)));
        }
        Ok(())
    }

    /// Reads an account of a book, in whole units; adds to `residue` what rounding takes.
    fn read(
        &self,
        holdings: Holdings<'_>,
        market: &Market,
        account: &mut Account,
        residue: &mut [f64],
    ) -> Result<()> {
        let units = |given: GivenRef<'_>, decimals, what| {
            money::units_of(given, decimals, Round::Down).ok_or_else(|| too_large(what))
        };
        let mut taken = |asset: u32, exact: f64, amount: i128| {
            let kept = money::given(amount, self.decimals(asset)).float();
            residue[asset as usize] += exact - kept;
        };
        for (place, &asset) in holdings.asset.iter().enumerate() {
            let balance = holdings.balance.get(place);
            let index = &self.accrued.interest[asset as usize][0];
            let index = index[usize::from(balance.float < 0.0)].as_ref();
            let decimals = self.decimals(asset);
            let amount = if index.exact.is_none() && index.float == 1.0 {
                units(balance, decimals, "balances")?
            } else {
                let grown = Rational::given(balance) * Rational::given(index);
                money::units(&grown, decimals, Round::Down).ok_or_else(|| too_large("balances"))?
            };
            taken(asset, balance.float * index.float, amount);
            if amount != 0 {
                let touched = 0;
                account.cash.push(Cash {
                    asset,
                    touched,
                    amount,
                });
            }
        }
        for (place, &instrument) in holdings.instrument.iter().enumerate() {
            let terms = self.terms(instrument);
            let decimals = self.decimals(terms.settlement);
            let given = holdings.quantity.get(place);
            let quantity = money::units_of(given, QUANTITY_DECIMALS, Round::TowardsZero);
            let quantity = quantity.ok_or_else(|| too_large("positions"))?;
            let margin = holdings.isolated_margin.map(|margin| margin.get(place));
            let margin = margin.filter(|margin| !margin.float.is_nan());
            let margin = margin
                .map(|margin| {
                    let amount = units(margin, decimals, "isolated_margin")?;
                    taken(terms.settlement, margin.float, amount);
                    i64::try_from(amount).map_err(|_| too_large("isolated_margin"))
                })
                .transpose()?;
            if quantity == 0 {
                // What was posted for nothing is the account's again.
                account.add_cash(terms.settlement, margin.map_or(0, i128::from), 0)?;
                continue;
            }
            account.positions.push(Position {
                instrument,
                touched: 0,
                quantity,
                cost: self.opening_cost(holdings, place, quantity, market)?,
                isolated: margin,
            });
        }
        for (place, &instrument) in holdings.order_instrument.iter().enumerate() {
            let given = holdings.order_quantity.get(place);
            account.orders.push(OpenOrder {
                id: 0,
                instrument,
                reduce_only: false,
                quantity: units(given, QUANTITY_DECIMALS, "orders")?,
                price: holdings.order_price.get(place).float,
            });
        }
        account.leverage_cap = holdings.leverage_cap.map(GivenRef::to_given);
        Ok(())
    }

    /// Entry cost, as if the position had been entered at the funding of now.
    fn opening_cost(
        &self,
        holdings: Holdings<'_>,
        place: usize,
        quantity: i128,
        market: &Market,
    ) -> Result<i128> {
        let instrument = holdings.instrument[place];
        let terms = self.terms(instrument);
        let before = holdings
            .entry_funding
            .map_or(0.0.into(), |funding| funding.get(place).to_given());
        let now = market.cumulative_funding().get(instrument as usize);
        let same = Rational::given(before.as_ref()) == Rational::given(now);
        let price = holdings.entry_price.get(place);
        if holdings.entry_cost.is_none() && same {
            let cost = terms.value.units(quantity, price, Round::Up);
            return cost.ok_or_else(|| too_large("positions"));
        }
        let spec = &self.universe.specs()[instrument as usize];
        let contracts = money::exact(quantity, QUANTITY_DECIMALS);
        let cost = match holdings.entry_cost {
            Some(cost) => Rational::given(cost.get(place)),
            None => contracts.clone() * spec.price_value(Rational::given(price)),
        };
        let since = Rational::given(now) - Rational::given(before.as_ref());
        let cost = cost + contracts * spec.funding_value(since);
        money::units(&cost, terms.value.decimals, Round::Up).ok_or_else(|| too_large("positions"))
    }
}
