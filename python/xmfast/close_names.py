"""What somebody may have meant, in the words that the core uses for ids."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_MOST_LISTED = 12


def hint(given: str, known: Collection[str]) -> str:
    """Return the end of a message about a name that is not known.

    Parameters
    ----------
    given : str
        What was written.
    known : collection of str
        What can be written.

    Examples
    --------
    >>> hint("initial_rat", ["initial_rate", "maintenance_rate"])
    "; did you mean 'initial_rate'?"
    >>> hint("x", ["cross", "isolated"])
    "; known: 'cross', 'isolated'"
    """
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(given.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{by_lower[close[0]]}'?"
    if not known:
        return "; there are none"
    if len(known) <= _MOST_LISTED:
        return "; known: " + ", ".join(f"'{name}'" for name in known)
    return f"; {len(known)} are known, '{next(iter(known))}' among them"
