"""Accounts of scenario models that are decided exactly: as if every scenario had been summed in fractions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import Any, TypeAlias

import numpy as np
import pytest

import xmfast as xm
from building import SIMD_PATHS, settings

NAMES = [f"P{number}" for number in range(8)]
# Two instruments of each, so that positions hedge each other, to the last digit or nearly.
UNDERLYING = {name: f"U{number // 2}" for number, name in enumerate(NAMES)}
GROUP = {"U0": "a", "U1": "a", "U2": "b", "U3": "b"}
SCENARIOS = 60
ACCOUNTS = 40

Losses: TypeAlias = list[Fraction]
# By underlying, or of all together if joint.
Rule: TypeAlias = Callable[[dict[str, Losses]], Fraction]


def worst(losses: Losses) -> Fraction:
    return max(Fraction(0), *losses)


def each_alone(groups: dict[str, Losses]) -> Fraction:
    return sum(map(worst, groups.values()), Fraction(0))


def all_together(groups: dict[str, Losses]) -> Fraction:
    return worst(added(list(groups.values())))


def added(groups: list[Losses]) -> Losses:
    return [sum(losses, Fraction(0)) for losses in zip(*groups, strict=True)]


def shared(share: str, groups_of: dict[str, str] | None = None) -> Rule:
    """In each product group, gains pay that share of the losses in the same scenario."""

    def rule(groups: dict[str, Losses]) -> Fraction:
        pools: dict[str, list[Losses]] = {}
        for name, losses in groups.items():
            pools.setdefault(groups_of[name] if groups_of else "", []).append(losses)
        paid = (
            [[loss if loss > 0 or len(pool) == 1 else loss * Fraction(share) for loss in losses] for losses in pool]
            for pool in pools.values()
        )
        return sum((worst(added(pool)) for pool in paid), Fraction(0))

    return rule


# A confidence of 0.9 asks for the 54th smallest loss of 60, the 36th of 40, the 18th of 20.
def tail(rank: int, *, mean: bool, first: int = 0, count: int = SCENARIOS) -> Rule:
    """The loss of a rank among the scenarios of a set, or the mean of those down to it."""

    def rule(groups: dict[str, Losses]) -> Fraction:
        largest = sorted(added(list(groups.values()))[first : first + count], reverse=True)[:rank]
        return max(Fraction(0), sum(largest, Fraction(0)) / rank if mean else largest[-1])

    return rule


def larger(*rules: Rule) -> Rule:
    return lambda groups: max(rule(groups) for rule in rules)


def scenarios(**options: Any) -> Callable[[xm.Universe, dict[str, list[float]]], Any]:
    return lambda universe, moves: xm.PortfolioMargin(
        universe, scenarios=xm.Scenarios(price_shock=moves), initial_factor=1.25, **options
    )


def joint(universe: xm.Universe, moves: dict[str, list[float]]) -> xm.PortfolioMargin:
    return xm.PortfolioMargin(universe, scenarios=xm.Scenarios.joint(moves), initial_factor=1.25)


def history(measure: str, *, stressed: int = 0) -> Callable[[xm.Universe, dict[str, list[float]]], Any]:
    """Return a model of a confidence of 0.9; the last scenarios are those of a stressed history."""

    def model(universe: xm.Universe, moves: dict[str, list[float]]) -> xm.HistoricalVaR:
        recent = {name: column[: SCENARIOS - stressed] for name, column in moves.items()}
        other = {name: column[SCENARIOS - stressed :] for name, column in moves.items()} if stressed else None
        options: dict[str, Any] = {"measure": measure, "stressed_returns": other}
        return xm.HistoricalVaR(universe, returns=recent, confidence=0.9, initial_factor=1.25, **options)

    return model


def two_sets(*, mean: bool) -> Rule:
    return larger(tail(5, mean=mean, count=40), tail(3, mean=mean, first=40, count=20))


CASES: dict[str, tuple[Any, Rule]] = {
    "none": (scenarios(), each_alone),
    "full": (scenarios(offsets="full"), all_together),
    "full in groups": (scenarios(offsets="full", product_groups=GROUP), shared("1", GROUP)),
    "share": (scenarios(offsets=0.3), shared("0.3")),
    "share in groups": (scenarios(offsets=0.3, product_groups=GROUP), shared("0.3", GROUP)),
    "joint": (joint, all_together),
    "quantile": (history("var"), tail(7, mean=False)),
    "shortfall": (history("es"), tail(7, mean=True)),
    "quantile of two sets": (history("var", stressed=20), two_sets(mean=False)),
    "shortfall of two sets": (history("es", stressed=20), two_sets(mean=True)),
}


def moves_of(random: Random, kind: str) -> dict[str, list[float]]:
    """Return shocks by underlying: all different, a few over and over, or a few whose last digits differ."""
    steps = (-0.3, -0.1, 0.0, 0.1, 0.2)
    draw: dict[str, Callable[[], float]] = {
        "different": lambda: round(random.gauss(0, 0.1), 6),
        "ties": lambda: random.choice(steps),
        "nearly ties": lambda: float(np.nextafter(random.choice(steps), random.choice((-1.0, 1.0)))),
    }
    return {name: [draw[kind]() for _ in range(SCENARIOS)] for name in GROUP}


@pytest.mark.parametrize("kind", ["different", "ties", "nearly ties"])
@pytest.mark.parametrize("case", CASES)
def test_exact_figures_are_those_of_all_scenarios(case: str, kind: str) -> None:
    model_of, rule = CASES[case]
    random = Random(f"{case} {kind}")
    universe = xm.Universe.from_frames(
        {"asset": ["USD"]},
        {
            "instrument": NAMES,
            "kind": ["perpetual"] * len(NAMES),
            "underlying": list(UNDERLYING.values()),
            "settlement": ["USD"] * len(NAMES),
        },
    )
    marks = {name: random.choice((0.1, 7.3, 100.0, 61234.56)) for name in NAMES}
    marks |= {"P1": marks["P0"], "P3": marks["P2"]}
    rows: list[tuple[str, str, float]] = []
    for number in range(ACCOUNTS):
        held = {name: random.randrange(-99, 100) / 10 for name in random.sample(NAMES, random.randrange(1, 8))}
        if number % 4 == 0:
            # One hedges the other, and no scenario loses more than another.
            held = {"P0": 0.7, "P1": -0.7} | ({"P2": -1.1, "P3": 1.1} if number % 8 else {})
        rows += [(f"A{number}", name, quantity) for name, quantity in held.items() if quantity]
    # No balance and bought at the mark: equity is 0, so that every account is decided exactly.
    positions = {
        "account": [row[0] for row in rows],
        "instrument": [row[1] for row in rows],
        "quantity": [row[2] for row in rows],
        "entry_price": [marks[row[1]] for row in rows],
    }
    book = xm.Book.from_frames(universe, None, positions)
    market = xm.Market(universe, mark_price=marks)
    model = model_of(universe, moves_of(random, kind))
    arrays = model.risk_arrays(market)
    lost = {name: [Fraction(repr(float(loss))) for loss in arrays[name]] for name in NAMES}
    right = {}
    for account in dict.fromkeys(holder for holder, _, _ in rows):
        groups: dict[str, list[Losses]] = {}
        for holder, name, quantity in rows:
            if holder == account:
                losses = [Fraction(str(quantity)) * loss for loss in lost[name]]
                groups.setdefault(UNDERLYING[name], []).append(losses)
        right[account] = rule({name: added(parts) for name, parts in groups.items()})
    for simd in SIMD_PATHS:
        with settings(simd=simd):
            report, flags = model.evaluate(book, market), model.liquidatable(book, market)
        assert report.exact_decisions == len(right)
        for row, account in enumerate(report.accounts.tolist()):
            needed = right[account]
            # Correctly rounded, with the sign of the exact number.
            assert report.maintenance_margin[row] == float(needed), account
            assert report.initial_margin[row] == float(needed * Fraction("1.25")), account
            assert (report.equity[row], report.health[row]) == (0.0, -float(needed)), account
            assert report.liquidatable[row] == flags[row] == (needed > 0), account
    assert any(needed > 0 for needed in right.values()) and 0 in right.values()
    for account in list(right)[:6]:
        assert report.explain(account).total.maintenance_margin == right[account]
