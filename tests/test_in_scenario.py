"""Collateral that moves inside the scenarios: hedges by hand, what it replaces, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xmfast as xm

PRICE = 50_000.0


def universe() -> xm.Universe:
    return xm.Universe.from_frames(
        {"asset": ["USD", "BTC", "ETH", "stETH"]},
        {
            "instrument": ["BTC-COIN", "BTC-PERP", "ETH-PERP", "ETH-IN-BTC"],
            "kind": ["perpetual"] * 4,
            "underlying": ["BTC", "BTC", "ETH", "ETH"],
            "settlement": ["BTC", "USD", "USD", "BTC"],
            "inverse": [True, False, False, False],
        },
        "USD",
    )


def market(of: xm.Universe, **more: Any) -> xm.Market:
    return xm.Market(
        of,
        {"BTC": PRICE, "ETH": 2_000.0, "stETH": 1_990.0},
        {"BTC-COIN": PRICE, "BTC-PERP": PRICE, "ETH-PERP": 2_000.0, "ETH-IN-BTC": 0.04},
        **more,
    )


def book(of: xm.Universe, balances: dict[str, float], positions: dict[str, tuple[float, float]]) -> xm.Book:
    """Return a book of one account: balances by asset, quantity and entry price by instrument."""
    return xm.Book.from_frames(
        of,
        {"account": ["ann"] * len(balances), "asset": list(balances), "balance": list(balances.values())},
        {
            "account": ["ann"] * len(positions),
            "instrument": list(positions),
            "quantity": [quantity for quantity, _ in positions.values()],
            "entry_price": [price for _, price in positions.values()],
        },
    )


FALLS = [-0.5, -0.15, -0.01, 0.0, 0.02, 0.3, 1.5]


@pytest.mark.parametrize("joint", [False, True])
def test_a_coin_margined_short_is_hedged_by_its_coins(joint: bool) -> None:
    """Two bitcoins and a coin-settled short of what they are worth are dollars, whatever bitcoin does."""
    of = universe()
    scenarios = xm.Scenarios.joint({"BTC": FALLS, "ETH": FALLS}) if joint else xm.Scenarios(price_shock=FALLS)
    held = book(of, {"BTC": 2.0}, {"BTC-COIN": (-2 * PRICE, PRICE)})
    inside = xm.PortfolioMargin(of, scenarios=scenarios, in_scenario=["BTC"]).evaluate(held, market(of))
    assert inside.scan_risk[0] < 1e-9
    assert inside.health[0] == pytest.approx(2 * PRICE)
    # By haircut, the hedge is a risk, and the coins are cut as if they were not hedged.
    collateral = {"asset": ["BTC"], "initial_haircut": [0.1], "maintenance_haircut": [0.1]}
    cut = xm.PortfolioMargin(of, collateral, scenarios=scenarios).evaluate(held, market(of))
    assert cut.scan_risk[0] == pytest.approx(2 * PRICE * (1 - 1 / 2.5))
    assert cut.collateral_value[0] == 2 * PRICE * 0.9


def test_balances_lose_what_their_price_loses_and_loans_what_it_gains() -> None:
    of = universe()
    model = xm.PortfolioMargin(
        of, scenarios=xm.Scenarios(price_shock=[-0.2, 0.3]), in_scenario={"stETH": "ETH", "BTC": "BTC"}
    )
    report = model.evaluate(book(of, {"stETH": 10.0}, {}), market(of))
    assert (report.scan_risk[0], report.worst_scenario[0]) == (pytest.approx(0.2 * 19_900), 0)
    report = model.evaluate(book(of, {"USD": 1e6, "BTC": -3.0}, {}), market(of, borrow_index={"BTC": 1.01}))
    assert (report.scan_risk[0], report.worst_scenario[0]) == (pytest.approx(0.3 * 3.03 * PRICE), 1)


def test_a_linear_position_in_coin_loses_at_the_shocked_price_of_the_coin() -> None:
    """All moves together: 100 contracts of ETH in BTC lose 0.004 BTC each, and BTC itself loses a fifth."""
    of = universe()
    scenarios = xm.Scenarios.joint({"ETH": [-0.1], "BTC": [-0.2]})
    held = book(of, {"BTC": 1.0}, {"ETH-IN-BTC": (100.0, 0.035)})
    report = xm.PortfolioMargin(of, scenarios=scenarios, in_scenario=["BTC"]).evaluate(held, market(of))
    now = (1.0 + 100 * (0.04 - 0.035)) * PRICE
    then = (1.0 + 100 * (0.04 * 0.9 - 0.035)) * PRICE * 0.8
    assert report.equity[0] == pytest.approx(now)
    assert report.scan_risk[0] == pytest.approx(now - then)
    losses = report.scenario_losses("ann")
    assert losses.instruments == ["ETH-IN-BTC", "BTC balance", "BTC entry cost"]
    np.testing.assert_allclose(losses.total, report.scan_risk)
    assert repr(losses).startswith("Losses of account ann: 3 legs, the worst 1 of 1 scenario\nleg ")


def test_apart_each_group_takes_its_own_worst() -> None:
    """By underlying, price risk stays with ETH at today's index price, and the value of all in BTC moves with BTC."""
    of = universe()
    scenarios = xm.Scenarios(price_shock={"ETH": [-0.1, 0.1], "BTC": [-0.2, 0.2]})
    held = book(of, {"BTC": 1.0}, {"ETH-IN-BTC": (100.0, 0.035)})
    report = xm.PortfolioMargin(of, scenarios=scenarios, in_scenario=["BTC"]).evaluate(held, market(of))
    assert report.scan_risk[0] == pytest.approx(100 * 0.004 * PRICE + 1.5 * PRICE * 0.2)
    names = report.scenario_losses("ann").instruments
    assert sorted(names) == ["BTC balance", "BTC entry cost", "ETH-IN-BTC", "ETH-IN-BTC present value"]


