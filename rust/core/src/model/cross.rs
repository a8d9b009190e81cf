//! Cross margin: net per settlement asset, weigh, and charge rates of notional.

use std::sync::Arc;

use super::parameters::{Collateral, CollateralColumns, Margin, MarginColumns};
use super::pieces::{HomeWeights, Pieces, RiskRow, slopes, with_floor, zeros};
use crate::error::{Error, Result};
use crate::exact::{Given, Number, Rational};
use crate::kernel::{InitialCurve, MarkValue, Row, RuleTable, Tiers, WEIGHT_ROWS, column};
use crate::market::Market;
use crate::table::{LegKind, Missing, PositionRow, Rows, Table, Used};
use crate::units::COST_CANCELLATION;
use crate::universe::Universe;

/// Roundings of a figure beside those of its legs: factors of a row, weights, netting, the two healths.
pub(crate) const EXTRA_ROUNDINGS: f64 = 32.0;

/// More than an account's figures can lose where quantities are so small that products leave the normal range of f64:
/// less than 5e-324 for each operation, times weights and prices of at most 1e120.
pub(crate) const LOST_BY_UNDERFLOW: f64 = 1e-190;

/// What cannot be computed for lack of a price or parameter.
pub(crate) type Known<T> = std::result::Result<T, Missing>;

/// How far maintenance figures can move with what they are figures of.
#[derive(Clone, Debug)]
pub(crate) struct Steepness {
    /// By asset.
    pub(crate) assets: Vec<AssetSlopes>,
    /// By instrument: the highest maintenance rate, whatever the size.
    pub(crate) rates: Vec<f64>,
}

/// What one more unit of value in an asset can add to collateral value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AssetSlopes {
    /// Where the net is positive, at most.
    pub(crate) most: f64,
    /// At least.
    pub(crate) least: f64,
    /// Part of an unrealized gain that counts.
    pub(crate) gain_share: f64,
    /// Where the net is negative.
    pub(crate) debt: f64,
}

/// The cross margin model with its parameters, checked.
#[derive(Clone, Debug)]
pub struct CrossMargin {
    universe: Arc<Universe>,
    pub(super) collateral: Vec<Collateral>,
    pub(super) margin: Vec<Option<Margin>>,
    /// Whether positions are charged here; if not, nothing is said of their margin.
    charges: bool,
}

impl CrossMargin {
    /// Checks the parameters.
    ///
    /// # Errors
    /// An unknown or repeated id; a haircut outside 0..1 or falling with size, a liability weight below 1, a rate that
    /// is negative or falls with size, or any maintenance parameter stricter than its initial one.
    pub fn new(
        universe: &Arc<Universe>,
        collateral: Option<&CollateralColumns>,
        margin: Option<&MarginColumns>,
    ) -> Result<Self> {
        let mut model = Self {
            universe: Arc::clone(universe),
            collateral: vec![Collateral::default(); universe.assets().len()],
            margin: vec![None; universe.specs().len()],
            charges: true,
        };
        if let Some(columns) = collateral {
            for (asset, collateral) in columns.read(universe)? {
                model.collateral[asset] = collateral;
            }
        }
        if let Some(columns) = margin {
            for (instrument, margin) in columns.read(universe)? {
                model.margin[instrument] = Some(margin);
            }
        }
        Ok(model)
    }

    /// What collateral counts, for a model that charges positions in its own way.
    ///
    /// # Errors
    /// As [`CrossMargin::new`].
    pub fn of_collateral(
        universe: &Arc<Universe>,
        collateral: Option<&CollateralColumns>,
    ) -> Result<Self> {
        let mut model = Self::new(universe, collateral, None)?;
        model.charges = false;
        Ok(model)
    }

    /// All of its parameters, to be printed.
    pub(crate) fn parameters(&self) -> impl std::fmt::Debug {
        (&self.collateral, &self.margin, self.charges)
    }

    /// Whether what is held in an asset counts at its index price, whatever its size and sign.
    #[must_use]
    pub(crate) fn counts_in_full(&self, asset: usize) -> bool {
        self.collateral[asset] == Collateral::default()
    }

    /// Whether positions are charged by rates.
    #[must_use]
    pub(crate) fn charges(&self) -> bool {
        self.charges
    }

