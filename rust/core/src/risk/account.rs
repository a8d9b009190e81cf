//! From the risk of an account's groups to its requirement; in f64 for the kernel's results, in exact numbers for
//! decisions.

use std::cmp::Ordering;

use smallvec::SmallVec;

use super::losses::{RiskTable, SetLosses};
use super::{Offsets, RiskModel};
use crate::book::Holdings;
use crate::exact::Number;
use crate::kernel::{Measure, NO_SCENARIO, charge};
use crate::risk_layout::{LegReader, is_position};
use crate::units::Leg;

/// A requirement on its way, in any kind of number.
#[derive(Clone, Debug)]
pub(crate) struct AccountRisk<N> {
    /// Worst loss of the scenarios.
    pub(crate) scan_risk: N,
    /// By how much short-option minima go beyond it.
    pub(crate) short_option_minimum: N,
    /// For net positions beyond the market's depth.
    pub(crate) concentration: N,
    /// What the floor adds.
    pub(crate) margin_floor: N,
    /// Number of the scenario of the largest loss, counted through all sets; [`NO_SCENARIO`] if there is none.
    pub(crate) worst_scenario: u32,
    /// What f64 can be off by.
    pub(crate) bound: f64,
}

impl<N: Number> AccountRisk<N> {
    pub(crate) fn requirement(&self) -> N {
        self.scan_risk.clone()
            + self.short_option_minimum.clone()
            + self.concentration.clone()
            + self.margin_floor.clone()
    }
}

/// One group of an account's positions.
#[derive(Clone, Debug)]
pub(crate) struct Group<'a, N> {
    /// Underlying + 1, or 0 for the whole account.
    pub(crate) key: usize,
    /// The measure of its losses.
    pub(crate) loss: N,
    pub(crate) worst: u32,
    /// Whether there is a position in it, not only what is held in an asset.
    pub(crate) has_position: bool,
    /// Sums of the charge columns.
    pub(crate) charges: [N; 4],
    /// Its losses in the scenarios that are looked at, where gains on other underlyings may pay for them.
    pub(crate) losses: &'a [N],
    /// Which those are, ascending; the same for all that pay for each other.
    pub(crate) scenarios: &'a [u32],
}

