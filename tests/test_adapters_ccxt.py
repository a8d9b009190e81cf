"""ccxt's answers through the adapter and the core, figures checked by hand."""

from __future__ import annotations

import copy
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import xmfast as xm
from recorded_ccxt import EXCHANGES, Venue, recorded, venue
from xmfast.adapters import ccxt as adapter

ARGUMENTS: dict[str, dict[str, Any]] = {
    "binanceusdm": {},
    "binancecoinm": {"numeraire": "USD"},
    "bybit": {"hedged": "net", "at_par": ("USDC",), "more_prices": {"ETH": 3_000.0}},
    "okx": {"at_par": ("USD",)},
}


def completed(exchange: str, *, compare: bool = False) -> tuple[Venue, dict[str, dict[str, Any]]]:
    answers = recorded(exchange)
    made = venue(answers, **ARGUMENTS[exchange])
    rows = adapter.complete(answers["positions"], made.book, made.market, made.model, account="me", compare=compare)
    return made, {f"{row['symbol']} {row['side']}": row for row in rows}


def test_every_exchange_is_tried() -> None:
    assert sorted(ARGUMENTS) == EXCHANGES


def test_binance_usdm_health_of_the_whole_account() -> None:
    made, _ = completed("binanceusdm")
    report = made.model.evaluate(made.book, made.market)
    # 10,000 USDT, a long that lost 2,000 and a short that lost 1,000; the isolated 1,600 are not in the pool.
    assert report["me"].equity == 7_000
    # 58,000 x 0.5 % - 50 and 31,000 x 0.5 %.
    assert report["me"].maintenance_margin == 240 + 155
    assert report.isolated.equity.tolist() == [600.0]


def test_binance_usdm_liquidation_prices() -> None:
    _, rows = completed("binanceusdm")
    # 10,000 - 1,000 - 155 + (p - 60,000) - (0.005 p - 50) = 0
    assert rows["BTC/USDT:USDT long"]["liquidationPrice"] == pytest.approx(51_105 / 0.995, rel=1e-15)
    # 10,000 - 2,000 - 240 + 10 (3,000 - p) - 0.05 p = 0
    assert rows["ETH/USDT:USDT short"]["liquidationPrice"] == pytest.approx(37_760 / 10.05, rel=1e-15)
    for name in ("BTC/USDT:USDT long", "ETH/USDT:USDT short"):
        assert "liquidationPrice" in rows[name]["xmfast"]


def test_a_figure_of_the_exchange_is_kept_and_compared_with() -> None:
    _, rows = completed("binanceusdm", compare=True)
    isolated = rows["SOL/USDT:USDT long"]
    # ccxt leaves out what a bracket deducts (150): 14,000 x 2.5 % = 350, and puts the price higher.
    assert isolated["maintenanceMargin"] == 350.0 and isolated["liquidationPrice"] == 137.5
    assert "maintenanceMargin" not in isolated["xmfast"] and "liquidationPrice" not in isolated["xmfast"]
    assert isolated["xmfast_figures"]["maintenanceMargin"] == 200.0
    # 1,600 + 100 (p - 150) - (2.5 p - 150) = 0
    assert isolated["xmfast_figures"]["liquidationPrice"] == pytest.approx(13_250 / 97.5, rel=1e-15)
    assert isolated["xmfast_figures"]["collateral"] == isolated["collateral"] == 600.0
    assert isolated["xmfast_figures"]["marginRatio"] == pytest.approx(200 / 600)


def test_binance_usdm_fills_what_is_missing_and_nothing_else() -> None:
    answers = recorded("binanceusdm")
    before = copy.deepcopy(answers["positions"])
    made = venue(answers)
    rows = adapter.complete(answers["positions"], made.book, made.market, made.model, account="me")
    assert answers["positions"] == before
    for given, row in zip(before, rows, strict=True):
        assert {name: row[name] for name in given if given[name] is not None} == {
            name: value for name, value in given.items() if value is not None
        }
        assert all(given.get(name) is None and row[name] is not None for name in row["xmfast"])
        assert "xmfast_figures" not in row
    long = rows[0]
    assert set(long["xmfast"]) == {"leverage", "liquidationPrice", "marginRatio"}
    assert long["leverage"] == 58_000 / 2_900
    assert long["marginRatio"] == pytest.approx(395 / 7_000)


