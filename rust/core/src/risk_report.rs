//! From a book, a risk model and a market to one result row per account, and what its portfolio risks.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::book::{BLOCK, Book, Holdings};
use crate::buffer::{Numbers, ResultRows};
use crate::error::Result;
use crate::exact::{Number, Rational};
use crate::kernel::{
    BlockResults, BlockTable, BlockUnits, Charged, FloatState, LossMargins, Row, RowId, Simd,
    UnitRisk, WideTable, WorstLoss, charge, column, contract_block, result,
};
use crate::layout::{IsolatedPosition, Layout};
use crate::market::Market;
use crate::pool::Stop;
use crate::report::{Beside, ChargeMemory, Evaluated, Memory};
use crate::risk::{LentStandings, RiskModel, RiskTable, settle_risk};
use crate::risk_inputs::RiskInputs;
use crate::risk_layout::{LegReader, LossOf, RiskBlocks, RiskGroup, RiskLayout};
use crate::risk_scan::{ROUNDINGS, RiskScan, charge_row, risk_column};
use crate::settle::Subject;
use crate::units::Leg;

/// What an evaluation of portfolio risk says.
#[derive(Debug)]
pub struct RiskEvaluated {
    /// Margin of every account.
    pub evaluated: Evaluated,
    /// Risk of every pool.
    pub pools: RiskFigures,
    /// Risk of the isolated positions.
    pub isolated: ResultRows,
    /// The losses that were used.
    pub table: Arc<RiskTable>,
}

/// What is kept of the risk of pools.
#[derive(Debug)]
pub struct RiskFigures {
    /// Number of the scenario of the largest loss; -1 if there is none.
    pub worst_scenario: Numbers,
    /// [`risk_column`]s; none where a requirement is the worst loss alone, which then is the maintenance margin.
    pub rows: Option<ResultRows>,
}

impl RiskFigures {
    fn take(accounts: usize, with_rows: bool) -> Self {
        Self {
            worst_scenario: Numbers::take(accounts),
            rows: with_rows.then(|| ResultRows::take(accounts)),
        }
    }

    /// Figures picked from these, in the order of `accounts`.
    ///
    /// # Panics
    /// If there is no such account.
    #[must_use]
    pub fn pick(&self, accounts: &[usize]) -> Self {
        let mut worst = Numbers::take(accounts.len());
        for (to, &from) in worst.iter_mut().zip(accounts) {
            *to = self.worst_scenario[from];
        }
        Self {
            worst_scenario: worst,
            rows: self.rows.as_ref().map(|rows| rows.pick(accounts)),
        }
    }

    /// Those of each block, to be written; blocks end at `ends`.
    fn blocks_mut(
        &mut self,
        ends: impl ExactSizeIterator<Item = usize>,
    ) -> Vec<Mutex<FiguresOfBlock<'_>>> {
        let mut rows = self.rows.as_mut().map(|rows| rows.rows_mut());
        let (mut worst, mut first) = (&mut *self.worst_scenario, 0);
        ends.map(|end| {
            let count = end - first;
            first = end;
            let (mine, rest) = std::mem::take(&mut worst).split_at_mut(count);
            worst = rest;
            let rows = rows.as_mut().map(|rows| {
                let (mine, rest) = std::mem::take(rows).split_at_mut(count);
                *rows = rest;
                mine
            });
            Mutex::new(FiguresOfBlock { worst: mine, rows })
        })
        .collect()
    }
}

/// [`RiskFigures`] of one block.
struct FiguresOfBlock<'a> {
    worst: &'a mut [i32],
    rows: Option<&'a mut [Row]>,
}

/// There is no loss.
const NO_WORST: i32 = -1;

