//! Eight reals in two AVX2 registers.

use std::arch::x86_64::{
    _CMP_LT_OQ, _mm_cvtsd_f64, _mm_max_pd, _mm_max_sd, _mm_unpackhi_pd, _mm256_add_epi64,
    _mm256_add_pd, _mm256_and_pd, _mm256_blendv_pd, _mm256_castpd_si256, _mm256_castpd256_pd128,
    _mm256_castsi256_pd, _mm256_cmp_pd, _mm256_cmpgt_epi64, _mm256_div_pd, _mm256_extractf128_pd,
    _mm256_fmadd_pd, _mm256_max_pd, _mm256_min_pd, _mm256_mul_pd, _mm256_or_pd, _mm256_set1_pd,
    _mm256_slli_epi64, _mm256_sqrt_pd, _mm256_srli_epi64, _mm256_sub_epi64, _mm256_sub_pd,
    _mm256_xor_pd,
};

use super::real::{Real, RealRow, operators};
use crate::kernel::Row;
use crate::kernel::avx2::Avx2;
use crate::kernel::lanes::Lanes;

/// An instruction on both halves of one or two numbers. The type is made only after AVX2 and FMA were detected.
macro_rules! halves {
    ($instruction:path; $a:expr) => {
        // SAFETY: AVX2 and FMA were detected (see `Avx2`).
        unsafe { Avx2($instruction($a.0), $instruction($a.1)) }
    };
    ($instruction:path; $a:expr, $b:expr) => {
        // SAFETY: AVX2 and FMA were detected (see `Avx2`).
        unsafe { Avx2($instruction($a.0, $b.0), $instruction($a.1, $b.1)) }
    };
}

/// An instruction on the bits of both halves of one or two numbers.
macro_rules! bits_of_halves {
    ($instruction:path; $($operand:expr),+) => {
        // SAFETY: AVX2 was detected (see `Avx2`).
        unsafe {
            Avx2(
                _mm256_castsi256_pd($instruction($(_mm256_castpd_si256($operand.0)),+)),
                _mm256_castsi256_pd($instruction($(_mm256_castpd_si256($operand.1)),+)),
            )
        }
    };
}

#[inline(always)]
fn add(a: Avx2, b: Avx2) -> Avx2 {
    halves!(_mm256_add_pd; a, b)
}
#[inline(always)]
fn sub(a: Avx2, b: Avx2) -> Avx2 {
    halves!(_mm256_sub_pd; a, b)
}
#[inline(always)]
fn mul(a: Avx2, b: Avx2) -> Avx2 {
    halves!(_mm256_mul_pd; a, b)
}
#[inline(always)]
fn div(a: Avx2, b: Avx2) -> Avx2 {
    halves!(_mm256_div_pd; a, b)
}
#[inline(always)]
fn neg(a: Avx2) -> Avx2 {
    a.xor(Real::splat(-0.0))
}
operators!(Avx2: add, sub, mul, div, neg);

impl Real for Avx2 {
    #[inline(always)]
    fn splat(value: f64) -> Self {
        // SAFETY: AVX2 was detected (see `Avx2`).
        let half = unsafe { _mm256_set1_pd(value) };
        Self(half, half)
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: AVX2 and FMA were detected (see `Avx2`).
        unsafe {
            Self(
                _mm256_fmadd_pd(self.0, factor.0, addend.0),
                _mm256_fmadd_pd(self.1, factor.1, addend.1),
            )
        }
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        halves!(_mm256_sqrt_pd; self)
    }
    // The instructions return their second operand where either is NaN.
    #[inline(always)]
    fn at_least(self, floor: Self) -> Self {
        halves!(_mm256_max_pd; floor, self)
    }
    #[inline(always)]
    fn at_least_size(self, of: Self) -> Self {
        let of = of.magnitude();
        let larger = |a, b| {
            // SAFETY: AVX2 was detected (see `Avx2`).
            unsafe {
                // Bits of what has no sign are in the order of the numbers.
                let is_above = _mm256_cmpgt_epi64(_mm256_castpd_si256(a), _mm256_castpd_si256(b));
                _mm256_blendv_pd(b, a, _mm256_castsi256_pd(is_above))
            }
        };
        Self(larger(self.0, of.0), larger(self.1, of.1))
    }
    #[inline(always)]
    fn at_most(self, cap: Self) -> Self {
        halves!(_mm256_min_pd; cap, self)
    }
    #[inline(always)]
    fn if_below(self, limit: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: AVX2 was detected (see `Avx2`).
        unsafe {
            let lower = _mm256_cmp_pd::<_CMP_LT_OQ>(self.0, limit.0);
            let upper = _mm256_cmp_pd::<_CMP_LT_OQ>(self.1, limit.1);
            Self(
                _mm256_blendv_pd(otherwise.0, then.0, lower),
                _mm256_blendv_pd(otherwise.1, then.1, upper),
            )
        }
    }
    #[inline(always)]
    fn and(self, mask: Self) -> Self {
        halves!(_mm256_and_pd; self, mask)
    }
    #[inline(always)]
    fn or(self, bits: Self) -> Self {
        halves!(_mm256_or_pd; self, bits)
    }
    #[inline(always)]
    fn xor(self, bits: Self) -> Self {
        halves!(_mm256_xor_pd; self, bits)
    }
    #[inline(always)]
    fn add_bits(self, bits: Self) -> Self {
        bits_of_halves!(_mm256_add_epi64; self, bits)
    }
    #[inline(always)]
    fn sub_bits(self, bits: Self) -> Self {
        bits_of_halves!(_mm256_sub_epi64; self, bits)
    }
    #[inline(always)]
    fn shift_left_52(self) -> Self {
        bits_of_halves!(_mm256_slli_epi64::<52>; self)
    }
    #[inline(always)]
    fn shift_right_52(self) -> Self {
        bits_of_halves!(_mm256_srli_epi64::<52>; self)
    }
}

impl RealRow for Avx2 {
    #[inline(always)]
    fn from_row(row: &Row) -> Self {
        Self::load(row)
    }
    #[inline(always)]
    fn write_row(self, row: &mut Row) {
        self.store(row);
    }
    #[inline(always)]
    fn largest(self) -> f64 {
        // SAFETY: AVX2 was detected (see `Avx2`).
        unsafe {
            let four = _mm256_max_pd(self.0, self.1);
            let upper = _mm256_extractf128_pd::<1>(four);
            let two = _mm_max_pd(_mm256_castpd256_pd128(four), upper);
            _mm_cvtsd_f64(_mm_max_sd(two, _mm_unpackhi_pd(two, two)))
        }
    }
}
