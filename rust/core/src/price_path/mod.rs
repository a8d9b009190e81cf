//! Liquidation along a path: how far prices may move together before an account's health, or equity, is 0.
//!
//! A path says by how much each price moves for a move of 1: `price x (1 + beta x move)`. Along it, an account's health is
//! a sum of groups of curves ([`curve`]), and of each group the least counts: the net of a home is weighed by the least of
//! lines, margin takes the greatest. Between the moves at which another curve of a group becomes the least, health is one
//! curve, whose zeros are found in closed form (or, with reciprocals of several betas, between the zeros of its
//! derivative), so that none is missed.

mod account;
mod curve;
mod table;

use std::sync::Arc;

use crate::book::{BLOCK, Block, Book};
use crate::error::{Error, Place, Result, finite};
use crate::ids::Id;
use crate::kernel::{FloatState, Row};
use crate::liquidation_price::Threshold;
use crate::market::Market;
use crate::model::CrossMargin;
use crate::pool::{self, Stop};
use crate::report::evaluate;
use crate::settle::{Settlement, Subject};
use crate::units::Key;
use crate::universe::Universe;
use account::AccountPath;
use table::PathTable;

/// By how much each price moves for a move of 1.
#[derive(Clone, Debug)]
pub struct PricePath {
    universe: Arc<Universe>,
    index_beta: Vec<f64>,
    mark_beta: Vec<f64>,
    /// Whether an instrument was given a beta of its own.
    has_own_beta: Vec<bool>,
}

impl PricePath {
    /// A path on which nothing moves yet.
    #[must_use]
    pub fn new(universe: &Arc<Universe>) -> Self {
        let instruments = universe.specs().len();
        Self {
            universe: Arc::clone(universe),
            index_beta: vec![0.0; universe.index_count()],
            mark_beta: vec![0.0; instruments],
            has_own_beta: vec![false; instruments],
        }
    }

    /// Sets a beta by id. That of an asset or underlying moves its index price and, with it, the marks of perpetuals and
    /// futures on it; that of an instrument its own mark, whatever its underlying says.
    ///
    /// # Errors
    /// An unknown id, a beta that is not finite, a beta of the numeraire other than 0.
    pub fn set_beta(&mut self, id: Id<'_>, beta: f64) -> Result<()> {
        let place = || Place::frame("betas").id(id);
        finite(beta, place)?;
        let universe = &self.universe;
        if let Some(instrument) = universe.instruments().find(id) {
            self.mark_beta[instrument as usize] = beta;
            self.has_own_beta[instrument as usize] = true;
            return Ok(());
        }
        let slot = universe.index_slot(id, place)?;
        if slot == universe.numeraire() && beta != 0.0 {
            return Err(Error::Value {
                place: place(),
                problem: "the numeraire is worth 1 of itself and cannot move".to_owned(),
            });
        }
        self.index_beta[slot] = beta;
        for (instrument, spec) in universe.specs().iter().enumerate() {
            let follows = universe.underlying_slot(spec.underlying) == slot;
            if follows && !spec.is_option() && !self.has_own_beta[instrument] {
                self.mark_beta[instrument] = beta;
            }
        }
        Ok(())
    }

    /// By slot of the index prices.
    #[must_use]
    pub fn index_beta(&self) -> &[f64] {
        &self.index_beta
    }

    /// By instrument.
    #[must_use]
    pub fn mark_beta(&self) -> &[f64] {
        &self.mark_beta
    }

    fn check(&self, model: &CrossMargin) -> Result<()> {
        if Arc::ptr_eq(&self.universe, model.universe()) {
            return Ok(());
        }
        Err(Error::UniverseMismatch {
            left: "path",
            right: "model",
        })
    }
}

/// The moves nearest to none at which a figure is 0; `None` if no move that leaves all prices possible does it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moves {
    /// At most 0.
    pub fall: Option<f64>,
    /// At least 0.
    pub rise: Option<f64>,
}

/// All moves along a path at which the health or equity of an account's pool is 0, ascending.
///
/// # Errors
/// As [`Settlement::settle`]; [`Error::UniverseMismatch`].
pub fn zero_moves(
    settlement: &Settlement<'_>,
    path: &PricePath,
    account: usize,
    threshold: Threshold,
) -> Result<Vec<f64>> {
    let _state = FloatState::standard();
    let Settlement {
        model,
        book,
        market,
        key,
    } = *settlement;
    path.check(model)?;
    let subject = Subject {
        account,
        position: None,
    };
    // In exact numbers, so that it is the figure of the report; the rest is f64.
    let (row, _) = settlement.settle(subject, false)?.rounded();
    let table = PathTable::new(model, key, market, path, threshold);
    let mut along = AccountPath::new(&table);
    let now = row.0[threshold.column()];
    let moves = along.all(book.holdings(account), now);
    if along.is_finite() {
        return Ok(moves);
    }
    Err(Error::Range {
        account: book.accounts().get(account).to_string(),
        problem: "its holdings are too large for f64".to_owned(),
    })
}

/// The nearest moves along a path at which the health or equity of each account's pool is 0.
///
/// # Errors
/// As [`evaluate`]; [`Error::UniverseMismatch`].
pub fn nearest_moves(
    (model, key): (&CrossMargin, Key),
    book: &Book,
    market: &Market,
    path: &PricePath,
    threshold: Threshold,
    stop: Stop<'_>,
) -> Result<Vec<Moves>> {
    path.check(model)?;
    let evaluated = evaluate(model, key, book, market, &mut *stop)?;
    let _state = FloatState::standard();
    let table = PathTable::new(model, key, market, path, threshold);
    let none = Moves {
        fall: None,
        rise: None,
    };
    let mut moves = vec![none; book.accounts().len()];
    let pools = evaluated.pools.rows().chunks(BLOCK);
    let tasks = book.blocks().iter().zip(pools).zip(moves.chunks_mut(BLOCK));
    let work = |((block, pools), moves): ((&Arc<Block>, &[Row]), &mut [Moves])| {
        let mut along = AccountPath::new(&table);
        for (slot, (pool, moves)) in pools.iter().zip(moves).enumerate() {
            *moves = along.nearest(block.holdings(slot), pool.0[threshold.column()]);
        }
    };
    pool::for_each(tasks, work, stop)?;
    Ok(moves)
}
