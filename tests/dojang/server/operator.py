"""A trained operator at the keyboard: reads the card, decides by a rule that is written down, never touches a mouse.

What was decided is compared with the rule afterwards, by the record: a mistake of the page shows there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from dojang.workspace import Workspace
from state import TOP_TIER, Review


class Operator:
    """Clears the reviews that are given, in whatever order the page offers them.

    Args:
        page: of playwright, on the list.
        wanted: the reviews, by id.
        think_s: how long a person looks at a card before the first key, by tier.
    """

    def __init__(self, page: Any, wanted: Mapping[str, Review], *, think_s: tuple[float, ...] = (0.0,)) -> None:
        self.page = page
        self.wanted = dict(wanted)
        self.think_s = think_s
        self.said: dict[str, str] = {}
        self.trips_s: list[float] = []

    def clear(self) -> None:
        """Decide all of them: the first is opened from the list, each decision leads to the next."""
        left = set(self.wanted)
        while left:
            here = self._here()
            if here not in left:
                self.page.goto(f"/reviews/{min(left)}?view=unassigned")  # somebody else's, or none: take one of ours
                here = self._here()
            self.said[here] = self._decide(self.wanted[here])
            left.discard(here)

    def mistakes(self, workspace: Workspace) -> list[str]:
        """Reviews whose record says something else than was meant."""
        found = []
        for review_id, meant in self.said.items():
            decision = workspace.show(review_id).decision
            said = decision["type"] if decision is not None else "vote"
            if said != meant:
                found.append(f"{review_id}: meant {meant}, recorded {said}")
        return [*found, *(f"{one}: not decided" for one in set(self.wanted) - set(self.said))]

    def _here(self) -> str:
        card = self.page.locator("[data-review]")
        return str(card.get_attribute("data-review")) if card.count() else ""

    def _decide(self, review: Review) -> str:
        keys = self.page.keyboard
        time.sleep(self.think_s[min(review["tier"], len(self.think_s) - 1)])
        if "approve" not in review["allowed"]:
            self.page.get_by_label("Your answer").focus()
            keys.type("Namsan Stay")
            self._send("Control+Enter")
            return "answer"
        if review["tier"] >= TOP_TIER:
            keys.down("a")
            self._send("")
            keys.up("a")
            return "vote"
        if review["action"]["tool"] == "cancel_booking":
            keys.press("r")
            keys.press("5")
            self._send("Control+Enter")
            return "reject"
        self._send("a")
        return "approve"

    def _send(self, key: str) -> None:
        begun = time.perf_counter()
        with self.page.expect_navigation(wait_until="domcontentloaded"):
            if key:
                self.page.keyboard.press(key)
        self.trips_s.append(time.perf_counter() - begun)
