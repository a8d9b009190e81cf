"""A model remembers which scenarios decided for each account of its last book; no bit of a report depends on it.

It does from the second evaluation on, of quantiles up to the seventh largest loss and of the worst of many scenarios,
of up to 512, where all underlyings move together and nothing is charged beside.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import numpy as np
import pytest

import xmfast as xm
from building import SIMD_PATHS, settings
from portfolio_building import bare, build, model_of, risk_columns_of
from portfolio_venues import PortfolioVenue, random_portfolio_venue
from reference_history import HistoryRules
from test_kept_tables import SMALL, attempted, market_of, moved


def _same(found: Any, expected: Any) -> None:
    """Assert that two reports, or two errors, are the same bit for bit."""
    if isinstance(expected, str):
        assert found == expected
        return
    expected = risk_columns_of(expected)
    for name, column in risk_columns_of(found).items():
        np.testing.assert_array_equal(column, expected[name], err_msg=name)
        assert column.tobytes() == expected[name].tobytes(), name


def _plain(seed: int, measure: str) -> PortfolioVenue:
    """Return a venue with options and inverse contracts whose requirement is one set's quantile or worst loss."""
    priced = bare(random_portfolio_venue(seed, "history", accounts=300, assets=3, instruments=8, mean_positions=4.0))
    # Of 220 losses the seventh largest, or the largest.
    confidence = 0.999 if measure == "worst" else 0.97
    plain: dict[str, Any] = {"stressed_returns": None, "holding_period": 1, "measure": "var"}
    assert isinstance(priced.terms, HistoryRules)
    random = np.random.default_rng(seed)
    returns = {name: random.standard_t(4, 220) * 0.02 for name in priced.terms.returns}
    returns = {name: np.clip(column, -0.5, 0.5).tolist() for name, column in returns.items()}
    return priced.with_terms(returns=returns, confidence=confidence, **plain)


@pytest.mark.parametrize("measure", ["var", "worst"])
@pytest.mark.parametrize("seed", range(10))
def test_a_book_that_is_evaluated_again_has_the_figures_of_a_new_model(seed: int, measure: str) -> None:
    """Prices, volatilities and the time move by little or much; some return to where they were."""
    random = Random(seed)
    now = start = _plain(seed, measure)
    model, book, market = build(now)
    for step in range(25):
        now = moved(start if random.random() < 0.3 else now, random, SMALL) if step > 1 else start
        now_market = market_of(market, now)
        fresh = model_of(model.universe, now.venue.collateral, now.terms)
        with settings(threads=1 + step % 3, simd=SIMD_PATHS[step % len(SIMD_PATHS)]):
            found = attempted(model.evaluate, book, now_market)
        _same(found, attempted(fresh.evaluate, book, now_market))


def _universe(*, negative: bool) -> xm.Universe:
    coins = [f"C{at}" for at in range(12)]
    return xm.Universe.from_frames(
        {"asset": ["USD"]},
        {
            "instrument": [f"{coin}-F" for coin in coins],
            "kind": ["perpetual"] * 12,
            "underlying": coins,
            "settlement": ["USD"] * 12,
            "allow_negative_price": [negative] * 12,
        },
    )


def _book(universe: xm.Universe, accounts: int) -> xm.Book:
    random = np.random.default_rng(2)
    instruments = list(universe.instruments)
    names = np.array([random.permutation(instruments)[:4] for _ in range(accounts)]).ravel()
    positions = {
        "account": np.repeat(np.arange(accounts), 4),
        "instrument": names,
        "quantity": random.normal(0.2, 1.0, 4 * accounts),
        "entry_price": np.full(4 * accounts, 100.0),
    }
    balances = {"account": np.arange(accounts), "asset": ["USD"] * accounts, "balance": np.full(accounts, 50.0)}
    return xm.Book.from_frames(universe, balances, positions)


def _walk(sizes: list[float], steps: int) -> Iterator[np.ndarray]:
    """Yield mark prices: each step of a size, and now and then the first ones again."""
    random = np.random.default_rng(3)
    first = marks = np.full(12, 100.0)
    for size in sizes:
        for step in range(steps):
            marks = first if step == steps // 2 else marks * np.exp(size * random.standard_normal(12))
            yield marks


def _var(universe: xm.Universe) -> xm.HistoricalVaR:
    random = np.random.default_rng(1)
    market = random.standard_t(4, 500) * 0.02
    coins = list(universe.underlyings)
    returns = {coin: np.clip(market + random.normal(0.0, 0.02, 500), -0.6, 0.6) for coin in coins}
    return xm.HistoricalVaR(universe, returns=returns, confidence=0.99)


def test_small_moves_and_large_ones() -> None:
    universe = _universe(negative=False)
    # More than two blocks.
    book, model = _book(universe, 9_000), _var(universe)
    instruments = list(universe.instruments)
    worst = set()
    for marks in _walk([0.0, 1e-5, 1e-4, 1e-3, 0.05], 6):
        market = xm.Market(universe, mark_price=dict(zip(instruments, marks.tolist(), strict=True)))
        report = model.evaluate(book, market)
        _same(report, _var(universe).evaluate(book, market))
        worst.update(report.worst_scenario.tolist())
    assert len(worst) > 20


