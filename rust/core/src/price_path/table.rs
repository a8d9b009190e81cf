//! What everything that can be held is along a path.

use super::PricePath;
use super::curve::Curve;
use crate::concave::Line;
use crate::liquidation_price::Threshold;
use crate::market::Market;
use crate::model::{CrossMargin, Weights};
use crate::table::LegKind;
use crate::units::{Key, Reader};
use crate::universe::Instrument;

/// An asset along the path.
#[derive(Debug)]
pub(super) struct PathAsset {
    /// What one unit is worth.
    pub(super) value: Curve,
    /// What an amount counts, asset units: the least of these.
    pub(super) lines: Vec<Line<f64>>,
    /// Part of an unrealized gain that does not count.
    pub(super) uncounted_gain: f64,
    pub(super) deposit_index: f64,
    pub(super) borrow_index: f64,
    /// Moves that leave its price above 0.
    pub(super) range: (f64, f64),
}

/// A position's instrument along the path.
#[derive(Debug)]
pub(super) struct PathInstrument {
    /// What one long contract is worth, funding counted.
    pub(super) value: Curve,
    /// What the rates apply to, of one contract; its size counts.
    pub(super) notional: Curve,
    /// Whether the notional may change its sign.
    pub(super) two_sided: bool,
    /// Margin: the greatest of these lines of notional; none if it is not asked for.
    pub(super) lines: Vec<Line<f64>>,
    /// Least margin of one contract.
    pub(super) floor: f64,
    /// Whether only short positions are charged.
    pub(super) short_only: bool,
    /// Moves that leave its prices possible.
    pub(super) range: (f64, f64),
}

/// All of them; an instrument without price or rates is `None`, and nobody holds it.
#[derive(Debug)]
pub(super) struct PathTable<'a> {
    pub(super) reader: Reader<'a>,
    /// Betas of the prices whose reciprocals remain.
    pub(super) poles: Vec<f64>,
    pub(super) assets: Vec<Option<PathAsset>>,
    pub(super) instruments: Vec<Option<PathInstrument>>,
}

impl<'a> PathTable<'a> {
    pub(super) fn new(
        model: &'a CrossMargin,
        key: Key,
        market: &Market,
        path: &PricePath,
        threshold: Threshold,
    ) -> Self {
        let universe = model.universe();
        let mut poles = Vec::new();
        for (spec, &beta) in universe.specs().iter().zip(&path.mark_beta) {
            if has_pole(spec, path, beta) && !poles.contains(&beta) {
                poles.push(beta);
            }
        }
        let asked = Asked {
            model,
            market,
            path,
            threshold,
            poles: &poles,
        };
        let assets = (0..universe.assets().len()).map(|asset| asked.asset(asset));
        let instruments = 0..universe.specs().len();
        let instruments = instruments.map(|instrument| asked.instrument(instrument));
        let (assets, instruments) = (assets.collect(), instruments.collect());
        Self {
            reader: Reader::new(universe, key),
            assets,
            instruments,
            poles,
        }
    }

    pub(super) fn asset(&self, asset: usize) -> &PathAsset {
        self.assets[asset]
            .as_ref()
            .expect("what is held has a price")
    }

    pub(super) fn instrument(&self, instrument: usize) -> &PathInstrument {
        let instrument = self.instruments[instrument].as_ref();
        instrument.expect("what is held has a price and rates")
    }

    /// What a leg is along the path.
    pub(super) fn kind(&self, row: usize) -> Option<LegKind> {
        self.reader.rows.kind(row)
    }
}

/// Whether the value of a contract keeps the reciprocal of its mark: not if the settlement asset moves with it.
fn has_pole(spec: &Instrument, path: &PricePath, beta: f64) -> bool {
    spec.is_reciprocal() && beta != 0.0 && path.index_beta[spec.settlement as usize] != beta
}

