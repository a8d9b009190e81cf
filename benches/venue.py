"""The reference venues: one seed, one book, the same for every contestant.

``venue-1m`` is the book that the project quotes its speed on; 100k and 10m are the same law at another size.
Rows are kept as codes (row numbers of assets, instruments and accounts), from which :func:`frames` makes what
a user would pass: plain NumPy columns or Arrow, integer or string accounts, sorted or shuffled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.int32]
Columns: TypeAlias = dict[str, Any]

SEED = 20_200_312
INSTRUMENTS = 512
MOST_POSITIONS = 63  # with the USD balance: 64 legs
COIN_HOLDERS = 0.3


@dataclass(frozen=True, kw_only=True, eq=False)
class Venue:
    """Universe, parameters, prices and holdings of one workload; see README.md for the law they follow.

    Position rows are in order of account, then instrument; so are balance rows, by account and asset.
    """

    name: str
    assets: list[str]
    instruments: Columns
    collateral: Columns
    margin: Columns
    index_price: Floats
    mark_price: Floats
    accounts: NDArray[np.int64]
    balance_account: Codes
    balance_asset: Codes
    balance: Floats
    position_account: Codes
    position_instrument: Codes
    quantity: Floats
    entry_price: Floats

    @property
    def settlement(self) -> Codes:
        """Asset row in which each instrument settles."""
        return _rows(self.assets, self.instruments["settlement"])

    @property
    def multiplier(self) -> Floats:
        """Contract multiplier of each instrument."""
        return np.asarray(self.instruments["contract_multiplier"], dtype=np.float64)

    @property
    def inverse(self) -> NDArray[np.bool_]:
        """Which instruments are inverse."""
        return np.asarray(self.instruments["inverse"], dtype=np.bool_)


def venue(accounts: int = 1_000_000, seed: int = SEED) -> Venue:
    """Return venue-1m at any size: linear perpetuals settled in USD, 30 % of accounts with a coin balance."""
    rng = np.random.default_rng(seed)
    names = np.array([f"C{row:03d}" for row in range(INSTRUMENTS)])
    names[0] = "BTC"
    prices = _prices(rng)
    return _fill(
        rng,
        accounts,
        name=f"venue-{_size(accounts)}",
        assets=["USD", "BTC"],
        asset_price=np.array([1.0, prices[0]]),
        collateral={"asset": ["BTC"], "initial_haircut": [0.10], "maintenance_haircut": [0.05]},
        underlyings=names,
        settlement=np.zeros(INSTRUMENTS, dtype=np.int32),
        multiplier=np.ones(INSTRUMENTS),
        inverse=np.zeros(INSTRUMENTS, dtype=np.bool_),
        mark_price=prices,
        shares=np.array([1.0, 0.0]),
    )


def multi_settlement(accounts: int = 1_000_000, seed: int = SEED) -> Venue:
    """Return a venue that settles in USDT, USDC and BTC, so that many accounts net several assets."""
    rng = np.random.default_rng(seed)
    names = np.array([f"C{row:03d}" for row in range(INSTRUMENTS)])
    names[:3] = "BTC"
    prices = _prices(rng)
    prices[:3] = prices[0]
    settlement = np.arange(INSTRUMENTS, dtype=np.int32) % 3 + 1
    asset_price = np.array([1.0, 0.9996, 1.0001, prices[0]])
    mark_price = prices / asset_price[settlement]
    multiplier, inverse = np.ones(INSTRUMENTS), np.zeros(INSTRUMENTS, dtype=np.bool_)
    # The third most popular instrument is the coin-margined bitcoin perpetual of 100 USD.
    multiplier[2], inverse[2], mark_price[2] = 100.0, True, prices[0]
    return _fill(
        rng,
        accounts,
        name=f"multi-settlement-{_size(accounts)}",
        assets=["USD", "USDT", "USDC", "BTC"],
        asset_price=asset_price,
        collateral={
            "asset": ["USDT", "USDC", "BTC"],
            "initial_haircut": [0.01, 0.01, 0.10],
            "maintenance_haircut": [0.0, 0.0, 0.05],
            "initial_liability_weight": [1.02, 1.02, 1.10],
            "maintenance_liability_weight": [1.0, 1.0, 1.05],
        },
        underlyings=names,
        settlement=settlement,
        multiplier=multiplier,
        inverse=inverse,
        mark_price=mark_price,
        shares=np.array([0.0, 0.75, 0.25, 0.0]),
    )


def frames(
    venue: Venue, *, arrow: bool = False, text_accounts: bool = False, shuffled: bool = False
) -> tuple[Any, Any]:
    """Return balances and positions as a user holds them.

    Parameters
    ----------
    venue : Venue
        What to write out.
    arrow : bool
        pyarrow tables with plain string columns instead of dicts of NumPy arrays.
    text_accounts : bool
        Accounts as strings instead of integers.
    shuffled : bool
        Rows in random order instead of by account.
    """
    accounts: NDArray[Any] = venue.accounts
    if text_accounts:
        accounts = np.char.add("acct-", accounts.astype("U12"))
    assets, instruments = np.array(venue.assets), np.array(venue.instruments["instrument"])
    balances = _frame(
        {"account": (accounts, venue.balance_account), "asset": (assets, venue.balance_asset)},
        {"balance": venue.balance},
        arrow=arrow,
        shuffled=shuffled,
    )
    positions = _frame(
        {
            "account": (accounts, venue.position_account),
            "instrument": (instruments, venue.position_instrument),
        },
        {"quantity": venue.quantity, "entry_price": venue.entry_price},
        arrow=arrow,
        shuffled=shuffled,
    )
    return balances, positions


def _frame(
    ids: dict[str, tuple[NDArray[Any], Codes]], numbers: dict[str, Floats], *, arrow: bool, shuffled: bool
) -> Any:
    """Write out one frame whose ids are given as (distinct ids, code of each row)."""
    rows = len(ids["account"][1])
    order = np.random.default_rng(SEED).permutation(rows) if shuffled else slice(None)
    codes = {label: (known, code[order]) for label, (known, code) in ids.items()}
    columns: Columns = {label: values[order] for label, values in numbers.items()}
    if not arrow:
        return {label: known[code] for label, (known, code) in codes.items()} | columns
    import pyarrow as pa

    # Strings of Arrow are taken as such: by way of NumPy they would be four times as wide.
    return pa.table({label: pa.array(known).take(pa.array(code)) for label, (known, code) in codes.items()} | columns)


def _rows(names: list[str], wanted: list[str]) -> Codes:
    row = {name: at for at, name in enumerate(names)}
    return np.array([row[name] for name in wanted], dtype=np.int32)


def _size(accounts: int) -> str:
    for unit, letter in ((1_000_000, "m"), (1_000, "k")):
        if accounts >= unit and accounts % unit == 0:
            return f"{accounts // unit}{letter}"
    return str(accounts)


def _prices(rng: np.random.Generator) -> Floats:
    """Prices in USD from 0.001 to 60,000, the first one bitcoin's."""
    prices = np.exp(rng.uniform(np.log(0.001), np.log(3_000), INSTRUMENTS)).round(6)
    prices[0] = 60_000.0
    return prices


