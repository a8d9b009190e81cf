use std::sync::Arc;

use arrow_array::{Float64Array, Int64Array};
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;
use xmfast_core::exact::Rational;
use xmfast_core::kernel::FloatState;
use xmfast_core::{
    CrossMargin, Key, LossOf, MadeFor, Measure, Offsets, ResultRows, RiskFigures, RiskParameters,
    RiskTable, ScenarioSet, Shocks, Subject, VolatilityShock, column, evaluate_risk, liquidatable,
    pool_losses, requirement_lines, risk_column,
};

use crate::book::Book;
use crate::error::Result;
use crate::figures::{Column, Origin, arrow_stream};
use crate::lookup::instrument_row;
use crate::market::Market;
use crate::model::{LinearModel, read_collateral};
use crate::report::Report;
use crate::run::run;
use crate::universe::{Universe, id_object};
use crate::view::{self, HasRows};

/// See `xmfast.PortfolioMargin` and `xmfast.HistoricalVaR`.
#[pyclass(frozen, module = "xmfast._core")]
pub(crate) struct RiskModel {
    model: xmfast_core::RiskModel,
    collateral: Py<LinearModel>,
}

impl RiskModel {
    /// The core's model.
    pub(crate) fn core(&self) -> &xmfast_core::RiskModel {
        &self.model
    }
}

/// Instruments and assets, by row of the universe, and an array for each set.
type LabelledArrays<'py> = (
    Bound<'py, PyArray1<usize>>,
    Vec<usize>,
    Vec<Bound<'py, PyArray2<f64>>>,
);

/// Instrument or asset, what is held of it, how much, losses by scenario.
type Leg<'py> = (
    Bound<'py, PyAny>,
    &'static str,
    f64,
    Bound<'py, PyArray1<f64>>,
);

/// Price shocks and volatility shocks by scenario.
type ShockColumns = (Vec<f64>, Vec<f64>);

/// One set of scenarios as Python says it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct SetFields {
    /// `worst`, `var` or `es`, and the rank of a loss among the largest.
    measure: String,
    rank: usize,
    joint: bool,
    absolute: bool,
    volatility_absolute: bool,
    time_scaling: Option<(f64, f64, f64)>,
    volatility_floor: f64,
    weight: Vec<f64>,
    /// For every underlying that is not named.
    shocks: Option<ShockColumns>,
    /// By row of the underlying.
    named: Vec<(usize, ShockColumns)>,
}

impl SetFields {
    fn read(self, universe: &xmfast_core::Universe) -> Result<ScenarioSet> {
        let shocks = |(price, volatility): ShockColumns| Shocks { price, volatility };
        let measure = match self.measure.as_str() {
            "var" => Measure::Quantile { rank: self.rank },
            "es" => Measure::Shortfall { rank: self.rank },
            _ => Measure::Worst,
        };
        let mut set = ScenarioSet::unchecked(measure, self.joint, self.weight);
        set.absolute = self.absolute;
        set.volatility = VolatilityShock {
            absolute: self.volatility_absolute,
            time_scaling: self.time_scaling,
            floor: self.volatility_floor,
        };
        let named = self.named.into_iter();
        let named = named.map(|(underlying, columns)| (underlying, shocks(columns)));
        Ok(ScenarioSet::new(
            universe,
            self.shocks.map(shocks),
            named.collect(),
            set,
        )?)
    }
}

/// What goes with the scenarios.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Parameters {
    /// Share of gains, or None.
    offsets: Option<f64>,
    product_group: Vec<u32>,
    short_option_rate: Vec<f64>,
    concentration: Vec<Option<(f64, f64)>>,
    margin_floor: f64,
    initial_factor: f64,
    /// By asset, the underlying that it moves with.
    in_scenario: Vec<Option<usize>>,
}

#[pymethods]
impl RiskModel {
    #[new]
    fn new(
        py: Python<'_>,
        universe: &Bound<'_, Universe>,
        collateral: Option<&Bound<'_, PyAny>>,
        sets: Vec<SetFields>,
        parameters: Parameters,
    ) -> Result<Self> {
        let _state = FloatState::standard();
        let collateral = collateral.map(read_collateral).transpose()?;
        let universe = &universe.get().0;
        let collateral = CrossMargin::of_collateral(universe, collateral.as_ref())?;
        let sets = sets.into_iter().map(|set| set.read(universe));
        let concentration = parameters.concentration.into_iter();
        let parameters = RiskParameters {
            sets: sets.collect::<Result<_>>()?,
            offsets: parameters.offsets.map_or(Offsets::None, Offsets::Share),
            product_group: parameters.product_group,
            short_option_rate: parameters.short_option_rate,
            concentration: concentration
                .map(|of| of.map(|(rate, depth)| xmfast_core::Concentration { rate, depth }))
                .collect(),
            margin_floor: parameters.margin_floor,
            initial_factor: parameters.initial_factor,
            in_scenario: parameters.in_scenario,
        };
        let model = LinearModel {
            model: collateral.clone(),
            key: Key::SettlementAsset,
        };
        Ok(Self {
            model: xmfast_core::RiskModel::new(collateral, parameters)?,
            collateral: Py::new(py, model)?,
        })
    }

