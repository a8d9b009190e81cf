"""Events that cannot be or may not be: refused by name, and nothing has changed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import xmfast as xm
from small_engine import small_engine
from standing import INF, NAN, NO_NUMBERS, NOT_FINITE, refused
from standing_engine import standing_engine, unchanged

D = Decimal
# What no ledger of eight decimals holds: more than 2^96 units.
TOO_LARGE: list[Any] = [1e22, -1e300, 1.7976931348623157e308, 2**96, -(2**200), D("1e21")]
BEYOND_FLOATS: list[Any] = [10**400, D("1e400")]
TOO_FINE: list[Any] = [1e-9, 0.123456789, D("1.000000001"), 5e-324, 1 / 3, -2e-9]
NO_IDS: list[Any] = [None, 1.5, NAN, True, b"ann", ("ann",), object(), D(1)]

Act = Callable[[xm.Engine], object]


@pytest.fixture(scope="module")
def opened() -> xm.Engine:
    return standing_engine()


@pytest.fixture
def engine(opened: xm.Engine) -> Iterator[xm.Engine]:
    with unchanged(opened):
        yield opened


def told(act: Act) -> str:
    return inspect.getsource(act).strip()


# Numbers, wherever there is one: the word is what the error calls it.
QUANTITIES: dict[str, Callable[[Any], Act]] = {
    "check_order": lambda bad: lambda engine: engine.check_order("ann", "PERP", bad, 100),
    "place": lambda bad: lambda engine: engine.place("ann", "PERP", bad, 100),
    "amend": lambda bad: lambda engine: engine.amend(1, quantity=bad),
    "fill": lambda bad: lambda engine: engine.fill("ann", "PERP", bad, 100),
    "fill of an order": lambda bad: lambda engine: engine.fill("ann", "PERP", bad, 99, 0, 1),
    "trade": lambda bad: lambda engine: engine.trade("ann", "bob", "PERP", bad, 100),
}
PRICES: dict[str, Callable[[Any], Act]] = {
    "check_order": lambda bad: lambda engine: engine.check_order("ann", "PERP", 1, bad),
    "place": lambda bad: lambda engine: engine.place("ann", "PERP", 1, bad),
    "amend": lambda bad: lambda engine: engine.amend(1, price=bad),
    "fill": lambda bad: lambda engine: engine.fill("ann", "PERP", 1, bad),
    "trade": lambda bad: lambda engine: engine.trade("ann", "bob", "PERP", 1, bad),
    "settle": lambda bad: lambda engine: engine.settle("PERP", bad),
}
TICKS: dict[str, Callable[[Any], Act]] = {
    "tick": lambda bad: lambda engine: engine.tick("PERP", bad),
    "tick of an index": lambda bad: lambda engine: engine.tick(index="BTC", price=bad),
    "ticks": lambda bad: lambda engine: engine.ticks(["INVERSE", "PERP"], [49_000.0, bad]),
}
AMOUNTS: dict[str, Callable[[Any], Act]] = {
    "deposit": lambda bad: lambda engine: engine.deposit("ann", "USD", bad),
    "withdraw": lambda bad: lambda engine: engine.withdraw("ann", "USD", bad),
    "transfer": lambda bad: lambda engine: engine.transfer("ann", "bob", "USD", bad),
    "transfer of contracts": lambda bad: lambda engine: engine.transfer("ann", "bob", "PERP", bad),
    "exchange: sold": lambda bad: lambda engine: engine.exchange("ann", "USD", "BTC", bad, 1),
    "exchange: bought": lambda bad: lambda engine: engine.exchange("ann", "USD", "BTC", 1, bad),
}
FEES: dict[str, Callable[[Any], Act]] = {
    "fill": lambda bad: lambda engine: engine.fill("ann", "PERP", 1, 100, bad),
    "trade: maker": lambda bad: lambda engine: engine.trade("ann", "bob", "PERP", 1, 100, bad),
    "trade: taker": lambda bad: lambda engine: engine.trade("ann", "bob", "PERP", 1, 100, 0, bad),
    "exchange": lambda bad: lambda engine: engine.exchange("ann", "USD", "BTC", 1, 1, bad),
}
ACCRUED: dict[str, Callable[[Any], Act]] = {
    "funding": lambda bad: lambda engine: engine.accrue(funding={"PERP": bad}),
    "deposit index": lambda bad: lambda engine: engine.accrue(interest={"USD": (bad, 2)}),
    "borrow index": lambda bad: lambda engine: engine.accrue(interest={"USD": (2, bad)}),
}
NUMBERS = {
    (word, name): make
    for word, makes in (
        ("quantity", QUANTITIES),
        ("price", PRICES),
        ("price", TICKS),
        ("amount", AMOUNTS),
        ("fee", FEES),
        ("", ACCRUED),
    )
    for name, make in makes.items()
}
every_number = pytest.mark.parametrize("where", NUMBERS, ids=lambda where: " of ".join(where) or "accrue")


@every_number
@pytest.mark.parametrize("bad", NOT_FINITE)
def test_numbers_that_are_not_finite(engine: xm.Engine, where: Any, bad: float) -> None:
    refused(lambda: NUMBERS[where](bad)(engine), xm.InputError, where[0], "finite")


@every_number
@pytest.mark.parametrize("bad", [bad for bad in NO_NUMBERS if bad is not None], ids=repr)
def test_what_is_no_number(engine: xm.Engine, where: Any, bad: Any) -> None:
    act = NUMBERS[where](bad)
    if where[1] == "ticks":
        # A column is read as a whole, so that a list of one type and a list of another are told apart.
        refused(lambda: act(engine), xm.ColumnError, "ticks", "price")
    else:
        refused(lambda: act(engine), xm.ColumnError, where[0])


@pytest.mark.parametrize("where", [where for where in NUMBERS if where[1] != "amend"], ids=" of ".join)
def test_none_is_no_number_where_one_is_needed(engine: xm.Engine, where: Any) -> None:
    with pytest.raises(TypeError):
        NUMBERS[where](None)(engine)


@every_number
@pytest.mark.parametrize("bad", BEYOND_FLOATS, ids=["int", "Decimal"])
def test_numbers_beyond_floats(engine: xm.Engine, where: Any, bad: Any) -> None:
    refused(lambda: NUMBERS[where](bad)(engine), xm.InputError, where[0], "large")


@pytest.mark.parametrize("where", [*QUANTITIES, *AMOUNTS, *FEES])
@pytest.mark.parametrize("bad", TOO_LARGE, ids=repr)
def test_amounts_too_large_for_the_ledger(engine: xm.Engine, where: str, bad: Any) -> None:
    for word, makes in (("quantity", QUANTITIES), ("amount", AMOUNTS), ("fee", FEES)):
        if where in makes:
            refused(lambda: makes[where](bad)(engine), xm.InputError, word, "too large")  # noqa: B023


@pytest.mark.parametrize("where", [*QUANTITIES, *AMOUNTS])
@pytest.mark.parametrize("bad", TOO_FINE, ids=repr)
def test_amounts_with_more_decimals_than_the_ledger(engine: xm.Engine, where: str, bad: Any) -> None:
    """They are refused rather than rounded: a venue and its ledger would disagree from then on."""
    for word, makes in (("quantity", QUANTITIES), ("amount", AMOUNTS)):
        if where in makes:
            refused(lambda: makes[where](bad)(engine), xm.InputError, word, "8 decimals")  # noqa: B023


def test_decimals_are_those_of_the_asset() -> None:
    engine = small_engine(balances=[("ann", "USD", 100), ("ann", "BTC", 1)], decimals={"USD": 2, "BTC": 18})
    refused(lambda: engine.deposit("ann", "USD", 0.001), xm.InputError, "amount", "2 decimals")
    engine.deposit("ann", "BTC", D("0.000000000000000001"))
    refused(lambda: engine.deposit("ann", "BTC", D("0.0000000000000000001")), xm.InputError, "18 decimals")
    # Contracts always have eight.
    engine.fill("ann", "PERP", D("0.00000001"), 100)
    assert engine.ledger()["USD"].street == D("0.01")


@pytest.mark.parametrize("where", QUANTITIES)
@pytest.mark.parametrize("bad", [0, 0.0, -0.0, D("0E-30")], ids=repr)
def test_orders_and_fills_of_nothing(engine: xm.Engine, where: str, bad: Any) -> None:
    # An order that is amended to nothing would change its side, too.
    refused(lambda: QUANTITIES[where](bad)(engine), xm.RefusedError if where == "amend" else xm.InputError)


@pytest.mark.parametrize("where", AMOUNTS)
@pytest.mark.parametrize("bad", [0, -0.0, -1, D("-0.00000001")], ids=repr)
def test_amounts_are_above_0(engine: xm.Engine, where: str, bad: Any) -> None:
    refused(lambda: AMOUNTS[where](bad)(engine), xm.InputError, "amount")


@pytest.mark.parametrize("where", [*PRICES, *TICKS])
@pytest.mark.parametrize("bad", [0, -0.0, -1.0, -1e-9], ids=repr)
def test_prices_that_the_instrument_cannot_have(engine: xm.Engine, where: str, bad: Any) -> None:
    if where == "tick of an index":
        if bad != 0:
            refused(lambda: TICKS[where](bad)(engine), xm.InputError, "BTC", "negative")
        return
    refused(lambda: (PRICES | TICKS)[where](bad)(engine), xm.InputError, "PERP", "> 0")


@pytest.mark.parametrize(
    ("instrument", "bad"), [("INVERSE", 0), ("INVERSE", -1), ("CALL", -0.01), ("OIL", NAN), ("OIL", INF)]
)
def test_prices_of_other_kinds(engine: xm.Engine, instrument: str, bad: float) -> None:
    refused(lambda: engine.tick(instrument, bad), xm.InputError, instrument)
    refused(lambda: engine.fill("ann", instrument, 1, bad), xm.InputError, instrument)
    refused(lambda: engine.check_order("ann", instrument, 1, bad), xm.InputError, instrument)


@pytest.mark.parametrize("bad", [0, -1])
@pytest.mark.parametrize("which", ["deposit index", "borrow index"])
def test_interest_indices_are_above_0(engine: xm.Engine, which: str, bad: int) -> None:
    refused(lambda: ACCRUED[which](bad)(engine), xm.InputError, which.replace(" ", "_"), "USD", "> 0")


# Ids


OF_ACCOUNTS: list[Callable[[Any], Act]] = [
    lambda bad: lambda engine: engine.check_order(bad, "PERP", 1, 100),
    lambda bad: lambda engine: engine.place(bad, "PERP", 1, 100),
    lambda bad: lambda engine: engine.open_orders(bad),
    lambda bad: lambda engine: engine.fill(bad, "PERP", 1, 100),
    lambda bad: lambda engine: engine.trade(bad, "bob", "PERP", 1, 100),
    lambda bad: lambda engine: engine.trade("bob", bad, "PERP", 1, 100),
    lambda bad: lambda engine: engine.deposit(bad, "USD", 1),
    lambda bad: lambda engine: engine.withdraw(bad, "USD", 1),
    lambda bad: lambda engine: engine.transfer(bad, "bob", "USD", 1),
    lambda bad: lambda engine: engine.transfer("bob", bad, "USD", 1),
    lambda bad: lambda engine: engine.transfer("bob", bad, "PERP", 1),
    lambda bad: lambda engine: engine.exchange(bad, "USD", "BTC", 1, 1),
]
OF_INSTRUMENTS: list[Callable[[Any], Act]] = [
    lambda bad: lambda engine: engine.check_order("ann", bad, 1, 100),
    lambda bad: lambda engine: engine.place("ann", bad, 1, 100),
    lambda bad: lambda engine: engine.fill("ann", bad, 1, 100),
    lambda bad: lambda engine: engine.trade("ann", "bob", bad, 1, 100),
    lambda bad: lambda engine: engine.tick(bad, 100),
    lambda bad: lambda engine: engine.settle(bad, 100),
    lambda bad: lambda engine: engine.accrue(funding={bad: 1}),
]
OF_ASSETS: list[Callable[[Any], Act]] = [
    lambda bad: lambda engine: engine.deposit("ann", bad, 1),
    lambda bad: lambda engine: engine.withdraw("ann", bad, 1),
    lambda bad: lambda engine: engine.exchange("ann", bad, "BTC", 1, 1),
    lambda bad: lambda engine: engine.exchange("ann", "BTC", bad, 1, 1),
    lambda bad: lambda engine: engine.tick(index=bad, price=100),
    lambda bad: lambda engine: engine.accrue(interest={bad: (1, 1)}),
]


@pytest.mark.parametrize("make", OF_ACCOUNTS, ids=told)
def test_unknown_accounts(engine: xm.Engine, make: Callable[[Any], Act]) -> None:
    refused(lambda: make("anna")(engine), xm.UnknownIdError, "account", "'anna'", "did you mean 'ann'")
    refused(lambda: make(7)(engine), xm.UnknownIdError, "account", "7")


@pytest.mark.parametrize("make", OF_INSTRUMENTS, ids=told)
def test_unknown_instruments(engine: xm.Engine, make: Callable[[Any], Act]) -> None:
    refused(lambda: make("PERPS")(engine), xm.UnknownIdError, "instrument", "'PERPS'", "did you mean 'PERP'")
    # An asset is none.
    refused(lambda: make("BTC")(engine), xm.UnknownIdError, "instrument", "'BTC'", "known")


@pytest.mark.parametrize("make", OF_ASSETS, ids=told)
def test_unknown_assets(engine: xm.Engine, make: Callable[[Any], Act]) -> None:
    refused(lambda: make("USDT")(engine), xm.UnknownIdError, "asset", "'USDT'", "USD")
    refused(lambda: make("PERP")(engine), xm.UnknownIdError, "asset", "'PERP'", "known")


@pytest.mark.parametrize("make", [*OF_ACCOUNTS, *OF_INSTRUMENTS, *OF_ASSETS], ids=told)
@pytest.mark.parametrize("bad", NO_IDS, ids=repr)
def test_what_is_no_id(engine: xm.Engine, make: Callable[[Any], Act], bad: Any) -> None:
    if bad is None and "tick" in told(make):
        # As if it had been left out.
        with pytest.raises(TypeError, match="needed"):
            make(bad)(engine)
        return
    refused(lambda: make(bad)(engine), xm.UnknownIdError, "id")


def test_what_may_be_either_is_looked_for_among_both(engine: xm.Engine) -> None:
    """Ticks and transfers name instruments and assets alike."""
    refused(
        lambda: engine.ticks(["PERPS"], [1.0]), xm.UnknownIdError, "ticks", "row 0", "'PERPS'", "did you mean 'PERP'"
    )
    refused(lambda: engine.ticks(["PERP", "BTCC"], [1.0, 1.0]), xm.UnknownIdError, "row 1", "did you mean 'BTC'")
    refused(lambda: engine.transfer("ann", "bob", "PERPS", 1), xm.UnknownIdError, "'PERPS'", "did you mean 'PERP'")
    refused(lambda: engine.transfer("ann", "bob", "USDD", 1), xm.UnknownIdError, "'USDD'", "did you mean 'USD'")


# What the state does not allow


FORBIDDEN: list[tuple[Act, tuple[str, ...]]] = [
    (lambda engine: engine.fill("ann", "PERP", 1, 99, order_id=99), ("fill", "order 99")),
    (lambda engine: engine.fill("bob", "PERP", 1, 99, order_id=1), ("fill", "order 1")),
    (lambda engine: engine.fill("ann", "OIL", 1, -6, order_id=1), ("order 1", "instrument")),
    (lambda engine: engine.fill("ann", "PERP", -1, 99, order_id=1), ("order 1", "side")),
    (lambda engine: engine.fill("ann", "PERP", 2.00000001, 99, order_id=1), ("order 1", "less")),
    (lambda engine: engine.fill("ann", "PERP", 1, 99.01, order_id=1), ("order 1", "99.01", "99", "limit")),
    (lambda engine: engine.fill("bob", "INVERSE", -1, 50_999, order_id=2), ("order 2", "limit")),
    (lambda engine: engine.trade("ann", "bob", "PERP", -3, 99, maker_order=1), ("order 1",)),
    (lambda engine: engine.trade("ann", "bob", "PERP", -1, 99, taker_order=2), ("order 2",)),
    (lambda engine: engine.trade("ann", "ann", "PERP", 1, 99), ("trade", "itself")),
    (lambda engine: engine.amend(99, quantity=1), ("amend", "99")),
    (lambda engine: engine.amend(0, price=1), ("amend", "0")),
    (lambda engine: engine.amend(1, quantity=-1), ("amend", "order 1", "side")),
    (lambda engine: engine.cancel(99), ("cancel", "99")),
    (lambda engine: engine.cancel(2**63), ("cancel", str(2**63))),
    (lambda engine: engine.cancel(-1), ("-1",)),
    (lambda engine: engine.withdraw("ann", "USD", 9_000_000), ("withdraw", "USD", "borrow")),
    (lambda engine: engine.withdraw("ann", "BTC", 0.00000001), ("withdraw", "BTC", "borrow")),
    (lambda engine: engine.withdraw("dan", "USD", 99), ("withdraw", "dan", "initial margin")),
    (lambda engine: engine.withdraw("cat", "USD", 1), ("withdraw",)),
    (lambda engine: engine.transfer("ann", "ann", "USD", 1), ("transfer", "same")),
    (lambda engine: engine.transfer("ann", "ann", "PERP", 1), ("transfer", "same")),
    (lambda engine: engine.transfer("dan", "ann", "USD", 99), ("transfer", "dan", "initial margin")),
    (lambda engine: engine.transfer("ann", "bob", "PERP", 3.00000001), ("transfer", "fewer")),
    (lambda engine: engine.transfer("ann", "bob", "CALL", 1), ("transfer", "fewer")),
    (lambda engine: engine.transfer("ann", "bob", "INVERSE", 1), ("transfer", "isolated")),
    (lambda engine: engine.transfer("bob", "cat", "OIL", 1), ("transfer", "cat", "initial margin")),
    (lambda engine: engine.exchange("ann", "USD", "USD", 1, 1), ("exchange", "itself")),
    (lambda engine: engine.exchange("ann", "BTC", "USD", 1, 1), ("exchange", "BTC", "borrow")),
    (lambda engine: engine.exchange("dan", "USD", "BTC", 99, 0.00000001), ("exchange", "dan", "initial margin")),
    (lambda engine: engine.accrue("2026-11-23T11:59"), ("accrue", "back")),
    (lambda engine: engine.add_account("ann"), ("add_account", "'ann'")),
    (lambda engine: engine.add_account(7), ("add_account", "7", "kind")),
    (lambda engine: engine.deposit("ann", "USD", 2, client_id="first"), ("client_id", "'first'")),
    (lambda engine: engine.withdraw("ann", "USD", 1, client_id="first"), ("client_id", "'first'")),
]
SETTLED: list[Act] = [
    lambda engine: engine.place("ann", "COINCALL", 1, 0.01),
    lambda engine: engine.fill("ann", "COINCALL", 1, 0.01),
    lambda engine: engine.fills(["ann"], ["COINCALL"], [1.0], [0.01]),
    lambda engine: engine.trade("ann", "bob", "COINCALL", 1, 0.01),
    lambda engine: engine.transfer("ann", "bob", "COINCALL", 1),
    lambda engine: engine.tick("COINCALL", 0.01),
    lambda engine: engine.ticks(["PERP", "COINCALL"], [90, 0.01]),
    lambda engine: engine.settle("COINCALL", 0.01),
]


@pytest.mark.parametrize("at", range(len(FORBIDDEN)), ids=lambda at: told(FORBIDDEN[at][0])[:80])
def test_what_the_state_does_not_allow(engine: xm.Engine, at: int) -> None:
    act, words = FORBIDDEN[at]
    refused(lambda: act(engine), xm.RefusedError, *words)


@pytest.mark.parametrize("act", SETTLED, ids=told)
def test_what_is_settled_is_over(engine: xm.Engine, act: Act) -> None:
    with pytest.raises(xm.RefusedError, match="settled"):
        act(engine)


@pytest.mark.parametrize("name", ["order_id", "maker_order", "taker_order", "amend", "cancel"])
@pytest.mark.parametrize("bad", ["1", 1.0, D(1), True, None, [1]], ids=repr)
def test_what_is_no_number_of_an_order(engine: xm.Engine, name: str, bad: Any) -> None:
    acts: dict[str, Act] = {
        "order_id": lambda engine: engine.fill("ann", "PERP", 1, 99, order_id=bad),
        "maker_order": lambda engine: engine.trade("ann", "bob", "PERP", -1, 99, maker_order=bad),
        "taker_order": lambda engine: engine.trade("bob", "ann", "PERP", 1, 99, taker_order=bad),
        "amend": lambda engine: engine.amend(bad, quantity=1),
        "cancel": lambda engine: engine.cancel(bad),
    }
    if bad is None and name not in ("amend", "cancel"):
        # No order is meant; these are done.
        acts[name](standing_engine())
        return
    with pytest.raises(TypeError, match="order"):
        acts[name](engine)


@pytest.mark.parametrize("bad", [3, b"first", ("a",), True], ids=repr)
def test_what_is_no_client_id(engine: xm.Engine, bad: Any) -> None:
    with pytest.raises(TypeError, match="client_id"):
        engine.deposit("ann", "USD", 1, client_id=bad)


@pytest.mark.parametrize("bad", [1, 0, "yes", None], ids=repr)
def test_what_is_no_flag(engine: xm.Engine, bad: Any) -> None:
    with pytest.raises(TypeError, match="reduce_only"):
        engine.check_order("ann", "PERP", -1, 100, bad)
    with pytest.raises(TypeError, match="reduce_only"):
        engine.place("ann", "PERP", -1, 100, reduce_only=bad)
    if bad is not None:
        refused(
            lambda: engine.check_orders(["ann"], ["PERP"], [-1.0], [100.0], [bad]),
            xm.ColumnError,
            "reduce_only",
            "row 0",
        )


# Everybody


def test_accruals_that_cannot_be(engine: xm.Engine) -> None:
    refused(lambda: engine.accrue("soon"), xm.InputError, "time", "'soon'")
    refused(lambda: engine.accrue(np.datetime64("NaT")), xm.InputError, "time")
    refused(lambda: engine.accrue(funding={"CALL": 1}), xm.InputError, "CALL", "option")
    bad: Any
    for bad in (5, [("PERP", 1)], "PERP"):
        refused(lambda: engine.accrue(funding=bad), xm.ParameterError, "funding")  # noqa: B023
        refused(lambda: engine.accrue(interest=bad), xm.ParameterError, "interest")  # noqa: B023
    for bad in (1, (1,), (1, 2, 3), "12", {1: 2}):
        refused(lambda: engine.accrue(interest={"USD": bad}), xm.ParameterError, "interest", "USD")  # noqa: B023
    # What is out of range is named.
    refused(lambda: engine.accrue(funding={"PERP": 1, "OIL": 1e-40}), xm.InputError, "funding", "OIL", "1e-40")
    refused(lambda: engine.accrue(interest={"USD": (1, 2), "BTC": (1, 1e31)}), xm.InputError, "interest", "BTC", "1e31")
    # One that can be does not happen alone.
    refused(lambda: engine.accrue(funding={"PERP": 9, "OIL": NAN}), xm.InputError)
    refused(lambda: engine.accrue("2027-01-01", interest={"USD": (2, 2), "BTC": (0, 1)}), xm.InputError, "BTC")


def test_parameters_that_cannot_be(engine: xm.Engine) -> None:
    bad: Any
    for bad in (None, 5, "CrossMargin", engine.book):
        with pytest.raises(TypeError, match="model"):
            engine.set_parameters(bad)
    other = small_engine()
    refused(lambda: engine.set_parameters(other.model), xm.UniverseMismatchError, "universe")
    # Somebody holds what has no rates.
    few = xm.CrossMargin.from_frames(
        engine.universe, margin={"instrument": ["OIL"], "initial_rate": [0.1], "maintenance_rate": [0.1]}
    )
    with pytest.raises(xm.MissingParameterError):
        engine.set_parameters(few)
    assert engine.model is not few


BEYOND_PRICES = [1.01e30, 1e308, 1.7976931348623157e308, 0.99e-30, 5e-324]


@pytest.mark.parametrize("bad", BEYOND_PRICES)
@pytest.mark.parametrize("where", TICKS)
def test_prices_at_which_nobody_can_be_judged(engine: xm.Engine, where: str, bad: float) -> None:
    """Sums of them are no floats any more, and what evaluating everybody could not say, the engine does not know."""
    refused(lambda: TICKS[where](bad)(engine), xm.InputError, "1e-30", "1e30")


@pytest.mark.parametrize("bad", BEYOND_PRICES)
@pytest.mark.parametrize("quantity", [0.00000001, -0.00000001, 1e9, -1e9])
def test_whatever_is_traded_at_leaves_everybody_judged(quantity: float, bad: float) -> None:
    engine = standing_engine()
    for act in (
        lambda: engine.place("ann", "PERP", quantity, bad),
        lambda: engine.amend(1, price=bad),
        lambda: engine.fill("ann", "PERP", quantity, bad),
        lambda: engine.fill("ann", "INVERSE", quantity, bad),
        lambda: engine.trade("ann", "bob", "OIL", quantity, bad),
        lambda: engine.settle("PERP", bad),
    ):
        before = engine.state_hash()
        try:
            act()
        except (xm.InputError, xm.RangeError):
            assert engine.state_hash() == before
        report: Any = engine.report()
        assert np.isfinite(report.health).all() and np.isfinite(report.initial_health).all()
        assert engine.ledger()["USD"].is_conserved and engine.ledger()["BTC"].is_conserved


@pytest.mark.parametrize("alone", [False, True])
def test_an_order_whose_value_is_no_float_is_out_of_range(alone: bool) -> None:
    engine = small_engine(balances=[("ann", "USD", 1000)], positions=[("ann", "PERP", 1, 100)], alone=alone)
    for act in (
        lambda: engine.check_order("ann", "PERP", 1e10, 1e300),
        lambda: engine.check_orders(["ann"], ["PERP"], [1e10], [1e300]),
        lambda: engine.place("ann", "PERP", 1e10, 1e300),
    ):
        refused(act, xm.RangeError, "ann", "initial")


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("quantity", [10.0, -10.0])
def test_the_largest_and_the_smallest_prices_can_be(quantity: float, alone: bool) -> None:
    engine = small_engine(balances=[("ann", "USD", 1000)], positions=[("ann", "PERP", quantity, 100)], alone=alone)
    for price in (9.99e29, 1.01e-30, 100):
        engine.tick("PERP", price)
        report: Any = engine.report()
        down = (report.isolated.health[0] if alone else report["ann"].health) < 0
        assert engine.liquidatable().tolist() == (["ann"] if down else [])
        assert engine.fallen().tolist() == (["ann"] if down else [])
    assert engine.liquidatable().tolist() == []


def test_what_would_be_too_large_together() -> None:
    engine = small_engine(balances=[("ann", "USD", 1)])
    # More digits than a context of decimals keeps.
    most = D(f"{2**96 // 10**8}.{2**96 % 10**8:08d}")
    before = engine.state_hash()
    refused(lambda: engine.deposit("ann", "USD", most), xm.InputError, "too large")
    assert engine.state_hash() == before
    engine.deposit("bob", "USD", most)
    assert (
        engine.ledger()["USD"].deposits == D(f"{2**96 // 10**8 + 1}.{2**96 % 10**8:08d}")
        and engine.ledger()["USD"].is_conserved
    )
    before = engine.state_hash()
    for act in (
        lambda: engine.deposit("bob", "USD", D("0.00000001")),
        lambda: engine.fill("ann", "PERP", 10**19, 10**9),
        lambda: engine.fill("ann", "INVERSE", D("0.00000001"), 1e-300),
        lambda: engine.fill("ann", "PERP", 10**21, 1),
    ):
        refused(act, xm.InputError, "too large")
    assert engine.state_hash() == before


def test_prices_of_many_digits_are_exact() -> None:
    """A fill at next to nothing still costs a unit, and one at a huge reciprocal is counted out."""
    for exponent in range(-60, -8):
        engine = small_engine()
        engine.fill("ann", "PERP", 1, float(f"1.5e{exponent}"))
        assert engine.ledger()["USD"].street == D("0.00000001")
    for exponent in range(-26, -8):
        engine = small_engine()
        engine.fill("ann", "INVERSE", D("0.00000001"), float(f"1.6e{exponent}"))
        assert engine.ledger()["BTC"].street == -D("0.000001") / D(f"1.6e{exponent}") // D("1e-8") * D("1e-8")


def test_a_missing_price_or_rate_is_named() -> None:
    engine = small_engine(
        balances=[("ann", "USD", 1000)],
        margin={"instrument": ["PERP"], "initial_rate": [0.1], "maintenance_rate": [0.05]},
    )
    before = engine.state_hash()
    refused(lambda: engine.check_order("ann", "OIL", 1, -5), xm.MissingParameterError, "OIL")
    refused(lambda: engine.place("ann", "OIL", 1, -5), xm.MissingParameterError, "OIL")
    refused(lambda: engine.fill("ann", "OIL", 1, -5), xm.MissingParameterError, "OIL")
    refused(lambda: engine.trade("ann", "bob", "OIL", 1, -5), xm.MissingParameterError, "OIL")
    refused(lambda: engine.fills(["ann", "ann"], ["PERP", "OIL"], [1, 1], [100, -5]), xm.MissingParameterError, "OIL")
    assert engine.state_hash() == before
