//! Units scanned for their largest few losses: weighed, summed in whole numbers and ranked, and what that leaves summed in f64.

use super::fetch::fetch_ahead;
use super::floats::Floats;
use super::lanes::Lanes;
use super::losses::{LossTable, charge};
use super::ranking::{Kept, MOST_RANKS, MOST_ROWS, Near, RANKED_TOGETHER, Ranking, Scenarios};
use super::scenarios::{Measure, NO_SCENARIO, Scanner, UnitRisk, positive};
use super::sieve::{BIAS, Sieve};
use super::sift::{Sift, Sifted, larger};
use super::standing::Found;
use super::weights::{Factors, Legs, MOST_LEGS, PARTS, Weights, sum};
use super::{RowId, Units};

/// One pass over units, and the memory that it uses again from unit to unit.
pub(super) struct Scan<'a> {
    pub(super) table: &'a LossTable,
    sieve: &'a Sieve,
    /// For units that are not ranked.
    sift: Sift<'a>,
    /// The rank of the loss that is asked for, where ranking can find it.
    rank: Option<usize>,
    /// Units that are being ranked.
    ranking: Ranking,
    /// The same, as they were added.
    unranked: Vec<Slot>,
    /// What they reach.
    reaches: [f64; RANKED_TOGETHER],
    /// Their legs, and these as whole numbers.
    weights: Vec<Weights>,
    factors: Vec<Factors>,
    /// Losses to be summed in f64.
    pending: Vec<Pending>,
    /// Those of the units before, while what they are made of is on its way from memory.
    pending_before: Vec<Pending>,
}

/// A unit and its legs by number.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) unit: usize,
    first_leg: usize,
    legs: usize,
}

impl Place {
    pub(super) fn new(unit: usize, first_leg: usize, legs: usize) -> Self {
        Self {
            unit,
            first_leg,
            legs,
        }
    }

    #[inline(always)]
    pub(super) fn legs<R>(self, units: &Units<R>) -> Legs<'_, R> {
        let legs = self.first_leg..self.first_leg + self.legs;
        Legs {
            rows: &units.rows[legs.clone()],
            quantities: &units.quantities[legs],
        }
    }
}

/// One of the units that are ranked together.
#[derive(Clone, Copy)]
struct Slot {
    slot: usize,
    place: Place,
}

/// The loss of a unit that is what was asked for.
#[derive(Clone, Copy)]
struct Pending {
    of: Slot,
    scenario: u32,
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
        let mut first_leg = 0;
        let places = units.iter().enumerate().map(|(unit, (_, rows, _))| {
            let place = Place::new(unit, first_leg, rows.len());
            first_leg += rows.len();
            place
        });
        // SAFETY: the caller's promise.
        unsafe { self.places::<L, F, R>(units, places, then, &mut |_, _| ()) };
    }
}

/// Units that are ranked together.
#[derive(Clone, Copy, Default)]
struct Batch {
    count: usize,
    units: [usize; RANKED_TOGETHER],
    risks: [UnitRisk; RANKED_TOGETHER],
}

impl Batch {
    #[inline(always)]
    fn hand_on(&self, then: &mut impl FnMut(usize, UnitRisk)) {
        for (&unit, risk) in self.units.iter().zip(&self.risks[..self.count]) {
            then(unit, *risk);
        }
    }
}

impl<'a> Scan<'a> {
    pub(super) fn new(table: &'a LossTable, sieve: &'a Sieve, measure: Measure) -> Self {
        Self {
            table,
            sieve,
            sift: Sift::new(table, sieve, measure),
            rank: Self::rank(sieve, measure),
            ranking: Ranking::new(),
            unranked: Vec::new(),
            reaches: [1.0; RANKED_TOGETHER],
            weights: vec![Weights::none(); RANKED_TOGETHER],
            factors: vec![[0; MOST_LEGS]; RANKED_TOGETHER],
            pending: Vec::new(),
            pending_before: Vec::new(),
        }
    }

    /// The rank of the loss that is asked for, where ranking can find it.
    pub(super) fn rank(sieve: &Sieve, measure: Measure) -> Option<usize> {
        let (rank, mean) = measure.rank();
        let is_ranked = !mean && rank <= MOST_RANKS && 2 * sieve.pairs <= MOST_ROWS;
        is_ranked.then_some(rank)
    }

