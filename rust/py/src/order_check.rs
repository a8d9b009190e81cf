//! What is said of an order.

use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyFloat, PyType};
use xmfast_core::Reason;

/// Whether an order may rest, and what margin would be if it did; false where it may not.
#[pyclass(frozen, module = "xmfast")]
pub(crate) struct OrderCheck(xmfast_core::OrderCheck);

impl From<xmfast_core::OrderCheck> for OrderCheck {
    fn from(check: xmfast_core::OrderCheck) -> Self {
        Self(check)
    }
}

/// A member of `xmfast.Reason`.
fn member(py: Python<'_>, reason: Reason) -> PyResult<Bound<'_, PyAny>> {
    static MEMBERS: PyOnceLock<Vec<Py<PyAny>>> = PyOnceLock::new();
    let members = MEMBERS.get_or_try_init(py, || {
        let class = py.import("xmfast.order_check")?.getattr("Reason")?;
        let names = Reason::ALL.iter();
        names
            .map(|(_, name)| Ok(class.call1((name,))?.unbind()))
            .collect::<PyResult<_>>()
    })?;
    Ok(members[reason as usize].bind(py).clone())
}

/// Reason, initial margin, free collateral.
type Parts<'py> = (Bound<'py, PyAny>, f64, f64);

impl OrderCheck {
    fn parts<'py>(&self, py: Python<'py>) -> PyResult<Parts<'py>> {
        let check = &self.0;
        let reason = member(py, check.reason)?;
        Ok((reason, check.initial_margin, check.free_collateral))
    }
}

#[pymethods]
impl OrderCheck {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str, &'static str) {
        ("reason", "initial_margin", "free_collateral")
    }

    #[new]
    fn new(reason: &str, initial_margin: f64, free_collateral: f64) -> PyResult<Self> {
        let known = Reason::ALL.iter().find(|(_, name)| *name == reason);
        let unknown = || PyValueError::new_err(format!("'{reason}' is no Reason"));
        Ok(Self(xmfast_core::OrderCheck {
            reason: known.ok_or_else(unknown)?.0,
            initial_margin,
            free_collateral,
        }))
    }

    /// Whether the order may rest.
    #[getter]
    fn accepted(&self) -> bool {
        self.0.is_accepted()
    }

    /// Why, or why not.
    #[getter]
    fn reason<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        member(py, self.0.reason)
    }

    /// Of what backs the order: the account's pool, or the isolated position that it would join. Numeraire.
    #[getter]
    fn initial_margin(&self) -> f64 {
        self.0.initial_margin
    }

    /// What is left for more; numeraire, >= 0.
    #[getter]
    fn free_collateral(&self) -> f64 {
        self.0.free_collateral
    }

    fn __bool__(&self) -> bool {
        self.accepted()
    }

    fn __eq__(&self, other: &Bound<'_, Self>) -> bool {
        self.0 == other.get().0
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.parts(py)?.into_pyobject(py)?.hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (reason, margin, free) = self.parts(py)?;
        let [margin, free] = [margin, free].map(|figure| PyFloat::new(py, figure));
        Ok(format!(
            "OrderCheck(reason={}, initial_margin={}, free_collateral={})",
            reason.repr()?,
            margin.repr()?,
            free.repr()?
        ))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyType>, Parts<'py>)> {
        Ok((py.get_type::<Self>(), self.parts(py)?))
    }
}

/// Names of the reasons, in the order of their numbers.
#[pyfunction]
pub(crate) fn order_reasons() -> Vec<&'static str> {
    Reason::ALL.iter().map(|(_, name)| *name).collect()
}

/// Reasons, margins and free collateral of many checks.
type Columns = (Vec<u8>, Vec<f64>, Vec<f64>);

pub(crate) type CheckColumns<'py> = (
    Bound<'py, PyArray1<u8>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<f64>>,
);

pub(crate) fn columns_of(checks: &[xmfast_core::OrderCheck]) -> Columns {
    (
        checks.iter().map(|check| check.reason as u8).collect(),
        checks.iter().map(|check| check.initial_margin).collect(),
        checks.iter().map(|check| check.free_collateral).collect(),
    )
}

pub(crate) fn check_columns(py: Python<'_>, (reasons, margins, free): Columns) -> CheckColumns<'_> {
    (
        reasons.into_pyarray(py),
        margins.into_pyarray(py),
        free.into_pyarray(py),
    )
}
