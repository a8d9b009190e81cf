//! Which Python object a margin model of an engine came from.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use pyo3::prelude::*;
use xmfast_core::MarginModel;

/// Models that an engine has or is about to have, each as the core has it, as long as it has it, and as Python knows it.
pub(crate) struct KnownRules(Mutex<Vec<(Weak<MarginModel>, Py<PyAny>)>>);

impl KnownRules {
    pub(crate) fn new(model: &Arc<MarginModel>, known_as: Py<PyAny>) -> Self {
        Self(Mutex::new(vec![(Arc::downgrade(model), known_as)]))
    }

    /// Notes a model, before the engine gets it; forgets those that nobody has any more.
    pub(crate) fn note(&self, model: &Arc<MarginModel>, known_as: Py<PyAny>) {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rules.retain(|(model, _)| model.strong_count() > 0);
        rules.push((Arc::downgrade(model), known_as));
    }

    /// A model that was noted, as Python knows it.
    pub(crate) fn known_as(&self, py: Python<'_>, model: &Arc<MarginModel>) -> Py<PyAny> {
        let rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same =
            |(known, _): &&(Weak<MarginModel>, _)| std::ptr::eq(known.as_ptr(), Arc::as_ptr(model));
        let (_, known_as) = rules.iter().find(same).expect("noted before it was set");
        known_as.clone_ref(py)
    }
}
