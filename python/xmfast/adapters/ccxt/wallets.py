"""What exchanges say of a wallet in the raw answer, where ccxt's unified ``total`` is not cash.

The unified ``total`` is the margin balance (with unrealized profit) of Binance's futures wallets, the equity of OKX,
and the wallet balance of Bybit. xmfast adds profit and loss itself, so it must be given cash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from xmfast.adapters.ccxt.rows import Row, exact
from xmfast.errors import ColumnError

# Keys of a unified balance that are no asset.
_NO_ASSET = ("info", "timestamp", "datetime", "free", "used", "total", "debt")


def wallet_rows(balance: Any) -> dict[str, Row]:
    """Return what a unified balance says of each asset."""
    if not isinstance(balance, Mapping):
        raise ColumnError(f"balance: the dict of exchange.fetch_balance() is needed, not {type(balance).__name__}")
    found = {}
    for code, fields in balance.items():
        if code in _NO_ASSET or fields is None:
            continue
        if not isinstance(fields, Mapping):
            raise ColumnError(
                f"balance, '{code}': a dict with free, used and total is needed, not {type(fields).__name__}"
            )
        found[code] = Row(f"balance, '{code}'", fields)
    return found


def codes_of(balance: Any) -> list[str]:
    """Return the assets of which something is held or owed."""
    return [
        code
        for code, row in wallet_rows(balance).items()
        if any(row.number(field) for field in ("total", "free", "used", "debt"))
    ]


def stated_cash(info: Any) -> tuple[dict[str, Fraction], bool] | None:
    """Return cash by asset as the exchange names it, and whether what backs isolated positions is in it.

    None where the answer is of none of the known forms.
    """
    for entries, asset, cash, owed, isolated_inside in _known_forms(info):
        found = {}
        for entry in entries:
            if not isinstance(entry, Mapping) or cash not in entry:
                break
            row = Row(f"balance, info of '{entry.get(asset)}'", entry)
            amounts = [Fraction(0) if (value := row.number(field)) is None else exact(value) for field in (cash, owed)]
            found[row.text(asset)] = amounts[0] - amounts[1]
        else:
            if found:
                return found, isolated_inside
    return None


def _known_forms(info: Any) -> Iterable[tuple[list[Any], str, str, str, bool]]:
    """Yield lists in which a known answer keeps its assets, with the names of the fields."""
    # Binance USD-M and COIN-M: the account with its assets, or the assets alone. Isolated wallets are apart.
    yield _inside(info, "assets"), "asset", "crossWalletBalance", "", False
    yield info if isinstance(info, list) else [], "asset", "crossWalletBalance", "", False
    # OKX; the margin of isolated positions is in isoEq, not in cashBal.
    yield _inside(info, "data", 0, "details"), "ccy", "cashBal", "", False
    # Bybit, unified account: borrowing for derivatives makes the wallet balance negative, manual loans do not.
    yield _inside(info, "result", "list", 0, "coin"), "coin", "walletBalance", "spotBorrow", True


def _inside(info: Any, *path: str | int) -> list[Any]:
    for step in path:
        if isinstance(step, int):
            info = info[step] if isinstance(info, list) and len(info) > step else None
        else:
            info = info.get(step) if isinstance(info, Mapping) else None
    return info if isinstance(info, list) else []
