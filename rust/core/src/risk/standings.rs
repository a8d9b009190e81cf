//! Which scenarios decided the risk of a book's accounts, so that small moves need no second look at all of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::RiskTable;
use super::moved::largest_move;
use crate::kernel::{Moves, Standing, Standings, charge};
use crate::risk_layout::{RiskBlocks, RiskLayout, loss_row};
use crate::universe::Universe;

/// Losses as they were, and which scenarios decided then.
#[derive(Debug)]
pub(crate) struct BookStandings {
    risk: Arc<RiskTable>,
    /// By block, of the accounts that are one unit.
    blocks: Vec<Vec<Standing>>,
    /// How many units may still be scanned before it is time to begin again: all of them twice, the first time and later.
    left: usize,
}

impl BookStandings {
    /// Nothing is known of any account yet.
    pub(crate) fn new(risk: &Arc<RiskTable>, layout: &RiskLayout) -> Self {
        let units: Vec<usize> = match &layout.blocks {
            RiskBlocks::Narrow(packed) => {
                packed.pools.iter().map(|units| units.whole.len()).collect()
            }
            RiskBlocks::Wide(packed) => {
                packed.pools.iter().map(|units| units.whole.len()).collect()
            }
        };
        let blocks = units.iter().map(|&units| vec![Standing::UNKNOWN; units]);
        Self {
            risk: Arc::clone(risk),
            blocks: blocks.collect(),
            left: 2 * units.iter().sum::<usize>(),
        }
    }

    /// By how much losses have moved since.
    fn moves(&self, universe: &Universe, now: &RiskTable, instruments: &[usize]) -> Moves {
        let (then, now) = (&self.risk.sets[0].losses, &now.sets[0].losses);
        let mut moves = Moves::none(then.len());
        for &instrument in instruments {
            let row = loss_row(instrument);
            let moved = largest_move(universe, (then, now), instrument);
            moves.set(row, moved, then.charges(row)[charge::REACH]);
        }
        moves
    }

    /// To be looked up and written, block by block, at losses of now.
    pub(crate) fn lend(
        &mut self,
        universe: &Universe,
        now: &RiskTable,
        instruments: &[usize],
    ) -> LentStandings<'_> {
        let moves = self.moves(universe, now, instruments);
        let blocks = self.blocks.iter_mut().map(|block| Mutex::new(&mut **block));
        LentStandings {
            moves,
            blocks: blocks.collect(),
            scanned: AtomicUsize::new(0),
        }
    }

    /// Notes that so many units were scanned; whether what is known is worth keeping.
    pub(crate) fn outlast(&mut self, scanned: usize) -> bool {
        self.left = self.left.saturating_sub(scanned);
        self.left > 0
    }
}

/// Standings of all blocks, shared by threads.
#[derive(Debug)]
pub(crate) struct LentStandings<'a> {
    moves: Moves,
    blocks: Vec<Mutex<&'a mut [Standing]>>,
    scanned: AtomicUsize,
}

impl LentStandings<'_> {
    /// Lends those of a block to a scan, which says of how many units they told too little.
    pub(crate) fn of_block(&self, block: usize, scan: impl FnOnce(Standings<'_>) -> usize) {
        let mut units = self.blocks[block]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let scanned = scan(Standings::new(&mut units, &self.moves));
        self.scanned.fetch_add(scanned, Ordering::Relaxed);
    }

    /// Of how many units too little was known.
    pub(crate) fn scanned(&self) -> usize {
        self.scanned.load(Ordering::Relaxed)
    }
}
