//! Prices from Python: a dict by id, or a column in the order of the universe.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use xmfast_core::Place;
use xmfast_core::exact::Given;

use crate::cell::{number, shown};
use crate::error::Result;
use crate::frame::{column_source, fault};
use crate::numbers::{Nulls, read_numbers};

/// Calls `set(id, slot, price)` for each entry of a dict (with its id) or column (with its slot) made by
/// `_frames.read_prices`.
pub(crate) fn each_price(
    name: &'static str,
    prices: &Bound<'_, PyAny>,
    lengths: &[usize],
    mut set: impl FnMut(Option<&Bound<'_, PyAny>>, usize, Given) -> Result<()>,
) -> Result<()> {
    let place = Place::frame(name);
    if let Ok(prices) = prices.cast::<PyDict>() {
        for (id, price) in prices {
            let price = number(&price, || place.clone().id(shown(&id)))?;
            set(Some(&id), 0, price)?;
        }
        return Ok(());
    }
    let source = column_source(prices.clone())?;
    let len = source.len()?;
    if !lengths.contains(&len) {
        let expected = lengths[lengths.len() - 1];
        let problem = format!("{len} prices, but the universe has {expected}");
        return Err(fault(&place, None, problem));
    }
    let column = read_numbers(&source, place, Nulls::Refused)?;
    (0..len).try_for_each(|slot| set(None, slot, column.get(slot).to_given()))
}
