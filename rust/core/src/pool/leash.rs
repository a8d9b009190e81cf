//! Where helpers wake: not where their caller runs.
//!
//! Linux wakes a thread where it ran last or where its waker runs, unless it finds an idle processor, and on the two cores of a
//! virtual machine it often found none although one was. A helper that wakes on its caller's processor waits there until the
//! caller is done, so helpers are kept off it; the call to the system is made when the caller has moved, not with every task.
//! Filters of system calls as hardened services have them (`SystemCallFilter=~@resources`) kill who makes this one: under a filter
//! helpers wake where they please.

#[cfg(target_os = "linux")]
pub(super) use linux::Leash;
#[cfg(not(target_os = "linux"))]
pub(super) use other::Leash;

#[cfg(target_os = "linux")]
mod linux {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rustix::thread::{
        CpuSet, Pid, SecureComputingMode, gettid, sched_getaffinity, sched_getcpu,
        sched_setaffinity, secure_computing_mode,
    };

    /// Of more helpers than that, enough wake elsewhere, and telling them all would take longer than that helps.
    const MOST: usize = 8;

    /// What keeps the helpers of a pool off their caller's processor.
    #[derive(Debug)]
    pub(in crate::pool) struct Leash {
        /// Whether there are few enough.
        is_used: bool,
        /// Which processor that is.
        off: AtomicUsize,
        /// How many call at this moment.
        callers: AtomicUsize,
        helpers: Mutex<Vec<Helper>>,
    }

    #[derive(Debug)]
    struct Helper {
        thread: Pid,
        /// Where it might run when it was last told anything, and what it was told.
        allowed: CpuSet,
        told: CpuSet,
    }

    impl Leash {
        pub(in crate::pool) fn new(helpers: usize) -> Self {
            Self {
                is_used: helpers <= MOST,
                off: AtomicUsize::new(usize::MAX),
                callers: AtomicUsize::new(0),
                helpers: Mutex::default(),
            }
        }

        /// Called by each helper once, when it starts.
        pub(in crate::pool) fn join(&self) {
            let Ok(allowed) = sched_getaffinity(None) else {
                return;
            };
            if let Ok(mut helpers) = self.helpers.lock() {
                helpers.push(Helper {
                    thread: gettid(),
                    allowed,
                    told: allowed,
                });
            }
            // Whoever was told before has to be told again with it.
            self.off.store(usize::MAX, Ordering::Relaxed);
        }

        /// Called by who is about to wake helpers, and holds what it returns until they are done. Of several who call at once the
        /// first is heeded: there is no one place to keep off.
        pub(in crate::pool) fn hold(&self) -> Held<'_> {
            let held = Held(&self.callers);
            if self.callers.fetch_add(1, Ordering::Relaxed) == 0 {
                self.keep_off(sched_getcpu());
            }
            held
        }

        fn keep_off(&self, processor: usize) {
            if !self.is_used || self.off.load(Ordering::Relaxed) == processor {
                return;
            }
            let Ok(mut helpers) = self.helpers.try_lock() else {
                return;
            };
            self.off.store(processor, Ordering::Relaxed);
            // Asked anew, because a filter may come later.
            if secure_computing_mode() == Ok(SecureComputingMode::Disabled) {
                for helper in &mut *helpers {
                    helper.keep_off(processor);
                }
            }
        }
    }

    /// A caller, until it is done.
    #[derive(Debug)]
    pub(in crate::pool) struct Held<'a>(&'a AtomicUsize);

    impl Drop for Held<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    impl Helper {
        /// Where the system refuses, it wakes where it pleases.
        fn keep_off(&mut self, processor: usize) {
            let Ok(now) = sched_getaffinity(Some(self.thread)) else {
                return;
            };
            if now != self.told {
                // The user has said where it may run.
                self.allowed = now;
            }
            let mut others = self.allowed;
            others.unset(processor);
            if others.count() > 0 && sched_setaffinity(Some(self.thread), &others).is_ok() {
                self.told = others;
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::mpsc;

    use rustix::thread::{
        CpuSet, SecureComputingMode, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity,
        secure_computing_mode,
    };

    use super::Leash;

    /// A caller on one processor, and a helper that may run on two.
    #[test]
    fn helpers_are_kept_off_their_callers_processor_and_where_the_user_says() {
        let all = sched_getaffinity(None).unwrap();
        let mine = sched_getcpu();
        let other = (0..CpuSet::MAX_CPU).find(|&at| at != mine && all.is_set(at));
        let is_free = secure_computing_mode() == Ok(SecureComputingMode::Disabled);
        let Some(other) = other.filter(|_| is_free) else {
            return;
        };
        let set = |processors: &[usize]| {
            let mut set = CpuSet::new();
            processors.iter().for_each(|&at| set.set(at));
            set
        };
        sched_setaffinity(None, &set(&[mine])).unwrap();
        let leash = Leash::new(1);
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let (joins, two) = (&leash, set(&[mine, other]));
            scope.spawn(move || {
                sched_setaffinity(None, &two).unwrap();
                joins.join();
                tell.send(gettid()).unwrap();
                let _ = stopped.recv();
            });
            let helper = Some(told.recv().unwrap());
            let held = leash.hold();
            assert_eq!(sched_getaffinity(helper).unwrap(), set(&[other]));
            // Another caller meanwhile has no say.
            sched_setaffinity(None, &set(&[other])).unwrap();
            drop(leash.hold());
            assert_eq!(sched_getaffinity(helper).unwrap(), set(&[other]));
            drop(held);
            drop(leash.hold());
            assert_eq!(sched_getaffinity(helper).unwrap(), set(&[mine]));
            // The user has the last word, and a helper with one processor left keeps it.
            sched_setaffinity(helper, &set(&[other])).unwrap();
            sched_setaffinity(None, &set(&[mine])).unwrap();
            drop(leash.hold());
            assert_eq!(sched_getaffinity(helper).unwrap(), set(&[other]));
            sched_setaffinity(None, &set(&[other])).unwrap();
            drop(leash.hold());
            assert_eq!(sched_getaffinity(helper).unwrap(), set(&[other]));
            drop(stop);
        });
        // Other tests may follow on this thread.
        sched_setaffinity(None, &all).unwrap();
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    /// Other systems are left to themselves.
    #[derive(Debug)]
    pub(in crate::pool) struct Leash;

    impl Leash {
        pub(in crate::pool) fn new(_helpers: usize) -> Self {
            Self
        }

        pub(in crate::pool) fn join(&self) {}

        pub(in crate::pool) fn hold(&self) -> Held {
            Held
        }
    }

    #[derive(Debug)]
    pub(in crate::pool) struct Held;
}
