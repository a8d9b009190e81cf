//! Many changes at once: block by block on all threads, all or none.

use std::sync::Arc;

use super::account::{Account, too_large};
use super::accounts::Accounts;
use super::block::LedgerBlock;
use super::venue::{Totals, VenueMoves};
use super::{Interest, Ledger};
use crate::book::BLOCK;
use crate::error::{Error, Result};
use crate::pool::{self, Stop};

/// What many changes made of the accounts, and what these were before.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    blocks: Vec<ChangedBlock>,
    /// What they were before.
    totals: Vec<Totals>,
    open_interest: Vec<i128>,
}

/// One row, and which account of its block it changes.
#[derive(Clone, Copy, Debug)]
struct Place {
    row: u32,
    slot: u32,
}

/// The same of one block.
#[derive(Debug, Default)]
struct ChangedBlock {
    number: usize,
    /// Accounts that changed, once each.
    slots: Vec<u32>,
    /// What they held before, in the same order.
    before: LedgerBlock,
    venue: VenueMoves,
    interest: Vec<i128>,
    /// Accounts that may be read as legs of which nobody made sure that they have rows.
    fresh: Vec<u32>,
    /// Orders that are open no more.
    gone: Vec<u64>,
    error: Option<(usize, Error)>,
}

impl Changed {
    /// Accounts that changed, ascending.
    pub(crate) fn accounts(&self) -> Vec<u32> {
        let of = |block: &ChangedBlock| {
            let first = (block.number * BLOCK) as u32;
            let mut accounts: Vec<u32> = block.slots.iter().map(|slot| first + slot).collect();
            accounts.sort_unstable();
            accounts
        };
        self.blocks.iter().flat_map(of).collect()
    }

    /// Accounts that hold an instrument, a side of one, or cash that they did not hold before, or have fewer orders.
    pub(crate) fn fresh(&self) -> impl Iterator<Item = u32> {
        let of = |block: &ChangedBlock| {
            let first = (block.number * BLOCK) as u32;
            block
                .fresh
                .clone()
                .into_iter()
                .map(move |slot| first + slot)
        };
        self.blocks.iter().flat_map(of)
    }

    /// Orders that are open no more.
    pub(crate) fn gone(&self) -> impl Iterator<Item = u64> {
        self.blocks
            .iter()
            .flat_map(|block| block.gone.iter().copied())
    }
}

impl Ledger {
    /// Changes accounts: `change` is called with each row of `accounts`, in order for each account; `ask` some rows
    /// before, to ask for what the change is read from.
    ///
    /// # Errors
    /// The first row's that cannot be changed, and which it is; then nothing is. [`Error::Interrupted`].
    pub(crate) fn change_many(
        &mut self,
        accounts: &[u32],
        (ask, change): (
            impl Fn(usize) + Sync,
            impl Fn(&Accounts, usize, &mut Account, &mut VenueMoves) -> Result<()> + Sync,
        ),
        stop: Stop<'_>,
    ) -> std::result::Result<Changed, (Option<usize>, Error)> {
        let terms = self.accounts.without_accounts();
        let mut counts = vec![0; self.accounts.blocks.len()];
        for account in accounts {
            counts[*account as usize / BLOCK] += 1;
        }
        let mut rows: Vec<Vec<Place>> = counts.into_iter().map(Vec::with_capacity).collect();
        for (row, account) in (0..).zip(accounts) {
            let slot = account % BLOCK as u32;
            rows[*account as usize / BLOCK].push(Place { row, slot });
        }
        let instruments = self.open_interest.len();
        let mut tasks: Vec<(Vec<Place>, &mut Arc<LedgerBlock>, ChangedBlock)> = Vec::new();
        let blocks = self.accounts.blocks.iter_mut().zip(rows).enumerate();
        for (number, (block, rows)) in blocks.filter(|(_, (_, rows))| !rows.is_empty()) {
            let changed = ChangedBlock {
                number,
                interest: vec![0; instruments],
                ..ChangedBlock::default()
            };
            tasks.push((rows, block, changed));
        }
        let work =
            |(places, block, changed): &mut (Vec<Place>, &mut Arc<LedgerBlock>, ChangedBlock)| {
                changed.change(&terms, Arc::make_mut(block), places, (&ask, &change));
            };
        let done = pool::for_each(tasks.iter_mut(), work, stop);
        let mut changed = Changed {
            blocks: tasks.into_iter().map(|(_, _, changed)| changed).collect(),
            totals: self.totals.clone(),
            open_interest: self.open_interest.clone(),
        };
        let errors = changed
            .blocks
            .iter_mut()
            .filter_map(|block| block.error.take());
        let first = errors.min_by_key(|(row, _)| *row);
        let error = match (done, first) {
            (Err(error), _) => Some((None, error)),
            (_, Some((row, error))) => Some((Some(row), error)),
            _ => self.add_up(&changed).err().map(|error| (None, error)),
        };
        match error {
            None => Ok(changed),
            Some(error) => {
                self.undo(changed);
                Err(error)
            }
        }
    }

