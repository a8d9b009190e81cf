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
