//! Positions that stand alone, as subjects of what is watched.

use std::collections::HashMap;

use super::kept::{ALONE, Subject};

/// Isolated positions that were ever seen.
#[derive(Debug, Default)]
pub(crate) struct Alone {
    subjects: HashMap<(u32, u32), Subject>,
    positions: Vec<(u32, u32)>,
}

impl Alone {
    /// The subject of a position, which gets one if it has none.
    pub(crate) fn subject(&mut self, account: u32, instrument: u32) -> Subject {
        let next = ALONE + self.positions.len() as u32;
        let position = (account, instrument);
        let subject = *self.subjects.entry(position).or_insert(next);
        if subject == next {
            self.positions.push(position);
        }
        subject
    }

    pub(crate) fn find(&self, account: u32, instrument: u32) -> Option<Subject> {
        self.subjects.get(&(account, instrument)).copied()
    }

    /// Accounts of all of them, some more than once.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = u32> {
        self.positions.iter().map(|position| position.0)
    }

    /// The account of a subject, whichever it is.
    pub(crate) fn account(&self, subject: Subject) -> u32 {
        if subject < ALONE {
            return subject;
        }
        self.positions[(subject - ALONE) as usize].0
    }
}
