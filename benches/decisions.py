"""A million decisions at the edge, and a million ordinary ones, against exact fractions.

python benches/decisions.py                                  all of it: about half an hour on two cores
python benches/decisions.py --accounts 10000 --seed 7        a small part

Every sign of health, initial health and equity, every flag, of accounts and of isolated positions, is compared with
Python's `fractions` on the decimals given. Knife-edge accounts are within two last units of a balance of a threshold,
ties included: linear and inverse contracts, weighted collateral, tiers, brackets, several settlement assets. Ordinary
ones are random venues that mix every rule.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The exact twin and the generators belong to the tests; a wheel has neither.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import numpy as np

from building import build, reference_of
from knife_edge import knife_edge_venue
from reference import exact
from rule_venues import random_rule_venue

CHUNK = 2_500
FIGURES = ("health", "initial_health", "equity")
FLAGS = ("liquidatable", "bankrupt")
MODES = ("cross", "isolated")
KINDS = ("knife-edge", "ordinary")


@dataclass(frozen=True, kw_only=True)
class Count:
    """What was compared, and what of it was wrong."""

    accounts: int = 0
    decisions: int = 0
    exactly: int = 0
    wrong: int = 0

    def __add__(self, other: Count) -> Count:
        """Return both counts together."""
        return Count(
            accounts=self.accounts + other.accounts,
            decisions=self.decisions + other.decisions,
            exactly=self.exactly + other.exactly,
            wrong=self.wrong + other.wrong,
        )


def decide(kind: str, seed: int, accounts: int, mode: str) -> Count:
    """Compare every decision about a venue of so many accounts."""
    if kind == "knife-edge":
        venue = knife_edge_venue(seed, accounts=accounts, mode=mode)[0]
    else:
        venue = random_rule_venue(seed, accounts=accounts, mode=mode)
    model, book, market = build(venue)
    report: Any = model.evaluate(book, market)
    expected = reference_of(venue, number=exact)
    decisions = wrong = 0
    for found, right in ((report, expected), (report.isolated, expected["isolated"])):
        for name in FIGURES:
            got = np.sign(np.asarray(getattr(found, name)))
            signs = np.array([(value > 0) - (value < 0) for value in right[name]], dtype=np.float64)
            decisions += len(signs)
            wrong += int((got != signs).sum())
        for name in FLAGS:
            wrong += int((np.asarray(getattr(found, name)) != np.array(right[name], dtype=bool)).sum())
    return Count(accounts=len(report), decisions=decisions, exactly=report.exact_decisions, wrong=wrong)


def tasks(kind: str, seed: int, accounts: int) -> Iterator[tuple[str, int, int, str]]:
    """Return the venues that so many accounts are cut into: at least two, cross and isolated margin in turn."""
    size = max(1, min(CHUNK, (accounts + 1) // 2))
    for number, first in enumerate(range(0, accounts, size)):
        yield kind, seed + number, min(size, accounts - first), MODES[number % 2]


def run(kind: str, seed: int, accounts: int, processes: int) -> Count:
    """Decide so many accounts of a kind, and print how far it has come."""
    total, started = Count(), time.monotonic()
    with ProcessPoolExecutor(processes) as pool:
        for count in pool.map(decide, *zip(*tasks(kind, seed, accounts), strict=True)):
            total += count
            elapsed = time.monotonic() - started
            left = elapsed / max(1, total.accounts) * max(0, accounts - total.accounts)
            line = f"{kind}: {total.accounts:,} accounts, {total.decisions:,} decisions, {total.wrong} wrong"
            print(f"{line}, {total.exactly:,} in exact numbers; {left / 60:.0f} min left", flush=True)
    print(f"{kind}: {time.monotonic() - started:.0f} s in {processes} processes", flush=True)
    return total


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both kinds; the exit code says whether any decision was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=KINDS, help="one of the two alone")
    parser.add_argument("--accounts", type=int, default=1_000_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args(arguments)
    kinds = (given.kind,) if given.kind else KINDS
    wrong = sum(run(kind, given.seed, given.accounts, given.processes).wrong for kind in kinds)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
