//! What was packed of a block, kept with it: of a book that shares blocks with a former one, few must be packed anew.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use crate::risk_layout::{MovingAssets, RiskGroup};
use crate::units::Key;
use crate::universe::Universe;

/// How the legs of a block are grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PackedBy {
    /// See [`crate::layout::Layout`].
    Legs(Key),
    /// See [`crate::risk_layout::RiskLayout`].
    Risk(RiskGroup, Option<MovingAssets>),
}

/// Packed in one way.
#[derive(Debug)]
struct Part {
    universe: Arc<Universe>,
    by: PackedBy,
    packed: Arc<dyn Any + Send + Sync>,
}

/// The ways in which a block was packed last.
#[derive(Debug, Default)]
pub(crate) struct PackedParts(Mutex<Vec<Part>>);

/// No more of them are kept; the oldest goes.
const MOST: usize = 4;

impl PackedParts {
    /// What was packed in this way, or what `make` makes.
    pub(crate) fn get_or<T: Any + Send + Sync>(
        &self,
        universe: &Arc<Universe>,
        by: &PackedBy,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let parts = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |part: &&Part| Arc::ptr_eq(&part.universe, universe) && part.by == *by;
        let found = parts()
            .iter()
            .find(is_same)
            .map(|part| Arc::clone(&part.packed));
        if let Some(packed) = found.and_then(|packed| packed.downcast().ok()) {
            return packed;
        }
        let packed = Arc::new(make());
        let mut parts = parts();
        if parts.len() == MOST {
            parts.remove(0);
        }
        parts.push(Part {
            universe: Arc::clone(universe),
            by: by.clone(),
            packed: Arc::clone(&packed) as Arc<dyn Any + Send + Sync>,
        });
        packed
    }

    /// Forgets all: the block has changed.
    pub(crate) fn clear(&mut self) {
        self.0
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
