"""Orders of a small venue, followed by hand: what may rest, what rests, and what a fill makes of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import xmfast as xm
from building import bits_of, isolated_bits_of
from small_engine import held, small_engine
from standing import refused

D = Decimal
UNIT = D("0.00000001")


def test_an_order_that_leaves_nothing_may_rest_and_a_unit_more_may_not() -> None:
    # A tenth of 100 for each contract.
    engine = small_engine(balances=[("ann", "USD", D("33.33333330"))])
    for quantity in (D("3.33333333"), D("-3.33333333")):
        check = engine.check_order("ann", "PERP", quantity, 100)
        assert check and check.accepted and check.reason is xm.Reason.ACCEPTED
        assert check.free_collateral == 0 and check.initial_margin == 33.3333333
        more = quantity + (UNIT if quantity > 0 else -UNIT)
        check = engine.check_order("ann", "PERP", more, 100)
        assert not check and not check.accepted and check.reason is xm.Reason.INITIAL_HEALTH
        assert check.free_collateral == 0 and check.initial_margin == pytest.approx(33.3333334, abs=1e-12)


def test_what_a_worse_price_loses_at_once_counts_to_the_last_unit() -> None:
    engine = small_engine(balances=[("ann", "USD", 33)])
    # Three of a tenth of 100, and 1 lost on each.
    assert engine.check_order("ann", "PERP", 3, 101)
    assert not engine.check_order("ann", "PERP", 3, D("101.0000000000001"))
    assert engine.check_order("ann", "PERP", -3, 99)
    assert not engine.check_order("ann", "PERP", -3, D("98.9999999999999"))
    # A better price gains nothing.
    assert engine.check_order("ann", "PERP", 3, 1).free_collateral == 3


def test_orders_count_at_once() -> None:
    engine = small_engine(balances=[("ann", "USD", 100)])
    engine.place("ann", "PERP", 9, 100)
    check = engine.check_order("ann", "PERP", 2, 100)
    assert check.initial_margin == 110 and not check
    # The other side is no worse.
    check = engine.check_order("ann", "PERP", -9, 100)
    assert check.initial_margin == 90 and check.free_collateral == 10 and check
    check = engine.check_order("ann", "OIL", -1, -5)
    assert check.initial_margin == 590 and check.reason is xm.Reason.INITIAL_HEALTH
    engine.cancel(1)
    assert engine.check_order("ann", "PERP", 10, 100).initial_margin == 100


def test_checks_follow_everything_that_happens() -> None:
    engine = small_engine(balances=[("ann", "USD", 100)])

    def margin() -> float:
        check = engine.check_order("ann", "PERP", 1, 100)
        return check.initial_margin

    assert margin() == 10
    number = engine.place("ann", "PERP", 2, 100)
    assert margin() == 30
    engine.amend(number, quantity=4)
    assert margin() == 50
    engine.fill("ann", "PERP", 1, 100, order_id=number)
    assert margin() == 50
    engine.tick("PERP", 200)
    assert margin() == 100
    engine.fill("ann", "PERP", -1, 200)
    assert margin() == 80
    engine.set_parameters(
        xm.CrossMargin.from_frames(
            engine.universe,
            margin={
                "instrument": engine.universe.instruments,
                "initial_rate": [0.2] * 5,
                "maintenance_rate": [0.1] * 5,
            },
        )
    )
    assert margin() == 160
    engine.cancel(number)
    assert margin() == 40
    free = engine.check_order("ann", "PERP", 1, 100).free_collateral
    engine.deposit("ann", "USD", 7)
    assert engine.check_order("ann", "PERP", 1, 100).free_collateral == free + 7
    engine.accrue(interest={"USD": (2, 2)})
    assert engine.check_order("ann", "PERP", 1, 100).free_collateral == 2 * (free + 40 + 7) - 40


def test_who_holds_nothing_may_check_and_buy_options() -> None:
    engine = small_engine()
    check = engine.check_order("ann", "PERP", UNIT, 100)
    assert check.reason is xm.Reason.INITIAL_HEALTH and check.initial_margin == pytest.approx(1e-7)
    # Paid for up front: it is worth what it costs, and at a worse price less.
    assert engine.check_order("ann", "CALL", 5, 1500)
    assert not engine.check_order("ann", "CALL", 5, 1501)
    assert not engine.check_order("ann", "CALL", -5, 1500)


def test_an_order_in_an_isolated_position_is_backed_by_its_margin() -> None:
    engine = small_engine(balances=[("ann", "USD", 1000)], positions=[("ann", "PERP", 1, 100, 15)])
    assert engine.check_order("ann", "PERP", 1, 100).reason is xm.Reason.INITIAL_HEALTH
    check = engine.check_order("ann", "PERP", D("0.5"), 100)
    assert check and check.initial_margin == 15 and check.free_collateral == 0
    assert not engine.check_order("ann", "PERP", D("0.5") + UNIT, 100)
    # Others are backed by the pool.
    assert engine.check_order("ann", "CALL", -1, 1500).free_collateral == 500


def test_under_isolated_margin_an_order_is_backed_by_its_positions_share() -> None:
    positions = [("ann", "PERP", 1, 100), ("ann", "OIL", 1, -5)]
    engine = small_engine(balances=[("ann", "USD", 1000)], positions=positions, alone=True)
    report: Any = engine.report()
    assert report.isolated.initial_margin.tolist() == [10, 500]
    # With as many more, PERP is given 20 / 520 of the pool.
    check = engine.check_order("ann", "PERP", 1, 100)
    assert check and check.initial_margin == 20
    assert check.free_collateral == pytest.approx(1000 * 20 / 520 - 20, rel=1e-12)


@pytest.mark.parametrize("quantity", [D("-0.00000001"), -1, -2])
def test_what_only_reduces_is_accepted_however_little_is_left(quantity: Any) -> None:
    engine = small_engine(balances=[("ann", "USD", -1000)], positions=[("ann", "PERP", 2, 100)])
    assert engine.check_order("ann", "PERP", quantity, 100).reason is xm.Reason.INITIAL_HEALTH
    margin = engine.report()["ann"].initial_margin
    check = engine.check_order("ann", "PERP", quantity, 100, reduce_only=True)
    assert check and check.initial_margin == margin and check.free_collateral == 0
    # However bad its price is.
    assert engine.check_order("ann", "PERP", quantity, 1, reduce_only=True)


def test_what_does_not_reduce_may_not_say_so() -> None:
    engine = small_engine(balances=[("ann", "USD", 10_000)], positions=[("ann", "PERP", 2, 100)])
    for instrument, quantity in (("PERP", 1), ("PERP", -2 - UNIT), ("OIL", -1), ("CALL", 1)):
        check = engine.check_order("ann", instrument, quantity, 100, reduce_only=True)
        assert not check and check.reason is xm.Reason.NOT_REDUCING
    # All of them together may close the position, not more.
    first = engine.place("ann", "PERP", D("-1.5"), 100, reduce_only=True)
    assert engine.check_order("ann", "PERP", D("-0.5"), 101, reduce_only=True)
    assert engine.check_order("ann", "PERP", D("-0.50000001"), 101, reduce_only=True).reason is xm.Reason.NOT_REDUCING
    # Itself aside.
    engine.amend(first, quantity=-2)
    with pytest.raises(xm.OrderRefusedError) as caught:
        engine.amend(first, quantity=-2 - UNIT)
    assert caught.value.check.reason is xm.Reason.NOT_REDUCING
    assert engine.open_orders("ann")[0]["quantity"] == -2
    assert engine.open_orders("ann")[0]["reduce_only"] is True


def test_what_only_reduces_needs_no_margin_and_fills_no_further_than_there_is() -> None:
    engine = small_engine(balances=[("ann", "USD", 1000)], positions=[("ann", "PERP", 2, 100)])
    number = engine.place("ann", "PERP", -2, 150, reduce_only=True)
    assert engine.report()["ann"].initial_margin == 20
    engine.fill("ann", "PERP", -1, 100)
    before = engine.state_hash()
    refused(lambda: engine.fill("ann", "PERP", -2, 150, order_id=number), xm.RefusedError, f"order {number}", "reduce")
    assert engine.state_hash() == before
    engine.fill("ann", "PERP", -1, 150, order_id=number)
    assert held(engine, "ann", "PERP") == 0 and engine.open_orders("ann")[0]["quantity"] == -1
    refused(lambda: engine.fill("ann", "PERP", -1, 150, order_id=number), xm.RefusedError, "reduce")


def test_a_position_limit_counts_all_orders_of_the_worse_side() -> None:
    engine = small_engine(
        balances=[("ann", "USD", 100_000)], positions=[("ann", "PERP", 3, 100)], position_limit={"PERP": 10}
    )
    engine.place("ann", "PERP", 5, 100)
    assert engine.check_order("ann", "PERP", 2, 100)
    check = engine.check_order("ann", "PERP", 2 + UNIT, 100)
    assert check.reason is xm.Reason.POSITION_LIMIT and check.initial_margin == pytest.approx(100, abs=1e-6)
    assert engine.check_order("ann", "PERP", -13, 100)
    assert engine.check_order("ann", "PERP", -13 - UNIT, 100).reason is xm.Reason.POSITION_LIMIT
    # Elsewhere there is none, and a fill is not asked.
    assert engine.check_order("ann", "OIL", 100, -5)
    engine.fill("ann", "PERP", 100, 100)
    assert engine.check_order("ann", "PERP", 1, 100).reason is xm.Reason.POSITION_LIMIT
    assert engine.check_order("ann", "PERP", -1, 100)


@pytest.mark.parametrize("side", [1, -1])
def test_who_is_above_the_limit_comes_down_and_not_up_on_the_other_side(side: int) -> None:
    def opened() -> xm.Engine:
        return small_engine(
            balances=[("ann", "USD", 1e6)], positions=[("ann", "PERP", 10 * side, 100)], position_limit={"PERP": 5}
        )

    # To 0, and through it as far as anybody may go.
    for quantity, accepted in ((-1, True), (-10, True), (-15, True), (-15 - UNIT, False), (-20, False), (UNIT, False)):
        check = opened().check_order("ann", "PERP", quantity * side, 100)
        assert check.accepted == accepted, quantity
        assert accepted or check.reason is xm.Reason.POSITION_LIMIT
    engine = opened()
    first = engine.place("ann", "PERP", -10 * side, 100)
    assert engine.check_order("ann", "PERP", -5 * side, 101)
    assert engine.check_order("ann", "PERP", -10 * side, 101).reason is xm.Reason.POSITION_LIMIT
    # Nor by what an order is changed to.
    engine.amend(first, quantity=-15 * side)
    with pytest.raises(xm.OrderRefusedError, match="position_limit"):
        engine.amend(first, quantity=(-15 - UNIT) * side)


def test_open_interest_is_the_sum_of_long_positions() -> None:
    engine = small_engine(
        balances=[("ann", "USD", 100_000), ("bob", "USD", 100_000)],
        positions=[("ann", "PERP", 3, 100), ("bob", "PERP", -2, 100)],
        open_interest_limit={"PERP": 5},
    )
    assert engine.check_order("bob", "PERP", 4, 100)
    assert engine.check_order("ann", "PERP", 2, 100)
    assert engine.check_order("ann", "PERP", 2 + UNIT, 100).reason is xm.Reason.OPEN_INTEREST
    engine.fill("ann", "PERP", 2, 100)
    assert engine.check_order("ann", "PERP", UNIT, 100).reason is xm.Reason.OPEN_INTEREST
    # Who reduces adds none.
    assert engine.check_order("ann", "PERP", -5, 100)
    assert engine.check_order("bob", "PERP", 2, 100)
    engine.fill("ann", "PERP", -5, 100)
    assert engine.check_order("ann", "PERP", 5, 100)


@pytest.mark.parametrize("side", [1, -1])
def test_open_interest_counts_what_the_accounts_orders_would_open(side: int) -> None:
    engine = small_engine(
        balances=[("ann", "USD", 1e6), ("bob", "USD", 1e6)],
        positions=[("ann", "PERP", -2 * side, 100), ("bob", "PERP", 2 * side, 100)],
        open_interest_limit={"PERP": 5},
    )
    # Two close, three open; the others' orders are theirs.
    number = engine.place("ann", "PERP", 4 * side, 100)
    engine.place("bob", "PERP", 3 * side, 100)
    assert engine.check_order("ann", "PERP", side, 100)
    assert engine.check_order("ann", "PERP", side + side * UNIT, 100).reason is xm.Reason.OPEN_INTEREST
    engine.amend(number, quantity=5 * side)
    with pytest.raises(xm.OrderRefusedError, match="open_interest"):
        engine.amend(number, quantity=side * (5 + UNIT))
    assert engine.check_order("ann", "PERP", side * UNIT, 100).reason is xm.Reason.OPEN_INTEREST
    # The other side opens what it opens, whatever rests here.
    assert engine.check_order("ann", "PERP", -3 * side, 100)
    assert engine.check_order("ann", "PERP", -3 * side - side * UNIT, 100).reason is xm.Reason.OPEN_INTEREST


def test_what_closes_is_never_refused_for_open_interest() -> None:
    engine = small_engine(
        balances=[("ann", "USD", 1e6), ("bob", "USD", 1e6)],
        positions=[("ann", "PERP", 7, 100)],
        open_interest_limit={"PERP": 5},
    )
    engine.place("ann", "PERP", -4, 100)
    assert engine.check_order("ann", "PERP", -3, 100)
    assert engine.check_order("ann", "PERP", -3 - UNIT, 100).reason is xm.Reason.OPEN_INTEREST
    # What has happened is reported, however much it is.
    engine.fill("ann", "PERP", 100, 100)
    engine.trade("ann", "bob", "PERP", 1, 100)
    engine.transfer("ann", "bob", "PERP", 1)


def test_a_limit_of_nothing_lets_nobody_in() -> None:
    engine = small_engine(
        balances=[("ann", "USD", 100_000)], position_limit={"PERP": 0}, open_interest_limit={"OIL": 0}
    )
    assert engine.check_order("ann", "PERP", UNIT, 100).reason is xm.Reason.POSITION_LIMIT
    assert engine.check_order("ann", "OIL", UNIT, -5).reason is xm.Reason.OPEN_INTEREST


def test_a_settled_instrument_takes_no_orders() -> None:
    engine = small_engine(balances=[("ann", "USD", 100_000)], positions=[("ann", "PERP", 3, 100)])
    engine.settle("PERP", 100)
    for reduce_only in (False, True):
        check = engine.check_order("ann", "PERP", 1, 100, reduce_only)
        assert check.reason is xm.Reason.SETTLED and not check
    with pytest.raises(xm.OrderRefusedError, match="settled"):
        engine.place("ann", "PERP", 1, 100)


def test_a_refused_order_says_why_and_changes_nothing() -> None:
    engine = small_engine(balances=[("ann", "USD", 10)])
    before = engine.state_hash()
    with pytest.raises(xm.OrderRefusedError, match="initial_health") as caught:
        engine.place("ann", "PERP", 2, 100)
    assert isinstance(caught.value, xm.RefusedError)
    assert caught.value.check == engine.check_order("ann", "PERP", 2, 100)
    assert engine.state_hash() == before and engine.open_orders("ann") == []
    # No number was used up.
    assert engine.place("ann", "PERP", 1, 100) == 1
    with pytest.raises(xm.OrderRefusedError, match="initial_health"):
        engine.amend(1, quantity=2)
    assert engine.open_orders("ann")[0]["quantity"] == 1


def test_an_order_lives_until_it_is_filled_or_taken_back() -> None:
    engine = small_engine(balances=[("ann", "USD", 10_000)])
    buy, sell = engine.place("ann", "PERP", 3, 100), engine.place("ann", "CALL", D("-0.00000003"), 1500)
    assert (buy, sell) == (1, 2)
    engine.fill("ann", "PERP", 1, 99, order_id=buy)
    assert engine.open_orders("ann")[0] == {
        "order_id": 1,
        "instrument": "PERP",
        "quantity": 2.0,
        "price": 100.0,
        "reduce_only": False,
    }
    engine.amend(buy, price=98.5)
    engine.fill("ann", "PERP", 2, 98.5, order_id=buy)
    assert [order["order_id"] for order in engine.open_orders("ann")] == [sell]
    assert engine.open_orders("ann")[0]["quantity"] == -0.00000003
    refused(lambda: engine.fill("ann", "PERP", 1, 98, order_id=buy), xm.RefusedError, "order 1")
    refused(lambda: engine.amend(buy, quantity=1), xm.RefusedError, "order 1")
    refused(lambda: engine.cancel(buy), xm.RefusedError, "order 1")
    engine.cancel(sell)
    assert engine.open_orders("ann") == [] and engine.book.order_count == 0
    # Numbers do not come back.
    assert engine.place("ann", "PERP", 1, 100) == 3


def test_an_amended_order_keeps_its_number_and_its_side() -> None:
    engine = small_engine(balances=[("ann", "USD", 10_000)])
    number = engine.place("ann", "PERP", 3, 100)
    before = engine.state_hash()
    refused(lambda: engine.amend(number, quantity=-3), xm.RefusedError, f"order {number}", "side")
    assert engine.state_hash() == before
    engine.amend(number)
    assert engine.state_hash() == before
    engine.amend(number, 5, 90)
    [order] = engine.open_orders("ann")
    assert (order["order_id"], order["quantity"], order["price"]) == (number, 5, 90)


def test_an_amended_order_is_checked_in_its_own_place() -> None:
    engine = small_engine(balances=[("ann", "USD", 100)])
    number = engine.place("ann", "PERP", 10, 100)
    # The whole of it is margined already; nothing is left for a better one beside it.
    engine.amend(number, price=99)
    engine.amend(number, quantity=9, price=101)
    with pytest.raises(xm.OrderRefusedError):
        engine.amend(number, quantity=10, price=101)


def test_margin_of_orders_is_only_initial() -> None:
    """Whoever has placed as much as may be is as healthy as before."""
    engine = small_engine(balances=[("ann", "USD", 100)])
    before = engine.report()["ann"]
    engine.place("ann", "PERP", 10, 100)
    after = engine.report()["ann"]
    assert after.initial_health == 0 and after.health == before.health == 100
    assert engine.liquidatable().tolist() == [] and engine.fallen().tolist() == []


def test_fills_of_an_order_and_fills_without_come_to_the_same() -> None:
    one, other = (small_engine(balances=[("ann", "USD", 10_000)], orders=[("ann", "PERP", 3, 100)]) for _ in range(2))
    one.fill("ann", "PERP", 2, 99.5, fee=D("0.01"), order_id=1)
    other.fill("ann", "PERP", 2, 99.5, fee=D("0.01"))
    other.amend(1, quantity=1)
    assert bits_of(one.report()) == bits_of(other.report()) and one.ledger() == other.ledger()
    assert one.open_orders("ann") == other.open_orders("ann") and one.state_hash() == other.state_hash()


def test_array_checks_equal_single_ones() -> None:
    engine = small_engine(
        balances=[("ann", "USD", 1000), ("bob", "BTC", 1)],
        positions=[("ann", "PERP", 3, 100), ("bob", "INVERSE", 2, 50_000, 0.001)],
        position_limit={"PERP": 50},
        open_interest_limit={"OIL": 1},
    )
    rng = np.random.default_rng(5)
    count = 400
    accounts = rng.choice(["ann", "bob"], count).tolist()
    instruments = rng.choice(["PERP", "INVERSE", "CALL", "COINCALL", "OIL"], count).tolist()
    quantities = np.round(rng.lognormal(0, 2, count) * rng.choice([1, -1], count), 4) - 0.00005
    quantities = np.round(quantities, 5)
    prices = np.array(
        [{"PERP": 100.0, "INVERSE": 5e4, "CALL": 1500.0, "COINCALL": 0.03, "OIL": -5.0}[name] for name in instruments]
    )
    flags = rng.random(count) < 0.3
    before = engine.state_hash()
    many = engine.check_orders(accounts, instruments, quantities, prices, flags)
    assert set(many) == {"accepted", "reason", "initial_margin", "free_collateral"}
    assert many["accepted"].dtype == bool and many["initial_margin"].dtype == many["free_collateral"].dtype == float
    single = [
        engine.check_order(*order)
        for order in zip(accounts, instruments, quantities.tolist(), prices.tolist(), flags.tolist(), strict=True)
    ]
    assert many["reason"].tolist() == [check.reason for check in single]
    assert many["accepted"].tolist() == [check.accepted for check in single]
    assert many["initial_margin"].tolist() == [check.initial_margin for check in single]
    assert many["free_collateral"].tolist() == [check.free_collateral for check in single]
    assert len(set(many["reason"])) == 5
    assert engine.state_hash() == before
    # Each on its own: the first of two does not rest when the second is checked.
    twice = engine.check_orders(["ann", "ann"], ["PERP", "PERP"], [30, 30], [100, 100])
    assert twice["initial_margin"].tolist() == [330, 330]
    empty = engine.check_orders([], [], [], [])
    assert [len(column) for column in empty.values()] == [0, 0, 0, 0]


def test_array_fills_equal_single_ones() -> None:
    engine, other = (small_engine(balances=[("ann", "USD", 1000), ("bob", "BTC", 1)], decimals=6) for _ in range(2))
    rng = np.random.default_rng(6)
    count = 300
    accounts = rng.choice(["ann", "bob"], count).tolist()
    instruments = rng.choice(["PERP", "INVERSE", "OIL"], count).tolist()
    quantities = np.round(np.round(rng.normal(0, 3, count), 3) + 0.00012345, 8).tolist()
    prices = [{"PERP": 100.17, "INVERSE": 50_001.5, "OIL": -5.03}[name] for name in instruments]
    fees = np.round(rng.normal(0, 0.01, count), 7).tolist()
    engine.fills(accounts, instruments, quantities, prices, fees)
    for fill in zip(accounts, instruments, quantities, prices, fees, strict=True):
        other.fill(*fill)
    assert engine.ledger() == other.ledger() and bits_of(engine.report()) == bits_of(other.report())
    for each in (engine, other):
        # One by one somebody may fall and recover in between.
        each.fallen(), each.recovered()
    assert engine.state_hash() == other.state_hash()
    engine.fills([], [], [], [])
    assert engine.state_hash() == other.state_hash()


def test_many_fills_are_all_done_or_none() -> None:
    engine = small_engine(
        balances=[("ann", "USD", 100), ("bob", "USD", 1)],
        positions=[("bob", "PERP", 2, 100), ("ann", "CALL", 1, 1500, 5)],
        orders=[("ann", "PERP", 1, 90)],
    )
    assert engine.liquidatable().tolist() == ["bob"]
    before, report = engine.state_hash(), engine.report()
    # Ann falls, bob recovers, both within the same call, and then comes one that cannot be.
    rows = (["ann", "bob", "ann"], ["PERP", "PERP", "PERP"], [10, -2, 1], [200, 300, -1])
    refused(lambda: engine.fills(*rows), xm.InputError, "fills", "row 2", "price")
    assert engine.state_hash() == before
    assert engine.liquidatable().tolist() == ["bob"]
    assert engine.fallen().tolist() == [] and engine.recovered().tolist() == []
    assert bits_of(engine.report()) == bits_of(report) and isolated_bits_of(engine.report()) == isolated_bits_of(report)
    # Whoever was judged on the way is still watched.
    engine.fill("ann", "PERP", 9, 100)
    assert engine.tick("PERP", 90).tolist() == ["ann"]
    engine.fills(*(column[:2] for column in rows))
    assert engine.recovered().tolist() == ["bob"]
