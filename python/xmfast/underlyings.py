"""What is said of underlyings by name, as the core reads it: by row."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from xmfast.close_names import hint
from xmfast.errors import ParameterError, UnknownIdError
from xmfast.frames import Id
from xmfast.given_numbers import by_name, one_number
from xmfast.scenarios import Floats, Scenarios
from xmfast.universe import Universe, core_universe


class Underlyings:
    """Names of a universe's underlyings, and what is said by name."""

    def __init__(self, universe: Universe) -> None:
        core_universe(universe)
        self._universe = universe
        self._rows = {name: row for row, name in enumerate(universe.underlyings)}

    def row(self, what: str, name: Id) -> int:
        """Return the row of an underlying."""
        if name not in self._rows:
            raise UnknownIdError(
                f"{what}: no underlying {name!r}{hint(str(name), [str(known) for known in self._rows])}"
            )
        return self._rows[name]

    def each(self, what: str, said: Mapping[Any, Any], otherwise: Any) -> list[Any]:
        """Return what is said of every underlying, in order."""
        values = [otherwise] * len(self._rows)
        for name, value in said.items():
            values[self.row(what, name)] = value
        return values

    def of_assets(self, said: Sequence[Id] | Mapping[Any, Any]) -> list[int | None]:
        """Return by asset the row of the underlying that it moves with inside the scenarios, if it does."""
        are_ids = isinstance(said, Mapping | Sequence) and not isinstance(said, str | bytes)
        ids = (*said, *said.values()) if isinstance(said, Mapping) else said
        if not are_ids or not all(isinstance(name, Hashable) for name in ids):
            raise ParameterError(
                f"in_scenario: assets are needed, ['BTC', ...] or {{'stETH': 'ETH', ...}}, not {said!r}"
            )
        pairs = said if isinstance(said, Mapping) else {name: name for name in said}
        assets = {name: row for row, name in enumerate(self._universe.assets)}
        rows: list[int | None] = [None] * len(assets)
        for asset, underlying in pairs.items():
            if asset not in assets:
                raise UnknownIdError(
                    f"in_scenario: no asset {asset!r}{hint(str(asset), [str(known) for known in assets])}"
                )
            rows[assets[asset]] = self.row(f"in_scenario of {asset!r}", underlying)
        return rows

    def concentration(self, said: Mapping[Any, Any] | None) -> list[tuple[float, float] | None]:
        """Return rate and depth of every underlying."""
        pairs = {}
        for name, pair in by_name("concentration", said or {}, "{'BTC': (rate, depth), ...}").items():
            if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
                raise ParameterError(f"concentration of {name!r}: (rate, depth) is needed, not {pair!r}")
            what = f"concentration of {name!r}"
            pairs[name] = (one_number(f"{what}, rate", pair[0]), one_number(f"{what}, depth", pair[1]))
        return self.each("concentration", pairs, None)

    def groups(self, said: Mapping[Any, Any] | None, *, together: bool) -> list[int]:
        """Return the number of every underlying's product group; one of which nothing is said is a group of its own.

        Where nothing is said at all they are one group, or each its own.
        """
        if said is None:
            return [0] * len(self._rows) if together else list(range(len(self._rows)))
        said = by_name("product_groups", said, "{'BTC': 'coins', ...}")
        for name, group in said.items():
            if not isinstance(group, str | int):
                raise ParameterError(f"product_groups of {name!r}: a name is needed, not {group!r}")
        numbers = {group: number for number, group in enumerate(dict.fromkeys(said.values()))}
        own = range(len(numbers), len(numbers) + len(self._rows))
        named = self.each("product_groups", said, None)
        return [number if group is None else numbers[group] for group, number in zip(named, own, strict=True)]

    def of_instruments(self, what: str, said: float | Mapping[Any, float], otherwise: float) -> list[float]:
        """Return what is said of every instrument's underlying, in order of instruments."""
        if not isinstance(said, Mapping):
            return [one_number(what, said)] * len(self._universe.instruments)
        numbers = {name: one_number(f"{what} of {name!r}", value) for name, value in said.items()}
        by_underlying = self.each(what, numbers, otherwise)
        return [by_underlying[row] for row in self._universe._core.underlying_rows()]

    def scenario_set(self, what: str, scenarios: Scenarios, measure: tuple[str, int]) -> dict[str, Any]:
        """Return a set of scenarios, and what of their losses counts: ``worst``, ``var`` or ``es``, and a rank."""
        prices, volatilities = scenarios.price_shock, scenarios.volatility_shock
        named: Sequence[Id] = list(
            dict.fromkeys(name for shocks in (prices, volatilities) if isinstance(shocks, dict) for name in shocks)
        )
        scaling = scenarios.volatility_scaling

        def of(shocks: Floats | dict[Id, Floats], name: Id | None) -> list[float] | None:
            column = (None if name is None else shocks.get(name)) if isinstance(shocks, dict) else shocks
            if column is None:
                return None
            values: list[float] = column.tolist()
            return values

        def pair(name: Id | None) -> tuple[list[float], list[float]] | None:
            price, volatility = of(prices, name), of(volatilities, name)
            if price is None:
                return None
            return price, [0.0] * len(scenarios) if volatility is None else volatility

        pairs = [(self.row(what, name), pair(name)) for name in named]
        return {
            "measure": measure[0],
            "rank": measure[1],
            "joint": scenarios.is_joint,
            "absolute": scenarios.absolute,
            "volatility_absolute": scenarios.volatility == "absolute",
            "time_scaling": None if scaling is None else (scaling.power, scaling.least, scaling.most),
            "volatility_floor": scenarios.volatility_floor,
            "weight": scenarios.weight.tolist(),
            "shocks": pair(None),
            "named": [(row, columns) for row, columns in pairs if columns is not None],
        }
