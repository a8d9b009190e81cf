//! Many options under many scenarios: what one contract gains in each.

use super::bachelier;
use super::black::{Exchange, Terms};
use super::columns::FRAME;
use super::greeks::{OptionModel, log_moneyness};
use super::shocked::{Eight, ShockedOptions};
use super::shocks::ShockSet;
use crate::error::{Error, Place, Result, finite};
use crate::kernel::math::{RealRow, exp};
use crate::kernel::{LaneWork, LossRows, Row, Simd, on_lanes};

/// Where the gains of options go.
#[derive(Debug)]
pub struct Gains<'a, 't> {
    /// Rows of a table; of charges nothing is touched.
    pub rows: &'a mut LossRows<'t>,
    /// By option, which of them.
    pub at: &'a [usize],
    /// What each gain is multiplied by, eight scenarios to a row; 0 beyond the last scenario.
    pub weights: &'a [Row],
    /// By option, the largest gain by size; what was there before is written over.
    pub largest: &'a mut [f64],
}

/// What one contract of each option gains in each scenario: its value after the shocks less its value before, times
/// [`ShockedOption::discounted_scale`], times the weight of the scenario.
///
/// Lanes beyond the last scenario become 0, as does every scenario without shocks, and no 0 has a sign. A shocked volatility
/// is not below `volatility_floor`, unless the volatility itself is. The bits depend neither on what stands beside an option
/// nor on the instruction set. One thread: who has many options divides them.
///
/// # Errors
/// An input out of bounds or a gain that f64 cannot hold; the row is that of the option. Gains are of no use then.
///
/// # Panics
/// If sets differ in length or model, or an option's set or row does not exist, or `gains` are for others.
///
/// [`ShockedOption::discounted_scale`]: super::ShockedOption::discounted_scale
pub fn revalue(
    options: &ShockedOptions,
    sets: &[ShockSet],
    volatility_floor: f64,
    mut gains: Gains<'_, '_>,
) -> Result<()> {
    let Some(first) = sets.first() else {
        assert!(options.is_empty(), "options, but no shocks");
        return Ok(());
    };
    finite(volatility_floor, || Place::frame("volatility_floor"))?;
    let alike = |set: &ShockSet| (set.len(), set.model) == (first.len(), first.model);
    assert!(sets.iter().all(alike), "sets of shocks differ");
    assert_eq!(gains.rows.scenarios(), first.len(), "scenarios");
    assert_eq!(gains.weights.len(), first.len().div_ceil(8), "weights");
    let fits = (gains.at.len(), gains.largest.len()) == (options.len(), options.len());
    assert!(fits, "gains of other options");
    let work = Revaluation {
        eights: &options.eights,
        sets,
        volatility_floor,
        gains: &mut gains,
    };
    if on_lanes(Simd::current(), work) {
        return Ok(());
    }
    for (row, option) in options.iter().enumerate() {
        option.check(row, sets, first.model)?;
    }
    let is_wrong = |&at: &usize| {
        let lanes = gains.rows.lanes(at).into_iter().flatten();
        lanes.flat_map(|lane| lane.0).any(|gain| !gain.is_finite())
    };
    let row = gains.at.iter().position(is_wrong).expect("it was found");
    Err(Error::Value {
        place: Place::frame(FRAME).row(row),
        problem: "a gain is beyond the range of f64".into(),
    })
}

struct Revaluation<'a, 'g, 't> {
    eights: &'a [Eight],
    sets: &'a [ShockSet],
    volatility_floor: f64,
    gains: &'a mut Gains<'g, 't>,
}

