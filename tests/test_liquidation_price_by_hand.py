"""Liquidation prices small enough to work out on paper; the equation for the price stands beside each."""

from __future__ import annotations

from typing import Any

import pytest

import xmfast as xm
from building import build
from reference_prices import open_positions
from small_venue import Rows, brackets, venue
from strategies import Venue
from test_rules_by_hand import HAIRCUTS, THREE, gains


def assert_prices(
    what: Venue, instrument: str, price: float | None, *, of_bankruptcy: float | str | None = "any", all_: Any = None
) -> None:
    """Assert the prices of a position of the account `it`, in xmfast and in the reference."""
    model, book, market = build(what)
    [position] = [position for position in open_positions(what) if position.instrument == instrument]
    places = book.positions["instrument"].tolist()
    for figure, price_of, expected in (
        ("health", xm.liquidation_price, price),
        ("equity", xm.bankruptcy_price, of_bankruptcy),
    ):
        if expected == "any":
            continue
        assert isinstance(expected, float | int | None)
        close = None if expected is None else pytest.approx(expected, rel=1e-14, abs=0)
        assert price_of(book, market, model, "it", instrument) == close
        found = position.nearest(figure)
        assert (None if found is None else float(found)) == close
        in_array = price_of(book, market, model)[places.index(instrument)]
        assert in_array == pytest.approx(float("nan") if expected is None else expected, rel=1e-13, abs=0, nan_ok=True)
    if all_ is not None:
        assert xm.liquidation_prices(book, market, model, "it", instrument) == pytest.approx(all_, rel=1e-14, abs=0)


@pytest.mark.parametrize(
    ("quantity", "balance", "price", "of_bankruptcy"),
    [
        # 100 + 10 (p - 100) = 0.05 x 10 p
        (10.0, 100.0, 900 / 9.5, 90),
        (-10.0, 100.0, 1100 / 10.5, 110),
        # The margin is all there is, or more than there is: at the mark, or past it.
        (10.0, 50.0, 100, 95),
        (10.0, 40.0, 960 / 9.5, 96),
        (-10.0, 40.0, 1040 / 10.5, 104),
        # It would take a price of 0, or less; a perpetual has none.
        (10.0, 1000.0, None, None),
        (10.0, 1001.0, None, None),
        (0.0, 100.0, None, None),
    ],
)
def test_one_perpetual(quantity: float, balance: float, price: float | None, of_bankruptcy: float | None) -> None:
    what = venue(balances=[("USD", balance)], positions=[("PERP", quantity, 100.0)])
    assert_prices(what, "PERP", price, of_bankruptcy=of_bankruptcy, all_=[] if price is None else [price])


def test_no_position_has_no_price() -> None:
    model, book, market = build(venue(balances=[("USD", 1.0)], orders=[("PERP", 1.0, 100.0)]))
    assert xm.liquidation_price(book, market, model, "it", "PERP") is None
    assert xm.bankruptcy_price(book, market, model, "it", "PERP") is None
    assert xm.liquidation_prices(book, market, model, "it", "PERP") == []


@pytest.mark.parametrize(
    ("quantity", "balance", "price", "of_bankruptcy"),
    [
        # 1000 contracts of 100 dollars, two coins: 0.5 + 2 - 100,000 / p = 0.05 x 100,000 / p
        (1000.0, 0.5, 42_000, 40_000),
        (-1000.0, 0.5, 95_000 / 1.5, 100_000 / 1.5),
        # As many coins as were sold: however high the price, something is left.
        (-1000.0, 2.0, None, None),
        (-1000.0, 2.1, None, None),
    ],
)
def test_inverse_perpetual(quantity: float, balance: float, price: float | None, of_bankruptcy: float | None) -> None:
    what = venue(balances=[("BTC", balance)], positions=[("INVERSE", quantity, 50_000.0)])
    assert_prices(what, "INVERSE", price, of_bankruptcy=of_bankruptcy)


