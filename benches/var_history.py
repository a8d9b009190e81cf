"""What HistoricalVaR would have asked of ten coins' portfolios, period by period, and what came next.

python benches/var_history.py FOLDER               daily closes
python benches/var_history.py FOLDER --hourly      hourly ones

FOLDER has spot klines as klines_1d_*.parquet and klines_1h_*.parquet: symbol (BTCUSDT), ts (when a bar opens), close.

A margin for the next period is the 99 % quantile of the 500 periods before it, and knows nothing later:

| model | what |
|---|---|
| plain | the 500 returns as they were |
| filtered | each rescaled by today's volatility over that of its day, exponentially weighted (0.94) |
| stressed | the larger of plain and the same quantile of a stressed period |

The stressed period is that of Basel's stressed VaR, chosen anew for each forecast: of all 250 consecutive periods that
had ended by then, those in which bitcoin was most volatile (largest sum of squared returns). Before a coin was traded
it counts as having moved as bitcoin did, which says nothing of the risk between the two.

Portfolios hold one dollar of gross value, rebalanced each period. A coin is in from its 501st return on. A period
counts if every coin that had been listed has a bar for it and one just before: no return bridges a gap, and how many
periods were left out is printed. Every margin is the library's: each coin of each period is an underlying of its own,
and each portfolio of each period an account, so that one evaluation answers for many periods.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from measure import progress
from venue import Floats

Flags: TypeAlias = NDArray[np.bool_]

CONFIDENCE = 0.99
MODELS: dict[str, dict[str, Any]] = {"plain": {}, "filtered": {"filtered": True}, "stressed": {}}
BATCH = 100  # periods that one evaluation answers for


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """Simple returns of coins, the leading coin first.

    Attributes
    ----------
    coins : tuple of str, length C
        The first one decides which period is the stressed one.
    ends : ndarray of datetime64, shape (T,)
        When each period ended.
    returns : ndarray of float64, shape (T, C)
        NaN where a coin was not traded yet, or no longer.
    left_out : int
        Periods within the history that lack a bar.
    """

    coins: tuple[str, ...]
    ends: NDArray[np.datetime64]
    returns: Floats
    left_out: int


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Periods that a margin looks back upon, and periods of the stressed stretch."""

    history: int = 500
    stressed: int = 250


@dataclass(frozen=True, kw_only=True, eq=False)
class Walk:
    """Margins and the losses that came, in parts of gross, of one portfolio under one model."""

    portfolio: str
    model: str
    ends: NDArray[np.datetime64]
    margins: Floats
    losses: Floats

    @property
    def exceptions(self) -> Flags:
        """Where more was lost than the margin."""
        return self.losses > self.margins


def long_lead(listed: Flags) -> Floats:
    """Return the weights of a portfolio of the first coin alone."""
    weights: Floats = (np.arange(len(listed)) == 0) * float(listed[0])
    return weights


def equal_weights(listed: Flags) -> Floats:
    """Return the same weight for every coin."""
    weights: Floats = listed / max(1, listed.sum())
    return weights


def long_two_short_others(listed: Flags) -> Floats:
    """Return half in the first two coins, half in the others sold; nothing while one side is missing."""
    first = np.arange(len(listed)) < 2
    others = listed & ~first
    if not listed[:2].all() or not others.any():
        return np.zeros(len(listed))
    weights: Floats = first * 0.25 - others * (0.5 / others.sum())
    return weights


PORTFOLIOS: dict[str, Callable[[Flags], Floats]] = {
    "long BTC": long_lead,
    "equal weights": equal_weights,
    "long BTC and ETH, short the others": long_two_short_others,
}


def history_of(coins: Sequence[str], opens: NDArray[np.datetime64], closes: Floats, step: np.timedelta64) -> History:
    """Return the periods in which every coin listed has a bar and one just before.

    Parameters
    ----------
    coins : sequence of str, length C
        The leading one first.
    opens : ndarray of datetime64, shape (N,)
        When bars open, rising.
    closes : ndarray of float64, shape (N, C)
        Closing prices, NaN where there is no bar.
    step : timedelta64
        Length of a bar.
    """
    consecutive = np.diff(opens) == step
    before, after = closes[:-1], closes[1:]
    there = np.isfinite(closes)
    first, last = there.argmax(axis=0), len(opens) - 1 - there[::-1].argmax(axis=0)
    bars = np.arange(1, len(opens))[:, None]
    listed = (first < bars) & (bars <= last) & there.any(axis=0)
    returns = np.where(listed, after / before - 1, np.nan)
    whole = consecutive & (np.isfinite(returns) | ~listed).all(axis=1) & listed.any(axis=1)
    span = int((opens[-1] - opens[0]) / step)
    return History(
        coins=tuple(coins), ends=opens[1:][whole] + step, returns=returns[whole], left_out=span - int(whole.sum())
    )


