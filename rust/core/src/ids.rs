//! Names of accounts, assets and instruments: integers or strings, numbered in order of first appearance.

use std::fmt;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::kernel::fetch;

/// An id as the user knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id<'a> {
    /// An integer id.
    Int(i64),
    /// A string id.
    Text(&'a str),
}

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(id) => write!(f, "{id}"),
            Self::Text(id) => write!(f, "'{id}'"),
        }
    }
}

/// Distinct ids, all integers or all strings, each with its number (0, 1, ... in order of first appearance).
///
/// Strings live in one arena and the hash table holds numbers only, so a million ids are three allocations.
#[derive(Clone, Debug)]
pub struct Ids {
    keys: Keys,
    slots: Slots,
    hasher: RandomState,
    /// Whether they are integers, each by 1 larger than the one before.
    count_up: bool,
}

/// Where the number of an id stands, by the upper half of the id's hash: at the place that it says, or after it.
///
/// The hash is kept with the number, so that growing reads no ids, and finding reads one.
#[derive(Clone, Debug, Default)]
struct Slots {
    /// Hashes above, numbers increased by 1 below; 0 where none stands. A power of two of them.
    slots: Vec<u64>,
    used: usize,
}

impl Slots {
    fn place(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.slots.len() as u64) >> 32) as usize
    }

    fn fetch(&self, hash: u32) {
        if let Some(slot) = self.slots.get(self.place(hash)) {
            fetch(slot);
        }
    }

    /// The first number with this hash that is the one.
    #[inline]
    fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = self.place(hash);
        loop {
            let slot = *self.slots.get(at)?;
            if slot == 0 {
                return None;
            }
            if (slot >> 32) as u32 == hash && is_it(slot as u32 - 1) {
                return Some(slot as u32 - 1);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    fn insert(&mut self, hash: u32, code: u32) {
        if 4 * (self.used + 1) > 3 * self.slots.len() {
            let larger = vec![0; (2 * self.slots.len()).max(8)];
            for slot in std::mem::replace(&mut self.slots, larger) {
                if slot != 0 {
                    self.put(slot);
                }
            }
        }
        self.used += 1;
        self.put(u64::from(hash) << 32 | u64::from(code + 1));
    }

    fn put(&mut self, slot: u64) {
        let mut at = self.place((slot >> 32) as u32);
        while self.slots[at] != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = slot;
    }
}

#[derive(Clone, Debug)]
enum Keys {
    Int(Vec<i64>),
    Text { arena: String, ends: Vec<usize> },
}

fn text<'a>(arena: &'a str, ends: &[usize], code: usize) -> &'a str {
    let start = if code == 0 { 0 } else { ends[code - 1] };
    &arena[start..ends[code]]
}

