//! Columns of times.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, TimeUnit};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use crate::error::Result;
use crate::frame::{Frame, Source};

/// `_frames` writes NumPy's "not a time" so.
const NOT_A_TIME: i64 = i64::MIN;

impl Frame<'_> {
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
