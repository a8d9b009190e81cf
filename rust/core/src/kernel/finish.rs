//! What is done with the sums of a unit: nets weighed by their sign, the result row finished and written.

use super::lanes::Lanes;
use super::legs::Summed;
use super::rules::{ChargesInOrder, RuleTable, beyond_sums};
use super::{BlockResults, BlockTable, RowId, UnitFacts, WEIGHT_ROWS, column, result};

/// Columns of a result row whose sign decides something.
pub(super) const DECISIVE: u8 =
    1 << column::EQUITY | 1 << result::HEALTH | 1 << result::INITIAL_HEALTH;

/// Units that are part of an account: they are left as sums.
pub(super) const PART: u8 = 0;
/// Units that are an account: their rows are finished.
pub(super) const WHOLE: u8 = 1;
/// The same, where accounts are charged for more than their legs.
pub(super) const CHARGED: u8 = 2;
/// The same, where what they are charged is found while their legs are summed.
pub(super) const SCANNED: u8 = 3;

/// What is done with the sums of a unit. A trait, not a closure: closures would not be compiled for the instruction set.
pub(super) trait Finish<L, R> {
    fn finish(&mut self, sum: Summed<L>, rows: &[R], quantities: &[f64]);
}

/// Where rows go.
pub(super) struct Writer<'a, L, R> {
    pub(super) facts: std::slice::Iter<'a, UnitFacts<R>>,
    pub(super) table: BlockTable<'a>,
    pub(super) results: BlockResults<'a>,
    pub(super) near: &'a mut Vec<u32>,
    pub(super) poison: L,
}

/// Units whose figures are sums over legs.
pub(super) struct Sums<'w, 'a, L, R, const KIND: u8>(pub(super) &'w mut Writer<'a, L, R>);

impl<L: Lanes, R: RowId, const KIND: u8> Finish<L, R> for Sums<'_, '_, L, R, KIND> {
    #[inline(always)]
    fn finish(&mut self, sum: Summed<L>, _rows: &[R], _quantities: &[f64]) {
        let facts = self.0.facts.next().expect("as many as units");
        let figures = weigh(sum.figures, facts, self.0.table);
        let doubts = || usize::from(facts.home.index() != 0);
        let sum = Summed { figures, ..sum };
        self.0.write::<KIND>(sum, doubts, facts.target);
    }
}

/// Units that tiers, orders and the like may add to.
pub(super) struct BeyondSums<'w, 'a, L, R, const KIND: u8> {
    pub(super) writer: &'w mut Writer<'a, L, R>,
    pub(super) rules: &'a RuleTable,
    pub(super) charges: ChargesInOrder<'a>,
}

impl<L: Lanes, R: RowId, const KIND: u8> Finish<L, R> for BeyondSums<'_, '_, L, R, KIND> {
    #[inline(always)]
    fn finish(&mut self, sum: Summed<L>, rows: &[R], quantities: &[f64]) {
        let facts = self.writer.facts.next().expect("as many as units");
        let home = facts.home.index();
        let table = (self.writer.table.rows, self.rules);
        let given = sum.figures;
        let (figures, charged) =
            beyond_sums(given, rows, quantities, home, table, &mut self.charges);
        let mut weighed = weigh(figures, facts, self.writer.table);
        if !self.rules.homes.is_empty() {
            let net = figures.to_row().0[column::NET];
            weighed = self.rules.homes.add_one(home, net, weighed);
        }
        let doubts = || {
            // An amount within rounding of a threshold may owe what f64 does not see.
            let tiered = || rows.iter().any(|row| self.rules.legs.has(row.index()));
            let unseen = charged || self.rules.homes.has(home) || tiered();
            usize::from(home != 0) + usize::from(unseen) * 2
        };
        let figures = weighed;
        let sum = Summed { figures, ..sum };
        self.writer.write::<KIND>(sum, doubts, facts.target);
    }
}

impl<L: Lanes, R: RowId> Writer<'_, L, R> {
    #[inline(always)]
    fn write<const KIND: u8>(
        &mut self,
        sum: Summed<L>,
        doubts: impl FnOnce() -> usize,
        target: u32,
    ) {
        let figures = sum.figures;
        let (figures, charged) = match KIND {
            PART => {
                figures.store(&mut self.results.rows[target as usize]);
                return;
            }
            CHARGED => (self.table.charges.add_to(figures, target), true),
            SCANNED => {
                self.results.worst[target as usize] = sum.worst;
                (figures.add(sum.charged), true)
            }
            _ => (figures, false),
        };
        // What is charged may be 0 by rounding alone.
        let doubts = || doubts() + usize::from(charged) * 2;
        let row = write(figures, doubts, target, &mut self.results, self.near);
        self.poison = self.poison.poisoned_by(row);
    }
}

/// Weighs a unit's net by its sign.
#[inline(always)]
pub(super) fn weigh<L: Lanes, R: RowId>(sum: L, facts: &UnitFacts<R>, table: BlockTable<'_>) -> L {
    let home = facts.home.index();
    let [positive, negative] = &table.weights[WEIGHT_ROWS * home..WEIGHT_ROWS * (home + 1)] else {
        unreachable!("as many as asked")
    };
    let net = sum.broadcast_net();
    // One of the two parts is zero.
    let sum = net.positive_part().mul_add(L::load(positive), sum);
    net.negative_part().mul_add(L::load(negative), sum)
}

/// Finishes and writes the row of an account. `doubts` is 0 if nothing is netted, 1 if one net is, more if there is more
/// that may be 0 by rounding alone.
#[inline(always)]
pub(super) fn write<L: Lanes>(
    sum: L,
    doubts: impl FnOnce() -> usize,
    target: u32,
    results: &mut BlockResults<'_>,
    near: &mut Vec<u32>,
) -> L {
    let bound = sum.broadcast_bound();
    let row = sum.finish();
    if row.within(bound) & DECISIVE != 0 {
        note_near(&sum.to_row().0, doubts(), target, near);
    }
    results.signs[target as usize] = row.signs();
    if let Some(out) = results.rows.get_mut(target as usize) {
        row.stream(out);
    }
    row
}

/// Notes an account whose decision is not proven.
///
/// Health is surely 0, as f64 says, where nothing counts and nothing is required: assets of which all is cut off, say.
#[cold]
fn note_near(sums: &[f64; 8], doubts: usize, target: u32, near: &mut Vec<u32>) {
    let zero = |columns: &[usize]| columns.iter().all(|&column| sums[column] == 0.0);
    let nothing = zero(&[
        column::ASSETS,
        column::INITIAL_COLLATERAL,
        column::DEBTS,
        column::MAINTENANCE_MARGIN,
        column::INITIAL_MARGIN,
    ]);
    let sure = |column: usize| sums[column].abs() >= sums[column::BOUND];
    let sure_weights = doubts == 0 || doubts == 1 && sure(column::NET);
    if !(nothing && sure(column::EQUITY) && sure_weights) {
        near.push(target);
    }
}
