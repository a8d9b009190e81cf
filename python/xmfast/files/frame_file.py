"""Frames in files: Parquet, CSV and Arrow IPC, read and written by pyarrow (extra ``frames``)."""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from xmfast.close_names import hint
from xmfast.errors import ColumnError, FileError, InputError, MissingExtraError
from xmfast.files import csv_columns, csv_text
from xmfast.files.fault_places import Fault, told_again

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    Steps = Callable[[str, int, int], None]

__all__ = ["FileTable", "format_of", "read_table", "write_table"]

SUFFIXES = {
    ".parquet": "Parquet",
    ".csv": "CSV",
    ".csv.gz": "CSV",
    ".arrow": "Arrow IPC",
    ".feather": "Arrow IPC",
    ".ipc": "Arrow IPC",
}
# What a file of another kind begins with, and what to do about it.
_BEGINNINGS = {
    b"PAR1": ("Parquet", "give it a name that ends in .parquet"),
    b"ARROW1": ("Arrow IPC", "give it a name that ends in .arrow"),
    b"\x1f\x8b": ("gzip", "give it a name that ends in .csv.gz if it is a compressed CSV"),
    b"PK\x03\x04": ("a zip archive, such as an Excel workbook", "save the sheet as CSV"),
    b"\xff\xfe": ("UTF-16 text", "save it as UTF-8"),
}
# pandas keeps the index of a frame as a column that nobody named.
_PANDAS_INDEX = "__index_level_"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTable:
    """A frame that was read from a file, and how to name a place in it.

    Attributes
    ----------
    path : str
        The file, as the user named it.
    columns : dict
        Arrow columns or lists, by name: a frame as every function of xmfast takes it.
    rows : int
        Length of each.
    """

    path: str
    columns: dict[str, Any]
    rows: int

    @property
    def is_csv(self) -> bool:
        """Whether rows are lines, and texts what is printed."""
        return format_of(self.path) == "CSV"

    def place(self, row: int) -> str:
        """Return what a row is called: its line in a CSV file, else its number from 0."""
        if self.is_csv:
            return f"line {csv_text.line_of(self.path, row)}"
        return f"row {row}"

    def cell(self, column: str, row: int) -> str:
        """Return what a cell is called."""
        return f"{self.path}, column '{column}', {self.place(row)}"

    def values(self, column: str) -> list[Any]:
        """Return a column as objects of Python and NumPy, None where a row has none."""
        column_values = self.columns[column]
        if isinstance(column_values, list):
            return column_values
        if str(column_values.type) in ("float", "halffloat"):
            # A float of 32 bits means the shortest decimal that prints as it: it must stay one.
            values = column_values.to_numpy()
            return [None if value != value else value for value in values]
        values = column_values.to_pylist()
        return [None if value is None or value != value else value for value in values]

    def told_of_file(self, error: InputError) -> InputError:
        """Return an error of the core about this frame with the file, and the line, in its message."""
        fault = Fault.of(error)
        if fault.column is None:
            return told_again(error, self.path + fault.problem)
        where = f"{self.path}, column '{fault.column}'" if fault.row is None else self.cell(fault.column, fault.row)
        return told_again(error, where + fault.problem_with(self.place))


def read_table(path: str | os.PathLike[str], steps: Steps | None = None) -> FileTable:
    """Read a frame; the suffix of its name says how.

    Parameters
    ----------
    path : str or path
        A file whose name ends in one of `SUFFIXES`.
    steps : callable, optional
        Told what is done, and how many of how many steps of it, as by ``Progress.step``.

    Raises
    ------
    OSError
        The file is not there or may not be read.
    FileError
        It is empty, damaged, or not what its name says.
    ColumnError
        A number of a CSV that is none; the message says the line.
    MissingExtraError
        pyarrow is not installed.

    Examples
    --------
    >>> from xmfast.files.frame_file import read_table
    >>> read_table("balances.xls")
    Traceback (most recent call last):
        ...
    xmfast.FileError: balances.xls: unknown suffix '.xls'; use .parquet, .csv, .csv.gz, .arrow, .feather or .ipc
    """
    name = os.fspath(path)
    form = format_of(name)
    _refuse_other_content(name, form)
    _need_pyarrow(f"reading {name}")

    def step(done: int, total: int) -> None:
        if steps is not None:
            unit = ", MB" if form == "CSV" else ""
            steps(f"reading {os.path.basename(name)}{unit}", done, total)

    step(0, 1)
    if form == "CSV":
        return _read_csv(name, step)
    import pyarrow

    try:
        table = (_read_parquet if form == "Parquet" else _read_arrow)(name, step)
    except (pyarrow.ArrowException, OSError) as error:
        # What is wrong with the file and not with its content has a number from the system.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = str(error).splitlines()[0]
        raise FileError(f"{name}: cannot be read as {form}, it may be damaged or truncated ({reason})") from None
    kept = [column for column in table.column_names if not column.startswith(_PANDAS_INDEX)]
    for at, column in enumerate(kept):
        if column in kept[:at]:
            raise ColumnError(f"{name}: column '{column}' stands there twice")
    return FileTable(path=name, columns={column: table[column] for column in kept}, rows=table.num_rows)


