//! Sixteen f32 at once, or sixteen whole numbers of 32 bits: what the sieve asks of an instruction set.
//!
//! A [`Row`] of 64 bytes holds them. No number that is reported comes from here, so numbers of the sets need not agree bit for
//! bit; whole ones do.

use super::Row;

/// Sixteen f32 in registers, or the bits of sixteen whole numbers.
pub(super) trait Floats: Copy {
    /// How many pairs of them registers can hold and sum up, with room for what is added: 8, 4 or 3. The fewer tiles, the
    /// fewer times legs are read.
    const PAIRS: usize = 4;
    fn load(row: &Row) -> Self;
    fn splat(value: f32) -> Self;
    fn splat_bits(bits: u32) -> Self;
    /// Adds a whole number of 16 bits times the low halves of words to the first sums, and times the high halves to the
    /// second ones: `factors` has it in its lowest 16 bits and in its highest, and 0 between them.
    fn add_products(sums: [Self; 2], words: Self, factors: u64) -> [Self; 2];
    /// From whole numbers to the nearest f32.
    fn numbers(self) -> Self;
    /// `self * factor + addend`, rounded once or twice.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// The larger in each lane.
    fn larger(self, other: Self) -> Self;
    /// The smaller in each lane.
    fn smaller(self, other: Self) -> Self;
    /// The lowest [`TAG_BITS`] bits of every lane replaced.
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
    fn splat_bits(bits: u32) -> Self {
        Self::splat(f32::from_bits(bits))
    }
    #[inline(always)]
    fn add_products([low, high]: [Self; 2], words: Self, factors: u64) -> [Self; 2] {
        let factor = i32::from(factors as i16);
        let with = |sum: f32, word: i32| {
            f32::from_bits((sum.to_bits() as i32).wrapping_add(word * factor) as u32)
        };
        [
            low.zip(words, |sum, word| {
                with(sum, i32::from(word.to_bits() as i16))
            }),
            high.zip(words, |sum, word| with(sum, word.to_bits() as i32 >> 16)),
        ]
    }
    #[inline(always)]
    fn numbers(self) -> Self {
        Self(self.0.map(|lane| (lane.to_bits() as i32) as f32))
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
