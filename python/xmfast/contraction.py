"""The low-level door, for people who have arrays already."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xmfast import _core
from xmfast.errors import ColumnError


def contract(
    offsets: NDArray[np.integer],
    rows: NDArray[np.integer],
    quantities: NDArray[np.float64],
    table: NDArray[np.float64],
    absolute: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Contract legs in compressed sparse row form with a table.

    ``out[a, c]`` is the sum of ``q x table[row, c]`` over the legs of account ``a`` in leg order, with ``abs(q)`` for
    ``q`` in the columns that ``absolute`` marks; one fused multiply-add a leg.

    Parameters
    ----------
    offsets : ndarray of integers, shape (A + 1,)
        Account ``a`` has legs ``offsets[a]`` up to ``offsets[a + 1]``; rises from 0 to L.
    rows : ndarray of integers, shape (L,)
        Table row of each leg.
    quantities : ndarray of float64, shape (L,)
        Signed quantity of each leg; finite.
    table : ndarray of float64, shape (R, C)
        One row per thing that can be held; finite.
    absolute : array of bool, shape (C,), optional
        Columns whose operand is the absolute quantity. None by default.

    Returns
    -------
    ndarray of float64, shape (A, C)
        The same bits on any number of threads and on every instruction set.

    Raises
    ------
    ColumnError
        An array of the wrong type or number of dimensions.
    InputError
        Offsets that do not rise, a row outside the table, a number that is not finite.
    RangeError
        A result that 64-bit floating point cannot hold.

    Notes
    -----
    Arrays that are contiguous and of type uint64, uint32 and float64 are read in place; others are converted first.

    Examples
    --------
    Two accounts; the second is long and short of the same size in two rows:

    >>> xm.contract(
    ...     offsets=np.array([0, 1, 3]),
    ...     rows=np.array([0, 0, 1]),
    ...     quantities=np.array([2.0, 3.0, -3.0]),
    ...     table=np.array([[10.0, 1.0], [11.0, 1.0]]),
    ...     absolute=[False, True],
    ... )
    array([[20.,  2.],
           [-3.,  6.]])
    """
    risk_table = _floats("table", table, 2)
    columns = risk_table.shape[1]
    marks = np.zeros(columns, dtype=bool) if absolute is None else np.asarray(absolute)
    if marks.dtype != bool or marks.shape != (columns,):
        raise ColumnError(f"absolute: {columns} flags are needed, one per column of the table")
    return _core.contract(
        _numbers("offsets", offsets, np.dtype(np.uint64)),
        _numbers("rows", rows, np.dtype(np.uint32)),
        _floats("quantities", quantities, 1),
        risk_table,
        np.ascontiguousarray(marks),
    )


def _numbers(name: str, array: ArrayLike, dtype: np.dtype[np.unsignedinteger[Any]]) -> NDArray[Any]:
    given = _plain(name, array)
    _check(name, given, "iu", dtype, 1)
    largest = np.iinfo(dtype).max
    if given.size and (given.min() < 0 or given.max() > largest):
        raise ColumnError(f"{name}: values must lie between 0 and {largest}")
    return np.ascontiguousarray(given, dtype=dtype)


def _floats(name: str, array: ArrayLike, ndim: int) -> NDArray[np.float64]:
    given = _plain(name, array)
    _check(name, given, "f", np.dtype(np.float64), ndim)
    return np.ascontiguousarray(given, dtype=np.float64)


def _plain(name: str, array: ArrayLike) -> NDArray[Any]:
    if isinstance(array, np.ma.MaskedArray):
        raise ColumnError(f"{name}: masked arrays are not accepted; fill or drop the masked values")
    return np.asarray(array)


def _check(name: str, given: NDArray[Any], kinds: str, dtype: np.dtype[Any], ndim: int) -> None:
    if given.ndim != ndim:
        raise ColumnError(f"{name}: {ndim} dimensions are needed, not {given.ndim}")
    if given.dtype.kind not in kinds or given.dtype.itemsize > 8:
        raise ColumnError(f"{name}: {dtype.name} is needed, not {given.dtype}")
