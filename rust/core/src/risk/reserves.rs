//! How far accounts were from the edge when all were last looked at, so that small moves need no second look at their legs.
//!
//! Of every row of the tables there is a scale: how much one unit of it can matter to health. Where no row moves by more
//! than a share `s` of its scale, no account's health moves by more than `s` times the sum of its quantities times their
//! scales: collateral is weighed by a broken line, and a worst loss, a quantile and the mean of a tail move by no more than the
//! losses they are made of, whichever groups pay for each other. So an account whose health was a larger share of that
//! sum is on the same side of 0 still.

use std::sync::Arc;

use super::moved::{larger, largest_move};
use super::{RiskModel, RiskTable};
use crate::book::BLOCK;
use crate::kernel::{
    BlockResults, BlockTable, BlockUnits, Charged, Row, RowId, Scratch, Simd, charge, column,
    contract_block, result,
};
use crate::layout::Layout;
use crate::risk_layout::loss_row;
use crate::table::{LegKind, Rows, Table};

/// A scale is at least so many times what f64 can be off by in its row.
const MADE_OF_ERRORS: f64 = 1e6;

/// More than what f64 is off by in the sum of scales and in health, then and now, and f32 in a share, as a share of the sum.
const LOST: f64 = 1e-5;

/// A smaller sum of scales may be made of what underflow has lost.
const LEAST: f64 = 1e-100;

/// Of an account with a larger figure nothing is known: one that f64 does not hold after a move is an error.
const LARGEST: f64 = 1e250;

/// What health is made of at a market.
#[derive(Clone, Copy)]
pub(crate) struct Priced<'a> {
    /// Which rows legs read.
    pub(crate) layout: &'a Layout,
    pub(crate) model: &'a RiskModel,
    pub(crate) table: &'a Table,
    pub(crate) risk: &'a Arc<RiskTable>,
}

impl Priced<'_> {
    /// Rows that some leg reads, each with the instrument that it is a position in.
    fn rows(&self) -> impl Iterator<Item = (usize, Option<usize>)> {
        let kinds = Rows::of(self.model.universe());
        let rows = self.layout.used.rows.iter();
        rows.map(move |&row| match kinds.kind(row) {
            Some(LegKind::Position(position)) => (row, Some(position.instrument)),
            _ => (row, None),
        })
    }
}

/// Tables as they were, and how far each account was from the edge.
#[derive(Debug)]
pub(crate) struct Reserves {
    rows: Vec<Row>,
    weights: Vec<Row>,
    risk: Arc<RiskTable>,
    /// By row.
    scales: Vec<f64>,
    /// By account, health as a share of the sum of its scales; no number where nothing is known, infinite where there is
    /// nothing that could move.
    pub(crate) shares: Vec<f32>,
    /// How many accounts were looked at since then, one by one.
    looked_at: usize,
}

impl Reserves {
    /// What can be known of a book's accounts, and nothing of any yet; none if a row may count for more than f64 holds.
    pub(crate) fn new(priced: Priced<'_>, accounts: usize) -> Option<Self> {
        let Priced { table, risk, .. } = priced;
        let net = Net::of(&table.weights);
        let mut scales = vec![0.0; table.rows.len()];
        for (row, instrument) in priced.rows() {
            let loss = instrument.map_or(0.0, |instrument| largest_loss(risk, instrument));
            scales[row] = net.scale(&table.rows[row]) + loss;
        }
        (scales.iter().all(|scale| scale.is_finite())).then(|| Self {
            rows: table.rows.clone(),
            weights: table.weights.clone(),
            risk: Arc::clone(risk),
            scales,
            shares: vec![f32::NAN; accounts],
            looked_at: 0,
        })
    }

    /// Rows whose maintenance margin is their scale, to sum them up with, and weights of nothing.
    pub(crate) fn sum_up(&self) -> (Vec<Row>, Vec<Row>) {
        let margin = |&scale: &f64| {
            let mut row = Row::default();
            row.0[column::MAINTENANCE_MARGIN] = scale;
            row
        };
        let rows = self.scales.iter().map(margin).collect();
        (rows, vec![Row::default(); self.weights.len()])
    }

    /// By which share of its scale a row has moved since, at most; infinity where that is not known.
    pub(crate) fn moved(&self, priced: Priced<'_>) -> f64 {
        let Priced {
            model, table, risk, ..
        } = priced;
        // Haircuts are of the model, and there are no tiers; if weights ever moved, that would be no move of a row.
        if self.weights != table.weights {
            return f64::INFINITY;
        }
        let net = Net::of(&table.weights);
        let mut most = 0.0;
        for (row, instrument) in priced.rows() {
            let losses_apart = |instrument| losses_apart(model, (&self.risk, risk), instrument);
            let losses = instrument.map_or(0.0, losses_apart);
            let moved = net.scale(&apart(&self.rows[row], &table.rows[row])) + losses;
            if moved == 0.0 {
                continue;
            }
            let share = moved / self.scales[row];
            if share.is_nan() {
                return f64::INFINITY;
            }
            most = larger(most, share);
        }
        most
    }

