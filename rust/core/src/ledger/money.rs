//! Whole units of a stated scale, and products of decimals rounded to them.

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use crate::error::{Error, Place, Result, finite};
use crate::exact::{Given, GivenRef, Number, Rational, shortest_digits};

/// Decimals of a quantity of contracts.
pub const QUANTITY_DECIMALS: u32 = 8;

/// The most decimals of an asset: powers of ten up to here are exact in f64.
pub const MOST_DECIMALS: u32 = 18;

/// No amount is larger, so that sums over any number of accounts fit.
const LARGEST: i128 = 1 << 96;

/// Powers of ten that f64 holds exactly, as far as scales go.
const FLOAT_POWERS: [f64; 1 + MOST_DECIMALS as usize] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18,
];

/// Which way an amount between two units goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// To the unit above, as everything that an account owes.
    Up,
    /// To the unit below, as everything that an account is paid.
    Down,
    /// To the smaller size.
    TowardsZero,
}

/// `digits / 10^places`, for the numbers that need few digits: nearly all.
#[derive(Clone, Copy, Debug)]
struct Short {
    digits: i128,
    places: u32,
}

impl Short {
    /// More than these digits may not be told from a neighbour by their f64.
    const SURE: f64 = 1e15;

    fn of(given: GivenRef<'_>) -> Option<Self> {
        if given.exact.is_some() {
            return None;
        }
        if given.float.abs() < Self::SURE && given.float.trunc() == given.float {
            return Some(Self {
                digits: given.float as i128,
                places: 0,
            });
        }
        for (places, power) in [(8, 1e8), (12, 1e12), (16, 1e16), (20, 1e20)] {
            let digits = (given.float * power).round_ties_even();
            if digits.abs() < Self::SURE && digits / power == given.float {
                return Some(Self {
                    digits: digits as i128,
                    places,
                });
            }
        }
        let (digits, exponent) = shortest_digits(given.float);
        let shift = checked_power(exponent.max(0) as u32)?;
        Some(Self {
            digits: i128::from(digits).checked_mul(shift)?,
            places: (-exponent).max(0) as u32,
        })
    }
}

/// Powers of ten that 128 bits hold.
const POWERS: [i128; 39] = {
    let mut powers = [1; 39];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = 10 * powers[at - 1];
        at += 1;
    }
    powers
};

fn power(decimals: u32) -> i128 {
    POWERS[decimals as usize]
}

fn checked_power(decimals: u32) -> Option<i128> {
    POWERS.get(decimals as usize).copied()
}

/// A sum of decimals, exact as far as 128 bits go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sum(Short);

impl Sum {
    /// So many whole units.
    pub(crate) fn of(amount: i128, decimals: u32) -> Self {
        Self(Short {
            digits: amount,
            places: decimals,
        })
    }

    /// The sum and what so many contracts pay of a funding index.
    pub(crate) fn with_funding(
        self,
        quantity: i128,
        multiplier: GivenRef<'_>,
        funding: GivenRef<'_>,
    ) -> Option<Self> {
        let (multiplier, funding) = (Short::of(multiplier)?, Short::of(funding)?);
        let one = multiplier.digits.checked_mul(funding.digits)?;
        let digits = quantity.checked_mul(one)?;
        let places = QUANTITY_DECIMALS + multiplier.places + funding.places;
        let scaled =
            |digits: i128, places: u32, to: u32| digits.checked_mul(checked_power(to - places)?);
        let to = places.max(self.0.places);
        let sum = scaled(self.0.digits, self.0.places, to)?;
        let digits = sum.checked_add(scaled(digits, places, to)?)?;
        checked_power(to).map(|_| Self(Short { digits, places: to }))
    }

    /// The nearest f64.
    pub(crate) fn float(self) -> f64 {
        exact(self.0.digits, self.0.places).float()
    }
}

/// An amount that is small enough to be booked.
pub(crate) fn bookable(amount: i128) -> Option<i128> {
    (amount.abs() <= LARGEST).then_some(amount)
}

/// `numerator / denominator`, which is above 0, in whole units.
fn divided(numerator: i128, denominator: i128, round: Round) -> i128 {
    let (whole, rest) = match (i64::try_from(numerator), i64::try_from(denominator)) {
        // Division of 128 bits is slow. The denominator is above 0, so this does not overflow.
        (Ok(numerator), Ok(denominator)) => {
            let (whole, rest) = (numerator / denominator, numerator % denominator);
            (whole.into(), rest.into())
        }
        _ => (numerator / denominator, numerator % denominator),
    };
    match round {
        Round::Up => whole + i128::from(rest > 0),
        Round::Down => whole - i128::from(rest < 0),
        Round::TowardsZero => whole,
    }
}

