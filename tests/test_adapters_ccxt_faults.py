"""Each thing that can be wrong with an answer of ccxt gets an error that says where and what to do."""

from __future__ import annotations

from typing import Any

import pytest

import xmfast as xm
from recorded_ccxt import recorded, venue
from xmfast.adapters import ccxt as adapter

LONG = {"symbol": "BTC/USDT:USDT", "side": "long", "contracts": 1.0, "entryPrice": 60_000.0}
SHORT = {**LONG, "side": "short"}
SWAP = recorded("binanceusdm")["markets"][0]
ORDER = {"symbol": "BTC/USDT:USDT", "side": "buy", "price": 1.0, "amount": 1.0, "filled": 0.0, "remaining": 1.0}
TIER = {"symbol": "BTC/USDT:USDT", "currency": "USDT", "minNotional": 0, "maintenanceMarginRate": 0.1, "maxLeverage": 5}
SECOND = {**TIER, "minNotional": 10}
UNIVERSE = venue(recorded("binanceusdm")).universe


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ({"BTC/USDT:USDT": LONG}, xm.ColumnError, "positions: the list of dicts that ccxt returns is needed, not dict"),
        (None, xm.ColumnError, "not NoneType"),
        (["BTC"], xm.ColumnError, "positions, row 0: a dict is needed, not str"),
        ([LONG, {**LONG, "symbol": None}], xm.ColumnError, "positions, row 1: symbol is None"),
        ([{**LONG, "symbol": "BTCUSDT"}], xm.InputError, "'BTCUSDT' is not a unified symbol of ccxt"),
        ([{**LONG, "symbol": "BTC/USDT"}], xm.InputError, "a spot symbol, and only contracts"),
        ([{**LONG, "symbol": "BTC/USDTT:USDT"}], xm.UnknownIdError, "no market 'BTC/USDTT:USDT'; did you mean"),
        (
            [{**LONG, "contracts": None}],
            xm.ColumnError,
            "row 0 ('BTC/USDT:USDT'): contracts is None, a number is needed",
        ),
        ([{**LONG, "contracts": True}], xm.ColumnError, "contracts is True, not a number"),
        ([{**LONG, "contracts": "one"}], xm.ColumnError, "contracts is 'one', not a number"),
        ([{**LONG, "contracts": [1]}], xm.ColumnError, "contracts is [1], not a number"),
        ([{**LONG, "contracts": float("nan")}], xm.InputError, "contracts is nan, not a finite number"),
        ([{**LONG, "contracts": -1.0}], xm.InputError, "side is 'long' and contracts is -1.0; one of them is wrong"),
        ([{**LONG, "side": None}], xm.InputError, "side is None, 'long' or 'short' is needed"),
        ([{**LONG, "side": "buy"}], xm.InputError, "side is 'buy', 'long' or 'short' is needed"),
        ([{**LONG, "entryPrice": None}], xm.ColumnError, "entryPrice is None, a number is needed; fill it in"),
        ([{**LONG, "contractSize": 0.01}], xm.InputError, "contractSize is 0.01, of the market it is 1.0"),
        (
            [{**LONG, "marginMode": "isolate"}],
            xm.InputError,
            "marginMode is 'isolate', not a way of margining; did you",
        ),
        (
            [{**LONG, "marginMode": "isolated"}],
            xm.ColumnError,
            "collateral is None, a number is needed; it is isolated",
        ),
        ([{**LONG, "marginMode": "isolated", "collateral": 5}], xm.ColumnError, "unrealizedPnl is None"),
        (
            [{**LONG, "positionMargin": 9.0}],
            xm.InputError,
            "marginMode is None and positionMargin 9.0; fill in 'cross'",
        ),
        ([LONG, LONG], xm.DuplicateError, "row 1 ('BTC/USDT:USDT'): a second row for this symbol and side"),
        ([LONG, SHORT], xm.DuplicateError, "both sides are held (hedge mode)"),
        (
            [LONG, {**SHORT, "marginMode": "isolated", "positionMargin": 5}],
            xm.DuplicateError,
            "both sides are held, with isolated margin",
        ),
    ],
)
def test_positions(rows: Any, error: type[xm.XmfastError], message: str) -> None:
    with pytest.raises(error) as caught:
        adapter.positions(rows, "me", markets=[SWAP])
    assert message in str(caught.value)


