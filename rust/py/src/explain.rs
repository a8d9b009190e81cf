use pyo3::prelude::*;
use xmfast_core::exact::Rational;
use xmfast_core::{About, ExplainedLine, Settlement, Subject};

use crate::error::Result;
use crate::figures::Origin;
use crate::universe::id_object;

/// An exact number as `numerator/denominator`.
type Exact = String;

/// One line: kind, id or None, tier, quantity, price, weights, rates (initial, maintenance), and parts of equity,
/// collateral value, initial collateral value, initial margin, maintenance margin.
pub(crate) type ExplainedParts<'py> = (
    &'static str,
    Option<Bound<'py, PyAny>>,
    usize,
    Exact,
    Option<Exact>,
    Option<(Exact, Exact)>,
    Option<(Exact, Exact)>,
    [Exact; 5],
);

/// The exact lines of an account or isolated position.
pub(crate) fn explain<'py>(
    py: Python<'py>,
    origin: &Origin,
    subject: Subject,
) -> Result<Vec<ExplainedParts<'py>>> {
    let model = origin.model.get();
    let settlement = Settlement {
        model: &model.model,
        book: origin.book(),
        market: &origin.market.get().0,
        key: model.key,
    };
    let universe = origin.book().universe();
    let exact = |number: &Rational| number.to_string();
    let both = |pair: &(Rational, Rational)| (exact(&pair.0), exact(&pair.1));
    let line = |line: ExplainedLine| {
        let id = match line.about {
            About::Asset(asset) => Some(id_object(py, universe.assets().get(asset))?),
            About::Instrument(row) => Some(id_object(py, universe.instruments().get(row))?),
            About::Pool => None,
        };
        let parts = [
            &line.parts.equity,
            &line.parts.collateral_value,
            &line.parts.initial_collateral_value,
            &line.parts.initial_margin,
            &line.parts.maintenance_margin,
        ];
        Ok((
            line.kind,
            id,
            line.tier,
            exact(&line.quantity),
            line.price.as_ref().map(exact),
            line.weights.as_ref().map(both),
            line.rates.as_ref().map(both),
            parts.map(exact),
        ))
    };
    settlement.explain(subject)?.into_iter().map(line).collect()
}
