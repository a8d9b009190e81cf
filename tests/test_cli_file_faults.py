"""Faults in a user's files and options: each is one line that says where and what to do, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from own_files import FRAMES, INPUTS, NAMES, Run, command_in, convert, edit


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command in a folder of its own."""
    return command_in(tmp_path, monkeypatch, capsys)


@pytest.fixture
def venue(run: Run) -> Run:
    """A command in a folder with the files of `xmfast init`."""
    assert run("init").code == 0
    return run


FAULTS: list[tuple[str, str, str, str]] = [
    # File, what is replaced, by what, and what is said.
    (
        "balances.csv",
        "bob,USDT,6800",
        "bob,USDTT,6800",
        "balances.csv, column 'asset', line 4 (account 'bob'): no asset 'USDTT'; did you mean 'USDT'?",
    ),
    (
        "balances.csv",
        "bob,USDT,6800",
        "bob,USDT,six",
        "balances.csv, column 'balance', line 4: 'six' is not a number such as -1.5 or 2e6",
    ),
    (
        "balances.csv",
        "bob,USDT,6800",
        "bob,USDT,1e400",
        "balances.csv, column 'balance', line 4: Decimal('1E+400') is too large for 64-bit floating point",
    ),
    (
        "balances.csv",
        "bob,USDT,6800",
        "bob,USDT,",
        "balances.csv, column 'balance', line 4: null: every row needs a value",
    ),
    (
        "balances.csv",
        "bob,USDT,6800",
        ",USDT,6800",
        "balances.csv, column 'account', line 4: null: every row needs a value",
    ),
    (
        "balances.csv",
        "bob,USDT,6800",
        "alice,BTC,6800",
        "balances.csv, column 'asset', line 4 (account 'alice'): a second row for 'BTC'; the first is line 3",
    ),
    ("balances.csv", "bob,USDT,6800", "bob,USDT", "balances.csv, line 4: 2 cells, but the header has 3"),
    ("balances.csv", ",balance", ",balanc", "balances.csv: unexpected column 'balanc'; did you mean 'balance'?"),
    (
        "positions.csv",
        ",entry_funding",
        ",funding",
        "positions.csv: unexpected column 'funding'; known: 'account', 'instrument', 'quantity', 'entry_price', "
        "'entry_funding', 'isolated_margin'",
    ),
    ("positions.csv", "quantity,", "", "positions.csv, line 2: 6 cells, but the header has 5"),
    (
        "positions.csv",
        "BTC-PERP,2,93000",
        "BTC-PERP,2,-93000",
        "positions.csv, column 'entry_price', line 4 (account 'bob'): -93000: the price must be > 0 "
        "(or the instrument's allow_negative_price True)",
    ),
    (
        "orders.csv",
        "2950,false",
        "2950,no",
        "orders.csv, column 'reduce_only', line 2: 'no' is neither true nor false",
    ),
    (
        "prices.csv",
        "BTC,90000,,,",
        "BTX,90000,,,",
        "prices.csv, column 'id', line 4: no asset, underlying or instrument 'BTX'; did you mean 'BTC'?",
    ),
    (
        "prices.csv",
        "BTC,90000,,,",
        "BTC,90000,,,,,\nBTC,90001,,,",
        "prices.csv, column 'id', line 5: a second row for 'BTC'; the first is line 4",
    ),
    (
        "prices.csv",
        "BTC,90000,,,",
        "BTC,,,,",
        "prices.csv, column 'price', line 4 ('BTC'): null: every row needs a price",
    ),
    (
        "prices.csv",
        "BTC,90000,,,",
        ",90000,,,",
        "prices.csv, column 'id', line 4: null: every row needs a value",
    ),
    ("prices.csv", "BTC,90000,,,", "BTC,-1,,,", "prices.csv, column 'price', line 4 ('BTC'): -1 is negative"),
    (
        "prices.csv",
        "USD,1,",
        "USD,1.0001,",
        "prices.csv, column 'price', line 2 ('USD'): the numeraire is worth 1 of itself, not 1.0001",
    ),
    (
        "prices.csv",
        "BTC-PERP,90045.5,,,",
        "BTC-PERP,90045.5,1.5,,",
        "prices.csv, column 'deposit_index', line 6 ('BTC-PERP'): only an asset has one; leave it empty",
    ),
    (
        "prices.csv",
        "BTC,90000,,,",
        "BTC,90000,,,0.5",
        "prices.csv, column 'cumulative_funding', line 4 ('BTC'): only an instrument has one; leave it empty",
    ),
    (
        "prices.csv",
        "BTC-29JAN27-100000-C,3950,,,",
        "BTC-29JAN27-100000-C,3950,,,1",
        "prices.csv, column 'cumulative_funding', line 9 ('BTC-29JAN27-100000-C'): 1: an option pays no funding",
    ),
    ("prices.csv", "id,price,", "id,prices,", "prices.csv: unexpected column 'prices'; did you mean 'price'?"),
    (
        "prices.csv",
        "ETH-PERP,3001.2",
        "ETH-PERP,",
        "prices.csv, column 'price', line 7 ('ETH-PERP'): null: every row needs a price",
    ),
    (
        "prices.csv",
        "\nBTC-INVERSE,90050,,,,,",
        "",
        "prices.csv: no mark price of 'BTC-INVERSE', which account 'carol' needs",
    ),
    ("prices.csv", "\nETH,3000,,,,,", "", "prices.csv: no index price of 'ETH', which account 'dave' needs"),
    (
        "venue.toml",
        '[[margin]]\ninstrument = "BTC-INVERSE"\ninitial_rate = 0.02\nmaintenance_rate = 0.01\n',
        "",
        "venue.toml, margin: no row for instrument 'BTC-INVERSE', which account 'carol' holds",
    ),
    (
        "venue.toml",
        "initial_rate = 0.04",
        "initial_rat = 0.04",
        "venue.toml, margin[1] (ETH-PERP), key 'initial_rat': unexpected; did you mean 'initial_rate'?",
    ),
]


