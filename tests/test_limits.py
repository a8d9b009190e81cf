"""What an account may still do: the limit itself passes, anything larger does not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

import xmfast as xm
from building import build, reference_of, report_of, settings
from changes import with_balance, with_cell
from reference import exact
from reference_limits import (
    alone,
    buying_power,
    cash_of,
    initial_health,
    unrealized,
    with_gain_share,
    with_less,
    with_order,
    withdrawable,
)
from reference_rules import rows
from rule_venues import RULES, random_rule_venue
from standing import NAN, Standing, refused
from strategies import Venue
from test_liquidation_price import THREADS
from test_rules import FRAMES, shuffled

SIDES = (1, -1)
# As they may be called by somebody whose types nobody checks.
BUY: Callable[..., Any] = xm.buying_power
WITHDRAW: Callable[..., Any] = xm.withdrawable
TRANSFER: Callable[..., Any] = xm.transferable


def mixed_venues(first: int, count: int, accounts: int = 30) -> Iterator[Venue]:
    for seed in range(first, first + count):
        rules = RULES if seed % 2 else None
        yield random_rule_venue(seed, rules=rules, accounts=accounts, assets=4, instruments=8, mean_positions=2.0)


def price_near(venue: Venue, name: str, random: Random) -> float | None:
    """Return a price of an order: the mark, better or worse; ``None`` asks for the mark."""
    factor = random.choice((None, 1.0, 0.97, 1.03, 0.5, 2.0))
    return None if factor is None else venue.mark_price[name] * factor


def accounts_of(venue: Venue) -> list[Any]:
    return list(report_of(venue).accounts.tolist())


def test_buying_power_is_the_largest_order_that_passes() -> None:
    random, met = Random(1), Counter[str]()
    for venue in mixed_venues(0, 8):
        model, book, market = build(venue)
        report = report_of(venue)
        safe = report.accounts[report.initial_health > 0].tolist()
        for account in [*random.sample(safe, min(9, len(safe))), *random.sample(report.accounts.tolist(), 3)]:
            own = alone(venue, account)
            # Where it has something already, and anywhere.
            held = [row["instrument"] for frame in (own.orders, own.positions) for row in rows(frame)]
            name = random.choice([*held[:2], random.choice(venue.instruments["instrument"])])
            price = price_near(venue, name, random)
            limits = xm.buying_power(book, market, model, account, name, price)
            assert isinstance(limits, xm.BuyingPower)
            at = venue.mark_price[name] if price is None else price
            for side, limit in zip(SIDES, limits, strict=True):
                assert limit == buying_power(own, account, name, side, at), (account, name, side, price)
                met["none" if limit == 0 else "all" if math.isinf(limit) else "some"] += 1
                if not 0 < limit < math.inf:
                    continue
                met["option"] += venue.instruments["kind"][venue.instruments["instrument"].index(name)] == "option"
                met["capped"] += any(row["leverage_cap"] for row in rows(own.accounts))
                met["has orders"] += name in (own.orders or {"instrument": []})["instrument"]
                met["against a position"] += any(
                    row["instrument"] == name and row["quantity"] * side < 0 for row in rows(own.positions)
                )
                # And the report says so.
                passing, failing = limit, math.nextafter(limit, math.inf)
                decided = [
                    own_initial_health(with_order(own, account, name, side * size, at), name)
                    for size in (passing, failing)
                ]
                assert decided[0] >= 0 > decided[1], (account, name, side, price)
    assert met["some"] > 60 and met["none"] > 20 and met["all"] > 15, met
    assert min(met[what] for what in ("option", "capped", "has orders", "against a position")) >= 5, met


def own_initial_health(venue: Venue, instrument: str) -> float:
    """Return the reported initial health of a venue's only account, or of its isolated position."""
    report = report_of(venue)
    alone_ = report.isolated
    if instrument in alone_.instruments:
        return float(alone_.initial_health[alone_.instruments.tolist().index(instrument)])
    return float(report.initial_health[0])


