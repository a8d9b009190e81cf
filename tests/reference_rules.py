"""The rules of one asset and of one instrument: what it is worth, how it counts, which margin it needs.

Frames are dicts of equally long sequences, prices are dicts by id. The type of number is a parameter: ``float`` for
comparison within rounding, ``exact`` for rational arithmetic on the decimals given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from typing import Any, TypeAlias

Frame: TypeAlias = Mapping[str, Sequence[Any]]
Prices: TypeAlias = Mapping[Any, Any]
Number: TypeAlias = Callable[[Any], Any]
Row: TypeAlias = dict[str, Any]


def exact(value: Any) -> Fraction:
    """Return the decimal that prints as the number: 0.1 is 1/10, not the nearest binary fraction."""
    return value if isinstance(value, Fraction) else Fraction(str(value))


@dataclass(frozen=True, slots=True)
class Tier:
    """Sizes from a floor up to a ceiling (``None``: without end), and the rate of each unit of size among them."""

    floor: Any
    ceiling: Any
    rate: Any


@dataclass(frozen=True, slots=True)
class Tiers:
    """A rate that changes with size, marginally: only the part of a size that lies in a tier has the tier's rate."""

    tiers: tuple[Tier, ...]

    def total(self, size: Any, least_rate: Any = None) -> Any:
        """Return the sum over tiers of rate x the part of ``size`` (>= 0) that lies in the tier."""
        total = size * 0
        for tier in self.tiers:
            if size <= tier.floor:
                break
            top = size if tier.ceiling is None else min(size, tier.ceiling)
            rate = tier.rate if least_rate is None else max(tier.rate, least_rate)
            total += rate * (top - tier.floor)
        return total

    @property
    def steepest(self) -> Any:
        """The highest rate."""
        return max(tier.rate for tier in self.tiers)


@dataclass(frozen=True, slots=True)
class Weights:
    """How a net amount counts: in part if it is owned, less and less the larger it is; more than in full if owed."""

    owned: Tiers
    liability_weight: Any


@dataclass(frozen=True, kw_only=True)
class Asset:
    """What is held as a balance, and what profit and loss is paid in."""

    index_price: Any
    deposit_index: Any
    borrow_index: Any
    initial: Weights
    maintenance: Weights
    amount_cap: Any
    unrealized_gain_share: Any

    def cash(self, balance: Any) -> Any:
        """Return a balance with its interest, in asset units."""
        return balance * (self.borrow_index if balance < 0 else self.deposit_index)

    def counted(self, unrealized: Any) -> Any:
        """Return what of a profit or loss that is not realized may back anything: a loss in full, a share of a gain."""
        return unrealized if unrealized <= 0 else self.unrealized_gain_share * unrealized

    def weigh(self, net: Any, weights: Weights) -> Any:
        """Return what a net amount counts as collateral, in the numeraire."""
        if net < 0:
            return self.index_price * weights.liability_weight * net
        capped = net if self.amount_cap is None else min(net, self.amount_cap)
        return self.index_price * weights.owned.total(capped)


@dataclass(frozen=True, kw_only=True)
class Margin:
    """What a position needs: a rate that rises with notional, and never less than so much per contract."""

    initial: Tiers
    maintenance: Tiers
    floor_per_contract: Any

    def initial_of(self, contracts: Any, notional: Any, least_rate: Any) -> Any:
        """Return what is needed to add risk; ``least_rate`` is 1 / leverage cap, or ``None``."""
        return max(self.initial.total(notional, least_rate), self.floor_per_contract * contracts)

    def maintenance_of(self, contracts: Any, notional: Any) -> Any:
        """Return what is needed to keep the position and to pay for closing it."""
        return max(self.maintenance.total(notional), self.floor_per_contract * contracts)


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """What a position can be in, at the prices of one moment."""

    is_option: bool
    futures_style: bool
    inverse: bool
    multiplier: Any
    settlement: Any
    mark_price: Any
    cumulative_funding: Any
    settlement_price: Any
    underlying_price: Any

    @property
    def is_paid_up_front(self) -> bool:
        """Whether who is long has paid for it, and can lose no more."""
        return self.is_option and not self.futures_style

    def value(self, price: Any) -> Any:
        """Return what one long contract is worth at a price, in the settlement asset."""
        if self.inverse and not self.is_option:
            return -self.multiplier / price
        return self.multiplier * price

    def unit_value(self, price: Any, funding: Any) -> Any:
        """Return the same less what a long has paid in funding: a long pays when cumulative funding rises."""
        return self.value(price) - self.multiplier * funding

    def parts(self, price: Any, funding: Any) -> float:
        """Return the absolute parts of a unit value: what rounding is measured by, whatever cancels out."""
        return float(abs(self.value(price))) + abs(float(self.multiplier) * float(funding))

    @cached_property
    def value_at_mark(self) -> Any:
        """Value of one long contract at mark, without funding."""
        return self.value(self.mark_price)

    @cached_property
    def unit_value_at_mark(self) -> Any:
        """Value of one long contract at mark, funding paid."""
        return self.unit_value(self.mark_price, self.cumulative_funding)

    @cached_property
    def parts_at_mark(self) -> float:
        """Absolute parts of the unit value at mark."""
        return self.parts(self.mark_price, self.cumulative_funding)

    @cached_property
    def notional_of_one(self) -> Any:
        """Notional of one contract, in the numeraire. It follows the mark alone: funding is no exposure."""
        if not self.is_option:
            return abs(self.value_at_mark) * self.settlement_price
        # An inverse option is for one unit of what it settles in; any other is for one unit of its underlying.
        return self.multiplier * self.settlement_price * (1 if self.inverse else self.underlying_price)


