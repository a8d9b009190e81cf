"""What random histories of an engine are made of: what is known to be dangerous must happen in them, and is counted."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import xmfast as xm
from engine_histories import Event, Scene
from reference_rules import given

# In how many of a thousand histories each of these happens at least, about a third of what is usual: a test that never
# meets one of them proves nothing of it.
OFTEN: Mapping[str, int] = {
    "a price went through zero": 20,
    "a price jumped by half": 200,
    "the index of a settlement asset moved": 100,
    "the net of a weighted asset changed its sign": 8,
    "funding cancelled with a mark move": 80,
    "an isolated position fell": 100,
    "a position reached beyond a bracket": 15,
    "an alert level was reached": 120,
    "a transfer of money": 25,
    "a transfer of contracts": 20,
    "an exchange": 30,
    "an amended order": 8,
    "an order beyond a position limit": 15,
    "an order beyond the open interest": 30,
    "a command that came again": 80,
    "a price of more digits than floats have": 45,
    "what was replayed without looking": 60,
}


class Ingredients:
    """What happens in one history."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.seen = scene, set[str]()
        # Lines of one account are exact and take long, so that they are looked at in few histories.
        self.looked_at = scene.random.choice(scene.accounts) if scene.random.random() < 0.2 else None
        self.weights: dict[Any, Any] = {}
        # Mark and funding of everything, before the last two events and now.
        self.values: deque[tuple[Any, Any]] = deque(maxlen=3)
        self.look()

    def look(self) -> None:
        """Read what is needed of what the engine holds now."""
        names = self.scene.engine.universe.instruments
        paid = dict(zip(names, self.scene.market.cumulative_funding.tolist(), strict=True))
        self.marks, self.index = self.scene.marks, self.scene.index
        self.values.append((self.marks, paid))

    def refused(self, why: Exception) -> None:
        """Note why an order was refused."""
        if isinstance(why, xm.OrderRefusedError):
            if why.check.reason is xm.Reason.POSITION_LIMIT:
                self.seen.add("an order beyond a position limit")
            if why.check.reason is xm.Reason.OPEN_INTEREST:
                self.seen.add("an order beyond the open interest")

    def happened(self, happens: Event, fallen: Iterable[tuple[Any, Any]]) -> None:
        """Note what an event brought along; ``fallen`` are accounts, and their positions that stand alone."""
        marks, index = self.marks, self.index
        self.look()
        kinds = {"exchange": "an exchange", "amend": "an amended order"}
        if happens.name in kinds:
            self.seen.add(kinds[happens.name])
        if happens.name == "transfer":
            is_money = happens.args[2] in self.scene.assets
            self.seen.add("a transfer of money" if is_money else "a transfer of contracts")
        if any(isinstance(said, Decimal) and len(said.as_tuple().digits) > 17 for said in happens.args[2:4]):
            self.seen.add("a price of more digits than floats have")
        if any(instrument is not None for _, instrument in fallen):
            self.seen.add("an isolated position fell")
        held = {name for _, name in self.scene.held}
        for name in held & marks.keys():
            before, now = marks[name], self.marks[name]
            if before * now < 0:
                self.seen.add("a price went through zero")
            if before and abs(now / before - 1) >= 0.5:
                self.seen.add("a price jumped by half")
        for name in held:
            asset = self.scene.specs[name]["settlement"]
            if asset in index and index[asset] != self.index[asset] and not math.isnan(index[asset]):
                self.seen.add("the index of a settlement asset moved")
        if len(self.values) == 3 and any(self.cancels(name) for name in held & self.values[0][0].keys()):
            self.seen.add("funding cancelled with a mark move")
        self.look_at_lines(happens)

    def cancels(self, name: Any) -> bool:
        """Return whether mark and funding moved in the last two events, and what a contract is worth did not."""
        (mark, funding), _, (now, paid) = ((marks[name], paid[name]) for marks, paid in self.values)
        if mark == now or funding == paid:
            return False
        inverse = given(self.scene.specs[name], "inverse", False)
        moved = 1 / mark - 1 / now if inverse else now - mark
        return math.isclose(moved, paid - funding, rel_tol=1e-6)

    def look_at_lines(self, happens: Event) -> None:
        """Look at what counts of each asset of one account, and at its brackets."""
        if self.looked_at is None:
            return
        lines = self.scene.engine.report().explain(self.looked_at).lines
        if any(line.kind == "bracket" for line in lines):
            self.seen.add("a position reached beyond a bracket")
        weights = {line.id: line.initial_weight for line in lines if line.kind in ("cash", "entry cost")}
        if happens.name in ("tick", "ticks", "fill", "deposit") and any(
            self.weights[asset] != weight for asset, weight in weights.items() if asset in self.weights
        ):
            # Owned it counts with a haircut, owed with more than it is.
            self.seen.add("the net of a weighted asset changed its sign")
        self.weights = weights


def assert_all_were_met(met: Counter[str], histories: int) -> None:
    """Assert that nothing of what histories are to be made of is missing from so many."""
    few = {what: met[what] for what, count in OFTEN.items() if met[what] < count * histories // 1000}
    assert not few, f"too seldom in {histories} histories: {few}"
