//! Functions in linear pieces: what a model makes of brackets, tiers, caps and floors.

use crate::exact::Number;
use crate::kernel::{Row, Tier};

/// A row of the risk table in any kind of number.
#[derive(Clone, Debug)]
pub(crate) struct RiskRow<N> {
    /// What one unit adds to each column.
    pub(crate) columns: [N; 8],
    /// What every unit beyond a threshold adds in addition, by ascending threshold.
    pub(crate) tiers: Vec<PieceTier<N>>,
}

/// See [`Tier`].
#[derive(Clone, Debug)]
pub(crate) struct PieceTier<N> {
    pub(crate) from: N,
    pub(crate) slopes: [N; 8],
}

/// A function in linear pieces: where each starts, and its slope; the first from 0.
pub(crate) type Pieces<N> = Vec<(N, N)>;

/// How a home's net is weighed.
#[derive(Clone, Debug)]
pub(crate) struct HomeWeights<N> {
    /// What one unit of positive net adds to each column; its tiers count the net in the numeraire.
    pub(crate) positive: RiskRow<N>,
    /// What one unit of negative net adds.
    pub(crate) negative: [N; 8],
    /// Part of an unrealized gain that does not count.
    pub(crate) uncounted_gain: N,
}

pub(crate) fn zeros<N: Number>() -> [N; 8] {
    std::array::from_fn(|_| N::decimal(0.0))
}

impl<N: Number> RiskRow<N> {
    pub(crate) fn new() -> Self {
        Self {
            columns: zeros(),
            tiers: Vec::new(),
        }
    }

    /// Adds a piecewise linear function of the amount to one column: `(from, slope)` by ascending `from`, the first
    /// from 0.
    pub(crate) fn add(&mut self, column: usize, pieces: &[(N, N)]) {
        self.columns[column] = pieces[0].1.clone();
        for pair in pieces.windows(2) {
            let (from, slope) = (pair[1].0.clone(), pair[1].1.clone() - pair[0].1.clone());
            if slope == N::decimal(0.0) {
                continue;
            }
            let at = self.tiers.partition_point(|tier| tier.from < from);
            if self.tiers.get(at).is_none_or(|tier| tier.from != from) {
                let slopes = zeros();
                self.tiers.insert(at, PieceTier { from, slopes });
            }
            self.tiers[at].slopes[column] = slope;
        }
    }
}

impl RiskRow<f64> {
    pub(crate) fn kernel_tiers(&self) -> impl Iterator<Item = Tier> {
        self.tiers.iter().map(|tier| Tier {
            from: tier.from,
            slopes: Row(tier.slopes),
        })
    }
}

/// Marginal rates as slopes of |quantity|: `(floor, rate)` by notional, for contracts of one `notional` each.
pub(crate) fn slopes<N: Number>(rates: impl Iterator<Item = (N, N)>, notional: &N) -> Pieces<N> {
    let mut slopes = Vec::new();
    for (floor, rate) in rates {
        let first = slopes.is_empty();
        if first {
            slopes.push((floor, rate * notional.clone()));
        } else if *notional > N::decimal(0.0) {
            slopes.push((floor / notional.clone(), rate * notional.clone()));
        }
    }
    slopes
}

/// The larger of rising pieces and `floor` per unit.
pub(crate) fn with_floor<N: Number>(pieces: Pieces<N>, floor: &N) -> Pieces<N> {
    if *floor <= pieces[0].1 {
        return pieces;
    }
    // The function beyond the k-th threshold is slope_k x amount - deduction_k.
    let mut deduction = N::decimal(0.0);
    for (at, (from, slope)) in pieces.iter().enumerate() {
        if at > 0 {
            let rise = slope.clone() - pieces[at - 1].1.clone();
            deduction = from.mul_add(&rise, &deduction);
        }
        if slope <= floor {
            continue;
        }
        let meets = deduction.clone() / (slope.clone() - floor.clone());
        if pieces.get(at + 1).is_none_or(|(next, _)| meets < *next) {
            let mut larger = vec![(N::decimal(0.0), floor.clone()), (meets, slope.clone())];
            larger.extend_from_slice(&pieces[at + 1..]);
            return larger;
        }
    }
    vec![(N::decimal(0.0), floor.clone())]
}
