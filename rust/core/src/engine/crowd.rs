//! Everybody at once: legs packed for the kernel tell in a few nanoseconds an account who may have changed sides, so
//! that just those are judged one by one.
//!
//! Where prices jump, to find in the levels whom they wake takes longer than to look at all. Legs of accounts that change
//! are replaced where they lie, many at a time; those that have no room there are strangers, judged one by one until
//! everybody is packed anew, which other rules do, and payments where there are very many of them.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use super::account_set::AccountSet;
use super::accrual::MOST;
use super::boxes::{SAFETY, downwards};
use super::kept::Kept;
use super::standing::Standing;
use super::table::LiveTable;
use crate::book::{BLOCK, Book};
use crate::kernel::{
    BlockResults, BlockTable, BlockUnits, Charged, Row, RowId, Scratch, Simd, UnitLegs, UnitPlace,
    contract_block, result,
};
use crate::layout::{IsolatedPosition, Layout, LayoutBlocks, Packed};
use crate::pool::{self, never};

/// The legs of all accounts, as they were packed.
#[derive(Debug)]
pub(crate) struct Crowd {
    blocks: LayoutBlocks,
    /// Accounts then; those that came later have changed.
    accounts: usize,
    /// Positions that stand alone: account and instrument, in the order of their results.
    alone: Vec<(u32, u32)>,
    /// Where each block's end.
    alone_ends: Vec<usize>,
    /// By block, where accounts lie; empty until one of them changes.
    places: Vec<Vec<UnitPlace>>,
    /// Accounts that are not what was packed of them, and may have room there.
    changed: AccountSet,
    /// Accounts that had none.
    strangers: AccountSet,
}

/// Changed accounts are packed anew once they are more than one in so many.
const MANY_CHANGED: usize = 64;

thread_local! {
    /// Kept from block to block.
    static SCRATCH: RefCell<(Scratch, Vec<Row>, Vec<u8>)> = RefCell::default();
}

impl Crowd {
    pub(crate) fn of(book: &Book, layout: &Layout) -> Self {
        let place = |position: &IsolatedPosition| {
            let held = book.holdings(position.account as usize).instrument;
            (position.account, held[position.position as usize])
        };
        Self {
            blocks: layout.blocks.clone(),
            accounts: book.accounts().len(),
            alone: layout.isolated.iter().map(place).collect(),
            alone_ends: layout.isolated_ends.clone(),
            places: vec![Vec::new(); book.accounts().len().div_ceil(BLOCK)],
            changed: AccountSet::default(),
            strangers: AccountSet::default(),
        }
    }

    /// How many are not packed as they are.
    pub(crate) fn unpacked(&self) -> usize {
        self.changed.len() + self.strangers.len()
    }

    fn is_packed(&self, account: u32) -> bool {
        !self.changed.has(account) && !self.strangers.has(account)
    }

    /// Notes that an account is not what was packed of it.
    pub(crate) fn change(&mut self, account: u32) {
        self.changed.add(account);
    }

    /// Packs those that changed anew, if they are many, by the legs that are kept of them.
    pub(crate) fn keep_up(&mut self, kept: &Kept) {
        if MANY_CHANGED * self.changed.len() <= self.accounts {
            return;
        }
        for account in std::mem::take(&mut self.changed).iter() {
            let legs = kept.get(account).legs;
            let is_packed = legs.is_some_and(|legs| match &mut self.blocks {
                LayoutBlocks::Narrow(packed) => replace(packed, &mut self.places, account, legs),
                LayoutBlocks::Wide(packed) => replace(packed, &mut self.places, account, legs),
            });
            if is_packed {
                self.strangers.remove(account);
            } else {
                self.strangers.add(account);
            }
        }
    }

    /// Accounts that may not stand as they were noted, ascending: those that the kernel says so of or cannot tell. Those
    /// that are not packed as they are come too if they are `asked` for.
    pub(crate) fn doubtful(
        &self,
        table: &LiveTable,
        standing: &Standing,
        asked: impl Fn(u32) -> bool,
    ) -> Vec<u32> {
        let mut doubtful = match &self.blocks {
            LayoutBlocks::Narrow(packed) => self.look(packed, table, standing),
            LayoutBlocks::Wide(packed) => self.look(packed, table, standing),
        };
        if self.unpacked() > 0 {
            doubtful.retain(|&account| self.is_packed(account));
            let unpacked = self.changed.iter().chain(self.strangers.iter());
            doubtful.extend(unpacked.filter(|&account| asked(account)));
            doubtful.sort_unstable();
            doubtful.dedup();
        }
        doubtful
    }

