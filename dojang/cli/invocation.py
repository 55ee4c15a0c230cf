"""One call of the command line: its global options, its terminal, and the workspace it opens when it needs one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from dojang.cli.terminal import Terminal
from dojang.home import check_home
from dojang.language import locale_language

if TYPE_CHECKING:
    from checkpoints.audit.trail import AuditLog
    from checkpoints.upkeep.home import Home
    from dojang.sessions import Sessions
    from dojang.settings import Settings
    from dojang.workspace import Workspace
    from state import Language

OpenWorkspace = Callable[["Settings"], "Workspace"]
"""How a workspace is made from settings; tests give one with scripted parts."""


def _opened(settings: Settings) -> Workspace:
    from dojang.workspace import Workspace

    return Workspace(settings)


@dataclass
class Invocation:
    """What all commands share. ``open_workspace`` is called at most once in a call."""

    home: Path | None = None
    language: Language | None = None
    user: str | None = None
    as_json: bool = False
    open_workspace: OpenWorkspace = field(default=_opened)

    @cached_property
    def terminal(self) -> Terminal:
        """In the language of ``--lang``, else the settings', else the locale's."""
        return Terminal(self.language or spoken_language(), as_json=self.as_json)

    @cached_property
    def settings(self) -> Settings:
        """From the environment, with the command line on top; raises BadSetting."""
        from dojang.settings import load_settings

        settings = load_settings(home=self.home, language=self.language, user=self.user)
        if self.language is None and settings.language is not None and settings.language != self.terminal.language:
            self.__dict__["terminal"] = Terminal(settings.language, as_json=self.as_json)
        return settings

    @cached_property
    def sessions(self) -> Sessions:
        """Where the sessions lie, opened for a command that needs nothing else of the workspace."""
        from dojang.sessions import open_sessions

        return open_sessions(self.settings)

    @cached_property
    def audit(self) -> AuditLog:
        """The audit chains, for such a command."""
        from dojang.sessions import audit_of

        return audit_of(self.settings, self.sessions)

    @cached_property
    def opened_home(self) -> Home:
        """What upkeep works on, for such a command."""
        from dojang.sessions import home_of

        return home_of(self.settings, self.sessions)

    def only_files(self) -> None:
        """Raise OnlyAsFiles where the sessions lie in a database."""
        from dojang.sessions import only_files

        only_files(self.settings)

    def close(self) -> None:
        """Close what a command opened."""
        if "sessions" in self.__dict__:
            self.sessions.close()

    @contextmanager
    def workspace(self) -> Iterator[Workspace]:
        """The workspace over the home of the settings.

        Raises:
            UserError: the home cannot be made or written.
        """
        check_home(self.settings.home)
        with self.open_workspace(self.settings) as workspace:
            yield workspace


def spoken_language() -> Language:
    """Before the settings are read: ``DOJANG_LANGUAGE``, else the locale."""
    named = os.environ.get("DOJANG_LANGUAGE", "")
    return cast("Language", named) if named in ("ko", "en") else locale_language()


def invocation(context: typer.Context) -> Invocation:
    """The call that a command belongs to."""
    found = context.obj
    assert isinstance(found, Invocation)
    return found


def checked_text(text: str) -> str:
    """Text from a command line or a terminal; raises UserError where its bytes were no UTF-8."""
    from state import UserError

    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError("the text is not valid UTF-8; check the terminal's encoding and type it again") from None
    return text
