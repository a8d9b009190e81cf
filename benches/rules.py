"""What brackets, tiers and open orders cost: venue-1m plain, and with all of them for every account, in turn.

python benches/rules.py                      a million accounts, one and two threads
python benches/rules.py --accounts 100000

``rules-1m`` is venue-1m where every instrument has three brackets (a third of the positions lies beyond the first),
bitcoin two haircut tiers and a cap, and every account open orders: three on average, one in eight across the mark.
All figures are compared with NumPy's first. `run.py --rules` prints the same as a table.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

import peers
from measure import TOLERANCE, Figures, progress, race
from peers import Answer, Contestant
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


def xmfast(book: Venue, extra: Rules) -> tuple[Contestant, Contestant]:
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

    def answer(report: Any) -> Answer:
        # Every account has a balance, so both books number accounts as the venue does.
        return {name: getattr(report, name) for name in (*peers.FIGURES, "liquidatable")}

    return (
        Contestant(name=book.name, evaluate=lambda: plain.evaluate(without, market), answer=answer),
        Contestant(name="with rules", evaluate=lambda: model.evaluate(with_orders, market), answer=answer),
    )


def by_numpy(book: Venue, extra: Rules) -> Answer:
    """Return all figures by NumPy: brackets and tiers as steps of a rate, orders summed by account and instrument."""
    held, weights = peers.single(book), peers.asset_weights(book)
    instrument, absolute = book.position_instrument, np.abs(book.quantity)
    value = _sum_by(book.position_account, book.quantity * book.mark_price[instrument], len(book.accounts))
    net, coin_price = held.cash - held.cost + value, book.index_price[1]
    out: Answer = {"equity": net + held.coin * coin_price}
    # Nobody owes bitcoin on venue-1m: its tiers are all that weighs it.
    counted = np.minimum(held.coin, extra.collateral["amount_cap"][0])
    floors = np.array(extra.collateral["amount_floor"])[:, None]
    for name, haircut, column in (
        ("collateral_value", "maintenance_haircut", 0),
        ("initial_collateral_value", "initial_haircut", 1),
    ):
        kept = 1.0 - np.array(extra.collateral[haircut])[:, None]
        weighed = net * np.where(net >= 0.0, weights[0, column], weights[0, column + 2])
        out[name] = weighed + coin_price * _charged(counted, floors, kept)
    maintenance = _charged(absolute * book.mark_price[instrument], *_brackets(book, extra, instrument, "maintenance"))
    out["maintenance_margin"] = _sum_by(book.position_account, maintenance, len(book.accounts))
    out["initial_margin"] = _initial_margin(book, extra)
    out["health"] = out["collateral_value"] - out["maintenance_margin"]
    out["initial_health"] = out["initial_collateral_value"] - out["initial_margin"]
    return out | {"liquidatable": out["health"] < 0.0}


def _initial_margin(book: Venue, extra: Rules) -> Floats:
    """Margin of the larger exposure that orders may leave behind, and what filling them would lose at once."""
    instruments = len(book.mark_price)
    position = book.position_account.astype(np.int64) * instruments + book.position_instrument
    order = extra.order_account.astype(np.int64) * instruments + extra.order_instrument
    pairs, where = np.unique(np.concatenate([position, order]), return_inverse=True)
    held = np.zeros(len(pairs))
    held[where[: len(position)]] = book.quantity
    ordered, buys = where[len(position) :], extra.order_quantity > 0
    size = np.abs(extra.order_quantity)
    worse = extra.order_price - book.mark_price[extra.order_instrument]
    bids, asks, above, below = (
        _sum_by(ordered[chosen], amount[chosen], len(pairs))
        for chosen, amount in (
            (buys, size),
            (~buys, size),
            (buys, size * np.maximum(worse, 0.0)),
            (~buys, size * np.maximum(-worse, 0.0)),
        )
    )
    account, instrument = pairs // instruments, pairs % instruments
    exposure = np.maximum(np.abs(held + bids), np.abs(held - asks))
    margin = _charged(exposure * book.mark_price[instrument], *_brackets(book, extra, instrument, "initial"))
    return _sum_by(account, margin + np.maximum(above, below), len(book.accounts))


def _brackets(book: Venue, extra: Rules, instrument: NDArray[Any], which: str) -> tuple[Floats, Floats]:
    """Return floors and rates of the instruments, brackets x rows."""
    rates = np.outer(HIGHER, np.asarray(book.margin[f"{which}_rate"]))
    return extra.floors[:, instrument], rates[:, instrument]


def _charged(sizes: Floats, floors: Floats, rates: Floats) -> Floats:
    """Return rate x the part of each size in its tier, summed; floors and rates are tiers x sizes, or tiers x 1."""
    # The rate of a tier is the sum of the steps up to it.
    steps = np.diff(rates, axis=0, prepend=0.0)
    return np.asarray((steps * np.maximum(sizes - floors, 0.0)).sum(axis=0))


def _sum_by(owner: NDArray[Any], values: Floats, owners: int) -> Floats:
    return np.bincount(owner, values, owners).astype(np.float64)


def difference(book: Venue, extra: Rules, answer: Answer) -> float:
    """Return the largest difference from NumPy's figures, relative to what the account holds and has ordered."""
    orders = np.abs(extra.order_quantity) * extra.order_price
    scale = peers.gross(book) + _sum_by(extra.order_account, orders, len(book.accounts))
    return peers.difference(by_numpy(book, extra), answer, scale)


def contest(accounts: int, rounds: int, threads: Sequence[int]) -> Figures:
    """Compare the figures with NumPy's, then time both evaluations in turn, with each number of threads."""
    import xmfast as xm

    book = venue(accounts)
    name = book.name.replace("venue", "rules")
    progress(f"{name}: preparing")
    extra = rules(book)
    plain, ruled = xmfast(book, extra)
    answer = ruled.answer(ruled.evaluate())
    apart = difference(book, extra, answer)
    if apart > TOLERANCE:
        raise SystemExit(f"{name}: NumPy and xmfast differ by {apart:.1e} of gross")
    figures: Figures = {
        "names": [book.name, name],
        "accounts": accounts,
        "orders": len(extra.order_account),
        "liquidatable": float(np.mean(answer["liquidatable"])),
        "difference": apart,
        "by_threads": {},
    }
    for count in threads:
        xm.set_num_threads(count)
        run = race([plain, ruled], rounds, f"{name}, {count} threads")
        figures["by_threads"][str(count)] = {"seconds": list(run["seconds"].values()), "others": run["others"]}
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=21)
    given = parser.parse_args(arguments)
    figures = contest(given.accounts, given.rounds, (1, 2))
    for count, run in figures["by_threads"].items():
        plain, ruled = run["seconds"]
        ratio = median(after / before for before, after in zip(plain, ruled, strict=True))
        times = (
            f"{figures['names'][0]} {1e3 * median(plain):.1f} ms, {figures['names'][1]} {1e3 * median(ruled):.1f} ms"
        )
        print(f"{count} thread{'s' if count != '1' else ''}: {times}, {ratio:.1f} times")


if __name__ == "__main__":
    main()
