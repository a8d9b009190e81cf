"""Liquidation along a path: how far prices may move together before a whole account reaches its threshold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from xmfast import _core
from xmfast.book import Book
from xmfast.cross import LinearModel, core_inputs, core_pool
from xmfast.errors import InputError
from xmfast.frames import Id, Number
from xmfast.in_process import InProcess
from xmfast.market import Market
from xmfast.universe import Universe, core_universe


class PricePath(InProcess):
    """By how much each price moves: ``price x (1 + beta x move)``. Make one with ``of_underlying`` or ``of_betas``."""

    __slots__ = ("_core", "_universe")
    _core: _core.PricePath
    _universe: Universe

    @classmethod
    def of_underlying(cls, universe: Universe, underlying: Id, followers: Iterable[Id] = ()) -> PricePath:
        """Let an underlying move, and all that follows it one to one.

        Parameters
        ----------
        universe : Universe
            What the ids refer to.
        underlying : str or int
            Its index price moves (and so the coin, if it is an asset), with perpetuals and futures on it.
        followers : iterable of ids
            Assets, underlyings or instruments that move by the same part: wrapped and staked tokens.

        Examples
        --------
        >>> path = xm.PricePath.of_underlying(universe, "BTC")
        >>> path.apply(market, -0.10).mark_price
        array([54090.])
        """
        if underlying not in universe.index_names:
            core_universe(universe)
            if underlying in universe.instruments:
                raise InputError(f"underlying: {underlying!r} is an instrument; an asset or underlying is needed")
        if isinstance(followers, str):
            raise TypeError(f"followers: a list of ids is needed, not {followers!r}")
        return cls.of_betas(universe, dict.fromkeys([underlying, *followers], 1.0))

    @classmethod
    def of_betas(cls, universe: Universe, betas: Mapping[Any, Number]) -> PricePath:
        """Let everything move in proportion to its beta.

        Parameters
        ----------
        universe : Universe
            What the ids refer to.
        betas : dict
            By asset or underlying: what its index price moves for a move of 1, and with it perpetuals and futures on
            it. By instrument: what its mark moves, whatever its underlying says. What is not named stays.

        Raises
        ------
        UnknownIdError
            An id that the universe does not have.
        InputError
            A beta that is not finite, or of the numeraire.

        Examples
        --------
        >>> path = xm.PricePath.of_betas(universe, {"BTC": 1.0, "BTC-PERP": 1.1})
        >>> path.index_beta, path.mark_beta
        (array([0., 1.]), array([1.1]))
        """
        path = cls.__new__(cls)
        path._universe = universe
        path._core = _core.PricePath(core_universe(universe), dict(betas))
        return path

    def __init__(self) -> None:
        raise TypeError("use PricePath.of_underlying(...) or PricePath.of_betas(...)")

    @property
    def universe(self) -> Universe:
        """What the ids refer to."""
        return self._universe

    @property
    def index_beta(self) -> NDArray[np.float64]:
        """Betas of index prices in the order of ``universe.index_names``."""
        return self._core.index_beta()

    @property
    def mark_beta(self) -> NDArray[np.float64]:
        """Betas of mark prices in the order of ``universe.instruments``; 0 for options unless they are named."""
        return self._core.mark_beta()

    def apply(self, market: Market, move: float) -> Market:
        """Return the market after a move: -0.1 lets what has a beta of 1 fall by a tenth.

        Raises
        ------
        InputError
            A move that takes a price out of its range.
        """
        if not isinstance(market, Market):
            raise TypeError(f"market: a Market is needed, not {type(market).__name__}")
        if isinstance(move, str) or not np.isreal(move):
            raise TypeError(f"move: a number is needed, not {move!r}")
        return market.with_prices(
            index_price=_moved(self._universe.index_names, market.index_price, self.index_beta, move),
            mark_price=_moved(self._universe.instruments, market.mark_price, self.mark_beta, move),
        )

    def __repr__(self) -> str:
        moved = [int(np.count_nonzero(beta)) for beta in (self.index_beta, self.mark_beta)]
        return f"PricePath({moved[0]:,} index prices and {moved[1]:,} marks move)"


def _moved(
    ids: list[Id], prices: NDArray[np.float64], betas: NDArray[np.float64], move: float
) -> dict[Id, float] | None:
    rows = np.flatnonzero((betas != 0) & np.isfinite(prices))
    with np.errstate(all="ignore"):  # what becomes of it is judged by the market
        moved = prices[rows] * (1 + betas[rows] * float(move))
    return {ids[row]: float(price) for row, price in zip(rows, moved, strict=True)} or None


class AccountMove(NamedTuple):
    """How far prices may fall and rise along a path; None if no possible move does it."""

    fall: float | None
    rise: float | None


class BookMoves(NamedTuple):
    """How far prices may fall and rise along a path, one entry per account; NaN if no possible move does it."""

    fall: NDArray[np.float64]
    rise: NDArray[np.float64]


@overload
def liquidation_move(book: Book, market: Market, model: LinearModel, path: PricePath) -> BookMoves: ...
@overload
def liquidation_move(book: Book, market: Market, model: LinearModel, path: PricePath, account: Id) -> AccountMove: ...
def liquidation_move(
    book: Book, market: Market, model: LinearModel, path: PricePath, account: Id | None = None
) -> AccountMove | BookMoves:
    """Return how far prices may move along a path until the whole account's health is 0.

    Parameters
    ----------
    book : Book
        Who holds what.
    market : Market
        Prices of all that is held.
    model : CrossMargin
        What is required.
    path : PricePath
        Which prices move, and how far for a move of 1.
    account : str or int, optional
        One account. Left out: all of them.

    Returns
    -------
    AccountMove or BookMoves
        ``fall`` <= 0 and ``rise`` >= 0: the nearest moves on either side at which health is 0; both are 0 where it
        is 0 already. Of an account that is liquidatable, they are the moves that would make it healthy.

    Raises
    ------
    UnknownIdError, UniverseMismatchError, MissingPriceError, MissingParameterError
    InputError
        An :class:`IsolatedMargin` model, under which an account has no health as a whole.

    Notes
    -----
    All that moves along the path moves: profit and loss of linear and inverse contracts, coins as collateral, loans,
    nets and their weights, notional and its bracket. Isolated positions are not part of the account's pool. Between
    the moves at which a net changes sign or tier, or a notional its bracket, health is a quadratic (of a contract
    settled in a coin that moves too) or a quotient of polynomials, whose zeros are found in closed form or between
    the zeros of its derivative: none is missed. Moves stay where all prices that the account depends on are above 0.

    Examples
    --------
    >>> path = xm.PricePath.of_underlying(universe, "BTC")
    >>> xm.liquidation_move(book, market, model, path, "bob")
    AccountMove(fall=None, rise=0.010221060137865463)
    """
    return _move(book, market, model, path, account, bankruptcy=False)


@overload
def bankruptcy_move(book: Book, market: Market, model: LinearModel, path: PricePath) -> BookMoves: ...
@overload
def bankruptcy_move(book: Book, market: Market, model: LinearModel, path: PricePath, account: Id) -> AccountMove: ...
def bankruptcy_move(
    book: Book, market: Market, model: LinearModel, path: PricePath, account: Id | None = None
) -> AccountMove | BookMoves:
    """Return how far prices may move along a path until the whole account's equity is 0.

    Parameters, results and errors are those of :func:`liquidation_move`.

    Examples
    --------
    >>> path = xm.PricePath.of_underlying(universe, "BTC")
    >>> round(xm.bankruptcy_move(book, market, model, path, "bob").fall, 6)
    -0.009983
    """
    return _move(book, market, model, path, account, bankruptcy=True)


def liquidation_moves(book: Book, market: Market, model: LinearModel, path: PricePath, account: Id) -> list[float]:
    """Return all moves along a path at which the whole account's health is 0, ascending.

    See :func:`liquidation_move`, also for parameters and errors.
    """
    return _core.account_moves(core_pool(model), *core_inputs(book, market), _core_path(path), account, False)


def _move(
    book: Book, market: Market, model: LinearModel, path: PricePath, account: Id | None, *, bankruptcy: bool
) -> AccountMove | BookMoves:
    cores = (core_pool(model), *core_inputs(book, market), _core_path(path))
    if account is None:
        return BookMoves(*_core.book_moves(*cores, bankruptcy))
    moves = _core.account_moves(*cores, account, bankruptcy)
    falls, rises = [move for move in moves if move <= 0], [move for move in moves if move >= 0]
    return AccountMove(falls[-1] if falls else None, rises[0] if rises else None)


def _core_path(path: object) -> _core.PricePath:
    if not isinstance(path, PricePath):
        raise TypeError(f"path: a PricePath is needed, not {type(path).__name__}")
    return path._core
