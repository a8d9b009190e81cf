//! Any margin model as the live engine sees it.

use std::sync::Arc;

use crate::book::Book;
use crate::error::Result;
use crate::exact::Given;
use crate::market::Market;
use crate::model::CrossMargin;
use crate::pool::Stop;
use crate::report::{Evaluated, evaluate};
use crate::risk::RiskModel;
use crate::risk_report::evaluate_risk;
use crate::units::Key;
use crate::universe::Universe;

/// A margin model.
#[derive(Clone, Debug)]
pub enum MarginModel {
    /// Cross margin, or isolated margin where the key is the position.
    Linear(CrossMargin, Key),
    /// Margin by scenarios.
    Risk(Box<RiskModel>),
}

impl MarginModel {
    /// What its parameters refer to.
    #[must_use]
    pub fn universe(&self) -> &Arc<Universe> {
        match self {
            Self::Linear(model, _) => model.universe(),
            Self::Risk(model) => model.universe(),
        }
    }

    /// All of its parameters, to be printed: in a fixed order, and without the universe.
    pub(crate) fn parameters(&self) -> impl std::fmt::Debug {
        match self {
            Self::Linear(model, key) => format!("{key:?} {:?}", model.parameters()),
            Self::Risk(model) => {
                format!("{:?} {:?}", model.collateral.parameters(), model.parameters)
            }
        }
    }

    /// What it nets.
    pub(crate) fn key(&self) -> Key {
        match self {
            Self::Linear(_, key) => *key,
            Self::Risk(_) => Key::SettlementAsset,
        }
    }

    /// Margin of every account of a book.
    ///
    /// # Errors
    /// As [`evaluate`] or [`evaluate_risk`].
    pub fn evaluate(&self, book: &Book, market: &Market, stop: Stop<'_>) -> Result<Evaluated> {
        match self {
            Self::Linear(model, key) => evaluate(model, *key, book, market, stop),
            Self::Risk(model) => Ok(evaluate_risk(model, book, market, stop)?.evaluated),
        }
    }

    /// The same model, but that no more than a share of unrealized gains counts.
    pub(crate) fn with_gain_share_at_most(&self, share: &Given) -> Result<Self> {
        Ok(match self {
            Self::Linear(model, key) => {
                Self::Linear(model.with_gain_share_at_most(share, |_| true), *key)
            }
            Self::Risk(model) => Self::Risk(Box::new(model.with_gain_share_at_most(share)?)),
        })
    }
}
