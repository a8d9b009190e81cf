"""What looks odd and is fine: every form of the same table gives the same bits."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import xmfast as xm
from building import bits_of
from standing import (
    ASSETS,
    BALANCES,
    COLLATERAL,
    GOOD,
    INDEX,
    INSTRUMENTS,
    MARGIN,
    MARK,
    NAN,
    POSITIONS,
    Frame,
    Standing,
    refused,
)


@pytest.mark.parametrize("frame", list(GOOD))
def test_empty_frames(standing: Standing, frame: str) -> None:
    good = GOOD[frame] | (
        {"expiry": [None, None, datetime.datetime(2026, 12, 25), None]} if frame == "instruments" else {}
    )
    empties: list[Any] = [
        {name: [] for name in good},
        {name: np.array([]) for name in good} if frame in ("balances", "positions") else {name: [] for name in good},
        pa.table(good).slice(0, 0),
        pl.DataFrame(good).clear(),
        pd.DataFrame(good).head(0),
        pa.table({name: pa.array([], pa.null()) for name in good}),
    ]
    for empty in empties:
        if frame == "assets":
            refused(lambda empty=empty: standing.assets(empty), xm.UnknownIdError, "numeraire")  # type: ignore[misc]
        else:
            assert getattr(standing, frame)(empty) is not None


def test_no_accounts(standing: Standing) -> None:
    book = xm.Book.from_frames(standing.universe)
    report = standing.model.evaluate(book, standing.market)
    assert len(book) == len(report) == 0
    assert report.health.shape == report.accounts.shape == report.margin_ratio.shape == (0,)
    assert report.summary().accounts == 0 and len(report.worst()) == 0
    assert pa.table(report).num_rows == 0
    assert "0" in str(report)


@pytest.mark.parametrize(
    "text", ["", " ", "a\nb", "ü€😀", "a\0b", "x" * 10_000, "0", "None"], ids=lambda text: repr(text)[:12]
)
def test_odd_texts_are_ids_like_any_other(standing: Standing, text: str) -> None:
    for column in (
        [text, "other"],
        np.array([text, "other"], dtype=object),
        pa.array([text, "other"]),
        pl.Series([text, "other"]),
    ):
        book = xm.Book.from_frames(
            standing.universe, {"account": column, "asset": ["USD", "USD"], "balance": [1.0, 2.0]}
        )
        assert book.accounts.tolist() == [text, "other"]
        assert standing.model.evaluate(book, standing.market)[text].equity == 1.0


@pytest.mark.parametrize("ids", [[-(2**63), 2**63 - 1, 0, -1], [1, 2, 3]], ids=repr)
def test_integer_ids_at_both_ends(standing: Standing, ids: list[int]) -> None:
    count = len(ids)
    for column in (ids, np.array(ids), np.array(ids, dtype=object), pa.array(ids), pl.Series(ids)):
        book = xm.Book.from_frames(
            standing.universe, {"account": column, "asset": ["USD"] * count, "balance": [1.0] * count}
        )
        assert book.accounts.tolist() == ids
        assert book.accounts.dtype == np.int64


def strided(values: list[Any]) -> Any:
    wide = np.empty((len(values), 3), dtype=object if isinstance(values[0], str) else np.float64)
    wide[:, 1] = values
    return wide[:, 1]


def backwards(values: list[Any]) -> Any:
    return np.array(values[::-1], dtype=object if isinstance(values[0], str) else None)[::-1]


def read_only(values: list[Any]) -> Any:
    array = np.array(values)
    array.flags.writeable = False
    return array


def sliced(values: list[Any]) -> Any:
    return pa.array([values[0], *values, values[0]]).slice(1, len(values))


def with_empty_chunks(values: list[Any]) -> Any:
    empty = pa.array(values).slice(0, 0)
    return pa.chunked_array([empty, values[:1], empty, values[1:], empty])


FORMS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "numpy": np.array,
    "numpy objects": lambda values: np.array(values, dtype=object),
    "strided": strided,
    "negative stride": backwards,
    "read-only": read_only,
    "big-endian": lambda values: np.array(values).astype(np.array(values).dtype.newbyteorder(">")),
    "unaligned": lambda values: np.frombuffer(b"x" + np.array(values).tobytes(), np.array(values).dtype, offset=1),
    "pyarrow": pa.array,
    "sliced": sliced,
    "empty chunks": with_empty_chunks,
    "dictionary": lambda values: (
        pa.array(values).dictionary_encode() if isinstance(values[0], str) else pa.array(values)
    ),
    "large_utf8": lambda values: (
        pa.array(values, pa.large_string()) if isinstance(values[0], str) else pa.array(values)
    ),
    "string_view": lambda values: (
        pa.array(values, pa.string_view()) if isinstance(values[0], str) else pa.array(values)
    ),
    "polars": pl.Series,
    "polars categories": lambda values: (
        pl.Series(values, dtype=pl.Categorical) if isinstance(values[0], str) else pl.Series(values)
    ),
    "pandas": pd.Series,
    "pandas categories": lambda values: (
        pd.Series(values, dtype="category") if isinstance(values[0], str) else pd.Series(values)
    ),
    "pandas strings": lambda values: (
        pd.Series(values, dtype="string") if isinstance(values[0], str) else pd.Series(values, dtype="Float64")
    ),
}


@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_of_a_column(standing: Standing, bits: dict[str, bytes], form: str) -> None:
    make = FORMS[form]
    frames = {
        name: {column: make(values) for column, values in frame.items()}
        for name, frame in (("balances", BALANCES), ("positions", POSITIONS))
    }
    book = xm.Book.from_frames(standing.universe, frames["balances"], frames["positions"])
    assert book.accounts.tolist() == ["ann", "bob", "cat"]
    assert bits_of(standing.model.evaluate(book, standing.market)) == bits
    parameters = {
        name: {column: make(values) for column, values in frame.items()}
        for name, frame in (("collateral", COLLATERAL), ("margin", MARGIN))
    }
    model = xm.CrossMargin.from_frames(standing.universe, parameters["collateral"], parameters["margin"])
    assert bits_of(model.evaluate(standing.book, standing.market)) == bits


@pytest.mark.parametrize("library", ["pyarrow", "polars", "pandas", "chunked", "reordered"])
def test_every_kind_of_frame(bits: dict[str, bytes], library: str) -> None:
    def frame(columns: Frame) -> Any:
        if library == "polars":
            return pl.DataFrame(columns)
        if library == "pandas":
            return pd.DataFrame(columns)
        table = pa.table(columns)
        if library == "chunked":
            return pa.concat_tables([table.slice(0, 0), table.slice(0, 1), table.slice(0, 0), table.slice(1)])
        if library == "reordered":
            return table.select(table.column_names[::-1])
        return table

    universe = xm.Universe.from_frames(
        frame(ASSETS), frame(INSTRUMENTS | {"expiry": [None, None, datetime.datetime(2026, 12, 25, 8), None]})
    )
    book = xm.Book.from_frames(universe, frame(BALANCES), frame(POSITIONS))
    model = xm.CrossMargin.from_frames(universe, frame(COLLATERAL), frame(MARGIN))
    assert bits_of(model.evaluate(book, xm.Market(universe, INDEX, MARK))) == bits


@pytest.mark.parametrize(
    "dtype",
    [
        np.int8,
        np.int16,
        np.int32,
        np.int64,
        np.uint8,
        np.uint16,
        np.uint32,
        np.uint64,
        np.float16,
        np.float32,
        np.float64,
    ],
    ids=lambda dtype: dtype.__name__,
)
def test_every_width_of_number(standing: Standing, dtype: type[np.generic]) -> None:
    values = np.array([1, 2, 100], dtype=dtype)
    forms: list[Any] = [
        values,
        values[::-1][::-1],
        values.astype(values.dtype.newbyteorder(">")),
    ]
    if dtype is not np.float16:
        forms += [pa.array(values), pl.Series(values)]
    for form in forms:
        book = xm.Book.from_frames(standing.universe, {"account": [1, 2, 3], "asset": ["USD"] * 3, "balance": form})
        assert standing.model.evaluate(book, standing.market).equity.tolist() == [1.0, 2.0, 100.0]


def test_a_32_bit_float_means_the_decimal_that_prints_as_it(standing: Standing) -> None:
    values = np.array([0.1, 1e-7, 16777.215, 3.4e38], dtype=np.float32)
    for form in (values, list(values), pa.array(values), pl.Series(values), values.astype(">f4")):
        book = xm.Book.from_frames(standing.universe, {"account": [1, 2, 3, 4], "asset": ["USD"] * 4, "balance": form})
        assert standing.model.evaluate(book, standing.market).equity.tolist() == [0.1, 1e-7, 16777.215, 3.4e38]
    tenth: Any = np.float32(0.1)
    market = standing.market.with_prices(mark_price={"PERP": tenth}, index_price=np.array([1, 0.1, 0.1], np.float32))
    assert market.mark_price[0] == 0.1 and market.index_price[1] == 0.1


def equities_of(standing: Standing, balances: Any) -> list[float]:
    """Return what accounts are worth that hold nothing but these dollars, one each."""
    count = len(balances)
    book = xm.Book.from_frames(
        standing.universe, {"account": list(range(count)), "asset": ["USD"] * count, "balance": balances}
    )
    return list(standing.model.evaluate(book, standing.market).equity)


# The first ones are the shortest decimals of floats; f64 can only be near to the others.
DECIMALS = [
    "0",
    "10.1",
    "-0.3",
    "1234.50",
    "-123456789012.345",
    "0.12345678901234567890",
    "99999999999999999.99",
    "9007199254740993",
    "-1000000000000000000.00000001",
]


@pytest.mark.parametrize(
    ("dtype", "texts"),
    [
        (pa.decimal32(9, 2), ["1234567.89", "-0.01", "0.00"]),
        (pa.decimal32(3, -4), ["9990000", "-10000"]),
        (pa.decimal64(18, 18), ["0.123456789012345678", "-0.1"]),
        (pa.decimal64(18, 0), ["999999999999999999", "-9007199254740993"]),
        (pa.decimal128(38, 18), ["1.5", "-0.000000000000000001", "12345678901234567890.000000000000000001"]),
        (pa.decimal128(38, 20), [text for text in DECIMALS if len(text) < 29]),
        (pa.decimal128(38, 0), ["9" * 38, "-1" + "0" * 37]),
        (pa.decimal128(38, 38), ["0." + "3" * 38, "0." + "0" * 37 + "1"]),
        (pa.decimal128(20, -10), ["1e10", "-12345678901234567891e10"]),
        (pa.decimal256(76, 30), DECIMALS),
        (pa.decimal256(76, 0), ["-" + "9" * 76, "7" * 39]),
        (pa.decimal256(76, 76), ["0." + "6" * 76, "0." + "0" * 75 + "1"]),
    ],
    ids=lambda value: str(value) if isinstance(value, pa.DataType) else "",
)
def test_every_width_and_scale_of_decimal(standing: Standing, dtype: pa.DataType, texts: list[str]) -> None:
    values = pa.array([Decimal(text) for text in texts], dtype)
    for form in (values, pa.chunked_array([values[:1], values[:0], values[1:]]), values[::-1][::-1]):
        assert equities_of(standing, form) == [float(text) for text in texts]


def test_decimals_of_python_and_of_frame_libraries(standing: Standing) -> None:
    decimals = [Decimal(text) for text in DECIMALS]
    nearest = [float(text) for text in DECIMALS]
    for form in (decimals, tuple(decimals), np.array(decimals, dtype=object), pd.Series(decimals)):
        assert equities_of(standing, form) == nearest
    # polars has 38 digits, which the last one does not fit at 20 places.
    assert equities_of(standing, pl.Series(decimals[:-1], dtype=pl.Decimal(38, 20))) == nearest[:-1]
    odd = ["-0", "0e-999999999999", "1e22", "1E+23", "-1.50E+3", "1e-300", "1.7976931348623157e308", "1" + "0" * 300]
    assert equities_of(standing, [Decimal(text) for text in odd]) == [float(text) for text in odd]


class Index:
    """An integer of somebody else's, as those of gmpy2 and sympy."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


