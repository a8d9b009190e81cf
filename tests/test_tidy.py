"""Style as a test: who may use whom, what may be unsafe, how long a file may be, what it may be called."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

import xmfast as xm

ROOT = Path(__file__).parents[1]
CORE = ROOT / "rust" / "core" / "src"

# Left to right: a module uses only those before it. The two in one cell are the truth and what is derived from it
# and cached with it.
MODULE_ORDER: tuple[tuple[str, ...], ...] = (
    ("error",),
    ("exact",),
    ("concave",),
    ("kernel",),
    ("pool",),
    ("buffer",),
    ("contract",),
    ("ids",),
    ("universe",),
    ("options",),
    ("oracle",),
    ("market",),
    ("table",),
    ("book", "layout", "risk_layout", "units"),
    ("summary",),
    ("model",),
    ("risk",),
    ("settle",),
    ("share",),
    ("explain",),
    ("positions",),
    ("report",),
    ("risk_inputs",),
    ("risk_scan",),
    ("risk_report",),
    ("flags",),
    ("liquidation_price",),
    ("price_path",),
    ("limits",),
    ("liquidation",),
    ("ledger",),
    ("engine",),
    ("journal",),
    ("backtest",),
)
PLACE = {module: place for place, cell in enumerate(MODULE_ORDER) for module in cell}

# One small file reads Arrow and NumPy capsules; rust/README.md names it.
UNSAFE_OUTSIDE_THE_KERNEL = ("rust/py/src/view.rs",)
LONGEST_UNSAFE_FILE = 60
LONGEST_FILE = 600
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "stuff", "tools"}
# Homes and scratch folders of somebody's machine.
MACHINE_PATH = re.compile(r"/(?:home|Users|root|work|tmp|mnt|data)/\w|[A-Z]:\\\\?Users")
SOURCES = {".py", ".pyi", ".rs", ".toml", ".md", ".json", ".yml", ".yaml", ".cfg", ".sh", ""}


def files_of_the_project() -> list[Path]:
    """Files that git knows or would add; all files where this is not a checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        found = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        found = [path for folder in ("rust", "python", "tests", "benches") for path in (ROOT / folder).rglob("*")]
    return sorted(path for path in found if path.is_file() and path.suffix in SOURCES)


FILES = files_of_the_project()
RUST = [path for path in FILES if path.suffix == ".rs"]
PYTHON = [path for path in FILES if path.suffix in (".py", ".pyi")]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def code_of(path: Path) -> str:
    """Return a Rust file without comments and without its tests."""
    text = path.read_text(encoding="utf-8").split("#[cfg(test)]\nmod tests")[0]
    return re.sub(r"//[^\n]*", "", text)


def module_of(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".rs")


def test_there_is_something_to_look_at() -> None:
    assert len(RUST) > 20 and len(PYTHON) > 20


def test_every_module_of_the_core_has_its_place() -> None:
    declared = re.findall(r"^\s*(?:pub(?:\([a-z]+\))? )?mod (\w+);", code_of(CORE / "lib.rs"), re.MULTILINE)
    assert declared and set(declared) <= set(PLACE), set(declared) - set(PLACE)


@pytest.mark.parametrize("path", [path for path in RUST if path.is_relative_to(CORE)], ids=name_of)
def test_modules_use_only_what_stands_to_their_left(path: Path) -> None:
    module = module_of(path)
    if module == "lib":
        return
    code = code_of(path)
    used = set(re.findall(r"\bcrate::(\w+)", code))
    for group in re.findall(r"\bcrate::\{([^}]*)\}", code):
        used |= set(re.findall(r"(?:^|,)\s*(\w+)", group))
    # What is not a module is a name that lib.rs exports from somewhere: modules name each other, not the front door.
    assert used <= set(PLACE), f"{module} goes through the front door for {sorted(used - set(PLACE))}"
    wrong = sorted(other for other in used if PLACE[other] > PLACE[module])
    assert not wrong, f"{module} uses {wrong}, which stand to its right"


@pytest.mark.parametrize("path", RUST, ids=name_of)
def test_unsafe_is_said_in_the_kernel_alone(path: Path) -> None:
    code, text = code_of(path), path.read_text(encoding="utf-8")
    outside = name_of(path) in UNSAFE_OUTSIDE_THE_KERNEL
    assert not outside or len(text.splitlines()) <= LONGEST_UNSAFE_FILE
    if outside or path.is_relative_to(CORE / "kernel"):
        # Safe to call and unsafe inside is the point of the folder; each block says why it may.
        blocks = len(re.findall(r"\bunsafe \{|\bunsafe impl\b", text))
        reasons = len(re.findall(r"SAFETY:|# Safety", text))
        assert reasons >= (1 if blocks else 0), "unsafe without SAFETY"
        for match in re.finditer(r"^[^\n/]*\bunsafe \{", text, re.MULTILINE):
            before = text[: match.start()].splitlines()[-6:]
            assert any("SAFETY:" in line for line in before) or "SAFETY:" in match.group(), match.group()
    else:
        assert not re.search(r"\bunsafe\b(?!_code)", code)
        assert "allow(unsafe_code)" not in code


def test_the_core_knows_no_python() -> None:
    manifest = (ROOT / "rust" / "core" / "Cargo.toml").read_text(encoding="utf-8")
    assert not re.search(r"^(pyo3|numpy|arrow)", manifest, re.MULTILINE)


@pytest.mark.parametrize("path", [*RUST, *PYTHON], ids=name_of)
def test_files_are_short_enough_to_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < LONGEST_FILE


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_names_of_files_say_what_is_inside(path: Path) -> None:
    parts = {part.lower() for name in path.relative_to(ROOT).parts for part in re.split(r"[._-]", name)}
    assert not parts & VAGUE_NAMES


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_path_of_a_machine(path: Path) -> None:
    if path == Path(__file__):
        return
    found = MACHINE_PATH.search(path.read_text(encoding="utf-8"))
    assert found is None, found


@pytest.mark.parametrize("path", [path for path in [*RUST, *PYTHON] if path != Path(__file__)], ids=name_of)
def test_no_leftovers(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text)
    assert not re.search(r"\bdbg!\(|\bbreakpoint\(\)|\bpdb\.set_trace", text)
    # A line of dashes is a banner; a file that needs one is two files.
    assert not re.search(r"^\s*(#|//)\s*[-=*]{4,}|^\s*(#|//) .*[-=]{10,}\s*$", text, re.MULTILINE)
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert "\t" not in text and not re.search(r"[ \t]+$", text, re.MULTILINE)


def test_public_names_are_flat_sorted_and_there() -> None:
    names = xm.__all__
    assert names == sorted(names) and len(names) == len(set(names))
    for name in names:
        thing = getattr(xm, name)
        assert thing is not None
        if isinstance(thing, type) or callable(thing):
            assert thing.__doc__, f"{name} has no docstring"


@pytest.mark.parametrize("path", [path for path in PYTHON if path.suffix == ".py"], ids=name_of)
def test_lists_of_public_names_are_sorted(path: Path) -> None:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "__all__" for target in node.targets):
            names = ast.literal_eval(node.value)
            assert names == sorted(names)


def test_importing_takes_only_numpy_along() -> None:
    """The base install has nothing else; an import at the top of a module would break it there and only there."""
    import sys

    code = (
        "import sys, numpy; before = set(sys.modules); import xmfast;"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"xmfast", "numpy", "_distutils_hack"}, done.stdout
