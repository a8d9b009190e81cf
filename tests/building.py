"""From plain frames to xmfast's objects and back, and what it means for two reports to be equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, TypeAlias

import numpy as np

import xmfast as xm
from reference import COLUMNS, ISOLATED_COLUMNS, evaluate
from strategies import Venue

Model: TypeAlias = "xm.CrossMargin | xm.IsolatedMargin"
Report: TypeAlias = "xm.MarginReport | xm.IsolatedReport"

FLAGS = ("liquidatable", "bankrupt")
VALUES = tuple(name for name in COLUMNS if name not in (*FLAGS, "margin_ratio"))
# Figures of an isolated position; what it is, and its notional, have no rounding error worth the name.
ISOLATED_VALUES = ("isolated_margin", "unrealized_pnl")
SIMD_PATHS: tuple[str, ...] = tuple(xm.doctor()["simd_available"])


def build(venue: Venue) -> tuple[Model, xm.Book, xm.Market]:
    """Return model, book and market, so that ``model.evaluate(book, market)`` is the venue's report."""
    universe = xm.Universe.from_frames(venue.assets, venue.instruments, venue.numeraire)
    book = xm.Book.from_frames(universe, venue.balances, venue.positions, venue.orders, venue.accounts)
    market = xm.Market(
        universe,
        venue.index_price,
        venue.mark_price,
        deposit_index=venue.deposit_index,
        borrow_index=venue.borrow_index,
        cumulative_funding=venue.cumulative_funding,
    )
    kind: type[Model] = xm.CrossMargin if venue.mode == "cross" else xm.IsolatedMargin
    return kind.from_frames(universe, venue.collateral, venue.margin), book, market


def same_rules(venue: Venue, _: Random) -> Callable[[xm.Universe], Model]:
    """Return what makes the venue's own model on any universe that has all of it."""
    kind: type[Model] = xm.CrossMargin if venue.mode == "cross" else xm.IsolatedMargin
    return lambda universe: kind.from_frames(universe, venue.collateral, venue.margin)


def report_of(venue: Venue) -> xm.MarginReport:
    """Return the venue's report."""
    model, book, market = build(venue)
    return model.evaluate(book, market)


def reference_of(venue: Venue, **options: Any) -> dict[str, Any]:
    """Return what the reference says of the venue."""
    inputs = venue.universe, venue.balances, venue.positions, venue.market, venue.collateral, venue.margin
    return evaluate(*inputs, orders=venue.orders, accounts=venue.accounts, mode=venue.mode, **options)


def assert_is_right(venue: Venue) -> xm.MarginReport:
    """Assert that the venue's report is the reference's, and return it."""
    report = report_of(venue)
    assert_equals_reference(report, reference_of(venue))
    return report


def columns_of(report: Report) -> dict[str, Any]:
    """Return copies of all columns."""
    return {name: np.array(getattr(report, name)) for name in COLUMNS}


def bits_of(report: Report) -> dict[str, bytes]:
    """Return the bits of all columns, to be compared for equality."""
    return {name: values.tobytes() for name, values in columns_of(report).items()}


def isolated_bits_of(report: xm.MarginReport) -> dict[str, Any]:
    """Return the same of the isolated positions, and which they are."""
    isolated = report.isolated
    figures = ("quantity", "isolated_margin", "notional", "unrealized_pnl")
    return {
        "position": list(zip(isolated.accounts.tolist(), isolated.instruments.tolist(), strict=True)),
        **{name: np.array(getattr(isolated, name)).tobytes() for name in figures},
        **bits_of(isolated),
    }


def bits_by_account(report: xm.MarginReport) -> dict[Any, bytes]:
    """Return the bits of every account's figures, whatever the order of accounts."""
    return dict(zip(report.accounts.tolist(), _rows_of(report, COLUMNS), strict=True))


def isolated_bits_by_position(report: xm.MarginReport) -> dict[tuple[Any, Any], bytes]:
    """Return the bits of every isolated position's figures, whatever the order of accounts."""
    isolated = report.isolated
    positions = zip(isolated.accounts.tolist(), isolated.instruments.tolist(), strict=True)
    return dict(zip(positions, _rows_of(isolated, (*ISOLATED_COLUMNS[1:], *COLUMNS)), strict=True))


def _rows_of(report: Report, names: Sequence[str]) -> list[bytes]:
    values = np.stack([np.asarray(getattr(report, name), dtype=np.float64) for name in names], axis=1)
    return [row.tobytes() for row in values]


def assert_equals_reference(report: xm.MarginReport, expected: Mapping[str, Any], *, relative: float = 1e-12) -> None:
    """Assert that a report is the reference's, within rounding.

    The scale of an error is the account's gross: the sum of the absolute parts of its figures. 1e-12 of that is a
    thousand times less than what is promised (1e-9), and still far more than f64 needs.
    """
    assert report.accounts.tolist() == list(expected["account"])
    _assert_figures(report, expected, expected["account"], VALUES, relative)
    isolated, rows = report.isolated, expected["isolated"]
    which = list(zip(rows["account"], rows["instrument"], strict=True))
    assert list(zip(isolated.accounts.tolist(), isolated.instruments.tolist(), strict=True)) == which
    np.testing.assert_array_equal(isolated.quantity, [float(quantity) for quantity in rows["quantity"]])
    np.testing.assert_allclose(isolated.notional, [float(value) for value in rows["notional"]], rtol=relative)
    _assert_figures(isolated, rows, which, (*VALUES, *ISOLATED_VALUES), relative)


def _assert_figures(
    report: Report, expected: Mapping[str, Sequence[Any]], who: Sequence[Any], names: Sequence[str], relative: float
) -> None:
    def worst(name: str, row: Any) -> str:
        return f"{name} of {who[row]!r}: got {getattr(report, name)[row]!r}, right is {expected[name][row]!r}"

    allowed = relative * np.array([float(value) for value in expected["gross"]])
    for name in names:
        wrong = np.abs(np.asarray(getattr(report, name)) - np.array([float(value) for value in expected[name]]))
        assert (wrong <= allowed).all(), worst(name, np.argmax(wrong - allowed))
    for name, decider in (("liquidatable", "health"), ("bankrupt", "equity")):
        sure = np.abs(np.array([float(value) for value in expected[decider]])) > allowed
        same = np.asarray(getattr(report, name)) == np.array(expected[name])
        assert same[sure].all(), worst(name, np.argmin(same | ~sure))
    # Cross-multiplied, because assets may be nothing but the rounding error of a net that is exactly 0.
    ratio = np.asarray(report.margin_ratio)
    needed, assets = (np.array([float(x) for x in expected[name]]) for name in ("weighted_needs", "weighted_assets"))
    infinite = np.isinf(ratio)
    assert not np.isnan(ratio).any() and (ratio >= 0).all()
    assert (assets[infinite] <= allowed[infinite]).all()
    finite = np.where(infinite, 0.0, ratio)
    wrong = np.where(infinite, 0.0, np.abs(finite * assets - needed) - allowed * (1 + finite))
    assert (wrong <= 0).all(), worst("margin_ratio", np.argmax(wrong))


@contextmanager
def settings(*, threads: int | None = None, simd: str = "auto") -> Iterator[None]:
    """Run with so many threads on this instruction set, then as before."""
    before = xm.num_threads(), xm.simd()
    try:
        xm.set_num_threads(threads)
        xm.set_simd(simd)
        yield
    finally:
        xm.set_num_threads(before[0])
        xm.set_simd(before[1])
