"""What an account holds and owes: ccxt's balance as a balances frame."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal

from xmfast.adapters.ccxt.positions import Held, held
from xmfast.adapters.ccxt.rows import Row, exact, number, rounded
from xmfast.adapters.ccxt.symbols import settlement
from xmfast.adapters.ccxt.wallets import stated_cash, wallet_rows
from xmfast.close_names import hint
from xmfast.errors import ColumnError, InputError, UnknownIdError
from xmfast.frames import Id, Number

Total = Literal["cash", "equity"]


def balances(
    balance: Mapping[str, Any], account: Id, *, total: Total | None = None, positions: Any = ()
) -> dict[str, list[Any]]:
    """Return the balances frame of :meth:`Book.from_frames` for one account: cash, loans negative.

    Parameters
    ----------
    balance : dict
        ``exchange.fetch_balance()``.
    account : str or int
        Id of the account.
    total : {"cash", "equity"}, optional
        What the exchange's ``total`` is: without or with the unrealized profit and loss of positions. Not needed for
        Binance USD-M and COIN-M, Bybit's unified account and OKX, whose cash stands in ``info`` and is read there.
    positions : list, optional
        ``exchange.fetch_positions()``, of the same moment. What backs isolated positions is in most exchanges' total,
        and in xmfast belongs to the position: it is taken off. So is unrealized profit where ``total`` is equity.

    Raises
    ------
    InputError
        ``total`` is needed and was not given, or is neither of the two.
    ColumnError
        An amount that is missing or not a number.

    Notes
    -----
    A ``debt`` is subtracted, unless the total is negative, because such a total is the debt. Assets of which nothing
    is held or owed are left out.

    Examples
    --------
    >>> from xmfast.adapters import ccxt as adapter
    >>> margin_wallet = {
    ...     "BTC": {"free": 0.5, "used": 0.0, "total": 0.5, "debt": 0.0},
    ...     "USDT": {"free": 100.0, "used": 0.0, "total": 100.0, "debt": 20_000.5},
    ... }
    >>> adapter.balances(margin_wallet, "me", total="cash")
    {'account': ['me', 'me'], 'asset': ['BTC', 'USDT'], 'balance': [0.5, -19900.5]}
    """
    wallets = wallet_rows(balance)
    cash, isolated_inside = _cash(balance, wallets, total)
    for position in held(positions):
        asset = settlement(position.row.place, position.symbol)
        spent = _inside_total(position, unrealized=total == "equity", isolated=isolated_inside)
        if spent and asset not in cash:
            raise UnknownIdError(f"{position.row.place}: settles in '{asset}', of which the balance says nothing")
        if spent:
            cash[asset] -= spent
    kept = {asset: amount for asset, amount in cash.items() if amount}
    return {
        "account": [account] * len(kept),
        "asset": list(kept),
        "balance": [rounded(amount) for amount in kept.values()],
    }


def _cash(
    balance: Mapping[str, Any], wallets: Mapping[str, Row], total: Total | None
) -> tuple[dict[str, Fraction], bool]:
    if total not in (None, "cash", "equity"):
        raise InputError(f"total: {total!r} is neither 'cash' nor 'equity'{hint(str(total), ('cash', 'equity'))}")
    if total is not None:
        return {asset: _net(row) for asset, row in wallets.items()}, True
    stated = stated_cash(balance.get("info"))
    if stated is None:
        raise InputError(
            "balance: whether its total counts unrealized profit is not among ccxt's unified fields, and info is not "
            "of Binance futures, Bybit or OKX; say total='cash' or total='equity' (and give positions)"
        )
    cash, isolated_inside = stated
    for asset, amount in cash.items():
        if amount and asset not in wallets:
            raise UnknownIdError(
                f"balance, info of '{asset}': ccxt has another name for this asset{hint(asset, wallets)}; "
                f"say total='cash' or total='equity'"
            )
    return {asset: amount for asset, amount in cash.items() if asset in wallets}, isolated_inside


def _net(row: Row) -> Fraction:
    total, free, used = (row.number(field) for field in ("total", "free", "used"))
    if total is None and (free is None or used is None):
        raise ColumnError(f"{row.place}: total is None, and so is free or used; fill it in")
    held_amount = exact(total) if total is not None else _sum(free, used)
    debt = row.number("debt")
    return held_amount if debt is None or held_amount < 0 else held_amount - exact(debt)


def _sum(*amounts: Number | None) -> Fraction:
    return sum((exact(number("balance", amount)) for amount in amounts), Fraction(0))


def _inside_total(position: Held, *, unrealized: bool, isolated: bool) -> Fraction:
    """Return the part of the wallet's total that is not cash of the pool."""
    spent = Fraction(0)
    if unrealized:
        spent += exact(position.row.needed("unrealizedPnl", "the balance's total counts it and it must be taken off"))
    if isolated and position.isolated_margin is not None:
        spent += position.isolated_margin
    return spent
