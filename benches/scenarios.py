"""Scenario margin, Value at Risk and option revaluation beside Numba and SciPy, in turn.

python benches/scenarios.py                      venue-1m and venue-100k, one and two threads; a few minutes
python benches/scenarios.py --accounts 10000     a tenth of these accounts for the quantile

| workload | what |
|---|---|
| joint-32 | the worst of 32 joint scenarios, and what CrossMargin says of collateral, for every account of venue-1m |
| healthy-32 | joint-32 with balances thirty times as large |
| var-500 | 99 % Value at Risk over 500 joint scenarios, the same for every account of venue-100k |
| options | 4,096 options revalued in 32 scenarios of price and volatility |
| options-20 | the same, twenty calls in a row after each rest: caches are warm and threads awake, as in a loop |

Between two calls every mark price moves, of an option forward and volatility, but where a row says otherwise.
All answers are compared with xmfast's first; more than 1e-9 of an account's gross, or of a forward, ends the run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle
from statistics import median
from typing import Any

import numba
import numpy as np

import option_peers
import peers
import scenario_peers
from measure import TOLERANCE, Figures, progress, race
from peers import Answer, Contestant
from scenario_peers import Shocks
from venue import Venue, frames, venue

# Of 500 losses the 495th smallest is the sixth largest.
VAR_SCENARIOS, VAR_RANK = 500, 6
JOINT_SCENARIOS = 32
OPTIONS, OPTION_SCENARIOS = 4096, 32
IN_A_ROW = 20
# Markets that take turns: more than tables are kept, so that none comes back to its own prices.
STEPS = 5
EVERY = slice(None)
# Standard deviation of what each mark price moves by, on its own.
MOVE = 2e-4
# What balances are multiplied by where the book is to be healthy.
HEALTHY = 30.0


def xmfast(book: Venue, what: Shocks) -> list[Contestant]:
    """Return the library that is measured: the report, flags alone, and the report where less moves between calls.

    A model keeps its last tables of losses, and of a quantile which scenarios decided for each account of the last
    book, so that what has moved since the call before is part of the workload: every mark price, if nothing else is
    said. Each row has a model of its own.
    """
    import xmfast as xm

    universe, _, market = peers.xmfast_model(book)
    moves = dict(zip(book.instruments["underlying"], what.moves, strict=True))
    holdings = xm.Book.from_frames(universe, *frames(book))

    def model() -> xm.PortfolioMargin | xm.HistoricalVaR:
        if what.rank == 1:
            return xm.PortfolioMargin(universe, book.collateral, scenarios=xm.Scenarios.joint(moves))
        return xm.HistoricalVaR(universe, book.collateral, returns=moves, confidence=0.99)

    def answer(report: Any) -> Answer:
        return {name: getattr(report, name) for name in (*peers.FIGURES, "scan_risk", "liquidatable")}

    def markets(moving: slice) -> Iterator[xm.Market]:
        """Yield the market itself first, then such in which these instruments have another mark price each time."""
        marks = [book.mark_price.copy() for _ in range(STEPS)]
        random = np.random.default_rng(STEPS)
        for mark in marks[1:]:
            mark[moving] *= np.exp(MOVE * random.standard_normal(len(mark[moving])))
        return cycle([market.with_prices(mark_price=mark) for mark in marks])

    def report(name: str, moving: slice, books: Sequence[xm.Book] = (holdings,)) -> Contestant:
        mine, now, turn = model(), markets(moving), cycle(books)
        return Contestant(name=name, evaluate=lambda: mine.evaluate(next(turn), next(now)), answer=answer)

    flagging, now = model(), markets(EVERY)
    flags = Contestant(
        name="xmfast, flags alone: model.liquidatable",
        evaluate=lambda: flagging.liquidatable(holdings, next(now)),
        answer=_flags,
    )
    one, none = slice(0, 1), slice(0, 0)
    contestants = [
        report("xmfast", EVERY),
        flags,
        report("xmfast, one mark price has moved", one),
        report("xmfast, same prices", none),
    ]
    if what.rank > 1:
        # A model remembers the last book alone: of two that take turns it knows nothing.
        twins = [xm.Book.from_frames(universe, *frames(book)) for _ in range(2)]
        contestants.append(report("xmfast, a book not seen before", EVERY, twins))
        for _ in twins:
            # Packed outside the clock, as the others are.
            contestants[-1].evaluate()
    return contestants


def joint(accounts: int) -> tuple[list[Contestant], Figures]:
    """Return the contestants of joint-32, their answers compared."""
    book = venue(accounts)
    what = scenario_peers.shocks("joint-32", len(book.mark_price), JOINT_SCENARIOS, rank=1)
    return _checked(book, what, [scenario_peers.numba_chunks, scenario_peers.scipy_sparse])


def healthy(accounts: int) -> tuple[list[Contestant], Figures]:
    """Return the contestants of healthy-32: balances are so large that hardly anybody fails."""
    book = venue(accounts)
    book = replace(book, name="healthy-1m", balance=HEALTHY * book.balance)
    what = scenario_peers.shocks("healthy-32", len(book.mark_price), JOINT_SCENARIOS, rank=1)
    return _checked(book, what, [scenario_peers.numba_chunks])


def quantile(accounts: int) -> tuple[list[Contestant], Figures]:
    """Return the contestants of var-500, their answers compared."""
    book = venue(accounts)
    what = scenario_peers.shocks("var-500", len(book.mark_price), VAR_SCENARIOS, rank=VAR_RANK)
    loops = [scenario_peers.numba_chunks, scenario_peers.numba_partition, scenario_peers.scipy_sparse]
    return _checked(book, what, loops)


def options(count: int, calls: int = 1) -> tuple[list[Contestant], Figures]:
    """Return the contestants of options, so many calls in a row, their answers compared."""
    chain = option_peers.chain(count, OPTION_SCENARIOS)
    ours = option_peers.xmfast(chain)
    expected = ours.answer(ours.evaluate())["losses"]
    contestants = [ours]
    differences: dict[str, float] = {}
    for make in (option_peers.numba_loop, option_peers.scipy_arrays):
        peer = make(chain)
        apart = np.abs(peer.answer(peer.evaluate())["losses"] - expected) / chain.forward[:, None]
        _accept("options", peer, float(apart.max()), differences)
        contestants.append(peer)
    name = "options" if calls == 1 else f"options-{calls}"
    figures = {"name": name, "size": f"{count:,} options", "difference": differences, "calls": calls}
    return contestants, figures


def _checked(
    book: Venue, what: Shocks, others: Sequence[Callable[[Venue, Shocks], Contestant]]
) -> tuple[list[Contestant], Figures]:
    """Prepare all contestants of a book and compare what they say."""
    progress(f"{what.name}: preparing")
    contestants = xmfast(book, what)
    differences: dict[str, float] = {}
    expected = contestants[0].answer(contestants[0].evaluate())
    if not np.array_equal(contestants[1].evaluate(), expected["liquidatable"]):
        raise SystemExit(f"{what.name}: flags alone are not those of the report")
    # What a position may lose belongs to what differences are measured by.
    largest = np.abs(what.moves).max(axis=1) * book.mark_price
    lost = np.bincount(
        book.position_account, np.abs(book.quantity) * largest[book.position_instrument], len(book.accounts)
    )
    scale = peers.gross(book) + lost
    for make in others:
        peer = make(book, what)
        answer = peer.answer(peer.evaluate())
        apart = np.abs(answer["scan_risk"] - expected["scan_risk"]) / scale
        worst = max(peers.difference(answer, expected, scale), float(apart.max()))
        _accept(what.name, peer, worst, differences)
        contestants.append(peer)
    size = f"{len(book.accounts):,} accounts, {len(book.quantity):,} positions"
    liquidatable = float(np.mean(expected["liquidatable"]))
    return contestants, {"name": what.name, "size": size, "difference": differences, "liquidatable": liquidatable}


def _accept(name: str, peer: Contestant, apart: float, differences: dict[str, float]) -> None:
    if not apart <= TOLERANCE:
        raise SystemExit(f"{name}: {peer.name} and xmfast differ by {apart:.1e}")
    differences[peer.name] = apart


def _flags(flags: Any) -> Answer:
    return {"liquidatable": flags}


def contest(workload: tuple[list[Contestant], Figures], rounds: int, threads: Sequence[int]) -> Figures:
    """Time all contestants of a workload in turn, with each number of threads."""
    import xmfast as xm

    contestants, figures = workload
    by_threads = {}
    before = xm.num_threads(), numba.get_num_threads()
    for count in threads:
        xm.set_num_threads(count)
        numba.set_num_threads(min(count, before[1]))
        title = f"{figures['name']}, {count} threads"
        by_threads[str(count)] = race(contestants, rounds, title, figures.get("calls", 1))
    xm.set_num_threads(before[0])
    numba.set_num_threads(before[1])
    one_thread = [contestant.name for contestant in contestants if not contestant.is_parallel]
    return figures | {"by_threads": by_threads, "one_thread": one_thread}


def table(figures: Figures) -> str:
    """Return the times of a workload as Markdown."""
    lines = []
    for count, run in figures["by_threads"].items():
        seconds = run["seconds"]
        ours = seconds["xmfast"]
        lines += [
            f"**{figures['name']}**, {count} thread{'s' if count != '1' else ''}: {figures['size']}",
            "",
            "| contestant | ms | best ms | time / xmfast | difference |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]
        for name, times in seconds.items():
            ratio = median(theirs / own for theirs, own in zip(times, ours, strict=True))
            apart = figures["difference"].get(name)
            title = name + (" (one thread)" if name in figures["one_thread"] and count != "1" else "")
            shown = "" if apart is None else f"{apart:.0e}"
            lines.append(f"| {title} | {1e3 * median(times):.2f} | {1e3 * min(times):.2f} | {ratio:.2f} | {shown} |")
        if run["others"] > 0.15:
            lines.append(f"\nOther processes used {run['others']:.0%} of a core meanwhile.")
        lines.append("")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table for each workload and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", choices=["joint", "healthy", "var", "options", "options-20"])
    given = parser.parse_args(arguments)
    workloads: dict[str, Callable[[], tuple[list[Contestant], Figures]]] = {
        "joint": lambda: joint(given.accounts),
        "healthy": lambda: healthy(given.accounts),
        "var": lambda: quantile(given.accounts // 10),
        "options": lambda: options(OPTIONS),
        "options-20": lambda: options(OPTIONS, IN_A_ROW),
    }
    for name, make in workloads.items():
        if given.only in (None, name):
            print(table(contest(make(), given.rounds, given.threads)))


if __name__ == "__main__":
    main()