def _fill(
    rng: np.random.Generator,
    accounts: int,
    *,
    name: str,
    assets: list[str],
    asset_price: Floats,
    collateral: Columns,
    underlyings: NDArray[np.str_],
    settlement: Codes,
    multiplier: Floats,
    inverse: NDArray[np.bool_],
    mark_price: Floats,
    shares: Floats,
) -> Venue:
    account, instrument = _held(rng, accounts)
    long_unit_value = np.where(inverse, multiplier / mark_price, multiplier * mark_price) * asset_price[settlement]

    # A few big traders and many small ones; the sizes of one trader are alike.
    size = np.exp(rng.normal(np.log(2_000.0), 1.5, accounts))
    notional = size[account] * np.exp(rng.normal(0.0, 1.0, len(account)))
    side = np.where(rng.random(len(account)) < 0.55, 1.0, -1.0)
    quantity = side * notional / long_unit_value[instrument]
    entry_price = mark_price[instrument] * np.exp(rng.normal(0.0, 0.05, len(account)))

    # Less popular instruments need more margin: 0.5 % to 5 %.
    maintenance_rate = (0.005 + 0.045 * (np.arange(INSTRUMENTS) / INSTRUMENTS)).round(4)
    margin = {"initial_rate": 2 * maintenance_rate, "maintenance_rate": maintenance_rate}

    # Leverage is lognormal about 7: a few percent of the accounts are below maintenance.
    gross = np.bincount(account, weights=notional, minlength=accounts)
    wealth = gross / np.exp(rng.normal(np.log(7.0), 0.85, accounts))
    coin = len(assets) - 1
    is_holder = rng.random(accounts) < COIN_HOLDERS
    in_coin = np.where(is_holder, rng.uniform(0.1, 0.9, accounts), 0.0)
    held_balances = []
    for asset, share in enumerate(shares):
        if asset == coin:
            owners = np.flatnonzero(is_holder)
            value = wealth[owners] * in_coin[owners]
        else:
            # A second stablecoin is held by half of the accounts only.
            is_owner = rng.random(accounts) < (1.0 if share == shares.max() else 0.5 * (share > 0.0))
            owners = np.flatnonzero(is_owner)
            value = wealth[owners] * (1.0 - in_coin[owners]) * share
        held_balances.append((owners, np.full(len(owners), asset), value / asset_price[asset]))
    owner, asset_row, balance = (np.concatenate(parts) for parts in zip(*held_balances, strict=True))
    order = np.lexsort((asset_row, owner))

    ids = [f"{underlying}-PERP-{row}" for row, underlying in enumerate(underlyings)]
    return Venue(
        name=name,
        assets=assets,
        instruments={
            "instrument": ids,
            "kind": ["perpetual"] * INSTRUMENTS,
            "underlying": underlyings.tolist(),
            "settlement": [assets[row] for row in settlement],
            "contract_multiplier": multiplier,
            "inverse": inverse,
        },
        collateral=collateral,
        margin={"instrument": ids} | margin,
        index_price=asset_price,
        mark_price=mark_price,
        accounts=10_000_000 + 7 * np.arange(accounts, dtype=np.int64),
        balance_account=owner[order].astype(np.int32),
        balance_asset=asset_row[order].astype(np.int32),
        balance=balance[order],
        position_account=account,
        position_instrument=instrument,
        quantity=quantity,
        entry_price=entry_price,
    )


