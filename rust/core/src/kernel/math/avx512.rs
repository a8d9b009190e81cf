//! Eight reals in one AVX-512 register.

use std::arch::x86_64::{
    _CMP_LT_OQ, _mm512_add_epi64, _mm512_add_pd, _mm512_and_epi64, _mm512_castpd_si512,
    _mm512_castsi512_pd, _mm512_cmp_pd_mask, _mm512_div_pd, _mm512_fmadd_pd, _mm512_mask_blend_pd,
    _mm512_max_epu64, _mm512_max_pd, _mm512_min_pd, _mm512_mul_pd, _mm512_or_epi64,
    _mm512_reduce_max_pd, _mm512_set1_pd, _mm512_slli_epi64, _mm512_sqrt_pd, _mm512_srli_epi64,
    _mm512_sub_epi64, _mm512_sub_pd, _mm512_xor_epi64,
};

use super::real::{Real, RealRow, operators};
use crate::kernel::Row;
use crate::kernel::avx512::Avx512;
use crate::kernel::lanes::Lanes;

/// An instruction on one or more numbers. The type is made only after AVX-512F was detected.
macro_rules! instruction {
    ($instruction:path; $($operand:expr),+) => {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Avx512(unsafe { $instruction($($operand.0),+) })
    };
}

/// An instruction on the bits of one or two numbers.
macro_rules! on_bits {
    ($instruction:path; $($operand:expr),+) => {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Avx512(unsafe {
            _mm512_castsi512_pd($instruction($(_mm512_castpd_si512($operand.0)),+))
        })
    };
}

#[inline(always)]
fn add(a: Avx512, b: Avx512) -> Avx512 {
    instruction!(_mm512_add_pd; a, b)
}
#[inline(always)]
fn sub(a: Avx512, b: Avx512) -> Avx512 {
    instruction!(_mm512_sub_pd; a, b)
}
#[inline(always)]
fn mul(a: Avx512, b: Avx512) -> Avx512 {
    instruction!(_mm512_mul_pd; a, b)
}
#[inline(always)]
fn div(a: Avx512, b: Avx512) -> Avx512 {
    instruction!(_mm512_div_pd; a, b)
}
#[inline(always)]
fn neg(a: Avx512) -> Avx512 {
    a.xor(Real::splat(-0.0))
}
operators!(Avx512: add, sub, mul, div, neg);

impl Real for Avx512 {
    #[inline(always)]
    fn splat(value: f64) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Self(unsafe { _mm512_set1_pd(value) })
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        instruction!(_mm512_fmadd_pd; self, factor, addend)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        instruction!(_mm512_sqrt_pd; self)
    }
    // The instructions return their second operand where either is NaN.
    #[inline(always)]
    fn at_least(self, floor: Self) -> Self {
        instruction!(_mm512_max_pd; floor, self)
    }
    #[inline(always)]
    fn at_least_size(self, of: Self) -> Self {
        on_bits!(_mm512_max_epu64; self, of.magnitude())
    }
    #[inline(always)]
    fn at_most(self, cap: Self) -> Self {
        instruction!(_mm512_min_pd; cap, self)
    }
    #[inline(always)]
    fn if_below(self, limit: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Self(unsafe {
            let below = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(self.0, limit.0);
            _mm512_mask_blend_pd(below, otherwise.0, then.0)
        })
    }
    #[inline(always)]
    fn and(self, mask: Self) -> Self {
        on_bits!(_mm512_and_epi64; self, mask)
    }
    #[inline(always)]
    fn or(self, bits: Self) -> Self {
        on_bits!(_mm512_or_epi64; self, bits)
    }
    #[inline(always)]
    fn xor(self, bits: Self) -> Self {
        on_bits!(_mm512_xor_epi64; self, bits)
    }
    #[inline(always)]
    fn add_bits(self, bits: Self) -> Self {
        on_bits!(_mm512_add_epi64; self, bits)
    }
    #[inline(always)]
    fn sub_bits(self, bits: Self) -> Self {
        on_bits!(_mm512_sub_epi64; self, bits)
    }
    #[inline(always)]
    fn shift_left_52(self) -> Self {
        on_bits!(_mm512_slli_epi64::<52>; self)
    }
    #[inline(always)]
    fn shift_right_52(self) -> Self {
        on_bits!(_mm512_srli_epi64::<52>; self)
    }
}

impl RealRow for Avx512 {
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
        // SAFETY: AVX-512F was detected (see `Avx512`).
        unsafe { _mm512_reduce_max_pd(self.0) }
    }
}
