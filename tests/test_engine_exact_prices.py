"""Prices that no float holds: what is decided by them and booked at them is exact, whichever way they come in."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

import xmfast as xm
from building import bits_of
from small_engine import cost, small_engine
from standing import refused

D = Decimal
ONCE_MORE = D("100.000000000000000001")
ONCE_LESS = D("99.999999999999999999")

WAYS: dict[str, Callable[[xm.Engine, int, Any], bool]] = {
    "check_order": lambda engine, quantity, price: engine.check_order("ann", "PERP", quantity, price).accepted,
    "check_orders": lambda engine, quantity, price: bool(
        engine.check_orders(["ann"], ["PERP"], [quantity], [price])["accepted"][0]
    ),
    "place": lambda engine, quantity, price: does(lambda: engine.place("ann", "PERP", quantity, price)),
    "amend": lambda engine, quantity, price: does(
        lambda: engine.amend(engine.place("ann", "PERP", quantity, D(100)), price=price)
    ),
}


def does(act: Callable[[], object]) -> bool:
    try:
        act()
    except xm.OrderRefusedError:
        return False
    return True


@pytest.mark.parametrize("way", WAYS)
def test_a_limit_that_f64_rounds_is_decided_as_it_was_given(way: str) -> None:
    # A tenth of 100 is all there is: whatever is lost at once is too much.
    for quantity, fair, worse, better in ((1, D(100), ONCE_MORE, ONCE_LESS), (-1, D(100), ONCE_LESS, ONCE_MORE)):
        for price, accepted in ((fair, True), (worse, False), (better, True)):
            engine = small_engine(balances=[("ann", "USD", 10)])
            assert WAYS[way](engine, quantity, price) == accepted, (quantity, price)


@pytest.mark.parametrize("alone", [False, True])
def test_a_resting_order_keeps_its_price(alone: bool) -> None:
    engine = small_engine(balances=[("ann", "USD", D("20.000000001"))], decimals=9, alone=alone)
    engine.place("ann", "PERP", 1, ONCE_MORE)
    engine.place("ann", "PERP", 1, D("99.5"))
    first, second = engine.open_orders("ann")
    assert first["price"] == ONCE_MORE and isinstance(first["price"], Decimal)
    assert second["price"] == 99.5 and isinstance(second["price"], float)
    # What is opened with that book keeps it, too.
    again = xm.Engine(engine.book, engine.market, engine.model, decimals=9)
    assert again.open_orders("ann") == engine.open_orders("ann")
    assert bits_of(again.report()) == bits_of(engine.report())


def test_a_book_of_frames_keeps_the_prices_of_its_orders() -> None:
    orders = [("ann", "PERP", 1, ONCE_MORE), ("ann", "PERP", -1, 2**53 + 1)]
    engine = small_engine(balances=[("ann", "USD", 100)], orders=orders)
    assert [order["price"] for order in engine.open_orders("ann")] == [ONCE_MORE, 2**53 + 1]
    engine = small_engine(balances=[("ann", "USD", 10)], orders=orders[:1])
    assert engine.report()["ann"].initial_health < 0


def test_a_fill_may_not_be_worse_by_a_digit_that_f64_drops() -> None:
    for quantity, limit, worse in (
        (1, 100, ONCE_MORE),
        (-1, 100, ONCE_LESS),
        (1, ONCE_LESS, 100),
        (-1, ONCE_MORE, 100),
    ):
        engine = small_engine(balances=[("ann", "USD", 1_000)])
        number = engine.place("ann", "PERP", quantity, limit)
        before = engine.state_hash()
        with pytest.raises(xm.RefusedError, match="worse"):
            engine.fill("ann", "PERP", quantity, worse, order_id=number)
        assert engine.state_hash() == before
        engine.fill("ann", "PERP", quantity, limit, order_id=number)


def test_prices_that_print_alike_as_floats_are_told_apart() -> None:
    seen = set()
    for price in (100, ONCE_MORE, ONCE_MORE + D("1e-18"), ONCE_LESS):
        engine = small_engine(balances=[("ann", "USD", 1_000)])
        engine.place("ann", "PERP", 1, price, client_id="mine")
        seen.add(engine.state_hash())
        with pytest.raises(xm.RefusedError, match="mine"):
            engine.place("ann", "PERP", 1, price + D("1e-19"), client_id="mine")
    assert len(seen) == 4


def test_more_digits_than_an_order_keeps_are_refused() -> None:
    most, more = D("1." + 35 * "0" + "1"), D("100." + 39 * "0" + "1")
    engine = small_engine(balances=[("ann", "USD", 1_000)])
    number = engine.place("ann", "PERP", 1, most)
    assert engine.open_orders("ann")[0]["price"] == most
    for act in (
        lambda: engine.check_order("ann", "PERP", 1, more),
        lambda: engine.place("ann", "PERP", 1, more),
        lambda: engine.amend(number, price=more),
    ):
        refused(act, xm.InputError, "price", "at most 37")
    refused(
        lambda: engine.check_orders(["ann", "ann"], ["PERP", "PERP"], [1, 1], [1, more]),
        xm.InputError,
        "orders",
        "price",
        "row 1",
        "at most 37",
    )
    refused(
        lambda: small_engine(orders=[("ann", "PERP", 1, more)]), xm.InputError, "orders", "ann", "PERP", "at most 37"
    )


@pytest.mark.parametrize(
    "prices",
    [
        [2**53 + 1, ONCE_MORE],
        pl.Series([D(2**53 + 1), ONCE_MORE], dtype=pl.Decimal(38, 18)),
        pytest.param(np.array([2**53 + 1, 2**53 + 3]), id="integers"),
    ],
)
def test_many_fills_are_booked_at_the_prices_given(prices: Any) -> None:
    one, many = (small_engine(accounts=["ann", "bob"], decimals=12) for _ in range(2))
    many.fills(["ann", "bob"], ["PERP", "PERP"], [1, 1], prices)
    for account, price in zip(("ann", "bob"), list(prices), strict=True):
        one.fill(account, "PERP", 1, int(price) if isinstance(price, np.integer) else price)
        assert cost(many, account) == cost(one, account)
    assert cost(many, "ann") == 2**53 + 1
    assert many.state_hash() == one.state_hash()
