"""Isolated against cross margin on one book: the capital that one pool saves, and whom its lack would liquidate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmfast import comparison_display
from xmfast.book import Book
from xmfast.cross import IsolatedMargin, LinearModel
from xmfast.errors import InputError
from xmfast.market import Market
from xmfast.report import MarginReport

Models = Mapping[str, LinearModel] | Iterable[LinearModel]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """One model of a :class:`Comparison`, summed over all accounts."""

    model: str
    capital: float
    saving: float
    liquidatable: int
    premature: int
    effective_leverage: float


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class Comparison:
    """What positions need alone and together. Made by :func:`compare`; arrays have one entry per account.

    Attributes
    ----------
    accounts : array
        Ids of the accounts.
    baseline : str
        Name of the isolated model.
    capital : dict of arrays
        By model: what has to be brought in to hold all positions, numeraire, >= 0.
    saving : dict of arrays
        By model: ``1 - capital / capital of the baseline``; 0 if both are 0.
    liquidatable : dict of arrays
        By model: whether the account as a whole fails; of the baseline, whether one of its positions does.
    premature : dict of arrays
        By model: whether a position fails alone though the account as a whole is sound under the model.
    notional, equity, effective_leverage : arrays
        Sum of the positions' notional, equity of the whole account, and the one by the other: inf where equity is not
        above 0, 0 without positions.
    """

    accounts: NDArray[Any]
    baseline: str
    capital: dict[str, NDArray[np.float64]]
    saving: dict[str, NDArray[np.float64]]
    liquidatable: dict[str, NDArray[np.bool_]]
    premature: dict[str, NDArray[np.bool_]]
    notional: NDArray[np.float64]
    equity: NDArray[np.float64]
    effective_leverage: NDArray[np.float64]

    def summary(self) -> list[ModelSummary]:
        """Return one row per model, the baseline first; leverage there is notional per unit of capital."""
        base = float(self.capital[self.baseline].sum())
        notional = float(self.notional.sum())
        rows = []
        for model, capital in self.capital.items():
            total = float(capital.sum())
            rows.append(
                ModelSummary(
                    model=model,
                    capital=total,
                    saving=0.0 if base == 0 else 1 - total / base,
                    liquidatable=int(self.liquidatable[model].sum()),
                    premature=int(self.premature[model].sum()),
                    effective_leverage=float(_ratio(np.array([notional]), np.array([total]))[0]),
                )
            )
        return rows

    def __len__(self) -> int:
        return len(self.accounts)

    def __repr__(self) -> str:
        return comparison_display.text(self)

    def _repr_html_(self) -> str:
        return comparison_display.html(self)


def compare(book: Book, market: Market, models: Models) -> Comparison:
    """Compare margin position by position with margin of the whole account.

    Parameters
    ----------
    book : Book
        Who holds what.
    market : Market
        Prices of all that is held.
    models : dict or sequence of models
        One :class:`IsolatedMargin`, the baseline, and one or more others. In a sequence they are named "isolated" and
        "cross"; a dict names them.

    Returns
    -------
    Comparison
        Arrays by account, and a table in :meth:`Comparison.summary`.

    Raises
    ------
    InputError
        No baseline or two, or nothing to compare it with.

    Notes
    -----
    Per account, over its positions and open orders::

        capital_isolated = sum of max(0, initial_margin - unrealized_pnl)
        capital          = max(0, sum of initial_margin - sum of unrealized_pnl)
        saving           = 1 - capital / capital_isolated

    Alone, a position's gain helps no other. Who would be liquidated says :class:`IsolatedMargin` for positions alone.

    Examples
    --------
    A long and a short position: alone the loss of the one is not covered by the gain of the other.

    >>> universe = xm.Universe.from_frames(
    ...     assets={"asset": ["USD"]},
    ...     instruments={
    ...         "instrument": ["BTC-PERP", "BTC-MAR"],
    ...         "kind": ["perpetual", "future"],
    ...         "underlying": ["BTC", "BTC"],
    ...         "settlement": ["USD", "USD"],
    ...     },
    ... )
    >>> market = xm.Market(universe, mark_price={"BTC-PERP": 60_100, "BTC-MAR": 60_200})
    >>> margin = {
    ...     "instrument": ["BTC-PERP", "BTC-MAR"],
    ...     "initial_rate": [0.05, 0.05],
    ...     "maintenance_rate": [0.02, 0.02],
    ... }
    >>> book = xm.Book.from_frames(
    ...     universe,
    ...     balances={"account": ["carol"], "asset": ["USD"], "balance": [2_600.0]},
    ...     positions={
    ...         "account": ["carol", "carol"],
    ...         "instrument": ["BTC-PERP", "BTC-MAR"],
    ...         "quantity": [1.0, -1.0],
    ...         "entry_price": [62_000.0, 64_000.0],
    ...     },
    ... )
    >>> isolated = xm.IsolatedMargin.from_frames(universe, margin=margin)
    >>> cross = xm.CrossMargin.from_frames(universe, margin=margin)
    >>> comparison = xm.compare(book, market, [isolated, cross])
    >>> comparison.capital["isolated"], comparison.capital["cross"], comparison.premature["cross"]
    (array([4905.]), array([4115.]), array([ True]))
    """
    named = _named(models)
    baseline = _baseline(named)
    reports = {name: model.evaluate(book, market) for name, model in named.items()}
    alone = reports[baseline]
    positions = alone.isolated
    by_account = _Sums(positions._core.account_numbers(), len(alone))
    gains = by_account.sum(positions.unrealized_pnl)
    # Of the account's own row there are only orders in instruments where it has no position.
    needed = np.maximum(0.0, positions.initial_margin - positions.unrealized_pnl)
    capital = {baseline: by_account.sum(needed) + alone.initial_margin}
    fails_alone = by_account.any(positions.liquidatable) | alone.liquidatable
    liquidatable = {baseline: fails_alone}
    premature = {baseline: np.zeros(len(alone), dtype=np.bool_)}
    for name, report in reports.items():
        if name == baseline:
            continue
        whole = _whole(report)
        capital[name] = np.maximum(0.0, whole.initial_margin - gains)
        liquidatable[name] = whole.liquidatable
        premature[name] = fails_alone & ~whole.liquidatable
    equity = by_account.sum(positions.equity) + alone.equity
    notional = by_account.sum(positions.notional)
    base = capital[baseline]
    # Rounding may leave a capital that is equal to the baseline's a last unit above it.
    saving = {name: np.where(base == 0, 0.0, 1 - _ratio(need, base)) for name, need in capital.items()}
    return Comparison(
        accounts=book.accounts,
        baseline=baseline,
        capital=capital,
        saving=saving,
        liquidatable=liquidatable,
        premature=premature,
        notional=notional,
        equity=equity,
        effective_leverage=_ratio(notional, equity),
    )


def _named(models: Models) -> dict[str, LinearModel]:
    if isinstance(models, Mapping):
        named = dict(models)
    else:
        named = {}
        for model in models:
            name = "isolated" if isinstance(model, IsolatedMargin) else "cross"
            if name in named:
                raise InputError(f"models: two of them would be named '{name}'; name them: {{'...': model, ...}}")
            named[name] = model
    for name, model in named.items():
        if not isinstance(model, LinearModel):
            raise TypeError(f"models ({name!r}): a margin model is needed, not {type(model).__name__}")
    return named


def _baseline(named: dict[str, LinearModel]) -> str:
    found = [name for name, model in named.items() if isinstance(model, IsolatedMargin)]
    if len(found) != 1 or len(named) < 2:
        raise InputError(
            "models: one IsolatedMargin and at least one other are needed, not "
            + (", ".join(type(model).__name__ for model in named.values()) or "none")
        )
    return found[0]


class _Sums:
    """Sums of positions by account."""

    def __init__(self, account: NDArray[np.int64], accounts: int) -> None:
        self._account = account
        self._accounts = accounts

    def sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(self._account, weights=values, minlength=self._accounts).astype(np.float64)

    def any(self, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.bincount(self._account[flags], minlength=self._accounts) > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Whole:
    """Accounts with their isolated positions counted in."""

    initial_margin: NDArray[np.float64]
    liquidatable: NDArray[np.bool_]


def _whole(report: MarginReport) -> _Whole:
    positions = report.isolated
    if len(positions) == 0:
        return _Whole(initial_margin=report.initial_margin, liquidatable=report.liquidatable)
    account = positions._core.account_numbers()
    by_account = _Sums(account, len(report))
    mixed = np.bincount(account, minlength=len(report)) > 0
    health = report.health + by_account.sum(positions.health)
    return _Whole(
        initial_margin=report.initial_margin + by_account.sum(positions.initial_margin),
        liquidatable=np.where(mixed, health < 0, report.liquidatable),
    )


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return part / whole: 0 for no part, inf for some part of nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(part == 0, 0.0, np.where(whole > 0, part / whole, np.inf))
