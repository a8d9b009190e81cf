"""A small matching engine around the live engine: real 15-minute bars of 2025-10-10, made-up traders.

python docs/matching_loop.py             a line for every bar: trades, refused and resting orders, who fell
python docs/matching_loop.py --replay    then the same commands again at full speed, to the same state

Every order is placed first, which checks it, and then meets what rests on the other side: the best price first, of one
price the oldest order. Both orders shrink by every trade. Makers quote around the bars and take back what is left.
"""

from __future__ import annotations

import argparse
import heapq
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import xmfast as xm
from xmfast.crashes import Crash, load_crash

TRADERS, MAKERS = 500, 20
ORDERS_A_BAR, QUOTES_A_BAR = 200, 5
# Contracts are counted in millionths, so that what is left of an order is exact.
UNIT = 1e6
FEE_RATE = 0.0005
# What happened: the name of a method of the engine, and its arguments.
Command = tuple[str, tuple[Any, ...], dict[str, Any]]


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


@dataclass(order=True)
class Resting:
    """An order that waits: those that sort first are served first."""

    rank: float
    number: int
    account: str = field(compare=False)
    price: float = field(compare=False)
    units: int = field(compare=False)


class Matching:
    """Queues of resting orders, by instrument and side, and an engine that knows who can afford what."""

    def __init__(self, engine: xm.Engine) -> None:
        self.engine = engine
        self.queues: dict[tuple[str, int], list[Resting]] = defaultdict(list)
        self.done: list[Command] = []
        self.counts = Counter[str]()

    def do(self, name: str, *args: Any, **options: Any) -> Any:
        """Tell the engine, and write down what it did."""
        answer = getattr(self.engine, name)(*args, **options)
        self.done.append((name, args, options))
        return answer

    def send(self, account: str, instrument: str, side: int, units: int, price: float) -> Resting | None:
        """Place an order and match it; return it if something of it rests."""
        try:
            number = self.do("place", account, instrument, side * units / UNIT, price)
        except xm.OrderRefusedError:
            self.counts["refused"] += 1
            return None
        order, queue = Resting(-side * price, number, account, price, units), self.queues[instrument, -side]
        while order.units and queue and side * queue[0].price <= side * price:
            best = queue[0]
            if best.account == account:
                # Nobody trades with himself: the older order goes.
                self.take_back(best)
            if not best.units:
                heapq.heappop(queue)
                continue
            traded = min(order.units, best.units)
            self.trade(best, order, instrument, side * traded / UNIT)
            order.units -= traded
            best.units -= traded
        if not order.units:
            return None
        heapq.heappush(self.queues[instrument, side], order)
        return order

    def trade(self, maker: Resting, taker: Resting, instrument: str, quantity: float) -> None:
        """Fill both orders at the price of the one that waited."""
        fee = round(abs(quantity) * maker.price * FEE_RATE, 6)
        numbers = {"maker_order": maker.number, "taker_order": taker.number}
        self.do("trade", maker.account, taker.account, instrument, quantity, maker.price, 0, fee, **numbers)
        self.counts["trades"] += 1

    def take_back(self, order: Resting) -> None:
        """Cancel what is left of an order; it leaves its queue when it comes to the front."""
        if order.units:
            self.do("cancel", order.number)
            order.units = 0

    def resting(self) -> int:
        """Count the orders that wait."""
        return sum(order.units > 0 for queue in self.queues.values() for order in queue)


def play(engine: xm.Engine, crash: Crash) -> list[Command]:
    """Drive the engine through the crash; return what was done."""
    rng, matching, quotes = np.random.default_rng(7), Matching(engine), list[Resting]()
    perps: list[Any] = engine.universe.instruments

    def send(account: str, coin: int, side: int, usd: float, price: float) -> Resting | None:
        units = max(1, round(usd / price * UNIT))
        return matching.send(account, perps[coin], side, units, float(f"{price:.6g}"))

    for bar, (opens, closes) in enumerate(zip(crash.open, crash.close, strict=True)):
        matching.counts.clear()
        while quotes:
            matching.take_back(quotes.pop())
        for maker in range(MAKERS):
            for coin in rng.integers(len(perps), size=QUOTES_A_BAR).tolist():
                for side in (1, -1):
                    price = opens[coin] * (1 - side * rng.uniform(0.0005, 0.005))
                    quote = send(f"maker-{maker}", coin, side, 50_000, price)
                    quotes += [quote] if quote else []
        for _ in range(ORDERS_A_BAR):
            # Most buy, as before a crash, and most at once.
            side = 1 if rng.random() < 0.7 else -1
            coin, reach = int(rng.integers(len(perps))), rng.normal(0.003, 0.004)
            size, price = float(rng.lognormal(8.5, 1.0)), opens[coin] * (1 + side * reach)
            send(f"trader-{rng.integers(TRADERS)}", coin, side, size, price)
        fallen = matching.do("ticks", perps, closes)
        when = str(crash.times[bar] + crash.bar).replace("T", " ")[:16]
        told = f"{matching.counts['trades']:4d} trades   {matching.counts['refused']:4d} refused"
        down = f"{matching.resting():5d} resting   {len(fallen):3d} fell   {len(engine.liquidatable()):3d} liquidatable"
        print(f"{when}   BTC {closes[0]:>8,.0f}   {told}   {down}")
    return matching.done


def replay(engine: xm.Engine, commands: list[Command]) -> float:
    """Do the same again; return how many commands a second were done."""
    start = time.perf_counter()
    for name, args, options in commands:
        getattr(engine, name)(*args, **options)
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