    /// Hands on the risks of some units, in their order; `note` learns of those that were ranked what is found.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    pub(super) unsafe fn places<L: Lanes, F: Floats, R: RowId>(
        &mut self,
        units: &Units<R>,
        mut places: impl Iterator<Item = Place>,
        then: &mut impl FnMut(usize, UnitRisk),
        note: &mut impl FnMut(Place, Found),
    ) {
        // By reference: copied, they cost two of a hundred parts of a quantile.
        let [batch, before] = &mut [Batch::default(); 2];
        let (mut batch, mut before) = (batch, before);
        loop {
            batch.count = 0;
            for place in places.by_ref().take(RANKED_TOGETHER) {
                let (slot, legs) = (batch.count, place.legs(units));
                let risk = &mut batch.risks[slot];
                *risk = UnitRisk::default();
                fetch_ahead(legs.quantities);
                // SAFETY: the caller's promise.
                unsafe { self.weigh::<L, F, R>(Slot { slot, place }, legs, risk) };
                batch.units[slot] = place.unit;
                batch.count += 1;
            }
            // SAFETY: the caller's promise.
            unsafe {
                self.rank_units::<L, F, R>(units, &mut batch.risks, note);
                self.settle_before(units, &mut before.risks);
            }
            before.hand_on(then);
            if batch.count == 0 {
                return;
            }
            std::mem::swap(&mut batch, &mut before);
            std::mem::swap(&mut self.pending, &mut self.pending_before);
        }
    }

    /// Sums the charges of a unit, and adds it to the units to be ranked or finds out at once which scenarios can matter.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn weigh<L: Lanes, F: Floats, R: RowId>(
        &mut self,
        of: Slot,
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
        if self.rank.is_some() && Sieve::weighs(legs.rows.len(), reach) {
            self.reaches[self.unranked.len()] = reach;
            self.unranked.push(of);
            return;
        }
        // SAFETY: as above.
        unsafe {
            let sifted = if Sieve::holds(reach) {
                self.sift.sift::<L, F, R>(legs)
            } else {
                Sifted::Nothing
            };
            self.settle::<L, R>(of, legs, sifted, out);
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
        note: &mut impl FnMut(Place, Found),
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
            self.fetch_before(units, at);
            // SAFETY: the caller's promise.
            unsafe {
                self.sieve.sums(BIAS, places, factors, &mut kept);
            }
            self.ranking.push(&kept, apart);
        }
        let ranked = self.ranking.ranked::<F>(rank);
        for at in 0..self.unranked.len() {
            let of = self.unranked[at];
            let out = &mut out[of.slot];
            if ranked.decided >> at & 1 == 1 {
                let [scenario, worst] = self.ranking.scenarios::<F>(&ranked, at);
                out.worst = worst;
                self.pending.push(Pending { of, scenario });
                let found = Found {
                    scenarios: [scenario, worst],
                    gap: self.ranking.gap(&ranked, at),
                    reach: self.reaches[at],
                };
                note(of.place, found);
                continue;
            }
            let legs = of.place.legs(units);
            // SAFETY: the caller's promise.
            unsafe {
                if let Some(near) = self.ranking.near::<F>(&ranked, at) {
                    (out.loss, out.worst) = self.of_near(legs, &near, rank);
                } else {
                    let sifted = self.sift.sift::<L, F, R>(legs);
                    self.settle::<L, R>(of, legs, sifted, out);
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
            *loss = (unsafe { self.table.loss(legs, scenario) }, scenario);
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
        of: Slot,
        legs: Legs<'_, R>,
        sifted: Sifted,
        out: &mut UnitRisk,
    ) {
        let (loss, worst) = match sifted {
            Sifted::One { scenario, worst } => {
                self.pending.push(Pending { of, scenario });
                (0.0, worst)
            }
            Sifted::All(loss, worst) => (loss, worst),
            // SAFETY: the caller's promise.
            Sifted::Nothing => unsafe { self.sift.in_full::<L, R>(legs) },
        };
        out.loss = positive(loss);
        out.worst = worst;
    }

    /// Asks for what one of the losses of the units before is made of.
    #[inline(always)]
    fn fetch_before<R: RowId>(&self, units: &Units<R>, at: usize) {
        if let Some(&Pending { of, scenario }) = self.pending_before.get(at) {
            self.table.fetch_loss(of.place.legs(units), scenario);
        }
    }

    /// Sums the losses of the units before that sifting left.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn settle_before<R: RowId>(&mut self, units: &Units<R>, out: &mut [UnitRisk]) {
        for &Pending { of, scenario } in &self.pending_before {
            // SAFETY: the caller's promise.
            let loss = unsafe { self.table.loss(of.place.legs(units), scenario) };
            let out = &mut out[of.slot];
            out.loss = positive(loss);
            if out.worst == scenario && loss <= 0.0 {
                out.worst = NO_SCENARIO;
            }
        }
        self.pending_before.clear();
    }
}
