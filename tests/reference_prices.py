"""At which marks a position's health or equity is 0, in exact and slow Python.

With everything else fixed, whatever a mark decides is piecewise linear in the mark, or in 1 / mark where the contract
is inverse. So: write down every place where the slope may change, evaluate the reference there, and join the dots.
That no place was forgotten is asserted on every piece.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any, TypeAlias

from reference import cross_unit, exact, shared_units
from reference_rules import Rules, Tiers
from reference_units import Account, Unit, accounts_of, hold
from strategies import Venue

# Marks from the first to the last, both zeros and all between them; ``None``: without end.
Zeros: TypeAlias = tuple[Fraction | None, Fraction | None]


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """A position and what backs it, with the mark of its instrument left open.

    ``backing`` is the unit without the position: the cross unit of the account, or what is posted for the position
    or, where every position is isolated, its share of the pool.
    """

    rules: Rules
    account: Account
    instrument: Any
    backing: Unit

    @property
    def mark(self) -> Any:
        """The mark of the market."""
        return self.rules.instrument(self.instrument).mark_price

    @property
    def quantity(self) -> Any:
        """Contracts held."""
        return self.rules.number(self.account.positions[self.instrument]["quantity"])

    @property
    def takes_any_price(self) -> bool:
        """Whether the instrument may trade at 0 and below."""
        return self.rules.takes_any_price(self.instrument)

    @property
    def is_inverse(self) -> bool:
        """Whether what is held is worth so much less the larger 1 / mark is."""
        instrument = self.rules.instrument(self.instrument)
        return bool(instrument.inverse and not instrument.is_option)

    def figures(self, mark: Any) -> dict[str, Any]:
        """Return the row of the report were this the mark and all else as it is."""
        rules = copy.copy(self.rules)
        moved = replace(self.rules.instrument(self.instrument), mark_price=mark)
        rules.instrument = lambda name: moved if name == self.instrument else self.rules.instrument(name)
        backing = self.backing
        unit = Unit(rules, dict(backing.cash), dict(backing.unrealized), dict(backing.parts), [*backing.holdings])
        unit.share = backing.share
        unit.add(hold(rules, self.account, self.instrument))
        return unit.figures()

    def zeros(self, figure: str) -> list[Zeros]:
        """Return all marks that the instrument may have at which the figure is 0, ascending."""
        if not self.is_inverse:
            return self._zeros_of(figure)
        turned = self._zeros_of(figure)[::-1]
        return [(1 / high if high else Fraction(0), 1 / low if low else None) for low, high in turned]

    def nearest(self, figure: str) -> Fraction | None:
        """Return the mark on the losing side at which the figure is 0, on the gaining side if it is below 0 now."""
        now = self.figures(self.mark)[figure]
        if self.quantity == 0:
            return None
        if now == 0:
            return exact(self.mark)
        if (self.quantity > 0) == (now > 0):
            below = [high for low, high in self.zeros(figure) if low is None or low < self.mark]
            return max((high for high in below if high is not None), default=None)
        above = [low for low, high in self.zeros(figure) if high is None or high > self.mark]
        return min((low for low in above if low is not None), default=None)

    def _at(self, figure: str, place: Fraction) -> Any:
        return self.figures(1 / place if self.is_inverse else place)[figure]

    def _zeros_of(self, figure: str) -> list[Zeros]:
        """Return the zeros by place: the mark, or 1 / mark of an inverse contract."""
        places = sorted(place for place in self._kinks() if place > 0 or self.takes_any_price)
        dots: list[tuple[Fraction, Any]] = [(place, self._at(figure, place)) for place in places]
        first, last = places[0], places[-1]
        found: list[Zeros] = []
        if self.takes_any_price:
            found += _zeros_on_ray(*dots[0], dots[0][1] - self._at(figure, first - 1), towards=-1)
        else:
            # What it would be at 0, where an option can be and the others come as near as they like.
            at_zero = 2 * self._at(figure, first / 2) - dots[0][1]
            assert 4 * self._at(figure, first / 4) == 3 * at_zero + dots[0][1]
            found += _zeros_between(Fraction(0), at_zero, *dots[0])
            if not self.rules.instrument(self.instrument).is_option:
                found = [zeros for zeros in found if zeros[1] != 0]
        for (start, before), (end, after) in pairwise(dots):
            third = self._at(figure, start + (end - start) / 3)
            assert 3 * third == 2 * before + after, f"between {float(start)} and {float(end)} is another kink"
            found += _zeros_between(start, before, end, after)
        slope = self._at(figure, last + 1) - dots[-1][1]
        assert self._at(figure, 3 * abs(last) + 7) - dots[-1][1] == slope * (3 * abs(last) + 7 - last)
        found += _zeros_on_ray(*dots[-1], slope, towards=1)
        return _joined(found)

    def _kinks(self) -> set[Fraction]:
        """Return every place where the slope of a figure may change, and that of the mark."""
        instrument = self.rules.instrument(self.instrument)
        mark = self.mark
        place = 1 / mark if self.is_inverse else mark
        # 1 is no kink, but there has to be somewhere to start.
        kinks = {Fraction(0), Fraction(1), place}
        asset = self.rules.asset(instrument.settlement)
        # Of one long contract: 1 / 1 is 1, so this is the slope by place of inverse contracts too.
        slope = self.quantity * instrument.value(Fraction(1))
        at_zero = hold(self.rules, self.account, self.instrument).unrealized - slope * place
        unrealized = self.backing.unrealized.get(instrument.settlement, Fraction(0)) + at_zero
        cash = self.backing.cash.get(instrument.settlement, Fraction(0))
        edges = {edge for weights in (asset.initial, asset.maintenance) for edge in _edges(weights.owned)}
        edges.add(Fraction(0))
        if asset.amount_cap is not None:
            edges.add(asset.amount_cap)
        for profit in (Fraction(0), *(profit for edge in edges for profit in _profits(edge - cash, asset))):
            kinks.add((profit - unrealized) / slope)
        if not instrument.is_option:
            margin = self.rules.margin(self.instrument)
            one = abs(instrument.value(Fraction(1))) * instrument.settlement_price * abs(self.quantity)
            floor = margin.floor_per_contract * abs(self.quantity)
            for tiers in (margin.initial, margin.maintenance):
                for notional in (*_edges(tiers), *_sizes(tiers, floor)):
                    if one:
                        kinks |= {notional / one, -notional / one}
        return kinks


def open_positions(venue: Venue) -> Iterator[OpenPosition]:
    """Return all positions of a venue: accounts in order of first appearance, instruments in that of the universe."""
    rules = Rules(venue.universe, venue.market, venue.collateral, venue.margin, exact)
    for account in accounts_of(venue.balances, venue.positions, venue.orders, venue.accounts):
        for name in sorted(account.positions, key=rules.row):
            yield OpenPosition(rules, account, name, _backing(rules, account, name, venue.mode))


def _backing(rules: Rules, account: Account, name: Any, mode: str) -> Unit:
    if account.isolated_margin(name) is not None:
        unit = Unit(rules)
        unit.add_cash(rules.settlement(name), rules.number(account.isolated_margin(name)))
        return unit
    if mode == "isolated":
        unit = Unit(rules)
        unit.share = shared_units(rules, account)[name].share
        return unit
    others = copy.copy(account)
    others.positions = {other: row for other, row in account.positions.items() if other != name}
    # An order needs initial margin alone, and `hold` of the position counts it.
    others.orders = {other: orders for other, orders in account.orders.items() if other != name}
    return cross_unit(rules, others)


def _edges(tiers: Tiers) -> list[Any]:
    return [tier.floor for tier in tiers.tiers]


def _sizes(tiers: Tiers, total: Any) -> Iterator[Any]:
    """Return the sizes of which the tiers take just so much in all."""
    taken = Fraction(0)
    for tier in tiers.tiers:
        if tier.rate:
            size = tier.floor + (total - taken) / tier.rate
            if tier.floor <= size and (tier.ceiling is None or size <= tier.ceiling):
                yield size
        if tier.ceiling is not None:
            taken += tier.rate * (tier.ceiling - tier.floor)


def _profits(counted: Any, asset: Any) -> Iterator[Any]:
    """Return the profits and losses that count so much."""
    if counted <= 0:
        yield counted
    elif asset.unrealized_gain_share:
        yield counted / asset.unrealized_gain_share


def _zeros_between(start: Fraction, before: Any, end: Fraction, after: Any) -> list[Zeros]:
    if before == 0 and after == 0:
        return [(start, end)]
    if before == 0 or after == 0:
        return [(start, start) if before == 0 else (end, end)]
    if (before > 0) == (after > 0):
        return []
    crossing = start + (end - start) * before / (before - after)
    return [(crossing, crossing)]


def _zeros_on_ray(start: Fraction, value: Any, slope: Any, *, towards: int) -> list[Zeros]:
    if value == 0 and slope == 0:
        return [(start, None) if towards > 0 else (None, start)]
    if value == 0:
        return [(start, start)]
    if slope == 0 or (value * slope * towards > 0):
        return []
    crossing = start - value / slope
    return [(crossing, crossing)]


def _joined(found: list[Zeros]) -> list[Zeros]:
    """Return the zeros of neighbouring pieces as one."""
    joined: list[Zeros] = []
    for low, high in found:
        if joined and joined[-1][1] is not None and low is not None and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], high)
        elif low is None and joined:
            raise AssertionError("not ascending")
        else:
            joined.append((low, high))
    return joined
