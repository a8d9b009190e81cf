"""Money in the live engine: the same units as in the slow ledger after every event, and none made or lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from engine_histories import HISTORIES, MONEY, Event, next_events, shortest
from engine_twins import Twins
from strategies import Columns, Venue

ASSETS = ("USD", "BTC", "EUR")
SPECS: tuple[tuple[Any, ...], ...] = (
    ("PERP", "perpetual", "BTC", "USD", 1.0, False, False),
    ("MINI", "perpetual", "BTC", "USD", 0.001, False, False),
    ("INVERSE", "perpetual", "BTC", "BTC", 100.0, True, False),
    ("CALL", "option", "BTC", "USD", 0.1, False, False),
    ("COINCALL", "option", "BTC", "BTC", 1.0, True, False),
    ("QUANTO", "future", "BTC", "EUR", 0.01, False, False),
    ("OIL", "future", "WTI", "USD", 1000.0, False, True),
)
COLUMNS = ("instrument", "kind", "underlying", "settlement", "contract_multiplier", "inverse", "allow_negative_price")
INSTRUMENTS: Columns = {name: [spec[at] for spec in SPECS] for at, name in enumerate(COLUMNS)}
MARK = {
    "PERP": 60_011.7,
    "MINI": 60_011.7,
    "INVERSE": 59_987.3,
    "CALL": 1234.56,
    "COINCALL": 0.0213,
    "QUANTO": 60_123.4,
    "OIL": 0.37,
}
INDEX = {"BTC": 60_000.1, "EUR": 1.0871, "WTI": 0.4}
COLLATERAL: Columns = {
    "asset": ["BTC", "EUR"],
    "initial_haircut": [0.1, 0.03],
    "maintenance_haircut": [0.05, 0.02],
    "initial_liability_weight": [1.2, 1.0],
    "maintenance_liability_weight": [1.1, 1.0],
    "unrealized_gain_share": [0.8, 1.0],
}
MARGIN: Columns = {
    "instrument": INSTRUMENTS["instrument"],
    "initial_rate": [0.05, 0.05, 0.05, 0.15, 0.2, 0.05, 0.3],
    "maintenance_rate": [0.02, 0.02, 0.02, 0.1, 0.1, 0.03, 0.2],
}
met: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def enough_has_happened() -> Iterator[None]:
    yield
    # Whoever is never refused is never judged.
    assert not met or min(met["allowed"], met["forbidden"]) > met["histories"] / 10, met


def random_book(random: Random) -> Venue:
    """Return a venue of five accounts with cash, loans and positions, of which some are isolated."""
    accounts = ["ann", "bob", "cat", "dan", "eve"]
    balances = [
        (account, asset, round(random.lognormvariate(8, 2) / (INDEX.get(asset, 1.0)), random.choice((2, 7, 10))))
        for account in accounts
        for asset in ASSETS
        if random.random() < 0.8
    ]
    balances = [(*row[:2], row[2] if random.random() < 0.8 else -row[2] / 10) for row in balances]
    positions = []
    for account in accounts:
        for name in INSTRUMENTS["instrument"]:
            if random.random() < 0.5:
                mark = MARK[name]
                quantity = random.choice((1, -1)) * round(random.lognormvariate(-1, 2), random.choice((0, 3, 8, 11)))
                margin = round(random.lognormvariate(3, 3), 9) if quantity and random.random() < 0.25 else None
                funding = 0.0 if "CALL" in name else random.choice((0.0, 0.0, 0.13, -0.00001))
                entry = float(f"{mark * random.uniform(0.9, 1.1):.7g}")
                positions.append((account, name, quantity, entry, funding, margin))
    names = ("account", "instrument", "quantity", "entry_price", "entry_funding", "isolated_margin")
    return Venue(
        assets={"asset": list(ASSETS)},
        instruments=INSTRUMENTS,
        balances={name: [row[at] for row in balances] for at, name in enumerate(("account", "asset", "balance"))},
        positions={name: [row[at] for row in positions] for at, name in enumerate(names)},
        accounts={"account": accounts, "leverage_cap": [None] * len(accounts)},
        index_price=INDEX,
        mark_price=MARK,
        deposit_index={"USD": 1.0, "BTC": random.choice((1.0, 1.000123)), "EUR": 1.5},
        borrow_index={"USD": random.choice((1.0, 1.01)), "BTC": 1.0, "EUR": 2.0},
        cumulative_funding={"PERP": random.choice((0.0, 0.13, 7.1)), "INVERSE": -0.00001},
        collateral=COLLATERAL,
        margin=MARGIN,
    )


def opened(seed: int, mode: str) -> Twins:
    random = Random(seed)
    return Twins(replace(random_book(random), mode=mode), random)


def history(seed: int, mode: str, groups: int) -> None:
    twins, events = opened(seed, mode), []
    try:
        twins.compare_residue()
        for _ in range(groups):
            for happens in next_events(twins.scene, MONEY):
                events.append(happens)
                twins.step(happens)
        twins.compare_accounts()
    except AssertionError as error:
        needed = shortest(events, lambda some: differ(opened(seed, mode), some))
        lines = "\n".join(str(happens) for happens in needed)
        raise AssertionError(f"seed {seed}: {error}\n{lines}") from error
    met.update(twins.met, histories=1)


def differ(twins: Twins, events: Sequence[Event]) -> bool:
    try:
        for happens in events:
            twins.step(happens)
        twins.compare_accounts()
    except AssertionError:
        return True
    return False


@settings(max_examples=max(1, HISTORIES // 10), phases=(Phase.explicit, Phase.generate), database=None)
@given(seed=st.integers(0, 2**32 - 1), mode=st.sampled_from(["cross", "cross", "isolated"]))
def test_engine_and_slow_ledger_hold_the_same(seed: int, mode: str) -> None:
    history(seed, mode, groups=25)
