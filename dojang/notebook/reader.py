"""A workspace and the person who reads it: what everything that shows itself in a notebook is made from."""

from __future__ import annotations

from dojang.language import locale_language
from dojang.reading import as_read
from dojang.server.wording import Say, titled
from dojang.vocabulary import STATUSES
from dojang.workspace import Workspace
from state import Language, Review


class Reader:
    """A workspace, and the language in which it is shown."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.language: Language = workspace.settings.language or locale_language()
        self.say = Say(self.language)

    def status(self, key: str) -> str:
        """A status of a review, run or effect in words."""
        return titled(self.say, STATUSES, key)

    def summary(self, review: Review) -> str:
        """A review's summary in the reader's language."""
        return as_read(review, self.workspace.describer, self.language)["summary"]
