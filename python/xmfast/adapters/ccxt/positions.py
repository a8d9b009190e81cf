"""Who holds which contracts: ccxt's positions as a positions frame."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from xmfast.adapters.ccxt.markets import by_symbol, market_of
from xmfast.adapters.ccxt.rows import Row, exact, read_rows, rounded
from xmfast.adapters.ccxt.symbols import settlement
from xmfast.close_names import hint
from xmfast.errors import DuplicateError, InputError
from xmfast.frames import Id, Number

Hedged = Literal["refuse", "net"]


@dataclass(frozen=True, slots=True)
class Held:
    """A row of which something is held: its place in the list, the signed size, None where the pool backs it."""

    at: int
    row: Row
    symbol: str
    quantity: Number
    isolated_margin: Fraction | None

    @property
    def entry_price(self) -> Number:
        """The row's entry price, which must be there."""
        return self.row.needed("entryPrice", "fill it in, for instance from the account's fills")


def positions(rows: Any, account: Id, *, markets: Any = None, hedged: Hedged = "refuse") -> dict[str, list[Any]]:
    """Return the positions frame of :meth:`Book.from_frames` for one account.

    Parameters
    ----------
    rows : list
        ``exchange.fetch_positions()``. Rows with 0 contracts are left out.
    account : str or int
        Id of the account.
    markets : list or dict, optional
        ``exchange.fetch_markets()`` or ``exchange.markets``: symbols and contract sizes are checked against it.
    hedged : {"refuse", "net"}
        What to do where an account holds both sides of one symbol (hedge mode), for xmfast has one position per
        account and instrument. "net" makes one position that has the same profit and loss at every price. Its margin
        is that of the net size, less than what exchanges charge which margin both sides; so it is not the default.

    Raises
    ------
    ColumnError
        A field that is missing, None or not a number.
    UnknownIdError
        A symbol that is not among the markets.
    DuplicateError
        Two rows for one symbol and side, or both sides where ``hedged`` is "refuse".
    InputError
        Side and sign that contradict each other, another contract size than the market's, or two sides that no single
        position has the profit and loss of.

    Notes
    -----
    Both sides together are worth ``sum of quantity x (unit_value(mark) - unit_value(entry))``. So the net entry
    price is the one whose unit value is ``sum of quantity x unit_value(entry) / sum of quantity``: for linear
    contracts the average weighted by signed quantity, for inverse ones the harmonic average.

    ``isolated_margin`` is ``positionMargin``, or ``collateral - unrealizedPnl`` where an exchange leaves that None; in
    cross margin it is None. A ``marginMode`` of None means cross, and is refused where something is posted.

    Examples
    --------
    >>> from xmfast.adapters import ccxt as adapter
    >>> long = {"symbol": "BTC/USDT:USDT", "side": "long", "contracts": 3.0, "entryPrice": 60_000.0}
    >>> short = {"symbol": "BTC/USDT:USDT", "side": "short", "contracts": 1.0, "entryPrice": 66_000.0}
    >>> adapter.positions([long, short], "me", hedged="net")
    ... # doctest: +NORMALIZE_WHITESPACE
    {'account': ['me'], 'instrument': ['BTC/USDT:USDT'], 'quantity': [2.0], 'entry_price': [57000.0],
     'isolated_margin': [None]}
    """
    if hedged not in ("refuse", "net"):
        raise InputError(f"hedged: {hedged!r} is neither 'refuse' nor 'net'{hint(str(hedged), ('refuse', 'net'))}")
    known = None if markets is None else by_symbol(markets)
    by_instrument: dict[str, list[Held]] = {}
    for position in held(rows):
        if known is not None:
            _check_contract_size(position, market_of(position.row.place, position.symbol, known))
        by_instrument.setdefault(position.symbol, []).append(position)
    frame: dict[str, list[Any]] = {
        column: [] for column in ("account", "instrument", "quantity", "entry_price", "isolated_margin")
    }
    for symbol, sides in by_instrument.items():
        quantity, entry_price = sides[0].quantity, sides[0].entry_price
        if len(sides) > 1:
            _check_sides(sides, hedged)
            inverse = _is_inverse(symbol) if known is None else known[symbol].get("inverse") is True
            quantity, entry_price = _net(sides, inverse=inverse)
        margin = sides[0].isolated_margin
        values = (account, symbol, quantity, entry_price, None if margin is None else rounded(margin))
        for column, value in zip(frame, values, strict=True):
            frame[column].append(value)
    return frame


