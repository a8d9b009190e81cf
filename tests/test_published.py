"""Numbers that venues and their code bases published, as far as constant rates and weights can express them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import xmfast as xm
from building import report_of
from strategies import Venue

PUBLISHED = Path(__file__).parent / "published"
Fact = dict[str, Any]


def facts(name: str) -> list[Fact]:
    document = json.loads((PUBLISHED / f"{name}.json").read_text(encoding="utf-8"))
    assert document["source"] and document["facts"]
    found: list[Fact] = document["facts"]
    return found


def account(
    *,
    balances: dict[str, float],
    positions: Sequence[tuple[str, float, float, float]] = (),
    settlement: str = "USD",
    inverse: bool = False,
    multiplier: float = 1.0,
    signed: bool = False,
    index_price: dict[str, float] | None = None,
    collateral: dict[str, dict[str, float]] | None = None,
    rates: dict[str, tuple[float, float]] | None = None,
    numeraire: str = "USD",
) -> xm.AccountMargin:
    """Margin of one account; positions are (instrument, quantity, entry price, mark price)."""
    names = [position[0] for position in positions]
    assets = list(dict.fromkeys([numeraire, settlement, *balances]))
    rates = rates or {}
    weights = collateral or {}
    parameters = ("initial_haircut", "maintenance_haircut", "initial_liability_weight", "maintenance_liability_weight")
    venue = Venue(
        assets={"asset": assets},
        instruments={
            "instrument": names,
            "kind": ["perpetual"] * len(names),
            "underlying": [f"{name} index" for name in names],
            "settlement": [settlement] * len(names),
            "inverse": [inverse] * len(names),
            "contract_multiplier": [multiplier] * len(names),
            "allow_negative_price": [signed] * len(names),
        },
        numeraire=numeraire,
        balances={
            "account": ["it"] * len(balances),
            "asset": list(balances),
            "balance": list(balances.values()),
        },
        positions={
            "account": ["it"] * len(names),
            "instrument": names,
            "quantity": [position[1] for position in positions],
            "entry_price": [position[2] for position in positions],
        },
        index_price=index_price or {},
        mark_price={position[0]: position[3] for position in positions},
        collateral={"asset": list(weights)}
        | {name: [row.get(name, 0.0 if "haircut" in name else 1.0) for row in weights.values()] for name in parameters},
        margin={
            "instrument": names,
            "initial_rate": [rates.get(name, (0.0, 0.0))[0] for name in names],
            "maintenance_rate": [rates.get(name, (0.0, 0.0))[1] for name in names],
        },
    )
    return report_of(venue)["it"]


@pytest.mark.parametrize("fact", facts("binance_liquidation_price"), ids=lambda fact: str(fact["liquidation_price"]))
def test_binance_liquidation_price(fact: Fact) -> None:
    """One cent past the printed price the account is liquidatable, one cent before it is not."""
    # The other positions, as one of a mark of 1,000,000 that has made their profit and needs their margin.
    other_mark = 1_000_000.0
    liquidatable = []
    for step in (0.01, -0.01):
        margin = account(
            balances={"USD": fact["wallet_balance"] + fact["cum_maintenance"]},
            positions=[
                ("THIS", fact["side"] * fact["qty"], fact["entry"], fact["liquidation_price"] + fact["side"] * step),
                ("OTHERS", 1.0, other_mark - fact["other_upnl"], other_mark),
            ],
            rates={"THIS": (fact["mmr"], fact["mmr"]), "OTHERS": (1.0, fact["other_mm"] / other_mark)},
        )
        liquidatable.append(margin.liquidatable)
        # A move of a cent is all that may be between health and 0.
        assert abs(margin.health) <= 0.02 * fact["qty"]
    assert liquidatable == [False, True]


def test_torchtrade_liquidation_price() -> None:
    [fact] = facts("torchtrade_liquidation_price")
    for price, liquidatable in ((fact["liq_price"] + 0.05, False), (fact["liq_price"] - 0.05, True)):
        margin = account(
            balances={"USD": fact["equity"]},
            positions=[("THIS", fact["qty"], fact["mark"], price), ("OTHERS", 1.0, 100.0, 100.0)],
            rates={"THIS": (0.1, fact["mmr"]), "OTHERS": (0.1, fact["other_mm"] / 100.0)},
        )
        assert margin.liquidatable == liquidatable


@pytest.mark.parametrize("fact", facts("deribit_inverse_perpetual"), ids=lambda fact: str(fact["coin"]))
def test_deribit_inverse_perpetual(fact: Fact) -> None:
    entry = 2000.0
    for move, pnl in zip(fact["moves"], fact["pnl"], strict=True):
        margin = account(
            balances={},
            positions=[("PERP", fact["size"] * entry, entry, entry * (1 + move))],
            settlement=fact["coin"],
            numeraire=fact["coin"],
            inverse=True,
        )
        # Eight digits are printed, and the size of the BTC case was backed out of them.
        assert margin.equity == pytest.approx(pnl, abs=2e-8)


@pytest.mark.parametrize("fact", facts("mango_v4_health"), ids=lambda fact: f"case {fact['case']}")
def test_mango_v4_health(fact: Fact) -> None:
    """Mango weighs a perpetual's base by side, then its sum; with one perpetual that is a haircut and a rate."""
    names = [f"T{number}" for number in range(len(fact["tokens"]))]
    collateral = {
        name: {"initial_haircut": 1 - token["aw"], "initial_liability_weight": token["lw"]}
        for name, token in zip(names, fact["tokens"], strict=True)
    }
    positions, rates = [], {}
    for perp in fact["perps"]:
        quantity = perp["base_lots"] * perp["lot_size"]
        positions.append(("PERP", quantity, -perp["quote"] / quantity, perp["price"]))
        rate = 1 - perp["base_asset_w"] if quantity > 0 else perp["base_liab_w"] - 1
        worth = perp["quote"] + quantity * perp["price"]
        settle = fact["tokens"][0]
        weight = settle["aw"] * perp["overall_w"] if worth > 0 else settle["lw"]
        if worth > 0:
            collateral["T0"]["initial_haircut"] = 1 - weight
        rates["PERP"] = (rate * weight, 0.0)
    margin = account(
        balances={name: token["bal"] for name, token in zip(names, fact["tokens"], strict=True)},
        positions=positions,
        settlement="T0",
        signed=True,  # profit taken out of a position can leave its entry price below 0
        index_price={name: token["price"] for name, token in zip(names, fact["tokens"], strict=True)},
        collateral=collateral,
        rates=rates,
    )
    assert margin.initial_health == pytest.approx(fact["init_health"], rel=1e-9)


