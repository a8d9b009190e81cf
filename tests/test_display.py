"""Reports as text and as HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

import xmfast as xm
from xmfast.display import (
    account_html,
    account_text,
    report_html,
    report_text,
    summary_html,
    summary_text,
)
from xmfast.tables import state

VOID = {"br", "hr", "img", "input", "meta", "link"}


class Balanced(HTMLParser):
    """Checks that every tag is closed in order, and collects the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def parsed(html: str) -> Balanced:
    parser = Balanced()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def report_of(balances: dict[str, float], debt: float = 0.0) -> xm.MarginReport:
    """Accounts that hold dollars; the first one owes coins besides, if `debt` is not 0."""
    universe = xm.Universe.from_frames({"asset": ["USD", "BTC"]})
    accounts, amounts = list(balances), list(balances.values())
    book = xm.Book.from_frames(
        universe,
        {
            "account": [*accounts, *accounts[:1]],
            "asset": ["USD"] * len(accounts) + ["BTC"],
            "balance": [*amounts, -debt],
        },
    )
    model = xm.CrossMargin.from_frames(
        universe,
        collateral={
            "asset": ["BTC"],
            "initial_liability_weight": [1.5],
            "maintenance_liability_weight": [1.25],
        },
    )
    return model.evaluate(book, xm.Market(universe, index_price={"BTC": 1.0}))


@pytest.fixture
def mixed() -> xm.MarginReport:
    # Under weights 1.5 and 1.25 a debt of 1,000 coins at 1 needs 1,500 and 1,250 dollars.
    return report_of({"whale": 1_100.0, "b": 2_000_000.0, "c": 3.5}, debt=1_000.0)


def test_report_text_has_the_counts_and_the_worst_accounts(mixed: xm.MarginReport) -> None:
    lines = report_text(mixed).splitlines()
    assert lines[0] == (
        "MarginReport: 3 accounts, equity 2,000,103.50, 1 below initial (33.3 %), 1 liquidatable (33.3 %), 0 bankrupt"
    )
    assert re.sub(r" {2,}", ", ", lines[2]) == (
        "account, equity, collateral value, initial margin, maint. margin, health, margin ratio, state"
    )
    assert " ".join(lines[3].split()) == "whale 100.00 -150.00 0.00 0.00 -150.00 1.1364 liquidatable"
    assert [line.split()[0] for line in lines[3:]] == ["whale", "c", "b"]
    assert lines[5].split()[-3:] == ["2,000,000.00", "0.0000", "healthy"]
    assert str(mixed) == report_text(mixed)


def test_columns_line_up(mixed: xm.MarginReport) -> None:
    lines = report_text(mixed).splitlines()[2:]
    ends = [{match.end() for match in re.finditer(r"\S+", line)} for line in lines[1:]]
    # Numbers end below the last letter of their head.
    for head in ("equity", "collateral value", "health", "margin ratio"):
        end = lines[0].index(f"  {head}") + 2 + len(head)
        assert all(end in row for row in ends), head


def test_few_rows_are_told(mixed: xm.MarginReport) -> None:
    assert report_text(mixed, rows=1).splitlines()[-1] == "(2 more, none of lower health)"
    assert report_text(mixed, rows=0).count("\n") == 0
    assert "whale" not in report_text(mixed, rows=-3)
    assert "2 more" in parsed(report_html(mixed, rows=1)).text


def test_report_html_is_sound_and_follows_the_theme(mixed: xm.MarginReport) -> None:
    html = report_html(mixed)
    parser = parsed(html)
    assert parser.tags.count("tr") == 4
    assert "1 liquidatable (33.3 %)" in parser.text
    assert "2,000,000.00" in parser.text
    assert mixed._repr_html_() == html
    # Black text or a white ground would vanish in one theme or the other.
    style = html[html.index("<style>") : html.index("</style>")]
    assert not re.search(r"#000|#fff|black|white(?!-space)", style)


