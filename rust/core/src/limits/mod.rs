//! How much an account may still do: buy or sell, withdraw, pass on; and what to lock for a need at least cost.
//!
//! Every answer is the end of an interval where initial health is at least 0: initial health is concave in the size of an
//! order and in an amount of cash, and made of lines ([`crate::concave`]).

mod cash;
mod cheapest;
mod orders;

pub use cash::{Transferable, transferable, withdrawable, withdrawable_of_all};
pub use cheapest::{Lock, Offer, cheapest_collateral};
pub use orders::{BuyingPower, buying_power, buying_power_of_all};

use crate::exact::{Number, Rational};

/// The largest f64 that is at most an exact number, which is at least 0; infinite if there is no limit.
fn at_most(limit: Option<&Rational>) -> f64 {
    let Some(limit) = limit else {
        return f64::INFINITY;
    };
    let nearest = limit.float();
    if nearest.is_finite() && Rational::decimal(nearest) <= *limit {
        nearest
    } else {
        nearest.next_down()
    }
}

/// The smallest f64 that is at least an exact number.
fn at_least(limit: &Rational) -> f64 {
    let nearest = limit.float();
    if !nearest.is_finite() || Rational::decimal(nearest) >= *limit {
        nearest
    } else {
        nearest.next_up()
    }
}
