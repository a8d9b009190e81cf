//! Losses that are summed with the figures of an account equal, bit for bit, those that are scanned before.

use proptest::prelude::*;
use xmfast_core::kernel::{
    BlockResults, BlockTable, BlockUnits, Charged, Charges, LossMargins, LossTable, Measure, Row,
    Run, Scratch, Simd, UnitFacts, Units, WideTable, WorstLoss, column, contract_block, scan_units,
};

/// Table rows that legs may be in, row 0 apart. The first half loses nothing in any scenario, as balances do.
const ROWS: usize = 10;

const MARGINS: LossMargins = LossMargins {
    initial_factor: 1.3,
    roundings: 1e-13,
};

/// Accounts that are one unit each.
#[derive(Clone, Debug)]
struct Case {
    /// By table row: figures, losses by scenario.
    rows: Vec<([f64; 8], Vec<f64>)>,
    /// Legs of every account: as many for each.
    accounts: Vec<Vec<(u16, f64)>>,
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        5 => -100.0..100.0,
        2 => (-3_i32..=3).prop_map(f64::from),
        1 => (0_u64..=4).prop_map(|steps| f64::from_bits(3.0_f64.to_bits() + steps)),
        1 => Just(0.0),
    ]
}

fn cases() -> impl Strategy<Value = Case> {
    // The last is more than f64 can add up.
    let scales = prop_oneof![8 => Just(1.0), 1 => Just(1e-290), 1 => Just(1e60), 1 => Just(1e306)];
    (1..=40_usize, 1..24_usize, scales).prop_flat_map(|(scenarios, legs, scale)| {
        let losses = prop::collection::vec(number().prop_map(move |loss| loss * scale), scenarios);
        let figures = prop::array::uniform8(number());
        let rows = prop::collection::vec((figures, losses), ROWS);
        let account = prop::collection::vec((0..=ROWS as u16, number()), legs);
        let accounts = prop::collection::vec(account, 1..6);
        (rows, accounts).prop_map(|(mut rows, accounts)| {
            for (number, (figures, losses)) in rows.iter_mut().enumerate() {
                for absolute in [column::MAINTENANCE_MARGIN, column::INITIAL_MARGIN] {
                    figures[absolute] = figures[absolute].abs();
                }
                if number < ROWS / 2 {
                    losses.fill(0.0);
                }
            }
            Case { rows, accounts }
        })
    })
}

/// What is said of every account: result rows as bits, signs, worst scenarios, which are near a threshold, and whether
/// all are finite.
type Said = (Vec<[u64; 8]>, Vec<u8>, Vec<i32>, Vec<u32>, bool);

impl Case {
    fn losses(&self) -> LossTable {
        let scenarios = self.rows[0].1.len();
        let mut table = LossTable::scanned(ROWS + 1, scenarios, Measure::Worst, false);
        for (mut row, (_, losses)) in table.rows_mut().skip(1).zip(&self.rows) {
            row.losses().copy_from_slice(losses);
            row.close(None, |_| 0.0);
        }
        table
    }

    /// The table of a block, whose bounds hold those of losses.
    fn figures(&self, losses: &LossTable) -> Vec<Row> {
        let rows = (1..).zip(&self.rows).map(|(row, (figures, _))| {
            let mut figures = *figures;
            let largest = figures.iter().fold(0.0, |a, b| f64::max(a, b.abs()));
            figures[column::BOUND] = 1e-14 * largest + 1.3 * losses.charges(row)[0];
            Row(figures)
        });
        std::iter::once(Row::default()).chain(rows).collect()
    }

    fn units(&self) -> Units<u16> {
        let (slots, count) = (self.accounts[0].len(), self.accounts.len());
        let legs = || self.accounts.iter().flatten();
        let run = Run {
            slots: slots as u32,
            units: count as u32,
        };
        // The last account comes first, and each nets in an asset or in none.
        let facts = (0..count as u32).map(|unit| UnitFacts {
            target: count as u32 - 1 - unit,
            home: (unit % 2) as u16,
        });
        Units::new(
            vec![run],
            legs().map(|leg| leg.0).collect(),
            legs().map(|leg| leg.1).collect(),
            facts.collect(),
            Charges::default(),
        )
    }

    fn said(&self, simd: Simd, in_one_pass: bool) -> Said {
        let (losses, units) = (self.losses(), self.units());
        let figures = self.figures(&losses);
        let count = units.len();
        let mut weights = vec![Row::default(); 4];
        weights[2].0[column::ASSETS] = 0.95;
        weights[3].0[column::DEBTS] = -1.05;
        let (mut rows, mut signs, mut worst) =
            (vec![Row::default(); count], vec![0; count], vec![7; count]);
        let mut scratch = Scratch::default();
        let wide = {
            let mut wide = WideTable::new(figures.len(), &losses);
            for (row, figures) in figures.iter().enumerate() {
                wide.set_figures(row, figures);
                wide.set_losses(row, &losses, row);
            }
            wide
        };
        let mut before = vec![WorstLoss::default(); count];
        if !in_one_pass {
            scan_units(simd, &units, &losses, Measure::Worst, |unit, risk| {
                let target = count - 1 - unit;
                worst[target] = risk.worst as i32;
                before[target].loss = risk.loss;
            });
        }
        let table = BlockTable {
            charges: if in_one_pass {
                Charged::Scanned(&wide, &[], MARGINS)
            } else {
                Charged::Worst(&before, MARGINS)
            },
            rows: &figures,
            weights: &weights,
            rules: None,
        };
        let block = BlockUnits {
            whole: units,
            parts: Units::new(vec![], vec![], vec![], vec![], Charges::default()),
            folds: vec![],
        };
        let results = BlockResults {
            rows: &mut rows,
            signs: &mut signs,
            worst: if in_one_pass { &mut worst } else { &mut [] },
        };
        let are_finite = contract_block(simd, &block, table, &mut scratch, results);
        let bits = |row: &Row| row.0.map(f64::to_bits);
        let rows = rows.iter().map(bits).collect();
        (rows, signs, worst, scratch.near, are_finite)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn one_pass_and_two_say_the_same(case in cases()) {
        let expected = case.said(Simd::Scalar, false);
        for simd in Simd::ALL.into_iter().filter(|simd| simd.available()) {
            prop_assert_eq!(&case.said(simd, false), &expected, "{:?}", simd);
            prop_assert_eq!(&case.said(simd, true), &expected, "{:?}", simd);
        }
    }
}
