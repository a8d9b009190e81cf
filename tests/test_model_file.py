"""Margin models in TOML: equal to the same ones built in Python, and every fault named by file, table and key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import xmfast as xm
from own_files import INPUTS, Run, command_in, edit
from xmfast.files.inputs import read_inputs

FRAMES = {name: f"{name}.csv" for name in ("balances", "positions", "orders")}
HISTORY = {
    "date": ["2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04", "2026-11-05", "2026-11-06"],
    "BTC": [90_000.0, 88_000.0, 91_000.0, 86_000.0, 87_000.0, 89_500.0],
    "ETH": [3_000.0, 2_900.0, 3_050.0, 2_800.0, 2_850.0, 2_990.0],
}
RETURNS = {name: np.array(HISTORY[name])[1:] / np.array(HISTORY[name])[:-1] - 1 for name in ("BTC", "ETH")}
CRISIS = {"BTC": [-0.3, 0.1, -0.2], "ETH": [-0.4, 0.1, -0.1]}
SPAN = 'kind = "portfolio"\nscenarios = { kind = "span", price_range = 0.1 }\n'


@pytest.fixture
def venue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command in a folder with the files of `xmfast init`, and two histories."""
    run = command_in(tmp_path, monkeypatch, capsys)
    assert run("init").code == 0
    pl.DataFrame(HISTORY).write_csv("history.csv")
    pl.DataFrame(HISTORY).write_parquet("history.parquet")
    pl.DataFrame(CRISIS).write_ipc("crisis.arrow")
    return run


def grid() -> xm.Scenarios:
    return xm.Scenarios.grid(
        {"BTC": 0.12, "ETH": 0.16},
        4,
        0.4,
        0.25,
        tails={-0.5: 0.2, 0.5: 0.2},
        volatility_scaling=xm.VolatilityScaling(power=0.3, least=0.5, most=2),
    )


def template(universe: xm.Universe, collateral: Any) -> xm.PortfolioMargin:
    return xm.PortfolioMargin(
        universe,
        collateral,
        scenarios=grid(),
        offsets=0.5,
        initial_factor=1.25,
        margin_floor=50,
        short_option_minimum=0.03,
        concentration={"BTC": (0.02, 5_000_000)},
    )


def portfolio(**parameters: Any) -> Any:
    return lambda universe, collateral: xm.PortfolioMargin(universe, collateral, **parameters)


def historical(**parameters: Any) -> Any:
    return lambda universe, collateral: xm.HistoricalVaR(universe, collateral, **parameters)


