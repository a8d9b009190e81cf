"""Accounts a hair's breadth from a threshold, made of the decimals that people write.

Everything is drawn as a short decimal but one balance (or isolated margin), which is solved for in exact arithmetic so
that health, initial health or equity is 0, and then moved by up to two of its last units. Where the solution is
itself a float, not moving it makes a tie.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from random import Random
from typing import Any, TypeAlias

from reference import cross_unit, exact, pool_unit, posted_units, shared_units
from reference_rules import Asset, Rules, Weights
from reference_units import Account, Unit
from strategies import Columns, Venue

FIGURES = ("health", "initial_health", "equity")


@dataclass(frozen=True, kw_only=True)
class Edge:
    """Which figure of which row was put at the threshold: of an account, or of its position in an instrument."""

    account: int
    instrument: str | None
    figure: str


ASSETS = ("USD", "BTC", "ETH", "ALT")
INDEX = {"BTC": 62_500.0, "ETH": 2512.37, "ALT": 0.8125}
# Some prices whose inverse is a short decimal, so that inverse contracts can tie; most have none.
Beside: TypeAlias = Callable[[Fraction, Random], Any]
Spec: TypeAlias = tuple[str, str, str, str, float, bool, float]
INSTRUMENTS: tuple[Spec, ...] = (
    ("BTC-PERP", "perpetual", "BTC", "USD", 1.0, False, 62_481.7),
    ("ETH-PERP", "perpetual", "ETH", "USD", 0.01, False, 2511.05),
    ("ALT-PERP", "perpetual", "ALT", "USD", 10.0, False, 0.81273),
    ("BTC-COIN", "perpetual", "BTC", "BTC", 100.0, True, 62_500.0),
    ("ETH-COIN", "future", "ETH", "ETH", 10.0, True, 2519.85),
    ("BTC-MAR", "future", "BTC", "BTC", 100.0, True, 63_127.5),
    ("BTC-CALL", "option", "BTC", "USD", 0.1, False, 1843.25),
    ("ETH-PUT", "option", "ETH", "ETH", 1.0, True, 0.0425),
    ("ALT-ETH", "perpetual", "ALT", "ETH", 1.0, False, 0.00032345),
)
COLLATERAL: Columns = {
    "asset": ["USD", "BTC", "BTC", "BTC", "ETH", "ETH", "ALT"],
    "amount_floor": [0.0, 0.0, 2.0, 25.0, 0.0, 30.0, 0.0],
    "initial_haircut": [0.0, 0.05, 0.1, 0.6, 0.07, 0.2, 0.35],
    "maintenance_haircut": [0.0, 0.02, 0.06, 0.4, 0.05, 0.125, 0.2],
    "initial_liability_weight": [1.0, 1.1, None, 1.1, 1.07, None, 1.5],
    "maintenance_liability_weight": [1.0, 1.05, None, None, 1.03, 1.03, 1.25],
    "amount_cap": [None, 400.0, None, None, None, None, 75_000.0],
    "unrealized_gain_share": [1.0, 0.8, None, None, 1.0, None, 1.0],
}
MARGIN: Columns = {
    "instrument": ["BTC-PERP"] * 3 + ["ETH-PERP"] * 2 + [row[0] for row in INSTRUMENTS[2:]],
    "notional_floor": [0.0, 50_000.0, 1_000_000.0, 0.0, 25_000.0] + [0.0] * 7,
    "initial_rate": [0.008, 0.02, 0.1, 0.01, 0.05, 0.1, 0.01, 0.015, 0.025, 0.15, 0.2, 0.125],
    "maintenance_rate": [0.004, 0.01, 0.05, 0.005, 0.025, 0.05, 0.005, 0.0075, 0.01, 0.075, 0.1, 0.0625],
    "close_out_fee_rate": [0.0006, None, None, 0.0005, None, 0.0, 0.0, 0.00055, 0.0, 0.0, 0.0003, 0.0],
    "margin_floor_per_contract": [0.0, None, None, 0.01, None, 0.02, 0.0, 0.0, 0.0, 150.0, 0.0, 0.0],
}


def knife_edge_venue(
    seed: int, *, accounts: int, mode: str = "cross", positions: int | None = None, beside: Beside | None = None
) -> tuple[Venue, list[Edge]]:
    """Return a venue of so many accounts and what of each was put at the threshold.

    Accounts have up to 8 positions each, or just so many. ``beside`` makes a number near the solution.
    """
    random = Random(seed)
    series = 1 + (positions or 0) // len(INSTRUMENTS)
    # Further series of the same instruments, each at prices of its own.
    specs = [
        (f"{row[0]}{'' if number == 0 else number}", *row[1:6], float(f"{row[6] * (1 + number / 64):.6g}"))
        for number in range(series)
        for row in INSTRUMENTS
    ]
    names = ("instrument", "kind", "underlying", "settlement", "contract_multiplier", "inverse")
    venue = Venue(
        assets={"asset": list(ASSETS)},
        instruments={name: [row[at] for row in specs] for at, name in enumerate(names)},
        index_price=INDEX,
        mark_price={row[0]: row[6] for row in specs},
        deposit_index={"BTC": 1.00125, "ALT": 1.04},
        borrow_index={"USD": 1.025, "ETH": 1.0032},
        cumulative_funding={"BTC-PERP": 12.345, "ETH-COIN": -0.0000125, "ALT-ETH": 0.00000012},
        collateral=COLLATERAL,
        margin={
            name: [
                f"{cell}{'' if number == 0 else number}" if name == "instrument" else cell
                for number in range(series)
                for cell in cells
            ]
            for name, cells in MARGIN.items()
        },
        mode=mode,
    )
    rules = Rules(venue.universe, venue.market, venue.collateral, venue.margin, exact)
    made: list[Account] = []
    edges: list[Edge] = []
    while len(made) < accounts:
        account = _random_account(len(made), specs, positions, random)
        edge = _put_at_the_edge(rules, account, mode, beside or float_beside, random)
        if edge is not None:
            made.append(account)
            edges.append(edge)
    return _with_accounts(venue, made), edges


def _random_account(name: int, specs: Sequence[Spec], positions: int | None, random: Random) -> Account:
    """Return an account of a few balances, positions and orders, small and large, long and short."""
    account = Account(name)
    scale = 10.0 ** random.randint(-1, 2)
    for asset in random.sample(ASSETS, random.choice((1, 1, 2, 3))):
        worth = scale * random.uniform(10, 2000) * random.choice((1, 1, 1, -1))
        account.balances.append(_row(account, asset=asset, balance=_decimal(worth / INDEX.get(asset, 1.0), random)))
    # One in six has no more than a loan.
    count = positions or (0 if random.random() < 0.15 else random.choice((1, 1, 2, 3, 5, 8)))
    for name_, _, _, _, multiplier, inverse, mark in random.sample(specs, count):
        one = multiplier * (1.0 if inverse and mark > 1 else mark * INDEX["ETH"] if mark < 1e-2 else mark)
        quantity = _decimal(scale * random.uniform(20, 5000) / one * random.choice((1, -1)), random)
        entry = float(f"{mark * random.uniform(0.8, 1.2):.6g}")
        row = _row(account, instrument=name_, quantity=quantity, entry_price=entry, isolated_margin=None)
        row["entry_funding"] = random.choice((0.0, 1.5, 0.25)) if name_ == "BTC-PERP" else 0.0
        if random.random() < 0.15:
            row["isolated_margin"] = _decimal(
                scale * random.uniform(0, 50) / max(1.0, mark if inverse else 1.0), random
            )
        account.positions[name_] = row
        if random.random() < 0.2:
            price = float(f"{mark * random.choice((0.98, 1.0, 1.02)):.6g}")
            account.orders[name_] = [_row(account, instrument=name_, quantity=-quantity * 2, price=price)]
    if random.random() < 0.3:
        account.leverage_cap = random.choice((2.0, 3.0, 10.0, 12.5, 50.0))
    return account


def _row(account: Account, **cells: Any) -> dict[str, Any]:
    return {"account": account.name, **cells}


def _decimal(value: float, random: Random) -> float:
    """Round to a few significant digits, at most eight behind the point, and never to nothing."""
    digits = random.choice((1, 2, 3, 5, 8))
    return round(float(f"{value:.{digits}g}"), 8) or 0.00000001


def _put_at_the_edge(rules: Rules, account: Account, mode: str, beside: Beside, random: Random) -> Edge | None:
    """Solve for one number of the account so that one figure is all but 0; ``None`` if no number makes it so."""
    figure = random.choice(FIGURES)
    posted = [name for name in account.positions if account.isolated_margin(name) is not None]
    if posted and random.random() < 0.5:
        return _solve_posted(rules, account, random.choice(posted), figure, beside, random)
    at = random.randrange(len(account.balances))
    row = account.balances[at]
    asset = rules.asset(row["asset"])
    others = Account(account.name, account.balances[:at] + account.balances[at + 1 :], account.positions)
    others.orders, others.leverage_cap = account.orders, account.leverage_cap
    instrument = None
    if mode == "cross" or len(posted) == len(account.positions):
        unit = cross_unit(rules, others) if mode == "cross" else pool_unit(rules, others)
        unrealized = unit.unrealized.get(row["asset"], Fraction(0))
        missing = -_without(unit, asset, unrealized, figure)
    else:
        units = shared_units(rules, account)
        instrument = random.choice(list(units))
        share = units[instrument].share
        if share is None or share.fraction == 0:
            return None
        # What the position lacks, from the whole pool; what the other balances do not bring has to come from this one.
        units[instrument].share = None
        lacking = -units[instrument].figures()[figure] / share.fraction
        unrealized = Fraction(0)
        missing = lacking - _without(pool_unit(rules, others), asset, unrealized, figure)
    net = _net_worth(asset, missing, figure, unrealized)
    if net is None:
        return None
    balance = net / (asset.borrow_index if net < 0 else asset.deposit_index)
    if balance == 0:
        # The floats beside 0 are no numbers that people write.
        return None
    row["balance"] = beside(balance, random)
    return Edge(account=account.name, instrument=instrument, figure=figure)


def _solve_posted(
    rules: Rules, account: Account, name: str, figure: str, beside: Beside, random: Random
) -> Edge | None:
    row = account.positions[name]
    asset = rules.asset(rules.settlement(name))
    row["isolated_margin"] = 0.0
    unit = dict(posted_units(rules, account))[name]
    unrealized = unit.unrealized.get(rules.settlement(name), Fraction(0))
    missing = -_without(unit, asset, unrealized, figure)
    cash = _net_worth(asset, missing, figure, unrealized)
    if cash is None or cash <= 0:
        return None
    row["isolated_margin"] = beside(cash, random)
    return Edge(account=account.name, instrument=name, figure=figure)


def _without(unit: Unit, asset: Asset, unrealized: Any, figure: str) -> Any:
    """Return a unit's figure without what the net of one asset, of which it has no cash, adds to it."""
    whole = unit.figures()[figure]
    if figure == "equity":
        return whole - unrealized * asset.index_price
    weights = asset.initial if figure == "initial_health" else asset.maintenance
    return whole - asset.weigh(asset.counted(unrealized), weights)


