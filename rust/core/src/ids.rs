//! Names of accounts, assets and instruments: integers or strings, numbered in order of first appearance.

use std::fmt;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

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
    table: HashTable<u32>,
    hasher: RandomState,
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

impl Ids {
    /// No ids yet; integers will follow.
    #[must_use]
    pub fn ints() -> Self {
        Self {
            keys: Keys::Int(Vec::new()),
            table: HashTable::new(),
            hasher: RandomState::default(),
        }
    }

    /// No ids yet; strings will follow.
    #[must_use]
    pub fn texts() -> Self {
        let keys = Keys::Text {
            arena: String::new(),
            ends: Vec::new(),
        };
        Self {
            keys,
            table: HashTable::new(),
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
        let hasher = &self.hasher;
        let entry = self.table.entry(
            hasher.hash_one(id),
            |&code| keys[code as usize] == id,
            |&code| hasher.hash_one(keys[code as usize]),
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(entry) => *entry.get(),
            hashbrown::hash_table::Entry::Vacant(entry) => {
                let code = u32::try_from(keys.len()).expect("more than 4 billion ids");
                entry.insert(code);
                keys.push(id);
                code
            }
        }
    }

    /// Number of a string id, which is added if new.
    ///
    /// # Panics
    /// If the ids are integers, or if there are more than `u32::MAX`.
    pub fn intern_text(&mut self, id: &str) -> u32 {
        let Keys::Text { arena, ends } = &mut self.keys else {
            panic!("a string among integer ids")
        };
        let hasher = &self.hasher;
        let entry = self.table.entry(
            hasher.hash_one(id),
            |&code| text(arena, ends, code as usize) == id,
            |&code| hasher.hash_one(text(arena, ends, code as usize)),
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(entry) => *entry.get(),
            hashbrown::hash_table::Entry::Vacant(entry) => {
                let code = u32::try_from(ends.len()).expect("more than 4 billion ids");
                entry.insert(code);
                arena.push_str(id);
                ends.push(arena.len());
                code
            }
        }
    }

    /// Number of an id, if it is known.
    #[must_use]
    pub fn find(&self, id: Id<'_>) -> Option<u32> {
        match (&self.keys, id) {
            (Keys::Int(keys), Id::Int(id)) => {
                // Ids often count up from the first one; then nothing but the id itself is looked at.
                let counted = id.wrapping_sub(keys.first().copied()?);
                if keys.get(counted as usize) == Some(&id) {
                    return Some(counted as u32);
                }
                self.table
                    .find(self.hasher.hash_one(id), |&code| keys[code as usize] == id)
                    .copied()
            }
            (Keys::Text { arena, ends }, Id::Text(id)) => self
                .table
                .find(self.hasher.hash_one(id), |&code| {
                    text(arena, ends, code as usize) == id
                })
                .copied(),
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
        keys + self.table.allocation_size()
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
