"""Sessions of the console: a token is typed once, a cookie stands for it until it expires, is ended or revoked.

The cookie is random and means nothing by itself; its SHA-256 is a row beside the tokens, so sessions end on the server.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any, Final

from dojang.server.access.tokens import BadToken, Token, Tokens, hashed, token_of, utc

COOKIE: Final = "dojang_session"


class Sessions:
    """The sessions that were begun with the tokens of a home, each for ``hours``."""

    def __init__(self, tokens: Tokens, *, hours: float) -> None:
        self.tokens = tokens
        self.lasts = timedelta(hours=hours)

    def begin(self, presented: str) -> tuple[str, Token]:
        """(what the cookie holds, the token that was presented). Sessions that are over are swept out.

        Raises:
            BadToken: the token opens nothing.
        """
        token, now = self.tokens.check(presented), self.tokens.now()
        secret = secrets.token_urlsafe(32)
        until = min(now + self.lasts, datetime.fromisoformat(token.expires_at))
        with self.tokens.database.writing() as db:
            db.execute("DELETE FROM sessions WHERE expires_at <= ?", (utc(now),))
            db.execute("INSERT INTO sessions VALUES (?, ?, ?)", (hashed(secret), token.prefix, utc(until)))
            facts: dict[str, Any] = {"until": utc(until)}
            self.tokens.audit.note(None, "session.began", token.name, token.prefix, facts)
        return secret, token

    def check(self, cookie: str) -> Token | None:
        """The token behind a cookie; None where the session is over or never was.

        It is found by its hash, so how long that takes says nothing of what it holds.
        """
        if not self.tokens.database.readable():
            return None
        query = "SELECT t.* FROM sessions s JOIN tokens t USING (prefix) WHERE s.hash = ? AND s.expires_at > ?"
        with self.tokens.database.reading() as db:
            row = db.execute(query, (hashed(cookie), utc(self.tokens.now()))).fetchone()
        try:
            return None if row is None else self.tokens.good(token_of(row))
        except BadToken:
            return None

    def end(self, cookie: str) -> None:
        """Log out; nothing where there is no such session."""
        token = self.check(cookie)
        if token is None:
            return
        with self.tokens.database.writing() as db:
            db.execute("DELETE FROM sessions WHERE hash = ?", (hashed(cookie),))
            self.tokens.audit.note(None, "session.ended", token.name, token.prefix)
