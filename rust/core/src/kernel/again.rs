//! Units scanned again: where it is known which scenarios decide, nothing but the loss that is asked for is summed.

use super::fetch::fetch_ahead;
use super::floats::Floats;
use super::lanes::Lanes;
use super::scan::{Place, Scan};
use super::scenarios::{Scanner, UnitRisk, positive};
use super::standing::{Found, Standing, Standings};
use super::weights::Legs;
use super::{RowId, Units};

/// One pass over units of which something may be known, and one over those of which it was too little.
pub(super) struct ScanAgain<'a> {
    scan: Scan<'a>,
    standings: Standings<'a>,
    /// Of those too little is known.
    unknown: Vec<Place>,
    /// Units whose losses are to be summed, while what they are made of is on its way from memory.
    expected: Vec<(Place, Standing)>,
    expected_before: Vec<(Place, Standing)>,
}

/// Units whose losses are asked for before the first is summed.
const AHEAD: usize = 16;

impl<'a> ScanAgain<'a> {
    pub(super) fn new(scan: Scan<'a>, standings: Standings<'a>) -> Self {
        Self {
            scan,
            standings,
            unknown: Vec::new(),
            expected: Vec::with_capacity(AHEAD),
            expected_before: Vec::with_capacity(AHEAD),
        }
    }

    /// Of how many units something was known that does not suffice any longer.
    pub(super) fn outlived(&self) -> usize {
        self.standings.outlived()
    }

    /// Sums the losses that were asked for first, and leaves the others for next time.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn settle_before<R: RowId>(
        &mut self,
        units: &Units<R>,
        then: &mut impl FnMut(usize, UnitRisk),
    ) {
        for &(place, standing) in &self.expected_before {
            let (legs, scenario) = (place.legs(units), standing.at_rank.into());
            // SAFETY: the caller's promise.
            let loss = unsafe { self.scan.table.loss(legs, scenario) };
            let risk = UnitRisk {
                loss: positive(loss),
                worst: standing.worst.into(),
                charges: [0.0; 4],
            };
            then(place.unit, risk);
        }
        self.expected_before.clear();
        std::mem::swap(&mut self.expected, &mut self.expected_before);
    }
}

