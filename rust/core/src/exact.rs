//! Numbers in which one formula runs twice: f64 for speed, exact rationals for decisions at the edge.

use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Range, Sub};

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};

/// The shortest digits that read back as the same float, the nearest to it of as many, in the form d.ddde-xx.
///
/// Where the float lies half way between two, Rust prints the upper one; Python and NumPy the even one, as is done here.
macro_rules! printed {
    ($value:expr) => {{
        let shortest = format!("{:e}", $value);
        let (digits, _) = shortest.split_once('e').expect("a finite float");
        let places = digits.split_once('.').map_or(0, |(_, places)| places.len());
        let even = format!("{:.places$e}", $value);
        if even.parse() == Ok($value) {
            even
        } else {
            shortest
        }
    }};
}

/// The f64 that a finite f32 stands for: that of the shortest decimal that prints as it, so that 0.1 stays 0.1.
#[must_use]
pub fn widened(value: f32) -> f64 {
    if !value.is_finite() {
        return value.into();
    }
    printed!(value)
        .parse()
        .expect("a printed float can be read")
}

/// `(digits, exponent)` of the shortest decimal `digits x 10^exponent` that prints as a finite float.
pub(crate) fn shortest_digits(value: f64) -> (i64, i32) {
    let text = printed!(value);
    let (digits, exponent) = text
        .split_once('e')
        .expect("a finite float prints with an exponent");
    let exponent: i32 = exponent.parse().expect("a short integer");
    let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
    let digits = format!("{whole}{places}").parse();
    (
        digits.expect("at most 17 digits"),
        exponent - places.len() as i32,
    )
}

/// An exact ratio of whole numbers of any size.
pub type Rational = BigRational;

/// What the formulas of margin need of a number.
pub trait Number:
    Clone
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// Whether sums and products are exact.
    const EXACT: bool;
    /// The number that a finite f64 stands for: the shortest decimal that prints as it.
    fn decimal(value: f64) -> Self;
    /// A number as it was given.
    fn given(given: GivenRef<'_>) -> Self;
    /// `self * factor + addend`, rounded once at the most.
    fn mul_add(&self, factor: &Self, addend: &Self) -> Self;
    /// The distance from 0.
    fn magnitude(&self) -> Self;
    /// The nearest f64.
    fn float(&self) -> f64;
}

impl Number for f64 {
    const EXACT: bool = false;
    fn decimal(value: f64) -> Self {
        value
    }
    fn given(given: GivenRef<'_>) -> Self {
        given.float
    }
    fn mul_add(&self, factor: &Self, addend: &Self) -> Self {
        f64::mul_add(*self, *factor, *addend)
    }
    fn magnitude(&self) -> Self {
        self.abs()
    }
    fn float(&self) -> f64 {
        *self
    }
}

impl Number for Rational {
    const EXACT: bool = true;
    fn decimal(value: f64) -> Self {
        let (digits, exponent) = shortest_digits(value);
        let digits = BigInt::from(digits);
        let power = BigInt::from(10).pow(exponent.unsigned_abs());
        if exponent >= 0 {
            Self::from_integer(digits * power)
        } else {
            Self::new(digits, power)
        }
    }
    fn given(given: GivenRef<'_>) -> Self {
        given
            .exact
            .map_or_else(|| Self::decimal(given.float), Self::clone)
    }
    fn mul_add(&self, factor: &Self, addend: &Self) -> Self {
        // Most factors of a table row are 0, and a product of big numbers is not free.
        if factor.is_zero() {
            addend.clone()
        } else {
            self * factor + addend
        }
    }
    fn magnitude(&self) -> Self {
        self.abs()
    }
    fn float(&self) -> f64 {
        nearest(self)
    }
}

/// A number as the caller gave it: an f64, and the exact number where the f64 is only the nearest to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    float: f64,
    exact: Option<Box<Rational>>,
}

/// The same, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct GivenRef<'a> {
    /// The nearest f64.
    pub float: f64,
    /// The number itself, where it is not the shortest decimal that prints as the f64.
    pub exact: Option<&'a Rational>,
}

impl Given {
    /// `digits x 10^exponent`; `None` if no finite f64 is near, or only 0 or a subnormal one is near what is not 0.
    #[must_use]
    pub fn scaled(digits: BigInt, exponent: i32) -> Option<Self> {
        let power = BigInt::from(10).pow(exponent.unsigned_abs());
        let exact = if exponent >= 0 {
            Rational::from_integer(digits * power)
        } else {
            Rational::new(digits, power)
        };
        let float = nearest(&exact);
        if !float.is_finite() || (!exact.is_zero() && !float.is_normal()) {
            return None;
        }
        Some(Self::of_exact(exact))
    }

    /// An exact number that f64 is near.
    ///
    /// # Panics
    /// If it is beyond the range of f64.
    #[must_use]
    pub fn of_exact(exact: Rational) -> Self {
        let float = nearest(&exact);
        assert!(float.is_finite(), "a number that f64 is near");
        let same = Rational::decimal(float) == exact;
        let exact = if same { None } else { Some(Box::new(exact)) };
        Self { float, exact }
    }

    /// The nearest f64.
    #[must_use]
    pub fn float(&self) -> f64 {
        self.float
    }

    /// Their order; neither may be NaN.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        // Rounding keeps the order, so that exact numbers matter between equal floats alone.
        if self.float < other.float {
            return Ordering::Less;
        }
        if self.float > other.float {
            return Ordering::Greater;
        }
        if self.exact.is_none() && other.exact.is_none() {
            return Ordering::Equal;
        }
        Rational::given(self.as_ref()).cmp(&Rational::given(other.as_ref()))
    }

    /// Borrows it.
    #[must_use]
    pub fn as_ref(&self) -> GivenRef<'_> {
        GivenRef {
            float: self.float,
            exact: self.exact.as_deref(),
        }
    }
}

