//! What is kept of each account to judge it without looking into the ledger: the prices it watches, and its legs as the
//! kernel reads them, if it is plain: one unit, no orders, no leverage cap, nothing isolated. Nearly all accounts are so.

use super::boxes::Watch;
use crate::book::BLOCK;
use crate::kernel::{UnitLegs, fetch, fetch_all, with_room};

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

/// Numbers before the quantities.
const HEAD: usize = 2;

/// In the second number of a piece: whether its account is plain. Below stands the number of watches, above the room.
const PLAIN: u64 = 1 << 32;

/// Where the room of a piece stands in its second number, which is as long as the memory that it may fill.
const ROOM: u32 = 33;

/// Subjects whose pieces lie together: so many that they fill large pages.
pub(crate) const SHELF: usize = 16 * BLOCK;

/// Where watches begin in the words of a piece, and how many words they are.
fn watches_of(piece: &[u64]) -> std::ops::Range<usize> {
    let (legs, watches) = (piece[0] as u32 as usize, piece[1] as u32 as usize);
    let start = 2 * (HEAD + legs) + legs;
    start..start + Watch::WORDS * watches
}

impl<'a> Piece<'a> {
    #[inline]
    fn of(piece: &'a [u64]) -> Self {
        let words: &[u32] = bytemuck::cast_slice(piece);
        let watches = watches_of(piece);
        let legs = piece[0] as u32 as usize;
        let unit = UnitLegs {
            rows: &words[watches.start - legs..watches.start],
            quantities: bytemuck::cast_slice(&piece[HEAD..HEAD + legs]),
            home: (piece[0] >> 32) as usize,
        };
        Self {
            legs: (piece[1] & PLAIN != 0).then_some(unit),
            watches: bytemuck::cast_slice(&words[watches]),
        }
    }

    fn pack(self, packed: &mut Vec<u64>) {
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

/// Pieces of [`SHELF`] subjects.
#[derive(Debug)]
pub(crate) struct Pieces {
    /// By subject; 0 where nothing is kept.
    starts: Vec<u32>,
    /// The first piece is nobody's, and empty.
    items: Vec<u64>,
    /// Gaps not counted.
    used: usize,
    packed: Vec<u64>,
}

impl Default for Pieces {
    fn default() -> Self {
        Self {
            starts: Vec::new(),
            items: vec![0; HEAD],
            used: HEAD,
            packed: Vec::new(),
        }
    }
}

impl Pieces {
    /// Adds the next subject.
    pub(crate) fn push(&mut self, piece: Piece<'_>) {
        self.starts.push(0);
        let mut packed = std::mem::take(&mut self.packed);
        piece.pack(&mut packed);
        self.set(self.starts.len() - 1, &mut packed, 0);
        self.packed = packed;
    }

    #[inline]
    fn get(&self, slot: usize) -> &[u64] {
        let start = self.starts.get(slot).copied().unwrap_or(0);
        &self.items[start as usize..]
    }

    fn get_mut(&mut self, slot: usize) -> &mut [u64] {
        let start = self.starts.get(slot).copied().unwrap_or(0);
        &mut self.items[start as usize..]
    }

    /// Replaces a piece; one that grows moves to the end, with `more` room to grow on.
    fn set(&mut self, slot: usize, packed: &mut [u64], more: usize) {
        if self.starts.len() <= slot {
            self.starts.resize(slot + 1, 0);
        }
        let start = self.starts[slot] as usize;
        let mut room = (self.items[start + 1] >> ROOM) as usize;
        let is_new = packed.len() > room;
        if is_new {
            self.used += packed.len() + more;
            self.used -= room;
            room = packed.len() + more;
        }
        packed[1] |= (room as u64) << ROOM;
        if !is_new {
            self.items[start..][..packed.len()].copy_from_slice(packed);
            return;
        }
        let start = self.items.len();
        let end = start + room;
        assert!(u32::try_from(end).is_ok(), "fewer than 2^32 numbers");
        self.starts[slot] = start as u32;
        self.items.extend_from_slice(packed);
        self.items.resize(end, 0);
        if end > 2 * self.used + 4096 {
            self.move_together();
        }
    }

    /// Moves all pieces into new memory, in large pages, with room for a few to grow and no gaps.
    pub(crate) fn move_together(&mut self) {
        let mut items = with_room(self.used + self.used / 8);
        items.extend([0; HEAD]);
        for start in self.starts.iter_mut().filter(|start| **start > 0) {
            let piece = &self.items[*start as usize..];
            let room = (piece[1] >> ROOM) as usize;
            *start = items.len() as u32;
            items.extend_from_slice(&piece[..room]);
        }
        self.items = items;
    }
}

/// Pieces of all subjects.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pools: Vec<Pieces>,
    alone: Vec<Pieces>,
    packed: Vec<u64>,
}

impl Kept {
    /// Of accounts that were packed [`SHELF`] by [`SHELF`].
    pub(crate) fn of_pools(pools: Vec<Pieces>) -> Self {
        Self {
            pools,
            ..Self::default()
        }
    }

