"""Numbers of any shape, brought to one shape as NumPy does and laid flat for the core."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xmfast.errors import ColumnError

_Kind = TypeVar("_Kind", bound=np.generic)


def numbers(frame: str, column: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return an array of floats of the same shape; ``frame`` and ``column`` are what errors speak of."""
    place = f"{frame}, column '{column}'"
    if isinstance(values, np.ma.MaskedArray):
        raise ColumnError(f"{place}: masked arrays are not accepted; fill or drop the masked rows")
    try:
        array = np.asarray(values)
        floats = array.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise ColumnError(f"{place}: numbers are needed ({error})") from None
    if array.size and array.dtype.kind not in "iufO":
        raise ColumnError(f"{place}: numbers are needed, not {array.dtype}")
    return floats


def common_shape(frame: str, columns: dict[str, NDArray[Any]]) -> tuple[int, ...]:
    """Return the shape of all columns together.

    Examples
    --------
    >>> common_shape("options", {"strike": np.zeros((3, 1)), "rate": np.zeros(4)})
    (3, 4)
    """
    try:
        return np.broadcast_shapes(*(column.shape for column in columns.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {column.shape}" for name, column in columns.items() if column.ndim)
        raise ColumnError(f"{frame}: shapes that do not go together: {shapes}") from None


def flat(array: NDArray[_Kind], shape: tuple[int, ...]) -> NDArray[_Kind]:
    """Return the elements that an array has in a shape, in C order."""
    return np.ascontiguousarray(np.broadcast_to(array, shape)).ravel()
