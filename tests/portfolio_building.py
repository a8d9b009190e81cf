"""From plain scenario venues to xmfast's objects, and what it means for a report to be the reference's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

import xmfast as xm
from building import assert_equals_reference, columns_of
from portfolio_venues import PortfolioVenue
from reference_history import HistoryRules
from reference_portfolio import CONTINGENCIES, PortfolioRules, evaluate
from reference_scenarios import ScenarioSet

Model: TypeAlias = "xm.PortfolioMargin | xm.HistoricalVaR"
Inputs: TypeAlias = "tuple[Model, xm.Book, xm.Market]"


def bare(priced: PortfolioVenue) -> PortfolioVenue:
    """Return the venue with nothing but positions' scan risk: no charges, no orders, nothing isolated or moving."""
    venue = priced.venue
    assert venue.positions is not None
    positions = {name: cells for name, cells in venue.positions.items() if name != "isolated_margin"}
    charges: dict[str, Any] = {"short_option_minimum": 0.0, "margin_floor": 0.0, "initial_factor": 1.0}
    charges["in_scenario"] = {}
    if isinstance(priced.terms, PortfolioRules):
        charges["concentration"] = {}
    bare_venue = replace(venue, positions=positions, orders=None)
    return replace(priced, venue=bare_venue).with_terms(**charges)


def build(priced: PortfolioVenue) -> Inputs:
    """Return model, book and market, so that ``model.evaluate(book, market)`` is the venue's report."""
    venue = priced.venue
    universe = xm.Universe.from_frames(venue.assets, venue.instruments, venue.numeraire)
    book = xm.Book.from_frames(universe, venue.balances, venue.positions, venue.orders, venue.accounts)
    market = xm.Market(
        universe,
        venue.index_price,
        venue.mark_price,
        priced.time,
        deposit_index=venue.deposit_index,
        borrow_index=venue.borrow_index,
        cumulative_funding=venue.cumulative_funding,
        implied_volatility=priced.implied_volatility,
        forward=priced.forward,
        discount_rate=priced.discount_rate,
        settlement_average=priced.settlement_average,
    )
    return model_of(universe, venue.collateral, priced.terms), book, market


def model_of(universe: xm.Universe, collateral: Any, terms: PortfolioRules | HistoryRules) -> Model:
    """Return xmfast's model with these parameters."""
    if isinstance(terms, HistoryRules):
        return xm.HistoricalVaR(universe, collateral, **{name: getattr(terms, name) for name in _HISTORY})
    [scenarios] = terms.sets
    offsets: Any = {None: "none", 1.0: "full"}.get(terms.offsets, terms.offsets)
    return xm.PortfolioMargin(
        universe,
        collateral,
        scenarios=scenarios_of(scenarios),
        offsets=offsets,
        product_groups=terms.product_groups or None,
        short_option_minimum=terms.short_option_minimum,
        concentration=terms.concentration,
        margin_floor=terms.margin_floor,
        initial_factor=terms.initial_factor,
        in_scenario=terms.in_scenario,
    )


def scenarios_of(plain: ScenarioSet) -> xm.Scenarios:
    """Return xmfast's scenarios."""
    scaling = plain.volatility_scaling
    options: dict[str, Any] = {
        "volatility": plain.volatility,
        "volatility_scaling": None
        if scaling is None
        else xm.VolatilityScaling(power=scaling[0], least=scaling[1], most=scaling[2]),
        "volatility_floor": plain.volatility_floor,
        "absolute": plain.absolute,
    }
    make = xm.Scenarios.joint if plain.joint else xm.Scenarios
    return make(plain.price_shock, plain.volatility_shock, plain.weight, **options)


def report_of(priced: PortfolioVenue) -> xm.PortfolioReport:
    """Return the venue's report."""
    model, book, market = build(priced)
    return model.evaluate(book, market)


def reference_of(priced: PortfolioVenue) -> dict[str, Any]:
    """Return what the reference says of the venue."""
    venue = priced.venue
    inputs = venue.universe, venue.balances, venue.positions, priced.market, venue.collateral, priced.rules
    return evaluate(*inputs, orders=venue.orders, accounts=venue.accounts)


def assert_is_right(priced: PortfolioVenue, *, relative: float = 1e-12) -> xm.PortfolioReport:
    """Assert that the venue's report is the reference's, and return it."""
    report, expected = report_of(priced), reference_of(priced)
    assert_equals_reference(report, expected, relative=relative)
    assert_risk_is_right(report, expected, relative=relative)
    return report


def assert_risk_is_right(report: xm.PortfolioReport, expected: Mapping[str, Any], *, relative: float) -> None:
    """Assert that scan risk and contingencies are the reference's, and that the worst scenario is one."""
    allowed = relative * np.array(expected["gross"])
    figures = {"scan_risk": report.scan_risk} | report.contingencies
    assert set(figures) == {"scan_risk", *CONTINGENCIES}
    for name, values in figures.items():
        wrong = np.abs(values - np.array(expected[name]))
        row = int(np.argmax(wrong - allowed)) if len(wrong) else 0
        assert (wrong <= allowed).all(), f"{name} of row {row}: got {values[row]!r}, right is {expected[name][row]!r}"
    for row, (worst, profile) in enumerate(zip(report.worst_scenario.tolist(), expected["profile"], strict=True)):
        scan_risk = expected["scan_risk"][row]
        if scan_risk > allowed[row]:
            # Any of those that tie within rounding; of exact ties the first one.
            assert worst >= 0 and profile[worst] >= profile.max() - 2 * allowed[row], (row, worst, profile)
        elif scan_risk == 0 == report.scan_risk[row]:
            assert worst == -1, (row, worst)


def risk_columns_of(report: xm.PortfolioReport) -> dict[str, Any]:
    """Return copies of all columns, those of the risk too."""
    risk = {"scan_risk": report.scan_risk, "worst_scenario": report.worst_scenario} | report.contingencies
    return columns_of(report) | {name: np.array(values) for name, values in risk.items()}


_HISTORY = (
    "returns",
    "confidence",
    "measure",
    "holding_period",
    "filtered",
    "ewma_lambda",
    "stressed_returns",
    "short_option_minimum",
    "margin_floor",
    "initial_factor",
    "in_scenario",
)
