use numpy::{IntoPyArray, PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyList;
use xmfast_core::kernel::FloatState;
use xmfast_core::{CalendarArbitrage, SurfaceColumns};

use crate::error::Result;
use crate::frame::Frame;
use crate::universe::{Universe, id_list, id_object, with_id};

/// See `xmfast.VolatilitySurface`.
#[pyclass(frozen, module = "xmfast._core")]
pub(crate) struct VolatilitySurface(xmfast_core::VolatilitySurface);

const FRAME: &str = "volatility surface";
const COLUMNS: [&str; 5] = ["underlying", "expiry", "strike", "volatility", "forward"];

#[pymethods]
impl VolatilitySurface {
    #[new]
    fn new(universe: &Bound<'_, Universe>, quotes: &Bound<'_, PyAny>, time: i64) -> Result<Self> {
        let _state = FloatState::standard();
        let frame = Frame::open(FRAME, quotes, &COLUMNS)?;
        frame.required("expiry")?;
        let expiries = frame.sparse_times("expiry")?.unwrap_or_default();
        let expiry = |(row, expiry): (usize, Option<i64>)| {
            expiry.ok_or_else(|| frame.fault("expiry", Some(row), "null: every row needs a value"))
        };
        let columns = SurfaceColumns {
            underlying: frame.ids("underlying")?,
            expiry: expiries
                .into_iter()
                .enumerate()
                .map(expiry)
                .collect::<Result<_>>()?,
            strike: frame.numbers("strike")?.floats().to_vec(),
            volatility: frame.numbers("volatility")?.floats().to_vec(),
            forward: frame
                .optional_numbers("forward")?
                .map(|column| column.floats().to_vec()),
        };
        let universe = universe.get().0.clone();
        Ok(Self(xmfast_core::VolatilitySurface::new(
            universe, &columns, time,
        )?))
    }

    /// See `xmfast.VolatilitySurface.implied_volatility`.
    fn implied_volatility<'py>(
        &self,
        py: Python<'py>,
        underlying: &Bound<'py, PyAny>,
        strike: &Bound<'py, PyArray1<f64>>,
        expiry: &Bound<'py, PyArray1<i64>>,
    ) -> Result<Bound<'py, PyArray1<f64>>> {
        let _state = FloatState::standard();
        let (strike, expiry) = (strike.readonly(), expiry.readonly());
        let points = strike.as_slice()?.iter().zip(expiry.as_slice()?);
        let found = with_id(FRAME, underlying, |underlying| {
            let volatility =
                |(&strike, &expiry)| Ok(self.0.volatility(underlying, strike, expiry)?);
            points.map(volatility).collect::<Result<Vec<f64>>>()
        })?;
        Ok(found.into_pyarray(py))
    }

    /// See `xmfast.VolatilitySurface.of_instruments`.
    fn of_instruments<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        let _state = FloatState::standard();
        let found = self.0.of_instruments().into_iter();
        PyArray1::from_iter(py, found.map(|volatility| volatility.unwrap_or(f64::NAN)))
    }

    /// See `xmfast.VolatilitySurface.calendar_arbitrage`: underlyings, expiries, strikes and what is missing.
    #[allow(clippy::type_complexity)]
    fn calendar_arbitrage<'py>(
        &self,
        py: Python<'py>,
    ) -> Result<(Bound<'py, PyList>, Vec<i64>, Vec<f64>, Vec<f64>)> {
        let found = self.0.calendar_arbitrage();
        let known = self.0.universe().underlyings();
        let id = |row: &CalendarArbitrage| id_object(py, known.get(row.underlying as usize));
        let underlyings = found.iter().map(id).collect::<PyResult<Vec<_>>>()?;
        Ok((
            PyList::new(py, underlyings)?,
            found.iter().map(|row| row.expiry).collect(),
            found.iter().map(|row| row.strike).collect(),
            found.iter().map(|row| row.missing_variance).collect(),
        ))
    }

    /// See `xmfast.VolatilitySurface.underlyings`.
    fn underlyings<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyList>> {
        Ok(id_list(py, &self.0.underlyings())?)
    }

    /// Number of quoted expiries.
    fn expiry_count(&self) -> usize {
        self.0.expiry_count()
    }
}