    /// The same model, but that no more than a share of unrealized gains counts in the assets that are meant.
    #[must_use]
    pub(crate) fn with_gain_share_at_most(
        &self,
        share: &Given,
        meant: impl Fn(usize) -> bool,
    ) -> Self {
        let mut model = self.clone();
        for (asset, collateral) in model.collateral.iter_mut().enumerate() {
            if !meant(asset) {
                continue;
            }
            let own = &mut collateral.unrealized_gain_share;
            if Rational::given(share.as_ref()) < Rational::given(own.as_ref()) {
                *own = share.clone();
            }
        }
        model
    }

    /// The universe that the parameters belong to.
    #[must_use]
    pub fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    /// The risk table at the prices of `market`: all the finance of the model.
    ///
    /// # Errors
    /// [`Error::UniverseMismatch`]; [`Error::MissingPrice`] or [`Error::MissingParameter`] for what is used, with the
    /// account that `holder` finds.
    pub fn table(
        &self,
        market: &Market,
        used: &Used,
        holder: impl Fn(usize) -> String,
    ) -> Result<Table> {
        if !Arc::ptr_eq(&self.universe, market.universe()) {
            return Err(Error::UniverseMismatch {
                left: "model",
                right: "market",
            });
        }
        let rows = Rows::of(&self.universe);
        let homes = 1 + self.collateral.len();
        let mut table = Table {
            rows: vec![Row::default(); rows.count()],
            weights: vec![Row::default(); WEIGHT_ROWS * homes],
            rules: None,
            error_factor: (used.widest as f64 + EXTRA_ROUNDINGS) * self.error_factor(market),
        };
        let mut rules = RuleTable {
            legs: Tiers::none(rows.count()),
            homes: Tiers::none(homes),
            ..RuleTable::default()
        };
        for &row in &used.rows {
            let kind = rows.kind(row).expect("row 0 is never used");
            let made = self.row::<f64>(kind, market);
            let made = made.map_err(|missing| missing.error(&self.universe, holder(row)))?;
            table.rows[row] = Row(made.columns);
            rules.legs.set(row, made.kernel_tiers());
        }
        rules.uncounted_gain.push(0.0);
        rules.cash_rows.push((0, 0));
        for asset in 0..self.collateral.len() {
            let home = self.home::<f64>(asset + 1, market);
            table.weights[WEIGHT_ROWS * (asset + 1)] = Row(home.positive.columns);
            table.weights[WEIGHT_ROWS * (asset + 1) + 1] = Row(home.negative);
            rules.homes.set(asset + 1, home.positive.kernel_tiers());
            rules.uncounted_gain.push(home.uncounted_gain);
            rules.cash_rows.push(rows.cash_in_net(asset));
        }
        rules.curves.resize_with(self.margin.len(), || None);
        let no_mark = MarkValue {
            value: 0.0,
            price: 0.0,
        };
        rules.marks.resize(self.margin.len(), no_mark);
        rules.order_scale.resize(self.margin.len(), 0.0);
        let by_exposure = |missing: Missing, instrument| {
            missing.error(&self.universe, holder(rows.exposure(instrument)))
        };
        for &instrument in used.capped.iter().filter(|_| self.charges) {
            let curve = self.curve(instrument, market);
            rules.curves[instrument] =
                Some(curve.map_err(|missing| by_exposure(missing, instrument))?);
        }
        for &instrument in &used.ordered {
            let mark = self.mark_value(instrument, market);
            let mark = mark.map_err(|missing| by_exposure(missing, instrument))?;
            rules.marks[instrument] = mark;
            rules.order_scale[instrument] = self.order_scale(instrument, market, &mark);
        }
        let sums_alone = rules.legs.is_empty()
            && rules.homes.is_empty()
            && used.capped.is_empty()
            && used.ordered.is_empty()
            && rules.uncounted_gain.iter().all(|&part| part == 0.0);
        if !sums_alone {
            // Some roundings for each threshold that a leg or net passes.
            let deepest = rules.legs.deepest() + rules.homes.deepest();
            table.error_factor *= 2.0 + 4.0 * deepest as f64;
            rules.error_factor = table.error_factor;
            table.rules = Some(rules);
        }
        for &row in &used.rows {
            table.rows[row].0[column::BOUND] *= table.error_factor;
        }
        table.rows[rows.doubt()].0[column::BOUND] = LOST_BY_UNDERFLOW;
        Ok(table)
    }

    /// The most that one contract ordered can be worth or be charged on.
    pub(crate) fn order_scale(
        &self,
        instrument: usize,
        market: &Market,
        mark: &MarkValue<f64>,
    ) -> f64 {
        // An option that is bought only needs no notional.
        let notional = self.notional::<f64>(instrument, market).unwrap_or(0.0);
        let floor = self.margin[instrument]
            .as_ref()
            .map_or(0.0, |margin| margin.margin_floor_per_contract.float());
        (mark.value.abs() * mark.price).max(notional).max(floor)
    }

