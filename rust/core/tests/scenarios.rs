//! The scenario kernel equals, bit for bit, summing and sorting all losses, whatever it leaves out.

use proptest::prelude::*;
use xmfast_core::kernel::{
    Charges, LossTable, Measure, NO_SCENARIO, Run, Simd, UnitFacts, UnitRisk, Units, scan_units,
};

/// Table rows that positions may be in, row 0 apart.
const ROWS: usize = 12;

/// What a unit of some legs is asked.
#[derive(Clone, Debug)]
struct Case {
    /// By table row and scenario.
    losses: Vec<Vec<f64>>,
    /// Legs of every unit: as many for each.
    units: Vec<Vec<(u16, f64)>>,
    measure: Measure,
}

/// Losses that tell scenarios apart, that tie, that cancel, or that f32 cannot hold.
fn loss() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => -100.0..100.0,
        2 => (-3_i32..=3).prop_map(f64::from),
        // Rounding makes some of these the same for one quantity and not for another.
        1 => (2_u64..=6).prop_map(|steps| f64::from_bits(3.0_f64.to_bits() + steps)),
        1 => Just(0.0),
        1 => (1e-9_f64..1e-7).prop_map(|little| 10.0 + little),
    ]
}

fn quantity() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => -50.0..50.0,
        3 => (-2_i32..=2).prop_map(f64::from),
        1 => Just(1e-12),
    ]
}

fn cases() -> impl Strategy<Value = Case> {
    let full = prop_oneof![
        Just(15_usize),
        Just(16),
        Just(17),
        Just(511),
        Just(512),
        Just(513)
    ];
    let scenarios = prop_oneof![1..20_usize, 20..100_usize, 100..=600_usize, full];
    // The last is more than f64 can add up.
    let scales = prop_oneof![
        8 => Just(1.0),
        1 => Just(1e-160),
        1 => Just(1e-290),
        1 => Just(1e60),
        1 => Just(1e-40),
        1 => Just(1e306),
    ];
    // More than are weighed together, too.
    let legs = prop_oneof![8 => 1..20_usize, 1 => 20..40_usize, 1 => 60..200_usize];
    (scenarios, legs, scales)
        .prop_flat_map(|(scenarios, legs, scale)| {
            let row = prop::collection::vec(loss(), scenarios);
            let losses = prop::collection::vec(row, ROWS);
            let leg = (0..=ROWS as u16, quantity());
            let unit = prop::collection::vec(leg, legs);
            let units = prop::collection::vec(unit, 1..6);
            let rank = || prop_oneof![1 => Just(1), 3 => 1..=scenarios.min(12), 1 => 1..=scenarios];
            let measure = prop_oneof![
                2 => Just(Measure::Worst),
                3 => rank().prop_map(|rank| Measure::Quantile { rank }),
                2 => rank().prop_map(|rank| Measure::Shortfall { rank }),
            ];
            (losses, units, measure, Just(scale), any::<bool>())
        })
        .prop_map(|(mut losses, mut units, measure, scale, hedged)| {
            losses.iter_mut().flatten().for_each(|loss| *loss *= scale);
            if hedged {
                // Of a hedge nothing is left but what rounding leaves, in every scenario.
                for unit in &mut units {
                    let others: Vec<_> = unit
                        .iter()
                        .map(|&(row, quantity)| (row, -quantity))
                        .collect();
                    unit.extend(others);
                }
            }
            Case {
                losses,
                units,
                measure,
            }
        })
}

/// All losses of a unit, sorted.
fn right(case: &Case, unit: &[(u16, f64)]) -> (f64, u32) {
    let scenarios = case.losses[0].len();
    let mut losses: Vec<(f64, u32)> = (0..scenarios)
        .map(|scenario| {
            let sum = unit.iter().fold(0.0, |sum, &(row, quantity)| {
                let loss = row
                    .checked_sub(1)
                    .map_or(0.0, |row| case.losses[row as usize][scenario]);
                quantity.mul_add(loss, sum)
            });
            (sum, scenario as u32)
        })
        .collect();
    losses.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let worst = if losses[0].0 > 0.0 {
        losses[0].1
    } else {
        NO_SCENARIO
    };
    let loss = match case.measure {
        Measure::Worst => losses[0].0,
        Measure::Quantile { rank } => losses[rank - 1].0,
        Measure::Shortfall { rank } => {
            let tail = losses[..rank].iter().rev();
            tail.fold(0.0, |sum, (loss, _)| sum + loss) / rank as f64
        }
    };
    (if loss > 0.0 { loss } else { 0.0 }, worst)
}

/// What the kernel says of the units, which is the same where it knows that nothing is charged.
fn scanned(case: &Case, simd: Simd) -> Vec<UnitRisk> {
    let charged = scanned_by(case, simd, true);
    assert_eq!(charged, scanned_by(case, simd, false));
    for (unit, risk) in case.units.iter().zip(&charged) {
        // No bound is below what a part of the largest loss would round to.
        let bound_of = |row: u16| {
            let losses = row.checked_sub(1).map(|row| &case.losses[row as usize]);
            let largest = losses.into_iter().flatten().map(|loss| loss.abs());
            bound_of(row).max(f64::EPSILON / 1024.0 * largest.fold(0.0, f64::max))
        };
        let bound = unit.iter().fold(0.0, |sum, &(row, quantity)| {
            quantity.abs().mul_add(bound_of(row), sum)
        });
        assert_eq!(risk.charges, [bound, 0.0, 0.0, 0.0]);
    }
    charged
}

fn bound_of(row: u16) -> f64 {
    0.1 * f64::from(row)
}

