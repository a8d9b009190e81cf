"""Each contestant gives xmfast's figures; pytest-benchmark times it.

pytest benches                                            a small venue, answers and times
pytest benches --benchmark-disable                        answers alone
XMFAST_BENCH_ACCOUNTS=1000000 pytest benches              the reference venue
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import decisions
import measure
import numba_peers
import peers
import prices
import rules
import scenarios
from peers import Answer, Contestant
from venue import Floats, Venue, frames, multi_settlement, venue

ACCOUNTS = int(os.environ.get("XMFAST_BENCH_ACCOUNTS", "5000"))

SINGLE = (
    numba_peers.numba_single,
    numba_peers.numba_units,
    peers.numpy_single,
    peers.numpy_single_tuned,
    peers.numpy_units,
    peers.polars_single,
    peers.scipy_single,
)
SEVERAL = (numba_peers.numba_units, peers.numpy_units)
WORKLOADS = ((venue, SINGLE), (multi_settlement, SEVERAL))


@cache
def workload(make: Callable[[int], Venue]) -> tuple[Venue, Answer, Floats]:
    """Return a venue, xmfast's figures and what differences are measured against."""
    book = make(ACCOUNTS)
    ours = peers.xmfast(book)
    return book, ours.answer(ours.evaluate()), peers.gross(book)


@pytest.mark.parametrize(
    ("make", "peer"),
    [(make, peer) for make, those in WORKLOADS for peer in (*those, peers.xmfast)],
    ids=lambda function: str(function.__name__),
)
def test_contestant(benchmark: Any, make: Callable[[int], Venue], peer: Callable[[Venue], Contestant]) -> None:
    book, expected, gross = workload(make)
    contestant = peer(book)
    assert peers.difference(contestant.answer(contestant.evaluate()), expected, gross) <= measure.TOLERANCE
    benchmark(contestant.evaluate)


@pytest.mark.parametrize("streaming", [False, True])
def test_bandwidth(benchmark: Any, streaming: bool) -> None:
    book = workload(venue)[0]
    loop = numba_peers.bandwidth(measure.leg_count(book), len(book.accounts), streaming=streaming)
    benchmark(loop.evaluate)


@pytest.mark.parametrize("arrow", [False, True], ids=["numpy", "arrow"])
@pytest.mark.parametrize("text_accounts", [False, True], ids=["integers", "strings"])
@pytest.mark.parametrize("shuffled", [False, True], ids=["sorted", "shuffled"])
def test_build(benchmark: Any, arrow: bool, text_accounts: bool, shuffled: bool) -> None:
    """However the frames come, the book says the same to the last bit."""
    import xmfast as xm

    book, expected, _ = workload(venue)
    universe, model, market = peers.xmfast_model(book)
    balances, positions = frames(book, arrow=arrow, text_accounts=text_accounts, shuffled=shuffled)
    built = benchmark(xm.Book.from_frames, universe, balances, positions)
    report = model.evaluate(built, market)
    # Ids rise with the account number and have one length, so that strings sort as the integers do.
    order = np.argsort(report.accounts)
    for name, figures in expected.items():
        assert np.array_equal(getattr(report, name)[order], figures), name


def test_the_figures_are_those_of_a_plain_loop() -> None:
    """Peers and xmfast could be wrong alike: the first accounts are added up here by hand."""
    book, expected, gross = workload(multi_settlement)
    weights, rates = peers.asset_weights(book), book.margin
    for account in range(min(200, len(book.accounts))):
        net = dict.fromkeys(range(len(book.assets)), 0.0)
        margin = {"initial_margin": 0.0, "maintenance_margin": 0.0}
        for row in np.flatnonzero(book.balance_account == account):
            net[int(book.balance_asset[row])] += book.balance[row]
        for row in np.flatnonzero(book.position_account == account):
            instrument = book.position_instrument[row]
            settlement, multiplier = int(book.settlement[instrument]), book.multiplier[instrument]
            prices = book.mark_price[instrument], book.entry_price[row]
            mark, entry = (-multiplier / p if book.inverse[instrument] else multiplier * p for p in prices)
            net[settlement] += book.quantity[row] * (mark - entry)
            notional = abs(book.quantity[row] * mark) * book.index_price[settlement]
            margin["initial_margin"] += notional * rates["initial_rate"][instrument]
            margin["maintenance_margin"] += notional * rates["maintenance_rate"][instrument]
        values = {asset: amount * book.index_price[asset] for asset, amount in net.items()}
        figures = margin | {
            "equity": sum(values.values()),
            "collateral_value": sum(v * weights[a, 0 if v >= 0 else 2] for a, v in values.items()),
            "initial_collateral_value": sum(v * weights[a, 1 if v >= 0 else 3] for a, v in values.items()),
        }
        for name, figure in figures.items():
            assert abs(expected[name][account] - figure) <= 1e-12 * gross[account], (account, name)


def test_brackets_and_orders(benchmark: Any) -> None:
    book = workload(venue)[0]
    extra = rules.rules(book)
    ruled = rules.xmfast(book, extra)[1]
    assert rules.difference(book, extra, ruled.answer(ruled.evaluate())) <= measure.TOLERANCE
    benchmark(ruled.evaluate)


def test_prices_and_limits() -> None:
    found = prices.contest(ACCOUNTS, rounds=1)
    assert found["difference"] <= measure.TOLERANCE and found["positions"] > ACCOUNTS


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (scenarios.joint, ACCOUNTS),
        (scenarios.healthy, ACCOUNTS),
        (scenarios.quantile, ACCOUNTS // 5),
        (scenarios.options, 200),
    ],
    ids=["joint", "healthy", "quantile", "options"],
)
def test_scenarios(make: Callable[[int], tuple[list[Contestant], Any]], count: int) -> None:
    found = scenarios.contest(make(count), rounds=1, threads=(1, 2))
    assert found["difference"] and max(found["difference"].values()) <= measure.TOLERANCE
    assert "| xmfast |" in scenarios.table(found)


@pytest.mark.parametrize("kind", decisions.KINDS)
def test_decisions(kind: str) -> None:
    counts = [decisions.decide(*task) for task in decisions.tasks(kind, 7, 200)]
    assert len(counts) == len(decisions.MODES) and sum(count.accounts for count in counts) >= 200
    assert all(count.wrong == 0 for count in counts)


def test_wrong_decisions_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Floats for fractions: at the edge they are wrong about many, in both modes."""
    monkeypatch.setattr(decisions, "exact", float)
    assert all(decisions.decide(*task).wrong > 10 for task in decisions.tasks("knife-edge", 7, 200))
