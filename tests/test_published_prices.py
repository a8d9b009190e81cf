"""Liquidation prices that venues and their users printed, returned by one call."""

from __future__ import annotations

from typing import Any

import pytest

import xmfast as xm
from building import build
from strategies import Venue
from test_published import Fact, facts
from test_published_tiers import binance_account

# Printed to the cent; one of them was truncated.
CENT = 0.006


def account(
    *, quantity: float, entry: float, mark: float, rates: list[tuple[float, float]], other_margin: float, **cells: Any
) -> Venue:
    """Return an account with a position in brackets (floor, rate), and another that needs so much margin.

    ``cells`` are ``balance``, ``other_profit`` and ``isolated_margin``.
    """
    # The others, as one contract at a price so high that its margin is a small rate.
    other_mark, other_profit = 1_000_000.0, cells.get("other_profit", 0.0)
    rows = [*(("THIS", *row) for row in rates), ("OTHERS", 0.0, other_margin / other_mark)]
    return Venue(
        assets={"asset": ["USDT"]},
        instruments={
            "instrument": ["THIS", "OTHERS"],
            "kind": ["perpetual"] * 2,
            "underlying": ["BTC", "ETH"],
            "settlement": ["USDT"] * 2,
        },
        numeraire="USDT",
        balances={"account": ["it"], "asset": ["USDT"], "balance": [cells.get("balance", 0.0)]},
        positions={
            "account": ["it"] * 2,
            "instrument": ["THIS", "OTHERS"],
            "quantity": [quantity, 1.0],
            "entry_price": [entry, other_mark - other_profit],
            "isolated_margin": [cells.get("isolated_margin"), None],
        },
        mark_price={"THIS": mark, "OTHERS": other_mark},
        margin={
            "instrument": [row[0] for row in rows],
            "notional_floor": [row[1] for row in rows],
            "initial_rate": [row[2] for row in rows],
            "maintenance_rate": [row[2] for row in rows],
        },
    )


def price_of(venue: Venue, instrument: str) -> float:
    """Return the liquidation price of the account's position, asked for alone and with all others."""
    model, book, market = build(venue)
    price = xm.liquidation_price(book, market, model, "it", instrument)
    assert price is not None
    prices = dict(zip(book.positions["instrument"].tolist(), xm.liquidation_price(book, market, model), strict=True))
    assert prices[instrument] == pytest.approx(price, rel=1e-12)
    assert xm.liquidation_prices(book, market, model, "it", instrument) == [price]
    return price


@pytest.mark.parametrize("entry_is_mark", [True, False])
@pytest.mark.parametrize("fact", facts("binance_liquidation_price"), ids=lambda fact: str(fact["liquidation_price"]))
def test_binance_liquidation_price(fact: Fact, entry_is_mark: bool) -> None:
    """A bracket's deduction (cum) is what marginal brackets make of it: its floor x the step of the rate."""
    rate = fact["mmr"]
    margin = {"balance": fact["wallet_balance"]}
    if fact["mode"] == "isolated":
        # What others have made and need does not matter: they are given something to matter with.
        margin = {"isolated_margin": fact["wallet_balance"], "balance": 17.0, "other_profit": -17_000.0}
    else:
        margin["other_profit"] = fact["other_upnl"]
    venue = account(
        quantity=fact["side"] * fact["qty"],
        entry=fact["entry"],
        # Wherever the price is now, in whichever bracket: the liquidation price is the same.
        mark=fact["entry"] if entry_is_mark else fact["liquidation_price"] * 1.01,
        rates=[(0.0, rate / 2), (2 * fact["cum_maintenance"] / rate, rate)],
        other_margin=fact["other_mm"],
        **margin,
    )
    assert price_of(venue, "THIS") == pytest.approx(fact["liquidation_price"], abs=CENT)


@pytest.mark.parametrize("which", [0, 1])
def test_binance_liquidation_price_in_real_brackets(which: int) -> None:
    [fact] = facts("binance_brackets")
    position = fact["positions"][which]
    assert price_of(binance_account(fact), position["symbol"]) == pytest.approx(position["liquidation_price"], abs=CENT)


def test_torchtrade_liquidation_price() -> None:
    """An account whose other positions need 4: 99.4, where a formula that knows only this one says 95.4."""
    [fact] = facts("torchtrade_liquidation_price")
    position = {"quantity": fact["qty"], "entry": fact["mark"], "mark": fact["mark"], "rates": [(0.0, fact["mmr"])]}
    venue = account(**position, other_margin=fact["other_mm"], balance=fact["equity"])
    assert price_of(venue, "THIS") == pytest.approx(fact["liq_price"], abs=0.05)
    assert price_of(venue, "THIS") == pytest.approx(99 / 0.996, rel=1e-15)
    alone = account(**position, other_margin=0.0, balance=fact["equity"])
    assert price_of(alone, "THIS") == pytest.approx(95 / 0.996, rel=1e-15)