    #[inline]
    fn place(&self, subject: Subject) -> Option<(&Pieces, usize)> {
        let (shelves, number) = if subject < ALONE {
            (&self.pools, subject as usize)
        } else {
            (&self.alone, (subject - ALONE) as usize)
        };
        Some((shelves.get(number / SHELF)?, number % SHELF))
    }

    fn place_mut(&mut self, subject: Subject) -> (&mut Pieces, usize) {
        let (shelves, number) = if subject < ALONE {
            (&mut self.pools, subject as usize)
        } else {
            (&mut self.alone, (subject - ALONE) as usize)
        };
        if shelves.len() <= number / SHELF {
            shelves.resize_with(number / SHELF + 1, Pieces::default);
        }
        (&mut shelves[number / SHELF], number % SHELF)
    }

    /// What is kept of a subject.
    #[inline]
    pub(crate) fn get(&self, subject: Subject) -> Piece<'_> {
        let place = self.place(subject);
        Piece::of(place.map_or(&[0; HEAD], |(pieces, slot)| pieces.get(slot)))
    }

    /// Asks for the place of a piece, to be fetched next.
    pub(crate) fn fetch_place(&self, subject: Subject) {
        if let Some((pieces, slot)) = self.place(subject)
            && let Some(start) = pieces.starts.get(slot)
        {
            fetch(start);
        }
    }

    /// Asks for a piece, or as much of it as most pieces are.
    pub(crate) fn fetch(&self, subject: Subject) {
        if let Some((pieces, slot)) = self.place(subject) {
            let piece = pieces.get(slot);
            fetch_all(&piece[..piece.len().min(48)]);
        }
    }

    /// What is watched of a price.
    pub(crate) fn watch(&self, subject: Subject, variable: u32) -> Option<&Watch> {
        let mut mine = self.get(subject).watches.iter();
        mine.find(|watch| watch.variable == variable)
    }

    /// The same, to be changed.
    pub(crate) fn watch_mut(&mut self, subject: Subject, variable: u32) -> Option<&mut Watch> {
        let (pieces, slot) = self.place_mut(subject);
        let piece = pieces.get_mut(slot);
        let watches = watches_of(piece);
        let words: &mut [u32] = bytemuck::cast_slice_mut(piece);
        let mine: &mut [Watch] = bytemuck::cast_slice_mut(&mut words[watches]);
        mine.iter_mut().find(|watch| watch.variable == variable)
    }

    /// Replaces what is watched.
    pub(crate) fn set_watches(&mut self, subject: Subject, watches: &[Watch]) {
        let (pieces, slot) = self.place_mut(subject);
        let piece = pieces.get_mut(slot);
        let mine = watches_of(piece);
        if mine.len() == Watch::WORDS * watches.len() {
            let words: &mut [u32] = bytemuck::cast_slice_mut(piece);
            words[mine].copy_from_slice(bytemuck::cast_slice(watches));
            return;
        }
        let mut packed = std::mem::take(&mut self.packed);
        let legs = self.get(subject).legs;
        Piece { legs, watches }.pack(&mut packed);
        self.set(subject, packed);
    }

    /// Replaces the legs; `None` if the account is not plain any more.
    pub(crate) fn set_legs(&mut self, subject: Subject, legs: Option<UnitLegs<'_, u32>>) {
        let (pieces, slot) = self.place_mut(subject);
        let piece = pieces.get_mut(slot);
        if let Some(legs) = legs.filter(|legs| piece[0] as u32 as usize == legs.rows.len())
            && piece[1] & PLAIN != 0
        {
            let count = legs.rows.len();
            piece[0] = (legs.home as u64) << 32 | count as u64;
            let places = piece[HEAD..].iter_mut().zip(legs.quantities);
            places.for_each(|(place, quantity)| *place = quantity.to_bits());
            let words: &mut [u32] = bytemuck::cast_slice_mut(&mut piece[HEAD + count..]);
            words[..count].copy_from_slice(legs.rows);
            return;
        }
        let mut packed = std::mem::take(&mut self.packed);
        let watches = self.get(subject).watches;
        Piece { legs, watches }.pack(&mut packed);
        self.set(subject, packed);
    }

    fn set(&mut self, subject: Subject, mut packed: Vec<u64>) {
        let (pieces, slot) = self.place_mut(subject);
        let more = packed.len() / 2;
        pieces.set(slot, &mut packed, more);
        self.packed = packed;
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        let shelves = self.pools.iter().chain(&self.alone);
        let bytes = |pieces: &Pieces| 8 * pieces.items.capacity() + 4 * pieces.starts.capacity();
        shelves.map(bytes).sum()
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
        for subject in [1, 2, ALONE + 5, 70_000, 1] {
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
