"""What an account's legs lose in each scenario: which scenario is the worst, and which leg made it so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xmfast.errors import MissingExtraError
from xmfast.frames import Id
from xmfast.tables import amount_texts, html_div, html_lines, id_text, plural, text_lines

if TYPE_CHECKING:
    import plotly.graph_objects as go

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class ScenarioLosses:
    """Losses of one account by leg and scenario, weights counted; a loss is positive, numeraire.

    Made by :meth:`PortfolioReport.scenario_losses`.

    Attributes
    ----------
    account : str or int
        Whose legs they are; isolated positions are apart.
    instruments : list of ids
        What its L legs are: the instruments of its positions; then balances, entry costs and present values in assets
        that move inside the scenarios, named so: ``"BTC balance"``.
    quantity : ndarray of shape (L,)
        Contracts, negative when short; units of the asset.
    losses : ndarray of shape (L, S)
        Quantity times risk array.
    """

    account: Id
    instruments: list[Id]
    quantity: NDArray[np.float64]
    losses: NDArray[np.float64]

    @property
    def total(self) -> NDArray[np.float64]:
        """Loss of all legs together, shape (S,)."""
        return np.asarray(self.losses.sum(axis=0), dtype=np.float64)

    def figure(self) -> go.Figure:
        """Return a bar for each scenario, leg by leg (extra ``report``)."""
        try:
            import plotly.graph_objects as go
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                "pictures need plotly, which is not installed: pip install 'xmfast[report]'", name="plotly"
            ) from error
        figure = go.Figure()
        scenarios = np.arange(self.losses.shape[1])
        for instrument, losses in zip(self.instruments, self.losses, strict=True):
            figure.add_bar(x=scenarios, y=-losses, name=str(instrument))
        figure.add_scatter(x=scenarios, y=-self.total, name="together", mode="lines+markers", line_color="black")
        figure.update_layout(
            barmode="relative",
            title=f"Profit and loss of account {self.account} by scenario",
            xaxis_title="scenario",
            yaxis_title="numeraire",
        )
        return figure

    def __repr__(self) -> str:
        return "\n".join([self._title(), *text_lines(*self._table())])

    def _repr_html_(self) -> str:
        from html import escape

        return html_div([f"<div>{escape(self._title())}</div>", html_lines(*self._table())])

    def _title(self) -> str:
        legs, scenarios = self.losses.shape
        shown = f"the worst {min(_SHOWN, scenarios)} of {plural(scenarios, 'scenario')}"
        return f"Losses of account {self.account}: {plural(legs, 'leg')}, {shown}"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        worst = np.argsort(-self.total, kind="stable")[:_SHOWN]
        heads = ["leg", "quantity", *(f"scenario {scenario}" for scenario in worst)]
        columns = [
            [*(id_text(instrument) for instrument in self.instruments), "together"],
            [*(f"{quantity:,.12g}" for quantity in self.quantity), ""],
            *(amount_texts([*self.losses[:, scenario], self.total[scenario]]) for scenario in worst),
        ]
        return heads, [list(row) for row in zip(*columns, strict=True)]
