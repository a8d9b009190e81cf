"""What an evaluation says: one row per account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xmfast import _core, display
from xmfast.errors import InputError, MissingExtraError, UnknownIdError
from xmfast.frames import Id

if TYPE_CHECKING:
    import pandas
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


# Columns of the core's result rows that are figures of the report as they stand.
_COLUMNS = {
    "equity": 0,
    "collateral_value": 1,
    "initial_collateral_value": 2,
    "maintenance_margin": 3,
    "initial_margin": 4,
    "health": 6,
    "initial_health": 7,
}


class MarginReport:
    """Margin of every account of a book, in order of ``book.accounts``.

    All figures are read-only arrays of shape (A,) in the numeraire. Those that the kernel writes are strided views of
    one block of memory; the others are computed on first use. ``polars.DataFrame(report)``,
    ``pyarrow.table(report)`` and :meth:`to_pandas` give a frame; ``report[account]`` gives one account.

    Examples
    --------
    >>> report.equity
    array([60000.,   120.])
    >>> report.liquidatable
    array([False,  True])
    >>> report["bob"].maintenance_margin
    240.4
    """

    __slots__ = ("_cache", "_core", "_rows")

    def __init__(self, core: _core.Report) -> None:
        self._core = core
        self._rows = core.rows()
        self._cache: dict[str, NDArray[Any]] = {}

    def _once(self, name: str, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        if name not in self._cache:
            array = compute()
            array.flags.writeable = False
            self._cache[name] = array
        return self._cache[name]

    @property
    def accounts(self) -> NDArray[Any]:
        """Ids of the accounts: int64, or objects of type str."""
        return self._once("accounts", self._core.accounts)

    @property
    def equity(self) -> NDArray[np.float64]:
        """Everything at mark and index price, no haircut; signed."""
        return self._column("equity")

    @property
    def collateral_value(self) -> NDArray[np.float64]:
        """The same under maintenance haircuts and liability weights; signed."""
        return self._column("collateral_value")

    @property
    def initial_collateral_value(self) -> NDArray[np.float64]:
        """The same under initial haircuts and liability weights; signed."""
        return self._column("initial_collateral_value")

    @property
    def initial_margin(self) -> NDArray[np.float64]:
        """Margin needed to add risk; >= 0."""
        return self._column("initial_margin")

    @property
    def maintenance_margin(self) -> NDArray[np.float64]:
        """Margin needed to keep the positions; >= 0, at most the initial margin."""
        return self._column("maintenance_margin")

    @property
    def initial_health(self) -> NDArray[np.float64]:
        """``initial_collateral_value - initial_margin``; signed."""
        return self._column("initial_health")

    @property
    def health(self) -> NDArray[np.float64]:
        """``collateral_value - maintenance_margin``; signed."""
        return self._column("health")

    @property
    def free_collateral(self) -> NDArray[np.float64]:
        """``max(0, initial_health)``."""
        return self._once("free_collateral", lambda: np.maximum(self.initial_health, 0.0))

    @property
    def margin_ratio(self) -> NDArray[np.float64]:
        """``(maintenance_margin + weighted debts) / weighted assets``.

        1 exactly where health is 0, 0 where nothing is owed or required, inf where there are no assets.
        """
        return self._once("margin_ratio", self._core.margin_ratio)

    @property
    def liquidatable(self) -> NDArray[np.bool_]:
        """Whether health is below 0, strictly."""
        return self._once("liquidatable", lambda: self._core.is_negative(_COLUMNS["health"]))

    @property
    def bankrupt(self) -> NDArray[np.bool_]:
        """Whether equity is below 0, strictly."""
        return self._once("bankrupt", lambda: self._core.is_negative(_COLUMNS["equity"]))

    def _column(self, name: str) -> NDArray[np.float64]:
        return self._rows[:, _COLUMNS[name]]

    def __len__(self) -> int:
        return len(self._core)

    def __getitem__(self, account: Id) -> AccountMargin:
        """Return one account by its id."""
        row = self._core.find(account)
        if row is None:
            raise UnknownIdError(f"report: no account {account!r}{self._core.hint(account)}")
        figures: dict[str, Any] = {name: float(self._rows[row, at]) for name, at in _COLUMNS.items()}
        return AccountMargin(
            account=self._core.account(row),
            free_collateral=max(0.0, figures["initial_health"]),
            margin_ratio=self._core.margin_ratio_of(row),
            liquidatable=figures["health"] < 0.0,
            bankrupt=figures["equity"] < 0.0,
            **figures,
        )

    def worst(self, n: int = 10) -> MarginReport:
        """Return the report of the ``n`` accounts with the lowest health, lowest first (ties in order of account)."""
        if n < 0:
            raise InputError(f"n must be >= 0, not {n}")
        health = np.ascontiguousarray(self.health)
        chosen = np.arange(len(health))
        if n < len(health):
            # All that tie with the n-th stay in, so that which ones are named does not depend on the selection.
            chosen = np.flatnonzero(health <= np.partition(health, n)[n]) if n else chosen[:0]
        order = np.argsort(health[chosen], kind="stable")[:n]
        return MarginReport(self._core.take(chosen[order].astype(np.int64)))

    def summary(self) -> ReportSummary:
        """Return counts and sums over all accounts."""
        return ReportSummary(**self._core.summary())

    def figure(self) -> plotly.graph_objects.Figure:
        """Return a histogram of margin ratios against the liquidation threshold (extra ``report``)."""
        from xmfast.picture import margin_ratio_figure

        return margin_ratio_figure(self)

    def to_pandas(self) -> pandas.DataFrame:
        """Return a pandas DataFrame, one row per account (extra ``frames``)."""
        try:
            import pandas
        except ModuleNotFoundError as error:
            message = "to_pandas needs pandas, which is not installed: pip install 'xmfast[frames]'"
            raise MissingExtraError(message, name="pandas") from error
        names = ("accounts", *_FRAME_COLUMNS)
        return pandas.DataFrame({name.replace("accounts", "account"): getattr(self, name) for name in names})

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._core.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return display.report_text(self)

    def _repr_html_(self) -> str:
        return display.report_html(self)


_FRAME_COLUMNS = (
    "equity",
    "collateral_value",
    "initial_collateral_value",
    "initial_margin",
    "maintenance_margin",
    "initial_health",
    "health",
    "free_collateral",
    "margin_ratio",
    "liquidatable",
    "bankrupt",
)
