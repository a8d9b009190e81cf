//! What exists: assets that can be held and instruments that positions can be in.

mod extended;

use std::sync::Arc;

use crate::error::{Error, Place, Result, finite};
use crate::exact::{Given, GivenColumn, Number};
use crate::ids::{Id, IdColumn, Ids};

/// What kind of contract an instrument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A future without expiry.
    Perpetual,
    /// A dated future.
    Future,
    /// A call or put; its value is equity, unless it is futures-style.
    Option,
}

/// The side of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// The right to buy.
    Call,
    /// The right to sell.
    Put,
}

/// The terms of one instrument.
#[derive(Clone, Debug, PartialEq)]
pub struct Instrument {
    /// Perpetual, future or option.
    pub kind: Kind,
    /// Number of the underlying in [`Universe::underlyings`].
    pub underlying: u32,
    /// Number of the asset in which profit and loss is paid.
    pub settlement: u32,
    /// Units of the underlying per contract; quote units per contract if inverse. Above 0.
    pub contract_multiplier: Given,
    /// Whether the contract is worth a fixed amount of the quote, paid in coin.
    pub inverse: bool,
    /// Whether its mark may be zero or negative.
    pub allow_negative_price: bool,
    /// Expiry, nanoseconds since 1970 UTC.
    pub expiry: Option<i64>,
    /// Strike of an option.
    pub strike: Option<f64>,
    /// Call or put.
    pub right: Option<Right>,
    /// Whether the premium of an option is not paid when it is bought but margined like the value of a future.
    pub futures_style: bool,
    /// Seconds before expiry over which the index is averaged to the settlement price; 0 if it settles at one price.
    pub settlement_average: f64,
}

impl Instrument {
    /// Value of one long contract at a price, in the settlement asset, signed; funding not counted.
    ///
    /// Linear `m x price`, inverse `-m / price`, option `m x price` (its price is in the settlement asset).
    #[inline(always)]
    #[must_use]
    pub fn price_value<N: Number>(&self, price: N) -> N {
        let multiplier = N::given(self.contract_multiplier.as_ref());
        if self.is_reciprocal() {
            -multiplier / price
        } else {
            multiplier * price
        }
    }

    /// What a cumulative funding takes from the value of one long contract, in the settlement asset, signed.
    #[must_use]
    pub fn funding_value<N: Number>(&self, cumulative_funding: N) -> N {
        N::given(self.contract_multiplier.as_ref()) * cumulative_funding
    }

    /// Whether it is an option.
    #[must_use]
    pub fn is_option(&self) -> bool {
        self.kind == Kind::Option
    }

    /// Whether a long position can lose no more than was paid for it when it was bought, and so needs no margin: an
    /// option, unless it is futures-style.
    #[must_use]
    pub fn is_paid_up_front(&self) -> bool {
        self.is_option() && !self.futures_style
    }

    /// Whether its value follows the reciprocal of its price: inverse, but no option.
    #[must_use]
    pub fn is_reciprocal(&self) -> bool {
        self.inverse && !self.is_option()
    }

    /// What is wrong with a price of this instrument, or `None`.
    #[must_use]
    pub fn price_problem(&self, price: f64) -> Option<&'static str> {
        let expected = match self.kind {
            Kind::Option if price < 0.0 => "the price of an option must be >= 0",
            Kind::Perpetual | Kind::Future if self.inverse && price <= 0.0 => {
                "the price of an inverse contract must be > 0"
            }
            Kind::Perpetual | Kind::Future if price <= 0.0 && !self.allow_negative_price => {
                "the price must be > 0 (or the instrument's allow_negative_price True)"
            }
            _ => return None,
        };
        Some(expected)
    }
}

