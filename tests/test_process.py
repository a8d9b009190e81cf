"""Forks, spawned children, Ctrl-C, threads, and floating-point modes that other libraries leave behind."""

from __future__ import annotations

import ctypes
import hashlib
import multiprocessing
import os
import platform
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import xmfast as xm
from building import Model, bits_of, build, report_of, settings
from strategies import random_venue

TESTS = str(Path(__file__).parent)
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and forks as POSIX has them")
GLIBC_X86 = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or platform.machine() != "x86_64", reason="needs glibc's fenv on x86-64"
)


def digest(seed: int = 1, accounts: int = 20_000) -> str:
    """Digest of all bits of a report; large enough to use the pool."""
    bits = bits_of(report_of(random_venue(seed, accounts=accounts)))
    return hashlib.sha256(b"".join(bits.values())).hexdigest()


def child_digest(queue: multiprocessing.Queue[str]) -> None:
    queue.put(digest())


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        cwd=TESTS,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@POSIX
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_child_processes_give_the_same_bits(method: str) -> None:
    expected = digest()
    assert xm.doctor()["pool_started"]
    context: Any = multiprocessing.get_context(method)
    queue: multiprocessing.Queue[str] = context.Queue()
    children = [context.Process(target=child_digest, args=(queue,)) for _ in range(2)]
    for child in children:
        child.start()
    try:
        # A pool whose threads did not survive the fork would wait for ever.
        assert [queue.get(timeout=60) for _ in children] == [expected] * 2
    finally:
        for child in children:
            child.join(10)
            child.kill()
    assert digest() == expected


@POSIX
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_fork_while_another_thread_evaluates() -> None:
    """The child owns only the forking thread; a lock that another one held stays locked for ever."""
    model, book, market = build(random_venue(2, accounts=20_000))
    expected = bits_of(model.evaluate(book, market))
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            model.evaluate(book, market)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    status = 0 if bits_of(model.evaluate(book, market)) == expected else 2
                finally:
                    os._exit(status)
            assert wait_for(child, seconds=60) == 0
    finally:
        stop.set()
        worker.join()
    assert bits_of(model.evaluate(book, market)) == expected


def wait_for(child: int, *, seconds: float) -> int:
    """Return the exit code of a child, or kill it and return -1."""
    import time

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return -1


@POSIX
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_child_of_a_child() -> None:
    expected = digest()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if digest() == expected:
                grandchild = os.fork()
                same = digest() == expected
                status = wait_for(grandchild, seconds=60) if grandchild else int(not same)
        finally:
            os._exit(status)
    assert wait_for(child, seconds=90) == 0


