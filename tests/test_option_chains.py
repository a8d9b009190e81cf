"""Greeks of real SPX chains as somebody else computed and printed them.

They are QuantConnect Lean's, to seven decimals; ours agree to half of the last one. The rate is that of the Federal
Reserve's primary credit, which Lean takes. What was unknown was found by trying, and then holds for every row: the
spot, the dividend yield, and the clock, which stops at midnight before SPX's expiry date and at the close of SPXW's,
3:15 h early on 2023-07-03. Lean's American options (SPY, AAPL, GOOG) come from a binomial tree and are no twin of
Black-76.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xmfast as xm

FOLDER = Path(__file__).parent / "options"
LATER: dict[str, Any] = json.loads((FOLDER / "spx_later_chains.json").read_text(encoding="utf-8"))
HALF_OF_THE_LAST_DECIMAL = 5.1e-8


def years_between(start: Any, end: Any) -> Any:
    """Return years of 365 days."""
    return (np.asarray(end, "M8[ns]") - np.asarray(start, "M8[ns]")) / np.timedelta64(365, "D")


def greeks_of_spot(forward: Any, chain: dict[str, Any], values: xm.OptionValues, years: Any) -> list[Any]:
    """Return delta, gamma, vega, theta and rho as Lean prints them: of the spot, per 1 % and per day of 365."""
    rate, dividends = chain["rate"], chain.get("dividend_yield", 0.0)
    growth = np.exp((rate - dividends) * years)
    return [
        values.delta * growth,
        # Lean's gamma is not discounted by the dividend yield, as it should be.
        values.gamma * growth**2 * np.exp(dividends * years),
        values.vega / 100,
        (values.theta - values.delta * forward * (rate - dividends)) / 365,  # the spot stays, not the forward
        (values.rho + values.delta * forward * years) / 100,
    ]


def largest_errors(found: list[Any], expected: list[Any]) -> Any:
    """Return the largest error of each row."""
    return np.max([abs(ours - theirs) for ours, theirs in zip(found, expected, strict=True)], axis=0)


def test_spx_of_2015() -> None:
    """232 of 233 options at 1 % and no dividends, from three weeks to two years before expiry."""
    chain = json.loads((FOLDER / "spx_chain.json").read_text(encoding="utf-8"))
    expiry, strike, right, volatility, *expected = map(np.array, zip(*chain["rows"], strict=True))
    years = years_between(chain["time"], expiry)
    forward = chain["spot"] * np.exp(chain["rate"] * years)
    values = xm.black76(forward, strike, volatility, years, right, rate=chain["rate"])
    errors = largest_errors(greeks_of_spot(forward, chain, values, years), expected)
    # One deep put was printed with another volatility than its greeks have.
    assert len(errors) == 233 and np.sum(errors <= HALF_OF_THE_LAST_DECIMAL) >= 232
    back = xm.implied_volatility(values.value, forward, strike, years, right, rate=chain["rate"])
    assert np.all(back.status == "ok")
    known = values.vega > 0.5
    np.testing.assert_allclose(back.volatility[known], volatility[known], rtol=1e-9)


def errors_of(chain: dict[str, Any], usual_close: dict[str, str]) -> tuple[Any, Any]:
    """Return the largest error of each row, and which rows' expiry was moved to another hour."""
    time, expiry, spot, strike, right, volatility, *expected = map(np.array, zip(*chain["rows"], strict=True))
    end = np.array([usual_close.get(one, one) for one in expiry.tolist()])
    years = years_between(time, end)
    forward = spot * np.exp((chain["rate"] - chain["dividend_yield"]) * years)
    values = xm.black76(forward, strike, volatility, years, right, rate=chain["rate"])
    return largest_errors(greeks_of_spot(forward, chain, values, years), expected), end != expiry


@pytest.mark.parametrize(("name", "rows"), [("SPX 2021", 54), ("SPXW 2023", 12)])
def test_later_chains(name: str, rows: int) -> None:
    """Every option: with a dividend yield and down to nine hours before expiry, and over an early close."""
    errors, _ = errors_of(LATER["chains"][name], {})
    assert len(errors) == rows and np.all(errors <= HALF_OF_THE_LAST_DECIMAL)


def test_the_early_close_is_in_the_figures() -> None:
    """Had SPXW ended at its usual hour on 2023-07-03, half of the rows would be off in the third decimal or before."""
    errors, moved = errors_of(LATER["chains"]["SPXW 2023"], {"2023-07-03T12:00": "2023-07-03T15:15"})
    assert moved.sum() == 6
    assert np.all(errors[moved] > 5e-3) and np.all(errors[~moved] <= HALF_OF_THE_LAST_DECIMAL)
