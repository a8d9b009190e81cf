//! Rows of a risk table: what one long contract loses, what it is charged beside, and what that may be off by.

use super::expiry::open_part;
use super::losses::MadeFor;
use super::options::OptionShocks;
use super::{RiskModel, ScenarioSet, Shocks, moving};
use crate::error::{Error, Place, Result};
use crate::kernel::math::RealRow;
use crate::kernel::{LaneWork, LossRow, LossRows, MarkValue, Measure, Simd, charge, on_lanes};
use crate::market::Market;
use crate::universe::Instrument;

/// Rows of contracts that follow one another, and of their present values where assets move.
pub(super) struct PartRows<'a> {
    /// The instrument of the first of them.
    pub(super) first: usize,
    pub(super) own: LossRows<'a>,
    /// None if no asset moves.
    pub(super) value: LossRows<'a>,
}

/// The rows of one instrument, to be set.
pub(super) struct InstrumentRows<'a> {
    pub(super) instrument: usize,
    pub(super) own: LossRow<'a>,
    /// Of its present value, where that may move apart.
    pub(super) value: Option<LossRow<'a>>,
}

impl PartRows<'_> {
    /// Takes the first `count` rows away.
    pub(super) fn take_rows(&mut self, count: usize) -> Self {
        let first = self.first;
        self.first += count;
        Self {
            first,
            own: self.own.take_rows(count),
            value: self.value.take_rows(count),
        }
    }

    /// # Panics
    /// If it is not among them.
    #[inline]
    pub(super) fn of(&mut self, instrument: usize) -> InstrumentRows<'_> {
        let at = instrument - self.first;
        InstrumentRows {
            instrument,
            own: self.own.row(at).expect("a row of every instrument"),
            value: self.value.row(at),
        }
    }
}

/// What rows are made of beside their instrument.
pub(super) struct Making<'a, H> {
    pub(super) model: &'a RiskModel,
    pub(super) market: &'a Market,
    pub(super) set: &'a ScenarioSet,
    /// What the set does to options.
    pub(super) shocks: &'a OptionShocks,
    pub(super) holder: &'a H,
    pub(super) made_for: MadeFor,
}

impl<H: Fn(usize) -> String + Sync> Making<'_, H> {
    /// Fills in the rows of an instrument that is no option.
    pub(super) fn linear(&self, mut rows: InstrumentRows<'_>) -> Result<()> {
        *rows.own.charges = [0.0; 8];
        fill(self, rows.instrument, rows.own.losses())?;
        self.complete(&mut rows, None)
    }

    /// Whether rows are complete with the losses of one contract.
    pub(super) fn is_losses_alone(&self) -> bool {
        !self.made_for.is_scanned && self.model.moving().is_none()
    }

    /// Fills in what these losses do not say; `reach` is the largest of them by size, where that is known already.
    pub(super) fn complete(&self, rows: &mut InstrumentRows<'_>, reach: Option<f64>) -> Result<()> {
        if self.is_losses_alone() {
            return Ok(());
        }
        let (model, market, set) = (self.model, self.market, self.set);
        let instrument = rows.instrument;
        moving::at_shocked_index(model, market, set, instrument, rows.own.losses());
        if self.made_for.has_orders {
            // What is bought at mark is worth what is paid: its present value cancels.
            let [long, short] = stand_alone(set.measure, rows.own.losses());
            rows.own.charges[charge::ALONE_LONG] = long;
            rows.own.charges[charge::ALONE_SHORT] = short;
        }
        moving::add_present_value(self, rows)?;
        if !self.made_for.is_scanned {
            return Ok(());
        }
        self.charge(instrument, rows.own.charges)?;
        // What moves beside has changed the losses.
        let reach = reach.filter(|_| model.moving().is_none());
        // What a contract adds to any sum, by its size: sums may cancel, their roundings do not.
        rows.own.close(reach, |charges| {
            self.bound(size(model, instrument, charges))
        });
        if let Some(value) = &mut rows.value {
            value.close(None, |charges| self.bound(charges[charge::REACH]));
        }
        Ok(())
    }

    /// What sums may be off by, for something of a size: a rounding for each position, and some for weights, sums over groups
    /// and the requirement.
    pub(super) fn bound(&self, size: f64) -> f64 {
        let error = (self.made_for.widest as f64 + 32.0) * f64::EPSILON;
        2.0 * error * size
    }

    /// Charges of one contract beside its losses.
    fn charge(&self, instrument: usize, charges: &mut [f64; 8]) -> Result<()> {
        let (model, market) = (self.model, self.market);
        let universe = model.universe();
        let spec = &universe.specs()[instrument];
        let notional = || -> Result<f64> {
            let notional = model.collateral.notional::<f64>(instrument, market);
            notional.map_err(|missing| missing.error(universe, (self.holder)(instrument)))
        };
        let rate = model.parameters.short_option_rate[instrument];
        if spec.is_option() && rate > 0.0 {
            charges[charge::SHORT_OPTION] = rate * notional()?;
            charges[charge::SHORT_OPTION_SIGNED] = charges[charge::SHORT_OPTION];
        }
        if model.parameters.concentration[spec.underlying as usize].is_some() && !spec.is_option() {
            let open = open_part(model, market, instrument, self.holder)?;
            charges[charge::DELTA] = notional()? * open;
        }
        Ok(())
    }
}