def test_exit_with_a_report_alive_is_clean() -> None:
    done = run_python(
        """
        from building import report_of
        from strategies import random_venue
        report = report_of(random_venue(1, accounts=20_000))
        column = report.health[::2]
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_exit_while_a_thread_evaluates_is_clean() -> None:
    done = run_python(
        """
        import threading
        from building import build
        from strategies import random_venue
        model, book, market = build(random_venue(1, accounts=20_000))
        def work():
            while True:
                model.evaluate(book, market)
        for _ in range(3):
            threading.Thread(target=work, daemon=True).start()
        for _ in range(20):
            model.evaluate(book, market)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


@GLIBC_X86
def test_threads_may_work_on_while_the_process_ends() -> None:
    done = run_python(
        """
        import ctypes, sys, threading, time
        import numpy as np
        import xmfast as xm
        random, names = np.random.default_rng(1), [f"C{row}" for row in range(8)]
        assets = {"asset": ["USD"]}
        instruments = {"instrument": names, "kind": ["perpetual"] * 8, "underlying": names, "settlement": ["USD"] * 8}
        universe = xm.Universe.from_frames(assets, instruments, "USD")
        accounts, quantity = np.arange(400_000) // 8, random.normal(size=400_000)
        positions = {"account": accounts, "instrument": names * 50_000, "quantity": quantity}
        book = xm.Book.from_frames(universe, None, positions | {"entry_price": np.ones(400_000)})
        market = xm.Market(universe, {}, dict.fromkeys(names, 1.0))
        returns = dict(zip(names, random.normal(0, 0.01, (8, 5_000))))
        model = xm.HistoricalVaR(universe, {"asset": ["USD"]}, returns=returns)
        threading.Thread(target=model.evaluate, args=(book, market), daemon=True).start()
        time.sleep(0.1)
        # After Python is gone the C library calls usleep with the exit status, whose last eight bits are returned.
        c = ctypes.CDLL(None)
        c.on_exit(c.usleep, 0)
        sys.exit(1 << 18)
        """,
        XMFAST_NUM_THREADS="1",
    )
    assert (done.returncode, done.stderr) == (0, "")


@GLIBC_X86
def test_a_filter_of_system_calls_kills_nobody() -> None:
    """Services that are hardened kill who calls `sched_setaffinity`, number 203."""
    done = run_python(
        """
        import ctypes
        import struct
        from building import build
        from strategies import random_venue
        model, book, market = build(random_venue(1, accounts=20_000))
        # Load the number; if it is 203 go on, else skip a step; kill; allow.
        rules = (0x20, 0, 0, 0), (0x15, 0, 1, 203), (6, 0, 0, 1 << 31), (6, 0, 0, 0x7FFF0000)
        steps = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
        program = struct.pack("HxxxxxxP", len(rules), ctypes.addressof(steps))
        no_new_privileges, set_filter = (38, 1, 0, 0, 0), (22, 2, program)
        c = ctypes.CDLL(None)
        print(c.prctl(*no_new_privileges), c.prctl(*set_filter))
        for _ in range(20):
            model.evaluate(book, market)
        """,
        XMFAST_NUM_THREADS="2",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 0\n", "")


def test_environment_sets_threads_and_path() -> None:
    code = "import xmfast as xm; print(xm.num_threads(), xm.simd())"
    assert run_python(code, XMFAST_NUM_THREADS="3", XMFAST_SIMD="scalar").stdout == "3 scalar\n"
    for variable, value in (("XMFAST_NUM_THREADS", "many"), ("XMFAST_NUM_THREADS", "0"), ("XMFAST_SIMD", "mmx")):
        done = run_python(code, **{variable: value})
        assert done.returncode == 1
        assert "xmfast.InputError" in done.stderr and value in done.stderr


def test_reloading_the_package_changes_nothing() -> None:
    done = run_python(
        """
        import importlib
        import xmfast as xm
        from building import bits_of, report_of
        from strategies import random_venue
        venue = random_venue(1)
        before = report_of(venue)
        importlib.reload(xm)
        assert bits_of(report_of(venue)) == bits_of(before)
        try:
            before["nobody"]
        except xm.UnknownIdError as error:
            print(error)
        """
    )
    assert (done.stdout.strip()[:7], done.stderr) == ("report:", "")


def test_module_can_be_imported_in_many_threads_at_once() -> None:
    done = run_python(
        """
        import threading
        def work():
            import xmfast
            assert xmfast.num_threads() >= 1
        threads = [threading.Thread(target=work) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        print("done")
        """
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


INTERRUPTED = """
    import signal, time
    import numpy as np
    import xmfast as xm

    {setup}

    # A timer of the system and not a thread: a thread would have to wait for the interpreter lock.
    signal.signal(signal.SIGALRM, signal.default_int_handler)

    def timed(seconds=0.0):
        begin = time.perf_counter()
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            work()
            return time.perf_counter() - begin, "finished"
        except KeyboardInterrupt:
            return time.perf_counter() - begin, "interrupted"

    whole, outcome = timed()
    assert outcome == "finished"
    partial, outcome = timed(whole / 5)
    # Of what is left, most was not done: the work ended and not only the exception came late.
    print(outcome, "early" if partial < 0.7 * whole else f"late: {{partial:.3f}} of {{whole:.3f}} s")
    again, outcome = timed()
    print(outcome)
"""

LONG_CONTRACTION = """
    rng = np.random.default_rng(0)
    accounts, legs, columns = 40_000, 60, 512
    offsets = np.arange(accounts + 1, dtype=np.uint64) * legs
    rows = rng.integers(0, 2000, accounts * legs).astype(np.uint32)
    quantities = rng.normal(size=accounts * legs)
    table = rng.normal(size=(2000, columns))
    xm.set_simd("scalar")
    def work():
        xm.contract(offsets, rows, quantities, table)
"""

LONG_BOOK = """
    rng = np.random.default_rng(0)
    accounts, rows = 1_500_000, 9_000_000
    names = [f"I{{number}}" for number in range(512)]
    universe = xm.Universe.from_frames({{"asset": ["USD"]}}, {{
        "instrument": names, "kind": ["perpetual"] * 512, "underlying": names, "settlement": ["USD"] * 512})
    account = np.arange(rows) % accounts
    instrument = np.array(names)[(np.arange(rows) // accounts * 7 + account) % 512]
    ones = np.ones(rows)
    positions = {{"account": account, "instrument": instrument, "quantity": ones, "entry_price": ones}}
    def work():
        xm.Book.from_frames(universe, None, positions)
"""

# One block of accounts that hedge themselves: equity and every loss are 0, so that all scenarios matter.
LONG_EXACT = """
    accounts, scenarios = 4000, 100
    universe = xm.Universe.from_frames({{"asset": ["USD"]}}, {{
        "instrument": ["P", "Q"], "kind": ["perpetual"] * 2, "underlying": ["U"] * 2, "settlement": ["USD"] * 2}})
    book = xm.Book.from_frames(universe, None, {{
        "account": np.repeat(np.arange(accounts), 2), "instrument": ["P", "Q"] * accounts,
        "quantity": [0.7, -0.7] * accounts, "entry_price": [61234.56] * (2 * accounts)}})
    market = xm.Market(universe, mark_price={{"P": 61234.56, "Q": 61234.56}})
    shocks = np.random.default_rng(0).normal(0, 0.1, scenarios).tolist()
    model = xm.PortfolioMargin(universe, scenarios=xm.Scenarios(price_shock=shocks))
    def work():
        model.CALL(book, market)
"""


@POSIX
@pytest.mark.parametrize(
    "setup",
    [LONG_CONTRACTION, LONG_BOOK, LONG_EXACT.replace("CALL", "evaluate"), LONG_EXACT.replace("CALL", "liquidatable")],
    ids=["contract", "book", "exact", "exact flags"],
)
def test_ctrl_c_ends_long_work_soon(setup: str) -> None:
    code = (
        textwrap.dedent(INTERRUPTED)
        .format(setup="SETUP")
        .replace("SETUP", textwrap.dedent(setup).replace("{{", "{").replace("}}", "}"))
    )
    done = run_python(code)
    assert (done.stdout, done.stderr) == ("interrupted early\nfinished\n", "")


@POSIX
def test_ctrl_c_between_evaluations_leaves_everything_usable() -> None:
    """Signals rain on a loop of evaluations: each is answered, and the next answer has the same bits."""
    done = run_python(
        """
        import os, signal, threading, time
        from building import bits_of, build
        from strategies import random_venue
        model, book, market = build(random_venue(1, accounts=60_000))
        expected = bits_of(model.evaluate(book, market))
        stop, caught, listening = threading.Event(), 0, False
        def answer(*_):
            # Once a round: on a busy machine the next signal may come before this one is caught.
            global listening
            if listening:
                listening = False
                raise KeyboardInterrupt
        signal.signal(signal.SIGINT, answer)
        def rain():
            while not stop.wait(0.01):
                os.kill(os.getpid(), signal.SIGINT)
        thread = threading.Thread(target=rain)
        thread.start()
        while caught < 20:
            try:
                listening = True
                for _ in range(10_000):
                    model.evaluate(book, market)
            except KeyboardInterrupt:
                caught += 1
        stop.set()
        thread.join()
        assert bits_of(model.evaluate(book, market)) == expected
        print("same bits")
        """
    )
    assert (done.stdout, done.stderr) == ("same bits\n", "")


def test_threads_evaluate_at_once() -> None:
    venues = [random_venue(seed, accounts=9_000) for seed in range(4)]
    objects = [build(venue) for venue in venues]
    expected = [bits_of(model.evaluate(book, market)) for model, book, market in objects]

    def work(number: int) -> bool:
        model, book, market = objects[number % 4]
        return bits_of(model.evaluate(book, market)) == expected[number % 4]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))


def test_first_evaluation_of_a_book_by_many_threads_at_once() -> None:
    """The layout is derived on first use; the threads must agree on one."""
    for seed in range(5):
        model, book, market = build(random_venue(seed, accounts=9_000))
        barrier = threading.Barrier(8)

        def work(
            _: int,
            model: Model = model,
            book: xm.Book = book,
            market: xm.Market = market,
            barrier: threading.Barrier = barrier,
        ) -> bytes:
            barrier.wait(30)
            return b"".join(bits_of(model.evaluate(book, market)).values())

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(work, range(8)))) == 1


