//! Memory asked for before it is needed, so that several misses are waited for at once.

/// Asks for the cache line in which a value begins.
#[inline(always)]
pub(crate) fn fetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint about memory that a reference says is there; nothing is read or changed.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Asks for all of a slice's cache lines.
#[inline(always)]
pub(crate) fn fetch_all<T>(values: &[T]) {
    let step = (64 / size_of::<T>().max(1)).max(1);
    for value in values.iter().step_by(step) {
        fetch(value);
    }
    if let Some(last) = values.last() {
        fetch(last);
    }
}
