//! Black-76: an option on a forward price that is lognormal at expiry.

use super::greeks::Greeks;
use crate::kernel::math::{
    DENSITY_AT_0, LARGEST_SQUARES, Real, exp, exp_minus_half, ln, normal_cdf, normal_density,
    tail_fraction,
};

/// Below it, total volatility counts as this much: d1 and d2 stay finite, and the value is the intrinsic one.
pub(super) const LEAST_TOTAL_VOLATILITY: f64 = 1e-100;

/// Above it, half of a total volatility counts as this much: what is received is worth all of itself.
const MOST_HALF_VOLATILITY: f64 = 22.0;

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

/// What two legs are worth: a call on what moves receives it if exercised, and pays what is fixed.
///
/// Linear: a forward for a strike. Inverse, counted in coin: strike / forward moves and 1 is fixed, so a call is a put on it.
#[derive(Clone, Copy)]
pub(super) struct Exchange<R> {
    pub(super) moving: R,
    pub(super) fixed: R,
    /// sqrt(moving x fixed / 2 pi).
    pub(super) mean_density: R,
    /// 1 for a call on what moves, -1 for a put.
    pub(super) side: R,
}

impl<R: Real> Exchange<R> {
    /// Forward for strike, or where `inverse` is above 0 the same counted in the coin that is received; and
    /// ln(moving / fixed).
    #[inline(always)]
    pub(super) fn new(terms: &Terms<R>, inverse: R) -> (Self, R) {
        let Terms {
            forward,
            strike,
            side,
            ..
        } = *terms;
        let if_inverse = |then, otherwise| R::splat(0.0).if_below(inverse, then, otherwise);
        let ratio = if_inverse(strike, forward) / if_inverse(forward, strike);
        // Where the quotient leaves the range of f64, so does what the logarithm could still change.
        let ratio = ratio.at_most(R::splat(f64::MAX));
        let fixed = if_inverse(R::splat(1.0), strike);
        let exchange = Self {
            moving: if_inverse(ratio, forward),
            fixed,
            mean_density: R::splat(DENSITY_AT_0) * fixed * ratio.sqrt(),
            side: if_inverse(-side, side),
        };
        (exchange, ln(ratio))
    }

    /// So many of it.
    #[inline(always)]
    pub(super) fn times(self, count: R) -> Self {
        Self {
            moving: self.moving * count,
            fixed: self.fixed * count,
            mean_density: self.mean_density * count,
            ..self
        }
    }

    /// The undiscounted value, at least what exercise is worth:
    ///
    /// ```text
    /// d1, d2 = log_moneyness / v +- v / 2        log_moneyness: ln(moving / fixed), v: total volatility
    /// call   = moving N(d1) - fixed N(d2),   put = fixed N(-d2) - moving N(-d1)
    /// ```
    ///
    /// It is that of the side which is out of the money, and what exercise is worth on the other. moving n(d1) = fixed n(d2),
    /// and so one exponential serves both tails. Off by 1e-15 of the larger leg at most.
    ///
    /// The arguments are half of the logarithm and half of v, which is above 0.
    #[inline(always)]
    pub(super) fn value(&self, half_log: R, half_volatility: R) -> R {
        let distances = Distances::new(half_log, half_volatility, R::splat(0.0));
        let Distances { near, far, decay } = distances;
        let tails = Distances::tails(near, far) * exp_minus_half(decay);
        let intrinsic = (self.moving - self.fixed) * self.side;
        intrinsic.at_least(R::splat(0.0)) + self.time_value(self.moving, near, tails)
    }

    /// What a value is above that of exercise where the price has moved to `moving`, of the tails as parts of the mean density.
    #[inline(always)]
    pub(super) fn time_value(&self, moving: R, near: R, tails: R) -> R {
        let zero = R::splat(0.0);
        // Below 0 it is the difference of two tails, above what is received less both.
        let certain = near.if_below(zero, zero, moving.at_most(self.fixed));
        (-self.mean_density).mul_add(tails, certain).at_least(zero)
    }
}

/// How far in standard deviations, with the names of the side out of the money: what is received is worth N(near), what is
/// paid is worth N(-far).
#[derive(Clone, Copy)]
pub(super) struct Distances<R> {
    pub(super) near: R,
    pub(super) far: R,
    /// The density is e^(-decay / 2) of the mean one: the mean of both squares, less what a move adds to the mean density.
    pub(super) decay: R,
}

impl<R: Real> Distances<R> {
    /// `minus_log` is that of what the price has moved by, so that the mean density may be the one before the move.
    #[inline(always)]
    pub(super) fn new(half_log: R, half_volatility: R, minus_log: R) -> Self {
        let half = half_volatility.at_most(R::splat(MOST_HALF_VOLATILITY));
        // How far out of the money.
        let out = (half_log.magnitude() / half).at_most(R::splat(FARTHEST));
        Self {
            near: half - out,
            far: half + out,
            decay: out.mul_add(out, half.mul_add(half, minus_log)),
        }
    }

    /// Both tails as parts of the density: their sum, or where near is below 0 their difference.
    #[inline(always)]
    pub(super) fn tails(near: R, far: R) -> R {
        let (near_tail, near_part) = tail_fraction(near.magnitude());
        let (far_tail, far_part) = tail_fraction(far);
        let near_tail = near_tail.negated_with(near);
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
pub(super) fn black<R: Real>(terms: &Terms<R>) -> Greeks<R> {
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
    let v = total.at_least(R::splat(LEAST_TOTAL_VOLATILITY));
    let (exchange, log_moneyness) = Exchange::new(terms, zero);
    let value = exchange.value(log_moneyness * half, v * half);
    let value = discount * value.at_most(most);
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
