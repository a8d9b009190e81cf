"""Numbers of venues whose rates change with size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from building import report_of
from strategies import Venue
from test_published import Fact, facts


def binance_account(fact: Fact) -> Venue:
    """Return the account of the example, its positions in their real brackets."""
    symbols = [position["symbol"] for position in fact["positions"]]
    brackets = [(position["symbol"], *row) for position in fact["positions"] for row in position["brackets"]]
    return Venue(
        assets={"asset": ["USDT"]},
        instruments={
            "instrument": symbols,
            "kind": ["perpetual"] * 2,
            "underlying": symbols,
            "settlement": ["USDT"] * 2,
        },
        numeraire="USDT",
        balances={"account": ["it"], "asset": ["USDT"], "balance": [fact["wallet_balance"]]},
        positions={
            "account": ["it"] * 2,
            "instrument": symbols,
            "quantity": [position["quantity"] for position in fact["positions"]],
            "entry_price": [position["entry"] for position in fact["positions"]],
        },
        mark_price={position["symbol"]: position["mark"] for position in fact["positions"]},
        margin={
            "instrument": [row[0] for row in brackets],
            "notional_floor": [row[1] for row in brackets],
            "initial_rate": [row[2] for row in brackets],
            "maintenance_rate": [row[2] for row in brackets],
        },
    )


def test_binance_brackets_deduct_what_is_printed() -> None:
    [fact] = facts("binance_brackets")
    for position in fact["positions"]:
        cum, before = 0.0, 0.0
        for floor, rate in position["brackets"]:
            cum, before = cum + floor * (rate - before), rate
            if rate == position["maintenance_rate"]:
                assert cum == pytest.approx(position["cum"])


def test_binance_margin_of_both_positions() -> None:
    [fact] = facts("binance_brackets")
    margin = report_of(binance_account(fact))["it"]
    needed = sum(position["maintenance_margin"] for position in fact["positions"])
    assert margin.maintenance_margin == pytest.approx(needed, abs=0.01)
    lost = sum(position["unrealized_pnl"] for position in fact["positions"])
    assert margin.equity == pytest.approx(fact["wallet_balance"] + lost, abs=0.02)


@pytest.mark.parametrize("which", [0, 1])
def test_binance_liquidation_price_of_one_position_of_two(which: int) -> None:
    """One cent past the printed price the account is liquidatable, one cent before it is not."""
    [fact] = facts("binance_brackets")
    venue, position = binance_account(fact), fact["positions"][which]
    liquidatable = []
    for step in (0.01, -0.01):
        mark_price = venue.mark_price | {position["symbol"]: position["liquidation_price"] + step}
        liquidatable.append(report_of(replace(venue, mark_price=mark_price))["it"].liquidatable)
    assert liquidatable == [False, True]


def test_bybit_collateral_tiers() -> None:
    [fact] = facts("bybit_collateral_tiers")
    haircuts: list[Any] = [1 - tier["ratio"] for tier in fact["tiers"]]
    for quantity, counts in fact["counts"].items():
        venue = Venue(
            assets={"asset": ["BTC"]},
            instruments={"instrument": [], "kind": [], "underlying": [], "settlement": []},
            numeraire="BTC",
            balances={"account": ["it"], "asset": ["BTC"], "balance": [float(quantity)]},
            collateral={
                "asset": ["BTC"] * len(haircuts),
                "amount_floor": [tier["min"] for tier in fact["tiers"]],
                "initial_haircut": haircuts,
                "maintenance_haircut": haircuts,
            },
        )
        assert report_of(venue)["it"].collateral_value == pytest.approx(counts, rel=1e-12)
