//! A universe that grows: what was there keeps its row, and what is new comes after.

use std::sync::Arc;

use super::{Instrument, InstrumentColumns, Universe, refuse_duplicates, settlement_assets};
use crate::error::{Error, Place, Result};
use crate::ids::{IdColumn, Ids};

impl Universe {
    /// A larger universe: everything of this one first, in the same order, then what is new.
    ///
    /// Rows of assets, instruments and underlyings stay. Slots of index prices may not: those of assets come first, and
    /// an underlying that becomes an asset takes its slot.
    ///
    /// # Errors
    /// As [`Universe::new`]; an id that is there already, or of the other kind than those that are.
    pub fn extended(
        &self,
        assets: Option<&IdColumn>,
        instruments: Option<&InstrumentColumns>,
    ) -> Result<Arc<Self>> {
        let (mut all_assets, mut all_instruments) = (self.assets.clone(), self.instruments.clone());
        let (mut underlyings, mut specs) = (self.underlyings.clone(), self.specs.clone());
        if let Some(new) = assets {
            refuse_duplicates(new, "assets", "asset")?;
            refuse_known(new, &self.assets, ("assets", "asset"), "an asset")?;
            refuse_known(new, &self.instruments, ("assets", "asset"), "an instrument")?;
            add(&mut all_assets, new, ("assets", "asset"))?;
        }
        if let Some(new) = instruments {
            let place = ("instruments", "instrument");
            refuse_duplicates(&new.instrument, place.0, place.1)?;
            refuse_known(&new.instrument, &self.instruments, place, "an instrument")?;
            refuse_known(&new.instrument, &all_assets, place, "an asset")?;
            add(&mut all_instruments, &new.instrument, place)?;
            let numbers = add(
                &mut underlyings,
                &new.underlying,
                ("instruments", "underlying"),
            )?;
            let settlements = settlement_assets(new, &all_assets)?;
            for row in 0..new.instrument.len() {
                let spec = new.spec(row, settlements[new.settlement.codes[row] as usize])?;
                let underlying = numbers[new.underlying.codes[row] as usize];
                specs.push(Instrument { underlying, ..spec });
            }
        }
        Ok(Self::of_parts(
            (all_assets, all_instruments, underlyings),
            specs,
            self.numeraire,
        ))
    }

    /// Refuses a universe that does not begin with all of `base`: each asset and instrument in its row, as it is there.
    ///
    /// # Errors
    /// [`Error::NotExtended`], which names the first one that differs.
    pub fn check_extends(&self, base: &Self) -> Result<()> {
        let differs = |problem: String| Err(Error::NotExtended { problem });
        for (what, mine, theirs) in [
            ("asset", &self.assets, &base.assets),
            ("instrument", &self.instruments, &base.instruments),
        ] {
            for (row, known) in theirs.iter().enumerate() {
                if row >= mine.len() {
                    return differs(format!("{what} {known} is missing"));
                }
                if mine.get(row) != known {
                    return differs(format!(
                        "{what} {row} is {} instead of {known}",
                        mine.get(row)
                    ));
                }
            }
        }
        if self.numeraire != base.numeraire {
            let numeraire = |universe: &Self| universe.assets.get(universe.numeraire()).to_string();
            return differs(format!(
                "the numeraire is {} instead of {}",
                numeraire(self),
                numeraire(base)
            ));
        }
        for (row, (mine, theirs)) in self.specs.iter().zip(&base.specs).enumerate() {
            let underlying = |universe: &Self, spec: &Instrument| {
                universe
                    .underlyings
                    .get(spec.underlying as usize)
                    .to_string()
            };
            let changed = if underlying(self, mine) == underlying(base, theirs) {
                mine.first_difference(theirs)
            } else {
                Some("underlying")
            };
            if let Some(term) = changed {
                let id = base.instruments.get(row);
                return differs(format!("instrument {id} has another {term}"));
            }
        }
        Ok(())
    }
}

impl Instrument {
    /// The first of the terms that the other has differently, underlyings aside.
    fn first_difference(&self, other: &Self) -> Option<&'static str> {
        let Self {
            kind,
            underlying: _,
            settlement,
            contract_multiplier,
            inverse,
            allow_negative_price,
            expiry,
            strike,
            right,
            futures_style,
            settlement_average,
        } = self;
        let terms = [
            ("kind", *kind == other.kind),
            ("settlement", *settlement == other.settlement),
            (
                "contract_multiplier",
                *contract_multiplier == other.contract_multiplier,
            ),
            ("inverse", *inverse == other.inverse),
            (
                "allow_negative_price",
                *allow_negative_price == other.allow_negative_price,
            ),
            ("expiry", *expiry == other.expiry),
            ("strike", *strike == other.strike),
            ("right", *right == other.right),
            ("futures_style", *futures_style == other.futures_style),
            (
                "settlement_average",
                *settlement_average == other.settlement_average,
            ),
        ];
        let changed = terms.into_iter().find(|(_, is_same)| !is_same);
        changed.map(|(term, _)| term)
    }
}

/// Refuses an id that the universe has already.
fn refuse_known(
    column: &IdColumn,
    known: &Ids,
    (frame, name): (&'static str, &'static str),
    what: &str,
) -> Result<()> {
    let found = column.ids.iter().enumerate();
    let Some((code, id)) = found.into_iter().find(|(_, id)| known.find(*id).is_some()) else {
        return Ok(());
    };
    Err(Error::Duplicate {
        place: Place::column(frame, name).row(column.first_row(code)),
        problem: format!("{id} is {what} of the universe already"),
    })
}

/// Adds ids, those that are new at the end. Returns the number of each.
fn add(
    all: &mut Ids,
    column: &IdColumn,
    (frame, name): (&'static str, &'static str),
) -> Result<Vec<u32>> {
    if all.is_empty() {
        // Nothing was there to be of a kind.
        *all = column.ids.clone();
    }
    let number = |(code, id)| {
        all.intern(id).ok_or_else(|| Error::Column {
            place: Place::column(frame, name).row(column.first_row(code)),
            problem: format!("{id} is of another kind than the ids that are there"),
        })
    };
    column.ids.iter().enumerate().map(number).collect()
}
