"""ccxt's positions with the fields that the exchange left None computed by a margin model, and marked so."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from xmfast.adapters.ccxt.positions import Held, held
from xmfast.adapters.ccxt.rows import exact, number, rounded
from xmfast.adapters.ccxt.symbols import settlement
from xmfast.book import Book
from xmfast.close_names import hint
from xmfast.cross import LinearModel, core_inputs, core_model
from xmfast.errors import InputError, MissingPriceError, UnknownIdError
from xmfast.frames import Id
from xmfast.liquidation import liquidation_price
from xmfast.market import Market


def complete(
    rows: Sequence[Mapping[str, Any]],
    book: Book,
    market: Market,
    model: LinearModel,
    *,
    account: Id,
    compare: bool = False,
) -> list[dict[str, Any]]:
    """Return copies of ccxt's positions in which no figure is missing that the model can tell.

    A field that the exchange gave is never changed. ``row["xmfast"]`` lists the fields that were filled.

    Parameters
    ----------
    rows : list of dict
        ``exchange.fetch_positions()``; rows of which nothing is held stay as they are.
    book : Book
        What the account holds, made from the same rows: a liquidation price depends on all of it.
    market : Market
        Prices.
    model : CrossMargin or IsolatedMargin
        The rates.
    account : str or int
        Which account of the book the rows are of.
    compare : bool
        Add ``row["xmfast_figures"]``: all that was computed, also where the exchange gave a figure.

    Raises
    ------
    UnknownIdError
        The book has no such account.
    InputError
        Rows and book do not hold the same.

    Notes
    -----
    In units of the settlement asset where ccxt has amounts:

    - ``liquidationPrice``: :func:`liquidation_price`, of the whole account (or of the position if it is isolated);
      stays None where no price liquidates it. Both sides of a hedged symbol have the price of their net.
    - ``notional``, ``unrealizedPnl``, ``initialMargin``, ``maintenanceMargin``: of the row by itself. The initial
      margin is the model's; open orders are not in it.
    - ``initialMarginPercentage``, ``maintenanceMarginPercentage``: the row's margin / notional, a fraction.
    - ``marginRatio``: of the whole account (or of the position if it is isolated); 1 where it is liquidated.
    - ``positionMargin``, ``collateral``: of isolated positions alone, what was posted, without and with unrealized
      profit; a cross position has none of its own.
    - ``percentage``: 100 x unrealizedPnl / initialMargin; ``leverage``: notional / initialMargin; ``markPrice``.

    Examples
    --------
    >>> from xmfast.adapters import ccxt as adapter
    >>> swap = {"symbol": "BTC/USDT:USDT", "type": "swap", "base": "BTC", "settle": "USDT", "linear": True,
    ...         "contractSize": 1.0}
    >>> universe = xm.Universe.from_frames(
    ...     adapter.assets([swap], numeraire="USDT"), adapter.instruments([swap]), numeraire="USDT"
    ... )
    >>> held = [{"symbol": "BTC/USDT:USDT", "side": "long", "contracts": 1.0, "entryPrice": 60_000.0,
    ...          "liquidationPrice": None, "maintenanceMargin": None, "unrealizedPnl": 1_000.0}]
    >>> book = xm.Book.from_frames(
    ...     universe,
    ...     adapter.balances({"USDT": {"total": 10_000.0}}, "me", total="cash"),
    ...     adapter.positions(held, "me"),
    ... )
    >>> market = xm.Market(universe, mark_price={"BTC/USDT:USDT": 61_000})
    >>> rates = {"instrument": ["BTC/USDT:USDT"], "initial_rate": [0.05], "maintenance_rate": [0.02]}
    >>> model = xm.CrossMargin.from_frames(universe, margin=rates)
    >>> row, = adapter.complete(held, book, market, model, account="me")
    >>> row["liquidationPrice"], row["maintenanceMargin"], row["unrealizedPnl"]
    (51020.4081632653, 1220.0, 1000.0)
    >>> "liquidationPrice" in row["xmfast"], "unrealizedPnl" in row["xmfast"]
    (True, False)
    """
    core_model(model)
    core_inputs(book, market)
    positions = held(rows)
    _check_account(book, account)
    _check_same(positions, book, account)
    report = model.evaluate(book, market)
    whole = report[account].margin_ratio
    alone = {
        instrument: float(ratio)
        for owner, instrument, ratio in zip(
            report.isolated.accounts, report.isolated.instruments, report.isolated.margin_ratio, strict=True
        )
        if owner == account
    }
    filled: list[dict[str, Any]] = [{**row, "xmfast": []} for row in rows]
    if compare:
        for row in filled:
            row["xmfast_figures"] = {}
    for position, figures in zip(positions, _by_itself(positions, market, model), strict=True):
        figures["liquidationPrice"] = liquidation_price(book, market, model, account, position.symbol)
        figures["marginRatio"] = alone.get(position.symbol, whole)
        _fill(position.row.place, filled[position.at], figures, compare=compare)
    return filled


def _by_itself(positions: list[Held], market: Market, model: LinearModel) -> list[dict[str, float | None]]:
    """Return each row's own figures, in its settlement asset: the core margins it as an account with nothing else."""
    if not positions:
        return []
    symbols = [position.symbol for position in positions]
    # Without collateral, so that equity is profit and loss; isolated, so that size and margin are of this row alone.
    book = Book.from_frames(
        market.universe,
        positions={
            "account": list(range(len(positions))),
            "instrument": symbols,
            "quantity": [position.quantity for position in positions],
            "entry_price": [position.entry_price for position in positions],
            "isolated_margin": [0] * len(positions),
        },
    )
    report = model.evaluate(book, market).isolated
    unit = [_price_of(position, market) for position in positions]
    mark = dict(zip(market.universe.instruments, market.mark_price.tolist(), strict=True))
    figures: list[dict[str, float | None]] = []
    for at, position in enumerate(positions):
        amounts = {
            "notional": report.notional,
            "unrealizedPnl": report.unrealized_pnl,
            "initialMargin": report.initial_margin,
            "maintenanceMargin": report.maintenance_margin,
        }
        row: dict[str, float | None] = {
            name: rounded(exact(float(of_rows[at])) / unit[at]) for name, of_rows in amounts.items()
        }
        row["markPrice"] = mark[position.symbol]
        margin, profit = position.isolated_margin, row["unrealizedPnl"]
        row["positionMargin"] = None if margin is None else rounded(margin)
        row["collateral"] = None if margin is None or profit is None else rounded(margin + exact(profit))
        figures.append(row)
    return figures


