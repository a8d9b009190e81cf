//! The loop: legs of a unit contracted with table rows, the net weighed by its sign, a result row written.

use super::lanes::Lanes;
use super::scalar::Scalar;
use super::{Row, RowId, Simd, column};

/// Consecutive units of one leg count, so that the inner loop has no unpredictable end.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Legs per unit, spare ones included.
    pub slots: u32,
    /// Number of units.
    pub units: u32,
}

/// Units of a block: groups of legs netted together, in runs by leg count.
#[derive(Debug)]
pub struct Units<R> {
    runs: Vec<Run>,
    rows: Vec<R>,
    quantities: Vec<f64>,
    targets: Vec<u32>,
    homes: Vec<R>,
    /// Above every row, so that a table is long enough exactly if it has this many.
    row_bound: usize,
}

impl<R: RowId> Units<R> {
    /// Units made of legs.
    ///
    /// `rows` and `quantities` hold the legs of each unit, spare ones pointing to the all-zero row 0 included;
    /// `targets` the output row that each unit writes; `homes` the asset in which it nets (0: none), whose weights
    /// are the rows `2 * home` and `2 * home + 1`.
    ///
    /// # Panics
    /// If the runs do not cover the legs and units.
    #[must_use]
    pub fn new(
        runs: Vec<Run>,
        rows: Vec<R>,
        quantities: Vec<f64>,
        targets: Vec<u32>,
        homes: Vec<R>,
    ) -> Self {
        let units: usize = runs.iter().map(|run| run.units as usize).sum();
        let legs: usize = runs
            .iter()
            .map(|run| run.units as usize * run.slots as usize)
            .sum();
        assert_eq!((rows.len(), quantities.len()), (legs, legs));
        assert_eq!((targets.len(), homes.len()), (units, units));
        assert!(runs.iter().all(|run| run.slots > 0));
        let row_bound = rows.iter().map(|row| row.index() + 1).max().unwrap_or(0);
        Self {
            runs,
            rows,
            quantities,
            targets,
            homes,
            row_bound,
        }
    }

    /// Number of units.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is no unit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Number of legs, spare ones not counted.
    #[must_use]
    pub fn legs(&self) -> usize {
        self.rows.iter().filter(|row| row.index() != 0).count()
    }

    /// Bytes held.
    #[must_use]
    pub fn memory(&self) -> usize {
        (self.rows.capacity() + self.homes.capacity()) * size_of::<R>()
            + self.quantities.capacity() * size_of::<f64>()
            + self.targets.capacity() * size_of::<u32>()
            + self.runs.capacity() * size_of::<Run>()
    }
}