fn upper(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn next_code(len: usize) -> u32 {
    let code = u32::try_from(len).ok().filter(|&code| code < u32::MAX);
    code.expect("more than 4 billion ids")
}

impl Ids {
    /// No ids yet; integers will follow.
    #[must_use]
    pub fn ints() -> Self {
        Self::of(Keys::Int(Vec::new()))
    }

    /// No ids yet; strings will follow.
    #[must_use]
    pub fn texts() -> Self {
        Self::of(Keys::Text {
            arena: String::new(),
            ends: Vec::new(),
        })
    }

    fn of(keys: Keys) -> Self {
        Self {
            count_up: matches!(keys, Keys::Int(_)),
            keys,
            slots: Slots::default(),
            hasher: RandomState::default(),
        }
    }

    /// Number of distinct ids.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.keys {
            Keys::Int(keys) => keys.len(),
            Keys::Text { ends, .. } => ends.len(),
        }
    }

    /// Whether there is no id.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the ids are strings.
    #[must_use]
    pub fn is_text(&self) -> bool {
        matches!(self.keys, Keys::Text { .. })
    }

    /// The integers in order, or `None` if the ids are strings.
    #[must_use]
    pub fn as_ints(&self) -> Option<&[i64]> {
        match &self.keys {
            Keys::Int(keys) => Some(keys),
            Keys::Text { .. } => None,
        }
    }

    /// Number of an integer id, which is added if new.
    ///
    /// # Panics
    /// If the ids are strings, or if there are more than `u32::MAX`.
    pub fn intern_int(&mut self, id: i64) -> u32 {
        let Keys::Int(keys) = &mut self.keys else {
            panic!("an integer among string ids")
        };
        let hash = upper(self.hasher.hash_one(id));
        let known = self.slots.find(hash, |code| keys[code as usize] == id);
        known.unwrap_or_else(|| {
            let code = next_code(keys.len());
            let counted = |first: &i64| first.checked_add(i64::from(code));
            self.count_up &= keys.first().is_none_or(|first| counted(first) == Some(id));
            self.slots.insert(hash, code);
            keys.push(id);
            code
        })
    }

    /// Number of a string id, which is added if new.
    ///
    /// # Panics
    /// If the ids are integers, or if there are more than `u32::MAX`.
    pub fn intern_text(&mut self, id: &str) -> u32 {
        let Keys::Text { arena, ends } = &mut self.keys else {
            panic!("a string among integer ids")
        };
        let hash = upper(self.hasher.hash_one(id));
        let is_it = |code: u32| text(arena, ends, code as usize) == id;
        let known = self.slots.find(hash, is_it);
        known.unwrap_or_else(|| {
            let code = next_code(ends.len());
            self.slots.insert(hash, code);
            arena.push_str(id);
            ends.push(arena.len());
            code
        })
    }

    /// Number of an id, if it is known.
    #[must_use]
    pub fn find(&self, id: Id<'_>) -> Option<u32> {
        if let (true, Keys::Int(keys), Id::Int(id)) = (self.count_up, &self.keys, id) {
            let counted = id.checked_sub(*keys.first()?)?;
            let code = usize::try_from(counted).ok()?;
            return (code < keys.len()).then_some(code as u32);
        }
        self.find_hashed(self.hash(id), id)
    }

    /// Numbers of many ids, as far as they are known. Memory is asked for ahead, so that misses are waited for together.
    pub fn find_many(&self, ids: &[Id<'_>], found: &mut Vec<Option<u32>>) {
        found.clear();
        if self.count_up {
            return found.extend(ids.iter().map(|&id| self.find(id)));
        }
        let hashed = |&id: &Id<'_>| {
            let hash = self.hash(id);
            self.slots.fetch(hash);
            hash
        };
        let hashes: Vec<u32> = ids.iter().map(hashed).collect();
        // The first number with the same hash is nearly always the one.
        let number = |&hash: &u32| {
            let code = self.slots.find(hash, |_| true);
            match (&self.keys, code.map(|code| code as usize)) {
                (_, None) => (),
                (Keys::Int(keys), Some(code)) => fetch(&keys[code]),
                (Keys::Text { ends, .. }, Some(code)) => fetch(&ends[code]),
            }
            code
        };
        found.extend(hashes.iter().map(number));
        if let Keys::Text { arena, ends } = &self.keys {
            for code in found.iter().flatten() {
                if let Some(last) = ends[*code as usize].checked_sub(1) {
                    fetch(&arena.as_bytes()[last]);
                }
            }
        }
        for ((&id, &hash), found) in ids.iter().zip(&hashes).zip(found) {
            *found = self.find_hashed(hash, id);
        }
    }

    fn hash(&self, id: Id<'_>) -> u32 {
        upper(match id {
            Id::Int(id) => self.hasher.hash_one(id),
            Id::Text(id) => self.hasher.hash_one(id),
        })
    }

    #[inline]
    fn find_hashed(&self, hash: u32, id: Id<'_>) -> Option<u32> {
        match (&self.keys, id) {
            (Keys::Int(keys), Id::Int(id)) => {
                self.slots.find(hash, |code| keys[code as usize] == id)
            }
            (Keys::Text { arena, ends }, Id::Text(id)) => {
                let is_it = |code: u32| text(arena, ends, code as usize) == id;
                self.slots.find(hash, is_it)
            }
            _ => None,
        }
    }

    /// The id with this number.
    ///
    /// # Panics
    /// If `code` is not below [`Ids::len`].
    #[must_use]
    pub fn get(&self, code: usize) -> Id<'_> {
        match &self.keys {
            Keys::Int(keys) => Id::Int(keys[code]),
            Keys::Text { arena, ends } => Id::Text(text(arena, ends, code)),
        }
    }

    /// All ids in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Id<'_>> {
        (0..self.len()).map(|code| self.get(code))
    }

    /// Number of an id, which is added if new; `None` if it is of the other kind.
    pub fn intern(&mut self, id: Id<'_>) -> Option<u32> {
        match id {
            Id::Int(id) if !self.is_text() => Some(self.intern_int(id)),
            Id::Text(id) if self.is_text() => Some(self.intern_text(id)),
            _ => None,
        }
    }

    /// What to say beside "no such id": close names, or all of them if there are few.
    #[must_use]
    pub fn hint(&self, id: Id<'_>) -> String {
        let wanted = id.to_string();
        let closest = self
            .iter()
            .map(|known| known.to_string())
            .map(|known| {
                (
                    strsim::jaro_winkler(&wanted.to_lowercase(), &known.to_lowercase()),
                    known,
                )
            })
            .filter(|(score, _)| *score > 0.85)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, name)) = closest {
            return format!("; did you mean {name}?");
        }
        match self.len() {
            0 => "; there are none".to_owned(),
            1..=12 => {
                let names: Vec<String> = self.iter().map(|known| known.to_string()).collect();
                format!("; known: {}", names.join(", "))
            }
            count => format!("; {count} are known, {} among them", self.get(0)),
        }
    }

    /// Bytes held.
    #[must_use]
    pub fn memory(&self) -> usize {
        let keys = match &self.keys {
            Keys::Int(keys) => keys.capacity() * size_of::<i64>(),
            Keys::Text { arena, ends } => arena.capacity() + ends.capacity() * size_of::<usize>(),
        };
        keys + self.slots.slots.capacity() * size_of::<u64>()
    }
}

