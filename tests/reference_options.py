"""Option values by the textbook formulas, one option at a time; nothing here knows xmfast.

Values are of one unit, not discounted, in price units. `side` is 1 for a call and -1 for a put.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np

Value: TypeAlias = float


def normal_cdf(x: float) -> float:
    """Return how likely a standard normal number is to be below ``x``."""
    return math.erfc(-x / math.sqrt(2)) / 2


def normal_density(x: float) -> float:
    """Return the density of a standard normal number."""
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def black76(forward: float, strike: float, volatility: float, years: float, side: int) -> Value:
    """Return the value where the forward is lognormal at expiry."""
    total = volatility * math.sqrt(years)
    if total == 0 or forward == 0:
        return max(0.0, side * (forward - strike))
    d1 = math.log(forward / strike) / total + total / 2
    return side * (forward * normal_cdf(side * d1) - strike * normal_cdf(side * (d1 - total)))


def black76_delta(forward: float, strike: float, volatility: float, years: float, side: int) -> float:
    """Return how fast the value changes with the forward."""
    total = volatility * math.sqrt(years)
    if total == 0:
        return at_expiry(forward, strike, side)
    d1 = math.log(forward / strike) / total + total / 2
    return side * normal_cdf(side * d1)


def bachelier(forward: float, strike: float, volatility: float, years: float, side: int) -> Value:
    """Return the value where the forward is normal at expiry; ``volatility`` is in price units."""
    total = volatility * math.sqrt(years)
    moneyness = side * (forward - strike)
    if total == 0:
        return max(0.0, moneyness)
    return moneyness * normal_cdf(moneyness / total) + total * normal_density(moneyness / total)


def bachelier_delta(forward: float, strike: float, volatility: float, years: float, side: int) -> float:
    """Return how fast the value changes with the forward."""
    total = volatility * math.sqrt(years)
    if total == 0:
        return at_expiry(forward, strike, side)
    return side * normal_cdf(side * (forward - strike) / total)


def at_expiry(forward: float, strike: float, side: int) -> float:
    """Return the delta of what is certain: all or nothing, and half of it between the two."""
    return side * (float(np.sign(side * (forward - strike))) + 1) / 2