    /// More tiers than a leg and a net together can have.
    pub(crate) fn deepest(&self) -> usize {
        let brackets = self
            .margin
            .iter()
            .flatten()
            .map(|margin| margin.brackets.len());
        let tiers = self
            .collateral
            .iter()
            .map(|collateral| collateral.tiers.len());
        2 * (brackets.max().unwrap_or(0) + tiers.max().unwrap_or(0) + 2)
    }

    /// How steep an asset's collateral value and an instrument's margin can be; see [`Steepness`].
    pub(crate) fn steepness(&self) -> Steepness {
        let assets = (0..self.collateral.len()).map(|asset| {
            let (pieces, _) = self.haircut_weights::<f64>(asset);
            let collateral = &self.collateral[asset];
            AssetSlopes {
                most: pieces.first().map_or(0.0, |(_, weight)| *weight),
                least: pieces.last().map_or(0.0, |(_, weight)| *weight),
                gain_share: collateral.unrealized_gain_share.float(),
                debt: collateral.maintenance_liability_weight.float(),
            }
        });
        let steepest = |margin: &Margin| {
            let rates = maintenance_rates::<f64>(margin).map(|(_, rate)| rate);
            rates.fold(0.0, f64::max)
        };
        let rates = self.margin.iter();
        Steepness {
            assets: assets.collect(),
            rates: rates
                .map(|margin| margin.as_ref().map_or(0.0, steepest))
                .collect(),
        }
    }

    /// The row of one kind of leg: what one unit of it adds to each column.
    pub(crate) fn row<N: Number>(&self, kind: LegKind, market: &Market) -> Known<RiskRow<N>> {
        let mut row = RiskRow::new();
        match kind {
            LegKind::Deposit(asset) => {
                let grown = N::given(market.deposit_index().get(asset));
                let value = index_price::<N>(market, asset)? * grown.clone();
                let weights = self.haircut_weights::<N>(asset);
                for (column, weights) in [
                    (column::ASSETS, weights.0),
                    (column::INITIAL_COLLATERAL, weights.1),
                ] {
                    let pieces: Pieces<N> = weights
                        .into_iter()
                        .map(|(floor, weight)| (floor / grown.clone(), value.clone() * weight))
                        .collect();
                    row.add(column, &pieces);
                }
                row.columns[column::EQUITY] = value.clone();
                row.columns[column::BOUND] = value;
            }
            LegKind::Loan(asset) => {
                let value =
                    index_price::<N>(market, asset)? * N::given(market.borrow_index().get(asset));
                let weights = &self.collateral[asset];
                let weight = |given: &Given| N::given(given.as_ref());
                let initial = weight(&weights.initial_liability_weight);
                let maintenance = weight(&weights.maintenance_liability_weight);
                row.columns[column::INITIAL_COLLATERAL] = value.clone() * initial;
                row.columns[column::DEBTS] = -(value.clone() * maintenance);
                row.columns[column::EQUITY] = value.clone();
                row.columns[column::BOUND] = value;
            }
            LegKind::NettedDeposit(asset) => {
                let grown = N::given(market.deposit_index().get(asset));
                netted(&mut row, index_price::<N>(market, asset)? * grown);
            }
            LegKind::NettedLoan(asset) => {
                let grown = N::given(market.borrow_index().get(asset));
                netted(&mut row, index_price::<N>(market, asset)? * grown);
            }
            LegKind::IsolatedMargin(asset) => netted(&mut row, index_price::<N>(market, asset)?),
            LegKind::Cost(asset) => {
                let value = index_price::<N>(market, asset)?;
                row.columns[column::EQUITY] = -value.clone();
                row.columns[column::NET] = -value.clone();
                row.columns[column::BOUND] = value * N::decimal(COST_CANCELLATION);
            }
            LegKind::Position(position) => self.position(position, market, &mut row)?,
            LegKind::Exposure(_) if !self.charges => {}
            LegKind::Exposure(instrument) => {
                let curve = self.curve::<N>(instrument, market)?;
                let initial = with_floor(curve.brackets, &curve.floor);
                row.add(column::INITIAL_MARGIN, &initial);
                row.columns[column::BOUND] = if curve.notional < curve.floor {
                    curve.floor
                } else {
                    curve.notional
                };
            }
        }
        Ok(row)
    }