/// Moves that keep `1 + beta x move` above 0.
fn range(beta: f64) -> (f64, f64) {
    if beta > 0.0 {
        (-1.0 / beta, f64::INFINITY)
    } else if beta < 0.0 {
        (f64::NEG_INFINITY, -1.0 / beta)
    } else {
        (f64::NEG_INFINITY, f64::INFINITY)
    }
}

pub(super) fn common((a, b): (f64, f64), (c, d): (f64, f64)) -> (f64, f64) {
    (a.max(c), b.min(d))
}

/// What the table is made of.
struct Asked<'a> {
    model: &'a CrossMargin,
    market: &'a Market,
    path: &'a PricePath,
    threshold: Threshold,
    poles: &'a [f64],
}

impl Asked<'_> {
    fn asset(&self, asset: usize) -> Option<PathAsset> {
        let price: f64 = self.market.index(asset)?;
        let beta = self.path.index_beta[asset];
        let whole = Line {
            slope: 1.0,
            offset: 0.0,
        };
        let health = self.threshold == Threshold::Liquidation;
        Some(PathAsset {
            value: Curve::product(price, beta, 0.0, self.poles.len()),
            lines: if health {
                self.model.collateral_lines(asset, Weights::Maintenance)
            } else {
                vec![whole]
            },
            uncounted_gain: if health {
                self.model
                    .home::<f64>(asset + 1, self.market)
                    .uncounted_gain
            } else {
                0.0
            },
            deposit_index: self.market.deposit_index().floats()[asset],
            borrow_index: self.market.borrow_index().floats()[asset],
            range: range(beta),
        })
    }

    fn instrument(&self, instrument: usize) -> Option<PathInstrument> {
        let Self {
            model,
            market,
            path,
            ..
        } = *self;
        let spec = &model.universe().specs()[instrument];
        let mark = model.mark_value::<f64>(instrument, market).ok()?;
        let home = spec.settlement as usize;
        let (settles, beta) = (path.index_beta[home], path.mark_beta[instrument]);
        let poles = self.poles.len();
        let worth = mark.value * mark.price;
        let mut value = if spec.is_reciprocal() {
            let pole = has_pole(spec, path, beta)
                .then(|| self.poles.iter().position(|&pole| pole == beta))
                .flatten();
            Curve::quotient(worth, settles, beta, pole, poles)
        } else {
            Curve::product(worth, settles, beta, poles)
        };
        let mut limits = range(settles);
        if spec.is_reciprocal() || !spec.allow_negative_price {
            limits = common(limits, range(beta));
        }
        let notional = if spec.is_option() {
            let underlying = model.universe().underlying_slot(spec.underlying);
            let follows = if spec.inverse {
                0.0
            } else {
                path.index_beta[underlying]
            };
            limits = common(limits, range(follows));
            // An option that is only bought needs no notional.
            let notional = model.notional::<f64>(instrument, market).unwrap_or(0.0);
            Curve::product(notional, settles, follows, poles)
        } else {
            let mut notional = value.clone();
            if spec.is_reciprocal() {
                notional.clear();
                notional.add(-1.0, &value);
            }
            notional
        };
        let funding = spec.funding_value(market.cumulative_funding().floats()[instrument]);
        value.add(
            -1.0,
            &Curve::product(funding * mark.price, settles, 0.0, poles),
        );
        let mut maintenance = None;
        if self.threshold == Threshold::Liquidation {
            maintenance = Some(model.maintenance_lines::<f64>(instrument).ok()?);
        }
        let floor = maintenance.as_ref().map_or(0.0, |margin| margin.floor);
        Some(PathInstrument {
            value,
            notional,
            two_sided: spec.allow_negative_price && !spec.is_reciprocal() && !spec.is_option(),
            lines: maintenance.map_or_else(Vec::new, |margin| margin.lines),
            floor,
            short_only: spec.is_paid_up_front(),
            range: limits,
        })
    }
}
