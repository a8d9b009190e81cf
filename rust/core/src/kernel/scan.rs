//! Units scanned for their largest few losses: weighed, summed in whole numbers and ranked, and what that leaves summed in f64.

use super::coarse::{LANES_A_WORD, at_least, group_maxima, of_rank, ones};
use super::fetch::{fetch, fetch_ahead};
use super::floats::Floats;
use super::lanes::Lanes;
use super::losses::{LossTable, charge};
use super::ranking::{Kept, MOST_RANKS, MOST_ROWS, Near, RANKED_TOGETHER, Ranking, Scenarios};
use super::scenarios::{Measure, NO_SCENARIO, Scanner, UnitRisk, positive};
use super::sieve::{BIAS, Sieve};
use super::weights::{Factors, Legs, MOST_LEGS, PARTS, Weights, sum};
use super::{Row, RowId, Units};
use std::cmp::Ordering;

/// One pass over units, and the memory that it uses again from unit to unit.
pub(super) struct Scan<'a> {
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
    /// The rank of the loss that is asked for, where ranking can find it.
    rank: Option<usize>,
    /// Units that are being ranked.
    ranking: Ranking,
    /// The same, as they were added.
    unranked: Vec<Place>,
    /// What they reach.
    reaches: [f64; RANKED_TOGETHER],
    /// Their legs, and these as whole numbers.
    weights: Vec<Weights>,
    factors: Vec<Factors>,
    /// The same of one that is not ranked.
    weights_alone: Weights,
    factors_alone: Factors,
    /// Losses to be summed in f64.
    pending: Vec<Pending>,
    /// Those of the units before, while what they are made of is on its way from memory.
    pending_before: Vec<Pending>,
}

/// A unit and its legs by number.
#[derive(Clone, Copy)]
struct Place {
    /// Among those that are ranked together.
    unit: usize,
    first_leg: usize,
    legs: usize,
}

impl Place {
    #[inline(always)]
    fn legs<R>(self, units: &Units<R>) -> Legs<'_, R> {
        let legs = self.first_leg..self.first_leg + self.legs;
        Legs {
            rows: &units.rows[legs.clone()],
            quantities: &units.quantities[legs],
        }
    }
}

/// The loss of a unit that is what was asked for.
#[derive(Clone, Copy)]
struct Pending {
    place: Place,
    scenario: u32,
}

/// What the losses in f32 say of a unit.
#[derive(Clone, Copy)]
enum Sifted {
    /// What is asked for is the loss of one scenario; the largest is that of another, or the same.
    One { scenario: u32, worst: u32 },
    /// What is asked for, at least 0, and the scenario of the largest loss.
    All(f64, u32),
    /// Too many scenarios can matter.
    Nothing,
}

impl Scanner for Scan<'_> {
    const IS_WHOLE: bool = true;

    fn rows(&self) -> usize {
        self.sieve.len().min(self.table.len())
    }

    #[inline(always)]
    unsafe fn units<L: Lanes, F: Floats, R: RowId>(
        &mut self,
        units: &Units<R>,
        then: &mut impl FnMut(usize, UnitRisk),
    ) {
        let (mut left, mut first_leg) = (units.iter(), 0);
        let mut before = Batch::default();
        for first in (0..units.len()).step_by(RANKED_TOGETHER) {
            let mut batch = Batch {
                first,
                ..Batch::default()
            };
            for (_, rows, quantities) in left.by_ref().take(RANKED_TOGETHER) {
                let place = Place {
                    unit: batch.count,
                    first_leg,
                    legs: rows.len(),
                };
                let legs = Legs { rows, quantities };
                fetch_ahead(quantities);
                // SAFETY: the caller's promise.
                unsafe { self.weigh::<L, F, R>(place, legs, &mut batch.risks[batch.count]) };
                first_leg += rows.len();
                batch.count += 1;
            }
            // SAFETY: the caller's promise.
            unsafe {
                self.rank_units::<L, F, R>(units, &mut batch.risks);
                self.settle_before(units, &mut before.risks);
            }
            before.hand_on(then);
            before = batch;
            std::mem::swap(&mut self.pending, &mut self.pending_before);
        }
        // SAFETY: the caller's promise.
        unsafe { self.settle_before(units, &mut before.risks) };
        before.hand_on(then);
    }
}

/// Units that are ranked together, from the number of the first.
#[derive(Clone, Copy, Default)]
struct Batch {
    first: usize,
    count: usize,
    risks: [UnitRisk; RANKED_TOGETHER],
}

impl Batch {
    #[inline(always)]
    fn hand_on(&self, then: &mut impl FnMut(usize, UnitRisk)) {
        for (unit, risk) in (self.first..).zip(&self.risks[..self.count]) {
            then(unit, *risk);
        }
    }
}