def write_table(table: Any, path: str, file: IO[bytes]) -> None:
    """Write a frame into an open file.

    Parameters
    ----------
    table : frame
        Anything with ``__arrow_c_stream__``.
    path : str
        Its suffix says how.
    file : binary file
        Where to.
    """
    _need_pyarrow(f"writing {path}")
    import pyarrow.csv
    import pyarrow.parquet

    table = pyarrow.table(table)
    form = format_of(path)
    if form == "Parquet":
        pyarrow.parquet.write_table(table, file)
    elif form == "Arrow IPC":
        with pyarrow.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    elif path.lower().endswith(".gz"):
        # Without a name and a time, so that the same report is the same file.
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as stream:
            pyarrow.csv.write_csv(table, stream)
    else:
        pyarrow.csv.write_csv(table, file)


def format_of(path: str) -> str:
    """Return "Parquet", "CSV" or "Arrow IPC"."""
    base = os.path.basename(path).lower()
    for suffix, form in SUFFIXES.items():
        if base.endswith(suffix):
            return form
    suffix = os.path.splitext(base)[1]
    *most, last = SUFFIXES
    close = hint(suffix, SUFFIXES) if suffix else ""
    advice = close if close.startswith("; did you mean") else f"; use {', '.join(most)} or {last}"
    raise FileError(f"{path}: {f'unknown suffix {suffix!r}' if suffix else 'no suffix'}{advice}")


def _need_pyarrow(doing: str) -> None:
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError as error:
        message = f"{doing} needs pyarrow, which is not installed: pip install 'xmfast[frames]'"
        raise MissingExtraError(message, name="pyarrow") from error


def _refuse_other_content(path: str, form: str) -> None:
    with open(path, "rb") as file:
        beginning = file.read(8)
    if not beginning:
        raise FileError(f"{path}: empty; not even a header is there")
    for start, (found, advice) in _BEGINNINGS.items():
        compressed = found == "gzip" and path.lower().endswith(".gz")
        if beginning.startswith(start) and found != form and not compressed:
            raise FileError(f"{path}: holds {found}, not {form}; {advice}")


def _read_csv(path: str, step: Callable[[int, int], None]) -> FileTable:
    texts = csv_text.read_text(path, step)
    if len(texts.column_names) == 1:
        (only,) = texts.column_names
        for mark, called in ((";", "semicolons"), ("\t", "tabs")):
            if mark in only:
                raise FileError(f"{path}: its columns are separated by {called}; commas are needed")
    untyped = FileTable(path=path, columns={}, rows=texts.num_rows)
    columns = {name: csv_columns.typed(name, texts[name], partial(untyped.cell, name)) for name in texts.column_names}
    return FileTable(path=path, columns=columns, rows=texts.num_rows)


def _read_parquet(path: str, step: Callable[[int, int], None]) -> Any:
    import pyarrow.parquet

    # A file alone: read_table would take "day=1" in the names of folders for a column.
    with pyarrow.parquet.ParquetFile(path) as file:
        groups = []
        for group in range(file.num_row_groups):
            groups.append(file.read_row_group(group))
            step(group + 1, file.num_row_groups)
        return pyarrow.concat_tables(groups) if groups else file.schema_arrow.empty_table()


def _read_arrow(path: str, step: Callable[[int, int], None]) -> Any:
    import pyarrow

    with open(path, "rb") as file:
        is_file = file.read(6) == b"ARROW1"
    with pyarrow.OSFile(path) as source:
        if not is_file:
            with pyarrow.ipc.open_stream(source) as stream:
                return stream.read_all()
        with pyarrow.ipc.open_file(source) as reader:
            batches = []
            for batch in range(reader.num_record_batches):
                batches.append(reader.get_batch(batch))
                step(batch + 1, reader.num_record_batches)
            return pyarrow.Table.from_batches(batches, reader.schema)
