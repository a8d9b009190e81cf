"""Random events for a live engine, chosen by looking at what it holds, so that most of them are allowed and matter.

An event is data: the same list can be played to another engine, or to the slow ledger, which has the same methods.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any, TypeAlias

import numpy as np

import xmfast as xm
from engine_additions import Addition, Rules, random_addition
from reference_rules import given, rows
from strategies import Venue, rounded

# How many random histories all tests of the engine play together; outside of CI it may be a hundred times as many.
HISTORIES = int(os.environ.get("XMFAST_ENGINE_HISTORIES", "2000"))

# The engine takes no prices nearer to 0, and none beyond the other.
LEAST_PRICE, MOST_PRICE = 1e-30, 1e29

Report: TypeAlias = "xm.MarginReport | xm.PortfolioReport"


@dataclass(frozen=True, slots=True)
class Event:
    """A call of one of the engine's methods."""

    name: str
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, to: Any) -> Any:
        """Do it, and return what it returns."""
        return getattr(to, self.name)(*self.args, **self.options)

    def __str__(self) -> str:
        said = [repr(value) for value in self.args] + [f"{name}={value!r}" for name, value in self.options.items()]
        return f"engine.{self.name}({', '.join(said)})"


@dataclass(frozen=True, slots=True)
class OfUniverse(Event):
    """An event of something that belongs to a universe: it is made on that of the engine, whichever it is."""

    def apply(self, to: Any) -> Any:
        """Make it and do it."""
        if not isinstance(to, xm.Engine):
            # The slow ledger has neither prices nor margin.
            return getattr(to, self.name)(*self.args)
        [said] = self.args
        return said.add_to(to) if isinstance(said, Addition) else to.set_parameters(said(to.universe))


def event(name: str, *args: Any, **options: Any) -> Event:
    """Return an event as its call would be written."""
    return Event(name, args, options)


