"""A small history ends in the state that is written down, on any machine, thread count and instruction set."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

import xmfast as xm
from building import SIMD_PATHS
from small_engine import small_engine

TESTS = Path(__file__).parent
SOURCE, GOLDEN = (TESTS / "golden" / "state_of_an_engine.txt").read_text(encoding="utf-8").splitlines()
D = Decimal


def history() -> xm.Engine:
    """Return an engine to which a bit of everything has happened."""
    engine = small_engine(
        balances=[
            ("ann", "USD", 1_000),
            ("bob", "USD", D("60000.123456789")),
            ("ann", "BTC", 0.5),
            ("cat", "BTC", -0.01),
        ],
        positions=[("ann", "PERP", 3, 100.1), ("bob", "INVERSE", 2, 50_000, 0.01), ("bob", "OIL", -1, -4)],
        orders=[("ann", "PERP", 1, D("99.000000000000000000001")), ("bob", "CALL", 2, 1500)],
        accounts=["ann", "bob", "cat"],
        collateral={"asset": ["BTC"], "initial_haircut": [0.1], "initial_liability_weight": [1.1]},
        leverage_cap={"ann": 9},
        decimals={"USD": 8, "BTC": 9},
        borrowable=["BTC"],
        position_limit={"PERP": 100},
        alert_levels=[0.5, 0.9],
    )
    number = engine.place("ann", "PERP", -2, 101.5, client_id="first")
    engine.amend(number, quantity=-1)
    engine.fill("ann", "PERP", -0.5, 102, 0.001, number)
    engine.trade("ann", "bob", "CALL", 0.3, 1501.25, -0.01, 0.02)
    engine.fills(["bob", "cat", "bob"], ["PERP", "INVERSE", "PERP"], [1.5, -1, -0.25], [99.9, 50_001, 100])
    engine.accrue("2026-11-29", funding={"PERP": 0.0123, "INVERSE": 1e-9}, interest={"USD": (1.0001, 1.0002)})
    engine.ticks(["PERP", "BTC", "OIL"], [97.3, 49_000.5, D("-5.10000000000000000001")])
    engine.deposit("cat", "USD", D("12.34567891"))
    engine.withdraw("bob", "USD", 7)
    engine.transfer("bob", "ann", "USD", 3)
    engine.transfer("ann", "bob", "PERP", 0.7)
    engine.exchange("bob", "USD", "BTC", 100, 0.002, 0.000001)
    engine.add_account("dan")
    engine.settle("COINCALL", 0.031)
    engine.tick("OIL", 40)
    return engine


def test_the_state_is_the_one_that_is_written_down() -> None:
    assert SOURCE.startswith("Source: ")
    assert history().state_hash() == GOLDEN


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("simd", SIMD_PATHS)
def test_threads_and_instruction_sets_change_nothing(threads: int, simd: str) -> None:
    program = "import test_engine_golden; print(test_engine_golden.history().state_hash())"
    settings = {"XMFAST_NUM_THREADS": str(threads), "XMFAST_SIMD": simd, "PYTHONPATH": str(TESTS)}
    environment = {**os.environ, **settings}
    said = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == GOLDEN
