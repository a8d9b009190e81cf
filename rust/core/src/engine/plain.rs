//! The legs of plain accounts, as the kernel reads them: one unit, no orders, no leverage cap, nothing isolated. Nearly
//! all are so, and what a tick wakes of them is judged without looking into the ledger.

use crate::book::BLOCK;
use crate::kernel::UnitLegs;
use crate::ledger::Shelf;

/// Legs by account.
#[derive(Debug, Default)]
pub(crate) struct PlainLegs {
    blocks: Vec<PlainBlock>,
}

#[derive(Debug, Default)]
struct PlainBlock {
    rows: Shelf<u32>,
    quantities: Shelf<f64>,
    homes: Vec<u32>,
}

/// The home of an account that is not plain.
const NOT_PLAIN: u32 = u32::MAX;

impl PlainLegs {
    /// Keeps the legs of an account; accounts are first set in order of their numbers.
    pub(crate) fn set(&mut self, account: u32, home: usize, rows: &[u32], quantities: &[f64]) {
        let (block, slot) = self.slot(account);
        block.rows.set(slot, rows);
        block.quantities.set(slot, quantities);
        block.homes[slot] = home as u32;
    }

    /// Notes that an account is not plain.
    pub(crate) fn clear(&mut self, account: u32) {
        let (block, slot) = self.slot(account);
        block.homes[slot] = NOT_PLAIN;
    }

    /// The legs of an account, if it is plain.
    pub(crate) fn get(&self, account: u32) -> Option<UnitLegs<'_, u32>> {
        let account = account as usize;
        let (block, slot) = (self.blocks.get(account / BLOCK)?, account % BLOCK);
        let home = block.homes.get(slot).filter(|&&home| home != NOT_PLAIN)?;
        Some(UnitLegs {
            rows: block.rows.get(slot),
            quantities: block.quantities.get(slot),
            home: *home as usize,
        })
    }

    fn slot(&mut self, account: u32) -> (&mut PlainBlock, usize) {
        let (number, slot) = (account as usize / BLOCK, account as usize % BLOCK);
        if self.blocks.len() <= number {
            self.blocks.resize_with(number + 1, PlainBlock::default);
        }
        let block = &mut self.blocks[number];
        while block.homes.len() <= slot {
            block.rows.push(&[]);
            block.quantities.push(&[]);
            block.homes.push(NOT_PLAIN);
        }
        (block, slot)
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        let block = |block: &PlainBlock| {
            block.rows.memory() + block.quantities.memory() + 4 * block.homes.capacity()
        };
        self.blocks.iter().map(block).sum()
    }
}
