//! The low-level door: legs in compressed sparse row form and a table of any width in, contracted columns out.

use crate::error::{Error, Place, Result, finite};
use crate::kernel::{Row, Simd, contract_csr};
use crate::pool::{self, Stop};

/// Accounts per task.
const CHUNK: usize = 4096;

/// Contracts legs with a table: `out[a, c]` sums `(q or |q|) x table[row, c]` over the legs of account `a`, in leg order.
///
/// `offsets` has A + 1 entries; `table` is row-major with `absolute.len()` columns; `absolute[c]` picks |q| for a
/// column. One fused multiply-add a leg and column, so every thread count and instruction set gives the same bits.
///
/// # Errors
/// Offsets that do not rise from 0 to the number of legs, a row outside the table, a number or result that
/// is not finite; [`Error::Interrupted`].
pub fn contract_table(
    offsets: &[u64],
    rows: &[u32],
    quantities: &[f64],
    table: &[f64],
    absolute: &[bool],
    stop: Stop<'_>,
) -> Result<Vec<f64>> {
    let columns = absolute.len();
    check(offsets, rows, quantities, table, columns)?;
    let simd = Simd::current();
    let accounts = offsets.len() - 1;
    let mut out = vec![0.0; accounts * columns];
    for first in (0..columns).step_by(8) {
        // Eight columns at a time, padded with zeros to whole rows.
        let width = (columns - first).min(8);
        let tile: Vec<Row> = table
            .chunks_exact(columns)
            .map(|row| {
                Row(std::array::from_fn(|lane| {
                    if lane < width { row[first + lane] } else { 0.0 }
                }))
            })
            .collect();
        let signs = std::array::from_fn(|lane| lane < width && absolute[first + lane]);
        let contract = |(chunk, out): (usize, &mut [f64])| {
            let offsets = &offsets[chunk * CHUNK..=(chunk * CHUNK + out.len() / columns)];
            let mut sums = vec![Row::default(); offsets.len() - 1];
            contract_csr(simd, offsets, rows, quantities, &tile, &signs, &mut sums);
            for (out, sum) in out.chunks_exact_mut(columns).zip(&sums) {
                out[first..first + width].copy_from_slice(&sum.0[..width]);
            }
        };
        pool::for_each(
            out.chunks_mut(CHUNK * columns).enumerate(),
            contract,
            &mut *stop,
        )?;
        // One tile may be too short for `for_each` to ask.
        if stop() {
            return Err(Error::Interrupted);
        }
    }
    if let Some(at) = out.iter().position(|value| !value.is_finite()) {
        let problem = format!("column {} is {}: too large for f64", at % columns, out[at]);
        return Err(Error::Range {
            account: (at / columns).to_string(),
            problem,
        });
    }
    Ok(out)
}

fn check(
    offsets: &[u64],
    rows: &[u32],
    quantities: &[f64],
    table: &[f64],
    columns: usize,
) -> Result<()> {
    let fault = |place: Place, problem: String| Err(Error::Value { place, problem });
    if rows.len() != quantities.len() {
        let problem = format!(
            "{} quantities, but rows has {}",
            quantities.len(),
            rows.len()
        );
        return fault(Place::frame("quantities"), problem);
    }
    if offsets.first() != Some(&0) {
        return fault(Place::frame("offsets"), "must start with 0".to_owned());
    }
    if let Some(account) = offsets.windows(2).position(|pair| pair[0] > pair[1]) {
        let problem = format!(
            "falls from {} to {}",
            offsets[account],
            offsets[account + 1]
        );
        return fault(Place::frame("offsets").row(account + 1), problem);
    }
    let last = offsets[offsets.len() - 1];
    if last != rows.len() as u64 {
        return fault(
            Place::frame("offsets"),
            format!("ends at {last}, but there are {} legs", rows.len()),
        );
    }
    let table_rows = table.len().checked_div(columns).unwrap_or(0);
    if let Some(leg) = rows.iter().position(|&row| row as usize >= table_rows) {
        let problem = format!(
            "{} is not a row of the table, which has {table_rows}",
            rows[leg]
        );
        return fault(Place::frame("rows").row(leg), problem);
    }
    for (leg, &quantity) in quantities.iter().enumerate() {
        finite(quantity, || Place::frame("quantities").row(leg))?;
    }
    for (at, &value) in table.iter().enumerate() {
        finite(value, || Place::frame("table").row(at / columns))?;
    }
    Ok(())
}
