//! Cross margin: net per settlement asset, weigh, and charge a constant rate of notional.

use std::sync::Arc;

use crate::error::{Error, Place, Result, finite};
use crate::ids::IdColumn;
use crate::kernel::Row;
use crate::market::Market;
use crate::table::{LegKind, Missing, Rows, Table};
use crate::universe::{Kind, Universe, refuse_duplicates};

/// How much of an asset counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Collateral {
    /// Part of a positive net balance that does not count for initial health, 0 to 1.
    pub initial_haircut: f64,
    /// The same for health; at most the initial one.
    pub maintenance_haircut: f64,
    /// What a negative net balance counts for initial health, at least 1.
    pub initial_liability_weight: f64,
    /// The same for health; at most the initial one.
    pub maintenance_liability_weight: f64,
}

impl Default for Collateral {
    fn default() -> Self {
        Self {
            initial_haircut: 0.0,
            maintenance_haircut: 0.0,
            initial_liability_weight: 1.0,
            maintenance_liability_weight: 1.0,
        }
    }
}

/// Margin rates of an instrument, fractions of notional.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margin {
    /// Needed to add risk.
    pub initial_rate: f64,
    /// Needed to keep it; at most the initial rate.
    pub maintenance_rate: f64,
}

/// Columns of the `collateral` frame; a column left out is `None`.
#[derive(Clone, Debug)]
pub struct CollateralColumns {
    /// Assets, distinct.
    pub asset: IdColumn,
    /// See [`Collateral::initial_haircut`].
    pub initial_haircut: Option<Vec<f64>>,
    /// See [`Collateral::maintenance_haircut`].
    pub maintenance_haircut: Option<Vec<f64>>,
    /// See [`Collateral::initial_liability_weight`].
    pub initial_liability_weight: Option<Vec<f64>>,
    /// See [`Collateral::maintenance_liability_weight`].
    pub maintenance_liability_weight: Option<Vec<f64>>,
}

/// Columns of the `margin` frame.
#[derive(Clone, Debug)]
pub struct MarginColumns {
    /// Instruments, distinct.
    pub instrument: IdColumn,
    /// See [`Margin::initial_rate`].
    pub initial_rate: Vec<f64>,
    /// See [`Margin::maintenance_rate`].
    pub maintenance_rate: Vec<f64>,
}

/// The cross margin model with its parameters, checked.
#[derive(Clone, Debug)]
pub struct CrossMargin {
    universe: Arc<Universe>,
    collateral: Vec<Collateral>,
    margin: Vec<Option<Margin>>,
}

impl CrossMargin {
    /// Checks the parameters.
    ///
    /// # Errors
    /// An unknown or repeated id; a haircut outside 0..1, a liability weight below 1, a negative rate, or any
    /// maintenance parameter stricter than its initial one.
    pub fn new(
        universe: &Arc<Universe>,
        collateral: Option<&CollateralColumns>,
        margin: Option<&MarginColumns>,
    ) -> Result<Self> {
        let mut model = Self {
            universe: Arc::clone(universe),
            collateral: vec![Collateral::default(); universe.assets().len()],
            margin: vec![None; universe.specs().len()],
        };
        if let Some(columns) = collateral {
            refuse_duplicates(&columns.asset, "collateral", "asset")?;
            for row in 0..columns.asset.len() {
                let id = columns.asset.get(row);
                let asset =
                    universe.asset_row(id, || Place::column("collateral", "asset").row(row))?;
                model.collateral[asset as usize] = columns.row(row)?;
            }
        }
        if let Some(columns) = margin {
            refuse_duplicates(&columns.instrument, "margin", "instrument")?;
            for row in 0..columns.instrument.len() {
                let id = columns.instrument.get(row);
                let place = || Place::column("margin", "instrument").row(row);
                let instrument = universe.instrument_row(id, place)?;
                model.margin[instrument as usize] = Some(columns.row(row)?);
            }
        }
        Ok(model)
    }

