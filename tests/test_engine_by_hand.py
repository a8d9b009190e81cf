"""What the live engine books, checked by hand: every rounding is against the account, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import xmfast as xm
from small_engine import cash, cost, held, posted, small_engine
from standing import refused

D = Decimal


def pools(engine: xm.Engine, asset: str = "USD") -> dict[str, Decimal]:
    """Return what the venue has of an asset besides the accounts, where it has any."""
    totals = engine.ledger()[asset]
    assert totals.is_conserved
    names = ("street", "fees", "interest_pool", "funding_pool", "rounding", "shortfall", "deposits", "withdrawals")
    return {name: getattr(totals, name) for name in names if getattr(totals, name)}


# Opening


def test_opening_rounds_against_the_account_and_says_what_that_took() -> None:
    engine = small_engine(
        balances=[("ann", "USD", D("100.019")), ("bob", "USD", D("-100.011"))],
        positions=[("ann", "PERP", 3, D("33.333")), ("bob", "PERP", -3, D("33.333"))],
        decimals=2,
    )
    assert cash(engine, "ann") == D("100.01") and cash(engine, "bob") == D("-100.02")
    # 99.999 is paid in full; of a short's 99.999 a hundredth is lost.
    assert cost(engine, "ann") == D("100.00") and cost(engine, "bob") == D("-99.99")
    # Of cash 0.009 each, of costs 0.001 and 0.009.
    assert engine.residue == {"USD": pytest.approx(0.028), "BTC": 0.0}
    assert pools(engine) == {"deposits": D("-0.01"), "street": D("0.01")}


def test_opening_cuts_contracts_towards_zero() -> None:
    engine = small_engine(
        positions=[("ann", "PERP", D("1.999999999"), 100), ("bob", "PERP", D("-1.999999999"), 100)],
    )
    assert held(engine, "ann", "PERP") == 1.99999999 and held(engine, "bob", "PERP") == -1.99999999
    assert cost(engine, "ann") == D("199.999999") == -cost(engine, "bob")


def test_opening_takes_dust_out() -> None:
    engine = small_engine(positions=[("ann", "PERP", D("0.000000009"), 100)])
    assert engine.book.position_count == 0 and pools(engine) == {}


def test_opening_cuts_orders_towards_zero_and_takes_out_what_is_none() -> None:
    quantities = [D("1e-9"), D("-1e-9"), D("1.000000009"), D("-1.000000009"), 0]
    engine = small_engine(balances=[("ann", "USD", 1000)], orders=[("ann", "PERP", q, 100) for q in quantities])
    assert sorted(order["quantity"] for order in engine.open_orders("ann")) == [-1, 1]
    assert engine.book.order_count == 2 and engine.place("ann", "PERP", 1, 100) == 3
    assert engine.residue == {"USD": 0, "BTC": 0}


def test_opening_loses_no_margin_of_a_position_that_is_none() -> None:
    """What was posted for it comes back, as when a position is closed."""
    engine = small_engine(positions=[("ann", "PERP", 0.0, 100.0, 50.0)])
    totals = engine.ledger()["USD"]
    assert totals.deposits + D(str(engine.residue["USD"])) == 50
    assert cash(engine, "ann") == 50


def test_opening_books_interest_so_far() -> None:
    engine = small_engine(
        balances=[("ann", "USD", 100.0), ("bob", "USD", -100.0)],
        deposit_index={"USD": 1.000055},
        borrow_index={"USD": 1.000055},
        decimals=2,
    )
    # 100.0055 and -100.0055; at index 1 in the book.
    assert pools(engine) == {"deposits": D("-0.01")}
    assert engine.report().equity.tolist() == pytest.approx([100.0, -100.01], abs=1e-12)


def test_opening_turns_funding_since_the_entry_into_cost() -> None:
    engine = small_engine(
        positions=[("ann", "PERP", 2.0, 100.0, None, 0.25), ("bob", "PERP", -2.0, 100.0, None, 1.5)],
        cumulative_funding={"PERP": 1.5},
    )
    # 2 x (100 + 1.25), so that equity stays; the explanation shows costs at funding 0.
    assert cost(engine, "ann") == D("202.5") - 3 and cost(engine, "bob") == -200 + 3
    assert engine.report().equity.tolist() == [-2.5, 0.0]
    assert pools(engine) == {"street": D("2.5")}
    engine.fill("ann", "PERP", -2.0, 100.0)
    assert cash(engine, "ann") == D("-2.5")


def test_opening_orders_are_numbered_and_open() -> None:
    engine = small_engine(
        balances=[("ann", "USD", 1000)],
        orders=[("bob", "PERP", -1.5, 101.0), ("ann", "CALL", 1.0, 1500.0), ("ann", "PERP", 2.0, 99.0)],
    )
    assert engine.open_orders("ann") == [
        {"order_id": 1, "instrument": "PERP", "quantity": 2.0, "price": 99.0, "reduce_only": False},
        {"order_id": 2, "instrument": "CALL", "quantity": 1.0, "price": 1500.0, "reduce_only": False},
    ]
    assert [order["order_id"] for order in engine.open_orders("bob")] == [3]
    assert engine.place("ann", "PERP", 1.0, 99.0) == 4


# Fills


def test_a_fill_costs_the_next_unit_up() -> None:
    engine = small_engine(decimals=2)
    engine.fill("ann", "PERP", D("0.33333333"), D("10.01"))
    engine.fill("bob", "PERP", D("-0.33333333"), D("10.01"))
    # 3.3366666333: bought at 3.34, sold at 3.33.
    assert cost(engine, "ann") == D("3.34") and cost(engine, "bob") == D("-3.33")
    assert pools(engine) == {"street": D("0.01")}


def test_an_inverse_fill_costs_the_next_unit_up() -> None:
    engine = small_engine()
    engine.fill("ann", "INVERSE", 3, 70_000)
    engine.fill("bob", "INVERSE", -3, 70_000)
    # 300 / 70,000 = 0.00428571428...: the long is owed it, the short owes it.
    assert cost(engine, "ann", "BTC") == D("-0.00428571") and cost(engine, "bob", "BTC") == D("0.00428572")


def test_a_negative_price_pays_who_buys() -> None:
    engine = small_engine(decimals=0)
    engine.fill("ann", "OIL", D("0.0125"), D("-0.5"))
    assert cost(engine, "ann") == -6


def test_adding_adds_cost_and_reducing_takes_out_its_part() -> None:
    engine = small_engine(balances=[("ann", "USD", 100)], decimals=2)
    engine.fill("ann", "PERP", 1, D("10.00"))
    engine.fill("ann", "PERP", 2, D("10.01"))
    assert cost(engine, "ann") == D("30.02")
    engine.fill("ann", "PERP", -1, D("11.00"))
    # 30.02 / 3 = 10.00666...: 10.00 goes, so that the profit is 1.00 and the rest costs more.
    assert cash(engine, "ann") == D("101.00") and cost(engine, "ann") == D("20.02")
    engine.fill("ann", "PERP", -2, D("11.00"))
    assert cash(engine, "ann") == D("102.98") and engine.book.position_count == 0
    # Three bought for 30.02 and sold for 33.
    assert pools(engine) == {"deposits": 100, "street": D("-2.98")}


def test_a_part_of_a_short_is_taken_out_towards_zero_too() -> None:
    engine = small_engine(balances=[("ann", "USD", 100)], decimals=2)
    engine.fill("ann", "PERP", -3, D("10.005"))
    assert cost(engine, "ann") == D("-30.01")
    engine.fill("ann", "PERP", 1, D("9.00"))
    # -30.01 / 3 = -10.00333...: -10.00 goes.
    assert cash(engine, "ann") == D("101.00") and cost(engine, "ann") == D("-20.01")


def test_a_fill_through_zero_closes_and_opens() -> None:
    engine = small_engine(balances=[("ann", "USD", 100)], decimals=2)
    engine.fill("ann", "PERP", 1, D("10.00"))
    engine.fill("ann", "PERP", -3, D("10.005"))
    # Closing earns 10.00 of 10.005, opening two brings 20.01: rounded apart.
    assert cash(engine, "ann") == D("100.00") and cost(engine, "ann") == D("-20.01")
    assert held(engine, "ann", "PERP") == -2
    engine.fill("ann", "PERP", 5, D("10.005"))
    # Two are bought back for 20.01, three cost 30.02.
    assert cash(engine, "ann") == D("100.00") and cost(engine, "ann") == D("30.02")


def test_fees_are_rounded_up_and_rebates_too() -> None:
    engine = small_engine(balances=[("ann", "USD", 100)], decimals=2)
    engine.fill("ann", "PERP", 1, 10, fee=D("0.001"))
    assert cash(engine, "ann") == D("99.99")
    engine.fill("ann", "PERP", 1, 10, fee=D("-0.019"))
    assert cash(engine, "ann") == D("100.00")
    assert pools(engine) == {"deposits": 100, "street": 20} and engine.ledger()["USD"].fees == 0
    engine.fill("ann", "PERP", 1, 10, fee=5)
    assert pools(engine)["fees"] == 5


def test_a_fee_is_in_the_settlement_asset() -> None:
    engine = small_engine(balances=[("ann", "BTC", 1)])
    engine.fill("ann", "INVERSE", 1, 50_000, fee=D("0.0001"))
    assert cash(engine, "ann", "BTC") == D("0.9999") and pools(engine, "BTC")["fees"] == D("0.0001")


def test_both_sides_of_a_trade_are_rounded_and_the_rest_is_the_venues() -> None:
    engine = small_engine(decimals=2)
    engine.trade("ann", "bob", "PERP", D("0.33333333"), D("10.01"), maker_fee=D("-0.01"), taker_fee=D("0.02"))
    assert held(engine, "ann", "PERP") == -0.33333333 and held(engine, "bob", "PERP") == 0.33333333
    assert cost(engine, "ann") == D("-3.33") and cost(engine, "bob") == D("3.34")
    assert cash(engine, "ann") == D("0.01") and cash(engine, "bob") == D("-0.02")
    assert pools(engine) == {"rounding": D("0.01"), "fees": D("0.01")}
    engine.trade("ann", "bob", "PERP", 1, D("10.00"))
    assert pools(engine)["rounding"] == D("0.01")


def test_a_trade_that_one_side_may_not_do_is_no_trade() -> None:
    engine = small_engine(balances=[("ann", "USD", 1000)], orders=[("ann", "PERP", 1.0, 100.0)])
    before = engine.state_hash()
    refused(lambda: engine.trade("ann", "bob", "PERP", -1, 100, taker_order=1), xm.RefusedError, "order 1")
    refused(lambda: engine.trade("ann", "bob", "PERP", -2, 100, maker_order=1), xm.RefusedError, "order 1")
    refused(lambda: engine.trade("ann", "bob", "PERP", -1, 100.5, maker_order=1), xm.RefusedError, "order 1", "limit")
    assert engine.state_hash() == before
    engine.trade("ann", "bob", "PERP", -1, 100, maker_order=1)
    assert engine.open_orders("ann") == [] and held(engine, "bob", "PERP") == -1


# Interest and funding


def test_funding_is_paid_at_the_next_touch() -> None:
    engine = small_engine(balances=[("ann", "USD", 100), ("bob", "USD", 100)], decimals=2)
    engine.trade("bob", "ann", "PERP", 3, 100)
    engine.accrue(funding={"PERP": D("0.335")})
    assert cash(engine, "ann") == 100 and pools(engine) == {"deposits": 200}
    # It counts before it is paid.
    assert engine.report().equity.tolist() == pytest.approx([98.995, 101.005], abs=1e-12)
    engine.trade("bob", "ann", "PERP", 1, 100)
    # 1.005 is owed and due: 1.01 is paid, 1.00 received.
    assert cash(engine, "ann") == D("98.99") and cash(engine, "bob") == D("101.00")
    assert pools(engine) == {"deposits": 200, "funding_pool": D("0.01")}
    # Nothing since.
    engine.trade("bob", "ann", "PERP", -1, 100)
    assert cash(engine, "ann") == D("98.99") and cash(engine, "bob") == D("101.00")


def test_money_alone_touches_no_position() -> None:
    engine = small_engine(balances=[("ann", "USD", 100)], positions=[("ann", "PERP", 3, 100)])
    engine.accrue(funding={"PERP": 1})
    engine.deposit("ann", "USD", 1)
    assert cash(engine, "ann") == 101 and "funding_pool" not in pools(engine)


def test_inverse_funding_is_paid_in_coin() -> None:
    engine = small_engine(balances=[("ann", "BTC", 1)], positions=[("ann", "INVERSE", 3, 50_000)])
    engine.accrue(funding={"INVERSE": D("0.000000015")})
    engine.fill("ann", "INVERSE", 1, 50_000)
    # 3 x 100 x 0.000000015.
    assert cash(engine, "ann", "BTC") == D("0.9999955")
    assert pools(engine, "BTC")["funding_pool"] == D("0.0000045")


def test_interest_is_booked_at_the_next_touch() -> None:
    engine = small_engine(balances=[("ann", "USD", 100), ("bob", "USD", -100)], decimals=2)
    engine.accrue(interest={"USD": (D("1.000155"), D("1.000299"))})
    assert pools(engine) == {}
    assert engine.report().equity.tolist() == pytest.approx([100.0155, -100.0299], abs=1e-12)
    for name in ("ann", "bob"):
        engine.deposit(name, "USD", 1)
    # 100.0155 and -100.0299, both down.
    assert pools(engine) == {"deposits": 2, "interest_pool": D("0.02")}
    assert engine.report().equity.tolist() == pytest.approx([101.01, -99.03])
    assert engine.ledger()["USD"].accounts == D("1.98")
    # The book has them at index 1.
    assert cash(engine, "ann") == pytest.approx(D("101.01") / D("1.000155"))


def test_interest_follows_the_sign_from_the_moment_of_the_change() -> None:
    engine = small_engine(balances=[("ann", "USD", -100)], borrowable=["USD"])
    engine.accrue(interest={"USD": (2, D("1.5"))})
    engine.deposit("ann", "USD", 250)
    # -150 is owed; 100 is lent from index 2 on.
    assert engine.report()["ann"].equity == 100
    engine.accrue(interest={"USD": (D("2.2"), 1000)})
    assert engine.report()["ann"].equity == pytest.approx(110, abs=1e-9)
    engine.deposit("ann", "USD", 1)
    assert pools(engine) == {"deposits": 151, "interest_pool": 40}


def test_interest_of_nothing_is_nothing() -> None:
    engine = small_engine()
    engine.accrue(interest={"USD": (2, 3)})
    engine.deposit("ann", "USD", 100)
    assert engine.report()["ann"].equity == 100 and cash(engine, "ann") == 50
    assert pools(engine) == {"deposits": 100}


def test_who_was_touched_at_another_index_holds_something_else() -> None:
    """Of two with the same units at the same number of accruals, one has earned more since."""
    engines = [small_engine(borrowable=["USD"]) for _ in range(2)]
    for engine, between in zip(engines, (1.1, 1.2), strict=True):
        engine.accrue(interest={"USD": (between, 1)})
        engine.deposit("ann", "USD", 100)
        engine.accrue(interest={"USD": (1.5, 1)})
    assert [engine.report()["ann"].equity for engine in engines] == pytest.approx([150 / 1.1, 125])
    assert engines[0].state_hash() != engines[1].state_hash()


# Isolated positions


def test_an_isolated_position_earns_for_itself() -> None:
    engine = small_engine(positions=[("ann", "PERP", 3, 100, 50)], balances=[("ann", "USD", 10)])
    engine.fill("ann", "PERP", -1, 110, fee=1)
    # The fee is the account's.
    assert posted(engine, "ann", "PERP") == 60 and cash(engine, "ann") == 9
    engine.accrue(funding={"PERP": 2})
    engine.fill("ann", "PERP", 1, 120)
    assert posted(engine, "ann", "PERP") == 56 and cost(engine, "ann", instrument="PERP") == 320 - 3 * 2
    engine.fill("ann", "PERP", -3, 100)
    assert engine.book.position_count == 0 and cash(engine, "ann") == 9 + 56 - 20
    assert pools(engine) == {"deposits": 60, "street": 300 - 110 + 120 - 300, "funding_pool": 4, "fees": 1}


def test_what_an_isolated_position_loses_beyond_its_margin_is_the_venues() -> None:
    engine = small_engine(positions=[("ann", "PERP", 3, 100, 50)], balances=[("ann", "USD", 10)])
    engine.fill("ann", "PERP", -3, 80)
    assert cash(engine, "ann") == 10 and pools(engine)["shortfall"] == -10


def test_through_zero_an_isolated_position_ends() -> None:
    engine = small_engine(positions=[("ann", "PERP", 3, 100, 50)], balances=[("ann", "USD", 10)])
    engine.fill("ann", "PERP", -4, 110)
    assert cash(engine, "ann") == 10 + 50 + 30 and cost(engine, "ann") == -110
    assert len(engine.report().isolated.accounts) == 0


# Between accounts


def test_contracts_move_at_what_they_cost() -> None:
    engine = small_engine(balances=[("ann", "USD", 100), ("bob", "USD", 100)], decimals=2)
    engine.fill("ann", "PERP", 3, D("10.005"))
    engine.transfer("ann", "bob", "PERP", 1)
    # 30.02 / 3 = 10.00666...
    assert cost(engine, "ann") == D("20.02") and cost(engine, "bob") == D("10.00")
    assert pools(engine) == {"deposits": 200, "street": D("30.02")}
    assert held(engine, "ann", "PERP") == 2 and held(engine, "bob", "PERP") == 1


def test_contracts_that_meet_opposite_ones_are_closed() -> None:
    engine = small_engine(balances=[("ann", "USD", 1000), ("bob", "USD", 1000)])
    engine.fill("ann", "PERP", 3, 100)
    engine.fill("bob", "PERP", -1, 110)
    engine.transfer("ann", "bob", "PERP", 3)
    # Sold at 110 what came in at 100.
    assert held(engine, "bob", "PERP") == 2 and cash(engine, "bob") == 1010 and cost(engine, "bob") == 200
    assert cash(engine, "ann") == 1000 and held(engine, "ann", "PERP") == 0


def test_a_short_moves_as_contracts_too() -> None:
    engine = small_engine(balances=[("ann", "USD", 1000), ("bob", "USD", 1000)])
    engine.fill("ann", "PERP", -3, 100)
    engine.transfer("ann", "bob", "PERP", 2)
    assert held(engine, "ann", "PERP") == -1 and held(engine, "bob", "PERP") == -2
    assert cost(engine, "ann") == -100 and cost(engine, "bob") == -200


def test_contracts_move_with_funding_paid() -> None:
    engine = small_engine(balances=[("ann", "USD", 1000), ("bob", "USD", 1000)])
    engine.fill("ann", "PERP", 3, 100)
    engine.accrue(funding={"PERP": 2})
    engine.transfer("ann", "bob", "PERP", 1)
    assert cash(engine, "ann") == 994 and cash(engine, "bob") == 1000
    assert engine.report().equity.tolist() == [994.0, 1000.0]


def test_an_exchange_is_with_the_street() -> None:
    engine = small_engine(balances=[("ann", "USD", 1000)])
    engine.exchange("ann", "USD", "BTC", 500, D("0.0101"), fee=D("0.000000001"))
    assert cash(engine, "ann") == 500 and cash(engine, "ann", "BTC") == D("0.01009999")
    assert pools(engine) == {"deposits": 1000, "street": 500}
    assert pools(engine, "BTC") == {"street": D("-0.0101"), "fees": D("0.00000001")}


def test_a_settlement_closes_everybody() -> None:
    engine = small_engine(
        balances=[("ann", "USD", 1000), ("bob", "USD", 1000)],
        positions=[("ann", "PERP", 2, 90), ("bob", "PERP", -1, 95)],
        orders=[("ann", "PERP", 1, 80), ("bob", "CALL", 1, 1000)],
    )
    engine.settle("PERP", 97)
    assert cash(engine, "ann") == 1014 and cash(engine, "bob") == 998
    assert engine.open_orders("ann") == [] and len(engine.open_orders("bob")) == 1
    # The mark stays where it was.
    assert engine.market.mark_price[0] == 100 and engine.book.position_count == 0
    assert pools(engine) == {"deposits": 2000, "street": -12}


# Withdrawals


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_withdrawal_leaves_initial_margin_to_the_last_unit(share: float) -> None:
    positions = [("ann", "PERP", 10, 90)]
    # 1,000 in cash, a gain of 100, and 100 of margin.
    for taken, is_allowed in ((D(900) + 100 * D(share), True), (D(900) + 100 * D(share) + D("0.00000001"), False)):
        engine = small_engine(balances=[("ann", "USD", 1000)], positions=positions, withdrawable_gain_share=share)
        before = engine.state_hash()
        if is_allowed:
            engine.withdraw("ann", "USD", taken)
            assert cash(engine, "ann") == 1000 - taken and pools(engine)["withdrawals"] == taken
            assert engine.report()["ann"].initial_health == 100 - 100 * share
        else:
            refused(lambda: engine.withdraw("ann", "USD", taken), xm.RefusedError, "withdraw", "ann")  # noqa: B023
            assert engine.state_hash() == before


def test_nobody_withdraws_a_loan_unless_it_can_be_borrowed() -> None:
    for borrowable in ((), ("BTC",)):
        engine = small_engine(balances=[("ann", "USD", 100_000)], borrowable=borrowable)
        if borrowable:
            engine.withdraw("ann", "BTC", 1)
            assert cash(engine, "ann", "BTC") == -1
        else:
            refused(lambda: engine.withdraw("ann", "BTC", 1), xm.RefusedError, "BTC", "borrow")  # noqa: B023
            refused(lambda: engine.withdraw("ann", "BTC", D("0.00000001")), xm.RefusedError, "BTC")  # noqa: B023


def test_nobody_exchanges_into_a_loan_by_the_fee() -> None:
    """Cash below 0 is a loan, whatever took it."""
    engine = small_engine(balances=[("ann", "USD", 100_000)])
    before = engine.state_hash()
    refused(lambda: engine.exchange("ann", "USD", "BTC", 1, 0.001, fee=1), xm.RefusedError, "BTC")
    assert engine.state_hash() == before


def test_a_loan_may_be_repaid_in_part_by_an_exchange() -> None:
    """What is owed is still below 0 afterwards, but less of it."""
    engine = small_engine(balances=[("ann", "USD", 100_000), ("ann", "BTC", -1)])
    engine.exchange("ann", "USD", "BTC", 5000, D("0.1"), fee=D("0.1"))
    engine.accrue(interest={"BTC": (1, 1.5)})
    engine.exchange("ann", "USD", "BTC", 5000, D("0.1"))
    assert engine.ledger()["BTC"].accounts == D("-1.4")
    refused(lambda: engine.exchange("ann", "USD", "BTC", 5000, D("0.1"), fee=D("0.10000001")), xm.RefusedError, "BTC")


def test_a_gain_that_is_not_realized_is_no_money() -> None:
    """The hole of more than one venue: profits on paper that left as somebody else's deposits."""
    engine = small_engine(balances=[("ann", "USD", 100), ("bob", "USD", 100)])
    engine.trade("bob", "ann", "PERP", 1, 100)
    engine.tick("PERP", 1000.0)
    assert engine.report()["ann"].free_collateral == 100 + 900 - 100
    refused(lambda: engine.withdraw("ann", "USD", 1), xm.RefusedError, "withdraw")
    refused(lambda: engine.transfer("ann", "bob", "USD", 1), xm.RefusedError, "transfer")


