"""The live engine: may this order go in, and who fell below on this tick."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from xmfast import _core
from xmfast.book import Book
from xmfast.close_names import hint
from xmfast.cross import LinearModel, core_inputs, core_market
from xmfast.engine_figures import EngineMetrics, LedgerTotals, engine_metrics, ledger_totals
from xmfast.errors import OrderRefusedError, ParameterError, UnknownIdError
from xmfast.frames import Id, Number, Time, read_frame, read_time
from xmfast.given_numbers import one_number
from xmfast.market import Market
from xmfast.order_check import REASONS, Reason
from xmfast.portfolio import ScenarioModel
from xmfast.portfolio_report import PortfolioReport
from xmfast.report import MarginReport
from xmfast.universe import Universe


class Engine(_core.Engine):
    """A book that lives: orders, trades, payments and prices come in, and it is known at once who is liquidatable.

    Parameters
    ----------
    book, market, model
        What is held, what it costs, and the rules: any margin model.
    decimals : int or dict, default 8
        Scale of money in the ledger, by asset: amounts are whole units of ``10**-decimals``, at most 18.
    borrowable : iterable of assets, default none
        In which a withdrawal or exchange may take cash below 0.
    withdrawable_gain_share : float, default 0
        Part of an unrealized gain, 0 to 1, that backs what stays behind when money is withdrawn.
    position_limit : dict, optional
        Contracts by instrument: the largest position of an account, long or short. Of an order on one side it is asked
        where the position would be if all of the account's orders on that side filled, but for those that only reduce.
        Who is above the limit may come down, and through 0 as far as the limit on the other side.
    open_interest_limit : dict, optional
        Contracts by instrument: the largest sum of all long positions. To what it is now is added what the order and
        the account's resting orders on the same side would open: all that they do not close of what the account
        holds. Orders of other accounts are not counted, and what closes is never refused for it.
    alert_levels : iterable of float, default none
        Margin ratios below 1 that :meth:`alerts` tells of when an account reaches them, such as ``(0.8, 0.9)``.

    Notes
    -----
    Every command either happens or raises, and then nothing has changed. Afterwards the accounts that it may have moved
    across 0 are judged again, exactly, so that :meth:`liquidatable` is always what a full evaluation would say. Under
    :class:`CrossMargin` every account is watched by the prices at which that could happen, so that a tick costs as much
    as there are accounts near the edge; under other models all accounts are evaluated on every tick.

    The ledger holds whole units: opening cash is rounded down to the asset's scale, entry costs up, and quantities,
    of positions and of orders, towards 0 to 8 decimals; of what becomes 0 nothing is taken over. :attr:`residue` says
    what rounding cash and costs took. A fill of ``q`` contracts costs
    ``q x unit_value(price)``, rounded up; closing takes out the same part of the entry cost. Interest and funding are
    paid when an account is touched, rounded against it. Amounts and quantities with more decimals than the scale are
    refused, fees are rounded up.

    Prices of fills and ticks are exact, whatever number they are given as; those of orders, too, with up to 37 digits.
    Position and open interest limits are asked of orders alone: by :meth:`check_order`, :meth:`check_orders`,
    :meth:`place` and :meth:`amend`. :meth:`fill`, :meth:`trade`, :meth:`transfer` and what a book brings along report
    what has happened, and are never refused for a limit.

    Reduce-only orders of the book are not taken over, as a :class:`Book` drops them.

    No account is exempt: there is no flag that takes one out of a check, a limit or a report.

    Calls from several threads wait for each other; :meth:`report` and :attr:`book` work on a copy that does not change,
    while the engine goes on.

    Examples
    --------
    >>> engine = xm.Engine(book, market, model)
    >>> engine.liquidatable()
    array(['bob'], dtype=object)
    >>> check = engine.check_order("alice", "BTC-PERP", 1.0, 60_000)
    >>> check.accepted, check.initial_margin
    (True, 3005.0)
    >>> engine.fill("alice", "BTC-PERP", 1.0, 60_000)
    >>> engine.tick("BTC-PERP", 2_000.0)
    array(['alice'], dtype=object)
    >>> engine.ledger()["USD"].is_conserved
    True
    """

    __slots__ = ()

    def __new__(
        cls,
        book: Book,
        market: Market,
        model: LinearModel | ScenarioModel,
        *,
        decimals: int | Mapping[Any, int] = 8,
        borrowable: Iterable[Id] = (),
        withdrawable_gain_share: float = 0.0,
        position_limit: Mapping[Any, Number] | None = None,
        open_interest_limit: Mapping[Any, Number] | None = None,
        alert_levels: Iterable[float] = (),
    ) -> Self:
        """Open an engine with what a book holds."""
        inputs = core_inputs(book, market)
        assets = book.universe.assets
        share = one_number("withdrawable_gain_share", withdrawable_gain_share)
        if not 0 <= share <= 1:
            raise ParameterError(f"withdrawable_gain_share: {share} is not between 0 and 1")
        allowed = _assets("borrowable", borrowable, assets)
        said = {
            "decimals": _decimals(decimals, assets),
            "borrowable": [asset in allowed for asset in assets],
            "position_limit": _limit("position_limit", position_limit),
            "open_interest_limit": _limit("open_interest_limit", open_interest_limit),
            "withdrawable_gain_share": share,
            "alert_levels": _levels(alert_levels),
        }
        return super().__new__(cls, *inputs, _core_of(model), model, said)

    # Orders

    check_order = _core.Engine.check_order

    def check_orders(
        self, account: Any, instrument: Any, quantity: Any, price: Any, reduce_only: Any = None
    ) -> dict[str, NDArray[Any]]:
        """Check many orders, each on its own; return arrays accepted, reason, initial_margin, free_collateral.

        All threads work, with the interpreter free; columns are read where they lie, so do not write to them meanwhile.
        Of several rows that are wrong the error names the first.
        """
        columns = {"account": account, "instrument": instrument, "quantity": quantity, "price": price}
        frame = columns if reduce_only is None else {**columns, "reduce_only": reduce_only}
        reason, margin, free = self._check_orders(read_frame("orders", frame))
        names = np.array([name.value for name in REASONS], dtype=object)
        accepted = reason == REASONS.index(Reason.ACCEPTED)
        return {"accepted": accepted, "reason": names[reason], "initial_margin": margin, "free_collateral": free}

    def place(
        self,
        account: Id,
        instrument: Id,
        quantity: Number,
        price: Number,
        reduce_only: bool = False,
        *,
        client_id: str | None = None,
    ) -> int:
        """Check an order and let it rest; return its number.

        Raises
        ------
        OrderRefusedError
            It does not pass; ``error.check`` says why.
        """
        order, check = self._place(account, instrument, quantity, price, reduce_only, client_id)
        if order is None:
            raise OrderRefusedError(check)
        return order

    def amend(
        self,
        order_id: int,
        quantity: Number | None = None,
        price: Number | None = None,
        *,
        client_id: str | None = None,
    ) -> None:
        """Replace an open order's remaining contracts, its price, or both; checked as a new one in place of the old."""
        check = self._amend(order_id, quantity, price, client_id)
        if not check:
            raise OrderRefusedError(check)

    def cancel(self, order_id: int, *, client_id: str | None = None) -> None:
        """Take back an open order."""
        self._cancel(order_id, client_id)

    def open_orders(self, account: Id) -> list[dict[str, Any]]:
        """Open orders of an account, by instrument, then in order of their numbers.

        A price is a float, or a ``Decimal`` where no float is what was given.
        """
        names = ("order_id", "instrument", "quantity", "price", "reduce_only")
        return [dict(zip(names, order, strict=True)) for order in self._open_orders(account)]

    # Trades

    def fill(
        self,
        account: Id,
        instrument: Id,
        quantity: Number,
        price: Number,
        fee: Number = 0,
        order_id: int | None = None,
        *,
        client_id: str | None = None,
    ) -> None:
        """Book one side of a trade; the other is somebody outside the book.

        No margin is asked for: the order was checked before. ``fee`` is in the settlement asset, negative for a rebate.
        An order that is named shrinks by the fill, which may not be larger, worse than its limit, or, of an order that
        only reduces, more than there is to reduce.
        """
        self._fill(account, instrument, quantity, price, fee, order_id, client_id)

    def fills(
        self,
        account: Any,
        instrument: Any,
        quantity: Any,
        price: Any,
        fee: Any = None,
        order_id: Any = None,
        *,
        client_id: str | None = None,
    ) -> None:
        """Book many fills in order: all, or none if one is refused, which the error names.

        As with many prices, accounts are judged once all of them are booked. ``order_id`` is 0 where a fill is of no
        order.
        """
        columns = {"account": account, "instrument": instrument, "quantity": quantity, "price": price}
        columns |= {name: given for name, given in (("fee", fee), ("order_id", order_id)) if given is not None}
        self._fills(read_frame("fills", columns), client_id)

    def trade(
        self,
        maker: Id,
        taker: Id,
        instrument: Id,
        quantity: Number,
        price: Number,
        maker_fee: Number = 0,
        taker_fee: Number = 0,
        *,
        maker_order: int | None = None,
        taker_order: int | None = None,
        client_id: str | None = None,
    ) -> None:
        """Book both sides of a trade, or neither; ``quantity`` is the taker's, negative if the taker sold."""
        fees, orders = (maker_fee, taker_fee), (maker_order, taker_order)
        self._trade((maker, taker), instrument, quantity, price, fees, orders, client_id)

    # Money

    def deposit(self, account: Id, asset: Id, amount: Number, *, client_id: str | None = None) -> None:
        """Pay in."""
        self._deposit(account, asset, amount, client_id)

    def withdraw(self, account: Id, asset: Id, amount: Number, *, client_id: str | None = None) -> None:
        """Pay out, if what is left covers initial margin, and cash does not fall below 0 unless it can be borrowed."""
        self._withdraw(account, asset, amount, client_id)

    def transfer(self, source: Id, target: Id, id: Id, amount: Number, *, client_id: str | None = None) -> None:
        """Pass on an asset, as far as it could be withdrawn; or contracts of an instrument at their entry cost.

        Contracts that meet an opposite position are closed. Both accounts must cover their initial margin afterwards.
        """
        self._transfer(source, target, id, amount, client_id)

    def exchange(
        self,
        account: Id,
        sell: Id,
        buy: Id,
        sold: Number,
        bought: Number,
        fee: Number = 0,
        *,
        client_id: str | None = None,
    ) -> None:
        """Give ``sold`` of one asset for ``bought`` of another, less a fee in that; allowed as a withdrawal is."""
        self._exchange(account, sell, buy, sold, bought, fee, client_id)

    # What everybody feels

    def tick(
        self, instrument: Id | None = None, price: Number | None = None, *, index: Id | None = None
    ) -> NDArray[Any]:
        """Set a mark price, or with ``index`` the index price of an asset or underlying.

        Returns
        -------
        ndarray
            Ids of the accounts that this made liquidatable: their pool, or an isolated position.
        """
        if (instrument is None) == (index is None) or price is None:
            raise TypeError("tick: an instrument or an index is needed, and a price")
        id = instrument if index is None else index
        return self._tick(id, index is not None, price)

    def ticks(self, ids: Any, prices: Any) -> NDArray[Any]:
        """Set many prices, by instrument, asset or underlying; accounts are judged once all of them are set."""
        return self._ticks(read_frame("ticks", {"id": ids, "price": prices}))

    def accrue(
        self,
        time: Time | None = None,
        *,
        funding: Mapping[Any, Number] | None = None,
        interest: Mapping[Any, tuple[Number, Number]] | None = None,
        client_id: str | None = None,
    ) -> NDArray[Any]:
        """Move time, cumulative funding by instrument, and deposit and borrow index by asset, as in :class:`Market`."""
        what = "{'USD': (deposit_index, borrow_index), ...}"
        pairs = _by_id("interest", {} if interest is None else interest, what)
        for name, pair in pairs.items():
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise ParameterError(f"interest of {name!r}: (deposit_index, borrow_index) is needed, not {pair!r}")
        named = _by_id("funding", {} if funding is None else funding, "{'BTC-PERP': cumulative_funding, ...}")
        indices = {name: tuple(pair) for name, pair in pairs.items()}
        return self._accrue(read_time(time), dict(named), indices, client_id)

    def settle(self, instrument: Id, price: Number, *, client_id: str | None = None) -> NDArray[Any]:
        """Close all positions in an instrument at its last price and take back its orders; it trades no more."""
        return self._settle(instrument, price, client_id)

    def set_parameters(self, model: LinearModel | ScenarioModel, *, client_id: str | None = None) -> NDArray[Any]:
        """Go on under other rules, on the same universe; in a larger one: :meth:`add_instruments`."""
        return self._set_parameters(_core_of(model), model, client_id)

    def add_account(self, account: Id, *, client_id: str | None = None) -> None:
        """Add an account that holds nothing."""
        self._add_account(account, client_id)

    def add_instruments(
        self,
        model: LinearModel | ScenarioModel,
        market: Market | None = None,
        *,
        decimals: int | Mapping[Any, int] = 8,
        borrowable: Iterable[Id] = (),
        position_limit: Mapping[Any, Number] | None = None,
        open_interest_limit: Mapping[Any, Number] | None = None,
    ) -> NDArray[Any]:
        """Go on in a larger universe, with instruments, assets and underlyings that were not there before.

        Parameters
        ----------
        model
            The rules from now on, on a universe that :meth:`Universe.extended` made of the engine's.
        market : Market, optional
            Figures of what is new, on the same universe. What the engine has a figure of keeps it, and so does time;
            prices, volatilities and averages that it lacks are taken. What has no price yet can get one from
            :meth:`tick`.
        decimals, borrowable, position_limit, open_interest_limit
            Of what is new, as when the engine was opened; those of all else stay.

        Returns
        -------
        ndarray
            Ids of the accounts that the rules made liquidatable.

        Raises
        ------
        UniverseMismatchError
            The model's universe does not begin with all of the engine's, or is not that of the market.
        MissingPriceError, MissingParameterError
            The rules say nothing of something that is held.
        ParameterError
            A scale or limit that cannot be, or of something that is not new.

        Examples
        --------
        >>> eth = {"instrument": ["ETH-PERP"], "kind": ["perpetual"], "underlying": ["ETH"], "settlement": ["USD"]}
        >>> rates = {"instrument": ["BTC-PERP", "ETH-PERP"], "initial_rate": [0.05] * 2, "maintenance_rate": [0.02] * 2}
        >>> engine = xm.Engine(book, market, model)
        >>> larger = engine.universe.extended(instruments=eth)
        >>> engine.add_instruments(
        ...     xm.CrossMargin.from_frames(larger, margin=rates),
        ...     xm.Market(larger, mark_price={"ETH-PERP": 3_000}),
        ...     position_limit={"ETH-PERP": 1_000},
        ... )
        array([], dtype=object)
        >>> engine.fill("alice", "ETH-PERP", 2, 3_010)
        >>> engine.market.mark_price
        array([60100.,  3000.])
        """
        core = _core_of(model)
        known, assets = self.universe.assets, model.universe.assets
        allowed = _assets("borrowable", borrowable, assets, known)
        scales = _decimals(decimals, assets, known)
        said = {
            "decimals": scales[len(known) :],
            "borrowable": [asset in allowed for asset in assets[len(known) :]],
            "position_limit": _limit("position_limit", position_limit),
            "open_interest_limit": _limit("open_interest_limit", open_interest_limit),
        }
        prices = None if market is None else core_market(market)
        return self._add_instruments(core, model, prices, said)

    # Who is where

    def fallen(self) -> NDArray[Any]:
        """Accounts that events made liquidatable since this was last asked, each once, in order; then forget them."""
        return self._fallen()

    def recovered(self) -> NDArray[Any]:
        """Accounts of which something became healthy again since this was last asked; then forget them."""
        return self._recovered()

    def alerts(self) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Accounts that came nearer to liquidation since this was last asked; then forget them.

        Returns
        -------
        accounts, levels : ndarray
            Each account once, in order, whose margin ratio, of its pool or of an isolated position, has reached an
            alert level that it had not reached before; and the highest of these levels.

        Examples
        --------
        >>> engine = xm.Engine(book, market, model, alert_levels=(0.5, 0.8))
        >>> for price in (70_000, 61_800):
        ...     fallen = engine.tick("BTC-PERP", price)
        >>> engine.alerts()
        (array(['bob'], dtype=object), array([0.5]))
        >>> engine.alerted(0.5)
        array(['bob'], dtype=object)
        """
        accounts, levels = self._alerts()
        return accounts, np.array(levels, dtype=np.float64)

    def alerted(self, level: float) -> NDArray[Any]:
        """Accounts of which something has a margin ratio of at least an alert level now; in order of the book."""
        return self._alerted(one_number("alerted", level))

    def liquidatable(self) -> NDArray[Any]:
        """Accounts whose pool, or one of whose isolated positions, is liquidatable now; in order of the book."""
        return self._liquidatable()

    def liquidatable_positions(self) -> tuple[NDArray[Any], list[Id]]:
        """Isolated positions that are liquidatable now: their accounts and instruments."""
        return self._liquidatable_positions()

    # Copies

    @property
    def universe(self) -> Universe:
        """What the ids refer to."""
        return self.model.universe

    @property
    def model(self) -> LinearModel | ScenarioModel:
        """The rules of now."""
        model: LinearModel | ScenarioModel = self._model()
        return model

    @property
    def book(self) -> Book:
        """What is held now: a copy; blocks of accounts in which nothing changed are shared with the one before."""
        return self._copies()[0]

    @property
    def market(self) -> Market:
        """The prices of now."""
        return self._copies()[1]

    def report(self) -> MarginReport | PortfolioReport:
        """Evaluate everybody at this moment, as ``engine.model.evaluate(engine.book, engine.market)`` does."""
        book, market, model = self._copies()
        return model.evaluate(book, market)

    def _copies(self) -> tuple[Book, Market, LinearModel | ScenarioModel]:
        book, market, model = self._snapshot()
        universe = model.universe
        return Book._of(universe, book), Market._of(universe, market), model

    def ledger(self) -> dict[Id, LedgerTotals]:
        """Return what accounts and the venue hold of each asset, exactly."""
        names = self._pools()
        return {asset: ledger_totals(names, units, decimals) for asset, units, decimals in self._totals()}

    @property
    def residue(self) -> dict[Id, float]:
        """What rounding cash, isolated margin and entry costs at opening took from the accounts, by asset; >= 0.

        Contracts below the ledger's 8 decimals, of positions and of orders, are none of an asset, and not counted.
        """
        return self._residue()

    def state_hash(self) -> str:
        """Return a fingerprint of everything: after the same events the same on any machine and thread count.

        What nobody has asked for yet counts: a replay calls `fallen`, `recovered` and `alerts` where they were called.
        """
        return self._state_hash()

    def metrics(self) -> EngineMetrics:
        """Return counts and latencies since the engine was opened."""
        return engine_metrics(*self._metrics())

    @property
    def nbytes(self) -> dict[str, int]:
        """Bytes of the ledger and of the watched prices."""
        ledger, _, watched = self._memory()
        return {"ledger": ledger, "watched": watched}

    def __repr__(self) -> str:
        down = len(self.liquidatable())
        return f"Engine({len(self):,} accounts, {down:,} liquidatable, {self.model!r})"


def _core_of(model: Any) -> _core.LinearModel | _core.RiskModel:
    if isinstance(model, LinearModel | ScenarioModel):
        return model._core
    raise TypeError(f"model: a margin model is needed, not {type(model).__name__}")


def _by_id(what: str, said: Any, example: str) -> Mapping[Any, Any]:
    if not isinstance(said, Mapping):
        raise ParameterError(f"{what}: a dict by id is needed, {example}, not {said!r}")
    return said


def _limit(what: str, said: Mapping[Any, Number] | None) -> dict[Any, Number]:
    return {} if said is None else dict(_by_id(what, said, "{'BTC-PERP': contracts, ...}"))


def _decimals(said: int | Mapping[Any, int], assets: list[Id], known: Sequence[Id] = ()) -> list[int]:
    by_asset = said if isinstance(said, Mapping) else {}
    _assets("decimals", by_asset, assets, known)
    found = [by_asset.get(asset, 8) if isinstance(said, Mapping) else said for asset in assets]
    for decimals in found:
        if isinstance(decimals, bool) or not isinstance(decimals, int | np.integer) or not 0 <= decimals <= 18:
            raise ParameterError(f"decimals: a whole number from 0 to 18 is needed, not {decimals!r}")
    return [int(decimals) for decimals in found]


def _levels(said: Iterable[float]) -> list[float]:
    if isinstance(said, str) or not isinstance(said, Iterable):
        raise ParameterError(f"alert_levels: margin ratios are needed, (0.8, 0.9), not {said!r}")
    return sorted({one_number("alert_levels", level) for level in said})


def _assets(what: str, said: Iterable[Id], assets: list[Id], known: Sequence[Id] = ()) -> set[Id]:
    """Return the assets that are named, or say which is none, or which has been there before."""
    if isinstance(said, str) or not isinstance(said, Iterable):
        raise ParameterError(f"{what}: ids of assets are needed, ['USD', ...], not {said!r}")
    try:
        named = set(said)
    except TypeError as error:
        raise ParameterError(f"{what}: ids of assets are needed, ['USD', ...], not {said!r}") from error
    for name in named:
        if name in known:
            raise ParameterError(f"{what}: asset {name!r} is not new; it stays as it is")
        if name not in assets:
            raise UnknownIdError(f"{what}: no asset {name!r}{hint(str(name), [str(known) for known in assets])}")
    return named
