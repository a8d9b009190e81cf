//! Losses of options: full revaluation at shocked prices and volatilities.

use super::expiry::{lacks, time_left};
use super::rows::{InstrumentRows, Making, finite_loss, impossible, shocks_of};
use super::{RiskModel, ScenarioSet};
use crate::error::{Error, Place, Result};
use crate::kernel::math::{exp, exp_all, ln};
use crate::kernel::{Row, charge};
use crate::options::{
    Averaging, Gains, Greeks, OptionColumns, OptionModel, ShockSet, ShockedOption, YEAR_NS,
    nanoseconds, option_greeks, revalue,
};
use crate::pool::never;
use crate::table::Missing;
use crate::universe::{Instrument, Right, Universe};

/// Thirty days in years: where a volatility shock that depends on time to expiry is itself.
const SHOCK_TENOR_YEARS: f64 = 30.0 / 365.0;

/// The strike, as a part of the forward, of what is certain to be exercised because the average so far is above its
/// strike: far below any price, and far above where logarithms end.
const CERTAIN_STRIKE: f64 = 1e-30;

/// The settlement price of a coin-settled option while it is averaged; the option pays its value over that price.
#[derive(Clone, Copy, Debug)]
struct PaidPerAverage {
    /// What the part that has passed adds to the settlement price.
    fixed: f64,
    /// The part that is still open.
    open: f64,
    /// What the option is worth in the quote.
    value: f64,
}

/// How far the average has come by which an option's value is divided.
#[derive(Clone, Copy, Debug)]
struct Average {
    averaging: Averaging,
    average: f64,
    /// What a call receives whatever comes, in options on what is still open.
    certain: f64,
}

impl PaidPerAverage {
    fn of(of: &Average, option: &ShockedOption) -> Result<Self> {
        let options = std::slice::from_ref(option);
        let value = greeks(options, OptionModel::Black76, option.inverse)?[0].value;
        Ok(Self {
            fixed: of.averaging.passed * of.average,
            open: of.averaging.open(),
            value: option.scale * (value + of.certain),
        })
    }

    /// Turns gains in the quote into losses in coin.
    fn convert(&self, forward: f64, shocks: &[f64], loss_of_gain: &[Row], gains: &mut [Row]) {
        let now = self.value / (self.fixed + self.open * forward);
        let lanes = gains.iter_mut().flat_map(|row| &mut row.0);
        let weights = loss_of_gain.iter().flat_map(|row| row.0);
        for ((gain, weight), &shock) in lanes.zip(weights).zip(shocks) {
            let price = self.fixed + self.open * (forward * (1.0 + shock));
            // Adding 0 makes -0 and 0 the same.
            *gain = ((self.value + *gain) / price - now) * weight + 0.0;
        }
    }

    /// What a change of the value in the quote is in coin.
    fn delta_notional(&self, forward: f64, change: f64) -> f64 {
        let price = self.fixed + self.open * forward;
        (change - self.value * (self.open * forward / price)) / price
    }
}

/// What the scenarios of a set do to options.
#[derive(Clone, Debug)]
pub(super) struct OptionShocks {
    model: OptionModel,
    /// By number of the set's shocks; none if there are no options.
    sets: Vec<ShockSet>,
    /// What turns gains into losses: weights below 0, eight scenarios to a row.
    loss_of_gain: Vec<Row>,
}

impl OptionShocks {
    pub(super) fn new(universe: &Universe, set: &ScenarioSet) -> Result<Self> {
        let model = if set.absolute {
            OptionModel::Bachelier
        } else {
            OptionModel::Black76
        };
        let has_options = universe.specs().iter().any(Instrument::is_option);
        let shocks = if has_options { set.all_shocks() } else { &[] };
        let sets = shocks.iter();
        let sets = sets.map(|of| ShockSet::new(&of.price, &of.volatility, model));
        let loss_of_gain = |weights: &[f64]| {
            let weight = |lane: usize| weights.get(lane).map_or(0.0, |weight| -weight);
            Row(std::array::from_fn(weight))
        };
        Ok(Self {
            model,
            sets: sets.collect::<Result<_>>()?,
            loss_of_gain: set.weight.chunks(8).map(loss_of_gain).collect(),
        })
    }
}

