//! From packed positions and a risk table to risk rows: what a pool requires, and why.

use std::cell::RefCell;

use crate::kernel::{
    BlockUnits, Fold, NO_SCENARIO, Pools, Row, RowId, Simd, Standings, UnitFacts, UnitRisk, Units,
    charge, column, scan_again, scan_units, scan_wanted, worst_of_pools,
};
use crate::risk::{AccountRisk, Group, Offsets, RiskModel, RiskTable, SetLosses, combine};
use crate::risk_layout::is_position;

/// Columns of a risk row.
pub mod risk_column {
    /// Worst loss of the scenarios.
    pub const SCAN_RISK: usize = 0;
    /// By how much short-option minima go beyond it.
    pub const SHORT_OPTION_MINIMUM: usize = 1;
    /// For net positions beyond the market's depth.
    pub const CONCENTRATION: usize = 2;
    /// What the floor adds.
    pub const MARGIN_FLOOR: usize = 3;
    /// Number of the scenario of the largest loss; -1 if there is none.
    pub const WORST_SCENARIO: usize = 4;
    /// Their sum: maintenance margin.
    pub const REQUIREMENT: usize = 5;
    /// Initial margin.
    pub const INITIAL: usize = 6;
    /// What sums of losses and charges can be off by, [`ROUNDINGS`] not counted.
    pub(crate) const BOUND: usize = 7;
}

/// Relative error of the few operations between sums over positions and a requirement.
pub(crate) const ROUNDINGS: f64 = 1e-13;

/// A model's scenarios at one market, ready to be scanned.
#[derive(Debug)]
pub(crate) struct RiskScan<'a> {
    pub(crate) model: &'a RiskModel,
    pub(crate) table: &'a RiskTable,
}

thread_local! {
    /// Kept from block to block: risks of units that are accounts, and of parts.
    static UNIT_RISKS: RefCell<(Vec<UnitRisk>, Vec<UnitRisk>)> = RefCell::default();
}

impl<'a> RiskScan<'a> {
    pub(crate) fn new(model: &'a RiskModel, table: &'a RiskTable) -> Self {
        Self { model, table }
    }

    /// Hands on the target and risk in the first set of every unit that is an account.
    pub(crate) fn each_whole<R: RowId>(
        &self,
        units: &BlockUnits<R>,
        mut then: impl FnMut(usize, UnitRisk),
    ) {
        let set = &self.table.sets[0];
        let facts = units.whole.facts();
        let risks = |unit: usize, risk| then(facts[unit].target as usize, risk);
        scan_units(
            Simd::current(),
            &units.whole,
            &set.losses,
            set.measure,
            risks,
        );
    }

    /// The same where something may be known of units: then without bounds. Returns of how many it is too little by now.
    pub(crate) fn each_again<R: RowId>(
        &self,
        units: &BlockUnits<R>,
        standings: Standings<'_>,
        mut then: impl FnMut(usize, UnitRisk),
    ) -> usize {
        let set = &self.table.sets[0];
        let facts = units.whole.facts();
        let risks = |unit: usize, risk| then(facts[unit].target as usize, risk);
        let asked = (&set.losses, set.measure);
        scan_again(Simd::current(), &units.whole, asked, standings, risks)
    }

    /// The same of those targets that are wanted, where [`crate::kernel::LossTable::is_few`].
    pub(crate) fn each_wanted<R: RowId>(
        &self,
        units: &BlockUnits<R>,
        wanted: &[bool],
        mut then: impl FnMut(usize, UnitRisk),
    ) {
        debug_assert!(units.folds.is_empty(), "an account is one group");
        let losses = &self.table.sets[0].losses;
        let facts = units.whole.facts();
        let risks = |unit: usize, risk| then(facts[unit].target as usize, risk);
        scan_wanted(Simd::current(), &units.whole, losses, wanted, risks);
    }

