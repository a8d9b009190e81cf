//! What an order may trade at, to the last digit.

use std::fmt;

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use crate::error::{Error, Place, Result};
use crate::exact::{Given, GivenRef, Rational};

/// A price of an order that needs more digits than these may be refused.
const MOST_DIGITS: i32 = 37;

/// The limit price of an order: exact, and yet copied as easily as an f64.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LimitPrice {
    float: f64,
    /// Where the f64 is only the nearest to it: the price is so many times `10^exponent`. Else 0.
    digits: i128,
    exponent: i32,
}

impl LimitPrice {
    /// A price as it was given.
    ///
    /// # Errors
    /// It needs more digits than an order keeps.
    pub fn new(given: GivenRef<'_>, place: impl FnOnce() -> Place) -> Result<Self> {
        let float = given.float;
        let Some(exact) = given.exact else {
            return Ok(float.into());
        };
        let exponent = magnitude(float) - MOST_DIGITS;
        let digits = exact / Rational::from_integer(10.into()).pow(exponent);
        let too_long = || Error::Value {
            place: place(),
            problem: format!(
                "{float} and further digits: an order's price has at most {MOST_DIGITS}"
            ),
        };
        if !digits.is_integer() {
            return Err(too_long());
        }
        Ok(Self {
            float,
            digits: digits.to_integer().to_i128().ok_or_else(too_long)?,
            exponent,
        })
    }

    /// The nearest f64.
    #[must_use]
    pub fn float(self) -> f64 {
        self.float
    }

    /// As it was given.
    #[must_use]
    pub fn given(self) -> Given {
        if self.digits == 0 {
            return self.float.into();
        }
        Given::scaled(BigInt::from(self.digits), self.exponent).expect("it was given")
    }

    /// Its digits and their power of ten, where an f64 does not hold it.
    #[must_use]
    pub fn beyond_float(self) -> Option<(i128, i32)> {
        (self.digits != 0).then_some((self.digits, self.exponent))
    }
}

impl From<f64> for LimitPrice {
    fn from(float: f64) -> Self {
        Self {
            float,
            digits: 0,
            exponent: 0,
        }
    }
}

impl fmt::Display for LimitPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.beyond_float() {
            None => self.float.fmt(f),
            Some((mut digits, mut exponent)) => {
                while digits % 10 == 0 {
                    (digits, exponent) = (digits / 10, exponent + 1);
                }
                write!(f, "{digits}e{exponent}")
            }
        }
    }
}

/// The power of ten of a number's first digit: as it prints, since a logarithm is not the same on all machines.
fn magnitude(float: f64) -> i32 {
    let text = format!("{float:e}");
    let (_, exponent) = text.split_once('e').expect("a finite float");
    exponent.parse().expect("a short integer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place() -> Place {
        Place::frame("price")
    }

    proptest! {
        #[test]
        fn a_price_stays_what_was_given(digits: i128, exponent in -300..250_i32) {
            let digits = digits / 100;
            let given = Given::scaled(digits.into(), exponent);
            prop_assume!(given.is_some());
            let given = given.expect("assumed");
            let price = LimitPrice::new(given.as_ref(), place).expect("few enough digits");
            prop_assert_eq!(price.given(), given.clone());
            prop_assert_eq!(price.float().to_bits(), given.float().to_bits());
        }

        #[test]
        fn a_float_is_itself(float: f64) {
            prop_assume!(float.is_finite());
            let price = LimitPrice::new(Given::from(float).as_ref(), place).expect("an f64");
            prop_assert_eq!(price, float.into());
            prop_assert_eq!(price.beyond_float(), None);
        }
    }

    #[test]
    fn more_digits_than_an_order_keeps_are_refused() {
        let digits: BigInt = "1".repeat(39).parse().expect("digits");
        let given = Given::scaled(digits, -30).expect("a number");
        let error = LimitPrice::new(given.as_ref(), place).expect_err("too many digits");
        assert!(error.to_string().contains("at most 37"), "{error}");
    }
}