def test_buying_power_of_a_book_is_that_of_its_accounts() -> None:
    """Added to all accounts at once, orders a hair below the limit pass, and those a hair above do not."""
    random, met = Random(2), Counter[str]()
    for venue in mixed_venues(100, 10, accounts=60):
        model, book, market = build(venue)
        accounts = book.accounts.tolist()
        name = random.choice(venue.instruments["instrument"])
        price = price_near(venue, name, random)
        at = venue.mark_price[name] if price is None else price
        limits = xm.buying_power(book, market, model, None, name, price)
        assert isinstance(limits, xm.BookBuyingPower)
        for row in random.sample(range(len(accounts)), 6):
            one = xm.buying_power(book, market, model, accounts[row], name, price)
            assert (limits.long[row], limits.short[row]) == pytest.approx(one, rel=1e-9, abs=1e-12)
        gross = np.array(reference_of(venue)["gross"])
        isolated = {row["account"] for row in rows(venue.positions) if row["instrument"] == name}
        for side, sizes in zip(SIDES, limits, strict=True):
            assert sizes.dtype == np.float64 and not np.isnan(sizes).any() and (sizes >= 0).all()
            for factor in (1 - 1e-9, 1 + 1e-9):
                asked = [size * factor for size in sizes.tolist()]
                orders = [
                    (account, name, side * size, at, False)
                    for account, size in zip(accounts, asked, strict=True)
                    if 0 < size < math.inf and account not in isolated
                ]
                orders += [tuple(row.values()) for row in rows(venue.orders)]
                columns = ("account", "instrument", "quantity", "price", "reduce_only")
                frame = {column: [row[place] for row in orders] for place, column in enumerate(columns)}
                report = report_of(replace(venue, orders=frame))
                health = dict(zip(report.accounts.tolist(), report.initial_health, strict=True))
                for account, size, room in zip(accounts, asked, 1e-11 * gross, strict=True):
                    if 0 < size < math.inf and account not in isolated:
                        assert health[account] >= -room if factor < 1 else health[account] <= room, (account, name)
                        met["below" if factor < 1 else "above"] += 1
    assert met["below"] == met["above"] > 100, met


def test_more_cash_never_allows_less() -> None:
    random, risen = Random(3), Counter[str]()
    for venue in mixed_venues(200, 16):
        model, book, market = build(venue)
        name, asset = random.choice(venue.instruments["instrument"]), random.choice(("USD", "A1"))
        richer_venue = venue
        for account in accounts_of(venue):
            richer_venue = with_balance(richer_venue, account, "USD", 1000.0)
        richer = xm.Book.from_frames(
            model.universe,
            richer_venue.balances,
            richer_venue.positions,
            richer_venue.orders,
            richer_venue.accounts,
        )
        places = [richer.accounts.tolist().index(account) for account in book.accounts.tolist()]
        for what, of_book, asked in (("buying power", BUY, name), ("withdrawable", WITHDRAW, asset)):
            before, after = (np.atleast_2d(of_book(holders, market, model, None, asked)) for holders in (book, richer))
            assert (after[:, places] >= before * (1 - 1e-9)).all()
            risen[what] += int((after[:, places] > before * (1 + 1e-9)).sum())
    assert risen["buying power"] > 50 and risen["withdrawable"] > 50, risen


def test_withdrawable_is_the_largest_amount_that_may_leave() -> None:
    random, met = Random(4), Counter[str]()
    for venue in mixed_venues(300, 8):
        model, book, market = build(venue)
        for account in random.sample(accounts_of(venue), 25):
            asset = random.choice([row["asset"] for row in rows(alone(venue, account).balances)] or ["USD"])
            share = random.choice((0.0, 0.0, 0.4, 1.0))
            options = {} if share == 0 and random.random() < 0.5 else {"unrealized_gain_share": share}
            amount = xm.withdrawable(book, market, model, account, asset, **options)
            assert type(amount) is float
            assert amount == withdrawable(venue, account, asset, share), (account, asset, share)
            cash = cash_of(venue, account, asset)
            if amount == 0:
                met["nothing"] += 1
                continue
            own = with_gain_share(alone(venue, account), share)
            assert exact(amount) <= cash
            # I5 and I6: what is left meets initial margin, gains that are not realized left out.
            assert initial_health(with_less(own, account, asset, amount)) >= 0
            more = math.nextafter(amount, math.inf)
            is_all = exact(more) > cash
            met["all" if is_all else "some"] += 1
            assert is_all or initial_health(with_less(own, account, asset, more)) < 0
    assert met["nothing"] > 20 and met["all"] > 20 and met["some"] >= 5, met


