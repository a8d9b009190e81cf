"""Assets inside the scenarios by a second way to the same figure: what equity is at a market that has been shocked.

No formula of a loss is repeated here. Cross margin says what accounts are worth at today's prices and at those of a
scenario; what they lose between the two is what the scenario must say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import xmfast as xm

MOVED_BY = {"BTC": "BTC", "ETH": "ETH", "stETH": "ETH"}
ASSETS = ["USD", *MOVED_BY]
INSTRUMENTS = 10
SCENARIOS = 7


@dataclass(frozen=True, kw_only=True)
class Venue:
    """Contracts on two underlyings that settle in any asset, some inverse, some isolated."""

    universe: xm.Universe
    book: xm.Book
    shocks: dict[str, list[float]]
    prices: dict[str, float]
    marks: dict[str, float]
    underlying: dict[str, str]
    interest_and_funding: dict[str, Any]

    def market(self, scenario: int | None = None, only: str | None = None) -> xm.Market:
        """Return today's market, or that of a scenario, of which one underlying's shock alone may have happened."""

        def factor(underlying: str) -> float:
            moves = scenario is not None and only in (None, underlying)
            return 1 + self.shocks[underlying][scenario] if moves and scenario is not None else 1.0

        return xm.Market(
            self.universe,
            {asset: price * factor(MOVED_BY[asset]) for asset, price in self.prices.items()},
            {name: mark * factor(self.underlying[name]) for name, mark in self.marks.items()},
            **self.interest_and_funding,
        )


def venue_of(random: np.random.Generator) -> Venue:
    names = [f"contract {number}" for number in range(INSTRUMENTS)]
    underlying = [("BTC", "ETH")[number % 2] for number in range(INSTRUMENTS)]
    settlement = random.choice(ASSETS, INSTRUMENTS).tolist()
    inverse = (random.random(INSTRUMENTS) < 0.4).tolist()
    universe = xm.Universe.from_frames(
        {"asset": ASSETS},
        {
            "instrument": names,
            "kind": ["perpetual"] * INSTRUMENTS,
            "underlying": underlying,
            "settlement": settlement,
            "inverse": inverse,
        },
        "USD",
    )
    prices = {"BTC": 50_000 * random.uniform(0.5, 2), "ETH": 2_000 * random.uniform(0.5, 2), "stETH": 1_990.0}
    marks = {name: float(10 ** random.uniform(-2, 4)) for name in names}
    balances: list[tuple[str, str, float]] = []
    positions: list[tuple[str, str, float, float, float, float | None]] = []
    for account in (f"account {number:02}" for number in range(20)):
        for asset in ASSETS:
            if random.random() < 0.6:
                balances.append((account, asset, float(random.normal() * 1e4 / prices.get(asset, 1.0))))
        for name, coin, reciprocal in zip(names, settlement, inverse, strict=True):
            if random.random() < 0.35:
                mark, price = marks[name], prices.get(coin, 1.0)
                quantity = float(random.normal() * 1e4 / price * (mark if reciprocal else 1 / mark))
                entry = (mark * float(random.uniform(0.7, 1.4)), mark * float(random.normal()) / 100)
                posted = float(random.uniform(0, 1e3) / price) if random.random() < 0.2 else None
                positions.append((account, name, quantity, *entry, posted))
    position_columns = ("account", "instrument", "quantity", "entry_price", "entry_funding", "isolated_margin")
    book = xm.Book.from_frames(
        universe,
        dict(zip(("account", "asset", "balance"), map(list, zip(*balances, strict=True)), strict=True)),
        dict(zip(position_columns, map(list, zip(*positions, strict=True)), strict=True)),
    )
    return Venue(
        universe=universe,
        book=book,
        shocks={name: random.uniform(-0.6, 1.0, SCENARIOS).tolist() for name in ("BTC", "ETH")},
        prices=prices,
        marks=marks,
        underlying=dict(zip(names, underlying, strict=True)),
        interest_and_funding={
            "deposit_index": {asset: float(random.uniform(1, 1.1)) for asset in ASSETS},
            "borrow_index": {asset: float(random.uniform(1, 1.2)) for asset in ASSETS},
            "cumulative_funding": {name: mark * float(random.normal()) / 100 for name, mark in marks.items()},
        },
    )


def equity_lost(venue: Venue, only: str | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what pools and isolated positions lose in each scenario, a row each."""
    names = list(venue.marks)
    free = {"instrument": names, "initial_rate": [0.0] * len(names), "maintenance_rate": [0.0] * len(names)}
    model = xm.CrossMargin.from_frames(venue.universe, None, free)
    now = model.evaluate(venue.book, venue.market())
    then = [model.evaluate(venue.book, venue.market(scenario, only)) for scenario in range(SCENARIOS)]
    pools = np.array([now.equity - report.equity for report in then]).T
    return pools, np.array([now.isolated.equity - report.isolated.equity for report in then]).T


def worst(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    positive: NDArray[np.float64] = np.maximum(losses.max(axis=1), 0)
    return positive


@pytest.mark.parametrize("seed", range(8))
def test_joint_scenarios_lose_what_equity_loses(seed: int) -> None:
    venue = venue_of(np.random.default_rng(seed))
    scenarios = xm.Scenarios.joint(venue.shocks)
    model = xm.PortfolioMargin(venue.universe, scenarios=scenarios, in_scenario=MOVED_BY)
    report = model.evaluate(venue.book, venue.market())
    pools, isolated = equity_lost(venue, None)
    np.testing.assert_allclose(report.scan_risk, worst(pools), rtol=1e-9, atol=1e-5)
    np.testing.assert_allclose(report.isolated.maintenance_margin, worst(isolated), rtol=1e-9, atol=1e-5)
    assert (report.scan_risk > 1_000).any() and (report.isolated.maintenance_margin > 1_000).any()
    np.testing.assert_array_equal(model.liquidatable(venue.book, venue.market()), report.liquidatable)
    # The median of the same losses, as a history would ask for it.
    returns = {name: np.array(shocks) for name, shocks in venue.shocks.items()}
    history = xm.HistoricalVaR(venue.universe, returns=returns, confidence=0.5, in_scenario=MOVED_BY)
    median = history.evaluate(venue.book, venue.market()).scan_risk
    np.testing.assert_allclose(median, np.maximum(np.sort(pools)[:, SCENARIOS // 2], 0), rtol=1e-9, atol=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_apart_each_group_loses_what_equity_loses_by_its_own_shock(seed: int) -> None:
    """One underlying's shock alone: its contracts' prices and its assets' move, and nothing else does."""
    venue = venue_of(np.random.default_rng(100 + seed))
    scenarios = xm.Scenarios(price_shock=venue.shocks)
    model = xm.PortfolioMargin(venue.universe, scenarios=scenarios, in_scenario=MOVED_BY)
    report = model.evaluate(venue.book, venue.market())
    pools, isolated = zip(*(equity_lost(venue, only) for only in venue.shocks), strict=True)
    each_worst = np.sum([worst(losses) for losses in pools], axis=0)
    np.testing.assert_allclose(report.scan_risk, each_worst, rtol=1e-9, atol=1e-5)
    # All that stands behind an isolated position is one group.
    together = worst(np.sum(isolated, axis=0))
    np.testing.assert_allclose(report.isolated.maintenance_margin, together, rtol=1e-9, atol=1e-5)
