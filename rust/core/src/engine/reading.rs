//! One account of cross margin read and contracted with the live table; in exact numbers where rounding might decide.

use super::aims::aims;
use super::alone::Alone;
use super::boxes::{Boxes, Watch, downwards};
use super::judge::{Verdict, decided, exactly, exactly_as_booked};
use super::judged::{Judged, Legs};
use super::kept::{Kept, Piece, Pieces};
use super::levels::Entries;
use super::plain::read_plain;
use super::standing::AlertLevels;
use super::table::LiveTable;
use crate::book::{Block, Book, Holdings};
use crate::error::Result;
use crate::kernel::{
    BlockTable, Charged, Charges, Scratch, Simd, UnitLegs, Units, contract_account, contract_unit,
};
use crate::layout::Gathered;
use crate::ledger::{Account, Accounts};
use crate::market::Market;
use crate::model::CrossMargin;
use crate::table::{Missing, Rows};
use crate::units::{AccountUnits, Key, Reader, Unit};

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
    alerts: AlertLevels,
    account: Account,
    /// Home of the account that was prepared last, if it is plain: then its legs are in `rows` and `quantities`.
    prepared: Option<usize>,
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

impl Inputs<'_> {
    /// The account as the ledger has it.
    pub(crate) fn account(self) -> Account {
        let mut account = Account::default();
        self.accounts.load(self.number, &mut account);
        account
    }
}

/// What was read of an account.
#[derive(Clone, Copy)]
struct Read<'a> {
    holdings: Holdings<'a>,
    /// The account as it would be; `None` if it is as the ledger has it.
    draft: Option<&'a Account>,
}

impl<'a> Read<'a> {
    fn isolated(self) -> impl Iterator<Item = usize> + 'a {
        let positions = 0..self.holdings.instrument.len();
        positions.filter(move |&position| self.holdings.is_isolated(position))
    }
}

/// What is watched before an account is judged.
#[derive(Clone, Copy)]
pub(crate) struct WatchedNow<'a> {
    pub(crate) kept: &'a Kept,
    pub(crate) alone: &'a Alone,
}

/// Accounts that are watched for the first time.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    pub(crate) pieces: Pieces,
    pub(crate) entries: Entries,
    /// What the boxes of pools leave over.
    pub(crate) reserves: Vec<f32>,
    /// What is watched of isolated positions, by account and instrument.
    pub(crate) alone: Vec<((u32, u32), Vec<Watch>)>,
}

pub(crate) fn block_table(table: &LiveTable) -> BlockTable<'_> {
    BlockTable {
        charges: Charged::Nothing,
        rows: table.rows(),
        weights: table.weights(),
        rules: Some(table.rules()),
    }
}

impl Reading {
    /// With the margin ratios that are watched beside 1.
    pub(crate) fn new(alerts: &AlertLevels) -> Self {
        Self {
            alerts: alerts.clone(),
            ..Self::default()
        }
    }