def held(given: Any) -> list[Held]:
    """Return the rows of ccxt's positions in which something is held."""
    found = []
    for at, row in enumerate(read_rows("positions", given)):
        symbol = row.text("symbol")
        settlement(row.place, symbol)
        contracts = row.needed("contracts", "leave the row out if nothing is held")
        if contracts:
            found.append(Held(at, row, symbol, _signed(row, contracts), _isolated_margin(row)))
    return found


def _signed(row: Row, contracts: Number) -> Number:
    side = row.get("side")
    if side == "long" and contracts < 0:
        raise InputError(f"{row.place}: side is 'long' and contracts is {contracts}; one of them is wrong")
    if side == "short":
        return contracts if contracts < 0 else -contracts
    if side == "long" or contracts < 0 or side in ("net", "both"):
        # One-way positions of exchanges that give a sign instead of a side.
        return contracts
    raise InputError(f"{row.place}: side is {side!r}, 'long' or 'short' is needed; fill it in")


def _isolated_margin(row: Row) -> Fraction | None:
    mode, margin = row.get("marginMode"), row.number("positionMargin")
    if mode is None and margin:
        # Bybit's unified account does not say; what is posted for a position can only be for that one.
        raise InputError(f"{row.place}: marginMode is None and positionMargin {margin}; fill in 'cross' or 'isolated'")
    if mode in (None, "cross", "crossed"):
        return None
    if mode != "isolated":
        raise InputError(
            f"{row.place}: marginMode is {mode!r}, not a way of margining{hint(str(mode), ('cross', 'isolated'))}"
        )
    if margin is not None:
        return exact(margin)
    advice = "it is isolated and positionMargin is None: fill in what was posted for it, as positionMargin"
    return exact(row.needed("collateral", advice)) - exact(row.needed("unrealizedPnl", advice))


def _check_contract_size(position: Held, market: Row) -> None:
    stated, true = position.row.number("contractSize"), market.number("contractSize")
    if stated is not None and true is not None and exact(stated) != exact(true):
        raise InputError(
            f"{position.row.place}: contractSize is {stated}, of the market it is {true}; contracts of which size?"
        )


def _check_sides(sides: list[Held], hedged: Hedged) -> None:
    first, second = sides[:2]
    if len(sides) > 2 or (first.quantity > 0) == (second.quantity > 0):
        raise DuplicateError(
            f"{sides[-1].row.place}: a second row for this symbol and side; pass one account at a time"
        )
    if first.isolated_margin is not None or second.isolated_margin is not None:
        raise DuplicateError(
            f"{second.row.place}: both sides are held, with isolated margin, and xmfast has one position per account "
            f"and instrument; pass the sides apart, each with an account of its own"
        )
    if hedged == "refuse":
        raise DuplicateError(
            f"{second.row.place}: both sides are held (hedge mode), and xmfast has one position per account and "
            f"instrument; hedged='net' makes one of them, with the margin of the net size alone"
        )


def _net(sides: list[Held], *, inverse: bool) -> tuple[float, float]:
    quantities = [exact(side.quantity) for side in sides]
    entries = [exact(side.entry_price) for side in sides]
    for side, entry in zip(sides, entries, strict=True):
        if entry <= 0:
            raise InputError(f"{side.row.place}: entryPrice is {side.entry_price}; two sides need prices above 0")
    quantity = sum(quantities, Fraction(0))
    # Of an inverse contract the reciprocal of the price is what averages.
    cost = sum(q * (1 / e if inverse else e) for q, e in zip(quantities, entries, strict=True))
    if cost * quantity <= 0:
        raise InputError(
            f"{sides[1].row.place}: both sides nearly cancel, and no single position has their profit and loss; keep "
            f"what the larger side has more, leave the other out, and add to the balance what the rest has locked in"
        )
    average = cost / quantity
    return rounded(quantity), rounded(1 / average if inverse else average)


def _is_inverse(symbol: str) -> bool:
    """Without markets: a contract that settles in its base is inverse, by the convention of unified symbols."""
    return settlement(symbol, symbol) == symbol.partition("/")[0]
