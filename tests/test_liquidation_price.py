"""Liquidation and bankruptcy prices against exact arithmetic, and against the report just before and just after."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from random import Random
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import given, note

import xmfast as xm
from building import build, settings
from knife_edge import knife_edge_venue
from reference_prices import OpenPosition, open_positions
from rule_venues import RULES, busy_venues, random_rule_venue
from standing import Standing, refused
from strategies import Venue
from test_rules import FRAMES, shuffled

MODES = ("cross", "isolated")
THREADS = (1, 2, 7)
# What is 0 at the price, the function that returns the price, and the flag that it turns.
KINDS: tuple[tuple[str, Callable[..., Any], str], ...] = (
    ("health", xm.liquidation_price, "liquidatable"),
    ("equity", xm.bankruptcy_price, "bankrupt"),
)
kinds = pytest.mark.parametrize(("figure", "price_of", "flag"), KINDS, ids=[kind[0] for kind in KINDS])
modes = pytest.mark.parametrize("mode", MODES)


def mixed_venues(first: int, count: int, mode: str) -> Iterator[Venue]:
    """Return venues of 40 accounts, every other one with all rules."""
    for seed in range(first, first + count):
        rules = RULES if seed % 2 else None
        yield random_rule_venue(seed, mode=mode, rules=rules, accounts=40, instruments=12, mean_positions=3.0)


def as_float(price: Any) -> float | None:
    return None if price is None else float(price)


@modes
def test_every_price_is_the_exact_one_correctly_rounded(mode: str) -> None:
    met: Counter[str] = Counter()
    for venue in mixed_venues(0, 6, mode):
        model, book, market = build(venue)
        for position in open_positions(venue):
            place = (position.account.name, position.instrument)
            for figure, price_of, _ in KINDS:
                expected = position.nearest(figure)
                assert price_of(book, market, model, *place) == as_float(expected), (figure, place)
                met[figure] += expected is not None
                met["none"] += expected is None
            if position.quantity == 0:
                assert xm.liquidation_prices(book, market, model, *place) == []
                continue
            meet(met, position)
            zeros = position.zeros("health")
            found = xm.liquidation_prices(book, market, model, *place)
            met["two prices"] += len(found) == 2
            if all(low == high for low, high in zeros):
                assert found == [float(low) for low, _ in zeros if low is not None], place
            else:
                # Health is 0 over a range of prices: its ends, and the mark if it lies inside.
                met["0 over a range"] += 1
                ends = {as_float(end) for zero in zeros for end in zero} - {None}
                assert ends - {0.0} <= set(found) <= ends | {float(position.mark)}, place
    assert min(met[name] for name in ("health", "equity", "none")) > 150, met
    least = {"inverse": 20, "option": 30, "any price": 10, "below already": 20, "alone": 30, "two prices": 10}
    least |= {"other currency": 40, "in brackets": 50, "in tiers": 80, "0 over a range": 10, "with orders": 30}
    assert all(met[name] >= count for name, count in least.items()), met


def meet(met: Counter[str], position: OpenPosition) -> None:
    """Count what is special about a position that has a liquidation price."""
    if position.nearest("health") is None:
        return
    rules, name = position.rules, position.instrument
    instrument, asset = rules.instrument(name), rules.asset(rules.settlement(name))
    met["inverse"] += instrument.inverse
    met["option"] += instrument.is_option
    met["any price"] += position.takes_any_price
    met["below already"] += position.figures(position.mark)["health"] < 0
    met["alone"] += position.account.isolated_margin(name) is not None or position.backing.share is not None
    met["other currency"] += rules.settlement(name) != "USD"
    met["in brackets"] += len(rules.margin(name).maintenance.tiers) > 1
    met["in tiers"] += len(asset.maintenance.owned.tiers) > 1
    met["with orders"] += name in position.account.orders


@hypothesis.settings(max_examples=30)
@given(venue=busy_venues())
def test_prices_of_small_venues(venue: Venue) -> None:
    note(repr(venue))
    model, book, market = build(venue)
    arrays = {figure: price_of(book, market, model).tolist() for figure, price_of, _ in KINDS}
    for at, position in enumerate(open_positions(venue)):
        for figure, price_of, _ in KINDS:
            expected = as_float(position.nearest(figure))
            assert price_of(book, market, model, position.account.name, position.instrument) == expected
            assert_is_near(position, figure, arrays[figure][at])


@modes
def test_prices_of_accounts_at_the_edge(mode: str) -> None:
    """Where health is 0 the price is the mark itself; a hair beside it, exact arithmetic still tells the side."""
    venue, _ = knife_edge_venue(5, accounts=120, mode=mode)
    model, book, market = build(venue)
    at_mark: Counter[str] = Counter()
    for position in open_positions(venue):
        for figure, price_of, _ in KINDS:
            price = price_of(book, market, model, position.account.name, position.instrument)
            assert price == as_float(position.nearest(figure))
            at_mark[figure] += price == position.mark
    assert at_mark["health"] >= 5 and at_mark["equity"] >= 5, at_mark


@kinds
def test_account_just_before_and_just_after(figure: str, price_of: Callable[..., Any], flag: str) -> None:
    """One float to either side of a price the flag of the report differs; between mark and price it never does."""
    random = Random(1)
    turned, touched = 0, 0
    for venue in mixed_venues(100, 8, "cross"):
        model, book, market = build(venue)
        for position in open_positions(venue):
            account, name = position.account.name, position.instrument
            price = price_of(book, market, model, account, name)
            now = flag_at(position, model, book, market, float(position.mark), flag)
            if price is None or price == position.mark:
                continue
            flags = [
                flag_at(position, model, book, market, math.nextafter(price, end), flag)
                for end in (-math.inf, math.inf)
            ]
            turned += flags[0] != flags[1]
            touched += flags[0] == flags[1]
            if flags[0] == flags[1]:
                # It comes to 0 and turns back, or stays there.
                assert any(low != high for low, high in position.zeros(figure)), (account, name)
            for part in (random.random(), 1 - 1e-6):
                between = float(position.mark) + part * (price - float(position.mark))
                assert flag_at(position, model, book, market, between, flag) == now, (account, name, between)
    assert turned > 300 and touched < 0.1 * turned, (turned, touched)


def flag_at(position: OpenPosition, model: Any, book: xm.Book, market: xm.Market, mark: float, flag: str) -> bool:
    """Return the flag of the account, or of the position if it stands alone, at another mark."""
    report = model.evaluate(book, market.with_prices(mark_price={position.instrument: mark}))
    if position.account.isolated_margin(position.instrument) is None:
        return bool(getattr(report[position.account.name], flag))
    alone = report.isolated
    places = zip(alone.accounts.tolist(), alone.instruments.tolist(), strict=True)
    return bool(getattr(alone, flag)[list(places).index((position.account.name, position.instrument))])


def assert_is_near(position: OpenPosition, figure: str, price: float) -> None:
    """Assert that a price in floats is the exact one, as far as rounding lets anybody tell.

    Where it is not the same to twelve digits, what decides is the figure itself: 0 within rounding at the price, and
    of no other sign before it. Rounding is measured by the gross of the unit, the sum of its absolute parts, at the
    mark or at the price: it is from the mark that the price is computed.
    """
    expected = position.nearest(figure)
    if expected is None and math.isnan(price):
        return
    if expected is not None and math.isclose(price, expected, rel_tol=1e-12):
        return
    who = (figure, position.account.name, position.instrument, price, as_float(expected))
    mark = float(position.mark)
    room = 1e-12 * position.figures(position.mark)["gross"]
    now = clear_sign(position, figure, mark)
    if not math.isnan(price):
        assert clear_sign(position, figure, price, room) == 0, who
    if now == 0:
        # Either side may be the losing one.
        return
    # Up to the price, or without end if there is none, the figure keeps its sign.
    towards = 1.0 if (position.quantity > 0) != (now > 0) else -1.0
    far = [mark + towards * abs(mark or 1.0) * step for step in (1e-9, 1e-3, 0.1, 0.5, 0.999999, 10.0, 1e6)]
    for between in far if math.isnan(price) else [mark + (price - mark) * part for part in (0.01, 0.5, 0.9, 0.999)]:
        if between > 0 or position.takes_any_price:
            assert clear_sign(position, figure, between, room) in (0, now), (*who, between)


def clear_sign(position: OpenPosition, figure: str, mark: float, room: float = 0.0) -> int:
    """Return the sign of a figure at a mark, 0 where rounding might change it."""
    figures = position.figures(Fraction(mark))
    value = float(figures[figure])
    return 0 if abs(value) <= max(room, 1e-12 * figures["gross"]) else round(math.copysign(1, value))


@modes
@kinds
def test_prices_of_a_book_are_those_of_its_positions(
    mode: str, figure: str, price_of: Callable[..., Any], flag: str
) -> None:
    same, compared = 0, 0
    for venue in mixed_venues(200, 12, mode):
        model, book, market = build(venue)
        prices = price_of(book, market, model)
        assert prices.dtype == np.float64 and prices.shape == (book.position_count,)
        for position, price in zip(open_positions(venue), prices.tolist(), strict=True):
            one = price_of(book, market, model, position.account.name, position.instrument)
            compared += 1
            # NaN is close to nothing.
            if math.isclose(price, one, rel_tol=1e-12) if one is not None else math.isnan(price):
                same += 1
            else:
                assert_is_near(position, figure, price)
    assert compared > 800 and same > 0.98 * compared, (same, compared)


def test_positions_are_in_order_of_account_and_instrument() -> None:
    for seed, text in ((300, False), (301, True)):
        venue = random_rule_venue(seed, rules=RULES, text_accounts=text)
        _, book, _ = build(venue)
        positions = book.positions
        assert list(positions) == ["account", "instrument", "quantity", "entry_price"]
        expected = [
            tuple(position.account.positions[position.instrument][name] for name in positions)
            for position in open_positions(venue)
        ]
        assert list(zip(*(column.tolist() for column in positions.values()), strict=True)) == expected
        assert len(expected) == book.position_count > 1000


@modes
def test_threads_and_order_of_rows_change_no_bit(mode: str) -> None:
    venue = random_rule_venue(400, mode=mode, rules=RULES, accounts=6000, instruments=60, mean_positions=2.0)
    model, book, market = build(venue)
    for _, price_of, _ in KINDS:
        expected = {}
        for threads in THREADS:
            with settings(threads=threads):
                prices = price_of(book, market, model)
            expected[threads] = prices.tobytes()
            assert 0.2 < np.isfinite(prices).mean() < 0.99
        assert len(set(expected.values())) == 1
        by_position = prices_by_position(book, prices)
        model_, book_, market_ = build(shuffled(venue, Random(2), *FRAMES))
        assert prices_by_position(book_, price_of(book_, market_, model_)) == by_position


def prices_by_position(book: xm.Book, prices: Any) -> dict[tuple[Any, Any], bytes]:
    positions = book.positions
    places = zip(positions["account"].tolist(), positions["instrument"].tolist(), strict=True)
    return {place: price.tobytes() for place, price in zip(places, prices, strict=True)}


def test_a_book_without_positions_has_no_prices(standing: Standing) -> None:
    book = xm.Book.from_frames(standing.universe, {"account": ["ann"], "asset": ["USD"], "balance": [1.0]})
    for _, price_of, _ in KINDS:
        assert price_of(book, standing.market, standing.model).shape == (0,)
        assert price_of(book, standing.market, standing.model, "ann", "PERP") is None
    assert xm.liquidation_prices(book, standing.market, standing.model, "ann", "PERP") == []


@pytest.mark.parametrize("price_of", [xm.liquidation_price, xm.bankruptcy_price, xm.liquidation_prices])
def test_what_is_not_there_is_named(standing: Standing, price_of: Callable[..., Any]) -> None:
    inputs = standing.book, standing.market, standing.model
    refused(lambda: price_of(*inputs, "anne", "PERP"), xm.UnknownIdError, "account", "'anne'", "did you mean 'ann'")
    refused(lambda: price_of(*inputs, "ann", "PREP"), xm.UnknownIdError, "instrument", "'PREP'", "did you mean 'PERP'")
    refused(lambda: price_of(*inputs, "ann", "BTC"), xm.UnknownIdError, "instrument", "'BTC'")
    refused(lambda: price_of(*inputs, 7, "PERP"), xm.UnknownIdError, "7")
    unpriced = xm.Market(standing.universe, {"BTC": 60_000.0, "WTI": 18.0}, {"PERP": 60_100.0})
    refused(
        lambda: price_of(standing.book, unpriced, standing.model, "ann", "PERP"), xm.MissingPriceError, "ETH", "ann"
    )
    other = xm.Universe.from_frames({"asset": ["USD"]})
    refused(lambda: price_of(standing.book, xm.Market(other), standing.model, "ann", "PERP"), xm.UniverseMismatchError)
    bare = xm.CrossMargin.from_frames(standing.universe)
    refused(
        lambda: price_of(standing.book, standing.market, bare, "ann", "PERP"), xm.MissingParameterError, "PERP", "ann"
    )


@pytest.mark.parametrize("price_of", [xm.liquidation_price, xm.bankruptcy_price])
def test_account_and_instrument_go_together(standing: Standing, price_of: Callable[..., Any]) -> None:
    inputs = standing.book, standing.market, standing.model
    refused(lambda: price_of(*inputs, "ann"), xm.InputError, "account", "instrument")
    refused(lambda: price_of(*inputs, instrument="PERP"), xm.InputError, "account", "instrument")
    for wrong in (None, "cross", standing.market):
        with pytest.raises((TypeError, xm.XmfastError)):
            price_of(standing.book, standing.market, wrong)
