//! What is decided of one account: the same bits and signs as in a report of all.

use std::sync::Arc;

use super::model::MarginModel;
use crate::book::{Block, Book};
use crate::error::Result;
use crate::ids::{Id, Ids};
use crate::kernel::{Row, result};
use crate::ledger::{Account, Accounts};
use crate::market::Market;
use crate::pool::never;

/// One unit of an account: its pool, or a position that stands alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    /// The instrument of a position that stands alone.
    pub(crate) instrument: Option<u32>,
    /// The result row.
    pub(crate) row: Row,
    /// Which of its figures are below 0, decided exactly.
    pub(crate) signs: u8,
}

impl Verdict {
    pub(crate) fn is_negative(&self, column: usize) -> bool {
        self.signs >> column & 1 == 1
    }

    pub(crate) fn is_liquidatable(&self) -> bool {
        self.is_negative(result::HEALTH)
    }
}

/// A book of one account.
pub(crate) fn book_of(accounts: &Accounts, id: Id<'_>, account: &Account) -> Book {
    let mut block = Block::default();
    accounts.push_booked(account, false, &mut block);
    let counts = block.counts();
    let mut ids = match id {
        Id::Int(_) => Ids::ints(),
        Id::Text(_) => Ids::texts(),
    };
    ids.intern(id);
    Book::of_blocks(
        accounts.universe(),
        Arc::new(ids),
        vec![Arc::new(block)],
        counts,
    )
}

/// Evaluates one account as if it were all: its pool first, then what stands alone.
///
/// # Errors
/// As [`MarginModel::evaluate`].
pub(crate) fn judge(
    model: &MarginModel,
    market: &Market,
    book: &Book,
    verdicts: &mut Vec<Verdict>,
) -> Result<()> {
    let evaluated = model.evaluate(book, market, &mut never)?;
    verdicts.clear();
    verdicts.push(Verdict {
        instrument: None,
        row: evaluated.pools.rows()[0],
        signs: evaluated.pools.signs()[0],
    });
    let alone = evaluated
        .isolated
        .rows()
        .iter()
        .zip(evaluated.isolated.signs());
    for (position, (&row, &signs)) in evaluated.positions.iter().zip(alone) {
        let held = book.holdings(0).instrument;
        verdicts.push(Verdict {
            instrument: Some(held[position.position as usize]),
            row,
            signs,
        });
    }
    Ok(())
}