def test_everything_is_filled_where_an_exchange_gives_the_bare_position() -> None:
    answers = recorded("binanceusdm")
    kept = ("symbol", "side", "contracts", "entryPrice", "marginMode", "positionMargin")
    bare = [{name: row[name] for name in kept} for row in answers["positions"]]
    made = venue(answers)
    _, short, isolated = adapter.complete(bare, made.book, made.market, made.model, account="me")
    # 31,000 at 100x and 0.5 %, after a loss of 1,000; a cross position has no collateral of its own.
    assert {name: short[name] for name in short["xmfast"]} == pytest.approx(
        {
            "notional": 31_000,
            "unrealizedPnl": -1_000,
            "initialMargin": 310,
            "maintenanceMargin": 155,
            "markPrice": 3_100,
            "liquidationPrice": 37_760 / 10.05,
            "marginRatio": 395 / 7_000,
            "initialMarginPercentage": 0.01,
            "maintenanceMarginPercentage": 0.005,
            "leverage": 100,
            "percentage": -100 * 1_000 / 310,
        }
    )
    assert short["collateral"] is None and short["positionMargin"] is None
    # 10,000 at 50x and 4,000 at 20x.
    assert isolated["initialMargin"] == pytest.approx(400) and isolated["collateral"] == 600
    assert isolated["positionMargin"] == 1_600 and "positionMargin" not in isolated["xmfast"]


def test_binance_coinm() -> None:
    made, rows = completed("binancecoinm")
    short = rows["BTC/USD:BTC short"]
    # 1 BTC - (2 BTC - 100,000 / p) = 0.4 % of 100,000 / p
    assert short["liquidationPrice"] == pytest.approx(99_600, rel=1e-15)
    # 1 BTC less 0.4, and 1.6 BTC x 0.4 %; the empty row of the exchange is none.
    assert short["marginRatio"] == pytest.approx(0.0064 / 0.6, rel=1e-14)
    assert made.book.position_count == 1
    assert made.model.evaluate(made.book, made.market)["me"].equity == pytest.approx(0.6 * 62_500)


def test_amounts_of_an_inverse_position_are_in_its_settlement_asset() -> None:
    _, rows = completed("binancecoinm", compare=True)
    figures = rows["BTC/USD:BTC short"]["xmfast_figures"]
    expected = {"notional": 1.6, "unrealizedPnl": -0.4, "maintenanceMargin": 0.0064, "initialMargin": 1.6 / 125}
    assert {name: figures[name] for name in expected} == pytest.approx(expected, rel=1e-14)
    assert figures["collateral"] is None and figures["positionMargin"] is None


def test_tiers_of_coinm_are_in_the_base_asset_and_lack_floors() -> None:
    answers = recorded("binancecoinm")
    assert [tier["minNotional"] for tier in answers["tiers"]["BTC/USD:BTC"]] == [None, None]
    made = venue(answers, numeraire="USD")
    frame = adapter.margin(answers["tiers"]["BTC/USD:BTC"], made.universe, index_price={"BTC": 62_500})
    assert frame == {
        "instrument": ["BTC/USD:BTC"] * 2,
        "notional_floor": [0.0, 5 * 62_500.0],
        "initial_rate": [1 / 125, 1 / 100],
        "maintenance_rate": [0.004, 0.005],
    }


def test_bybit_both_sides_of_a_symbol() -> None:
    made, rows = completed("bybit", compare=True)
    held = made.book.positions
    # 0.5 at 60,000 against 0.2 at 62,000.
    assert held["quantity"].tolist() == [0.3]
    assert held["entry_price"][0] == pytest.approx(17_600 / 0.3, rel=1e-15)
    report = made.model.evaluate(made.book, made.market)["me"]
    # 5,000 + 0.1 BTC - 250 + (2 - 0.5) ETH, and the profit that both rows state, 500 + 200.
    assert report.equity == pytest.approx(5_000 + 6_099 - 250 + 4_500 + 700, rel=1e-14)
    # 15,349 + 0.3 p - 17,600 - 0.5 % of 0.3 p = 0
    for name in ("BTC/USDT:USDT long", "BTC/USDT:USDT short"):
        assert rows[name]["liquidationPrice"] == pytest.approx(2_251 / 0.2985, rel=1e-14)
    # Each side's own figures are those that the exchange gave.
    for row in (rows["BTC/USDT:USDT long"], rows["BTC/USDT:USDT short"]):
        for name in ("notional", "unrealizedPnl", "maintenanceMargin"):
            assert row["xmfast_figures"][name] == pytest.approx(row[name])
    assert rows["BTC/USDT:USDT None"]["xmfast"] == []


