"""A small venue that stands while bad input is refused, and how a refusal is checked."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import xmfast as xm

NAN, INF = float("nan"), float("inf")

ASSETS: dict[str, Any] = {"asset": ["USD", "BTC", "ETH"]}
INSTRUMENTS: dict[str, Any] = {
    "instrument": ["PERP", "INVERSE", "CALL", "OIL"],
    "kind": ["perpetual", "perpetual", "option", "future"],
    "underlying": ["BTC", "BTC", "BTC", "WTI"],
    "settlement": ["USD", "BTC", "USD", "USD"],
    "contract_multiplier": [1.0, 100.0, 1.0, 1000.0],
    "inverse": [False, True, False, False],
    "allow_negative_price": [False, False, False, True],
    "expiry": [None, None, "2026-12-25T08:00:00", "2026-04-21"],
    "strike": [None, None, 60_000.0, None],
    "right": [None, None, "call", None],
    "futures_style": [False, False, False, False],
}
BALANCES: dict[str, Any] = {
    "account": ["ann", "bob", "ann"],
    "asset": ["USD", "BTC", "ETH"],
    "balance": [1000.0, 0.5, -0.25],
}
POSITIONS: dict[str, Any] = {
    "account": ["ann", "bob", "cat", "cat"],
    "instrument": ["PERP", "INVERSE", "CALL", "OIL"],
    "quantity": [0.5, -300.0, -2.0, 3.0],
    "entry_price": [59_000.0, 61_000.0, 1500.0, 20.0],
}
INDEX: dict[Any, Any] = {"BTC": 60_000.0, "ETH": 3000.0, "WTI": 18.0}
MARK: dict[Any, Any] = {"PERP": 60_100.0, "INVERSE": 60_050.0, "CALL": 1400.0, "OIL": -5.0}
COLLATERAL: dict[str, Any] = {
    "asset": ["BTC", "ETH"],
    "initial_haircut": [0.1, 0.2],
    "maintenance_haircut": [0.05, 0.1],
    "initial_liability_weight": [1.1, 1.2],
    "maintenance_liability_weight": [1.05, 1.1],
}
MARGIN: dict[str, Any] = {
    "instrument": ["PERP", "INVERSE", "CALL", "OIL"],
    "initial_rate": [0.05, 0.05, 0.15, 0.2],
    "maintenance_rate": [0.025, 0.025, 0.1, 0.1],
}

Frame = dict[str, Any]


@dataclass(frozen=True)
class Standing:
    """Good objects that a refused call must leave as they are."""

    universe: xm.Universe
    book: xm.Book
    market: xm.Market
    model: xm.CrossMargin

    def assets(self, frame: Any) -> object:
        return xm.Universe.from_frames(frame, INSTRUMENTS)

    def instruments(self, frame: Any) -> object:
        return xm.Universe.from_frames(ASSETS, frame)

    def balances(self, frame: Any) -> object:
        return xm.Book.from_frames(self.universe, frame, POSITIONS)

    def positions(self, frame: Any) -> object:
        return xm.Book.from_frames(self.universe, BALANCES, frame)

    def collateral(self, frame: Any) -> object:
        return xm.CrossMargin.from_frames(self.universe, frame, MARGIN)

    def margin(self, frame: Any) -> object:
        return xm.CrossMargin.from_frames(self.universe, COLLATERAL, frame)

    def index_price(self, prices: Any) -> object:
        return self.market.with_prices(index_price=prices)

    def mark_price(self, prices: Any) -> object:
        return self.market.with_prices(mark_price=prices)


GOOD: dict[str, Frame] = {
    "assets": ASSETS,
    "instruments": INSTRUMENTS,
    "balances": BALANCES,
    "positions": POSITIONS,
    "collateral": COLLATERAL,
    "margin": MARGIN,
}


def changed(frame: str, column: str, row: int, value: Any) -> Frame:
    """Return the good frame with one cell replaced."""
    good = GOOD[frame]
    return good | {column: [value if at == row else old for at, old in enumerate(good[column])]}


def refused(action: Callable[[], object], error: type[Exception], *words: str) -> None:
    """Assert that the action raises this error, exactly, and that its message has these words."""
    with pytest.raises(xm.XmfastError) as caught:
        action()
    assert type(caught.value) is error, f"{type(caught.value).__name__}: {caught.value}"
    message = str(caught.value)
    for word in words:
        assert word.lower() in message.lower(), f"no {word!r} in: {message}"
    assert error.__module__ == "xmfast"


NOT_FINITE = [NAN, INF, -INF]
NO_NUMBERS: list[Any] = [
    None,
    "1,000.5",
    "0x10",
    "1.0",
    b"1",
    True,
    np.True_,
    1 + 0j,
    np.complex128(1),
    decimal.Decimal("NaN"),
    decimal.Decimal("sNaN"),
    decimal.Decimal("-Infinity"),
    np.longdouble(1),
    Fraction(1, 3),
    [1.0],
    object(),
    datetime.date(2026, 1, 1),
    np.datetime64("2026-01-01"),
]
