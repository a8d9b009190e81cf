"""A venue in TOML: the same as from frames, and every fault says which table and key."""

from __future__ import annotations

import datetime
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import xmfast as xm
from building import bits_of, isolated_bits_of
from xmfast.errors import FileError
from xmfast.files.venue_file import read_venue

HEAD = """\
numeraire = "USD"
assets = ["USD", "BTC"]
[model]
kind = "cross"
"""
PERP = """\
[[instruments]]
instrument = "BTC-PERP"
kind = "perpetual"
underlying = "BTC"
settlement = "USD"
"""
MARGIN = """\
[[margin]]
instrument = "BTC-PERP"
initial_rate = 0.05
maintenance_rate = 0.02
"""
BRACKETS = """\
[[margin]]
instrument = "BTC-PERP"
brackets = [
    { notional_floor = 0, initial_rate = 0.02, maintenance_rate = 0.01 },
    { notional_floor = 1_000, initial_rate = 0.05, maintenance_rate = 0.025 },
]
"""
BTC = """\
[[collateral]]
asset = "BTC"
"""


def venue_file(folder: Path, text: str) -> str:
    path = folder / "venue.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_template_is_the_venue_that_its_frames_say() -> None:
    """The same bits from the template and from the same rules written as frames."""
    venue = read_venue(str(files("xmfast.commands") / "template" / "venue.toml"))
    universe = xm.Universe.from_frames(
        {"asset": ["USD", "USDT", "BTC", "ETH"]},
        {
            "instrument": ["BTC-PERP", "ETH-PERP", "BTC-INVERSE", "BTC-29JAN27-100000-C"],
            "kind": ["perpetual", "perpetual", "perpetual", "option"],
            "underlying": ["BTC", "ETH", "BTC", "BTC"],
            "settlement": ["USD", "USD", "BTC", "USD"],
            "contract_multiplier": [1, 1, 100, 1],
            "inverse": [False, False, True, False],
            "expiry": [None, None, None, "2027-01-29T08:00"],
            "strike": [None, None, None, 100_000],
            "right": [None, None, None, "call"],
        },
    )
    model = xm.CrossMargin.from_frames(
        universe,
        {
            "asset": ["USDT", "BTC", "BTC", "ETH"],
            "amount_floor": [0, 0, 100, 0],
            "initial_haircut": [0.01, 0.1, 0.2, 0.15],
            "maintenance_haircut": [0.005, 0.05, 0.1, 0.08],
            "initial_liability_weight": [1.02, 1.1, 1.1, 1.15],
            "maintenance_liability_weight": [1.01, 1.05, 1.05, 1.08],
        },
        {
            "instrument": ["BTC-PERP"] * 3 + ["ETH-PERP", "BTC-INVERSE", "BTC-29JAN27-100000-C"],
            "notional_floor": [0, 1_000_000, 10_000_000, 0, 0, 0],
            "initial_rate": [0.02, 0.05, 0.1, 0.04, 0.02, 0.15],
            "maintenance_rate": [0.01, 0.025, 0.05, 0.02, 0.01, 0.1],
            "close_out_fee_rate": [0.0005, None, None, 0, 0, 0],
        },
    )
    assert repr(venue.model) == repr(model)
    assert venue.universe.assets == universe.assets and venue.universe.instruments == universe.instruments
    reports = []
    for built in (venue.universe, universe):
        book = xm.Book.from_frames(
            built,
            {"account": [1, 1, 2, 2], "asset": ["BTC", "USDT", "BTC", "ETH"], "balance": [150.0, -7e4, -1.0, 80.0]},
            {
                "account": [1, 1, 1, 2],
                "instrument": ["BTC-PERP", "BTC-INVERSE", "BTC-29JAN27-100000-C", "ETH-PERP"],
                "quantity": [130.0, -9000.0, -3.0, 4.0],
                "entry_price": [61_000.0, 60_500.0, 900.0, 2800.0],
                "isolated_margin": [None, None, None, 600.0],
            },
        )
        marks = {"BTC-PERP": 60_100, "ETH-PERP": 3000, "BTC-INVERSE": 60_050, "BTC-29JAN27-100000-C": 800}
        market = xm.Market(built, {"USDT": 0.999, "BTC": 60_000, "ETH": 3000}, marks)
        report = (venue.model if built is venue.universe else model).evaluate(book, market)
        reports.append((bits_of(report), isolated_bits_of(report)))
    assert reports[0] == reports[1]


