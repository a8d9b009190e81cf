"""A live engine beside the slow ledger: the same events for both, or for neither, and the same units after each.

Who may withdraw, and which order may rest, the reference says in exact arithmetic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from random import Random
from typing import Any

import pytest

import xmfast as xm
from building import assert_equals_reference, build, same_rules
from engine_histories import Event, Scene, played
from reference import evaluate, exact
from reference_ledger import QUANTITY_DECIMALS, Ledger, Refused
from reference_rules import given, rows
from strategies import Columns, Venue

LINES = ("cash", "entry cost", "position", "isolated margin")
# What initial margin may forbid.
GIVES_AWAY = ("withdraw", "transfer", "exchange")


class Twins:
    """An engine and the slow ledger, opened with the same book."""

    def __init__(self, venue: Venue, random: Random) -> None:
        model, book, market = build(venue)
        # Coarse scales, so that hardly anything comes out even.
        self.decimals = {asset: random.choice((0, 2, 4, 8)) for asset in venue.assets["asset"]}
        self.borrowable = {asset for asset in venue.assets["asset"] if random.random() < 0.5}
        self.gain_share = random.choice((0.0, 0.4, 1.0))
        self.engine = xm.Engine(
            book,
            market,
            model,
            decimals=self.decimals,
            borrowable=self.borrowable,
            withdrawable_gain_share=self.gain_share,
        )
        self.ledger = Ledger(
            venue.universe,
            venue.market,
            venue.balances,
            venue.positions,
            decimals=self.decimals,
            others=book.accounts.tolist(),
        )
        self.scene = Scene(self.engine, random, venue, rules=same_rules, decimals=self.decimals)
        self.met: Counter[str] = Counter()
        self.compare_totals()

    @property
    def venue(self) -> Venue:
        """What the two were opened with, and all that came since."""
        return self.scene.venue

    def step(self, happens: Event) -> bool:
        """Let something happen to both, or to neither; return whether it did."""
        before, totals = self.engine.state_hash(), self.engine.ledger()
        try:
            after: Ledger | None = self.ledger.after(happens.apply)
        except Refused:
            after = None
        may_be = after is not None and self.allows(happens, after)
        _, refused = played(happens, self.engine)
        self.met["allowed" if may_be else "forbidden"] += happens.name in GIVES_AWAY
        assert (refused is None) == may_be, refused or "done, although it may not be"
        if refused is not None:
            assert isinstance(refused, xm.RefusedError), repr(refused)
            assert self.engine.state_hash() == before and self.engine.ledger() == totals
            return False
        assert after is not None
        self.ledger = after
        self.scene.happened(happens)
        if happens.name == "add_instruments":
            self.borrowable |= set(happens.args[0].said["borrowable"])
        self.compare_totals()
        return True

    def allows(self, happens: Event, after: Ledger) -> bool:
        """Return whether who gives something away keeps enough."""
        if happens.name not in GIVES_AWAY:
            return True
        account, what = happens.args[:2]
        both = (account,)
        if happens.name == "transfer":
            what = happens.args[2]
            # Contracts may leave either side with less than it needs.
            both = happens.args[:2] if what in self.ledger.specs else both
        owed = what not in self.ledger.specs and after.cash_now(account, what) < 0
        if owed and what not in self.borrowable:
            return False
        cut = with_gains_counted(self.venue, self.gain_share)
        return all(health >= 0 for name in both for health in initial_healths(self.plain(after, cut), name))

    def plain(self, ledger: Ledger | None = None, venue: Venue | None = None) -> Venue:
        """Return what is held now as plain frames, exact."""
        ledger, venue = ledger or self.ledger, venue or self.venue
        balances, positions = ledger.frames()
        orders = [
            {"account": account, **order} for account in ledger.accounts for order in self.engine.open_orders(account)
        ]
        names = ("account", "instrument", "quantity", "price", "reduce_only")
        numeraire = self.venue.numeraire
        return replace(
            venue,
            balances=balances,
            positions=positions,
            orders={name: [order[name] for order in orders] for name in names},
            index_price={name: price for name, price in self.scene.index.items() if name != numeraire},
            mark_price=self.scene.marks,
            deposit_index={asset: indices[0] for asset, indices in ledger.interest.items()},
            borrow_index={asset: indices[1] for asset, indices in ledger.interest.items()},
            cumulative_funding=ledger.funding,
        )

    def compare_totals(self) -> None:
        """Compare what the venue holds, and that nothing was made or lost."""
        for asset, totals in self.ledger.totals().items():
            said = self.engine.ledger()[asset]
            assert said.is_conserved
            assert {name: exact(getattr(said, name)) for name in totals} == totals
            assert sum(list(totals.values())[:-2]) == totals["deposits"] - totals["withdrawals"]

    def compare_residue(self) -> None:
        """Compare what opening took."""
        assert self.engine.residue == pytest.approx(
            {asset: float(taken) for asset, taken in self.ledger.residue.items()}, rel=1e-9, abs=1e-9
        )

    def compare_accounts(self) -> None:
        """Compare what every account holds, exactly, and what all of it is worth."""
        report: Any = self.engine.report()
        assert report.accounts.tolist() == list(self.ledger.accounts)
        for account, holder in self.ledger.accounts.items():
            alone = [name for name, position in holder.positions.items() if position.isolated is not None]
            if self.venue.mode == "cross":
                pool = [name for name in holder.positions if name not in alone]
                self.compare_lines(report.explain(account), account, pool, holder.cash)
            for name in alone:
                self.compare_lines(report.explain(account, name), account, [name], ())
        self.compare_positions()
        assert_equals_reference(report, report_of(self.plain()))

    def compare_lines(self, why: xm.Explanation, account: Any, names: list[Any], cash: Any) -> None:
        """Compare what the lines of an explanation are about, exactly."""
        lines = {kind: {line.id: line for line in why.lines if line.kind == kind} for kind in LINES}
        ledger, holder = self.ledger, self.ledger.accounts[account]
        # At index 1, as a book has it; nobody who was not touched has paid interest.
        owned = {asset: line.quantity for asset, line in lines["cash"].items()}
        assert owned == {asset: ledger.at_index_1(account, asset) for asset in cash}
        costs: dict[Any, Fraction] = {}
        for name in names:
            asset = ledger.settlement(name)
            costs[asset] = costs.get(asset, Fraction(0)) + ledger.cost_before_funding(account, name)
        said: dict[Any, Any] = {asset: line.quantity for asset, line in lines["entry cost"].items()}
        assert _without_zeros(said) == _without_zeros(costs)
        for name in names:
            position = holder.positions[name]
            assert lines["position"][name].quantity == Fraction(position.quantity, 10**QUANTITY_DECIMALS)
            if position.isolated:
                [margin] = lines["isolated margin"].values()
                assert margin.quantity == Fraction(position.isolated, ledger.scale(ledger.settlement(name)))

    def compare_positions(self) -> None:
        """Compare contracts, and the average prices that they were entered at."""
        columns = self.engine.book.positions
        said = {
            (account, name): (quantity, price)
            for account, name, quantity, price in zip(*(columns[name].tolist() for name in columns), strict=True)
        }
        ledger = self.ledger
        held = {(account, name): at for account, of in ledger.accounts.items() for name, at in of.positions.items()}
        assert said.keys() == held.keys()
        for (account, name), position in held.items():
            quantity, price = said[account, name]
            assert quantity == position.quantity / 10**QUANTITY_DECIMALS
            if position.cost:
                contracts = Fraction(position.quantity, 10**QUANTITY_DECIMALS)
                one = Fraction(position.cost, ledger.scale(ledger.settlement(name))) / contracts
                pays_by_reciprocal = ledger.value(name, Fraction(2)) < 0
                right = -ledger.multiplier(name) / one if pays_by_reciprocal else one / ledger.multiplier(name)
                assert price == pytest.approx(float(right), rel=1e-12)


def report_of(venue: Venue) -> dict[str, Any]:
    """Return what the reference says of a venue, exact."""
    inputs = venue.universe, venue.balances, venue.positions, venue.market, venue.collateral, venue.margin
    return evaluate(*inputs, orders=venue.orders, accounts=venue.accounts, mode=venue.mode, number=exact)


def of_account(venue: Venue, account: Any) -> Venue:
    """Return the venue with one account alone; one that has nothing has a balance of 0."""
    chosen: dict[str, Any] = {}
    for name in ("balances", "positions", "orders", "accounts"):
        kept = [row for row in rows(getattr(venue, name)) if row["account"] == account]
        chosen[name] = {column: [row[column] for row in kept] for column in kept[0]} if kept else None
    return replace(venue, **chosen)


def initial_healths(venue: Venue, account: Any) -> list[Fraction]:
    """Return that of an account's pool, and of every position that shares it."""
    report = report_of(of_account(venue, account))
    posted = {row["instrument"]: given(row, "isolated_margin") for row in rows(of_account(venue, account).positions)}
    alone: Mapping[str, Any] = report["isolated"]
    shared = [
        health
        for name, health in zip(alone["instrument"], alone["initial_health"], strict=True)
        if posted[name] is None
    ]
    return [*report["initial_health"], *shared]


def with_gains_counted(venue: Venue, share: float) -> Venue:
    """Return the venue with no more than a share of unrealized gains counted, in any asset."""
    table = list(rows(venue.collateral))
    known = {row["asset"] for row in table}
    table += [{"asset": asset} for asset in venue.assets["asset"] if asset not in known]
    # What belongs to the asset stands in the row with floor 0.
    first = {row["asset"]: row for row in sorted(table, key=lambda row: -given(row, "amount_floor", 0.0))}
    least = {asset: min(share, given(row, "unrealized_gain_share", 1.0)) for asset, row in first.items()}
    table = [{**row, "unrealized_gain_share": least[row["asset"]]} for row in table]
    names = dict.fromkeys(name for row in table for name in row)
    collateral: Columns = {name: [row.get(name) for row in table] for name in names}
    return replace(venue, collateral=collateral)


def _without_zeros(amounts: Mapping[Any, Any]) -> dict[Any, Any]:
    return {name: amount for name, amount in amounts.items() if amount}
