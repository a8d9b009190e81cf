"""How an explanation looks: a table of its lines, in text and HTML."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from xmfast.tables import amount_texts, html_div, html_lines, id_text, text_blocks

if TYPE_CHECKING:
    from xmfast.explanation import ExplainedLine, Explanation

_FIGURES = (
    ("equity", "equity"),
    ("collateral_value", "collateral value"),
    ("initial_collateral_value", "initial coll. value"),
    ("initial_margin", "initial margin"),
    ("maintenance_margin", "maint. margin"),
    ("initial_health", "initial health"),
    ("health", "health"),
)
# What a terminal shows without breaking lines, most of the time.
_WIDTH = 100
_HEADS = ("line", "quantity", "price", "weight", "rate", *(head for _, head in _FIGURES))


def text(explanation: Explanation) -> str:
    """Return an explanation as text: one line for each part, the exact sum, the rounding, the reported figures."""
    head = f"Explanation of {explanation.title}: parts of each figure;\nweights and rates are initial / maintenance"
    return "\n".join([head, *text_blocks(_HEADS, _body(explanation), _WIDTH)])


def html(explanation: Explanation) -> str:
    """Return an explanation as HTML."""
    from html import escape

    head = (
        f"<div><b>Explanation</b> of {escape(explanation.title)}: parts of each figure; "
        "weights and rates are initial / maintenance</div>"
    )
    return html_div([head, html_lines(_HEADS, _body(explanation))])


def _body(explanation: Explanation) -> list[list[str]]:
    lines = (*explanation.lines, explanation.total)
    columns = [
        [id_text(line.what) if line is not explanation.total else "total" for line in lines],
        ["" if line.quantity is None else _number(line.quantity) for line in lines],
        ["" if line.price is None else _number(line.price) for line in lines],
        [_pair(line.initial_weight, line.maintenance_weight) for line in lines],
        [_pair(line.initial_rate, line.maintenance_rate) for line in lines],
    ]
    columns += [amount_texts([float(getattr(line, name)) for line in lines]) for name, _ in _FIGURES]
    body = [list(row) for row in zip(*columns, strict=True)]
    rounding = [_rounding(explanation.rounding, name) for name, _ in _FIGURES]
    reported = [repr(explanation.figures[name]) for name, _ in _FIGURES]
    return [*body, ["rounding", "", "", "", "", *rounding], ["reported", "", "", "", "", *reported]]


def _rounding(line: ExplainedLine, name: str) -> str:
    value = getattr(line, name)
    return "0" if value == 0 else f"{float(value):.1e}"


def _number(value: Fraction) -> str:
    return f"{float(value):,.12g}"


def _pair(initial: Fraction | None, maintenance: Fraction | None) -> str:
    if initial is None or maintenance is None:
        return ""
    if initial == maintenance:
        return f"{float(initial):.6g}"
    return f"{float(initial):.6g} / {float(maintenance):.6g}"
