"""Sets of scenarios as data, and what one contract loses in each, on paper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xmfast as xm
from building import SIMD_PATHS, settings
from portfolio_building import scenarios_of
from portfolio_venues import TIME
from reference_rules import Rules
from reference_scenarios import RiskArrays, ScenarioSet, years_between


def volatilities(scenarios: xm.Scenarios) -> Any:
    """Return the shocks of volatility."""
    return scenarios.volatility_shock


def prices(scenarios: xm.Scenarios, underlying: Any = None) -> Any:
    """Return the price shocks, of one underlying where they are said by name."""
    shocks: Any = scenarios.price_shock
    return shocks if underlying is None else shocks[underlying]


def test_span() -> None:
    scenarios = xm.Scenarios.span(price_range=0.12, volatility_range=0.25)
    moves = [0, 0, 1, 1, -1, -1, 2, 2, -2, -2, 3, 3, -3, -3, 6, -6]
    np.testing.assert_allclose(prices(scenarios), np.array(moves) * 0.04, rtol=1e-15)
    assert volatilities(scenarios).tolist() == [0.25, -0.25] * 7 + [0.0, 0.0]
    assert scenarios.weight.tolist() == [1.0] * 14 + [0.35] * 2
    assert len(scenarios) == 16 and not scenarios.is_joint
    energy = xm.Scenarios.span(price_range=0.1, extreme=3.0, cover=0.33)
    assert prices(energy)[-2:].tolist() == pytest.approx([0.3, -0.3]) and energy.weight[-1] == 0.33


def test_span_by_underlying() -> None:
    scenarios = xm.Scenarios.span(price_range={"BTC": 0.12, "ETH": 0.15}, volatility_range=0.1)
    for name, width in (("BTC", 0.12), ("ETH", 0.15)):
        alone = xm.Scenarios.span(price_range=width, volatility_range=0.1)
        np.testing.assert_array_equal(prices(scenarios, name), prices(alone))


def test_tims() -> None:
    """Ten points: a fifth of the range apart, and none in the middle."""
    scenarios = xm.Scenarios.tims(0.15)
    steps = [-0.15, -0.12, -0.09, -0.06, -0.03, 0.03, 0.06, 0.09, 0.12, 0.15]
    np.testing.assert_allclose(prices(scenarios), steps, rtol=1e-15)
    assert not volatilities(scenarios).any() and scenarios.weight.tolist() == [1.0] * 10
    by_name = xm.Scenarios.tims({"SPX": 0.08, "XYZ": 0.15})
    assert prices(by_name, "SPX")[0] == -0.08 and len(by_name) == 10


def test_grid() -> None:
    scenarios = xm.Scenarios.grid(
        {"BTC": 0.16, "ETH": 0.18}, 4, volatility_up=0.5, volatility_down=0.25, tails={-0.66: 0.24, 1.0: 0.16}
    )
    for name, width in (("BTC", 0.16), ("ETH", 0.18)):
        steps = np.repeat(np.arange(-4, 5) / 4 * width, 3)
        np.testing.assert_allclose(prices(scenarios, name), [*steps, -0.66, 1.0], rtol=1e-15)
    assert volatilities(scenarios).tolist() == [0.5, 0.0, -0.25] * 9 + [0.5, 0.5]
    assert scenarios.weight.tolist() == [1.0] * 27 + [0.24, 0.16]
    # Of prices alone.
    assert prices(xm.Scenarios.grid(0.1, 2)).tolist() == pytest.approx([-0.1, -0.05, 0.0, 0.05, 0.1])


def test_joint() -> None:
    scenarios = xm.Scenarios.joint({"BTC": [-0.3, 0.2], "ETH": [-0.4, 0.3]}, [0.5, -0.1], [1.0, 0.5])
    assert scenarios.is_joint and len(scenarios) == 2
    assert volatilities(scenarios).tolist() == [0.5, -0.1] and scenarios.weight.tolist() == [1.0, 0.5]


def test_a_set_never_changes() -> None:
    moves = np.array([-0.1, 0.1])
    scenarios = xm.Scenarios(price_shock=moves)
    moves[0] = -0.9
    assert prices(scenarios).tolist() == [-0.1, 0.1]
    with pytest.raises(ValueError):
        prices(scenarios)[0] = -0.5
    with pytest.raises(AttributeError):
        scenarios.absolute = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("scenarios", "text"),
    [
        (xm.Scenarios(price_shock=[-0.1]), "Scenarios(1, prices -10.0 %)"),
        (xm.Scenarios(price_shock=[0.0]), "Scenarios(1)"),
        (xm.Scenarios(price_shock=[-60.0, 5.0], absolute=True), "Scenarios(2, prices -60 to 5)"),
        (xm.Scenarios(price_shock={"A": [-0.1], "B": [-0.2]}), "Scenarios(1, prices -20.0 % to -10.0 %)"),
        (xm.Scenarios.joint({"A": [-0.1]}, [0.5]), "Scenarios(1 joint, prices -10.0 %, volatility 50.0 %)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_shown_in_a_line(scenarios: xm.Scenarios, text: str) -> None:
    assert repr(scenarios) == text


SPECS: dict[str, Any] = {
    "instrument": ["PERP", "INVERSE", "CALL", "PUT", "COINCALL", "COINPUT", "OIL"],
    "kind": ["perpetual", "perpetual", "option", "option", "option", "option", "future"],
    "underlying": ["BTC", "BTC", "BTC", "BTC", "BTC", "BTC", "WTI"],
    "settlement": ["USDT", "BTC", "USD", "USDT", "BTC", "BTC", "USD"],
    "contract_multiplier": [0.1, 100.0, 1.0, 0.5, 1.0, 0.1, 1000.0],
    "inverse": [False, True, False, False, True, True, False],
    "allow_negative_price": [False] * 6 + [True],
    "strike": [None, None, 60_000.0, 50_000.0, 60_000.0, 70_000.0, None],
    "right": [None, None, "call", "put", "call", "put", None],
    "expiry": [None, None, "2026-12-25T08:00", "2027-03-26T08:00", "2026-12-25T08:00", "2026-11-24T08:00", None],
}
ASSETS: dict[str, Any] = {"asset": ["USD", "USDT", "BTC"]}
MARKET: dict[str, Any] = {
    "index_price": {"USDT": 0.999, "BTC": 60_000.0},
    "mark_price": {
        "PERP": 60_100.0,
        "INVERSE": 59_900.0,
        "CALL": 3_000.0,
        "PUT": 900.0,
        "COINCALL": 0.05,
        "COINPUT": 0.2,
        "OIL": -5.0,
    },
    "implied_volatility": {"CALL": 0.55, "PUT": 0.7, "COINCALL": 0.55, "COINPUT": 0.9},
    "forward": {"CALL": 60_300.0, "COINPUT": 60_010.0},
    "discount_rate": {"USD": 0.04, "USDT": 0.10, "BTC": -0.01},
}


def arrays_of(plain: ScenarioSet, *names: str) -> tuple[xm.RiskArrays, RiskArrays]:
    """Return the losses of some instruments, or all, by xmfast and by the reference."""
    market = MARKET | {"mark_price": {name: MARKET["mark_price"][name] for name in names or MARKET["mark_price"]}}
    universe = xm.Universe.from_frames(ASSETS, SPECS)
    model = xm.PortfolioMargin(universe, scenarios=scenarios_of(plain))
    arrays = model.risk_arrays(xm.Market(universe, time=TIME, **market))
    frames = {"assets": ASSETS, "instruments": SPECS, "numeraire": "USD"}
    rules = Rules(frames, market, None, None, float)
    return arrays, RiskArrays(frames, market | {"time": TIME}, rules, plain)


SETS: dict[str, ScenarioSet] = {
    "prices": ScenarioSet(price_shock=[-0.99, -0.3, -0.01, 0.0, 0.01, 0.4, 5.0, 1e-9]),
    "volatilities": ScenarioSet(price_shock=[0.0] * 5, volatility_shock=[-1.0, -0.5, 0.0, 0.3, 2.0]),
    "points": ScenarioSet(price_shock=[0.1, -0.1, 0.0], volatility_shock=[0.2, -0.2, -0.8], volatility="absolute"),
    "scaled": ScenarioSet(
        price_shock=[0.0, 0.1], volatility_shock=[0.5, -0.25], volatility_scaling=(0.3, 0.0, math.inf)
    ),
    "capped": ScenarioSet(price_shock=[0.0, 0.1], volatility_shock=[0.5, -0.25], volatility_scaling=(0.5, 0.9, 1.5)),
    "falling": ScenarioSet(price_shock=[0.0], volatility_shock=[-0.9], volatility_scaling=(0.3, 0.0, math.inf)),
    "floored": ScenarioSet(price_shock=[0.0, -0.2], volatility_shock=[-0.9, -0.1], volatility_floor=0.6),
    "weights": ScenarioSet(price_shock=[-0.3, 0.3, 0.1], weight=[0.35, 0.0, 2.0]),
    "by name": ScenarioSet(price_shock={"BTC": [-0.1, 0.2], "WTI": [0.5, -0.5]}, volatility_shock={"BTC": [0.1, 0.2]}),
    "joint": ScenarioSet(price_shock={"BTC": [-0.1, 0.2], "WTI": [0.5, -0.5]}, joint=True),
}


@pytest.mark.parametrize("which", SETS)
def test_losses_are_the_reference(which: str) -> None:
    names = SPECS["instrument"]
    arrays, expected = arrays_of(SETS[which])
    assert arrays.instruments == names and arrays.losses.shape == (len(names), len(SETS[which]))
    for name in names:
        contract = expected.contract(name)
        wrong = np.abs(arrays[name] - contract.losses)
        assert (wrong <= 1e-14 * contract.scale).all(), (name, arrays[name], contract.losses)
    assert np.abs(arrays.losses).max() > 0


def test_losses_under_the_normal_model() -> None:
    """Prices move by amounts, through 0 where the instrument allows it; options follow Bachelier."""
    moves = {"BTC": [-20_000.0, 0.0, 500.0], "WTI": [-60.0, 10.0, 0.0]}
    normal = ScenarioSet(price_shock=moves, volatility_shock=[0.0, 0.5, -0.5], absolute=True)
    names = ["PERP", "INVERSE", "CALL", "PUT", "OIL"]
    arrays, expected = arrays_of(normal, *names)
    for name in names:
        contract = expected.contract(name)
        assert (np.abs(arrays[name] - contract.losses) <= 1e-13 * contract.scale).all(), name
    assert arrays["OIL"].tolist() == [60_000.0, -10_000.0, 0.0]


def test_losses_by_hand() -> None:
    arrays, _ = arrays_of(ScenarioSet(price_shock=[-0.2, 0.25]))
    # 0.1 x 60,100 x 20 % x 0.999, and a quarter of the same.
    np.testing.assert_allclose(arrays["PERP"], [1200.798, -1500.9975], rtol=1e-14)
    # 100 USD of bitcoin: 100 / 59,900 coins before, / (0.8 x 59,900) after: 0.25 of them lost, or 0.2 won.
    coins = 100 / 59_900 * 60_000
    np.testing.assert_allclose(arrays["INVERSE"], [0.25 * coins, -0.2 * coins], rtol=1e-13)
    # A price below 0 moves away from 0 when it rises.
    np.testing.assert_allclose(arrays["OIL"], [-1000.0, 1250.0], rtol=1e-14)


def test_options_without_volatility_are_worth_what_exercise_pays() -> None:
    plain = ScenarioSet(price_shock=[-1.0, -0.5, 0.0, 0.5], volatility_shock=[-1.0] * 4, volatility_floor=0.0)
    arrays, _ = arrays_of(plain, "CALL", "PUT")
    for name, forward, side, worth in (("CALL", 60_300.0, 1, 1.0), ("PUT", 60_000.0, -1, 0.5 * 0.999)):
        row = SPECS["instrument"].index(name)
        rate = MARKET["discount_rate"][SPECS["settlement"][row]]
        years = years_between(TIME, SPECS["expiry"][row])
        strike, sigma = SPECS["strike"][row], MARKET["implied_volatility"][name]
        base = float(xm.black76(forward, strike, sigma, years, SPECS["right"][row]).value)
        paid = [max(0.0, side * (forward * (1 + move) - strike)) for move in plain.price_shock]
        right = (base - np.array(paid)) * worth * math.exp(-rate * years)
        np.testing.assert_allclose(arrays[name], right, rtol=1e-12)


def test_put_call_parity_holds_in_every_scenario() -> None:
    """A call bought and a put sold are a forward, whatever volatility does."""
    specs = {name: cells[2:4] for name, cells in SPECS.items()}
    specs |= {"strike": [55_000.0] * 2, "settlement": ["USD"] * 2, "contract_multiplier": [1.0] * 2}
    specs["expiry"] = ["2026-12-25T08:00"] * 2
    universe = xm.Universe.from_frames(ASSETS, specs)
    market = xm.Market(
        universe,
        {"BTC": 60_000.0},
        {"CALL": 6_000.0, "PUT": 1_000.0},
        TIME,
        implied_volatility={"CALL": 0.6, "PUT": 0.6},
        discount_rate={"USD": 0.05},
    )
    scenarios = xm.Scenarios.grid(0.6, 5, volatility_up=1.0, volatility_down=0.9)
    arrays = xm.PortfolioMargin(universe, scenarios=scenarios).risk_arrays(market)
    discount = math.exp(-0.05 * years_between(TIME, "2026-12-25T08:00"))
    forward = -60_000.0 * np.asarray(scenarios.price_shock) * discount
    np.testing.assert_allclose(arrays["CALL"] - arrays["PUT"], forward, rtol=0, atol=1e-10)


@given(
    moves=st.lists(st.floats(-0.99, 5.0), min_size=1, max_size=20),
    volatility=st.floats(0.0, 5.0),
    forward=st.floats(0.01, 1e6),
    moneyness=st.floats(0.01, 100.0),
    inverse=st.booleans(),
    call=st.booleans(),
)
def test_an_option_bought_never_loses_more_than_it_is_worth(
    moves: list[float], volatility: float, forward: float, moneyness: float, inverse: bool, call: bool
) -> None:
    universe = xm.Universe.from_frames(
        {"asset": ["USD", "BTC"]},
        {
            "instrument": ["O"],
            "kind": ["option"],
            "underlying": ["BTC"],
            "settlement": ["BTC" if inverse else "USD"],
            "inverse": [inverse],
            "strike": [forward * moneyness],
            "right": ["call" if call else "put"],
            "expiry": ["2026-12-25T08:00"],
        },
    )
    model = xm.PortfolioMargin(universe, scenarios=xm.Scenarios(price_shock=moves, volatility_shock=[0.1] * len(moves)))
    market = xm.Market(universe, {"BTC": forward}, {"O": 0.0}, TIME, implied_volatility={"O": volatility})
    found = []
    for simd in SIMD_PATHS:
        with settings(simd=simd):
            found.append(model.risk_arrays(market)["O"])
    assert all(one.tobytes() == found[0].tobytes() for one in found)
    years = years_between(TIME, "2026-12-25T08:00")
    right = "call" if call else "put"
    value = float(xm.black76(forward, forward * moneyness, volatility, years, right, inverse=inverse).value)
    worth = value * (forward if inverse else 1.0)
    scale = forward * max(1.0, moneyness) * (1.0 if not inverse else max(1.0, *(1 / (1 + move) for move in moves)))
    assert (found[0] <= worth + 1e-13 * scale).all()
    # And it gains when nothing but volatility rises.
    still = xm.PortfolioMargin(universe, scenarios=xm.Scenarios(price_shock=[0.0], volatility_shock=[0.5]))
    assert still.risk_arrays(market)["O"][0] <= 1e-13 * scale


def test_last_quarter_of_an_hour() -> None:
    """Time is counted from the market's: what is left of an option shrinks to what exercise pays."""
    scenarios = ScenarioSet(price_shock=[-0.05, 0.05])
    universe = xm.Universe.from_frames(ASSETS, SPECS)
    model = xm.PortfolioMargin(universe, scenarios=scenarios_of(scenarios))
    held = MARKET | {"mark_price": {"COINCALL": 0.05}, "discount_rate": None, "forward": None}
    just_before = model.risk_arrays(xm.Market(universe, time="2026-12-25T07:59:59.999999999", **held))["COINCALL"]
    # At the money: nothing if the price falls, 1 - 60 / 63 coins at the price of now if it rises.
    np.testing.assert_allclose(just_before, [0.0, -(1 - 60 / 63) * 60_000.0], rtol=1e-5, atol=1.0)
    with pytest.raises(xm.InputError, match="expired"):
        model.risk_arrays(xm.Market(universe, time="2026-12-25T08:00", **held))


def test_tables_follow_the_market() -> None:
    universe = xm.Universe.from_frames(ASSETS, SPECS)
    model = xm.PortfolioMargin(universe, scenarios=xm.Scenarios(price_shock=[-0.1], volatility_shock=[0.1]))
    market = xm.Market(universe, time=TIME, **MARKET)
    first = model.risk_arrays(market)
    changes: list[dict[str, Any]] = [
        {"implied_volatility": {"CALL": 0.6}},
        {"forward": {"CALL": 61_000.0}},
        {"discount_rate": {"USD": 0.2}},
        {"time": "2026-11-23T20:00"},
    ]
    for change in changes:
        moved = model.risk_arrays(market.with_prices(**change))
        assert moved["CALL"][0] != first["CALL"][0], change
        assert moved["PERP"].tolist() == first["PERP"].tolist()
    again = model.risk_arrays(market)
    assert again.losses.tobytes() == first.losses.tobytes()
