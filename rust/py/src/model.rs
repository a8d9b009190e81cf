use std::sync::Arc;

use pyo3::prelude::*;
use xmfast_core::exact::GivenColumn;
use xmfast_core::kernel::FloatState;
use xmfast_core::{BLOCK, CollateralColumns, Key, MarginColumns, evaluate, pool::never};

use crate::book::Book;
use crate::error::Result;
use crate::figures::Origin;
use crate::frame::Frame;
use crate::market::Market;
use crate::report::Report;
use crate::run::run;
use crate::universe::Universe;

/// See `xmfast.CrossMargin` and `xmfast.IsolatedMargin`.
#[pyclass(frozen, module = "xmfast._core")]
pub(crate) struct LinearModel {
    pub(crate) model: xmfast_core::CrossMargin,
    pub(crate) key: Key,
}

const COLLATERAL_COLUMNS: [&str; 8] = [
    "asset",
    "amount_floor",
    "initial_haircut",
    "maintenance_haircut",
    "initial_liability_weight",
    "maintenance_liability_weight",
    "amount_cap",
    "unrealized_gain_share",
];

const MARGIN_COLUMNS: [&str; 6] = [
    "instrument",
    "notional_floor",
    "initial_rate",
    "maintenance_rate",
    "margin_floor_per_contract",
    "close_out_fee_rate",
];

#[pymethods]
impl LinearModel {
    #[new]
    fn new(
        universe: &Bound<'_, Universe>,
        collateral: Option<&Bound<'_, PyAny>>,
        margin: Option<&Bound<'_, PyAny>>,
        every_position_alone: bool,
    ) -> Result<Self> {
        let _state = FloatState::standard();
        let collateral = collateral.map(read_collateral).transpose()?;
        let margin = margin.map(read_margin).transpose()?;
        let universe = &universe.get().0;
        Ok(Self {
            model: xmfast_core::CrossMargin::new(universe, collateral.as_ref(), margin.as_ref())?,
            key: if every_position_alone {
                Key::Position
            } else {
                Key::SettlementAsset
            },
        })
    }

    fn evaluate(
        slf: &Bound<'_, Self>,
        py: Python<'_>,
        book: &Bound<'_, Book>,
        market: &Bound<'_, Market>,
    ) -> Result<Report> {
        let origin = Origin {
            model: slf.clone().unbind(),
            book: book.clone().unbind(),
            market: market.clone().unbind(),
        };
        let Self { model, key } = slf.get();
        let (book, market) = (&book.get().0, &market.get().0);
        let evaluated = if book.accounts().len() <= BLOCK && book.has_layout(*key) {
            // One block takes less time than letting go of the interpreter.
            evaluate(model, *key, book, market, &mut never)?
        } else {
            run(py, |stop| evaluate(model, *key, book, market, stop))?
        };
        Ok(Report::whole(evaluated, Arc::new(origin)))
    }
}

pub(crate) fn read_collateral(frame: &Bound<'_, PyAny>) -> Result<CollateralColumns> {
    let frame = Frame::open("collateral", frame, &COLLATERAL_COLUMNS)?;
    let once = |column| read_once(&frame, column, "amount_floor");
    Ok(CollateralColumns {
        asset: frame.ids("asset")?,
        amount_floor: frame.optional_numbers("amount_floor")?,
        initial_haircut: frame.optional_numbers("initial_haircut")?,
        maintenance_haircut: frame.optional_numbers("maintenance_haircut")?,
        initial_liability_weight: once("initial_liability_weight")?,
        maintenance_liability_weight: once("maintenance_liability_weight")?,
        amount_cap: frame.sparse_numbers("amount_cap")?,
        unrealized_gain_share: once("unrealized_gain_share")?,
    })
}

fn read_margin(frame: &Bound<'_, PyAny>) -> Result<MarginColumns> {
    let frame = Frame::open("margin", frame, &MARGIN_COLUMNS)?;
    let once = |column| read_once(&frame, column, "notional_floor");
    Ok(MarginColumns {
        instrument: frame.ids("instrument")?,
        notional_floor: frame.optional_numbers("notional_floor")?,
        initial_rate: frame.numbers("initial_rate")?,
        maintenance_rate: frame.numbers("maintenance_rate")?,
        margin_floor_per_contract: once("margin_floor_per_contract")?,
        close_out_fee_rate: once("close_out_fee_rate")?,
    })
}

/// A column that belongs to an id as a whole: rows of further tiers may leave it null.
fn read_once(
    frame: &Frame<'_>,
    column: &'static str,
    floor_column: &str,
) -> Result<Option<GivenColumn>> {
    if frame.optional(floor_column).is_none() {
        frame.optional_numbers(column)
    } else {
        frame.sparse_numbers(column)
    }
}
