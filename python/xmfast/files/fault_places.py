"""Errors of the core, told again in terms of the file that the frame came from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xmfast.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

# How the core begins: "positions, column 'quantity', row 0 (account 'bob'): ...". Ids stand in the rest, and may hold
# anything, so nothing is looked for there but what the core itself says at the end.
_PLACE = re.compile(r"(?P<frame>\w+)(?:, column '(?P<column>\w+)')?(?:, row (?P<row>\d+))?(?P<rest>.*)", re.DOTALL)
_OTHER_ROW = re.compile(r"((?:: a second row for .*; the first is | stands in ))row (\d+)( already.*)?\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fault:
    """What an error of the core says, in parts; ``problem`` begins with the id in brackets, if there is one."""

    frame: str
    column: str | None
    row: int | None
    problem: str

    @classmethod
    def of(cls, error: InputError) -> Fault:
        """Take the message of an error apart."""
        match = _PLACE.match(str(error))
        if match is None:
            return cls("", None, None, str(error))
        row = match["row"]
        return cls(match["frame"], match["column"], None if row is None else int(row), match["rest"])

    def problem_with(self, place: Callable[[int], str]) -> str:
        """Return the problem, with another row that it names given as a place of the file."""
        return _OTHER_ROW.sub(lambda m: f"{m[1]}{place(int(m[2]))}{m[3] or ''}", self.problem)


def told_again(error: InputError, message: str) -> InputError:
    """Return an error of the same class with another message."""
    return type(error)(message)
