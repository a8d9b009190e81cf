//! One account, leg by leg, in plain code: the scalar oracle, and where flagged accounts are redone.

use crate::book::Book;
use crate::kernel::{Row, column, result};
use crate::layout::AccountUnits;
use crate::table::{LegKind, Rows, Table};

/// One leg of a settled account.
#[derive(Clone, Copy, Debug)]
pub struct SettledLeg {
    /// What the leg is.
    pub kind: LegKind,
    /// Signed quantity.
    pub quantity: f64,
    /// Quantity times each column of its row.
    pub parts: Row,
}

/// A settled account.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// Its legs in canonical order.
    pub legs: Vec<SettledLeg>,
    /// Its result row: the same bits as the kernel's.
    pub row: Row,
}

/// Contracts, nets, weighs and sums one account.
#[must_use]
pub fn settle(book: &Book, table: &Table, account: usize) -> Settled {
    let universe = book.universe();
    let rows = Rows::of(universe);
    let mut units = AccountUnits::default();
    units.read(universe, rows, book.holdings(account));

    let mut settled = Settled::default();
    let mut total = [0.0; 8];
    for (home, legs) in units.units() {
        let mut sum = [0.0; 8];
        for leg in legs {
            let row = table.rows[leg.row].0;
            let mut parts = [0.0; 8];
            for column in 0..8 {
                let operand = if column::ABSOLUTE[column] {
                    leg.quantity.abs()
                } else {
                    leg.quantity
                };
                parts[column] = operand * row[column];
                sum[column] = operand.mul_add(row[column], sum[column]);
            }
            let what = rows
                .leg(leg.row)
                .expect("a leg never points to the all-zero row");
            settled.legs.push(SettledLeg {
                kind: what,
                quantity: leg.quantity,
                parts: Row(parts),
            });
        }
        let net = sum[column::NET];
        let weights = table.weights[2 * home + usize::from(net < 0.0)].0;
        for column in 0..8 {
            total[column] += net.mul_add(weights[column], sum[column]);
        }
    }
    total[result::COLLATERAL] = total[column::ASSETS] - total[column::DEBTS];
    total[result::HEALTH] = total[result::COLLATERAL] - total[column::MAINTENANCE_MARGIN];
    total[result::INITIAL_HEALTH] =
        total[column::INITIAL_COLLATERAL] - total[column::INITIAL_MARGIN];
    settled.row = Row(total);
    settled
}