class Lots(enum.IntEnum):
    MANY = 2**70

    def __repr__(self) -> str:
        return "many"

    __str__ = __repr__


def test_integers_of_any_size(standing: Standing) -> None:
    values = [2**53, 2**53 + 1, -(2**60), 2**63 - 1, 2**64 - 1, 2**127, -(2**127) - 1, 3**600]
    nearest = [float(value) for value in values]
    for form in (values, np.array(values, dtype=object), pd.Series(values, dtype=object), [Index(v) for v in values]):
        assert equities_of(standing, form) == nearest
    assert equities_of(standing, np.array(values[:4])) == nearest[:4]
    assert equities_of(standing, pa.array(values[:4])) == nearest[:4]
    assert equities_of(standing, pa.array([values[4], None], pa.uint64())[:1]) == nearest[4:5]
    assert equities_of(standing, np.array(values[4:5], dtype=np.uint64)) == nearest[4:5]
    assert equities_of(standing, pl.Series(values[:5], dtype=pl.Int128)) == nearest[:5]
    assert equities_of(standing, [Lots.MANY, np.uint64(2**64 - 1), np.int8(-1)]) == [2.0**70, 2.0**64, -1.0]


def test_numbers_of_many_kinds_in_one_list(standing: Standing) -> None:
    mixed = [1, 2.5, Decimal("10.1"), 2**70, np.float16(0.1), np.float32(0.1), np.float64(0.1), np.int32(7)]
    nearest = [1.0, 2.5, 10.1, 2.0**70, 0.1, 0.1, 0.1, 7.0]
    for form in (mixed, np.array(mixed, dtype=object), pd.Series(mixed, dtype=object)):
        assert equities_of(standing, form) == nearest


