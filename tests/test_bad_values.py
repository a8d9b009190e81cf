"""Values that no venue can have: terms, prices, parameters, sizes, settings. Each refused where it is, by name."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import xmfast as xm
from standing import (
    ASSETS,
    BALANCES,
    COLLATERAL,
    INDEX,
    INF,
    INSTRUMENTS,
    MARGIN,
    MARK,
    NAN,
    NO_NUMBERS,
    NOT_FINITE,
    POSITIONS,
    Standing,
    changed,
    refused,
)


@pytest.mark.parametrize(
    ("column", "row", "value", "words"),
    [
        ("kind", 0, "perp", ("'perp'", "perpetual")),
        ("kind", 0, "Perpetual", ("'Perpetual'", "perpetual")),
        ("kind", 0, "", ("kind",)),
        ("contract_multiplier", 0, 0.0, ("> 0",)),
        ("contract_multiplier", 0, -1.0, ("-1", "> 0")),
        ("allow_negative_price", 1, True, ("inverse",)),
        ("allow_negative_price", 2, True, ("option",)),
        ("futures_style", 0, True, ("only an option",)),
        ("futures_style", 3, True, ("only an option",)),
        ("strike", 2, 0.0, ("> 0",)),
        ("strike", 2, -5.0, ("-5",)),
        ("strike", 2, INF, ("finite",)),
        ("right", 2, "Call", ("'Call'",)),
        ("right", 2, "straddle", ("'straddle'", "'put'")),
        ("expiry", 2, "christmas", ("christmas", "time")),
        ("expiry", 2, "2026-13-01", ("2026-13-01",)),
        ("expiry", 2, datetime.date(1492, 10, 12), ("1678",)),
        ("expiry", 2, np.datetime64("99999-01-01"), ("1678",)),
        ("expiry", 2, 5, ("5", "time")),
    ],
    ids=repr,
)
def test_terms_that_cannot_be(standing: Standing, column: str, row: int, value: Any, words: tuple[str, ...]) -> None:
    bad = changed("instruments", column, row, value)
    refused(lambda: standing.instruments(bad), xm.InputError, "instruments", f"'{column}'", f"row {row}", *words)


@pytest.mark.parametrize("value", [1, "True", 0.0, np.int64(1)], ids=repr)
@pytest.mark.parametrize("column", ["inverse", "allow_negative_price", "futures_style"])
def test_flag_that_is_no_flag(standing: Standing, column: str, value: Any) -> None:
    bad = changed("instruments", column, 1, value)
    refused(lambda: standing.instruments(bad), xm.ColumnError, "instruments", f"'{column}'", "row 1")
    numbers = INSTRUMENTS | {column: np.zeros(4)}
    refused(lambda: standing.instruments(numbers), xm.ColumnError, "instruments", f"'{column}'")


def test_numeraire_that_is_no_asset(standing: Standing) -> None:
    refused(
        lambda: xm.Universe.from_frames(ASSETS, INSTRUMENTS, "USDT"), xm.UnknownIdError, "numeraire", "'USDT'", "'USD'"
    )
    refused(lambda: xm.Universe.from_frames({"asset": []}, None), xm.UnknownIdError, "numeraire", "'USD'")
    refused(lambda: xm.Universe.from_frames({"asset": [1, 2]}, None), xm.UnknownIdError, "numeraire", "'USD'")


@pytest.mark.parametrize("value", NOT_FINITE, ids=repr)
def test_price_that_is_not_finite(standing: Standing, value: float) -> None:
    refused(lambda: standing.index_price({"BTC": value}), xm.InputError, "index_price", "'BTC'", "finite")
    refused(lambda: standing.mark_price({"PERP": value}), xm.InputError, "mark_price", "'PERP'", "finite")
    refused(lambda: standing.mark_price([1.0, 1.0, value, 1.0]), xm.InputError, "mark_price", "'CALL'", "finite")
    refused(lambda: standing.mark_price(np.array([1, 1, value, 1], np.float32)), xm.InputError, "mark_price", "'CALL'")


@pytest.mark.parametrize(
    "value",
    [value for value in NO_NUMBERS if not isinstance(value, list)],
    ids=lambda value: f"{type(value).__name__} {value!r:.12}",
)
def test_price_that_is_no_number(standing: Standing, value: Any) -> None:
    refused(lambda: standing.index_price({"BTC": value}), xm.ColumnError, "index_price", "'BTC'")
    refused(lambda: standing.mark_price({"PERP": value}), xm.ColumnError, "mark_price", "'PERP'")


@pytest.mark.parametrize(
    ("name", "price", "allowed"),
    [
        ("PERP", 0.0, False),
        ("PERP", -0.0, False),
        ("PERP", -1.0, False),
        ("PERP", 5e-324, True),
        ("INVERSE", 0.0, False),
        ("INVERSE", -1.0, False),
        ("CALL", 0.0, True),
        ("CALL", -0.01, False),
        ("OIL", 0.0, True),
        ("OIL", -37.63, True),
    ],
)
def test_mark_price_by_kind(standing: Standing, name: str, price: float, allowed: bool) -> None:
    if allowed:
        market = standing.market.with_prices(mark_price={name: price})
        assert market.mark_price[standing.universe.instruments.index(name)] == price
    else:
        refused(lambda: standing.mark_price({name: price}), xm.InputError, "mark_price", f"'{name}'", "price")


@pytest.mark.parametrize(
    ("name", "price", "allowed"),
    [
        ("PERP", 0.0, False),
        ("PERP", -1.0, False),
        ("INVERSE", 0.0, False),
        ("CALL", 0.0, True),
        ("CALL", -1.0, False),
        ("OIL", 0.0, True),
        ("OIL", -40.0, True),
    ],
)
def test_entry_price_by_kind(standing: Standing, name: str, price: float, allowed: bool) -> None:
    row = POSITIONS["instrument"].index(name)
    frame = changed("positions", "entry_price", row, price)
    if allowed:
        book = xm.Book.from_frames(standing.universe, BALANCES, frame)
        assert np.isfinite(standing.model.evaluate(book, standing.market).health).all()
    else:
        refused(
            lambda: standing.positions(frame),
            xm.InputError,
            "positions",
            "'entry_price'",
            f"row {row}",
            "price",
            POSITIONS["account"][row],
        )


def test_index_price_that_cannot_be(standing: Standing) -> None:
    refused(lambda: standing.index_price({"ETH": -1.0}), xm.InputError, "index_price", "'ETH'", "negative")
    refused(lambda: standing.index_price({"USD": 1.01}), xm.InputError, "index_price", "'USD'", "1")
    refused(lambda: standing.index_price([0.99, 1.0, 1.0]), xm.InputError, "index_price", "'USD'")
    assert standing.market.with_prices(index_price={"USD": 1.0, "ETH": 0.0}).index_price.tolist()[2] == 0.0


def test_price_of_something_unknown(standing: Standing) -> None:
    refused(lambda: standing.index_price({"BTCX": 1.0}), xm.UnknownIdError, "index_price", "'BTCX'", "'BTC'")
    refused(lambda: standing.mark_price({"PERPX": 1.0}), xm.UnknownIdError, "mark_price", "'PERPX'", "'PERP'")
    refused(lambda: standing.mark_price({"BTC": 1.0}), xm.UnknownIdError, "mark_price", "'BTC'")
    refused(lambda: standing.index_price({"PERP": 1.0}), xm.UnknownIdError, "index_price", "'PERP'")
    refused(lambda: standing.mark_price({7: 1.0}), xm.UnknownIdError, "mark_price", "7")
    # No id can be this large, so nothing has it; it must not end as an OverflowError of the int.
    refused(lambda: standing.mark_price({2**70: 1.0}), xm.UnknownIdError, "mark_price", str(2**70))
    for key in (None, 1.5, True, ("PERP",)):
        with pytest.raises((xm.ColumnError, xm.UnknownIdError)):
            standing.mark_price({key: 1.0})


@pytest.mark.parametrize(
    "prices",
    [
        [1.0],
        [1.0] * 5,
        [],
        np.ones((3, 1)),
        np.ones((2, 2)),
        np.array(1.0),
        np.ma.masked_array([1.0] * 4),
        np.array(["1"] * 4),
        np.ones(4, dtype=complex),
        np.ones(4, dtype=bool),
        [1.0, None, 1.0, 1.0],
        [1.0, True, 1.0, 1.0],
        pa.array([1.0, None, 1.0, 1.0]),
        pa.array(["1"] * 4),
    ],
    ids=lambda prices: f"{type(prices).__name__} {np.shape(prices)} {np.asarray(prices).dtype}",
)
def test_prices_of_another_shape_or_type(standing: Standing, prices: Any) -> None:
    refused(lambda: standing.mark_price(prices), xm.ColumnError, "mark_price")
    refused(
        lambda: standing.index_price(prices if np.shape(prices) != (4,) else [1.0] * 9), xm.ColumnError, "index_price"
    )


@pytest.mark.parametrize("time", ["yesterday", 5, 1.5, "2026-02-30", np.datetime64("NaT"), datetime.time(8)], ids=repr)
def test_time_that_is_no_time(standing: Standing, time: Any) -> None:
    refused(lambda: standing.market.with_prices(time=time), xm.InputError, "time")


@pytest.mark.parametrize(
    ("name", "what"), [("BTC", "index price"), ("ETH", "index price"), ("PERP", "mark price"), ("CALL", "mark price")]
)
def test_price_missing_for_something_held(standing: Standing, name: str, what: str) -> None:
    index = {key: price for key, price in INDEX.items() if key != name}
    mark = {key: price for key, price in MARK.items() if key != name}
    market = xm.Market(standing.universe, index, mark)
    holder = {"BTC": ("bob", "cat"), "ETH": ("ann",), "PERP": ("ann",), "CALL": ("cat",)}[name]
    with pytest.raises(KeyError):
        standing.model.evaluate(standing.book, market)
    refused(lambda: standing.model.evaluate(standing.book, market), xm.MissingPriceError, "market", what, f"'{name}'")
    with pytest.raises(xm.MissingPriceError, match="|".join(holder)):
        standing.model.evaluate(standing.book, market)


def test_index_price_of_an_underlying_is_needed_only_where_it_is_read(standing: Standing) -> None:
    index = {"BTC": 60_000.0, "ETH": 3000.0}
    assert "WTI" not in index
    report = standing.model.evaluate(standing.book, xm.Market(standing.universe, index, MARK))
    assert np.isfinite(report.health).all()


@pytest.mark.parametrize(
    ("frame", "column", "value", "words"),
    [
        ("collateral", "initial_haircut", 1.0000001, ("between 0 and 1",)),
        ("collateral", "initial_haircut", -0.1, ("between 0 and 1",)),
        ("collateral", "maintenance_haircut", -1e-300, ("between 0 and 1",)),
        ("collateral", "maintenance_haircut", 0.21, ("initial_haircut", "0.2")),
        ("collateral", "maintenance_liability_weight", 0.999, ("below 1",)),
        ("collateral", "initial_liability_weight", 0.0, ("below 1",)),
        ("collateral", "maintenance_liability_weight", 1.21, ("initial_liability_weight", "1.2")),
        ("margin", "maintenance_rate", -0.01, ("negative",)),
        ("margin", "initial_rate", -0.01, ("negative",)),
        ("margin", "maintenance_rate", 0.0500001, ("initial_rate", "0.05")),
        ("margin", "initial_rate", 0.02, ("initial_rate", "0.02", "0.025")),
    ],
    ids=repr,
)
def test_parameter_out_of_bounds(
    standing: Standing, frame: str, column: str, value: float, words: tuple[str, ...]
) -> None:
    bad = changed(frame, column, 1, value)
    refused(lambda: getattr(standing, frame)(bad), xm.ParameterError, frame, "row 1", *words)


def test_maintenance_haircut_without_an_initial_one_is_above_it(standing: Standing) -> None:
    refused(
        lambda: standing.collateral({"asset": ["BTC"], "maintenance_haircut": [0.05]}),
        xm.ParameterError,
        "collateral",
        "initial_haircut",
    )
    standing.collateral({"asset": ["BTC"], "initial_haircut": [0.05]})


def test_rates_missing_for_something_held(standing: Standing) -> None:
    few = {name: values[:2] + values[3:] for name, values in MARGIN.items()}
    model = xm.CrossMargin.from_frames(standing.universe, COLLATERAL, few)

    def action() -> object:
        return model.evaluate(standing.book, standing.market)

    refused(action, xm.MissingParameterError, "margin", "'CALL'", "'cat'")
    with pytest.raises(KeyError):
        action()
    only_ann = xm.Book.from_frames(standing.universe, {"account": ["ann"], "asset": ["USD"], "balance": [1.0]})
    assert model.evaluate(only_ann, standing.market).equity.tolist() == [1.0]


def test_objects_of_two_universes(standing: Standing) -> None:
    """An equal universe is not the same one: ids might stand for other rows."""
    other = xm.Universe.from_frames(ASSETS, INSTRUMENTS)
    book = xm.Book.from_frames(other, BALANCES, POSITIONS)
    market = xm.Market(other, INDEX, MARK)
    model = xm.CrossMargin.from_frames(other, COLLATERAL, MARGIN)
    refused(lambda: standing.model.evaluate(book, standing.market), xm.UniverseMismatchError, "book", "model")
    refused(lambda: standing.model.evaluate(standing.book, market), xm.UniverseMismatchError, "market", "model")
    refused(lambda: model.evaluate(standing.book, standing.market), xm.UniverseMismatchError, "model")


@pytest.mark.parametrize("thing", [None, {}, "book", 5], ids=repr)
def test_something_else_than_an_object_of_xmfast(standing: Standing, thing: Any) -> None:
    for action in (
        lambda: standing.model.evaluate(thing, standing.market),
        lambda: standing.model.evaluate(standing.book, thing),
        lambda: xm.Book.from_frames(thing, BALANCES),
        lambda: xm.Market(thing),
        lambda: xm.CrossMargin.from_frames(thing),
    ):
        with pytest.raises(TypeError):
            action()


def test_objects_are_made_by_from_frames_only() -> None:
    for kind in (xm.Universe, xm.Book, xm.CrossMargin):
        with pytest.raises(TypeError, match="from_frames"):
            kind()


@pytest.mark.parametrize(
    ("balance", "quantity"), [(1e308, 0.0), (0.0, 1e305), (1e306, -1e305), (-1e308, 0.0)], ids=repr
)
def test_result_out_of_range(standing: Standing, balance: float, quantity: float) -> None:
    book = xm.Book.from_frames(
        standing.universe,
        {"account": ["small", "huge"], "asset": ["USD", "BTC"], "balance": [1.0, balance]},
        {
            "account": ["small", "huge"],
            "instrument": ["PERP", "PERP"],
            "quantity": [1.0, quantity],
            "entry_price": [1.0, 1.0],
        },
    )

    def action() -> object:
        return standing.model.evaluate(book, standing.market)

    refused(action, xm.RangeError, "'huge'")
    with pytest.raises(OverflowError):
        action()


def test_entry_cost_out_of_range(standing: Standing) -> None:
    positions = {"account": ["huge"], "instrument": ["PERP"], "quantity": [1e200], "entry_price": [1e200]}

    def action() -> None:
        standing.model.evaluate(xm.Book.from_frames(standing.universe, None, positions), standing.market)

    refused(action, xm.RangeError, "'huge'")


def test_opposite_infinities_never_look_healthy(standing: Standing) -> None:
    """1e308 BTC and a short of as much would cancel out as inf - inf: a NaN is below nothing."""
    book = xm.Book.from_frames(
        standing.universe,
        {"account": ["huge", "huge"], "asset": ["BTC", "ETH"], "balance": [1e308, -1e308]},
    )
    refused(lambda: standing.model.evaluate(book, standing.market), xm.RangeError, "'huge'")


@pytest.mark.parametrize("value", [-0.0, 5e-324, 1e-310, 1e-300, 1e300], ids=repr)
def test_odd_but_finite_balance(standing: Standing, value: float) -> None:
    book = xm.Book.from_frames(standing.universe, {"account": [1], "asset": ["USD"], "balance": [value]})
    assert standing.model.evaluate(book, standing.market).equity.tolist() == [value]


CONTRACT: dict[str, Any] = {
    "offsets": np.array([0, 1, 3]),
    "rows": np.array([0, 1, 1]),
    "quantities": np.array([1.0, 2.0, 3.0]),
    "table": np.array([[1.0, 2.0], [3.0, 4.0]]),
}


@pytest.mark.parametrize(
    ("argument", "value", "error", "words"),
    [
        ("offsets", np.array([0, 3, 1]), xm.InputError, ("falls",)),
        ("offsets", np.array([1, 1, 3]), xm.InputError, ("start with 0",)),
        ("offsets", np.array([0, 1, 4]), xm.InputError, ("ends at 4",)),
        ("offsets", np.array([0, 1, 2]), xm.InputError, ("ends at 2",)),
        ("offsets", np.array([], dtype=np.int64), xm.InputError, ("start with 0",)),
        ("offsets", np.array([0, -1, 3]), xm.ColumnError, ("between 0",)),
        ("offsets", np.array([0.0, 1.0, 3.0]), xm.ColumnError, ("uint64",)),
        ("offsets", np.array([0, 1, 2**63], dtype=np.uint64), xm.InputError, ("ends at",)),
        ("rows", np.array([0, 1, 2]), xm.InputError, ("row 2", "2 is not a row")),
        ("rows", np.array([0, 1, -1]), xm.ColumnError, ("between 0",)),
        ("rows", np.array([0, 1, 2**32]), xm.ColumnError, ("between 0",)),
        ("rows", np.array([0, 1]), xm.InputError, ("rows has 2",)),
        ("quantities", np.array([1.0, NAN, 3.0]), xm.InputError, ("row 1", "finite")),
        ("quantities", np.array([1.0, 2.0, INF]), xm.InputError, ("row 2", "finite")),
        ("quantities", np.array([1, 2, 3]), xm.ColumnError, ("float64",)),
        ("quantities", np.ma.masked_array([1.0, 2.0, 3.0], mask=[True, False, False]), xm.ColumnError, ("mask",)),
        ("quantities", np.array([1 + 0j, 2, 3]), xm.ColumnError, ("float64",)),
        ("table", np.array([[1.0, 2.0], [3.0, NAN]]), xm.InputError, ("row 1", "finite")),
        ("table", np.array([1.0, 2.0]), xm.ColumnError, ("2 dimensions",)),
        ("table", np.zeros((0, 2)), xm.InputError, ("not a row",)),
        ("absolute", [True], xm.ColumnError, ("2 flags",)),
        ("absolute", [1, 0], xm.ColumnError, ("2 flags",)),
    ],
    ids=lambda value: repr(value)[:30] if isinstance(value, str) else None,
)
def test_contract_refuses(argument: str, value: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    place = "quantities" if words == ("rows has 2",) else argument
    refused(lambda: xm.contract(**(CONTRACT | {argument: value})), error, place, *words)
    assert xm.contract(**CONTRACT).tolist() == [[1.0, 2.0], [15.0, 20.0]]


def test_contract_without_columns_or_accounts() -> None:
    assert xm.contract(np.array([0]), np.array([], np.int64), np.array([]), np.ones((2, 3))).shape == (0, 3)
    assert xm.contract(np.array([0, 0]), np.array([], np.int64), np.array([]), np.ones((2, 0))).shape == (1, 0)


@pytest.mark.parametrize("threads", [0, -1, 1025, 10**9])
def test_number_of_threads_that_cannot_be(standing: Standing, threads: int) -> None:
    before = xm.num_threads()
    refused(lambda: xm.set_num_threads(threads), xm.InputError, "threads", str(threads))
    assert xm.num_threads() == before


@pytest.mark.parametrize("path", ["sse2", "", "AVX2", "neon"])
def test_instruction_set_that_is_not_there(standing: Standing, path: str) -> None:
    before = xm.simd()
    refused(lambda: xm.set_simd(path), xm.InputError, repr(path), "scalar")
    assert xm.simd() == before


def test_errors_are_also_what_python_users_expect() -> None:
    expected: dict[type[Exception], tuple[type[Exception], ...]] = {
        xm.InputError: (xm.XmfastError, ValueError),
        xm.ColumnError: (xm.InputError, TypeError),
        xm.DuplicateError: (xm.InputError,),
        xm.ParameterError: (xm.InputError,),
        xm.UniverseMismatchError: (xm.InputError,),
        xm.UnknownIdError: (xm.InputError, KeyError),
        xm.MissingPriceError: (xm.InputError, KeyError),
        xm.MissingParameterError: (xm.InputError, KeyError),
        xm.RangeError: (xm.XmfastError, OverflowError),
    }
    for error, bases in expected.items():
        assert all(issubclass(error, base) for base in bases), error
        assert str(error("plain words")) == "plain words"