    /// Flags the accounts of a block that are surely where they were; the slots of the others are left open, ascending.
    pub(crate) fn settle(&self, block: usize, moved: f64, flags: &mut [bool], open: &mut Vec<u32>) {
        open.clear();
        let shares = &self.shares[block * BLOCK..][..flags.len()];
        for ((slot, &share), flag) in (0..).zip(shares).zip(flags) {
            if moved < f64::from(share.abs()) {
                *flag = share < 0.0;
            } else {
                open.push(slot);
            }
        }
    }

    /// Notes that so many accounts were left open; whether the reserves are worth keeping.
    ///
    /// They are renewed when as many were looked at one by one as a look at all would have cost.
    pub(crate) fn outlast(&mut self, left_open: usize) -> bool {
        self.looked_at += left_open;
        self.looked_at <= self.shares.len()
    }
}

/// How far each account of a block is from the edge: its health, as a share of the sum of its scales.
pub(crate) fn share_out<R: RowId>(
    units: &BlockUnits<R>,
    (rows, weights): (&[Row], &[Row]),
    scratch: &mut Scratch,
    healths: &[Row],
    shares: &mut [f32],
) {
    let mut sums = vec![Row::default(); shares.len()];
    let mut signs = vec![0; shares.len()];
    let table = BlockTable {
        charges: Charged::Nothing,
        rows,
        weights,
        rules: None,
    };
    let results = BlockResults {
        rows: &mut sums,
        signs: &mut signs,
        ..BlockResults::default()
    };
    // What is not finite makes a share that is no number.
    contract_block(Simd::current(), units, table, scratch, results);
    for ((share, Row(figures)), Row(sum)) in shares.iter_mut().zip(healths).zip(sums) {
        let (health, sum) = (figures[result::HEALTH], sum[column::MAINTENANCE_MARGIN]);
        let known = (health.abs() / sum) * (1.0 - LOST) - LOST;
        let are_small = figures.iter().all(|figure| figure.abs() < LARGEST);
        *share = if health == 0.0 && sum == 0.0 && are_small {
            f32::INFINITY
        } else if known > 0.0 && sum > LEAST && are_small {
            known.copysign(health) as f32
        } else {
            f32::NAN
        };
    }
}

/// What one contract may lose at most, and what that is off by.
fn largest_loss(table: &RiskTable, instrument: usize) -> f64 {
    let sets = table.sets.iter();
    let charges = sets.map(|set| set.losses.charges(loss_row(instrument)));
    charges.fold(0.0, |most, charges| {
        larger(
            most,
            charges[charge::REACH] + of_error(charges[charge::BOUND]),
        )
    })
}

/// By how much a loss in one contract has moved at most, and what that is off by.
fn losses_apart(
    model: &RiskModel,
    (then, now): (&RiskTable, &RiskTable),
    instrument: usize,
) -> f64 {
    let row = loss_row(instrument);
    let mut most = 0.0;
    for (then, now) in then.sets.iter().zip(&now.sets) {
        let (then, now) = (&then.losses, &now.losses);
        let moved = largest_move(model, then, (now, 1.0), instrument);
        let error = |charges: &[f64; 8]| charges[charge::BOUND];
        let errors = (error(now.charges(row)) - error(then.charges(row))).abs();
        most = larger(most, moved + of_error(errors));
    }
    most
}

fn of_error(error: f64) -> f64 {
    MADE_OF_ERRORS * error.abs()
}

/// What one unit of a net can matter to health at most, and its error.
#[derive(Clone, Copy)]
struct Net {
    weight: f64,
    error: f64,
}

impl Net {
    fn of(weights: &[Row]) -> Self {
        let weight = weights.iter().map(size).fold(0.0, larger);
        let error = (weights.iter()).map(|row| row.0[column::BOUND].abs());
        let error = error.fold(0.0, larger);
        Self { weight, error }
    }

    /// How much one unit of a row can matter to health.
    fn scale(self, row: &Row) -> f64 {
        let of_net = self.weight + of_error(self.error);
        size(row) + of_error(row.0[column::BOUND]) + of_net * row.0[column::NET].abs()
    }
}

/// What health is made of.
fn size(Row(columns): &Row) -> f64 {
    columns[column::ASSETS].abs()
        + columns[column::DEBTS].abs()
        + columns[column::MAINTENANCE_MARGIN].abs()
}

fn apart(a: &Row, b: &Row) -> Row {
    Row(std::array::from_fn(|column| b.0[column] - a.0[column]))
}