def test_okx() -> None:
    made, rows = completed("okx", compare=True)
    # 8,000 + (p - 60,000) - 0.004 p + BTC: (0.05 + 1,000 / 61,000 - 1,000 / 62,000) x 61,000 - 4
    other = (Fraction(1, 20) + Fraction(1000, 61_000) - Fraction(1000, 62_000)) * 61_000 - 4
    expected = float((52_000 - other) / Fraction(996, 1000))
    assert rows["BTC/USDT:USDT long"]["liquidationPrice"] == pytest.approx(expected, rel=1e-14)
    # Cash of the pool, not equity: 10,350 less 1,000 of profit and what is isolated.
    assert adapter.balances(recorded("okx")["balance"], "me")["balance"] == [8_000.0, 0.05]
    isolated = rows["ETH/USDT:USDT short"]
    assert isolated["liquidationPrice"] == 3308.3
    # 1,600 + 5 (3,000 - p) - 0.025 p = 0
    assert isolated["xmfast_figures"]["liquidationPrice"] == pytest.approx(16_600 / 5.025, rel=1e-15)
    assert isolated["xmfast_figures"]["unrealizedPnl"] == isolated["unrealizedPnl"] == -250.0
    assert made.market.mark_price.tolist() == [61_000, 3_050, 61_000]


def test_tiers_of_okx_are_in_contracts() -> None:
    answers = recorded("okx")
    made = venue(answers, at_par=("USD",))
    frame = adapter.margin(answers["tiers"], made.universe, markets=answers["markets"], index_price={"BTC": 61_000})
    assert frame["instrument"] == ["BTC/USDT:USDT", "BTC/USDT:USDT", "ETH/USDT:USDT", "BTC/USD:BTC"]
    assert frame["notional_floor"] == [0.0, pytest.approx(550.01 * 0.01 * 61_000), 0.0, 0.0]


@pytest.mark.parametrize("exchange", ["binanceusdm", "okx"])
def test_cash_is_the_same_from_the_raw_answer_and_from_the_equity(exchange: str) -> None:
    answers = recorded(exchange)
    told = adapter.balances(answers["balance"], "me")
    worked_out = adapter.balances(answers["balance"], "me", total="equity", positions=answers["positions"])
    assert worked_out["asset"] == told["asset"]
    assert worked_out["balance"] == pytest.approx(told["balance"], rel=1e-9)


def test_cash_of_bybit_counts_each_debt_once() -> None:
    balance = recorded("bybit")["balance"]
    expected = {"USDT": 5_000.0, "BTC": 0.1, "USDC": -250.0, "ETH": 1.5}
    for frame in (adapter.balances(balance, "me"), adapter.balances(balance, "me", total="cash")):
        assert dict(zip(frame["asset"], frame["balance"], strict=True)) == expected


def test_open_orders_of_binance() -> None:
    rows = recorded("binanceusdm")["orders"]
    frame = adapter.orders(rows, "me")
    # 0.3 of 0.5 are left; the stop order waits for its trigger and has no price.
    assert frame["instrument"] == ["BTC/USDT:USDT", "ETH/USDT:USDT"]
    assert frame["quantity"] == [0.3, 10.0] and frame["price"] == [57_000.0, 2_900.0]
    assert frame["reduce_only"] == [False, True]
    assert adapter.orders(rows, "me", waiting=True) == frame
    waiting = [{**rows[0], "triggerPrice": 57_500.0}]
    assert adapter.orders(waiting, "me")["account"] == []
    assert adapter.orders(waiting, "me", waiting=True)["quantity"] == [0.3]
    made = venue(recorded("binanceusdm"))
    book = xm.Book.from_frames(made.universe, orders=frame)
    assert book.order_count == 2