/// Columns of the `instruments` frame, all of one length; a column left out is `None`.
#[derive(Clone, Debug)]
pub struct InstrumentColumns {
    /// Ids of the instruments, distinct.
    pub instrument: IdColumn,
    /// `perpetual`, `future` or `option`.
    pub kind: IdColumn,
    /// Ids of the underlyings, a namespace of their own.
    pub underlying: IdColumn,
    /// Ids of assets.
    pub settlement: IdColumn,
    /// See [`Instrument::contract_multiplier`]; 1 if left out.
    pub contract_multiplier: Option<GivenColumn>,
    /// See [`Instrument::inverse`]; false if left out.
    pub inverse: Option<Vec<bool>>,
    /// See [`Instrument::allow_negative_price`]; false if left out.
    pub allow_negative_price: Option<Vec<bool>>,
    /// See [`Instrument::expiry`].
    pub expiry: Option<Vec<Option<i64>>>,
    /// See [`Instrument::strike`].
    pub strike: Option<Vec<Option<f64>>>,
    /// `call` or `put`.
    pub right: Option<Vec<Option<String>>>,
    /// See [`Instrument::futures_style`]; false if left out.
    pub futures_style: Option<Vec<bool>>,
    /// See [`Instrument::settlement_average`]; 0 if left out or `None`.
    pub settlement_average: Option<Vec<Option<f64>>>,
}

/// Assets, instruments and underlyings; everything else is built on one universe and refers to it by row.
#[derive(Debug)]
pub struct Universe {
    assets: Ids,
    instruments: Ids,
    underlyings: Ids,
    specs: Vec<Instrument>,
    /// Whether any instrument is paid up front.
    paid_up_front: bool,
    numeraire: u32,
    /// For each underlying, its slot among the index prices.
    underlying_slots: Vec<u32>,
    /// Underlyings that are not assets; they take the slots after the assets.
    extra_indices: Vec<u32>,
}

impl Universe {
    /// Checks the frames and builds the universe.
    ///
    /// # Errors
    /// A duplicate id, an id used for an asset and an instrument, an unknown kind, settlement asset or numeraire, a number out of range.
    pub fn new(
        assets: &IdColumn,
        instruments: Option<&InstrumentColumns>,
        numeraire: Id<'_>,
    ) -> Result<Arc<Self>> {
        refuse_duplicates(assets, "assets", "asset")?;
        let assets = assets.ids.clone();
        let Some(numeraire) = assets.find(numeraire) else {
            return Err(unknown(
                &assets,
                "asset",
                numeraire,
                Place::frame("numeraire"),
            ));
        };
        let mut specs = Vec::new();
        let (mut ids, mut underlyings) = (Ids::texts(), Ids::texts());
        if let Some(columns) = instruments {
            refuse_duplicates(&columns.instrument, "instruments", "instrument")?;
            ids = columns.instrument.ids.clone();
            underlyings = columns.underlying.ids.clone();
            if let Some((row, id)) = ids
                .iter()
                .enumerate()
                .find(|(_, id)| assets.find(*id).is_some())
            {
                return Err(Error::Duplicate {
                    place: Place::column("instruments", "instrument").row(row),
                    problem: format!(
                        "{id} is an asset already; assets and instruments share one namespace"
                    ),
                });
            }
            let settlements = settlement_assets(columns, &assets)?;
            for row in 0..columns.instrument.len() {
                specs.push(columns.spec(row, settlements[columns.settlement.codes[row] as usize])?);
            }
        }
        Ok(Self::of_parts((assets, ids, underlyings), specs, numeraire))
    }

    /// A universe of checked parts: ids of assets, instruments and underlyings, terms, and the row of the numeraire.
    fn of_parts(
        (assets, instruments, underlyings): (Ids, Ids, Ids),
        specs: Vec<Instrument>,
        numeraire: u32,
    ) -> Arc<Self> {
        let mut extra_indices = Vec::new();
        let mut underlying_slots = Vec::with_capacity(underlyings.len());
        for (underlying, id) in (0u32..).zip(underlyings.iter()) {
            underlying_slots.push(assets.find(id).unwrap_or_else(|| {
                extra_indices.push(underlying);
                (assets.len() + extra_indices.len() - 1) as u32
            }));
        }
        Arc::new(Self {
            assets,
            instruments,
            underlyings,
            paid_up_front: specs.iter().any(Instrument::is_paid_up_front),
            specs,
            numeraire,
            underlying_slots,
            extra_indices,
        })
    }

    /// Ids of the assets.
    #[must_use]
    pub fn assets(&self) -> &Ids {
        &self.assets
    }

