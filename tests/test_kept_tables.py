"""A model keeps its last risk tables; nobody can tell, whatever has moved and whoever still reads one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import compress
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xmfast as xm
from portfolio_building import Model, bare, build, model_of, risk_columns_of
from portfolio_venues import KINDS, PortfolioVenue, portfolio_venues, random_portfolio_venue
from reference_portfolio import PortfolioRules

TIMES = ("2026-11-23T12:00:00", "2026-11-23T12:05:00", "2026-11-24T07:45:00", "2026-11-25T00:00:00")
FIGURES = (
    "index_price",
    "mark_price",
    "deposit_index",
    "borrow_index",
    "cumulative_funding",
    "implied_volatility",
    "forward",
    "discount_rate",
    "settlement_average",
)


LARGE = (0.97, 1.0, 1.03, 1.4)
SMALL = (0.97, 0.999, 1.0, 1.00001, 1.0004, 1.02)


def moved(priced: PortfolioVenue, random: Random, by: Sequence[float] = LARGE) -> PortfolioVenue:
    """Return the venue after a few figures of its market have moved; often it is one alone."""
    for name in random.sample(FIGURES, random.choice((0, 1, 1, 2, 9))):
        owner: Any = priced.venue if hasattr(priced.venue, name) else priced
        figures = getattr(owner, name)
        ids = random.sample(sorted(figures), min(len(figures), random.choice((1, 1, 2, 20))))
        figures = figures | {key: figures[key] * random.choice(by) for key in ids}
        changed = replace(owner, **{name: figures})
        priced = changed if owner is priced else replace(priced, venue=changed)
    return replace(priced, time=random.choice(TIMES)) if random.random() < 0.3 else priced


def market_of(market: xm.Market, now: PortfolioVenue) -> xm.Market:
    prices = {name: getattr(now.venue if hasattr(now.venue, name) else now, name) for name in FIGURES}
    return market.with_prices(time=now.time, **prices)


def attempted(what: Callable[..., Any], *inputs: Any) -> Any:
    """Return what comes of it, or what was wrong."""
    try:
        return what(*inputs)
    except xm.XmfastError as error:
        return str(error)


def figures_of(result: Any) -> Any:
    """Return all columns of a report, and what the table says of the account that is worst off."""
    if isinstance(result, xm.RiskArrays):
        return {"losses": result.losses}
    if not isinstance(result, xm.PortfolioReport):
        return result
    figures = risk_columns_of(result)
    for account in result.worst(1).accounts.tolist():
        figures["losses"] = np.array(result.scenario_losses(account).losses)
    return figures


def assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, str):
        assert found == expected
        return
    assert found.keys() == expected.keys()
    for name, column in expected.items():
        assert column.tobytes() == found[name].tobytes(), name


@given(priced=portfolio_venues(), seed=st.integers(0, 2**32))
def test_a_model_that_was_used_before_says_what_a_new_one_says(priced: PortfolioVenue, seed: int) -> None:
    random = Random(seed)
    model, book, market = build(priced)
    positions = priced.venue.positions
    assert positions is not None
    half = {name: cells[::2] for name, cells in positions.items()}
    venue = priced.venue
    # Fewer instruments, fewer positions an account, no orders: another table is needed.
    other = xm.Book.from_frames(model.universe, venue.balances, half, None, venue.accounts)
    seen = [priced]
    held: list[tuple[xm.PortfolioReport, Any]] = []
    for _ in range(6):
        now = moved(random.choice(seen[-2:]), random)
        seen.append(now)
        now_market = market_of(market, now)
        now_book = random.choice((book, book, other))
        fresh = model_of(model.universe, venue.collateral, priced.terms)
        report = attempted(model.evaluate, now_book, now_market)
        found = figures_of(report)
        assert_same(found, figures_of(attempted(fresh.evaluate, now_book, now_market)))
        arrays, expected = (attempted(one.risk_arrays, now_market) for one in (model, fresh))
        assert_same(figures_of(arrays), figures_of(expected))
        if isinstance(report, xm.PortfolioReport):
            assert model.liquidatable(now_book, now_market).tolist() == report.liquidatable.tolist()
            held = [*held, (report, found)][-random.choice((1, 1, 4)) :]
    for report, found in held:
        assert_same(figures_of(report), found)


def held_at_random(priced: PortfolioVenue, random: Random, widest: int) -> dict[str, list[Any]]:
    """Return positions in some of the instruments, and one account with `widest` of them: tables fit each other."""
    venue = priced.venue
    positions, ids = venue.positions, venue.instruments["instrument"]
    assert positions is not None
    some = random.sample(ids, random.choice((widest, 15, 25, len(ids))))
    wide = positions["account"][0]
    rows = list(zip(positions["account"], positions["instrument"], strict=True))
    kept = [account != wide and instrument in some for account, instrument in rows]
    held = {name: list(compress(cells, kept)) for name, cells in positions.items()}
    cells = {"account": wide, "quantity": 0.5, "entry_price": 10.0, "entry_funding": 0.0, "isolated_margin": None}
    for instrument in random.sample(some, widest):
        for name, column in held.items():
            column.append(instrument if name == "instrument" else cells[name])
    return held


def with_many_scenarios(priced: PortfolioVenue, count: int, random: Random) -> PortfolioVenue:
    """Return the venue with so many scenarios that few instruments are a task."""
    if not isinstance(priced.terms, PortfolioRules):
        return priced
    [scenarios] = priced.terms.sets
    drawn = [random.randrange(len(scenarios)) for _ in range(count)]

    def many(shocks: Any) -> Any:
        if isinstance(shocks, dict):
            return {underlying: many(column) for underlying, column in shocks.items()}
        return shocks and [shocks[at] for at in drawn]

    names = ("price_shock", "volatility_shock", "weight")
    return priced.with_terms(sets=(replace(scenarios, **{name: many(getattr(scenarios, name)) for name in names}),))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_rows_of_what_is_held_now_and_then(kind: str, seed: int) -> None:
    """Forty instruments in tasks of eight, of which every book holds others."""
    random = Random(f"{kind} {seed}")
    priced = random_portfolio_venue(seed, kind, accounts=10, assets=4, instruments=40, mean_positions=3.0)
    priced = with_many_scenarios(replace(priced, venue=replace(priced.venue, orders=None)), 1000, random)
    model, _, market = build(priced)
    venue, books = priced.venue, []
    for _ in range(3):
        held = held_at_random(priced, random, widest=10)
        books.append(xm.Book.from_frames(model.universe, venue.balances, held, None, venue.accounts))
    seen = [priced]
    for _ in range(10):
        now = moved(random.choice(seen[-2:]), random)
        seen.append(now)
        now_market, book = market_of(market, now), random.choice(books)
        fresh = model_of(model.universe, venue.collateral, priced.terms)
        found, expected = (attempted(one.evaluate, book, now_market) for one in (model, fresh))
        assert_same(figures_of(found), figures_of(expected))


def test_funding_alone_moves_what_a_contract_in_a_moving_asset_is_worth() -> None:
    universe = xm.Universe.from_frames(
        {"asset": ["USD", "BTC"]},
        {
            "instrument": ["BTC-PERP"],
            "kind": ["perpetual"],
            "underlying": ["BTC"],
            "settlement": ["BTC"],
            "inverse": [True],
        },
    )
    positions = {"account": ["a"], "instrument": ["BTC-PERP"], "quantity": [100.0], "entry_price": [50.0]}
    book = xm.Book.from_frames(universe, {"account": ["a"], "asset": ["BTC"], "balance": [10.0]}, positions)
    market = xm.Market(universe, {"BTC": 50.0}, {"BTC-PERP": 50.0})

    def model() -> xm.PortfolioMargin:
        return xm.PortfolioMargin(universe, scenarios=xm.Scenarios(price_shock=[-0.2, 0.2]), in_scenario=["BTC"])

    used = model()
    before = used.evaluate(book, market).scan_risk[0]
    paid = market.with_prices(cumulative_funding={"BTC-PERP": 0.01})
    after = used.evaluate(book, paid).scan_risk[0]
    assert after == model().evaluate(book, paid).scan_risk[0]
    assert after < before


def untiered(collateral: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the first tier of every asset, in which gains count in full."""
    first = [floor == 0.0 for floor in collateral.get("amount_floor", [0.0] * len(collateral["asset"]))]
    plain = {name: list(compress(cells, first)) for name, cells in collateral.items()}
    return {name: cells for name, cells in plain.items() if name != "unrealized_gain_share"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(12))
