"""Moves along a path small enough to work out on paper; u is 1 + move."""

from __future__ import annotations

import math
from typing import Any

import pytest

import xmfast as xm
from building import build
from small_venue import brackets, venue
from strategies import Venue
from test_published import failure
from test_rules_by_hand import HAIRCUTS, THREE


def assert_moves(
    what: Venue,
    betas: dict[Any, float],
    *,
    health: tuple[float | None, float | None] | None = None,
    equity: tuple[float | None, float | None] | None = None,
    all_: list[float] | None = None,
    rel: float = 1e-13,
) -> None:
    """Assert how far the account `it` may fall and rise, asked for alone and as a book of one."""
    model, book, market = build(what)
    assert isinstance(model, xm.CrossMargin)
    path = xm.PricePath.of_betas(model.universe, betas)
    for move_of, expected in ((xm.liquidation_move, health), (xm.bankruptcy_move, equity)):
        if expected is None:
            continue
        moves = move_of(book, market, model, path, "it")
        in_book = move_of(book, market, model, path)
        for move, in_array, right in zip(moves, (in_book.fall[0], in_book.rise[0]), expected, strict=True):
            assert move == (None if right is None else pytest.approx(right, rel=rel, abs=1e-15))
            assert in_array == pytest.approx(math.nan if right is None else right, rel=rel, abs=1e-15, nan_ok=True)
    if all_ is not None:
        assert xm.liquidation_moves(book, market, model, path, "it") == pytest.approx(all_, rel=rel, abs=1e-15)


BTC = {"BTC": 1.0}
COIN = {"asset": ["BTC"], "maintenance_haircut": [0.05], "initial_haircut": [0.1]}


def test_a_perpetual_with_dollars() -> None:
    # 100 + 10 x 100 (u - 1) = 50 u
    what = venue(balances=[("USD", 100.0)], positions=[("PERP", 10.0, 100.0)])
    assert_moves(what, BTC, health=(900 / 950 - 1, None), equity=(-0.1, None), all_=[900 / 950 - 1])
    # Half a move, twice as far.
    assert_moves(what, {"BTC": 0.5}, health=(2 * (900 / 950 - 1), None), equity=(-0.2, None))
    # Against the move.
    assert_moves(what, {"BTC": -1.0}, health=(None, 1 - 900 / 950), equity=(None, 0.1))
    assert_moves(what, {"WTI": 1.0}, health=(None, None), equity=(None, None), all_=[])


def test_coins_sold_short_are_hedged() -> None:
    """One coin, weighed 0.95, and a short of 500 x 100: what the price of the perpetual alone would do is no danger."""
    what = venue(balances=[("BTC", 1.0)], positions=[("PERP", -500.0, 100.0)], collateral=COIN)
    # 47,500 u + 50,000 - 50,000 u = 2500 u
    assert_moves(what, BTC, health=(None, 9.0), equity=(None, None))
    model, book, market = build(what)
    # 97,500 = 52,500 u
    assert xm.liquidation_price(book, market, model, "it", "PERP") == pytest.approx(97_500 / 525)


def test_an_inverse_perpetual_falls_with_its_collateral() -> None:
    # 0.5 + 2 - 2 / u coins, 0.1 / u needed
    what = venue(balances=[("BTC", 0.5)], positions=[("INVERSE", 1000.0, 50_000.0)])
    assert_moves(what, BTC, health=(2.1 / 2.5 - 1, None), equity=(-0.2, None))
    # With a haircut on what is left: 0.95 (2.5 u - 2) = 0.1.
    weighed = venue(balances=[("BTC", 0.5)], positions=[("INVERSE", 1000.0, 50_000.0)], collateral=COIN)
    assert_moves(weighed, BTC, health=((2 + 0.1 / 0.95) / 2.5 - 1, None))
    # The coins alone, the contract where it is: 0.5 coins and 0.1 needed, whatever they are worth.
    assert_moves(what, {"BTC": 1.0, "INVERSE": 0.0}, health=(None, None), equity=(None, None))


def test_a_short_inverse_perpetual_is_worth_dollars() -> None:
    # 2 - 2 + 2 / u coins of 50,000 u dollars: 100,000 whatever comes, 5000 needed.
    what = venue(balances=[("BTC", 2.0)], positions=[("INVERSE", -1000.0, 50_000.0)])
    assert_moves(what, BTC, health=(None, None), equity=(None, None))
    # Half of it sold: 1 + 1 / u coins, which no move makes nothing.
    what = venue(balances=[("BTC", 2.0), ("USD", -120_000.0)], positions=[("INVERSE", -500.0, 50_000.0)])
    # 50,000 u + 50,000 = 120,000 + 2500
    assert_moves(what, BTC, health=(None, 0.45), equity=(None, 0.4))


