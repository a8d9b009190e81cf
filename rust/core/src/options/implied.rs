//! The volatility behind a price.

use implied_vol::{DefaultSpecialFn, ImpliedBlackVolatility, ImpliedNormalVolatility};

use super::columns::{check_length, inverse_normal};
use super::greeks::OptionModel;
use crate::error::Result;
use crate::kernel::math::exp;
use crate::pool::{self, Stop};

/// Why a price has a volatility, or has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ImpliedStatus {
    /// It has one.
    Ok = 0,
    /// The price is below what exercise alone is worth.
    BelowIntrinsic = 1,
    /// The price is at or above what no volatility reaches: the forward for a call, the strike for a put.
    AboveBound = 2,
    /// No time is left in which a volatility could act.
    Expired = 3,
    /// A number is not finite, or a forward or strike is not above 0 under Black-76.
    InvalidInput = 4,
    /// The search ended without an answer.
    NotFound = 5,
}

impl ImpliedStatus {
    /// All of them, by number.
    pub const ALL: [Self; 6] = [
        Self::Ok,
        Self::BelowIntrinsic,
        Self::AboveBound,
        Self::Expired,
        Self::InvalidInput,
        Self::NotFound,
    ];

    /// Its name in Python.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::BelowIntrinsic => "below_intrinsic",
            Self::AboveBound => "above_bound",
            Self::Expired => "expired",
            Self::InvalidInput => "invalid_input",
            Self::NotFound => "not_found",
        }
    }
}

/// Prices of options, one in each row; all columns have one length. No number is refused: what is wrong is the row's status.
#[derive(Clone, Copy, Debug)]
pub struct PriceColumns<'a> {
    /// What one unit costs today, in the quote; in coin if inverse.
    pub price: &'a [f64],
    /// Price of the underlying for delivery at expiry.
    pub forward: &'a [f64],
    /// The price that is paid on exercise.
    pub strike: &'a [f64],
    /// Years of 365 days.
    pub expiry_years: &'a [f64],
    /// Continuously compounded, per year.
    pub rate: &'a [f64],
    /// Call or put.
    pub is_call: &'a [bool],
}

/// The volatility behind every price, at least 0, and how it was found; NaN beside every status but [`ImpliedStatus::Ok`].
///
/// A price that is intrinsic, within rounding, has volatility 0.
///
/// # Errors
/// Columns of different lengths; inverse options under Bachelier.
pub fn implied_volatility(
    columns: PriceColumns<'_>,
    model: OptionModel,
    inverse: bool,
    stop: Stop<'_>,
) -> Result<Vec<(f64, ImpliedStatus)>> {
    const ROWS: usize = 1024;
    let rows = columns.forward.len();
    check_length("price", columns.price.len(), rows)?;
    check_length("strike", columns.strike.len(), rows)?;
    check_length("expiry_years", columns.expiry_years.len(), rows)?;
    check_length("rate", columns.rate.len(), rows)?;
    check_length("is_call", columns.is_call.len(), rows)?;
    if inverse && model == OptionModel::Bachelier {
        return Err(inverse_normal());
    }
    let one = |row: usize| {
        let growth = exp(columns.rate[row] * columns.expiry_years[row]);
        let forward = columns.forward[row];
        let quote = if inverse { forward } else { 1.0 };
        let quoted = Quoted {
            price: columns.price[row] * growth * quote,
            forward,
            strike: columns.strike[row],
            expiry_years: columns.expiry_years[row],
            is_call: columns.is_call[row],
        };
        match quoted.volatility(model) {
            Ok(volatility) => (volatility, ImpliedStatus::Ok),
            Err(status) => (f64::NAN, status),
        }
    };
    let chunk = |task: usize| {
        (task * ROWS..rows.min((task + 1) * ROWS))
            .map(one)
            .collect()
    };
    let found: Vec<Vec<_>> = pool::map(rows.div_ceil(ROWS), chunk, stop)?;
    Ok(found.concat())
}

/// One undiscounted price in the quote.
struct Quoted {
    price: f64,
    forward: f64,
    strike: f64,
    expiry_years: f64,
    is_call: bool,
}

impl Quoted {
    fn volatility(&self, model: OptionModel) -> std::result::Result<f64, ImpliedStatus> {
        /// What a price may be below its intrinsic value by rounding, of the larger of forward and strike.
        const ROUNDING: f64 = 1e-15;
        let Self {
            price,
            forward,
            strike,
            expiry_years,
            is_call,
        } = *self;
        let lognormal = model == OptionModel::Black76;
        let numbers = [price, forward, strike, expiry_years];
        let positive = forward > 0.0 && strike > 0.0;
        if !numbers.iter().all(|number| number.is_finite()) || lognormal && !positive {
            return Err(ImpliedStatus::InvalidInput);
        }
        if expiry_years <= 0.0 {
            return Err(ImpliedStatus::Expired);
        }
        let (received, paid) = if is_call {
            (forward, strike)
        } else {
            (strike, forward)
        };
        let intrinsic = (received - paid).max(0.0);
        if price < intrinsic - ROUNDING * received.abs().max(paid.abs()) {
            return Err(ImpliedStatus::BelowIntrinsic);
        }
        if price <= intrinsic {
            return Ok(0.0);
        }
        if lognormal && price >= received {
            return Err(ImpliedStatus::AboveBound);
        }
        let found = if lognormal {
            ImpliedBlackVolatility::builder()
                .forward(forward)
                .strike(strike)
                .expiry(expiry_years)
                .is_call(is_call)
                .option_price(price)
                .build()
                .and_then(|terms| terms.calculate::<DefaultSpecialFn>())
        } else {
            ImpliedNormalVolatility::builder()
                .forward(forward)
                .strike(strike)
                .expiry(expiry_years)
                .is_call(is_call)
                .option_price(price)
                .build()
                .and_then(|terms| terms.calculate::<DefaultSpecialFn>())
        };
        found
            .filter(|volatility| volatility.is_finite() && *volatility >= 0.0)
            .ok_or(ImpliedStatus::NotFound)
    }
}