    /// The universe that the parameters belong to.
    #[must_use]
    pub fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    /// The risk table at the prices of `market`: all the finance of the model.
    ///
    /// # Errors
    /// [`Error::UniverseMismatch`].
    pub fn table(&self, market: &Market) -> Result<Table> {
        if !Arc::ptr_eq(&self.universe, market.universe()) {
            return Err(Error::UniverseMismatch {
                left: "model",
                right: "market",
            });
        }
        let rows = Rows::of(&self.universe);
        let mut table = Table {
            rows: vec![Row::default(); rows.count()],
            weights: vec![Row::default(); 2 * (1 + self.collateral.len())],
            missing: vec![None; rows.count()],
        };
        for row in 1..rows.count() {
            let leg = rows.leg(row).expect("row 0 alone stands for nothing");
            match self.row(leg, market) {
                Ok(columns) => table.rows[row] = columns,
                Err(missing) => table.missing[row] = Some(missing),
            }
        }
        for (asset, weights) in self.collateral.iter().enumerate() {
            let (positive, negative) = weights.rows();
            table.weights[2 * (asset + 1)] = positive;
            table.weights[2 * (asset + 1) + 1] = negative;
        }
        Ok(table)
    }

    fn row(&self, leg: LegKind, market: &Market) -> std::result::Result<Row, Missing> {
        let index_price =
            |slot: usize| price(market.index_price()[slot]).ok_or(Missing::IndexPrice(slot));
        match leg {
            LegKind::Deposit(asset) => {
                let value = index_price(asset)?;
                let weights = &self.collateral[asset];
                let assets = value * (1.0 - weights.maintenance_haircut);
                let initial_collateral = value * (1.0 - weights.initial_haircut);
                Ok(Row([
                    value,
                    assets,
                    initial_collateral,
                    0.0,
                    0.0,
                    0.0,
                    0.0,
                    value,
                ]))
            }
            LegKind::Loan(asset) => {
                let value = index_price(asset)?;
                let weights = &self.collateral[asset];
                let initial_collateral = value * weights.initial_liability_weight;
                let debts = -(value * weights.maintenance_liability_weight);
                Ok(Row([
                    value,
                    0.0,
                    initial_collateral,
                    0.0,
                    0.0,
                    debts,
                    0.0,
                    value,
                ]))
            }
            LegKind::NettedCash(asset) => {
                let value = index_price(asset)?;
                Ok(Row([value, 0.0, 0.0, 0.0, 0.0, 0.0, value, value]))
            }
            LegKind::Cost(asset) => {
                let value = index_price(asset)?;
                Ok(Row([-value, 0.0, 0.0, 0.0, 0.0, 0.0, -value, value]))
            }
            LegKind::Position(instrument) => {
                let spec = &self.universe.specs()[instrument];
                let value = self.unit_value(instrument, market)?;
                let notional = if spec.kind == Kind::Option {
                    0.0
                } else {
                    value.abs()
                };
                self.position_row(instrument, value, notional)
            }
            LegKind::ShortOption(instrument) => {
                let spec = &self.universe.specs()[instrument];
                let value = self.unit_value(instrument, market)?;
                let settlement = index_price(spec.settlement as usize)?;
                let underlying = if spec.inverse {
                    1.0
                } else {
                    index_price(self.universe.underlying_slot(spec.underlying))?
                };
                self.position_row(
                    instrument,
                    value,
                    spec.contract_multiplier * settlement * underlying,
                )
            }
        }
    }

    /// Numeraire value of one long contract at mark.
    fn unit_value(&self, instrument: usize, market: &Market) -> std::result::Result<f64, Missing> {
        let spec = &self.universe.specs()[instrument];
        let settlement = spec.settlement as usize;
        let mark = price(market.mark_price()[instrument]).ok_or(Missing::MarkPrice(instrument))?;
        let index =
            price(market.index_price()[settlement]).ok_or(Missing::IndexPrice(settlement))?;
        Ok(spec.unit_value(mark) * index)
    }

    fn position_row(
        &self,
        instrument: usize,
        value: f64,
        notional: f64,
    ) -> std::result::Result<Row, Missing> {
        let margin = self.margin[instrument].ok_or(Missing::Parameter(instrument))?;
        let (maintenance, initial) = (
            notional * margin.maintenance_rate,
            notional * margin.initial_rate,
        );
        Ok(Row([
            value,
            0.0,
            0.0,
            maintenance,
            initial,
            0.0,
            value,
            value.abs(),
        ]))
    }
}

