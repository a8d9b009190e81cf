"""Additions that cannot be: refused by name, and nothing has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

import xmfast as xm
from small_additions import COLUMNS, ETH, ETHPERP, NEW_INDEX, NEW_MARK, add_all, larger, model_on, rates_of, specs
from small_engine import small_engine
from small_venue import INSTRUMENTS, MARK
from standing import INF, NAN, NO_NUMBERS, refused
from standing_engine import standing_engine, unchanged

Act = Callable[[xm.Engine], object]


@pytest.fixture(scope="module")
def opened() -> xm.Engine:
    return standing_engine()


@pytest.fixture
def engine(opened: xm.Engine) -> Iterator[xm.Engine]:
    universe = opened.universe
    with unchanged(opened):
        yield opened
    assert opened.universe is universe


# Universes


@pytest.fixture(scope="module")
def universe() -> xm.Universe:
    return small_engine().universe


def test_ids_that_are_there_already(universe: xm.Universe) -> None:
    def both(assets: Any = None, instruments: Any = None) -> Callable[[], object]:
        return lambda: universe.extended(assets, instruments)

    error = xm.DuplicateError
    refused(both({"asset": ["ETH", "BTC"]}), error, "assets", "row 1", "'BTC'", "an asset of the universe already")
    refused(both({"asset": ["PERP"]}), error, "assets", "'PERP'", "an instrument of the universe")
    refused(both({"asset": ["ETH", "ETH"]}), error, "assets", "'ETH'", "row 0")
    again = specs(ETHPERP, ("PERP", *ETHPERP[1:]))
    refused(both(ETH, again), error, "instruments", "row 1", "'PERP'", "an instrument of the universe already")
    refused(both(ETH, specs(("BTC", *ETHPERP[1:]))), error, "instruments", "'BTC'", "an asset")
    refused(both(ETH, specs(("ETH", *ETHPERP[1:]))), error, "instruments", "'ETH'", "an asset")
    refused(both(ETH, specs(ETHPERP, ETHPERP)), error, "instruments", "'ETHPERP'", "row 0")
    # Not even with the same terms: whoever adds it twice is mistaken once.
    same = {name: cells[:1] for name, cells in INSTRUMENTS.items()}
    refused(both(None, same), error, "'PERP'")


def test_frames_that_cannot_be(universe: xm.Universe) -> None:
    refused(lambda: universe.extended({"asset": [1]}), xm.ColumnError, "assets", "row 0", "1", "kind")
    numbers = specs(ETHPERP) | {"instrument": [7]}
    refused(lambda: universe.extended(ETH, numbers), xm.ColumnError, "instruments", "row 0", "7", "kind")
    numbers = specs(ETHPERP) | {"underlying": [7]}
    refused(lambda: universe.extended(ETH, numbers), xm.ColumnError, "underlying", "row 0", "7", "kind")
    refused(lambda: universe.extended({"name": ["ETH"]}), xm.ColumnError, "assets", "asset")
    bad: Any = 5
    refused(lambda: universe.extended(bad), xm.ColumnError, "assets")
    for column, cell, word in (
        ("settlement", "ETC", "'ETC'"),
        ("kind", "perp", "'perp'"),
        ("contract_multiplier", 0.0, "> 0"),
        ("contract_multiplier", NAN, "finite"),
    ):
        error = xm.UnknownIdError if column == "settlement" else xm.InputError
        wrong = specs(ETHPERP) | {column: [cell]}
        refused(lambda: universe.extended(ETH, wrong), error, "instruments", column, word)  # noqa: B023


# What does not begin as the engine's universe does


def begun_otherwise(**changes: Any) -> xm.Universe:
    """Return a universe of the same and ether, but for some columns of its frames."""
    assets = {"asset": changes.pop("asset", ["USD", "BTC", "ETH"])}
    numeraire = changes.pop("numeraire", "USD")
    instruments = {name: [*INSTRUMENTS[name], *cells] for name, cells in specs(ETHPERP).items()} | changes
    return xm.Universe.from_frames(assets, instruments, numeraire)


def terms(column: str, row: int, cell: Any) -> dict[str, Any]:
    cells = [*INSTRUMENTS[column], ETHPERP[COLUMNS.index(column)]]
    cells[row] = cell
    return {column: cells}


OTHERWISE: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"asset": ["BTC", "USD", "ETH"]}, ("asset 0 is 'BTC'", "instead of 'USD'")),
    ({"asset": ["USD", "ETH", "BTC"]}, ("asset 1 is 'ETH'", "instead of 'BTC'")),
    ({"numeraire": "BTC"}, ("numeraire", "'BTC' instead of 'USD'")),
    (terms("instrument", 1, "OTHER"), ("instrument 1 is 'OTHER'", "instead of 'INVERSE'")),
    (terms("kind", 0, "future"), ("'PERP'", "kind")),
    (terms("underlying", 4, "BRENT"), ("'OIL'", "underlying")),
    (terms("settlement", 0, "BTC"), ("'PERP'", "settlement")),
    (terms("contract_multiplier", 3, Decimal("0.10000000000000000001")), ("'COINCALL'", "contract_multiplier")),
    (terms("inverse", 2, True), ("'CALL'", "inverse")),
    (terms("allow_negative_price", 4, False), ("'OIL'", "allow_negative_price")),
    ({"expiry": [None, None, "2026-12-25", None, None, None]}, ("'CALL'", "expiry")),
    ({"strike": [None, None, 1.0, None, None, None]}, ("'CALL'", "strike")),
    ({"right": [None, None, None, "put", None, None]}, ("'COINCALL'", "right")),
    ({"futures_style": [False, False, True, False, False, False]}, ("'CALL'", "futures_style")),
    ({"expiry": [None] * 4 + ["2026-12-25"] * 2, "settlement_average": [None] * 4 + [60, 0]}, ("'OIL'", "expiry")),
]


@pytest.mark.parametrize("changes", range(len(OTHERWISE)), ids=lambda at: " ".join(OTHERWISE[at][1]))
def test_universes_that_begin_otherwise(engine: xm.Engine, changes: int) -> None:
    said, words = OTHERWISE[changes]
    model = xm.CrossMargin.from_frames(begun_otherwise(**said), margin=rates_of([]))
    refused(lambda: engine.add_instruments(model), xm.UniverseMismatchError, "extend", *words)


def test_universes_that_lack_something(engine: xm.Engine) -> None:
    fewer = {name: cells[:4] for name, cells in INSTRUMENTS.items()}
    for assets, instruments, word in (
        (["USD", "BTC"], fewer, "instrument 'OIL' is missing"),
        (["USD", "BTC", "ETH"], None, "instrument 'PERP' is missing"),
        (["USD"], None, "asset 'BTC' is missing"),
    ):
        less = xm.CrossMargin.from_frames(xm.Universe.from_frames({"asset": assets}, instruments))
        refused(lambda: engine.add_instruments(less), xm.UniverseMismatchError, word)  # noqa: B023


def test_a_universe_of_before(engine: xm.Engine) -> None:
    """Once the engine has gone on, what it had is no extension of it."""
    other = small_engine()
    model = other.model
    add_all(other)
    before = other.state_hash()
    refused(lambda: other.add_instruments(model), xm.UniverseMismatchError, "'ETH' is missing")
    # Nor is what has other things in the same places.
    sideways = engine.universe.extended({"asset": ["DOGE"]})
    refused(lambda: other.add_instruments(model_on(sideways)), xm.UniverseMismatchError, "'DOGE'", "'ETH'")
    assert other.state_hash() == before


# Rules, prices and what is said of what is new


def test_what_is_no_model_and_no_market(engine: xm.Engine) -> None:
    bad: Any
    for bad in (None, 5, "CrossMargin", engine.book, engine.universe):
        with pytest.raises(TypeError, match="model"):
            engine.add_instruments(bad)
    model = model_on(larger(engine.universe))
    for bad in (5, {"ETHPERP": 3000}, engine.book, model):
        with pytest.raises(TypeError, match="market"):
            engine.add_instruments(model, bad)


def test_markets_of_another_universe(engine: xm.Engine) -> None:
    model = model_on(larger(engine.universe))
    for market in (engine.market, xm.Market(larger(engine.universe), NEW_INDEX, NEW_MARK)):
        refused(lambda: engine.add_instruments(model, market), xm.UniverseMismatchError, "market", "model")  # noqa: B023


def test_rules_that_say_nothing_of_what_is_held(engine: xm.Engine) -> None:
    universe = larger(engine.universe)
    few = xm.CrossMargin.from_frames(universe, margin=rates_of(["OIL", "ETHPERP"]))
    refused(lambda: engine.add_instruments(few), xm.MissingParameterError, "PERP")
    # A model by scenarios needs the volatility of an option that is held.
    scenarios = xm.PortfolioMargin(universe, scenarios=xm.Scenarios(price_shock=[-0.1, 0.1]))
    with pytest.raises(xm.InputError, match="CALL"):
        engine.add_instruments(scenarios)


@pytest.mark.parametrize("name", ["index_price", "mark_price", "deposit_index", "borrow_index", "cumulative_funding"])
@pytest.mark.parametrize("bad", [1.01e30, 1e308, 0.99e-30, 5e-324])
def test_figures_at_which_nobody_can_be_judged(engine: xm.Engine, name: str, bad: float) -> None:
    universe = larger(engine.universe)
    of = "ETHPERP" if name in ("mark_price", "cumulative_funding") else "ETH"
    figures: dict[str, Any] = {name: {of: bad}}
    market = xm.Market(universe, **figures)
    model = model_on(universe)
    refused(lambda: engine.add_instruments(model, market), xm.InputError, name, of, "1e-30", "1e30")


LIMITS = ("position_limit", "open_interest_limit")


@pytest.mark.parametrize("name", LIMITS)
def test_limits_that_cannot_be(engine: xm.Engine, name: str) -> None:
    def add(limits: Any) -> Callable[[], object]:
        said: dict[str, Any] = {name: limits}
        return lambda: add_all(engine, **said)

    refused(add({"PERP": 1}), xm.ParameterError, name, "'PERP'", "not new")
    refused(add({"ETHPERP": 1, "OIL": 1}), xm.ParameterError, name, "'OIL'", "not new")
    refused(add({"ETHPERQ": 1}), xm.UnknownIdError, name, "'ETHPERQ'", "did you mean 'ETHPERP'")
    refused(add({"ETH": 1}), xm.UnknownIdError, name, "'ETH'")
    refused(add({"ETHPERP": -1}), xm.ParameterError, name, "ETHPERP", "negative")
    refused(add({"ETHPERP": 1e-9}), xm.InputError, name, "8 decimals")
    for bad in (NAN, INF, -INF):
        refused(add({"ETHPERP": bad}), xm.InputError, name, "finite")
    for bad in (bad for bad in NO_NUMBERS if bad is not None):
        refused(add({"ETHPERP": bad}), xm.ColumnError, name)


def test_scales_that_cannot_be(engine: xm.Engine) -> None:
    bad: Any
    for bad in (-1, 1.5, True, "8", None, {"ETH": -1}, {"ETH": 2.0}):
        refused(lambda: add_all(engine, decimals=bad), xm.ParameterError, "decimals", "0 to 18")  # noqa: B023
    for bad in (19, {"ETH": 19}):
        refused(lambda: add_all(engine, decimals=bad), xm.ParameterError, "decimals", "18")  # noqa: B023
    refused(lambda: add_all(engine, decimals={"USD": 8}), xm.ParameterError, "decimals", "'USD'", "not new")
    refused(lambda: add_all(engine, decimals={"ETHER": 8}), xm.UnknownIdError, "decimals", "'ETHER'")


def test_what_cannot_be_borrowed(engine: xm.Engine) -> None:
    refused(lambda: add_all(engine, borrowable=["BTC"]), xm.ParameterError, "borrowable", "'BTC'", "not new")
    refused(lambda: add_all(engine, borrowable=["ETHPERP"]), xm.UnknownIdError, "borrowable", "'ETHPERP'")


def test_prices_that_the_market_refuses(engine: xm.Engine) -> None:
    """What is new has the same door as what was there."""
    universe = larger(engine.universe)
    refused(lambda: xm.Market(universe, mark_price={"ETHPERP": 0}), xm.InputError, "ETHPERP", "> 0")
    refused(lambda: xm.Market(universe, mark_price=[*MARK.values()]), xm.ColumnError, "mark_price")
