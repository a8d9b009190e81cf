//! May these orders go in? Many at once, each on its own, on all threads.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Engine;
use super::check::OrderCheck;
use super::desk::Checking;
use super::event::NewOrder;
use crate::error::{Error, Result};
use crate::kernel::FloatState;
use crate::pool::{self, Stop};

/// Orders that a thread takes at a time.
const CHUNK: usize = 1024;

/// So many orders before its turn an account is asked for, and twice as many its place.
const AHEAD: usize = 8;

/// How often is asked whether to stop where one thread works.
const POLL: Duration = Duration::from_millis(50);

/// Reads rows of orders; see [`Engine::check_orders`].
pub trait ReadOrders:
    Fn(&Engine, &[usize], &mut Vec<(u32, NewOrder)>) -> Result<()> + Sync
{
}

impl<F> ReadOrders for F where
    F: Fn(&Engine, &[usize], &mut Vec<(u32, NewOrder)>) -> Result<()> + Sync
{
}

/// The first row that cannot be checked, and why.
#[derive(Default)]
struct FirstError(Mutex<Option<(usize, Error)>>);

impl FirstError {
    fn note(&self, row: usize, error: Error) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if first.as_ref().is_none_or(|(before, _)| row < *before) {
            *first = Some((row, error));
        }
    }

    fn row(&self) -> Option<usize> {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.as_ref().map(|(row, _)| *row)
    }
}

/// A row that is to be checked again.
#[derive(Clone, Copy)]
struct Lacking {
    row: usize,
    /// Whether the table lacks something for it, or only for another order in the same instrument.
    is_sure: bool,
}

impl Engine {
    /// Checks so many orders, each on its own: what [`Engine::check_order`] says of each. `read` adds rows to a list:
    /// accounts and what is ordered, up to the first that is wrong; threads call it at the same time.
    ///
    /// # Errors
    /// What `read` says of a row; as [`Engine::check_order`], with the row. Of several, the first row's.
    /// [`Error::Interrupted`].
    pub fn check_orders(
        &mut self,
        count: usize,
        read: impl ReadOrders,
        stop: Stop<'_>,
    ) -> Result<Vec<OrderCheck>> {
        let _state = FloatState::standard();
        if !self.has_levels() {
            return self.check_one_by_one(count, &read, stop);
        }
        let error = FirstError::default();
        let mut checks = vec![None; count];
        let mut lacking = self.check_rows(|row| row, &read, &mut checks, &error, &mut *stop)?;
        while !lacking.is_empty() {
            // What some rows need of an instrument is made once, and then they are checked again.
            let mut made = HashSet::new();
            let sure = lacking.iter().filter(|lacking| lacking.is_sure);
            let sure: Vec<usize> = sure.map(|lacking| lacking.row).collect();
            let mut orders = Vec::with_capacity(sure.len());
            read(self, &sure, &mut orders)?;
            for (&row, (account, order)) in sure.iter().zip(orders) {
                if made.insert(order.instrument)
                    && let Err(problem) = self.make_rows(account, order, None)
                {
                    error.note(row, problem.in_row("orders", row));
                }
            }
            let end = error.row().unwrap_or(count);
            let rows: Vec<usize> = lacking.iter().map(|lacking| lacking.row).collect();
            let rows = &rows[..rows.partition_point(|&row| row < end)];
            let mut again = vec![None; rows.len()];
            lacking = self.check_rows(|at| rows[at], &read, &mut again, &error, &mut *stop)?;
            for (&row, check) in rows.iter().zip(again) {
                checks[row] = check;
            }
        }
        match error.0.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some((_, error)) => Err(error),
            None => {
                self.metrics.checks += count as u64;
                let checks = checks.into_iter();
                Ok(checks.map(|check| check.expect("no error")).collect())
            }
        }
    }

    /// Checks some rows on all threads; returns those to check again when the table has what it lacks, ascending.
    fn check_rows(
        &self,
        row: impl Fn(usize) -> usize + Sync,
        read: &impl ReadOrders,
        checks: &mut [Option<OrderCheck>],
        error: &FirstError,
        stop: Stop<'_>,
    ) -> Result<Vec<Lacking>> {
        let lacking = Mutex::new(Vec::new());
        // Finding that something is lacking takes long, so it is found once for each instrument, not for each order.
        let instruments = self.universe().specs().len();
        let is_lacking: Vec<AtomicBool> = (0..instruments).map(|_| false.into()).collect();
        let check = |(chunk, checks): (usize, &mut [Option<OrderCheck>])| {
            let start = chunk * CHUNK;
            if error.row().is_some_and(|first| first < row(start)) {
                return;
            }
            let rows: Vec<usize> = (start..start + checks.len()).map(&row).collect();
            let mut orders = Vec::with_capacity(rows.len());
            if let Err(problem) = read(self, &rows, &mut orders) {
                error.note(rows[orders.len()], problem);
            }
            let (desk, mut checking) = (self.desk(), Checking::default());
            let mut again = Vec::new();
            for (at, (&(account, order), check)) in orders.iter().zip(checks).enumerate() {
                for (ahead, is_near) in [(2 * AHEAD, false), (AHEAD, true)] {
                    if let Some((account, _)) = orders.get(at + ahead) {
                        self.fetch(*account, is_near);
                    }
                }
                let row = rows[at];
                let mut is_sure = false;
                let checked = match desk.check_plain(account, order, &mut checking) {
                    Ok(None) if !is_lacking[order.instrument as usize].load(Ordering::Relaxed) => {
                        is_sure = true;
                        desk.check_any(account, order, None, &mut checking)
                    }
                    checked => checked,
                };
                match checked {
                    Ok(Some(checked)) => *check = Some(checked),
                    Ok(None) => {
                        is_lacking[order.instrument as usize].store(true, Ordering::Relaxed);
                        again.push(Lacking { row, is_sure });
                    }
                    Err(problem) => {
                        error.note(row, problem.in_row("orders", row));
                        break;
                    }
                }
            }
            if !again.is_empty() {
                lacking
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .append(&mut again);
            }
        };
        let chunks = checks.chunks_mut(CHUNK).enumerate();
        pool::for_each(chunks, check, stop)?;
        let mut lacking = lacking.into_inner().unwrap_or_else(PoisonError::into_inner);
        lacking.sort_unstable_by_key(|lacking| lacking.row);
        Ok(lacking)
    }

    /// The same where every check is an evaluation, which uses the threads itself.
    fn check_one_by_one(
        &mut self,
        count: usize,
        read: &impl ReadOrders,
        stop: Stop<'_>,
    ) -> Result<Vec<OrderCheck>> {
        let mut polled = Instant::now();
        let mut orders = Vec::with_capacity(1);
        let check = |row: usize| {
            if polled.elapsed() > POLL {
                polled = Instant::now();
                if stop() {
                    return Err(Error::Interrupted);
                }
            }
            orders.clear();
            read(self, &[row], &mut orders)?;
            let checked = self.check_order(orders[0].0, orders[0].1, None);
            checked.map_err(|error| error.in_row("orders", row))
        };
        (0..count).map(check).collect()
    }
}