/// A price, or `None` where the market has none.
fn price(stored: f64) -> Option<f64> {
    (!stored.is_nan()).then_some(stored)
}

impl Collateral {
    /// What one unit of net value adds to the sums, where the net is positive and where it is negative.
    fn rows(&self) -> (Row, Row) {
        let (assets, initial) = (1.0 - self.maintenance_haircut, 1.0 - self.initial_haircut);
        let positive = Row([0.0, assets, initial, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let (debts, initial) = (
            -self.maintenance_liability_weight,
            self.initial_liability_weight,
        );
        let negative = Row([0.0, 0.0, initial, 0.0, 0.0, debts, 0.0, 0.0]);
        (positive, negative)
    }
}

impl CollateralColumns {
    fn row(&self, row: usize) -> Result<Collateral> {
        let place = |column| {
            Place::column("collateral", column)
                .row(row)
                .id(self.asset.get(row))
        };
        let read = |column: &Option<Vec<f64>>, name, default| match column {
            Some(column) => finite(column[row], || place(name)),
            None => Ok(default),
        };
        let collateral = Collateral {
            initial_haircut: read(&self.initial_haircut, "initial_haircut", 0.0)?,
            maintenance_haircut: read(&self.maintenance_haircut, "maintenance_haircut", 0.0)?,
            initial_liability_weight: read(
                &self.initial_liability_weight,
                "initial_liability_weight",
                1.0,
            )?,
            maintenance_liability_weight: read(
                &self.maintenance_liability_weight,
                "maintenance_liability_weight",
                1.0,
            )?,
        };
        let refuse = |column, problem| {
            Err(Error::Parameter {
                place: place(column),
                problem,
            })
        };
        for (column, haircut) in [
            ("initial_haircut", collateral.initial_haircut),
            ("maintenance_haircut", collateral.maintenance_haircut),
        ] {
            if !(0.0..=1.0).contains(&haircut) {
                return refuse(column, format!("{haircut} is not between 0 and 1"));
            }
        }
        for (column, weight) in [
            (
                "initial_liability_weight",
                collateral.initial_liability_weight,
            ),
            (
                "maintenance_liability_weight",
                collateral.maintenance_liability_weight,
            ),
        ] {
            if weight < 1.0 {
                return refuse(
                    column,
                    format!("{weight} is below 1: a debt counts at least in full"),
                );
            }
        }
        let Collateral {
            initial_haircut: initial,
            maintenance_haircut: maintenance,
            ..
        } = collateral;
        if maintenance > initial {
            let problem = format!("{maintenance} is above the initial_haircut {initial}");
            return refuse("maintenance_haircut", problem);
        }
        let (initial, maintenance) = (
            collateral.initial_liability_weight,
            collateral.maintenance_liability_weight,
        );
        if maintenance > initial {
            let problem = format!("{maintenance} is above the initial_liability_weight {initial}");
            return refuse("maintenance_liability_weight", problem);
        }
        Ok(collateral)
    }
}

impl MarginColumns {
    fn row(&self, row: usize) -> Result<Margin> {
        let place = |column| {
            Place::column("margin", column)
                .row(row)
                .id(self.instrument.get(row))
        };
        let initial_rate = finite(self.initial_rate[row], || place("initial_rate"))?;
        let maintenance_rate = finite(self.maintenance_rate[row], || place("maintenance_rate"))?;
        let refuse = |column, problem| {
            Err(Error::Parameter {
                place: place(column),
                problem,
            })
        };
        for (column, rate) in [
            ("initial_rate", initial_rate),
            ("maintenance_rate", maintenance_rate),
        ] {
            if rate < 0.0 {
                return refuse(column, format!("{rate} is negative"));
            }
        }
        if maintenance_rate > initial_rate {
            let problem = format!("{maintenance_rate} is above the initial_rate {initial_rate}");
            return refuse("maintenance_rate", problem);
        }
        Ok(Margin {
            initial_rate,
            maintenance_rate,
        })
    }
}
