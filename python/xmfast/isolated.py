"""Positions that stand alone: one row each."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmfast import _core, display
from xmfast.errors import InputError, UnknownIdError
from xmfast.explanation import Explanation, explanation
from xmfast.figures import COLUMNS, Figures
from xmfast.frames import Id


class IsolatedReport(Figures[_core.Isolated]):
    """Margin of every isolated position, ordered by account, then by instrument of the universe.

    Figures are those of :class:`MarginReport`, of the position, its profit and loss and its own collateral alone, as
    read-only arrays of shape (P,) in the numeraire. What is lost beyond the collateral (``equity`` below 0) is the
    venue's shortfall, never the account's.

    Examples
    --------
    >>> book = xm.Book.from_frames(
    ...     universe,
    ...     balances={"account": ["bob"], "asset": ["USD"], "balance": [500.0]},
    ...     positions={
    ...         "account": ["bob"],
    ...         "instrument": ["BTC-PERP"],
    ...         "quantity": [0.2],
    ...         "entry_price": [62_000.0],
    ...         "isolated_margin": [400.0],
    ...     },
    ... )
    >>> report = model.evaluate(book, market)
    >>> report["bob"].equity
    500.0
    >>> report.isolated.equity
    array([20.])
    >>> report.isolated.liquidatable
    array([ True])
    """

    # A dictionary holds what is computed once.
    __slots__ = ("__dict__",)
    _keys = ("account", "instrument", "quantity", "isolated_margin", "notional", "unrealized_pnl")

    @property
    def accounts(self) -> NDArray[Any]:
        """Id of each position's account: int64, or objects of type str."""
        return self._once("account", self._core.accounts)

    @property
    def instruments(self) -> NDArray[Any]:
        """Id of each position's instrument: int64, or objects of type str."""
        return self._once("instrument", self._core.instruments)

    @cached_property
    def _facts(self) -> list[NDArray[np.float64]]:
        return self._core.facts()

    @property
    def quantity(self) -> NDArray[np.float64]:
        """Contracts, signed."""
        return self._once("quantity", lambda: self._facts[0])

    @property
    def isolated_margin(self) -> NDArray[np.float64]:
        """Value of what was posted for the position, or of what the pool gave it; no haircut."""
        return self._once("isolated_margin", lambda: self._facts[1])

    @property
    def notional(self) -> NDArray[np.float64]:
        """What the position's size is worth at mark; >= 0."""
        return self._once("notional", lambda: self._facts[2])

    @property
    def unrealized_pnl(self) -> NDArray[np.float64]:
        """Value at mark less value at entry, funding counted; signed."""
        return self._once("unrealized_pnl", lambda: self._facts[3])

    def explain(self, account: Id, instrument: Id) -> Explanation:
        """Say which leg, rate, weight or tier made the figures of one position; see :meth:`MarginReport.explain`."""
        rows = np.flatnonzero((self.accounts == account) & (self.instruments == instrument))
        if len(rows) == 0:
            raise UnknownIdError(f"report: account {account!r} has no isolated position in {instrument!r}")
        row = int(rows[0])
        figures = {name: float(self._rows[row, at]) for name, at in COLUMNS.items()}
        return explanation(f"account {account}, {instrument}", self._core.explain(row), figures)

    def worst(self, n: int = 10) -> IsolatedReport:
        """Return the ``n`` positions with the lowest health, lowest first (ties in order)."""
        if n < 0:
            raise InputError(f"n must be >= 0, not {n}")
        order = np.argsort(self.health, kind="stable")[:n]
        return IsolatedReport(self._core.take(order.astype(np.int64)))

    def __repr__(self) -> str:
        return display.isolated_text(self)

    def _repr_html_(self) -> str:
        return display.isolated_html(self)
