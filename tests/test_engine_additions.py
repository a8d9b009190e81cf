"""Instruments, assets and underlyings that come while the engine runs: small enough to follow by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import xmfast as xm
from building import bits_of, build
from small_additions import (
    ETH,
    ETHCALL,
    ETHPERP,
    NEW_INDEX,
    NEW_MARK,
    WHEAT,
    add_all,
    larger,
    model_on,
    rates_of,
    specs,
)
from small_engine import cash, held, small_engine, small_venue
from small_venue import FLAT, INDEX, INSTRUMENTS, MARK

D = Decimal
BALANCES = [("ann", "USD", 10_000), ("bob", "USD", 500), ("bob", "BTC", 0.5)]
POSITIONS = [("ann", "PERP", 3, 100), ("bob", "OIL", -1, -5), ("bob", "INVERSE", 2, 50_000, 0.01)]
ORDERS = [("ann", "PERP", 1, 99)]


def opened(**said: Any) -> xm.Engine:
    return small_engine(BALANCES, POSITIONS, ORDERS, **said)


def test_what_is_new_comes_after_what_was_there() -> None:
    engine = opened()
    assert add_all(engine).tolist() == []
    assert engine.universe.assets == ["USD", "BTC", "ETH"]
    assert engine.universe.instruments == [*INSTRUMENTS["instrument"], "ETHPERP", "ETHCALL", "WHEAT"]
    assert engine.universe.underlyings == ["BTC", "WTI", "ETH", "WHEAT"]
    assert engine.universe.index_names == ["USD", "BTC", "ETH", "WTI", "WHEAT"]
    assert engine.market.mark_price.tolist() == [*MARK.values(), 3000.0, 0.05, 5.0]
    assert engine.model.universe is engine.book.universe is engine.market.universe is engine.universe
    assert list(engine.ledger()) == list(engine.residue) == ["USD", "BTC", "ETH"]
    assert engine.metrics().events["add_instruments"].count == 1


def test_whatever_happens_can_happen_to_it() -> None:
    engine = opened()
    add_all(engine, decimals={"ETH": 18}, borrowable=["ETH"])
    engine.deposit("ann", "ETH", D("2.000000000000000001"))
    engine.exchange("ann", "ETH", "USD", 1, 3000)
    engine.transfer("ann", "bob", "ETH", 0.5)
    engine.withdraw("ann", "ETH", 0.75)
    assert cash(engine, "ann", "ETH") == D("-0.249999999999999999")
    engine.fills(["ann", "bob"], ["ETHPERP", "WHEAT"], [2, -1], [3000, 5])
    engine.trade("ann", "bob", "ETHCALL", 10, 0.05, 0.0001, 0.0002)
    engine.transfer("ann", "bob", "ETHPERP", 0.5)
    order = engine.place("ann", "WHEAT", 3, 4.5)
    engine.amend(order, 2)
    engine.accrue(funding={"ETHPERP": 3}, interest={"ETH": (1.1, 1.2)})
    engine.fill("ann", "WHEAT", 1, 4.5, order_id=order)
    # 1.5 contracts pay 3 dollars each: 10,000 + 3,000 - 4.5.
    engine.fill("ann", "ETHPERP", -1.5, 3000)
    assert cash(engine, "ann") == D("12995.5")
    assert engine.open_orders("ann")[-1]["quantity"] == 1
    engine.ticks(["ETH", "WHEAT", "WTI", "ETHCALL"], [2900, 6, 7, 0.06])
    # An underlying that is no asset has an index price of its own, which is none of its contracts' marks.
    assert engine.market.index_price[:4].tolist() == [1.0, INDEX["BTC"], 2900.0, 7.0]
    assert np.isnan(engine.market.index_price[4])
    engine.settle("WHEAT", 6)
    assert [order["instrument"] for order in engine.open_orders("ann")] == ["PERP"]
    with pytest.raises(xm.RefusedError, match="settled"):
        engine.fill("ann", "WHEAT", 1, 6)
    assert held(engine, "ann", "ETHCALL") == -10 and held(engine, "bob", "ETHCALL") == 10
    assert all(totals.is_conserved for totals in engine.ledger().values())


def test_a_tick_of_it_finds_who_falls() -> None:
    engine = opened()
    add_all(engine)
    engine.fill("ann", "ETHPERP", 10, 3000)
    # 10,000 of cash: at 2,110 it has lost 8,900, and needs 1,055 + 15.
    assert engine.tick("ETHPERP", 2115).tolist() == []
    assert engine.tick("ETHPERP", 2100).tolist() == ["ann"]
    assert engine.tick("ETHPERP", 3000).tolist() == []
    assert engine.recovered().tolist() == ["ann"]


@pytest.mark.parametrize("alone", [False, True])
def test_it_is_as_if_it_had_been_there_from_the_start(alone: bool) -> None:
    """Whatever was said of what is there already does not matter."""
    options: dict[str, Any] = {"decimals": 6, "borrowable": ["USD", "ETH"], "position_limit": {"WHEAT": 5, "PERP": 7}}
    all_specs = {name: [*INSTRUMENTS[name], *cells] for name, cells in specs(ETHPERP, ETHCALL, WHEAT).items()}
    base = small_venue(BALANCES, POSITIONS, ORDERS, deposit_index={"ETH": 1.5, "USD": 1.25})
    whole = replace(
        base,
        assets={"asset": ["USD", "BTC", "ETH"]},
        instruments=all_specs,
        index_price=INDEX | NEW_INDEX,
        mark_price=MARK | NEW_MARK,
        cumulative_funding={"ETHPERP": 0.25, "OIL": 0.5},
    )
    _, book, market = build(whole)
    universe = book.universe
    kind = xm.IsolatedMargin if alone else xm.CrossMargin

    def rules(universe: xm.Universe) -> xm.CrossMargin | xm.IsolatedMargin:
        return kind.from_frames(universe, margin=rates_of(universe.instruments))

    at_once = xm.Engine(book, market, rules(universe), open_interest_limit={"ETHPERP": 9}, **options)
    part = small_venue(BALANCES, POSITIONS, ORDERS, deposit_index={"USD": 1.25}, cumulative_funding={"OIL": 0.5})
    _, book, market = build(part)
    grown = xm.Engine(book, market, rules(book.universe), decimals=6, borrowable=["USD"], position_limit={"PERP": 7})
    more = larger(book.universe)
    figures = xm.Market(
        more,
        NEW_INDEX | {"BTC": 1.0},
        NEW_MARK | {"PERP": 1.0},
        deposit_index={"ETH": 1.5, "USD": 7.0},
        borrow_index={"BTC": 8.0},
        cumulative_funding={"ETHPERP": 0.25, "PERP": -1.0},
    )
    said: dict[str, Any] = {"position_limit": {"WHEAT": 5}, "open_interest_limit": {"ETHPERP": 9}}
    grown.add_instruments(rules(more), figures, decimals=6, borrowable=["ETH"], **said)
    assert grown.state_hash() == at_once.state_hash()
    assert grown.ledger() == at_once.ledger() and bits_of(grown.report()) == bits_of(at_once.report())
    for engine in (grown, at_once):
        engine.deposit("bob", "ETH", 3)
        engine.fill("bob", "WHEAT", 2, 5)
        engine.ticks(["WTI", "ETH", "WHEAT"], [5, 2800, 4])
        engine.accrue(funding={"WHEAT": 1}, interest={"ETH": (2, 2)})
        engine.withdraw("bob", "ETH", 1)
    assert grown.state_hash() == at_once.state_hash()
    assert grown.fallen().tolist() == at_once.fallen().tolist()


def test_any_universe_that_begins_so_will_do() -> None:
    """It need not be made of the engine's own object; a file that was read again is as good."""
    engine, other = opened(), opened()
    whole = {name: [*INSTRUMENTS[name], *cells] for name, cells in specs(ETHPERP).items()}
    universe = xm.Universe.from_frames({"asset": ["USD", "BTC"]}, whole)
    engine.add_instruments(model_on(universe))
    other.add_instruments(model_on(other.universe.extended(instruments=specs(ETHPERP))))
    assert engine.state_hash() == other.state_hash()


