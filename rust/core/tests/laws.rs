//! Laws on random books: every path gives the bits of `settle`, and more collateral never hurts.

use std::sync::Arc;

use proptest::prelude::*;
use xmfast_core::pool::{never, set_threads};
use xmfast_core::{
    Balances, Book, CollateralColumns, CrossMargin, Error, Id, IdColumn, InstrumentColumns,
    MarginColumns, Market, Positions, Row, Simd, Universe, column, evaluate, result, settle,
};

const ASSETS: [&str; 4] = ["USD", "USDT", "BTC", "ETH"];
const INSTRUMENTS: [(&str, &str, usize, bool); 8] = [
    // Name, kind, settlement asset, inverse.
    ("BTC-PERP", "perpetual", 0, false),
    ("ETH-PERP", "perpetual", 0, false),
    ("BTC-USDT", "perpetual", 1, false),
    ("BTC-COIN", "perpetual", 2, true),
    ("ETH-FUTURE", "future", 3, true),
    ("POWER", "future", 0, false),
    ("BTC-CALL", "option", 2, false),
    ("ETH-PUT", "option", 0, false),
];

#[derive(Clone, Debug)]
struct Venue {
    balances: Vec<(u32, usize, f64)>,
    positions: Vec<(u32, usize, f64, f64)>,
    index: [f64; 4],
    mark: [f64; 8],
    haircuts: [(f64, f64); 4],
    rates: [(f64, f64); 8],
}

fn venue() -> impl Strategy<Value = Venue> {
    let quantity = prop_oneof![8 => -1e4..1e4, 1 => Just(0.0), 1 => -1e-6..1e-6];
    let price = prop_oneof![3 => 0.5..2e3, 1 => 1e-4..1.0];
    let balances = prop::collection::btree_map((0..40u32, 0..4usize), quantity.clone(), 0..80);
    let positions =
        prop::collection::btree_map((0..40u32, 0..8usize), (quantity, price.clone()), 0..160);
    let halves = (0.0..1.0, 0.0..1.0).prop_map(|(a, b): (f64, f64)| (a.max(b), a.min(b)));
    (
        balances,
        positions,
        prop::array::uniform4(price.clone()),
        prop::array::uniform8(price),
        prop::array::uniform4(halves.clone()),
        prop::array::uniform8(halves),
    )
        .prop_map(
            |(balances, positions, index, mark, haircuts, rates)| Venue {
                balances: balances.into_iter().map(|((a, c), b)| (a, c, b)).collect(),
                positions: positions
                    .into_iter()
                    .map(|((a, i), (q, p))| (a, i, q, p))
                    .collect(),
                index,
                mark,
                haircuts,
                rates,
            },
        )
}

struct Built {
    book: Book,
    market: Market,
    model: CrossMargin,
}

fn universe() -> Arc<Universe> {
    let pick = |f: fn(&(&'static str, &'static str, usize, bool)) -> &'static str| -> IdColumn {
        INSTRUMENTS.iter().map(f).collect()
    };
    let columns = InstrumentColumns {
        instrument: pick(|spec| spec.0),
        kind: pick(|spec| spec.1),
        underlying: pick(|spec| {
            if spec.0.starts_with("ETH") {
                "ETH"
            } else {
                "BTC"
            }
        }),
        settlement: pick(|spec| ASSETS[spec.2]),
        contract_multiplier: Some(vec![1.0, 1.0, 0.1, 100.0, 10.0, 5.0, 1.0, 1.0]),
        inverse: Some(INSTRUMENTS.iter().map(|spec| spec.3).collect()),
        allow_negative_price: Some(INSTRUMENTS.iter().map(|spec| spec.0 == "POWER").collect()),
        expiry: None,
        strike: None,
        right: None,
    };
    Universe::new(
        &ASSETS.into_iter().collect(),
        Some(&columns),
        Id::Text("USD"),
    )
    .expect("valid")
}

fn build(venue: &Venue) -> Built {
    let universe = universe();
    let balances = Balances {
        account: venue.balances.iter().map(|row| i64::from(row.0)).collect(),
        asset: venue.balances.iter().map(|row| ASSETS[row.1]).collect(),
        balance: venue.balances.iter().map(|row| row.2).collect(),
    };
    let positions = Positions {
        account: venue.positions.iter().map(|row| i64::from(row.0)).collect(),
        instrument: venue
            .positions
            .iter()
            .map(|row| INSTRUMENTS[row.1].0)
            .collect(),
        quantity: venue.positions.iter().map(|row| row.2).collect(),
        entry_price: venue.positions.iter().map(|row| row.3).collect(),
    };
    let book = Book::new(&universe, Some(balances), Some(positions), &mut never).expect("valid");
    let mut market = Market::new(universe.clone(), None);
    for asset in 1..4 {
        market
            .set_index_price(asset, venue.index[asset])
            .expect("valid");
    }
    for (instrument, &mark) in venue.mark.iter().enumerate() {
        let mark = if INSTRUMENTS[instrument].0 == "POWER" {
            mark - 1000.0
        } else {
            mark
        };
        market.set_mark_price(instrument, mark).expect("valid");
    }
    let column = |f: fn(&(f64, f64)) -> f64| Some(venue.haircuts.iter().map(f).collect());
    let collateral = CollateralColumns {
        asset: ASSETS.into_iter().collect(),
        initial_haircut: column(|h| h.0),
        maintenance_haircut: column(|h| h.1),
        initial_liability_weight: column(|h| 1.0 + h.0),
        maintenance_liability_weight: column(|h| 1.0 + h.1),
    };
    let margin = MarginColumns {
        instrument: INSTRUMENTS.iter().map(|spec| spec.0).collect(),
        initial_rate: venue.rates.iter().map(|r| r.0).collect(),
        maintenance_rate: venue.rates.iter().map(|r| r.1).collect(),
    };
    let model = CrossMargin::new(&universe, Some(&collateral), Some(&margin)).expect("valid");
    Built {
        book,
        market,
        model,
    }
}