@pytest.mark.parametrize("fact", facts("drift_margin"), ids=lambda fact: str(fact["case"]))
def test_drift_margin(fact: Fact) -> None:
    balances = {"USDC": fact["usdc"]} | ({"SOL": fact["sol"]} if "sol" in fact else {})
    perp = "perp_base" in fact
    margin = account(
        balances=balances,
        positions=[("PERP", fact["perp_base"], fact["perp_entry"], fact["perp_price"])] if perp else [],
        settlement="USDC",
        index_price={"USDC": fact["usdc_price"]} | ({"SOL": fact["sol_price"]} if "sol" in fact else {}),
        collateral={"SOL": dict.fromkeys(("initial_liability_weight", "maintenance_liability_weight"), 1.1)}
        if "maintenance_liability_weight" in fact
        else None,
        rates={"PERP": (fact.get("margin_ratio_initial", 0.0), 0.0)},
    )
    if "equity" in fact:
        assert margin.equity == pytest.approx(fact["equity"], rel=1e-12)
    elif perp:
        assert margin.initial_margin == pytest.approx(fact["margin_requirement"], rel=1e-12)
        assert margin.initial_collateral_value == pytest.approx(fact["total_collateral"], rel=1e-12)
    else:
        assert margin.health == pytest.approx(fact["total_collateral"] - fact["margin_requirement"], rel=1e-12)


@pytest.mark.parametrize("fact", facts("marginfi_borrow"), ids=lambda fact: str(fact["case"]))
def test_marginfi_borrow(fact: Fact) -> None:
    limit, total = fact["deposit_limit_usd"], fact["bank_total_deposits_usd"]
    weight = 1.0 if limit is None else min(1.0, limit / total)
    margin = account(
        balances={"USDC": fact["user_deposit_usd"], "SOL": -sum(fact["borrowed_sol"])},
        index_price={"USDC": 1.0, "SOL": fact["sol_price"]},
        collateral={"USDC": {"initial_haircut": 1 - weight}},
    )
    assert (margin.initial_health >= 0) == fact["allowed"]


@pytest.mark.parametrize("fact", facts("synthetix_v3_available_margin"), ids=lambda fact: str(fact["case"]))
def test_synthetix_v3_available_margin(fact: Fact) -> None:
    positions = [
        (
            f"P{number}",
            position["size"],
            position["entry_oracle"] * (1 + position["size"] / 2 / position["skew_scale"]),
            position["price"],
        )
        for number, position in enumerate(fact["positions"])
    ]
    margin = account(balances={"USD": fact["collateral"]}, positions=positions)
    assert margin.equity == pytest.approx(fact["available_margin"], abs=1e-7)
    for position, pnl in zip(positions, fact.get("pnl", ()), strict=False):
        assert account(balances={}, positions=[position]).equity == pytest.approx(pnl, abs=1e-7)