class Scene:
    """What an engine holds, for choosing what happens next.

    ``rules`` returns other parameters for a venue.
    """

    def __init__(
        self,
        engine: xm.Engine,
        random: Random,
        venue: Venue,
        *,
        rules: Callable[[Venue, Random], Rules],
        decimals: int | Mapping[Any, int] = 8,
    ) -> None:
        self.engine, self.random, self.rules = engine, random, rules
        assets = engine.universe.assets
        self.decimals = {asset: decimals if isinstance(decimals, int) else decimals[asset] for asset in assets}
        self.settled: set[Any] = set()
        self.alerts: Sequence[float] = ()
        self._take_over(venue)
        self.look()

    def _take_over(self, venue: Venue) -> None:
        self.venue = venue
        self.specs = {row["instrument"]: row for row in rows(venue.instruments)}
        self.assets = list(venue.assets["asset"])

    def happened(self, happens: Event) -> None:
        """Take over what an event did."""
        if happens.name == "settle":
            self.settled.add(happens.args[0])
        elif happens.name == "add_instruments":
            [added] = happens.args
            self._take_over(added.venue)
            self.decimals |= added.said["decimals"]
        self.look()

    def look(self) -> None:
        """Read what the engine holds now."""
        self.book, self.market = self.engine.book, self.engine.market
        universe = self.engine.universe
        self.accounts = self.book.accounts.tolist()
        columns = self.book.positions
        self.held = {
            (account, name): quantity
            for account, name, quantity in zip(
                columns["account"].tolist(), columns["instrument"].tolist(), columns["quantity"].tolist(), strict=True
            )
        }
        self.marks = dict(zip(universe.instruments, self.market.mark_price.tolist(), strict=True))
        self.index = dict(zip(universe.index_names, self.market.index_price.tolist(), strict=True))
        self.names = [name for name in universe.instruments if name not in self.settled]

    def place(self) -> tuple[Any, Any]:
        """Return an account and an instrument, mostly one that it holds."""
        held = [place for place in self.held if place[1] not in self.settled]
        if held and self.random.random() < 0.7:
            return self.random.choice(held)
        return self.random.choice(self.accounts), self.random.choice(self.names)

    def well_off(self) -> list[Any]:
        """Return accounts that could give something away."""
        health = self.engine.report().initial_health.tolist()
        return [account for account, left in zip(self.accounts, health, strict=True) if left > 0]

    def worth_of_one(self, name: Any) -> float:
        """Return about what one contract is for, in the numeraire; never 0."""
        spec, mark = self.specs[name], self.marks[name]
        one = given(spec, "contract_multiplier", 1.0) * (1 / mark if given(spec, "inverse", False) and mark else mark)
        worth: float = abs(one) * (self.index.get(spec["settlement"]) or 1.0)
        return worth or 1.0

    def contracts(self, name: Any) -> float:
        """Return a size of some ten to ten thousand of the numeraire, signed."""
        size = min(1e9, 10 ** self.random.uniform(1, 4) / self.worth_of_one(name))
        return _at_most(8, size) * self.random.choice((1, -1))

    def amount(self, asset: Any) -> float:
        """Return an amount of an asset that is worth about as much."""
        worth = 10 ** self.random.uniform(-3, 4)
        return _at_most(self.decimals[asset], worth / (self.index.get(asset) or 1.0))

    def price_near_mark(self, name: Any) -> float | Decimal:
        """Return a price that the instrument can have; now and then one of more digits than floats have."""
        mark = self.marks[name]
        if mark == 0:
            return self.random.choice((0.0, 0.5)) if self._may_be_0(name) else 1.0
        near: float = self.random.choice((mark, rounded(mark * self.random.choice((0.5, 0.9, 0.99, 1.001, 1.1, 2.0)))))
        if self.random.random() < 0.9:
            return near
        exact = Decimal(repr(near))
        # A digit in the twentieth place, or thereabouts.
        return exact + Decimal(self.random.choice((1, -1, 7))).scaleb(exact.adjusted() - 19)

    def next_price(self, name: Any, *, index: bool = False) -> float:
        """Return where a price may go: hardly anywhere, a little, half way down, through zero."""
        random = self.random
        price = self.index[name] if index else self.marks[name]
        if not index and given(self.specs[name], "allow_negative_price", False) and random.random() < 0.3:
            through: float = rounded(price - 3.0)
            return random.choice((0.0, -0.0, -price, 1.0, -1.0, 1e-20, through))
        if price == 0 or random.random() < 0.03:
            risen: float = rounded(random.lognormvariate(3, 1))
            return random.choice((0.0, risen)) if index or self._may_be_0(name) else 1.0
        kind = random.random()
        if kind < 0.15:
            beside: float = math.nextafter(price, random.choice((math.inf, -math.inf, price)))
            return beside
        if kind < 0.3:
            moved = price * (1 + random.choice((1, -1)) * 10 ** random.uniform(-12, -5))
        elif kind < 0.6:
            moved = price * (1 + random.gauss(0, 0.01))
        else:
            moved = price * random.choice((0.5, 0.5, 0.7, 0.9, 1.1, 1.5, 1.5, 2.0, 0.1, 10.0))
        short: float = rounded(moved)
        return random.choice((moved, short))

    def _may_be_0(self, name: Any) -> bool:
        spec = self.specs[name]
        return bool(spec["kind"] == "option" or given(spec, "allow_negative_price", False))


def _at_most(decimals: int, value: float) -> float:
    """Round to a few digits that a ledger of so many decimals has, and never to nothing."""
    short: float = round(rounded(value), decimals)
    least: float = 10.0**-decimals
    return max(short, least)


def _fill(scene: Scene) -> list[Event]:
    """Open, add, reduce, close, or go through zero."""
    account, name = scene.place()
    held = scene.held.get((account, name), 0.0)
    random = scene.random
    quantity = random.choice((-held, -held, _exactly(-held / 2), -2 * held, held, scene.contracts(name)))
    fee = random.choice((0, 0, 0.0003, -0.0001, 1e-12, scene.amount(scene.specs[name]["settlement"])))
    return [event("fill", account, name, quantity or scene.contracts(name), scene.price_near_mark(name), fee)]


def _fills(scene: Scene) -> list[Event]:
    """Many at once, now and then two of one account."""
    places = [scene.place() for _ in range(scene.random.choice((1, 2, 5)))]
    places.append(scene.random.choice(places))
    quantities = [scene.contracts(name) for _, name in places]
    prices = [scene.price_near_mark(name) for _, name in places]
    return [event("fills", [place[0] for place in places], [place[1] for place in places], quantities, prices)]


