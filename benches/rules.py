"""What brackets, tiers and open orders cost: venue-1m plain, and with all of them for every account, in turn.

python benches/rules.py                      a million accounts, one and two threads
python benches/rules.py --accounts 100000

``rules-1m`` is venue-1m where every instrument has three brackets (a third of the positions lies beyond the first),
bitcoin two haircut tiers and a cap, and every account open orders: three on average, one in eight across the mark.
Margins are compared with NumPy's first.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import peers
from measure import TOLERANCE
from venue import SEED, Codes, Columns, Floats, Venue, frames, venue

ORDERS_PER_ACCOUNT = 3
HIGHER = (1.0, 1.5, 2.5)  # rates of a bracket, times those of the first


@dataclass(frozen=True, kw_only=True, eq=False)
class Rules:
    """What venue-1m gets on top."""

    margin: Columns
    collateral: Columns
    floors: Floats  # brackets x instruments
    order_account: Codes
    order_instrument: Codes
    order_quantity: Floats
    order_price: Floats


def rules(book: Venue, seed: int = SEED) -> Rules:
    """Return brackets, tiers and orders for a venue."""
    rng = np.random.default_rng(seed)
    instruments = len(book.mark_price)
    notional = np.abs(book.quantity) * book.mark_price[book.position_instrument]
    first, second = np.quantile(notional, [2 / 3, 0.9])
    floors = np.repeat([[0.0], [float(f"{first:.4g}")], [float(f"{second:.4g}")]], instruments, axis=1)
    # Every account has one, and the others fall where they fall.
    count = ORDERS_PER_ACCOUNT * len(book.accounts)
    account = np.concatenate([np.arange(len(book.accounts)), rng.integers(len(book.accounts), size=count)])[:count]
    instrument = book.position_instrument[rng.integers(len(book.position_instrument), size=count)]
    side = rng.choice([-1.0, 1.0], size=count)
    size = rng.choice(np.abs(book.quantity * book.mark_price[book.position_instrument]), size=count)
    away = rng.normal(0.01, 0.0087, size=count)
    return Rules(
        margin={
            "instrument": np.tile(book.instruments["instrument"], len(HIGHER)),
            "notional_floor": floors.ravel(),
            **{
                name: np.outer(HIGHER, np.asarray(book.margin[name])).ravel()
                for name in ("initial_rate", "maintenance_rate")
            },
        },
        collateral={
            "asset": ["BTC", "BTC"],
            "amount_floor": [0.0, 0.01],
            "initial_haircut": [0.10, 0.20],
            "maintenance_haircut": [0.05, 0.10],
            "amount_cap": [0.5, None],
        },
        floors=floors,
        order_account=account.astype(np.int32),
        order_instrument=instrument.astype(np.int32),
        order_quantity=side * size / book.mark_price[instrument],
        order_price=book.mark_price[instrument] * (1 - side * away),
    )


def xmfast(book: Venue, extra: Rules) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return the plain evaluation and the one with rules."""
    import xmfast as xm

    universe, plain, market = peers.xmfast_model(book)
    model = xm.CrossMargin.from_frames(universe, extra.collateral, extra.margin)
    balances, positions = frames(book, arrow=True)
    orders = {
        "account": book.accounts[extra.order_account],
        "instrument": np.asarray(book.instruments["instrument"])[extra.order_instrument].tolist(),
        "quantity": extra.order_quantity,
        "price": extra.order_price,
    }
    without = xm.Book.from_frames(universe, balances, positions)
    with_orders = xm.Book.from_frames(universe, balances, positions, orders)
    return lambda: plain.evaluate(without, market), lambda: model.evaluate(with_orders, market)


def margins(book: Venue, extra: Rules) -> dict[str, Floats]:
    """Return both margins by NumPy, account by account."""
    instruments, accounts = len(book.mark_price), len(book.accounts)
    position = book.position_account.astype(np.int64) * instruments + book.position_instrument
    order = extra.order_account.astype(np.int64) * instruments + extra.order_instrument
    pairs, where = np.unique(np.concatenate([position, order]), return_inverse=True)
    held, bids, asks, above, below = (np.zeros(len(pairs)) for _ in range(5))
    held[where[: len(position)]] = book.quantity
    ordered = where[len(position) :]
    buys = extra.order_quantity > 0
    worse = extra.order_price - book.mark_price[extra.order_instrument]
    for total, chosen, amount in (
        (bids, buys, extra.order_quantity),
        (asks, ~buys, -extra.order_quantity),
        (above, buys, extra.order_quantity * np.maximum(worse, 0)),
        (below, ~buys, extra.order_quantity * np.minimum(worse, 0)),
    ):
        np.add.at(total, ordered[chosen], amount[chosen])
    instrument = pairs % instruments
    exposure = np.maximum(np.abs(held + bids), np.abs(held - asks))

    def charged(quantity: Floats, rate: str) -> Floats:
        notional = quantity * book.mark_price[instrument]
        bases = np.outer(HIGHER, np.asarray(book.margin[rate]))[:, instrument]
        beyond = np.maximum(notional - extra.floors[:, instrument], 0)
        rises = np.diff(bases, axis=0, prepend=0)
        return np.asarray((rises * beyond).sum(axis=0))

    account: NDArray[np.int64] = pairs // instruments
    opening = np.maximum(above, below)
    return {
        "initial_margin": _sum_by(account, charged(exposure, "initial_rate") + opening, accounts),
        "maintenance_margin": _sum_by(account, charged(np.abs(held), "maintenance_rate"), accounts),
    }


def _sum_by(account: NDArray[np.int64], values: Floats, accounts: int) -> Floats:
    return np.bincount(account, values, accounts).astype(np.float64)


def difference(book: Venue, extra: Rules, report: Any) -> float:
    """Return the largest difference of a margin from NumPy's, relative to what the account holds and has ordered."""
    scale = peers.gross(book) + np.bincount(
        extra.order_account, np.abs(extra.order_quantity) * extra.order_price, len(book.accounts)
    )
    by_account = np.empty(len(book.accounts), dtype=np.int64)
    by_account[np.searchsorted(book.accounts, report.accounts)] = np.arange(len(book.accounts))
    found = {name: np.asarray(getattr(report, name))[by_account] for name in ("initial_margin", "maintenance_margin")}
    right = margins(book, extra)
    return max(float((np.abs(found[name] - right[name]) / scale).max()) for name in right)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the times and their ratio."""
    import xmfast as xm

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=21)
    given = parser.parse_args(arguments)
    book = venue(given.accounts)
    extra = rules(book)
    contestants = xmfast(book, extra)
    worst = difference(book, extra, contestants[1]())
    if worst > TOLERANCE:
        print(f"NumPy disagrees by {worst:.1e} of gross", file=sys.stderr)
        return 1
    for threads in (1, 2):
        xm.set_num_threads(threads)
        rounds = [[_milliseconds(evaluate) for evaluate in contestants] for _ in range(given.rounds)]
        plain, ruled = (statistics.median(times) for times in zip(*rounds, strict=True))
        ratio = statistics.median(after / before for before, after in rounds)
        print(f"{threads} threads: {book.name} {plain:.1f} ms, with rules {ruled:.1f} ms, {ratio:.1f} times")
    return 0


def _milliseconds(evaluate: Callable[[], Any]) -> float:
    start = time.perf_counter()
    evaluate()
    return 1e3 * (time.perf_counter() - start)


if __name__ == "__main__":
    sys.exit(main())
