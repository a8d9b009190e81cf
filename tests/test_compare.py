"""What one pool saves against margin position by position: the package against the reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import xmfast as xm
from building import build, reference_of
from reference import exact
from reference_compare import compare as reference_compare
from rule_venues import RULES, busy_venues, random_rule_venue
from small_venue import brackets
from small_venue import venue as small_venue
from strategies import Venue


def compared(venue: Venue) -> tuple[xm.Comparison, dict[str, Any]]:
    """Return the comparison of the two modes, and the reference's in exact arithmetic."""
    cross, book, market = build(replace(venue, mode="cross"))
    isolated = xm.IsolatedMargin.from_frames(cross.universe, venue.collateral, venue.margin)
    inputs = venue.universe, venue.balances, venue.positions, venue.market, venue.collateral, venue.margin
    expected = reference_compare(*inputs, orders=venue.orders, accounts=venue.accounts, number=exact)
    return xm.compare(book, market, [isolated, cross]), expected


def assert_compares_right(venue: Venue) -> dict[str, Any]:
    comparison, expected = compared(venue)
    assert comparison.accounts.tolist() == expected["account"]
    room = np.zeros(len(comparison))
    rows = dict(zip(expected["account"], range(len(room)), strict=True))
    for mode in ("cross", "isolated"):
        reference = reference_of(replace(venue, mode=mode))
        room += reference["gross"]
        np.add.at(room, [rows[name] for name in reference["isolated"]["account"]], reference["isolated"]["gross"])
    room *= 1e-12

    def right(name: str) -> Any:
        return np.array([float(value) for value in expected[name]])

    for mode in ("cross", "isolated"):
        assert (np.abs(comparison.capital[mode] - right(f"capital_{mode}")) <= room).all(), mode
        assert (comparison.capital[mode] >= 0).all()
    assert (np.abs(comparison.equity - right("equity")) <= room).all()
    np.testing.assert_allclose(comparison.notional, right("notional"), rtol=1e-12)
    base = right("capital_isolated")
    assert (np.abs((comparison.saving["cross"] - right("saving")) * base) <= 4 * room).all()
    assert (comparison.saving["isolated"] == 0).all()
    np.testing.assert_array_equal(comparison.liquidatable["isolated"], expected["liquidatable_isolated"])
    # With isolated positions an account's health is a sum of rounded ones, which may be on either side of 0.
    clear = np.abs(right("health")) > room
    for mode, name in (("liquidatable", "liquidatable_cross"), ("premature", "premature")):
        flags = getattr(comparison, mode)["cross"]
        np.testing.assert_array_equal(flags[clear], np.array(expected[name])[clear])
    owned = right("equity") > room
    ratio, notional, equity = (
        values[owned] for values in (comparison.effective_leverage, right("notional"), right("equity"))
    )
    assert (np.abs(ratio * equity - notional) <= 1e-9 * notional + ratio * room[owned]).all()
    assert np.isinf(comparison.effective_leverage[(right("equity") < -room) & (right("notional") > 0)]).all()
    return expected


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rules", [(), tuple(rule for rule in RULES if rule != "isolated"), RULES], ids=len)
def test_random_venues(seed: int, rules: tuple[str, ...]) -> None:
    expected = assert_compares_right(random_rule_venue(seed, rules=rules))
    assert 0 < expected["venue"]["premature"] < len(expected["account"])
    assert 0 < expected["venue"]["saving"] < 1


@given(venue=busy_venues())
def test_small_venues(venue: Venue) -> None:
    assert_compares_right(venue)


def test_a_hedge_saves_and_a_single_position_does_not() -> None:
    # Long and short 1000 of notional: 100 to open each; the one has won 300, the other lost 250.
    hedge = small_venue(
        balances=[("USD", 200.0)],
        positions=[("PERP", 10.0, 70.0), ("OIL", -0.2, -6.25)],
    )
    comparison, _ = compared(hedge)
    assert comparison.capital["isolated"].tolist() == [350.0]
    assert comparison.capital["cross"].tolist() == [150.0]
    assert comparison.saving["cross"].tolist() == pytest.approx([4 / 7])
    # Alone the loser has half of the 200, and would be liquidated; together they are sound.
    assert comparison.liquidatable["isolated"].tolist() == [True]
    assert comparison.premature["cross"].tolist() == [True]
    assert comparison.effective_leverage.tolist() == pytest.approx([2000 / 250])
    alone, _ = compared(small_venue(balances=[("USD", 200.0)], positions=[("PERP", 10.0, 100.0)]))
    assert alone.capital["isolated"].tolist() == alone.capital["cross"].tolist() == [100.0]
    assert alone.saving["cross"].tolist() == [0.0] and not alone.premature["cross"].any()


def test_nothing_needed_saves_nothing() -> None:
    comparison, _ = compared(small_venue(balances=[("USD", 200.0)]))
    assert comparison.saving["cross"].tolist() == comparison.effective_leverage.tolist() == [0.0]


@given(venue=busy_venues(among=tuple(rule for rule in RULES if rule not in ("isolated", "brackets"))))
def test_one_pool_never_needs_more_capital(venue: Venue) -> None:
    comparison, _ = compared(venue)
    assert (comparison.capital["cross"] <= comparison.capital["isolated"] * (1 + 1e-9) + 1e-9).all()
    assert ((comparison.saving["cross"] >= -1e-9) & (comparison.saving["cross"] <= 1)).all()


def test_several_models_by_name() -> None:
    venue = small_venue(balances=[("USD", 200.0)], positions=[("PERP", 10.0, 100.0)])
    cross, book, market = build(venue)
    strict = xm.CrossMargin.from_frames(cross.universe, margin=brackets("PERP", (0.0, 0.5, 0.25)))
    isolated = xm.IsolatedMargin.from_frames(cross.universe, margin=venue.margin)
    comparison = xm.compare(book, market, {"alone": isolated, "usual": cross, "strict": strict})
    assert {name: capital.tolist() for name, capital in comparison.capital.items()} == {
        "alone": [100.0],
        "usual": [100.0],
        "strict": [500.0],
    }
    assert comparison.liquidatable["strict"].tolist() == [True]
    assert comparison.baseline == "alone"


def test_what_cannot_be_compared() -> None:
    cross, book, market = build(small_venue())
    isolated = xm.IsolatedMargin.from_frames(cross.universe)
    for models in (
        [],
        [cross],
        [isolated],
        [isolated, isolated],
        {"a": isolated, "b": isolated},
        [isolated, cross, cross],
    ):
        with pytest.raises(xm.InputError):
            xm.compare(book, market, models)
    bad: Any = [isolated, "cross"]
    with pytest.raises(TypeError):
        xm.compare(book, market, bad)
