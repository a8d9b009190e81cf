"""The same figures as ``CrossMargin.evaluate`` gives, as a good user of other libraries would compute them.

What a :class:`Contestant` needs of the book it prepares once, before the clock runs, as xmfast builds a
``Book``: rows sorted by account, entry cost summed, results allocated and used again. Prices and parameters
go in with every call. The peers called ``single`` use that all positions of venue-1m settle in the numeraire,
which xmfast does not know; those called ``units`` net by account and settlement asset, as the general problem
needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from venue import Floats, Venue, frames

FIGURES = (
    "equity",
    "collateral_value",
    "initial_collateral_value",
    "initial_margin",
    "maintenance_margin",
    "health",
    "initial_health",
)

Answer: TypeAlias = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Contestant:
    """One way to compute the figures of a venue.

    Attributes
    ----------
    name : str
        How tables call it.
    evaluate : callable
        What is timed: prices in, figures out. Returns what :attr:`answer` reads.
    answer : callable
        The figures of an evaluation by name, and ``liquidatable``, in order of account.
    is_parallel : bool
        Whether it uses more than one thread at all.
    """

    name: str
    evaluate: Callable[[], Any]
    answer: Callable[[Any], Answer]
    is_parallel: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class Single:
    """Positions by account, all settled in the numeraire, and what else each account holds."""

    offsets: NDArray[np.uint64]
    rows: NDArray[np.uint16]
    quantities: Floats
    cash: Floats
    cost: Floats
    coin: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Units:
    """Positions by account and settlement asset; balances and entry cost of each such unit."""

    account_offsets: NDArray[np.uint64]
    offsets: NDArray[np.uint64]
    rows: NDArray[np.uint16]
    quantities: Floats
    asset: NDArray[np.uint16]
    cash: Floats
    cost: Floats


def xmfast(venue: Venue) -> Contestant:
    """Return the library that is measured, its book built and laid out."""
    universe, model, market = xmfast_model(venue)
    import xmfast as xm

    book = xm.Book.from_frames(universe, *frames(venue))

    def answer(report: Any) -> Answer:
        return {name: getattr(report, name) for name in (*FIGURES, "liquidatable")}

    return Contestant(name="xmfast", evaluate=lambda: model.evaluate(book, market), answer=answer)


def xmfast_model(venue: Venue) -> tuple[Any, Any, Any]:
    """Return universe, model and market of a venue."""
    import xmfast as xm

    universe = xm.Universe.from_frames({"asset": venue.assets}, venue.instruments, numeraire=venue.assets[0])
    model = xm.CrossMargin.from_frames(universe, venue.collateral, venue.margin)
    return universe, model, xm.Market(universe, venue.index_price, venue.mark_price)


def numpy_single(venue: Venue) -> Contestant:
    """Gather, multiply, ``bincount``, as one writes it down (``add.reduceat`` takes a third longer)."""
    book, weights = single(venue), asset_weights(venue)
    account, absolute = venue.position_account.astype(np.intp), np.abs(book.quantities)
    out = _results(venue)

    def evaluate() -> Answer:
        sums = [
            _sum_by(account, quantities * column[book.rows], len(book.cash))
            for column, quantities in zip(risk_table(venue), (book.quantities, absolute, absolute), strict=True)
        ]
        return _finish_single(venue, book, weights, sums, out)

    return Contestant(name="NumPy", evaluate=evaluate, answer=_same, is_parallel=False)


def numpy_single_tuned(venue: Venue) -> Contestant:
    """The same without temporary arrays and conversions, for those who know where NumPy makes them."""
    book, weights = single(venue), asset_weights(venue)
    rows, account = book.rows.astype(np.intp), venue.position_account.astype(np.intp)
    absolute, gathered = np.abs(book.quantities), np.empty_like(book.quantities)
    out = _results(venue)

    def evaluate() -> Answer:
        sums = []
        for column, quantities in zip(risk_table(venue), (book.quantities, absolute, absolute), strict=True):
            np.take(column, rows, out=gathered, mode="clip")
            np.multiply(gathered, quantities, out=gathered)
            sums.append(_sum_by(account, gathered, len(book.cash)))
        return _finish_single(venue, book, weights, sums, out)

    return Contestant(name="NumPy, work arrays reused", evaluate=evaluate, answer=_same, is_parallel=False)


def scipy_single(venue: Venue) -> Contestant:
    """A sparse matrix of accounts by instruments, times the table's columns."""
    from scipy.sparse import csr_array

    book, weights = single(venue), asset_weights(venue)
    shape = len(book.cash), len(venue.mark_price)
    offsets, rows = book.offsets.astype(np.int32), book.rows.astype(np.int32)
    signed = csr_array((book.quantities, rows, offsets), shape=shape)
    absolute = csr_array((np.abs(book.quantities), rows, offsets), shape=shape)
    out = _results(venue)

    def evaluate() -> Answer:
        table = risk_table(venue)
        # One column at a time: both margins in one product take longer.
        sums = [signed @ table[0], absolute @ table[1], absolute @ table[2]]
        return _finish_single(venue, book, weights, sums, out)

    return Contestant(name="SciPy sparse", evaluate=evaluate, answer=_same, is_parallel=False)


