"""Moves along a path at which an account is liquidated or bankrupt: a search that cannot miss finds none nearer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest

import xmfast as xm
from building import build, settings
from reference_paths import AccountOnPath, Path, accounts_on
from reference_prices import open_positions
from rule_venues import RULES, random_rule_venue
from standing import Standing, refused
from strategies import Venue
from test_liquidation_price import THREADS
from test_rules import FRAMES, shuffled

KINDS: tuple[tuple[str, Callable[..., Any]], ...] = (("health", xm.liquidation_move), ("equity", xm.bankruptcy_move))
# As far as a rise is looked at; prices a thousand times as high.
FAR = 1e3
# Betas of many sizes, signs and none.
MIXED = (1.0, 0.5, 1.3, -0.5, 0.0, 2.0)


@dataclass(frozen=True)
class Case:
    """A venue and a path, in xmfast and in the reference."""

    venue: Venue
    model: xm.CrossMargin
    book: xm.Book
    market: xm.Market
    path: xm.PricePath
    accounts: list[AccountOnPath]

    @property
    def inputs(self) -> tuple[xm.Book, xm.Market, xm.CrossMargin, xm.PricePath]:
        return self.book, self.market, self.model, self.path


def case(venue: Venue, betas: Mapping[Any, float]) -> Case:
    model, book, market = build(venue)
    assert isinstance(model, xm.CrossMargin)
    path = xm.PricePath.of_betas(model.universe, betas)
    return Case(venue, model, book, market, path, list(accounts_on(venue, Path.of_betas(venue, betas))))


def mixed_cases(first: int, count: int) -> Iterator[Case]:
    """Return venues along a path of one beta, of two underlyings out of three, or of many betas."""
    for seed in range(first, first + count):
        rules = RULES if seed % 2 else None
        venue = random_rule_venue(seed, rules=rules, accounts=30, assets=4, instruments=12, mean_positions=3.0)
        names = list(venue.index_price)
        if seed % 3 == 0:
            betas = dict.fromkeys(names, 1.0)
        elif seed % 3 == 1:
            betas = {name: 1.0 for at, name in enumerate(names) if at % 3}
        else:
            betas = {name: MIXED[at % len(MIXED)] for at, name in enumerate(names)}
        yield case(venue, betas)


def clear_sign(account: AccountOnPath, figure: str, move: float | Fraction, room: float = 0.0) -> int:
    """Return the sign of a figure after a move, 0 where rounding might change it."""
    figures = account.figures(Fraction(move))
    value = float(figures[figure])
    return 0 if abs(value) <= max(room, 1e-12 * figures["gross"]) else round(math.copysign(1, value))


def assert_nothing_nearer(account: AccountOnPath, figure: str, end: float, now: int, room: float) -> None:
    """Assert that from no move at all to the end, left out, the figure keeps its sign."""
    stops = [math.copysign(stop, end) for stop in (0.0, 0.5, 1.0, 4.0, 32.0, 256.0) if stop < abs(end)]
    for start, stop in pairwise([*stops, end]):
        for near, far in account.zeros(figure, start, stop):
            signs = {clear_sign(account, figure, move, room) for move in (near, far)}
            is_0 = all(account.figures(Fraction(move))[figure] == 0 for move in (near, far))
            assert signs <= {0, now} and not is_0, f"{figure} of {account.account.name!r} is 0 from {near} to {far}"


def test_moves_are_the_nearest_at_which_the_figure_is_0() -> None:
    met: Counter[Any] = Counter()
    for each in mixed_cases(0, 12):
        for account in each.accounts:
            for figure, move_of in KINDS:
                moves = move_of(*each.inputs, account.account.name)
                nothing_moved = account.figures(Fraction(0))
                if nothing_moved[figure] == 0:
                    assert moves == (0.0, 0.0)
                    met["0 already"] += 1
                    continue
                now = 1 if nothing_moved[figure] > 0 else -1
                for move, limit in zip(moves, account.limits(), strict=True):
                    check_move(account, figure, move, limit, now)
                    side = "fall" if limit < 0 else "rise"
                    met[figure, side, "none" if move is None else "healthy" if now > 0 else "below"] += 1
    assert met["0 already"] >= 10, met
    for figure, _ in KINDS:
        for side in ("fall", "rise"):
            assert met[figure, side, "none"] >= 50 and met[figure, side, "healthy"] >= 20, met
            assert met[figure, side, "below"] >= 10, met


def check_move(account: AccountOnPath, figure: str, move: float | None, limit: float, now: int) -> None:
    """Assert that a move is the nearest towards a limit that makes the figure 0, or that none does."""
    who = (figure, account.account.name, move)
    room = 1e-12 * account.figures(Fraction(0))["gross"]
    if move is None:
        end = limit * (1 - 1e-9) if math.isfinite(limit) else math.copysign(FAR, limit)
        assert_nothing_nearer(account, figure, end, now, room)
        return
    assert min(limit, 0.0) < move < max(limit, 0.0), who
    assert clear_sign(account, figure, move, room) == 0 or turns_within_rounding(account, figure, move), who
    step = 1e-9 * max(abs(move), 1e-6)
    # The end of the range may be nearer than that.
    beyond = move + math.copysign(min(step, (abs(limit) - abs(move)) / 2), limit)
    assert beyond == limit or clear_sign(account, figure, beyond, room) in (0, -now), who
    before = max(abs(move) - step, abs(move) / 2)
    assert clear_sign(account, figure, math.copysign(before, limit), room) in (0, now), who
    assert_nothing_nearer(account, figure, math.copysign(before, limit), now, room)


def turns_within_rounding(account: AccountOnPath, figure: str, move: float) -> bool:
    """Return whether a figure changes its sign within a few last digits: near a pole it may be steep."""
    few = 8 * math.ulp(move)
    return clear_sign(account, figure, move - few) * clear_sign(account, figure, move + few) <= 0


def test_the_report_of_the_moved_market_says_so_too() -> None:
    """A hair before the move the account is safe, a hair after it is not; or the other way round."""
    turned = Counter[str]()
    for each in mixed_cases(100, 15):
        moves = {figure: move_of(*each.inputs) for figure, move_of in KINDS}
        for at, account in enumerate(each.accounts):
            for figure, flag in (("health", "liquidatable"), ("equity", "bankrupt")):
                for move in (moves[figure].fall[at], moves[figure].rise[at]):
                    if math.isnan(move) or move == 0:
                        continue
                    step = 1e-9 * max(abs(move), 1e-3)
                    flags, sure = set(), True
                    for near in (move - step, move + step):
                        try:
                            moved = each.path.apply(each.market, near)
                        except xm.InputError:
                            # Something that the account does not hold would have a price below 0.
                            sure = False
                            break
                        sure &= clear_sign(account, figure, near) != 0
                        flags.add(bool(getattr(each.model.evaluate(each.book, moved), flag)[at]))
                    if sure:
                        assert flags == {True, False}, (account.account.name, figure, move)
                        turned[figure] += 1
    assert turned["health"] > 80 and turned["equity"] > 80, turned


def test_all_moves() -> None:
    met: Counter[int] = Counter()
    for each in mixed_cases(200, 30):
        for account in each.accounts:
            found = xm.liquidation_moves(*each.inputs, account.account.name)
            assert found == sorted(set(found))
            nearest = xm.liquidation_move(*each.inputs, account.account.name)
            assert nearest.fall == max((move for move in found if move <= 0), default=None)
            assert nearest.rise == min((move for move in found if move >= 0), default=None)
            met[len(found)] += 1
            nothing_moved = account.figures(Fraction(0))
            if nothing_moved["health"] == 0:
                assert 0.0 in found
                continue
            # Wherever the sign changes there is one of them.
            for limit in account.limits():
                end = math.copysign(min(abs(limit) * (1 - 1e-9), 50.0), limit)
                for near, far in account.zeros("health", 0.0, end):
                    room = 1e-12 * nothing_moved["gross"]
                    signs = [clear_sign(account, "health", move, room) for move in (near, far)]
                    if signs[0] * signs[1] < 0:
                        close = 2e-9 * max(1e-3, abs(near))
                        assert any(abs(move - near) <= close for move in found), (account.account.name, near, found)
    assert met[0] > 50 and met[1] > 50 and met[2] >= 20 and max(met) > 2, met


def test_moves_of_a_book_are_those_of_its_accounts() -> None:
    same, compared = 0, 0
    for each in mixed_cases(300, 15):
        for figure, move_of in KINDS:
            moves = move_of(*each.inputs)
            assert isinstance(moves, xm.BookMoves)
            for at, account in enumerate(each.accounts):
                one = move_of(*each.inputs, account.account.name)
                assert isinstance(one, xm.AccountMove)
                for in_book, alone in zip((moves.fall[at], moves.rise[at]), one, strict=True):
                    compared += 1
                    if math.isnan(in_book) if alone is None else math.isclose(in_book, alone, rel_tol=1e-12):
                        same += 1
                    else:
                        # Rounding is all that may tell them apart.
                        room = 1e-12 * account.figures(Fraction(0))["gross"]
                        for move in (in_book, alone):
                            assert move is None or math.isnan(move) or not clear_sign(account, figure, move, room)
    assert same > 0.97 * compared, (same, compared)


def test_a_path_of_one_mark_is_the_liquidation_price() -> None:
    compared: Counter[str] = Counter()
    for seed in range(400, 406):
        venue = random_rule_venue(seed, rules=RULES, accounts=30, instruments=8, mean_positions=2.0)
        model, book, market = build(venue)
        for position in open_positions(venue):
            account, name = position.account.name, position.instrument
            mark, quantity = float(position.mark), position.quantity
            if position.account.isolated_margin(name) is not None or quantity == 0 or mark == 0:
                continue
            path = xm.PricePath.of_betas(model.universe, {name: 1.0})
            for (figure, move_of), price_of in zip(KINDS, (xm.liquidation_price, xm.bankruptcy_price), strict=True):
                price = price_of(book, market, model, account, name)
                now = position.figures(position.mark)[figure]
                if now == 0:
                    continue
                # The losing side of who is safe, the gaining side of who is not; a price below 0 falls as it shrinks.
                falls = ((quantity > 0) == (now > 0)) == (mark > 0)
                moves = move_of(book, market, model, path, account)
                move = moves.fall if falls else moves.rise
                expected = None if price is None else pytest.approx(price / mark - 1, rel=1e-9, abs=1e-12)
                assert move == expected, (seed, account, name, figure)
                compared[figure] += price is not None
    assert compared["health"] > 30 and compared["equity"] > 60, compared


def test_threads_and_order_of_rows_change_no_bit() -> None:
    venue = random_rule_venue(500, rules=RULES, accounts=9000, assets=5, instruments=30, mean_positions=2.0)
    betas = {name: MIXED[at % 4] for at, name in enumerate(venue.index_price)}
    model, book, market = build(venue)
    path = xm.PricePath.of_betas(model.universe, betas)
    model_, book_, market_ = build(shuffled(venue, Random(3), *FRAMES))
    path_ = xm.PricePath.of_betas(model_.universe, betas)
    for _, move_of in KINDS:
        seen = set()
        for threads in THREADS:
            with settings(threads=threads):
                moves = move_of(book, market, model, path)
            seen.add((moves.fall.tobytes(), moves.rise.tobytes()))
        assert len(seen) == 1
        assert 0.02 < np.isfinite(moves.fall).mean() < 0.98
        again = move_of(book_, market_, model_, path_)
        order = {account: at for at, account in enumerate(book_.accounts.tolist())}
        places = [order[account] for account in book.accounts.tolist()]
        assert again.fall[places].tobytes() == moves.fall.tobytes()
        assert again.rise[places].tobytes() == moves.rise.tobytes()


def test_paths_move_what_follows(standing: Standing) -> None:
    universe, market = standing.universe, standing.market
    path = xm.PricePath.of_underlying(universe, "BTC", followers=("ETH",))
    assert dict(zip(universe.index_names, path.index_beta.tolist(), strict=True)) == {
        "USD": 0.0,
        "BTC": 1.0,
        "ETH": 1.0,
        "WTI": 0.0,
    }
    # The option has a price of its own.
    assert dict(zip(universe.instruments, path.mark_beta.tolist(), strict=True)) == {
        "PERP": 1.0,
        "INVERSE": 1.0,
        "CALL": 0.0,
        "OIL": 0.0,
    }
    moved = path.apply(market, -0.25)
    assert dict(zip(universe.index_names, moved.index_price.tolist(), strict=True)) == {
        "USD": 1.0,
        "BTC": 45_000.0,
        "ETH": 2250.0,
        "WTI": 18.0,
    }
    assert moved.mark_price.tolist() == [60_100.0 * 0.75, 60_050.0 * 0.75, 1400.0, -5.0]
    path = xm.PricePath.of_betas(universe, {"BTC": 1.0, "CALL": 4.0, "WTI": -0.5, "PERP": 1.5})
    assert path.mark_beta.tolist() == [1.5, 1.0, 4.0, -0.5]
    assert path.apply(market, 0.0).mark_price.tolist() == market.mark_price.tolist()
    assert path.apply(market, 0.1).mark_price.tolist() == pytest.approx([60_100 * 1.15, 60_050 * 1.1, 1960, -4.75])


def test_bad_paths_are_refused(standing: Standing) -> None:
    universe, market = standing.universe, standing.market
    betas = xm.PricePath.of_betas
    refused(lambda: betas(universe, {"BTCC": 1.0}), xm.UnknownIdError, "'BTCC'", "did you mean 'BTC'")
    refused(lambda: xm.PricePath.of_underlying(universe, "bitcoin"), xm.UnknownIdError, "'bitcoin'")
    refused(lambda: xm.PricePath.of_underlying(universe, "BTC", ["ETC"]), xm.UnknownIdError, "'ETC'", "did you mean")
    refused(lambda: betas(universe, {"USD": 1.0}), xm.InputError, "USD")
    for wrong in (math.nan, math.inf, -math.inf):
        refused(lambda wrong=wrong: betas(universe, {"BTC": wrong}), xm.InputError, "BTC", "beta")  # type: ignore[misc]
    path = xm.PricePath.of_underlying(universe, "BTC")
    refused(lambda: path.apply(market, -1.5), xm.InputError, "price")
    refused(lambda: path.apply(market, math.nan), xm.InputError)
    refused(lambda: path.apply(market, 1e308), xm.InputError, "price")
    apply: Callable[..., Any] = path.apply
    for wrong_market, move in ((market, "0.1"), (standing.book, 0.1)):
        with pytest.raises(TypeError):
            apply(wrong_market, move)
    with pytest.raises(TypeError, match="followers"):
        # Not the assets W, B, T and C.
        xm.PricePath.of_underlying(universe, "BTC", followers="WBTC")
    with pytest.raises(TypeError):
        xm.PricePath()


@pytest.mark.parametrize("move_of", [xm.liquidation_move, xm.bankruptcy_move, xm.liquidation_moves])
def test_what_has_no_moves_is_named(standing: Standing, move_of: Callable[..., Any]) -> None:
    inputs = standing.book, standing.market, standing.model
    path = xm.PricePath.of_underlying(standing.universe, "BTC")
    refused(lambda: move_of(*inputs, path, "anne"), xm.UnknownIdError, "'anne'", "did you mean 'ann'")
    isolated = xm.IsolatedMargin.from_frames(standing.universe)
    refused(lambda: move_of(standing.book, standing.market, isolated, path, "ann"), xm.InputError, "model")
    other = xm.PricePath.of_betas(xm.Universe.from_frames({"asset": ["USD", "X"]}), {"X": 1.0})
    refused(lambda: move_of(*inputs, other, "ann"), xm.UniverseMismatchError)
    unpriced = xm.Market(standing.universe, {"BTC": 60_000.0, "WTI": 18.0}, {"PERP": 60_100.0})
    refused(lambda: move_of(standing.book, unpriced, standing.model, path, "ann"), xm.MissingPriceError, "ETH", "ann")
    with pytest.raises(TypeError, match="path"):
        move_of(*inputs, {"BTC": 1.0}, "ann")


@pytest.mark.parametrize("move_of", [xm.liquidation_move, xm.bankruptcy_move, xm.liquidation_moves])
def test_holdings_too_large_for_floats_are_refused(standing: Standing, move_of: Callable[..., Any]) -> None:
    """Rather than to say that no move does it."""
    positions = {"account": ["ann"], "instrument": ["PERP"], "quantity": [1e308], "entry_price": [59_000.0]}
    book = xm.Book.from_frames(standing.universe, positions=positions)
    path = xm.PricePath.of_underlying(standing.universe, "BTC")
    refused(lambda: move_of(book, standing.market, standing.model, path, "ann"), xm.RangeError, "ann")
    refused(lambda: xm.liquidation_move(book, standing.market, standing.model, path), xm.RangeError, "ann")
    # Exact arithmetic has no such bounds.
    price = xm.liquidation_price(book, standing.market, standing.model, "ann", "PERP")
    assert price == pytest.approx(59_000 / 0.975)