/// What one contract can add to a requirement at most, by its charges.
pub(super) fn size(model: &RiskModel, instrument: usize, charges: &[f64; 8]) -> f64 {
    let underlying = model.universe().specs()[instrument].underlying as usize;
    let concentration = model.parameters.concentration[underlying];
    let rate = concentration.map_or(0.0, |concentration| concentration.rate);
    charges[charge::REACH] + charges[charge::SHORT_OPTION] + rate * charges[charge::DELTA].abs()
}

/// Losses of one long contract in every scenario of a set.
fn fill<H: Fn(usize) -> String>(
    making: &Making<'_, H>,
    instrument: usize,
    losses: &mut [f64],
) -> Result<()> {
    let Making {
        model,
        market,
        set,
        holder,
        ..
    } = *making;
    let universe = model.universe();
    let spec = &universe.specs()[instrument];
    let Shocks { price: shocks, .. } = shocks_of(model, set, instrument, holder)?;
    let mark = model
        .collateral
        .mark_value::<f64>(instrument, market)
        .map_err(|missing| missing.error(universe, holder(instrument)))?;
    let price: f64 = market.mark(instrument).expect("there is a mark value");
    let open = open_part(model, market, instrument, holder)?;
    let contract = Contract {
        spec,
        price,
        mark,
        is_absolute: set.absolute,
    };
    let work = Fill {
        contract: &contract,
        open,
        shocks,
        weights: &set.weight,
        losses: &mut *losses,
    };
    if on_lanes(Simd::current(), work) {
        return Ok(());
    }
    let id = || universe.instruments().get(instrument).to_string();
    for (scenario, (&loss, &shock)) in losses.iter().zip(shocks).enumerate() {
        let shocked = contract.shocked(open * shock);
        if !contract.is_possible(shocked) {
            return Err(impossible(set, scenario, &id(), shocked));
        }
        finite_loss(loss, scenario, id, || holder(instrument))?;
    }
    Ok(())
}

/// A contract that is no option, at its mark.
struct Contract<'a> {
    spec: &'a Instrument,
    price: f64,
    mark: MarkValue<f64>,
    /// Whether shocks are no share of the price.
    is_absolute: bool,
}

impl Contract<'_> {
    #[inline(always)]
    fn shocked(&self, shock: f64) -> f64 {
        if self.is_absolute {
            self.price + shock
        } else {
            self.price * (1.0 + shock)
        }
    }

    #[inline(always)]
    fn is_possible(&self, shocked: f64) -> bool {
        if self.spec.is_reciprocal() {
            shocked > 0.0
        } else {
            // A linear contract may go down to nothing; below only where the instrument allows it.
            shocked >= 0.0 || self.spec.allow_negative_price
        }
    }

    /// By how much a long contract changes, in the settlement asset.
    #[inline(always)]
    fn change(&self, shock: f64) -> f64 {
        let Self { spec, price, .. } = *self;
        if spec.is_reciprocal() {
            spec.price_value(self.shocked(shock)) - self.mark.value
        } else {
            spec.price_value(if self.is_absolute {
                shock
            } else {
                price * shock
            })
        }
    }
}

