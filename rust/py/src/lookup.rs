use pyo3::prelude::*;
use xmfast_core::{Book, Place, Universe};

use crate::error::Result;
use crate::universe::with_id;

/// Number of an account of a book.
pub(crate) fn account_row(book: &Book, id: &Bound<'_, PyAny>) -> Result<usize> {
    with_id("book", id, |id| {
        Ok(book.account_row(id, || Place::frame("book"))? as usize)
    })
}

/// Row of an instrument.
pub(crate) fn instrument_row(universe: &Universe, id: &Bound<'_, PyAny>) -> Result<usize> {
    let place = || Place::frame("universe");
    with_id("universe", id, |id| {
        Ok(universe.instrument_row(id, place)? as usize)
    })
}

/// Row of an asset.
pub(crate) fn asset_row(universe: &Universe, id: &Bound<'_, PyAny>) -> Result<usize> {
    let place = || Place::frame("universe");
    with_id("universe", id, |id| {
        Ok(universe.asset_row(id, place)? as usize)
    })
}
