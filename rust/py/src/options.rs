use numpy::{IntoPyArray, PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use xmfast_core::{Greeks, OptionColumns, OptionModel, PriceColumns};

use crate::error::Result;
use crate::run::run;

type Column<'py> = Bound<'py, PyArray1<f64>>;

fn model(normal: bool) -> OptionModel {
    if normal {
        OptionModel::Bachelier
    } else {
        OptionModel::Black76
    }
}

/// See `xmfast.black76` and `xmfast.bachelier`: forward, strike, volatility, years and rate of every option, and whether it
/// is a call; its value, delta, gamma, vega, theta and rho.
#[pyfunction]
pub(crate) fn option_greeks<'py>(
    py: Python<'py>,
    columns: [Column<'py>; 5],
    is_call: &Bound<'py, PyArray1<bool>>,
    normal: bool,
    inverse: bool,
) -> Result<Vec<Column<'py>>> {
    let [forward, strike, volatility, expiry_years, rate] = columns.map(|column| column.readonly());
    let is_call = is_call.readonly();
    let columns = OptionColumns {
        forward: forward.as_slice()?,
        strike: strike.as_slice()?,
        volatility: volatility.as_slice()?,
        expiry_years: expiry_years.as_slice()?,
        rate: rate.as_slice()?,
        is_call: is_call.as_slice()?,
    };
    let greeks = run(py, |stop| {
        xmfast_core::option_greeks(columns, model(normal), inverse, stop)
    })?;
    let figures: [fn(&Greeks<f64>) -> f64; 6] = [
        |greeks| greeks.value,
        |greeks| greeks.delta,
        |greeks| greeks.gamma,
        |greeks| greeks.vega,
        |greeks| greeks.theta,
        |greeks| greeks.rho,
    ];
    let column = |figure| PyArray1::from_iter(py, greeks.iter().map(figure));
    Ok(figures.into_iter().map(column).collect())
}

/// See `xmfast.implied_volatility`: price, forward, strike, years and rate of every option, and whether it is a call; its
/// volatility and the number of its status.
#[pyfunction]
pub(crate) fn implied_volatility<'py>(
    py: Python<'py>,
    columns: [Column<'py>; 5],
    is_call: &Bound<'py, PyArray1<bool>>,
    normal: bool,
    inverse: bool,
) -> Result<(Column<'py>, Bound<'py, PyArray1<u8>>)> {
    let [price, forward, strike, expiry_years, rate] = columns.map(|column| column.readonly());
    let is_call = is_call.readonly();
    let columns = PriceColumns {
        price: price.as_slice()?,
        forward: forward.as_slice()?,
        strike: strike.as_slice()?,
        expiry_years: expiry_years.as_slice()?,
        rate: rate.as_slice()?,
        is_call: is_call.as_slice()?,
    };
    let found = run(py, |stop| {
        xmfast_core::implied_volatility(columns, model(normal), inverse, stop)
    })?;
    let (volatilities, statuses): (Vec<f64>, Vec<u8>) = found
        .into_iter()
        .map(|(volatility, status)| (volatility, status as u8))
        .unzip();
    Ok((volatilities.into_pyarray(py), statuses.into_pyarray(py)))
}

/// Names of the statuses of `implied_volatility`, by number.
#[pyfunction]
pub(crate) fn implied_statuses() -> Vec<&'static str> {
    xmfast_core::ImpliedStatus::ALL
        .map(xmfast_core::ImpliedStatus::name)
        .to_vec()
}
