"""Run the tutorial: ``python docs/run_tutorial.py`` checks what it shows, ``--write`` writes page and notebook anew.

``tutorial.md`` is the one source. Its shell and Python blocks run in order in a copy of ``docs/venue``; what each
prints stands in the ``text`` block behind it. The notebook has the same blocks as cells and the same output; a picture
is shown there alone.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
PICTURE = "application/vnd.plotly.v1+json"
# A reader of the page goes to a copy of the venue by hand; the notebook lies beside the venue, wherever it is opened.
FIRST_CELL = """\
import os
import shutil
import tempfile

# Work in a copy of the venue, so that the one beside this notebook stays as it is.
os.chdir(shutil.copytree("venue", tempfile.mkdtemp(), dirs_exist_ok=True))"""
BLOCK = re.compile(r"```(?P<language>sh|python)\n(?P<code>.*?)```\n(?:\n```text\n(?P<output>.*?)```\n)?", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of the tutorial, and what stands before it."""

    prose: str
    language: str
    code: str
    output: str


def read() -> tuple[list[Block], str]:
    """Return the blocks, and what stands after the last one."""
    text, blocks, end = (HERE / "tutorial.md").read_text(encoding="utf-8"), [], 0
    for found in BLOCK.finditer(text):
        prose = text[end : found.start()]
        blocks.append(Block(prose, found["language"], found["code"], found["output"] or ""))
        end = found.end()
    return blocks, text[end:]


@contextlib.contextmanager
def copy_of(source: Path) -> Iterator[None]:
    """Work in a copy of a folder, with this interpreter's commands first."""
    before, environment = Path.cwd(), dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
        # A notebook's shell calls itself a terminal.
        os.environ |= {"NO_COLOR": "1", "TERM": "dumb", "PLOTLY_RENDERER": "plotly_mimetype"}
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
            os.environ.clear()
            os.environ.update(environment)


def outputs(blocks: list[Block]) -> list[str]:
    """Run the blocks and return what each prints."""
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = []
    with copy_of(HERE / "venue"):
        for block in blocks:
            if block.language == "sh":
                done = subprocess.run(["bash", "-euc", block.code], capture_output=True, text=True, check=False)
                printed.append(done.stdout + done.stderr)
            else:
                printed.append(_python(block.code, names))
    return printed


def _python(code: str, names: dict[str, Any]) -> str:
    """Run code as a notebook does: the value of a last expression is shown."""
    tree = ast.parse(code)
    last = tree.body[-1] if isinstance(tree.body[-1], ast.Expr) else None
    if last is not None:
        tree.body.pop()
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        exec(compile(tree, "tutorial", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "tutorial", "eval"), names)
            if value is not None and not hasattr(value, "to_plotly_json"):
                print(repr(value))
    return shown.getvalue()


def markdown(blocks: list[Block], rest: str, printed: list[str]) -> str:
    """Return the tutorial with these outputs."""
    parts = []
    for block, output in zip(blocks, printed, strict=True):
        shown = f"\n```text\n{output}```\n" if output else ""
        parts.append(f"{block.prose}```{block.language}\n{block.code}```\n{shown}")
    return "".join(parts) + rest


def notebook(blocks: list[Block], rest: str) -> Any:
    """Return the tutorial as a notebook, executed."""
    import nbformat
    from nbclient import NotebookClient
    from traitlets.config import Config

    cells = []
    for block in blocks:
        cells.append(nbformat.v4.new_markdown_cell(block.prose.strip()))
        code = block.code.rstrip()
        if block.language == "sh":
            code = "\n".join(f"!{line}" for line in code.splitlines())
        cells.append(nbformat.v4.new_code_cell(code))
    if rest.strip():
        cells.append(nbformat.v4.new_markdown_cell(rest.strip()))
    cells.insert(1, nbformat.v4.new_code_cell(FIRST_CELL))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    made = nbformat.v4.new_notebook(cells=cells)
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    with copy_of(HERE):
        # Files, not ports, between this process and the notebook's.
        config = Config({"KernelManager": {"transport": "ipc"}})
        NotebookClient(made, timeout=120, kernel_name="python3", config=config).execute()
    for cell in made.cells:
        # Times and versions are no part of what is shown.
        cell.metadata.clear()
    made.metadata.pop("language_info", None)
    return made


def shown(made: Any) -> list[str]:
    """Return what each block's cell of a notebook shows as text; pictures are none."""
    texts = []
    for cell in made.cells:
        if cell.cell_type != "code" or cell.source == FIRST_CELL:
            continue
        parts = []
        for output in cell.outputs:
            if output.output_type == "stream":
                parts.append(output.text)
            elif PICTURE not in output.data:
                parts.append(output.data["text/plain"] + "\n")
        texts.append("".join(parts).replace("\r\n", "\n"))
    return texts


def pictures(made: Any) -> list[Any]:
    """Return the pictures of a notebook."""
    outputs = [output for cell in made.cells if cell.cell_type == "code" for output in cell.outputs]
    return [output.data[PICTURE] for output in outputs if PICTURE in output.get("data", {})]


def main() -> int:
    """Check or write the tutorial and its notebook."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write tutorial.md and tutorial.ipynb anew")
    options = parser.parse_args()
    blocks, rest = read()
    printed = outputs(blocks)
    if options.write:
        import nbformat

        (HERE / "tutorial.md").write_text(markdown(blocks, rest, printed), encoding="utf-8")
        nbformat.write(notebook(blocks, rest), HERE / "tutorial.ipynb")
        return 0
    stale = [block.code for block, output in zip(blocks, printed, strict=True) if block.output != output]
    for code in stale:
        print(f"shows something else now:\n{code}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
