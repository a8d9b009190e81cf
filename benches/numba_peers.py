"""The Numba peers, and the loop that only moves bytes.

Of the variants tried on venue-1m with 2 threads the fastest stands here. It has one result row per account
(8.4 ms; separate result columns 8.9), unsigned indices (signed ones 10.3: Numba tests them for wrap-around),
16-bit instrument rows, one table of 4 columns (separate arrays 9.1), and may contract to fused multiply-add
(all of ``fastmath`` was no faster). Its static division of the accounts is as fast as chunks of 4,096.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from peers import FIGURES, Answer, Contestant, asset_weights, risk_table, single, units
from venue import Floats, Venue

_BLOCK = 4096


def numba_single(venue: Venue) -> Contestant:
    """A parallel loop over accounts whose positions all settle in the numeraire."""
    book, weights = single(venue), asset_weights(venue)
    out, liquidatable = np.zeros((len(book.cash), 8)), np.zeros(len(book.cash), dtype=np.bool_)

    def evaluate() -> Answer:
        coin_price = venue.index_price[1]
        legs = book.offsets, book.rows, book.quantities, _table(venue)
        _evaluate_single(*legs, book.cash, book.cost, book.coin, coin_price, weights, out, liquidatable)
        return _answer(out, liquidatable)

    return Contestant(name="Numba", evaluate=evaluate, answer=dict)


def numba_units(venue: Venue) -> Contestant:
    """A parallel loop over accounts, then over the assets that an account nets, then over positions."""
    book, weights = units(venue), asset_weights(venue)
    accounts = len(venue.accounts)
    out, liquidatable = np.zeros((accounts, 8)), np.zeros(accounts, dtype=np.bool_)

    def evaluate() -> Answer:
        legs = book.offsets, book.rows, book.quantities, _table(venue)
        nets = book.account_offsets, book.asset, book.cash, book.cost
        _evaluate_units(*legs, *nets, venue.index_price, weights, out, liquidatable)
        return _answer(out, liquidatable)

    return Contestant(name="Numba", evaluate=evaluate, answer=dict)


def bandwidth(legs: int, accounts: int, *, streaming: bool) -> Contestant:
    """Read 10 bytes a leg and 4 an account, write 64 an account, and do nothing else.

    Parameters
    ----------
    legs : int
        As the layout has them: balances, positions, and one cost for each account with positions.
    accounts : int
        Rows to write.
    streaming : bool
        Past the caches, as xmfast writes; an ordinary store reads the line first.
    """
    rng = np.random.default_rng(0)
    quantities, rows = rng.random(legs), rng.integers(0, 512, legs, dtype=np.uint16)
    targets, out = np.ones(accounts, dtype=np.uint32), _aligned_rows(accounts)
    loop = _move_streaming if streaming else _move

    def evaluate() -> Answer:
        loop(quantities, rows, targets, out)
        return {}

    name = "same bytes, streaming stores" if streaming else "same bytes, plain loop"
    return Contestant(name=name, evaluate=evaluate, answer=dict)


def _table(venue: Venue) -> Floats:
    table = np.zeros((len(venue.mark_price), 4))
    table[:, :3] = risk_table(venue).T
    return table


def _answer(out: Floats, liquidatable: NDArray[np.bool_]) -> Answer:
    return {name: out[:, column] for column, name in enumerate(FIGURES)} | {"liquidatable": liquidatable}


def _aligned_rows(accounts: int) -> Floats:
    """Rows of 64 bytes that start on a cache line: streaming stores need it."""
    buffer = np.zeros(8 * accounts + 8)
    skip = (-buffer.ctypes.data // 8) % 8
    return buffer[skip : skip + 8 * accounts].reshape(accounts, 8)


@njit(parallel=True, fastmath={"contract"})
def _evaluate_single(
    offsets: Any,
    rows: Any,
    quantities: Any,
    table: Any,
    cash: Any,
    cost: Any,
    coin: Any,
    coin_price: float,
    weights: Any,
    out: Any,
    liquidatable: Any,
) -> None:
    for index in prange(len(offsets) - 1):
        account = np.uint64(index)
        value, maintenance_margin, initial_margin = 0.0, 0.0, 0.0
        for leg in range(offsets[account], offsets[account + np.uint64(1)]):
            row, quantity = rows[leg], quantities[leg]
            value += quantity * table[row, 0]
            maintenance_margin += abs(quantity) * table[row, 1]
            initial_margin += abs(quantity) * table[row, 2]
        net = cash[account] - cost[account] + value
        held = coin[account] * coin_price
        collateral_value = net * (weights[0, 0] if net >= 0.0 else weights[0, 2])
        collateral_value += held * (weights[1, 0] if held >= 0.0 else weights[1, 2])
        initial_collateral_value = net * (weights[0, 1] if net >= 0.0 else weights[0, 3])
        initial_collateral_value += held * (weights[1, 1] if held >= 0.0 else weights[1, 3])
        out[account, 0] = net + held
        out[account, 1] = collateral_value
        out[account, 2] = initial_collateral_value
        out[account, 3] = initial_margin
        out[account, 4] = maintenance_margin
        out[account, 5] = collateral_value - maintenance_margin
        out[account, 6] = initial_collateral_value - initial_margin
        liquidatable[account] = collateral_value < maintenance_margin


@njit(parallel=True, fastmath={"contract"})
def _evaluate_units(
    offsets: Any,
    rows: Any,
    quantities: Any,
    table: Any,
    account_offsets: Any,
    assets: Any,
    cash: Any,
    cost: Any,
    index_price: Any,
    weights: Any,
    out: Any,
    liquidatable: Any,
) -> None:
    for index in prange(len(account_offsets) - 1):
        account = np.uint64(index)
        equity, collateral_value, initial_collateral_value = 0.0, 0.0, 0.0
        maintenance_margin, initial_margin = 0.0, 0.0
        for unit in range(account_offsets[account], account_offsets[account + np.uint64(1)]):
            net = cash[unit] - cost[unit]
            for leg in range(offsets[unit], offsets[unit + np.uint64(1)]):
                row, quantity = rows[leg], quantities[leg]
                net += quantity * table[row, 0]
                maintenance_margin += abs(quantity) * table[row, 1]
                initial_margin += abs(quantity) * table[row, 2]
            asset = assets[unit]
            value = net * index_price[asset]
            equity += value
            collateral_value += value * (weights[asset, 0] if value >= 0.0 else weights[asset, 2])
            initial_collateral_value += value * (weights[asset, 1] if value >= 0.0 else weights[asset, 3])
        out[account, 0] = equity
        out[account, 1] = collateral_value
        out[account, 2] = initial_collateral_value
        out[account, 3] = initial_margin
        out[account, 4] = maintenance_margin
        out[account, 5] = collateral_value - maintenance_margin
        out[account, 6] = initial_collateral_value - initial_margin
        liquidatable[account] = collateral_value < maintenance_margin


@intrinsic
def _stream_row(typing_context: Any, rows: Any, row: Any, value: Any) -> Any:
    """Write ``value`` to all 8 columns of a row, past the caches."""
    from llvmlite import ir  # type: ignore[import-untyped]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        lanes = ir.VectorType(ir.DoubleType(), 8)
        start = builder.bitcast(array.data, ir.IntType(8).as_pointer())
        target = builder.gep(start, [builder.mul(arguments[1], ir.Constant(ir.IntType(64), 64))])
        values = ir.Constant(lanes, [0.0] * 8)
        for lane in range(8):
            values = builder.insert_element(values, arguments[2], ir.Constant(ir.IntType(32), lane))
        store = builder.store(values, builder.bitcast(target, lanes.as_pointer()), align=64)
        hint = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        store.set_metadata("nontemporal", hint)
        return context.get_dummy_value()

    return types.void(rows, row, value), generate


@njit(fastmath=True)
def _read_block(block: int, blocks: int, quantities: Any, rows: Any, targets: Any) -> float:
    # Of the sums nothing is used but that they keep the loads alive.
    total, count = 0.0, np.uint64(0)
    for leg in range(np.uint64(block * len(rows) // blocks), np.uint64((block + 1) * len(rows) // blocks)):
        total += quantities[leg]
        count += rows[leg]
    for account in range(np.uint64(block * _BLOCK), np.uint64(min(len(targets), (block + 1) * _BLOCK))):
        count += targets[account]
    return total + count


@njit(parallel=True, fastmath=True)
def _move(quantities: Any, rows: Any, targets: Any, out: Any) -> None:
    blocks = (len(out) + _BLOCK - 1) // _BLOCK
    for block in prange(blocks):
        total = _read_block(block, blocks, quantities, rows, targets)
        for account in range(block * _BLOCK, min(len(out), (block + 1) * _BLOCK)):
            for column in range(8):
                out[account, column] = total


@njit(parallel=True, fastmath=True)
def _move_streaming(quantities: Any, rows: Any, targets: Any, out: Any) -> None:
    blocks = (len(out) + _BLOCK - 1) // _BLOCK
    for block in prange(blocks):
        total = _read_block(block, blocks, quantities, rows, targets)
        for account in range(block * _BLOCK, min(len(out), (block + 1) * _BLOCK)):
            _stream_row(out, account, total)  # type: ignore[call-arg]