# Repetition


COMMANDS: dict[str, Callable[[xm.Engine, str | None], Any]] = {
    "place": lambda engine, id: engine.place("ann", "PERP", 1, 100, client_id=id),
    "amend": lambda engine, id: engine.amend(1, quantity=2, client_id=id),
    "amend by price": lambda engine, id: engine.amend(1, price=98, client_id=id),
    "cancel": lambda engine, id: engine.cancel(1, client_id=id),
    "fill": lambda engine, id: engine.fill("ann", "PERP", 1, 100, client_id=id),
    "fills": lambda engine, id: engine.fills(["ann"], ["PERP"], [1], [100], client_id=id),
    "fills of orders": lambda engine, id: engine.fills(["ann"], ["PERP"], [1], [99], order_id=[1], client_id=id),
    "accrue": lambda engine, id: engine.accrue(funding={"PERP": 1}, client_id=id).tolist(),
    "settle": lambda engine, id: engine.settle("PERP", 100, client_id=id).tolist(),
    "set_parameters": lambda engine, id: engine.set_parameters(engine.model, client_id=id).tolist(),
    "fill of an order": lambda engine, id: engine.fill("ann", "PERP", 1, 99, order_id=1, client_id=id),
    "trade": lambda engine, id: engine.trade("ann", "bob", "PERP", 1, 100, client_id=id),
    "deposit": lambda engine, id: engine.deposit("ann", "USD", 1, client_id=id),
    "withdraw": lambda engine, id: engine.withdraw("ann", "USD", 1, client_id=id),
    "transfer": lambda engine, id: engine.transfer("ann", "bob", "USD", 1, client_id=id),
    "transfer of contracts": lambda engine, id: engine.transfer("ann", "bob", "CALL", 1, client_id=id),
    "exchange": lambda engine, id: engine.exchange("ann", "USD", "BTC", 50, D("0.001"), client_id=id),
    "add_account": lambda engine, id: engine.add_account("cat", client_id=id),
}


