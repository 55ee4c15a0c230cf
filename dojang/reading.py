"""A review as somebody reads it: summary and reasons in the reader's language.

The record stays what it is: it was written in the conversation's language, and its digest covers none of these texts.
The question stays, too: it is put to the guest just so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dojang.messages import told
from state import DojangError

if TYPE_CHECKING:
    from nodes.ports import Toolbox
    from state import Language, Reason, Review


def as_read(review: Review, toolbox: Toolbox, language: Language) -> Review:
    """A copy of the review for a reader of ``language``; never for a record, a digest or JSON."""
    read = review.copy()
    read["summary"] = sentence_of(review, toolbox, language)
    read["why"] = [reason_as_read(reason, language) for reason in review["why"]]
    return read


def sentence_of(review: Review, toolbox: Toolbox, language: Language) -> str:
    """What will happen, by the tool's own template; else as it was recorded, translated where the gate wrote it."""
    action = review["action"]
    if action["tool"] and review["kind"] in ("tool", "compliance"):
        try:
            return toolbox.describe(action["tool"], action["args"], language)
        except DojangError:
            pass
    return told(review["summary"], language)


def reason_as_read(reason: Reason, language: Language) -> Reason:
    """A rule's text in the reader's language; records that are older than both languages have one text."""
    read = reason.copy()
    read["text"] = reason.get("texts", {}).get(language) or told(reason["text"], language)
    return read
