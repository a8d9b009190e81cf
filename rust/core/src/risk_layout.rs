//! Positions of every account, packed for scenarios: grouped by underlying, or all of an account together.

use std::sync::Arc;

use crate::book::{Block, Holdings, PackedBy};
use crate::error::Result;
use crate::exact::Number;
use crate::kernel::{BlockUnits, Fold, RowId};
use crate::layout::Gathered;
use crate::pool::{self, Stop};
use crate::table::LegKind;
use crate::units::{AccountUnits, Key, Leg, Reader, Unit};
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
    pub pools: Vec<Arc<BlockUnits<R>>>,
    /// Isolated positions, in the order of [`crate::layout::Layout::isolated`] under cross margin.
    pub isolated: Vec<Arc<BlockUnits<R>>>,
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
    /// The largest number of legs of an account, or more.
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

/// Whether a row of a table of losses is that of a contract; a position has such a leg, whatever else it has.
#[must_use]
pub(crate) fn is_position(universe: &Universe, row: usize) -> bool {
    (loss_row(0)..doubt_row(universe)).contains(&row)
}

/// Assets whose index price moves in the scenarios: what is held in them is at risk like a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovingAssets {
    /// By asset, the underlying that its price moves with.
    pub underlying: Vec<Option<usize>>,
    /// Whether all underlyings move together.
    pub joint: bool,
}

impl MovingAssets {
    /// The underlying that moves what an instrument settles in, and whether it moves with the instrument's own price:
    /// then the product of both is revalued, else each has its own group.
    #[must_use]
    pub fn of_instrument(&self, universe: &Universe, instrument: usize) -> Option<(usize, bool)> {
        let spec = &universe.specs()[instrument];
        let moved_by = self.underlying[spec.settlement as usize]?;
        let together = self.joint || spec.underlying as usize == moved_by;
        Some((moved_by, together))
    }
}

/// What is held in an asset that moves in the scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Deposit,
    Loan,
    IsolatedMargin,
    Cost,
}

impl Held {
    pub(crate) const ALL: [Self; 4] = [Self::Deposit, Self::Loan, Self::IsolatedMargin, Self::Cost];

    /// The asset and what is held of it, if a leg is that.
    fn of(kind: LegKind) -> Option<(usize, Self)> {
        match kind {
            LegKind::Deposit(asset) | LegKind::NettedDeposit(asset) => Some((asset, Self::Deposit)),
            LegKind::Loan(asset) | LegKind::NettedLoan(asset) => Some((asset, Self::Loan)),
            LegKind::IsolatedMargin(asset) => Some((asset, Self::IsolatedMargin)),
            LegKind::Cost(asset) => Some((asset, Self::Cost)),
            LegKind::Position(_) | LegKind::Exposure(_) => None,
        }
    }
}

/// Row of what is held in an asset.
#[must_use]
pub(crate) fn asset_row(universe: &Universe, asset: usize, held: Held) -> usize {
    doubt_row(universe) + 1 + Held::ALL.len() * asset + held as usize
}

/// Row of the present value of a contract, which moves with the asset in which it settles.
#[must_use]
pub(crate) fn value_row(universe: &Universe, instrument: usize) -> usize {
    asset_row(universe, universe.assets().len(), Held::Deposit) + instrument
}

/// What a row of a table of losses stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossOf {
    /// A contract.
    Instrument(usize),
    /// The present value of a contract, which moves with the asset in which it settles.
    PresentValue(usize),
    /// A balance.
    Balance(usize),
    /// What is posted for an isolated position.
    IsolatedMargin(usize),
    /// Entry cost of positions.
    Cost(usize),
}