/// An exact number in whole units of `10^-decimals`; `None` if it is too large to be booked.
pub(crate) fn units(value: &Rational, decimals: u32, round: Round) -> Option<i128> {
    let scaled = value * Rational::from_integer(power(decimals).into());
    let whole = match round {
        Round::Up => scaled.ceil(),
        Round::Down => scaled.floor(),
        Round::TowardsZero => scaled.trunc(),
    };
    whole.to_integer().to_i128().and_then(bookable)
}

/// A number as given in whole units.
pub(crate) fn units_of(given: GivenRef<'_>, decimals: u32, round: Round) -> Option<i128> {
    let short = || {
        let Short { digits, places } = Short::of(given)?;
        match checked_power(decimals.abs_diff(places))? {
            scale if decimals >= places => digits.checked_mul(scale),
            scale => Some(divided(digits, scale, round)),
        }
    };
    match short() {
        Some(scaled) => bookable(scaled),
        None => units(&Rational::given(given), decimals, round),
    }
}

/// A number in whole units of `10^-decimals`, if it is surely so many: few digits say it.
fn whole_at_sight(given: GivenRef<'_>, decimals: u32) -> Option<i128> {
    let power = *FLOAT_POWERS.get(decimals as usize)?;
    let digits = (given.float * power).round_ties_even();
    // Both are exact, so the quotient is the f64 nearest to these digits, which no other number of so few has.
    let same = given.exact.is_none() && digits.abs() < Short::SURE && digits / power == given.float;
    same.then_some(digits as i64 as i128)
}

/// What becomes of a number between two units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// It is an error.
    Refused,
    /// It goes to the unit above.
    Up,
}

/// A number as given in whole units of `10^-decimals`.
///
/// # Errors
/// A number that is not finite, too large for the ledger, or between two units where that is refused.
pub fn whole_units(
    given: GivenRef<'_>,
    decimals: u32,
    rounding: Rounding,
    place: impl Fn() -> Place,
) -> Result<i128> {
    finite(given.float, &place)?;
    let value = |problem: String| Error::Value {
        place: place(),
        problem,
    };
    if let Some(whole) = whole_at_sight(given, decimals) {
        return Ok(whole);
    }
    let too_large = || value(format!("{} is too large for the ledger", given.float));
    let up = units_of(given, decimals, Round::Up).ok_or_else(too_large)?;
    if rounding == Rounding::Refused
        && units_of(given, decimals, Round::Down).ok_or_else(too_large)? != up
    {
        return Err(value(format!(
            "{} has more than {decimals} decimals, the ledger's scale",
            given.float
        )));
    }
    Ok(up)
}

/// The f64 nearest to so many units.
#[must_use]
pub fn float_of(amount: i128, decimals: u32) -> f64 {
    short_float(amount, decimals).unwrap_or_else(|| given(amount, decimals).float())
}

/// The f64 that prints as so many units, if they are so few that one does.
fn short_float(amount: i128, decimals: u32) -> Option<f64> {
    // Both are whole numbers that f64 holds, so the quotient is the nearest f64 and prints as these digits.
    let power = FLOAT_POWERS[decimals as usize];
    (amount.unsigned_abs() < Short::SURE as u128).then(|| amount as i64 as f64 / power)
}

/// Units as the exact number that they stand for.
pub(crate) fn exact(amount: i128, decimals: u32) -> Rational {
    Rational::new(amount.into(), power(decimals).into())
}

/// Units as a number of the book.
pub(crate) fn given(amount: i128, decimals: u32) -> Given {
    if let Some(float) = short_float(amount, decimals) {
        return Given::from(float);
    }
    let exponent = -(decimals as i32);
    Given::scaled(BigInt::from(amount), exponent).expect("f64 reaches further than any amount")
}

/// What contracts are worth at a price, in units of the settlement asset: `quantity x m x price`, or `-quantity x m / price`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContractValue<'a> {
    pub(crate) multiplier: GivenRef<'a>,
    pub(crate) reciprocal: bool,
    /// Of the settlement asset.
    pub(crate) decimals: u32,
}

