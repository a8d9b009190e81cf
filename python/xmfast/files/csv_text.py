"""The text of a CSV file: its header, its cells as they are printed, and the line that a row stands in."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from xmfast.errors import ColumnError, FileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What pyarrow parses at a time; each block is a step of progress.
_BLOCK_BYTES = 1 << 24
_MEGABYTE = 1_000_000


def read_text(path: str, step: Callable[[int, int], None]) -> Any:
    """Return the file as a ``pyarrow.Table`` of strings, null where a cell is empty.

    Parameters
    ----------
    path : str
        The file; gzip if its name ends in ``.gz``.
    step : callable
        Told how many megabytes of how many are read.

    Raises
    ------
    FileError
        No header, a row with more or fewer cells than the header, a quote that is not closed, not UTF-8, or a damaged
        gzip.
    ColumnError
        Two columns of one name.
    """
    import pyarrow.csv

    with _faults(path):
        header = _header(path)
    schema = pyarrow.schema([(name, pyarrow.string()) for name in header])
    try:
        with _Blocks(path, step) as blocks:
            with pyarrow.csv.open_csv(
                blocks,
                pyarrow.csv.ReadOptions(block_size=_BLOCK_BYTES, column_names=header, skip_rows_after_names=1),
                pyarrow.csv.ParseOptions(newlines_in_values=True),
                pyarrow.csv.ConvertOptions(
                    column_types=schema,
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            ) as reader:
                table = pyarrow.Table.from_batches(list(reader), schema)
            unclosed = blocks.quotes % 2 == 1
    except (pyarrow.ArrowException, EOFError, OSError, zlib.error) as error:
        # pyarrow does not say where; a second reading does.
        rows = _checked_rows(path, len(header))
        if rows == 0:
            return schema.empty_table()
        raise FileError(f"{path}: cannot be read as CSV ({error})") from None
    if unclosed:
        _checked_rows(path, len(header))
    return table


def line_of(path: str, row: int) -> int:
    """Return the line, counted from 1, in which a row begins; row 0 follows the header."""
    with _faults(path):
        for number, (line, _) in enumerate(_records(path)):
            if number == row + 1:
                return line
    return row + 2


def _is_compressed(path: str) -> bool:
    return path.lower().endswith(".gz")


class _Blocks(io.RawIOBase):
    """The bytes of a CSV file, block by block, with quotes counted on the way."""

    def __init__(self, path: str, step: Callable[[int, int], None]) -> None:
        self._raw = open(path, "rb")  # noqa: SIM115 (closed by close)
        self._bytes = gzip.GzipFile(fileobj=self._raw) if _is_compressed(path) else self._raw
        self._total = max(1, round(self._raw.seek(0, io.SEEK_END) / _MEGABYTE))
        self._raw.seek(0)
        self._step = step
        self.quotes = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = self._bytes.read(size)
        self.quotes += block.count(b'"')
        self._step(min(self._total, round(self._raw.tell() / _MEGABYTE)), self._total)
        return block

    def close(self) -> None:
        self._raw.close()
        super().close()


def _header(path: str) -> list[str]:
    for _, cells in _records(path):
        for at, name in enumerate(cells):
            if name in cells[:at]:
                raise ColumnError(f"{path}: column '{name}' stands there twice")
        return cells
    raise FileError(f"{path}: empty; a header line with the names of the columns is needed")


def _checked_rows(path: str, columns: int) -> int:
    """Return how many rows there are, if each has so many cells and the file is sound."""
    rows = -1
    with _faults(path):
        for line, cells in _records(path):
            if len(cells) != columns:
                count = f"{len(cells)} cell{'' if len(cells) == 1 else 's'}"
                raise FileError(f"{path}, line {line}: {count}, but the header has {columns}")
            rows += 1
    return rows


def _records(path: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record that is not an empty line, with the line that it begins in."""
    with (
        gzip.GzipFile(path) if _is_compressed(path) else open(path, "rb") as file,
        io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text,
    ):
        reader = csv.reader(text, strict=True)
        line = 1
        try:
            for cells in reader:
                if cells:
                    yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            problem = "a quote is not closed" if "unexpected end of data" in str(error) else str(error)
            raise FileError(f"{path}, line {line}: {problem}") from None


@contextmanager
def _faults(path: str) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: not UTF-8 text (byte {error.object[error.start]:#04x}); save it as UTF-8") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileError(f"{path}: a damaged or truncated gzip file ({error})") from None