/// The requirement of an account's groups, which come by ascending key.
pub(crate) fn combine<N: Number>(
    model: &RiskModel,
    first_scenario: u32,
    groups: &[Group<'_, N>],
) -> AccountRisk<N> {
    let zero = || N::decimal(0.0);
    let positive = |value: N| if value > zero() { value } else { zero() };
    let parameters = &model.parameters;
    let mut risk = AccountRisk {
        scan_risk: zero(),
        short_option_minimum: zero(),
        concentration: zero(),
        margin_floor: zero(),
        worst_scenario: NO_SCENARIO,
        bound: 0.0,
    };
    let mut largest = zero();
    // `top` is the largest loss of a scenario, which happens in `worst`.
    let mut scan = |risk: &mut AccountRisk<N>, loss: N, (top, worst): (N, u32), minimum: N| {
        if top > largest {
            largest = top;
            risk.worst_scenario = first_scenario + worst;
        }
        risk.short_option_minimum =
            risk.short_option_minimum.clone() + positive(minimum - loss.clone());
        risk.scan_risk = risk.scan_risk.clone() + loss;
    };
    let minimum = |group: &Group<'_, N>| {
        let [_, both, signed, _] = &group.charges;
        (both.clone() - signed.clone()) * N::decimal(0.5)
    };
    let product_group = |group: &Group<'_, N>| product_group(model, group.key);
    let mut by_product: SmallVec<[&Group<'_, N>; 8]> = groups.iter().collect();
    // Stable: in a product group they stay in order, on which sums in f64 depend.
    by_product.sort_by_key(|group| product_group(group));
    for mine in by_product.chunk_by(|a, b| product_group(a) == product_group(b)) {
        let least = mine.iter().fold(zero(), |sum, group| sum + minimum(group));
        match parameters.offsets {
            Offsets::Share(share) if mine.len() > 1 => {
                let share = N::decimal(share);
                let (mut loss, mut worst) = (zero(), NO_SCENARIO);
                for (place, &scenario) in mine[0].scenarios.iter().enumerate() {
                    let mut sum = zero();
                    for group in mine {
                        let one = group.losses[place].clone();
                        sum = sum
                            + if one > zero() {
                                one
                            } else {
                                one * share.clone()
                            };
                    }
                    if sum > loss {
                        (loss, worst) = (sum, scenario);
                    }
                }
                scan(&mut risk, loss.clone(), (loss, worst), least);
            }
            _ => {
                let (mut loss, mut worst, mut top) = (zero(), NO_SCENARIO, zero());
                for group in mine {
                    if group.loss > top {
                        (top, worst) = (group.loss.clone(), group.worst);
                    }
                    loss = loss + group.loss.clone();
                }
                scan(&mut risk, loss, (top, worst), least);
            }
        }
    }
    for group in groups {
        risk.bound += group.charges[charge::BOUND].float();
        let Some(underlying) = group.key.checked_sub(1) else {
            continue;
        };
        if let Some(concentration) = parameters.concentration[underlying] {
            let beyond = group.charges[charge::DELTA].magnitude() - N::decimal(concentration.depth);
            let rate = N::decimal(concentration.rate);
            risk.concentration = risk.concentration.clone() + positive(beyond) * rate;
        }
    }
    if groups.iter().any(|group| group.has_position) {
        let least = N::decimal(parameters.margin_floor);
        risk.margin_floor = positive(least - risk.requirement());
    }
    risk
}

/// The product group of a group's underlying; all positions together are one.
fn product_group(model: &RiskModel, key: usize) -> u32 {
    key.checked_sub(1)
        .map_or(0, |underlying| model.parameters.product_group[underlying])
}

/// The requirement of an account's pool, or of one of its isolated positions, on the published losses; plain code.
pub(crate) fn settle_risk<N: Number>(
    model: &RiskModel,
    table: &RiskTable,
    holdings: Holdings<'_>,
    position: Option<usize>,
) -> AccountRisk<N> {
    let mut largest: Option<AccountRisk<N>> = None;
    let mut first = 0;
    for set in &table.sets {
        let risk = settle_set::<N>(model, set, first, holdings, position);
        first += set.losses.scenarios() as u32;
        // All else is the same in every set, and a requirement rises with the scan risk.
        let larger = |other: &AccountRisk<N>| risk.scan_risk > other.scan_risk;
        if largest.as_ref().is_none_or(larger) {
            largest = Some(risk);
        }
    }
    largest.expect("at least one set")
}

fn settle_set<N: Number>(
    model: &RiskModel,
    set: &SetLosses,
    first: u32,
    holdings: Holdings<'_>,
    position: Option<usize>,
) -> AccountRisk<N> {
    let mut legs: Vec<(usize, Leg<N>)> = Vec::new();
    let reader = LegReader {
        group: set.group,
        moving: model.moving(),
        universe: model.universe(),
    };
    reader.read(holdings, position, &mut legs);
    let units: Vec<LegsOfGroup<'_, N>> = legs.chunk_by(|a, b| a.0 == b.0).collect();
    let scenarios = decisive_of_each(model, set, &units);
    let losses_of = |(unit, scenarios): (&LegsOfGroup<'_, N>, &Vec<u32>)| {
        let mut losses = vec![N::decimal(0.0); scenarios.len()];
        for (_, Leg { row, quantity }) in *unit {
            let of_one = set.losses.losses(*row);
            for (sum, &scenario) in losses.iter_mut().zip(scenarios) {
                *sum = quantity.mul_add(&N::decimal(of_one[scenario as usize]), sum);
            }
        }
        losses
    };
    let losses: Vec<Vec<N>> = units.iter().zip(&scenarios).map(losses_of).collect();
    let groups: Vec<Group<'_, N>> = units
        .iter()
        .zip(losses.iter().zip(&scenarios))
        .map(|(unit, (losses, scenarios))| {
            let (loss, worst) = if losses.len() < rank_of(set.measure) {
                // Others pay for it: its own measure is not asked for.
                (N::decimal(0.0), NO_SCENARIO)
            } else {
                measured(set.measure, scenarios, losses)
            };
            Group {
                key: unit[0].0,
                loss,
                worst,
                has_position: unit
                    .iter()
                    .any(|(_, leg)| is_position(model.universe(), leg.row)),
                charges: charges(set, unit),
                losses,
                scenarios,
            }
        })
        .collect();
    combine(model, first, &groups)
}

/// The legs of a group, each with the group's key.
type LegsOfGroup<'a, N> = &'a [(usize, Leg<N>)];

/// Sums of the charge columns of a group's legs.
fn charges<N: Number>(set: &SetLosses, unit: &[(usize, Leg<N>)]) -> [N; 4] {
    let mut charges: [N; 4] = std::array::from_fn(|_| N::decimal(0.0));
    for (_, Leg { row, quantity }) in unit {
        for (column, sum) in charges.iter_mut().enumerate() {
            let one = N::decimal(set.losses.charges(*row)[column]);
            let operand = if charge::ABSOLUTE[column] {
                quantity.magnitude()
            } else {
                quantity.clone()
            };
            *sum = operand.mul_add(&one, sum);
        }
    }
    charges
}

/// The scenarios that can matter, by group; the same for all groups that pay for each other.
fn decisive_of_each<N: Number>(
    model: &RiskModel,
    set: &SetLosses,
    units: &[LegsOfGroup<'_, N>],
) -> Vec<Vec<u32>> {
    let (pays, share) = match model.parameters.offsets {
        Offsets::None => (false, 0.0),
        Offsets::Share(share) => (true, share),
    };
    let product = |&at: &usize| product_group(model, units[at][0].0);
    let mut order: Vec<usize> = (0..units.len()).collect();
    order.sort_by_key(product);
    let mut scenarios = vec![Vec::new(); units.len()];
    for pool in order.chunk_by(|a, b| pays && product(a) == product(b)) {
        let legs: Vec<_> = pool.iter().map(|&at| units[at]).collect();
        let decisive = decisive(set, &legs, share);
        for &at in pool {
            scenarios[at].clone_from(&decisive);
        }
    }
    scenarios
}

/// The scenarios that can matter to the measure of a group, or to the worst of groups that pay for each other; ascending.
///
/// In f64 a loss is off by its bound at most, and so is the loss of any rank. What lies further below that of the rank
/// asked for than twice the bound is surely not among the largest.
fn decisive<N: Number>(set: &SetLosses, pool: &[LegsOfGroup<'_, N>], share: f64) -> Vec<u32> {
    let count = set.losses.scenarios();
    let shares = pool.len() > 1;
    let (mut sums, mut sum_error) = (vec![0.0; count], 0.0);
    for unit in pool {
        let (mut losses, mut error) = (vec![0.0; count], LOST_BY_UNDERFLOW);
        for (_, Leg { row, quantity }) in *unit {
            let quantity = quantity.float();
            for (sum, &loss) in losses.iter_mut().zip(set.losses.losses(*row)) {
                *sum = quantity.mul_add(loss, *sum);
            }
            error += 2.0 * quantity.abs() * set.losses.charges(*row)[charge::BOUND];
        }
        let mut largest = 0.0;
        for (sum, loss) in sums.iter_mut().zip(losses) {
            *sum += if shares && loss < 0.0 {
                loss * share
            } else {
                loss
            };
            largest = f64::max(largest, loss.abs());
        }
        sum_error += error + SUM_ROUNDINGS * largest;
    }
    let rank = if shares { 1 } else { rank_of(set.measure) };
    let mut sorted = sums.clone();
    let (_, at_rank, _) = sorted.select_nth_unstable_by(rank - 1, |a, b| b.total_cmp(a));
    let least = *at_rank - 2.0 * sum_error;
    (0_u32..)
        .zip(sums)
        // What is not comparable is kept.
        .filter_map(|(scenario, loss)| {
            (loss.partial_cmp(&least) != Some(Ordering::Less)).then_some(scenario)
        })
        .collect()
}

/// How many of the largest losses a measure looks at.
fn rank_of(measure: Measure) -> usize {
    match measure {
        Measure::Worst => 1,
        Measure::Quantile { rank } | Measure::Shortfall { rank } => rank,
    }
}

/// More than sums of products lose where quantities are tiny.
const LOST_BY_UNDERFLOW: f64 = 1e-190;

/// Relative error of adding up the groups of an account.
const SUM_ROUNDINGS: f64 = 1e-10;

/// The measure of some losses, at least 0, and the scenario of the largest.
fn measured<N: Number>(measure: Measure, scenarios: &[u32], losses: &[N]) -> (N, u32) {
    let zero = N::decimal(0.0);
    let mut sorted: Vec<(N, u32)> = losses
        .iter()
        .cloned()
        .zip(scenarios.iter().copied())
        .collect();
    // Descending; of equal losses the first scenario comes first.
    sorted.sort_by(|a, b| b.0.partial_cmp(&a.0).expect("numbers"));
    let worst = if sorted[0].0 > zero {
        sorted[0].1
    } else {
        NO_SCENARIO
    };
    let loss = match measure {
        Measure::Worst => sorted[0].0.clone(),
        Measure::Quantile { rank } => sorted[rank - 1].0.clone(),
        Measure::Shortfall { rank } => {
            // Ascending, as the kernel adds.
            let sum = sorted[..rank].iter().rev();
            let sum = sum.fold(zero.clone(), |sum, (loss, _)| sum + loss.clone());
            sum / N::decimal(rank as f64)
        }
    };
    (if loss > zero { loss } else { zero }, worst)
}