    fn position<N: Number>(
        &self,
        position: PositionRow,
        market: &Market,
        row: &mut RiskRow<N>,
    ) -> Known<()> {
        let instrument = position.instrument;
        let spec = &self.universe.specs()[instrument];
        let MarkValue { value, price } = self.mark_value::<N>(instrument, market)?;
        let margin = self.margin[instrument].as_ref();
        let margin = match margin {
            None if self.charges => return Err(Missing::Parameter(instrument)),
            margin => margin,
        };
        let funding = spec.funding_value(N::given(market.cumulative_funding().get(instrument)));
        let mut bound = (value.magnitude() + funding.magnitude()) * price.clone();
        if let Some(margin) = margin
            && (position.short_option || !spec.is_paid_up_front())
        {
            let notional = self.notional::<N>(instrument, market)?;
            let floor = N::given(margin.margin_floor_per_contract.as_ref());
            let maintenance = slopes(maintenance_rates(margin), &notional);
            row.add(column::MAINTENANCE_MARGIN, &with_floor(maintenance, &floor));
            if !position.by_exposure {
                let initial = slopes(initial_rates(margin), &notional);
                row.add(column::INITIAL_MARGIN, &with_floor(initial, &floor));
            }
            for part in [notional, floor] {
                if bound < part {
                    bound = part;
                }
            }
        }
        let value = (value - funding) * price;
        row.columns[column::BOUND] = bound;
        row.columns[column::EQUITY] = value.clone();
        row.columns[column::NET] = value;
        Ok(())
    }

    /// How the net of a home (0: none, else asset + 1) is weighed.
    pub(crate) fn home<N: Number>(&self, home: usize, market: &Market) -> HomeWeights<N> {
        let mut weights = HomeWeights {
            positive: RiskRow::new(),
            negative: zeros(),
            uncounted_gain: N::decimal(0.0),
        };
        let Some(asset) = home.checked_sub(1) else {
            return weights;
        };
        let collateral = &self.collateral[asset];
        let price = market.index::<N>(asset).unwrap_or(N::decimal(0.0));
        let (maintenance, initial) = self.haircut_weights::<N>(asset);
        let in_numeraire = |pieces: Pieces<N>| -> Pieces<N> {
            pieces
                .into_iter()
                .map(|(floor, weight)| (floor * price.clone(), weight))
                .collect()
        };
        weights
            .positive
            .add(column::ASSETS, &in_numeraire(maintenance));
        weights
            .positive
            .add(column::INITIAL_COLLATERAL, &in_numeraire(initial));
        let weight = |given: &Given| N::given(given.as_ref());
        weights.negative[column::INITIAL_COLLATERAL] = weight(&collateral.initial_liability_weight);
        weights.negative[column::DEBTS] = -weight(&collateral.maintenance_liability_weight);
        weights.uncounted_gain = N::decimal(1.0) - weight(&collateral.unrealized_gain_share);
        weights
    }

    /// Weights of an asset by amount: `(floor, weight)` for maintenance and for initial health.
    pub(crate) fn haircut_weights<N: Number>(&self, asset: usize) -> (Pieces<N>, Pieces<N>) {
        let collateral = &self.collateral[asset];
        let cap = collateral
            .amount_cap
            .as_ref()
            .map(|cap| N::given(cap.as_ref()));
        let weights = |haircut: fn(&super::HaircutTier) -> &Given| {
            let mut weights = Vec::new();
            for tier in &collateral.tiers {
                let floor = N::given(tier.amount_floor.as_ref());
                if cap.as_ref().is_some_and(|cap| *cap <= floor) {
                    break;
                }
                let weight = N::decimal(1.0) - N::given(haircut(tier).as_ref());
                weights.push((floor, weight));
            }
            if let Some(cap) = &cap {
                weights.push((cap.clone(), N::decimal(0.0)));
            }
            weights
        };
        (
            weights(|tier| &tier.maintenance_haircut),
            weights(|tier| &tier.initial_haircut),
        )
    }

    /// Initial margin of an instrument by exposure.
    pub(crate) fn curve<N: Number>(
        &self,
        instrument: usize,
        market: &Market,
    ) -> Known<InitialCurve<N>> {
        let margin = self.margin[instrument]
            .as_ref()
            .ok_or(Missing::Parameter(instrument))?;
        let notional = self.notional::<N>(instrument, market)?;
        Ok(InitialCurve {
            brackets: slopes(initial_rates(margin), &notional),
            notional,
            floor: N::given(margin.margin_floor_per_contract.as_ref()),
        })
    }

