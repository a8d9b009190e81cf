"""Latency of the live engine's ticks and checks, beside one full evaluation.

python benches/live.py [--accounts 1000000] [--ticks 200000]
python benches/live.py --crash 2025-10-10 [--accounts 1000000] [--steps 10]

An easy book, where hardly anybody is near the edge, and a hard one: 16 % of the accounts liquidatable, 0.5 % within
0.1 % of their gross notional of the edge. Prices follow a random walk of a basis point a tick, one of 512 instruments
at a time. Checks of orders are of accounts of nine legs, always the same 64, and of random accounts. Times are those of
calls from Python; `cargo bench -p xmfast-core --bench engine` has them without.

With --crash, the accounts of `xmfast demo` (its real coins, its collateral, loans and inverse contracts) live through
the bars of that day: open, high and low, and close of every bar are ticks, of the coin's perpetuals and of its index
price, one call each; then once more with one call for all coins. --steps walks from each price to the next on a
straight line in so many ticks. Nobody is liquidated, so that more and more are near the edge or below.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import xmfast as xm
from run import machine
from venue import Floats, Venue, frames, venue
from xmfast.crashes import CRASHES, Crash, load_crash
from xmfast.demo import build_venue

LIQUIDATABLE, NEAR, WITHIN = 0.16, 0.005, 0.001
# What balances are multiplied by where hardly anybody is to be near the edge.
EASY = 30.0
STEP = 1e-4
# Accounts that checks of nine legs take turns among: they stay in the cache.
NINE = 64
# Coins that the demo has inverse contracts on.
INVERSE = ("BTC", "ETH")


@dataclass(frozen=True, kw_only=True, eq=False)
class Live:
    """An engine, and the prices that its walk starts from."""

    name: str
    engine: xm.Engine
    marks: Floats
    # Ids of some accounts of nine legs: cash and eight positions.
    nine: NDArray[np.int64]


def live_of(name: str, book: Venue, engine: xm.Engine) -> Live:
    """Return an engine of a venue."""
    accounts = len(book.accounts)
    balances = np.bincount(book.balance_account, minlength=accounts)
    positions = np.bincount(book.position_account, minlength=accounts)
    nine = book.accounts[(balances == 1) & (positions == 8)]
    return Live(name=name, engine=engine, marks=book.mark_price.copy(), nine=nine[:NINE])


def objects(book: Venue) -> tuple[xm.Book, xm.Market, xm.CrossMargin]:
    """Return what an engine is opened with."""
    universe = xm.Universe.from_frames({"asset": book.assets}, book.instruments, numeraire=book.assets[0])
    return (
        xm.Book.from_frames(universe, *frames(book)),
        xm.Market(universe, index_price=book.index_price, mark_price=book.mark_price),
        xm.CrossMargin.from_frames(universe, book.collateral, book.margin),
    )


def easy(accounts: int) -> Live:
    """Return an engine of accounts with large balances."""
    book = venue(accounts)
    return live_of("easy", book, xm.Engine(*objects(replace(book, balance=EASY * book.balance))))


def hard(accounts: int) -> Live:
    """Return an engine of accounts whose USD balances are moved so that many are near the edge."""
    book, rng = venue(accounts), np.random.default_rng(1)
    inputs = objects(book)
    health = inputs[2].evaluate(*inputs[:2]).health
    notional = np.abs(book.quantity) * book.mark_price[book.position_instrument]
    gross = np.bincount(book.position_account, weights=notional, minlength=accounts)
    distance = health / gross - np.quantile(health / gross, LIQUIDATABLE)
    # Nobody else is so near.
    distance += np.copysign(WITHIN, distance)
    near = rng.choice(accounts, max(1, int(NEAR * accounts)), replace=False)
    distance[near] = rng.uniform(-WITHIN, WITHIN, len(near))
    moved = distance * gross - health
    in_usd = book.balance_asset == 0
    balance = book.balance.copy()
    balance[in_usd] += moved[book.balance_account[in_usd]]
    return live_of("hard", book, xm.Engine(*objects(replace(book, balance=balance))))


def walk(live: Live, ticks: int, seed: int, then: Callable[[Any], None] = lambda fallen: None) -> Floats:
    """Let prices walk; return the nanoseconds of every tick."""
    rng = np.random.default_rng(seed)
    names = live.engine.universe.instruments
    rows = rng.integers(0, len(names), ticks)
    steps = 1.0 + STEP * rng.normal(size=ticks)
    took = np.empty(ticks)
    for tick, (row, step) in enumerate(zip(rows.tolist(), steps.tolist(), strict=True)):
        live.marks[row] = price = float(f"{live.marks[row] * step:.8g}")
        start = time.perf_counter_ns()
        fallen = live.engine.tick(names[row], price)
        took[tick] = time.perf_counter_ns() - start
        then(fallen)
    return took


def check_orders(live: Live, accounts: NDArray[np.int64]) -> tuple[float, float]:
    """Return the nanoseconds of a check by single calls, and by one call for all."""
    rng, count = np.random.default_rng(2), len(accounts)
    engine = live.engine
    rows = rng.integers(0, len(live.marks), count)
    names = [engine.universe.instruments[row] for row in rows.tolist()]
    prices = live.marks[rows]
    orders = list(zip(accounts.tolist(), names, prices.tolist(), strict=True))
    start = time.perf_counter_ns()
    for account, name, price in orders:
        engine.check_order(account, name, 1.0, price)
    single = time.perf_counter_ns() - start
    instruments, ones = np.array(names), np.ones(count)
    many = []
    for _ in range(3):
        start = time.perf_counter_ns()
        engine.check_orders(accounts, instruments, ones, prices)
        many.append(time.perf_counter_ns() - start)
    return single / count, min(many) / count


def line(make: Callable[[int], Live], accounts: int, ticks: int) -> None:
    """Print a line for one book."""
    start = time.perf_counter()
    live = make(accounts)
    opened = time.perf_counter() - start
    walk(live, min(ticks, 20_000), seed=3)
    before = live.engine.metrics().woken
    took = walk(live, ticks, seed=4) / 1e3
    woken = (live.engine.metrics().woken - before) / ticks
    book, market, model = live.engine.book, live.engine.market, live.engine.model
    model.evaluate(book, market)
    start = time.perf_counter()
    model.evaluate(book, market)
    full = 1e6 * (time.perf_counter() - start)
    p50, p99, p999 = np.quantile(took, [0.5, 0.99, 0.999])
    some = np.random.default_rng(5).choice(live.engine.book.accounts, min(accounts, 1_000_000))
    single, batch = check_orders(live, some)
    nine, _ = check_orders(live, np.resize(live.nine, len(some)))
    print(
        f"| {live.name} | {accounts:,} | {took.mean():.2f} | {p50:.2f} | {p99:.1f} | {p999:.0f} | {took.max():.0f} | "
        f"{full:.0f} | {woken:.2f} | {nine:.0f} | {single:.0f} | {batch:.0f} | {opened:.1f} |",
        flush=True,
    )


# Real bars

# What one tick is of: a keyword of `Engine.tick`, an id, and a price.
Move = tuple[str, Any, float]


def moments(crash: Crash, steps: int) -> Iterator[list[Move]]:
    """Yield what moves at once: every coin's next price, of all that follows it.

    A bar that rose is taken to have gone from its open to the low, to the high, to the close; one that fell, to the
    high first.
    """
    now = crash.open[0]
    for bar in range(len(crash.times)):
        rose = crash.close[bar] >= crash.open[bar]
        first = np.where(rose, crash.low[bar], crash.high[bar])
        second = np.where(rose, crash.high[bar], crash.low[bar])
        for to in (crash.open[bar], first, second, crash.close[bar]):
            for step in range(1, steps + 1):
                prices = to if step == steps else now + (to - now) * (step / steps)
                coins = zip(crash.coins, prices.tolist(), strict=True)
                yield [move for coin, price in coins for move in moves_of(coin, price)]
            now = to


def moves_of(coin: str, price: float) -> Iterator[Move]:
    """Yield what follows a coin's price."""
    price = float(f"{price:.8g}")
    yield "instrument", f"{coin}-PERP", price
    if coin in INVERSE:
        yield "instrument", f"{coin}-INVERSE", price
    yield "index", coin, price