impl LaneWork for Revaluation<'_, '_, '_> {
    /// Whether all inputs are in their bounds and all gains are finite.
    type Output = bool;

    #[inline(always)]
    fn run<R: RealRow>(self) -> bool {
        let Gains {
            rows,
            at,
            weights,
            largest,
        } = self.gains;
        // NaN in a lane from the first thing on that is wrong.
        let mut poison = R::splat(0.0);
        let places = at.chunks(8).zip(largest.chunks_mut(8));
        for (eight, (at, largest)) in self.eights.iter().zip(places) {
            // Eight options side by side for what no scenario changes, then eight scenarios of each.
            let (bases, wrong) = Bases::new::<R>(eight, self.sets[0].model, self.volatility_floor);
            poison = poison + wrong;
            for (lane, (at, largest)) in at.iter().zip(largest).enumerate() {
                let set = &self.sets[eight.shocks[lane] as usize];
                let lanes = rows.lanes(*at).expect("a row of every option");
                let out = lanes.iter_mut().zip(*weights);
                let mut gain = Gain::new(&bases, lane, eight, poison);
                match set.model {
                    OptionModel::Black76 => bases.black::<R>(lane, eight, set, &mut gain, out),
                    OptionModel::Bachelier => {
                        bases.bachelier::<R>(lane, eight, set, &mut gain, out);
                    }
                }
                *largest = gain.largest.largest();
                poison = gain.poison;
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
    /// Of a payment of 1 at expiry.
    scale: Row,
}

impl Bases {
    /// And NaN in the lanes of options that are out of bounds, as [`super::ShockedOption::check`] says it.
    #[inline(always)]
    fn new<R: RealRow>(eight: &Eight, model: OptionModel, floor: f64) -> (Self, R) {
        let [zero, nan] = [0.0, f64::NAN].map(R::splat);
        let volatility = R::from_row(&eight.volatility);
        let terms = Terms {
            forward: R::from_row(&eight.forward),
            strike: R::from_row(&eight.strike),
            volatility,
            expiry_years: R::from_row(&eight.expiry_years),
            rate: zero,
            side: R::from_row(&eight.side),
        };
        let inverse = R::from_row(&eight.inverse);
        let scale = R::from_row(&eight.scale);
        let log_discount = R::from_row(&eight.log_discount);
        let root_time = terms.expiry_years.sqrt();
        let mut bases = Self::default();
        root_time.write_row(&mut bases.root_time);
        (scale * exp(log_discount)).write_row(&mut bases.scale);
        volatility
            .at_most(R::splat(floor))
            .write_row(&mut bases.floor);
        let (value, wrong) = match model {
            OptionModel::Bachelier => {
                let moneyness = terms.forward - terms.strike;
                moneyness.write_row(&mut bases.received);
                let value = bachelier::value(moneyness * terms.side, volatility * root_time);
                (value, zero.if_below(inverse, nan, zero))
            }
            OptionModel::Black76 => {
                let log_moneyness = log_moneyness(terms.forward, terms.strike);
                let exchange = Exchange::linear(&terms, log_moneyness);
                let exchange = exchange.per_forward_where(inverse);
                exchange.received.write_row(&mut bases.received);
                exchange.paid.write_row(&mut bases.paid);
                exchange.mean_density.write_row(&mut bases.mean_density);
                log_moneyness.write_row(&mut bases.log_moneyness);
                let value = exchange.value(volatility * root_time);
                let least = terms.forward.at_most(terms.strike);
                (value, zero.if_below(least, zero, nan))
            }
        };
        value.write_row(&mut bases.value);
        let least = volatility.at_most(terms.expiry_years);
        let mut wrong = least.if_below(zero, nan, wrong);
        let volatility_weight = R::from_row(&eight.volatility_weight);
        let rest = [scale, log_discount, volatility_weight, volatility];
        for figure in [terms.forward, terms.strike, terms.expiry_years]
            .into_iter()
            .chain(rest)
        {
            // A product with 0 is NaN of what is not finite.
            wrong = figure.mul_add(zero, wrong);
        }
        (bases, wrong)
    }

    /// Writes the gains of one option.
    #[inline(always)]
    fn black<'o, R: RealRow>(
        &self,
        lane: usize,
        eight: &Eight,
        set: &ShockSet,
        gain: &mut Gain<R>,
        out: impl Iterator<Item = (&'o mut Row, &'o Row)>,
    ) {
        let [received, paid, log_moneyness, mean_density, side] = [
            &self.received,
            &self.paid,
            &self.log_moneyness,
            &self.mean_density,
            &eight.side,
        ]
        .map(|row| R::splat(row.0[lane]));
        let is_inverse = eight.inverse.0[lane] > 0.0;
        if is_inverse && set.to_zero {
            gain.poison = R::splat(f64::NAN);
        }
        let legs = if is_inverse {
            &set.inverse
        } else {
            &set.linear
        };
        let shocks = legs.iter().zip(&set.price).zip(&set.volatility);
        for (((legs, price), volatility), out) in shocks.zip(out) {
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
    }

    /// As `black`.
    #[inline(always)]
    fn bachelier<'o, R: RealRow>(
        &self,
        lane: usize,
        eight: &Eight,
        set: &ShockSet,
        gain: &mut Gain<R>,
        out: impl Iterator<Item = (&'o mut Row, &'o Row)>,
    ) {
        let moneyness = R::splat(self.received.0[lane]);
        let side = R::splat(eight.side.0[lane]);
        let shocks = set.price.iter().zip(&set.volatility);
        for ((price, volatility), out) in shocks.zip(out) {
            let moneyness = (moneyness + R::from_row(price)) * side;
            let total = gain.total_volatility(R::from_row(volatility));
            gain.write(bachelier::value(moneyness, total), out);
        }
    }
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
    fn new(bases: &Bases, lane: usize, eight: &Eight, poison: R) -> Self {
        Self {
            volatility: R::splat(eight.volatility.0[lane]),
            weight: R::splat(eight.volatility_weight.0[lane]),
            floor: R::splat(bases.floor.0[lane]),
            root_time: R::splat(bases.root_time.0[lane]),
            base: R::splat(bases.value.0[lane]),
            scale: R::splat(bases.scale.0[lane]),
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
}
