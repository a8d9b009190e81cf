//! One Python object as a number.

use num_bigint::BigInt;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString, PyType};
use xmfast_core::exact::{Given, widened};
use xmfast_core::{Error as CoreError, Place};

use crate::decimal;
use crate::error::{Error, Result};

/// How much of an object an error shows.
const SHOWN_LETTERS: usize = 60;

/// A float, an integer of any size, a `decimal.Decimal` or a scalar of NumPy; `place` is what errors name.
pub(crate) fn number(value: &Bound<'_, PyAny>, place: impl Fn() -> Place) -> Result<Given> {
    if let Ok(float) = value.cast::<PyFloat>() {
        return Ok(float.value().into());
    }
    let refused = |problem: &str| {
        Error::Core(CoreError::Column {
            place: place(),
            problem: format!("{} {problem}", shown(value)),
        })
    };
    let out_of_range = |limit: decimal::OutOfRange| {
        Error::Core(CoreError::Value {
            place: place(),
            problem: format!("{} is {limit}", shown(value)),
        })
    };
    if value.is_instance_of::<PyBool>() || value.is_instance_of::<PyString>() {
        return Err(refused("is not a number"));
    }
    if value.is_instance_of::<PyInt>()
        && let Ok(integer) = value.extract::<i64>()
    {
        return Ok(decimal::whole(integer.into()));
    }
    // Most columns of objects hold decimals; a type that has no `__index__` is slow to ask for it.
    if value.is_instance(decimal_type(value.py())?)? {
        return match decimal::parse(&decimal_text(value)?) {
            Some(given) => given.map_err(out_of_range),
            None => Err(refused("is not a finite number")),
        };
    }
    if value.is_instance_of::<PyInt>() || value.hasattr(intern!(value.py(), "__index__"))? {
        if let Ok(integer) = value.extract::<i128>() {
            return Ok(decimal::whole(integer));
        }
        let Some(integer) = index(value) else {
            return Err(refused("is not a number"));
        };
        // Python itself says whether a float is near; digits are not asked for before that, they may be millions.
        if integer.extract::<f64>().is_err() {
            return Err(out_of_range(decimal::OutOfRange::Large));
        }
        return decimal::decimal(digits(&integer)?, 0).map_err(out_of_range);
    }
    let short_float = match value.get_type().name()?.to_str()? {
        "float32" => Some(widened(value.extract::<f32>()?)),
        // A half prints with fewer digits than as a 32-bit float.
        "float16" => value.str()?.to_str()?.parse().ok(),
        _ => None,
    };
    short_float
        .map(Given::from)
        .ok_or_else(|| refused("is not a number"))
}

fn index<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyInt>> {
    let integer = value.call_method0(intern!(value.py(), "__index__")).ok()?;
    integer.cast_into().ok()
}

fn digits(integer: &Bound<'_, PyInt>) -> PyResult<BigInt> {
    // A subclass, such as one of `enum`, may print itself as it likes.
    let py = integer.py();
    let text = py
        .get_type::<PyInt>()
        .call_method1(intern!(py, "__repr__"), (integer,))?;
    Ok(text
        .extract::<String>()?
        .parse()
        .expect("an integer prints as digits"))
}

pub(crate) fn decimal_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static DECIMAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    DECIMAL.import(py, "decimal", "Decimal")
}

fn decimal_text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = value.py();
    decimal_type(py)?
        .call_method1(intern!(py, "__str__"), (value,))?
        .extract()
}

/// The start of an object's `repr()`, or its type where it has none: Python does not print integers of many digits.
pub(crate) fn shown(value: &Bound<'_, PyAny>) -> String {
    let Ok(text) = value.repr().and_then(|text| text.extract::<String>()) else {
        return match value.get_type().name() {
            Ok(name) => format!("an object of type {name}"),
            Err(_) => "an object".to_owned(),
        };
    };
    match text.char_indices().nth(SHOWN_LETTERS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
