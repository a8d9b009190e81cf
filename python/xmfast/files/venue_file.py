"""A venue described in TOML: what can be held, and what margin it needs."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xmfast.close_names import hint
from xmfast.cross import CrossMargin, IsolatedMargin
from xmfast.errors import ColumnError, InputError
from xmfast.files.fault_places import Fault, told_again
from xmfast.files.toml_file import check_keys, is_number, parsed, shown
from xmfast.universe import Universe

__all__ = ["Venue", "read_venue"]


@dataclass(frozen=True, kw_only=True)
class Venue:
    """What a file says of a venue; made by :func:`read_venue`.

    ``model`` is that of the file's ``kind``; ``cross`` and ``isolated`` are both kinds of the same parameters, so that
    :func:`compare` can set them side by side. ``collateral`` is the frame of haircuts, for other models of the venue.
    """

    universe: Universe
    collateral: dict[str, list[Any]]
    cross: CrossMargin
    isolated: IsolatedMargin
    kind: str

    @property
    def model(self) -> CrossMargin | IsolatedMargin:
        """The model of the file's ``kind``."""
        return self.cross if self.kind == "cross" else self.isolated


@dataclass(frozen=True, slots=True)
class _Key:
    """What may stand behind a key of a table."""

    kind: str
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Tables:
    """The tables of one name: their keys, and the list of steps (tiers, brackets) that may stand for some of these."""

    keys: dict[str, _Key]
    steps_key: str = ""
    steps: tuple[str, ...] = ()


_KINDS = ("cross", "isolated")
_TOP_LEVEL = ("numeraire", "model", "assets", "instruments", "collateral", "margin")
_ASSETS = _Tables({"asset": _Key("text", required=True)})
_INSTRUMENTS = _Tables(
    {
        "instrument": _Key("text", required=True),
        "kind": _Key("text", required=True, choices=("perpetual", "future", "option")),
        "underlying": _Key("text", required=True),
        "settlement": _Key("text", required=True),
        "contract_multiplier": _Key("number", default=1),
        "inverse": _Key("flag", default=False),
        "allow_negative_price": _Key("flag", default=False),
        "expiry": _Key("time"),
        "strike": _Key("number"),
        "right": _Key("text", choices=("call", "put")),
        "futures_style": _Key("flag", default=False),
        "settlement_average": _Key("number"),
    }
)
_COLLATERAL = _Tables(
    {
        "asset": _Key("text", required=True),
        "initial_haircut": _Key("number", default=0),
        "maintenance_haircut": _Key("number", default=0),
        "initial_liability_weight": _Key("number", default=1),
        "maintenance_liability_weight": _Key("number", default=1),
        "unrealized_gain_share": _Key("number", default=1),
        "amount_cap": _Key("number"),
    },
    "tiers",
    ("amount_floor", "initial_haircut", "maintenance_haircut"),
)
_MARGIN = _Tables(
    {
        "instrument": _Key("text", required=True),
        "initial_rate": _Key("number", required=True),
        "maintenance_rate": _Key("number", required=True),
        "close_out_fee_rate": _Key("number", default=0),
        "margin_floor_per_contract": _Key("number", default=0),
    },
    "brackets",
    ("notional_floor", "initial_rate", "maintenance_rate"),
)
_NEEDED = {
    "text": "a text in quotes",
    "number": "a finite number",
    "flag": "true or false",
    "time": "a date without quotes, such as 2026-12-25 or 2026-12-25T08:00:00Z,",
}


def read_venue(path: str | os.PathLike[str]) -> Venue:
    """Read a universe and a margin model from a TOML file.

    Parameters
    ----------
    path : str or path
        A file with ``numeraire``, ``[model]`` (``kind = "cross"`` or ``"isolated"``), ``assets`` (a list of ids, or
        tables ``[[assets]]`` with ``asset``) and tables ``[[instruments]]``, ``[[collateral]]`` and ``[[margin]]``,
        whose keys are the columns of :meth:`Universe.from_frames` and :meth:`CrossMargin.from_frames`. Haircut tiers
        are a list ``tiers`` in their ``[[collateral]]``, brackets a list ``brackets`` in their ``[[margin]]``.
        ``xmfast init`` writes an example. Numbers are taken as the decimals that they are.

    Returns
    -------
    Venue
        The universe and the model.

    Raises
    ------
    OSError
        The file is not there or may not be read.
    FileError
        It is not TOML; the message says the line.
    ColumnError
        A key that is missing, unexpected, or of the wrong kind.
    ParameterError, UnknownIdError, DuplicateError, InputError
        As from the frames; the message names file, table and key.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> text = '''
    ... numeraire = "USD"
    ... assets = ["USD", "BTC"]
    ...
    ... [model]
    ... kind = "cross"
    ...
    ... [[collateral]]
    ... asset = "BTC"
    ... initial_haircut = 0.10
    ... maintenance_haircut = 0.05
    ... '''
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "venue.toml")
    ...     _ = path.write_text(text)
    ...     xm.read_venue(path).model
    CrossMargin(Universe(2 assets, 0 instruments, 0 underlyings, numeraire 'USD'))
    """
    return _Reader(os.fspath(path)).venue()