def test_decimals_and_nothing_in_a_column_with_gaps(standing: Standing, bits: dict[str, bytes]) -> None:
    strikes: list[Any] = [
        [None, None, Decimal(60_000), None],
        [None, NAN, 60_000, None],
        pa.array([None, None, Decimal("60000.00"), None]),
        pa.array([None, None, 60_000, None]),
        pl.Series([None, None, Decimal("60000.00"), None]),
        np.array([NAN, NAN, 60_000, NAN]),
    ]
    for strike in strikes:
        universe = xm.Universe.from_frames(ASSETS, INSTRUMENTS | {"strike": strike})
        book = xm.Book.from_frames(universe, BALANCES, POSITIONS)
        model = xm.CrossMargin.from_frames(universe, COLLATERAL, MARGIN)
        assert bits_of(model.evaluate(book, xm.Market(universe, INDEX, MARK))) == bits


def test_decimals_everywhere_are_the_floats_that_print_the_same(bits: dict[str, bytes]) -> None:
    def exact(frame: dict[Any, Any]) -> dict[Any, Any]:
        return {
            column: [Decimal(str(value)) if isinstance(value, float) else value for value in values]
            for column, values in frame.items()
        }

    universe = xm.Universe.from_frames(ASSETS, exact(INSTRUMENTS))
    book = xm.Book.from_frames(universe, exact(BALANCES), exact(POSITIONS))
    model = xm.CrossMargin.from_frames(universe, exact(COLLATERAL), exact(MARGIN))
    index, mark = ({name: Decimal(str(price)) for name, price in prices.items()} for prices in (INDEX, MARK))
    assert bits_of(model.evaluate(book, xm.Market(universe, index, mark))) == bits


