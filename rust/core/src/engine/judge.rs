//! What is decided of one account: the same bits and signs as in a report of all.

use std::sync::Arc;

use super::model::MarginModel;
use super::reading::Inputs;
use crate::book::{Block, Book};
use crate::error::Result;
use crate::exact::Rational;
use crate::ids::{Id, Ids};
use crate::kernel::{AccountSums, FloatState, Row, result};
use crate::ledger::{Account, Accounts};
use crate::market::Market;
use crate::pool::never;
use crate::settle::{Settlement, Subject, signs_of};
use crate::units::Key;

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

/// A verdict on a pool, and what its figures can be off by; infinite where only exact numbers could tell.
pub(crate) fn decided(
    sums: AccountSums,
    nothing: bool,
    exactly: impl FnOnce() -> (Row, u8),
) -> (Verdict, f64) {
    let finite = sums.row.0.iter().all(|figure| figure.is_finite());
    let verdict = |row, signs| Verdict {
        instrument: None,
        row,
        signs,
    };
    if (sums.proven || nothing) && finite {
        let signs = signs_of(&sums.row.0);
        return (verdict(sums.row, signs), sums.bound);
    }
    let (row, signs) = exactly();
    (verdict(row, signs), f64::INFINITY)
}

/// The figures of an account of the ledger or of one of its positions in rationals.
pub(crate) fn exactly_as_booked(inputs: Inputs<'_>, position: Option<usize>) -> (Row, u8) {
    exactly(inputs, &inputs.account(), position)
}

/// The figures of an account or of one of its positions in rationals.
pub(crate) fn exactly(inputs: Inputs<'_>, account: &Account, position: Option<usize>) -> (Row, u8) {
    let _state = FloatState::standard();
    let id = inputs.accounts.ids().get(inputs.number);
    let book = book_of(inputs.accounts, id, account);
    let settlement = Settlement {
        model: inputs.model,
        book: &book,
        market: inputs.market,
        key: Key::SettlementAsset,
    };
    let subject = Subject {
        account: 0,
        position,
    };
    let settled = settlement.settle::<Rational>(subject, false);
    settled.expect("the account was prepared").rounded()
}
