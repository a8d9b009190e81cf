"""Frames from files: the same in every format, to the last digit; every fault says where it is."""

from __future__ import annotations

import gzip
import io
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xmfast as xm
from xmfast.errors import FileError
from xmfast.files.frame_file import SUFFIXES, read_table, write_table

TABLE = pa.table(
    {
        "account": ["ann", "bob", "ann"],
        "asset": ["USD", "BTC", "BTC"],
        "balance": [0.1, -1e-7, 123456.789],
    }
)


def written(folder: Path, name: str, content: bytes) -> str:
    path = folder / name
    path.write_bytes(content)
    return str(path)


def content_of(table: pa.Table, name: str) -> bytes:
    file = io.BytesIO()
    write_table(table, name, file)
    return file.getvalue()


def exact(value: Any) -> Decimal:
    """What a number is taken for: a float is the decimal that it prints as."""
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read_again(tmp_path: Path, suffix: str) -> None:
    table = read_table(written(tmp_path, "balances" + suffix, content_of(TABLE, suffix)))
    assert table.rows == 3
    assert {name: table.values(name) for name in table.columns} == TABLE.to_pydict()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_libraries_read_what_is_written(suffix: str) -> None:
    file = io.BytesIO(content_of(TABLE, suffix))
    readers: dict[str, Any] = {"Parquet": pl.read_parquet, "CSV": pl.read_csv, "Arrow IPC": pl.read_ipc}
    assert readers[SUFFIXES[suffix]](file).to_dict(as_series=False) == TABLE.to_pydict()


def test_suffixes_are_read_in_any_case(tmp_path: Path) -> None:
    assert read_table(written(tmp_path, "B.CSV.GZ", gzip.compress(b"asset\nUSD\n"))).values("asset") == ["USD"]
    assert read_table(written(tmp_path, "B.Csv", b"asset\nUSD\n")).values("asset") == ["USD"]


def test_arrow_streams_are_read_as_well(tmp_path: Path) -> None:
    file = io.BytesIO()
    with pa.ipc.new_stream(file, TABLE.schema) as writer:
        writer.write_table(TABLE)
    table = read_table(written(tmp_path, "balances.arrow", file.getvalue()))
    assert table.values("balance") == TABLE["balance"].to_pylist()


def test_a_path_is_no_hive_partition(tmp_path: Path) -> None:
    folder = tmp_path / "day=7"
    folder.mkdir()
    assert list(read_table(written(folder, "b.parquet", content_of(TABLE, ".parquet"))).columns) == TABLE.column_names


def test_the_index_of_pandas_is_no_column(tmp_path: Path) -> None:
    frame = TABLE.to_pandas()
    frame.set_axis([5, 1, 9]).to_parquet(tmp_path / "b.parquet")
    assert "__index_level_0__" in pq.read_schema(tmp_path / "b.parquet").names
    assert list(read_table(tmp_path / "b.parquet").columns) == TABLE.column_names


@pytest.mark.parametrize("frame", [TABLE.slice(0, 0), TABLE], ids=["no rows", "rows"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_book_of_any_length(tmp_path: Path, suffix: str, frame: pa.Table) -> None:
    universe = xm.Universe.from_frames({"asset": ["USD", "BTC"]})
    balances = read_table(written(tmp_path, "b" + suffix, content_of(frame, suffix)))
    assert xm.Book.from_frames(universe, balances.columns).balance_count == len(frame)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0.1", "double"),
        ("-0", "double"),
        (".5", "double"),
        ("5.", "double"),
        ("+7", "double"),
        ("1E5", "double"),
        ("2.5e-7", "double"),
        ("1e22", "double"),
        ("0.30000000000000004", "double"),
        ("0.10000000000000000000", "double"),
        ("00000000000000000012.5", "double"),
        ("9007199254740993", "decimal256"),
        ("123456789012345678901234567890", "decimal256"),
        ("0.1000000000000000055511151231257827", "decimal256"),
        ("-99999999999.999999999999999999", "decimal256"),
        ("1" * 75, "decimal256"),
        ("1" * 77, "list"),
        ("1" * 300, "list"),
        ("0." + "1" * 77, "list"),
        ("1234567890123456789e3", "list"),
        ("1e400", "list"),
        ("1e-400", "list"),
    ],
)
def test_numbers_of_a_csv_are_the_decimals_printed(tmp_path: Path, text: str, kind: str) -> None:
    table = read_table(written(tmp_path, "b.csv", f"account,balance\n1,1.5\n2,\n3,{text}\n".encode()))
    column = table.columns["balance"]
    assert str(getattr(column, "type", "list")).startswith(kind)
    first, none, number = table.values("balance")
    assert (exact(first), none, exact(number)) == (Decimal("1.5"), None, Decimal(text))