/// Margin of every account by the risk of its portfolio.
///
/// # Errors
/// As [`crate::evaluate`], and as [`RiskModel::table`].
pub fn evaluate_risk(
    model: &RiskModel,
    book: &Book,
    market: &Market,
    stop: Stop<'_>,
) -> Result<RiskEvaluated> {
    let _state = FloatState::standard();
    let mut inputs = RiskInputs::new(model, book, market, &mut *stop)?;
    inputs.bound_together();
    let layout = inputs.layout;
    let mut pools = RiskFigures::take(book.accounts().len(), !model.is_scan_alone());
    let mut isolated = ResultRows::take(layout.isolated.len());
    let ends =
        (0..book.blocks().len()).map(|block| ((block + 1) * BLOCK).min(book.accounts().len()));
    let mut standings = inputs.take_standings();
    let (evaluated, outlived) = {
        let risk = RiskOfBook {
            pools: pools.blocks_mut(ends),
            isolated: isolated
                .blocks_mut(layout.isolated_ends.iter().copied())
                .map(|block| Mutex::new(block.1.rows))
                .collect(),
            wide: inputs.wide(book.accounts().len()),
            standings: standings.as_mut().map(|standings| inputs.lend(standings)),
            ..RiskOfBook::without_figures(&inputs)
        };
        let evaluated = inputs.evaluation(&risk).evaluated(stop)?;
        let outlived = risk.standings.as_ref().map_or(0, LentStandings::outlived);
        (evaluated, outlived)
    };
    inputs.keep_standings(standings, outlived);
    Ok(RiskEvaluated {
        evaluated,
        pools,
        isolated,
        table: inputs.risk_table,
    })
}

/// The risk of every account, computed block by block on the way to its result.
pub(crate) struct RiskOfBook<'a> {
    pub(crate) scan: RiskScan<'a>,
    book: &'a Book,
    layouts: &'a [Arc<RiskLayout>],
    layout: &'a Layout,
    pools: Vec<Mutex<FiguresOfBlock<'a>>>,
    isolated: Vec<Mutex<&'a mut [Row]>>,
    /// As [`RiskInputs::bounds_are_together`].
    bounds_are_together: bool,
    wide: Option<WideTable>,
    /// What is known of the book's accounts, where it is asked about again.
    standings: Option<LentStandings<'a>>,
}

impl Beside for RiskOfBook<'_> {
    fn contract<R: RowId>(
        &self,
        (number, alone): (usize, bool),
        (units, table): (&BlockUnits<R>, BlockTable<'_>),
        memory: &mut Memory,
        results: BlockResults<'_>,
    ) -> bool {
        // Accounts of several units are scanned beside: where most are, all may as well be. The bits are the same.
        let most_are_single = units.folds.len() <= units.whole.len();
        let is_plain = !alone && most_are_single && !self.book.blocks()[number].has_orders();
        if let Some(wide) = self.wide.as_ref().filter(|_| is_plain) {
            return self.contract_wide(wide, number, (units, table), memory, results);
        }
        let Memory { scratch, charges } = memory;
        let charges = self.charge(number, alone, charges);
        let table = BlockTable { charges, ..table };
        contract_block(Simd::current(), units, table, scratch, results)
    }

    fn add_exactly(&self, subject: Subject, row: &mut [Rational; 8]) {
        let holdings = self.book.holdings(subject.account);
        let risk =
            settle_risk::<Rational>(self.scan.model, self.scan.table, holdings, subject.position);
        let requirement = risk.requirement();
        let initial = self.initial(&requirement, holdings, subject.position);
        row[result::HEALTH] -= &requirement;
        row[result::INITIAL_HEALTH] -= &initial;
        row[column::MAINTENANCE_MARGIN] += requirement;
        row[column::INITIAL_MARGIN] += initial;
    }
}

impl<'a> RiskOfBook<'a> {
    /// With no room for what [`evaluate_risk`] keeps of it.
    pub(crate) fn without_figures(inputs: &'a RiskInputs<'a>) -> Self {
        Self {
            scan: RiskScan::new(inputs.model, &inputs.risk_table),
            book: inputs.settlement.book,
            layouts: &inputs.layouts,
            layout: inputs.layout,
            pools: Vec::new(),
            isolated: Vec::new(),
            bounds_are_together: inputs.bounds_are_together,
            wide: None,
            standings: None,
        }
    }

