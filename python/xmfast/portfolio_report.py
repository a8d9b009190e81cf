"""What a model by scenarios says of every account."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xmfast import _core
from xmfast.close_names import hint
from xmfast.errors import UnknownIdError
from xmfast.explanation import ExplainedLine, Explanation
from xmfast.frames import Id
from xmfast.report import MarginReport
from xmfast.scenario_losses import ScenarioLosses

if TYPE_CHECKING:
    import pandas

_SCAN_RISK, _SHORT_OPTION, _CONCENTRATION, _FLOOR = range(4)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RiskArrays:
    """What one long contract of each instrument loses in each scenario; a loss is positive, numeraire.

    ``losses`` has shape (I, S): weights counted, scenarios of all sets one after the other. A portfolio's loss in a
    scenario is the sum of quantity times loss: anyone can replicate its margin.

    After the instruments come the assets that move inside the scenarios (``in_scenario``), with what one unit of a
    net balance loses: cash with interest, less entry cost. A contract that settles in one and moves together with it
    loses its present value as well, at the shocked index price; where it moves apart, its present value belongs to the
    net balance.
    """

    _ids: tuple[Id, ...]
    losses: NDArray[np.float64]

    @property
    def instruments(self) -> list[Id]:
        """Ids of the rows of :attr:`losses`."""
        return list(self._ids)

    def __getitem__(self, instrument: Id) -> NDArray[np.float64]:
        """Return the losses of one instrument, shape (S,)."""
        if instrument not in self._ids:
            known = [str(name) for name in self._ids]
            raise UnknownIdError(f"risk arrays: no instrument {instrument!r}{hint(str(instrument), known)}")
        losses: NDArray[np.float64] = self.losses[self._ids.index(instrument)]
        return losses

    def __repr__(self) -> str:
        instruments, scenarios = self.losses.shape
        return f"RiskArrays({instruments:,} instruments, {scenarios:,} scenarios)"


class PortfolioReport(MarginReport):
    """A :class:`MarginReport` with the risk behind it; arrays of shape (A,), numeraire.

    In a frame ``scan_risk``, ``worst_scenario`` (null where there is no loss) and the contingencies come last.

    Examples
    --------
    >>> model = xm.PortfolioMargin(universe, scenarios=xm.Scenarios(price_shock=[-0.10, 0.10]), margin_floor=2_000)
    >>> report = model.evaluate(book, market)
    >>> report.contingencies["margin_floor"]
    array([  0., 798.])
    >>> [(line.what, float(line.maintenance_margin)) for line in report.explain("bob").lines[-2:]]
    [('scan risk', 1202.0), ('margin floor', 798.0)]
    """

    __slots__ = ("_risk", "_risk_rows")

    def __init__(self, core: _core.Report, risk: _core.Risk) -> None:
        super().__init__(core)
        self._risk = risk
        self._risk_rows = risk.rows()

    @property
    def scan_risk(self) -> NDArray[np.float64]:
        """Worst loss of the scenarios, or the quantile of a history; >= 0."""
        return self.maintenance_margin if self._risk_rows is None else self._risk_rows[:, _SCAN_RISK]

    @property
    def worst_scenario(self) -> NDArray[np.int64]:
        """Number of the scenario of the largest loss, through all sets; -1 where there is no loss."""
        return self._once("worst_scenario", self._risk.worst_scenario)

    @property
    def contingencies(self) -> dict[str, NDArray[np.float64]]:
        """What is charged beyond ``scan_risk``, by name; together with it they are the maintenance margin."""
        charged = {"short_option_minimum": _SHORT_OPTION, "concentration": _CONCENTRATION, "margin_floor": _FLOOR}
        if self._risk_rows is None:
            return {name: np.zeros(len(self.accounts)) for name in charged}
        return {name: self._risk_rows[:, column] for name, column in charged.items()}

    def explain(self, account: Id, instrument: Id | None = None) -> Explanation:
        """Say which leg, weight, scenario or floor made the figures of an account; see :meth:`MarginReport.explain`."""
        collateral = super().explain(account, instrument)
        lines = [
            ExplainedLine(
                kind=kind,
                maintenance_margin=Fraction(maintenance),
                initial_margin=Fraction(initial),
                health=-Fraction(maintenance),
                initial_health=-Fraction(initial),
            )
            for kind, maintenance, initial in self._risk.requirement(self._row(account), instrument)
        ]
        return Explanation(collateral.title, (*collateral.lines, *lines), collateral.figures)

    def scenario_losses(self, account: Id) -> ScenarioLosses:
        """Return what each leg of an account (a position; what it has in an asset that moves) loses in each scenario.

        Examples
        --------
        >>> model = xm.PortfolioMargin(universe, scenarios=xm.Scenarios(price_shock=[-0.10, 0.10]))
        >>> model.evaluate(book, market).scenario_losses("bob")
        Losses of account bob: 1 leg, the worst 2 of 2 scenarios
        leg       quantity  scenario 0  scenario 1
        BTC-PERP       0.2    1,202.00   -1,202.00
        together              1,202.00   -1,202.00
        """
        legs = self._risk.legs(self._row(account))
        scenarios = self._risk.scenarios()
        return ScenarioLosses(
            account=account,
            instruments=[name if what == "position" else f"{name} {what}" for name, what, _, _ in legs],
            quantity=np.array([quantity for _, _, quantity, _ in legs]),
            losses=np.array([losses for *_, losses in legs]).reshape(len(legs), scenarios),
        )

    def to_pandas(self) -> pandas.DataFrame:
        """Return a pandas DataFrame, one row per account (extra ``frames``)."""
        frame = super().to_pandas()
        from pandas.arrays import IntegerArray

        worst = IntegerArray(self.worst_scenario, self.worst_scenario < 0, copy=True)
        return frame.assign(scan_risk=self.scan_risk, worst_scenario=worst, **self.contingencies)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._risk.arrow_stream(self._core, requested_schema)

    def worst(self, n: int = 10) -> PortfolioReport:
        """Return the report of the ``n`` accounts with the lowest health, lowest first (ties in order of account)."""
        rows = self._lowest(n)
        return PortfolioReport(self._core.take(rows), self._risk.take(rows))
