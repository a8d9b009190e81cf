//! How far accounts were from the edge when all were last looked at, so that small moves need no second look at their legs.
//!
//! Of every row of the tables there is a scale: how much one unit of it can matter to health. Where no row moves by more
//! than a share `s` of its scale, no account's health moves by more than `s` times the sum of its quantities times their
//! scales: collateral is weighed by a broken line, and a worst loss, a quantile and the mean of a tail move by no more than the
//! losses they are made of, whichever groups pay for each other. So an account whose health was a larger share of that
//! sum is on the same side of 0 still.

use std::sync::{Arc, Mutex};

use crate::book::BLOCK;
use crate::kernel::{
    BlockResults, BlockTable, BlockUnits, Row, RowId, Scratch, Simd, charge, column,
    contract_block, result,
};
use crate::layout::IsolatedPosition;
use crate::risk::RiskTable;
use crate::risk_layout::loss_row;
use crate::risk_report::RiskInputs;
use crate::table::{LegKind, Rows};

/// A scale is at least so many times what f64 makes of its row's figures.
const MADE_OF_ERRORS: f64 = 1e6;

/// More than what f64 is off by in the sum of scales and in health, then and now, as a share of the sum.
const LOST: f64 = 1e-5;

/// A smaller sum of scales may be made of what underflow has lost.
const LEAST: f64 = 1e-100;

/// What a model keeps of one book.
#[derive(Debug, Default)]
pub(crate) struct KeptReserves(Mutex<Option<Kept>>);

#[derive(Debug)]
struct Kept {
    /// Of the layout of that book; held, so that no other has its address.
    of: Arc<Vec<IsolatedPosition>>,
    reserves: Option<Reserves>,
}

impl Clone for KeptReserves {
    /// Of a copied model nothing is kept yet.
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What is kept of a book.
pub(super) enum Seen {
    /// Nothing: it was not asked about.
    Never,
    /// That it was asked about.
    Once,
    Often(Reserves),
}

impl KeptReserves {
    /// Takes what is kept of a book.
    pub(super) fn take(&self, of: &Arc<Vec<IsolatedPosition>>) -> Seen {
        // A lock that is held (or was, when this process was forked) is no reason to wait.
        match self.0.try_lock().ok().and_then(|mut kept| kept.take()) {
            Some(kept) if Arc::ptr_eq(&kept.of, of) => {
                kept.reserves.map_or(Seen::Once, Seen::Often)
            }
            _ => Seen::Never,
        }
    }

    /// Keeps reserves, or that a book was asked about.
    pub(super) fn keep(&self, of: &Arc<Vec<IsolatedPosition>>, reserves: Option<Reserves>) {
        if let Ok(mut kept) = self.0.try_lock() {
            let of = Arc::clone(of);
            *kept = Some(Kept { of, reserves });
        }
    }
}

/// Tables as they were, and how far each account was from the edge.
#[derive(Debug)]
pub(super) struct Reserves {
    rows: Vec<Row>,
    weights: Vec<Row>,
    risk: Arc<RiskTable>,
    /// By row.
    scales: Vec<f64>,
    /// By account, health as a share of the sum of its scales; no number where nothing is known.
    pub(super) shares: Vec<f32>,
    /// How many accounts were looked at since then, one by one.
    looked_at: usize,
}

impl Reserves {
    /// What can be known of a book's accounts, and nothing of any yet; none if a row may count for more than f64 holds.
    pub(super) fn new(inputs: &RiskInputs<'_>, accounts: usize) -> Option<Self> {
        let net = Net::of(&inputs.table.weights);
        let mut scales = vec![0.0; inputs.table.rows.len()];
        for (row, instrument) in used(inputs) {
            let largest = |table: &RiskTable, instrument: usize| {
                let sets = table.sets.iter();
                let charges = sets.map(|set| set.losses.charges(loss_row(instrument)));
                charges.fold(0.0, |most, charges| {
                    larger(
                        most,
                        charges[charge::REACH] + of_error(charges[charge::BOUND]),
                    )
                })
            };
            let loss = instrument.map_or(0.0, |instrument| largest(&inputs.risk_table, instrument));
            scales[row] = net.scale(&inputs.table.rows[row]) + loss;
        }
        (scales.iter().all(|scale| scale.is_finite())).then(|| Self {
            rows: inputs.table.rows.clone(),
            weights: inputs.table.weights.clone(),
            risk: Arc::clone(&inputs.risk_table),
            scales,
            shares: vec![f32::NAN; accounts],
            looked_at: 0,
        })
    }

