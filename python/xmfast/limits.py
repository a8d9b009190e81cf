"""How much an account may still do: buy or sell, withdraw, pass on; and the cheapest collateral for a need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from xmfast import _core
from xmfast.book import Book
from xmfast.cross import LinearModel, core_inputs, core_model, core_pool
from xmfast.errors import InputError
from xmfast.frames import Id, Number
from xmfast.market import Market


class BuyingPower(NamedTuple):
    """Contracts of the largest order to buy (``long``) and to sell (``short``), >= 0; inf where nothing limits it."""

    long: float
    short: float


class BookBuyingPower(NamedTuple):
    """:class:`BuyingPower` of every account: two arrays in order of ``book.accounts``."""

    long: NDArray[np.float64]
    short: NDArray[np.float64]


class Transferable(NamedTuple):
    """What one account may pass to another, asset units."""

    least: float | None
    """The smallest amount after which the target's initial health is >= 0; None if no amount does it."""
    most: float
    """The largest that the source may let go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The cheapest collateral for a need. Made by :func:`cheapest_collateral`."""

    amounts: dict[Id, float]
    """Asset units by asset, 0 for what is not needed; rounded so that the need is covered."""
    value: float
    """What they count as collateral, numeraire."""
    cost: float
    """What locking them costs a year, numeraire."""


@overload
def buying_power(
    book: Book, market: Market, model: LinearModel, account: None, instrument: Id, price: Number | None = None
) -> BookBuyingPower: ...
@overload
def buying_power(
    book: Book, market: Market, model: LinearModel, account: Id, instrument: Id, price: Number | None = None
) -> BuyingPower: ...
def buying_power(
    book: Book, market: Market, model: LinearModel, account: Id | None, instrument: Id, price: Number | None = None
) -> BuyingPower | BookBuyingPower:
    """Return the largest new order with which an account's initial health is still >= 0.

    Parameters
    ----------
    book : Book
        Who holds what.
    market : Market
        Prices of all that is held, and of the instrument.
    model : CrossMargin
        What is required.
    account : str, int or None
        One account; None: all of them.
    instrument : str or int
        What is ordered.
    price : float, optional
        Limit price, quote; the mark if left out. An order at a worse price than the mark loses the difference at once.

    Returns
    -------
    BuyingPower or BookBuyingPower
        Contracts to buy and to sell. Of one account exact, and rounded down so that the order passes; of all accounts
        in 64-bit floats. 0 where initial health is below 0: such an account may only reduce. inf where nothing limits
        the order, as in buying options, which are worth what they cost.

    Raises
    ------
    UnknownIdError, UniverseMismatchError, MissingPriceError, MissingParameterError
    InputError
        A price that the instrument cannot have, or an :class:`IsolatedMargin` model.

    Notes
    -----
    The order is added to the account's open orders in the instrument: exposure is the worse side, brackets and the
    leverage cap apply to it, and what is lost at once counts (see :class:`CrossMargin`). In an instrument in which the
    account has an isolated position, the order is backed by what is posted for that.

    Examples
    --------
    >>> xm.buying_power(book, market, model, "alice", "BTC-PERP")
    BuyingPower(long=17.970049916805323, short=17.970049916805323)
    >>> xm.buying_power(book, market, model, "alice", "BTC-PERP", 61_000)
    BuyingPower(long=13.828425096030728, short=17.970049916805323)
    """
    cores = (core_pool(model), *core_inputs(book, market))
    if account is None:
        return BookBuyingPower(*_core.book_buying_power(*cores, instrument, price))
    return BuyingPower(*_core.account_buying_power(*cores, account, instrument, price))


@overload
def withdrawable(
    book: Book, market: Market, model: LinearModel, account: None, asset: Id, *, unrealized_gain_share: Number = 0
) -> NDArray[np.float64]: ...
@overload
def withdrawable(
    book: Book, market: Market, model: LinearModel, account: Id, asset: Id, *, unrealized_gain_share: Number = 0
) -> float: ...
def withdrawable(
    book: Book,
    market: Market,
    model: LinearModel,
    account: Id | None,
    asset: Id,
    *,
    unrealized_gain_share: Number = 0,
) -> float | NDArray[np.float64]:
    """Return what an account may withdraw of an asset.

    Parameters
    ----------
    book : Book
        Who holds what.
    market : Market
        Prices of all that is held, and of the asset.
    model : CrossMargin
        What is required.
    account : str, int or None
        One account; None: all of them.
    asset : str or int
        What is withdrawn.
    unrealized_gain_share : float, optional
        Part of unrealized gains that may back what is left, 0 to 1; where the model's own share is smaller, that.

    Returns
    -------
    float or array
        Asset units, interest counted: ``min(max(cash, 0), the largest amount that leaves initial health >= 0)``; 0
        where initial health is below 0. Of one account exact, rounded down; of all accounts in 64-bit floats.

    Raises
    ------
    UnknownIdError, UniverseMismatchError, MissingPriceError, MissingParameterError, ParameterError
    InputError
        An :class:`IsolatedMargin` model.

    Examples
    --------
    >>> xm.withdrawable(book, market, model, "alice", "BTC")
    1.0
    >>> xm.withdrawable(book, market, model, None, "USD")
    array([0., 0.])
    """
    cores = (core_pool(model), *core_inputs(book, market))
    if account is None:
        return _core.book_withdrawable(*cores, asset, unrealized_gain_share)
    return _core.account_withdrawable(*cores, account, asset, unrealized_gain_share)


