//! What scenarios do to the options on one underlying, prepared once for all of them.

use super::greeks::OptionModel;
use crate::error::{Error, Place, Result, finite};
use crate::kernel::math::ln;
use crate::kernel::{FloatState, Row};

/// Shocks of one underlying, by scenario.
#[derive(Clone, Debug)]
pub struct ShockSet {
    pub(super) model: OptionModel,
    scenarios: usize,
    pub(super) volatility: Vec<Row>,
    /// Bachelier: what is added to the forward. Black-76: ln(1 + shock).
    pub(super) price: Vec<Row>,
    /// Factors of both legs of a linear and of an inverse option; Black-76 alone.
    pub(super) linear: Vec<LegFactors>,
    pub(super) inverse: Vec<LegFactors>,
    /// Whether a shock is -1.
    pub(super) to_zero: bool,
}

/// What eight scenarios multiply an exchange's legs by.
#[derive(Clone, Copy, Debug)]
pub(super) struct LegFactors {
    pub(super) received: Row,
    pub(super) paid: Row,
    pub(super) mean: Row,
}

impl ShockSet {
    /// Price and volatility shocks, one of each for a scenario. Under Black-76 the forward becomes `forward x (1 + shock)`
    /// and no shock is below -1; under Bachelier it becomes `forward + shock`.
    ///
    /// # Errors
    /// Different lengths, a shock that is not finite, or below -1 where it is a fraction.
    pub fn new(price: &[f64], volatility: &[f64], model: OptionModel) -> Result<Self> {
        if price.len() != volatility.len() {
            return Err(Error::Column {
                place: Place::column("scenarios", "volatility_shock"),
                problem: format!(
                    "{} rows, but 'price_shock' has {}",
                    volatility.len(),
                    price.len()
                ),
            });
        }
        for (scenario, (&price, &volatility)) in price.iter().zip(volatility).enumerate() {
            let place = |column| Place::column("scenarios", column).row(scenario);
            finite(volatility, || place("volatility_shock"))?;
            if finite(price, || place("price_shock"))? < -1.0 && model == OptionModel::Black76 {
                return Err(Error::Value {
                    place: place("price_shock"),
                    problem: format!("{price} would make a price negative; it must be >= -1"),
                });
            }
        }
        let _state = FloatState::standard();
        let mut set = Self {
            model,
            scenarios: price.len(),
            volatility: rows(volatility, |shock| shock),
            price: rows(price, |shock| shock),
            linear: Vec::new(),
            inverse: Vec::new(),
            to_zero: price.contains(&-1.0),
        };
        if model == OptionModel::Black76 {
            // At a forward of 0 its leg is 0 too, and any logarithm far below those of other shocks will do.
            let log = |shock: f64| if shock == -1.0 { -1e5 } else { ln(1.0 + shock) };
            set.price = rows(price, log);
            let ones = rows(price, |_| 1.0);
            let up = rows(price, |shock| 1.0 + shock);
            let root = rows(price, |shock| (1.0 + shock).sqrt());
            let reciprocal = |x: f64| if x == 0.0 { 0.0 } else { 1.0 / x };
            let down = rows(price, |shock| reciprocal(1.0 + shock));
            let root_down = rows(price, |shock| reciprocal(1.0 + shock).sqrt());
            set.linear = legs(&up, &ones, &root);
            set.inverse = legs(&ones, &down, &root_down);
        }
        Ok(set)
    }

    /// Number of scenarios.
    #[must_use]
    pub fn len(&self) -> usize {
        self.scenarios
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.scenarios == 0
    }
}

/// Eight scenarios to a row; what is beyond the last one is not shocked.
fn rows(shocks: &[f64], f: impl Fn(f64) -> f64) -> Vec<Row> {
    let row = |chunk: &[f64]| {
        let shock = |lane: usize| chunk.get(lane).copied().unwrap_or(0.0);
        Row(std::array::from_fn(|lane| f(shock(lane))))
    };
    shocks.chunks(8).map(row).collect()
}

fn legs(received: &[Row], paid: &[Row], mean: &[Row]) -> Vec<LegFactors> {
    let legs = received.iter().zip(paid).zip(mean);
    legs.map(|((&received, &paid), &mean)| LegFactors {
        received,
        paid,
        mean,
    })
    .collect()
}
