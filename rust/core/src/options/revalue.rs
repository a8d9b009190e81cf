//! Many options under many scenarios: what one contract gains in each.

use super::bachelier;
use super::black::{Exchange, Terms};
use super::columns::{FRAME, inverse_normal};
use super::greeks::{OptionModel, log_moneyness};
use crate::error::{Error, Place, Result, finite};
use crate::kernel::math::{RealRow, ln};
use crate::kernel::{FloatState, LaneWork, Row, Simd, on_lanes};

/// One option, as scenarios see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShockedOption {
    /// Price of the underlying for delivery at expiry. Above 0 under Black-76.
    pub forward: f64,
    /// Above 0 under Black-76.
    pub strike: f64,
    /// At least 0, per square root of a year: a fraction under Black-76, price units under Bachelier.
    pub volatility: f64,
    /// Years of 365 days, at least 0.
    pub expiry_years: f64,
    /// Call or put.
    pub is_call: bool,
    /// Whether it pays in coin: value / forward.
    pub inverse: bool,
    /// What a value of 1 is worth: contract multiplier x discount factor x price of the settlement asset.
    pub scale: f64,
    /// By how much a volatility shock of 1 raises the volatility: `volatility x c(T)` for relative shocks, `c(T)` for
    /// absolute ones.
    pub volatility_weight: f64,
    /// Which of the sets of shocks moves it.
    pub shocks: u32,
}

impl ShockedOption {
    fn check(&self, row: usize, sets: &[ShockSet], model: OptionModel) -> Result<()> {
        let wrong = |column, problem: String| {
            let place = Place::column(FRAME, column).row(row);
            Err(Error::Value { place, problem })
        };
        let columns = [
            ("forward", self.forward),
            ("strike", self.strike),
            ("volatility", self.volatility),
            ("expiry_years", self.expiry_years),
            ("scale", self.scale),
            ("volatility_weight", self.volatility_weight),
        ];
        // A product with 0 tells of all at once whether one is not finite.
        let product = |sum, (_, value): &(&str, f64)| sum + 0.0 * value;
        if columns.iter().fold(0.0, product) != 0.0 {
            for (name, value) in columns {
                finite(value, || Place::column(FRAME, name).row(row))?;
            }
        }
        for (name, value) in &columns[2..4] {
            if *value < 0.0 {
                return wrong(name, format!("{value} is not >= 0"));
            }
        }
        let set = &sets[self.shocks as usize];
        match model {
            OptionModel::Bachelier if self.inverse => return Err(inverse_normal()),
            OptionModel::Bachelier => {}
            OptionModel::Black76 => {
                for (name, value) in &columns[..2] {
                    if *value <= 0.0 {
                        return wrong(name, format!("{value} is not > 0"));
                    }
                }
                if self.inverse && set.to_zero {
                    return wrong(
                        "inverse",
                        "a price shock of -1 leaves it no finite value".into(),
                    );
                }
            }
        }
        Ok(())
    }
}

/// Shocks of one underlying, by scenario.
#[derive(Clone, Debug)]
pub struct ShockSet {
    model: OptionModel,
    scenarios: usize,
    volatility: Vec<Row>,
    /// Bachelier: what is added to the forward. Black-76: ln(1 + shock).
    price: Vec<Row>,
    /// Factors of both legs of a linear and of an inverse option; Black-76 alone.
    linear: Vec<LegFactors>,
    inverse: Vec<LegFactors>,
    /// Whether a shock is -1.
    to_zero: bool,
}

/// What eight scenarios multiply an exchange's legs by.
#[derive(Clone, Copy, Debug)]
struct LegFactors {
    received: Row,
    paid: Row,
    mean: Row,
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

/// Where the gains of an option go.
#[derive(Debug)]
pub struct Gains<'a> {
    /// Eight scenarios to a row.
    pub rows: &'a mut [Row],
    /// What each gain is multiplied by, as many rows; 0 beyond the last scenario.
    pub weights: &'a [Row],
    /// The largest gain by size; what was there before is written over.
    pub largest: f64,
}

