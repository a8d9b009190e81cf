"""Scenarios: by how much prices and volatilities may move together, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xmfast.errors import ParameterError
from xmfast.frames import Id
from xmfast.given_numbers import number_column, one_number, whole_number

Floats: TypeAlias = NDArray[np.float64]
# One range for all underlyings, or one for each by name.
Range: TypeAlias = float | Mapping[Any, float]

_THIRDS = (0.0, 1 / 3, -1 / 3, 2 / 3, -2 / 3, 1.0, -1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolatilityScaling:
    """How a volatility shock depends on the time to expiry: ``shock x (30 days / time) ^ power``, within bounds."""

    power: float
    least: float = 0.0
    most: float = np.inf

    def __post_init__(self) -> None:
        one_number("volatility_scaling, power", self.power)
        if not 0 <= self.least <= self.most:
            raise ParameterError(f"volatility_scaling: {self.least} to {self.most} is no range: 0 <= least <= most")


@dataclass(frozen=True, slots=True, init=False, repr=False, eq=False)
class Scenarios:
    """A set of scenarios.

    Parameters
    ----------
    price_shock : array of shape (S,) or dict of them
        Price moves, fractions: -0.1 is a fall by a tenth. A dict says them by underlying.
    volatility_shock : array of shape (S,) or dict of them, optional
        Moves of implied volatility; 0 if left out.
    weight : array of shape (S,), optional
        What a loss counts, >= 0; 1 if left out.
    volatility : {"relative", "absolute"}, optional
        Whether a volatility shock multiplies the volatility or is added to it.
    volatility_scaling : VolatilityScaling, optional
        Larger shocks for options that expire soon.
    volatility_floor : float, optional
        No volatility falls below it.
    absolute : bool, optional
        Whether price shocks are amounts in the quote instead of fractions.

    Notes
    -----
    Shocks are paired by position: scenario ``s`` moves prices by ``price_shock[s]`` and volatilities by
    ``volatility_shock[s]``. The positions on one underlying are added up in each scenario, and each underlying takes
    its own worst one; in a set made by :meth:`joint` all underlyings move together.

    Examples
    --------
    >>> xm.Scenarios(price_shock=[-0.1, 0.0, 0.1], volatility_shock=[0.2, 0.2, 0.2])
    Scenarios(3, prices -10.0 % to 10.0 %, volatility 20.0 %)
    >>> xm.Scenarios.span(price_range={"BTC": 0.12, "ETH": 0.15}, volatility_range=0.25)
    Scenarios(16, prices -30.0 % to 30.0 %, volatility -25.0 % to 25.0 %)
    """

    price_shock: Floats | dict[Id, Floats]
    volatility_shock: Floats | dict[Id, Floats]
    weight: Floats
    volatility: Literal["relative", "absolute"]
    volatility_scaling: VolatilityScaling | None
    volatility_floor: float
    absolute: bool
    is_joint: bool = field(default=False)

    def __init__(
        self,
        price_shock: ArrayLike | Mapping[Any, ArrayLike],
        volatility_shock: ArrayLike | Mapping[Any, ArrayLike] | None = None,
        weight: ArrayLike | None = None,
        *,
        volatility: Literal["relative", "absolute"] = "relative",
        volatility_scaling: VolatilityScaling | None = None,
        volatility_floor: float = 1e-4,
        absolute: bool = False,
    ) -> None:
        if volatility not in ("relative", "absolute"):
            raise ParameterError(f"volatility: 'relative' or 'absolute' is needed, not {volatility!r}")
        if volatility_scaling is not None and not isinstance(volatility_scaling, VolatilityScaling):
            raise TypeError(f"volatility_scaling: a VolatilityScaling is needed, not {volatility_scaling!r}")
        if volatility_floor < 0:
            raise ParameterError(f"volatility_floor: {volatility_floor} is below 0")
        prices = _shocks("price_shock", price_shock)
        count = _count(prices)
        chosen: dict[str, Any] = {
            "price_shock": prices,
            "volatility_shock": np.zeros(count)
            if volatility_shock is None
            else _shocks("volatility_shock", volatility_shock),
            "weight": np.ones(count) if weight is None else number_column("weight", weight),
            "volatility": volatility,
            "volatility_scaling": volatility_scaling,
            "volatility_floor": one_number("volatility_floor", volatility_floor),
            "absolute": absolute,
            "is_joint": False,
        }
        for name, value in chosen.items():
            object.__setattr__(self, name, value)
        for name in ("volatility_shock", "weight"):
            if (found := _count(chosen[name])) != count:
                raise ParameterError(f"scenarios, column '{name}': {found} values for {count} scenarios")

    @classmethod
    def span(
        cls,
        price_range: Range,
        volatility_range: float = 0.0,
        *,
        extreme: float = 2.0,
        cover: float = 0.35,
        volatility: Literal["relative", "absolute"] = "relative",
    ) -> Scenarios:
        """Return the sixteen scenarios of SPAN.

        Parameters
        ----------
        price_range : float or dict
            Price scan range, a fraction; a dict says it by underlying.
        volatility_range : float, optional
            Volatility scan range.
        extreme : float, optional
            How many scan ranges the last two scenarios move.
        cover : float, optional
            What part of their loss counts.
        volatility : {"relative", "absolute"}, optional
            As for the class.

        Notes
        -----
        In order: 0, 1/3, -1/3, 2/3, -2/3, 1 and -1 scan ranges, each with volatility up and down; then the extremes.
        """
        volatility_range = _width("volatility_range", volatility_range)
        extreme, cover = one_number("extreme", extreme), one_number("cover", cover)
        moves = [move for third in _THIRDS for move in (third, third)] + [extreme, -extreme]
        volatilities = [volatility_range, -volatility_range] * len(_THIRDS) + [0.0, 0.0]
        return cls(_ranged(moves, price_range), volatilities, [1.0] * 14 + [cover, cover], volatility=volatility)

    @classmethod
    def tims(cls, price_range: Range) -> Scenarios:
        """Return the ten price points of TIMS: a tenth to the whole of a range in five steps, up and down.

        Examples
        --------
        >>> xm.Scenarios.tims(0.15).price_shock[:4]
        array([-0.15, -0.12, -0.09, -0.06])
        """
        return cls(_ranged([-1.0, -0.8, -0.6, -0.4, -0.2, 0.2, 0.4, 0.6, 0.8, 1.0], price_range))

    @classmethod
    def grid(
        cls,
        price_range: Range,
        buckets: int = 4,
        volatility_up: float = 0.0,
        volatility_down: float = 0.0,
        *,
        tails: Mapping[float, float] | None = None,
        volatility_scaling: VolatilityScaling | None = None,
        volatility_floor: float = 1e-4,
    ) -> Scenarios:
        """Return a grid of prices, each with volatility up, as it is, and down; and tails.

        Parameters
        ----------
        price_range : float or dict
            The largest move inside the grid.
        buckets : int, optional
            Steps on each side.
        volatility_up, volatility_down : float, optional
            Relative moves of volatility, both >= 0; without them the grid is of prices alone.
        tails : dict, optional
            Moves beyond the grid and what part of their loss counts; volatility goes up in them.
        volatility_scaling, volatility_floor : optional
            As for the class.

        Examples
        --------
        >>> xm.Scenarios.grid(0.16, 4, volatility_up=0.5, volatility_down=0.25, tails={-0.66: 0.24, 1.0: 0.16})
        Scenarios(29, prices -66.0 % to 100.0 %, volatility -25.0 % to 50.0 %)
        """
        buckets = whole_number("buckets", buckets)
        if buckets < 1:
            raise ParameterError(f"buckets: at least 1 is needed, not {buckets}")
        for name, value in (("volatility_up", volatility_up), ("volatility_down", volatility_down)):
            if one_number(name, value) < 0:
                raise ParameterError(f"{name}: {value} is below 0; it says how far, its name which way")
        steps = [step / buckets for step in range(-buckets, buckets + 1)]
        moves = [volatility_up, 0.0, -volatility_down] if volatility_up or volatility_down else [0.0]
        extra = list((tails or {}).items())
        grid = _ranged([step for step in steps for _ in moves], price_range)
        tail = np.array([move for move, _ in extra])
        prices: Any = (
            {name: np.concatenate([shocks, tail]) for name, shocks in grid.items()}
            if isinstance(grid, dict)
            else np.concatenate([grid, tail])
        )
        return cls(
            prices,
            moves * len(steps) + [volatility_up] * len(extra),
            [1.0] * (len(steps) * len(moves)) + [weight for _, weight in extra],
            volatility_scaling=volatility_scaling,
            volatility_floor=volatility_floor,
        )

    @classmethod
    def joint(
        cls,
        price_shock: Mapping[Any, ArrayLike],
        volatility_shock: ArrayLike | Mapping[Any, ArrayLike] | None = None,
        weight: ArrayLike | None = None,
        **options: Any,
    ) -> Scenarios:
        """Return scenarios in which all underlyings move together: history, stress tests, simulations.

        Parameters
        ----------
        price_shock : dict of arrays of shape (S,)
            By underlying.
        volatility_shock, weight, **options
            As for the class.

        Examples
        --------
        >>> xm.Scenarios.joint({"BTC": [-0.3, 0.2], "ETH": [-0.4, 0.3]})
        Scenarios(2 joint, prices -40.0 % to 30.0 %)
        """
        if not isinstance(price_shock, Mapping):
            raise ParameterError("price_shock: joint scenarios are said by underlying: {'BTC': [...], ...}")
        if isinstance(volatility_shock, Mapping):
            for underlying in volatility_shock:
                if underlying not in price_shock:
                    raise ParameterError(
                        f"volatility_shock: {underlying!r} has no price_shock; joint scenarios say both"
                    )
        scenarios = cls(price_shock, volatility_shock, weight, **options)
        object.__setattr__(scenarios, "is_joint", True)
        return scenarios

    def __len__(self) -> int:
        return len(self.weight)

    def __repr__(self) -> str:
        parts = [f"{len(self)} joint" if self.is_joint else str(len(self))]
        for name, shocks in (("prices", self.price_shock), ("volatility", self.volatility_shock)):
            columns = list(shocks.values()) if isinstance(shocks, dict) else [shocks]
            least, most = (float(of(np.concatenate(columns))) for of in (np.min, np.max))
            if least == most == 0.0:
                continue
            amount = "{:,g}" if self.absolute and name == "prices" else "{:.1%}"
            texts = [amount.format(value).replace("%", " %") for value in dict.fromkeys((least, most))]
            parts.append(f"{name} {' to '.join(texts)}")
        return f"Scenarios({', '.join(parts)})"


def _shocks(name: str, shocks: Any) -> Floats | dict[Id, Floats]:
    if not isinstance(shocks, Mapping):
        return number_column(name, shocks)
    if not shocks:
        raise ParameterError(f"{name}: at least one underlying is needed")
    columns = {underlying: number_column(f"{name} of {underlying!r}", column) for underlying, column in shocks.items()}
    lengths = {underlying: len(column) for underlying, column in columns.items()}
    first = next(iter(lengths))
    for underlying, length in lengths.items():
        if length != lengths[first]:
            raise ParameterError(
                f"{name}: {length} values for {underlying!r}, but {lengths[first]} for {first!r}; scenarios go together"
            )
    return columns


def _count(shocks: Floats | dict[Id, Floats]) -> int:
    return len(next(iter(shocks.values())) if isinstance(shocks, dict) else shocks)


def _ranged(moves: Sequence[float], price_range: Range) -> Floats | dict[Id, Floats]:
    if isinstance(price_range, Mapping):
        return {
            underlying: np.array(moves) * _width(f"price_range of {underlying!r}", width)
            for underlying, width in price_range.items()
        }
    return np.array(moves) * _width("price_range", price_range)


def _width(name: str, width: Any) -> float:
    number = one_number(name, width)
    if number < 0:
        raise ParameterError(f"{name}: {width} is below 0; it says how far, up and down")
    return number
