"""The demo: a generated venue margined through a real crash, bar by bar.

The prices are real, the accounts are not. They are drawn once, opened near the first bar's close and
then held still: nothing is liquidated, topped up or closed, so that each row of the table says what
the venue would face if it had done nothing yet.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xmfast import Book, CrossMargin, Market, Universe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from xmfast import AccountMargin
    from xmfast.crashes import Crash

    Notify = Callable[[str, int, int], None]

__all__ = ["Step", "Venue", "build_venue", "generate_accounts", "replay"]

# Initial and maintenance rate of a coin's perpetuals: the thinner its market, the higher.
_RATES = {
    "BTC": (0.02, 0.01),
    "ETH": (0.02, 0.01),
    "BNB": (0.04, 0.02),
    "SOL": (0.04, 0.02),
    "XRP": (0.05, 0.025),
    "DOGE": (0.05, 0.025),
    "ADA": (0.10, 0.05),
    "AVAX": (0.10, 0.05),
    "LINK": (0.10, 0.05),
    "DOT": (0.10, 0.05),
}
# How often a position is in a coin, before it is normed over the coins of the crash.
_POPULARITY = {
    "BTC": 0.34, "ETH": 0.24, "SOL": 0.12, "XRP": 0.07, "DOGE": 0.06,
    "BNB": 0.05, "ADA": 0.04, "AVAX": 0.03, "LINK": 0.03, "DOT": 0.02,
}  # fmt: skip
# Haircuts (initial, maintenance) and liability weights (initial, maintenance) of what can be held.
_COLLATERAL = {
    "USD": (0.0, 0.0, 1.0, 1.0),
    "USDT": (0.01, 0.005, 1.02, 1.01),
    "BTC": (0.10, 0.05, 1.10, 1.05),
    "ETH": (0.10, 0.05, 1.10, 1.05),
    "SOL": (0.20, 0.12, 1.20, 1.10),
}
# Contracts of the inverse perpetuals are worth this many dollars, as on the exchanges that list them.
_INVERSE = {"BTC": 100.0, "ETH": 10.0}
_MOST_POSITIONS = 6
# Accounts are drawn in blocks, each from its own seed: the first ones do not depend on how many follow.
_BLOCK = 65_536


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Venue:
    """A venue ready to be margined: who holds what, the rules, and the prices to start from.

    Attributes
    ----------
    crash : Crash
        Where the prices come from.
    book : Book
        Built once; a bar changes prices only.
    model : CrossMargin
        Haircuts, liability weights and margin rates.
    market : Market
        Prices at the close of the first bar.
    """

    crash: Crash
    book: Book
    model: CrossMargin
    market: Market


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The venue at the close of one bar.

    Attributes
    ----------
    time : datetime64[s]
        Close of the bar, UTC.
    btc_price : float
        USDT.
    equity, shortfall : float
        Sums over the accounts, USD; the shortfall is what the bankrupt ones owe beyond all they have, >= 0.
    below_initial, below_maintenance, bankrupt : int
        Accounts whose initial health, health or equity is negative.
    worst : AccountMargin
        The account of lowest health.
    evaluate_seconds : float
        Time that ``model.evaluate`` took.
    """

    time: np.datetime64
    btc_price: float
    equity: float
    shortfall: float
    below_initial: int
    below_maintenance: int
    bankrupt: int
    worst: AccountMargin
    evaluate_seconds: float


def _quiet(task: str, done: int, total: int) -> None:
    pass