def read_history(folder: Path, *, hourly: bool) -> History:
    """Return the history of a folder of klines."""
    import polars as pl

    pattern = f"klines_{'1h' if hourly else '1d'}_*.parquet"
    files = sorted(folder.glob(pattern))
    if not files:
        raise SystemExit(f"{folder} has no {pattern}")
    bars = pl.concat([pl.read_parquet(file, columns=["symbol", "ts", "close"]) for file in files])
    wide = bars.pivot(on="symbol", index="ts", values="close").sort("ts")
    leading = ["BTCUSDT", "ETHUSDT"]
    symbols = leading + sorted(set(wide.columns) - {"ts", *leading})
    return history_of(
        [symbol.removesuffix("USDT") for symbol in symbols],
        wide["ts"].dt.replace_time_zone(None).to_numpy(),
        wide.select(symbols).to_numpy().astype(np.float64),
        np.timedelta64(1, "h" if hourly else "D"),
    )


def stressed_starts(lead: Floats, length: int) -> NDArray[np.intp]:
    """Return for every period where the most volatile stretch begins that had ended before it.

    The first one where several are as volatile; 0 while there is none yet.
    """
    summed = np.concatenate([[0.0], np.cumsum(lead**2)])
    starts = np.zeros(len(lead), np.intp)
    if len(lead) > length:
        volatility = summed[length:-1] - summed[: -length - 1]  # of the stretch from each start on
        largest = np.maximum.accumulate(volatility)
        is_new = np.concatenate([[True], volatility[1:] > largest[:-1]])
        starts[length:] = np.maximum.accumulate(np.where(is_new, np.arange(len(volatility)), 0))
    return starts


def walk(history: History, lengths: Lengths, portfolios: dict[str, Callable[[Flags], Floats]]) -> Iterator[Walk]:
    """Yield what each portfolio was asked for and what it lost, model by model."""
    periods = np.arange(lengths.history, len(history.ends))
    known = np.isfinite(history.returns)
    # Also the return of the period itself is needed, or nobody knows what was lost.
    listed = np.array([known[period - lengths.history : period + 1].all(axis=0) for period in periods])
    weights = np.array([[make(row) for make in portfolios.values()] for row in listed])  # periods, portfolios, coins
    came = np.where(listed, history.returns[periods], 0.0)
    losses = -np.einsum("pac,pc->pa", weights, came)
    starts = stressed_starts(history.returns[:, 0], lengths.stressed)
    batches = len(range(0, len(periods), BATCH)) * len(MODELS)
    began, done = time.monotonic(), 0
    for model, options in MODELS.items():
        margins = np.full(losses.shape, np.nan)
        for first in range(0, len(periods), BATCH):
            batch = slice(first, first + BATCH)
            stretches = starts[periods[batch]] if model == "stressed" else None
            margins[batch] = margins_of(history, lengths, periods[batch], weights[batch], stretches, options)
            done += 1
            left = (time.monotonic() - began) / done * (batches - done)
            progress(f"{model}: {min(first + BATCH, len(periods)):,} of {len(periods):,} periods; {left:.0f} s left")
        for row, name in enumerate(portfolios):
            asked = np.isfinite(margins[:, row])
            yield Walk(
                portfolio=name,
                model=model,
                ends=history.ends[periods][asked],
                margins=margins[asked, row],
                losses=losses[asked, row],
            )