def test_withdrawable_of_a_book_is_that_of_its_accounts() -> None:
    compared = Counter[str]()
    for venue in mixed_venues(400, 6, accounts=40):
        model, book, market = build(venue)
        for asset in venue.assets["asset"]:
            for share in (0.0, 0.5):
                amounts = xm.withdrawable(book, market, model, None, asset, unrealized_gain_share=share)
                assert amounts.shape == (len(book),) and amounts.dtype == np.float64
                for account, amount in zip(book.accounts.tolist(), amounts.tolist(), strict=True):
                    one = xm.withdrawable(book, market, model, account, asset, unrealized_gain_share=share)
                    assert one == 0 or exact(one) <= cash_of(venue, account, asset)
                    if not math.isclose(amount, one, rel_tol=1e-9, abs_tol=1e-12):
                        # Where little of an asset counts, much of it makes little difference.
                        own = with_gain_share(alone(venue, account), share)
                        room = 1e-12 * reference_of(own)["gross"][0]
                        left = [initial_health(with_less(own, account, asset, size)) for size in (one, amount)]
                        assert abs(float(left[0] - left[1])) <= room or amount == 0, (account, asset, amount, one)
                    compared["some" if one else "nothing"] += 1
    assert compared["some"] > 100 and compared["nothing"] > 100, compared


def test_gains_that_are_not_realized_cannot_be_withdrawn() -> None:
    """I6: a gain that is larger, because the position was opened at a better price, lets nothing more out."""
    met: Counter[str] = Counter()
    for venue in mixed_venues(500, 12):
        rules = {name: at for at, name in enumerate(venue.instruments["instrument"])}
        model, book, market = build(venue)
        for at, position in enumerate(rows(venue.positions)):
            account, name, price = position["account"], position["instrument"], position["entry_price"]
            asset = venue.instruments["settlement"][rules[name]]
            if position.get("isolated_margin") is not None or price <= 0 or unrealized(venue, account, asset) < 0:
                continue
            better = with_cell(venue.positions, "entry_price", at, price * (0.5 if position["quantity"] > 0 else 2.0))
            gained = xm.Book.from_frames(model.universe, venue.balances, better, venue.orders, venue.accounts)
            for share in (0.0, 1.0):
                before, after = (
                    xm.withdrawable(holders, market, model, account, asset, unrealized_gain_share=share)
                    for holders in (book, gained)
                )
                assert after == before if share == 0 else after >= before, (account, name)
                met["had some"] += int(before > 0)
                met["counted"] += int(after > before)
    assert met["had some"] > 50 and met["counted"] >= 10, met


def test_transfers_leave_neither_below_initial_margin() -> None:
    random, met = Random(6), Counter[str]()
    for venue in mixed_venues(600, 12):
        model, book, market = build(venue)
        healths = dict(
            zip(*(getattr(report_of(venue), name).tolist() for name in ("accounts", "initial_health")), strict=True)
        )
        for _ in range(20):
            source, target = random.sample(list(healths), 2)
            asset = random.choice(venue.assets["asset"])
            least, most = xm.transferable(book, market, model, source, target, asset)
            assert most == xm.withdrawable(book, market, model, source, asset)
            given, taken = alone(venue, source), alone(venue, target)
            if least == 0:
                assert initial_health(taken) >= 0
                met["needs nothing"] += 1
            elif least is None:
                # No amount does it: at most so much counts, or nothing does.
                assert initial_health(with_less(taken, target, asset, -1e30)) < 0
                met["in vain"] += 1
            else:
                assert initial_health(with_less(taken, target, asset, -least)) >= 0
                assert initial_health(with_less(taken, target, asset, -math.nextafter(least, 0))) < 0
                met["needs some"] += 1
            if least is not None and 0 < least <= most:
                for amount in (least, most):
                    assert initial_health(with_less(given, source, asset, amount)) >= 0
                    assert initial_health(with_less(taken, target, asset, -amount)) >= 0
                met["can be helped"] += 1
    assert met["needs nothing"] > 50 and met["needs some"] > 30 and met["in vain"] >= 5, met
    assert met["can be helped"] >= 5, met


def test_transferable_counts_gains_at_the_share_of_the_source(standing: Standing) -> None:
    inputs = standing.book, standing.market, standing.model
    for share in (0.0, 1.0):
        moved = xm.transferable(*inputs, "ann", "bob", "USD", unrealized_gain_share=share)
        assert moved.most == xm.withdrawable(*inputs, "ann", "USD", unrealized_gain_share=share)


