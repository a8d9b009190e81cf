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
        assert latency.mean > 0 and latency.p50 <= latency.p99 <= latency.p999
    assert small_engine().metrics().events == {}


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
    before = engine.metrics().rejudged
    for step in range(200):
        engine.tick("PERP", 100 + step % 3)
    # A full evaluation would have judged a hundred thousand.
    assert engine.metrics().rejudged - before < 2_000


def test_prometheus_reads_it() -> None:
    text = busy_engine().metrics().prometheus()
    assert text.endswith("\n")
    sample = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.eE+-]+')
    names, buckets = set(), dict[str, list[float]]()
    for line in text.splitlines():
        if line.startswith("# "):
            assert re.fullmatch(r"# (HELP|TYPE) [a-z_]+ .+", line), line
            continue
        assert sample.fullmatch(line), line
        names.add(line.split("{")[0].split(" ")[0])
        if "_bucket" in line:
            buckets.setdefault(line.split('event="')[1].split('"')[0], []).append(float(line.rsplit(" ", 1)[1]))
    assert names == {
        "xmfast_rejudged_total",
        "xmfast_event_seconds_bucket",
        "xmfast_event_seconds_sum",
        "xmfast_event_seconds_count",
    }
    for counts in buckets.values():
        # Cumulative, up to all of them.
        assert counts == sorted(counts)
    assert {name: counts[-1] for name, counts in buckets.items()} == pytest.approx(
        {"tick": 4, "deposit": 1, "place": 1, "cancel": 1, "fill": 3}
    )