/// What one contract of each option gains in each scenario: its value after the shocks less its value before, times
/// [`ShockedOption::scale`], times the weight of the scenario.
///
/// Lanes beyond the last scenario become 0, as does every scenario without shocks, and no 0 has a sign. A shocked volatility
/// is not below `volatility_floor`, unless the volatility itself is. The bits depend neither on what stands beside an option
/// nor on the instruction set. One thread: who has many options divides them.
///
/// # Errors
/// An input out of bounds or a gain that f64 cannot hold; the row is that of the option.
///
/// # Panics
/// If sets differ in length or model, an option's set does not exist, or `gains` has another length, or rows or weights.
pub fn revalue(
    options: &[ShockedOption],
    sets: &[ShockSet],
    volatility_floor: f64,
    gains: &mut [Gains<'_>],
) -> Result<()> {
    let Some(first) = sets.first() else {
        assert!(options.is_empty(), "options, but no shocks");
        return Ok(());
    };
    finite(volatility_floor, || Place::frame("volatility_floor"))?;
    let alike = |set: &ShockSet| (set.scenarios, set.model) == (first.scenarios, first.model);
    assert!(sets.iter().all(alike), "sets of shocks differ");
    let lanes = first.scenarios.div_ceil(8);
    assert_eq!(gains.len(), options.len(), "rows of gains");
    let fits = |gains: &Gains<'_>| gains.rows.len() == lanes && gains.weights.len() == lanes;
    assert!(gains.iter().all(fits), "rows of gains");
    for (row, option) in options.iter().enumerate() {
        option.check(row, sets, first.model)?;
    }
    let work = Revaluation {
        options,
        sets,
        volatility_floor,
        gains: &mut *gains,
    };
    if on_lanes(Simd::current(), work) {
        return Ok(());
    }
    let is_wrong = |gains: &Gains<'_>| {
        let mut lanes = gains.rows.iter().flat_map(|row| row.0);
        lanes.any(|gain| !gain.is_finite())
    };
    let row = gains.iter().position(is_wrong).expect("it was found");
    Err(Error::Value {
        place: Place::frame(FRAME).row(row),
        problem: "a gain is beyond the range of f64".into(),
    })
}

struct Revaluation<'a, 'g> {
    options: &'a [ShockedOption],
    sets: &'a [ShockSet],
    volatility_floor: f64,
    gains: &'a mut [Gains<'g>],
}

impl LaneWork for Revaluation<'_, '_> {
    /// Whether all gains are finite.
    type Output = bool;

    #[inline(always)]
    fn run<R: RealRow>(self) -> bool {
        // NaN in a lane from the first gain on that is not finite.
        let mut poison = R::splat(0.0);
        let eights = self.options.chunks(8).zip(self.gains.chunks_mut(8));
        for (options, gains) in eights {
            // Eight options side by side for what no scenario changes, then eight scenarios of each.
            let bases = Bases::new::<R>(options, self.sets[0].model, self.volatility_floor);
            for (lane, (option, gains)) in options.iter().zip(gains).enumerate() {
                let set = &self.sets[option.shocks as usize];
                let gain = Gain::new(&bases, lane, option, poison);
                poison = match set.model {
                    OptionModel::Black76 => bases.black::<R>(lane, option, set, gain, gains),
                    OptionModel::Bachelier => bases.bachelier::<R>(lane, option, set, gain, gains),
                };
            }
        }
        let mut row = Row::default();
        poison.write_row(&mut row);
        row.0.iter().all(|lane| !lane.is_nan())
    }
}

/// Eight options before any shock.
#[derive(Default)]
struct Bases {
    received: Row,
    paid: Row,
    log_moneyness: Row,
    mean_density: Row,
    root_time: Row,
    /// No shocked volatility is below it.
    floor: Row,
    value: Row,
}

impl Bases {
    #[inline(always)]
    fn new<R: RealRow>(options: &[ShockedOption], model: OptionModel, floor: f64) -> Self {
        let gather = |f: &dyn Fn(&ShockedOption) -> f64| {
            let last = options.len() - 1;
            R::from_row(&Row(std::array::from_fn(
                |lane| f(&options[last.min(lane)]),
            )))
        };
        let volatility = gather(&|option| option.volatility);
        let terms = Terms {
            forward: gather(&|option| option.forward),
            strike: gather(&|option| option.strike),
            volatility,
            expiry_years: gather(&|option| option.expiry_years),
            rate: R::splat(0.0),
            side: gather(&side),
        };
        let root_time = terms.expiry_years.sqrt();
        let mut bases = Self::default();
        root_time.write_row(&mut bases.root_time);
        volatility
            .at_most(R::splat(floor))
            .write_row(&mut bases.floor);
        let value = match model {
            OptionModel::Bachelier => {
                let moneyness = terms.forward - terms.strike;
                moneyness.write_row(&mut bases.received);
                bachelier::value(moneyness * terms.side, volatility * root_time)
            }
            OptionModel::Black76 => {
                let inverse = gather(&|option| f64::from(u8::from(option.inverse)));
                let log_moneyness = log_moneyness(terms.forward, terms.strike);
                let exchange = Exchange::linear(&terms, log_moneyness);
                let exchange = exchange.per_forward_where(inverse);
                exchange.received.write_row(&mut bases.received);
                exchange.paid.write_row(&mut bases.paid);
                exchange.mean_density.write_row(&mut bases.mean_density);
                log_moneyness.write_row(&mut bases.log_moneyness);
                exchange.value(volatility * root_time)
            }
        };
        value.write_row(&mut bases.value);
        bases
    }

