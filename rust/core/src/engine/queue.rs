//! Entries in order, of which only the first are ever needed: a quicksort that stops when nobody asks for more.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The front is cut where it grows beyond this.
const MOST_IN_FRONT: usize = 1024;

/// What is left of it then, and least that a piece is cut into.
const FRONT: usize = 128;

/// Entries that lie together, in no order.
#[derive(Debug)]
struct Piece {
    /// None is less.
    floor: u64,
    entries: Vec<u64>,
}

/// Numbers, of which the least comes first.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Less than all others.
    front: BinaryHeap<Reverse<u64>>,
    /// The last piece comes next; to add to one costs as much as to add to a list.
    pieces: Vec<Piece>,
}

/// A place in a queue, for those who look at all entries one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    piece: usize,
    at: usize,
}

impl Queue {
    pub(crate) fn push(&mut self, entry: u64) {
        match self.pieces.iter_mut().find(|piece| piece.floor <= entry) {
            Some(piece) => piece.entries.push(entry),
            None => {
                self.front.push(Reverse(entry));
                if self.front.len() > MOST_IN_FRONT {
                    let front = std::mem::take(&mut self.front).into_vec();
                    self.cut(front.into_iter().map(|Reverse(entry)| entry).collect());
                }
            }
        }
    }

    /// Adds many at once.
    pub(crate) fn extend(&mut self, mut entries: Vec<u64>) {
        entries.extend(self.front.drain().map(|Reverse(entry)| entry));
        for piece in self.pieces.drain(..) {
            entries.extend(piece.entries);
        }
        self.cut(entries);
    }

    /// Takes out the least, if it is no more than `last`.
    pub(crate) fn pop(&mut self, last: u64) -> Option<u64> {
        loop {
            if let Some(first) = self.front.peek_mut() {
                let Reverse(entry) = *first;
                if entry > last {
                    return None;
                }
                std::collections::binary_heap::PeekMut::pop(first);
                return Some(entry);
            }
            if self.pieces.last()?.floor > last {
                return None;
            }
            let piece = self.pieces.pop()?;
            self.cut(piece.entries);
        }
    }

    /// Whether some may be no more than `last`; if not, none is.
    pub(crate) fn may_have(&self, last: u64) -> bool {
        match (self.front.peek(), self.pieces.last()) {
            (Some(Reverse(first)), _) => *first <= last,
            (None, Some(next)) => next.floor <= last,
            (None, None) => false,
        }
    }

    /// Makes a front of the least of `entries`, which come before all pieces, and pieces of the rest.
    fn cut(&mut self, mut entries: Vec<u64>) {
        while entries.len() > 2 * FRONT {
            let rest = entries.len() - (entries.len() / 8).max(FRONT);
            let (_, floor, _) = entries.select_nth_unstable_by(rest - 1, |a, b| b.cmp(a));
            let floor = *floor;
            let least = entries.split_off(rest);
            self.push_piece(Piece { floor, entries });
            entries = least;
        }
        self.front.extend(entries.into_iter().map(Reverse));
    }

    /// Pieces that are hardly larger than the next one are joined, so that there are few.
    fn push_piece(&mut self, mut piece: Piece) {
        while let Some(next) = self
            .pieces
            .pop_if(|next| next.entries.len() < 2 * piece.entries.len())
        {
            piece.entries.extend(next.entries);
        }
        self.pieces.push(piece);
    }

    /// The entry at a place, which moves on if there is none; `None` at the end, from where it starts anew. The front is
    /// not looked at: what is there will be met.
    pub(crate) fn look(&self, cursor: &mut Cursor) -> Option<u64> {
        while let Some(piece) = self.pieces.get(cursor.piece) {
            if let Some(&entry) = piece.entries.get(cursor.at) {
                return Some(entry);
            }
            *cursor = Cursor {
                piece: cursor.piece + 1,
                at: 0,
            };
        }
        *cursor = Cursor::default();
        None
    }

    /// An entry that will be looked at so many steps later, mostly.
    pub(crate) fn ahead(&self, cursor: Cursor, steps: usize) -> Option<u64> {
        self.pieces
            .get(cursor.piece)?
            .entries
            .get(cursor.at + steps)
            .copied()
    }

    /// Moves on.
    pub(crate) fn step(cursor: &mut Cursor) {
        cursor.at += 1;
    }

    /// Throws out the entry that was looked at; another takes its place.
    pub(crate) fn remove(&mut self, cursor: Cursor) {
        self.pieces[cursor.piece].entries.swap_remove(cursor.at);
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        let pieces = self.pieces.iter().map(|piece| piece.entries.capacity());
        size_of::<u64>() * (self.front.capacity() + pieces.sum::<usize>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_queue_is_a_sorted_list(
            entries in prop::collection::vec(0..40_000_u64, 0..6_000),
            bulk in 0..3_000_usize,
            lasts in prop::collection::vec((0..40_000_u64, 0..400_usize, any::<prop::sample::Index>()), 1..30),
        ) {
            let mut sorted: std::collections::BTreeMap<u64, usize> = std::collections::BTreeMap::new();
            let mut queue = Queue::default();
            let (first, rest) = entries.split_at(bulk.min(entries.len()));
            queue.extend(first.to_vec());
            for &entry in first {
                *sorted.entry(entry).or_default() += 1;
            }
            let mut rest = rest.iter();
            let mut cursor = Cursor::default();
            for (last, pushed, steps) in lasts {
                for &entry in rest.by_ref().take(pushed) {
                    queue.push(entry);
                    *sorted.entry(entry).or_default() += 1;
                }
                for _ in 0..steps.index(200) {
                    if let Some(entry) = queue.look(&mut cursor) {
                        if entry % 3 == 0 {
                            queue.remove(cursor);
                            let count = sorted.get_mut(&entry).expect("it is there");
                            *count -= 1;
                            if *count == 0 {
                                sorted.remove(&entry);
                            }
                        } else {
                            Queue::step(&mut cursor);
                        }
                    }
                }
                while let Some(entry) = queue.pop(last) {
                    let (&least, count) = sorted.iter_mut().next().expect("there is one");
                    prop_assert_eq!(entry, least);
                    *count -= 1;
                    if *count == 0 {
                        sorted.remove(&least);
                    }
                }
                prop_assert!(sorted.keys().next().is_none_or(|&least| least > last));
            }
            let rest = std::iter::from_fn(|| queue.pop(u64::MAX)).count();
            prop_assert_eq!(rest, sorted.values().sum::<usize>());
        }
    }
}
