"""A margin model described in TOML: one pool, positions alone, scenarios, or a history."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from xmfast.cross import CrossMargin, IsolatedMargin
from xmfast.errors import ColumnError, InputError
from xmfast.files.history_file import read_returns
from xmfast.files.scenario_table import read_scenarios, told_of_key
from xmfast.files.toml_file import (
    by_name,
    flag,
    is_number,
    number,
    one_of,
    one_or_by_name,
    parsed,
    shown,
    text,
    values,
    whole,
)
from xmfast.portfolio import HistoricalVaR, PortfolioMargin

if TYPE_CHECKING:
    from collections.abc import Callable

    from xmfast.files.toml_file import Read
    from xmfast.files.venue_file import Venue

__all__ = ["MarginModel", "read_model"]

Model = TypeVar("Model", PortfolioMargin, HistoricalVaR)
MarginModel: TypeAlias = CrossMargin | IsolatedMargin | PortfolioMargin | HistoricalVaR

_KINDS = ("cross", "isolated", "portfolio", "historical_var")
_HISTORIES = ("returns", "stressed_returns")


def read_model(path: str | os.PathLike[str], venue: Venue) -> MarginModel:
    """Read a margin model from a TOML file.

    Parameters
    ----------
    path : str or path
        A file with ``kind``: ``"cross"``, ``"isolated"``, ``"portfolio"`` or ``"historical_var"``, and the parameters
        of :class:`PortfolioMargin` or :class:`HistoricalVaR` as keys; rates of the first two stand in the venue's file.
        What is said by underlying is a table. ``[scenarios]`` has its own ``kind``: ``"span"``, ``"grid"``, ``"tims"``,
        ``"shocks"`` (those of :class:`Scenarios`) or ``"joint"``. A concentration is ``{ rate = ..., depth = ... }``,
        tails are a list of ``{ move = ..., weight = ... }``. Of a history, ``returns`` or ``prices`` names a Parquet,
        CSV or Arrow file beside this one with a column for each underlying, oldest first; so do ``stressed_returns`` or
        ``stressed_prices``. ``xmfast init`` writes an example.
    venue : Venue
        What the ids refer to, and the collateral.

    Returns
    -------
    CrossMargin, IsolatedMargin, PortfolioMargin or HistoricalVaR
        The model.

    Raises
    ------
    OSError
        A file is not there or may not be read.
    FileError
        It is not TOML; the message says the line.
    ColumnError, UnknownIdError, ParameterError, InputError
        The message names file, table and key.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> venue_text = '''
    ... numeraire = "USD"
    ... assets = ["USD"]
    ... model = { kind = "cross" }
    ... instruments = [{ instrument = "BTC-PERP", kind = "perpetual", underlying = "BTC", settlement = "USD" }]
    ... '''
    >>> model_text = '''
    ... kind = "portfolio"
    ... initial_factor = 1.2
    ... scenarios = { kind = "tims", price_range = { BTC = 0.15 } }
    ... '''
    >>> with TemporaryDirectory() as folder:
    ...     venue_path, model_path = Path(folder, "venue.toml"), Path(folder, "portfolio.toml")
    ...     _ = venue_path.write_text(venue_text), model_path.write_text(model_text)
    ...     xm.read_model(model_path, xm.read_venue(venue_path))
    PortfolioMargin(Universe(1 asset, 1 instrument, 1 underlying, numeraire 'USD'))
    """
    path = os.fspath(path)
    document = parsed(path)
    if "kind" not in document:
        has = f"; it has: {', '.join(document)}" if document else ""
        raise ColumnError(f"{path}: no key 'kind'{has}")
    kind = one_of(*_KINDS)(f"{path}, key 'kind'", document.pop("kind"))
    if kind in ("cross", "isolated"):
        if document:
            raise ColumnError(
                f"{path}, key '{next(iter(document))}': the rates of {kind} margin stand in the venue's file"
            )
        return venue.cross if kind == "cross" else venue.isolated
    return (_portfolio if kind == "portfolio" else _historical_var)(path, document, venue)


def _portfolio(path: str, document: dict[str, Any], venue: Venue) -> PortfolioMargin:
    names = _names(venue)
    reads: dict[str, Read] = {
        "scenarios": lambda place, table: read_scenarios(f"{path}, [scenarios]", table, names),
        "offsets": _offsets,
        "product_groups": by_name(text, names),
        "concentration": by_name(_concentration, names),
        **_common(venue),
    }
    given = values(path, document, reads, ("scenarios",))
    return _made(PortfolioMargin, path, given, venue)


def _historical_var(path: str, document: dict[str, Any], venue: Venue) -> HistoricalVaR:
    names = _names(venue)
    folder = os.path.dirname(path)
    files: dict[str, Read] = dict.fromkeys(("returns", "prices", "stressed_returns", "stressed_prices"), text)
    reads: dict[str, Read] = {
        **files,
        "confidence": number,
        "measure": one_of("var", "es"),
        "holding_period": whole,
        "filtered": flag,
        "ewma_lambda": number,
        **_common(venue),
    }
    given = values(path, document, reads)
    called = {}
    for history in _HISTORIES:
        in_prices = history.replace("returns", "prices")
        if history in given and in_prices in given:
            raise ColumnError(f"{path}, key '{in_prices}': stands beside '{history}'; one of them says the history")
        for key in (history, in_prices):
            if key in given:
                called[history] = key
                file = os.path.join(folder, given.pop(key))
                given[history] = read_returns(file, names, prices=key == in_prices)
    if "returns" not in given:
        has = f"; it has: {', '.join(document)}" if document else ""
        raise ColumnError(f"{path}: no key 'returns' or 'prices'{has}")
    return _made(HistoricalVaR, path, given, venue, called)


def _made(
    kind: Callable[..., Model], path: str, given: dict[str, Any], venue: Venue, called: dict[str, str] | None = None
) -> Model:
    try:
        return kind(venue.universe, venue.collateral, **given)
    except InputError as error:
        raise told_of_key(error, path, given, called or {}) from None


def _names(venue: Venue) -> list[str]:
    # Ids of a venue's file are texts.
    return [str(name) for name in venue.universe.underlyings]


def _common(venue: Venue) -> dict[str, Read]:
    names = _names(venue)
    return {
        "short_option_minimum": one_or_by_name(number, names),
        "margin_floor": number,
        "initial_factor": number,
        "in_scenario": _in_scenario,
    }


def _in_scenario(place: str, value: Any) -> list[str] | dict[str, str]:
    if isinstance(value, dict):
        return {asset: text(f"{place[:-1]}.{asset}'", underlying) for asset, underlying in value.items()}
    if not isinstance(value, list):
        raise ColumnError(f"{place}: a list of assets or a table of underlyings by asset is needed, not {shown(value)}")
    return [text(f"{place}, entry {at}", asset) for at, asset in enumerate(value)]


def _offsets(place: str, value: Any) -> str | float:
    if is_number(value):
        return number(place, value)
    if value not in ("none", "full"):
        raise InputError(f"{place}: 'none', 'full' or a share of gains is needed, not {shown(value)}")
    return str(value)


def _concentration(place: str, value: Any) -> tuple[float, float]:
    keys: dict[str, Read] = {"rate": number, "depth": number}
    pair = values(place, value, keys, keys)
    return pair["rate"], pair["depth"]
