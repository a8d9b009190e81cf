"""Margin from the risk of a whole portfolio: scenarios, or the quantile of a history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xmfast import _core
from xmfast.book import Book
from xmfast.cross import core_inputs
from xmfast.errors import ParameterError
from xmfast.frames import Frame, Id, read_frame
from xmfast.given_numbers import one_number, whole_number
from xmfast.in_process import InProcess
from xmfast.market import Market
from xmfast.portfolio_report import PortfolioReport, RiskArrays
from xmfast.returns import historical_shocks, tail_rank
from xmfast.scenarios import Scenarios
from xmfast.underlyings import Underlyings
from xmfast.universe import Universe, core_universe


class ScenarioModel(InProcess):
    """What the models have in common that revalue positions in scenarios."""

    __slots__ = ("_core", "_universe")
    _core: _core.RiskModel
    _universe: Universe

    @property
    def universe(self) -> Universe:
        """What the parameters refer to."""
        return self._universe

    def evaluate(self, book: Book, market: Market) -> PortfolioReport:
        """Say for every account what it is worth, what its portfolio risks, and whether it is safe.

        The model keeps the losses of its last evaluations (at most three tables of instruments x scenarios x 12 bytes)
        and revalues the instruments whose figures have moved since; the report is that of a new model, bit for bit.

        Parameters
        ----------
        book : Book
            Who holds what.
        market : Market
            Prices of all that is held.

        Returns
        -------
        PortfolioReport
            A :class:`MarginReport` with ``scan_risk``, ``worst_scenario`` and ``contingencies``.

        Raises
        ------
        ParameterError
            An underlying of which no scenario speaks, or a shock that takes a price where it cannot be.
        UniverseMismatchError, MissingPriceError, RangeError
            As for :class:`CrossMargin`.
        """
        return PortfolioReport(*self._core.evaluate(*core_inputs(book, market)))

    def liquidatable(self, book: Book, market: Market) -> NDArray[np.bool_]:
        """Say for every account whether it is liquidatable, and nothing else: quicker than :meth:`evaluate`.

        A bound settles most accounts of a healthy book: no portfolio loses more than its positions would if each met
        its own worst scenario. The others are evaluated. The second call for one book evaluates all and remembers how
        far each account is from the edge; later ones look only at accounts that prices may have moved across since.
        That takes a model without tiers, shares of gains, charges and ``in_scenario``, and a book without orders and
        leverage caps. Every flag is that of the report.

        Parameters
        ----------
        book, market
            As for :meth:`evaluate`.

        Returns
        -------
        array of bool, shape (A,)
            In order of ``book.accounts``.

        Raises
        ------
        ParameterError, UniverseMismatchError, MissingPriceError, RangeError
            As for :meth:`evaluate`.

        Examples
        --------
        >>> model = xm.PortfolioMargin(universe, scenarios=xm.Scenarios(price_shock=[-0.10, 0.10]))
        >>> model.liquidatable(book, market)
        array([False,  True])
        """
        return self._core.liquidatable(*core_inputs(book, market))

    def risk_arrays(self, market: Market) -> RiskArrays:
        """Return what one long contract of every instrument with a mark price loses in each scenario.

        The array is read-only, as a rule a view of the model's own table: copy it to change it.
        """
        if not isinstance(market, Market):
            raise TypeError(f"market: a Market is needed, not {type(market).__name__}")
        rows, assets, arrays = self._core.risk_arrays(market._core)
        ids = self._universe._instrument_ids()
        if len(rows) < len(ids):
            ids = tuple(ids[row] for row in rows.tolist())
        if assets:
            names = self._universe.assets
            ids += tuple(names[asset] for asset in assets)
        losses = arrays[0]
        if len(arrays) > 1:
            losses = np.concatenate(arrays, axis=1)
            losses.flags.writeable = False
        return RiskArrays(_ids=ids, losses=losses)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._universe!r})"


class PortfolioMargin(ScenarioModel):
    """Margin by scenarios: the worst loss of each underlying's positions, or of all together.

    Parameters
    ----------
    universe : Universe
        What the ids refer to.
    collateral : frame, optional
        As for :meth:`CrossMargin.from_frames`.
    scenarios : Scenarios
        What may happen.
    offsets : {"none", "full"} or float, optional
        What gains on one underlying pay of losses on another in the same scenario: nothing, all, or a share. In joint
        scenarios all positions are one group anyway.
    product_groups : dict, optional
        By underlying, the name of its product group; gains pay for losses within a group alone. An underlying that is
        not named is a group of its own. Without the dict all underlyings are one group, or with offsets "none" each is
        its own.
    short_option_minimum : float or dict, optional
        Least requirement of a short option, part of its notional; a dict says it by underlying.
    concentration : dict, optional
        By underlying: ``(rate, depth)``, what is charged on the net notional beyond a depth, numeraire.
    margin_floor : float, optional
        Least requirement of an account with positions, numeraire.
    initial_factor : float, optional
        Initial margin is the requirement times this; >= 1.
    in_scenario : list or dict, optional
        Assets that move inside the scenarios instead of being cut by a haircut, never both; a dict names the underlying
        that each moves with, in a list it has the asset's own name.

    Notes
    -----
    With ``loss`` of one long contract in each scenario (:meth:`risk_arrays`), per account and underlying ``u``::

        loss_u[s]   = weight_s x sum of quantity x loss[instrument, s]
        scan_risk   = sum over u of max(0, max over s of loss_u[s])                   (offsets "none")
        scan_risk   = max(0, max over s of sum over u of gain-share(loss_u[s]))       (full, or a share)
        requirement = max(scan_risk, short-option minimum) + concentration, at least the floor

    ``maintenance_margin`` is the requirement, ``initial_margin`` that times ``initial_factor``; collateral counts as
    under :class:`CrossMargin`; so does what open orders would lose at once. Open orders add to the initial margin what
    the worse side of each instrument could lose alone. A ``leverage_cap`` belongs to models that charge rates and says
    nothing here. A decision is that of exact arithmetic on the losses as published.

    An option's loss is the fall of its value by Black-76, or Bachelier under absolute shocks: discounted at the rate of
    its settlement asset, not at all if it is ``futures_style``. Where the settlement price is an average
    (``settlement_average`` of the instrument) of which a part ``w`` has passed, with an average ``A`` so far, an option
    is ``1 - w`` options on the mean of the prices to come::

        strike     = (strike - w x A) / (1 - w)
        volatility^2 x time: that of the time before the window and a third of the time in it
        coin-settled: divided by w x A + (1 - w) x forward

    A price shock moves the forward, never ``A``; of a future that settles so it moves ``1 - w`` of the mark. The mean
    of lognormal prices is taken for lognormal with the variance of a Brownian path's mean, as Turnbull and Wakeman
    (1991) and Levy (1992) do, to first order: too small a variance by ``volatility^2 x window / 12`` of itself, 1e-4
    for a day at 60 %. Under Bachelier that is exact. A coin is counted at the expected average, not at its price when
    it is paid: at the money that is up to 2 % of a coin-settled option's value for a day at 80 %, 0.3 % for half an
    hour.

    An asset ``a`` of ``in_scenario`` counts in full, whatever its size and sign: no haircut, tier, cap, liability
    weight or share of gains. What an account has of it is at risk instead. With ``X`` its index price and ``dX`` what
    its underlying's shock makes of that (``X x shock``, or ``shock`` if absolute), ``v`` the value of a contract in
    ``a`` now and ``v_s`` in the scenario::

        net                 = balance x interest index - entry cost                                       (in a)
        loss of the net     = -net x dX                     a loan loses where its asset gains
        loss of a contract  = v x X - v_s x (X + dX)        joint, or its underlying is the one that a moves with
        loss of a contract  = (v - v_s) x X                 in the group of its own underlying, else; and
                              -v x dX                       in the group of the one that a moves with

    Together these are what the account's equity loses, so coins hedge a coin-settled short without a rest. The same
    underlying's volatility shocks say nothing of ``a``. What is posted for an isolated position in ``a`` moves as well,
    all that stands behind it in one group. An open order is charged as if it filled at mark, where its value is its
    cost: ``(v - v_s) x (X + dX)``, or ``x X`` where both move apart. Neither the concentration charge nor the floor
    counts balances: an account without positions has no floor. Venues differ in whether spot enters the stress: Bybit
    where spot hedging is on, OKX as part of a coin's risk unit, Derive for collateral that cancels risk.

    Examples
    --------
    >>> model = xm.PortfolioMargin(universe, scenarios=xm.Scenarios(price_shock=[-0.10, 0.10]))
    >>> report = model.evaluate(book, market)
    >>> report.scan_risk, report.worst_scenario
    (array([   0., 1202.]), array([-1,  0]))
    """

    __slots__ = ()

    def __init__(
        self,
        universe: Universe,
        collateral: Frame | None = None,
        *,
        scenarios: Scenarios,
        offsets: Literal["none", "full"] | float = "none",
        product_groups: Mapping[Any, Any] | None = None,
        short_option_minimum: float | Mapping[Any, float] = 0.0,
        concentration: Mapping[Any, tuple[float, float]] | None = None,
        margin_floor: float = 0.0,
        initial_factor: float = 1.0,
        in_scenario: Sequence[Id] | Mapping[Any, Any] = (),
    ) -> None:
        if not isinstance(scenarios, Scenarios):
            raise TypeError(f"scenarios: Scenarios are needed, not {type(scenarios).__name__}")
        if offsets not in ("none", "full") and isinstance(offsets, str):
            raise ParameterError(f"offsets: 'none', 'full' or a share of gains is needed, not {offsets!r}")
        share = {"none": None, "full": 1.0}[offsets] if isinstance(offsets, str) else one_number("offsets", offsets)
        self._universe = universe
        names = Underlyings(universe)
        groups = names.groups(product_groups, together=share is not None)
        self._core = _core.RiskModel(
            core_universe(universe),
            read_frame("collateral", collateral),
            [names.scenario_set("scenarios", scenarios, ("worst", 1))],
            {
                "offsets": share,
                "product_group": groups,
                "short_option_rate": names.of_instruments("short_option_minimum", short_option_minimum, 0.0),
                "concentration": names.concentration(concentration),
                "margin_floor": one_number("margin_floor", margin_floor),
                "initial_factor": one_number("initial_factor", initial_factor),
                "in_scenario": names.of_assets(in_scenario),
            },
        )


class HistoricalVaR(ScenarioModel):
    """Margin by history: a quantile of what today's portfolio would have lost, or the mean of the losses beyond it.

    Parameters
    ----------
    universe : Universe
        What the ids refer to.
    collateral : frame, optional
        As for :meth:`CrossMargin.from_frames`.
    returns : dict of arrays of shape (T,)
        Simple returns by underlying, the same periods for all, oldest first.
    confidence : float, optional
        Between 0 and 1.
    measure : {"var", "es"}, optional
        Value at Risk: the ``ceil(n x confidence)``-th smallest loss. Expected shortfall: the mean from that one up.
    holding_period : int, optional
        Periods that a portfolio is held; overlapping, compounded.
    filtered : bool, optional
        Rescale each return by today's volatility over that of its day, both exponentially weighted.
    ewma_lambda : float, optional
        What a day's weight is of the next one's.
    stressed_returns : dict of arrays, optional
        A second history; the larger requirement counts.
    short_option_minimum, margin_floor, initial_factor, in_scenario
        As for :class:`PortfolioMargin`.

    Notes
    -----
    All underlyings move together, as they did; every position is revalued in full. A requirement is at least 0.

    A model that evaluates one book again and again remembers which scenario decided for each account; while prices move
    by less than other scenarios were away, no other is summed, and a call takes two to three fifths of the time. Every
    figure is that of a new model. It does so for Value at Risk that is one of the seven largest of at most 512 losses,
    with nothing charged beside (no minimum, floor, stressed history or ``in_scenario``), and not for accounts in whose
    part of the book somebody has open orders.

    Examples
    --------
    >>> fall = {"BTC": [-0.02, 0.01, -0.05, 0.03, 0.00]}
    >>> model = xm.HistoricalVaR(universe, returns=fall, confidence=0.8)
    >>> model.evaluate(book, market).scan_risk
    array([  0. , 240.4])
    """

    __slots__ = ()

    def __init__(
        self,
        universe: Universe,
        collateral: Frame | None = None,
        *,
        returns: Mapping[Any, ArrayLike],
        confidence: float = 0.99,
        measure: Literal["var", "es"] = "var",
        holding_period: int = 1,
        filtered: bool = False,
        ewma_lambda: float = 0.94,
        stressed_returns: Mapping[Any, ArrayLike] | None = None,
        short_option_minimum: float | Mapping[Any, float] = 0.0,
        margin_floor: float = 0.0,
        initial_factor: float = 1.0,
        in_scenario: Sequence[Id] | Mapping[Any, Any] = (),
    ) -> None:
        if returns is None:
            raise ParameterError("returns: returns by underlying are needed: {'BTC': [...], ...}")
        holding_period = whole_number("holding_period", holding_period)
        if not 0 < one_number("confidence", confidence) < 1:
            raise ParameterError(f"confidence: {confidence} is not between 0 and 1")
        if measure not in ("var", "es"):
            raise ParameterError(f"measure: 'var' or 'es' is needed, not {measure!r}")
        if holding_period < 1:
            raise ParameterError(f"holding_period: at least 1 is needed, not {holding_period}")
        if not 0 < one_number("ewma_lambda", ewma_lambda) < 1:
            raise ParameterError(f"ewma_lambda: {ewma_lambda} is not between 0 and 1")
        self._universe = universe
        names = Underlyings(universe)
        smoothing = ewma_lambda if filtered else None
        sets = []
        for name, history in (("returns", returns), ("stressed_returns", stressed_returns)):
            if history is not None:
                scenarios = Scenarios.joint(historical_shocks(name, history, holding_period, smoothing))
                rank = tail_rank(len(scenarios), confidence)
                sets.append(names.scenario_set(name, scenarios, (measure, rank)))
        underlyings = len(universe.underlyings)
        self._core = _core.RiskModel(
            core_universe(universe),
            read_frame("collateral", collateral),
            sets,
            {
                "offsets": None,
                "product_group": [0] * underlyings,
                "short_option_rate": names.of_instruments("short_option_minimum", short_option_minimum, 0.0),
                "concentration": [None] * underlyings,
                "margin_floor": one_number("margin_floor", margin_floor),
                "initial_factor": one_number("initial_factor", initial_factor),
                "in_scenario": names.of_assets(in_scenario),
            },
        )
