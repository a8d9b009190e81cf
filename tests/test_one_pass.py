"""Losses that are summed together with collateral: no bit of a report depends on whether they were.

They are where accounts are many and scenarios few. The same accounts in small books are evaluated in two passes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import xmfast as xm
from building import SIMD_PATHS, settings
from portfolio_building import Inputs, assert_is_right, bare, build, risk_columns_of
from portfolio_venues import PortfolioVenue, random_portfolio_venue
from reference_portfolio import PortfolioRules
from strategies import Columns, select

# 16 for each row of the table suffice, which has 5 rows for each instrument and 6 for each asset.
_ACCOUNTS = 1_500
_SLICE = 100
# More than two blocks of 4,096.
_BLOCKS = 9_000


def _venue(seed: int, scenarios: int, *, one_asset: bool, accounts: int = _ACCOUNTS) -> PortfolioVenue:
    """Return a venue of few instruments in joint scenarios whose worst is all that is required."""
    priced = random_portfolio_venue(seed, "joint", accounts=accounts, assets=3, instruments=6, mean_positions=2.0)
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
    positions = priced.venue.positions
    priced = bare(priced).with_terms(sets=(scenario_set,), initial_factor=1.2)
    # Some with isolated positions.
    priced = priced.with_positions(positions)
    if not one_asset:
        return priced
    # Then all accounts are one unit, else only those that hold positions of one settlement asset.
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


def _report(inputs: Inputs) -> xm.PortfolioReport:
    model, book, market = inputs
    return model.evaluate(book, market)


@pytest.mark.parametrize("one_asset", [True, False])
@pytest.mark.parametrize("scenarios", [5, 16, 23, 32, 40, 41])
@pytest.mark.parametrize("seed", range(3))
def test_small_books_have_the_figures_of_a_large_one(seed: int, scenarios: int, one_asset: bool) -> None:
    priced = _venue(seed, scenarios, one_asset=one_asset)
    inputs = build(priced)
    whole = risk_columns_of(_report(inputs))
    accounts = inputs[1].accounts.tolist()
    assert len(accounts) >= _ACCOUNTS * 0.9
    for first in range(0, len(accounts), _SLICE):
        mine = accounts[first : first + _SLICE]
        for name, column in risk_columns_of(_report(build(_of_accounts(priced, mine)))).items():
            np.testing.assert_array_equal(whole[name][first : first + len(mine)], column, err_msg=name)
    assert len(np.unique(whole["worst_scenario"])) > 3


@pytest.mark.parametrize("one_asset", [True, False])
@pytest.mark.parametrize(("scenarios", "count"), [(16, _ACCOUNTS), (40, _ACCOUNTS), (32, _BLOCKS)])
def test_no_instruction_set_and_no_order_of_others_changes_a_bit(scenarios: int, count: int, one_asset: bool) -> None:
    """An order in a block has it evaluated in two passes, as plain code does of every block."""
    priced = _venue(4, scenarios, one_asset=one_asset, accounts=count)
    inputs = build(priced)
    accounts = inputs[1].accounts.tolist()
    name = priced.venue.instruments["instrument"][0]
    order = {"account": accounts[:1], "instrument": [name], "quantity": [1.0], "price": [1.0]}
    with_order = build(replace(priced, venue=replace(priced.venue, orders=order)))
    expected = risk_columns_of(_report(inputs))
    for simd in SIMD_PATHS:
        with settings(threads=3, simd=simd):
            found, ordered = risk_columns_of(_report(inputs)), risk_columns_of(_report(with_order))
        for column, figures in expected.items():
            np.testing.assert_array_equal(found[column], figures, err_msg=f"{simd} {column}")
            np.testing.assert_array_equal(ordered[column][1:], figures[1:], err_msg=f"{simd} {column}")


@pytest.mark.parametrize("one_asset", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_a_large_book_has_the_figures_of_the_reference(seed: int, one_asset: bool) -> None:
    report = assert_is_right(_venue(seed, 32, one_asset=one_asset))
    assert np.count_nonzero(report.scan_risk) > _ACCOUNTS / 3
