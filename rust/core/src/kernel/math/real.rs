//! What mathematics asks of a number: one f64, or several side by side in registers.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::kernel::Row;

/// Real numbers in lanes. Every operation is one IEEE operation, or one on bits, in each lane.
pub(crate) trait Real:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The same number in every lane.
    fn splat(value: f64) -> Self;
    /// `self * factor + addend`, rounded once.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    fn sqrt(self) -> Self;
    /// The larger of the two; a NaN stays NaN.
    fn at_least(self, floor: Self) -> Self;
    /// The larger of this, which has no sign, and the size of another; a NaN is larger than any.
    fn at_least_size(self, of: Self) -> Self;
    /// The smaller of the two; a NaN stays NaN.
    fn at_most(self, cap: Self) -> Self;
    /// `then` where `self < limit`, elsewhere, and where either is NaN, `otherwise`.
    fn if_below(self, limit: Self, then: Self, otherwise: Self) -> Self;
    /// Bitwise.
    fn and(self, mask: Self) -> Self;
    /// Bitwise.
    fn or(self, bits: Self) -> Self;
    /// Bitwise.
    fn xor(self, bits: Self) -> Self;
    /// Adds the bits as 64-bit integers.
    fn add_bits(self, bits: Self) -> Self;
    /// Subtracts the bits as 64-bit integers.
    fn sub_bits(self, bits: Self) -> Self;
    /// Moves the last 12 bits to where sign and exponent stand.
    fn shift_left_52(self) -> Self;
    /// Moves sign and exponent to the last 12 bits.
    fn shift_right_52(self) -> Self;

    /// With the other sign where `of` has one that is negative.
    #[inline(always)]
    fn negated_with(self, of: Self) -> Self {
        self.xor(of.and(Self::splat(-0.0)))
    }
    /// The number without its sign.
    #[inline(always)]
    fn magnitude(self) -> Self {
        self.and(Self::splat(f64::from_bits(u64::MAX >> 1)))
    }
}

/// Eight real numbers that a row can hold.
pub(crate) trait RealRow: Real {
    fn from_row(row: &Row) -> Self;
    fn write_row(self, row: &mut Row);
    /// The largest of the lanes, none of which is NaN.
    fn largest(self) -> f64;
}

impl Real for f64 {
    #[inline(always)]
    fn splat(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        self.mul_add(factor, addend)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    #[inline(always)]
    fn at_least(self, floor: Self) -> Self {
        // Not `f64::max`: these are the comparisons that the vector instructions make.
        if floor > self { floor } else { self }
    }
    #[inline(always)]
    fn at_least_size(self, of: Self) -> Self {
        Self::from_bits(self.to_bits().max(of.magnitude().to_bits()))
    }
    #[inline(always)]
    fn at_most(self, cap: Self) -> Self {
        if cap < self { cap } else { self }
    }
    #[inline(always)]
    fn if_below(self, limit: Self, then: Self, otherwise: Self) -> Self {
        if self < limit { then } else { otherwise }
    }
    #[inline(always)]
    fn and(self, mask: Self) -> Self {
        Self::from_bits(self.to_bits() & mask.to_bits())
    }
    #[inline(always)]
    fn or(self, bits: Self) -> Self {
        Self::from_bits(self.to_bits() | bits.to_bits())
    }
    #[inline(always)]
    fn xor(self, bits: Self) -> Self {
        Self::from_bits(self.to_bits() ^ bits.to_bits())
    }
    #[inline(always)]
    fn add_bits(self, bits: Self) -> Self {
        Self::from_bits(self.to_bits().wrapping_add(bits.to_bits()))
    }
    #[inline(always)]
    fn sub_bits(self, bits: Self) -> Self {
        Self::from_bits(self.to_bits().wrapping_sub(bits.to_bits()))
    }
    #[inline(always)]
    fn shift_left_52(self) -> Self {
        Self::from_bits(self.to_bits() << 52)
    }
    #[inline(always)]
    fn shift_right_52(self) -> Self {
        Self::from_bits(self.to_bits() >> 52)
    }
}

/// The five operators of a type, by its functions of the same names.
macro_rules! operators {
    ($lanes:ty: $add:path, $sub:path, $mul:path, $div:path, $neg:path) => {
        operators!(@ $lanes, Add, add, $add);
        operators!(@ $lanes, Sub, sub, $sub);
        operators!(@ $lanes, Mul, mul, $mul);
        operators!(@ $lanes, Div, div, $div);
        impl std::ops::Neg for $lanes {
            type Output = Self;
            #[inline(always)]
            fn neg(self) -> Self {
                $neg(self)
            }
        }
    };
    (@ $lanes:ty, $operator:ident, $method:ident, $function:path) => {
        impl std::ops::$operator for $lanes {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                $function(self, other)
            }
        }
    };
}
pub(super) use operators;
