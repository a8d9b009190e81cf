"""Frames from what ccxt's unified API returns, and its positions with the gaps filled.

ccxt itself is not needed: the functions take the dicts and lists that it returns, of any exchange::

    from xmfast.adapters import ccxt as adapter

    numeraire = "USDT"
    markets, wallet, held = exchange.fetch_markets(), exchange.fetch_balance(), exchange.fetch_positions()
    symbols = [row["symbol"] for row in held]
    universe = xm.Universe.from_frames(
        adapter.assets(markets, wallet, numeraire=numeraire, symbols=symbols),
        adapter.instruments(markets, symbols=symbols),
        numeraire,
    )
    prices = adapter.prices(exchange.fetch_mark_prices(), universe, at_par=["USD", "USDC"])
    market = xm.Market(universe, *prices)
    tiers = exchange.fetch_leverage_tiers(symbols)
    margin = adapter.margin(
        tiers, universe, markets=markets, index_price=prices.index_price, at_par=["USD", "USDC"]
    )
    model = xm.CrossMargin.from_frames(universe, margin=margin)
    book = xm.Book.from_frames(
        universe, adapter.balances(wallet, "me", positions=held), adapter.positions(held, "me", markets=markets)
    )
    for row in adapter.complete(held, book, market, model, account="me"):
        print(row["symbol"], row["liquidationPrice"], row["xmfast"])

Nothing is guessed. A field that is needed and is None, or that exchanges mean differently, is an error that names the
row and the field, and says what to do.
"""

from xmfast.adapters.ccxt.balances import balances
from xmfast.adapters.ccxt.completion import complete
from xmfast.adapters.ccxt.markets import assets, instruments
from xmfast.adapters.ccxt.orders import orders
from xmfast.adapters.ccxt.positions import positions
from xmfast.adapters.ccxt.prices import TickerPrices, prices
from xmfast.adapters.ccxt.tiers import margin

__all__ = [
    "TickerPrices",
    "assets",
    "balances",
    "complete",
    "instruments",
    "margin",
    "orders",
    "positions",
    "prices",
]