def test_instruments_of_every_kind() -> None:
    frame = adapter.instruments(recorded("bybit")["markets"])
    assert frame["instrument"] == [
        "BTC/USDT:USDT",
        "ETH/USDC:USDC",
        "ETH/USD:ETH",
        "BTC/USDT:USDT-261225-70000-C",
    ]
    assert frame["kind"] == ["perpetual", "perpetual", "perpetual", "option"]
    assert frame["inverse"] == [False, False, True, False]
    assert frame["expiry"][:3] == [None] * 3 and str(frame["expiry"][3]) == "2026-12-25T08:00:00.000"
    assert frame["strike"] == [None, None, None, 70_000.0] and frame["right"] == [None, None, None, "call"]
    assets = adapter.assets(recorded("bybit")["markets"], recorded("bybit")["balance"], numeraire="USDT")
    assert assets["asset"] == ["USDT", "USDC", "ETH", "BTC"]
    universe = xm.Universe.from_frames(assets, frame, "USDT")
    assert universe.underlyings == ["BTC", "ETH"]
    by_symbol = {market["symbol"]: market for market in recorded("okx")["markets"]}
    frame = adapter.instruments(by_symbol)
    assert frame["kind"] == ["perpetual", "perpetual", "perpetual", "option"]
    assert frame["contract_multiplier"] == [0.01, 100.0, 0.1, 0.01]
    futures = adapter.instruments(recorded("binanceusdm")["markets"], ["BTC/USDT:USDT-261225"])
    assert futures["kind"] == ["future"]


def test_quanto_and_half_told_markets_are_left_out() -> None:
    swap = recorded("binanceusdm")["markets"][0]
    quanto = {**swap, "symbol": "ETH/USD:BTC", "settle": "BTC", "linear": False, "inverse": False}
    sizeless = {**swap, "symbol": "X/USDT:USDT", "contractSize": None}
    assert adapter.instruments([swap, quanto, sizeless])["instrument"] == ["BTC/USDT:USDT"]


def test_net_of_two_sides_has_their_profit_at_every_price() -> None:
    """Right for inverse contracts too, whose costs average as reciprocals."""
    markets = recorded("okx")["markets"]
    symbols = ["BTC/USDT:USDT", "BTC/USD:BTC"]
    universe = xm.Universe.from_frames(
        adapter.assets(markets, numeraire="USDT", symbols=symbols), adapter.instruments(markets, symbols), "USDT"
    )
    rates = {"instrument": symbols, "initial_rate": [0.1] * 2, "maintenance_rate": [0.05] * 2}
    model = xm.CrossMargin.from_frames(universe, margin=rates)
    random = np.random.default_rng(5)
    for symbol in symbols:
        for _ in range(30):
            long, short = (float(size) for size in random.integers(1, 100, 2))
            entries = [float(price) for price in random.integers(59_900, 60_100, 2)]
            if abs(long - short) < 5:
                continue
            sides: list[dict[str, Any]] = [
                {"symbol": symbol, "side": side, "contracts": size, "entryPrice": entry}
                for side, size, entry in zip(("long", "short"), (long, short), entries, strict=True)
            ]
            apart = [adapter.positions([side], side["side"], markets=markets) for side in sides]
            net = adapter.positions(sides, "net", hedged="net", markets=markets)
            assert adapter.positions(sides, "net", hedged="net") == net
            frames = [*apart, net]
            book = xm.Book.from_frames(
                universe, positions={name: [x for frame in frames for x in frame[name]] for name in net}
            )
            for mark in (30_000.0, 61_234.5, 200_000.0):
                market = xm.Market(universe, {"BTC": 60_000}, dict.fromkeys(symbols, mark))
                equity = dict(zip(book.accounts, model.evaluate(book, market).equity, strict=True))
                assert equity["net"] == pytest.approx(equity["long"] + equity["short"], rel=1e-11, abs=1e-7)


def test_numbers_as_text_keep_their_digits() -> None:
    row = {
        "symbol": "BTC/USDT:USDT",
        "side": "short",
        "contracts": "0.10",
        "entryPrice": "60000.123456789012345678",
        "marginMode": "isolated",
        "positionMargin": "",
        "collateral": "90",
        "unrealizedPnl": "-10.5",
    }
    frame = adapter.positions([row], 7)
    assert frame["quantity"] == [-0.1]
    assert frame["entry_price"] == [Decimal("60000.123456789012345678")]
    assert frame["isolated_margin"] == [100.5]


