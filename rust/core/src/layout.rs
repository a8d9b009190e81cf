//! Legs of every account, packed for the kernel.

use std::sync::Arc;

use crate::book::{BLOCK, Block, PackedBy};
use crate::error::Result;
use crate::kernel::{self, BlockUnits, Charges, Fold, RowId, Run, UnitFacts, Units};
use crate::pool::{self, Stop};
use crate::table::{Rows, Used};
use crate::units::{AccountUnits, Exposure, Key, Leg, Reader, Unit};
use crate::universe::Universe;

/// The blocks, with row numbers as narrow as the table allows.
#[derive(Clone, Debug)]
pub enum LayoutBlocks {
    /// Up to 65,536 table rows.
    Narrow(Packed<u16>),
    /// More.
    Wide(Packed<u32>),
}

/// The units of all blocks.
#[derive(Clone, Debug)]
pub struct Packed<R> {
    /// Pools of the accounts, in the order of the book's blocks.
    pub pools: Vec<Arc<BlockUnits<R>>>,
    /// Isolated positions by block; targets count from the block's first. Empty if there is none.
    pub isolated: Vec<Arc<BlockUnits<R>>>,
}

/// All blocks, and what of a table they read.
#[derive(Debug)]
pub struct Layout {
    /// The units.
    pub blocks: LayoutBlocks,
    /// What the table must hold.
    pub used: Used,
    /// The isolated positions, in the order of their results.
    pub isolated: Arc<Vec<IsolatedPosition>>,
    /// Where each block's end among `isolated`.
    pub isolated_ends: Vec<usize>,
}

/// A position that is a unit of its own.
#[derive(Clone, Copy, Debug)]
pub struct IsolatedPosition {
    /// Number of the account.
    pub account: u32,
    /// Its place among the account's positions.
    pub position: u32,
}

impl Layout {
    /// Packs the legs of all accounts.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn new(
        key: Key,
        universe: &Arc<Universe>,
        blocks: &[Arc<Block>],
        stop: Stop<'_>,
    ) -> Result<Self> {
        let reader = Reader::new(universe, key);
        if u16::try_from(reader.rows.count()).is_ok() {
            Self::packed((universe, reader), blocks, LayoutBlocks::Narrow, stop)
        } else {
            Self::packed((universe, reader), blocks, LayoutBlocks::Wide, stop)
        }
    }

    fn packed<R: RowId>(
        (universe, reader): (&Arc<Universe>, Reader<'_>),
        blocks: &[Arc<Block>],
        wrap: fn(Packed<R>) -> LayoutBlocks,
        stop: Stop<'_>,
    ) -> Result<Self> {
        let by = PackedBy::Legs(reader.key);
        let pack = |block: usize| {
            let block = &blocks[block];
            let packed = || pack::<R>(reader, block);
            block.packed().get_or(universe, &by, packed)
        };
        let packed = pool::map(blocks.len(), pack, stop)?;
        let mut used = Marks::new(reader);
        let (mut pools, mut isolated_units) = (Vec::new(), Vec::new());
        let (mut isolated, mut isolated_ends) = (Vec::new(), Vec::new());
        for (number, block) in packed.iter().enumerate() {
            used.merge(&block.used);
            pools.push(Arc::clone(&block.pools));
            isolated_units.push(Arc::clone(&block.isolated));
            let first = (number * BLOCK) as u32;
            let positions = block.positions.iter();
            isolated.extend(positions.map(|&(slot, position)| IsolatedPosition {
                account: first + slot,
                position,
            }));
            isolated_ends.push(isolated.len());
        }
        if isolated.is_empty() {
            isolated_units.clear();
        }
        let packed = Packed {
            pools,
            isolated: isolated_units,
        };
        Ok(Self {
            blocks: wrap(packed),
            used: used.finish(),
            isolated: Arc::new(isolated),
            isolated_ends,
        })
    }

    /// Bytes held.
    #[must_use]
    pub fn memory(&self) -> usize {
        let blocks = match &self.blocks {
            LayoutBlocks::Narrow(packed) => packed.memory(),
            LayoutBlocks::Wide(packed) => packed.memory(),
        };
        blocks + size_of::<IsolatedPosition>() * self.isolated.capacity()
    }
}