@pytest.mark.parametrize(
    ("quantity", "balance", "price", "of_bankruptcy"),
    [
        # A short one needs 250 whatever its own price; 600 - 0.2 (p - 1500) = 500
        (-2.0, 600.0, 2000, 4500),
        (2.0, -100.0, 2000, 2000),
        (2.0, 100.0, 1000, 1000),
        # An option may be worth nothing.
        (2.0, 300.0, 0, 0),
        (2.0, 301.0, None, None),
    ],
)
def test_option(quantity: float, balance: float, price: float | None, of_bankruptcy: float | None) -> None:
    what = venue(balances=[("USD", balance)], positions=[("CALL", quantity, 1500.0)])
    assert_prices(what, "CALL", price, of_bankruptcy=of_bankruptcy)


def test_option_paid_in_coins() -> None:
    # 0.1 + -2 x 0.1 (p - 0.03) coins of 50,000, and 250 for each: 5000 - 10,000 (p - 0.03) = 500
    what = venue(balances=[("BTC", 0.1)], positions=[("COINCALL", -2.0, 0.03)])
    assert_prices(what, "COINCALL", 0.48, of_bankruptcy=0.53)


@pytest.mark.parametrize(
    ("quantity", "balance", "price", "of_bankruptcy"),
    [
        # 1000 barrels at -5: 4000 + 1000 (p + 5) = 50 |p|
        (1.0, 4000.0, -9000 / 1050, -9),
        # From below 0 to above it.
        (-1.0, 7000.0, 2000 / 1050, 2),
        (1.0, 50_000.0, -55_000 / 1050, -55),
        (-1.0, 5000.0, 0, 0),
    ],
)
def test_price_may_be_negative(quantity: float, balance: float, price: float, of_bankruptcy: float) -> None:
    what = venue(balances=[("USD", balance)], positions=[("OIL", quantity, -5.0)])
    assert_prices(what, "OIL", price, of_bankruptcy=of_bankruptcy)


@pytest.mark.parametrize(
    ("balance", "price"),
    [
        # In the third bracket 8000 needs 1120, each dollar less a quarter less: 60 p = 5120.
        (2000.0, 5120 / 60),
        # The price of the third bracket (52) would be in the second: 73.6 p = 3970.
        (4000.0, 3970 / 73.6),
        (7200.0, 800 / 76),
        # 5000 / 80, where the third begins.
        (8000 - 80 * 62.5 + 370, 62.5),
    ],
)
def test_a_move_may_cross_brackets(balance: float, price: float) -> None:
    what = venue(balances=[("USD", balance)], positions=[("PERP", 80.0, 100.0)], margin=brackets("PERP", *THREE))
    assert_prices(what, "PERP", price)


def test_a_short_grows_into_brackets() -> None:
    # 200 + 10 (100 - p): 0.05 x 1000 + 0.08 (10 p - 1000) from the first dollar on.
    what = venue(balances=[("USD", 200.0)], positions=[("PERP", -10.0, 100.0)], margin=brackets("PERP", *THREE))
    assert_prices(what, "PERP", (1200 + 30) / 10.8)


def test_floor_per_contract_does_not_fall_with_the_price() -> None:
    margin = brackets("PERP", *THREE, margin_floor_per_contract=12.0)
    what = venue(balances=[("USD", 200.0)], positions=[("PERP", 10.0, 100.0)], margin=margin)
    assert_prices(what, "PERP", 92)
    # Above 250 a contract the brackets ask for more: 2000 - 10 p = 50 + 0.08 (10 p - 1000).
    what = venue(balances=[("USD", 2000.0)], positions=[("PERP", -10.0, 100.0)], margin=margin)
    assert_prices(what, "PERP", (3000 + 30) / 10.8)


def test_close_out_fee_is_margin() -> None:
    what = venue(
        balances=[("USD", 100.0)],
        positions=[("PERP", 10.0, 100.0)],
        margin=brackets("PERP", (0.0, 0.1, 0.05), close_out_fee_rate=0.03),
    )
    assert_prices(what, "PERP", 900 / 9.2, of_bankruptcy=90)


def test_leverage_caps_and_orders_are_initial_margin_alone() -> None:
    what = venue(
        balances=[("USD", 100.0)],
        positions=[("PERP", 10.0, 100.0)],
        orders=[("PERP", 50.0, 120.0), ("OIL", 3.0, -4.0)],
        leverage_cap=2.0,
    )
    assert_prices(what, "PERP", 900 / 9.5, of_bankruptcy=90)