def rich() -> xm.Engine:
    return small_engine(
        balances=[("ann", "USD", 100_000), ("bob", "USD", 100_000)],
        positions=[("ann", "CALL", 3, 1500)],
        orders=[("ann", "PERP", 3, 99)],
    )


@pytest.mark.parametrize("what", COMMANDS)
def test_a_command_with_a_name_happens_once(what: str) -> None:
    engine, plain = rich(), rich()
    first = COMMANDS[what](engine, "first")
    assert COMMANDS[what](plain, None) == first
    once = engine.state_hash(), engine.ledger(), engine.open_orders("ann")
    assert once[1:] == (plain.ledger(), plain.open_orders("ann"))
    assert COMMANDS[what](engine, "first") == first
    assert (engine.state_hash(), engine.ledger(), engine.open_orders("ann")) == once


@pytest.mark.parametrize("what", COMMANDS)
def test_a_repetition_is_answered_whatever_has_happened_since(what: str) -> None:
    """Who hears no answer asks again, perhaps much later."""
    engine = rich()
    first = COMMANDS[what](engine, "first")
    for order in engine.open_orders("ann"):
        engine.cancel(order["order_id"])
    engine.settle("CALL", 1500)
    engine.withdraw("ann", "USD", 90_000)
    later = engine.state_hash()
    assert COMMANDS[what](engine, "first") == first
    assert engine.state_hash() == later


