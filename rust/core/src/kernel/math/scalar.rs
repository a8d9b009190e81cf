//! Eight reals in plain Rust: each lane is a real of its own.

use super::real::{Real, RealRow, operators};
use crate::kernel::Row;
use crate::kernel::scalar::Scalar;

#[inline(always)]
fn each(a: Scalar, f: impl Fn(f64) -> f64) -> Scalar {
    Scalar(a.0.map(f))
}

#[inline(always)]
fn pairs(a: Scalar, b: Scalar, f: impl Fn(f64, f64) -> f64) -> Scalar {
    Scalar(std::array::from_fn(|lane| f(a.0[lane], b.0[lane])))
}

#[inline(always)]
fn add(a: Scalar, b: Scalar) -> Scalar {
    pairs(a, b, |a, b| a + b)
}
#[inline(always)]
fn sub(a: Scalar, b: Scalar) -> Scalar {
    pairs(a, b, |a, b| a - b)
}
#[inline(always)]
fn mul(a: Scalar, b: Scalar) -> Scalar {
    pairs(a, b, |a, b| a * b)
}
#[inline(always)]
fn div(a: Scalar, b: Scalar) -> Scalar {
    pairs(a, b, |a, b| a / b)
}
#[inline(always)]
fn neg(a: Scalar) -> Scalar {
    each(a, |a| -a)
}
operators!(Scalar: add, sub, mul, div, neg);

impl Real for Scalar {
    #[inline(always)]
    fn splat(value: f64) -> Self {
        Self([value; 8])
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Self(std::array::from_fn(|lane| {
            self.0[lane].mul_add(factor.0[lane], addend.0[lane])
        }))
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        each(self, f64::sqrt)
    }
    #[inline(always)]
    fn at_least(self, floor: Self) -> Self {
        pairs(self, floor, Real::at_least)
    }
    #[inline(always)]
    fn at_least_size(self, of: Self) -> Self {
        pairs(self, of, Real::at_least_size)
    }
    #[inline(always)]
    fn at_most(self, cap: Self) -> Self {
        pairs(self, cap, Real::at_most)
    }
    #[inline(always)]
    fn if_below(self, limit: Self, then: Self, otherwise: Self) -> Self {
        Self(std::array::from_fn(|lane| {
            let (then, otherwise) = (then.0[lane], otherwise.0[lane]);
            self.0[lane].if_below(limit.0[lane], then, otherwise)
        }))
    }
    #[inline(always)]
    fn and(self, mask: Self) -> Self {
        pairs(self, mask, Real::and)
    }
    #[inline(always)]
    fn or(self, bits: Self) -> Self {
        pairs(self, bits, Real::or)
    }
    #[inline(always)]
    fn xor(self, bits: Self) -> Self {
        pairs(self, bits, Real::xor)
    }
    #[inline(always)]
    fn add_bits(self, bits: Self) -> Self {
        pairs(self, bits, Real::add_bits)
    }
    #[inline(always)]
    fn sub_bits(self, bits: Self) -> Self {
        pairs(self, bits, Real::sub_bits)
    }
    #[inline(always)]
    fn shift_left_52(self) -> Self {
        each(self, Real::shift_left_52)
    }
    #[inline(always)]
    fn shift_right_52(self) -> Self {
        each(self, Real::shift_right_52)
    }
}

impl RealRow for Scalar {
    #[inline(always)]
    fn from_row(row: &Row) -> Self {
        Self(row.0)
    }
    #[inline(always)]
    fn write_row(self, row: &mut Row) {
        row.0 = self.0;
    }
    #[inline(always)]
    fn largest(self) -> f64 {
        let [first, rest @ ..] = self.0;
        rest.into_iter().fold(first, Real::at_least)
    }
}
