//! The kernel's arithmetic in one AVX-512 register.

use std::arch::x86_64::{
    __m512, __m512d, _CMP_EQ_OQ, _CMP_GE_OQ, _CMP_LT_OQ, _CMP_NGE_UQ, _mm512_abs_pd, _mm512_add_pd,
    _mm512_and_epi64, _mm512_castpd_ps, _mm512_castpd_si512, _mm512_castps_pd, _mm512_castps_si512,
    _mm512_castsi512_pd, _mm512_castsi512_ps, _mm512_cmp_pd_mask, _mm512_cmp_ps_mask,
    _mm512_cvtepi32_ps, _mm512_dpwssd_epi32, _mm512_fmadd_pd, _mm512_fmadd_ps, _mm512_load_pd,
    _mm512_load_ps, _mm512_mask_sub_pd, _mm512_maskz_mov_pd, _mm512_max_pd, _mm512_max_ps,
    _mm512_min_pd, _mm512_min_ps, _mm512_permutex2var_pd, _mm512_permutex2var_ps,
    _mm512_permutexvar_pd, _mm512_reduce_max_pd, _mm512_reduce_max_ps, _mm512_set1_epi32,
    _mm512_set1_epi64, _mm512_set1_pd, _mm512_set1_ps, _mm512_setr_epi32, _mm512_setr_epi64,
    _mm512_setzero_pd, _mm512_shuffle_f32x4, _mm512_store_pd, _mm512_store_ps, _mm512_stream_pd,
    _mm512_ternarylogic_epi32,
};

use super::floats::{Floats, TAG_BITS};
use super::lanes::Lanes;
use super::{Row, column, result};

/// Made only inside functions that the kernel dispatched to after it had detected AVX-512F.
#[derive(Clone, Copy)]
pub(super) struct Avx512(pub(super) __m512d);

impl Lanes for Avx512 {
    #[inline(always)]
    fn load(row: &Row) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`); a `Row` is eight f64 aligned to 64 bytes.
        Self(unsafe { _mm512_load_pd(row.0.as_ptr()) })
    }
    #[inline(always)]
    fn splat(value: f64) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Self(unsafe { _mm512_set1_pd(value) })
    }
    #[inline(always)]
    fn and(self, mask: Self) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Self(unsafe {
            _mm512_castsi512_pd(_mm512_and_epi64(
                _mm512_castpd_si512(self.0),
                _mm512_castpd_si512(mask.0),
            ))
        })
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Self(unsafe { _mm512_fmadd_pd(self.0, factor.0, addend.0) })
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Self(unsafe { _mm512_add_pd(self.0, other.0) })
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Self(unsafe { _mm512_max_pd(self.0, other.0) })
    }
    #[inline(always)]
    fn largest(self) -> f64 {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        unsafe { _mm512_reduce_max_pd(self.0) }
    }
    #[inline(always)]
    fn at_least(self, other: Self) -> u8 {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        unsafe { _mm512_cmp_pd_mask::<_CMP_GE_OQ>(self.0, other.0) }
    }
    #[inline(always)]
    fn broadcast_net(self) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Self(unsafe { _mm512_permutexvar_pd(_mm512_set1_epi64(column::NET as i64), self.0) })
    }
    #[inline(always)]
    fn broadcast_bound(self) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Self(unsafe { _mm512_permutexvar_pd(_mm512_set1_epi64(column::BOUND as i64), self.0) })
    }
    #[inline(always)]
    fn only(column: usize, value: f64) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Self(unsafe { _mm512_maskz_mov_pd(1 << column, _mm512_set1_pd(value)) })
    }
    #[inline(always)]
    fn within(self, bound: Self) -> u8 {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        unsafe { _mm512_cmp_pd_mask::<_CMP_NGE_UQ>(_mm512_abs_pd(self.0), bound.0) }
    }
    #[inline(always)]
    fn positive_part(self) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`). For a NaN the instruction returns its second operand, 0.
        Self(unsafe { _mm512_max_pd(self.0, _mm512_setzero_pd()) })
    }
    #[inline(always)]
    fn negative_part(self) -> Self {
        // SAFETY: as for `positive_part`.
        Self(unsafe { _mm512_min_pd(self.0, _mm512_setzero_pd()) })
    }
    #[inline(always)]
    fn store(self, to: &mut Row) {
        // SAFETY: AVX-512F was detected (see `Avx512`); a `Row` is eight f64 aligned to 64 bytes.
        unsafe { _mm512_store_pd(to.0.as_mut_ptr(), self.0) }
    }
    #[inline(always)]
    fn poisoned_by(self, row: Self) -> Self {
        row.mul_add(Self::zero(), self)
    }
    #[inline(always)]
    fn signs(self) -> u8 {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        unsafe { _mm512_cmp_pd_mask::<_CMP_LT_OQ>(self.0, _mm512_setzero_pd()) }
    }
    #[inline(always)]
    fn stream(self, to: &mut Row) {
        // SAFETY: AVX-512F was detected (see `Avx512`); a `Row` is 64 bytes aligned to 64. the block ends with a fence.
        unsafe { _mm512_stream_pd(to.0.as_mut_ptr(), self.0) }
    }

    /// The same three subtractions as the general one, without leaving the register.
    #[inline(always)]
    fn finish(self) -> Self {
        const COLLATERAL: u8 = 1 << result::COLLATERAL;
        const HEALTHS: u8 = 1 << result::HEALTH | 1 << result::INITIAL_HEALTH;
        const { assert!(column::ASSETS == result::COLLATERAL) };
        // SAFETY: AVX-512F was detected (see `Avx512`).
        unsafe {
            let debts = _mm512_permutexvar_pd(_mm512_set1_epi64(column::DEBTS as i64), self.0);
            let netted = _mm512_mask_sub_pd(self.0, COLLATERAL, self.0, debts);
            let (value, initial) = (result::COLLATERAL as i64, column::INITIAL_COLLATERAL as i64);
            let from =
                _mm512_permutexvar_pd(_mm512_setr_epi64(0, 0, 0, 0, 0, 0, value, initial), netted);
            let (margin, initial) = (
                column::MAINTENANCE_MARGIN as i64,
                column::INITIAL_MARGIN as i64,
            );
            let less =
                _mm512_permutexvar_pd(_mm512_setr_epi64(0, 0, 0, 0, 0, 0, margin, initial), netted);
            Self(_mm512_mask_sub_pd(netted, HEALTHS, from, less))
        }
    }
}

