"""README, docstrings and the stub say what is true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xmfast as xm

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(xm.__path__, "xmfast.") if module.name != "xmfast._core"
)


def namespace() -> dict[str, Any]:
    """Return the small venue that examples speak of."""
    universe = xm.Universe.from_frames(
        assets={"asset": ["USD", "BTC"]},
        instruments={
            "instrument": ["BTC-PERP"],
            "kind": ["perpetual"],
            "underlying": ["BTC"],
            "settlement": ["USD"],
        },
        numeraire="USD",
    )
    book = xm.Book.from_frames(
        universe,
        balances={"account": ["alice", "bob"], "asset": ["BTC", "USD"], "balance": [1.0, 500.0]},
        positions={
            "account": ["bob"],
            "instrument": ["BTC-PERP"],
            "quantity": [0.2],
            "entry_price": [62_000.0],
        },
    )
    market = xm.Market(universe, index_price={"BTC": 60_000}, mark_price={"BTC-PERP": 60_100})
    model = xm.CrossMargin.from_frames(
        universe,
        collateral={"asset": ["BTC"], "initial_haircut": [0.10], "maintenance_haircut": [0.05]},
        margin={"instrument": ["BTC-PERP"], "initial_rate": [0.05], "maintenance_rate": [0.02]},
    )
    return {
        "xm": xm,
        "np": np,
        "universe": universe,
        "book": book,
        "market": market,
        "model": model,
        "report": model.evaluate(book, market),
    }


@pytest.mark.parametrize("name", ["xmfast", *MODULES])
def test_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs=namespace())
    assert result.failed == 0


def test_docstrings_have_examples() -> None:
    """Every class and function of the package that computes something shows how it is used."""
    missing = [
        name
        for name in ("Book", "CrossMargin", "Engine", "MarginReport", "Market", "Universe", "contract")
        if not any(
            ">>>" in (getattr(part, "__doc__", None) or "")
            for part in (getattr(xm, name), getattr(getattr(xm, name), "from_frames", None))
        )
    ]
    assert missing == []


def test_readme_example_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    code = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(code) == 1
    names: dict[str, Any] = {}
    exec(compile(code[0], "README.md", "exec"), names)
    assert "bob" in capsys.readouterr().out
    assert names["report"]["bob"].liquidatable


def test_readme_sessions() -> None:
    result = doctest.testfile(str(ROOT / "README.md"), module_relative=False, globs=namespace())
    assert result.attempted > 0
    assert result.failed == 0


def test_sessions_of_the_page_on_value_at_risk() -> None:
    result = doctest.testfile(str(ROOT / "docs" / "value_at_risk.md"), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0


def test_stub_matches_the_binary() -> None:
    """Stubtest compares ``_core.pyi`` with the compiled module, name by name."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "xmfast._core"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
