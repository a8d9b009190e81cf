"""How the core runs here: threads, instruction set, forks."""

from __future__ import annotations

import os
import platform
import sys
import warnings
from typing import Any

from xmfast import _core
from xmfast.errors import InputError


def num_threads() -> int:
    """Return how many threads parallel work uses."""
    return _core.num_threads()


def set_num_threads(threads: int | None) -> None:
    """Use this many threads from now on, or one per core if None. Results do not depend on it.

    After work that took less than 2 milliseconds they stay awake for 0.1 more, as long as each has a core: more of it
    then need not wake them, and they are woken before the risk of many instruments is made anew. On Linux up to eight
    of them are kept off the processor of the thread that calls, so that none waits there for it to be done, unless a
    seccomp filter is in force; threads that are not the library's are left alone.

    The environment variable ``XMFAST_NUM_THREADS`` sets it at import.
    """
    whole = isinstance(threads, int) and not isinstance(threads, bool)
    if threads is not None and not (whole and 1 <= threads <= 1024):
        raise InputError(f"threads must be a whole number from 1 to 1024, not {threads!r}")
    _core.set_num_threads(0 if threads is None else threads)


def simd() -> str:
    """Return the instruction set in use: "avx512", "avx2" or "scalar"."""
    return _core.simd()


def set_simd(path: str) -> None:
    """Use this instruction set from now on, or the fastest of this machine if "auto". Results do not depend on it.

    The environment variable ``XMFAST_SIMD`` sets it at import.
    """
    if not _core.set_simd(path):
        raise InputError(f"no instruction set {path!r} here; choose from: auto, {', '.join(_core.simd_available())}")


def doctor() -> dict[str, Any]:
    """Return what the core found on this machine and what it uses."""
    started, generation = _core.pool_state()
    return {
        "version": _core.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "simd": simd(),
        "simd_available": _core.simd_available(),
        "threads": num_threads(),
        "pid": os.getpid(),
        "pool_started": started,
        "fork_generation": generation,
    }


def _apply_environment() -> None:
    """Follow the environment; a value that cannot be followed is a warning, so that ``xmfast doctor`` still runs."""
    for variable, follow in (("XMFAST_NUM_THREADS", _threads_from_text), ("XMFAST_SIMD", set_simd)):
        value = os.environ.get(variable)
        if not value:
            continue
        try:
            follow(value)
        except InputError as error:
            warnings.warn(f"{variable} is {value!r} and is ignored: {error}", RuntimeWarning, stacklevel=2)


def _threads_from_text(threads: str) -> None:
    if not threads.isdecimal():
        raise InputError("a whole number is needed")
    set_num_threads(int(threads))


_apply_environment()
if sys.platform != "win32":
    os.register_at_fork(after_in_child=_core.after_fork)
