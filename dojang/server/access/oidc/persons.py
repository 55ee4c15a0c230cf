"""Who the provider's people are here: their name, for good, and their roles, by what the provider said last.

A person is (issuer, sub) and nothing else. Their name is on record, in votes and in who asked, so no two persons may
have names that mean the same (``state.person_of``), and no person that of a token or of the local user.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dojang.server.access.oidc.errors import NoRole, NotProven
from dojang.server.access.oidc.provider import claim
from dojang.server.access.roles import ROLES
from dojang.server.transactions import Statements
from nodes.door import good_name
from state import person_of

_TAGGED: Final = re.compile(r"\(\d{8,}\)$")
_NAMES: Final = ("name", "preferred_username", "email")
GROUPS_MAX: Final = 1000


@dataclass(frozen=True)
class Rules:
    """What the settings say of people: where their name and groups are, which group has which roles, whose mail.

    ``domains``: of verified mail addresses (or Google's ``hd``), of which a person needs one; empty: any.
    """

    name_claim: str = "name"
    groups_claim: str = "groups"
    roles: Mapping[str, Sequence[str]] = field(default_factory=dict)
    domains: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Person:
    """Somebody who has logged in with the provider."""

    issuer: str
    sub: str
    name: str
    roles: tuple[str, ...]

    @property
    def subject(self) -> str:
        """What the audit chain has beside the name."""
        return f"{self.issuer}#{self.sub}"


def groups_of(claims: Mapping[str, Any], rules: Rules) -> list[str]:
    """The groups that the provider says somebody is in; one alone may come without a list."""
    found = claim(claims, rules.groups_claim)
    listed = found if isinstance(found, list) else [found]
    return [group for group in listed if isinstance(group, str)][:GROUPS_MAX]


def roles_of(groups: Sequence[str], rules: Rules, name: str) -> tuple[str, ...]:
    """The roles that somebody's groups give, in the order of the mapping.

    Raises:
        NoRole: none that opens anything.
    """
    given = [role for group, roles in rules.roles.items() if group in groups for role in roles]
    roles = tuple(dict.fromkeys(given))
    if not set(roles) & set(ROLES):
        raise NoRole(
            f"{name} is known to the log-in provider and has no role here: ask whoever runs this server to give one of "
            "your groups a role (DOJANG_OIDC_ROLES)"
        )
    return roles


def check_domain(claims: Mapping[str, Any], rules: Rules) -> None:
    """Raise NotProven for somebody whose verified mail is of no domain that may come in."""
    if not rules.domains:
        return
    mail = str(claims.get("email", "")).rpartition("@")[2].lower() if claims.get("email_verified") is True else ""
    if not rules.domains & {mail, str(claims.get("hd", "")).lower()}:
        raise NotProven("only people of the domains in DOJANG_OIDC_DOMAINS, with a verified address, may log in here")


def wanted_name(claims: Mapping[str, Any], rules: Rules) -> str:
    """The display name, if it is a name; else "person"."""
    for name in dict.fromkeys((rules.name_claim, *_NAMES)):
        found = claim(claims, name)
        if isinstance(found, str) and good_name(found.strip()):
            return found.strip()
    return "person"


def name_of(db: Statements, issuer: str, sub: str) -> str | None:
    """The name that somebody has here; None: they were never here."""
    row = db.execute("SELECT name FROM identities WHERE issuer = ? AND sub = ?", (issuer, sub)).fetchone()
    return None if row is None else str(row["name"])


def named(db: Statements, issuer: str, sub: str, wanted: str, *, local: str, now: str) -> tuple[str, bool]:
    """(the name of somebody, whether they were given it now). Within a transaction, so it is nobody else's.

    Args:
        db: the file of tokens and persons, being written.
        issuer: who knows them.
        sub: as whom.
        wanted: the name that they would like to have.
        local: the local user's name.
        now: the time, as the file has it.
    """
    known = name_of(db, issuer, sub)
    if known is not None:
        return known, False
    taken = {person_of(row["name"]) for row in db.execute("SELECT name FROM tokens").fetchall()} | {person_of(local)}
    taken |= {row["person"] for row in db.execute("SELECT person FROM identities").fetchall()}
    name = next(name for name in _names(issuer, sub, wanted) if person_of(name) not in taken)
    db.execute("INSERT INTO identities VALUES (?, ?, ?, ?, ?)", (issuer, sub, name, person_of(name), now))
    return name, True


def _names(issuer: str, sub: str, wanted: str) -> Iterator[str]:
    """Names to try: the wanted one, unless it looks like one that we give; then with more and more of the hash.

    In digits: letters would make a name in another alphabet one of two, which is no name to decide under.
    """
    tag = str(int(hashlib.sha256(f"{issuer}\0{sub}".encode()).hexdigest(), 16)).zfill(78)[::-1]
    if wanted != "person" and not _TAGGED.search(wanted):
        yield wanted
    for length in range(8, len(tag), 8):
        yield f"{wanted[:100].strip()} ({tag[:length]})"
