"""Scenarios from a price history: returns over a holding period, as they were or rescaled to today's volatility."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xmfast.errors import InputError, ParameterError
from xmfast.frames import Id
from xmfast.given_numbers import number_column

Floats = NDArray[np.float64]


def historical_shocks(
    name: str, returns: Mapping[Any, ArrayLike], holding_period: int, ewma_lambda: float | None
) -> dict[Id, Floats]:
    """Return price shocks by underlying, one for each date at which a holding period ends.

    Parameters
    ----------
    name : str
        What errors call the returns.
    returns : dict of arrays of shape (T,)
        Simple returns per period, the same periods for all underlyings.
    holding_period : int
        Periods; overlapping, compounded.
    ewma_lambda : float or None
        Rescale each return by today's volatility over that of its day; None leaves returns as they were.
    """
    if not isinstance(returns, Mapping) or not returns:
        raise ParameterError(f"{name}: returns by underlying are needed: {{'BTC': [...], ...}}")
    columns = {}
    for underlying, values in returns.items():
        column = number_column(f"{name} of {underlying!r}", values)
        if (column < -1).any():
            period = int(np.flatnonzero(column < -1)[0])
            raise InputError(f"{name} of {underlying!r}, period {period}: a return of {column[period]} is below -1")
        columns[underlying] = column
    first = next(iter(columns))
    for underlying, column in columns.items():
        if len(column) != len(columns[first]):
            raise ParameterError(
                f"{name}: {len(column)} periods for {underlying!r}, but {len(columns[first])} for {first!r}; "
                "dates go together"
            )
    if len(columns[first]) < holding_period:
        raise ParameterError(
            f"{name}: {len(columns[first])} periods are too few for a holding period of {holding_period}"
        )
    # What overflows is no return, and said by name.
    with np.errstate(all="ignore"):
        if ewma_lambda is not None:
            columns = _rescaled(columns, ewma_lambda)
        held = {underlying: _held(column, holding_period) for underlying, column in columns.items()}
    for underlying, column in held.items():
        if not np.isfinite(column).all():
            raise InputError(f"{name} of {underlying!r}: they are too large to be compounded or rescaled")
    return held


def tail_rank(count: int, confidence: float) -> int:
    """Return which of the largest losses is the quantile: the ``ceil(count x confidence)``-th smallest one."""
    # What is a whole number but for rounding is one.
    return min(count, max(1, count - math.ceil(count * confidence - 1e-9) + 1))


def _rescaled(columns: Mapping[Id, Floats], ewma_lambda: float) -> dict[Id, Floats]:
    """Exponentially weighted variances from the data before each return; the first is that of the whole history."""
    # Only time is a recursion: each period is one step for all underlyings at once.
    squares = np.stack([column**2 for column in columns.values()], axis=1)
    variance = np.empty((len(squares) + 1, len(columns)))
    # Column by column, because the order in which a mean is added up depends on how its numbers lie in memory.
    variance[0] = [(column**2).mean() for column in columns.values()]
    for period, square in enumerate(squares):
        variance[period + 1] = ewma_lambda * variance[period] + (1 - ewma_lambda) * square
    then = variance[:-1]
    scale = np.sqrt(np.divide(variance[-1], then, out=np.ones_like(then), where=then > 0))
    # A price cannot lose more than all of itself, however calm the day was. Stored underlying by underlying again.
    returns = np.stack(list(columns.values()), axis=1)
    rescaled = np.ascontiguousarray(np.maximum(returns * scale, -1.0).T)
    return dict(zip(columns, rescaled, strict=True))


def _held(returns: Floats, holding_period: int) -> Floats:
    if holding_period == 1:
        return returns
    windows = np.lib.stride_tricks.sliding_window_view(1 + returns, holding_period)
    return np.asarray(windows.prod(axis=1) - 1, dtype=np.float64)
