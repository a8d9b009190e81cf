//! Whole numbers and decimals as they were given: digits times a power of ten.

use std::fmt;

use num_bigint::{BigInt, Sign};
use xmfast_core::exact::Given;

/// f64 holds every whole number up to here, and prints each with its own digits.
const LARGEST_WHOLE: u128 = 1 << 53;

/// Two decimals of at most 15 digits never share an f64: each is the shortest decimal that prints as its own.
const SIXTEEN_DIGITS: u128 = 1_000_000_000_000_000;

/// The powers of ten that f64 holds.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// No f64 but 0 and subnormal ones is below 10 to minus this, none but infinity above 10 to this.
const LARGEST_POWER: i64 = 310;

/// What no f64 is near to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OutOfRange {
    /// The nearest f64 is infinite.
    Large,
    /// The nearest f64 is 0 or subnormal, which the number is not.
    Small,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = match self {
            Self::Large => "large",
            Self::Small => "small",
        };
        write!(f, "too {size} for 64-bit floating point")
    }
}

/// A whole number as an f64, where the shortest decimal that prints as it is that number.
pub(crate) fn whole_float(value: i128) -> Option<f64> {
    (value.unsigned_abs() <= LARGEST_WHOLE).then_some(value as i64 as f64)
}

/// A whole number; none of 128 bits is out of range.
pub(crate) fn whole(value: i128) -> Given {
    whole_float(value).map_or_else(
        || Given::scaled(value.into(), 0).expect("below 1e39"),
        Given::from,
    )
}

/// `digits x 10^exponent` as an f64, where the shortest decimal that prints as it is that number.
pub(crate) fn decimal_float(digits: i128, exponent: i32) -> Option<f64> {
    let (mut rest, mut exponent) = (digits.unsigned_abs(), exponent);
    // Zeros at the end come with a fixed scale and say nothing; 31 of them at the most.
    for zeros in [16, 8, 4, 2, 1] {
        let power = 10u128.pow(zeros);
        if rest >= SIXTEEN_DIGITS && rest % power == 0 {
            rest /= power;
            exponent += zeros as i32;
        }
    }
    if rest >= SIXTEEN_DIGITS {
        return None;
    }
    let power = *POWERS.get(exponent.unsigned_abs() as usize)?;
    // Both are exact, so that one operation rounds once.
    let rest = rest as u64 as f64;
    let float = if exponent < 0 {
        rest / power
    } else {
        rest * power
    };
    Some(if digits < 0 { -float } else { float })
}

/// `digits x 10^exponent`.
pub(crate) fn decimal(digits: BigInt, exponent: i64) -> Result<Given, OutOfRange> {
    if digits.sign() == Sign::NoSign {
        return Ok(0.0.into());
    }
    // 10^exponent may not fit into memory, so its size is looked at first.
    let magnitude = (digits.bits() as f64 * std::f64::consts::LOG10_2) as i64 + exponent;
    let out_of_range = if magnitude > 0 {
        OutOfRange::Large
    } else {
        OutOfRange::Small
    };
    if magnitude.abs() > LARGEST_POWER {
        return Err(out_of_range);
    }
    let exponent = i32::try_from(exponent).map_err(|_| out_of_range)?;
    Given::scaled(digits, exponent).ok_or(out_of_range)
}

/// A decimal as Python prints it, such as `-1.50E+3`; `None` for what has no digits: NaN and infinity.
pub(crate) fn parse(text: &str) -> Option<Result<Given, OutOfRange>> {
    let (digits, exponent) = match text.split_once(['E', 'e']) {
        Some((digits, exponent)) => (digits, exponent.parse().ok()?),
        None => (text, 0i64),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let exponent = exponent.checked_sub(fraction.len() as i64)?;
    let digits: BigInt = format!("{whole}{fraction}").parse().ok()?;
    let float = i128::try_from(&digits)
        .ok()
        .zip(i32::try_from(exponent).ok())
        .and_then(|(digits, exponent)| decimal_float(digits, exponent));
    Some(match float {
        Some(float) => Ok(float.into()),
        None => decimal(digits, exponent),
    })
}
