"""The parts of a run, each in a process of its own, because Polars and Numba fix their threads at import."""

from __future__ import annotations

import gc
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from numba_peers import bandwidth, numba_single, numba_units
from peers import (
    Contestant,
    difference,
    gross,
    numpy_single,
    numpy_single_tuned,
    numpy_units,
    polars_single,
    scipy_single,
    xmfast,
    xmfast_model,
)
from venue import Venue, frames, multi_settlement, venue

Figures: TypeAlias = dict[str, Any]

TOLERANCE = 1e-9

# After a parallel section the threads of OpenMP and of Polars spin for a while before they sleep.
REST_SECONDS = 0.01


def evaluate(accounts: int, rounds: int) -> Figures:
    """Time every contestant on the reference venue and the general ones on ``multi_settlement``."""
    workloads: list[tuple[Venue, list[Callable[[Venue], Contestant]]]] = [
        (venue(accounts), [numba_single, numpy_single, numpy_single_tuned, polars_single, scipy_single]),
        (multi_settlement(accounts), [numba_units, numpy_units]),
    ]
    return {book.name: contest(book, peers, rounds) for book, peers in workloads}


def contest(book: Venue, peers: Sequence[Callable[[Venue], Contestant]], rounds: int) -> Figures:
    """Compare the peers' answers with xmfast's, then time all in turn, beside loops that move its bytes."""
    progress(f"{book.name}: preparing")
    ours = xmfast(book)
    expected, scale = ours.answer(ours.evaluate()), gross(book)
    contestants, differences = [ours, with_flags(ours)], {}
    for make in peers:
        peer = make(book)
        contestants.append(peer)
        differences[peer.name] = difference(peer.answer(peer.evaluate()), expected, scale)
        if differences[peer.name] > TOLERANCE:
            raise SystemExit(f"{book.name}: {peer.name} and xmfast differ by {differences[peer.name]:.1e} of gross")
    legs = leg_count(book)
    contestants += [bandwidth(legs, len(book.accounts), streaming=streaming) for streaming in (False, True)]
    return race(contestants, rounds, book.name) | {
        "accounts": len(book.accounts),
        "legs": legs,
        "liquidatable": float(np.mean(expected["liquidatable"])),
        "difference": differences,
        "one_thread": [contestant.name for contestant in contestants if not contestant.is_parallel],
    }


def with_flags(ours: Contestant) -> Contestant:
    """Return the contestant that also asks for ``report.liquidatable``, which is computed on first use."""
    return Contestant(
        name=f"{ours.name}, then report.liquidatable",
        evaluate=lambda: ours.evaluate().liquidatable,
        answer=lambda flags: {"liquidatable": flags},
    )


def race(contestants: Sequence[Contestant], rounds: int, title: str, calls: int = 1) -> Figures:
    """Return seconds of a call by contestant, and how much of a core other processes used meanwhile."""
    before = others_seconds(), time.perf_counter()
    seconds = in_turn(contestants, rounds, title, calls)
    after = others_seconds(), time.perf_counter()
    return {"seconds": seconds, "others": (after[0] - before[0]) / (after[1] - before[1])}


def in_turn(contestants: Sequence[Contestant], rounds: int, title: str, calls: int = 1) -> dict[str, list[float]]:
    """Return seconds of a call by contestant; each round times so many calls of each, so that ratios can be paired.

    Every round shuffles them, in every run alike. In a fixed order the first would always find the caches full of the
    others' memory, and one that does the same right after it would always find them warm.
    """
    shuffle, order = random.Random(0).shuffle, list(contestants)
    for contestant in contestants:
        contestant.evaluate()  # compiles, lays out, touches pages
    seconds: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    gc.collect()
    gc.disable()
    for _ in counted(rounds, title):
        shuffle(order)
        for contestant in order:
            time.sleep(REST_SECONDS)
            start = time.perf_counter()
            for _ in range(calls):
                contestant.evaluate()
            seconds[contestant.name].append((time.perf_counter() - start) / calls)
    gc.enable()
    return seconds


def scaling(sizes: Sequence[int], rounds: int) -> Figures:
    """Time xmfast, Numba and the loops at several numbers of accounts."""
    return {str(size): contest(venue(size), [numba_single], rounds) for size in sizes}


def build(accounts: int, rounds: int) -> Figures:
    """Time the building of a book from frames and its first evaluation; weigh its memory."""
    import xmfast as xm

    book = venue(accounts)
    universe, model, market = xmfast_model(book)
    seconds = {}
    integers = [
        (f"integer accounts, {container} strings, {order}", {"arrow": arrow, "shuffled": shuffled})
        for container, arrow in (("NumPy", False), ("Arrow", True))
        for order, shuffled in (("by account", False), ("shuffled", True))
    ]
    texts = [
        (
            f"string accounts, Arrow strings, {order}",
            {"arrow": True, "shuffled": shuffled, "text_accounts": True},
        )
        for order, shuffled in (("by account", False), ("shuffled", True))
    ]
    for title, form in integers + texts:
        balances, positions = frames(book, **form)

        def from_frames(balances: Any = balances, positions: Any = positions) -> Any:
            return xm.Book.from_frames(universe, balances, positions)

        seconds[title] = [timed(from_frames)[0] for _ in counted(rounds, f"build from {title}")]
    first, later = [], []
    for _ in counted(rounds, "first evaluation"):
        built = xm.Book.from_frames(universe, *frames(book))
        first.append(timed(lambda built=built: model.evaluate(built, market))[0])  # type: ignore[misc]
        later.append(timed(lambda built=built: model.evaluate(built, market))[0])  # type: ignore[misc]
    return {
        "rows": built.balance_count + built.position_count,
        "accounts": len(built),
        "legs": leg_count(book),
        "seconds": seconds,
        "first_evaluation": first,
        "second_evaluation": later,
        "nbytes": built.nbytes,
    }


def leg_count(book: Venue) -> int:
    """Legs as the kernel sees them: balances, positions, one cost for each account and settlement asset."""
    assets = len(book.assets)
    home = book.position_account.astype(np.int64) * assets + book.settlement[book.position_instrument]
    costs = np.count_nonzero(np.bincount(home, minlength=len(book.accounts) * assets))
    return len(book.balance) + len(book.quantity) + int(costs)


def others_seconds() -> float:
    """Return the processor time that all other processes have used so far; NaN where Linux does not tell."""
    try:
        with open("/proc/stat") as lines:
            ticks = [int(field) for field in next(lines).split()[1:9]]
    except OSError:
        return float("nan")
    busy = sum(ticks) - ticks[3] - ticks[4]  # without idle and iowait
    return busy / os.sysconf("SC_CLK_TCK") - time.process_time()


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that the work took, and what it returned."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def counted(rounds: int, title: str) -> Iterator[int]:
    """Yield round numbers and say on stderr where the run is."""
    for at in range(rounds):
        progress(f"{title}: round {at + 1} of {rounds}")
        yield at


def progress(message: str) -> None:
    """Write one line to stderr; on a terminal, over the last one."""
    start, end = ("\r\x1b[K", "") if sys.stderr.isatty() else ("", "\n")
    print(start + message, end=end, file=sys.stderr, flush=True)
