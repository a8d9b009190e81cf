"""Options whose premium is margined like the value of a future: both sides need margin, and nothing is discounted."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import xmfast as xm
from building import build, reference_of, report_of
from portfolio_building import assert_is_right
from portfolio_building import reference_of as risk_of
from portfolio_venues import TIME, PortfolioVenue, portfolio_venues
from reference_scenarios import years_between
from small_venue import assert_figures, brackets, venue
from strategies import Venue

# One CALL is for a tenth of a bitcoin at 50,000; it is worth 0.1 x 1500. A tenth of 5000 to open, a twentieth to keep.
POSITION = ("CALL", 2.0, 1400.0)


def futures_style(what: Venue) -> Venue:
    """Return the venue with all its options futures-style."""
    flags = [kind == "option" for kind in what.instruments["kind"]]
    return replace(what, instruments={**what.instruments, "futures_style": flags})


def paid_up_front(what: Venue) -> Venue:
    """Return the venue with none of its options futures-style."""
    return replace(what, instruments={**what.instruments, "futures_style": [False] * len(what.instruments["kind"])})


def test_both_sides_are_charged() -> None:
    for quantity in (2.0, -2.0):
        what = futures_style(venue(balances=[("USD", 700.0)], positions=[("CALL", quantity, 1400.0)]))
        gain = quantity * 0.1 * (1500 - 1400)
        assert_figures(what, equity=700 + gain, initial_margin=1000, maintenance_margin=500, health=200 + gain)
    # Bought and paid for, the same needs nothing and is worth the same.
    assert_figures(venue(balances=[("USD", 700.0)], positions=[POSITION]), equity=720, maintenance_margin=0, health=720)


def test_brackets_and_floors_are_those_of_the_size_whatever_the_side() -> None:
    margin = brackets("CALL", (0.0, 0.1, 0.05), (5000.0, 0.3, 0.1), margin_floor_per_contract=1.0)
    for quantity in (2.0, -2.0):
        what = futures_style(venue(positions=[("CALL", quantity, 1500.0)], margin=margin))
        assert_figures(what, initial_margin=500 + 1500, maintenance_margin=250 + 500)


@pytest.mark.parametrize(
    ("quantity", "exposure"),
    # Bids of 3 and asks of 4, beside what is held.
    [(0.0, 4), (2.0, 5), (-2.0, 6)],
)
def test_orders_are_charged_on_the_worse_side(quantity: float, exposure: int) -> None:
    orders = [("CALL", 3.0, 1500.0), ("CALL", -4.0, 1500.0)]
    what = futures_style(venue(positions=[("CALL", quantity, 1500.0)], orders=orders))
    assert_figures(what, initial_margin=500 * exposure, maintenance_margin=250 * abs(quantity))


def test_a_leverage_cap_binds_the_long_side_too() -> None:
    what = venue(positions=[POSITION], leverage_cap=4.0)
    assert_figures(futures_style(what), initial_margin=10_000 / 4, maintenance_margin=500)
    assert_figures(what, initial_margin=0)


def test_an_isolated_position_is_charged() -> None:
    what = futures_style(venue(positions=[("COINCALL", 3.0, 0.02, 0.01)]))
    # 0.01 bitcoin posted and 3 x 0.1 x 0.01 gained; a twentieth of 3 x 5000 needed.
    assert_figures(what, "COINCALL", equity=650, maintenance_margin=750, health=-100, liquidatable=True)


def test_buying_power_of_both_sides() -> None:
    model, book, market = build(futures_style(venue(balances=[("USD", 1000.0)])))
    assert xm.buying_power(book, market, model, "it", "CALL") == pytest.approx((2.0, 2.0))
    model, book, market = build(venue(balances=[("USD", 1000.0)]))
    assert xm.buying_power(book, market, model, "it", "CALL").long == math.inf


def test_a_long_call_is_liquidated_when_its_mark_falls() -> None:
    """700 - 2 x 0.1 x (1400 - mark) = 500: health is gone at a mark of 400, equity never."""
    model, book, market = build(futures_style(venue(balances=[("USD", 700.0)], positions=[POSITION])))
    assert xm.liquidation_price(book, market, model, "it", "CALL") == pytest.approx(400.0)
    assert xm.bankruptcy_price(book, market, model, "it", "CALL") is None
    path = xm.PricePath.of_betas(market.universe, {"CALL": 1.0})
    assert xm.liquidation_move(book, market, model, path, "it").fall == pytest.approx(400 / 1500 - 1)


@settings(max_examples=40)
@given(priced=portfolio_venues("plain", "offsets", "joint"))
def test_the_flag_changes_no_value_and_only_adds_margin(priced: PortfolioVenue) -> None:
    before, after = (report_of(style(priced.venue)) for style in (paid_up_front, futures_style))
    for name in ("equity", "collateral_value", "initial_collateral_value"):
        assert getattr(before, name).tobytes() == getattr(after, name).tobytes(), name
    slack = 1e-12 * np.array(reference_of(futures_style(priced.venue))["gross"])
    for name in ("initial_margin", "maintenance_margin"):
        assert (getattr(before, name) <= getattr(after, name) + slack).all(), name


def test_risk_is_not_discounted() -> None:
    specs: dict[str, Any] = {
        "instrument": ["PAID", "STYLE"],
        "kind": ["option"] * 2,
        "underlying": ["BTC"] * 2,
        "settlement": ["USD"] * 2,
        "strike": [60_000.0] * 2,
        "right": ["put"] * 2,
        "expiry": ["2027-12-25T08:00"] * 2,
        "futures_style": [False, True],
    }
    universe = xm.Universe.from_frames({"asset": ["USD"]}, specs)
    market = xm.Market(
        universe,
        {"BTC": 60_000.0},
        {"PAID": 5_000.0, "STYLE": 5_000.0},
        TIME,
        implied_volatility={"PAID": 0.6, "STYLE": 0.6},
        discount_rate={"USD": 0.05},
    )
    model = xm.PortfolioMargin(universe, scenarios=xm.Scenarios([-0.1, 0.1, 0.0], [0.0, 0.0, 0.25]))
    losses = model.risk_arrays(market)
    years = years_between(TIME, "2027-12-25T08:00")
    np.testing.assert_allclose(losses["PAID"], losses["STYLE"] * math.exp(-0.05 * years), rtol=1e-14)
    values = xm.black76([60_000.0, 54_000.0, 66_000.0], 60_000.0, 0.6, years, "put").value
    np.testing.assert_allclose(losses["STYLE"][:2], values[0] - values[1:], rtol=1e-10)
    # What is long can lose is what the scenarios say, of either kind.
    book = xm.Book.from_frames(
        universe,
        None,
        {"account": ["a", "b"], "instrument": ["PAID", "STYLE"], "quantity": [1.0] * 2, "entry_price": [5_000.0] * 2},
    )
    report = model.evaluate(book, market)
    np.testing.assert_allclose(report.maintenance_margin, [losses["PAID"].max(), losses["STYLE"].max()], rtol=1e-14)
    assert report.equity.tolist() == [0.0, 0.0]


@settings(max_examples=30)
@given(priced=portfolio_venues())
def test_scenario_models_agree_with_the_reference_for_both_styles(priced: PortfolioVenue) -> None:
    for style in (paid_up_front, futures_style):
        assert_is_right(replace(priced, venue=style(priced.venue)))
    undiscounted = replace(priced, discount_rate={})
    plain, style_ = (
        risk_of(replace(undiscounted, venue=style(priced.venue))) for style in (paid_up_front, futures_style)
    )
    assert plain["scan_risk"] == style_["scan_risk"]


@pytest.mark.parametrize("kind", ["perpetual", "future"])
def test_only_options_can_be(kind: str) -> None:
    specs = {
        "instrument": ["OPTION", "OTHER"],
        "kind": ["option", kind],
        "underlying": ["BTC"] * 2,
        "settlement": ["USD"] * 2,
        "futures_style": [True, True],
    }
    with pytest.raises(xm.InputError, match=r"instruments, column 'futures_style', row 1.*'OTHER'.*only an option"):
        xm.Universe.from_frames({"asset": ["USD"]}, specs)


def test_an_entry_price_is_needed() -> None:
    """What variation margin is counted from: without one, or with one that is no number, nothing is said."""
    universe = xm.Universe.from_frames({"asset": ["USD", "BTC"]}, futures_style(venue()).instruments)
    positions: dict[str, Any] = {"account": ["it"], "instrument": ["CALL"], "quantity": [1.0]}
    with pytest.raises(xm.ColumnError, match="entry_price"):
        xm.Book.from_frames(universe, None, positions)
    for price in (math.nan, None, -1.0):
        with pytest.raises(xm.InputError, match="entry_price"):
            xm.Book.from_frames(universe, None, positions | {"entry_price": [price]})
