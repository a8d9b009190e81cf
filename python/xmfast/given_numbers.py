"""Numbers that parameters are given as: checked, and refused by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmfast.errors import InputError, ParameterError


def one_number(name: str, value: Any) -> float:
    """Return a number as a float; text, flags and what is no number are refused.

    A short float is the decimal that it prints as, as everywhere.
    """
    is_number = isinstance(value, Real | Decimal) and not isinstance(value, bool | np.bool_)
    if not is_number:
        raise ParameterError(f"{name}: a number is needed, not {value!r}")
    # A signalling NaN cannot even be made a float.
    is_finite = value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)
    if not is_finite:
        raise ParameterError(f"{name}: {value} is not a finite number")
    return float(str(value)) if isinstance(value, np.float32 | np.float16) else float(value)


def whole_number(name: str, value: Any) -> int:
    """Return a whole number."""
    number = one_number(name, value)
    if not number.is_integer():
        raise ParameterError(f"{name}: a whole number is needed, not {value!r}")
    return int(number)


def number_column(name: str, values: Any) -> NDArray[np.float64]:
    """Return one number for each scenario or period, read-only."""
    array = np.asarray(values)
    if array.ndim != 1 or len(array) == 0:
        raise ParameterError(f"{name}: a list of numbers is needed, not {_shown(values)}")
    if array.dtype.kind == "O":
        column = np.array([one_number(f"{name}, row {row}", value) for row, value in enumerate(array)])
    elif array.dtype.kind in "iuf":
        column = array.astype(np.float64)
    else:
        raise ParameterError(f"{name}: numbers are needed, not {_shown(values)}")
    if not np.isfinite(column).all():
        row = int(np.flatnonzero(~np.isfinite(column))[0])
        raise InputError(f"{name}, row {row}: {column[row]} is not a finite number")
    column.flags.writeable = False
    return column


def by_name(name: str, said: Any, example: str) -> Mapping[Any, Any]:
    """Return a dict by name, or say what is needed."""
    if not isinstance(said, Mapping):
        raise ParameterError(f"{name}: a dict by underlying is needed, {example}, not {_shown(said)}")
    return said


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
