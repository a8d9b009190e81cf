//! Legs times scenarios: the worst loss of a unit, or its largest few.

use super::fetch::fetch_ahead;
use super::few::Few;
use super::floats::{Floats, Scalar16};
use super::lanes::Lanes;
use super::losses::{LossTable, Prepared, charge};
use super::ranking::{Kept, MOST_RANKS, MOST_ROWS, RANKED_TOGETHER, Ranking, TAG_ERROR};
use super::scalar::Scalar;
use super::sieve::{LANES_A_WORD, Sieve, at_least, group_maxima, of_rank, ones};
use super::{Row, RowId, Simd, Units};

/// What is asked of a unit's losses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// The largest.
    Worst,
    /// The `rank`-th largest.
    Quantile {
        /// From 1.
        rank: usize,
    },
    /// The mean of the `rank` largest.
    Shortfall {
        /// From 1.
        rank: usize,
    },
}

impl Measure {
    /// How many of the largest losses matter, and whether their mean does.
    #[inline(always)]
    fn rank(self) -> (usize, bool) {
        match self {
            Self::Worst => (1, false),
            Self::Quantile { rank } => (rank, false),
            Self::Shortfall { rank } => (rank, true),
        }
    }
}

/// The risk of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UnitRisk {
    /// What was asked for, at least 0.
    pub loss: f64,
    /// Number of the scenario of the largest loss; [`NO_SCENARIO`] if no loss is above 0.
    pub worst: u32,
    /// Sums of the [`charge`] columns.
    pub charges: [f64; 4],
}

/// There is no scenario with a loss.
pub const NO_SCENARIO: u32 = u32::MAX;

/// Hands on the number and the risk of every unit, in order. The table is one made to be scanned for the measure.
///
/// # Panics
/// If a row lies outside the table, or the machine lacks the path.
pub fn scan_units<R: RowId>(
    simd: Simd,
    units: &Units<R>,
    table: &LossTable,
    measure: Measure,
    mut then: impl FnMut(usize, UnitRisk),
) {
    match table.prepared() {
        Prepared::Few(sums) => {
            assert_eq!(measure, Measure::Worst, "what the table was made for");
            scan_with(simd, units, &mut Few { table, sums }, &mut then);
        }
        Prepared::Sieve(sieve) => {
            let mut scan = Scan::new(table, sieve, measure);
            scan_with(simd, units, &mut scan, &mut then);
        }
    }
}

/// A way to the risk of units.
pub(super) trait Scanner {
    /// How many table rows there are.
    fn rows(&self) -> usize;

    /// Hands on the number and the risk of every unit, in order.
    ///
    /// # Safety
    /// The units name no row beyond those that there are.
    unsafe fn units<L: Lanes, F: Floats, R: RowId>(
        &mut self,
        units: &Units<R>,
        then: &mut impl FnMut(usize, UnitRisk),
    );
}

fn scan_with<R: RowId>(
    simd: Simd,
    units: &Units<R>,
    scan: &mut impl Scanner,
    then: &mut impl FnMut(usize, UnitRisk),
) {
    assert!(units.row_bound <= scan.rows(), "the table has too few rows");
    assert!(simd.available(), "this machine has no {}", simd.name());
    // SAFETY: both were asserted above.
    unsafe {
        match simd {
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 => units_avx512(units, scan, then),
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => units_avx2(units, scan, then),
            _ => scan.units::<Scalar, Scalar16, R>(units, then),
        }
    }
}

/// # Safety
/// As [`Scanner::units`], on a machine that has the set.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,popcnt")]
unsafe fn units_avx512<R: RowId>(
    units: &Units<R>,
    scan: &mut impl Scanner,
    then: &mut impl FnMut(usize, UnitRisk),
) {
    use super::avx512::{Avx512, Avx512Floats};
    // SAFETY: the caller's promise.
    unsafe { scan.units::<Avx512, Avx512Floats, R>(units, then) };
}

/// # Safety
/// As above.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt")]
unsafe fn units_avx2<R: RowId>(
    units: &Units<R>,
    scan: &mut impl Scanner,
    then: &mut impl FnMut(usize, UnitRisk),
) {
    use super::avx2::{Avx2, Avx2Floats};
    // SAFETY: the caller's promise.
    unsafe { scan.units::<Avx2, Avx2Floats, R>(units, then) };
}

/// One pass over units, and the memory that it uses again from unit to unit.
struct Scan<'a> {
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
    unranked: Vec<Unranked>,
    /// Losses to be summed in f64.
    pending: Vec<Pending>,
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

/// A unit whose losses in f32 were summed, and what those may be off by.
#[derive(Clone, Copy)]
struct Unranked {
    place: Place,
    error: f32,
}

/// The loss of a unit that is what was asked for.
#[derive(Clone, Copy)]
struct Pending {
    place: Place,
    scenario: u32,
}

