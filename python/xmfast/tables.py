"""Tables of numbers: plain text for a terminal, HTML for a notebook."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from html import escape

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


def count_text(number: int) -> str:
    """Return 12,345."""
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """Return the number with its noun, which gets an s unless there is one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def share_text(part: int, whole: int) -> str:
    """Return " (3.1 %)", or nothing for none of them."""
    if part == 0 or whole == 0:
        return ""
    share = 100 * part / whole
    return " (<0.01 %)" if share < 0.01 else f" ({share:.{2 if share < 1 else 1}f} %)"


def amount_texts(values: Sequence[float]) -> list[str]:
    """Format the amounts of one column with the same decimals, chosen by the largest."""
    largest = max((abs(v) for v in values if math.isfinite(v)), default=0.0)
    decimals = 2 if largest >= 100 or largest == 0 else 4 if largest >= 0.1 else 8
    return [amount_text(value, decimals) for value in values]


def amount_text(value: float, decimals: int) -> str:
    """Return an amount with separators, never rounded to 0."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 1e15:
        return f"{value:.6g}"
    # A health of -0.001 shown as -0.00 would contradict the state beside it.
    if value != 0 and abs(value) < 0.5 * 10**-decimals:
        return f"{value:.1e}"
    return f"{value + 0.0:,.{decimals}f}"


def ratio_text(value: float) -> str:
    """Return a ratio with four decimals, never rounded to 1."""
    if not math.isfinite(value):
        return str(value)
    if value != 0 and not 1e-4 <= value < 1e6:
        return f"{value:.2e}"
    # Rounding may not carry a ratio over 1, where an account becomes liquidatable.
    text = f"{value:,.4f}"
    return f"{value:.12g}" if text == "1.0000" and value != 1 else text


def id_text(account: object) -> str:
    """Return an id as one printable line of bounded width: ids are the user's, and may hold anything."""
    text = str(account)
    if len(text) > 4 * _ID_WIDTH:  # so that a megabyte of id costs nothing
        text = text[: 4 * _ID_WIDTH]
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if text_width(shown) <= _ID_WIDTH and len(str(account)) <= 4 * _ID_WIDTH:
        return shown
    while text_width(shown) > _ID_WIDTH - 3:
        shown = shown[:-1]
    return shown + "..."


def text_width(text: str) -> int:
    """Return how many cells of a terminal the text takes."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) != 0 for c in text)


def text_table(heads: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Return lines of a table: first and last column to the left, numbers to the right."""
    return _lines(heads, body, left=(0, len(heads) - 1))


def text_lines(heads: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Return lines of a table: first column to the left, numbers to the right."""
    return _lines(heads, body, left=(0,))


def text_blocks(heads: Sequence[str], body: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return lines of a table in blocks one below the other, each as wide as fits and named by the first column.

    A block has one column besides the first at least, however wide that is.
    """
    widths = [max(text_width(row[c]) for row in (heads, *body)) for c in range(len(heads))]
    blocks: list[list[int]] = []
    for column in range(1, len(heads)):
        if not blocks or sum(2 + widths[c] for c in (*blocks[-1], column)) - 2 > width:
            blocks.append([0])
        blocks[-1].append(column)
    lines: list[str] = []
    for block in blocks:
        if lines:
            lines.append("")
        lines += text_lines([heads[c] for c in block], [[row[c] for c in block] for row in body])
    return lines


def _lines(heads: Sequence[str], body: Sequence[Sequence[str]], left: tuple[int, ...]) -> list[str]:
    table = [heads, *body]
    widths = [max(text_width(row[c]) for row in table) for c in range(len(heads))]
    lines = []
    for row in table:
        cells = []
        for c, cell in enumerate(row):
            space = " " * (widths[c] - text_width(cell))
            cells.append(cell + space if c in left else space + cell)
        lines.append("  ".join(cells).rstrip())
    return lines


def html_div(parts: Sequence[str]) -> str:
    """Return parts as one block with its own style, for dark and light themes."""
    return f'<div class="xmfast">{_STYLE}{"".join(parts)}</div>'


def html_table(heads: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a table whose last column is a state or another word."""
    return _html_rows(heads, ([*map(escape, row[:-1]), state_html(row[-1])] for row in body))


def html_lines(heads: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a table of numbers, named by its first column."""
    return _html_rows(heads, (list(map(escape, row)) for row in body))


def _html_rows(heads: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    first, *rest = (escape(head) for head in heads)
    lines = [f'<table><thead><tr><th class="id">{first}</th>']
    lines += [f"<th>{head}</th>" for head in rest]
    lines.append("</tr></thead><tbody>")
    for name, *cells in body:
        lines.append(f'<tr><td class="id">{name}</td>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>')
    return "".join([*lines, "</tbody></table>"])


def html_pairs(rows: Sequence[tuple[str, str]]) -> str:
    """Return a table of names and values."""
    cells = (f'<tr><td class="id">{escape(name.strip())}</td><td>{escape(value)}</td></tr>' for name, value in rows)
    return f"<table><tbody>{''.join(cells)}</tbody></table>"


def state_html(word: str) -> str:
    """Return a state in its colour."""
    kind = {"bankrupt": "bad", "liquidatable": "bad", "below initial": "warn"}.get(word)
    return f'<span class="{kind}">{word}</span>' if kind else word
