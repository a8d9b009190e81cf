"""Print the project's speed on this machine: ``python benches/run.py`` (see README.md beside this file)."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

Figures: TypeAlias = dict[str, Any]

SIZES = (100_000, 1_000_000, 10_000_000)
QUICK_ACCOUNTS = 20_000
PACKAGES = ("xmfast", "numpy", "numba", "polars", "scipy", "pyarrow")
THREAD_VARIABLES = ("XMFAST_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "POLARS_MAX_THREADS")
BUSY = 0.15  # of one core
IMPORT_CODE = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def main() -> None:
    """Run the parts one after the other and print their tables in Markdown."""
    options = arguments()
    if options.part:
        print(json.dumps(run_part(options)))
        return
    rounds = options.rounds or (3 if options.quick else 21)
    accounts = options.accounts or (QUICK_ACCOUNTS if options.quick else 1_000_000)
    threads = thread_counts(options)
    figures: Figures = {"machine": machine(), "rounds": rounds}
    figures["evaluate"] = {count: child("evaluate", count, accounts, rounds) for count in threads}
    figures["build"] = child("build", max(threads), accounts, 1 if options.quick else 3)
    figures["import"] = import_seconds(3 if options.quick else 10)
    if options.rules:
        figures["rules"] = child("rules", max(threads), accounts, rounds, "--threads", ",".join(map(str, threads)))
    if options.scaling:
        figures["scaling"] = child("scaling", max(threads), accounts, min(rounds, 9))
    print(markdown(figures, max(threads)))
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, help="accounts of the venue (1000000)")
    parser.add_argument("--threads", help="thread counts, one table each (1,2)")
    parser.add_argument("--rounds", type=int, help="times that each contestant is called (21)")
    parser.add_argument("--rules", action="store_true", help="also brackets, tiers and orders beside the plain venue")
    parser.add_argument("--scaling", action="store_true", help="also 100 k, 1 M and 10 M accounts (minutes)")
    parser.add_argument("--quick", action="store_true", help="a small run that shows that all is in order")
    parser.add_argument("--json", metavar="FILE", help="also write every timing to a file")
    parser.add_argument("--part", choices=("evaluate", "build", "scaling", "rules"), help=argparse.SUPPRESS)
    return parser.parse_args()


def thread_counts(options: argparse.Namespace) -> list[int]:
    """Return what was asked for, or one and two as far as the machine has them (quick: the most)."""
    if options.threads:
        return [int(count) for count in options.threads.split(",")]
    most = min(2, os.cpu_count() or 1)
    return [most] if options.quick else sorted({1, most})


def run_part(options: argparse.Namespace) -> Figures:
    """Run one part in this process, whose environment sets the threads."""
    import measure

    if options.part == "build":
        return measure.build(options.accounts, options.rounds)
    if options.part == "rules":
        import rules

        return rules.contest(options.accounts, options.rounds, thread_counts(options))
    if options.part == "scaling":
        return measure.scaling(SIZES, options.rounds)
    return measure.evaluate(options.accounts, options.rounds)


def child(part: str, threads: int, accounts: int, rounds: int, *more: str) -> Figures:
    """Run one part in a new process with a number of threads."""
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
    command = [sys.executable, __file__, "--part", part, "--accounts", str(accounts), "--rounds", str(rounds), *more]
    print(f"{part}, {threads} threads", file=sys.stderr)
    finished = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if finished.returncode:
        raise SystemExit(f"{part} failed with code {finished.returncode}")
    figures: Figures = json.loads(finished.stdout)
    return figures


def import_seconds(rounds: int) -> dict[str, float]:
    """Return the shortest time that each module took to import, in new processes in turn."""
    seconds: dict[str, list[float]] = {"numpy": [], "xmfast": []}
    for _ in range(rounds):
        for module, taken in seconds.items():
            command = [sys.executable, "-c", IMPORT_CODE.format(module)]
            taken.append(float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))
    return {module: min(taken) for module, taken in seconds.items()}


def machine() -> Figures:
    """Say where and when this ran, and with what."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    import xmfast

    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "simd": xmfast.simd(),
        "load": round(os.getloadavg()[0], 2),
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
    }


def markdown(figures: Figures, threads: int) -> str:
    """Return all tables of a run."""
    here = figures["machine"]
    versions = ", ".join(f"{package} {version}" for package, version in here["versions"].items())
    parts = [
        f"{here['date']}, {here['processor']}, {here['cores']} cores, {here['simd']}, {here['system']}, "
        f"Python {here['python']}, {versions}; load {here['load']} at the start; "
        f"medians of {figures['rounds']} rounds, contestants in turn"
    ]
    for count, workloads in figures["evaluate"].items():
        parts += [contest_table(name, count, contest) for name, contest in workloads.items()]
    parts.append(build_table(figures["build"], threads))
    if "rules" in figures:
        parts.append(rules_table(figures["rules"]))
    if "scaling" in figures:
        parts.append(scaling_table(figures["scaling"], threads))
    imports = figures["import"]
    share = f"of which `import numpy` {imports['numpy']:.3f} s"
    parts.append(f"`import xmfast`: {imports['xmfast']:.3f} s, {share} (best of new processes)")
    return "\n\n".join(parts)


