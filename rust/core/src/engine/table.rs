//! The risk table, kept while prices move: a tick makes only the rows anew that it changes.

use super::boxes::variables;
use super::liveliness::Liveliness;
use crate::kernel::{MarkValue, Row, RuleTable, Tiers, WEIGHT_ROWS, column};
use crate::market::Market;
use crate::model::{CrossMargin, EXTRA_ROUNDINGS, Known, LOST_BY_UNDERFLOW, Steepness};
use crate::table::{LegKind, PositionRow, Rows, Table, Used};
use crate::units::AccountUnits;

/// The table of a cross margin model; rows are made when somebody first holds what they stand for.
#[derive(Debug)]
pub(crate) struct LiveTable {
    table: Table,
    /// Beyond sums; always there, so that orders and brackets may come.
    rules: RuleTable,
    rows: Rows,
    kinds: Vec<Option<LegKind>>,
    ready: Vec<bool>,
    /// By instrument: whether its curve and its mark are kept.
    ordered: Vec<bool>,
    capped: Vec<bool>,
    /// By index price: instruments whose rows follow it.
    follow: Vec<Vec<u32>>,
    widest: usize,
    steepness: Steepness,
    lively: Liveliness,
}

/// Legs of an account that errors are counted for at first.
const WIDEST: usize = 256;

impl LiveTable {
    pub(crate) fn new(model: &CrossMargin, market: &Market) -> Self {
        Self::for_width(model, market, WIDEST)
    }

    fn for_width(model: &CrossMargin, market: &Market, widest: usize) -> Self {
        let universe = model.universe();
        let rows = Rows::of(universe);
        let (assets, instruments) = (universe.assets().len(), universe.specs().len());
        let deepest = 2.0 + 4.0 * model.deepest() as f64;
        let error_factor = (widest as f64 + EXTRA_ROUNDINGS) * model.error_factor(market) * deepest;
        let mut follow = vec![Vec::new(); universe.index_count()];
        for (instrument, spec) in (0u32..).zip(universe.specs()) {
            follow[spec.settlement as usize].push(instrument);
            if spec.is_option() {
                follow[universe.underlying_slot(spec.underlying)].push(instrument);
            }
        }
        let no_mark = MarkValue {
            value: 0.0,
            price: 0.0,
        };
        let mut live = Self {
            table: Table {
                rows: vec![Row::default(); rows.count()],
                weights: vec![Row::default(); WEIGHT_ROWS * (1 + assets)],
                rules: None,
                error_factor,
            },
            rules: RuleTable {
                legs: Tiers::none(rows.count()),
                homes: Tiers::none(1 + assets),
                uncounted_gain: vec![0.0; 1 + assets],
                cash_rows: vec![(0, 0); 1 + assets],
                marks: vec![no_mark; instruments],
                order_scale: vec![0.0; instruments],
                error_factor,
                ..RuleTable::default()
            },
            ready: vec![false; rows.count()],
            ordered: vec![false; instruments],
            capped: vec![false; instruments],
            kinds: (0..rows.count()).map(|row| rows.kind(row)).collect(),
            rows,
            follow,
            widest,
            steepness: model.steepness(),
            lively: Liveliness::new(variables(universe)),
        };
        live.rules.curves.resize_with(instruments, || None);
        live.table.rows[rows.doubt()].0[column::BOUND] = LOST_BY_UNDERFLOW;
        (live.ready[0], live.ready[rows.doubt()]) = (true, true);
        for asset in 0..assets {
            live.rules.cash_rows[asset + 1] = rows.cash_in_net(asset);
            live.follow_asset(asset, model, market);
        }
        live
    }

    /// What a row stands for.
    pub(crate) fn kind(&self, row: usize) -> Option<LegKind> {
        self.kinds[row]
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.table.rows
    }

    pub(crate) fn weights(&self) -> &[Row] {
        &self.table.weights
    }

    pub(crate) fn rules(&self) -> &RuleTable {
        &self.rules
    }

    pub(crate) fn steepness(&self) -> &Steepness {
        &self.steepness
    }

