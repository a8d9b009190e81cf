"""Prices from ccxt's tickers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from xmfast.adapters.ccxt.rows import Row
from xmfast.adapters.ccxt.symbols import parts_of
from xmfast.errors import ColumnError
from xmfast.frames import Number
from xmfast.universe import Universe


class TickerPrices(NamedTuple):
    """What :class:`Market` takes, in its order: ``xm.Market(universe, *prices(...))``."""

    index_price: dict[str, Number]
    mark_price: dict[str, Number]


def prices(tickers: Any, universe: Universe, *, at_par: Iterable[str] = ()) -> TickerPrices:
    """Return index and mark prices of what a universe has.

    Parameters
    ----------
    tickers : dict or list
        ``exchange.fetch_mark_prices()``, ``exchange.fetch_tickers()``, or a list of the tickers of both: some exchanges
        give the index with the mark, others only spot prices besides.
    universe : Universe
        Only its assets, underlyings and instruments are priced.
    at_par : iterable of str
        Quotes that count as one unit of the numeraire, such as "USD" and "USDC" where that is "USDT": their index
        price is 1 unless a ticker has it.

    Raises
    ------
    ColumnError
        Tickers of another form, or a price that is not a number.

    Notes
    -----
    Mark prices are ``markPrice`` and nothing else: a last price is none. The index price of a base is ``indexPrice``
    of the first contract on it that is quoted in the numeraire, then of one quoted at par, then the ``last`` price of
    spot in the same order. What has no price is left out, and :meth:`CrossMargin.evaluate` names it if it is held.

    Examples
    --------
    >>> from xmfast.adapters import ccxt as adapter
    >>> universe = xm.Universe.from_frames(
    ...     assets={"asset": ["USDT"]},
    ...     instruments={"instrument": ["BTC/USDT:USDT"], "kind": ["perpetual"], "underlying": ["BTC"],
    ...                  "settlement": ["USDT"]},
    ...     numeraire="USDT",
    ... )
    >>> tickers = {"BTC/USDT:USDT": {"symbol": "BTC/USDT:USDT", "markPrice": "60100.5", "indexPrice": 60_000.0}}
    >>> adapter.prices(tickers, universe)
    TickerPrices(index_price={'BTC': 60000.0}, mark_price={'BTC/USDT:USDT': 60100.5})
    """
    par = tuple(at_par)
    instruments, names = set(universe.instruments), set(universe.index_names)
    mark_price: dict[str, Number] = {}
    ranked: dict[str, tuple[int, Number]] = {}
    for row in _tickers(tickers):
        symbol = row.text("symbol")
        if symbol in instruments and (mark := row.number("markPrice")) is not None:
            mark_price[symbol] = mark
        base, quote, settle, option = parts_of(row.place, symbol)
        index = row.number("last" if settle is None else "indexPrice")
        if option or base not in names or index is None or (quote != universe.numeraire and quote not in par):
            continue
        rank = 2 * (settle is None) + (quote != universe.numeraire)
        if base not in ranked or rank < ranked[base][0]:
            ranked[base] = (rank, index)
    index_price: dict[str, Number] = {asset: 1.0 for asset in par if asset in names and asset != universe.numeraire}
    index_price.update((base, price) for base, (_, price) in ranked.items() if base != universe.numeraire)
    return TickerPrices(index_price, mark_price)


def _tickers(tickers: Any) -> list[Row]:
    listed = list(tickers.values()) if isinstance(tickers, Mapping) else tickers
    if not isinstance(listed, list) or not all(isinstance(ticker, Mapping) for ticker in listed):
        raise ColumnError("tickers: the dict of exchange.fetch_tickers() or exchange.fetch_mark_prices() is needed")
    # Exchanges list markets that ccxt has no symbol for.
    return [Row(f"tickers, '{ticker['symbol']}'", ticker) for ticker in listed if ticker.get("symbol")]