@pytest.mark.parametrize("what", COMMANDS)
def test_a_name_stands_for_one_command(what: str) -> None:
    engine = rich()
    COMMANDS[what](engine, "first")
    before = engine.state_hash()
    refused(lambda: engine.deposit("bob", "BTC", 3, client_id="first"), xm.RefusedError, "client_id", "first")
    assert engine.state_hash() == before
    engine.deposit("bob", "BTC", 3, client_id="second")


def test_an_order_that_was_refused_may_come_again_under_its_name() -> None:
    """Nothing happened, so nothing is remembered."""
    engine = small_engine(balances=[("ann", "USD", 1)])
    before = engine.state_hash()
    refused(lambda: engine.place("ann", "PERP", 1, 100, client_id="mine"), xm.OrderRefusedError)
    assert engine.state_hash() == before
    engine.deposit("ann", "USD", 100)
    assert engine.place("ann", "PERP", 1, 100, client_id="mine") == 1
    assert engine.place("ann", "PERP", 1, 100, client_id="mine") == 1 and len(engine.open_orders("ann")) == 1


def test_an_event_that_was_refused_may_come_again_under_its_name() -> None:
    engine = small_engine()
    refused(lambda: engine.withdraw("ann", "USD", 1, client_id="mine"), xm.RefusedError)
    engine.deposit("ann", "USD", 1)
    engine.withdraw("ann", "USD", 1, client_id="mine")
    assert engine.ledger()["USD"].withdrawals == 1


