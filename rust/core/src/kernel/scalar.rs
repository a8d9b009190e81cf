//! The kernel's arithmetic in plain Rust: the fallback, and the oracle for the others.

use super::lanes::Lanes;
use super::{Row, column};

#[derive(Clone, Copy)]
pub(super) struct Scalar(pub(super) [f64; 8]);

impl Scalar {
    #[inline(always)]
    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self(self.0.map(f))
    }

    #[inline(always)]
    fn bits(self, f: impl Fn(f64) -> bool) -> u8 {
        self.0
            .iter()
            .rev()
            .fold(0, |bits, &x| bits << 1 | u8::from(f(x)))
    }

    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self(std::array::from_fn(|lane| f(self.0[lane], other.0[lane])))
    }
}

impl Lanes for Scalar {
    #[inline(always)]
    fn load(row: &Row) -> Self {
        Self(row.0)
    }
    #[inline(always)]
    fn splat(value: f64) -> Self {
        Self([value; 8])
    }
    #[inline(always)]
    fn and(self, mask: Self) -> Self {
        self.zip(mask, |a, b| f64::from_bits(a.to_bits() & b.to_bits()))
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Self(std::array::from_fn(|lane| {
            self.0[lane].mul_add(factor.0[lane], addend.0[lane])
        }))
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn largest(self) -> f64 {
        (self.0.into_iter()).fold(f64::NEG_INFINITY, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn at_least(self, other: Self) -> u8 {
        let lanes = self.0.into_iter().zip(other.0).rev();
        lanes.fold(0, |bits, (a, b)| bits << 1 | u8::from(a >= b))
    }
    #[inline(always)]
    fn broadcast_net(self) -> Self {
        Self([self.0[column::NET]; 8])
    }
    #[inline(always)]
    fn broadcast_bound(self) -> Self {
        Self([self.0[column::BOUND]; 8])
    }
    #[inline(always)]
    fn within(self, bound: Self) -> u8 {
        let at_least = |(x, bound): (f64, f64)| x.abs() >= bound;
        let lanes = self.0.into_iter().zip(bound.0).rev();
        lanes.fold(0, |bits, lane| bits << 1 | u8::from(!at_least(lane)))
    }
    #[inline(always)]
    fn positive_part(self) -> Self {
        // Not `f64::max`: these are the comparisons that the vector instructions make.
        self.map(|x| if x > 0.0 { x } else { 0.0 })
    }
    #[inline(always)]
    fn negative_part(self) -> Self {
        self.map(|x| if x < 0.0 { x } else { 0.0 })
    }
    #[inline(always)]
    fn store(self, to: &mut Row) {
        to.0 = self.0;
    }
    #[inline(always)]
    fn poisoned_by(self, row: Self) -> Self {
        // Not `mul_add`, which is a call where the machine has no such instruction; the figure itself is not used.
        self.zip(row, |lane, figure| figure * 0.0 + lane)
    }
    #[inline(always)]
    fn signs(self) -> u8 {
        self.bits(|x| x < 0.0)
    }
    #[inline(always)]
    fn stream(self, to: &mut Row) {
        to.0 = self.0;
    }
}
