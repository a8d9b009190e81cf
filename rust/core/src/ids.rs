//! Names of accounts, assets and instruments: integers or strings, numbered in order of first appearance.

use std::fmt;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::kernel::{fetch, with_room};

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
/// Strings live in one arena and the hash table holds numbers and tags, so a million ids are three allocations.
#[derive(Clone, Debug)]
pub struct Ids {
    keys: Keys,
    slots: Slots,
    hasher: RandomState,
    /// By how much each is larger than the one before, if they are integers and that is the same for all; else 0.
    step: u64,
    /// Whether they are integers that all have a tag: see [`tag_of`].
    are_near: bool,
}

/// Where the number of an id stands: at the place that the id's hash says, or after it.
#[derive(Clone, Debug, Default)]
struct Slots {
    /// Tags above, numbers increased by 1 below; 0 where none stands. A power of two of them.
    slots: Vec<u64>,
    used: usize,
}

/// What an id is looked up by.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// The upper half of its hash, which says where.
    hash: u32,
    /// What stands with the number, so that finding reads one id at most, and growing none: of integers that are near to
    /// the first one how far they are, and then finding reads none; of others the hash.
    tag: u32,
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

    /// The first number with this tag that is the one.
    #[inline]
    fn find(&self, mark: Mark, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = self.place(mark.hash);
        loop {
            let slot = *self.slots.get(at)?;
            if slot == 0 {
                return None;
            }
            if (slot >> 32) as u32 == mark.tag && is_it(slot as u32 - 1) {
                return Some(slot as u32 - 1);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Adds a number; `hash` says that of a tag.
    fn insert(&mut self, mark: Mark, code: u32, hash: impl Fn(u32) -> u32) {
        if 4 * (self.used + 1) > 3 * self.slots.len() {
            let larger = Self::of((2 * self.slots.len()).max(8));
            for slot in std::mem::replace(&mut self.slots, larger) {
                if slot != 0 {
                    self.put(hash((slot >> 32) as u32), slot);
                }
            }
        }
        self.used += 1;
        self.put(mark.hash, slot(mark.tag, code));
    }

    fn of(count: usize) -> Vec<u64> {
        let mut slots = with_room(count);
        slots.resize(count, 0);
        slots
    }

    fn put(&mut self, hash: u32, slot: u64) {
        let mut at = self.place(hash);
        while self.slots[at] != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = slot;
    }
}

/// How far an integer is from the first one, if 32 signed bits can say so.
fn tag_of(first: i64, id: i64) -> Option<u32> {
    let from_first = i32::try_from(id.checked_sub(first)?).ok()?;
    Some(from_first.cast_unsigned())
}

/// The integer with a tag.
fn of_tag(first: i64, tag: u32) -> i64 {
    first.wrapping_add(tag.cast_signed().into())
}

fn slot(tag: u32, code: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(code + 1)
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
            step: matches!(keys, Keys::Int(_)).into(),
            are_near: matches!(keys, Keys::Int(_)),
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
        assert!(!self.is_text(), "an integer among string ids");
        let known = self.find_marked(self.mark(Id::Int(id)), Id::Int(id));
        known.unwrap_or_else(|| self.add_int(id))
    }

    /// Adds an integer that is new.
    fn add_int(&mut self, id: i64) -> u32 {
        let Keys::Int(keys) = &mut self.keys else {
            unreachable!("ids of two kinds")
        };
        let code = next_code(keys.len());
        keys.push(id);
        let first = keys[0];
        let from_first = id
            .checked_sub(first)
            .and_then(|far| u64::try_from(far).ok());
        match (code, from_first) {
            (0, _) => (),
            (1, Some(far)) => self.step = far,
            (_, Some(far)) if u64::from(code).checked_mul(self.step) == Some(far) => (),
            _ => self.step = 0,
        }
        if self.are_near && tag_of(first, id).is_none() {
            self.spread();
            return code;
        }
        let (mark, are_near, hasher) = (self.mark(Id::Int(id)), self.are_near, &self.hasher);
        self.slots.insert(mark, code, |tag| match are_near {
            true => upper(hasher.hash_one(of_tag(first, tag))),
            false => tag,
        });
        code
    }

    /// Tells integers apart by their hashes from now on, because one that came is far from the first one.
    fn spread(&mut self) {
        self.are_near = false;
        self.slots = Slots::default();
        for code in 0..self.len() {
            let mark = self.mark(self.get(code));
            self.slots.insert(mark, code as u32, |tag| tag);
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
        let hash = upper(self.hasher.hash_one(id));
        let mark = Mark { hash, tag: hash };
        let is_it = |code: u32| text(arena, ends, code as usize) == id;
        let known = self.slots.find(mark, is_it);
        known.unwrap_or_else(|| {
            let code = next_code(ends.len());
            self.slots.insert(mark, code, |tag| tag);
            arena.push_str(id);
            ends.push(arena.len());
            code
        })
    }

    /// Number of an id, if it is known.
    #[must_use]
    pub fn find(&self, id: Id<'_>) -> Option<u32> {
        if let (Keys::Int(keys), Id::Int(id), 1..) = (&self.keys, id, self.step) {
            let far = u64::try_from(id.checked_sub(*keys.first()?)?).ok()?;
            let code = far / self.step;
            let is_one = far.is_multiple_of(self.step) && code < keys.len() as u64;
            return is_one.then_some(code as u32);
        }
        self.find_marked(self.mark(id), id)
    }

    /// Numbers of many ids, as far as they are known. Memory is asked for ahead, so that misses are waited for together.
    pub fn find_many(&self, ids: &[Id<'_>], found: &mut Vec<Option<u32>>) {
        found.clear();
        if self.step > 0 {
            return found.extend(ids.iter().map(|&id| self.find(id)));
        }
        let marked = |&id: &Id<'_>| {
            let mark = self.mark(id);
            self.slots.fetch(mark.hash);
            mark
        };
        let marks: Vec<Mark> = ids.iter().map(marked).collect();
        // The first number with the same tag is nearly always the one.
        let number = |&mark: &Mark| {
            let code = self.slots.find(mark, |_| true);
            match (&self.keys, code.map(|code| code as usize)) {
                (Keys::Int(keys), Some(code)) if !self.are_near => fetch(&keys[code]),
                (Keys::Text { ends, .. }, Some(code)) => fetch(&ends[code]),
                _ => (),
            }
            code
        };
        found.extend(marks.iter().map(number));
        if let Keys::Text { arena, ends } = &self.keys {
            for code in found.iter().flatten() {
                if let Some(last) = ends[*code as usize].checked_sub(1) {
                    fetch(&arena.as_bytes()[last]);
                }
            }
        }
        for ((&id, &mark), found) in ids.iter().zip(&marks).zip(found) {
            *found = self.find_marked(mark, id);
        }
    }

    fn mark(&self, id: Id<'_>) -> Mark {
        let hash = upper(match id {
            Id::Int(id) => self.hasher.hash_one(id),
            Id::Text(id) => self.hasher.hash_one(id),
        });
        let tag = match (&self.keys, id) {
            (Keys::Int(keys), Id::Int(id)) if self.are_near => {
                let first = keys.first().copied().unwrap_or(id);
                tag_of(first, id).unwrap_or_default()
            }
            _ => hash,
        };
        Mark { hash, tag }
    }

    #[inline]
    fn find_marked(&self, mark: Mark, id: Id<'_>) -> Option<u32> {
        match (&self.keys, id) {
            (Keys::Int(keys), Id::Int(id)) => {
                // One that is not near to the first one is not known.
                if self.are_near {
                    tag_of(*keys.first()?, id)?;
                    return self.slots.find(mark, |_| true);
                }
                self.slots.find(mark, |code| keys[code as usize] == id)
            }
            (Keys::Text { arena, ends }, Id::Text(id)) => {
                let is_it = |code: u32| text(arena, ends, code as usize) == id;
                self.slots.find(mark, is_it)
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
        let by_sevens: IdColumn = (-2..3_000).map(|id| 7 * id).collect();
        let far: IdColumn = (0..3_000).map(|id| (id % 2_000) << (id % 40)).collect();
        let names: Vec<String> = (0..3_000).map(|id| format!("{}", id % 2_000)).collect();
        let texts: IdColumn = names.iter().map(String::as_str).chain([""]).collect();
        // The last one is as far from 0 as the tag of 0 wraps.
        let ints = (-20..4_000)
            .chain([i64::MIN, i64::MAX, 1 << 32])
            .map(Id::Int);
        let ids: Vec<Id<'_>> = ints
            .chain(texts.ids.iter())
            .chain([Id::Text("?")])
            .collect();
        let mut found = Vec::new();
        for known in [
            &counted.ids,
            &by_sevens.ids,
            &scattered.ids,
            &far.ids,
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
        let steps = [&counted, &by_sevens, &scattered, &far].map(|column| column.ids.step);
        assert_eq!(steps, [1, 7, 0, 0]);
        assert!(scattered.ids.are_near && !far.ids.are_near);
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
