//! Legs in units, packed for the kernel.

use super::RowId;
use super::block::UnitLegs;
use super::rules::Charges;

/// Consecutive units of one leg count, so that the inner loop has no unpredictable end.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Legs per unit, spare ones included.
    pub slots: u32,
    /// Number of units.
    pub units: u32,
}

/// What the kernel knows of a unit beside its legs.
#[derive(Clone, Copy, Debug)]
pub struct UnitFacts<R> {
    /// Row of the output that the unit writes.
    pub target: u32,
    /// The asset in which the unit nets (0: none, else asset + 1).
    pub home: R,
}

/// Units of a block: groups of legs netted together, in runs by leg count.
#[derive(Clone, Debug)]
pub struct Units<R> {
    pub(super) runs: Vec<Run>,
    pub(super) rows: Vec<R>,
    pub(super) quantities: Vec<f64>,
    pub(super) facts: Vec<UnitFacts<R>>,
    pub(super) charges: Charges,
    /// Above every row, so that a table is long enough exactly if it has this many.
    pub(super) row_bound: usize,
}

impl<R: RowId> Units<R> {
    /// Units made of legs.
    ///
    /// `rows` and `quantities` hold the legs of each unit, spare ones pointing to the all-zero row 0 included.
    ///
    /// # Panics
    /// If the runs do not cover the legs and units.
    #[must_use]
    pub fn new(
        runs: Vec<Run>,
        rows: Vec<R>,
        quantities: Vec<f64>,
        facts: Vec<UnitFacts<R>>,
        charges: Charges,
    ) -> Self {
        let units: usize = runs.iter().map(|run| run.units as usize).sum();
        let legs: usize = runs
            .iter()
            .map(|run| run.units as usize * run.slots as usize)
            .sum();
        assert_eq!(
            (rows.len(), quantities.len(), facts.len()),
            (legs, legs, units)
        );
        assert!(runs.iter().all(|run| run.slots > 0));
        let row_bound = rows.iter().map(|row| row.index() + 1).max().unwrap_or(0);
        Self {
            runs,
            rows,
            quantities,
            facts,
            charges,
            row_bound,
        }
    }

    /// Number of units.
    #[must_use]
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Whether there is no unit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// Number of legs, spare ones not counted.
    #[must_use]
    pub fn legs(&self) -> usize {
        self.rows.iter().filter(|row| row.index() != 0).count()
    }

    /// Where the legs of each unit begin, and where those of the last one end.
    pub(super) fn first_legs(&self) -> Vec<u32> {
        let mut first = Vec::with_capacity(self.len() + 1);
        let mut at = 0;
        first.push(at);
        for run in &self.runs {
            for _ in 0..run.units {
                at += run.slots;
                first.push(at);
            }
        }
        first
    }

    /// What is known of each unit beside its legs.
    pub(crate) fn facts(&self) -> &[UnitFacts<R>] {
        &self.facts
    }

    /// Every unit with its rows and quantities; spare legs point to row 0.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (UnitFacts<R>, &[R], &[f64])> {
        let runs = self.runs.iter();
        let slots =
            runs.flat_map(|run| std::iter::repeat_n(run.slots as usize, run.units as usize));
        let mut start = 0;
        self.facts.iter().zip(slots).map(move |(&facts, slots)| {
            let legs = start..start + slots;
            start += slots;
            (facts, &self.rows[legs.clone()], &self.quantities[legs])
        })
    }

    /// The units to which `renamed` gives a new target, in the same order; without their exposures and orders, which
    /// matter to initial margin alone.
    fn only(&self, renamed: impl Fn(u32) -> Option<u32>) -> Self {
        let (mut runs, mut facts): (Vec<Run>, _) = (Vec::new(), Vec::new());
        let (mut rows, mut quantities) = (Vec::new(), Vec::new());
        let (mut of_runs, mut first_leg) = (self.facts.as_slice(), 0);
        for &Run { slots, units } in &self.runs {
            let (mine, others) = of_runs.split_at(units as usize);
            of_runs = others;
            let before = facts.len();
            for (unit, &fact) in mine.iter().enumerate() {
                if let Some(target) = renamed(fact.target) {
                    let start = first_leg + unit * slots as usize;
                    let legs = start..start + slots as usize;
                    rows.extend_from_slice(&self.rows[legs.clone()]);
                    quantities.extend_from_slice(&self.quantities[legs]);
                    facts.push(UnitFacts { target, ..fact });
                }
            }
            let left = (facts.len() - before) as u32;
            if left > 0 {
                runs.push(Run { slots, units: left });
            }
            first_leg += slots as usize * units as usize;
        }
        Self::new(runs, rows, quantities, facts, Charges::default())
    }

    /// Bytes held.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.rows.capacity() * size_of::<R>()
            + self.quantities.capacity() * size_of::<f64>()
            + self.facts.capacity() * size_of::<UnitFacts<R>>()
            + self.runs.capacity() * size_of::<Run>()
            + self.charges.memory()
    }
}

