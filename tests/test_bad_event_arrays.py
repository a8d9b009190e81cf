"""Arrays of events: one bad cell refuses all rows, and is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import xmfast as xm
from standing import INF, NAN, refused
from standing_engine import standing_engine, unchanged


@pytest.fixture(scope="module")
def opened() -> xm.Engine:
    return standing_engine()


@pytest.fixture
def engine(opened: xm.Engine) -> Iterator[xm.Engine]:
    with unchanged(opened):
        yield opened


ROWS: dict[str, Any] = {
    "account": ["ann", "bob", "ann"],
    "instrument": ["PERP", "PERP", "OIL"],
    "quantity": [1.0, -1.0, 2.0],
    "price": [100.0, 100.0, -5.0],
}
BAD_CELLS: list[tuple[str, Any, type[Exception], tuple[str, ...]]] = [
    ("account", "anna", xm.UnknownIdError, ("account", "row 1", "did you mean 'ann'")),
    ("account", None, xm.ColumnError, ("account", "row 1")),
    ("instrument", "PERPS", xm.UnknownIdError, ("instrument", "row 1", "did you mean 'PERP'")),
    ("quantity", 0.0, xm.InputError, ("row 1", "quantity")),
    ("quantity", NAN, xm.InputError, ("quantity", "row 1")),
    ("quantity", INF, xm.InputError, ("quantity", "row 1", "finite")),
    ("quantity", 1e-9, xm.InputError, ("quantity", "row 1", "8 decimals")),
    ("quantity", 1e300, xm.InputError, ("quantity", "row 1", "too large")),
    ("quantity", "1", xm.ColumnError, ("quantity", "row 1")),
    ("price", 0.0, xm.InputError, ("row 1", "price", "PERP")),
    ("price", NAN, xm.InputError, ("price", "row 1")),
    ("price", -INF, xm.InputError, ("price", "row 1", "finite")),
    ("price", None, xm.ColumnError, ("price", "row 1")),
]


@pytest.mark.parametrize("method", ["fills", "check_orders"])
@pytest.mark.parametrize(("column", "bad", "error", "words"), BAD_CELLS)
def test_one_bad_cell_refuses_all_rows(
    engine: xm.Engine, method: str, column: str, bad: Any, error: type[Exception], words: tuple[str, ...]
) -> None:
    frame = ROWS | {column: [ROWS[column][0], bad, ROWS[column][2]]}
    refused(lambda: getattr(engine, method)(**frame), error, *words)


@pytest.mark.parametrize("method", ["fills", "check_orders"])
@pytest.mark.parametrize("column", ROWS)
def test_columns_of_different_lengths(engine: xm.Engine, method: str, column: str) -> None:
    refused(lambda: getattr(engine, method)(**(ROWS | {column: ROWS[column][:2]})), xm.ColumnError, "rows")
    refused(lambda: getattr(engine, method)(**(ROWS | {column: "PERP"})), xm.ColumnError, column)
    matrix = np.ones((3, 2))
    refused(lambda: getattr(engine, method)(**(ROWS | {column: matrix})), xm.ColumnError, column, "dimension")
    masked = np.ma.MaskedArray([1.0, 1.0, 1.0], mask=[False, True, False])
    refused(lambda: getattr(engine, method)(**(ROWS | {column: masked})), xm.ColumnError, column, "mask")


@pytest.mark.parametrize("bad", [NAN, INF, "1", True, 1e300], ids=repr)
def test_one_bad_fee_refuses_all_rows(engine: xm.Engine, bad: Any) -> None:
    with pytest.raises(xm.InputError, match=r"fee.*row 1"):
        engine.fills(**ROWS, fee=[0, bad, 0])


def test_a_fill_that_the_state_forbids_refuses_all_rows(engine: xm.Engine) -> None:
    frame = ROWS | {"instrument": ["PERP", "COINCALL", "OIL"], "price": [100.0, 0.01, -5.0]}
    refused(lambda: engine.fills(**frame), xm.RefusedError, "fills", "row 1", "COINCALL", "settled")


def test_one_bad_price_refuses_all_ticks(engine: xm.Engine) -> None:
    refused(lambda: engine.ticks(["PERP", "BTC", "OIL"], [90.0, -1.0, 3.0]), xm.InputError, "BTC")
    refused(lambda: engine.ticks(["PERP", "BTC"], [90.0]), xm.ColumnError, "ticks", "rows")
    refused(lambda: engine.ticks(["PERP", "USD"], [90.0, 2.0]), xm.InputError, "USD", "numeraire")
    refused(lambda: engine.ticks("PERP", [90.0]), xm.ColumnError, "ticks", "id")
    refused(lambda: engine.tick(index="USD", price=2), xm.InputError, "USD", "numeraire")
    with pytest.raises(TypeError, match="tick"):
        engine.tick("PERP")
    with pytest.raises(TypeError, match="tick"):
        engine.tick("PERP", 1, index="BTC")
    with pytest.raises(TypeError, match="tick"):
        engine.tick(price=1)
