"""Reports of scenario models as frames: every column of the risk, every bit, and null where no scenario loses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import xmfast as xm
from portfolio_building import report_of, risk_columns_of
from portfolio_venues import KINDS, random_portfolio_venue
from reference import COLUMNS
from reference_portfolio import CONTINGENCIES

NAMES = ["account", *COLUMNS, "scan_risk", "worst_scenario", *CONTINGENCIES]


def plain_report() -> xm.PortfolioReport:
    """A report of a model whose requirement is the worst loss alone; the last of its accounts has no loss."""
    universe = xm.Universe.from_frames(
        {"asset": ["USD"]},
        {"instrument": ["P"], "kind": ["perpetual"], "underlying": ["U"], "settlement": ["USD"]},
    )
    balances = {"account": ["long", "short", "flat"], "asset": ["USD"] * 3, "balance": [20.0, 5.0, 1.0]}
    positions = {
        "account": ["long", "short"],
        "instrument": ["P"] * 2,
        "quantity": [1.0, -2.0],
        "entry_price": [9.0] * 2,
    }
    book = xm.Book.from_frames(universe, balances, positions)
    model = xm.PortfolioMargin(universe, scenarios=xm.Scenarios(price_shock=[-0.5, 0.5]))
    return model.evaluate(book, xm.Market(universe, mark_price={"P": 10.0}))


def assert_frames_are(report: xm.PortfolioReport) -> None:
    """Assert that all libraries see the report's columns, in order and with every bit."""
    table, frame, pandas = pa.table(report), pl.DataFrame(report), report.to_pandas()
    table.validate(full=True)
    assert table.column_names == frame.columns == list(pandas.columns) == NAMES
    assert table.schema.field("worst_scenario").type == pa.int64()
    assert frame.schema["worst_scenario"] == pl.Int64()
    assert pandas["worst_scenario"].dtype == pd.Int64Dtype()
    # From frame to frame nothing is lost either.
    assert pl.DataFrame(pandas).equals(frame) and pl.DataFrame(table).equals(frame)
    worst = [None if number < 0 else number for number in report.worst_scenario.tolist()]
    assert table["worst_scenario"].to_pylist() == frame["worst_scenario"].to_list() == worst
    assert [None if number is pd.NA else number for number in pandas["worst_scenario"]] == worst
    for name, expected in risk_columns_of(report).items():
        if name == "worst_scenario":
            continue
        assert table[name].null_count == frame[name].null_count() == pandas[name].isna().sum() == 0
        columns: list[Any] = [table[name].to_numpy(), frame[name].to_numpy(), pandas[name].to_numpy()]
        if name == "account":
            assert all(column.tolist() == expected.tolist() for column in columns)
        else:
            assert {np.ascontiguousarray(column).tobytes() for column in columns} == {expected.tobytes()}, name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_frames_hold_the_risk(seed: int, kind: str) -> None:
    report = report_of(random_portfolio_venue(seed, kind, accounts=60, text_accounts=seed % 2 == 0))
    for part in (report, report.worst(7), report.worst(0)):
        assert_frames_are(part)


def test_frames_hold_a_risk_that_is_the_margin() -> None:
    report = plain_report()
    for part in (report, report.worst(2), report.worst(0)):
        assert_frames_are(part)
    frame = pl.DataFrame(report)
    assert frame.select("account", "scan_risk", "worst_scenario", "margin_floor").rows() == [
        ("long", 5.0, 0, 0.0),
        ("short", 10.0, 1, 0.0),
        ("flat", 0.0, None, 0.0),
    ]
    assert pl.DataFrame(report.worst(1))["account"].to_list() == ["short"]


def test_what_the_frame_holds_stays_as_it_is() -> None:
    report = plain_report()
    frame = report.to_pandas()
    frame.loc[0, ["scan_risk", "worst_scenario"]] = [7.0, 1]
    assert (report.scan_risk[0], report.worst_scenario[0]) == (5.0, 0)
