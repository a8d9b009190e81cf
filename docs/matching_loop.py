"""A toy matching loop on the live engine: real 15-minute bars of 2025-10-10, made-up traders.

python docs/matching_loop.py             a line for every bar: trades, refused orders, who fell
python docs/matching_loop.py --replay    then the same commands again at full speed, to the same state
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

import xmfast as xm
from xmfast.crashes import Crash, load_crash

TRADERS, MAKERS = 500, 20
TRADES_A_BAR = 200
# What happened, as the name of a method of the engine and its arguments.
Command = tuple[str, tuple[Any, ...]]


def open_engine(crash: Crash) -> xm.Engine:
    """Open an engine of traders with little cash and makers with much, all flat, at the first bar."""
    perps = [f"{coin}-PERP" for coin in crash.coins]
    universe = xm.Universe.from_frames(
        assets={"asset": ["USD"]},
        instruments={
            "instrument": perps,
            "kind": ["perpetual"] * len(perps),
            "underlying": list(crash.coins),
            "settlement": ["USD"] * len(perps),
        },
    )
    names = [f"trader-{n}" for n in range(TRADERS)] + [f"maker-{n}" for n in range(MAKERS)]
    cash = [10_000.0] * TRADERS + [10_000_000.0] * MAKERS
    count = len(perps)
    return xm.Engine(
        xm.Book.from_frames(universe, balances={"account": names, "asset": ["USD"] * len(names), "balance": cash}),
        xm.Market(universe, mark_price=crash.open[0]),
        xm.CrossMargin.from_frames(
            universe, margin={"instrument": perps, "initial_rate": [0.05] * count, "maintenance_rate": [0.025] * count}
        ),
        open_interest_limit=dict.fromkeys(perps, 10_000_000_000),
    )


def orders_of_bar(rng: np.random.Generator, coins: int) -> Iterator[tuple[str, str, int, float]]:
    """Yield takers, makers, coins and signed sizes in USD; most takers buy, as before a crash."""
    for _ in range(TRADES_A_BAR):
        side = 1.0 if rng.random() < 0.7 else -1.0
        taker, maker = f"trader-{rng.integers(TRADERS)}", f"maker-{rng.integers(MAKERS)}"
        yield taker, maker, int(rng.integers(coins)), side * float(rng.lognormal(8.5, 1.0))


def play(engine: xm.Engine, crash: Crash) -> list[Command]:
    """Drive the engine through the crash; return what was done."""
    rng, done = np.random.default_rng(7), []

    def do(name: str, *args: Any) -> Any:
        answer = getattr(engine, name)(*args)
        done.append((name, args))
        return answer

    perps = engine.universe.instruments
    for bar, closes in enumerate(crash.close):
        counts = Counter[str]()
        for taker, maker, coin, size in orders_of_bar(rng, len(perps)):
            price = float(engine.market.mark_price[coin]) if bar == 0 else float(crash.close[bar - 1][coin])
            quantity = round(size / price, 8)
            # Both sides must be good for the trade before it is made; a taker who only closes always is.
            if not quantity or not engine.check_order(maker, perps[coin], -quantity, price):
                continue
            if engine.check_order(taker, perps[coin], quantity, price):
                fee = round(abs(quantity * price) * 0.0005, 6)
                do("trade", maker, taker, perps[coin], quantity, price, 0, fee)
                counts["trades"] += 1
            else:
                counts["refused"] += 1
        fallen = do("ticks", perps, closes)
        when = str(crash.times[bar] + crash.bar).replace("T", " ")[:16]
        down = len(engine.liquidatable())
        told = f"{counts['trades']:4d} trades   {counts['refused']:4d} refused"
        print(f"{when}   BTC {closes[0]:>8,.0f}   {told}   {len(fallen):3d} fell   {down:3d} liquidatable")
    return done


def replay(engine: xm.Engine, commands: list[Command]) -> float:
    """Do the same again; return how many commands a second were done."""
    start = time.perf_counter()
    for name, args in commands:
        getattr(engine, name)(*args)
    return len(commands) / (time.perf_counter() - start)


def main(arguments: list[str] | None = None) -> None:
    """Play, and replay if that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replay", action="store_true")
    parser.add_argument("--bars", type=int, default=None, help="only so many bars")
    given = parser.parse_args(arguments)
    crash = load_crash("2025-10-10")
    if given.bars is not None:
        crash = type(crash)(
            **{name: getattr(crash, name) for name in ("name", "title", "coins", "times", "bar")},
            **{name: getattr(crash, name)[: given.bars] for name in ("open", "high", "low", "close", "volume")},
        )
    engine = open_engine(crash)
    commands = play(engine, crash)
    totals = engine.ledger()["USD"]
    print(f"fees {totals.fees} USD, rounding {totals.rounding} USD, conserved: {totals.is_conserved}")
    if given.replay:
        again = open_engine(crash)
        speed = replay(again, commands)
        same = again.state_hash() == engine.state_hash()
        print(f"replayed {len(commands):,} commands at {speed:,.0f} a second; the same state: {same}")


if __name__ == "__main__":
    main()
