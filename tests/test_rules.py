"""All rules together: the report equals the reference, and its bits depend on nothing but the numbers put in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

import xmfast as xm
from building import (
    FLAGS,
    SIMD_PATHS,
    VALUES,
    assert_equals_reference,
    assert_is_right,
    bits_by_account,
    bits_of,
    build,
    isolated_bits_by_position,
    isolated_bits_of,
    reference_of,
    report_of,
    settings,
)
from reference import exact
from rule_venues import RULES, random_rule_venue, rule_venues, with_rules
from small_venue import brackets
from small_venue import venue as small_venue
from strategies import Columns, Venue, random_venue, select

MODES = ("cross", "isolated")
THREADS = (1, 2, 7)


def all_bits_of(report: xm.MarginReport) -> tuple[dict[str, bytes], dict[str, Any]]:
    return bits_of(report), isolated_bits_of(report)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(40))
def test_random_venues_with_a_random_half_of_the_rules(seed: int, mode: str) -> None:
    assert_is_right(random_rule_venue(seed, mode=mode, text_accounts=seed % 2 == 0))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(1000, 1010))
def test_random_venues_with_all_rules(seed: int, mode: str) -> None:
    report = assert_is_right(random_rule_venue(seed, mode=mode, rules=RULES))
    # Nobody in trouble, or everybody, would prove little.
    for part in (report, report.isolated):
        assert len(part) > 100
        assert 0.02 < part.liquidatable.mean() < 0.98 and part.bankrupt.any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rule", RULES)
def test_each_rule_alone_and_without_it_all_others(rule: str, mode: str) -> None:
    others = [other for other in RULES if other != rule]
    reports = [
        assert_is_right(random_rule_venue(RULES.index(rule), mode=mode, rules=rules)) for rules in ([rule], others, [])
    ]
    # A rule that changes no figure would be right by not being there.
    assert all_bits_of(reports[0]) != all_bits_of(reports[2])


@given(venue=rule_venues())
def test_small_venues(venue: Venue) -> None:
    note(repr(venue))
    assert_is_right(venue)


@given(venue=rule_venues())
def test_exact_reference_agrees_with_the_one_in_floats(venue: Venue) -> None:
    assert_equals_reference(report_of(venue), reference_of(venue, number=exact))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("accounts", [1, 2, 4095, 4096, 4097, 8192, 12289])
def test_block_boundaries(accounts: int, mode: str) -> None:
    assert_is_right(random_rule_venue(accounts, mode=mode, rules=RULES, accounts=accounts, mean_positions=2.0))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("widest", [17, 65, 129, 1000])
def test_wide_accounts(widest: int, mode: str) -> None:
    sizes = {"accounts": 50, "assets": 12, "instruments": 4 * widest, "widest_account": widest}
    assert_is_right(random_rule_venue(widest, mode=mode, rules=RULES, **sizes))


@pytest.mark.parametrize("mode", MODES)
def test_many_assets_in_which_positions_settle(mode: str) -> None:
    sizes = {"accounts": 1000, "assets": 200, "instruments": 300, "mean_balances": 10.0, "mean_positions": 12.0}
    assert_is_right(random_rule_venue(7, mode=mode, rules=RULES, **sizes))


def test_rules_that_change_nothing_change_no_bit() -> None:
    """Columns at their defaults are as good as columns left out."""
    venue = random_venue(11)
    assert venue.balances and venue.positions and venue.collateral and venue.margin
    count = {name: len(next(iter(getattr(venue, name).values()))) for name in ("positions", "collateral", "margin")}
    assets, names = venue.assets["asset"], venue.instruments["instrument"]
    linear = [name for name, kind in zip(names, venue.instruments["kind"], strict=True) if kind != "option"]
    spelled_out = replace(
        venue,
        positions={
            **venue.positions,
            "isolated_margin": [None] * count["positions"],
            "entry_funding": [0.0] * count["positions"],
        },
        orders={"account": [], "instrument": [], "quantity": [], "price": []},
        accounts={"account": venue.balances["account"][:1], "leverage_cap": [None]},
        deposit_index=dict.fromkeys(assets, 1.0),
        borrow_index=dict.fromkeys(assets, 1.0),
        cumulative_funding=dict.fromkeys(linear, 0.0),
        collateral={
            **venue.collateral,
            "amount_floor": [0.0] * count["collateral"],
            "amount_cap": [None] * count["collateral"],
            "unrealized_gain_share": [1.0] * count["collateral"],
        },
        margin={
            **venue.margin,
            "notional_floor": [0.0] * count["margin"],
            "margin_floor_per_contract": [0.0] * count["margin"],
            "close_out_fee_rate": [0.0] * count["margin"],
        },
    )
    assert bits_of(report_of(spelled_out)) == bits_of(report_of(venue))
    assert len(report_of(spelled_out).isolated) == 0


def test_empty_frames_of_orders_and_accounts() -> None:
    venue = random_venue(12)
    empty: Columns = {"account": [], "instrument": [], "quantity": [], "price": []}
    some: list[Columns | None] = [None, {"account": [], "leverage_cap": []}]
    for orders in (None, empty, empty | {"reduce_only": []}):
        for accounts in some:
            assert bits_of(report_of(replace(venue, orders=orders, accounts=accounts))) == bits_of(report_of(venue))


def test_accounts_of_orders_or_a_cap_alone_are_accounts() -> None:
    venue = random_rule_venue(13, rules=["orders", "leverage_caps"], text_accounts=True)
    nothing_held = replace(venue, balances=None, positions=None)
    report = assert_is_right(nothing_held)
    assert nothing_held.orders and nothing_held.accounts
    everyone = [*nothing_held.orders["account"], *nothing_held.accounts["account"]]
    assert report.accounts.tolist() == list(dict.fromkeys(everyone))
    assert (report.equity == 0).all() and (report.maintenance_margin == 0).all() and report.initial_margin.any()
    only_caps = replace(nothing_held, orders=None)
    assert (report_of(only_caps).initial_margin == 0).all()


@pytest.mark.parametrize("mode", MODES)
def test_new_prices_keep_interest_and_funding(mode: str) -> None:
    venue = random_rule_venue(14, mode=mode, rules=RULES)
    model, book, market = build(venue)
    model.evaluate(book, market)
    rng = np.random.default_rng(14)
    for _ in range(3):
        marks = {name: price * float(rng.uniform(0.9, 1.1)) for name, price in venue.mark_price.items()}
        venue = replace(venue, mark_price=marks)
        market = market.with_prices(mark_price=marks)
        assert_equals_reference(model.evaluate(book, market), reference_of(venue))


def test_one_book_serves_both_models() -> None:
    venue = random_rule_venue(15, rules=RULES)
    cross, book, market = build(venue)
    isolated = xm.IsolatedMargin.from_frames(cross.universe, venue.collateral, venue.margin)
    for _ in range(2):
        assert_equals_reference(cross.evaluate(book, market), reference_of(venue))
        assert_equals_reference(isolated.evaluate(book, market), reference_of(replace(venue, mode="isolated")))


@pytest.fixture(scope="module", params=MODES)
def large(request: pytest.FixtureRequest) -> Venue:
    sizes = {"accounts": 10_000, "assets": 20, "instruments": 300, "widest_account": 200}
    return random_rule_venue(100, mode=request.param, rules=RULES, **sizes)


@pytest.fixture(scope="module")
def large_bits(large: Venue) -> Any:
    with settings(threads=1, simd="scalar"):
        return all_bits_of(report_of(large))


def test_large_venue(large: Venue) -> None:
    assert_is_right(large)


@pytest.mark.parametrize("simd", SIMD_PATHS)
@pytest.mark.parametrize("threads", THREADS)
def test_threads_and_simd_change_no_bit(large: Venue, large_bits: Any, simd: str, threads: int) -> None:
    with settings(threads=threads, simd=simd):
        assert all_bits_of(report_of(large)) == large_bits


def test_a_book_built_on_one_path_is_evaluated_on_another(large: Venue, large_bits: Any) -> None:
    model, book, market = build(large)
    for simd in SIMD_PATHS:
        for threads in THREADS:
            with settings(threads=threads, simd=simd):
                assert all_bits_of(model.evaluate(book, market)) == large_bits


@given(venue=rule_venues())
def test_simd_changes_no_bit_of_small_venues(venue: Venue) -> None:
    model, book, market = build(venue)
    seen = []
    for simd in SIMD_PATHS:
        with settings(simd=simd):
            seen.append(all_bits_of(model.evaluate(book, market)))
    assert all(bits == seen[0] for bits in seen)


FRAMES = ("balances", "positions", "orders", "accounts", "collateral", "margin")


def shuffled(venue: Venue, random: Random, *names: str) -> Venue:
    """Return the venue with the rows of these frames in any order."""
    changes: dict[str, Any] = {}
    for name in names:
        frame = getattr(venue, name)
        if frame:
            count = len(next(iter(frame.values())))
            changes[name] = select(frame, random.sample(range(count), count))
    return replace(venue, **changes)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("names", [*((name,) for name in FRAMES), FRAMES], ids="+".join)
def test_order_of_rows_changes_no_bit(names: tuple[str, ...], mode: str) -> None:
    venue = random_rule_venue(200, mode=mode, rules=RULES, accounts=2000)
    expected = report_of(venue)
    report = report_of(shuffled(venue, Random(1), *names))
    assert bits_by_account(report) == bits_by_account(expected)
    assert isolated_bits_by_position(report) == isolated_bits_by_position(expected)


@given(venue=rule_venues(), random=st.randoms(use_true_random=False))
def test_order_of_rows_changes_no_bit_of_small_venues(venue: Venue, random: Random) -> None:
    expected, report = report_of(venue), report_of(shuffled(venue, random, *FRAMES))
    assert bits_by_account(report) == bits_by_account(expected)
    assert isolated_bits_by_position(report) == isolated_bits_by_position(expected)


@pytest.mark.parametrize("mode", MODES)
def test_company_changes_no_bit(mode: str) -> None:
    """An account has the same bits alone as among thousands."""
    venue = random_rule_venue(300, mode=mode, rules=RULES, accounts=5000)
    report = report_of(venue)
    expected, of_positions = bits_by_account(report), isolated_bits_by_position(report)
    for account in list(expected)[::500]:
        alone: dict[str, Any] = {}
        for name in ("balances", "positions", "orders", "accounts"):
            frame = getattr(venue, name)
            alone[name] = select(frame, [row for row, owner in enumerate(frame["account"]) if owner == account])
        report = report_of(replace(venue, **alone))
        assert bits_by_account(report) == {account: expected[account]}
        own = {position: bits for position, bits in of_positions.items() if position[0] == account}
        assert isolated_bits_by_position(report) == own


def test_orders_of_one_price_may_come_in_any_pieces() -> None:
    """Two orders of 3 are an order of 6."""
    venue = random_rule_venue(400, rules=["brackets", "leverage_caps"])
    rng = np.random.default_rng(400)
    assert venue.positions is not None
    orders = {
        "account": venue.positions["account"],
        "instrument": venue.positions["instrument"],
        "quantity": [float(size) for size in rng.integers(-20, 20, len(venue.positions["account"]))],
        "price": [abs(venue.mark_price[name]) or 1.0 for name in venue.positions["instrument"]],
    }
    halves = {name: values * 2 for name, values in orders.items()}
    halves["quantity"] = [size / 2 for size in orders["quantity"]] * 2
    whole, pieces = report_of(replace(venue, orders=orders)), report_of(replace(venue, orders=halves))
    room = 1e-12 * np.array(reference_of(replace(venue, orders=orders))["gross"])
    assert whole.initial_margin.any()
    for name in VALUES:
        assert (np.abs(getattr(whole, name) - getattr(pieces, name)) <= room).all(), name
    for name in FLAGS:
        np.testing.assert_array_equal(getattr(whole, name), getattr(pieces, name))


met: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def law_was_met(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    name = request.node.name
    if name in ("test_brackets_rise_without_a_jump", "test_tiers_rise_without_a_jump"):
        assert met[name] >= 20, f"{name}: its condition was met {met[name]} times"


# Of each tier: how wide the one before it is, and how much more of what is owned or owed it takes.
_steps = st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 2000), st.integers(0, 2000)), min_size=1, max_size=4)


def rising(steps: list[tuple[int, int, int]], initial: int, maintenance: int) -> list[tuple[int, float, float]]:
    """Return tiers by floor with two rates, given in hundredths of a percent, that never fall."""
    tiers, floor = [(0, initial / 10_000, maintenance / 10_000)], 0
    for width, more, less in steps:
        floor, initial = floor + width, min(10_000, initial + more)
        maintenance = min(initial, maintenance + less)
        tiers.append((floor, initial / 10_000, maintenance / 10_000))
    return tiers


def sizes_about(data: st.DataObject, edges: list[int], *, count: int) -> list[int]:
    """Return so many whole numbers in a row, among them an edge or anywhere."""
    first = data.draw(st.one_of(st.sampled_from([edge - 1 for edge in edges]), st.integers(0, 20_000)))
    return [max(0, first) + step for step in range(count)]


@given(steps=_steps, floor=st.sampled_from([0.0, 3.0]), data=st.data())
def test_brackets_rise_without_a_jump(steps: list[tuple[int, int, int]], floor: float, data: st.DataObject) -> None:
    """One contract has a notional of 100: from one to the next, margin rises by at most the steepest rate of that."""
    tiers = rising(steps, 200, 100)
    margin = brackets("PERP", *((100.0 * size, *rates) for size, *rates in tiers), margin_floor_per_contract=floor)
    sizes = sizes_about(data, [tier[0] for tier in tiers], count=2)
    reports = [report_of(small_venue(positions=[("PERP", -float(size), 100.0)], margin=margin)) for size in sizes]
    for column, name in ((1, "initial_margin"), (2, "maintenance_margin")):
        low, high = (float(getattr(report, name)[0]) for report in reports)
        room = 1e-13 * high
        steepest = max(tiers[-1][column] * 100, floor)
        assert low - room <= high <= low + steepest + room, name
        # Never less than all of it at the lowest rate, or more than all of it at the highest.
        assert tiers[0][column] * 100 * sizes[1] - room <= high <= steepest * sizes[1] + room, name
    met["test_brackets_rise_without_a_jump"] += sizes[1] in [tier[0] for tier in tiers[1:]]


@given(steps=_steps, cap=st.sampled_from([None, 50.0, 2000.0]), data=st.data())
def test_tiers_rise_without_a_jump(steps: list[tuple[int, int, int]], cap: float | None, data: st.DataObject) -> None:
    """A further coin counts at most as the one before it did, and never less than nothing."""
    tiers = rising(steps, 1000, 500)
    collateral = {
        "asset": ["BTC"] * len(tiers),
        "amount_floor": [tier[0] for tier in tiers],
        "initial_haircut": [tier[1] for tier in tiers],
        "maintenance_haircut": [tier[2] for tier in tiers],
        "amount_cap": [cap] * len(tiers),
    }
    sizes = sizes_about(data, [*(tier[0] for tier in tiers), int(cap or 1)], count=3)
    reports = [report_of(small_venue(balances=[("BTC", float(size))], collateral=collateral)) for size in sizes]
    for name, most in (("initial_collateral_value", 0.9), ("collateral_value", 0.95)):
        low, middle, high = (float(getattr(report, name)[0]) for report in reports)
        room = 1e-13 * high
        assert low - room <= middle <= low + most * 50_000 + room, name
        assert middle - room <= high <= middle + (middle - low) + room, name
    met["test_tiers_rise_without_a_jump"] += sizes[1] in [tier[0] for tier in tiers[1:]] or sizes[1] == cap


def test_every_field_of_a_venue_reaches_the_package() -> None:
    """A rule that the tests do not pass on would be a rule that is not tested."""
    venue = random_rule_venue(16, rules=RULES)
    plain = Venue(assets=venue.assets, instruments=venue.instruments)
    unused = [field.name for field in fields(Venue) if getattr(venue, field.name) == getattr(plain, field.name)]
    assert set(unused) <= {"assets", "instruments", "numeraire", "mode"}
    reports = [bits_of(report_of(venue)), bits_of(report_of(replace(venue, mode="isolated")))]
    names = [field.name for field in fields(Venue) if field.name not in unused]
    for name in set(names) - {"index_price", "mark_price", "margin"}:
        without = replace(venue, **{name: getattr(plain, name)})
        if name == "positions":
            continue
        reports.append(bits_of(report_of(without)))
    assert len({tuple(bits.values()) for bits in reports}) == len(reports)


def test_rules_are_added_to_what_is_there() -> None:
    venue = random_venue(17)
    assert with_rules(venue, Random(1), []) == venue
