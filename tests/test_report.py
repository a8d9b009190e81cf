"""What can be done with a report, and how long its arrays live."""

from __future__ import annotations

import gc
import json
import math
import pickle
import re
from dataclasses import FrozenInstanceError, asdict, fields
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import xmfast as xm
from building import FLAGS, VALUES, bits_of, build, columns_of, report_of
from reference import COLUMNS
from strategies import random_venue


@pytest.fixture(scope="module")
def report() -> xm.MarginReport:
    return report_of(random_venue(1, accounts=500))


@pytest.fixture(scope="module")
def text_report() -> xm.MarginReport:
    return report_of(random_venue(1, accounts=500, text_accounts=True))


def test_columns_have_one_value_per_account(report: xm.MarginReport) -> None:
    for name in COLUMNS:
        column = getattr(report, name)
        assert column.shape == (len(report),) == report.accounts.shape
        assert column.dtype == (np.bool_ if name in FLAGS else np.float64), name


def test_accounts_are_the_book_s_and_keep_their_kind(report: xm.MarginReport, text_report: xm.MarginReport) -> None:
    assert report.accounts.dtype == np.int64
    assert text_report.accounts.dtype == object
    assert {type(account) for account in text_report.accounts} == {str}
    _, book, _ = build(random_venue(1, accounts=500))
    assert report.accounts.tolist() == book.accounts.tolist()


def test_order_of_first_appearance_balances_before_positions() -> None:
    universe = xm.Universe.from_frames(
        {"asset": ["USD"]},
        {"instrument": ["P"], "kind": ["perpetual"], "underlying": ["X"], "settlement": ["USD"]},
    )
    book = xm.Book.from_frames(
        universe,
        {"account": [5, 3, 9], "asset": ["USD"] * 3, "balance": [1.0] * 3},
        {"account": [4, 3, 1], "instrument": ["P"] * 3, "quantity": [1.0] * 3, "entry_price": [1.0] * 3},
    )
    assert book.accounts.tolist() == [5, 3, 9, 4, 1]
    assert (len(book), book.balance_count, book.position_count) == (5, 3, 3)


def test_arrays_are_read_only(report: xm.MarginReport) -> None:
    for name in ("accounts", *COLUMNS):
        column = getattr(report, name)
        assert not column.flags.writeable, name
        with pytest.raises(ValueError, match="read-only"):
            column[0] = column[0]
        if name not in ("accounts", "free_collateral", *FLAGS):
            # Views of the core's memory, which serves later reports too: writing cannot be turned on either.
            with pytest.raises(ValueError, match="WRITEABLE"):
                column.flags.writeable = True


def test_one_account_is_a_row_of_the_columns(report: xm.MarginReport, text_report: xm.MarginReport) -> None:
    for one in (report, text_report):
        for row in range(0, len(one), 7):
            account = one.accounts.tolist()[row]
            margin = one[account]
            assert margin.account == account
            for name in COLUMNS:
                got = getattr(margin, name)
                assert got == getattr(one, name)[row], name
                assert type(got) is (bool if name in FLAGS else float), name


def test_one_account_is_a_frozen_record(report: xm.MarginReport) -> None:
    margin = report[report.accounts.tolist()[0]]
    assert [field.name for field in fields(margin)] == ["account", *COLUMNS]
    with pytest.raises(FrozenInstanceError):
        margin.health = 1.0  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(margin)) == margin
    json.dumps(asdict(margin))


def test_numpy_integers_find_an_account(report: xm.MarginReport) -> None:
    account: Any = report.accounts[3]
    assert account.dtype == np.int64
    assert report[account] == report[int(account)]


@pytest.mark.parametrize("account", ["nobody", 10**6, None, 1.5, True, (), 2**70])
def test_no_such_account(report: xm.MarginReport, text_report: xm.MarginReport, account: object) -> None:
    for one in (report, text_report):
        with pytest.raises((KeyError, TypeError)):
            one[account]  # type: ignore[index]


@pytest.mark.parametrize("n", [0, 1, 10, 499, 500, 501, 10**9])
def test_worst_are_the_lowest_health_in_order(report: xm.MarginReport, n: int) -> None:
    worst = report.worst(n)
    assert len(worst) == min(n, len(report))
    order = np.argsort(report.health, kind="stable")[:n]
    assert worst.accounts.tolist() == report.accounts[order].tolist()
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(worst, name), getattr(report, name)[order], err_msg=name)