    /// Reads an account and makes the rows that it needs.
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
        let known = |missing: Missing| {
            missing.error(accounts.universe(), accounts.ids().get(number).to_string())
        };
        let legs = (&mut self.rows, &mut self.quantities);
        self.prepared = read_plain(accounts, account, legs);
        if self.prepared.is_some() {
            let rows = self.rows.iter().map(|&row| row as usize);
            return table.ensure_rows(rows, model, market).map_err(known);
        }
        self.block.clear();
        accounts.push_booked(account, false, &mut self.block);
        let reader = Reader::new(accounts.universe(), Key::SettlementAsset);
        let holdings = self.block.holdings(0);
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
        let block = std::mem::take(&mut self.block);
        let read = Read {
            holdings: block.holdings(0),
            draft: Some(account),
        };
        verdicts.clear();
        verdicts.push(self.unit(inputs, read, table, None).0);
        for position in read.isolated() {
            self.read_position(inputs, read, position);
            verdicts.push(self.unit(inputs, read, table, Some(position)).0);
        }
        self.block = block;
    }

    /// Judges the account that was prepared last, which the ledger has by now, and finds what to watch of it.
    pub(crate) fn judge_prepared(
        &mut self,
        inputs: Inputs<'_>,
        account: &Account,
        (table, watched): (&LiveTable, WatchedNow<'_>),
        judged: &mut Judged,
    ) {
        if let Some(home) = self.prepared.take() {
            std::mem::swap(&mut self.rows, &mut judged.rows);
            std::mem::swap(&mut self.quantities, &mut judged.quantities);
            return self.judge_legs(inputs, home, (table, watched), judged);
        }
        let block = std::mem::take(&mut self.block);
        let read = Read {
            holdings: block.holdings(0),
            draft: Some(account),
        };
        self.judge_read(inputs, read, (table, watched), judged);
        self.block = block;
    }

    /// The same of an account as the ledger has it, by rows that are there.
    pub(crate) fn judge_booked(
        &mut self,
        inputs: Inputs<'_>,
        (table, watched): (&LiveTable, WatchedNow<'_>),
        judged: &mut Judged,
    ) {
        inputs.accounts.load(inputs.number, &mut self.account);
        let legs = (&mut judged.rows, &mut judged.quantities);
        if let Some(home) = read_plain(inputs.accounts, &self.account, legs) {
            return self.judge_legs(inputs, home, (table, watched), judged);
        }
        let (mut block, account) = (
            std::mem::take(&mut self.block),
            std::mem::take(&mut self.account),
        );
        block.clear();
        inputs.accounts.push_booked(&account, false, &mut block);
        let reader = Reader::new(inputs.accounts.universe(), Key::SettlementAsset);
        let read = Read {
            holdings: block.holdings(0),
            draft: Some(&account),
        };
        self.units.read(reader, read.holdings);
        self.judge_read(inputs, read, (table, watched), judged);
        (self.block, self.account) = (block, account);
    }

    /// Judges a plain account whose legs were just read, for what was started.
    fn judge_legs(
        &mut self,
        inputs: Inputs<'_>,
        home: usize,
        (table, watched): (&LiveTable, WatchedNow<'_>),
        judged: &mut Judged,
    ) {
        let (rows, quantities) = (
            std::mem::take(&mut judged.rows),
            std::mem::take(&mut judged.quantities),
        );
        judged.is_late = !table.has_rows(rows.iter().map(|&row| row as usize));
        judged.legs = Legs::Plain(home);
        let legs = UnitLegs {
            rows: &rows,
            quantities: &quantities,
            home,
        };
        let before = watched.kept.get(inputs.number as u32).watches;
        self.judge_plain(inputs, (legs, before), table, judged);
        (judged.rows, judged.quantities) = (rows, quantities);
    }

    /// Judges an account whose pool was read last, for what was started.
    fn judge_read(
        &mut self,
        inputs: Inputs<'_>,
        read: Read<'_>,
        (table, watched): (&LiveTable, WatchedNow<'_>),
        judged: &mut Judged,
    ) {
        let number = inputs.number as u32;
        judged.is_late = !table.is_ready(&self.units, inputs.model);
        let (verdict, bound) = self.unit(inputs, read, table, None);
        judged.verdicts.push(verdict);
        if judged.is_armed {
            judged.legs = match self.plain_home(read.holdings) {
                None => Legs::NotPlain,
                Some(home) => {
                    judged.rows.clone_from(&self.rows);
                    judged.quantities.clone_from(&self.quantities);
                    Legs::Plain(home)
                }
            };
            let before = watched.kept.get(number).watches;
            self.watch(inputs, table, before, (&verdict, bound));
            judged.watches.extend_from_slice(self.boxes.watches());
            judged.reserve = self.boxes.reserve();
        }
        for position in read.isolated() {
            self.read_position(inputs, read, position);
            judged.is_late |= !table.is_ready(&self.units, inputs.model);
            let (verdict, bound) = self.unit(inputs, read, table, Some(position));
            judged.verdicts.push(verdict);
            if !judged.is_armed {
                continue;
            }
            let instrument = read.holdings.instrument[position];
            let subject = watched.alone.find(number, instrument);
            let before = subject.map_or(&[][..], |subject| watched.kept.get(subject).watches);
            self.watch(inputs, table, before, (&verdict, bound));
            judged
                .alone
                .push((instrument, self.boxes.watches().to_vec()));
        }
    }

    /// Watches the prices of accounts for the first time; the table must have all rows.
    pub(crate) fn watch_first(
        &mut self,
        inputs: Inputs<'_>,
        (book, numbers): (&Book, std::ops::Range<usize>),
        table: &LiveTable,
    ) -> Watched {
        let mut watched = Watched::default();
        let reader = Reader::new(inputs.accounts.universe(), Key::SettlementAsset);
        for number in numbers {
            let inputs = Inputs { number, ..inputs };
            let read = Read {
                holdings: book.holdings(number),
                draft: None,
            };
            self.units.read(reader, read.holdings);
            let (verdict, bound) = self.unit(inputs, read, table, None);
            let home = self.plain_home(read.holdings);
            self.watch(inputs, table, &[], (&verdict, bound));
            let legs = home.map(|home| self.legs(home));
            let watches = self.boxes.watches();
            watched.pieces.push(Piece { legs, watches });
            watched.entries.push(number as u32, watches);
            watched.reserves.push(downwards(self.boxes.reserve()));
            for position in read.isolated() {
                self.read_position(inputs, read, position);
                let (verdict, bound) = self.unit(inputs, read, table, Some(position));
                self.watch(inputs, table, &[], (&verdict, bound));
                let place = (number as u32, read.holdings.instrument[position]);
                watched.alone.push((place, self.boxes.watches().to_vec()));
            }
        }
        watched.pieces.move_together();
        watched
    }

    /// Judges a plain account by its legs, and finds what to watch.
    pub(crate) fn judge_plain(
        &mut self,
        inputs: Inputs<'_>,
        (legs, before): (UnitLegs<'_, u32>, &[Watch]),
        table: &LiveTable,
        judged: &mut Judged,
    ) {
        let sums = contract_unit(
            Simd::current(),
            legs,
            block_table(table),
            &Charges::default(),
        );
        let (verdict, bound) = decided(sums, legs.rows.is_empty(), || {
            exactly_as_booked(inputs, None)
        });
        judged.verdicts.push(verdict);
        if judged.is_armed {
            let add = |boxes: &mut Boxes| boxes.unit(inputs, legs, table);
            self.find_box((&verdict, bound), table, before, add);
            judged.watches.extend_from_slice(self.boxes.watches());
            judged.reserve = self.boxes.reserve();
        }
    }

    /// Reads an account if the table has all that it needs; its pool is then what was read last.
    pub(crate) fn read_if_ready(
        &mut self,
        inputs: Inputs<'_>,
        account: &Account,
        table: &LiveTable,
    ) -> bool {
        let mut block = std::mem::take(&mut self.block);
        block.clear();
        inputs.accounts.push_booked(account, false, &mut block);
        let read = Read {
            holdings: block.holdings(0),
            draft: Some(account),
        };
        let mut ready = read.isolated().all(|position| {
            self.read_position(inputs, read, position);
            table.is_ready(&self.units, inputs.model)
        });
        if ready {
            let reader = Reader::new(inputs.accounts.universe(), Key::SettlementAsset);
            self.units.read(reader, read.holdings);
            ready = table.is_ready(&self.units, inputs.model);
        }
        self.block = block;
        ready
    }

    fn read_position(&mut self, inputs: Inputs<'_>, read: Read<'_>, position: usize) {
        let reader = Reader::new(inputs.accounts.universe(), Key::SettlementAsset);
        self.units.read_position(reader, read.holdings, position);
    }

    /// The home of an account of one unit and nothing but legs, whose legs are then in `rows` and `quantities`.
    fn plain_home(&mut self, holdings: Holdings<'_>) -> Option<usize> {
        let plain = holdings.order_instrument.is_empty() && holdings.leverage_cap.is_none();
        let alone = |position: usize| holdings.is_isolated(position);
        let plain = plain && !(0..holdings.instrument.len()).any(alone);
        let one = plain && self.units.units().len() == 1;
        one.then(|| self.spread(0))
    }

    /// The legs that were spread last.
    fn legs(&self, home: usize) -> UnitLegs<'_, u32> {
        UnitLegs {
            rows: &self.rows,
            quantities: &self.quantities,
            home,
        }
    }

    /// Puts the legs of a unit into `rows` and `quantities`.
    fn spread(&mut self, unit: usize) -> usize {
        let unit = self.units.units().nth(unit).expect("there is one");
        spread(unit, &mut self.rows, &mut self.quantities);
        unit.home
    }

    /// Judges what was read last; returns what its figures can be off by, too.
    fn unit(
        &mut self,
        inputs: Inputs<'_>,
        read: Read<'_>,
        table: &LiveTable,
        position: Option<usize>,
    ) -> (Verdict, f64) {
        let charged = self.units.units().any(|unit| !unit.exposures.is_empty());
        let sums = if self.units.units().len() == 1 && !charged && self.units.least_rate == 0.0 {
            let home = self.spread(0);
            let legs = self.legs(home);
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
        let instrument = position.map(|position| read.holdings.instrument[position]);
        let (verdict, bound) = decided(sums, nothing, || match read.draft {
            Some(account) => exactly(inputs, account, position),
            None => exactly_as_booked(inputs, position),
        });
        (
            Verdict {
                instrument,
                ..verdict
            },
            bound,
        )
    }

    /// Finds what to watch of what was judged last.
    fn watch(
        &mut self,
        inputs: Inputs<'_>,
        table: &LiveTable,
        before: &[Watch],
        judged: (&Verdict, f64),
    ) {
        let units = std::mem::take(&mut self.units);
        let (mut rows, mut quantities) = (Vec::new(), Vec::new());
        std::mem::swap(&mut rows, &mut self.rows);
        std::mem::swap(&mut quantities, &mut self.quantities);
        self.find_box(judged, table, before, |boxes| {
            for unit in units.units() {
                spread(unit, &mut rows, &mut quantities);
                let legs = UnitLegs {
                    rows: &rows,
                    quantities: &quantities,
                    home: unit.home,
                };
                boxes.unit(inputs, legs, table);
            }
        });
        (self.units, self.rows, self.quantities) = (units, rows, quantities);
    }

    /// Finds a box for all that an account may cross; `add` adds its units. What stays of `before` is looked for where
    /// there is one such thing.
    fn find_box(
        &mut self,
        judged: (&Verdict, f64),
        table: &LiveTable,
        before: &[Watch],
        mut add: impl FnMut(&mut Boxes),
    ) {
        let (first, second) = aims(judged, &self.alerts);
        self.boxes.start(first);
        add(&mut self.boxes);
        let Some(second) = second else {
            self.boxes.finish(table, before);
            return;
        };
        self.boxes.finish(table, &[]);
        self.boxes.start_within(second);
        add(&mut self.boxes);
        self.boxes.finish(table, &[]);
        self.boxes.finish_within();
    }
}

/// Puts the legs of a unit into lists.
fn spread(unit: Unit<'_, f64>, rows: &mut Vec<u32>, quantities: &mut Vec<f64>) {
    rows.clear();
    quantities.clear();
    rows.extend(unit.legs.iter().map(|leg| leg.row as u32));
    quantities.extend(unit.legs.iter().map(|leg| leg.quantity));
}
