"""Frames that must be refused, with which error and which words: numbers, shapes, Arrow, ids.

The fixture evaluates the standing venue after every refusal: nothing is half done.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import xmfast as xm
from standing import (
    BALANCES,
    GOOD,
    NAN,
    NO_NUMBERS,
    NOT_FINITE,
    Standing,
    changed,
    refused,
)

NUMBER_COLUMNS = [
    ("balances", "balance"),
    ("positions", "quantity"),
    ("positions", "entry_price"),
    ("collateral", "initial_haircut"),
    ("collateral", "maintenance_haircut"),
    ("collateral", "initial_liability_weight"),
    ("collateral", "maintenance_liability_weight"),
    ("margin", "initial_rate"),
    ("margin", "maintenance_rate"),
    ("instruments", "contract_multiplier"),
]


@pytest.mark.parametrize("value", NOT_FINITE, ids=repr)
@pytest.mark.parametrize(("frame", "column"), NUMBER_COLUMNS)
def test_number_that_is_not_finite(standing: Standing, frame: str, column: str, value: float) -> None:
    bad = changed(frame, column, 1, value)
    words = (frame, f"'{column}'", "row 1")
    for form in (bad, bad | {column: np.array(bad[column])}, bad | {column: np.array(bad[column], dtype=np.float32)}):
        refused(lambda form=form: getattr(standing, frame)(form), xm.InputError, *words)  # type: ignore[misc]
    table = pa.table({column: bad[column]})
    refused(lambda: getattr(standing, frame)(bad | {column: table[column]}), xm.InputError, *words)


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: f"{type(value).__name__} {value!r:.12}")
@pytest.mark.parametrize(("frame", "column"), NUMBER_COLUMNS)
def test_cell_that_is_no_number(standing: Standing, frame: str, column: str, value: Any) -> None:
    bad = changed(frame, column, 1, value)
    refused(lambda: getattr(standing, frame)(bad), xm.ColumnError, frame, f"'{column}'", "row 1")
    cells = np.empty(len(bad[column]), dtype=object)
    cells[:] = bad[column]
    objects = bad | {column: cells}
    refused(lambda: getattr(standing, frame)(objects), xm.ColumnError, frame, f"'{column}'", "row 1")


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (10**309, "large"),
        (-(10**400), "large"),
        # Python prints no integer of so many digits.
        (10**5000, "large"),
        (decimal.Decimal("1.797693134862315808e308"), "large"),
        (decimal.Decimal("-1e309"), "large"),
        (decimal.Decimal("1e999999999999"), "large"),
        (decimal.Decimal("2.225073858507200e-308"), "small"),
        (decimal.Decimal("5e-324"), "small"),
        (decimal.Decimal("-1e-999999999999"), "small"),
    ],
    ids=lambda value: str(value) if not isinstance(value, int) else f"integer of {value.bit_length()} bits",
)
def test_number_that_no_f64_is_near_to(standing: Standing, value: Any, size: str) -> None:
    bad = changed("balances", "balance", 2, value)
    words = ("row 2", f"too {size}", "64-bit")
    refused(lambda: standing.balances(bad), xm.InputError, "balances", "'balance'", *words)
    objects = bad | {"balance": np.array(bad["balance"], dtype=object)}
    refused(lambda: standing.balances(objects), xm.InputError, "balances", "'balance'", *words)
    bad = changed("instruments", "strike", 2, value)
    refused(lambda: standing.instruments(bad), xm.InputError, "instruments", "'strike'", *words)
    refused(lambda: standing.mark_price({"PERP": value}), xm.InputError, "mark_price", "'PERP'", f"too {size}")
    refused(lambda: standing.mark_price([1, 2, value, 4]), xm.InputError, "mark_price", *words)


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity"])
def test_decimal_that_is_not_finite_is_no_absent_number_either(standing: Standing, value: str) -> None:
    """Not a number, where a row may have none: null says that, and the NaN of a float column."""
    bad = changed("instruments", "strike", 3, decimal.Decimal(value))
    refused(lambda: standing.instruments(bad), xm.ColumnError, "instruments", "'strike'", "row 3", value, "finite")


@pytest.mark.parametrize(
    "column",
    [
        np.array([1 + 0j, 2, 3]),
        np.array([True, False, True]),
        np.array(["1", "2", "3"]),
        np.array([b"1", b"2", b"3"]),
        np.array(["2026-01-01"] * 3, dtype="datetime64[s]"),
        np.array([1, 2, 3], dtype="timedelta64[s]"),
        np.zeros(3, dtype=[("x", "f8")]),
        np.zeros(3, dtype=np.longdouble),
        pa.array([True, False, True]),
        pa.array(["1", "2", "3"]),
        pa.array([None, None, None], type=pa.null()),
        pa.array([1, 2, 3], type=pa.duration("s")),
        pa.array([[1.0]] * 3),
        pl.Series(["a", "b", "c"]),
        pl.Series(["a", "b", "c"], dtype=pl.Categorical),
    ],
    ids=lambda column: (
        f"{type(column).__module__.split('.')[0]} {getattr(column, 'dtype', getattr(column, 'type', ''))}"
    ),
)
def test_column_of_something_else_than_numbers(standing: Standing, column: Any) -> None:
    refused(lambda: standing.balances(BALANCES | {"balance": column}), xm.ColumnError, "balances", "'balance'")


@pytest.mark.parametrize("frame", list(GOOD))
def test_columns_of_different_lengths(standing: Standing, frame: str) -> None:
    good = GOOD[frame]
    names = list(good)
    if len(names) == 1:
        pytest.skip("one column alone cannot disagree")
    bad = good | {names[-1]: good[names[-1]][:-1]}
    refused(lambda: getattr(standing, frame)(bad), xm.ColumnError, frame, f"'{names[-1]}'", str(len(good[names[0]])))


@pytest.mark.parametrize("frame", list(GOOD))
def test_missing_column(standing: Standing, frame: str) -> None:
    required = {
        "assets": ["asset"],
        "instruments": ["instrument", "kind", "underlying", "settlement"],
        "balances": ["account", "asset", "balance"],
        "positions": ["account", "instrument", "quantity", "entry_price"],
        "collateral": ["asset"],
        "margin": ["instrument", "initial_rate", "maintenance_rate"],
    }[frame]
    for column in required:
        bad = {name: values for name, values in GOOD[frame].items() if name != column}
        refused(lambda bad=bad: getattr(standing, frame)(bad), xm.ColumnError, frame, f"'{column}'")  # type: ignore[misc]


@pytest.mark.parametrize("frame", list(GOOD))
def test_unexpected_column(standing: Standing, frame: str) -> None:
    first = next(iter(GOOD[frame]))
    bad = GOOD[frame] | {f"{first}s": GOOD[frame][first]}
    refused(lambda: getattr(standing, frame)(bad), xm.ColumnError, frame, f"'{first}s'", "did you mean", f"'{first}'")
    table = pa.table({f"{first}s": [1]})
    refused(lambda: getattr(standing, frame)(table), xm.ColumnError, frame, f"'{first}s'")


@pytest.mark.parametrize(
    "column",
    [
        np.array(5.0),
        np.ones((3, 1)),
        np.ones((1, 3)),
        np.ma.masked_array([1.0, 2.0, 3.0], mask=[False, True, False]),
        np.ma.masked_array([1.0, 2.0, 3.0]),
        5.0,
        "abc",
        b"abc",
        None,
        {1.0, 2.0, 3.0},
        (value for value in (1.0, 2.0, 3.0)),
    ],
    ids=lambda column: f"{type(column).__name__} {getattr(column, 'shape', '')}",
)
def test_column_that_is_no_column(standing: Standing, column: Any) -> None:
    refused(lambda: standing.balances(BALANCES | {"balance": column}), xm.ColumnError, "balances", "'balance'")


@pytest.mark.parametrize(
    "frame", [5, "balances.csv", [BALANCES], [("account", ["ann"])], np.ones((3, 3))], ids=lambda f: type(f).__name__
)
def test_frame_that_is_no_frame(standing: Standing, frame: Any) -> None:
    refused(lambda: standing.balances(frame), xm.ColumnError, "balances")


def test_name_of_a_column_that_is_no_text(standing: Standing) -> None:
    refused(lambda: standing.balances({0: [1], 1: [2]}), xm.ColumnError, "balances", "0")


@pytest.mark.parametrize(
    ("frame", "column"),
    [
        *NUMBER_COLUMNS,
        ("balances", "account"),
        ("balances", "asset"),
        ("positions", "instrument"),
        ("margin", "instrument"),
        ("instruments", "kind"),
        ("instruments", "inverse"),
    ],
)
def test_null(standing: Standing, frame: str, column: str) -> None:
    values = GOOD[frame][column]
    nulls = [None if row == 1 else value for row, value in enumerate(values)]
    padded = pa.array([values[0], *nulls])
    for form in (nulls, pa.array(nulls), padded.slice(1), pa.chunked_array([padded.slice(1, 1), padded.slice(2)])):
        bad = GOOD[frame] | {column: form}
        word = "none" if column == "inverse" and form is nulls else "null"
        refused(lambda bad=bad: getattr(standing, frame)(bad), xm.ColumnError, frame, f"'{column}'", "row 1", word)  # type: ignore[misc]


def test_null_hidden_in_a_dictionary(standing: Standing) -> None:
    for hidden in (
        pa.DictionaryArray.from_arrays(pa.array([0, None, 1]), pa.array(["USD", "ETH"])),
        pa.DictionaryArray.from_arrays(pa.array([0, 2, 1]), pa.array(["USD", "ETH", None])),
    ):
        refused(
            lambda hidden=hidden: standing.balances(BALANCES | {"asset": hidden}),  # type: ignore[misc]
            xm.ColumnError,
            "balances",
            "'asset'",
            "row 1",
            "null",
        )


def test_stream_that_was_read_before(standing: Standing) -> None:
    reader = pa.RecordBatchReader.from_batches(pa.schema([]), [])
    table = pa.table(BALANCES)

    class Once:
        """Hands out the same stream every time, as a careless producer would."""

        capsule = table.__arrow_c_stream__()

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return self.capsule

    once = Once()
    assert len(xm.Book.from_frames(standing.universe, once)) == 2
    refused(lambda: xm.Book.from_frames(standing.universe, once), xm.ColumnError, "balances")
    refused(lambda: xm.Book.from_frames(standing.universe, reader), xm.ColumnError, "balances")


def test_stream_that_is_none(standing: Standing) -> None:
    class NoStream:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return object()

    refused(lambda: xm.Book.from_frames(standing.universe, NoStream()), xm.ColumnError, "balances")


def test_error_in_the_middle_of_a_stream_is_passed_on(standing: Standing) -> None:
    schema = pa.schema([("account", pa.string()), ("asset", pa.string()), ("balance", pa.float64())])

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch([["ann"], ["USD"], [1.0]], schema=schema)
        raise RuntimeError("disk on fire")

    reader = pa.RecordBatchReader.from_batches(schema, batches())
    with pytest.raises((xm.ColumnError, RuntimeError), match="disk on fire"):
        xm.Book.from_frames(standing.universe, reader)


def test_column_twice_in_an_arrow_table(standing: Standing) -> None:
    table = pa.Table.from_arrays(
        [pa.array(["ann"]), pa.array(["USD"]), pa.array([1.0]), pa.array([2.0])],
        names=["account", "asset", "balance", "balance"],
    )
    refused(lambda: standing.balances(table), xm.ColumnError, "balances", "'balance'", "twice")


@pytest.mark.parametrize(
    ("frame", "column", "what"),
    [
        ("balances", "asset", "asset"),
        ("positions", "instrument", "instrument"),
        ("collateral", "asset", "asset"),
        ("margin", "instrument", "instrument"),
        ("instruments", "settlement", "asset"),
    ],
)
def test_unknown_id(standing: Standing, frame: str, column: str, what: str) -> None:
    right = GOOD[frame][column][1]
    bad = changed(frame, column, 1, f"{right}X")
    words = (frame, f"'{column}'", "row 1", what, f"'{right}X'", "did you mean", f"'{right}'")
    refused(lambda: getattr(standing, frame)(bad), xm.UnknownIdError, *words)
    numbers = GOOD[frame] | {column: list(range(len(GOOD[frame][column])))}
    refused(lambda: getattr(standing, frame)(numbers), xm.UnknownIdError, frame, f"'{column}'", "row 0")


@pytest.mark.parametrize(
    ("frame", "columns"),
    [
        ("assets", ("asset",)),
        ("instruments", ("instrument",)),
        ("balances", ("account", "asset")),
        ("positions", ("account", "instrument")),
        ("collateral", ("asset",)),
        ("margin", ("instrument",)),
    ],
)
def test_duplicate(standing: Standing, frame: str, columns: tuple[str, ...]) -> None:
    """Two rows where one is allowed are an error, never a sum; even if they agree."""
    good = GOOD[frame]
    last = len(good[columns[0]])
    bad = {name: [*values, values[0]] for name, values in good.items()}
    words = (frame, f"row {last}", *(f"'{good[column][0]}'" for column in columns))
    refused(lambda: getattr(standing, frame)(bad), xm.DuplicateError, *words)


def test_duplicate_in_another_batch(standing: Standing) -> None:
    table = pa.concat_tables([pa.table(BALANCES), pa.table(BALANCES).slice(2)])
    refused(lambda: standing.balances(table), xm.DuplicateError, "balances", "row 3", "'ann'", "'ETH'")


def test_asset_and_instrument_of_one_name(standing: Standing) -> None:
    bad = changed("instruments", "instrument", 2, "ETH")
    refused(lambda: standing.instruments(bad), xm.DuplicateError, "instruments", "row 2", "'ETH'")


@pytest.mark.parametrize("value", [1.5, True, None, b"ann", ("ann",), 2**63, -(2**63) - 1, NAN], ids=repr)
def test_id_that_is_no_id(standing: Standing, value: Any) -> None:
    bad = changed("balances", "account", 1, value)
    refused(lambda: standing.balances(bad), xm.ColumnError, "balances", "'account'", "row 1")
    alone = {"account": [value], "asset": ["USD"], "balance": [1.0]}
    refused(lambda: xm.Book.from_frames(standing.universe, alone), xm.ColumnError, "balances", "'account'", "row 0")


@pytest.mark.parametrize(
    "column",
    [
        np.array([1.0, 2.0, 3.0]),
        np.array([True, False, True]),
        np.array([b"ann", b"bob", b"ann"]),
        np.array(["2026-01-01"] * 3, dtype="datetime64[D]"),
        np.array([1, 2, 2**63], dtype=np.uint64),
        pa.array([1.0, 2.0, 3.0]),
        pa.array([True, False, True]),
        pa.array([b"ann", b"bob", b"ann"]),
        pa.array([1, 2, 2**63], type=pa.uint64()),
        pa.array([1.0, 2.0, 1.0]).dictionary_encode(),
    ],
    ids=lambda column: (
        f"{type(column).__module__.split('.')[0]} {getattr(column, 'dtype', getattr(column, 'type', ''))}"
    ),
)
def test_column_of_something_else_than_ids(standing: Standing, column: Any) -> None:
    bad = BALANCES | {"account": column}
    refused(lambda: xm.Book.from_frames(standing.universe, bad), xm.ColumnError, "balances", "'account'")


def test_text_that_is_no_unicode(standing: Standing) -> None:
    for column in (["\ud800", "bob", "ann"], np.array(["\ud800", "bob", "ann"])):
        bad = BALANCES | {"account": column}
        refused(lambda bad=bad: standing.balances(bad), xm.ColumnError, "balances", "'account'", "row 0")  # type: ignore[misc]


def test_accounts_of_two_kinds(standing: Standing) -> None:
    mixed = changed("balances", "account", 1, 7)
    refused(lambda: standing.balances(mixed), xm.ColumnError, "balances", "'account'", "row 1")
    # One kind in each frame, but not the same: 7 and "7" would be two accounts.
    numbers = BALANCES | {"account": [7, 8, 7]}
    refused(lambda: standing.balances(numbers), xm.ColumnError, "positions", "'account'")


def test_unknown_account_of_a_report(standing: Standing) -> None:
    report = standing.model.evaluate(standing.book, standing.market)
    refused(lambda: report["anne"], xm.UnknownIdError, "report", "'anne'", "'ann'")
    refused(lambda: report[0], xm.UnknownIdError, "0")
