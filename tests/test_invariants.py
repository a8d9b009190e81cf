"""Invariants of a margin engine, on books that mix the rules. Each counts how often it had something to say.

The numbers are those of the project's list of invariants: I5, I6, I16 to I21, I24.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import xmfast as xm
from building import Report, isolated_bits_by_position, reference_of, report_of
from changes import (
    COLLATERAL_PARAMETERS,
    MARGIN_PARAMETERS,
    merged,
    rules_of,
    tightened,
    with_balance,
    with_cell,
    with_part_closed,
    with_sizes_scaled,
)
from reference import cross_unit
from reference_rules import given as cell
from reference_rules import rows
from reference_units import accounts_of
from rule_venues import RULES, busy_venues
from small_venue import brackets
from small_venue import venue as small_venue
from strategies import Venue

# Of a hundred examples; an invariant that is met less often says little.
ENOUGH = 15
met: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def invariant_was_met(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    name = request.node.name
    if name in met:
        assert met[name] >= ENOUGH, f"{name}: its condition was met {met[name]} times"


def meets(name: str, condition: object) -> None:
    met[name] += bool(condition)


def room_of(*venues: Venue) -> float:
    """Return what rounding may do to any figure of the venues."""
    room = 0.0
    for venue in venues:
        expected = reference_of(venue)
        room = max([room, *expected["gross"], *expected["isolated"]["gross"]])
    return 1e-12 * room


def column(report: Report, name: str) -> Any:
    return np.asarray(getattr(report, name))


def never_lower(after: Report, before: Report, room: float, *names: str) -> bool:
    """Assert that no figure has fallen, and return whether one has risen."""
    risen = False
    for name in names:
        change = column(after, name) - column(before, name)
        assert (change >= -room).all(), name
        risen |= bool((change > room).any())
    return risen


def never_higher(after: Report, before: Report, room: float, *names: str) -> bool:
    """Assert that no figure has risen, and return whether one has fallen."""
    return never_lower(before, after, room, *names)


@given(venue=busy_venues(mode="cross"), data=st.data())
def test_i5_no_withdrawal_of_free_collateral_leaves_less_than_initial_margin(venue: Venue, data: st.DataObject) -> None:
    report = report_of(venue)
    free = {
        account: float(free) for account, free in zip(report.accounts.tolist(), report.free_collateral, strict=True)
    }
    rich = [account for account, amount in free.items() if amount > 0]
    assume(rich)
    account, asset = data.draw(st.sampled_from(rich)), data.draw(st.sampled_from(venue.assets["asset"]))
    rules = rules_of(venue).asset(asset)
    assume(rules.index_price > 0)
    # What leaves may have been owned or become a loan; the dearer of the two is what may be taken.
    dearest = rules.index_price * rules.initial.liability_weight * max(rules.deposit_index, rules.borrow_index)
    withdrawn = with_balance(venue, account, asset, -free[account] / dearest)
    after = report_of(withdrawn)[account]
    room = room_of(venue, withdrawn)
    assert after.initial_health >= -room
    assert after.equity >= after.initial_margin - room
    assert after.health >= -room
    meets("test_i5_no_withdrawal_of_free_collateral_leaves_less_than_initial_margin", free[account] > room)


@given(venue=busy_venues(), data=st.data())
def test_i5_nor_does_one_from_an_isolated_position(venue: Venue, data: st.DataObject) -> None:
    report = report_of(venue).isolated
    places = {(row["account"], row["instrument"]): at for at, row in enumerate(rows(venue.positions))}
    positions = list(rows(venue.positions))
    free = [
        (at, places[position])
        for at, position in enumerate(zip(report.accounts.tolist(), report.instruments.tolist(), strict=True))
        if report.free_collateral[at] > 0 and cell(positions[places[position]], "isolated_margin")
    ]
    assume(free)
    at, row = data.draw(st.sampled_from(free))
    asset = rules_of(venue).asset(rules_of(venue).settlement(positions[row]["instrument"]))
    margin = positions[row]["isolated_margin"]
    taken = min(margin, float(report.free_collateral[at]) / (asset.index_price * asset.initial.liability_weight))
    withdrawn = replace(venue, positions=with_cell(venue.positions, "isolated_margin", row, margin - taken))
    after = report_of(withdrawn).isolated
    room = room_of(venue, withdrawn)
    assert after.initial_health[at] >= -room
    assert after.equity[at] >= after.initial_margin[at] - room
    meets("test_i5_nor_does_one_from_an_isolated_position", taken > 0)


@given(venue=busy_venues(mode="cross"))
def test_i6_gains_that_are_not_realized_count_no_more_than_their_share(venue: Venue) -> None:
    collateral = venue.collateral
    assume(collateral and collateral["asset"])
    assert collateral is not None
    without = replace(venue, collateral={**collateral, "unrealized_gain_share": [0.0] * len(collateral["asset"])})
    rules, report, bare = rules_of(venue), report_of(venue), report_of(without)
    room = room_of(venue)
    for at, account in enumerate(accounts_of(venue.balances, venue.positions, venue.orders, venue.accounts)):
        # An asset without parameters of its own counts its gains in full in both.
        gains = {
            asset: max(0.0, amount)
            for asset, amount in cross_unit(rules, account).unrealized.items()
            if asset in collateral["asset"]
        }
        for name, weights in (("collateral_value", "maintenance"), ("initial_collateral_value", "initial")):
            most = sum(
                rules.asset(asset).unrealized_gain_share
                * gain
                * rules.asset(asset).index_price
                * getattr(rules.asset(asset), weights).liability_weight
                for asset, gain in gains.items()
            )
            counted = column(report, name)[at] - column(bare, name)[at]
            assert -room <= counted <= most + room
        meets(
            "test_i6_gains_that_are_not_realized_count_no_more_than_their_share",
            any(0 < rules.asset(asset).unrealized_gain_share < 1 and gain > 0 for asset, gain in gains.items()),
        )
    np.testing.assert_array_equal(report.maintenance_margin, bare.maintenance_margin)


@given(venue=busy_venues(), data=st.data(), amount=st.floats(1e-3, 1e6))
def test_i16_a_gift_never_lowers_health(venue: Venue, data: st.DataObject, amount: float) -> None:
    before = report_of(venue)
    assume(len(before))
    account = data.draw(st.sampled_from(before.accounts.tolist()))
    given_to = with_balance(venue, account, data.draw(st.sampled_from(venue.assets["asset"])), amount)
    after = report_of(given_to)
    room = room_of(venue, given_to)
    names = ("equity", "collateral_value", "initial_collateral_value", "health", "initial_health", "free_collateral")
    of_account = dict(zip(after.accounts.tolist(), range(len(after)), strict=True))
    assert after.accounts.tolist() == before.accounts.tolist() or len(after) == len(before)
    rose = False
    for name in names:
        figures = column(after, name)[[of_account[known] for known in before.accounts.tolist()]]
        assert (figures >= column(before, name) - room).all(), name
        rose |= bool((figures > column(before, name) + room).any())
    rose |= lower_nowhere(after.isolated, before.isolated, room, names)
    meets("test_i16_a_gift_never_lowers_health", rose)


def lower_nowhere(after: Any, before: Any, room: float, names: tuple[str, ...]) -> bool:
    """Assert the same of isolated positions, whose order may have changed with that of the accounts."""

    def by_position(report: Any, name: str) -> dict[Any, float]:
        positions = zip(report.accounts.tolist(), report.instruments.tolist(), strict=True)
        return dict(zip(positions, column(report, name).tolist(), strict=True))

    rose = False
    for name in names:
        new = by_position(after, name)
        for position, figure in by_position(before, name).items():
            assert new[position] >= figure - room, (name, position)
            rose |= new[position] > figure + room
    return rose


@given(venue=busy_venues(), data=st.data(), amount=st.floats(1e-3, 1e6))
def test_i16_nor_does_one_to_an_isolated_position(venue: Venue, data: st.DataObject, amount: float) -> None:
    margins = (venue.positions or {}).get("isolated_margin", [])
    posted = [row for row, margin in enumerate(margins) if margin is not None]
    assume(posted)
    row = data.draw(st.sampled_from(posted))
    after_venue = replace(venue, positions=with_cell(venue.positions, "isolated_margin", row, margins[row] + amount))
    before, after = report_of(venue), report_of(after_venue)
    room = room_of(venue, after_venue)
    rose = never_lower(after.isolated, before.isolated, room, "equity", "health", "initial_health")
    never_lower(after, before, 0.0, "equity", "health", "initial_health")
    never_higher(after, before, 0.0, "equity", "health", "initial_health")
    meets("test_i16_nor_does_one_to_an_isolated_position", rose)


MARGINS = ("initial_margin", "maintenance_margin")
WORTH = ("collateral_value", "initial_collateral_value")
HEALTH = ("health", "initial_health")


@pytest.mark.parametrize("what", [*COLLATERAL_PARAMETERS, *MARGIN_PARAMETERS])
@given(venue=busy_venues(), random=st.randoms(use_true_random=False))
def test_i17_a_stricter_parameter_never_lowers_what_is_needed(what: str, venue: Venue, random: Random) -> None:
    after_venue = tightened(venue, what, random)
    assume(after_venue != venue)
    before, after = report_of(venue), report_of(after_venue)
    room = room_of(venue, after_venue)
    stricter = False
    for old, new in ((before, after), (before.isolated, after.isolated)):
        stricter |= never_lower(new, old, room, *MARGINS)
        if venue.mode == "cross" or what in COLLATERAL_PARAMETERS:
            # Where positions share the balances by what they need, one that needs more takes from the others.
            stricter |= never_higher(new, old, room, *WORTH, *HEALTH)
            np.testing.assert_allclose(column(new, "equity"), column(old, "equity"), rtol=0, atol=room)
    # Some kinds bite only where amounts are large enough.
    meets(f"test_i17_a_stricter_parameter_never_lowers_what_is_needed[{what}]", stricter)


@given(venue=busy_venues(mode="cross"), data=st.data(), part=st.sampled_from([0.1, 0.5, 1.0]))
def test_i18_closing_never_lowers_equity_less_maintenance_margin(
    venue: Venue, data: st.DataObject, part: float
) -> None:
    open_positions = [
        at for at, row in enumerate(rows(venue.positions)) if row["quantity"] and cell(row, "isolated_margin") is None
    ]
    assume(open_positions)
    row = data.draw(st.sampled_from(open_positions))
    after_venue = with_part_closed(venue, row, part)
    assert venue.positions is not None
    account = venue.positions["account"][row]
    before, after = report_of(venue)[account], report_of(after_venue)[account]
    room = room_of(venue, after_venue)
    assert abs(after.equity - before.equity) <= room
    assert after.maintenance_margin <= before.maintenance_margin + room
    assert after.equity - after.maintenance_margin >= before.equity - before.maintenance_margin - room
    meets(
        "test_i18_closing_never_lowers_equity_less_maintenance_margin",
        before.maintenance_margin > after.maintenance_margin + room,
    )


@given(venue=busy_venues(mode="cross"), data=st.data(), part=st.sampled_from([0.1, 0.5, 1.0]))
def test_i18_nor_does_closing_an_isolated_position(venue: Venue, data: st.DataObject, part: float) -> None:
    posted = [at for at, row in enumerate(rows(venue.positions)) if row["quantity"] and cell(row, "isolated_margin")]
    assume(posted)
    row = data.draw(st.sampled_from(posted))
    after_venue = with_part_closed(venue, row, part)
    assert after_venue.positions is not None
    # A loss that the margin does not cover is the venue's, and no position may be left with less than nothing.
    assume(after_venue.positions["isolated_margin"][row] >= 0)
    before, after = report_of(venue).isolated, report_of(after_venue).isolated
    room = room_of(venue, after_venue)
    np.testing.assert_allclose(column(after, "equity"), column(before, "equity"), rtol=0, atol=room)
    lower = never_higher(after, before, room, "maintenance_margin")
    meets("test_i18_nor_does_closing_an_isolated_position", lower)


CONSTANT = tuple(rule for rule in RULES if rule != "brackets")


@given(venue=busy_venues(mode="cross", among=tuple(rule for rule in CONSTANT if rule != "isolated")), data=st.data())
def test_i19_merging_accounts_never_raises_margin_at_constant_rates(venue: Venue, data: st.DataObject) -> None:
    before = report_of(venue)
    assume(len(before) >= 2)
    first, second = data.draw(st.permutations(before.accounts.tolist()))[:2]
    after_venue = merged(venue, first, second)
    after = report_of(after_venue)
    room = room_of(venue, after_venue)
    fell = False
    for name in MARGINS:
        apart = getattr(before[first], name) + getattr(before[second], name)
        assert getattr(after[first], name) <= apart + room, name
        fell |= getattr(after[first], name) < apart - room
    both = min(before[first].initial_margin, before[second].initial_margin) > 0
    meets("test_i19_merging_accounts_never_raises_margin_at_constant_rates", both or fell)


def test_i19_holds_for_constant_rates_only() -> None:
    """Two accounts with one bracket full each need less than one account that goes into the second."""
    margin = brackets("PERP", (0.0, 0.1, 0.05), (1000.0, 0.5, 0.25))
    apart = small_venue(positions=[("PERP", 10.0, 100.0)], margin=margin)
    together = small_venue(positions=[("PERP", 20.0, 100.0)], margin=margin)
    assert report_of(together).maintenance_margin[0] > 2 * report_of(apart).maintenance_margin[0]


@given(venue=busy_venues(among=CONSTANT), factor=st.floats(0.01, 100.0))
def test_i20_margin_grows_with_size_at_constant_rates(venue: Venue, factor: float) -> None:
    scaled = with_sizes_scaled(venue, factor)
    before, after = report_of(venue), report_of(scaled)
    room = room_of(venue, scaled) * max(1.0, factor)
    for old, new in ((before, after), (before.isolated, after.isolated)):
        for name in MARGINS:
            np.testing.assert_allclose(column(new, name), factor * column(old, name), rtol=0, atol=room, err_msg=name)
        meets("test_i20_margin_grows_with_size_at_constant_rates", factor != 1 and column(old, "initial_margin").any())


@given(venue=busy_venues(), factor=st.floats(1.0, 100.0))
def test_i20_and_faster_than_size_in_brackets(venue: Venue, factor: float) -> None:
    scaled = with_sizes_scaled(venue, factor)
    before, after = report_of(venue), report_of(scaled)
    room = room_of(venue, scaled) * factor
    for old, new in ((before, after), (before.isolated, after.isolated)):
        for name in MARGINS:
            grown = column(new, name) - factor * column(old, name)
            assert (grown >= -room).all(), name
            meets("test_i20_and_faster_than_size_in_brackets", (grown > room).any())


@given(venue=busy_venues())
def test_i21_maintenance_is_never_stricter_than_initial(venue: Venue) -> None:
    report, room = report_of(venue), room_of(venue)
    for part in (report, report.isolated):
        assert (column(part, "maintenance_margin") <= column(part, "initial_margin") + room).all()
        assert (column(part, "maintenance_margin") >= 0).all()
        assert (column(part, "initial_collateral_value") <= column(part, "collateral_value") + room).all()
        assert (column(part, "collateral_value") <= column(part, "equity") + room).all()
        assert (column(part, "initial_health") <= column(part, "health") + room).all()
        meets("test_i21_maintenance_is_never_stricter_than_initial", column(part, "initial_margin").any())


@given(venue=busy_venues(mode="cross"), random=st.randoms(use_true_random=False), data=st.data())
def test_i24_tightening_never_frees_margin(venue: Venue, random: Random, data: st.DataObject) -> None:
    """Whatever is tightened together: the account, its isolated positions and the venue as a whole have no more."""
    after_venue = venue
    kinds = st.sampled_from([*COLLATERAL_PARAMETERS, *MARGIN_PARAMETERS])
    for what in data.draw(st.lists(kinds, min_size=2, max_size=6, unique=True)):
        after_venue = tightened(after_venue, what, random)
    before, after = report_of(venue), report_of(after_venue)
    room = room_of(venue, after_venue)
    names = (*HEALTH, *WORTH, "free_collateral")
    for old, new in ((before, after), (before.isolated, after.isolated)):
        fell = never_higher(new, old, room, *names)
        never_lower(new, old, room, *MARGINS)
        newly_sound = column(old, "liquidatable") & ~column(new, "liquidatable")
        assert (np.abs(column(new, "health")[newly_sound]) <= room).all()
        meets("test_i24_tightening_never_frees_margin", fell)


@given(venue=busy_venues())
def test_columns_agree_with_each_other(venue: Venue) -> None:
    report, room = report_of(venue), room_of(venue)
    for part in (report, report.isolated):
        health, initial_health = column(part, "health"), column(part, "initial_health")
        np.testing.assert_array_equal(part.liquidatable, health < 0)
        np.testing.assert_array_equal(part.bankrupt, column(part, "equity") < 0)
        np.testing.assert_array_equal(part.free_collateral, np.maximum(initial_health, 0))
        for figure, worth, margin in ((health, *WORTH[:1], MARGINS[1]), (initial_health, WORTH[1], MARGINS[0])):
            np.testing.assert_allclose(figure, column(part, worth) - column(part, margin), rtol=0, atol=room)
        clear = np.abs(health) > room
        np.testing.assert_array_equal((column(part, "margin_ratio") > 1)[clear], column(part, "liquidatable")[clear])
        meets("test_columns_agree_with_each_other", column(part, "liquidatable").any())


@given(venue=busy_venues())
def test_no_value_is_lost_between_an_account_and_its_positions(venue: Venue) -> None:
    """Equity of the account and of its isolated positions is the same sum, whichever positions stand alone."""
    totals = []
    for mode in ("cross", "isolated"):
        report = report_of(replace(venue, mode=mode))
        owners = dict.fromkeys(report.accounts.tolist(), 0.0)
        for account, equity in zip(report.accounts.tolist(), report.equity, strict=True):
            owners[account] += equity
        for account, equity in zip(report.isolated.accounts.tolist(), report.isolated.equity, strict=True):
            owners[account] += equity
        totals.append(owners)
    room = room_of(venue, replace(venue, mode="isolated"))
    for account, equity in totals[0].items():
        assert abs(totals[1][account] - equity) <= room
        meets("test_no_value_is_lost_between_an_account_and_its_positions", equity)


@given(venue=busy_venues(mode="cross"), factor=st.sampled_from([0.5, 2.0]))
def test_an_isolated_position_never_touches_its_account(venue: Venue, factor: float) -> None:
    """Bought at another price, on other margin, in another size: the account and all other positions stay the same."""
    posted = [at for at, row in enumerate(rows(venue.positions)) if cell(row, "isolated_margin") is not None]
    assume(posted)
    assert venue.positions is not None
    changed: dict[str, Any] = {}
    for name in ("quantity", "entry_price", "isolated_margin"):
        cells = venue.positions[name]
        changed[name] = [old * factor if at == posted[0] else old for at, old in enumerate(cells)]
    before = report_of(venue)
    after = report_of(replace(venue, positions={**venue.positions, **changed}))
    assert isinstance(after, xm.MarginReport) or after is not None
    for name in ("equity", "health", "initial_health", "initial_margin", "maintenance_margin", "collateral_value"):
        np.testing.assert_array_equal(column(after, name), column(before, name))
    position = venue.positions["account"][posted[0]], venue.positions["instrument"][posted[0]]
    new, old = isolated_bits_by_position(after), isolated_bits_by_position(before)
    assert {key: bits for key, bits in new.items() if key != position} == {
        key: bits for key, bits in old.items() if key != position
    }
    meets("test_an_isolated_position_never_touches_its_account", new[position] != old[position])