    fn evaluate(
        slf: &Bound<'_, Self>,
        py: Python<'_>,
        book: &Bound<'_, Book>,
        market: &Bound<'_, Market>,
    ) -> Result<(Report, Risk)> {
        let this = slf.get();
        let origin = Arc::new(Origin {
            model: this.collateral.clone_ref(py),
            book: book.clone().unbind(),
            market: market.clone().unbind(),
        });
        let (book, market) = (&book.get().0, &market.get().0);
        let found = run(py, |stop| evaluate_risk(&this.model, book, market, stop))?;
        let risk = Risk {
            figures: found.pools,
            isolated: Arc::new(found.isolated),
            table: found.table,
            model: slf.clone().unbind(),
            origin: origin.clone(),
            numbers: None,
        };
        Ok((Report::whole(found.evaluated, origin), risk))
    }

    /// Whether each account's health is below 0, shape (A,).
    fn liquidatable<'py>(
        &self,
        py: Python<'py>,
        book: &Book,
        market: &Market,
    ) -> Result<Bound<'py, PyArray1<bool>>> {
        let (book, market) = (&book.0, &market.0);
        let flags = run(py, |stop| liquidatable(&self.model, book, market, stop))?;
        Ok(flags.into_pyarray(py))
    }

    /// Losses of one long contract of every instrument that has a mark price, set by set: rows of the universe, those
    /// of the assets that move in the scenarios, and an array of shape (I, S) for each set, instruments before assets.
    fn risk_arrays<'py>(
        &self,
        py: Python<'py>,
        market: &Bound<'py, Market>,
    ) -> Result<LabelledArrays<'py>> {
        let _state = FloatState::standard();
        let market = &market.get().0;
        let (marks, speaks_of) = (market.mark_price().floats(), self.model.speaks_of());
        // Of what no scenario speaks there is nothing to say.
        let is_published = |row: &usize| !marks[*row].is_nan() && speaks_of(*row);
        let mut priced: Vec<usize> = (0..marks.len()).collect();
        priced.retain(is_published);
        let made_for = MadeFor {
            widest: 1,
            has_orders: false,
            is_scanned: false,
        };
        let (assets, rows) = RiskTable::published(&self.model, &priced);
        let is_block = rows.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        let (table, copied) = run(py, |stop| {
            let nobody = |_: usize| String::new();
            let table = self
                .model
                .table(market, &priced, made_for, nobody, &mut *stop)?;
            let copied = if is_block {
                None
            } else {
                Some(table.copied(&rows, stop)?)
            };
            Ok((table, copied))
        })?;
        let arrays = match copied {
            None => {
                let first = rows.first().copied().unwrap_or(0);
                let table = Bound::new(py, Losses(table))?;
                let sets = 0..table.get().0.sets.len();
                sets.map(|set| view::losses(&table, set, first..first + rows.len()))
                    .collect()
            }
            Some(copied) => table
                .sets
                .iter()
                .zip(copied)
                .map(|(set, losses)| {
                    let shape = (rows.len(), set.losses.scenarios());
                    let array = Array2::from_shape_vec(shape, losses)
                        .expect("a loss for every row and scenario")
                        .into_pyarray(py);
                    array.readwrite().make_nonwriteable();
                    array
                })
                .collect(),
        };
        Ok((priced.into_pyarray(py), assets, arrays))
    }
}

/// What arrays of losses are views of.
#[pyclass(frozen, module = "xmfast._core")]
pub(crate) struct Losses(pub(crate) Arc<RiskTable>);

/// See `xmfast.PortfolioReport`: what goes with the rows of a report.
#[pyclass(frozen, module = "xmfast._core")]
pub(crate) struct Risk {
    figures: RiskFigures,
    isolated: Arc<ResultRows>,
    table: Arc<RiskTable>,
    model: Py<RiskModel>,
    origin: Arc<Origin>,
    /// Numbers of the accounts in the book; `None` if they are all of them in order.
    numbers: Option<Vec<usize>>,
}

impl HasRows for Risk {
    fn result_rows(&self) -> &ResultRows {
        let rows = self.figures.rows.as_ref();
        rows.expect("asked for only where there are some")
    }
}

