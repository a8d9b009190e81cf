//! What an engine holds and has counted, as Python reads it.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat};
use xmfast_core::{Applied, LimitPrice, OpenOrder, QUANTITY_DECIMALS};

use crate::book::id_array;
use crate::cell::decimal_type;
use crate::universe::id_object;

/// Number, instrument, quantity, price, reduce_only.
pub(crate) type ShownOrder<'py> = (u64, Bound<'py, PyAny>, f64, Bound<'py, PyAny>, bool);

/// Id of an asset, units by pool, decimals.
pub(crate) type AssetTotals<'py> = (Bound<'py, PyAny>, Vec<i128>, u32);

/// Name of a kind of event, how many, nanoseconds of all, those within which 0.5, 0.99, 0.999 and all of them were done,
/// and counts by power of two of nanoseconds.
pub(crate) type EventCounts = (&'static str, u64, u64, [u64; 4], Vec<u64>);

/// Ids of accounts, by number.
pub(crate) fn ids_of<'py>(
    py: Python<'py>,
    engine: &xmfast_core::Engine,
    accounts: Vec<u32>,
) -> PyResult<Bound<'py, PyAny>> {
    let accounts = accounts.into_iter().map(|account| account as usize);
    id_array(py, engine.accounts(), accounts)
}

/// Ids, and the accounts that an event made liquidatable.
pub(crate) fn fallen(
    engine: &xmfast_core::Engine,
    applied: &Applied,
) -> (Arc<xmfast_core::Ids>, Vec<usize>) {
    let accounts = applied.fallen.iter();
    let accounts = accounts.map(|&account| account as usize).collect();
    (engine.accounts().clone(), accounts)
}

pub(crate) fn shown_orders<'py>(
    py: Python<'py>,
    engine: &xmfast_core::Engine,
    account: u32,
) -> PyResult<Vec<ShownOrder<'py>>> {
    let names = engine.universe().instruments();
    let shown = |order: OpenOrder| {
        let quantity = xmfast_core::float_of(order.quantity, QUANTITY_DECIMALS);
        let id = id_object(py, names.get(order.instrument as usize))?;
        let price = shown_price(py, order.price)?;
        Ok((order.id, id, quantity, price, order.reduce_only))
    };
    engine.open_orders(account).into_iter().map(shown).collect()
}

/// A price as it was given: a `Decimal` where no float is that.
fn shown_price(py: Python<'_>, price: LimitPrice) -> PyResult<Bound<'_, PyAny>> {
    match price.beyond_float() {
        None => Ok(PyFloat::new(py, price.float()).into_any()),
        Some(_) => decimal_type(py)?.call1((price.to_string(),)),
    }
}

pub(crate) fn totals<'py>(
    py: Python<'py>,
    engine: &xmfast_core::Engine,
) -> PyResult<Vec<AssetTotals<'py>>> {
    let assets = engine.universe().assets();
    let totals = engine.totals().iter().enumerate().map(|(row, totals)| {
        let id = id_object(py, assets.get(row))?;
        Ok((id, totals.to_vec(), engine.decimals(row as u32)))
    });
    totals.collect()
}

/// By asset.
pub(crate) fn residue<'py>(
    py: Python<'py>,
    engine: &xmfast_core::Engine,
) -> PyResult<Bound<'py, PyDict>> {
    let residue = PyDict::new(py);
    for (asset, taken) in engine.universe().assets().iter().zip(engine.residue()) {
        residue.set_item(id_object(py, asset)?, taken)?;
    }
    Ok(residue)
}

pub(crate) fn event_counts(engine: &xmfast_core::Engine) -> Vec<EventCounts> {
    let events = engine.metrics().events.iter().map(|(name, latency)| {
        let nanos = |time: Duration| time.as_nanos() as u64;
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|part| nanos(latency.percentile(part)));
        let within = [p50, p99, p999, nanos(latency.max)];
        let buckets = latency.buckets.to_vec();
        (*name, latency.count, nanos(latency.total), within, buckets)
    });
    events.collect()
}
