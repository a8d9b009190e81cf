//! How far prices may move before an account can change sides: a box around the prices of now.
//!
//! Health follows prices no faster than slopes that the model's steepest weights and rates bound over the whole box. So
//! what an account is away from 0 is given out to its prices as budgets, and as long as none of them leaves its interval
//! the account cannot have changed sides. With `v` the value of one contract in the settlement asset, `X` that asset's
//! index price and `N` the net of all that is settled in it, for every `v' , X'` in the box
//!
//! ```text
//! |X' N' - X N| <= X_max |N' - N| + |N| |X' - X|
//! ```
//!
//! and the same holds of notional. Only moves that take health towards 0 use up budget: a healthy account's long
//! position is not watched upwards, unless margin could rise faster than value.

use super::reading::Inputs;
use super::table::LiveTable;
use crate::kernel::{UnitLegs, column};
use crate::market::Market;
use crate::model::{AssetSlopes, Steepness};
use crate::table::LegKind;
use crate::universe::Universe;

/// Which way an account may change sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is healthy, and watched for becoming liquidatable.
    #[default]
    Falls,
    /// It is liquidatable, and watched for recovering.
    Recovers,
}

/// What a box must keep: where health would be 0 with so much of the assets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Aim {
    pub(crate) mode: Mode,
    /// What assets count: 1, or the margin ratio that is watched.
    pub(crate) share: f64,
    /// How far it provably is from 0.
    pub(crate) slack: f64,
}

/// An interval of one price: at its ends and beyond the account must be judged again. In f32, rounded inwards: half the
/// memory is half the misses, and what that takes from an interval is nothing.
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(crate) struct Watch {
    /// See [`mark_variable`] and [`index_variable`].
    pub(crate) variable: u32,
    /// At or below.
    pub(crate) below: f32,
    /// At or above.
    pub(crate) above: f32,
}

impl Watch {
    /// `u32`s of one.
    pub(crate) const WORDS: usize = size_of::<Self>() / size_of::<u32>();
}

/// The least f32 that is no less.
pub(crate) fn upwards(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) < value {
        near.next_up()
    } else {
        near
    }
}

/// The largest f32 that is no more.
pub(crate) fn downwards(value: f64) -> f32 {
    -upwards(-value)
}

/// Roughly `value^(2/3)` of a positive number: nobody minds a few percent, and its exponent is two thirds of that of `value`.
fn two_thirds(value: f64) -> f64 {
    const THIRD_OF_BIAS: u64 = (1023 << 52) / 3;
    if value > 0.0 {
        f64::from_bits(value.to_bits() / 3 * 2 + THIRD_OF_BIAS)
    } else {
        0.0
    }
}

/// What is watched of an instrument: the value of one contract in the settlement asset, which is the mark or its reciprocal.
pub(crate) fn mark_variable(instrument: usize) -> u32 {
    instrument as u32
}

/// What is watched of an index price: itself.
pub(crate) fn index_variable(universe: &Universe, slot: usize) -> u32 {
    (universe.specs().len() + slot) as u32
}

/// Number of prices that can be watched.
pub(crate) fn variables(universe: &Universe) -> usize {
    universe.specs().len() + universe.index_count()
}

/// A settlement asset may not rise by more than this part before its accounts are judged again, so that what is settled in
/// it has a bound.
pub(super) const LARGEST_RISE: f64 = 0.125;

/// More than f64 can err in slopes and distances, relative to their parts.
pub(super) const SAFETY: f64 = 1e-9;

/// What rounding can move a price or a level by, relative to it.
const BLUR: f64 = 4.0 * f64::EPSILON;

/// The least slope where a margin ratio is watched, as a part of the other way's: a ratio is compared as it was rounded, so
/// that it can reach its level where prices take it nowhere, or away, if it was so near that rounding counts. Whether an
/// account is liquidatable is decided exactly.
const RATIO_BLUR: f64 = 64.0 * f64::EPSILON;

