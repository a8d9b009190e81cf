//! What is not a sum over legs: tiers, uncounted gains, initial margin by exposure, opening losses.
//!
//! A book or model that has none of this never comes here. All of it is added to a unit's sums before its net is
//! weighed. The formulas are generic in the number, so that `settle` runs the same ones in exact arithmetic.

use super::lanes::Lanes;
use super::{Row, RowId, column};
use crate::exact::Number;

/// What every unit of a leg or net beyond a threshold adds to the sums, in addition to what it adds anyway.
#[derive(Clone, Copy, Debug)]
pub struct Tier {
    /// The threshold, of |quantity| or of a positive net; above 0.
    pub from: f64,
    /// What is added, by column.
    pub slopes: Row,
}

/// Tiers of many rows, those of one row by ascending threshold.
#[derive(Debug, Default)]
pub struct Tiers {
    /// The lowest threshold of each row; infinite if the row has none.
    first: Vec<f64>,
    ends: Vec<u32>,
    tiers: Vec<Tier>,
}

impl Tiers {
    /// Adds the next row's tiers.
    pub fn push(&mut self, tiers: impl IntoIterator<Item = Tier>) {
        let start = self.tiers.len();
        self.tiers.extend(tiers);
        self.ends.push(self.tiers.len() as u32);
        self.first.push(
            self.tiers
                .get(start)
                .map_or(f64::INFINITY, |tier| tier.from),
        );
    }

    /// Whether no row has a tier.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tiers.is_empty()
    }

    /// The largest number of tiers that a row has.
    #[must_use]
    pub fn deepest(&self) -> usize {
        (0..self.ends.len())
            .map(|row| self.of(row).len())
            .max()
            .unwrap_or(0)
    }

    fn of(&self, row: usize) -> &[Tier] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.tiers[start as usize..self.ends[row] as usize]
    }

    /// Adds to `sum` what an amount of a row owes to its tiers.
    #[inline(always)]
    pub(super) fn add<L: Lanes>(&self, row: usize, amount: f64, mut sum: L) -> L {
        if amount > self.first[row] {
            for tier in self.of(row) {
                if amount <= tier.from {
                    break;
                }
                sum = L::splat(amount - tier.from).mul_add(L::load(&tier.slopes), sum);
            }
        }
        sum
    }
}

/// Initial margin of one instrument by exposure: marginal brackets, and a floor.
#[derive(Clone, Debug)]
pub struct InitialCurve<N> {
    /// Where each bracket starts, |quantity|, and its initial rate times the notional of a contract. Never empty.
    pub brackets: Vec<(N, N)>,
    /// Notional of one contract.
    pub notional: N,
    /// Least margin of one contract.
    pub floor: N,
}

impl<N: Number> InitialCurve<N> {
    /// Margin of an exposure where no bracket's rate counts less than `least_rate`.
    pub fn margin(&self, exposure: &N, least_rate: &N) -> N {
        let zero = N::decimal(0.0);
        let least = self.notional.clone() * least_rate.clone();
        let (mut margin, mut before) = (zero.clone(), zero);
        for (from, slope) in &self.brackets {
            if exposure <= from {
                break;
            }
            let slope = if *slope < least { &least } else { slope };
            let beyond = exposure.clone() - from.clone();
            margin = beyond.mul_add(&(slope.clone() - before), &margin);
            before = slope.clone();
        }
        let floor = self.floor.clone() * exposure.clone();
        if margin < floor { floor } else { margin }
    }
}

/// An open order: contracts, and the value of one at the limit price in the settlement asset.
#[derive(Clone, Debug)]
pub struct Order<N> {
    /// Contracts, above 0.
    pub quantity: N,
    /// Value of one long contract at the limit price.
    pub value: N,
}

/// What an instrument's orders are compared with.
#[derive(Clone, Debug)]
pub struct MarkValue<N> {
    /// Value of one long contract at mark in the settlement asset, funding not counted.
    pub value: N,
    /// Index price of the settlement asset.
    pub price: N,
}

/// What would be lost at once if the worse side's orders were filled: bids above the mark, or asks below it.
///
/// Bids come by falling value, asks by rising value.
pub fn opening_loss<N: Number>(bids: &[Order<N>], asks: &[Order<N>], mark: &MarkValue<N>) -> N {
    let zero = N::decimal(0.0);
    let mut bought = zero.clone();
    for bid in bids.iter().take_while(|bid| bid.value > mark.value) {
        let worse = bid.value.clone() - mark.value.clone();
        bought = bid.quantity.mul_add(&worse, &bought);
    }
    let mut sold = zero;
    for ask in asks.iter().take_while(|ask| ask.value < mark.value) {
        let worse = mark.value.clone() - ask.value.clone();
        sold = ask.quantity.mul_add(&worse, &sold);
    }
    let worse = if bought < sold { sold } else { bought };
    worse * mark.price.clone()
}

