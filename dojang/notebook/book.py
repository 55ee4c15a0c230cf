"""A workspace in a notebook: what the workspace gives back, in forms that show themselves."""

from __future__ import annotations

import atexit
import copy
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from dojang.notebook.drawing import Drawing
from dojang.notebook.reader import Reader
from dojang.notebook.tables import Table, comparison_of, inbox_of
from dojang.notebook.threads import Review, Run, Thread
from dojang.settings import SAMPLE, load_settings
from dojang.side_by_side import Said, compare
from dojang.workspace import Workspace
from state import Kind, Passage
from state import Review as Record

SAMPLE_DAY: Final = date(2026, 11, 25)
"""The day of the sample hotel's notebooks, so that "3 December" lies ahead whenever they are read."""


def open(home: str | Path | None = None, **settings: Any) -> Notebook:
    """A home as a notebook uses it; ``settings`` as in docs/settings.md, over those of the environment.

    Raises:
        BadSetting: a setting that cannot be.
    """
    return Notebook(Workspace(load_settings(home=None if home is None else Path(home), **settings)))


def sample(**settings: Any) -> Notebook:
    """The sample hotel, documents and tables, in a temporary folder that goes when it is closed."""
    folder = tempfile.TemporaryDirectory(prefix="dojang-notebook-", ignore_cleanup_errors=True)
    book = open(folder.name, **{"today": SAMPLE_DAY, **settings})
    book._folder = folder
    book.workspace.parts.toolbox.offered()  # makes the tables
    book.workspace.ingest([SAMPLE / "documents"])
    return book


class Notebook(Reader):
    """All of Dojang over one home. Everything else is at :attr:`workspace`. Closes itself with the process."""

    _folder: tempfile.TemporaryDirectory[str] | None = None

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Notebook({str(self.workspace.settings.home)!r})"

    def close(self) -> None:
        """Give back what is open; a sample goes with its folder."""
        atexit.unregister(self.close)
        self.workspace.close()
        if self._folder is not None:
            self._folder.cleanup()

    def acting(self, user: str, *roles: str) -> Notebook:
        """The same for somebody else on this machine: what they ask and decide bears their name. Nothing to close."""
        made = copy.copy(self)
        made.workspace, made._folder = self.workspace.acting(user, roles), None
        return made

    # -- asking and deciding --------------------------------------------------------------------------------------

    def ask(self, text: str) -> Run:
        """Ask on a new thread."""
        return Run(self, self.workspace.ask(text))

    def thread(self, thread_id: str) -> Thread:
        """A thread by its id; UnknownThread where there is none."""
        self.workspace.thread(thread_id)
        return Thread(self, thread_id)

    def review(self, review_id: str) -> Review:
        """A review by its id; UnknownReview where there is none."""
        self.workspace.review(review_id)
        return Review(self, review_id)

    def inbox(self, *, kind: Kind | None = None, limit: int = 100) -> Table[Record]:
        """What waits, soonest deadline first."""
        return inbox_of(self, self.workspace.inbox(kind=kind, limit=limit))

    # -- looking --------------------------------------------------------------------------------------------------

    def draw(self) -> Drawing:
        """The graph."""
        return Drawing(self)

    def compare(self, question: str) -> Table[Said]:
        """What the base, the champion and the candidate would say of a question; nothing is recorded or run."""
        return comparison_of(self, compare(self.workspace.parts, self.workspace.speaking.voices, question))

    def search(self, query: str, *, k: int = 5, **filters: str) -> list[Passage]:
        """The passages that match best."""
        return self.workspace.search(query, k=k, filters=filters or None)

    def ingest(self, *paths: str | Path) -> Any:
        """Read files or folders in."""
        return self.workspace.ingest([Path(path) for path in paths])


__all__: Sequence[str] = ["Notebook", "open", "sample"]
