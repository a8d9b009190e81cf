//! Columns of numbers: f64 in bulk, and beside it the few numbers that f64 cannot hold.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_schema::DataType;
use num_bigint::BigInt;
use numpy::{PyReadonlyArray1, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyList;
use xmfast_core::Place;
use xmfast_core::exact::{Given, GivenColumn, widened};

use crate::cell::number;
use crate::decimal::{decimal, decimal_float, whole, whole_float};
use crate::error::Result;
use crate::frame::{Frame, SIGNAL_ROWS, Source, fault, refuse_nulls};

impl Frame<'_> {
    /// A column of numbers that must be there, without nulls.
    pub(crate) fn numbers(&self, column: &'static str) -> Result<GivenColumn> {
        let place = Place::column(self.name, column);
        read_numbers(self.required(column)?, place, Nulls::Refused)
    }

    /// A column of numbers that may be left out as a whole, but not in single rows.
    pub(crate) fn optional_numbers(&self, column: &'static str) -> Result<Option<GivenColumn>> {
        self.optional(column)
            .map(|_| self.numbers(column))
            .transpose()
    }

    /// A column of numbers in which null and NaN say that a row has none; NaN stands for both.
    pub(crate) fn sparse_numbers(&self, column: &'static str) -> Result<Option<GivenColumn>> {
        let place = Place::column(self.name, column);
        self.optional(column)
            .map(|source| read_numbers(source, place, Nulls::AreNan))
            .transpose()
    }
}

/// What becomes of a row without a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nulls {
    Refused,
    AreNan,
}

/// Reads a column; `place` is what errors name.
pub(crate) fn read_numbers(source: &Source<'_>, place: Place, nulls: Nulls) -> Result<GivenColumn> {
    let mut reader = Reader {
        place,
        nulls,
        floats: Vec::new(),
        exact: Vec::new(),
    };
    match source {
        Source::Arrow(chunks) => {
            let rows = chunks.iter().map(|chunk| chunk.len()).sum();
            reader.floats.reserve_exact(rows);
            for chunk in chunks {
                reader.push_arrow(chunk.as_ref())?;
            }
        }
        Source::Python(values) => reader.push_python(values)?,
    }
    Ok(reader.finish())
}

/// A column, read so far.
struct Reader {
    place: Place,
    nulls: Nulls,
    floats: Vec<f64>,
    /// By row: what is more than its f64.
    exact: Vec<(usize, Given)>,
}

impl Reader {
    fn push(&mut self, given: Given) {
        self.floats.push(given.float());
        if given.as_ref().exact.is_some() {
            self.exact.push((self.floats.len() - 1, given));
        }
    }

    fn finish(self) -> GivenColumn {
        let mut column = GivenColumn::from(self.floats);
        for (row, given) in self.exact {
            column.set(row, given);
        }
        column
    }

    fn push_arrow(&mut self, chunk: &dyn Array) -> Result<()> {
        if self.nulls == Nulls::Refused {
            refuse_nulls(&self.place, self.floats.len(), chunk)?;
        }
        match chunk.data_type() {
            DataType::Float64 => {
                let chunk = chunk.as_primitive::<Float64Type>();
                if chunk.null_count() == 0 {
                    self.floats.extend_from_slice(chunk.values());
                } else {
                    let values = chunk.iter().map(|value| value.unwrap_or(f64::NAN));
                    self.floats.extend(values);
                }
            }
            DataType::Float32 => {
                let values = chunk.as_primitive::<Float32Type>().iter();
                self.floats
                    .extend(values.map(|value| value.map_or(f64::NAN, widened)));
            }
            DataType::Int8 => self.push_wholes::<Int8Type>(chunk),
            DataType::Int16 => self.push_wholes::<Int16Type>(chunk),
            DataType::Int32 => self.push_wholes::<Int32Type>(chunk),
            DataType::Int64 => self.push_wholes::<Int64Type>(chunk),
            DataType::UInt8 => self.push_wholes::<UInt8Type>(chunk),
            DataType::UInt16 => self.push_wholes::<UInt16Type>(chunk),
            DataType::UInt32 => self.push_wholes::<UInt32Type>(chunk),
            DataType::UInt64 => self.push_wholes::<UInt64Type>(chunk),
            DataType::Decimal32(_, scale) => {
                self.push_decimals::<Decimal32Type>(chunk, *scale, |v| Unscaled::Short(v.into()));
            }
            DataType::Decimal64(_, scale) => {
                self.push_decimals::<Decimal64Type>(chunk, *scale, |v| Unscaled::Short(v.into()));
            }
            DataType::Decimal128(_, scale) => {
                self.push_decimals::<Decimal128Type>(chunk, *scale, Unscaled::Short);
            }
            DataType::Decimal256(_, scale) => {
                let unscaled = |value: <Decimal256Type as ArrowPrimitiveType>::Native| {
                    value.to_i128().map_or_else(
                        || Unscaled::Long(BigInt::from_signed_bytes_le(&value.to_le_bytes())),
                        Unscaled::Short,
                    )
                };
                self.push_decimals::<Decimal256Type>(chunk, *scale, unscaled);
            }
            DataType::Null => {
                let rows = self.floats.len() + chunk.len();
                self.floats.resize(rows, f64::NAN);
            }
            other => {
                let problem = format!("numbers are needed, not {other}");
                return Err(fault(&self.place, None, problem));
            }
        }
        Ok(())
    }

