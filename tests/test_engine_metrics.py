"""What the engine counts, and what a scraper of metrics reads of it."""

from __future__ import annotations

import re

import pytest

import xmfast as xm
from small_engine import small_engine
from standing import refused


def busy_engine() -> xm.Engine:
    engine = small_engine(
        balances=[("ann", "USD", 1000), ("bob", "USD", 1000)],
        positions=[("ann", "PERP", 1, 100), ("bob", "PERP", -1, 100)],
    )
    for price in (101, 99, 100):
        engine.tick("PERP", price)
    engine.ticks(["PERP", "BTC"], [100, 50_001])
    engine.deposit("ann", "USD", 1)
    engine.cancel(engine.place("ann", "PERP", 1, 99))
    engine.fill("ann", "PERP", 1, 99)
    engine.fills(["ann", "bob"], ["PERP", "PERP"], [1, -1], [100, 100])
    return engine


def test_events_are_counted_by_kind() -> None:
    engine = busy_engine()
    events = engine.metrics().events
    counts = {name: latency.count for name, latency in events.items()}
    assert counts == {"tick": 4, "deposit": 1, "place": 1, "cancel": 1, "fill": 3}
    for latency in events.values():
        assert sum(latency.buckets) == latency.count
        assert latency.mean > 0 and latency.p50 <= latency.p99 <= latency.p999 <= latency.max
        assert latency.max <= latency.mean * latency.count * 1.0001 + 1
    assert engine.metrics().max == max(latency.max for latency in events.values())
    nothing = small_engine().metrics()
    assert nothing.events == {} and nothing.ticks == nothing.max == nothing.checks == 0


def test_what_ticks_wake_is_counted_apart_from_what_else_is_judged() -> None:
    engine = small_engine(
        balances=[("ann", "USD", 11), ("bob", "USD", 1000)],
        positions=[("ann", "PERP", 1, 100), ("bob", "PERP", -1, 100)],
    )
    engine.deposit("ann", "USD", 1)
    engine.trade("ann", "bob", "PERP", 1, 100)
    engine.fills(["ann", "bob"], ["PERP"] * 2, [1, -1], [100] * 2)
    metrics = engine.metrics()
    assert (metrics.rejudged, metrics.woken, metrics.ticks) == (1 + 2 + 2, 0, 0)
    engine.set_parameters(engine.model)
    metrics = engine.metrics()
    assert (metrics.rejudged, metrics.woken, metrics.ticks) == (5 + 2, 0, 0)
    # Down to where ann falls, which nobody else is near to.
    assert engine.tick("PERP", 92).tolist() == ["ann"]
    engine.ticks(["PERP", "BTC"], [92, 50_000])
    metrics = engine.metrics()
    assert metrics.ticks == 2 and 1 <= metrics.woken <= 4 and metrics.rejudged == 7 + metrics.woken


def test_a_model_without_wake_prices_wakes_everybody() -> None:
    engine = small_engine(positions=[("ann", "PERP", 1, 100)], alone=True)
    engine.tick("PERP", 101)
    engine.tick("PERP", 99)
    assert engine.metrics().woken == engine.metrics().rejudged == 4


def test_checks_and_refusals_are_counted() -> None:
    for alone in (False, True):
        engine = small_engine(balances=[("ann", "USD", 100)], alone=alone)
        assert engine.check_order("ann", "PERP", 1, 100) and not engine.check_order("ann", "PERP", 11, 100)
        engine.check_orders(["ann"] * 3, ["PERP"] * 3, [1, 11, 1], [100] * 3)
        number = engine.place("ann", "PERP", 1, 100)
        engine.amend(number, quantity=2)
        assert engine.metrics().checks == 7 and engine.metrics().refused == 0
        refused(lambda: engine.place("ann", "PERP", 11, 100), xm.OrderRefusedError)  # noqa: B023
        refused(lambda: engine.amend(number, quantity=11), xm.OrderRefusedError)  # noqa: B023
        assert engine.metrics().checks == 9
        refused(lambda: engine.withdraw("ann", "USD", 10**6), xm.RefusedError)  # noqa: B023
        refused(lambda: engine.tick("PERP", -1), xm.InputError)  # noqa: B023
        refused(lambda: engine.fills(["ann"] * 2, ["PERP"] * 2, [1, 1], [100, -1]), xm.InputError)  # noqa: B023
        assert engine.metrics().refused == 5
        assert {name: latency.count for name, latency in engine.metrics().events.items()} == {"place": 1, "amend": 1}


