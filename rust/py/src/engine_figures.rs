//! What an engine holds and has counted, as Python reads it.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::universe::id_object;

/// Id of an asset, units by pool, decimals.
pub(crate) type AssetTotals<'py> = (Bound<'py, PyAny>, Vec<i128>, u32);

/// Name of a kind of event, how many, nanoseconds of all, and counts by power of two of nanoseconds.
pub(crate) type EventCounts = (&'static str, u64, u64, Vec<u64>);

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
        let total = latency.total.as_nanos() as u64;
        (*name, latency.count, total, latency.buckets.to_vec())
    });
    events.collect()
}
