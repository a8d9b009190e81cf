//! The crate's own threads: a pool that survives fork, and work that can be interrupted.

mod leash;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};
use crate::kernel::FloatState;
use leash::Leash;

/// How often the calling thread asks whether it should stop.
const POLL: Duration = Duration::from_millis(50);

/// So long a helper stays awake after work that was over [`SOON`], in case more of it follows, and the caller for a helper's
/// last task: waking takes the system 50 to 100 microseconds, which is as much as there may be to do.
const LINGER: Duration = Duration::from_micros(100);
const SOON: Duration = Duration::from_millis(2);

/// Says whether the work should end early; called by the calling thread alone, about twenty times a second.
pub type Stop<'a> = &'a mut dyn FnMut() -> bool;

/// A [`Stop`] that never stops.
#[must_use]
pub fn never() -> bool {
    false
}

/// The helpers of the calling thread.
///
/// Threads do not follow into a forked child: a pool belongs to the process and generation that built it.
struct Pool {
    process: u32,
    generation: u64,
    helpers: usize,
    threads: ThreadPool,
    leash: Arc<Leash>,
}

static CURRENT: LazyLock<ArcSwapOption<Pool>> = LazyLock::new(ArcSwapOption::empty);
static GENERATION: AtomicU64 = AtomicU64::new(0);
static THREADS: AtomicUsize = AtomicUsize::new(0);
/// Work that helpers were called for, so that who lingers sees that there is more.
static CALLS: AtomicU64 = AtomicU64::new(0);
/// Asked once: the answer is in files, and reading them takes longer than many a task.
static CORES: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));

/// Tells that this process is a forked child; its next work builds its own threads.
pub fn after_fork() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// How many forks lie between this process and the one that loaded the library.
#[must_use]
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Whether helper threads run in this process.
#[must_use]
pub fn is_started() -> bool {
    CURRENT
        .load()
        .as_ref()
        .is_some_and(|pool| pool.process == std::process::id() && pool.generation == generation())
}

/// Number of threads that parallel work uses, the calling one included.
#[must_use]
pub fn threads() -> usize {
    match THREADS.load(Ordering::Relaxed) {
        0 => *CORES,
        threads => threads,
    }
}

/// Uses this many threads from now on; 0 means one per core. Results do not depend on it.
pub fn set_threads(threads: usize) {
    THREADS.store(threads, Ordering::Relaxed);
}

/// Helpers of this process; `None` if the system gives no more threads, so that the caller works alone.
fn current(helpers: usize) -> Option<Arc<Pool>> {
    let (process, generation) = (std::process::id(), generation());
    let held = CURRENT.load_full();
    if let Some(pool) = &held
        && (pool.process, pool.generation, pool.helpers) == (process, generation, helpers)
    {
        return held;
    }
    let leash = Arc::new(Leash::new(helpers));
    let joined = Arc::clone(&leash);
    let threads = ThreadPoolBuilder::new()
        .num_threads(helpers)
        .start_handler(move |_| joined.join())
        .thread_name(|thread| format!("xmfast-{thread}"))
        .build()
        .ok()?;
    let pool = Arc::new(Pool {
        process,
        generation,
        helpers,
        threads,
        leash,
    });
    for former in [held, CURRENT.swap(Some(Arc::clone(&pool)))]
        .into_iter()
        .flatten()
    {
        if (former.process, former.generation) != (process, generation) {
            // Its threads stayed in the parent: ending them here would wait for locks that nobody will release.
            std::mem::forget(former);
        }
    }
    Some(pool)
}

/// Wakes helpers for work that is about to come, so that they are awake by then; they go to sleep again if none does.
pub(crate) fn rouse() {
    // Read here, as in `for_each`.
    let (most, cores) = (threads() - 1, *CORES);
    let helpers = most.min(cores - 1);
    if helpers == 0 {
        return;
    }
    if let Some(pool) = current(most) {
        let call = CALLS.load(Ordering::Relaxed);
        let _held = pool.leash.hold();
        for _ in 0..helpers {
            pool.threads.spawn(move || linger(call));
        }
    }
}

