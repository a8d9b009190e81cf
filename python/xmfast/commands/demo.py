"""What ``xmfast demo`` prints: table and summary, JSON, or CSV."""

from __future__ import annotations

import csv
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import xmfast
from xmfast.commands.documents import account_document, print_document
from xmfast.crashes import CRASHES, load_crash
from xmfast.demo import Step, build_venue, replay
from xmfast.display import account_text
from xmfast.files.output_file import text_output
from xmfast.terminal import Lines, Progress

if TYPE_CHECKING:
    from typing import IO

    from xmfast.demo import Venue

__all__ = ["run_demo"]

_CSV_COLUMNS = (
    "time",
    "btc_price",
    "equity",
    "shortfall",
    "below_initial",
    "below_maintenance",
    "bankrupt",
)
_HEAD = (
    f"{'close (UTC)':<16}  {'BTC price':>11}  {'change':>7}  {'equity, USD':>15}  "
    f"{'below maintenance':>18}  {'bankrupt':>9}"
)


def run_demo(*, crash_name: str, accounts: int, seed: int, as_json: bool, csv_file: str | None) -> int:
    """Run the demo and print what it finds.

    Parameters
    ----------
    crash_name : str
        One of `CRASHES`.
    accounts, seed : int
        Passed to `build_venue`.
    as_json : bool
        Print one JSON document instead of the table.
    csv_file : str or None
        Also write the table there; ``"-"`` prints it as CSV instead of the table.

    Returns
    -------
    int
        Exit code 0.
    """
    start = time.perf_counter()
    progress = Progress()
    with _csv_target(csv_file) as target:
        try:
            venue = build_venue(load_crash(crash_name), accounts, seed, progress.step)
            lines = None if as_json or csv_file == "-" else Lines(progress)
            if lines:
                _write_head(lines, venue, seed)
            steps = []
            bars = len(venue.crash.times)
            progress.step("margining bars", 0, bars)
            for step in replay(venue):
                steps.append(step)
                if lines:
                    _write_row(lines, step, steps[0].btc_price, accounts)
                progress.step("margining bars", len(steps), bars)
        finally:
            progress.clear()
        seconds = time.perf_counter() - start
        if target:
            _write_csv(target, steps)
    if as_json:
        print_document(_document(venue, steps, seed, seconds))
    if lines:
        _write_summary(lines, venue, steps, seconds)
        if csv_file:
            lines.write(f"\nThe table is in {csv_file}.")
    return 0


def _write_head(lines: Lines, venue: Venue, seed: int) -> None:
    crash, book = venue.crash, venue.book
    lines.write(f"{crash.name}: {crash.title}", "bold")
    lines.write(
        f"{len(book):,} generated accounts (seed {seed}) with {book.balance_count:,} balances and "
        f"{book.position_count:,} positions"
    )
    lines.write(f"in {len(crash.coins)} coins at real prices, marked at the close of each bar\n")
    lines.write(_HEAD, "bold")


def _write_row(lines: Lines, step: Step, first_price: float, accounts: int) -> None:
    share = step.below_maintenance / accounts
    row = (
        f"{_minute(step):<16}  {step.btc_price:>11,.2f}  {_change(step.btc_price, first_price):>7}  "
        f"{step.equity:>15,.0f}  {step.below_maintenance:>10,} {share:>7.2%}  {step.bankrupt:>9,}"
    )
    # One mark for each half percent, so that the shape of the crash shows at a glance.
    marks = "#" * min(40, round(share * 200))
    lines.write(f"{row}  {marks}".rstrip(), "red" if share >= 0.03 else "yellow" if share >= 0.01 else "")


def _write_summary(lines: Lines, venue: Venue, steps: list[Step], seconds: float) -> None:
    accounts = len(venue.book)
    peak = _peak(steps)
    checks = accounts * len(steps)
    evaluating = sum(step.evaluate_seconds for step in steps)
    lines.write()
    lines.write("At the peak", "bold")
    lines.write(
        f"  {_minute(peak)}, Bitcoin {_change(peak.btc_price, steps[0].btc_price)}: "
        f"{peak.below_maintenance:,} of {accounts:,} accounts below maintenance "
        f"({peak.below_maintenance / accounts:.2%})."
    )
    if peak.bankrupt:
        lines.write(f"  {peak.bankrupt:,} of them bankrupt, owing {peak.shortfall:,.0f} USD more than they hold.")
    lines.write(
        f"  Nobody is liquidated in this demo, so accounts recover with the price: "
        f"{steps[-1].below_maintenance:,} at the last bar."
    )
    lines.write("\nThe worst account then, in USD", "bold")
    for line in account_text(peak.worst).splitlines():
        lines.write("  " + line)
    lines.write("\nSpeed", "bold")
    lines.write(
        f"  {checks:,} account checks in {evaluating:.3f} s: {checks / evaluating / 1e6:,.1f} million a "
        f"second ({xmfast.num_threads()} threads, {xmfast.simd()})."
    )
    lines.write(f"  Whole demo, with drawing the accounts and building the book: {seconds:.2f} s.")
    other = "2022-11-09" if venue.crash.name != "2022-11-09" else "2020-03-12"
    lines.write("\nTry next", "bold")
    for command, what in (
        (f"xmfast demo --crash {other}", CRASHES[other]),
        ("xmfast demo --accounts 1000000", "ten times as many"),
        ("xmfast demo --csv crash.csv", "the table as a file; --json prints all"),
        ("xmfast doctor", "which CPU path and how many threads are used"),
    ):
        lines.write(f"  {command:<32}  {what}")


def _document(venue: Venue, steps: list[Step], seed: int, seconds: float) -> dict[str, object]:
    peak = _peak(steps)
    evaluating = sum(step.evaluate_seconds for step in steps)
    return {
        "crash": venue.crash.name,
        "title": venue.crash.title,
        "coins": list(venue.crash.coins),
        "accounts": len(venue.book),
        "balances": venue.book.balance_count,
        "positions": venue.book.position_count,
        "seed": seed,
        "numeraire": "USD",
        "bars": [_bar(step) for step in steps],
        "peak": {**_bar(peak), "worst_account": account_document(peak.worst)},
        "timing": {
            "evaluate_seconds": evaluating,
            "total_seconds": seconds,
            "accounts_per_second": len(venue.book) * len(steps) / evaluating,
            "threads": xmfast.num_threads(),
            "simd": xmfast.simd(),
        },
    }


def _bar(step: Step) -> dict[str, object]:
    return {"time": f"{step.time}Z"} | {name: getattr(step, name) for name in _CSV_COLUMNS[1:]}


def _write_csv(target: IO[str], steps: list[Step]) -> None:
    writer = csv.DictWriter(target, _CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_bar(step) for step in steps)


def _csv_target(name: str | None) -> AbstractContextManager[IO[str] | None]:
    if name is None:
        return nullcontext()
    return nullcontext(sys.stdout) if name == "-" else text_output(name)


def _peak(steps: list[Step]) -> Step:
    return max(steps, key=lambda step: (step.below_maintenance, -step.worst.health))


def _minute(step: Step) -> str:
    return str(step.time)[:16].replace("T", " ")


def _change(price: float, first: float) -> str:
    return f"{price / first - 1:+.1%}"
