"""Who fell, who recovered and who is liquidatable: after every event just what a full evaluation says.

Histories are short and many. The engine watches prices and judges few accounts; here everybody is evaluated anew after
each event, and the sets are compared. ``XMFAST_ENGINE_HISTORIES`` says how many histories are played.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

import portfolio_building
import xmfast as xm
from building import bits_of, build, isolated_bits_of
from changes import COLLATERAL_PARAMETERS, MARGIN_PARAMETERS, tightened
from engine_additions import OF_INSTRUMENTS, Rules
from engine_histories import HISTORIES, LASTING, Event, Scene, event, next_events, played, shortest
from engine_ingredients import Ingredients, assert_all_were_met
from knife_edge import knife_edge_venue
from portfolio_building import model_of
from portfolio_venues import random_portfolio_venue
from reference_history import HistoryRules
from rule_venues import random_rule_venue
from strategies import Venue

SMALL: dict[str, Any] = {"accounts": 7, "assets": 3, "instruments": 6, "mean_positions": 3.0, "mean_balances": 2.0}
# What is liquidatable or not: an account's pool (no instrument), or one of its positions that stand alone.
Unit = tuple[Any, Any]
# Commands that can have a name.
NAMED = ("place", "amend", "cancel", "fill", "trade", "deposit", "withdraw", "transfer", "exchange", "add_account")
met: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def enough_has_happened() -> Iterator[None]:
    yield
    if met["histories"] < 500:
        return
    # A set that is always empty is easily right.
    often = {"fell": 0.5, "recovered": 0.4, "was refused": 0.2, "was told of": 0.4, "went on with more": 0.2}
    for what, share in often.items():
        played = met["histories"]
        assert met[what] >= share * played, f"in {played} histories it happened {met[what]} times that somebody {what}"
    assert_all_were_met(met, met["histories"])


def histories(share: float) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a test play its share of the histories, each from a seed of its own, which is what a failure names."""
    count = max(1, round(share * HISTORIES))
    # A seed does not shrink; the events that follow from it do, see `shortest`.
    alone = settings(max_examples=count, phases=(Phase.explicit, Phase.generate), database=None)
    return lambda test: alone(given(seed=st.integers(0, 2**32 - 1))(test))


