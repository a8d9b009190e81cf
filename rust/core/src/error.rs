//! What can be wrong with an input or a result, and where.

use std::fmt;

/// Where in the caller's input a fault was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Name of the frame or argument, such as `positions`.
    pub frame: &'static str,
    /// Name of the column.
    pub column: Option<&'static str>,
    /// Row of the frame, counted from 0.
    pub row: Option<usize>,
    /// The account or other id that the row speaks of, ready to print.
    pub id: Option<String>,
}

impl Place {
    /// A whole frame.
    #[must_use]
    pub fn frame(frame: &'static str) -> Self {
        Self {
            frame,
            ..Self::default()
        }
    }

    /// A column of a frame.
    #[must_use]
    pub fn column(frame: &'static str, column: &'static str) -> Self {
        Self {
            frame,
            column: Some(column),
            ..Self::default()
        }
    }

    /// The same place, narrowed to a row.
    #[must_use]
    pub fn row(mut self, row: usize) -> Self {
        self.row = Some(row);
        self
    }

    /// The same place, with the id that the row speaks of.
    #[must_use]
    pub fn id(mut self, id: impl fmt::Display) -> Self {
        self.id = Some(id.to_string());
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.frame)?;
        if let Some(column) = self.column {
            write!(f, ", column '{column}'")?;
        }
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        if let Some(id) = &self.id {
            write!(f, " ({id})")?;
        }
        Ok(())
    }
}

/// Every error of the crate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A value that no account, market or instrument can have.
    #[error("{place}: {problem}")]
    Value {
        /// Where it stands.
        place: Place,
        /// What is wrong with it.
        problem: String,
    },
    /// A column that is missing, has the wrong length or cannot be read.
    #[error("{place}: {problem}")]
    Column {
        /// Where it stands.
        place: Place,
        /// What is wrong with it.
        problem: String,
    },
    /// Two rows where one is allowed.
    #[error("{place}: {problem}")]
    Duplicate {
        /// Where the second one stands.
        place: Place,
        /// What is there twice, and where it was first.
        problem: String,
    },
    /// A model parameter outside its bounds.
    #[error("{place}: {problem}")]
    Parameter {
        /// Where it stands.
        place: Place,
        /// What is wrong with it.
        problem: String,
    },
    /// An id that is not known.
    #[error("{place}: {problem}")]
    Unknown {
        /// Where it stands.
        place: Place,
        /// What was looked up, the id as it was given, and a close name or the valid choices.
        problem: String,
    },
    /// Two objects that were not built on the same universe.
    #[error(
        "{left} and {right} belong to two different universes; build both on the same Universe object"
    )]
    UniverseMismatch {
        /// One of the two.
        left: &'static str,
        /// The other.
        right: &'static str,
    },
    /// A universe that does not begin with all of the one before.
    #[error(
        "the universe does not extend the engine's: {problem}; make it by extending the engine's own"
    )]
    NotExtended {
        /// The first asset or instrument that differs.
        problem: String,
    },
    /// Something held has no price in this market.
    #[error("market: no {what} of {id}{}", needed_by(.account, "needs"))]
    MissingPrice {
        /// `index price` or `mark price`.
        what: &'static str,
        /// The asset, underlying or instrument.
        id: String,
        /// One account that holds it; empty if no account is spoken of.
        account: String,
    },
    /// Something held has no row among the model's parameters.
    #[error("margin: no row for instrument {id}{}", needed_by(.account, "holds"))]
    MissingParameter {
        /// The instrument.
        id: String,
        /// One account that holds it; empty if no account is spoken of.
        account: String,
    },
    /// A result that f64 cannot hold.
    #[error("account {account}: {problem}")]
    Range {
        /// The account.
        account: String,
        /// Which figure left the range, and by which leg.
        problem: String,
    },
    /// An event that is well formed, but that the state does not allow.
    #[error("{place}: {problem}")]
    Refused {
        /// What was asked for.
        place: Place,
        /// Why not.
        problem: String,
    },
    /// The caller asked for an end (Ctrl-C).
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// The same, found in a row of a frame of events.
    pub(crate) fn in_row(self, frame: &'static str, row: usize) -> Self {
        let name = |place: Place, problem: String| {
            let problem = format!("{place}: {problem}");
            (Place::frame(frame).row(row), problem)
        };
        match self {
            Self::Value { place, problem } => {
                let (place, problem) = name(place, problem);
                Self::Value { place, problem }
            }
            Self::Refused { place, problem } => {
                let (place, problem) = name(place, problem);
                Self::Refused { place, problem }
            }
            other => other,
        }
    }
}

fn needed_by(account: &str, verb: &str) -> String {
    if account.is_empty() {
        return String::new();
    }
    format!(", which account {account} {verb}")
}

/// Result of anything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Refuses a number that is not finite.
pub(crate) fn finite(value: f64, place: impl FnOnce() -> Place) -> Result<f64> {
    if value.is_finite() {
        return Ok(value);
    }
    Err(Error::Value {
        place: place(),
        problem: format!("{value} is not a finite number"),
    })
}