NUMBERS = st.decimals(allow_nan=False, allow_infinity=False).map(str) | st.from_regex(
    r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?", fullmatch=True
).filter(str.isascii)


@given(st.lists(NUMBERS, min_size=1, max_size=5))
def test_no_digit_is_lost(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "digits.csv"
    path.write_text("balance,asset\n" + "".join(f"{text},USD\n" for text in texts))
    assert [exact(value) for value in read_table(path).values("balance")] == [Decimal(text) for text in texts]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_floats_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, numbers: list[float]) -> None:
    path = tmp_path_factory.getbasetemp() / "floats.csv"
    for text in (
        pd.DataFrame({"balance": numbers}).to_csv(index=False),
        pl.DataFrame({"balance": numbers}).write_csv(),
    ):
        path.write_text(text)
        assert read_table(path).values("balance") == numbers


@pytest.mark.parametrize(
    ("texts", "accounts"),
    [
        (["7", "-8", "0"], [7, -8, 0]),
        (["9223372036854775807"], [2**63 - 1]),
        (["9223372036854775808"], ["9223372036854775808"]),
        (["007", "8"], ["007", "8"]),
        (["+7"], ["+7"]),
        (["-0"], ["-0"]),
        (["7.0"], ["7.0"]),
        ([" 7"], [" 7"]),
        (["7", "x"], ["7", "x"]),
        (["1e3"], ["1e3"]),
        (['"a,b"', '"line\nbreak"', '"say ""so"""'], ["a,b", "line\nbreak", 'say "so"']),
        (["NA", "null", "nan", "true"], ["NA", "null", "nan", "true"]),
    ],
)
def test_accounts_of_a_csv_are_integers_only_if_all_are(tmp_path: Path, texts: list[str], accounts: list[Any]) -> None:
    table = read_table(written(tmp_path, "b.csv", ("account,x\n" + ",\n".join(texts) + ",\n").encode()))
    assert table.values("account") == accounts


def test_assets_and_instruments_of_a_csv_are_texts(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "b.csv", b"asset,instrument,id\n1,2,3\n"))
    assert [table.values(name) for name in ("asset", "instrument", "id")] == [["1"], ["2"], ["3"]]


def test_flags_of_a_csv(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "o.csv", b"reduce_only,account\ntrue,a\nFalse,b\nTRUE,c\n,d\n"))
    assert table.values("reduce_only") == [True, False, True, None]


@pytest.mark.parametrize("content", [b"asset,x\r\nUSD,\r\n", b"asset,x\rUSD,\r", b"\xef\xbb\xbfasset,x\nUSD,"])
def test_line_ends_and_byte_order_marks(tmp_path: Path, content: bytes) -> None:
    assert read_table(written(tmp_path, "a.csv", content)).values("asset") == ["USD"]


