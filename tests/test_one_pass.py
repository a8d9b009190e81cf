"""Losses that are summed together with collateral: no bit of a report depends on whether they were.

They are where accounts are many and scenarios few. The same accounts in small books are evaluated in two passes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from portfolio_building import assert_is_right, bare, build, risk_columns_of
from portfolio_venues import PortfolioVenue, random_portfolio_venue
from reference_portfolio import PortfolioRules
from strategies import Columns, select

# As many for each table row suffice; up to 4 rows for each instrument and 6 for each asset are held.
_ACCOUNTS = 1_000
_SLICE = 100


def _venue(seed: int, scenarios: int, *, one_asset: bool) -> PortfolioVenue:
    """Return a venue of few instruments in joint scenarios whose worst is all that is required."""
    priced = random_portfolio_venue(seed, "joint", accounts=_ACCOUNTS, assets=3, instruments=6, mean_positions=2.0)
    # Underlyings fall and rise with each other or on their own.
    random = np.random.default_rng(seed)
    market = random.normal(0.0, 0.05, scenarios)
    assert isinstance(priced.terms, PortfolioRules)
    [scenario_set] = priced.terms.sets
    assert isinstance(scenario_set.price_shock, dict)
    shocks = {
        name: np.maximum(market + random.normal(0.0, 0.02, scenarios), -0.9).tolist()
        for name in scenario_set.price_shock
    }
    scenario_set = replace(scenario_set, price_shock=shocks, volatility_shock=None, weight=None)
    priced = bare(priced).with_terms(sets=(scenario_set,), initial_factor=1.2)
    if not one_asset:
        return priced
    # Then most accounts are one unit, else several.
    specs = dict(priced.venue.instruments)
    specs["settlement"] = ["USD"] * len(specs["instrument"])
    specs["inverse"] = [False] * len(specs["instrument"])
    return replace(priced, venue=replace(priced.venue, instruments=specs))


def _of_accounts(priced: PortfolioVenue, accounts: list[Any]) -> PortfolioVenue:
    """Return the venue of these accounts alone."""
    mine = set(accounts)

    def pick(frame: Columns | None) -> Columns | None:
        if frame is None:
            return None
        return select(frame, [row for row, account in enumerate(frame["account"]) if account in mine])

    venue = priced.venue
    mine_alone = replace(
        venue, balances=pick(venue.balances), positions=pick(venue.positions), accounts={"account": accounts}
    )
    return replace(priced, venue=mine_alone)


@pytest.mark.parametrize("one_asset", [True, False])
@pytest.mark.parametrize("scenarios", [5, 16, 23, 32, 40, 41])
@pytest.mark.parametrize("seed", range(3))
def test_small_books_have_the_figures_of_a_large_one(seed: int, scenarios: int, one_asset: bool) -> None:
    priced = _venue(seed, scenarios, one_asset=one_asset)
    model, book, market = build(priced)
    whole = risk_columns_of(model.evaluate(book, market))
    accounts = book.accounts.tolist()
    assert len(accounts) >= _ACCOUNTS * 0.9
    for first in range(0, len(accounts), _SLICE):
        mine = accounts[first : first + _SLICE]
        model, book, market = build(_of_accounts(priced, mine))
        for name, column in risk_columns_of(model.evaluate(book, market)).items():
            np.testing.assert_array_equal(whole[name][first : first + len(mine)], column, err_msg=name)
    assert len(np.unique(whole["worst_scenario"])) > 3


@pytest.mark.parametrize("one_asset", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_a_large_book_has_the_figures_of_the_reference(seed: int, one_asset: bool) -> None:
    report = assert_is_right(_venue(seed, 32, one_asset=one_asset))
    assert np.count_nonzero(report.scan_risk) > _ACCOUNTS / 3
