"""TOML files: parsed, and the values of their keys checked, with faults that name file, table and key."""

from __future__ import annotations

import datetime
import re
import tomllib
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from xmfast.close_names import hint
from xmfast.errors import ColumnError, FileError, InputError, UnknownIdError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    # What reads a value: told the place that faults name, and the value.
    Read = Callable[[str, Any], Any]


def parsed(path: str) -> dict[str, Any]:
    """Return what a TOML file says, numbers as the decimals that they are."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file, parse_float=Decimal)
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: not UTF-8 text (byte {error.object[error.start]:#04x}); save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        match = re.fullmatch(r"(.*) \(at (line \d+, column \d+|end of document)\)", str(error), re.DOTALL)
        problem, where = (match[1], match[2]) if match else (str(error), "")
        raise FileError(f"{path}{', ' + where if where else ''}: no TOML: {problem}") from None


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number, and no flag."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, Decimal) and value.is_finite()
    )


def shown(value: Any) -> str:
    """Return a value as errors show it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal | datetime.date | datetime.time):
        return str(value)
    kinds: dict[Any, str] = {dict: "a table", list: "a list"}
    return kinds.get(type(value)) or repr(value)


def check_keys(place: str, table: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse a key that nobody knows."""
    for key in table:
        if key not in known:
            raise ColumnError(f"{place}, key '{key}': unexpected{hint(key, known)}")


def values(place: str, table: Any, reads: Mapping[str, Read], required: Collection[str] = ()) -> dict[str, Any]:
    """Return what stands behind the keys of a table, each as its reader reads it.

    Parameters
    ----------
    place : str
        What errors call the table.
    table : dict
        The table.
    reads : mapping
        By key, what reads its value.
    required : collection of str
        Keys that must be there.
    """
    if not isinstance(table, dict):
        raise ColumnError(f"{place}: a table is needed, not {shown(table)}")
    check_keys(place, table, reads.keys())
    for key in required:
        if key not in table:
            has = f"; it has: {', '.join(table)}" if table else ""
            raise ColumnError(f"{place}: no key '{key}'{has}")
    return {key: reads[key](f"{place}, key '{key}'", value) for key, value in table.items()}


def number(place: str, value: Any) -> float:
    """Return a number."""
    if not is_number(value):
        raise ColumnError(f"{place}: a finite number is needed, not {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise InputError(f"{place}: {value} is too large for 64-bit floating point") from None


def whole(place: str, value: Any) -> int:
    """Return a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ColumnError(f"{place}: a whole number is needed, not {shown(value)}")
    return value


def flag(place: str, value: Any) -> bool:
    """Return a flag."""
    if not isinstance(value, bool):
        raise ColumnError(f"{place}: true or false is needed, not {shown(value)}")
    return value


def text(place: str, value: Any) -> str:
    """Return a text."""
    if not isinstance(value, str):
        raise ColumnError(f"{place}: a text in quotes is needed, not {shown(value)}")
    return value


def one_of(*choices: str) -> Read:
    """Return what reads one of some words."""

    def read(place: str, value: Any) -> str:
        word = text(place, value)
        if word not in choices:
            raise InputError(f"{place}: no such choice as '{word}'{hint(word, choices)}")
        return word

    return read


def numbers(place: str, value: Any) -> list[float]:
    """Return a list of numbers."""
    if not isinstance(value, list) or not value:
        raise ColumnError(f"{place}: a list of numbers is needed, not {shown(value) if value else 'an empty list'}")
    return [number(f"{place}, entry {at}", one) for at, one in enumerate(value)]


def by_name(read: Read, names: Collection[str]) -> Read:
    """Return what reads a table with a value for each of some underlyings."""

    def table(place: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ColumnError(f"{place}: a table by underlying is needed, not {shown(value)}")
        for name in value:
            if name not in names:
                raise UnknownIdError(f"{place}: no underlying '{name}'{hint(name, names)}")
        # The place ends with the quote behind the key.
        return {name: read(f"{place[:-1]}.{name}'", one) for name, one in value.items()}

    return table


def one_or_by_name(read: Read, names: Collection[str]) -> Read:
    """Return what reads a value for all underlyings, or a table with one for each that it names."""
    each = by_name(read, names)
    return lambda place, value: each(place, value) if isinstance(value, dict) else read(place, value)
