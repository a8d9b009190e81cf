"""An engine that stands while bad events are refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import xmfast as xm
from building import bits_of, isolated_bits_of
from small_engine import small_engine


def standing_engine() -> xm.Engine:
    """Return an engine of which every part can be refused something."""
    engine = small_engine(
        balances=[
            ("ann", "USD", 10_000),
            ("bob", "USD", 100),
            ("bob", "BTC", 1),
            ("cat", "USD", -50),
            ("dan", "USD", 100),
        ],
        positions=[
            ("ann", "PERP", 3, 100),
            ("bob", "PERP", -3, 100),
            ("ann", "INVERSE", 2, 50_000, 0.001),
            ("bob", "OIL", 1, -5),
            ("cat", "CALL", 1, 1500),
            ("dan", "PERP", -3, 100),
        ],
        orders=[("ann", "PERP", 2, 99), ("bob", "INVERSE", -1, 51_000)],
        accounts=["ann", "bob", "cat", "dan"],
        position_limit={"PERP": 1000},
    )
    engine.place("ann", "PERP", -1, 120, reduce_only=True)
    engine.settle("COINCALL", 0.01)
    engine.deposit("ann", "USD", 1, client_id="first")
    engine.accrue("2026-11-23T12:00", funding={"PERP": 0.5}, interest={"USD": (1.01, 1.02)})
    return engine


@contextmanager
def unchanged(engine: xm.Engine) -> Iterator[xm.Engine]:
    """Assert that afterwards the engine is just what it was."""
    before = engine.state_hash(), engine.ledger(), engine.liquidatable().tolist(), engine.open_orders("ann")
    report: Any = engine.report()
    yield engine
    assert (engine.state_hash(), engine.ledger(), engine.liquidatable().tolist(), engine.open_orders("ann")) == before
    assert bits_of(engine.report()) == bits_of(report)
    assert isolated_bits_of(engine.report()) == isolated_bits_of(report)
    assert engine.fallen().tolist() == engine.recovered().tolist() == []