def _held(rng: np.random.Generator, accounts: int) -> tuple[Codes, Codes]:
    """Account and instrument of every position: geometric counts, Zipf's choice, no instrument twice."""
    counts = np.minimum(rng.geometric(1 / 8, accounts), MOST_POSITIONS)
    weights = np.arange(1, INSTRUMENTS + 1) ** -0.9
    cumulative = np.cumsum(weights) / weights.sum()
    cumulative[-1] = 1.0

    def draw(size: int) -> NDArray[np.int64]:
        return np.searchsorted(cumulative, rng.random(size), side="right").astype(np.int64)

    keys = np.repeat(np.arange(accounts, dtype=np.int64) * INSTRUMENTS, counts)
    keys += draw(len(keys))
    # Draw a repeated instrument again until none is left, each time in the accounts concerned alone.
    settled = []
    is_open = np.empty(accounts, dtype=np.bool_)
    while len(keys):
        keys.sort()
        account = keys // INSTRUMENTS
        repeated = np.flatnonzero(keys[1:] == keys[:-1])
        is_open[:] = False
        is_open[account[repeated]] = True
        keys[repeated] = account[repeated] * INSTRUMENTS + draw(len(repeated))
        again = is_open[account]
        settled.append(keys[~again])
        keys = keys[again]
    keys = np.sort(np.concatenate(settled))
    return (keys // INSTRUMENTS).astype(np.int32), (keys % INSTRUMENTS).astype(np.int32)