impl LossOf {
    /// What a row stands for.
    ///
    /// # Panics
    /// If it is the all-zero row or that of doubt.
    pub(crate) fn of(universe: &Universe, row: usize) -> Self {
        if row < doubt_row(universe) {
            return Self::Instrument(row - 1);
        }
        let first = asset_row(universe, 0, Held::Deposit);
        match row.checked_sub(value_row(universe, 0)) {
            Some(instrument) => Self::PresentValue(instrument),
            None => {
                let asset = (row - first) / Held::ALL.len();
                match Held::ALL[(row - first) % Held::ALL.len()] {
                    Held::Deposit | Held::Loan => Self::Balance(asset),
                    Held::IsolatedMargin => Self::IsolatedMargin(asset),
                    Held::Cost => Self::Cost(asset),
                }
            }
        }
    }
}

/// Rows of a table of losses.
#[must_use]
pub(crate) fn loss_rows(universe: &Universe, moving: Option<&MovingAssets>) -> usize {
    match moving {
        Some(_) => value_row(universe, universe.specs().len()),
        None => doubt_row(universe) + 1,
    }
}

/// How an account's legs are found and grouped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LegReader<'a> {
    pub(crate) group: RiskGroup,
    pub(crate) moving: Option<&'a MovingAssets>,
    pub(crate) universe: &'a Universe,
}

impl LegReader<'_> {
    fn key(self, underlying: usize) -> usize {
        match self.group {
            RiskGroup::Underlying => underlying + 1,
            RiskGroup::Account => 0,
        }
    }

    /// Legs of a pool, or of one isolated position, by group: group (underlying + 1, or 0), row and quantity, in order of
    /// group; positions before assets. All legs of an isolated position are one group, that of its underlying.
    pub(crate) fn read<N: Number>(
        self,
        holdings: Holdings<'_>,
        position: Option<usize>,
        legs: &mut Vec<(usize, Leg<N>)>,
    ) {
        legs.clear();
        let universe = self.universe;
        let alone = position.map(|place| {
            let instrument = holdings.instrument[place] as usize;
            self.key(universe.specs()[instrument].underlying as usize)
        });
        for (place, &instrument) in holdings.instrument.iter().enumerate() {
            let mine = match position {
                None => !holdings.is_isolated(place),
                Some(position) => place == position,
            };
            let quantity = N::given(holdings.quantity.get(place));
            if !mine || quantity == N::decimal(0.0) {
                continue;
            }
            let instrument = instrument as usize;
            let moving = |moving: &MovingAssets| moving.of_instrument(universe, instrument);
            if let Some((moved_by, false)) = self.moving.and_then(moving) {
                let key = alone.unwrap_or(self.key(moved_by));
                let row = value_row(universe, instrument);
                let quantity = quantity.clone();
                legs.push((key, Leg { row, quantity }));
            }
            let key = self.key(universe.specs()[instrument].underlying as usize);
            let row = loss_row(instrument);
            legs.push((key, Leg { row, quantity }));
        }
        if let Some(moving) = self.moving {
            let reader = Reader::new(universe, Key::SettlementAsset);
            let mut units = AccountUnits::<N>::default();
            match position {
                None => units.read(reader, holdings),
                Some(position) => units.read_position(reader, holdings, position),
            }
            for leg in units.legs() {
                let held = reader.rows.kind(leg.row).and_then(Held::of);
                let Some((asset, held)) = held else { continue };
                let moved_by = moving.underlying[asset];
                let Some(moved_by) = moved_by.filter(|_| leg.quantity != N::decimal(0.0)) else {
                    continue;
                };
                let row = asset_row(universe, asset, held);
                let quantity = leg.quantity.clone();
                legs.push((alone.unwrap_or(self.key(moved_by)), Leg { row, quantity }));
            }
        }
        legs.sort_by_key(|(key, _)| *key);
    }
}