    /// Value of one long contract at mark in the settlement asset, and that asset's index price.
    pub(crate) fn mark_value<N: Number>(
        &self,
        instrument: usize,
        market: &Market,
    ) -> Known<MarkValue<N>> {
        let spec = &self.universe.specs()[instrument];
        let mark = market.mark::<N>(instrument);
        Ok(MarkValue {
            value: spec.price_value(mark.ok_or(Missing::MarkPrice(instrument))?),
            price: index_price(market, spec.settlement as usize)?,
        })
    }

    /// What margin rates of one contract apply to; of an option, if it is short or futures-style.
    pub(crate) fn notional<N: Number>(&self, instrument: usize, market: &Market) -> Known<N> {
        let spec = &self.universe.specs()[instrument];
        if !spec.is_option() {
            let mark = self.mark_value::<N>(instrument, market)?;
            return Ok(mark.value.magnitude() * mark.price);
        }
        let multiplier = N::given(spec.contract_multiplier.as_ref());
        let notional = multiplier * index_price(market, spec.settlement as usize)?;
        if spec.inverse {
            return Ok(notional);
        }
        let underlying = self.universe.underlying_slot(spec.underlying);
        Ok(notional * index_price(market, underlying)?)
    }

    /// How far a figure can be from exact arithmetic, per rounding and per unit of its absolute parts.
    pub(crate) fn error_factor(&self, market: &Market) -> f64 {
        let mut largest = 1.0_f64;
        let mut moderate = true;
        let mut see = |factor: f64| moderate &= is_moderate(factor);
        for collateral in &self.collateral {
            largest = largest.max(collateral.initial_liability_weight.float());
            for tier in &collateral.tiers {
                see(tier.amount_floor.float());
                see(tier.initial_haircut.float());
                see(tier.maintenance_haircut.float());
            }
            see(collateral.initial_liability_weight.float());
            see(collateral.amount_cap.as_ref().map_or(0.0, Given::float));
            see(collateral.unrealized_gain_share.float());
        }
        for margin in self.margin.iter().flatten() {
            for bracket in &margin.brackets {
                largest = largest.max(bracket.initial_rate.float());
                see(bracket.notional_floor.float());
                see(bracket.initial_rate.float());
                see(bracket.maintenance_rate.float());
            }
            see(margin.margin_floor_per_contract.float());
            see(margin.close_out_fee_rate.float());
        }
        for spec in self.universe.specs() {
            see(spec.contract_multiplier.float());
        }
        let columns = [
            market.index_price(),
            market.mark_price(),
            market.deposit_index(),
            market.borrow_index(),
            market.cumulative_funding(),
        ];
        for column in columns {
            column.floats().iter().copied().for_each(&mut see);
        }
        // A figure adds a weighted value and a margin: twice the largest weight.
        if moderate {
            2.0 * largest * f64::EPSILON
        } else {
            f64::INFINITY
        }
    }
}

/// Whether a factor lies where no product of factors in a row can leave the normal range of f64 and lose bits unseen.
pub(crate) fn is_moderate(factor: f64) -> bool {
    factor == 0.0 || factor.is_nan() || (1e-30..1e30).contains(&factor.abs())
}

/// Adds value that is netted in its asset before it is weighed.
fn netted<N: Number>(row: &mut RiskRow<N>, value: N) {
    row.columns[column::EQUITY] = value.clone();
    row.columns[column::NET] = value.clone();
    row.columns[column::BOUND] = value;
}

fn initial_rates<N: Number>(margin: &Margin) -> impl Iterator<Item = (N, N)> {
    margin.brackets.iter().map(|bracket| {
        let floor = N::given(bracket.notional_floor.as_ref());
        (floor, N::given(bracket.initial_rate.as_ref()))
    })
}

/// The fee included.
pub(super) fn maintenance_rates<N: Number>(margin: &Margin) -> impl Iterator<Item = (N, N)> {
    margin.brackets.iter().map(|bracket| {
        let floor = N::given(bracket.notional_floor.as_ref());
        let rate = N::given(bracket.maintenance_rate.as_ref())
            + N::given(margin.close_out_fee_rate.as_ref());
        let initial = N::given(bracket.initial_rate.as_ref());
        // The sum was checked in exact numbers; rounding must not lift it above the initial rate.
        (floor, if rate > initial { initial } else { rate })
    })
}

fn index_price<N: Number>(market: &Market, slot: usize) -> Known<N> {
    market.index(slot).ok_or(Missing::IndexPrice(slot))
}
