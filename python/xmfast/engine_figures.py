"""What the live engine counts: money of the venue, and events."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

# More than a sum of 128-bit integers has.
_DIGITS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTotals:
    """What is held of one asset, exact; see :meth:`Engine.ledger`. All but the last two add up to their difference."""

    accounts: Decimal
    """Cash of all accounts, with what is posted for isolated positions, less the entry cost of positions."""
    street: Decimal
    """The other side of fills and exchanges whose counterparty is not in the book."""
    fees: Decimal
    interest_pool: Decimal
    """What interest took from borrowers, less what it gave to lenders, as far as accounts were touched since."""
    funding_pool: Decimal
    """What funding took, less what it gave, as far as positions were touched since."""
    rounding: Decimal
    """What rounding against both sides of a trade left over."""
    shortfall: Decimal
    """Losses of isolated positions beyond what was posted; <= 0."""
    deposits: Decimal
    withdrawals: Decimal

    @property
    def is_conserved(self) -> bool:
        """Whether what is held equals what was paid in, less what was paid out."""
        paid_in = (self.deposits, self.withdrawals.copy_negate())
        held = (self.accounts, self.street, self.fees, self.interest_pool, self.funding_pool, self.rounding)
        with localcontext(prec=_DIGITS):
            return sum(held) + self.shortfall == sum(paid_in)


def ledger_totals(names: list[str], units: list[int], decimals: int) -> LedgerTotals:
    """Return totals of one asset, given in whole units."""
    with localcontext(prec=_DIGITS):
        exact = {name: Decimal(amount).scaleb(-decimals) for name, amount in zip(names, units, strict=True)}
    return LedgerTotals(**exact)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLatency:
    """How long events of one kind took, in nanoseconds."""

    count: int
    mean: float
    p50: int
    """Upper end of the power of two within which half of all events were done."""
    p99: int
    p999: int
    buckets: tuple[int, ...]
    """Counts by power of two: the n-th are those that took less than 2^n, and at least half of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineMetrics:
    """Counts of an engine since it was opened."""

    events: dict[str, EventLatency]
    """By kind of event."""
    rejudged: int
    """Accounts that price changes made the engine judge again."""

    def prometheus(self) -> str:
        """Return the counts as Prometheus reads them (text format 0.0.4)."""
        lines = [
            "# HELP xmfast_rejudged_total Accounts that price changes made the engine judge again.",
            "# TYPE xmfast_rejudged_total counter",
            f"xmfast_rejudged_total {self.rejudged}",
            "# HELP xmfast_event_seconds Time that events took.",
            "# TYPE xmfast_event_seconds histogram",
        ]
        for name, latency in self.events.items():
            below = 0
            for power, count in enumerate(latency.buckets):
                below += count
                if count:
                    lines.append(f'xmfast_event_seconds_bucket{{event="{name}",le="{2**power / 1e9}"}} {below}')
            lines.append(f'xmfast_event_seconds_bucket{{event="{name}",le="+Inf"}} {latency.count}')
            lines.append(f'xmfast_event_seconds_sum{{event="{name}"}} {latency.mean * latency.count / 1e9}')
            lines.append(f'xmfast_event_seconds_count{{event="{name}"}} {latency.count}')
        return "\n".join(lines) + "\n"


def engine_metrics(events: list[tuple[str, int, int, list[int]]], rejudged: int) -> EngineMetrics:
    """Return metrics from the core's counts."""
    return EngineMetrics(events={name: _latency(*counts) for name, *counts in events}, rejudged=rejudged)


def _latency(count: Any, total: Any, buckets: Any) -> EventLatency:
    def within(part: float) -> int:
        seen = 0
        for power, counted in enumerate(buckets):
            seen += counted
            if seen >= part * count:
                return int(2**power)
        return 0

    return EventLatency(
        count=count, mean=total / count, p50=within(0.5), p99=within(0.99), p999=within(0.999), buckets=tuple(buckets)
    )