# Laws

quantities = st.integers(1, 10**10).map(lambda units: D(units).scaleb(-8))
prices = st.one_of(
    st.integers(1, 10**7).map(lambda cents: D(cents).scaleb(-2)), st.sampled_from([D("0.00000123"), D(123456789)])
)


@given(
    quantity=quantities,
    price=prices,
    parts=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    instrument=st.sampled_from(["PERP", "INVERSE", "CALL", "COINCALL"]),
    long=st.booleans(),
    decimals=st.integers(0, 8),
)
def test_nobody_earns_by_trading_to_and_fro(
    quantity: Decimal, price: Decimal, parts: list[int], instrument: str, long: bool, decimals: int
) -> None:
    """At one price whoever ends with nothing has at most lost a unit for every part that was rounded."""
    asset = "BTC" if instrument in ("INVERSE", "COINCALL") else "USD"
    engine = small_engine(decimals=decimals)
    sign, left = (1 if long else -1), quantity
    engine.fill("ann", instrument, sign * quantity, price)
    fills = 1
    for part in parts:
        # Some of it, or through zero and back.
        some = (left * part / 5).quantize(D("1e-8"))
        if some == 0:
            continue
        engine.fill("ann", instrument, -sign * some, price)
        left, fills = left - some, fills + 1
    if left:
        engine.fill("ann", instrument, -sign * left, price)
        fills += 1
    totals = engine.ledger()[asset]
    assert engine.book.position_count == 0 and totals.is_conserved
    assert -2 * fills * D(10) ** -decimals <= totals.accounts <= 0


