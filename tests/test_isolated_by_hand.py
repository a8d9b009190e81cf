"""Positions that are backed alone, on accounts small enough to do the sum in one's head."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from building import report_of
from small_venue import assert_figures, brackets, venue

# All that an account shows that has nothing.
NOTHING: dict[str, Any] = {
    "equity": 0,
    "collateral_value": 0,
    "initial_collateral_value": 0,
    "initial_margin": 0,
    "maintenance_margin": 0,
    "health": 0,
    "initial_health": 0,
    "free_collateral": 0,
    "margin_ratio": 0,
    "liquidatable": False,
    "bankrupt": False,
}


def test_a_margin_of_its_own_makes_a_unit_of_its_own() -> None:
    what = venue(
        balances=[("USD", 1000.0)],
        positions=[("PERP", 10.0, 90.0, 50.0), ("CALL", -0.2, 1500.0)],
    )
    assert_figures(what, equity=1000, initial_margin=100, maintenance_margin=50, health=950)
    assert_figures(
        what,
        "PERP",
        quantity=10,
        isolated_margin=50,
        notional=1000,
        unrealized_pnl=100,
        equity=150,
        collateral_value=150,
        initial_margin=100,
        maintenance_margin=50,
        initial_health=50,
        health=100,
        free_collateral=50,
        liquidatable=False,
        bankrupt=False,
    )


def test_the_account_does_not_pay_for_an_isolated_position() -> None:
    what = venue(balances=[("USD", 1000.0)], positions=[("PERP", 10.0, 130.0, 50.0)])
    assert_figures(what, equity=1000, health=1000, maintenance_margin=0, margin_ratio=0, liquidatable=False)
    assert_figures(what, "PERP", equity=-250, health=-300, liquidatable=True, bankrupt=True)


def test_nor_does_its_gain_help_the_account() -> None:
    what = venue(balances=[("USD", -10.0)], positions=[("PERP", 10.0, 50.0, 1.0)])
    assert_figures(what, equity=-10, liquidatable=True, bankrupt=True)
    assert_figures(what, "PERP", equity=501, health=451)


@pytest.mark.parametrize("margin", [0.0, 50.0])
def test_health_of_a_position_is_0_where_its_margin_is_just_enough(margin: float) -> None:
    # 1000 of notional, a twentieth to keep: 50.
    what = venue(positions=[("PERP", 10.0, 100.0 - 5 + margin / 10, margin)])
    assert_figures(what, "PERP", health=0, margin_ratio=1, liquidatable=False)
    below = venue(positions=[("PERP", 10.0, 100.0001 - 5 + margin / 10, margin)])
    assert_figures(below, "PERP", liquidatable=True)


def test_haircuts_tiers_and_caps_meet_each_position_alone() -> None:
    collateral = {
        "asset": ["BTC", "BTC"],
        "amount_floor": [0.0, 2.0],
        "initial_haircut": [0.1, 0.6],
        "maintenance_haircut": [0.1, 0.6],
        "amount_cap": [4.0, None],
    }
    # 3 coins posted, 0.5 won: 1.8 and 1.5 x 0.4. The 5 coins of the account: 1.8 and 2 x 0.4.
    what = venue(balances=[("BTC", 5.0)], positions=[("INVERSE", 1000.0, 40_000.0, 3.0)], collateral=collateral)
    assert_figures(what, equity=250_000, collateral_value=2.6 * 50_000)
    assert_figures(what, "INVERSE", isolated_margin=150_000, equity=175_000, collateral_value=2.4 * 50_000)


def test_a_loss_beyond_the_posted_coins_is_weighed_as_a_debt() -> None:
    collateral = {"asset": ["BTC"], "initial_liability_weight": [1.5], "maintenance_liability_weight": [1.2]}
    what = venue(positions=[("INVERSE", -1000.0, 40_000.0, 0.25)], collateral=collateral)
    assert_figures(what, "INVERSE", equity=-12_500, collateral_value=-15_000, initial_collateral_value=-18_750)


def test_no_interest_runs_on_a_posted_margin() -> None:
    what = venue(balances=[("USD", 100.0)], positions=[("PERP", 1.0, 100.0, 10.0)], deposit_index={"USD": 2.0})
    assert_figures(what, equity=200)
    assert_figures(what, "PERP", equity=10)


def test_funding_and_gain_share_of_an_isolated_position() -> None:
    what = venue(
        positions=[("PERP", 10.0, 90.0, 5.0, 1.0)],
        cumulative_funding={"PERP": 3.0},
        collateral={"asset": ["USD"], "unrealized_gain_share": [0.25]},
    )
    assert_figures(what, "PERP", unrealized_pnl=80, equity=85, collateral_value=25)


def test_orders_in_the_instrument_count_in_the_unit_and_others_in_the_account() -> None:
    what = venue(
        balances=[("USD", 1000.0)],
        positions=[("PERP", 10.0, 100.0, 50.0)],
        orders=[("PERP", 20.0, 101.0), ("OIL", 1.0, -5.0)],
    )
    assert_figures(what, initial_margin=500, initial_health=500, maintenance_margin=0)
    assert_figures(what, "PERP", initial_margin=300 + 20, initial_health=-270, health=0)


def test_leverage_cap_brackets_and_fee_of_an_isolated_position() -> None:
    margin = brackets("PERP", (0.0, 0.1, 0.05), (1000.0, 0.4, 0.2), close_out_fee_rate=0.01)
    what = venue(positions=[("PERP", 20.0, 100.0, 700.0)], margin=margin, leverage_cap=4.0)
    assert_figures(what, "PERP", initial_margin=250 + 400, maintenance_margin=50 + 200 + 20, notional=2000)


def test_a_margin_without_a_position_is_a_unit_as_well() -> None:
    what = venue(positions=[("PERP", 0.0, 90.0, 50.0)])
    assert_figures(what, "PERP", quantity=0, isolated_margin=50, notional=0, equity=50, health=50)


def test_isolated_positions_come_by_account_and_then_by_row_of_the_universe() -> None:
    what = venue(positions=[("OIL", 1.0, -5.0, 0.0), ("CALL", 1.0, 1500.0, 0.0), ("PERP", 1.0, 100.0, 0.0)])
    assert what.positions is not None
    positions = {name: values * 2 for name, values in what.positions.items()}
    positions["account"] = ["second"] * 3 + ["first"] * 3
    numbered = {"account": ["first", "second"], "asset": ["USD", "USD"], "balance": [1.0, 1.0]}
    report = report_of(replace(what, positions=positions, balances=numbered))
    assert report.isolated.accounts.tolist() == ["first"] * 3 + ["second"] * 3
    assert report.isolated.instruments.tolist() == ["PERP", "CALL", "OIL"] * 2


# In isolated mode: 30 PERP need 300 to open, 0.2 short calls 100, so they share the balances 3 to 1.
SHARED = [("PERP", 30.0, 90.0), ("CALL", -0.2, 1400.0)]


def isolated(**frames: Any) -> Any:
    return replace(venue(**frames), mode="isolated")


def test_positions_share_the_balances_by_what_they_need() -> None:
    what = isolated(balances=[("USD", 1000.0)], positions=SHARED)
    assert_figures(what, **NOTHING)
    assert_figures(
        what,
        "PERP",
        isolated_margin=750,
        equity=750 + 300,
        collateral_value=1050,
        initial_margin=300,
        maintenance_margin=150,
        health=900,
        unrealized_pnl=300,
    )
    assert_figures(what, "CALL", isolated_margin=250, equity=250 - 2, maintenance_margin=50, health=198)


def test_shared_balances_are_weighed_as_one_and_profit_apart() -> None:
    collateral = {
        "asset": ["BTC", "USD"],
        "initial_haircut": [0.5, 0.0],
        "maintenance_haircut": [0.2, 0.0],
        "initial_liability_weight": [1.0, 2.0],
        "maintenance_liability_weight": [1.0, 1.5],
    }
    # 0.1 coins less 1000 owed: worth 4000, weighed 4000 - 1500 to keep, 2500 - 2000 to open.
    what = isolated(balances=[("BTC", 0.1), ("USD", -1000.0)], positions=SHARED, collateral=collateral)
    assert_figures(
        what,
        "PERP",
        isolated_margin=3000,
        equity=3300,
        collateral_value=0.75 * 2500 + 300,
        initial_collateral_value=0.75 * 500 + 300,
    )
    # The loss of 2 is weighed as a debt, although the balances would cover it.
    assert_figures(
        what,
        "CALL",
        isolated_margin=1000,
        equity=998,
        collateral_value=0.25 * 2500 - 3,
        initial_collateral_value=0.25 * 500 - 4,
    )


def test_debts_are_shared_too() -> None:
    what = isolated(balances=[("USD", -1000.0)], positions=SHARED)
    assert_figures(what, "PERP", isolated_margin=-750, equity=-450, liquidatable=True, bankrupt=True)
    assert_figures(what, **NOTHING)


def test_margin_ratio_of_a_shared_pool_has_its_assets_and_its_debts() -> None:
    # Assets 0.75 x 5000 and the gain of 300; needed 150 and 0.75 x 1000.
    what = isolated(balances=[("BTC", 0.1), ("USD", -1000.0)], positions=[("PERP", 30.0, 90.0), ("CALL", -0.2, 1500.0)])
    assert_figures(what, "PERP", health=3150)
    assert report_of(what).isolated.margin_ratio[0] == pytest.approx(900 / 4050)


def test_where_nothing_is_needed_nothing_is_given() -> None:
    what = isolated(balances=[("USD", 1000.0)], positions=[("CALL", 1.0, 1400.0)])
    assert_figures(what, equity=1000, health=1000)
    assert_figures(what, "CALL", isolated_margin=0, equity=10, initial_margin=0, liquidatable=False)


def test_a_position_with_a_margin_of_its_own_takes_no_share() -> None:
    what = isolated(balances=[("USD", 1000.0)], positions=[*SHARED, ("OIL", 1.0, -5.0, 600.0)])
    assert_figures(what, "PERP", isolated_margin=750)
    assert_figures(what, "OIL", isolated_margin=600, equity=600, health=350)
    alone = isolated(balances=[("USD", 1000.0)], positions=[("OIL", 1.0, -5.0, 600.0)])
    assert_figures(alone, equity=1000)
    assert_figures(alone, "OIL", isolated_margin=600, equity=600)


def test_orders_make_a_position_need_more_of_the_balances() -> None:
    # With its buys the PERP needs 600 and loses 100 on opening: 700 of 800.
    orders = [("PERP", 30.0, 100.0), ("PERP", 10.0, 110.0, True), ("PERP", -10.0, 90.0)]
    what = isolated(balances=[("USD", 800.0)], positions=SHARED, orders=orders)
    assert_figures(what, "PERP", isolated_margin=700, initial_margin=700, maintenance_margin=150)
    assert_figures(what, "CALL", isolated_margin=100)


def test_orders_without_a_position_stay_with_the_account() -> None:
    what = isolated(balances=[("USD", 1000.0)], positions=SHARED, orders=[("OIL", 1.0, -5.0)])
    assert_figures(what, equity=0, initial_margin=500, initial_health=-500, health=0, liquidatable=False)
    assert_figures(what, "PERP", isolated_margin=750)


def test_leverage_cap_changes_the_shares() -> None:
    # Both need half of their notional: 1500 and 500.
    margin = brackets("CALL", (0.0, 0.2, 0.05))
    plain = isolated(balances=[("USD", 1000.0)], positions=SHARED, margin=margin)
    assert_figures(plain, "PERP", isolated_margin=600)
    capped = replace(plain, accounts={"account": ["it"], "leverage_cap": [2.0]})
    assert_figures(capped, "PERP", isolated_margin=750, initial_margin=1500)


def test_balances_without_positions_stay_with_the_account() -> None:
    what = isolated(balances=[("USD", 1000.0), ("BTC", -0.01)])
    assert_figures(what, equity=500, health=500)
    assert len(report_of(what).isolated) == 0
