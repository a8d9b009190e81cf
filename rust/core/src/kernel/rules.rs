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

/// Tiers of many rows: the first tier of every row, the second of every row, and so on.
#[derive(Debug, Default)]
pub struct Tiers {
    rows: usize,
    levels: Vec<Level>,
}

/// One tier of every row; a row without it has an infinite threshold.
#[derive(Debug)]
struct Level {
    from: Vec<f64>,
    slopes: Vec<Row>,
}

impl Level {
    /// Adds what an amount of a row owes, without asking whether it is beyond: cheaper than a branch that nobody can
    /// foresee.
    #[inline(always)]
    fn add<L: Lanes>(&self, row: usize, amount: f64, owed: L) -> L {
        let beyond = (amount - self.from[row]).max(0.0);
        L::splat(beyond).mul_add(L::load(&self.slopes[row]), owed)
    }
}

impl Tiers {
    /// No tiers for so many rows.
    #[must_use]
    pub fn none(rows: usize) -> Self {
        Self {
            rows,
            levels: Vec::new(),
        }
    }

    /// Sets a row's tiers, by ascending threshold.
    pub fn set(&mut self, row: usize, tiers: impl IntoIterator<Item = Tier>) {
        for level in &mut self.levels {
            level.from[row] = f64::INFINITY;
        }
        for (at, tier) in tiers.into_iter().enumerate() {
            if at == self.levels.len() {
                self.levels.push(Level {
                    from: vec![f64::INFINITY; self.rows],
                    slopes: vec![Row::default(); self.rows],
                });
            }
            let level = &mut self.levels[at];
            (level.from[row], level.slopes[row]) = (tier.from, tier.slopes);
        }
    }

    /// Whether no row has a tier.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// The largest number of tiers that a row has.
    #[must_use]
    pub fn deepest(&self) -> usize {
        self.levels.len()
    }

    /// Adds to `sum` what amounts of rows owe to their tiers: a sum for each level, level by level.
    #[inline(always)]
    fn add<L: Lanes>(&self, amounts: impl Iterator<Item = (usize, f64)> + Clone, mut sum: L) -> L {
        let further = match self.levels.as_slice() {
            [] => return sum,
            [only] => {
                let mut owed = L::zero();
                for (row, amount) in amounts {
                    owed = only.add(row, amount, owed);
                }
                return sum.add(owed);
            }
            // Two sums at once, so that additions need not wait for each other.
            [first, second, further @ ..] => {
                let (mut owed, mut owed_second) = (L::zero(), L::zero());
                for (row, amount) in amounts.clone() {
                    owed = first.add(row, amount, owed);
                    owed_second = second.add(row, amount, owed_second);
                }
                sum = sum.add(owed).add(owed_second);
                further
            }
        };
        for level in further {
            let (mut owed, mut any) = (L::zero(), false);
            for (row, amount) in amounts.clone() {
                if amount > level.from[row] {
                    any = true;
                    owed = level.add(row, amount, owed);
                }
            }
            if !any {
                // Thresholds rise from level to level.
                break;
            }
            sum = sum.add(owed);
        }
        sum
    }

    /// Whether a row has a tier.
    #[must_use]
    pub fn has(&self, row: usize) -> bool {
        self.levels
            .first()
            .is_some_and(|level| level.from[row] < f64::INFINITY)
    }

    /// Whether an amount is so near to a threshold of a row that rounding may have moved it across.
    #[must_use]
    pub fn is_near(&self, row: usize, amount: f64) -> bool {
        let near = |level: &Level| (amount - level.from[row]).abs() <= 1e-9 * amount;
        self.levels.iter().any(near)
    }

    /// Adds to `sum` what one amount of a row owes to its tiers.
    #[inline(always)]
    pub(super) fn add_one<L: Lanes>(&self, row: usize, amount: f64, sum: L) -> L {
        self.add(std::iter::once((row, amount)), sum)
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
        larger(self.floor.clone() * exposure.clone(), margin)
    }
}

/// An open order: contracts, and the value of one at the limit price in the settlement asset.
#[derive(Clone, Debug)]
pub struct Order<N> {
    /// Contracts, negative to sell.
    pub quantity: N,
    /// Value of one long contract at the limit price.
    pub value: N,
}

/// What an instrument's orders are compared with.
#[derive(Clone, Copy, Debug)]
pub struct MarkValue<N> {
    /// Value of one long contract at mark in the settlement asset, funding not counted.
    pub value: N,
    /// Index price of the settlement asset.
    pub price: N,
}

/// What would be lost at once if the worse side's orders were filled: bids above the mark, or asks below it.
pub fn opening_loss<N: Number>(orders: &[Order<N>], mark: &MarkValue<N>) -> N {
    let zero = || N::decimal(0.0);
    let (mut bought, mut sold) = (zero(), zero());
    for order in orders {
        let worse = order.value.clone() - mark.value.clone();
        let loss = larger(order.quantity.clone() * worse, zero());
        // Both sums are added to, so that there is no branch to foresee.
        let buys = order.quantity > zero();
        bought = bought + if buys { loss.clone() } else { zero() };
        sold = sold + if buys { zero() } else { loss };
    }
    larger(bought, sold) * mark.price.clone()
}

