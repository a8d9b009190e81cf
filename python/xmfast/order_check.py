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
    """The account's position would be beyond its limit if this order and its others on the same side filled, and
    farther from 0 than it is, or on the other side of 0. Asked of orders alone: a fill, trade or transfer is never
    refused for it."""
    OPEN_INTEREST = "open_interest"
    """All long positions together would be beyond their limit if this order and the account's others on the same side
    filled and somebody else opened the other side; what they close of the account's position is not counted, nor are
    orders of other accounts. Asked of orders alone: a fill, trade or transfer is never refused for it."""
    SETTLED = "settled"
    """The instrument is settled."""


REASONS = tuple(Reason(name) for name in order_reasons())
"""In the order of the core's numbers."""