class _Reader:
    def __init__(self, path: str) -> None:
        self.path = path
        self.document = parsed(path)
        # By name of a frame: what each of its rows is called in the file.
        self.rows: dict[str, list[tuple[str, str]]] = {}

    def venue(self) -> Venue:
        check_keys(self.path, self.document, _TOP_LEVEL)
        numeraire = self._value(self.path, self.document, "numeraire", _Key("text", required=True))
        kind = self._kind()
        assets = self._frame("assets", self._assets(), _ASSETS)
        instruments = self._frame("instruments", self._tables("instruments"), _INSTRUMENTS)
        collateral = self._frame("collateral", self._tables("collateral"), _COLLATERAL)
        margin = self._frame("margin", self._tables("margin"), _MARGIN)
        try:
            universe = Universe.from_frames(assets, instruments, numeraire)
            return Venue(
                universe=universe,
                collateral=collateral,
                cross=CrossMargin.from_frames(universe, collateral, margin),
                isolated=IsolatedMargin.from_frames(universe, collateral, margin),
                kind=kind,
            )
        except InputError as error:
            raise told_again(error, self._told(Fault.of(error))) from None

    def _told(self, fault: Fault) -> str:
        if fault.frame == "numeraire":
            return f"{self.path}, key 'numeraire'{fault.problem}"
        rows = self.rows[fault.frame]
        problem = fault.problem_with(lambda row: _called(*rows[row]))
        if fault.row is None:
            return f"{self.path}, {fault.frame}{problem}"
        name, id = rows[fault.row]
        # The table is called by its id already.
        problem = problem.removeprefix(f" ('{id}')")
        return f"{self.path}, {_called(name, id)}, key '{fault.column}'{problem}"

    def _kind(self) -> str:
        place = f"{self.path}, [model]"
        table = self.document.get("model")
        if table is None:
            raise ColumnError(f"{self.path}: no table [model]; add one with kind = 'cross' or kind = 'isolated'")
        if not isinstance(table, dict):
            raise ColumnError(f"{place}: a table is needed, with kind = 'cross' or kind = 'isolated'")
        check_keys(place, table, ("kind",))
        kind: str = self._value(place, table, "kind", _Key("text", required=True, choices=_KINDS))
        return kind

    def _assets(self) -> list[dict[str, Any]]:
        assets = self.document.get("assets")
        if assets is None:
            raise ColumnError(f"{self.path}: no assets; add assets = [...] with the numeraire among them")
        if isinstance(assets, list) and all(isinstance(asset, str) for asset in assets):
            return [{"asset": asset} for asset in assets]
        return self._tables("assets")

    def _tables(self, name: str) -> list[dict[str, Any]]:
        tables = self.document.get(name, [])
        if isinstance(tables, dict):
            raise ColumnError(f"{self.path}, [{name}]: one table of many; write [[{name}]]")
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise ColumnError(f"{self.path}, {name}: tables are needed, each under [[{name}]]")
        return tables

    def _frame(self, frame: str, tables: list[dict[str, Any]], kind: _Tables) -> dict[str, list[Any]]:
        names = (*kind.keys, *(name for name in kind.steps if name not in kind.keys))
        columns: dict[str, list[Any]] = {name: [] for name in names}
        self.rows[frame] = []
        for number, table in enumerate(tables):
            name = f"{frame}[{number}]"
            id = str(table.get(next(iter(kind.keys)), "no id"))
            rows = self._rows(name, id, table, kind)
            for at, row in enumerate(rows):
                self.rows[frame].append((name if len(rows) == 1 else f"{name}.{kind.steps_key}[{at}]", id))
                for column, values in columns.items():
                    values.append(row[column])
        if not any(kind.steps_key in table for table in tables):
            # Nobody spoke of floors, so no error should.
            for floor in kind.steps[:1]:
                del columns[floor]
        return columns

    def _rows(self, name: str, id: str, table: dict[str, Any], kind: _Tables) -> list[dict[str, Any]]:
        """Return the rows that a table means: one, or one for each of its steps."""
        place = f"{self.path}, {_called(name, id)}"
        if kind.steps_key not in table:
            check_keys(place, table, (*kind.keys, *filter(None, [kind.steps_key])))
            row = {key: self._value(place, table, key, what) for key, what in kind.keys.items()}
            return [{floor: 0 for floor in kind.steps[:1]} | row]
        for key in kind.steps:
            if key in table:
                raise ColumnError(f"{place}, key '{key}': stands in each of the {kind.steps_key}, not beside them")
        own = {key: what for key, what in kind.keys.items() if key not in kind.steps}
        check_keys(place, table, (*own, kind.steps_key))
        row = {key: self._value(place, table, key, what) for key, what in own.items()}
        steps = table[kind.steps_key]
        if not isinstance(steps, list) or not steps or not all(isinstance(step, dict) for step in steps):
            one = ", ".join(f"{key} = ..." for key in kind.steps)
            raise ColumnError(f"{place}, key '{kind.steps_key}': a list is needed of tables such as {{ {one} }}")
        rows = []
        for at, step in enumerate(steps):
            step_place = f"{self.path}, {_called(f'{name}.{kind.steps_key}[{at}]', id)}"
            check_keys(step_place, step, kind.steps)
            rows.append(row | {key: self._value(step_place, step, key, _Key("number", True)) for key in kind.steps})
        return rows

    def _value(self, place: str, table: Mapping[str, Any], key: str, what: _Key) -> Any:
        if key not in table:
            if what.required:
                has = f"; it has: {', '.join(table)}" if table else ""
                raise ColumnError(f"{place}: no key '{key}'{has}")
            return what.default
        value = table[key]
        if not _is(what.kind, value):
            raise ColumnError(f"{place}, key '{key}': {_NEEDED[what.kind]} is needed, not {shown(value)}")
        if what.choices and value not in what.choices:
            raise InputError(f"{place}, key '{key}': no {key} '{value}'{hint(value, what.choices)}")
        return value


def _called(name: str, id: str) -> str:
    return f"{name} ({id})"


def _is(kind: str, value: Any) -> bool:
    if kind == "number":
        return is_number(value)
    types: dict[str, type] = {"text": str, "flag": bool, "time": datetime.date}
    return isinstance(value, types[kind])
