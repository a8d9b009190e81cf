"""What exists: ccxt's markets as instruments and assets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from xmfast.adapters.ccxt.rows import Row, read_rows
from xmfast.adapters.ccxt.wallets import codes_of
from xmfast.close_names import hint
from xmfast.errors import DuplicateError, InputError, UnknownIdError

_KINDS = {"swap": "perpetual", "future": "future", "option": "option"}
_COLUMNS = (
    "instrument",
    "kind",
    "underlying",
    "settlement",
    "contract_multiplier",
    "inverse",
    "expiry",
    "strike",
    "right",
)


def instruments(markets: Any, symbols: Iterable[str] | None = None) -> dict[str, list[Any]]:
    """Return the instruments frame of :meth:`Universe.from_frames`: swaps, futures and options by unified symbol.

    Parameters
    ----------
    markets : list or dict
        ``exchange.fetch_markets()`` or ``exchange.markets``.
    symbols : iterable of str, optional
        Only these, each once. Without it every contract that can be described is taken; spot, quanto contracts
        (neither linear nor inverse) and markets without contract size, settlement or terms are left out.

    Raises
    ------
    UnknownIdError
        A symbol that is not among the markets.
    InputError
        A symbol that was asked for and cannot be described.
    DuplicateError
        Two markets with one symbol.

    Notes
    -----
    ``contractSize`` is the multiplier, ``base`` the underlying. An option on an inverse pair is worth
    ``contractSize x price`` in its settlement asset, as everywhere in xmfast.

    Examples
    --------
    >>> from xmfast.adapters import ccxt as adapter
    >>> swap = {"symbol": "BTC/USD:BTC", "type": "swap", "base": "BTC", "settle": "BTC", "linear": False,
    ...         "inverse": True, "contractSize": 100.0}
    >>> frame = adapter.instruments([swap, {"symbol": "BTC/USDT", "type": "spot"}])
    >>> frame["instrument"], frame["kind"], frame["contract_multiplier"], frame["inverse"]
    (['BTC/USD:BTC'], ['perpetual'], [100.0], [True])
    """
    frame: dict[str, list[Any]] = {column: [] for column in _COLUMNS}
    for row in _contracts(markets, symbols):
        kind = _KINDS[row.fields["type"]]
        option = kind == "option"
        expiry = None if kind == "perpetual" else row.number("expiry")
        values = (
            row.text("symbol"),
            kind,
            row.text("base"),
            row.text("settle"),
            row.number("contractSize"),
            row.get("inverse") is True,
            None if expiry is None else np.datetime64(int(expiry), "ms"),
            row.number("strike") if option else None,
            row.text("optionType") if option else None,
        )
        for column, value in zip(_COLUMNS, values, strict=True):
            frame[column].append(value)
    return frame


def assets(
    markets: Any, *balances: Mapping[str, Any], numeraire: str, symbols: Iterable[str] | None = None
) -> dict[str, list[str]]:
    """Return the assets frame of :meth:`Universe.from_frames`.

    Parameters
    ----------
    markets : list or dict
        As for :func:`instruments`.
    *balances : dict
        Each an ``exchange.fetch_balance()``; what is held or owed of any asset makes it one of the universe.
    numeraire : str
        In which accounts are valued; stands first.
    symbols : iterable of str, optional
        As for :func:`instruments`.

    Examples
    --------
    >>> from xmfast.adapters import ccxt as adapter
    >>> adapter.assets([], {"USDC": {"total": 5.0}, "DOGE": {"total": 0.0}}, numeraire="USDT")
    {'asset': ['USDT', 'USDC']}
    """
    found = [numeraire, *(row.text("settle") for row in _contracts(markets, symbols))]
    for balance in balances:
        found += codes_of(balance)
    return {"asset": list(dict.fromkeys(found))}


def by_symbol(markets: Any) -> dict[str, Row]:
    """Return the markets of a list, or of a dict by symbol."""
    found: dict[str, Row] = {}
    for row in read_rows("markets", list(markets.values()) if isinstance(markets, Mapping) else markets):
        symbol = row.text("symbol")
        if symbol in found:
            raise DuplicateError(f"{row.place}: a second market with this symbol; pass those of one exchange")
        found[symbol] = row
    return found


def market_of(place: str, symbol: str, markets: Mapping[str, Row]) -> Row:
    """Return the market of a symbol, or say which there are."""
    if symbol not in markets:
        raise UnknownIdError(f"{place}: no market '{symbol}'{hint(symbol, markets)}")
    return markets[symbol]


def _contracts(markets: Any, symbols: Iterable[str] | None) -> list[Row]:
    known = by_symbol(markets)
    if symbols is None:
        return [row for row in known.values() if _obstacle(row) is None]
    if isinstance(symbols, str):
        raise InputError(f"symbols: several are needed, in a list, not the text {symbols!r}")
    chosen = [market_of("symbols", symbol, known) for symbol in dict.fromkeys(symbols)]
    for row in chosen:
        if obstacle := _obstacle(row):
            raise InputError(f"{row.place}: {obstacle}")
    return chosen


def _obstacle(row: Row) -> str | None:
    """Say why a market is no instrument; None if it is one."""
    kind = _KINDS.get(row.get("type") or "")
    if kind is None:
        return f"type is {row.get('type')!r}; instruments are of type 'swap', 'future' or 'option'"
    if row.get("quanto") is True or (row.get("linear") is not True and row.get("inverse") is not True):
        return "neither linear nor inverse; what a point of a quanto contract pays is not among ccxt's unified fields"
    needed = ["base", "settle", "contractSize"]
    if kind != "perpetual":
        needed.append("expiry")
    if kind == "option":
        needed += ["strike", "optionType"]
    for field in needed:
        if row.get(field) is None:
            return f"{field} is None; fill it in"
    return None