def build_venue(crash: Crash, accounts: int, seed: int, notify: Notify = _quiet) -> Venue:
    """Return a venue of generated accounts that trade the coins of a crash.

    Parameters
    ----------
    crash : Crash
        Prices; accounts enter near the close of its first bar.
    accounts : int
        How many, >= 1.
    seed : int
        The same seed gives the same accounts.
    notify : callable, optional
        Told the task and how many of how many steps are done.

    Returns
    -------
    Venue
        Many-asset collateral, a linear perpetual on every coin, inverse ones on BTC and ETH.
    """
    assets = [asset for asset in _COLLATERAL if asset in ("USD", "USDT") or asset in crash.coins]
    instruments = _instruments(crash)
    underlyings = [*crash.coins, *_INVERSE]
    universe = Universe.from_frames(
        assets={"asset": assets},
        instruments={
            "instrument": instruments,
            "kind": ["perpetual"] * len(underlyings),
            "underlying": underlyings,
            "settlement": ["USDT"] * len(crash.coins) + list(_INVERSE),
            "contract_multiplier": [1.0] * len(crash.coins) + list(_INVERSE.values()),
            "inverse": [False] * len(crash.coins) + [True] * len(_INVERSE),
        },
        numeraire="USD",
    )
    weights = np.array([_COLLATERAL[asset] for asset in assets])
    rates = np.array([_RATES[coin] for coin in underlyings])
    model = CrossMargin.from_frames(
        universe,
        collateral={
            "asset": assets,
            "initial_haircut": weights[:, 0],
            "maintenance_haircut": weights[:, 1],
            "initial_liability_weight": weights[:, 2],
            "maintenance_liability_weight": weights[:, 3],
        },
        margin={
            "instrument": instruments,
            "initial_rate": rates[:, 0],
            "maintenance_rate": rates[:, 1],
        },
    )
    balances, positions = generate_accounts(crash, assets, accounts, seed, notify)
    notify("building the book", 0, 1)
    book = Book.from_frames(universe, balances, positions)
    index_price, mark_price = _prices(crash, 0)
    market = Market(universe, index_price=index_price, mark_price=mark_price, time=_close_time(crash, 0))
    return Venue(crash=crash, book=book, model=model, market=market)


def replay(venue: Venue) -> Iterator[Step]:
    """Margin every account of a venue at the close of every bar of its crash.

    Parameters
    ----------
    venue : Venue
        From `build_venue`.

    Yields
    ------
    Step
        One for each bar, in order of time.
    """
    crash = venue.crash
    for t in range(len(crash.times)):
        # The mark is the close, not the low: a wick is a few trades in an empty order book, and a mark
        # that follows it liquidates accounts that were healthy before and after.
        index_price, mark_price = _prices(crash, t)
        market = venue.market.with_prices(index_price=index_price, mark_price=mark_price, time=_close_time(crash, t))
        start = time.perf_counter()
        report = venue.model.evaluate(venue.book, market)
        seconds = time.perf_counter() - start
        summary = report.summary()
        worst = report.worst(1)
        yield Step(
            time=_close_time(crash, t),
            btc_price=float(crash.close[t, crash.coins.index("BTC")]),
            equity=summary.equity,
            shortfall=summary.shortfall,
            below_initial=summary.below_initial,
            below_maintenance=summary.liquidatable,
            bankrupt=summary.bankrupt,
            worst=worst[worst.accounts.item(0)],
            evaluate_seconds=seconds,
        )