def _trade(scene: Scene) -> list[Event]:
    maker, name = scene.place()
    taker = scene.random.choice(scene.accounts)
    held = scene.held.get((maker, name), 0.0)
    quantity = scene.random.choice((held, -held, 2 * held, scene.contracts(name))) or scene.contracts(name)
    fees = scene.random.choice(((0, 0), (-0.0001, 0.0005), (0.001, 1e-9)))
    return [event("trade", maker, taker, name, quantity, scene.price_near_mark(name), *fees)]


def _deposit(scene: Scene) -> list[Event]:
    asset = scene.random.choice(scene.assets)
    return [event("deposit", scene.random.choice(scene.accounts), asset, scene.amount(asset))]


def _withdraw(scene: Scene) -> list[Event]:
    asset = scene.random.choice(scene.assets)
    return [event("withdraw", scene.random.choice(scene.accounts), asset, scene.amount(asset))]


def _exchange(scene: Scene) -> list[Event]:
    sell, buy = scene.random.choice(scene.assets), scene.random.choice(scene.assets)
    sold, bought = scene.amount(sell), scene.amount(buy)
    if scene.index.get(sell) and scene.index.get(buy):
        # At a fair price, more or less.
        fair = sold * scene.index[sell] / scene.index[buy] * scene.random.choice((0.99, 1.0, 1.01))
        bought = _at_most(scene.decimals[buy], fair)
    return [event("exchange", scene.random.choice(scene.accounts), sell, buy, sold, bought, bought / 1000)]


def _transfer(scene: Scene) -> list[Event]:
    """Pass on cash, or a position in whole or in part."""
    source, name = scene.place()
    target = scene.random.choice(scene.accounts)
    if scene.random.random() < 0.8 and (well_off := scene.well_off()):
        target = scene.random.choice(well_off)
        source, name = scene.random.choice([place for place in scene.held if place[0] in well_off] or [(source, name)])
    held = abs(scene.held.get((source, name), 0.0))
    if held and name not in scene.settled and scene.random.random() < 0.6:
        return [event("transfer", source, target, name, scene.random.choice((held, abs(_exactly(held / 2)) or held)))]
    asset = scene.random.choice(scene.assets)
    return [event("transfer", source, target, asset, scene.amount(asset))]


def _exactly(contracts: float) -> float:
    """Return contracts of at most 8 decimals."""
    return round(contracts, 8)


def _order(scene: Scene) -> list[Event]:
    account, name = scene.place()
    held = scene.held.get((account, name), 0.0)
    if held and scene.random.random() < 0.3:
        quantity = scene.random.choice((-held, _exactly(-held / 2) or -held))
        return [event("place", account, name, quantity, scene.price_near_mark(name), reduce_only=True)]
    return [event("place", account, name, scene.contracts(name), scene.price_near_mark(name))]


def _change_of_order(scene: Scene) -> list[Event]:
    """Amend, cancel, or fill an open order."""
    some = scene.random.sample(scene.accounts, min(len(scene.accounts), 20))
    orders = [(account, order) for account in some for order in scene.engine.open_orders(account)]
    if not orders:
        return []
    account, order = scene.random.choice(orders)
    number, name, open_, limit = order["order_id"], order["instrument"], order["quantity"], order["price"]
    what = scene.random.random()
    if what < 0.4:
        quantity = scene.random.choice((None, _exactly(open_ / 2) or open_, _exactly(open_ / 8) or open_, 2 * open_))
        return [event("amend", number, quantity, scene.price_near_mark(name))]
    if what < 0.55:
        return [event("cancel", number)]
    quantity = scene.random.choice((open_, _exactly(open_ / 2) or open_))
    return [event("fill", account, name, quantity, limit, 0, number)]


def _tick(scene: Scene) -> list[Event]:
    name = scene.random.choice(scene.names)
    return [event("tick", name, scene.next_price(name))]


def _through_zero(scene: Scene) -> list[Event]:
    """Let the price of something that somebody holds change its sign, and perhaps come back."""
    names = [name for _, name in scene.held if name in scene.names and scene.marks[name]]
    names = [name for name in names if given(scene.specs[name], "allow_negative_price", False)]
    if not names:
        return []
    name = scene.random.choice(names)
    mark = scene.marks[name]
    there = rounded(-mark * scene.random.choice((1e-3, 0.1, 1.0)))
    return [event("tick", name, price) for price in scene.random.choice(((there,), (there, mark)))]


