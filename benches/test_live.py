"""The live engine's walk names those whom full evaluations name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import live


@pytest.mark.parametrize("make", [live.easy, live.hard], ids=lambda make: str(make.__name__))
def test_walk(benchmark: Any, make: Callable[[int], live.Live]) -> None:
    book = make(2_000)
    down = set(book.engine.liquidatable().tolist())

    def compare(fallen: Any) -> None:
        report = book.engine.report()
        now = set(report.accounts[report.liquidatable].tolist())
        assert set(fallen.tolist()) == now - down
        down.clear()
        down.update(now)

    live.walk(book, 200, seed=1, then=compare)
    benchmark(live.walk, book, 100, 2)


def test_checks_of_many_are_those_of_one() -> None:
    book = live.hard(2_000)
    single, batch = live.check_orders(book, 500)
    assert single > 0 and batch > 0
