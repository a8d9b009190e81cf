"""What options are worth, how that changes, and which volatility a price speaks of."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xmfast import _core
from xmfast.broadcast import common_shape, flat, numbers
from xmfast.close_names import hint
from xmfast.errors import InputError


class OptionValues(NamedTuple):
    """Value and greeks of long options on one unit of the underlying; arrays of one shape.

    Attributes
    ----------
    value : ndarray of float64
        What the option is worth today, discounted, >= 0; in the quote, of an inverse option in coin.
    delta : ndarray of float64
        Change of the value for a change of the forward by 1.
    gamma : ndarray of float64
        Change of delta for a change of the forward by 1; 0 without volatility.
    vega : ndarray of float64
        Change of the value for a change of the volatility by 1: by 100 %, under ``bachelier`` by one price unit.
    theta : ndarray of float64
        Change of the value in a year that passes while forward, volatility and rate stay; a day is 1 / 365 of it.
        0 once expired.
    rho : ndarray of float64
        Change of the value for a change of the rate by 1, the forward fixed.
    """

    value: NDArray[np.float64]
    delta: NDArray[np.float64]
    gamma: NDArray[np.float64]
    vega: NDArray[np.float64]
    theta: NDArray[np.float64]
    rho: NDArray[np.float64]


class ImpliedVolatility(NamedTuple):
    """Volatilities behind prices; arrays of one shape.

    Attributes
    ----------
    volatility : ndarray of float64
        Per square root of a year, >= 0; NaN where the status is not "ok".
    status : ndarray of str
        "ok"; "below_intrinsic" (less than exercise alone is worth); "above_bound" (no volatility reaches it: the
        forward for a call, the strike for a put); "expired" (no time is left); "invalid_input" (not finite, or a
        forward or strike that is not > 0); "not_found" (the search ended without an answer).
    """

    volatility: NDArray[np.float64]
    status: NDArray[np.str_]


def black76(
    forward: ArrayLike,
    strike: ArrayLike,
    volatility: ArrayLike,
    expiry_years: ArrayLike,
    right: ArrayLike = "call",
    *,
    rate: ArrayLike = 0.0,
    inverse: bool = False,
) -> OptionValues:
    """Return value and greeks of options on a forward that is lognormal at expiry (Black 1976).

    Parameters
    ----------
    forward : array_like
        Price of the underlying for delivery at expiry, > 0. This and all that follow are broadcast.
    strike : array_like
        Price paid on exercise, > 0.
    volatility : array_like
        >= 0, per square root of a year: 0.6 is 60 %.
    expiry_years : array_like
        Years of 365 days, >= 0. At 0, and without volatility, the value is the discounted intrinsic one.
    right : array_like of str, default "call"
        "call" or "put".
    rate : array_like, default 0
        Continuously compounded, per year; 0 for a futures-style option.
    inverse : bool, default False
        Whether they are settled in coin: a value of ``value / forward``, and its greeks.

    Returns
    -------
    OptionValues
        Exact to 1e-12 of the larger of forward and strike. The bits depend neither on threads nor on the processor.

    Raises
    ------
    ColumnError
        What is no number, or shapes that cannot be broadcast.
    InputError
        A number out of its bounds, a right that is neither, or a figure beyond the range of floats; the row counts
        through the broadcast arrays.

    Examples
    --------
    >>> values = xm.black76(60_000, [50_000, 60_000, 70_000], 0.6, 30 / 365, "put")
    >>> values.value.round(2)
    array([  697.74,  4112.36, 11124.96])
    >>> (values.vega / 100).round(2)  # for one point of volatility
    array([35.59, 68.37, 49.43])

    In coin, a call is never worth more than 1:

    >>> xm.black76(60_000, 50_000, 0.6, 30 / 365, inverse=True).value.round(6)
    np.float64(0.178296)
    """
    columns = _columns(forward=forward, strike=strike, volatility=volatility, expiry_years=expiry_years, rate=rate)
    return _values(columns, right, normal=False, inverse=inverse)


def bachelier(
    forward: ArrayLike,
    strike: ArrayLike,
    volatility: ArrayLike,
    expiry_years: ArrayLike,
    right: ArrayLike = "call",
    *,
    rate: ArrayLike = 0.0,
) -> OptionValues:
    """Return value and greeks of options on a forward that is normal at expiry, so that prices may be negative.

    Parameters
    ----------
    forward : array_like
        Price of the underlying for delivery at expiry. This and all that follow are broadcast.
    strike : array_like
        Price paid on exercise.
    volatility : array_like
        >= 0, in price units per square root of a year.
    expiry_years, right, rate
        As of :func:`black76`.

    Returns
    -------
    OptionValues
        As of :func:`black76`.

    Raises
    ------
    ColumnError, InputError
        As of :func:`black76`.

    Examples
    --------
    Oil at a negative price:

    >>> xm.bachelier(-37.63, -30.0, 80.0, 0.02, ["call", "put"]).value.round(4)
    array([1.6877, 9.3177])
    """
    columns = _columns(forward=forward, strike=strike, volatility=volatility, expiry_years=expiry_years, rate=rate)
    return _values(columns, right, normal=True, inverse=False)


def implied_volatility(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    expiry_years: ArrayLike,
    right: ArrayLike = "call",
    *,
    rate: ArrayLike = 0.0,
    inverse: bool = False,
    model: Literal["black76", "bachelier"] = "black76",
) -> ImpliedVolatility:
    """Return the volatility at which a model gives each price, and why where there is none.

    Parameters
    ----------
    price : array_like
        What the option costs today; in coin if inverse. This and all that follow are broadcast. NaN is no quote.
    forward, strike, expiry_years, right, rate, inverse
        As of :func:`black76`.
    model : "black76" or "bachelier"
        The model that is meant.

    Returns
    -------
    ImpliedVolatility
        One volatility and one status for each price: a row that has no volatility is no error. An intrinsic price,
        within rounding, has volatility 0.

    Raises
    ------
    ColumnError
        What is no number, or shapes that cannot be broadcast.
    InputError
        A right or model that is not known.

    Examples
    --------
    >>> quotes = xm.implied_volatility([4112.36, 9_000, 11_000], 60_000, [60_000, 70_000, 70_000], 30 / 365, "put")
    >>> quotes.volatility.round(4)
    array([0.6   ,    nan, 0.5743])
    >>> quotes.status
    array(['ok', 'below_intrinsic', 'ok'], dtype='<U15')
    """
    if model not in ("black76", "bachelier"):
        raise InputError(f"model: no model {model!r}{hint(str(model), ['black76', 'bachelier'])}")
    if inverse and model == "bachelier":
        raise InputError("inverse: a coin-settled option has no normal model, whose forward may be 0")
    columns = _columns(price=price, forward=forward, strike=strike, expiry_years=expiry_years, rate=rate)
    inputs, is_call, shape = _flat(columns, right)
    volatility, status = _core.implied_volatility(inputs, is_call, model == "bachelier", inverse)
    names = np.array(_core.implied_statuses())
    return ImpliedVolatility(volatility.reshape(shape)[()], names[status].reshape(shape)[()])


def _values(columns: dict[str, NDArray[np.float64]], right: ArrayLike, *, normal: bool, inverse: bool) -> OptionValues:
    inputs, is_call, shape = _flat(columns, right)
    figures = _core.option_greeks(inputs, is_call, normal, inverse)
    return OptionValues(*(figure.reshape(shape)[()] for figure in figures))


def _columns(**given: ArrayLike) -> dict[str, NDArray[np.float64]]:
    return {name: numbers("options", name, values) for name, values in given.items()}


def _flat(
    columns: dict[str, NDArray[np.float64]], right: ArrayLike
) -> tuple[list[NDArray[np.float64]], NDArray[np.bool_], tuple[int, ...]]:
    """Return flat columns of one length, which options are calls, and the shape of them all."""
    is_call = _is_call(right)
    shape = common_shape("options", {**columns, "right": is_call})
    return [flat(column, shape) for column in columns.values()], flat(is_call, shape), shape


def _is_call(right: ArrayLike) -> NDArray[np.bool_]:
    rights = np.asarray(right)
    if rights.dtype.kind not in "UOT":
        raise InputError(f"right: 'call' or 'put' is needed, not {rights.dtype}")
    is_call = np.asarray(rights == "call", dtype=np.bool_)
    neither = ~(is_call | np.asarray(rights == "put", dtype=np.bool_))
    if neither.any():
        raise InputError(f"right: {rights[neither].flat[0]!s} is neither 'call' nor 'put'")
    return is_call
