//! Positions of every account, packed for scenarios: grouped by underlying, or all of an account together.

use crate::book::{Block, Holdings};
use crate::error::Result;
use crate::kernel::{BlockUnits, Fold, RowId};
use crate::layout::Gathered;
use crate::pool::{self, Stop};
use crate::units::{Leg, Unit};
use crate::universe::Universe;

/// Which positions are added up in a scenario before the worst one is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RiskGroup {
    /// Those on one underlying.
    Underlying,
    /// All of an account.
    Account,
}

/// The blocks, with row numbers as narrow as the universe allows.
#[derive(Debug)]
pub enum RiskBlocks {
    /// Fewer than 65,535 instruments.
    Narrow(RiskPacked<u16>),
    /// More.
    Wide(RiskPacked<u32>),
}

/// The units of all blocks; the home of a unit is its underlying + 1, or 0 if it is a whole account.
#[derive(Debug)]
pub struct RiskPacked<R> {
    /// Positions of the pools.
    pub pools: Vec<BlockUnits<R>>,
    /// Isolated positions, in the order of [`crate::layout::Layout::isolated`] under cross margin.
    pub isolated: Vec<BlockUnits<R>>,
}

/// All blocks, and which instruments are held.
#[derive(Debug)]
pub struct RiskLayout {
    /// The units.
    pub blocks: RiskBlocks,
    /// Instruments with a position or an open order, ascending.
    pub instruments: Vec<usize>,
    /// Whether anybody has open orders that may add to a position.
    pub has_orders: bool,
    /// The largest number of positions of an account.
    pub widest: usize,
}

/// Row of an instrument in a table of losses; row 0 is all zero.
#[must_use]
pub fn loss_row(instrument: usize) -> usize {
    instrument + 1
}

/// Row of what an account with tiny quantities may have lost by underflow.
#[must_use]
pub(crate) fn doubt_row(universe: &Universe) -> usize {
    loss_row(universe.specs().len())
}

impl RiskLayout {
    /// Packs the positions of all accounts.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn new(
        group: RiskGroup,
        universe: &Universe,
        blocks: &[Block],
        stop: Stop<'_>,
    ) -> Result<Self> {
        if u16::try_from(doubt_row(universe)).is_ok() {
            Self::packed(group, universe, blocks, RiskBlocks::Narrow, stop)
        } else {
            Self::packed(group, universe, blocks, RiskBlocks::Wide, stop)
        }
    }

    fn packed<R: RowId>(
        group: RiskGroup,
        universe: &Universe,
        blocks: &[Block],
        wrap: fn(RiskPacked<R>) -> RiskBlocks,
        stop: Stop<'_>,
    ) -> Result<Self> {
        let packed = pool::map(
            blocks.len(),
            |block| pack(group, universe, &blocks[block]),
            stop,
        )?;
        let (mut pools, mut isolated) = (Vec::new(), Vec::new());
        let mut held = vec![false; universe.specs().len()];
        let mut widest = 0;
        for (block, units) in blocks.iter().zip(packed) {
            pools.push(units.0);
            isolated.push(units.1);
            for instrument in block.instruments_at_risk() {
                held[instrument as usize] = true;
            }
            let counts = (0..block.len()).map(|slot| block.positions(slot).1.len());
            widest = widest.max(counts.max().unwrap_or(0));
        }
        Ok(Self {
            blocks: wrap(RiskPacked { pools, isolated }),
            instruments: (0..held.len()).filter(|&row| held[row]).collect(),
            has_orders: blocks.iter().any(Block::has_orders),
            widest,
        })
    }

    /// Bytes held.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.blocks {
            RiskBlocks::Narrow(packed) => packed.memory(),
            RiskBlocks::Wide(packed) => packed.memory(),
        }
    }
}

impl<R: RowId> RiskPacked<R> {
    /// The units of a block's pools, or of its isolated positions.
    pub(crate) fn units(&self, block: usize, alone: bool) -> &BlockUnits<R> {
        if alone {
            &self.isolated[block]
        } else {
            &self.pools[block]
        }
    }

    fn memory(&self) -> usize {
        let blocks = self.pools.iter().chain(&self.isolated);
        blocks.map(BlockUnits::memory).sum()
    }
}

/// Positions of a pool by group: group (underlying + 1, or 0), row and quantity, in order of group and instrument.
pub(crate) fn pool_legs(
    group: RiskGroup,
    universe: &Universe,
    holdings: Holdings<'_>,
    legs: &mut Vec<(usize, Leg<f64>)>,
) {
    legs.clear();
    for (place, &instrument) in holdings.instrument.iter().enumerate() {
        let quantity = holdings.quantity.floats()[place];
        if quantity == 0.0 || holdings.is_isolated(place) {
            continue;
        }
        let instrument = instrument as usize;
        let key = match group {
            RiskGroup::Underlying => universe.specs()[instrument].underlying as usize + 1,
            RiskGroup::Account => 0,
        };
        let row = loss_row(instrument);
        legs.push((key, Leg { row, quantity }));
    }
    legs.sort_by_key(|(key, _)| *key);
}

fn pack<R: RowId>(
    group: RiskGroup,
    universe: &Universe,
    block: &Block,
) -> (BlockUnits<R>, BlockUnits<R>) {
    let doubt = doubt_row(universe);
    let (mut whole, mut parts, mut folds) = (Gathered::default(), Gathered::default(), Vec::new());
    let (mut alone, mut positions) = (Gathered::default(), 0);
    let (mut keyed, mut legs) = (Vec::new(), Vec::new());
    for slot in 0..block.len() {
        let holdings = block.holdings(slot);
        pool_legs(group, universe, holdings, &mut keyed);
        let units = keyed.chunk_by(|a, b| a.0 == b.0);
        let count = units.clone().count();
        for unit in units {
            legs.clear();
            legs.extend(unit.iter().map(|(_, leg)| leg.clone()));
            let unit = Unit {
                home: unit[0].0,
                legs: &legs,
                exposures: &[],
            };
            if count == 1 {
                whole.push(unit, doubt, 0.0, slot as u32);
            } else {
                parts.push(unit, doubt, 0.0, parts.len() as u32);
            }
        }
        if count > 1 {
            folds.push(Fold {
                target: slot as u32,
                parts: count as u32,
            });
        }
        for (place, &instrument) in holdings.instrument.iter().enumerate() {
            if holdings.is_isolated(place) {
                let leg = Leg {
                    row: loss_row(instrument as usize),
                    quantity: holdings.quantity.floats()[place],
                };
                let home = match group {
                    RiskGroup::Underlying => {
                        universe.specs()[instrument as usize].underlying as usize + 1
                    }
                    RiskGroup::Account => 0,
                };
                let unit = Unit {
                    home,
                    legs: &[leg],
                    exposures: &[],
                };
                alone.push(unit, doubt, 0.0, positions);
                positions += 1;
            }
        }
    }
    let pools = BlockUnits {
        whole: whole.into_units(),
        parts: parts.into_units(),
        folds,
    };
    let isolated = BlockUnits {
        whole: alone.into_units(),
        parts: Gathered::default().into_units(),
        folds: Vec::new(),
    };
    (pools, isolated)
}