def test_worst_defaults_to_ten_and_is_a_report_itself(text_report: xm.MarginReport) -> None:
    worst = text_report.worst()
    assert len(worst) == 10
    assert worst.worst(3).accounts.tolist() == worst.accounts[:3].tolist()
    assert worst[worst.accounts[0]] == text_report[worst.accounts[0]]
    assert worst.summary().accounts == 10
    others = set(text_report.accounts.tolist()) - set(worst.accounts.tolist())
    with pytest.raises(xm.UnknownIdError):
        worst[others.pop()]
    assert pl.DataFrame(worst).height == 10


def test_worst_names_ties_in_order_of_account() -> None:
    universe = xm.Universe.from_frames({"asset": ["USD"]})
    count = 1000
    book = xm.Book.from_frames(
        universe,
        {"account": list(range(count)), "asset": ["USD"] * count, "balance": [float(n % 2) for n in range(count)]},
    )
    report = xm.CrossMargin.from_frames(universe).evaluate(book, xm.Market(universe))
    assert report.worst(5).accounts.tolist() == [0, 2, 4, 6, 8]
    assert report.worst(501).accounts.tolist() == [*range(0, count, 2), 1]


@pytest.mark.parametrize("n", [-1, -(10**9)])
def test_worst_of_fewer_than_none(report: xm.MarginReport, n: int) -> None:
    with pytest.raises(ValueError, match="n must be >= 0"):
        report.worst(n)


def test_summary_adds_up(report: xm.MarginReport) -> None:
    summary = report.summary()
    assert summary.accounts == len(report)
    for name in ("equity", "collateral_value", "initial_margin", "maintenance_margin"):
        assert getattr(summary, name) == pytest.approx(math.fsum(getattr(report, name)), rel=1e-9, abs=1e-6), name
    assert summary.below_initial == int((report.initial_health < 0).sum())
    assert summary.liquidatable == int((report.health < 0).sum())
    assert summary.bankrupt == int((report.equity < 0).sum())
    assert summary.shortfall == pytest.approx(-math.fsum(report.equity[report.equity < 0]), rel=1e-9)
    assert all(type(value) in (int, float) for value in asdict(summary).values())


def test_text_names_the_worst_and_fits_a_terminal(text_report: xm.MarginReport) -> None:
    text = str(text_report)
    assert text == repr(text_report)
    assert "500 accounts" in text
    assert str(text_report.worst(1).accounts[0]) in text
    assert len(text.splitlines()) < 60
    for part in (text_report.summary(), text_report[text_report.accounts[0]]):
        assert len(str(part).splitlines()) > 3


def test_html_is_well_formed_and_escaped() -> None:
    from html.parser import HTMLParser

    universe = xm.Universe.from_frames({"asset": ["USD"]})
    script = "<script>alert('x')</script>"
    book = xm.Book.from_frames(universe, {"account": [script], "asset": ["USD"], "balance": [1.0]})
    report = xm.CrossMargin.from_frames(universe).evaluate(book, xm.Market(universe))

    class Balanced(HTMLParser):
        open: list[str]

        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("br", "hr", "img", "meta", "col"):
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    for part in (report, report.summary(), report[script]):
        html = part._repr_html_()
        assert "<script>" not in html
        assert "<table" in html
        parser = Balanced()
        parser.open = []
        parser.feed(re.sub(r"<style.*?</style>", "", html, flags=re.DOTALL))
        assert parser.open == []


@pytest.mark.parametrize("kind", ["report", "text_report"])
def test_frames_hold_every_column_and_every_bit(request: pytest.FixtureRequest, kind: str) -> None:
    report: xm.MarginReport = request.getfixturevalue(kind)
    names = ["account", *COLUMNS]
    table = pa.table(report)
    frames = {
        "pyarrow": {name: table[name].to_numpy() for name in names},
        "polars": {name: pl.DataFrame(report)[name].to_numpy() for name in names},
        "pandas": {name: report.to_pandas()[name].to_numpy() for name in names},
    }
    assert table.column_names == pl.DataFrame(report).columns == list(report.to_pandas().columns) == names
    assert isinstance(report.to_pandas(), pd.DataFrame)
    for library, columns in frames.items():
        assert columns["account"].tolist() == report.accounts.tolist(), library
        for name in COLUMNS:
            assert np.asarray(columns[name]).tobytes() == np.ascontiguousarray(getattr(report, name)).tobytes(), name
    table.validate(full=True)
    assert all(column.null_count == 0 for column in table.columns)


