"""What the commands print with ``--json``: one document, with keys that stay."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import fields
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from xmfast.commands.risk_columns import risk_document
from xmfast.explanation import FIGURES
from xmfast.portfolio_report import PortfolioReport
from xmfast.tables import state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xmfast.explanation import ExplainedLine, Explanation
    from xmfast.isolated import IsolatedReport
    from xmfast.report import AccountMargin, MarginReport

__all__ = ["account_document", "explanation_document", "isolated_documents", "print_document", "worst_documents"]

_LINE_NUMBERS = (
    "quantity",
    "price",
    "initial_weight",
    "maintenance_weight",
    "initial_rate",
    "maintenance_rate",
    *FIGURES,
)
_FLAGS = ("liquidatable", "bankrupt")
_OWN = ("quantity", "isolated_margin", "notional", "unrealized_pnl")


def print_document(document: dict[str, Any]) -> None:
    """Print one JSON document on stdout."""
    json.dump(document, sys.stdout, indent=2, allow_nan=False)
    print()


def account_document(account: AccountMargin) -> dict[str, Any]:
    """Return the fields of an account."""
    return {field.name: _value(getattr(account, field.name)) for field in fields(account)}


def worst_documents(report: MarginReport, count: int) -> list[dict[str, Any]]:
    """Return the accounts with the lowest health, each with its state."""
    worst = report.worst(count)
    rows = []
    for row, account in enumerate(worst.accounts.tolist()):
        margin = worst[account]
        word = state(margin.initial_health, margin.liquidatable, margin.bankrupt)
        risk = risk_document(worst, row) if isinstance(worst, PortfolioReport) else {}
        rows.append(account_document(margin) | risk | {"state": word})
    return rows


def isolated_documents(report: IsolatedReport, count: int) -> list[dict[str, Any]]:
    """Return the isolated positions with the lowest health, each with its state."""
    worst = report.worst(count)
    names = (*_OWN, *FIGURES, "free_collateral", "margin_ratio", *_FLAGS)
    columns = {"account": worst.accounts, "instrument": worst.instruments, **{n: getattr(worst, n) for n in names}}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*(c.tolist() for c in columns.values()), strict=True)]
    for row in rows:
        row["state"] = state(row["initial_health"], row["liquidatable"], row["bankrupt"])
    return [{name: _value(value) for name, value in row.items()} for row in rows]


def explanation_document(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation: floats, and beside them the exact numbers as fractions."""
    return {
        "title": explanation.title,
        "figures": {name: _value(value) for name, value in explanation.figures.items()},
        "lines": _lines(explanation.lines),
        "total": _lines([explanation.total])[0],
        "rounding": _lines([explanation.rounding])[0],
    }


def _lines(lines: Sequence[ExplainedLine]) -> list[dict[str, Any]]:
    rows = []
    for line in lines:
        exact = {name: getattr(line, name) for name in _LINE_NUMBERS}
        rows.append(
            {"what": line.what, "kind": line.kind, "id": line.id, "tier": line.tier}
            | {name: _value(number) for name, number in exact.items()}
            | {"exact": {name: None if number is None else str(number) for name, number in exact.items()}}
        )
    return rows


def _value(value: Any) -> Any:
    if isinstance(value, Fraction):
        value = float(value)
    # JSON has no infinity; a margin ratio may be one.
    return None if isinstance(value, float) and not math.isfinite(value) else value
