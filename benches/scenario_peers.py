"""Scenario margin as a good user of other libraries would compute it: Numba, SciPy with NumPy.

What a contestant needs of the book it prepares before the clock runs; prices, shocks and parameters go in with every
call. The peers use that all positions of venue-1m are linear and settle in the numeraire, which xmfast does not know.

Of the variants tried with 2 threads the fastest stand here: scratch of one chunk of accounts (40 ms for 32 scenarios
and a million accounts; a new array for each account 56, eight scenarios at a time in variables of their own 40) and,
for the quantile, the six largest losses kept in order (49 ms for 500 scenarios and 100,000 accounts; in blocks of 64
scenarios 69, `np.partition` 271). The last is what one would write first, and is timed as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from peers import FIGURES, Answer, Contestant, asset_weights, single
from venue import SEED, Floats, Venue

_CHUNK = 1024
# Accounts whose losses SciPy holds at once: 500 scenarios of them take 32 MB.
_PIECE = 8192

Flags: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Shocks:
    """Price moves of every instrument, joint; and which of the largest losses is asked for: 1 is the worst."""

    name: str
    moves: Floats  # instruments x scenarios
    rank: int


def shocks(name: str, instruments: int, scenarios: int, rank: int, seed: int = SEED) -> Shocks:
    """Return moves with a market that pulls all, and fat tails."""
    rng = np.random.default_rng(seed)
    market = 0.03 * rng.standard_t(4, scenarios)
    moves = market + 0.03 * rng.standard_t(4, (instruments, scenarios))
    return Shocks(name=name, moves=np.clip(moves, -0.9, None).round(6), rank=rank)


def numba_chunks(venue: Venue, what: Shocks) -> Contestant:
    """A parallel loop over chunks of accounts, each with one scratch of losses; the largest are kept in order."""
    return _numba(venue, what, "Numba", _largest_kept)


def numba_partition(venue: Venue, what: Shocks) -> Contestant:
    """The same with ``np.partition`` for the quantile."""
    return _numba(venue, what, "Numba, np.partition", _partitioned)


def _numba(venue: Venue, what: Shocks, name: str, loop: Any) -> Contestant:
    book, weights = single(venue), asset_weights(venue)
    out, liquidatable = np.zeros((len(book.cash), 9)), np.zeros(len(book.cash), dtype=np.bool_)

    def evaluate() -> Answer:
        legs = book.offsets, book.rows, book.quantities, venue.mark_price, _losses(venue, what)
        cash = book.cash, book.cost, book.coin, venue.index_price[1], weights
        loop(*legs, *cash, what.rank, out, liquidatable)
        columns = {figure: out[:, column] for column, figure in enumerate((*FIGURES, "scan_risk"))}
        return columns | {"liquidatable": liquidatable}

    return Contestant(name=name, evaluate=evaluate, answer=dict)


def scipy_sparse(venue: Venue, what: Shocks) -> Contestant:
    """A sparse matrix of accounts by instruments times the losses, in pieces, then NumPy's maximum or partition."""
    from scipy.sparse import csr_array

    book, weights = single(venue), asset_weights(venue)
    accounts = len(book.cash)
    offsets, rows = book.offsets.astype(np.int32), book.rows.astype(np.int32)
    held = csr_array((book.quantities, rows, offsets), shape=(accounts, len(venue.mark_price)))
    pieces = [(start, held[start : start + _PIECE]) for start in range(0, accounts, _PIECE)]

    def evaluate() -> Answer:
        table, scan_risk = _losses(venue, what), np.empty(accounts)
        place = table.shape[1] - what.rank
        for start, piece in pieces:
            losses = piece @ table
            largest = losses.max(axis=1) if what.rank == 1 else np.partition(losses, place, axis=1)[:, place]
            scan_risk[start : start + _PIECE] = np.maximum(largest, 0.0)
        net = book.cash - book.cost + held @ venue.mark_price
        coin = book.coin * venue.index_price[1]
        out: Answer = {"equity": net + coin}
        for figure, column in (("collateral_value", 0), ("initial_collateral_value", 1)):
            weighed = net * np.where(net >= 0.0, weights[0, column], weights[0, column + 2])
            out[figure] = weighed + coin * np.where(coin >= 0.0, weights[1, column], weights[1, column + 2])
        out["initial_margin"] = out["maintenance_margin"] = out["scan_risk"] = scan_risk
        out["health"] = out["collateral_value"] - scan_risk
        out["initial_health"] = out["initial_collateral_value"] - scan_risk
        return out | {"liquidatable": out["health"] < 0.0}

    return Contestant(name="SciPy sparse, NumPy", evaluate=evaluate, answer=dict, is_parallel=False)


