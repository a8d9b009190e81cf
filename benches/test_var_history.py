"""The walk through a history: exceptions known by hand, Kupiec's published regions, what a margin may not know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import var_history
from var_history import History, Lengths, Walk
from venue import Floats

SHORT = Lengths(history=4, stressed=2)
DAY = np.timedelta64(1, "D")


def history(**returns: list[float]) -> History:
    """Return a history by coin, a period a day."""
    columns = np.array(list(returns.values())).T
    ends = np.datetime64("2023-12-28") + np.arange(1, len(columns) + 1)
    return History(coins=tuple(returns), ends=ends, returns=columns, left_out=0)


def random_history() -> History:
    """Return coins that move together, the last two of which are listed later."""
    rng = np.random.default_rng(3)
    columns = 0.02 * rng.standard_t(3, (300, 1)) + 0.02 * rng.standard_normal((300, 4))
    columns = np.maximum(columns, -0.9)
    columns[:70, 2] = columns[:110, 3] = np.nan
    return history(**{f"C{coin}": column.tolist() for coin, column in enumerate(columns.T)})


def walked(given: History, lengths: Lengths = SHORT) -> dict[tuple[str, str], Walk]:
    """Return what was asked for and lost, by portfolio and model."""
    return {(one.portfolio, one.model): one for one in var_history.walk(given, lengths, var_history.PORTFOLIOS)}


# P. Kupiec, Techniques for Verifying the Accuracy of Risk Measurement Models, Journal of Derivatives 3 (1995), as
# P. Jorion, Value at Risk, prints it: failures at which a model is not rejected at 5 %.
@pytest.mark.parametrize(
    ("confidence", "regions"),
    [
        # Printed as N < 7 for 255 days, but none at all is rejected too: -2 x 255 x log(0.99) = 5.13 > 3.84.
        (0.99, {255: (1, 6), 510: (2, 10), 1000: (5, 16)}),
        (0.975, {255: (3, 11), 510: (7, 20), 1000: (16, 35)}),
        (0.95, {255: (7, 20), 510: (17, 35), 1000: (38, 64)}),
        (0.925, {255: (12, 27), 510: (28, 50), 1000: (60, 91)}),
        (0.90, {255: (17, 35), 510: (39, 64), 1000: (82, 119)}),
    ],
)
def test_kupiec_regions(confidence: float, regions: dict[int, tuple[int, int]]) -> None:
    for forecasts, (least, most) in regions.items():
        kept = [n for n in range(forecasts + 1) if var_history.kupiec(n, forecasts, confidence) >= 0.05]
        assert kept == list(range(least, most + 1))


def test_kupiec_p_values() -> None:
    """MathWorks prints 0.49694 for 57 failures of 1,043 at 95 % (varbacktest.pof)."""
    assert var_history.kupiec(57, 1043, 0.95) == pytest.approx(0.49694, abs=5e-6)
    assert var_history.kupiec(10, 1000) == pytest.approx(1.0)
    assert var_history.kupiec(0, 255) == pytest.approx(0.02357, abs=5e-5)
    assert 0 <= var_history.kupiec(1000, 1000) < 1e-100


# Of four losses the 99 % quantile is the largest, of two as well: every margin can be read off.
BITCOIN = [-0.01, -0.02, 0.01, 0.03, -0.0199, -0.021, 0.05, -0.30, -0.29, -0.01, -0.01, 0.0, 0.0, -0.02]


def test_a_walk_by_hand() -> None:
    found = walked(history(BTC=BITCOIN))
    plain, stressed = found["long BTC", "plain"], found["long BTC", "stressed"]
    np.testing.assert_allclose(plain.losses, np.negative(BITCOIN[4:]), rtol=1e-12)
    np.testing.assert_allclose(plain.margins, [0.02, 0.02, 0.021, 0.021, 0.3, 0.3, 0.3, 0.3, 0.29, 0.01], rtol=1e-12)
    # Periods 5, 7 and 13: the first and the second fall, and one after all was calm again.
    assert np.flatnonzero(plain.exceptions).tolist() == [1, 3, 9]
    # The stressed two are the wildest so far, and of use once they have happened.
    np.testing.assert_allclose(stressed.margins, [0.02, 0.02, 0.021, 0.021, *[0.3] * 6], rtol=1e-12)
    assert np.flatnonzero(stressed.exceptions).tolist() == [1, 3]
    # Equal weights of one coin are that coin; a portfolio that is short the others waits for others.
    np.testing.assert_array_equal(found["equal weights", "plain"].margins, plain.margins)
    assert len(found["long BTC and ETH, short the others", "plain"].margins) == 0


def test_a_loss_of_the_whole_margin_is_covered() -> None:
    """An exception is a loss above the margin."""
    ends = np.array(["2024-01-01", "2024-01-02", "2024-01-03"], "M8[D]")
    losses = np.array([0.1, 0.1 + 1e-12, -0.5])
    one = Walk(portfolio="p", model="m", ends=ends, margins=np.array([0.1, 0.1, 0.0]), losses=losses)
    assert one.exceptions.tolist() == [False, True, False]


def test_the_table_of_that_walk() -> None:
    walks = [one for one in walked(history(BTC=BITCOIN)).values() if one.portfolio == "long BTC"]
    header, _, plain, *_ = var_history.table(walks).splitlines()
    assert header.startswith("| portfolio | model | 2024 | all | of | share | Kupiec p |")
    mean = np.mean([0.02, 0.02, 0.021, 0.021, 0.3, 0.3, 0.3, 0.3, 0.29, 0.01])
    p, ratio = var_history.kupiec(3, 10), np.mean([0.021 / 0.02, 0.3 / 0.021, 0.02 / 0.01])
    figures = f"{p:.2g} | 0.0% | {mean:.2%} | {ratio:.1f} | {0.3 / 0.021:.1f} |"
    assert plain == f"| long BTC | plain | 3 | 3 | 10 | 30.00% | {figures}"


def test_exceptions_in_a_row_are_counted() -> None:
    """Of four exceptions two were followed by another at once."""
    losses = np.array([0.2, 0.2, 0.2, 0.0, 0.2, 0.0])
    ends = np.datetime64("2024-01-01") + np.arange(6)
    one = Walk(portfolio="p", model="m", ends=ends, margins=np.full(6, 0.1), losses=losses)
    line = var_history.table([one]).splitlines()[-1]
    assert "| 4 | 6 | 66.67% |" in line and line.endswith("| 50.0% | 10.00% | 2.0 | 2.0 |")
    none = var_history.table([replace(one, margins=np.ones(6))]).splitlines()[-1]
    assert none.endswith("| 0.0% | 100.00% |  |  |")


def test_filtered_by_hand() -> None:
    """Even returns and then one three times as large: the filter answers at once, with its weight of 6 %."""
    calm = [0.01, -0.01, 0.01, -0.01, -0.03, 0.0]
    found = walked(history(BTC=calm))["long BTC", "filtered"]
    assert found.margins[0] == pytest.approx(0.01)
    start = (3 * 0.01**2 + 0.03**2) / 4
    variance = [start]
    for value in calm[1:5]:
        variance.append(0.94 * variance[-1] + 0.06 * value**2)
    scaled = [value * (variance[-1] / then) ** 0.5 for value, then in zip(calm[1:5], variance, strict=False)]
    assert found.margins[1] == pytest.approx(-min(scaled))


def test_a_coin_of_later_moved_as_bitcoin_did() -> None:
    """Both of the stressed periods lie before the second coin's first return, one of the next pair does not."""
    bitcoin = [-0.5, -0.4, 0.0, -0.01, 0.0, -0.01, 0.0, 0.0]
    other = [np.nan, np.nan, 0.0, -0.03, 0.0, -0.03, 0.0, 0.0]
    found = walked(history(BTC=bitcoin, ETH=other))
    equal = found["equal weights", "stressed"]
    # From the fifth return on the second coin is in, and half of the loss is bitcoin's once more.
    np.testing.assert_allclose(equal.margins, 0.5, rtol=1e-12)
    plain = found["equal weights", "plain"]
    np.testing.assert_allclose(plain.margins, [0.5, 0.4, 0.02, 0.02], rtol=1e-12)
    one_missing = [np.nan, -0.2, *other[2:]]
    later = walked(history(BTC=bitcoin, ETH=one_missing))["equal weights", "stressed"]
    np.testing.assert_allclose(later.margins, 0.5, rtol=1e-12)