def _index_tick(scene: Scene) -> list[Event]:
    name = scene.random.choice([name for name in scene.index if name != scene.engine.universe.numeraire] or [None])
    if name is None or math.isnan(scene.index[name]):
        return []
    return [event("tick", index=name, price=scene.next_price(name, index=True))]


def _crash(scene: Scene) -> list[Event]:
    """Everything moves at once, some of it twice."""
    random = scene.random
    marks = random.sample(scene.names, random.randint(0, len(scene.names)))
    others = [name for name in scene.index if name != scene.engine.universe.numeraire]
    indices = [name for name in others if not math.isnan(scene.index[name]) and random.random() < 0.5]
    ids = [*marks, *marks[:1], *indices]
    prices = [scene.next_price(name) for name in [*marks, *marks[:1]]]
    prices += [scene.next_price(name, index=True) for name in indices]
    return [event("ticks", ids, prices)] if ids else []


def _tick_to_the_edge(scene: Scene) -> list[Event]:
    """Move a mark to where an account's health is 0, or right beside."""
    model = scene.engine.model
    if not scene.held or not isinstance(model, xm.CrossMargin | xm.IsolatedMargin):
        return []
    account, name = scene.random.choice(list(scene.held))
    prices = xm.liquidation_prices(scene.book, scene.market, model, account, name)
    if name in scene.settled or not prices:
        return []
    price = scene.random.choice(prices)
    for _ in range(scene.random.choice((0, 1, 1, 2))):
        price = math.nextafter(price, scene.random.choice((math.inf, -math.inf)))
    if abs(price) > MOST_PRICE:
        return []
    if abs(price) < LEAST_PRICE:
        price = 0.0
    # There and back, and there again: whoever fell must be watched for recovering.
    back = scene.marks[name]
    return [event("tick", name, at) for at in (price, back, price)][: scene.random.choice((1, 2, 3))]


def _nudge(scene: Scene) -> list[Event]:
    """Pay in, or take as a fee, what leads an account's health to 0 or right beside."""
    numeraire = scene.engine.universe.numeraire
    linear = [
        name
        for name in scene.names
        if scene.specs[name]["settlement"] == numeraire and not given(scene.specs[name], "inverse", False)
    ]
    health = scene.engine.report().health
    row = scene.random.randrange(len(health))
    least = 10.0 ** -scene.decimals[numeraire]
    missing = float(-health[row]) + scene.random.choice((0.0, least, -least, 1e-6, -1e-6, 0.01, -0.01, 1.0))
    if abs(missing) > 1e15:
        return []
    # Digits that the ledger has, of a number whose last digits are beyond it.
    amount = Decimal(repr(abs(missing))).quantize(Decimal(1).scaleb(-scene.decimals[numeraire]))
    if amount == 0:
        return []
    account = scene.accounts[row]
    if missing > 0:
        return [event("deposit", account, numeraire, amount)]
    if not linear:
        return []
    name = scene.random.choice(linear)
    return [event("fill", account, name, 1e-8, scene.price_near_mark(name), amount)]


def _funding(scene: Scene) -> list[Event]:
    """Let funding go on; now and then by as much as the mark moves, so that values stay and margins do not."""
    names = [name for name in scene.names if scene.specs[name]["kind"] != "option"]
    if not names:
        return []
    paid = dict(zip(scene.engine.universe.instruments, scene.market.cumulative_funding.tolist(), strict=True))
    name = scene.random.choice(names)
    mark, inverse = scene.marks[name], given(scene.specs[name], "inverse", False)
    one = 1 / mark if inverse else mark or 1.0
    change = one * scene.random.choice((1e-9, 0.0001, -0.003, 0.02, -0.1, 0.3))
    accrued = event("accrue", funding={name: rounded(paid[name] + change)})
    if scene.random.random() < 0.4:
        # Funding that is not rounded cancels to the last digits, not exactly.
        accrued = event("accrue", funding={name: paid[name] + change})
        moved = 1 / (1 / mark - change) if inverse and change < 1 / mark else mark + change
        if moved > 0 or given(scene.specs[name], "allow_negative_price", False):
            both = [accrued, event("tick", name, moved)]
            return both if scene.random.random() < 0.5 else both[::-1]
    return [accrued]