    /// Contracts a block of pools with a wide table. Accounts that are several units are scanned before: their losses are
    /// summed over all units, in another order.
    fn contract_wide<R: RowId>(
        &self,
        wide: &WideTable,
        number: usize,
        (units, table): (&BlockUnits<R>, BlockTable<'_>),
        memory: &mut Memory,
        results: BlockResults<'_>,
    ) -> bool {
        let Memory { scratch, charges } = memory;
        let ChargeMemory {
            worst: losses,
            wanted,
            ..
        } = charges;
        let mut figures = locked(&self.pools[number]);
        let worst = &mut *figures.worst;
        if !units.folds.is_empty() {
            wanted.clear();
            wanted.resize(worst.len(), false);
            losses.resize(worst.len(), WorstLoss::default());
            for fold in &units.folds {
                let at = fold.target as usize;
                (wanted[at], worst[at], losses[at]) = (true, NO_WORST, WorstLoss::default());
            }
            let note = |at: usize, risk| {
                (worst[at], losses[at]) = self.noted(&risk);
            };
            match &self.layouts[0].blocks {
                RiskBlocks::Narrow(packed) => {
                    self.scan.each_wanted(&packed.pools[number], wanted, note);
                }
                RiskBlocks::Wide(packed) => {
                    self.scan.each_wanted(&packed.pools[number], wanted, note);
                }
            }
        }
        let charges = Charged::Scanned(wide, losses, self.margins());
        let table = BlockTable { charges, ..table };
        let results = BlockResults { worst, ..results };
        contract_block(Simd::current(), units, table, scratch, results)
    }

    /// What is added to the results of a block of pools (of isolated positions, if `alone`).
    fn charge<'m>(&self, block: usize, alone: bool, memory: &'m mut ChargeMemory) -> Charged<'m> {
        let ChargeMemory { rows, worst, .. } = memory;
        if alone {
            let mut out = locked(&self.isolated[block]);
            self.fill(block, alone, &mut out);
            self.finish(block, alone, &mut out, rows);
            return Charged::Rows(rows);
        }
        let mut figures = locked(&self.pools[block]);
        let figures = &mut *figures;
        if self.scan_plainly(block, figures.worst, worst) {
            return Charged::Worst(worst, self.margins());
        }
        RISK_ROWS.with_borrow_mut(|scratch| {
            scratch.resize(figures.worst.len(), Row::default());
            let risks = figures.rows.as_deref_mut().unwrap_or(scratch);
            self.fill(block, alone, risks);
            self.finish(block, alone, risks, rows);
            for (worst, Row(risk)) in figures.worst.iter_mut().zip(risks) {
                *worst = risk[risk_column::WORST_SCENARIO] as i32;
            }
        });
        Charged::Rows(rows)
    }

    fn initial<N: Number>(
        &self,
        requirement: &N,
        holdings: Holdings<'_>,
        position: Option<usize>,
    ) -> N {
        let factor = N::decimal(self.scan.model.parameters.initial_factor);
        let orders = ordered_risk::<N>(self.scan.table, holdings, position);
        factor * (requirement.clone() + orders)
    }

    /// Risk rows of a block's pools or isolated positions.
    fn fill(&self, block: usize, alone: bool, out: &mut [Row]) {
        let mut first = 0;
        for (number, layout) in self.layouts.iter().enumerate() {
            match &layout.blocks {
                RiskBlocks::Narrow(packed) => {
                    let units = packed.units(block, alone);
                    self.scan.add_set(number, units, first, out);
                }
                RiskBlocks::Wide(packed) => {
                    let units = packed.units(block, alone);
                    self.scan.add_set(number, units, first, out);
                }
            }
            first += self.scan.table.sets[number].losses.scenarios() as u32;
        }
    }

    /// The same where a requirement is the worst loss of one set over one group an account, and nobody has orders; false,
    /// and nothing is done, where it is not.
    fn scan_plainly(&self, block: usize, worst: &mut [i32], losses: &mut Vec<WorstLoss>) -> bool {
        let [layout] = self.layouts else {
            return false;
        };
        if !self.scan.model.is_scan_alone() || self.book.blocks()[block].has_orders() {
            return false;
        }
        match &layout.blocks {
            RiskBlocks::Narrow(packed) => {
                self.scan_whole(block, &packed.pools[block], worst, losses)
            }
            RiskBlocks::Wide(packed) => self.scan_whole(block, &packed.pools[block], worst, losses),
        }
    }

    fn scan_whole<R: RowId>(
        &self,
        block: usize,
        units: &BlockUnits<R>,
        worst: &mut [i32],
        losses: &mut Vec<WorstLoss>,
    ) -> bool {
        if !units.folds.is_empty() {
            return false;
        }
        if units.whole.len() < worst.len() {
            // Accounts without positions.
            losses.clear();
            worst.fill(NO_WORST);
        }
        // What is there already is written over.
        losses.resize(worst.len(), WorstLoss::default());
        let note = |at: usize, risk| {
            (worst[at], losses[at]) = self.noted(&risk);
        };
        match &self.standings {
            None => self.scan.each_whole(units, note),
            Some(lent) => lent.of_block(block, |standings| {
                self.scan.each_again(units, standings, note)
            }),
        }
        true
    }

    /// What is kept of the risk of an account: its worst scenario and loss.
    fn noted(&self, risk: &UnitRisk) -> (i32, WorstLoss) {
        let worst = if risk.loss > 0.0 {
            risk.worst as i32
        } else {
            NO_WORST
        };
        let loss = WorstLoss {
            loss: risk.loss,
            bound: self.bound(risk.charges[charge::BOUND]),
        };
        (worst, loss)
    }

    /// What is added to the bounds of collateral for losses that are off by so much.
    fn bound(&self, of_losses: f64) -> f64 {
        if self.bounds_are_together {
            0.0
        } else {
            of_losses
        }
    }

    /// What a worst loss requires.
    fn margins(&self) -> LossMargins {
        LossMargins {
            initial_factor: self.scan.model.parameters.initial_factor,
            roundings: ROUNDINGS,
        }
    }

    /// Initial margin and bound of risk rows, and what they charge.
    fn finish(&self, block: usize, alone: bool, rows: &mut [Row], charges: &mut Vec<Row>) {
        let margins = self.margins();
        let ordered = self.book.blocks()[block].has_orders();
        charges.clear();
        charges.reserve(rows.len());
        for (at, Row(risk)) in rows.iter_mut().enumerate() {
            let requirement = risk[risk_column::REQUIREMENT];
            let initial = if ordered {
                self.initial_of(block, alone, at, &requirement)
            } else {
                margins.initial_factor * requirement
            };
            let own = self.bound(risk[risk_column::BOUND]);
            let bound = margins.bound(own, requirement, initial);
            risk[risk_column::INITIAL] = initial;
            risk[risk_column::BOUND] = bound;
            charges.push(charge_row([requirement, initial, bound]));
        }
    }

    /// Initial margin, open orders counted, of a pool or isolated position of a block.
    fn initial_of(&self, block: usize, alone: bool, at: usize, requirement: &f64) -> f64 {
        let before = block.checked_sub(1);
        let (slot, position) = if alone {
            let first = before.map_or(0, |before| self.layout.isolated_ends[before]);
            let IsolatedPosition { account, position } = self.layout.isolated[first + at];
            (account as usize % BLOCK, Some(position as usize))
        } else {
            (at, None)
        };
        self.initial(
            requirement,
            self.book.blocks()[block].holdings(slot),
            position,
        )
    }
}

