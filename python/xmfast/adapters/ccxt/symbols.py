"""What a unified symbol of ccxt says: ``BASE/QUOTE:SETTLE-YYMMDD-STRIKE-C``, as far as it applies."""

from __future__ import annotations

from typing import NamedTuple

from xmfast.errors import InputError


class Symbol(NamedTuple):
    """The parts of a symbol; ``settle`` is None for spot, ``option`` says whether a strike is in it."""

    base: str
    quote: str
    settle: str | None
    option: bool


def parts_of(place: str, symbol: str) -> Symbol:
    """Take a symbol apart.

    Examples
    --------
    >>> parts_of("row 0", "BTC/USD:BTC-261225-100000-C")
    Symbol(base='BTC', quote='USD', settle='BTC', option=True)
    >>> parts_of("row 0", "ETH/USDT").settle is None
    True
    """
    pair, _, contract = symbol.partition(":")
    base, slash, quote = pair.partition("/")
    settle, *terms = contract.split("-")
    if not (base and slash and quote):
        raise InputError(f"{place}: {symbol!r} is not a unified symbol of ccxt such as 'BTC/USDT' or 'BTC/USDT:USDT'")
    return Symbol(base, quote, settle or None, len(terms) == 3)


def settlement(place: str, symbol: str) -> str:
    """Return the asset in which a contract settles."""
    settle = parts_of(place, symbol).settle
    if settle is None:
        raise InputError(
            f"{place}: a spot symbol, and only contracts ('BASE/QUOTE:SETTLE') are instruments; leave the row out: "
            f"what is held or borrowed of it belongs to the balances"
        )
    return settle