    /// Writes the gains of one option; returns what has come of the poison.
    #[inline(always)]
    fn black<R: RealRow>(
        &self,
        lane: usize,
        option: &ShockedOption,
        set: &ShockSet,
        mut gain: Gain<R>,
        gains: &mut Gains<'_>,
    ) -> R {
        let [received, paid, log_moneyness, mean_density] = [
            &self.received,
            &self.paid,
            &self.log_moneyness,
            &self.mean_density,
        ]
        .map(|row| R::splat(row.0[lane]));
        let side = R::splat(side(option));
        let legs = if option.inverse {
            &set.inverse
        } else {
            &set.linear
        };
        let shocks = legs.iter().zip(&set.price).zip(&set.volatility);
        for (((legs, price), volatility), out) in shocks.zip(gains.weighted_rows()) {
            let exchange = Exchange {
                received: received * R::from_row(&legs.received),
                paid: paid * R::from_row(&legs.paid),
                log_moneyness: log_moneyness + R::from_row(price),
                mean_density: mean_density * R::from_row(&legs.mean),
                side,
            };
            let value = exchange.value(gain.total_volatility(R::from_row(volatility)));
            gain.write(value, out);
        }
        gain.close(gains)
    }

    /// As `black`.
    #[inline(always)]
    fn bachelier<R: RealRow>(
        &self,
        lane: usize,
        option: &ShockedOption,
        set: &ShockSet,
        mut gain: Gain<R>,
        gains: &mut Gains<'_>,
    ) -> R {
        let moneyness = R::splat(self.received.0[lane]);
        let side = R::splat(side(option));
        let shocks = set.price.iter().zip(&set.volatility);
        for ((price, volatility), out) in shocks.zip(gains.weighted_rows()) {
            let moneyness = (moneyness + R::from_row(price)) * side;
            let total = gain.total_volatility(R::from_row(volatility));
            gain.write(bachelier::value(moneyness, total), out);
        }
        gain.close(gains)
    }
}

impl Gains<'_> {
    #[inline(always)]
    fn weighted_rows(&mut self) -> impl Iterator<Item = (&mut Row, &Row)> {
        self.rows.iter_mut().zip(self.weights)
    }
}

/// 1 for a call, -1 for a put.
fn side(option: &ShockedOption) -> f64 {
    if option.is_call { 1.0 } else { -1.0 }
}

/// From a shock to a volatility, from a value to a gain.
struct Gain<R> {
    volatility: R,
    weight: R,
    floor: R,
    root_time: R,
    base: R,
    scale: R,
    /// By size.
    largest: R,
    /// NaN in a lane from the first gain on that is not finite.
    poison: R,
}

impl<R: RealRow> Gain<R> {
    #[inline(always)]
    fn new(bases: &Bases, lane: usize, option: &ShockedOption, poison: R) -> Self {
        Self {
            volatility: R::splat(option.volatility),
            weight: R::splat(option.volatility_weight),
            floor: R::splat(bases.floor.0[lane]),
            root_time: R::splat(bases.root_time.0[lane]),
            base: R::splat(bases.value.0[lane]),
            scale: R::splat(option.scale),
            largest: R::splat(0.0),
            poison,
        }
    }

    #[inline(always)]
    fn total_volatility(&self, shock: R) -> R {
        let volatility = shock.mul_add(self.weight, self.volatility);
        volatility.at_least(self.floor) * self.root_time
    }

    #[inline(always)]
    fn write(&mut self, value: R, (out, weight): (&mut Row, &Row)) {
        let zero = R::splat(0.0);
        // Adding 0 makes -0 and 0 the same.
        let gain = (value - self.base) * self.scale * R::from_row(weight) + zero;
        self.poison = gain.mul_add(zero, self.poison);
        self.largest = self.largest.at_least(gain.magnitude());
        gain.write_row(out);
    }

    #[inline(always)]
    fn close(self, gains: &mut Gains<'_>) -> R {
        gains.largest = self.largest.largest();
        self.poison
    }
}
