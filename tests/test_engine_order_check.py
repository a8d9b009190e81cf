"""What a check of an order hands back, and many checks however their columns are given."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import xmfast as xm
from small_engine import small_engine

ACCOUNTS = 3_000


def check(reason: xm.Reason = xm.Reason.ACCEPTED, margin: float = 1.5, free: float = 2.5) -> xm.OrderCheck:
    return xm.OrderCheck(reason, margin, free)


def test_its_fields_say_what_was_decided() -> None:
    engine = small_engine([("ann", "USD", 1_000.0)])
    accepted = engine.check_order("ann", "PERP", 6, 100)
    refused = engine.check_order("ann", "PERP", -1_000_000, 100.0)
    assert isinstance(accepted, xm.OrderCheck) and type(accepted.reason) is xm.Reason
    assert (accepted.accepted, accepted.reason, bool(accepted)) == (True, xm.Reason.ACCEPTED, True)
    assert (refused.accepted, refused.reason, bool(refused)) == (False, xm.Reason.INITIAL_HEALTH, False)
    assert accepted.initial_margin + accepted.free_collateral == pytest.approx(1_000.0)
    assert refused.free_collateral == 0.0 < refused.initial_margin
    with pytest.raises(xm.OrderRefusedError) as error:
        engine.place("ann", "PERP", -1_000_000, 100.0)
    assert error.value.check == refused


def test_it_is_a_value() -> None:
    assert check() == check() and hash(check()) == hash(check())
    assert check() != check(margin=1.25) and check() != check(free=0.0) and check() != check(xm.Reason.SETTLED)
    assert check() != (xm.Reason.ACCEPTED, 1.5, 2.5)
    assert repr(check()) == "OrderCheck(reason=<Reason.ACCEPTED: 'accepted'>, initial_margin=1.5, free_collateral=2.5)"
    assert xm.OrderCheck(reason=xm.Reason.SETTLED, initial_margin=0, free_collateral=0).reason is xm.Reason.SETTLED
    match check():
        case xm.OrderCheck(reason, margin, free):
            assert (reason, margin, free) == (xm.Reason.ACCEPTED, 1.5, 2.5)


@pytest.mark.parametrize("reason", list(xm.Reason))
def test_copies_are_equal(reason: xm.Reason) -> None:
    one = check(reason)
    for other in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert other == one and other.reason is reason


@pytest.mark.parametrize("name", ["accepted", "reason", "initial_margin", "free_collateral", "more"])
def test_it_does_not_change(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(check(), name, 1)


def test_an_unknown_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="'maybe' is no Reason"):
        xm.OrderCheck("maybe", 1.0, 1.0)


def test_it_documents_itself() -> None:
    assert str(inspect.signature(xm.Engine.check_order)) == (
        "(self, /, account, instrument, quantity, price, reduce_only=False)"
    )
    assert "Limit price" in (inspect.getdoc(xm.Engine.check_order) or "")
    assert list(inspect.signature(xm.Engine).parameters)[:3] == ["book", "market", "model"]


@pytest.mark.parametrize("quantity", [2, 2.0, np.float64(2), np.int64(2), Decimal("2.00000000")])
def test_contracts_in_any_form(quantity: Any) -> None:
    engine = small_engine([("ann", "USD", 1_000_000.0)])
    assert engine.check_order("ann", "PERP", quantity, 100) == engine.check_order("ann", "PERP", 2, 100)


@pytest.mark.parametrize(
    "quantity", [1e-8, 0.1 + 0.2, 123_456.78901234, 9_007_199.25474099, 67_108_864.00000001, 1e-9, 5e-324, 1e15]
)
def test_contracts_are_the_decimals_that_print(quantity: float) -> None:
    """The quick way to whole units takes and refuses what the decimal says."""
    engine = small_engine([("ann", "USD", 1e6)])
    given = Decimal(repr(quantity))
    if given == round(given, 8):
        exact = engine.check_order("ann", "PERP", given, 100)
        assert engine.check_order("ann", "PERP", quantity, 100) == exact
    else:
        with pytest.raises(xm.InputError, match="decimals"):
            engine.check_order("ann", "PERP", quantity, 100)


FORMS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "array": np.array,
    "objects": lambda ids: np.array(ids, dtype=object),
    "every other": lambda ids: np.repeat(np.array(ids), 2)[::2],
    "arrow": pa.array,
    "chunks": lambda ids: pa.chunked_array([ids[:7], ids[7:]]),
    "dictionary": lambda ids: pa.array(ids).dictionary_encode(),
    "large": lambda ids: pa.array(ids, pa.large_string() if isinstance(ids[0], str) else pa.int64()),
    "view": lambda ids: pa.array(ids, pa.string_view() if isinstance(ids[0], str) else pa.int32()),
    "polars": lambda ids: pl.Series(ids),
}

NAMES: dict[str, Callable[[int], Any]] = {
    "counting": lambda number: number - 5,
    "scattered": lambda number: (7_919 * number) % 100_003 - 50_000,
    "text": lambda number: f"kontō-{number}",
}


@pytest.fixture(scope="module", params=NAMES)
def crowd(request: pytest.FixtureRequest) -> tuple[xm.Engine, list[Any]]:
    accounts = [NAMES[request.param](number) for number in range(ACCOUNTS)]
    cash = [(account, "USD", 20.0 * number) for number, account in enumerate(accounts)]
    positions = [(account, "PERP", 0.5, 100.0) for account in accounts[::3]]
    engine = small_engine(cash, positions, accounts=accounts)
    # Not all are plain.
    for account in accounts[-300::7]:
        engine.place(account, "PERP", 0.5, 100)
    return engine, accounts


def orders(accounts: list[Any]) -> tuple[list[Any], list[str], np.ndarray[Any, Any], np.ndarray[Any, Any], Any]:
    random = np.random.default_rng(5)
    rows = random.integers(0, ACCOUNTS, 2_500).tolist()
    quantities = np.round(1_000 * random.normal(size=2_500) + 1e-3, 4)
    prices = np.round(random.uniform(90, 110, 2_500), 1)
    instruments = random.choice(["PERP", "CALL"], 2_500).tolist()
    return [accounts[row] for row in rows], instruments, quantities, prices, random.random(2_500) < 0.1


@pytest.mark.parametrize("form", FORMS)
def test_many_checks_are_single_checks(crowd: tuple[xm.Engine, list[Any]], form: str) -> None:
    engine, accounts = crowd
    names, instruments, quantities, prices, flags = orders(accounts)
    many = engine.check_orders(FORMS[form](names), FORMS[form](instruments), quantities, prices, flags)
    for row in range(0, len(names), 3):
        one = engine.check_order(
            names[row], instruments[row], float(quantities[row]), float(prices[row]), bool(flags[row])
        )
        assert one == xm.OrderCheck(*(many[name][row] for name in ("reason", "initial_margin", "free_collateral")))
        assert one.accepted == many["accepted"][row]
    assert {True, False} == set(many["accepted"].tolist())


@pytest.mark.parametrize("form", FORMS)
def test_the_first_wrong_row_is_named(crowd: tuple[xm.Engine, list[Any]], form: str) -> None:
    engine, accounts = crowd
    names, instruments, quantities, prices, _ = orders(accounts)
    unknown = "nobody" if isinstance(names[0], str) else 1 << 30
    names[2_222] = names[1_111] = unknown
    quantities[2_000] = 0.0
    before = engine.state_hash()
    with pytest.raises(xm.UnknownIdError, match=r"orders, column 'account', row 1111: no account"):
        engine.check_orders(FORMS[form](names), FORMS[form](instruments), quantities, prices)
    names[1_111] = names[0]
    with pytest.raises(xm.InputError, match=r"row 2000.*0 contracts"):
        engine.check_orders(FORMS[form](names), FORMS[form](instruments), quantities, prices)
    assert engine.state_hash() == before
