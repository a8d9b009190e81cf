"""Numbers of scenario margin that venues and textbooks published, as far as they can be reproduced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xmfast as xm
from test_published import Fact, facts


def scanned(
    scenarios: xm.Scenarios,
    *,
    quantity: float,
    mark: float,
    multiplier: float = 1.0,
    inverse: bool = False,
    numeraire: str = "USD",
    **options: Any,
) -> tuple[xm.PortfolioReport, xm.RiskArrays]:
    """Return the report and the risk arrays of one position in one perpetual."""
    universe = xm.Universe.from_frames(
        {"asset": [numeraire]},
        {
            "instrument": ["PERP"],
            "kind": ["perpetual"],
            "underlying": ["it"],
            "settlement": [numeraire],
            "contract_multiplier": [multiplier],
            "inverse": [inverse],
        },
        numeraire=numeraire,
    )
    positions = {"account": ["it"], "instrument": ["PERP"], "quantity": [quantity], "entry_price": [mark]}
    market = xm.Market(universe, mark_price={"PERP": mark})
    model = xm.PortfolioMargin(universe, scenarios=scenarios, **options)
    return model.evaluate(xm.Book.from_frames(universe, None, positions), market), model.risk_arrays(market)


def test_span_future() -> None:
    """The array of one long future, to the rounding of the book; a loss is positive in ours, a profit in theirs."""
    [fact] = facts("span_risk_array")
    # S&P futures of 250 USD a point; the range is so many points of some price.
    points = fact["price_scan_range"] / 250
    scenarios = xm.Scenarios.span(price_range=points / 1000, extreme=fact["extreme"], cover=fact["cover"])
    for quantity in (1.0, -1.0):
        report, arrays = scanned(scenarios, quantity=quantity, mark=1000.0, multiplier=250.0)
        np.testing.assert_allclose(-arrays["PERP"], fact["long_future_profit"], rtol=0, atol=fact["within"])
        assert report.scan_risk[0] == pytest.approx(fact["requirement"], abs=1e-9)
    assert np.argmin(fact["long_future_profit"]) == scanned(scenarios, quantity=1.0, mark=1000.0)[0].worst_scenario[0]


@pytest.mark.parametrize("fact", facts("deribit_scenarios"), ids=lambda fact: str(fact["coin"]))
def test_deribit_profit_of_an_inverse_perpetual(fact: Fact) -> None:
    mark = 2000.0
    scenarios = xm.Scenarios.grid(fact["price_range"], fact["buckets"])
    published = len(fact["moves"])  # the longest excerpt there is
    np.testing.assert_allclose(np.asarray(scenarios.price_shock)[:published], fact["moves"], atol=1e-15)
    quantity = fact["size"] * mark
    _, arrays = scanned(scenarios, quantity=quantity, mark=mark, inverse=True, numeraire=fact["coin"])
    np.testing.assert_allclose(-quantity * arrays["PERP"][:published], fact["profit"], rtol=0, atol=2e-8)


def test_deribit_worst_case() -> None:
    [fact] = [fact for fact in facts("deribit_scenarios") if "worst_case" in fact]
    scenarios = xm.Scenarios.grid(fact["price_range"], fact["buckets"])
    quantity = fact["size"] * 2000.0
    report, _ = scanned(scenarios, quantity=quantity, mark=2000.0, inverse=True, numeraire=fact["coin"])
    assert report.scan_risk[0] == pytest.approx(fact["worst_case"], rel=1e-12)
    assert report.worst_scenario[0] == len(fact["moves"]) - 1
    # The roll shock is a contingency of its own; with it the scan gives both published margins, to nine digits.
    roll_shock = abs(fact["size"]) * fact["min_annualised_move"]
    assert roll_shock == pytest.approx(fact["roll_shock"], rel=1e-12)
    initial = report.scan_risk[0] + roll_shock
    assert initial == pytest.approx(fact["initial_margin"], abs=5e-10)
    assert fact["mm_factor"] * initial == pytest.approx(fact["maintenance_margin"], abs=5e-10)


def test_deribit_gains_count_in_part() -> None:
    """The offset takes its share of gains and all of losses, scenario by scenario: what `offsets` does to a group."""
    [fact] = [fact for fact in facts("deribit_scenarios") if "offset_profit" in fact]
    coin, mark = fact["coin"], 2000.0
    names = ("PERP", "OTHER")
    universe = xm.Universe.from_frames(
        {"asset": [coin]},
        {
            "instrument": names,
            "kind": ["perpetual"] * 2,
            "underlying": names,
            "settlement": [coin] * 2,
            "inverse": [True, False],
        },
        numeraire=coin,
    )
    positions = {
        "account": ["it"] * 2,
        "instrument": names,
        "quantity": [fact["size"] * mark, 1.0],
        "entry_price": [mark, 1.0],
    }
    book = xm.Book.from_frames(universe, None, positions)
    market = xm.Market(universe, mark_price={"PERP": mark, "OTHER": 1.0})
    for move, profit in zip(fact["moves"], fact["offset_profit"], strict=True):
        # Beside it another underlying loses a whole coin, so that what a gain pays can be seen.
        scenarios = xm.Scenarios(price_shock={"PERP": [move], "OTHER": [-1.0]})
        model = xm.PortfolioMargin(universe, scenarios=scenarios, offsets=fact["gain_offset"])
        assert 1.0 - model.evaluate(book, market).scan_risk[0] == pytest.approx(profit, abs=1e-12)


def test_paradex_weights_make_tails_no_worse_for_anything_linear() -> None:
    """Only the table is published: by its weights a perpetual loses most at the edge of the range."""
    [fact] = facts("paradex_scenarios")
    spot, weight, price_range = np.array(fact["spot"]), np.array(fact["weight"]), fact["price_range"]
    tails = np.abs(spot) > price_range
    assert len(spot) == 24 and tails.sum() == 8 and (weight[~tails] == 1.0).all()
    # Rounded or cut to two digits; never more than what the range's edge loses.
    right = price_range / np.abs(spot[tails])
    np.testing.assert_allclose(weight[tails], right, rtol=0, atol=5e-3)
    assert (weight[tails] <= right * (1 + 1e-15)).all()
    scenarios = xm.Scenarios(price_shock=spot, volatility_shock=fact["volatility"], weight=weight)
    for quantity in (1.0, -1.0):
        report, _ = scanned(scenarios, quantity=quantity, mark=100_000.0, initial_factor=2.0)
        assert report.scan_risk[0] == pytest.approx(price_range * 100_000.0, rel=1e-12)
        # Margin to keep a position is half of that to open one.
        assert report.maintenance_margin[0] == pytest.approx(0.5 * report.initial_margin[0], rel=1e-15)