    /// Ids of the instruments.
    #[must_use]
    pub fn instruments(&self) -> &Ids {
        &self.instruments
    }

    /// Ids of the underlyings, in order of first appearance.
    #[must_use]
    pub fn underlyings(&self) -> &Ids {
        &self.underlyings
    }

    /// Terms of the instruments, in order.
    #[must_use]
    pub fn specs(&self) -> &[Instrument] {
        &self.specs
    }

    /// Whether any instrument is paid up front.
    pub(crate) fn has_paid_up_front(&self) -> bool {
        self.paid_up_front
    }

    /// Number of the asset in which accounts are valued.
    #[must_use]
    pub fn numeraire(&self) -> usize {
        self.numeraire as usize
    }

    /// Number of index prices: one per asset, then one per underlying that is not an asset.
    #[must_use]
    pub fn index_count(&self) -> usize {
        self.assets.len() + self.extra_indices.len()
    }

    /// Name of an index price.
    #[must_use]
    pub fn index_name(&self, slot: usize) -> Id<'_> {
        match slot.checked_sub(self.assets.len()) {
            None => self.assets.get(slot),
            Some(extra) => self.underlyings.get(self.extra_indices[extra] as usize),
        }
    }

    /// Slot of the index price of an asset or underlying.
    ///
    /// # Errors
    /// [`Error::Unknown`] with a close name.
    pub fn index_slot(&self, id: Id<'_>, place: impl FnOnce() -> Place) -> Result<usize> {
        if let Some(asset) = self.assets.find(id) {
            return Ok(asset as usize);
        }
        if let Some(underlying) = self.underlyings.find(id) {
            return Ok(self.underlying_slot(underlying));
        }
        let mut known = self.assets.clone();
        // Those of another kind than the assets' ids cannot be meant.
        for underlying in self.underlyings.iter() {
            known.intern(underlying);
        }
        Err(unknown(&known, "asset or underlying", id, place()))
    }

    /// Slot of the index price of an underlying.
    #[must_use]
    pub fn underlying_slot(&self, underlying: u32) -> usize {
        self.underlying_slots[underlying as usize] as usize
    }

    /// Row of an instrument.
    ///
    /// # Errors
    /// [`Error::Unknown`] with a close name.
    pub fn instrument_row(&self, id: Id<'_>, place: impl FnOnce() -> Place) -> Result<u32> {
        self.instruments
            .find(id)
            .ok_or_else(|| unknown(&self.instruments, "instrument", id, place()))
    }

    /// Row of an asset.
    ///
    /// # Errors
    /// [`Error::Unknown`] with a close name.
    pub fn asset_row(&self, id: Id<'_>, place: impl FnOnce() -> Place) -> Result<u32> {
        self.assets
            .find(id)
            .ok_or_else(|| unknown(&self.assets, "asset", id, place()))
    }
}

