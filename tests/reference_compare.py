"""What one pool saves against margin position by position, and who would be liquidated for the lack of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import evaluate
from reference_rules import Frame, Number, Prices

COMPARED = (
    "capital_isolated",
    "capital_cross",
    "saving",
    "liquidatable_isolated",
    "health",
    "liquidatable_cross",
    "premature",
    "notional",
    "equity",
    "effective_leverage",
)


def compare(
    universe: Mapping[str, Any],
    balances: Frame | None,
    positions: Frame | None,
    market: Mapping[str, Prices],
    collateral: Frame | None,
    margin: Frame | None,
    *,
    orders: Frame | None = None,
    accounts: Frame | None = None,
    number: Number = float,
) -> dict[str, Any]:
    """Return `COMPARED` by account, and for the venue the sums of capital and what they save, under ``venue``.

    Capital is what has to be brought in to open everything that is open: alone, a position's gain helps no other.
    """
    inputs = universe, balances, positions, market, collateral, margin
    cross, isolated = (
        evaluate(*inputs, orders=orders, accounts=accounts, mode=mode, number=number) for mode in ("cross", "isolated")
    )
    zero = number(0)
    every_position = _rows_by_account(isolated["isolated"])
    posted = _rows_by_account(cross["isolated"])
    report: dict[str, Any] = {name: [] for name in ("account", *COMPARED)}
    for at, account in enumerate(cross["account"]):
        alone, apart = every_position.get(account, []), posted.get(account, [])
        # Orders in instruments without a position stand in the account's own row, whatever the mode.
        lonely = isolated["initial_margin"][at]
        capital_isolated = lonely + sum((max(zero, _capital(row)) for row in alone), zero)
        capital_cross = max(zero, lonely + sum((_capital(row) for row in alone), zero))
        fails_alone = isolated["liquidatable"][at] or any(row["liquidatable"] for row in alone)
        # The account as a whole: its isolated positions counted in.
        health = cross["health"][at] + sum((row["health"] for row in apart), zero)
        equity = isolated["equity"][at] + sum((row["equity"] for row in alone), zero)
        notional = sum((row["notional"] for row in alone), zero)
        for name, value in (
            ("account", account),
            ("capital_isolated", capital_isolated),
            ("capital_cross", capital_cross),
            ("saving", saving(capital_isolated, capital_cross, zero)),
            ("liquidatable_isolated", fails_alone),
            ("health", health),
            ("liquidatable_cross", health < 0),
            ("premature", fails_alone and health >= 0),
            ("notional", notional),
            ("equity", equity),
            ("effective_leverage", leverage(notional, equity, zero)),
        ):
            report[name].append(value)
    totals = [sum(report[name], zero) for name in ("capital_isolated", "capital_cross")]
    report["venue"] = {
        "capital_isolated": totals[0],
        "capital_cross": totals[1],
        "saving": saving(totals[0], totals[1], zero),
        "premature": sum(report["premature"]),
    }
    return report


def _capital(row: dict[str, Any]) -> Any:
    return row["initial_margin"] - row["unrealized_pnl"]


def saving(capital_isolated: Any, capital_cross: Any, zero: Any) -> Any:
    """Return the part of the capital that one pool does not need."""
    return zero if capital_isolated == 0 else 1 - capital_cross / capital_isolated


def leverage(notional: Any, equity: Any, zero: Any) -> Any:
    """Return notional per unit of equity: without end where nothing backs it."""
    if notional == 0:
        return zero
    return notional / equity if equity > 0 else float("inf")


def _rows_by_account(columns: Mapping[str, list[Any]]) -> dict[Any, list[dict[str, Any]]]:
    found: dict[Any, list[dict[str, Any]]] = {}
    for cells in zip(*columns.values(), strict=True):
        row = dict(zip(columns, cells, strict=True))
        found.setdefault(row["account"], []).append(row)
    return found
