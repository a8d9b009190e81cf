"""Margin from the risk of a whole portfolio in slow, readable Python: the specification of scenario models.

What accounts are worth comes from `reference`, what contracts lose from `reference_scenarios`; here losses are added up
by group, offset, floored and charged. Nothing here knows xmfast.

What an account has of an asset that moves inside the scenarios, unrealized profit counted, is a loss of its own: minus
the net amount times the change of its index price, in the group of the underlying that it moves with. A contract that
settles in it then loses its change in value at the shocked index price where both are in one group, else at today's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from reference import COLUMNS, ISOLATED_COLUMNS, cross_unit, isolated_row, posted_units
from reference_rules import Frame, Prices, Rules, given
from reference_scenarios import Floats, RiskArrays, ScenarioSet
from reference_units import Account, Holding, Unit, accounts_of

CONTINGENCIES = ("short_option_minimum", "concentration", "margin_floor")
RISK_COLUMNS = ("scan_risk", "worst_scenario", *CONTINGENCIES)


@dataclass(frozen=True, kw_only=True)
class PortfolioRules:
    """Parameters. ``offsets``: what share of gains pays for losses on other underlyings; ``None``: none of them do."""

    sets: tuple[ScenarioSet, ...]
    offsets: float | None = None
    product_groups: Mapping[Any, Any] = field(default_factory=dict)
    short_option_minimum: Any = 0.0
    concentration: Mapping[Any, tuple[float, float]] = field(default_factory=dict)
    margin_floor: float = 0.0
    initial_factor: float = 1.0
    # Assets that move inside the scenarios, and the underlying that each moves with.
    in_scenario: Mapping[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Risk:
    """What a portfolio requires, part by part; all >= 0, numeraire.

    ``profile`` is what the worst scenario is the largest of, through all sets. ``parts`` is the sum without signs.
    """

    scan_risk: float = 0.0
    profile: Floats
    short_option_minimum: float = 0.0
    concentration: float = 0.0
    margin_floor: float = 0.0
    parts: float = 0.0

    @property
    def requirement(self) -> float:
        """Maintenance margin."""
        return self.scan_risk + self.short_option_minimum + self.concentration + self.margin_floor

    @property
    def worst_scenario(self) -> int:
        """The first scenario of the largest loss, -1 where nothing is at risk."""
        return int(np.argmax(self.profile)) if self.scan_risk > 0 else -1


class Portfolio:
    """The rules of a venue, its contracts' losses, and what portfolios of them require."""

    def __init__(
        self, universe: Mapping[str, Any], market: Mapping[str, Prices], collateral: Frame | None, rules: PortfolioRules
    ) -> None:
        names = universe["instruments"]["instrument"]
        # Positions need no margin of their own.
        no_margin = {"instrument": names, "initial_rate": [0] * len(names), "maintenance_rate": [0] * len(names)}
        self.worth = Rules(universe, market, collateral, no_margin, float)
        self.rules = rules
        self.arrays = [RiskArrays(universe, market, self.worth, scenarios) for scenarios in rules.sets]

    def risk(self, positions: Mapping[Any, float], nets: Mapping[Any, float], *, alone: bool = False) -> Risk:
        """Return what so many contracts of each instrument require together: the larger of all sets.

        ``nets`` is what is held in assets that move inside the scenarios, unrealized profit counted. All that stands
        behind a position ``alone`` is one group.
        """
        held = {name: quantity for name, quantity in positions.items() if quantity != 0}
        by_set = [self._risk_of_set(arrays, held, nets, alone=alone) for arrays in self.arrays]
        # All else is the same in all sets, and a requirement rises with the scan risk.
        chosen = max(by_set, key=lambda risk: risk.scan_risk)
        # Scenarios are counted through all sets; two may require the same but for rounding.
        tie = chosen.scan_risk - 1e-12 * chosen.parts
        profile = [risk.profile if risk.scan_risk >= tie else np.full(len(risk.profile), -np.inf) for risk in by_set]
        return replace(chosen, profile=np.concatenate(profile))

    def order_risk(self, orders: Mapping[Any, list[float]]) -> tuple[float, float]:
        """Return what open orders could add: the worse side of each instrument alone; and the sum of its parts."""
        largest = parts = 0.0
        for arrays in self.arrays:
            total = 0.0
            for name, quantities in orders.items():
                contract = arrays.contract(name)
                bids = sum(max(0.0, quantity) for quantity in quantities)
                asks = sum(max(0.0, -quantity) for quantity in quantities)
                losses = self._losses_of_one(arrays, name)
                long, short = (measured(arrays.scenarios, side * losses) for side in (1, -1))
                total += max(bids * long, asks * short)
                parts += (bids + asks) * contract.scale
            largest = max(largest, total)
        return largest, parts

    def _index_moves(self, arrays: RiskArrays, asset: Any) -> Floats:
        """Return by how much an asset's index price changes in each scenario."""
        shock = arrays.scenarios.price(self.rules.in_scenario[asset])
        return shock if arrays.scenarios.absolute else float(self.worth.asset(asset).index_price) * shock

    def _losses_of_one(self, arrays: RiskArrays, name: Any) -> Floats:
        """Return what price changes of one contract lose, at the shocked index price where that moves along."""
        losses, asset = arrays.contract(name).losses, self.worth.settlement(name)
        moved_by = self.rules.in_scenario.get(asset)
        if moved_by is None or not (arrays.scenarios.joint or moved_by == arrays.underlying(name)):
            return losses
        return losses * (1 + self._index_moves(arrays, asset) / float(self.worth.asset(asset).index_price))

    def _risk_of_set(
        self, arrays: RiskArrays, held: Mapping[Any, float], nets: Mapping[Any, float], *, alone: bool
    ) -> Risk:
        scenarios = arrays.scenarios
        # Each group's losses, and its instruments.
        groups: dict[Any, tuple[list[Floats], list[Any]]] = {}
        own = arrays.underlying(next(iter(held))) if alone and held else None
        parts = 0.0
        for name, quantity in held.items():
            group = None if scenarios.joint else arrays.underlying(name)
            losses, names = groups.setdefault(group, ([], []))
            losses.append(quantity * self._losses_of_one(arrays, name))
            names.append(name)
            parts += abs(quantity) * arrays.contract(name).scale * 10
        for asset, net in nets.items():
            group = None if scenarios.joint else self.rules.in_scenario[asset] if own is None else own
            losses, _ = groups.setdefault(group, ([], []))
            moves = self._index_moves(arrays, asset) * scenarios.weights
            losses.append(-net * moves)
            parts += abs(net) * float(np.abs(moves).max())
        products: dict[Any, list[Any]] = {}
        for group in sorted(groups, key=str):
            products.setdefault(self._product(group, scenarios), []).append(group)

        scan_risk = minimums = concentration = 0.0
        profile = np.full(len(scenarios), -np.inf)
        for mine in products.values():
            scanned, profiles = self._scan(scenarios, [np.sum(groups[group][0], axis=0) for group in mine])
            names = [name for group in mine for name in groups[group][1]]
            least = sum(self._short_option_minimum(arrays, name, held[name]) for name in names)
            scan_risk += scanned
            minimums += max(0.0, least - scanned)
            profile = np.maximum(profile, profiles)
            concentration += sum(self._concentration(arrays, group, groups[group][1], held) for group in mine)
        required = scan_risk + minimums + concentration
        return Risk(
            scan_risk=scan_risk,
            profile=profile,
            short_option_minimum=minimums,
            concentration=concentration,
            margin_floor=max(0.0, self.rules.margin_floor - required) if held else 0.0,
            parts=parts + required,
        )

    def _product(self, group: Any, scenarios: ScenarioSet) -> Any:
        """Return the product group of an underlying."""
        if scenarios.joint:
            return None
        if self.rules.product_groups:
            # Nobody spoke of them: strangers pay for nobody.
            return self.rules.product_groups.get(group, ("alone", group))
        return group if self.rules.offsets is None else None

    def _scan(self, scenarios: ScenarioSet, losses: list[Floats]) -> tuple[float, Floats]:
        """Return the scan risk of a product group, and what its worst scenario is the largest of."""
        if self.rules.offsets is None or len(losses) == 1:
            return sum(measured(scenarios, group) for group in losses), np.max(losses, axis=0)
        paid = [np.maximum(group, 0) - self.rules.offsets * np.maximum(-group, 0) for group in losses]
        together = np.sum(paid, axis=0)
        return measured(scenarios, together), together

    def _short_option_minimum(self, arrays: RiskArrays, name: Any, quantity: float) -> float:
        rate = self.rules.short_option_minimum
        rate = rate.get(arrays.underlying(name), 0.0) if isinstance(rate, Mapping) else rate
        return rate * max(0.0, -quantity) * arrays.contract(name).short_option_notional if rate else 0.0

    def _concentration(self, arrays: RiskArrays, group: Any, names: list[Any], held: Mapping[Any, float]) -> float:
        rate, depth = self.rules.concentration.get(group, (0.0, 0.0))
        net = sum(held[name] * arrays.contract(name).delta_notional for name in names) if rate else 0.0
        return rate * max(0.0, abs(net) - depth)