def test_other_positions_count() -> None:
    # OIL has lost 1000 and needs 250: 2000 - 1000 - 250 + 10 (p - 100) = 0.5 p
    what = venue(balances=[("USD", 2000.0)], positions=[("PERP", 10.0, 100.0), ("OIL", 1.0, -4.0)])
    assert_prices(what, "PERP", 250 / 9.5, of_bankruptcy=None)
    # And the other way round: 2000 - 50 + 1000 (p + 4) = -50 p
    assert_prices(what, "OIL", -5950 / 1050, of_bankruptcy=-6)


def test_collateral_in_tiers_is_weighed_as_it_shrinks() -> None:
    """With y = 1,000,000 / p a short has 15 - 20 + y coins net, and 10 are owed in dollars."""
    balances: Rows = [("BTC", 15.0), ("USD", -500_000.0)]
    what = venue(balances=balances, positions=[("INVERSE", -10_000.0, 50_000.0)], collateral=HAIRCUTS)
    # In the second tier: 9 + 0.7 (y - 15) = 10 + 0.05 y.
    assert_prices(what, "INVERSE", 1e6 * 0.65 / 11.5, of_bankruptcy=1e6 / 15)
    # Nothing owed in dollars, in the first: 0.9 (y - 5) = 0.05 y.
    what = venue(balances=[("BTC", 15.0)], positions=[("INVERSE", -10_000.0, 50_000.0)], collateral=HAIRCUTS)
    assert_prices(what, "INVERSE", 1e6 * 0.85 / 4.5, of_bankruptcy=1e6 / 5)


def test_cap_on_what_counts() -> None:
    # Ten coins at most, as 9: 9 = 0.05 y + 7.9 at y = 22, on the gaining side; of the net, y - 5 <= 10 from y = 15.
    what = venue(
        balances=[("BTC", 15.0), ("USD", -395_000.0)],
        positions=[("INVERSE", -10_000.0, 50_000.0)],
        collateral=HAIRCUTS | {"amount_cap": [10.0, 10.0, 10.0]},
    )
    # 0.9 (y - 5) = 0.05 y + 7.9
    assert_prices(what, "INVERSE", 1e6 * 0.85 / 12.4, all_=[1e6 / 22, 1e6 * 0.85 / 12.4])


@pytest.mark.parametrize(("weight", "price"), [(1.25, 1150 / 12), (1.0, 900 / 9.5)])
def test_a_net_debt_is_weighed(weight: float, price: float) -> None:
    """A loss in dollars against coins worth 100: 100 + weight x 10 (p - 100) = 0.5 p."""
    weights = {"initial_liability_weight": [weight], "maintenance_liability_weight": [weight]}
    what = venue(balances=[("BTC", 0.002)], positions=[("PERP", 10.0, 100.0)], collateral={"asset": ["USD"]} | weights)
    assert_prices(what, "PERP", price, of_bankruptcy=90)


def test_a_gain_that_does_not_count() -> None:
    # Sold at 110, a gain of 100 that counts nothing: 60 + 10 (110 - p) = 0.5 p above 110.
    what = venue(balances=[("USD", 60.0)], positions=[("PERP", -10.0, 110.0)], collateral=gains(0.0))
    assert_prices(what, "PERP", 1160 / 10.5, of_bankruptcy=116)
    # With 40 the margin outgrows it before that, at 80, and the mark is past: 40 = 0.5 p.
    what = venue(balances=[("USD", 40.0)], positions=[("PERP", -10.0, 110.0)], collateral=gains(0.0))
    assert_prices(what, "PERP", 80)


def test_half_of_a_gain_counts() -> None:
    # 100 won, of which 50 count: 20 + 5 (p - 90) = 0.5 p.
    what = venue(balances=[("USD", 20.0)], positions=[("PERP", 10.0, 90.0)], collateral=gains(0.5))
    assert_prices(what, "PERP", 430 / 4.5, of_bankruptcy=88)


def test_margin_may_outgrow_a_gain() -> None:
    """Gains count nothing, so that a long position is liquidated by a rise too: 60 = 0.5 p at 120."""
    what = venue(balances=[("USD", 60.0)], positions=[("PERP", 10.0, 100.0)], collateral=gains(0.0))
    assert_prices(what, "PERP", 940 / 9.5, all_=[940 / 9.5, 120])


