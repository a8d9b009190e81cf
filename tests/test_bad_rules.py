"""Bad orders, caps, tiers, brackets, indices: each refused with a typed error that names the place.

The fixture evaluates the standing venue after every refusal: nothing is half done.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import xmfast as xm
from standing import BALANCES, INDEX, INF, MARK, NAN, NOT_FINITE, POSITIONS, Frame, Standing, refused

ORDERS: Frame = {
    "account": ["ann", "ann", "dan"],
    "instrument": ["PERP", "PERP", "OIL"],
    "quantity": [1.0, -2.0, 3.0],
    "price": [60_000.0, 61_000.0, -4.0],
    "reduce_only": [False, True, False],
}
ACCOUNTS: Frame = {"account": ["ann", "eve"], "leverage_cap": [20.0, None]}
HELD: Frame = POSITIONS | {"isolated_margin": [None, 0.01, 500.0, NAN], "entry_funding": [12.5, -0.0000001, 0.0, 0.25]}
TIERS: Frame = {
    "asset": ["BTC", "ETH", "BTC", "BTC"],
    "amount_floor": [10.0, 0.0, 0.0, 100.0],
    "initial_haircut": [0.2, 0.2, 0.1, 0.5],
    "maintenance_haircut": [0.1, 0.1, 0.05, 0.25],
    "initial_liability_weight": [None, 1.2, 1.1, 1.1],
    "maintenance_liability_weight": [None, 1.1, 1.05, None],
    "amount_cap": [None, None, 1000.0, 1000.0],
    "unrealized_gain_share": [None, 1.0, 0.5, None],
}
BRACKETS: Frame = {
    "instrument": ["INVERSE", "PERP", "PERP", "CALL", "OIL", "PERP"],
    "notional_floor": [0.0, 1e6, 0.0, 0.0, 0.0, 5e6],
    "initial_rate": [0.05, 0.1, 0.05, 0.15, 0.2, 0.3],
    "maintenance_rate": [0.025, 0.05, 0.025, 0.1, 0.1, 0.15],
    "margin_floor_per_contract": [0.0, None, 2.0, 0.0, 0.0, 2.0],
    "close_out_fee_rate": [0.0, None, 0.001, 0.0, 0.05, 0.001],
}
GOOD: dict[str, Frame] = {
    "positions": HELD,
    "orders": ORDERS,
    "accounts": ACCOUNTS,
    "collateral": TIERS,
    "margin": BRACKETS,
}


def changed(frame: str, column: str, row: int, value: Any) -> Frame:
    """Return the good frame with one cell replaced."""
    good = GOOD[frame]
    return good | {column: [value if at == row else old for at, old in enumerate(good[column])]}


def read(standing: Standing, name: str, frame: Any) -> object:
    """Read this frame, the others being good."""
    frames = GOOD | {name: frame}
    if name in ("collateral", "margin"):
        return xm.CrossMargin.from_frames(standing.universe, frames["collateral"], frames["margin"])
    return xm.Book.from_frames(standing.universe, BALANCES, frames["positions"], frames["orders"], frames["accounts"])


def refuse(
    standing: Standing, frame: str, column: str, row: int, value: Any, error: type[Exception], *words: str
) -> None:
    """Assert that one cell makes its frame refused, in every form that it can have."""
    bad = changed(frame, column, row, value)
    refused(lambda: read(standing, frame, bad), error, frame, f"'{column}'", f"row {row}", *words)


def test_the_good_frames_are_good(standing: Standing) -> None:
    book, model = read(standing, "orders", ORDERS), read(standing, "margin", BRACKETS)
    assert isinstance(book, xm.Book) and isinstance(model, xm.CrossMargin)
    market = xm.Market(
        standing.universe,
        INDEX,
        MARK,
        deposit_index={"USD": 1.01},
        borrow_index={"ETH": 1.02},
        cumulative_funding={"PERP": 3.0},
    )
    report = model.evaluate(book, market)
    assert report.accounts.tolist() == ["ann", "bob", "cat", "dan", "eve"]
    assert report.isolated.accounts.tolist() == ["bob", "cat"]
    # Without the optional columns, and with nothing in them.
    for name, required in (
        ("positions", ("account", "instrument", "quantity", "entry_price")),
        ("orders", ("account", "instrument", "quantity", "price")),
        ("collateral", ("asset", "amount_floor")),
        ("margin", ("instrument", "notional_floor", "initial_rate", "maintenance_rate")),
    ):
        assert read(standing, name, {column: GOOD[name][column] for column in required}) is not None
        assert read(standing, name, None if name == "orders" else {column: [] for column in GOOD[name]}) is not None


@pytest.mark.parametrize("value", NOT_FINITE, ids=repr)
@pytest.mark.parametrize(
    ("frame", "column", "row"),
    [
        ("orders", "quantity", 1),
        ("orders", "price", 2),
        ("positions", "entry_funding", 1),
        ("collateral", "amount_floor", 0),
        ("collateral", "initial_haircut", 3),
        ("collateral", "maintenance_haircut", 0),
        ("margin", "notional_floor", 1),
        ("margin", "initial_rate", 5),
        ("margin", "maintenance_rate", 1),
    ],
)
def test_number_that_is_not_finite(standing: Standing, frame: str, column: str, row: int, value: float) -> None:
    refuse(standing, frame, column, row, value, xm.InputError, "finite")
    bad = changed(frame, column, row, value)
    for form in (np.array(bad[column]), np.array(bad[column], dtype=np.float32), pa.array(bad[column], pa.float64())):
        refused(
            partial(read, standing, frame, bad | {column: form}),
            xm.InputError,
            frame,
            f"'{column}'",
            f"row {row}",
        )


@pytest.mark.parametrize(
    ("frame", "column", "row"),
    [
        ("positions", "isolated_margin", 1),
        ("accounts", "leverage_cap", 0),
        ("collateral", "amount_cap", 1),
        ("collateral", "amount_cap", 2),
    ],
)
def test_what_may_be_missing_may_still_not_be_infinite(standing: Standing, frame: str, column: str, row: int) -> None:
    for value in (None, NAN):
        bad = changed(frame, column, row, value)
        if (frame, row) != ("collateral", 2):  # where a further tier repeats it
            assert read(standing, frame, bad) is not None
    for value in (INF, -INF):
        refuse(standing, frame, column, row, value, xm.InputError, "finite")


@pytest.mark.parametrize("value", ["1.0", b"1", True, 1 + 0j, [1.0], object(), np.datetime64("2026-01-01")], ids=repr)
@pytest.mark.parametrize(
    ("frame", "column", "row"),
    [
        ("orders", "quantity", 1),
        ("orders", "price", 1),
        ("positions", "isolated_margin", 1),
        ("positions", "entry_funding", 0),
        ("accounts", "leverage_cap", 0),
        ("collateral", "amount_floor", 3),
        ("collateral", "amount_cap", 1),
        ("collateral", "unrealized_gain_share", 1),
        ("collateral", "initial_liability_weight", 1),
        ("margin", "notional_floor", 1),
        ("margin", "margin_floor_per_contract", 0),
        ("margin", "close_out_fee_rate", 0),
    ],
)
def test_cell_that_is_no_number(standing: Standing, frame: str, column: str, row: int, value: Any) -> None:
    refuse(standing, frame, column, row, value, xm.ColumnError)


@pytest.mark.parametrize(
    ("frame", "column"),
    [
        ("orders", "account"),
        ("orders", "instrument"),
        ("orders", "quantity"),
        ("orders", "price"),
        ("orders", "reduce_only"),
        ("positions", "entry_funding"),
        ("accounts", "account"),
        ("collateral", "amount_floor"),
        ("collateral", "initial_haircut"),
        ("margin", "notional_floor"),
        ("margin", "initial_rate"),
    ],
)
def test_null_where_every_row_needs_a_value(standing: Standing, frame: str, column: str) -> None:
    refuse(standing, frame, column, 1, None, xm.ColumnError)
    nulls = changed(frame, column, 1, None)
    table = nulls | {column: pa.array(nulls[column])}
    refused(lambda: read(standing, frame, table), xm.ColumnError, frame, f"'{column}'", "row 1", "null")


@pytest.mark.parametrize(
    "column", ["initial_liability_weight", "maintenance_liability_weight", "unrealized_gain_share"]
)
def test_null_in_the_row_that_speaks_for_the_asset(standing: Standing, column: str) -> None:
    """A further tier may leave it out, the row with floor 0 may not: half a weight is no default."""
    for row in (1, 2):
        with pytest.raises(xm.InputError, match=f"collateral, column '{column}', row {row}"):
            read(standing, "collateral", changed("collateral", column, row, None))


@pytest.mark.parametrize("column", ["margin_floor_per_contract", "close_out_fee_rate"])
def test_null_in_the_row_that_speaks_for_the_instrument(standing: Standing, column: str) -> None:
    for row in (0, 2):
        with pytest.raises(xm.InputError, match=f"margin, column '{column}', row {row}"):
            read(standing, "margin", changed("margin", column, row, None))


@pytest.mark.parametrize("value", [1, "True", 0.0, np.int64(1)], ids=repr)
def test_flag_that_is_no_flag(standing: Standing, value: Any) -> None:
    refuse(standing, "orders", "reduce_only", 1, value, xm.ColumnError)
    numbers = ORDERS | {"reduce_only": np.zeros(3)}
    refused(lambda: read(standing, "orders", numbers), xm.ColumnError, "orders", "'reduce_only'")


@pytest.mark.parametrize(
    ("frame", "column", "row", "what"),
    [
        ("orders", "instrument", 1, "instrument"),
        ("collateral", "asset", 1, "asset"),
        ("margin", "instrument", 0, "instrument"),
    ],
)
def test_unknown_id(standing: Standing, frame: str, column: str, row: int, what: str) -> None:
    right = GOOD[frame][column][row]
    words = (what, f"'{right}X'", "did you mean", f"'{right}'")
    refuse(standing, frame, column, row, f"{right}X", xm.UnknownIdError, *words)
    # An asset is no instrument, and the other way round.
    other = {"orders": "BTC", "collateral": "PERP", "margin": "USD"}[frame]
    refuse(standing, frame, column, row, other, xm.UnknownIdError, f"'{other}'")


@pytest.mark.parametrize("frame", ["orders", "accounts"])
def test_accounts_of_two_kinds(standing: Standing, frame: str) -> None:
    numbers = GOOD[frame] | {"account": list(range(len(GOOD[frame]["account"])))}
    refused(lambda: read(standing, frame, numbers), xm.ColumnError, frame, "'account'", "integers", "strings")
    refuse(standing, frame, "account", 1, 7, xm.ColumnError)


@pytest.mark.parametrize(
    ("frame", "required"),
    [("orders", ("account", "instrument", "quantity", "price")), ("accounts", ("account",))],
)
def test_missing_unexpected_and_short_columns(standing: Standing, frame: str, required: tuple[str, ...]) -> None:
    good = GOOD[frame]
    for column in required:
        less = {name: values for name, values in good.items() if name != column}
        refused(partial(read, standing, frame, less), xm.ColumnError, frame, f"'{column}'")
        shorter = good | {column: good[column][:-1]}
        refused(partial(read, standing, frame, shorter), xm.ColumnError, frame, str(len(good["account"])))
    more = good | {"accounts": good["account"]}
    refused(lambda: read(standing, frame, more), xm.ColumnError, frame, "'accounts'", "did you mean", "'account'")
    for what in (5, "orders.csv", [good], np.ones((3, 3))):
        refused(partial(read, standing, frame, what), xm.ColumnError, frame)


@pytest.mark.parametrize("frame", ["positions", "collateral", "margin"])
def test_new_columns_misspelt(standing: Standing, frame: str) -> None:
    column = {"positions": "isolated_margin", "collateral": "amount_floor", "margin": "notional_floor"}[frame]
    bad = {f"{name}s" if name == column else name: values for name, values in GOOD[frame].items()}
    words = (frame, f"'{column}s'", "did you mean", f"'{column}'")
    refused(lambda: read(standing, frame, bad), xm.ColumnError, *words)


@pytest.mark.parametrize(
    ("instrument", "price", "allowed"),
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
@pytest.mark.parametrize("reduce_only", [False, True])
def test_price_of_an_order_by_kind(
    standing: Standing, instrument: str, price: float, allowed: bool, reduce_only: bool
) -> None:
    orders = {
        "account": ["ann"],
        "instrument": [instrument],
        "quantity": [1.0],
        "price": [price],
        "reduce_only": [reduce_only],
    }
    if allowed:
        assert read(standing, "orders", orders) is not None
    else:
        words = ("orders", "'price'", "row 0", "ann", "price")
        refused(lambda: read(standing, "orders", orders), xm.InputError, *words)


def test_any_number_of_orders(standing: Standing) -> None:
    many = {name: values * 50 for name, values in ORDERS.items()}
    assert isinstance(read(standing, "orders", many), xm.Book)


def test_account_twice(standing: Standing) -> None:
    twice = {name: [*values, values[0]] for name, values in ACCOUNTS.items()}
    refused(lambda: read(standing, "accounts", twice), xm.DuplicateError, "accounts", "row 2", "'ann'")


@pytest.mark.parametrize("value", [0.0, -0.0, -3.0, -1e-300])
def test_leverage_cap_that_allows_nothing(standing: Standing, value: float) -> None:
    refuse(standing, "accounts", "leverage_cap", 0, value, xm.InputError, "ann", "> 0")


def test_isolated_margin_below_0(standing: Standing) -> None:
    refuse(standing, "positions", "isolated_margin", 2, -0.01, xm.InputError, "cat", "negative")
    assert read(standing, "positions", changed("positions", "isolated_margin", 2, 0.0)) is not None


def test_funding_of_an_option(standing: Standing) -> None:
    refuse(standing, "positions", "entry_funding", 2, 0.5, xm.InputError, "cat", "option")
    refused(lambda: funding(standing, {"CALL": 0.5}), xm.InputError, "cumulative_funding", "'CALL'", "option")
    assert funding(standing, {"CALL": 0.0}) is not None
    assert funding(standing, [1.0, 0.0001, 0.0, -2.0]) is not None
    refused(lambda: funding(standing, [1.0, 0.0001, 0.5, -2.0]), xm.InputError, "cumulative_funding", "'CALL'")


def funding(standing: Standing, values: Any) -> object:
    return xm.Market(standing.universe, INDEX, MARK, cumulative_funding=values)


def interest(standing: Standing, name: str, values: Any) -> object:
    return xm.Market(standing.universe, INDEX, MARK, **{name: values})


@pytest.mark.parametrize("value", [0.0, -0.0, -1.0, *NOT_FINITE], ids=repr)
@pytest.mark.parametrize("name", ["deposit_index", "borrow_index"])
def test_index_of_interest_that_cannot_be(standing: Standing, name: str, value: float) -> None:
    refused(lambda: interest(standing, name, {"BTC": value}), xm.InputError, name, "'BTC'")
    refused(lambda: interest(standing, name, np.array([1.0, value, 1.0])), xm.InputError, name, "'BTC'")
    assert interest(standing, name, {"USD": 1.05, "BTC": 1e-3}) is not None


@pytest.mark.parametrize("value", NOT_FINITE, ids=repr)
def test_funding_that_is_not_finite(standing: Standing, value: float) -> None:
    refused(lambda: funding(standing, {"PERP": value}), xm.InputError, "cumulative_funding", "'PERP'", "finite")
    refused(lambda: funding(standing, [value, 0.0, 0.0, 0.0]), xm.InputError, "cumulative_funding", "'PERP'", "finite")


@pytest.mark.parametrize(
    ("name", "known"), [("deposit_index", "BTC"), ("borrow_index", "BTC"), ("cumulative_funding", "PERP")]
)
def test_figure_of_a_market_that_is_misplaced(standing: Standing, name: str, known: str) -> None:
    refused(lambda: interest(standing, name, {f"{known}X": 1.0}), xm.UnknownIdError, name, f"'{known}X'", f"'{known}'")
    other = "PERP" if known == "BTC" else "BTC"
    refused(lambda: interest(standing, name, {other: 1.0}), xm.UnknownIdError, name, f"'{other}'")
    for values in ([1.0], [1.0] * 9, np.ones((3, 1)), np.array(["1"] * 3), np.ones(3, dtype=bool), np.ma.ones(3)):
        refused(partial(interest, standing, name, values), xm.ColumnError, name)
    for value in ("1.0", True, None, 1 + 0j, object()):
        refused(partial(interest, standing, name, {known: value}), xm.ColumnError, name, f"'{known}'")


def test_an_underlying_that_nobody_can_hold_earns_no_interest(standing: Standing) -> None:
    refused(lambda: interest(standing, "deposit_index", {"WTI": 1.1}), xm.UnknownIdError, "deposit_index", "'WTI'")


@pytest.mark.parametrize(
    ("column", "row", "value", "words"),
    [
        ("amount_floor", 2, 1.0, ("'BTC'", "0")),
        ("amount_floor", 1, 0.5, ("'ETH'", "0")),
        ("amount_floor", 0, -1.0, ("'BTC'", "negative")),
        ("maintenance_haircut", 3, 0.09, ("'BTC'", "0.09", "0.1")),
        ("maintenance_haircut", 0, 0.21, ("'BTC'", "initial_haircut")),
        ("initial_haircut", 3, 1.01, ("'BTC'", "between 0 and 1")),
        ("maintenance_haircut", 2, -0.1, ("'BTC'", "between 0 and 1")),
        ("amount_cap", 1, -1.0, ("'ETH'", "negative")),
        ("amount_cap", 3, 999.0, ("'BTC'", "999")),
        ("amount_cap", 0, 5.0, ("'BTC'", "5")),
        ("unrealized_gain_share", 1, 1.01, ("'ETH'", "between 0 and 1")),
        ("unrealized_gain_share", 1, -0.01, ("'ETH'", "between 0 and 1")),
        ("unrealized_gain_share", 3, 0.6, ("'BTC'", "0.6")),
        ("initial_liability_weight", 3, 1.2, ("'BTC'", "1.2")),
        ("maintenance_liability_weight", 3, 1.06, ("'BTC'", "1.06")),
    ],
)
def test_tiers_that_cannot_be(standing: Standing, column: str, row: int, value: float, words: tuple[str, ...]) -> None:
    refuse(standing, "collateral", column, row, value, xm.ParameterError, *words)


@pytest.mark.parametrize(
    ("column", "row", "value", "words"),
    [
        ("notional_floor", 2, 1.0, ("'PERP'", "0")),
        ("notional_floor", 3, 0.5, ("'CALL'", "0")),
        ("notional_floor", 1, -1.0, ("'PERP'", "negative")),
        ("maintenance_rate", 5, 0.04, ("'PERP'", "0.04", "0.05")),
        ("maintenance_rate", 1, 0.11, ("'PERP'", "initial_rate")),
        ("maintenance_rate", 2, -0.1, ("'PERP'", "negative")),
        ("margin_floor_per_contract", 0, -1.0, ("'INVERSE'", "negative")),
        ("margin_floor_per_contract", 5, 3.0, ("'PERP'", "3")),
        ("close_out_fee_rate", 0, -0.001, ("'INVERSE'", "negative")),
        ("close_out_fee_rate", 5, 0.002, ("'PERP'", "0.002")),
        ("close_out_fee_rate", 0, 0.0250001, ("'INVERSE'", "initial_rate", "0.05", "0.025")),
        ("close_out_fee_rate", 4, 0.11, ("'OIL'", "initial_rate", "0.2")),
    ],
)
def test_brackets_that_cannot_be(
    standing: Standing, column: str, row: int, value: float, words: tuple[str, ...]
) -> None:
    refuse(standing, "margin", column, row, value, xm.ParameterError, *words)


def test_what_must_not_fall_with_size(standing: Standing) -> None:
    """The place is the tier that is below the one before it, in order of size, whatever the order of rows."""
    falling = TIERS | {"initial_haircut": [0.6, 0.2, 0.1, 0.5]}
    words = ("collateral", "'initial_haircut'", "row 3", "'BTC'", "0.5", "0.6")
    refused(lambda: read(standing, "collateral", falling), xm.ParameterError, *words)
    falling = BRACKETS | {"initial_rate": [0.05, 0.4, 0.05, 0.15, 0.2, 0.3]}
    words = ("margin", "'initial_rate'", "row 5", "'PERP'", "0.3", "0.4")
    refused(lambda: read(standing, "margin", falling), xm.ParameterError, *words)


def test_a_fee_that_fits_one_bracket_and_not_the_next(standing: Standing) -> None:
    """The place is the bracket in which there is no room for it."""
    bad = BRACKETS | {
        "maintenance_rate": [0.025, 0.0995, 0.025, 0.1, 0.1, 0.15],
    }
    words = ("margin", "row 1", "'PERP'", "0.001", "0.0995", "0.1")
    refused(lambda: read(standing, "margin", bad), xm.ParameterError, *words)


@pytest.mark.parametrize(
    ("frame", "column", "first", "second"),
    [("collateral", "amount_floor", 0, 3), ("margin", "notional_floor", 1, 5), ("collateral", "amount_floor", 2, 0)],
)
def test_two_tiers_with_one_floor(standing: Standing, frame: str, column: str, first: int, second: int) -> None:
    name = "asset" if frame == "collateral" else "instrument"
    bad = changed(frame, column, second, GOOD[frame][column][first])
    words = (frame, f"row {max(first, second)}", f"'{GOOD[frame][name][first]}'", f"row {min(first, second)}")
    refused(lambda: read(standing, frame, bad), xm.DuplicateError, *words)


def test_ids_without_their_floors_are_duplicates(standing: Standing) -> None:
    for frame, columns in (
        ("collateral", ("asset", "initial_haircut")),
        ("margin", ("instrument", "initial_rate", "maintenance_rate")),
    ):
        bad = {name: GOOD[frame][name] for name in columns}
        refused(partial(read, standing, frame, bad), xm.DuplicateError, frame)


def test_order_in_something_without_a_price_or_rates(standing: Standing) -> None:
    """What is ordered needs what is held needs, and the error names who ordered it."""
    model = xm.CrossMargin.from_frames(standing.universe, TIERS, BRACKETS)
    orders = {"account": ["dan"], "instrument": ["OIL"], "quantity": [1.0], "price": [5.0]}
    book = xm.Book.from_frames(standing.universe, orders=orders)
    marks = {name: price for name, price in MARK.items() if name != "OIL"}
    market = xm.Market(standing.universe, INDEX, marks)
    refused(lambda: model.evaluate(book, market), xm.MissingPriceError, "mark price", "'OIL'", "'dan'")
    few = {name: [cell for row, cell in enumerate(values) if row != 4] for name, values in BRACKETS.items()}
    model = xm.CrossMargin.from_frames(standing.universe, TIERS, few)
    refused(lambda: model.evaluate(book, standing.market), xm.MissingParameterError, "'OIL'", "'dan'")
    # One that can only shrink a position, or is for nothing, asks for neither.
    for change in ({"reduce_only": [True]}, {"quantity": [0.0]}):
        idle = xm.Book.from_frames(standing.universe, orders=orders | change)
        assert model.evaluate(idle, market).initial_margin.tolist() == [0.0]


@pytest.mark.parametrize("kind", [xm.CrossMargin, xm.IsolatedMargin])
def test_result_out_of_range(standing: Standing, kind: Any) -> None:
    model = kind.from_frames(standing.universe, TIERS, BRACKETS)
    frames: list[dict[str, Any]] = [
        {
            "orders": {
                "account": ["huge"],
                "instrument": ["PERP"],
                "quantity": [1e305],
                "price": [60_000.0],
            }
        },
        {
            "positions": {
                "account": ["huge"],
                "instrument": ["PERP"],
                "quantity": [1e305],
                "entry_price": [60_000.0],
                "isolated_margin": [1.0],
            }
        },
        {
            "positions": {
                "account": ["huge"],
                "instrument": ["PERP"],
                "quantity": [1.0],
                "entry_price": [60_000.0],
                "isolated_margin": [1e308],
            },
            "accounts": {"account": ["huge"], "leverage_cap": [1e-306]},
        },
    ]
    for given in frames:
        book = xm.Book.from_frames(standing.universe, **given)
        refused(partial(model.evaluate, book, standing.market), xm.RangeError, "'huge'")


def test_isolated_model_is_as_strict(standing: Standing) -> None:
    bad = changed("margin", "close_out_fee_rate", 0, 0.1)
    refused(
        lambda: xm.IsolatedMargin.from_frames(standing.universe, TIERS, bad), xm.ParameterError, "margin", "'INVERSE'"
    )
    other = xm.Universe.from_frames({"asset": ["USD"]})
    model = xm.IsolatedMargin.from_frames(other)
    refused(lambda: model.evaluate(standing.book, standing.market), xm.UniverseMismatchError, "model")
    with pytest.raises(TypeError, match="from_frames"):
        xm.IsolatedMargin()