def measured(scenarios: ScenarioSet, losses: Floats) -> float:
    """Return the worst of some losses, their quantile, or the mean of those from the quantile up; at least 0."""
    ascending = np.sort(losses)
    if scenarios.measure == "worst":
        return max(0.0, float(ascending[-1]))
    # The guard takes 0.99 x 500, which is a little above 495 in binary, for 495.
    rank = max(1, math.ceil(len(losses) * scenarios.confidence - 1e-9))
    tail = ascending[rank - 1 :]
    return max(0.0, float(tail[0] if scenarios.measure == "var" else tail.mean()))


def evaluate(
    universe: Mapping[str, Any],
    balances: Frame | None,
    positions: Frame | None,
    market: Mapping[str, Any],
    collateral: Frame | None,
    rules: PortfolioRules,
    *,
    orders: Frame | None = None,
    accounts: Frame | None = None,
) -> dict[str, Any]:
    """Return the columns of the report, as `reference.evaluate` does, with those of the risk and its ``profile``."""
    portfolio = Portfolio(universe, market, collateral, rules)
    report: dict[str, list[Any]] = {name: [] for name in ("account", *_BOUNDS, *COLUMNS, *RISK_COLUMNS, "profile")}
    isolated: dict[str, list[Any]] = {
        name: [] for name in ("account", *ISOLATED_COLUMNS, *_BOUNDS, *COLUMNS, *RISK_COLUMNS)
    }
    for account in accounts_of(balances, positions, orders, accounts):
        pool = {name for name in account.instruments if account.isolated_margin(name) is None}
        own = cross_unit(portfolio.worth, account)
        risk = _charge(portfolio, account, pool, own)
        row = {"account": account.name} | own.figures() | _risk_columns(risk) | {"profile": risk.profile}
        _append(report, row)
        units = posted_units(portfolio.worth, account)
        for name in sorted(units, key=portfolio.worth.row):
            risk = _charge(portfolio, account, {name}, units[name], alone=True)
            row = {"account": account.name} | isolated_row(portfolio.worth, name, units[name]) | _risk_columns(risk)
            _append(isolated, row)
    return report | {"isolated": isolated}