/// Calls `work` once for each task, on the calling thread and its helpers; tasks are taken one at a time, in order by the
/// caller, from the end by its helpers: a helper that is called again and again finds what it wrote the last time in its own cache.
///
/// The caller works too instead of sleeping: a sleeping caller lets the kernel stack all workers on one core.
///
/// # Errors
/// [`Error::Interrupted`] if `stop` said so; tasks not yet taken are then left out.
pub fn for_each<T: Send>(
    tasks: impl ExactSizeIterator<Item = T>,
    work: impl Fn(T) + Sync,
    stop: Stop<'_>,
) -> Result<()> {
    let most = threads() - 1;
    let helpers = most.min(tasks.len().saturating_sub(1));
    let pool = if helpers == 0 { None } else { current(most) };
    // All are made in order, before the first is taken: the iterator may keep state.
    let tasks = Mutex::new(tasks.collect::<VecDeque<T>>());
    let stopped = AtomicBool::new(false);
    let left = || {
        let is_stopped = stopped.load(Ordering::Relaxed);
        (!is_stopped).then(|| tasks.lock().unwrap_or_else(PoisonError::into_inner))
    };
    let mut drive = || {
        let _state = FloatState::standard();
        let mut polled = Instant::now();
        while let Some(task) = left().and_then(|mut tasks| tasks.pop_front()) {
            work(task);
            if polled.elapsed() > POLL {
                polled = Instant::now();
                if stop() {
                    stopped.store(true, Ordering::Relaxed);
                }
            }
        }
    };
    match pool {
        None => drive(),
        Some(pool) => {
            // Read here, because the system counts those on which the calling thread may run.
            let cores = *CORES;
            let begun = Instant::now();
            let call = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
            let working = AtomicUsize::new(0);
            let _held = pool.leash.hold();
            let threads = &pool.threads;
            threads.in_place_scope(|scope| {
                for helper in 0..helpers {
                    let (left, work, working) = (&left, &work, &working);
                    scope.spawn(move |_| {
                        working.fetch_add(1, Ordering::Relaxed);
                        // Threads inherit the mode of whoever started them.
                        let _state = FloatState::standard();
                        while let Some(task) = left().and_then(|mut tasks| tasks.pop_back()) {
                            work(task);
                        }
                        working.fetch_sub(1, Ordering::Relaxed);
                        // No more than have a core to themselves.
                        if begun.elapsed() < SOON && helper + 1 < cores {
                            threads.spawn(move || linger(call));
                        }
                    });
                }
                drive();
                // Falling asleep until a last task ends would take longer than that.
                let waited = Instant::now();
                while working.load(Ordering::Relaxed) > 0 && waited.elapsed() < LINGER {
                    std::thread::yield_now();
                }
            });
        }
    }
    if stopped.into_inner() {
        Err(Error::Interrupted)
    } else {
        Ok(())
    }
}

/// Stays awake for a while, or until helpers are called again.
fn linger(call: u64) {
    let begun = Instant::now();
    while CALLS.load(Ordering::Relaxed) == call && begun.elapsed() < LINGER {
        // The caller may have no other core.
        std::thread::yield_now();
    }
}

/// The results of `work` for 0 up to `count`, in order; otherwise as [`for_each`].
///
/// # Errors
/// [`Error::Interrupted`] if `stop` said so.
pub fn map<R: Send>(
    count: usize,
    work: impl Fn(usize) -> R + Sync,
    stop: Stop<'_>,
) -> Result<Vec<R>> {
    let mut results: Vec<Option<R>> = (0..count).map(|_| None).collect();
    for_each(
        results.iter_mut().enumerate(),
        |(task, result)| *result = Some(work(task)),
        stop,
    )?;
    Ok(results
        .into_iter()
        .map(|result| result.expect("every task was done"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_done_once_and_in_order() {
        for threads in [1, 2, 7] {
            set_threads(threads);
            assert_eq!(
                map(1000, |task| task * task, &mut never),
                Ok((0..1000).map(|task| task * task).collect())
            );
        }
        set_threads(0);
        assert_eq!(map(0, |task| task, &mut never), Ok(vec![]));
    }

    #[test]
    fn roused_helpers_do_work_or_go_back_to_sleep() {
        for tasks in [0usize, 1, 100] {
            rouse();
            let done = map(tasks, |task| task, &mut never);
            assert_eq!(done, Ok((0..tasks).collect()));
        }
        // Nothing is left of those whom no work followed.
        let helpers = threads() - 1;
        rouse();
        if let Some(pool) = (helpers > 0).then(|| current(helpers)).flatten() {
            let begun = Instant::now();
            pool.threads.broadcast(|_| ());
            assert!(begun.elapsed() < Duration::from_secs(10));
        }
    }

    #[test]
    fn the_caller_can_end_the_work() {
        let done = AtomicUsize::new(0);
        let work = |_| {
            std::thread::sleep(Duration::from_millis(5));
            done.fetch_add(1, Ordering::Relaxed);
        };
        assert_eq!(
            for_each(0..100_000, work, &mut || true),
            Err(Error::Interrupted)
        );
        assert!(done.into_inner() < 1000);
    }
}
