//! The last risk tables of a model, of which an evaluation makes the rows anew whose inputs have moved and no others.

use std::sync::{Arc, Mutex};

use super::RiskTable;
use super::losses::MadeFor;

/// Two for accounts, because a report holds the table it was made with, as a rule until the next one takes its place; and
/// one for published losses. One by which moves are measured is held by those who measure.
const KEPT: usize = 3;

/// Tables, the latest last, of instruments x scenarios x 12 bytes for each set.
#[derive(Debug, Default)]
pub(super) struct KeptTables(Mutex<Vec<Arc<RiskTable>>>);

impl KeptTables {
    /// A table to be renewed: one that nobody reads, or a copy of the latest; none if all were made for others.
    pub(super) fn take(&self, made_for: MadeFor) -> Option<RiskTable> {
        let found = {
            // A lock that is held (or was, when this process was forked) is no reason to wait: make a fresh one.
            let mut kept = self.0.try_lock().ok()?;
            let fits = |table: &Arc<RiskTable>| table.made_for == made_for;
            let is_free = |table: &Arc<RiskTable>| fits(table) && Arc::strong_count(table) == 1;
            match kept.iter().rposition(is_free) {
                Some(free) => kept.remove(free),
                None => kept.iter().rfind(|table| fits(table))?.clone(),
            }
        };
        Some(Arc::unwrap_or_clone(found))
    }

    /// Keeps a table, and lets go of the oldest.
    pub(super) fn keep(&self, table: &Arc<RiskTable>) {
        if let Ok(mut kept) = self.0.try_lock() {
            kept.push(table.clone());
            if kept.len() > KEPT {
                kept.remove(0);
            }
        }
    }
}

impl Clone for KeptTables {
    /// Of a copied model nothing is kept yet.
    fn clone(&self) -> Self {
        Self::default()
    }
}