impl GivenRef<'_> {
    /// The same, owned.
    #[must_use]
    pub fn to_given(self) -> Given {
        Given {
            float: self.float,
            exact: self.exact.map(|exact| Box::new(exact.clone())),
        }
    }
}

impl From<f64> for Given {
    fn from(float: f64) -> Self {
        Self { float, exact: None }
    }
}

/// A column of numbers as they were given. Few need more than an f64; those are kept beside.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GivenColumn {
    floats: Vec<f64>,
    /// By ascending row.
    exact: Vec<(u32, Rational)>,
}

impl GivenColumn {
    /// Adds a row.
    pub fn push(&mut self, given: Given) {
        if let Some(exact) = given.exact {
            self.exact.push((self.floats.len() as u32, *exact));
        }
        self.floats.push(given.float);
    }

    /// Forgets all rows; the memory is kept.
    pub(crate) fn clear(&mut self) {
        self.floats.clear();
        self.exact.clear();
    }

    /// Replaces a row.
    pub fn set(&mut self, row: usize, given: Given) {
        self.floats[row] = given.float;
        let at = self.exact.partition_point(|(at, _)| (*at as usize) < row);
        let kept = self
            .exact
            .get(at)
            .is_some_and(|(found, _)| *found as usize == row);
        self.exact.splice(
            at..at + usize::from(kept),
            given.exact.map(|exact| (row as u32, *exact)),
        );
    }

    /// The rows that `order` names, in its order.
    #[must_use]
    pub fn gather(&self, order: &[u32]) -> Self {
        let mut gathered = Self {
            floats: order.iter().map(|&row| self.floats[row as usize]).collect(),
            exact: Vec::new(),
        };
        if !self.exact.is_empty() {
            for (at, &row) in (0u32..).zip(order) {
                if let Some(exact) = self.get(row as usize).exact {
                    gathered.exact.push((at, exact.clone()));
                }
            }
        }
        gathered
    }

    /// The nearest f64 of every row.
    #[must_use]
    pub fn floats(&self) -> &[f64] {
        &self.floats
    }

    /// One row.
    #[must_use]
    pub fn get(&self, row: usize) -> GivenRef<'_> {
        let exact = if self.exact.is_empty() {
            None
        } else {
            let at = self
                .exact
                .binary_search_by_key(&(row as u32), |(row, _)| *row);
            at.ok().map(|at| &self.exact[at].1)
        };
        GivenRef {
            float: self.floats[row],
            exact,
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.floats.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.floats.is_empty()
    }

    /// Rows of a range.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> GivenSlice<'_> {
        GivenSlice {
            column: self,
            range: (range.start, range.end),
        }
    }

    /// Bytes held.
    #[must_use]
    pub fn memory(&self) -> usize {
        8 * self.floats.capacity() + size_of::<(u32, Rational)>() * self.exact.capacity()
    }
}

impl From<Vec<f64>> for GivenColumn {
    fn from(floats: Vec<f64>) -> Self {
        Self {
            floats,
            exact: Vec::new(),
        }
    }
}

impl FromIterator<f64> for GivenColumn {
    fn from_iter<T: IntoIterator<Item = f64>>(floats: T) -> Self {
        floats.into_iter().collect::<Vec<f64>>().into()
    }
}

/// Some rows of a [`GivenColumn`].
#[derive(Clone, Copy, Debug)]
pub struct GivenSlice<'a> {
    column: &'a GivenColumn,
    range: (usize, usize),
}

impl<'a> GivenSlice<'a> {
    /// The nearest f64 of every row.
    #[must_use]
    pub fn floats(self) -> &'a [f64] {
        &self.column.floats[self.range.0..self.range.1]
    }

    /// One row, counted from the start of the slice.
    #[must_use]
    pub fn get(self, row: usize) -> GivenRef<'a> {
        self.column.get(self.range.0 + row)
    }
}

/// The f64 nearest to an exact number, but never 0 for what is not: a figure says which side of 0 it is on.
#[must_use]
pub fn nearest_signed(value: &Rational) -> f64 {
    match nearest(value) {
        rounded if rounded != 0.0 || value.is_zero() => rounded,
        _ if value.is_negative() => -f64::from_bits(1),
        _ => f64::from_bits(1),
    }
}

/// The f64 nearest to an exact number, ties to even; infinite beyond the range of f64.
#[must_use]
pub fn nearest(value: &Rational) -> f64 {
    value.to_f64().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_decimal_reads_back_as_its_float(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(nearest(&Rational::decimal(value)), value);
        }

        #[test]
        fn rounding_is_to_nearest(numerator in any::<i64>(), denominator in 1..i64::MAX) {
            let exact = Rational::new(numerator.into(), denominator.into());
            let rounded = nearest(&exact);
            let distance = |float: f64| (Rational::from_float(float).expect("finite") - &exact).abs();
            prop_assert!(distance(rounded) <= distance(rounded.next_up()));
            prop_assert!(distance(rounded) <= distance(rounded.next_down()));
        }
    }

    #[test]
    fn a_tenth_is_a_tenth() {
        assert_eq!(Rational::decimal(0.1), Rational::new(1.into(), 10.into()));
        assert_eq!(
            Rational::decimal(-1.5e22),
            Rational::from_integer((-15_000_000_000_000_000_000_000_i128).into())
        );
        assert_eq!(
            Rational::decimal(5e-324) * Rational::from_integer(2.into()),
            Rational::decimal(1e-323)
        );
    }
}