def test_risk_arrays_replicate_the_margin() -> None:
    of = universe()
    model = xm.HistoricalVaR(of, returns={"BTC": FALLS, "ETH": FALLS[::-1]}, confidence=0.8, in_scenario=["BTC"])
    held = book(of, {"BTC": 1.3, "USD": -20.0}, {"BTC-COIN": (-30_000.0, 48_000.0), "ETH-PERP": (4.0, 1_900.0)})
    arrays = model.risk_arrays(market(of))
    assert arrays.instruments == ["BTC-COIN", "BTC-PERP", "ETH-PERP", "ETH-IN-BTC", "BTC"]
    cost = -30_000 * -1 / 48_000.0
    total = -30_000 * arrays["BTC-COIN"] + 4 * arrays["ETH-PERP"] + (1.3 - cost) * arrays["BTC"]
    report = model.evaluate(held, market(of))
    assert report.scan_risk[0] == pytest.approx(np.sort(total)[-2])


def test_orders_are_charged_what_filling_them_at_mark_could_lose() -> None:
    of = universe()
    model = xm.PortfolioMargin(of, scenarios=xm.Scenarios(price_shock=[-0.5, 0.25]), in_scenario=["BTC"])
    orders = {"account": ["ann"], "instrument": ["BTC-COIN"], "quantity": [50_000.0], "price": [PRICE]}
    one = xm.Book.from_frames(of, {"account": ["ann"], "asset": ["USD"], "balance": [0.0]}, None, orders)
    # Bought at mark a coin contract loses 1 BTC when the price halves, and then that is worth half.
    assert model.evaluate(one, market(of)).initial_margin[0] == pytest.approx(PRICE / 2)


