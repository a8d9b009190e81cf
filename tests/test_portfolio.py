"""Margin by scenarios: the report equals the reference, and its bits depend on nothing but the numbers put in."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, note

import xmfast as xm
from building import SIMD_PATHS, settings
from portfolio_building import assert_is_right, build, report_of, risk_columns_of
from portfolio_venues import KINDS, PortfolioVenue, portfolio_venues, random_portfolio_venue
from reference_portfolio import CONTINGENCIES, PortfolioRules
from reference_scenarios import ScenarioSet
from strategies import select

THREADS = (1, 2, 7)


def bits_of(report: xm.PortfolioReport) -> dict[str, bytes]:
    isolated = report.isolated
    figures = {name: np.array(getattr(isolated, name)) for name in ("initial_margin", "maintenance_margin", "health")}
    return {name: values.tobytes() for name, values in (risk_columns_of(report) | figures).items()}


def bits_by_account(report: xm.PortfolioReport) -> dict[Any, bytes]:
    columns = np.stack([values.astype(np.float64) for values in risk_columns_of(report).values()], axis=1)
    return {account: row.tobytes() for account, row in zip(report.accounts.tolist(), columns, strict=True)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(16))
def test_random_venues(seed: int, kind: str) -> None:
    assert_is_right(random_portfolio_venue(seed, kind, accounts=150, text_accounts=seed % 2 == 0))


@pytest.mark.parametrize("kind", KINDS)
def test_random_venues_tell_something(kind: str) -> None:
    """Nobody in trouble, or everybody, would prove little; nor would venues in which nothing but the scan counts."""
    charged = dict.fromkeys(CONTINGENCIES, 0)
    options = inverse = 0
    scenarios: set[tuple[int, int]] = set()
    for seed in range(1000, 1010):
        priced = random_portfolio_venue(seed, kind)
        report = assert_is_right(priced)
        for part in (report, report.isolated):
            assert len(part) == 0 or 0.02 < part.liquidatable.mean() < 0.98
        assert 0.2 < (report.scan_risk > 0).mean() < 0.99
        scenarios |= {(seed, number) for number in report.worst_scenario.tolist()}
        for name, values in report.contingencies.items():
            charged[name] += bool(values.any())
        options += priced.venue.instruments["kind"].count("option")
        inverse += sum(priced.venue.instruments["inverse"])
    expected = ("short_option_minimum", "margin_floor") if kind in ("joint", "history") else CONTINGENCIES
    assert all(charged[name] for name in expected) and options > 50 and inverse > 20 and len(scenarios) > 50


@given(priced=portfolio_venues())
def test_small_venues(priced: PortfolioVenue) -> None:
    note(repr(priced))
    assert_is_right(priced)


@pytest.mark.parametrize("kind", ["offsets", "joint"])
@pytest.mark.parametrize("accounts", [1, 2, 4095, 4096, 4097, 8193])
def test_block_boundaries(accounts: int, kind: str) -> None:
    assert_is_right(random_portfolio_venue(accounts, kind, accounts=accounts, mean_positions=2.0))


@pytest.mark.parametrize("kind", ["plain", "offsets", "joint", "history"])
@pytest.mark.parametrize("widest", [17, 65, 129, 600])
def test_wide_accounts(widest: int, kind: str) -> None:
    sizes = {"accounts": 30, "assets": 12, "instruments": 4 * widest, "widest_account": widest}
    assert_is_right(random_portfolio_venue(widest, kind, **sizes))


# Around the lanes of a register and the tiles of the kernel.
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1000])
@pytest.mark.parametrize("joint", [False, True], ids=["by underlying", "joint"])
def test_any_number_of_scenarios(count: int, joint: bool) -> None:
    rng = np.random.default_rng(count)
    priced = random_portfolio_venue(count, "plain", accounts=60)
    names = list(dict.fromkeys(priced.venue.instruments["underlying"]))
    moves = {name: rng.uniform(-0.3, 0.3, count).round(4).tolist() for name in names}
    scenarios = ScenarioSet(price_shock=moves, volatility_shock=rng.uniform(-0.5, 0.5, count).tolist(), joint=joint)
    assert_is_right(replace(priced, terms=PortfolioRules(sets=(scenarios,))))


@pytest.mark.parametrize("legs", range(1, 40))
def test_any_number_of_legs(legs: int) -> None:
    """Every account has the same number of positions, so that one run of the kernel is as long as it may be."""
    sizes = {"accounts": 20, "instruments": max(8, 2 * legs), "mean_positions": 1.0, "widest_account": legs}
    assert_is_right(random_portfolio_venue(legs, "joint", **sizes))


@pytest.mark.parametrize("kind", KINDS)
def test_threads_and_simd_change_no_bit(kind: str) -> None:
    model, book, market = build(random_portfolio_venue(3, kind, accounts=9_000, mean_positions=3.0))
    right = bits_of(model.evaluate(book, market))
    for threads in THREADS:
        for simd in SIMD_PATHS:
            with settings(threads=threads, simd=simd):
                # The book's layout is made on the path, too.
                again = build(random_portfolio_venue(3, kind, accounts=9_000, mean_positions=3.0))
                assert bits_of(model.evaluate(book, market)) == right, (threads, simd)
                assert bits_of(again[0].evaluate(*again[1:])) == right, (threads, simd)
                assert model.risk_arrays(market).losses.tobytes() == again[0].risk_arrays(again[2]).losses.tobytes()


@given(priced=portfolio_venues())
def test_simd_changes_no_bit_of_small_venues(priced: PortfolioVenue) -> None:
    found = []
    for simd in SIMD_PATHS:
        with settings(simd=simd):
            model, book, market = build(priced)
            found.append((bits_of(model.evaluate(book, market)), model.risk_arrays(market).losses.tobytes()))
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_order_of_rows_and_accounts_changes_no_bit(seed: int, kind: str) -> None:
    priced = random_portfolio_venue(seed, kind, accounts=100)
    right, rng = bits_by_account(report_of(priced)), np.random.default_rng(seed)
    shuffled: dict[str, Any] = {}
    for name in ("balances", "positions", "orders"):
        frame = getattr(priced.venue, name)
        shuffled[name] = frame and select(frame, rng.permutation(len(frame["account"])))
    assert bits_by_account(report_of(replace(priced, venue=replace(priced.venue, **shuffled)))) == right


@pytest.mark.parametrize("kind", KINDS)
def test_company_changes_no_bit(kind: str) -> None:
    """An account's figures are the same with all others and alone."""
    priced = random_portfolio_venue(2, kind, accounts=30)
    together = bits_by_account(report_of(priced))
    for account in list(together)[:8]:
        alone: dict[str, Any] = {}
        for name in ("balances", "positions", "orders"):
            frame = getattr(priced.venue, name)
            rows = [row for row, owner in enumerate((frame or {"account": []})["account"]) if owner == account]
            alone[name] = select(frame, rows)
        report = report_of(replace(priced, venue=replace(priced.venue, **alone)))
        assert bits_by_account(report)[account] == together[account]


