//! The cheapest collateral to lock for a need.

use std::sync::Arc;

use crate::error::{Error, Place, Result, finite};
use crate::exact::{Given, Number, Rational};
use crate::market::Market;
use crate::model::CrossMargin;
use crate::table::Missing;

use super::at_least;

/// What somebody could lock of an asset.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Row of the universe.
    pub asset: usize,
    /// Asset units, at least 0.
    pub available: Given,
    /// What locking costs, per year and unit of market value; at least 0.
    pub cost_rate: Given,
}

/// What to lock.
#[derive(Clone, Debug, PartialEq)]
pub struct Lock {
    /// Asset units of each offer, rounded up.
    pub amounts: Vec<f64>,
    /// What they count together as collateral; at least the need.
    pub value: f64,
    /// What they cost together, per year.
    pub cost: f64,
}

/// Part of an offer between two haircut tiers.
struct Part {
    offer: usize,
    amount: Rational,
    /// What one unit counts, and what it costs.
    value: Rational,
    cost: Rational,
}

/// The cheapest amounts that count at least `need` as collateral, numeraire.
///
/// Greedy by cost per unit of collateral value. Haircuts may not fall with size, so what comes first in an asset is its
/// cheapest part, and greedy is the optimum of the linear program.
///
/// # Errors
/// [`Error::UniverseMismatch`]; a negative need, amount or cost, an offer without a price, or a need that all offers do not cover.
pub fn cheapest_collateral(
    model: &CrossMargin,
    market: &Market,
    need: &Given,
    offers: &[Offer],
    initial: bool,
) -> Result<Lock> {
    let universe = model.universe();
    if !Arc::ptr_eq(universe, market.universe()) {
        return Err(Error::UniverseMismatch {
            left: "market",
            right: "model",
        });
    }
    check("need", need, || Place::frame("need"))?;
    let mut parts = Vec::new();
    for (number, offer) in offers.iter().enumerate() {
        let id = || universe.assets().get(offer.asset);
        check("available", &offer.available, || {
            Place::frame("available").id(id())
        })?;
        check("cost_rate", &offer.cost_rate, || {
            Place::frame("cost_rate").id(id())
        })?;
        let missing = Missing::IndexPrice(offer.asset);
        let price = market.index::<Rational>(offer.asset);
        let price = price.ok_or_else(|| missing.error(universe, String::new()))?;
        let available = Rational::given(offer.available.as_ref());
        let (maintenance, first) = model.haircut_weights::<Rational>(offer.asset);
        let tiers = if initial { first } else { maintenance };
        let cost = Rational::given(offer.cost_rate.as_ref()) * &price;
        for (at, (from, weight)) in tiers.iter().enumerate() {
            let to = tiers
                .get(at + 1)
                .map_or(&available, |next| (&next.0).min(&available));
            let value = weight * &price;
            if to > from && value > Rational::decimal(0.0) {
                parts.push(Part {
                    offer: number,
                    amount: to - from,
                    value,
                    cost: cost.clone(),
                });
            }
        }
    }
    // By cost per unit of value; ties in the order of the offers.
    parts.sort_by(|a, b| (&a.cost * &b.value).cmp(&(&b.cost * &a.value)));
    let mut missing = Rational::given(need.as_ref());
    let mut amounts = vec![Rational::decimal(0.0); offers.len()];
    let (mut value, mut cost) = (Rational::decimal(0.0), Rational::decimal(0.0));
    for part in parts {
        if missing <= Rational::decimal(0.0) {
            break;
        }
        let amount = (&missing / &part.value).min(part.amount);
        missing -= &amount * &part.value;
        value += &amount * &part.value;
        cost += &amount * &part.cost;
        amounts[part.offer] += amount;
    }
    if missing > Rational::decimal(0.0) {
        return Err(Error::Value {
            place: Place::frame("available"),
            problem: format!(
                "all of it counts {} as collateral, {} less than the need",
                value.float(),
                missing.float()
            ),
        });
    }
    Ok(Lock {
        amounts: amounts.iter().map(at_least).collect(),
        value: value.float(),
        cost: cost.float(),
    })
}

fn check(name: &str, given: &Given, place: impl Fn() -> Place) -> Result<()> {
    let float = finite(given.float(), &place)?;
    if float >= 0.0 {
        return Ok(());
    }
    Err(Error::Value {
        place: place(),
        problem: format!("{name} must be >= 0, not {float}"),
    })
}
