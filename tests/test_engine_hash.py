"""The fingerprint of an engine: the same for the same state, and another one for whatever is different."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

import xmfast as xm
from engine_histories import event
from small_additions import ETHPERP, WHEAT, model_on, specs
from small_engine import small_engine
from small_venue import FLAT
from standing import ASSETS, INDEX, INSTRUMENTS

BALANCES = [("ann", "USD", 1000), ("bob", "USD", 60_000), ("ann", "BTC", 0.5)]
POSITIONS = [("ann", "PERP", 3, 100), ("bob", "INVERSE", 2, 50_000, 0.01), ("bob", "OIL", 1, -4)]
ORDERS = [("ann", "PERP", 1, 99), ("bob", "CALL", 2, 1500)]


def opened(**said: Any) -> xm.Engine:
    frames: dict[str, Any] = {"balances": BALANCES, "positions": POSITIONS, "orders": ORDERS}
    return small_engine(**(frames | said))


def scenarios(engine: xm.Engine, shocks: list[float]) -> xm.PortfolioMargin:
    """Return a model under which options, which need a volatility, are not held."""
    for name in ("CALL", "COINCALL"):
        engine.settle(name, 1)
    return xm.PortfolioMargin(engine.universe, scenarios=xm.Scenarios(price_shock=shocks))


def changed(rows: list[Any], row: int, column: int, value: Any) -> list[Any]:
    cells = [*rows[row], None][: max(len(rows[row]), column + 1)]
    cells[column] = value
    return [tuple(cells) if at == row else other for at, other in enumerate(rows)]


def rates(**said: Any) -> Any:
    return FLAT | said


def added(
    engine: xm.Engine,
    *new: Any,
    asset: Any = None,
    decimals: int = 8,
    borrowable: Any = (),
    limit: Any = None,
    **said: Any,
) -> None:
    universe = engine.universe.extended({"asset": [asset]} if asset else None, specs(*new) if new else None)
    limits = {"ETHPERP": limit} if limit else None
    market = xm.Market(universe, **said)
    options: dict[str, Any] = {"decimals": decimals, "borrowable": borrowable, "position_limit": limits}
    engine.add_instruments(model_on(universe), market, **options)


def terms(column: str, name: str, value: Any) -> Any:
    """Return instruments of which one has another term."""
    cells = zip(INSTRUMENTS["instrument"], INSTRUMENTS[column], strict=True)
    return {column: [value if instrument == name else cell for instrument, cell in cells]}


def of_terms(columns: Any, figures: Any) -> xm.Engine:
    """Return an engine in which there is nothing but what can be held."""
    universe = xm.Universe.from_frames(ASSETS, INSTRUMENTS | columns)
    market = xm.Market(universe, INDEX, **figures)
    return xm.Engine(xm.Book.from_frames(universe), market, xm.CrossMargin.from_frames(universe))


OPENINGS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a balance by one unit": {"balances": changed(BALANCES, 0, 2, 1000.00000001)},
    "the asset of a balance": {"balances": changed(BALANCES, 1, 1, "BTC")},
    "whose a balance is": {"balances": changed(BALANCES, 2, 0, "bob")},
    "a position by one unit": {"positions": changed(POSITIONS, 0, 2, 3.00000001)},
    "the side of a position": {"positions": changed(POSITIONS, 0, 2, -3)},
    "the instrument of a position": {"positions": changed(POSITIONS, 0, 1, "CALL")},
    "an entry price": {"positions": changed(POSITIONS, 0, 3, 100.00000001)},
    "an isolated margin": {"positions": changed(POSITIONS, 1, 4, 0.01000001)},
    "an isolated margin of nothing instead of none": {"positions": changed(POSITIONS, 0, 4, 0)},
    "the price of an order": {"orders": changed(ORDERS, 0, 3, 99.5)},
    "the size of an order": {"orders": changed(ORDERS, 0, 2, 2)},
    "the side of an order": {"orders": changed(ORDERS, 0, 2, -1)},
    "the instrument of an order": {"orders": changed(ORDERS, 1, 1, "COINCALL")},
    "whose an order is": {"orders": changed(ORDERS, 1, 0, "ann")},
    "one order more": {"orders": [*ORDERS, ("bob", "CALL", 1, 1500)]},
    "one account more": {"accounts": ["ann", "bob", "cat"]},
    "another account more": {"accounts": ["ann", "bob", "dan"]},
    "a mark price": {"mark": {"COINCALL": 0.030000000000000002}},
    "an index price": {"index": {"BTC": 50_000.00000000001}},
    "a deposit index that nobody earns": {"deposit_index": {"BTC": 1.0}, "borrow_index": {"BTC": 1.5}},
    "funding of what nobody holds": {"cumulative_funding": {"PERP": 0.0, "INVERSE": 0.0, "OIL": 1e-9}},
    "an initial rate": {"margin": rates(initial_rate=[0.1, 0.1, 0.1, 0.1, 0.11])},
    "a maintenance rate": {"margin": rates(maintenance_rate=[0.05, 0.05, 0.05, 0.04, 0.05])},
    "a floor of margin": {"margin": rates(margin_floor_per_contract=[0, 0, 0, 1, 0])},
    "a fee of closing": {"margin": rates(close_out_fee_rate=[0, 0, 0, 0.01, 0])},
    "a haircut": {"collateral": {"asset": ["BTC"], "initial_haircut": [0.1]}},
    "a share of gains": {"collateral": {"asset": ["BTC"], "unrealized_gain_share": [0.5]}},
    "a cap of amounts": {"collateral": {"asset": ["BTC"], "amount_cap": [1000]}},
    "a weight of loans": {"collateral": {"asset": ["BTC"], "initial_liability_weight": [1.5]}},
    "a leverage cap": {"leverage_cap": {"ann": 5}},
    "another leverage cap": {"leverage_cap": {"ann": 6}},
    "whose a leverage cap is": {"leverage_cap": {"bob": 5}},
    "a digit of a leverage cap that no float holds": {"leverage_cap": {"ann": Decimal("5.00000000000000000001")}},
    "the model": {"alone": True},
    "what can be borrowed": {"borrowable": ["USD"]},
    "something else that can be borrowed": {"borrowable": ["BTC"]},
    "how much of a gain can be withdrawn": {"withdrawable_gain_share": 0.5},
    "a limit of positions": {"position_limit": {"CALL": 100}},
    "another limit of positions": {"position_limit": {"CALL": 101}},
    "a limit of open interest": {"open_interest_limit": {"CALL": 100}},
    "the scale of an asset": {"decimals": {"BTC": 9}},
    "a level of alerts": {"alert_levels": [0.9]},
    "another level of alerts": {"alert_levels": [0.8]},
    "two levels of alerts": {"alert_levels": [0.8, 0.9]},
    "a digit of the price of an order that no float holds": {
        "orders": changed(ORDERS, 0, 3, Decimal("99.00000000000000000001"))
    },
}
# What nobody holds: a row of an instrument with another cell, and figures of a market.
TERMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "a volatility": ({}, {"implied_volatility": {"CALL": 0.5}}),
    "another volatility": ({}, {"implied_volatility": {"CALL": 0.5000000000000001}}),
    "a digit of a volatility that no float holds": (
        {},
        {"implied_volatility": {"CALL": Decimal("0.50000000000000000001")}},
    ),
    "a forward": ({}, {"forward": {"CALL": 60_000}}),
    "another forward": ({}, {"forward": {"CALL": 60_001}}),
    "a discount rate": ({}, {"discount_rate": {"USD": 0.05}}),
    "whose a discount rate is": ({}, {"discount_rate": {"BTC": 0.05}}),
    "a settlement average": ({"settlement_average": [None, None, 1800, None]}, {}),
    "the average so far": (
        {"settlement_average": [None, None, 1800, None]},
        {"settlement_average": {"CALL": 60_000}},
    ),
    "the time": ({}, {"time": "2026-11-29"}),
    "a multiplier": (terms("contract_multiplier", "PERP", 2.0), {}),
    "a digit of a multiplier that no float holds": (
        terms("contract_multiplier", "PERP", Decimal("1.00000000000000000001")),
        {},
    ),
    "what is inverse": (terms("inverse", "PERP", True), {}),
    "what may be negative": (terms("allow_negative_price", "PERP", True), {}),
    "an expiry": (terms("expiry", "CALL", "2026-12-25T08:00:01"), {}),
    "an expiry of a future": (terms("expiry", "OIL", None), {}),
    "a strike": (terms("strike", "CALL", 60_000.00000000001), {}),
    "no strike": (terms("strike", "CALL", None), {}),
    "a right": (terms("right", "CALL", "put"), {}),
    "the style of an option": (terms("futures_style", "CALL", True), {}),
    "a kind": (terms("kind", "PERP", "future"), {}),
    "an underlying": (terms("underlying", "PERP", "WTI"), {}),
    "a settlement asset": (terms("settlement", "PERP", "ETH"), {}),
    "an instrument": (terms("instrument", "PERP", "SWAP"), {}),
}
EVENTS: dict[str, Callable[[xm.Engine], object]] = {
    "nothing": lambda engine: None,
    "a tick": lambda engine: engine.tick("PERP", 100.00000000000001),
    "a tick of what nobody holds": lambda engine: engine.tick("COINCALL", 0.031),
    "an index tick": lambda engine: engine.tick(index="WTI", price=3),
    "a deposit": lambda engine: engine.deposit("ann", "USD", 0.00000001),
    "another's deposit": lambda engine: engine.deposit("bob", "USD", 0.00000001),
    "a deposit and a withdrawal": lambda engine: [
        event("deposit", "ann", "USD", 1).apply(engine),
        event("withdraw", "ann", "USD", 1).apply(engine),
    ],
    "a fill": lambda engine: engine.fill("ann", "CALL", 1, 1500),
    "a fill elsewhere": lambda engine: engine.fill("ann", "CALL", 1, 1501),
    "a fill with a fee": lambda engine: engine.fill("ann", "CALL", 1, 1500, 1),
    "a trade": lambda engine: engine.trade("ann", "bob", "CALL", 1, 1500),
    "a transfer": lambda engine: engine.transfer("ann", "bob", "USD", 1),
    "a transfer of contracts": lambda engine: engine.transfer("ann", "bob", "PERP", 0.00000001),
    "an exchange": lambda engine: engine.exchange("ann", "USD", "BTC", 1, 0.00002),
    "an order": lambda engine: engine.place("ann", "PERP", 1, 98),
    "an order that only reduces": lambda engine: engine.place("ann", "PERP", -1, 98, reduce_only=True),
    "an order that also reduces": lambda engine: engine.place("ann", "PERP", -1, 98),
    "an order that came and went": lambda engine: engine.cancel(engine.place("ann", "PERP", 1, 98)),
    "an amended order": lambda engine: engine.amend(1, price=98),
    "another amended order": lambda engine: engine.amend(2, price=1501),
    "no order": lambda engine: engine.cancel(1),
    "a part of an order": lambda engine: engine.fill("ann", "PERP", 0.5, 99, 0, 1),
    "as much without the order": lambda engine: engine.fill("ann", "PERP", 0.5, 99),
    "funding": lambda engine: engine.accrue(funding={"PERP": 1e-9}),
    "interest": lambda engine: engine.accrue(interest={"BTC": (1.1, 1)}),
    "interest of loans": lambda engine: engine.accrue(interest={"BTC": (1, 1.1)}),
    "time": lambda engine: engine.accrue("2026-11-23"),
    "later": lambda engine: engine.accrue("2026-11-23T00:00:00.000001"),
    "a settlement": lambda engine: engine.settle("COINCALL", 0.03),
    "another settlement": lambda engine: engine.settle("CALL", 1500),
    "an account": lambda engine: engine.add_account("cat"),
    "another account": lambda engine: engine.add_account("dan"),
    "parameters": lambda engine: engine.set_parameters(
        xm.CrossMargin.from_frames(engine.universe, margin=rates(initial_rate=[0.1, 0.1, 0.1, 0.1, 0.12]))
    ),
    "another model": lambda engine: engine.set_parameters(scenarios(engine, [0.1, -0.1])),
    "the scenarios of another model": lambda engine: engine.set_parameters(scenarios(engine, [0.1, -0.11])),
    "an instrument": lambda engine: added(engine, ETHPERP),
    "another instrument": lambda engine: added(engine, WHEAT),
    "two instruments": lambda engine: added(engine, ETHPERP, WHEAT),
    "the same in the other order": lambda engine: added(engine, WHEAT, ETHPERP),
    "an instrument on something else": lambda engine: added(engine, (*ETHPERP[:2], "ETC", *ETHPERP[3:])),
    "an instrument of another size": lambda engine: added(engine, (*ETHPERP[:4], 2.0, *ETHPERP[5:])),
    "an instrument with a price": lambda engine: added(engine, ETHPERP, mark_price={"ETHPERP": 3000}),
    "an instrument with funding": lambda engine: added(engine, ETHPERP, cumulative_funding={"ETHPERP": 1}),
    "an instrument with a limit": lambda engine: added(engine, ETHPERP, limit=5),
    "an asset": lambda engine: added(engine, asset="ETH"),
    "another asset": lambda engine: added(engine, asset="ETC"),
    "an asset of another scale": lambda engine: added(engine, asset="ETH", decimals=7),
    "an asset that can be borrowed": lambda engine: added(engine, asset="ETH", borrowable=["ETH"]),
    "an asset with a price": lambda engine: added(engine, asset="ETH", index_price={"ETH": 3000}),
    "an asset with interest": lambda engine: added(engine, asset="ETH", deposit_index={"ETH": 1.5}),
    "a name": lambda engine: engine.deposit("ann", "USD", 0.00000001, client_id="first"),
    "another name": lambda engine: engine.deposit("ann", "USD", 0.00000001, client_id="second"),
    "who fell and rose": lambda engine: (engine.tick("OIL", -100), engine.tick("OIL", -5)),
    "who fell and rose and was asked for": lambda engine: (
        engine.tick("OIL", -100),
        engine.tick("OIL", -5),
        engine.fallen(),
    ),
}


@pytest.mark.parametrize("what", OPENINGS)
def test_what_is_opened_alike_is_alike(what: str) -> None:
    assert opened(**OPENINGS[what]).state_hash() == opened(**OPENINGS[what]).state_hash()


@pytest.mark.parametrize("what", EVENTS)
def test_what_happens_alike_leaves_the_same(what: str) -> None:
    engines = [opened(), opened()]
    for engine in engines:
        EVENTS[what](engine)
    assert engines[0].state_hash() == engines[1].state_hash()


def test_whatever_is_opened_otherwise_shows() -> None:
    seen: dict[str, str] = {}
    for what, said in OPENINGS.items():
        same = seen.setdefault(opened(**said).state_hash(), what)
        assert same == what, f"{what} looks like {same}"


def test_whatever_can_be_held_otherwise_shows() -> None:
    seen: dict[str, str] = {}
    for what, said in TERMS.items():
        assert of_terms(*said).state_hash() == of_terms(*said).state_hash()
        same = seen.setdefault(of_terms(*said).state_hash(), what)
        assert same == what, f"{what} looks like {same}"


def test_whatever_happens_shows() -> None:
    seen: dict[str, str] = {}
    for what, act in EVENTS.items():
        engine = opened()
        act(engine)
        same = seen.setdefault(engine.state_hash(), what)
        assert same == what, f"{what} looks like {same}"


def test_the_asset_that_all_is_valued_in_shows() -> None:
    """Where both are worth 1 of the other, nothing else tells them apart."""
    seen = set()
    for numeraire, other in (("USD", "EUR"), ("EUR", "USD")):
        universe = xm.Universe.from_frames({"asset": ["USD", "EUR"]}, numeraire=numeraire)
        book = xm.Book.from_frames(universe, {"account": ["ann"], "asset": ["USD"], "balance": [1]})
        market = xm.Market(universe, {other: 1.0})
        seen.add(xm.Engine(book, market, xm.CrossMargin.from_frames(universe)).state_hash())
    assert len(seen) == 2


def test_a_hash_is_text_of_one_length() -> None:
    text = opened().state_hash()
    assert len(text) == 32 and int(text, 16) >= 0


@pytest.mark.parametrize(
    ("first", "second"),
    [(["ab", "c"], ["a", "bc"]), (["1", "2"], [1, 2]), (["a", "b"], ["b", "a"]), ([12, 3], [1, 23])],
)
def test_ids_do_not_run_together(first: list[Any], second: list[Any]) -> None:
    assert small_engine(accounts=first).state_hash() != small_engine(accounts=second).state_hash()


def test_names_do_not_run_together() -> None:
    engines = [opened(), opened()]
    for engine, names in zip(engines, (("a", "bc"), ("ab", "c")), strict=True):
        for name in names:
            engine.deposit("ann", "USD", 1, client_id=name)
    assert engines[0].state_hash() != engines[1].state_hash()


def test_what_was_paid_up_to_shows() -> None:
    """Two accounts that hold the same units, touched at other indices, will not hold the same for long."""
    by_interest, by_funding = [], []
    for between in (1.1, 1.2):
        engine = small_engine(balances=[("ann", "USD", 1000)])
        engine.accrue(interest={"BTC": (between, 1)})
        engine.deposit("ann", "BTC", 1)
        engine.accrue(interest={"BTC": (1.5, 1)})
        by_interest.append(engine.state_hash())
        engine = small_engine(balances=[("ann", "USD", 1000)])
        engine.accrue(funding={"PERP": between})
        engine.fill("ann", "PERP", 1, 100)
        engine.accrue(funding={"PERP": 1.5})
        by_funding.append(engine.state_hash())
    assert len(set(by_interest)) == len(set(by_funding)) == 2


def test_a_deposit_by_name_is_known_by_its_amount() -> None:
    """The fingerprint of a command tells amounts apart that print alike as floats."""
    engine = small_engine(decimals=18)
    engine.deposit("ann", "USD", Decimal("1.000000000000000001"), client_id="mine")
    engine.deposit("ann", "USD", Decimal("1.000000000000000001"), client_id="mine")
    with pytest.raises(xm.RefusedError, match="mine"):
        engine.deposit("ann", "USD", Decimal("1.000000000000000002"), client_id="mine")
    assert engine.ledger()["USD"].deposits == Decimal("1.000000000000000001")