    fn push_wholes<T: ArrowPrimitiveType>(&mut self, chunk: &dyn Array)
    where
        i128: From<T::Native>,
    {
        for value in chunk.as_primitive::<T>() {
            match value {
                None => self.floats.push(f64::NAN),
                Some(value) => self.push_whole(value.into()),
            }
        }
    }

    #[inline]
    fn push_whole(&mut self, value: i128) {
        match whole_float(value) {
            Some(float) => self.floats.push(float),
            None => self.push(whole(value)),
        }
    }

    fn push_decimals<T: DecimalType>(
        &mut self,
        chunk: &dyn Array,
        scale: i8,
        unscaled: impl Fn(T::Native) -> Unscaled,
    ) {
        let exponent = -i32::from(scale);
        for value in chunk.as_primitive::<T>() {
            let digits = match value.map(&unscaled) {
                None => {
                    self.floats.push(f64::NAN);
                    continue;
                }
                Some(Unscaled::Short(digits)) => match decimal_float(digits, exponent) {
                    Some(float) => {
                        self.floats.push(float);
                        continue;
                    }
                    None => digits.into(),
                },
                Some(Unscaled::Long(digits)) => digits,
            };
            self.push(decimal(digits, exponent.into()).expect("at most 1e205, at least 1e-127"));
        }
    }

    fn push_python(&mut self, values: &Bound<'_, PyAny>) -> Result<()> {
        if let Ok(array) = values.extract::<PyReadonlyArray1<'_, f64>>() {
            self.floats = array.as_array().to_vec();
        } else if let Ok(array) = values.extract::<PyReadonlyArray1<'_, f32>>() {
            let floats = array.as_array();
            self.floats.extend(floats.iter().copied().map(widened));
        } else if let Ok(array) = values.extract::<PyReadonlyArray1<'_, i64>>() {
            self.floats.reserve_exact(array.len());
            for &value in array.as_array() {
                self.push_whole(value.into());
            }
        } else if let Ok(array) = values.extract::<PyReadonlyArray1<'_, u64>>() {
            self.floats.reserve_exact(array.len());
            for &value in array.as_array() {
                self.push_whole(value.into());
            }
        } else if let Ok(array) = values.cast::<PyUntypedArray>() {
            // `_frames` hands NumPy's texts over as code points.
            let found = if array.ndim() == 2 {
                "text".to_owned()
            } else {
                array.dtype().to_string()
            };
            let problem = format!("numbers are needed, not {found}");
            return Err(fault(&self.place, None, problem));
        } else {
            self.push_objects(values.cast::<PyList>().map_err(PyErr::from)?)?;
        }
        Ok(())
    }

    fn push_objects(&mut self, values: &Bound<'_, PyList>) -> Result<()> {
        self.floats.reserve_exact(values.len());
        for (row, value) in values.iter().enumerate() {
            if row % SIGNAL_ROWS == 0 {
                values.py().check_signals()?;
            }
            if !value.is_none() {
                let given = number(&value, || self.place.clone().row(row))?;
                self.push(given);
            } else if self.nulls == Nulls::AreNan {
                self.floats.push(f64::NAN);
            } else {
                let problem = "null: every row needs a value";
                return Err(fault(&self.place, Some(row), problem));
            }
        }
        Ok(())
    }
}

/// A decimal without its point.
enum Unscaled {
    Short(i128),
    Long(BigInt),
}
