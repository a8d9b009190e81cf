//! Entries in order, of which only the first are ever needed: a quicksort that stops when nobody asks for more.

/// So many that came last wait to be put in order together: to add one touches its place and nothing else.
const FRESH: usize = 32;

/// The front is cut where it grows beyond this.
const MOST_IN_FRONT: usize = 512;

/// What is left of it then, and least that a piece is cut into.
const FRONT: usize = 128;

/// Entries that lie together, in no order.
#[derive(Debug)]
struct Piece {
    /// None is less.
    floor: u64,
    entries: Vec<u64>,
}

/// Numbers, of which the least come first.
#[derive(Debug)]
pub(crate) struct Queue {
    /// None is less.
    floor: u64,
    /// Those that came last, in no order.
    fresh: Vec<u64>,
    /// Of the others the least, descending.
    front: Vec<u64>,
    /// The last piece comes next; to add to one costs as much as to add to a list.
    pieces: Vec<Piece>,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            floor: u64::MAX,
            fresh: Vec::new(),
            front: Vec::new(),
            pieces: Vec::new(),
        }
    }
}

/// A place in a queue, for those who look at all entries one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    piece: usize,
    at: usize,
}

impl Queue {
    #[inline]
    pub(crate) fn push(&mut self, entry: u64) {
        self.floor = self.floor.min(entry);
        self.fresh.push(entry);
        if self.fresh.len() >= FRESH {
            self.sort_in();
        }
    }

    /// Puts those that came last where they belong.
    fn sort_in(&mut self) {
        for entry in self.fresh.drain(..) {
            match self.pieces.iter_mut().find(|piece| piece.floor <= entry) {
                Some(piece) => piece.entries.push(entry),
                None => {
                    let place = self.front.partition_point(|&other| other > entry);
                    self.front.insert(place, entry);
                }
            }
        }
        if self.front.len() > MOST_IN_FRONT {
            let front = std::mem::take(&mut self.front);
            self.cut(front);
        }
    }

    /// Adds many at once.
    pub(crate) fn extend(&mut self, mut entries: Vec<u64>) {
        entries.append(&mut self.fresh);
        entries.append(&mut self.front);
        for piece in self.pieces.drain(..) {
            entries.extend(piece.entries);
        }
        self.cut(entries);
        self.floor = self.least();
    }

    /// Takes out what is no more than `last`, in no order, and at most so many. Whether more may be left says
    /// [`Queue::may_have`].
    pub(crate) fn take(&mut self, last: u64, room: usize, taken: &mut Vec<u64>) {
        if self.floor > last {
            return;
        }
        let most = taken.len().saturating_add(room);
        self.fresh.retain(|&entry| {
            let stays = entry > last || taken.len() == most;
            if !stays {
                taken.push(entry);
            }
            stays
        });
        while taken.len() < most {
            if let Some(&first) = self.front.last() {
                if first > last {
                    break;
                }
                taken.push(first);
                self.front.pop();
            } else if self.pieces.last().is_some_and(|piece| piece.floor <= last) {
                let piece = self.pieces.pop().expect("there is one");
                self.cut(piece.entries);
            } else {
                break;
            }
        }
        self.floor = self.least();
    }

    /// Whether some may be no more than `last`; if not, none is.
    pub(crate) fn may_have(&self, last: u64) -> bool {
        self.floor <= last
    }

    /// What no entry is less than.
    fn least(&self) -> u64 {
        let fresh = self.fresh.iter().copied().min();
        let next = self.front.last().copied();
        let next = next.or_else(|| Some(self.pieces.last()?.floor));
        fresh.into_iter().chain(next).min().unwrap_or(u64::MAX)
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
        entries.sort_unstable_by(|a, b| b.cmp(a));
        // Not in the memory of a piece, which may be large.
        self.front.clear();
        self.front.extend_from_slice(&entries);
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
    /// not looked at: what is there will be met. Nor is what came last.
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
        size_of::<u64>() * (self.fresh.capacity() + self.front.capacity() + pieces.sum::<usize>())
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
            lasts in prop::collection::vec(
                (0..40_000_u64, 0..400_usize, any::<prop::sample::Index>(), 1..2_000_usize),
                1..30,
            ),
        ) {
            let mut sorted: std::collections::BTreeMap<u64, usize> = std::collections::BTreeMap::new();
            let forget = |sorted: &mut std::collections::BTreeMap<u64, usize>, entry: u64| {
                let count = sorted.get_mut(&entry).expect("it is there");
                *count -= 1;
                if *count == 0 {
                    sorted.remove(&entry);
                }
            };
            let mut queue = Queue::default();
            let (first, rest) = entries.split_at(bulk.min(entries.len()));
            queue.extend(first.to_vec());
            for &entry in first {
                *sorted.entry(entry).or_default() += 1;
            }
            let mut rest = rest.iter();
            let mut cursor = Cursor::default();
            for (last, pushed, steps, room) in lasts {
                for &entry in rest.by_ref().take(pushed) {
                    queue.push(entry);
                    *sorted.entry(entry).or_default() += 1;
                }
                for _ in 0..steps.index(200) {
                    if let Some(entry) = queue.look(&mut cursor) {
                        if entry % 3 == 0 {
                            queue.remove(cursor);
                            forget(&mut sorted, entry);
                        } else {
                            Queue::step(&mut cursor);
                        }
                    }
                }
                let mut taken = Vec::new();
                queue.take(last, room, &mut taken);
                prop_assert!(taken.len() <= room);
                for &entry in &taken {
                    prop_assert!(entry <= last);
                    forget(&mut sorted, entry);
                }
                let is_left = sorted.keys().next().is_some_and(|&least| least <= last);
                prop_assert!(!is_left || taken.len() == room && queue.may_have(last));
            }
            let mut taken = Vec::new();
            queue.take(u64::MAX, usize::MAX, &mut taken);
            prop_assert_eq!(taken.len(), sorted.values().sum::<usize>());
            prop_assert!(!queue.may_have(u64::MAX - 1));
        }
    }
}
