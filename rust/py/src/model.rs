use pyo3::prelude::*;
use xmfast_core::kernel::FloatState;
use xmfast_core::{BLOCK, CollateralColumns, MarginColumns, evaluate, pool::never};

use crate::book::Book;
use crate::error::Result;
use crate::frame::Frame;
use crate::market::Market;
use crate::report::Report;
use crate::run::run;
use crate::universe::Universe;

/// See `xmfast.CrossMargin`.
#[pyclass(frozen, module = "xmfast._core")]
pub(crate) struct CrossMargin(xmfast_core::CrossMargin);

const COLLATERAL_COLUMNS: [&str; 5] = [
    "asset",
    "initial_haircut",
    "maintenance_haircut",
    "initial_liability_weight",
    "maintenance_liability_weight",
];

#[pymethods]
impl CrossMargin {
    #[new]
    fn new(
        universe: &Bound<'_, Universe>,
        collateral: Option<&Bound<'_, PyAny>>,
        margin: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self> {
        let _state = FloatState::standard();
        let collateral = collateral.map(read_collateral).transpose()?;
        let margin = margin.map(read_margin).transpose()?;
        let universe = &universe.get().0;
        Ok(Self(xmfast_core::CrossMargin::new(
            universe,
            collateral.as_ref(),
            margin.as_ref(),
        )?))
    }

    fn evaluate(
        &self,
        py: Python<'_>,
        book: &Bound<'_, Book>,
        market: &Bound<'_, Market>,
    ) -> Result<Report> {
        let (book, market) = (&book.get().0, &market.get().0);
        let rows = if book.accounts().len() <= BLOCK && book.has_layout() {
            // One block takes less time than letting go of the interpreter.
            evaluate(&self.0, book, market, &mut never)?
        } else {
            run(py, |stop| evaluate(&self.0, book, market, stop))?
        };
        Ok(Report {
            rows,
            accounts: book.accounts().clone(),
        })
    }
}

fn read_collateral(frame: &Bound<'_, PyAny>) -> Result<CollateralColumns> {
    let frame = Frame::open("collateral", frame, &COLLATERAL_COLUMNS)?;
    Ok(CollateralColumns {
        asset: frame.ids("asset")?,
        initial_haircut: frame.optional_floats("initial_haircut")?,
        maintenance_haircut: frame.optional_floats("maintenance_haircut")?,
        initial_liability_weight: frame.optional_floats("initial_liability_weight")?,
        maintenance_liability_weight: frame.optional_floats("maintenance_liability_weight")?,
    })
}

fn read_margin(frame: &Bound<'_, PyAny>) -> Result<MarginColumns> {
    let frame = Frame::open(
        "margin",
        frame,
        &["instrument", "initial_rate", "maintenance_rate"],
    )?;
    Ok(MarginColumns {
        instrument: frame.ids("instrument")?,
        initial_rate: frame.floats("initial_rate")?,
        maintenance_rate: frame.floats("maintenance_rate")?,
    })
}