    /// Adds what all blocks moved to what the venue holds.
    fn add_up(&mut self, changed: &Changed) -> Result<()> {
        for block in &changed.blocks {
            for (asset, moves) in &block.venue.0 {
                for (total, moved) in self.totals[*asset as usize].iter_mut().zip(moves) {
                    *total = total
                        .checked_add(*moved)
                        .ok_or_else(|| too_large("ledger"))?;
                }
            }
            for (interest, moved) in self.open_interest.iter_mut().zip(&block.interest) {
                *interest += moved;
            }
        }
        debug_assert!(
            self.totals.iter().all(super::is_conserved),
            "{:?}",
            self.totals
        );
        Ok(())
    }

    /// Makes the accounts what they were before.
    pub(crate) fn undo(&mut self, changed: Changed) {
        let mut account = Account::default();
        for block in &changed.blocks {
            let accounts = Arc::make_mut(&mut self.accounts.blocks[block.number]);
            accounts.booked.take();
            for (at, &slot) in block.slots.iter().enumerate() {
                block.before.load(at, &mut account);
                accounts.set(slot as usize, &account);
            }
        }
        (self.totals, self.open_interest) = (changed.totals, changed.open_interest);
    }
}

impl ChangedBlock {
    /// Changes the accounts of a block, in order. Ends at the first that cannot be changed.
    fn change(
        &mut self,
        terms: &Accounts,
        block: &mut LedgerBlock,
        places: &[Place],
        (ask, change): (
            &impl Fn(usize),
            &impl Fn(&Accounts, usize, &mut Account, &mut VenueMoves) -> Result<()>,
        ),
    ) {
        block.booked.take();
        let mut is_changed = vec![false; block.len()];
        let (mut before, mut after) = (Account::default(), Account::default());
        for (at, &Place { row, slot }) in places.iter().enumerate() {
            if let Some(later) = places.get(at + 2 * AHEAD) {
                block.fetch_place(later.slot as usize);
                ask(later.row as usize);
            }
            if let Some(soon) = places.get(at + AHEAD) {
                block.fetch(soon.slot as usize);
            }
            let (row, slot) = (row as usize, slot as usize);
            block.load(slot, &mut before);
            after.clone_from(&before);
            if let Err(error) = self.change_one(terms, (&before, &mut after), row, change) {
                self.error = Some((row, error));
                return;
            }
            if !std::mem::replace(&mut is_changed[slot], true) {
                self.slots.push(slot as u32);
                self.before.push(&before);
            }
            let is_held = |position: &super::Position| {
                before
                    .position(position.instrument)
                    .is_some_and(|held| held.quantity.signum() == position.quantity.signum())
            };
            // An account without orders is charged by other rows than one with some.
            let is_fresh = !after.positions.iter().all(is_held)
                || after.cash.len() > before.cash.len()
                || after.orders.len() < before.orders.len();
            if is_fresh {
                self.fresh.push(slot as u32);
            }
            let gone = before.orders.iter().map(|order| order.id);
            self.gone
                .extend(gone.filter(|&order| after.order_place(order).is_none()));
            block.set(slot, &after);
        }
    }

    fn change_one(
        &mut self,
        terms: &Accounts,
        (before, after): (&Account, &mut Account),
        row: usize,
        change: &impl Fn(&Accounts, usize, &mut Account, &mut VenueMoves) -> Result<()>,
    ) -> Result<()> {
        let mut interest = Interest::new();
        change(terms, row, after, &mut self.venue)?;
        after.cash.retain(|cash| cash.amount != 0);
        terms.count(before, after, -1, &mut self.venue, &mut interest)?;
        terms.count(after, before, 1, &mut self.venue, &mut interest)?;
        for (instrument, contracts) in interest {
            self.interest[instrument as usize] += contracts;
        }
        Ok(())
    }
}

/// How many changes before it is made an account is asked for.
const AHEAD: usize = 4;
