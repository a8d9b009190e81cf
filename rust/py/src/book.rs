use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use xmfast_core::kernel::FloatState;
use xmfast_core::{Balances, Ids, Positions};

use crate::error::Result;
use crate::frame::Frame;
use crate::run::run;
use crate::universe::{Universe, id_object};

/// See `xmfast.Book`.
#[pyclass(frozen, module = "xmfast._core")]
pub(crate) struct Book(pub(crate) xmfast_core::Book);

#[pymethods]
impl Book {
    #[new]
    fn new(
        py: Python<'_>,
        universe: &Bound<'_, Universe>,
        balances: Option<&Bound<'_, PyAny>>,
        positions: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self> {
        let _state = FloatState::standard();
        let balances = balances.map(read_balances).transpose()?;
        let positions = positions.map(read_positions).transpose()?;
        let universe = &universe.get().0;
        Ok(Self(run(py, |stop| {
            xmfast_core::Book::new(universe, balances, positions, stop)
        })?))
    }

    fn accounts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        id_array(py, self.0.accounts())
    }

    fn balance_count(&self) -> usize {
        self.0.balance_count()
    }

    fn position_count(&self) -> usize {
        self.0.position_count()
    }

    /// Bytes of holdings, layout and ids.
    fn memory(&self) -> (usize, usize, usize) {
        self.0.memory()
    }

    fn __len__(&self) -> usize {
        self.0.accounts().len()
    }
}

fn read_balances(frame: &Bound<'_, PyAny>) -> Result<Balances> {
    let frame = Frame::open("balances", frame, &["account", "asset", "balance"])?;
    Ok(Balances {
        account: frame.ids("account")?,
        asset: frame.ids("asset")?,
        balance: frame.floats("balance")?,
    })
}

fn read_positions(frame: &Bound<'_, PyAny>) -> Result<Positions> {
    let frame = Frame::open(
        "positions",
        frame,
        &["account", "instrument", "quantity", "entry_price"],
    )?;
    Ok(Positions {
        account: frame.ids("account")?,
        instrument: frame.ids("instrument")?,
        quantity: frame.floats("quantity")?,
        entry_price: frame.floats("entry_price")?,
    })
}

/// Ids as an array: int64, or objects of type str.
pub(crate) fn id_array<'py>(py: Python<'py>, ids: &Ids) -> PyResult<Bound<'py, PyAny>> {
    if let Some(ids) = ids.as_ints() {
        return Ok(PyArray1::from_slice(py, ids).into_any());
    }
    let objects = ids
        .iter()
        .map(|id| Ok(id_object(py, id)?.unbind()))
        .collect::<PyResult<Vec<Py<PyAny>>>>()?;
    Ok(objects.into_pyarray(py).into_any())
}
