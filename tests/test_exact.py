"""Decisions are those of exact arithmetic on the decimals given, also where no float can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

import xmfast as xm
from building import SIMD_PATHS, Report, bits_of, build, isolated_bits_of, reference_of, report_of, settings
from knife_edge import FIGURES, Edge, decimal_beside, knife_edge_venue
from reference import exact
from rule_venues import RULES, random_rule_venue, rule_venues
from small_venue import brackets
from small_venue import venue as small_venue
from strategies import Venue

MODES = ("cross", "isolated")
ACCOUNTS = 5000  # of each mode


def signs(values: Sequence[Any]) -> list[int]:
    return [(value > 0) - (value < 0) for value in values]


def assert_decisions_are_exact(report: Report, expected: dict[str, list[Any]]) -> None:
    """Assert that no sign and no flag differs, and that numbers and flags tell the same story."""
    for name in FIGURES:
        got, right = signs(getattr(report, name).tolist()), signs(expected[name])
        wrong = [row for row, (a, b) in enumerate(zip(got, right, strict=True)) if a != b]
        assert not wrong, f"{len(wrong)} signs of {name}, first in row {wrong[0]}: {float(expected[name][wrong[0]])!r}"
    for name in ("liquidatable", "bankrupt"):
        assert getattr(report, name).tolist() == expected[name], name
    np.testing.assert_array_equal(report.liquidatable, np.asarray(report.health) < 0)
    np.testing.assert_array_equal(report.bankrupt, np.asarray(report.equity) < 0)
    np.testing.assert_array_equal(report.free_collateral, np.maximum(report.initial_health, 0))
    ratio = np.asarray(report.margin_ratio)
    # A ratio within half a last unit of 1 is 1, but never on the wrong side of it.
    assert (ratio[np.asarray(report.health) > 0] <= 1).all() and (ratio[np.asarray(report.health) < 0] >= 1).all()
    needed = np.array([need > 0 for need in expected["weighted_needs"]], dtype=bool)
    assert (ratio[(np.asarray(report.health) == 0) & needed] == 1).all()


def assert_rounded_correctly(report: Report, expected: dict[str, list[Any]], rows: Sequence[int]) -> None:
    """Assert that the figures that decide are the floats nearest to the exact ones."""
    for name in FIGURES:
        got = np.asarray(getattr(report, name))[rows].tolist()
        right = [float(expected[name][row]) for row in rows]
        wrong = [row for row, a, b in zip(rows, got, right, strict=True) if a != b]
        assert not wrong, f"{len(wrong)} of {name}, first in row {wrong[0]}: {float(expected[name][wrong[0]])!r}"


@pytest.fixture(scope="module", params=MODES)
def edges(request: pytest.FixtureRequest) -> tuple[Venue, list[Edge], dict[str, Any]]:
    venue, edges = knife_edge_venue(2026, accounts=ACCOUNTS, mode=request.param)
    return venue, edges, reference_of(venue, number=exact)


def rows_at(edges: list[Edge], expected: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Return the rows that are at the edge: of the report, and of its isolated positions."""
    accounts = {account: row for row, account in enumerate(expected["account"])}
    isolated = expected["isolated"]
    positions = {
        position: row for row, position in enumerate(zip(isolated["account"], isolated["instrument"], strict=True))
    }
    return (
        [accounts[edge.account] for edge in edges if edge.instrument is None],
        [positions[edge.account, edge.instrument] for edge in edges if edge.instrument is not None],
    )


def test_knife_edge_accounts_are_at_the_edge(edges: tuple[Venue, list[Edge], dict[str, Any]]) -> None:
    """The generator is worth something: most are on either side, many are ties, and floats alone would be wrong."""
    venue, where, expected = edges
    floats = reference_of(venue)
    own, alone = rows_at(where, expected)
    count, wrong = {-1: 0, 0: 0, 1: 0}, 0
    for part, rows, named in ((None, own, False), ("isolated", alone, True)):
        right, guess = (expected, floats) if part is None else (expected[part], floats[part])
        figures = [edge.figure for edge in where if (edge.instrument is not None) == named]
        for row, figure in zip(rows, figures, strict=True):
            assert abs(right[figure][row]) <= 1e-15 * right["gross"][row]
            count[signs([right[figure][row]])[0]] += 1
            wrong += signs([right[figure][row]]) != signs([guess[figure][row]])
    assert sum(count.values()) == len(where) == ACCOUNTS
    assert min(count.values()) > ACCOUNTS / 20 and wrong > ACCOUNTS / 10