def polars_single(venue: Venue) -> Contestant:
    """Gather the table's columns, group by account, join with the balances; rows come in any order.

    Fastest of what was tried: the streaming engine takes half the time of the other, keeping the order costs
    half as much again, a join with the table is a third slower, as is an account column flagged as sorted.
    """
    import polars as pl

    book, weights = single(venue), asset_weights(venue)
    account = venue.position_account.astype(np.uint32)
    positions = pl.DataFrame({"account": account, "row": book.rows, "quantity": book.quantities})
    account = np.arange(len(book.cash), dtype=np.uint32)
    accounts = pl.DataFrame({"account": account, "cash": book.cash, "cost": book.cost, "coin": book.coin})
    quantity, row = pl.col("quantity"), pl.col("row")

    def evaluate() -> Any:
        table = risk_table(venue)
        value, maintenance, initial = (pl.lit(pl.Series(column)).gather(row) for column in table)
        sums = (
            positions.lazy()
            .select(
                "account",
                value=quantity * value,
                maintenance_margin=quantity.abs() * maintenance,
                initial_margin=quantity.abs() * initial,
            )
            .group_by("account")
            .sum()
        )
        zero = pl.lit(0.0)
        net = pl.col("cash") - pl.col("cost") + pl.col("value").fill_null(zero)
        nets = (net, pl.col("coin") * venue.index_price[-1])

        def weigh(positive: int) -> Any:
            parts = [
                x * pl.when(x >= 0).then(asset_weights[positive]).otherwise(asset_weights[positive + 2])
                for x, asset_weights in zip(nets, weights, strict=True)
            ]
            return parts[0] + parts[1]

        return (
            accounts.lazy()
            .join(sums, on="account", how="left")
            .select(
                "account",
                pl.col("maintenance_margin", "initial_margin").fill_null(zero),
                equity=nets[0] + nets[1],
                collateral_value=weigh(0),
                initial_collateral_value=weigh(1),
            )
            .with_columns(
                health=pl.col("collateral_value") - pl.col("maintenance_margin"),
                initial_health=pl.col("initial_collateral_value") - pl.col("initial_margin"),
                liquidatable=pl.col("collateral_value") < pl.col("maintenance_margin"),
            )
            .collect(engine="streaming")
        )

    def answer(frame: Any) -> Answer:
        frame = frame.sort("account")
        return {name: frame[name].to_numpy() for name in (*FIGURES, "liquidatable")}

    return Contestant(name="Polars", evaluate=evaluate, answer=answer)


