"""What can be done with the report of isolated positions, and how long its arrays live."""

from __future__ import annotations

import gc
import re
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import xmfast as xm
from building import FLAGS, bits_of, build, isolated_bits_of, report_of
from reference import COLUMNS
from rule_venues import RULES, random_rule_venue
from test_display import parsed

FACTS = ("quantity", "isolated_margin", "notional", "unrealized_pnl")


@pytest.fixture(scope="module", params=["integers", "texts"])
def report(request: pytest.FixtureRequest) -> xm.MarginReport:
    return report_of(random_rule_venue(1, rules=RULES, accounts=400, text_accounts=request.param == "texts"))


def test_columns_have_one_value_per_position(report: xm.MarginReport) -> None:
    isolated = report.isolated
    assert len(isolated) > 100
    for name in ("accounts", "instruments", *FACTS, *COLUMNS):
        column = getattr(isolated, name)
        assert column.shape == (len(isolated),), name
        assert not column.flags.writeable, name
        if name in (*FACTS, *COLUMNS):
            assert column.dtype == (np.bool_ if name in FLAGS else np.float64), name
    assert isolated.accounts.dtype == report.accounts.dtype
    assert {type(instrument) for instrument in isolated.instruments} == {str}
    assert (isolated.notional >= 0).all()


def test_positions_come_by_account_and_then_by_instrument(report: xm.MarginReport) -> None:
    account = {name: row for row, name in enumerate(report.accounts.tolist())}
    positions = zip(report.isolated.accounts.tolist(), report.isolated.instruments.tolist(), strict=True)
    # The instruments of a random venue are I0, I1, ... in this order.
    keys = [(account[owner], int(name[1:])) for owner, name in positions]
    assert keys == sorted(set(keys))


@pytest.mark.parametrize("library", ["pyarrow", "polars", "pandas"])
def test_frames(report: xm.MarginReport, library: str) -> None:
    isolated: Any = report.isolated
    columns: dict[str, Any]
    if library == "pyarrow":
        table = pa.table(isolated)
        columns = {name: table[name].to_numpy() for name in table.column_names}
        assert all(not field.nullable for field in table.schema)
    elif library == "polars":
        frame = pl.DataFrame(isolated)
        columns = {name: frame[name].to_numpy() for name in frame.columns}
    else:
        frame = isolated.to_pandas()
        assert isinstance(frame, pd.DataFrame)
        columns = {name: frame[name].to_numpy() for name in frame.columns}
    assert list(columns)[:6] == ["account", "instrument", *FACTS] and set(columns) == {*list(columns)[:6], *COLUMNS}
    assert columns["account"].tolist() == isolated.accounts.tolist()
    assert columns["instrument"].tolist() == isolated.instruments.tolist()
    for name in (*FACTS, *COLUMNS):
        np.testing.assert_array_equal(columns[name], getattr(isolated, name), err_msg=name)


def test_no_isolated_position() -> None:
    report = report_of(random_rule_venue(1, rules=["orders"], accounts=50))
    isolated: Any = report.isolated
    assert len(isolated) == len(isolated.worst()) == 0
    assert all(getattr(isolated, name).shape == (0,) for name in ("accounts", "instruments", *FACTS, *COLUMNS))
    some: Any = report_of(random_rule_venue(1, rules=RULES, accounts=50)).isolated
    assert pa.table(isolated).schema == pa.table(some).schema
    assert len(isolated.to_pandas()) == 0 and len(pl.DataFrame(isolated)) == 0
    assert "0 isolated positions" in repr(isolated)


@pytest.mark.parametrize("count", [0, 1, 3, 10**6])
def test_worst(report: xm.MarginReport, count: int) -> None:
    worst = report.isolated.worst(count)
    right = np.argsort(report.isolated.health, kind="stable")[:count]
    for name in ("accounts", "instruments", *FACTS, *COLUMNS):
        assert getattr(worst, name).tolist() == getattr(report.isolated, name)[right].tolist(), name
    with pytest.raises(xm.InputError):
        report.isolated.worst(-1)


def test_worst_accounts_take_their_positions_along(report: xm.MarginReport) -> None:
    worst = report.worst(20)
    assert set(worst.isolated.accounts) <= set(worst.accounts)
    figures = dict(
        zip(
            zip(report.isolated.accounts, report.isolated.instruments, strict=True),
            report.isolated.health.tolist(),
            strict=True,
        )
    )
    positions = zip(worst.isolated.accounts, worst.isolated.instruments, strict=True)
    assert [figures[position] for position in positions] == worst.isolated.health.tolist()
    assert len(worst.isolated) == sum(account in set(worst.accounts) for account in report.isolated.accounts)


def test_text_and_html_name_the_worst(report: xm.MarginReport) -> None:
    isolated = report.isolated
    text, html = repr(isolated), isolated._repr_html_()
    assert f"{len(isolated):,} isolated positions" in text
    assert f"{int(isolated.liquidatable.sum()):,} liquidatable" in text
    worst = isolated.worst(1)
    account, instrument = str(worst.accounts[0]), worst.instruments[0]
    assert account in text and instrument in text
    found = parsed(html).text
    assert account in found and instrument in found
    assert not re.search(r"nan|None", text)


def test_arrays_outlive_the_report_and_the_next_evaluation() -> None:
    model, book, market = build(random_rule_venue(2, rules=RULES, accounts=2000))
    report = model.evaluate(book, market)
    expected = isolated_bits_of(report), bits_of(report)
    health, quantity = report.isolated.health, report.isolated.quantity
    copies = health.copy(), quantity.copy()
    del report
    gc.collect()
    for _ in range(5):
        again = model.evaluate(book, market)
        assert (isolated_bits_of(again), bits_of(again)) == expected
    np.testing.assert_array_equal(health, copies[0])
    np.testing.assert_array_equal(quantity, copies[1])


def test_unknown_position_of_a_report(report: xm.MarginReport) -> None:
    account = report.isolated.accounts[0]
    with pytest.raises(xm.UnknownIdError, match="no isolated position"):
        report.explain(account, "I999")


def test_the_report_counts_its_isolated_positions(report: xm.MarginReport) -> None:
    """Whoever reads "0 liquidatable" of the accounts reads of their isolated positions too."""
    line = "and " + repr(report.isolated).splitlines()[0].removeprefix("IsolatedReport: ")
    assert repr(report).splitlines()[1] == line and "liquidatable" in line
    assert f"<div>{line}</div>" in report._repr_html_()
