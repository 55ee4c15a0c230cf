"""Takes tokens, items and snoozes from a home's files into the database of its sessions, or back.

Two ways: a workspace is moved, and what its source says counts; or a home is opened whose sessions lie in PostgreSQL
while these are still files, as programs before ADR 43 left them: then each file is taken over once, what the database
has counts, and the file is kept under another name.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from checkpoints.files.folders import replace_file
from dojang.server.access.places import ALONE
from dojang.server.transactions import transaction
from state import Conflict, person_of

if TYPE_CHECKING:
    from dojang.beside import Beside
    from dojang.sessions import Sessions
    from dojang.settings import Settings
    from dojang.spoken import Spoken

log = logging.getLogger(__name__)
TOKENS: Final = {
    "tokens": (
        "prefix", "hash", "name", "roles", "created_at", "created_by", "expires_at", "used_at", "revoked_at",
        "revoked_by",
    ),
    "identities": ("issuer", "sub", "name", "person", "seen_at"),
}  # fmt: skip
LOGGED_IN: Final = {
    "sessions": ("hash", "prefix", "expires_at"),
    "logins": ("hash", "issuer", "sub", "groups", "sealed", "checked_at", "check_at", "expires_at"),
}
ITEMS: Final = {
    "items": ("owner", "namespace", "key", "value", "created_at", "updated_at", "ttl_s", "expires"),
}
KEYS: Final = {
    "tokens": "prefix", "identities": "issuer, sub", "sessions": "hash", "logins": "hash",
    "items": "owner, namespace, key", "snoozes": "person, review_id",
}  # fmt: skip
FILES: Final = ("tokens.sqlite", "items.sqlite", "snoozed")
"""What of a home these are."""
SNOOZES: Final = ("person", "review_id", "until")


def beside_of(settings: Settings, sessions: Sessions) -> Beside | None:
    """Where these lie beside sessions in PostgreSQL; None where they are files."""
    beside = sessions.beside
    if beside is not None:
        _take_over(settings.home, beside)
    return beside


def check_names(home: Path, beside: Beside, *, into_rows: bool) -> None:
    """Raise Conflict where a name that is to be moved is somebody else's in the target: asked before anything is."""
    with beside.reading() as db:
        _check_names(home, db, into_rows=into_rows)


def carry_beside(home: Path, beside: Beside, *, into_rows: bool) -> None:
    """As a workspace is moved: whatever the source has stands in the target afterwards; what only that has, stays.

    Raises:
        Conflict: see :func:`check_names`.
    """
    if into_rows:
        with beside.writing(ALONE) as db:
            _check_names(home, db, into_rows=True)  # again: a server that takes no runs may have let somebody in since
            _forget_logged_in(db)
            for table, columns, rows in _of_files(home, (*TOKENS.items(), *LOGGED_IN.items())):
                _put(db, table, columns, rows, replaces=True)
        return
    from dojang.server.access.database import Database
    from dojang.server.items import Items

    with beside.reading() as db:
        _check_names(home, db, into_rows=False)
        found = {table: _all(db, table, columns) for table, columns in (TOKENS | LOGGED_IN | ITEMS).items()}
        snoozed = _all(db, "snoozes", SNOOZES)
    if any(found[table] for table in TOKENS):
        with Database(home / "tokens.sqlite").writing() as file:
            _forget_logged_in(file)
            for table, columns in (TOKENS | LOGGED_IN).items():
                _put(file, table, columns, found[table], replaces=True)
    if found["items"]:
        path = home / "items.sqlite"
        Items(path).close()  # made, or brought up to date
        with closing(sqlite3.connect(path, isolation_level=None)) as items, transaction(items):
            _put(items, "items", ITEMS["items"], found["items"], replaces=True)
    _write_snoozes(home / "snoozed", snoozed)


def _take_over(home: Path, beside: Beside) -> None:
    """Each file once: the database knows its bytes from then on, so that a second look brings nothing back."""
    for name in FILES:
        path = home / name
        if not path.exists():
            continue
        digest = _digest(path)
        with beside.writing() as db:
            new = db.execute(
                "INSERT INTO taken_over (digest, what) VALUES (?, ?) ON CONFLICT DO NOTHING", (digest, name)
            ).rowcount
            for table, columns, rows in _of_files(home, tuple(TOKENS.items()), only=name) if new else ():
                _put(db, table, columns, rows, replaces=False)
            left = _left_out(db, home, name) if new else []
        kept = _free(path.with_name(f"{name}.in-postgres"))
        os.replace(path, kept)
        log.warning("%s was taken over into the database of the sessions; %s is kept", path, kept.name)
        for who, person in left:
            log.warning(
                "%s is somebody else's name in the database: %s gets another one at the next log-in", who, person
            )


