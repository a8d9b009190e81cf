"""From plain frames to xmfast's objects and back, and what it means for two reports to be equal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import xmfast as xm
from reference import COLUMNS
from strategies import Venue

FLAGS = ("liquidatable", "bankrupt")
VALUES = tuple(name for name in COLUMNS if name not in (*FLAGS, "margin_ratio"))
SIMD_PATHS: tuple[str, ...] = tuple(xm.doctor()["simd_available"])


def build(venue: Venue) -> tuple[xm.CrossMargin, xm.Book, xm.Market]:
    """Return model, book and market, so that ``model.evaluate(book, market)`` is the venue's report."""
    universe = xm.Universe.from_frames(venue.assets, venue.instruments, venue.numeraire)
    book = xm.Book.from_frames(universe, venue.balances, venue.positions)
    market = xm.Market(universe, venue.index_price, venue.mark_price)
    model = xm.CrossMargin.from_frames(universe, venue.collateral, venue.margin)
    return model, book, market


def report_of(venue: Venue) -> xm.MarginReport:
    """Return the venue's report."""
    model, book, market = build(venue)
    return model.evaluate(book, market)


def columns_of(report: xm.MarginReport) -> dict[str, Any]:
    """Return copies of all columns."""
    return {name: np.array(getattr(report, name)) for name in COLUMNS}


def bits_of(report: xm.MarginReport) -> dict[str, bytes]:
    """Return the bits of all columns, to be compared for equality."""
    return {name: values.tobytes() for name, values in columns_of(report).items()}


def bits_by_account(report: xm.MarginReport) -> dict[Any, bytes]:
    """Return the bits of every account's figures, whatever the order of accounts."""
    values = np.stack([np.asarray(getattr(report, name), dtype=np.float64) for name in COLUMNS], axis=1)
    return {account: row.tobytes() for account, row in zip(report.accounts.tolist(), values, strict=True)}


def assert_equals_reference(
    report: xm.MarginReport, expected: Mapping[str, Sequence[Any]], *, relative: float = 1e-12
) -> None:
    """Assert that a report is the reference's, within rounding.

    The scale of an error is the account's gross: the sum of the absolute parts of its figures. 1e-12 of that is a
    thousand times less than what is promised (1e-9), and still far more than f64 needs.
    """
    assert report.accounts.tolist() == list(expected["account"])
    allowed = relative * np.array([float(value) for value in expected["gross"]])
    for name in VALUES:
        wrong = np.abs(np.asarray(getattr(report, name)) - np.array([float(value) for value in expected[name]]))
        assert (wrong <= allowed).all(), _worst(report, expected, name, int(np.argmax(wrong - allowed)))
    for name, decider in (("liquidatable", "health"), ("bankrupt", "equity")):
        sure = np.abs(np.array([float(value) for value in expected[decider]])) > allowed
        same = np.asarray(getattr(report, name)) == np.array(expected[name])
        assert same[sure].all(), _worst(report, expected, name, int(np.argmin(same | ~sure)))
    # Cross-multiplied, because assets may be nothing but the rounding error of a net that is exactly 0.
    ratio = np.asarray(report.margin_ratio)
    needed, assets = (np.array([float(x) for x in expected[name]]) for name in ("weighted_needs", "weighted_assets"))
    infinite = np.isinf(ratio)
    assert not np.isnan(ratio).any() and (ratio >= 0).all()
    assert (assets[infinite] <= allowed[infinite]).all()
    finite = np.where(infinite, 0.0, ratio)
    wrong = np.where(infinite, 0.0, np.abs(finite * assets - needed) - allowed * (1 + finite))
    assert (wrong <= 0).all(), _worst(report, expected, "margin_ratio", int(np.argmax(wrong)))


def _worst(report: xm.MarginReport, expected: Mapping[str, Sequence[Any]], name: str, row: int) -> str:
    got, right = getattr(report, name)[row], expected[name][row]
    return f"{name} of account {expected['account'][row]!r}: got {got!r}, right is {right!r}"


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
