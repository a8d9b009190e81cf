//! Legs in units, packed for the kernel.

use super::RowId;

/// Consecutive units of one leg count, so that the inner loop has no unpredictable end.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Legs per unit, spare ones included.
    pub slots: u32,
    /// Number of units.
    pub units: u32,
}

/// Units of a block: groups of legs netted together, in runs by leg count.
#[derive(Debug)]
pub struct Units<R> {
    pub(super) runs: Vec<Run>,
    pub(super) rows: Vec<R>,
    pub(super) quantities: Vec<f64>,
    pub(super) targets: Vec<u32>,
    pub(super) homes: Vec<R>,
    /// Above every row, so that a table is long enough exactly if it has this many.
    pub(super) row_bound: usize,
}

impl<R: RowId> Units<R> {
    /// Units made of legs.
    ///
    /// `rows` and `quantities` hold the legs of each unit, spare ones pointing to the all-zero row 0 included;
    /// `targets` the output row that each unit writes; `homes` the asset in which it nets (0: none), whose weights
    /// are the rows `2 * home` and `2 * home + 1`.
    ///
    /// # Panics
    /// If the runs do not cover the legs and units.
    #[must_use]
    pub fn new(
        runs: Vec<Run>,
        rows: Vec<R>,
        quantities: Vec<f64>,
        targets: Vec<u32>,
        homes: Vec<R>,
    ) -> Self {
        let units: usize = runs.iter().map(|run| run.units as usize).sum();
        let legs: usize = runs
            .iter()
            .map(|run| run.units as usize * run.slots as usize)
            .sum();
        assert_eq!((rows.len(), quantities.len()), (legs, legs));
        assert_eq!((targets.len(), homes.len()), (units, units));
        assert!(runs.iter().all(|run| run.slots > 0));
        let row_bound = rows.iter().map(|row| row.index() + 1).max().unwrap_or(0);
        Self {
            runs,
            rows,
            quantities,
            targets,
            homes,
            row_bound,
        }
    }

    /// Number of units.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is no unit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Number of legs, spare ones not counted.
    #[must_use]
    pub fn legs(&self) -> usize {
        self.rows.iter().filter(|row| row.index() != 0).count()
    }

    /// Bytes held.
    #[must_use]
    pub fn memory(&self) -> usize {
        (self.rows.capacity() + self.homes.capacity()) * size_of::<R>()
            + self.quantities.capacity() * size_of::<f64>()
            + self.targets.capacity() * size_of::<u32>()
            + self.runs.capacity() * size_of::<Run>()
    }
}

/// The units of one block of accounts.
#[derive(Debug)]
pub struct BlockUnits<R> {
    /// Accounts that are one unit; targets are slots of the block.
    pub whole: Units<R>,
    /// Units of the other accounts; targets are parts, which follow the order of `folds`.
    pub parts: Units<R>,
    /// Slot and number of parts of each account that has several.
    pub folds: Vec<(u32, u32)>,
}

impl<R: RowId> BlockUnits<R> {
    /// Bytes held.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.whole.memory() + self.parts.memory() + self.folds.capacity() * size_of::<(u32, u32)>()
    }
}