def numpy_units(venue: Venue) -> Contestant:
    """The general problem: sum by unit, net and weigh, then sum by account."""
    book, weights = units(venue), asset_weights(venue)
    accounts, count = len(venue.accounts), len(book.cash)
    unit = np.repeat(np.arange(count), np.diff(book.offsets).astype(np.intp))
    account = np.repeat(np.arange(accounts), np.diff(book.account_offsets).astype(np.intp))
    rows, asset = book.rows.astype(np.intp), book.asset.astype(np.intp)
    absolute, gathered = np.abs(book.quantities), np.empty_like(book.quantities)
    cash_less_cost = book.cash - book.cost

    def evaluate() -> Answer:
        sums = []
        for column, quantities in zip(risk_table(venue), (book.quantities, absolute, absolute), strict=True):
            np.take(column, rows, out=gathered, mode="clip")
            np.multiply(gathered, quantities, out=gathered)
            sums.append(_sum_by(unit, gathered, count))
        net = (cash_less_cost + sums[0]) * venue.index_price[asset]
        sign = 2 * (net < 0.0)
        by_unit = {
            "equity": net,
            "collateral_value": net * weights[asset, sign],
            "initial_collateral_value": net * weights[asset, sign + 1],
            "maintenance_margin": sums[1],
            "initial_margin": sums[2],
        }
        out = {name: _sum_by(account, values, accounts) for name, values in by_unit.items()}
        out["health"] = out["collateral_value"] - out["maintenance_margin"]
        out["initial_health"] = out["initial_collateral_value"] - out["initial_margin"]
        return out | {"liquidatable": out["health"] < 0.0}

    return Contestant(name="NumPy", evaluate=evaluate, answer=_same, is_parallel=False)


def risk_table(venue: Venue) -> Floats:
    """Value (settlement asset), maintenance and initial margin (numeraire) of one contract; shape (3, I)."""
    mark, multiplier = venue.mark_price, venue.multiplier
    value = np.where(venue.inverse, -multiplier / mark, multiplier * mark)
    notional = np.abs(value) * venue.index_price[venue.settlement]
    rates = venue.margin["maintenance_rate"], venue.margin["initial_rate"]
    return np.stack([value, notional * rates[0], notional * rates[1]])


def asset_weights(venue: Venue) -> Floats:
    """What a net balance counts: maintenance and initial, positive then negative; shape (C, 4)."""
    weights = np.ones((len(venue.assets), 4))
    rows = [venue.assets.index(asset) for asset in venue.collateral["asset"]]
    for column, name, is_haircut in (
        (0, "maintenance_haircut", True),
        (1, "initial_haircut", True),
        (2, "maintenance_liability_weight", False),
        (3, "initial_liability_weight", False),
    ):
        if name in venue.collateral:
            given = np.asarray(venue.collateral[name])
            weights[rows, column] = 1.0 - given if is_haircut else given
    return weights


def entry_cost(venue: Venue) -> Floats:
    """Quantity times unit value at entry of every position, in its settlement asset."""
    multiplier, price = venue.multiplier[venue.position_instrument], venue.entry_price
    inverse = venue.inverse[venue.position_instrument]
    return venue.quantity * np.where(inverse, -multiplier / price, multiplier * price)


def gross(venue: Venue) -> Floats:
    """Sum of the absolute terms of each account, numeraire: what differences are measured against."""
    accounts = len(venue.accounts)
    settlement_price = venue.index_price[venue.settlement[venue.position_instrument]]
    at_mark = np.abs(venue.quantity * risk_table(venue)[0][venue.position_instrument])
    terms = (at_mark + np.abs(entry_cost(venue))) * settlement_price
    balances = np.abs(venue.balance) * venue.index_price[venue.balance_asset]
    total = _sum_by(venue.position_account, terms, accounts)
    return total + _sum_by(venue.balance_account, balances, accounts)