/// A column of ids, dictionary-encoded: row `r` holds `ids.get(codes[r])`.
#[derive(Clone, Debug)]
pub struct IdColumn {
    /// Number of the id of each row.
    pub codes: Vec<u32>,
    /// The distinct ids, in order of first appearance.
    pub ids: Ids,
}

impl IdColumn {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// The id of a row.
    #[must_use]
    pub fn get(&self, row: usize) -> Id<'_> {
        self.ids.get(self.codes[row] as usize)
    }

    /// First row that holds the id with this number.
    #[must_use]
    pub fn first_row(&self, code: usize) -> usize {
        self.codes
            .iter()
            .position(|&c| c as usize == code)
            .unwrap_or(0)
    }
}

impl<'a> FromIterator<&'a str> for IdColumn {
    fn from_iter<T: IntoIterator<Item = &'a str>>(rows: T) -> Self {
        let mut ids = Ids::texts();
        let codes = rows.into_iter().map(|id| ids.intern_text(id)).collect();
        Self { codes, ids }
    }
}

impl FromIterator<i64> for IdColumn {
    fn from_iter<T: IntoIterator<Item = i64>>(rows: T) -> Self {
        let mut ids = Ids::ints();
        // Rows of one account usually follow each other: the last answer saves most look-ups.
        let mut last = None;
        let codes = rows
            .into_iter()
            .map(|id| match last {
                Some((known, code)) if known == id => code,
                _ => {
                    let code = ids.intern_int(id);
                    last = Some((id, code));
                    code
                }
            })
            .collect();
        Self { codes, ids }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_order_of_first_appearance_and_come_back() {
        let column: IdColumn = ["b", "a", "b", "", "a"].into_iter().collect();
        assert_eq!(column.codes, [0, 1, 0, 2, 1]);
        assert_eq!(
            column.ids.iter().collect::<Vec<_>>(),
            [Id::Text("b"), Id::Text("a"), Id::Text("")]
        );
        assert_eq!(column.ids.find(Id::Text("a")), Some(1));
        assert_eq!(column.ids.find(Id::Text("c")), None);
        assert_eq!(column.ids.find(Id::Int(0)), None);
    }

    #[test]
    fn integers_are_not_strings() {
        let column: IdColumn = [7, 7, -1, i64::MAX].into_iter().collect();
        assert_eq!(column.codes, [0, 0, 1, 2]);
        assert_eq!(column.ids.find(Id::Text("7")), None);
        assert_eq!(column.ids.get(2), Id::Int(i64::MAX));
        for (id, code) in [
            (7, Some(0)),
            (-1, Some(1)),
            (i64::MAX, Some(2)),
            (8, None),
            (i64::MIN, None),
        ] {
            assert_eq!(column.ids.find(Id::Int(id)), code);
        }
    }

    #[test]
    fn many_are_found_as_each_is() {
        let counted: IdColumn = (-5..3_000).collect();
        let scattered: IdColumn = (0..3_000)
            .map(|id: i64| id * id * 77 % 100_003 - 9)
            .collect();
        let names: Vec<String> = (0..3_000).map(|id| format!("{}", id % 2_000)).collect();
        let texts: IdColumn = names.iter().map(String::as_str).chain([""]).collect();
        let ints = (-20..4_000).chain([i64::MIN, i64::MAX]).map(Id::Int);
        let ids: Vec<Id<'_>> = ints
            .chain(texts.ids.iter())
            .chain([Id::Text("?")])
            .collect();
        let mut found = Vec::new();
        for known in [
            &counted.ids,
            &scattered.ids,
            &texts.ids,
            &Ids::ints(),
            &Ids::texts(),
        ] {
            known.find_many(&ids, &mut found);
            for (&id, &found) in ids.iter().zip(&found) {
                assert_eq!(
                    found,
                    known
                        .iter()
                        .position(|other| other == id)
                        .map(|code| code as u32)
                );
                assert_eq!(found, known.find(id));
            }
        }
        assert!(counted.ids.count_up && !scattered.ids.count_up);
    }

    #[test]
    fn a_hint_names_the_close_one() {
        let column: IdColumn = ["BTC-PERP", "ETH-PERP"].into_iter().collect();
        assert_eq!(
            column.ids.hint(Id::Text("BTC-PRP")),
            "; did you mean 'BTC-PERP'?"
        );
        assert_eq!(
            column.ids.hint(Id::Text("zzz")),
            "; known: 'BTC-PERP', 'ETH-PERP'"
        );
    }
}