    /// Rows whose maintenance margin is their scale, to sum them up with, and weights of nothing.
    pub(super) fn sum_up(&self) -> (Vec<Row>, Vec<Row>) {
        let margin = |&scale: &f64| {
            let mut row = Row::default();
            row.0[column::MAINTENANCE_MARGIN] = scale;
            row
        };
        let rows = self.scales.iter().map(margin).collect();
        (rows, vec![Row::default(); self.weights.len()])
    }

    /// By which share of its scale a row has moved since, at most.
    pub(super) fn moved(&self, inputs: &RiskInputs<'_>) -> f64 {
        let net = Net::of(&inputs.table.weights);
        let turns = self.weights.iter().zip(&inputs.table.weights);
        let turned = Net::of(
            &turns
                .map(|(then, now)| apart(then, now))
                .collect::<Vec<_>>(),
        );
        let mut most = 0.0;
        for (row, instrument) in used(inputs) {
            let (then, now) = (&self.rows[row], &inputs.table.rows[row]);
            let mut moved = net.scale(&apart(then, now)) + turned.of_net(then.0[column::NET]);
            if let Some(instrument) = instrument {
                moved += losses_apart(&self.risk, &inputs.risk_table, instrument);
            }
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
    pub(super) fn settle(&self, block: usize, moved: f64, flags: &mut [bool], open: &mut Vec<u32>) {
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
    pub(super) fn outlast(&mut self, left_open: usize) -> bool {
        self.looked_at += left_open;
        self.looked_at <= self.shares.len()
    }
}

/// Of how many rows health is made, each with the instrument that it is a position in.
fn used(inputs: &RiskInputs<'_>) -> impl Iterator<Item = (usize, Option<usize>)> {
    let kinds = Rows::of(inputs.model.universe());
    (inputs.layout.used.rows.iter()).map(move |&row| match kinds.kind(row) {
        Some(LegKind::Position(position)) => (row, Some(position.instrument)),
        _ => (row, None),
    })
}

/// How far each account of a block is from the edge: its health, as a share of the sum of its scales.
pub(super) fn share_out<R: RowId>(
    units: &BlockUnits<R>,
    (rows, weights): (&[Row], &[Row]),
    scratch: &mut Scratch,
    healths: &[Row],
    shares: &mut [f32],
) {
    let mut sums = vec![Row::default(); shares.len()];
    let mut signs = vec![0; shares.len()];
    let table = BlockTable {
        charges: &[],
        rows,
        weights,
        rules: None,
    };
    let results = BlockResults {
        rows: &mut sums,
        signs: &mut signs,
    };
    // What is not finite makes a share that is no number.
    contract_block(Simd::current(), units, table, scratch, results);
    for ((share, Row(health)), Row(sum)) in shares.iter_mut().zip(healths).zip(sums) {
        let (health, sum) = (health[result::HEALTH], sum[column::MAINTENANCE_MARGIN]);
        let known = (health.abs() / sum) * (1.0 - LOST) - LOST;
        *share = if known > 0.0 && sum > LEAST {
            known.copysign(health) as f32
        } else {
            f32::NAN
        };
    }
}

/// By how much a loss in one contract has moved at most, and what that is off by.
fn losses_apart(then: &RiskTable, now: &RiskTable, instrument: usize) -> f64 {
    let row = loss_row(instrument);
    let mut most = 0.0;
    for (then, now) in then.sets.iter().zip(&now.sets) {
        let (then, now) = (&then.losses, &now.losses);
        let losses = then.losses(row).iter().zip(now.losses(row));
        let moved = losses.fold(0.0, |most, (then, now)| larger(most, (now - then).abs()));
        let error = |charges: &[f64; 8]| charges[charge::BOUND];
        let errors = (error(now.charges(row)) - error(then.charges(row))).abs();
        most = larger(most, moved + of_error(errors));
    }
    most
}

/// The larger of two; no number if one is none.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
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
        size(row) + of_error(row.0[column::BOUND]) + self.of_net(row.0[column::NET])
    }

    fn of_net(self, net: f64) -> f64 {
        (self.weight + of_error(self.error)) * net.abs()
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
