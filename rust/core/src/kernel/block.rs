//! A block of accounts: units contracted, nets weighed by their sign, parts folded, result rows written.

use super::charged::Charged;
use super::fetch::fetch_ahead;
use super::finish::{
    BeyondSums, CHARGED, DECISIVE, Finish, PART, SCANNED, Sums, WHOLE, Writer, weigh, write,
};
use super::lanes::Lanes;
use super::legs::{Figures, SumLegs, contract};
use super::rules::{Charges, ChargesInOrder, RuleTable, beyond_sums};
use super::scalar::Scalar;
use super::scanned::{Scanned, WideTable};
use super::{BlockUnits, Fold, Row, RowId, Simd, UnitFacts, Units, column};

/// Rows of `weights` per home: positive net, negative net.
pub const WEIGHT_ROWS: usize = 2;

/// What the kernel needs of a risk table.
#[derive(Clone, Copy, Debug)]
pub struct BlockTable<'a> {
    /// What is added to the sums of an account beside its legs.
    pub charges: Charged<'a>,
    /// One row for everything a leg can be.
    pub rows: &'a [Row],
    /// [`WEIGHT_ROWS`] rows per home.
    pub weights: &'a [Row],
    /// What is not a sum over legs, if anything is.
    pub rules: Option<&'a RuleTable>,
}

/// Where the results of a block go: one byte of signs for each account, and one row, unless only signs are asked for.
#[derive(Debug, Default)]
pub struct BlockResults<'a> {
    /// Result rows; empty if they are not asked for.
    pub rows: &'a mut [Row],
    /// Which columns of the result row are below 0: bit `c` for column `c`.
    pub signs: &'a mut [u8],
    /// Numbers of the worst scenarios, -1 if there is none, where they are found with [`Charged::Scanned`]; else empty.
    pub worst: &'a mut [i32],
}

impl BlockResults<'_> {
    /// The same places, for a while.
    pub fn lent(&mut self) -> BlockResults<'_> {
        BlockResults {
            rows: self.rows,
            signs: self.signs,
            worst: self.worst,
        }
    }
}

/// Memory that is used again from block to block.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Sums of the parts of accounts that have several units.
    parts: Vec<Row>,
    /// Slots whose equity or health is so near to 0 that rounding may have chosen its sign.
    pub near: Vec<u32>,
}

