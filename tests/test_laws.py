"""Laws that hold whatever the venue. Each counts how often it had something to say, and must have had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xmfast as xm
from building import VALUES, bits_by_account, build, columns_of, reference_of, report_of
from changes import with_balance
from strategies import Columns, Venue, random_venue, select, venues, with_quantities_scaled

met: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def law_was_met(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    name = request.node.name.split("[")[0]
    assert met[name] > 0, f"{name}: no example met its condition"


def assert_same(got: Any, right: Any, room: float, *reports: xm.MarginReport) -> None:
    """Assert equality to the last bit, or within rounding if an account was decided exactly.

    Its figures are then each the nearest float of an exact one, instead of the result of a sum in fixed order.
    """
    exactly = any(report.exact_decisions for report in reports)
    np.testing.assert_allclose(got, right, rtol=0, atol=room if exactly else 0.0)


def tolerance(venue: Venue) -> float:
    """What rounding may do to any figure of the venue."""
    return 1e-13 * max(reference_of(venue)["gross"], default=0.0)


@given(venue=venues(), data=st.data(), amount=st.floats(0, 1e6, allow_subnormal=False))
def test_a_gift_never_lowers_health(venue: Venue, data: st.DataObject, amount: float) -> None:
    before = report_of(venue)
    if len(before) == 0:
        return
    account = data.draw(st.sampled_from(before.accounts.tolist()))
    asset = data.draw(st.sampled_from(venue.assets["asset"]))
    after_venue = with_balance(venue, account, asset, amount)
    after = report_of(after_venue)
    room = max(tolerance(venue), tolerance(after_venue))
    for name in ("equity", "collateral_value", "initial_collateral_value", "health", "initial_health"):
        assert getattr(after[account], name) >= getattr(before[account], name) - room, name
    met["test_a_gift_never_lowers_health"] += amount > 0


@given(venue=venues())
def test_maintenance_is_never_stricter_than_initial(venue: Venue) -> None:
    report = report_of(venue)
    room = tolerance(venue)
    # Margins are sums of the same parts in the same order, and rounding is monotone: no tolerance.
    assert (report.maintenance_margin <= report.initial_margin).all()
    assert (report.maintenance_margin >= 0).all()
    assert (report.initial_collateral_value <= report.collateral_value + room).all()
    assert (report.collateral_value <= report.equity + room).all()
    assert (report.initial_health <= report.health + room).all()
    met["test_maintenance_is_never_stricter_than_initial"] += bool((report.initial_margin > 0).any())


@given(venue=venues())
def test_columns_agree_with_each_other(venue: Venue) -> None:
    report = report_of(venue)
    room = tolerance(venue)
    assert_same(report.health, report.collateral_value - report.maintenance_margin, room, report)
    assert_same(report.initial_health, report.initial_collateral_value - report.initial_margin, room, report)
    np.testing.assert_array_equal(report.free_collateral, np.maximum(report.initial_health, 0))
    np.testing.assert_array_equal(report.liquidatable, report.health < 0)
    np.testing.assert_array_equal(report.bankrupt, report.equity < 0)
    clear = np.abs(report.health) > room
    # Past 1 exactly where health is below 0; both 0 where nothing is held.
    np.testing.assert_array_equal((report.margin_ratio > 1)[clear], report.liquidatable[clear])
    for name in VALUES:
        assert np.isfinite(getattr(report, name)).all(), name
    met["test_columns_agree_with_each_other"] += bool(report.liquidatable.any())


@given(venue=venues(), data=st.data())
def test_a_higher_haircut_never_raises_collateral(venue: Venue, data: st.DataObject) -> None:
    collateral = venue.collateral
    if collateral is None or not collateral["asset"]:
        return
    before = report_of(venue)
    row = data.draw(st.integers(0, len(collateral["asset"]) - 1))
    prefix, ceiling = data.draw(st.sampled_from([("haircut", 1.0), ("liability_weight", 10.0)]))
    changed = {name: list(values) for name, values in collateral.items()}
    initial = data.draw(st.floats(collateral[f"initial_{prefix}"][row], ceiling))
    maintenance = data.draw(st.floats(collateral[f"maintenance_{prefix}"][row], initial))
    changed[f"initial_{prefix}"][row], changed[f"maintenance_{prefix}"][row] = initial, maintenance
    after_venue = replace(venue, collateral=changed)
    after = report_of(after_venue)
    room = max(tolerance(venue), tolerance(after_venue))
    assert (after.collateral_value <= before.collateral_value + room).all()
    assert (after.initial_collateral_value <= before.initial_collateral_value + room).all()
    assert_same(after.equity, before.equity, room, before, after)
    assert_same(after.maintenance_margin, before.maintenance_margin, room, before, after)
    lowered = (after.collateral_value < before.collateral_value - room).any()
    met["test_a_higher_haircut_never_raises_collateral"] += bool(lowered)


@given(venue=venues(), data=st.data())
def test_a_higher_rate_never_lowers_margin(venue: Venue, data: st.DataObject) -> None:
    margin = venue.margin
    if margin is None or not margin["instrument"]:
        return
    before = report_of(venue)
    row = data.draw(st.integers(0, len(margin["instrument"]) - 1))
    changed = {name: list(values) for name, values in margin.items()}
    initial = data.draw(st.floats(margin["initial_rate"][row], 10.0))
    maintenance = data.draw(st.floats(margin["maintenance_rate"][row], initial))
    changed["initial_rate"][row], changed["maintenance_rate"][row] = initial, maintenance
    after_venue = replace(venue, margin=changed)
    after = report_of(after_venue)
    room = max(tolerance(venue), tolerance(after_venue))
    for name in ("initial_margin", "maintenance_margin"):
        assert_same(np.minimum(getattr(after, name), getattr(before, name)), getattr(before, name), room, before, after)
    for name in ("initial_health", "health"):
        assert_same(np.maximum(getattr(after, name), getattr(before, name)), getattr(before, name), room, before, after)
    assert_same(after.equity, before.equity, room, before, after)
    met["test_a_higher_rate_never_lowers_margin"] += bool((after.initial_margin > before.initial_margin).any())


@given(venue=venues(), power=st.integers(-20, 20))
def test_margin_scales_exactly_by_powers_of_two(venue: Venue, power: int) -> None:
    scaled = with_quantities_scaled(venue, 2.0**power)
    before, after = report_of(venue), report_of(scaled)
    for name in ("initial_margin", "maintenance_margin"):
        assert_same(getattr(after, name), getattr(before, name) * 2.0**power, tolerance(scaled), before, after)
    met["test_margin_scales_exactly_by_powers_of_two"] += bool(power and (before.initial_margin > 0).any())


@given(venue=venues(), power=st.integers(-20, 20))
def test_everything_scales_exactly_by_powers_of_two(venue: Venue, power: int) -> None:
    scaled = with_quantities_scaled(venue, 2.0**power)
    assert scaled.balances is not None
    balance = [value * 2.0**power for value in scaled.balances["balance"]]
    before = report_of(venue)
    scaled = replace(scaled, balances={**scaled.balances, "balance": balance})
    after = report_of(scaled)
    room = tolerance(scaled)
    for name in VALUES:
        assert_same(getattr(after, name), getattr(before, name) * 2.0**power, room, before, after)
    if before.exact_decisions == after.exact_decisions == 0:
        np.testing.assert_array_equal(after.margin_ratio, before.margin_ratio)
    met["test_everything_scales_exactly_by_powers_of_two"] += bool(power and (before.equity != 0).any())


@given(venue=venues())
def test_closing_everything_at_mark_leaves_the_equity_and_no_margin(venue: Venue) -> None:
    """Profit and loss becomes cash; what is left is equity under the same weights, and health is not lower."""
    before = report_of(venue)
    assert venue.positions is not None
    specs = {name: row for row, name in enumerate(venue.instruments["instrument"])}
    closed = replace(venue, positions=None)
    for account, name, quantity, entry in zip(*venue.positions.values(), strict=True):
        row = specs[name]
        multiplier = venue.instruments["contract_multiplier"][row]
        mark = venue.mark_price[name]
        inverse = venue.instruments["inverse"][row] and venue.instruments["kind"][row] != "option"
        gain = multiplier * (1 / entry - 1 / mark) if inverse else multiplier * (mark - entry)
        closed = with_balance(closed, account, venue.instruments["settlement"][row], quantity * gain)
    after = report_of(closed)
    room = max(tolerance(venue), tolerance(closed))
    for account in before.accounts.tolist():
        assert abs(after[account].equity - before[account].equity) <= room
        assert after[account].maintenance_margin == 0.0
        assert after[account].health >= before[account].health - room
    met["test_closing_everything_at_mark_leaves_the_equity_and_no_margin"] += bool(before.maintenance_margin.any())


@given(venue=venues(), name=st.sampled_from(["balances", "positions"]), seed=st.integers(0, 2**32 - 1))
def test_order_of_rows_changes_no_bit(venue: Venue, name: str, seed: int) -> None:
    frame = getattr(venue, name)
    order = np.random.default_rng(seed).permutation(len(frame["account"]))
    changes: dict[str, Any] = {name: select(frame, order)}
    shuffled = replace(venue, **changes)
    assert bits_by_account(report_of(shuffled)) == bits_by_account(report_of(venue))
    met["test_order_of_rows_changes_no_bit"] += not np.array_equal(order, np.sort(order))


def with_twins(frame: Columns | None) -> Columns:
    """Return the frame with every row once more, for an account of its own."""
    return {
        column: values + ([f"{account}'" for account in values] if column == "account" else values)
        for column, values in (frame or {}).items()
    }


@given(venue=venues())
def test_two_accounts_with_the_same_rows_have_the_same_bits(venue: Venue) -> None:
    assert venue.balances is not None and venue.positions is not None
    twins = replace(venue, balances=with_twins(venue.balances), positions=with_twins(venue.positions))
    figures = bits_by_account(report_of(twins))
    for account in bits_by_account(report_of(venue)):
        assert figures[account] == figures[f"{account}'"]
        met["test_two_accounts_with_the_same_rows_have_the_same_bits"] += 1


@pytest.mark.parametrize("seed", range(4))
def test_evaluating_again_changes_no_bit(seed: int) -> None:
    model, book, market = build(random_venue(seed, accounts=5_000))
    first = columns_of(model.evaluate(book, market))
    for _ in range(5):
        for name, values in columns_of(model.evaluate(book, market)).items():
            assert values.tobytes() == first[name].tobytes(), name
            met["test_evaluating_again_changes_no_bit"] += 1


@given(venue=venues(), data=st.data())
def test_long_and_short_of_the_same_size_are_worth_the_opposite(venue: Venue, data: st.DataObject) -> None:
    if not venue.instruments["instrument"]:
        return
    name = data.draw(st.sampled_from(venue.instruments["instrument"]))
    quantity = data.draw(st.floats(1e-3, 1e3))
    entry = data.draw(st.sampled_from([1.0, 0.1, 250.0]))
    pair = replace(
        venue,
        balances=None,
        positions={
            "account": ["long", "short"],
            "instrument": [name, name],
            "quantity": [quantity, -quantity],
            "entry_price": [entry, entry],
        },
    )
    report = report_of(pair)
    assert report["long"].equity == -report["short"].equity
    row = venue.instruments["instrument"].index(name)
    if venue.instruments["kind"][row] == "option" and not venue.instruments["futures_style"][row]:
        assert report["long"].initial_margin == 0.0
    else:
        assert report["long"].initial_margin == report["short"].initial_margin
    met["test_long_and_short_of_the_same_size_are_worth_the_opposite"] += report["long"].equity != 0


@given(venue=venues())
def test_nothing_held_is_safe(venue: Venue) -> None:
    empty = replace(
        venue,
        positions=None,
        balances={"account": ["nobody"], "asset": ["USD"], "balance": [0.0]},
    )
    nobody = report_of(empty)["nobody"]
    assert isinstance(nobody, xm.AccountMargin)
    assert (nobody.health, nobody.margin_ratio, nobody.liquidatable, nobody.bankrupt) == (0.0, 0.0, False, False)
    met["test_nothing_held_is_safe"] += 1
