//! Legs of every account, netted by settlement asset and packed for the kernel.
//!
//! A *unit* is a group of an account's legs that are netted before anything non-linear happens. Balances whose sign
//! is known (no position settles in the asset) are linear and ride along with the account's first unit; each asset in
//! which positions settle makes one unit, its *home*. So most accounts are one unit; the others are folded.

use crate::book::{Block, Holdings};
use crate::error::Result;
use crate::kernel::{BlockUnits, RowId, Run, Units};
use crate::pool::{self, Stop};
use crate::table::Rows;
use crate::universe::Universe;

/// One leg: a table row and a signed quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Leg {
    /// Row of the table.
    pub(crate) row: usize,
    /// Signed quantity: contracts, asset units, or entry cost.
    pub(crate) quantity: f64,
}

/// The units of one account, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccountUnits {
    legs: Vec<Leg>,
    /// Home (0 if nothing is netted, else asset + 1) and end of each unit's legs.
    units: Vec<(usize, usize)>,
    /// Assets in which positions settle, ascending, with the signed entry cost.
    costs: Vec<(u32, f64)>,
}

impl AccountUnits {
    /// Takes the account's holdings apart; the former content is replaced.
    ///
    /// Legs come by ascending row: cash and cost of each asset, then instruments, in universe order.
    pub(crate) fn read(&mut self, universe: &Universe, rows: Rows, holdings: Holdings<'_>) {
        self.legs.clear();
        self.units.clear();
        self.read_costs(universe, holdings);
        if self.costs.is_empty() {
            self.read_balances(rows, holdings, None);
            self.units.push((0, self.legs.len()));
        }
        for unit in 0..self.costs.len() {
            let (home, cost) = self.costs[unit];
            if unit == 0 {
                self.read_balances(rows, holdings, Some((home, cost)));
            } else {
                self.read_home(rows, holdings, home, cost);
            }
            for (&instrument, &quantity) in holdings.instrument.iter().zip(holdings.quantity) {
                if universe.specs()[instrument as usize].settlement == home {
                    self.push(
                        rows.instrument(universe, instrument as usize, quantity),
                        quantity,
                    );
                }
            }
            self.units.push((home as usize + 1, self.legs.len()));
        }
    }

    /// Home and legs of each unit.
    pub(crate) fn units(&self) -> impl ExactSizeIterator<Item = (usize, &[Leg])> {
        (0..self.units.len()).map(|unit| {
            let start = if unit == 0 { 0 } else { self.units[unit - 1].1 };
            let (home, end) = self.units[unit];
            (home, &self.legs[start..end])
        })
    }

    fn push(&mut self, row: usize, quantity: f64) {
        if quantity != 0.0 {
            self.legs.push(Leg { row, quantity });
        }
    }

    /// Entry cost by settlement asset: sum of quantity x unit value at entry, in canonical order.
    fn read_costs(&mut self, universe: &Universe, holdings: Holdings<'_>) {
        self.costs.clear();
        let positions = holdings
            .instrument
            .iter()
            .zip(holdings.quantity)
            .zip(holdings.entry_price);
        for ((&instrument, &quantity), &entry_price) in positions {
            if quantity == 0.0 {
                continue;
            }
            let spec = &universe.specs()[instrument as usize];
            let found = self
                .costs
                .iter()
                .position(|(asset, _)| *asset == spec.settlement);
            let at = found.unwrap_or_else(|| {
                self.costs.push((spec.settlement, 0.0));
                self.costs.len() - 1
            });
            self.costs[at].1 = quantity.mul_add(spec.unit_value(entry_price), self.costs[at].1);
        }
        self.costs.sort_unstable_by_key(|(asset, _)| *asset);
    }

    /// Balances of the first unit: those of known sign, and cash and cost of its home.
    fn read_balances(&mut self, rows: Rows, holdings: Holdings<'_>, home: Option<(u32, f64)>) {
        let mut cost = home;
        for (&asset, &balance) in holdings.asset.iter().zip(holdings.balance) {
            if let Some((home, value)) = cost.take_if(|(home, _)| *home < asset) {
                self.push(rows.cost(home as usize), value);
            }
            if home.is_some_and(|(home, _)| home == asset) {
                self.push(rows.netted_cash(asset as usize), balance);
            } else if self.costs.iter().all(|(other, _)| *other != asset) {
                self.push(rows.cash(asset as usize, balance), balance);
            }
        }
        if let Some((home, value)) = cost {
            self.push(rows.cost(home as usize), value);
        }
    }

    /// Cash and cost of a further unit's home.
    fn read_home(&mut self, rows: Rows, holdings: Holdings<'_>, home: u32, cost: f64) {
        if let Ok(at) = holdings.asset.binary_search(&home) {
            let balance = holdings.balance[at];
            self.push(rows.netted_cash(home as usize), balance);
        }
        self.push(rows.cost(home as usize), cost);
    }
}

/// The blocks, with row numbers as narrow as the table allows.
#[derive(Debug)]
pub enum LayoutBlocks {
    /// Up to 65,536 table rows.
    Narrow(Vec<BlockUnits<u16>>),
    /// More.
    Wide(Vec<BlockUnits<u32>>),
}

/// All blocks, and which rows of the table they read.
#[derive(Debug)]
pub struct Layout {
    /// The blocks in the order of the book's.
    pub blocks: LayoutBlocks,
    /// Rows that some leg reads.
    pub used_rows: Vec<usize>,
}

