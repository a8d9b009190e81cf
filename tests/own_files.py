"""A folder with the files of `xmfast init`, and the command line in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from xmfast.cli import main
from xmfast.files.frame_file import read_table, write_table

NAMES = ("venue.toml", "balances.csv", "positions.csv", "prices.csv", "orders.csv", "portfolio.toml")
FRAMES = ("balances", "positions", "prices", "orders")
INPUTS = ["--universe", "venue.toml", *(word for name in FRAMES for word in (f"--{name}", f"{name}.csv"))]


@dataclass(frozen=True)
class Done:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


def command_in(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs a command as if it were typed in that folder."""
    monkeypatch.chdir(folder)

    def command(*arguments: str) -> Done:
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return command


def edit(name: str, old: str, new: str) -> None:
    """Replace what stands once in a file."""
    path = Path(name)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def convert(name: str, suffix: str) -> str:
    """Write a frame in another format and return the name of the file."""
    table = read_table(f"{name}.csv")
    with open(name + suffix, "wb") as file:
        write_table(pa.table(table.columns), name + suffix, file)
    return name + suffix
