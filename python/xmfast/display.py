"""How reports look: plain text for a terminal, HTML for a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from xmfast.tables import (
    amount_texts,
    count_text,
    html_div,
    html_pairs,
    html_table,
    id_text,
    plural,
    ratio_text,
    share_text,
    state,
    state_html,
    text_table,
)

if TYPE_CHECKING:
    from xmfast.isolated import IsolatedReport
    from xmfast.report import AccountMargin, MarginReport, ReportSummary

__all__ = [
    "account_html",
    "account_text",
    "isolated_html",
    "isolated_text",
    "report_html",
    "report_text",
    "summary_html",
    "summary_text",
]

# Attribute of a report and the head of its column; all but the ratio are amounts of the numeraire.
_COLUMNS = (
    ("equity", "equity"),
    ("collateral_value", "collateral value"),
    ("initial_margin", "initial margin"),
    ("maintenance_margin", "maint. margin"),
    ("health", "health"),
    ("margin_ratio", "margin ratio"),
)
_ACCOUNT_ROWS = (
    ("equity", "equity"),
    ("collateral_value", "collateral value"),
    ("initial_collateral_value", "  under initial weights"),
    ("initial_margin", "initial margin"),
    ("maintenance_margin", "maintenance margin"),
    ("initial_health", "initial health"),
    ("health", "health"),
    ("free_collateral", "free collateral"),
)
_SUMMARY_SUMS = (
    ("equity", "equity"),
    ("collateral_value", "collateral value"),
    ("initial_margin", "initial margin"),
    ("maintenance_margin", "maintenance margin"),
    ("shortfall", "shortfall"),
)
_SUMMARY_COUNTS = (
    ("below_initial", "below initial"),
    ("liquidatable", "liquidatable"),
    ("bankrupt", "bankrupt"),
)


def report_text(report: MarginReport, rows: int = 10) -> str:
    """Return a report as text: counts and sums, then the accounts nearest to liquidation.

    Parameters
    ----------
    report : MarginReport
        The report to show.
    rows : int
        How many accounts to list at most, lowest health first.

    Returns
    -------
    str
        Lines without a newline at the end.
    """
    lines = ["MarginReport: " + _headline(report.summary())]
    if len(report.isolated):
        lines.append("and " + _isolated_headline(report.isolated))
    worst = report.worst(max(0, min(rows, len(report))))
    if len(worst):
        heads, body = _worst_table(worst)
        lines += ["", *text_table(heads, body)]
        if len(worst) < len(report):
            lines.append(f"({_rest(report, worst)})")
    return "\n".join(lines)


def report_html(report: MarginReport, rows: int = 10) -> str:
    """Return a report as HTML: counts and sums, then the accounts nearest to liquidation.

    Parameters
    ----------
    report : MarginReport
        The report to show.
    rows : int
        How many accounts to list at most, lowest health first.

    Returns
    -------
    str
        One ``<div>`` with its own style, for dark and light themes.
    """
    parts = [f"<div><b>MarginReport</b>: {escape(_headline(report.summary()))}</div>"]
    if len(report.isolated):
        parts.append(f"<div>and {escape(_isolated_headline(report.isolated))}</div>")
    worst = report.worst(max(0, min(rows, len(report))))
    if len(worst):
        heads, body = _worst_table(worst)
        parts.append(html_table(heads, body))
        if len(worst) < len(report):
            parts.append(f'<div class="note">{_rest(report, worst)}</div>')
    return html_div(parts)


def isolated_text(report: IsolatedReport, rows: int = 10) -> str:
    """Return a report of isolated positions as text: counts, then the positions nearest to liquidation."""
    lines = ["IsolatedReport: " + _isolated_headline(report)]
    worst = report.worst(max(0, min(rows, len(report))))
    if len(worst):
        heads, body = _isolated_table(worst)
        lines += ["", *text_table(heads, body)]
        if len(worst) < len(report):
            lines.append(f"({len(report) - len(worst):,} more, none of lower health)")
    return "\n".join(lines)


def isolated_html(report: IsolatedReport, rows: int = 10) -> str:
    """Return a report of isolated positions as HTML."""
    parts = [f"<div><b>IsolatedReport</b>: {escape(_isolated_headline(report))}</div>"]
    worst = report.worst(max(0, min(rows, len(report))))
    if len(worst):
        parts.append(html_table(*_isolated_table(worst)))
        if len(worst) < len(report):
            parts.append(f'<div class="note">{len(report) - len(worst):,} more, none of lower health</div>')
    return html_div(parts)


def _isolated_headline(report: IsolatedReport) -> str:
    counts = [plural(len(report), "isolated position")]
    for name, number in (
        ("below initial", int((report.initial_health < 0).sum())),
        ("liquidatable", int(report.liquidatable.sum())),
        ("bankrupt", int(report.bankrupt.sum())),
    ):
        counts.append(f"{count_text(number)} {name}{share_text(number, len(report))}")
    return ", ".join(counts)


def _isolated_table(worst: IsolatedReport) -> tuple[list[str], list[list[str]]]:
    columns = [[id_text(account) for account in worst.accounts.tolist()]]
    columns.append([id_text(instrument) for instrument in worst.instruments.tolist()])
    columns.append([f"{quantity:,.6g}" for quantity in worst.quantity.tolist()])
    for name in ("isolated_margin", "unrealized_pnl", "initial_margin", "maintenance_margin", "health"):
        columns.append(amount_texts(getattr(worst, name).tolist()))
    columns.append([ratio_text(ratio) for ratio in worst.margin_ratio.tolist()])
    flags = zip(worst.initial_health.tolist(), worst.liquidatable.tolist(), worst.bankrupt.tolist(), strict=True)
    columns.append([state(*flag) for flag in flags])
    heads = ["account", "instrument", "quantity", "isolated margin", "unrealized pnl"]
    heads += ["initial margin", "maint. margin", "health", "margin ratio", "state"]
    return heads, [list(row) for row in zip(*columns, strict=True)]


def account_text(account: AccountMargin) -> str:
    """Return the margin of one account as text, a line for each number.

    Parameters
    ----------
    account : AccountMargin
        The account to show.

    Returns
    -------
    str
        Lines without a newline at the end.
    """
    rows = _account_rows(account)
    left = max(len(name) for name, _ in rows)
    right = max(len(value) for _, value in rows)
    lines = [f"AccountMargin {id_text(account.account)}: {_account_state(account)}"]
    lines += [f"  {name:<{left}}  {value:>{right}}" for name, value in rows]
    return "\n".join(lines)


def account_html(account: AccountMargin) -> str:
    """Return the margin of one account as HTML.

    Parameters
    ----------
    account : AccountMargin
        The account to show.

    Returns
    -------
    str
        One ``<div>`` with its own style, for dark and light themes.
    """
    word = _account_state(account)
    head = f"<div><b>AccountMargin</b> {escape(id_text(account.account))}: {state_html(word)}</div>"
    return html_div([head, html_pairs(_account_rows(account))])


def summary_text(summary: ReportSummary) -> str:
    """Return the summary of a report as text: the counts, then the sums.

    Parameters
    ----------
    summary : ReportSummary
        The summary to show.

    Returns
    -------
    str
        Lines without a newline at the end.
    """
    rows = _summary_rows(summary)
    left = max(len(name) for name, _, _ in rows)
    right = max(len(value) for _, value, _ in rows)
    lines = [f"ReportSummary: {plural(summary.accounts, 'account')}"]
    lines += [f"  {name:<{left}}  {value:>{right}}{share}" for name, value, share in rows]
    return "\n".join(lines)


def summary_html(summary: ReportSummary) -> str:
    """Return the summary of a report as HTML: the counts, then the sums.

    Parameters
    ----------
    summary : ReportSummary
        The summary to show.

    Returns
    -------
    str
        One ``<div>`` with its own style, for dark and light themes.
    """
    head = f"<div><b>ReportSummary</b>: {plural(summary.accounts, 'account')}</div>"
    return html_div([head, html_pairs([(name, value + share) for name, value, share in _summary_rows(summary)])])


def _headline(summary: ReportSummary) -> str:
    parts = [plural(summary.accounts, "account")]
    parts.append(f"equity {amount_texts([summary.equity])[0]}")
    for name, label in _SUMMARY_COUNTS:
        count = getattr(summary, name)
        parts.append(f"{count_text(count)} {label}{share_text(count, summary.accounts)}")
    if summary.shortfall > 0:
        parts.append(f"shortfall {amount_texts([summary.shortfall])[0]}")
    return ", ".join(parts)


def _worst_table(worst: MarginReport) -> tuple[list[str], list[list[str]]]:
    columns = [[id_text(account) for account in worst.accounts.tolist()]]
    for name, _ in _COLUMNS:
        values = getattr(worst, name).tolist()
        columns.append([ratio_text(v) for v in values] if name == "margin_ratio" else amount_texts(values))
    flags = zip(worst.initial_health.tolist(), worst.liquidatable.tolist(), worst.bankrupt.tolist(), strict=True)
    columns.append([state(*flag) for flag in flags])
    heads = ["account", *(head for _, head in _COLUMNS), "state"]
    return heads, [list(row) for row in zip(*columns, strict=True)]


def _rest(report: MarginReport, worst: MarginReport) -> str:
    return f"{len(report) - len(worst):,} more, none of lower health"


def _account_rows(account: AccountMargin) -> list[tuple[str, str]]:
    values = amount_texts([getattr(account, name) for name, _ in _ACCOUNT_ROWS])
    rows = [(label, value) for (_, label), value in zip(_ACCOUNT_ROWS, values, strict=True)]
    return [*rows, ("margin ratio", ratio_text(account.margin_ratio))]


def _account_state(account: AccountMargin) -> str:
    return state(account.initial_health, account.liquidatable, account.bankrupt)


def _summary_rows(summary: ReportSummary) -> list[tuple[str, str, str]]:
    counts = [(label, getattr(summary, name)) for name, label in _SUMMARY_COUNTS]
    sums = amount_texts([getattr(summary, name) for name, _ in _SUMMARY_SUMS])
    rows = [(label, count_text(count), share_text(count, summary.accounts)) for label, count in counts]
    return rows + [(label, value, "") for (_, label), value in zip(_SUMMARY_SUMS, sums, strict=True)]