def test_a_contract_paid_in_a_coin_that_moves_too_is_a_square() -> None:
    """A perpetual on ether, paid in bitcoin, both of beta 1: 50,000 u (0.5 + u - 1) = 0.05 x 50,000 u x u."""
    what = Venue(
        assets={"asset": ["USD", "BTC"]},
        instruments={"instrument": ["P"], "kind": ["perpetual"], "underlying": ["ETH"], "settlement": ["BTC"]},
        balances={"account": ["it"], "asset": ["BTC"], "balance": [0.5]},
        positions={"account": ["it"], "instrument": ["P"], "quantity": [20.0], "entry_price": [0.05]},
        index_price={"BTC": 50_000.0, "ETH": 2500.0},
        mark_price={"P": 0.05},
        margin={"instrument": ["P"], "initial_rate": [0.1], "maintenance_rate": [0.05]},
    )
    both = {"BTC": 1.0, "ETH": 1.0}
    assert_moves(what, both, health=(0.5 / 0.95 - 1, None), equity=(-0.5, None))
    # Dollars owed beside it: 50,000 u (0.95 u - 0.5) = 10,000.
    owed = {"account": ["it", "it"], "asset": ["BTC", "USD"], "balance": [0.5, -10_000.0]}
    root = (0.5 + math.sqrt(0.25 + 4 * 0.95 * 0.2)) / 1.9
    assert_moves(Venue(**vars_of(what) | {"balances": owed}), both, health=(root - 1, None))
    # A short with dollars: 50,000 u (1.5 - 1.05 u) + 5000 = 0, on one side only.
    short = {"account": ["it"], "instrument": ["P"], "quantity": [-20.0], "entry_price": [0.05]}
    dollars = {"account": ["it", "it"], "asset": ["BTC", "USD"], "balance": [0.5, 5000.0]}
    root = (1.5 + math.sqrt(2.25 + 4 * 1.05 * 0.1)) / 2.1
    assert_moves(Venue(**vars_of(what) | {"balances": dollars, "positions": short}), both, health=(None, root - 1))
    # Dollars owed: two zeros, 50,000 u (1.5 - 1.05 u) = 20,000.
    owed = {"account": ["it", "it"], "asset": ["BTC", "USD"], "balance": [0.5, -20_000.0]}
    roots = [(1.5 + sign * math.sqrt(2.25 - 4 * 1.05 * 0.4)) / 2.1 for sign in (-1, 1)]
    assert_moves(
        Venue(**vars_of(what) | {"balances": owed, "positions": short}),
        both,
        health=(roots[0] - 1, roots[1] - 1),
        all_=[root - 1 for root in roots],
    )


def vars_of(what: Venue) -> dict[str, Any]:
    return {name: getattr(what, name) for name in what.__dataclass_fields__}


def test_wrapped_coins_follow() -> None:
    """A loan of dollars on wrapped coins: 0.8 x 60,000 u = 40,000."""
    what = Venue(
        assets={"asset": ["USD", "WBTC", "BTC"]},
        instruments={"instrument": [], "kind": [], "underlying": [], "settlement": []},
        balances={"account": ["it", "it"], "asset": ["WBTC", "USD"], "balance": [1.0, -40_000.0]},
        index_price={"BTC": 60_100.0, "WBTC": 60_000.0},
        collateral={"asset": ["WBTC"], "maintenance_haircut": [0.2], "initial_haircut": [0.2]},
    )
    model, book, market = build(what)
    alone = xm.PricePath.of_underlying(model.universe, "BTC")
    followed = xm.PricePath.of_underlying(model.universe, "BTC", followers=("WBTC",))
    assert isinstance(model, xm.CrossMargin)
    assert xm.liquidation_move(book, market, model, alone, "it") == (None, None)
    assert xm.liquidation_move(book, market, model, followed, "it").fall == pytest.approx(40 / 48 - 1, rel=1e-13)
    assert xm.bankruptcy_move(book, market, model, followed, "it").fall == pytest.approx(-1 / 3, rel=1e-13)