def test_every_form_of_prices(standing: Standing, bits: dict[str, bytes]) -> None:
    values = list(MARK.values())
    decimals = [Decimal(str(value)) for value in values]
    forms: list[Any] = [
        values,
        tuple(values),
        decimals,
        [60_100, Decimal("60050.00"), np.float32(1400), -5.0],
        np.array(values),
        np.array(values, dtype=np.int32),
        np.array(decimals, dtype=object),
        strided(values),
        pa.array(values),
        pa.array(decimals),
        pa.chunked_array([decimals[:1], decimals[1:]]),
        pl.Series(values),
        pl.Series(decimals),
        pd.Series(decimals, index=list(MARK)),
        pd.Series(values[::-1], index=list(MARK)[::-1]),
        MappingProxyType(MARK),
    ]
    for form in forms:
        market = xm.Market(standing.universe, INDEX, form)
        assert market.mark_price.tolist() == values
        assert bits_of(standing.model.evaluate(standing.book, market)) == bits
    large: Any = {"PERP": 2**70 + 1, "CALL": Decimal("0.1000000000000000000000000001")}
    assert standing.market.with_prices(mark_price=large).mark_price.tolist()[:3] == [2.0**70, 60_050.0, 0.1]


@pytest.mark.parametrize(
    "dtype", [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()], ids=str
)
def test_every_width_of_integer_id(standing: Standing, dtype: pa.DataType) -> None:
    ids = pa.array([5, 3, 100], dtype)
    for form in (ids, ids.dictionary_encode(), ids.to_numpy(), pa.chunked_array([ids[:1], ids[1:]])):
        book = xm.Book.from_frames(standing.universe, {"account": form, "asset": ["USD"] * 3, "balance": [1.0] * 3})
        assert book.accounts.tolist() == [5, 3, 100]


