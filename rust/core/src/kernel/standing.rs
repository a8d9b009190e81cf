//! Which scenarios decided the risk of units when they were scanned, and for how far a move they still do.
//!
//! No loss of a unit moves by more than its quantities times what one contract's losses have moved by, and two come nearer
//! to each other by no more than twice that. So scenarios that were further apart are in the same order still.
//!
//! Where all losses rise by one share they keep their order: so they are compared after a share of them is taken, one for all.

use super::RowId;
use super::sieve::REACH;
use super::weights::{Legs, PARTS};

/// More than what f32 and sums in f64 lose, as a share of what a unit reaches.
const LOST: f64 = 1e-6;

/// What was found of a unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// The scenario of what was asked for.
    pub(super) at_rank: u16,
    /// That of the largest loss.
    pub(super) worst: u16,
    /// How far its losses may move for both to be so, as a share of what it reached; not above 0 where that is
    /// not known.
    lead: f32,
}

impl Standing {
    /// Nothing is known.
    pub(crate) const UNKNOWN: Self = Self {
        at_rank: 0,
        worst: 0,
        lead: -1.0,
    };

    #[cfg(test)]
    pub(super) fn lead(self) -> f32 {
        self.lead
    }
}

/// By how much losses have moved since all units were scanned.
#[derive(Debug)]
pub(crate) struct Moves {
    /// By table row: what the losses of one contract have moved by at most, and what it reached then.
    of_rows: Vec<[f64; 2]>,
    /// The largest part of its reach.
    most: f64,
    /// What losses of now are multiplied by before they are compared with those of then.
    share: f64,
}

impl Moves {
    /// None of so many rows, after losses of now are multiplied by a share, which is above 0: of nothing, in rows that are not
    /// set.
    pub(crate) fn none(rows: usize, share: f64) -> Self {
        Self {
            of_rows: vec![[0.0; 2]; rows],
            most: 0.0,
            share,
        }
    }

    /// Sets those of a row.
    pub(crate) fn set(&mut self, row: usize, moved: f64, reach: f64) {
        self.of_rows[row] = [moved, reach];
        let share = if moved == 0.0 { 0.0 } else { moved / reach };
        if share.is_nan() {
            // Who knows.
            self.most = f64::INFINITY;
        } else if share > self.most {
            self.most = share;
        }
    }

    /// What the losses of a unit have moved by at most, and what it reached.
    ///
    /// # Safety
    /// No row is beyond those that there are.
    #[inline(always)]
    unsafe fn of_unit<R: RowId>(&self, legs: Legs<'_, R>) -> [f64; 2] {
        let (mut moved, mut reach) = (0.0, 0.0);
        for (row, quantity) in legs.rows.iter().zip(legs.quantities) {
            // SAFETY: the caller's promise.
            let [own_moved, own_reach] = unsafe { *self.of_rows.get_unchecked(row.index()) };
            moved = f64::mul_add(quantity.abs(), own_moved, moved);
            reach = f64::mul_add(quantity.abs(), own_reach, reach);
        }
        [moved, reach]
    }
}

/// What scanning has found of a unit.
#[derive(Clone, Copy)]
pub(super) struct Found {
    /// The scenarios of what was asked for and of the largest loss.
    pub(super) scenarios: [u32; 2],
    /// By how much sums of products are further apart than needed to be in order.
    pub(super) gap: i32,
    /// What the unit reaches.
    pub(super) reach: f64,
}

/// What is known of the units that are scanned, in their order, and what is found of them.
#[derive(Debug)]
pub(crate) struct Standings<'a> {
    of_units: &'a mut [Standing],
    moves: &'a Moves,
    /// Of how many units something was known that does not suffice any longer.
    outlived: usize,
}

impl<'a> Standings<'a> {
    /// Of so many units at least; no row may be beyond those of the moves.
    pub(crate) fn new(of_units: &'a mut [Standing], moves: &'a Moves) -> Self {
        Self {
            of_units,
            moves,
            outlived: 0,
        }
    }

    /// Rows that there are moves of.
    pub(super) fn rows(&self) -> usize {
        self.moves.of_rows.len()
    }

    /// Of how many units something was known that does not suffice any longer.
    pub(super) fn outlived(&self) -> usize {
        self.outlived
    }

    /// What decides the risk of a unit still, if that is known.
    ///
    /// # Safety
    /// No row is beyond those that there are.
    #[inline(always)]
    pub(super) unsafe fn known<R: RowId>(
        &mut self,
        unit: usize,
        legs: Legs<'_, R>,
    ) -> Option<Standing> {
        let standing = self.of_units[unit];
        let lead = f64::from(standing.lead);
        if lead > self.moves.most {
            return Some(standing);
        }
        if lead <= 0.0 {
            return None;
        }
        // SAFETY: the caller's promise.
        let [moved, reach] = unsafe { self.moves.of_unit(legs) };
        if lead * reach > moved {
            return Some(standing);
        }
        self.outlived += 1;
        None
    }

    /// Notes what was found of a unit.
    ///
    /// # Safety
    /// No row is beyond those that there are.
    #[inline(always)]
    pub(super) unsafe fn note<R: RowId>(&mut self, unit: usize, legs: Legs<'_, R>, found: Found) {
        // SAFETY: the caller's promise.
        let [moved, reach] = unsafe { self.moves.of_unit(legs) };
        let apart = f64::from(found.gap) * (0.5 / (PARTS * REACH)) * found.reach * self.moves.share;
        let lead = ((apart - moved - LOST * (reach + moved)) / reach) as f32;
        let standing = &mut self.of_units[unit];
        // What was known is true as well, where prices come back.
        if reach > 0.0 && lead > standing.lead {
            let [at_rank, worst] = found.scenarios.map(|scenario| scenario as u16);
            *standing = Standing {
                at_rank,
                worst,
                lead,
            };
        }
    }
}
