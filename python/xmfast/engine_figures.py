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
    """How long events of one kind took, in nanoseconds. Each of many fills counts as long as their mean."""

    count: int
    mean: float
    p50: int
    """Upper end of the power of two within which half of all events were done, or ``max`` if that is less."""
    p99: int
    p999: int
    max: int
    buckets: tuple[int, ...]
    """Counts by power of two: the n-th are those that took at most 2^n, and more than half of that; the last one, all
    that took longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineMetrics:
    """Counts of an engine since it was opened."""

    events: dict[str, EventLatency]
    """Events that were done, by kind: one ``tick`` for :meth:`Engine.ticks`, a ``fill`` for each row of many."""
    rejudged: int
    """Accounts judged again after events of any kind: those that these touched, those that ticks woke, or all."""
    woken: int
    """Those of them that ticks woke; under a model without wake prices a tick wakes everybody."""
    checks: int
    """Orders checked: by :meth:`Engine.check_order`, row by row, before one is placed, and as one is amended."""
    refused: int
    """Calls that the engine refused, orders that did not pass among them. What names no event, such as an unknown
    account, is not counted."""

    @property
    def ticks(self) -> int:
        """Number of calls that set prices; ``woken / ticks`` is what a tick costs."""
        return self.events["tick"].count if "tick" in self.events else 0

    @property
    def max(self) -> int:
        """Nanoseconds of the longest event of all."""
        return max((latency.max for latency in self.events.values()), default=0)

    def prometheus(self) -> str:
        """Return the counts as Prometheus reads them (text format 0.0.4).

        A histogram has the same buckets in every scrape; what took longer than the last of them, 2^30 ns, is in
        ``+Inf`` alone.
        """
        lines = []
        for name, what, count in (
            ("ticks", "Calls that set prices.", self.ticks),
            ("woken", "Accounts that ticks made the engine judge again.", self.woken),
            ("rejudged", "Accounts that events of any kind made the engine judge again.", self.rejudged),
            ("checks", "Orders that were checked.", self.checks),
            ("refused", "Calls that were refused.", self.refused),
        ):
            lines += [f"# HELP xmfast_{name}_total {what}", f"# TYPE xmfast_{name}_total counter"]
            lines.append(f"xmfast_{name}_total {count}")
        lines += ["# HELP xmfast_event_seconds Time that events took.", "# TYPE xmfast_event_seconds histogram"]
        for name, latency in self.events.items():
            below = 0
            for power, count in enumerate(latency.buckets[:-1]):
                below += count
                lines.append(f'xmfast_event_seconds_bucket{{event="{name}",le="{2**power / 1e9}"}} {below}')
            lines.append(f'xmfast_event_seconds_bucket{{event="{name}",le="+Inf"}} {latency.count}')
            lines.append(f'xmfast_event_seconds_sum{{event="{name}"}} {latency.mean * latency.count / 1e9}')
            lines.append(f'xmfast_event_seconds_count{{event="{name}"}} {latency.count}')
        lines += [
            "# HELP xmfast_event_max_seconds Longest that an event took.",
            "# TYPE xmfast_event_max_seconds gauge",
        ]
        for name, latency in self.events.items():
            lines.append(f'xmfast_event_max_seconds{{event="{name}"}} {latency.max / 1e9}')
        return "\n".join(lines) + "\n"


def engine_metrics(events: list[tuple[str, int, int, list[int], list[int]]], others: list[int]) -> EngineMetrics:
    """Return metrics from the core's counts."""
    rejudged, woken, checks, refused = others
    by_kind = {name: _latency(*counts) for name, *counts in events}
    return EngineMetrics(events=by_kind, rejudged=rejudged, woken=woken, checks=checks, refused=refused)


def _latency(count: Any, total: Any, within: Any, buckets: Any) -> EventLatency:
    p50, p99, p999, most = within
    return EventLatency(count=count, mean=total / count, p50=p50, p99=p99, p999=p999, max=most, buckets=tuple(buckets))
