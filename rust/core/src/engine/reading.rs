//! One account of cross margin read and contracted with the live table; in exact numbers where rounding might decide.

use super::boxes::{Boxes, Mode, UnitFigures};
use super::judge::{Verdict, book_of};
use super::levels::{Levels, Subject};
use super::plain::PlainLegs;
use super::table::LiveTable;
use crate::book::Block;
use crate::error::Result;
use crate::exact::Rational;
use crate::kernel::{
    AccountSums, BlockTable, Charges, FloatState, Row, Scratch, Simd, UnitLegs, Units,
    contract_account, contract_unit, result,
};
use crate::layout::Gathered;
use crate::ledger::{Account, Accounts};
use crate::market::Market;
use crate::model::CrossMargin;
use crate::settle::{Settlement, Subject as Settled, signs_of};
use crate::table::{Missing, Rows};
use crate::units::{AccountUnits, Key, Reader};

/// What a thread needs to read accounts, used again from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    block: Block,
    units: AccountUnits<f64>,
    gathered: Gathered,
    scratch: Scratch,
    rows: Vec<u32>,
    quantities: Vec<f64>,
    boxes: Boxes,
}

/// What an account is read with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inputs<'a> {
    pub(crate) model: &'a CrossMargin,
    pub(crate) market: &'a Market,
    pub(crate) accounts: &'a Accounts,
    /// Number of the account.
    pub(crate) number: usize,
}

pub(crate) fn block_table(table: &LiveTable) -> BlockTable<'_> {
    BlockTable {
        charges: &[],
        rows: table.rows(),
        weights: table.weights(),
        rules: Some(table.rules()),
    }
}

impl Reading {
    /// Reads an account and makes the rows that it needs; its pool is then what was read last.
    ///
    /// # Errors
    /// A price or parameter that is missing.
    pub(crate) fn prepare(
        &mut self,
        inputs: Inputs<'_>,
        account: &Account,
        table: &mut LiveTable,
    ) -> Result<()> {
        let Inputs {
            model,
            market,
            accounts,
            number,
        } = inputs;
        self.block.clear();
        accounts.push_booked(account, false, &mut self.block);
        let reader = Reader::new(accounts.universe(), Key::SettlementAsset);
        let holdings = self.block.holdings(0);
        let known = |missing: Missing| {
            missing.error(accounts.universe(), accounts.ids().get(number).to_string())
        };
        for position in 0..holdings.instrument.len() {
            if holdings.is_isolated(position) {
                self.units.read_position(reader, holdings, position);
                table.ensure(&self.units, model, market).map_err(known)?;
            }
        }
        self.units.read(reader, holdings);
        table.ensure(&self.units, model, market).map_err(known)
    }

    /// Judges the account that was prepared last: its pool first, then its isolated positions.
    pub(crate) fn judge(
        &mut self,
        inputs: Inputs<'_>,
        account: &Account,
        table: &LiveTable,
        verdicts: &mut Vec<Verdict>,
    ) {
        verdicts.clear();
        verdicts.push(self.unit(inputs, account, table, None).0);
        for position in 0..account.positions.len() {
            if account.positions[position].isolated.is_some() {
                self.read_position(inputs, position);
                verdicts.push(self.unit(inputs, account, table, Some(position)).0);
            }
        }
    }

    /// The same, and watches each unit's prices anew; keeps the legs of an account that is plain.
    pub(crate) fn judge_and_watch(
        &mut self,
        inputs: Inputs<'_>,
        account: &Account,
        table: &LiveTable,
        (levels, plain): (&mut Levels, &mut PlainLegs),
        mut alone: impl FnMut(u32) -> Subject,
        verdicts: &mut Vec<Verdict>,
    ) {
        verdicts.clear();
        let (verdict, slack) = self.unit(inputs, account, table, None);
        verdicts.push(verdict);
        let number = inputs.number as u32;
        match self.plain_home(account) {
            Some(home) => {
                let unit = UnitLegs {
                    rows: &self.rows,
                    quantities: &self.quantities,
                    home,
                };
                plain.set(number, unit);
            }
            None => plain.clear(number),
        }
        self.watch(inputs, table, (number, levels), &verdict, slack);
        for position in 0..account.positions.len() {
            if account.positions[position].isolated.is_none() {
                continue;
            }
            self.read_position(inputs, position);
            let (verdict, slack) = self.unit(inputs, account, table, Some(position));
            verdicts.push(verdict);
            let subject = alone(account.positions[position].instrument);
            self.watch(inputs, table, (subject, levels), &verdict, slack);
        }
    }

    /// Judges a plain account by the legs that are kept of it, and watches its prices anew.
    pub(crate) fn judge_plain(
        &mut self,
        inputs: Inputs<'_>,
        legs: UnitLegs<'_, u32>,
        table: &LiveTable,
        levels: &mut Levels,
    ) -> Verdict {
        let sums = contract_unit(
            Simd::current(),
            legs,
            block_table(table),
            &Charges::default(),
        );
        let (verdict, slack) = decided(sums, legs.rows.is_empty(), || {
            let mut account = Account::default();
            inputs.accounts.load(inputs.number, &mut account);
            exactly(inputs, &account, None)
        });
        let figures = figures(&verdict, slack);
        self.boxes.start(figures.mode);
        self.boxes.unit(inputs, legs, table);
        let before = levels.watches(inputs.number as u32);
        self.boxes.finish(figures.slack, table, before);
        levels.set(inputs.number as u32, self.boxes.watches());
        verdict
    }

