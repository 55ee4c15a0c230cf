"""Items that clients keep beside threads (LangGraph's ``BaseStore`` over HTTP): in a file of the home, or beside them.

Each belongs to the person who put it, and nobody else comes near it; the model and its tools do not, either. A value is
sealed where the sessions are, so filters are compared here and not in the database. Words are not searched by meaning.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from checkpoints.files.crypto import KeyRing, Place
from dojang.server.transactions import transaction
from state import Conflict, UserError

if TYPE_CHECKING:
    from dojang.beside import Beside

ALONE: Final = 4_701_310_044
"""Any fixed number: the advisory lock of whoever writes, so that nobody keeps more than they may."""
MOST_BYTES: Final = 256 * 1024
MOST_ITEMS: Final = 100_000
LABELS: Final = 20
LABEL_LENGTH: Final = 200
_PLACE: Final = Place("", "item", "", 0, "")
MIGRATIONS: Final = (
    """
    CREATE TABLE items (
        owner TEXT NOT NULL, namespace TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL, ttl_s REAL, expires REAL, PRIMARY KEY (owner, namespace, key)
    ) WITHOUT ROWID
    """,
    """
    CREATE INDEX expiring ON items (expires) WHERE expires IS NOT NULL;
    CREATE INDEX changed ON items (owner, updated_at, namespace, key)
    """,
)
"""An append-only list: file version n has had the first n of them. No statement has a semicolon within."""
VERSION: Final = len(MIGRATIONS)
CHUNK: Final = 100
"""Items that are read, and opened, together in a search."""
_COMPARED: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "$eq": lambda a, b: bool(a == b),
    "$ne": lambda a, b: bool(a != b),
    "$gt": lambda a, b: bool(a > b),
    "$gte": lambda a, b: bool(a >= b),
    "$lt": lambda a, b: bool(a < b),
    "$lte": lambda a, b: bool(a <= b),
}
_END: Final = "\uffff"


class BadItem(UserError):
    """An item, a namespace or a filter that is not taken."""


class TooManyItems(Conflict):
    """Somebody keeps as many items as they may."""


@dataclass(frozen=True)
class Item:
    """One item. ``expires``: seconds since 1970; None: never."""

    namespace: tuple[str, ...]
    key: str
    value: dict[str, Any]
    created_at: str
    updated_at: str
    expires: float | None

    def as_json(self) -> dict[str, Any]:
        """As clients read it."""
        return {
            "namespace": list(self.namespace),
            "key": self.key,
            "value": self.value,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }


class FileOfItems:
    """``DOJANG_HOME/items.sqlite``."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        path.chmod(0o600)
        with self.writing() as db:
            found = db.execute("PRAGMA user_version").fetchone()[0]
            if found > VERSION:
                raise UserError(f"{path} has format {found}, this program reads up to {VERSION}; update it")
            for migration in MIGRATIONS[found:]:
                for statement in migration.split(";"):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version={VERSION}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, on the disk at its end."""
        with self._lock, transaction(self._db):
            yield self._db

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Statements that only read."""
        with self._lock:
            yield self._db


class SharedItems:
    """Rows beside the sessions, which all servers of one database have."""

    def __init__(self, beside: Beside) -> None:
        self.reading = beside.reading
        self.writing = partial(beside.writing, ALONE)

    def close(self) -> None:
        """Nothing: the connections are the sessions'."""


