"""Engines that cannot be opened, and why."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import xmfast as xm
from small_engine import small_engine
from standing import INF, NAN, refused


def open_with(**said: Any) -> Callable[[], xm.Engine]:
    return lambda: small_engine(balances=[("ann", "USD", 1000)], **said)


OPENINGS: list[tuple[dict[str, Any], type[Exception], tuple[str, ...]]] = [
    ({"decimals": -1}, xm.ParameterError, ("decimals", "-1")),
    ({"decimals": 19}, xm.ParameterError, ("decimals", "19")),
    ({"decimals": 2.0}, xm.ParameterError, ("decimals", "2.0")),
    ({"decimals": True}, xm.ParameterError, ("decimals", "True")),
    ({"decimals": "8"}, xm.ParameterError, ("decimals", "'8'")),
    ({"decimals": None}, xm.ParameterError, ("decimals",)),
    ({"decimals": 2**40}, xm.ParameterError, ("decimals", "0 to 18")),
    ({"decimals": {"USD": 2**40}}, xm.ParameterError, ("decimals", "0 to 18")),
    ({"decimals": {"USDT": 6}}, xm.UnknownIdError, ("decimals", "USDT", "USD")),
    ({"decimals": {"PERP": 6}}, xm.UnknownIdError, ("decimals", "PERP")),
    ({"decimals": {"USD": None}}, xm.ParameterError, ("decimals",)),
    ({"borrowable": ["USDT"]}, xm.UnknownIdError, ("borrowable", "USDT")),
    ({"borrowable": ["PERP"]}, xm.UnknownIdError, ("borrowable", "PERP")),
    ({"withdrawable_gain_share": 1.01}, xm.ParameterError, ("withdrawable_gain_share", "1.01")),
    ({"withdrawable_gain_share": -0.1}, xm.ParameterError, ("withdrawable_gain_share",)),
    ({"withdrawable_gain_share": NAN}, xm.ParameterError, ("withdrawable_gain_share",)),
    ({"withdrawable_gain_share": Decimal("sNaN")}, xm.ParameterError, ("withdrawable_gain_share", "finite")),
    ({"withdrawable_gain_share": "1"}, xm.ParameterError, ("withdrawable_gain_share",)),
    ({"withdrawable_gain_share": None}, xm.ParameterError, ("withdrawable_gain_share",)),
    ({"position_limit": {"PERPS": 1}}, xm.UnknownIdError, ("position_limit", "PERPS", "PERP")),
    ({"position_limit": {"PERP": -1}}, xm.ParameterError, ("position_limit", "PERP", "negative")),
    ({"position_limit": {"PERP": NAN}}, xm.InputError, ("position_limit", "finite")),
    ({"position_limit": {"PERP": 1e-9}}, xm.InputError, ("position_limit", "8 decimals")),
    ({"position_limit": {"PERP": "1"}}, xm.ColumnError, ("position_limit",)),
    ({"position_limit": {"PERP": None}}, xm.ColumnError, ("position_limit",)),
    ({"open_interest_limit": {"BTC": 1}}, xm.UnknownIdError, ("open_interest_limit", "BTC")),
    ({"open_interest_limit": {"PERP": INF}}, xm.InputError, ("open_interest_limit",)),
]


@pytest.mark.parametrize(("said", "error", "words"), OPENINGS)
def test_openings_that_cannot_be(said: dict[str, Any], error: type[Exception], words: tuple[str, ...]) -> None:
    refused(open_with(**said), error, *words)


def test_an_engine_needs_a_book_a_market_and_a_model_of_one_universe() -> None:
    engine, other = small_engine(), small_engine()
    book: Any
    for book in (None, 5, engine.market):
        with pytest.raises(TypeError, match="book"):
            xm.Engine(book, engine.market, engine.model)
    with pytest.raises(TypeError, match="market"):
        xm.Engine(engine.book, engine.book, engine.model)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="model"):
        xm.Engine(engine.book, engine.market, engine.universe)  # type: ignore[arg-type]
    for inputs in (
        (other.book, engine.market, engine.model),
        (engine.book, other.market, engine.model),
        (engine.book, engine.market, other.model),
    ):
        refused(lambda: xm.Engine(*inputs), xm.UniverseMismatchError, "universe")  # noqa: B023


@pytest.mark.parametrize("bad", [1.01e30, 1e308, 0.99e-30, 5e-324])
def test_figures_at_which_nobody_can_be_judged(bad: float) -> None:
    """Nobody holds it yet, and whoever bought it could not be judged any more."""
    for name, said in (
        ("PERP", {"mark": {"PERP": bad}}),
        ("BTC", {"index": {"BTC": bad}}),
        ("OIL", {"cumulative_funding": {"OIL": -bad}}),
        ("BTC", {"deposit_index": {"BTC": bad}}),
        ("USD", {"borrow_index": {"USD": bad}}),
    ):
        refused(open_with(**said), xm.InputError, name, "1e-30", "1e30")


def test_what_is_held_must_fit_the_ledger() -> None:
    refused(lambda: small_engine(balances=[("ann", "USD", 1e25)]), xm.InputError, "balances", "too large")
    refused(lambda: small_engine(positions=[("ann", "PERP", 1e25, 1)]), xm.InputError, "positions", "too large")
    refused(lambda: small_engine(positions=[("ann", "PERP", 1e12, 1e12)]), xm.InputError, "positions", "too large")
    refused(
        lambda: small_engine(positions=[("ann", "PERP", 1, 1, 1e12)], decimals=18), xm.InputError, "isolated_margin"
    )


@pytest.mark.parametrize("bad", ["USD", 5, [["USD"]]])
def test_ids_are_named_one_by_one(bad: Any) -> None:
    refused(open_with(borrowable=bad), xm.ParameterError, "borrowable", repr(bad))


@pytest.mark.parametrize("name", ["position_limit", "open_interest_limit"])
def test_limits_are_given_by_instrument(name: str) -> None:
    refused(open_with(**{name: 5}), xm.ParameterError, name, "BTC-PERP", "5")


@pytest.mark.parametrize("bad", [[1.0], [0.8, 0.0], [-0.5], [NAN], [2.0, 0.9], [INF], [Decimal("sNaN")], ["0.8"]])
def test_alert_levels_lie_between_0_and_1(bad: list[float]) -> None:
    refused(open_with(alert_levels=bad), xm.ParameterError, "alert_levels")


def test_alert_levels_are_sorted_and_counted_once() -> None:
    engine = small_engine(alert_levels=[0.9, 0.5, 0.9])
    assert engine.alerted(0.9).tolist() == engine.alerted(0.5).tolist() == []
    refused(lambda: engine.alerted(0.8), xm.InputError, "alerted", "0.8", "[0.5, 0.9]")
    refused(lambda: small_engine(alert_levels=[0.1 + 0.001 * at for at in range(300)]), xm.ParameterError, "255")


@pytest.mark.parametrize("bad", [0.8, None, "0.8", Decimal("0.8")])
def test_alert_levels_are_several(bad: Any) -> None:
    refused(open_with(alert_levels=bad), xm.ParameterError, "alert_levels", repr(bad))


@pytest.mark.parametrize("bad", [NAN, INF, Decimal("sNaN"), "0.8", None, True], ids=repr)
def test_a_level_that_is_no_number_is_named(bad: Any) -> None:
    engine = small_engine(alert_levels=[0.8])
    refused(lambda: engine.alerted(bad), xm.ParameterError, "alerted")


def test_a_level_that_is_a_short_float_is_the_decimal_that_it_prints_as() -> None:
    short: Any = np.float32(0.8)
    levels: Any
    for levels in (np.array([0.8], np.float32), np.array([0.8], np.float16), [Decimal("0.8")]):
        engine = small_engine(balances=[("ann", "USD", 100)], positions=[("ann", "PERP", 16, 100)], alert_levels=levels)
        # Its margin is 80 of 100: the level itself, decided as a float.
        assert engine.alerted(0.8).tolist() == engine.alerted(short).tolist() == ["ann"]
