"""Numbers, ids and columns of every kind that the engine takes, and that they mean the same."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import polars
import pyarrow
import pytest

import xmfast as xm
from small_additions import ETHPERP, add_all, larger, model_on, specs
from small_engine import cash, held, small_engine

D = Decimal


def rich(**said: Any) -> xm.Engine:
    return small_engine(balances=[("ann", "USD", 100_000), ("bob", "USD", 100_000)], **said)


@pytest.mark.parametrize(
    "number", [3, 3.0, np.float64(3), np.float32(3), np.float16(3), np.int8(3), np.uint64(3), D(3), D("3.00")], ids=repr
)
def test_numbers_of_every_kind(number: Any) -> None:
    engine, plain = rich(), rich()
    for one, three in ((engine, number), (plain, 3)):
        one.fill("ann", "PERP", three, three, three)
        one.deposit("ann", "USD", three)
        one.withdraw("ann", "USD", three)
        one.transfer("ann", "bob", "USD", three)
        one.transfer("ann", "bob", "PERP", three)
        one.exchange("ann", "USD", "BTC", three, three, three)
        one.amend(one.place("ann", "PERP", three, three), three, three)
        one.trade("ann", "bob", "PERP", three, three, three, three)
        one.tick("PERP", three)
        one.accrue(funding={"PERP": three}, interest={"USD": (three, three)})
        one.settle("PERP", three)
    assert engine.ledger() == plain.ledger()
    assert engine.state_hash() == plain.state_hash()


@pytest.mark.parametrize("number", [3, 3.0, np.float32(3), np.uint64(3), D("3.00")], ids=repr)
def test_numbers_of_what_is_new(number: Any) -> None:
    engine, plain = rich(), rich()
    for one, three in ((engine, number), (plain, 3)):
        universe = larger(one.universe)
        market = xm.Market(universe, {"ETH": three}, {"ETHPERP": three}, cumulative_funding={"ETHPERP": three})
        limits = {"ETHPERP": three}
        one.add_instruments(model_on(universe), market, position_limit=limits, open_interest_limit=limits)
    assert engine.state_hash() == plain.state_hash()


def test_what_is_new_as_frames_of_every_kind() -> None:
    for make in (dict, polars.DataFrame, pyarrow.table):
        engine = rich()
        universe = engine.universe.extended(make({"asset": ["ETH"]}), make(specs(ETHPERP)))
        engine.add_instruments(model_on(universe), xm.Market(universe, mark_price={"ETHPERP": 3000}))
        engine.fill("ann", "ETHPERP", 1, 3000)
        assert held(engine, "ann", "ETHPERP") == 1


def test_scales_of_what_is_new() -> None:
    hashes = set()
    for decimals in (6, np.int64(6), {"ETH": 6}, {"ETH": np.uint8(6)}):
        engine = rich()
        add_all(engine, decimals=decimals, borrowable=iter(["ETH"]))
        engine.deposit("ann", "ETH", D("0.000001"))
        with pytest.raises(xm.InputError, match="6 decimals"):
            engine.deposit("ann", "ETH", D("0.0000001"))
        hashes.add(engine.state_hash())
    assert len(hashes) == 1


def test_a_float_is_the_decimal_that_it_prints_as() -> None:
    engine = rich()
    engine.deposit("ann", "USD", 0.1)
    engine.deposit("ann", "USD", 0.2)
    assert cash(engine, "ann") == D("100000.3")
    # A 32-bit float has fewer digits.
    short: Callable[[float], Any] = np.float32
    engine.deposit("bob", "USD", short(0.1))
    assert cash(engine, "bob") == D("100000.1")
    engine.fill("ann", "PERP", short(0.3), short(0.7))
    assert engine.ledger()["USD"].street == D("0.21")


@pytest.mark.parametrize("name", ["ann", np.str_("ann")], ids=["str", "NumPy"])
def test_ids_of_text(name: Any) -> None:
    engine = rich()
    engine.fill(name, "PERP", 1, 100)
    assert held(engine, "ann", "PERP") == 1


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8])
def test_ids_of_numbers(kind: Callable[[int], Any]) -> None:
    engine = small_engine(balances=[(7, "USD", 1000), (8, "USD", 0)], accounts=[7, 8])
    engine.fill(kind(7), "PERP", 1, 100)
    engine.transfer(kind(7), kind(8), "USD", 100)
    engine.add_account(kind(9))
    assert engine.book.accounts.tolist() == [7, 8, 9] and held(engine, 7, "PERP") == 1
    assert engine.tick("PERP", 1e-9).dtype == np.int64
    assert engine.liquidatable().dtype == np.int64 and engine.fallen().dtype == np.int64


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8])
def test_numbers_of_orders(kind: Callable[[int], Any]) -> None:
    engine = rich()
    for _ in range(3):
        engine.place("ann", "PERP", 2, 100)
    engine.amend(kind(1), price=99)
    engine.cancel(kind(2))
    engine.fill("ann", "PERP", 1, 100, order_id=kind(3))
    engine.trade("bob", "ann", "PERP", 1, 99, taker_order=kind(1))
    assert [(order["order_id"], order["quantity"]) for order in engine.open_orders("ann")] == [(1, 1), (3, 1)]


def wide(values: list[Any]) -> Any:
    """Every other cell of an array, so that it is not contiguous."""
    spread = np.repeat(np.array(values, dtype=object if isinstance(values[0], str) else float), 2)
    return spread[::2]


COLUMNS: list[Callable[[list[Any]], Any]] = [
    list,
    tuple,
    np.array,
    wide,
    lambda values: np.array(values)[::-1][::-1],
    polars.Series,
    pyarrow.array,
    lambda values: pyarrow.chunked_array([values[:1], [], values[1:]] if isinstance(values[0], str) else [values]),
    lambda values: np.array(values, dtype=object),
]


@pytest.mark.parametrize("column", COLUMNS)
def test_columns_of_every_kind(column: Callable[[list[Any]], Any]) -> None:
    rows: dict[str, Any] = {
        "account": ["ann", "bob", "ann"],
        "instrument": ["PERP", "INVERSE", "CALL"],
        "quantity": [1.5, -2.0, 3.0],
        "price": [100.5, 50_000.0, 1500.0],
    }
    engine, plain = rich(), rich()
    expected = plain.check_orders(**rows)
    checked = engine.check_orders(**{name: column(values) for name, values in rows.items()})
    for name, values in expected.items():
        assert checked[name].tolist() == values.tolist()
    plain.fills(**rows, fee=[0.5, 0.0, -0.25])
    engine.fills(**{name: column(values) for name, values in rows.items()}, fee=column([0.5, 0.0, -0.25]))
    plain.ticks(["PERP", "BTC"], [99.0, 51_000.0])
    engine.ticks(column(["PERP", "BTC"]), column([99.0, 51_000.0]))
    assert engine.state_hash() == plain.state_hash()


def test_columns_of_short_numbers() -> None:
    engine, plain = rich(), rich()
    plain.fills(["ann", "ann"], ["PERP", "PERP"], [0.1, 3], [100, 0.3])
    engine.fills(["ann", "ann"], ["PERP", "PERP"], np.array([0.1, 3], np.float32), [100, D("0.3")])
    assert engine.state_hash() == plain.state_hash()


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-23T12:00",
        "2026-11-23T13:00+01:00",
        np.datetime64("2026-11-23T12:00"),
        np.datetime64("2026-11-23T12", "h"),
        datetime.datetime(2026, 11, 23, 12),
        datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC),
    ],
    ids=str,
)
def test_times_of_every_kind(time: Any) -> None:
    engine = rich()
    engine.accrue(time)
    assert engine.market.time == np.datetime64("2026-11-23T12:00", "ns")
    # The same moment is no step back.
    engine.accrue(time)


def test_what_an_accrual_does_not_name_stays() -> None:
    engine = rich()
    engine.accrue("2026-11-23T12:00", funding={"PERP": 1.5}, interest={"USD": (1.1, 1.2)})
    engine.accrue(funding={"OIL": 2.5})
    engine.accrue()
    market = engine.market
    assert market.cumulative_funding.tolist() == [1.5, 0, 0, 0, 2.5]
    assert market.deposit_index.tolist() == [1.1, 1] and market.borrow_index.tolist() == [1.2, 1]
    assert market.time == np.datetime64("2026-11-23T12:00", "ns")


def test_digits_beyond_floats_are_kept() -> None:
    engine = rich(decimals=18)
    engine.deposit("ann", "USD", D("0.123456789012345678"))
    why = engine.report().explain("ann")
    assert why.total.equity == 100_000 + Fraction("0.123456789012345678")
    engine.tick("PERP", D("100.000000000000000001"))
    engine.fill("ann", "PERP", 1, D("100.000000000000000003"))
    assert engine.report().explain("ann").total.equity - why.total.equity == Fraction("-0.000000000000000002")


def test_decimals_of_every_asset_by_name() -> None:
    engine = rich(decimals={"USD": 2})
    engine.deposit("ann", "BTC", D("0.00000001"))
    engine.deposit("ann", "USD", D("0.01"))
    with pytest.raises(xm.InputError, match="2 decimals"):
        engine.deposit("ann", "USD", D("0.001"))
    assert engine.ledger()["BTC"].deposits == D("0.00000001")
