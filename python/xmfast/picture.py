"""Pictures of a report, with plotly (extra ``report``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xmfast.errors import MissingExtraError

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from xmfast.report import MarginReport

__all__ = ["margin_ratio_figure"]

# The worst state last, on top; colours that people who see red and green alike can tell apart.
_STATES = (
    ("healthy", "#4c9be8"),
    ("below initial", "#e6b422"),
    ("liquidatable", "#d9662b"),
    ("bankrupt", "#8b1a3a"),
)
_BINS_PER_DECADE = 20
_DECADES = (-4, 2)


def margin_ratio_figure(report: MarginReport) -> go.Figure:
    """Return a histogram of margin ratios, coloured by state, with the line at which liquidation begins.

    Parameters
    ----------
    report : MarginReport
        Accounts whose ratio is 0 (nothing owed or required) or infinite (no assets) are counted in the
        subtitle; ratios outside 0.0001 .. 100 are drawn in the outermost bins.

    Returns
    -------
    plotly.graph_objects.Figure
        Show it with ``.show()``, keep it with ``.write_html(file)``.

    Raises
    ------
    MissingExtraError
        If plotly is not installed.
    """
    try:
        import plotly.graph_objects as go
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "pictures need plotly, which is not installed: pip install 'xmfast[report]'", name="plotly"
        ) from error

    counts, edges = _histogram(report)
    used = np.flatnonzero(counts.sum(axis=0))
    # At least the decade around the threshold, so that the line always has a neighbourhood.
    first = min(int(used[0]) if len(used) else len(edges), int(np.searchsorted(edges, -0.5)))
    last = max(int(used[-1]) if len(used) else 0, int(np.searchsorted(edges, 0.5)))
    figure = go.Figure()
    for row, (name, colour) in zip(counts, _STATES, strict=True):
        total = int(row.sum())
        figure.add_bar(
            name=f"{name}: {total:,}",
            x=(edges[:-1] + edges[1:])[first : last + 1] / 2,
            y=row[first : last + 1],
            width=1 / _BINS_PER_DECADE,
            marker={"color": colour, "line": {"width": 0}},
            customdata=np.stack([10 ** edges[:-1], 10 ** edges[1:]], axis=1)[first : last + 1],
            hovertemplate=name + ": %{y:,}<br>%{customdata[0]:.3g} to %{customdata[1]:.3g}<extra></extra>",
        )
    figure.add_vline(x=0, line={"color": "#d9483b", "width": 2, "dash": "dash"})
    for x, anchor, text in (
        (-0.01, "right", f"{int(counts[:2].sum()):,} safe"),
        (0.01, "left", f"liquidation: {int(counts[2:].sum()):,}"),
    ):
        figure.add_annotation(
            x=x, y=1.0, xref="x", yref="paper", xanchor=anchor, yanchor="bottom", text=text, showarrow=False
        )
    ticks = _ticks(edges[first], edges[last + 1])
    figure.update_layout(
        title={"text": f"Margin ratio of {len(report):,} accounts<br><sup>{_left_out(report)}</sup>"},
        barmode="stack",
        bargap=0,
        xaxis={
            "title": {"text": "margin ratio (maintenance margin and weighted debts / weighted assets)"},
            "range": [float(edges[first]), float(edges[last + 1])],
            "tickvals": [float(np.log10(tick)) for tick in ticks],
            "ticktext": [f"{tick:g}" for tick in ticks],
        },
        yaxis={"title": {"text": "accounts"}},
        legend={"traceorder": "normal"},
    )
    return figure


def _histogram(report: MarginReport) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return counts by state and bin, and the bins' edges as powers of ten.

    Counted here and not by plotly, so that a picture of ten million accounts is as small as one of ten.
    """
    low, high = _DECADES
    edges = np.arange(low * _BINS_PER_DECADE, high * _BINS_PER_DECADE + 1) / _BINS_PER_DECADE
    ratio = report.margin_ratio
    drawn = np.isfinite(ratio) & (ratio > 0)
    # 1 is an edge, and a bin holds ratios up to its upper edge: a ratio of exactly 1 is still healthy.
    place = np.searchsorted(edges, np.log10(ratio[drawn]), side="left") - 1
    place = np.clip(place, 0, len(edges) - 2)
    state = np.where(report.initial_health < 0, 1, 0)
    state = np.where(report.liquidatable, 2, state)
    state = np.where(report.bankrupt, 3, state)[drawn]
    bins = len(edges) - 1
    counts = np.bincount(state * bins + place, minlength=len(_STATES) * bins)
    return counts.reshape(len(_STATES), bins), edges


def _left_out(report: MarginReport) -> str:
    ratio = report.margin_ratio
    zero, infinite = int((ratio == 0).sum()), int(np.isinf(ratio).sum())
    return f"not drawn: {zero:,} that owe and require nothing, {infinite:,} without assets"


def _ticks(low: float, high: float) -> list[float]:
    """Return round ratios to write below the axis: 1, 2 and 5 of each decade, or powers of ten alone."""
    digits = (1, 2, 5) if high - low < 3 else (1,)
    decades = range(_DECADES[0], _DECADES[1] + 1)
    return [d * 10.0**e for e in decades for d in digits if low <= np.log10(d * 10.0**e) <= high]