def test_more_than_once_and_nothing_at_all() -> None:
    engine = opened()
    before = engine.state_hash()
    engine.add_instruments(model_on(engine.universe.extended()))
    assert engine.state_hash() == before
    for new in (ETHPERP, WHEAT):
        engine.add_instruments(model_on(engine.universe.extended(instruments=specs(new))))
    engine.add_instruments(model_on(engine.universe.extended(ETH)))
    engine.add_instruments(model_on(engine.universe.extended(None, specs(ETHCALL))))
    assert engine.universe.instruments[5:] == ["ETHPERP", "WHEAT", "ETHCALL"]
    engine.tick("ETHPERP", 3000)
    engine.fill("ann", "ETHPERP", 1, 3000)
    assert held(engine, "ann", "ETHPERP") == 1


def test_a_price_may_come_later() -> None:
    engine = opened()
    engine.add_instruments(model_on(larger(engine.universe)))
    for act in (
        lambda: engine.check_order("ann", "ETHPERP", 1, 3000),
        lambda: engine.place("ann", "ETHPERP", 1, 3000),
        lambda: engine.fill("ann", "ETHPERP", 1, 3000),
        lambda: engine.deposit("ann", "ETH", 1),
    ):
        before = engine.state_hash()
        with pytest.raises(xm.MissingPriceError, match="ETH"):
            act()
        assert engine.state_hash() == before
    engine.tick("ETHPERP", 3000)
    engine.tick(index="ETH", price=3001)
    engine.fill("ann", "ETHPERP", 1, 3000)
    engine.deposit("ann", "ETH", 1)
    # 10,000 and an ether.
    assert engine.report().explain("ann").total.equity == 13_001


