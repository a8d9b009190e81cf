"""Holdings of an account and the units that they form: a unit is what backs itself.

All cross positions of an account with its balances are one unit, an isolated position with its collateral is another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from reference_rules import Frame, Instrument, Row, Rules, given, rows


@dataclass(slots=True)
class Account:
    """The rows of one account."""

    name: Any
    balances: list[Row] = field(default_factory=list)
    positions: dict[Any, Row] = field(default_factory=dict)
    orders: dict[Any, list[Row]] = field(default_factory=dict)
    leverage_cap: Any = None

    @property
    def instruments(self) -> list[Any]:
        """Everything in which the account has a position or an order."""
        return list(self.positions | self.orders)

    def isolated_margin(self, instrument: Any) -> Any:
        """Return what was posted for the position alone, ``None`` if nothing was or there is no position."""
        return given(self.positions.get(instrument, {}), "isolated_margin")


def accounts_of(
    balances: Frame | None, positions: Frame | None, orders: Frame | None, accounts: Frame | None
) -> Iterable[Account]:
    """Return the accounts in order of first appearance."""
    found: dict[Any, Account] = {}

    def account(row: Row) -> Account:
        name = row["account"]
        if name not in found:
            found[name] = Account(name)
        return found[name]

    for row in rows(balances):
        account(row).balances.append(row)
    for row in rows(positions):
        account(row).positions[row["instrument"]] = row
    for row in rows(orders):
        account(row).orders.setdefault(row["instrument"], []).append(row)
    for row in rows(accounts):
        account(row).leverage_cap = given(row, "leverage_cap")
    return found.values()


@dataclass(frozen=True, slots=True)
class Holding:
    """A position with the orders in its instrument, either of which may be missing.

    ``unrealized`` is in the settlement asset, margins in the numeraire. ``value_parts`` and ``margin_parts`` are the
    same without any sign.
    """

    instrument: Instrument | None
    quantity: Any
    unrealized: Any
    initial_margin: Any
    maintenance_margin: Any
    value_parts: float = 0.0
    margin_parts: float = 0.0


def hold(rules: Rules, account: Account, name: Any) -> Holding:
    """Return what an account holds in one instrument."""
    number = rules.number
    zero = number(0)
    position = account.positions.get(name)
    quantity = zero if position is None else number(position["quantity"])
    # A reduce-only order can only shrink a position: it needs nothing.
    orders = [
        (number(row["quantity"]), number(row["price"]))
        for row in account.orders.get(name, [])
        if not given(row, "reduce_only", False)
    ]
    orders = [order for order in orders if order[0] != 0]
    if quantity == 0 and not orders:
        # Nothing is held, so nothing has to have a price.
        return Holding(None, zero, zero, zero, zero)

    instrument = rules.instrument(name)
    unrealized, value_parts = zero, 0.0
    if position is not None and quantity != 0:
        entry = number(position["entry_price"]), number(given(position, "entry_funding", 0))
        unrealized = quantity * (instrument.unit_value_at_mark - instrument.unit_value(*entry))
        value_parts = float(abs(quantity)) * (instrument.parts_at_mark + instrument.parts(*entry))

    buys = sum((size for size, _ in orders if size > 0), zero)
    sells = sum((-size for size, _ in orders if size < 0), zero)
    if instrument.is_paid_up_front:
        # The buyer has paid, and owes nothing.
        exposure, initial_exposure = max(zero, -quantity), max(zero, -quantity, sells - quantity)
    else:
        exposure, initial_exposure = abs(quantity), max(abs(quantity + buys), abs(quantity - sells))

    initial_margin = maintenance_margin = zero
    margin_parts = 0.0
    if initial_exposure > 0:
        margin, notional_of_one = rules.margin(name), instrument.notional_of_one
        least_rate = None if account.leverage_cap is None else 1 / number(account.leverage_cap)
        maintenance_margin = margin.maintenance_of(exposure, exposure * notional_of_one)
        initial_margin = margin.initial_of(initial_exposure, initial_exposure * notional_of_one, least_rate)
        steepest = margin.initial.steepest if least_rate is None else max(margin.initial.steepest, least_rate)
        per_contract = float(notional_of_one * steepest) + float(margin.floor_per_contract)
        margin_parts = 2 * float(abs(quantity) + buys + sells) * per_contract
    if orders:
        initial_margin += opening_loss(instrument, orders, zero) * instrument.settlement_price
        prices = sum(
            float(abs(size)) * (instrument.parts(price, zero) + instrument.parts(instrument.mark_price, zero))
            for size, price in orders
        )
        margin_parts += prices * float(instrument.settlement_price)
    return Holding(instrument, quantity, unrealized, initial_margin, maintenance_margin, value_parts, margin_parts)


def opening_loss(instrument: Instrument, orders: list[tuple[Any, Any]], zero: Any) -> Any:
    """Return what filling all buys, or all sells, at their prices would lose at once, in the settlement asset."""
    of_buys = of_sells = zero
    for size, price in orders:
        # A buy loses what its price is above mark, a sell (whose size is negative) what it is below.
        loss = max(zero, size * (instrument.value(price) - instrument.value_at_mark))
        if size > 0:
            of_buys += loss
        else:
            of_sells += loss
    return max(of_buys, of_sells)


@dataclass(slots=True)
class Worth:
    """What holdings are worth in the numeraire: as they are, and weighed (``debts`` are what is owed, positive)."""

    equity: Any
    assets: Any
    debts: Any
    initial_collateral_value: Any
    parts: float = 0.0


@dataclass(frozen=True, slots=True)
class Share:
    """A part of what another unit is worth.

    A quotient of two margins is only as good as they are, so ``part`` is what rounding may make of it.
    """

    fraction: Any
    part: float
    of: Worth


@dataclass(slots=True)
class Unit:
    """What backs itself: holdings are added, then its figures are read."""

    rules: Rules
    cash: dict[Any, Any] = field(default_factory=dict)
    unrealized: dict[Any, Any] = field(default_factory=dict)
    parts: dict[Any, float] = field(default_factory=dict)
    holdings: list[Holding] = field(default_factory=list)
    share: Share | None = None

    def add_cash(self, asset: Any, amount: Any) -> None:
        """Add an amount of an asset, interest included."""
        self.cash[asset] = self.cash.get(asset, 0) + amount
        self.parts[asset] = self.parts.get(asset, 0.0) + float(abs(amount))

    def add_balances(self, account: Account) -> None:
        """Add the balances of an account, each with the interest of its sign."""
        for row in account.balances:
            balance = self.rules.number(row["balance"])
            if balance != 0:
                self.add_cash(row["asset"], self.rules.asset(row["asset"]).cash(balance))

    def add(self, holding: Holding) -> None:
        """Add a position with its orders."""
        self.holdings.append(holding)
        if holding.instrument is not None and holding.quantity != 0:
            asset = holding.instrument.settlement
            self.unrealized[asset] = self.unrealized.get(asset, 0) + holding.unrealized
            self.parts[asset] = self.parts.get(asset, 0.0) + holding.value_parts

    def worth(self) -> Worth:
        """Return what all is worth: netted by asset, then weighed."""
        worth = Worth(*[self.rules.number(0)] * 4)
        for asset in self.cash | self.unrealized:
            rules = self.rules.asset(asset)
            cash, unrealized = self.cash.get(asset, 0), self.unrealized.get(asset, 0)
            net = cash + rules.counted(unrealized)
            weighed = rules.weigh(net, rules.maintenance)
            if weighed >= 0:
                worth.assets += weighed
            else:
                worth.debts -= weighed
            worth.equity += (cash + unrealized) * rules.index_price
            worth.initial_collateral_value += rules.weigh(net, rules.initial)
            worth.parts += self.parts[asset] * float(rules.index_price * rules.initial.liability_weight)
        if self.share is not None:
            fraction, pool = self.share.fraction, self.share.of
            worth.equity += fraction * pool.equity
            worth.assets += fraction * pool.assets
            worth.debts += fraction * pool.debts
            worth.initial_collateral_value += fraction * pool.initial_collateral_value
            worth.parts += self.share.part * pool.parts
        return worth

    def figures(self) -> dict[str, Any]:
        """Return the unit's row of the report."""
        zero = self.rules.number(0)
        worth = self.worth()
        initial_margin = sum((holding.initial_margin for holding in self.holdings), zero)
        maintenance_margin = sum((holding.maintenance_margin for holding in self.holdings), zero)
        collateral_value = worth.assets - worth.debts
        health = collateral_value - maintenance_margin
        initial_health = worth.initial_collateral_value - initial_margin
        needs = maintenance_margin + worth.debts
        margin_ratio = needs / worth.assets if worth.assets > 0 else float("inf")
        return {
            "gross": worth.parts + sum(holding.margin_parts for holding in self.holdings),
            "weighted_needs": needs,
            "weighted_assets": worth.assets,
            "equity": worth.equity,
            "collateral_value": collateral_value,
            "initial_collateral_value": worth.initial_collateral_value,
            "initial_margin": initial_margin,
            "maintenance_margin": maintenance_margin,
            "initial_health": initial_health,
            "health": health,
            "free_collateral": max(zero, initial_health),
            "margin_ratio": zero if needs == 0 else margin_ratio,
            "liquidatable": health < 0,
            "bankrupt": worth.equity < 0,
        }