impl<R: RowId> Packed<R> {
    fn memory(&self) -> usize {
        let blocks = self.pools.iter().chain(&self.isolated);
        blocks.map(|block| block.memory()).sum()
    }
}

/// What legs and exposures read, while it is gathered.
struct Marks {
    rows: Vec<bool>,
    capped: Vec<bool>,
    ordered: Vec<bool>,
    widest: usize,
}

impl Marks {
    fn new(reader: Reader<'_>) -> Self {
        let instruments = reader.universe.specs().len();
        Self {
            rows: vec![false; reader.rows.count()],
            capped: vec![false; instruments],
            ordered: vec![false; instruments],
            widest: 0,
        }
    }

    fn see(&mut self, rows: Rows, account: &AccountUnits<f64>) {
        self.widest = self.widest.max(account.legs().len());
        for leg in account.legs() {
            self.rows[leg.row] = true;
        }
        let capped = account.least_rate > 0.0;
        for exposure in account.units().flat_map(|unit| unit.exposures) {
            // Even if rounding made it 0.
            let row = rows.exposure(exposure.instrument);
            self.rows[row] |= exposure.charged && !capped;
            self.capped[exposure.instrument] |= exposure.charged && capped;
            self.ordered[exposure.instrument] |= !exposure.orders.is_empty();
        }
    }

    fn merge(&mut self, other: &Self) {
        let both = |mine: &mut [bool], others: &[bool]| {
            mine.iter_mut()
                .zip(others)
                .for_each(|(mine, other)| *mine |= other);
        };
        both(&mut self.rows, &other.rows);
        both(&mut self.capped, &other.capped);
        both(&mut self.ordered, &other.ordered);
        self.widest = self.widest.max(other.widest);
    }

    fn finish(&self) -> Used {
        let set = |marks: &[bool]| (0..marks.len()).filter(|&at| marks[at]).collect();
        Used {
            rows: set(&self.rows),
            capped: set(&self.capped),
            ordered: set(&self.ordered),
            widest: self.widest,
        }
    }
}

/// A unit on its way into a run.
#[derive(Debug)]
struct GatheredUnit {
    slots: usize,
    legs: (usize, usize),
    exposures: (usize, usize),
    least_rate: f64,
    facts: UnitFacts<usize>,
}

/// Units gathered in any order, to be sorted into runs.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    legs: Vec<Leg<f64>>,
    exposures: Vec<Exposure<f64>>,
    units: Vec<GatheredUnit>,
}

/// Below this, products of a quantity with a table row may lose bits unseen.
const TINY: f64 = 1e-100;

impl Gathered {
    /// Number of units.
    pub(crate) fn len(&self) -> usize {
        self.units.len()
    }

    /// Forgets all units; the memory is kept.
    pub(crate) fn clear(&mut self) {
        self.legs.clear();
        self.exposures.clear();
        self.units.clear();
    }

    pub(crate) fn push(&mut self, unit: Unit<'_, f64>, doubt: usize, least_rate: f64, target: u32) {
        let tiny = |quantity: f64| quantity != 0.0 && quantity.abs() < TINY;
        let orders =
            |exposure: &Exposure<f64>| exposure.orders.iter().any(|order| tiny(order.quantity));
        let exact = unit.legs.iter().any(|leg| tiny(leg.quantity))
            || unit
                .exposures
                .iter()
                .any(|exposure| tiny(exposure.quantity) || orders(exposure));
        let (legs, exposures) = (self.legs.len(), self.exposures.len());
        self.legs.extend_from_slice(unit.legs);
        if exact {
            self.legs.push(Leg {
                row: doubt,
                quantity: 1.0,
            });
        }
        self.exposures.extend_from_slice(unit.exposures);
        self.units.push(GatheredUnit {
            slots: slots_for(self.legs.len() - legs),
            legs: (legs, self.legs.len()),
            exposures: (exposures, self.exposures.len()),
            least_rate,
            facts: UnitFacts {
                target,
                home: unit.home,
            },
        });
    }