def test_threads_and_order_of_rows_change_no_bit() -> None:
    venue = random_rule_venue(700, rules=RULES, accounts=9000, assets=4, instruments=12, mean_positions=2.0)
    model, book, market = build(venue)
    model_, book_, market_ = build(shuffled(venue, Random(7), *FRAMES))
    order = {account: at for at, account in enumerate(book_.accounts.tolist())}
    places = [order[account] for account in book.accounts.tolist()]
    asked: list[Callable[[Any, Any, Any], Any]] = [
        lambda book, market, model: np.stack(xm.buying_power(book, market, model, None, "I3")),
        lambda book, market, model: np.stack(xm.buying_power(book, market, model, None, "I1", 7.0)),
        lambda book, market, model: xm.withdrawable(book, market, model, None, "USD")[None],
        lambda book, market, model: xm.withdrawable(book, market, model, None, "A1", unrealized_gain_share=0.5)[None],
    ]
    for ask in asked:
        seen = set()
        for threads in THREADS:
            with settings(threads=threads):
                limits = ask(book, market, model)
            seen.add(limits.tobytes())
        assert len(seen) == 1
        assert 0.02 < (limits == 0).mean() < 0.98
        assert ask(book_, market_, model_)[:, places].tobytes() == limits.tobytes()


def test_what_is_not_there_is_named(standing: Standing) -> None:
    inputs = standing.book, standing.market, standing.model
    unknown = xm.UnknownIdError
    refused(lambda: BUY(*inputs, "anne", "PERP"), unknown, "'anne'", "did you mean 'ann'")
    refused(lambda: WITHDRAW(*inputs, "anne", "USD"), unknown, "'anne'", "did you mean 'ann'")
    refused(lambda: TRANSFER(*inputs, "anne", "bob", "USD"), unknown, "'anne'", "did you mean 'ann'")
    refused(lambda: TRANSFER(*inputs, "bob", "anne", "USD"), unknown, "'anne'", "did you mean 'ann'")
    refused(lambda: TRANSFER(*inputs, "ann", "bob", "USDD"), unknown, "'USDD'", "did you mean 'USD'")
    refused(lambda: TRANSFER(*inputs, "ann", "ann", "USD"), xm.InputError, "'ann'")


@pytest.mark.parametrize("who", ["ann", None])
def test_what_does_not_exist_is_named(standing: Standing, who: str | None) -> None:
    inputs = standing.book, standing.market, standing.model, who
    refused(lambda: BUY(*inputs, "PREP"), xm.UnknownIdError, "'PREP'", "did you mean 'PERP'")
    refused(lambda: WITHDRAW(*inputs, "BTCC"), xm.UnknownIdError, "'BTCC'", "did you mean 'BTC'")
    # An underlying that nobody can hold.
    refused(lambda: WITHDRAW(*inputs, "WTI"), xm.UnknownIdError, "'WTI'")


@pytest.mark.parametrize("who", ["ann", None])
@pytest.mark.parametrize("price", [NAN, math.inf, 0.0, -1.0])
def test_prices_that_cannot_be_are_refused(standing: Standing, who: Any, price: float) -> None:
    inputs = standing.book, standing.market, standing.model, who
    refused(lambda: BUY(*inputs, "PERP", price), xm.InputError, "price", "PERP")
    if price <= 0:
        # Oil may be paid for by who sells it.
        assert np.all(np.array(BUY(*inputs, "OIL", price)) >= 0)


@pytest.mark.parametrize("share", [NAN, math.inf, -0.1, 1.1])
def test_shares_that_cannot_be_are_refused(standing: Standing, share: float) -> None:
    inputs = standing.book, standing.market, standing.model
    for call, who in ((WITHDRAW, ("ann",)), (WITHDRAW, (None,)), (TRANSFER, ("ann", "bob"))):
        with pytest.raises(xm.InputError, match="unrealized_gain_share"):
            call(*inputs, *who, "USD", unrealized_gain_share=share)


def test_only_a_pool_has_limits(standing: Standing) -> None:
    isolated = xm.IsolatedMargin.from_frames(standing.universe)
    inputs = standing.book, standing.market, isolated
    refused(lambda: BUY(*inputs, "ann", "PERP"), xm.InputError, "model", "CrossMargin")
    refused(lambda: WITHDRAW(*inputs, "ann", "USD"), xm.InputError, "model", "CrossMargin")
    refused(lambda: TRANSFER(*inputs, "ann", "bob", "USD"), xm.InputError, "model", "CrossMargin")
