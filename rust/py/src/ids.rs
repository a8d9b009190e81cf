//! Columns of ids: strings or integers, dictionary-encoded as they are read.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, ArrowPrimitiveType, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, DictionaryArray};
use arrow_schema::DataType;
use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyList, PyString};
use xmfast_core::{Id, IdColumn, Ids};

use crate::error::{Error, Result};
use crate::frame::{Frame, SIGNAL_ROWS, Source};

impl Frame<'_> {
    /// A column of ids that must be there.
    pub(crate) fn ids(&self, column: &'static str) -> Result<IdColumn> {
        match self.required(column)? {
            Source::Arrow(chunks) => self.arrow_ids(column, chunks),
            Source::Python(values) => self.python_ids(column, values),
        }
    }

    fn python_ids(&self, column: &'static str, values: &Bound<'_, PyAny>) -> Result<IdColumn> {
        if let Ok(array) = values.extract::<PyReadonlyArray1<'_, i64>>() {
            return Ok(array.as_array().iter().copied().collect());
        }
        if let Ok(array) = values.extract::<PyReadonlyArray1<'_, u64>>() {
            let signed = |(row, &id): (usize, &u64)| {
                i64::try_from(id).map_err(|_| self.too_wide(column, row, &id))
            };
            let ids = array
                .as_array()
                .iter()
                .enumerate()
                .map(signed)
                .collect::<Result<Vec<i64>>>()?;
            return Ok(ids.into_iter().collect());
        }
        if let Ok(array) = values.extract::<PyReadonlyArray2<'_, u32>>() {
            return self.fixed_width_ids(column, values.py(), &array);
        }
        if let Ok(array) = values.cast::<PyUntypedArray>() {
            return Err(self.fault(
                column,
                None,
                format!("ids are strings or integers, not {}", array.dtype()),
            ));
        }
        self.object_ids(column, values.cast::<PyList>().map_err(PyErr::from)?)
    }

    fn too_wide(&self, column: &'static str, row: usize, id: &dyn std::fmt::Display) -> Error {
        self.fault(
            column,
            Some(row),
            format!("integer id {id} does not fit 64 signed bits"),
        )
    }

    /// NumPy's fixed-width strings: one row of code points each, padded with zeros.
    fn fixed_width_ids(
        &self,
        column: &'static str,
        py: Python<'_>,
        array: &PyReadonlyArray2<'_, u32>,
    ) -> Result<IdColumn> {
        let mut ids = Ids::texts();
        let mut text = String::new();
        let mut codes = Vec::with_capacity(array.as_array().nrows());
        for (row, points) in array.as_array().rows().into_iter().enumerate() {
            if row % SIGNAL_ROWS == 0 {
                py.check_signals()?;
            }
            text.clear();
            let end = points
                .iter()
                .rposition(|&point| point != 0)
                .map_or(0, |last| last + 1);
            for &point in points.iter().take(end) {
                let letter = char::from_u32(point).ok_or_else(|| {
                    self.fault(
                        column,
                        Some(row),
                        format!("{point:#x} is no Unicode character"),
                    )
                })?;
                text.push(letter);
            }
            codes.push(ids.intern_text(&text));
        }
        Ok(IdColumn { codes, ids })
    }

    fn object_ids(&self, column: &'static str, values: &Bound<'_, PyList>) -> Result<IdColumn> {
        let text = values
            .get_item(0)
            .is_ok_and(|first| first.is_instance_of::<PyString>());
        let mut ids = if text { Ids::texts() } else { Ids::ints() };
        let mut codes = Vec::with_capacity(values.len());
        for (row, value) in values.iter().enumerate() {
            if row % SIGNAL_ROWS == 0 {
                values.py().check_signals()?;
            }
            let code = if let Ok(id) = value.cast::<PyString>() {
                let text = id.to_cow().map_err(|_| {
                    self.fault(
                        column,
                        Some(row),
                        format!("{} is not Unicode text", ascii(&value)),
                    )
                })?;
                ids.intern(Id::Text(text.as_ref()))
            } else if !value.is_instance_of::<PyBool>()
                && (value.is_instance_of::<PyInt>() || value.hasattr("__index__")?)
            {
                let id = value
                    .extract::<i64>()
                    .map_err(|_| self.too_wide(column, row, &value))?;
                ids.intern(Id::Int(id))
            } else {
                let found = if value.is_none() {
                    "null".to_owned()
                } else {
                    value.repr()?.to_string()
                };
                return Err(self.fault(
                    column,
                    Some(row),
                    format!("{found}: ids are strings or integers"),
                ));
            };
            codes.push(code.ok_or_else(|| {
                let problem = format!(
                    "{} among {}",
                    value
                        .repr()
                        .map_or_else(|_| "an id".to_owned(), |r| r.to_string()),
                    kind(&ids)
                );
                self.fault(column, Some(row), problem)
            })?);
        }
        Ok(IdColumn { codes, ids })
    }

    fn arrow_ids(&self, column: &'static str, chunks: &[ArrayRef]) -> Result<IdColumn> {
        let mut ids = None;
        let mut codes = Vec::with_capacity(chunks.iter().map(|chunk| chunk.len()).sum());
        for chunk in chunks {
            self.refuse_nulls(column, codes.len(), chunk.as_ref())?;
            let ids = ids.get_or_insert_with(|| {
                if is_text(chunk.data_type()) {
                    Ids::texts()
                } else {
                    Ids::ints()
                }
            });
            self.push_arrow_ids(column, chunk.as_ref(), ids, &mut codes)?;
        }
        Ok(IdColumn {
            codes,
            ids: ids.unwrap_or_else(Ids::ints),
        })
    }

    fn push_arrow_ids(
        &self,
        column: &'static str,
        chunk: &dyn Array,
        ids: &mut Ids,
        codes: &mut Vec<u32>,
    ) -> Result<()> {
        match chunk.data_type() {
            DataType::Utf8 => push_texts(chunk.as_string::<i32>().iter(), ids, codes),
            DataType::LargeUtf8 => push_texts(chunk.as_string::<i64>().iter(), ids, codes),
            DataType::Utf8View => push_texts(chunk.as_string_view().iter(), ids, codes),
            DataType::Int8 => push_ints::<Int8Type>(chunk, ids, codes),
            DataType::Int16 => push_ints::<Int16Type>(chunk, ids, codes),
            DataType::Int32 => push_ints::<Int32Type>(chunk, ids, codes),
            DataType::Int64 => push_ints::<Int64Type>(chunk, ids, codes),
            DataType::UInt8 => push_ints::<UInt8Type>(chunk, ids, codes),
            DataType::UInt16 => push_ints::<UInt16Type>(chunk, ids, codes),
            DataType::UInt32 => push_ints::<UInt32Type>(chunk, ids, codes),
            DataType::UInt64 => {
                let values = chunk.as_primitive::<UInt64Type>().values();
                if let Some(at) = values.iter().position(|&id| i64::try_from(id).is_err()) {
                    return Err(self.too_wide(column, codes.len() + at, &values[at]));
                }
                push_ints::<UInt64Type>(chunk, ids, codes);
            }
            DataType::Dictionary(keys, _) => match keys.as_ref() {
                DataType::Int8 => {
                    return self.push_dictionary::<Int8Type>(column, chunk, ids, codes);
                }
                DataType::Int16 => {
                    return self.push_dictionary::<Int16Type>(column, chunk, ids, codes);
                }
                DataType::Int32 => {
                    return self.push_dictionary::<Int32Type>(column, chunk, ids, codes);
                }
                DataType::Int64 => {
                    return self.push_dictionary::<Int64Type>(column, chunk, ids, codes);
                }
                DataType::UInt8 => {
                    return self.push_dictionary::<UInt8Type>(column, chunk, ids, codes);
                }
                DataType::UInt16 => {
                    return self.push_dictionary::<UInt16Type>(column, chunk, ids, codes);
                }
                DataType::UInt32 => {
                    return self.push_dictionary::<UInt32Type>(column, chunk, ids, codes);
                }
                _ => return self.push_dictionary::<UInt64Type>(column, chunk, ids, codes),
            },
            // A column without rows has no kind.
            DataType::Null if chunk.is_empty() => {}
            other => {
                return Err(self.fault(
                    column,
                    None,
                    format!("ids are strings or integers, not {other}"),
                ));
            }
        }
        Ok(())
    }

    /// Looks each value of the dictionary up once; rows then map by number.
    fn push_dictionary<K: ArrowDictionaryKeyType>(
        &self,
        column: &'static str,
        chunk: &dyn Array,
        ids: &mut Ids,
        codes: &mut Vec<u32>,
    ) -> Result<()> {
        let chunk: &DictionaryArray<K> = chunk.as_dictionary();
        // Values that no row uses must not become ids, so only used ones are looked up, in order of appearance.
        let mut map: Vec<Option<u32>> = vec![None; chunk.values().len()];
        let mut one = Vec::with_capacity(1);
        codes.reserve(chunk.len());
        for key in chunk.keys_iter().flatten() {
            let code = match map[key] {
                Some(code) => code,
                None => {
                    let value = chunk.values().slice(key, 1);
                    self.refuse_nulls(column, codes.len(), value.as_ref())?;
                    one.clear();
                    self.push_arrow_ids(column, value.as_ref(), ids, &mut one)?;
                    *map[key].insert(one[0])
                }
            };
            codes.push(code);
        }
        Ok(())
    }
}

