//! The kernel's arithmetic in two AVX2 registers of four columns.

use std::arch::x86_64::{
    __m256, __m256d, _CMP_EQ_OQ, _CMP_GE_OQ, _CMP_LT_OQ, _CMP_NGE_UQ, _mm_cvtsd_f64, _mm_cvtss_f32,
    _mm_max_pd, _mm_max_ps, _mm_max_sd, _mm_max_ss, _mm_movehdup_ps, _mm_movehl_ps,
    _mm_unpackhi_pd, _mm256_add_epi32, _mm256_add_pd, _mm256_and_pd, _mm256_and_ps,
    _mm256_andnot_pd, _mm256_castpd_ps, _mm256_castpd_si256, _mm256_castpd256_pd128,
    _mm256_castps_pd, _mm256_castps_si256, _mm256_castps256_ps128, _mm256_castsi256_ps,
    _mm256_cmp_pd, _mm256_cmp_ps, _mm256_cvtepi32_ps, _mm256_extractf128_pd, _mm256_extractf128_ps,
    _mm256_fmadd_pd, _mm256_fmadd_ps, _mm256_load_pd, _mm256_load_ps, _mm256_madd_epi16,
    _mm256_max_pd, _mm256_max_ps, _mm256_min_pd, _mm256_min_ps, _mm256_movemask_pd,
    _mm256_movemask_ps, _mm256_or_ps, _mm256_permute2f128_ps, _mm256_permute4x64_pd,
    _mm256_set1_epi32, _mm256_set1_pd, _mm256_set1_ps, _mm256_setzero_pd, _mm256_shuffle_ps,
    _mm256_store_pd, _mm256_store_ps, _mm256_stream_si256,
};

use super::Row;
use super::floats::{Floats, TAG_BITS};
use super::lanes::Lanes;

/// Made only inside functions that the kernel dispatched to after it had detected AVX2 and FMA.
#[derive(Clone, Copy)]
pub(super) struct Avx2(pub(super) __m256d, pub(super) __m256d);

