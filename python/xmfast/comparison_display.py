"""How a comparison looks: the table "isolated against cross", with figures."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from xmfast.tables import amount_texts, html_div, html_lines, plural, ratio_text, text_lines

if TYPE_CHECKING:
    from xmfast.comparison import Comparison

_HEADS = ("model", "capital", "saving", "liquidatable", "premature", "leverage on capital")


def text(comparison: Comparison) -> str:
    """Return a comparison as text, one line for each model."""
    head = f"Comparison: {plural(len(comparison), 'account')}, {comparison.baseline} is the baseline"
    return "\n".join([head, *text_lines(_HEADS, _body(comparison))])


def html(comparison: Comparison) -> str:
    """Return a comparison as HTML, one row for each model."""
    head = f"{plural(len(comparison), 'account')}, {escape(comparison.baseline)} is the baseline"
    return html_div([f"<div><b>Comparison</b>: {head}</div>", html_lines(_HEADS, _body(comparison))])


def _body(comparison: Comparison) -> list[list[str]]:
    rows = comparison.summary()
    capital = amount_texts([row.capital for row in rows])
    return [
        [
            row.model,
            amount,
            f"{100 * row.saving:.1f} %",
            f"{row.liquidatable:,}",
            f"{row.premature:,}",
            ratio_text(row.effective_leverage),
        ]
        for row, amount in zip(rows, capital, strict=True)
    ]
