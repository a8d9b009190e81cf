"""Cross margin: net per settlement asset, weigh, charge a constant rate of notional."""

from __future__ import annotations

from xmfast import _core
from xmfast.book import Book
from xmfast.frames import Frame, read_frame
from xmfast.market import Market
from xmfast.report import MarginReport
from xmfast.universe import Universe, core_universe


class CrossMargin:
    """One pool of collateral behind all positions and loans of an account. Make one with :meth:`from_frames`.

    Notes
    -----
    Per account and asset ``a``, profit and loss of the positions settled in ``a`` is netted with the balance before
    anything is weighed::

        net_a            = balance_a + sum of quantity x (unit_value(mark) - unit_value(entry))
        equity           = sum of net_a x index_price_a
        collateral_value = sum of net_a x index_price_a x (1 - haircut_a if net_a >= 0 else liability_weight_a)
        margin           = sum of notional x rate          (options: short side only)
        health           = collateral_value - maintenance_margin

    ``unit_value`` is ``m x price`` for a linear contract or option and ``-m / price`` for an inverse one.
    """

    __slots__ = ("_core", "_universe")
    _core: _core.CrossMargin
    _universe: Universe

    @classmethod
    def from_frames(
        cls, universe: Universe, collateral: Frame | None = None, margin: Frame | None = None
    ) -> CrossMargin:
        """Build the model from its parameters.

        Parameters
        ----------
        universe : Universe
            What the ids refer to.
        collateral : frame, optional
            Column ``asset`` and any of ``initial_haircut``, ``maintenance_haircut`` (part of a positive net balance
            that does not count: 0 to 1, initial >= maintenance, default 0), ``initial_liability_weight``,
            ``maintenance_liability_weight`` (what a negative net balance counts: >= 1, initial >= maintenance,
            default 1). An asset without a row counts in full.
        margin : frame, optional
            Columns ``instrument``, ``initial_rate`` and ``maintenance_rate``: fractions of notional, >= 0,
            maintenance <= initial. Whatever is held needs a row.

        Raises
        ------
        ParameterError
            A parameter outside its bounds.
        ColumnError, DuplicateError, UnknownIdError, InputError
            As for every frame.

        Examples
        --------
        >>> xm.CrossMargin.from_frames(
        ...     universe,
        ...     collateral={"asset": ["BTC"], "initial_haircut": [0.1], "maintenance_haircut": [0.05]},
        ...     margin={"instrument": ["BTC-PERP"], "initial_rate": [0.05], "maintenance_rate": [0.02]},
        ... )
        CrossMargin(Universe(2 assets, 1 instrument, 1 underlying, numeraire 'USD'))
        """
        model = cls.__new__(cls)
        model._universe = universe
        model._core = _core.CrossMargin(
            core_universe(universe), read_frame("collateral", collateral), read_frame("margin", margin)
        )
        return model

    def __init__(self) -> None:
        raise TypeError("use CrossMargin.from_frames(...)")

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
            One row per account. The same bits on any number of threads and on every instruction set.

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
        for name, value, kind in (("book", book, Book), ("market", market, Market)):
            if not isinstance(value, kind):
                raise TypeError(f"{name}: a {kind.__name__} is needed, not {type(value).__name__}")
        return MarginReport(self._core.evaluate(book._core, market._core))

    def __repr__(self) -> str:
        return f"CrossMargin({self._universe!r})"
