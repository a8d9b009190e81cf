"""What an account may still do, in exact and slow Python: every limit is the largest number that passes.

Initial health only falls as an order or a withdrawal grows, so the largest number that leaves it at 0 or above is
found by halving, down to the last bit.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.optimize import linprog

from reference import cross_unit, evaluate, exact
from reference_rules import Rules, Weights, rows
from reference_units import accounts_of
from strategies import Venue

LARGEST = float(np.finfo(np.float64).max)


def alone(venue: Venue, account: Any) -> Venue:
    """Return the venue with one account."""
    chosen: dict[str, Any] = {}
    for name in ("balances", "positions", "orders", "accounts"):
        frame = getattr(venue, name)
        kept = [at for at, owner in enumerate(frame["account"]) if owner == account] if frame else []
        chosen[name] = {column: [cells[at] for at in kept] for column, cells in frame.items()} if kept else None
    return replace(venue, **chosen)


def initial_health(venue: Venue, instrument: Any = None) -> Fraction:
    """Return that of a venue's only account, or of its isolated position in an instrument if it has one."""
    inputs = venue.balances, venue.positions, venue.market, venue.collateral, venue.margin
    caps: dict[str, Any] = {"orders": venue.orders, "accounts": venue.accounts, "mode": venue.mode}
    report = evaluate(venue.universe, *inputs, **caps, number=exact)
    isolated: Mapping[str, Any] = report["isolated"]
    if instrument in isolated["instrument"]:
        return Fraction(isolated["initial_health"][isolated["instrument"].index(instrument)])
    # Of an account that has nothing there is nothing to report.
    return Fraction(report["initial_health"][0] if report["initial_health"] else 0)


def with_order(venue: Venue, account: Any, instrument: Any, quantity: Any, price: Any) -> Venue:
    """Return the venue with one more open order."""
    order = {"account": account, "instrument": instrument, "quantity": quantity, "price": price, "reduce_only": False}
    orders = [*rows(venue.orders), order]
    return replace(venue, orders={name: [row.get(name, False) for row in orders] for name in order})


def with_less(venue: Venue, account: Any, asset: Any, amount: Any) -> Venue:
    """Return the venue after so much of an asset has left an account, or, if negative, come to it; exactly."""
    rules = Rules(venue.universe, venue.market, venue.collateral, venue.margin, exact).asset(asset)
    balances = [*rows(venue.balances)]
    held = [row for row in balances if (row["account"], row["asset"]) == (account, asset)]
    others = [row for row in balances if row not in held]
    cash = sum((rules.cash(exact(row["balance"])) for row in held), Fraction(0)) - exact(amount)
    balance = cash / (rules.borrow_index if cash < 0 else rules.deposit_index)
    left = [*others, {"account": account, "asset": asset, "balance": balance}]
    return replace(venue, balances={name: [row[name] for row in left] for name in ("account", "asset", "balance")})


def cash_of(venue: Venue, account: Any, asset: Any) -> Fraction:
    """Return a balance with its interest."""
    rules = Rules(venue.universe, venue.market, venue.collateral, venue.margin, exact).asset(asset)
    held = [row["balance"] for row in rows(venue.balances) if (row["account"], row["asset"]) == (account, asset)]
    return sum((rules.cash(exact(balance)) for balance in held), Fraction(0))


def unrealized(venue: Venue, account: Any, asset: Any) -> Fraction:
    """Return the profit that an account has not realized in an asset, below 0 if it is a loss."""
    rules = Rules(venue.universe, venue.market, venue.collateral, venue.margin, exact)
    own = alone(venue, account)
    [rows_] = accounts_of(own.balances, own.positions, own.orders, own.accounts)
    return Fraction(cross_unit(rules, rows_).unrealized.get(asset, 0))