@pytest.mark.parametrize("fact", facts("bybit_futures_margin"), ids=lambda fact: f"{fact['kind']} {fact['expected']}")
def test_bybit_futures_margin(fact: Fact) -> None:
    inverse = fact["kind"] == "inv"
    initial, maintenance = fact["initial_rate"], fact["maintenance_rate"]
    margin = account(
        balances={},
        positions=[("PERP", fact["quantity"], fact["price"], fact["price"])],
        settlement="BTC" if inverse else "USD",
        inverse=inverse,
        index_price={"BTC": fact["price"]} if inverse else None,
        rates={"PERP": (initial or maintenance, maintenance or initial)},
    )
    if maintenance is not None:
        assert margin.maintenance_margin == pytest.approx(fact["expected"], rel=fact["tolerance"])
    else:
        in_unit = margin.initial_margin / (fact["price"] if inverse else 1.0)
        assert in_unit == pytest.approx(fact["expected"], rel=fact["tolerance"])


def test_binance_unified_account() -> None:
    [fact] = facts("binance_unimmr")
    for position in fact["positions"]:
        margin = account(balances={}, positions=[("LEG", position["q"], position["entry"], position["mark"])])
        assert margin.equity == pytest.approx(position["upnl"], abs=1e-9)
    for coin, loan in fact["loan"].items():
        weight = 1 + fact["loan_rate"]
        margin = account(
            balances={coin: -loan},
            numeraire=coin,
            collateral={coin: {"initial_liability_weight": weight, "maintenance_liability_weight": weight}},
        )
        assert margin.equity - margin.collateral_value == pytest.approx(fact["loan_margin"][coin], abs=1e-9)


def failure(name: str) -> Fact:
    return next(fact for fact in facts("historic_failures") if fact["name"] == name)


def test_okex_2018_inverse_loss() -> None:
    fact = failure("okex_2018")
    margin = account(
        balances={},
        positions=[("BTC0803", fact["contracts"], fact["entry"], fact["mark"])],
        settlement="BTC",
        numeraire="BTC",
        inverse=True,
        multiplier=100.0,
    )
    assert margin.equity == pytest.approx(-fact["loss_btc"], abs=fact["within"])
    assert margin.bankrupt


@pytest.mark.parametrize("name", ["mango_2022", "jelly_2025"])
def test_thin_market_gain(name: str) -> None:
    fact = failure(name)
    margin = account(balances={}, positions=[("PERP", fact["quantity"], fact["entry"], fact["mark"])])
    assert margin.equity == pytest.approx(fact["gain"], abs=fact["within"])


def test_solend_2022_health_factor() -> None:
    fact = failure("solend_2022")
    for price, health_factor in fact["health_factor"].items():
        haircut = 1 - fact["threshold"]
        margin = account(
            balances={"SOL": fact["sol"], "USDC": -fact["debt"]},
            index_price={"SOL": float(price), "USDC": 1.0},
            collateral={"SOL": {"initial_haircut": haircut, "maintenance_haircut": haircut}},
        )
        assert 1 / margin.margin_ratio == pytest.approx(health_factor, abs=5e-5)
        assert margin.liquidatable == (health_factor < 1)


def test_compound_2020_health_factor() -> None:
    fact = failure("compound_2020")
    haircut = dict.fromkeys(("initial_haircut", "maintenance_haircut"), 1 - fact["factor"])
    for price, health_factor in fact["health_factor"].items():
        # Compound does not net what is supplied with what is borrowed, so the two are assets of their own here.
        dai = float(price)
        margin = account(
            balances={"supplied DAI": 40.0, "supplied USDC": 60.0, "DAI": -55.0, "USDC": -15.0},
            index_price={"supplied DAI": dai, "supplied USDC": 1.0, "DAI": dai, "USDC": 1.0},
            collateral={"supplied DAI": haircut, "supplied USDC": haircut},
        )
        assert 1 / margin.margin_ratio == pytest.approx(health_factor, abs=5e-4)


def test_steth_2022_health_factor() -> None:
    fact = failure("steth_2022")
    haircut = dict.fromkeys(("initial_haircut", "maintenance_haircut"), 1 - fact["threshold"])
    margin = account(
        balances={"stETH": 100.0, "ETH": -100.0 * fact["loan_to_value"]},
        index_price={"stETH": 1000.0 * (1 - fact["discount"]), "ETH": 1000.0},
        collateral={"stETH": haircut},
    )
    assert 1 / margin.margin_ratio == pytest.approx(fact["health_factor"], abs=5e-5)


def test_aave_crv_2022_liquidation_price() -> None:
    fact = failure("aave_crv_2022")
    haircut = dict.fromkeys(("initial_haircut", "maintenance_haircut"), 1 - fact["threshold"])
    for step, liquidatable in ((-fact["within"], False), (fact["within"], True)):
        margin = account(
            balances={"CRV": -fact["crv"], "USDC": fact["usdc"]},
            index_price={"CRV": fact["liquidation_price"] + step, "USDC": 1.0},
            collateral={"USDC": haircut},
        )
        assert margin.liquidatable == liquidatable
