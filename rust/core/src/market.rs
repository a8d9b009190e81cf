//! Prices, interest and funding at one moment.

use std::sync::Arc;

use crate::error::{Error, Place, Result, finite};
use crate::exact::{Given, GivenColumn, Number};
use crate::universe::{Kind, Universe};

/// Index prices of assets and underlyings, mark prices of instruments, and how far interest and funding have come.
///
/// A price that is not given is NaN inside; whatever is held must have one, or evaluation says which is missing.
#[derive(Clone, Debug)]
pub struct Market {
    universe: Arc<Universe>,
    index_price: GivenColumn,
    mark_price: GivenColumn,
    deposit_index: GivenColumn,
    borrow_index: GivenColumn,
    cumulative_funding: GivenColumn,
    implied_volatility: GivenColumn,
    forward: GivenColumn,
    discount_rate: GivenColumn,
    settlement_average: GivenColumn,
    time: Option<i64>,
}

impl Market {
    /// A market where nothing but the numeraire has a price yet, before any interest and funding.
    #[must_use]
    pub fn new(universe: Arc<Universe>, time: Option<i64>) -> Self {
        let mut index_price = vec![f64::NAN; universe.index_count()];
        index_price[universe.numeraire()] = 1.0;
        let (assets, instruments) = (universe.assets().len(), universe.specs().len());
        Self {
            universe,
            index_price: index_price.into(),
            mark_price: vec![f64::NAN; instruments].into(),
            deposit_index: vec![1.0; assets].into(),
            borrow_index: vec![1.0; assets].into(),
            cumulative_funding: vec![0.0; instruments].into(),
            implied_volatility: vec![f64::NAN; instruments].into(),
            forward: vec![f64::NAN; instruments].into(),
            discount_rate: vec![0.0; assets].into(),
            settlement_average: vec![f64::NAN; instruments].into(),
            time,
        }
    }

    /// Sets the index price of a slot (see [`Universe::index_slot`]), in the numeraire, at least 0.
    ///
    /// # Errors
    /// A price that is not finite, negative, or not 1 for the numeraire.
    pub fn set_index_price(&mut self, slot: usize, price: Given) -> Result<()> {
        let place = || Place::frame("index_price").id(self.universe.index_name(slot));
        let float = finite(price.float(), place)?;
        if float < 0.0 {
            return Err(Error::Value {
                place: place(),
                problem: format!("{float} is negative"),
            });
        }
        if slot == self.universe.numeraire() && price != Given::from(1.0) {
            let problem = format!("the numeraire is worth 1 of itself, not {float}");
            return Err(Error::Value {
                place: place(),
                problem,
            });
        }
        self.index_price.set(slot, price);
        Ok(())
    }

    /// Sets the mark price of an instrument, in its quote.
    ///
    /// # Errors
    /// A price that is not finite or that the instrument cannot have.
    pub fn set_mark_price(&mut self, instrument: usize, price: Given) -> Result<()> {
        let place = || Place::frame("mark_price").id(self.universe.instruments().get(instrument));
        let float = finite(price.float(), place)?;
        if let Some(expected) = self.universe.specs()[instrument].price_problem(float) {
            return Err(Error::Value {
                place: place(),
                problem: format!("{float}: {expected}"),
            });
        }
        self.mark_price.set(instrument, price);
        Ok(())
    }

    /// Sets what one unit of an asset, lent at index 1, has grown to. Above 0.
    ///
    /// # Errors
    /// An index that is not finite or not above 0.
    pub fn set_deposit_index(&mut self, asset: usize, index: Given) -> Result<()> {
        self.check_interest_index("deposit_index", asset, &index)?;
        self.deposit_index.set(asset, index);
        Ok(())
    }

    /// Sets what a debt of one unit of an asset, taken up at index 1, has grown to. Above 0.
    ///
    /// # Errors
    /// An index that is not finite or not above 0.
    pub fn set_borrow_index(&mut self, asset: usize, index: Given) -> Result<()> {
        self.check_interest_index("borrow_index", asset, &index)?;
        self.borrow_index.set(asset, index);
        Ok(())
    }

