"""May this order go in? Always as the exact reference says of the book in which it rests, to the last unit."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import portfolio_building
import xmfast as xm
from building import bits_of, isolated_bits_of
from engine_histories import HISTORIES, MONEY, ORDERS, Event, next_events, shortest
from engine_twins import Twins, of_account, report_of
from portfolio_venues import PortfolioVenue, random_portfolio_venue
from reference_ledger import Ledger
from reference_limits import with_order
from reference_rules import rows
from rule_venues import random_rule_venue, with_rules

SMALL: dict[str, Any] = {"accounts": 5, "assets": 3, "instruments": 5, "mean_positions": 2.0, "mean_balances": 2.0}
TINY = 1e-8
met: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def enough_has_happened() -> Iterator[None]:
    yield
    if met["checks"] > 100:
        assert min(met["accepted"], met["refused"]) > 0.15 * met["checks"], met
        assert met["at the edge"] > 0.05 * met["checks"], met


class Ordering(Twins):
    """Twins that know which orders may rest."""

    def allows(self, happens: Event, after: Ledger) -> bool:
        if happens.name == "place":
            account, name, quantity, price = happens.args
            return self.may_rest(account, name, quantity, price, happens.options.get("reduce_only", False))
        if happens.name == "amend":
            [[account, order]] = self.found(happens.args[0])
            quantity = order["quantity"] if happens.args[1] is None else happens.args[1]
            rest = (order["instrument"], quantity, happens.args[2], order["reduce_only"])
            return self.may_rest(account, *rest, instead=happens.args[0])
        if happens.name == "fill" and len(happens.args) == 6:
            account, name, quantity, _, _, number = happens.args
            [[_, order]] = self.found(number)
            held = self.scene.held.get((account, name), 0.0)
            return not order["reduce_only"] or (held * quantity < 0 and abs(quantity) <= abs(held))
        return super().allows(happens, after)

    def found(self, number: int) -> list[tuple[Any, dict[str, Any]]]:
        """Return an open order and whose it is."""
        every = [(account, order) for account in self.scene.accounts for order in self.engine.open_orders(account)]
        return [(account, order) for account, order in every if order["order_id"] == number]

    def may_rest(
        self,
        account: Any,
        name: Any,
        quantity: float,
        price: float | Decimal,
        reduce_only: bool,
        instead: int | None = None,
    ) -> bool:
        """Return whether an order may rest."""
        if reduce_only:
            mine = [order for order in self.engine.open_orders(account) if order["instrument"] == name]
            others = [
                exact_contracts(order["quantity"])
                for order in mine
                if order["reduce_only"] and order["quantity"] * quantity > 0 and order["order_id"] != instead
            ]
            held = exact_contracts(self.scene.held.get((account, name), 0.0))
            return held * quantity < 0 and abs(sum(others) + exact_contracts(quantity)) <= abs(held)
        return bool(self.resting(account, name, quantity, price, instead)["initial_health"] >= 0)

    def resting(
        self, account: Any, name: Any, quantity: float, price: float | Decimal, instead: int | None = None
    ) -> dict[str, Any]:
        """Return what the reference says, exactly, of what backs an order once it rests."""
        plain = of_account(self.plain(), account)
        if instead is not None:
            [[_, old]] = self.found(instead)
            orders = list(rows(plain.orders))
            orders.remove({"account": account} | {at: old[at] for at in old if at != "order_id"})
            plain = replace(plain, orders={at: [row[at] for row in orders] for at in orders[0]} if orders else None)
        report = report_of(with_order(plain, account, name, quantity, price))
        rows_of = report["isolated"] if name in report["isolated"]["instrument"] else report
        row = rows_of["instrument"].index(name) if rows_of is not report else 0
        return {figure: rows_of[figure][row] for figure in ("initial_health", "initial_margin", "gross")}

    def check(self, account: Any, name: Any, quantity: float, price: float | Decimal) -> None:
        """Compare a check with the reference, and see that it changes nothing."""
        right, before = self.resting(account, name, quantity, price), self.engine.state_hash()
        check = self.engine.check_order(account, name, quantity, price)
        assert self.engine.state_hash() == before
        assert check.accepted == bool(check) == (right["initial_health"] >= 0), (check, right)
        assert check.reason is (xm.Reason.ACCEPTED if check else xm.Reason.INITIAL_HEALTH)
        allowed = 1e-12 * float(right["gross"])
        assert abs(check.initial_margin - float(right["initial_margin"])) <= allowed
        assert abs(check.free_collateral - max(0.0, float(right["initial_health"]))) <= allowed
        met["checks"] += 1
        met["accepted" if check else "refused"] += 1

    def check_something(self) -> None:
        """Check an order of any size, and one just as large as may be, and one a unit larger."""
        scene, random = self.scene, self.scene.random
        if not scene.names:
            return
        account, name = scene.place()
        price = scene.price_near_mark(name)
        sizes = [scene.contracts(name)]
        if isinstance(self.engine.model, xm.CrossMargin):
            power = xm.buying_power(scene.book, scene.market, self.engine.model, account, name, price)
            for most, sign in ((power.long, 1), (power.short, -1)):
                if 0 < most < 1e6 and random.random() < 0.7:
                    units = math.floor(Fraction(most) * 10**8)
                    sizes += [sign * units / 10**8, sign * (units + 1) / 10**8]
                    met["at the edge"] += 1
        sizes = [size for size in sizes if size != 0]
        for size in sizes:
            self.check(account, name, size, price)
        many = self.engine.check_orders([account] * len(sizes), [name] * len(sizes), sizes, [price] * len(sizes))
        single = [self.engine.check_order(account, name, size, price) for size in sizes]
        assert many["accepted"].tolist() == [check.accepted for check in single]
        assert many["reason"].tolist() == [check.reason for check in single]
        assert many["initial_margin"].tolist() == [check.initial_margin for check in single]
        assert many["free_collateral"].tolist() == [check.free_collateral for check in single]


def exact_contracts(quantity: float) -> Fraction:
    return Fraction(str(quantity))


def opened(seed: int, mode: str) -> Ordering:
    random = Random(f"orders {seed}")
    venue = random_rule_venue(seed, mode=mode, **SMALL)
    # Numbers in the order of the engine, whose book keeps no reduce-only orders.
    return Ordering(venue, random)


def history(seed: int, mode: str, groups: int) -> None:
    twins, events = opened(seed, mode), []
    try:
        for _ in range(groups):
            for happens in next_events(twins.scene, MONEY + 2 * ORDERS):
                events.append(happens)
                twins.step(happens)
            twins.check_something()
        twins.compare_accounts()
    except AssertionError as error:
        needed = shortest(events, lambda some: differs(opened(seed, mode), some))
        lines = "\n".join(str(happens) for happens in needed)
        raise AssertionError(f"seed {seed}: {error}\n{lines}") from error


def differs(twins: Ordering, events: Sequence[Event]) -> bool:
    try:
        for happens in events:
            twins.step(happens)
        for _ in range(20):
            twins.check_something()
        twins.compare_accounts()
    except AssertionError:
        return True
    except ValueError:
        # An order whose placing was left out.
        return False
    return False


@settings(max_examples=max(1, HISTORIES // 15), phases=(Phase.explicit, Phase.generate), database=None)
@given(seed=st.integers(0, 2**32 - 1), mode=st.sampled_from(["cross", "cross", "isolated"]))
def test_orders_rest_as_the_reference_says(seed: int, mode: str) -> None:
    history(seed, mode, groups=10)


def engine_of(priced: PortfolioVenue, orders: list[dict[str, Any]]) -> xm.Engine:
    """Return an engine opened with these orders."""
    names = ("account", "instrument", "quantity", "price", "reduce_only")
    frame = {name: [order[name] for order in orders] for name in names}
    venue = replace(priced.venue, orders=frame if orders else None)
    accounts = [*dict.fromkeys(order["account"] for order in rows(priced.venue.orders))]
    # Whoever has nothing but the order that is left out.
    venue = replace(venue, accounts={"account": accounts, "leverage_cap": [None] * len(accounts)})
    model, book, market = portfolio_building.build(replace(priced, venue=venue))
    return xm.Engine(book, market, model)


@settings(max_examples=max(1, HISTORIES // 10), phases=(Phase.explicit, Phase.generate), database=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_scenario_models_judge_an_order_as_if_it_had_been_there(seed: int) -> None:
    random = Random(seed)
    priced = random_portfolio_venue(seed, **SMALL)
    priced = replace(priced, venue=with_rules(priced.venue, random, ["orders"]))
    orders = [row for row in rows(priced.venue.orders) if row["quantity"] != 0 and not row["reduce_only"]]
    if not orders:
        return
    order = random.choice(orders)
    others = [row for row in orders if row is not order]
    account, name, quantity, price = (order[cell] for cell in ("account", "instrument", "quantity", "price"))
    quantity = round(quantity, 8) or 1e-8
    order = order | {"quantity": quantity}
    without, resting = engine_of(priced, others), engine_of(priced, [*others, order])
    check = without.check_order(account, name, quantity, price)
    report: Any = resting.report()
    row = report.accounts.tolist().index(account)
    isolated = report.isolated
    alone = [
        unit == (account, name) for unit in zip(isolated.accounts.tolist(), isolated.instruments.tolist(), strict=True)
    ]
    backing, row = (isolated, alone.index(True)) if any(alone) else (report, row)
    assert check.accepted == (backing.initial_health[row] >= 0)
    assert check.initial_margin == pytest.approx(backing.initial_margin[row], rel=1e-12)
    free = max(0.0, backing.initial_health[row])
    assert check.free_collateral == pytest.approx(free, rel=1e-9, abs=1e-9 * (1 + abs(backing.initial_margin[row])))
    met["scenario checks"] += 1
    if check:
        without.place(account, name, quantity, price)
        assert bits_of(without.report()) == bits_of(report)
        assert isolated_bits_of(without.report()) == isolated_bits_of(report)