impl RiskLayout {
    /// Packs the positions of all accounts.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn new(
        group: RiskGroup,
        moving: Option<&MovingAssets>,
        universe: &Arc<Universe>,
        blocks: &[Arc<Block>],
        stop: Stop<'_>,
    ) -> Result<Self> {
        let reader = LegReader {
            group,
            moving,
            universe,
        };
        if u16::try_from(loss_rows(universe, moving)).is_ok() {
            Self::packed((universe, reader), blocks, RiskBlocks::Narrow, stop)
        } else {
            Self::packed((universe, reader), blocks, RiskBlocks::Wide, stop)
        }
    }

    fn packed<R: RowId>(
        (universe, reader): (&Arc<Universe>, LegReader<'_>),
        blocks: &[Arc<Block>],
        wrap: fn(RiskPacked<R>) -> RiskBlocks,
        stop: Stop<'_>,
    ) -> Result<Self> {
        let by = PackedBy::Risk(reader.group, reader.moving.cloned());
        let pack = |block: usize| {
            let block = &blocks[block];
            let packed = || pack::<R>(reader, block);
            block.packed().get_or(universe, &by, packed)
        };
        let packed = pool::map(blocks.len(), pack, stop)?;
        let (mut pools, mut isolated) = (Vec::new(), Vec::new());
        let mut held = vec![false; universe.specs().len()];
        let mut widest = 0;
        for block in packed {
            pools.push(Arc::clone(&block.pools));
            isolated.push(Arc::clone(&block.isolated));
            for &instrument in &block.instruments {
                held[instrument as usize] = true;
            }
            widest = widest.max(block.widest);
        }
        if reader.moving.is_some() {
            // Each position may have its value apart, and each asset cash and cost.
            widest = 2 * widest + 2 * reader.universe.assets().len();
        }
        Ok(Self {
            blocks: wrap(RiskPacked { pools, isolated }),
            instruments: (0..held.len()).filter(|&row| held[row]).collect(),
            has_orders: blocks.iter().any(|block| block.has_orders()),
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
        blocks.map(|block| block.memory()).sum()
    }
}

/// A packed block.
struct PackedRisk<R> {
    pools: Arc<BlockUnits<R>>,
    isolated: Arc<BlockUnits<R>>,
    /// Those with a position or an open order.
    instruments: Vec<u32>,
    /// The largest number of positions of an account.
    widest: usize,
}

fn pack<R: RowId>(reader: LegReader<'_>, block: &Block) -> PackedRisk<R> {
    let doubt = doubt_row(reader.universe);
    let (mut whole, mut parts, mut folds) = (Gathered::default(), Gathered::default(), Vec::new());
    let (mut alone, mut positions) = (Gathered::default(), 0);
    let (mut keyed, mut legs) = (Vec::new(), Vec::new());
    for slot in 0..block.len() {
        let holdings = block.holdings(slot);
        reader.read(holdings, None, &mut keyed);
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
        for place in 0..holdings.instrument.len() {
            if !holdings.is_isolated(place) {
                continue;
            }
            reader.read(holdings, Some(place), &mut keyed);
            legs.clear();
            legs.extend(keyed.iter().map(|(_, leg)| leg.clone()));
            // Nothing is at risk with a position of 0 contracts.
            if let Some(&(home, _)) = keyed.first() {
                let unit = Unit {
                    home,
                    legs: &legs,
                    exposures: &[],
                };
                alone.push(unit, doubt, 0.0, positions);
            }
            positions += 1;
        }
    }
    let pools = BlockUnits {
        whole: whole.packed(),
        parts: parts.packed(),
        folds,
    };
    let isolated = BlockUnits {
        whole: alone.packed(),
        parts: Gathered::default().packed(),
        folds: Vec::new(),
    };
    let mut instruments: Vec<u32> = block.instruments_at_risk().collect();
    instruments.sort_unstable();
    instruments.dedup();
    let widest = (0..block.len()).map(|slot| block.positions(slot).1.len());
    PackedRisk {
        pools: Arc::new(pools),
        isolated: Arc::new(isolated),
        instruments,
        widest: widest.max().unwrap_or(0),
    }
}
