//! What is kept of each account to judge it without looking into the ledger: the prices it watches, and its legs as the
//! kernel reads them, if it is plain: one unit, no orders, no leverage cap, nothing isolated. Nearly all accounts are so.

use super::boxes::Watch;
use crate::book::BLOCK;
use crate::kernel::{UnitLegs, fetch, fetch_all};
use crate::ledger::Shelf;

/// An account's pool by number, or an isolated position by its number from [`ALONE`] on.
pub(crate) type Subject = u32;

/// Isolated positions have numbers from here on.
pub(crate) const ALONE: Subject = 1 << 31;

/// What is kept of one subject, in one piece of memory: to fetch that is most of what a check costs. Two numbers say what
/// follows: quantities, rows, watches.
#[derive(Clone, Copy)]
pub(crate) struct Piece<'a> {
    /// None if the account is not plain.
    pub(crate) legs: Option<UnitLegs<'a, u32>>,
    pub(crate) watches: &'a [Watch],
}

const HEAD: usize = 2;

/// In the second number of a piece: whether its account is plain; the first has its home and the number of legs.
const PLAIN: u64 = 1 << 32;

/// Where watches begin in the words after the head, and how many there are.
fn watches_of(piece: &[u64]) -> std::ops::Range<usize> {
    let Some(&[first, second]) = piece.first_chunk::<HEAD>() else {
        return 0..0;
    };
    let (legs, watches) = (first as u32 as usize, second as u32 as usize);
    let start = (HEAD + legs) * 2 + legs;
    start..start + Watch::WORDS * watches
}

impl<'a> Piece<'a> {
    fn of(piece: &'a [u64]) -> Self {
        let words: &[u32] = bytemuck::cast_slice(piece);
        let watches = watches_of(piece);
        let legs = || {
            let &[first, second] = piece.first_chunk::<HEAD>()?;
            let legs = first as u32 as usize;
            let unit = UnitLegs {
                rows: &words[watches.start - legs..watches.start],
                quantities: bytemuck::cast_slice(&piece[HEAD..HEAD + legs]),
                home: (first >> 32) as usize,
            };
            (second & PLAIN != 0).then_some(unit)
        };
        Self {
            legs: legs(),
            watches: bytemuck::cast_slice(&words[watches]),
        }
    }

    pub(crate) fn pack(self, packed: &mut Vec<u64>) {
        packed.clear();
        let (mut first, mut second) = (0, self.watches.len() as u64);
        let mut rows: &[u32] = &[];
        if let Some(legs) = self.legs {
            rows = legs.rows;
            first = (legs.home as u64) << 32 | rows.len() as u64;
            second |= PLAIN;
        }
        packed.extend([first, second]);
        if let Some(legs) = self.legs {
            packed.extend(legs.quantities.iter().map(|quantity| quantity.to_bits()));
        }
        let watches: &[u32] = bytemuck::cast_slice(self.watches);
        let start = packed.len();
        packed.resize(start + (rows.len() + watches.len()).div_ceil(2), 0);
        let words: &mut [u32] = bytemuck::cast_slice_mut(&mut packed[start..]);
        words[..rows.len()].copy_from_slice(rows);
        words[rows.len()..][..watches.len()].copy_from_slice(watches);
    }
}

/// Pieces of all subjects, in blocks of [`BLOCK`].
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pools: Vec<Shelf<u64>>,
    alone: Vec<Shelf<u64>>,
    packed: Vec<u64>,
}

impl Kept {
    /// Of accounts that were packed block by block.
    pub(crate) fn of_blocks(pools: Vec<Shelf<u64>>) -> Self {
        Self {
            pools,
            ..Self::default()
        }
    }

    fn place(&self, subject: Subject) -> Option<(&Shelf<u64>, usize)> {
        let (blocks, number) = if subject < ALONE {
            (&self.pools, subject)
        } else {
            (&self.alone, subject - ALONE)
        };
        let (block, slot) = (number as usize / BLOCK, number as usize % BLOCK);
        let block = blocks.get(block)?;
        (slot < block.len()).then_some((block, slot))
    }

    fn place_mut(&mut self, subject: Subject) -> (&mut Shelf<u64>, usize) {
        let (blocks, number) = if subject < ALONE {
            (&mut self.pools, subject)
        } else {
            (&mut self.alone, subject - ALONE)
        };
        let (number, slot) = (number as usize / BLOCK, number as usize % BLOCK);
        if blocks.len() <= number {
            blocks.resize_with(number + 1, Shelf::default);
        }
        let block = &mut blocks[number];
        while block.len() <= slot {
            block.push(&[]);
        }
        (block, slot)
    }

