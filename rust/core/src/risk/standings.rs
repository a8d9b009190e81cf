//! Which scenarios decided the risk of a book's accounts, so that small moves need no second look at all of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::moved::{largest_move, reach};
use super::{RiskModel, RiskTable};
use crate::kernel::{LossTable, Moves, Standing, Standings};
use crate::risk_layout::{RiskBlocks, RiskLayout, loss_row};

/// Losses as they were, and which scenarios decided then.
#[derive(Debug)]
pub(crate) struct BookStandings {
    risk: Arc<RiskTable>,
    /// By block, of the accounts that are one unit.
    blocks: Vec<Vec<Standing>>,
    /// Of how many units what is known may fail to suffice before it is time to begin again: of as many as there are.
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
            left: units.iter().sum(),
        }
    }

    /// By how much losses have moved since.
    fn moves(&self, model: &RiskModel, now: &RiskTable, instruments: &[usize]) -> Moves {
        let (then, now) = (&self.risk.sets[0].losses, &now.sets[0].losses);
        let share = common_share(then, now, instruments);
        let mut moves = Moves::none(then.len(), share);
        for &instrument in instruments {
            let moved = largest_move(model, then, (now, share), instrument);
            moves.set(loss_row(instrument), moved, reach(then, instrument));
        }
        moves
    }

    /// To be looked up and written, block by block, at losses of now.
    pub(crate) fn lend(
        &mut self,
        model: &RiskModel,
        now: &RiskTable,
        instruments: &[usize],
    ) -> LentStandings<'_> {
        let moves = self.moves(model, now, instruments);
        let blocks = self.blocks.iter_mut().map(|block| Mutex::new(&mut **block));
        LentStandings {
            moves,
            blocks: blocks.collect(),
            outlived: AtomicUsize::new(0),
        }
    }

    /// Notes that for so many units what is known did not suffice; whether it is worth keeping.
    pub(crate) fn outlast(&mut self, outlived: usize) -> bool {
        self.left = self.left.saturating_sub(outlived);
        self.left > 0
    }
}

/// What losses of now are to be multiplied by so that, by their largest losses, about as many instruments lose more than
/// then as lose less. Within bounds, so that what f64 holds in full then it holds in full now.
fn common_share(then: &LossTable, now: &LossTable, instruments: &[usize]) -> f64 {
    let shares = instruments
        .iter()
        .map(|&instrument| reach(then, instrument) / reach(now, instrument));
    let mut shares: Vec<f64> = shares.filter(|share| (1e-3..1e3).contains(share)).collect();
    let middle = shares.len() / 2;
    if shares.is_empty() {
        return 1.0;
    }
    *shares.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// Standings of all blocks, shared by threads.
#[derive(Debug)]
pub(crate) struct LentStandings<'a> {
    moves: Moves,
    blocks: Vec<Mutex<&'a mut [Standing]>>,
    outlived: AtomicUsize,
}

impl LentStandings<'_> {
    /// Lends those of a block to a scan, which says of how many units they tell too little by now.
    pub(crate) fn of_block(&self, block: usize, scan: impl FnOnce(Standings<'_>) -> usize) {
        let mut units = self.blocks[block]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let outlived = scan(Standings::new(&mut units, &self.moves));
        self.outlived.fetch_add(outlived, Ordering::Relaxed);
    }

    /// Of how many units something is known that does not suffice any longer.
    pub(crate) fn outlived(&self) -> usize {
        self.outlived.load(Ordering::Relaxed)
    }
}
