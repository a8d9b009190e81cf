//! The innermost loop: legs times rows.

use super::lanes::Lanes;
use super::{Row, RowId};

/// Sum over legs of operand times row, in leg order, one fused multiply-add a leg and column.
///
/// # Safety
/// Every row is below the length of the table. (Checking each one here costs 15 to 20 % of an evaluation.)
#[inline(always)]
pub(super) unsafe fn contract<L: Lanes, R: RowId>(
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

/// The sums of two units of one length that follow each other: as [`contract`] for each.
///
/// # Safety
/// Every row is below the length of the table.
#[inline(always)]
pub(super) unsafe fn contract_pair<L: Lanes, R: RowId>(
    rows: &[R],
    quantities: &[f64],
    table: &[Row],
    operand_mask: L,
) -> (L, L) {
    let slots = rows.len() / 2;
    let ((first_rows, second_rows), (first, second)) =
        (rows.split_at(slots), quantities.split_at(slots));
    let mut sums = (L::zero(), L::zero());
    let legs = first_rows
        .iter()
        .zip(second_rows)
        .zip(first.iter().zip(second));
    for ((first_row, second_row), (&first, &second)) in legs {
        // SAFETY: the caller's promise.
        let (first_row, second_row) = unsafe {
            (
                table.get_unchecked(first_row.index()),
                table.get_unchecked(second_row.index()),
            )
        };
        sums.0 = L::splat(first)
            .and(operand_mask)
            .mul_add(L::load(first_row), sums.0);
        sums.1 = L::splat(second)
            .and(operand_mask)
            .mul_add(L::load(second_row), sums.1);
    }
    sums
}
