//! Columns of texts.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::error::Result;
use crate::frame::{Frame, Source};

impl Frame<'_> {
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
}
