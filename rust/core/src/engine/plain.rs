//! The legs of plain accounts, as the kernel reads them: one unit, no orders, no leverage cap, nothing isolated. Nearly
//! all are so, and what a tick wakes of them is judged without looking into the ledger.

use crate::book::BLOCK;
use crate::kernel::UnitLegs;
use crate::ledger::Shelf;

/// Legs by account, each in one piece of memory: a head, quantities, rows. To fetch that is most of what a check costs.
#[derive(Debug, Default)]
pub(crate) struct PlainLegs {
    blocks: Vec<Shelf<u64>>,
    packed: Vec<u64>,
}

impl PlainLegs {
    /// Keeps the legs of an account.
    pub(crate) fn set(&mut self, account: u32, unit: UnitLegs<'_, u32>) {
        let mut packed = std::mem::take(&mut self.packed);
        packed.clear();
        packed.push((unit.home as u64) << 32 | unit.rows.len() as u64);
        packed.extend(unit.quantities.iter().map(|quantity| quantity.to_bits()));
        packed.extend(unit.rows.chunks(2).map(|pair| {
            let mut both = [0; 2];
            both[..pair.len()].copy_from_slice(pair);
            bytemuck::cast::<[u32; 2], u64>(both)
        }));
        let (block, slot) = self.slot(account);
        block.set(slot, &packed);
        self.packed = packed;
    }

    /// Notes that an account is not plain.
    pub(crate) fn clear(&mut self, account: u32) {
        let (block, slot) = self.slot(account);
        block.set(slot, &[]);
    }

    /// The legs of an account, if it is plain.
    pub(crate) fn get(&self, account: u32) -> Option<UnitLegs<'_, u32>> {
        let account = account as usize;
        let block = self.blocks.get(account / BLOCK)?;
        let slot = account % BLOCK;
        let kept = if slot < block.len() {
            block.get(slot)
        } else {
            &[]
        };
        let (head, packed) = kept.split_first()?;
        let legs = (head & u64::from(u32::MAX)) as usize;
        let (quantities, rows) = packed.split_at(legs);
        let rows: &[u32] = bytemuck::cast_slice(rows);
        Some(UnitLegs {
            rows: &rows[..legs],
            quantities: bytemuck::cast_slice(quantities),
            home: (head >> 32) as usize,
        })
    }

    fn slot(&mut self, account: u32) -> (&mut Shelf<u64>, usize) {
        let (number, slot) = (account as usize / BLOCK, account as usize % BLOCK);
        if self.blocks.len() <= number {
            self.blocks.resize_with(number + 1, Shelf::default);
        }
        let block = &mut self.blocks[number];
        while block.len() <= slot {
            block.push(&[]);
        }
        (block, slot)
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.blocks.iter().map(Shelf::memory).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legs_come_back_as_they_were_kept() {
        let mut plain = PlainLegs::default();
        for legs in 0..5_usize {
            let rows: Vec<u32> = (0..legs as u32).map(|leg| 7 * leg + 1).collect();
            let quantities: Vec<f64> = (0..legs).map(|leg| leg as f64 - 1.5).collect();
            let unit = UnitLegs {
                rows: &rows,
                quantities: &quantities,
                home: legs,
            };
            plain.set(legs as u32 + 1, unit);
            let kept = plain.get(legs as u32 + 1).expect("it is plain");
            assert_eq!(
                (kept.rows, kept.quantities, kept.home),
                (&*rows, &*quantities, legs)
            );
        }
        assert!(plain.get(0).is_none() && plain.get(9).is_none());
        plain.clear(3);
        assert!(plain.get(3).is_none());
    }
}
