//! Where the positions of an account are scanned while its collateral is summed: one table for both.

use crate::kernel::{
    BlockResults, BlockTable, BlockUnits, Charged, LossTable, RowId, Simd, WideTable, WorstLoss,
    charge, column, contract_block,
};
use crate::report::{ChargeMemory, Memory};
use crate::risk_layout::{RiskBlocks, RiskGroup, doubt_row, loss_row};
use crate::risk_report::{NO_WORST, RiskInputs, RiskOfBook, locked};
use crate::table::{LegKind, Rows};

/// As many accounts gain what a row of a wide table costs.
const ACCOUNTS_A_ROW: usize = 16;

impl RiskInputs<'_> {
    /// The losses that can be summed with collateral: of few joint scenarios of which the worst is all that is required.
    fn summed_with_collateral(&self) -> Option<&LossTable> {
        let [set] = &self.risk_table.sets[..] else {
            return None;
        };
        let is_plain = self.model.is_scan_alone() && self.model.moving().is_none();
        (is_plain && set.group == RiskGroup::Account && set.losses.is_few()).then_some(&set.losses)
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
        let Some(losses) = self.summed_with_collateral() else {
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
        let losses = self.summed_with_collateral()?;
        let are_many = accounts >= ACCOUNTS_A_ROW * self.layout.used.rows.len();
        if !(self.bounds_are_together && are_many && WideTable::pays(Simd::current(), losses)) {
            return None;
        }
        let mut wide = WideTable::new(self.table.rows.len(), losses);
        for (row, from) in self.rows() {
            wide.set_figures(row, &self.table.rows[row]);
            if let Some(from) = from {
                wide.set_losses(row, losses, from);
            }
        }
        Some(wide)
    }
}

impl RiskOfBook<'_> {
    /// Contracts a block of pools with a wide table. Accounts that are several units are scanned before: their losses are
    /// summed over all units, in another order.
    pub(crate) fn contract_wide<R: RowId>(
        &self,
        wide: &WideTable,
        number: usize,
        (units, table): (&BlockUnits<R>, BlockTable<'_>),
        memory: &mut Memory,
        results: BlockResults<'_>,
    ) -> bool {
        let Memory { scratch, charges } = memory;
        let ChargeMemory {
            worst: losses,
            wanted,
            ..
        } = charges;
        let mut figures = locked(&self.pools[number]);
        let worst = &mut *figures.worst;
        if !units.folds.is_empty() {
            wanted.clear();
            wanted.resize(worst.len(), false);
            losses.resize(worst.len(), WorstLoss::default());
            for fold in &units.folds {
                let at = fold.target as usize;
                (wanted[at], worst[at], losses[at]) = (true, NO_WORST, WorstLoss::default());
            }
            let note = |at: usize, risk| {
                (worst[at], losses[at]) = self.noted(&risk);
            };
            match &self.layouts[0].blocks {
                RiskBlocks::Narrow(packed) => {
                    self.scan.each_wanted(&packed.pools[number], wanted, note);
                }
                RiskBlocks::Wide(packed) => {
                    self.scan.each_wanted(&packed.pools[number], wanted, note);
                }
            }
        }
        let charges = Charged::Scanned(wide, losses, self.margins());
        let table = BlockTable { charges, ..table };
        let results = BlockResults { worst, ..results };
        contract_block(Simd::current(), units, table, scratch, results)
    }
}
