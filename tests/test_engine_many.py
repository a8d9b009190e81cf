"""Thousands of accounts that are judged at once, on all threads: the same as a full evaluation, and as one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xmfast as xm
from building import bits_of
from small_engine import small_engine

ACCOUNTS = 4_000
MARKS = {"BTC-PERP": 60_000.0, "ETH-PERP": 3_000.0, "SOL-PERP": 150.0, "ETH-COIN": 3_000.0}


def crowd(**said: Any) -> xm.Engine:
    """Open an engine of accounts with positions in two settlement assets, most of them near the edge."""
    names = list(MARKS)
    universe = xm.Universe.from_frames(
        assets={"asset": ["USD", "ETH"]},
        instruments={
            "instrument": names,
            "kind": ["perpetual"] * 4,
            "underlying": ["BTC", "ETH", "SOL", "ETH"],
            "settlement": ["USD", "USD", "USD", "ETH"],
            "inverse": [False, False, False, True],
        },
        numeraire="USD",
    )
    rng = np.random.default_rng(12)
    accounts = np.repeat(np.arange(ACCOUNTS), 3)
    held = np.concatenate([rng.choice(4, 3, replace=False) for _ in range(ACCOUNTS)])
    marks = np.array(list(MARKS.values()))[held]
    sizes = np.round(rng.normal(0, 1000, len(held)) / np.where(held == 3, 1, marks), 6) + 1e-6
    book = xm.Book.from_frames(
        universe,
        balances={
            "account": np.tile(np.arange(ACCOUNTS), 2),
            "asset": ["USD"] * ACCOUNTS + ["ETH"] * ACCOUNTS,
            "balance": np.round(np.concatenate([rng.normal(300, 200, ACCOUNTS), rng.uniform(0, 0.1, ACCOUNTS)]), 4),
        },
        positions={
            "account": accounts,
            "instrument": [names[at] for at in held],
            "quantity": sizes,
            "entry_price": np.round(marks * rng.uniform(0.95, 1.05, len(held)), 2),
        },
    )
    market = xm.Market(universe, index_price={"ETH": 3_000.0}, mark_price=MARKS)
    model = xm.CrossMargin.from_frames(
        universe,
        collateral={"asset": ["ETH"], "initial_haircut": [0.1], "maintenance_haircut": [0.05]},
        margin={"instrument": names, "initial_rate": [0.1] * 4, "maintenance_rate": [0.05] * 4},
    )
    return xm.Engine(book, market, model, alert_levels=(0.7, 0.9), **said)


def assert_equals_full_evaluation(engine: xm.Engine) -> None:
    report = engine.model.evaluate(engine.book, engine.market)
    assert bits_of(engine.report()) == bits_of(report)
    assert np.array_equal(engine.liquidatable(), report.accounts[report.liquidatable])
    for level in (0.7, 0.9):
        assert np.array_equal(engine.alerted(level), report.accounts[report.margin_ratio >= level])


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_jumps_and_many_fills(threads: int) -> None:
    xm.set_num_threads(threads)
    try:
        engine, other = crowd(), crowd()
        rng = np.random.default_rng(3)
        for factor in (0.9, 1.25, 0.999, 0.5, 1.7):
            before = engine.liquidatable()
            names = list(MARKS)
            prices = {name: round(MARKS[name] * factor * rng.uniform(0.99, 1.01), 2) for name in names}
            fallen = engine.ticks([*names, "ETH"], [*prices.values(), prices["ETH-PERP"]])
            assert np.array_equal(np.sort(fallen), np.setdiff1d(engine.liquidatable(), before))
            assert_equals_full_evaluation(engine)
            # After a jump most accounts have to wait for a new box.
            steps = [(name, round(prices[name] * rng.uniform(0.99, 1.01), 2)) for name in names * 3]
            for name, price in steps:
                before = engine.liquidatable()
                fallen = engine.tick(name, price)
                assert np.array_equal(np.sort(fallen), np.setdiff1d(engine.liquidatable(), before))
                assert_equals_full_evaluation(engine)
            count = 5_000
            accounts, instruments = rng.integers(0, ACCOUNTS, count), rng.choice(names, count)
            quantities = np.round(np.round(rng.normal(0, 1, count), 3) + 0.0005, 4)
            fills = (accounts, instruments, quantities, [prices[name] for name in instruments])
            engine.fills(*fills)
            assert_equals_full_evaluation(engine)
            other.ticks([*names, "ETH"], [*prices.values(), prices["ETH-PERP"]])
            for step in steps:
                other.tick(*step)
            for account, instrument, quantity, price in zip(*(list(column) for column in fills), strict=True):
                other.fill(int(account), str(instrument), float(quantity), float(price))
            assert engine.ledger() == other.ledger()
            assert bits_of(engine.report()) == bits_of(other.report())
        for each in (engine, other):
            each.fallen(), each.recovered(), each.alerts()
        assert engine.state_hash() == other.state_hash()
    finally:
        xm.set_num_threads(None)


def test_fills_that_turn_what_is_held_into_something_else() -> None:
    """Nobody owed, nobody had a cost or cash that is not netted before: what nobody needed is made now."""
    # Cash of 50 becomes a loan of 49, a gain of 50 does not pay the margin of 7.5 too.
    engine = small_engine([("ann", "USD", 50)], [("ann", "PERP", 2, 100)], mark={"PERP": 150.0})
    engine.fills(["ann"], ["PERP"], [-1], [1])
    assert engine.liquidatable().tolist() == ["ann"] and engine.report()["ann"].health == -6.5
    # Contracts that cost nothing, and then some that did.
    engine = small_engine([("ann", "USD", 100)], [("ann", "CALL", -10, 0)], mark={"CALL": 200.0}, index={"BTC": 100.0})
    assert engine.liquidatable().tolist() == ["ann"]
    engine.fills(["ann"], ["CALL"], [-1], [5_000])
    assert engine.liquidatable().tolist() == [] and engine.report()["ann"].health == 374.5
    # A coin that backs a position, and is held by itself when that is closed.
    engine = small_engine([("ann", "BTC", 1), ("ann", "USD", -100)], [("ann", "INVERSE", 10, 50_000)])
    engine.fills(["ann"], ["INVERSE"], [-10], [50_000])
    assert engine.liquidatable().tolist() == [] and engine.report()["ann"].health == 49_900
    assert engine.tick(index="BTC", price=99).tolist() == ["ann"]


def test_many_fills_that_are_refused_change_nothing() -> None:
    engine = crowd()
    before = engine.state_hash()
    rng = np.random.default_rng(5)
    count = 3_000
    prices = np.full(count, 60_000.0)
    prices[1_234] = -1.0
    with pytest.raises(xm.InputError, match="row 1234"):
        engine.fills(rng.integers(0, ACCOUNTS, count), ["BTC-PERP"] * count, np.full(count, 0.01), prices)
    assert engine.state_hash() == before
    assert_equals_full_evaluation(engine)


def test_many_fills_reduce_orders() -> None:
    engine, other = (small_engine([("ann", "USD", 1_000), ("bob", "USD", 1_000)]) for _ in range(2))
    for each in (engine, other):
        assert (each.place("ann", "PERP", 2, 100), each.place("bob", "PERP", -1, 100)) == (1, 2)
    engine.fills(["ann", "bob", "bob"], ["PERP"] * 3, [0.5, -1, 1], [99, 100, 101], order_id=[1, 2, 0])
    other.fill("ann", "PERP", 0.5, 99, order_id=1)
    other.fill("bob", "PERP", -1, 100, order_id=2)
    other.fill("bob", "PERP", 1, 101)
    assert engine.state_hash() == other.state_hash()
    with pytest.raises(xm.RefusedError, match="there is no open order 2"):
        engine.cancel(2)


@pytest.mark.parametrize(
    ("order_id", "error", "said"),
    [
        ([1, 2], xm.RefusedError, "row 1.*order 2"),
        ([1, -1], xm.InputError, "'order_id', row 1.*-1"),
        ([1, 0.5], xm.InputError, "'order_id', row 1.*0.5"),
        ([1, 1], xm.RefusedError, "row 1.*order 1: less than that is open"),
    ],
)
def test_orders_that_many_fills_cannot_be_of(order_id: list[float], error: type[Exception], said: str) -> None:
    engine = small_engine([("ann", "USD", 1_000)])
    engine.place("ann", "PERP", 1, 100)
    before = engine.state_hash()
    with pytest.raises(error, match=said):
        engine.fills(["ann", "ann"], ["PERP", "PERP"], [0.75, 0.75], [100, 100], order_id=order_id)
    assert engine.state_hash() == before


def test_settlement_judges_those_who_held_the_contract() -> None:
    """Ann lived on a gain that the last price takes; bob does not hold the contract."""
    holdings = ([("ann", "USD", 10), ("bob", "USD", 10)], [("ann", "PERP", 1, 100), ("bob", "INVERSE", 1, 50_000)])
    engine = small_engine(*holdings, mark={"PERP": 120.0})
    before = engine.metrics().rejudged
    assert engine.settle("PERP", 80).tolist() == ["ann"]
    assert engine.metrics().rejudged - before == 1
    report = engine.model.evaluate(engine.book, engine.market)
    assert bits_of(engine.report()) == bits_of(report)
    assert engine.liquidatable().tolist() == report.accounts[report.liquidatable].tolist() == ["ann"]


@pytest.mark.parametrize("alone", [False, True])
def test_time_alone_judges_nobody_under_cross_margin(alone: bool) -> None:
    engine = small_engine([("ann", "USD", 10)], [("ann", "PERP", 1, 100)], alone=alone)
    before = engine.metrics().rejudged, engine.state_hash()
    assert engine.accrue("2027-01-01T00:00:00Z").tolist() == []
    assert (engine.metrics().rejudged == before[0]) is not alone
    assert engine.state_hash() != before[1]
    assert bits_of(engine.report()) == bits_of(engine.model.evaluate(engine.book, engine.market))