impl Risk {
    /// Contiguous columns of what goes with these rows of a report.
    fn columns(&self, report: &ResultRows) -> Vec<Column> {
        let values = |rows: &ResultRows, column: usize| -> Float64Array {
            rows.rows().iter().map(|row| Some(row.0[column])).collect()
        };
        let figure = |name: &'static str, figure: usize| -> Column {
            let values = match &self.figures.rows {
                Some(risk) => values(risk, figure),
                // A requirement is the worst loss alone.
                None if figure == risk_column::SCAN_RISK => {
                    values(report, column::MAINTENANCE_MARGIN)
                }
                None => vec![0.0; report.rows().len()].into(),
            };
            (name, Arc::new(values))
        };
        // There is none where the number is below 0.
        let worst = self.figures.worst_scenario.iter();
        let worst: Int64Array = worst
            .map(|&number| (number >= 0).then_some(number.into()))
            .collect();
        vec![
            figure("scan_risk", risk_column::SCAN_RISK),
            ("worst_scenario", Arc::new(worst)),
            figure("short_option_minimum", risk_column::SHORT_OPTION_MINIMUM),
            figure("concentration", risk_column::CONCENTRATION),
            figure("margin_floor", risk_column::MARGIN_FLOOR),
        ]
    }
}

#[pymethods]
impl Risk {
    /// The columns of a report, then those of the risk behind it.
    fn arrow_stream<'py>(
        &self,
        py: Python<'py>,
        report: &Bound<'py, Report>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        let report = report.get();
        let mut all = report.columns();
        all.extend(self.columns(report.result_rows()));
        arrow_stream(py, all, requested_schema)
    }

    /// All figures, shape (A, 8): scan risk, short-option minimum, concentration, margin floor, worst scenario, and so on;
    /// `None` where the maintenance margin is the scan risk.
    fn rows<'py>(slf: &Bound<'py, Self>) -> Result<Option<Bound<'py, PyArray2<f64>>>> {
        let has_rows = slf.get().figures.rows.is_some();
        has_rows.then(|| view::rows(slf)).transpose()
    }

    /// Number of the scenario of the largest loss, shape (A,); -1 where there is no loss.
    fn worst_scenario<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        let worst = self.figures.worst_scenario.iter();
        let worst: Vec<i64> = worst.map(|&scenario| scenario.into()).collect();
        worst.into_pyarray(py)
    }

    /// The same of isolated positions, copied.
    fn isolated<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f64>> {
        let columns = self.isolated.columns().to_vec();
        Array2::from_shape_vec((columns.len() / 8, 8), columns)
            .expect("a row has eight columns")
            .into_pyarray(py)
    }

    /// These rows, in this order.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a borrowed array is passed so"
    )]
    fn take(&self, py: Python<'_>, rows: PyReadonlyArray1<'_, i64>) -> Self {
        let rows: Vec<usize> = rows.as_array().iter().map(|&row| row as usize).collect();
        let number = |row: usize| self.numbers.as_ref().map_or(row, |numbers| numbers[row]);
        Self {
            figures: self.figures.pick(&rows),
            isolated: self.isolated.clone(),
            table: self.table.clone(),
            model: self.model.clone_ref(py),
            origin: self.origin.clone(),
            numbers: Some(rows.iter().map(|&row| number(row)).collect()),
        }
    }

    /// Number of scenarios of all sets.
    fn scenarios(&self) -> usize {
        let sets = self.table.sets.iter();
        sets.map(|set| set.losses.scenarios()).sum()
    }

    /// Legs of a row's pool: positions, and what is held in assets that move: what they lose in each scenario, through all sets.
    fn legs<'py>(&self, py: Python<'py>, row: usize) -> Result<Vec<Leg<'py>>> {
        let account = self.numbers.as_ref().map_or(row, |numbers| numbers[row]);
        let book = self.origin.book();
        let universe = book.universe();
        let legs = pool_losses(&self.model.get().model, &self.table, book, account);
        let leg = |(what, quantity, losses): (LossOf, f64, Vec<f64>)| {
            let (id, what) = match what {
                LossOf::Instrument(row) => (universe.instruments().get(row), "position"),
                LossOf::PresentValue(row) => (universe.instruments().get(row), "present value"),
                LossOf::Balance(row) => (universe.assets().get(row), "balance"),
                LossOf::IsolatedMargin(row) => (universe.assets().get(row), "isolated margin"),
                LossOf::Cost(row) => (universe.assets().get(row), "entry cost"),
            };
            Ok((id_object(py, id)?, what, quantity, losses.into_pyarray(py)))
        };
        legs.into_iter().map(leg).collect()
    }

    /// What a row's account (or its isolated position in an instrument) requires, in exact numbers: lines of kind,
    /// maintenance margin and initial margin.
    fn requirement(
        &self,
        row: usize,
        instrument: Option<&Bound<'_, PyAny>>,
    ) -> Result<Vec<(&'static str, String, String)>> {
        let account = self.numbers.as_ref().map_or(row, |numbers| numbers[row]);
        let (model, book) = (&self.model.get().model, self.origin.book());
        let instrument = instrument
            .map(|id| instrument_row(book.universe(), id))
            .transpose()?;
        let held = book.holdings(account).instrument;
        let position = instrument.and_then(|row| held.binary_search(&(row as u32)).ok());
        let subject = Subject { account, position };
        let lines = requirement_lines(model, &self.table, book, subject);
        let exact = |number: &Rational| number.to_string();
        Ok(lines
            .iter()
            .map(|(kind, maintenance, initial)| (*kind, exact(maintenance), exact(initial)))
            .collect())
    }
}