impl InstrumentColumns {
    fn spec(&self, row: usize, settlement: u32) -> Result<Instrument> {
        let id = self.instrument.get(row);
        let place = |column| Place::column("instruments", column).row(row).id(id);
        let kind = match self.kind.get(row) {
            Id::Text("perpetual") => Kind::Perpetual,
            Id::Text("future") => Kind::Future,
            Id::Text("option") => Kind::Option,
            other => {
                let hint = self.kind_hint(other);
                return Err(value(
                    place("kind"),
                    format!("no instrument kind {other}{hint}"),
                ));
            }
        };
        let contract_multiplier = self
            .contract_multiplier
            .as_ref()
            .map_or(Given::from(1.0), |column| column.get(row).to_given());
        let multiplier = finite(contract_multiplier.float(), || place("contract_multiplier"))?;
        if multiplier <= 0.0 {
            return Err(value(
                place("contract_multiplier"),
                format!("{multiplier} is not > 0"),
            ));
        }
        let inverse = self.inverse.as_ref().is_some_and(|column| column[row]);
        let allow_negative_price = self
            .allow_negative_price
            .as_ref()
            .is_some_and(|column| column[row]);
        if allow_negative_price && (inverse || kind == Kind::Option) {
            let what = if inverse {
                "an inverse contract"
            } else {
                "an option"
            };
            return Err(value(
                place("allow_negative_price"),
                format!("{what} cannot have a negative price"),
            ));
        }
        let strike = self.strike.as_ref().and_then(|column| column[row]);
        if let Some(strike) = strike {
            finite(strike, || place("strike"))?;
            if strike <= 0.0 {
                return Err(value(place("strike"), format!("{strike} is not > 0")));
            }
        }
        let right = match self
            .right
            .as_ref()
            .and_then(|column| column[row].as_deref())
        {
            None => None,
            Some("call") => Some(Right::Call),
            Some("put") => Some(Right::Put),
            Some(other) => {
                return Err(value(
                    place("right"),
                    format!("'{other}' is neither 'call' nor 'put'"),
                ));
            }
        };
        let futures_style = self
            .futures_style
            .as_ref()
            .is_some_and(|column| column[row]);
        if futures_style && kind != Kind::Option {
            return Err(value(
                place("futures_style"),
                "only an option can be futures-style".to_owned(),
            ));
        }
        let expiry = self.expiry.as_ref().and_then(|column| column[row]);
        Ok(Instrument {
            kind,
            underlying: self.underlying.codes[row],
            settlement,
            contract_multiplier,
            inverse,
            allow_negative_price,
            expiry,
            strike,
            right,
            futures_style,
            settlement_average: self.settlement_average_of(row, kind, expiry)?,
        })
    }

    fn settlement_average_of(&self, row: usize, kind: Kind, expiry: Option<i64>) -> Result<f64> {
        let given = self
            .settlement_average
            .as_ref()
            .and_then(|column| column[row]);
        let place = || {
            let id = self.instrument.get(row);
            Place::column("instruments", "settlement_average")
                .row(row)
                .id(id)
        };
        let seconds = finite(given.unwrap_or(0.0), place)?;
        let problem = match (kind, expiry) {
            _ if seconds == 0.0 => return Ok(0.0),
            _ if seconds < 0.0 => "is not >= 0",
            // Nanoseconds of time are 64 bits wide.
            _ if seconds * 1e9 > i64::MAX as f64 => "seconds are longer than 292 years",
            (Kind::Perpetual, _) => "seconds, but a perpetual never settles",
            (_, None) => "seconds before an expiry that is not given",
            _ => return Ok(seconds),
        };
        Err(value(place(), format!("{seconds} {problem}")))
    }

    fn kind_hint(&self, given: Id<'_>) -> String {
        let kinds: IdColumn = ["perpetual", "future", "option"].into_iter().collect();
        kinds.ids.hint(given)
    }
}

fn value(place: Place, problem: String) -> Error {
    Error::Value { place, problem }
}

/// The error for an id that is not among `known`.
pub(crate) fn unknown(known: &Ids, what: &'static str, id: Id<'_>, place: Place) -> Error {
    Error::Unknown {
        place,
        problem: format!("no {what} {id}{}", known.hint(id)),
    }
}

fn settlement_assets(columns: &InstrumentColumns, assets: &Ids) -> Result<Vec<u32>> {
    let settlement = &columns.settlement;
    (0..settlement.ids.len())
        .map(|code| {
            let id = settlement.ids.get(code);
            assets.find(id).ok_or_else(|| {
                let row = settlement.first_row(code);
                let place = Place::column("instruments", "settlement")
                    .row(row)
                    .id(columns.instrument.get(row));
                unknown(assets, "asset", id, place)
            })
        })
        .collect()
}

/// Refuses an id that stands in two rows of a frame keyed by it.
pub(crate) fn refuse_duplicates(
    column: &IdColumn,
    frame: &'static str,
    name: &'static str,
) -> Result<()> {
    if column.len() == column.ids.len() {
        return Ok(());
    }
    // Codes count up as ids appear: the first row whose code is not new is the duplicate.
    let mut next = 0;
    for (row, &code) in column.codes.iter().enumerate() {
        if code < next {
            return Err(Error::Duplicate {
                place: Place::column(frame, name).row(row),
                problem: format!(
                    "{} stands in row {} already",
                    column.get(row),
                    column.first_row(code as usize)
                ),
            });
        }
        next = code + 1;
    }
    Ok(())
}
