//! Results in buffers that are used again: fresh memory costs more than the kernel.

use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

use crate::kernel::{BlockResults, Row, zero_rows};

/// Memory of a report: a row and a byte of signs for each account.
#[derive(Debug, Default)]
struct Buffer {
    rows: Vec<Row>,
    signs: Vec<u8>,
}

/// Two let a caller compare the last report with the one before and never fault a page.
const KEPT: usize = 2;

/// Buffers whose last reader is gone, at most [`KEPT`].
#[derive(Debug)]
struct Free<T>(Mutex<Vec<T>>);

static BUFFERS: Free<Buffer> = Free(Mutex::new(Vec::new()));
static NUMBERS: Free<Vec<i32>> = Free(Mutex::new(Vec::new()));

impl<T> Free<T> {
    /// One of at least `len` accounts and not of many more, by the length that `of` says.
    fn take(&self, len: usize, of: impl Fn(&T) -> usize) -> Option<T> {
        // A lock that is held (or was, when this process was forked) is no reason to wait: the caller makes a fresh one.
        let mut free = self.0.try_lock().ok()?;
        let fits = |buffer: &T| of(buffer) >= len && of(buffer) / 4 <= len;
        let at = free.iter().position(fits)?;
        Some(free.swap_remove(at))
    }

    fn give(&self, buffer: T) {
        if let Ok(mut free) = self.0.try_lock() {
            free.push(buffer);
            if free.len() > KEPT {
                free.remove(0);
            }
        }
    }
}

/// Result rows of all accounts. When dropped, its memory serves the next evaluation.
#[derive(Debug)]
pub struct ResultRows {
    buffer: Buffer,
    len: usize,
    exact: usize,
}

impl ResultRows {
    /// Room for `len` rows; the content is whatever was there.
    #[must_use]
    pub fn take(len: usize) -> Self {
        let kept = BUFFERS.take(len, |buffer| buffer.rows.len());
        let buffer = kept.unwrap_or_else(|| Buffer {
            rows: zero_rows(len),
            signs: vec![0; len],
        });
        Self {
            buffer,
            len,
            exact: 0,
        }
    }

    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.buffer.rows[..self.len]
    }

    /// The rows, to be written.
    pub(crate) fn rows_mut(&mut self) -> &mut [Row] {
        &mut self.buffer.rows[..self.len]
    }

    /// The columns of all rows, one row after the other.
    #[must_use]
    pub fn columns(&self) -> &[f64] {
        bytemuck::cast_slice(self.rows())
    }

    /// Which columns of each row are below 0, strictly: bit `c` for column `c`.
    #[must_use]
    pub fn signs(&self) -> &[u8] {
        &self.buffer.signs[..self.len]
    }

    /// How many accounts were so near to a threshold that they were decided in exact numbers.
    #[must_use]
    pub fn exact(&self) -> usize {
        self.exact
    }

    /// Sets what [`ResultRows::exact`] says.
    pub(crate) fn set_exact(&mut self, accounts: usize) {
        self.exact = accounts;
    }

    /// Blocks of consecutive rows that end at `ends`, to be written; each with the number of its first row.
    pub fn blocks_mut(
        &mut self,
        ends: impl ExactSizeIterator<Item = usize>,
    ) -> impl ExactSizeIterator<Item = (usize, BlockResults<'_>)> {
        let mut rows = &mut self.buffer.rows[..self.len];
        let mut signs = &mut self.buffer.signs[..self.len];
        let mut first = 0;
        ends.map(move |end| {
            let (block_rows, rest) = std::mem::take(&mut rows).split_at_mut(end - first);
            rows = rest;
            let (block_signs, rest) = std::mem::take(&mut signs).split_at_mut(end - first);
            signs = rest;
            let results = BlockResults {
                rows: block_rows,
                signs: block_signs,
                ..BlockResults::default()
            };
            (std::mem::replace(&mut first, end), results)
        })
    }

    /// Rows picked from this one, in the order of `accounts`.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn pick(&self, accounts: &[usize]) -> Self {
        let mut picked = Self::take(accounts.len());
        for (to, &from) in accounts.iter().enumerate() {
            picked.buffer.rows[to] = self.rows()[from];
            picked.buffer.signs[to] = self.signs()[from];
        }
        picked
    }
}

impl Drop for ResultRows {
    fn drop(&mut self) {
        if !self.buffer.rows.is_empty() {
            BUFFERS.give(std::mem::take(&mut self.buffer));
        }
    }
}

/// A number for each account, in memory that is used again as that of [`ResultRows`] is.
#[derive(Debug)]
pub struct Numbers {
    buffer: Vec<i32>,
    len: usize,
}

impl Numbers {
    /// Room for `len` numbers; the content is whatever was there.
    #[must_use]
    pub fn take(len: usize) -> Self {
        let kept = NUMBERS.take(len, Vec::len);
        Self {
            buffer: kept.unwrap_or_else(|| vec![0; len]),
            len,
        }
    }
}

impl Deref for Numbers {
    type Target = [i32];

    fn deref(&self) -> &[i32] {
        &self.buffer[..self.len]
    }
}

impl DerefMut for Numbers {
    fn deref_mut(&mut self) -> &mut [i32] {
        &mut self.buffer[..self.len]
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        if !self.buffer.is_empty() {
            NUMBERS.give(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_serves_again() {
        let first = ResultRows::take(1000);
        let at = first.rows().as_ptr();
        drop(first);
        let second = ResultRows::take(900);
        assert_eq!(second.rows().len(), 900);
        assert_eq!(second.rows().as_ptr(), at);
        let first = Numbers::take(1000);
        let at = first.as_ptr();
        drop(first);
        let second = Numbers::take(900);
        assert_eq!((second.len(), second.as_ptr()), (900, at));
    }
}
