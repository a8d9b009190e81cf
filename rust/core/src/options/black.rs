//! Black-76: an option on a forward price that is lognormal at expiry.

use super::greeks::Greeks;
use crate::kernel::math::{
    DENSITY_AT_0, LARGEST_SQUARES, Real, exp, exp_minus_half, normal_cdf, normal_density,
    tail_fraction,
};

/// Below it, total volatility counts as this much: d1 and d2 stay finite, and the value is the intrinsic one.
pub(super) const LEAST_TOTAL_VOLATILITY: f64 = 1e-100;

/// Above it, total volatility counts as this much: what is received is worth all of itself.
const MOST_TOTAL_VOLATILITY: f64 = 44.0;

/// So far out of the money, in standard deviations, or further, an option is worth nothing.
const FARTHEST: f64 = 31.0;

const _: () = assert!(FARTHEST * FARTHEST > LARGEST_SQUARES);

/// What a formula needs to know of options, one in each lane.
#[derive(Clone, Copy)]
pub(super) struct Terms<R> {
    pub(super) forward: R,
    pub(super) strike: R,
    /// Of the price, per square root of a year.
    pub(super) volatility: R,
    pub(super) expiry_years: R,
    /// Continuously compounded, per year.
    pub(super) rate: R,
    /// 1 for a call, -1 for a put.
    pub(super) side: R,
}

/// What two legs are worth: a call receives one of them if exercised, and pays the other.
///
/// Linear: a forward for a strike. Inverse, counted in coin: 1 for strike / forward.
#[derive(Clone, Copy)]
pub(super) struct Exchange<R> {
    pub(super) received: R,
    pub(super) paid: R,
    /// sqrt(received x paid / 2 pi).
    pub(super) mean_density: R,
    /// 1 for a call, -1 for a put.
    pub(super) side: R,
}

impl<R: Real> Exchange<R> {
    /// Forward for strike.
    #[inline(always)]
    pub(super) fn linear(terms: &Terms<R>) -> Self {
        Self {
            received: terms.forward,
            paid: terms.strike,
            mean_density: R::splat(DENSITY_AT_0) * terms.forward.sqrt() * terms.strike.sqrt(),
            side: terms.side,
        }
    }

    /// The same counted in the coin that is received, where `inverse` is above 0: 1 for strike / forward.
    #[inline(always)]
    pub(super) fn per_forward_where(self, inverse: R) -> Self {
        let (zero, forward) = (R::splat(0.0), self.received);
        let (paid, mean) = (self.paid, self.mean_density);
        Self {
            received: zero.if_below(inverse, R::splat(1.0), forward),
            paid: zero.if_below(inverse, paid / forward, paid),
            mean_density: zero.if_below(inverse, mean / forward, mean),
            ..self
        }
    }

    /// The undiscounted value, at least what exercise is worth:
    ///
    /// ```text
    /// d1, d2 = log_moneyness / v +- v / 2        log_moneyness: ln(received / paid), v: total volatility
    /// call   = received N(d1) - paid N(d2),   put = paid N(-d2) - received N(-d1)
    /// ```
    ///
    /// It is that of the side which is out of the money, and what exercise is worth on the other. received n(d1) = paid n(d2),
    /// and so one exponential serves both tails. Off by 1e-15 of the larger leg at most.
    #[inline(always)]
    pub(super) fn value(&self, log_moneyness: R, total_volatility: R) -> R {
        let Distances { near, far, squares } = Distances::new(log_moneyness, total_volatility);
        self.value_at(near, exp_minus_half(squares), Distances::tails(near, far))
    }

    /// The same of what its steps have found: the density as a part of the mean one, and the tails as parts of that.
    #[inline(always)]
    pub(super) fn value_at(&self, near: R, density: R, tails: R) -> R {
        let zero = R::splat(0.0);
        let density = self.mean_density * density;
        // Below 0 it is the difference of two tails, above what is received less both.
        let certain = near.if_below(zero, zero, self.received.at_most(self.paid));
        let time_value = (-density).mul_add(tails, certain).at_least(zero);
        ((self.received - self.paid) * self.side).at_least(zero) + time_value
    }
}

/// How far in standard deviations, with the names of the side out of the money: what is received is worth N(near), what is
/// paid is worth N(-far).
#[derive(Clone, Copy)]
pub(super) struct Distances<R> {
    pub(super) near: R,
    pub(super) far: R,
    /// The mean of their squares.
    pub(super) squares: R,
}

impl<R: Real> Distances<R> {
    #[inline(always)]
    pub(super) fn new(log_moneyness: R, total_volatility: R) -> Self {
        let v = total_volatility
            .at_least(R::splat(LEAST_TOTAL_VOLATILITY))
            .at_most(R::splat(MOST_TOTAL_VOLATILITY));
        let half = v * R::splat(0.5);
        // How far out of the money.
        let out = (log_moneyness.magnitude() / v).at_most(R::splat(FARTHEST));
        Self {
            near: half - out,
            far: half + out,
            squares: out.mul_add(out, half * half),
        }
    }

    /// Both tails as parts of the density: their sum, or where near is below 0 their difference.
    #[inline(always)]
    pub(super) fn tails(near: R, far: R) -> R {
        let (near_tail, near_part) = tail_fraction(near.magnitude());
        let (far_tail, far_part) = tail_fraction(far);
        let near_tail = near.if_below(R::splat(0.0), -near_tail, near_tail);
        far_tail.mul_add(near_part, near_tail * far_part) / (near_part * far_part)
    }
}

/// What exercise pays at most: the forward to a call, the strike to a put.
#[inline(always)]
fn side_leg<R: Real>(terms: &Terms<R>) -> R {
    terms
        .side
        .if_below(R::splat(0.0), terms.strike, terms.forward)
}

/// Value and greeks of one unit, discounted.
#[inline(always)]
pub(super) fn black<R: Real>(terms: &Terms<R>, log_moneyness: R) -> Greeks<R> {
    let Terms {
        forward,
        volatility,
        expiry_years,
        rate,
        side,
        ..
    } = *terms;
    let (zero, half) = (R::splat(0.0), R::splat(0.5));
    let discount = exp(-(rate * expiry_years));
    let root_time = expiry_years.sqrt();
    let total = volatility * root_time;
    // Two roundings may take it above all that can be received.
    let most = side_leg(terms);
    let value = discount
        * Exchange::linear(terms)
            .value(log_moneyness, total)
            .at_most(most);
    let v = total.at_least(R::splat(LEAST_TOTAL_VOLATILITY));
    let d1 = log_moneyness / v + v * half;
    let density = discount * normal_density(d1);
    let decay = forward * density * total * half / expiry_years;
    Greeks {
        value,
        delta: side * discount * normal_cdf(d1 * side),
        // A value without volatility has a kink and no curvature; what has expired does not decay.
        gamma: zero.if_below(total, density / (forward * v), zero),
        vega: forward * density * root_time,
        theta: zero.if_below(expiry_years, rate * value - decay, zero),
        rho: -(expiry_years * value),
    }
}
