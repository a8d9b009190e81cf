"""Liquidation and bankruptcy prices: the mark price at which a whole account reaches its threshold."""

from __future__ import annotations

from typing import overload

import numpy as np
from numpy.typing import NDArray

from xmfast import _core
from xmfast.book import Book
from xmfast.cross import LinearModel, core_inputs, core_model
from xmfast.errors import InputError
from xmfast.frames import Id
from xmfast.market import Market


@overload
def liquidation_price(book: Book, market: Market, model: LinearModel) -> NDArray[np.float64]: ...
@overload
def liquidation_price(book: Book, market: Market, model: LinearModel, account: Id, instrument: Id) -> float | None: ...
def liquidation_price(
    book: Book, market: Market, model: LinearModel, account: Id | None = None, instrument: Id | None = None
) -> float | NDArray[np.float64] | None:
    """Return the mark price of an instrument at which the whole account's health is 0, all else fixed.

    Parameters
    ----------
    book : Book
        Who holds what.
    market : Market
        Prices of all that is held.
    model : CrossMargin or IsolatedMargin
        What is required.
    account, instrument : str or int, optional
        One position. Left out: every position of the book.

    Returns
    -------
    float, None or array
        Of one position: the price, correctly rounded from exact arithmetic; None if no price that the instrument can
        have does it, or there is no position. Of the book: an array of 64-bit floats in the order of
        ``book.positions``, NaN where there is none.

    Raises
    ------
    UnknownIdError, UniverseMismatchError, MissingPriceError, MissingParameterError

    Notes
    -----
    It is the nearest mark on the losing side: below the mark for a long position, above it for a short one, and the
    mark itself where health is 0. Of an account that is liquidatable already it is the nearest mark on the gaining
    side, where it would be healthy again: a liquidation price above the mark of a long position says that the mark
    has passed it. :func:`liquidation_prices` has all of them.

    Everything that moves with the mark moves: profit and loss, the position's margin and its bracket, the net balance
    with its haircut tiers, its sign and the part of gains that counts. Everything else (other positions' margin,
    loans, collateral) stays as it is; :func:`liquidation_move` moves several prices at once. Because haircuts and
    rates may not fall with size, health is concave in the value of a contract, so that the prices at which an account
    is healthy form one interval: each end is found by a division, not by a search.

    A position with ``isolated_margin``, and every position under :class:`IsolatedMargin`, has the price at which its
    own health is 0; what the pool gives it is held fixed.

    Examples
    --------
    >>> xm.liquidation_price(book, market, model, "bob", "BTC-PERP")
    60714.28571428572
    >>> xm.liquidation_price(book, market, model)
    array([60714.28571429])
    """
    return _price(book, market, model, account, instrument, bankruptcy=False)


@overload
def bankruptcy_price(book: Book, market: Market, model: LinearModel) -> NDArray[np.float64]: ...
@overload
def bankruptcy_price(book: Book, market: Market, model: LinearModel, account: Id, instrument: Id) -> float | None: ...
def bankruptcy_price(
    book: Book, market: Market, model: LinearModel, account: Id | None = None, instrument: Id | None = None
) -> float | NDArray[np.float64] | None:
    """Return the mark price of an instrument at which the whole account's equity is 0, all else fixed.

    Parameters, results and errors are those of :func:`liquidation_price`.

    Examples
    --------
    >>> xm.bankruptcy_price(book, market, model, "bob", "BTC-PERP")
    59500.0
    """
    return _price(book, market, model, account, instrument, bankruptcy=True)


def liquidation_prices(book: Book, market: Market, model: LinearModel, account: Id, instrument: Id) -> list[float]:
    """Return all mark prices of an instrument at which the whole account's health is 0, ascending.

    There are at most two, and the mark itself where health is 0: between them the account is healthy. See
    :func:`liquidation_price`, also for parameters and errors.

    Examples
    --------
    >>> xm.liquidation_prices(book, market, model, "bob", "BTC-PERP")
    [60714.28571428572]
    """
    _, prices = _core.account_prices(core_model(model), *core_inputs(book, market), account, instrument, False)
    return prices


def _price(
    book: Book,
    market: Market,
    model: LinearModel,
    account: Id | None,
    instrument: Id | None,
    *,
    bankruptcy: bool,
) -> float | NDArray[np.float64] | None:
    cores = (core_model(model), *core_inputs(book, market))
    if account is None and instrument is None:
        return _core.book_prices(*cores, bankruptcy)
    if account is None or instrument is None:
        raise InputError("account and instrument go together; leave out both for every position of the book")
    price, _ = _core.account_prices(*cores, account, instrument, bankruptcy)
    return price
