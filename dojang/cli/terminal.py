"""The terminal: results on stdout, everything else on stderr, in the reader's language.

Text of documents, models and guests is shown as it is read, never as control sequences: what a person approves must
be what the screen says. Knows no workspace.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from dojang.cli.words import NODES, word
from dojang.language import catalogue
from dojang.messages import told
from dojang.times import due, moment
from dojang.visible import visible

if TYPE_CHECKING:
    from state import Language

NOTE_EVERY_S = 3.0
PLAIN_WIDTH = 400
"""Columns of a page that no terminal shows: wide, so that lines are cut by nobody."""


class Terminal:
    """Where a command prints. ``gettext`` translates its texts; ``as_json`` turns results into one document."""

    def __init__(
        self,
        language: Language,
        *,
        as_json: bool = False,
        out: TextIO | None = None,
        err: TextIO | None = None,
        stdin: TextIO | None = None,
    ) -> None:
        self.language = language
        self.as_json = as_json
        self.gettext: Callable[[str], str] = catalogue("cli", language).gettext
        self._stdin = stdin or sys.stdin
        self.out = _console(out or sys.stdout)
        self.err = _console(err or sys.stderr)

    # -- saying ---------------------------------------------------------------------------------------------------

    def line(self, text: str = "", *, style: str = "") -> None:
        """One paragraph of the result; nothing when the result is JSON."""
        if not self.as_json:
            self.out.print(Text(visible(text), style=style), soft_wrap=True)

    def rows(self, rows: Sequence[Sequence[str]], *, head: Sequence[str] = ()) -> None:
        """A table of the result, as wide as what it holds."""
        if self.as_json or not rows:
            return
        table = [list(head), *map(list, rows)] if head else [list(row) for row in rows]
        widths = [max(cell_len(visible(row[column])) for row in table) for column in range(len(table[0]))]
        for number, row in enumerate(table):
            cells = [padded(visible(cell), width) for cell, width in zip(row, widths, strict=True)]
            self.line("  ".join(cells).rstrip(), style="bold" if head and number == 0 else "")

    def document(self, value: Any) -> None:
        """The one JSON document of ``--json``; nothing otherwise."""
        if self.as_json:
            self.out.file.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")

    def note(self, text: str, *, style: str = "dim") -> None:
        """A line beside the result, on stderr."""
        self.err.print(Text(visible(text), style=style), soft_wrap=True)

    def error(self, text: str) -> None:
        """What went wrong, in one line on stderr; English of the parts below in the reader's language."""
        one = " ".join(visible(self.told(text)).split())
        self.err.print(Text.assemble((self.gettext("error") + ": ", "bold red"), one), soft_wrap=True)

    def told(self, text: str) -> str:
        """A finished message of the parts below, for whoever reads this."""
        return told(text, self.language)

    def moment(self, at: str, *, seconds: bool = False) -> str:
        """An ISO 8601 time on this machine's clock, in the reader's manner."""
        return moment(at, self.language, seconds=seconds)

    def due(self, at: str, now: datetime) -> str:
        """A deadline, and how long is left."""
        return due(at, now, self.language)

    # -- waiting --------------------------------------------------------------------------------------------------

    @contextmanager
    def working(self, what: str) -> Iterator[Callable[[str], None]]:
        """Say that something takes a while; call what it gives with each piece of news, already translated."""
        if not self.err.is_terminal:
            yield lambda news: self.note(f"… {news}")
            return
        with self.err.status(Text(visible(what))) as status:
            yield lambda news: status.update(Text(visible(f"{what} ({news})")))

    @contextmanager
    def counting(self, what: str) -> Iterator[Callable[[int, int, str], None]]:
        """A bar for work that is counted; call what it gives with how much is done, of how much, and news beside it.

        Where nobody watches, a line every few seconds: the log of ten thousand files is not ten thousand lines.
        """
        if not self.err.is_terminal:
            yield self._now_and_then(what)
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, TextColumn("{task.fields[news]}"), console=self.err, transient=True) as progress:
            task = progress.add_task(_plain(what), total=None, news="")
            yield lambda done, total, news: progress.update(task, completed=done, total=total, news=_plain(news))

    def _now_and_then(self, what: str) -> Callable[[int, int, str], None]:
        told = time.monotonic()

        def tell(done: int, total: int, news: str) -> None:
            nonlocal told
            if time.monotonic() - told >= NOTE_EVERY_S:
                told = time.monotonic()
                self.note(f"… {what} {done:,}/{total:,} {news}".rstrip())

        return tell

    @contextmanager
    def running(self) -> Iterator[Callable[[str], None]]:
        """Progress of a run: takes the names of nodes and says them in words."""
        with self.working(self.gettext("working")) as tell:
            yield lambda node: tell(word(self.gettext, NODES, node))

    # -- asking ---------------------------------------------------------------------------------------------------

    @property
    def interactive(self) -> bool:
        """Whether a person sits at stdin."""
        return self._stdin.isatty()

    def ask(self, prompt: str) -> str:
        """One line from stdin, without its end; the prompt goes to stderr.

        Raises:
            EOFError: the input ended.
        """
        self.err.print(Text(visible(prompt), style="bold"), end="")
        self.err.file.flush()
        line = self._stdin.readline()
        if not line:
            self.err.print()
            raise EOFError
        return line.rstrip("\r\n")

    def rest(self) -> str:
        """All that stdin still has."""
        return self._stdin.read()


def _plain(text: str) -> str:
    """For columns of a bar, which read markup: none is meant, and a name of a file may look like it."""
    return visible(text).replace("[", "\\[")


def _console(file: TextIO) -> Console:
    width = None if file.isatty() else PLAIN_WIDTH
    return Console(file=file, markup=False, highlight=False, emoji=False, width=width)


def padded(text: str, width: int) -> str:
    """The text filled up to ``width`` columns, Hangul counting two."""
    return text + " " * max(0, width - cell_len(text))
