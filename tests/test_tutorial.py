"""The tutorial shows what it says: its blocks run in order, and its notebook shows the same."""

from __future__ import annotations

import csv
import datetime
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from xmfast.crashes import load_crash

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def tutorial() -> Any:
    spec = importlib.util.spec_from_file_location("run_tutorial", DOCS / "run_tutorial.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["run_tutorial"] = module
    spec.loader.exec_module(module)
    return module


def test_every_block_shows_what_the_page_says(tutorial: Any) -> None:
    blocks, _ = tutorial.read()
    assert len(blocks) > 10 and {block.language for block in blocks} == {"sh", "python"}
    for block, output in zip(blocks, tutorial.outputs(blocks), strict=True):
        assert output == block.output, block.code


# What libraries of notebooks warn of is theirs.
@pytest.mark.filterwarnings("default")
def test_the_notebook_shows_the_same(tutorial: Any) -> None:
    import nbformat

    blocks, rest = tutorial.read()
    expected = [block.output for block in blocks]
    committed = nbformat.read(DOCS / "tutorial.ipynb", as_version=4)
    assert tutorial.shown(committed) == expected
    made = tutorial.notebook(blocks, rest)
    assert tutorial.shown(made) == expected
    assert [cell.source for cell in made.cells] == [cell.source for cell in committed.cells]
    # A picture is drawn by whichever plotly is installed: what it says is compared, not how.
    drawn, kept = (
        [[trace["name"] for trace in one["data"]] for one in tutorial.pictures(book)] for book in (made, committed)
    )
    assert drawn == kept == [["healthy: 10", "below initial: 1", "liquidatable: 1", "bankrupt: 0"]]


def test_the_prices_are_those_of_the_crash() -> None:
    crash = load_crash("2025-10-10")
    at = crash.times.tolist().index(datetime.datetime(2025, 10, 10, 20, 30))
    close = dict(zip(crash.coins, crash.close[at].tolist(), strict=True))
    with open(DOCS / "venue" / "prices.csv", newline="") as file:
        prices = {row["id"]: float(row["price"]) for row in csv.DictReader(file)}
    assert prices == {id: close[id.split("-")[0]] for id in prices}
    bitcoin = crash.close[:, crash.coins.index("BTC")]
    assert int(bitcoin.argmin()) == at + 3, "three quarters of an hour later it closes lowest"


def test_a_stale_page_is_noticed(tutorial: Any) -> None:
    blocks, rest = tutorial.read()
    printed = [block.output for block in blocks]
    page = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    assert tutorial.markdown(blocks, rest, printed) == page
    assert tutorial.markdown(blocks, rest, [*printed[:-1], "other\n"]) != page