    /// What is kept of a subject.
    pub(crate) fn get(&self, subject: Subject) -> Piece<'_> {
        let place = self.place(subject);
        Piece::of(place.map_or(&[], |(block, slot)| block.get(slot)))
    }

    /// Asks for the place of a piece, to be fetched next.
    pub(crate) fn fetch_place(&self, subject: Subject) {
        if let Some((block, slot)) = self.place(subject) {
            fetch(block.span(slot));
        }
    }

    /// Asks for a piece.
    pub(crate) fn fetch(&self, subject: Subject) {
        if let Some((block, slot)) = self.place(subject) {
            fetch_all(block.get(slot));
        }
    }

    /// What is watched of a price.
    pub(crate) fn watch(&self, subject: Subject, variable: u32) -> Option<&Watch> {
        let mut mine = self.get(subject).watches.iter();
        mine.find(|watch| watch.variable == variable)
    }

    /// The same, to be changed.
    pub(crate) fn watch_mut(&mut self, subject: Subject, variable: u32) -> Option<&mut Watch> {
        let (block, slot) = self.place_mut(subject);
        let piece = block.get_mut(slot);
        let watches = watches_of(piece);
        let words: &mut [u32] = bytemuck::cast_slice_mut(piece);
        let mine: &mut [Watch] = bytemuck::cast_slice_mut(&mut words[watches]);
        mine.iter_mut().find(|watch| watch.variable == variable)
    }

    /// Replaces what is watched.
    pub(crate) fn set_watches(&mut self, subject: Subject, watches: &[Watch]) {
        let (block, slot) = self.place_mut(subject);
        let piece = block.get_mut(slot);
        let mine = watches_of(piece);
        if mine.len() == Watch::WORDS * watches.len() {
            let words: &mut [u32] = bytemuck::cast_slice_mut(piece);
            words[mine].copy_from_slice(bytemuck::cast_slice(watches));
            return;
        }
        self.repack(subject, |piece, packed| {
            let legs = piece.legs;
            Piece { legs, watches }.pack(packed);
        });
    }

    /// Replaces the legs; `None` if the account is not plain any more.
    pub(crate) fn set_legs(&mut self, subject: Subject, legs: Option<UnitLegs<'_, u32>>) {
        self.repack(subject, |piece, packed| {
            let watches = piece.watches;
            Piece { legs, watches }.pack(packed);
        });
    }

    fn repack(&mut self, subject: Subject, pack: impl FnOnce(Piece<'_>, &mut Vec<u64>)) {
        let mut packed = std::mem::take(&mut self.packed);
        pack(self.get(subject), &mut packed);
        let (block, slot) = self.place_mut(subject);
        block.set(slot, &packed);
        self.packed = packed;
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        let blocks = self.pools.iter().chain(&self.alone);
        blocks.map(Shelf::memory).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watches(count: u32) -> Vec<Watch> {
        let watch = |variable: u32| Watch {
            variable,
            below: -(variable as f32),
            above: 0.5 + variable as f32,
        };
        (0..count).map(watch).collect()
    }

    #[test]
    fn legs_and_watches_come_back_as_they_were_kept() {
        let mut kept = Kept::default();
        for subject in [1, 2, ALONE + 5, 70_000] {
            for (legs, watched) in [(0, 0), (3, 2), (4, 2), (4, 3), (1, 0), (2, 5)] {
                let rows: Vec<u32> = (0..legs).map(|leg| 7 * leg + 1).collect();
                let quantities: Vec<f64> = rows.iter().map(|&row| f64::from(row) - 1.5).collect();
                let unit = UnitLegs {
                    rows: &rows,
                    quantities: &quantities,
                    home: 9,
                };
                kept.set_legs(subject, Some(unit));
                kept.set_watches(subject, &watches(watched));
                if let Some(last) = watched.checked_sub(1) {
                    kept.watch_mut(subject, last).expect("it is watched").below = -7.0;
                    assert_eq!(
                        kept.watch(subject, last).map(|watch| watch.below),
                        Some(-7.0)
                    );
                }
                let piece = kept.get(subject);
                let found = piece.legs.expect("it is plain");
                assert_eq!(
                    (found.rows, found.quantities, found.home),
                    (&*rows, &*quantities, 9)
                );
                assert_eq!(piece.watches.len(), watched as usize);
                assert!(kept.watch(subject, watched).is_none());
            }
        }
        kept.set_legs(1, None);
        let piece = kept.get(1);
        assert!(piece.legs.is_none() && piece.watches.len() == 5);
        assert!(kept.get(0).legs.is_none() && kept.get(9).watches.is_empty());
    }
}