class Rules:
    """All assets, instruments and margin parameters of a venue, by id."""

    def __init__(
        self,
        universe: Mapping[str, Any],
        market: Mapping[str, Prices],
        collateral: Frame | None,
        margin: Frame | None,
        number: Number,
    ) -> None:
        self.number = number
        self._market = {name: market.get(name, {}) for name in ("mark_price", *_DEFAULTS)}
        self._index_price = {**market.get("index_price", {}), universe["numeraire"]: 1}
        self._instruments = {row["instrument"]: (at, row) for at, row in enumerate(rows(universe.get("instruments")))}
        self._tiers_of = _by_id(collateral, "asset", "amount_floor")
        self._brackets = _by_id(margin, "instrument", "notional_floor")
        # Read when first asked for, once: accounts are many, instruments are few.
        self.asset: Callable[[Any], Asset] = cache(self._asset)
        self.instrument: Callable[[Any], Instrument] = cache(self._instrument)
        self.margin: Callable[[Any], Margin] = cache(self._margin_of)

    def row(self, instrument: Any) -> int:
        """Return where an instrument stands in the universe."""
        return self._instruments[instrument][0]

    def settlement(self, instrument: Any) -> Any:
        """Return the asset in which an instrument pays."""
        return self._instruments[instrument][1]["settlement"]

    def takes_any_price(self, instrument: Any) -> bool:
        """Return whether an instrument may trade at 0 and below."""
        return bool(given(self._instruments[instrument][1], "allow_negative_price", False))

    def _asset(self, name: Any) -> Asset:
        tiers = self._tiers_of.get(name, [{}])
        first = tiers[0]
        cap = given(first, "amount_cap")

        def weights(which: str) -> Weights:
            kept = [1 - self.number(given(tier, f"{which}_haircut", 0)) for tier in tiers]
            owed = self.number(given(first, f"{which}_liability_weight", 1))
            return Weights(self._tiers(tiers, "amount_floor", kept), owed)

        return Asset(
            index_price=self.number(self._index_price[name]),
            deposit_index=self._market_number("deposit_index", name),
            borrow_index=self._market_number("borrow_index", name),
            initial=weights("initial"),
            maintenance=weights("maintenance"),
            amount_cap=None if cap is None else self.number(cap),
            unrealized_gain_share=self.number(given(first, "unrealized_gain_share", 1)),
        )

    def _instrument(self, name: Any) -> Instrument:
        _, row = self._instruments[name]
        # Only an option's notional asks for the price of the underlying, which may be something nobody can hold.
        underlying = self._index_price.get(row["underlying"])
        return Instrument(
            is_option=row["kind"] == "option",
            futures_style=bool(row.get("futures_style", False)),
            inverse=bool(row.get("inverse", False)),
            multiplier=self.number(row.get("contract_multiplier", 1)),
            settlement=row["settlement"],
            mark_price=self.number(self._market["mark_price"][name]),
            cumulative_funding=self._market_number("cumulative_funding", name),
            settlement_price=self.number(self._index_price[row["settlement"]]),
            underlying_price=None if underlying is None else self.number(underlying),
        )

    def _margin_of(self, name: Any) -> Margin:
        brackets = self._brackets[name]
        fee = self.number(given(brackets[0], "close_out_fee_rate", 0))
        initial = [self.number(bracket["initial_rate"]) for bracket in brackets]
        maintenance = [self.number(bracket["maintenance_rate"]) + fee for bracket in brackets]
        return Margin(
            initial=self._tiers(brackets, "notional_floor", initial),
            maintenance=self._tiers(brackets, "notional_floor", maintenance),
            floor_per_contract=self.number(given(brackets[0], "margin_floor_per_contract", 0)),
        )

    def _tiers(self, by_floor: list[Row], column: str, rates: list[Any]) -> Tiers:
        floors = [self.number(given(row, column, 0)) for row in by_floor]
        return Tiers(tuple(map(Tier, floors, [*floors[1:], None], rates)))

    def _market_number(self, what: str, name: Any) -> Any:
        return self.number(self._market[what].get(name, _DEFAULTS[what]))


_DEFAULTS = {"deposit_index": 1, "borrow_index": 1, "cumulative_funding": 0}


def given(row: Row, column: str, default: Any = None) -> Any:
    """Return a cell, or the default where the column is left out or the cell is null (None or NaN)."""
    value = row.get(column)
    return default if value is None or value != value else value


def rows(frame: Frame | None) -> Iterator[Row]:
    """Return the rows of a frame, each a dict by column."""
    if not frame:
        return iter(())
    names = list(frame)
    return (dict(zip(names, cells, strict=True)) for cells in zip(*frame.values(), strict=True))


def _by_id(frame: Frame | None, name: str, floor: str) -> dict[Any, list[Row]]:
    """Return the rows of each id by ascending floor; what belongs to the id as a whole stands in the first."""
    found: dict[Any, list[Row]] = {}
    for row in rows(frame):
        found.setdefault(row[name], []).append(row)
    for tiers in found.values():
        tiers.sort(key=lambda row: given(row, floor, 0))
    return found