fn larger<N: Number>(a: N, b: N) -> N {
    if a > b { a } else { b }
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
    /// For each instrument in which somebody with a leverage cap is charged.
    pub curves: Vec<Option<InitialCurve<f64>>>,
    /// For each instrument; 0 where nobody has orders.
    pub marks: Vec<MarkValue<f64>>,
    /// For each instrument, the most that one contract ordered can be worth or be charged on.
    pub order_scale: Vec<f64>,
    /// Relative error of all roundings of a figure.
    pub error_factor: f64,
}

impl RuleTable {
    /// Whether nothing of it goes beyond sums but what orders and exposures are charged, which is initial margin alone.
    #[must_use]
    pub fn is_of_charges(&self) -> bool {
        let counted = |part: &f64| *part == 0.0;
        self.legs.is_empty() && self.homes.is_empty() && self.uncounted_gain.iter().all(counted)
    }
}

/// What a unit is charged for beyond its legs.
#[derive(Clone, Debug, Default)]
pub struct Charges {
    /// Number of exposures of each unit; empty if no unit has any.
    pub units: Vec<u32>,
    /// Those of one unit after the other.
    pub exposures: Vec<Exposure>,
    /// Those of one exposure after the other.
    pub orders: Vec<Order<f64>>,
    /// 1 / leverage cap of each unit, or 0; empty if no unit has a cap.
    pub least_rates: Vec<f64>,
    /// Contracts that each exposure of a unit with a cap is charged on.
    pub capped: Vec<f64>,
}

impl Charges {
    /// Bytes held.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<u32>() * self.units.capacity()
            + size_of::<Exposure>() * self.exposures.capacity()
            + size_of::<Order<f64>>() * self.orders.capacity()
            + size_of::<f64>() * (self.least_rates.capacity() + self.capped.capacity())
    }
}

/// An instrument in which an account has orders, or is charged under a leverage cap.
#[derive(Clone, Copy, Debug)]
pub struct Exposure {
    /// Row of the universe.
    pub instrument: u32,
    /// Number of its orders.
    pub orders: u32,
}

/// Goes through charges unit by unit.
pub(super) struct ChargesInOrder<'a> {
    units: std::slice::Iter<'a, u32>,
    exposures: &'a [Exposure],
    orders: &'a [Order<f64>],
    least_rates: std::slice::Iter<'a, f64>,
    capped: std::slice::Iter<'a, f64>,
}

impl<'a> ChargesInOrder<'a> {
    pub(super) fn new(charges: &'a Charges) -> Self {
        Self {
            units: charges.units.iter(),
            exposures: &charges.exposures,
            orders: &charges.orders,
            least_rates: charges.least_rates.iter(),
            capped: charges.capped.iter(),
        }
    }

    /// Margin of the next unit's exposures with its opening losses, and their gross.
    #[inline(always)]
    fn next(&mut self, rules: &RuleTable) -> (f64, f64) {
        let Some(&count) = self.units.next() else {
            return (0.0, 0.0);
        };
        let least_rate = self.least_rates.next().copied().unwrap_or(0.0);
        let (mine, rest) = self.exposures.split_at(count as usize);
        self.exposures = rest;
        let (mut initial, mut gross) = (0.0, 0.0);
        for exposure in mine {
            let instrument = exposure.instrument as usize;
            let (orders, rest) = self.orders.split_at(exposure.orders as usize);
            self.orders = rest;
            // As many roundings as summands.
            let summands = f64::from(1 + count + exposure.orders);
            if least_rate > 0.0 {
                let margin = self.capped_margin(rules, instrument, least_rate);
                initial += margin;
                gross += summands * margin;
            }
            let loss = opening_loss(orders, &rules.marks[instrument]);
            initial += loss;
            // Rounding may hide a loss where an order is near the mark, and an exposure where orders cancel a position.
            let ordered: f64 = orders.iter().map(|order| order.quantity.abs()).sum();
            gross += summands * (loss + 2.0 * ordered * rules.order_scale[instrument]);
        }
        (initial, gross)
    }

    fn capped_margin(&mut self, rules: &RuleTable, instrument: usize, least_rate: f64) -> f64 {
        let quantity = self.capped.next().expect("one for each capped exposure");
        // Without a curve nothing is charged: an option that is only bought.
        rules.curves[instrument]
            .as_ref()
            .map_or(0.0, |curve| curve.margin(quantity, &least_rate))
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
    if !rules.legs.is_empty() {
        let amounts = rows.iter().zip(quantities);
        sum = rules.legs.add(
            amounts.map(|(row, quantity)| (row.index(), quantity.abs())),
            sum,
        );
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
