//! Columns of numbers, flags, texts and times.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampNanosecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, TimeUnit};
use numpy::{PyReadonlyArray1, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyList, PyString};

use crate::error::Result;
use crate::frame::{Frame, Source};

/// `_frames` writes NumPy's "not a time" so.
const NOT_A_TIME: i64 = i64::MIN;

impl Frame<'_> {
    /// A column of numbers that must be there, without nulls.
    pub(crate) fn floats(&self, column: &'static str) -> Result<Vec<f64>> {
        let source = self.required(column)?;
        if let Source::Arrow(chunks) = source {
            let mut rows = 0;
            for chunk in chunks {
                self.refuse_nulls(column, rows, chunk.as_ref())?;
                rows += chunk.len();
            }
        }
        let values = self.read_floats(column, source)?;
        match values.iter().position(Option::is_none) {
            Some(row) => Err(self.fault(column, Some(row), "null: every row needs a value")),
            None => Ok(values.into_iter().flatten().collect()),
        }
    }

    /// A column of numbers that may be left out as a whole, but not in single rows.
    pub(crate) fn optional_floats(&self, column: &'static str) -> Result<Option<Vec<f64>>> {
        self.optional(column)
            .map(|_| self.floats(column))
            .transpose()
    }

    /// A column of numbers in which null and NaN say that a row has none.
    pub(crate) fn sparse_floats(&self, column: &'static str) -> Result<Option<Vec<Option<f64>>>> {
        let Some(source) = self.optional(column) else {
            return Ok(None);
        };
        let values = self.read_floats(column, source)?;
        Ok(Some(
            values
                .into_iter()
                .map(|value| value.filter(|value| !value.is_nan()))
                .collect(),
        ))
    }

    fn read_floats(&self, column: &'static str, source: &Source<'_>) -> Result<Vec<Option<f64>>> {
        match source {
            Source::Arrow(chunks) => {
                let mut values = Vec::with_capacity(chunks.iter().map(|chunk| chunk.len()).sum());
                for chunk in chunks {
                    self.push_arrow_floats(column, chunk.as_ref(), &mut values)?;
                }
                Ok(values)
            }
            Source::Python(values) => self.python_floats(column, values),
        }
    }

    fn python_floats(
        &self,
        column: &'static str,
        values: &Bound<'_, PyAny>,
    ) -> Result<Vec<Option<f64>>> {
        if let Ok(array) = values.extract::<PyReadonlyArray1<'_, f64>>() {
            return Ok(array.as_array().iter().copied().map(Some).collect());
        }
        if let Ok(array) = values.extract::<PyReadonlyArray1<'_, f32>>() {
            return Ok(array
                .as_array()
                .iter()
                .copied()
                .map(shortest)
                .map(Some)
                .collect());
        }
        if let Ok(array) = values.extract::<PyReadonlyArray1<'_, i64>>() {
            return self.exact(
                column,
                0,
                array.as_array().iter().map(|&value| i128::from(value)),
            );
        }
        if let Ok(array) = values.extract::<PyReadonlyArray1<'_, u64>>() {
            return self.exact(
                column,
                0,
                array.as_array().iter().map(|&value| i128::from(value)),
            );
        }
        if let Ok(array) = values.cast::<PyUntypedArray>() {
            return Err(self.fault(
                column,
                None,
                format!("numbers are needed, not {}", array.dtype()),
            ));
        }
        let values = values.cast::<PyList>().map_err(PyErr::from)?;
        values
            .iter()
            .enumerate()
            .map(|(row, value)| self.object_float(column, row, &value))
            .collect()
    }

    fn object_float(
        &self,
        column: &'static str,
        row: usize,
        value: &Bound<'_, PyAny>,
    ) -> Result<Option<f64>> {
        if value.is_none() {
            return Ok(None);
        }
        if let Ok(number) = value.cast::<PyFloat>() {
            return Ok(Some(number.value()));
        }
        let number = !value.is_instance_of::<PyBool>() && !value.is_instance_of::<PyString>();
        if number && (value.is_instance_of::<PyInt>() || value.hasattr("__index__")?) {
            let integer = match value.extract::<i128>() {
                Ok(integer) => integer,
                Err(_) if value.is_instance_of::<PyInt>() => i128::MAX,
                Err(_) => {
                    return Err(self.fault(
                        column,
                        Some(row),
                        format!("{} is not a number", value.repr()?),
                    ));
                }
            };
            return Ok(self.exact(column, row, std::iter::once(integer))?[0]);
        }
        if value.get_type().name()? == "float32" {
            return Ok(Some(shortest(value.extract::<f32>()?)));
        }
        Err(self.fault(
            column,
            Some(row),
            format!("{} is not a number", value.repr()?),
        ))
    }

    fn push_arrow_floats(
        &self,
        column: &'static str,
        chunk: &dyn Array,
        values: &mut Vec<Option<f64>>,
    ) -> Result<()> {
        macro_rules! integers {
            ($type:ty) => {{
                let read = chunk.as_primitive::<$type>().iter();
                let exact = self.exact(
                    column,
                    values.len(),
                    read.clone().map(|value| value.map_or(0, i128::from)),
                )?;
                values.extend(
                    exact
                        .into_iter()
                        .zip(read)
                        .map(|(value, given)| given.and(value)),
                );
            }};
        }
        match chunk.data_type() {
            DataType::Float64 => values.extend(chunk.as_primitive::<Float64Type>().iter()),
            DataType::Float32 => {
                values.extend(
                    chunk
                        .as_primitive::<Float32Type>()
                        .iter()
                        .map(|value| value.map(shortest)),
                );
            }
            DataType::Int8 => integers!(Int8Type),
            DataType::Int16 => integers!(Int16Type),
            DataType::Int32 => integers!(Int32Type),
            DataType::Int64 => integers!(Int64Type),
            DataType::UInt8 => integers!(UInt8Type),
            DataType::UInt16 => integers!(UInt16Type),
            DataType::UInt32 => integers!(UInt32Type),
            DataType::UInt64 => integers!(UInt64Type),
            DataType::Null => values.extend(std::iter::repeat_n(None, chunk.len())),
            other => {
                return Err(self.fault(column, None, format!("numbers are needed, not {other}")));
            }
        }
        Ok(())
    }

    /// Integers as f64, refused where f64 cannot hold them.
    fn exact(
        &self,
        column: &'static str,
        first_row: usize,
        values: impl Iterator<Item = i128>,
    ) -> Result<Vec<Option<f64>>> {
        let exact = |(at, value): (usize, i128)| {
            let float = value as f64;
            if float as i128 == value && value != i128::MAX {
                return Ok(Some(float));
            }
            // What does not fit 128 bits comes as the largest that does.
            if value == i128::MAX {
                return Err(self.fault(
                    column,
                    Some(first_row + at),
                    "an integer of more than 127 bits is not exact in 64-bit floating point",
                ));
            }
            let problem = format!("the integer {value} is not exact in 64-bit floating point");
            Err(self.fault(column, Some(first_row + at), problem))
        };
        values.enumerate().map(exact).collect()
    }

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

    /// A column of texts in which null says that a row has none.
    pub(crate) fn sparse_texts(&self, column: &'static str) -> Result<Option<Vec<Option<String>>>> {
        match self.optional(column) {
            None => Ok(None),
            Some(Source::Arrow(chunks)) => {
                let mut texts = Vec::new();
                for chunk in chunks {
                    self.push_sparse_texts(column, chunk, &mut texts)?;
                }
                Ok(Some(texts))
            }
            Some(Source::Python(values)) => {
                let Ok(values) = values.cast::<PyList>() else {
                    return Err(self.fault(column, None, "text is needed"));
                };
                let text = |(row, value): (usize, Bound<'_, PyAny>)| match value
                    .extract::<Option<String>>()
                {
                    Ok(text) => Ok(text.filter(|text| !text.is_empty())),
                    Err(_) => {
                        Err(self.fault(column, Some(row), format!("{} is not text", value.repr()?)))
                    }
                };
                values
                    .iter()
                    .enumerate()
                    .map(text)
                    .collect::<Result<_>>()
                    .map(Some)
            }
        }
    }

    fn push_sparse_texts(
        &self,
        column: &'static str,
        chunk: &ArrayRef,
        texts: &mut Vec<Option<String>>,
    ) -> Result<()> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        match chunk.data_type() {
            DataType::Utf8 => texts.extend(chunk.as_string::<i32>().iter().map(owned)),
            DataType::LargeUtf8 => texts.extend(chunk.as_string::<i64>().iter().map(owned)),
            DataType::Utf8View => texts.extend(chunk.as_string_view().iter().map(owned)),
            DataType::Null => texts.extend(std::iter::repeat_n(None, chunk.len())),
            DataType::Dictionary(..) => {
                let dictionary = chunk.as_any_dictionary();
                let mut values = Vec::new();
                self.push_sparse_texts(column, dictionary.values(), &mut values)?;
                let nulls = chunk.logical_nulls();
                texts.extend(dictionary.normalized_keys().into_iter().enumerate().map(
                    |(row, key)| {
                        let null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
                        if null { None } else { values[key].clone() }
                    },
                ));
            }
            other => return Err(self.fault(column, None, format!("text is needed, not {other}"))),
        }
        Ok(())
    }

    /// A column of times in nanoseconds since 1970 UTC, in which null says that a row has none.
    pub(crate) fn sparse_times(&self, column: &'static str) -> Result<Option<Vec<Option<i64>>>> {
        match self.optional(column) {
            None => Ok(None),
            Some(Source::Arrow(chunks)) => {
                let mut times = Vec::new();
                for chunk in chunks {
                    self.push_arrow_times(column, chunk.as_ref(), &mut times)?;
                }
                Ok(Some(times))
            }
            Some(Source::Python(values)) => {
                let Ok(array) = values.extract::<PyReadonlyArray1<'_, i64>>() else {
                    return Err(self.fault(
                        column,
                        None,
                        "times are needed (datetime64, datetime or ISO text)",
                    ));
                };
                let time = |&time: &i64| Some(time).filter(|&time| time != NOT_A_TIME);
                Ok(Some(array.as_array().iter().map(time).collect()))
            }
        }
    }

    fn push_arrow_times(
        &self,
        column: &'static str,
        chunk: &dyn Array,
        times: &mut Vec<Option<i64>>,
    ) -> Result<()> {
        use DataType::{Date32, Date64, LargeUtf8, Null, Timestamp, Utf8, Utf8View};
        let given = chunk.data_type();
        if !matches!(
            given,
            Timestamp(..) | Date32 | Date64 | Utf8 | LargeUtf8 | Utf8View | Null
        ) {
            return Err(self.fault(column, None, format!("times are needed, not {given}")));
        }
        // What has no zone means UTC; what lies outside the years that nanoseconds reach is an error.
        let nanoseconds = Timestamp(TimeUnit::Nanosecond, Some("+00:00".into()));
        let strict = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        let cast = cast_with_options(chunk, &nanoseconds, &strict)
            .map_err(|error| self.fault(column, None, error.to_string()))?;
        times.extend(cast.as_primitive::<TimestampNanosecondType>().iter());
        Ok(())
    }
}

/// NumPy's own kind of flag, which is no Python bool; `bool_` before NumPy 2.
fn is_numpy_flag(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let name = value.get_type().name()?;
    Ok(name == "bool" || name == "bool_")
}

/// A 32-bit float means the shortest decimal that prints as it: 0.1f32 is 0.1, not 0.10000000149.
fn shortest(value: f32) -> f64 {
    value
        .to_string()
        .parse()
        .expect("a printed float can be read")
}
