"""The margin of a whole venue in slow, readable Python: the specification that everything faster must equal.

Nothing here knows xmfast. `reference_rules` says what one asset and one instrument are worth and need,
`reference_units` adds that up for what backs itself, and here accounts are taken apart into such units.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference_rules import Frame, Number, Prices, Rules, exact
from reference_units import Account, Share, Unit, accounts_of, hold

__all__ = [
    "COLUMNS",
    "ISOLATED_COLUMNS",
    "cross_unit",
    "evaluate",
    "exact",
    "isolated_row",
    "pool_unit",
    "posted_units",
    "shared_units",
]

COLUMNS = (
    "equity",
    "collateral_value",
    "initial_collateral_value",
    "initial_margin",
    "maintenance_margin",
    "initial_health",
    "health",
    "free_collateral",
    "margin_ratio",
    "liquidatable",
    "bankrupt",
)
ISOLATED_COLUMNS = ("instrument", "quantity", "isolated_margin", "notional", "unrealized_pnl")
_BOUNDS = ("gross", "weighted_needs", "weighted_assets")


def evaluate(
    universe: Mapping[str, Any],
    balances: Frame | None,
    positions: Frame | None,
    market: Mapping[str, Prices],
    collateral: Frame | None,
    margin: Frame | None,
    *,
    orders: Frame | None = None,
    accounts: Frame | None = None,
    mode: str = "cross",
    number: Number = float,
) -> dict[str, Any]:
    """Return the columns of the report, with ``account``, ``gross`` and the two sides of ``margin_ratio``.

    Parameters
    ----------
    universe : dict
        Frames ``assets`` and ``instruments``, and ``numeraire``.
    balances, positions, orders, accounts, collateral, margin : dict of sequences, or None
        As xmfast takes them.
    market : dict
        Dicts by id: ``index_price``, ``mark_price``, ``deposit_index``, ``borrow_index``, ``cumulative_funding``.
    mode : {'cross', 'isolated'}
        Whether a position without ``isolated_margin`` is backed by the whole account or by its share of it.
    number : callable
        Makes a number of an input: ``float`` or ``exact``.

    Returns
    -------
    dict of lists
        Accounts in order of first appearance: balances, positions, orders, accounts. ``gross`` sums the absolute
        parts of each account, weighted: what a rounding error may be compared with. Under ``isolated`` the same for
        the isolated positions, by account and row of the universe.
    """
    rules = Rules(universe, market, collateral, margin, number)
    report: dict[str, Any] = {name: [] for name in ("account", *_BOUNDS, *COLUMNS)}
    isolated: dict[str, list[Any]] = {name: [] for name in ("account", *ISOLATED_COLUMNS, *_BOUNDS, *COLUMNS)}
    split = {"cross": _split_cross, "isolated": _split_isolated}[mode]
    for account in accounts_of(balances, positions, orders, accounts):
        own, alone = split(rules, account)
        _append(report, {"account": account.name} | own.figures())
        for name in sorted(alone, key=rules.row):
            _append(isolated, {"account": account.name} | isolated_row(rules, name, alone[name]))
    return report | {"isolated": isolated}


def cross_unit(rules: Rules, account: Account) -> Unit:
    """Return all that the account's balances back: whatever is not isolated."""
    unit = Unit(rules)
    unit.add_balances(account)
    for name in account.instruments:
        if account.isolated_margin(name) is None:
            unit.add(hold(rules, account, name))
    return unit


def pool_unit(rules: Rules, account: Account) -> Unit:
    """Return what the account's balances are worth alone."""
    unit = Unit(rules)
    unit.add_balances(account)
    return unit


def posted_units(rules: Rules, account: Account) -> dict[Any, Unit]:
    """Return the positions that have a margin of their own, on which no interest runs."""
    units = {}
    for name in account.positions:
        margin = account.isolated_margin(name)
        if margin is not None:
            units[name] = Unit(rules)
            units[name].add_cash(rules.settlement(name), rules.number(margin))
            units[name].add(hold(rules, account, name))
    return units


def shared_units(rules: Rules, account: Account) -> dict[Any, Unit]:
    """Return the positions that have none, each with its share of the balances, pro rata of initial margin."""
    held = [name for name in account.positions if account.isolated_margin(name) is None]
    holdings = {name: hold(rules, account, name) for name in held}
    needed = sum((holding.initial_margin for holding in holdings.values()), rules.number(0))
    needed_parts = sum(holding.margin_parts for holding in holdings.values())
    pool = pool_unit(rules, account).worth()
    units = {}
    for name, holding in holdings.items():
        units[name] = Unit(rules)
        units[name].add(holding)
        if needed > 0:
            fraction = holding.initial_margin / needed
            part = (holding.margin_parts + float(fraction) * needed_parts) / float(needed)
            units[name].share = Share(fraction, part, pool)
    return units


def _split_cross(rules: Rules, account: Account) -> tuple[Unit, dict[Any, Unit]]:
    return cross_unit(rules, account), posted_units(rules, account)


def _split_isolated(rules: Rules, account: Account) -> tuple[Unit, dict[Any, Unit]]:
    shared = shared_units(rules, account)
    # What nobody was given stays with the account, and so do orders that belong to no position.
    given_away = any(unit.share is not None for unit in shared.values())
    own = Unit(rules) if given_away else pool_unit(rules, account)
    for name in account.orders:
        if name not in account.positions:
            own.add(hold(rules, account, name))
    return own, posted_units(rules, account) | shared


def isolated_row(rules: Rules, name: Any, unit: Unit) -> dict[str, Any]:
    """Return the row of an isolated position, which is the only holding of its unit."""
    [holding] = unit.holdings
    zero = rules.number(0)
    # Collateral is what the unit is worth without its position, at equity.
    backing = zero if unit.share is None else unit.share.fraction * unit.share.of.equity
    for asset, amount in unit.cash.items():
        backing += amount * rules.asset(asset).index_price
    instrument = holding.instrument
    return {
        "instrument": name,
        "quantity": holding.quantity,
        "isolated_margin": backing,
        "notional": abs(holding.quantity) * instrument.notional_of_one if instrument and holding.quantity else zero,
        "unrealized_pnl": holding.unrealized * instrument.settlement_price if instrument else zero,
    } | unit.figures()


def _append(columns: dict[str, Any], row: Mapping[str, Any]) -> None:
    for name, value in row.items():
        columns[name].append(value)