    /// Accounts whose reserve is used up by the most that each row can have moved health, and those that are not packed as
    /// they are. What is used of the other reserves is taken from them.
    pub(crate) fn outspent(
        &self,
        moved: &[Row],
        table: &LiveTable,
        reserves: &mut [f32],
    ) -> Vec<u32> {
        let weights = vec![Row::default(); table.weights().len()];
        let table = BlockTable {
            charges: Charged::Nothing,
            rows: moved,
            weights: &weights,
            rules: None,
        };
        let reserves = &mut reserves[..self.accounts];
        let mut outspent = match &self.blocks {
            LayoutBlocks::Narrow(packed) => outspent(packed, table, reserves),
            LayoutBlocks::Wide(packed) => outspent(packed, table, reserves),
        };
        outspent.extend(self.changed.iter().chain(self.strangers.iter()));
        outspent
    }

    fn look<R: RowId>(
        &self,
        packed: &Packed<R>,
        table: &LiveTable,
        standing: &Standing,
    ) -> Vec<u32> {
        let look = |block: usize| {
            SCRATCH.with_borrow_mut(|(scratch, rows, signs)| {
                let mut look = Look {
                    scratch,
                    rows,
                    signs,
                    table,
                    standing,
                    doubtful: Vec::new(),
                };
                let first = block * BLOCK;
                let accounts = first..(first + BLOCK).min(self.accounts);
                look.at_pools(&packed.pools[block], accounts.clone());
                if let Some(units) = packed.isolated.get(block) {
                    let start = block.checked_sub(1).map_or(0, |last| self.alone_ends[last]);
                    let places = &self.alone[start..self.alone_ends[block]];
                    look.at_positions(units, places, accounts);
                }
                let mut doubtful = look.doubtful;
                doubtful.sort_unstable();
                doubtful.dedup();
                doubtful
            })
        };
        let blocks = pool::map(packed.pools.len(), look, &mut never);
        blocks.expect("nobody interrupts").concat()
    }
}

/// Replaces the legs of an account, if they have room where it lies.
fn replace<R: RowId>(
    packed: &mut Packed<R>,
    places: &mut [Vec<UnitPlace>],
    account: u32,
    legs: UnitLegs<'_, u32>,
) -> bool {
    let (block, slot) = (account as usize / BLOCK, account as usize % BLOCK);
    let (Some(units), Some(places)) = (packed.pools.get_mut(block), places.get_mut(block)) else {
        return false;
    };
    if places.is_empty() {
        *places = units.places(BLOCK);
    }
    let has_room = places[slot].has_room(legs);
    if has_room {
        // Readers of a former book may hold the block.
        Arc::make_mut(units).replace(places[slot], legs);
    }
    has_room
}

/// Accounts whose reserve is less than what the table's rows add up to for them.
fn outspent<R: RowId>(packed: &Packed<R>, table: BlockTable<'_>, reserves: &mut [f32]) -> Vec<u32> {
    let mut found = vec![Vec::new(); packed.pools.len()];
    let reserves = reserves.chunks_mut(BLOCK);
    let blocks = packed.pools.iter().zip(reserves).zip(&mut found);
    let work = |(first, ((units, reserves), found)): (usize, Task<'_, R>)| {
        SCRATCH.with_borrow_mut(|(scratch, rows, signs)| {
            rows.clear();
            rows.resize(reserves.len(), Row::default());
            signs.resize(reserves.len(), 0);
            let results = BlockResults {
                rows,
                signs,
                ..BlockResults::default()
            };
            contract_block(Simd::current(), units, table, scratch, results);
            for (slot, (reserve, Row(sums))) in reserves.iter_mut().zip(&*rows).enumerate() {
                let left = f64::from(*reserve) - sums[MOST] * (1.0 + SAFETY);
                // Nor where it is not a number.
                if left >= 0.0 {
                    *reserve = downwards(left);
                } else {
                    found.push((first * BLOCK + slot) as u32);
                }
            }
        });
    };
    let tasks: Vec<(usize, Task<'_, R>)> = blocks.enumerate().collect();
    pool::for_each(tasks.into_iter(), work, &mut never).expect("nobody interrupts");
    found.concat()
}

/// A block, the reserves of its accounts, and where those are put whose is used up.
type Task<'a, R> = ((&'a Arc<BlockUnits<R>>, &'a mut [f32]), &'a mut Vec<u32>);

