"""Real crashes that the package ships: candles of up to ten coins, a few days each."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CRASHES", "Crash", "load_crash"]

# Name of the file and what happened; the command line lists these.
CRASHES = {
    "2020-03-12": "Covid: Bitcoin halves in a day, 2-hour bars, 7 coins",
    "2021-05-19": "China bans mining: everything down a third within hours, 2-hour bars",
    "2022-05-12": "Terra and Luna fail, 1-hour bars",
    "2022-06-18": "Celsius and Three Arrows: a week of falling, 1-hour bars",
    "2022-11-09": "FTX fails: SOL loses two thirds, 1-hour bars",
    "2024-08-05": "The yen carry trade unwinds, 1-hour bars",
    "2025-10-10": "Tariff shock: the largest liquidation day so far, 15-minute bars",
    "2026-02-05": "February 2026: Bitcoin from 79,000 to 63,000 in two days, 1-hour bars",
}
_FIELDS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crash:
    """Candles of one crash: ``T`` bars of ``C`` coins, with no gaps.

    Attributes
    ----------
    name : str
        One of `CRASHES`.
    title : str
        What happened, in one line.
    coins : tuple of str
        The coins, ``"BTC"`` first.
    times : ndarray of datetime64[s], shape (T,)
        Open of each bar, UTC.
    bar : timedelta64
        Length of a bar; the close of bar ``t`` is known at ``times[t] + bar``.
    open, high, low, close : ndarray of float64, shape (T, C)
        Prices in USDT, > 0. Wicks are real trades and were kept.
    volume : ndarray of float64, shape (T, C)
        Coins traded, >= 0.
    """

    name: str
    title: str
    coins: tuple[str, ...]
    times: NDArray[np.datetime64]
    bar: np.timedelta64
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]


def load_crash(name: str) -> Crash:
    """Read one of the crashes that the package ships.

    Parameters
    ----------
    name : str
        One of `CRASHES`, such as ``"2025-10-10"``.

    Returns
    -------
    Crash
        Its candles. Source and licence: ``data/SOURCE.md`` in the package.

    Raises
    ------
    InputError
        If there is no such crash.

    Examples
    --------
    >>> from xmfast.crashes import load_crash
    >>> crash = load_crash("2025-10-10")
    >>> crash.close.shape
    (48, 10)
    >>> round(float(crash.low.min(axis=0)[0]), 2)  # Bitcoin
    102000.0
    """
    # Here and not above: the command line reads CRASHES before it knows whether it needs NumPy.
    import numpy as np

    from xmfast.errors import InputError

    if name not in CRASHES:
        raise InputError(f"no crash {name!r}: the package ships {', '.join(CRASHES)}")
    text = (files("xmfast") / "data" / f"{name}.csv").read_text(encoding="ascii")
    rows = list(csv.DictReader(text.splitlines()))
    coins = tuple(dict.fromkeys(row["coin"] for row in rows))
    times = np.array([row["time"].rstrip("Z") for row in rows[:: len(coins)]], "datetime64[s]")
    shape = (len(times), len(coins))
    columns = {field: np.array([float(row[field]) for row in rows]).reshape(shape) for field in _FIELDS}
    for column in columns.values():
        column.flags.writeable = False
    times.flags.writeable = False
    return Crash(name=name, title=CRASHES[name], coins=coins, times=times, bar=times[1] - times[0], **columns)