/// Contracts every unit with `table`, weighs its net by `weights`, and writes `out[target]`.
///
/// `whole` units are whole accounts: their result row is finished. The others write sums for [`fold`].
/// Returns whether every row written is finite.
///
/// # Panics
/// If a row, home or target lies outside its slice (the layout is made so that none does), or the machine lacks the path.
pub fn contract_units<R: RowId>(
    simd: Simd,
    units: &Units<R>,
    table: &[Row],
    weights: &[Row],
    whole: bool,
    out: &mut [Row],
) -> bool {
    assert!(units.row_bound <= table.len(), "the table has too few rows");
    assert!(simd.available(), "this machine has no {}", simd.name());
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `available` was asserted above.
        Simd::Avx512 => unsafe { units_avx512(units, table, weights, whole, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx2 => unsafe { units_avx2(units, table, weights, whole, out) },
        _ => units_in::<Scalar, R>(units, table, weights, whole, out),
    }
}

/// Sums the parts of each account in order and finishes its result row.
///
/// `accounts` holds the output row and the number of parts of each account; the parts follow each other.
/// Returns whether every row written is finite.
///
/// # Panics
/// If there are fewer parts than the accounts have.
pub fn fold(accounts: &[(u32, u32)], parts: &[Row], out: &mut [Row]) -> bool {
    let mut finite = true;
    let mut rest = parts;
    for &(target, count) in accounts {
        let (mine, others) = rest.split_at(count as usize);
        rest = others;
        let sum = mine
            .iter()
            .map(Scalar::load)
            .fold(Scalar::zero(), Scalar::add)
            .finish();
        finite &= sum.is_finite();
        out[target as usize] = sum.to_row();
    }
    finite
}

/// Contracts eight columns of a table in compressed sparse row form: `out[a]` sums the legs of account `a`.
///
/// `offsets` has one entry more than `out`; legs `offsets[a]..offsets[a + 1]` belong to account `a`.
///
/// # Panics
/// If an offset or row lies outside its slice, or the machine lacks the path.
pub fn contract_csr(
    simd: Simd,
    offsets: &[u64],
    rows: &[u32],
    quantities: &[f64],
    table: &[Row],
    absolute: &[bool; 8],
    out: &mut [Row],
) {
    assert!(
        rows.iter().all(|&row| (row as usize) < table.len()),
        "the table has too few rows"
    );
    assert!(simd.available(), "this machine has no {}", simd.name());
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `available` was asserted above.
        Simd::Avx512 => unsafe { csr_avx512(offsets, rows, quantities, table, absolute, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx2 => unsafe { csr_avx2(offsets, rows, quantities, table, absolute, out) },
        _ => csr_in::<Scalar>(offsets, rows, quantities, table, absolute, out),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn units_avx512<R: RowId>(
    units: &Units<R>,
    table: &[Row],
    weights: &[Row],
    whole: bool,
    out: &mut [Row],
) -> bool {
    let finite = units_in::<super::avx512::Avx512, R>(units, table, weights, whole, out);
    std::arch::x86_64::_mm_sfence();
    finite
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn units_avx2<R: RowId>(
    units: &Units<R>,
    table: &[Row],
    weights: &[Row],
    whole: bool,
    out: &mut [Row],
) -> bool {
    let finite = units_in::<super::avx2::Avx2, R>(units, table, weights, whole, out);
    std::arch::x86_64::_mm_sfence();
    finite
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn csr_avx512(
    offsets: &[u64],
    rows: &[u32],
    quantities: &[f64],
    table: &[Row],
    absolute: &[bool; 8],
    out: &mut [Row],
) {
    csr_in::<super::avx512::Avx512>(offsets, rows, quantities, table, absolute, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn csr_avx2(
    offsets: &[u64],
    rows: &[u32],
    quantities: &[f64],
    table: &[Row],
    absolute: &[bool; 8],
    out: &mut [Row],
) {
    csr_in::<super::avx2::Avx2>(offsets, rows, quantities, table, absolute, out);
}

/// Sum over legs of operand times row, in leg order, one fused multiply-add a leg and column.
///
/// # Safety
/// Every row is below the length of the table. (Checking each one here costs 15 to 20 % of an evaluation.)
#[inline(always)]
unsafe fn contract<L: Lanes, R: RowId>(
    rows: &[R],
    quantities: &[f64],
    table: &[Row],
    operand_mask: L,
) -> L {
    let mut sum = L::zero();
    for (row, &quantity) in rows.iter().zip(quantities) {
        let operand = L::splat(quantity).and(operand_mask);
        // SAFETY: the caller's promise.
        let row = unsafe { table.get_unchecked(row.index()) };
        sum = operand.mul_add(L::load(row), sum);
    }
    sum
}

#[inline(always)]
fn units_in<L: Lanes, R: RowId>(
    units: &Units<R>,
    table: &[Row],
    weights: &[Row],
    whole: bool,
    out: &mut [Row],
) -> bool {
    let operand_mask = L::operand_mask(&column::ABSOLUTE);
    let (mut rows, mut quantities) = (&units.rows[..], &units.quantities[..]);
    let mut unit_facts = units.targets.iter().zip(&units.homes);
    let mut finite = true;
    for run in &units.runs {
        let slots = run.slots as usize;
        let legs = slots * run.units as usize;
        let (run_rows, run_quantities);
        (run_rows, rows) = rows.split_at(legs);
        (run_quantities, quantities) = quantities.split_at(legs);
        let run_legs = run_rows
            .chunks_exact(slots)
            .zip(run_quantities.chunks_exact(slots));
        for ((rows, quantities), (&target, home)) in run_legs.zip(&mut unit_facts) {
            // SAFETY: `contract_units` compared the table with `row_bound`.
            let sum = unsafe { contract::<L, R>(rows, quantities, table, operand_mask) };
            // Net first, then weigh: one of the two parts is zero.
            let net = sum.broadcast_net();
            let home = 2 * home.index();
            let weighed = net.positive_part().mul_add(L::load(&weights[home]), sum);
            let weighed = net
                .negative_part()
                .mul_add(L::load(&weights[home + 1]), weighed);
            let out = &mut out[target as usize];
            if whole {
                let row = weighed.finish();
                finite &= row.is_finite();
                row.stream(out);
            } else {
                *out = weighed.to_row();
            }
        }
    }
    finite
}

#[inline(always)]
fn csr_in<L: Lanes>(
    offsets: &[u64],
    rows: &[u32],
    quantities: &[f64],
    table: &[Row],
    absolute: &[bool; 8],
    out: &mut [Row],
) {
    let operand_mask = L::operand_mask(absolute);
    for (account, out) in offsets.windows(2).zip(out) {
        let legs = account[0] as usize..account[1] as usize;
        let (rows, quantities) = (&rows[legs.clone()], &quantities[legs]);
        // SAFETY: `contract_csr` compared the table with every row.
        *out = unsafe { contract::<L, u32>(rows, quantities, table, operand_mask) }.to_row();
    }
}