@pytest.mark.parametrize("kind", KINDS)
def test_evaluating_again_changes_no_bit(kind: str) -> None:
    model, book, market = build(random_portfolio_venue(5, kind, accounts=3_000))
    first = bits_of(model.evaluate(book, market))
    # Another market in between: nothing of it may stay.
    moved = market.with_prices(mark_price={book_name: price * 1.25 for book_name, price in prices(market).items()})
    assert bits_of(model.evaluate(book, moved)) != first
    assert bits_of(model.evaluate(book, market)) == first


def prices(market: xm.Market) -> dict[Any, float]:
    return {
        name: float(price)
        for name, price in zip(market.universe.instruments, market.mark_price, strict=True)
        if price > 0
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_lowest_accounts_keep_their_risk(seed: int, kind: str) -> None:
    report = report_of(random_portfolio_venue(seed, kind, accounts=80))
    lowest = report.worst(7)
    rows = [report.accounts.tolist().index(account) for account in lowest.accounts.tolist()]
    for name, values in risk_columns_of(report).items():
        np.testing.assert_array_equal(risk_columns_of(lowest)[name], values[rows], err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_lines_of_an_explanation_add_up(seed: int, kind: str) -> None:
    report = report_of(random_portfolio_venue(seed, kind, accounts=25))
    for account in report.accounts.tolist():
        why, row = report.explain(account), report[account]
        for name in ("maintenance_margin", "initial_margin", "health", "initial_health", "collateral_value", "equity"):
            parts = sum((getattr(line, name) for line in (*why.lines, why.rounding)), Fraction(0))
            assert parts == Fraction(getattr(row, name)), (account, name)
            # What rounding changed is rounding: the exact figure is that of the losses as published.
            scale = sum(abs(getattr(line, name)) for line in why.lines)
            assert abs(getattr(why.rounding, name)) <= Fraction(scale) / 10**9 + Fraction(1, 10**9)


def test_explained_positions_of_isolated_margin_have_their_own_risk() -> None:
    for seed in range(40):
        report = report_of(random_portfolio_venue(seed, "joint", accounts=25))
        isolated = report.isolated
        for account, instrument, margin in zip(
            isolated.accounts.tolist(), isolated.instruments.tolist(), isolated.maintenance_margin, strict=True
        ):
            why = report.explain(account, instrument)
            assert float(why.total.maintenance_margin) == pytest.approx(margin, rel=1e-12)
        if len(isolated):
            return
    raise AssertionError("no isolated position")


@pytest.mark.parametrize("seed", range(30))
def test_decisions_are_exact_on_the_published_losses(seed: int) -> None:
    """Accounts whose health is exactly 0 are healthy; the last unit decides. Quantities have one digit, losses none."""
    random = Random(seed)
    names = [f"P{number}" for number in range(6)]
    marks = {name: 8.0 * random.randrange(1, 1000) for name in names}
    moves = {name: [random.choice((-0.125, 0.125, 0.25, -0.5)) for _ in range(5)] for name in names}
    universe = xm.Universe.from_frames(
        {"asset": ["USD"]},
        {"instrument": names, "kind": ["perpetual"] * 6, "underlying": names, "settlement": ["USD"] * 6},
    )
    model = xm.PortfolioMargin(universe, scenarios=xm.Scenarios.joint(moves), initial_factor=1.1)
    market = xm.Market(universe, mark_price=marks)
    losses = model.risk_arrays(market)
    rows: list[tuple[str, str, float]] = []
    balances: dict[str, float] = {}
    right: dict[str, int] = {}
    for number in range(60):
        held = {name: random.randrange(-99, 100) / 10 for name in random.sample(names, random.randrange(1, 7))}
        together = [sum(Fraction(str(q)) * int(losses[name][s]) for name, q in held.items()) for s in range(5)]
        requirement = max(Fraction(0), *together)
        for step in (-1, 0, 1):
            id_ = f"{number} {step}"
            balance = float(requirement)
            assert Fraction(str(balance)) == requirement
            balances[id_] = float(np.nextafter(balance, balance + step)) if step else balance
            right[id_] = step
            rows += [(id_, name, quantity) for name, quantity in held.items()]
    book = xm.Book.from_frames(
        universe,
        {"account": list(balances), "asset": ["USD"] * len(balances), "balance": list(balances.values())},
        {
            "account": [row[0] for row in rows],
            "instrument": [row[1] for row in rows],
            "quantity": [row[2] for row in rows],
            "entry_price": [marks[row[1]] for row in rows],
        },
    )
    report = model.evaluate(book, market)
    assert report.exact_decisions >= 60
    for account, step in right.items():
        figures = report[account]
        # Below the requirement by a last unit, or where nothing is required, below nothing.
        assert figures.liquidatable == (step < 0), (account, figures)
        assert (figures.health > 0) == (step > 0) and (figures.health == 0) == (step == 0), (account, figures)


def test_by_hand() -> None:
    """Two underlyings, three scenarios, each figure on paper."""
    universe = xm.Universe.from_frames(
        {"asset": ["USD", "BTC"]},
        {
            "instrument": ["B", "E", "INVERSE"],
            "kind": ["perpetual"] * 3,
            "underlying": ["BTC", "ETH", "BTC"],
            "settlement": ["USD", "USD", "BTC"],
            "contract_multiplier": [1.0, 10.0, 100.0],
            "inverse": [False, False, True],
        },
    )
    book = xm.Book.from_frames(
        universe,
        {"account": ["it"], "asset": ["USD"], "balance": [50_000.0]},
        {
            "account": ["it"] * 3,
            "instrument": ["B", "E", "INVERSE"],
            "quantity": [2.0, -3.0, -40.0],
            "entry_price": [50_000.0, 2_000.0, 50_000.0],
        },
    )
    market = xm.Market(universe, {"BTC": 50_000.0}, {"B": 50_000.0, "E": 2_000.0, "INVERSE": 50_000.0})
    scenarios = xm.Scenarios(price_shock=[-0.2, 0.25, 0.6], weight=[1.0, 1.0, 0.5])

    def scanned(offsets: Any, **options: Any) -> Any:
        model = xm.PortfolioMargin(universe, scenarios=scenarios, offsets=offsets, **options)
        report = model.evaluate(book, market)
        return float(report.scan_risk[0]), int(report.worst_scenario[0])

    # B: 2 x 50,000 x -20 % = -20,000, +25,000, +60,000. INVERSE: -40 x 100 x (1/50,000 - 1/(50,000 (1 + u))) x 50,000 =
    # +1,000, -800, -1,500. Together with B -19,000, +24,200, +58,500. E: -3 x 10 x 2,000 u = +12,000, -15,000, -36,000.
    # The last scenario counts half: +29,250 and -18,000.
    assert scanned("none") == (pytest.approx(19_000 + 18_000), 0)
    assert scanned("full") == (pytest.approx(7_000), 0)
    # A half of the gains: -19,000 + 6,000, -15,000 + 12,100, -18,000 + 14,625.
    assert scanned(0.5) == (pytest.approx(13_000), 0)
    assert scanned(0.5, product_groups={"BTC": 1, "ETH": 2}) == (pytest.approx(37_000), 0)
    assert scanned("full", product_groups={"BTC": "coins", "ETH": "coins"}) == (pytest.approx(7_000), 0)


def test_accounts_without_positions_need_nothing() -> None:
    universe = xm.Universe.from_frames({"asset": ["USD"]})
    book = xm.Book.from_frames(universe, {"account": ["a", "b"], "asset": ["USD", "USD"], "balance": [5.0, -1.0]})
    model = xm.PortfolioMargin(universe, scenarios=xm.Scenarios(price_shock=[-0.1]), margin_floor=100.0)
    report = model.evaluate(book, xm.Market(universe))
    assert report.maintenance_margin.tolist() == [0.0, 0.0] and report.worst_scenario.tolist() == [-1, -1]
    assert report.liquidatable.tolist() == [False, True]


def test_a_position_of_nothing_needs_nothing() -> None:
    """No shock, no price, no volatility: nothing is held."""
    universe = xm.Universe.from_frames(
        {"asset": ["USD"]},
        {"instrument": ["P"], "kind": ["perpetual"], "underlying": ["BTC"], "settlement": ["USD"]},
    )
    positions = {"account": ["a"], "instrument": ["P"], "quantity": [0.0], "entry_price": [1.0]}
    book = xm.Book.from_frames(universe, None, positions)
    model = xm.PortfolioMargin(universe, scenarios=xm.Scenarios(price_shock=[-0.1]), margin_floor=7.0)
    assert model.evaluate(book, xm.Market(universe)).maintenance_margin.tolist() == [0.0]


def test_orders_are_charged_whoever_else_holds_the_instrument() -> None:
    universe = xm.Universe.from_frames(
        {"asset": ["USD"]},
        {
            "instrument": ["P", "Q"],
            "kind": ["perpetual"] * 2,
            "underlying": ["BTC", "ETH"],
            "settlement": ["USD"] * 2,
        },
    )
    market = xm.Market(universe, mark_price={"P": 100.0, "Q": 100.0})
    model = xm.PortfolioMargin(universe, scenarios=xm.Scenarios(price_shock=[-0.1, 0.2]), initial_factor=1.5)
    orders = {"account": ["a"] * 3, "instrument": ["P"] * 3, "quantity": [1.0, 2.0, -2.0], "price": [100.0] * 3}
    for holder in (None, "P", "Q"):
        positions = {"account": ["b"], "instrument": [holder], "quantity": [1.0], "entry_price": [100.0]}
        book = xm.Book.from_frames(universe, None, positions if holder else None, orders)
        report = model.evaluate(book, market)
        # Bids of 3 lose 10 each, asks of 2 lose 20 each.
        assert report["a"].initial_margin == pytest.approx(1.5 * 40.0), holder
        assert report["a"].maintenance_margin == 0.0
    reduce_only = orders | {"reduce_only": [False, False, True]}
    book = xm.Book.from_frames(universe, None, None, reduce_only)
    assert model.evaluate(book, market)["a"].initial_margin == pytest.approx(1.5 * 30.0)


def test_short_options_are_charged_by_product_group() -> None:
    """Each underlying by itself unless groups are stated, the whole account under joint scenarios."""
    universe = xm.Universe.from_frames(
        {"asset": ["USD"]},
        {
            "instrument": ["CALL", "PERP"],
            "kind": ["option", "perpetual"],
            "underlying": ["BTC", "ETH"],
            "settlement": ["USD"] * 2,
            "strike": [1e6, None],
            "right": ["call", None],
            "expiry": ["2026-12-25", None],
        },
    )
    book = xm.Book.from_frames(
        universe,
        None,
        {
            "account": ["a", "a"],
            "instrument": ["CALL", "PERP"],
            "quantity": [-1.0, 1.0],
            "entry_price": [0.0, 100.0],
        },
    )
    market = xm.Market(
        universe, {"BTC": 1000.0}, {"CALL": 0.0, "PERP": 100.0}, "2026-11-23", implied_volatility={"CALL": 0.5}
    )
    moves = {"BTC": [-0.5, 0.5], "ETH": [-0.5, 0.5]}

    def required(scenarios: xm.Scenarios, **options: Any) -> Any:
        model = xm.PortfolioMargin(universe, scenarios=scenarios, short_option_minimum=0.1, **options)
        report = model.evaluate(book, market)
        return float(report.maintenance_margin[0]), float(report.contingencies["short_option_minimum"][0])

    # The call, far out of the money, loses nothing; its minimum is 100. The perpetual loses 50.
    by_underlying = xm.Scenarios(price_shock=moves)
    assert required(by_underlying) == (pytest.approx(150.0), pytest.approx(100.0))
    assert required(by_underlying, offsets="full") == (pytest.approx(100.0), pytest.approx(50.0))
    apart = {"BTC": "a", "ETH": "b"}
    assert required(by_underlying, offsets="full", product_groups=apart) == (pytest.approx(150.0), pytest.approx(100.0))
    together = {"BTC": "a", "ETH": "a"}
    assert required(by_underlying, product_groups=together) == (pytest.approx(100.0), pytest.approx(50.0))
    assert required(xm.Scenarios.joint(moves)) == (pytest.approx(100.0), pytest.approx(50.0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("richer", [1.0, 30.0, 1e4])
def test_flags_alone_of_many_blocks(kind: str, richer: float) -> None:
    """Few accounts left open by the bound, about half, or nearly all: each takes another way."""
    priced = random_portfolio_venue(5, kind, accounts=9_000, mean_positions=2.0)
    assert priced.venue.balances is not None
    balances = priced.venue.balances | {"balance": [richer * abs(cash) for cash in priced.venue.balances["balance"]]}
    model, book, market = build(replace(priced, venue=replace(priced.venue, balances=balances)))
    expected = model.evaluate(book, market).liquidatable
    assert 0 < expected.mean() < 0.9
    for threads in THREADS:
        with settings(threads=threads):
            np.testing.assert_array_equal(model.liquidatable(book, market), expected)