def test_two_sides_that_no_single_position_can_stand_for() -> None:
    for short in ({**SHORT, "contracts": 1.0}, {**SHORT, "contracts": 0.9, "entryPrice": 90_000.0}):
        with pytest.raises(xm.InputError, match="both sides nearly cancel, and no single position"):
            adapter.positions([LONG, short], "me", hedged="net")
    with pytest.raises(xm.InputError, match="two sides need prices above 0"):
        adapter.positions([LONG, {**SHORT, "contracts": 0.5, "entryPrice": 0.0}], "me", hedged="net")
    with pytest.raises(xm.InputError, match="hedged: 'nett' is neither 'refuse' nor 'net'; did you mean 'net'"):
        adapter.positions([LONG], "me", hedged="nett")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("balance", "arguments", "error", "message"),
    [
        ([], {}, xm.ColumnError, "balance: the dict of exchange.fetch_balance() is needed, not list"),
        (
            {"USDT": 5.0},
            {"total": "cash"},
            xm.ColumnError,
            "balance, 'USDT': a dict with free, used and total is needed",
        ),
        ({"USDT": {"total": 5.0}}, {}, xm.InputError, "say total='cash' or total='equity'"),
        (
            {"USDT": {"total": 5.0}},
            {"total": "Cash"},
            xm.InputError,
            "'Cash' is neither 'cash' nor 'equity'; did you mean",
        ),
        (
            {"USDT": {"free": 5.0}},
            {"total": "cash"},
            xm.ColumnError,
            "balance, 'USDT': total is None, and so is free or",
        ),
        (
            {"USDT": {"total": "5,0"}},
            {"total": "cash"},
            xm.ColumnError,
            "balance, 'USDT': total is '5,0', not a number",
        ),
        ({"USDT": {"total": 5.0}}, {"total": "equity", "positions": [LONG]}, xm.ColumnError, "unrealizedPnl is None"),
        (
            {"BTC": {"total": 5.0}},
            {"total": "equity", "positions": [{**LONG, "unrealizedPnl": 1.0}]},
            xm.UnknownIdError,
            "settles in 'USDT', of which the balance says nothing",
        ),
        (
            {"XBT": {"total": 5.0}, "info": {"assets": [{"asset": "BTC", "crossWalletBalance": "5"}]}},
            {},
            xm.UnknownIdError,
            "info of 'BTC': ccxt has another name for this asset; did you mean 'XBT'",
        ),
    ],
)
def test_balances(balance: Any, arguments: dict[str, Any], error: type[xm.XmfastError], message: str) -> None:
    with pytest.raises(error) as caught:
        adapter.balances(balance, "me", **arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("order", "error", "message"),
    [
        (
            {**ORDER, "price": None},
            xm.ColumnError,
            "orders, row 0 ('BTC/USDT:USDT'): price is None, a number is needed",
        ),
        ({**ORDER, "side": "long"}, xm.InputError, "side is 'long', 'buy' or 'sell' is needed"),
        (
            {**ORDER, "remaining": None, "amount": None},
            xm.ColumnError,
            "amount is None, a number is needed; remaining is",
        ),
        ({**ORDER, "remaining": -1.0}, xm.InputError, "-1.0 contracts are open; sizes are >= 0"),
        ({**ORDER, "symbol": "BTC/USDT"}, xm.InputError, "a spot symbol"),
    ],
)
def test_orders(order: Any, error: type[xm.XmfastError], message: str) -> None:
    with pytest.raises(error) as caught:
        adapter.orders([order], "me")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("markets", "symbols", "error", "message"),
    [
        ([SWAP, SWAP], None, xm.DuplicateError, "markets, row 1 ('BTC/USDT:USDT'): a second market with this symbol"),
        (
            [SWAP],
            ["BTC/USD:USDT"],
            xm.UnknownIdError,
            "symbols: no market 'BTC/USD:USDT'; did you mean 'BTC/USDT:USDT'",
        ),
        ([SWAP], "BTC/USDT:USDT", xm.InputError, "several are needed, in a list"),
        ([{**SWAP, "type": "spot"}], [SWAP["symbol"]], xm.InputError, "type is 'spot'; instruments are of type"),
        ([{**SWAP, "linear": False}], [SWAP["symbol"]], xm.InputError, "neither linear nor inverse"),
        ([{**SWAP, "contractSize": None}], [SWAP["symbol"]], xm.InputError, "contractSize is None; fill it in"),
        ([{**SWAP, "type": "future"}], [SWAP["symbol"]], xm.InputError, "expiry is None; fill it in"),
        ([{**SWAP, "base": 7}], [SWAP["symbol"]], xm.ColumnError, "base is 7, a text is needed"),
        ("BTC", None, xm.ColumnError, "markets: the list of dicts that ccxt returns is needed, not str"),
    ],
)
def test_instruments(markets: Any, symbols: Any, error: type[xm.XmfastError], message: str) -> None:
    with pytest.raises(error) as caught:
        adapter.instruments(markets, symbols)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("tiers", "arguments", "error", "message"),
    [
        ({"BTC/USDT:USDT": TIER}, {}, xm.ColumnError, "tiers, 'BTC/USDT:USDT': a list of dicts is needed, not dict"),
        ([{**TIER, "maxLeverage": None}], {}, xm.ColumnError, "tiers, row 0 ('BTC/USDT:USDT'): maxLeverage is None"),
        ([{**TIER, "maxLeverage": 0}], {}, xm.InputError, "maxLeverage must be above 0, not 0"),
        ([{**TIER, "maintenanceMarginRate": None}], {}, xm.ColumnError, "maintenanceMarginRate is None"),
        ([{**TIER, "minNotional": 5}], {}, xm.InputError, "the first tier starts at 5.0, not at 0"),
        ([TIER, TIER], {}, xm.DuplicateError, "row 1 ('BTC/USDT:USDT'): a second tier that starts at 0.0"),
        ([TIER, {**TIER, "minNotional": None}], {}, xm.ColumnError, "maxNotional is None, a number is needed; and min"),
        (
            [{**TIER, "currency": None}, SECOND],
            {},
            xm.ColumnError,
            "currency is None; fill in what minNotional is counted in",
        ),
        (
            [{**TIER, "currency": "BTC"}, SECOND],
            {},
            xm.MissingPriceError,
            "sizes are in BTC, and 'USDT' is needed; give its pri",
        ),
        (
            [{**TIER, "info": {"maxSz": "5"}}, SECOND],
            {},
            xm.ColumnError,
            "sizes are in contracts; pass markets=exchange.markets",
        ),
        (
            [{**TIER, "info": {"maxSz": "5"}}, SECOND],
            {"markets": []},
            xm.UnknownIdError,
            "no market 'BTC/USDT:USDT'; there are",
        ),
        ([TIER], {"leverage": {"BTC/USDT:USDT": 0}}, xm.InputError, "leverage, 'BTC/USDT:USDT': 0 is not above 0"),
    ],
)
def test_tiers(tiers: Any, arguments: dict[str, Any], error: type[xm.XmfastError], message: str) -> None:
    with pytest.raises(error) as caught:
        adapter.margin(tiers, UNIVERSE, **arguments)
    assert message in str(caught.value)