    /// How much prices move.
    pub(crate) fn lively(&self) -> &Liveliness {
        &self.lively
    }

    /// The same, to follow prices.
    pub(crate) fn lively_mut(&mut self) -> &mut Liveliness {
        &mut self.lively
    }

    /// Makes what an account needs and nobody needed before.
    pub(crate) fn ensure(
        &mut self,
        units: &AccountUnits<f64>,
        model: &CrossMargin,
        market: &Market,
    ) -> Known<()> {
        self.ensure_rows(units.legs().iter().map(|leg| leg.row), model, market)?;
        let capped = units.least_rate > 0.0 && model.charges();
        for exposure in units.units().flat_map(|unit| unit.exposures) {
            let instrument = exposure.instrument;
            if !exposure.orders.is_empty() && !self.ordered[instrument] {
                self.set_mark(instrument, model, market)?;
            }
            if exposure.charged && capped && !self.capped[instrument] {
                self.rules.curves[instrument] = Some(model.curve(instrument, market)?);
                self.capped[instrument] = true;
            }
        }
        Ok(())
    }

    /// Makes what an account with legs alone needs, by their rows.
    pub(crate) fn ensure_rows(
        &mut self,
        rows: impl ExactSizeIterator<Item = usize>,
        model: &CrossMargin,
        market: &Market,
    ) -> Known<()> {
        if rows.len() > self.widest {
            self.rebuild(2 * rows.len(), model, market);
        }
        for row in rows {
            if !self.ready[row] {
                self.make(row, model, market)?;
            }
        }
        Ok(())
    }

    /// Whether there is all that an account with legs alone needs.
    pub(crate) fn has_rows(&self, mut rows: impl ExactSizeIterator<Item = usize>) -> bool {
        rows.len() <= self.widest && rows.all(|row| self.ready[row])
    }

    /// Whether there is all that an account needs.
    pub(crate) fn is_ready(&self, units: &AccountUnits<f64>, model: &CrossMargin) -> bool {
        let capped = units.least_rate > 0.0 && model.charges();
        self.has_rows(units.legs().iter().map(|leg| leg.row))
            && units
                .units()
                .flat_map(|unit| unit.exposures)
                .all(|exposure| {
                    let instrument = exposure.instrument;
                    (exposure.orders.is_empty() || self.ordered[instrument])
                        && (!(exposure.charged && capped) || self.capped[instrument])
                })
    }

    /// Makes all that a book needs.
    pub(crate) fn ensure_used(
        &mut self,
        used: &Used,
        model: &CrossMargin,
        market: &Market,
    ) -> Known<()> {
        if used.widest > self.widest {
            self.rebuild(2 * used.widest, model, market);
        }
        for &row in &used.rows {
            if !self.ready[row] {
                self.make(row, model, market)?;
            }
        }
        for &instrument in &used.ordered {
            self.set_mark(instrument, model, market)?;
        }
        for &instrument in used.capped.iter().filter(|_| model.charges()) {
            self.rules.curves[instrument] = Some(model.curve(instrument, market)?);
            self.capped[instrument] = true;
        }
        Ok(())
    }

    /// Whether there is what a plain account of so many legs needs for an order in an instrument.
    pub(crate) fn is_ready_for_order(
        &self,
        legs: usize,
        rows: [usize; 2],
        instrument: usize,
    ) -> bool {
        legs <= self.widest && rows.iter().all(|&row| self.ready[row]) && self.ordered[instrument]
    }

    /// Where each kind of leg has its row.
    pub(crate) fn kinds(&self) -> Rows {
        self.rows
    }

    /// Follows a mark price.
    ///
    /// # Panics
    /// If something that had a price has none.
    pub(crate) fn tick_mark(&mut self, instrument: usize, model: &CrossMargin, market: &Market) {
        self.remake(instrument, model, market);
    }

    /// Follows an index price.
    ///
    /// # Panics
    /// If something that had a price has none.
    pub(crate) fn tick_index(&mut self, slot: usize, model: &CrossMargin, market: &Market) {
        if slot < self.rules.uncounted_gain.len() - 1 {
            self.follow_asset(slot, model, market);
        }
        for at in 0..self.follow[slot].len() {
            self.remake(self.follow[slot][at] as usize, model, market);
        }
    }