def test_what_the_engine_lacks_is_taken() -> None:
    """An underlying that nobody needed a price of gets one, a time that nobody told, too."""
    engine = opened()
    universe = larger(engine.universe)
    more = xm.Market(universe, NEW_INDEX | {"WTI": 7.5}, NEW_MARK, "2026-11-23", implied_volatility={"CALL": 0.5})
    engine.add_instruments(model_on(universe), more)
    assert engine.market.index_price.tolist()[:4] == [1.0, INDEX["BTC"], 3001.0, 7.5]
    assert engine.market.time == np.datetime64("2026-11-23", "ns")
    assert engine.market.implied_volatility[2] == 0.5
    # From then on they stay.
    universe = universe.extended(instruments=specs(("MAIZE", *WHEAT[1:])))
    more = xm.Market(universe, {"WTI": 8.5}, time="2027-01-01", implied_volatility={"CALL": 0.75})
    engine.add_instruments(model_on(universe), more)
    assert engine.market.index_price[3] == 7.5 and engine.market.implied_volatility[2] == 0.5
    assert engine.market.time == np.datetime64("2026-11-23", "ns")


def test_an_underlying_becomes_an_asset() -> None:
    """It keeps its price, and can be held from then on."""
    engine = opened(index={"BTC": 50_000.0, "WTI": 60.0})
    assert engine.universe.index_names == ["USD", "BTC", "WTI"]
    universe = engine.universe.extended({"asset": ["ETH", "WTI"]})
    engine.add_instruments(model_on(universe), xm.Market(universe, {"ETH": 3000.0, "WTI": 1.0}))
    assert engine.universe.index_names == ["USD", "BTC", "ETH", "WTI"]
    assert engine.market.index_price.tolist() == [1.0, 50_000.0, 3000.0, 60.0]
    engine.deposit("ann", "WTI", 2)
    engine.tick(index="WTI", price=61)
    assert engine.report().explain("ann").total.equity == 10_000 + 2 * 61


