//! Laws on random books that mix every rule: every path gives the bits of `settle`, decisions are exact, explanations add
//! up, and more collateral never hurts.

mod random;

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use random::{Built, Venue, build, venue};
use xmfast_core::exact::Rational;
use xmfast_core::pool::set_threads;
use xmfast_core::{Error, Evaluated, Id, Key, Row, Simd, Subject, column, result};

const DECISIVE: [usize; 3] = [column::EQUITY, result::HEALTH, result::INITIAL_HEALTH];

fn bits<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<[u64; 8]> {
    // Adding 0 makes -0 and 0 the same.
    let bits = |row: &Row| row.0.map(|figure| (figure + 0.0).to_bits());
    rows.into_iter().map(bits).collect()
}

fn evaluate(built: &Built, key: Key) -> Evaluated {
    built.evaluate(key).expect("all is priced")
}

fn all_rows(evaluated: &Evaluated) -> impl Iterator<Item = &Row> {
    evaluated
        .pools
        .rows()
        .iter()
        .chain(evaluated.isolated.rows())
}

fn rows(built: &Built) -> Vec<Row> {
    evaluate(built, Key::SettlementAsset).pools.rows().to_vec()
}

/// One test, because the instruction set and thread count are the process's.
#[test]
fn every_path_gives_the_bits_of_settle() {
    let (several_units, beyond_sums, alone) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let count = |counter: &Cell<usize>, yes: bool| counter.set(counter.get() + usize::from(yes));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(200));
    runner
        .run(&venue(), |venue| {
            let built = build(&venue);
            let evaluated = evaluate(&built, Key::SettlementAsset);
            let expected = bits(all_rows(&evaluated));
            for (subject, found) in built.subjects(&evaluated).into_iter().zip(&expected) {
                let settled = built.settle::<f64>(subject);
                // Near a threshold the bits are those of exact arithmetic, everywhere else those of f64.
                let same = *found == bits(&[Row(settled.row)])[0]
                    || *found == bits(&[built.exactly(subject).rounded().0])[0];
                prop_assert!(same, "{subject:?}");
                let legs = |line: &xmfast_core::Line<f64>| {
                    matches!(line.kind, xmfast_core::LineKind::Leg(_))
                };
                count(&beyond_sums, !settled.lines.iter().all(legs));
                count(&alone, subject.position.is_some());
            }
            let isolated = bits(all_rows(&evaluate(&built, Key::Position)));
            for simd in Simd::ALL.into_iter().filter(|simd| simd.available()) {
                for threads in [1, 2, 7] {
                    assert!(Simd::force(Some(simd)));
                    set_threads(threads);
                    let same = |key, expected: &Vec<[u64; 8]>| {
                        bits(all_rows(&evaluate(&built, key))) == *expected
                    };
                    let how = format!("{} on {threads}", simd.name());
                    prop_assert!(same(Key::SettlementAsset, &expected), "{how}");
                    prop_assert!(same(Key::Position, &isolated), "{how}");
                }
            }
            let homes = |account: &u32| {
                let mine = venue
                    .positions
                    .iter()
                    .filter(|row| row.0 == *account && row.5.is_none());
                mine.map(|row| [0, 0, 1, 2, 3, 0, 2, 0][row.1])
                    .collect::<std::collections::BTreeSet<usize>>()
                    .len()
            };
            count(&several_units, (0..40).any(|account| homes(&account) > 1));
            Ok(())
        })
        .expect("holds");
    Simd::force(None);
    set_threads(0);
    for (what, counter) in [
        ("books with accounts of several units", several_units),
        ("accounts beyond sums", beyond_sums),
        ("isolated positions", alone),
    ] {
        assert!(counter.get() > 50, "only {} {what}", counter.get());
    }
}

