//! The live engine behind its lock: who has it when, and how events get to it.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use xmfast_core::{Applied, Event, Place};

use crate::book::id_array;
use crate::engine_figures::fallen;
use crate::error::Result;
use crate::events::{Object, needed};
use crate::frame::fault;
use crate::rules::KnownRules;
use crate::run::run;

/// See `xmfast.Engine`.
#[pyclass(frozen, subclass, module = "xmfast._core")]
pub(crate) struct Engine(Mutex<xmfast_core::Engine>, KnownRules);

thread_local! {
    /// Engines that this thread has, by address: their calls may run Python's code (a value's own methods, handlers of
    /// signals), and that may call the engine, for which it would wait forever.
    static HELD: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// An engine that this thread has.
pub(crate) struct Held<'a>(MutexGuard<'a, xmfast_core::Engine>);

impl Deref for Held<'_> {
    type Target = xmfast_core::Engine;

    fn deref(&self) -> &xmfast_core::Engine {
        &self.0
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut xmfast_core::Engine {
        &mut self.0
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // What was taken last is let go first.
        HELD.with_borrow_mut(Vec::pop);
    }
}

impl Engine {
    /// An engine whose model Python knows as something.
    pub(crate) fn of(engine: xmfast_core::Engine, known_as: Py<PyAny>) -> Self {
        let rules = KnownRules::new(engine.model(), known_as);
        Self(Mutex::new(engine), rules)
    }

    /// The engine, waiting for whoever has it, where the interpreter is let go already.
    pub(crate) fn held(&self) -> Held<'_> {
        self.now_held(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn now_held<'a>(&'a self, engine: MutexGuard<'a, xmfast_core::Engine>) -> Held<'a> {
        HELD.with_borrow_mut(|held| held.push(self.address()));
        Held(engine)
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Refuses a call that another call of this thread would have to end for.
    pub(crate) fn refuse_reentry(&self) -> PyResult<()> {
        if HELD.with_borrow(|held| held.contains(&self.address())) {
            let problem = "this engine is in the middle of another call of the same thread";
            return Err(PyRuntimeError::new_err(problem));
        }
        Ok(())
    }

    /// Models as Python knows them.
    pub(crate) fn rules(&self) -> &KnownRules {
        &self.1
    }

    /// The engine, waiting for whoever has it; the interpreter is let go meanwhile, so that they can end.
    ///
    /// # Errors
    /// This thread itself has it.
    pub(crate) fn locked(&self, py: Python<'_>) -> PyResult<Held<'_>> {
        loop {
            match self.0.try_lock() {
                Ok(engine) => return Ok(self.now_held(engine)),
                Err(TryLockError::Poisoned(poisoned)) => {
                    return Ok(self.now_held(poisoned.into_inner()));
                }
                Err(TryLockError::WouldBlock) => {
                    self.refuse_reentry()?;
                    py.detach(|| drop(self.held()));
                }
            }
        }
    }

    /// Applies an event that concerns few accounts, attached: letting go of the interpreter would take longer.
    pub(crate) fn apply(
        &self,
        py: Python<'_>,
        client_id: Option<Object<'_, '_>>,
        event: impl FnOnce(&xmfast_core::Engine) -> Result<Event>,
    ) -> Result<Applied> {
        let mut engine = self.locked(py)?;
        let event = event(&engine)?;
        let never = &mut xmfast_core::pool::never;
        let Some(name) = client_id else {
            return Ok(engine.apply(&event, never)?);
        };
        Ok(engine.apply_once(client_name(name)?, &event, never)?)
    }

    /// Applies an event that concerns many, detached; returns the ids of those that it made liquidatable.
    pub(crate) fn apply_to_all<'py>(
        &self,
        py: Python<'py>,
        client_id: Option<Object<'_, '_>>,
        event: impl Fn(&xmfast_core::Engine) -> Result<Event>,
    ) -> Result<Bound<'py, PyAny>> {
        let name = client_id.map(client_name).transpose()?;
        loop {
            let (event, universe) = {
                let engine = self.locked(py)?;
                (event(&engine)?, engine.universe().clone())
            };
            let applied = run(py, |stop| {
                let mut engine = self.held();
                // Somebody was faster and added assets: then the event speaks of other rows.
                if !Arc::ptr_eq(engine.universe(), &universe) {
                    return Ok(None);
                }
                let applied = match name {
                    Some(name) => engine.apply_once(name, &event, stop)?,
                    None => engine.apply(&event, stop)?,
                };
                Ok(Some(fallen(&engine, &applied)))
            })?;
            if let Some((ids, accounts)) = applied {
                return Ok(id_array(py, &ids, accounts.into_iter())?);
            }
        }
    }
}

/// A name that a client gave to a command.
fn client_name<'a>(name: Object<'a, '_>) -> Result<&'a str> {
    name.extract::<&str>().map_err(|_| {
        let place = Place::frame("client_id");
        fault(&place, None, needed("text", name))
    })
}
