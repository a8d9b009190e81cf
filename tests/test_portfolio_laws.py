"""Laws of scenario margin that hold whatever the venue. Each counts how often it had something to say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_building import bare, build, reference_of, report_of
from portfolio_venues import PortfolioVenue, portfolio_venues
from reference_history import HistoryRules
from reference_portfolio import PortfolioRules
from reference_scenarios import ScenarioSet
from strategies import Columns, with_quantities_scaled

met: Counter[str] = Counter()

# Kinds of venues that take the worst of some scenarios.
WORST = ("plain", "offsets", "joint", "absolute")


@pytest.fixture(autouse=True)
def law_was_met(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    name = request.node.name.split("[")[0]
    assert met[name] > 0, f"{name}: no example met its condition"


def tolerance(*priced: PortfolioVenue) -> float:
    """What rounding may do to any figure of the venues."""
    return 1e-12 * max(max(reference_of(one)["gross"], default=0.0) for one in priced)


def scan_risks(priced: PortfolioVenue) -> dict[Any, float]:
    report = report_of(priced)
    return dict(zip(report.accounts.tolist(), report.scan_risk.tolist(), strict=True))


def merged(priced: PortfolioVenue, accounts: tuple[Any, Any], into: Any) -> PortfolioVenue:
    """Return the venue with one more account that has the positions of two, netted."""
    positions = priced.venue.positions
    assert positions is not None
    quantity: dict[Any, float] = {}
    entries: dict[Any, float] = {}
    for account, name, size, price in zip(
        *(positions[column] for column in ("account", "instrument", "quantity", "entry_price")), strict=True
    ):
        if account in accounts:
            quantity[name] = quantity.get(name, 0.0) + size
            entries[name] = price
    added: Columns = {
        "account": [into] * len(quantity),
        "instrument": list(quantity),
        "quantity": list(quantity.values()),
        "entry_price": [entries[name] for name in quantity],
        "entry_funding": [0.0] * len(quantity),
    }
    return priced.with_positions({name: [*cells, *added[name]] for name, cells in positions.items()})


def scenario_set(priced: PortfolioVenue) -> ScenarioSet:
    assert isinstance(priced.terms, PortfolioRules)
    [scenarios] = priced.terms.sets
    return scenarios


def with_set(priced: PortfolioVenue, scenarios: ScenarioSet) -> PortfolioVenue:
    return priced.with_terms(sets=(scenarios,))


def picked(scenarios: ScenarioSet, order: list[int]) -> ScenarioSet:
    """Return some of the scenarios, in this order; any may come twice."""

    def pick(column: Any) -> Any:
        if isinstance(column, dict):
            return {name: pick(cells) for name, cells in column.items()}
        return None if column is None else [column[row] for row in order]

    names = ("price_shock", "volatility_shock", "weight")
    return replace(scenarios, **{name: pick(getattr(scenarios, name)) for name in names})


@given(priced=portfolio_venues(), power=st.integers(-20, 20))
def test_scan_risk_is_homogeneous_to_the_last_bit_by_powers_of_two(priced: PortfolioVenue, power: int) -> None:
    priced = bare(priced)
    scaled = replace(priced, venue=with_quantities_scaled(priced.venue, 2.0**power))
    before, after = report_of(priced), report_of(scaled)
    np.testing.assert_array_equal(after.scan_risk, before.scan_risk * 2.0**power)
    np.testing.assert_array_equal(after.worst_scenario, before.worst_scenario)
    met["test_scan_risk_is_homogeneous_to_the_last_bit_by_powers_of_two"] += bool(power and before.scan_risk.any())


@given(priced=portfolio_venues(), factor=st.floats(0.01, 100.0))
def test_scan_risk_is_homogeneous(priced: PortfolioVenue, factor: float) -> None:
    priced = bare(priced)
    scaled = replace(priced, venue=with_quantities_scaled(priced.venue, factor))
    before, after = report_of(priced), report_of(scaled)
    np.testing.assert_allclose(after.scan_risk, before.scan_risk * factor, rtol=0, atol=tolerance(scaled))
    met["test_scan_risk_is_homogeneous"] += bool(before.scan_risk.any())


@given(priced=portfolio_venues(*WORST, "history"), data=st.data())
def test_netting_two_accounts_never_raises_the_scan_risk(priced: PortfolioVenue, data: st.DataObject) -> None:
    """Subadditive: worst losses and expected shortfall are, a quantile is not."""
    priced = bare(priced)
    if isinstance(priced.terms, HistoryRules):
        priced = priced.with_terms(measure="es")
    alone = scan_risks(priced)
    pair = (data.draw(st.sampled_from(list(alone))), data.draw(st.sampled_from(list(alone))))
    if pair[0] == pair[1]:
        return
    both = merged(priced, pair, into=999)
    together = scan_risks(both).get(999, 0.0)
    separate = alone[pair[0]] + alone[pair[1]]
    assert together <= separate + tolerance(both)
    met["test_netting_two_accounts_never_raises_the_scan_risk"] += together < 0.99 * separate


@given(priced=portfolio_venues(*WORST), data=st.data())
def test_more_scenarios_never_lower_the_scan_risk(priced: PortfolioVenue, data: st.DataObject) -> None:
    priced = bare(priced)
    scenarios = scenario_set(priced)
    kept = data.draw(st.lists(st.integers(0, len(scenarios) - 1), min_size=1, unique=True))
    fewer, all_ = report_of(with_set(priced, picked(scenarios, kept))), report_of(priced)
    assert (fewer.scan_risk <= all_.scan_risk).all()
    met["test_more_scenarios_never_lower_the_scan_risk"] += bool((fewer.scan_risk < all_.scan_risk).any())


@given(priced=portfolio_venues(*WORST), data=st.data())
def test_order_of_scenarios_changes_no_bit_of_the_scan_risk(priced: PortfolioVenue, data: st.DataObject) -> None:
    priced = bare(priced)
    scenarios = scenario_set(priced)
    order = data.draw(st.permutations(range(len(scenarios))))
    before, after = report_of(priced), report_of(with_set(priced, picked(scenarios, order)))
    np.testing.assert_array_equal(after.scan_risk, before.scan_risk)
    np.testing.assert_array_equal(after.worst_scenario == -1, before.worst_scenario == -1)
    # Each scenario once more, at the end: the first of equal ones is the worst.
    twice = report_of(with_set(priced, picked(scenarios, [*range(len(scenarios))] * 2)))
    np.testing.assert_array_equal(twice.worst_scenario, before.worst_scenario)
    met["test_order_of_scenarios_changes_no_bit_of_the_scan_risk"] += bool(before.scan_risk.any())


@given(priced=portfolio_venues("plain", "offsets"), share=st.floats(0, 1), more=st.floats(0, 1))
def test_full_offsets_need_no_more_than_a_share_of_them_and_that_no_more_than_none(
    priced: PortfolioVenue, share: float, more: float
) -> None:
    priced = bare(priced)
    room = tolerance(priced)
    share, more = sorted((share, more))
    full, larger, smaller, none = (
        report_of(priced.with_terms(offsets=offsets)).scan_risk for offsets in (1.0, more, share, None)
    )
    assert (full <= larger + room).all() and (larger <= smaller + room).all() and (smaller <= none + room).all()
    name = "test_full_offsets_need_no_more_than_a_share_of_them_and_that_no_more_than_none"
    met[name] += bool((full < smaller - room).any() and (smaller < none - room).any())


@given(priced=portfolio_venues("plain", "offsets"))
def test_no_share_of_gains_is_more_than_each_for_itself_but_for_the_scenario(priced: PortfolioVenue) -> None:
    """At a share of 0 all take the same scenario, with "none" each its own; where one underlying is held they agree."""
    priced = bare(priced)
    none, nothing = report_of(priced.with_terms(offsets=None)), report_of(priced.with_terms(offsets=0.0))
    underlying = dict(zip(*(priced.venue.instruments[name] for name in ("instrument", "underlying")), strict=True))
    assert priced.venue.positions is not None
    held: dict[Any, set[Any]] = {}
    for account, name in zip(priced.venue.positions["account"], priced.venue.positions["instrument"], strict=True):
        held.setdefault(account, set()).add(underlying[name])
    for row, account in enumerate(none.accounts.tolist()):
        if len(held.get(account, ())) < 2:
            assert nothing.scan_risk[row] == none.scan_risk[row]
            assert nothing.worst_scenario[row] == none.worst_scenario[row]
            name = "test_no_share_of_gains_is_more_than_each_for_itself_but_for_the_scenario"
            met[name] += bool(none.scan_risk[row] > 0)


@given(priced=portfolio_venues())
def test_maintenance_is_never_stricter_than_initial(priced: PortfolioVenue) -> None:
    report = report_of(priced)
    for part in (report, report.isolated):
        # A factor of at least 1, and order risk of at least 0: no tolerance.
        assert (part.maintenance_margin >= 0).all() and (part.maintenance_margin <= part.initial_margin).all()
    charges = report.scan_risk + sum(report.contingencies.values())
    np.testing.assert_allclose(report.maintenance_margin, charges, rtol=1e-12, atol=0)
    assert (report.scan_risk >= 0).all() and all((values >= 0).all() for values in report.contingencies.values())
    met["test_maintenance_is_never_stricter_than_initial"] += bool((report.initial_margin > 0).any())


@given(priced=portfolio_venues())
def test_scenarios_without_shocks_cost_nothing(priced: PortfolioVenue) -> None:
    priced = bare(priced)
    if isinstance(priced.terms, HistoryRules):
        still: Any = {name: np.zeros(20) for name in priced.terms.returns}
        priced = priced.with_terms(returns=still, stressed_returns=None)
    else:
        still = {name: [0.0, 0.0] for name in priced.venue.instruments["underlying"]}
        nothing = replace(scenario_set(priced), price_shock=still, volatility_shock=None)
        priced = with_set(priced, replace(nothing, weight=[1.0, 2.0]))
    model, book, market = build(priced)
    report = model.evaluate(book, market)
    assert not report.scan_risk.any() and (report.worst_scenario == -1).all()
    # Options are not an exception: the base is what the model says, not the mark.
    assert not model.risk_arrays(market).losses.any()
    met["test_scenarios_without_shocks_cost_nothing"] += book.position_count > 0


@given(priced=portfolio_venues("plain", "joint", "history"))
def test_losses_of_an_account_are_its_positions_times_the_risk_arrays(priced: PortfolioVenue) -> None:
    """Anyone can replicate the margin outside: quantities, the published losses, and a maximum."""
    priced = bare(priced)
    model, book, market = build(priced)
    report, arrays = model.evaluate(book, market), model.risk_arrays(market)
    room = tolerance(priced)
    assert arrays.losses.shape[1] == sum(len(scenarios) for scenarios in priced.rules.sets)
    underlying = dict(zip(*(priced.venue.instruments[name] for name in ("instrument", "underlying")), strict=True))
    positions = book.positions
    for account in report.accounts.tolist():
        mine = (positions["account"] == account) & (positions["quantity"] != 0)
        held = np.flatnonzero(mine).tolist()
        parts = np.array([positions["quantity"][row] * arrays[positions["instrument"][row]] for row in held])
        parts = parts.reshape(len(held), arrays.losses.shape[1])
        told = report.scenario_losses(account)
        assert told.instruments == positions["instrument"][held].tolist()
        np.testing.assert_array_equal(told.quantity, positions["quantity"][held])
        np.testing.assert_array_equal(told.losses, parts)
        np.testing.assert_allclose(told.total, parts.sum(axis=0), rtol=0, atol=room)
        row = report.accounts.tolist().index(account)
        if isinstance(priced.terms, PortfolioRules):
            groups: dict[Any, Any] = {}
            for name, losses in zip(positions["instrument"][held], parts, strict=True):
                key = None if scenario_set(priced).joint else underlying[name]
                groups[key] = groups.get(key, 0.0) + losses
            by_hand = sum(max(0.0, losses.max()) for losses in groups.values())
            assert abs(by_hand - report.scan_risk[row]) <= room
            met["test_losses_of_an_account_are_its_positions_times_the_risk_arrays"] += by_hand > 0
        elif report.worst_scenario[row] >= 0:
            assert told.total[report.worst_scenario[row]] >= report.scan_risk[row] - room


@given(priced=portfolio_venues())
def test_balances_and_entry_prices_change_no_requirement(priced: PortfolioVenue) -> None:
    # But for what moves inside the scenarios.
    priced = priced.with_terms(in_scenario={})
    venue = priced.venue
    assert venue.positions is not None
    poor = replace(priced, venue=replace(venue, balances=None))
    entries = [price or 0.5 for price in venue.positions["entry_price"]]
    late = replace(priced, venue=replace(venue, positions={**venue.positions, "entry_price": entries[::-1]}))
    signed = dict(zip(*(venue.instruments[name] for name in ("instrument", "allow_negative_price")), strict=True))
    before = report_of(priced)
    figures = dict(zip(before.accounts.tolist(), before.maintenance_margin.tolist(), strict=True))
    others = [poor] if any(signed.values()) else [poor, late]
    for other in others:
        report = report_of(other)
        for account, margin in zip(report.accounts.tolist(), report.maintenance_margin.tolist(), strict=True):
            if not report.exact_decisions and not before.exact_decisions:
                assert margin == figures[account]
                met["test_balances_and_entry_prices_change_no_requirement"] += margin > 0


@given(priced=portfolio_venues(*WORST), more=st.floats(0, 5))
def test_weights_scale_losses(priced: PortfolioVenue, more: float) -> None:
    priced = bare(priced)
    scenarios = scenario_set(priced)
    before = report_of(priced)
    doubled = report_of(with_set(priced, replace(scenarios, weight=(2 * scenarios.weights).tolist())))
    if priced.rules.offsets in (None, 0.0, 1.0):
        if before.exact_decisions or doubled.exact_decisions:
            # What is settled exactly is rounded once, a sum for every position.
            np.testing.assert_allclose(doubled.scan_risk, 2 * before.scan_risk, rtol=1e-14)
        else:
            np.testing.assert_array_equal(doubled.scan_risk, 2 * before.scan_risk)
    heavier = report_of(with_set(priced, replace(scenarios, weight=(scenarios.weights + more).tolist())))
    if priced.rules.offsets is None:
        assert (heavier.scan_risk >= before.scan_risk - tolerance(priced)).all()
    met["test_weights_scale_losses"] += bool(before.scan_risk.any())


@given(priced=portfolio_venues(*WORST))
def test_charges_and_factors_only_add(priced: PortfolioVenue) -> None:
    assert isinstance(priced.terms, PortfolioRules)
    charged = replace(bare(priced), terms=replace(priced.terms, in_scenario={}))
    plain, before = report_of(bare(priced)), report_of(charged)
    # To the last bit but where an account was decided exactly.
    np.testing.assert_allclose(plain.scan_risk, before.scan_risk, rtol=0, atol=tolerance(charged))
    assert (before.maintenance_margin >= plain.maintenance_margin - tolerance(charged)).all()
    np.testing.assert_allclose(
        before.initial_margin, priced.terms.initial_factor * before.maintenance_margin, rtol=1e-12, atol=0
    )
    met["test_charges_and_factors_only_add"] += bool((before.maintenance_margin > plain.maintenance_margin).any())


@given(priced=portfolio_venues(), richer=st.sampled_from([1.0, 10.0, 1000.0]))
def test_flags_alone_are_those_of_the_report(priced: PortfolioVenue, richer: float) -> None:
    """Whether a bound settles them, as where balances are large, or scenarios do."""
    assert priced.venue.balances is not None
    balances = priced.venue.balances | {"balance": [richer * balance for balance in priced.venue.balances["balance"]]}
    model, book, market = build(replace(priced, venue=replace(priced.venue, balances=balances)))
    flags = model.liquidatable(book, market)
    np.testing.assert_array_equal(flags, model.evaluate(book, market).liquidatable)
    met["test_flags_alone_are_those_of_the_report"] += bool(flags.any() and not flags.all())
