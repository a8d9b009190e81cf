"""Scenarios as a TOML file says them: the table ``[scenarios]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xmfast.errors import ColumnError, InputError
from xmfast.files.fault_places import told_again
from xmfast.files.toml_file import by_name, flag, number, numbers, one_of, one_or_by_name, shown, values, whole
from xmfast.scenarios import Scenarios, VolatilityScaling

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from xmfast.files.toml_file import Read

_KINDS = ("span", "grid", "tims", "shocks", "joint")
_MAKERS: dict[str, Callable[..., Scenarios]] = {
    "span": Scenarios.span,
    "grid": Scenarios.grid,
    "tims": Scenarios.tims,
    "shocks": Scenarios,
    "joint": Scenarios.joint,
}


def read_scenarios(place: str, table: Any, underlyings: Collection[str]) -> Scenarios:
    """Return the scenarios of a table.

    Parameters
    ----------
    place : str
        What errors call the table.
    table : dict
        ``kind`` and the parameters of what makes scenarios of that kind: :meth:`Scenarios.span`,
        :meth:`Scenarios.grid`, :meth:`Scenarios.tims`, :class:`Scenarios` ("shocks") or :meth:`Scenarios.joint`.
    underlyings : collection of str
        What shocks and ranges may be said of.
    """
    if not isinstance(table, dict):
        raise ColumnError(f"{place}: a table is needed, with kind = {', '.join(map(repr, _KINDS))}; not {shown(table)}")
    if "kind" not in table:
        has = f"; it has: {', '.join(table)}" if table else ""
        raise ColumnError(f"{place}: no key 'kind'{has}")
    kind = one_of(*_KINDS)(f"{place}, key 'kind'", table["kind"])
    reads, required = _keys(kind, underlyings)
    given = values(place, table, {"kind": one_of(*_KINDS), **reads}, (required,))
    del given["kind"]
    try:
        return _MAKERS[kind](**given)
    except InputError as error:
        raise told_of_key(error, place, given) from None


def told_of_key(error: InputError, place: str, keys: Collection[str], called: Mapping[str, str] = {}) -> InputError:
    """Return an error of a constructor with the file's place and key in front: it begins with the parameter's name.

    ``called`` says which key of the file stands for a parameter of another name.
    """
    message = str(error)
    what, _, rest = message.partition(", column ")
    if rest and what == "scenarios":
        table = place if place.endswith("[scenarios]") else f"{place}, [scenarios]"
        return told_again(error, f"{table}, key {rest}")
    for key in keys:
        if message.startswith(key) and not message[len(key) :][:1].isidentifier():
            return told_again(error, f"{place}, key '{called.get(key, key)}'{message[len(key) :]}")
    return told_again(error, f"{place}: {message}")


def _keys(kind: str, underlyings: Collection[str]) -> tuple[dict[str, Read], str]:
    """Return what reads the keys of a kind, and the key that must be there."""
    price_range = one_or_by_name(number, underlyings)
    volatility = one_of("relative", "absolute")
    if kind == "tims":
        return {"price_range": price_range}, "price_range"
    if kind == "span":
        amounts: dict[str, Read] = dict.fromkeys(("volatility_range", "extreme", "cover"), number)
        return {"price_range": price_range, **amounts, "volatility": volatility}, "price_range"
    options: dict[str, Read] = {"volatility_scaling": _scaling, "volatility_floor": number}
    if kind == "grid":
        grid: dict[str, Read] = {"buckets": whole, "volatility_up": number, "volatility_down": number, "tails": _tails}
        return {"price_range": price_range, **grid, **options}, "price_range"
    shocks = one_or_by_name(numbers, underlyings)
    return {
        "price_shock": by_name(numbers, underlyings) if kind == "joint" else shocks,
        "volatility_shock": shocks,
        "weight": numbers,
        "volatility": volatility,
        "absolute": flag,
        **options,
    }, "price_shock"


def _scaling(place: str, value: Any) -> VolatilityScaling:
    given = values(place, value, dict.fromkeys(("power", "least", "most"), number), ("power",))
    try:
        return VolatilityScaling(**given)
    except InputError as error:
        raise told_again(error, f"{place}{str(error).removeprefix('volatility_scaling')}") from None


def _tails(place: str, value: Any) -> dict[float, float]:
    if not isinstance(value, list):
        raise ColumnError(f"{place}: a list is needed of tables such as {{ move = ..., weight = ... }}")
    keys: dict[str, Read] = {"move": number, "weight": number}
    tails = {}
    for at, table in enumerate(value):
        tail = values(f"{place}, entry {at}", table, keys, keys)
        if tail["move"] in tails:
            raise InputError(f"{place}, entry {at}: a second tail of {tail['move']}")
        tails[tail["move"]] = tail["weight"]
    return tails