impl ContractValue<'_> {
    /// `None` if it is too large to be booked.
    pub(crate) fn units(self, quantity: i128, price: GivenRef<'_>, round: Round) -> Option<i128> {
        match self.fraction(quantity, price) {
            Some((numerator, denominator)) => bookable(divided(numerator, denominator, round)),
            None => units(&self.exact(quantity, price), self.decimals, round),
        }
    }

    /// By how much so many units are above what the contracts are worth, in the settlement asset.
    pub(crate) fn excess(self, units: i128, quantity: i128, price: GivenRef<'_>) -> f64 {
        let short = || {
            let (numerator, denominator) = self.fraction(quantity, price)?;
            let excess = units.checked_mul(denominator)?.checked_sub(numerator)?;
            Some(excess as f64 / denominator as f64 / power(self.decimals) as f64)
        };
        let long = || exact(units, self.decimals) - self.exact(quantity, price);
        short().unwrap_or_else(|| long().float())
    }

    fn exact(self, quantity: i128, price: GivenRef<'_>) -> Rational {
        let (price, multiplier) = (Rational::given(price), Rational::given(self.multiplier));
        let quantity = exact(quantity, QUANTITY_DECIMALS);
        if self.reciprocal {
            -(quantity * multiplier) / price
        } else {
            quantity * multiplier * price
        }
    }

    /// Units before rounding, as a numerator and a denominator above 0, in 128 bits; `None` if that is not enough.
    fn fraction(self, quantity: i128, price: GivenRef<'_>) -> Option<(i128, i128)> {
        let (price, multiplier) = (Short::of(price)?, Short::of(self.multiplier)?);
        let power = checked_power;
        let contracts = quantity.checked_mul(multiplier.digits)?;
        let places = QUANTITY_DECIMALS + multiplier.places;
        if self.reciprocal {
            let numerator = contracts.checked_mul(power(price.places + self.decimals)?)?;
            let denominator = price.digits.checked_mul(power(places)?)?;
            Some((-numerator * denominator.signum(), denominator.abs()))
        } else {
            let scale = (places + price.places).checked_sub(self.decimals)?;
            Some((contracts.checked_mul(price.digits)?, power(scale)?))
        }
    }
}

/// `amount x part / whole`, towards 0.
pub(crate) fn part(amount: i128, part: i128, whole: i128) -> i128 {
    match amount.checked_mul(part) {
        Some(product) => product / whole,
        None => {
            let product = BigInt::from(amount) * part / whole;
            product.to_i128().expect("no more than the amount")
        }
    }
}

/// What contracts of a multiplier owe where the cumulative funding went so far, rounded up; `None` if it is too large to be
/// booked.
pub(crate) fn funding(
    quantity: i128,
    multiplier: GivenRef<'_>,
    (from, to): (GivenRef<'_>, GivenRef<'_>),
    decimals: u32,
) -> Option<i128> {
    let short = || {
        let (from, to) = (Short::of(from)?, Short::of(to)?);
        let multiplier = Short::of(multiplier)?;
        let places = from.places.max(to.places);
        let at = |short: Short| (short.digits).checked_mul(checked_power(places - short.places)?);
        let moved = at(to)?.checked_sub(at(from)?)?;
        let contracts = quantity.checked_mul(multiplier.digits)?;
        let owed = contracts.checked_mul(moved)?;
        let places = QUANTITY_DECIMALS + multiplier.places + places;
        match checked_power(decimals.abs_diff(places))? {
            scale if decimals >= places => owed.checked_mul(scale),
            scale => Some(divided(owed, scale, Round::Up)),
        }
    };
    match short() {
        Some(owed) => bookable(owed),
        None => units(
            &funding_exactly(quantity, multiplier, (from, to)),
            decimals,
            Round::Up,
        ),
    }
}

fn funding_exactly(
    quantity: i128,
    multiplier: GivenRef<'_>,
    (from, to): (GivenRef<'_>, GivenRef<'_>),
) -> Rational {
    let moved = Rational::given(to) - Rational::given(from);
    exact(quantity, QUANTITY_DECIMALS) * Rational::given(multiplier) * moved
}

/// What an amount has grown to, or a debt, rounded down either way; `None` if it is too large to be booked.
pub(crate) fn grown(amount: i128, from: GivenRef<'_>, to: GivenRef<'_>) -> Option<i128> {
    let short = || {
        let (from, to) = (Short::of(from)?, Short::of(to)?);
        let scale = checked_power(from.places.abs_diff(to.places))?;
        let (up, down) = if from.places > to.places {
            (scale, 1)
        } else {
            (1, scale)
        };
        let numerator = amount.checked_mul(to.digits)?.checked_mul(up)?;
        let denominator = from.digits.checked_mul(down)?;
        (denominator > 0).then(|| divided(numerator, denominator, Round::Down))
    };
    short().map_or_else(|| grown_exactly(amount, from, to), bookable)
}