fn locked<T>(of_block: &Mutex<T>) -> MutexGuard<'_, T> {
    of_block.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// Kept from block to block: risk rows that nobody else keeps.
    static RISK_ROWS: RefCell<Vec<Row>> = RefCell::default();
}

/// What open orders could add to the risk at most: the worse side of each instrument alone.
fn ordered_risk<N: Number>(
    table: &RiskTable,
    holdings: Holdings<'_>,
    position: Option<usize>,
) -> N {
    let zero = || N::decimal(0.0);
    let mut largest = zero();
    if holdings.order_instrument.is_empty() {
        return largest;
    }
    for set in &table.sets {
        let (mut sum, mut start) = (zero(), 0);
        for orders in holdings.order_instrument.chunk_by(|a, b| a == b) {
            let place = holdings.instrument.binary_search(&orders[0]).ok();
            let alone = place.filter(|&place| holdings.is_isolated(place));
            let mine = start..start + orders.len();
            start = mine.end;
            if alone != position {
                continue;
            }
            let [long, short] = set.alone(orders[0] as usize);
            let mut quantities: Vec<_> = mine
                .map(|order| holdings.order_quantity.get(order))
                .collect();
            // So that the order of the input rows changes no bit.
            quantities.sort_by(|a, b| a.float.total_cmp(&b.float));
            let (mut bids, mut asks) = (zero(), zero());
            for quantity in quantities {
                let quantity = N::given(quantity);
                if quantity > zero() {
                    bids = bids + quantity * N::decimal(long);
                } else {
                    asks = asks - quantity * N::decimal(short);
                }
            }
            sum = sum + if bids > asks { bids } else { asks };
        }
        if sum > largest {
            largest = sum;
        }
    }
    largest
}