def test_every_decision_about_a_knife_edge_account(edges: tuple[Venue, list[Edge], dict[str, Any]]) -> None:
    venue, where, expected = edges
    report = report_of(venue)
    assert_decisions_are_exact(report, expected)
    assert_decisions_are_exact(report.isolated, expected["isolated"])
    own, alone = rows_at(where, expected)
    assert_rounded_correctly(report, expected, own)
    assert_rounded_correctly(report.isolated, expected["isolated"], alone)
    assert report.exact_decisions >= 0.95 * ACCOUNTS


def test_knife_edge_accounts_have_the_same_bits_everywhere(
    edges: tuple[Venue, list[Edge], dict[str, Any]],
) -> None:
    model, book, market = build(edges[0])
    seen = []
    for simd in SIMD_PATHS:
        for threads in (1, 3):
            with settings(simd=simd, threads=threads):
                report = model.evaluate(book, market)
                seen.append((bits_of(report), isolated_bits_of(report), report.exact_decisions))
    assert all(bits == seen[0] for bits in seen)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("positions", "accounts"), [(40, 200), (400, 20)])
def test_every_decision_about_wide_knife_edge_accounts(positions: int, accounts: int, mode: str) -> None:
    """The more legs an account has, the more its floats are off."""
    venue, where = knife_edge_venue(5, accounts=accounts, mode=mode, positions=positions)
    report, expected = report_of(venue), reference_of(venue, number=exact)
    assert_decisions_are_exact(report, expected)
    assert_decisions_are_exact(report.isolated, expected["isolated"])
    own, alone = rows_at(where, expected)
    assert_rounded_correctly(report, expected, own)
    assert_rounded_correctly(report.isolated, expected["isolated"], alone)


@pytest.mark.parametrize("mode", MODES)
def test_every_decision_about_accounts_on_an_edge_that_only_decimals_see(mode: str) -> None:
    venue, where = knife_edge_venue(6, accounts=1000, mode=mode, beside=decimal_beside)
    report, expected = report_of(venue), reference_of(venue, number=exact)
    assert_decisions_are_exact(report, expected)
    assert_decisions_are_exact(report.isolated, expected["isolated"])
    own, alone = rows_at(where, expected)
    assert_rounded_correctly(report, expected, own)
    assert_rounded_correctly(report.isolated, expected["isolated"], alone)
    figures = [(expected, row, edge.figure) for row, edge in zip(own, _of_accounts(where), strict=True)]
    assert max(abs(part[figure][row] / part["gross"][row]) for part, row, figure in figures) < 1e-28


def _of_accounts(where: list[Edge]) -> list[Edge]:
    return [edge for edge in where if edge.instrument is None]


@pytest.mark.parametrize("mode", MODES)
def test_every_decision_about_ordinary_accounts(mode: str) -> None:
    """Far from the edge as well, where the error bound has to do without exact arithmetic."""
    venue = random_rule_venue(77, mode=mode, rules=RULES, accounts=ACCOUNTS)
    report, expected = report_of(venue), reference_of(venue, number=exact)
    assert_decisions_are_exact(report, expected)
    assert_decisions_are_exact(report.isolated, expected["isolated"])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rules", [(), ("brackets", "tiers"), RULES], ids=len)
def test_few_ordinary_accounts_need_exact_arithmetic(rules: tuple[str, ...], mode: str) -> None:
    """Only those that are at a threshold: in random books those where a figure is 0, because little is held."""
    report = report_of(random_rule_venue(78, mode=mode, rules=rules, accounts=20_000))
    at_a_threshold = 0
    for part in (report, report.isolated):
        figures = np.stack([np.asarray(getattr(part, name)) for name in (*FIGURES, "initial_margin")])
        # An account whose balances were all given away has nothing to decide.
        at_a_threshold += int(((figures[:3] == 0).any(axis=0) & (figures != 0).any(axis=0)).sum())
    assert report.exact_decisions <= 2.5 * at_a_threshold + 0.002 * len(report)


@given(venue=rule_venues())
def test_every_decision_about_small_venues(venue: Venue) -> None:
    report, expected = report_of(venue), reference_of(venue, number=exact)
    assert_decisions_are_exact(report, expected)
    assert_decisions_are_exact(report.isolated, expected["isolated"])