    /// Raises the risk rows of a block to what one set of scenarios requires.
    pub(crate) fn add_set<R: RowId>(
        &self,
        number: usize,
        units: &BlockUnits<R>,
        first: u32,
        out: &mut [Row],
    ) {
        let set = &self.table.sets[number];
        let scenarios: Vec<u32> = (0..set.losses.scenarios() as u32).collect();
        let raise = |out: &mut [Row], at: usize, groups: &[Group<'_, f64>]| {
            let risk = combine(self.model, first, groups);
            let row = &mut out[at];
            // All else is the same in every set, and a requirement rises with the scan risk.
            if number == 0 || risk.scan_risk > row.0[risk_column::SCAN_RISK] {
                *row = risk_row(&risk, risk.requirement());
            }
        };
        if number == 0 && units.whole.len() + units.folds.len() < out.len() {
            // Accounts without positions.
            let nothing = combine::<f64>(self.model, 0, &[]);
            out.fill(risk_row(&nothing, nothing.requirement()));
        }
        UNIT_RISKS.with_borrow_mut(|(whole, parts)| {
            let scan = |units: &Units<R>, risks: &mut Vec<UnitRisk>| {
                risks.clear();
                let then = |_, risk| risks.push(risk);
                scan_units(Simd::current(), units, &set.losses, set.measure, then);
            };
            scan(&units.whole, whole);
            scan(&units.parts, parts);
            let group = |key: usize, risk: &UnitRisk, has_position: bool, losses| Group {
                key,
                loss: risk.loss,
                worst: risk.worst,
                has_position,
                charges: risk.charges,
                losses,
                scenarios: &scenarios,
            };
            // Where no asset moves in the scenarios, all units are positions.
            let assets_move = self.model.moving().is_some();
            let universe = self.model.universe();
            let has_position = |rows: &[R]| {
                !assets_move || rows.iter().any(|row| is_position(universe, row.index()))
            };
            let scan_alone = self.model.is_scan_alone() && number == 0;
            for ((facts, rows, _), risk) in units.whole.iter().zip(&*whole) {
                let at = facts.target as usize;
                if scan_alone {
                    // What `combine` says of one group.
                    out[at] = scan_row(risk);
                } else {
                    let group = group(facts.home.index(), risk, has_position(rows), &[][..]);
                    raise(out, at, &[group]);
                }
            }
            if units.folds.is_empty() {
                return;
            }
            // Parts by number: where they stand among the units.
            let mut places = vec![0; parts.len()];
            for (place, (facts, ..)) in (0_u32..).zip(units.parts.iter()) {
                places[facts.target as usize] = place;
            }
            if scan_alone {
                match self.model.parameters.offsets {
                    Offsets::None => add_up(&units.folds, &places, parts, out),
                    Offsets::Share(share) => {
                        self.add_up_shared(units, (&places, parts), share, out);
                    }
                }
                return;
            }
            let of_part = |(facts, rows, _): (UnitFacts<R>, &[R], &[f64])| {
                (facts.home.index(), has_position(rows))
            };
            let homes: Vec<(usize, bool)> = units.parts.iter().map(of_part).collect();
            let shares = matches!(self.model.parameters.offsets, Offsets::Share(_));
            let losses = if shares {
                part_losses(units, set)
            } else {
                Vec::new()
            };
            let count = scenarios.len();
            let (mut start, mut groups) = (0, Vec::new());
            for fold in &units.folds {
                groups.clear();
                for part in start..start + fold.parts as usize {
                    let place = places[part] as usize;
                    let losses = if shares {
                        &losses[part * count..(part + 1) * count]
                    } else {
                        &[]
                    };
                    let (home, has_position) = homes[place];
                    groups.push(group(home, &parts[place], has_position, losses));
                }
                start += fold.parts as usize;
                raise(out, fold.target as usize, &groups);
            }
        });
    }

    /// The risk rows of accounts of several groups, where gains pay a share of losses in a product group and nothing is
    /// charged but the worst of each of those.
    fn add_up_shared<R: RowId>(
        &self,
        units: &BlockUnits<R>,
        (places, parts): (&[u32], &[UnitRisk]),
        share: f64,
        out: &mut [Row],
    ) {
        let homes: Vec<usize> = units.parts.iter().map(|unit| unit.0.home.index()).collect();
        let product = |&place: &u32| {
            let underlying = homes[place as usize] - 1;
            self.model.parameters.product_group[underlying]
        };
        let mut pools = Pools::default();
        // Pools of each account.
        let mut counts = Vec::with_capacity(units.folds.len());
        let (mut rest, mut mine) = (places, Vec::new());
        for fold in &units.folds {
            let (of_account, others) = rest.split_at(fold.parts as usize);
            rest = others;
            mine.clear();
            mine.extend_from_slice(of_account);
            // Stable: within a group, units stay in the order of their underlyings.
            mine.sort_by_key(product);
            let before = pools.ends.len();
            for pool in mine.chunk_by(|a, b| product(a) == product(b)) {
                pools.units.extend_from_slice(pool);
                pools.ends.push(pools.units.len() as u32);
            }
            counts.push(pools.ends.len() - before);
        }
        let mut worst = Vec::new();
        let losses = &self.table.sets[0].losses;
        let simd = Simd::current();
        worst_of_pools(simd, &units.parts, &pools, losses, share, &mut worst);
        let (mut pools, mut rest) = (worst.as_slice(), places);
        for (fold, count) in units.folds.iter().zip(counts) {
            let (of_account, others) = pools.split_at(count);
            pools = others;
            let (mine, others) = rest.split_at(fold.parts as usize);
            rest = others;
            let bounds = mine
                .iter()
                .map(|&place| parts[place as usize].charges[charge::BOUND]);
            let mut sum = sum_of(of_account.iter().copied());
            sum.charges[charge::BOUND] = bounds.sum();
            out[fold.target as usize] = scan_row(&sum);
        }
    }
}

