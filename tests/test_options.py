"""Option values, implied volatilities and surfaces from Python."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

import xmfast as xm

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "options" / "values.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("model", ["black76", "bachelier"])
@pytest.mark.parametrize("inverse", [False, True])
def test_golden_values(model: str, inverse: bool) -> None:
    rows = [row for row in GOLDEN["options"] if row["model"] == model and row["inverse"] == inverse]
    if model == "bachelier" and inverse:
        assert rows == []
        return
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0] if name not in ("model", "expected")}
    right = np.where(columns.pop("is_call"), "call", "put")
    del columns["inverse"]
    found = (
        xm.bachelier(**columns, right=right)
        if model == "bachelier"
        else xm.black76(**columns, right=right, inverse=inverse)
    )
    expected = np.array([row["expected"] for row in rows]).T
    size = np.maximum(abs(columns["forward"]), abs(columns["strike"])) / (columns["forward"] if inverse else 1)
    assert len(rows) > 20
    assert np.all(abs(found.value - expected[0]) <= 1e-12 * size)
    ordinary = columns["volatility"] * np.sqrt(columns["expiry_years"]) / (size if model == "bachelier" else 1) > 1e-3
    for name, values, truth in zip(GOLDEN["figures"], found, expected, strict=True):
        np.testing.assert_allclose(values[ordinary], truth[ordinary], rtol=1e-8, atol=1e-12 * size.max(), err_msg=name)


def test_scipy_agrees() -> None:
    rng = np.random.default_rng(5)
    forward, strike = rng.uniform(10, 1000, (2, 500))
    volatility, years, rate = rng.uniform(0.05, 2, 500), rng.uniform(0.01, 3, 500), rng.uniform(-0.02, 0.1, 500)
    total = volatility * np.sqrt(years)
    d1 = np.log(forward / strike) / total + total / 2
    discount = np.exp(-rate * years)
    call = discount * (forward * norm.cdf(d1) - strike * norm.cdf(d1 - total))
    values = xm.black76(forward, strike, volatility, years, rate=rate)
    np.testing.assert_allclose(values.value, call, rtol=0, atol=1e-12 * 1000)
    np.testing.assert_allclose(values.delta, discount * norm.cdf(d1), rtol=1e-12)
    np.testing.assert_allclose(values.vega, discount * forward * norm.pdf(d1) * np.sqrt(years), rtol=1e-12)


def test_every_instruction_set_and_thread_count_gives_the_same_bits() -> None:
    rng = np.random.default_rng(6)
    inputs = (rng.lognormal(4, 1, 3000), rng.lognormal(4, 1, 3000), rng.uniform(0, 2, 3000), rng.uniform(0, 2, 3000))
    before = xm.simd()
    try:
        xm.set_num_threads(1)
        expected = xm.black76(*inputs, "put", inverse=True)
        xm.set_num_threads(3)
        for name in ("scalar", "avx2", "avx512"):
            try:
                xm.set_simd(name)
            except xm.XmfastError:
                continue
            for figure, other in zip(xm.black76(*inputs, "put", inverse=True), expected, strict=True):
                np.testing.assert_array_equal(figure, other)
    finally:
        xm.set_simd(before)
        xm.set_num_threads(None)


def test_shapes_are_those_of_numpy() -> None:
    grid = xm.black76(np.full((3, 1), 100.0), [90, 100, 110, 120], 0.5, 0.5, ["call", "put", "call", "put"])
    assert grid.value.shape == grid.rho.shape == (3, 4)
    one = xm.black76(100, 100, 0.5, 0.5)
    assert isinstance(one.value, float) and one.value == grid.value[0, 1]
    assert xm.black76([], [], [], []).value.shape == (0,)
    found = xm.implied_volatility(grid.value, 100, [90, 100, 110, 120], 0.5, ["call", "put", "call", "put"])
    assert found.status.shape == (3, 4) and np.all(found.status == "ok")
    np.testing.assert_allclose(found.volatility, 0.5, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forward": 0}, "options, column 'forward', row 0: 0 is not > 0"),
        ({"strike": [1, -1]}, "options, column 'strike', row 1: -1 is not > 0"),
        ({"volatility": math.nan}, "options, column 'volatility', row 0: NaN is not a finite number"),
        ({"expiry_years": -1}, "options, column 'expiry_years', row 0: -1 is not >= 0"),
        ({"rate": math.inf}, "options, column 'rate', row 0: inf is not a finite number"),
        ({"strike": [None]}, "options, column 'strike', row 0: NaN is not a finite number"),
        ({"right": "cal"}, "right: cal is neither 'call' nor 'put'"),
        ({"right": True}, "right: 'call' or 'put' is needed, not bool"),
        (
            {"volatility": 0.01, "strike": 1e-307, "forward": 1e-307},
            "options, row 0: a figure is beyond the range of f64",
        ),
    ],
)
def test_bad_numbers(change: dict[str, Any], message: str) -> None:
    given = {"forward": 100, "strike": 90, "volatility": 0.5, "expiry_years": 0.5, **change}
    with pytest.raises(xm.InputError) as error:
        xm.black76(**given)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strike": ["a"]}, "options, column 'strike': numbers are needed (could not"),
        ({"strike": ["1"]}, "options, column 'strike': numbers are needed, not <U1"),
        ({"strike": [object()]}, "options, column 'strike': numbers are needed"),
        ({"strike": [[1], [2, 3]]}, "options, column 'strike': numbers are needed"),
        ({"strike": np.ma.masked_invalid([1.0])}, "options, column 'strike': masked arrays are not accepted"),
        ({"strike": [1, 2], "rate": [1, 2, 3]}, "options: shapes that do not go together: strike (2,), rate (3,)"),
    ],
)
def test_bad_columns(change: dict[str, Any], message: str) -> None:
    given = {"forward": 100, "strike": 90, "volatility": 0.5, "expiry_years": 0.5, **change}
    with pytest.raises(xm.ColumnError) as error:
        xm.black76(**given)
    assert str(error.value).startswith(message)


def test_a_status_says_why() -> None:
    price = [5.0, 5.0, 100.0, 5.0, math.nan, 0.0, 5.0]
    right = ["call", "put", "call", "call", "call", "call", "call"]
    years = [0.5, 0.5, 0.5, 0.0, 0.5, 0.5, 0.5]
    forward = [100, 100, 100, 100, 100, 100, -100]
    found = xm.implied_volatility(price, forward, 110, years, right)
    assert found.status.tolist() == [
        "ok",
        "below_intrinsic",
        "above_bound",
        "expired",
        "invalid_input",
        "ok",
        "invalid_input",
    ]
    np.testing.assert_array_equal(np.isnan(found.volatility), found.status != "ok")
    assert found.volatility[5] == 0
    with pytest.raises(xm.InputError, match=r"no model 'bachelierr'; did you mean 'bachelier'\?"):
        xm.implied_volatility(1, 1, 1, 1, model="bachelierr")  # type: ignore[arg-type]
    with pytest.raises(xm.InputError, match="inverse"):
        xm.implied_volatility(1, 1, 1, 1, model="bachelier", inverse=True)


@pytest.fixture
def universe() -> xm.Universe:
    return xm.Universe.from_frames(
        assets={"asset": ["USD"]},
        instruments={
            "instrument": ["BTC-C", "BTC-PERP", "ETH-C"],
            "kind": ["option", "perpetual", "option"],
            "underlying": ["BTC", "BTC", "ETH"],
            "settlement": ["USD"] * 3,
            "expiry": ["2026-01-01", None, "2026-01-01"],
            "strike": [200.0, None, 1.0],
            "right": ["call", None, "put"],
        },
    )


def quotes(**change: Any) -> dict[str, Any]:
    return {
        "underlying": ["BTC"] * 4,
        "expiry": ["2026-01-01", "2026-01-01", "2027-01-01", "2027-01-01"],
        "strike": [100.0, 200.0, 100.0, 200.0],
        "volatility": [0.4, 0.6, 0.4, 0.4],
        **change,
    }


def test_surface(universe: xm.Universe) -> None:
    surface = xm.VolatilitySurface.from_frames(universe, quotes(), time="2025-01-01")
    assert repr(surface) == "VolatilitySurface(1 underlying, 2 expiries, 2025-01-01T00:00:00)"
    assert surface.universe is universe and surface.underlyings == ["BTC"]
    assert surface.time == np.datetime64("2025-01-01")
    one = surface.implied_volatility("BTC", 200, "2026-01-01")
    assert isinstance(one, float) and abs(one - 0.6) < 1e-12
    times = [np.datetime64("2026-01-01"), datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T01:00+01:00"]
    np.testing.assert_allclose(surface.implied_volatility("BTC", 100, times), 0.4, rtol=1e-12)
    grid = surface.implied_volatility("BTC", [[100], [200]], np.array(["2026-01-01", "2027-01-01"], "M8[D]"))
    np.testing.assert_allclose(grid, [[0.4, 0.4], [0.6, 0.4]], rtol=1e-12)
    np.testing.assert_allclose(surface.of_instruments(), [0.6, np.nan, np.nan], rtol=1e-12)
    # At 200 the variance of two years, 0.32, is less than that of one, 0.36.
    found = surface.calendar_arbitrage()
    assert found["underlying"] == ["BTC"] and found["expiry"] == [np.datetime64("2027-01-01")]
    np.testing.assert_allclose((found["strike"][0], found["missing_variance"][0]), (200, 0.04), rtol=1e-12)


def test_surface_of_forwards(universe: xm.Universe) -> None:
    """With forwards it is moneyness that stays from expiry to expiry."""
    forward = [100.0, 100.0, 200.0, 200.0]
    given = quotes(forward=forward, strike=[100.0, 200.0, 200.0, 400.0], volatility=[0.4, 0.6, 0.5, 0.5])
    surface = xm.VolatilitySurface.from_frames(universe, given, time="2025-01-01")
    middle = np.datetime64("2025-01-01T12") + np.timedelta64(547, "D")
    at_the_money = 100 * 2**0.5
    expected = math.sqrt((0.16 + 0.25 * 2) / 2 / 1.5)
    found = surface.implied_volatility("BTC", at_the_money, middle)
    assert abs(found - expected) < 1e-9


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"underlying": ["BTC"] * 3 + ["BTCC"]}, xm.UnknownIdError, "row 3: no underlying 'BTCC'; did you mean 'BTC'"),
        ({"strike": [1, 2, 3, 0]}, xm.InputError, "'strike', row 3: 0 is not > 0"),
        ({"volatility": [0.1, -0.1, 0.1, 0.1]}, xm.InputError, "'volatility', row 1: -0.1 is not >= 0"),
        ({"strike": [100, 100, 100, 100]}, xm.DuplicateError, "'strike', row 1: strike 100 of 'BTC'"),
        ({"expiry": ["2024-01-01"] * 4}, xm.InputError, "'expiry', row 0: it is not after the time of the surface"),
        ({"expiry": ["2026-01-01"] * 3 + [None]}, xm.ColumnError, "'expiry', row 3: null"),
        ({"forward": [1, 2, 3, 3]}, xm.InputError, "'forward', row 1: 2 is more than 1 % from 1, the median"),
        ({"volatilty": [1] * 4}, xm.ColumnError, "unexpected column 'volatilty'; did you mean 'volatility'"),
    ],
)
def test_bad_quotes(universe: xm.Universe, change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        xm.VolatilitySurface.from_frames(universe, quotes(**change), time="2025-01-01")
    assert str(raised.value).startswith("volatility surface") and message in str(raised.value)


def test_bad_questions(universe: xm.Universe) -> None:
    surface = xm.VolatilitySurface.from_frames(universe, quotes(), time="2025-01-01")
    with pytest.raises(xm.UnknownIdError, match="no quotes of 'ETH'; known: 'BTC'"):
        surface.implied_volatility("ETH", 1, "2026-01-01")
    with pytest.raises(xm.InputError, match="'strike': -1 is not > 0"):
        surface.implied_volatility("BTC", -1, "2026-01-01")
    with pytest.raises(xm.InputError, match="'expiry': it is not after"):
        surface.implied_volatility("BTC", 1, "2025-01-01")
    with pytest.raises(xm.ColumnError, match="volatility surface, column 'strike': numbers are needed"):
        surface.implied_volatility("BTC", "x", "2026-01-01")
    with pytest.raises(xm.InputError, match="'x' is not a time"):
        surface.implied_volatility("BTC", 1, "x")
    with pytest.raises(xm.ColumnError, match="shapes that do not go together"):
        surface.implied_volatility("BTC", [1, 2], ["2026-01-01"] * 3)
    with pytest.raises(xm.InputError, match="volatility surface, column 'time': not a time"):
        xm.VolatilitySurface.from_frames(universe, quotes(), time=np.datetime64("NaT"))
    with pytest.raises(TypeError, match="from_frames"):
        xm.VolatilitySurface()