fn bits(rows: &[Row]) -> Vec<[u64; 8]> {
    rows.iter().map(|row| row.0.map(f64::to_bits)).collect()
}

fn rows(built: &Built) -> Vec<Row> {
    evaluate(&built.model, &built.book, &built.market, &mut never)
        .expect("all is priced")
        .rows()
        .to_vec()
}

/// One test, because the instruction set and thread count are the process's.
#[test]
fn every_path_gives_the_bits_of_settle() {
    let several_units = std::cell::Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    runner
        .run(&venue(), |venue| {
            let built = build(&venue);
            let table = built.model.table(&built.market).expect("same universe");
            let settled: Vec<Row> = (0..built.book.accounts().len())
                .map(|account| settle(&built.book, &table, account).row)
                .collect();
            for simd in Simd::ALL.into_iter().filter(|simd| simd.available()) {
                for threads in [1, 2, 7] {
                    assert!(Simd::force(Some(simd)));
                    set_threads(threads);
                    prop_assert_eq!(
                        bits(&rows(&built)),
                        bits(&settled),
                        "{} on {}",
                        simd.name(),
                        threads
                    );
                }
            }
            let (_, units) = built
                .book
                .layout(&mut never)
                .expect("not interrupted")
                .counts();
            several_units
                .set(several_units.get() + usize::from(units > built.book.accounts().len()));
            Ok(())
        })
        .expect("holds");
    Simd::force(None);
    set_threads(0);
    let several_units = several_units.get();
    assert!(
        several_units > 50,
        "only {several_units} books had accounts of several units"
    );
}

proptest! {
    #[test]
    fn more_collateral_never_lowers_health(mut venue in venue(), row in any::<prop::sample::Index>(), more in 0.0..1e5) {
        prop_assume!(!venue.balances.is_empty());
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
        for row in rows(&build(&venue)) {
            let slack = 1e-9 * (row.0[column::EQUITY].abs() + row.0[column::INITIAL_MARGIN] + row.0[column::DEBTS]);
            prop_assert!(row.0[column::MAINTENANCE_MARGIN] <= row.0[column::INITIAL_MARGIN]);
            prop_assert!(row.0[result::INITIAL_HEALTH] <= row.0[result::HEALTH] + slack);
            prop_assert!(row.0[result::COLLATERAL] <= row.0[column::EQUITY] + slack);
        }
    }

    #[test]
    fn the_order_of_rows_changes_no_bit(venue in venue(), seed in any::<u64>()) {
        // Accounts keep their order of first appearance: each is named once, in order, with nothing in it.
        let named = |mut venue: Venue| {
            venue.balances.retain(|row| row.1 != 0);
            let names = (0..40).map(|account| (account, 0, 0.0));
            venue.balances = names.chain(venue.balances).collect();
            venue
        };
        let first = named(venue);
        let mut second = first.clone();
        let key = |a: u32, b: usize| (u64::from(a) * 31 + b as u64).wrapping_mul(seed | 1);
        second.balances[40..].sort_by_key(|row| key(row.0, row.1));
        second.positions.sort_by_key(|row| key(row.0, row.1));
        prop_assert_eq!(bits(&rows(&build(&first))), bits(&rows(&build(&second))));
    }
}

#[test]
fn a_result_beyond_f64_names_account_and_leg() {
    let venue = Venue {
        balances: vec![(3, 0, 1.0)],
        positions: vec![(9, 0, 1e306, 100.0)],
        index: [1.0; 4],
        mark: [1e3; 8],
        haircuts: [(0.0, 0.0); 4],
        rates: [(0.1, 0.1); 8],
    };
    let built = build(&venue);
    let error =
        evaluate(&built.model, &built.book, &built.market, &mut never).expect_err("overflows");
    let Error::Range { account, problem } = error else {
        panic!("{error}")
    };
    assert_eq!(account, "9");
    assert!(
        problem.contains("position 'BTC-PERP' of 1e306"),
        "{problem}"
    );
}