/// Sixteen f32 in one register; made as [`Avx512`] is, and [`Floats::add_products`] is for functions alone that the kernel
/// dispatched to after it had detected AVX-512VNNI too.
#[derive(Clone, Copy)]
pub(super) struct Avx512Floats(__m512);

impl Floats for Avx512Floats {
    const PAIRS: usize = 8;
    #[inline(always)]
    fn load(row: &Row) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`); a `Row` is 64 bytes aligned to 64.
        Self(unsafe { _mm512_load_ps(row.0.as_ptr().cast()) })
    }
    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Self(unsafe { _mm512_set1_ps(value) })
    }
    #[inline(always)]
    fn splat_bits(bits: u32) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Self(unsafe { _mm512_castsi512_ps(_mm512_set1_epi32(bits as i32)) })
    }
    #[inline(always)]
    fn add_products([low, high]: [Self; 2], words: Self, factors: u64) -> [Self; 2] {
        let words_and = |Self(sum): Self, factors: u32| {
            // SAFETY: AVX-512VNNI was detected (see `Avx512Floats`).
            Self(unsafe {
                _mm512_castsi512_ps(_mm512_dpwssd_epi32(
                    _mm512_castps_si512(sum),
                    _mm512_castps_si512(words.0),
                    _mm512_set1_epi32(factors as i32),
                ))
            })
        };
        [
            words_and(low, factors as u32),
            words_and(high, (factors >> 32) as u32),
        ]
    }
    #[inline(always)]
    fn numbers(self) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Self(unsafe { _mm512_cvtepi32_ps(_mm512_castps_si512(self.0)) })
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, addend.0) })
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Self(unsafe { _mm512_max_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Self(unsafe { _mm512_min_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn tagged(self, tag: u32) -> Self {
        // What is kept of the number, or the tag.
        const BOTH_OR_THIRD: i32 = 0xEA;
        // SAFETY: AVX-512F was detected (see `Avx512`).
        Self(unsafe {
            _mm512_castsi512_ps(_mm512_ternarylogic_epi32::<BOTH_OR_THIRD>(
                _mm512_castps_si512(self.0),
                _mm512_set1_epi32(-1 << TAG_BITS),
                _mm512_set1_epi32(tag as i32),
            ))
        })
    }
    #[inline(always)]
    fn parted<const SIZE: usize>(self, other: Self) -> (Self, Self) {
        let (a, b) = (self.0, other.0);
        // SAFETY: AVX-512F was detected (see `Avx512`).
        unsafe {
            match SIZE {
                8 => (
                    Self(_mm512_shuffle_f32x4::<0b01_00_01_00>(a, b)),
                    Self(_mm512_shuffle_f32x4::<0b11_10_11_10>(a, b)),
                ),
                4 => (
                    Self(_mm512_shuffle_f32x4::<0b10_00_10_00>(a, b)),
                    Self(_mm512_shuffle_f32x4::<0b11_01_11_01>(a, b)),
                ),
                2 => {
                    let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
                    let even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
                    let odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
                    (
                        Self(_mm512_castpd_ps(_mm512_permutex2var_pd(a, even, b))),
                        Self(_mm512_castpd_ps(_mm512_permutex2var_pd(a, odd, b))),
                    )
                }
                _ => {
                    let even = _mm512_setr_epi32(
                        0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30,
                    );
                    let odd = _mm512_setr_epi32(
                        1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31,
                    );
                    (
                        Self(_mm512_permutex2var_ps(a, even, b)),
                        Self(_mm512_permutex2var_ps(a, odd, b)),
                    )
                }
            }
        }
    }
    #[inline(always)]
    fn at_least(self, other: Self) -> u16 {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        unsafe { _mm512_cmp_ps_mask::<_CMP_GE_OQ>(self.0, other.0) }
    }
    #[inline(always)]
    fn equal(self, other: Self) -> u16 {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        unsafe { _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self.0, other.0) }
    }
    #[inline(always)]
    fn store(self, to: &mut Row) {
        // SAFETY: AVX-512F was detected (see `Avx512`); a `Row` is 64 bytes aligned to 64.
        unsafe { _mm512_store_ps(to.0.as_mut_ptr().cast(), self.0) }
    }
    #[inline(always)]
    fn largest(self) -> f32 {
        // SAFETY: AVX-512F was detected (see `Avx512`).
        unsafe { _mm512_reduce_max_ps(self.0) }
    }
}