fn grown_exactly(amount: i128, from: GivenRef<'_>, to: GivenRef<'_>) -> Option<i128> {
    let exact = Rational::from_integer(amount.into()) * Rational::given(to) / Rational::given(from);
    exact.floor().to_integer().to_i128().and_then(bookable)
}

/// An amount at interest index 1, as the book has it.
pub(crate) fn at_index_1(amount: i128, decimals: u32, index: GivenRef<'_>) -> Given {
    if index.exact.is_none() && index.float == 1.0 {
        return given(amount, decimals);
    }
    Given::of_exact(exact(amount, decimals) / Rational::given(index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(
        quantity: i128,
        price: f64,
        multiplier: f64,
        reciprocal: bool,
        round: Round,
    ) -> [Option<i128>; 2] {
        let (price, multiplier) = (Given::from(price), Given::from(multiplier));
        let value = ContractValue {
            multiplier: multiplier.as_ref(),
            reciprocal,
            decimals: 8,
        };
        let contracts = exact(quantity, QUANTITY_DECIMALS) * Rational::given(multiplier.as_ref());
        let price_exact = Rational::given(price.as_ref());
        let product = if reciprocal {
            -contracts / price_exact
        } else {
            contracts * price_exact
        };
        [
            value.units(quantity, price.as_ref(), round),
            units(&product, 8, round),
        ]
    }

    /// Of few digits, or of as many as an f64 has.
    fn figure() -> impl Strategy<Value = f64> {
        let few = (1..10_000_000_i64).prop_map(|parts| parts as f64 / 1e5);
        prop_oneof![few, 1e-9..1e6_f64]
    }

    proptest! {
        #[test]
        fn products_in_128_bits_are_exact(
            quantity in -1_000_000_000_000_000_i128..1_000_000_000_000_000,
            cents in 1..10_000_000_000_i64,
            multiplier in prop::sample::select(vec![1.0, 0.001, 100.0, 0.000_1]),
            reciprocal: bool,
            up: bool,
        ) {
            let round = if up { Round::Up } else { Round::Down };
            let [fast, slow] = value(quantity, cents as f64 / 100.0, multiplier, reciprocal, round);
            prop_assert_eq!(fast, slow);
        }

        #[test]
        fn funding_and_interest_in_128_bits_are_exact(
            quantity in -1_000_000_000_000_000_i128..1_000_000_000_000_000,
            // Few digits, or as many as an f64 has.
            figures in prop::array::uniform2(figure()),
            multiplier in prop::sample::select(vec![1.0, 0.001, 100.0, 0.000_1]),
            falls: bool,
            decimals in 0..=18_u32,
        ) {
            let [from, to] = figures.map(Given::from);
            let (from, to) = (from.as_ref(), to.as_ref());
            let slow = grown_exactly(quantity, from, to);
            prop_assert_eq!(grown(quantity, from, to), slow);
            // Cumulative funding may be below 0.
            let from = Given::from(if falls { -figures[0] } else { figures[0] });
            let multiplier = Given::from(multiplier);
            let terms = (multiplier.as_ref(), (from.as_ref(), to));
            let slow = units(&funding_exactly(quantity, terms.0, terms.1), decimals, Round::Up);
            prop_assert_eq!(funding(quantity, terms.0, terms.1, decimals), slow);
        }

        #[test]
        fn units_print_as_their_digits(amount: i64, decimals in 0..=18_u32) {
            let amount = i128::from(amount);
            let shown = given(amount, decimals);
            prop_assert_eq!(Rational::given(shown.as_ref()), exact(amount, decimals));
            prop_assert_eq!(units_of(shown.as_ref(), decimals, Round::Down), Some(amount));
            let sight = whole_at_sight(shown.as_ref(), decimals);
            prop_assert_eq!(sight.unwrap_or(amount), amount);
        }

        #[test]
        fn whole_at_sight_is_whole(float: f64, decimals in 0..=18_u32) {
            let given = Given::from(float);
            if let Some(whole) = whole_at_sight(given.as_ref(), decimals) {
                prop_assert_eq!(Rational::given(given.as_ref()), exact(whole, decimals));
            }
        }
    }

    #[test]
    fn what_is_owed_goes_up_and_what_is_paid_goes_down() {
        assert_eq!(divided(7, 2, Round::Up), 4);
        assert_eq!(divided(-7, 2, Round::Up), -3);
        assert_eq!(divided(-7, 2, Round::Down), -4);
        assert_eq!(part(-7, 1, 2), -3);
    }
}