def test_float32_means_the_decimal_that_it_prints_as(tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b"], "price": pa.array([0.1, None], pa.float32())})
    number, none = read_table(written(tmp_path, "p.parquet", content_of(table, ".parquet"))).values("price")
    assert isinstance(number, np.float32) and str(number) == "0.1" and none is None


GOOD_GZIP = gzip.compress(b"account,balance\n" + b"7,1.5\n" * 1000)
PARQUET, ARROW = content_of(TABLE, ".parquet"), content_of(TABLE, ".arrow")

FAULTS: list[tuple[str, bytes, type[Exception], str]] = [
    ("b.xls", b"x", FileError, ": unknown suffix '.xls'; use .parquet, .csv, .csv.gz, .arrow, .feather or .ipc"),
    ("b.parqet", b"x", FileError, ": unknown suffix '.parqet'; did you mean '.parquet'?"),
    ("b", b"x", FileError, ": no suffix; use .parquet, .csv, .csv.gz, .arrow, .feather or .ipc"),
    ("b.csv", b"", FileError, ": empty; not even a header is there"),
    ("b.parquet", b"", FileError, ": empty; not even a header is there"),
    ("b.csv", b"\n\n", FileError, ": empty; a header line with the names of the columns is needed"),
    ("b.csv", PARQUET, FileError, ": holds Parquet, not CSV; give it a name that ends in .parquet"),
    ("b.parquet", ARROW, FileError, ": holds Arrow IPC, not Parquet; give it a name that ends in .arrow"),
    ("b.arrow", PARQUET, FileError, ": holds Parquet, not Arrow IPC; give it a name that ends in .parquet"),
    (
        "b.csv",
        b"PK\x03\x04xlsx",
        FileError,
        ": holds a zip archive, such as an Excel workbook, not CSV; save the sheet as CSV",
    ),
    ("b.csv", "a,b".encode("utf-16"), FileError, ": holds UTF-16 text, not CSV; save it as UTF-8"),
    (
        "b.csv",
        GOOD_GZIP,
        FileError,
        ": holds gzip, not CSV; give it a name that ends in .csv.gz if it is a compressed CSV",
    ),
    ("b.csv", b"account\n\xff\n", FileError, ": not UTF-8 text (byte 0xff); save it as UTF-8"),
    ("b.csv", b"account;balance\n1;2\n", FileError, ": its columns are separated by semicolons; commas are needed"),
    ("b.csv", b"account\tbalance\n1\t2\n", FileError, ": its columns are separated by tabs; commas are needed"),
    ("b.csv", b"account,asset\n1,2\n\n3\n", FileError, ", line 4: 1 cell, but the header has 2"),
    ("b.csv", b"account,asset\n1,2\n3,4,5\n", FileError, ", line 3: 3 cells, but the header has 2"),
    ("b.csv", b'account,asset\n1,2\n3,"4\n', FileError, ", line 3: a quote is not closed"),
    ("b.csv", b"asset,asset\n1,2\n", xm.ColumnError, ": column 'asset' stands there twice"),
    (
        "b.csv.gz",
        GOOD_GZIP[:-12],
        FileError,
        ": a damaged or truncated gzip file (Compressed file ended before the end-of-stream marker was reached)",
    ),
    ("b.csv.gz", b"a,b\n", FileError, ": a damaged or truncated gzip file (Not a gzipped file (b'a,'))"),
    (
        "b.csv",
        b"account,balance\n1,2\n2,1.5x\n",
        xm.ColumnError,
        ", column 'balance', line 3: '1.5x' is not a number such as -1.5 or 2e6",
    ),
    (
        "b.csv",
        b'account,balance\n"1\n1",2\n\n2,"1,5"\n',
        xm.ColumnError,
        ", column 'balance', line 5: '1,5' is not a number such as -1.5 or 2e6",
    ),
    (
        "b.csv",
        b"account,balance\n1,NaN\n",
        xm.ColumnError,
        ", column 'balance', line 2: 'NaN' is not a number such as -1.5 or 2e6; "
        "leave the cell empty where there is none",
    ),
    (
        "b.csv.gz",
        gzip.compress(b"account,balance\n1,2\n1, 2\n"),
        xm.ColumnError,
        ", column 'balance', line 3: ' 2' is not a number such as -1.5 or 2e6",
    ),
    (
        "o.csv",
        b"account,reduce_only\n1,yes\n",
        xm.ColumnError,
        ", column 'reduce_only', line 2: 'yes' is neither true nor false",
    ),
]


@pytest.mark.parametrize(("name", "content", "error", "message"), FAULTS)
def test_faults(tmp_path: Path, name: str, content: bytes, error: type[Exception], message: str) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(xm.XmfastError) as caught:
        read_table(path)
    assert str(caught.value) == path + message
    assert type(caught.value) is error


@pytest.mark.parametrize(
    "text", ["", "-", "1_000", "0x10", "inf", "-inf", "nan", "1e", "1.5.2", "٣", "1 ", "--1", "e5"]
)
def test_texts_that_are_no_numbers(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, "b.csv", f'balance,x\n1,\n"{text}",\n'.encode())
    with pytest.raises(xm.ColumnError) as caught:
        read_table(path)
    assert f"{path}, column 'balance', line 3: {text!r} is not a number" in str(caught.value)


@pytest.mark.parametrize("name", ["b.parquet", "b.arrow", "b.feather"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_truncated_files(tmp_path: Path, name: str, part: float) -> None:
    content = content_of(pa.table({"balance": np.arange(10_000.0)}), name)
    path = written(tmp_path, name, content[: int(part * len(content))])
    with pytest.raises(FileError) as caught:
        read_table(path)
    form = "Parquet" if name == "b.parquet" else "Arrow IPC"
    assert str(caught.value).startswith(f"{path}: cannot be read as {form}, it may be damaged or truncated (")


def test_damage_inside_a_parquet_file(tmp_path: Path) -> None:
    content = bytearray(content_of(pa.table({"balance": np.arange(10_000.0)}), ".parquet"))
    content[2000:4000] = bytes(2000)
    with pytest.raises(FileError, match="damaged"):
        read_table(written(tmp_path, "b.parquet", bytes(content)))


@pytest.mark.parametrize("name", ["b.csv", "b.csv.gz", "b.parquet", "b.arrow"])
def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        read_table(tmp_path / name)
    assert caught.value.filename == str(tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(OSError) as caught_folder:
        read_table(tmp_path / name)
    assert caught_folder.value.filename == str(tmp_path / name)


def test_parquet_with_two_columns_of_one_name(tmp_path: Path) -> None:
    table = pa.table([[1], [2]], names=["balance", "balance"])
    with pytest.raises(xm.ColumnError, match="column 'balance' stands there twice"):
        read_table(written(tmp_path, "b.arrow", content_of(table, ".arrow")))


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "b.csv", b"asset\nUSD\n")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(xm.MissingExtraError) as caught:
        read_table(path)
    assert str(caught.value) == (f"reading {path} needs pyarrow, which is not installed: pip install 'xmfast[frames]'")


def test_steps_tell_how_far_a_long_file_is(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    def step(task: str, done: int, total: int) -> None:
        told.append((task, done, total))

    read_table(written(tmp_path, "b.csv", b"account,balance\n" + b"account-of-somebody,1234567.5\n" * 1_500_000), step)
    assert {task for task, _, _ in told} == {"reading b.csv, MB"}
    assert told[0][1:] == (0, 1) and told[-1][1:] == (45, 45)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told) and len(told) >= 4
    groups = pa.table({"balance": np.arange(300.0)})
    pq.write_table(groups, tmp_path / "b.parquet", row_group_size=100)
    told.clear()
    read_table(tmp_path / "b.parquet", step)
    assert told == [("reading b.parquet", done, total) for done, total in ((0, 1), (1, 3), (2, 3), (3, 3))]