def margins_of(
    history: History,
    lengths: Lengths,
    periods: NDArray[np.intp],
    weights: Floats,
    stretches: NDArray[np.intp] | None,
    options: dict[str, Any],
) -> Floats:
    """Return the margin of each portfolio for each of some periods, NaN where it holds nothing; one evaluation.

    Parameters
    ----------
    history : History
        Each margin reads what lies before its period.
    lengths : Lengths
        How far.
    periods : ndarray of intp, shape (P,)
        Which are margined.
    weights : ndarray of float64, shape (P, A, C)
        What each portfolio holds, in parts of gross.
    stretches : ndarray of intp, shape (P,), or None
        Where the stressed stretch of each period begins.
    options : dict
        What else the model is told.
    """
    import xmfast as xm

    recent, stressed = {}, {}
    for row, coin in np.argwhere((weights != 0).any(axis=1)):
        period, name = periods[row], f"{history.coins[coin]} {row}"
        recent[name] = history.returns[period - lengths.history : period, coin]
        if stretches is not None:
            stretch = history.returns[stretches[row] : stretches[row] + lengths.stressed]
            stressed[name] = np.where(np.isnan(stretch[:, coin]), stretch[:, 0], stretch[:, coin])
    names = list(recent)
    universe = xm.Universe.from_frames(
        assets={"asset": ["USD"]},
        instruments={
            "instrument": names,
            "kind": ["perpetual"] * len(names),
            "underlying": names,
            "settlement": ["USD"] * len(names),
        },
    )
    model = xm.HistoricalVaR(
        universe, returns=recent, stressed_returns=stressed or None, confidence=CONFIDENCE, **options
    )
    held = np.argwhere(weights != 0)
    accounts = np.unique(held[:, 0] * weights.shape[1] + held[:, 1])
    # A dollar each: equity of exactly 0 is a knife edge, which is decided in exact numbers and takes its time.
    balances = {"account": accounts, "asset": ["USD"] * len(accounts), "balance": np.ones(len(accounts))}
    positions = {
        "account": held[:, 0] * weights.shape[1] + held[:, 1],
        "instrument": [f"{history.coins[coin]} {row}" for row, _, coin in held],
        "quantity": weights[weights != 0],
        "entry_price": np.ones(len(held)),
    }
    market = xm.Market(universe, mark_price=dict.fromkeys(names, 1.0))
    report = model.evaluate(xm.Book.from_frames(universe, balances, positions), market)
    margins = np.full(weights.shape[0] * weights.shape[1], np.nan)
    margins[np.asarray(report.accounts)] = report.maintenance_margin
    return margins.reshape(weights.shape[:2])


def kupiec(exceptions: int, forecasts: int, confidence: float = CONFIDENCE) -> float:
    """Return the p-value of Kupiec's proportion of failures: how likely is a share at least as unlikely as this one.

    Twice the logarithm of the ratio of likelihoods, of the share seen and of ``1 - confidence``, against chi-square
    with one degree of freedom.
    """
    from scipy.special import xlogy
    from scipy.stats import chi2

    def likelihood(share: float) -> float:
        return float(xlogy(exceptions, share) + xlogy(forecasts - exceptions, 1 - share))

    ratio = 2 * (likelihood(exceptions / forecasts) - likelihood(1 - confidence))
    return float(chi2.sf(max(0.0, ratio), 1))


def table(walks: Sequence[Walk]) -> str:
    """Return exceptions by year and what they mean, in Markdown.

    ``next too`` is the share of exceptions that another one followed at once: a model whose exceptions are independent
    has its share there again. ``loss / margin`` is that of exceptions, on average and the largest.
    """
    years = sorted({int(year) for one in walks for year in _years(one)})
    header = [*map(str, years), "all", "of", "share", "Kupiec p", "next too", "mean margin", "loss / margin", "largest"]
    lines = [["portfolio", "model", *header], ["---", "---", *["---:"] * len(header)]]
    order = list(dict.fromkeys(one.portfolio for one in walks))
    for one in sorted(walks, key=lambda one: order.index(one.portfolio)):
        found, count = int(one.exceptions.sum()), len(one.losses)
        beyond = one.losses[one.exceptions] / one.margins[one.exceptions]
        pairs = int((one.exceptions[1:] & one.exceptions[:-1]).sum())
        by_year = [str(int(one.exceptions[_years(one) == year].sum())) for year in years]
        figures = [
            f"{found:,}",
            f"{count:,}",
            f"{found / count:.2%}",
            f"{kupiec(found, count):.2g}",
            f"{pairs / max(1, found):.1%}",
            f"{one.margins.mean():.2%}",
            f"{beyond.mean():.1f}" if found else "",
            f"{beyond.max():.1f}" if found else "",
        ]
        lines.append([one.portfolio, one.model, *by_year, *figures])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _years(one: Walk) -> NDArray[np.int64]:
    return one.ends.astype("M8[Y]").astype(np.int64) + 1970


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the klines are")
    parser.add_argument("--hourly", action="store_true", help="hourly closes instead of daily ones")
    given = parser.parse_args(arguments)
    history = read_history(given.folder, hourly=given.hourly)
    lengths = Lengths()
    walks = list(walk(history, lengths, PORTFOLIOS))
    title = "hourly" if given.hourly else "daily"
    first, last = (np.datetime_as_string(end, unit="m") for end in history.ends[[0, -1]])
    print(f"**{title}**: {len(history.ends):,} periods that ended from {first} to {last}, {history.left_out} left out;")
    print("losses above the margin\n")
    print(table(walks))


if __name__ == "__main__":
    main()
