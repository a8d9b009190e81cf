//! A set of accounts, one bit for each.

/// Accounts by number.
#[derive(Debug, Default)]
pub(crate) struct AccountSet {
    words: Vec<u64>,
    count: usize,
    /// Where the next ones are picked.
    cursor: u32,
}

/// The word of an account, and its bit there.
fn place(account: u32) -> (usize, u64) {
    (account as usize / 64, 1 << (account % 64))
}

/// Numbers of the bits of a word.
fn bits(mut word: u64, number: usize) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(64 * number as u32 + bit)
    })
}

impl AccountSet {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn has(&self, account: u32) -> bool {
        let (word, bit) = place(account);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(crate) fn add(&mut self, account: u32) {
        let (word, bit) = place(account);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.count += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    pub(crate) fn remove(&mut self, account: u32) {
        if self.has(account) {
            let (word, bit) = place(account);
            self.words[word] &= !bit;
            self.count -= 1;
        }
    }

    /// All of them, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.from(0)
    }

    /// Those from an account on, ascending.
    fn from(&self, account: u32) -> impl Iterator<Item = u32> {
        let (first, bit) = place(account);
        let words = self.words.iter().enumerate().skip(first);
        words.flat_map(move |(number, &word)| {
            let before = if number == first { bit - 1 } else { 0 };
            bits(word & !before, number)
        })
    }

    /// So many of them at most, ascending; the next call goes on behind them and comes round, so that nobody waits for ever.
    pub(crate) fn pick(&mut self, most: usize) -> Vec<u32> {
        let cursor = self.cursor;
        let before = self.iter().take_while(|&account| account < cursor);
        let picked = self.from(cursor).chain(before).take(most);
        let mut picked: Vec<u32> = picked.collect();
        self.cursor = picked.last().map_or(0, |last| last + 1);
        picked.sort_unstable();
        picked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_set_has_what_was_added_and_not_removed(
            changes in prop::collection::vec((0..300_u32, any::<bool>()), 0..200),
        ) {
            let (mut set, mut expected) = (AccountSet::default(), BTreeSet::new());
            for (account, is_added) in changes {
                if is_added {
                    set.add(account);
                    expected.insert(account);
                } else {
                    set.remove(account);
                    expected.remove(&account);
                }
                prop_assert_eq!((set.len(), set.is_empty()), (expected.len(), expected.is_empty()));
                prop_assert_eq!(set.has(account), is_added);
            }
            prop_assert!(set.iter().eq(expected.iter().copied()));
            // Each is picked in turn.
            let mut left = expected.clone();
            for _ in 0..expected.len().div_ceil(7) + 1 {
                let picked = set.pick(7);
                prop_assert_eq!(picked.len(), expected.len().min(7));
                prop_assert!(picked.is_sorted_by(|a, b| a < b));
                picked.iter().for_each(|account| _ = left.remove(account));
            }
            prop_assert!(left.is_empty());
        }
    }
}
