"""The live engine's walk names those whom full evaluations name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import live
import xmfast as xm
from xmfast.crashes import load_crash
from xmfast.demo import build_venue


@pytest.mark.parametrize("make", [live.easy, live.hard], ids=lambda make: str(make.__name__))
def test_walk(benchmark: Any, make: Callable[[int], live.Live]) -> None:
    book = make(2_000)
    live.walk(book, 200, seed=1, then=comparing(book.engine))
    benchmark(live.walk, book, 100, 2)


@pytest.mark.parametrize("play", [live.one_by_one, live.all_at_once], ids=lambda play: str(play.__name__))
def test_real_bars(benchmark: Any, play: Callable[..., Any]) -> None:
    crash = load_crash("2025-10-10")
    venue = build_venue(crash, 1_000, seed=1)
    engine = xm.Engine(venue.book, venue.market, venue.model)
    took = play(engine, crash, 1, comparing(engine))
    # Four prices a bar, of ten coins: perpetuals and index prices, two inverse contracts.
    calls = len(crash.times) * 4
    assert len(took) == (calls if play is live.all_at_once else calls * 22)
    # The bars end where they ended, and somebody fell on the way.
    assert engine.market.mark_price[:10].tolist() == crash.close[-1].tolist()
    assert len(engine.fallen()) > 10
    benchmark.pedantic(play, (xm.Engine(venue.book, venue.market, venue.model), crash, 2), rounds=1)


def comparing(engine: xm.Engine) -> Callable[[Any], None]:
    """Return what compares those who fell on a tick with two full evaluations."""
    down = set(engine.liquidatable().tolist())

    def compare(fallen: Any) -> None:
        report = engine.report()
        now = set(report.accounts[report.liquidatable].tolist())
        assert set(fallen.tolist()) == now - down
        down.clear()
        down.update(now)

    return compare


def test_checks_of_many_are_those_of_one() -> None:
    book = live.hard(2_000)
    single, batch = live.check_orders(book, book.engine.book.accounts[:500])
    assert single > 0 and batch > 0