impl<'a> Scan<'a> {
    pub(super) fn new(table: &'a LossTable, sieve: &'a Sieve, measure: Measure) -> Self {
        let lanes = 2 * sieve.pairs;
        let (rank, mean) = measure.rank();
        // Twice as many groups as ranks, so that few of the largest share one.
        let groups = rank.div_ceil(8).min(lanes);
        let is_ranked = !mean && rank <= MOST_RANKS && lanes <= MOST_ROWS;
        Self {
            table,
            sieve,
            measure,
            coarse: vec![Row::default(); lanes],
            groups: vec![Row::default(); groups],
            found: vec![0; lanes.div_ceil(LANES_A_WORD)],
            losses: Vec::new(),
            rank: is_ranked.then_some(rank),
            ranking: Ranking::new(),
            unranked: Vec::new(),
            reaches: [1.0; RANKED_TOGETHER],
            weights: vec![Weights::none(); RANKED_TOGETHER],
            factors: vec![[0; MOST_LEGS]; RANKED_TOGETHER],
            weights_alone: Weights::none(),
            factors_alone: [0; MOST_LEGS],
            pending: Vec::new(),
            pending_before: Vec::new(),
        }
    }

    /// Sums the charges of a unit, and adds it to the units to be ranked or finds out at once which scenarios can matter.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn weigh<L: Lanes, F: Floats, R: RowId>(
        &mut self,
        place: Place,
        legs: Legs<'_, R>,
        out: &mut UnitRisk,
    ) {
        let weights = &mut self.weights[self.unranked.len()];
        // SAFETY: the caller's promise.
        let [bound, reach] = unsafe { self.sieve.weigh(legs, weights) };
        out.charges = if self.sieve.is_charged() {
            // SAFETY: as above.
            unsafe { self.charges::<L, R>(legs) }
        } else {
            [bound, 0.0, 0.0, 0.0]
        };
        if reach == 0.0 {
            out.worst = NO_SCENARIO;
            return;
        }
        if self.rank.is_some() && Sieve::weighs(place.legs, reach) {
            self.reaches[self.unranked.len()] = reach;
            self.unranked.push(place);
            return;
        }
        // SAFETY: as above.
        unsafe {
            if Sieve::holds(reach) {
                self.sift::<L, F, R>(place, legs, out);
            } else {
                self.settle::<L, R>(place, legs, Sifted::Nothing, out);
            }
        }
    }

    /// Sums of the [`charge`](super::charge) columns of a unit.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn charges<L: Lanes, R: RowId>(&self, legs: Legs<'_, R>) -> [f64; 4] {
        let absolute = L::operand_mask(&charge::ABSOLUTE);
        let mut sum = L::zero();
        for (row, &quantity) in legs.rows.iter().zip(legs.quantities) {
            let place = row.index() * (1 + self.table.lanes);
            // SAFETY: the caller's promise.
            let own = unsafe { self.table.rows.get_unchecked(place) };
            sum = (L::splat(quantity).and(absolute)).mul_add(L::load(own), sum);
        }
        let [a, b, c, d, ..] = sum.to_row().0;
        [a, b, c, d]
    }

    /// Finds out from losses in f32 which scenarios can matter to a unit.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn sift<L: Lanes, F: Floats, R: RowId>(
        &mut self,
        place: Place,
        legs: Legs<'_, R>,
        out: &mut UnitRisk,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let (weights, factors) = (&mut self.weights_alone, &mut self.factors_alone);
            let error = (self.sieve).losses::<L, F, R>(legs, weights, factors, &mut self.coarse);
            let sifted = self.sifted::<F, R>(legs, error);
            self.settle::<L, R>(place, legs, sifted, out);
        }
    }

    /// Ranks the units that were added for that. Where a few losses are too near to be told apart, it sums these in f64; what is
    /// open then, it sifts.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn rank_units<L: Lanes, F: Floats, R: RowId>(
        &mut self,
        units: &Units<R>,
        out: &mut [UnitRisk],
    ) {
        let Some(rank) = self.rank else { return };
        // All of a kind together, so that no step waits for the one before.
        let (mut scales, mut apart) = ([0.0; RANKED_TOGETHER], [0; RANKED_TOGETHER]);
        for (scale, reach) in scales.iter_mut().zip(&self.reaches) {
            *scale = PARTS / reach;
        }
        let count = self.unranked.len();
        let legs = self.weights[..count].iter().zip(&mut self.factors);
        for ((weights, factors), (scale, apart)) in legs.zip(scales.iter().zip(&mut apart)) {
            *apart = Sieve::apart(sum(weights.round::<L>(*scale, factors)));
        }
        for (at, &apart) in apart.iter().enumerate().take(count) {
            let (places, factors) = (self.weights[at].places(), &self.factors[at]);
            let mut kept = Kept::<F>::none();
            // SAFETY: the caller's promise.
            unsafe {
                self.fetch_before(units, at);
                self.sieve.sums(BIAS, places, factors, &mut kept);
            }
            self.ranking.push(&kept, apart);
        }
        let ranked = self.ranking.ranked::<F>(rank);
        for at in 0..self.unranked.len() {
            let place = self.unranked[at];
            let out = &mut out[place.unit];
            if ranked.decided >> at & 1 == 1 {
                let [scenario, worst] = self.ranking.scenarios::<F>(&ranked, at);
                out.worst = worst;
                self.pending.push(Pending { place, scenario });
                continue;
            }
            let legs = place.legs(units);
            // SAFETY: the caller's promise.
            unsafe {
                if let Some(near) = self.ranking.near::<F>(&ranked, at) {
                    (out.loss, out.worst) = self.of_near(legs, &near, rank);
                } else {
                    self.sift::<L, F, R>(place, legs, out);
                }
            }
        }
        self.unranked.clear();
    }

    /// What is asked for and the scenario of the largest loss, of which few can be either.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn of_near<R: RowId>(&self, legs: Legs<'_, R>, near: &Near, rank: usize) -> (f64, u32) {
        // SAFETY: the caller's promise.
        unsafe {
            let worst = match *near.top.numbers() {
                [alone] => alone,
                _ => self.descending(legs, &near.top)[0].1,
            };
            let losses = self.descending(legs, &near.at_rank);
            (positive(losses[rank - 1 - near.above].0), worst)
        }
    }

    /// The losses of a few scenarios in f64, the largest first.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn descending<R: RowId>(
        &self,
        legs: Legs<'_, R>,
        scenarios: &Scenarios,
    ) -> [(f64, u32); MOST_RANKS] {
        let mut losses = [(f64::NEG_INFINITY, NO_SCENARIO); MOST_RANKS];
        for (loss, &scenario) in losses.iter_mut().zip(scenarios.numbers()) {
            // SAFETY: the caller's promise.
            *loss = (unsafe { self.exact(legs, scenario) }, scenario);
        }
        losses.sort_unstable_by(larger);
        losses
    }

    /// Sets what sifting says of a unit, or leaves that to be summed later.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn settle<L: Lanes, R: RowId>(
        &mut self,
        place: Place,
        legs: Legs<'_, R>,
        sifted: Sifted,
        out: &mut UnitRisk,
    ) {
        let (loss, worst) = match sifted {
            Sifted::One { scenario, worst } => {
                self.pending.push(Pending { place, scenario });
                (0.0, worst)
            }
            Sifted::All(loss, worst) => (loss, worst),
            // SAFETY: the caller's promise.
            Sifted::Nothing => unsafe { self.in_full::<L, R>(legs) },
        };
        out.loss = positive(loss);
        out.worst = worst;
    }

    /// Asks for what one of the losses of the units before is made of.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn fetch_before<R: RowId>(&self, units: &Units<R>, at: usize) {
        let Some(&Pending { place, scenario }) = self.pending_before.get(at) else {
            return;
        };
        let lane = 1 + scenario as usize / 8;
        for row in place.legs(units).rows {
            let place = row.index() * (1 + self.table.lanes) + lane;
            if let Some(losses) = self.table.rows.get(place) {
                fetch(losses);
            }
        }
    }

    /// Sums the losses of the units before that sifting left.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn settle_before<R: RowId>(&mut self, units: &Units<R>, out: &mut [UnitRisk]) {
        for &Pending { place, scenario } in &self.pending_before {
            // SAFETY: the caller's promise.
            let loss = unsafe { self.exact(place.legs(units), scenario) };
            let out = &mut out[place.unit];
            out.loss = positive(loss);
            if out.worst == scenario && loss <= 0.0 {
                out.worst = NO_SCENARIO;
            }
        }
        self.pending_before.clear();
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
            losses.push((unsafe { self.exact(legs, scenario) }, scenario));
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

    /// The loss in one scenario: the same operations as in the lanes of [`Self::in_full`].
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn exact<R: RowId>(&self, legs: Legs<'_, R>, scenario: u32) -> f64 {
        let scenario = scenario as usize;
        assert!(scenario < self.table.scenarios, "no such scenario");
        let (lane, column) = (1 + scenario / 8, scenario % 8);
        let mut sum = 0.0;
        for (row, &quantity) in legs.rows.iter().zip(legs.quantities) {
            let place = row.index() * (1 + self.table.lanes) + lane;
            // SAFETY: the caller's promise; a scenario is one of the table.
            let losses = unsafe { self.table.rows.get_unchecked(place) };
            sum = quantity.mul_add(losses.0[column], sum);
        }
        sum
    }

    /// What is asked for and the scenario of the largest loss, from all losses in f64.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn in_full<L: Lanes, R: RowId>(&mut self, legs: Legs<'_, R>) -> (f64, u32) {
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
fn larger(a: &(f64, u32), b: &(f64, u32)) -> Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}
