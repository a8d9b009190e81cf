"""The command line on a user's own files: from `xmfast init` to a report, and every fault on the way."""

from __future__ import annotations

import csv
import json
import math
import shlex
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import xmfast as xm
from own_files import FRAMES, INPUTS, NAMES, Run, command_in, convert, edit
from xmfast import terminal
from xmfast.files.frame_file import write_table
from xmfast.files.venue_file import read_venue


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command in a folder of its own."""
    return command_in(tmp_path, monkeypatch, capsys)


@pytest.fixture
def venue(run: Run) -> Run:
    """A command in a folder with the files of `xmfast init`."""
    assert run("init").code == 0
    return run


def report_of(inputs: list[str], run: Run, out: str = "report.parquet") -> dict[str, Any]:
    done = run("evaluate", *inputs, "--out", out)
    assert done.code == 0, done.err
    return pl.read_parquet(out).to_dict(as_series=False)


def test_from_init_to_an_explanation(run: Run, tmp_path: Path) -> None:
    done = run("init", "my venue")
    assert done.code == 0 and done.err == ""
    assert sorted(path.name for path in (tmp_path / "my venue").iterdir()) == sorted(NAMES)
    # The command that it prints is one that works.
    (line,) = [line for line in done.out.splitlines() if line.startswith("  xmfast ")]
    program, *arguments = shlex.split(line)
    assert program == "xmfast"
    done = run(*arguments)
    assert done.code == 0 and done.err == ""
    for part in (
        "my venue/venue.toml: cross margin in USD",
        "5 accounts with 8 balances, 8 positions and 3 orders",
        "The worst accounts",
        "The worst isolated positions",
    ):
        assert part in done.out
    assert done.out.isascii() and "\x1b" not in done.out
    states = {line.split()[0]: line.split()[-1] for line in done.out.splitlines() if line.startswith(("bob", "alice"))}
    assert states == {"bob": "liquidatable", "alice": "healthy"}
    done = run("explain", "bob", *arguments[1:])
    assert done.code == 0
    assert done.out.startswith("Account bob is liquidatable: health -149.08, margin ratio 1.0220\n")
    assert "cash USDT" in done.out and "bracket" not in done.out


def test_the_report_is_that_of_the_same_frames(venue: Run) -> None:
    """The template, read by other libraries, through the Python interface."""
    report = report_of(INPUTS, venue)
    read = read_venue("venue.toml")
    frames = {name: pl.read_csv(f"{name}.csv") for name in FRAMES}
    prices = {row["id"]: row for row in frames["prices"].to_dicts()}
    instruments = set(read.universe.instruments)
    figures: dict[str, Any] = {
        name: {id: row[name] for id, row in prices.items() if row[name] is not None}
        for name in ("deposit_index", "borrow_index", "cumulative_funding")
    }
    market = xm.Market(
        read.universe,
        {id: row["price"] for id, row in prices.items() if id not in instruments},
        {id: row["price"] for id, row in prices.items() if id in instruments},
        **figures,
    )
    book = xm.Book.from_frames(read.universe, frames["balances"], frames["positions"], frames["orders"])
    expected = read.model.evaluate(book, market)
    assert report == pl.DataFrame(expected).to_dict(as_series=False)
    assert sum(report["liquidatable"]) == 1


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather", ".csv.gz"])
def test_all_formats_give_the_same_bits(venue: Run, suffix: str) -> None:
    # More digits than a float has, which every format must keep.
    edit("balances.csv", "bob,USDT,6800", "bob,USDT,6949.153084577114427860696517412935323")
    expected = report_of(INPUTS, venue)
    files = {name: convert(name, suffix) for name in FRAMES}
    inputs = ["--universe", "venue.toml", *(word for name in FRAMES for word in (f"--{name}", files[name]))]
    assert report_of(inputs, venue, "again.parquet") == expected
    assert Path("again.parquet").read_bytes() == Path("report.parquet").read_bytes()


def test_a_digit_beyond_a_float_decides(run: Run) -> None:
    Path("venue.toml").write_text(
        'numeraire = "USD"\nassets = ["USD"]\n[model]\nkind = "cross"\n'
        '[[instruments]]\ninstrument = "P"\nkind = "perpetual"\nunderlying = "X"\nsettlement = "USD"\n'
        '[[margin]]\ninstrument = "P"\ninitial_rate = 0.1\nmaintenance_rate = 0.1\n'
    )
    Path("positions.csv").write_text(
        "account,instrument,quantity,entry_price\n" + "".join(f"{n},P,1,100\n" for n in (1, 2, 3))
    )
    Path("prices.csv").write_text("id,price\nP,100\n")
    Path("balances.csv").write_text(
        "account,asset,balance\n1,USD,9.99999999999999999999999999\n2,USD,10.0000\n3,USD,10.00000000000000000000000001\n"
    )
    report = report_of(INPUTS[:-2], run)
    assert report["account"] == [1, 2, 3] and report["liquidatable"] == [True, False, False]
    assert [math.copysign(1, health) for health in report["health"]] == [-1, 1, 1]


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".arrow", ".parquet"])
def test_reports_are_written_in_every_format(venue: Run, suffix: str) -> None:
    out, isolated = "report" + suffix, "isolated" + suffix
    done = venue("evaluate", *INPUTS, "--out", out, "--isolated-out", isolated)
    assert done.code == 0, done.err
    assert f"{out}: the report of 5 accounts" in done.out
    assert f"{isolated}: the report of 1 isolated position" in done.out
    expected = pl.DataFrame(report_of(INPUTS, venue, "expected.parquet"))
    read = {".parquet": pl.read_parquet, ".arrow": pl.read_ipc}.get(suffix, pl.read_csv)
    assert read(out).equals(expected)
    assert read(isolated)["instrument"].to_list() == ["ETH-PERP"]


def test_json_is_one_document_with_all_keys(venue: Run) -> None:
    done = venue("evaluate", *INPUTS, "--json", "--worst", "2", "--out", "report.csv")
    assert done.code == 0 and done.err == ""
    document = json.loads(done.out)
    assert list(document) == [
        "xmfast",
        "model",
        "numeraire",
        "accounts",
        "balances",
        "positions",
        "orders",
        "summary",
        "worst",
        "isolated",
        "exact_decisions",
        "explained",
        "written",
        "timing",
    ]
    counts = {name: document[name] for name in ("model", "numeraire", "accounts", "balances", "positions", "orders")}
    assert counts == {
        "model": "cross",
        "numeraire": "USD",
        "accounts": 5,
        "balances": 8,
        "positions": 8,
        "orders": 3,
    }
    assert document["summary"]["liquidatable"] == 1
    assert [(row["account"], row["state"]) for row in document["worst"]] == [
        ("bob", "liquidatable"),
        ("erin", "healthy"),
    ]
    (position,) = document["isolated"]["worst"]
    assert (position["account"], position["instrument"], position["state"]) == ("erin", "ETH-PERP", "below initial")
    assert document["explained"] is None
    assert document["written"] == {"report": "report.csv", "isolated": None, "liquidation_prices": None}
    with open("report.csv", newline="") as file:
        rows = {row["account"]: row for row in csv.DictReader(file)}
    assert float(rows["bob"]["health"]) == document["worst"][0]["health"]


def test_explanations_as_json_add_up(venue: Run) -> None:
    done = venue("explain", "erin", *INPUTS, "--json")
    assert done.code == 0
    document = json.loads(done.out)
    assert document["account"] == "erin" and document["state"] == "healthy"
    (isolated,) = document["isolated"]
    assert isolated["instrument"] == "ETH-PERP"
    for explanation in (document["explanation"], isolated["explanation"]):
        exact = [Fraction(line["exact"]["health"]) for line in (*explanation["lines"], explanation["rounding"])]
        assert sum(exact) == Fraction(explanation["figures"]["health"])
    evaluated = json.loads(venue("evaluate", *INPUTS, "--json", "--explain", "erin").out)
    assert evaluated["explained"] == document
    shown = venue("evaluate", *INPUTS, "--explain", "erin").out
    assert venue("explain", "erin", *INPUTS).out in shown


def test_how_many_are_listed(venue: Run) -> None:
    out = venue("evaluate", *INPUTS, "--worst", "1").out
    assert "bob" in out and "alice" not in out and "(4 more, none of lower health)" in out
    assert "The worst" not in venue("evaluate", *INPUTS, "--worst", "0").out


def test_an_isolated_venue_lists_positions(venue: Run) -> None:
    edit("venue.toml", 'kind = "cross"', 'kind = "isolated"')
    done = venue("evaluate", *INPUTS, "--isolated-out", "isolated.parquet", "--json")
    document = json.loads(done.out)
    assert document["model"] == "isolated" and document["isolated"]["positions"] == 8
    assert pl.read_parquet("isolated.parquet").height == 8


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_liquidation_prices_are_those_of_the_interface(venue: Run, suffix: str) -> None:
    out = "prices-of-positions" + suffix
    done = venue("evaluate", *INPUTS, "--liquidation-prices", out)
    assert done.code == 0, done.err
    assert f"{out}: prices of 8 positions" in done.out
    table = (pl.read_parquet if suffix == ".parquet" else pl.read_csv)(out)
    assert table.columns == [
        "account",
        "instrument",
        "quantity",
        "mark_price",
        "liquidation_price",
        "bankruptcy_price",
    ]
    bob = table.row(by_predicate=(pl.col("account") == "bob") & (pl.col("instrument") == "BTC-PERP"), named=True)
    assert bob["quantity"] == 2 and bob["mark_price"] == 90045.5
    # At that price, and not just below it, bob is healthy.
    for price, liquidatable in ((bob["liquidation_price"] + 1e-6, False), (bob["liquidation_price"] - 1e-6, True)):
        edit("prices.csv", "BTC-PERP,90045.5", f"BTC-PERP,{price!r}")
        assert report_of(INPUTS, venue)["liquidatable"][1] is liquidatable
        edit("prices.csv", f"BTC-PERP,{price!r}", "BTC-PERP,90045.5")
    carol = table.filter(pl.col("account") == "carol")
    assert carol["liquidation_price"].to_list() == [None, None], "no price, and not NaN"


def test_accounts_of_all_files_are_of_one_kind(venue: Run) -> None:
    """An account of digits in one CSV and a name in another: both are names; alone, both are numbers."""
    edit("balances.csv", "erin,USD", "77,USD")
    Path("positions.csv").write_text("account,instrument,quantity,entry_price\n77,ETH-PERP,1,3000\n")
    report = report_of(INPUTS, venue)
    assert report["account"] == ["alice", "bob", "carol", "dave", "77", "erin"]
    only = [*INPUTS[:2], "--positions", "positions.csv", "--prices", "prices.csv"]
    assert report_of(only, venue)["account"] == [77]
    done = venue("explain", "77", *only)
    assert done.code == 0 and done.out.startswith("Account 77 is liquidatable")
    Path("orders.csv").write_text("account,instrument,quantity,price\n")
    assert report_of([*only, "--orders", "orders.csv"], venue)["account"] == [77]


def test_leverage_caps(venue: Run) -> None:
    Path("accounts.csv").write_text("account,leverage_cap\nalice,2\nbob,\nzoe,5\n")
    before = report_of(INPUTS, venue)
    after = report_of([*INPUTS, "--accounts", "accounts.csv"], venue)
    assert after["account"] == [*before["account"], "zoe"]
    assert after["initial_margin"][0] > before["initial_margin"][0]
    assert after["initial_margin"][1:5] == before["initial_margin"][1:]


def test_an_underlying_that_is_an_asset_is_priced_once(venue: Run) -> None:
    """One row named BTC is the price of the asset and of what the perpetuals follow; an underlying may stand alone."""
    edit("venue.toml", 'underlying = "ETH"', 'underlying = "ETHEREUM"')
    edit("prices.csv", "ETH,3000,,,,,", "ETH,3000,,,,,\nETHEREUM,3000,,,,,")
    assert venue("evaluate", *INPUTS).code == 0


def test_progress_is_shown_when_asked_for(venue: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "_PATIENCE_SECONDS", 0.0)
    assert venue("evaluate", *INPUTS).err == ""
    done = venue("evaluate", *INPUTS, "--progress", "--liquidation-prices", "l.csv", "--json")
    assert done.code == 0 and json.loads(done.out)
    said = done.err.splitlines()
    for step in ("reading balances.csv, MB ...", "building the book ...", "evaluating ...", "writing l.csv ..."):
        assert step in said


def test_without_pyarrow_the_extra_is_named(venue: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = venue("evaluate", *INPUTS)
    assert done.err == (
        "xmfast: error: reading prices.csv needs pyarrow, which is not installed: pip install 'xmfast[frames]'\n"
    )
    assert done.code == 2


def test_a_process_of_its_own_says_the_same(venue: Run) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "xmfast.cli", "evaluate", *INPUTS],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout == venue("evaluate", *INPUTS).out


def test_help_is_quick_and_says_what_the_files_hold() -> None:
    code = (
        "import sys; from xmfast.cli import main; sys.argv = ['xmfast', 'evaluate', '--help']\ntry: main()\nfinally: "
    )
    code += "assert not {'pyarrow', 'rich', 'pandas'} & set(sys.modules), sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr
    for part in ("id, price", "account, asset, balance", "leverage_cap", ".csv.gz", "xmfast init"):
        assert part in done.stdout


def test_many_accounts_through_parquet(run: Run) -> None:
    """Twenty thousand accounts: the report in file order, and the same figures as from memory."""
    assert run("init").code == 0
    rng = np.random.default_rng(4)
    count = 20_000
    accounts = rng.permutation(count)
    balances = {"account": accounts, "asset": ["USD"] * count, "balance": rng.normal(1000, 500, count)}
    positions = {
        "account": np.arange(count),
        "instrument": ["BTC-PERP"] * count,
        "quantity": rng.normal(0, 0.5, count),
        "entry_price": rng.normal(90_000, 500, count),
    }
    for name, frame in (("b.parquet", balances), ("p.feather", positions)):
        with open(name, "wb") as file:
            write_table(pa.table(frame), name, file)
    inputs = [
        "--universe",
        "venue.toml",
        "--balances",
        "b.parquet",
        "--positions",
        "p.feather",
        "--prices",
        "prices.csv",
    ]
    report = report_of(inputs, run)
    read = read_venue("venue.toml")
    book = xm.Book.from_frames(read.universe, balances, positions)
    figures: dict[str, Any] = {"deposit_index": {"USD": 1.0021}, "borrow_index": {"USD": 1.0048}}
    market = xm.Market(
        read.universe, {"BTC": 90_000}, {"BTC-PERP": 90_045.5}, cumulative_funding={"BTC-PERP": 18.25}, **figures
    )
    expected = read.model.evaluate(book, market)
    assert report["account"] == accounts.tolist()
    np.testing.assert_array_equal(report["health"], expected.health)