/// Fills in the losses, their reach, and the delta charges, of the options that some instruments begin with.
pub(super) fn fill<H: Fn(usize) -> String>(
    making: &Making<'_, H>,
    rows: &mut [InstrumentRows<'_>],
) -> Result<()> {
    let Making {
        model,
        set,
        shocks,
        holder,
        ..
    } = *making;
    let universe = model.universe();
    let is_option = |rows: &InstrumentRows<'_>| universe.specs()[rows.instrument].is_option();
    let count = rows.partition_point(is_option);
    let rows = &mut rows[..count];
    let held: Vec<usize> = rows.iter().map(|rows| rows.instrument).collect();
    let mut options = Vec::with_capacity(count);
    // ln(discount factor), then that itself: all exponentials together.
    let mut discounts = Vec::with_capacity(count);
    let mut averages = Vec::new();
    for &instrument in &held {
        let Prepared {
            option,
            log_discount,
            average,
        } = prepare(making, instrument)?;
        averages.extend(average.map(|average| (options.len(), average)));
        options.push(option);
        discounts.push(log_discount);
    }
    exp_all(&mut discounts);
    for (option, discount) in options.iter_mut().zip(discounts) {
        option.scale *= discount;
    }
    let mut averaged = Vec::with_capacity(averages.len());
    for (at, average) in averages {
        let paid = PaidPerAverage::of(&average, &options[at]);
        averaged.push((at, paid.map_err(|error| named(error, model, &[held[at]]))?));
    }
    // What is converted is weighed after that.
    let ones = vec![Row([1.0; 8]); shocks.loss_of_gain.len()];
    let mut gains: Vec<Gains<'_>> = Vec::with_capacity(count);
    for rows in &mut *rows {
        *rows.own.charges = [0.0; 8];
        gains.push(Gains {
            rows: rows.own.lanes,
            weights: &shocks.loss_of_gain,
            largest: 0.0,
        });
    }
    for (at, _) in &averaged {
        gains[*at].weights = &ones;
    }
    let revalued = revalue(&options, &shocks.sets, set.volatility.floor, &mut gains);
    let largest: Vec<f64> = gains.into_iter().map(|gains| gains.largest).collect();
    if let Err(error) = revalued {
        // A loss that f64 cannot hold is told with its scenario.
        for rows in rows.iter_mut() {
            all_finite(making, rows)?;
        }
        return Err(named(error, model, &held));
    }
    for (rows, reach) in rows.iter_mut().zip(largest) {
        rows.reach = Some(reach);
    }
    for (at, per_average) in &averaged {
        let (rows, forward) = (&mut rows[*at], options[*at].forward);
        let prices = &shocks_of(model, set, held[*at], holder)?.price;
        per_average.convert(forward, prices, &shocks.loss_of_gain, rows.own.lanes);
        rows.reach = None;
        all_finite(making, rows)?;
    }
    let charged = |at: &usize| {
        let underlying = universe.specs()[held[*at]].underlying as usize;
        model.parameters.concentration[underlying].is_some()
    };
    // Linear and inverse options differ in what a delta is; each kind is one call for all of them.
    for inverse in [false, true] {
        let is_kind = |at: &usize| options[*at].inverse == inverse;
        let kind: Vec<usize> = (0..held.len()).filter(charged).filter(is_kind).collect();
        if kind.is_empty() {
            continue;
        }
        let instruments: Vec<usize> = kind.iter().map(|&at| held[at]).collect();
        let kind_options: Vec<ShockedOption> = kind.iter().map(|&at| options[at]).collect();
        let found = greeks(&kind_options, shocks.model, inverse);
        let found = found.map_err(|error| named(error, model, &instruments))?;
        for ((&at, option), greeks) in kind.iter().zip(&kind_options).zip(found) {
            // What a rise of the forward by all of itself would add at the present delta; the scale discounts.
            let mut change = option.scale * option.forward * greeks.delta;
            if let Ok(place) = averaged.binary_search_by_key(&at, |(of, _)| *of) {
                change = averaged[place].1.delta_notional(option.forward, change);
            }
            rows[at].own.charges[charge::DELTA] = change;
        }
    }
    Ok(())
}

/// # Errors
/// The first loss of an option that is not finite.
fn all_finite<H: Fn(usize) -> String>(
    making: &Making<'_, H>,
    rows: &mut InstrumentRows<'_>,
) -> Result<()> {
    let instrument = rows.instrument;
    let id = || {
        (making.model.universe().instruments())
            .get(instrument)
            .to_string()
    };
    for (scenario, &loss) in rows.own.losses().iter().enumerate() {
        finite_loss(loss, scenario, id, || (making.holder)(instrument))?;
    }
    Ok(())
}

/// Value and greeks of one unit of each option, undiscounted; all of them `inverse`, or none.
fn greeks(options: &[ShockedOption], of: OptionModel, inverse: bool) -> Result<Vec<Greeks<f64>>> {
    let column =
        |value: fn(&ShockedOption) -> f64| -> Vec<f64> { options.iter().map(value).collect() };
    let is_call: Vec<bool> = options.iter().map(|option| option.is_call).collect();
    let columns = OptionColumns {
        forward: &column(|option| option.forward),
        strike: &column(|option| option.strike),
        volatility: &column(|option| option.volatility),
        expiry_years: &column(|option| option.expiry_years),
        rate: &vec![0.0; options.len()],
        is_call: &is_call,
    };
    option_greeks(columns, of, inverse, &mut never)
}

/// An option as the scenarios see it.
struct Prepared {
    /// Its scale does not discount yet.
    option: ShockedOption,
    log_discount: f64,
    /// Where its value is divided by an average that has begun.
    average: Option<Average>,
}

/// While its settlement price is averaged, an option is one on what is still open.
fn prepare<H: Fn(usize) -> String>(making: &Making<'_, H>, instrument: usize) -> Result<Prepared> {
    let Making {
        model,
        market,
        set,
        holder,
        ..
    } = *making;
    let universe = model.universe();
    let spec = &universe.specs()[instrument];
    let id = || universe.instruments().get(instrument).to_string();
    let prices = &shocks_of(model, set, instrument, holder)?.price;
    let number = set.shock_number(spec.underlying as usize);
    if spec.inverse {
        if set.absolute {
            return Err(Error::Parameter {
                place: Place::frame("scenarios"),
                problem: format!(
                    "absolute shocks are for prices that may be negative, but {} pays in coin and divides by one",
                    id()
                ),
            });
        }
        if let Some(scenario) = prices.iter().position(|&shock| shock == -1.0) {
            return Err(impossible(set, scenario, &id(), 0.0));
        }
    }
    let missing = |what: &'static str| Error::MissingPrice {
        what,
        id: id(),
        account: holder(instrument),
    };
    let settlement = spec.settlement as usize;
    let price: f64 = market
        .index(settlement)
        .ok_or_else(|| Missing::IndexPrice(settlement).error(universe, holder(instrument)))?;
    let volatility = market.implied_volatility().floats()[instrument];
    if volatility.is_nan() {
        return Err(missing("implied volatility"));
    }
    let mut forward = market.forward().floats()[instrument];
    if forward.is_nan() {
        let slot = universe.underlying_slot(spec.underlying);
        forward = market
            .index(slot)
            .ok_or_else(|| Missing::IndexPrice(slot).error(universe, holder(instrument)))?;
    }
    let lacks = |column| lacks(model, instrument, column, holder);
    let strike = spec.strike.ok_or_else(|| lacks("strike"))?;
    let is_call = spec.right.ok_or_else(|| lacks("right"))? == Right::Call;
    let time_left = time_left(model, market, instrument, holder)?;
    let expiry_years = nanoseconds(time_left) / YEAR_NS;
    // Margined daily like a future, it is worth what is paid at expiry.
    let rate = if spec.futures_style {
        0.0
    } else {
        market.discount_rate().floats()[settlement]
    };
    let averaging = Averaging::new(time_left, spec.settlement_average);
    let is_averaged = averaging.passed > 0.0;
    let average = market.settlement_average().floats()[instrument];
    if is_averaged && average.is_nan() {
        return Err(missing("settlement average so far"));
    }
    let mut strike = averaging.strike(strike, average);
    let mut certain = 0.0;
    if strike <= 0.0 && !set.absolute {
        if is_call {
            certain = -strike;
        }
        strike = CERTAIN_STRIKE * forward;
    }
    let scaling = set
        .volatility
        .time_scaling
        .map_or(1.0, |(power, least, most)| {
            exp(power * ln(SHOCK_TENOR_YEARS / expiry_years)).clamp(least, most)
        });
    let option = ShockedOption {
        forward,
        strike,
        volatility,
        expiry_years: averaging.variance_years,
        is_call,
        inverse: spec.inverse && !is_averaged,
        scale: spec.contract_multiplier.float() * price * averaging.open(),
        volatility_weight: if set.volatility.absolute {
            scaling
        } else {
            scaling * volatility
        },
        shocks: number.expect("there are shocks") as u32,
    };
    let average = (spec.inverse && is_averaged).then_some(Average {
        averaging,
        average,
        certain,
    });
    Ok(Prepared {
        option,
        log_discount: -rate * expiry_years,
        average,
    })
}

/// An error about a row of options, told by the instrument.
fn named(error: Error, model: &RiskModel, held: &[usize]) -> Error {
    let name = |mut place: Place| {
        if let Some(row) = place.row.take() {
            let id = model.universe().instruments().get(held[row]);
            place = place.id(id);
        }
        place
    };
    match error {
        Error::Value { place, problem } => Error::Value {
            place: name(place),
            problem,
        },
        other => other,
    }
}