def test_sides_as_exchanges_write_them() -> None:
    row = {"symbol": "BTC/USDT:USDT", "entryPrice": 1.0}
    quantities = [
        adapter.positions([{**row, "side": side, "contracts": contracts}], 1)["quantity"]
        for side, contracts in (("short", 2.0), ("short", -2.0), (None, -2.0), ("net", -2.0), ("net", 2.0))
    ]
    assert quantities == [[-2.0], [-2.0], [-2.0], [-2.0], [2.0]]


def test_leverage_that_the_account_has_set() -> None:
    answers = recorded("binanceusdm")
    made = venue(answers)
    frame = adapter.margin(answers["tiers"], made.universe, leverage={"BTC/USDT:USDT": 75})
    assert frame["initial_rate"][:3] == [1 / 75, 1 / 75, 1 / 50]


def test_prices_prefer_the_index_of_a_contract_in_the_numeraire() -> None:
    universe = xm.Universe.from_frames({"asset": ["USDT", "USDC", "BTC"]}, numeraire="USDT")
    spot = {"symbol": "BTC/USDT", "last": 1.0}
    par = {"symbol": "BTC/USDC:USDC", "indexPrice": 2.0}
    true = {"symbol": "BTC/USDT:USDT", "indexPrice": 3.0, "markPrice": 9.0}
    option = {"symbol": "BTC/USDT:USDT-261225-70000-C", "indexPrice": 4.0}
    nameless = {"symbol": None, "last": 5.0}
    for tickers, price in (([spot], 1.0), ([spot, par], 2.0), ([option, true, spot, par, nameless], 3.0)):
        assert adapter.prices(tickers, universe, at_par=["USDC"]) == ({"BTC": price, "USDC": 1.0}, {})
    priced = {"symbol": "USDC/USDT", "last": 0.99}
    assert adapter.prices([priced, par], universe).index_price == {"USDC": 0.99}
    assert adapter.prices([priced], universe, at_par=["USDC"]).index_price == {"USDC": 0.99}


def test_an_account_with_nothing_held() -> None:
    made = venue(recorded("binanceusdm"))
    idle = xm.Book.from_frames(made.universe, balances={"account": ["me"], "asset": ["USDT"], "balance": [1.0]})
    empty = {"symbol": "BTC/USDT:USDT", "contracts": 0.0, "side": None, "liquidationPrice": None}
    rows = adapter.complete([empty], idle, made.market, made.model, account="me", compare=True)
    assert rows == [{**empty, "xmfast": [], "xmfast_figures": {}}]
    assert adapter.complete([], idle, made.market, made.model, account="me") == []


def test_a_position_that_no_price_liquidates() -> None:
    answers = recorded("binanceusdm")
    answers["balance"]["info"]["assets"][0]["crossWalletBalance"] = "1000000"
    made = venue(answers)
    row = adapter.complete(answers["positions"], made.book, made.market, made.model, account="me")[0]
    assert row["liquidationPrice"] is None and "liquidationPrice" not in row["xmfast"]


def test_every_position_on_its_own() -> None:
    """The isolated model: each position's price and ratio are of what the pool gives it."""
    answers = recorded("binanceusdm")
    made = venue(answers)
    margin = adapter.margin(answers["tiers"], made.universe)
    alone = xm.IsolatedMargin.from_frames(made.universe, margin=margin)
    report = alone.evaluate(made.book, made.market).isolated
    rows = adapter.complete(answers["positions"], made.book, made.market, alone, account="me", compare=True)
    assert [row["xmfast_figures"]["marginRatio"] for row in rows] == report.margin_ratio.tolist()
    assert [row["xmfast_figures"]["maintenanceMargin"] for row in rows] == [240.0, 155.0, 200.0]
    prices = xm.liquidation_price(made.book, made.market, alone)
    assert [row["xmfast_figures"]["liquidationPrice"] for row in rows] == pytest.approx(prices.tolist(), rel=1e-12)