@given(
    amounts=st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=5),
    indices=st.lists(st.integers(10**6, 2 * 10**6), min_size=1, max_size=4),
)
def test_interest_that_is_booked_often_is_never_more(amounts: list[int], indices: list[int]) -> None:
    """Each touch rounds down what is lent and up what is owed."""
    accounts = [f"account {number}" for number in range(len(amounts))]
    balances = [(account, "USD", D(amount).scaleb(-2)) for account, amount in zip(accounts, amounts, strict=True)]
    touched, quiet = (small_engine(balances, accounts=accounts, decimals=2) for _ in range(2))
    index = D(1)
    for number in indices:
        index *= D(number).scaleb(-6)
        for engine in (touched, quiet):
            engine.accrue(interest={"USD": (index, index)})
        for account in accounts:
            touched.deposit(account, "USD", D("0.01"))
    for account, amount in zip(accounts, amounts, strict=True):
        for engine in (touched, quiet):
            engine.deposit(account, "USD", 1)
        exact = Fraction(D(amount).scaleb(-2) * index) + 1
        paid_in = Fraction(len(indices), 100) * Fraction(index)
        assert Fraction(quiet.report()[account].equity) <= exact + Fraction(1, 10**6)
        assert Fraction(touched.report()[account].equity) <= exact + paid_in + Fraction(1, 10**6)
    assert touched.ledger()["USD"].is_conserved and quiet.ledger()["USD"].is_conserved
