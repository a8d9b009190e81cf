"""Why a figure is what it is: exact lines that add up to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from xmfast import explanation_display
from xmfast.errors import MissingExtraError
from xmfast.figures import COLUMNS
from xmfast.frames import Id

# What the lines of an explanation add up to.
FIGURES = tuple(COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedLine:
    """One line of an :class:`Explanation`; all numbers are exact.

    ``kind`` is "cash", "isolated margin", "entry cost", "position", "haircut tier" or "bracket" (what the part beyond a
    threshold adds to the line of the whole), "uncounted gain", "order exposure", "opening loss", "pool share",
    "given to positions", or "rounding". ``price`` is the index price of an asset or the mark price of an instrument,
    weights are part of the line's value, rates part of its notional. The other fields are what the line adds to each
    figure of the account, in the numeraire.
    """

    kind: str
    id: Id | None = None
    tier: int = 0
    quantity: Fraction | None = None
    price: Fraction | None = None
    initial_weight: Fraction | None = None
    maintenance_weight: Fraction | None = None
    initial_rate: Fraction | None = None
    maintenance_rate: Fraction | None = None
    equity: Fraction = field(default=Fraction(0))
    collateral_value: Fraction = field(default=Fraction(0))
    initial_collateral_value: Fraction = field(default=Fraction(0))
    initial_margin: Fraction = field(default=Fraction(0))
    maintenance_margin: Fraction = field(default=Fraction(0))
    initial_health: Fraction = field(default=Fraction(0))
    health: Fraction = field(default=Fraction(0))

    @property
    def what(self) -> str:
        """The line in a few words."""
        tier = f" {self.tier + 1}" if self.tier else ""
        return f"{self.kind}{tier}" + ("" if self.id is None else f" {self.id}")


class Explanation:
    """The figures of one account or isolated position, line by line. Made by :meth:`MarginReport.explain`.

    Attributes
    ----------
    lines : tuple of ExplainedLine
        Every leg and what is beyond legs; each figure is the sum of its parts, exactly.
    total : ExplainedLine
        That sum.
    rounding : ExplainedLine
        What leads from the exact figure to the 64-bit float in the report: ``total + rounding = Fraction(reported)``.
    figures : dict
        The reported floats.
    """

    __slots__ = ("figures", "lines", "rounding", "title", "total")

    def __init__(self, title: str, lines: tuple[ExplainedLine, ...], figures: Mapping[str, float]) -> None:
        self.title = title
        self.lines = lines
        self.figures = {name: figures[name] for name in FIGURES}
        sums: dict[str, Any] = {name: sum((getattr(line, name) for line in lines), Fraction(0)) for name in FIGURES}
        self.total = ExplainedLine(kind="total", **sums)
        rounding: dict[str, Any] = {name: Fraction(value) - sums[name] for name, value in self.figures.items()}
        self.rounding = ExplainedLine(kind="rounding", **rounding)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Export the lines and the rounding: floats, with the exact numbers as texts beside them (extra ``frames``)."""
        try:
            import pyarrow
        except ModuleNotFoundError as error:
            message = "an explanation as a frame needs pyarrow, which is not installed: pip install 'xmfast[frames]'"
            raise MissingExtraError(message, name="pyarrow") from error
        rows = (*self.lines, self.rounding)
        columns: dict[str, Any] = {
            "kind": [row.kind for row in rows],
            "id": [None if row.id is None else str(row.id) for row in rows],
            "tier": [row.tier for row in rows],
        }
        for name in (
            "quantity",
            "price",
            "initial_weight",
            "maintenance_weight",
            "initial_rate",
            "maintenance_rate",
            *FIGURES,
        ):
            exact = [getattr(row, name) for row in rows]
            columns[name] = pyarrow.array([None if x is None else float(x) for x in exact], pyarrow.float64())
            columns[f"{name}_exact"] = pyarrow.array([None if x is None else str(x) for x in exact], pyarrow.string())
        return pyarrow.table(columns).__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return explanation_display.text(self)

    def _repr_html_(self) -> str:
        return explanation_display.html(self)


def explanation(title: str, lines: list[Any], figures: Mapping[str, float]) -> Explanation:
    """Build an explanation from the core's lines."""
    return Explanation(title, tuple(_line(*line) for line in lines), figures)


def _line(
    kind: str,
    id: Id | None,
    tier: int,
    quantity: str,
    price: str | None,
    weights: tuple[str, str] | None,
    rates: tuple[str, str] | None,
    parts: list[str],
) -> ExplainedLine:
    equity, collateral_value, initial_collateral_value, initial_margin, maintenance_margin = map(Fraction, parts)
    initial_weight, maintenance_weight = map(Fraction, weights) if weights else (None, None)
    initial_rate, maintenance_rate = map(Fraction, rates) if rates else (None, None)
    return ExplainedLine(
        kind=kind,
        id=id,
        tier=tier,
        quantity=Fraction(quantity),
        price=None if price is None else Fraction(price),
        initial_weight=initial_weight,
        maintenance_weight=maintenance_weight,
        initial_rate=initial_rate,
        maintenance_rate=maintenance_rate,
        equity=equity,
        collateral_value=collateral_value,
        initial_collateral_value=initial_collateral_value,
        initial_margin=initial_margin,
        maintenance_margin=maintenance_margin,
        initial_health=initial_collateral_value - initial_margin,
        health=collateral_value - maintenance_margin,
    )
