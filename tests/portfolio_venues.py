"""Venues for scenario models: a venue of everything, options that can be valued, and scenarios or a history.

All choices come from one `random.Random`. Plain data; nothing here knows xmfast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeAlias

import numpy as np
from hypothesis import strategies as st

from reference_history import HistoryRules
from reference_portfolio import PortfolioRules
from reference_scenarios import ScenarioSet
from rule_venues import random_rule_venue
from strategies import Columns, Venue, rounded

Terms: TypeAlias = PortfolioRules | HistoryRules

TIME = "2026-11-23T12:00:00"
# From a quarter of an hour to four years.
_EXPIRIES = ("2026-11-23T12:15", "2026-11-24T08:00", "2026-11-27T08:00", "2026-12-25T08:00", "2030-09-27T08:00")
# None, the last half hour, the last day, the last month; in seconds.
_WINDOWS = (0.0, 1800.0, 86_400.0, 2_592_000.0)
# What changes collateral and what is held; rates and brackets of linear models are not read.
_RULES = ("tiers", "amount_caps", "gain_shares", "interest", "funding", "isolated", "orders")
KINDS = ("plain", "offsets", "joint", "absolute", "history")


@dataclass(frozen=True, kw_only=True)
class PortfolioVenue:
    """A venue, what else options need, and the parameters of a scenario model."""

    venue: Venue
    terms: Terms
    implied_volatility: dict[Any, float] = field(default_factory=dict)
    forward: dict[Any, float] = field(default_factory=dict)
    discount_rate: dict[Any, float] = field(default_factory=dict)
    settlement_average: dict[Any, float] = field(default_factory=dict)
    time: str | None = TIME

    @property
    def rules(self) -> PortfolioRules:
        """The parameters as scenarios."""
        return self.terms.portfolio_rules if isinstance(self.terms, HistoryRules) else self.terms

    @property
    def market(self) -> dict[str, Any]:
        """The market as `reference_portfolio.evaluate` reads it."""
        names = ("implied_volatility", "forward", "discount_rate", "settlement_average", "time")
        options = {name: getattr(self, name) for name in names}
        return self.venue.market | options

    def with_positions(self, positions: Columns | None) -> PortfolioVenue:
        """Return the same with other positions."""
        return replace(self, venue=replace(self.venue, positions=positions))

    def with_terms(self, **changes: Any) -> PortfolioVenue:
        """Return the same with some parameters changed."""
        return replace(self, terms=replace(self.terms, **changes))


def random_portfolio_venue(seed: int, kind: str | None = None, **sizes: Any) -> PortfolioVenue:
    """Return a venue of one of the `KINDS`; sizes as of `random_venue`."""
    random = Random(seed)
    kind = kind or random.choice(KINDS)
    rules = [rule for rule in _RULES if random.random() < 0.5]
    venue = random_rule_venue(seed, rules=rules, **sizes)
    priced = _with_options(venue, random, normal=kind == "absolute")
    priced = _with_averages(priced, Random(f"averages {seed}"))
    priced = replace(priced, terms=_TERMS[kind](priced, random))
    return _with_moving_assets(priced, Random(f"moving {seed}"))


@st.composite
def portfolio_venues(draw: st.DrawFn, *kinds: str) -> PortfolioVenue:
    """A venue of a few accounts that all do something."""
    seed = draw(st.integers(0, 2**32 - 1))
    kind = draw(st.sampled_from(kinds or KINDS))
    return random_portfolio_venue(
        seed, kind, accounts=8, assets=3, instruments=8, mean_positions=3.0, mean_balances=2.0
    )


def _with_options(venue: Venue, random: Random, *, normal: bool) -> PortfolioVenue:
    """Give options strikes, expiries and volatilities; under the normal model they are in price units, none inverse."""
    specs = {name: list(cells) for name, cells in venue.instruments.items()}
    specs["expiry"] = [None] * len(specs["instrument"])
    volatility, forwards, rates = {}, {}, {}
    for row, name in enumerate(specs["instrument"]):
        if specs["kind"][row] != "option":
            continue
        index = venue.index_price.get(specs["underlying"][row], 1.0)
        forward = index
        if index == 0.0 or random.random() < 0.5:
            forward = forwards[name] = rounded((index or 20.0) * random.choice((0.9, 1.0, 1.002, 1.1)))
        specs["strike"][row] = rounded(forward * random.choice((0.3, 0.8, 0.97, 1.0, 1.01, 1.4, 5.0)))
        specs["right"][row] = random.choice(("call", "put"))
        specs["expiry"][row] = random.choice(_EXPIRIES)
        sigma = random.choice((0.0, 0.00005, 0.12, 0.55, 0.8, 2.5))
        volatility[name] = rounded(sigma * forward) if normal else sigma
        if normal:
            specs["inverse"][row] = False
    for asset in venue.assets["asset"]:
        if random.random() < 0.5:
            rates[asset] = random.choice((0.0, 0.04, -0.01))
    return PortfolioVenue(
        venue=replace(venue, instruments=specs),
        terms=PortfolioRules(sets=()),
        implied_volatility=volatility,
        forward=forwards,
        discount_rate=rates,
    )


def _with_averages(priced: PortfolioVenue, random: Random) -> PortfolioVenue:
    """Let some options and futures settle by an average, of which a part may have passed."""
    specs = {name: list(cells) for name, cells in priced.venue.instruments.items()}
    specs["settlement_average"] = [None] * len(specs["instrument"])
    averages = {}
    for row, (name, kind) in enumerate(zip(specs["instrument"], specs["kind"], strict=True)):
        if kind == "perpetual" or random.random() < 0.5:
            continue
        specs["expiry"][row] = specs["expiry"][row] or random.choice(_EXPIRIES)
        specs["settlement_average"][row] = random.choice(_WINDOWS)
        left = (np.datetime64(specs["expiry"][row]) - np.datetime64(TIME)) / np.timedelta64(1, "s")
        if kind == "option" and left < specs["settlement_average"][row]:
            index = priced.venue.index_price.get(specs["underlying"][row], 1.0)
            # Mostly near the forward, now and then so that an option is certain to be exercised.
            averages[name] = rounded(priced.forward.get(name, index) * random.choice((0.2, 0.97, 1.0, 1.01, 8.0)))
    return replace(priced, venue=replace(priced.venue, instruments=specs), settlement_average=averages)


def _with_moving_assets(priced: PortfolioVenue, random: Random) -> PortfolioVenue:
    """Let some assets move inside the scenarios, with an underlying of their own name or any other; nothing cuts them."""
    venue, underlyings = priced.venue, _underlyings(priced)
    if random.random() < 0.5:
        return priced
    moving = {}
    for asset in venue.assets["asset"]:
        price = venue.index_price.get(asset, 0.0)
        moved_by = asset if asset in underlyings and random.random() < 0.5 else random.choice(underlyings)
        falls = [min(scenarios.price(moved_by)) if scenarios.absolute else 0.0 for scenarios in priced.rules.sets]
        if asset != venue.numeraire and random.random() < 0.5 and price > 0 and price + min(falls) >= 0:
            moving[asset] = moved_by
    collateral = venue.collateral
    if collateral is not None:
        kept = [row for row, asset in enumerate(collateral["asset"]) if asset not in moving]
        collateral = {name: [cells[row] for row in kept] for name, cells in collateral.items()}
    return replace(priced, venue=replace(venue, collateral=collateral)).with_terms(in_scenario=moving)


def _plain(priced: PortfolioVenue, random: Random) -> PortfolioRules:
    """Every underlying by itself: one column for all, or one for each by name."""
    return _with_charges(PortfolioRules(sets=(_relative(priced, random, joint=False),)), priced, random)


def _offsets(priced: PortfolioVenue, random: Random) -> PortfolioRules:
    """Gains pay for losses: in whole or in part, everywhere or within product groups."""
    rules = _with_charges(PortfolioRules(sets=(_relative(priced, random, joint=False),)), priced, random)
    names = _underlyings(priced)
    groups = {name: random.choice(("majors", "others", 3)) for name in names if random.random() < 0.8}
    groups = groups if random.random() < 0.6 else {}
    return replace(rules, offsets=random.choice((None, 0.0, 0.3, 0.9, 1.0)), product_groups=groups)


def _joint(priced: PortfolioVenue, random: Random) -> PortfolioRules:
    rules = _with_charges(PortfolioRules(sets=(_relative(priced, random, joint=True),)), priced, random)
    return replace(rules, concentration={})


def _absolute(priced: PortfolioVenue, random: Random) -> PortfolioRules:
    """Shocks in price units, none larger than the lowest price that has to stay above 0."""
    count = random.choice((1, 7, 16, 33))
    shocks = {}
    for name, width in _least_prices(priced).items():
        shocks[name] = [rounded(width * random.choice((-0.9, -0.3, 0.0, 0.2, 1.0, 3.0))) for _ in range(count)]
    volatilities = [random.choice((0.0, 0.25, -0.5)) for _ in range(count)]
    joint = random.random() < 0.5
    scenarios = ScenarioSet(price_shock=shocks, volatility_shock=volatilities, absolute=True, joint=joint)
    rules = _with_charges(PortfolioRules(sets=(scenarios,)), priced, random)
    return replace(rules, concentration={} if joint else rules.concentration)


def _history(priced: PortfolioVenue, random: Random) -> HistoryRules:
    """Days on which many things fall together, and now and then a calm one."""

    def returns(days: int) -> dict[Any, list[float]]:
        market = [random.gauss(0, random.choice((0.0, 0.01, 0.05))) for _ in range(days)]
        columns = {
            name: [rounded(max(-0.99, day + random.gauss(0, 0.02))) for day in market] for name in _underlyings(priced)
        }
        # One that never moved.
        columns[random.choice(list(columns))] = [0.0] * days
        return columns

    days = random.choice((20, 99, 100, 260))
    return HistoryRules(
        returns=returns(days),
        confidence=random.choice((0.99, 0.975, 0.95, 0.5)),
        measure=random.choice(("var", "es")),
        holding_period=random.choice((1, 1, 2, 10)),
        filtered=random.random() < 0.5,
        ewma_lambda=random.choice((0.94, 0.97)),
        stressed_returns=returns(random.choice((15, 40))) if random.random() < 0.4 else None,
        short_option_minimum=random.choice((0.0, 0.03)),
        margin_floor=random.choice((0.0, 50.0)),
        initial_factor=random.choice((1.0, 1.3)),
    )


def _relative(priced: PortfolioVenue, random: Random, *, joint: bool) -> ScenarioSet:
    count = random.choice((1, 2, 8, 9, 16, 31))
    # A coin contract has no value at a price of 0.
    falls = (-0.95, -0.4) if any(priced.venue.instruments["inverse"]) else (-1.0, -0.4)

    def prices() -> list[float]:
        return [random.choice((0.0, *falls, -0.12, -0.04, 0.05, 0.1, 0.33, 2.0)) for _ in range(count)]

    def volatilities() -> list[float]:
        return [random.choice((0.0, 0.5, -0.25, -0.9, 0.04)) for _ in range(count)]

    names = _underlyings(priced)
    by_name = joint or random.random() < 0.5
    return ScenarioSet(
        price_shock={name: prices() for name in names} if by_name else prices(),
        volatility_shock=random.choice(
            (None, volatilities(), {name: volatilities() for name in names if random.random() < 0.7} or None)
        ),
        weight=random.choice((None, [random.choice((1.0, 0.35, 0.0, 2.0)) for _ in range(count)])),
        volatility=random.choice(("relative", "absolute")),
        volatility_scaling=random.choice((None, (0.3, 0.0, float("inf")), (0.5, 0.5, 3.0))),
        volatility_floor=random.choice((1e-4, 0.3)),
        joint=joint,
    )


def _with_charges(rules: PortfolioRules, priced: PortfolioVenue, random: Random) -> PortfolioRules:
    """Charge short options and what is large, and floor the whole."""
    names = _underlyings(priced)
    minimum = random.choice((0.0, 0.1, {name: random.choice((0.02, 0.5)) for name in names if random.random() < 0.5}))
    sizes = [(0.1, 0.0), (0.02, 300.0), (0.5, 3000.0)]
    return replace(
        rules,
        short_option_minimum=minimum,
        concentration={name: random.choice(sizes) for name in names if random.random() < 0.4},
        margin_floor=random.choice((0.0, 0.0, 25.0, 400.0)),
        initial_factor=random.choice((1.0, 1.25, 2.0)),
    )


def _underlyings(priced: PortfolioVenue) -> list[Any]:
    return list(dict.fromkeys(priced.venue.instruments["underlying"]))


def _least_prices(priced: PortfolioVenue) -> dict[Any, float]:
    """Return by underlying the lowest mark price that may not fall to 0, or 1 if there is none."""
    specs, least = priced.venue.instruments, dict.fromkeys(_underlyings(priced), 0.0)
    for row, name in enumerate(specs["instrument"]):
        if specs["kind"][row] != "option" and not specs["allow_negative_price"][row]:
            mark, underlying = priced.venue.mark_price[name], specs["underlying"][row]
            least[underlying] = min(least[underlying] or mark, mark)
    return {name: price or 1.0 for name, price in least.items()}


_TERMS: dict[str, Callable[[PortfolioVenue, Random], Terms]] = {
    "plain": _plain,
    "offsets": _offsets,
    "joint": _joint,
    "absolute": _absolute,
    "history": _history,
}