/// Moves balances so that a figure of their accounts comes within a few last units of 0.
fn to_the_edge(venue: &mut Venue, figure: usize, steps: i32) {
    for row in 0..venue.balances.len() {
        let built = build(venue);
        let id = Id::Int(i64::from(venue.balances[row].0));
        let account = built.book.accounts().find(id).expect("named") as usize;
        let subject = Subject {
            account,
            position: None,
        };
        let surplus = built.exactly(subject).rounded().0.0[figure];
        let (_, asset, balance) = venue.balances[row];
        let price = if asset == 0 { 1.0 } else { venue.index[asset] } * venue.interest[asset].0;
        let weight = match figure {
            column::EQUITY => 1.0,
            result::HEALTH => 1.0 - venue.haircuts[asset].1,
            _ => 1.0 - venue.haircuts[asset].0,
        };
        let mut moved = balance - surplus / (price * weight);
        for _ in 0..steps.abs() {
            moved = if steps > 0 {
                moved.next_up()
            } else {
                moved.next_down()
            };
        }
        if moved.is_finite() {
            venue.balances[row].2 = moved;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decisions_are_those_of_exact_arithmetic(
        mut venue in venue(),
        figure in prop::sample::select(DECISIVE.to_vec()),
        steps in -2..=2,
    ) {
        venue.balances.truncate(12);
        to_the_edge(&mut venue, figure, steps);
        let built = build(&venue);
        let evaluated = evaluate(&built, Key::SettlementAsset);
        let signs = evaluated.pools.signs().iter().chain(evaluated.isolated.signs());
        let found = all_rows(&evaluated).zip(signs);
        for (subject, (found, found_signs)) in built.subjects(&evaluated).into_iter().zip(found) {
            let (row, signs) = built.exactly(subject).rounded();
            let lines = built.settle::<f64>(subject).lines;
            let parts = lines.iter().flat_map(|line| line.parts);
            let gross: f64 = parts.map(f64::abs).sum();
            for figure in DECISIVE {
                prop_assert_eq!(found_signs >> figure & 1, signs >> figure & 1);
                let below = found.0[figure] < 0.0;
                prop_assert_eq!(below, signs >> figure & 1 == 1, "number and flag disagree");
                prop_assert!((found.0[figure] - row.0[figure]).abs() <= 1e-12 * gross);
            }
        }
    }

    #[test]
    fn lines_add_up_to_the_figures(venue in venue()) {
        let built = build(&venue);
        let evaluated = evaluate(&built, Key::SettlementAsset);
        for subject in built.subjects(&evaluated) {
            let settled = built.exactly(subject);
            for (column, total) in [
                (column::EQUITY, &settled.row[column::EQUITY]),
                (column::INITIAL_COLLATERAL, &settled.row[column::INITIAL_COLLATERAL]),
                (column::MAINTENANCE_MARGIN, &settled.row[column::MAINTENANCE_MARGIN]),
                (column::INITIAL_MARGIN, &settled.row[column::INITIAL_MARGIN]),
                (column::DEBTS, &settled.row[column::DEBTS]),
            ] {
                let zero = Rational::from_integer(0.into());
                let sum = settled.lines.iter().fold(zero, |sum, line| sum + &line.parts[column]);
                prop_assert_eq!(&sum, total);
            }
        }
    }

    #[test]
    fn more_collateral_never_lowers_health(mut venue in venue(), row in any::<prop::sample::Index>(), more in 0.0..1e5) {
        prop_assume!(!venue.balances.is_empty());
        // A gift that turns a debt into a deposit moves between two interest indices; only at equal ones is it comparable.
        venue.interest.iter_mut().for_each(|index| index.1 = index.0);
        let before = rows(&build(&venue));
        let gift = row.index(venue.balances.len());
        venue.balances[gift].2 += more;
        let after = rows(&build(&venue));
        for (before, after) in before.iter().zip(&after) {
            let slack = 1e-9 * (before.0[column::EQUITY].abs() + 1e7);
            prop_assert!(after.0[result::HEALTH] >= before.0[result::HEALTH] - slack);
            prop_assert!(after.0[result::INITIAL_HEALTH] >= before.0[result::INITIAL_HEALTH] - slack);
        }
    }

    #[test]
    fn initial_is_never_milder_than_maintenance(venue in venue()) {
        for key in [Key::SettlementAsset, Key::Position] {
            for row in all_rows(&evaluate(&build(&venue), key)) {
                let slack = 1e-9 * (row.0[column::EQUITY].abs() + row.0[column::INITIAL_MARGIN] + row.0[column::DEBTS] + 1e4);
                prop_assert!(row.0[column::MAINTENANCE_MARGIN] <= row.0[column::INITIAL_MARGIN] * (1.0 + 1e-15));
                prop_assert!(row.0[result::INITIAL_HEALTH] <= row.0[result::HEALTH] + slack);
                prop_assert!(row.0[result::COLLATERAL] <= row.0[column::EQUITY] + slack);
            }
        }
    }

    #[test]
    fn isolating_conserves_equity(venue in venue()) {
        let built = build(&venue);
        let sum = |evaluated: &Evaluated| -> f64 {
            all_rows(evaluated).map(|row| row.0[column::EQUITY]).sum()
        };
        let gross: f64 = all_rows(&evaluate(&built, Key::Position)).map(|row| row.0[column::EQUITY].abs()).sum();
        let (cross, isolated) = (sum(&evaluate(&built, Key::SettlementAsset)), sum(&evaluate(&built, Key::Position)));
        prop_assert!((cross - isolated).abs() <= 1e-9 * (gross + 1e6), "{cross} {isolated}");
    }

    #[test]
    fn the_order_of_rows_changes_no_bit(venue in venue(), seed in any::<u64>()) {
        // Accounts keep their order of first appearance: each is named once, in order, with nothing in it.
        let named = |mut venue: Venue| {
            venue.balances.retain(|row| row.1 != 0);
            let names = (0..45).map(|account| (account, 0, 0.0));
            venue.balances = names.chain(venue.balances).collect();
            venue
        };
        let first = named(venue);
        let mut second = first.clone();
        let key = |a: u32, b: usize| (u64::from(a) * 31 + b as u64).wrapping_mul(seed | 1);
        second.balances[45..].sort_by_key(|row| key(row.0, row.1));
        second.positions.sort_by_key(|row| key(row.0, row.1));
        second.orders.sort_by_key(|row| row.3.to_bits().wrapping_mul(seed | 1));
        second.caps.sort_by_key(|row| key(row.0, 0));
        let (first, second) = (build(&first), build(&second));
        for key in [Key::SettlementAsset, Key::Position] {
            prop_assert_eq!(bits(all_rows(&evaluate(&first, key))), bits(all_rows(&evaluate(&second, key))));
        }
    }
}

#[test]
fn a_result_beyond_f64_names_account_and_leg() {
    let venue = Venue {
        balances: vec![(3, 0, 1.0)],
        positions: vec![(9, 0, 1e306, 100.0, 0.0, None)],
        mark: [1e3; 8],
        rates: [(0.1, 0.1); 8],
        ..random::nothing()
    };
    let error = build(&venue).evaluate(Key::SettlementAsset);
    let Error::Range { account, problem } = error.expect_err("overflows") else {
        panic!("another error")
    };
    assert_eq!(account, "9");
    let blamed = "position 'BTC-PERP' of 1e306";
    assert!(problem.contains(blamed), "{problem}");
}