/// Legs of a unit: rows of the table, and quantities.
#[derive(Clone, Copy)]
struct Legs<'a, R> {
    rows: &'a [R],
    quantities: &'a [f64],
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
    fn rows(&self) -> usize {
        let sifted = self.sieve.rows.len() / self.sieve.width;
        sifted.min(self.table.len())
    }

    #[inline(always)]
    unsafe fn units<L: Lanes, F: Floats, R: RowId>(
        &mut self,
        units: &Units<R>,
        then: &mut impl FnMut(usize, UnitRisk),
    ) {
        let (mut left, mut first_leg) = (units.iter(), 0);
        for first in (0..units.len()).step_by(RANKED_TOGETHER) {
            let mut risks = [UnitRisk::default(); RANKED_TOGETHER];
            let mut count = 0;
            for (_, rows, quantities) in left.by_ref().take(RANKED_TOGETHER) {
                let place = Place {
                    unit: count,
                    first_leg,
                    legs: rows.len(),
                };
                let legs = Legs { rows, quantities };
                fetch_ahead(quantities);
                // SAFETY: the caller's promise.
                unsafe { self.sift::<L, F, R>(place, legs, &mut risks[count]) };
                first_leg += rows.len();
                count += 1;
            }
            // SAFETY: the caller's promise.
            unsafe {
                self.rank_units::<L, F, R>(units, &mut risks);
                self.settle_pending(units, &mut risks);
            }
            for (unit, risk) in (first..).zip(&risks[..count]) {
                then(unit, *risk);
            }
        }
    }
}

impl<'a> Scan<'a> {
    fn new(table: &'a LossTable, sieve: &'a Sieve, measure: Measure) -> Self {
        let lanes = sieve.width - 1;
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
            pending: Vec::new(),
        }
    }

    /// Sums the losses of a unit in f32 and its charges, and finds out which scenarios can matter or adds it to the units to
    /// be ranked.
    ///
    /// A tag changes a loss by less than [`TAG_ERROR`] of itself, and no loss in f32 is above the reach by more than the error.
    /// So with its tag it is off by `error + TAG_ERROR * reach` and a 2^-18th of the error. Two are surely in order where they
    /// are further apart than twice that; the half more covers that 2^-18th, tags of numbers too small for f32 to hold in
    /// full, and the rounding of what is compared.
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
        let mut kept = Kept::<F>::none();
        // SAFETY: the caller's promise.
        let charges: L = unsafe {
            if self.rank.is_some() {
                self.sieve.losses(legs.rows, legs.quantities, &mut kept)
            } else {
                self.all_losses::<L, F, R>(legs)
            }
        };
        let charges = charges.to_row().0;
        let [a, b, c, d, ..] = charges;
        out.charges = [a, b, c, d];
        let sifted = match self.sieve.error(legs.rows.len(), &charges) {
            None => Sifted::Nothing,
            Some(error) if self.rank.is_some() => {
                let apart = 2.5 * (error + (TAG_ERROR * charges[charge::REACH]) as f32);
                self.ranking.push(&kept, apart);
                self.unranked.push(Unranked { place, error });
                return;
            }
            // SAFETY: as above.
            Some(error) => unsafe { self.sifted::<F, R>(legs, error) },
        };
        // SAFETY: as above.
        unsafe { self.settle::<L, R>(place, legs, sifted, out) };
    }

    /// Ranks the units that were added for that, and sifts those anew that this does not decide.
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
        let ranked = self.ranking.ranked::<F>(rank);
        for at in 0..self.unranked.len() {
            let Unranked { place, error } = self.unranked[at];
            let out = &mut out[place.unit];
            if ranked.decided >> at & 1 == 0 {
                let legs = place.legs(units);
                // SAFETY: the caller's promise.
                unsafe {
                    self.all_losses::<L, F, R>(legs);
                    let sifted = self.sifted::<F, R>(legs, error);
                    self.settle::<L, R>(place, legs, sifted, out);
                }
                continue;
            }
            let [scenario, worst] = self.ranking.scenarios::<F>(&ranked, at);
            out.worst = worst;
            self.pending.push(Pending { place, scenario });
        }
        self.unranked.clear();
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

    /// Sums the losses that sifting left, together: each waits for memory, and none for another.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn settle_pending<R: RowId>(&mut self, units: &Units<R>, out: &mut [UnitRisk]) {
        for &Pending { place, scenario } in &self.pending {
            assert!(
                (scenario as usize) < self.table.scenarios,
                "no such scenario"
            );
            // SAFETY: the caller's promise.
            let loss = unsafe { self.exact(place.legs(units), scenario) };
            let out = &mut out[place.unit];
            out.loss = positive(loss);
            if out.worst == scenario && loss <= 0.0 {
                out.worst = NO_SCENARIO;
            }
        }
        self.pending.clear();
    }

    /// Keeps the losses of a unit in f32; returns the sums of its charges.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn all_losses<L: Lanes, F: Floats, R: RowId>(&mut self, legs: Legs<'_, R>) -> L {
        let Legs { rows, quantities } = legs;
        let to: &mut [Row] = &mut self.coarse;
        // SAFETY: the caller's promise.
        unsafe { self.sieve.losses::<L, F, R>(rows, quantities, to) }
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

pub(super) fn positive(loss: f64) -> f64 {
    if loss > 0.0 { loss } else { 0.0 }
}

/// The `rank`-th largest loss, or the mean of those up to it; and the scenario of the largest, the first of equal ones.
#[inline(always)]
fn tail(losses: &mut [(f64, u32)], rank: usize, mean: bool) -> (f64, u32) {
    let larger = |a: &(f64, u32), b: &(f64, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
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
