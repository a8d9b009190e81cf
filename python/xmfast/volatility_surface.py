"""Implied volatility between quotes: by underlying, expiry and strike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xmfast import _core
from xmfast.broadcast import common_shape, flat, numbers
from xmfast.frames import Frame, Id, Time, read_frame, read_times
from xmfast.in_process import InProcess
from xmfast.universe import Universe, core_universe

_FRAME = "volatility surface"


class VolatilitySurface(InProcess):
    """Volatilities by underlying, expiry and strike at one moment. Make one with :meth:`from_frames`.

    Total variance, ``volatility ** 2 * years to expiry``, is linear in ``ln(strike / forward)`` between the strikes of
    an expiry, and linear in time between expiries at one ``strike / forward``, where the forward is linear in its
    logarithm. Beyond the outer strikes and expiries the volatility is that of the outer one. Where quotes state no
    forward, it counts as the same for all expiries.
    """

    __slots__ = ("_core", "_time", "_universe")
    _core: _core.VolatilitySurface
    _universe: Universe
    _time: np.datetime64

    @classmethod
    def from_frames(cls, universe: Universe, quotes: Frame, *, time: Time) -> VolatilitySurface:
        """Build a surface from quoted volatilities, in any order.

        Parameters
        ----------
        universe : Universe
            What the ids refer to.
        quotes : frame
            Columns ``underlying`` (id), ``expiry`` (datetime64, datetime or ISO text; UTC; after ``time``), ``strike``
            (> 0) and ``volatility`` (>= 0, per square root of a year of 365 days). Optional: ``forward`` (> 0;
            the median of an expiry counts, from which no row may be 1 % away).
        time : datetime64, datetime or str
            When the volatilities were true; UTC unless it names a zone.

        Raises
        ------
        ColumnError
            A column is missing, unexpected, null or of the wrong type or length.
        UnknownIdError
            An underlying that the universe does not have.
        DuplicateError
            Two rows for one strike of an expiry.
        InputError
            A number that is not finite or out of bounds, an expiry that has passed, forwards of one expiry far
            apart.

        Examples
        --------
        >>> surface = xm.VolatilitySurface.from_frames(
        ...     universe,
        ...     {
        ...         "underlying": ["BTC"] * 4,
        ...         "expiry": ["2025-03-28", "2025-03-28", "2025-06-27", "2025-06-27"],
        ...         "strike": [50_000, 70_000, 50_000, 70_000],
        ...         "volatility": [0.70, 0.60, 0.64, 0.58],
        ...     },
        ...     time="2025-01-01",
        ... )
        >>> surface
        VolatilitySurface(1 underlying, 2 expiries, 2025-01-01T00:00:00)
        >>> surface.implied_volatility("BTC", [40_000, 60_000, 70_000], "2025-03-28").round(4)
        array([0.7   , 0.6477, 0.6   ])
        >>> surface.implied_volatility("BTC", 60_000, ["2025-02-01", "2025-05-01"]).round(4)
        array([0.6477, 0.6263])
        """
        surface = cls.__new__(cls)
        nanoseconds = int(read_times(_FRAME, "time", [time])[0])
        frame = read_frame(_FRAME, quotes, times=("expiry",))
        surface._core = _core.VolatilitySurface(core_universe(universe), frame, nanoseconds)
        surface._universe = universe
        surface._time = np.datetime64(nanoseconds, "ns")
        return surface

    def __init__(self) -> None:
        raise TypeError("use VolatilitySurface.from_frames(...)")

    @property
    def universe(self) -> Universe:
        """What the ids refer to."""
        return self._universe

    @property
    def time(self) -> np.datetime64:
        """When the volatilities were true, UTC."""
        return self._time

    @property
    def underlyings(self) -> list[Id]:
        """Underlyings with quotes, in the order of the universe."""
        return self._core.underlyings()

    def implied_volatility(self, underlying: Id, strike: ArrayLike, expiry: Any) -> NDArray[np.float64]:
        """Return the volatility of strikes and expiries of one underlying.

        Parameters
        ----------
        underlying : str or int
            An underlying with quotes.
        strike : array_like
            > 0. Broadcast with ``expiry``.
        expiry : datetime64, datetime or str, or several of them
            After the surface's time.

        Returns
        -------
        ndarray of float64
            Per square root of a year of 365 days, >= 0; in the broadcast shape.

        Raises
        ------
        UnknownIdError
            An underlying that is unknown or has no quotes.
        InputError
            A strike that is not > 0, or an expiry that has passed.
        """
        columns: dict[str, NDArray[Any]] = {"strike": numbers(_FRAME, "strike", strike), "expiry": _expiries(expiry)}
        shape = common_shape(_FRAME, columns)
        strikes, expiries = (flat(column, shape) for column in columns.values())
        volatility = self._core.implied_volatility(underlying, strikes, expiries)
        # Without dimensions, a number.
        return volatility.reshape(shape)[()]

    def of_instruments(self) -> NDArray[np.float64]:
        """Return the volatility of every instrument, in the order of ``universe.instruments``.

        NaN where it is no option with a strike and an expiry to come, or its underlying has no quotes: what
        ``Market(implied_volatility=...)`` takes for "not given".
        """
        return self._core.of_instruments()

    def calendar_arbitrage(self) -> dict[str, list[Any]]:
        """Return where total variance falls from one expiry to the next, at one ``strike / forward``.

        There a calendar spread costs less than nothing. It is told, not refused, because quotes of real markets have
        some and values between them stay sound. Butterflies are not looked at.

        Returns
        -------
        dict of lists
            Columns ``underlying``, ``expiry`` (datetime64, the later one), ``strike`` and ``missing_variance`` (by how
            much the total variance is less than that of the expiry before).
        """
        underlying, expiry, strike, missing = self._core.calendar_arbitrage()
        return {
            "underlying": list(underlying),
            "expiry": [np.datetime64(time, "ns") for time in expiry],
            "strike": strike,
            "missing_variance": missing,
        }

    def __repr__(self) -> str:
        counts = (len(self.underlyings), self._core.expiry_count())
        nouns = ("underlying" if counts[0] == 1 else "underlyings", "expiry" if counts[1] == 1 else "expiries")
        time = np.datetime_as_string(self._time, unit="s")
        return f"VolatilitySurface({counts[0]:,} {nouns[0]}, {counts[1]:,} {nouns[1]}, {time})"


def _expiries(expiry: Any) -> NDArray[np.int64]:
    if isinstance(expiry, str) or not hasattr(expiry, "__iter__"):
        return read_times(_FRAME, "expiry", [expiry]).reshape(())
    given = np.asarray(expiry, dtype=object) if not isinstance(expiry, np.ndarray) else expiry
    return read_times(_FRAME, "expiry", list(given.flat)).reshape(given.shape)
