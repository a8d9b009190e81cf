"""Files that are written whole or not at all."""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

__all__ = ["binary_output", "text_output"]


@contextmanager
def binary_output(name: str) -> Iterator[IO[bytes]]:
    """Open a file now, so that a wrong path fails before the work; replace what was there only when all is done.

    Parameters
    ----------
    name : str
        The file. A link stays, and what it leads to is replaced; a device or a pipe is written to as it is.
    """
    path = Path(name)
    if path.exists() and not path.is_file():
        with path.open("wb") as device:
            yield device
        return
    path = path.resolve()
    try:
        file = NamedTemporaryFile(  # noqa: SIM115 (closed below, before it takes the place of the other)
            dir=path.parent, suffix=".part", delete=False
        )
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error
    part = Path(file.name)
    try:
        with file:
            yield file
        part.chmod(0o666 & ~_umask())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def text_output(name: str) -> Iterator[IO[str]]:
    """Do the same for text: UTF-8, newlines as they are written."""
    with binary_output(name) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        yield text
        text.flush()
        # The file below is closed by its own context.
        text.detach()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
