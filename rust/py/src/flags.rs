//! Columns of flags.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyList};

use crate::error::Result;
use crate::frame::{Frame, Source};

impl Frame<'_> {
    /// A column of flags that may be left out.
    pub(crate) fn optional_flags(&self, column: &'static str) -> Result<Option<Vec<bool>>> {
        match self.optional(column) {
            None => Ok(None),
            Some(Source::Arrow(chunks)) => {
                let mut flags = Vec::new();
                for chunk in chunks {
                    self.refuse_nulls(column, flags.len(), chunk.as_ref())?;
                    let values = chunk.as_boolean_opt().ok_or_else(|| {
                        self.fault(
                            column,
                            None,
                            format!("True or False is needed, not {}", chunk.data_type()),
                        )
                    })?;
                    flags.extend(values.iter().flatten());
                }
                Ok(Some(flags))
            }
            Some(Source::Python(values)) => {
                if let Ok(array) = values.extract::<PyReadonlyArray1<'_, bool>>() {
                    return Ok(Some(array.as_array().iter().copied().collect()));
                }
                let Ok(values) = values.cast::<PyList>() else {
                    return Err(self.fault(column, None, "True or False is needed"));
                };
                let flag = |(row, value): (usize, Bound<'_, PyAny>)| {
                    let is_flag = value.is_instance_of::<PyBool>() || is_numpy_flag(&value)?;
                    if is_flag {
                        return Ok(value.is_truthy()?);
                    }
                    Err(self.fault(
                        column,
                        Some(row),
                        format!("{} is neither True nor False", value.repr()?),
                    ))
                };
                values
                    .iter()
                    .enumerate()
                    .map(flag)
                    .collect::<Result<_>>()
                    .map(Some)
            }
        }
    }
}

/// NumPy's own kind of flag, which is no Python bool; `bool_` before NumPy 2.
fn is_numpy_flag(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let name = value.get_type().name()?;
    Ok(name == "bool" || name == "bool_")
}
