use pyo3::prelude::*;
use xmfast_core::{Simd, pool};

/// Called in a forked child: the pool's threads stayed in the parent.
#[pyfunction]
pub(crate) fn after_fork() {
    pool::after_fork();
}

#[pyfunction]
pub(crate) fn num_threads() -> usize {
    pool::threads()
}

/// 0 means one per core.
#[pyfunction]
pub(crate) fn set_num_threads(threads: usize) {
    pool::set_threads(threads);
}

/// Whether threads run in this process, and how many forks lie behind it.
#[pyfunction]
pub(crate) fn pool_state() -> (bool, u64) {
    (pool::is_started(), pool::generation())
}

#[pyfunction]
pub(crate) fn simd() -> &'static str {
    Simd::current().name()
}

#[pyfunction]
pub(crate) fn simd_available() -> Vec<&'static str> {
    Simd::ALL
        .into_iter()
        .filter(|path| path.available())
        .map(Simd::name)
        .collect()
}

/// False, and nothing changes, if the name is unknown or the machine cannot run it.
#[pyfunction]
pub(crate) fn set_simd(name: &str) -> bool {
    match Simd::ALL.into_iter().find(|path| path.name() == name) {
        Some(path) => Simd::force(Some(path)),
        None => name == "auto" && Simd::force(None),
    }
}
