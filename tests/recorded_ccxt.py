"""What ccxt returned from one exchange, and the venue that the adapter makes of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xmfast as xm
from xmfast.adapters import ccxt as adapter

FOLDER = Path(__file__).parent / "recorded" / "ccxt"
EXCHANGES = sorted(path.stem for path in FOLDER.glob("*.json"))


def recorded(exchange: str) -> dict[str, Any]:
    answers: dict[str, Any] = json.loads((FOLDER / f"{exchange}.json").read_text(encoding="utf-8"))
    return answers


@dataclass(frozen=True)
class Venue:
    universe: xm.Universe
    book: xm.Book
    market: xm.Market
    model: xm.CrossMargin


def venue(
    answers: dict[str, Any],
    *,
    numeraire: str = "USDT",
    at_par: tuple[str, ...] = (),
    hedged: Any = "refuse",
    more_prices: dict[str, float] | None = None,
) -> Venue:
    """Everything that is held, nothing else, with the exchange's own tiers."""
    markets, held = answers["markets"], answers["positions"]
    symbols = [row["symbol"] for row in held]
    universe = xm.Universe.from_frames(
        adapter.assets(markets, answers["balance"], numeraire=numeraire, symbols=symbols),
        adapter.instruments(markets, symbols),
        numeraire,
    )
    book = xm.Book.from_frames(
        universe,
        adapter.balances(answers["balance"], "me", positions=held),
        adapter.positions(held, "me", markets=markets, hedged=hedged),
    )
    index_price, mark_price = adapter.prices(answers["tickers"], universe, at_par=at_par)
    index_price = {**index_price, **(more_prices or {})}
    market = xm.Market(universe, index_price, mark_price)
    margin = adapter.margin(answers["tiers"], universe, markets=markets, index_price=index_price, at_par=at_par)
    return Venue(universe, book, market, xm.CrossMargin.from_frames(universe, margin=margin))
