"""What is added to the small engine: ether, and contracts on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xmfast as xm
from small_venue import FLAT
from strategies import Columns

ETH: Columns = {"asset": ["ETH"]}
COLUMNS = ("instrument", "kind", "underlying", "settlement", "contract_multiplier", "inverse", "allow_negative_price")
# A perpetual in dollars, a call that is paid in ether, a contract on wheat.
ETHPERP = ("ETHPERP", "perpetual", "ETH", "USD", 1.0, False, False)
ETHCALL = ("ETHCALL", "option", "ETH", "ETH", 0.1, True, False)
WHEAT = ("WHEAT", "future", "WHEAT", "USD", 50.0, False, True)
NEW_MARK = {"ETHPERP": 3000.0, "ETHCALL": 0.05, "WHEAT": 5.0}
NEW_INDEX = {"ETH": 3001.0}


def specs(*new: tuple[Any, ...]) -> Columns:
    """Return a frame of instruments."""
    return {name: [row[at] for row in new] for at, name in enumerate(COLUMNS)}


def rates_of(names: Sequence[Any]) -> Columns:
    """Return the flat margin: a tenth to open, a twentieth to keep."""
    return {
        "instrument": list(names),
        "initial_rate": [0.1] * len(names),
        "maintenance_rate": [0.05] * len(names),
    }


def larger(universe: xm.Universe) -> xm.Universe:
    """Return the universe with all that is new."""
    return universe.extended(ETH, specs(ETHPERP, ETHCALL, WHEAT))


def model_on(universe: xm.Universe, margin: Columns | None = None) -> xm.CrossMargin:
    """Return flat margin on all that there is; of what was there before, perhaps something else."""
    old = margin or FLAT
    new = rates_of([name for name in universe.instruments if name not in old["instrument"]])
    columns = {name: [*old[name], *new.get(name, [0.0] * len(new["instrument"]))] for name in old}
    return xm.CrossMargin.from_frames(universe, margin=columns)


def add_all(engine: xm.Engine, figures: Mapping[str, Any] | None = None, **said: Any) -> Any:
    """Add all that is new, at its prices."""
    universe = larger(engine.universe)
    market = xm.Market(universe, NEW_INDEX, NEW_MARK, **(figures or {}))
    return engine.add_instruments(model_on(universe), market, **said)
