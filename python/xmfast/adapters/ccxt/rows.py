"""One dict that ccxt returned, read field by field; every error names the row and the field."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from xmfast.errors import ColumnError, InputError
from xmfast.frames import Number


@dataclass(frozen=True, slots=True)
class Row:
    """A dict, and what error messages call it."""

    place: str
    fields: Mapping[str, Any]

    def get(self, field: str) -> Any:
        """Return the field as it is; None where it is None, absent or empty text, which ccxt does not tell apart."""
        value = self.fields.get(field)
        return None if value == "" else value

    def text(self, field: str, advice: str = "") -> str:
        """Return a text that must be there."""
        value = self.get(field)
        if isinstance(value, str):
            return value
        raise ColumnError(f"{self.place}: {field} is {value!r}, a text is needed{advice}")

    def number(self, field: str) -> Number | None:
        """Return a number, or None where there is none; texts keep all their digits."""
        value = self.get(field)
        return None if value is None else number(f"{self.place}: {field}", value)

    def needed(self, field: str, advice: str) -> Number:
        """Return a number that must be there."""
        value = self.number(field)
        if value is None:
            raise ColumnError(f"{self.place}: {field} is None, a number is needed; {advice}")
        return value


def number(place: str, value: Any) -> Number:
    """Return a finite number: a float if that prints as the number given, else a ``Decimal``.

    Examples
    --------
    >>> number("row 0: amount", "0.10"), number("row 0: amount", "12345678901234567890.5")
    (0.1, Decimal('12345678901234567890.5'))
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        exact = Decimal(value) if isinstance(value, int | str | Decimal) else Decimal(repr(float(value)))
    except (TypeError, ValueError, InvalidOperation):
        raise ColumnError(f"{place} is {value!r}, not a number") from None
    if not exact.is_finite():
        raise InputError(f"{place} is {value!r}, not a finite number")
    nearest = float(exact)
    return nearest if math.isfinite(nearest) and Decimal(repr(nearest)) == exact else exact


def exact(value: Number) -> Fraction:
    """Return the number that a float prints as: 0.1 is a tenth."""
    return Fraction(Decimal(str(value)))


def rounded(value: Fraction) -> float:
    """Return the nearest float."""
    return value.numerator / value.denominator


def read_rows(what: str, given: Any) -> list[Row]:
    """Return the rows of a list of dicts, each with its symbol; ``what`` is what messages call the list."""
    if isinstance(given, Mapping | str) or not isinstance(given, Iterable):
        raise ColumnError(f"{what}: the list of dicts that ccxt returns is needed, not {type(given).__name__}")
    found = []
    for at, fields in enumerate(given):
        if not isinstance(fields, Mapping):
            raise ColumnError(f"{what}, row {at}: a dict is needed, not {type(fields).__name__}")
        symbol = fields.get("symbol")
        if not isinstance(symbol, str) or not symbol:
            raise ColumnError(f"{what}, row {at}: symbol is {symbol!r}, ccxt's unified symbol is needed")
        found.append(Row(f"{what}, row {at} ('{symbol}')", fields))
    return found