impl Lanes for Avx2 {
    #[inline(always)]
    fn load(row: &Row) -> Self {
        let pointer = row.0.as_ptr();
        // SAFETY: AVX2 was detected (see `Avx2`); a `Row` is eight f64 aligned to 64 bytes.
        unsafe { Self(_mm256_load_pd(pointer), _mm256_load_pd(pointer.add(4))) }
    }
    #[inline(always)]
    fn splat(value: f64) -> Self {
        // SAFETY: AVX2 was detected (see `Avx2`).
        let half = unsafe { _mm256_set1_pd(value) };
        Self(half, half)
    }
    #[inline(always)]
    fn and(self, mask: Self) -> Self {
        // SAFETY: AVX2 was detected (see `Avx2`).
        unsafe { Self(_mm256_and_pd(self.0, mask.0), _mm256_and_pd(self.1, mask.1)) }
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
    fn add(self, other: Self) -> Self {
        // SAFETY: AVX2 was detected (see `Avx2`).
        unsafe {
            Self(
                _mm256_add_pd(self.0, other.0),
                _mm256_add_pd(self.1, other.1),
            )
        }
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        // SAFETY: AVX2 was detected (see `Avx2`).
        unsafe {
            Self(
                _mm256_max_pd(self.0, other.0),
                _mm256_max_pd(self.1, other.1),
            )
        }
    }
    #[inline(always)]
    fn largest(self) -> f64 {
        // SAFETY: AVX2 was detected (see `Avx2`).
        unsafe {
            let four = _mm256_max_pd(self.0, self.1);
            let two = _mm_max_pd(
                _mm256_castpd256_pd128(four),
                _mm256_extractf128_pd::<1>(four),
            );
            _mm_cvtsd_f64(_mm_max_sd(two, _mm_unpackhi_pd(two, two)))
        }
    }
    #[inline(always)]
    fn at_least(self, other: Self) -> u8 {
        // SAFETY: AVX2 was detected (see `Avx2`).
        unsafe {
            let half = |a, b| _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_GE_OQ>(a, b));
            (half(self.0, other.0) | half(self.1, other.1) << 4) as u8
        }
    }
    #[inline(always)]
    fn broadcast_net(self) -> Self {
        // SAFETY: AVX2 was detected (see `Avx2`). Column 6 is lane 2 of the upper half.
        let half = unsafe { _mm256_permute4x64_pd::<0b10_10_10_10>(self.1) };
        Self(half, half)
    }
    #[inline(always)]
    fn broadcast_bound(self) -> Self {
        // SAFETY: AVX2 was detected (see `Avx2`). Column 7 is lane 3 of the upper half.
        let half = unsafe { _mm256_permute4x64_pd::<0b11_11_11_11>(self.1) };
        Self(half, half)
    }
    #[inline(always)]
    fn within(self, bound: Self) -> u8 {
        // SAFETY: AVX2 was detected (see `Avx2`).
        unsafe {
            let within = |half, bound| {
                let magnitude = _mm256_andnot_pd(_mm256_set1_pd(-0.0), half);
                _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_NGE_UQ>(magnitude, bound))
            };
            (within(self.0, bound.0) | within(self.1, bound.1) << 4) as u8
        }
    }
    #[inline(always)]
    fn positive_part(self) -> Self {
        // SAFETY: AVX2 was detected (see `Avx2`). For a NaN the instruction returns its second operand, 0.
        unsafe {
            let zero = _mm256_setzero_pd();
            Self(_mm256_max_pd(self.0, zero), _mm256_max_pd(self.1, zero))
        }
    }
    #[inline(always)]
    fn negative_part(self) -> Self {
        // SAFETY: as for `positive_part`.
        unsafe {
            let zero = _mm256_setzero_pd();
            Self(_mm256_min_pd(self.0, zero), _mm256_min_pd(self.1, zero))
        }
    }
    #[inline(always)]
    fn store(self, to: &mut Row) {
        let pointer = to.0.as_mut_ptr();
        // SAFETY: AVX2 was detected (see `Avx2`); a `Row` is eight f64 aligned to 64 bytes.
        unsafe {
            _mm256_store_pd(pointer, self.0);
            _mm256_store_pd(pointer.add(4), self.1);
        }
    }
    #[inline(always)]
    fn poisoned_by(self, row: Self) -> Self {
        row.mul_add(Self::zero(), self)
    }
    #[inline(always)]
    fn signs(self) -> u8 {
        // SAFETY: AVX2 was detected (see `Avx2`).
        unsafe {
            let below =
                |half| _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_LT_OQ>(half, _mm256_setzero_pd()));
            (below(self.0) | below(self.1) << 4) as u8
        }
    }
    #[inline(always)]
    fn stream(self, to: &mut Row) {
        let pointer = to.0.as_mut_ptr();
        // SAFETY: AVX2 was detected (see `Avx2`); a `Row` is 64 bytes aligned to 64. the block ends with a fence.
        unsafe {
            _mm256_stream_si256(pointer.cast(), _mm256_castpd_si256(self.0));
            _mm256_stream_si256(pointer.add(4).cast(), _mm256_castpd_si256(self.1));
        }
    }
}

/// Sixteen f32 in two registers; made as [`Avx2`] is.
#[derive(Clone, Copy)]
pub(super) struct Avx2Floats(__m256, __m256);

