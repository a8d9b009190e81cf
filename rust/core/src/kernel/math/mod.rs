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

/// Adding it leaves a whole number in the last bits: the exponent field of 2^n.
const EXP_SHIFTER: f64 = 6_755_399_441_055_744.0 + 1023.0;

/// (e^r - 1 - r) / r^2 at the Chebyshev nodes of |r| <= ln(2) / 2: 2e-17 of e^r.
const EXP_SERIES: [f64; 10] = [
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

/// e^x within 1 ulp; 0 below -700 (far from subnormal results, which are slow), infinite above 709.
#[inline(always)]
pub(crate) fn exp<R: Real>(x: R) -> R {
    const LEAST: f64 = -700.0;
    const MOST: f64 = 709.0;
    const LN_2_REST: f64 = 2.3190468138462996e-17;
    let (least, most) = (R::splat(LEAST), R::splat(MOST));
    let inside = x.at_least(least).at_most(most);
    let shifted = inside.mul_add(R::splat(LOG2_E), R::splat(EXP_SHIFTER));
    let power = shifted - R::splat(EXP_SHIFTER);
    let rest = power.mul_add(R::splat(-LN_2), inside);
    let rest = power.mul_add(R::splat(-LN_2_REST), rest);
    let series = polynomial(rest, EXP_SERIES);
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

/// Mills' ratio for z >= 0: how much of the normal distribution is above z, divided by its density at z. Within 8 ulp.
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

/// e^(-w / 2): off by 2 ulp from 1 down to e^-5, by 2e-15 of itself from e^50 down to e^-50 and by 3e-14 beyond; 0 above
/// [`LARGEST_SQUARES`], and of no use below -1400.
///
/// [`exp`] without what other arguments need, the factor of a half in its coefficients.
#[inline(always)]
pub(crate) fn exp_minus_half<R: Real>(w: R) -> R {
    const SERIES: [f64; 12] = {
        let mut series = [1.0; 12];
        let (mut power, mut factor) = (0, 1.0);
        while power < series.len() {
            if power > 1 {
                series[power] = EXP_SERIES[power - 2];
            }
            series[power] *= factor;
            factor *= -0.5;
            power += 1;
        }
        series
    };
    let shifter = R::splat(EXP_SHIFTER);
    let shifted = w.mul_add(R::splat(-0.5 * LOG2_E), shifter);
    let power = shifted - shifter;
    let rest = power.mul_add(R::splat(2.0 * LN_2), w);
    let value = polynomial(rest, SERIES) * shifted.shift_left_52();
    R::splat(LARGEST_SQUARES).if_below(w, R::splat(0.0), value)
}

/// Beyond it nothing is left of a tail: a standard deviation of 30, squared.
pub(crate) const LARGEST_SQUARES: f64 = 900.0;

/// Mills' ratio for z >= 0 as numerator and denominator, so that of several ratios one division is enough.
///
/// It is for tails that are added to something of the size of 1: times the normal density, it is off by 3e-17 at most. Of
/// itself it is off by 1e-9 up to z = 6 and by 6e-6 up to 52, beyond which nothing is promised.
#[inline(always)]
pub(crate) fn tail_fraction<R: Real>(z: R) -> (R, R) {
    // Ratio of polynomials with the least greatest error times the density, 2.2e-17, on 0..8.5, by Lawson's reweighting with
    // 60 digits. All coefficients are positive, so nothing cancels.
    const NUMERATOR: [f64; 7] = [
        1.2533141373155003,
        1.258880881772953,
        0.6377565249894943,
        0.1929505019197249,
        0.03626084197215525,
        0.003983835706218128,
        0.00020054047000807796,
    ];
    const DENOMINATOR: [f64; 8] = [
        1.0,
        1.802326180259412,
        1.4469043175997863,
        0.6732132725969582,
        0.1969756943738479,
        0.0364582738531063,
        0.003983988595388897,
        0.0002005367733933715,
    ];
    (polynomial(z, NUMERATOR), polynomial(z, DENOMINATOR))
}

/// How much of the normal distribution is below z: within 8 ulp everywhere, in the lower tail too; 0 below -37.4.
#[inline(always)]
pub(crate) fn normal_cdf<R: Real>(z: R) -> R {
    let tail = normal_density(z) * mills_ratio(z.magnitude());
    z.if_below(R::splat(0.0), tail, R::splat(1.0) - tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{LaneWork, Row, Simd, on_lanes};
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Golden {
        exponential: Vec<(f64, f64)>,
        logarithm: Vec<(f64, f64)>,
        normal_distribution: Vec<(f64, f64, f64)>,
    }

    fn golden() -> Golden {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/options/values.json"
        );
        let text = std::fs::read_to_string(path).expect("the golden values are there");
        serde_json::from_str(&text).expect("columns of numbers")
    }

    fn check(name: &str, x: f64, found: f64, expected: f64, ulps: f64) {
        let ulp = expected.abs().next_up() - expected.abs();
        let error = (found - expected).abs() / ulp;
        assert!(
            error <= ulps,
            "{name}({x}) = {found}, not {expected}: {error} ulp"
        );
    }

    #[test]
    fn errors_are_what_is_stated() {
        let Golden {
            exponential,
            logarithm,
            normal_distribution,
        } = golden();
        assert!(exponential.len().min(logarithm.len()) > 50 && normal_distribution.len() > 100);
        // A golden value is itself half a unit from the truth.
        for (x, expected) in exponential {
            check("exp", x, exp(x), expected, 1.0);
            if (-5.0..=0.0).contains(&x) {
                check("exp_minus_half", x, exp_minus_half(-2.0 * x), expected, 2.0);
            }
        }
        // Against `exp`, which is held to an ulp: what it is made of is left out here.
        for step in -7000..=4500 {
            let x = -0.1 * f64::from(step);
            let (found, expected) = (exp_minus_half(-2.0 * x), exp(x));
            let most = if x.abs() <= 50.0 { 2e-15 } else { 3e-14 };
            let error = (found / expected - 1.0).abs();
            assert!(error <= most, "exp_minus_half of {x}: {error} of itself");
        }
        assert_eq!(exp_minus_half(LARGEST_SQUARES.next_up()), 0.0);
        assert!(exp_minus_half(f64::NAN).is_nan());
        assert_eq!(exp_minus_half(f64::INFINITY), 0.0);
        for (x, expected) in logarithm {
            check("ln", x, ln(x), expected, 1.0);
        }
        for (z, cumulative, density) in normal_distribution {
            check("normal_density", z, normal_density(z), density, 3.0);
            check("normal_cdf", z, normal_cdf(z), cumulative, 8.0);
            if z <= 0.0 {
                let ratio = cumulative / density;
                check("mills_ratio", z, mills_ratio(-z), ratio, 8.0);
                let (numerator, denominator) = tail_fraction(-z);
                let tail = density * (numerator / denominator);
                let apart = (tail - cumulative).abs();
                assert!(apart <= 2e-16, "tail of {z}: {apart}");
                let relative = apart / cumulative;
                assert!(
                    z < -6.0 || relative <= 1e-9,
                    "tail of {z}: {relative} of itself"
                );
                assert!(
                    z < -37.0 || relative <= 6e-6,
                    "tail of {z}: {relative} of itself"
                );
            }
        }
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!((exp(-700.5), exp(f64::NEG_INFINITY)), (0.0, 0.0));
        assert_eq!(
            (exp(709.5), exp(f64::INFINITY)),
            (f64::INFINITY, f64::INFINITY)
        );
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(ln(0.0), ln(f64::MIN_POSITIVE));
        assert_eq!((normal_cdf(0.0), normal_cdf(-0.0)), (0.5, 0.5));
        assert_eq!((normal_cdf(-50.0), normal_cdf(1e300)), (0.0, 1.0));
        assert_eq!(normal_cdf(f64::NEG_INFINITY), 0.0);
        // A NaN must never look like a number.
        for f in [exp, ln, normal_cdf, normal_density, mills_ratio] {
            assert!(f(f64::NAN).is_nan());
        }
        assert!(!ln(f64::INFINITY).is_finite());
    }

    /// All functions of eight numbers at once.
    struct All(Row);

    impl LaneWork for All {
        type Output = [Row; 6];
        #[inline(always)]
        fn run<R: RealRow>(self) -> [Row; 6] {
            let x = R::from_row(&self.0);
            let mut rows = [Row::default(); 6];
            exp(x).write_row(&mut rows[0]);
            ln(x).write_row(&mut rows[1]);
            normal_cdf(x).write_row(&mut rows[2]);
            normal_density(x).write_row(&mut rows[3]);
            (-x.magnitude().sqrt() / (x - R::splat(0.5))).write_row(&mut rows[4]);
            let size = R::splat(2.0).at_least_size(x);
            size.negated_with(x).write_row(&mut rows[5]);
            rows
        }
    }

    fn bits(rows: [Row; 6]) -> [[u64; 8]; 6] {
        // Which of its bits a NaN carries is no result.
        rows.map(|row| {
            row.0
                .map(|x| if x.is_nan() { u64::MAX } else { x.to_bits() })
        })
    }

    fn any_lane() -> impl Strategy<Value = f64> {
        let special = [
            0.0,
            -0.0,
            1.0,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            5e-324,
        ];
        prop_oneof![
            3 => -40.0..40.0,
            2 => -800.0..800.0,
            1 => any::<f64>(),
            1 => prop::sample::select(special.to_vec()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn every_path_gives_the_bits_of_one_real(lanes in prop::array::uniform8(any_lane())) {
            let alone = |f: fn(f64) -> f64| Row(lanes.map(f));
            let expected = bits([
                alone(exp),
                alone(ln),
                alone(normal_cdf),
                alone(normal_density),
                alone(|x| -x.abs().sqrt() / (x - 0.5)),
                alone(|x| if x.abs() <= 2.0 { 2.0f64.copysign(x) } else { x }),
            ]);
            for simd in Simd::ALL.into_iter().filter(|simd| simd.available()) {
                prop_assert_eq!(bits(on_lanes(simd, All(Row(lanes)))), expected, "{:?}", simd);
            }
        }

        #[test]
        fn tails_add_up_and_logarithms_come_back(z in -37.0..37.0, x in -690.0..690.0) {
            let sum = normal_cdf::<f64>(z) + normal_cdf::<f64>(-z);
            prop_assert!((sum - 1.0).abs() <= 2.0 * f64::EPSILON);
            let back: f64 = ln(exp(x));
            prop_assert!((back - x).abs() <= 2.0 * f64::EPSILON * (1.0 + f64::abs(x)));
        }
    }
}