def test_changing_threads_and_path_while_others_evaluate() -> None:
    model, book, market = build(random_venue(9, accounts=20_000))
    expected = bits_of(model.evaluate(book, market))
    stop = threading.Event()

    def work() -> int:
        right = 0
        while not stop.is_set():
            assert bits_of(model.evaluate(book, market)) == expected
            right += 1
        return right

    with settings(), ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(work) for _ in range(2)]
        for round_number in range(30):
            xm.set_num_threads(1 + round_number % 5)
            xm.set_simd(xm.doctor()["simd_available"][round_number % len(xm.doctor()["simd_available"])])
            model.evaluate(book, market)
        stop.set()
        assert all(future.result() > 0 for future in futures)


ROUNDING = {"down": 0x400, "up": 0x800, "to zero": 0xC00}


@GLIBC_X86
@pytest.mark.parametrize("mode", list(ROUNDING))
def test_rounding_mode_of_another_library_changes_no_bit(mode: str) -> None:
    model, book, market = build(random_venue(1, accounts=20_000))
    expected = bits_of(model.evaluate(book, market))
    libm = ctypes.CDLL("libm.so.6")
    try:
        assert libm.fesetround(ROUNDING[mode]) == 0
        report = model.evaluate(book, market)
        during = libm.fegetround()
    finally:
        libm.fesetround(0)
    assert during == ROUNDING[mode], "the caller's mode is the caller's"
    assert bits_of(report) == expected


