//! A block of accounts: units contracted, nets weighed by their sign, parts folded, result rows written.

use super::lanes::Lanes;
use super::legs::{contract, contract_pair};
use super::scalar::Scalar;
use super::{BlockUnits, Row, RowId, Simd, Units, column};

/// Where the results of a block go: one row and one byte of signs for each account.
#[derive(Debug)]
pub struct BlockResults<'a> {
    /// Result rows.
    pub rows: &'a mut [Row],
    /// Which columns of the result row are below 0: bit `c` for column `c`.
    pub signs: &'a mut [u8],
}

/// Contracts every account of a block with `table` and weighs its nets by `weights`.
///
/// `scratch` is memory for parts, used again from block to block. Returns whether every result is finite.
///
/// # Panics
/// If a row, home or target lies outside its slice (the layout is made so that none does), or the machine lacks the path.
pub fn contract_block<R: RowId>(
    simd: Simd,
    block: &BlockUnits<R>,
    table: &[Row],
    weights: &[Row],
    scratch: &mut Vec<Row>,
    results: BlockResults<'_>,
) -> bool {
    let row_bound = block.whole.row_bound.max(block.parts.row_bound);
    assert!(row_bound <= table.len(), "the table has too few rows");
    assert!(simd.available(), "this machine has no {}", simd.name());
    if scratch.len() < block.parts.len() {
        scratch.resize(block.parts.len(), Row::default());
    }
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `available` was asserted above.
        Simd::Avx512 => unsafe { block_avx512(block, table, weights, scratch, results) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx2 => unsafe { block_avx2(block, table, weights, scratch, results) },
        _ => block_in::<Scalar, R>(block, table, weights, scratch, results),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn block_avx512<R: RowId>(
    block: &BlockUnits<R>,
    table: &[Row],
    weights: &[Row],
    scratch: &mut [Row],
    results: BlockResults<'_>,
) -> bool {
    let finite = block_in::<super::avx512::Avx512, R>(block, table, weights, scratch, results);
    std::arch::x86_64::_mm_sfence();
    finite
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn block_avx2<R: RowId>(
    block: &BlockUnits<R>,
    table: &[Row],
    weights: &[Row],
    scratch: &mut [Row],
    results: BlockResults<'_>,
) -> bool {
    let finite = block_in::<super::avx2::Avx2, R>(block, table, weights, scratch, results);
    std::arch::x86_64::_mm_sfence();
    finite
}

#[inline(always)]
fn block_in<L: Lanes, R: RowId>(
    block: &BlockUnits<R>,
    table: &[Row],
    weights: &[Row],
    scratch: &mut [Row],
    results: BlockResults<'_>,
) -> bool {
    let BlockResults { rows, signs } = results;
    // Equal lengths, so that one check of a target serves both.
    let signs = &mut signs[..rows.len()];
    let mut finite = units_in::<L, R, true>(&block.whole, table, weights, rows, signs);
    if !block.folds.is_empty() {
        units_in::<L, R, false>(&block.parts, table, weights, scratch, &mut []);
        finite &= fold_in::<L>(&block.folds, scratch, rows, signs);
    }
    finite == u8::MAX
}

/// Contracts and weighs each unit. `WHOLE` units are accounts: their rows are finished; the others are left as sums.
///
/// Returns the columns that are finite in every row.
#[inline(always)]
fn units_in<L: Lanes, R: RowId, const WHOLE: bool>(
    units: &Units<R>,
    table: &[Row],
    weights: &[Row],
    out: &mut [Row],
    signs: &mut [u8],
) -> u8 {
    let operand_mask = L::operand_mask(&column::ABSOLUTE);
    let (mut rows, mut quantities) = (&units.rows[..], &units.quantities[..]);
    let mut unit_facts = units.targets.iter().zip(&units.homes);
    let mut finite = u8::MAX;
    for run in &units.runs {
        let slots = run.slots as usize;
        let legs = slots * run.units as usize;
        let (run_rows, run_quantities);
        (run_rows, rows) = rows.split_at(legs);
        (run_quantities, quantities) = quantities.split_at(legs);
        // Two units at once: the sums of one are a chain of dependent additions, which leaves half the unit idle.
        let mut row_pairs = run_rows.chunks_exact(2 * slots);
        let mut quantity_pairs = run_quantities.chunks_exact(2 * slots);
        for (rows, quantities) in (&mut row_pairs).zip(&mut quantity_pairs) {
            // SAFETY: `contract_block` compared the table with `row_bound`.
            let (first, second) =
                unsafe { contract_pair::<L, R>(rows, quantities, table, operand_mask) };
            for sum in [first, second] {
                let (&target, home) = unit_facts.next().expect("as many as units");
                finite &= write::<L, R, WHOLE>(sum, *home, target, weights, out, signs);
            }
        }
        if let [_, ..] = row_pairs.remainder() {
            // SAFETY: as above.
            let sum = unsafe {
                contract::<L, R>(
                    row_pairs.remainder(),
                    quantity_pairs.remainder(),
                    table,
                    operand_mask,
                )
            };
            let (&target, home) = unit_facts.next().expect("as many as units");
            finite &= write::<L, R, WHOLE>(sum, *home, target, weights, out, signs);
        }
    }
    finite
}

/// Weighs a unit's net by its sign and writes its row; returns the columns that are finite.
#[inline(always)]
fn write<L: Lanes, R: RowId, const WHOLE: bool>(
    sum: L,
    home: R,
    target: u32,
    weights: &[Row],
    out: &mut [Row],
    signs: &mut [u8],
) -> u8 {
    let net = sum.broadcast_net();
    let home = 2 * home.index();
    // One of the two parts is zero.
    let sum = net.positive_part().mul_add(L::load(&weights[home]), sum);
    let sum = net
        .negative_part()
        .mul_add(L::load(&weights[home + 1]), sum);
    let target = target as usize;
    if WHOLE {
        let row = sum.finish();
        signs[target] = row.signs();
        row.stream(&mut out[target]);
        row.finite()
    } else {
        sum.store(&mut out[target]);
        u8::MAX
    }
}

/// Sums the parts of each account in order and finishes its row.
#[inline(always)]
fn fold_in<L: Lanes>(
    accounts: &[(u32, u32)],
    parts: &[Row],
    out: &mut [Row],
    signs: &mut [u8],
) -> u8 {
    let mut finite = u8::MAX;
    let mut rest = parts;
    for &(target, count) in accounts {
        let (mine, others) = rest.split_at(count as usize);
        rest = others;
        let mut sum = L::zero();
        for part in mine {
            sum = sum.add(L::load(part));
        }
        let row = sum.finish();
        finite &= row.finite();
        signs[target as usize] = row.signs();
        row.stream(&mut out[target as usize]);
    }
    finite
}
