"""What ``xmfast evaluate`` and ``xmfast explain`` do: a user's own files in, a report out."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import IO, TYPE_CHECKING, Any

from xmfast.commands.documents import isolated_documents, print_document, worst_documents
from xmfast.commands.reasons import reasons
from xmfast.commands.risk_columns import risk_lines
from xmfast.cross import CrossMargin, IsolatedMargin
from xmfast.display import isolated_text, report_text, summary_text
from xmfast.errors import FileError, InputError
from xmfast.files.frame_file import format_of, write_table
from xmfast.files.inputs import read_inputs
from xmfast.files.output_file import binary_output
from xmfast.portfolio import HistoricalVaR, PortfolioMargin, ScenarioModel
from xmfast.portfolio_report import PortfolioReport
from xmfast.tables import id_text, plural
from xmfast.terminal import Lines, Progress

if TYPE_CHECKING:
    from xmfast.commands.reasons import Reasons
    from xmfast.files.frame_file import Steps
    from xmfast.files.inputs import Inputs
    from xmfast.report import MarginReport

_KINDS: dict[type, str] = {
    CrossMargin: "cross",
    IsolatedMargin: "isolated",
    PortfolioMargin: "portfolio",
    HistoricalVaR: "historical_var",
}
_TITLES = {
    "cross": "cross margin",
    "isolated": "isolated margin",
    "portfolio": "portfolio margin",
    "historical_var": "margin by historical VaR",
}

__all__ = ["InputPaths", "OutputPaths", "run_evaluate", "run_explain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPaths:
    """The files that are read, as the user named them."""

    universe: str
    prices: str
    model: str | None = None
    balances: str | None = None
    positions: str | None = None
    orders: str | None = None
    accounts: str | None = None

    def read(self, steps: Steps) -> Inputs:
        """Read them."""
        frames = {
            "balances": self.balances,
            "positions": self.positions,
            "orders": self.orders,
            "accounts": self.accounts,
        }
        return read_inputs(universe=self.universe, model=self.model, prices=self.prices, frames=frames, steps=steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPaths:
    """The files that are written; None for those that nobody asked for."""

    report: str | None = None
    isolated: str | None = None
    liquidation_prices: str | None = None


def run_evaluate(
    inputs: InputPaths,
    outputs: OutputPaths,
    *,
    as_json: bool,
    explain: str | None,
    worst: int,
    show_progress: bool,
) -> int:
    """Evaluate and print.

    Parameters
    ----------
    inputs : InputPaths
        What to read.
    outputs : OutputPaths
        What to write.
    as_json : bool
        Print one JSON document instead of text.
    explain : str or None
        An account to explain as well.
    worst : int
        How many accounts, and isolated positions, to list.
    show_progress : bool
        Show on stderr what is done and how long it will take.

    Returns
    -------
    int
        Exit code 0.
    """
    progress = Progress()
    steps = progress.step if show_progress else _silent
    _refuse_same_files(inputs, outputs)
    start = time.perf_counter()
    with ExitStack() as stack:
        try:
            files = {
                name: (path, stack.enter_context(binary_output(path)))
                for name, path in asdict(outputs).items()
                if path is not None
            }
            given = inputs.read(steps)
            _refuse_prices_by_scenarios(given, outputs)
            read = time.perf_counter()
            steps("evaluating", 0, 1)
            report = given.evaluate()
            evaluated = time.perf_counter()
            why = None if explain is None else reasons(report, explain)
            _write(files, given, report, steps)
        finally:
            progress.clear()
    if as_json:
        timing = {"read_seconds": read - start, "evaluate_seconds": evaluated - read}
        print_document(_document(given, report, worst, why, outputs, timing))
    else:
        _print(Lines(progress), given, report, worst, why, outputs)
    return 0


def run_explain(inputs: InputPaths, account: str, *, as_json: bool) -> int:
    """Print why an account stands as it does.

    Parameters
    ----------
    inputs : InputPaths
        What to read.
    account : str
        The account.
    as_json : bool
        Print one JSON document instead of text.

    Returns
    -------
    int
        Exit code 0.
    """
    why = reasons(inputs.read(_silent).evaluate(), account)
    if as_json:
        print_document(why.document())
    else:
        print(why.text())
    return 0


def _silent(task: str, done: int, total: int) -> None:
    pass


def _refuse_same_files(inputs: InputPaths, outputs: OutputPaths) -> None:
    """Say before the work what would go wrong after it."""
    taken = {os.path.realpath(path): "it is read" for path in asdict(inputs).values() if path is not None}
    for path in asdict(outputs).values():
        if path is None:
            continue
        format_of(path)
        real = os.path.realpath(path)
        if real in taken:
            raise FileError(f"{path}: cannot be written, because {taken[real]}; choose another name")
        taken[real] = "another table goes there"


def _write(files: dict[str, tuple[str, IO[bytes]]], given: Inputs, report: MarginReport, steps: Steps) -> None:
    for name, (path, file) in files.items():
        table: Any
        if name == "report":
            table = report
        elif name == "isolated":
            table = report.isolated
        else:
            from xmfast.commands.position_prices import position_prices

            steps("liquidation prices", 0, 1)
            table = position_prices(given)
        steps(f"writing {os.path.basename(path)}", 0, 1)
        write_table(table, path, file)


def _refuse_prices_by_scenarios(given: Inputs, outputs: OutputPaths) -> None:
    if outputs.liquidation_prices is not None and isinstance(given.model, ScenarioModel):
        raise InputError(
            f"--liquidation-prices: cross or isolated margin is needed; {given.model_path} says {_TITLES[_kind(given)]}"
        )


def _kind(given: Inputs) -> str:
    return _KINDS[type(given.model)]


def _print(
    lines: Lines, given: Inputs, report: MarginReport, worst: int, why: Reasons | None, outputs: OutputPaths
) -> None:
    universe, book = given.venue.universe, given.book
    paths = ", ".join(dict.fromkeys((given.venue_path, given.model_path)))
    lines.write(f"{paths}: {_TITLES[_kind(given)]} in {id_text(universe.numeraire)}", "bold")
    counts = [plural(book.balance_count, "balance"), plural(book.position_count, "position")]
    counts.append(plural(book.order_count, "order"))
    lines.write(f"{plural(len(book), 'account')} with {counts[0]}, {counts[1]} and {counts[2]}\n")
    for line in summary_text(report.summary()).splitlines()[1:]:
        lines.write(line)
    for title, count, text in (
        ("accounts", len(report), report_text(report, worst)),
        ("isolated positions", len(report.isolated), isolated_text(report.isolated, worst)),
    ):
        if worst and count:
            lines.write(f"\nThe worst {title}", "bold")
            for line in text.partition("\n\n")[2].splitlines():
                lines.write(line)
        if worst and count and isinstance(report, PortfolioReport) and title == "accounts":
            lines.write("\nTheir risk", "bold")
            for line in risk_lines(report, worst):
                lines.write(line)
    if why is not None:
        lines.write()
        for line in why.text().splitlines():
            lines.write(line)
    written = (
        (outputs.report, f"the report of {plural(len(report), 'account')}"),
        (outputs.isolated, f"the report of {plural(len(report.isolated), 'isolated position')}"),
        (outputs.liquidation_prices, f"prices of {plural(book.position_count, 'position')}"),
    )
    if any(path is not None for path, _ in written):
        lines.write("\nWritten", "bold")
    for path, what in written:
        if path is not None:
            lines.write(f"  {path}: {what}")


def _document(
    given: Inputs,
    report: MarginReport,
    worst: int,
    why: Reasons | None,
    outputs: OutputPaths,
    timing: dict[str, float],
) -> dict[str, Any]:
    book, isolated = given.book, report.isolated
    return {
        "xmfast": version("xmfast"),
        "model": _kind(given),
        "numeraire": given.venue.universe.numeraire,
        "accounts": len(book),
        "balances": book.balance_count,
        "positions": book.position_count,
        "orders": book.order_count,
        "summary": asdict(report.summary()),
        "worst": worst_documents(report, worst),
        "isolated": {
            "positions": len(isolated),
            "below_initial": int((isolated.initial_health < 0).sum()),
            "liquidatable": int(isolated.liquidatable.sum()),
            "bankrupt": int(isolated.bankrupt.sum()),
            "worst": isolated_documents(isolated, worst),
        },
        "exact_decisions": report.exact_decisions,
        "explained": None if why is None else why.document(),
        "written": asdict(outputs),
        "timing": timing,
    }
