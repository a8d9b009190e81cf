//! exp, ln and the normal distribution, in any number of lanes and without a branch.
//!
//! Built from operations that IEEE 754 rounds exactly, in one fixed order: the paths agree bit for bit, and the bits do not
//! depend on the system's mathematical library. Errors are those that the tests hold them to, in units in the last
//! place (ulp) against 40 digits.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod real;
mod scalar;

pub(crate) use real::{Real, RealRow};

use std::f64::consts::{LN_2, LOG2_E};

/// The density of the normal distribution at 0, 1 / sqrt(2 pi).
pub(crate) const DENSITY_AT_0: f64 = 0.3989422804014327;

/// `c[0] + c[1] x + c[2] x^2 + ...`
#[inline(always)]
fn polynomial<R: Real, const N: usize>(x: R, coefficients: [f64; N]) -> R {
    // A loop, not a fold: closures would not be compiled for the instruction set.
    let mut sum = R::splat(coefficients[N - 1]);
    for power in (0..N - 1).rev() {
        sum = sum.mul_add(x, R::splat(coefficients[power]));
    }
    sum
}

/// e^x within 1 ulp; 0 below -700 (far from subnormal results, which are slow), infinite above 709.
#[inline(always)]
pub(crate) fn exp<R: Real>(x: R) -> R {
    const LEAST: f64 = -700.0;
    const MOST: f64 = 709.0;
    /// Adding it leaves a whole number in the last bits: the exponent field of 2^n.
    const SHIFTER: f64 = 6_755_399_441_055_744.0 + 1023.0;
    const LN_2_REST: f64 = 2.3190468138462996e-17;
    // (e^r - 1 - r) / r^2 at the Chebyshev nodes of |r| <= ln(2) / 2: 2e-17 of e^r.
    const SERIES: [f64; 10] = [
        0.5000000000000001,
        0.16666666666666669,
        0.04166666666662413,
        0.008333333333330062,
        0.0013888888917213717,
        0.00019841269863053618,
        2.4801521295954376e-05,
        2.7557268459997064e-06,
        2.7620088445409746e-07,
        2.510038549551032e-08,
    ];
    let (least, most) = (R::splat(LEAST), R::splat(MOST));
    let inside = x.at_least(least).at_most(most);
    let shifted = inside.mul_add(R::splat(LOG2_E), R::splat(SHIFTER));
    let power = shifted - R::splat(SHIFTER);
    let rest = power.mul_add(R::splat(-LN_2), inside);
    let rest = power.mul_add(R::splat(-LN_2_REST), rest);
    let series = polynomial(rest, SERIES);
    let near_1 = (rest * rest).mul_add(series, rest) + R::splat(1.0);
    let value = near_1 * shifted.shift_left_52();
    let value = most.if_below(x, R::splat(f64::INFINITY), value);
    x.if_below(least, R::splat(0.0), value)
}

#[inline(always)]
fn from_bits<R: Real>(bits: u64) -> R {
    R::splat(f64::from_bits(bits))
}

/// ln(x) within 1 ulp for x > 0. What is smaller than the smallest normal number counts as that: -708.4 at 0.
#[inline(always)]
pub(crate) fn ln<R: Real>(x: R) -> R {
    /// What the bits of 1 are above those of sqrt(1/2).
    const ABOVE_ROOT: u64 = 0x3ff0_0000_0000_0000 - ROOT;
    const ROOT: u64 = 0x3fe6_a09e_667f_3bcd;
    /// 2^52, whose last bits are a whole number, and the bias of exponents.
    const SHIFTER: f64 = 4_503_599_627_370_496.0;
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    // The classical series of ln((1 + s) / (1 - s)) / s - 2 in s^2, for m between sqrt(1/2) and sqrt(2).
    const SERIES: [f64; 7] = [
        6.666_666_666_666_735e-1,
        3.999_999_999_940_942e-1,
        2.857_142_874_366_239e-1,
        2.222_219_843_214_978_4e-1,
        1.818_357_216_161_805e-1,
        1.531_383_769_920_937_3e-1,
        1.479_819_860_511_658_6e-1,
    ];
    let positive = x.at_least(R::splat(f64::MIN_POSITIVE));
    // x = m 2^k, with m around 1: k is told by the exponent of x / sqrt(1/2).
    let biased = positive.add_bits(from_bits(ABOVE_ROOT)).shift_right_52();
    let power = biased.or(R::splat(SHIFTER)) - R::splat(SHIFTER + 1023.0);
    let mantissa = positive.sub_bits(biased.sub_bits(from_bits(1023)).shift_left_52());
    let above = mantissa - R::splat(1.0);
    let s = above / (above + R::splat(2.0));
    let squared = s * s;
    let series = squared * polynomial(squared, SERIES);
    let half_square = above * above * R::splat(0.5);
    let small = power.mul_add(R::splat(LN_2_LOW), s * (half_square + series));
    let value = power.mul_add(R::splat(LN_2_HIGH), above - (half_square - small));
    // Infinite or NaN stays so: the bits of either would read as a number.
    x.mul_add(R::splat(0.0), value)
}

/// The density of the normal distribution, within 3 ulp; 0 beyond 37.4.
#[inline(always)]
pub(crate) fn normal_density<R: Real>(z: R) -> R {
    // Beyond, it is 0 anyhow, and the square stays finite.
    let z = z.magnitude().at_most(R::splat(64.0));
    // What the square lost by rounding would be magnified by its size.
    let square = z * z;
    let lost = z.mul_add(z, -square);
    let value = exp(square * R::splat(-0.5));
    value.mul_add(lost * R::splat(-0.5), value) * R::splat(DENSITY_AT_0)
}

/// Mills' ratio for z >= 0: how much of the normal distribution is above z, divided by its density at z. Within 3 ulp.
///
/// Beyond 40, where both are 0, it stays what it is at 40.
#[inline(always)]
pub(crate) fn mills_ratio<R: Real>(z: R) -> R {
    // Ratio of polynomials with the least greatest relative error, 5e-17, on 0..40, by Remez' exchange in
    // (z - 3) / (z + 3) with 60 digits. All coefficients are positive, so nothing cancels.
    const NUMERATOR: [f64; 10] = [
        1.2533141373155001,
        1.9438897269465636,
        1.4913281288584856,
        0.7268755383426111,
        0.2456263861839106,
        0.059435966540494746,
        0.01029786021483543,
        0.0012361646972208328,
        9.400691728335968e-05,
        3.5012828852078334e-06,
    ];
    const DENOMINATOR: [f64; 11] = [
        1.0,
        2.3488841618368155,
        2.5640460969515244,
        1.7172950029583092,
        0.7838744246327642,
        0.2557362212970425,
        0.06066512907781002,
        0.010391867121543715,
        0.001239665980292451,
        9.400691728138653e-05,
        3.501282885217237e-06,
    ];
    let z = z.at_most(R::splat(40.0));
    polynomial(z, NUMERATOR) / polynomial(z, DENOMINATOR)
}

/// How much of the normal distribution is below z: within 6 ulp everywhere, in the lower tail too; 0 below -37.4.
#[inline(always)]
pub(crate) fn normal_cdf<R: Real>(z: R) -> R {
    let tail = normal_density(z) * mills_ratio(z.magnitude());
    z.if_below(R::splat(0.0), tail, R::splat(1.0) - tail)
}
