"""A table of every position with the prices at which its account is liquidated and bankrupt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xmfast.cross import CrossMargin, IsolatedMargin
from xmfast.liquidation import bankruptcy_price, liquidation_price

if TYPE_CHECKING:
    from xmfast.files.inputs import Inputs

__all__ = ["position_prices"]


def position_prices(inputs: Inputs) -> Any:
    """Return a ``pyarrow.Table`` in the order of ``book.positions``.

    Columns ``account``, ``instrument``, ``quantity``, ``mark_price``, ``liquidation_price`` and ``bankruptcy_price``;
    null where no price does it.
    """
    import pyarrow

    book, market, model = inputs.book, inputs.market, inputs.model
    if not isinstance(model, CrossMargin | IsolatedMargin):
        raise TypeError(f"cross or isolated margin is needed, not {type(model).__name__}")
    positions = book.positions
    mark_prices = dict(zip(book.universe.instruments, market.mark_price.tolist(), strict=True))
    instruments = positions["instrument"].tolist()
    numbers = {
        "quantity": positions["quantity"],
        "mark_price": np.array([mark_prices[instrument] for instrument in instruments], dtype=np.float64),
        "liquidation_price": liquidation_price(book, market, model),
        "bankruptcy_price": bankruptcy_price(book, market, model),
    }
    return pyarrow.table(
        {
            "account": pyarrow.array(positions["account"].tolist()),
            "instrument": pyarrow.array(instruments),
            # NaN says that there is none, which in a file is an empty cell.
            **{name: pyarrow.array(values, from_pandas=True) for name, values in numbers.items()},
        }
    )