    /// Reads an account if the table has all that it needs; its pool is then what was read last.
    pub(crate) fn read_if_ready(
        &mut self,
        inputs: Inputs<'_>,
        account: &Account,
        table: &LiveTable,
    ) -> bool {
        self.block.clear();
        inputs.accounts.push_booked(account, false, &mut self.block);
        let alone = |position: &usize| account.positions[*position].isolated.is_some();
        for position in (0..account.positions.len()).filter(alone) {
            self.read_position(inputs, position);
            if !table.is_ready(&self.units, inputs.model) {
                return false;
            }
        }
        let reader = Reader::new(inputs.accounts.universe(), Key::SettlementAsset);
        self.units.read(reader, self.block.holdings(0));
        table.is_ready(&self.units, inputs.model)
    }

    fn read_position(&mut self, inputs: Inputs<'_>, position: usize) {
        let reader = Reader::new(inputs.accounts.universe(), Key::SettlementAsset);
        let holdings = self.block.holdings(0);
        self.units.read_position(reader, holdings, position);
    }

    /// The home of an account of one unit and nothing but legs, whose legs are then in `rows` and `quantities`.
    fn plain_home(&mut self, account: &Account) -> Option<usize> {
        let plain = account.orders.is_empty()
            && account.leverage_cap.is_none()
            && account
                .positions
                .iter()
                .all(|position| position.isolated.is_none());
        let mut units = self.units.units();
        let unit = units.next().filter(|_| plain && units.next().is_none())?;
        Some(unit.home)
    }

    /// Puts the legs of a unit into `rows` and `quantities`.
    fn spread(&mut self, unit: usize) -> usize {
        self.rows.clear();
        self.quantities.clear();
        let unit = self.units.units().nth(unit).expect("there is one");
        self.rows.extend(unit.legs.iter().map(|leg| leg.row as u32));
        self.quantities
            .extend(unit.legs.iter().map(|leg| leg.quantity));
        unit.home
    }

    /// Judges what was read last; returns how far its health provably is from 0, too.
    fn unit(
        &mut self,
        inputs: Inputs<'_>,
        account: &Account,
        table: &LiveTable,
        position: Option<usize>,
    ) -> (Verdict, f64) {
        let charged = self.units.units().any(|unit| !unit.exposures.is_empty());
        let sums = if self.units.units().len() == 1 && !charged && self.units.least_rate == 0.0 {
            let home = self.spread(0);
            let legs = UnitLegs {
                rows: &self.rows,
                quantities: &self.quantities,
                home,
            };
            contract_unit(
                Simd::current(),
                legs,
                block_table(table),
                &Charges::default(),
            )
        } else {
            let doubt = Rows::of(inputs.accounts.universe()).doubt();
            self.gathered.clear();
            for (target, unit) in (0u32..).zip(self.units.units()) {
                let least_rate = self.units.least_rate;
                self.gathered.push(unit, doubt, least_rate, target);
            }
            let units: Units<u32> = self.gathered.packed();
            contract_account(
                Simd::current(),
                &units,
                block_table(table),
                &mut self.scratch,
            )
        };
        let nothing = self.units.legs().is_empty() && !charged;
        let instrument = position.map(|position| account.positions[position].instrument);
        let (verdict, slack) = decided(sums, nothing, || exactly(inputs, account, position));
        (
            Verdict {
                instrument,
                ..verdict
            },
            slack,
        )
    }

    /// Watches the prices of what was judged last.
    fn watch(
        &mut self,
        inputs: Inputs<'_>,
        table: &LiveTable,
        (subject, levels): (Subject, &mut Levels),
        verdict: &Verdict,
        slack: f64,
    ) {
        let figures = figures(verdict, slack);
        self.boxes.start(figures.mode);
        let units = self.units.units().len();
        for unit in 0..units {
            let home = self.spread(unit);
            let legs = UnitLegs {
                rows: &self.rows,
                quantities: &self.quantities,
                home,
            };
            self.boxes.unit(inputs, legs, table);
        }
        self.boxes
            .finish(figures.slack, table, levels.watches(subject));
        levels.set(subject, self.boxes.watches());
    }
}

fn figures(verdict: &Verdict, slack: f64) -> UnitFigures {
    let mode = if verdict.is_liquidatable() {
        Mode::Recovers
    } else {
        Mode::Falls
    };
    UnitFigures { mode, slack }
}

/// A verdict on a pool, and how far its health provably is from 0; nothing where only exact numbers could tell.
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
        let slack = sums.row.0[result::HEALTH].abs() - 2.0 * sums.bound;
        let signs = signs_of(&sums.row.0);
        return (verdict(sums.row, signs), slack.max(0.0));
    }
    let (row, signs) = exactly();
    (verdict(row, signs), 0.0)
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
    let subject = Settled {
        account: 0,
        position,
    };
    let settled = settlement.settle::<Rational>(subject, false);
    settled.expect("the account was prepared").rounded()
}
