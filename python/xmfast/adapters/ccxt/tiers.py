"""Margin rates by size: ccxt's leverage tiers as a margin frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from xmfast.adapters.ccxt.markets import by_symbol, market_of
from xmfast.adapters.ccxt.rows import Row, exact, number, read_rows, rounded
from xmfast.adapters.ccxt.symbols import parts_of
from xmfast.errors import ColumnError, DuplicateError, InputError, MissingPriceError
from xmfast.frames import Number
from xmfast.universe import Universe

# Fields of the raw tier that say in what an exchange counts, where ccxt's `currency` does not.
_IN_BASE = ("qtyCap", "qtyFloor", "qtylFloor")
_IN_CONTRACTS = ("maxSz", "minSz")


def margin(
    tiers: Any,
    universe: Universe,
    *,
    markets: Any = None,
    index_price: Mapping[str, Number] | None = None,
    at_par: Iterable[str] = (),
    leverage: Mapping[str, Number] | None = None,
) -> dict[str, list[Any]]:
    """Return the margin frame of :meth:`CrossMargin.from_frames`: one row per tier.

    Parameters
    ----------
    tiers : dict or list
        ``exchange.fetch_leverage_tiers()``, or ``exchange.fetch_market_leverage_tiers(symbol)``.
    universe : Universe
        Only its instruments are taken.
    markets : list or dict, optional
        ``exchange.fetch_markets()`` or ``exchange.markets``; needed where tiers count contracts (OKX).
    index_price : dict, optional
        Of :func:`prices`; needed where tiers are in anything else than the numeraire.
    at_par : iterable of str
        As for :func:`prices`: currencies of which one is one of the numeraire unless ``index_price`` has them.
    leverage : dict, optional
        By symbol: the leverage that the account has set, which raises its initial rates to at least ``1 / leverage``.

    Raises
    ------
    ColumnError
        A rate or a bound that is missing or not a number.
    MissingPriceError
        The tiers are in an asset that has no price in ``index_price``.
    DuplicateError
        Two tiers of one symbol with the same floor.
    InputError
        A leverage that is not above 0, or a first tier that does not start at 0.

    Notes
    -----
    ``initial_rate`` is ``1 / maxLeverage``, ``maintenance_rate`` is ``maintenanceMarginRate``, ``notional_floor`` is
    ``minNotional`` in the numeraire. Tiers are in their ``currency``, with two exceptions that show in ``info``:
    Binance COIN-M counts the base asset, OKX contracts. Bounds in anything but the numeraire become amounts of it at
    the prices given, and do not move with later ones.

    In xmfast every tier's rates apply to the part of the notional inside the tier. So it is at Binance and Bybit; an
    exchange that applies the last tier's rates to the whole position (OKX) charges more above its first tier.

    Examples
    --------
    >>> from xmfast.adapters import ccxt as adapter
    >>> tiers = [
    ...     {"currency": "USD", "minNotional": 0, "maintenanceMarginRate": 0.004, "maxLeverage": 125},
    ...     {"currency": "USD", "minNotional": 300_000, "maintenanceMarginRate": 0.005, "maxLeverage": 100},
    ... ]
    >>> frame = adapter.margin({"BTC-PERP": tiers}, universe)
    >>> frame["notional_floor"], frame["initial_rate"], frame["maintenance_rate"]
    ([0.0, 300000.0], [0.008, 0.01], [0.004, 0.005])
    """
    known = None if markets is None else by_symbol(markets)
    instruments = set(universe.instruments)
    price: dict[str, Number] = {**dict.fromkeys(at_par, 1.0), **(index_price or {}), str(universe.numeraire): 1.0}
    frame: dict[str, list[Any]] = {
        column: [] for column in ("instrument", "notional_floor", "initial_rate", "maintenance_rate")
    }
    for symbol, ladder in _by_symbol(tiers).items():
        if symbol not in instruments:
            continue
        set_rate = _set_rate(symbol, leverage)
        floors = _floors(ladder)
        # A single tier starts at 0 in any unit.
        several = len(floors) > 1
        unit = _unit(ladder[0], symbol, universe, known, price) if several else Fraction(1)
        for floor, row in floors:
            most = exact(row.needed("maxLeverage", "fill it in: initial_rate is 1 / maxLeverage"))
            if most <= 0:
                raise InputError(f"{row.place}: maxLeverage must be above 0, not {row.get('maxLeverage')}")
            frame["instrument"].append(symbol)
            frame["notional_floor"].append(rounded(floor * unit))
            frame["initial_rate"].append(rounded(max(1 / most, set_rate)))
            frame["maintenance_rate"].append(row.needed("maintenanceMarginRate", "fill it in"))
    return frame


def _by_symbol(tiers: Any) -> dict[str, list[Row]]:
    if isinstance(tiers, Mapping):
        found = {}
        for symbol, ladder in tiers.items():
            if not isinstance(ladder, list) or not all(isinstance(tier, Mapping) for tier in ladder):
                raise ColumnError(f"tiers, '{symbol}': a list of dicts is needed, not {type(ladder).__name__}")
            found[symbol] = [Row(f"tiers, '{symbol}', row {at}", tier) for at, tier in enumerate(ladder)]
        return {symbol: ladder for symbol, ladder in found.items() if ladder}
    by_symbol: dict[str, list[Row]] = {}
    for row in read_rows("tiers", tiers):
        by_symbol.setdefault(row.text("symbol"), []).append(row)
    return by_symbol


def _floors(ladder: list[Row]) -> list[tuple[Fraction, Row]]:
    """Return each tier with where it starts, ascending."""
    found: dict[Fraction, Row] = {}
    before: Row | None = None
    for row in ladder:
        stated = row.number("minNotional")
        if stated is None:
            # Binance COIN-M misspells the field in some answers; a tier starts where the one before it ends.
            advice = "and minNotional of the tier after it is None too; fill one of them in"
            stated = 0.0 if before is None else before.needed("maxNotional", advice)
        floor, before = exact(stated), row
        if floor in found:
            raise DuplicateError(f"{row.place}: a second tier that starts at {stated}")
        found[floor] = row
    ordered = sorted(found.items(), key=lambda item: item[0])
    if ordered[0][0] != 0:
        raise InputError(f"{ordered[0][1].place}: the first tier starts at {rounded(ordered[0][0])}, not at 0")
    return ordered


def _unit(
    row: Row, symbol: str, universe: Universe, known: Mapping[str, Row] | None, price: Mapping[str, Number]
) -> Fraction:
    """Return what one unit of a tier's bounds is worth in the numeraire."""
    info = row.get("info")
    fields = set(info) if isinstance(info, Mapping) else set()
    size, currency = Fraction(1), row.get("currency")
    if fields.intersection(_IN_CONTRACTS):
        if known is None:
            raise ColumnError(
                f"{row.place}: sizes are in contracts; pass markets=exchange.markets for the contract size"
            )
        market = market_of(row.place, symbol, known)
        size = exact(market.needed("contractSize", "fill it in"))
        currency = market.text("quote" if market.get("inverse") is True else "base")
    elif fields.intersection(_IN_BASE):
        currency = parts_of(row.place, symbol).base
    if not isinstance(currency, str):
        raise ColumnError(f"{row.place}: currency is {currency!r}; fill in what minNotional is counted in")
    if currency not in price:
        raise MissingPriceError(
            f"{row.place}: sizes are in {currency}, and '{universe.numeraire}' is needed; give its price, as "
            f"index_price={{'{currency}': ...}} or from prices(tickers, universe)"
        )
    return size * exact(number(f"index_price, '{currency}'", price[currency]))


def _set_rate(symbol: str, leverage: Mapping[str, Number] | None) -> Fraction:
    if leverage is None or symbol not in leverage:
        return Fraction(0)
    chosen = exact(number(f"leverage, '{symbol}'", leverage[symbol]))
    if chosen <= 0:
        raise InputError(f"leverage, '{symbol}': {leverage[symbol]} is not above 0")
    return 1 / chosen