def test_rules_come_with_it() -> None:
    engine = small_engine([("ann", "USD", 10)], [("ann", "PERP", 1, 100)])
    assert engine.liquidatable().tolist() == []
    strict = FLAT | {"initial_rate": [0.5] * 5, "maintenance_rate": [0.2] * 5}
    universe = larger(engine.universe)
    assert engine.add_instruments(model_on(universe, strict)).tolist() == ["ann"]
    assert engine.fallen().tolist() == ["ann"] == engine.liquidatable().tolist()
    again = universe.extended(instruments=specs(("MAIZE", *WHEAT[1:])))
    assert engine.add_instruments(model_on(again)).tolist() == []
    assert engine.recovered().tolist() == ["ann"] and engine.liquidatable().tolist() == []


def test_limits_are_those_of_what_is_new() -> None:
    engine = opened(position_limit={"PERP": 4}, open_interest_limit={"CALL": 2})
    add_all(engine, position_limit={"ETHPERP": 0.5}, open_interest_limit={"WHEAT": 1})
    reasons = {
        ("PERP", 0.5): xm.Reason.POSITION_LIMIT,
        ("CALL", 3): xm.Reason.OPEN_INTEREST,
        ("ETHPERP", 0.6): xm.Reason.POSITION_LIMIT,
        ("ETHPERP", 0.5): xm.Reason.ACCEPTED,
        ("WHEAT", 2): xm.Reason.OPEN_INTEREST,
        ("WHEAT", 1): xm.Reason.ACCEPTED,
        ("ETHCALL", 100): xm.Reason.ACCEPTED,
    }
    prices = MARK | NEW_MARK
    for (name, quantity), reason in reasons.items():
        assert engine.check_order("ann", name, quantity, prices[name]).reason is reason, name


def test_what_may_be_borrowed() -> None:
    engine = opened(borrowable=["BTC"])
    add_all(engine)
    with pytest.raises(xm.RefusedError, match="borrow"):
        engine.withdraw("ann", "ETH", 0.1)
    engine.withdraw("ann", "BTC", 0.001)
    engine = opened()
    add_all(engine, borrowable=["ETH"])
    engine.withdraw("ann", "ETH", 0.1)
    with pytest.raises(xm.RefusedError, match="borrow"):
        engine.withdraw("ann", "BTC", 0.001)


def test_gains_back_withdrawals_as_before() -> None:
    """A position has gained 99 and needs 10: without that gain 20 of 30 may leave."""
    for share, most in ((0.0, 20), (0.1, D("29.9"))):
        engine = small_engine([("ann", "USD", 30)], [("ann", "PERP", 1, 1)], withdrawable_gain_share=share)
        add_all(engine)
        with pytest.raises(xm.RefusedError, match="initial margin"):
            engine.withdraw("ann", "USD", most + D("0.00000001"))
        engine.withdraw("ann", "USD", most)


def test_copies_of_before_stay_what_they_were() -> None:
    engine = opened()
    report, book, market, model = engine.report(), engine.book, engine.market, engine.model
    before, why = bits_of(report), report.explain("ann")
    add_all(engine)
    engine.deposit("ann", "ETH", 1)
    engine.tick("PERP", 90)
    assert bits_of(report) == before and repr(report.explain("ann")) == repr(why)
    assert bits_of(model.evaluate(book, market)) == before
    assert book.universe is market.universe is model.universe and book.universe is not engine.universe
    with pytest.raises(xm.UniverseMismatchError):
        engine.model.evaluate(book, market)
    with pytest.raises(xm.UniverseMismatchError):
        engine.set_parameters(model)
    engine.set_parameters(model_on(engine.universe))


