"""The command line: ``xmfast demo`` and ``xmfast doctor``.

What a command needs is imported when it runs, so that ``xmfast --help`` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from xmfast.crashes import CRASHES

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_MOST_ACCOUNTS = 10_000_000
_EPILOG = """\
start here:
  xmfast demo                        margin 100,000 accounts through 10 October 2025
  xmfast demo --crash 2020-03-12     the same accounts through another crash
  xmfast doctor                      what this machine offers and whether the numbers are right
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process when left out.

    Returns
    -------
    int
        Exit code: 0 fine, 1 the self-check failed, 2 wrong use or wrong input, 130 interrupted,
        141 the reader of the output went away.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        code = _demo(arguments) if arguments.command == "demo" else _doctor(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The interpreter flushes stdout once more at exit, and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("xmfast: interrupted", file=sys.stderr)
        return 130
    except MemoryError:
        return _fail("not enough memory")
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except Exception as error:
        from xmfast.errors import XmfastError

        if not isinstance(error, XmfastError):
            raise
        return _fail(str(error))


def _fail(message: str) -> int:
    print("xmfast: error: " + " ".join(message.split()), file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    # A fixed name, so that `python -m xmfast.cli` reads the same.
    parser = argparse.ArgumentParser(
        prog="xmfast",
        description="Cross margin of a whole venue: what every account is worth, needs, and risks.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    demo = commands.add_parser(
        "demo",
        help="margin generated accounts through a real crash",
        description="Margin generated accounts through a real crash, bar by bar. Needs no network.",
        epilog="crashes:\n" + "".join(f"  {name}  {title}\n" for name, title in CRASHES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    demo.add_argument(
        "--crash",
        choices=CRASHES,
        default="2025-10-10",
        metavar="DATE",
        help="one of those below (%(default)s)",
    )
    demo.add_argument(
        "--accounts", type=_accounts, default=100_000, metavar="N", help="how many accounts (%(default)s)"
    )
    demo.add_argument(
        "--seed", type=_seed, default=7, metavar="N", help="another seed draws other accounts (%(default)s)"
    )
    output = demo.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    output.add_argument("--csv", metavar="FILE", help='also write the table to FILE ("-": print it as CSV)')

    doctor = commands.add_parser(
        "doctor",
        help="show version, CPU path, threads and fork state, and check the numbers",
        description="Show version, CPU path, threads, fork state and extras, and check the numbers.",
        allow_abbrev=False,
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


class _Version(argparse.Action):
    """Print the version; looked up only when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help)

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option: str | None = None
    ) -> None:
        from importlib.metadata import version

        print(f"xmfast {version('xmfast')}")
        parser.exit()


def _accounts(text: str) -> int:
    return _integer(text, 1, _MOST_ACCOUNTS)


def _seed(text: str) -> int:
    return _integer(text, 0, 2**63 - 1)


def _integer(text: str, least: int, most: int) -> int:
    try:
        number = int(text.replace(",", ""))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{number:,} is not within {least:,} and {most:,}")
    return number


def _demo(arguments: argparse.Namespace) -> int:
    from xmfast.demo_output import run_demo

    return run_demo(
        crash_name=arguments.crash,
        accounts=arguments.accounts,
        seed=arguments.seed,
        as_json=arguments.json,
        csv_file=arguments.csv,
    )


def _doctor(arguments: argparse.Namespace) -> int:
    from xmfast.checkup import run_doctor

    return run_doctor(as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
