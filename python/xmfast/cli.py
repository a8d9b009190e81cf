"""The command line: what can be typed, and which module does it.

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

    from xmfast.commands.evaluate import InputPaths

__all__ = ["main"]

_MOST_ACCOUNTS = 10_000_000
_EPILOG = """\
start here:
  xmfast demo                        margin 100,000 accounts through 10 October 2025
  xmfast demo --crash 2020-03-12     the same accounts through another crash
  xmfast init my-venue               write a small venue in files, and say what to type next
  xmfast evaluate --help             margin the accounts in your own files
  xmfast doctor                      what this machine offers and whether the numbers are right
"""
_FILES_EPILOG = """\
Tables are Parquet, CSV (.csv, .csv.gz) or Arrow IPC (.arrow, .feather, .ipc) with the columns named above; those after
the semicolon may be left out. At least one of --balances and --positions is needed. In --prices an id is an asset or
underlying (its index price) or an instrument (its mark price). `xmfast init` writes an example of each.
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
    if "balances" in arguments and arguments.balances is None and arguments.positions is None:
        parser.error(f"{arguments.command}: --balances or --positions is needed")
    try:
        code = _COMMANDS[arguments.command](arguments)
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

    init = commands.add_parser(
        "init",
        help="write a small venue in files, to start from",
        description="Write venue.toml and sample balances, positions, prices and orders, and say what to type next.",
        allow_abbrev=False,
    )
    init.add_argument("folder", nargs="?", default=".", metavar="DIR", help="where to (the current folder)")
    init.add_argument("--force", action="store_true", help="replace files that stand there already")

    evaluate = commands.add_parser(
        "evaluate",
        help="margin the accounts in your own files",
        description="Margin the accounts in your own files and list those nearest to liquidation.",
        epilog=_FILES_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_inputs(evaluate)
    evaluate.add_argument("--out", metavar="FILE", help="write the report, a row for every account")
    evaluate.add_argument("--isolated-out", metavar="FILE", help="write the report of isolated positions")
    evaluate.add_argument(
        "--liquidation-prices", metavar="FILE", help="write every position with its liquidation and bankruptcy price"
    )
    evaluate.add_argument("--worst", type=_count, default=10, metavar="N", help="how many to list (%(default)s)")
    evaluate.add_argument("--explain", metavar="ACCOUNT", help="say line by line why an account stands as it does")
    evaluate.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    evaluate.add_argument("--progress", action="store_true", help="show on stderr what is done and how long it takes")

    explain = commands.add_parser(
        "explain",
        help="say why an account of your files stands as it does",
        description="Say line by line which holding, rate and weight made the figures of an account.",
        epilog=_FILES_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    explain.add_argument("account", metavar="ACCOUNT", help="the account, as the files name it")
    _add_inputs(explain)
    explain.add_argument("--json", action="store_true", help="print one JSON document instead of text")

    doctor = commands.add_parser(
        "doctor",
        help="show version, CPU path, threads and fork state, and check the numbers",
        description="Show version, CPU path, threads, fork state and extras, and check the numbers.",
        allow_abbrev=False,
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _add_inputs(command: argparse.ArgumentParser) -> None:
    files = command.add_argument_group("files to read")
    for option, required, what in (
        ("universe", True, "TOML: assets, instruments, and what margin they need"),
        ("model", False, "TOML: another margin model than the universe's, such as scenarios or a history"),
        (
            "prices",
            True,
            "id, price; deposit_index, borrow_index, cumulative_funding, and for scenarios of options time, "
            "implied_volatility, forward, discount_rate, settlement_average",
        ),
        ("balances", False, "account, asset, balance"),
        ("positions", False, "account, instrument, quantity, entry_price; entry_funding, isolated_margin"),
        ("orders", False, "account, instrument, quantity, price; reduce_only"),
        ("accounts", False, "account, leverage_cap"),
    ):
        files.add_argument(f"--{option}", required=required, metavar="FILE", help=what)


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


def _count(text: str) -> int:
    return _integer(text, 0, _MOST_ACCOUNTS)


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
    from xmfast.commands.demo import run_demo

    return run_demo(
        crash_name=arguments.crash,
        accounts=arguments.accounts,
        seed=arguments.seed,
        as_json=arguments.json,
        csv_file=arguments.csv,
    )


def _doctor(arguments: argparse.Namespace) -> int:
    from xmfast.commands.doctor import run_doctor

    return run_doctor(as_json=arguments.json)


def _init(arguments: argparse.Namespace) -> int:
    from xmfast.commands.init import run_init

    return run_init(arguments.folder, force=arguments.force)


def _inputs(arguments: argparse.Namespace) -> InputPaths:
    from xmfast.commands.evaluate import InputPaths

    return InputPaths(**{field: getattr(arguments, field) for field in InputPaths.__slots__})


def _evaluate(arguments: argparse.Namespace) -> int:
    from xmfast.commands.evaluate import OutputPaths, run_evaluate

    return run_evaluate(
        _inputs(arguments),
        OutputPaths(
            report=arguments.out,
            isolated=arguments.isolated_out,
            liquidation_prices=arguments.liquidation_prices,
        ),
        as_json=arguments.json,
        explain=arguments.explain,
        worst=arguments.worst,
        show_progress=arguments.progress,
    )


def _explain(arguments: argparse.Namespace) -> int:
    from xmfast.commands.evaluate import run_explain

    return run_explain(_inputs(arguments), arguments.account, as_json=arguments.json)


_COMMANDS = {"demo": _demo, "doctor": _doctor, "init": _init, "evaluate": _evaluate, "explain": _explain}


if __name__ == "__main__":
    sys.exit(main())
