"""Log-ins with the provider: begun, finished, asked after again, ended. Rows beside those of the tokens' sessions.

A begun log-in is bound to its browser by a cookie, and finished once. A finished one is a random cookie whose SHA-256
is a row; the provider's refresh token is in it, sealed with a key that is made of the cookie, so the file alone opens
nothing. With that token the provider is asked again, every so often, whether the person is still one of theirs.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dojang.server.access.oidc.errors import BadProvider, NotProven, ProviderFault
from dojang.server.access.oidc.persons import (
    Person,
    Rules,
    check_domain,
    groups_of,
    name_of,
    named,
    roles_of,
    wanted_name,
)
from dojang.server.access.oidc.provider import Provider
from dojang.server.access.tokens import Tokens, hashed, utc

ATTEMPT: Final = timedelta(minutes=10)
ATTEMPTS: Final = 5_000
"""Log-ins that may be under way; beyond it the oldest is forgotten."""
AGAIN: Final = timedelta(minutes=1)
"""When the provider is asked again after it could not be reached, or while another request asks it."""


@dataclass(frozen=True)
class Begun:
    """A log-in that began: where the browser goes, and what its cookie holds."""

    address: str
    state: str
    browser: str


@dataclass(frozen=True)
class Entered:
    """A log-in that succeeded: what the cookie holds, who it is, and the page that they wanted."""

    cookie: str
    person: Person
    wanted: str


class Logins:
    """The log-ins of one provider.

    Args:
        provider: who proves people.
        rules: their names and roles here.
        tokens: the home's tokens: the same file, audit chain and clock.
        local: the local user's name, which nobody else gets.
        hours: how long a log-in lasts.
        recheck_minutes: how often the provider is asked again; 0: never.
    """

    def __init__(
        self, provider: Provider, rules: Rules, tokens: Tokens, *, local: str, hours: float, recheck_minutes: float
    ) -> None:
        self.provider, self.rules, self.tokens, self.local = provider, rules, tokens, local
        self.lasts, self.recheck = timedelta(hours=hours), timedelta(minutes=recheck_minutes)
        with tokens.database.writing():
            pass  # a file of before there were log-ins gets their tables

    # -- logging in -----------------------------------------------------------------------------------------------

    def begin(self, wanted: str, redirect_uri: str) -> Begun:
        """Begin to log in. Raises ProviderFault and BadProvider."""
        state, nonce, verifier, browser = (secrets.token_urlsafe(32) for _ in range(4))
        address = self.provider.address(state=state, nonce=nonce, verifier=verifier, redirect_uri=redirect_uri)
        now = self.tokens.now()
        row = (hashed(state), hashed(browser), nonce, verifier, wanted, redirect_uri, utc(now + ATTEMPT))
        with self.tokens.database.writing() as db:
            db.execute("DELETE FROM attempts WHERE expires_at <= ?", (utc(now),))
            oldest = "SELECT hash FROM attempts ORDER BY expires_at DESC LIMIT 1000000 OFFSET ?"
            db.execute(f"DELETE FROM attempts WHERE hash IN ({oldest})", (ATTEMPTS - 1,))
            db.execute("INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return Begun(address, state, browser)

    def finish(self, answer: Mapping[str, str], browser: str) -> Entered:
        """Finish a log-in with what the provider sent the browser back with. An attempt is finished once, also in vain.

        Raises:
            NotProven, NoRole, ProviderFault, BadProvider.
        """
        attempt = self._attempt(answer.get("state", ""), browser)
        issuer = self.provider.client.issuer
        required = self.provider.description().get("authorization_response_iss_parameter_supported") is True
        if answer.get("iss", "" if required else issuer) != issuer:
            raise NotProven("the answer is of another log-in provider; log in again")
        if "code" not in answer:
            raise NotProven("the log-in provider did not let you in, or you broke it off; log in again")
        found = self.provider.exchange(
            code=answer["code"], verifier=attempt["verifier"], redirect_uri=attempt["redirect_uri"]
        )
        claims = self.provider.identify(found, nonce=attempt["nonce"], wanted=self.rules.groups_claim)
        person, groups = self._admit(claims, "session")
        kept = {name: found[name] for name in ("refresh_token", "id_token") if isinstance(found.get(name), str)}
        return Entered(self._enter(person, groups, kept), person, attempt["wanted"])

    def _attempt(self, state: str, browser: str) -> Any:
        query = "DELETE FROM attempts WHERE hash = ? AND browser = ? AND expires_at > ? RETURNING *"
        values = (hashed(state), hashed(browser), utc(self.tokens.now()))
        with self.tokens.database.writing() as db:
            found = db.execute(query, values).fetchone()
        if found is None:
            raise NotProven("this log-in was not begun in this browser, is finished, or took too long; log in again")
        return found

    def _admit(self, claims: Mapping[str, Any], how: str) -> tuple[Person, list[str]]:
        """Who that is, named for good where they are new, and their groups. Whoever has no role gets no name."""
        issuer, sub, wanted = self.provider.client.issuer, str(claims["sub"]), wanted_name(claims, self.rules)
        check_domain(claims, self.rules)
        groups = groups_of(claims, self.rules)
        roles = roles_of(groups, self.rules, wanted)
        with self.tokens.database.reading() as db:
            known = name_of(db, issuer, sub)
        if known is None:
            now = utc(self.tokens.now())
            with self.tokens.database.writing() as db:
                known, new = named(db, issuer, sub, wanted, local=self.local, now=now)
                if new:
                    facts: dict[str, Any] = {"issuer": issuer, "sub": sub, "by": how}
                    self.tokens.audit.note(None, "person.named", known, f"{issuer}#{sub}", facts)
        return Person(issuer, sub, known, roles), groups

    def _enter(self, person: Person, groups: list[str], kept: Mapping[str, str]) -> str:
        cookie, now = secrets.token_urlsafe(32), self.tokens.now()
        until = utc(now + self.lasts)
        row = (
            hashed(cookie), person.issuer, person.sub, json.dumps(groups), sealed(cookie, kept), utc(now),
            utc(now + self.recheck), until,
        )  # fmt: skip
        with self.tokens.database.writing() as db:
            db.execute("DELETE FROM logins WHERE expires_at <= ?", (utc(now),))
            db.execute("INSERT INTO logins VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            self.tokens.audit.note(None, "session.began", person.name, person.subject, {"until": until})
        return cookie

    # -- being logged in ------------------------------------------------------------------------------------------

    def check(self, cookie: str) -> Person | None:
        """Who is behind a cookie; None where the log-in is over or never was.

        Raises:
            NoRole: the person has no role any more.
            ProviderFault: it has been too long since the provider could be asked.
        """
        found = self._row(cookie)
        if found is None:
            return None
        kept = unsealed(cookie, found["sealed"])
        groups: list[str] | None = json.loads(found["groups"])
        if self.recheck and "refresh_token" in kept:
            groups = self._again(cookie, found, kept)
        if groups is None:
            return None
        return Person(found["issuer"], found["sub"], found["name"], roles_of(groups, self.rules, found["name"]))

    def _row(self, cookie: str) -> Any | None:
        query = (
            "SELECT l.*, i.name FROM logins l JOIN identities i USING (issuer, sub) "
            "WHERE l.hash = ? AND l.expires_at > ? AND l.issuer = ?"
        )
        values = (hashed(cookie), utc(self.tokens.now()), self.provider.client.issuer)
        with self.tokens.database.reading() as db:
            found = db.execute(query, values).fetchone()
        return found

    def _again(self, cookie: str, row: Any, kept: Mapping[str, str]) -> list[str] | None:
        """Somebody's groups, from the provider where it is time to ask it again; None where it has ended them.

        Of requests that come together one asks; a refresh token may be good for one use.
        """
        now = self.tokens.now()
        if utc(now) >= row["check_at"] and self._mine(row):
            try:
                return self._asked(cookie, row, kept)
            except (ProviderFault, BadProvider):
                pass  # a log-in outlives a fault of the provider for a while
            except NotProven:
                self._end(row, "ended by the provider")
                return None
        if now - datetime.fromisoformat(row["checked_at"]) > 2 * self.recheck:
            raise ProviderFault(
                "the log-in provider has not answered for too long, so nobody can say whether you may still be here; "
                "nothing was recorded, try again"
            )
        groups: list[str] = json.loads(row["groups"])
        return groups

    def _mine(self, row: Any) -> bool:
        later = utc(self.tokens.now() + AGAIN)
        with self.tokens.database.writing() as db:
            query = "UPDATE logins SET check_at = ? WHERE hash = ? AND check_at = ?"
            return db.execute(query, (later, row["hash"], row["check_at"])).rowcount == 1

    def _asked(self, cookie: str, row: Any, kept: Mapping[str, str]) -> list[str]:
        found = self.provider.refresh(kept["refresh_token"])
        fresh = {name: found[name] for name in ("refresh_token", "id_token") if isinstance(found.get(name), str)}
        blob = sealed(cookie, {**kept, **fresh})
        # Kept first: where the old refresh token was good once, the new one must not be lost by what follows. Nobody is
        # proven by it yet, so it does not count as a check.
        with self.tokens.database.writing() as db:
            db.execute("UPDATE logins SET sealed = ? WHERE hash = ?", (blob, row["hash"]))
        claims = self.provider.identify(found, nonce=None, wanted=self.rules.groups_claim)
        groups: list[str] = json.loads(row["groups"])
        if claims:
            if claims["sub"] != row["sub"]:
                raise NotProven("the provider's answer is about somebody else; log in again")
            check_domain(claims, self.rules)
            groups = groups_of(claims, self.rules)
        self._keep(row, groups, blob)
        return groups

    def _keep(self, row: Any, groups: list[str], blob: bytes) -> None:
        now = self.tokens.now()
        query = "UPDATE logins SET groups = ?, sealed = ?, checked_at = ?, check_at = ? WHERE hash = ?"
        with self.tokens.database.writing() as db:
            db.execute(query, (json.dumps(groups), blob, utc(now), utc(now + self.recheck), row["hash"]))

    def end(self, cookie: str, back: str) -> str:
        """Log out. Where the browser goes to be logged out of the provider, too; "" for nowhere."""
        found = self._row(cookie)
        if found is None:
            return ""
        kept = unsealed(cookie, found["sealed"])
        self._end(found, "")
        try:
            return self.provider.farewell(kept.get("id_token", ""), back)
        except (ProviderFault, BadProvider):
            return ""

    def _end(self, row: Any, why: str) -> None:
        with self.tokens.database.writing() as db:
            if db.execute("DELETE FROM logins WHERE hash = ?", (row["hash"],)).rowcount:
                facts: dict[str, Any] = {"why": why} if why else {}
                subject = f"{row['issuer']}#{row['sub']}"
                self.tokens.audit.note(None, "session.ended", row["name"], subject, facts)

    # -- programs -------------------------------------------------------------------------------------------------

    def takes(self, presented: str) -> bool:
        """Whether what a program presents is to be looked at as an access token of the provider."""
        return bool(self.provider.client.audience) and presented.count(".") == 2

    def bearer(self, presented: str) -> Person:
        """Whose access token that is. Raises NotProven, NoRole, ProviderFault."""
        return self._admit(self.provider.bearer(presented), "token")[0]


def sealed(cookie: str, kept: Mapping[str, str]) -> bytes:
    """What only the holder of the cookie can read again."""
    return _lock(cookie).encrypt(json.dumps(dict(kept)).encode())


def unsealed(cookie: str, blob: bytes) -> dict[str, str]:
    """What was sealed; nothing where that cannot be read."""
    try:
        found: dict[str, str] = json.loads(_lock(cookie).decrypt(blob))
    except (InvalidToken, ValueError):
        return {}
    return found


def _lock(cookie: str) -> Fernet:
    key = HKDF(SHA256(), 32, salt=None, info=b"dojang log-in").derive(cookie.encode("utf-8", "replace"))
    return Fernet(base64.urlsafe_b64encode(key))
