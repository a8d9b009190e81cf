"""Margin by history: quantiles and tail means of what portfolios would have lost, against plain NumPy."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xmfast as xm
from portfolio_building import assert_is_right, build, report_of
from portfolio_venues import PortfolioVenue, portfolio_venues, random_portfolio_venue
from reference_history import HistoryRules, held, rescaled

COINS = ("BTC", "ETH", "SOL")
MARKS = {"BTC": 50_000.0, "ETH": 2_000.0, "SOL": 100.0}


def universe() -> xm.Universe:
    return xm.Universe.from_frames(
        {"asset": ["USD"]},
        {
            "instrument": [f"{coin}-PERP" for coin in COINS],
            "kind": ["perpetual"] * 3,
            "underlying": list(COINS),
            "settlement": ["USD"] * 3,
        },
    )


def history(periods: int, seed: int = 7) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    market = rng.standard_t(4, periods) * 0.02
    return {coin: np.maximum(-0.9, market + rng.normal(0, 0.01, periods)) for coin in COINS}


def required(returns: dict[str, Any], quantity: dict[str, float], **options: Any) -> Any:
    """Return the requirement of one account and its worst scenario."""
    names = universe()
    positions = {
        "account": ["it"] * len(quantity),
        "instrument": [f"{coin}-PERP" for coin in quantity],
        "quantity": list(quantity.values()),
        "entry_price": [1.0] * len(quantity),
    }
    market = xm.Market(names, mark_price={f"{coin}-PERP": price for coin, price in MARKS.items()})
    model = xm.HistoricalVaR(names, returns=returns, **options)
    report = model.evaluate(xm.Book.from_frames(names, None, positions), market)
    assert report.maintenance_margin[0] == report.scan_risk[0]
    return float(report.scan_risk[0]), int(report.worst_scenario[0])


def losses_of(returns: dict[str, Any], quantity: dict[str, float]) -> Any:
    return -sum(size * MARKS[coin] * np.asarray(returns[coin]) for coin, size in quantity.items())


PORTFOLIOS = ({"BTC": 1.0}, {"BTC": -2.5}, {"BTC": 0.3, "ETH": 8.0, "SOL": 90.0}, {"BTC": 1.0, "ETH": -25.0})


# Also counts that are not a multiple of anything, and such that count x confidence is whole but for rounding.
@pytest.mark.parametrize("periods", [1, 2, 3, 99, 100, 101, 250, 500, 1000, 1777])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99, 0.995, 0.999])
def test_quantile_is_that_loss_below_which_so_many_lie(periods: int, confidence: float) -> None:
    returns = history(periods)
    rank = math.ceil(round(periods * confidence, 6))
    for quantity in PORTFOLIOS:
        losses = np.sort(losses_of(returns, quantity))
        value_at_risk, worst = required(returns, quantity, confidence=confidence)
        assert value_at_risk == pytest.approx(max(0.0, losses[rank - 1]), rel=1e-12)
        if value_at_risk > 0:
            assert losses_of(returns, quantity)[worst] == pytest.approx(losses[-1], rel=1e-12)
        shortfall, _ = required(returns, quantity, confidence=confidence, measure="es")
        assert shortfall == pytest.approx(max(0.0, losses[rank - 1 :].mean()), rel=1e-12)


def test_ranks_by_hand() -> None:
    """A hundred losses from 1 to 100: the 99th smallest at 99 %, and the mean of it and the larger one."""
    returns = {"BTC": -np.random.default_rng(1).permutation(np.arange(1, 101)) / 1000}
    one = {"BTC": 1 / 50.0}
    assert required(returns, one)[0] == pytest.approx(99.0)
    assert required(returns, one, measure="es")[0] == pytest.approx(99.5)
    assert required(returns, one, confidence=0.95)[0] == pytest.approx(95.0)
    assert required(returns, one, confidence=0.951)[0] == pytest.approx(96.0)
    assert required(returns, one, confidence=0.999)[0] == pytest.approx(100.0)
    # The short side gains in all of them.
    assert required(returns, {"BTC": -1.0}) == (0.0, -1)


def test_equal_losses() -> None:
    """Ties around the quantile, which a selection might lose."""
    for count in (5, 64, 500, 1000):
        returns = {"BTC": np.full(count, -0.02)}
        for measure in ("var", "es"):
            assert required(returns, {"BTC": 1.0}, measure=measure) == (pytest.approx(1000.0), 0)
        few = np.zeros(count)
        few[-1] = -0.5
        assert required({"BTC": few}, {"BTC": 1.0}, confidence=0.5) == (0.0, -1)
        assert required({"BTC": few}, {"BTC": 1.0}, confidence=1 - 1e-6) == (pytest.approx(25_000.0), count - 1)


@pytest.mark.parametrize("order", ["rising", "falling", "shuffled", "alternating"])
def test_the_order_of_dates_matters_to_no_bit(order: str) -> None:
    """A running threshold meets losses that rise all along, fall all along, and neither."""
    base = np.sort(history(700)["BTC"])
    rng = np.random.default_rng(3)
    arranged = {
        "rising": base,
        "falling": base[::-1],
        "shuffled": rng.permutation(base),
        "alternating": np.stack([base[:350], base[:349:-1]], axis=1).ravel(),
    }[order]
    for measure in ("var", "es"):
        for confidence in (0.6, 0.99):
            options: dict[str, Any] = {"confidence": confidence, "measure": measure}
            found, right = (required({"BTC": days}, {"BTC": 3.0}, **options) for days in (arranged, base))
            assert found[0] == right[0]


def test_many_accounts_and_scenarios() -> None:
    """More accounts than a block, more scenarios than a tile, against NumPy alone."""
    rng = np.random.default_rng(11)
    returns = history(2_500)
    accounts = 5_000
    quantities = rng.normal(0, 1, (accounts, 3)) * [1.0, 25.0, 500.0]
    names = universe()
    positions = {
        "account": np.repeat(np.arange(accounts), 3),
        "instrument": [f"{coin}-PERP" for coin in COINS] * accounts,
        "quantity": quantities.ravel(),
        "entry_price": np.ones(3 * accounts),
    }
    book = xm.Book.from_frames(names, None, positions)
    market = xm.Market(names, mark_price={f"{coin}-PERP": price for coin, price in MARKS.items()})
    losses = np.sort(-(quantities * list(MARKS.values())) @ np.stack([returns[coin] for coin in COINS]), axis=1)
    scale = np.abs(quantities * list(MARKS.values())).sum(axis=1)
    rank = math.ceil(2_500 * 0.99)
    for measure, right in (("var", losses[:, rank - 1]), ("es", losses[:, rank - 1 :].mean(axis=1))):
        found = xm.HistoricalVaR(names, returns=returns, measure=measure).evaluate(book, market).scan_risk  # type: ignore[arg-type]
        assert (np.abs(found - right) <= 1e-13 * scale).all()


@given(priced=portfolio_venues("history"), data=st.data())
def test_quantile_rises_with_confidence_and_is_no_more_than_the_tail(
    priced: PortfolioVenue, data: st.DataObject
) -> None:
    low, high = sorted(data.draw(st.tuples(*[st.floats(0.01, 0.999)] * 2)))
    assert isinstance(priced.terms, HistoryRules)
    priced = priced.with_terms(short_option_minimum=0.0, margin_floor=0.0)

    def scanned(measure: str, confidence: float) -> Any:
        return report_of(priced.with_terms(measure=measure, confidence=confidence)).scan_risk

    below, above, tail = scanned("var", low), scanned("var", high), scanned("es", high)
    assert (below <= above).all() and (above <= tail * (1 + 1e-12)).all()
    worst = scanned("var", 1 - 1e-7)
    assert (tail <= worst * (1 + 1e-12)).all()
    np.testing.assert_array_equal(worst, scanned("es", 1 - 1e-7))


@given(priced=portfolio_venues("history"))
def test_a_stressed_history_never_lowers_the_requirement(priced: PortfolioVenue) -> None:
    assert isinstance(priced.terms, HistoryRules)
    stressed = priced.terms.stressed_returns or {name: column[:15] for name, column in priced.terms.returns.items()}
    recent = report_of(priced.with_terms(stressed_returns=None))
    alone = report_of(priced.with_terms(returns=stressed, stressed_returns=None))
    both = report_of(priced.with_terms(stressed_returns=stressed))
    np.testing.assert_array_equal(both.scan_risk, np.maximum(recent.scan_risk, alone.scan_risk))
    larger = np.maximum(recent.maintenance_margin, alone.maintenance_margin)
    # The scan risk and what a minimum adds to it are rounded one by one.
    np.testing.assert_allclose(both.maintenance_margin, larger, rtol=1e-14)
    # The worst scenario is counted through both: the stressed ones come after the recent ones.
    first = len(priced.with_terms(stressed_returns=None).rules.sets[0])
    chosen = np.where(recent.scan_risk >= alone.scan_risk, recent.worst_scenario, alone.worst_scenario + first)
    clear = (both.scan_risk > 0) & (recent.scan_risk != alone.scan_risk)
    np.testing.assert_array_equal(both.worst_scenario[clear], chosen[clear])


def test_holding_periods_overlap_and_compound() -> None:
    returns = history(60)
    for periods in (2, 5, 59, 60):
        moved = {coin: held(np.asarray(column), periods) for coin, column in returns.items()}
        assert len(moved["BTC"]) == 60 - periods + 1
        for quantity in PORTFOLIOS:
            for measure in ("var", "es"):
                options: dict[str, Any] = {"confidence": 0.9, "measure": measure}
                right = required(moved, quantity, **options)
                assert required(returns, quantity, holding_period=periods, **options) == pytest.approx(right, rel=1e-12)
    # Twice -10 % is -19 %.
    assert required({"BTC": [-0.1, -0.1]}, {"BTC": 1.0}, holding_period=2)[0] == pytest.approx(0.19 * 50_000)


def test_filter_rescales_to_the_volatility_of_today() -> None:
    returns = history(300)
    for smoothing in (0.94, 0.99, 0.5):
        scaled = {coin: rescaled(np.asarray(column), smoothing) for coin, column in returns.items()}
        for quantity in PORTFOLIOS:
            found = required(returns, quantity, filtered=True, ewma_lambda=smoothing)
            assert found == pytest.approx(required(scaled, quantity), rel=1e-10)


def test_filter_by_hand() -> None:
    """Variance starts at the mean of squares, 0.00025, and forgets by half."""
    returns = np.array([-0.01, 0.02])
    before = [0.00025, 0.5 * 0.00025 + 0.5 * 0.0001]
    now = 0.5 * before[1] + 0.5 * 0.0004
    right = 50_000 * 0.01 * math.sqrt(now / before[0])
    assert required({"BTC": returns}, {"BTC": 1.0}, filtered=True, ewma_lambda=0.5)[0] == pytest.approx(right)
    short = 50_000 * 0.02 * math.sqrt(now / before[1])
    assert required({"BTC": returns}, {"BTC": -1.0}, filtered=True, ewma_lambda=0.5)[0] == pytest.approx(short)


def test_filter_leaves_an_even_history_as_it_was() -> None:
    even = 0.03 * np.where(np.random.default_rng(5).random(200) < 0.5, -1.0, 1.0)
    for quantity in ({"BTC": 1.0}, {"BTC": -1.0}):
        plain, filtered = (required({"BTC": even}, quantity, filtered=filtered) for filtered in (False, True))
        assert filtered == pytest.approx(plain, rel=1e-12)
    assert required({"BTC": np.zeros(50)}, {"BTC": 1.0}, filtered=True) == (0.0, -1)


def test_filter_makes_calm_days_count_more_in_a_storm() -> None:
    """The last twenty days were five times as lively, and today's requirement says so."""
    rng = np.random.default_rng(9)
    returns = np.concatenate([rng.normal(0, 0.01, 480), rng.normal(0, 0.05, 20)])
    plain, filtered = (required({"BTC": returns}, {"BTC": 1.0}, filtered=filtered)[0] for filtered in (False, True))
    assert filtered > 1.5 * plain
    # No filter takes more than all of a price.
    wild = np.concatenate([np.full(200, -1e-3), [-0.9] * 5])
    assert required({"BTC": wild}, {"BTC": 1.0}, filtered=True, confidence=0.5)[0] <= 50_000.0


