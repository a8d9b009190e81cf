"""The tutorial shows what it says: its blocks run in order, and its notebook shows the same."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

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


def test_a_stale_page_is_noticed(tutorial: Any) -> None:
    blocks, rest = tutorial.read()
    printed = [block.output for block in blocks]
    page = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    assert tutorial.markdown(blocks, rest, printed) == page
    assert tutorial.markdown(blocks, rest, [*printed[:-1], "other\n"]) != page
