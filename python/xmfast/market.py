"""Prices at one moment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmfast import _core
from xmfast.frames import Prices, Time, read_prices, read_time
from xmfast.universe import Universe, core_universe


class Market:
    """Index prices of assets and underlyings and mark prices of instruments at one moment; never changes.

    Parameters
    ----------
    universe : Universe
        What the ids refer to.
    index_price : dict or array, optional
        By id of an asset or underlying (a name that is both sets both), or an array in the order of
        ``universe.assets`` or ``universe.index_names``. In the numeraire, >= 0. The numeraire's is 1.
    mark_price : dict or array, optional
        By id of an instrument, or an array in the order of ``universe.instruments``. In the instrument's quote:
        > 0 for perpetuals and futures unless they allow negative prices, >= 0 for options.
    time : datetime64, datetime or str, optional
        When the prices were true; UTC unless it names a zone.

    Raises
    ------
    UnknownIdError
        An id that the universe does not have.
    ColumnError
        An array of the wrong length or type.
    InputError
        A price that is not finite or that cannot be.

    Examples
    --------
    >>> market = xm.Market(universe, index_price={"BTC": 60_000}, mark_price={"BTC-PERP": 60_100})
    >>> market.with_prices(mark_price={"BTC-PERP": 59_000}).mark_price
    array([59000.])
    """

    __slots__ = ("_core", "_universe")

    def __init__(
        self,
        universe: Universe,
        index_price: Prices | None = None,
        mark_price: Prices | None = None,
        time: Time | None = None,
    ) -> None:
        self._universe = universe
        self._core = _core.Market(
            core_universe(universe),
            read_prices("index_price", index_price),
            read_prices("mark_price", mark_price),
            read_time(time),
        )

    def with_prices(
        self,
        index_price: Prices | None = None,
        mark_price: Prices | None = None,
        time: Time | None = None,
    ) -> Market:
        """Return a market with some prices replaced: those that a dict names, or all of an array."""
        market = Market.__new__(Market)
        market._universe = self._universe
        market._core = self._core.with_prices(
            read_prices("index_price", index_price), read_prices("mark_price", mark_price), read_time(time)
        )
        return market

    @property
    def universe(self) -> Universe:
        """What the ids refer to."""
        return self._universe

    @property
    def index_price(self) -> NDArray[np.float64]:
        """Index prices in the order of ``universe.index_names``, NaN where there is none."""
        return self._core.index_price()

    @property
    def mark_price(self) -> NDArray[np.float64]:
        """Mark prices in the order of ``universe.instruments``, NaN where there is none."""
        return self._core.mark_price()

    @property
    def time(self) -> np.datetime64 | None:
        """When the prices were true, UTC."""
        time = self._core.time()
        return None if time is None else np.datetime64(time, "ns")

    def __repr__(self) -> str:
        priced = [int(np.isfinite(prices).sum()) for prices in (self.index_price, self.mark_price)]
        time = "" if self.time is None else f", {self.time}"
        return f"Market({priced[0]:,} index prices, {priced[1]:,} mark prices{time})"
