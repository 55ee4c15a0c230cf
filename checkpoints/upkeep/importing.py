"""Threads of LangGraph's own savers, taken over into session files. All of them or none.

Read through ``SqliteSaver`` and ``PostgresSaver`` themselves (packages ``langgraph-checkpoint-sqlite``, ``-postgres``),
from one snapshot, without writing there. Ids, parents, metadata, channel versions and pending writes stay as they are,
so a paused thread resumes. What those savers do not hand out is not kept: the path of a task.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP, BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.serde.event_hooks import SerdeEvent, register_serde_event_listener
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpoints.errors import DiskFault, UnknownType
from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import ThreadFolders, rename_over, sync_dir
from checkpoints.saver import FileSaver
from state import Conflict, PassingFault, UserError

Tell = Callable[[str], None]
"""Told the id of each thread when it has been read."""


class Imported(TypedDict):
    """What an import did."""

    threads: list[str]  # that are new here
    present: list[str]  # that were here already, the same
    checkpoints: int


class Source:
    """A saver of somebody else's, and the threads that it has."""

    def __init__(self, saver: BaseCheckpointSaver[Any], threads: list[str]) -> None:
        self.saver = saver
        self.threads = threads


@contextmanager
def sqlite_source(path: str | os.PathLike[str]) -> Iterator[Source]:
    """The threads in a SqliteSaver's file, from a copy in memory: nothing is written there, not even a journal mode.

    Raises:
        UserError: the file is missing or no such database, or the extra is not installed.
    """
    import sqlite3
    from contextlib import closing

    try:
        from langgraph.checkpoint.sqlite import SqliteSaver
    except ImportError:
        raise _missing("langgraph-checkpoint-sqlite") from None
    file = Path(path).absolute()
    if not file.is_file():
        raise UserError(f"there is no file {file}; name the database of a SqliteSaver")
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as copy:
        try:
            with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as original:
                original.backup(copy)
            threads = [row[0] for row in copy.execute("SELECT DISTINCT thread_id FROM checkpoints ORDER BY 1")]
        except sqlite3.DatabaseError as e:
            raise UserError(f"{file} is no database of a SqliteSaver ({e}); nothing was imported") from e
        yield Source(SqliteSaver(copy, serde=_serde()), threads)


@contextmanager
def postgres_source(dsn: str) -> Iterator[Source]:
    """The threads in a PostgresSaver's tables, from one read-only transaction.

    Raises:
        UserError: there are no such tables, or the extra is not installed.
        PassingFault: the database does not answer.
    """
    try:
        import psycopg
        from langgraph.checkpoint.postgres import PostgresSaver
        from psycopg.rows import dict_row
    except ImportError:
        raise _missing("langgraph-checkpoint-postgres") from None
    try:
        connection = psycopg.Connection.connect(dsn, autocommit=True, prepare_threshold=0, row_factory=dict_row)
    except psycopg.OperationalError as e:  # its text repeats host and user, never the password
        raise PassingFault(f"the PostgreSQL to import from does not answer: {' '.join(str(e).split())}") from None
    except psycopg.ProgrammingError:
        raise UserError(
            "that is no connection string of PostgreSQL; write it like postgresql://user@host/name"
        ) from None
    with connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            rows = connection.execute("SELECT DISTINCT thread_id FROM checkpoints ORDER BY 1").fetchall()
        except psycopg.errors.UndefinedTable:
            raise UserError("that database has no tables of a PostgresSaver; nothing was imported") from None
        yield Source(PostgresSaver(connection, serde=_serde()), [str(row["thread_id"]) for row in rows])


