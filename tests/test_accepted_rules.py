"""Every form of orders, caps, tiers, brackets and indices gives the same bits; null, None and NaN say the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import xmfast as xm
from building import bits_of, isolated_bits_of
from standing import BALANCES, INDEX, MARK, NAN, Frame, Standing
from test_bad_rules import ACCOUNTS, BRACKETS, HELD, ORDERS, TIERS

MARKET: dict[str, Any] = {
    "deposit_index": {"USD": 1.01, "BTC": 1.5},
    "borrow_index": {"ETH": 1.02},
    "cumulative_funding": {"PERP": 3.0, "INVERSE": -0.00001},
}


def bits(standing: Standing, make: Callable[[Frame], Any], market: dict[str, Any] | None = None) -> tuple[Any, ...]:
    """Return the bits of all figures, the frames made so."""
    universe = standing.universe
    book = xm.Book.from_frames(universe, make(BALANCES), make(HELD), make(ORDERS), make(ACCOUNTS))
    prices = xm.Market(universe, INDEX, MARK, **(market or MARKET))
    found: list[Any] = []
    for kind in (xm.CrossMargin, xm.IsolatedMargin):
        report = kind.from_frames(universe, make(TIERS), make(BRACKETS)).evaluate(book, prices)
        found += [bits_of(report), isolated_bits_of(report)]
    return tuple(found)


def with_nan(values: list[Any]) -> list[Any]:
    return [NAN if value is None else value for value in values]


def objects(values: list[Any]) -> Any:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def without_nan(values: list[Any]) -> list[Any]:
    return [None if value != value else value for value in values]


COLUMNS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "NaN for None": with_nan,
    "None for NaN": without_nan,
    "numpy": lambda values: np.array(with_nan(values)),
    "numpy objects": objects,
    "pyarrow": pa.array,
    "pyarrow nulls": lambda values: pa.array(without_nan(values)),
    "chunks": lambda values: pa.chunked_array([pa.array(without_nan(values))[:1], pa.array(without_nan(values))[1:]]),
    "polars": lambda values: pl.Series(without_nan(values)),
    "pandas": lambda values: pd.Series(with_nan(values)),
    "pandas nullable": lambda values: (
        pd.Series(without_nan(values), dtype="Float64") if isinstance(values[0], float | None) else pd.Series(values)
    ),
}


@pytest.mark.parametrize("form", list(COLUMNS))
def test_every_form_of_a_column(standing: Standing, form: str) -> None:
    make = COLUMNS[form]
    expected = bits(standing, dict)
    assert bits(standing, lambda frame: {name: make(values) for name, values in frame.items()}) == expected


@pytest.mark.parametrize("library", ["pyarrow", "polars", "pandas", "chunked", "reordered"])
def test_every_kind_of_frame(standing: Standing, library: str) -> None:
    def make(columns: Frame) -> Any:
        if library == "polars":
            return pl.DataFrame(columns, strict=False)
        if library == "pandas":
            return pd.DataFrame(columns)
        table = pa.table(columns)
        if library == "chunked":
            return pa.concat_tables([table.slice(0, 0), table.slice(0, 1), table.slice(0, 0), table.slice(1)])
        return table.select(table.column_names[::-1]) if library == "reordered" else table

    assert bits(standing, make) == bits(standing, dict)


@pytest.mark.parametrize("form", ["array", "list", "tuple", "float32", "integers"])
def test_figures_of_a_market_as_arrays(standing: Standing, form: str) -> None:
    """In the order of the universe, 1 or 0 where a dict says nothing."""
    universe = standing.universe
    arrays: dict[str, Any] = {
        "deposit_index": [1.5, 1.25, 1.0],
        "borrow_index": [1.0, 1.0, 2.0],
        "cumulative_funding": [3.0, -0.5, 0.0, 0.0],
    }
    if form == "integers":
        arrays = {name: [round(value) or 1 for value in values] for name, values in arrays.items()}
        arrays["cumulative_funding"][2] = 0
    names = {name: universe.assets for name in arrays} | {"cumulative_funding": universe.instruments}
    by_id = {name: dict(zip(names[name], values, strict=True)) for name, values in arrays.items()}
    makers: dict[str, Callable[[list[float]], Any]] = {
        "array": np.array,
        "list": list,
        "tuple": tuple,
        "float32": lambda values: np.array(values, dtype=np.float32),
        "integers": np.array,
    }
    make = makers[form]
    by_position = {name: make(values) for name, values in arrays.items()}
    assert bits(standing, dict, by_position) == bits(standing, dict, by_id)


def test_flags_in_every_form(standing: Standing) -> None:
    expected = bits(standing, dict)
    for flags in (
        np.array([False, True, False]),
        pa.array([False, True, False]),
        pl.Series([False, True, False]),
        [np.False_, np.True_, np.False_],
    ):
        assert bits(standing, lambda frame, flags=flags: _with(frame, "reduce_only", flags)) == expected  # type: ignore[misc]


def _with(frame: Frame, column: str, values: Any) -> Frame:
    return {name: values if name == column else cells for name, cells in frame.items()}


def test_floors_left_out_are_0(standing: Standing) -> None:
    """A frame with one row for each id needs no floors."""
    margin = {"instrument": ["PERP"], "initial_rate": [0.1], "maintenance_rate": [0.05]}
    collateral = {"asset": ["BTC"], "initial_haircut": [0.1], "amount_cap": [None], "unrealized_gain_share": [0.5]}
    plain = xm.CrossMargin.from_frames(standing.universe, collateral, margin)
    spelled = xm.CrossMargin.from_frames(
        standing.universe, collateral | {"amount_floor": [0.0]}, margin | {"notional_floor": [-0.0]}
    )
    book = xm.Book.from_frames(standing.universe, {"account": ["ann"], "asset": ["BTC"], "balance": [2.0]})
    assert bits_of(plain.evaluate(book, standing.market)) == bits_of(spelled.evaluate(book, standing.market))


def test_input_is_copied(standing: Standing) -> None:
    """What the caller does to the arrays after the call changes nothing."""
    arrays: list[Any] = []

    def make(frame: Frame) -> Frame:
        made = {name: np.array(with_nan(values)) for name, values in frame.items()}
        arrays.extend(made.values())
        return made

    universe = standing.universe
    book = xm.Book.from_frames(universe, make(BALANCES), make(HELD), make(ORDERS), make(ACCOUNTS))
    model = xm.CrossMargin.from_frames(universe, make(TIERS), make(BRACKETS))
    indices: dict[str, Any] = {
        "deposit_index": np.array([1.01, 1.5, 1.0]),
        "cumulative_funding": np.array([3.0, -0.00001, 0.0, 0.0]),
    }
    market = xm.Market(universe, INDEX, MARK, **indices)
    before = model.evaluate(book, market)
    expected = bits_of(before), isolated_bits_of(before)
    for array in [*arrays, *indices.values()]:
        if array.dtype.kind in "fb":
            array[:] = 0
    after = model.evaluate(book, market)
    assert (bits_of(after), isolated_bits_of(after)) == expected