def difference(answer: Answer, expected: Answer, gross: Floats) -> float:
    """Largest difference of any figure relative to gross; inf if a flag differs away from the threshold."""
    scale = np.maximum(gross, np.finfo(np.float64).tiny)
    worst = max(float(np.max(np.abs(answer[name] - expected[name]) / scale)) for name in FIGURES)
    disagree = answer["liquidatable"] != expected["liquidatable"]
    if np.any(disagree & (np.abs(expected["health"]) > 1e-9 * scale)):
        return np.inf
    return worst if np.isfinite(worst) else np.inf


def single(venue: Venue) -> Single:
    """Prepare a venue whose positions all settle in the numeraire."""
    accounts = len(venue.accounts)

    def of(asset: int) -> Floats:
        chosen = venue.balance_asset == asset
        return _sum_by(venue.balance_account[chosen], venue.balance[chosen], accounts)

    return Single(
        offsets=_offsets(venue.position_account, accounts),
        rows=venue.position_instrument.astype(np.uint16),
        quantities=venue.quantity,
        cash=of(0),
        cost=_sum_by(venue.position_account, entry_cost(venue), accounts),
        coin=of(1),
    )


def units(venue: Venue) -> Units:
    """Prepare a venue whose positions settle in several assets."""
    assets, accounts = len(venue.assets), len(venue.accounts)
    position_key = venue.position_account.astype(np.int64) * assets + venue.settlement[venue.position_instrument]
    balance_key = venue.balance_account.astype(np.int64) * assets + venue.balance_asset
    keys = np.unique(np.concatenate([position_key, balance_key]))
    order = np.argsort(position_key, kind="stable")
    position_unit = np.searchsorted(keys, position_key[order])
    return Units(
        account_offsets=_offsets(keys // assets, accounts),
        offsets=_offsets(position_unit, len(keys)),
        rows=venue.position_instrument[order].astype(np.uint16),
        quantities=venue.quantity[order],
        asset=(keys % assets).astype(np.uint16),
        cash=_sum_by(np.searchsorted(keys, balance_key), venue.balance, len(keys)),
        cost=_sum_by(position_unit, entry_cost(venue)[order], len(keys)),
    )


def _sum_by(owner: NDArray[np.integer[Any]], values: Floats, owners: int) -> Floats:
    # NumPy's stub says integers whatever the weights are.
    sums: Any = np.bincount(owner, values, owners)
    return np.asarray(sums, dtype=np.float64)


def _offsets(owner: NDArray[Any], owners: int) -> NDArray[np.uint64]:
    offsets = np.zeros(owners + 1, dtype=np.uint64)
    np.cumsum(np.bincount(owner, minlength=owners), out=offsets[1:])
    return offsets


def _results(venue: Venue) -> Answer:
    out: Answer = {name: np.zeros(len(venue.accounts)) for name in FIGURES}
    return out | {"liquidatable": np.zeros(len(venue.accounts), dtype=np.bool_)}


def _same(answer: Any) -> Answer:
    result: Answer = answer
    return result


def _finish_single(venue: Venue, book: Single, weights: Floats, sums: Any, out: Answer) -> Answer:
    value, maintenance_margin, initial_margin = sums
    net = book.cash - book.cost + value
    coin = book.coin * venue.index_price[1]
    np.add(net, coin, out=out["equity"])
    for name, column in (("collateral_value", 0), ("initial_collateral_value", 1)):
        np.multiply(net, np.where(net >= 0.0, weights[0, column], weights[0, column + 2]), out=out[name])
        out[name] += coin * np.where(coin >= 0.0, weights[1, column], weights[1, column + 2])
    out["maintenance_margin"], out["initial_margin"] = maintenance_margin, initial_margin
    np.subtract(out["collateral_value"], maintenance_margin, out=out["health"])
    np.subtract(out["initial_collateral_value"], initial_margin, out=out["initial_health"])
    np.less(out["health"], 0.0, out=out["liquidatable"])
    return out
