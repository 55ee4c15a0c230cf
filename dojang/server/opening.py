"""Opens the tokens of a workspace where its settings have them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from dojang.server.access.places import SharedPlace
from dojang.server.access.tokens import Tokens, any_made
from dojang.server.taking_over import beside_of
from dojang.sessions import Sessions, in_postgres, open_sessions
from dojang.settings import Settings

if TYPE_CHECKING:
    from checkpoints.audit.trail import AuditLog


def tokens_of(settings: Settings, sessions: Sessions, audit: AuditLog) -> Tokens:
    """The tokens of a workspace."""
    beside = beside_of(settings, sessions)
    return Tokens(settings.home if beside is None else SharedPlace(beside), audit)


def any_token(settings: Settings) -> bool:
    """Whether a token was ever made for a workspace of which nothing is open yet; makes none.

    Raises:
        UserError, PassingFault: as ``open_sessions``.
    """
    if not in_postgres(settings):
        return any_made(settings.home)
    with closing(open_sessions(settings)) as sessions:
        beside = beside_of(settings, sessions)
        assert beside is not None
        return any_made(SharedPlace(beside))
