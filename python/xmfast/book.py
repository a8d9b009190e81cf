"""Who holds what."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmfast import _core
from xmfast.frames import Frame, read_frame
from xmfast.in_process import InProcess
from xmfast.universe import Universe, core_universe


class Book(InProcess):
    """Balances and positions of all accounts of a venue. Make one with :meth:`from_frames`."""

    __slots__ = ("_accounts", "_core", "_universe")
    _core: _core.Book
    _universe: Universe
    _accounts: NDArray[Any] | None

    @classmethod
    def from_frames(
        cls,
        universe: Universe,
        balances: Frame | None = None,
        positions: Frame | None = None,
        orders: Frame | None = None,
        accounts: Frame | None = None,
    ) -> Book:
        """Build a book from frames; the data is copied once, sorted by account.

        Parameters
        ----------
        universe : Universe
            What the ids refer to.
        balances : frame, optional
            Columns ``account``, ``asset`` and ``balance`` (asset units at interest index 1; negative is a loan).
        positions : frame, optional
            Columns ``account``, ``instrument``, ``quantity`` (contracts; negative is short) and ``entry_price``
            (average price of the open position, quote). Optional: ``entry_funding`` (the instrument's cumulative
            funding when the position was opened; default 0) and ``isolated_margin`` (settlement asset units posted
            for this position alone, >= 0; null where the whole pool backs it).
        orders : frame, optional
            Open orders: columns ``account``, ``instrument``, ``quantity`` (contracts still open; negative sells),
            ``price`` (quote) and optionally ``reduce_only`` (False). Any number of rows for one instrument.
        accounts : frame, optional
            Columns ``account`` and ``leverage_cap`` (highest notional per unit of initial margin, > 0; null for none).

        Raises
        ------
        ColumnError
            A column is missing, unexpected, null or of the wrong type or length.
        UnknownIdError
            An asset or instrument that the universe does not have.
        DuplicateError
            Two rows for one account and asset, or one account and instrument.
        InputError
            A number that is not finite or out of range, or a price that the instrument cannot have.

        Notes
        -----
        Accounts are strings or integers, one kind in all frames, numbered in order of first appearance: balances,
        positions, orders, accounts. 32-bit floats mean the shortest decimal that prints as them; integers, decimals
        and ``decimal.Decimal`` are taken exactly. Arrays are read during the call: no other thread may write to them
        meanwhile.

        Examples
        --------
        >>> xm.Book.from_frames(
        ...     universe,
        ...     balances={"account": [7, 8], "asset": ["USD", "BTC"], "balance": [1_000.0, -0.5]},
        ...     positions={"account": [7], "instrument": ["BTC-PERP"], "quantity": [-2.0], "entry_price": [60_000.0]},
        ...     orders={"account": [7], "instrument": ["BTC-PERP"], "quantity": [-1.0], "price": [61_000.0]},
        ... )
        Book(2 accounts, 2 balances, 1 position, 1 order)
        """
        book = cls.__new__(cls)
        book._universe = universe
        book._core = _core.Book(
            core_universe(universe),
            read_frame("balances", balances),
            read_frame("positions", positions),
            read_frame("orders", orders),
            read_frame("accounts", accounts),
        )
        book._accounts = None
        return book

    @classmethod
    def _of(cls, universe: Universe, core: Any) -> Book:
        """Return a book that the core made."""
        book = cls.__new__(cls)
        book._universe, book._core, book._accounts = universe, core, None
        return book

    def __init__(self) -> None:
        raise TypeError("use Book.from_frames(...)")

    @property
    def universe(self) -> Universe:
        """What the ids refer to."""
        return self._universe

    @property
    def accounts(self) -> NDArray[Any]:
        """Ids of the accounts in order of first appearance: int64, or objects of type str; shape (A,)."""
        if self._accounts is None:
            accounts = self._core.accounts()
            accounts.flags.writeable = False
            self._accounts = accounts
        return self._accounts

    @property
    def positions(self) -> dict[str, NDArray[Any]]:
        """Every position: ``account``, ``instrument``, ``quantity`` and ``entry_price``, arrays of shape (P,).

        In order of account, then of instrument in the universe; a frame that can be read back. Made anew each time.
        """
        account, instrument, quantity, entry_price = self._core.positions()
        instruments = np.array(self._universe.instruments, dtype=object)
        return {
            "account": self.accounts[account],
            "instrument": instruments[instrument],
            "quantity": quantity,
            "entry_price": entry_price,
        }

    @property
    def balance_count(self) -> int:
        """Number of balance rows."""
        return self._core.balance_count()

    @property
    def position_count(self) -> int:
        """Number of position rows."""
        return self._core.position_count()

    @property
    def order_count(self) -> int:
        """Number of order rows."""
        return self._core.order_count()

    @property
    def nbytes(self) -> dict[str, int]:
        """Bytes of the holdings (``book``), of their packing for the kernel (``layout``, 0 before the first
        evaluation) and of the account ids (``ids``).
        """  # noqa: D205
        book, layout, ids = self._core.memory()
        return {"book": book, "layout": layout, "ids": ids}

    def __len__(self) -> int:
        return len(self._core)

    def __repr__(self) -> str:
        counts = [(len(self), "account"), (self.balance_count, "balance"), (self.position_count, "position")]
        if self.order_count:
            counts.append((self.order_count, "order"))
        return f"Book({', '.join(f'{n:,} {noun}' + ('' if n == 1 else 's') for n, noun in counts)})"
