//! Large buffers in large pages: a result buffer is then 32 page faults a 64 MB, not 16,384.

use super::Row;

/// A vector of zero rows, in huge pages where the system has them.
#[must_use]
pub fn zero_rows(len: usize) -> Vec<Row> {
    let mut rows = with_room(len);
    rows.resize(len, Row::default());
    rows
}

/// An empty vector with room for so many values, in huge pages where the system has them.
#[must_use]
pub(crate) fn with_room<T>(len: usize) -> Vec<T> {
    let mut values = Vec::with_capacity(len);
    prefer_huge_pages(values.spare_capacity_mut());
    values
}

#[cfg(target_os = "linux")]
fn prefer_huge_pages<T>(memory: &mut [std::mem::MaybeUninit<T>]) {
    const PAGE: usize = 4096;
    const HUGE: usize = 512 * PAGE;
    let offset = memory.as_ptr().addr().next_multiple_of(PAGE) - memory.as_ptr().addr();
    let bytes = size_of_val(memory);
    if bytes < offset + HUGE {
        return;
    }
    let len = (bytes - offset) / PAGE * PAGE;
    let start = memory.as_mut_ptr().wrapping_byte_add(offset);
    // SAFETY: the range is whole pages inside `memory`, and this advice never changes what memory holds.
    // It is only advice: where it is refused, ordinary pages serve.
    let _ = unsafe { rustix::mm::madvise(start.cast(), len, rustix::mm::Advice::LinuxHugepage) };
}

#[cfg(not(target_os = "linux"))]
fn prefer_huge_pages<T>(_memory: &mut [std::mem::MaybeUninit<T>]) {}
