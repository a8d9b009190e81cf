"""Cells of a CSV file as what they mean: numbers as they are printed, ids as they are written, flags."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from xmfast.errors import ColumnError

if TYPE_CHECKING:
    from collections.abc import Callable

# Every column of numbers and of flags that a frame may have; other columns are texts.
_NUMBERS = {
    "balance",
    "quantity",
    "entry_price",
    "entry_funding",
    "isolated_margin",
    "leverage_cap",
    "price",
    "deposit_index",
    "borrow_index",
    "cumulative_funding",
    "implied_volatility",
    "forward",
    "discount_rate",
    "settlement_average",
}
_FLAGS = {"reduce_only"}

_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_FLAG = r"^(?i:true|false)$"

# A decimal of so many digits is the shortest that prints as its f64.
_SURE_DIGITS = 15
_WIDEST_DECIMAL = 76


def typed(name: str, texts: Any, place: Callable[[int], str]) -> Any:
    """Return a column of texts as what its name says it holds.

    Parameters
    ----------
    name : str
        Name of the column.
    texts : pyarrow.ChunkedArray
        The cells as they are printed; null where they are empty.
    place : callable
        Names the file, the column and a row.

    Returns
    -------
    pyarrow.ChunkedArray or list
        float64 where the shortest decimals of these floats are the numbers printed; else decimal256 or a list of
        ``decimal.Decimal``, which are. Accounts are int64 if every one is the plain text of an integer, so that "007"
        stays what it is.

    Raises
    ------
    ColumnError
        A cell that is no number or no flag.
    """
    if name in _NUMBERS:
        return checked_numbers(texts, place)
    if name in _FLAGS:
        _refuse(texts, _FLAG, "is neither true nor false", place)
        import pyarrow.compute as compute

        return compute.equal(compute.utf8_lower(texts), "true")
    return _integers(texts) if name == "account" else texts


def checked_numbers(texts: Any, place: Callable[[int], str]) -> Any:
    """Return a column of numbers, or say which cell is none; see `typed`."""
    _refuse(texts, _NUMBER, "is not a number such as -1.5 or 2e6", place)
    return exact_numbers(texts)


def exact_numbers(texts: Any) -> Any:
    """Return numbers without losing a digit; see `typed`."""
    import pyarrow
    import pyarrow.compute as compute

    floats = compute.cast(texts, pyarrow.float64())
    with_exponent = compute.match_substring_regex(texts, "[eE]")
    doubtful = compute.or_(compute.greater(compute.binary_length(texts), _SURE_DIGITS), with_exponent)
    if not compute.any(doubtful).as_py():
        return floats
    # Most long texts are what a float prints as; only the others are looked at one by one.
    long = texts.filter(doubtful)
    long = long.filter(compute.not_equal(compute.cast(floats.filter(doubtful), pyarrow.string()), long))
    if all(Decimal(text) == Decimal(repr(float(text))) for text in long.to_pylist()):
        return floats
    if not compute.any(with_exponent).as_py():
        whole, fraction = (
            compute.max(compute.binary_length(compute.replace_substring_regex(texts, pattern, ""))).as_py()
            for pattern in (r"\..*$", r"^[^.]*\.?")
        )
        # pyarrow would let more digits than the type has wrap around.
        if whole + fraction <= _WIDEST_DECIMAL:
            return compute.cast(texts, pyarrow.decimal256(_WIDEST_DECIMAL, fraction))
    return [None if text is None else Decimal(text) for text in texts.to_pylist()]


def _integers(texts: Any) -> Any:
    import pyarrow
    import pyarrow.compute as compute

    if len(texts) == texts.null_count:
        return texts
    try:
        integers = compute.cast(texts, pyarrow.int64())
    except pyarrow.ArrowInvalid:
        return texts
    plain = compute.all(compute.equal(compute.cast(integers, pyarrow.string()), texts)).as_py()
    return integers if plain else texts


def _refuse(texts: Any, pattern: str, problem: str, place: Callable[[int], str]) -> None:
    import pyarrow.compute as compute

    row = compute.index(compute.match_substring_regex(texts, pattern), False).as_py()
    if row >= 0:
        text = texts[row].as_py()
        without = "; leave the cell empty where there is none" if text.lower() in ("nan", "null", "none", "na") else ""
        raise ColumnError(f"{place(row)}: {text!r} {problem}{without}")