MODELS: dict[str, tuple[str | None, Any]] = {
    "template": (None, template),
    "span": (SPAN, portfolio(scenarios=xm.Scenarios.span(0.1))),
    "span, all keys": (
        'kind = "portfolio"\noffsets = "full"\nproduct_groups = { BTC = "coins", ETH = "coins" }\n'
        "short_option_minimum = { BTC = 0.1 }\n[scenarios]\n"
        'kind = "span"\nprice_range = { BTC = 0.12, ETH = 0.15 }\nvolatility_range = 0.25\nextreme = 3\ncover = 0.3\n'
        'volatility = "absolute"\n',
        portfolio(
            scenarios=xm.Scenarios.span({"BTC": 0.12, "ETH": 0.15}, 0.25, extreme=3, cover=0.3, volatility="absolute"),
            offsets="full",
            product_groups={"BTC": "coins", "ETH": "coins"},
            short_option_minimum={"BTC": 0.1},
        ),
    ),
    "tims": (
        'kind = "portfolio"\nscenarios = { kind = "tims", price_range = 0.15 }\n',
        portfolio(scenarios=xm.Scenarios.tims(0.15)),
    ),
    "shocks": (
        'kind = "portfolio"\n[scenarios]\nkind = "shocks"\nprice_shock = [-0.1, 0, 0.1]\n'
        "volatility_shock = [0.2, 0.1, 0.3]\nweight = [1, 0.5, 1]\nvolatility_floor = 0.05\n",
        portfolio(scenarios=xm.Scenarios([-0.1, 0, 0.1], [0.2, 0.1, 0.3], [1, 0.5, 1], volatility_floor=0.05)),
    ),
    "joint": (
        'kind = "portfolio"\n[scenarios]\nkind = "joint"\nprice_shock = { BTC = [-0.3, 0.2], ETH = [-0.4, 0.3] }\n',
        portfolio(scenarios=xm.Scenarios.joint({"BTC": [-0.3, 0.2], "ETH": [-0.4, 0.3]})),
    ),
    "history": ('kind = "historical_var"\nprices = "history.csv"\n', historical(returns=RETURNS)),
    "history, all keys": (
        'kind = "historical_var"\nprices = "history.parquet"\nstressed_returns = "crisis.arrow"\nconfidence = 0.75\n'
        'measure = "es"\nholding_period = 2\nfiltered = true\newma_lambda = 0.9\nmargin_floor = 10\n'
        "initial_factor = 1.5\nshort_option_minimum = 0.02\n",
        historical(
            returns=RETURNS,
            stressed_returns=CRISIS,
            confidence=0.75,
            measure="es",
            holding_period=2,
            filtered=True,
            ewma_lambda=0.9,
            margin_floor=10,
            initial_factor=1.5,
            short_option_minimum=0.02,
        ),
    ),
    "cross": ('kind = "cross"\n', None),
    "isolated": ('kind = "isolated"\n', None),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_file_says_the_same_as_python(venue: Run, name: str) -> None:
    text, build = MODELS[name]
    if text is not None:
        Path("portfolio.toml").write_text(text)
    done = venue("evaluate", *INPUTS, "--model", "portfolio.toml", "--out", "report.parquet")
    assert done.code == 0, done.err
    given = read_inputs(
        universe="venue.toml", model=None, prices="prices.csv", frames=FRAMES, steps=lambda task, done, total: None
    )
    own = given.venue
    model = getattr(own, name) if build is None else build(own.universe, own.collateral)
    report = model.evaluate(given.book, given.market)
    written = pl.read_parquet("report.parquet")
    assert pl.DataFrame(report).equals(written.select(pl.DataFrame(report).columns))
    if build is None:
        assert "scan_risk" not in written.columns
        return
    assert written["scan_risk"].to_list() == report.scan_risk.tolist()
    assert written["worst_scenario"].fill_null(-1).to_list() == report.worst_scenario.tolist()
    for contingency, charged in report.contingencies.items():
        assert written[contingency].to_list() == charged.tolist()
    assert (report.scan_risk > 0).sum() >= 3 and "\nTheir risk\n" in done.out


def test_json_and_explanation(venue: Run) -> None:
    document = json.loads(venue("evaluate", *INPUTS, "--model", "portfolio.toml", "--json").out)
    assert document["model"] == "portfolio"
    bob = document["worst"][0]
    assert bob["account"] == "bob" and bob["scan_risk"] > 0 and bob["worst_scenario"] == 0
    assert list(bob["contingencies"]) == ["short_option_minimum", "concentration", "margin_floor"]
    done = venue("explain", "bob", *INPUTS, "--model", "portfolio.toml")
    assert done.code == 0 and "scan risk" in done.out
    assert max(map(len, done.out.splitlines())) <= 100


@pytest.mark.parametrize("said", ['["ETH"]', '{ ETH = "ETH" }'])
def test_assets_inside_the_scenarios(venue: Run, said: str) -> None:
    text = Path("venue.toml").read_text()
    before, _, table = text.partition('[[collateral]]\nasset = "ETH"')
    Path("venue.toml").write_text(before + "\n# Margin" + table.partition("\n# Margin")[2])
    Path("portfolio.toml").write_text(f"in_scenario = {said}\n{SPAN}")
    done = venue("evaluate", *INPUTS, "--model", "portfolio.toml", "--out", "report.parquet")
    assert done.code == 0, done.err
    dave = pl.read_parquet("report.parquet").row(by_predicate=pl.col("account") == "dave", named=True)
    # 40 ETH and 15 contracts, but for the entry cost in USD; SPAN's worst: a tenth down.
    assert dave["scan_risk"] == pytest.approx(40 * 300 + 15 * 300.12)


PORTFOLIO_FAULTS: list[tuple[str, str]] = [
    ('kin = "portfolio"\n', "portfolio.toml: no key 'kind'; it has: kin"),
    ('kind = "portfolo"\n', "portfolio.toml, key 'kind': no such choice as 'portfolo'; did you mean 'portfolio'?"),
    ('kind = "portfolio"\n', "portfolio.toml: no key 'scenarios'"),
    (SPAN + "margin_flor = 1\n", "portfolio.toml, key 'margin_flor': unexpected; did you mean 'margin_floor'?"),
    (SPAN + 'margin_floor = "1"\n', "portfolio.toml, key 'margin_floor': a finite number is needed, not '1'"),
    (
        SPAN + "offsets = true\n",
        "portfolio.toml, key 'offsets': 'none', 'full' or a share of gains is needed, not true",
    ),
    (
        SPAN.replace("scen", 'in_scenario = ["BTC"]\nscen'),
        "portfolio.toml, key 'in_scenario' ('BTC'): collateral cuts it by a haircut, tier, cap, liability weight or "
        "share of gains; it moves in the scenarios or is cut, never both",
    ),
    (SPAN + "in_scenario = [1]\n", "portfolio.toml, key 'in_scenario', entry 0: a text in quotes is needed, not 1"),
    (SPAN + 'in_scenario = ["BTV"]\n', "portfolio.toml, key 'in_scenario': no asset 'BTV'; did you mean 'BTC'?"),
    (
        SPAN + "short_option_minimum = { BTV = 0.1 }\n",
        "portfolio.toml, key 'short_option_minimum': no underlying 'BTV'; did you mean 'BTC'?",
    ),
    (
        SPAN + "concentration = { BTC = { rate = 0.1 } }\n",
        "portfolio.toml, key 'concentration.BTC': no key 'depth'; it has: rate",
    ),
    (
        SPAN.replace("0.1", "-0.1"),
        "portfolio.toml, [scenarios], key 'price_range': -0.1 is below 0; it says how far, up and down",
    ),
    (
        SPAN.replace("span", "spam"),
        "portfolio.toml, [scenarios], key 'kind': no such choice as 'spam'; did you mean 'span'?",
    ),
    (
        SPAN.replace("price_range", "price_rang"),
        "portfolio.toml, [scenarios], key 'price_rang': unexpected; did you mean 'price_range'?",
    ),
    (
        SPAN.replace("0.1", "{ BTC = false }"),
        "portfolio.toml, [scenarios], key 'price_range.BTC': a finite number is needed, not false",
    ),
    (
        SPAN.replace("0.1", "{ BTC = 0.1 }"),
        "portfolio.toml, scenarios: no shock or return of underlying 'ETH', which 'ETH-PERP' follows and "
        "account 'alice' holds",
    ),
    (
        'kind = "portfolio"\nscenarios = { kind = "shocks", price_shock = [0.1, 0.2], weight = [1] }\n',
        "portfolio.toml, [scenarios], key 'weight': 1 values for 2 scenarios",
    ),
    (
        'kind = "cross"\noffsets = 1\n',
        "portfolio.toml, key 'offsets': the rates of cross margin stand in the venue's file",
    ),
    (
        'kind = "portfolio"\nscenarios = { kind = "shocks", price_shock = [0.1], weight = [-1] }\n',
        "portfolio.toml, [scenarios], key 'weight', row 0: -1 is below 0",
    ),
    (SPAN + "margin_floor = -1\n", "portfolio.toml, key 'margin_floor': -1 is below 0"),
    (SPAN + "offsets = 1.5\n", "portfolio.toml, key 'offsets': 1.5 is above 1: no gain pays more than itself"),
    ('kind = "historical_var"\n', "portfolio.toml: no key 'returns' or 'prices'"),
    ('kind = "historical_var"\nprices = "gone.csv"\n', "gone.csv: No such file or directory"),
    (
        'kind = "historical_var"\nprices = "history.csv"\nreturns = "crisis.arrow"\n',
        "portfolio.toml, key 'prices': stands beside 'returns'; one of them says the history",
    ),
    (
        'kind = "historical_var"\nprices = "history.csv"\nconfidence = 1\n',
        "portfolio.toml, key 'confidence': 1.0 is not between 0 and 1",
    ),
    (
        'kind = "historical_var"\nprices = "history.csv"\nholding_period = 9\n',
        "portfolio.toml, key 'prices': 5 periods are too few for a holding period of 9",
    ),
    ('kind = "historical_var"\nprices = \n', "portfolio.toml, line 2, column 10: no TOML: Invalid value"),
]


@pytest.mark.parametrize(("text", "said"), PORTFOLIO_FAULTS)
def test_faults_of_the_model(venue: Run, text: str, said: str) -> None:
    Path("portfolio.toml").write_text(text)
    done = venue("evaluate", *INPUTS, "--model", "portfolio.toml", "--out", "report.csv")
    assert (done.code, done.err) == (2, f"xmfast: error: {said}\n")
    assert done.out == "" and not Path("report.csv").exists()


FILE_FAULTS: list[tuple[str, str, str, str]] = [
    (
        "history.csv",
        "88000.0",
        "0",
        "history.csv, column 'BTC', line 3: 0.0 is no price that returns can be made of; above 0 is needed",
    ),
    ("history.csv", "88000.0", "", "history.csv, column 'BTC', line 3: null: every row needs a value"),
    ("history.csv", "88000.0", "x", "history.csv, column 'BTC', line 3: 'x' is not a number such as -1.5 or 2e6"),
    ("history.csv", "ETH", "ETX", "history.csv, column 'ETX': no underlying 'ETX'; did you mean 'ETH'?"),
    (
        "history.csv",
        "2026-11-03",
        "2026-11-01",
        "history.csv, column 'date', line 4: 2026-11-01 is not after 2026-11-02; oldest first",
    ),
    (
        "prices.csv",
        "2026-11-20T08:00:00Z",
        "noon",
        "prices.csv, column 'time', line 2: 'noon' is no time such as 2026-12-25T08:00:00Z",
    ),
    (
        "prices.csv",
        "USDT,0.9995,,,,,",
        "USDT,0.9995,,,,,2026-11-21",
        "prices.csv, column 'time', line 3: 2026-11-21 is another time than 2026-11-20T08:00:00Z of line 2; "
        "prices are those of one moment",
    ),
    (
        "prices.csv",
        "USDT,0.9995,,,,,",
        "USDT,0.9995,,,,0.5,",
        "prices.csv, column 'implied_volatility', line 3 ('USDT'): only an instrument has one; leave it empty",
    ),
    (
        "prices.csv",
        "0.48",
        "-0.48",
        "prices.csv, column 'implied_volatility', line 9 ('BTC-29JAN27-100000-C'): -0.48 is negative",
    ),
    (
        "prices.csv",
        "0.48",
        "",
        "prices.csv: no implied volatility of 'BTC-29JAN27-100000-C', which account 'alice' needs",
    ),
    (
        "prices.csv",
        "2026-11-20T08:00:00Z",
        "",
        "prices.csv: no time to count the expiry from, for the sake of 'BTC-29JAN27-100000-C', which account 'alice' "
        "needs",
    ),
]


@pytest.mark.parametrize(("name", "old", "new", "said"), FILE_FAULTS)
def test_faults_of_the_files(venue: Run, name: str, old: str, new: str, said: str) -> None:
    Path("history.toml").write_text('kind = "historical_var"\nprices = "history.csv"\n')
    edit(name, old, new)
    done = venue("evaluate", *INPUTS, "--model", "history.toml")
    assert (done.code, done.err) == (2, f"xmfast: error: {said}\n")


def test_no_liquidation_prices_by_scenarios(venue: Run) -> None:
    done = venue("evaluate", *INPUTS, "--model", "portfolio.toml", "--liquidation-prices", "prices.parquet")
    said = "--liquidation-prices: cross or isolated margin is needed; portfolio.toml says portfolio margin"
    assert (done.code, done.err) == (2, f"xmfast: error: {said}\n")
    assert not Path("prices.parquet").exists()


def test_histories_are_found_beside_the_model(venue: Run) -> None:
    Path("models").mkdir()
    Path("history.csv").rename("models/history.csv")
    Path("models/history.toml").write_text('kind = "historical_var"\nprices = "history.csv"\n')
    assert isinstance(xm.read_model(Path("models/history.toml"), xm.read_venue("venue.toml")), xm.HistoricalVaR)
    assert venue("evaluate", *INPUTS, "--model", "models/history.toml").code == 0
