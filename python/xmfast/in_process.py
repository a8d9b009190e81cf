"""What holds memory of the core: it never changes, and stays in the process that made it."""

from __future__ import annotations

from typing import ClassVar, NoReturn, Self, SupportsIndex


class InProcess:
    """Copies of it are itself; pickling is refused, because what belongs together (one universe) would come apart."""

    __slots__ = ()
    # What to do where one cannot be sent.
    _instead: ClassVar[str] = "make it in the other process, from the same frames; a forked process has it already"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(f"{type(self).__name__} objects cannot be pickled: {self._instead}")