/// Losses of a contract to be filled in; says whether all of them are numbers, at prices that it can have.
struct Fill<'a> {
    contract: &'a Contract<'a>,
    /// The part of a shock that is open still.
    open: f64,
    shocks: &'a [f64],
    weights: &'a [f64],
    losses: &'a mut [f64],
}

impl LaneWork for Fill<'_> {
    type Output = bool;
    #[inline(always)]
    fn run<R: RealRow>(self) -> bool {
        let Self { contract, open, .. } = self;
        let price = contract.mark.price;
        // No branch out of the loop, so that it runs in lanes.
        let mut is_fine = true;
        let shocks = self.shocks.iter().zip(self.weights);
        for (loss, (&shock, &weight)) in self.losses.iter_mut().zip(shocks) {
            let shock = open * shock;
            // Adding 0 makes -0 and 0 the same.
            *loss = -(contract.change(shock) * price) * weight + 0.0;
            is_fine &= contract.is_possible(contract.shocked(shock)) & loss.is_finite();
        }
        is_fine
    }
}

/// Shocks of what an instrument follows.
pub(super) fn shocks_of<'a>(
    model: &RiskModel,
    set: &'a ScenarioSet,
    instrument: usize,
    holder: &impl Fn(usize) -> String,
) -> Result<&'a Shocks> {
    let universe = model.universe();
    let underlying = universe.specs()[instrument].underlying as usize;
    set.shocks(underlying)
        .ok_or_else(|| without_shocks(model, instrument, holder))
}

/// The error about an instrument of whose underlying a set says nothing.
#[cold]
pub(super) fn without_shocks(
    model: &RiskModel,
    instrument: usize,
    holder: &impl Fn(usize) -> String,
) -> Error {
    let universe = model.universe();
    let underlying = universe.specs()[instrument].underlying as usize;
    Error::Parameter {
        place: Place::frame("scenarios"),
        problem: format!(
            "no shock or return of underlying {}, which {} follows{}",
            universe.underlyings().get(underlying),
            universe.instruments().get(instrument),
            held_by(&holder(instrument)),
        ),
    }
}

/// # Errors
/// A loss that is not finite.
pub(super) fn finite_loss(
    loss: f64,
    scenario: usize,
    id: impl FnOnce() -> String,
    account: impl FnOnce() -> String,
) -> Result<()> {
    if loss.is_finite() {
        return Ok(());
    }
    Err(Error::Range {
        account: account(),
        problem: format!("the loss of {} in scenario {scenario} is {loss}", id()),
    })
}

/// The end of a message about something held; `account` may be empty.
pub(super) fn held_by(account: &str) -> String {
    if account.is_empty() {
        return String::new();
    }
    format!(" and account {account} holds")
}

pub(super) fn impossible(set: &ScenarioSet, scenario: usize, id: &str, price: f64) -> Error {
    let column = if set.absolute {
        "absolute price_shock"
    } else {
        "price_shock"
    };
    Error::Parameter {
        place: Place::column("scenarios", "price_shock").row(scenario),
        problem: format!("this {column} takes {id} to a price of {price}, which it cannot have"),
    }
}

/// The measure of one contract alone, long and short.
fn stand_alone(measure: Measure, losses: &[f64]) -> [f64; 2] {
    [1.0, -1.0].map(|quantity| {
        let mut losses: Vec<f64> = losses.iter().map(|loss| quantity * loss).collect();
        let rank = match measure {
            Measure::Worst => 1,
            Measure::Quantile { rank } | Measure::Shortfall { rank } => rank,
        };
        let larger = |a: &f64, b: &f64| b.total_cmp(a);
        losses.select_nth_unstable_by(rank - 1, larger);
        let loss = if let Measure::Shortfall { .. } = measure {
            losses.truncate(rank);
            losses.sort_unstable_by(larger);
            losses.iter().sum::<f64>() / rank as f64
        } else {
            losses[rank - 1]
        };
        if loss > 0.0 { loss } else { 0.0 }
    })
}
