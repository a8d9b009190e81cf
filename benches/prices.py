"""Liquidation prices and limits of a whole venue: ``python benches/prices.py``.

Every question is asked of all accounts at once. The prices are checked by NumPy's closed form for this venue (every
contract linear and paid in the numeraire), the moves and limits by evaluating some accounts at them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

import peers
from measure import TOLERANCE, Figures, progress, race
from peers import Contestant
from venue import Floats, Venue, frames, venue

CHECKED_ACCOUNTS = 12
STEP = 1e-7  # of a price or an order, to either side of a threshold


class Asked:
    """A venue in memory, and the questions."""

    def __init__(self, book: Venue) -> None:
        import xmfast as xm

        self.venue = book
        self.universe, self.model, self.market = peers.xmfast_model(book)
        self.book = xm.Book.from_frames(self.universe, *frames(book, arrow=True))
        self.instrument = self.universe.instruments[0]
        self.path = xm.PricePath.of_betas(self.universe, dict.fromkeys(self.universe.underlyings, 1.0))

    def questions(self) -> dict[str, Callable[[], Any]]:
        """Return what is timed, by name."""
        import xmfast as xm

        asked = (self.book, self.market, self.model)
        return {
            "evaluate": lambda: self.model.evaluate(self.book, self.market),
            "liquidation_price": lambda: xm.liquidation_price(*asked),
            "NumPy, for this venue alone": self.by_numpy,
            "bankruptcy_price": lambda: xm.bankruptcy_price(*asked),
            "liquidation_move, all betas 1": lambda: xm.liquidation_move(*asked, self.path),
            "buying_power": lambda: xm.buying_power(*asked, None, self.instrument),
            "withdrawable": lambda: xm.withdrawable(*asked, None, self.universe.numeraire),
        }

    def by_numpy(self) -> Floats:
        """Return the price of every position where a unit of account is worth 1 and nothing has tiers."""
        book = self.venue
        health = self.model.evaluate(self.book, self.market).health
        row = book.position_instrument
        contracts = book.multiplier[row] * book.quantity
        rate = np.asarray(book.margin["maintenance_rate"])[row]
        price: Floats = book.mark_price[row] - health[book.position_account] / (contracts - rate * np.abs(contracts))
        return np.where(price > 0, price, np.nan)

    def difference(self) -> float:
        """Return the largest difference to NumPy, in parts of the mark; infinite where one has a price alone."""
        ours, theirs = self.questions()["liquidation_price"](), self.by_numpy()
        if not np.array_equal(np.isnan(ours), np.isnan(theirs)):
            return float("inf")
        marks = self.venue.mark_price[self.venue.position_instrument]
        return float(np.nanmax(np.abs(ours - theirs) / np.maximum(marks, theirs)))

    def wrong(self) -> list[str]:
        """Return what does not hold of some accounts: moves and limits are asked for, and gone just beyond."""
        questions = self.questions()
        healthy = np.flatnonzero(questions["evaluate"]().initial_health > 0)[:CHECKED_ACCOUNTS]
        moves, power = questions["liquidation_move, all betas 1"](), questions["buying_power"]()
        wrong = []
        for account in healthy:
            name = self.book.accounts[account]
            for move in (moves.fall[account], moves.rise[account]):
                if np.isfinite(move):
                    inside, beyond = (
                        self.model.evaluate(self.book, self.path.apply(self.market, move * (1 + step))).health[account]
                        for step in (-STEP, STEP)
                    )
                    if not inside > 0 > beyond:
                        wrong.append(f"account {name}: health {inside} and {beyond} around a move of {move}")
            for size in (power.long[account], -power.short[account]):
                inside, beyond = (self._initial_health(account, size * (1 + step)) for step in (-STEP, STEP))
                if not inside > 0 > beyond:
                    wrong.append(f"account {name}: initial health {inside} and {beyond} around an order of {size}")
        return wrong

    def _initial_health(self, account: int, order: float) -> float:
        """Return the initial health of one account with an order at mark."""
        import xmfast as xm

        book = self.venue
        balances, positions = (
            {name: column[owner == account] for name, column in columns.items()}
            for columns, owner in (
                (
                    {"asset": np.asarray(book.assets)[book.balance_asset], "balance": book.balance},
                    book.balance_account,
                ),
                (
                    {
                        "instrument": np.asarray(self.universe.instruments)[book.position_instrument],
                        "quantity": book.quantity,
                        "entry_price": book.entry_price,
                    },
                    book.position_account,
                ),
            )
        )
        orders = {"instrument": [self.instrument], "quantity": [order], "price": [float(self.market.mark_price[0])]}
        alone = xm.Book.from_frames(
            self.universe,
            *({"account": [0] * len(next(iter(frame.values())))} | frame for frame in (balances, positions, orders)),
        )
        return float(self.model.evaluate(alone, self.market).initial_health[0])


def contest(accounts: int, rounds: int) -> Figures:
    """Check every answer, then time the questions in turn."""
    progress(f"building {accounts:,} accounts")
    asked = Asked(venue(accounts))
    difference, wrong = asked.difference(), asked.wrong()
    if not difference <= TOLERANCE or wrong:
        raise SystemExit("\n".join([f"prices differ by {difference}", *wrong]))
    questions = [
        Contestant(name=name, evaluate=ask, answer=lambda found: {"found": found})
        for name, ask in asked.questions().items()
    ]
    return race(questions, rounds, asked.venue.name) | {
        "accounts": accounts,
        "positions": asked.book.position_count,
        "difference": difference,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=1_000_000, help="accounts of the venue (%(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="times that each question is asked (%(default)s)")
    options = parser.parse_args(arguments)
    found = contest(options.accounts, options.rounds)
    from run import busy_note, table

    rows = [
        (name, f"{1e3 * median(seconds):.0f}", f"{1e3 * min(seconds):.0f}")
        for name, seconds in found["seconds"].items()
    ]
    size = f"{found['accounts']:,} accounts, {found['positions']:,} positions"
    print(f"{size}; prices differ from NumPy's by {found['difference']:.0e}{busy_note(found['others'])}\n")
    print(table(("asked of all accounts", "ms", "best ms"), rows))


if __name__ == "__main__":
    main()
