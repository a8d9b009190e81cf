"""What users pass as a frame, a price set or a time, brought into the few forms that the core reads.

A frame is any object with ``__arrow_c_stream__`` (polars, pyarrow, duckdb, pandas) or a dict of columns: NumPy arrays
(any stride, byte order or width), lists, or single Arrow columns. Numbers keep all their digits: integers, decimals
and ``decimal.Decimal`` of any size that lies within the range of 64-bit floats.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xmfast.errors import ColumnError, InputError


class ArrowTable(Protocol):
    """Anything that hands out Arrow data: a polars or pandas DataFrame, a pyarrow Table, a duckdb relation."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a PyCapsule that holds an Arrow stream."""
        ...


Id: TypeAlias = str | int
Frame: TypeAlias = Mapping[str, Any] | ArrowTable
Number: TypeAlias = float | Decimal
Prices: TypeAlias = Mapping[Any, Number] | Sequence[Number] | NDArray[Any] | ArrowTable
Time: TypeAlias = datetime.datetime | np.datetime64 | str

_NANOSECONDS = np.dtype("datetime64[ns]")
_UTC = datetime.UTC


def read_frame(name: str, frame: Frame | None, *, times: tuple[str, ...] = (), texts: tuple[str, ...] = ()) -> Any:
    """Return a dict of plain columns, or the Arrow object as it is.

    Parameters
    ----------
    name : str
        What error messages call the frame.
    frame : Frame or None
        None stays None.
    times : tuple of str
        Columns that hold times.
    texts : tuple of str
        Columns of texts that are no ids, in which null says that a row has none.
    """
    if frame is None:
        return None
    if isinstance(frame, Mapping):
        return {
            column: _times(name, column, values)
            if column in times
            else _column(f"{name}, column '{column}'", _unpadded(values) if column in texts else values)
            for column, values in frame.items()
            if _is_name(name, column)
        }
    if hasattr(frame, "__arrow_c_stream__"):
        return frame
    raise ColumnError(
        f"{name}: a dict of columns or an object with __arrow_c_stream__ is needed "
        f"(polars, pyarrow, pandas, duckdb), not {type(frame).__name__}"
    )


def read_prices(name: str, prices: Prices | None) -> Any:
    """Return a dict of numbers by id, a plain column as of a frame, or None."""
    if prices is None:
        return None
    if isinstance(prices, Mapping) or (hasattr(prices, "items") and hasattr(prices, "index")):
        # A pandas Series says by its index which price is whose; its order says nothing.
        return dict(prices.items())
    return _column(name, prices, or_else="a dict by id, ")


def read_time(time: Time | None) -> int | None:
    """Return nanoseconds since 1970 UTC; a time without zone means UTC."""
    return None if time is None else int(read_times("market", "time", [time])[0])


def read_times(name: str, column: str, times: list[Any]) -> NDArray[np.int64]:
    """Return nanoseconds since 1970 UTC, one for each time; ``name`` and ``column`` are what errors speak of."""
    nanoseconds = _nanoseconds(name, column, times)
    if np.isnat(nanoseconds).any():
        raise InputError(f"{name}, column '{column}': not a time")
    return nanoseconds.astype(np.int64)


def _is_name(name: str, column: object) -> bool:
    if isinstance(column, str):
        return True
    raise ColumnError(f"{name}: column names are strings, not {column!r}")


def _column(place: str, values: Any, *, or_else: str = "") -> Any:
    """Return a list, an array of a type and shape that the core reads in place, or Arrow data."""
    if isinstance(values, np.ma.MaskedArray):
        raise ColumnError(f"{place}: masked arrays are not accepted; fill or drop the masked rows")
    if isinstance(values, np.ndarray):
        return _array(place, values)
    if _is_arrow(values):
        return values
    if isinstance(values, list):
        return values
    if isinstance(values, str | bytes):
        raise ColumnError(f"{place}: one value per row is needed, not the text {values!r}")
    if hasattr(values, "__array__"):
        return _array(place, np.asarray(values))
    if isinstance(values, Sequence):
        return list(values)
    needed = f"{or_else}a NumPy array, a list or an Arrow column"
    raise ColumnError(f"{place}: {needed} is needed, not {type(values).__name__}")


def _unpadded(values: Any) -> Any:
    """Return texts that NumPy holds at a fixed width as a list, which may hold nulls too; anything else as it is."""
    fixed = isinstance(values, np.ndarray) and values.dtype.kind == "U" and values.ndim == 1
    return values.tolist() if fixed else values


def _is_arrow(values: Any) -> bool:
    return hasattr(values, "__arrow_c_stream__") or hasattr(values, "__arrow_c_array__")


def _array(place: str, array: NDArray[Any]) -> Any:
    if array.ndim != 1:
        raise ColumnError(f"{place}: one dimension is needed, not {array.ndim}")
    if array.size == 0 and array.dtype.kind != "M":
        # Nothing to be of a kind: an empty array is float64 unless somebody says otherwise.
        return []
    kind, size = array.dtype.kind, array.dtype.itemsize
    native = array.dtype.newbyteorder("=")
    if kind == "i" or (kind == "u" and size < 8):
        return array.astype(np.int64, copy=False)
    if kind == "u" or (kind == "f" and size in (4, 8)) or kind == "b":
        return array.astype(native, copy=False)
    if kind == "f" and size == 2:
        # Every half is a 32-bit float, and its shortest decimal as one prints as the half.
        return [float(str(value)) for value in array]
    if kind == "U":
        contiguous = np.ascontiguousarray(array, dtype=native)
        return contiguous.view(np.uint32).reshape(len(array), -1)
    if kind in "OT":
        return array.tolist()
    raise ColumnError(f"{place}: numbers, strings or flags are needed, not {array.dtype}")


def _times(name: str, column: str, values: Any) -> Any:
    if _is_arrow(values) and not isinstance(values, np.ndarray):
        return values
    return _nanoseconds(name, column, list(values)).astype(np.int64)


def _nanoseconds(name: str, column: str, values: list[Any]) -> NDArray[np.datetime64]:
    times = np.empty(len(values), dtype=_NANOSECONDS)
    for row, value in enumerate(values):
        try:
            times[row] = _moment(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{name}, column '{column}', row {row}: {value!r} is not a time ({error})") from None
    return times


def _moment(value: Any) -> np.datetime64:
    if value is None or value is np.ma.masked or value != value:
        # pandas' and NumPy's "not a time" differ from themselves.
        return np.datetime64("NaT")
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value)
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(_UTC).replace(tzinfo=None)
    if not isinstance(value, datetime.date | np.datetime64):
        raise TypeError("datetime64, datetime or ISO text is needed")
    coarse = np.datetime64(value)
    fine = coarse.astype(_NANOSECONDS)
    # Years beyond 1678 to 2262 wrap around silently in nanoseconds.
    if not np.isnat(coarse) and fine.astype(coarse.dtype) != coarse:
        raise ValueError("outside the years 1678 to 2262")
    return fine