    /// Makes all that an asset can be, held or owed, netted or not: a fill may turn one into the other, and whose does is
    /// not prepared for it. Where there is no price yet, nobody has any of it.
    fn follow_asset(&mut self, asset: usize, model: &CrossMargin, market: &Market) {
        self.set_home(asset, model, market);
        for row in self.rows.of_asset(asset) {
            let made = self.make(row, model, market);
            assert!(
                made.is_ok() || !self.ready[row],
                "what had a price keeps one"
            );
        }
    }

    /// Follows funding and interest.
    ///
    /// # Panics
    /// As [`Self::tick_mark`].
    pub(crate) fn accrue(&mut self, model: &CrossMargin, market: &Market) {
        self.rebuild(self.widest, model, market);
    }

    /// Counts errors anew, for wider accounts; what was ready stays so.
    fn rebuild(&mut self, widest: usize, model: &CrossMargin, market: &Market) {
        let before = std::mem::replace(self, Self::for_width(model, market, widest));
        self.ready = before.ready;
        (self.ordered, self.capped) = (before.ordered, before.capped);
        self.lively = before.lively;
        let doubt = self.rows.doubt();
        for row in (1..self.ready.len()).filter(|&row| row != doubt) {
            self.remake_row(row, model, market);
        }
        for instrument in 0..self.ordered.len() {
            self.remake_curves(instrument, model, market);
        }
    }

    fn remake(&mut self, instrument: usize, model: &CrossMargin, market: &Market) {
        for short_option in [false, true] {
            for by_exposure in [false, true] {
                let row = PositionRow {
                    instrument,
                    short_option,
                    by_exposure,
                };
                if !short_option || model.universe().specs()[instrument].is_paid_up_front() {
                    self.remake_row(self.rows.position(row), model, market);
                }
            }
        }
        self.remake_row(self.rows.exposure(instrument), model, market);
        self.remake_curves(instrument, model, market);
    }

    fn remake_curves(&mut self, instrument: usize, model: &CrossMargin, market: &Market) {
        let kept = "what had a price keeps one";
        if self.ordered[instrument] {
            self.set_mark(instrument, model, market).expect(kept);
        }
        if self.capped[instrument] {
            self.rules.curves[instrument] = Some(model.curve(instrument, market).expect(kept));
        }
    }

    fn remake_row(&mut self, row: usize, model: &CrossMargin, market: &Market) {
        if self.ready[row] {
            let made = self.make(row, model, market);
            made.expect("what had a price keeps one");
        }
    }

    fn make(&mut self, row: usize, model: &CrossMargin, market: &Market) -> Known<()> {
        let kind = self.rows.kind(row).expect("no leg points to row 0");
        let mut made = model.row::<f64>(kind, market)?;
        made.columns[column::BOUND] *= self.table.error_factor;
        self.table.rows[row] = Row(made.columns);
        self.rules.legs.set(row, made.kernel_tiers());
        self.ready[row] = true;
        Ok(())
    }

    fn set_home(&mut self, asset: usize, model: &CrossMargin, market: &Market) {
        let home = model.home::<f64>(asset + 1, market);
        self.table.weights[WEIGHT_ROWS * (asset + 1)] = Row(home.positive.columns);
        self.table.weights[WEIGHT_ROWS * (asset + 1) + 1] = Row(home.negative);
        self.rules
            .homes
            .set(asset + 1, home.positive.kernel_tiers());
        self.rules.uncounted_gain[asset + 1] = home.uncounted_gain;
    }

    fn set_mark(&mut self, instrument: usize, model: &CrossMargin, market: &Market) -> Known<()> {
        let mark = model.mark_value(instrument, market)?;
        self.rules.marks[instrument] = mark;
        self.rules.order_scale[instrument] = model.order_scale(instrument, market, &mark);
        self.ordered[instrument] = true;
        Ok(())
    }
}