impl Floats for Avx2Floats {
    const PAIRS: usize = 3;
    #[inline(always)]
    fn load(row: &Row) -> Self {
        let pointer = row.0.as_ptr().cast::<f32>();
        // SAFETY: AVX2 was detected (see `Avx2`); a `Row` is 64 bytes aligned to 64.
        unsafe { Self(_mm256_load_ps(pointer), _mm256_load_ps(pointer.add(8))) }
    }
    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: AVX2 was detected (see `Avx2`).
        let half = unsafe { _mm256_set1_ps(value) };
        Self(half, half)
    }
    #[inline(always)]
    fn splat_bits(bits: u32) -> Self {
        // SAFETY: AVX2 was detected (see `Avx2`).
        let half = unsafe { _mm256_castsi256_ps(_mm256_set1_epi32(bits as i32)) };
        Self(half, half)
    }
    #[inline(always)]
    fn add_products([low, high]: [Self; 2], words: Self, factors: u64) -> [Self; 2] {
        let half = |sum, words, factors: u32| {
            // SAFETY: AVX2 was detected (see `Avx2`).
            unsafe {
                let factors = _mm256_set1_epi32(factors as i32);
                let products = _mm256_madd_epi16(_mm256_castps_si256(words), factors);
                _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(sum), products))
            }
        };
        let both = |sums: Self, factors| {
            Self(
                half(sums.0, words.0, factors),
                half(sums.1, words.1, factors),
            )
        };
        [
            both(low, factors as u32),
            both(high, (factors >> 32) as u32),
        ]
    }
    #[inline(always)]
    fn numbers(self) -> Self {
        // SAFETY: AVX2 was detected (see `Avx2`).
        let half = |half| unsafe { _mm256_cvtepi32_ps(_mm256_castps_si256(half)) };
        Self(half(self.0), half(self.1))
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: AVX2 and FMA were detected (see `Avx2`).
        unsafe {
            Self(
                _mm256_fmadd_ps(self.0, factor.0, addend.0),
                _mm256_fmadd_ps(self.1, factor.1, addend.1),
            )
        }
    }
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        // SAFETY: AVX2 was detected (see `Avx2`).
        unsafe {
            Self(
                _mm256_max_ps(self.0, other.0),
                _mm256_max_ps(self.1, other.1),
            )
        }
    }
    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        // SAFETY: AVX2 was detected (see `Avx2`).
        unsafe {
            Self(
                _mm256_min_ps(self.0, other.0),
                _mm256_min_ps(self.1, other.1),
            )
        }
    }
    #[inline(always)]
    fn tagged(self, tag: u32) -> Self {
        // SAFETY: AVX2 was detected (see `Avx2`).
        unsafe {
            let kept = _mm256_castsi256_ps(_mm256_set1_epi32(-1 << TAG_BITS));
            let tag = _mm256_castsi256_ps(_mm256_set1_epi32(tag as i32));
            let half = |half| _mm256_or_ps(_mm256_and_ps(half, kept), tag);
            Self(half(self.0), half(self.1))
        }
    }
    #[inline(always)]
    fn parted<const SIZE: usize>(self, other: Self) -> (Self, Self) {
        // Of a half of each, in order.
        let joined = |half: __m256| {
            // SAFETY: AVX2 was detected (see `Avx2`).
            unsafe {
                let half = _mm256_castps_pd(half);
                _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(half))
            }
        };
        // SAFETY: as above.
        let parted = |Self(a, b)| unsafe {
            match SIZE {
                4 => (
                    _mm256_permute2f128_ps::<0x20>(a, b),
                    _mm256_permute2f128_ps::<0x31>(a, b),
                ),
                2 => (
                    joined(_mm256_shuffle_ps::<0b01_00_01_00>(a, b)),
                    joined(_mm256_shuffle_ps::<0b11_10_11_10>(a, b)),
                ),
                1 => (
                    joined(_mm256_shuffle_ps::<0b10_00_10_00>(a, b)),
                    joined(_mm256_shuffle_ps::<0b11_01_11_01>(a, b)),
                ),
                _ => (a, b),
            }
        };
        let ((a, b), (c, d)) = (parted(self), parted(other));
        (Self(a, c), Self(b, d))
    }
    #[inline(always)]
    fn at_least(self, other: Self) -> u16 {
        // SAFETY: AVX2 was detected (see `Avx2`).
        unsafe {
            let half = |a, b| _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(a, b));
            (half(self.0, other.0) | half(self.1, other.1) << 8) as u16
        }
    }
    #[inline(always)]
    fn equal(self, other: Self) -> u16 {
        // SAFETY: AVX2 was detected (see `Avx2`).
        unsafe {
            let half = |a, b| _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_EQ_OQ>(a, b));
            (half(self.0, other.0) | half(self.1, other.1) << 8) as u16
        }
    }
    #[inline(always)]
    fn store(self, to: &mut Row) {
        let pointer = to.0.as_mut_ptr().cast::<f32>();
        // SAFETY: AVX2 was detected (see `Avx2`); a `Row` is 64 bytes aligned to 64.
        unsafe {
            _mm256_store_ps(pointer, self.0);
            _mm256_store_ps(pointer.add(8), self.1);
        }
    }
    #[inline(always)]
    fn largest(self) -> f32 {
        // SAFETY: AVX2 was detected (see `Avx2`).
        unsafe {
            let eight = _mm256_max_ps(self.0, self.1);
            let four = _mm_max_ps(
                _mm256_castps256_ps128(eight),
                _mm256_extractf128_ps::<1>(eight),
            );
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }
}
