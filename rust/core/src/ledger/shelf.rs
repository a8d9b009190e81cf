//! Short lists, one for each account of a block, in one piece of memory: copied at once when a reader holds the block.

use crate::kernel::{fetch, fetch_all};

/// Where one list lies.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    len: u32,
    room: u32,
}

/// One list for each slot.
#[derive(Clone, Debug)]
pub(crate) struct Shelf<T> {
    items: Vec<T>,
    spans: Vec<Span>,
    /// Items of all lists, gaps not counted.
    used: usize,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            spans: Vec::new(),
            used: 0,
        }
    }
}

impl<T: Copy> Shelf<T> {
    /// Adds a slot with an empty list.
    pub(crate) fn push(&mut self) {
        self.spans.push(Span::default());
    }

    /// The list of a slot.
    #[inline]
    pub(crate) fn get(&self, slot: usize) -> &[T] {
        // Where nobody has anything, there is no need to look where it lies.
        if self.items.is_empty() {
            return &[];
        }
        let Span { start, len, .. } = self.spans[slot];
        &self.items[start as usize..][..len as usize]
    }

    /// Asks for where the list of a slot lies.
    pub(crate) fn fetch_place(&self, slot: usize) {
        if !self.items.is_empty() {
            fetch(&self.spans[slot]);
        }
    }

    /// Asks for the list of a slot.
    pub(crate) fn fetch(&self, slot: usize) {
        fetch_all(self.get(slot));
    }

    /// The list of a slot, to be changed in place.
    pub(crate) fn get_mut(&mut self, slot: usize) -> &mut [T] {
        let Span { start, len, .. } = self.spans[slot];
        &mut self.items[start as usize..][..len as usize]
    }

    /// Replaces the list of a slot.
    pub(crate) fn set(&mut self, slot: usize, list: impl ExactSizeIterator<Item = T>) {
        if self.items.is_empty() && list.len() == 0 {
            return;
        }
        let (span, len) = (self.spans[slot], list.len());
        self.used = self.used - span.len as usize + len;
        if len <= span.room as usize {
            self.spans[slot].len = len as u32;
            let places = &mut self.items[span.start as usize..][..len];
            places
                .iter_mut()
                .zip(list)
                .for_each(|(place, item)| *place = item);
            return;
        }
        // A list that grows moves to the end, with room to grow on; the first one is as long as it is.
        let room = if span.room > 0 {
            len + len / 2 + 1
        } else {
            len
        };
        let start = self.items.len();
        assert!(
            u32::try_from(start + room).is_ok(),
            "a block holds fewer than 2^32 entries"
        );
        self.spans[slot] = Span {
            start: start as u32,
            len: len as u32,
            room: room as u32,
        };
        self.items.extend(list);
        let last = self.items[start + len - 1];
        self.items.resize(start + room, last);
        if self.items.len() > 4 * self.used + 64 {
            self.close_gaps();
        }
    }

    fn close_gaps(&mut self) {
        let mut items = Vec::with_capacity(self.used);
        for span in &mut self.spans {
            let list = &self.items[span.start as usize..][..span.len as usize];
            span.start = items.len() as u32;
            span.room = span.len;
            items.extend_from_slice(list);
        }
        self.items = items;
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        size_of::<T>() * self.items.capacity() + size_of::<Span>() * self.spans.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_shelf_is_a_list_of_lists(
            mut lists in prop::collection::vec(prop::collection::vec(any::<u32>(), 0..5), 1..6),
            changes in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u32>(), 0..40)), 0..60),
        ) {
            let mut shelf = Shelf::default();
            for (slot, list) in lists.iter().enumerate() {
                shelf.push();
                shelf.set(slot, list.iter().copied());
            }
            for (slot, list) in changes {
                let slot = slot.index(lists.len());
                shelf.set(slot, list.iter().copied());
                lists[slot] = list;
                for (slot, list) in lists.iter().enumerate() {
                    prop_assert_eq!(shelf.get(slot), list.as_slice());
                }
            }
        }
    }
}