/// Part of the slack that is given out; the rest lets most of a box stay when one price leaves it.
const GIVEN_OUT: f64 = 0.9;

/// Less than this of what is wanted is not worth its while.
const LEAST_PART: f64 = 0.5;

/// Part of the slack that a mended box leaves over, for payments to use up.
const LEFT_OVER: f64 = 0.05;

/// Which intervals give first what others need: those that take more than so many times their part.
const RICHEST_FIRST: [f64; 3] = [2.0, 1.4, 1.0];

/// How health follows one price: per unit of it, downwards and upwards, towards 0 alone.
#[derive(Clone, Copy, Debug)]
struct Slope {
    variable: u32,
    now: f64,
    down: f64,
    up: f64,
    /// Most that it may rise.
    most_rise: f64,
    /// Its part of what is given out.
    want: f64,
    /// What the interval that was watched before takes from here, if it stays.
    kept: Option<f64>,
}

/// The box of a subject on its way: how health follows each price, and then how far each may move.
#[derive(Debug, Default)]
pub(crate) struct Boxes {
    slopes: Vec<Slope>,
    watches: Vec<Watch>,
    aim: Aim,
    /// The box of the aim before, which must be kept too.
    others: Vec<Watch>,
    /// What is left over, of each aim at least so much.
    reserve: f64,
}

impl Boxes {
    /// The box that was finished last.
    pub(crate) fn watches(&self) -> &[Watch] {
        &self.watches
    }

    /// How far from 0 health is at least wherever prices stand in the box that was finished last.
    pub(crate) fn reserve(&self) -> f64 {
        self.reserve
    }

    /// Begins anew.
    pub(crate) fn start(&mut self, aim: Aim) {
        self.reserve = f64::INFINITY;
        self.start_next(aim);
    }

    /// Begins a box that lies in the one that was finished last.
    pub(crate) fn start_within(&mut self, aim: Aim) {
        std::mem::swap(&mut self.watches, &mut self.others);
        self.start_next(aim);
    }

    fn start_next(&mut self, aim: Aim) {
        self.slopes.clear();
        self.watches.clear();
        self.aim = aim;
    }

    /// Makes the box that was finished last lie in the one before.
    pub(crate) fn finish_within(&mut self) {
        for other in self.others.drain(..) {
            let mut watches = self.watches.iter_mut();
            match watches.find(|watch| watch.variable == other.variable) {
                Some(watch) => {
                    watch.below = watch.below.max(other.below);
                    watch.above = watch.above.min(other.above);
                }
                None => self.watches.push(other),
            }
        }
    }

    /// Adds a unit.
    pub(crate) fn unit(&mut self, inputs: Inputs<'_>, legs: UnitLegs<'_, u32>, table: &LiveTable) {
        let mut gathering = Gathering {
            slopes: &mut self.slopes,
            universe: inputs.accounts.universe(),
            market: inputs.market,
            steepness: table.steepness(),
            table,
            aim: self.aim,
        };
        gathering.unit(legs);
    }

    /// Gives out the slack to the prices that health follows. Of the box `before`, what can stay stays: to move a level
    /// costs more than to judge an account.
    pub(crate) fn finish(&mut self, table: &LiveTable, before: &[Watch]) {
        let slack = self.aim.slack * (1.0 - SAFETY);
        let mut wanted = 0.0;
        for slope in &mut self.slopes {
            // A price that moves little needs little; of all splits this one wakes a random walk least often.
            let exposure = slope.down.max(slope.up) * slope.now.abs();
            slope.want = two_thirds(exposure * table.lively().of(slope.variable));
            wanted += slope.want;
        }
        if self.mend(slack, wanted, before) {
            debug_assert!(self.gives_out_no_more_than_there_is());
            return;
        }
        let given_out = if wanted > 0.0 { GIVEN_OUT } else { 0.0 };
        self.reserve = self.reserve.min((1.0 - given_out) * slack);
        for slope in &self.slopes {
            let budget = if wanted > 0.0 {
                given_out * slack * (slope.want / wanted)
            } else {
                0.0
            };
            self.watches.push(slope.watch(budget));
        }
        debug_assert!(self.gives_out_no_more_than_there_is());
    }

