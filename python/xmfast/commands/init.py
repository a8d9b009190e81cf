"""What ``xmfast init`` does: a small venue in files, to start from."""

from __future__ import annotations

import os
import shlex
from importlib.resources import files
from importlib.util import find_spec

from xmfast.errors import FileError
from xmfast.files.output_file import binary_output

__all__ = ["run_init"]

# In the order of the option that takes each.
_FILES = {
    "universe": "venue.toml",
    "balances": "balances.csv",
    "positions": "positions.csv",
    "prices": "prices.csv",
    "orders": "orders.csv",
}


_MODEL = "portfolio.toml"


def run_init(folder: str, *, force: bool) -> int:
    """Write the files and print what to type next.

    Parameters
    ----------
    folder : str
        Where to; made if it is not there.
    force : bool
        Replace files that stand there already.

    Returns
    -------
    int
        Exit code 0.

    Raises
    ------
    FileError
        One of the files stands there already; nothing is written then.
    """
    paths = {option: os.path.join(folder, name) if folder != "." else name for option, name in _FILES.items()}
    model = os.path.join(folder, _MODEL) if folder != "." else _MODEL
    written = {**{path: _FILES[option] for option, path in paths.items()}, model: _MODEL}
    if not force:
        for path in written:
            if os.path.lexists(path):
                raise FileError(f"{path}: stands there already, and nothing was written; --force replaces it")
    os.makedirs(folder, exist_ok=True)
    template = files("xmfast.commands") / "template"
    for path, name in written.items():
        with binary_output(path) as file:
            file.write((template / name).read_bytes())
    print(f"Wrote {', '.join(written.values())}" + ("." if folder == "." else f" in {folder}."))
    print("\nWhat the venue is worth and who is in danger:")
    print("  xmfast evaluate " + " ".join(f"--{option} {shlex.quote(path)}" for option, path in paths.items()))
    print(f"\nWith --model {shlex.quote(model)} behind it: the same under margin by scenarios.")
    print("\nThen put your own assets, instruments and rates into the first, your own data into the others.")
    if find_spec("pyarrow") is None:
        print("Reading them needs pyarrow, which is not installed: pip install 'xmfast[frames]'")
    return 0
