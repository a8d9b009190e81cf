"""Every rule on an account small enough to do the sum in one's head; the sums stand beside the figures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from small_venue import assert_figures, brackets, venue

# Of a notional of 8000: 1000 in the first bracket, 4000 in the second, 3000 in the third.
THREE = ((0.0, 0.1, 0.05), (1000.0, 0.2, 0.08), (5000.0, 0.5, 0.25))


@pytest.mark.parametrize(
    ("quantity", "initial", "maintenance"),
    [
        (80.0, 100 + 800 + 1500, 50 + 320 + 750),
        (-80.0, 100 + 800 + 1500, 50 + 320 + 750),
        (50.0, 100 + 800, 50 + 320),
        (10.0, 100, 50),
        (-5.0, 50, 25),
    ],
)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_brackets_are_marginal(quantity: float, initial: float, maintenance: float, order: tuple[int, ...]) -> None:
    margin = brackets("PERP", *(THREE[at] for at in order))
    what = venue(positions=[("PERP", quantity, 100.0)], margin=margin)
    assert_figures(what, initial_margin=initial, maintenance_margin=maintenance, health=-maintenance)


def test_brackets_of_two_instruments_are_apart() -> None:
    what = venue(
        positions=[("PERP", 80.0, 100.0), ("OIL", -1.0, -5.0)],
        margin=brackets("PERP", *THREE),
    )
    assert_figures(what, initial_margin=2400 + 500, maintenance_margin=1120 + 250)


def test_brackets_of_a_coin_settled_perpetual_are_in_the_numeraire() -> None:
    # 80 contracts of 100 dollars.
    what = venue(positions=[("INVERSE", -80.0, 50_000.0)], margin=brackets("INVERSE", *THREE))
    assert_figures(what, initial_margin=2400, maintenance_margin=1120, equity=0)


@pytest.mark.parametrize(("quantity", "initial"), [(-2.0, 2 * 1000), (2.0, 0)])
def test_brackets_of_an_option_are_for_the_short_side(quantity: float, initial: float) -> None:
    # One contract is for a tenth of a bitcoin: a notional of 5000.
    margin = brackets("CALL", (0.0, 0.1, 0.05), (5000.0, 0.3, 0.1))
    what = venue(positions=[("CALL", quantity, 1500.0)], margin=margin)
    assert_figures(what, initial_margin=initial, maintenance_margin=250 + 500 if initial else 0)


@pytest.mark.parametrize(
    ("quantity", "initial", "maintenance"), [(10.0, 120, 120), (-10.0, 120, 120), (80.0, 2400, 1120)]
)
def test_margin_has_a_floor_per_contract(quantity: float, initial: float, maintenance: float) -> None:
    # 12 a contract: more than the first bracket asks for, less than all three together.
    margin = brackets("PERP", *THREE, margin_floor_per_contract=12.0)
    what = venue(positions=[("PERP", quantity, 100.0)], margin=margin)
    assert_figures(what, initial_margin=initial, maintenance_margin=maintenance)


def test_floor_per_contract_of_an_option_is_for_the_short_side() -> None:
    margin = brackets("COINCALL", (0.0, 0.1, 0.05), margin_floor_per_contract=700.0)
    # A tenth of a bitcoin a contract: 5000, so a rate of 0.1 would be 500.
    assert_figures(
        venue(positions=[("COINCALL", -3.0, 0.03)], margin=margin), initial_margin=2100, maintenance_margin=2100
    )
    assert_figures(venue(positions=[("COINCALL", 3.0, 0.03)], margin=margin), initial_margin=0, maintenance_margin=0)


def test_closing_costs_a_fee_in_every_bracket() -> None:
    margin = brackets("PERP", *THREE, close_out_fee_rate=0.05)
    what = venue(positions=[("PERP", 80.0, 100.0)], margin=margin)
    assert_figures(what, initial_margin=2400, maintenance_margin=1120 + 0.05 * 8000)


def test_a_fee_may_reach_the_initial_rate_as_decimals_add_up() -> None:
    """0.1 + 0.2 is 0.3 for whoever wrote it, though the nearest floats add up to more than the nearest to 0.3."""
    assert 0.1 + 0.2 > 0.3
    margin = brackets("PERP", (0.0, 0.3, 0.1), close_out_fee_rate=0.2)
    assert_figures(venue(positions=[("PERP", 10.0, 100.0)], margin=margin), initial_margin=300, maintenance_margin=300)


@pytest.mark.parametrize(
    ("cap", "initial"), [(None, 2400), (5.0, 200 + 800 + 1500), (100.0, 2400), (1.0, 8000), (0.5, 16_000)]
)
def test_leverage_cap_raises_the_rates_below_it(cap: float | None, initial: float) -> None:
    what = venue(positions=[("PERP", 80.0, 100.0)], margin=brackets("PERP", *THREE), leverage_cap=cap)
    assert_figures(what, initial_margin=initial, maintenance_margin=1120)


def test_leverage_cap_that_no_decimal_can_turn_over() -> None:
    # A third of 7500.
    what = venue(positions=[("PERP", -75.0, 100.0)], leverage_cap=3.0)
    assert_figures(what, initial_margin=2500, maintenance_margin=375)


BIDS_AND_ASKS = [("PERP", 5.0, 101.0), ("PERP", 3.0, 99.0), ("PERP", -20.0, 98.0)]


@pytest.mark.parametrize(("quantity", "exposure"), [(10.0, 18), (-10.0, 30), (0.0, 20), (6.0, 14), (5.5, 14.5)])
def test_orders_need_initial_margin_alone(quantity: float, exposure: float) -> None:
    # Buys of 8 and sells of 20. Filled at once, the buys lose 5 x 1, the sells 20 x 2: only one side will be.
    what = venue(positions=[("PERP", quantity, 100.0)], orders=BIDS_AND_ASKS)
    assert_figures(
        what,
        initial_margin=10 * exposure + 40,
        initial_health=-10 * exposure - 40,
        maintenance_margin=5 * abs(quantity),
        health=-5 * abs(quantity),
        equity=0,
    )


def test_orders_pick_the_initial_bracket() -> None:
    what = venue(positions=[("PERP", 40.0, 100.0)], orders=[("PERP", 40.0, 90.0)], margin=brackets("PERP", *THREE))
    assert_figures(what, initial_margin=2400, maintenance_margin=50 + 240)


def test_orders_without_a_position() -> None:
    what = venue(balances=[("USD", 100.0)], orders=[("PERP", 40.0, 90.0), ("PERP", -10.0, 99.0)])
    assert_figures(what, initial_margin=400 + 10, initial_health=-310, health=100, liquidatable=False)


def test_orders_meet_the_leverage_cap_and_the_floor_per_contract() -> None:
    margin = brackets("PERP", (0.0, 0.1, 0.05), margin_floor_per_contract=30.0)
    what = venue(orders=[("PERP", 10.0, 100.0)], margin=margin)
    assert_figures(what, initial_margin=300, maintenance_margin=0)
    assert_figures(replace(what, accounts={"account": ["it"], "leverage_cap": [2.0]}), initial_margin=500)


def test_reduce_only_orders_need_nothing() -> None:
    what = venue(positions=[("PERP", 10.0, 100.0)], orders=[("PERP", -25.0, 1.0, True), ("PERP", 5.0, 300.0, True)])
    assert_figures(what, initial_margin=100, maintenance_margin=50)


@pytest.mark.parametrize(("quantity", "exposure"), [(-2.0, 5), (4.0, 0), (2.0, 1), (0.0, 3), (-0.5, 3.5)])
def test_orders_in_an_option_count_the_short_side(quantity: float, exposure: float) -> None:
    # 500 for each contract that may be short; the dearest buy loses 0.1 x 20 a contract, the sells nothing.
    orders = [("CALL", 7.0, 1520.0), ("CALL", 1.0, 1400.0), ("CALL", -3.0, 1600.0)]
    what = venue(positions=[("CALL", quantity, 1500.0)], orders=orders)
    assert_figures(what, initial_margin=500 * exposure + 14, maintenance_margin=250 * max(0.0, -quantity))


def test_orders_in_an_inverse_perpetual_lose_coins() -> None:
    # At 40,000 a contract is worth -0.0025 BTC, at the mark -0.002: a sell loses 0.0005, a buy nothing.
    sell = venue(orders=[("INVERSE", -1000.0, 40_000.0)])
    assert_figures(sell, initial_margin=10_000 + 0.5 * 50_000)
    assert_figures(venue(orders=[("INVERSE", 1000.0, 40_000.0)]), initial_margin=10_000)
    assert_figures(venue(orders=[("INVERSE", 1000.0, 62_500.0)]), initial_margin=10_000 + 0.4 * 50_000)


def test_orders_in_an_inverse_option_lose_coins() -> None:
    what = venue(orders=[("COINCALL", -2.0, 0.01), ("COINCALL", 1.0, 0.04)])
    # Two of 5000 short; sold at 0.02 below mark, a tenth of a bitcoin each.
    assert_figures(what, initial_margin=1000 + 2 * 0.1 * 0.02 * 50_000)


def test_orders_at_negative_prices() -> None:
    # Barrels at -5: a buy at -4 loses 1, a sell at -7 loses 2, 1000 barrels a contract.
    what = venue(positions=[("OIL", 1.0, -5.0)], orders=[("OIL", 2.0, -4.0), ("OIL", -3.0, -7.0)])
    assert_figures(what, initial_margin=3 * 500 + 6000, maintenance_margin=250)


HAIRCUTS: dict[str, Any] = {
    "asset": ["BTC", "BTC", "BTC"],
    "amount_floor": [10.0, 50.0, 0.0],
    "initial_haircut": [0.5, 1.0, 0.2],
    "maintenance_haircut": [0.3, 1.0, 0.1],
    "initial_liability_weight": [None, 1.5, 1.5],
    "maintenance_liability_weight": [1.2, None, 1.2],
}


@pytest.mark.parametrize(
    ("balance", "initial", "maintenance"),
    [
        (60.0, 8 + 20, 9 + 28),
        (50.0, 8 + 20, 9 + 28),
        (20.0, 8 + 5, 9 + 7),
        (10.0, 8, 9),
        (1.0, 0.8, 0.9),
        (-20.0, -30, -24),
    ],
)
def test_haircuts_rise_by_tiers(balance: float, initial: float, maintenance: float) -> None:
    what = venue(balances=[("BTC", balance)], collateral=HAIRCUTS)
    assert_figures(
        what,
        equity=50_000 * balance,
        collateral_value=50_000 * maintenance,
        initial_collateral_value=50_000 * initial,
    )


def test_tiers_meet_the_net_of_an_asset() -> None:
    # Long 1,000,000 contracts from 40,000: 500 coins won; 460 owed. The 40 left are in two tiers.
    what = venue(balances=[("BTC", -460.0)], positions=[("INVERSE", 1_000_000.0, 40_000.0)], collateral=HAIRCUTS)
    assert_figures(what, equity=2_000_000, collateral_value=50_000 * (9 + 21), health=50_000 * 30 - 5_000_000)


@pytest.mark.parametrize(("cap", "counts"), [(20.0, 9 + 7), (60.0, 37), (5.0, 4.5), (0.0, 0), (None, 37)])
def test_what_is_above_the_amount_cap_counts_nothing(cap: float | None, counts: float) -> None:
    collateral = HAIRCUTS | {"amount_cap": [None, None, cap]}
    what = venue(balances=[("BTC", 60.0)], collateral=collateral)
    assert_figures(what, equity=3_000_000, collateral_value=50_000 * counts)
    assert_figures(venue(balances=[("BTC", -60.0)], collateral=collateral), collateral_value=-3_600_000)


def gains(share: float, **more: Any) -> dict[str, Any]:
    return {"asset": ["USD"], "unrealized_gain_share": [share]} | {name: [value] for name, value in more.items()}


@pytest.mark.parametrize(
    ("share", "balance", "entry", "collateral_value"),
    [
        (0.5, 100.0, 96.0, 120),
        (0.0, 100.0, 96.0, 100),
        (1.0, 100.0, 96.0, 140),
        (0.5, 100.0, 104.0, 60),
        (0.5, -100.0, 96.0, -100),
    ],
)
def test_only_a_share_of_an_unrealized_gain_counts(
    share: float, balance: float, entry: float, collateral_value: float
) -> None:
    # Ten contracts, 4 won or lost on each. In the last case a debt of 80 is left, weighed by 1.25.
    weights = {"initial_liability_weight": 1.25, "maintenance_liability_weight": 1.25}
    what = venue(balances=[("USD", balance)], positions=[("PERP", 10.0, entry)], collateral=gains(share, **weights))
    assert_figures(what, equity=balance + 10 * (100 - entry), collateral_value=collateral_value)


def test_gains_and_losses_of_an_asset_net_before_a_share_counts() -> None:
    what = venue(positions=[("PERP", 10.0, 96.0), ("CALL", -1.0, 1400.0)], collateral=gains(0.5))
    assert_figures(what, equity=30, collateral_value=15)
    # The bitcoin that is won elsewhere is another asset, and counts in full.
    what = venue(positions=[("PERP", 10.0, 96.0), ("INVERSE", 1000.0, 40_000.0)], collateral=gains(0.5))
    assert_figures(what, equity=40 + 25_000, collateral_value=20 + 25_000)


def test_balances_and_loans_have_each_their_interest() -> None:
    what = venue(
        balances=[("USD", 1000.0), ("BTC", -0.1)],
        deposit_index={"USD": 1.05, "BTC": 3.0},
        borrow_index={"USD": 7.0, "BTC": 1.2},
    )
    assert_figures(what, equity=1050 - 0.12 * 50_000)


def test_interest_does_not_run_on_profit() -> None:
    what = venue(
        balances=[("USD", -10.0)],
        positions=[("PERP", 10.0, 96.0)],
        deposit_index={"USD": 2.0},
        borrow_index={"USD": 3.0},
    )
    assert_figures(what, equity=-30 + 40)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_long_pays_funding_that_rises(side: float) -> None:
    # Ten have won 10 each, and paid 3 - 1.
    what = venue(positions=[("PERP", 10.0 * side, 90.0, None, 1.0)], cumulative_funding={"PERP": 3.0})
    assert_figures(what, equity=80 * side, initial_margin=100, maintenance_margin=50)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_funding_of_an_inverse_perpetual_is_in_coins(side: float) -> None:
    # 100 / 40,000 - 100 / 50,000 won, 100 x 0.000001 paid, a thousand times.
    what = venue(positions=[("INVERSE", 1000.0 * side, 40_000.0)], cumulative_funding={"INVERSE": 0.000001})
    assert_figures(what, equity=(0.5 - 0.1) * 50_000 * side, initial_margin=10_000)