    /// Whether intervals and reserve together are no more than the slack.
    fn gives_out_no_more_than_there_is(&self) -> bool {
        let pairs = self.slopes.iter().zip(&self.watches);
        let used: f64 = pairs.filter_map(|(slope, watch)| slope.used(watch)).sum();
        used + self.reserve <= self.aim.slack * (1.0 + SAFETY)
    }

    /// Leaves intervals where they are but those that a price has met, which get their part anew: of what is left over, and
    /// else of the intervals that take most beyond their part.
    fn mend(&mut self, slack: f64, wanted: f64, before: &[Watch]) -> bool {
        let pairs = self.slopes.iter().zip(before);
        let is_same = before.len() == self.slopes.len()
            && pairs.fold(true, |same, (slope, watch)| {
                same & (slope.variable == watch.variable)
            });
        if !(is_same && slack > 0.0 && wanted > 0.0) {
            return false;
        }
        let (mut used, mut wants) = (0.0, 0.0);
        for (slope, watch) in self.slopes.iter_mut().zip(before) {
            slope.kept = slope.used(watch);
            match slope.kept {
                Some(budget) => used += budget,
                None => wants += slope.want,
            }
        }
        let part = GIVEN_OUT * slack / wanted;
        // A box of an account that has grown much richer would soon be met again.
        if !(used + part * wants >= 0.25 * slack && used < f64::INFINITY) {
            return false;
        }
        let mut free = slack * (1.0 - SAFETY) - used * (1.0 + SAFETY);
        let enough = |wants: f64| part * wants + LEFT_OVER * slack;
        if free < LEAST_PART * enough(wants) {
            for least in RICHEST_FIRST {
                for slope in &mut self.slopes {
                    let beyond = |kept: &f64| *kept > least * part * slope.want;
                    if free < enough(wants) && slope.kept.as_ref().is_some_and(beyond) {
                        free += slope.kept.take().unwrap_or(0.0) * (1.0 - SAFETY);
                        wants += slope.want;
                    }
                }
            }
        }
        if free < LEAST_PART * part * wants {
            return false;
        }
        let given = free.min(part * wants);
        self.reserve = self.reserve.min(free - given);
        let watches = self.slopes.iter().zip(before);
        let watches = watches.map(|(slope, watch)| match slope.kept {
            Some(_) => *watch,
            // Where nothing is wanted, 0 / 0 is nothing.
            None => slope.watch(given * (slope.want / wants)),
        });
        self.watches.extend(watches);
        true
    }
}

impl Slope {
    /// How far the price may move on so much budget.
    fn watch(&self, budget: f64) -> Watch {
        // A NaN is no licence to move.
        let budget = budget.max(0.0);
        let blur = BLUR * self.now.abs();
        let distance = |slope: f64, most: f64| {
            let distance = if slope <= 0.0 {
                f64::INFINITY
            } else {
                (budget / (slope * (1.0 + SAFETY))).max(0.0)
            };
            // What rounding blurs is not given away.
            (distance.min(most) - blur).max(0.0)
        };
        Watch {
            variable: self.variable,
            below: upwards(self.now - distance(self.down, f64::INFINITY)),
            above: downwards(self.now + distance(self.up, self.most_rise)),
        }
    }
}

impl Slope {
    /// The budget that an interval takes from here; `None` if the price has met it, or it is none from here.
    fn used(&self, watch: &Watch) -> Option<f64> {
        let (down, up) = (
            self.now - f64::from(watch.below),
            f64::from(watch.above) - self.now,
        );
        let inside = down > 0.0 && up > 0.0 && up <= self.most_rise;
        let blur = BLUR * self.now.abs();
        let budget = |slope: f64, distance: f64| {
            if slope > 0.0 {
                slope * (distance + blur) * (1.0 + SAFETY)
            } else {
                0.0
            }
        };
        inside.then(|| budget(self.down, down).max(budget(self.up, up)))
    }
}