@pytest.mark.parametrize("joint", [False, True])
def test_the_floor_is_of_accounts_with_positions(joint: bool) -> None:
    """Coins alone are at risk, but no position."""
    of = universe()
    scenarios = xm.Scenarios.joint({"BTC": [-0.1], "ETH": [-0.1]}) if joint else xm.Scenarios(price_shock=[-0.1])
    model = xm.PortfolioMargin(of, scenarios=scenarios, in_scenario=["BTC", "ETH"], margin_floor=9_000.0)
    report = model.evaluate(book(of, {"BTC": 1.0, "ETH": 0.5}, {}), market(of))
    assert report.maintenance_margin[0] == pytest.approx(0.1 * (PRICE + 1_000))
    assert report.contingencies["margin_floor"][0] == 0
    report = model.evaluate(book(of, {"BTC": 1.0, "ETH": 0.5}, {"ETH-PERP": (0.01, 2_000.0)}), market(of))
    assert report.maintenance_margin[0] == pytest.approx(9_000)
    assert sum(line.maintenance_margin for line in report.explain("ann").lines) == 9_000


@pytest.mark.parametrize("inside", [[], ["BTC"]], ids=["haircut", "in scenario"])
def test_the_floor_counts_no_coins_even_where_the_decision_is_exact(inside: list[str]) -> None:
    """Health is exactly 0 without the floor, and a sign in f64 is nobody's."""
    of = universe()
    scenarios = xm.Scenarios(price_shock=[-0.5])
    model = xm.PortfolioMargin(of, scenarios=scenarios, in_scenario=inside, margin_floor=30_000.0)
    held = book(of, {"BTC": 1.0, "USD": -PRICE / 2 if inside else -PRICE}, {})
    report = model.evaluate(held, market(of))
    assert (report.health[0], report.liquidatable[0], report.exact_decisions) == (0, False, 1)
    assert not model.liquidatable(held, market(of))[0]


def test_flags_alone_are_those_of_the_report() -> None:
    of = universe()
    model = xm.PortfolioMargin(of, scenarios=xm.Scenarios(price_shock=[-0.5, 0.25]), in_scenario=["BTC"])
    for cash in (-10_000.0, -30_000.0):
        held = book(of, {"BTC": 1.0, "USD": cash}, {})
        expected = model.evaluate(held, market(of)).liquidatable
        np.testing.assert_array_equal(model.liquidatable(held, market(of)), expected)
        assert expected[0] == (cash == -30_000.0)


def refused(**arguments: Any) -> str:
    of = universe()
    scenarios = arguments.pop("scenarios", xm.Scenarios(price_shock=[-0.1, 0.1]))
    with pytest.raises(xm.XmfastError) as caught:
        xm.PortfolioMargin(of, scenarios=scenarios, **arguments).evaluate(book(of, {"BTC": 1.0}, {}), market(of))
    return str(caught.value)


def test_what_is_refused() -> None:
    assert refused(in_scenario=["BTX"]) == "in_scenario: no asset 'BTX'; did you mean 'BTC'?"
    assert refused(in_scenario=["stETH"]) == "in_scenario of 'stETH': no underlying 'stETH'; did you mean 'ETH'?"
    assert refused(in_scenario={"stETH": "ETC"}) == "in_scenario of 'stETH': no underlying 'ETC'; did you mean 'ETH'?"
    for said in ("BTC", b"BTC", None, 5, [["BTC"]], {"BTC": ["BTC"]}):
        assert "['BTC', ...]" in refused(in_scenario=said)
    cut = {"asset": ["BTC"], "initial_haircut": [0.1], "maintenance_haircut": [0.0]}
    assert "moves in the scenarios or is cut, never both" in refused(collateral=cut, in_scenario=["BTC"])
    assert "it never moves" in refused(in_scenario={"USD": "BTC"})
    lone = xm.Scenarios(price_shock={"BTC": [-0.1]})
    assert "no shock or return of underlying 'ETH', which it moves with" in refused(
        scenarios=lone, in_scenario={"stETH": "ETH"}
    )
    below = xm.Scenarios(price_shock={"BTC": [-60_000.0]}, absolute=True)
    assert "takes 'BTC' to a price of -10000" in refused(scenarios=below, in_scenario=["BTC"])
