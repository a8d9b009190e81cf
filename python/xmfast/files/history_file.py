"""Histories of returns or prices in files: a column for each underlying, a row for each period, oldest first."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from xmfast.close_names import hint
from xmfast.errors import ColumnError, InputError, UnknownIdError
from xmfast.files.csv_columns import checked_numbers
from xmfast.files.frame_file import FileTable, read_table

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

# Columns that say when, which every history from somewhere has.
_TIMES = ("time", "date")


def read_returns(path: str, underlyings: Collection[str], *, prices: bool) -> dict[str, NDArray[np.float64]]:
    """Read simple returns by underlying.

    Parameters
    ----------
    path : str
        A table, see `read_table`. Beside the underlyings it may have a column ``time`` or ``date``, which must rise.
    underlyings : collection of str
        Those of the universe; the file may have fewer.
    prices : bool
        Whether the file holds prices, of which returns are to be made.

    Raises
    ------
    OSError, FileError, ColumnError, UnknownIdError, InputError
        The message names file, column and row.
    """
    table = read_table(path)
    times = [column for column in table.columns if column in _TIMES and column not in underlyings]
    for column in table.columns:
        if column not in times and column not in underlyings:
            raise UnknownIdError(f"{path}, column '{column}': no underlying '{column}'{hint(column, underlyings)}")
    for column in times:
        _refuse_disorder(table, column)
    columns = {name: _numbers(table, name, prices) for name in table.columns if name not in times}
    if not columns:
        raise ColumnError(f"{path}: no column of an underlying{hint('', underlyings)}")
    if table.rows <= prices:
        least = "two prices are" if prices else "one return is"
        raise InputError(f"{path}: {table.rows} rows; at least {least} needed")
    if not prices:
        return columns
    return {name: column[1:] / column[:-1] - 1 for name, column in columns.items()}


def _refuse_disorder(table: FileTable, column: str) -> None:
    values = table.values(column)
    for row, value in enumerate(values):
        if value is None:
            raise ColumnError(f"{table.cell(column, row)}: null: every row needs a value")
        if row and not values[row - 1] < value:
            raise InputError(f"{table.cell(column, row)}: {value} is not after {values[row - 1]}; oldest first")


def _numbers(table: FileTable, name: str, prices: bool) -> NDArray[np.float64]:
    if table.is_csv and "string" in str(getattr(table.columns[name], "type", "")):
        typed = checked_numbers(table.columns[name], partial(table.cell, name))
        table = FileTable(path=table.path, columns={name: typed}, rows=table.rows)
    return np.array([_number(table, name, row, value, prices) for row, value in enumerate(table.values(name))])


def _number(table: FileTable, name: str, row: int, value: Any, prices: bool) -> float:
    if value is None:
        raise ColumnError(f"{table.cell(name, row)}: null: every row needs a value")
    if isinstance(value, str | bool):
        raise ColumnError(f"{table.cell(name, row)}: a number is needed, not {value!r}")
    number = float(value)
    if not math.isfinite(number):
        raise InputError(f"{table.cell(name, row)}: {value} is not a finite number")
    if prices and number <= 0:
        raise InputError(f"{table.cell(name, row)}: {value} is no price that returns can be made of; above 0 is needed")
    if not prices and number < -1:
        raise InputError(f"{table.cell(name, row)}: a return of {value} is below -1")
    return number
