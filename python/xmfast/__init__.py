"""Cross margin of a whole venue: one pool of collateral behind every position and loan of an account.

>>> import xmfast as xm
>>> universe = xm.Universe.from_frames(
...     assets={"asset": ["USD", "BTC"]},
...     instruments={
...         "instrument": ["BTC-PERP"],
...         "kind": ["perpetual"],
...         "underlying": ["BTC"],
...         "settlement": ["USD"],
...     },
...     numeraire="USD",
... )
>>> book = xm.Book.from_frames(
...     universe,
...     balances={"account": ["alice", "bob"], "asset": ["BTC", "USD"], "balance": [1.0, 500.0]},
...     positions={"account": ["bob"], "instrument": ["BTC-PERP"], "quantity": [0.2], "entry_price": [62_000]},
... )
>>> market = xm.Market(universe, index_price={"BTC": 60_000}, mark_price={"BTC-PERP": 60_100})
>>> model = xm.CrossMargin.from_frames(
...     universe,
...     collateral={"asset": ["BTC"], "initial_haircut": [0.10], "maintenance_haircut": [0.05]},
...     margin={"instrument": ["BTC-PERP"], "initial_rate": [0.05], "maintenance_rate": [0.02]},
... )
>>> report = model.evaluate(book, market)
>>> report.health
array([57000. ,  -120.4])
>>> report["bob"].liquidatable
True
"""

from xmfast._core import __version__
from xmfast.book import Book
from xmfast.comparison import Comparison, compare
from xmfast.contraction import contract
from xmfast.cross import CrossMargin, IsolatedMargin
from xmfast.engine import Engine
from xmfast.engine_figures import EngineMetrics, EventLatency, LedgerTotals
from xmfast.errors import (
    ColumnError,
    DuplicateError,
    FileError,
    InputError,
    MissingExtraError,
    MissingParameterError,
    MissingPriceError,
    OrderRefusedError,
    ParameterError,
    RangeError,
    RefusedError,
    UniverseMismatchError,
    UnknownIdError,
    XmfastError,
)
from xmfast.explanation import ExplainedLine, Explanation
from xmfast.files.model_file import read_model
from xmfast.files.venue_file import Venue, read_venue
from xmfast.isolated import IsolatedReport
from xmfast.limits import (
    BookBuyingPower,
    BuyingPower,
    Lock,
    Transferable,
    buying_power,
    cheapest_collateral,
    transferable,
    withdrawable,
)
from xmfast.liquidation import bankruptcy_price, liquidation_price, liquidation_prices
from xmfast.market import Market
from xmfast.options import ImpliedVolatility, OptionValues, bachelier, black76, implied_volatility
from xmfast.order_check import OrderCheck, Reason
from xmfast.portfolio import HistoricalVaR, PortfolioMargin
from xmfast.portfolio_report import PortfolioReport, RiskArrays
from xmfast.price_path import (
    AccountMove,
    BookMoves,
    PricePath,
    bankruptcy_move,
    liquidation_move,
    liquidation_moves,
)
from xmfast.report import AccountMargin, MarginReport, ReportSummary
from xmfast.scenario_losses import ScenarioLosses
from xmfast.scenarios import Scenarios, VolatilityScaling
from xmfast.system import doctor, num_threads, set_num_threads, set_simd, simd
from xmfast.universe import Universe
from xmfast.volatility_surface import VolatilitySurface

__all__ = [
    "AccountMargin",
    "AccountMove",
    "Book",
    "BookBuyingPower",
    "BookMoves",
    "BuyingPower",
    "ColumnError",
    "Comparison",
    "CrossMargin",
    "DuplicateError",
    "Engine",
    "EngineMetrics",
    "EventLatency",
    "ExplainedLine",
    "Explanation",
    "FileError",
    "HistoricalVaR",
    "ImpliedVolatility",
    "InputError",
    "IsolatedMargin",
    "IsolatedReport",
    "LedgerTotals",
    "Lock",
    "MarginReport",
    "Market",
    "MissingExtraError",
    "MissingParameterError",
    "MissingPriceError",
    "OptionValues",
    "OrderCheck",
    "OrderRefusedError",
    "ParameterError",
    "PortfolioMargin",
    "PortfolioReport",
    "PricePath",
    "RangeError",
    "Reason",
    "RefusedError",
    "ReportSummary",
    "RiskArrays",
    "ScenarioLosses",
    "Scenarios",
    "Transferable",
    "Universe",
    "UniverseMismatchError",
    "UnknownIdError",
    "Venue",
    "VolatilityScaling",
    "VolatilitySurface",
    "XmfastError",
    "__version__",
    "bachelier",
    "bankruptcy_move",
    "bankruptcy_price",
    "black76",
    "buying_power",
    "cheapest_collateral",
    "compare",
    "contract",
    "doctor",
    "implied_volatility",
    "liquidation_move",
    "liquidation_moves",
    "liquidation_price",
    "liquidation_prices",
    "num_threads",
    "read_model",
    "read_venue",
    "set_num_threads",
    "set_simd",
    "simd",
    "transferable",
    "withdrawable",
]
