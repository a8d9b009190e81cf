"""What the live engine says of an order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from xmfast import _core


class Reason(StrEnum):
    """Why an order may rest, or why not."""

    ACCEPTED = "accepted"
    INITIAL_HEALTH = "initial_health"
    """Initial health would be below 0."""
    NOT_REDUCING = "not_reducing"
    """It says that it only reduces, and there is no position, or too little of one, on the other side."""
    POSITION_LIMIT = "position_limit"
    """The account's position could grow beyond its limit."""
    OPEN_INTEREST = "open_interest"
    """All long positions together could grow beyond their limit."""
    SETTLED = "settled"
    """The instrument is settled."""


REASONS = tuple(Reason(name) for name in _core.Engine.reasons())
"""In the order of the core's numbers."""


@dataclass(frozen=True, slots=True)
class OrderCheck:
    """Whether an order may rest, and what margin would be if it did; false where it may not."""

    reason: Reason
    initial_margin: float
    """Of what backs the order: the account's pool, or the isolated position that it would join. Numeraire."""
    free_collateral: float
    """What is left for more; numeraire, >= 0."""

    @property
    def accepted(self) -> bool:
        """Whether the order may rest."""
        return self.reason is Reason.ACCEPTED

    def __bool__(self) -> bool:
        return self.accepted


def order_check(checked: _core.OrderChecked) -> OrderCheck:
    """Return what the core said."""
    return OrderCheck(REASONS[checked.reason], checked.initial_margin, checked.free_collateral)