    fn check_interest_index(&self, name: &'static str, asset: usize, index: &Given) -> Result<()> {
        let place = || Place::frame(name).id(self.universe.assets().get(asset));
        let float = finite(index.float(), place)?;
        if float > 0.0 {
            return Ok(());
        }
        Err(Error::Value {
            place: place(),
            problem: format!("{float} is not > 0"),
        })
    }

    /// Sets what one long contract has paid since the start, per unit of the contract multiplier: in the quote of a
    /// linear contract, in the settlement asset of an inverse one. Negative if it received.
    ///
    /// # Errors
    /// A figure that is not finite, or not 0 for an option.
    pub fn set_cumulative_funding(&mut self, instrument: usize, funding: Given) -> Result<()> {
        let place =
            || Place::frame("cumulative_funding").id(self.universe.instruments().get(instrument));
        let float = finite(funding.float(), place)?;
        if float != 0.0 && self.universe.specs()[instrument].kind == Kind::Option {
            return Err(Error::Value {
                place: place(),
                problem: format!("{float}: an option pays no funding"),
            });
        }
        self.cumulative_funding.set(instrument, funding);
        Ok(())
    }

    /// Sets the implied volatility of an option, per square root of a year: a fraction, or for scenarios of absolute
    /// shocks price units. At least 0.
    ///
    /// # Errors
    /// A volatility that is not finite or below 0, or of what is no option.
    pub fn set_implied_volatility(&mut self, instrument: usize, volatility: Given) -> Result<()> {
        let place =
            || Place::frame("implied_volatility").id(self.universe.instruments().get(instrument));
        let float = finite(volatility.float(), place)?;
        let problem = if self.universe.specs()[instrument].kind != Kind::Option {
            format!("{float}: only options have one")
        } else if float < 0.0 {
            format!("{float} is negative")
        } else {
            self.implied_volatility.set(instrument, volatility);
            return Ok(());
        };
        Err(Error::Value {
            place: place(),
            problem,
        })
    }

    /// Sets the price of an instrument's underlying for delivery at expiry; the index price counts where none is set.
    ///
    /// # Errors
    /// A price that is not finite, or not above 0 where the instrument does not allow it.
    pub fn set_forward(&mut self, instrument: usize, forward: Given) -> Result<()> {
        let place = || Place::frame("forward").id(self.universe.instruments().get(instrument));
        let float = finite(forward.float(), place)?;
        if float <= 0.0 && !self.universe.specs()[instrument].allow_negative_price {
            return Err(Error::Value {
                place: place(),
                problem: format!("{float} is not > 0"),
            });
        }
        self.forward.set(instrument, forward);
        Ok(())
    }

    /// Sets the rate, continuously compounded a year, by which payments in an asset are discounted.
    ///
    /// # Errors
    /// A rate that is not finite.
    pub fn set_discount_rate(&mut self, asset: usize, rate: Given) -> Result<()> {
        let place = || Place::frame("discount_rate").id(self.universe.assets().get(asset));
        finite(rate.float(), place)?;
        self.discount_rate.set(asset, rate);
        Ok(())
    }

    /// Sets the average of the index over the part that has passed of the window in which an instrument's settlement
    /// price is averaged; before the window it is not read. Above 0.
    ///
    /// # Errors
    /// An average that is not finite or not above 0, or of what settles at one price.
    pub fn set_settlement_average(&mut self, instrument: usize, average: Given) -> Result<()> {
        let place =
            || Place::frame("settlement_average").id(self.universe.instruments().get(instrument));
        let float = finite(average.float(), place)?;
        let spec = &self.universe.specs()[instrument];
        let problem = if spec.settlement_average == 0.0 {
            format!(
                "{float}: by its settlement_average in the instruments frame it settles at one price"
            )
        } else if float <= 0.0 && !spec.allow_negative_price {
            format!("{float} is not > 0")
        } else {
            self.settlement_average.set(instrument, average);
            return Ok(());
        };
        Err(Error::Value {
            place: place(),
            problem,
        })
    }

