"""The ledger in slow, readable Python: whole units as ints, prices as fractions, every rounding against the account.

Nothing here knows xmfast, nor what margin is: an event that only margin forbids is done. The methods have the names
and arguments of the engine's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor
from typing import Any

from reference_rules import Row, exact, given, rows

QUANTITY_DECIMALS = 8
# What accounts hold, and what the venue holds for them; the last two are what went in and what went out.
POOLS = (
    "accounts",
    "street",
    "fees",
    "interest_pool",
    "funding_pool",
    "rounding",
    "shortfall",
    "deposits",
    "withdrawals",
)


class Refused(Exception):
    """An event that the state does not allow."""


@dataclass(slots=True)
class Cash:
    """Units of an asset, and the deposit and borrow index at which they were last touched."""

    units: int
    touched: tuple[Fraction, Fraction]


@dataclass(slots=True)
class Position:
    """Contracts and what they cost, in units, and the funding up to which has been paid."""

    quantity: int
    cost: int
    funding: Fraction
    isolated: int | None = None


@dataclass(slots=True)
class Holder:
    """What one account holds."""

    cash: dict[Any, Cash] = field(default_factory=dict)
    positions: dict[Any, Position] = field(default_factory=dict)


def towards_zero(amount: int, part: int, whole: int) -> int:
    """Return ``amount x part / whole``, rounded towards 0."""
    share = Fraction(amount * part, whole)
    return ceil(share) if share < 0 else floor(share)


class Ledger:
    """All accounts and the venue's own, opened with what a book holds."""

    def __init__(
        self,
        universe: Mapping[str, Any],
        market: Mapping[str, Mapping[Any, Any]],
        balances: Mapping[str, Any] | None = None,
        positions: Mapping[str, Any] | None = None,
        *,
        decimals: Mapping[Any, int] | None = None,
        others: Iterable[Any] = (),
    ) -> None:
        self.specs: dict[Any, Row] = {row["instrument"]: row for row in rows(universe.get("instruments"))}
        self.assets: list[Any] = list(universe["assets"]["asset"])
        self.decimals = {asset: (decimals or {}).get(asset, 8) for asset in self.assets}
        self.interest = {asset: self._indices(market, asset) for asset in self.assets}
        paid = market.get("cumulative_funding", {})
        self.funding = {name: exact(paid.get(name, 0)) for name in self.specs}
        self.pools = {asset: dict.fromkeys(POOLS, 0) for asset in self.assets}
        self.residue = dict.fromkeys(self.assets, Fraction(0))
        self.settled: set[Any] = set()
        self.accounts: dict[Any, Holder] = {}
        for row in rows(balances):
            self._open_balance(row)
        for row in rows(positions):
            self._open_position(row)
        for account in others:
            self.accounts.setdefault(account, Holder())

    @staticmethod
    def _indices(market: Mapping[str, Mapping[Any, Any]], asset: Any) -> tuple[Fraction, Fraction]:
        deposit, borrow = (market.get(name, {}).get(asset, 1) for name in ("deposit_index", "borrow_index"))
        return exact(deposit), exact(borrow)

    def _open_balance(self, row: Row) -> None:
        holder, asset, balance = self._holder(row["account"]), row["asset"], exact(row["balance"])
        worth = balance * self.interest[asset][balance < 0]
        units = floor(worth * self.scale(asset))
        self.residue[asset] += worth - Fraction(units, self.scale(asset))
        self.pools[asset]["deposits"] += units
        if units:
            holder.cash[asset] = Cash(units, self.interest[asset])

    def _open_position(self, row: Row) -> None:
        holder, name = self._holder(row["account"]), row["instrument"]
        asset, scale = self.settlement(name), self.scale(self.settlement(name))
        quantity = towards_zero(1, *(exact(row["quantity"]) * 10**QUANTITY_DECIMALS).as_integer_ratio())
        posted = given(row, "isolated_margin")
        margin = None if posted is None else floor(exact(posted) * scale)
        if margin is not None:
            self.residue[asset] += exact(posted) - Fraction(margin, scale)
            self.pools[asset]["deposits"] += margin
        if quantity == 0:
            # As where an isolated position is closed: what was posted is cash.
            if margin:
                self._add_cash(holder, asset, margin)
            return
        # What it would have cost at the funding of now.
        since = self.funding[name] - exact(given(row, "entry_funding", 0))
        contracts = Fraction(quantity, 10**QUANTITY_DECIMALS)
        value = self.value(name, exact(row["entry_price"])) + self.multiplier(name) * since
        cost = ceil(contracts * value * scale)
        self.residue[asset] += Fraction(cost, scale) - contracts * value
        holder.positions[name] = Position(quantity, cost, self.funding[name], margin)
        self.pools[asset]["street"] += cost

    # What instruments and assets are

    def settlement(self, name: Any) -> Any:
        """Return the asset in which an instrument pays."""
        return self.specs[name]["settlement"]

    def scale(self, asset: Any) -> int:
        """Return the units of one asset."""
        return int(10 ** self.decimals[asset])

    def multiplier(self, name: Any) -> Fraction:
        """Return the contract multiplier."""
        return exact(given(self.specs[name], "contract_multiplier", 1))

    def value(self, name: Any, price: Fraction) -> Fraction:
        """Return what one long contract is worth at a price, in the settlement asset, funding aside."""
        spec = self.specs[name]
        if given(spec, "inverse", False) and spec["kind"] != "option":
            return -self.multiplier(name) / price
        return self.multiplier(name) * price

    def _cost(self, name: Any, contracts: int, price: Fraction) -> int:
        """Return what contracts cost at a price: the next unit up, which is more to pay or less to get."""
        quantity = Fraction(contracts, 10**QUANTITY_DECIMALS)
        return ceil(quantity * self.value(name, price) * self.scale(self.settlement(name)))

    # What it says

    def cash_now(self, account: Any, asset: Any) -> Fraction:
        """Return an account's cash with the interest since it was last touched, not rounded; in asset units."""
        cash = self.accounts[account].cash.get(asset)
        if cash is None:
            return Fraction(0)
        side = cash.units < 0
        return Fraction(cash.units, self.scale(asset)) * self.interest[asset][side] / cash.touched[side]

    def at_index_1(self, account: Any, asset: Any) -> Fraction:
        """Return an account's cash as a book has it: without any interest, touched or not; in asset units."""
        cash = self.accounts[account].cash[asset]
        return Fraction(cash.units, self.scale(asset)) / cash.touched[cash.units < 0]

    def cost_before_funding(self, account: Any, name: Any) -> Fraction:
        """Return what a position cost if funding had been paid out of the price since the start; settlement asset."""
        position = self.accounts[account].positions[name]
        paid = Fraction(position.quantity, 10**QUANTITY_DECIMALS) * self.multiplier(name) * position.funding
        return Fraction(position.cost, self.scale(self.settlement(name))) - paid

    def totals(self) -> dict[Any, dict[str, Fraction]]:
        """Return what accounts and venue hold of each asset, summed anew."""
        held = dict.fromkeys(self.assets, 0)
        for holder in self.accounts.values():
            for asset, cash in holder.cash.items():
                held[asset] += cash.units
            for name, position in holder.positions.items():
                held[self.settlement(name)] += (position.isolated or 0) - position.cost
        return {
            asset: {
                name: Fraction(held[asset] if name == "accounts" else units, self.scale(asset))
                for name, units in pools.items()
            }
            for asset, pools in self.pools.items()
        }

    def frames(self) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
        """Return balances and positions as `reference.evaluate` reads them, exact, accounts in their order."""
        balances: dict[str, list[Any]] = {name: [] for name in ("account", "asset", "balance")}
        names = ("account", "instrument", "quantity", "entry_price", "entry_funding", "isolated_margin")
        positions: dict[str, list[Any]] = {name: [] for name in names}
        for account, holder in self.accounts.items():
            # A row of nothing keeps the place of an account that has none.
            held = {asset: self.at_index_1(account, asset) for asset in holder.cash}
            for asset, balance in (held or {self.assets[0]: Fraction(0)}).items():
                _append(balances, account=account, asset=asset, balance=balance)
            for name, position in holder.positions.items():
                quantity = Fraction(position.quantity, 10**QUANTITY_DECIMALS)
                price, scale = Fraction(1), self.scale(self.settlement(name))
                # Any price will do if funding makes up for it; a cost of 0 is no price of an inverse contract.
                paid = self.value(name, price) - self.cost_before_funding(account, name) / quantity
                _append(
                    positions,
                    account=account,
                    instrument=name,
                    quantity=quantity,
                    entry_price=price,
                    entry_funding=paid / self.multiplier(name),
                    isolated_margin=None if position.isolated is None else Fraction(position.isolated, scale),
                )
        return balances, positions

    # What happens

    def add_account(self, account: Any) -> None:
        """Add an account that holds nothing."""
        if account in self.accounts:
            raise Refused(f"{account} is there")
        self.accounts[account] = Holder()

    def add_instruments(self, added: Any) -> None:
        """Note what is new, and what its figures start from."""
        self.specs |= {row["instrument"]: row for row in rows(added.instruments)}
        for asset in added.assets["asset"]:
            self.assets.append(asset)
            self.decimals[asset] = added.said["decimals"].get(asset, 8)
            self.interest[asset] = self._indices(added.figures, asset)
            self.pools[asset] = dict.fromkeys(POOLS, 0)
        for name in added.instruments["instrument"]:
            self.funding[name] = exact(added.figures.get("cumulative_funding", {}).get(name, 0))

    def fill(self, account: Any, name: Any, quantity: Any, price: Any, fee: Any = 0, order_id: Any = None) -> None:
        """Book one side of a trade; the other is the street's. Orders are not kept here."""
        cost = self._fill(account, name, contracts_of(quantity), exact(price), fee)
        self.pools[self.settlement(name)]["street"] += cost

    def trade(
        self, maker: Any, taker: Any, name: Any, quantity: Any, price: Any, maker_fee: Any = 0, taker_fee: Any = 0
    ) -> None:
        """Book both sides; what rounding takes from both together is nobody's."""
        if maker == taker:
            raise Refused("a trade with oneself")
        contracts = contracts_of(quantity)
        cost = self._fill(maker, name, -contracts, exact(price), maker_fee)
        cost += self._fill(taker, name, contracts, exact(price), taker_fee)
        # 0 or one unit for each part, of which a fill through zero has two.
        assert 0 <= cost <= 3
        self.pools[self.settlement(name)]["rounding"] += cost

    def fills(self, accounts: Any, names: Any, quantities: Any, prices: Any) -> None:
        """Book many fills, one after the other."""
        for row in zip(accounts, names, quantities, prices, strict=True):
            self.fill(*row)

    def deposit(self, account: Any, asset: Any, amount: Any) -> None:
        """Pay in."""
        units = self._units(asset, amount)
        self._add_cash(self.accounts[account], asset, units)
        self.pools[asset]["deposits"] += units

    def withdraw(self, account: Any, asset: Any, amount: Any) -> None:
        """Pay out."""
        units = self._units(asset, amount)
        self._add_cash(self.accounts[account], asset, -units)
        self.pools[asset]["withdrawals"] += units

    def exchange(self, account: Any, sell: Any, buy: Any, sold: Any, bought: Any, fee: Any = 0) -> None:
        """Give one asset for another."""
        if sell == buy:
            raise Refused("an asset for itself")
        holder = self.accounts[account]
        given_away, got, kept = self._units(sell, sold), self._units(buy, bought), self._fee(buy, fee)
        self._add_cash(holder, sell, -given_away)
        self._add_cash(holder, buy, got - kept)
        self.pools[sell]["street"] += given_away
        self.pools[buy]["street"] -= got
        self.pools[buy]["fees"] += kept

    def transfer(self, source: Any, target: Any, what: Any, amount: Any) -> None:
        """Pass on cash, or contracts at what they cost."""
        if source == target:
            raise Refused("a transfer to oneself")
        giver, taker = self.accounts[source], self.accounts[target]
        if what not in self.specs:
            units = self._units(what, amount)
            self._add_cash(giver, what, -units)
            self._add_cash(taker, what, units)
            return
        self._check_trades(what)
        contracts = contracts_of(amount)
        held, met = giver.positions.get(what), taker.positions.get(what)
        if held is None or contracts > abs(held.quantity):
            raise Refused("fewer contracts")
        if held.isolated is not None or (met is not None and met.isolated is not None):
            raise Refused("an isolated position")
        for holder in (giver, taker):
            self._touch(holder, what)
        moved_cost = towards_zero(held.cost, contracts, abs(held.quantity))
        moved = contracts if held.quantity > 0 else -contracts
        self._shift(giver, what, -moved, -moved_cost)
        self._receive(taker, what, moved, moved_cost)

    def accrue(
        self, funding: Mapping[Any, Any] | None = None, interest: Mapping[Any, tuple[Any, Any]] | None = None
    ) -> None:
        """Note new cumulative fundings and interest indices; nobody pays before being touched."""
        for name, paid in (funding or {}).items():
            self.funding[name] = exact(paid)
        for asset, (deposit, borrow) in (interest or {}).items():
            self.interest[asset] = exact(deposit), exact(borrow)

    def settle(self, name: Any, price: Any) -> None:
        """Close every position in an instrument at a price; it trades no more."""
        self._check_trades(name)
        for account, holder in self.accounts.items():
            if name in holder.positions:
                cost = self._fill(account, name, -holder.positions[name].quantity, exact(price), 0)
                self.pools[self.settlement(name)]["street"] += cost
        self.settled.add(name)

    def tick(self, *_: Any, **__: Any) -> None:
        """Change no holding: what a price is does not matter here."""

    # Nor do orders.
    ticks = place = amend = cancel = tick

    def after(self, event: Callable[[Ledger], object]) -> Ledger:
        """Return a copy in which an event has happened."""
        copy = deepcopy(self)
        event(copy)
        return copy

    # How it happens

    def _holder(self, account: Any) -> Holder:
        return self.accounts.setdefault(account, Holder())

    def _units(self, asset: Any, amount: Any) -> int:
        units = exact(amount) * self.scale(asset)
        assert units.denominator == 1 and units > 0, amount
        return int(units)

    def _fee(self, asset: Any, fee: Any) -> int:
        return ceil(exact(fee) * self.scale(asset))

    def _check_trades(self, name: Any) -> None:
        if name in self.settled:
            raise Refused(f"{name} is settled")

    def _add_cash(self, holder: Holder, asset: Any, units: int) -> None:
        """Add units after the interest since the last touch has been booked, rounded down whoever owes it."""
        now = self.interest[asset]
        cash = holder.cash.setdefault(asset, Cash(0, now))
        side = cash.units < 0
        grown = floor(cash.units * now[side] / cash.touched[side])
        self.pools[asset]["interest_pool"] += cash.units - grown
        cash.units, cash.touched = grown + units, now
        if cash.units == 0:
            del holder.cash[asset]

    def _touch(self, holder: Holder, name: Any) -> None:
        """Book interest of the settlement asset and funding of a position."""
        asset = self.settlement(name)
        self._add_cash(holder, asset, 0)
        position = holder.positions.get(name)
        if position is None:
            return
        since = self.funding[name] - position.funding
        contracts = Fraction(position.quantity, 10**QUANTITY_DECIMALS)
        got = floor(-contracts * self.multiplier(name) * since * self.scale(asset))
        position.funding = self.funding[name]
        self.pools[asset]["funding_pool"] -= got
        self._earn(holder, name, got)

    def _earn(self, holder: Holder, name: Any, units: int) -> None:
        """Let a position earn or lose: an isolated one its own margin."""
        position = holder.positions[name]
        if position.isolated is None:
            self._add_cash(holder, self.settlement(name), units)
        else:
            position.isolated += units

    def _fill(self, account: Any, name: Any, contracts: int, price: Fraction, fee: Any) -> int:
        """Trade contracts; return what both parts of them cost, the one that closes and the one that opens."""
        self._check_trades(name)
        holder, asset = self.accounts[account], self.settlement(name)
        self._touch(holder, name)
        held = holder.positions[name].quantity if name in holder.positions else 0
        closing = min(abs(held), abs(contracts)) if held * contracts < 0 else 0
        closed = closing if contracts > 0 else -closing
        opened = contracts - closed
        cost = 0
        if closed:
            position = holder.positions[name]
            removed = towards_zero(position.cost, closing, abs(held))
            cost += (cost_of_closing := self._cost(name, closed, price))
            self._earn(holder, name, -cost_of_closing - removed)
            self._shift(holder, name, closed, -removed)
        if opened:
            cost += (cost_of_opening := self._cost(name, opened, price))
            self._shift(holder, name, opened, cost_of_opening)
        kept = self._fee(asset, fee)
        self._add_cash(holder, asset, -kept)
        self.pools[asset]["fees"] += kept
        return cost

    def _shift(self, holder: Holder, name: Any, contracts: int, cost: int) -> None:
        """Add contracts and their cost to a position; one that is closed gives back what was posted for it."""
        position = holder.positions.setdefault(name, Position(0, 0, self.funding[name]))
        position.quantity += contracts
        position.cost += cost
        if position.quantity != 0:
            return
        assert position.cost == 0
        del holder.positions[name]
        asset, left = self.settlement(name), position.isolated or 0
        if left > 0:
            self._add_cash(holder, asset, left)
        else:
            # Nobody has to pay more than was posted.
            self.pools[asset]["shortfall"] += left

    def _receive(self, holder: Holder, name: Any, contracts: int, cost: int) -> None:
        """Take over contracts; those that meet opposite ones are closed, each at its own cost."""
        position = holder.positions.get(name)
        if position is None or position.quantity * contracts > 0:
            self._shift(holder, name, contracts, cost)
            return
        closing = min(abs(position.quantity), abs(contracts))
        removed = towards_zero(position.cost, closing, abs(position.quantity))
        removed_moved = towards_zero(cost, closing, abs(contracts))
        self._add_cash(holder, self.settlement(name), -(removed + removed_moved))
        # What is left of one side or the other.
        self._shift(holder, name, contracts, cost - removed - removed_moved)


def contracts_of(quantity: Any) -> int:
    """Return contracts in units."""
    units = exact(quantity) * 10**QUANTITY_DECIMALS
    assert units.denominator == 1 and units != 0, quantity
    return int(units)


def _append(frame: dict[str, list[Any]], **cells: Any) -> None:
    for name, cell in cells.items():
        frame[name].append(cell)
