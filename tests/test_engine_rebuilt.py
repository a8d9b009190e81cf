"""A book of the engine is to the bit the one that frames make of the same holdings.

Reports of the engine share what is packed of blocks in which nothing happened; a book of frames shares nothing. Amounts
are whole and prices short in binary, so that no way to say the same rounds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

import xmfast as xm
from building import bits_of, isolated_bits_of

# Two blocks, and a few accounts of a third.
ACCOUNTS = 2 * 4096 + 5
# At what anybody trades: then the average price of a position is that, and what is closed earns nothing.
ENTRY = {"PERP": 96.0, "FUTURE": 0.5, "COINPERP": 24.0}
MARKS = {"PERP": 100.0, "FUTURE": 0.75, "COINPERP": 25.0}
RATES: dict[str, Any] = {
    "instrument": [*ENTRY, "PERP"],
    "notional_floor": [0.0, 0.0, 0.0, 1024.0],
    "initial_rate": [0.125, 0.25, 0.125, 0.25],
    "maintenance_rate": [0.0625, 0.125, 0.0625, 0.125],
}
COLLATERAL = {"asset": ["COIN"], "initial_haircut": [0.25], "maintenance_haircut": [0.125]}


class Holdings:
    """What is held, as plain numbers beside an engine."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.universe = xm.Universe.from_frames(
            {"asset": ["USD", "COIN"]},
            {
                "instrument": list(ENTRY),
                "kind": ["perpetual", "future", "perpetual"],
                "underlying": ["X", "Y", "X"],
                "settlement": ["USD", "USD", "COIN"],
            },
        )
        self.cash: dict[tuple[int, str], int] = {
            (account, asset): self.random.randrange(-64, 1024)
            for account in range(ACCOUNTS)
            for asset in ("USD", "COIN")
        }
        self.held: dict[tuple[int, str], int] = defaultdict(int)
        for account in range(ACCOUNTS):
            self.held[account, self.random.choice(list(ENTRY))] = self.random.choice((-8, -1, 1, 4))
        self.orders: dict[int, tuple[int, str, int]] = {}
        market = xm.Market(self.universe, {"COIN": 8.0}, MARKS)
        self.engine = xm.Engine(
            self.book(), market, self.model(1), borrowable=["USD", "COIN"], withdrawable_gain_share=1
        )

    def model(self, times: int) -> xm.CrossMargin:
        rates = RATES | {name: [times * rate for rate in RATES[name]] for name in ("initial_rate", "maintenance_rate")}
        return xm.CrossMargin.from_frames(self.universe, COLLATERAL, rates)

    def book(self) -> xm.Book:
        """Return a book of frames."""
        cash = list(self.cash.items())
        held = [(place, quantity) for place, quantity in self.held.items() if quantity]
        orders = list(self.orders.values())
        return xm.Book.from_frames(
            self.universe,
            {
                "account": [place[0] for place, _ in cash],
                "asset": [place[1] for place, _ in cash],
                "balance": [float(amount) for _, amount in cash],
            },
            {
                "account": [place[0] for place, _ in held],
                "instrument": [place[1] for place, _ in held],
                "quantity": [float(quantity) for _, quantity in held],
                "entry_price": [ENTRY[place[1]] for place, _ in held],
            },
            {
                "account": [account for account, _, _ in orders],
                "instrument": [name for _, name, _ in orders],
                "quantity": [float(quantity) for _, _, quantity in orders],
                "price": [ENTRY[name] for _, name, _ in orders],
            }
            if orders
            else None,
        )

    def happen(self) -> None:
        """Let something happen to both."""
        random, engine = self.random, self.engine
        # Mostly in the last block.
        account = random.choice((random.randrange(ACCOUNTS), ACCOUNTS - 1 - random.randrange(5)))
        name, asset = random.choice(list(ENTRY)), random.choice(("USD", "COIN"))
        quantity, amount = random.choice((-16, -2, -1, 1, 2, 16)), random.randrange(1, 512)
        match random.choice(("fill", "fills", "deposit", "exchange", "place", "cancel", "tick", "ticks", "rules")):
            case "fill":
                engine.fill(account, name, quantity, ENTRY[name], amount)
                self.held[account, name] += quantity
                self.cash[account, "COIN" if name == "COINPERP" else "USD"] -= amount
            case "fills":
                accounts = [random.randrange(ACCOUNTS) for _ in range(9)]
                quantities = [random.choice((-1, 1)) for _ in accounts]
                engine.fills(accounts, [name] * 9, quantities, [ENTRY[name]] * 9)
                for one, bought in zip(accounts, quantities, strict=True):
                    self.held[one, name] += bought
            case "deposit":
                engine.deposit(account, asset, amount)
                self.cash[account, asset] += amount
            case "exchange":
                try:
                    engine.exchange(account, "COIN", "USD", amount, 8 * amount)
                except xm.RefusedError:
                    return
                self.cash[account, "COIN"] -= amount
                self.cash[account, "USD"] += 8 * amount
            case "place":
                check = engine.check_order(account, name, quantity, ENTRY[name])
                if check:
                    self.orders[engine.place(account, name, quantity, ENTRY[name])] = (account, name, quantity)
            case "cancel" if self.orders:
                number = random.choice(list(self.orders))
                engine.cancel(number)
                del self.orders[number]
            case "tick":
                engine.tick(name, MARKS[name] * random.randrange(1, 32) / 16)
            case "ticks":
                engine.ticks(["COIN", name], [random.randrange(1, 64) / 4, MARKS[name] * random.randrange(1, 32) / 16])
            case "rules":
                engine.set_parameters(self.model(random.choice((1, 2))))


def steps(seed: int) -> Iterator[Holdings]:
    holdings = Holdings(seed)
    yield holdings
    for _ in range(12):
        for _ in range(holdings.random.choice((1, 1, 5))):
            holdings.happen()
        yield holdings


@pytest.mark.parametrize("seed", range(6))
def test_a_report_of_the_engine_is_that_of_a_book_of_frames(seed: int) -> None:
    for holdings in steps(seed):
        mine: Any = holdings.engine.report()
        rebuilt: Any = holdings.engine.model.evaluate(holdings.book(), holdings.engine.market)
        assert mine.accounts.tolist() == rebuilt.accounts.tolist() == list(range(ACCOUNTS))
        assert bits_of(mine) == bits_of(rebuilt) and isolated_bits_of(mine) == isolated_bits_of(rebuilt)
