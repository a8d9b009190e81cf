"""A call from inside another call of the same engine is refused: it would wait for the call that waits for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

TESTS = str(Path(__file__).parent)

# What hangs cannot be interrupted from inside, so each runs in a process of its own.
START = """
import faulthandler, os, signal, threading, time
import numpy as np
import pytest
import xmfast as xm
from small_engine import small_engine

faulthandler.dump_traceback_later(60, exit=True)
engine, other = (small_engine([("ann", "USD", 1e9)]) for _ in range(2))

said = []

# Calls somebody when it is read.
class Value:
    def __init__(self, call):
        self.call = call
    def __index__(self):
        try:
            self.call()
        except RuntimeError as error:
            said.append(str(error))
            raise
        return 1

# A value that cannot be read is none.
def refused(read):
    said.clear()
    with pytest.raises(xm.ColumnError, match="not a number"):
        read()
    # Python asks more than once.
    assert set(said) == {"this engine is in the middle of another call of the same thread"}, said

CALLS = {
    "check_order": lambda: engine.check_order("ann", "PERP", 1, 100),
    "check_orders": lambda: engine.check_orders(["ann"], ["PERP"], [1.0], [100.0]),
    "place": lambda: engine.place("ann", "PERP", 1, 100),
    "deposit": lambda: engine.deposit("ann", "USD", 1),
    "fills": lambda: engine.fills(["ann"], ["PERP"], [1.0], [100.0]),
    "tick": lambda: engine.tick("PERP", 100),
    "ticks": lambda: engine.ticks(["PERP"], [100.0]),
    "book": lambda: engine.book,
    "model": lambda: engine.model,
    "ledger": engine.ledger,
    "residue": lambda: engine.residue,
    "state_hash": engine.state_hash,
    "metrics": engine.metrics,
    "nbytes": lambda: engine.nbytes,
    "len": lambda: len(engine),
    "fallen": engine.fallen,
    "liquidatable": engine.liquidatable,
}
"""


def run(body: str) -> None:
    """Run a script that has an engine; it must end by itself."""
    paths = os.pathsep.join(filter(None, [TESTS, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", START + textwrap.dedent(body)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_values_cannot_call_the_engine_that_reads_them() -> None:
    run(
        """
        before = engine.state_hash()
        for name, call in CALLS.items():
            for read in [
                lambda: engine.check_order("ann", "PERP", Value(call), 100),
                lambda: engine.check_order("ann", "PERP", 1, Value(call)),
                lambda: engine.place("ann", "PERP", Value(call), 100),
                lambda: engine.deposit("ann", "USD", Value(call)),
            ]:
                refused(read)
            assert engine.state_hash() == before, name
        """
    )


def test_values_may_call_another_engine_and_what_they_call_may_not_come_back() -> None:
    run(
        """
        asked = Value(lambda: other.check_order("ann", "PERP", 1, 100))
        assert engine.check_order("ann", "PERP", asked, 100) == engine.check_order("ann", "PERP", 1, 100)
        back = Value(lambda: other.check_order("ann", "PERP", Value(CALLS["check_order"]), 100))
        refused(lambda: engine.check_order("ann", "PERP", back, 100))
        assert engine.check_order("ann", "PERP", 1, 100)
        assert other.check_order("ann", "PERP", 1, 100)
        """
    )


def test_other_threads_wait_as_before() -> None:
    run(
        """
        seen = []
        def ask():
            seen.append(engine.check_order("ann", "PERP", 1, 100))
        def meanwhile():
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join(0.2)
            assert not seen
        check = engine.check_order("ann", "PERP", Value(meanwhile), 100)
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join(30)
        assert set(seen) == {check}
        """
    )


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_handlers_of_signals_cannot_call_the_engine_that_works() -> None:
    run(
        """
        count = 1_000_000
        # Orders that only reduce take longest to check.
        rows = [["ann"] * count, ["PERP"] * count, np.ones(count), np.full(count, 100.0), np.ones(count, dtype=bool)]
        heard = []
        def handler(*_):
            try:
                heard.append(engine.metrics())
            except RuntimeError as error:
                heard.append(error)
        signal.signal(signal.SIGALRM, handler)
        # How long the columns take to read differs; the signal is to come after that.
        end, wait = time.monotonic() + 40, 0.01
        while not any(isinstance(said, RuntimeError) for said in heard) and time.monotonic() < end:
            signal.setitimer(signal.ITIMER_REAL, wait)
            assert not engine.check_orders(*rows)["accepted"].any()
            wait = 1.3 * wait if wait < 2 else 0.01
        assert "in the middle of another call" in str(heard[-1])
        signal.setitimer(signal.ITIMER_REAL, 0)
        """
    )
