"""A venue, who holds what, and prices: everything that an evaluation needs, from files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xmfast.book import Book
from xmfast.errors import InputError, MissingParameterError, MissingPriceError, ParameterError
from xmfast.files.fault_places import Fault, told_again
from xmfast.files.frame_file import FileTable, read_table
from xmfast.files.model_file import read_model
from xmfast.files.price_file import read_market
from xmfast.files.venue_file import Venue, read_venue
from xmfast.portfolio import ScenarioModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xmfast.files.frame_file import Steps
    from xmfast.files.model_file import MarginModel
    from xmfast.market import Market
    from xmfast.report import MarginReport

__all__ = ["Inputs", "read_inputs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the files say, and their names.

    Attributes
    ----------
    venue : Venue
        Universe, collateral and margin rates.
    model : MarginModel
        That of a file of its own, else the venue's.
    book : Book
        Who holds what.
    market : Market
        Prices.
    venue_path, model_path, prices_path : str
        Where universe, model and prices come from.
    """

    venue: Venue
    model: MarginModel
    book: Book
    market: Market
    venue_path: str
    model_path: str
    prices_path: str

    def evaluate(self) -> MarginReport:
        """Return the report; an error about what is missing names the file that lacks it."""
        try:
            return self.model.evaluate(self.book, self.market)
        except MissingPriceError as error:
            raise told_again(error, f"{self.prices_path}{Fault.of(error).problem}") from None
        except (MissingParameterError, ParameterError) as error:
            raise told_again(error, f"{self.model_path}, {error}") from None


def read_inputs(
    *, universe: str, model: str | None, prices: str, frames: Mapping[str, str | None], steps: Steps
) -> Inputs:
    """Read all files.

    Parameters
    ----------
    universe : str
        TOML file, see `read_venue`.
    model : str or None
        TOML file, see `read_model`; None for the model that the venue's file says.
    prices : str
        Table, see `read_market`.
    frames : mapping
        Files of the frames ``balances``, ``positions``, ``orders`` and ``accounts`` of `Book.from_frames`; None for
        those that there are not.
    steps : callable
        See `read_table`.
    """
    venue = read_venue(universe)
    margin_model = venue.model if model is None else read_model(model, venue)
    # Prices are few, and an error in them should not wait for the others.
    market = read_market(venue.universe, read_table(prices, steps))
    tables = {frame: read_table(path, steps) for frame, path in frames.items() if path is not None}
    steps("building the book", 0, 1)
    book = _book(venue, tables)
    return Inputs(
        venue=venue,
        model=margin_model,
        book=book,
        market=market,
        venue_path=universe,
        # Rates of margin by brackets stand in the venue's file, whoever says the kind.
        model_path=model if model is not None and isinstance(margin_model, ScenarioModel) else universe,
        prices_path=prices,
    )


def _book(venue: Venue, tables: Mapping[str, FileTable]) -> Book:
    columns = {frame: dict(table.columns) for frame, table in tables.items()}
    _give_accounts_one_kind(columns, tables)
    try:
        return Book.from_frames(venue.universe, **columns)
    except InputError as error:
        table = tables.get(Fault.of(error).frame)
        raise (error if table is None else table.told_of_file(error)) from None


def _give_accounts_one_kind(columns: Mapping[str, dict[str, Any]], tables: Mapping[str, FileTable]) -> None:
    """Take accounts of CSV files for texts if another file has texts: only all files together show what they are."""
    accounts = {frame: given["account"] for frame, given in columns.items() if "account" in given}
    if any("string" in str(column.type) and len(column) for column in accounts.values()):
        for frame, column in accounts.items():
            if tables[frame].is_csv and str(column.type) == "int64":
                columns[frame]["account"] = column.cast("string")