def _net_worth(asset: Asset, value: Any, figure: str, unrealized: Any) -> Any:
    """Return the cash that, with the unrealized profit of its asset, counts just ``value``, or ``None``."""
    if figure == "equity":
        return value / asset.index_price - unrealized
    net = _weighing(asset, asset.initial if figure == "initial_health" else asset.maintenance, value)
    return None if net is None else net - asset.counted(unrealized)


def _weighing(asset: Asset, weights: Weights, value: Any) -> Any:
    """Return the net amount that is weighed as ``value``: the inverse of `Asset.weigh`, where it has one."""
    wanted = value / asset.index_price
    if wanted < 0:
        return wanted / weights.liability_weight
    for tier in weights.owned.tiers:
        width = None if tier.ceiling is None else tier.ceiling - tier.floor
        if width is None or wanted < tier.rate * width:
            if tier.rate == 0:
                return None
            net = tier.floor + wanted / tier.rate
            return net if asset.amount_cap is None or net <= asset.amount_cap else None
        wanted -= tier.rate * width
    return None


def float_beside(solution: Fraction, random: Random) -> float:
    """Return a float near the solution: the nearest, or one up to two last units away."""
    value = float(solution)
    for _ in range(random.choice((0, 0, 0, 1, 2))):
        value = math.nextafter(value, random.choice((math.inf, -math.inf)))
    return value


def decimal_beside(solution: Fraction, random: Random) -> Decimal:
    """Return a decimal of 32 digits near the solution: the nearest, or one up to two last units away."""
    with localcontext(prec=32) as context:
        value = Decimal(solution.numerator) / solution.denominator
        for _ in range(random.choice((0, 0, 0, 1, 2))):
            value = random.choice((context.next_plus, context.next_minus))(value)
    return value


def _with_accounts(venue: Venue, accounts: list[Account]) -> Venue:
    def frame(rows: list[dict[str, Any]]) -> Columns:
        return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}

    return Venue(
        **{
            **{name: getattr(venue, name) for name in venue.__dataclass_fields__},
            "balances": frame([row for account in accounts for row in account.balances]),
            "positions": frame([row for account in accounts for row in account.positions.values()]),
            "orders": frame([row for account in accounts for rows in account.orders.values() for row in rows]),
            "accounts": {
                "account": [account.name for account in accounts],
                "leverage_cap": [account.leverage_cap for account in accounts],
            },
        }
    )
