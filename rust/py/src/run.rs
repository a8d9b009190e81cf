//! The one way into long work: detach from the interpreter, work on all threads, listen for Ctrl-C.

use pyo3::prelude::*;
use xmfast_core::pool::Stop;

use crate::error::Result;

/// Runs `job` detached. A pending signal stops it; the signal's exception is then raised.
///
/// An interpreter that is gone stops it, too: a daemon thread may outlive it, and attaching then would crash. With its job
/// ended the thread sleeps until the process exits.
pub(crate) fn run<T: Send>(
    py: Python<'_>,
    job: impl FnOnce(Stop<'_>) -> xmfast_core::Result<T> + Send,
) -> Result<T> {
    let mut signal = None;
    let result = py.detach(|| {
        job(&mut || {
            let Some(checked) = Python::try_attach(|py| py.check_signals()) else {
                return true;
            };
            signal = checked.err();
            signal.is_some()
        })
    });
    match signal {
        Some(error) => Err(error.into()),
        None => Ok(result?),
    }
}
