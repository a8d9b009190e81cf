//! Legs as whole numbers: what losses of 16 bits are multiplied by.
//!
//! The weight of a leg is its quantity times the reach of its row. Scaled so that all weights of a unit add up to
//! [`PARTS`] and rounded, it has 16 bits, and what rounding leaves of it is known.

use super::Row;
use super::lanes::Lanes;

/// Legs that are weighed together at most.
pub(super) const MOST_LEGS: usize = 64;

/// What whole weights add up to by size, but for half a one a leg.
///
/// Sums of products with losses stay below 2^30 - 2^24 so, whatever the order: 2^30 more, their bits are those of positive
/// f32, which compare as they do.
pub(super) const PARTS: f64 = 32_224.0;

/// A number far below this, added to it, is rounded to a whole one, which stands in the lowest bits of the sum.
pub(super) const WHOLE: f64 = 1.5 * (1_u64 << 52) as f64;

/// By leg, its whole weight as two pairs of 16 bits: in the lower half the factors of losses in the low halves of words, in
/// the upper half those of losses in the high ones.
pub(super) type Factors = [u64; MOST_LEGS];

/// Legs of a unit, or some of them.
#[derive(Clone, Copy)]
pub(super) struct Legs<'a, R> {
    pub(super) rows: &'a [R],
    pub(super) quantities: &'a [f64],
}

impl<'a, R> Legs<'a, R> {
    /// The same legs in runs that can be weighed.
    #[inline(always)]
    pub(super) fn runs(self) -> impl Iterator<Item = Self> {
        let quantities = self.quantities.chunks(MOST_LEGS);
        let runs = self.rows.chunks(MOST_LEGS).zip(quantities);
        runs.map(|(rows, quantities)| Legs { rows, quantities })
    }
}

/// Weights of [`MOST_LEGS`] legs at most.
#[derive(Clone)]
pub(super) struct Weights {
    /// Where the losses of their rows begin.
    places: [u32; MOST_LEGS],
    /// 0 from the last leg to the end of a row, at least.
    weights: [Row; MOST_LEGS / 8 + 1],
    legs: usize,
}

impl Weights {
    pub(super) fn none() -> Self {
        Self {
            places: [0; MOST_LEGS],
            weights: [Row::default(); MOST_LEGS / 8 + 1],
            legs: 0,
        }
    }

    /// The places and the weights of so many legs, to be set.
    ///
    /// # Panics
    /// If there are more than [`MOST_LEGS`].
    #[inline(always)]
    pub(super) fn start(&mut self, legs: usize) -> (&mut [u32], &mut [f64]) {
        self.legs = legs;
        let weights: &mut [f64] = bytemuck::cast_slice_mut(&mut self.weights);
        weights[legs..][..8].fill(0.0);
        (&mut self.places[..legs], &mut weights[..legs])
    }

    /// Where the losses of each row begin.
    #[inline(always)]
    pub(super) fn places(&self) -> &[u32] {
        &self.places[..self.legs]
    }

    /// Rounds `scale` times each weight to a whole number; returns the sizes of what that leaves, to be added up.
    #[inline(always)]
    pub(super) fn round<L: Lanes>(&self, scale: f64, to: &mut Factors) -> Row {
        let absolute = L::operand_mask(&[true; 8]);
        let scale = L::splat(scale);
        let mut sizes = L::zero();
        let rows = self.legs.div_ceil(8);
        for (weights, to) in self.weights[..rows].iter().zip(to.as_chunks_mut::<8>().0) {
            let weight = L::load(weights);
            let whole = weight.mul_add(scale, L::splat(WHOLE));
            let minus_whole = whole.mul_add(L::splat(-1.0), L::splat(WHOLE));
            let left = weight.mul_add(scale, minus_whole);
            sizes = sizes.add(left.and(absolute));
            *to = bytemuck::cast(whole.to_row());
            for factors in to {
                let whole = *factors & 0xFFFF;
                *factors = whole | whole << 48;
            }
        }
        sizes.to_row()
    }
}

/// All eight numbers added up.
#[inline(always)]
pub(super) fn sum(Row([a, b, c, d, e, f, g, h]): Row) -> f64 {
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}