def test_an_option_keeps_its_price_and_grows_in_notional() -> None:
    # Two short calls on a tenth of a coin need 500 u: 600 = 500 u.
    what = venue(balances=[("USD", 600.0)], positions=[("CALL", -2.0, 1500.0)])
    assert_moves(what, BTC, health=(None, 0.2), equity=(None, None))
    # Named, it moves: 600 - 300 (v - 1) = 500 u, v = 1 + 4 (u - 1).
    assert_moves(what, {"BTC": 1.0, "CALL": 4.0}, health=(None, 100 / 1700), equity=(None, 0.5))
    assert_moves(what, {"CALL": 1.0}, health=(None, 1 / 3), equity=(None, 2.0))


def test_a_move_may_cross_brackets() -> None:
    # 2000 + 8000 (u - 1) = 1120 + 0.25 x 8000 (u - 1)
    what = venue(balances=[("USD", 2000.0)], positions=[("PERP", 80.0, 100.0)], margin=brackets("PERP", *THREE))
    assert_moves(what, BTC, health=(5120 / 6000 - 1, None), equity=(-0.25, None))
    # 4000 + 8000 (u - 1) = 50 + 0.08 (8000 u - 1000)
    what = venue(balances=[("USD", 4000.0)], positions=[("PERP", 80.0, 100.0)], margin=brackets("PERP", *THREE))
    assert_moves(what, BTC, health=(3970 / 7360 - 1, None), equity=(-0.5, None))


def test_tiers_are_of_coins_whatever_they_are_worth() -> None:
    # Twenty coins count 16, and 400,000 are owed: 800,000 u = 400,000.
    what = venue(balances=[("BTC", 20.0), ("USD", -400_000.0)], collateral=HAIRCUTS)
    assert_moves(what, BTC, health=(-0.5, None), equity=(-0.6, None))


def test_already_below() -> None:
    """How far prices would have to move for the account to be healthy again."""
    # 100 + 10 x (100 u - 120) = 50 u
    what = venue(balances=[("USD", 100.0)], positions=[("PERP", 10.0, 120.0)])
    assert_moves(what, BTC, health=(None, 1100 / 950 - 1), equity=(None, 0.1))
    # At the threshold: no move at all.
    what = venue(balances=[("USD", 50.0)], positions=[("PERP", 10.0, 100.0)])
    assert_moves(what, BTC, health=(0.0, 0.0), equity=(-0.05, None), all_=[0.0])


def test_isolated_positions_are_not_the_pool() -> None:
    what = venue(balances=[("USD", 100.0)], positions=[("PERP", 10.0, 100.0), ("INVERSE", 5000.0, 50_000.0, 0.1)])
    assert_moves(what, BTC, health=(900 / 950 - 1, None), equity=(-0.1, None))


def test_everything_by_its_beta() -> None:
    # 100 u of coins, 10 x 100 of a perpetual at beta 1.5, 1000 barrels at -5 with beta -2.
    what = venue(balances=[("BTC", 0.002), ("USD", 1000.0)], positions=[("PERP", 10.0, 100.0), ("OIL", 0.1, -5.0)])
    # 100 (1 + x) + 1000 + 1500 x + 1000 x = 50 (1 + 1.5 x) + 25 (1 - 2 x), as long as barrels are below 0.
    betas = {"BTC": 1.0, "PERP": 1.5, "WTI": -2.0}
    assert_moves(what, betas, health=(-1025 / 2575, None), equity=(-1100 / 2600, None))


def test_aave_crv_2022_liquidation_price() -> None:
    """Coins owed, dollars as collateral: the price of the coin that was printed, from a price of half of it."""
    fact = failure("aave_crv_2022")
    now = fact["liquidation_price"] / 2
    haircut = 1 - fact["threshold"]
    what = Venue(
        assets={"asset": ["USD", "CRV", "USDC"]},
        instruments={"instrument": [], "kind": [], "underlying": [], "settlement": []},
        balances={"account": ["it"] * 2, "asset": ["CRV", "USDC"], "balance": [-fact["crv"], fact["usdc"]]},
        index_price={"CRV": now, "USDC": 1.0},
        collateral={"asset": ["USDC"], "initial_haircut": [haircut], "maintenance_haircut": [haircut]},
    )
    model, book, market = build(what)
    assert isinstance(model, xm.CrossMargin)
    path = xm.PricePath.of_underlying(model.universe, "CRV")
    rise = xm.liquidation_move(book, market, model, path, "it").rise
    assert rise is not None
    assert now * (1 + rise) == pytest.approx(fact["liquidation_price"], abs=fact["within"])
