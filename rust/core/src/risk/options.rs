//! Losses of options: full revaluation at shocked prices and volatilities.

use super::expiry::{lacks, time_left};
use super::rows::{
    InstrumentRows, Making, PartRows, finite_loss, impossible, shocks_of, without_shocks,
};
use super::{RiskModel, ScenarioSet};
use crate::error::{Error, Place, Result};
use crate::kernel::math::{exp, ln};
use crate::kernel::{Row, charge};
use crate::options::{
    Averaging, Gains, Greeks, OptionColumns, OptionModel, ShockSet, ShockedOption, ShockedOptions,
    YEAR_NS, option_greeks, revalue,
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
            value: option.discounted_scale() * (value + of.certain),
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

/// Options that are valued together; its memory is used again.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// The instrument of the first row of the part.
    first: usize,
    /// By option, its row in the part.
    at: Vec<usize>,
    options: ShockedOptions,
    /// The largest loss of each by size.
    largest: Vec<f64>,
}

impl Chain {
    fn clear(&mut self, first: usize) {
        self.first = first;
        self.at.clear();
        self.options.clear();
    }

    #[inline(always)]
    fn push(&mut self, instrument: usize, option: ShockedOption) {
        self.at.push(instrument - self.first);
        self.options.push(option);
    }

    fn instruments(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.at.iter().map(|at| self.first + at)
    }

    /// Fills in losses, and which is the largest of each option.
    fn losses<H: Fn(usize) -> String + Sync>(
        &mut self,
        making: &Making<'_, H>,
        rows: &mut PartRows<'_>,
        weights: &[Row],
    ) -> Result<()> {
        self.largest.clear();
        self.largest.resize(self.at.len(), 0.0);
        let gains = Gains {
            rows: &mut rows.own,
            at: &self.at,
            weights,
            largest: &mut self.largest,
        };
        let floor = making.set.volatility.floor;
        let Err(error) = revalue(&self.options, &making.shocks.sets, floor, gains) else {
            return Ok(());
        };
        // An input is told with its column, a loss that f64 cannot hold with its scenario.
        let is_input = matches!(&error, Error::Value { place, .. } if place.column.is_some());
        if !is_input {
            for instrument in self.instruments() {
                all_finite(making, &mut rows.of(instrument))?;
            }
        }
        let instruments: Vec<usize> = self.instruments().collect();
        Err(named(error, making.model, &instruments))
    }

    /// What a rise of the forward by all of itself would add at the present delta, of the options on underlyings that are
    /// charged for it, with their numbers in the chain.
    fn changes<H>(&self, making: &Making<'_, H>) -> Result<Vec<(usize, f64)>> {
        let Making { model, shocks, .. } = *making;
        let concentration = &model.parameters.concentration;
        let mut changes = Vec::new();
        if !making.made_for.is_scanned || concentration.iter().all(Option::is_none) {
            return Ok(changes);
        }
        let specs = model.universe().specs();
        // Linear and inverse options differ in what a delta is; each kind is one call for all of them.
        for inverse in [false, true] {
            let is_charged = |(at, option): &(usize, ShockedOption)| {
                let underlying = specs[self.first + self.at[*at]].underlying as usize;
                option.inverse == inverse && concentration[underlying].is_some()
            };
            let charged = self.options.iter().enumerate().filter(is_charged);
            let (places, options): (Vec<usize>, Vec<ShockedOption>) = charged.unzip();
            if options.is_empty() {
                continue;
            }
            let found = greeks(&options, shocks.model, inverse).map_err(|error| {
                let of = |&at: &usize| self.first + self.at[at];
                let instruments: Vec<usize> = places.iter().map(of).collect();
                named(error, model, &instruments)
            })?;
            for ((at, option), greeks) in places.into_iter().zip(&options).zip(found) {
                let change = option.discounted_scale() * option.forward * greeks.delta;
                changes.push((at, change));
            }
        }
        Ok(changes)
    }
}

/// Fills in the rows of some options.
pub(super) fn make<H: Fn(usize) -> String + Sync>(
    making: &Making<'_, H>,
    instruments: &[usize],
    rows: &mut PartRows<'_>,
    chain: &mut Chain,
) -> Result<()> {
    chain.clear(rows.first);
    let mut averages = Vec::new();
    for &instrument in instruments {
        match prepare(making, instrument)? {
            (option, None) => chain.push(instrument, option),
            (option, Some(average)) => averages.push((instrument, option, average)),
        }
    }
    if making.made_for.is_scanned {
        for &instrument in instruments {
            *rows.of(instrument).own.charges = [0.0; 8];
        }
    }
    chain.losses(making, rows, &making.shocks.loss_of_gain)?;
    for (option, change) in chain.changes(making)? {
        let instrument = chain.first + chain.at[option];
        rows.of(instrument).own.charges[charge::DELTA] = change;
    }
    if !making.is_losses_alone() {
        for (instrument, &reach) in chain.instruments().zip(&chain.largest) {
            making.complete(&mut rows.of(instrument), Some(reach))?;
        }
    }
    if averages.is_empty() {
        return Ok(());
    }
    make_averaged(making, &averages, rows, chain)
}

/// Fills in the rows of options that pay per an average which has begun.
fn make_averaged<H: Fn(usize) -> String + Sync>(
    making: &Making<'_, H>,
    averages: &[(usize, ShockedOption, Average)],
    rows: &mut PartRows<'_>,
    chain: &mut Chain,
) -> Result<()> {
    let Making { model, set, .. } = *making;
    chain.clear(rows.first);
    for (instrument, option, _) in averages {
        chain.push(*instrument, *option);
    }
    let loss_of_gain = &making.shocks.loss_of_gain;
    // What is converted is weighed after that.
    chain.losses(making, rows, &vec![Row([1.0; 8]); loss_of_gain.len()])?;
    let mut changes = chain.changes(making)?.into_iter().peekable();
    for (at, (instrument, option, average)) in averages.iter().enumerate() {
        let paid = PaidPerAverage::of(average, option);
        let paid = paid.map_err(|error| named(error, model, &[*instrument]))?;
        let mut rows = rows.of(*instrument);
        let prices = &shocks_of(model, set, *instrument, making.holder)?.price;
        paid.convert(option.forward, prices, loss_of_gain, rows.own.lanes);
        all_finite(making, &mut rows)?;
        if let Some((_, change)) = changes.next_if(|(of, _)| *of == at) {
            rows.own.charges[charge::DELTA] = paid.delta_notional(option.forward, change);
        }
        making.complete(&mut rows, None)?;
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

/// An option as the scenarios see it, and where its value is divided by an average that has begun, that.
///
/// While its settlement price is averaged, an option is one on what is still open.
fn prepare<H: Fn(usize) -> String>(
    making: &Making<'_, H>,
    instrument: usize,
) -> Result<(ShockedOption, Option<Average>)> {
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
    let shocks = set.shock_number(spec.underlying as usize);
    let shocks = shocks.ok_or_else(|| without_shocks(model, instrument, holder))?;
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
        let prices = &set.all_shocks()[shocks].price;
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
    let expiry_years = time_left as f64 / YEAR_NS;
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
        log_discount: -rate * expiry_years,
        volatility_weight: if set.volatility.absolute {
            scaling
        } else {
            scaling * volatility
        },
        shocks: shocks as u32,
    };
    let average = (spec.inverse && is_averaged).then_some(Average {
        averaging,
        average,
        certain,
    });
    Ok((option, average))
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