def test_a_report_as_a_frame_can_be_read_back_as_a_book(text_report: xm.MarginReport) -> None:
    """What goes out comes in again: equity in the numeraire is a balance."""
    frame = pl.DataFrame(text_report).select("account", pl.lit("USD").alias("asset"), pl.col("equity").alias("balance"))
    universe = xm.Universe.from_frames({"asset": ["USD"]})
    book = xm.Book.from_frames(universe, frame)
    again = xm.CrossMargin.from_frames(universe).evaluate(book, xm.Market(universe))
    np.testing.assert_array_equal(again.equity, text_report.equity)
    assert again.accounts.tolist() == text_report.accounts.tolist()


def test_stream_can_be_asked_for_again(report: xm.MarginReport) -> None:
    assert pa.table(report).equals(pa.table(report))


def test_a_later_evaluation_leaves_an_older_report_alone() -> None:
    """Buffers are used again, but only when nobody can see them any more."""
    model, book, market = build(random_venue(2, accounts=6_000))
    first = model.evaluate(book, market)
    copies = columns_of(first)
    other = market.with_prices(
        mark_price={
            name: abs(price) + 1.0 for name, price in zip(model.universe.instruments, market.mark_price, strict=True)
        }
    )
    alive = [model.evaluate(book, other) for _ in range(5)]
    for name in COLUMNS:
        assert np.asarray(getattr(first, name)).tobytes() == copies[name].tobytes(), name
    assert all(bits_of(report) == bits_of(alive[0]) for report in alive)
    assert bits_of(first) != bits_of(alive[0])


def test_a_column_outlives_its_report() -> None:
    model, book, market = build(random_venue(3, accounts=6_000))
    report = model.evaluate(book, market)
    columns = {name: getattr(report, name) for name in ("accounts", *COLUMNS)}
    part = report.health[100:200:3]
    table = pa.table(report)
    copies = {name: np.array(column) for name, column in columns.items()}
    wanted = table.to_pydict()
    del report
    gc.collect()
    market = market.with_prices(mark_price=np.abs(market.mark_price) * 2 + 1)
    for _ in range(10):
        model.evaluate(book, market)
    for name, column in columns.items():
        np.testing.assert_array_equal(column, copies[name], err_msg=name)
    np.testing.assert_array_equal(part, copies["health"][100:200:3])
    assert table.to_pydict() == wanted


def test_a_report_outlives_what_it_was_made_of() -> None:
    venue = random_venue(4, accounts=6_000, text_accounts=True)
    model, book, market = build(venue)
    report = model.evaluate(book, market)
    expected = bits_of(report)
    accounts = report.accounts.tolist()
    del model, book, market
    gc.collect()
    again = [report_of(random_venue(seed, accounts=6_000)) for seed in (5, 6)]
    assert bits_of(report) == expected
    assert report.accounts.tolist() == accounts
    assert report[accounts[17]].account == accounts[17]
    assert len(again) == 2 and len(report.worst(3)) == 3


def test_a_book_outlives_its_frames_and_its_universe() -> None:
    universe = xm.Universe.from_frames({"asset": ["USD"]})
    frame = pl.DataFrame({"account": ["x", "y"], "asset": ["USD", "USD"], "balance": [1.0, 2.0]})
    book = xm.Book.from_frames(universe, frame)
    model, market = xm.CrossMargin.from_frames(universe), xm.Market(universe)
    del frame, universe
    gc.collect()
    assert model.evaluate(book, market).equity.tolist() == [1.0, 2.0]


def test_memory_does_not_grow_with_evaluations() -> None:
    """Ten thousand reports made and dropped; a report kept each time would be 600 MB."""
    resource = pytest.importorskip("resource")
    model, book, market = build(random_venue(7, accounts=1_000))
    for _ in range(100):
        model.evaluate(book, market)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(10_000):
        assert len(model.evaluate(book, market).margin_ratio) == len(book)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_bytes_of_a_book_are_told() -> None:
    model, book, market = build(random_venue(8, accounts=5_000))
    before = book.nbytes
    model.evaluate(book, market)
    after = book.nbytes
    assert set(before) == {"book", "layout", "ids"}
    assert before["layout"] == 0 < after["layout"]
    assert before["book"] == after["book"] > 20 * book.position_count
    assert before["ids"] == after["ids"] > 0


def test_values_are_finite_and_ratios_are_not_nan(report: xm.MarginReport) -> None:
    for name in VALUES:
        assert np.isfinite(getattr(report, name)).all()
    assert not np.isnan(report.margin_ratio).any()
