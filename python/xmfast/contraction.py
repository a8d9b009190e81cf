"""The low-level door, for people who have arrays already."""

from __future__ import annotations

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
    table = _array("table", table, np.float64, 2)
    marks = np.zeros(table.shape[1], dtype=bool) if absolute is None else np.asarray(absolute)
    if marks.dtype != bool or marks.shape != (table.shape[1],):
        raise ColumnError(f"absolute: {table.shape[1]} flags are needed, one per column of the table")
    return _core.contract(
        _array("offsets", offsets, np.uint64, 1),
        _array("rows", rows, np.uint32, 1),
        _array("quantities", quantities, np.float64, 1),
        table,
        np.ascontiguousarray(marks),
    )


def _array(name: str, array: ArrayLike, dtype: type[np.generic], ndim: int) -> NDArray[np.generic]:
    given = np.asarray(array)
    if given.ndim != ndim:
        raise ColumnError(f"{name}: {ndim} dimensions are needed, not {given.ndim}")
    kinds = "f" if dtype is np.float64 else "iu"
    if given.dtype.kind not in kinds or given.dtype.itemsize > 8:
        raise ColumnError(f"{name}: {np.dtype(dtype).name} is needed, not {given.dtype}")
    if kinds == "iu" and given.size and (given.min() < 0 or given.max() > np.iinfo(dtype).max):
        raise ColumnError(f"{name}: values must lie between 0 and {np.iinfo(dtype).max}")
    return np.ascontiguousarray(given, dtype=dtype)
