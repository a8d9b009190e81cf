"""The first checks of many orders make what the engine's table lacks, and say what single ones do."""

from __future__ import annotations

import numpy as np
import pytest

import xmfast as xm
from small_engine import small_engine
from small_venue import FLAT

ACCOUNTS = ("empty", "plain", "ordered", "long", "short", "alone")
PRICES = {"PERP": 100.0, "INVERSE": 50_000.0, "CALL": 1500.0, "COINCALL": 0.03, "OIL": -5.0}


def fresh_engine() -> xm.Engine:
    """Return an engine that nobody has asked anything, of accounts that need different rows of its table."""
    return small_engine(
        [(account, "USD", 500.0) for account in ACCOUNTS[1:]],
        [
            ("long", "PERP", 3.0, 100.0),
            ("long", "OIL", 0.01, -5.0),
            ("short", "PERP", -2.0, 100.0),
            ("short", "CALL", -0.5, 1500.0),
            ("alone", "PERP", 1.0, 100.0, 50.0),
        ],
        [("ordered", "PERP", 1.0, 100.0)],
        accounts=ACCOUNTS,
    )


@pytest.mark.parametrize("seed", range(3))
def test_first_checks_of_many_are_single_checks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = 6_000
    accounts = rng.choice(ACCOUNTS, count).tolist()
    names = rng.choice(list(PRICES), count).tolist()
    quantities = rng.choice([-3.0, -0.5, 0.01, 2.0], count).tolist()
    flags = (rng.random(count) < 0.1).tolist()
    orders = list(zip(accounts, names, quantities, [PRICES[name] for name in names], flags, strict=True))
    many = fresh_engine().check_orders(*map(list, zip(*orders, strict=True)))
    single = fresh_engine()
    reasons = set()
    for row, order in enumerate(orders):
        check = single.check_order(*order)
        said = (many["reason"][row], many["initial_margin"][row], many["free_collateral"][row])
        assert said == (check.reason, check.initial_margin, check.free_collateral), order
        reasons.add(check.reason)
    assert reasons == {xm.Reason.ACCEPTED, xm.Reason.INITIAL_HEALTH, xm.Reason.NOT_REDUCING}


@pytest.mark.parametrize("first", [0, 1, 1023, 1024, 2500, 5999])
def test_of_orders_that_lack_parameters_the_first_is_named(first: int) -> None:
    # All but the last instrument, which is OIL.
    margin = {name: values[:-1] for name, values in FLAT.items()}
    engine = small_engine([("ann", "USD", 1e6)], accounts=("ann", "bob", "cid"), margin=margin)
    names = ["PERP"] * first + ["OIL"] + ["PERP", "OIL"] * ((6_000 - first) // 2)
    accounts = ["ann"] * first + ["bob"] + ["cid"] * (len(names) - first - 1)
    prices = [PRICES[name] for name in names]
    before = engine.state_hash()
    for _ in range(2):
        with pytest.raises(xm.MissingParameterError, match="'OIL', which account 'bob' holds"):
            engine.check_orders(accounts, names, np.ones(len(names)), prices)
    assert engine.state_hash() == before
