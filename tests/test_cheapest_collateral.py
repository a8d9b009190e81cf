"""The cheapest collateral for a need: as cheap as a linear program says, and enough."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

import xmfast as xm
from building import build
from reference import exact
from reference_limits import collateral_value, least_cost
from rule_venues import random_rule_venue
from standing import NAN, Standing, refused
from strategies import Venue

WEIGHTS: tuple[Any, ...] = ("initial", "maintenance")
CHEAPEST: Callable[..., Any] = xm.cheapest_collateral


def random_case(seed: int) -> tuple[Venue, float, dict[Any, float], dict[Any, float]]:
    """Return a venue with tiers and caps, a need, what is available, and what it costs."""
    random = Random(seed)
    rules = ["tiers", *(["amount_caps"] if seed % 2 else [])]
    venue = random_rule_venue(seed, rules=rules, accounts=30, assets=6, instruments=3)
    assets = random.sample(venue.assets["asset"], random.randint(1, 6))
    prices = {"USD": 1.0} | venue.index_price
    # Worth anything up to the size of a tier or two.
    available = {
        name: 0.0 if random.random() < 0.1 else float(f"{10 ** random.uniform(0, 5) / (prices[name] or 1.0):.4g}")
        for name in assets
    }
    # Ties are common: a bank has few rates.
    cost_rate = {name: random.choice((0.0, 0.01, 0.02, 0.02, 0.05, 0.0375)) for name in assets}
    most = float(collateral_value(venue, available))
    need = float(f"{most * random.choice((0.0, 0.01, 0.3, 0.7, 0.99)):.6g}")
    return venue, need, available, cost_rate


@pytest.mark.parametrize("weights", WEIGHTS)
def test_as_cheap_as_the_linear_program(weights: Any) -> None:
    met: Counter[str] = Counter()
    for seed in range(150):
        venue, need, available, cost_rate = random_case(seed)
        model, _, market = build(venue)
        lock = xm.cheapest_collateral(market, model, need, available, cost_rate, weights=weights)
        assert isinstance(lock, xm.Lock) and list(lock.amounts) == list(available)
        assert all(0 <= amount <= available[name] for name, amount in lock.amounts.items())
        # Enough, in exact arithmetic, and no more than rounding needs.
        value = collateral_value(venue, lock.amounts, weights)
        assert exact(need) <= value <= exact(need) * (1 + exact(1e-12)), seed
        assert lock.value == pytest.approx(float(value), rel=1e-12)
        prices = {"USD": 1.0} | venue.index_price
        paid = sum(amount * prices[name] * cost_rate[name] for name, amount in lock.amounts.items())
        assert lock.cost == pytest.approx(paid, rel=1e-12)
        cost = least_cost(venue, need, available, cost_rate, weights)
        assert cost is not None and lock.cost == pytest.approx(cost, rel=1e-6, abs=1e-9), seed
        met["several"] += sum(amount > 0 for amount in lock.amounts.values()) > 1
        met["free"] += need > 0 and lock.cost == 0
        met["nothing"] += need == 0
        met["part of an asset"] += any(0 < amount < available[name] for name, amount in lock.amounts.items())
    assert met["several"] > 30 and met["free"] > 10 and met["nothing"] > 10 and met["part of an asset"] > 50, met


@pytest.mark.parametrize("weights", WEIGHTS)
def test_what_is_not_enough_is_refused(weights: Any) -> None:
    refusals = 0
    for seed in range(200, 240):
        venue, _, available, cost_rate = random_case(seed)
        model, _, market = build(venue)
        most = float(collateral_value(venue, available, weights))
        inputs = available, cost_rate
        if most > 0:
            lock = xm.cheapest_collateral(market, model, most * (1 - 1e-12), *inputs, weights=weights)
            assert lock.value == pytest.approx(most, rel=1e-11)
            refusals += 1
        assert least_cost(venue, most * 1.001 + 1, *inputs, weights) is None
        with pytest.raises(xm.InputError, match="need"):
            xm.cheapest_collateral(market, model, most * (1 + 1e-9) + 1e-9, *inputs, weights=weights)
    assert refusals > 25


def test_tiers_of_one_asset_compete_with_another() -> None:
    """Coins count 0.9 up to 10 and 0.5 beyond: dear coins come after dollars, dearer ones after more dollars."""
    venue = Venue(
        assets={"asset": ["USD", "BTC"]},
        instruments={"instrument": [], "kind": [], "underlying": [], "settlement": []},
        index_price={"BTC": 100.0},
        collateral={
            "asset": ["BTC", "BTC"],
            "amount_floor": [0.0, 10.0],
            "initial_haircut": [0.1, 0.5],
            "maintenance_haircut": [0.0, 0.25],
        },
    )
    model, _, market = build(venue)
    available: dict[Any, float] = {"USD": 500.0, "BTC": 30.0}

    def amounts(need: float, **options: Any) -> dict[Any, float]:
        lock = xm.cheapest_collateral(market, model, need, available, {"USD": 0.03, "BTC": 0.018}, **options)
        return lock.amounts

    # 0.018 / 0.9 = 0.02 for the first coins, 0.03 for dollars, 0.018 / 0.5 = 0.036 for the other coins.
    assert amounts(450.0) == {"USD": 0.0, "BTC": 5.0}
    assert amounts(900.0) == {"USD": 0.0, "BTC": 10.0}
    assert amounts(1000.0) == {"USD": 100.0, "BTC": 10.0}
    assert amounts(1500.0) == {"USD": 500.0, "BTC": 12.0}
    # Under maintenance weights 0.018 and 0.024 are less than 0.03.
    assert amounts(1500.0, weights="maintenance") == pytest.approx({"USD": 0.0, "BTC": 10 + 500 / 75})
    lock = xm.cheapest_collateral(market, model, 1500.0, available, {"USD": 0.03, "BTC": 0.018})
    assert lock.value == 1500.0 and lock.cost == pytest.approx(500 * 0.03 + 1200 * 0.018)
    # What is above a cap counts nothing, and is not locked.
    capped = replace(venue, collateral={**(venue.collateral or {}), "amount_cap": [11.0, None]})
    model, _, market = build(capped)
    assert amounts(1450.0) == {"USD": 500.0, "BTC": 11.0}
    with pytest.raises(xm.InputError, match="need"):
        amounts(1451.0)


def test_isolated_models_have_haircuts_too(standing: Standing) -> None:
    isolated = xm.IsolatedMargin.from_frames(standing.universe)
    inputs: Any = (1000.0, {"BTC": 1.0}, {"BTC": 0.01})
    assert xm.cheapest_collateral(standing.market, isolated, *inputs).amounts["BTC"] == pytest.approx(1 / 60)
    assert xm.cheapest_collateral(standing.market, standing.model, *inputs).amounts["BTC"] == pytest.approx(1 / 54)


def test_bad_input_is_refused(standing: Standing) -> None:
    market, model = standing.market, standing.model
    some, rate = {"USD": 5000.0, "BTC": 1.0}, {"USD": 0.03, "BTC": 0.01}
    for wrong in (NAN, math.inf, -1.0):
        with pytest.raises(xm.InputError, match="need"):
            CHEAPEST(market, model, wrong, some, rate)
        with pytest.raises(xm.InputError, match=r"available.*BTC|BTC.*available"):
            CHEAPEST(market, model, 10.0, some | {"BTC": wrong}, rate)
        with pytest.raises(xm.InputError, match=r"cost_rate.*BTC|BTC.*cost_rate"):
            CHEAPEST(market, model, 10.0, some, rate | {"BTC": wrong})
    refused(lambda: CHEAPEST(market, model, 10.0, some, {"USD": 0.03}), xm.InputError, "cost_rate", "'BTC'")
    refused(lambda: CHEAPEST(market, model, 10.0, {"USD": 1.0}, rate), xm.InputError, "available", "'BTC'")
    refused(
        lambda: CHEAPEST(market, model, 10.0, {"BTCC": 1.0}, {"BTCC": 0.1}),
        xm.UnknownIdError,
        "'BTCC'",
        "did you mean 'BTC'",
    )
    refused(lambda: CHEAPEST(market, model, 10.0, some, rate, weights="final"), xm.InputError, "'final'", "initial")
    refused(lambda: CHEAPEST(market, model, 6e4, some, rate), xm.InputError, "need", "59000", "1000 less")
    unpriced = xm.Market(standing.universe, {"ETH": 1.0})
    refused(lambda: CHEAPEST(unpriced, model, 10.0, some, rate), xm.MissingPriceError, "BTC")
    other = xm.Market(xm.Universe.from_frames({"asset": ["USD"]}))
    refused(lambda: CHEAPEST(other, model, 10.0, {"USD": 20.0}, {"USD": 0.1}), xm.UniverseMismatchError)
