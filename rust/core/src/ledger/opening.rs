//! A ledger opened with what a book holds, rounded to whole units against the accounts.

use std::collections::HashMap;
use std::sync::Arc;

use super::Ledger;
use super::account::{Account, Cash, OpenOrder, Position, too_large};
use super::accounts::{Accounts, Accrued};
use super::block::LedgerBlock;
use super::limit_price::LimitPrice;
use super::money::{self, QUANTITY_DECIMALS, Round};
use super::venue::{Pool, Totals, VenueMoves};
use crate::book::{BLOCK, Book, Holdings};
use crate::error::{Place, Result};
use crate::exact::{GivenColumn, GivenRef, Number, Rational};
use crate::ids::Id;
use crate::market::Market;
use crate::pool::{self, Stop};

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
                let holdings = block.holdings(slot);
                accounts.read(holdings, market, &mut account, &mut residue)?;
                let id = accounts.ids.get(number * BLOCK + slot);
                accounts.read_orders(holdings, id, &mut account)?;

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

    /// Gives numbers from 1 on to the orders of the opening; returns the next one.
    pub(crate) fn number_orders(&mut self, account_of: &mut HashMap<u64, u32>) -> u64 {
        let mut next = 1;
        for (number, block) in self.accounts.blocks.iter_mut().enumerate() {
            let block = Arc::make_mut(block);
            for slot in 0..block.len() {
                for order in block.orders_mut(slot) {
                    order.id = next;
                    account_of.insert(next, (number * BLOCK + slot) as u32);
                    next += 1;
                }
            }
        }
        next
    }
}

impl Accounts {
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
        let mut take = |asset: u32, taken: f64| residue[asset as usize] += taken;
        let rounded = |asset: u32, exact: f64, amount: i128| {
            exact - money::given(amount, self.decimals(asset)).float()
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
            take(asset, rounded(asset, balance.float * index.float, amount));
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
                    take(
                        terms.settlement,
                        rounded(terms.settlement, margin.float, amount),
                    );
                    i64::try_from(amount).map_err(|_| too_large("isolated_margin"))
                })
                .transpose()?;
            if quantity == 0 {
                // What was posted for nothing is the account's again.
                if let Some(margin) = margin.filter(|&margin| margin != 0) {
                    account.add_cash(terms.settlement, margin.into(), 0)?;
                }
                continue;
            }
            let (cost, added) = self.opening_cost(holdings, place, quantity, market)?;
            take(terms.settlement, added);
            account.positions.push(Position {
                instrument,
                touched: 0,
                quantity,
                cost,
                isolated: margin,
            });
        }
        account.leverage_cap = holdings.leverage_cap.map(GivenRef::to_given);
        Ok(())
    }

    /// Reads the orders of an account of a book, whose id errors name. One that is smaller than a unit is none: it could
    /// neither be filled nor amended.
    fn read_orders(&self, holdings: Holdings<'_>, id: Id<'_>, account: &mut Account) -> Result<()> {
        for (place, &instrument) in holdings.order_instrument.iter().enumerate() {
            let given = holdings.order_quantity.get(place);
            let quantity = money::units_of(given, QUANTITY_DECIMALS, Round::TowardsZero);
            let quantity = quantity.ok_or_else(|| too_large("orders"))?;
            if quantity == 0 {
                continue;
            }
            let of = || {
                let names = self.universe.instruments();
                format!("{id}, {}", names.get(instrument as usize))
            };
            let price = holdings.order_price.get(place);
            account.orders.push(OpenOrder {
                id: 0,
                instrument,
                reduce_only: false,
                quantity,
                price: LimitPrice::new(price, || Place::column("orders", "price").id(of()))?,
            });
        }
        Ok(())
    }

    /// Entry cost, as if the position had been entered at the funding of now, and what rounding added to it.
    fn opening_cost(
        &self,
        holdings: Holdings<'_>,
        place: usize,
        quantity: i128,
        market: &Market,
    ) -> Result<(i128, f64)> {
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
            let cost = cost.ok_or_else(|| too_large("positions"))?;
            return Ok((cost, terms.value.excess(cost, quantity, price)));
        }
        let spec = &self.universe.specs()[instrument as usize];
        let contracts = money::exact(quantity, QUANTITY_DECIMALS);
        let cost = match holdings.entry_cost {
            Some(cost) => Rational::given(cost.get(place)),
            None => contracts.clone() * spec.price_value(Rational::given(price)),
        };
        let since = Rational::given(now) - Rational::given(before.as_ref());
        let cost = cost + contracts * spec.funding_value(since);
        let units = money::units(&cost, terms.value.decimals, Round::Up);
        let units = units.ok_or_else(|| too_large("positions"))?;
        let added = money::exact(units, terms.value.decimals) - cost;
        Ok((units, added.float()))
    }
}
