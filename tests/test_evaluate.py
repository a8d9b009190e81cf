"""The report equals the reference, and its bits depend on nothing but the numbers put in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, note

import xmfast as xm
from building import (
    SIMD_PATHS,
    assert_equals_reference,
    assert_is_right,
    bits_by_account,
    bits_of,
    build,
    reference_of,
    report_of,
    settings,
)
from reference import exact
from strategies import Venue, random_venue, select, venues

THREADS = (1, 2, 7)


@pytest.mark.parametrize("seed", range(60))
def test_random_venues(seed: int) -> None:
    report = assert_is_right(random_venue(seed, text_accounts=seed % 2 == 0))
    # A venue in which nobody is in trouble, or everybody, would prove little.
    assert 0.05 < report.liquidatable.mean() < 0.95
    assert report.bankrupt.any() and np.isinf(report.margin_ratio).any()


@given(venue=venues())
def test_small_venues(venue: Venue) -> None:
    note(repr(venue))
    assert_is_right(venue)


@given(venue=venues())
def test_exact_reference_agrees_with_the_one_in_floats(venue: Venue) -> None:
    assert_equals_reference(report_of(venue), reference_of(venue, number=exact))


@pytest.mark.parametrize("accounts", [1, 2, 4095, 4096, 4097, 8192, 12289])
def test_block_boundaries(accounts: int) -> None:
    assert len(assert_is_right(random_venue(accounts, accounts=accounts, mean_positions=2.0))) <= accounts


def test_many_assets() -> None:
    assert_is_right(random_venue(500, accounts=2_000, assets=500, instruments=600, mean_balances=20.0))


def test_many_blocks() -> None:
    assert len(assert_is_right(random_venue(1, accounts=60_000, instruments=300))) > 50_000


# One account in the first block that is hundreds of times wider than the rest; every run length up to there occurs.
@pytest.mark.parametrize("widest", [17, 64, 65, 129, 1000, 10_000])
def test_wide_accounts(widest: int) -> None:
    venue = random_venue(widest, accounts=50, assets=12, instruments=4 * widest, widest_account=widest)
    assert venue.positions is not None
    counts = np.unique(venue.positions["account"], return_counts=True)[1]
    assert widest in counts
    assert_is_right(venue)


@pytest.mark.parametrize("legs", range(1, 40))
def test_every_number_of_legs(legs: int) -> None:
    """All accounts have the same number of legs, so one packing serves a whole block."""
    instruments = [f"I{number}" for number in range(legs)]
    rng = np.random.default_rng(legs)
    venue = plain_venue(
        instruments,
        positions={
            "account": np.repeat(np.arange(9), legs).tolist(),
            "instrument": instruments * 9,
            "quantity": rng.normal(size=9 * legs).tolist(),
            "entry_price": rng.uniform(50, 150, 9 * legs).tolist(),
        },
    )
    assert_is_right(venue)


def plain_venue(instruments: list[str], positions: dict[str, Any], kind: str = "perpetual") -> Venue:
    count = len(instruments)
    return Venue(
        assets={"asset": ["USD"]},
        instruments={
            "instrument": instruments,
            "kind": [kind] * count,
            "underlying": ["X"] * count,
            "settlement": ["USD"] * count,
        },
        positions=positions,
        index_price={"X": 100.0},
        mark_price=dict.fromkeys(instruments, 100.0),
        margin={"instrument": instruments, "initial_rate": [0.1] * count, "maintenance_rate": [0.05] * count},
    )


# Rows of the table: one for nothing, four an asset, one an instrument, two if there are options. These counts straddle
# where row ids of 16 bits end.
@pytest.mark.parametrize(("kind", "count"), [("perpetual", 65_529), ("perpetual", 65_540), ("option", 32_763)])
def test_tables_around_the_end_of_16_bits(kind: str, count: int) -> None:
    for instruments in range(count, count + 4):
        names = [f"I{number}" for number in range(instruments)]
        chosen = [0, 1, 255, 256, 32_750, instruments - 2, instruments - 1]
        venue = plain_venue(
            names,
            positions={
                "account": [0, 0, 0, 1, 1, 2, 2],
                "instrument": [names[number] for number in chosen],
                "quantity": [1.0, -2.0, 3.0, -4.0, 5.0, -6.0, 7.0],
                "entry_price": [90.0] * 7,
            },
            kind=kind,
        )
        # A row id that wrapped would read another price.
        marks = {name: 50.0 + number % 101 for number, name in enumerate(names)}
        assert_is_right(replace(venue, mark_price=marks))


def test_large_table_with_many_accounts() -> None:
    assert_is_right(random_venue(65, accounts=5_000, assets=30, instruments=66_000))


@pytest.mark.parametrize("missing", ["balances", "positions", "both"])
def test_frames_left_out(missing: str) -> None:
    venue = random_venue(3)
    gone: dict[str, Any] = {name: None for name in ("balances", "positions") if missing in (name, "both")}
    report = assert_is_right(replace(venue, **gone))
    assert (len(report) == 0) == (missing == "both")


def test_parameters_left_out() -> None:
    venue = replace(random_venue(4), collateral=None)
    report = assert_is_right(venue)
    np.testing.assert_allclose(report.collateral_value, report.initial_collateral_value, rtol=1e-12, atol=1e-6)
    np.testing.assert_allclose(report.collateral_value, report.equity, rtol=1e-12, atol=1e-6)


def test_extreme_but_finite_figures() -> None:
    """Sizes from 1e-300 to 1e300 in one venue: nothing overflows on the way, nothing small is lost."""
    sizes = [10.0**power for power in range(-300, 301, 25)]
    accounts = list(range(len(sizes)))
    venue = replace(
        plain_venue(
            ["I0"],
            positions={
                "account": accounts,
                "instrument": ["I0"] * len(sizes),
                "quantity": [size / 1000 for size in sizes],
                "entry_price": [50.0] * len(sizes),
            },
        ),
        balances={"account": accounts, "asset": ["USD"] * len(sizes), "balance": [-size / 1000 for size in sizes]},
    )
    report = assert_is_right(venue)
    np.testing.assert_allclose(report.equity, [size / 1000 * 49 for size in sizes], rtol=1e-14)


def test_new_prices_need_no_new_book() -> None:
    venue = random_venue(5)
    model, book, market = build(venue)
    model.evaluate(book, market)
    rng = np.random.default_rng(5)
    for _ in range(5):
        marks = {name: price * float(rng.uniform(0.9, 1.1)) for name, price in venue.mark_price.items()}
        venue = replace(venue, mark_price=marks)
        market = market.with_prices(mark_price=marks)
        assert_equals_reference(model.evaluate(book, market), reference_of(venue))


@pytest.fixture(scope="module")
def large() -> Venue:
    return random_venue(100, accounts=15_000, assets=20, instruments=400, widest_account=300)


@pytest.fixture(scope="module")
def large_bits(large: Venue) -> dict[str, bytes]:
    with settings(threads=1, simd="scalar"):
        return bits_of(report_of(large))


@pytest.mark.parametrize("simd", SIMD_PATHS)
@pytest.mark.parametrize("threads", THREADS)
def test_threads_and_simd_change_no_bit(large: Venue, large_bits: dict[str, bytes], simd: str, threads: int) -> None:
    with settings(threads=threads, simd=simd):
        assert (xm.num_threads(), xm.simd()) == (threads, simd)
        assert bits_of(report_of(large)) == large_bits


def test_a_book_built_on_one_path_is_evaluated_on_another(large: Venue, large_bits: dict[str, bytes]) -> None:
    model, book, market = build(large)
    for simd in SIMD_PATHS:
        for threads in THREADS:
            with settings(threads=threads, simd=simd):
                assert bits_of(model.evaluate(book, market)) == large_bits


@given(venue=venues())
def test_simd_changes_no_bit_of_small_venues(venue: Venue) -> None:
    model, book, market = build(venue)
    seen = []
    for simd in SIMD_PATHS:
        with settings(simd=simd):
            seen.append(bits_of(model.evaluate(book, market)))
    assert all(bits == seen[0] for bits in seen)


@pytest.mark.parametrize("seed", range(3))
def test_order_of_rows_and_accounts_changes_no_bit(seed: int) -> None:
    venue = random_venue(200 + seed, accounts=5_000)
    assert venue.balances is not None and venue.positions is not None
    expected = bits_by_account(report_of(venue))
    rng = np.random.default_rng(seed)
    shuffled = replace(
        venue,
        balances=select(venue.balances, rng.permutation(len(venue.balances["account"]))),
        positions=select(venue.positions, rng.permutation(len(venue.positions["account"]))),
    )
    assert bits_by_account(report_of(shuffled)) == expected
    in_order = replace(
        venue,
        balances=select(venue.balances, np.argsort(venue.balances["account"], kind="stable")),
        positions=select(venue.positions, np.argsort(venue.positions["account"], kind="stable")),
    )
    assert bits_by_account(report_of(in_order)) == expected


def test_company_changes_no_bit() -> None:
    """An account has the same bits alone as among thousands: no sum crosses accounts."""
    venue = random_venue(300, accounts=5_000)
    assert venue.balances is not None and venue.positions is not None
    expected = bits_by_account(report_of(venue))
    for account in list(expected)[::500]:
        alone = replace(
            venue,
            balances=select(venue.balances, [r for r, a in enumerate(venue.balances["account"]) if a == account]),
            positions=select(venue.positions, [r for r, a in enumerate(venue.positions["account"]) if a == account]),
        )
        assert bits_by_account(report_of(alone)) == {account: expected[account]}


def test_the_kind_of_account_id_changes_no_bit() -> None:
    numbers, texts = random_venue(400), random_venue(400, text_accounts=True)
    assert bits_of(report_of(numbers)) == bits_of(report_of(texts))


def test_rows_of_zero_change_no_bit() -> None:
    venue = random_venue(500)
    assert venue.positions is not None
    held = set(zip(venue.positions["account"], venue.positions["instrument"], strict=True))
    added = [
        (account, name)
        for account in dict.fromkeys(venue.positions["account"])
        for name in venue.instruments["instrument"][:8]
        if (account, name) not in held
    ]
    assert len(added) > 100
    more = replace(
        venue,
        positions={
            "account": venue.positions["account"] + [account for account, _ in added],
            "instrument": venue.positions["instrument"] + [name for _, name in added],
            "quantity": venue.positions["quantity"] + [0.0, -0.0] * (len(added) // 2) + [0.0] * (len(added) % 2),
            "entry_price": venue.positions["entry_price"] + [1.0] * len(added),
        },
    )
    assert bits_of(report_of(more)) == bits_of(report_of(venue))


def test_arrays_and_dicts_of_prices_give_the_same_bits() -> None:
    venue = random_venue(600)
    model, book, market = build(venue)
    by_array = xm.Market(
        model.universe,
        index_price=[1.0 if name == "USD" else venue.index_price[name] for name in model.universe.index_names],
        mark_price=np.array([venue.mark_price[name] for name in model.universe.instruments]),
    )
    assert bits_of(model.evaluate(book, by_array)) == bits_of(model.evaluate(book, market))


@pytest.mark.parametrize("columns", [1, 2, 7, 8, 9, 16, 33])
@pytest.mark.parametrize("accounts", [0, 1, 5_000])
def test_contract_equals_numpy(columns: int, accounts: int) -> None:
    rng = np.random.default_rng(columns)
    counts = rng.integers(0, 30, accounts)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    rows = rng.integers(0, 200, offsets[-1])
    quantities = rng.normal(size=offsets[-1])
    table = rng.normal(size=(200, columns))
    absolute = rng.random(columns) < 0.5
    expected = np.zeros((accounts, columns))
    owner = np.repeat(np.arange(accounts), counts)
    np.add.at(expected, owner, np.where(absolute, np.abs(quantities)[:, None], quantities[:, None]) * table[rows])
    seen = []
    for simd in SIMD_PATHS:
        for threads in THREADS:
            with settings(threads=threads, simd=simd):
                out = xm.contract(offsets, rows, quantities, table, absolute)
            np.testing.assert_allclose(out, expected, rtol=0, atol=1e-12)
            seen.append(out.tobytes())
    assert len(set(seen)) == 1


def test_contract_reads_any_layout_of_its_arrays() -> None:
    rng = np.random.default_rng(0)
    offsets, rows, quantities = np.array([0, 2, 5]), np.array([0, 1, 2, 3, 0]), rng.normal(size=5)
    table = rng.normal(size=(4, 3))
    expected = xm.contract(offsets, rows, quantities, table)
    # A Fortran-ordered table that is read as it lies in memory would be transposed.
    for other in (np.asfortranarray(table), np.repeat(table, 2, axis=1)[:, ::2], table.astype(">f8")):
        assert xm.contract(offsets, rows, quantities, other).tobytes() == expected.tobytes()
    backwards = np.ascontiguousarray(quantities[::-1])[::-1]
    assert (
        xm.contract(offsets.astype(np.uint16), rows.astype(np.uint8), backwards, table).tobytes() == expected.tobytes()
    )


def test_contract_keeps_the_order_of_legs_and_fuses() -> None:
    # Only a sum from left to right keeps the 1.0; only a fused multiply-add sees the last bit of the product.
    big = 2.0**60
    out = xm.contract(np.array([0, 3]), np.array([0, 1, 2]), np.ones(3), np.array([[big], [-big], [1.0]]))
    assert out.tolist() == [[1.0]]
    one = 1.0 + 2.0**-52
    out = xm.contract(np.array([0, 2]), np.array([0, 1]), np.array([1.0, one]), np.array([[-1.0 - 2.0**-51], [one]]))
    assert out.tolist() == [[2.0**-104]]