def test_rates_that_fall_with_size_are_refused_by_the_model() -> None:
    falling = [TIER, {**TIER, "minNotional": 1_000, "maxLeverage": 10}]
    with pytest.raises(xm.ParameterError, match=r"BTC/USDT:USDT.*0\.1 is below the 0\.2 of the tier before it"):
        xm.CrossMargin.from_frames(UNIVERSE, margin=adapter.margin(falling, UNIVERSE))


def test_tickers() -> None:
    with pytest.raises(xm.ColumnError, match="the dict of exchange"):
        adapter.prices(5, UNIVERSE)
    ticker = {"symbol": "BTC/USDT:USDT", "markPrice": "high"}
    with pytest.raises(xm.ColumnError, match="tickers, 'BTC/USDT:USDT': markPrice is 'high', not a number"):
        adapter.prices({"BTC/USDT:USDT": ticker}, UNIVERSE)


def test_completing_rows_that_the_book_does_not_hold() -> None:
    answers = recorded("binanceusdm")
    made = venue(answers)
    given = (made.book, made.market, made.model)
    with pytest.raises(xm.InputError, match=r"the rows hold 0\.0 of 'BTC/USDT:USDT', the book 1\.0; make the book of"):
        adapter.complete(answers["positions"][1:], *given, account="me")
    with pytest.raises(xm.UnknownIdError, match=r"no account 'mee'; did you mean 'me'\?"):
        adapter.complete(answers["positions"], *given, account="mee")
    unknown = {**LONG, "symbol": "BTC/USD:USDT"}
    with pytest.raises(xm.UnknownIdError, match="no instrument 'BTC/USD:USDT'; did you mean 'BTC/USDT:USDT'"):
        adapter.complete([unknown], *given, account="me")
    with pytest.raises(TypeError, match="a margin model is needed, not Book"):
        adapter.complete([], made.book, made.market, made.book, account="me")  # type: ignore[arg-type]
    broken = [{**answers["positions"][0], "notional": "much"}, *answers["positions"][1:]]
    with pytest.raises(xm.ColumnError, match=r"row 0 \('BTC/USDT:USDT'\): notional is 'much', not a number"):
        adapter.complete(broken, *given, account="me")
    priceless = xm.Market(made.universe)
    with pytest.raises(xm.MissingPriceError):
        adapter.complete(answers["positions"], made.book, priceless, made.model, account="me")
