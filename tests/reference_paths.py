"""At which moves along a path an account's health or equity is 0, in slow Python, by a search that cannot miss.

Over a whole interval of moves every price lies in an interval, and with it everything that is made of prices. Where
that leaves out 0 there is no zero in the interval; where it does not, the interval is halved. Nothing is known here of
the curves that figures follow along a path.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeAlias

from reference import evaluate, exact
from reference_rules import Asset, Instrument, Rules, given, rows
from reference_units import Account, accounts_of
from strategies import Columns, Venue

Interval: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Path:
    """How much of a move each price makes: a price becomes ``price x (1 + beta x move)``."""

    index_beta: Mapping[Any, float]
    mark_beta: Mapping[Any, float]

    @classmethod
    def of_underlying(cls, venue: Venue, underlying: Any, followers: tuple[Any, ...] = ()) -> Path:
        """Return the path of an underlying, of its perpetuals and futures, and of assets that follow it."""
        return cls.of_betas(venue, dict.fromkeys((underlying, *followers), 1.0))

    @classmethod
    def of_betas(cls, venue: Venue, betas: Mapping[Any, float]) -> Path:
        """Return the path of what is named, and of perpetuals and futures on it."""
        marks = {}
        for row in rows(venue.instruments):
            follows = 0.0 if row["kind"] == "option" else betas.get(row["underlying"], 0.0)
            marks[row["instrument"]] = betas.get(row["instrument"], follows)
        return cls({name: betas.get(name, 0.0) for name in venue.index_price}, marks)

    def market(self, venue: Venue, move: Any) -> dict[str, Any]:
        """Return the market of a venue after an exact move."""

        def moved(prices: Mapping[Any, Any], betas: Mapping[Any, float]) -> dict[Any, Fraction]:
            return {name: exact(price) * (1 + exact(betas.get(name, 0)) * move) for name, price in prices.items()}

        index_price, mark_price = moved(venue.index_price, self.index_beta), moved(venue.mark_price, self.mark_beta)
        return venue.market | {"index_price": index_price, "mark_price": mark_price}


@dataclass(frozen=True)
class AccountOnPath:
    """An account of a venue that moves along a path; its figures are those of the pool, isolated positions left out."""

    venue: Venue
    path: Path
    account: Account
    rules: Rules
    gross: float = 0.0

    def figures(self, move: Fraction) -> dict[str, Any]:
        """Return the account's row of the report after a move, exactly."""
        own: dict[str, Any] = {name: _rows_of(getattr(self.venue, name), self.account.name) for name in _FRAMES}
        venue = self.venue
        inputs = own["balances"], own["positions"], self.path.market(venue, move), venue.collateral, venue.margin
        caps = {"orders": own["orders"], "accounts": own["accounts"], "mode": venue.mode}
        report = evaluate(venue.universe, *inputs, **caps, number=exact)
        return {name: values[0] for name, values in report.items() if name != "isolated"}

    def zeros(self, figure: str, start: float, end: float, *, most: int = 20_000) -> Iterator[Interval]:
        """Return the intervals between two moves that may hold a zero, the nearest to ``start`` first.

        They are small, or all in them is 0 within rounding.

        Raises
        ------
        RuntimeError
            More than so many intervals would have to be looked at.
        """
        waiting = [(start, end)]
        looked = 0
        while waiting:
            looked += 1
            if looked > most:
                raise RuntimeError(f"{most} intervals do not tell")
            near, far = waiting.pop()
            least, largest = self.bounds(figure, min(near, far), max(near, far))
            if least > 0 or largest < 0:
                continue
            middle = (near + far) / 2
            is_flat = largest - least <= 4 * self.gross
            if is_flat or abs(far - near) <= 1e-9 * max(abs(near), 1e-3) or middle in (near, far):
                yield near, far
            else:
                waiting += [(middle, far), (near, middle)]

    def limits(self) -> Interval:
        """Return the moves between which all prices that the account depends on stay possible, ends left out."""
        betas = [self.path.index_beta.get(row["asset"], 0.0) for row in self.account.balances if row["balance"]]
        for name, position in self.account.positions.items():
            if position["quantity"] == 0 or self.account.isolated_margin(name) is not None:
                continue
            instrument = self.rules.instrument(name)
            betas.append(self.path.index_beta.get(instrument.settlement, 0.0))
            if not self.rules.takes_any_price(name):
                betas.append(self.path.mark_beta[name])
            if instrument.is_option and not instrument.inverse:
                betas.append(self.path.index_beta.get(self._underlying(name), 0.0))
        lows, highs = [-1 / beta for beta in betas if beta > 0], [-1 / beta for beta in betas if beta < 0]
        return max(lows, default=-math.inf), min(highs, default=math.inf)

    def bounds(self, figure: str, low: float, high: float) -> Interval:
        """Return a number that the figure is never below from one move to another, and one that it is never above."""
        least = largest = 0.0
        unrealized: dict[Any, Interval] = {}
        for name, position in self.account.positions.items():
            quantity = position["quantity"]
            if quantity == 0 or self.account.isolated_margin(name) is not None:
                continue
            instrument = self.rules.instrument(name)
            mark = _moved(instrument.mark_price, self.path.mark_beta.get(name, 0.0), low, high)
            entry = instrument.unit_value(position["entry_price"], given(position, "entry_funding", 0.0))
            paid = instrument.multiplier * instrument.cumulative_funding + entry
            # What one contract is worth rises with the mark, be it linear or inverse.
            worths = [quantity * (instrument.value(price) - paid) for price in mark]
            unrealized[instrument.settlement] = _sum(unrealized.get(instrument.settlement, (0.0, 0.0)), _hull(worths))
            if figure == "health" and not (instrument.is_paid_up_front and quantity > 0):
                margin = self.rules.margin(name)
                contracts = abs(quantity)
                sizes = [contracts * one for one in self._notional_of_one(name, instrument, mark, low, high)]
                # More of a notional never needs less margin.
                least -= margin.maintenance_of(contracts, sizes[1])
                largest -= margin.maintenance_of(contracts, sizes[0])
        cash: dict[Any, float] = {}
        for row in self.account.balances:
            cash[row["asset"]] = self.rules.asset(row["asset"]).cash(row["balance"])
        for name in cash | unrealized:
            asset, owned = self.rules.asset(name), cash.get(name, 0.0)
            profits = unrealized.get(name, (0.0, 0.0))
            # Neither does more of an asset count less.
            counted = [_count(asset, owned, profit) if figure == "health" else owned + profit for profit in profits]
            price = self._index_price(name, low, high)
            worths = [amount * each for amount in counted for each in price]
            least, largest = least + min(worths), largest + max(worths)
        return least - self.gross, largest + self.gross

    def _index_price(self, name: Any, low: float, high: float) -> Interval:
        price = float(self.venue.index_price.get(name, 1.0))
        return _moved(price, self.path.index_beta.get(name, 0.0), low, high)

    def _notional_of_one(self, name: Any, instrument: Instrument, mark: Interval, low: float, high: float) -> Interval:
        settlement = self._index_price(instrument.settlement, low, high)
        if instrument.is_option:
            underlying = (1.0, 1.0) if instrument.inverse else self._index_price(self._underlying(name), low, high)
            return tuple(instrument.multiplier * a * b for a, b in zip(settlement, underlying, strict=True))
        sizes = sorted(abs(instrument.value(price)) for price in mark)
        smallest = 0.0 if mark[0] <= 0 <= mark[1] else sizes[0]
        return smallest * settlement[0], sizes[1] * settlement[1]

    def _underlying(self, name: Any) -> Any:
        return self.venue.instruments["underlying"][self.rules.row(name)]


