"""How reports look: plain text for a terminal, HTML for a notebook."""

from __future__ import annotations

import math
import unicodedata
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xmfast.report import AccountMargin, MarginReport, ReportSummary

__all__ = [
    "account_html",
    "account_text",
    "report_html",
    "report_text",
    "state",
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
_ID_WIDTH = 28

# No colour of its own but for the states, and these are readable on black and on white; the rest
# follows the theme of the notebook.
_STYLE = """<style>
.xmfast{font-size:.92em}
.xmfast table{border-collapse:collapse;background:transparent;color:inherit;margin:.3em 0}
.xmfast th,.xmfast td{padding:.15em .7em;text-align:right;border:0;background:transparent;
color:inherit;font-variant-numeric:tabular-nums;white-space:nowrap}
.xmfast thead th{border-bottom:1px solid currentColor;font-weight:600}
.xmfast .id{text-align:left;font-weight:600}
.xmfast .note{opacity:.7}
.xmfast .bad{color:#d9483b;font-weight:600}
.xmfast .warn{color:#b8860b;font-weight:600}
</style>"""


def state(initial_health: float, liquidatable: bool, bankrupt: bool) -> str:
    """Return the state of an account in a word or two, the worst that applies.

    Parameters
    ----------
    initial_health : float
        Surplus under initial weights, numeraire, signed.
    liquidatable, bankrupt : bool
        As in the report.

    Returns
    -------
    str
        ``"bankrupt"``, ``"liquidatable"``, ``"below initial"`` or ``"healthy"``.
    """
    if bankrupt:
        return "bankrupt"
    if liquidatable:
        return "liquidatable"
    return "below initial" if initial_health < 0 else "healthy"


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
    worst = report.worst(max(0, min(rows, len(report))))
    if len(worst):
        heads, body = _worst_table(worst)
        lines += ["", *_aligned(heads, body)]
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
    worst = report.worst(max(0, min(rows, len(report))))
    if len(worst):
        heads, body = _worst_table(worst)
        parts.append(_table(heads, body))
        if len(worst) < len(report):
            parts.append(f'<div class="note">{_rest(report, worst)}</div>')
    return _div(parts)


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
    lines = [f"AccountMargin {_id(account.account)}: {_account_state(account)}"]
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
    head = f"<div><b>AccountMargin</b> {escape(_id(account.account))}: {_state_html(word)}</div>"
    return _div([head, _pairs(_account_rows(account))])


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
    lines = [f"ReportSummary: {_plural(summary.accounts, 'account')}"]
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
    head = f"<div><b>ReportSummary</b>: {_plural(summary.accounts, 'account')}</div>"
    return _div([head, _pairs([(name, value + share) for name, value, share in _summary_rows(summary)])])


def _headline(summary: ReportSummary) -> str:
    parts = [_plural(summary.accounts, "account")]
    parts.append(f"equity {_amounts([summary.equity])[0]}")
    for name, label in _SUMMARY_COUNTS:
        count = getattr(summary, name)
        parts.append(f"{_count(count)} {label}{_share(count, summary.accounts)}")
    if summary.shortfall > 0:
        parts.append(f"shortfall {_amounts([summary.shortfall])[0]}")
    return ", ".join(parts)


def _worst_table(worst: MarginReport) -> tuple[list[str], list[list[str]]]:
    columns = [[_id(account) for account in worst.accounts.tolist()]]
    for name, _ in _COLUMNS:
        values = getattr(worst, name).tolist()
        columns.append([_ratio(v) for v in values] if name == "margin_ratio" else _amounts(values))
    flags = zip(worst.initial_health.tolist(), worst.liquidatable.tolist(), worst.bankrupt.tolist(), strict=True)
    columns.append([state(*flag) for flag in flags])
    heads = ["account", *(head for _, head in _COLUMNS), "state"]
    return heads, [list(row) for row in zip(*columns, strict=True)]


def _rest(report: MarginReport, worst: MarginReport) -> str:
    return f"{len(report) - len(worst):,} more, none of lower health"


def _account_rows(account: AccountMargin) -> list[tuple[str, str]]:
    values = _amounts([getattr(account, name) for name, _ in _ACCOUNT_ROWS])
    rows = [(label, value) for (_, label), value in zip(_ACCOUNT_ROWS, values, strict=True)]
    return [*rows, ("margin ratio", _ratio(account.margin_ratio))]


def _account_state(account: AccountMargin) -> str:
    return state(account.initial_health, account.liquidatable, account.bankrupt)


def _summary_rows(summary: ReportSummary) -> list[tuple[str, str, str]]:
    counts = [(label, getattr(summary, name)) for name, label in _SUMMARY_COUNTS]
    sums = _amounts([getattr(summary, name) for name, _ in _SUMMARY_SUMS])
    rows = [(label, _count(count), _share(count, summary.accounts)) for label, count in counts]
    return rows + [(label, value, "") for (_, label), value in zip(_SUMMARY_SUMS, sums, strict=True)]


def _count(number: int) -> str:
    return f"{number:,}"


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _share(part: int, whole: int) -> str:
    """Return " (3.1 %)", or nothing for none of them."""
    if part == 0 or whole == 0:
        return ""
    share = 100 * part / whole
    return " (<0.01 %)" if share < 0.01 else f" ({share:.{2 if share < 1 else 1}f} %)"


def _amounts(values: Sequence[float]) -> list[str]:
    """Format the amounts of one column with the same decimals, chosen by the largest."""
    largest = max((abs(v) for v in values if math.isfinite(v)), default=0.0)
    decimals = 2 if largest >= 100 or largest == 0 else 4 if largest >= 0.1 else 8
    return [_amount(value, decimals) for value in values]


def _amount(value: float, decimals: int) -> str:
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 1e15:
        return f"{value:.6g}"
    # A health of -0.001 shown as -0.00 would contradict the state beside it.
    if value != 0 and abs(value) < 0.5 * 10**-decimals:
        return f"{value:.1e}"
    return f"{value + 0.0:,.{decimals}f}"


def _ratio(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    if value != 0 and not 1e-4 <= value < 1e6:
        return f"{value:.2e}"
    # Rounding may not carry a ratio over 1, where an account becomes liquidatable.
    text = f"{value:,.4f}"
    return f"{value:.12g}" if text == "1.0000" and value != 1 else text


def _id(account: object) -> str:
    """Return an id as one printable line of bounded width: ids are the user's, and may hold anything."""
    text = str(account)
    if len(text) > 4 * _ID_WIDTH:  # so that a megabyte of id costs nothing
        text = text[: 4 * _ID_WIDTH]
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if _width(shown) <= _ID_WIDTH and len(str(account)) <= 4 * _ID_WIDTH:
        return shown
    while _width(shown) > _ID_WIDTH - 3:
        shown = shown[:-1]
    return shown + "..."


def _width(text: str) -> int:
    """Return how many cells of a terminal the text takes."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) != 0 for c in text)


def _aligned(heads: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Return lines of a table: first and last column to the left, numbers to the right."""
    table = [heads, *body]
    widths = [max(_width(row[c]) for row in table) for c in range(len(heads))]
    last = len(heads) - 1
    lines = []
    for row in table:
        cells = []
        for c, cell in enumerate(row):
            space = " " * (widths[c] - _width(cell))
            cells.append(cell + space if c in (0, last) else space + cell)
        lines.append("  ".join(cells).rstrip())
    return lines


def _div(parts: Sequence[str]) -> str:
    return f'<div class="xmfast">{_STYLE}{"".join(parts)}</div>'


def _table(heads: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    first, *rest = (escape(head) for head in heads)
    lines = [f'<table><thead><tr><th class="id">{first}</th>']
    lines += [f"<th>{head}</th>" for head in rest]
    lines.append("</tr></thead><tbody>")
    for account, *numbers, word in body:
        cells = "".join(f"<td>{escape(number)}</td>" for number in numbers)
        lines.append(f'<tr><td class="id">{escape(account)}</td>{cells}<td>{_state_html(word)}</td></tr>')
    return "".join([*lines, "</tbody></table>"])


def _pairs(rows: Sequence[tuple[str, str]]) -> str:
    cells = (f'<tr><td class="id">{escape(name.strip())}</td><td>{escape(value)}</td></tr>' for name, value in rows)
    return f"<table><tbody>{''.join(cells)}</tbody></table>"


def _state_html(word: str) -> str:
    kind = {"bankrupt": "bad", "liquidatable": "bad", "below initial": "warn"}.get(word)
    return f'<span class="{kind}">{word}</span>' if kind else word
