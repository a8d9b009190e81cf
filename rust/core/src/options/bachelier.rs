//! Bachelier: an option on a forward price that is normal at expiry, so that prices and strikes may be negative.

use super::black::{LEAST_TOTAL_VOLATILITY, Terms};
use super::greeks::Greeks;
use crate::kernel::math::{DENSITY_AT_0, Real, exp, mills_ratio, normal_cdf, normal_density};

/// The undiscounted value, at least 0, of an option that is `moneyness` in the money, in price units:
///
/// ```text
/// d = moneyness / v,   value = moneyness N(d) + v n(d)          v: total volatility, price units
/// ```
#[inline(always)]
pub(super) fn value<R: Real>(moneyness: R, total_volatility: R) -> R {
    let v = total_volatility.at_least(R::splat(LEAST_TOTAL_VOLATILITY));
    let distance = (moneyness / v).magnitude().at_most(R::splat(64.0));
    let density = R::splat(DENSITY_AT_0) * exp(distance * distance * R::splat(-0.5));
    // Time value is the same in and out of the money.
    let ratio = distance * mills_ratio(distance);
    let time_value = density * v * (R::splat(1.0) - ratio).at_least(R::splat(0.0));
    moneyness.at_least(R::splat(0.0)) + time_value
}

/// Value and greeks of one unit, discounted.
#[inline(always)]
pub(super) fn bachelier<R: Real>(terms: &Terms<R>) -> Greeks<R> {
    let Terms {
        forward,
        strike,
        volatility,
        expiry_years,
        rate,
        side,
    } = *terms;
    let (zero, half) = (R::splat(0.0), R::splat(0.5));
    let discount = exp(-(rate * expiry_years));
    let root_time = expiry_years.sqrt();
    let total = volatility * root_time;
    let moneyness = (forward - strike) * side;
    let value = discount * value(moneyness, total);
    let v = total.at_least(R::splat(LEAST_TOTAL_VOLATILITY));
    let d = moneyness / v;
    let density = discount * normal_density(d);
    let decay = density * total * half / expiry_years;
    Greeks {
        value,
        delta: side * discount * normal_cdf(d),
        gamma: zero.if_below(total, density / v, zero),
        vega: density * root_time,
        theta: zero.if_below(expiry_years, rate * value - decay, zero),
        rho: -(expiry_years * value),
    }
}
