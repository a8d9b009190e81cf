//! Assets and instruments that come while an engine runs, as Python says them.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use xmfast_core::{Extension, Limits, MarginModel, Place};

use crate::error::Result;
use crate::events::{Object, check_decimals, contract_limits};
use crate::market::Market;

/// What is said of new assets and instruments; lists by new asset, in order.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Said<'py> {
    decimals: Vec<u32>,
    borrowable: Vec<bool>,
    position_limit: Bound<'py, PyDict>,
    open_interest_limit: Bound<'py, PyDict>,
}

pub(crate) fn read_extension(
    engine: &xmfast_core::Engine,
    model: &Arc<MarginModel>,
    market: Option<&Bound<'_, Market>>,
    said: Object<'_, '_>,
) -> Result<Extension> {
    let said: Said<'_> = said.extract()?;
    check_decimals(&said.decimals)?;
    let universe = model.universe();
    let mut limits = Limits::none(universe);
    for (name, said, limits) in [
        ("position_limit", &said.position_limit, &mut limits.position),
        (
            "open_interest_limit",
            &said.open_interest_limit,
            &mut limits.open_interest,
        ),
    ] {
        contract_limits(name, said, universe, limits)?;
        let new = limits.split_off(engine.universe().specs().len().min(limits.len()));
        if let Some(row) = limits.iter().position(Option::is_some) {
            return Err(xmfast_core::Error::Parameter {
                place: Place::frame(name).id(universe.instruments().get(row)),
                problem: "the instrument is not new; its limits stay as they are".to_owned(),
            }
            .into());
        }
        *limits = new;
    }
    limits.borrowable = said.borrowable;
    let market = market.map_or_else(
        || xmfast_core::Market::new(Arc::clone(universe), None),
        |market| market.get().0.clone(),
    );
    Ok(Extension {
        model: Arc::clone(model),
        market,
        decimals: said.decimals,
        limits,
    })
}
