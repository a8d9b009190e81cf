"""Full revaluation of options in scenarios: Numba, and NumPy with SciPy's normal distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from peers import Contestant
from venue import SEED, Floats

NOW = np.datetime64("2026-11-23T12:00", "ns")
# Markets that take turns, the first as the peers see it: a model keeps fewer tables.
STEPS = 5
_EXPIRIES = ("2026-11-27T08", "2026-12-25T08", "2027-01-29T08", "2027-03-26T08", "2027-06-25T08", "2027-09-24T08")


@dataclass(frozen=True, kw_only=True, eq=False)
class Chain:
    """Options on one underlying, settled in the numeraire, and scenarios of it; volatility moves are relative."""

    forward: Floats
    strike: Floats
    volatility: Floats
    expiry: NDArray[np.datetime64]
    is_call: NDArray[np.bool_]
    rate: float
    index_price: float
    price_shock: Floats
    volatility_shock: Floats

    @property
    def years(self) -> Floats:
        """Time to expiry, years of 365 days."""
        return np.asarray((self.expiry - NOW) / np.timedelta64(365, "D"), dtype=np.float64)


def chain(options: int, scenarios: int, seed: int = SEED) -> Chain:
    """Return options from deep in to far out of the money, three days to ten months before expiry."""
    rng = np.random.default_rng(seed)
    expiry = rng.choice(np.array(_EXPIRIES, dtype="datetime64[ns]"), options)
    forward = 60_000.0 * np.exp(0.04 * ((expiry - NOW) / np.timedelta64(365, "D")))
    return Chain(
        forward=forward,
        strike=(forward * np.exp(rng.normal(0.0, 0.3, options))).round(-2),
        volatility=rng.uniform(0.3, 1.2, options).round(4),
        expiry=expiry,
        is_call=rng.random(options) < 0.5,
        rate=0.04,
        index_price=60_000.0,
        price_shock=rng.uniform(-0.3, 0.3, scenarios).round(4),
        volatility_shock=rng.uniform(-0.3, 0.5, scenarios).round(4),
    )


def xmfast(of: Chain) -> Contestant:
    """Return the library that is measured: `model.risk_arrays`, forwards and volatilities moved with every call."""
    import xmfast as xm

    count = len(of.strike)
    ids = [f"O{row}" for row in range(count)]
    universe = xm.Universe.from_frames(
        {"asset": ["USD"]},
        {
            "instrument": ids,
            "kind": ["option"] * count,
            "underlying": ["BTC"] * count,
            "settlement": ["USD"] * count,
            "strike": of.strike,
            "right": np.where(of.is_call, "call", "put").tolist(),
            "expiry": of.expiry,
        },
    )
    market = xm.Market(
        universe,
        {"BTC": of.index_price},
        np.zeros(count),
        NOW,
        implied_volatility=of.volatility,
        forward=of.forward,
        discount_rate={"USD": of.rate},
    )
    model = xm.PortfolioMargin(universe, scenarios=xm.Scenarios(of.price_shock, of.volatility_shock))
    steps = [1.0 + 1e-4 * step for step in range(STEPS)]
    moved = [market.with_prices(forward=step * of.forward, implied_volatility=step * of.volatility) for step in steps]
    markets = cycle(moved)
    return Contestant(
        name="xmfast",
        evaluate=lambda: model.risk_arrays(next(markets)),
        answer=lambda arrays: {"losses": arrays.losses},
    )


def numba_loop(of: Chain) -> Contestant:
    """A parallel loop over options, a loop over scenarios, and `math.erfc`."""
    losses, years = np.empty((len(of.strike), len(of.price_shock))), of.years

    def evaluate() -> Floats:
        _revalue(
            of.forward,
            of.strike,
            of.volatility,
            years,
            of.is_call,
            of.rate,
            of.price_shock,
            of.volatility_shock,
            losses,
        )
        return losses

    return Contestant(name="Numba", evaluate=evaluate, answer=_answer)


def scipy_arrays(of: Chain) -> Contestant:
    """All options by all scenarios at once, by NumPy and `scipy.special.ndtr`."""
    from scipy.special import ndtr

    side = np.where(of.is_call, 1.0, -1.0)[:, None]
    strike, years = of.strike[:, None], of.years[:, None]

    def value(forward: Floats, volatility: Floats) -> Floats:
        total = volatility * np.sqrt(years)
        d1 = np.log(forward / strike) / total + 0.5 * total
        return np.asarray(side * (forward * ndtr(side * d1) - strike * ndtr(side * (d1 - total))))

    def evaluate() -> Floats:
        forward, volatility = of.forward[:, None], of.volatility[:, None]
        after = value(forward * (1.0 + of.price_shock), volatility * (1.0 + of.volatility_shock))
        return np.asarray(np.exp(-of.rate * years) * (value(forward, volatility) - after))

    return Contestant(name="NumPy, SciPy", evaluate=evaluate, answer=_answer, is_parallel=False)


def _answer(losses: Any) -> dict[str, NDArray[Any]]:
    return {"losses": losses}


@njit(fastmath={"contract"})
def _cdf(x: float) -> float:
    return 0.5 * math.erfc(-x * 0.7071067811865476)


@njit(fastmath={"contract"})
def _value(forward: float, strike: float, total: float, is_call: bool) -> float:
    d1 = math.log(forward / strike) / total + 0.5 * total
    if is_call:
        return forward * _cdf(d1) - strike * _cdf(d1 - total)
    return strike * _cdf(total - d1) - forward * _cdf(-d1)


@njit(parallel=True, fastmath={"contract"})
def _revalue(
    forward: Any,
    strike: Any,
    volatility: Any,
    years: Any,
    is_call: Any,
    rate: float,
    price_shock: Any,
    volatility_shock: Any,
    losses: Any,
) -> None:
    for option in prange(len(strike)):
        root, discount = math.sqrt(years[option]), math.exp(-rate * years[option])
        call, paid = is_call[option], strike[option]
        before = _value(forward[option], paid, volatility[option] * root, call)
        for scenario in range(len(price_shock)):
            price = forward[option] * (1.0 + price_shock[scenario])
            total = volatility[option] * (1.0 + volatility_shock[scenario]) * root
            losses[option, scenario] = discount * (before - _value(price, paid, total, call))
