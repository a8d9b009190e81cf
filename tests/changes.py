"""What can happen to a venue: somebody pays in, closes, grows, merges; parameters are tightened."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from reference_rules import Rules, given, rows
from strategies import Columns, Venue


def with_balance(venue: Venue, account: Any, asset: Any, amount: float) -> Venue:
    """Return the venue after so much was added to a balance, whatever interest it has earned."""
    balances = {name: list(values) for name, values in (venue.balances or {}).items()}
    at = list(zip(balances["account"], balances["asset"], strict=True))
    if (account, asset) in at:
        balances["balance"][at.index((account, asset))] += amount
    else:
        for name, value in (("account", account), ("asset", asset), ("balance", amount)):
            balances[name].append(value)
    return replace(venue, balances=balances)


def with_cash(venue: Venue, account: Any, asset: Any, amount: float) -> Venue:
    """Return the venue after so much was paid in, interest counted: a balance that changes sign changes its index."""
    rules = rules_of(venue).asset(asset)
    held = [row["balance"] for row in rows(venue.balances) if (row["account"], row["asset"]) == (account, asset)]
    before = held[0] if held else 0.0
    after = rules.cash(before) + amount
    index = rules.borrow_index if after < 0 else rules.deposit_index
    return with_balance(venue, account, asset, after / index - before)


def with_cell(frame: Columns | None, column: str, row: int, value: Any) -> Columns:
    """Return the frame with one cell replaced."""
    assert frame is not None
    return {**frame, column: [value if at == row else old for at, old in enumerate(frame[column])]}


def with_part_closed(venue: Venue, row: int, part: float) -> Venue:
    """Return the venue after a part of a position was closed at mark: profit and loss becomes cash."""
    position = list(rows(venue.positions))[row]
    instrument = rules_of(venue).instrument(position["instrument"])
    entry = instrument.unit_value(position["entry_price"], given(position, "entry_funding", 0.0))
    closed = part * position["quantity"]
    realized = closed * (instrument.unit_value_at_mark - entry)
    smaller = replace(venue, positions=with_cell(venue.positions, "quantity", row, position["quantity"] - closed))
    margin = given(position, "isolated_margin")
    if margin is None:
        return with_cash(smaller, position["account"], instrument.settlement, realized)
    return replace(smaller, positions=with_cell(smaller.positions, "isolated_margin", row, margin + realized))


def with_sizes_scaled(venue: Venue, factor: float) -> Venue:
    """Return the venue with every position and order so many times as large."""
    scaled: dict[str, Any] = {}
    for name in ("positions", "orders"):
        frame = getattr(venue, name)
        if frame:
            scaled[name] = {**frame, "quantity": [size * factor for size in frame["quantity"]]}
    return replace(venue, **scaled)


def merged(venue: Venue, first: Any, second: Any) -> Venue:
    """Return the venue with the second account's holdings and orders moved to the first, under the laxer cap."""
    balances: dict[Any, float] = {}
    for row in rows(venue.balances):
        key = (first if row["account"] == second else row["account"], row["asset"])
        balances[key] = balances.get(key, 0.0) + row["balance"]
    positions: dict[Any, dict[str, Any]] = {}
    for row in rows(venue.positions):
        key = (first if row["account"] == second else row["account"], row["instrument"])
        before = positions.get(key)
        # Margins ask how much is held, never at which price it was bought.
        quantity = row["quantity"] + (0.0 if before is None else before["quantity"])
        positions[key] = {**row, "account": key[0], "quantity": quantity}
    caps = {row["account"]: given(row, "leverage_cap") for row in rows(venue.accounts)}
    cap = None if None in (caps.get(first), caps.get(second)) else max(caps[first], caps[second])
    caps = {account: old for account, old in caps.items() if account not in (first, second)} | {first: cap}
    orders = venue.orders and {
        **venue.orders,
        "account": [first if account == second else account for account in venue.orders["account"]],
    }
    return replace(
        venue,
        balances={
            "account": [key[0] for key in balances],
            "asset": [key[1] for key in balances],
            "balance": list(balances.values()),
        },
        positions={name: [row[name] for row in positions.values()] for name in venue.positions or {}},
        orders=orders,
        accounts={"account": list(caps), "leverage_cap": list(caps.values())},
    )


def rules_of(venue: Venue) -> Rules:
    """Return the rules of the venue in floats."""
    return Rules(venue.universe, venue.market, venue.collateral, venue.margin, float)


def tightened(venue: Venue, what: str, random: Random) -> Venue:
    """Return the venue with one kind of parameter made stricter, some of them a little, some a lot."""
    return _TIGHTEN[what](venue, random)


