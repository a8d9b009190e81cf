use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use xmfast_core::{Error as CoreError, Place};

use crate::error::{Error, Result};
use crate::universe::{Universe, with_id};

/// See `xmfast.Market`.
#[pyclass(frozen, module = "xmfast._core")]
pub(crate) struct Market(pub(crate) xmfast_core::Market);

#[pymethods]
impl Market {
    #[new]
    fn new(
        universe: &Bound<'_, Universe>,
        index_price: Option<&Bound<'_, PyAny>>,
        mark_price: Option<&Bound<'_, PyAny>>,
        time: Option<i64>,
    ) -> Result<Self> {
        let mut market = xmfast_core::Market::new(universe.get().0.clone(), time);
        set_prices(&mut market, index_price, mark_price)?;
        Ok(Self(market))
    }

    fn with_prices(
        &self,
        index_price: Option<&Bound<'_, PyAny>>,
        mark_price: Option<&Bound<'_, PyAny>>,
        time: Option<i64>,
    ) -> Result<Self> {
        let mut market = self.0.clone();
        set_prices(&mut market, index_price, mark_price)?;
        market.set_time(time.or(market.time()));
        Ok(Self(market))
    }

    fn index_price<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_slice(py, self.0.index_price())
    }

    fn mark_price<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_slice(py, self.0.mark_price())
    }

    fn time(&self) -> Option<i64> {
        self.0.time()
    }
}

fn set_prices(
    market: &mut xmfast_core::Market,
    index_price: Option<&Bound<'_, PyAny>>,
    mark_price: Option<&Bound<'_, PyAny>>,
) -> Result<()> {
    let universe = market.universe().clone();
    if let Some(prices) = index_price {
        // Either the assets alone, or the underlyings that are not assets too.
        let lengths = [universe.assets().len(), universe.index_count()];
        each_price("index_price", prices, &lengths, |id, slot, price| {
            let slot = match id {
                Some(id) => with_id("index_price", id, |id| {
                    Ok(universe.index_slot(id, || Place::frame("index_price"))?)
                })?,
                None => slot,
            };
            Ok(market.set_index_price(slot, price)?)
        })?;
    }
    if let Some(prices) = mark_price {
        each_price(
            "mark_price",
            prices,
            &[universe.instruments().len()],
            |id, slot, price| {
                let row = match id {
                    Some(id) => with_id("mark_price", id, |id| {
                        Ok(universe.instrument_row(id, || Place::frame("mark_price"))? as usize)
                    })?,
                    None => slot,
                };
                Ok(market.set_mark_price(row, price)?)
            },
        )?;
    }
    Ok(())
}

/// Calls `set(id, slot, price)` for each entry of a dict (with its id) or array (with its slot) made by `_frames.prices`.
fn each_price(
    name: &'static str,
    prices: &Bound<'_, PyAny>,
    lengths: &[usize],
    mut set: impl FnMut(Option<&Bound<'_, PyAny>>, usize, f64) -> Result<()>,
) -> Result<()> {
    if let Ok(prices) = prices.cast::<PyDict>() {
        for (id, price) in prices {
            set(Some(&id), 0, price.extract()?)?;
        }
        return Ok(());
    }
    let prices = prices.extract::<PyReadonlyArray1<'_, f64>>()?;
    let len = prices.as_array().len();
    if !lengths.contains(&len) {
        let problem = format!(
            "{len} prices, but the universe has {}",
            lengths[lengths.len() - 1]
        );
        return Err(Error::Core(CoreError::Column {
            place: Place::frame(name),
            problem,
        }));
    }
    prices
        .as_array()
        .iter()
        .enumerate()
        .try_for_each(|(slot, &price)| set(None, slot, price))
}
