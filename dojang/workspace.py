"""The workspace: what a person, a page or a notebook can do with threads, reviews and documents.

It wires nothing itself (``parts.py`` does) and prints nothing. Every method either does all of what it says or raises
a DojangError and leaves things as they were. What it does stands in ``conversations.py``, ``reviews.py`` and
``documents.py``; for whom, in ``acting.py``.
"""

from __future__ import annotations

from dojang.documents import Documents
from dojang.due import Done, do_due
from dojang.reviews import Reviews, UnknownReview
from dojang.runs import UnknownThread
from dojang.watching import OnNode
from state import Decision


class Workspace(Reviews, Documents):
    """All of Dojang over one ``DOJANG_HOME``. Use it as a context manager; parts start when they are first needed."""

    def do_due(self, on_node: OnNode | None = None) -> Done:
        """Escalate, expire and release whatever is due; see :mod:`dojang.due`."""
        return do_due(self, on_node)


__all__ = ["Decision", "OnNode", "UnknownReview", "UnknownThread", "Workspace"]