def test_past_the_price_on_the_gaining_side() -> None:
    """The mark has passed 120; a fall would heal it, but the losing side is no place to be liquidated at twice."""
    what = venue(
        balances=[("USD", 60.0)],
        positions=[("PERP", 10.0, 100.0)],
        collateral=gains(0.0),
        mark_price={"PERP": 130.0},
    )
    assert_prices(what, "PERP", None, all_=[940 / 9.5, 120])


@pytest.mark.parametrize(
    ("quantity", "entry", "price", "of_bankruptcy"),
    [
        # 100 + 10 (p - 120) = 0.5 p
        (10.0, 120.0, 1100 / 9.5, 110),
        (-10.0, 80.0, 900 / 10.5, 90),
    ],
)
def test_already_past_the_price(quantity: float, entry: float, price: float, of_bankruptcy: float) -> None:
    """On the gaining side: there the account would be healthy again."""
    what = venue(balances=[("USD", 100.0)], positions=[("PERP", quantity, entry)])
    assert_prices(what, "PERP", price, of_bankruptcy=of_bankruptcy)


def test_funding_is_paid_and_is_no_exposure() -> None:
    # 20 + 10 (p - 3 - 90 + 1) = 0.5 p
    what = venue(
        balances=[("USD", 20.0)], positions=[("PERP", 10.0, 90.0, None, 1.0)], cumulative_funding={"PERP": 3.0}
    )
    assert_prices(what, "PERP", 900 / 9.5, of_bankruptcy=90)


def test_interest_counts() -> None:
    # 300 of dollars, 200 owed in coins.
    what = venue(
        balances=[("USD", 200.0), ("BTC", -0.002)],
        positions=[("PERP", 10.0, 100.0)],
        deposit_index={"USD": 1.5},
        borrow_index={"BTC": 2.0},
    )
    assert_prices(what, "PERP", 900 / 9.5, of_bankruptcy=90)


def test_an_isolated_position_has_a_price_of_its_own() -> None:
    what = venue(
        balances=[("USD", 1e6)],
        positions=[("PERP", 10.0, 100.0, 100.0), ("OIL", 1.0, -5.0), ("INVERSE", 9.0, 5e4, 0.0)],
    )
    assert_prices(what, "PERP", 900 / 9.5, of_bankruptcy=90)
    # The rest of the pool knows nothing of it: 1,000,000 + 1000 (p + 5) = -50 p.
    assert_prices(what, "OIL", -1_005_000 / 1050, of_bankruptcy=-1005)
    # Nothing behind it, nothing won: 900 (1 / 50,000 - 1 / p) = 0.05 x 900 / p.
    assert_prices(what, "INVERSE", 52_500, of_bankruptcy=50_000)


def test_each_position_isolated_with_its_share() -> None:
    """PERP needs 100 of 600 initially, so a sixth of 1200 is behind it, and stays so."""
    what = venue(balances=[("USD", 1200.0)], positions=[("PERP", 10.0, 100.0), ("OIL", 1.0, -5.0)])
    isolated = Venue(**{name: getattr(what, name) for name in what.__dataclass_fields__} | {"mode": "isolated"})
    assert_prices(isolated, "PERP", 800 / 9.5, of_bankruptcy=80)
    assert_prices(isolated, "OIL", -6000 / 1050, of_bankruptcy=-6)


def test_hedged_by_what_follows_another_price() -> None:
    """Only the mark of one instrument moves: a hedge in another does not help, nor does it move."""
    what = venue(
        balances=[("BTC", 0.1)],
        positions=[("INVERSE", -50.0, 50_000.0), ("PERP", 10.0, 100.0)],
    )
    # 0.1 coins, as many as sold: worth 5000 / p x 50,000 whatever comes; less 50, less 5 % of it.
    assert_prices(what, "INVERSE", 0.95 * 5000 * 50_000 / 50)


def test_decimals_are_exact() -> None:
    """0.1 is a tenth: health is 0 at the mark, though the nearest floats would not cancel."""
    what = venue(balances=[("USD", 0.03)], positions=[("PERP", 0.1, 100.3)], margin=brackets("PERP", (0.0, 0.0, 0.0)))
    assert_prices(what, "PERP", 100.0, of_bankruptcy=100.0, all_=[100.0])
