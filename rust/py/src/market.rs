use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use xmfast_core::Place;
use xmfast_core::exact::Given;

use crate::error::Result;
use crate::prices::each_price;
use crate::universe::{Universe, with_id};

/// See `xmfast.Market`.
#[pyclass(frozen, module = "xmfast._core")]
pub(crate) struct Market(pub(crate) xmfast_core::Market);

#[pymethods]
impl Market {
    /// A market with what `figures` says: dicts or arrays by the name of the argument of `xmfast.Market`.
    #[new]
    fn new(
        universe: &Bound<'_, Universe>,
        figures: &Bound<'_, PyDict>,
        time: Option<i64>,
    ) -> Result<Self> {
        let mut market = xmfast_core::Market::new(universe.get().0.clone(), time);
        set_figures(&mut market, figures)?;
        Ok(Self(market))
    }

    fn with_figures(&self, figures: &Bound<'_, PyDict>, time: Option<i64>) -> Result<Self> {
        let mut market = self.0.clone();
        set_figures(&mut market, figures)?;
        market.set_time(time.or(market.time()));
        Ok(Self(market))
    }

    fn index_price<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_slice(py, self.0.index_price().floats())
    }

    fn mark_price<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_slice(py, self.0.mark_price().floats())
    }

    fn deposit_index<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_slice(py, self.0.deposit_index().floats())
    }

    fn borrow_index<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_slice(py, self.0.borrow_index().floats())
    }

    fn cumulative_funding<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_slice(py, self.0.cumulative_funding().floats())
    }

    fn implied_volatility<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_slice(py, self.0.implied_volatility().floats())
    }

    fn forward<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_slice(py, self.0.forward().floats())
    }

    fn discount_rate<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_slice(py, self.0.discount_rate().floats())
    }

    fn settlement_average<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_slice(py, self.0.settlement_average().floats())
    }

    fn time(&self) -> Option<i64> {
        self.0.time()
    }
}

/// What a figure of the market belongs to.
#[derive(Clone, Copy)]
enum Owner {
    /// Assets, then underlyings that are not assets.
    Index,
    Asset,
    Instrument,
}

/// How a figure is set.
type Setter = fn(&mut xmfast_core::Market, usize, Given) -> xmfast_core::Result<()>;

const FIGURES: [(&str, Owner, Setter); 9] = [
    (
        "index_price",
        Owner::Index,
        xmfast_core::Market::set_index_price,
    ),
    (
        "mark_price",
        Owner::Instrument,
        xmfast_core::Market::set_mark_price,
    ),
    (
        "deposit_index",
        Owner::Asset,
        xmfast_core::Market::set_deposit_index,
    ),
    (
        "borrow_index",
        Owner::Asset,
        xmfast_core::Market::set_borrow_index,
    ),
    (
        "cumulative_funding",
        Owner::Instrument,
        xmfast_core::Market::set_cumulative_funding,
    ),
    (
        "implied_volatility",
        Owner::Instrument,
        xmfast_core::Market::set_implied_volatility,
    ),
    (
        "forward",
        Owner::Instrument,
        xmfast_core::Market::set_forward,
    ),
    (
        "discount_rate",
        Owner::Asset,
        xmfast_core::Market::set_discount_rate,
    ),
    (
        "settlement_average",
        Owner::Instrument,
        xmfast_core::Market::set_settlement_average,
    ),
];

fn set_figures(market: &mut xmfast_core::Market, figures: &Bound<'_, PyDict>) -> Result<()> {
    let universe = market.universe().clone();
    for (name, owner, set) in FIGURES {
        let Some(prices) = figures.get_item(name)? else {
            continue;
        };
        let assets = universe.assets().len();
        let lengths = match owner {
            // Either the assets alone, or the underlyings that are not assets too.
            Owner::Index => [assets, universe.index_count()],
            Owner::Asset => [assets, assets],
            Owner::Instrument => [universe.specs().len(), universe.specs().len()],
        };
        each_price(name, &prices, &lengths, |id, slot, price| {
            // An array has a place for every instrument, but only some have these.
            let is_sparse = matches!(
                name,
                "implied_volatility" | "forward" | "settlement_average"
            );
            if is_sparse && id.is_none() && price.float().is_nan() {
                return Ok(());
            }
            let place = || Place::frame(name);
            let slot = match id {
                None => slot,
                Some(id) => with_id(name, id, |id| {
                    Ok(match owner {
                        Owner::Index => universe.index_slot(id, place)?,
                        Owner::Asset => universe.asset_row(id, place)? as usize,
                        Owner::Instrument => universe.instrument_row(id, place)? as usize,
                    })
                })?,
            };
            Ok(set(market, slot, price)?)
        })?;
    }
    Ok(())
}
