"""Open orders as ccxt returns them, as an orders frame."""

from __future__ import annotations

from typing import Any

from xmfast.adapters.ccxt.rows import Row, exact, read_rows, rounded
from xmfast.adapters.ccxt.symbols import settlement
from xmfast.errors import InputError
from xmfast.frames import Id, Number


def orders(rows: Any, account: Id, *, waiting: bool = False) -> dict[str, list[Any]]:
    """Return the orders frame of :meth:`Book.from_frames` for one account.

    Parameters
    ----------
    rows : list
        ``exchange.fetch_open_orders()``. What is still open of each counts: ``remaining``, or ``amount - filled``.
    account : str or int
        Id of the account.
    waiting : bool
        Count orders that wait for a trigger (``triggerPrice`` or ``stopPrice``) as if they stood in the book. Most
        exchanges want no margin for them before, so they are left out; those without a price always are.

    Raises
    ------
    ColumnError
        A price or an amount that is missing or not a number.
    InputError
        A side that is neither "buy" nor "sell", or an order in a spot market.

    Examples
    --------
    >>> from xmfast.adapters import ccxt as adapter
    >>> order = {"symbol": "BTC/USDT:USDT", "side": "sell", "price": 61_000.0, "amount": 0.5, "filled": 0.2,
    ...          "remaining": None, "reduceOnly": None}
    >>> adapter.orders([order], "me")
    ... # doctest: +NORMALIZE_WHITESPACE
    {'account': ['me'], 'instrument': ['BTC/USDT:USDT'], 'quantity': [-0.3], 'price': [61000.0],
     'reduce_only': [False]}
    """
    frame: dict[str, list[Any]] = {
        column: [] for column in ("account", "instrument", "quantity", "price", "reduce_only")
    }
    for row in read_rows("orders", rows):
        symbol = row.text("symbol")
        settlement(row.place, symbol)
        triggered = row.number("triggerPrice") or row.number("stopPrice")
        # Some exchanges write 0 where a market order has no price.
        if triggered and (not waiting or not row.number("price")):
            continue
        quantity = _open(row)
        if not quantity:
            continue
        side = row.get("side")
        if side not in ("buy", "sell"):
            raise InputError(f"{row.place}: side is {side!r}, 'buy' or 'sell' is needed; fill it in")
        price = row.needed("price", "leave the row out if it is a market order about to be filled")
        reduce_only = row.get("reduceOnly") is True
        values = (account, symbol, quantity if side == "buy" else -quantity, price, reduce_only)
        for column, value in zip(frame, values, strict=True):
            frame[column].append(value)
    return frame


def _open(row: Row) -> Number:
    remaining = row.number("remaining")
    if remaining is None:
        amount, filled = row.needed("amount", "remaining is None too; fill one of them in"), row.number("filled")
        remaining = amount if filled is None else rounded(exact(amount) - exact(filled))
    if remaining < 0:
        raise InputError(f"{row.place}: {remaining} contracts are open; sizes are >= 0, side says which way")
    return remaining