fn scanned_by(case: &Case, simd: Simd, is_charged: bool) -> Vec<UnitRisk> {
    let scenarios = case.losses[0].len();
    let mut table = LossTable::scanned(ROWS + 1, scenarios, case.measure, is_charged);
    for (number, (mut row, losses)) in (1..).zip(table.rows_mut().skip(1).zip(&case.losses)) {
        row.losses().copy_from_slice(losses);
        row.close(None, |_| bound_of(number));
    }
    let (slots, count) = (case.units[0].len(), case.units.len());
    let legs = || case.units.iter().flatten();
    let run = Run {
        slots: slots as u32,
        units: count as u32,
    };
    let facts = (0..count as u32).map(|target| UnitFacts { target, home: 0 });
    let units = Units::new(
        vec![run],
        legs().map(|leg| leg.0).collect(),
        legs().map(|leg| leg.1).collect(),
        facts.collect(),
        Charges::default(),
    );
    let mut out = Vec::new();
    scan_units(simd, &units, &table, case.measure, |unit, risk| {
        assert_eq!(unit, out.len());
        out.push(risk);
    });
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn leaving_scenarios_out_changes_no_bit(case in cases()) {
        for simd in Simd::ALL.into_iter().filter(|simd| simd.available()) {
            for (unit, found) in case.units.iter().zip(scanned(&case, simd)) {
                let (loss, worst) = right(&case, unit);
                prop_assert_eq!(found.loss.to_bits(), loss.to_bits(), "{:?}: {} {}", simd, found.loss, loss);
                // An infinite loss, which is an error later, is that of many.
                prop_assert!(found.worst == worst || loss == f64::INFINITY);
            }
        }
    }
}

/// The rare ways through the kernel: ties of the worst, ties at the rank, too many to sum one by one.
#[test]
fn ties_of_many_scenarios() {
    let losses: Vec<f64> = (0..500)
        .map(|scenario| f64::from(7 - scenario % 8))
        .collect();
    let units = vec![vec![(1, 1.0)], vec![(1, -1.0)], vec![(2, 3.0)]];
    for rank in [1, 2, 6, 62, 63, 64, 500] {
        for measure in [Measure::Quantile { rank }, Measure::Shortfall { rank }] {
            let mut losses = vec![losses.clone(); ROWS];
            losses[1] = (0..500)
                .map(|scenario| if scenario == 77 { 2.0 } else { 1.0 })
                .collect();
            let case = Case {
                losses,
                units: units.clone(),
                measure,
            };
            for (unit, found) in case.units.iter().zip(scanned(&case, Simd::fastest())) {
                assert_eq!((found.loss, found.worst), right(&case, unit), "{measure:?}");
            }
        }
    }
}

/// Quantiles of small rank where the kernel's ranking finds them and where it may not: three of the largest in one lane and
/// more, ties, losses that are all 0 or below, a last row of scenarios that is not full, more rows than it takes.
#[test]
fn quantiles_of_small_rank() {
    // Distinct, below 50, in no order.
    let other = |scenario: usize| (scenario * 7919 % 1009) as f64 / 32.0;
    let high = |scenario: usize, every: usize, many: usize, step: f64| {
        if scenario.is_multiple_of(every) && scenario / every < many {
            100.0 + step * (scenario / every) as f64
        } else {
            other(scenario)
        }
    };
    let patterns: [&dyn Fn(usize) -> f64; 14] = [
        &other,
        &|scenario| -other(scenario) - 1.0,
        &|_| 3.0,
        &|_| 0.0,
        &|scenario| other(scenario) - 31.0,
        &|scenario| high(scenario, 32, 3, 1.0),
        &|scenario| high(scenario, 32, 4, -1.0),
        &|scenario| high(scenario, 32, 40, 1.0),
        &|scenario| high(scenario, 16, 40, -1.0),
        &|scenario| high(scenario, 3, 8, 0.0),
        // Closer than f32 tells apart, and than a tag leaves apart.
        &|scenario| high(scenario, 5, 9, 1e-9),
        &|scenario| high(scenario, 5, 9, 1e-3),
        // The same two by two below one that is larger, so that only the next above or the next below is too close.
        &|scenario| match (scenario % 20, scenario / 20) {
            (0, step @ 0..9) => 100.0 - (10 * step.div_ceil(2)) as f64 - 1e-9 * step as f64,
            _ => other(scenario),
        },
        // The other way round by their tags, though f32 tells them apart.
        &|scenario| match scenario {
            3 => 100.0002,
            485 => 100.0,
            _ => other(scenario),
        },
    ];
    let units = vec![
        vec![(1, 1.0), (2, 0.5)],
        vec![(1, -1.0), (2, 1e-3)],
        vec![(1, 1e-12), (0, 1.0)],
        vec![(1, 1.0), (0, 1.0)],
    ];
    for scenarios in [
        2, 8, 15, 16, 17, 31, 32, 33, 48, 100, 500, 511, 512, 513, 600,
    ] {
        for pattern in patterns {
            let row: Vec<f64> = (0..scenarios).map(pattern).collect();
            for rank in 1..=scenarios.min(8) {
                let case = Case {
                    losses: vec![row.clone(); ROWS],
                    units: units.clone(),
                    measure: Measure::Quantile { rank },
                };
                for simd in Simd::ALL.into_iter().filter(|simd| simd.available()) {
                    for (unit, found) in case.units.iter().zip(scanned(&case, simd)) {
                        let found = (found.loss, found.worst);
                        assert_eq!(found, right(&case, unit), "{simd:?} {rank} of {scenarios}");
                    }
                }
            }
        }
    }
}
