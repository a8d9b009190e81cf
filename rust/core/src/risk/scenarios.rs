//! Scenarios: by how much prices and volatilities move together, as data.

use crate::error::{Error, Place, Result, finite};
use crate::kernel::Measure;
use crate::model::is_moderate;
use crate::universe::Universe;

/// How a volatility shock is meant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VolatilityShock {
    /// Whether it is added to the volatility, instead of multiplied with it.
    pub absolute: bool,
    /// `(power, least, most)`: the shock is scaled by `(30 days / time to expiry) ^ power` within these bounds.
    pub time_scaling: Option<(f64, f64, f64)>,
    /// No volatility falls below this.
    pub floor: f64,
}

/// Shocks of one underlying in every scenario.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shocks {
    /// Fractions of the price, or amounts in its quote.
    pub price: Vec<f64>,
    /// See [`VolatilityShock`].
    pub volatility: Vec<f64>,
}

/// A set of scenarios, checked.
#[derive(Clone, Debug)]
pub struct ScenarioSet {
    /// What is asked of the losses.
    pub measure: Measure,
    /// Whether all underlyings move together, so that an account's positions are one group.
    pub joint: bool,
    /// Whether price shocks are amounts instead of fractions.
    pub absolute: bool,
    /// How volatility shocks are meant.
    pub volatility: VolatilityShock,
    /// By scenario: what a loss counts, at least 0.
    pub weight: Vec<f64>,
    /// Different shocks.
    shocks: Vec<Shocks>,
    /// By underlying: which of them; `None` if nothing is said of it.
    of_underlying: Vec<Option<usize>>,
}

impl ScenarioSet {
    /// Checks shocks: `default` for every underlying that is not named in `named`.
    ///
    /// # Errors
    /// Columns of different lengths, no scenario, a number that is not finite, a weight below 0, a relative price shock
    /// below -1, a measure whose rank is no rank.
    pub fn new(
        universe: &Universe,
        default: Option<Shocks>,
        named: Vec<(usize, Shocks)>,
        mut set: ScenarioSet,
    ) -> Result<Self> {
        if finite(set.volatility.floor, || Place::frame("volatility_floor"))? < 0.0 {
            let floor = set.volatility.floor;
            return Err(problem(
                Place::frame("volatility_floor"),
                &format!("{floor} is below 0"),
            ));
        }
        if let Some((power, least, most)) = set.volatility.time_scaling {
            let place = || Place::frame("volatility_scaling");
            finite(power, place)?;
            // NaN is within no bounds.
            if !(0.0 <= least && least <= most) {
                let wrong = format!("from {least} to {most} is no range: 0 <= least <= most");
                return Err(problem(place(), &wrong));
            }
        }
        let scenarios = set.weight.len();
        if scenarios == 0 {
            return Err(problem(Place::frame("scenarios"), "at least one is needed"));
        }
        for (scenario, &weight) in set.weight.iter().enumerate() {
            let place = || Place::column("scenarios", "weight").row(scenario);
            if finite(weight, place)? < 0.0 {
                return Err(problem(place(), &format!("{weight} is below 0")));
            }
        }
        set.of_underlying = vec![default.as_ref().map(|_| 0); universe.underlyings().len()];
        let has_default = default.is_some();
        set.shocks = default.into_iter().collect();
        for (underlying, shocks) in named {
            set.of_underlying[underlying] = Some(set.shocks.len());
            set.shocks.push(shocks);
        }
        for (number, shocks) in set.shocks.iter().enumerate() {
            // What holds for all underlyings names none.
            let id = if has_default && number == 0 {
                None
            } else {
                set.of_underlying.iter().position(|&of| of == Some(number))
            };
            let name = |place: Place| match id {
                Some(underlying) => place.id(universe.underlyings().get(underlying)),
                None => place,
            };
            for (column, values) in [
                ("price_shock", &shocks.price),
                ("volatility_shock", &shocks.volatility),
            ] {
                let place = || name(Place::column("scenarios", column));
                if values.len() != scenarios {
                    let found = values.len();
                    return Err(Error::Column {
                        place: place(),
                        problem: format!("{found} values for {scenarios} scenarios"),
                    });
                }
                for (scenario, &shock) in values.iter().enumerate() {
                    finite(shock, || place().row(scenario))?;
                }
            }
            let least = |(_, shock): &(usize, &f64)| **shock < -1.0 && !set.absolute;
            if let Some((scenario, shock)) = shocks.price.iter().enumerate().find(least) {
                return Err(problem(
                    name(Place::column("scenarios", "price_shock")).row(scenario),
                    &format!(
                        "{shock} is below -1: no price falls by more than all of it (absolute shocks may)"
                    ),
                ));
            }
        }
        Ok(set)
    }

    /// What [`ScenarioSet::new`] fills in.
    #[must_use]
    pub fn unchecked(measure: Measure, joint: bool, weight: Vec<f64>) -> Self {
        Self {
            measure,
            joint,
            absolute: false,
            volatility: VolatilityShock {
                absolute: false,
                time_scaling: None,
                floor: 1e-4,
            },
            weight,
            shocks: Vec::new(),
            of_underlying: Vec::new(),
        }
    }

    /// Number of scenarios.
    #[must_use]
    pub fn len(&self) -> usize {
        self.weight.len()
    }

    /// Never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.weight.is_empty()
    }

    /// Shocks of an underlying; `None` if the set says nothing of it.
    #[must_use]
    pub fn shocks(&self, underlying: usize) -> Option<&Shocks> {
        let number = self.shock_number(underlying);
        number.map(|number| &self.shocks[number])
    }

    /// Which of [`Self::all_shocks`] are those of an underlying.
    pub(super) fn shock_number(&self, underlying: usize) -> Option<usize> {
        self.of_underlying[underlying]
    }

    /// Whether all price shocks that are any keep their digits in products with moderate figures.
    pub(super) fn is_moderate(&self) -> bool {
        let mut shocks = self.shocks.iter().flat_map(|shocks| &shocks.price);
        shocks.all(|&shock| is_moderate(shock))
    }

    /// Shocks that differ, or may.
    pub(super) fn all_shocks(&self) -> &[Shocks] {
        &self.shocks
    }
}

fn problem(place: Place, problem: &str) -> Error {
    Error::Parameter {
        place,
        problem: problem.to_owned(),
    }
}