def _interest(scene: Scene) -> list[Event]:
    """Let interest go on, each side at its own pace."""
    market, interest = scene.market, {}
    for asset, deposit, borrow in zip(
        scene.assets, market.deposit_index.tolist(), market.borrow_index.tolist(), strict=True
    ):
        if scene.random.random() < 0.6:
            grown = [index * (1 + scene.random.choice((0.0, 1e-9, 0.0003, 0.05, 0.5))) for index in (deposit, borrow)]
            interest[asset] = (float(f"{grown[0]:.9g}"), float(f"{grown[1]:.9g}"))
    return [event("accrue", interest=interest)]


def _time(scene: Scene) -> list[Event]:
    now = scene.market.time
    if now is None:
        return []
    minutes = scene.random.choice((0, 1, 7, 60, 60 * 24))
    return [event("accrue", now + np.timedelta64(minutes, "m"))]


def _settle(scene: Scene) -> list[Event]:
    if len(scene.names) < 2:
        return []
    name = scene.random.choice(scene.names)
    return [event("settle", name, scene.price_near_mark(name))]


def _parameters(scene: Scene) -> list[Event]:
    return [OfUniverse("set_parameters", (scene.rules(scene.venue, scene.random),))]


def _addition(scene: Scene) -> list[Event]:
    """Go on with more, under other rules perhaps; and then trade some of it."""
    added = random_addition(scene.venue, scene.market, scene.random, scene.rules)
    trades = []
    for name in added.instruments["instrument"]:
        # At a price that it has not, and not more than most can afford.
        price, account = added.figures["mark_price"][name], scene.random.choice(scene.accounts)
        trades.append(event("fill", account, name, scene.random.choice((1e-8, -0.5, 1, 20)), price or 1.0))
    return [OfUniverse("add_instruments", (added,)), *trades]


def _newcomer(scene: Scene) -> list[Event]:
    number = 1_000_000 + len(scene.accounts)
    return [event("add_account", f"newcomer {number}" if isinstance(scene.accounts[0], str) else number)]


# By how often each happens.
_KINDS: dict[Callable[[Scene], list[Event]], float] = {
    _fill: 6,
    _fills: 1,
    _trade: 2,
    _deposit: 2,
    _withdraw: 2,
    _exchange: 3,
    _transfer: 4,
    _order: 4,
    _change_of_order: 4,
    _tick: 8,
    _through_zero: 2,
    _index_tick: 5,
    _crash: 3,
    _tick_to_the_edge: 5,
    _nudge: 4,
    _funding: 4,
    _interest: 2,
    _time: 1,
    _settle: 0.5,
    _parameters: 1.5,
    _newcomer: 0.5,
    _addition: 3,
}
MONEY: tuple[Callable[[Scene], list[Event]], ...] = (
    *(_fill, _fills, _trade, _deposit, _withdraw, _exchange, _transfer, _tick, _index_tick, _funding, _interest),
    *(_settle, _newcomer, _addition),
)

# What can go on for ever; interest upon interest is more than any ledger holds.
LASTING: tuple[Callable[[Scene], list[Event]], ...] = tuple(
    kind for kind in _KINDS if kind not in (_settle, _newcomer, _interest)
)
ORDERS: tuple[Callable[[Scene], list[Event]], ...] = (_order, _change_of_order)


def next_events(scene: Scene, among: Sequence[Callable[[Scene], list[Event]]] = tuple(_KINDS)) -> list[Event]:
    """Return what happens next: one event, or a few that belong together."""
    if not scene.names:
        return _deposit(scene)
    [kind] = scene.random.choices(among, [_KINDS[kind] for kind in among])
    return kind(scene) or _deposit(scene)


def shortest(events: Sequence[Event], fails: Callable[[Sequence[Event]], bool]) -> list[Event]:
    """Return a history that still fails, without the events that it can do without."""
    kept, chunk = list(events), len(events)
    while chunk > 1:
        chunk = (chunk + 1) // 2
        for start in reversed(range(0, len(kept), chunk)):
            without = kept[:start] + kept[start + chunk :]
            if fails(without):
                kept = without
    return kept


def played(happens: Event, engine: xm.Engine) -> tuple[Any, xm.XmfastError | None]:
    """Return what the engine answered, or why it refused; anything else that it raises is a failure."""
    try:
        return happens.apply(engine), None
    except xm.XmfastError as error:
        return None, error
    except BaseException as error:
        # A panic of the core is no `Exception`, so that nobody swallows it by accident.
        assert type(error).__name__ != "PanicException", f"{happens}: {error}"
        raise
