"""The command line, run as users run it: in a process of its own."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from xmfast.cli import main
from xmfast.crashes import CRASHES, load_crash
from xmfast.demo import build_venue, generate_accounts
from xmfast.terminal import Lines, Progress

# Fewer accounts than the demo's own 100,000, but enough for some to fail in every crash.
FEW = ["--accounts", "3000"]


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "xmfast.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


def test_demo_prints_a_row_for_each_bar_and_a_summary() -> None:
    done = run("demo", *FEW)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith(("2025-10-10 ", "2025-10-11 "))]
    assert len(rows) == 48
    assert "108,432.09" in done.stdout  # the lowest close of Bitcoin
    for part in (
        "3,000 generated accounts",
        "At the peak",
        "The worst account",
        "million a second",
        "Try next",
    ):
        assert part in done.stdout
    assert "\x1b" not in done.stdout, "no colours where nobody sees them"
    assert done.stdout.isascii(), "a table must print on a terminal of any encoding"


@pytest.mark.parametrize("crash", CRASHES)
def test_demo_of_every_crash(crash: str) -> None:
    done = run("demo", *FEW, "--crash", crash, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["crash"] == crash
    bars = document["bars"]
    assert len(bars) == len(load_crash(crash).times)
    # Hardly anyone is below maintenance at the start, and at the low it is a few in a hundred or more.
    assert bars[0]["below_maintenance"] <= 0.002 * 3000
    assert 0.02 * 3000 < document["peak"]["below_maintenance"] < 0.3 * 3000
    for bar in bars:
        assert 0 <= bar["bankrupt"] <= bar["below_maintenance"] <= bar["below_initial"] <= 3000
        assert (bar["shortfall"] > 0) == (bar["bankrupt"] > 0)
    worst = document["peak"]["worst_account"]
    assert worst["liquidatable"] and worst["health"] < 0
    assert document["timing"]["accounts_per_second"] > 0


def test_demo_repeats_itself_and_seeds_differ() -> None:
    first, again, other = (json.loads(run("demo", *FEW, "--json", "--seed", s).stdout) for s in "778")
    assert first["bars"] == again["bars"]
    assert first["bars"] != other["bars"]


def test_demo_is_the_same_on_one_thread_and_plain_code() -> None:
    runs = (
        run("demo", *FEW, "--json", XMFAST_NUM_THREADS=threads, XMFAST_SIMD=simd)
        for threads, simd in (("1", "scalar"), ("2", "auto"))
    )
    one, two = (json.loads(done.stdout) for done in runs)
    assert one["bars"] == two["bars"]
    assert one["timing"]["threads"] == 1 and one["timing"]["simd"] == "scalar"


def test_csv_file_holds_the_bars(tmp_path: Path) -> None:
    file = tmp_path / "crash.csv"
    file.write_text("what was there before")
    done = run("demo", *FEW, "--csv", str(file))
    assert done.returncode == 0, done.stderr
    assert str(file) in done.stdout
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == 48
    assert rows[0]["time"] == "2025-10-10T14:15:00Z"
    assert float(rows[0]["btc_price"]) == 121678.21
    assert [path.name for path in tmp_path.iterdir()] == ["crash.csv"], "no part file stays behind"
    printed = run("demo", *FEW, "--csv", "-")
    assert list(csv.DictReader(io.StringIO(printed.stdout))) == rows


def test_csv_that_cannot_be_written_fails_before_the_work(tmp_path: Path) -> None:
    file = tmp_path / "no such folder" / "crash.csv"
    done = run("demo", "--csv", str(file))
    assert done.returncode == 2
    assert done.stderr == f"xmfast: error: {file}: No such file or directory\n"
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--crash", "1987-10-19"], "2025-10-10"),
        (["demo", "--accounts", "0"], "not within 1 and 10,000,000"),
        (["demo", "--accounts", "many"], "'many' is not a whole number"),
        (["demo", "--accounts", "99999999999"], "not within"),
        (["demo", "--seed", "-1"], "not within"),
        (["demo", "--json", "--csv", "x"], "not allowed with"),
        (["demo", "--acc", "5"], "unrecognized arguments"),
        (["dmeo"], "invalid choice"),
        ([], "usage: xmfast"),
    ],
)
def test_wrong_use_is_exit_code_2(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_errors_of_the_package_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**_: object) -> int:
        load_crash("1987-10-19")
        return 0

    monkeypatch.setattr("xmfast.commands.demo.run_demo", refuse)
    assert main(["demo"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("xmfast: error: no crash '1987-10-19'")
    assert error.count("\n") == 1


def test_help_lists_the_commands_and_the_crashes() -> None:
    text = run("--help").stdout
    assert all(f"\n    {command} " in text for command in ("demo", "init", "evaluate", "explain", "doctor"))
    text = run("demo", "--help").stdout
    assert all(name in text for name in CRASHES)


def test_version() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("xmfast 0.")


def test_doctor() -> None:
    done = run("doctor", XMFAST_SIMD="scalar", XMFAST_NUM_THREADS="1")
    assert done.returncode == 0, done.stdout + done.stderr
    for part in (
        "self-check    passed",
        "simd          scalar",
        "threads       1",
        "XMFAST_SIMD=scalar",
        "fork",
    ):
        assert part in done.stdout


def test_doctor_as_json() -> None:
    found = json.loads(run("doctor", "--json").stdout)
    assert found["self_check"] == "passed"
    assert found["simd"] in found["simd_available"]
    assert found["threads"] >= 1
    assert found["fork_generation"] == 0
    assert {"version", "python", "platform", "pid", "pool_started", "cpu_flags", "extras"} <= set(found)
    assert "rich" in found["extras"]["cli"]
    assert "plotly" in found["extras"]["report"]


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_exits_with_130(tmp_path: Path) -> None:
    file = tmp_path / "crash.csv"
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "xmfast.cli", "demo", "--accounts", "300000", "--csv", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()  # now the work is under way
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error.splitlines()[-1] == "xmfast: interrupted"
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == [], "half a table is not left behind"
    assert time.monotonic() - start < 10


@pytest.mark.skipif(os.name == "nt", reason="pipes close differently")
@pytest.mark.parametrize("output", [[], ["--json"], ["--csv", "-"]])
def test_closed_pipe_is_quiet(output: list[str]) -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "xmfast.cli", "demo", *FEW, *output],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    os.close(reader)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 141
    assert error == ""


def test_progress_is_silent_for_two_seconds_and_then_says_what_is_left() -> None:
    stream = io.StringIO()
    seconds = iter([0.0, 0.5, 1.0, 5.0, 5.5, 10.0, 14.0])
    progress = Progress(stream, lambda: next(seconds))
    progress.step("margining bars", 0, 10)  # at 0.5: too early
    progress.step("margining bars", 1, 10)  # at 1.0
    progress.step("margining bars", 3, 10)  # at 5.0: 1.5 s a step, 7 to go
    progress.step("margining bars", 4, 10)  # at 5.5: a line was just written
    progress.step("building the book", 0, 1)  # at 10.0
    progress.step("building the book", 1, 1)  # at 14.0: done, nothing left to tell
    progress.clear()
    assert stream.getvalue() == "margining bars: 3 of 10, about 10 s left\nbuilding the book ...\n"


def test_progress_on_a_terminal_rewrites_one_line() -> None:
    stream = Terminal()
    seconds = iter([0.0, 0.0, 3.0, 3.5])
    progress = Progress(stream, lambda: next(seconds))
    progress.step("bars", 0, 9)
    progress.step("bars", 1, 9)
    progress.step("bars", 2, 9)
    progress.clear()
    first, second = "bars: 1 of 9, about 24 s left", "bars: 2 of 9, about 12 s left"
    gone = "\r" + " " * len(first) + "\r"
    assert stream.getvalue() == first + gone + second + gone


@pytest.mark.parametrize("rich", [True, False])
def test_colours_only_where_rich_is_and_somebody_looks(rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    if not rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    Lines(Progress(Terminal())).write("[3] of 4", "red")
    assert stream.getvalue() == ("\x1b[31m[3] of 4\x1b[0m\n" if rich else "[3] of 4\n")


def test_shipped_data_is_small_and_carries_its_source_and_licence() -> None:
    folder = files("xmfast") / "data"
    sizes = {entry.name: len(entry.read_bytes()) for entry in folder.iterdir()}
    assert sum(sizes.values()) <= 1_000_000
    assert {f"{name}.csv" for name in CRASHES} == {name for name in sizes if name.endswith(".csv")}
    source = (folder / "SOURCE.md").read_text(encoding="utf-8")
    assert "github.com/finom/static-klines" in source and "338eb785ba" in source
    assert all(f"{name}.csv" in source for name in CRASHES)
    licence = (folder / "LICENSE-static-klines.txt").read_text(encoding="utf-8")
    assert "MIT License" in licence and "Andrey Gubanov" in licence


@pytest.mark.parametrize("name", CRASHES)
def test_candles_are_sound(name: str) -> None:
    crash = load_crash(name)
    assert crash.coins[0] == "BTC"
    assert len(crash.coins) == (7 if name == "2020-03-12" else 10)
    assert (np.diff(crash.times) == crash.bar).all(), "no gaps"
    assert (crash.low > 0).all()
    assert (crash.low <= np.minimum(crash.open, crash.close)).all()
    assert (crash.high >= np.maximum(crash.open, crash.close)).all()
    assert (crash.volume >= 0).all()
    with pytest.raises(ValueError, match="read-only"):
        crash.close[0, 0] = 1.0


@pytest.mark.parametrize(
    ("name", "coin", "fall"),
    [
        ("2020-03-12", "BTC", -0.53),
        ("2020-03-12", "ETH", -0.58),
        ("2021-05-19", "BTC", -0.35),
        ("2021-05-19", "SOL", -0.55),
        ("2022-11-09", "BTC", -0.26),
        ("2024-08-05", "BTC", -0.21),
        ("2024-08-05", "ETH", -0.30),
        ("2025-10-10", "BTC", -0.17),
        ("2025-10-10", "AVAX", -0.70),
    ],
)
def test_falls_are_those_on_record(name: str, coin: str, fall: float) -> None:
    crash = load_crash(name)
    column = crash.coins.index(coin)
    assert crash.low[:, column].min() / crash.high[:, column].max() - 1 == pytest.approx(fall, abs=0.011)


def test_wicks_were_kept() -> None:
    crash = load_crash("2020-03-12")
    assert crash.low[:, crash.coins.index("LINK")].min() == 0.0001
    crash = load_crash("2025-10-10")
    assert crash.low[:, crash.coins.index("DOT")].min() == 0.633


def test_accounts_do_not_depend_on_how_many_follow() -> None:
    crash = load_crash("2025-10-10")
    assets = ["USD", "USDT", "BTC", "ETH", "SOL"]
    few, few_positions = generate_accounts(crash, assets, 50, seed=3)
    many, many_positions = generate_accounts(crash, assets, 70_000, seed=3)  # two blocks
    for less, more in ((few, many), (few_positions, many_positions)):
        for name, column in less.items():
            np.testing.assert_array_equal(column, more[name][: len(column)])
    assert set(np.unique(many["account"]).tolist()) == set(range(70_000))


def test_venue_has_many_assets_and_inverse_positions_and_starts_healthy() -> None:
    venue = build_venue(load_crash("2025-10-10"), 3000, seed=7)
    report = venue.model.evaluate(venue.book, venue.market)
    assert report.summary().liquidatable <= 5
    assert venue.book.universe.assets == ["USD", "USDT", "BTC", "ETH", "SOL"]
    balances, positions = generate_accounts(venue.crash, ["USD", "USDT", "BTC", "ETH", "SOL"], 3000, seed=7)
    assert (balances["balance"].astype(float) < 0).any(), "some have borrowed"
    assert {"BTC-INVERSE", "ETH-INVERSE"} <= set(positions["instrument"].tolist())
    quantity = positions["quantity"].astype(float)
    assert 0.6 < (quantity > 0).mean() < 0.9, "long-biased"
