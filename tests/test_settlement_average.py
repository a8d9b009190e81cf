"""Settlement by an average of the index: what has passed of it is fixed, and the rest moves less than a price."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import xmfast as xm
from reference_options import bachelier, black76
from reference_rules import Rules
from reference_scenarios import RiskArrays, ScenarioSet, Settlement
from standing import INF, refused

EXPIRY = np.datetime64("2026-12-25T08:00", "ns")
HALF_HOUR, DAY = 1800.0, 86_400.0
MOVES = xm.Scenarios([-0.3, -0.05, 0.0, 0.05, 0.4, 0.0], [0.0, 0.5, 0.5, -0.5, 0.0, -0.9])
SPECS: dict[str, Any] = {
    "instrument": ["CALL", "PUT", "COINCALL", "COINPUT", "FUTURE", "COINFUTURE"],
    "kind": ["option"] * 4 + ["future"] * 2,
    "underlying": ["BTC"] * 6,
    "settlement": ["USD", "USD", "BTC", "BTC", "USD", "BTC"],
    "contract_multiplier": [1.0, 1.0, 1.0, 1.0, 1.0, 100.0],
    "inverse": [False, False, True, True, False, True],
    "strike": [60_000.0] * 4 + [None] * 2,
    "right": ["call", "put"] * 2 + [None] * 2,
}
NAMES: list[str] = SPECS["instrument"]
OPTIONS = NAMES[:4]


def universe_of(window: Any, expiry: Any = EXPIRY, **specs: Any) -> xm.Universe:
    return xm.Universe.from_frames(
        {"asset": ["USD", "BTC"]},
        SPECS | {"expiry": [expiry] * 6, "settlement_average": [window] * 6} | specs,
    )


def market_of(universe: xm.Universe, time: Any, average: float | None = 60_500.0, **changes: Any) -> xm.Market:
    figures: dict[str, Any] = {
        "index_price": {"BTC": 60_000.0},
        "mark_price": dict.fromkeys(NAMES[:2], 100.0) | dict.fromkeys(NAMES[2:4], 0.01) | dict.fromkeys(NAMES[4:], 6e4),
        "implied_volatility": dict.fromkeys(OPTIONS, 0.8),
        "forward": dict.fromkeys(OPTIONS, 60_300.0),
        "settlement_average": None if average is None else dict.fromkeys(OPTIONS, average),
    }
    return xm.Market(universe, time=time, **figures | changes)


def losses_of(window: Any, time: Any, scenarios: xm.Scenarios = MOVES, **changes: Any) -> xm.RiskArrays:
    universe = universe_of(window)
    return xm.PortfolioMargin(universe, scenarios=scenarios).risk_arrays(market_of(universe, time, **changes))


def before_expiry(seconds: float) -> np.datetime64:
    return EXPIRY - np.timedelta64(round(seconds * 1e9), "ns")


@pytest.mark.parametrize(("window", "before"), [(HALF_HOUR, 7 * DAY), (HALF_HOUR, HALF_HOUR), (DAY, 1.5 * DAY)])
def test_before_the_window_only_time_is_less(window: float, before: float) -> None:
    """The mean over a window is as uncertain as the price after a third of it."""
    time = before_expiry(before)
    # Nothing has passed: an average is not read, and none is needed.
    found = losses_of(window, time, average=None)
    assert found.losses.tobytes() == losses_of(window, time, average=1.0).losses.tobytes()
    sooner = universe_of(None, EXPIRY - np.timedelta64(round(window * 2 / 3), "s"))
    model = xm.PortfolioMargin(sooner, scenarios=MOVES)
    plain = model.risk_arrays(market_of(sooner, time, settlement_average=None))
    assert found.losses.tobytes() == plain.losses.tobytes()
    # Neither 0 seconds nor null is a window.
    for none in (0.0, None):
        assert losses_of(none, time, settlement_average=None).losses.tobytes() != found.losses.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_jumps_when_the_window_begins(name: str) -> None:
    """Nanosecond by nanosecond, whatever the first observation is."""
    at = losses_of(DAY, before_expiry(DAY), average=None)[name]
    for nanoseconds in (-1000, -1, 1, 1000):
        time = before_expiry(DAY) + np.timedelta64(nanoseconds, "ns")
        near = losses_of(DAY, time, average=90_000.0)[name]
        np.testing.assert_allclose(near, at, rtol=1e-8, atol=1e-6)


def test_at_the_end_all_is_fixed() -> None:
    """A nanosecond before expiry no scenario changes anything: the option pays what it pays on the average."""
    for average in (40_000.0, 59_990.0, 60_010.0, 90_000.0):
        found = losses_of(HALF_HOUR, before_expiry(1e-9), average=average)
        assert np.abs(found.losses).max() < 1e-6
        years = 1e-9 / (365 * DAY)
        settlement = Settlement.of(years, HALF_HOUR / (365 * DAY), average)
        for side in (1, -1):
            value = settlement.value(black76, 60_000.0, 60_000.0, 0.8, side)
            assert value == pytest.approx(max(0.0, side * (average - 60_000.0)), abs=1e-6)
    with pytest.raises(xm.InputError, match="expired"):
        losses_of(HALF_HOUR, EXPIRY)


def test_by_hand() -> None:
    """A quarter of the window is left, and the average so far is 100,000: the call is certain to be exercised."""
    found = losses_of(HALF_HOUR, before_expiry(450.0), average=100_000.0)
    shocks = np.asarray(MOVES.price_shock)
    # The settlement price will be 75,000 and a quarter of what comes; the call gains with that quarter alone.
    np.testing.assert_allclose(found["CALL"], -0.25 * 60_300.0 * shocks, rtol=1e-12, atol=1e-9)
    assert not found["PUT"].any() and not found["COINPUT"].any()
    # In coin it pays 1 - 60,000 / average, at today's price of 60,000.
    price = 75_000.0 + 0.25 * 60_300.0 * np.array([1.0, *(1 + shocks)])
    paid = (1 - 60_000.0 / price) * 60_000.0
    np.testing.assert_allclose(found["COINCALL"], paid[0] - paid[1:], rtol=1e-9, atol=1e-9)
    # Futures follow their mark, a quarter as far.
    np.testing.assert_allclose(found["FUTURE"], -0.25 * 60_000.0 * shocks, rtol=1e-12, atol=0)
    coins = 100 / 60_000.0 - 100 / (60_000.0 * (1 + 0.25 * shocks))
    np.testing.assert_allclose(found["COINFUTURE"], -coins * 60_000.0, rtol=1e-12, atol=1e-12)


def test_delta_decays_with_the_window() -> None:
    """What is charged for size: three quarters have passed, a quarter of the delta is left."""
    for left, part in ((1.0, 1.0), (0.5, 0.5), (0.25, 0.25)):
        universe = universe_of(HALF_HOUR)
        positions = {"account": ["a"] * 2, "instrument": ["CALL", "FUTURE"], "quantity": [1.0] * 2}
        book = xm.Book.from_frames(universe, None, positions | {"entry_price": [1.0] * 2})
        model = xm.PortfolioMargin(universe, scenarios=xm.Scenarios([0.0]), concentration={"BTC": (1.0, 0.0)})
        market = market_of(
            universe, before_expiry(left * HALF_HOUR), 100_000.0, forward=dict.fromkeys(OPTIONS, 90_000.0)
        )
        charged = model.evaluate(book, market).contingencies["concentration"]
        np.testing.assert_allclose(charged, part * (90_000.0 + 60_000.0), rtol=1e-9)


@pytest.mark.parametrize("left", [1.0, 0.7, 0.2, 0.01])
def test_put_call_parity_holds_in_every_scenario(left: float) -> None:
    """A call bought and a put sold are what is open of a forward."""
    found = losses_of(DAY, before_expiry(left * DAY))
    forward = -left * 60_300.0 * np.asarray(MOVES.price_shock)
    np.testing.assert_allclose(found["CALL"] - found["PUT"], forward, rtol=1e-12, atol=1e-9)


@pytest.fixture(scope="module")
def walks() -> NDArray[np.float64]:
    """Brownian paths over a unit of time, antithetic."""
    half = np.random.default_rng(5).standard_normal((100_000, 48)) / math.sqrt(48)
    return np.cumsum(np.concatenate([half, -half]), axis=1)


@pytest.mark.parametrize("before", [2.0, 1.0, 0.6, 0.2])
@pytest.mark.parametrize("moneyness", [0.98, 1.0, 1.01])
def test_simulated_paths_agree(walks: NDArray[np.float64], before: float, moneyness: float) -> None:
    """A day's average, at 80 %: linear options within noise, coin-settled ones but for the coin's last price."""
    forward, strike, sigma, average = 60_300.0, 60_000.0 * moneyness, 0.8, 60_500.0
    passed = max(0.0, 1 - before)
    to_come, until = min(before, 1.0) / 365, max(0.0, before - 1) / 365
    # Trapezoids make the mean of the steps that of the path; what comes before the window is one step.
    steps = walks * math.sqrt(to_come)
    start = np.random.default_rng(6).standard_normal(len(walks) // 2) * math.sqrt(until)
    start = np.concatenate([start, -start])[:, None]
    path = np.concatenate([np.zeros_like(start), steps], axis=1) + start
    grid = np.concatenate([np.zeros(1), np.arange(1, 49) / 48]) * to_come + until
    prices = forward * np.exp(sigma * path - sigma**2 / 2 * grid)
    mean = (prices[:, :-1] + prices[:, 1:]).mean(axis=1) / 2
    universe = universe_of(DAY, strike=[strike] * 4 + [None] * 2)
    moves = [-0.9, -0.01, 0.01, 0.9]
    model = xm.PortfolioMargin(universe, scenarios=xm.Scenarios(moves))
    found = model.risk_arrays(market_of(universe, before_expiry(before * DAY), average))
    for name, side in (("CALL", 1), ("PUT", -1), ("COINCALL", 1), ("COINPUT", -1)):

        def paid(move: float, side: int = side, coin: bool = name.startswith("COIN")) -> NDArray[np.float64]:
            settled = passed * average + (1 - passed) * mean * (1 + move)
            paid = np.maximum(0.0, side * (settled - strike))
            # Coins, counted at the price of the moment when they are paid.
            return np.asarray(paid / settled * prices[:, -1] / forward * 60_000.0 if coin else paid)

        for column, move in enumerate(moves):
            gains = paid(move) - paid(0.0)
            pairs = (gains[: len(gains) // 2] + gains[len(gains) // 2 :]) / 2
            noise = 5 * pairs.std() / math.sqrt(len(pairs))
            # A path's mean is lognormal to first order. Its last price goes with it, 1.5 for 1, which counts for coins.
            deviation = sigma * math.sqrt(to_come / 3)
            scale = deviation * forward * (1 - passed)
            approximate = scale * 0.001
            if name.startswith("COIN"):
                approximate += 1.5 * scale * deviation + sigma**2 * to_come / 4 * abs(gains.mean())
            assert found[name][column] == pytest.approx(-gains.mean(), abs=noise + approximate), (name, move)


@pytest.mark.parametrize("before", [2.0, 1.0, 0.3])
def test_the_mean_of_a_normal_path_is_exact(walks: NDArray[np.float64], before: float) -> None:
    """Variances add up: what is before the window, and a third of what is in it."""
    settlement = Settlement.of(before, 1.0, 10.0)
    steps = np.concatenate([np.zeros((len(walks), 1)), walks * math.sqrt(min(1.0, before))], axis=1)
    mean = (steps[:, :-1] + steps[:, 1:]).mean(axis=1) / 2
    variance = mean.var() + max(0.0, before - 1)
    assert settlement.years == pytest.approx(variance, rel=0.01)
    assert settlement.price(20.0) == pytest.approx(min(1.0, before) * 20 + max(0.0, 1 - before) * 10)
    shares = settlement.open * math.sqrt(settlement.years) * 3.0
    at_the_money = settlement.value(bachelier, 20.0, settlement.price(20.0), 3.0, 1)
    assert at_the_money == pytest.approx(shares / math.sqrt(2 * math.pi))


@given(
    left=st.floats(1e-6, 2.0),
    window=st.sampled_from([1.0, HALF_HOUR, DAY, 30 * DAY]),
    average=st.floats(1_000.0, 1e6),
    volatility=st.sampled_from([0.0, 0.3, 0.8, 3.0]),
    absolute=st.booleans(),
)
def test_losses_are_the_reference(
    left: float, window: float, average: float, volatility: float, absolute: bool
) -> None:
    time = min(before_expiry(left * window), EXPIRY - np.timedelta64(1, "ns"))
    universe = universe_of(window)
    named = NAMES[:2] + NAMES[4:5] if absolute else NAMES
    changes: dict[str, Any] = {
        "implied_volatility": dict.fromkeys(OPTIONS, volatility * (6e4 if absolute else 1.0)),
        "mark_price": dict.fromkeys(named, 6e4),
    }
    moves = [-0.5, -0.1, 0.0, 0.2, 1.5]
    plain = ScenarioSet(
        price_shock=[move * 6e4 for move in moves] if absolute else moves,
        volatility_shock=[0.5, -0.5, 0.1, 0.0, 3.0],
        volatility_scaling=(0.3, 0.1, 4.0),
        absolute=absolute,
    )
    scaling = xm.VolatilityScaling(power=0.3, least=0.1, most=4.0)
    scenarios = xm.Scenarios(
        plain.price_shock, plain.volatility_shock, volatility_scaling=scaling, absolute=plain.absolute
    )
    found = xm.PortfolioMargin(universe, scenarios=scenarios).risk_arrays(market_of(universe, time, average, **changes))
    frames = {"assets": {"asset": ["USD", "BTC"]}, "numeraire": "USD"}
    frames["instruments"] = SPECS | {"expiry": [EXPIRY] * 6, "settlement_average": [window] * 6}
    market: dict[str, Any] = {
        "index_price": {"BTC": 60_000.0},
        "forward": dict.fromkeys(OPTIONS, 60_300.0),
        "settlement_average": dict.fromkeys(OPTIONS, average),
        "time": time,
    }
    right = RiskArrays(frames, market | changes, Rules(frames, market | changes, None, None, float), plain)
    for name in named:
        contract = right.contract(name)
        wrong = np.abs(found[name] - contract.losses)
        # Of what is left of an option on an average, times what it would be worth at that.
        assert (wrong <= 1e-12 * max(1.0, average / 6e4) * contract.scale).all(), (name, found[name], contract.losses)


@pytest.mark.parametrize(("window", "word"), [(-1.0, ">= 0"), (-1e-300, ">= 0"), (1e10, "292"), (1e308, "292")])
def test_windows_out_of_bounds(window: float, word: str) -> None:
    words = ("instruments", "'settlement_average'", "row 0", "'CALL'", word)
    refused(lambda: universe_of(window), xm.InputError, *words)


def test_a_window_of_centuries_is_all_but_over() -> None:
    assert np.abs(losses_of(9e9, before_expiry(7 * DAY)).losses).max() < 100.0


@pytest.mark.parametrize("average", [1e-300, 1e300, 1.7e308])
def test_averages_beyond_all_bounds(average: float) -> None:
    """A finite loss or a typed error, never anything else."""
    for before in (1e-9, 1.0, 1799.0):
        try:
            losses = losses_of(HALF_HOUR, before_expiry(before), average=average).losses
        except (xm.InputError, xm.RangeError) as error:
            assert "finite" in str(error) or "loss of" in str(error) or "range" in str(error), error
        else:
            assert np.isfinite(losses).all()


def test_windows_that_cannot_be() -> None:
    def made(**specs: Any) -> xm.Universe:
        return xm.Universe.from_frames({"asset": ["USD", "BTC"]}, frame | specs)

    frame = SPECS | {"expiry": [EXPIRY] * 6, "settlement_average": [HALF_HOUR] * 6}

    words = ("instruments", "'settlement_average'", "row 1", "'PUT'")
    refused(lambda: made(settlement_average=[0.0, INF, *[None] * 4]), xm.InputError, *words, "finite")
    refused(lambda: made(settlement_average=["a", *[None] * 5]), xm.ColumnError, *words[:2], "row 0")
    no_expiry = {"expiry": [EXPIRY, None, *[EXPIRY] * 4]}
    refused(lambda: made(**no_expiry), xm.InputError, *words, "1800", "expiry")
    kinds = ["option", "perpetual", "option", "option", "future", "future"]
    refused(lambda: made(kind=kinds), xm.InputError, *words, "perpetual")
    # A null is no window.
    made(kind=kinds, settlement_average=[1.0, None, math.nan, 1, 2, 3])


def test_an_average_that_is_missing() -> None:
    universe = universe_of(HALF_HOUR)
    positions = {"account": ["ann"], "instrument": ["COINPUT"], "quantity": [-1.0], "entry_price": [0.0]}
    book = xm.Book.from_frames(universe, None, positions)
    model = xm.PortfolioMargin(universe, scenarios=MOVES)
    inside = market_of(universe, before_expiry(HALF_HOUR - 1e-9), None)
    refused(lambda: model.evaluate(book, inside), xm.MissingPriceError, "settlement average", "'COINPUT'", "ann")
    model.evaluate(book, market_of(universe, before_expiry(HALF_HOUR), None))
    model.evaluate(book, inside.with_prices(settlement_average={"COINPUT": 6e4}))
    # Futures have a mark, which says where the average stands; but how much of it is open, time says alone.
    future = positions | {"instrument": ["FUTURE"], "entry_price": [6e4]}
    book = xm.Book.from_frames(universe, None, future)
    model.evaluate(book, inside)
    refused(lambda: model.evaluate(book, market_of(universe, None)), xm.MissingPriceError, "time", "'FUTURE'", "ann")
    refused(lambda: model.evaluate(book, market_of(universe, EXPIRY)), xm.InputError, "'FUTURE'", "expired", "ann")


@pytest.mark.parametrize("average", [0.0, -5.0, INF])
def test_averages_that_cannot_be(average: float) -> None:
    universe = universe_of(HALF_HOUR)
    refused(lambda: market_of(universe, EXPIRY, average), xm.InputError, "settlement_average", "'CALL'")


def test_averages_of_nothing() -> None:
    universe = universe_of(HALF_HOUR)
    refused(
        lambda: market_of(universe, EXPIRY, settlement_average={"CAL": 1.0}),
        xm.UnknownIdError, "settlement_average", "'CAL'", "'CALL'",
    )  # fmt: skip
    plain = universe_of(None)
    refused(lambda: market_of(plain, EXPIRY, 6e4), xm.InputError, "settlement_average", "'CALL'", "at one price")
    # An array has a place for every instrument.
    array = np.array([6e4, *[math.nan] * 5])
    market = market_of(universe, EXPIRY, settlement_average=array)
    np.testing.assert_array_equal(market.settlement_average, array)