def transferable(
    book: Book,
    market: Market,
    model: LinearModel,
    source: Id,
    target: Id,
    asset: Id,
    *,
    unrealized_gain_share: Number = 0,
) -> Transferable:
    """Return how much of an asset one account may pass to another, and how much the other needs.

    Parameters
    ----------
    book, market, model
        As for :func:`withdrawable`.
    source, target : str or int
        Accounts.
    asset : str or int
        What is transferred.
    unrealized_gain_share : float, optional
        As for :func:`withdrawable`, of the source.

    Returns
    -------
    Transferable
        With any amount from ``least`` to ``most`` both accounts have initial health >= 0 afterwards. If ``least`` is
        None or above ``most``, no transfer does it.

    Raises
    ------
    UnknownIdError, UniverseMismatchError, MissingPriceError, MissingParameterError, ParameterError
    InputError
        One account as source and target, or an :class:`IsolatedMargin` model.

    Examples
    --------
    >>> xm.transferable(book, market, model, "alice", "bob", "BTC")
    Transferable(least=0.008907407407407409, most=1.0)
    """
    cores = (core_pool(model), *core_inputs(book, market))
    return Transferable(*_core.account_transferable(*cores, (source, target), asset, unrealized_gain_share))


def cheapest_collateral(
    market: Market,
    model: LinearModel,
    need: Number,
    available: Mapping[Any, Number],
    cost_rate: Mapping[Any, Number],
    *,
    weights: Literal["initial", "maintenance"] = "initial",
) -> Lock:
    """Return the cheapest collateral that counts for a need.

    Parameters
    ----------
    market : Market
        Index prices of what is available.
    model : CrossMargin or IsolatedMargin
        Its haircuts, by amount locked.
    need : float
        Collateral value that is needed, numeraire, >= 0.
    available : dict
        Asset units that could be locked, >= 0, by asset.
    cost_rate : dict
        What locking an asset costs a year per unit of its market value, >= 0, by asset.
    weights : {"initial", "maintenance"}, optional
        Which haircuts count.

    Returns
    -------
    Lock
        Amounts, their collateral value and their cost.

    Raises
    ------
    InputError
        All that is available does not cover the need, a number is below 0, or the two dicts name different assets.
    UnknownIdError, MissingPriceError

    Notes
    -----
    Greedy by cost per unit of collateral value, ``cost_rate / (1 - haircut)``. That is the optimum of the linear
    program, because haircuts may not fall with size: the cheap part of an asset comes before its dear part anyway.

    Examples
    --------
    >>> xm.cheapest_collateral(market, model, 30_000, {"USD": 20_000, "BTC": 1}, {"USD": 0.05, "BTC": 0.01})
    Lock(amounts={'USD': 0.0, 'BTC': 0.5555555555555556}, value=30000.0, cost=333.3333333333333)
    """
    if weights not in ("initial", "maintenance"):
        raise InputError(f"weights: 'initial' or 'maintenance' is needed, not {weights!r}")
    core = core_model(model)
    if not isinstance(market, Market):
        raise TypeError(f"market: a Market is needed, not {type(market).__name__}")
    for asset in cost_rate:
        if asset not in available:
            raise InputError(f"available: nothing is said of {asset!r}, which has a cost_rate")
    offers: dict[Any, tuple[Any, Any]] = {}
    for asset, amount in available.items():
        if asset not in cost_rate:
            raise InputError(f"cost_rate: nothing is said of {asset!r}, which is available")
        offers[asset] = (amount, cost_rate[asset])
    amounts, value, cost = _core.cheapest(core, market._core, need, offers, weights == "initial")
    return Lock(amounts=amounts, value=value, cost=cost)