def generate_accounts(
    crash: Crash, assets: list[str], accounts: int, seed: int, notify: Notify = _quiet
) -> tuple[dict[str, NDArray[np.generic]], dict[str, NDArray[np.generic]]]:
    """Draw the accounts of the demo.

    Parameters
    ----------
    crash : Crash
        Prices; the first bar's close is what accounts enter at, give or take 1.5 %.
    assets : list of str
        What can be held, ``"USD"`` and ``"USDT"`` first.
    accounts : int
        How many; their ids are ``0 .. accounts - 1``.
    seed : int
        The same seed gives the same accounts: account 5 is the same among ten as among a million.
    notify : callable, optional
        Told the task and how many of how many steps are done.

    Returns
    -------
    tuple of dict of ndarray
        Balances and positions, as `Book.from_frames` takes them.
    """
    drawn = []
    blocks = -(-accounts // _BLOCK)
    for block in range(blocks):
        rng = np.random.default_rng([seed, block])
        drawn.append(_draw_block(rng, crash, assets, block * _BLOCK, accounts))
        notify("drawing accounts", block + 1, blocks)
    holder, asset, balance, trader, instrument, quantity, entry_price = (
        np.concatenate(parts) for parts in zip(*drawn, strict=True)
    )
    balances = {"account": holder, "asset": np.array(assets)[asset], "balance": balance}
    positions = {
        "account": trader,
        "instrument": np.array(_instruments(crash))[instrument],
        "quantity": quantity,
        "entry_price": entry_price,
    }
    return balances, positions


def _draw_block(
    rng: np.random.Generator, crash: Crash, assets: list[str], first: int, accounts: int
) -> tuple[NDArray[np.generic], ...]:
    """Draw accounts ``first`` up to ``first + _BLOCK`` and return those below ``accounts``.

    Returns account, asset, balance of each balance, then account, instrument, quantity, entry price of
    each position; assets and instruments as rows.
    """
    # Wealth: half of the accounts hold less than 3,000 dollars, one in a hundred over 150,000.
    wealth = np.exp(rng.normal(np.log(3_000), 1.7, _BLOCK))
    shares = _collateral_shares(rng, len(assets))
    price_of = dict(zip(crash.coins, crash.close[0].tolist(), strict=True))
    balance = shares * wealth[:, None] / np.array([price_of.get(asset, 1.0) for asset in assets])
    holder, asset = np.nonzero(balance)

    coins = [*crash.coins, *_INVERSE]
    popularity = np.array([_POPULARITY[coin] for coin in coins])
    popularity[len(crash.coins) :] *= 0.25
    trader = np.repeat(np.arange(_BLOCK), np.minimum(rng.geometric(0.5, _BLOCK), _MOST_POSITIONS))
    row = rng.choice(len(coins), len(trader), p=popularity / popularity.sum())
    # An account has one position in an instrument, so what was drawn twice counts once.
    trader, row = np.divmod(np.unique(trader * len(coins) + row), len(coins))

    # Gross notional: about what the account is worth, some of it many times over, but never so much that
    # the collateral does not carry it at the start with a fifth to spare.
    part = rng.exponential(1.0, len(trader))
    part /= np.bincount(trader, part)[trader]
    rate = np.array([_RATES[coin][0] for coin in coins])[row]
    weights = np.array([_COLLATERAL[asset] for asset in assets])
    counted = (shares * np.where(shares < 0, weights[:, 2], 1 - weights[:, 0])).sum(axis=1)
    most = 0.8 * counted / np.bincount(trader, part * rate)
    leverage = np.minimum(np.exp(rng.normal(np.log(0.9), 0.9, _BLOCK)), most)
    notional = part * (leverage * wealth)[trader]

    # A crowd leans one way: four of five accounts are long nearly everything they hold.
    long = rng.random(_BLOCK) < 0.8
    side = np.where(long[trader] ^ (rng.random(len(trader)) < 0.08), 1.0, -1.0)
    price = np.array([price_of[coin] for coin in coins])[row]
    dollars_per_contract = np.where(
        row < len(crash.coins), price, np.array([_INVERSE.get(coin, 1.0) for coin in coins])[row]
    )
    quantity = side * notional / dollars_per_contract
    entry_price = price * np.exp(rng.normal(0.0, 0.015, len(trader)))

    held, traded = holder + first < accounts, trader + first < accounts
    return (
        holder[held] + first,
        asset[held],
        np.round(balance[holder, asset][held], 6),
        trader[traded] + first,
        row[traded],
        np.round(quantity[traded], 6),
        entry_price[traded],
    )


def _collateral_shares(rng: np.random.Generator, assets: int) -> NDArray[np.float64]:
    """Draw which part of its wealth each account holds in each asset; rows sum to 1."""
    shares = np.zeros((_BLOCK, assets))
    kind = rng.random(_BLOCK)
    shares[kind < 0.45, 1] = 1.0  # USDT alone
    mixed = kind >= 0.45
    mix = rng.gamma(0.6, 1.0, (int(mixed.sum()), assets))
    mix[mix < 0.05] = 0.0  # few hold a little of everything
    mix[:, 1] += 0.05
    shares[mixed] = mix / mix.sum(axis=1, keepdims=True)
    # One in sixteen borrows USDT to hold more of its first coin.
    borrower = np.flatnonzero(kind > 1 - 1 / 16)
    loan = rng.uniform(0.2, 1.2, len(borrower))
    shares[borrower, 1] -= loan
    shares[borrower, 2] += loan
    return shares


def _prices(crash: Crash, t: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return index and mark prices at the close of a bar; USDT counts as one dollar."""
    close = dict(zip(crash.coins, crash.close[t].tolist(), strict=True))
    mark = {f"{coin}-PERP": price for coin, price in close.items()}
    mark |= {f"{coin}-INVERSE": close[coin] for coin in _INVERSE}
    return {"USDT": 1.0, **close}, mark


def _instruments(crash: Crash) -> list[str]:
    return [f"{coin}-PERP" for coin in crash.coins] + [f"{coin}-INVERSE" for coin in _INVERSE]


def _close_time(crash: Crash, t: int) -> np.datetime64:
    return np.datetime64(crash.times[t] + crash.bar)