def test_portfolios() -> None:
    three = {name: make(np.array([True, True, False, True, True])) for name, make in var_history.PORTFOLIOS.items()}
    assert three["long BTC"].tolist() == [1, 0, 0, 0, 0]
    assert three["equal weights"].tolist() == [0.25, 0.25, 0, 0.25, 0.25]
    assert three["long BTC and ETH, short the others"].tolist() == [0.25, 0.25, 0, -0.25, -0.25]
    for listed in ([True, False, True], [True, True, False], [False, True, True]):
        assert not var_history.long_two_short_others(np.array(listed)).any()
    assert not var_history.equal_weights(np.zeros(3, bool)).any() and not var_history.long_lead(np.zeros(3, bool)).any()


def test_every_margin_is_that_of_a_model_of_its_own() -> None:
    """Many periods in one evaluation are what one model a period says, coins by their own names."""
    import xmfast as xm

    given, lengths = random_history(), Lengths(history=60, stressed=25)
    found = walked(given, lengths)
    starts = var_history.stressed_starts(given.returns[:, 0], 25)
    for period in (60, 131, 169, 170, 171, 230, 299):
        window = slice(period - 60, period)
        listed = np.array([bool(np.isfinite(coin).all()) for coin in given.returns[period - 60 : period + 1].T])
        coins = np.flatnonzero(listed)
        names = [given.coins[coin] for coin in coins]
        universe = xm.Universe.from_frames(
            {"asset": ["USD"]},
            {
                "instrument": names,
                "kind": ["perpetual"] * len(names),
                "underlying": names,
                "settlement": ["USD"] * len(names),
            },
        )
        market = xm.Market(universe, mark_price=dict.fromkeys(names, 1.0))
        recent = {name: given.returns[window, coin] for name, coin in zip(names, coins, strict=True)}
        stretch = given.returns[starts[period] : starts[period] + 25]
        filled = np.where(np.isnan(stretch), stretch[:, :1], stretch)
        stressed = {name: filled[:, coin] for name, coin in zip(names, coins, strict=True)}
        for portfolio, make in var_history.PORTFOLIOS.items():
            weights = make(listed)[coins]
            if not weights.any():
                continue
            positions = {
                "account": [0] * len(names),
                "instrument": names,
                "quantity": weights,
                "entry_price": [1.0] * len(names),
            }
            book = xm.Book.from_frames(universe, {"account": [0], "asset": ["USD"], "balance": [1.0]}, positions)
            options = {"plain": {}, "filtered": {"filtered": True}, "stressed": {"stressed_returns": stressed}}
            for name, option in options.items():
                model = xm.HistoricalVaR(universe, returns=recent, **option)  # type: ignore[arg-type]
                one = found[portfolio, name]
                at = int(np.flatnonzero(one.ends == given.ends[period])[0])
                assert one.margins[at] == pytest.approx(model.evaluate(book, market).scan_risk[0], rel=1e-12)
                assert one.losses[at] == pytest.approx(-given.returns[period, coins] @ weights, rel=1e-12)