@pytest.mark.parametrize(
    "assets", ['assets = ["USD", "BTC"]\n', '[[assets]]\nasset = "USD"\n[[assets]]\nasset = "BTC"\n']
)
@pytest.mark.parametrize(("kind", "model"), [("cross", xm.CrossMargin), ("isolated", xm.IsolatedMargin)])
def test_assets_and_models(tmp_path: Path, assets: str, kind: str, model: type) -> None:
    venue = read_venue(Path(venue_file(tmp_path, f'numeraire = "USD"\n{assets}[model]\nkind = "{kind}"\n')))
    assert venue.universe.assets == ["USD", "BTC"] and venue.universe.numeraire == "USD"
    assert type(venue.model) is model
    assert venue.model.universe is venue.universe
    with pytest.raises(AttributeError):
        venue.model = venue.model  # type: ignore[misc]


def test_numbers_are_the_decimals_written(tmp_path: Path) -> None:
    """A rate of more digits than a float has decides whether health is below 0."""
    rate = "0.02000000000000000000000000000001"
    text = HEAD + PERP + MARGIN.replace("0.02", rate)
    venue = read_venue(venue_file(tmp_path, text))
    book = xm.Book.from_frames(
        venue.universe,
        {"account": ["a"], "asset": ["USD"], "balance": [20]},
        {"account": ["a"], "instrument": ["BTC-PERP"], "quantity": [1], "entry_price": [1000]},
    )
    market = xm.Market(venue.universe, {"BTC": 1000}, {"BTC-PERP": 1000})
    report = venue.model.evaluate(book, market)
    assert report.liquidatable.tolist() == [True] and report.exact_decisions == 1
    exact = Decimal(rate).as_integer_ratio()
    (position,) = [line for line in report.explain("a").lines if line.kind == "position"]
    assert position.maintenance_rate is not None
    assert (position.maintenance_rate.numerator, position.maintenance_rate.denominator) == exact


@pytest.mark.parametrize(
    ("expiry", "right"),
    [
        ("2026-12-25", datetime.date(2026, 12, 25)),
        ("2026-12-25T08:00:00Z", "2026-12-25T08:00"),
        ("2026-12-25T09:00:00+01:00", "2026-12-25T08:00"),
        ("2026-12-25 08:00:00", "2026-12-25T08:00"),
    ],
)
def test_dates(tmp_path: Path, expiry: str, right: Any) -> None:
    del right  # expiry shows in no figure of these models; that it is taken is what can be seen
    future = PERP.replace("perpetual", "future") + f"expiry = {expiry}\n"
    assert read_venue(venue_file(tmp_path, HEAD + future)).universe.instruments == ["BTC-PERP"]


def replaced(old: str, new: str, *parts: str) -> str:
    text = HEAD + "".join(parts or (PERP, MARGIN))
    assert old in text
    return text.replace(old, new, 1)