_BOUNDS = ("gross", "weighted_needs", "weighted_assets")


def _charge(portfolio: Portfolio, account: Account, names: set[Any], unit: Unit, *, alone: bool = False) -> Risk:
    """Let a unit need what its positions risk together, and return that risk."""
    held = {name: float(row["quantity"]) for name, row in account.positions.items() if name in names}
    orders = {
        name: [float(row["quantity"]) for row in rows if not given(row, "reduce_only", False) and row["quantity"] != 0]
        for name, rows in account.orders.items()
        if name in names
    }
    orders = {name: quantities for name, quantities in orders.items() if quantities}
    nets = {
        asset: unit.cash.get(asset, 0.0) + unit.unrealized.get(asset, 0.0)
        for asset in portfolio.rules.in_scenario
        if unit.cash.get(asset, 0.0) != 0 or asset in unit.unrealized
    }
    risk = portfolio.risk(held, nets, alone=alone)
    order_risk, order_parts = portfolio.order_risk(orders)
    factor = portfolio.rules.initial_factor
    holding = unit.holdings[0] if unit.holdings else Holding(None, 0.0, 0.0, 0.0, 0.0)
    # What orders would lose at once is there already.
    charged = replace(
        holding,
        initial_margin=holding.initial_margin + factor * (risk.requirement + order_risk),
        maintenance_margin=risk.requirement,
        margin_parts=holding.margin_parts + factor * (risk.parts + order_parts),
    )
    unit.holdings[:1] = [charged]
    return risk


def _risk_columns(risk: Risk) -> dict[str, Any]:
    return {name: getattr(risk, name) for name in RISK_COLUMNS}


def _append(columns: dict[str, Any], row: Mapping[str, Any]) -> None:
    for name, value in row.items():
        columns[name].append(value)
