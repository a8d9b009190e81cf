//! Time that is left to an instrument, and what of its settlement price is still open.

use super::RiskModel;
use super::rows::held_by;
use crate::error::{Error, Place, Result};
use crate::market::Market;
use crate::options::Averaging;

/// The error for an option without a column of the instruments frame that linear models do not read.
pub(super) fn lacks(
    model: &RiskModel,
    instrument: usize,
    column: &'static str,
    holder: &impl Fn(usize) -> String,
) -> Error {
    let account = holder(instrument);
    let held = if account.is_empty() {
        String::new()
    } else {
        format!(", which account {account} holds")
    };
    Error::Value {
        place: Place::column("instruments", column)
            .id(model.universe().instruments().get(instrument)),
        problem: format!("none is given, and without it no scenario can revalue the option{held}"),
    }
}

/// Nanoseconds from the market's time to expiry, above 0.
#[inline]
pub(super) fn time_left(
    model: &RiskModel,
    market: &Market,
    instrument: usize,
    holder: &impl Fn(usize) -> String,
) -> Result<u64> {
    let universe = model.universe();
    let id = || universe.instruments().get(instrument);
    let time = market.time().ok_or_else(|| Error::MissingPrice {
        what: "time to count the expiry from, for the sake",
        id: id().to_string(),
        account: holder(instrument),
    })?;
    let expiry = universe.specs()[instrument].expiry;
    let expiry = expiry.ok_or_else(|| lacks(model, instrument, "expiry", holder))?;
    if expiry <= time {
        return Err(Error::Value {
            place: Place::frame("market").id(id()),
            problem: format!(
                "it has expired at this time{}",
                held_by(&holder(instrument))
            ),
        });
    }
    Ok(expiry.abs_diff(time))
}

/// What of a future's settlement price is still open: 1, unless the window of an average has begun.
pub(super) fn open_part(
    model: &RiskModel,
    market: &Market,
    instrument: usize,
    holder: &impl Fn(usize) -> String,
) -> Result<f64> {
    let window = model.universe().specs()[instrument].settlement_average;
    if window == 0.0 {
        return Ok(1.0);
    }
    let left = time_left(model, market, instrument, holder)?;
    Ok(Averaging::new(left, window).open())
}
