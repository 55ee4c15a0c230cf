"""Tokens: made, shown once, recognised, revoked. What they open is said elsewhere (``rules``).

A token is ``dj_<8 hexadecimal digits>_<43 characters>``. The first part is its visible prefix and the key of its row;
of the second, 256 random bits, only the SHA-256 is kept. No salt and no slow hash: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from dojang.server.access.database import Database
from dojang.server.access.places import Place
from dojang.server.access.roles import ROLES
from nodes.door import NAME_MAX, good_name
from state import Conflict, UserError, person_of

if TYPE_CHECKING:
    from checkpoints.audit.trail import AuditLog

TOKEN: Final = re.compile(r"(dj_[0-9a-f]{8})_[A-Za-z0-9_-]{43}")
DAYS_MAX: Final = 366
SOON: Final = timedelta(days=14)
"""So long before a token expires, lists say so."""
USED_EVERY: Final = timedelta(hours=1)
"""How coarse the last use is: a request writes nothing, but for one in an hour."""
_ROLE: Final = re.compile(r"[^\W\d_][\w-]{0,49}")
_NOBODY: Final = bytes(32)
"""Compared with where the prefix is unknown, so that a known one takes no longer."""

Status = Literal["active", "expired", "revoked"]


class BadToken(UserError):
    """Not a token that opens anything. The text never repeats it."""


class UnknownToken(UserError):
    """There is no token with this prefix."""


@dataclass(frozen=True)
class Token:
    """What is known of a token; not what would open the door. Times are ISO 8601, UTC; "" for never."""

    prefix: str
    name: str
    roles: tuple[str, ...]
    created_at: str
    created_by: str
    expires_at: str
    used_at: str  # to the hour
    revoked_at: str
    revoked_by: str

    def status(self, now: datetime) -> Status:
        """Whether it opens the door at a time."""
        if self.revoked_at:
            return "revoked"
        return "expired" if now >= datetime.fromisoformat(self.expires_at) else "active"

    def ends_soon(self, now: datetime) -> bool:
        """Whether it opens the door, and not much longer."""
        return self.status(now) == "active" and datetime.fromisoformat(self.expires_at) - now < SOON


class Tokens:
    """The tokens of a house.

    Args:
        place: where they lie; DOJANG_HOME: ``tokens.sqlite`` in it, made with the first token.
        audit: where making and revoking is noted.
        now: the clock, with a time zone.
    """

    def __init__(
        self, place: Path | Place, audit: AuditLog, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.database: Place = Database(place / "tokens.sqlite") if isinstance(place, Path) else place
        self.audit = audit
        self.now = now

    def any(self) -> bool:
        """Whether a token was ever made. From then on nobody comes in without one, also when all are revoked."""
        return _any(self.database)

    def all(self) -> list[Token]:
        """Every token, oldest first."""
        if not self.any():
            return []
        with self.database.reading() as db:
            rows = db.execute("SELECT * FROM tokens ORDER BY created_at, prefix").fetchall()
        return [token_of(row) for row in rows]

    def people(self, allowed: frozenset[str]) -> list[str]:
        """The names of those whose token opens the door now with one of these roles, and of a provider's people.

        What roles the latter have is not known before they come.
        """
        now = self.now()
        named = [one.name for one in self.all() if one.status(now) == "active" and set(one.roles) & allowed]
        if self.database.readable():
            with self.database.reading() as db:
                named += [row["name"] for row in db.execute("SELECT name FROM identities").fetchall()]
        return sorted({person_of(name): name for name in named}.values())

    def make(self, name: str, roles: Sequence[str], *, days: int, by: str) -> tuple[str, Token]:
        """A new token for a person: (what opens the door, to be shown once; what is kept of it).

        Raises:
            UserError: a name, role or number of days that cannot be; Conflict where the name is a provider's person's.
        """
        name, roles = name.strip(), tuple(dict.fromkeys(role.strip() for role in roles))
        _check(name, roles, days)
        now = self.now()
        prefix = self._free_prefix()
        secret = f"{prefix}_{secrets.token_urlsafe(32)}"
        made = Token(prefix, name, roles, utc(now), by, utc(now + timedelta(days=days)), "", "", "")
        row = (prefix, hashed(secret), name, " ".join(roles), made.created_at, by, made.expires_at, "", "", "")
        with self.database.writing() as db:
            known = db.execute("SELECT issuer FROM identities WHERE person = ?", (person_of(name),)).fetchone()
            if known is not None:
                raise Conflict(
                    f"{name} is somebody who logs in with {known['issuer']}, and what a token does must not pass for "
                    "theirs; choose another name"
                )
            db.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            facts: dict[str, Any] = {"name": name, "roles": list(roles), "expires_at": made.expires_at}
            self.audit.note(None, "token.made", by, prefix, facts)
        return secret, made

    def _free_prefix(self) -> str:
        taken = {token.prefix for token in self.all()}
        return next(prefix for _ in range(1000) if (prefix := f"dj_{secrets.token_hex(4)}") not in taken)

    def revoke(self, prefix: str, *, by: str) -> Token:
        """End a token, and the sessions that were begun with it, now.

        Raises:
            UnknownToken, Conflict (it was revoked before).
        """
        if prefix not in [token.prefix for token in self.all()]:
            # What was given may be a whole token: only its public part is repeated, if that.
            shown = found[1] if (found := TOKEN.fullmatch(prefix)) else "with this prefix"
            raise UnknownToken(f"there is no token {shown}; `dojang tokens list` shows their prefixes")
        with self.database.writing() as db:
            token = token_of(db.execute("SELECT * FROM tokens WHERE prefix = ?", (prefix,)).fetchone())
            if token.revoked_at:
                raise Conflict(f"token {prefix} was revoked by {token.revoked_by} already")
            values = (utc(self.now()), by, prefix)
            db.execute("UPDATE tokens SET revoked_at = ?, revoked_by = ? WHERE prefix = ?", values)
            db.execute("DELETE FROM sessions WHERE prefix = ?", (prefix,))
            self.audit.note(None, "token.revoked", by, prefix, {"name": token.name})
        return next(token for token in self.all() if token.prefix == prefix)

    def check(self, presented: str) -> Token:
        """The token that somebody presents, if it opens the door now.

        Raises:
            BadToken: it is none of ours, or expired, or revoked. The last two are told to its owner only.
        """
        found = TOKEN.fullmatch(presented)
        row = None
        if found is not None and self.database.readable():
            with self.database.reading() as db:
                row = db.execute("SELECT * FROM tokens WHERE prefix = ?", (found[1],)).fetchone()
        kept = _NOBODY if row is None else bytes(row["hash"])
        if not hmac.compare_digest(kept, hashed(presented)) or row is None:
            raise BadToken("this token is not known here; ask for another one (`dojang tokens create` makes it)")
        return self.good(token_of(row))

    def good(self, token: Token) -> Token:
        """The same token, if it opens the door now; its last use is noted, to the hour. Raises BadToken."""
        now = self.now()
        if token.revoked_at:
            raise BadToken(f"token {token.prefix} was revoked at {token.revoked_at}; ask for another one")
        if token.status(now) == "expired":
            raise BadToken(f"token {token.prefix} expired at {token.expires_at}; ask for another one")
        if not token.used_at or now - datetime.fromisoformat(token.used_at) >= USED_EVERY:
            hour = utc(now.replace(minute=0, second=0, microsecond=0))
            with self.database.writing() as db:
                db.execute("UPDATE tokens SET used_at = ? WHERE prefix = ?", (hour, token.prefix))
        return token


def any_made(place: Path | Place) -> bool:
    """Whether a token was ever made there; makes nothing."""
    return _any(Database(place / "tokens.sqlite") if isinstance(place, Path) else place)


def _any(place: Place) -> bool:
    if not place.readable():
        return False
    with place.reading() as db:
        return db.execute("SELECT 1 FROM tokens LIMIT 1").fetchone() is not None


def hashed(secret: str) -> bytes:
    """What is kept of a secret: 32 bytes."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def redacted(text: str) -> str:
    """``text`` in which every token is cut down to its public part."""
    return TOKEN.sub(r"\1_…", text)


def token_of(row: Any) -> Token:
    """What is known of a token, from its row."""
    values = {name: row[name] for name in row.keys() if name != "hash"}
    return Token(**{**values, "roles": tuple(values["roles"].split())})


def _check(name: str, roles: tuple[str, ...], days: int) -> None:
    if not good_name(name):
        raise UserError(
            f"{name[:40]!a} is no name for a person: write it in the letters of one alphabet, without hidden signs, in "
            f"at most {NAME_MAX} characters"
        )
    if bad := next((role for role in roles if not _ROLE.fullmatch(role)), None):
        raise UserError(f"{bad[:40]!r} is no role: a role is one word, like operator")
    if not set(roles) & set(ROLES):
        raise UserError(f"a token needs at least one of the roles {', '.join(ROLES)}: without it, it opens nothing")
    if not 1 <= days <= DAYS_MAX:
        raise UserError(f"a token lasts from 1 to {DAYS_MAX} days, not {days}")


def utc(moment: datetime) -> str:
    """A time as the file has it."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")