def test_portfolio_margin_goes_on_with_more() -> None:
    names = ["PERP", "CALL"]
    universe = xm.Universe.from_frames(
        {"asset": ["USD"]},
        {
            "instrument": names,
            "kind": ["perpetual", "option"],
            "underlying": ["BTC", "BTC"],
            "settlement": ["USD", "USD"],
            "expiry": [None, "2026-12-25T08:00"],
            "strike": [None, 60_000],
            "right": [None, "call"],
        },
    )
    market = xm.Market(
        universe, {"BTC": 60_000}, {"PERP": 60_000, "CALL": 2000}, "2026-11-23", implied_volatility={"CALL": 0.5}
    )
    book = xm.Book.from_frames(
        universe,
        {"account": ["ann"], "asset": ["USD"], "balance": [10_000]},
        {"account": ["ann"], "instrument": ["PERP"], "quantity": [1], "entry_price": [60_000]},
    )
    scenarios = xm.Scenarios(price_shock=[-0.1, 0.1])
    engine = xm.Engine(book, market, xm.PortfolioMargin(universe, scenarios=scenarios))
    put = {
        "instrument": ["PUT"],
        "kind": ["option"],
        "underlying": ["BTC"],
        "settlement": ["USD"],
        "expiry": ["2026-12-25T08:00"],
        "strike": [60_000],
        "right": ["put"],
    }
    more = universe.extended(instruments=put)
    prices = xm.Market(more, mark_price={"PUT": 2000}, implied_volatility={"PUT": 0.5})
    assert engine.add_instruments(xm.PortfolioMargin(more, scenarios=scenarios), prices).tolist() == []
    alone: Any = engine.report()
    # A put that is held against the perpetual takes most of the risk away.
    engine.fill("ann", "PUT", 1, 2000)
    hedged: Any = engine.report()
    assert hedged.scan_risk[0] < 0.5 * alone.scan_risk[0]
    assert bits_of(hedged) == bits_of(engine.model.evaluate(engine.book, engine.market))
    assert engine.tick("PERP", 50_000).tolist() == ["ann"]


@pytest.mark.parametrize("kind", [int, str])
def test_from_nothing(kind: Callable[[int], Any]) -> None:
    """A universe without instruments takes ids of either kind."""
    universe = xm.Universe.from_frames({"asset": ["USD"]})
    book = xm.Book.from_frames(universe, {"account": ["ann"], "asset": ["USD"], "balance": [1000]})
    engine = xm.Engine(book, xm.Market(universe), xm.CrossMargin.from_frames(universe))
    one, two = kind(1), kind(2)
    new = {"instrument": [one], "kind": ["perpetual"], "underlying": ["BTC"], "settlement": ["USD"]}
    for name in (one, two):
        more = engine.universe.extended(instruments=new | {"instrument": [name]})
        model = xm.CrossMargin.from_frames(more, margin=rates_of(more.instruments))
        engine.add_instruments(model, xm.Market(more, mark_price={name: 10}))
        engine.fill("ann", name, 1, 10)
    assert engine.universe.instruments == [one, two]
    assert engine.tick(one, 1e-9).tolist() == []


def test_rows_do_not_shift_under_a_batch_of_ticks() -> None:
    """Index prices of underlyings stand after those of assets; by name nobody need know how many."""
    engine = opened(index={"BTC": 50_000.0, "WTI": 60.0})
    stop, seen = threading.Event(), list[float]()

    def tick() -> None:
        price = 60.0
        while not stop.is_set():
            price += 1
            engine.ticks(["WTI", "PERP"], [price, 100.0])
            seen.append(price)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        for number in range(60):
            universe = engine.universe.extended({"asset": [f"A{number}"]})
            engine.add_instruments(model_on(universe), xm.Market(universe, {f"A{number}": 5.0}))
    finally:
        stop.set()
        thread.join(60)
    index = dict(zip(engine.universe.index_names, engine.market.index_price.tolist(), strict=True))
    assert index == {"USD": 1.0, "BTC": 50_000.0, "WTI": seen[-1]} | {f"A{number}": 5.0 for number in range(60)}
