"""The engine among threads and tasks, snapshots that do not change, and replays that end in the same state."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

import xmfast as xm
from building import bits_of, build, isolated_bits_of, same_rules, settings
from engine_histories import Event, Scene, next_events, played
from rule_venues import random_rule_venue
from small_engine import small_engine
from small_venue import FLAT
from strategies import Venue, random_venue

TESTS = str(Path(__file__).parent)
D = Decimal


def open_engine(venue: Venue, **said: Any) -> xm.Engine:
    model, book, market = build(venue)
    return xm.Engine(book, market, model, **said)


def busy_venue(seed: int = 3, accounts: int = 300) -> Venue:
    return random_rule_venue(seed, accounts=accounts, assets=4, instruments=12)


def recorded(venue: Venue, count: int, seed: int = 1) -> list[Event]:
    """Return events that happen to a venue; those that are refused are among them."""
    model, book, market = build(venue)
    engine = xm.Engine(book, market, model, borrowable=book.universe.assets)
    scene = Scene(engine, Random(seed), venue, rules=same_rules)
    events: list[Event] = []
    while len(events) < count:
        for happens in next_events(scene):
            events.append(happens)
            _, refused = played(happens, engine)
            if refused is None:
                scene.happened(happens)
    return events


def replayed(venue: Venue, events: list[Event]) -> xm.Engine:
    model, book, market = build(venue)
    engine = xm.Engine(book, market, model, borrowable=book.universe.assets)
    for happens in events:
        played(happens, engine)
    return engine


def everything(engine: xm.Engine) -> tuple[Any, ...]:
    """Return all that an engine says of itself."""
    report: Any = engine.report()
    positions = engine.liquidatable_positions()
    return (
        bits_of(report),
        isolated_bits_of(report),
        engine.ledger(),
        engine.liquidatable().tolist(),
        (positions[0].tolist(), positions[1]),
        [engine.open_orders(account) for account in engine.book.accounts.tolist()],
        engine.state_hash(),
    )


# Replay


def test_the_same_events_give_the_same_state() -> None:
    venue = busy_venue()
    events = recorded(venue, 120)
    first, second = replayed(venue, events), replayed(venue, events)
    assert everything(first) == everything(second)
    assert first.fallen().tolist() == second.fallen().tolist()
    assert first.recovered().tolist() == second.recovered().tolist()


def test_threads_and_instruction_sets_change_nothing() -> None:
    venue = busy_venue(accounts=9000)
    events = recorded(venue, 60)
    states = []
    for options in ({"threads": 1}, {"threads": 2}, {"simd": "scalar"}):
        with settings(**options):
            states.append(everything(replayed(venue, events)))
    assert states[0] == states[1] == states[2]


def test_another_process_ends_in_the_same_state() -> None:
    code = """
        from test_engine_threads import busy_venue, recorded, replayed
        venue = busy_venue(accounts=20)
        print(replayed(venue, recorded(venue, 30)).state_hash())
    """
    hashes = {
        subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
            cwd=TESTS,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(hashes) == 1


def test_asking_changes_nothing() -> None:
    """Whoever reads between two events sees them, and no more."""
    venue = busy_venue(accounts=40)
    events = recorded(venue, 80)
    quiet = replayed(venue, events)
    model, book, market = build(venue)
    asked = xm.Engine(book, market, model, borrowable=book.universe.assets)
    for happens in events:
        played(happens, asked)
        for ask in (asked.report, asked.ledger, asked.liquidatable, asked.metrics, asked.liquidatable_positions):
            ask()
        assert asked.nbytes["ledger"] > 0 and len(asked) == len(asked.book.accounts) and repr(asked)
        asked.open_orders(asked.book.accounts[0])
        assert asked.market.universe is asked.universe
        assert asked.state_hash() == asked.state_hash()
    assert everything(asked) == everything(quiet)


def test_a_book_that_is_opened_again_is_the_same() -> None:
    """Where nothing has accrued, nothing is left to round."""
    venue = replace(random_venue(5, accounts=200, assets=4, instruments=10), deposit_index={}, borrow_index={})
    engine = open_engine(venue, decimals=6)
    again = xm.Engine(engine.book, engine.market, engine.model, decimals=6)
    assert bits_of(again.report()) == bits_of(engine.report()) and again.ledger() == engine.ledger()
    assert set(again.residue.values()) == {0.0}
    assert again.state_hash() == engine.state_hash()


# Snapshots


def test_a_book_that_was_read_does_not_change() -> None:
    venue = busy_venue(accounts=5000)
    model, book, market = build(venue)
    engine = xm.Engine(book, market, model, borrowable=book.universe.assets)
    scene = Scene(engine, Random(4), venue, rules=same_rules)
    kept: list[tuple[xm.Book, xm.Market, Any, Any, Any]] = []
    for number in range(60):
        for happens in next_events(scene):
            _, refused = played(happens, engine)
            if refused is None:
                scene.happened(happens)
        if number % 6 == 0:
            report: Any = engine.report()
            kept.append((engine.book, engine.market, engine.model, bits_of(report), isolated_bits_of(report)))
    assert len({hash(tuple(sorted(bits.items()))) for _, _, _, bits, _ in kept}) > 5
    # What was read before the universe grew is of the one that it was read in.
    assert len({id(model.universe) for _, _, model, _, _ in kept}) > 1
    for book, market, model, bits, isolated in kept:
        again: Any = model.evaluate(book, market)
        assert bits_of(again) == bits and isolated_bits_of(again) == isolated


def test_what_was_opened_with_does_not_change() -> None:
    venue = busy_venue(accounts=50)
    model, book, market = build(venue)
    before = bits_of(model.evaluate(book, market))
    events = recorded(venue, 60)
    engine = xm.Engine(book, market, model)
    for happens in events:
        played(happens, engine)
    assert bits_of(model.evaluate(book, market)) == before


# Threads


def in_threads(*works: Callable[[], object]) -> None:
    """Run all to the end, and raise what one of them raised."""
    raised: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a thread waits for ever"
    if raised:
        raise raised[0]


def ending(work: Callable[[], object], stop: threading.Event) -> Callable[[], object]:
    """Return the work, after which the others may stop, however it ended."""

    def then_stop() -> None:
        try:
            work()
        finally:
            stop.set()

    return then_stop


def test_reports_are_of_one_moment_while_another_thread_goes_on() -> None:
    """Every trade moves money between two accounts and both prices together: no report may see half of it."""
    accounts = [f"account {number}" for number in range(6000)]
    engine = small_engine(
        balances=[(account, "USD", 1_000_000) for account in accounts],
        positions=[(account, "PERP", (-1) ** number, 100) for number, account in enumerate(accounts)],
        accounts=accounts,
    )
    stop = threading.Event()
    seen: set[float] = set()

    def write() -> None:
        random = Random(1)
        step = 0
        while not stop.is_set():
            step += 1
            maker, taker = random.sample(accounts, 2)
            engine.trade(maker, taker, "PERP", random.choice((1, 2)), 100 + step % 3)
            engine.transfer(maker, taker, "USD", 1)
            engine.ticks(["PERP", "OIL"], [100 + step % 7, -float(step % 7)])

    def read() -> None:
        for _ in range(200):
            report = engine.report()
            # Longs and shorts add up to nothing, at one price.
            assert sum(report.equity.tolist()) == pytest.approx(1_000_000 * len(accounts), abs=1e-5)
            market = engine.market
            assert market.mark_price[0] - 100 == -market.mark_price[4]
            seen.add(float(market.mark_price[0]))
            book = engine.book
            once, twice = engine.model.evaluate(book, market), engine.model.evaluate(book, market)
            assert bits_of(once) == bits_of(twice)

    in_threads(write, ending(read, stop))
    assert len(seen) > 1
    assert engine.ledger()["USD"].is_conserved


def test_writers_of_many_threads_wait_for_each_other() -> None:
    engine = small_engine(balances=[("ann", "USD", 100_000), ("bob", "USD", 100_000)])

    def work(account: str, price: float) -> Callable[[], None]:
        def loop() -> None:
            for _ in range(200):
                engine.deposit(account, "USD", 1)
                number = engine.place(account, "PERP", 1, price)
                engine.fill(account, "PERP", 1, price, order_id=number)
                engine.fill(account, "PERP", -1, price)
                engine.check_orders([account] * 50, ["PERP"] * 50, [1.0] * 50, [price] * 50)
                engine.tick("PERP", price)
                engine.fills([account], ["OIL"], [0.001], [-5.0])
                engine.fills([account], ["OIL"], [-0.001], [-5.0])

        return loop

    in_threads(work("ann", 101.0), work("bob", 99.0), work("ann", 100.0), work("bob", 100.0))
    assert engine.book.position_count == 0 and engine.book.order_count == 0
    assert engine.ledger()["USD"].deposits == 200_800 and engine.ledger()["USD"].accounts == 200_800
    assert engine.metrics().events["deposit"].count == 800


def test_parameters_change_while_others_read() -> None:
    engine = small_engine(
        balances=[("ann", "USD", 100)],
        positions=[("ann", "PERP", 10, 100)],
    )
    strict = xm.CrossMargin.from_frames(
        engine.universe, margin=FLAT | {"initial_rate": [0.5] * 5, "maintenance_rate": [0.4] * 5}
    )
    lax, stop = engine.model, threading.Event()

    def write() -> None:
        for _ in range(300):
            assert engine.set_parameters(strict).tolist() == ["ann"]
            assert engine.set_parameters(lax).tolist() == []

    def read() -> None:
        while not stop.is_set():
            assert engine.report().initial_margin[0] in (100, 500)
            assert engine.model in (strict, lax)
            assert engine.check_order("ann", "PERP", 1, 100).initial_margin in (110, 550)

    in_threads(ending(write, stop), read, read)
    assert engine.recovered().tolist() == ["ann"]


def strict_model(engine: xm.Engine, rate: float) -> xm.CrossMargin:
    return xm.CrossMargin.from_frames(
        engine.universe, margin=FLAT | {"initial_rate": [rate] * 5, "maintenance_rate": [rate] * 5}
    )


@pytest.fixture
def switching() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_a_report_is_by_the_rules_of_its_moment(switching: None) -> None:
    """There is no moment at which the price is low and the rules are lax."""
    engine = small_engine(balances=[("ann", "USD", 10_000)], positions=[("ann", "PERP", 10, 100)])
    strict, lax, stop = strict_model(engine, 0.5), engine.model, threading.Event()

    def write() -> None:
        while not stop.is_set():
            engine.set_parameters(strict)
            engine.tick("PERP", 90)
            engine.tick("PERP", 100)
            engine.set_parameters(lax)

    def read() -> None:
        for _ in range(1500):
            assert engine.report().initial_margin[0] in (100, 500, 450)

    in_threads(write, ending(read, stop))


def test_whose_parameters_came_last_is_no_secret(switching: None) -> None:
    """What the engine shows as its model is what it judges by, whoever set it."""
    engine = small_engine(balances=[("ann", "USD", 10_000)], positions=[("ann", "PERP", 10, 100)])
    models = [strict_model(engine, rate) for rate in (0.2, 0.3, 0.4)]
    for _ in range(200):
        in_threads(*(partial(engine.set_parameters, model) for model in models for _ in range(3)))
        margin = engine.report().initial_margin[0]
        assert engine.check_order("ann", "CALL", 1, 1500).initial_margin == margin


def test_events_and_the_queues_of_who_fell_lose_nobody() -> None:
    accounts = [f"account {number}" for number in range(300)]
    engine = small_engine(
        balances=[(account, "USD", 10 + number) for number, account in enumerate(accounts)],
        positions=[(account, "PERP", 1, 100) for account in accounts],
        accounts=accounts,
    )
    stop, fallen = threading.Event(), []

    def write() -> None:
        for price in range(100, 0, -1):
            engine.tick("PERP", price)

    def read() -> None:
        while not stop.is_set():
            fallen.extend(engine.fallen().tolist())

    in_threads(ending(write, stop), read, read)
    fallen.extend(engine.fallen().tolist())
    assert len(fallen) == len(set(fallen)) and sorted(fallen) == sorted(engine.liquidatable().tolist())


def test_an_event_loop_goes_on() -> None:
    """Bulk work in a thread of its own, single calls between: neither waits for ever for the other."""
    engine = open_engine(random_venue(8, accounts=20_000))
    name = engine.universe.instruments[0]
    price = float(engine.market.mark_price[0])

    async def ticker() -> int:
        count = 0
        for step in range(200):
            engine.tick(name, price * (1 + step % 5 / 100))
            count += 1
            await asyncio.sleep(0)
        return count

    async def reporter() -> list[int]:
        return [len(await asyncio.to_thread(engine.report)) for _ in range(10)]

    async def both() -> tuple[int, list[int]]:
        return await asyncio.gather(ticker(), reporter())

    ticks, lengths = asyncio.run(both())
    assert ticks == 200 and lengths == [20_000] * 10
    assert engine.metrics().events["tick"].count == 200


@pytest.mark.skipif(os.name != "posix", reason="forks as POSIX has them")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_goes_its_own_way() -> None:
    venue = busy_venue(accounts=5000)
    engine = open_engine(venue)
    before, name = everything(engine), engine.universe.instruments[0]
    price = float(engine.market.mark_price[0])
    child = os.fork()
    if child == 0:
        status = 1
        try:
            engine.tick(name, price * 2)
            status = 0 if everything(engine)[0] != before[0] else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert everything(engine) == before
