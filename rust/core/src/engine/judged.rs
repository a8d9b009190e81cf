//! What came of judging an account, before it is noted.

use super::boxes::Watch;
use super::judge::Verdict;
use super::kept::Kept;
use crate::kernel::{UnitLegs, fetch_all};

/// How an account's legs are kept from now on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Legs {
    /// As they are.
    #[default]
    AsKept,
    /// Not at all: it is not plain.
    NotPlain,
    /// These, with their home.
    Plain(usize),
}

/// How an account stands and what is to be watched of it.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) number: u32,
    /// Whether the table lacked a row: then it must be prepared and judged again.
    pub(crate) is_late: bool,
    /// Whether it is said what is to be watched; if not, there are verdicts alone.
    pub(crate) is_armed: bool,
    /// Of its pool, and of the positions that stand alone.
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) legs: Legs,
    pub(crate) rows: Vec<u32>,
    pub(crate) quantities: Vec<f64>,
    pub(crate) watches: Vec<Watch>,
    /// What its pool's box leaves over.
    pub(crate) reserve: f64,
    /// What is watched of positions that stand alone, by instrument.
    pub(crate) alone: Vec<(u32, Vec<Watch>)>,
}

impl Judged {
    /// Begins anew.
    pub(crate) fn start(&mut self, number: u32, is_armed: bool) {
        self.number = number;
        self.is_armed = is_armed;
        self.is_late = false;
        self.verdicts.clear();
        self.legs = Legs::AsKept;
        self.watches.clear();
        self.alone.clear();
    }

    /// Asks for what another thread may have written.
    pub(crate) fn fetch(&self) {
        fetch_all(&self.verdicts);
        fetch_all(&self.rows);
        fetch_all(&self.quantities);
        fetch_all(&self.watches);
    }

    /// Keeps the legs, if they changed.
    pub(crate) fn keep_legs(&self, kept: &mut Kept) {
        match self.legs {
            Legs::AsKept => {}
            Legs::NotPlain => kept.set_legs(self.number, None),
            Legs::Plain(home) => {
                let unit = UnitLegs {
                    rows: &self.rows,
                    quantities: &self.quantities,
                    home,
                };
                kept.set_legs(self.number, Some(unit));
            }
        }
    }
}
