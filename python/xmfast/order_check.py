"""What the live engine says of an order."""

from __future__ import annotations

from enum import StrEnum

from xmfast._core import OrderCheck as OrderCheck
from xmfast._core import order_reasons


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


REASONS = tuple(Reason(name) for name in order_reasons())
"""In the order of the core's numbers."""
