//! Result rows in buffers that are used again: a fresh one costs three times the kernel in page faults.

use std::sync::Mutex;

use crate::kernel::Row;

/// Buffers whose last reader is gone, at most [`KEPT`].
static FREE: Mutex<Vec<Vec<Row>>> = Mutex::new(Vec::new());

/// Two let a caller compare the last report with the one before and never fault a page.
const KEPT: usize = 2;

/// Result rows of all accounts. When dropped, its memory serves the next evaluation.
#[derive(Debug)]
pub struct ResultRows {
    buffer: Vec<Row>,
    len: usize,
}

impl ResultRows {
    /// Room for `len` rows; the content is whatever was there.
    #[must_use]
    pub fn take(len: usize) -> Self {
        // A lock that is held (or was, when this process was forked) is no reason to wait: make a fresh one.
        let kept = FREE.try_lock().ok().and_then(|mut free| {
            let fits = free
                .iter()
                .position(|buffer| buffer.len() >= len && buffer.len() / 4 <= len)?;
            Some(free.swap_remove(fits))
        });
        Self {
            buffer: kept.unwrap_or_else(|| vec![Row::default(); len]),
            len,
        }
    }

    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.buffer[..self.len]
    }

    /// The columns of all rows, one row after the other.
    #[must_use]
    pub fn columns(&self) -> &[f64] {
        bytemuck::cast_slice(self.rows())
    }

    /// The rows, to be written.
    pub fn rows_mut(&mut self) -> &mut [Row] {
        &mut self.buffer[..self.len]
    }
}

impl Drop for ResultRows {
    fn drop(&mut self) {
        if let Ok(mut free) = FREE.try_lock() {
            free.push(std::mem::take(&mut self.buffer));
            if free.len() > KEPT {
                free.remove(0);
            }
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
    }
}