def one_by_one(
    engine: xm.Engine, crash: Crash, steps: int, then: Callable[[Any], None] = lambda fallen: None
) -> Floats:
    """Live through the bars, a call for each price; return the nanoseconds of every call."""
    took = []
    for moves in moments(crash, steps):
        for kind, name, price in moves:
            said: dict[str, Any] = {kind: name, "price": price}
            start = time.perf_counter_ns()
            fallen = engine.tick(**said)
            took.append(time.perf_counter_ns() - start)
            then(fallen)
    return np.array(took, dtype=np.float64)


def all_at_once(
    engine: xm.Engine, crash: Crash, steps: int, then: Callable[[Any], None] = lambda fallen: None
) -> Floats:
    """Live through the bars, a call for all coins; return the nanoseconds of every call."""
    took = []
    for moves in moments(crash, steps):
        # An instrument and an asset never share a name.
        names, prices = [name for _, name, _ in moves], [price for _, _, price in moves]
        start = time.perf_counter_ns()
        fallen = engine.ticks(names, prices)
        took.append(time.perf_counter_ns() - start)
        then(fallen)
    return np.array(took, dtype=np.float64)


def crash_lines(crash: Crash, accounts: int, steps: int) -> None:
    """Print a line for each way to live through the bars, after comparing how it ended."""
    venue = build_venue(crash, accounts, seed=1)
    for play in (one_by_one, all_at_once):
        start = time.perf_counter()
        engine = xm.Engine(venue.book, venue.market, venue.model)
        opened = time.perf_counter() - start
        before = engine.metrics().woken
        took = play(engine, crash, steps) / 1e3
        woken = (engine.metrics().woken - before) / len(took)
        book, market, model = engine.book, engine.market, engine.model
        report: Any = model.evaluate(book, market)
        assert np.array_equal(engine.liquidatable(), report.accounts[report.liquidatable])
        full = []
        for _ in range(5):
            start = time.perf_counter()
            model.evaluate(book, market)
            full.append(1e6 * (time.perf_counter() - start))
        p50, p99, p999 = np.quantile(took, [0.5, 0.99, 0.999])
        print(
            f"| {play.__name__.replace('_', ' ')} | {accounts:,} | {len(took):,} | {took.mean():.1f} | {p50:.1f} | "
            f"{p99:.0f} | {p999:.0f} | {took.max():.0f} | {np.median(full):.0f} | {woken:.1f} | "
            f"{len(engine.fallen()):,} | {opened:.1f} |",
            flush=True,
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--ticks", type=int, default=200_000)
    parser.add_argument("--crash", choices=CRASHES, help="live through the bars of a real crash instead")
    parser.add_argument("--steps", type=int, default=1, help="ticks from one price of a bar to the next")
    given = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    if given.crash is not None:
        print(f"\n{CRASHES[given.crash]}: microseconds of a call and of a full evaluation, seconds to open\n")
        print("| ticks | accounts | calls | mean | p50 | p99 | p99.9 | max | full | woken a call | fell | open |")
        print("|---|" + "---:|" * 11)
        crash_lines(load_crash(given.crash), given.accounts, given.steps)
        return
    print("\nmicroseconds of a tick and of a full evaluation, nanoseconds of a check, seconds to build and open\n")
    print("| book | accounts | mean | p50 | p99 | p99.9 | max | full | woken a tick ", end="")
    print("| check, nine legs | anybody | of many | open |")
    print("|---|" + "---:|" * 12)
    for make in (easy, hard):
        line(make, given.accounts, given.ticks)


if __name__ == "__main__":
    main()