def test_options_are_revalued_in_full() -> None:
    """Gamma is in the answer: a straddle sold loses both ways, one bought never more than it is worth."""
    names = xm.Universe.from_frames(
        {"asset": ["USD"]},
        {
            "instrument": ["CALL", "PUT"],
            "kind": ["option"] * 2,
            "underlying": ["BTC"] * 2,
            "settlement": ["USD"] * 2,
            "strike": [100.0] * 2,
            "right": ["call", "put"],
            "expiry": ["2026-12-23"] * 2,
        },
    )
    market = xm.Market(
        names,
        {"BTC": 100.0},
        {"CALL": 5.0, "PUT": 5.0},
        "2026-11-23",
        implied_volatility={"CALL": 0.5, "PUT": 0.5},
    )
    worth = 2 * float(xm.black76(100.0, 100.0, 0.5, 30 / 365).value)
    accounts = {"sold": -1.0, "bought": 1.0}
    positions = {
        "account": [account for account in accounts for _ in range(2)],
        "instrument": ["CALL", "PUT"] * 2,
        "quantity": [size for size in accounts.values() for _ in range(2)],
        "entry_price": [5.0] * 4,
    }
    book = xm.Book.from_frames(names, None, positions)
    moves = np.linspace(-0.5, 0.5, 101)
    report = xm.HistoricalVaR(names, returns={"BTC": moves}, confidence=0.999).evaluate(book, market)
    values = sum(xm.black76(100.0 * (1 + moves), 100.0, 0.5, 30 / 365, right).value for right in ("call", "put"))
    assert report.scan_risk[0] == pytest.approx(np.max(values) - worth, rel=1e-12)
    assert report.scan_risk[1] == pytest.approx(worth - np.min(values), rel=1e-9) and report.scan_risk[1] < worth
    # The worst of many moves for a straddle that was bought: nothing happens.
    assert abs(moves[report.worst_scenario[1]]) < 0.03


@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("measure", ["var", "es"])
@pytest.mark.parametrize("holding_period", [1, 3])
def test_every_combination_is_the_reference(filtered: bool, measure: str, holding_period: int) -> None:
    for seed in range(3):
        priced = random_portfolio_venue(seed, "history", accounts=80)
        terms: dict[str, Any] = {"filtered": filtered, "measure": measure, "holding_period": holding_period}
        assert_is_right(priced.with_terms(**terms))


def test_returns_are_read_once() -> None:
    """Changing an array afterwards changes no model."""
    priced = random_portfolio_venue(4, "history", accounts=50)
    assert isinstance(priced.terms, HistoryRules)
    columns = {name: np.array(column) for name, column in priced.terms.returns.items()}
    own = replace(priced.terms, returns=columns, filtered=False, holding_period=1)
    model, book, market = build(replace(priced, terms=own))
    before = model.evaluate(book, market).scan_risk.copy()
    for column in columns.values():
        column *= 3.0
    np.testing.assert_array_equal(model.evaluate(book, market).scan_risk, before)
