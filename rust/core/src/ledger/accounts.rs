//! All accounts at one moment, in blocks that readers may hold on to.

use std::sync::Arc;

use super::Interest;
use super::account::{Account, Cash, Position, Terms, entry_price, too_large};
use super::block::LedgerBlock;
use super::money::{self, ContractValue, QUANTITY_DECIMALS};
use super::venue::{Pool, VenueMoves};
use crate::book::{BLOCK, Block, Book, BookedPosition};
use crate::error::Result;
use crate::exact::Given;
use crate::ids::Ids;
use crate::pool::{self, Stop};
use crate::universe::Universe;

/// Interest and funding so far; what an account was last touched at is a number in these lists.
#[derive(Clone, Debug)]
pub(super) struct Accrued {
    /// By asset: deposit and borrow index.
    pub(super) interest: Vec<Vec<[Given; 2]>>,
    /// By instrument: cumulative funding.
    pub(super) funding: Vec<Vec<Given>>,
}

/// All accounts at one moment; cheap to copy, and a copy does not change any more.
#[derive(Clone, Debug)]
pub(crate) struct Accounts {
    pub(super) universe: Arc<Universe>,
    pub(super) ids: Arc<Ids>,
    pub(super) blocks: Vec<Arc<LedgerBlock>>,
    /// Decimals of each asset.
    pub(super) decimals: Arc<[u32]>,
    pub(super) accrued: Arc<Accrued>,
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

    /// The terms of everything, without anybody's holdings.
    pub(crate) fn without_accounts(&self) -> Self {
        Self {
            universe: Arc::clone(&self.universe),
            ids: Arc::clone(&self.ids),
            blocks: Vec::new(),
            decimals: Arc::clone(&self.decimals),
            accrued: Arc::clone(&self.accrued),
        }
    }

    /// Asks for the place of one account, to be fetched next.
    pub(crate) fn fetch_place(&self, number: usize) {
        self.blocks[number / BLOCK].fetch_place(number % BLOCK);
    }

    /// Asks for one account.
    pub(crate) fn fetch(&self, number: usize) {
        self.blocks[number / BLOCK].fetch(number % BLOCK);
    }

    /// Takes out one account.
    pub(crate) fn load(&self, number: usize, account: &mut Account) {
        let (block, slot) = (&self.blocks[number / BLOCK], number % BLOCK);
        block.load(slot, account);
    }

    /// Accounts that hold an instrument or have orders in it, ascending.
    pub(crate) fn with_any_of(&self, instrument: u32) -> Vec<u32> {
        let of_block = |(number, block): (usize, &Arc<LedgerBlock>)| {
            let first = (number * BLOCK) as u32;
            let slots = 0..block.len();
            let found = slots.filter(|&slot| block.has_any_of(slot, instrument));
            found.map(|slot| first + slot as u32).collect::<Vec<u32>>()
        };
        self.blocks.iter().enumerate().flat_map(of_block).collect()
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
            block.load(slot, &mut account);
            self.push_booked(&account, true, &mut booked);
        }
        booked
    }

    /// Adds an account to a block of a book; average prices are for people alone.
    pub(crate) fn push_booked(&self, account: &Account, with_prices: bool, block: &mut Block) {
        for cash in account.cash.iter().filter(|cash| cash.amount != 0) {
            block.push_balance(cash.asset, self.balance(cash));
        }
        for position in &account.positions {
            let terms = self.terms(position.instrument);
            let decimals = self.decimals(terms.settlement);
            block.push_position(BookedPosition {
                instrument: position.instrument,
                quantity: money::given(position.quantity, QUANTITY_DECIMALS),
                entry_price: if with_prices {
                    entry_price(position, terms, decimals)
                } else {
                    0.0
                },
                entry_cost: money::given(position.cost, decimals),
                entry_funding: self.entry_funding(position).clone(),
                isolated_margin: position
                    .isolated
                    .map(|margin| money::given(margin.into(), decimals)),
            });
        }
        for order in account.orders.iter().filter(|order| !order.reduce_only) {
            let quantity = money::given(order.quantity, QUANTITY_DECIMALS);
            block.push_order(order.instrument, quantity, order.price.given());
        }
        block.end_account(account.leverage_cap.clone());
    }

    /// Cash at interest index 1, as the book has it.
    pub(crate) fn balance(&self, cash: &Cash) -> Given {
        let index = &self.accrued.interest[cash.asset as usize][cash.touched as usize];
        let index = &index[usize::from(cash.amount < 0)];
        money::at_index_1(cash.amount, self.decimals(cash.asset), index.as_ref())
    }

    /// The cumulative funding up to which a position has paid.
    pub(crate) fn entry_funding(&self, position: &Position) -> &Given {
        &self.accrued.funding[position.instrument as usize][position.touched as usize]
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
        let cumulative = |touched: u32| funding[touched as usize].as_ref();
        let spec = &self.universe.specs()[position.instrument as usize];
        let paid = money::funding(
            position.quantity,
            spec.contract_multiplier.as_ref(),
            (cumulative(position.touched), cumulative(terms.touched)),
            self.decimals(terms.settlement),
        );
        let paid = paid.ok_or_else(|| too_large("funding"))?;
        let now = self.interest_now(terms.settlement);
        account.pay_funding(at, paid, terms, (now, venue))
    }
}

impl Accounts {
    /// Adds what an account holds and `other` does not, or takes it off, to sums over all accounts.
    pub(super) fn count(
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
}