ONE_STEP = "{ notional_floor = ..., initial_rate = ..., maintenance_rate = ... }"
FAULTS: list[tuple[str, type[Exception], str]] = [
    # What belongs at the top.
    ("", xm.ColumnError, ": no key 'numeraire'"),
    (replaced("numeraire", "numerair"), xm.ColumnError, ", key 'numerair': unexpected; did you mean 'numeraire'?"),
    (
        HEAD + "[[balances]]\n",
        xm.ColumnError,
        ", key 'balances': unexpected; known: 'numeraire', 'model', 'assets', 'instruments', 'collateral', 'margin'",
    ),
    (replaced('"USD"', "1"), xm.ColumnError, ", key 'numeraire': a text in quotes is needed, not 1"),
    (
        replaced('numeraire = "USD"', 'numeraire = "USDD"'),
        xm.UnknownIdError,
        ", key 'numeraire': no asset 'USDD'; did you mean 'USD'?",
    ),
    (
        'numeraire = "USD"\nassets = []\n',
        xm.ColumnError,
        ": no table [model]; add one with kind = 'cross' or kind = 'isolated'",
    ),
    (
        'numeraire = "USD"\nmodel = "cross"\n',
        xm.ColumnError,
        ", [model]: a table is needed, with kind = 'cross' or kind = 'isolated'",
    ),
    (replaced('kind = "cross"\n', ""), xm.ColumnError, ", [model]: no key 'kind'"),
    (replaced('"cross"', '"cros"'), xm.InputError, ", [model], key 'kind': no kind 'cros'; did you mean 'cross'?"),
    (replaced('"cross"', '"span"'), xm.InputError, ", [model], key 'kind': no kind 'span'; known: 'cross', 'isolated'"),
    (
        replaced('kind = "cross"', 'kind = "cross"\nrate = 1'),
        xm.ColumnError,
        ", [model], key 'rate': unexpected; known: 'kind'",
    ),
    (
        replaced('assets = ["USD", "BTC"]\n', ""),
        xm.ColumnError,
        ": no assets; add assets = [...] with the numeraire among them",
    ),
    (replaced('["USD", "BTC"]', '["USD", 1]'), xm.ColumnError, ", assets: tables are needed, each under [[assets]]"),
    (
        replaced('["USD", "BTC"]', '["USD", "BTC", "USD"]'),
        xm.DuplicateError,
        ", assets[2] (USD), key 'asset': 'USD' stands in assets[0] (USD) already",
    ),
    (replaced("[[margin]]", "[margin]"), xm.ColumnError, ", [margin]: one table of many; write [[margin]]"),
    # Instruments.
    (
        replaced("settlement", "settlment"),
        xm.ColumnError,
        ", instruments[0] (BTC-PERP), key 'settlment': unexpected; did you mean 'settlement'?",
    ),
    (
        replaced('settlement = "USD"\n', ""),
        xm.ColumnError,
        ", instruments[0] (BTC-PERP): no key 'settlement'; it has: instrument, kind, underlying",
    ),
    (
        replaced('instrument = "BTC-PERP"\n', ""),
        xm.ColumnError,
        ", instruments[0] (no id): no key 'instrument'; it has: kind, underlying, settlement",
    ),
    (
        replaced('"perpetual"', '"perp"'),
        xm.InputError,
        ", instruments[0] (BTC-PERP), key 'kind': no kind 'perp'; did you mean 'perpetual'?",
    ),
    (
        replaced('settlement = "USD"', 'settlement = "USDT"'),
        xm.UnknownIdError,
        ", instruments[0] (BTC-PERP), key 'settlement': no asset 'USDT'; did you mean 'USD'?",
    ),
    (
        replaced("[[margin]]", "contract_multiplier = 0\n[[margin]]"),
        xm.InputError,
        ", instruments[0] (BTC-PERP), key 'contract_multiplier': 0 is not > 0",
    ),
    (
        replaced("[[margin]]", "contract_multiplier = inf\n[[margin]]"),
        xm.ColumnError,
        ", instruments[0] (BTC-PERP), key 'contract_multiplier': a finite number is needed, not Infinity",
    ),
    (
        replaced("[[margin]]", 'inverse = "yes"\n[[margin]]'),
        xm.ColumnError,
        ", instruments[0] (BTC-PERP), key 'inverse': true or false is needed, not 'yes'",
    ),
    (
        replaced("[[margin]]", 'expiry = "2026-12-25"\n[[margin]]'),
        xm.ColumnError,
        ", instruments[0] (BTC-PERP), key 'expiry': a date without quotes, such as 2026-12-25 or 2026-12-25T08:00:00Z, "
        "is needed, not '2026-12-25'",
    ),
    (
        replaced("[[margin]]", 'right = "Call"\n[[margin]]'),
        xm.InputError,
        ", instruments[0] (BTC-PERP), key 'right': no right 'Call'; did you mean 'call'?",
    ),
    (
        replaced('"BTC-PERP"', '"BTC"'),
        xm.DuplicateError,
        ", instruments[0] (BTC), key 'instrument': 'BTC' is an asset already; "
        "assets and instruments share one namespace",
    ),
    # Margin and brackets.
    (
        replaced("initial_rate", "initial_rat"),
        xm.ColumnError,
        ", margin[0] (BTC-PERP), key 'initial_rat': unexpected; did you mean 'initial_rate'?",
    ),
    (
        replaced("maintenance_rate = 0.02\n", ""),
        xm.ColumnError,
        ", margin[0] (BTC-PERP): no key 'maintenance_rate'; it has: instrument, initial_rate",
    ),
    (
        replaced("0.05", '"5 %"'),
        xm.ColumnError,
        ", margin[0] (BTC-PERP), key 'initial_rate': a finite number is needed, not '5 %'",
    ),
    (
        replaced("0.05", "true"),
        xm.ColumnError,
        ", margin[0] (BTC-PERP), key 'initial_rate': a finite number is needed, not true",
    ),
    (
        replaced("0.02", "0.07"),
        xm.ParameterError,
        ", margin[0] (BTC-PERP), key 'maintenance_rate': 0.07 is above the initial_rate 0.05",
    ),
    (
        replaced('"BTC-PERP"\ninitial', '"BTC-PRP"\ninitial'),
        xm.UnknownIdError,
        ", margin[0] (BTC-PRP), key 'instrument': no instrument 'BTC-PRP'; did you mean 'BTC-PERP'?",
    ),
    (
        HEAD + PERP + MARGIN + MARGIN,
        xm.DuplicateError,
        ", margin[1] (BTC-PERP), key 'instrument': 'BTC-PERP' stands in margin[0] (BTC-PERP) already",
    ),
    (
        HEAD + PERP + BRACKETS + MARGIN,
        xm.DuplicateError,
        ", margin[1] (BTC-PERP), key 'instrument': 'BTC-PERP' stands in margin[0].brackets[0] (BTC-PERP) already "
        "with notional_floor 0",
    ),
    (
        replaced("0.05, maintenance_rate = 0.025", "0.01, maintenance_rate = 0.01", PERP, BRACKETS),
        xm.ParameterError,
        ", margin[0].brackets[1] (BTC-PERP), key 'initial_rate': 0.01 is below the 0.02 of the tier before it; "
        "it must not fall with size",
    ),
    (
        replaced("notional_floor = 1_000", "notional_flor = 1_000", PERP, BRACKETS),
        xm.ColumnError,
        ", margin[0].brackets[1] (BTC-PERP), key 'notional_flor': unexpected; did you mean 'notional_floor'?",
    ),
    (
        replaced("notional_floor = 1_000, ", "", PERP, BRACKETS),
        xm.ColumnError,
        ", margin[0].brackets[1] (BTC-PERP): no key 'notional_floor'; it has: initial_rate, maintenance_rate",
    ),
    (
        replaced("notional_floor = 0", "notional_floor = 5", PERP, BRACKETS),
        xm.ParameterError,
        ", margin[0].brackets[0] (BTC-PERP), key 'notional_floor': 5 is the lowest; one row must start at 0",
    ),
    (
        replaced("brackets", "initial_rate = 0.02\nbrackets", PERP, BRACKETS),
        xm.ColumnError,
        ", margin[0] (BTC-PERP), key 'initial_rate': stands in each of the brackets, not beside them",
    ),
    (
        HEAD + PERP + '[[margin]]\ninstrument = "BTC-PERP"\nbrackets = 3\n',
        xm.ColumnError,
        f", margin[0] (BTC-PERP), key 'brackets': a list is needed of tables such as {ONE_STEP}",
    ),
    (
        HEAD + PERP + '[[margin]]\ninstrument = "BTC-PERP"\nbrackets = []\n',
        xm.ColumnError,
        f", margin[0] (BTC-PERP), key 'brackets': a list is needed of tables such as {ONE_STEP}",
    ),
    # Collateral and tiers.
    (
        HEAD + BTC + "initial_haircut = 1.5\n",
        xm.ParameterError,
        ", collateral[0] (BTC), key 'initial_haircut': 1.5 is not between 0 and 1",
    ),
    (
        HEAD + BTC.replace("BTC", "BTX"),
        xm.UnknownIdError,
        ", collateral[0] (BTX), key 'asset': no asset 'BTX'; did you mean 'BTC'?",
    ),
    (
        HEAD + BTC + "tiers = [{ amount_floor = 0, initial_haircut = 0.1 }]\n",
        xm.ColumnError,
        ", collateral[0].tiers[0] (BTC): no key 'maintenance_haircut'; it has: amount_floor, initial_haircut",
    ),
    (
        HEAD + BTC + "haircut = 0.5\n",
        xm.ColumnError,
        ", collateral[0] (BTC), key 'haircut': unexpected; did you mean 'initial_haircut'?",
    ),
]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (HEAD + "[[margin]\n", "line 5, column 9"),
        ('numeraire = "USD\n', "line 1, column 17"),
        ("a = 1\na = 2\n", "line 2, column 6"),
        ("numeraire = USD\n", "line 1, column 13"),
        ('assets = ["USD",', "end of document"),
    ],
)
def test_a_file_that_is_no_toml(tmp_path: Path, text: str, place: str) -> None:
    path = venue_file(tmp_path, text)
    with pytest.raises(FileError) as caught:
        read_venue(path)
    assert str(caught.value).startswith(f"{path}, {place}: no TOML: ")


@pytest.mark.parametrize(("text", "error", "message"), FAULTS)
def test_faults(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    path = venue_file(tmp_path, text)
    with pytest.raises(xm.XmfastError) as caught:
        read_venue(path)
    assert str(caught.value) == path + message
    assert type(caught.value) is error


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_venue(tmp_path / "venue.toml")


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / "venue.toml").write_bytes('numeraire = "€"'.encode("cp1252"))
    with pytest.raises(FileError) as caught:
        read_venue(tmp_path / "venue.toml")
    assert str(caught.value) == f"{tmp_path / 'venue.toml'}: not UTF-8 text (byte 0x80); save it as UTF-8"
