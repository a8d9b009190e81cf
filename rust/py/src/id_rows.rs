//! Columns of ids that are read where they lie, by any thread: what is looked up once need not be numbered first.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, LargeStringArray, StringArray, StringViewArray};
use arrow_schema::DataType;
use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyList, PyString};
use xmfast_core::{Error as CoreError, Id, IdColumn, Ids, Place};

use crate::error::Result;
use crate::frame::{Frame, SIGNAL_ROWS, Source};

/// A column of ids, and what keeps it where it lies.
pub(crate) enum IdSource<'py> {
    Ints(PyReadonlyArray1<'py, i64>),
    /// NumPy's fixed-width strings: one row of code points each, padded with zeros.
    Points(PyReadonlyArray2<'py, u32>),
    Texts(Vec<Bound<'py, PyString>>),
    Arrow(ArrayRef),
    Listed(Vec<i64>),
    /// Anything else.
    Numbered(IdColumn),
}

/// Its rows.
pub(crate) enum IdRows<'a> {
    Ints(Cow<'a, [i64]>),
    Points {
        points: Cow<'a, [u32]>,
        width: usize,
    },
    Texts(Vec<&'a str>),
    ArrowInts(&'a Int64Array),
    ArrowTexts(&'a StringArray),
    ArrowLongTexts(&'a LargeStringArray),
    ArrowViews(&'a StringViewArray),
    Numbered(&'a IdColumn),
}

impl<'py> Frame<'py> {
    /// A column of ids that must be there.
    pub(crate) fn id_rows(&self, column: &'static str) -> Result<IdSource<'py>> {
        match self.required(column)? {
            Source::Arrow(chunks) => {
                if let [chunk] = chunks.as_slice()
                    && matches!(
                        chunk.data_type(),
                        DataType::Int64 | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
                    )
                {
                    self.refuse_nulls(column, 0, chunk.as_ref())?;
                    return Ok(IdSource::Arrow(chunk.clone()));
                }
            }
            Source::Python(values) => {
                if let Ok(array) = values.extract::<PyReadonlyArray1<'_, i64>>() {
                    return Ok(IdSource::Ints(array));
                }
                if let Ok(array) = values.extract::<PyReadonlyArray2<'_, u32>>() {
                    return Ok(IdSource::Points(array));
                }
                if let Ok(values) = values.cast::<PyList>() {
                    if let Some(texts) = all_texts(values)? {
                        return Ok(IdSource::Texts(texts));
                    }
                    if let Some(ints) = all_ints(values)? {
                        return Ok(IdSource::Listed(ints));
                    }
                }
            }
        }
        Ok(IdSource::Numbered(self.ids(column)?))
    }
}

/// The values of a list that holds text alone.
fn all_texts<'py>(values: &Bound<'py, PyList>) -> PyResult<Option<Vec<Bound<'py, PyString>>>> {
    let mut texts = Vec::with_capacity(values.len());
    for (row, value) in values.iter().enumerate() {
        if row % SIGNAL_ROWS == 0 {
            values.py().check_signals()?;
        }
        match value.cast_into::<PyString>() {
            Ok(text) if text.to_str().is_ok() => texts.push(text),
            _ => return Ok(None),
        }
    }
    Ok(Some(texts))
}

/// The values of a list that holds Python's integers alone, of 64 bits.
fn all_ints(values: &Bound<'_, PyList>) -> PyResult<Option<Vec<i64>>> {
    let mut ints = Vec::with_capacity(values.len());
    for (row, value) in values.iter().enumerate() {
        if row % SIGNAL_ROWS == 0 {
            values.py().check_signals()?;
        }
        if value.is_instance_of::<PyBool>() || !value.is_instance_of::<PyInt>() {
            return Ok(None);
        }
        match value.extract() {
            Ok(int) => ints.push(int),
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(ints))
}

impl IdSource<'_> {
    /// The rows, without Python.
    pub(crate) fn rows(&self) -> IdRows<'_> {
        match self {
            Self::Ints(array) => IdRows::Ints(match array.as_slice() {
                Ok(ints) => Cow::Borrowed(ints),
                Err(_) => array.as_array().iter().copied().collect(),
            }),
            Self::Points(array) => IdRows::Points {
                // Not `as_slice`: it takes Fortran order too, and would read texts transposed.
                points: match array.as_array().to_slice() {
                    Some(points) => Cow::Borrowed(points),
                    None => array.as_array().iter().copied().collect(),
                },
                width: array.shape()[1],
            },
            Self::Texts(texts) => {
                let text = |text| Bound::<PyString>::to_str(text).expect("it was read before");
                IdRows::Texts(texts.iter().map(text).collect())
            }
            Self::Arrow(array) => match array.data_type() {
                DataType::Int64 => IdRows::ArrowInts(array.as_primitive::<Int64Type>()),
                DataType::Utf8 => IdRows::ArrowTexts(array.as_string()),
                DataType::LargeUtf8 => IdRows::ArrowLongTexts(array.as_string()),
                _ => IdRows::ArrowViews(array.as_string_view()),
            },
            Self::Listed(ints) => IdRows::Ints(Cow::Borrowed(ints)),
            Self::Numbered(column) => IdRows::Numbered(column),
        }
    }
}

/// A text of NumPy's, or what is no character in it.
fn text_of(padded: &[u32]) -> std::result::Result<String, u32> {
    let last = padded.iter().rposition(|&point| point != 0);
    let points = padded[..last.map_or(0, |last| last + 1)].iter();
    points
        .map(|&point| char::from_u32(point).ok_or(point))
        .collect()
}

impl IdRows<'_> {
    /// Numbers of the ids in some rows, as far as they are known.
    pub(crate) fn find(&self, known: &Ids, rows: &[usize]) -> Vec<Option<u32>> {
        let mut found = Vec::with_capacity(rows.len());
        if let Self::Points { points, width } = self {
            let texts = rows
                .iter()
                .map(|row| text_of(&points[row * width..][..*width]));
            let texts: Vec<Option<String>> = texts.map(std::result::Result::ok).collect();
            let ids = texts
                .iter()
                .map(|text| Id::Text(text.as_deref().unwrap_or("")));
            known.find_many(&ids.collect::<Vec<_>>(), &mut found);
            for (found, text) in found.iter_mut().zip(texts) {
                *found = found.filter(|_| text.is_some());
            }
            return found;
        }
        let id = |&row: &usize| match self {
            Self::Ints(ints) => Id::Int(ints[row]),
            Self::Texts(texts) => Id::Text(texts[row]),
            Self::ArrowInts(array) => Id::Int(array.value(row)),
            Self::ArrowTexts(array) => Id::Text(array.value(row)),
            Self::ArrowLongTexts(array) => Id::Text(array.value(row)),
            Self::ArrowViews(array) => Id::Text(array.value(row)),
            Self::Numbered(column) => column.get(row),
            Self::Points { .. } => unreachable!("read above"),
        };
        known.find_many(&rows.iter().map(id).collect::<Vec<_>>(), &mut found);
        found
    }

    /// Calls `f` with the id of a row.
    pub(crate) fn with<T>(
        &self,
        row: usize,
        place: impl Fn() -> Place,
        f: impl FnOnce(Id<'_>) -> xmfast_core::Result<T>,
    ) -> xmfast_core::Result<T> {
        match self {
            Self::Ints(ints) => f(Id::Int(ints[row])),
            Self::Texts(texts) => f(Id::Text(texts[row])),
            Self::ArrowInts(array) => f(Id::Int(array.value(row))),
            Self::ArrowTexts(array) => f(Id::Text(array.value(row))),
            Self::ArrowLongTexts(array) => f(Id::Text(array.value(row))),
            Self::ArrowViews(array) => f(Id::Text(array.value(row))),
            Self::Numbered(column) => f(column.get(row)),
            Self::Points { points, width } => {
                let text = text_of(&points[row * width..][..*width]);
                let text = text.map_err(|point| CoreError::Column {
                    place: place(),
                    problem: format!("{point:#x} is no Unicode character"),
                })?;
                f(Id::Text(&text))
            }
        }
    }
}
