"""Settings of the test run."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

import xmfast as xm
from building import bits_of
from standing import ASSETS, BALANCES, COLLATERAL, INDEX, INSTRUMENTS, MARGIN, MARK, POSITIONS, Standing

# The same examples on every run: a red build is red again. `HYPOTHESIS_PROFILE=explore` looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None, max_examples=100, database=None)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(scope="session")
def made() -> Standing:
    universe = xm.Universe.from_frames(ASSETS, INSTRUMENTS)
    return Standing(
        universe,
        xm.Book.from_frames(universe, BALANCES, POSITIONS),
        xm.Market(universe, INDEX, MARK),
        xm.CrossMargin.from_frames(universe, COLLATERAL, MARGIN),
    )


@pytest.fixture(scope="session")
def bits(made: Standing) -> dict[str, bytes]:
    return bits_of(made.model.evaluate(made.book, made.market))


@pytest.fixture
def standing(made: Standing, bits: dict[str, bytes]) -> Iterator[Standing]:
    yield made
    assert bits_of(made.model.evaluate(made.book, made.market)) == bits
    assert len(made.book) == 3 and made.book.position_count == 4
    assert dict(zip(made.universe.instruments, made.market.mark_price.tolist(), strict=True)) == MARK