class Items:
    """The items of a house, at ``place``. Safe from many threads and processes."""

    def __init__(
        self, place: Path | Beside, *, keys: KeyRing | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self._keys, self._now = keys, now
        self._place: Any = FileOfItems(place) if isinstance(place, Path) else SharedItems(place)

    def close(self) -> None:
        """Close the file."""
        self._place.close()

    def put(
        self, owner: str, namespace: Sequence[str], key: str, value: Mapping[str, Any], ttl_min: float | None = None
    ) -> None:
        """Keep a value, durable on return; one under the same key is replaced.

        Raises:
            BadItem: a namespace or key that is none, or a value that is too large.
            TooManyItems: the owner has as many as they may.
        """
        where = _path(namespace)
        _check_key(key)
        if not key or len(key) > LABEL_LENGTH:
            raise BadItem(f"an item's key has 1 to {LABEL_LENGTH} characters")
        text = json.dumps(dict(value))
        if len(text.encode()) > MOST_BYTES:
            raise BadItem(f"an item's value is JSON of at most {MOST_BYTES} bytes")
        now, ttl_s = self._now(), None if ttl_min is None else ttl_min * 60
        stamp = datetime.fromtimestamp(now, UTC).isoformat()
        sealed = text if self._keys is None else json.dumps(self._keys.seal({"k": "item", "value": text}, _PLACE))
        with self._place.writing() as db:
            db.execute("DELETE FROM items WHERE expires IS NOT NULL AND expires <= ?", (now,))  # as the index is
            others = "SELECT count(*) FROM items WHERE owner = ? AND NOT (namespace = ? AND key = ?)"
            (kept,) = db.execute(others, (owner, where, key)).fetchone()
            if kept >= MOST_ITEMS:
                raise TooManyItems(f"{owner} keeps {kept} items already, and no more are taken; delete some first")
            db.execute(
                "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (owner, namespace, key) DO UPDATE SET "
                "value = excluded.value, updated_at = excluded.updated_at, ttl_s = excluded.ttl_s, "
                "expires = excluded.expires",
                (owner, where, key, sealed, stamp, stamp, ttl_s, None if ttl_s is None else now + ttl_s),
            )

    def get(self, owner: str, namespace: Sequence[str], key: str, *, refresh: bool = True) -> Item | None:
        """One item; None where there is none. ``refresh``: its time begins anew."""
        _check_key(key)
        found = self._found("owner = ? AND namespace = ? AND key = ?", (owner, _path(namespace), key))
        if refresh:
            self._refresh(owner, found)
        return found[0] if found else None

    def delete(self, owner: str, namespace: Sequence[str], key: str) -> None:
        """Take an item out, if it is there."""
        _check_key(key)
        with self._place.writing() as db:
            db.execute(
                "DELETE FROM items WHERE owner = ? AND namespace = ? AND key = ?", (owner, _path(namespace), key)
            )

    def search(
        self,
        owner: str,
        prefix: Sequence[str],
        *,
        wanted: Mapping[str, Any] | None = None,
        limit: int = 10,
        offset: int = 0,
        refresh: bool = True,
    ) -> list[Item]:
        """Items in and below a namespace that fit a filter, last changed first."""
        _check(wanted or {})
        fitting = (item for item in self._changed(owner, prefix) if _fits(item.value, wanted or {}))
        found = list(islice(fitting, offset, offset + limit))
        if refresh:
            self._refresh(owner, found)
        return found

    def namespaces(
        self, owner: str, *, prefix: Sequence[str] = (), suffix: Sequence[str] = (), max_depth: int | None = None
    ) -> list[tuple[str, ...]]:
        """The namespaces in which there are items, in order; cut to a depth where one is given. ``*``: any label."""
        with self._place.reading() as db:
            rows = db.execute(
                "SELECT DISTINCT namespace FROM items WHERE owner = ? AND (expires IS NULL OR expires > ?)",
                (owner, self._now()),
            ).fetchall()
        found = {tuple(json.loads(namespace)) for (namespace,) in rows}
        kept = [ns for ns in found if _like(ns[: len(prefix)], prefix) and _like(ns[len(ns) - len(suffix) :], suffix)]
        return sorted({ns[:max_depth] for ns in kept})

    def _changed(self, owner: str, prefix: Sequence[str]) -> Iterator[Item]:
        """Items in and below a namespace, last changed first; none is opened before it is asked for."""
        where, given = _below(prefix)
        last: tuple[str, ...] = ()
        while True:
            later = " AND (updated_at, namespace, key) < (?, ?, ?)" if last else ""
            order = "ORDER BY updated_at DESC, namespace DESC, key DESC"
            found = self._found(f"owner = ?{where}{later}", (owner, *given, *last), f"{order} LIMIT {CHUNK}")
            yield from found
            if len(found) < CHUNK:
                return
            last = (found[-1].updated_at, _path(found[-1].namespace), found[-1].key)

    def _found(self, where: str, given: Sequence[Any], order: str = "") -> list[Item]:
        query = (
            "SELECT namespace, key, value, created_at, updated_at, expires FROM items "
            f"WHERE {where} AND (expires IS NULL OR expires > ?) {order}"
        )
        with self._place.reading() as db:
            rows = db.execute(query, (*given, self._now())).fetchall()
        return [Item(tuple(json.loads(ns)), key, self._opened(value), *rest) for ns, key, value, *rest in rows]

    def _opened(self, text: str) -> Any:
        kept = json.loads(text)
        return kept if self._keys is None else json.loads(self._keys.open(kept, _PLACE)["value"])

    def _refresh(self, owner: str, items: Sequence[Item]) -> None:
        timed = [item for item in items if item.expires is not None]
        if not timed:
            return
        with self._place.writing() as db:
            db.executemany(
                "UPDATE items SET expires = ? + ttl_s WHERE owner = ? AND namespace = ? AND key = ?",
                [(self._now(), owner, _path(item.namespace), item.key) for item in timed],
            )


def _check_key(key: str) -> None:
    """Raise BadItem for a key that cannot be kept as UTF-8."""
    try:
        key.encode()
    except UnicodeEncodeError:
        raise BadItem("an item's key has half a character in it; send well-formed text") from None


def _path(namespace: Sequence[str]) -> str:
    """A namespace as it is kept; BadItem for one that is none."""
    if not namespace or len(namespace) > LABELS:
        raise BadItem(f"a namespace has 1 to {LABELS} labels")
    for label in namespace:
        if not label or "." in label or len(label) > LABEL_LENGTH:
            raise BadItem(f"a label of a namespace has 1 to {LABEL_LENGTH} characters, and no dot")
    if namespace[0] == "langgraph":
        raise BadItem("the namespace langgraph is not for clients")
    return json.dumps(list(namespace))


def _below(prefix: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """A condition for a namespace and those under it."""
    if not prefix:
        return "", ()
    whole = _path(prefix)
    under = whole[:-1] + ", "
    return " AND (namespace = ? OR namespace >= ? AND namespace < ?)", (whole, under, under + _END)


def _like(labels: Sequence[str], pattern: Sequence[str]) -> bool:
    return len(labels) == len(pattern) and all(p in ("*", label) for label, p in zip(labels, pattern, strict=True))


def _fits(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(_is(value.get(key), condition) for key, condition in wanted.items())


def _check(wanted: Mapping[str, Any]) -> None:
    """BadItem for a comparison that there is not, also where there is nothing to compare."""
    for condition in wanted.values():
        unknown = [name for name in condition if name not in _COMPARED] if _compares(condition) else []
        if unknown:
            raise BadItem(f"a filter has no {unknown[0]!r}; it has {', '.join(_COMPARED)}")


def _compares(condition: Any) -> bool:
    return isinstance(condition, Mapping) and any(str(name).startswith("$") for name in condition)


def _is(found: Any, condition: Any) -> bool:
    if not _compares(condition):
        return bool(found == condition)
    try:
        return all(_COMPARED[name](found, given) for name, given in condition.items())
    except TypeError:  # of another kind, or not there: neither more nor less
        return False