def _up(value: float) -> float:
    return math.ceil(value * 1e6 - 1e-3) / 1e6


def _haircuts(venue: Venue, random: Random) -> Venue:
    """Move every haircut towards 1, the initial ones further."""
    steps = sorted((random.choice((0.0, 0.1, 0.5, 1.0)), random.choice((0.0, 0.1, 0.5, 1.0))))
    return _collateral(
        venue,
        maintenance_haircut=lambda value: min(1.0, max(value, value + (1 - value) * steps[0])),
        initial_haircut=lambda value: min(1.0, max(value, value + (1 - value) * steps[1])),
    )


def _liability_weights(venue: Venue, random: Random) -> Venue:
    factors = sorted((random.choice((1.0, 1.1, 3.0)), random.choice((1.0, 1.1, 3.0))))
    return _collateral(
        venue,
        maintenance_liability_weight=lambda value: value * factors[0],
        initial_liability_weight=lambda value: value * factors[1],
    )


def _amount_caps(venue: Venue, random: Random) -> Venue:
    factor = random.choice((0.0, 0.3, 0.9))
    return _collateral(venue, amount_cap=lambda value: value * factor)


def _gain_shares(venue: Venue, random: Random) -> Venue:
    factor = random.choice((0.0, 0.3, 0.9))
    return _collateral(venue, unrealized_gain_share=lambda value: value * factor)


def _tier_floors(venue: Venue, random: Random) -> Venue:
    factor = random.choice((0.01, 0.3, 0.9))
    return _collateral(venue, amount_floor=lambda value: value * factor)


def _rates(venue: Venue, random: Random) -> Venue:
    """Raise rates, the initial ones at least by as much, so that a fee still fits between them."""
    factors = sorted((random.choice((1.0, 1.1, 2.0)), random.choice((1.0, 1.1, 2.0))))
    return _margin(
        venue,
        # Both rounded to decimals, away from each other.
        maintenance_rate=lambda value: max(value, math.floor(value * factors[0] * 1e6) / 1e6),
        initial_rate=lambda value: max(value, _up(value * factors[1])),
    )


def _margin_floors(venue: Venue, random: Random) -> Venue:
    factor = random.choice((1.1, 5.0))
    return _margin(venue, margin_floor_per_contract=lambda value: value * factor)


def _fees(venue: Venue, random: Random) -> Venue:
    """Raise rates to open by a little and the fee by as much."""
    step = random.choice((0.0001, 0.01))
    return _margin(
        venue,
        initial_rate=lambda value: _up(value + step),
        close_out_fee_rate=lambda value: max(value, math.floor((value + step) * 1e6) / 1e6),
    )


def _bracket_floors(venue: Venue, random: Random) -> Venue:
    factor = random.choice((0.01, 0.3, 0.9))
    return _margin(venue, notional_floor=lambda value: value * factor)


def _leverage_caps(venue: Venue, random: Random) -> Venue:
    factor = random.choice((0.1, 0.5, 0.9))
    if not venue.accounts:
        return venue
    caps = [None if cap is None else cap * factor for cap in venue.accounts["leverage_cap"]]
    return replace(venue, accounts={**venue.accounts, "leverage_cap": caps})


_TIGHTEN: dict[str, Callable[[Venue, Random], Venue]] = {
    "haircuts": _haircuts,
    "liability_weights": _liability_weights,
    "amount_caps": _amount_caps,
    "gain_shares": _gain_shares,
    "tier_floors": _tier_floors,
    "rates": _rates,
    "margin_floors": _margin_floors,
    "fees": _fees,
    "bracket_floors": _bracket_floors,
    "leverage_caps": _leverage_caps,
}
COLLATERAL_PARAMETERS = ("haircuts", "liability_weights", "amount_caps", "gain_shares", "tier_floors")
MARGIN_PARAMETERS = ("rates", "margin_floors", "fees", "bracket_floors", "leverage_caps")


def _collateral(venue: Venue, **changes: Callable[[float], float]) -> Venue:
    return replace(venue, collateral=_changed(venue.collateral, changes))


def _margin(venue: Venue, **changes: Callable[[float], float]) -> Venue:
    return replace(venue, margin=_changed(venue.margin, changes))


def _changed(frame: Columns | None, changes: dict[str, Callable[[float], float]]) -> Columns | None:
    if frame is None:
        return None
    return {
        name: [None if cell is None else changes[name](cell) for cell in cells] if name in changes else cells
        for name, cells in frame.items()
    }
