"""The histogram of margin ratios."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import xmfast as xm
from xmfast.picture import margin_ratio_figure


def report_of(ratios: list[float]) -> xm.MarginReport:
    """One account for each ratio: it owes that many coins at 1 and holds one dollar."""
    universe = xm.Universe.from_frames({"asset": ["USD", "BTC"]})
    account = list(range(len(ratios)))
    book = xm.Book.from_frames(
        universe,
        {
            "account": account + account,
            "asset": ["USD"] * len(ratios) + ["BTC"] * len(ratios),
            "balance": [1.0] * len(ratios) + [-ratio for ratio in ratios],
        },
    )
    model = xm.CrossMargin.from_frames(universe)
    return model.evaluate(book, xm.Market(universe, index_price={"BTC": 1.0}))


def test_every_account_is_in_one_bar_of_its_state() -> None:
    pytest.importorskip("plotly")
    figure = margin_ratio_figure(report_of([0.0, 0.25, 0.5, 0.999, 1.0, 1.001, 3.0, 1e-7, 1e6]))
    names = [bar.name for bar in figure.data]
    # Equity is 1 - ratio, so past 1 an account without weights is bankrupt at once.
    assert names == ["healthy: 5", "below initial: 0", "liquidatable: 0", "bankrupt: 3"]
    assert sum(int(np.sum(bar.y)) for bar in figure.data) == 8
    for bar in figure.data:
        beyond = np.asarray(bar.x) > 0
        assert np.asarray(bar.y)[beyond if bar.name.startswith("healthy") else ~beyond].sum() == 0
    assert "1 that owe and require nothing" in figure.layout.title.text
    assert [note.text for note in figure.layout.annotations] == ["5 safe", "liquidation: 3"]
    assert figure.layout.shapes[0].x0 == figure.layout.shapes[0].x1 == 0.0  # log10 of 1
    low, high = figure.layout.xaxis.range
    assert low <= min(figure.layout.xaxis.tickvals) and max(figure.layout.xaxis.tickvals) <= high


def test_the_picture_of_many_accounts_is_small() -> None:
    pytest.importorskip("plotly")
    ratios = np.random.default_rng(1).lognormal(-1.0, 1.0, 20_000)
    figure = margin_ratio_figure(report_of(ratios.tolist()))
    assert len(figure.to_json()) < 100_000
    assert sum(int(np.sum(bar.y)) for bar in figure.data) == 20_000


def test_a_report_without_ratios_still_makes_a_picture() -> None:
    pytest.importorskip("plotly")
    figure = margin_ratio_figure(report_of([0.0]))
    assert sum(int(np.sum(bar.y)) for bar in figure.data) == 0
    figure.to_json()


def test_figure_is_a_method_of_the_report() -> None:
    pytest.importorskip("plotly")
    report = report_of([0.5, 2.0])
    assert report.figure().to_json() == margin_ratio_figure(report).to_json()


def test_without_plotly_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(ImportError, match=r"pip install 'xmfast\[report\]'") as caught:
        margin_ratio_figure(report_of([0.5]))
    assert caught.value.name == "plotly"
