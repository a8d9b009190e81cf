//! The core's errors as the exceptions of `xmfast.errors`.

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::PyType;
use xmfast_core::Error as CoreError;

/// An error on its way to Python.
pub(crate) enum Error {
    Core(CoreError),
    Python(PyErr),
}

/// Result of a binding.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl From<CoreError> for Error {
    fn from(error: CoreError) -> Self {
        Self::Core(error)
    }
}

impl From<PyErr> for Error {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<numpy::AsSliceError> for Error {
    fn from(error: numpy::AsSliceError) -> Self {
        Self::Python(error.into())
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::Core(error) => {
                Python::attach(|py| exception(py, &error).unwrap_or_else(|failure| failure))
            }
            Error::Python(error) => error,
        }
    }
}

fn exception(py: Python<'_>, error: &CoreError) -> PyResult<PyErr> {
    let class = match error {
        CoreError::Value { .. } => "InputError",
        CoreError::Column { .. } => "ColumnError",
        CoreError::Duplicate { .. } => "DuplicateError",
        CoreError::Parameter { .. } => "ParameterError",
        CoreError::Unknown { .. } => "UnknownIdError",
        CoreError::UniverseMismatch { .. } | CoreError::NotExtended { .. } => {
            "UniverseMismatchError"
        }
        CoreError::MissingPrice { .. } => "MissingPriceError",
        CoreError::MissingParameter { .. } => "MissingParameterError",
        CoreError::Range { .. } => "RangeError",
        CoreError::Refused { .. } => "RefusedError",
        CoreError::Interrupted => return Ok(PyKeyboardInterrupt::new_err(())),
    };
    let class = py
        .import("xmfast.errors")?
        .getattr(class)?
        .cast_into::<PyType>()?;
    Ok(PyErr::from_type(class, error.to_string()))
}
