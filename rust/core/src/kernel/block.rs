//! A block of accounts: units contracted, nets weighed by their sign, parts folded, result rows written.

use super::charged::Charged;
use super::fetch::fetch_ahead;
use super::lanes::Lanes;
use super::legs::{contract, contract_pair};
use super::rules::{Charges, ChargesInOrder, RuleTable, beyond_sums};
use super::scalar::Scalar;
use super::{BlockUnits, Fold, Row, RowId, Simd, UnitFacts, Units, column, result};

/// Rows of `weights` per home: positive net, negative net.
pub const WEIGHT_ROWS: usize = 2;

/// What the kernel needs of a risk table.
#[derive(Clone, Copy, Debug)]
pub struct BlockTable<'a> {
    /// What is added to the sums of an account beside its legs.
    pub charges: Charged<'a>,
    /// One row for everything a leg can be.
    pub rows: &'a [Row],
    /// [`WEIGHT_ROWS`] rows per home.
    pub weights: &'a [Row],
    /// What is not a sum over legs, if anything is.
    pub rules: Option<&'a RuleTable>,
}

/// Where the results of a block go: one byte of signs for each account, and one row, unless only signs are asked for.
#[derive(Debug)]
pub struct BlockResults<'a> {
    /// Result rows; empty if they are not asked for.
    pub rows: &'a mut [Row],
    /// Which columns of the result row are below 0: bit `c` for column `c`.
    pub signs: &'a mut [u8],
}

/// Memory that is used again from block to block.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Sums of the parts of accounts that have several units.
    parts: Vec<Row>,
    /// Slots whose equity or health is so near to 0 that rounding may have chosen its sign.
    pub near: Vec<u32>,
}

/// Columns of a result row whose sign decides something.
const DECISIVE: u8 = 1 << column::EQUITY | 1 << result::HEALTH | 1 << result::INITIAL_HEALTH;

