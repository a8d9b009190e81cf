"""Venues that mix all rules: rules are added to a plain venue one by one, so that any set of them can meet.

All choices come from one `random.Random`: seeded it is a fast generator, and hypothesis has one whose choices shrink.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import strategies as st

from reference_rules import Rules, rows
from strategies import Columns, Venue, random_venue, rounded, venues

# Amounts around which something changes: tiers, brackets and caps are put near what somebody holds.
_NEAR = (0.1, 0.5, 0.9, 1.0, 1.1, 3.0)


def _with_orders(venue: Venue, random: Random) -> Venue:
    """Add orders near the mark, most of them where there is a position, some from accounts that have nothing else."""
    positions = list(rows(venue.positions))
    names = venue.instruments["instrument"]
    if not names:
        return venue
    orders = []
    for row in positions:
        while random.random() < 0.4:
            size = random.choice((row["quantity"], -row["quantity"], -2 * row["quantity"], rounded(_around(random))))
            orders.append((row["account"], row["instrument"], size))
    owners = _accounts(venue)
    newcomer = -1_000_001 if owners and isinstance(owners[0], int) else "newcomer"
    for _ in range(1 + len(positions) // 4):
        account = random.choice([*random.sample(owners, min(len(owners), 5)), newcomer])
        orders.append((account, random.choice(names), rounded(_around(random) * random.choice((-1, 1)))))
    random.shuffle(orders)
    return replace(
        venue,
        orders={
            "account": [order[0] for order in orders],
            "instrument": [order[1] for order in orders],
            "quantity": [0.0 if random.random() < 0.03 else order[2] for order in orders],
            "price": [_price_near_mark(venue, order[1], random) for order in orders],
            "reduce_only": [random.random() < 0.15 for _ in orders],
        },
    )


def _price_near_mark(venue: Venue, name: str, random: Random) -> float:
    mark = venue.mark_price[name]
    if mark == 0:
        # An option, or an instrument that may trade at any price.
        return random.choice((0.0, 0.5))
    # A signed price stays on its side of 0; the same price as the mark loses nothing.
    return float(mark if random.random() < 0.1 else rounded(mark * random.choice((0.5, 0.9, 0.99, 1.01, 1.1, 2.0))))


def _with_leverage_caps(venue: Venue, random: Random) -> Venue:
    """Cap every other account, and one that has nothing else."""
    owners = _accounts(venue)
    capped = [account for account in owners if random.random() < 0.5]
    if owners and isinstance(owners[0], str):
        capped.append("watcher")
    random.shuffle(capped)
    caps = [random.choice((None, 0.5, 1.0, 3.0, 7.0, 12.5, 20.0, 100.0)) for _ in capped]
    return replace(venue, accounts={"account": capped, "leverage_cap": caps})


def _with_brackets(venue: Venue, random: Random) -> Venue:
    """Let rates rise with notional, near the notional of some position."""
    rules = _rules_of(venue)
    notionals: dict[str, list[float]] = {}
    for row in rows(venue.positions):
        notional = abs(row["quantity"]) * rules.instrument(row["instrument"]).notional_of_one
        notionals.setdefault(row["instrument"], []).append(notional)
    brackets = []
    for row in rows(venue.margin):
        initial, maintenance = row["initial_rate"], row["maintenance_rate"]
        for floor in _floors(notionals.get(row["instrument"], [1000.0]), random):
            brackets.append((row["instrument"], floor, initial, maintenance))
            initial = rounded(initial + random.choice((0.0, 0.005, 0.05, 0.2)))
            maintenance = min(initial, rounded(maintenance + random.choice((0.0, 0.005, 0.02))))
    random.shuffle(brackets)
    names = ("instrument", "notional_floor", "initial_rate", "maintenance_rate")
    return replace(venue, margin={name: [row[at] for row in brackets] for at, name in enumerate(names)})


def _with_margin_floors(venue: Venue, random: Random) -> Venue:
    """Ask for so much per contract, near what the first rate asks for."""
    rules = _rules_of(venue)
    floors = {}
    for row in rows(venue.margin):
        one = rules.instrument(row["instrument"]).notional_of_one
        floors[row["instrument"]] = rounded(one * random.choice((0.0, 0.001, 0.01, 0.05, 0.3)))
    return replace(venue, margin=_with_column(venue.margin, "margin_floor_per_contract", floors, 0.0, random))


def _with_close_out_fees(venue: Venue, random: Random) -> Venue:
    """Let closing cost something: at most what lies between the two rates, in every bracket."""
    room: dict[Any, float] = {}
    for row in rows(venue.margin):
        # Rounded down to a decimal, because the sum is compared as decimals.
        gap = int((row["initial_rate"] - row["maintenance_rate"]) * 10_000 + 1e-6) / 10_000
        room[row["instrument"]] = min(gap, room.get(row["instrument"], gap))
    fees = {name: random.choice((0.0, gap, rounded(gap / 2), min(gap, 0.0005))) for name, gap in room.items()}
    return replace(venue, margin=_with_column(venue.margin, "close_out_fee_rate", fees, 0.0, random))


def _with_tiers(venue: Venue, random: Random) -> Venue:
    """Let haircuts rise with the amount, near what somebody holds."""
    amounts = _amounts_held(venue)
    tiers = []
    for row in rows(venue.collateral):
        initial, maintenance = row["initial_haircut"], row["maintenance_haircut"]
        weights = row["initial_liability_weight"], row["maintenance_liability_weight"]
        for floor in _floors(amounts.get(row["asset"], [10.0]), random):
            repeated = weights if floor == 0 or random.random() < 0.5 else (None, None)
            tiers.append((row["asset"], floor, initial, maintenance, *repeated))
            initial = min(1.0, rounded(initial + random.choice((0.0, 0.1, 0.35, 1.0))))
            maintenance = min(initial, rounded(maintenance + random.choice((0.0, 0.05, 0.3, 1.0))))
    random.shuffle(tiers)
    names = (
        "asset",
        "amount_floor",
        "initial_haircut",
        "maintenance_haircut",
        "initial_liability_weight",
        "maintenance_liability_weight",
    )
    return replace(venue, collateral={name: [row[at] for row in tiers] for at, name in enumerate(names)})


def _with_amount_caps(venue: Venue, random: Random) -> Venue:
    """Let what is above an amount count nothing."""
    amounts = _amounts_held(venue)
    caps = {}
    for row in rows(venue.collateral):
        near = random.choice(amounts.get(row["asset"], [10.0]))
        caps[row["asset"]] = None if random.random() < 0.4 else rounded(near * random.choice((0.0, *_NEAR)))
    return replace(venue, collateral=_with_column(venue.collateral, "amount_cap", caps, None, random))


def _with_gain_shares(venue: Venue, random: Random) -> Venue:
    """Let only a part of a gain count that is not realized."""
    shares = {row["asset"]: random.choice((0.0, 0.3, 0.5, 0.95, 1.0)) for row in rows(venue.collateral)}
    return replace(venue, collateral=_with_column(venue.collateral, "unrealized_gain_share", shares, 1.0, random))


def _with_interest(venue: Venue, random: Random) -> Venue:
    """Let balances and loans have grown, each at its own pace; assets without an index have not."""
    return replace(
        venue,
        deposit_index={
            name: random.choice((1.0, 1.0003, 1.02, 1.5)) for name in venue.assets["asset"] if random.random() < 0.7
        },
        borrow_index={
            name: random.choice((1.0, 1.0011, 1.07, 2.0)) for name in venue.assets["asset"] if random.random() < 0.7
        },
    )


def _with_funding(venue: Venue, random: Random) -> Venue:
    """Let funding have been paid, and positions have been opened in between."""
    paid: dict[str, float] = {}
    for row in rows(venue.instruments):
        if row["kind"] != "option":
            mark = venue.mark_price[row["instrument"]]
            scale = 1 / mark if row["inverse"] else mark or 1.0
            paid[row["instrument"]] = rounded(scale * random.choice((-0.1, -0.003, 0.0, 0.0001, 0.02, 0.2)))
    entries = [
        0.0 if name not in paid else random.choice((0.0, paid[name], rounded(paid[name] * 0.7), -paid[name]))
        for name in (venue.positions or {"instrument": []})["instrument"]
    ]
    positions = None if venue.positions is None else {**venue.positions, "entry_funding": entries}
    return replace(
        venue,
        cumulative_funding={name: funding for name, funding in paid.items() if random.random() < 0.8},
        positions=positions,
    )


def _with_isolated(venue: Venue, random: Random) -> Venue:
    """Put a margin of its own behind every third position: sometimes nothing, sometimes plenty."""
    if venue.positions is None:
        return venue
    rules = _rules_of(venue)
    margins: list[float | None] = []
    for row in rows(venue.positions):
        if random.random() < 0.65:
            margins.append(None)
            continue
        price = rules.instrument(row["instrument"]).settlement_price
        notional = abs(row["quantity"]) * rules.instrument(row["instrument"]).notional_of_one
        margins.append(rounded(notional * random.choice((0.0, 0.01, 0.05, 0.2, 1.0)) / (price or 1.0)))
    return replace(venue, positions={**venue.positions, "isolated_margin": margins})


def _rules_of(venue: Venue) -> Rules:
    return Rules(venue.universe, venue.market, venue.collateral, venue.margin, float)


def _accounts(venue: Venue) -> list[Any]:
    frames = (venue.balances, venue.positions, venue.orders)
    return list(dict.fromkeys(account for frame in frames if frame for account in frame["account"]))


def _amounts_held(venue: Venue) -> dict[str, list[float]]:
    amounts: dict[str, list[float]] = {}
    for row in rows(venue.balances):
        if row["balance"] > 0:
            amounts.setdefault(row["asset"], []).append(row["balance"])
    return amounts


def _around(random: Random) -> float:
    return 10 ** random.choice((-1, 0, 1, 2)) * random.choice((1.0, 2.5, 7.3))


def _floors(sizes: list[float], random: Random) -> list[float]:
    """Return 0 and up to three more, rising; some are just what somebody has."""
    floors = {0.0}
    for _ in range(random.choice((0, 1, 2, 3))):
        size = random.choice(sizes)
        floors.add(random.choice((size, rounded(size * random.choice(_NEAR)))))
    return sorted(floors)


def _with_column(
    frame: Columns | None, column: str, values: Mapping[Any, Any], default: Any, random: Random
) -> Columns | None:
    """Return the frame with a column that belongs to the id: further tiers repeat its value or leave it out."""
    if frame is None:
        return None
    name = "asset" if "asset" in frame else "instrument"
    floors = frame.get("amount_floor" if name == "asset" else "notional_floor", [0.0] * len(frame[name]))
    cells = [
        values.get(id_, default) if floor == 0 or random.random() < 0.5 else None
        for id_, floor in zip(frame[name], floors, strict=True)
    ]
    return {**frame, column: cells}


_ADD: dict[str, Callable[[Venue, Random], Venue]] = {
    "brackets": _with_brackets,
    "margin_floors": _with_margin_floors,
    "close_out_fees": _with_close_out_fees,
    "tiers": _with_tiers,
    "amount_caps": _with_amount_caps,
    "gain_shares": _with_gain_shares,
    "interest": _with_interest,
    "funding": _with_funding,
    "isolated": _with_isolated,
    "orders": _with_orders,
    "leverage_caps": _with_leverage_caps,
}
RULES = tuple(_ADD)


def random_rule_venue(seed: int, *, mode: str = "cross", rules: Iterable[str] | None = None, **sizes: Any) -> Venue:
    """Return a venue with a random half of the rules, or with those that are named; sizes as of `random_venue`."""
    random = Random(seed)
    if rules is None:
        rules = [rule for rule in RULES if random.random() < 0.6] or ["tiers"]
    return replace(with_rules(random_venue(seed, **sizes), random, rules), mode=mode)


@st.composite
def rule_venues(draw: st.DrawFn, mode: str | None = None, among: tuple[str, ...] = RULES) -> Venue:
    """A small venue with any set of the rules, or of some of them."""
    venue = draw(venues())
    # By what is left out: a venue with all rules is the plain case, and one without any is rare.
    chosen = set(among) - draw(st.sets(st.sampled_from(RULES)))
    random = draw(st.randoms(use_true_random=False))
    venue = with_rules(venue, random, [rule for rule in RULES if rule in chosen])
    return replace(venue, mode=mode or draw(st.sampled_from(["cross", "isolated"])))


@st.composite
def busy_venues(draw: st.DrawFn, mode: str | None = None, among: tuple[str, ...] = RULES) -> Venue:
    """A venue of a few accounts that all do something; it shrinks to fewer rules, not to fewer accounts."""
    seed = draw(st.integers(0, 2**32 - 1))
    rules = set(among) - draw(st.sets(st.sampled_from(RULES), max_size=5))
    venue = random_venue(seed, accounts=8, assets=3, instruments=6, mean_positions=3.0, mean_balances=2.0)
    venue = with_rules(venue, Random(seed), [rule for rule in RULES if rule in rules])
    return replace(venue, mode=mode or draw(st.sampled_from(["cross", "isolated"])))


def with_rules(venue: Venue, random: Random, rules: Iterable[str] | None = None) -> Venue:
    """Return the venue with these rules added, by default with all."""
    for rule in RULES if rules is None else rules:
        venue = _ADD[rule](venue, random)
    return venue