def _losses(venue: Venue, what: Shocks) -> Floats:
    """Return what one long contract loses, instruments x scenarios."""
    return np.ascontiguousarray(-venue.mark_price[:, None] * what.moves)


@njit(fastmath={"contract"})
def _sum_losses(sums: Any, first: Any, last: Any, rows: Any, quantities: Any, table: Any) -> None:
    sums[:] = 0.0
    for leg in range(np.int64(first), np.int64(last)):
        quantity, losses = quantities[leg], table[rows[leg]]
        for scenario in range(len(sums)):
            sums[scenario] += quantity * losses[scenario]


@njit(fastmath={"contract"})
def _finish(
    account: Any,
    first: Any,
    last: Any,
    rows: Any,
    quantities: Any,
    mark_price: Any,
    cash: Any,
    cost: Any,
    coin: Any,
    coin_price: Any,
    weights: Any,
    risk: Any,
    out: Any,
    liquidatable: Any,
) -> None:
    net = cash[account] - cost[account]
    for leg in range(np.int64(first), np.int64(last)):
        net += quantities[leg] * mark_price[rows[leg]]
    held = coin[account] * coin_price
    collateral_value = net * (weights[0, 0] if net >= 0.0 else weights[0, 2])
    collateral_value += held * (weights[1, 0] if held >= 0.0 else weights[1, 2])
    initial_collateral_value = net * (weights[0, 1] if net >= 0.0 else weights[0, 3])
    initial_collateral_value += held * (weights[1, 1] if held >= 0.0 else weights[1, 3])
    out[account, 0] = net + held
    out[account, 1] = collateral_value
    out[account, 2] = initial_collateral_value
    out[account, 3] = risk
    out[account, 4] = risk
    out[account, 5] = collateral_value - risk
    out[account, 6] = initial_collateral_value - risk
    out[account, 7] = risk
    liquidatable[account] = collateral_value < risk


@njit(parallel=True, fastmath={"contract"})
def _largest_kept(
    offsets: Any,
    rows: Any,
    quantities: Any,
    mark_price: Any,
    table: Any,
    cash: Any,
    cost: Any,
    coin: Any,
    coin_price: float,
    weights: Any,
    rank: int,
    out: Any,
    liquidatable: Any,
) -> None:
    accounts = len(offsets) - 1
    for chunk in prange((accounts + _CHUNK - 1) // _CHUNK):
        sums, largest = np.empty(table.shape[1]), np.empty(rank)
        for account in range(chunk * _CHUNK, min(accounts, (chunk + 1) * _CHUNK)):
            first, last = offsets[account], offsets[account + 1]
            _sum_losses(sums, first, last, rows, quantities, table)
            if rank == 1:
                risk = sums.max()
            else:
                largest[:] = -np.inf
                for loss in sums:
                    if loss > largest[rank - 1]:
                        place = rank - 1
                        while place > 0 and largest[place - 1] < loss:
                            largest[place] = largest[place - 1]
                            place -= 1
                        largest[place] = loss
                risk = largest[rank - 1]
            legs = rows, quantities, mark_price
            _finish(
                account, first, last, *legs, cash, cost, coin, coin_price, weights, max(0.0, risk), out, liquidatable
            )


@njit(parallel=True, fastmath={"contract"})
def _partitioned(
    offsets: Any,
    rows: Any,
    quantities: Any,
    mark_price: Any,
    table: Any,
    cash: Any,
    cost: Any,
    coin: Any,
    coin_price: float,
    weights: Any,
    rank: int,
    out: Any,
    liquidatable: Any,
) -> None:
    accounts, place = len(offsets) - 1, table.shape[1] - rank
    for chunk in prange((accounts + _CHUNK - 1) // _CHUNK):
        sums = np.empty(table.shape[1])
        for account in range(chunk * _CHUNK, min(accounts, (chunk + 1) * _CHUNK)):
            first, last = offsets[account], offsets[account + 1]
            _sum_losses(sums, first, last, rows, quantities, table)
            risk = np.partition(sums, place)[place]
            legs = rows, quantities, mark_price
            _finish(
                account, first, last, *legs, cash, cost, coin, coin_price, weights, max(0.0, risk), out, liquidatable
            )