def test_prices_that_change_their_sign() -> None:
    """All losses of a contract then do: their largest size alone would say that nothing has moved."""
    universe = _universe(negative=True)
    book, instruments = _book(universe, 500), list(universe.instruments)
    random = np.random.default_rng(5)
    shocks = {coin: random.normal(0.0, 0.1, 200) for coin in list(universe.underlyings)}

    def model() -> xm.PortfolioMargin:
        return xm.PortfolioMargin(universe, scenarios=xm.Scenarios.joint(shocks))

    used = model()
    for sign in (1.0, 1.0, 1.0, -1.0, 1.0, -1.0):
        marks = dict.fromkeys(instruments, 100.0) | {name: 100.0 * sign for name in instruments[::2]}
        market = xm.Market(universe, mark_price=marks)
        _same(used.evaluate(book, market), model().evaluate(book, market))


def test_books_that_take_turns() -> None:
    universe = _universe(negative=False)
    one, other = _book(universe, 300), _book(universe, 200)
    market = xm.Market(universe, mark_price=dict.fromkeys(universe.instruments, 100.0))
    expected = {id(book): _var(universe).evaluate(book, market) for book in (one, other)}
    model = _var(universe)
    for book in (one, one, other, one, one, one, other, other, other, one):
        _same(model.evaluate(book, market), expected[id(book)])


def test_two_threads_that_ask_one_model_about_one_book() -> None:
    universe = _universe(negative=False)
    book, model = _book(universe, 9_000), _var(universe)
    marks = [dict.fromkeys(universe.instruments, price) for price in (100.0, 100.001, 101.0)]
    markets = [xm.Market(universe, mark_price=mark) for mark in marks]
    expected = [_var(universe).evaluate(book, market) for market in markets]
    with ThreadPoolExecutor(3) as threads:
        for _ in range(8):
            for report, right in zip(
                threads.map(lambda now: model.evaluate(book, now), markets), expected, strict=True
            ):
                _same(report, right)


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_an_error_in_between(when: str) -> None:
    """A price is missing before an account is looked at, or no float holds a debt; then all is as before."""
    universe = xm.Universe.from_frames(
        {"asset": ["USD", "BTC"]},
        {"instrument": ["A"], "kind": ["perpetual"], "underlying": ["A"], "settlement": ["USD"]},
    )
    balances = {"account": ["a", "b"], "asset": ["BTC", "BTC"], "balance": [-1e300, 1.0]}
    positions = {"account": ["a", "b"], "instrument": ["A"] * 2, "quantity": [2.0, -1.0], "entry_price": [10.0] * 2}
    book = xm.Book.from_frames(universe, balances, positions)
    returns = {"A": np.random.default_rng(4).normal(0.0, 0.05, 100)}

    def market(coin: float) -> xm.Market:
        return xm.Market(universe, index_price={"BTC": coin}, mark_price={"A": 10.0})

    model = xm.HistoricalVaR(universe, returns=returns, confidence=0.97)
    expected = xm.HistoricalVaR(universe, returns=returns, confidence=0.97).evaluate(book, market(1.0))
    bad = xm.Market(universe, index_price={"BTC": 1.0}) if when == "before" else market(1e10)
    for now in (None, None, bad, None, bad, bad, None, None, None):
        if now is None:
            _same(model.evaluate(book, market(1.0)), expected)
        else:
            with pytest.raises(xm.XmfastError, match="mark price" if when == "before" else "account 'a'"):
                model.evaluate(book, now)


def test_prices_so_small_that_their_products_lose_digits() -> None:
    """Then the losses of a contract are not the same multiples of its price any longer."""
    universe = xm.Universe.from_frames(
        {"asset": ["USD"]},
        {
            "instrument": ["A", "B"],
            "kind": ["perpetual"] * 2,
            "underlying": ["A", "B"],
            "settlement": ["USD"] * 2,
            "contract_multiplier": [1.0, 1e300],
        },
    )
    step = 5e-324
    positions = {"account": [0, 0], "instrument": ["A", "B"], "quantity": [494.07, 1e26], "entry_price": [1.0, step]}
    book = xm.Book.from_frames(universe, None, positions)
    a, b = np.full(80, 0.001), np.full(80, 0.001)
    a[[0, 2]], b[[0, 1, 2]] = [100.0, -0.5], [-0.3, -0.2494, -0.2487]
    returns = {"A": a, "B": b}

    def model() -> xm.HistoricalVaR:
        return xm.HistoricalVaR(universe, returns=returns, confidence=0.97)

    used = model()
    for steps in (1000, 1000, 1000, 1001, 1002):
        market = xm.Market(universe, mark_price={"A": 1.0, "B": steps * step})
        _same(used.evaluate(book, market), model().evaluate(book, market))