def test_a_tie_is_healthy_and_its_neighbours_are_what_they_are() -> None:
    # 0.1 + 0.2 - 0.3 is not 0 in floats: three loans and deposits of a tenth, two tenths and three.
    for balance, health in ((-30.0, 0.0), (-30.000000000000004, -4e-15), (-29.999999999999996, 4e-15)):
        # Bought at 99.9, 99.8 less: ten have won 1, a hundred 2 more ... and the sum is 30.
        what = small_venue(
            balances=[("USD", balance)],
            positions=[("PERP", 100.0, 99.7)],
            margin={"instrument": ["PERP"], "initial_rate": [0.0], "maintenance_rate": [0.0]},
        )
        report = report_of(what)
        assert report.health[0] == pytest.approx(health, rel=0.2, abs=0)
        assert report.liquidatable[0] == (health < 0) and (report.health[0] == 0) == (health == 0)


def test_whether_anything_is_needed_is_decided_exactly() -> None:
    """Where nothing is needed no balance is given away: the one place at which figures jump."""
    # A long option of 0.3 covers sells of 0.1 and 0.2, although their sum in floats is larger.
    assert 0.1 + 0.2 > 0.3
    sells = [("CALL", -0.1, 1500.0), ("CALL", -0.2, 1500.0)]
    covered = small_venue(balances=[("USD", 1000.0)], positions=[("CALL", 0.3, 1500.0)], orders=sells)
    report = report_of(replace(covered, mode="isolated"))
    assert (report.equity[0], report.isolated.equity[0], report.isolated.initial_margin[0]) == (1000.0, 0.0, 0.0)
    # A buy that loses a hair on opening needs that hair, although the values are the same float.
    mark, price = 1333.3, np.nextafter(1333.3, 1334)
    assert 0.1 * price == 0.1 * mark
    lossy = small_venue(
        balances=[("USD", 1000.0)],
        positions=[("CALL", 1.0, 1500.0)],
        orders=[("CALL", 1.0, float(price))],
        mark_price={"CALL": mark},
    )
    report = report_of(replace(lossy, mode="isolated"))
    assert (report.equity[0], report.isolated.isolated_margin[0]) == (0.0, 1000.0)
    assert not report.isolated.bankrupt[0]


@pytest.mark.parametrize(
    ("floor", "needs"), [(54969.579999999994, True), (54969.58, False), (54969.58000000001, False)]
)
def test_whether_anything_is_needed_is_decided_exactly_in_brackets_too(floor: float, needs: bool) -> None:
    """A notional of 54969.58, which in floats is a little less, needs something if it is above the floor."""
    assert 16.22 * 1000 * 3.389 < 54969.58
    what = small_venue(
        balances=[("USD", -10.0)],
        positions=[("OIL", 3.389, 15.22)],
        mark_price={"OIL": 16.22},
        margin=brackets("OIL", (0.0, 0.0, 0.0), (floor, 0.5, 0.25)),
    )
    report = report_of(replace(what, mode="isolated"))
    # 3389 were won.
    found = report.equity[0], report.isolated.equity[0]
    assert found == pytest.approx((0.0, 3379.0) if needs else (-10.0, 3389.0))
    assert report.liquidatable[0] != needs


