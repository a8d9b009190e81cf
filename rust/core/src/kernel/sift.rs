//! Which scenarios can matter to one unit, by its losses in f32; and what is asked for, where these are many.

use super::coarse::{LANES_A_WORD, at_least, group_maxima, of_rank, ones};
use super::floats::Floats;
use super::lanes::Lanes;
use super::losses::LossTable;
use super::scenarios::{Measure, NO_SCENARIO};
use super::sieve::Sieve;
use super::weights::{Factors, Legs, MOST_LEGS, Weights};
use super::{Row, RowId};
use std::cmp::Ordering;

/// The memory that sifting uses again from unit to unit.
pub(super) struct Sift<'a> {
    table: &'a LossTable,
    sieve: &'a Sieve,
    measure: Measure,
    /// Losses in f32.
    coarse: Vec<Row>,
    /// The largest losses of some groups of scenarios.
    groups: Vec<Row>,
    /// Scenarios that can matter, as bits.
    found: Vec<u64>,
    /// Losses with their scenarios.
    losses: Vec<(f64, u32)>,
    /// The legs of a unit, and these as whole numbers.
    weights: Weights,
    factors: Factors,
}

/// What the losses in f32 say of a unit.
#[derive(Clone, Copy)]
pub(super) enum Sifted {
    /// What is asked for is the loss of one scenario; the largest is that of another, or the same.
    One { scenario: u32, worst: u32 },
    /// What is asked for, at least 0, and the scenario of the largest loss.
    All(f64, u32),
    /// Too many scenarios can matter.
    Nothing,
}

impl<'a> Sift<'a> {
    pub(super) fn new(table: &'a LossTable, sieve: &'a Sieve, measure: Measure) -> Self {
        let lanes = 2 * sieve.pairs;
        let (rank, _) = measure.rank();
        // Twice as many groups as ranks, so that few of the largest share one.
        let groups = rank.div_ceil(8).min(lanes);
        Self {
            table,
            sieve,
            measure,
            coarse: vec![Row::default(); lanes],
            groups: vec![Row::default(); groups],
            found: vec![0; lanes.div_ceil(LANES_A_WORD)],
            losses: Vec::new(),
            weights: Weights::none(),
            factors: [0; MOST_LEGS],
        }
    }