def test_what_is_refused_or_only_asked_does_not_count() -> None:
    engine = busy_engine()
    before = engine.metrics().events
    refused(lambda: engine.deposit("ann", "USD", -1), xm.InputError)
    refused(lambda: engine.withdraw("ann", "USD", 10**9), xm.RefusedError)
    refused(lambda: engine.fills(["ann", "ann"], ["PERP", "PERP"], [1, 1], [100, -1]), xm.InputError)
    engine.check_order("ann", "PERP", 1, 100)
    engine.report()
    after = engine.metrics().events
    assert {name: latency.count for name, latency in after.items()} == {
        name: latency.count for name, latency in before.items()
    }


def test_few_are_judged_where_nobody_is_near() -> None:
    accounts = [f"account {number}" for number in range(500)]
    engine = small_engine(
        balances=[(account, "USD", 10_000) for account in accounts],
        positions=[(account, "PERP", 1, 100) for account in accounts],
        accounts=accounts,
    )
    for step in range(200):
        engine.tick("PERP", 100 + step % 3)
    # A full evaluation would have judged a hundred thousand.
    assert engine.metrics().woken < 2_000


def test_funding_judges_few_until_it_has_used_up_what_accounts_have() -> None:
    accounts = [f"account {number}" for number in range(500)]
    engine = small_engine(
        balances=[(account, "USD", 20 + number) for number, account in enumerate(accounts)],
        positions=[(account, "PERP", 1, 100) for account in accounts],
        accounts=accounts,
    )
    # Longs pay a cent again and again: at a mark of 100 and 5 % margin the first one has 15 to lose.
    fallen = []
    for step in range(1, 2_001):
        fallen += [(step, account) for account in engine.accrue(funding={"PERP": step / 100}).tolist()]
    assert fallen == [(1_501 + 100 * number, account) for number, account in enumerate(accounts[:5])]
    # To judge everybody each time would have been a million.
    assert 5 <= engine.metrics().rejudged < 50_000


def test_prometheus_reads_it() -> None:
    text = busy_engine().metrics().prometheus()
    assert text.endswith("\n")
    sample = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.eE+-]+')
    names, buckets, ends = set(), dict[str, list[float]](), dict[str, list[str]]()
    for line in text.splitlines():
        if line.startswith("# "):
            assert re.fullmatch(r"# (HELP|TYPE) [a-z_]+ .+", line), line
            continue
        assert sample.fullmatch(line), line
        names.add(line.split("{")[0].split(" ")[0])
        if "_bucket" in line:
            event = line.split('event="')[1].split('"')[0]
            buckets.setdefault(event, []).append(float(line.rsplit(" ", 1)[1]))
            ends.setdefault(event, []).append(line.split('le="')[1].split('"')[0])
    assert names == {
        *(f"xmfast_{name}_total" for name in ("ticks", "woken", "rejudged", "checks", "refused")),
        "xmfast_event_max_seconds",
        "xmfast_event_seconds_bucket",
        "xmfast_event_seconds_sum",
        "xmfast_event_seconds_count",
    }
    # The same ends in every scrape, for whatever happened; what takes longer than the last has none.
    fixed = [*(str(2**power / 1e9) for power in range(31)), "+Inf"]
    assert all(found == fixed for found in ends.values())
    for counts in buckets.values():
        # Cumulative, up to all of them.
        assert counts == sorted(counts)
    assert {name: counts[-1] for name, counts in buckets.items()} == pytest.approx(
        {"tick": 4, "deposit": 1, "place": 1, "cancel": 1, "fill": 3}
    )