def _left_out(db: Spoken, home: Path, name: str) -> list[tuple[str, str]]:
    """(name, issuer#sub) of the people of a provider who are not in the database now, as another has their name."""
    if name != "tokens.sqlite":
        return []
    columns = TOKENS["identities"]
    there = {tuple(row[:2]) for row in _all(db, "identities", columns)}
    found = (rows for table, _, rows in _of_files(home, [("identities", columns)], only=name) if table == "identities")
    return [(row[2], f"{row[0]}#{row[1]}") for rows in found for row in rows if tuple(row[:2]) not in there]


def _free(path: Path) -> Path:
    """A name that nothing has: what was kept before is not written over, and a folder could not be."""
    return next(name for n in itertools.count(1) if not (name := path if n == 1 else Path(f"{path}-{n}")).exists())


def _digest(path: Path) -> str:
    parts = [path] if path.is_file() else sorted(path.glob("*.json"))
    return hashlib.sha256(b"\0".join(f"{part}\0".encode() + part.read_bytes() for part in parts)).hexdigest()


def _of_files(
    home: Path, of_tokens: Sequence[tuple[str, Sequence[str]]], *, only: str = ""
) -> Iterator[tuple[str, Sequence[str], list[Any]]]:
    """(table, columns, rows) of what a home has."""
    from dojang.server.access.database import Database
    from dojang.server.items import Items

    place = Database(home / "tokens.sqlite")
    if only in ("", "tokens.sqlite") and place.there():
        with place.writing():
            pass  # a file of before there were log-ins gets their tables
        with place.reading() as file:
            for table, columns in of_tokens:
                yield table, columns, _all(file, table, columns)
    path = home / "items.sqlite"
    if only in ("", "items.sqlite") and path.exists():
        Items(path).close()
        with closing(sqlite3.connect(path)) as items:
            yield "items", ITEMS["items"], _all(items, "items", ITEMS["items"])
    if only in ("", "snoozed") and (home / "snoozed").is_dir():
        yield "snoozes", SNOOZES, list(_snoozes(home / "snoozed"))


def _all(db: Any, table: str, columns: Sequence[str]) -> list[Any]:
    return [tuple(row) for row in db.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()]


def _check_names(home: Path, db: Spoken, *, into_rows: bool) -> None:
    """A name is a person's of a provider for good, or stands on tokens; what only the target has keeps its own."""
    in_files = _named({table: rows for table, _, rows in _of_files(home, tuple(TOKENS.items()), only="tokens.sqlite")})
    in_rows = _named({table: _all(db, table, columns) for table, columns in TOKENS.items()})
    source, target = (in_files, in_rows) if into_rows else (in_rows, in_files)
    coming = {person_of(name): (other, is_token) for other, (name, is_token) in source.items()}
    for whose, (name, is_token) in target.items():
        found = coming.get(person_of(name))
        if whose not in source and found is not None and not (is_token and found[1]):
            here, there = (found[0], whose) if into_rows else (whose, found[0])
            raise Conflict(
                f"{name} is {here} in {home} and {there} in the database, and what one of them does must not pass for "
                "the other's; nothing was moved: move to where nobody is known yet, or put aside who is "
                "(docs/operations.md)"
            )


def _named(found: Mapping[str, Sequence[Any]]) -> dict[str, tuple[str, bool]]:
    """{a token's prefix, or who a person is: (name, whether it is a token)}."""
    tokens = {row[0]: (row[2], True) for row in found.get("tokens", ())}
    return tokens | {f"{row[0]}#{row[1]}": (row[2], False) for row in found.get("identities", ())}


def _forget_logged_in(db: Any) -> None:
    for table in LOGGED_IN:
        db.execute(f"DELETE FROM {table}")


def _put(db: Spoken | Any, table: str, columns: Sequence[str], rows: Sequence[Any], *, replaces: bool) -> None:
    """``replaces``: what has the same key goes first, all of it: another row may get what it had, as a name."""
    if replaces:
        keys = KEYS[table].split(", ")
        where = " AND ".join(f"{key} = ?" for key in keys)
        db.executemany(
            f"DELETE FROM {table} WHERE {where}", [[row[columns.index(key)] for key in keys] for row in rows]
        )
    db.executemany(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' for _ in columns)})"
        f"{'' if replaces else ' ON CONFLICT DO NOTHING'}",
        rows,
    )


def _snoozes(folder: Path) -> Iterator[tuple[str, str, str]]:
    for path in folder.glob("*.json"):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue  # nothing that counts was in it
        yield from ((path.stem, str(review), str(until)) for review, until in found.items())


def _write_snoozes(folder: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    found: dict[str, dict[str, str]] = {}
    for person, review, until in rows:
        found.setdefault(person, {})[review] = until
    if found:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for person, kept in found.items():
        replace_file(folder / f"{person}.json", json.dumps(kept).encode())