class Watched:
    """An engine beside full evaluations."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.engine = scene, scene.engine
        assert self.engine.fallen().tolist() == [] and self.engine.recovered().tolist() == []
        self.nearness: dict[Unit, int] = {}
        self.standing = self.evaluated()
        self.ingredients = Ingredients(scene)

    def evaluated(self) -> dict[Unit, bool]:
        """Evaluate everybody; return who is liquidatable after comparing what the engine says now."""
        report: Any = self.engine.model.evaluate(self.scene.book, self.scene.market)
        mine: Any = self.engine.report()
        assert bits_of(mine) == bits_of(report)
        assert isolated_bits_of(mine) == isolated_bits_of(report)
        standing = standing_of(report)
        assert self.engine.liquidatable().tolist() == in_order(report, standing)
        accounts, instruments = self.engine.liquidatable_positions()
        alone = [unit for unit, down in standing.items() if down and unit[1] is not None]
        assert list(zip(accounts.tolist(), instruments, strict=True)) == alone
        self.nearness = {unit: sum(level <= ratio for level in self.scene.alerts) for unit, ratio in ratios(report)}
        for place, level in enumerate(self.scene.alerts):
            near = {unit: reached > place for unit, reached in self.nearness.items()}
            assert self.engine.alerted(level).tolist() == in_order(report, near)
        return standing

    def step(self, happens: Event) -> None:
        """Let something happen, and compare who fell and who recovered."""
        before, market, book = self.engine.state_hash(), self.scene.market, self.scene.book
        returned, refused = played(happens, self.engine)
        if refused is not None:
            met["was refused"] += 1
            self.ingredients.refused(refused)
            assert self.engine.state_hash() == before, f"refused, and yet something changed: {refused}"
            assert_is_impossible(happens, refused, self.engine.model, book, market)
            return
        self.scene.happened(happens)
        if happens.name == "add_instruments":
            met["went on with more"] += 1
            assert_keeps_figures(market, self.scene.market)
        if "client_id" in happens.options:
            self.comes_again(happens)
        before_near, was = self.nearness, self.standing
        self.standing = self.evaluated()
        fallen = {unit[0] for unit, down in self.standing.items() if down and not was.get(unit, False)}
        # A position that is closed is liquidatable no more.
        recovered = {unit[0] for unit, down in was.items() if down and not self.standing.get(unit, False)}
        for said, right in ((self.engine.fallen().tolist(), fallen), (self.engine.recovered().tolist(), recovered)):
            assert len(said) == len(set(said)) and set(said) == right, (said, right)
        told = dict(zip(*(column.tolist() for column in self.engine.alerts()), strict=True))
        came = nearer(before_near, self.nearness)
        assert told == {account: self.scene.alerts[reached - 1] for account, reached in came.items()}
        met["was told of"] += bool(came)
        if happens.name in ("tick", "ticks", "accrue", "settle", "set_parameters", "add_instruments"):
            assert sorted(returned.tolist()) == sorted(fallen)
        met["fell"] += bool(fallen)
        met["recovered"] += bool(recovered)
        self.ingredients.happened(happens, (unit for unit, down in self.standing.items() if down and not was.get(unit)))
        if came:
            self.ingredients.seen.add("an alert level was reached")

    def comes_again(self, happens: Event) -> None:
        """Let a command come again under its name, which must change nothing."""
        before = self.engine.state_hash()
        assert played(happens, self.engine)[1] is None and self.engine.state_hash() == before
        self.ingredients.seen.add("a command that came again")


def assert_keeps_figures(before: xm.Market, after: xm.Market) -> None:
    """Assert that whatever had a figure has it still, whatever was said of it."""
    assert after.time == before.time
    for name in (*OF_INSTRUMENTS, "deposit_index", "borrow_index", "discount_rate", "index_price"):
        ids, ids_after = (
            market.universe.index_names
            if name == "index_price"
            else (market.universe.instruments if name in OF_INSTRUMENTS else market.universe.assets)
            for market in (before, after)
        )
        known = dict(zip(ids_after, getattr(after, name).tolist(), strict=True))
        for id, figure in zip(ids, getattr(before, name).tolist(), strict=True):
            assert math.isnan(figure) or known[id] == figure, (name, id)


def standing_of(report: Any) -> dict[Unit, bool]:
    """Return what is liquidatable and what is not, by account and instrument."""
    isolated = report.isolated
    pools = zip(report.accounts.tolist(), report.liquidatable.tolist(), strict=True)
    alone = zip(isolated.accounts.tolist(), isolated.instruments.tolist(), isolated.liquidatable.tolist(), strict=True)
    return {(account, None): down for account, down in pools} | {(account, at): down for account, at, down in alone}


def ratios(report: Any) -> Iterator[tuple[Unit, float]]:
    """Return the margin ratios of all that stands for itself."""
    isolated = report.isolated
    pools = ((account, None) for account in report.accounts.tolist())
    alone = zip(isolated.accounts.tolist(), isolated.instruments.tolist(), strict=True)
    yield from zip(pools, report.margin_ratio.tolist(), strict=True)
    yield from zip(alone, isolated.margin_ratio.tolist(), strict=True)


def nearer(before: dict[Unit, int], now: dict[Unit, int]) -> dict[Any, int]:
    """Return the alert levels that accounts have reached and had not, by account the highest."""
    came: dict[Any, int] = {}
    for unit, reached in now.items():
        if reached > before.get(unit, 0):
            came[unit[0]] = max(reached, came.get(unit[0], 0))
    return came


def in_order(report: Any, standing: dict[Unit, bool]) -> list[Any]:
    down = {unit[0] for unit, is_down in standing.items() if is_down}
    return [account for account in report.accounts.tolist() if account in down]


def assert_is_impossible(happens: Event, refused: Exception, model: Any, book: xm.Book, market: xm.Market) -> None:
    """Assert of prices that were refused that nobody could be evaluated with them."""
    if happens.name not in ("tick", "ticks", "accrue"):
        return
    try:
        model.evaluate(book, moved_market(happens, book.universe, market))
    except xm.XmfastError:
        return
    raise AssertionError(f"refused, although everybody can be evaluated: {refused}")


def moved_market(happens: Event, universe: xm.Universe, market: xm.Market) -> xm.Market:
    """Return what a price event makes of a market."""
    options = dict(happens.options)
    if happens.name == "accrue":
        interest = options.get("interest", {})
        return market.with_prices(
            time=happens.args[0] if happens.args else market.time,
            cumulative_funding=options.get("funding", {}),
            deposit_index={name: pair[0] for name, pair in interest.items()},
            borrow_index={name: pair[1] for name, pair in interest.items()},
        )
    if happens.name == "ticks":
        prices = dict(zip(*happens.args, strict=True))
    else:
        prices = dict([happens.args]) if happens.args else {options["index"]: options["price"]}
    marks = {name: price for name, price in prices.items() if name in universe.instruments}
    rest = {name: price for name, price in prices.items() if name not in marks}
    return market.with_prices(index_price=rest, mark_price=marks, time=market.time)


def watch(seed: int, opened: Callable[[int], Scene], *, groups: int, choose: Any = next_events) -> None:
    """Play a history; a failure says which of its events are to blame.

    Reports share what is packed of blocks that did not change. So in some histories an engine that nobody looks at goes
    through the same, up to some step, and must then be the same to the bit.
    """
    scene, events = opened(seed), []
    stop = scene.random.randrange(groups) if scene.random.random() < 0.2 else None
    try:
        watched = Watched(scene)
        for group in range(groups):
            for happens in choose(scene):
                events.append(named(happens, scene))
                watched.step(events[-1])
            if group == stop:
                assert_replays(opened(seed).engine, events, scene.engine)
                watched.ingredients.seen.add("what was replayed without looking")
    except AssertionError as error:
        needed = shortest(events, lambda some: fails(opened(seed), some))
        lines = "\n".join(str(happens) for happens in needed)
        raise AssertionError(f"seed {seed}: {error}\n{lines}") from error
    met["histories"] += 1
    for what in watched.ingredients.seen:
        met[what] += 1


def named(happens: Event, scene: Scene) -> Event:
    """Give some commands a name of their own."""
    if happens.name not in NAMED or scene.random.random() > 0.05:
        return happens
    return replace(happens, options={**happens.options, "client_id": f"command {scene.random.random()}"})


def assert_replays(engine: xm.Engine, events: Sequence[Event], looked_at: xm.Engine) -> None:
    """Assert that an engine becomes what another one is, which has been looked at after every event."""
    for happens in events:
        played(happens, engine)
    # Whoever changed sides was asked for there.
    engine.fallen(), engine.recovered(), engine.alerts()
    assert engine.state_hash() == looked_at.state_hash()
    mine: Any
    mine, other = engine.report(), looked_at.report()
    assert bits_of(mine) == bits_of(other) and isolated_bits_of(mine) == isolated_bits_of(other)


def fails(scene: Scene, events: Sequence[Event]) -> bool:
    try:
        watched = Watched(scene)
        for happens in events:
            watched.step(happens)
    except AssertionError:
        return True
    return False


def opened(venue: Venue, inputs: Any, seed: int, rules: Callable[[Venue, Random], Rules]) -> Scene:
    """Open an engine with scales and permissions that follow from the seed, and look at it."""
    model, book, market = inputs
    random = Random(f"engine {seed}")
    decimals = {asset: random.choice((2, 6, 8, 8, 9)) for asset in book.universe.assets}
    options: dict[str, Any] = {
        "borrowable": [asset for asset in book.universe.assets if random.random() < 0.5],
        "withdrawable_gain_share": random.choice((0.0, 0.5, 1.0)),
        "alert_levels": random.choice(((), (0.4, 0.8, 0.95))),
    }
    options |= limits(book, random)
    try:
        engine = xm.Engine(book, market, model, decimals=decimals, **options)
    except xm.InputError:
        # So much is posted of something that is worth so little that the ledger would need more than 64 bits.
        decimals = dict.fromkeys(decimals, 2)
        engine = xm.Engine(book, market, model, decimals=decimals, **options)
    scene = Scene(engine, random, venue, rules=rules, decimals=decimals)
    scene.alerts = options["alert_levels"]
    return scene


def limits(book: xm.Book, random: Random) -> dict[str, Any]:
    """Return limits of some instruments, near what is held of them."""
    held: dict[Any, list[float]] = {name: [] for name in book.universe.instruments}
    for name, quantity in zip(book.positions["instrument"], book.positions["quantity"].tolist(), strict=True):
        held[name].append(quantity)
    largest = {name: max(map(abs, quantities), default=0.0) for name, quantities in held.items()}
    longs = {name: sum(max(quantity, 0.0) for quantity in quantities) for name, quantities in held.items()}

    def some(most: dict[Any, float]) -> dict[Any, float]:
        near = {name: round(size * random.choice((0.5, 1.0, 1.5)), 8) for name, size in most.items()}
        return {name: size for name, size in near.items() if size < 1e15 and random.random() < 0.3}

    return {"position_limit": some(largest), "open_interest_limit": some(longs)}


def linear_rules(venue: Venue, random: Random) -> Rules:
    """Return what makes other parameters: stricter ones, those of the beginning, or those of the other model."""
    changed = venue
    for what in random.sample((*COLLATERAL_PARAMETERS, *MARGIN_PARAMETERS[:-1]), random.choice((0, 1, 3))):
        changed = tightened(changed, what, random)
    cross = (venue.mode == "cross") == (random.random() < 0.8)
    kind = xm.CrossMargin if cross else xm.IsolatedMargin
    return lambda universe: kind.from_frames(universe, changed.collateral, changed.margin)


def open_linear(seed: int, mode: str) -> Scene:
    venue = random_rule_venue(seed, mode=mode, **SMALL)
    return opened(venue, build(venue), seed, linear_rules)


def open_portfolio(seed: int) -> Scene:
    priced = random_portfolio_venue(seed, **SMALL)

    def rules(venue: Venue, random: Random) -> Rules:
        if random.random() < 0.3:
            return linear_rules(venue, random)
        factor, floor = random.choice((1.0, 1.5, 3.0)), random.choice((0.0, 30.0, 1000.0))
        terms: Any = replace(priced.terms, initial_factor=factor, margin_floor=floor)
        if isinstance(terms, HistoryRules):
            terms = replace(terms, confidence=random.choice((0.9, 0.99)))
        return lambda universe: model_of(universe, venue.collateral, terms)

    return opened(priced.venue, portfolio_building.build(priced), seed, rules)


@histories(0.6)
# An isolated position without margin whose ratio is its rate, an alert level, at every price but 0.
@example(seed=114325)
def test_cross_margin(seed: int) -> None:
    watch(seed, lambda seed: open_linear(seed, "cross"), groups=12)


@histories(0.15)
def test_isolated_margin(seed: int) -> None:
    watch(seed, lambda seed: open_linear(seed, "isolated"), groups=10)


@histories(0.2)
def test_scenario_models(seed: int) -> None:
    watch(seed, open_portfolio, groups=8)


def test_long_histories() -> None:
    """What was watched before and is not any more piles up, until it is thrown out."""
    for seed in range(max(1, HISTORIES // 1000)):
        watch(
            seed, lambda seed: open_linear(seed, "cross"), groups=500, choose=lambda scene: next_events(scene, LASTING)
        )


# At the edge

# As fine as the ledger of the edge is, and as near to 0 as health is brought.
FINEST = 12


def open_at_the_edge(seed: int) -> Scene:
    """Open an engine whose every price and rate is a short decimal, so that health can be brought to 0 exactly."""
    venue, _ = knife_edge_venue(seed, accounts=6)
    # Of so few accounts perhaps none has any of one kind.
    empty: dict[str, Any] = {name: None for name in ("balances", "positions", "orders") if not getattr(venue, name)}
    model, book, market = build(replace(venue, **empty))
    engine = xm.Engine(book, market, model, decimals=FINEST)
    return Scene(engine, Random(f"edge {seed}"), venue, rules=linear_rules, decimals=FINEST)


def edge_events(scene: Scene) -> Iterator[Event]:
    """Bring somebody to 0, or move a price by a few units in its last place."""
    if scene.random.random() < 0.3:
        yield from to_the_edge(scene, scene.random.choice(scene.accounts))
        return
    if scene.random.random() < 0.2:
        # What changes little or nothing of health: whoever is watched may stay so, but not a digit further off.
        yield from slight_events(scene)
    held = [name for _, name in scene.held]
    if held and scene.random.random() < 0.7:
        name, price = scene.random.choice(held), 0.0
        price = scene.marks[name]
        moved = by_last_units(price, scene.random)
        yield event("tick", name, moved)
        yield event("tick", name, scene.random.choice((price, by_last_units(price, scene.random), moved)))
        return
    name = scene.random.choice([name for name in scene.index if name != "USD"])
    price = scene.index[name]
    yield event("tick", index=name, price=by_last_units(price, scene.random))
    yield event("tick", index=name, price=scene.random.choice((price, by_last_units(price, scene.random))))


def slight_events(scene: Scene) -> Iterator[Event]:
    random = scene.random
    account, name = scene.place()
    price = scene.marks[name]
    yield random.choice(
        (
            event("place", account, name, random.choice((1e-8, -1e-8, 1.5, -2.0)), price),
            event("deposit", account, random.choice(scene.assets), Decimal(1).scaleb(-FINEST)),
            event("fill", account, name, random.choice((1e-8, -1e-8)), price),
            event("fill", account, name, 1e-8, price, Decimal(1).scaleb(-FINEST)),
            event("tick", name, price),
        )
    )
    orders = scene.engine.open_orders(account)
    if orders and random.random() < 0.5:
        yield event("cancel", random.choice(orders)["order_id"])


def by_last_units(price: float, random: Random) -> float:
    towards = random.choice((math.inf, -math.inf))
    for _ in range(random.choice((1, 1, 2, 5))):
        price = math.nextafter(price, towards)
    return price


def to_the_edge(scene: Scene, account: Any) -> Iterator[Event]:
    """Take more than there is as a fee, and pay in what is missing, to the nearest unit or one beside it."""
    spare = _health(scene, account)
    if spare > 0:
        # Dollars count one to one, owned or owed.
        fee = Decimal(math.ceil((spare + Fraction(1, 10**6)) * 10**FINEST)).scaleb(-FINEST)
        yield event("fill", account, "ALT-PERP", 1e-8, scene.marks["ALT-PERP"], fee)
    units = round(-_health(scene, account) * 10**FINEST) + scene.random.choice((-1, 0, 0, 1))
    if units > 0:
        yield event("deposit", account, "USD", Decimal(units).scaleb(-FINEST))
    met["was brought to the edge"] += abs(_health(scene, account)) <= Fraction(2, 10**FINEST)


def _health(scene: Scene, account: Any) -> Fraction:
    return scene.engine.report().explain(account).total.health


@histories(0.04)
def test_at_the_edge(seed: int) -> None:
    """Whoever is within a millionth of a millionth of 0 falls and rises by the last digit of a price."""
    watch(seed, open_at_the_edge, groups=15, choose=edge_events)


# Sizes


def test_accounts_of_many_positions() -> None:
    """More legs than errors are counted for at first."""
    for seed in range(max(1, HISTORIES // 500)):
        watch(seed, open_wide, groups=15)


def open_wide(seed: int) -> Scene:
    venue = random_rule_venue(seed, accounts=5, assets=4, instruments=320, mean_positions=40.0, widest_account=300)
    return opened(venue, build(venue), seed, linear_rules)


def test_accounts_of_many_blocks() -> None:
    """Blocks in which nothing happens are kept from one book to the next."""
    for seed in range(max(1, HISTORIES // 1000)):
        watch(seed, open_large, groups=25)


def open_large(seed: int) -> Scene:
    venue = random_rule_venue(seed, accounts=9000, assets=4, instruments=12, mean_positions=2.0)
    return opened(venue, build(venue), seed, linear_rules)
