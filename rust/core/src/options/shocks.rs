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
    pub(super) price: PriceMoves,
    /// Whether a shock is -1.
    pub(super) to_zero: bool,
}

/// What happens to prices, eight scenarios to a row.
#[derive(Clone, Debug)]
pub(super) enum PriceMoves {
    /// Of a linear and of an inverse option.
    Black76 {
        linear: Vec<LogMoves>,
        inverse: Vec<LogMoves>,
    },
    /// What is added to the forward.
    Bachelier(Vec<Row>),
}

impl PriceMoves {
    /// Those of an option under Black-76.
    #[inline(always)]
    pub(super) fn of_logs(&self, is_inverse: bool) -> Option<&[LogMoves]> {
        match self {
            Self::Black76 { inverse, .. } if is_inverse => Some(inverse),
            Self::Black76 { linear, .. } => Some(linear),
            Self::Bachelier(_) => None,
        }
    }
}

/// What eight scenarios do to the leg of an exchange that moves.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogMoves {
    pub(super) factor: Row,
    /// Half the logarithm of the factor, and the logarithm with the other sign: one is made of the other in advance, not again
    /// for every option.
    pub(super) half_log: Row,
    pub(super) minus_log: Row,
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
        let moves = match model {
            OptionModel::Bachelier => PriceMoves::Bachelier(rows(price, |shock| shock)),
            OptionModel::Black76 => PriceMoves::Black76 {
                linear: log_moves(price, |up| up, 1.0),
                inverse: log_moves(price, |up| if up == 0.0 { 0.0 } else { 1.0 / up }, -1.0),
            },
        };
        Ok(Self {
            model,
            scenarios: price.len(),
            volatility: rows(volatility, |shock| shock),
            price: moves,
            to_zero: price.contains(&-1.0),
        })
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

/// Factors made of 1 + shock; their logarithms have this sign before that of 1 + shock.
fn log_moves(shocks: &[f64], factor: impl Fn(f64) -> f64, sign: f64) -> Vec<LogMoves> {
    // At a price of 0 its leg is 0 too, and any logarithm far below those of other shocks will do.
    let log = |shock: f64| if shock == -1.0 { -1e5 } else { ln(1.0 + shock) };
    let factors = rows(shocks, |shock| factor(1.0 + shock)).into_iter();
    let half_logs = rows(shocks, |shock| 0.5 * sign * log(shock));
    let minus_logs = rows(shocks, |shock| -sign * log(shock));
    let moves = factors.zip(half_logs).zip(minus_logs);
    moves
        .map(|((factor, half_log), minus_log)| LogMoves {
            factor,
            half_log,
            minus_log,
        })
        .collect()
}
