"""Copies and pickles: parameters and records travel; what holds memory of the core says what to do instead."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest

import xmfast as xm
from standing import Standing

COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
}

SCENARIOS = {
    "own": xm.Scenarios([-0.1, 0.1], [0.2, 0.3], [1.0, 0.5], volatility="absolute", absolute=True),
    "span": xm.Scenarios.span({"BTC": 0.12, "ETH": 0.15}, 0.25),
    "grid": xm.Scenarios.grid(0.16, 2, volatility_up=0.4, volatility_down=0.25),
    "joint": xm.Scenarios.joint({"BTC": [-0.1, 0.2]}, volatility_scaling=xm.VolatilityScaling(power=0.3, most=2.0)),
}


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, with all they hold."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if is_dataclass(one):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    return bool(one == other)


def of_scenarios(standing: Standing, scenarios: xm.Scenarios) -> tuple[xm.RiskArrays, xm.PortfolioReport]:
    market = standing.market.with_prices(implied_volatility={"CALL": 0.5}, time="2026-03-02")
    model = xm.PortfolioMargin(standing.universe, scenarios=scenarios)
    return model.risk_arrays(market), model.evaluate(standing.book, market)


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios_can_be_copied(name: str, how: str) -> None:
    copied = COPIES[how](SCENARIOS[name])
    assert same(copied, SCENARIOS[name]) and repr(copied) == repr(SCENARIOS[name])


@pytest.mark.parametrize("how", COPIES)
def test_copied_scenarios_give_the_same_bits(standing: Standing, how: str) -> None:
    arrays, report = of_scenarios(standing, SCENARIOS["grid"])
    again, other = of_scenarios(standing, COPIES[how](SCENARIOS["grid"]))
    assert same(again, arrays) and same(COPIES[how](arrays), arrays)
    assert other.health.tobytes() == report.health.tobytes()


@pytest.mark.parametrize("how", COPIES)
def test_records_can_be_copied(standing: Standing, how: str) -> None:
    _, report = of_scenarios(standing, SCENARIOS["grid"])
    account = report.accounts.tolist()[0]
    for record in (report[account], report.summary(), report.scenario_losses(account)):
        assert same(COPIES[how](record), record)
    assert repr(COPIES[how](report.explain(account))) == repr(report.explain(account))
    error = COPIES[how](xm.UnknownIdError("no such account"))
    assert type(error) is xm.UnknownIdError and str(error) == "no such account"


def test_what_holds_memory_of_the_core_is_its_own_copy(standing: Standing) -> None:
    model = xm.PortfolioMargin(standing.universe, scenarios=SCENARIOS["grid"])
    _, report = of_scenarios(standing, SCENARIOS["grid"])
    surface = xm.VolatilitySurface.from_frames(
        standing.universe,
        {"underlying": ["BTC"], "expiry": ["2026-03-27"], "strike": [60_000.0], "volatility": [0.5]},
        time="2026-03-02",
    )
    path = xm.PricePath.of_underlying(standing.universe, "BTC")
    again = "make it in the other process, from the same frames"
    for thing in (standing.universe, standing.book, standing.market, standing.model, model, surface, path):
        assert_stays(thing, again)
    for figures in (report, report.isolated, standing.model.evaluate(standing.book, standing.market)):
        assert_stays(figures, "send a frame of its figures")


def assert_stays(thing: Any, advice: str) -> None:
    assert copy.copy(thing) is thing and copy.deepcopy([thing])[0] is thing
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match=f"^{type(thing).__name__} objects cannot be pickled: {advice}"):
            pickle.dumps(thing, protocol)