/// Slopes on their way.
struct Gathering<'a> {
    slopes: &'a mut Vec<Slope>,
    universe: &'a Universe,
    market: &'a Market,
    steepness: &'a Steepness,
    table: &'a LiveTable,
    aim: Aim,
}

impl Gathering<'_> {
    /// Adds how health follows a price that is `now`.
    fn add(&mut self, variable: u32, now: f64, down: f64, up: f64, most_rise: f64) {
        if down == 0.0 && up == 0.0 && most_rise == f64::INFINITY {
            return;
        }
        let [down, up] = [down, up].map(|slope| match self.aim.share {
            1.0 => slope,
            _ => slope.max(RATIO_BLUR * down.max(up)),
        });
        // Instruments come once in a unit, and each in one unit; index prices come again and again.
        let is_index = variable as usize >= self.universe.specs().len();
        let mut slopes = self.slopes.iter_mut();
        let found = is_index.then(|| slopes.find(|slope| slope.variable == variable));
        match found.flatten() {
            Some(slope) => {
                slope.down += down;
                slope.up += up;
                slope.most_rise = slope.most_rise.min(most_rise);
            }
            None => self.slopes.push(Slope {
                variable,
                now,
                down,
                up,
                most_rise,
                want: 0.0,
                kept: None,
            }),
        }
    }

    /// Adds how health follows an index price.
    fn add_index(&mut self, slot: usize, (down, up): (f64, f64), most_rise: f64) {
        if slot == self.universe.numeraire() {
            return;
        }
        let now = self.market.index_price().floats()[slot];
        self.add(
            index_variable(self.universe, slot),
            now,
            down,
            up,
            most_rise,
        );
    }

    /// What value in an asset can add to what the aim counts.
    fn slopes_of(&self, asset: usize) -> AssetSlopes {
        let slopes = self.steepness.assets[asset];
        AssetSlopes {
            most: self.aim.share * slopes.most,
            least: self.aim.share * slopes.least,
            ..slopes
        }
    }

    fn unit(&mut self, unit: UnitLegs<'_, u32>) {
        let numeraire = self.universe.numeraire();
        let home = unit.home.checked_sub(1);
        let price = home.map_or(1.0, |asset| self.market.index_price().floats()[asset]);
        let highest = match home {
            Some(asset) if asset != numeraire => price * (1.0 + LARGEST_RISE),
            _ => price,
        };
        let (mut net, mut cash, mut gross, mut notional) = (0.0, 0.0, 0.0, 0.0);
        for (&row, &quantity) in unit.rows.iter().zip(unit.quantities) {
            let columns = &self.table.rows()[row as usize].0;
            let value = quantity * columns[column::NET];
            net += value;
            gross += value.abs();
            let kind = self.table.kind(row as usize);
            if kind.is_some_and(LegKind::is_netted_cash) {
                cash += value;
            }
            match kind {
                Some(LegKind::Deposit(asset) | LegKind::Loan(asset)) => {
                    self.balance(asset, quantity * columns[column::EQUITY]);
                }
                Some(LegKind::Position(position)) => {
                    notional += self.position(position.instrument, quantity, price, highest);
                }
                _ => {}
            }
        }
        if let Some(asset) = home {
            let uncounted = 1.0 - self.steepness.assets[asset].gain_share;
            let counted = net - uncounted * (net - cash).max(0.0);
            self.home(asset, (counted, gross * SAFETY), notional, price);
        }
    }

    /// A balance whose sign is known, of so much value.
    fn balance(&mut self, asset: usize, value: f64) {
        let price = self.market.index_price().floats()[asset];
        let weights = self.slopes_of(asset);
        let per_unit = |weight: f64| {
            if price > 0.0 {
                weight * value.abs() / price
            } else {
                0.0
            }
        };
        let slopes = match (self.aim.mode, value < 0.0) {
            (Mode::Falls, false) => (per_unit(weights.most), 0.0),
            (Mode::Recovers, false) => (0.0, per_unit(weights.most)),
            (Mode::Falls, true) => (0.0, per_unit(weights.debt)),
            (Mode::Recovers, true) => (per_unit(weights.debt), 0.0),
        };
        // From 0 there is no way to say how far it may rise.
        let most_rise = if price > 0.0 { f64::INFINITY } else { 0.0 };
        self.add_index(asset, slopes, most_rise);
    }

    /// A position. Returns its margin at the steepest rate, which follows the index price of the settlement asset.
    fn position(&mut self, instrument: usize, quantity: f64, price: f64, highest: f64) -> f64 {
        let spec = &self.universe.specs()[instrument];
        let asset = spec.settlement as usize;
        let weights = self.slopes_of(asset);
        let size = quantity.abs();
        let charged = !spec.is_paid_up_front() || quantity < 0.0;
        let rate = if charged {
            self.steepness.rates[instrument]
        } else {
            0.0
        };
        let mark = self.market.mark_price().floats()[instrument];
        let now: f64 = spec.price_value(mark);
        // Of a position that pays by the mark, notional is |v|; of an option it is not.
        let (follows_mark, mut margin) = if spec.is_option() {
            (0.0, 0.0)
        } else {
            (rate, rate * size * now.abs() * price)
        };
        let debt = weights.debt.max(weights.most);
        // What lowers value hurts a healthy account; what raises it heals a liquidatable one.
        let value_moves_up_to_0 = (self.aim.mode == Mode::Recovers) == (quantity > 0.0);
        let margin_moves = |up: bool| {
            let grows = up == (now >= 0.0);
            let matters = spec.allow_negative_price || grows == (self.aim.mode == Mode::Falls);
            if matters { follows_mark } else { 0.0 }
        };
        let slope = |up: bool| {
            let least = weights.least * weights.gain_share;
            let value = if up == value_moves_up_to_0 {
                debt
            } else {
                -least
            };
            (size * highest * (value + margin_moves(up))).max(0.0)
        };
        self.add(
            mark_variable(instrument),
            now,
            slope(false),
            slope(true),
            f64::INFINITY,
        );
        if spec.is_option() && rate > 0.0 {
            let multiplier = spec.contract_multiplier.float();
            margin = rate * size * multiplier * price;
            if !spec.inverse {
                let slot = self.universe.underlying_slot(spec.underlying);
                let underlying = self.market.index_price().floats()[slot];
                let slope = rate * size * multiplier * highest;
                let slopes = match self.aim.mode {
                    Mode::Falls => (0.0, slope),
                    Mode::Recovers => (slope, 0.0),
                };
                self.add_index(slot, slopes, f64::INFINITY);
                margin *= underlying;
            }
        }
        margin
    }

    /// What is netted and counted in an asset, of which `blur` may be rounding, and the margin of the positions that settle in it.
    fn home(&mut self, asset: usize, (net, blur): (f64, f64), margin: f64, price: f64) {
        if asset == self.universe.numeraire() {
            return;
        }
        if price <= 0.0 {
            self.add_index(asset, (0.0, 0.0), 0.0);
            return;
        }
        let weights = self.slopes_of(asset);
        let (low, high) = (net - blur, net + blur);
        // The net's own sign, and then margin against what the net gives.
        let along = weights.most * high.max(0.0);
        let against = if low >= 0.0 {
            (margin - weights.least * low).max(0.0)
        } else {
            weights.debt * -low + margin
        };
        let (down, up) = match self.aim.mode {
            Mode::Falls => (along, against),
            Mode::Recovers => (against, along),
        };
        let slopes = (down / price, up / price);
        self.add_index(asset, slopes, LARGEST_RISE * price);
    }
}
