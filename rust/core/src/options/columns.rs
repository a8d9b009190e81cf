//! Checks of columns of options.

use crate::error::{Error, Place, Result, finite};

/// What a column may hold beside being finite.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Bound {
    None,
    AtLeast0,
    Above0,
}

impl Bound {
    pub(super) fn above_0(yes: bool) -> Self {
        if yes { Self::Above0 } else { Self::None }
    }
}

pub(super) const FRAME: &str = "options";

pub(super) fn check_length(name: &'static str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Column {
        place: Place::column(FRAME, name),
        problem: format!("{found} rows, but 'forward' has {expected}"),
    })
}

pub(super) fn check_column(
    name: &'static str,
    column: &[f64],
    rows: usize,
    bound: Bound,
) -> Result<()> {
    check_length(name, column.len(), rows)?;
    for (row, &value) in column.iter().enumerate() {
        let place = || Place::column(FRAME, name).row(row);
        finite(value, place)?;
        let expected = match bound {
            Bound::AtLeast0 if value < 0.0 => "not >= 0",
            Bound::Above0 if value <= 0.0 => "not > 0",
            _ => continue,
        };
        return Err(Error::Value {
            place: place(),
            problem: format!("{value} is {expected}"),
        });
    }
    Ok(())
}

pub(super) fn inverse_normal() -> Error {
    Error::Parameter {
        place: Place::frame("inverse"),
        problem:
            "an inverse option divides by a price that is negative at times under the normal model"
                .into(),
    }
}
