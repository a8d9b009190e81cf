"""What exists: assets that can be held and instruments that positions can be in."""

from __future__ import annotations

from typing import Any

from xmfast import _core
from xmfast.frames import Frame, Id, read_frame


class Universe:
    """Assets, instruments and underlyings. Make one with :meth:`from_frames`; everything else is built on it."""

    __slots__ = ("_core",)
    _core: _core.Universe

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
            ``strike`` (quote) and ``right`` ("call" or "put"); the last three may be null.
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
            An unknown kind, a multiplier or strike that is not > 0, a negative price where none can be.

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
        """
        universe = cls.__new__(cls)
        universe._core = _core.Universe(
            read_frame("assets", assets), read_frame("instruments", instruments, times=("expiry",)), numeraire
        )
        return universe

    def __init__(self) -> None:
        raise TypeError("use Universe.from_frames(...)")

    @property
    def assets(self) -> list[Id]:
        """Ids of the assets, in order."""
        return self._core.assets()

    @property
    def instruments(self) -> list[Id]:
        """Ids of the instruments, in order."""
        return self._core.instruments()

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

    def __repr__(self) -> str:
        counts = (
            _count(len(self.assets), "asset"),
            _count(len(self.instruments), "instrument"),
            _count(len(self.underlyings), "underlying"),
        )
        return f"Universe({', '.join(counts)}, numeraire {self.numeraire!r})"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def core_universe(universe: Any) -> _core.Universe:
    """Return the core's universe, or say what was passed instead."""
    if not isinstance(universe, Universe):
        raise TypeError(f"a Universe is needed, not {type(universe).__name__}")
    return universe._core
