"""Small portfolios named by their point; the same files are read by the tests of the Rust core."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xmfast as xm
from building import FLAGS, SIMD_PATHS, VALUES, report_of, settings
from reference import COLUMNS, evaluate, exact
from strategies import Venue

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))


def read(path: Path) -> dict[str, Any]:
    golden: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return golden


def venue_of(golden: dict[str, Any]) -> Venue:
    return Venue(
        assets=golden["universe"]["assets"],
        instruments=golden["universe"]["instruments"],
        numeraire=golden["universe"]["numeraire"],
        balances=golden["balances"],
        positions=golden["positions"],
        index_price=golden["market"]["index_price"],
        mark_price=golden["market"]["mark_price"],
        collateral=golden["collateral"],
        margin=golden["margin"],
    )


def assert_as_expected(report: xm.MarginReport, expected: dict[str, list[Any]]) -> None:
    assert report.accounts.tolist() == expected["account"]
    for name in VALUES:
        np.testing.assert_allclose(getattr(report, name), expected[name], rtol=1e-12, atol=1e-9, err_msg=name)
    # JSON has no infinity: null stands for it.
    ratio = [math.inf if value is None else value for value in expected["margin_ratio"]]
    np.testing.assert_allclose(report.margin_ratio, ratio, rtol=1e-12)
    for name in FLAGS:
        assert getattr(report, name).tolist() == expected[name], name


def test_there_are_portfolios_and_every_one_says_where_it_comes_from() -> None:
    assert len(GOLDEN) >= 15
    for path in GOLDEN:
        golden = read(path)
        assert len(golden["source"]) > 20, path.name
        assert set(golden["expected"]) == {"account", *COLUMNS}, path.name


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_report_is_as_expected(path: Path) -> None:
    golden = read(path)
    venue = venue_of(golden)
    for simd in SIMD_PATHS:
        with settings(simd=simd):
            assert_as_expected(report_of(venue), golden["expected"])


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_reference_in_exact_arithmetic_is_as_expected(path: Path) -> None:
    golden = read(path)
    inputs = [golden[name] for name in ("universe", "balances", "positions", "market", "collateral", "margin")]
    report = evaluate(*inputs, number=exact)
    for name, values in golden["expected"].items():
        # The file holds the nearest f64 of each exact figure, so nothing is left to a tolerance.
        rounded = [value if isinstance(value, str | bool) else float(value) for value in report[name]]
        assert rounded == [math.inf if value is None else value for value in values], name


def test_health_of_exactly_zero_is_healthy_to_the_last_bit() -> None:
    report = report_of(venue_of(read(Path(__file__).parent / "golden" / "health_exactly_zero.json")))
    assert report["edge"].health == 0.0
    assert not report["edge"].liquidatable
    assert report["edge"].margin_ratio == 1.0
    assert report["below"].liquidatable