/// A Python object's `ascii()`, which can always be printed.
fn ascii(value: &Bound<'_, PyAny>) -> String {
    let ascii = value
        .py()
        .import("builtins")
        .and_then(|builtins| builtins.call_method1("ascii", (value,)));
    ascii.map_or_else(|_| "an id".to_owned(), |text| text.to_string())
}

fn kind(ids: &Ids) -> &'static str {
    if ids.is_text() {
        "string ids"
    } else {
        "integer ids"
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        other => matches!(
            other,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        ),
    }
}

fn push_texts<'a>(
    texts: impl Iterator<Item = Option<&'a str>>,
    ids: &mut Ids,
    codes: &mut Vec<u32>,
) {
    codes.extend(texts.flatten().map(|text| ids.intern_text(text)));
}

fn push_ints<T: ArrowPrimitiveType>(chunk: &dyn Array, ids: &mut Ids, codes: &mut Vec<u32>)
where
    i64: TryFrom<T::Native>,
{
    let values = chunk.as_primitive::<T>().values().iter();
    let mut last = None;
    codes.extend(values.map(|&id| {
        let id = i64::try_from(id).unwrap_or_else(|_| unreachable!("checked by the caller"));
        match last {
            Some((known, code)) if known == id => code,
            _ => {
                let code = ids.intern_int(id);
                last = Some((id, code));
                code
            }
        }
    }));
}