def test_flags_of_a_book_that_is_asked_about_again(kind: str, seed: int) -> None:
    """From the second call on they come from how far from the edge accounts were, as far as that says enough."""
    random = Random(seed)
    priced = random_portfolio_venue(seed, kind, accounts=400, assets=3, instruments=8, mean_positions=3.0)
    collateral: Any = priced.venue.collateral
    priced = replace(priced, venue=replace(priced.venue, collateral=untiered(collateral)))
    now = start = bare(priced)
    model, book, market = build(now)
    fresh = model_of(model.universe, now.venue.collateral, now.terms)
    fell = 0
    last: Any = None
    for step in range(30):
        # Now and then back to where it was; the first two calls make the reserves.
        now = moved(start if random.random() < 0.3 else now, random, SMALL) if step > 1 else start
        now_market = market_of(market, now)
        expected = attempted(lambda at: fresh.evaluate(book, at).liquidatable.tolist(), now_market)
        assert attempted(lambda at: model.liquidatable(book, at).tolist(), now_market) == expected
        fell += last is not None and expected != last
        last = expected
    assert fell > 0


HELD = {"deposit": (1.0, "ETH-USD"), "loan": (-1.0, "ETH-USD"), "netted": (1.0, "ETH-BTC"), "owed": (-1.0, "ETH-BTC")}


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("stressed", [None, [0.0, 0.5]])
@pytest.mark.parametrize("moving", ["BTC", "ETH", "mark"])
def test_flags_of_accounts_all_along_the_edge(held: str, stressed: list[float] | None, moving: str) -> None:
    """One asset apart from positions or netted with them, owned or owed; one set or two, either may be the worse."""
    universe = xm.Universe.from_frames(
        {"asset": ["USD", "BTC"]},
        {
            "instrument": ["ETH-USD", "ETH-BTC"],
            "kind": ["perpetual"] * 2,
            "underlying": ["ETH"] * 2,
            "settlement": ["USD", "BTC"],
        },
    )
    coins, instrument = HELD[held]
    accounts = np.arange(401)
    balances = {
        "account": np.repeat(accounts, 2),
        "asset": ["USD", "BTC"] * 401,
        "balance": np.column_stack((-coins * 100.0 + 0.3 * (accounts - 200), np.full(401, coins))).ravel(),
    }
    positions = {
        "account": accounts,
        "instrument": [instrument] * 401,
        "quantity": np.full(401, 1.0 if instrument == "ETH-USD" else 0.1),
        "entry_price": np.full(401, 10.0),
    }
    book = xm.Book.from_frames(universe, balances, positions)
    haircut, liability = [0.0, 0.1], [1.0, 1.1]
    weights = {
        "asset": ["USD", "BTC"],
        "initial_haircut": haircut,
        "maintenance_haircut": haircut,
        "initial_liability_weight": liability,
        "maintenance_liability_weight": liability,
    }
    stress = None if stressed is None else {"ETH": stressed}
    model, fresh = (
        xm.HistoricalVaR(universe, weights, returns={"ETH": [-0.1, 0.2]}, stressed_returns=stress) for _ in range(2)
    )
    seen = set()
    for step in (0, 0, 1, 2, -1, -5, 10, -20, 20, 3, 0):
        by = {name: 1.0 + 0.01 * step * (name == moving) for name in ("BTC", "ETH", "mark")}
        index = {"BTC": 100.0 * by["BTC"], "ETH": 10.0 * by["ETH"]}
        mark = 10.0 * by["mark"]
        now = xm.Market(universe, index_price=index, mark_price={"ETH-USD": mark, "ETH-BTC": mark})
        expected = fresh.evaluate(book, now).liquidatable
        np.testing.assert_array_equal(model.liquidatable(book, now), expected)
        seen.add(int(expected.sum()))
    assert all(0 < count < 401 for count in seen)
    assert len(seen) > 5 or moving == "ETH"


