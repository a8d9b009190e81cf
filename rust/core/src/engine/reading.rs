//! One account of cross margin read and contracted with the live table; in exact numbers where rounding might decide.

use super::boxes::{Boxes, Mode, UnitFigures};
use super::judge::{Verdict, book_of};
use super::table::LiveTable;
use crate::book::Block;
use crate::error::Result;
use crate::exact::Rational;
use crate::kernel::{
    BlockTable, FloatState, Scratch, Simd, Units, column, contract_account, result,
};
use crate::layout::Gathered;
use crate::ledger::{Account, Accounts};
use crate::market::Market;
use crate::model::CrossMargin;
use crate::settle::{Settlement, Subject};
use crate::table::Missing;
use crate::units::{AccountUnits, Key, Reader};

/// What a thread needs to read accounts, used again from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    block: Block,
    units: AccountUnits<f64>,
    gathered: Gathered,
    scratch: Scratch,
    /// How far each unit's prices may move, if that was asked for.
    pub(crate) boxes: Boxes,
}

/// What an account is read with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inputs<'a> {
    pub(crate) model: &'a CrossMargin,
    pub(crate) market: &'a Market,
    pub(crate) accounts: &'a Accounts,
    /// Number of the account, for errors.
    pub(crate) number: usize,
}

impl Reading {
    /// Makes the rows that an account needs.
    ///
    /// # Errors
    /// A price or parameter that is missing.
    pub(crate) fn prepare(
        &mut self,
        inputs: Inputs<'_>,
        account: &Account,
        table: &mut LiveTable,
    ) -> Result<()> {
        let _state = FloatState::standard();
        let Inputs {
            model,
            market,
            accounts,
            number,
        } = inputs;
        self.block.clear();
        accounts.push_booked(account, &mut self.block);
        let reader = Reader::new(accounts.universe(), Key::SettlementAsset);
        let holdings = self.block.holdings(0);
        let known = |missing: Missing| {
            missing.error(accounts.universe(), accounts.ids().get(number).to_string())
        };
        self.units.read(reader, holdings);
        table.ensure(&self.units, model, market).map_err(known)?;
        for position in 0..holdings.instrument.len() {
            if holdings.is_isolated(position) {
                self.units.read_position(reader, holdings, position);
                table.ensure(&self.units, model, market).map_err(known)?;
            }
        }
        Ok(())
    }

    /// Judges an account that was prepared: its pool first, then its isolated positions.
    pub(crate) fn judge(
        &mut self,
        inputs: Inputs<'_>,
        account: &Account,
        table: &LiveTable,
        with_boxes: bool,
        verdicts: &mut Vec<Verdict>,
    ) {
        let _state = FloatState::standard();
        verdicts.clear();
        self.boxes.clear();
        self.block.clear();
        inputs.accounts.push_booked(account, &mut self.block);
        let reader = Reader::new(inputs.accounts.universe(), Key::SettlementAsset);
        let holdings = self.block.holdings(0);
        self.units.read(reader, holdings);
        let pool = self.unit(inputs, account, table, None, with_boxes);
        verdicts.push(pool);
        for position in 0..account.positions.len() {
            if account.positions[position].isolated.is_some() {
                let holdings = self.block.holdings(0);
                self.units.read_position(reader, holdings, position);
                verdicts.push(self.unit(inputs, account, table, Some(position), with_boxes));
            }
        }
    }

    fn unit(
        &mut self,
        inputs: Inputs<'_>,
        account: &Account,
        table: &LiveTable,
        position: Option<usize>,
        with_boxes: bool,
    ) -> Verdict {
        let doubt = crate::table::Rows::of(inputs.accounts.universe()).doubt();
        self.gathered.clear();
        for (target, unit) in (0u32..).zip(self.units.units()) {
            self.gathered
                .push(unit, doubt, self.units.least_rate, target);
        }
        let units: Units<u32> = self.gathered.packed();
        let table_of_block = BlockTable {
            charges: &[],
            rows: table.rows(),
            weights: table.weights(),
            rules: Some(table.rules()),
        };
        let sums = contract_account(Simd::current(), &units, table_of_block, &mut self.scratch);
        let mut verdict = Verdict {
            instrument: position.map(|position| account.positions[position].instrument),
            row: sums.row,
            signs: crate::settle::signs_of(&sums.row.0),
        };
        let nothing = self.units.legs().is_empty() && units.legs() == 0;
        let finite = sums.row.0.iter().all(|figure| figure.is_finite());
        let proven = (sums.proven || nothing) && finite;
        if !proven {
            (verdict.row, verdict.signs) = exactly(inputs, account, position);
        }
        if with_boxes {
            let health = verdict.row.0[result::HEALTH].abs();
            let figures = UnitFigures {
                mode: if verdict.is_liquidatable() {
                    Mode::Recovers
                } else {
                    Mode::Falls
                },
                // Nothing is left where only exact numbers could tell.
                slack: if proven {
                    (health - 2.0 * sums.bound).max(0.0)
                } else {
                    0.0
                },
            };
            debug_assert!(column::BOUND < 8);
            self.boxes.add(inputs, table, &self.units, figures);
        }
        verdict
    }
}

/// The same in rationals.
fn exactly(
    inputs: Inputs<'_>,
    account: &Account,
    position: Option<usize>,
) -> (crate::kernel::Row, u8) {
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