/// Where an account that is one unit stands among the others.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UnitPlace {
    unit: u32,
    first_leg: u32,
    /// Legs that there is room for; 0 if the account is not one unit, or is charged for more than its legs.
    slots: u32,
}

impl UnitPlace {
    /// Whether other legs of the account have room there.
    pub(crate) fn has_room(self, legs: UnitLegs<'_, u32>) -> bool {
        self.slots > 0 && legs.rows.len() <= self.slots as usize
    }
}

/// The units of one block of accounts.
#[derive(Clone, Debug)]
pub struct BlockUnits<R> {
    /// Accounts that are one unit; targets are slots of the block.
    pub whole: Units<R>,
    /// Units of the other accounts; targets are parts, which follow the order of `folds`.
    pub parts: Units<R>,
    /// The accounts that have several units.
    pub folds: Vec<Fold>,
}

/// An account of several units.
#[derive(Clone, Copy, Debug)]
pub struct Fold {
    /// Slot of the account.
    pub target: u32,
    /// Number of its parts.
    pub parts: u32,
}

/// Is not one of those asked for.
const NO_PLACE: u32 = u32::MAX;

impl<R: RowId> BlockUnits<R> {
    /// Some accounts of the block alone: `slots`, which ascend, become slots 0, 1, and so on. Exposures and orders stay
    /// away, which matter to initial margin alone.
    pub(crate) fn only(&self, slots: &[u32], of: usize) -> Self {
        let mut place = vec![NO_PLACE; of];
        for (at, &slot) in slots.iter().enumerate() {
            place[slot as usize] = at as u32;
        }
        let renamed = |place: &[u32], target: u32| {
            let place = place[target as usize];
            (place != NO_PLACE).then_some(place)
        };
        let (mut folds, mut part_place) = (Vec::new(), Vec::with_capacity(self.parts.len()));
        let mut parts = 0;
        for fold in &self.folds {
            let Some(target) = renamed(&place, fold.target) else {
                part_place.extend(std::iter::repeat_n(NO_PLACE, fold.parts as usize));
                continue;
            };
            part_place.extend(parts..parts + fold.parts);
            parts += fold.parts;
            folds.push(Fold { target, ..*fold });
        }
        Self {
            whole: self.whole.only(|target| renamed(&place, target)),
            parts: self.parts.only(|target| renamed(&part_place, target)),
            folds,
        }
    }

    /// Where each account stands, by slot.
    pub(crate) fn places(&self, slots: usize) -> Vec<UnitPlace> {
        let mut places = vec![UnitPlace::default(); slots];
        let first = self.whole.first_legs();
        let charges = &self.whole.charges.units;
        for (unit, facts) in self.whole.facts.iter().enumerate() {
            if charges.get(unit).is_none_or(|&count| count == 0) {
                places[facts.target as usize] = UnitPlace {
                    unit: unit as u32,
                    first_leg: first[unit],
                    slots: first[unit + 1] - first[unit],
                };
            }
        }
        places
    }

    /// Replaces the legs of an account; there must be room.
    pub(crate) fn replace(&mut self, place: UnitPlace, legs: UnitLegs<'_, u32>) {
        let units = &mut self.whole;
        let mine = place.first_leg as usize..(place.first_leg + place.slots) as usize;
        units.quantities[mine.clone()].fill(0.0);
        units.quantities[mine.start..][..legs.rows.len()].copy_from_slice(legs.quantities);
        units.rows[mine.clone()].fill(R::from_index(0));
        for (place, &row) in units.rows[mine].iter_mut().zip(legs.rows) {
            *place = R::from_index(row as usize);
            units.row_bound = units.row_bound.max(row as usize + 1);
        }
        units.facts[place.unit as usize].home = R::from_index(legs.home);
    }

    /// Every unit with its rows and quantities, parts too; targets are slots of the block.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (UnitFacts<R>, &[R], &[f64])> {
        let folds = self.folds.iter();
        let slots = folds.flat_map(|fold| std::iter::repeat_n(fold.target, fold.parts as usize));
        let slots: Vec<u32> = slots.collect();
        let parts = self.parts.iter().map(move |(facts, rows, quantities)| {
            let target = slots[facts.target as usize];
            (UnitFacts { target, ..facts }, rows, quantities)
        });
        self.whole.iter().chain(parts)
    }

    /// Bytes held.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.whole.memory() + self.parts.memory() + self.folds.capacity() * size_of::<Fold>()
    }
}
