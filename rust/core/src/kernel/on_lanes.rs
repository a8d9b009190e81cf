//! Arithmetic on eight reals at once, compiled once for each instruction set.

use super::Simd;
use super::math::RealRow;
use super::scalar::Scalar;

/// Work that is written once for any eight reals. `run` must be `#[inline(always)]`, or it is not compiled for the set.
pub(crate) trait LaneWork {
    type Output;
    fn run<R: RealRow>(self) -> Self::Output;
}

/// Does the work on an instruction set; the bits of its results do not depend on which.
///
/// # Panics
/// If the machine lacks it.
pub(crate) fn on_lanes<W: LaneWork>(simd: Simd, work: W) -> W::Output {
    assert!(simd.available(), "this machine has no {}", simd.name());
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `available` was asserted above.
        Simd::Avx512 => unsafe { on_avx512(work) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx2 => unsafe { on_avx2(work) },
        _ => work.run::<Scalar>(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn on_avx512<W: LaneWork>(work: W) -> W::Output {
    work.run::<super::avx512::Avx512>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn on_avx2<W: LaneWork>(work: W) -> W::Output {
    work.run::<super::avx2::Avx2>()
}