def test_a_margin_knows_nothing_later() -> None:
    given, lengths = random_history(), Lengths(history=60, stressed=25)
    rng = np.random.default_rng(8)
    other = replace(given, returns=np.vstack([given.returns[:200], rng.uniform(-0.5, 0.5, (100, 4))]))
    for key, before in walked(given, lengths).items():
        after = walked(other, lengths)[key]
        known = before.ends <= given.ends[200]
        assert known.sum() > 50
        np.testing.assert_array_equal(after.margins[after.ends <= given.ends[200]], before.margins[known])
        assert (after.margins[after.ends > given.ends[200]] != before.margins[~known]).any()


def test_stressed_starts_are_those_of_a_plain_loop() -> None:
    lead = random_history().returns[:, 0]
    for length in (1, 7, 50):
        found = var_history.stressed_starts(lead, length)
        for period in range(length, len(lead)):
            sums = [float((lead[start : start + length] ** 2).sum()) for start in range(period - length + 1)]
            assert sums[found[period]] == pytest.approx(max(sums), rel=1e-12)
    assert var_history.stressed_starts(lead[:5], 7).tolist() == [0] * 5
    # Of equals the first.
    assert var_history.stressed_starts(np.ones(5), 2).tolist() == [0] * 5


def test_no_return_bridges_a_gap() -> None:
    opens = np.array(["2024-01-01", "2024-01-02", "2024-01-04", "2024-01-05", "2024-01-06", "2024-01-07"], "M8[D]")
    nan = np.nan
    closes: Floats = np.array(
        [
            [100.0, nan, 8.0],
            [110.0, nan, 8.0],
            [121.0, 10.0, 8.0],  # the third of January is missing
            [133.1, 11.0, 4.0],  # the second coin's first return
            [133.1, nan, 4.0],  # a bar of the second coin is missing: this period and the next count for nobody
            [133.1, 11.0, nan],
        ]
    )
    found = var_history.history_of(("A", "B", "C"), opens, closes, DAY)
    assert found.ends.tolist() == np.array(["2024-01-03", "2024-01-06"], "M8[D]").tolist()
    np.testing.assert_allclose(found.returns, [[0.1, nan, 0.0], [0.1, 0.1, -0.5]], rtol=1e-12)
    assert found.left_out == 4  # of six days
    ended = np.concatenate([closes, [[133.1, 11.0, nan]]])
    longer = var_history.history_of(("A", "B", "C"), np.append(opens, opens[-1] + DAY), ended, DAY)
    # The third coin came to its end, which is no gap.
    np.testing.assert_allclose(longer.returns[-1], [0.0, 0.0, nan], rtol=1e-12)


