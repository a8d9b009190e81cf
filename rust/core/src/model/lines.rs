//! What a model's rules are as functions of an amount: lines, of which the least or the greatest counts.

use super::cross::{CrossMargin, Known, maintenance_rates};
use crate::concave::{Line, lines_of};
use crate::exact::Number;
use crate::table::Missing;

/// Which weights collateral is valued with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weights {
    Maintenance,
    #[expect(dead_code, reason = "limits")]
    Initial,
}

/// Maintenance margin of a position: the greatest of lines of its notional, and of a floor.
#[derive(Clone, Debug)]
pub(crate) struct MaintenanceLines<N> {
    /// Of notional; at least one.
    pub(crate) lines: Vec<Line<N>>,
    /// Least margin of one contract.
    pub(crate) floor: N,
}

impl CrossMargin {
    /// What a net amount of an asset counts, in asset units: the least of these lines.
    pub(crate) fn collateral_lines<N: Number>(
        &self,
        asset: usize,
        weights: Weights,
    ) -> Vec<Line<N>> {
        let (maintenance, initial) = self.haircut_weights::<N>(asset);
        let collateral = &self.collateral[asset];
        let (pieces, liability_weight) = match weights {
            Weights::Initial => (initial, &collateral.initial_liability_weight),
            Weights::Maintenance => (maintenance, &collateral.maintenance_liability_weight),
        };
        let mut lines = lines_of(&pieces);
        lines.push(Line {
            slope: N::given(liability_weight.as_ref()),
            offset: N::decimal(0.0),
        });
        lines
    }

    /// Maintenance margin of a position in an instrument.
    pub(crate) fn maintenance_lines<N: Number>(
        &self,
        instrument: usize,
    ) -> Known<MaintenanceLines<N>> {
        let margin = self.margin[instrument]
            .as_ref()
            .ok_or(Missing::Parameter(instrument))?;
        let pieces: Vec<(N, N)> = maintenance_rates(margin).collect();
        Ok(MaintenanceLines {
            lines: lines_of(&pieces),
            floor: N::given(margin.margin_floor_per_contract.as_ref()),
        })
    }
}
