"""What an evaluation says: one row per account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xmfast import _core, display
from xmfast.errors import InputError, UnknownIdError
from xmfast.explanation import Explanation, explanation
from xmfast.figures import COLUMNS, Figures
from xmfast.frames import Id
from xmfast.isolated import IsolatedReport

if TYPE_CHECKING:
    import plotly.graph_objects


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AccountMargin:
    """One account of a :class:`MarginReport`; the fields are its columns, in the numeraire."""

    account: Id
    equity: float
    collateral_value: float
    initial_collateral_value: float
    initial_margin: float
    maintenance_margin: float
    initial_health: float
    health: float
    free_collateral: float
    margin_ratio: float
    liquidatable: bool
    bankrupt: bool

    def __repr__(self) -> str:
        return display.account_text(self)

    def _repr_html_(self) -> str:
        return display.account_html(self)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReportSummary:
    """A whole report in a few figures: counts of accounts, and sums in the numeraire.

    ``below_initial`` counts accounts whose initial health is negative; ``shortfall`` is the sum of
    ``max(0, -equity)``.
    """

    accounts: int
    equity: float
    collateral_value: float
    initial_margin: float
    maintenance_margin: float
    below_initial: int
    liquidatable: int
    bankrupt: int
    shortfall: float

    def __repr__(self) -> str:
        return display.summary_text(self)

    def _repr_html_(self) -> str:
        return display.summary_html(self)


class MarginReport(Figures[_core.Report]):
    """Margin of every account of a book, in order of ``book.accounts``.

    All figures are read-only arrays of shape (A,) in the numeraire. Those that the kernel writes are strided views of
    one block of memory; the others are computed on first use. ``polars.DataFrame(report)``,
    ``pyarrow.table(report)`` and :meth:`to_pandas` give a frame; ``report[account]`` gives one account,
    ``report.explain(account)`` the reason. The report keeps book, market and model alive for that.

    Examples
    --------
    >>> report.equity
    array([60000.,   120.])
    >>> report.liquidatable
    array([False,  True])
    >>> report["bob"].maintenance_margin
    240.4
    """

    __slots__ = ()
    _keys = ("account",)

    @property
    def accounts(self) -> NDArray[Any]:
        """Ids of the accounts: int64, or objects of type str."""
        return self._once("account", self._core.accounts)

    @property
    def isolated(self) -> IsolatedReport:
        """The positions that stand alone, one row each; they add nothing to the accounts' rows."""
        return IsolatedReport(self._core.isolated())

    @property
    def exact_decisions(self) -> int:
        """How many accounts and isolated positions were so near to a threshold that they were decided in exact arithmetic.

        Their figures are the exact ones, correctly rounded; every other decision is proven by an error bound.
        """  # noqa: E501
        return self._core.exact_decisions()

    def __getitem__(self, account: Id) -> AccountMargin:
        """Return one account by its id."""
        row = self._row(account)
        figures: dict[str, Any] = {name: float(self._rows[row, at]) for name, at in COLUMNS.items()}
        return AccountMargin(
            account=self._core.account(row),
            free_collateral=max(0.0, figures["initial_health"]),
            margin_ratio=self._core.margin_ratio_of(row),
            liquidatable=figures["health"] < 0.0,
            bankrupt=figures["equity"] < 0.0,
            **figures,
        )

    def _row(self, account: Id) -> int:
        row = self._core.find(account)
        if row is None:
            raise UnknownIdError(f"report: no account {account!r}{self._core.hint(account)}")
        return row

    def explain(self, account: Id, instrument: Id | None = None) -> Explanation:
        """Say which leg, rate, weight or tier made the figures of an account.

        Parameters
        ----------
        account : str or int
            The account.
        instrument : str or int, optional
            An instrument in which the account has an isolated position: explains that position instead of the pool.

        Returns
        -------
        Explanation
            Lines whose exact parts add up to the exact figures, and what rounding them to 64-bit floats changed.

        Examples
        --------
        >>> why = report.explain("bob")
        >>> [(line.what, float(line.health)) for line in why.lines]
        [('cash USD', 500.0), ('entry cost USD', -12400.0), ('position BTC-PERP', 11779.6)]
        >>> from fractions import Fraction
        >>> sum(line.health for line in why.lines) + why.rounding.health == Fraction(report["bob"].health)
        True
        """
        row = self._row(account)
        if instrument is not None:
            return self.isolated.explain(account, instrument)
        figures = {name: float(self._rows[row, at]) for name, at in COLUMNS.items()}
        return explanation(f"account {account}", self._core.explain(row), figures)

    def worst(self, n: int = 10) -> MarginReport:
        """Return the report of the ``n`` accounts with the lowest health, lowest first (ties in order of account)."""
        return MarginReport(self._core.take(self._lowest(n)))

    def _lowest(self, n: int) -> NDArray[np.int64]:
        """Return the rows of the ``n`` accounts with the lowest health."""
        if n < 0:
            raise InputError(f"n must be >= 0, not {n}")
        health = np.ascontiguousarray(self.health)
        chosen = np.arange(len(health))
        if n < len(health):
            # All that tie with the n-th stay in, so that which ones are named does not depend on the selection.
            chosen = np.flatnonzero(health <= np.partition(health, n)[n]) if n else chosen[:0]
        order = np.argsort(health[chosen], kind="stable")[:n]
        return chosen[order].astype(np.int64)

    def summary(self) -> ReportSummary:
        """Return counts and sums over all accounts; isolated positions are apart."""
        return ReportSummary(**self._core.summary())

    def figure(self) -> plotly.graph_objects.Figure:
        """Return a histogram of margin ratios against the liquidation threshold (extra ``report``)."""
        from xmfast.picture import margin_ratio_figure

        return margin_ratio_figure(self)

    def __repr__(self) -> str:
        return display.report_text(self)

    def _repr_html_(self) -> str:
        return display.report_html(self)