def _fill(place: str, row: dict[str, Any], figures: dict[str, float | None], *, compare: bool) -> None:
    """Write what is missing into a row; its ratios are of the amounts that then stand in it."""
    if compare:
        row["xmfast_figures"] = {**figures, **_ratios(place, figures)}
    _write(row, figures)
    _write(row, _ratios(place, row))


def _ratios(place: str, row: Mapping[str, Any]) -> dict[str, float | None]:
    notional, initial, maintenance, profit = (
        exact(number(f"{place}: {name}", row[name]))
        for name in ("notional", "initialMargin", "maintenanceMargin", "unrealizedPnl")
    )
    # Some exchanges give a short position a negative notional.
    size = abs(notional)
    return {
        "initialMarginPercentage": rounded(initial / size) if size else None,
        "maintenanceMarginPercentage": rounded(maintenance / size) if size else None,
        "leverage": rounded(size / initial) if initial else None,
        "percentage": rounded(100 * profit / initial) if initial else None,
    }


def _write(row: dict[str, Any], figures: Mapping[str, float | None]) -> None:
    for name, figure in figures.items():
        if row.get(name) in (None, ""):
            row[name] = figure
            if figure is not None:
                row["xmfast"].append(name)


def _price_of(position: Held, market: Market) -> Fraction:
    """Return the index price of the settlement asset; the numeraire's is 1."""
    universe = market.universe
    asset = settlement(position.row.place, position.symbol)
    if asset == universe.numeraire:
        return Fraction(1)
    price = dict(zip(universe.index_names, market.index_price.tolist(), strict=True)).get(asset)
    if price is None or math.isnan(price) or price == 0:
        raise MissingPriceError(f"{position.row.place}: settles in '{asset}', which has no index price above 0")
    return exact(price)


def _check_account(book: Book, account: Id) -> None:
    if account not in book.accounts.tolist():
        known = [str(other) for other in book.accounts[:100]]
        raise UnknownIdError(f"book: no account {account!r}{hint(str(account), known)}")


def _check_same(positions: list[Held], book: Book, account: Id) -> None:
    """Refuse rows that are not what the book was made of: its liquidation prices would be of something else."""
    known = [str(instrument) for instrument in book.universe.instruments]
    stated: dict[str, Fraction] = {}
    for position in positions:
        if position.symbol not in known:
            raise UnknownIdError(
                f"{position.row.place}: no instrument '{position.symbol}'{hint(position.symbol, known)}"
            )
        stated[position.symbol] = stated.get(position.symbol, Fraction(0)) + exact(position.quantity)
    held_rows = book.positions
    mine = np.flatnonzero(held_rows["account"] == account)
    booked = dict(zip(held_rows["instrument"][mine], held_rows["quantity"][mine].tolist(), strict=True))
    for symbol in {**stated, **booked}:
        here, there = rounded(stated.get(symbol, Fraction(0))), booked.get(symbol, 0.0)
        if here != there:
            raise InputError(
                f"positions of account {account!r}: the rows hold {here} of '{symbol}', the book {there}; make the "
                f"book of all these rows"
            )
