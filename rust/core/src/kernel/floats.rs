//! Sixteen f32 at once: what the sieve asks of an instruction set.
//!
//! A [`Row`] of 64 bytes holds them. Nothing that is reported comes from here, so the sets need not agree bit for bit.

use super::Row;

/// Sixteen f32 in registers.
pub(super) trait Floats: Copy {
    /// How many of them registers can hold and sum up, with room for what is added: 16, 8 or 6. The fewer tiles, the fewer
    /// times legs are read.
    const TILE: usize = 8;
    fn load(row: &Row) -> Self;
    fn splat(value: f32) -> Self;
    /// `self * factor + addend`, rounded once or twice.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// The larger in each lane.
    fn larger(self, other: Self) -> Self;
    /// The smaller in each lane.
    fn smaller(self, other: Self) -> Self;
    /// The lowest [`TAG_BITS`] bits of every lane replaced, which changes a number by less than 2^-18 of itself.
    fn tagged(self, tag: u32) -> Self;
    /// Of both, one after the other, in pieces of `SIZE` lanes (8, 4, 2 or 1): every other piece, and those between.
    fn parted<const SIZE: usize>(self, other: Self) -> (Self, Self);
    /// Which lanes are at least those of `other`: bit `c` for lane `c`.
    fn at_least(self, other: Self) -> u16;
    /// Which lanes equal those of `other`: bit `c` for lane `c`.
    fn equal(self, other: Self) -> u16;
    fn store(self, to: &mut Row);
    /// The largest of all lanes.
    fn largest(self) -> f32;
}

/// How many bits of a number a tag takes.
pub(super) const TAG_BITS: u32 = 5;

/// Plain Rust.
#[derive(Clone, Copy)]
pub(super) struct Scalar16([f32; 16]);

impl Scalar16 {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| f(self.0[lane], other.0[lane])))
    }
}

impl Floats for Scalar16 {
    #[inline(always)]
    fn load(row: &Row) -> Self {
        Self(bytemuck::cast(*row))
    }
    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; 16])
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // Not `f32::mul_add`, which is a call where the machine has no such instruction.
        self.zip(factor, |a, b| a * b)
            .zip(addend, |product, addend| product + addend)
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn tagged(self, tag: u32) -> Self {
        let bits = |lane: f32| lane.to_bits() >> TAG_BITS << TAG_BITS | tag;
        Self(self.0.map(|lane| f32::from_bits(bits(lane))))
    }
    #[inline(always)]
    fn parted<const SIZE: usize>(self, other: Self) -> (Self, Self) {
        let lane = |lane: usize| {
            if lane < 16 {
                self.0[lane]
            } else {
                other.0[lane - 16]
            }
        };
        let piece = |odd: usize| {
            Self(std::array::from_fn(|to| {
                lane(to / SIZE * 2 * SIZE + odd * SIZE + to % SIZE)
            }))
        };
        (piece(0), piece(1))
    }
    #[inline(always)]
    fn at_least(self, other: Self) -> u16 {
        let lanes = self.0.into_iter().zip(other.0).rev();
        lanes.fold(0, |bits, (a, b)| bits << 1 | u16::from(a >= b))
    }
    #[inline(always)]
    fn equal(self, other: Self) -> u16 {
        let lanes = self.0.into_iter().zip(other.0).rev();
        lanes.fold(0, |bits, (a, b)| bits << 1 | u16::from(a == b))
    }
    #[inline(always)]
    fn store(self, to: &mut Row) {
        *to = bytemuck::cast(self.0);
    }
    #[inline(always)]
    fn largest(self) -> f32 {
        (self.0.into_iter()).fold(f32::NEG_INFINITY, |a, b| if a > b { a } else { b })
    }
}
