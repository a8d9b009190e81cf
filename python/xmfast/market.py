"""Prices, interest and funding at one moment."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmfast import _core
from xmfast.frames import Prices, Time, read_prices, read_time
from xmfast.in_process import InProcess
from xmfast.universe import Universe, core_universe


class Market(InProcess):
    """Prices at one moment, and how far interest and funding have come; never changes.

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
    deposit_index, borrow_index : dict or array, optional
        By asset: what one unit lent or borrowed when the index was 1 has grown to; > 0, default 1. A balance is
        worth ``balance x index``, and the sign of the balance says which index. Interest accrues on cash alone.
    cumulative_funding : dict or array, optional
        By instrument: what one long contract has paid since the start, per unit of its multiplier (quote units; of
        an inverse contract, settlement asset units); signed, default 0. Options pay none. It lowers the value of a
        long position, never its margin.
    implied_volatility : dict or array, optional
        By option: per square root of a year, >= 0; NaN in an array where there is none. Models by scenarios need it.
        :meth:`VolatilitySurface.of_instruments` gives such an array.
    forward : dict or array, optional
        By option: the underlying's price for delivery at expiry; its index price where left out.
    discount_rate : dict or array, optional
        By settlement asset: continuously compounded, a year; default 0. Futures-style options are not discounted.
    settlement_average : dict or array, optional
        By instrument with a ``settlement_average``: the average of the index over the part of its window that has
        passed, > 0. Options whose window has begun at ``time`` need one; before that it is not read.

    Raises
    ------
    UnknownIdError
        An id that the universe does not have.
    ColumnError
        An array of the wrong length or type.
    InputError
        A number that is not finite or that cannot be.

    Examples
    --------
    >>> market = xm.Market(universe, index_price={"BTC": 60_000}, mark_price={"BTC-PERP": 60_100})
    >>> market.with_prices(mark_price={"BTC-PERP": 59_000}).mark_price
    array([59000.])

    An hour of interest and funding touches no account:

    >>> later = market.with_prices(deposit_index={"USD": 1.00001}, cumulative_funding={"BTC-PERP": 6.01})
    >>> later.cumulative_funding
    array([6.01])
    """

    __slots__ = ("_core", "_universe")

    def __init__(
        self,
        universe: Universe,
        index_price: Prices | None = None,
        mark_price: Prices | None = None,
        time: Time | None = None,
        *,
        deposit_index: Prices | None = None,
        borrow_index: Prices | None = None,
        cumulative_funding: Prices | None = None,
        implied_volatility: Prices | None = None,
        forward: Prices | None = None,
        discount_rate: Prices | None = None,
        settlement_average: Prices | None = None,
    ) -> None:
        self._universe = universe
        figures = _figures(
            index_price=index_price,
            mark_price=mark_price,
            deposit_index=deposit_index,
            borrow_index=borrow_index,
            cumulative_funding=cumulative_funding,
            implied_volatility=implied_volatility,
            forward=forward,
            discount_rate=discount_rate,
            settlement_average=settlement_average,
        )
        self._core = _core.Market(core_universe(universe), figures, read_time(time))

    def with_prices(
        self,
        index_price: Prices | None = None,
        mark_price: Prices | None = None,
        time: Time | None = None,
        *,
        deposit_index: Prices | None = None,
        borrow_index: Prices | None = None,
        cumulative_funding: Prices | None = None,
        implied_volatility: Prices | None = None,
        forward: Prices | None = None,
        discount_rate: Prices | None = None,
        settlement_average: Prices | None = None,
    ) -> Market:
        """Return a market with some figures replaced: those that a dict names, or all of an array."""
        figures = _figures(
            index_price=index_price,
            mark_price=mark_price,
            deposit_index=deposit_index,
            borrow_index=borrow_index,
            cumulative_funding=cumulative_funding,
            implied_volatility=implied_volatility,
            forward=forward,
            discount_rate=discount_rate,
            settlement_average=settlement_average,
        )
        return Market._of(self._universe, self._core.with_figures(figures, read_time(time)))

    @classmethod
    def _of(cls, universe: Universe, core: _core.Market) -> Market:
        """Return a market that the core made."""
        market = cls.__new__(cls)
        market._universe, market._core = universe, core
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
    def deposit_index(self) -> NDArray[np.float64]:
        """What one unit lent has grown to, in the order of ``universe.assets``."""
        return self._core.deposit_index()

    @property
    def borrow_index(self) -> NDArray[np.float64]:
        """What one unit borrowed has grown to, in the order of ``universe.assets``."""
        return self._core.borrow_index()

    @property
    def cumulative_funding(self) -> NDArray[np.float64]:
        """What one long contract has paid, in the order of ``universe.instruments``."""
        return self._core.cumulative_funding()

    @property
    def implied_volatility(self) -> NDArray[np.float64]:
        """Implied volatilities in the order of ``universe.instruments``, NaN where there is none."""
        return self._core.implied_volatility()

    @property
    def forward(self) -> NDArray[np.float64]:
        """Prices for delivery at expiry in the order of ``universe.instruments``, NaN where none was given."""
        return self._core.forward()

    @property
    def discount_rate(self) -> NDArray[np.float64]:
        """Rates of discount in the order of ``universe.assets``."""
        return self._core.discount_rate()

    @property
    def settlement_average(self) -> NDArray[np.float64]:
        """Averages of the index so far in the order of ``universe.instruments``, NaN where none was given."""
        return self._core.settlement_average()

    @property
    def time(self) -> np.datetime64 | None:
        """When the prices were true, UTC."""
        time = self._core.time()
        return None if time is None else np.datetime64(time, "ns")

    def __repr__(self) -> str:
        priced = [int(np.isfinite(prices).sum()) for prices in (self.index_price, self.mark_price)]
        time = "" if self.time is None else f", {self.time}"
        return f"Market({priced[0]:,} index prices, {priced[1]:,} mark prices{time})"


def _figures(**given: Prices | None) -> dict[str, Any]:
    return {name: read_prices(name, prices) for name, prices in given.items() if prices is not None}