    /// The same in the larger universe of `other`: figures that are there stay, those of what is new are the other's. A
    /// price, volatility or average that is not there is the other's, too.
    pub(crate) fn extended(&self, other: &Self) -> Self {
        let (before, mut market) = (&self.universe, other.clone());
        for slot in 0..before.index_count() {
            let name = before.index_name(slot);
            let slot_now = market.universe.index_slot(name, Place::default);
            let slot_now = slot_now.expect("a larger universe has it");
            keep(&mut market.index_price, slot_now, &self.index_price, slot);
        }
        for (column, mine) in [
            (&mut market.mark_price, &self.mark_price),
            (&mut market.deposit_index, &self.deposit_index),
            (&mut market.borrow_index, &self.borrow_index),
            (&mut market.cumulative_funding, &self.cumulative_funding),
            (&mut market.implied_volatility, &self.implied_volatility),
            (&mut market.forward, &self.forward),
            (&mut market.discount_rate, &self.discount_rate),
            (&mut market.settlement_average, &self.settlement_average),
        ] {
            (0..mine.len()).for_each(|row| keep(column, row, mine, row));
        }
        market.time = self.time.or(other.time);
        market
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
    pub fn index_price(&self) -> &GivenColumn {
        &self.index_price
    }

    /// Mark prices by instrument, NaN where there is none.
    #[must_use]
    pub fn mark_price(&self) -> &GivenColumn {
        &self.mark_price
    }

    /// What one unit lent has grown to, by asset.
    #[must_use]
    pub fn deposit_index(&self) -> &GivenColumn {
        &self.deposit_index
    }

    /// What one unit borrowed has grown to, by asset.
    #[must_use]
    pub fn borrow_index(&self) -> &GivenColumn {
        &self.borrow_index
    }

    /// What one long contract has paid, by instrument; see [`Market::set_cumulative_funding`].
    #[must_use]
    pub fn cumulative_funding(&self) -> &GivenColumn {
        &self.cumulative_funding
    }

    /// Implied volatilities by instrument, NaN where there is none.
    #[must_use]
    pub fn implied_volatility(&self) -> &GivenColumn {
        &self.implied_volatility
    }

    /// Prices for delivery at expiry by instrument, NaN where none is set.
    #[must_use]
    pub fn forward(&self) -> &GivenColumn {
        &self.forward
    }

    /// Rates by asset; see [`Market::set_discount_rate`].
    #[must_use]
    pub fn discount_rate(&self) -> &GivenColumn {
        &self.discount_rate
    }

    /// Averages so far by instrument, NaN where none is set; see [`Market::set_settlement_average`].
    #[must_use]
    pub fn settlement_average(&self) -> &GivenColumn {
        &self.settlement_average
    }

    /// The moment, nanoseconds since 1970 UTC.
    #[must_use]
    pub fn time(&self) -> Option<i64> {
        self.time
    }

    /// The index price in a slot, if there is one.
    pub(crate) fn index<N: Number>(&self, slot: usize) -> Option<N> {
        price(&self.index_price, slot)
    }

    /// The mark price of an instrument, if there is one.
    pub(crate) fn mark<N: Number>(&self, instrument: usize) -> Option<N> {
        price(&self.mark_price, instrument)
    }
}

/// Puts a figure that is there into a row of a column.
fn keep(column: &mut GivenColumn, row: usize, figures: &GivenColumn, at: usize) {
    let figure = figures.get(at);
    if !figure.float.is_nan() {
        column.set(row, figure.to_given());
    }
}

fn price<N: Number>(prices: &GivenColumn, row: usize) -> Option<N> {
    let price = prices.get(row);
    (!price.float.is_nan()).then(|| N::given(price))
}