    pub(crate) fn packed<R: RowId>(&mut self) -> Units<R> {
        // Stable: within a run, units stay in the order of their targets.
        self.units.sort_by_key(|unit| unit.slots);
        let slots = self.units.iter().map(|unit| unit.slots).sum();
        let mut runs = Vec::new();
        let mut facts = Vec::with_capacity(self.units.len());
        let mut rows = Vec::with_capacity(slots);
        let mut quantities = Vec::with_capacity(slots);
        for units in self.units.chunk_by(|a, b| a.slots == b.slots) {
            runs.push(Run {
                slots: units[0].slots as u32,
                units: units.len() as u32,
            });
            for unit in units {
                for leg in &self.legs[unit.legs.0..unit.legs.1] {
                    rows.push(R::from_index(leg.row));
                    quantities.push(leg.quantity);
                }
                let filled = rows.len() + unit.slots - (unit.legs.1 - unit.legs.0);
                rows.resize(filled, R::from_index(0));
                quantities.resize(filled, 0.0);
                facts.push(UnitFacts {
                    target: unit.facts.target,
                    home: R::from_index(unit.facts.home),
                });
            }
        }
        let charges = self.charges();
        Units::new(runs, rows, quantities, facts, charges)
    }

    /// Exposures and orders in the order of the units; nothing if there is none.
    fn charges(&self) -> Charges {
        let mut charges = Charges::default();
        if self.exposures.is_empty() {
            return charges;
        }
        let any_cap = self.units.iter().any(|unit| unit.least_rate > 0.0);
        for unit in &self.units {
            let exposures = &self.exposures[unit.exposures.0..unit.exposures.1];
            charges.units.push(exposures.len() as u32);
            if any_cap {
                charges.least_rates.push(unit.least_rate);
            }
            for exposure in exposures {
                charges.exposures.push(kernel::Exposure {
                    instrument: exposure.instrument as u32,
                    orders: exposure.orders.len() as u32,
                });
                charges.orders.extend(exposure.orders.iter().cloned());
                if unit.least_rate > 0.0 {
                    charges.capped.push(exposure.quantity);
                }
            }
        }
        charges
    }
}

/// A packed block.
struct PackedBlock<R> {
    pools: Arc<BlockUnits<R>>,
    isolated: Arc<BlockUnits<R>>,
    /// Slots, and places among the account's positions.
    positions: Vec<(u32, u32)>,
    used: Marks,
}

fn pack<R: RowId>(reader: Reader<'_>, block: &Block) -> PackedBlock<R> {
    let mut account = AccountUnits::default();
    let (mut whole, mut parts, mut folds) = (Gathered::default(), Gathered::default(), Vec::new());
    let (mut alone, mut positions) = (Gathered::default(), Vec::new());
    let mut used = Marks::new(reader);
    let doubt = reader.rows.doubt();
    for slot in 0..block.len() {
        let holdings = block.holdings(slot);
        account.read(reader, holdings);
        let count = account.units().len();
        used.see(reader.rows, &account);
        for unit in account.units() {
            if count == 1 {
                whole.push(unit, doubt, account.least_rate, slot as u32);
            } else {
                parts.push(unit, doubt, account.least_rate, parts.units.len() as u32);
            }
        }
        if count > 1 {
            folds.push(Fold {
                target: slot as u32,
                parts: count as u32,
            });
        }
        for position in 0..holdings.instrument.len() {
            if reader.stands_alone(holdings, position) {
                account.read_position(reader, holdings, position);
                used.see(reader.rows, &account);
                for unit in account.units() {
                    alone.push(unit, doubt, account.least_rate, positions.len() as u32);
                }
                positions.push((slot as u32, position as u32));
            }
        }
    }
    PackedBlock {
        pools: Arc::new(BlockUnits {
            whole: whole.packed(),
            parts: parts.packed(),
            folds,
        }),
        isolated: Arc::new(BlockUnits {
            whole: alone.packed(),
            parts: Gathered::default().packed(),
            folds: Vec::new(),
        }),
        positions,
        used,
    }
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