impl Layout {
    /// Packs the legs of all accounts, netted by settlement asset.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn by_settlement_asset(
        universe: &Universe,
        blocks: &[Block],
        stop: Stop<'_>,
    ) -> Result<Self> {
        let rows = Rows::of(universe);
        if u16::try_from(rows.count()).is_ok() {
            let (blocks, used_rows) = pack_all(universe, rows, blocks, stop)?;
            Ok(Self {
                blocks: LayoutBlocks::Narrow(blocks),
                used_rows,
            })
        } else {
            let (blocks, used_rows) = pack_all(universe, rows, blocks, stop)?;
            Ok(Self {
                blocks: LayoutBlocks::Wide(blocks),
                used_rows,
            })
        }
    }

    /// Bytes held.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.blocks {
            LayoutBlocks::Narrow(blocks) => blocks.iter().map(BlockUnits::memory).sum(),
            LayoutBlocks::Wide(blocks) => blocks.iter().map(BlockUnits::memory).sum(),
        }
    }

    /// Number of legs, spare slots not counted, and of units.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        match &self.blocks {
            LayoutBlocks::Narrow(blocks) => counts(blocks),
            LayoutBlocks::Wide(blocks) => counts(blocks),
        }
    }
}

fn counts<R: RowId>(blocks: &[BlockUnits<R>]) -> (usize, usize) {
    let units = || blocks.iter().flat_map(|block| [&block.whole, &block.parts]);
    (
        units().map(Units::legs).sum(),
        units().map(Units::len).sum(),
    )
}

/// The packed blocks, and the rows that they read.
type Packed<R> = (Vec<BlockUnits<R>>, Vec<usize>);

fn pack_all<R: RowId>(
    universe: &Universe,
    rows: Rows,
    blocks: &[Block],
    stop: Stop<'_>,
) -> Result<Packed<R>> {
    let packed = pool::map(
        blocks.len(),
        |block| pack(universe, rows, &blocks[block]),
        stop,
    )?;
    let mut used = vec![false; rows.count()];
    for (_, block_used) in &packed {
        for (used, block_used) in used.iter_mut().zip(block_used) {
            *used |= block_used;
        }
    }
    let used_rows = (0..rows.count())
        .filter(|&row| used[row] && row != 0)
        .collect();
    Ok((
        packed.into_iter().map(|(block, _)| block).collect(),
        used_rows,
    ))
}

/// Units gathered in any order, to be sorted into runs.
#[derive(Default)]
struct Gathered {
    legs: Vec<Leg>,
    /// Slots, start in `legs`, leg count, target and home of each unit.
    units: Vec<(usize, usize, usize, u32, usize)>,
}

impl Gathered {
    fn push(&mut self, legs: &[Leg], target: u32, home: usize) {
        self.units.push((
            slots_for(legs.len()),
            self.legs.len(),
            legs.len(),
            target,
            home,
        ));
        self.legs.extend_from_slice(legs);
    }

    fn into_units<R: RowId>(mut self) -> Units<R> {
        // Stable: within a run, units stay in the order of their targets.
        self.units.sort_by_key(|unit| unit.0);
        let slots = self.units.iter().map(|unit| unit.0).sum();
        let (mut runs, mut targets, mut homes) = (Vec::new(), Vec::new(), Vec::new());
        let mut rows = Vec::with_capacity(slots);
        let mut quantities = Vec::with_capacity(slots);
        for units in self.units.chunk_by(|a, b| a.0 == b.0) {
            runs.push(Run {
                slots: units[0].0 as u32,
                units: units.len() as u32,
            });
            for &(slots, start, count, target, home) in units {
                for leg in &self.legs[start..start + count] {
                    rows.push(R::from_index(leg.row));
                    quantities.push(leg.quantity);
                }
                let filled = rows.len() + slots - count;
                rows.resize(filled, R::from_index(0));
                quantities.resize(filled, 0.0);
                targets.push(target);
                homes.push(R::from_index(home));
            }
        }
        // They stay as long as the book does.
        targets.shrink_to_fit();
        homes.shrink_to_fit();
        Units::new(runs, rows, quantities, targets, homes)
    }
}

fn pack<R: RowId>(universe: &Universe, rows: Rows, block: &Block) -> (BlockUnits<R>, Vec<bool>) {
    let mut account = AccountUnits::default();
    let (mut whole, mut parts, mut folds) = (Gathered::default(), Gathered::default(), Vec::new());
    let mut used = vec![false; rows.count()];
    for slot in 0..block.len() {
        account.read(universe, rows, block.holdings(slot));
        for leg in &account.legs {
            used[leg.row] = true;
        }
        let count = account.units().len();
        for (home, legs) in account.units() {
            if count == 1 {
                whole.push(legs, slot as u32, home);
            } else {
                parts.push(legs, parts.units.len() as u32, home);
            }
        }
        if count > 1 {
            folds.push((slot as u32, count as u32));
        }
    }
    (
        BlockUnits {
            whole: whole.into_units(),
            parts: parts.into_units(),
            folds,
        },
        used,
    )
}

/// Slots of a unit of `legs` legs: 1 to 8, then four sizes to every power of two (10, 12, 14, 16, 20, ...).
fn slots_for(legs: usize) -> usize {
    match legs {
        0 | 1 => 1,
        2..=8 => legs,
        _ => legs.next_multiple_of(legs.next_power_of_two() / 8),
    }
}

#[cfg(test)]
mod tests {
    use super::slots_for;

    #[test]
    fn slots_waste_less_than_a_quarter() {
        assert_eq!(
            [0, 1, 7, 8, 9, 10, 11, 16, 17, 20, 21, 33, 64].map(slots_for),
            [1, 1, 7, 8, 10, 10, 12, 16, 20, 20, 24, 40, 64]
        );
        for legs in 9..20_000 {
            let slots = slots_for(legs);
            assert!(
                slots >= legs && slots * 4 <= legs * 5,
                "{legs} legs in {slots} slots"
            );
        }
    }
}
