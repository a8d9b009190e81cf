"""Lines and progress on a terminal: plain, or in colour where the extra ``cli`` (rich) is there."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Lines", "Progress"]

_PATIENCE_SECONDS = 2.0


class Progress:
    """How far a long work is and how long it will take, on stderr, once it took over two seconds.

    On a terminal it is one line that rewrites itself; in a file or a log a new line every few seconds.

    Parameters
    ----------
    stream : TextIO, optional
        Where to write; stderr when left out.
    clock : callable, optional
        Seconds that never run backwards.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._start = clock()
        self._written = self._start
        self._task = ""
        self._task_start = self._start
        self._line = ""

    def step(self, task: str, done: int, total: int) -> None:
        """Tell that ``done`` of ``total`` equal steps of a task are done.

        Parameters
        ----------
        task : str
            What is done now, such as ``"drawing accounts"``; another task begins with its first step.
        done, total : int
            Steps, 0 <= done <= total.
        """
        now = self._clock()
        if task != self._task:
            self._task = task
            self._task_start = now
        if done == 0:
            self._write(f"{task} ...", now)
            return
        left = (now - self._task_start) / done * (total - done)
        if left >= 1:
            self._write(f"{task}: {done} of {total}, about {left:.0f} s left", now)

    def clear(self) -> None:
        """Take the line off the terminal, so that other output can go there."""
        if self._line and self._stream.isatty():
            self._stream.write("\r" + " " * len(self._line) + "\r")
            self._stream.flush()
        self._line = ""

    def _write(self, line: str, now: float) -> None:
        terminal = self._stream.isatty()
        pause = 0.1 if terminal else _PATIENCE_SECONDS
        if now - self._start < _PATIENCE_SECONDS or now - self._written < pause:
            return
        self._written = now
        if terminal:
            self.clear()
            self._line = line
            self._stream.write(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()


class Lines:
    """Lines on stdout, in colour where rich is installed and stdout is a terminal.

    Parameters
    ----------
    progress : Progress
        Its line makes way for each line written here.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._print = _coloured() if sys.stdout.isatty() and "NO_COLOR" not in os.environ else _plain

    def write(self, line: str = "", style: str = "") -> None:
        """Write one line.

        Parameters
        ----------
        line : str
            Without a newline.
        style : str
            How rich would show it, such as ``"bold"``; ignored where it is not there.
        """
        self._progress.clear()
        self._print(line, style)


def _plain(line: str, style: str) -> None:
    # Flushed line by line: what is piped on should not wait for the end of a long run.
    print(line, flush=True)


def _coloured() -> Callable[[str, str], None]:
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        return _plain
    console = Console(highlight=False)
    return lambda line, style: console.print(Text(line, style=style), soft_wrap=True)
