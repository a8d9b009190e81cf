"""Random venues: a fast seeded generator for large ones, hypothesis strategies for small ones that shrink.

Both give plain dicts of columns; nothing here knows xmfast.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

Columns = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Venue:
    """Everything that an evaluation reads, as plain frames."""

    assets: Columns
    instruments: Columns
    numeraire: Any = "USD"
    balances: Columns | None = None
    positions: Columns | None = None
    orders: Columns | None = None
    accounts: Columns | None = None
    index_price: dict[Any, Any] = field(default_factory=dict)
    mark_price: dict[Any, Any] = field(default_factory=dict)
    deposit_index: dict[Any, Any] = field(default_factory=dict)
    borrow_index: dict[Any, Any] = field(default_factory=dict)
    cumulative_funding: dict[Any, Any] = field(default_factory=dict)
    collateral: Columns | None = None
    margin: Columns | None = None
    # `isolated`: every position is backed by its own share.
    mode: str = "cross"

    @property
    def universe(self) -> dict[str, Any]:
        """The universe as `reference.evaluate` reads it."""
        return {"assets": self.assets, "instruments": self.instruments, "numeraire": self.numeraire}

    @property
    def market(self) -> dict[str, dict[Any, Any]]:
        """The market as `reference.evaluate` reads it."""
        names = ("index_price", "mark_price", "deposit_index", "borrow_index", "cumulative_funding")
        return {name: getattr(self, name) for name in names}


def select(columns: Columns | None, order: Any) -> Columns | None:
    """Return the frame with its rows picked in this order."""
    if columns is None:
        return None
    return {name: [values[row] for row in order] for name, values in columns.items()}


# A few marks and rates recur, so that ties, exact zeros and netting happen and not only in theory.
_MULTIPLIERS = (1.0, 1.0, 0.1, 100.0, 0.001)
_RATES = ((0.05, 0.025), (0.1, 0.1), (0.02, 0.0), (0.0, 0.0), (0.5, 0.4))
_HAIRCUTS = ((0.0, 0.0), (0.1, 0.05), (0.3, 0.3), (1.0, 0.5), (1.0, 1.0))
_LIABILITY_WEIGHTS = ((1.0, 1.0), (1.1, 1.05), (1.2, 1.2), (3.0, 1.5))


def random_venue(
    seed: int,
    *,
    accounts: int = 300,
    assets: int = 6,
    instruments: int = 40,
    mean_positions: float = 6.0,
    mean_balances: float = 1.5,
    widest_account: int = 0,
    text_accounts: bool = False,
) -> Venue:
    """Return a venue with a bit of everything that the model tells apart.

    Linear and inverse perpetuals and futures, options of both kinds, instruments whose price may be negative, coin
    settlement, several settlement assets per account, haircuts, loans, net debts, accounts with balances only,
    positions only, zero rows only, underlyings that cannot be held. ``widest_account`` gives account 0 that many
    positions. Rows are shuffled, so that accounts interleave.
    """
    rng = np.random.default_rng(seed)
    asset_ids = ["USD", *(f"A{number}" for number in range(1, assets))]
    index_price: dict[Any, float] = {name: rounded(rng.lognormal(3.0, 2.0)) for name in asset_ids[1:]}
    for name in asset_ids[1:]:
        if rng.random() < 0.05:
            index_price[name] = 0.0
    specs, mark_price = _random_instruments(rng, asset_ids, index_price, instruments)

    # Some accounts hold balances only, some positions only; every account has at least one row.
    kind = rng.random(accounts)
    balance_counts = np.where(kind < 0.1, 0, 1 + rng.poisson(mean_balances, accounts))
    position_counts = np.where(kind > 0.8, 0, rng.geometric(1 / mean_positions, accounts))
    if widest_account:
        position_counts[0] = 4 * widest_account
    held, asset = _distinct_pairs(rng, balance_counts, assets, favourite=0.5)
    traded, row = _distinct_pairs(rng, position_counts, instruments, favourite=0.0)
    if widest_account:
        # Drawn with repetition above: keep just as many as asked for.
        of_first = np.flatnonzero(traded == 0)
        keep = np.ones(len(traded), dtype=bool)
        keep[of_first[widest_account:]] = False
        traded, row = traded[keep], row[keep]

    price_of_asset = np.array([index_price.get(name, 1.0) for name in asset_ids])[asset]
    worth = rng.lognormal(7.0, 2.0, len(held)) * np.where(rng.random(len(held)) < 0.25, -1.0, 1.0)
    balance = rounded(worth / np.maximum(price_of_asset, 1e-3))
    balance[rng.random(len(balance)) < 0.02] = 0.0

    marks = np.array([mark_price[name] for name in specs["instrument"]])[row]
    multiplier = np.array(specs["contract_multiplier"])[row]
    inverse = np.array(specs["inverse"])[row]
    is_option = np.array(specs["kind"])[row] == "option"
    unit_value = np.where(
        inverse & ~is_option, multiplier / np.maximum(np.abs(marks), 1e-9), multiplier * np.abs(marks)
    )
    settled = np.array([index_price.get(name, 1.0) for name in specs["settlement"]])[row]
    size = rng.lognormal(7.0, 2.0, len(row)) / np.maximum(unit_value * settled, 1e-3)
    quantity = rounded(size * np.where(rng.random(len(row)) < 0.5, -1.0, 1.0))
    quantity[rng.random(len(quantity)) < 0.02] = 0.0
    entry_price = rounded(marks * rng.lognormal(0.0, 0.2, len(row)))
    entry_price = np.where(rng.random(len(row)) < 0.1, marks, entry_price)

    ids: Any = np.arange(accounts) * 7 - 3
    if text_accounts:
        ids = np.array([f"account-{number}" for number in ids], dtype=object)
    some_assets = rng.permutation(assets)[: max(1, assets - 1)]
    haircuts = [_HAIRCUTS[rng.integers(len(_HAIRCUTS))] for _ in some_assets]
    debts = [_LIABILITY_WEIGHTS[rng.integers(len(_LIABILITY_WEIGHTS))] for _ in some_assets]
    rates = [_RATES[rng.integers(len(_RATES))] for _ in range(instruments)]
    by_balance, by_position = rng.permutation(len(held)), rng.permutation(len(traded))
    return Venue(
        assets={"asset": asset_ids},
        instruments=specs,
        balances={
            "account": ids[held][by_balance].tolist(),
            "asset": [asset_ids[number] for number in asset[by_balance]],
            "balance": balance[by_balance].tolist(),
        },
        positions={
            "account": ids[traded][by_position].tolist(),
            "instrument": [specs["instrument"][number] for number in row[by_position]],
            "quantity": quantity[by_position].tolist(),
            "entry_price": entry_price[by_position].tolist(),
        },
        index_price=index_price,
        mark_price=mark_price,
        collateral={
            "asset": [asset_ids[number] for number in some_assets],
            "initial_haircut": [pair[0] for pair in haircuts],
            "maintenance_haircut": [pair[1] for pair in haircuts],
            "initial_liability_weight": [pair[0] for pair in debts],
            "maintenance_liability_weight": [pair[1] for pair in debts],
        },
        margin={
            "instrument": specs["instrument"],
            "initial_rate": [pair[0] for pair in rates],
            "maintenance_rate": [pair[1] for pair in rates],
        },
    )


def _random_instruments(
    rng: np.random.Generator, asset_ids: list[str], index_price: dict[Any, float], count: int
) -> tuple[Columns, dict[Any, float]]:
    specs: Columns = {
        name: []
        for name in (
            "instrument",
            "kind",
            "underlying",
            "settlement",
            "contract_multiplier",
            "inverse",
            "allow_negative_price",
            "strike",
            "right",
            "futures_style",
        )
    }
    mark_price: dict[Any, float] = {}
    for number in range(count):
        kind = ("perpetual", "perpetual", "future", "option")[rng.integers(4)]
        inverse = bool(rng.random() < 0.25)
        signed = bool(kind != "option" and not inverse and rng.random() < 0.15)
        # Every third underlying is something that nobody can hold.
        underlying = f"U{number}" if number % 3 == 0 else asset_ids[rng.integers(len(asset_ids))]
        if underlying not in index_price and underlying != "USD":
            index_price[underlying] = rounded(rng.lognormal(3.0, 1.0))
        mark = rounded(rng.lognormal(3.0, 1.5))
        if kind == "option":
            mark = 0.0 if rng.random() < 0.1 else rounded(mark / 20)
        elif signed:
            mark = -mark if rng.random() < 0.5 else 0.0
        name = f"I{number}"
        mark_price[name] = float(mark)
        for column, value in (
            ("instrument", name),
            ("kind", kind),
            ("underlying", underlying),
            ("settlement", "USD" if rng.random() < 0.6 else asset_ids[rng.integers(len(asset_ids))]),
            ("contract_multiplier", _MULTIPLIERS[rng.integers(len(_MULTIPLIERS))]),
            ("inverse", inverse),
            ("allow_negative_price", signed),
            ("strike", 25.0 if kind == "option" else None),
            ("right", "call" if kind == "option" else None),
            ("futures_style", kind == "option" and number % 3 == 1),
        ):
            specs[column].append(value)
    return specs, mark_price


def _distinct_pairs(rng: np.random.Generator, counts: Any, choices: int, *, favourite: float) -> tuple[Any, Any]:
    """Return accounts and what each has, no pair twice; choice 0 is taken more often."""
    account = np.repeat(np.arange(len(counts)), counts)
    choice = rng.integers(choices, size=len(account))
    choice[rng.random(len(account)) < favourite] = 0
    pairs = np.unique(account * choices + choice)
    return pairs // choices, pairs % choices


def rounded(value: Any) -> Any:
    """Round to five significant digits: the decimals that people write, which binary fractions cannot hold."""
    if isinstance(value, np.ndarray):
        with np.errstate(divide="ignore"):
            digits = np.where(value == 0, 0, np.floor(np.log10(np.abs(np.where(value == 0, 1, value)))))
        scale = 10.0 ** (4 - digits)
        return np.round(value * scale) / scale
    return float(f"{value:.5g}")


# Hypothesis: few names, few values, so that a failing example is small and reads well.

# Decimals of a fixed scale, as venues print them: products stay far from where f64 runs out of small numbers.
_amounts = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 0.1, -0.1, 1000.0, -1000.0]),
    st.integers(-(10**12), 10**12).map(lambda thousandths: thousandths / 1000),
)
_prices = st.one_of(
    st.sampled_from([1.0, 0.1, 100.0, 60000.0]),
    st.floats(1e-6, 1e6).map(lambda value: float(f"{value:.6g}")),
)
_fractions = st.one_of(
    st.sampled_from([0.0, 0.05, 0.1, 0.5, 1.0]), st.integers(0, 10_000).map(lambda parts: parts / 10_000)
)


@st.composite
def instrument_rows(draw: st.DrawFn, assets: list[str]) -> Columns:
    """One instrument, with its mark price under ``mark``."""
    kind = draw(st.sampled_from(["perpetual", "future", "option"]))
    inverse = draw(st.booleans())
    signed = kind != "option" and not inverse and draw(st.booleans())
    mark = draw(_prices)
    if signed:
        mark *= draw(st.sampled_from([1.0, -1.0, 0.0]))
    elif kind == "option":
        mark *= draw(st.sampled_from([1.0, 0.0]))
    return {
        "kind": kind,
        "underlying": draw(st.sampled_from([*assets, "GOLD"])),
        "settlement": draw(st.sampled_from(assets)),
        "contract_multiplier": draw(st.sampled_from([1.0, 0.1, 100.0])),
        "inverse": inverse,
        "allow_negative_price": signed,
        "futures_style": kind == "option" and draw(st.booleans()),
        "mark": mark,
    }


@st.composite
def venues(draw: st.DrawFn) -> Venue:
    """A venue of up to three assets, four instruments and six accounts."""
    assets = ["USD", "BTC", "ETH"][: draw(st.integers(1, 3))]
    rows = draw(st.lists(instrument_rows(assets), max_size=4))
    names = [f"I{number}" for number in range(len(rows))]
    keys = (
        *("kind", "underlying", "settlement", "contract_multiplier", "inverse", "allow_negative_price"),
        "futures_style",
    )
    accounts = st.sampled_from(["a", "b", "c", "d", "e", "f"])
    balances = draw(
        st.lists(st.tuples(accounts, st.sampled_from(assets), _amounts), max_size=10, unique_by=lambda row: row[:2])
    )
    positions = draw(
        st.lists(
            st.tuples(accounts, st.sampled_from(names), _amounts, _prices),
            max_size=12,
            unique_by=lambda row: row[:2],
        )
        if names
        else st.just([])
    )
    weighted = draw(st.lists(st.sampled_from(assets), unique=True))
    haircuts = [sorted(draw(st.tuples(_fractions, _fractions)), reverse=True) for _ in weighted]
    debts = [
        sorted((1 + a, 1 + b), reverse=True) for a, b in (draw(st.tuples(_fractions, _fractions)) for _ in weighted)
    ]
    rates = [sorted(draw(st.tuples(_fractions, _fractions)), reverse=True) for _ in names]
    return Venue(
        assets={"asset": assets},
        instruments={"instrument": names} | {key: [row[key] for row in rows] for key in keys},
        balances=_columns(("account", "asset", "balance"), balances),
        positions=_columns(("account", "instrument", "quantity", "entry_price"), positions),
        index_price={name: draw(_prices) for name in [*assets[1:], *({row["underlying"] for row in rows} & {"GOLD"})]},
        mark_price={name: row["mark"] for name, row in zip(names, rows, strict=True)},
        collateral={
            "asset": weighted,
            "initial_haircut": [pair[0] for pair in haircuts],
            "maintenance_haircut": [pair[1] for pair in haircuts],
            "initial_liability_weight": [pair[0] for pair in debts],
            "maintenance_liability_weight": [pair[1] for pair in debts],
        },
        margin={
            "instrument": names,
            "initial_rate": [pair[0] for pair in rates],
            "maintenance_rate": [pair[1] for pair in rates],
        },
    )


def with_quantities_scaled(venue: Venue, factor: float) -> Venue:
    """Return the venue with every position so many times as large."""
    if venue.positions is None:
        return venue
    quantity = [value * factor for value in venue.positions["quantity"]]
    return replace(venue, positions={**venue.positions, "quantity": quantity})


def _columns(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Columns:
    return {name: [row[at] for row in rows] for at, name in enumerate(names)}
