//! Losses of options: full revaluation at shocked prices and volatilities.

use super::losses::{held_by, impossible, not_finite, shocks_of};
use super::{RiskModel, ScenarioSet};
use crate::error::{Error, Place, Result};
use crate::kernel::math::{exp, ln};
use crate::kernel::{LossTable, Row, charge};
use crate::market::Market;
use crate::options::{
    OptionColumns, OptionModel, ShockSet, ShockedOption, YEAR_NS, option_greeks, revalue,
};
use crate::pool::never;
use crate::risk_layout::loss_row;
use crate::table::Missing;
use crate::universe::Right;

/// Thirty days in years: where a volatility shock that depends on time to expiry is itself.
const SHOCK_TENOR_YEARS: f64 = 30.0 / 365.0;

/// Fills in the losses, and the delta charges, of all options among `instruments`.
pub(super) fn fill(
    model: &RiskModel,
    market: &Market,
    set: &ScenarioSet,
    instruments: &[usize],
    losses: &mut LossTable,
    holder: &impl Fn(usize) -> String,
) -> Result<()> {
    let universe = model.universe();
    let is_option = |instrument: &&usize| universe.specs()[**instrument].is_option();
    let held: Vec<usize> = instruments.iter().filter(is_option).copied().collect();
    if held.is_empty() {
        return Ok(());
    }
    let of = if set.absolute {
        OptionModel::Bachelier
    } else {
        OptionModel::Black76
    };
    let (mut shock_sets, mut of_underlying) = (Vec::new(), Vec::new());
    let mut options = Vec::with_capacity(held.len());
    for &instrument in &held {
        let shocks = shocks_of(model, set, instrument, holder)?;
        let spec = &universe.specs()[instrument];
        let id = universe.instruments().get(instrument).to_string();
        if spec.inverse {
            if set.absolute {
                return Err(Error::Parameter {
                    place: Place::frame("scenarios"),
                    problem: format!(
                        "absolute shocks are for prices that may be negative, but {id} pays in coin and divides by one"
                    ),
                });
            }
            if let Some(scenario) = shocks.price.iter().position(|&shock| shock == -1.0) {
                return Err(impossible(set, scenario, &id, 0.0));
            }
        }
        let underlying = spec.underlying;
        let found = of_underlying.iter().position(|&other| other == underlying);
        let number = match found {
            Some(number) => number,
            None => {
                shock_sets.push(ShockSet::new(&shocks.price, &shocks.volatility, of)?);
                of_underlying.push(underlying);
                shock_sets.len() - 1
            }
        };
        options.push(option(
            model,
            market,
            set,
            instrument,
            number as u32,
            holder,
        )?);
    }
    let lanes = set.len().div_ceil(8);
    let mut gains = vec![Row::default(); options.len() * lanes];
    let named = |error: Error| named(error, model, &held);
    revalue(
        &options,
        &shock_sets,
        set.volatility.floor,
        &mut gains,
        &mut never,
    )
    .map_err(named)?;
    for (&instrument, gains) in held.iter().zip(gains.chunks(lanes)) {
        let gains = gains.iter().flat_map(|row| row.0);
        let to = losses.losses_mut(loss_row(instrument));
        for (scenario, (loss, gain)) in to.iter_mut().zip(gains).enumerate() {
            *loss = -gain * set.weight[scenario] + 0.0;
            if !loss.is_finite() {
                let id = universe.instruments().get(instrument).to_string();
                return Err(not_finite(&holder(instrument), &id, scenario, *loss));
            }
        }
    }
    let charged = |instrument: usize| {
        let underlying = universe.specs()[instrument].underlying as usize;
        model.parameters.concentration[underlying].is_some()
    };
    for (&instrument, option) in held.iter().zip(&options) {
        if charged(instrument) {
            losses.charges_mut(loss_row(instrument))[charge::DELTA] =
                delta_notional(option, of).map_err(named)?;
        }
    }
    Ok(())
}

/// What a rise of the forward by all of itself would add at the present delta; the scale discounts.
fn delta_notional(option: &ShockedOption, of: OptionModel) -> Result<f64> {
    let columns = OptionColumns {
        forward: &[option.forward],
        strike: &[option.strike],
        volatility: &[option.volatility],
        expiry_years: &[option.expiry_years],
        rate: &[0.0],
        is_call: &[option.is_call],
    };
    let greeks = option_greeks(columns, of, option.inverse, &mut never)?;
    Ok(option.scale * option.forward * greeks[0].delta)
}

/// One option as the scenarios see it.
fn option(
    model: &RiskModel,
    market: &Market,
    set: &ScenarioSet,
    instrument: usize,
    shocks: u32,
    holder: &impl Fn(usize) -> String,
) -> Result<ShockedOption> {
    let universe = model.universe();
    let spec = &universe.specs()[instrument];
    let id = universe.instruments().get(instrument);
    let missing = |what: &'static str| Error::MissingPrice {
        what,
        id: id.to_string(),
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
    let time = market
        .time()
        .ok_or_else(|| missing("time to count the expiry from, for the sake"))?;
    let expiry = spec.expiry.expect("an option has one");
    if expiry <= time {
        return Err(Error::Value {
            place: Place::frame("market").id(id),
            problem: format!(
                "it has expired at this time{}",
                held_by(&holder(instrument))
            ),
        });
    }
    let expiry_years = (i128::from(expiry) - i128::from(time)) as f64 / YEAR_NS;
    let rate = market.discount_rate().floats()[settlement];
    let scaling = set
        .volatility
        .time_scaling
        .map_or(1.0, |(power, least, most)| {
            exp(power * ln(SHOCK_TENOR_YEARS / expiry_years)).clamp(least, most)
        });
    Ok(ShockedOption {
        forward,
        strike: spec.strike.expect("an option has one"),
        volatility,
        expiry_years,
        is_call: spec.right == Some(Right::Call),
        inverse: spec.inverse,
        scale: spec.contract_multiplier.float() * exp(-rate * expiry_years) * price,
        volatility_weight: if set.volatility.absolute {
            scaling
        } else {
            scaling * volatility
        },
        shocks,
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