def test_figures_that_no_float_holds_are_an_error_every_time() -> None:
    universe = xm.Universe.from_frames(
        {"asset": ["USD", "BTC"]},
        {"instrument": ["A"], "kind": ["perpetual"], "underlying": ["A"], "settlement": ["USD"]},
    )
    collateral = {
        "asset": ["USD", "BTC"],
        "initial_haircut": [0.0, 0.0],
        "maintenance_haircut": [0.0, 0.0],
        "initial_liability_weight": [1.0, 1000.0],
        "maintenance_liability_weight": [1.0, 1.0],
    }
    positions = {"account": ["b"], "instrument": ["A"], "quantity": [1.0], "entry_price": [10.0]}

    def market(price: float) -> xm.Market:
        return xm.Market(universe, index_price={"BTC": price}, mark_price={"A": 10.0})

    for owed, prices, fails in (
        (-1e306, (10.0,) * 6, (True,) * 6),
        (-1.7e305, (1.0, 1.0, 1.0, 1.02, 1.1, 1.0), (False, False, False, False, True, False)),
    ):
        book = xm.Book.from_frames(universe, {"account": ["a"], "asset": ["BTC"], "balance": [owed]}, positions)
        model = xm.PortfolioMargin(universe, collateral, scenarios=xm.Scenarios([-0.1, 0.1]))
        for price, fail in zip(prices, fails, strict=True):
            if fail:
                with pytest.raises(xm.RangeError):
                    model.evaluate(book, market(price))
                with pytest.raises(xm.RangeError):
                    model.liquidatable(book, market(price))
            else:
                assert model.liquidatable(book, market(price)).tolist() == [True, True]