@pytest.mark.parametrize(("name", "old", "new", "message"), FAULTS)
def test_faults(venue: Run, name: str, old: str, new: str, message: str) -> None:
    edit(name, old, new)
    done = venue("evaluate", *INPUTS, "--out", "report.parquet")
    assert done.err == f"xmfast: error: {message}\n"
    assert (done.code, done.out) == (2, "")
    assert sorted(path.name for path in Path().iterdir()) == sorted(NAMES), "nothing is left behind"
    assert venue("explain", "bob", *INPUTS).err == done.err


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_rows_of_other_formats_are_counted_from_0(venue: Run, suffix: str) -> None:
    edit("balances.csv", "bob,USDT", "bob,USDTT")
    path = convert("balances", suffix)
    done = venue("evaluate", *INPUTS, "--balances", path)
    assert done.err == (
        f"xmfast: error: {path}, column 'asset', row 2 (account 'bob'): no asset 'USDTT'; did you mean 'USDT'?\n"
    )


@pytest.mark.parametrize("option", ["--universe", *(f"--{name}" for name in FRAMES)])
def test_a_file_that_is_not_there(venue: Run, option: str) -> None:
    name = "nothing.toml" if option == "--universe" else "nothing.parquet"
    done = venue("evaluate", *INPUTS, option, name)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"xmfast: error: {name}: No such file or directory\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--out", "report.xls"],
            "report.xls: unknown suffix '.xls'; use .parquet, .csv, .csv.gz, .arrow, .feather or .ipc",
        ),
        (["--out", "balances.csv"], "balances.csv: cannot be written, because it is read; choose another name"),
        (
            ["--out", "a.csv", "--isolated-out", "./a.csv"],
            "./a.csv: cannot be written, because another table goes there; choose another name",
        ),
        (["--out", "no folder/a.csv"], "no folder/a.csv: No such file or directory"),
        (["--explain", "bbo"], "no account 'bbo'; did you mean 'bob'?"),
        (["--explain", "x"], "no account 'x'; known: 'alice', 'bob', 'carol', 'dave', 'erin'"),
    ],
)
def test_what_cannot_be_done(venue: Run, arguments: list[str], message: str) -> None:
    done = venue("evaluate", *INPUTS, *arguments)
    assert (done.code, done.out, done.err) == (2, "", f"xmfast: error: {message}\n")
    assert sorted(path.name for path in Path().iterdir()) == sorted(NAMES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate"], "the following arguments are required: --universe, --prices"),
        (["explain", *INPUTS[2:]], "the following arguments are required: ACCOUNT, --universe"),
        (["evaluate", "--universe", "v", "--prices", "p"], "evaluate: --balances or --positions is needed"),
        (["evaluate", *INPUTS, "--worst", "-1"], "argument --worst: -1 is not within 0 and 10,000,000"),
        (["evaluate", *INPUTS, "--balance", "b.csv"], "unrecognized arguments: --balance b.csv"),
        (["init", "a", "b"], "unrecognized arguments: b"),
    ],
)
def test_wrong_use(run: Run, arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert (done.code, done.out) == (2, "") and message in done.err


def test_unknown_accounts(venue: Run) -> None:
    done = venue("explain", "Bob", *INPUTS)
    assert (done.code, done.out) == (2, "")
    assert done.err == "xmfast: error: no account 'Bob'; did you mean 'bob'?\n"


def test_init_overwrites_nothing(run: Run) -> None:
    Path("prices.csv").write_text("mine")
    done = run("init")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "xmfast: error: prices.csv: stands there already, and nothing was written; --force replaces it\n"
    )
    assert [path.name for path in Path().iterdir()] == ["prices.csv"] and Path("prices.csv").read_text() == "mine"
    assert run("init", "--force").code == 0
    assert Path("prices.csv").read_text().startswith("id,price")
    assert run("evaluate", *INPUTS).code == 0
