"""What one long contract of each instrument loses in each scenario: prices move, volatilities move, all is revalued.

Slow, readable NumPy; nothing here knows xmfast.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from reference_options import bachelier, bachelier_delta, black76, black76_delta
from reference_rules import Prices, Row, Rules, given, rows

Floats: TypeAlias = NDArray[np.float64]
# One column for all underlyings, or a column for each by name.
Shocks: TypeAlias = Any

DAY = np.timedelta64(1, "D")
YEAR = 365 * DAY


@dataclass(frozen=True, kw_only=True)
class ScenarioSet:
    """Shocks paired by position, and what is asked of the losses that they cause.

    ``volatility_scaling`` is (power, least, most). ``measure`` is "worst", or "var" or "es" at ``confidence``.
    """

    price_shock: Shocks
    volatility_shock: Shocks = None
    weight: Any = None
    volatility: str = "relative"
    volatility_scaling: tuple[float, float, float] | None = None
    volatility_floor: float = 1e-4
    absolute: bool = False
    joint: bool = False
    measure: str = "worst"
    confidence: float = 1.0

    def __len__(self) -> int:
        shocks = self.price_shock
        return len(next(iter(shocks.values())) if isinstance(shocks, Mapping) else shocks)

    @property
    def weights(self) -> Floats:
        """What a loss counts in each scenario."""
        return np.ones(len(self)) if self.weight is None else np.array(self.weight, dtype=np.float64)

    def price(self, underlying: Any) -> Floats:
        """Return the price moves of an underlying."""
        shocks = self.price_shock
        return np.array(shocks[underlying] if isinstance(shocks, Mapping) else shocks, dtype=np.float64)

    def volatility_of(self, underlying: Any) -> Floats:
        """Return the moves of its volatility; none where nothing is said."""
        shocks = self.volatility_shock
        if isinstance(shocks, Mapping):
            shocks = shocks.get(underlying)
        return np.zeros(len(self)) if shocks is None else np.array(shocks, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What one long contract does in the scenarios of a set, numeraire.

    ``scale`` is the size of what is subtracted to get a loss, which is what rounding is measured by.
    """

    losses: Floats
    delta_notional: float
    short_option_notional: float
    scale: float


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """What a settlement price is made of: what is fixed of it, and a part of the mean of prices to come.

    ``years`` are those after which a price is as uncertain as that mean.
    """

    fixed: float
    open: float
    years: float

    @classmethod
    def of(cls, years: float, window: float, average: float) -> Settlement:
        """Return it for a window in years before expiry, with the average over what has passed of it."""
        before = max(0.0, years - window)
        to_come = min(years, window)
        open_ = to_come / window if window else 1.0
        return cls(fixed=(1 - open_) * average if open_ < 1 else 0.0, open=open_, years=before + to_come / 3)

    def price(self, forward: float) -> float:
        """Return the settlement price that is expected."""
        return self.fixed + self.open * forward

    def value(self, model: Any, forward: float, strike: float, volatility: float, side: int) -> float:
        """Return what an option on the settlement price is worth, not discounted."""
        least = (strike - self.fixed) / self.open
        if least <= 0 and model is black76:
            # No price is below 0: a call is exercised whatever comes, and a put never.
            return max(0.0, side * (self.price(forward) - strike))
        return float(self.open * model(forward, least, volatility, self.years, side))

    def delta(self, model: Any, forward: float, strike: float, volatility: float, side: int) -> float:
        """Return how fast that changes with the forward."""
        least = (strike - self.fixed) / self.open
        if least <= 0 and model is black76_delta:
            return self.open if side > 0 else 0.0
        return float(self.open * model(forward, least, volatility, self.years, side))


