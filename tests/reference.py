"""The cross-margin model in slow, readable Python: the specification that everything faster must equal.

Nothing here knows xmfast. Frames are dicts of equally long sequences, prices are dicts by id. The type of number is a
parameter: ``float`` for comparison within rounding, ``exact`` for rational arithmetic on the decimals given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

Frame: TypeAlias = Mapping[str, Sequence[Any]]
Number: TypeAlias = Callable[[Any], Any]

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
_RATIO_PARTS = ("weighted_needs", "weighted_assets")


def exact(value: Any) -> Fraction:
    """Return the decimal that prints as the number: 0.1 is 1/10, not the nearest binary fraction."""
    return value if isinstance(value, Fraction) else Fraction(str(value))


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """What the model needs to know of an instrument."""

    is_option: bool
    underlying: Any
    settlement: Any
    multiplier: Any
    inverse: bool

    def unit_value(self, price: Any) -> Any:
        """Return the value of one long contract in the settlement asset."""
        if self.inverse and not self.is_option:
            return -self.multiplier / price
        return self.multiplier * price


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How an asset counts: part of it if it is owned, more than it if it is owed."""

    haircut: Any
    liability_weight: Any

    def weigh(self, net_value: Any) -> Any:
        """Return what a net value counts as collateral."""
        return net_value * ((1 - self.haircut) if net_value >= 0 else self.liability_weight)


def evaluate(
    universe: Mapping[str, Any],
    balances: Frame | None,
    positions: Frame | None,
    market: Mapping[str, Mapping[Any, Any]],
    collateral: Frame | None,
    margin: Frame | None,
    *,
    number: Number = float,
) -> dict[str, list[Any]]:
    """Return the columns of the report, with ``account``, ``gross`` and the two sides of ``margin_ratio``.

    Parameters
    ----------
    universe : dict
        Frames ``assets`` and ``instruments``, and ``numeraire``.
    balances, positions, collateral, margin : dict of sequences, or None
        As xmfast takes them.
    market : dict
        Dicts ``index_price`` and ``mark_price`` by id.
    number : callable
        Makes a number of an input: ``float`` or ``exact``.

    Returns
    -------
    dict of lists
        Accounts in order of first appearance, balances before positions. ``gross`` sums the absolute parts of each
        account, weighted: what a rounding error may be compared with.
    """
    instruments = _instruments(universe.get("instruments"), number)
    index_price = {name: number(price) for name, price in market.get("index_price", {}).items()}
    index_price[universe["numeraire"]] = number(1)
    mark_price = {name: number(price) for name, price in market.get("mark_price", {}).items()}
    maintenance = _weights(collateral, "maintenance", number)
    initial = _weights(collateral, "initial", number)
    rates = {row["instrument"]: row for row in _rows(margin)}
    unweighted = Weights(haircut=number(0), liability_weight=number(1))

    holdings: dict[Any, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {}
    for row in _rows(balances):
        holdings.setdefault(row["account"], ([], []))[0].append(row)
    for row in _rows(positions):
        holdings.setdefault(row["account"], ([], []))[1].append(row)

    report: dict[str, list[Any]] = {name: [] for name in ("account", "gross", *_RATIO_PARTS, *COLUMNS)}
    for account, (cash, held) in holdings.items():
        net: dict[Any, Any] = {}
        gross = number(0)
        margins = {"initial_rate": number(0), "maintenance_rate": number(0)}
        for row in cash:
            balance = number(row["balance"])
            if balance == 0:
                continue
            asset = row["asset"]
            net[asset] = net.get(asset, number(0)) + balance
            weight = initial.get(asset, unweighted).liability_weight
            gross += abs(balance) * index_price[asset] * weight
        for row in held:
            quantity = number(row["quantity"])
            if quantity == 0:
                continue
            instrument = instruments[row["instrument"]]
            asset = instrument.settlement
            mark = instrument.unit_value(mark_price[row["instrument"]])
            entry = instrument.unit_value(number(row["entry_price"]))
            net[asset] = net.get(asset, number(0)) + quantity * mark - quantity * entry
            weight = initial.get(asset, unweighted).liability_weight
            gross += abs(quantity) * (abs(mark) + abs(entry)) * index_price[asset] * weight
            notional = _notional(instrument, quantity, mark, index_price)
            for rate in margins:
                margins[rate] += notional * number(rates[row["instrument"]][rate])
                gross += notional * number(rates[row["instrument"]][rate])

        values = {asset: amount * index_price[asset] for asset, amount in net.items()}
        equity = sum(values.values(), number(0))
        weighed = [maintenance.get(asset, unweighted).weigh(value) for asset, value in values.items()]
        collateral_value = sum(weighed, number(0))
        initial_weighed = [initial.get(asset, unweighted).weigh(value) for asset, value in values.items()]
        initial_collateral_value = sum(initial_weighed, number(0))
        health = collateral_value - margins["maintenance_rate"]
        initial_health = initial_collateral_value - margins["initial_rate"]
        assets = sum((value for value in weighed if value > 0), number(0))
        needed = margins["maintenance_rate"] - sum((value for value in weighed if value < 0), number(0))
        margin_ratio = needed / assets if assets > 0 else float("inf")
        for name, value in (
            ("account", account),
            ("gross", gross),
            ("weighted_needs", needed),
            ("weighted_assets", assets),
            ("equity", equity),
            ("collateral_value", collateral_value),
            ("initial_collateral_value", initial_collateral_value),
            ("initial_margin", margins["initial_rate"]),
            ("maintenance_margin", margins["maintenance_rate"]),
            ("initial_health", initial_health),
            ("health", health),
            ("free_collateral", max(number(0), initial_health)),
            ("margin_ratio", number(0) if needed == 0 else margin_ratio),
            ("liquidatable", health < 0),
            ("bankrupt", equity < 0),
        ):
            report[name].append(value)
    return report


def _notional(instrument: Instrument, quantity: Any, unit_value: Any, index_price: Mapping[Any, Any]) -> Any:
    """Return what a position's margin rates apply to, in the numeraire; a long option needs no margin."""
    settlement = index_price[instrument.settlement]
    if not instrument.is_option:
        return abs(quantity * unit_value) * settlement
    if quantity > 0:
        return abs(quantity) * 0
    # An inverse option is for one unit of what it settles in; any other is for one unit of its underlying.
    underlying = 1 if instrument.inverse else index_price[instrument.underlying]
    return abs(quantity) * instrument.multiplier * settlement * underlying


def _instruments(frame: Frame | None, number: Number) -> dict[Any, Instrument]:
    return {
        row["instrument"]: Instrument(
            is_option=row["kind"] == "option",
            underlying=row["underlying"],
            settlement=row["settlement"],
            multiplier=number(row.get("contract_multiplier", 1)),
            inverse=bool(row.get("inverse", False)),
        )
        for row in _rows(frame)
    }


def _weights(frame: Frame | None, which: str, number: Number) -> dict[Any, Weights]:
    return {
        row["asset"]: Weights(
            haircut=number(row.get(f"{which}_haircut", 0)),
            liability_weight=number(row.get(f"{which}_liability_weight", 1)),
        )
        for row in _rows(frame)
    }


def _rows(frame: Frame | None) -> list[dict[str, Any]]:
    if not frame:
        return []
    names = list(frame)
    return [dict(zip(names, row, strict=True)) for row in zip(*frame.values(), strict=True)]
