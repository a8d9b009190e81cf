//! Prices at one moment.

use std::sync::Arc;

use crate::error::{Error, Place, Result, finite};
use crate::universe::Universe;

/// Index prices of assets and underlyings and mark prices of instruments at one moment.
///
/// A price that is not given is NaN inside; whatever is held must have one, or evaluation says which is missing.
#[derive(Clone, Debug)]
pub struct Market {
    universe: Arc<Universe>,
    index_price: Vec<f64>,
    mark_price: Vec<f64>,
    time: Option<i64>,
}

impl Market {
    /// A market where nothing but the numeraire has a price yet.
    #[must_use]
    pub fn new(universe: Arc<Universe>, time: Option<i64>) -> Self {
        let mut index_price = vec![f64::NAN; universe.index_count()];
        index_price[universe.numeraire()] = 1.0;
        let mark_price = vec![f64::NAN; universe.specs().len()];
        Self {
            universe,
            index_price,
            mark_price,
            time,
        }
    }

    /// Sets the index price of a slot (see [`Universe::index_slot`]), in the numeraire, at least 0.
    ///
    /// # Errors
    /// A price that is not finite, negative, or not 1 for the numeraire.
    pub fn set_index_price(&mut self, slot: usize, price: f64) -> Result<()> {
        let place = || Place::frame("index_price").id(self.universe.index_name(slot));
        finite(price, place)?;
        if price < 0.0 {
            return Err(Error::Value {
                place: place(),
                problem: format!("{price} is negative"),
            });
        }
        #[expect(
            clippy::float_cmp,
            reason = "the numeraire is worth exactly one of itself"
        )]
        if slot == self.universe.numeraire() && price != 1.0 {
            let problem = format!("the numeraire is worth 1 of itself, not {price}");
            return Err(Error::Value {
                place: place(),
                problem,
            });
        }
        self.index_price[slot] = price;
        Ok(())
    }

    /// Sets the mark price of an instrument, in its quote.
    ///
    /// # Errors
    /// A price that is not finite or that the instrument cannot have.
    pub fn set_mark_price(&mut self, instrument: usize, price: f64) -> Result<()> {
        let place = || Place::frame("mark_price").id(self.universe.instruments().get(instrument));
        finite(price, place)?;
        if let Some(expected) = self.universe.specs()[instrument].price_problem(price) {
            return Err(Error::Value {
                place: place(),
                problem: format!("{price}: {expected}"),
            });
        }
        self.mark_price[instrument] = price;
        Ok(())
    }

    /// Sets the time, nanoseconds since 1970 UTC.
    pub fn set_time(&mut self, time: Option<i64>) {
        self.time = time;
    }

    /// The universe that the prices belong to.
    #[must_use]
    pub fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    /// Index prices by slot, NaN where there is none.
    #[must_use]
    pub fn index_price(&self) -> &[f64] {
        &self.index_price
    }

    /// Mark prices by instrument, NaN where there is none.
    #[must_use]
    pub fn mark_price(&self) -> &[f64] {
        &self.mark_price
    }

    /// The moment, nanoseconds since 1970 UTC.
    #[must_use]
    pub fn time(&self) -> Option<i64> {
        self.time
    }
}