def test_ids_are_escaped() -> None:
    evil = '<script>alert("1")</script>'
    report = report_of({evil: 1.0, "line\nbreak\x1b[31m": 2.0, "x" * 100_000: 3.0, "日本語の口座": 4.0})
    html = report_html(report)
    assert "<script" not in html
    assert evil in parsed(html).text
    text = report_text(report)
    assert "\x1b" not in text
    assert "line\\nbreak\\x1b[31m" in text
    assert max(map(len, text.splitlines())) < 200
    assert "\x1b" not in account_text(report["line\nbreak\x1b[31m"])
    assert "<script" not in account_html(report[evil])
    # Wide letters take two cells, and the numbers stay below each other.
    row = next(line for line in text.splitlines() if line.startswith("日本語の口座"))
    head = next(line for line in text.splitlines() if line.startswith("account"))
    assert row.index("4.0000") + len("4.0000") + 6 == head.index("equity") + len("equity")


def test_account_text(mixed: xm.MarginReport) -> None:
    lines = account_text(mixed["whale"]).splitlines()
    assert lines[0] == "AccountMargin whale: liquidatable"
    values = dict(re.split(r"\s{2,}", line.strip()) for line in lines[1:])
    assert values["equity"] == "100.00"
    assert values["under initial weights"] == "-400.00"
    assert values["free collateral"] == "0.00"
    assert values["margin ratio"] == "1.1364"
    assert len({len(line) for line in lines[1:]}) == 1, "right-aligned"
    assert "liquidatable" in parsed(account_html(mixed["whale"])).text


def test_summary(mixed: xm.MarginReport) -> None:
    text = summary_text(mixed.summary())
    assert text.startswith("ReportSummary: 3 accounts\n")
    assert re.search(r"liquidatable +1 \(33\.3 %\)", text)
    assert re.search(r"shortfall +0\.00", text)
    assert "2,000,103.50" in parsed(summary_html(mixed.summary())).text


def test_shortfall_is_in_the_headline() -> None:
    report = report_of({"a": 10.0}, debt=25.0)
    assert report_text(report).startswith(
        "MarginReport: 1 account, equity -15.0000, 1 below initial (100.0 %), "
        "1 liquidatable (100.0 %), 1 bankrupt (100.0 %), shortfall 15.0000"
    )
    assert "bankrupt" in account_text(report["a"])


def test_small_numbers_do_not_round_to_nothing() -> None:
    # A health of -0.0000125 beside a million must not read -0.00.
    report = report_of({"a": 1_000_000.0, "b": 0.0})
    assert "1,000,000.00" in report_text(report)
    report = report_of({"a": 0.0, "b": 1_000_000.0}, debt=1e-5)
    text = account_text(report["a"])
    assert "-0.00001250" in text
    row = next(line for line in report_text(report).splitlines() if line.startswith("a "))
    assert row.split() == ["a", "-1.0e-05", "-1.3e-05", "0.00", "0.00", "-1.3e-05", "inf", "bankrupt"]


def test_ratio_next_to_one_keeps_its_side() -> None:
    report = report_of({"a": 1_000.0000001}, debt=800.0)
    assert not report.liquidatable[0]
    assert "0.9999999999" in account_text(report["a"])
    report = report_of({"a": 1_000.0}, debt=800.0)
    assert re.search(r"margin ratio +1\.0000\n?", account_text(report["a"]))


def test_negative_zero_has_no_sign() -> None:
    assert "-0.00" not in account_text(report_of({"a": -0.0})["a"])


def test_empty_report() -> None:
    universe = xm.Universe.from_frames({"asset": ["USD"]})
    book = xm.Book.from_frames(universe)
    report = xm.CrossMargin.from_frames(universe).evaluate(book, xm.Market(universe))
    assert report_text(report) == ("MarginReport: 0 accounts, equity 0.00, 0 below initial, 0 liquidatable, 0 bankrupt")
    parsed(report_html(report))
    summary_text(report.summary())


@pytest.mark.parametrize(
    ("initial_health", "liquidatable", "bankrupt", "word"),
    [
        (1.0, False, False, "healthy"),
        (0.0, False, False, "healthy"),
        (-1.0, False, False, "below initial"),
        (-1.0, True, False, "liquidatable"),
        (-1.0, True, True, "bankrupt"),
    ],
)
def test_state(initial_health: float, liquidatable: bool, bankrupt: bool, word: str) -> None:
    assert state(initial_health, liquidatable, bankrupt) == word