/// What an account is charged beside its legs: maintenance margin, initial margin, and what they can be off by.
pub(crate) fn charge_row([maintenance, initial, bound]: [f64; 3]) -> Row {
    let mut charge = Row::default();
    charge.0[column::MAINTENANCE_MARGIN] = maintenance;
    charge.0[column::INITIAL_MARGIN] = initial;
    charge.0[column::BOUND] = bound;
    charge
}

/// Losses of every part of a block by scenario, one part after the other.
fn part_losses<R: RowId>(units: &BlockUnits<R>, set: &SetLosses) -> Vec<f64> {
    let scenarios = set.losses.scenarios();
    let mut losses = vec![0.0; units.parts.len() * scenarios];
    for (facts, rows, quantities) in units.parts.iter() {
        let start = facts.target as usize * scenarios;
        let mine = &mut losses[start..start + scenarios];
        for (row, quantity) in rows.iter().zip(quantities) {
            for (sum, &loss) in mine.iter_mut().zip(set.losses.losses(row.index())) {
                *sum = f64::mul_add(*quantity, loss, *sum);
            }
        }
    }
    losses
}

/// The risk rows of accounts of several groups, where nothing is charged but the sum of their losses.
fn add_up(folds: &[Fold], places: &[u32], parts: &[UnitRisk], out: &mut [Row]) {
    let mut rest = places;
    for fold in folds {
        let (mine, others) = rest.split_at(fold.parts as usize);
        rest = others;
        let mine = mine.iter().map(|&place| &parts[place as usize]);
        let mut sum = sum_of(mine.clone().map(|part| (part.loss, part.worst)));
        sum.charges[charge::BOUND] = mine.map(|part| part.charges[charge::BOUND]).sum();
        out[fold.target as usize] = scan_row(&sum);
    }
}

/// The sum of some losses, and the scenario of the largest.
fn sum_of(losses: impl Iterator<Item = (f64, u32)>) -> UnitRisk {
    let mut sum = UnitRisk {
        worst: NO_SCENARIO,
        ..UnitRisk::default()
    };
    let mut top = 0.0;
    for (loss, worst) in losses {
        if loss > top {
            (top, sum.worst) = (loss, worst);
        }
        sum.loss += loss;
    }
    sum
}

/// The risk row of an account of one group, where nothing is charged but its losses.
fn scan_row(risk: &UnitRisk) -> Row {
    let mut row = Row::default();
    row.0[risk_column::SCAN_RISK] = risk.loss;
    let is_loss = risk.loss > 0.0;
    row.0[risk_column::WORST_SCENARIO] = if is_loss {
        scenario_number(risk.worst)
    } else {
        -1.0
    };
    row.0[risk_column::REQUIREMENT] = risk.loss;
    row.0[risk_column::BOUND] = risk.charges[charge::BOUND];
    row
}

fn scenario_number(worst: u32) -> f64 {
    if worst == NO_SCENARIO {
        -1.0
    } else {
        f64::from(worst)
    }
}

fn risk_row(risk: &AccountRisk<f64>, requirement: f64) -> Row {
    let mut row = Row::default();
    row.0[risk_column::SCAN_RISK] = risk.scan_risk;
    row.0[risk_column::SHORT_OPTION_MINIMUM] = risk.short_option_minimum;
    row.0[risk_column::CONCENTRATION] = risk.concentration;
    row.0[risk_column::MARGIN_FLOOR] = risk.margin_floor;
    row.0[risk_column::WORST_SCENARIO] = scenario_number(risk.worst_scenario);
    row.0[risk_column::REQUIREMENT] = requirement;
    row.0[risk_column::BOUND] = risk.bound;
    row
}