impl Scanner for ScanAgain<'_> {
    const IS_WHOLE: bool = true;

    fn rows(&self) -> usize {
        self.scan.rows().min(self.standings.rows())
    }

    /// Those of which something is known come first. Bounds are those of the units that were scanned alone.
    #[inline(always)]
    unsafe fn units<L: Lanes, F: Floats, R: RowId>(
        &mut self,
        units: &Units<R>,
        then: &mut impl FnMut(usize, UnitRisk),
    ) {
        let (mut unit, mut first_leg) = (0, 0);
        for (_, rows, quantities) in units.iter() {
            let (legs, place) = (
                Legs { rows, quantities },
                Place::new(unit, first_leg, rows.len()),
            );
            fetch_ahead(quantities);
            // SAFETY: the caller's promise.
            if let Some(standing) = unsafe { self.standings.known(unit, legs) } {
                self.scan.table.fetch_loss(legs, standing.at_rank.into());
                self.expected.push((place, standing));
                if self.expected.len() == AHEAD {
                    // SAFETY: as above.
                    unsafe { self.settle_before(units, then) };
                }
            } else {
                self.unknown.push(place);
            }
            unit += 1;
            first_leg += rows.len();
        }
        // SAFETY: as above.
        unsafe {
            self.settle_before(units, then);
            self.settle_before(units, then);
            let (standings, places) = (&mut self.standings, self.unknown.iter().copied());
            let note = &mut |place: Place, found: Found| {
                standings.note(place.unit, place.legs(units), found);
            };
            self.scan.places::<L, F, R>(units, places, then, note);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::losses::{LossTable, charge};
    use super::super::scenarios::{Measure, scan_again, scan_units};
    use super::super::standing::Moves;
    use super::super::{Charges, Run, Simd, UnitFacts};
    use super::*;
    use proptest::prelude::*;

    const ROWS: usize = 8;
    const LEGS: usize = 4;

    /// Losses by row and scenario, at several markets.
    type Markets = Vec<Vec<Vec<f64>>>;

    fn table(losses: &[Vec<f64>], measure: Measure) -> LossTable {
        let mut table = LossTable::scanned(1 + ROWS, losses[0].len(), measure, false);
        for (row, losses) in losses.iter().enumerate() {
            let mut rows = table.rows_mut();
            let mut row = rows.row(1 + row).expect("a row");
            row.losses().copy_from_slice(losses);
            row.close(None, |_| 0.0);
        }
        table
    }

    fn units_of(legs: &[(u16, f64)], slots: usize) -> Units<u16> {
        let units = legs.len() / slots;
        let facts = (0..units as u32).map(|target| UnitFacts { target, home: 0 });
        let run = Run {
            slots: slots as u32,
            units: units as u32,
        };
        let (rows, quantities) = legs.iter().copied().unzip();
        Units::new(
            vec![run],
            rows,
            quantities,
            facts.collect(),
            Charges::default(),
        )
    }

    /// By how much losses are another at a market than at the first one.
    fn moves(then: &LossTable, now: &LossTable, share: f64) -> Moves {
        let mut moves = Moves::none(then.len(), share);
        for row in 1..then.len() {
            let apart = then.losses(row).iter().zip(now.losses(row));
            let moved = apart.fold(0.0, |most, (then, now)| {
                (share * now - then).abs().max(most)
            });
            moves.set(row, moved, then.charges(row)[charge::REACH]);
        }
        moves
    }

    /// Markets that are near to one another, far apart, or the first one again.
    fn markets() -> impl Strategy<Value = Markets> {
        (64..200_usize).prop_flat_map(|scenarios| {
            let losses = prop_oneof![4 => -1.0..1.0, 1 => (-2_i32..=2).prop_map(f64::from), 1 => Just(0.0)];
            // Rows that nothing is lost in at first, too, or next to nothing.
            let scale = prop_oneof![8 => Just(1.0), 1 => Just(0.0), 1 => Just(1e-280), 1 => Just(1e60)];
            let row = (prop::collection::vec(losses, scenarios), scale);
            let row = row.prop_map(|(row, scale): (Vec<f64>, f64)| {
                row.into_iter().map(|loss| scale * loss).collect::<Vec<_>>()
            });
            let first = prop::collection::vec(row, ROWS);
            let noise = prop::collection::vec(-1.0..1.0, scenarios);
            let size = prop_oneof![2 => Just(0.0), 4 => 1e-5..1e-2, 1 => 0.01..3.0, 1 => Just(-1.0)];
            let step = prop::collection::vec((noise, size), ROWS);
            (first, prop::collection::vec(step, 1..6), any::<bool>())
        })
        .prop_map(|(first, steps, alone)| {
            let mut markets = vec![first.clone(), first.clone()];
            for step in steps {
                let rows = first.iter().zip(step);
                let market = rows.map(|(row, (noise, size))| {
                    let moved = row.iter().zip(noise).map(|(loss, noise)| {
                        // Each loss for itself, or all of a row together as prices move them.
                        loss + size * if alone { noise } else { *loss }
                    });
                    moved.collect()
                });
                markets.push(market.collect());
            }
            markets
        })
    }

    /// Compares risks by unit as they are found again with those of a whole scan, at each market; returns of how many units
    /// something was known that did not suffice.
    fn check(
        simd: Simd,
        (markets, shares): (&Markets, &[f64]),
        legs: &[(u16, f64)],
        slots: usize,
        measure: Measure,
    ) -> Result<[usize; 2], TestCaseError> {
        let units = units_of(legs, slots);
        let anchor = table(&markets[0], measure);
        prop_assert!(anchor.finds_standings(measure));
        let mut of_units = vec![Standing::UNKNOWN; units.len()];
        let mut outlived = 0;
        for (market, &share) in markets.iter().zip(shares.iter().cycle()) {
            let now = table(market, measure);
            let mut expected = vec![UnitRisk::default(); units.len()];
            scan_units(simd, &units, &now, measure, |unit, risk| {
                expected[unit] = risk;
            });
            let mut found = vec![None; units.len()];
            let moves = moves(&anchor, &now, share);
            let standings = Standings::new(&mut of_units, &moves);
            let asked = (&now, measure);
            outlived += scan_again(simd, &units, asked, standings, |unit, risk| {
                assert!(found[unit].replace(risk).is_none(), "unit {unit} twice");
            });
            for (found, expected) in found.into_iter().zip(&expected) {
                let found = found.expect("every unit");
                prop_assert_eq!(found.loss.to_bits(), expected.loss.to_bits());
                prop_assert_eq!(found.worst, expected.worst);
            }
        }
        let known = of_units.iter().filter(|standing| standing.lead() > 0.0);
        Ok([known.count(), outlived])
    }

    fn paths() -> impl Iterator<Item = Simd> {
        let all = [Simd::Scalar, Simd::Avx2, Simd::Avx512];
        all.into_iter().filter(|simd| simd.available())
    }

    proptest! {
        #[test]
        fn what_is_known_decides_nothing_that_a_scan_does_not(
            markets in markets(),
            // More than are weighed together, too.
            (legs, slots) in (1..20_usize, prop_oneof![6 => Just(LEGS), 1 => 60..70_usize])
                .prop_flat_map(|(units, slots)| {
                    let quantity = prop_oneof![
                        4 => -9.0..9.0,
                        1 => Just(1.0),
                        1 => Just(-1.0),
                        1 => Just(1e-200),
                    ];
                    let leg = (0..=ROWS as u16, quantity);
                    (prop::collection::vec(leg, slots * units), Just(slots))
                }),
            // Whatever losses are multiplied by before they are compared.
            shares in prop::collection::vec(prop_oneof![Just(1.0), 0.99..1.01, 0.3..3.0], 1..5),
            measure in prop_oneof![
                Just(Measure::Worst),
                (1..=7_usize).prop_map(|rank| Measure::Quantile { rank }),
            ],
        ) {
            // The worst of few scenarios is found in another way.
            prop_assume!(table(&markets[0], measure).finds_standings(measure));
            let found = paths().map(|simd| check(simd, (&markets, &shares), &legs, slots, measure));
            let found = found.collect::<Result<Vec<_>, _>>()?;
            prop_assert!(found.iter().all(|counts| counts == &found[0]), "{:?}", found);
        }
    }

    #[test]
    fn small_moves_leave_little_to_be_scanned() {
        let loss = |row: usize, scenario: usize| ((row * 131 + scenario * 71) % 509) as f64;
        let market = |by: f64| -> Vec<Vec<f64>> {
            let row = |row| (0..500).map(|scenario| by * loss(row, scenario)).collect();
            (0..ROWS).map(row).collect()
        };
        let legs: Vec<(u16, f64)> = (0..LEGS * 1000)
            .map(|leg| (1 + leg as u16 % ROWS as u16, 1.0 + (leg * 37 % 101) as f64))
            .collect();
        let markets = vec![
            market(1.0),
            market(1.0),
            market(1.00002),
            market(2.0),
            market(1.00001),
        ];
        let units = legs.len() / LEGS;
        for simd in paths() {
            let measure = Measure::Quantile { rank: 6 };
            let [known, outlived] =
                check(simd, (&markets, &[1.0]), &legs, LEGS, measure).expect("the same");
            assert!(known > units * 3 / 4, "{known} of {units}");
            // All of them in the jump, and hardly any else.
            assert!(
                (known..known + units / 4).contains(&outlived),
                "{outlived} of {known}"
            );
        }
    }
}
