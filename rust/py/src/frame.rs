//! Frames from Python: an Arrow stream, or a dict of columns.

use arrow_array::{Array, ArrayRef};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use pyo3_arrow::{PyArray, PyChunkedArray, PyTable};
use xmfast_core::{Error as CoreError, Ids, Place};

use crate::error::{Error, Result};

/// How often a loop over Python objects looks for Ctrl-C.
pub(crate) const SIGNAL_ROWS: usize = 1 << 16;

/// Where a column's values come from.
pub(crate) enum Source<'py> {
    /// Arrow chunks.
    Arrow(Vec<ArrayRef>),
    /// A NumPy array or list, brought into one of the few accepted forms by `xmfast._frames`.
    Python(Bound<'py, PyAny>),
}

impl Source<'_> {
    pub(crate) fn len(&self) -> Result<usize> {
        match self {
            Self::Arrow(chunks) => Ok(chunks.iter().map(|chunk| chunk.len()).sum()),
            Self::Python(column) => Ok(column.len()?),
        }
    }
}

/// A frame whose columns are known to be of one length.
pub(crate) struct Frame<'py> {
    pub(crate) name: &'static str,
    columns: Vec<(String, Source<'py>)>,
}

impl<'py> Frame<'py> {
    /// Opens a frame and refuses columns that it should not have.
    pub(crate) fn open(
        name: &'static str,
        frame: &Bound<'py, PyAny>,
        known: &[&str],
    ) -> Result<Self> {
        let columns = match frame.cast::<PyDict>() {
            Ok(columns) => columns
                .iter()
                .map(|(column, values)| Ok((column.extract::<String>()?, column_source(values)?)))
                .collect::<Result<Vec<_>>>()?,
            Err(_) => arrow_columns(name, frame)?,
        };
        let opened = Self { name, columns };
        opened.check(known)?;
        Ok(opened)
    }

    fn check(&self, known: &[&str]) -> Result<()> {
        let names: Ids = texts(known.iter().copied());
        let mut rows = None;
        for (at, (column, source)) in self.columns.iter().enumerate() {
            let fault = |problem| {
                Error::Core(CoreError::Column {
                    place: Place::frame(self.name),
                    problem,
                })
            };
            if !known.contains(&column.as_str()) {
                let hint = names.hint(xmfast_core::Id::Text(column));
                return Err(fault(format!("unexpected column '{column}'{hint}")));
            }
            if self.columns[..at].iter().any(|(other, _)| other == column) {
                return Err(fault(format!("column '{column}' stands there twice")));
            }
            let len = source.len()?;
            let (first, expected) = *rows.get_or_insert((column, len));
            if len != expected {
                return Err(fault(format!(
                    "column '{column}' has {len} rows, but '{first}' has {expected}"
                )));
            }
        }
        Ok(())
    }

    /// A column that may be left out.
    pub(crate) fn optional(&self, column: &str) -> Option<&Source<'py>> {
        self.columns
            .iter()
            .find(|(name, _)| name == column)
            .map(|(_, source)| source)
    }

    /// A column that must be there.
    pub(crate) fn required(&self, column: &'static str) -> Result<&Source<'py>> {
        self.optional(column).ok_or_else(|| {
            let have: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
            let problem = format!("no column '{column}'; it has: {}", have.join(", "));
            CoreError::Column {
                place: Place::frame(self.name),
                problem,
            }
            .into()
        })
    }

    /// An error about a column.
    pub(crate) fn fault(
        &self,
        column: &'static str,
        row: Option<usize>,
        problem: impl Into<String>,
    ) -> Error {
        fault(&Place::column(self.name, column), row, problem)
    }

    /// Nulls are errors wherever a value is needed.
    pub(crate) fn refuse_nulls(
        &self,
        column: &'static str,
        rows_before: usize,
        chunk: &dyn Array,
    ) -> Result<()> {
        refuse_nulls(&Place::column(self.name, column), rows_before, chunk)
    }
}

/// An error about a column.
pub(crate) fn fault(place: &Place, row: Option<usize>, problem: impl Into<String>) -> Error {
    let place = Place {
        row,
        ..place.clone()
    };
    CoreError::Column {
        place,
        problem: problem.into(),
    }
    .into()
}

/// See [`Frame::refuse_nulls`].
pub(crate) fn refuse_nulls(place: &Place, rows_before: usize, chunk: &dyn Array) -> Result<()> {
    let Some(nulls) = chunk.logical_nulls() else {
        return Ok(());
    };
    match (0..chunk.len()).find(|&row| nulls.is_null(row)) {
        Some(row) => Err(fault(
            place,
            Some(rows_before + row),
            "null: every row needs a value",
        )),
        None => Ok(()),
    }
}

fn texts<'a>(names: impl Iterator<Item = &'a str>) -> Ids {
    let mut ids = Ids::texts();
    names.for_each(|name| {
        ids.intern_text(name);
    });
    ids
}

/// A column that stands alone, made by `_frames`.
pub(crate) fn column_source(values: Bound<'_, PyAny>) -> Result<Source<'_>> {
    if values.is_instance_of::<PyList>() {
        return Ok(Source::Python(values));
    }
    if values.hasattr("__arrow_c_stream__")? {
        return match values.extract::<PyChunkedArray>() {
            Ok(chunks) => Ok(Source::Arrow(chunks.into_inner().0)),
            // pandas and polars hold integers of more than 64 bits and mixtures, for which Arrow has no type.
            Err(error) => objects(&values).ok_or_else(|| error.into()),
        };
    }
    if values.hasattr("__arrow_c_array__")? {
        let (array, _) = values.extract::<PyArray>()?.into_inner();
        return Ok(Source::Arrow(vec![array]));
    }
    Ok(Source::Python(values))
}

fn objects<'py>(values: &Bound<'py, PyAny>) -> Option<Source<'py>> {
    let list = values
        .call_method0("tolist")
        .or_else(|_| values.call_method0("to_list"));
    Some(Source::Python(
        list.ok()?.cast_into::<PyList>().ok()?.into_any(),
    ))
}

fn arrow_columns<'py>(
    name: &'static str,
    frame: &Bound<'py, PyAny>,
) -> Result<Vec<(String, Source<'py>)>> {
    let (batches, schema) = frame
        .extract::<PyTable>()
        .map_err(|error| {
            let problem = format!("cannot be read as an Arrow table ({error})");
            Error::Core(CoreError::Column {
                place: Place::frame(name),
                problem,
            })
        })?
        .into_inner();
    let column = |at: usize| {
        batches
            .iter()
            .map(|batch| batch.column(at).clone())
            .collect()
    };
    Ok(schema
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| (field.name().clone(), Source::Arrow(column(at))))
        .collect())
}
