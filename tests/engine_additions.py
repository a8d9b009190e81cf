"""Assets and instruments that come while an engine runs: made up as plain frames, and added to an engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeAlias

import xmfast as xm
from reference_rules import rows
from strategies import Columns, Venue, rounded

Model: TypeAlias = "xm.CrossMargin | xm.IsolatedMargin | xm.PortfolioMargin | xm.HistoricalVaR"
# What makes a model on a universe, so that a history can be played to any engine.
Rules: TypeAlias = Callable[[xm.Universe], Model]

OF_INSTRUMENTS = ("mark_price", "cumulative_funding", "implied_volatility", "forward", "settlement_average")


@dataclass(frozen=True, kw_only=True)
class Addition:
    """What is new, the rules from then on, and what is said of it to `add_instruments`."""

    assets: Columns
    instruments: Columns
    # By name of an argument of `Market`; of what is there already, too, which must not matter.
    figures: Mapping[str, Any]
    rules: Rules = field(repr=False)
    said: Mapping[str, Any]
    # The venue with all of it.
    venue: Venue = field(repr=False)

    def add_to(self, engine: xm.Engine) -> Any:
        """Let the engine go on in a larger universe."""
        universe = engine.universe.extended(self.assets, self.instruments)
        market = xm.Market(universe, **self.figures)
        return engine.add_instruments(self.rules(universe), market, **self.said)


def random_addition(
    venue: Venue, market: xm.Market, random: Random, rules: Callable[[Venue, Random], Rules]
) -> Addition:
    """Return an addition to what an engine has: instruments much like others, that settle in new assets or old ones."""
    universe = market.universe
    assets = _new_assets(universe, random)
    figures: dict[str, dict[Any, Any]] = {name: {} for name in (*OF_INSTRUMENTS, "index_price")}
    # Not all that is said of what is there is true; nobody listens.
    figures["mark_price"][random.choice(universe.instruments)] = 7.0
    for name in assets:
        figures["index_price"][name] = rounded(random.lognormvariate(3, 2))
    for name in ("deposit_index", "borrow_index"):
        figures[name] = {asset: random.choice((1.0, 1.02, 1.5)) for asset in assets if random.random() < 0.5}
        figures[name][universe.numeraire] = 3.0
    columns: dict[str, list[Any]] = {name: [] for name in venue.instruments}
    margin: list[tuple[Any, Any]] = []
    settlements: list[Any] = [*universe.assets, *assets]
    for number in range(random.choice((0, 1, 1, 2, 3)) if assets else 1 + random.randrange(2)):
        row = random.randrange(len(universe.instruments))
        source = universe.instruments[row]
        name = f"J{len(universe.instruments) + number}"
        spec = {column: cells[row] for column, cells in venue.instruments.items()}
        spec["instrument"] = name
        if random.random() < 0.6:
            spec["settlement"] = random.choice(settlements)
        if random.random() < 0.2:
            spec["underlying"] = random.choice((f"V{len(universe.underlyings)}", *assets))
            figures["index_price"].setdefault(spec["underlying"], rounded(random.lognormvariate(3, 1)))
        for column, cells in columns.items():
            cells.append(spec[column])
        for figure in OF_INSTRUMENTS:
            known = float(getattr(market, figure)[row])
            if not math.isnan(known):
                figures[figure][name] = known
        if figures["mark_price"].get(name):
            figures["mark_price"][name] = rounded(figures["mark_price"][name] * random.choice((1.0, 0.9, 1.2)))
        margin.append((source, name))
    extended = _extended(venue, {"asset": assets}, columns, margin, random)
    return Addition(
        assets={"asset": assets},
        instruments=columns,
        figures=figures,
        rules=rules(extended, random),
        said=_said(assets, columns["instrument"], random),
        venue=extended,
    )


def _new_assets(universe: xm.Universe, random: Random) -> list[Any]:
    """Return names of none, one or two; now and then an underlying can be held from now on."""
    new: list[Any] = [f"B{len(universe.assets) + number}" for number in range(random.choice((0, 0, 1, 2)))]
    not_held: list[Any] = [name for name in universe.underlyings if name not in universe.assets]
    if not_held and random.random() < 0.3:
        new.append(random.choice(not_held))
    random.shuffle(new)
    return new


def _said(assets: list[Any], instruments: list[Any], random: Random) -> dict[str, Any]:
    scales = {asset: random.choice((2, 6, 8, 9)) for asset in assets}
    return {
        "decimals": scales,
        "borrowable": [asset for asset in assets if random.random() < 0.5],
        "position_limit": {name: 10**6 for name in instruments if random.random() < 0.2},
        "open_interest_limit": {name: 10**7 for name in instruments if random.random() < 0.2},
    }


def _extended(
    venue: Venue, assets: Columns, instruments: Columns, margin: list[tuple[Any, Any]], random: Random
) -> Venue:
    """Return the venue with what is new; each new instrument is charged as the one that it is like."""
    rates = [{**row, "instrument": name} for like, name in margin for row in _rows_of(venue.margin, "instrument", like)]
    tiers = []
    for asset in assets["asset"]:
        if venue.collateral is not None and random.random() < 0.7:
            like = random.choice(venue.collateral["asset"] or [None])
            tiers += [{**row, "asset": asset} for row in _rows_of(venue.collateral, "asset", like)]
    return replace(
        venue,
        assets=_with_rows(venue.assets, rows(assets)),
        instruments=_with_rows(venue.instruments, rows(instruments)),
        margin=venue.margin and _with_rows(venue.margin, rates),
        collateral=venue.collateral and _with_rows(venue.collateral, tiers),
    )


def _rows_of(frame: Columns | None, column: str, id: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in rows(frame) if row[column] == id]


def _with_rows(frame: Columns, new: Any) -> Columns:
    new = list(new)
    return {name: [*cells, *(row[name] for row in new)] for name, cells in frame.items()}
