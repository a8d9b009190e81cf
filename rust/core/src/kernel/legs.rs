//! The innermost loop: legs times rows.

use super::lanes::Lanes;
use super::{Row, RowId, column};

/// What was summed over the legs of a unit.
#[derive(Clone, Copy)]
pub(super) struct Summed<L> {
    /// [`column`]s.
    pub(super) figures: L,
    /// What is charged for it beside; 0 if nothing was looked for.
    pub(super) charged: L,
    /// Number of the worst scenario, -1 if there is none.
    pub(super) worst: i32,
}

impl<L: Lanes> Summed<L> {
    #[inline(always)]
    fn of(figures: L) -> Self {
        Self {
            figures,
            charged: L::zero(),
            worst: -1,
        }
    }
}

/// A way to sum legs. Two units at once: the sums of one are a chain of dependent additions, which leaves half the core
/// idle.
pub(super) trait SumLegs<L, R>: Copy {
    /// Sums of a unit.
    ///
    /// # Safety
    /// Every row is a row of the table.
    unsafe fn one(self, rows: &[R], quantities: &[f64]) -> Summed<L>;

    /// Sums of two units of one length that follow each other: as [`SumLegs::one`] of each.
    ///
    /// # Safety
    /// Every row is a row of the table.
    unsafe fn pair(self, rows: &[R], quantities: &[f64]) -> (Summed<L>, Summed<L>);
}

/// Figures and nothing else.
#[derive(Clone, Copy)]
pub(super) struct Figures<'a, L> {
    table: &'a [Row],
    operand_mask: L,
}

impl<'a, L: Lanes> Figures<'a, L> {
    #[inline(always)]
    pub(super) fn new(table: &'a [Row]) -> Self {
        Self {
            table,
            operand_mask: L::operand_mask(&column::ABSOLUTE),
        }
    }
}

impl<L: Lanes, R: RowId> SumLegs<L, R> for Figures<'_, L> {
    #[inline(always)]
    unsafe fn one(self, rows: &[R], quantities: &[f64]) -> Summed<L> {
        // SAFETY: the caller's promise.
        Summed::of(unsafe { contract(rows, quantities, self.table, self.operand_mask) })
    }

    #[inline(always)]
    unsafe fn pair(self, rows: &[R], quantities: &[f64]) -> (Summed<L>, Summed<L>) {
        // SAFETY: the caller's promise.
        let (first, second) =
            unsafe { contract_pair(rows, quantities, self.table, self.operand_mask) };
        (Summed::of(first), Summed::of(second))
    }
}

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
unsafe fn contract_pair<L: Lanes, R: RowId>(
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