_FRAMES = ("balances", "positions", "orders", "accounts")


def accounts_on(venue: Venue, path: Path) -> Iterator[AccountOnPath]:
    """Return all accounts of a venue, to be moved along a path."""
    rules = Rules(venue.universe, venue.market, venue.collateral, venue.margin, float)
    for account in accounts_of(venue.balances, venue.positions, venue.orders, venue.accounts):
        here = AccountOnPath(venue, path, account, rules)
        yield replace(here, gross=1e-13 * here.figures(Fraction(0))["gross"])


def _count(asset: Asset, cash: float, profit: float) -> float:
    """Return what cash and profit count in units of the asset, haircuts taken."""
    return float(replace(asset, index_price=1.0).weigh(cash + asset.counted(profit), asset.maintenance))


def _moved(price: float, beta: float, low: float, high: float) -> Interval:
    return _hull([price * (1 + beta * low), price * (1 + beta * high)])


def _hull(values: list[float]) -> Interval:
    return min(values), max(values)


def _sum(one: Interval, other: Interval) -> Interval:
    return one[0] + other[0], one[1] + other[1]


def _rows_of(frame: Columns | None, account: Any) -> Columns | None:
    if not frame:
        return None
    chosen = [row for row, owner in enumerate(frame["account"]) if owner == account]
    return {name: [values[row] for row in chosen] for name, values in frame.items()}