def test_dictionaries_that_differ_from_chunk_to_chunk(standing: Standing) -> None:
    chunks = [pa.array(["b", "a"]).dictionary_encode(), pa.array(["a", "c"]).dictionary_encode()]
    column = pa.chunked_array(chunks)
    book = xm.Book.from_frames(
        standing.universe, {"account": column, "asset": ["USD", "USD", "BTC", "USD"], "balance": [1.0, 2.0, 3.0, 4.0]}
    )
    assert book.accounts.tolist() == ["b", "a", "c"]


def test_values_of_a_dictionary_that_no_row_uses_are_no_accounts(standing: Standing) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([2, 0]), pa.array(["a", "unused", "b"]))
    book = xm.Book.from_frames(standing.universe, {"account": column, "asset": ["USD", "USD"], "balance": [1.0, 2.0]})
    assert book.accounts.tolist() == ["b", "a"]


def test_integers_are_ids_of_anything() -> None:
    universe = xm.Universe.from_frames(
        {"asset": [1, 2]},
        {"instrument": [10], "kind": ["perpetual"], "underlying": [2], "settlement": [1]},
        numeraire=1,
    )
    book = xm.Book.from_frames(
        universe,
        {"account": [7], "asset": [2], "balance": [3.0]},
        {"account": [7], "instrument": [10], "quantity": [1.0], "entry_price": [90.0]},
    )
    model = xm.CrossMargin.from_frames(
        universe,
        {"asset": [2], "initial_haircut": [0.5]},
        {"instrument": [10], "initial_rate": [0.1], "maintenance_rate": [0.05]},
    )
    report = model.evaluate(book, xm.Market(universe, {2: 100.0}, {10: 100.0}))
    assert report[7].equity == 310.0 and report[7].initial_collateral_value == 160.0
    assert (universe.assets, universe.instruments, universe.underlyings, universe.numeraire) == ([1, 2], [10], [2], 1)


