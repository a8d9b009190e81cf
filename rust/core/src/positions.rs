//! What positions are, beside their margin.

use crate::book::{BLOCK, Book};
use crate::error::Result;
use crate::layout::IsolatedPosition;
use crate::market::Market;
use crate::model::CrossMargin;
use crate::pool::{self, Stop};
use crate::table::Missing;

/// What a position is, beside its margin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PositionFacts {
    /// Contracts, signed.
    pub quantity: f64,
    /// Numeraire, at least 0.
    pub notional: f64,
    /// Value at mark less value at entry, funding counted; numeraire, signed.
    pub unrealized_pnl: f64,
    /// What was posted for it alone, numeraire; `None` if nothing was.
    pub posted: Option<f64>,
}

/// What each of some positions is.
///
/// # Errors
/// [`Error::MissingPrice`] where the notional of an option needs one; [`Error::Interrupted`].
pub fn position_facts(
    model: &CrossMargin,
    book: &Book,
    market: &Market,
    positions: &[IsolatedPosition],
    stop: Stop<'_>,
) -> Result<Vec<PositionFacts>> {
    let facts = |position: &IsolatedPosition| {
        let account = position.account as usize;
        let at = position.position as usize;
        let holdings = book.holdings(account);
        let instrument = holdings.instrument[at] as usize;
        let known = |missing: Missing| {
            missing.error(book.universe(), book.accounts().get(account).to_string())
        };
        let spec = &book.universe().specs()[instrument];
        let quantity = holdings.quantity.floats()[at];
        let notional = model.notional::<f64>(instrument, market).map_err(known)?;
        let mark = model.mark_value::<f64>(instrument, market).map_err(known)?;
        let funding = spec.funding_value(market.cumulative_funding().floats()[instrument]);
        let entry_funding = holdings
            .entry_funding
            .map_or(0.0, |column| column.floats()[at]);
        // Of one contract.
        let paid = match holdings.entry_cost {
            Some(cost) if quantity != 0.0 => cost.floats()[at] / quantity,
            _ => spec.price_value(holdings.entry_price.floats()[at]),
        };
        let entry = paid - spec.funding_value(entry_funding);
        let posted = holdings.isolated_margin.map(|margin| margin.floats()[at]);
        Ok(PositionFacts {
            quantity,
            notional: quantity.abs() * notional,
            unrealized_pnl: quantity * (mark.value - funding - entry) * mark.price,
            posted: posted
                .filter(|margin| !margin.is_nan())
                .map(|margin| margin * mark.price),
        })
    };
    let chunks: Vec<&[IsolatedPosition]> = positions.chunks(BLOCK).collect();
    let done = pool::map(
        chunks.len(),
        |chunk| {
            chunks[chunk]
                .iter()
                .map(facts)
                .collect::<Result<Vec<PositionFacts>>>()
        },
        stop,
    )?;
    let mut all = Vec::with_capacity(positions.len());
    for chunk in done {
        all.extend(chunk?);
    }
    Ok(all)
}
