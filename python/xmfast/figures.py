"""What the reports of accounts and of isolated positions share: figures by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from xmfast import _core
from xmfast.errors import MissingExtraError
from xmfast.in_process import InProcess

if TYPE_CHECKING:
    import pandas

Core = TypeVar("Core", _core.Report, _core.Isolated)

# Columns of the core's result rows that are figures of the report as they stand.
COLUMNS = {
    "equity": 0,
    "collateral_value": 1,
    "initial_collateral_value": 2,
    "maintenance_margin": 3,
    "initial_margin": 4,
    "health": 6,
    "initial_health": 7,
}


class Figures(InProcess, Generic[Core]):
    """Read-only arrays, one entry per row, in the numeraire."""

    __slots__ = ("_cache", "_core", "_rows")
    _instead = "send a frame of its figures, pyarrow.table(report), polars.DataFrame(report) or report.to_pandas()"
    # Attributes that say what a row is, as columns of a frame.
    _keys: tuple[str, ...]

    def __init__(self, core: Core) -> None:
        self._core: Core = core
        self._rows = core.rows()
        self._cache: dict[str, NDArray[Any]] = {}

    def _once(self, name: str, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        if name not in self._cache:
            array = compute()
            array.flags.writeable = False
            self._cache[name] = array
        return self._cache[name]

    def _column(self, name: str) -> NDArray[np.float64]:
        return self._rows[:, COLUMNS[name]]

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
        """Margin needed to add risk, open orders and their opening loss included; >= 0."""
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
        return self._once("liquidatable", lambda: self._core.is_negative(COLUMNS["health"]))

    @property
    def bankrupt(self) -> NDArray[np.bool_]:
        """Whether equity is below 0, strictly."""
        return self._once("bankrupt", lambda: self._core.is_negative(COLUMNS["equity"]))

    def to_pandas(self) -> pandas.DataFrame:
        """Return a pandas DataFrame, one row per entry (extra ``frames``)."""
        try:
            import pandas
        except ModuleNotFoundError as error:
            message = "to_pandas needs pandas, which is not installed: pip install 'xmfast[frames]'"
            raise MissingExtraError(message, name="pandas") from error
        plural = {"account": "accounts", "instrument": "instruments"}
        names = (*self._keys, *_FRAME_COLUMNS)
        return pandas.DataFrame({name: getattr(self, plural.get(name, name)) for name in names})

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._core.__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return len(self._core)


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
