//! What the kernel asks of an instruction set: arithmetic on the eight columns of a row at once.

use super::{Row, column, result};

/// Eight f64 columns in registers.
///
/// Every operation is one IEEE operation a column, so all implementations agree bit for bit.
pub(super) trait Lanes: Copy {
    fn load(row: &Row) -> Self;
    fn splat(value: f64) -> Self;
    /// Bitwise and; clears the sign where the mask says so.
    fn and(self, mask: Self) -> Self;
    /// `self * factor + addend`, rounded once.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    fn add(self, other: Self) -> Self;
    /// The larger in each lane, of two numbers.
    fn larger(self, other: Self) -> Self;
    /// The largest of all lanes, if all are numbers.
    fn largest(self) -> f64;
    /// Which lanes are at least those of `other`: bit `c` for lane `c`.
    fn at_least(self, other: Self) -> u8;
    /// The column [`column::NET`] in every lane.
    fn broadcast_net(self) -> Self;
    /// The column [`column::BOUND`] in every lane.
    fn broadcast_bound(self) -> Self;
    /// `value` in one column, 0 in the others.
    fn only(column: usize, value: f64) -> Self {
        let mut row = Row::default();
        row.0[column] = value;
        Self::load(&row)
    }
    /// Which columns are nearer to 0 than `bound`, or not comparable: bit `c` for column `c`.
    fn within(self, bound: Self) -> u8;
    /// `max(self, 0)` in each lane; 0 for a NaN, which the check of the result still sees in its own column.
    fn positive_part(self) -> Self;
    /// `min(self, 0)` in each lane.
    fn negative_part(self) -> Self;
    fn store(self, to: &mut Row);
    /// Stays 0 where `row` is finite, is NaN from then on where it is not.
    fn poisoned_by(self, row: Self) -> Self;
    /// Which columns are below 0, strictly: bit `c` for column `c`.
    fn signs(self) -> u8;
    /// Writes past the caches where the set can: results are written once and not read by the kernel.
    fn stream(self, to: &mut Row);

    fn to_row(self) -> Row {
        let mut row = Row::default();
        self.store(&mut row);
        row
    }

    /// Whether nothing that was not finite has poisoned it.
    fn is_clean(self) -> bool {
        self.to_row().0.iter().all(|lane| !lane.is_nan())
    }

    fn zero() -> Self {
        Self::splat(0.0)
    }

    /// From sums to a result row: collateral = assets - debts, and the two healths.
    fn finish(self) -> Self {
        let Row(mut columns) = self.to_row();
        columns[result::COLLATERAL] = columns[column::ASSETS] - columns[column::DEBTS];
        columns[result::HEALTH] = columns[result::COLLATERAL] - columns[column::MAINTENANCE_MARGIN];
        columns[result::INITIAL_HEALTH] =
            columns[column::INITIAL_COLLATERAL] - columns[column::INITIAL_MARGIN];
        Self::load(&Row(columns))
    }

    /// All ones, but no sign bit in the columns whose operand is the absolute quantity.
    fn operand_mask(absolute: &[bool; 8]) -> Self {
        Self::load(&Row(absolute.map(|absolute| {
            f64::from_bits(if absolute { u64::MAX >> 1 } else { u64::MAX })
        })))
    }
}