def with_gain_share(venue: Venue, share: float) -> Venue:
    """Return the venue in which gains that are not realized count at most so much."""
    collateral = [*rows(venue.collateral)]
    named = {row["asset"] for row in collateral}
    collateral += [{"asset": name} for name in venue.assets["asset"] if name not in named]
    columns = list(dict.fromkeys([*(venue.collateral or {"asset": []}), "unrealized_gain_share"]))
    # Tiers beyond the first may leave it out, and an asset without any counts its gains in full.
    given = {
        row["asset"]: row["unrealized_gain_share"] for row in collateral if row.get("unrealized_gain_share") is not None
    }
    cells = {name: [row.get(name) for row in collateral] for name in columns}
    cells["unrealized_gain_share"] = [min(share, given.get(row["asset"], 1.0)) for row in collateral]
    return replace(venue, collateral=cells)


def buying_power(venue: Venue, account: Any, instrument: Any, side: int, price: Any) -> float:
    """Return the largest order, to buy if ``side`` is 1 and to sell if it is -1, that leaves initial health >= 0."""
    own = alone(venue, account)

    def passes(size: float) -> bool:
        return initial_health(with_order(own, account, instrument, side * exact(size), price), instrument) >= 0

    return largest(passes)


def withdrawable(venue: Venue, account: Any, asset: Any, share: float = 0.0) -> float:
    """Return the largest amount that may leave, no more than what is there."""
    own = with_gain_share(alone(venue, account), share)
    cash = max(cash_of(own, account, asset), Fraction(0))

    def passes(amount: float) -> bool:
        return exact(amount) <= cash and initial_health(with_less(own, account, asset, amount)) >= 0

    return largest(passes)


def largest(passes: Callable[[float], bool]) -> float:
    """Return the largest float >= 0 that passes where every smaller one does: 0 if none does, inf if all do."""
    if passes(LARGEST):
        return math.inf
    low, high = 0, _bits(LARGEST)
    while high - low > 1:
        middle = (low + high) // 2
        if passes(_float(middle)):
            low = middle
        else:
            high = middle
    return _float(low)


def _bits(value: float) -> int:
    # Floats >= 0 are in the order of their bits.
    return int(struct.unpack("<q", struct.pack("<d", value))[0])


def _float(bits: int) -> float:
    return float(struct.unpack("<d", struct.pack("<q", bits))[0])


def collateral_value(venue: Venue, amounts: Mapping[Any, float], weights: str = "initial") -> Fraction:
    """Return what amounts of assets count as collateral."""
    rules = Rules(venue.universe, venue.market, venue.collateral, venue.margin, exact)
    assets = [(rules.asset(name), exact(amount)) for name, amount in amounts.items()]
    return sum((asset.weigh(amount, getattr(asset, weights)) for asset, amount in assets), Fraction(0))


def least_cost(
    venue: Venue, need: float, available: Mapping[Any, float], cost_rate: Mapping[Any, float], weights: str = "initial"
) -> float | None:
    """Return the least cost of collateral that counts ``need``, as a linear program; ``None`` if all is not enough.

    A haircut never falls with the amount, so what is locked fills its tiers from the first.
    """
    rules = Rules(venue.universe, venue.market, venue.collateral, venue.margin, float)
    costs, counts, widths = [], [], []
    for name, amount in available.items():
        asset = rules.asset(name)
        weight: Weights = getattr(asset, weights)
        counted = amount if asset.amount_cap is None else min(amount, asset.amount_cap)
        for tier in weight.owned.tiers:
            width = min(counted, math.inf if tier.ceiling is None else tier.ceiling) - tier.floor
            if width > 0:
                # In the numeraire, so that coins of every price are of one size to the solver.
                costs.append(cost_rate[name])
                counts.append(tier.rate)
                widths.append(width * asset.index_price)
    if need <= 0:
        return 0.0
    if not costs:
        return None
    found = linprog(costs, A_ub=[[-count for count in counts]], b_ub=[-need], bounds=[(0, width) for width in widths])
    return float(found.fun) if found.success else None
