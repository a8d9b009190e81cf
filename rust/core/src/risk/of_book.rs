//! What a model keeps of the last book that it was asked about.

use std::sync::{Arc, Mutex};

use crate::layout::IsolatedPosition;

/// Something of one book.
#[derive(Debug)]
pub(crate) struct OfBook<T>(Mutex<Option<Kept<T>>>);

#[derive(Debug)]
struct Kept<T> {
    /// Of the layout of that book; held, so that no other has its address.
    of: Arc<Vec<IsolatedPosition>>,
    what: Option<T>,
}

impl<T> Default for OfBook<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Clone for OfBook<T> {
    /// Of a copied model nothing is kept yet.
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What is kept of a book.
#[derive(Debug)]
pub(crate) enum Seen<T> {
    /// Nothing: it was not asked about.
    Never,
    /// That it was asked about: whoever asks twice may ask again.
    Before,
    Known(T),
}

impl<T> OfBook<T> {
    /// Takes what is kept of a book.
    pub(crate) fn take(&self, of: &Arc<Vec<IsolatedPosition>>) -> Seen<T> {
        // A lock that is held (or was, when this process was forked) is no reason to wait.
        match self.0.try_lock().ok().and_then(|mut kept| kept.take()) {
            Some(kept) if Arc::ptr_eq(&kept.of, of) => kept.what.map_or(Seen::Before, Seen::Known),
            _ => Seen::Never,
        }
    }

    /// Keeps something of a book, or that it was asked about, unless another thread has kept something meanwhile.
    pub(crate) fn keep(&self, of: &Arc<Vec<IsolatedPosition>>, what: Option<T>) {
        if let Ok(mut kept) = self.0.try_lock() {
            let is_known = |kept: &Kept<T>| Arc::ptr_eq(&kept.of, of) && kept.what.is_some();
            if what.is_none() && kept.as_ref().is_some_and(is_known) {
                return;
            }
            let of = Arc::clone(of);
            *kept = Some(Kept { of, what });
        }
    }
}
