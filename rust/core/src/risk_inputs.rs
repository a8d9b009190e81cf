//! What an evaluation of portfolio risk needs before it looks at the first account.

use std::sync::Arc;

use crate::book::Book;
use crate::error::Result;
use crate::kernel::{Simd, WideTable, charge, column};
use crate::layout::Layout;
use crate::market::Market;
use crate::pool::Stop;
use crate::report::{Beside, Evaluation, table_of};
use crate::risk::{BookStandings, LentStandings, MadeFor, RiskModel, RiskTable, Seen, SetLosses};
use crate::risk_layout::{RiskGroup, RiskLayout, doubt_row, loss_row};
use crate::settle::Settlement;
use crate::table::{LegKind, Rows, Table};
use crate::units::Key;

/// So many accounts gain what a row of a wide table costs, as measured on `venue-1m`; all rows are cleared, held or not.
const ACCOUNTS_A_ROW: usize = 16;

/// What is prepared before the first account: prices and parameters checked, books packed, tables filled.
pub(crate) struct RiskInputs<'a> {
    pub(crate) model: &'a RiskModel,
    pub(crate) settlement: Settlement<'a>,
    /// Units that net before their collateral is weighed.
    pub(crate) layout: &'a Layout,
    /// What collateral counts.
    pub(crate) table: Table,
    /// Whether the bounds of that table hold those of losses too.
    pub(crate) bounds_are_together: bool,
    pub(crate) risk_table: Arc<RiskTable>,
    /// Positions as each set groups them.
    pub(crate) layouts: Vec<Arc<RiskLayout>>,
}

impl<'a> RiskInputs<'a> {
    pub(crate) fn new(
        model: &'a RiskModel,
        book: &'a Book,
        market: &'a Market,
        stop: Stop<'_>,
    ) -> Result<Self> {
        let key = Key::SettlementAsset;
        let settlement = Settlement::new(&model.collateral, key, book, market)?;
        let layout = book.layout(key, &mut *stop)?;
        let table = table_of(&model.collateral, key, book, market, layout)?;
        let risk_table = risk_table(model, book, market, &mut *stop)?;
        let mut layouts = Vec::with_capacity(risk_table.sets.len());
        for set in &risk_table.sets {
            layouts.push(book.risk_layout(set.group, model.moving(), &mut *stop)?);
        }
        Ok(Self {
            model,
            settlement,
            layout,
            table,
            bounds_are_together: false,
            risk_table,
            layouts,
        })
    }

    /// An evaluation with what is charged beside.
    pub(crate) fn evaluation<'e, B: Beside>(&'e self, beside: &'e B) -> Evaluation<'e, B> {
        Evaluation {
            settlement: self.settlement,
            layout: self.layout,
            table: &self.table,
            beside,
        }
    }
}

