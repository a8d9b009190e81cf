"""What scenario models refuse: by a typed error that names the thing, and nothing half done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import xmfast as xm
from standing import INF, NAN, refused

SPECS: dict[str, Any] = {
    "instrument": ["PERP", "ETH", "INVERSE", "CALL", "COINPUT", "OIL"],
    "kind": ["perpetual", "perpetual", "perpetual", "option", "option", "future"],
    "underlying": ["BTC", "ETHER", "BTC", "BTC", "BTC", "WTI"],
    "settlement": ["USD", "USD", "BTC", "USD", "BTC", "USD"],
    "inverse": [False, False, True, False, True, False],
    "allow_negative_price": [False] * 5 + [True],
    "strike": [None, None, None, 60_000.0, 60_000.0, None],
    "right": [None, None, None, "call", "put", None],
    "expiry": [None, None, None, "2026-12-25T08:00", "2026-12-25T08:00", None],
}
MARKET: dict[str, Any] = {
    "index_price": {"BTC": 60_000.0, "ETHER": 3_000.0},
    "mark_price": {"PERP": 60_100.0, "ETH": 3e3, "INVERSE": 60_000.0, "CALL": 3e3, "COINPUT": 0.05, "OIL": -5.0},
    "time": "2026-11-23",
    "implied_volatility": {"CALL": 0.5, "COINPUT": 0.5},
}
UNIVERSE = xm.Universe.from_frames({"asset": ["USD", "BTC"]}, SPECS)
BOTH = xm.Scenarios(price_shock=[-0.1, 0.1])
RETURNS: dict[Any, Any] = {"BTC": [-0.1, 0.1, 0.02], "ETHER": [0.0, 0.1, -0.2]}


def book_of(*names: str, quantity: float = -1.0) -> xm.Book:
    count = len(names)
    positions = {
        "account": ["ann"] * count,
        "instrument": list(names),
        "quantity": [quantity] * count,
        "entry_price": [100.0] * count,
    }
    return xm.Book.from_frames(UNIVERSE, {"account": ["ann"], "asset": ["USD"], "balance": [1e5]}, positions)


def market_of(**changes: Any) -> xm.Market:
    """Return the market with some figures replaced; ``None`` leaves one out."""
    return xm.Market(UNIVERSE, **MARKET | changes)


def margin(*names: str, scenarios: xm.Scenarios = BOTH, market: xm.Market | None = None, **options: Any) -> object:
    model = xm.PortfolioMargin(UNIVERSE, scenarios=scenarios, **options)
    return model.evaluate(book_of(*names), market or market_of())


def var(*names: str, returns: Any = RETURNS, **options: Any) -> object:
    return xm.HistoricalVaR(UNIVERSE, returns=returns, **options).evaluate(book_of(*names), market_of())


@pytest.fixture(autouse=True)
def nothing_is_half_done() -> Iterator[None]:
    """The same model on the same book says the same before and after."""
    model, book, market = xm.PortfolioMargin(UNIVERSE, scenarios=BOTH), book_of("PERP", "CALL"), market_of()
    before = model.evaluate(book, market).maintenance_margin.tobytes()
    yield
    assert model.evaluate(book, market).maintenance_margin.tobytes() == before


def test_all_is_well_where_nothing_is_wrong() -> None:
    names = ("PERP", "ETH", "INVERSE", "CALL", "COINPUT", "OIL")
    margin(*names)
    var(*names[:5])


UNSAID: list[Callable[[], object]] = [
    lambda: margin("PERP", "ETH", scenarios=xm.Scenarios(price_shock={"BTC": [-0.1]})),
    lambda: margin("PERP", "ETH", scenarios=xm.Scenarios.joint({"BTC": [-0.1]})),
    lambda: margin("PERP", "ETH", scenarios=xm.Scenarios.span({"BTC": 0.1})),
    lambda: var("PERP", "ETH", returns={"BTC": [0.1]}),
    lambda: var("PERP", "ETH", stressed_returns={"BTC": [0.1]}),
]


@pytest.mark.parametrize("action", UNSAID, ids=["plain", "joint", "span", "returns", "stressed"])
def test_a_held_instrument_of_whose_underlying_nothing_is_said(action: Callable[[], object]) -> None:
    refused(action, xm.ParameterError, "'ETHER'", "'ETH'", "ann", "no shock or return")


def test_what_nobody_holds_needs_nothing() -> None:
    scenarios = xm.Scenarios(price_shock={"ETHER": [-0.1]})
    margin("ETH", scenarios=scenarios)
    model = xm.PortfolioMargin(UNIVERSE, scenarios=scenarios)
    model.evaluate(book_of("PERP", "CALL", quantity=0.0), xm.Market(UNIVERSE))
    # Only listed: what has no shock has no row.
    assert model.risk_arrays(market_of()).instruments == ["ETH"]


def test_an_order_needs_a_shock_too() -> None:
    orders = {"account": ["ann"], "instrument": ["ETH"], "quantity": [1.0], "price": [3_000.0]}
    book = xm.Book.from_frames(UNIVERSE, None, None, orders)
    model = xm.PortfolioMargin(UNIVERSE, scenarios=xm.Scenarios(price_shock={"BTC": [-0.1]}))
    refused(lambda: model.evaluate(book, market_of()), xm.ParameterError, "'ETHER'", "'ETH'")


UNKNOWN: dict[str, Callable[[], object]] = {
    "price_shock": lambda: margin("PERP", scenarios=xm.Scenarios(price_shock={"BTX": [-0.1]})),
    "volatility_shock": lambda: margin("PERP", scenarios=xm.Scenarios({"BTC": [-0.1]}, {"BTX": [0.1]})),
    "joint": lambda: margin("PERP", scenarios=xm.Scenarios.joint({"BTX": [-0.1]})),
    "returns": lambda: var("PERP", returns={"BTX": [-0.1]}),
    "stressed_returns": lambda: var("PERP", stressed_returns={"BTX": [-0.1]}),
    "short_option_minimum": lambda: margin("PERP", short_option_minimum={"BTX": 0.1}),
    "concentration": lambda: margin("PERP", concentration={"BTX": (0.1, 0.0)}),
    "product_groups": lambda: margin("PERP", product_groups={"BTX": "coins"}),
}


@pytest.mark.parametrize("where", UNKNOWN)
def test_unknown_underlyings(where: str) -> None:
    named = where if where not in ("price_shock", "volatility_shock", "joint") else "scenarios"
    refused(UNKNOWN[where], xm.UnknownIdError, named, "'BTX'", "did you mean 'BTC'?")


def test_an_instrument_is_no_underlying() -> None:
    scenarios = xm.Scenarios(price_shock={"PERP": [-0.1]})
    refused(lambda: margin("PERP", scenarios=scenarios), xm.UnknownIdError, "'PERP'", "'BTC'")


def test_unknown_collateral() -> None:
    frame = {"asset": ["BTX"], "initial_haircut": [0.1]}
    refused(lambda: margin("PERP", collateral=frame), xm.UnknownIdError, "'BTX'", "'BTC'")
    frame = {"asset": ["BTC"], "initial_haircut": [1.5]}
    refused(lambda: margin("PERP", collateral=frame), xm.ParameterError, "initial_haircut", "1.5")


MISSING: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
    "implied volatility": (lambda: margin("CALL", market=market_of(implied_volatility=None)), ("'CALL'", "ann")),
    "one of two": (
        lambda: margin("CALL", "COINPUT", market=market_of(implied_volatility={"CALL": 0.5})),
        ("volatility", "'COINPUT'", "ann"),
    ),
    "time": (lambda: margin("CALL", market=market_of(time=None)), ("time", "'CALL'", "ann")),
    "forward and index price": (lambda: margin("CALL", market=market_of(index_price=None)), ("index price", "'BTC'")),
    "price of the settlement asset": (
        lambda: margin("INVERSE", market=market_of(index_price=None)),
        ("index price", "'BTC'", "ann"),
    ),
    "mark price": (lambda: margin("PERP", market=market_of(mark_price=None)), ("mark price", "'PERP'", "ann")),
}


@pytest.mark.parametrize("what", MISSING)
def test_missing_figures(what: str) -> None:
    action, words = MISSING[what]
    refused(action, xm.MissingPriceError, *words)


def test_index_prices_that_nothing_reads_may_be_missing() -> None:
    margin("PERP", "ETH", market=market_of(index_price=None))
    margin("CALL", market=market_of(index_price=None, forward={"CALL": 60_000.0}))


@pytest.mark.parametrize("time", ["2026-12-25T08:00", "2026-12-25T08:00:00.000000001", "2030-01-01"])
def test_expired_options(time: str) -> None:
    refused(lambda: margin("CALL", market=market_of(time=time)), xm.InputError, "'CALL'", "expired", "ann")


@pytest.mark.parametrize("column", ["strike", "right", "expiry"])
def test_options_without_their_terms(column: str) -> None:
    """Linear models need none, and so a universe takes them; what is revalued needs all."""
    cells = [None if name == "CALL" else cell for name, cell in zip(SPECS["instrument"], SPECS[column], strict=True)]
    universe = xm.Universe.from_frames({"asset": ["USD", "BTC"]}, SPECS | {column: cells})
    positions = {"account": ["ann"], "instrument": ["CALL"], "quantity": [1.0], "entry_price": [0.0]}
    book, market = xm.Book.from_frames(universe, None, positions), xm.Market(universe, **MARKET)
    model = xm.PortfolioMargin(universe, scenarios=BOTH)
    words = ("instruments", f"'{column}'", "'CALL'")
    refused(lambda: model.evaluate(book, market), xm.InputError, *words, "ann")
    refused(lambda: model.risk_arrays(market), xm.InputError, *words)


SHOCKS: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
    "below -1": (lambda: margin("PERP", scenarios=xm.Scenarios([-0.1, -1.5])), ("price_shock", "row 1", "-1.5")),
    "below -1 of one": (
        lambda: margin("PERP", scenarios=xm.Scenarios({"BTC": [-0.1], "ETHER": [-1.01]})),
        ("price_shock", "row 0", "'ETHER'", "-1.01"),
    ),
    "below -1 jointly": (
        lambda: margin("PERP", scenarios=xm.Scenarios.joint({"BTC": [-0.1, -2.0]})),
        ("price_shock", "row 1", "'BTC'", "-2"),
    ),
    "an extreme below -1": (lambda: margin("PERP", scenarios=xm.Scenarios.span(0.6)), ("row 15", "-1.2")),
    "inverse to 0": (lambda: margin("INVERSE", scenarios=xm.Scenarios([-1.0])), ("row 0", "'INVERSE'")),
    "coin option to 0": (lambda: margin("COINPUT", scenarios=xm.Scenarios([0.0, -1.0])), ("row 1", "'COINPUT'")),
    "amount below 0": (
        lambda: margin("PERP", scenarios=xm.Scenarios([1.0, -70_000.0], absolute=True)),
        ("row 1", "'PERP'", "-9900"),
    ),
    "inverse by amount": (
        lambda: margin("INVERSE", scenarios=xm.Scenarios([-60_000.0], absolute=True)),
        ("row 0", "'INVERSE'"),
    ),
    "coin option by amount": (lambda: margin("COINPUT", scenarios=xm.Scenarios([1.0], absolute=True)), ("'COINPUT'",)),
    "weight": (
        lambda: margin("PERP", scenarios=xm.Scenarios([0.1, 0.2], weight=[1.0, -0.5])),
        ("weight", "row 1", "-0.5"),
    ),
}


@pytest.mark.parametrize("what", SHOCKS)
def test_shocks_that_cannot_be(what: str) -> None:
    action, words = SHOCKS[what]
    refused(action, xm.ParameterError, *words)


def test_prices_that_may_be_negative_take_any_amount() -> None:
    margin("OIL", scenarios=xm.Scenarios([-60.0, 60.0], absolute=True))


NOT_NUMBERS: list[Any] = ["0.1", b"1", True, None, 1j, [0.1], np.datetime64("2026-01-01"), np.timedelta64(1, "s")]
COLUMNS: dict[str, Callable[[Any], object]] = {
    "price_shock": lambda column: xm.Scenarios(price_shock=column),
    "price_shock of 'BTC'": lambda column: xm.Scenarios(price_shock={"BTC": column}),
    "volatility_shock": lambda column: xm.Scenarios([0.1] * 2, volatility_shock=column),
    "weight": lambda column: xm.Scenarios([0.1] * 2, weight=column),
    "returns of 'BTC'": lambda column: var("PERP", returns={"BTC": column}),
    "stressed_returns of 'BTC'": lambda column: var("PERP", stressed_returns={"BTC": column}),
}


@pytest.mark.parametrize("value", [NAN, INF, -INF, np.float32(NAN)], ids=repr)
@pytest.mark.parametrize("column", COLUMNS)
def test_numbers_that_are_not_finite(column: str, value: Any) -> None:
    refused(lambda: COLUMNS[column](np.array([0.1, value])), xm.InputError, column, "row 1", str(value))
    refused(lambda: COLUMNS[column]([0.1, value]), xm.InputError, column, "row 1", str(value))


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
@pytest.mark.parametrize("column", COLUMNS)
def test_what_is_no_number(column: str, value: Any) -> None:
    refused(lambda: COLUMNS[column]([value, value]), xm.ParameterError, column, "number")


@pytest.mark.parametrize("value", [0.1, "abc", [], [[0.1, 0.2]], np.zeros((2, 1)), None, {0.1, 0.2}], ids=repr)
@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in ("volatility_shock", "weight")])
def test_what_is_no_column(column: str, value: Any) -> None:
    refused(lambda: COLUMNS[column](value), xm.ParameterError, column.split(" of ")[0])


def test_numbers_of_any_kind_are_numbers() -> None:
    for column in ([1], (0.1,), np.array([0.1], np.float32), [np.int8(0)], [Decimal("0.1")], range(1)):
        assert len(xm.Scenarios(price_shock=column)) == 1  # type: ignore[arg-type]


LENGTHS: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
    "volatilities": (lambda: xm.Scenarios([0.1, 0.2], [0.1]), ("volatility_shock", "1 ", "2 ")),
    "weights": (lambda: xm.Scenarios([0.1, 0.2], weight=[1.0] * 3), ("weight", "3 ", "2 ")),
    "underlyings": (lambda: xm.Scenarios({"BTC": [0.1, 0.2], "ETHER": [0.1]}), ("'ETHER'", "'BTC'", "1 ", "2 ")),
    "named volatilities": (lambda: xm.Scenarios({"BTC": [0.1, 0.2]}, {"BTC": [0.1]}), ("volatility_shock", "1 ", "2 ")),
    "joint": (lambda: xm.Scenarios.joint({"BTC": [0.1, 0.2], "ETHER": [0.1]}), ("'ETHER'", "'BTC'")),
    "returns": (
        lambda: var("PERP", returns={"BTC": [0.1], "ETHER": [0.1, 0.2]}),
        ("returns", "'ETHER'", "'BTC'", "1 ", "2 "),
    ),
    "stressed": (
        lambda: var("PERP", stressed_returns={"BTC": [0.1], "ETHER": [0.1, 0.2]}),
        ("stressed_returns", "'ETHER'", "'BTC'"),
    ),
}


@pytest.mark.parametrize("what", LENGTHS)
def test_columns_of_different_lengths(what: str) -> None:
    action, words = LENGTHS[what]
    refused(action, xm.ParameterError, *words)


MAKERS: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
    "no underlying": (lambda: xm.Scenarios({}), ("price_shock", "underlying")),
    "joint without names": (lambda: xm.Scenarios.joint([0.1]), ("joint", "underlying")),  # type: ignore[arg-type]
    "joint of a volatility alone": (lambda: xm.Scenarios.joint({"BTC": [0.1]}, {"ETHER": [0.1]}), ("'ETHER'",)),
    "how volatility moves": (
        lambda: xm.Scenarios([0.1], volatility="percent"),  # type: ignore[arg-type]
        ("volatility", "'relative'", "'percent'"),
    ),
    "negative range": (lambda: xm.Scenarios.span(-0.1), ("price_range", "-0.1")),
    "range that is text": (lambda: xm.Scenarios.tims("x"), ("price_range", "'x'")),  # type: ignore[arg-type]
    "range that is not finite": (lambda: xm.Scenarios.grid(NAN), ("price_range", "nan")),
    "no bucket": (lambda: xm.Scenarios.grid(0.1, 0), ("buckets", "0")),
    "half a bucket": (lambda: xm.Scenarios.grid(0.1, 1.5), ("buckets", "1.5")),  # type: ignore[arg-type]
    "volatility that rises by less than nothing": (
        lambda: xm.Scenarios.grid(0.1, volatility_up=-0.5),
        ("volatility_up", "-0.5"),
    ),
    "floor below 0": (lambda: xm.Scenarios([0.1], volatility_floor=-1.0), ("volatility_floor", "-1")),
    "floor that is no number": (lambda: xm.Scenarios([0.1], volatility_floor=NAN), ("volatility_floor", "nan")),
    "bounds in the wrong order": (
        lambda: xm.Scenarios([0.1], volatility_scaling=xm.VolatilityScaling(power=0.3, least=2.0, most=1.0)),
        ("volatility_scaling", "2", "1"),
    ),
    "bounds below 0": (
        lambda: xm.Scenarios([0.1], volatility_scaling=xm.VolatilityScaling(power=0.3, least=-2.0)),
        ("volatility_scaling", "-2"),
    ),
    "a power that is no number": (
        lambda: xm.Scenarios([0.1], volatility_scaling=xm.VolatilityScaling(power=NAN)),
        ("volatility_scaling", "power", "nan"),
    ),
}


@pytest.mark.parametrize("what", MAKERS)
def test_sets_that_cannot_be_made(what: str) -> None:
    action, words = MAKERS[what]
    refused(action, xm.ParameterError, *words)


PARAMETERS: list[tuple[str, Any]] = [
    *(("offsets", value) for value in ("ful", "0.5", 1.5, -0.1, NAN, None, True, [1])),
    *(("initial_factor", value) for value in (0.99, -1.0, NAN, INF, None, "2", True)),
    *(("margin_floor", value) for value in (-1.0, NAN, INF, None, "x")),
    *(("short_option_minimum", value) for value in (-0.1, NAN, "x", None)),
    *(("short_option_minimum", {"BTC": value}) for value in (-0.1, NAN, "x")),
    *(("concentration", {"BTC": value}) for value in ((-0.1, 0.0), (0.1, -5.0), (0.1, NAN), (INF, 0.0))),
    *(("concentration", {"BTC": value}) for value in (0.1, "ab", (0.1,))),
    ("concentration", (0.1, 0.0)),
    *(("product_groups", value) for value in (["BTC"], {"BTC": None}, {"BTC": [1]}, "coins")),
]


@pytest.mark.parametrize(("name", "value"), PARAMETERS, ids=lambda value: repr(value))
def test_parameters_out_of_bounds(name: str, value: Any) -> None:
    refused(lambda: margin("PERP", **{name: value}), xm.ParameterError, name)


def test_a_charge_by_underlying_under_joint_scenarios() -> None:
    joint = xm.Scenarios.joint({"BTC": [-0.1]})
    action: Callable[[], object] = lambda: margin("PERP", scenarios=joint, concentration={"BTC": (0.1, 0.0)})  # noqa: E731
    refused(action, xm.ParameterError, "concentration", "joint")


NO_HISTORY: list[Any] = [{}, [0.1], 0.1, "BTC"]
HISTORY: list[tuple[str, Any]] = [
    *(("confidence", value) for value in (0, 1, 0.0, 1.0, -0.5, 99, NAN, INF, "0.99", None, True)),
    *(("measure", value) for value in ("cvar", "VaR", None, 0.99)),
    *(("holding_period", value) for value in (0, -1, 1.5, "1", None, True, NAN)),
    *(("ewma_lambda", value) for value in (0, 1, -0.94, 94, NAN, "a", None)),
    *(("initial_factor", value) for value in (0.5, NAN)),
    *(("margin_floor", value) for value in (-0.5, NAN)),
    *(("short_option_minimum", value) for value in (-0.5, NAN)),
    *((name, value) for name in ("returns", "stressed_returns") for value in NO_HISTORY),
    ("returns", None),
]


@pytest.mark.parametrize(("name", "value"), HISTORY, ids=lambda value: repr(value))
def test_parameters_of_a_history_out_of_bounds(name: str, value: Any) -> None:
    refused(lambda: var("PERP", **{"filtered": True, name: value}), xm.ParameterError, name)


def test_returns_below_all() -> None:
    refused(lambda: var("PERP", returns={"BTC": [0.1, -1.5]}), xm.InputError, "returns of 'BTC'", "1", "-1.5")


@pytest.mark.parametrize("name", ["returns", "stressed_returns"])
def test_too_few_returns(name: str) -> None:
    options: dict[str, Any] = {name: {"BTC": [0.1, 0.2]}, "holding_period": 3}
    if name == "stressed_returns":
        options["returns"] = {"BTC": [0.1] * 5}
    refused(lambda: var("PERP", **options), xm.ParameterError, name, "2 ", "3", "too few")


@pytest.mark.parametrize("options", [{"filtered": True}, {"holding_period": 2}], ids=["filtered", "held"])
def test_returns_too_large_for_floats(options: dict[str, Any]) -> None:
    returns = {"BTC": [1e200, 1e200]}
    refused(lambda: var("PERP", returns=returns, **options), xm.InputError, "returns of 'BTC'", "too large")


def test_losses_too_large_for_floats() -> None:
    refused(lambda: margin("PERP", scenarios=xm.Scenarios([1e305])), xm.RangeError, "'PERP'", "scenario 0")
    # The gain of an option fits, its weighted loss does not.
    heavy = xm.Scenarios([0.1, -0.5], [0.0, 0.0], weight=[1.0, 1e308])
    refused(lambda: margin("CALL", scenarios=heavy), xm.RangeError, "'CALL'", "scenario 1", "ann")
    scenarios = xm.Scenarios([1e300, -0.5])
    model = xm.PortfolioMargin(UNIVERSE, scenarios=scenarios)
    refused(lambda: model.evaluate(book_of("PERP", quantity=-1e8), market_of()), xm.RangeError, "ann")


def test_quantiles_of_tiny_confidence() -> None:
    for measure in ("var", "es"):
        var("PERP", confidence=1e-300, measure=measure)
        var("PERP", confidence=1 - 1e-16, measure=measure)


def test_two_universes() -> None:
    other = xm.Universe.from_frames({"asset": ["USD", "BTC"]}, SPECS)
    model = xm.PortfolioMargin(other, scenarios=BOTH)
    refused(lambda: model.evaluate(book_of("PERP"), market_of()), xm.UniverseMismatchError, "universe")
    refused(lambda: model.risk_arrays(market_of()), xm.UniverseMismatchError, "universe")


def test_things_of_another_kind() -> None:
    model: Any = xm.PortfolioMargin(UNIVERSE, scenarios=BOTH)
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: xm.PortfolioMargin(UNIVERSE, scenarios=[-0.1]), "Scenarios"),  # type: ignore[arg-type]
        (lambda: xm.PortfolioMargin("universe", scenarios=BOTH), "Universe"),  # type: ignore[arg-type]
        (lambda: xm.HistoricalVaR("universe", returns=RETURNS), "Universe"),  # type: ignore[arg-type]
        (lambda: xm.Scenarios([0.1], volatility_scaling=0.3), "VolatilityScaling"),  # type: ignore[arg-type]
        (lambda: model.evaluate(1, market_of()), "Book"),
        (lambda: model.evaluate(book_of("PERP"), 1), "Market"),
        (lambda: model.risk_arrays(1), "Market"),
    ]
    for action, word in wrong:
        with pytest.raises(TypeError, match=word):
            action()


def test_unknown_rows_and_accounts() -> None:
    model = xm.PortfolioMargin(UNIVERSE, scenarios=BOTH)
    refused(lambda: model.risk_arrays(market_of())["PURP"], xm.UnknownIdError, "'PURP'", "did you mean 'PERP'?")
    report = model.evaluate(book_of("PERP"), market_of())
    for action in (lambda: report.explain("anne"), lambda: report.scenario_losses("anne"), lambda: report["anne"]):
        refused(action, xm.UnknownIdError, "'anne'", "'ann'")


OPTION_MARKETS: dict[str, tuple[dict[str, Any], type[Exception], tuple[str, ...]]] = {
    "volatility below 0": ({"implied_volatility": {"CALL": -0.1}}, xm.InputError, ("'CALL'", "-0.1")),
    "volatility of a perpetual": ({"implied_volatility": {"PERP": 0.1}}, xm.InputError, ("'PERP'", "0.1")),
    "volatility of an unknown": ({"implied_volatility": {"CELL": 0.1}}, xm.UnknownIdError, ("'CELL'", "'CALL'")),
    "forward of 0": ({"forward": {"CALL": 0.0}}, xm.InputError, ("forward", "'CALL'", "0")),
    "forward that is no number": ({"forward": {"CALL": NAN}}, xm.InputError, ("forward", "'CALL'")),
    "rate that is not finite": ({"discount_rate": {"USD": INF}}, xm.InputError, ("discount_rate", "'USD'")),
    "rate of an instrument": ({"discount_rate": {"CALL": 0.1}}, xm.UnknownIdError, ("discount_rate", "'CALL'")),
}


@pytest.mark.parametrize("what", OPTION_MARKETS)
def test_figures_of_options_that_cannot_be(what: str) -> None:
    changes, error, words = OPTION_MARKETS[what]
    refused(lambda: market_of().with_prices(**changes), error, *words)


def test_an_underlying_that_costs_nothing_has_no_options() -> None:
    worthless = market_of(index_price={"BTC": 0.0})
    refused(lambda: margin("CALL", market=worthless), xm.InputError, "'CALL'", "forward", "0")
    # In coin, it would be worth no number.
    refused(lambda: margin("COINPUT", market=worthless), xm.InputError, "'COINPUT'", "forward", "0")


def test_discounts_at_any_rate() -> None:
    huge = market_of(discount_rate={"USD": -1e5})
    refused(lambda: margin("CALL", market=huge), xm.InputError, "'CALL'", "scale", "inf is not a finite number")
    # The logarithm of the discount factor may be too large for floats, and the factor is 0.
    to_nothing = market_of(discount_rate={"USD": 1.7e308}, time="1926-11-23")
    arrays = xm.PortfolioMargin(UNIVERSE, scenarios=BOTH).risk_arrays(to_nothing)
    assert not arrays.losses[arrays.instruments.index("CALL")].any()


def test_what_is_published_needs_no_price_but_those_of_losses() -> None:
    model = xm.PortfolioMargin(UNIVERSE, scenarios=BOTH, short_option_minimum=0.1)
    market = xm.Market(
        UNIVERSE,
        mark_price={"CALL": 3e3},
        time="2026-11-23",
        implied_volatility={"CALL": 0.5},
        forward={"CALL": 6e4},
    )
    refused(lambda: model.evaluate(book_of("CALL"), market), xm.MissingPriceError, "BTC", "ann")
    assert model.risk_arrays(market).losses.any()
