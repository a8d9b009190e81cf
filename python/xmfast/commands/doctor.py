"""What ``xmfast doctor`` prints: the machine, the installation, and whether the numbers are right."""

from __future__ import annotations

import json
import os
import re
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import xmfast

__all__ = ["run_doctor"]

_CPU_FLAGS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512dq", "avx512vl")


def run_doctor(*, as_json: bool) -> int:
    """Print what the machine and the installation offer, and check the numbers.

    Parameters
    ----------
    as_json : bool
        Print one JSON document instead of text.

    Returns
    -------
    int
        Exit code: 0, or 1 if the self-check failed.
    """
    problem = _self_check()
    # Asked after the check, which starts the threads: their state is part of the answer.
    found = dict(xmfast.doctor())
    found["numpy"] = version("numpy")
    found["cpu"] = _cpu_name()
    found["cpu_flags"] = _cpu_flags()
    found["cpus"] = os.cpu_count()
    found["cpus_usable"] = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    found["settings"] = {name: os.environ.get(name) for name in ("XMFAST_NUM_THREADS", "XMFAST_SIMD")}
    found["extras"] = _extras()
    found["self_check"] = problem or "passed"
    if as_json:
        print(json.dumps(found, indent=2, default=str))
    else:
        _print(found)
    return 1 if problem else 0


def _print(found: dict[str, object]) -> None:
    extras = found["extras"]
    settings = found["settings"]
    available = found["simd_available"]
    assert isinstance(extras, dict) and isinstance(settings, dict) and isinstance(available, list | tuple)
    flags = found["cpu_flags"]
    set_by = ", ".join(f"{name}={value}" for name, value in settings.items() if value is not None)
    pool = "started" if found["pool_started"] else "not started"
    print(f"xmfast {found['version']}")
    for name, value in (
        ("python", found["python"]),
        ("numpy", found["numpy"]),
        ("platform", found["platform"]),
        ("cpu", f"{found['cpu']}, {found['cpus_usable']} of {found['cpus']} cores usable"),
        ("cpu features", " ".join(flags) if isinstance(flags, list) and flags else "not known"),
        ("simd", f"{found['simd']} (this CPU can: {', '.join(map(str, available))})"),
        ("threads", f"{found['threads']}, pool {pool}"),
        ("fork", f"process {found['pid']}, fork generation {found['fork_generation']}"),
        ("environment", set_by or "XMFAST_NUM_THREADS and XMFAST_SIMD not set"),
        ("self-check", found["self_check"]),
    ):
        print(f"  {name:<13} {value}")
    for extra, packages in extras.items():
        known = ", ".join(f"{name} {number or '(missing)'}" for name, number in packages.items())
        print(f"  {'extra ' + extra:<13} {known}")


def _self_check() -> str | None:
    """Margin one account by hand and by every SIMD path; return what is wrong, or None."""
    universe = xmfast.Universe.from_frames(
        {"asset": ["USD", "BTC"]},
        {
            "instrument": ["BTC-PERP"],
            "kind": ["perpetual"],
            "underlying": ["BTC"],
            "settlement": ["USD"],
        },
    )
    book = xmfast.Book.from_frames(
        universe,
        {"account": [1, 1], "asset": ["USD", "BTC"], "balance": [1000.0, 0.5]},
        {"account": [1], "instrument": ["BTC-PERP"], "quantity": [-2.0], "entry_price": [3750.0]},
    )
    market = xmfast.Market(universe, index_price={"BTC": 4000.0}, mark_price={"BTC-PERP": 4000.0})
    model = xmfast.CrossMargin.from_frames(
        universe,
        collateral={"asset": ["BTC"], "maintenance_haircut": [0.25], "initial_haircut": [0.5]},
        margin={"instrument": ["BTC-PERP"], "initial_rate": [0.25], "maintenance_rate": [0.125]},
    )
    # 1000 - 2 x 250 USD and 0.5 BTC at 4000; a quarter of the coin and an eighth of 8000 do not count.
    # Powers of two throughout, so that every path has to give exactly this.
    right = (500.0 + 2000.0, 500.0 + 1500.0, 1000.0, 1000.0, 500.0 + 1000.0 - 2000.0)
    chosen = xmfast.simd()
    try:
        for path in xmfast.doctor()["simd_available"]:
            xmfast.set_simd(path)
            margin = model.evaluate(book, market)[1]
            got = (
                margin.equity,
                margin.collateral_value,
                margin.maintenance_margin,
                margin.health,
                margin.initial_health,
            )
            if got != right:
                return f"FAILED on {path}: got {got}, right is {right}"
    finally:
        xmfast.set_simd(chosen)
    return None


def _cpu_name() -> str:
    import platform

    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpu_flags() -> list[str]:
    flags = set(_cpuinfo("flags").split())
    return [flag for flag in _CPU_FLAGS if flag in flags]


def _cpuinfo(key: str) -> str:
    """Return one field of Linux's description of the first CPU, "" elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    match = re.search(rf"^{re.escape(key)}\s*:\s*(.*)$", text, re.MULTILINE)
    return match.group(1).strip() if match else ""


def _extras() -> dict[str, dict[str, str | None]]:
    """Return for each extra its packages and their versions, None where one is missing."""
    extras: dict[str, dict[str, str | None]] = {}
    try:
        requirements = requires("xmfast") or []
    except PackageNotFoundError:  # run from a folder, or frozen into a program
        return extras
    for requirement in requirements:
        match = re.match(r"([\w.-]+).*extra\s*==\s*['\"]([\w-]+)['\"]", requirement)
        # `all` names the others once more.
        if match is None or match.group(1) == "xmfast" or match.group(2) == "all":
            continue
        name, extra = match.groups()
        packages = extras.setdefault(extra, {})
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    return extras