/// What an account's pool is at risk with: each leg, its quantity, and what it loses in every scenario of all sets.
#[must_use]
pub fn pool_losses(
    model: &RiskModel,
    table: &RiskTable,
    book: &Book,
    account: usize,
) -> Vec<(LossOf, f64, Vec<f64>)> {
    let reader = LegReader {
        group: RiskGroup::Account,
        moving: model.moving(),
        universe: model.universe(),
    };
    let mut legs = Vec::new();
    reader.read::<f64>(book.holdings(account), None, &mut legs);
    let losses = |(_, leg): &(usize, Leg<f64>)| {
        let sets = table.sets.iter();
        let of_one = sets.flat_map(|set| set.losses.losses(leg.row));
        let losses = of_one.map(|loss| leg.quantity * loss).collect();
        let what = LossOf::of(model.universe(), leg.row);
        (what, leg.quantity, losses)
    };
    legs.iter().map(losses).collect()
}

/// What an account's pool or isolated position requires, line by line, in exact numbers: kind, maintenance margin, initial
/// margin.
#[must_use]
pub fn requirement_lines(
    model: &RiskModel,
    table: &RiskTable,
    book: &Book,
    Subject { account, position }: Subject,
) -> Vec<(&'static str, Rational, Rational)> {
    let holdings = book.holdings(account);
    let risk = settle_risk::<Rational>(model, table, holdings, position);
    let factor = Rational::decimal(model.parameters.initial_factor);
    let orders = ordered_risk::<Rational>(table, holdings, position);
    let zero = Rational::decimal(0.0);
    let initial = |part: &Rational| part * &factor;
    [
        (
            "scan risk",
            risk.scan_risk.clone(),
            initial(&risk.scan_risk),
        ),
        (
            "short-option minimum",
            risk.short_option_minimum.clone(),
            initial(&risk.short_option_minimum),
        ),
        (
            "concentration",
            risk.concentration.clone(),
            initial(&risk.concentration),
        ),
        (
            "margin floor",
            risk.margin_floor.clone(),
            initial(&risk.margin_floor),
        ),
        ("order risk", zero.clone(), initial(&orders)),
    ]
    .into_iter()
    .filter(|(_, maintenance, initial)| *maintenance != zero || *initial != zero)
    .collect()
}