@GLIBC_X86
@pytest.mark.parametrize("mode", ["flush", *ROUNDING])
def test_mode_set_before_the_first_thread_starts(mode: str) -> None:
    """Worker threads inherit the mode of whoever starts them; books are built under it too."""
    done = run_python(
        f"""
        import ctypes
        from strategies import random_venue
        from building import bits_of, report_of
        from test_process import set_mode
        import xmfast as xm
        import hashlib
        xm.set_num_threads(2)
        venue = random_venue(1, accounts=5_000)
        tiny = dict(venue.balances)
        tiny["balance"] = [value * 1e-310 if row % 3 == 0 else value for row, value in enumerate(tiny["balance"])]
        from dataclasses import replace
        venue = replace(venue, balances=tiny)
        set_mode({mode!r})
        report = report_of(venue)
        ratio = report.margin_ratio
        set_mode("standard")
        print(hashlib.sha256(b"".join(bits_of(report).values())).hexdigest())
        print(hashlib.sha256(b"".join(bits_of(report_of(venue)).values())).hexdigest())
        """
    )
    assert done.stderr == ""
    under_mode, standard = done.stdout.split()
    assert under_mode == standard


@GLIBC_X86
def test_flush_to_zero_of_another_library_changes_no_bit() -> None:
    universe = xm.Universe.from_frames({"asset": ["USD", "DUST"]})
    book = xm.Book.from_frames(
        universe, {"account": [1, 1, 2], "asset": ["USD", "DUST", "DUST"], "balance": [5e-324, 1e-300, -1e-310]}
    )
    market = xm.Market(universe, index_price={"DUST": 1e-10})
    model = xm.CrossMargin.from_frames(universe)
    expected = bits_of(model.evaluate(book, market))
    set_mode("flush")
    try:
        report = model.evaluate(book, market)
    finally:
        set_mode("standard")
    assert bits_of(report) == expected
    assert 0 < report[1].equity < 2.3e-308, "a subnormal result is a result"
    assert report[2].liquidatable and report[2].bankrupt


def set_mode(mode: str) -> None:
    """Set the mode of this thread's SSE unit through glibc, as a library compiled with -ffast-math does."""
    libm = ctypes.CDLL("libm.so.6")
    state = (ctypes.c_uint32 * 8)()
    assert libm.fegetenv(state) == 0
    flush_to_zero, denormals_are_zero, rounding = 1 << 15, 1 << 6, 3 << 13
    control = state[7] & ~(flush_to_zero | denormals_are_zero | rounding)
    if mode == "flush":
        control |= flush_to_zero | denormals_are_zero
    elif mode in ROUNDING:
        control |= ROUNDING[mode] << 3
    state[7] = control
    assert libm.fesetenv(state) == 0


@GLIBC_X86
def test_setting_the_mode_has_an_effect_at_all() -> None:
    """Otherwise the tests above would prove nothing."""
    tiny = ctypes.c_double(5e-324)
    set_mode("flush")
    try:
        flushed = tiny.value * 1.0
    finally:
        set_mode("standard")
    assert flushed == 0.0 and tiny.value * 1.0 == 5e-324
    libm = ctypes.CDLL("libm.so.6")
    third = 1.0 / 3.0
    try:
        libm.fesetround(ROUNDING["up"])
        raised = float.__truediv__(1.0, 3.0)
    finally:
        libm.fesetround(0)
    assert raised != third