/// What a model says beyond sums, for one market.
#[derive(Debug, Default)]
pub struct RuleTable {
    /// Tiers of each table row.
    pub legs: Tiers,
    /// Tiers of each home's positive net.
    pub homes: Tiers,
    /// For each home, the part of an unrealized gain that does not count.
    pub uncounted_gain: Vec<f64>,
    /// For each home, the table rows of its cash: from, up to.
    pub cash_rows: Vec<(usize, usize)>,
    /// For each instrument that is charged by exposure somewhere.
    pub curves: Vec<Option<InitialCurve<f64>>>,
    /// For each instrument in which somebody has orders.
    pub marks: Vec<Option<MarkValue<f64>>>,
    /// Relative error of all roundings of a figure.
    pub error_factor: f64,
}

/// What a unit is charged for beyond its legs.
#[derive(Debug, Default)]
pub struct Charges {
    /// One per unit; empty if no unit has any.
    pub units: Vec<UnitCharges>,
    /// Those of one unit after the other.
    pub exposures: Vec<Exposure>,
    /// Those of one exposure after the other, bids before asks.
    pub orders: Vec<Order<f64>>,
}

impl Charges {
    /// Bytes held.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<UnitCharges>() * self.units.capacity()
            + size_of::<Exposure>() * self.exposures.capacity()
            + size_of::<Order<f64>>() * self.orders.capacity()
    }
}

/// The charges of one unit.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnitCharges {
    /// 1 / leverage cap, or 0.
    pub least_rate: f64,
    /// Number of its exposures.
    pub exposures: u32,
}

/// An instrument's worst position with orders filled, which initial margin is charged on.
#[derive(Clone, Copy, Debug)]
pub struct Exposure {
    /// Row of the universe.
    pub instrument: u32,
    /// Number of its bids.
    pub bids: u32,
    /// Number of its asks.
    pub asks: u32,
    /// Contracts, at least 0.
    pub quantity: f64,
    /// Contracts in all of its orders.
    pub ordered: f64,
}

/// Goes through charges unit by unit.
pub(super) struct ChargesInOrder<'a> {
    units: std::slice::Iter<'a, UnitCharges>,
    exposures: &'a [Exposure],
    orders: &'a [Order<f64>],
}

impl<'a> ChargesInOrder<'a> {
    pub(super) fn new(charges: &'a Charges) -> Self {
        Self {
            units: charges.units.iter(),
            exposures: &charges.exposures,
            orders: &charges.orders,
        }
    }

    /// Margin of the next unit's exposures with its opening losses, and their gross.
    #[inline(always)]
    fn next(&mut self, rules: &RuleTable) -> (f64, f64) {
        let Some(unit) = self.units.next() else {
            return (0.0, 0.0);
        };
        let (mine, rest) = self.exposures.split_at(unit.exposures as usize);
        self.exposures = rest;
        let (mut initial, mut gross) = (0.0, 0.0);
        for exposure in mine {
            let known = "the table was made for every exposure";
            let instrument = exposure.instrument as usize;
            let (bids, rest) = self.orders.split_at(exposure.bids as usize);
            let (asks, rest) = rest.split_at(exposure.asks as usize);
            self.orders = rest;
            // As many roundings as summands.
            let summands = f64::from(1 + unit.exposures + exposure.bids + exposure.asks);
            if exposure.quantity > 0.0 {
                let curve = rules.curves[instrument].as_ref().expect(known);
                let margin = curve.margin(&exposure.quantity, &unit.least_rate);
                initial += margin;
                gross += summands * margin;
            }
            if exposure.bids + exposure.asks > 0 {
                let mark = rules.marks[instrument].as_ref().expect(known);
                let loss = opening_loss(bids, asks, mark);
                initial += loss;
                // An order so near to the mark that rounding may hide its loss is worth what the mark is.
                let near = 2.0 * exposure.ordered * mark.value.abs() * mark.price;
                gross += summands * (loss + near);
            }
        }
        (initial, gross)
    }
}

/// Adds to a unit's sums what is not a sum over its legs. Returns too whether orders or exposures are charged, so that an
/// initial margin of 0 may be one that rounding hides.
#[inline(always)]
pub(super) fn beyond_sums<L: Lanes, R: RowId>(
    mut sum: L,
    rows: &[R],
    quantities: &[f64],
    home: usize,
    (table, rules): (&[Row], &RuleTable),
    charges: &mut ChargesInOrder<'_>,
) -> (L, bool) {
    for (row, &quantity) in rows.iter().zip(quantities) {
        sum = rules.legs.add(row.index(), quantity.abs(), sum);
    }
    let uncounted = rules.uncounted_gain[home];
    if uncounted > 0.0 {
        let (from, to) = rules.cash_rows[home];
        let mut cash = 0.0;
        for (row, &quantity) in rows.iter().zip(quantities) {
            if (from..to).contains(&row.index()) {
                cash = quantity.mul_add(table[row.index()].0[column::NET], cash);
            }
        }
        let gain = sum.to_row().0[column::NET] - cash;
        if gain > 0.0 {
            sum = sum.add(L::only(column::NET, -(uncounted * gain)));
        }
    }
    let (initial, gross) = charges.next(rules);
    if gross > 0.0 {
        sum = sum.add(L::only(column::INITIAL_MARGIN, initial));
        sum = sum.add(L::only(column::BOUND, rules.error_factor * gross));
    }
    (sum, gross > 0.0)
}