@pytest.mark.parametrize(
    "expiry",
    [
        ["2026-12-25", None, "2026-12-25T08:00:00Z", "2026-12-25T09:00:00+01:00"],
        np.array(["2026-12-25", "NaT", "2026-12-25", "2026-12-25"], dtype="datetime64[D]"),
        [datetime.datetime(2026, 12, 25, tzinfo=datetime.UTC), None, datetime.date(2026, 12, 25), np.datetime64("NaT")],
        pa.array([None, 1, 2, 3], pa.timestamp("ms", "UTC")),
        pa.array([None, 1, 2, 3], pa.date32()),
        pl.Series([None, datetime.datetime(2026, 1, 1), None, None]),
        pl.Series([None, "2026-12-25", "2026-12-25T08:00:00Z", None]),
        pa.array(["2026-12-25", None, None, None]),
        pd.Series(pd.to_datetime(["2026-12-25", None, None, None])),
        [pd.NaT, pd.Timestamp("2026-12-25", tz="UTC"), None, pd.Timestamp("2026-12-25")],
    ],
    ids=lambda expiry: f"{type(expiry).__module__.split('.')[0]}",
)
def test_every_form_of_time(standing: Standing, expiry: Any) -> None:
    assert standing.instruments(INSTRUMENTS | {"expiry": expiry}) is not None


def test_time_of_a_market(standing: Standing) -> None:
    noon = np.datetime64("2026-02-05T12:00:00", "ns")
    zone = datetime.timezone(datetime.timedelta(hours=1))
    for time in (
        noon,
        "2026-02-05T12:00:00",
        "2026-02-05T13:00:00+01:00",
        datetime.datetime(2026, 2, 5, 13, tzinfo=zone),
    ):
        assert xm.Market(standing.universe, time=time).time == noon
    later = standing.market.with_prices(time=noon).with_prices(mark_price={"PERP": 1.0})
    assert later.time == noon and standing.market.time is None


def test_input_is_copied(standing: Standing, bits: dict[str, bytes]) -> None:
    """What the caller does to the arrays after the call changes nothing."""
    frame = {name: np.array(values) for name, values in BALANCES.items()}
    positions = {name: np.array(values) for name, values in POSITIONS.items()}
    marks = np.array(list(MARK.values()))
    book = xm.Book.from_frames(standing.universe, frame, positions)
    market = xm.Market(standing.universe, INDEX, marks)
    frame["balance"][:] = NAN
    positions["quantity"][:] = NAN
    marks[:] = NAN
    assert bits_of(standing.model.evaluate(book, market)) == bits
    book.universe.assets.append("junk")
    market.mark_price[:] = NAN
    assert bits_of(standing.model.evaluate(book, market)) == bits


@pytest.mark.parametrize("dtype", ["U", "O"])
def test_texts_of_options_as_numpy_arrays(dtype: str) -> None:
    """Every column of texts, of fixed width or as objects; an empty right is none."""
    columns = {
        "instrument": ["C", "P", "F"],
        "kind": ["option", "option", "future"],
        "underlying": ["BTC", "BTC", "BTC"],
        "settlement": ["USD", "USD", "USD"],
        "right": ["call", "put", ""],
    }
    terms = {"strike": [90.0, 120.0, None], "expiry": ["2026-06-26", "2026-06-26", None]}

    def losses(texts: dict[str, Any], asset: Any) -> list[Any]:
        universe = xm.Universe.from_frames(assets={"asset": asset}, instruments=texts | terms, numeraire="USD")
        market = xm.Market(
            universe,
            index_price={"BTC": 100},
            mark_price={"C": 12, "P": 22, "F": 100},
            implied_volatility={"C": 0.5, "P": 0.5},
            time="2026-01-01",
        )
        scenarios = xm.Scenarios(price_shock=[-0.1, 0.1])
        arrays = xm.PortfolioMargin(universe, scenarios=scenarios).risk_arrays(market)
        return [arrays.instruments, arrays.losses.tolist()]

    arrays = {name: np.array(texts, dtype=dtype) for name, texts in columns.items()}
    assert losses(arrays, np.array(["USD"], dtype=dtype)) == losses(columns, ["USD"])
