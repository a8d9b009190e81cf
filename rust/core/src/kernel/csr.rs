//! Legs in compressed sparse row form: the loop behind the low-level door.

use super::lanes::Lanes;
use super::legs::contract;
use super::scalar::Scalar;
use super::{Row, Simd};

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
