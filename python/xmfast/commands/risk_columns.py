"""What a model by scenarios says beyond other models: scan risk, worst scenario, contingencies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xmfast.tables import amount_texts, id_text, text_lines

if TYPE_CHECKING:
    from xmfast.portfolio_report import PortfolioReport

__all__ = ["risk_document", "risk_lines"]

_HEADS = ("account", "scan risk", "worst scenario", "short-option minimum", "concentration", "margin floor")


def risk_lines(report: PortfolioReport, count: int) -> list[str]:
    """Return a table of the accounts with the lowest health, for a terminal."""
    worst = report.worst(min(count, len(report)))
    columns = [
        [id_text(account) for account in worst.accounts.tolist()],
        amount_texts(worst.scan_risk.tolist()),
        ["none" if scenario < 0 else str(scenario) for scenario in worst.worst_scenario.tolist()],
        *(amount_texts(charged.tolist()) for charged in worst.contingencies.values()),
    ]
    return text_lines(_HEADS, list(zip(*columns, strict=True)))


def risk_document(report: PortfolioReport, row: int) -> dict[str, Any]:
    """Return the risk of one account as JSON shows it; ``worst_scenario`` is null where nothing is lost."""
    scenario = int(report.worst_scenario[row])
    return {
        "scan_risk": float(report.scan_risk[row]),
        "worst_scenario": None if scenario < 0 else scenario,
        "contingencies": {name: float(charged[row]) for name, charged in report.contingencies.items()},
    }
