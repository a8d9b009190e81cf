"""Scenarios from a price history, in slow, readable NumPy; nothing here knows xmfast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reference_portfolio import PortfolioRules
from reference_scenarios import Floats, ScenarioSet


@dataclass(frozen=True, kw_only=True)
class HistoryRules:
    """Parameters of a model that takes a quantile of what a portfolio would have lost."""

    returns: Mapping[Any, Any]
    confidence: float = 0.99
    measure: str = "var"
    holding_period: int = 1
    filtered: bool = False
    ewma_lambda: float = 0.94
    stressed_returns: Mapping[Any, Any] | None = None
    short_option_minimum: Any = 0.0
    margin_floor: float = 0.0
    initial_factor: float = 1.0
    in_scenario: Mapping[Any, Any] = field(default_factory=dict)

    @property
    def portfolio_rules(self) -> PortfolioRules:
        """The same as joint scenarios: one set, or the recent and the stressed one."""
        histories = [self.returns] if self.stressed_returns is None else [self.returns, self.stressed_returns]
        return PortfolioRules(
            sets=tuple(self._scenarios(history) for history in histories),
            short_option_minimum=self.short_option_minimum,
            margin_floor=self.margin_floor,
            initial_factor=self.initial_factor,
            in_scenario=self.in_scenario,
        )

    def _scenarios(self, history: Mapping[Any, Any]) -> ScenarioSet:
        shocks = {}
        for underlying, column in history.items():
            returns = np.array(column, dtype=np.float64)
            if self.filtered:
                returns = rescaled(returns, self.ewma_lambda)
            shocks[underlying] = held(returns, self.holding_period)
        return ScenarioSet(price_shock=shocks, joint=True, measure=self.measure, confidence=self.confidence)


def rescaled(returns: Floats, ewma_lambda: float) -> Floats:
    """Return each return as if today's volatility had been that day's: both weigh what came before them."""
    variance = float(np.mean(returns**2))
    before = []
    for value in returns:
        before.append(variance)
        variance = ewma_lambda * variance + (1 - ewma_lambda) * float(value) ** 2
    scaled = [
        value if then == 0 else value * np.sqrt(variance / then) for value, then in zip(returns, before, strict=True)
    ]
    # However calm that day was, a price cannot lose more than all of itself.
    return np.maximum(scaled, -1.0)


def held(returns: Floats, periods: int) -> Floats:
    """Return what is earned by holding through so many periods, from each start that has as many left."""
    starts = range(len(returns) - periods + 1)
    return np.array([np.prod(1 + returns[start : start + periods]) - 1 for start in starts])