def test_orders_that_stay_with_an_account_are_decided_exactly() -> None:
    """They count where the balances were given away as well as where they were not."""
    mark, price = 1333.3, float(np.nextafter(1333.3, 1334))
    for positions in ([], [("PERP", 10.0, 100.0)]):
        order = small_venue(positions=positions, orders=[("CALL", 1.0, price)], mark_price={"CALL": mark})
        report = report_of(replace(order, mode="isolated"))
        # A tenth of 2e-13, which is what the decimals of the two floats differ by.
        assert (report.initial_health[0], report.health[0]) == (-2e-14, 0.0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("worthless", [{"initial_haircut": [1.0]}, {"amount_cap": [0.0]}], ids=repr)
def test_a_loss_on_opening_is_decided_exactly_where_nothing_counts(worthless: dict[str, Any], mode: str) -> None:
    """All collateral is cut to 0, the loss is 0 in floats: what is left is the hair that the decimals differ by."""
    mark, price = 1333.3, float(np.nextafter(1333.3, 1334))
    what = small_venue(
        balances=[("USD", 10.0)],
        positions=[("CALL", 1.0, 1000.0)],
        orders=[("CALL", 1.0, price)],
        mark_price={"CALL": mark},
        collateral={"asset": ["USD"], **worthless},
    )
    report = report_of(replace(what, mode=mode))
    part = report.isolated if mode == "isolated" else report
    assert (part.initial_health[0], part.liquidatable[0]) == (-2e-14, False)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("posted", [None, 10.0])
@pytest.mark.parametrize(
    ("quantity", "mark", "floor", "health"),
    [
        # 1000 barrels a contract: 54969.58, in floats 54969.57999999999.
        (3.389, 16.22, 54969.579999999994, -1.5e-12),
        (Decimal("0.00050000000000000000001"), 2.0, 1.0, -5e-21),
        (0.0005, 2.0, 1.0, 0.0),
    ],
)
def test_a_hair_above_a_bracket_floor_is_charged(
    quantity: Any, mark: float, floor: float, health: float, posted: float | None, mode: str
) -> None:
    """Below the floor nothing is needed, all collateral is cut to 0: only the hair decides."""
    what = small_venue(
        balances=[("USD", 10.0)],
        positions=[("OIL", quantity, mark, posted)],
        mark_price={"OIL": mark},
        margin=brackets("OIL", (0.0, 0.0, 0.0), (floor, 0.5, 0.25)),
        collateral={"asset": ["USD"], "initial_haircut": [1.0], "maintenance_haircut": [1.0]},
    )
    report = report_of(replace(what, mode=mode))
    part = report if posted is None and mode == "cross" else report.isolated
    assert (part.health[0], part.liquidatable[0]) == (health, health < 0)


# What f64 cannot tell from one another, as people write it.
TINY = Decimal("0.000000000000000001")


def decimal_venue(balances: Any, positions: Any = None) -> Venue:
    return replace(
        small_venue(),
        balances={"account": ["below", "at", "above"], "asset": ["USD"] * 3, "balance": balances},
        positions=positions,
        accounts=None,
    )


@pytest.mark.parametrize("form", ["decimals", "decimal128", "decimal256", "pandas", "polars", "numpy"])
def test_decimals_are_taken_as_they_are(form: str) -> None:
    """A million less a million and a billionth of a billionth: f64 sees nothing, the decision does."""
    owed = [Decimal(-1_000_000) - TINY, Decimal(-1_000_000), Decimal(-1_000_000) + TINY]
    positions = {
        "account": ["below", "at", "above"],
        "instrument": ["OIL"] * 3,
        "quantity": [100.0] * 3,
        "entry_price": [-15.0] * 3,
    }
    free = {"instrument": ["OIL"], "initial_rate": [0.0], "maintenance_rate": [0.0]}
    venue = replace(decimal_venue(_as(form, owed), positions), margin=free)
    report = report_of(venue)
    assert report.equity.tolist() == [-1e-18, 0.0, 1e-18]
    assert report.health.tolist() == [-1e-18, 0.0, 1e-18]
    assert report.liquidatable.tolist() == [True, False, False]
    assert report.exact_decisions == 3


def _as(form: str, values: list[Decimal]) -> Any:
    if form == "decimals":
        return values
    if form == "numpy":
        return np.array(values, dtype=object)
    if form == "decimal128":
        return pa.array(values, pa.decimal128(38, 18))
    if form == "decimal256":
        return pa.array(values, pa.decimal256(60, 18))
    if form == "pandas":
        pandas = pytest.importorskip("pandas")
        return pandas.Series(values)
    polars = pytest.importorskip("polars")
    return polars.Series(values, dtype=polars.Decimal(38, 18))


def decimals(columns: Any, names: Sequence[str], digits: str) -> Any:
    """Return the frame with further digits behind its numbers, as decimals."""

    def longer(value: Any) -> Any:
        if value is None:
            return None
        return Decimal(str(value)) * Decimal(f"1.{digits}")

    return {name: [longer(cell) for cell in cells] if name in names else cells for name, cells in columns.items()}


@pytest.mark.parametrize("mode", MODES)
def test_decimals_in_every_column_of_holdings(mode: str) -> None:
    """Thirty digits a number: figures are the exact ones to the last bit of f64, wherever they are decided exactly."""
    venue = random_rule_venue(80, mode=mode, rules=RULES, accounts=500)
    assert venue.balances and venue.positions and venue.orders
    names = ("balance", "quantity", "entry_price", "entry_funding", "isolated_margin", "price")
    longer = replace(
        venue,
        balances=decimals(venue.balances, names, "000000000000000000012345"),
        positions=decimals(venue.positions, names, "000000000000000000054321"),
        orders=decimals(venue.orders, names, "000000000000000000000777"),
    )
    report, expected = report_of(longer), reference_of(longer, number=exact)
    assert_decisions_are_exact(report, expected)
    assert_decisions_are_exact(report.isolated, expected["isolated"])


def test_decimal_prices_and_parameters() -> None:
    """A price with twenty digits decides, and so do a rate, a haircut and an index."""
    tenth = Decimal("0.1") + TINY
    owed: dict[str, Any] = {"balances": [("USD", -10.0)], "positions": [("PERP", 100.0, 100.0)]}
    flat = {"instrument": ["PERP"], "initial_rate": [0], "maintenance_rate": [0]}
    price = report_of(small_venue(**owed, mark_price={"PERP": 100 + tenth}, margin=flat))
    assert (price.equity[0], price.liquidatable[0]) == (1e-16, False)
    price = report_of(small_venue(**owed, mark_price={"PERP": 100 + tenth - 2 * TINY}, margin=flat))
    assert (price.equity[0], price.liquidatable[0]) == (-1e-16, True)

    rates = {"instrument": ["PERP"], "initial_rate": [1], "maintenance_rate": [tenth]}
    report = report_of(small_venue(balances=[("USD", 1000.0)], positions=[("PERP", 100.0, 100.0)], margin=rates))
    assert (report.health[0], report.liquidatable[0]) == (-1e-14, True)

    haircuts = {"asset": ["BTC"], "initial_haircut": [1], "maintenance_haircut": [tenth]}
    report = report_of(small_venue(balances=[("BTC", 1.0), ("USD", -45_000.0)], collateral=haircuts))
    assert (report.health[0], report.liquidatable[0]) == (-5e-14, True)

    funding = report_of(small_venue(**owed, mark_price={"PERP": 100.1}, margin=flat, cumulative_funding={"PERP": TINY}))
    assert (funding.equity[0], funding.bankrupt[0]) == (-1e-16, True)

    interest = report_of(
        small_venue(balances=[("USD", 10.0), ("BTC", -0.0002)], margin=flat, deposit_index={"USD": 1 + TINY})
    )
    assert (interest.equity[0], interest.bankrupt[0]) == (1e-17, False)


def test_the_nearest_float_of_a_decimal_is_another_number() -> None:
    """0.1 as a float means a tenth; the decimal that prints 55 digits of its binary value means just that."""
    binary = Decimal.from_float(0.1)
    assert binary != Decimal("0.1")
    report = report_of(
        replace(
            small_venue(),
            accounts=None,
            balances={
                "account": ["tenth", "tenth", "binary", "binary"],
                "asset": ["USD", "BTC"] * 2,
                "balance": [Decimal("0.1"), Decimal("-0.000002"), binary, Decimal("-0.000002")],
            },
        )
    )
    assert report.equity.tolist() == [0.0, float(Fraction(binary) - Fraction(1, 10))]


@pytest.mark.parametrize(
    "value",
    [
        # Half way between two decimals of as many digits, which both read back as the float: the even one is printed.
        12015326046.9140625,
        1645247083358.15625,
        np.float32(54017.8125),
        np.float32(352317.125),
        # Next to powers of two, where floats are further apart on one side than on the other.
        2.0**-44,
        2.0**89,
        np.float32(2.0**-20),
        9007199254740993.0,
        2.2250738585072014e-308,
    ],
    ids=repr,
)
def test_a_float_means_what_python_prints(value: Any) -> None:
    """The same digits as a decimal, owed: what is left is nothing."""
    printed = Decimal(str(value))
    what = small_venue(balances=[("USD", value), ("BTC", -printed)])
    report = report_of(replace(what, index_price={"BTC": 1}))
    assert (report.equity[0], report.bankrupt[0]) == (0.0, False)


def test_a_32_bit_float_means_its_own_shortest_decimal() -> None:
    venue = replace(
        small_venue(),
        accounts=None,
        balances={
            "account": ["it", "it"],
            "asset": ["USD", "BTC"],
            "balance": np.array([0.1, -0.000002], dtype=np.float32),
        },
    )
    report = report_of(venue)
    assert (report.equity[0], report.bankrupt[0]) == (0.0, False)


def test_whole_numbers_of_any_size_are_exact() -> None:
    # The last digit is beyond f64.
    large = 2**60 + 1
    venue = replace(
        small_venue(),
        accounts=None,
        balances={
            "account": ["it", "it"],
            "asset": ["USD", "BTC"],
            "balance": np.array([large, -1]),
        },
        index_price={"BTC": 2**60},
    )
    report = report_of(venue)
    assert (report.equity[0], report.bankrupt[0]) == (1.0, False)


def test_explained_figures_are_those_of_the_report() -> None:
    venue, where = knife_edge_venue(4, accounts=20)
    report = report_of(venue)
    assert isinstance(report, xm.MarginReport)
    for edge in where:
        why = report.explain(edge.account, edge.instrument)
        row = report.accounts.tolist().index(edge.account)
        if edge.instrument is None:
            assert sum(line.health for line in why.lines) + why.rounding.health == Fraction(float(report.health[row]))
