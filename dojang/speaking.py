"""Wires who speaks to the graph: from what a thread keeps of its adapter to the ports of its next run.

Model threads get the generator of their adapter (``flywheel.voices``); threads that a program began get that program,
with a toolbox and rules of their own (``flywheel.promoting``, ``checking``), and need no model.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from dojang.checks import CHECK
from dojang.parts import Parts
from nodes.ports import Deps
from state import Review, UserError

if TYPE_CHECKING:
    from dojang.flywheel.shadow import Shadow
    from dojang.flywheel.voices import Voices

PROGRAM: Final = "program:"
"""What a thread that no model speaks in keeps begins so."""
PROMOTION: Final = "promote_adapter"
"""The one tool of the program that proposes promotions: a name that no other tool may have."""


class Speaking:
    """Who speaks in which thread of a home. Cheap to make."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    @cached_property
    def voices(self) -> Voices:
        """The adapters that can speak."""
        from dojang.flywheel.voices import Voices

        parts = self.parts
        return Voices(parts.settings, lambda: parts.generator_of_model, parts.generator_beside, parts.generator_named)

    def begin(self, thread_id: str) -> str:
        """What a new thread will keep."""
        return self.voices.begin(thread_id)

    def deps(self, adapter: str | None, thread_id: str) -> Deps:
        """The ports of a run on a thread that keeps ``adapter``; None: it keeps none yet, and gets what new ones get.

        Raises:
            UserError: the adapter or the model is not usable; nobody else speaks in its place.
        """
        if self.parts.checks.knows(thread_id):  # whatever its state says by now
            return self._of_program(CHECK, thread_id)
        kept = self.begin(thread_id) if adapter is None else adapter
        if kept.startswith(PROGRAM):
            return self._of_program(kept, thread_id)
        if any(tool["name"] == PROMOTION for tool in self.parts.toolbox.offered()):
            raise UserError(f"the tool name {PROMOTION!r} is Dojang's own; rename that tool of DOJANG_TOOLS")
        speaks = self.parts.deps_of(self.voices.speaker(kept), kept)
        return speaks if self.shadow is None else self._overheard(speaks, self.shadow)

    @cached_property
    def shadow(self) -> Shadow | None:
        """Who asks the candidate as well; None where the settings want none, or no turns are kept."""
        from dojang.flywheel.shadow import Shadow

        parts = self.parts
        if not (parts.settings.shadow and parts.settings.keep_prompts):
            return None
        shadow = Shadow(parts.prompts, self.voices.speaker, parts.clock)
        parts.on_close(shadow.close)
        return shadow

    def _overheard(self, speaks: Deps, shadow: Shadow) -> Deps:
        """The candidate is asked what the thread's own speaker is asked, unless it is that speaker."""
        from dojang.flywheel.shadow import Overheard

        candidate = self.voices.candidate()
        if candidate in ("", speaks.adapter):
            return speaks
        heard = Overheard(speaks.generator, speaks.prompts, shadow, candidate)
        return replace(speaks, generator=heard, prompts=heard)

    def _of_program(self, kept: str, thread_id: str) -> Deps:
        from dojang.flywheel.promoting import SPEAKER, promotion_deps

        if kept == CHECK:
            from dojang.checking import check_deps

            return check_deps(self.parts)
        if kept != SPEAKER:
            raise UserError(f"thread {thread_id} was begun by {kept}, which this version does not have; update Dojang")
        return promotion_deps(self.parts, thread_id)


def is_promotion(review: Review) -> bool:
    """Whether a review is about a new champion."""
    return review["action"]["tool"] == PROMOTION


__all__ = ["PROGRAM", "PROMOTION", "Speaking", "is_promotion"]