/// Contracts every account of a block with the table and weighs its nets.
///
/// Leaves in `scratch.near` the slots whose decision is not proven. Returns whether every result is finite.
///
/// # Panics
/// If a row, home or target lies outside its slice (the layout is made so that none does), or the machine lacks the path.
pub fn contract_block<R: RowId>(
    simd: Simd,
    block: &BlockUnits<R>,
    table: BlockTable<'_>,
    scratch: &mut Scratch,
    results: BlockResults<'_>,
) -> bool {
    let row_bound = block.whole.row_bound.max(block.parts.row_bound);
    assert!(row_bound <= table.rows.len(), "the table has too few rows");
    assert!(simd.available(), "this machine has no {}", simd.name());
    scratch.near.clear();
    if scratch.parts.len() < block.parts.len() {
        scratch.parts.resize(block.parts.len(), Row::default());
    }
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `available` was asserted above.
        Simd::Avx512 => unsafe { block_avx512(block, table, scratch, results) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx2 => unsafe { block_avx2(block, table, scratch, results) },
        _ => block_in::<Scalar, R>(block, table, scratch, results),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn block_avx512<R: RowId>(
    block: &BlockUnits<R>,
    table: BlockTable<'_>,
    scratch: &mut Scratch,
    results: BlockResults<'_>,
) -> bool {
    let finite = block_in::<super::avx512::Avx512, R>(block, table, scratch, results);
    std::arch::x86_64::_mm_sfence();
    finite
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn block_avx2<R: RowId>(
    block: &BlockUnits<R>,
    table: BlockTable<'_>,
    scratch: &mut Scratch,
    results: BlockResults<'_>,
) -> bool {
    let finite = block_in::<super::avx2::Avx2, R>(block, table, scratch, results);
    std::arch::x86_64::_mm_sfence();
    finite
}

#[inline(always)]
fn block_in<L: Lanes, R: RowId>(
    block: &BlockUnits<R>,
    table: BlockTable<'_>,
    scratch: &mut Scratch,
    results: BlockResults<'_>,
) -> bool {
    let BlockResults { rows, signs } = results;
    let Scratch { parts, near } = scratch;
    let mut poison = match table.charges {
        Charged::Nothing => units_in::<L, R, WHOLE>(&block.whole, table, rows, signs, near),
        _ => units_in::<L, R, CHARGED>(&block.whole, table, rows, signs, near),
    };
    if !block.folds.is_empty() {
        units_in::<L, R, PART>(&block.parts, table, parts, &mut [], near);
        poison = poison.add(fold_in::<L>(
            &block.folds,
            (parts, table.charges),
            rows,
            signs,
            near,
        ));
    }
    poison.is_clean()
}

/// The figures of one account of a single unit, as [`contract_block`] makes them. `charges` are those of that unit.
///
/// # Panics
/// As [`contract_block`].
pub fn contract_unit<R: RowId>(
    simd: Simd,
    unit: UnitLegs<'_, R>,
    table: BlockTable<'_>,
    charges: &Charges,
) -> AccountSums {
    let in_table = |row: &R| row.index() < table.rows.len();
    assert!(unit.rows.iter().all(in_table), "the table has too few rows");
    assert!(simd.available(), "this machine has no {}", simd.name());
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `available` was asserted above.
        Simd::Avx512 => unsafe { unit_avx512(unit, table, charges) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx2 => unsafe { unit_avx2(unit, table, charges) },
        _ => unit_in::<Scalar, R>(unit, table, charges),
    }
}

/// Legs of a unit, and the asset in which it nets (0: none, else asset + 1).
#[derive(Clone, Copy, Debug)]
pub struct UnitLegs<'a, R> {
    /// Table rows.
    pub rows: &'a [R],
    /// As many quantities.
    pub quantities: &'a [f64],
    /// The home.
    pub home: usize,
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn unit_avx512<R: RowId>(
    unit: UnitLegs<'_, R>,
    table: BlockTable<'_>,
    charges: &Charges,
) -> AccountSums {
    unit_in::<super::avx512::Avx512, R>(unit, table, charges)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn unit_avx2<R: RowId>(
    unit: UnitLegs<'_, R>,
    table: BlockTable<'_>,
    charges: &Charges,
) -> AccountSums {
    unit_in::<super::avx2::Avx2, R>(unit, table, charges)
}

#[inline(always)]
fn unit_in<L: Lanes, R: RowId>(
    unit: UnitLegs<'_, R>,
    table: BlockTable<'_>,
    charges: &Charges,
) -> AccountSums {
    let UnitLegs {
        rows,
        quantities,
        home,
    } = unit;
    let mask = L::operand_mask(&column::ABSOLUTE);
    // SAFETY: `contract_unit` compared every row with the table.
    let mut sum = unsafe { contract::<L, R>(rows, quantities, table.rows, mask) };
    let facts = UnitFacts {
        target: 0,
        home: R::from_index(home),
    };
    let weighed = match table.rules {
        None => weigh(sum, &facts, table),
        Some(rules) => {
            let mut charges = ChargesInOrder::new(charges);
            let with = (table.rows, rules);
            (sum, _) = beyond_sums(sum, rows, quantities, home, with, &mut charges);
            let weighed = weigh(sum, &facts, table);
            if rules.homes.is_empty() {
                weighed
            } else {
                let net = sum.to_row().0[column::NET];
                rules.homes.add_one(home, net, weighed)
            }
        }
    };
    figures_of(weighed)
}

#[inline(always)]
fn figures_of<L: Lanes>(sum: L) -> AccountSums {
    let row = sum.finish();
    AccountSums {
        row: row.to_row(),
        bound: sum.to_row().0[column::BOUND],
        proven: row.within(sum.broadcast_bound()) & DECISIVE == 0,
    }
}

/// The sums of one account whose units are `units`, folded in order: what [`contract_block`] finishes into its row.
///
/// # Panics
/// As [`contract_block`].
pub fn contract_account<R: RowId>(
    simd: Simd,
    units: &Units<R>,
    table: BlockTable<'_>,
    scratch: &mut Scratch,
) -> AccountSums {
    assert!(
        units.row_bound <= table.rows.len(),
        "the table has too few rows"
    );
    assert!(simd.available(), "this machine has no {}", simd.name());
    if scratch.parts.len() < units.len() {
        scratch.parts.resize(units.len(), Row::default());
    }
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `available` was asserted above.
        Simd::Avx512 => unsafe { account_avx512(units, table, scratch) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx2 => unsafe { account_avx2(units, table, scratch) },
        _ => account_in::<Scalar, R>(units, table, scratch),
    }
}

/// One account's figures.
#[derive(Clone, Copy, Debug)]
pub struct AccountSums {
    /// Its result row.
    pub row: Row,
    /// What each figure can be off by.
    pub bound: f64,
    /// Whether the sign of each figure that decides something is proven.
    pub proven: bool,
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn account_avx512<R: RowId>(
    units: &Units<R>,
    table: BlockTable<'_>,
    scratch: &mut Scratch,
) -> AccountSums {
    account_in::<super::avx512::Avx512, R>(units, table, scratch)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn account_avx2<R: RowId>(
    units: &Units<R>,
    table: BlockTable<'_>,
    scratch: &mut Scratch,
) -> AccountSums {
    account_in::<super::avx2::Avx2, R>(units, table, scratch)
}

#[inline(always)]
fn account_in<L: Lanes, R: RowId>(
    units: &Units<R>,
    table: BlockTable<'_>,
    scratch: &mut Scratch,
) -> AccountSums {
    let Scratch { parts, near } = scratch;
    units_in::<L, R, PART>(units, table, parts, &mut [], near);
    let mine = &parts[..units.len()];
    let sum = match mine {
        [whole] => L::load(whole),
        _ => mine
            .iter()
            .fold(L::zero(), |sum, part| sum.add(L::load(part))),
    };
    figures_of(sum)
}

/// Units that are part of an account: they are left as sums.
const PART: u8 = 0;
/// Units that are an account: their rows are finished.
const WHOLE: u8 = 1;
/// The same, where accounts are charged for more than their legs.
const CHARGED: u8 = 2;

/// Contracts and weighs each unit, which is of `KIND`.
///
/// Returns what the rows poisoned.
#[inline(always)]
fn units_in<L: Lanes, R: RowId, const KIND: u8>(
    units: &Units<R>,
    table: BlockTable<'_>,
    out: &mut [Row],
    signs: &mut [u8],
    near: &mut Vec<u32>,
) -> L {
    let mut writer = Writer {
        facts: units.facts.iter(),
        table,
        out,
        signs,
        near,
        poison: L::zero(),
    };
    match table.rules {
        None => contract_units::<L, R>(units, table, &mut Sums::<L, R, KIND>(&mut writer)),
        Some(rules) => {
            let charges = ChargesInOrder::new(&units.charges);
            let mut finish = BeyondSums::<L, R, KIND> {
                writer: &mut writer,
                rules,
                charges,
            };
            contract_units::<L, R>(units, table, &mut finish);
        }
    }
    writer.poison
}

/// What is done with the sums of a unit. A trait, not a closure: closures would not be compiled for the instruction set.
trait Finish<L, R> {
    fn finish(&mut self, sum: L, rows: &[R], quantities: &[f64]);
}

/// Where rows go.
struct Writer<'a, L, R> {
    facts: std::slice::Iter<'a, UnitFacts<R>>,
    table: BlockTable<'a>,
    out: &'a mut [Row],
    signs: &'a mut [u8],
    near: &'a mut Vec<u32>,
    poison: L,
}

/// Units whose figures are sums over legs.
struct Sums<'w, 'a, L, R, const KIND: u8>(&'w mut Writer<'a, L, R>);

impl<L: Lanes, R: RowId, const KIND: u8> Finish<L, R> for Sums<'_, '_, L, R, KIND> {
    #[inline(always)]
    fn finish(&mut self, sum: L, _rows: &[R], _quantities: &[f64]) {
        let facts = self.0.facts.next().expect("as many as units");
        let sum = weigh(sum, facts, self.0.table);
        let doubts = || usize::from(facts.home.index() != 0);
        self.0.write::<KIND>(sum, doubts, facts.target);
    }
}

/// Units that tiers, orders and the like may add to.
struct BeyondSums<'w, 'a, L, R, const KIND: u8> {
    writer: &'w mut Writer<'a, L, R>,
    rules: &'a RuleTable,
    charges: ChargesInOrder<'a>,
}

impl<L: Lanes, R: RowId, const KIND: u8> Finish<L, R> for BeyondSums<'_, '_, L, R, KIND> {
    #[inline(always)]
    fn finish(&mut self, sum: L, rows: &[R], quantities: &[f64]) {
        let facts = self.writer.facts.next().expect("as many as units");
        let home = facts.home.index();
        let table = (self.writer.table.rows, self.rules);
        let (sum, charged) = beyond_sums(sum, rows, quantities, home, table, &mut self.charges);
        let mut weighed = weigh(sum, facts, self.writer.table);
        if !self.rules.homes.is_empty() {
            let net = sum.to_row().0[column::NET];
            weighed = self.rules.homes.add_one(home, net, weighed);
        }
        let doubts = || {
            // An amount within rounding of a threshold may owe what f64 does not see.
            let tiered = || rows.iter().any(|row| self.rules.legs.has(row.index()));
            let unseen = charged || self.rules.homes.has(home) || tiered();
            usize::from(home != 0) + usize::from(unseen) * 2
        };
        self.writer.write::<KIND>(weighed, doubts, facts.target);
    }
}

impl<L: Lanes, R: RowId> Writer<'_, L, R> {
    #[inline(always)]
    fn write<const KIND: u8>(&mut self, sum: L, doubts: impl FnOnce() -> usize, target: u32) {
        if KIND == CHARGED {
            let sum = self.table.charges.add_to(sum, target);
            // What is charged may be 0 by rounding alone.
            let (out, signs) = (&mut *self.out, &mut *self.signs);
            let row = write(sum, || doubts() + 2, target, out, signs, self.near);
            self.poison = self.poison.poisoned_by(row);
        } else if KIND == WHOLE {
            let (out, signs) = (&mut *self.out, &mut *self.signs);
            let row = write(sum, doubts, target, out, signs, self.near);
            self.poison = self.poison.poisoned_by(row);
        } else {
            sum.store(&mut self.out[target as usize]);
        }
    }
}

/// Contracts each unit and hands its sums on, in order.
#[inline(always)]
fn contract_units<L: Lanes, R: RowId>(
    units: &Units<R>,
    table: BlockTable<'_>,
    then: &mut impl Finish<L, R>,
) {
    let operand_mask = L::operand_mask(&column::ABSOLUTE);
    let (mut rows, mut quantities) = (units.rows.as_slice(), units.quantities.as_slice());
    for run in &units.runs {
        let slots = run.slots as usize;
        let legs = slots * run.units as usize;
        let (run_rows, run_quantities);
        (run_rows, rows) = rows.split_at(legs);
        (run_quantities, quantities) = quantities.split_at(legs);
        // Two units at once: the sums of one are a chain of dependent additions, which leaves half the core idle.
        let mut row_pairs = run_rows.chunks_exact(2 * slots);
        let mut quantity_pairs = run_quantities.chunks_exact(2 * slots);
        for (rows, quantities) in (&mut row_pairs).zip(&mut quantity_pairs) {
            fetch_ahead(rows);
            fetch_ahead(quantities);
            // SAFETY: `contract_block` compared the table with `row_bound`.
            let (first, second) =
                unsafe { contract_pair::<L, R>(rows, quantities, table.rows, operand_mask) };
            let ((first_rows, second_rows), (first_quantities, second_quantities)) =
                (rows.split_at(slots), quantities.split_at(slots));
            then.finish(first, first_rows, first_quantities);
            then.finish(second, second_rows, second_quantities);
        }
        if let (rows @ [_, ..], quantities) = (row_pairs.remainder(), quantity_pairs.remainder()) {
            // SAFETY: as above.
            let sum = unsafe { contract::<L, R>(rows, quantities, table.rows, operand_mask) };
            then.finish(sum, rows, quantities);
        }
    }
}

/// Weighs a unit's net by its sign.
#[inline(always)]
fn weigh<L: Lanes, R: RowId>(sum: L, facts: &UnitFacts<R>, table: BlockTable<'_>) -> L {
    let home = facts.home.index();
    let [positive, negative] = &table.weights[WEIGHT_ROWS * home..WEIGHT_ROWS * (home + 1)] else {
        unreachable!("as many as asked")
    };
    let net = sum.broadcast_net();
    // One of the two parts is zero.
    let sum = net.positive_part().mul_add(L::load(positive), sum);
    net.negative_part().mul_add(L::load(negative), sum)
}

/// Finishes and writes the row of an account. `doubts` is 0 if nothing is netted, 1 if one net is, more if there is more
/// that may be 0 by rounding alone.
#[inline(always)]
fn write<L: Lanes>(
    sum: L,
    doubts: impl FnOnce() -> usize,
    target: u32,
    out: &mut [Row],
    signs: &mut [u8],
    near: &mut Vec<u32>,
) -> L {
    let bound = sum.broadcast_bound();
    let row = sum.finish();
    if row.within(bound) & DECISIVE != 0 {
        note_near(&sum.to_row().0, doubts(), target, near);
    }
    signs[target as usize] = row.signs();
    if let Some(out) = out.get_mut(target as usize) {
        row.stream(out);
    }
    row
}

/// Notes an account whose decision is not proven.
///
/// Health is surely 0, as f64 says, where nothing counts and nothing is required: assets of which all is cut off, say.
#[cold]
fn note_near(sums: &[f64; 8], doubts: usize, target: u32, near: &mut Vec<u32>) {
    let zero = |columns: &[usize]| columns.iter().all(|&column| sums[column] == 0.0);
    let nothing = zero(&[
        column::ASSETS,
        column::INITIAL_COLLATERAL,
        column::DEBTS,
        column::MAINTENANCE_MARGIN,
        column::INITIAL_MARGIN,
    ]);
    let sure = |column: usize| sums[column].abs() >= sums[column::BOUND];
    let sure_weights = doubts == 0 || doubts == 1 && sure(column::NET);
    if !(nothing && sure(column::EQUITY) && sure_weights) {
        near.push(target);
    }
}

/// Sums the parts of each account in order and finishes its row.
#[inline(always)]
fn fold_in<L: Lanes>(
    accounts: &[Fold],
    (parts, charges): (&[Row], Charged<'_>),
    out: &mut [Row],
    signs: &mut [u8],
    near: &mut Vec<u32>,
) -> L {
    let mut poison = L::zero();
    let mut rest = parts;
    for account in accounts {
        let (mine, others) = rest.split_at(account.parts as usize);
        rest = others;
        let mut sum = L::zero();
        for part in mine {
            sum = sum.add(L::load(part));
        }
        let sum = charges.add_to(sum, account.target);
        let row = write(sum, || mine.len(), account.target, out, signs, near);
        poison = poison.poisoned_by(row);
    }
    poison
}