/// A look at one block.
struct Look<'a> {
    scratch: &'a mut Scratch,
    rows: &'a mut Vec<Row>,
    signs: &'a mut Vec<u8>,
    table: &'a LiveTable,
    standing: &'a Standing,
    doubtful: Vec<u32>,
}

impl Look<'_> {
    /// Contracts units; whether all their results are finite.
    fn contract<R: RowId>(&mut self, units: &BlockUnits<R>, results: usize) -> bool {
        self.signs.resize(results, 0);
        // Alerts are told by figures, which charges may make exact ones; the rest by the sign of health alone.
        let alerts = !self.standing.levels().0.is_empty();
        self.rows
            .resize(if alerts { results } else { 0 }, Row::default());
        let rules = self.table.rules();
        let table = BlockTable {
            charges: Charged::Nothing,
            rows: self.table.rows(),
            weights: self.table.weights(),
            rules: (alerts || !rules.is_of_charges()).then_some(rules),
        };
        let results = BlockResults {
            rows: self.rows,
            signs: self.signs,
            ..BlockResults::default()
        };
        contract_block(Simd::current(), units, table, self.scratch, results)
    }

    fn at_pools<R: RowId>(&mut self, units: &BlockUnits<R>, accounts: Range<usize>) {
        let first = accounts.start as u32;
        if !self.contract(units, accounts.len()) {
            self.doubtful.extend(accounts.map(|account| account as u32));
            return;
        }
        let near = self.scratch.near.iter();
        self.doubtful.extend(near.map(|slot| first + slot));
        let before = &self.standing.pools()[accounts.clone()];
        for ((account, &signs), &before) in (first..).zip(&*self.signs).zip(before) {
            if is_down(signs) != before {
                self.doubtful.push(account);
            }
        }
        for (account, row) in accounts.zip(&*self.rows) {
            let reached = self.standing.levels().reached(row);
            if reached != self.standing.pool_alert(account) {
                self.doubtful.push(account as u32);
            }
        }
    }

    fn at_positions<R: RowId>(
        &mut self,
        units: &BlockUnits<R>,
        places: &[(u32, u32)],
        accounts: Range<usize>,
    ) {
        let all = || places.iter().map(|place| place.0);
        if !self.contract(units, places.len()) {
            self.doubtful.extend(all());
            return;
        }
        let near = self.scratch.near.iter();
        self.doubtful
            .extend(near.map(|&slot| places[slot as usize].0));
        let accounts = accounts.start as u32..accounts.end as u32;
        let signs = places.iter().zip(&*self.signs);
        let down = signs.filter(|(_, signs)| is_down(**signs));
        let down = down.map(|(&place, _)| (place, 1));
        let before = self.standing.positions_of(accounts.clone());
        let before: Vec<Said> = before.map(|place| (place, 1)).collect();
        let differ = differences(down.collect(), &before);
        self.doubtful.extend(differ);
        let levels = self.standing.levels();
        let rows = places.iter().zip(&*self.rows);
        let near = rows.map(|(&place, row)| (place, levels.reached(row)));
        let near = near.filter(|(_, alert)| *alert > 0);
        let before: Vec<Said> = self.standing.position_alerts_of(accounts).collect();
        let differ = differences(near.collect(), &before);
        self.doubtful.extend(differ);
    }
}

/// What is said of a position that stands alone.
type Said = ((u32, u32), u8);

/// Accounts of which something is said in one list alone; the second one ascends.
fn differences(mut now: Vec<Said>, before: &[Said]) -> impl Iterator<Item = u32> + use<> {
    now.sort_unstable();
    let only = |said: &[Said], other: &[Said]| {
        let only = said
            .iter()
            .filter(|said| other.binary_search(said).is_err());
        only.map(|said| said.0.0).collect::<Vec<u32>>()
    };
    let (new, old) = (only(&now, before), only(before, &now));
    new.into_iter().chain(old)
}

fn is_down(signs: u8) -> bool {
    signs >> result::HEALTH & 1 == 1
}
