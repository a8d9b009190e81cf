"""What exists: assets that can be held and instruments that positions can be in."""

from __future__ import annotations

from typing import Any

from xmfast import _core
from xmfast.frames import Frame, Id, read_frame
from xmfast.in_process import InProcess


class Universe(InProcess):
    """Assets, instruments and underlyings. Make one with :meth:`from_frames`; everything else is built on it."""

    __slots__ = ("_core", "_instruments")
    _core: _core.Universe
    _instruments: tuple[Id, ...] | None

    @classmethod
    def from_frames(cls, assets: Frame, instruments: Frame | None = None, numeraire: Id = "USD") -> Universe:
        """Build a universe from two frames.

        Parameters
        ----------
        assets : frame
            Column ``asset``: ids of what can be held, the numeraire among them.
        instruments : frame, optional
            Columns ``instrument`` (id), ``kind`` ("perpetual", "future" or "option"), ``underlying`` (id of what its
            price follows, a namespace of its own) and ``settlement`` (the asset in which profit and loss is paid).
            Optional: ``contract_multiplier`` (1; units of the underlying per contract, quote units if inverse),
            ``inverse`` (False), ``allow_negative_price`` (False), ``expiry`` (datetime64, datetime or ISO text; UTC),
            ``strike`` (quote), ``right`` ("call" or "put"), ``futures_style`` (False; of an option: see Notes) and
            ``settlement_average`` (seconds before expiry over which the index is averaged to the settlement price; 0
            or null if it settles at one price). Expiry, strike, right and settlement average may be null.
        numeraire : str or int
            The asset in which accounts are valued; its price is 1.

        Raises
        ------
        ColumnError
            A column is missing, unexpected, null or of the wrong type or length.
        DuplicateError
            An id stands there twice, or names both an asset and an instrument.
        UnknownIdError
            A settlement asset or the numeraire is not among the assets.
        InputError
            An unknown kind, a multiplier or strike that is not > 0, a negative price where none can be, a
            futures-style contract that is no option, an average before no expiry.

        Notes
        -----
        The premium of an option is paid when it is bought, and from then on its value is equity; a long position can
        lose no more and needs no margin of its own. That of a ``futures_style`` option is not paid but margined like
        the value of a future: ``quantity x (mark - entry)`` is variation margin, a long position can lose it day by
        day, and so both sides are charged; its value is not discounted. Balances, entry price and mark mean the same
        for both: an account is worth its balances and ``quantity x (value at mark - value at entry)``, the latter
        being the premium, paid or not.

        With a ``settlement_average`` of ``W`` seconds the settlement price is the average of the index over the last
        ``W`` seconds. Once a part ``w`` of them has passed, that part is fixed: scenarios move ``1 - w`` of it alone,
        and options are revalued as options on the mean of what is to come, whose volatility is that of a third of the
        time (:class:`PortfolioMargin`). Mark prices are the market's own and change nothing here.

        Examples
        --------
        >>> xm.Universe.from_frames(
        ...     assets={"asset": ["USDT", "BTC"]},
        ...     instruments={
        ...         "instrument": ["BTC-PERP", "BTC-USD-INVERSE"],
        ...         "kind": ["perpetual", "perpetual"],
        ...         "underlying": ["BTC", "BTC"],
        ...         "settlement": ["USDT", "BTC"],
        ...         "contract_multiplier": [1, 100],
        ...         "inverse": [False, True],
        ...     },
        ...     numeraire="USDT",
        ... )
        Universe(2 assets, 2 instruments, 1 underlying, numeraire 'USDT')

        A futures-style option that settles at the average of the last half hour:

        >>> xm.Universe.from_frames(
        ...     assets={"asset": ["USD"]},
        ...     instruments={
        ...         "instrument": ["BTC-29JAN27-100000-C"],
        ...         "kind": ["option"],
        ...         "underlying": ["BTC"],
        ...         "settlement": ["USD"],
        ...         "expiry": ["2027-01-29T08:00"],
        ...         "strike": [100_000],
        ...         "right": ["call"],
        ...         "futures_style": [True],
        ...         "settlement_average": [1_800],
        ...     },
        ... )
        Universe(1 asset, 1 instrument, 1 underlying, numeraire 'USD')
        """
        return _universe_of(_core.Universe(read_frame("assets", assets), _instruments_frame(instruments), numeraire))

    def __init__(self) -> None:
        raise TypeError("use Universe.from_frames(...)")

    def extended(self, assets: Frame | None = None, instruments: Frame | None = None) -> Universe:
        """Return a larger universe: everything of this one first, in the same order, then what is new.

        A live engine goes on in it: :meth:`Engine.add_instruments`.

        Parameters
        ----------
        assets, instruments : frame, optional
            What is new, with columns as for :meth:`from_frames`. A new instrument may settle in any asset.
            An underlying may become an asset; it keeps its index price.

        Raises
        ------
        DuplicateError
            An id that is there already; terms of what is there do not change.
        ColumnError
            As :meth:`from_frames`; an id that is an integer where the others are strings, or a string.
        InputError, UnknownIdError
            As :meth:`from_frames`.

        Examples
        --------
        >>> larger = universe.extended(
        ...     assets={"asset": ["ETH"]},
        ...     instruments={
        ...         "instrument": ["ETH-PERP"],
        ...         "kind": ["perpetual"],
        ...         "underlying": ["ETH"],
        ...         "settlement": ["USD"],
        ...     },
        ... )
        >>> larger.assets, larger.instruments
        (['USD', 'BTC', 'ETH'], ['BTC-PERP', 'ETH-PERP'])
        """
        return _universe_of(self._core.extended(read_frame("assets", assets), _instruments_frame(instruments)))

    @property
    def assets(self) -> list[Id]:
        """Ids of the assets, in order."""
        return self._core.assets()

    @property
    def instruments(self) -> list[Id]:
        """Ids of the instruments, in order."""
        return list(self._instrument_ids())

    @property
    def underlyings(self) -> list[Id]:
        """Ids of the underlyings, in order of first appearance."""
        return self._core.underlyings()

    @property
    def index_names(self) -> list[Id]:
        """What has an index price: the assets, then the underlyings that are not assets."""
        return self._core.index_names()

    @property
    def numeraire(self) -> Id:
        """The asset in which accounts are valued."""
        return self._core.numeraire()

    def _instrument_ids(self) -> tuple[Id, ...]:
        # Thousands of strings are made once.
        if self._instruments is None:
            self._instruments = tuple(self._core.instruments())
        return self._instruments

    def __repr__(self) -> str:
        counts = (
            _count(len(self.assets), "asset"),
            _count(len(self.instruments), "instrument"),
            _count(len(self.underlyings), "underlying"),
        )
        return f"Universe({', '.join(counts)}, numeraire {self.numeraire!r})"


def _universe_of(core: _core.Universe) -> Universe:
    universe = Universe.__new__(Universe)
    universe._core, universe._instruments = core, None
    return universe


def _instruments_frame(instruments: Frame | None) -> Any:
    return read_frame("instruments", instruments, times=("expiry",), texts=("right",))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def core_universe(universe: Any) -> _core.Universe:
    """Return the core's universe, or say what was passed instead."""
    if not isinstance(universe, Universe):
        raise TypeError(f"a Universe is needed, not {type(universe).__name__}")
    return universe._core