    /// Finds out from losses in f32, which hold what a unit may lose, which scenarios can matter to it.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    pub(super) unsafe fn sift<L: Lanes, F: Floats, R: RowId>(
        &mut self,
        legs: Legs<'_, R>,
    ) -> Sifted {
        let (weights, factors) = (&mut self.weights, &mut self.factors);
        // SAFETY: the caller's promise.
        unsafe {
            let error = (self.sieve).losses::<L, F, R>(legs, weights, factors, &mut self.coarse);
            self.sifted::<F, R>(legs, error)
        }
    }

    /// What the losses kept in f32, off by no more than `error`, leave to be summed in f64.
    ///
    /// Where no loss is off by more than `error`, neither is the `rank`-th largest. So what lies further than twice that above
    /// or below the `rank`-th largest in f32 is surely above or below the true one.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn sifted<F: Floats, R: RowId>(&mut self, legs: Legs<'_, R>, error: f32) -> Sifted {
        // Twice the error, and what comparing in f32 rounds.
        let apart = 2.5 * error;
        let top = group_maxima::<F>(&self.coarse, &mut self.groups);
        if top + apart <= 0.0 {
            return Sifted::All(0.0, NO_SCENARIO);
        }
        let (rank, _) = self.measure.rank();
        let least = if rank == 1 {
            top
        } else {
            of_rank::<F>(&mut self.groups, rank)
        };
        let count = at_least::<F>(&self.coarse, least - apart, &mut self.found);
        if rank == 1 && count == 1 {
            let scenario = ones(&self.found).next().expect("one was counted");
            let worst = scenario;
            return Sifted::One { scenario, worst };
        }
        if count > 2 * rank + MANY {
            return Sifted::Nothing;
        }
        if rank > 1
            && count <= 16
            && let Some(sifted) = self.alone::<F>(top, apart)
        {
            return sifted;
        }
        // SAFETY: the caller's promise.
        unsafe { self.several(legs) }
    }

    /// The one scenario found that can be what is asked for, if there is one alone; at most sixteen were found.
    #[inline(always)]
    fn alone<F: Floats>(&self, top: f32, apart: f32) -> Option<Sifted> {
        let Measure::Quantile { rank } = self.measure else {
            return None;
        };
        let (mut losses, mut scenarios) = ([f32::NEG_INFINITY; 16], [0; 16]);
        let (mut place, mut first) = (0, 0);
        // By hand: the iterator costs a tenth of a quantile.
        for &word in &self.found {
            let mut word = word;
            while word != 0 {
                let scenario = first + word.trailing_zeros();
                // At most sixteen, as the caller has counted.
                losses[place & 15] = self.coarse(scenario);
                scenarios[place & 15] = scenario;
                place += 1;
                word &= word - 1;
            }
            first += u64::BITS;
        }
        let losses: Row = bytemuck::cast(losses);
        let at_rank = of_rank::<F>(&mut [losses], rank);
        let reach = |least: f32| F::load(&losses).at_least(F::splat(least));
        let near_top = reach(top - apart);
        if near_top.count_ones() > 1 || top - apart <= 0.0 {
            return None;
        }
        let worst = scenarios[near_top.trailing_zeros() as usize];
        if at_rank + apart <= 0.0 {
            return Some(Sifted::All(0.0, worst));
        }
        let near = reach(at_rank - apart) & !reach(at_rank + apart);
        let scenario = scenarios[near.trailing_zeros() as usize];
        (near.count_ones() == 1).then_some(Sifted::One { scenario, worst })
    }

    /// What is asked for, from the losses in f64 of all scenarios found.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn several<R: RowId>(&mut self, legs: Legs<'_, R>) -> Sifted {
        let (rank, mean) = self.measure.rank();
        let mut losses = std::mem::take(&mut self.losses);
        losses.clear();
        let inside = |scenario: &u32| (*scenario as usize) < self.table.scenarios;
        for scenario in ones(&self.found).filter(inside) {
            // SAFETY: the caller's promise.
            losses.push((unsafe { self.table.loss(legs, scenario) }, scenario));
        }
        let (loss, worst) = tail(&mut losses, rank, mean);
        self.losses = losses;
        Sifted::All(loss, worst)
    }

    #[inline(always)]
    fn coarse(&self, scenario: u32) -> f32 {
        let coarse: &[f32] = bytemuck::cast_slice(&self.coarse);
        coarse[scenario as usize]
    }

    /// What is asked for and the scenario of the largest loss, from all losses in f64.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    pub(super) unsafe fn in_full<L: Lanes, R: RowId>(&mut self, legs: Legs<'_, R>) -> (f64, u32) {
        self.losses.clear();
        let width = 1 + self.table.lanes;
        for lane in 0..self.table.lanes {
            let mut sum = L::zero();
            for (row, &quantity) in legs.rows.iter().zip(legs.quantities) {
                let place = row.index() * width + 1 + lane;
                // SAFETY: the caller's promise; `lane` is one of the table.
                let losses = unsafe { self.table.rows.get_unchecked(place) };
                sum = L::splat(quantity).mul_add(L::load(losses), sum);
            }
            let losses = sum.to_row().0;
            self.losses
                .extend(losses.into_iter().zip(8 * lane as u32..));
        }
        self.losses.truncate(self.table.scenarios);
        let (rank, mean) = self.measure.rank();
        tail(&mut self.losses, rank, mean)
    }
}

/// So many scenarios more than asked for are summed one by one before all are summed at once.
const MANY: usize = 24;

/// The `rank`-th largest loss, or the mean of those up to it; and the scenario of the largest, the first of equal ones.
#[inline(always)]
fn tail(losses: &mut [(f64, u32)], rank: usize, mean: bool) -> (f64, u32) {
    losses.select_nth_unstable_by(rank - 1, larger);
    let tail = &mut losses[..rank];
    tail.sort_unstable_by(larger);
    let (largest, scenario) = tail[0];
    let worst = if largest > 0.0 { scenario } else { NO_SCENARIO };
    let loss = if mean {
        // Ascending, so that small ones are not lost.
        let sum = tail.iter().rev().fold(0.0, |sum, (loss, _)| sum + loss);
        sum / rank as f64
    } else {
        tail[rank - 1].0
    };
    (loss, worst)
}

/// The larger loss goes first, of equal ones that of the lower scenario.
pub(super) fn larger(a: &(f64, u32), b: &(f64, u32)) -> Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}
