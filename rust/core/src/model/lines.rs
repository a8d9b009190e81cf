//! What a model's rules are as functions of an amount: lines, of which the least or the greatest counts.

use super::cross::{CrossMargin, Known, maintenance_rates};
use crate::concave::{Line, from_here, lines_of};
use crate::exact::Number;
use crate::market::Market;
use crate::table::Missing;

/// Which weights collateral is valued with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weights {
    Initial,
    Maintenance,
}

/// Maintenance margin of a position: the greatest of lines of its notional, and of a floor.
#[derive(Clone, Debug)]
pub(crate) struct MaintenanceLines<N> {
    /// Of notional; at least one.
    pub(crate) lines: Vec<Line<N>>,
    /// Least margin of one contract.
    pub(crate) floor: N,
}

/// What a net amount of an asset counts, all in the numeraire.
#[derive(Clone, Debug)]
pub(crate) struct NetLines<N> {
    /// The least of these lines of the net.
    lines: Vec<Line<N>>,
    /// Part of an unrealized gain that does not count.
    uncounted_gain: N,
}

/// By what a net moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The value of positions: what is unrealized moves too.
    Value,
    /// Cash paid in.
    Cash,
}

impl<N: Number> NetLines<N> {
    /// All of it.
    pub(crate) fn unweighed() -> Self {
        let whole = Line {
            slope: N::decimal(1.0),
            offset: N::decimal(0.0),
        };
        Self {
            lines: vec![whole],
            uncounted_gain: N::decimal(0.0),
        }
    }

    /// What a step of the net adds, from where it stands; `cash` is the part of the net that is not unrealized.
    pub(crate) fn steps(&self, step: Step, net: &N, cash: &N, lines: &mut Vec<Line<N>>) {
        lines.clear();
        let of_net = |line: &Line<N>| Line {
            slope: line.slope.clone(),
            offset: line.at(net),
        };
        lines.extend(self.lines.iter().map(of_net));
        if self.uncounted_gain > N::decimal(0.0) {
            // Of the net, and the net less the uncounted part of the gain, the smaller counts.
            let gain = net.clone() - cash.clone();
            let net = net.clone() - self.uncounted_gain.clone() * gain;
            let counted = match step {
                Step::Value => N::decimal(1.0) - self.uncounted_gain.clone(),
                Step::Cash => N::decimal(1.0),
            };
            lines.extend(self.lines.iter().map(|line| Line {
                slope: line.slope.clone() * counted.clone(),
                offset: line.at(&net),
            }));
        }
        from_here(lines);
    }
}

impl CrossMargin {
    /// What a net amount of an asset counts at its index price.
    pub(crate) fn net_lines<N: Number>(
        &self,
        asset: usize,
        market: &Market,
        weights: Weights,
    ) -> NetLines<N> {
        let price = market.index::<N>(asset).unwrap_or(N::decimal(0.0));
        let mut lines = self.collateral_lines::<N>(asset, weights);
        for line in &mut lines {
            line.offset = line.offset.clone() * price.clone();
        }
        NetLines {
            lines,
            uncounted_gain: self.home::<N>(asset + 1, market).uncounted_gain,
        }
    }

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
