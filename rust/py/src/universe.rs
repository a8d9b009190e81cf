use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyList, PyString};
use xmfast_core::kernel::FloatState;
use xmfast_core::{Id, IdColumn, Ids, InstrumentColumns, Place};

use crate::error::{Error, Result};
use crate::frame::Frame;

/// See `xmfast.Universe`.
#[pyclass(frozen, module = "xmfast._core")]
pub(crate) struct Universe(pub(crate) Arc<xmfast_core::Universe>);

const INSTRUMENT_COLUMNS: [&str; 12] = [
    "instrument",
    "kind",
    "underlying",
    "settlement",
    "contract_multiplier",
    "inverse",
    "allow_negative_price",
    "expiry",
    "strike",
    "right",
    "futures_style",
    "settlement_average",
];

#[pymethods]
impl Universe {
    #[new]
    fn new(
        assets: &Bound<'_, PyAny>,
        instruments: Option<&Bound<'_, PyAny>>,
        numeraire: &Bound<'_, PyAny>,
    ) -> Result<Self> {
        let _state = FloatState::standard();
        let assets = asset_column(assets)?;
        let instruments = instruments.map(instrument_columns).transpose()?;
        with_id("numeraire", numeraire, |id| {
            Ok(Self(xmfast_core::Universe::new(
                &assets,
                instruments.as_ref(),
                id,
            )?))
        })
    }

    fn extended(
        &self,
        assets: Option<&Bound<'_, PyAny>>,
        instruments: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self> {
        let _state = FloatState::standard();
        let assets = assets.map(asset_column).transpose()?;
        let instruments = instruments.map(instrument_columns).transpose()?;
        let extended = self.0.extended(assets.as_ref(), instruments.as_ref())?;
        Ok(Self(extended))
    }

    fn assets<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        id_list(py, self.0.assets())
    }

    fn instruments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        id_list(py, self.0.instruments())
    }

    fn underlyings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        id_list(py, self.0.underlyings())
    }

    fn index_names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let names = (0..self.0.index_count()).map(|slot| id_object(py, self.0.index_name(slot)));
        PyList::new(py, names.collect::<PyResult<Vec<_>>>()?)
    }

    /// Row of each instrument's underlying.
    fn underlying_rows(&self) -> Vec<u32> {
        self.0.specs().iter().map(|spec| spec.underlying).collect()
    }

    fn numeraire<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        id_object(py, self.0.assets().get(self.0.numeraire()))
    }
}

fn asset_column(frame: &Bound<'_, PyAny>) -> Result<IdColumn> {
    Frame::open("assets", frame, &["asset"])?.ids("asset")
}

fn instrument_columns(frame: &Bound<'_, PyAny>) -> Result<InstrumentColumns> {
    let frame = Frame::open("instruments", frame, &INSTRUMENT_COLUMNS)?;
    Ok(InstrumentColumns {
        instrument: frame.ids("instrument")?,
        kind: frame.ids("kind")?,
        underlying: frame.ids("underlying")?,
        settlement: frame.ids("settlement")?,
        contract_multiplier: frame.optional_numbers("contract_multiplier")?,
        inverse: frame.optional_flags("inverse")?,
        allow_negative_price: frame.optional_flags("allow_negative_price")?,
        expiry: frame.sparse_times("expiry")?,
        strike: sparse_floats(&frame, "strike")?,
        right: frame.sparse_texts("right")?,
        futures_style: frame.optional_flags("futures_style")?,
        settlement_average: sparse_floats(&frame, "settlement_average")?,
    })
}

/// A column of numbers of which some may be left out.
fn sparse_floats(frame: &Frame<'_>, column: &'static str) -> Result<Option<Vec<Option<f64>>>> {
    let given = |&float: &f64| Some(float).filter(|float| !float.is_nan());
    let column = frame.sparse_numbers(column)?;
    Ok(column.map(|column| column.floats().iter().map(given).collect()))
}

/// Calls `f` with a Python string or integer as an id; `frame` is what errors name.
pub(crate) fn with_id<T>(
    frame: &'static str,
    id: &Bound<'_, PyAny>,
    f: impl FnOnce(Id<'_>) -> Result<T>,
) -> Result<T> {
    if let Ok(text) = id.cast::<PyString>() {
        let Ok(text) = text.to_cow() else {
            return Err(no_id(frame, "text that is not Unicode"));
        };
        return f(Id::Text(text.as_ref()));
    }
    if id.is_instance_of::<PyBool>()
        || !(id.is_instance_of::<PyInt>() || id.hasattr("__index__")?)
    {
        return Err(no_id(frame, &id.repr()?.to_string()));
    }
    match id.extract::<i64>() {
        Ok(id) => f(Id::Int(id)),
        Err(_) => Err(no_id(
            frame,
            &format!("{id}, an integer of more than 64 signed bits,"),
        )),
    }
}

fn no_id(frame: &'static str, what: &str) -> Error {
    let problem = format!("{what} is no id: ids are strings or integers");
    xmfast_core::Error::Unknown {
        place: Place::frame(frame),
        problem,
    }
    .into()
}

/// An id as Python knows it.
pub(crate) fn id_object<'py>(py: Python<'py>, id: Id<'_>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match id {
        Id::Int(id) => id.into_pyobject(py)?.into_any(),
        Id::Text(id) => id.into_pyobject(py)?.into_any(),
    })
}

pub(crate) fn id_list<'py>(py: Python<'py>, ids: &Ids) -> PyResult<Bound<'py, PyList>> {
    let ids = ids
        .iter()
        .map(|id| id_object(py, id))
        .collect::<PyResult<Vec<_>>>()?;
    PyList::new(py, ids)
}