def contest_table(name: str, threads: int, contest: Figures) -> str:
    """Return times, paired ratios to xmfast and differences of one workload."""
    size = f"{contest['accounts']:,} accounts, {contest['legs']:,} legs"
    plural = "s" if threads > 1 else ""
    title = f"**{name}**, {threads} thread{plural}: {size}, {contest['liquidatable']:.1%} liquidatable"
    title += busy_note(contest["others"])
    rows = []
    for contestant, seconds in contest["seconds"].items():
        note = " (one thread)" if threads > 1 and contestant in contest["one_thread"] else ""
        apart = contest["difference"].get(contestant)
        rows.append(
            (
                contestant + note,
                f"{1e3 * median(seconds):.2f}",
                f"{1e3 * min(seconds):.2f}",
                f"{contest['accounts'] / median(seconds) / 1e6:.1f}",
                f"{paired(seconds, contest['seconds']['xmfast']):.2f}",
                "" if apart is None else f"{apart:.0e}",
            )
        )
    header = ("contestant", "ms", "best ms", "M accounts/s", "time / xmfast", "difference / gross")
    return f"{title}\n\n{table(header, rows)}"


def build_table(build: Figures, threads: int) -> str:
    """Return build times, the first evaluation and the memory."""
    rows = [(f"book from {form}", f"{median(seconds):.2f} s") for form, seconds in build["seconds"].items()]
    first, second = median(build["first_evaluation"]), median(build["second_evaluation"])
    rows.append(
        (
            "first evaluation, which packs the legs",
            f"{1e3 * first:.0f} ms (the next one {1e3 * second:.1f} ms)",
        )
    )
    legs, accounts, nbytes = build["legs"], build["accounts"], build["nbytes"]
    rows += [
        (
            f"memory: {part}",
            f"{size / 1e6:.0f} MB, {size / legs:.1f} bytes a leg, {size / accounts:.0f} an account",
        )
        for part, size in nbytes.items()
    ]
    allowed = (20 * legs + 96 * accounts) / 1e6
    rows.append(("memory: 20 bytes a leg and 96 an account would be", f"{allowed:.0f} MB"))
    title = f"**Building**, {threads} threads: {build['rows']:,} rows, {accounts:,} accounts"
    return f"{title}\n\n{table(('what', 'measured'), rows)}"


def rules_table(rules: Figures) -> str:
    """Return what brackets, tiers and orders cost, by number of threads."""
    plain_name, name = rules["names"]
    rows = []
    for count, run in rules["by_threads"].items():
        plain, ruled = run["seconds"]
        cells = [f"{1e3 * figure(seconds):.2f}" for seconds in (plain, ruled) for figure in (median, min)]
        rows.append((count, *cells, f"{paired(ruled, plain):.2f}", f"{rules['difference']:.0e}"))
    header = (
        "threads",
        *(f"{what}, {which}ms" for what in (plain_name, name) for which in ("", "best ")),
        f"time / {plain_name}",
        "difference / gross",
    )
    size = f"{rules['accounts']:,} accounts, {rules['orders']:,} orders, {rules['liquidatable']:.1%} liquidatable"
    title = f"**{name}**: {size}" + busy_note(max(run["others"] for run in rules["by_threads"].values()))
    return f"{title}\n\n{table(header, rows)}"


def scaling_table(scaling: Figures, threads: int) -> str:
    """Return nanoseconds per account by size: median and best."""
    rows = []
    for contestant in next(iter(scaling.values()))["seconds"]:
        cells = []
        for contest in scaling.values():
            cost = [1e9 * seconds / contest["accounts"] for seconds in contest["seconds"][contestant]]
            cells.append(f"{median(cost):.2f} ({min(cost):.2f})")
        rows.append((contestant, *cells))
    header = ("ns an account: median (best)", *(f"{int(size):,} accounts" for size in scaling))
    busiest = max(contest["others"] for contest in scaling.values())
    title = f"**Scaling**, {threads} threads" + busy_note(busiest)
    return f"{title}\n\n{table(header, rows)}"


def busy_note(others: float) -> str:
    """Return a warning if other processes kept the machine busy."""
    if others > BUSY:
        return f"; other processes used {others:.0%} of a core meanwhile, so take the best times"
    return ""


def paired(seconds: Sequence[float], base: Sequence[float]) -> float:
    """Return the median of the ratios within a round."""
    return median(one / other for one, other in zip(seconds, base, strict=True))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, text to the left and figures to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
