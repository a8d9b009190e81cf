"""Why one account stands as it does: its pool, and each position that stands alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xmfast.commands.documents import account_document, explanation_document
from xmfast.errors import UnknownIdError
from xmfast.files.fault_places import told_again
from xmfast.tables import amount_texts, id_text, ratio_text, state

if TYPE_CHECKING:
    from xmfast.explanation import Explanation
    from xmfast.frames import Id
    from xmfast.report import AccountMargin, MarginReport

__all__ = ["Reasons", "reasons"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasons:
    """An account, and the explanations of its pool and of its isolated positions by instrument."""

    account: AccountMargin
    pool: Explanation
    isolated: dict[Id, Explanation]

    @property
    def state(self) -> str:
        """The state of the pool in a word or two."""
        return state(self.account.initial_health, self.account.liquidatable, self.account.bankrupt)

    def text(self) -> str:
        """Return lines for a terminal."""
        health, ratio = amount_texts([self.account.health])[0], ratio_text(self.account.margin_ratio)
        head = f"Account {id_text(self.account.account)} is {self.state}: health {health}, margin ratio {ratio}"
        return "\n\n".join([head, repr(self.pool), *map(repr, self.isolated.values())])

    def document(self) -> dict[str, Any]:
        """Return what JSON shows."""
        return {
            **account_document(self.account),
            "state": self.state,
            "explanation": explanation_document(self.pool),
            "isolated": [
                {"instrument": instrument, "explanation": explanation_document(explanation)}
                for instrument, explanation in self.isolated.items()
            ],
        }


def reasons(report: MarginReport, written: str) -> Reasons:
    """Explain an account.

    Parameters
    ----------
    report : MarginReport
        The whole report.
    written : str
        The account as it was typed; an integer where accounts are integers.

    Raises
    ------
    UnknownIdError
        There is no such account; the message names a close one.
    """
    account = _id(report, written)
    try:
        pool = report.explain(account)
    except UnknownIdError as error:
        raise told_again(error, str(error).removeprefix("report: ")) from None
    isolated = report.isolated
    instruments = isolated.instruments[np.flatnonzero(isolated.accounts == account)].tolist()
    return Reasons(
        account=report[account],
        pool=pool,
        isolated={instrument: isolated.explain(account, instrument) for instrument in instruments},
    )


def _id(report: MarginReport, written: str) -> Id:
    if report.accounts.dtype.kind == "i":
        try:
            return int(written)
        except ValueError:
            return written
    return written
