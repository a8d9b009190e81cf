use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use xmfast_core::kernel::FloatState;
use xmfast_core::{Accounts, Balances, Frames, Ids, Orders, Positions};

use crate::error::Result;
use crate::frame::Frame;
use crate::run::run;
use crate::universe::{Universe, id_object};

/// One column after the other.
type PositionArrays<'py> = (
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<f64>>,
);

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
        orders: Option<&Bound<'_, PyAny>>,
        accounts: Option<&Bound<'_, PyAny>>,
    ) -> Result<Self> {
        let _state = FloatState::standard();
        let frames = Frames {
            balances: balances.map(read_balances).transpose()?,
            positions: positions.map(read_positions).transpose()?,
            orders: orders.map(read_orders).transpose()?,
            accounts: accounts.map(read_accounts).transpose()?,
        };
        let universe = &universe.get().0;
        Ok(Self(run(py, |stop| {
            xmfast_core::Book::new(universe, frames, stop)
        })?))
    }

    fn accounts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let accounts = self.0.accounts();
        id_array(py, accounts, 0..accounts.len())
    }

    fn balance_count(&self) -> usize {
        self.0.balance_count()
    }

    fn position_count(&self) -> usize {
        self.0.position_count()
    }

    fn order_count(&self) -> usize {
        self.0.order_count()
    }

    /// Of every position: number of the account, row of the instrument, quantity, entry price.
    fn positions<'py>(&self, py: Python<'py>) -> PositionArrays<'py> {
        let count = self.0.position_count();
        let (mut accounts, mut instruments) =
            (Vec::with_capacity(count), Vec::with_capacity(count));
        let (mut quantities, mut prices) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for account in 0..self.0.accounts().len() {
            let holdings = self.0.holdings(account);
            accounts.extend(holdings.instrument.iter().map(|_| account as i64));
            instruments.extend(holdings.instrument.iter().map(|&row| i64::from(row)));
            quantities.extend_from_slice(holdings.quantity.floats());
            prices.extend_from_slice(holdings.entry_price.floats());
        }
        (
            accounts.into_pyarray(py),
            instruments.into_pyarray(py),
            quantities.into_pyarray(py),
            prices.into_pyarray(py),
        )
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
        balance: frame.numbers("balance")?,
    })
}

const POSITION_COLUMNS: [&str; 6] = [
    "account",
    "instrument",
    "quantity",
    "entry_price",
    "entry_funding",
    "isolated_margin",
];

fn read_positions(frame: &Bound<'_, PyAny>) -> Result<Positions> {
    let frame = Frame::open("positions", frame, &POSITION_COLUMNS)?;
    Ok(Positions {
        account: frame.ids("account")?,
        instrument: frame.ids("instrument")?,
        quantity: frame.numbers("quantity")?,
        entry_price: frame.numbers("entry_price")?,
        entry_funding: frame.optional_numbers("entry_funding")?,
        isolated_margin: frame.sparse_numbers("isolated_margin")?,
    })
}

fn read_orders(frame: &Bound<'_, PyAny>) -> Result<Orders> {
    let columns = ["account", "instrument", "quantity", "price", "reduce_only"];
    let frame = Frame::open("orders", frame, &columns)?;
    Ok(Orders {
        account: frame.ids("account")?,
        instrument: frame.ids("instrument")?,
        quantity: frame.numbers("quantity")?,
        price: frame.numbers("price")?,
        reduce_only: frame.optional_flags("reduce_only")?,
    })
}

fn read_accounts(frame: &Bound<'_, PyAny>) -> Result<Accounts> {
    let frame = Frame::open("accounts", frame, &["account", "leverage_cap"])?;
    let account = frame.ids("account")?;
    let leverage_cap = frame.sparse_numbers("leverage_cap")?;
    Ok(Accounts {
        leverage_cap: leverage_cap.unwrap_or_else(|| vec![f64::NAN; account.len()].into()),
        account,
    })
}

/// Some ids as an array: int64, or objects of type str.
pub(crate) fn id_array<'py>(
    py: Python<'py>,
    ids: &Ids,
    rows: impl Iterator<Item = usize>,
) -> PyResult<Bound<'py, PyAny>> {
    if let Some(ids) = ids.as_ints() {
        return Ok(PyArray1::from_iter(py, rows.map(|row| ids[row])).into_any());
    }
    let objects = rows
        .map(|row| Ok(id_object(py, ids.get(row))?.unbind()))
        .collect::<PyResult<Vec<Py<PyAny>>>>()?;
    Ok(objects.into_pyarray(py).into_any())
}