/// Where a requirement is what one set of joint scenarios says of an account, and nothing else.
impl RiskInputs<'_> {
    /// That set.
    fn joint(&self) -> Option<&SetLosses> {
        let [set] = &self.risk_table.sets[..] else {
            return None;
        };
        let is_plain = self.model.is_scan_alone() && self.model.moving().is_none();
        (is_plain && set.group == RiskGroup::Account).then_some(set)
    }

    /// Whether scanning says by how much scenarios decide, somebody is scanned so, and no price or parameter is so small or
    /// large that more than a share of it may be lost in rounding.
    fn has_standings(&self) -> bool {
        let finds = |set: &SetLosses| set.losses.finds_standings(set.measure);
        let is_plain = self.bounds_are_together && self.joint().is_some_and(finds);
        let blocks = self.settlement.book.blocks();
        is_plain
            && self.table.error_factor.is_finite()
            && blocks.iter().any(|block| !block.has_orders())
    }

    /// Takes what is kept of the book, or room for it; nothing when it is asked about for the first time.
    pub(crate) fn take_standings(&self) -> Option<BookStandings> {
        if !self.has_standings() {
            return None;
        }
        match self.model.standings.take(&self.layout.isolated) {
            Seen::Known(standings) => Some(standings),
            Seen::Before => Some(BookStandings::new(&self.risk_table, &self.layouts[0])),
            Seen::Never => None,
        }
    }

    /// Lends them to an evaluation.
    pub(crate) fn lend<'s>(&self, standings: &'s mut BookStandings) -> LentStandings<'s> {
        let instruments = &self.layouts[0].instruments;
        standings.lend(self.model, &self.risk_table, instruments)
    }

    /// Keeps them, if they are worth it after what they say did not suffice for so many; and that the book was asked about.
    pub(crate) fn keep_standings(&self, standings: Option<BookStandings>, outlived: usize) {
        if self.has_standings() {
            let lasting = |mut standings: BookStandings| {
                let lasts = standings.outlast(outlived);
                lasts.then_some(standings)
            };
            let standings = standings.and_then(lasting);
            self.model.standings.keep(&self.layout.isolated, standings);
        }
    }

    /// Rows of the block's table that somebody holds, each with the row of its losses if it has any.
    fn rows(&self) -> impl Iterator<Item = (usize, Option<usize>)> {
        let universe = self.model.universe();
        let kinds = Rows::of(universe);
        let used = self.layout.used.rows.iter().map(move |&row| {
            let losses = match kinds.kind(row) {
                Some(LegKind::Position(position)) => Some(loss_row(position.instrument)),
                _ => None,
            };
            (row, losses)
        });
        used.chain([(kinds.doubt(), Some(doubt_row(universe)))])
    }

    /// Adds what losses can be off by to the bounds of collateral, where both can be summed at once, and says so.
    pub(crate) fn bound_together(&mut self) {
        let Some(SetLosses { losses, .. }) = self.joint() else {
            return;
        };
        let factor = self.model.parameters.initial_factor;
        let bounds: Vec<_> = self
            .rows()
            .filter_map(|(row, from)| Some((row, losses.charges(from?)[charge::BOUND])))
            .collect();
        for (row, bound) in bounds {
            self.table.rows[row].0[column::BOUND] += factor * bound;
        }
        self.bounds_are_together = true;
    }

    /// The table for both, if it is worth its time for so many accounts. The answers do not depend on it.
    pub(crate) fn wide(&self, accounts: usize) -> Option<WideTable> {
        // Of few scenarios, of which the worst is asked for.
        let losses = &self.joint().filter(|set| set.losses.is_few())?.losses;
        let are_many = accounts >= ACCOUNTS_A_ROW * self.table.rows.len();
        if !(self.bounds_are_together && are_many && WideTable::pays(Simd::current(), losses)) {
            return None;
        }
        let mut wide = WideTable::new(self.table.rows.len(), losses);
        for (row, from) in self.rows() {
            wide.set_figures(row, &self.table.rows[row]);
            if let Some(from) = from {
                let bound = losses.charges(from)[charge::BOUND];
                debug_assert!(
                    self.table.rows[row].0[column::BOUND] >= bound,
                    "bounds are together"
                );
                wide.set_losses(row, losses, from);
            }
        }
        Some(wide)
    }
}

/// The losses of what a book holds.
///
/// # Errors
/// As [`RiskModel::table`].
fn risk_table(
    model: &RiskModel,
    book: &Book,
    market: &Market,
    stop: Stop<'_>,
) -> Result<Arc<RiskTable>> {
    let group = model.group(&model.parameters.sets[0]);
    let layout = book.risk_layout(group, model.moving(), &mut *stop)?;
    let holder = |instrument: usize| {
        let instrument = instrument as u32;
        let holds = (0..book.accounts().len()).find(|&account| {
            let holdings = book.holdings(account);
            let ordered = holdings.order_instrument;
            holdings.instrument.contains(&instrument) || ordered.contains(&instrument)
        });
        holds.map_or_else(String::new, |account| {
            book.accounts().get(account).to_string()
        })
    };
    let made_for = MadeFor {
        widest: layout.widest,
        has_orders: layout.has_orders,
        is_scanned: true,
    };
    model.table(market, &layout.instruments, made_for, holder, stop)
}