@pytest.mark.parametrize("hourly", [False, True])
def test_from_files(tmp_path: Path, capsys: pytest.CaptureFixture[str], hourly: bool) -> None:
    polars = pytest.importorskip("polars")
    step = np.timedelta64(1, "h" if hourly else "D")
    opens = np.datetime64("2024-01-01", "us") + step * np.arange(620)
    rng = np.random.default_rng(2)
    for half in (slice(0, 300), slice(300, 620)):
        frames = [
            polars.DataFrame(
                {"symbol": symbol, "ts": opens[half], "close": np.exp(0.01 * rng.standard_normal(620).cumsum())[half]}
            ).with_columns(polars.col("ts").dt.replace_time_zone("UTC"))
            for symbol in ("ETHUSDT", "ADAUSDT", "BTCUSDT")
        ]
        name = f"klines_{'1h' if hourly else '1d'}_{half.start}.parquet"
        polars.concat(frames).write_parquet(tmp_path / name)
    options = ["--hourly"] if hourly else []
    var_history.main([str(tmp_path), *options])
    printed = capsys.readouterr()
    assert f"**{'hourly' if hourly else 'daily'}**: 619 periods" in printed.out and "0 left out" in printed.out
    assert printed.out.count("| 119 |") == 9 and " s left" in printed.err
    with pytest.raises(SystemExit, match=r"has no klines_1[hd]_\*"):
        var_history.main([str(tmp_path), *([] if hourly else ["--hourly"])])