class RiskArrays:
    """Losses of all instruments in one set of scenarios, each computed when first asked for."""

    def __init__(
        self, universe: Mapping[str, Any], market: Mapping[str, Prices], rules: Rules, scenarios: ScenarioSet
    ) -> None:
        self.scenarios = scenarios
        self._rows = {row["instrument"]: row for row in rows(universe["instruments"])}
        self._market = market
        self._index_price = {**market.get("index_price", {}), universe["numeraire"]: 1}
        self._rules = rules
        self.contract = cache(self._contract)

    def underlying(self, instrument: Any) -> Any:
        """Return what an instrument follows."""
        return self._rows[instrument]["underlying"]

    def _contract(self, name: Any) -> Contract:
        row = self._rows[name]
        return self._option(row) if row["kind"] == "option" else self._delta_one(row)

    def _delta_one(self, row: Row) -> Contract:
        instrument = self._rules.instrument(row["instrument"])
        mark, multiplier = instrument.mark_price, instrument.multiplier
        shock = self.scenarios.price(row["underlying"])
        delta_notional = instrument.notional_of_one
        if given(row, "settlement_average", 0):
            open_ = self._settlement(row).open
            shock, delta_notional = open_ * shock, open_ * delta_notional
        move = shock if self.scenarios.absolute else mark * shock
        gain = multiplier * (1 / mark - 1 / (mark + move)) if instrument.inverse else multiplier * move
        losses = -gain * instrument.settlement_price * self.scenarios.weights
        return Contract(
            losses=losses,
            delta_notional=delta_notional,
            short_option_notional=0.0,
            scale=float(np.abs(losses).max() + instrument.notional_of_one * self.scenarios.weights.max()),
        )

    def _settlement(self, row: Row) -> Settlement:
        years = years_between(self._market["time"], row["expiry"])
        window = given(row, "settlement_average", 0) / (YEAR / np.timedelta64(1, "s"))
        return Settlement.of(
            years, float(window), self._market.get("settlement_average", {}).get(row["instrument"], math.nan)
        )

    def _option(self, row: Row) -> Contract:
        instrument, set_ = self._rules.instrument(row["instrument"]), self.scenarios
        name, underlying, inverse = row["instrument"], row["underlying"], instrument.inverse
        volatility = self._market["implied_volatility"][name]
        forward = self._market.get("forward", {}).get(name)
        forward = self._index_price[underlying] if forward is None else forward
        years = years_between(self._market["time"], row["expiry"])
        settlement = self._settlement(row)
        rate = self._market.get("discount_rate", {}).get(instrument.settlement, 0.0)
        if instrument.futures_style:
            # Nothing is paid before expiry but the changes of its value.
            rate = 0.0
        worth_of_one = instrument.multiplier * instrument.settlement_price * math.exp(-rate * years)
        side = {"call": 1, "put": -1}[row["right"]]
        value = bachelier if set_.absolute else black76
        delta = bachelier_delta if set_.absolute else black76_delta

        def unit(price: float, sigma: float) -> float:
            paid = settlement.value(value, price, row["strike"], sigma, side)
            return paid / settlement.price(price) if inverse else paid

        price_shock, volatility_shock = set_.price(underlying), set_.volatility_of(underlying)
        forwards = forward + price_shock if set_.absolute else forward * (1 + price_shock)
        sigmas = [shocked_volatility(set_, volatility, shock, years) for shock in volatility_shock]
        before = unit(forward, volatility)
        gains = np.array([unit(price, sigma) - before for price, sigma in zip(forwards, sigmas, strict=True)])
        change = forward * settlement.delta(delta, forward, row["strike"], volatility, side)
        if inverse:
            # What a coin option gains by the coin's rise is lost to the coin's being fewer dollars' worth.
            price = settlement.price(forward)
            change = (change - before * settlement.open * forward) / price
        return Contract(
            losses=-gains * worth_of_one * set_.weights,
            delta_notional=change * worth_of_one,
            short_option_notional=instrument.notional_of_one if instrument.underlying_price or inverse else 0.0,
            scale=worth_of_one * (2.0 if inverse else max(forward, *forwards, row["strike"])) * set_.weights.max(),
        )


def shocked_volatility(scenarios: ScenarioSet, volatility: float, shock: float, years: float) -> float:
    """Return the volatility after a shock that may depend on the time to expiry."""
    scale = 1.0
    if scenarios.volatility_scaling is not None:
        power, least, most = scenarios.volatility_scaling
        scale = min(most, max(least, (30 / 365 / years) ** power))
    moved = volatility * (1 + shock * scale) if scenarios.volatility == "relative" else volatility + shock * scale
    # A volatility that is below the floor as it is does not rise to it.
    return max(moved, min(volatility, scenarios.volatility_floor))


def years_between(now: Any, expiry: Any) -> float:
    """Return years of 365 days."""
    return float((np.datetime64(expiry, "ns") - np.datetime64(now, "ns")) / YEAR)