def take_over(
    source: Source,
    directory: str | os.PathLike[str],
    *,
    keys: KeyRing | None = None,
    only: Iterable[str] = (),
    tell: Tell = lambda thread: None,
) -> Imported:
    """Make session folders of a source's threads. They are written aside first and appear, whole, at the end.

    A thread that is here already with the same checkpoints is left alone, so an import that was cut short is run again.

    Raises:
        UserError: a wanted thread is not there, or holds a value of a type that session files do not take.
        Conflict: a thread of that id is here and differs; nothing was imported.
    """
    wanted = list(only) or source.threads
    if unknown := [thread for thread in wanted if thread not in source.threads]:
        raise UserError(f"there is no thread {unknown[0]!r} to import; nothing was imported")
    folders = ThreadFolders(directory)
    folders.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = folders.root / f".import-{secrets.token_hex(8)}"
    done = Imported(threads=[], present=[], checkpoints=0)
    here = FileSaver(directory, keys=keys)
    try:
        with FileSaver(aside, keys=keys, durability="os") as staged:
            for thread in wanted:
                count = _copy(source.saver, staged, thread)
                if folders.path(thread).exists():
                    if _ids(here, thread) != _ids(staged, thread):
                        raise Conflict(
                            f"thread {thread!r} is here already and differs; nothing was imported: delete one"
                        )
                    done["present"].append(thread)
                else:
                    staged.sessions.of(thread).seal()
                    done["threads"].append(thread)
                    done["checkpoints"] += count
                tell(thread)
        for thread in done["threads"]:
            rename_over(aside / folders.path(thread).name, folders.path(thread))
        sync_dir(folders.root)
    except OSError as e:
        raise DiskFault(f"cannot import into {folders.root}: {e.strerror}; free space and run it again") from e
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return done


def _copy(source: BaseCheckpointSaver[Any], target: FileSaver, thread: str) -> int:
    """Copy one thread, oldest checkpoint first; how many."""
    blocked: list[SerdeEvent] = []
    stop = register_serde_event_listener(blocked.append)
    try:
        found = sorted(source.list(_thread(thread)), key=lambda t: str(t.checkpoint["id"]))
    finally:
        stop()
    foreign = [e for e in blocked if "blocked" in e["kind"]]
    if foreign:
        raise UnknownType(
            f"thread {thread!r} holds a {foreign[0]['module']}.{foreign[0]['name']}, which session files do not take; "
            "nothing was imported: name the other threads with --thread"
        )
    try:
        for one in found:
            copy_checkpoint(target, one)
    except UnknownType as e:
        raise UnknownType(f"thread {thread!r}: {e}; nothing was imported") from None
    return len(found)


def copy_checkpoint(target: BaseCheckpointSaver[Any], found: CheckpointTuple) -> None:
    """Put one checkpoint with its pending writes into another saver. What it is built on is there already."""
    configurable = found.config["configurable"]
    parent = found.parent_config["configurable"]["checkpoint_id"] if found.parent_config else None
    place = {"thread_id": configurable["thread_id"], "checkpoint_ns": configurable.get("checkpoint_ns", "")}
    above = cast(RunnableConfig, {"configurable": {**place, **({"checkpoint_id": parent} if parent else {})}})
    stored = target.put(above, found.checkpoint, found.metadata, found.checkpoint["channel_versions"])
    writes: dict[str, list[tuple[str, Any]]] = {}
    for task, channel, value in found.pending_writes or []:
        writes.setdefault(task, []).append((channel, value))
    for task, values in writes.items():  # the others first: their place in the list is their index
        target.put_writes(stored, sorted(values, key=lambda w: w[0] in WRITES_IDX_MAP), task)


def _ids(saver: FileSaver, thread: str) -> set[tuple[str, str]]:
    return {(t.config["configurable"]["checkpoint_ns"], t.checkpoint["id"]) for t in saver.list(_thread(thread))}


def _thread(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread}}


def _serde() -> JsonPlusSerializer:
    """Takes LangGraph's safe types alone: nothing is imported because a row names it."""
    return JsonPlusSerializer(allowed_msgpack_modules=None)


def _missing(package: str) -> UserError:
    return UserError(
        f"importing needs the package {package}, which is not installed; install it: pip install {package}"
    )
