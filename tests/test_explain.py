"""Explanations: exact parts, exact totals, and one line that leads to the float in the report."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest

import xmfast as xm
from building import build, reference_of
from reference import exact
from rule_venues import random_rule_venue
from small_venue import venue as small_venue
from strategies import random_venue
from xmfast.explanation import FIGURES

MODES = ("cross", "isolated")


def assert_adds_up(why: xm.Explanation, expected: dict[str, Fraction]) -> None:
    """Assert that the parts sum to the exact figures, and with the rounding to the reported ones."""
    for name in FIGURES:
        total = sum((getattr(line, name) for line in why.lines), Fraction(0))
        assert total == getattr(why.total, name) == expected[name], name
        assert total + getattr(why.rounding, name) == Fraction(why.figures[name]), name


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(3))
def test_every_account_of_a_random_venue(mode: str, seed: int) -> None:
    venue = random_rule_venue(seed, mode=mode, accounts=250)
    model, book, market = build(venue)
    report, expected = model.evaluate(book, market), reference_of(venue, number=exact)
    assert isinstance(report, xm.MarginReport)
    for row, account in enumerate(report.accounts.tolist()):
        why = report.explain(account)
        assert why.figures["health"] == report.health[row] and why.figures["equity"] == report.equity[row]
        assert_adds_up(why, {name: expected[name][row] for name in FIGURES})
    isolated = expected["isolated"]
    for row, (account, instrument) in enumerate(zip(isolated["account"], isolated["instrument"], strict=True)):
        why = report.explain(account, instrument)
        assert why.figures["health"] == report.isolated.health[row]
        assert_adds_up(why, {name: isolated[name][row] for name in FIGURES})
    kinds = {line.kind for account in report.accounts.tolist() for line in report.explain(account).lines}
    assert {"cash", "haircut tier"} <= kinds


def test_lines_say_what_was_charged() -> None:
    """One line for each leg and each thing beyond legs, with its price, weight or rate."""
    report = why_of(
        balances=[("USD", 10_000.0), ("BTC", 3.0)],
        positions=[("PERP", 100.0, 90.0)],
        orders=[("PERP", 20.0, 101.0, False)],
        collateral={"asset": ["BTC", "BTC"], "amount_floor": [0, 2], "initial_haircut": [0.1, 0.5]},
        margin={
            "instrument": ["PERP", "PERP"],
            "notional_floor": [0, 4_000],
            "initial_rate": [0.1, 0.2],
            "maintenance_rate": [0.05, 0.1],
        },
        mark_price={"PERP": 100.0},
    )
    lines = {line.what: line for line in report.lines}
    assert set(lines) >= {
        "cash USD",
        "cash BTC",
        "haircut tier 2 BTC",
        "entry cost USD",
        "position PERP",
        "bracket 2 PERP",
    }
    assert lines["position PERP"].price == 100 and lines["position PERP"].maintenance_rate == Fraction(1, 20)
    assert lines["position PERP"].maintenance_margin == 500
    # 6,000 of the notional lie beyond 4,000, at 5 % more.
    assert lines["bracket 2 PERP"].quantity == 60 and lines["bracket 2 PERP"].maintenance_margin == 300
    assert lines["cash BTC"].initial_weight == Fraction(9, 10)
    assert lines["haircut tier 2 BTC"].quantity == 1
    # 120 contracts at 100: a tenth, and another tenth of the 8,000 beyond 4,000; the bid is one above the mark.
    assert lines["order exposure PERP"].initial_margin == 1_200
    assert lines["order exposure bracket 2 PERP"].initial_margin == 800
    assert lines["opening loss PERP"].initial_margin == 20


def why_of(**holdings: Any) -> xm.Explanation:
    venue = small_venue(**holdings)
    model, book, market = build(venue)
    report = model.evaluate(book, market)
    return report.explain(report.accounts[0])


def test_it_prints_and_exports() -> None:
    why = why_of(balances=[("USD", 0.1)], positions=[("PERP", 0.2, 100.0)])
    text = repr(why)
    assert "position PERP" in text and "rounding" in text and text.splitlines()[-1].startswith("reported")
    html = why._repr_html_()
    assert html.startswith('<div class="xmfast">') and "position PERP" in html
    table = pa.table(why)
    assert table.column("kind").to_pylist() == [*(line.kind for line in why.lines), "rounding"]
    parts = [Fraction(part) for part in table.column("health_exact").to_pylist()]
    assert sum(parts) == Fraction(why.figures["health"])


def test_names_are_escaped() -> None:
    name = "<b>&"
    universe = xm.Universe.from_frames({"asset": ["USD", name]})
    book = xm.Book.from_frames(universe, {"account": [name], "asset": [name], "balance": [1.0]})
    report = xm.CrossMargin.from_frames(universe).evaluate(book, xm.Market(universe, {name: 2.0}))
    html = report.explain(name)._repr_html_()
    assert name not in html and "&lt;b&gt;&amp;" in html


def test_accounts_picked_from_a_report_keep_their_reasons() -> None:
    model, book, market = build(random_venue(3, accounts=400))
    report = model.evaluate(book, market)
    for account in report.worst(5).accounts.tolist():
        assert repr(report.worst(5).explain(account)) == repr(report.explain(account))


def test_unknown_accounts_and_positions() -> None:
    model, book, market = build(small_venue(balances=[("USD", 1.0)], positions=[("PERP", 1.0, 100.0)]))
    report = model.evaluate(book, market)
    account = report.accounts[0]
    with pytest.raises(xm.UnknownIdError, match="nobody"):
        report.explain("nobody")
    with pytest.raises(xm.UnknownIdError, match="no isolated position in 'PERP'"):
        report.explain(account, "PERP")


def test_the_text_fits_a_terminal_and_loses_no_number() -> None:
    """Blocks one below the other, each named by the first column; every reported float stands there in full."""
    venue = random_rule_venue(0, mode="cross", accounts=60)
    model, book, market = build(venue)
    report = model.evaluate(book, market)
    assert isinstance(report, xm.MarginReport)
    for account in report.accounts.tolist():
        why = report.explain(account)
        text = repr(why)
        assert max(map(len, text.splitlines())) <= 100
        reported = [line.split()[1:] for line in text.splitlines() if line.startswith("reported")]
        assert sorted(number for row in reported for number in row) == sorted(map(repr, why.figures.values()))
