"""A venue small enough to check by hand: dollars and bitcoin, five instruments, the account `it`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from building import reference_of, report_of
from reference import exact
from strategies import Columns, Venue

INSTRUMENTS: Columns = {
    "instrument": ["PERP", "INVERSE", "CALL", "COINCALL", "OIL"],
    "kind": ["perpetual", "perpetual", "option", "option", "future"],
    "underlying": ["BTC", "BTC", "BTC", "BTC", "WTI"],
    "settlement": ["USD", "BTC", "USD", "BTC", "USD"],
    "contract_multiplier": [1.0, 100.0, 0.1, 0.1, 1000.0],
    "inverse": [False, True, False, True, False],
    "allow_negative_price": [False, False, False, False, True],
}
INDEX = {"BTC": 50_000.0}
MARK = {"PERP": 100.0, "INVERSE": 50_000.0, "CALL": 1500.0, "COINCALL": 0.03, "OIL": -5.0}
# A tenth to open, a twentieth to keep, whatever the size.
FLAT: Columns = {
    "instrument": INSTRUMENTS["instrument"],
    "initial_rate": [0.1] * 5,
    "maintenance_rate": [0.05] * 5,
}

Rows = Sequence[tuple[Any, ...]]


def venue(
    *,
    balances: Rows = (),
    positions: Rows = (),
    orders: Rows = (),
    leverage_cap: Any = None,
    margin: Columns | None = None,
    collateral: Columns | None = None,
    mark_price: dict[str, Any] | None = None,
    **market: Any,
) -> Venue:
    """Return a venue of one account.

    ``balances`` are (asset, balance), ``positions`` (instrument, quantity, entry price[, isolated margin[, entry
    funding]]), ``orders`` (instrument, quantity, price[, reduce only]).
    """
    positions = [(*row, *(None, 0.0)[len(row) - 3 :]) for row in positions]
    orders = [(*row, False)[:4] for row in orders]
    return Venue(
        assets={"asset": ["USD", "BTC"]},
        instruments=INSTRUMENTS,
        balances=_frame(("asset", "balance"), balances),
        positions=_frame(("instrument", "quantity", "entry_price", "isolated_margin", "entry_funding"), positions),
        orders=_frame(("instrument", "quantity", "price", "reduce_only"), orders),
        accounts={"account": ["it"], "leverage_cap": [leverage_cap]},
        index_price=INDEX,
        mark_price=MARK | (mark_price or {}),
        collateral=collateral,
        margin=margin or FLAT,
        **market,
    )


def _frame(names: tuple[str, ...], rows: Rows) -> Columns:
    columns: Columns = {"account": ["it"] * len(rows)}
    return columns | {name: [row[at] for row in rows] for at, name in enumerate(names)}


def brackets(instrument: str, *rows: tuple[float, ...], **of_all: Any) -> Columns:
    """Return the flat margin with brackets for one instrument: (notional floor, initial rate, maintenance rate)."""
    others = [name for name in INSTRUMENTS["instrument"] if name != instrument]
    count = len(rows) + len(others)
    frame: Columns = {
        "instrument": [instrument] * len(rows) + others,
        "notional_floor": [row[0] for row in rows] + [0.0] * len(others),
        "initial_rate": [row[1] for row in rows] + [0.1] * len(others),
        "maintenance_rate": [row[2] for row in rows] + [0.05] * len(others),
    }
    return frame | {name: [value] * len(rows) + [0.0] * (count - len(rows)) for name, value in of_all.items()}


def assert_figures(what: Venue, position: str | None = None, **figures: Any) -> None:
    """Assert figures of the account, or of one of its isolated positions: exact in the reference, close in xmfast."""
    report: Any = report_of(what)
    expected = reference_of(what, number=exact)
    row = 0
    if position is not None:
        report, expected = report.isolated, expected["isolated"]
        row = expected["instrument"].index(position)
        assert report.instruments.tolist() == expected["instrument"]
    for name, value in figures.items():
        if isinstance(value, bool):
            assert expected[name][row] == value and getattr(report, name)[row] == value, name
        else:
            assert expected[name][row] == exact(value), f"reference: {name} is {float(expected[name][row])}"
            assert getattr(report, name)[row] == pytest.approx(float(value), rel=1e-12, abs=1e-12), name
