"""Cross margin and isolated margin: what backs a position is the whole pool, or its own part alone."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from xmfast import _core
from xmfast.book import Book
from xmfast.errors import InputError
from xmfast.frames import Frame, read_frame
from xmfast.in_process import InProcess
from xmfast.market import Market
from xmfast.report import MarginReport
from xmfast.universe import Universe, core_universe


class LinearModel(InProcess):
    """What the models have in common that charge rates of notional: parameters, and ``evaluate``."""

    __slots__ = ("_core", "_universe")
    _core: _core.LinearModel
    _universe: Universe
    _every_position_alone: ClassVar[bool]

    @classmethod
    def from_frames(cls, universe: Universe, collateral: Frame | None = None, margin: Frame | None = None) -> Self:
        """Build the model from its parameters.

        Parameters
        ----------
        universe : Universe
            What the ids refer to.
        collateral : frame, optional
            Column ``asset`` and any of ``initial_haircut``, ``maintenance_haircut`` (part of a positive net balance
            that does not count: 0 to 1, initial >= maintenance, default 0), ``initial_liability_weight``,
            ``maintenance_liability_weight`` (what a negative net balance counts: >= 1, initial >= maintenance,
            default 1), ``unrealized_gain_share`` (part of an unrealized gain that counts as collateral: 0 to 1,
            default 1) and ``amount_cap`` (asset units of one account above which nothing counts; null for none). An
            asset without a row counts in full. Haircut tiers are further rows of an asset with ``amount_floor``
            (asset units of one account; default 0): each row's haircuts apply to the part of the net balance between
            its floor and the next. They may not fall with size.
        margin : frame, optional
            Columns ``instrument``, ``initial_rate`` and ``maintenance_rate``: fractions of notional, >= 0,
            maintenance <= initial. Whatever is held needs a row. Optional: ``close_out_fee_rate`` (added to the
            maintenance rate; the sum may not exceed the initial rate; default 0) and ``margin_floor_per_contract``
            (least margin of one contract, numeraire; default 0). Brackets are further rows of an instrument with
            ``notional_floor`` (numeraire, of one account; default 0): each row's rates apply to the part of the
            notional between its floor and the next. They may not fall with size.

            What belongs to the asset or instrument as a whole stands in the row with floor 0; further rows repeat it
            or leave it null.

        Raises
        ------
        ParameterError
            A parameter outside its bounds.
        ColumnError, DuplicateError, UnknownIdError, InputError
            As for every frame.

        Examples
        --------
        Two haircut tiers and two brackets:

        >>> xm.CrossMargin.from_frames(
        ...     universe,
        ...     collateral={"asset": ["BTC", "BTC"], "amount_floor": [0, 100], "initial_haircut": [0.1, 0.2]},
        ...     margin={
        ...         "instrument": ["BTC-PERP", "BTC-PERP"],
        ...         "notional_floor": [0, 1_000_000],
        ...         "initial_rate": [0.05, 0.10],
        ...         "maintenance_rate": [0.02, 0.05],
        ...     },
        ... )
        CrossMargin(Universe(2 assets, 1 instrument, 1 underlying, numeraire 'USD'))
        """
        model = cls.__new__(cls)
        model._universe = universe
        model._core = _core.LinearModel(
            core_universe(universe),
            read_frame("collateral", collateral),
            read_frame("margin", margin),
            cls._every_position_alone,
        )
        return model

    def __init__(self) -> None:
        raise TypeError(f"use {type(self).__name__}.from_frames(...)")

    @property
    def universe(self) -> Universe:
        """What the parameters refer to."""
        return self._universe

    def evaluate(self, book: Book, market: Market) -> MarginReport:
        """Say for every account what it is worth, what margin it needs, and whether it is safe.

        Parameters
        ----------
        book : Book
            Who holds what.
        market : Market
            Prices of all that is held.

        Returns
        -------
        MarginReport
            One row per account, and ``report.isolated`` with one row per position that stands alone. The same bits on
            any number of threads and on every instruction set; every decision is that of exact arithmetic on the
            decimals given.

        Raises
        ------
        UniverseMismatchError
            The three were not built on one universe.
        MissingPriceError, MissingParameterError
            Something held has no price or no margin rates.
        RangeError
            A result that 64-bit floating point cannot hold.

        Examples
        --------
        >>> model.evaluate(book, market).health
        array([57000. ,  -120.4])
        """
        return MarginReport(self._core.evaluate(*core_inputs(book, market)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._universe!r})"


class CrossMargin(LinearModel):
    """One pool of collateral behind all positions and loans of an account. Make one with :meth:`from_frames`.

    Notes
    -----
    Per account and asset ``a``, profit and loss of the positions settled in ``a`` is netted with the balance before
    anything is weighed::

        unrealized_a     = sum of quantity x (unit_value(mark) - unit_value(entry))
        net_a            = balance_a x interest index + unrealized_a
        equity           = sum of net_a x index_price_a
        collateral_value = sum of net_a x index_price_a x (1 - haircut_a if net_a >= 0 else liability_weight_a)
        margin           = sum of notional x rate          (options: short side alone, both if futures-style)
        health           = collateral_value - maintenance_margin

    ``unit_value`` is ``m x (price - cumulative funding)`` for a linear contract, ``m x price`` for an option and
    ``-m x (1 / price + cumulative funding)`` for an inverse contract; notional follows the mark price alone. Haircuts
    and rates may have tiers, which are marginal.

    Open orders count in ``initial_margin`` alone. The exposure of an instrument is its position after the worse side
    of the account's orders, ``max(|quantity + bids|, |quantity - asks|)``; to that comes the opening loss, what would
    be lost at once if bids above the mark (or asks below it) were filled. Reduce-only orders add nothing. An account
    with a ``leverage_cap`` needs at least ``notional / leverage_cap``.

    A position with ``isolated_margin`` adds nothing to its account's row: it stands in ``report.isolated``, with its
    orders.
    """

    __slots__ = ()
    _every_position_alone = False


class IsolatedMargin(LinearModel):
    """Every position on its own: the baseline that cross margin is compared with.

    Notes
    -----
    ``report.isolated`` has one row for every position. One with ``isolated_margin`` is backed by that. The others are
    given the account's pool, what its balances are worth, pro rata to their initial margin. The account's own row keeps
    what nobody was given: all of the pool if no position needs margin, else nothing. Formulas and parameters are those
    of :class:`CrossMargin`.

    Examples
    --------
    >>> isolated = xm.IsolatedMargin.from_frames(
    ...     universe, margin={"instrument": ["BTC-PERP"], "initial_rate": [0.05], "maintenance_rate": [0.02]}
    ... )
    >>> isolated.evaluate(book, market).isolated.health
    array([-120.4])
    """

    __slots__ = ()
    _every_position_alone = True


def core_model(model: Any) -> _core.LinearModel:
    """Return the core's model, or say what was passed instead."""
    if not isinstance(model, LinearModel):
        raise TypeError(f"model: a margin model is needed, not {type(model).__name__}")
    return model._core


def core_pool(model: Any) -> _core.LinearModel:
    """Return the core's model of a kind under which an account has figures as a whole, or say what is needed."""
    if isinstance(model, IsolatedMargin):
        raise InputError("model: a CrossMargin is needed; under IsolatedMargin an account has no health as a whole")
    return core_model(model)


def core_inputs(book: Any, market: Any) -> tuple[_core.Book, _core.Market]:
    """Return the core's book and market, or say what was passed instead."""
    if not isinstance(book, Book):
        raise TypeError(f"book: a Book is needed, not {type(book).__name__}")
    return book._core, core_market(market)


def core_market(market: Any) -> _core.Market:
    """Return the core's market, or say what was passed instead."""
    if not isinstance(market, Market):
        raise TypeError(f"market: a Market is needed, not {type(market).__name__}")
    return market._core
