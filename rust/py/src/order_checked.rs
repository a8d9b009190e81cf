use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use xmfast_core::OrderCheck;

/// See `xmfast.OrderCheck`.
#[pyclass(frozen, get_all, module = "xmfast._core")]
pub(crate) struct OrderChecked {
    pub(crate) reason: u8,
    pub(crate) initial_margin: f64,
    pub(crate) free_collateral: f64,
}

impl From<OrderCheck> for OrderChecked {
    fn from(check: OrderCheck) -> Self {
        Self {
            reason: check.reason as u8,
            initial_margin: check.initial_margin,
            free_collateral: check.free_collateral,
        }
    }
}

/// Reasons, margins and free collateral of many checks.
pub(crate) type CheckColumns<'py> = (
    Bound<'py, PyArray1<u8>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<f64>>,
);

pub(crate) fn check_columns<'py>(py: Python<'py>, checks: &[OrderCheck]) -> CheckColumns<'py> {
    let reasons: Vec<u8> = checks.iter().map(|check| check.reason as u8).collect();
    let margins: Vec<f64> = checks.iter().map(|check| check.initial_margin).collect();
    let free: Vec<f64> = checks.iter().map(|check| check.free_collateral).collect();
    (
        reasons.into_pyarray(py),
        margins.into_pyarray(py),
        free.into_pyarray(py),
    )
}