/// Contracts every account of a block with the table and weighs its nets.
///
/// Leaves in `scratch.near` the slots whose decision is not proven. Returns whether every result is finite.
///
/// # Panics
/// If a row, home or target lies outside its slice (the layout is made so that none does), or the machine lacks the path.
pub fn contract_block<R: RowId>(
    simd: Simd,
    block: &BlockUnits<R>,
    table: BlockTable<'_>,
    scratch: &mut Scratch,
    results: BlockResults<'_>,
) -> bool {
    let row_bound = block.whole.row_bound.max(block.parts.row_bound);
    assert!(row_bound <= table.rows.len(), "the table has too few rows");
    if let Charged::Scanned(wide, ..) = table.charges {
        assert!(row_bound <= wide.len(), "the wide table has too few rows");
    }
    assert!(simd.available(), "this machine has no {}", simd.name());
    scratch.near.clear();
    if scratch.parts.len() < block.parts.len() {
        scratch.parts.resize(block.parts.len(), Row::default());
    }
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `available` was asserted above.
        Simd::Avx512 => unsafe { block_avx512(block, table, scratch, results) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx2 => unsafe { block_avx2(block, table, scratch, results) },
        _ => block_in::<Scalar, R>(block, table, scratch, results),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn block_avx512<R: RowId>(
    block: &BlockUnits<R>,
    table: BlockTable<'_>,
    scratch: &mut Scratch,
    results: BlockResults<'_>,
) -> bool {
    let finite = block_in::<super::avx512::Avx512, R>(block, table, scratch, results);
    std::arch::x86_64::_mm_sfence();
    finite
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn block_avx2<R: RowId>(
    block: &BlockUnits<R>,
    table: BlockTable<'_>,
    scratch: &mut Scratch,
    results: BlockResults<'_>,
) -> bool {
    let finite = block_in::<super::avx2::Avx2, R>(block, table, scratch, results);
    std::arch::x86_64::_mm_sfence();
    finite
}

#[inline(always)]
fn block_in<L: Lanes, R: RowId>(
    block: &BlockUnits<R>,
    table: BlockTable<'_>,
    scratch: &mut Scratch,
    mut results: BlockResults<'_>,
) -> bool {
    let Scratch { parts, near } = scratch;
    let whole = &block.whole;
    let mut poison = match table.charges {
        Charged::Nothing => {
            let legs = Figures::new(table.rows);
            units_in::<L, R, WHOLE>(whole, table, legs, &mut results, near)
        }
        Charged::Scanned(wide, _, margins) => {
            let with = (table, wide, margins.columns_of_one());
            scanned_in::<L, R>(whole, with, &mut results, near)
        }
        _ => {
            let legs = Figures::new(table.rows);
            units_in::<L, R, CHARGED>(whole, table, legs, &mut results, near)
        }
    };
    if !block.folds.is_empty() {
        let mut sums = BlockResults {
            rows: parts,
            ..BlockResults::default()
        };
        let legs = Figures::new(table.rows);
        units_in::<L, R, PART>(&block.parts, table, legs, &mut sums, near);
        let sums = (parts.as_slice(), table.charges);
        poison = poison.add(fold_in::<L>(&block.folds, sums, &mut results, near));
    }
    poison.is_clean()
}

/// Units that are an account and whose worst scenarios are found on the way.
#[inline(always)]
fn scanned_in<L: Lanes, R: RowId>(
    units: &Units<R>,
    (table, wide, charged): (BlockTable<'_>, &WideTable, L),
    results: &mut BlockResults<'_>,
    near: &mut Vec<u32>,
) -> L {
    macro_rules! of_lanes {
        ($($lanes:literal)*) => {
            match wide.lanes() {
                $($lanes => {
                    let legs = Scanned::<L, $lanes>::new(wide, charged);
                    units_in::<L, R, SCANNED>(units, table, legs, results, near)
                })*
                _ => unreachable!("few scenarios"),
            }
        };
    }
    of_lanes!(1 2 3 4 5)
}

/// The figures of one account of a single unit, as [`contract_block`] makes them. `charges` are those of that unit.
///
/// # Panics
/// As [`contract_block`].
pub fn contract_unit<R: RowId>(
    simd: Simd,
    unit: UnitLegs<'_, R>,
    table: BlockTable<'_>,
    charges: &Charges,
) -> AccountSums {
    let in_table = |row: &R| row.index() < table.rows.len();
    assert!(unit.rows.iter().all(in_table), "the table has too few rows");
    assert!(simd.available(), "this machine has no {}", simd.name());
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `available` was asserted above.
        Simd::Avx512 => unsafe { unit_avx512(unit, table, charges) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx2 => unsafe { unit_avx2(unit, table, charges) },
        _ => unit_in::<Scalar, R>(unit, table, charges),
    }
}

/// Legs of a unit, and the asset in which it nets (0: none, else asset + 1).
#[derive(Clone, Copy, Debug)]
pub struct UnitLegs<'a, R> {
    /// Table rows.
    pub rows: &'a [R],
    /// As many quantities.
    pub quantities: &'a [f64],
    /// The home.
    pub home: usize,
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn unit_avx512<R: RowId>(
    unit: UnitLegs<'_, R>,
    table: BlockTable<'_>,
    charges: &Charges,
) -> AccountSums {
    unit_in::<super::avx512::Avx512, R>(unit, table, charges)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn unit_avx2<R: RowId>(
    unit: UnitLegs<'_, R>,
    table: BlockTable<'_>,
    charges: &Charges,
) -> AccountSums {
    unit_in::<super::avx2::Avx2, R>(unit, table, charges)
}

#[inline(always)]
fn unit_in<L: Lanes, R: RowId>(
    unit: UnitLegs<'_, R>,
    table: BlockTable<'_>,
    charges: &Charges,
) -> AccountSums {
    let UnitLegs {
        rows,
        quantities,
        home,
    } = unit;
    let mask = L::operand_mask(&column::ABSOLUTE);
    // SAFETY: `contract_unit` compared every row with the table.
    let mut sum = unsafe { contract::<L, R>(rows, quantities, table.rows, mask) };
    let facts = UnitFacts {
        target: 0,
        home: R::from_index(home),
    };
    let weighed = match table.rules {
        None => weigh(sum, &facts, table),
        Some(rules) => {
            let mut charges = ChargesInOrder::new(charges);
            let with = (table.rows, rules);
            (sum, _) = beyond_sums(sum, rows, quantities, home, with, &mut charges);
            let weighed = weigh(sum, &facts, table);
            if rules.homes.is_empty() {
                weighed
            } else {
                let net = sum.to_row().0[column::NET];
                rules.homes.add_one(home, net, weighed)
            }
        }
    };
    figures_of(weighed)
}

#[inline(always)]
fn figures_of<L: Lanes>(sum: L) -> AccountSums {
    let row = sum.finish();
    AccountSums {
        row: row.to_row(),
        bound: sum.to_row().0[column::BOUND],
        proven: row.within(sum.broadcast_bound()) & DECISIVE == 0,
    }
}

/// The sums of one account whose units are `units`, folded in order: what [`contract_block`] finishes into its row.
///
/// # Panics
/// As [`contract_block`].
pub fn contract_account<R: RowId>(
    simd: Simd,
    units: &Units<R>,
    table: BlockTable<'_>,
    scratch: &mut Scratch,
) -> AccountSums {
    assert!(
        units.row_bound <= table.rows.len(),
        "the table has too few rows"
    );
    assert!(simd.available(), "this machine has no {}", simd.name());
    if scratch.parts.len() < units.len() {
        scratch.parts.resize(units.len(), Row::default());
    }
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `available` was asserted above.
        Simd::Avx512 => unsafe { account_avx512(units, table, scratch) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx2 => unsafe { account_avx2(units, table, scratch) },
        _ => account_in::<Scalar, R>(units, table, scratch),
    }
}

/// One account's figures.
#[derive(Clone, Copy, Debug)]
pub struct AccountSums {
    /// Its result row.
    pub row: Row,
    /// What each figure can be off by.
    pub bound: f64,
    /// Whether the sign of each figure that decides something is proven.
    pub proven: bool,
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn account_avx512<R: RowId>(
    units: &Units<R>,
    table: BlockTable<'_>,
    scratch: &mut Scratch,
) -> AccountSums {
    account_in::<super::avx512::Avx512, R>(units, table, scratch)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn account_avx2<R: RowId>(
    units: &Units<R>,
    table: BlockTable<'_>,
    scratch: &mut Scratch,
) -> AccountSums {
    account_in::<super::avx2::Avx2, R>(units, table, scratch)
}

#[inline(always)]
fn account_in<L: Lanes, R: RowId>(
    units: &Units<R>,
    table: BlockTable<'_>,
    scratch: &mut Scratch,
) -> AccountSums {
    let Scratch { parts, near } = scratch;
    let mut sums = BlockResults {
        rows: parts,
        ..BlockResults::default()
    };
    let legs = Figures::new(table.rows);
    units_in::<L, R, PART>(units, table, legs, &mut sums, near);
    let mine = &parts[..units.len()];
    let sum = match mine {
        [whole] => L::load(whole),
        _ => mine
            .iter()
            .fold(L::zero(), |sum, part| sum.add(L::load(part))),
    };
    figures_of(sum)
}

/// Contracts and weighs each unit, which is of `KIND`.
///
/// Returns what the rows poisoned.
#[inline(always)]
fn units_in<L: Lanes, R: RowId, const KIND: u8>(
    units: &Units<R>,
    table: BlockTable<'_>,
    legs: impl SumLegs<L, R>,
    results: &mut BlockResults<'_>,
    near: &mut Vec<u32>,
) -> L {
    let mut writer = Writer {
        facts: units.facts.iter(),
        table,
        results: results.lent(),
        near,
        poison: L::zero(),
    };
    match table.rules {
        None => contract_units::<L, R>(units, legs, &mut Sums::<L, R, KIND>(&mut writer)),
        Some(rules) => {
            let charges = ChargesInOrder::new(&units.charges);
            let mut finish = BeyondSums::<L, R, KIND> {
                writer: &mut writer,
                rules,
                charges,
            };
            contract_units::<L, R>(units, legs, &mut finish);
        }
    }
    writer.poison
}

/// Contracts each unit and hands its sums on, in order.
#[inline(always)]
fn contract_units<L: Lanes, R: RowId>(
    units: &Units<R>,
    legs: impl SumLegs<L, R>,
    then: &mut impl Finish<L, R>,
) {
    let (mut rows, mut quantities) = (units.rows.as_slice(), units.quantities.as_slice());
    for run in &units.runs {
        let slots = run.slots as usize;
        let count = slots * run.units as usize;
        let (run_rows, run_quantities);
        (run_rows, rows) = rows.split_at(count);
        (run_quantities, quantities) = quantities.split_at(count);
        let mut row_pairs = run_rows.chunks_exact(2 * slots);
        let mut quantity_pairs = run_quantities.chunks_exact(2 * slots);
        for (rows, quantities) in (&mut row_pairs).zip(&mut quantity_pairs) {
            fetch_ahead(rows);
            fetch_ahead(quantities);
            // SAFETY: `contract_block` compared the table with `row_bound`.
            let (first, second) = unsafe { legs.pair(rows, quantities) };
            let ((first_rows, second_rows), (first_quantities, second_quantities)) =
                (rows.split_at(slots), quantities.split_at(slots));
            then.finish(first, first_rows, first_quantities);
            then.finish(second, second_rows, second_quantities);
        }
        if let (rows @ [_, ..], quantities) = (row_pairs.remainder(), quantity_pairs.remainder()) {
            // SAFETY: as above.
            let sum = unsafe { legs.one(rows, quantities) };
            then.finish(sum, rows, quantities);
        }
    }
}

/// Sums the parts of each account in order and finishes its row.
#[inline(always)]
fn fold_in<L: Lanes>(
    accounts: &[Fold],
    (parts, charges): (&[Row], Charged<'_>),
    results: &mut BlockResults<'_>,
    near: &mut Vec<u32>,
) -> L {
    let mut poison = L::zero();
    let mut rest = parts;
    for account in accounts {
        let (mine, others) = rest.split_at(account.parts as usize);
        rest = others;
        let mut sum = L::zero();
        for part in mine {
            sum = sum.add(L::load(part));
        }
        let sum = charges.add_to(sum, account.target);
        let row = write(sum, || mine.len(), account.target, results, near);
        poison = poison.poisoned_by(row);
    }
    poison
}
