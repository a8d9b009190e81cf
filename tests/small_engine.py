"""A live engine small enough to follow by hand: dollars and bitcoin, five instruments, accounts by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import xmfast as xm
from building import build
from small_venue import FLAT, INDEX, INSTRUMENTS, MARK
from strategies import Columns, Venue

Rows = Sequence[tuple[Any, ...]]


def small_venue(
    balances: Rows = (),
    positions: Rows = (),
    orders: Rows = (),
    *,
    accounts: Sequence[Any] = ("ann", "bob"),
    mark: dict[str, Any] | None = None,
    index: dict[str, Any] | None = None,
    collateral: Columns | None = None,
    margin: Columns | None = None,
    leverage_cap: dict[Any, Any] | None = None,
    **figures: Any,
) -> Venue:
    """Return a venue.

    ``balances`` are (account, asset, balance), ``positions`` (account, instrument, quantity, entry price[, isolated
    margin[, entry funding]]), ``orders`` (account, instrument, quantity, price), ``leverage_cap`` is by account.
    """
    positions = [(*row, *(None, 0.0)[len(row) - 4 :]) for row in positions]
    held = ("account", "instrument", "quantity", "entry_price", "isolated_margin", "entry_funding")
    return Venue(
        assets={"asset": ["USD", "BTC"]},
        instruments=INSTRUMENTS,
        balances=_frame(("account", "asset", "balance"), balances),
        positions=_frame(held, positions),
        orders=_frame(("account", "instrument", "quantity", "price"), orders),
        accounts={"account": list(accounts), "leverage_cap": [(leverage_cap or {}).get(name) for name in accounts]},
        index_price=INDEX | (index or {}),
        mark_price=MARK | (mark or {}),
        collateral=collateral,
        margin=margin or FLAT,
        **figures,
    )


def small_engine(balances: Rows = (), positions: Rows = (), orders: Rows = (), **said: Any) -> xm.Engine:
    """Return an engine; what is said of accounts, prices and parameters makes the venue, the rest is the engine's."""
    names = (
        *("accounts", "mark", "index", "collateral", "margin", "leverage_cap"),
        *("cumulative_funding", "deposit_index", "borrow_index"),
    )
    of_venue = {name: said.pop(name) for name in names if name in said}
    model, book, market = build(small_venue(balances, positions, orders, **of_venue))
    if said.pop("alone", False):
        model = xm.IsolatedMargin.from_frames(book.universe, of_venue.get("collateral"), of_venue.get("margin", FLAT))
    return xm.Engine(book, market, model, **said)


def cash(engine: xm.Engine, account: Any, asset: str = "USD") -> Decimal:
    """Return an account's cash as a book has it, at interest index 1, as a short decimal."""
    lines = engine.report().explain(account).lines
    return _only(line.quantity for line in lines if (line.kind, line.id) == ("cash", asset))


def cost(engine: xm.Engine, account: Any, asset: str = "USD", instrument: str | None = None) -> Decimal:
    """Return what the account's positions in an asset cost, or an isolated one alone."""
    lines = engine.report().explain(account, instrument).lines
    return _only(line.quantity for line in lines if (line.kind, line.id) == ("entry cost", asset))


def posted(engine: xm.Engine, account: Any, instrument: str) -> Decimal:
    """Return what is posted for an isolated position."""
    lines = engine.report().explain(account, instrument).lines
    return _only(line.quantity for line in lines if line.kind == "isolated margin")


def held(engine: xm.Engine, account: Any, instrument: str) -> float:
    """Return an account's contracts."""
    columns = engine.book.positions
    mine = (columns["account"] == account) & (columns["instrument"] == instrument)
    return float(columns["quantity"][mine].sum())


def _only(quantities: Iterator[Fraction | None]) -> Decimal:
    """Return the one quantity there is, or 0."""
    [quantity] = list(quantities) or [None]
    return Decimal(0) if quantity is None else Decimal(quantity.numerator) / quantity.denominator


def _frame(names: tuple[str, ...], table: Rows) -> Columns:
    return {name: [row[at] for row in table] for at, name in enumerate(names)}
