"""Prices, interest and funding of a venue from one table: a row for each asset, underlying or instrument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xmfast.close_names import hint
from xmfast.errors import ColumnError, DuplicateError, InputError, UnknownIdError
from xmfast.files.fault_places import told_again
from xmfast.frames import read_time
from xmfast.market import Market

if TYPE_CHECKING:
    from xmfast.files.frame_file import FileTable
    from xmfast.universe import Universe

_REQUIRED = ("id", "price")
# Columns that only some ids have, and what those are called.
_OPTIONAL = {
    "deposit_index": "an asset",
    "borrow_index": "an asset",
    "cumulative_funding": "an instrument",
    "implied_volatility": "an instrument",
    "forward": "an instrument",
    "discount_rate": "an asset",
    "settlement_average": "an instrument",
}


def read_market(universe: Universe, table: FileTable) -> Market:
    """Return the market that a table of prices says.

    Parameters
    ----------
    universe : Universe
        What the ids refer to.
    table : FileTable
        Columns ``id`` and ``price``: the index price of an asset or underlying, the mark price of an instrument, each
        where the name is one. Optional: ``deposit_index``, ``borrow_index`` and ``discount_rate`` (assets),
        ``cumulative_funding``, ``implied_volatility``, ``forward`` and ``settlement_average`` (instruments); empty
        where there is none. And ``time``, the same wherever it stands: when the prices were true.

    Raises
    ------
    ColumnError, DuplicateError, UnknownIdError, InputError
        The message names the file, the column, the row and the id.
    """
    columns = _columns(table)
    ids = _ids(universe, table, columns["id"])
    owners = {
        "index_price": set(universe.index_names),
        "mark_price": set(universe.instruments),
        **{
            name: set(universe.assets if owner == "an asset" else universe.instruments)
            for name, owner in _OPTIONAL.items()
        },
    }
    figures: dict[str, Any] = {}
    for name, owned in owners.items():
        column = "price" if name.endswith("_price") else name
        if column not in columns:
            continue
        given = {}
        for row, (id, value) in enumerate(zip(ids, columns[column], strict=True)):
            if column == "price" and value is None:
                raise ColumnError(f"{table.cell(column, row)} ('{id}'): null: every row needs a price")
            if value is None or (column == "price" and id not in owned):
                continue
            if id not in owned:
                has_one = _OPTIONAL[column]
                raise InputError(f"{table.cell(column, row)} ('{id}'): only {has_one} has one; leave it empty")
            given[id] = value
        figures[name] = given
    time = _time(table, columns["time"]) if "time" in columns else None
    try:
        return Market(universe, **figures, time=time)
    except InputError as error:
        raise _told_of_row(error, universe, table, figures, ids) from None


def _told_of_row(
    error: InputError, universe: Universe, table: FileTable, figures: dict[str, Any], ids: list[Any]
) -> InputError:
    """Return the error with its row, which the core does not know: the one that is refused on its own as well."""
    for name, given in figures.items():
        for id, value in given.items():
            try:
                single: dict[str, Any] = {name: {id: value}}
                Market(universe, **single)
            except InputError as same:
                cell = table.cell("price" if name.endswith("_price") else name, ids.index(id))
                problem = str(same).removeprefix(f"{name} ('{id}')")
                return told_again(same, f"{cell} ('{id}'){problem}")
    return told_again(error, f"{table.path}: {error}")


def _time(table: FileTable, times: list[Any]) -> Any:
    """Return the time of all prices; None where no row says one."""
    first, nanoseconds = None, None
    for row, time in enumerate(times):
        if time is None:
            continue
        try:
            moment = read_time(time)
        except InputError:
            raise InputError(
                f"{table.cell('time', row)}: {str(time)!r} is no time such as 2026-12-25T08:00:00Z"
            ) from None
        if first is None:
            first, nanoseconds = row, moment
        elif moment != nanoseconds:
            raise InputError(
                f"{table.cell('time', row)}: {time} is another time than {times[first]} of {table.place(first)}; "
                "prices are those of one moment"
            )
    return None if first is None else times[first]


def _columns(table: FileTable) -> dict[str, list[Any]]:
    known = (*_REQUIRED, *_OPTIONAL, "time")
    for column in table.columns:
        if column not in known:
            raise ColumnError(f"{table.path}: unexpected column '{column}'{hint(column, known)}")
    for column in _REQUIRED:
        if column not in table.columns:
            raise ColumnError(f"{table.path}: no column '{column}'; it has: {', '.join(table.columns)}")
    return {column: table.values(column) for column in table.columns}


def _ids(universe: Universe, table: FileTable, ids: list[Any]) -> list[Any]:
    known = {name: None for name in (*universe.index_names, *universe.instruments)}
    rows: dict[Any, int] = {}
    for row, id in enumerate(ids):
        if id is None:
            raise ColumnError(f"{table.cell('id', row)}: null: every row needs a value")
        if id not in known:
            close = hint(str(id), [str(name) for name in known])
            raise UnknownIdError(f"{table.cell('id', row)}: no asset, underlying or instrument {id!r}{close}")
        if id in rows:
            raise DuplicateError(
                f"{table.cell('id', row)}: a second row for {id!r}; the first is {table.place(rows[id])}"
            )
        rows[id] = row
    return ids
