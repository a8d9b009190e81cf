//! The live engine behind its lock: who has it when, and how events get to it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};

use pyo3::prelude::*;
use xmfast_core::{Applied, Event, Place};

use crate::book::id_array;
use crate::error::{Error, Result};
use crate::events::{Object, needed};
use crate::frame::fault;
use crate::run::run;

/// See `xmfast.Engine`.
#[pyclass(frozen, subclass, module = "xmfast._core")]
pub(crate) struct Engine(Mutex<xmfast_core::Engine>, Mutex<Vec<Rules>>);

/// A model as the core has it, as long as it has it, and as Python knows it.
type Rules = (Weak<xmfast_core::MarginModel>, Py<PyAny>);

impl Engine {
    /// An engine whose model Python knows as something.
    pub(crate) fn of(engine: xmfast_core::Engine, known_as: Py<PyAny>) -> Self {
        let rules = (Arc::downgrade(engine.model()), known_as);
        Self(Mutex::new(engine), Mutex::new(vec![rules]))
    }

    /// The engine, waiting for whoever has it, where the interpreter is let go already.
    pub(crate) fn held(&self) -> MutexGuard<'_, xmfast_core::Engine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how Python knows a model that the engine is about to get.
    pub(crate) fn note_model(&self, model: &Arc<xmfast_core::MarginModel>, known_as: Py<PyAny>) {
        let mut rules = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        rules.retain(|(model, _)| model.strong_count() > 0);
        rules.push((Arc::downgrade(model), known_as));
    }

    /// The engine, waiting for whoever has it; the interpreter is let go meanwhile, so that they can end.
    pub(crate) fn locked<'a>(&'a self, py: Python<'_>) -> MutexGuard<'a, xmfast_core::Engine> {
        loop {
            match self.0.try_lock() {
                Ok(engine) => return engine,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => py.detach(|| {
                    drop(self.held());
                }),
            }
        }
    }

    /// A model that the engine has or had, as Python knows it.
    pub(crate) fn known_as(
        &self,
        py: Python<'_>,
        model: &Arc<xmfast_core::MarginModel>,
    ) -> Py<PyAny> {
        let rules = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |(known, _): &&Rules| std::ptr::eq(known.as_ptr(), Arc::as_ptr(model));
        let (_, known_as) = rules.iter().find(same).expect("noted before it was set");
        known_as.clone_ref(py)
    }

    /// Applies an event that concerns few accounts, attached: letting go of the interpreter would take longer.
    pub(crate) fn apply(
        &self,
        py: Python<'_>,
        client_id: Option<Object<'_, '_>>,
        event: impl FnOnce(&xmfast_core::Engine) -> Result<Event>,
    ) -> Result<Applied> {
        let mut engine = self.locked(py);
        let event = event(&engine)?;
        let never = &mut xmfast_core::pool::never;
        let Some(name) = client_id else {
            return Ok(engine.apply(&event, never)?);
        };
        let Ok(name) = name.extract::<&str>() else {
            return Err(fault(
                &Place::frame("client_id"),
                None,
                needed("text", name),
            ));
        };
        Ok(engine.apply_once(name, &event, never)?)
    }

    /// Applies an event that concerns everybody, detached.
    pub(crate) fn apply_to_all<'py>(
        &self,
        py: Python<'py>,
        event: impl FnOnce(&xmfast_core::Engine) -> Result<Event>,
    ) -> Result<Bound<'py, PyAny>> {
        let event = event(&self.locked(py))?;
        run(py, |stop| {
            let mut engine = self.held();
            let applied = engine.apply(&event, stop)?;
            Ok(fallen(&engine, &applied))
        })
        .map(|(ids, accounts)| id_array(py, &ids, accounts.into_iter()))?
        .map_err(Error::from)
    }
}

/// Ids of accounts, by number.
pub(crate) fn ids_of<'py>(
    py: Python<'py>,
    engine: &xmfast_core::Engine,
    accounts: Vec<u32>,
) -> PyResult<Bound<'py, PyAny>> {
    let accounts = accounts.into_iter().map(|account| account as usize);
    id_array(py, engine.accounts(), accounts)
}

/// Ids, and the accounts that an event made liquidatable.
pub(crate) fn fallen(
    engine: &xmfast_core::Engine,
    applied: &Applied,
) -> (Arc<xmfast_core::Ids>, Vec<usize>) {
    let fallen = engine.fallen()[applied.fallen.clone()].iter();
    let accounts = fallen.map(|&account| account as usize).collect();
    (engine.accounts().clone(), accounts)
}