def test_risk_arrays_are_views_that_stay_what_they_are() -> None:
    universe = xm.Universe.from_frames(
        {"asset": ["USD", "BTC"]},
        {"instrument": ["A", "B"], "kind": ["perpetual"] * 2, "underlying": ["BTC"] * 2, "settlement": ["USD"] * 2},
    )
    moves = xm.Scenarios(price_shock=[-0.1, 0.2])
    market = xm.Market(universe, index_price={"BTC": 100.0}, mark_price={"A": 100.0, "B": 50.0})
    markets = [market.with_prices(mark_price={"A": 100.0 + step, "B": 50.0}) for step in range(6)]
    # The view of all rows, a copy of rows that do not follow one another, two sets side by side.
    plain = xm.PortfolioMargin(universe, scenarios=moves)
    moving = xm.PortfolioMargin(universe, scenarios=moves, in_scenario=["BTC"])
    returns = {"BTC": [-0.1, 0.2]}
    pair = xm.HistoricalVaR(universe, returns=returns, stressed_returns=returns)
    for model, sets in ((plain, 1), (moving, 1), (pair, 2)):
        held = [model.risk_arrays(market) for market in markets]
        for step, arrays in enumerate(held):
            assert arrays["A"].tolist() == pytest.approx([0.1 * (100 + step), -0.2 * (100 + step)] * sets)
            assert arrays["B"].tolist() == pytest.approx([5.0, -10.0] * sets)
            with pytest.raises(ValueError, match="read-only"):
                arrays.losses[0, 0] = 1.0
            if model is plain:
                with pytest.raises(ValueError, match="WRITEABLE"):
                    arrays.losses.flags.writeable = True
    only_b = plain.risk_arrays(xm.Market(universe, index_price={"BTC": 100.0}, mark_price={"B": 50.0}))
    assert (only_b.instruments, only_b.losses.tolist()) == (["B"], [pytest.approx([5.0, -10.0])])


def test_threads_may_share_a_model() -> None:
    universe = xm.Universe.from_frames(
        {"asset": ["USD"]},
        {"instrument": ["A", "B"], "kind": ["perpetual"] * 2, "underlying": ["A", "B"], "settlement": ["USD"] * 2},
    )
    rng = np.random.default_rng(7)
    positions = {
        "account": np.repeat(np.arange(500), 2),
        "instrument": ["A", "B"] * 500,
        "quantity": rng.normal(size=1000),
        "entry_price": np.full(1000, 10.0),
    }
    book = xm.Book.from_frames(universe, positions=positions)
    markets = [xm.Market(universe, mark_price={"A": 10.0 + step % 3, "B": 8.0 + step % 5}) for step in range(15)]

    def model() -> Model:
        return xm.PortfolioMargin(universe, scenarios=xm.Scenarios(rng_shocks))

    rng_shocks = np.linspace(-0.3, 0.3, 61)
    expected = [risk_columns_of(model().evaluate(book, market)) for market in markets]
    shared = model()
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda step: risk_columns_of(shared.evaluate(book, markets[step % 15])), range(600))
        for step, columns in enumerate(found):
            assert_same(columns, expected[step % 15])


@pytest.mark.parametrize("holding", [0, 1, 5])
def test_a_report_keeps_its_own_losses(holding: int) -> None:
    universe = xm.Universe.from_frames(
        {"asset": ["USD"]},
        {"instrument": ["A"], "kind": ["perpetual"], "underlying": ["A"], "settlement": ["USD"]},
    )
    position = {"account": ["a"], "instrument": ["A"], "quantity": [1.0], "entry_price": [10.0]}
    book = xm.Book.from_frames(universe, positions=position)
    model = xm.PortfolioMargin(universe, scenarios=xm.Scenarios([-0.1, 0.1]))
    reports = []
    for price in range(10, 20):
        reports.append(model.evaluate(book, xm.Market(universe, mark_price={"A": float(price)})))
        reports = reports[-holding:] if holding else []
        for report, mark in zip(reversed(reports), range(price, 0, -1), strict=False):
            assert report.scenario_losses("a").losses[0].tolist() == pytest.approx([0.1 * mark, -0.1 * mark])
