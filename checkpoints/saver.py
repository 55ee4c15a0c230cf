"""``FileSaver``: LangGraph's checkpointer over one folder a thread. Translates configs; ``session`` does the work.

    from checkpoints import FileSaver
    graph = builder.compile(checkpointer=FileSaver("var/threads"))

Every method is safe from many threads and processes at once. The async methods are ``offloop``'s.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import random
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpoints.errors import DiskFault, NeededHistory
from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import LOG, ThreadFolders
from checkpoints.log.heads import Head, Heads
from checkpoints.log.listing import NEWEST, Listing, Logs
from checkpoints.log.positions import Key
from checkpoints.log.rebuilding import copy, rebuild
from checkpoints.log.session import Session, pending
from checkpoints.log.tables import Tables
from checkpoints.log.view import View
from checkpoints.log.whole import Whole, metadata_of
from checkpoints.offloop import OffLoop
from checkpoints.values.bulk import bulk
from checkpoints.values.codec import Opaque, StrictSerializer
from state import UserError

OPEN_MAX = 256
"""Threads whose newest state one process keeps in memory."""


class Sessions:
    """The open sessions of one directory; shared by reference between a saver and its clones."""

    def __init__(self, directory: str | os.PathLike[str], *, sync: bool, keys: KeyRing | None = None) -> None:
        self.folders = ThreadFolders(directory, sync=sync)
        self.sync = sync
        self.keys = keys
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._mutex = threading.Lock()
        self._loose: set[Path] = set()  # folders whose run says itself when the disk is waited for
        self._open: OrderedDict[Path, Session] = OrderedDict()
        self.logs = Logs(self.folders, self.keys, self.at)
        self.heads = Heads(self.folders, kept=self.keys is None)

    def at(self, folder: Path) -> Session:
        """The session of a folder."""
        if self._pid != os.getpid():  # forked: the parent's threads may have held our locks
            self._reset()
        with self._mutex:
            session = self._open.pop(folder, None)
            if session is None:
                session = Session(folder, sync=self.sync, keys=self.keys)
            session.loose = folder in self._loose
            self._open[folder] = session
            if len(self._open) > OPEN_MAX:
                self._close_spare(folder)
            return session

    def _close_spare(self, but: Path) -> None:
        """Let go of those that were used longest ago, down to the limit; not of those whose run is under way."""
        spare = [known for known in self._open if known not in self._loose and known != but]
        for known in spare[: len(self._open) - OPEN_MAX]:
            del self._open[known]

    def of(self, thread_id: str, *, create: bool = False) -> Session:
        """The session of a thread; with ``create`` its folder exists on return."""
        return self.at(self.folders.ensure(thread_id) if create else self.folders.path(thread_id))

    def _written(self, thread_id: str) -> Session:
        """A session to write to.

        Its folder is not looked for where this process has read or written its log before: it is there, or the write
        raises FileNotFoundError.
        """
        session = self.of(thread_id)
        return session if session.log.gen else self.of(thread_id, create=True)

    @contextmanager
    def loose(self, thread_id: str) -> Iterator[None]:
        """What is put into the thread inside the block is on the disk at its end, not at each put."""
        folder = self.folders.path(thread_id)
        with self._mutex:
            self._loose.add(folder)
        with self.at(folder).log.kept():
            try:
                yield
            finally:
                with self._mutex:
                    self._loose.discard(folder)
                self.at(folder).flush()

    def apart(self, folder: Path, *, sync: bool = True) -> Session:
        """A session of its own for long work on a folder, so that nobody who reads waits for it."""
        return Session(folder, sync=sync and self.sync, keys=self.keys)

    def write(self, thread_id: str, act: Callable[[Session], None]) -> None:
        """Call ``act`` with the thread's session; again if the thread was deleted under its hands."""
        for attempt in range(100):
            with contextlib.suppress(FileNotFoundError):
                try:
                    return act(self.of(thread_id, create=True) if attempt else self._written(thread_id))
                except DiskFault as e:
                    if not isinstance(e.__cause__, FileNotFoundError):
                        raise
        raise DiskFault(f"thread {thread_id!r} is deleted again and again while it is written; try again")

    def clear(self) -> None:
        """Forget everything; nothing is lost."""
        with self._mutex:
            self._open.clear()


class FileSaver(OffLoop):
    """A complete checkpointer over files.

    Args:
        directory: holds one folder a thread; created when first written to.
        serde: somebody else's serializer, e.g. an encrypting one. Values are then opaque to this saver: they are
            stored whole at every change, so growing lists are no longer cheap. None: the strict built-in one.
        durability: "sync" fsyncs before acknowledging; "os" leaves it to the operating system (a killed process
            loses nothing, a power cut may).
        keys: seals every record (AES-256-GCM); plaintext files are then refused. None: files are plain, sealed ones
            refused.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        serde: SerializerProtocol | None = None,
        durability: Literal["sync", "os"] = "sync",
        keys: KeyRing | None = None,
    ) -> None:
        super().__init__(serde=serde or StrictSerializer())
        self._strict = serde is None
        self.sessions = Sessions(directory, sync=durability == "sync", keys=keys)

    @property
    def directory(self) -> Path:
        """Where the threads are."""
        return self.sessions.folders.root

    def __enter__(self) -> FileSaver:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, at: TracebackType | None) -> None:
        self.sessions.clear()

    async def __aenter__(self) -> FileSaver:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, e: BaseException | None, at: Any) -> None:
        self.sessions.clear()

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> BaseCheckpointSaver[Any]:
        """This saver: its own list of types is closed. With a foreign serde, a clone that shares all open sessions."""
        return self if self._strict else super().with_allowlist(extra_allowlist)

    def get_next_version(self, current: Any, channel: None) -> Any:
        """1, 2, 3, …; a thread that began under a saver with text versions goes on with those."""
        if isinstance(current, str):
            return f"{int(current.split('.')[0]) + 1:032}.{random.random():016}"
        return 1 if current is None else int(current) + 1

    # reading

    def has(self, thread_id: str) -> bool:
        """Whether anything was ever put into the thread."""
        return os.path.lexists(self.sessions.folders.path(thread_id) / LOG)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that ``config`` names, else the newest of its namespace, else None."""
        thread_id, ns = _place(config)
        session = self.sessions.of(thread_id)

        def use(view: View, tables: Tables, writes: list[int]) -> CheckpointTuple:
            made = tables.checkpoint(session.values(view, tables))
            return self._tuple(
                thread_id,
                Whole(tables.ns, tables.id, tables.up, made, metadata_of(tables), pending(view, writes)),
            )

        return session.read(ns, get_checkpoint_id(config) or None, use)

    def _tuple(self, thread_id: str, found: Whole) -> CheckpointTuple:
        checkpoint, writes = found.checkpoint, found.writes
        if not self._strict:
            checkpoint["channel_values"] = {k: self._loads(v) for k, v in checkpoint["channel_values"].items()}
            writes = [(task, channel, self._loads(v)) for task, channel, v in writes]
        return CheckpointTuple(
            _config(thread_id, found.ns, found.id),
            checkpoint,
            cast(CheckpointMetadata, found.metadata),
            _config(thread_id, found.ns, found.up) if found.up else None,
            writes,
        )

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Matching checkpoints, newest id first; all threads when ``config`` is None. Each log is read once."""
        until = get_checkpoint_id(before) if before else None
        asked = config["configurable"] if config else {}
        only, space = asked.get("checkpoint_id"), asked.get("checkpoint_ns")

        def wanted(key: tuple[str, str]) -> bool:
            cp, ns = key
            return (space is None or ns == space) and (not only or cp == only) and (not until or cp < until)

        def matches(meta: dict[str, Any]) -> bool:
            return all(meta.get(k) == v for k, v in (filter or {}).items())

        every = space is None and not only and not until
        with Listing(self.sessions.logs, None if every else wanted, matches if filter else None) as listing:
            if config is None:
                with bulk():
                    heads = self.sessions.heads.all(listing.derive)
                listing.begin([h for h in heads if h.oldest < until] if until else heads)
            else:
                thread_id = str(asked["thread_id"])
                listing.begin([Head(NEWEST, thread_id, self.sessions.folders.path(thread_id).name)], many=False)
            for thread_id, found in islice(listing, None if limit is None else max(0, limit)):
                yield self._tuple(thread_id, found)

    # writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, durable on return. UnknownType for a value that the serializer does not take."""
        thread_id, ns = _place(config)
        if not self._strict:
            values = {k: self._dumps(v) for k, v in checkpoint["channel_values"].items()}
            checkpoint = cast(Checkpoint, {**checkpoint, "channel_values": values})
        meta = cast("dict[str, Any]", get_checkpoint_metadata(config, metadata))
        up = get_checkpoint_id(config) or None
        self.sessions.write(thread_id, lambda session: session.put(ns, up, checkpoint, meta, new_versions))
        return _config(thread_id, ns, checkpoint["id"])

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store a task's writes, durable on return; they may come before their checkpoint."""
        thread_id, ns = _place(config)
        indexed = [
            (WRITES_IDX_MAP.get(channel, i), channel, value if self._strict else self._dumps(value))
            for i, (channel, value) in enumerate(writes)
        ]
        cp = config["configurable"]["checkpoint_id"]
        self.sessions.write(thread_id, lambda session: session.put_writes(ns, cp, indexed, task_id, task_path))

    def _dumps(self, value: Any) -> Opaque:
        kind, data = self.serde.dumps_typed(value)
        return Opaque(kind, bytes(data))

    def _loads(self, value: Any) -> Any:
        """Refuses what the foreign serde did not write: a plaintext row must not pass for an encrypted one."""
        if not isinstance(value, Opaque):
            raise UserError("this thread was written without the serializer that is set now; open it without one")
        return self.serde.loads_typed((value.type, value.data))

    def loose(self, thread_id: str) -> AbstractContextManager[None]:
        """For a run that holds the thread's run lock: put and put_writes inside of the block do not wait for the disk.

        Whoever asks sees what they wrote, and a killed process loses none of it; it is on the disk at the end of the
        block, also where that ends in an error, at :meth:`flush`, before an effect's intent and before a decision
        (docs/adr/0027). A power cut takes back what came after that, from its end backwards.

        Raises:
            DiskFault: at the end: the disk did not confirm it.
        """
        return self.sessions.loose(thread_id)

    def flush(self, thread_id: str) -> None:
        """Return when all that was put into the thread is on the disk."""
        self.sessions.of(thread_id).flush()

    def places(self, thread_id: str) -> builtins.list[tuple[str, str]]:
        """(Id, namespace) of all checkpoints of a thread, oldest first."""
        session = self.sessions.of(str(thread_id))
        with session.view(whole=True):
            return sorted((cp, ns) for ns, found in session.where.cps.items() for cp in found)

    # deleting and copying

    def delete_thread(self, thread_id: str) -> None:
        """Delete the thread's whole folder: checkpoints, decisions, ledger."""
        self.sessions.folders.remove(str(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of these runs, in all threads, with their writes.

        Raises:
            NeededHistory: a DeltaChannel of a remaining checkpoint is rebuilt from one of them; nothing was deleted.
        """
        wanted = {str(r) for r in run_ids}
        found: list[tuple[Session, set[Key]]] = []
        for thread_id, folder in self.sessions.folders.threads() if wanted else ():
            session = self.sessions.apart(folder)
            if gone := _of_runs(session, thread_id, wanted):
                found.append((session, gone))
        for session, gone in found:
            rebuild(session, lambda key, gone=gone: key not in gone)  # type: ignore[misc]

    def delete_runs_of(self, thread_id: str, run_ids: Sequence[str]) -> int:
        """``delete_for_runs`` in one thread, which nobody else runs meanwhile; how many checkpoints went."""
        session = self.sessions.apart(self.sessions.folders.path(str(thread_id)))
        gone = _of_runs(session, str(thread_id), {str(r) for r in run_ids})
        if gone:
            rebuild(session, lambda key: key not in gone)
        return len(gone)

    def copy_thread(self, source_thread_id: str, target_thread_id: str, *, upto: str = "") -> None:
        """Copy all checkpoints and writes; added to what the target has. A missing source copies nothing.

        ``upto``: only this checkpoint and those that led to it; what was begun from it is not copied. Nothing of what
        came later is ever in the target's files, wherever a copy is cut off.
        """
        source, target = str(source_thread_id), str(target_thread_id)
        if source == target or not self.sessions.of(source).log.path.exists():
            return
        into = self.sessions.apart(self.sessions.folders.ensure(target), sync=False)
        copy(self.sessions.apart(self.sessions.folders.path(source)), into, upto)
        into.seal()

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Keep each namespace's newest checkpoint ("keep_latest") or none ("delete"); decisions and ledger stay.

        Ancestors from which a DeltaChannel of a kept checkpoint is rebuilt are kept too.
        """
        if strategy not in ("keep_latest", "delete"):
            raise UserError(f"unknown prune strategy {strategy!r}; use 'keep_latest' or 'delete'")
        for thread_id in map(str, thread_ids):
            session = self.sessions.apart(self.sessions.folders.path(thread_id))
            if not session.log.path.exists():
                continue
            with session.log.locked():
                with session.view(whole=True) as view:
                    if view is None:
                        continue
                    keep: set[Key] = set()
                    if strategy == "keep_latest":
                        newest = {(ns, max(cps)) for ns, cps in session.where.cps.items()}
                        keep = _needed(_all_tables(session, view), newest)
                rebuild(session, lambda key, keep=keep: key in keep)  # type: ignore[misc]


def _place(config: RunnableConfig) -> tuple[str, str]:
    configurable = config["configurable"]
    if "thread_id" not in configurable:
        raise UserError('config["configurable"] has no "thread_id"; name the thread to read or write')
    return str(configurable["thread_id"]), configurable.get("checkpoint_ns") or ""


def _config(thread_id: str, ns: str, cp: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": cp}}


def _of_runs(session: Session, thread_id: str, runs: set[str]) -> set[Key]:
    """The checkpoints of these runs; NeededHistory if any other is rebuilt from one of them."""
    with session.view(whole=True) as view:
        if view is None:
            return set()
        table = _all_tables(session, view)
    gone = {key for key, tables in table.items() if metadata_of(tables).get("run_id") in runs}
    if gone and (broken := _needed(table, table.keys() - gone) & gone):
        raise NeededHistory(
            f"thread {thread_id!r}: checkpoint {min(broken)[1]!r} belongs to a run that should be deleted, but a "
            "later checkpoint rebuilds a DeltaChannel from it; delete the later runs too, or the thread"
        )
    return gone


def _all_tables(session: Session, view: View) -> dict[Key, Tables]:
    return {(ns, cp): view.tables(at) for ns, cps in session.where.cps.items() for cp, at in cps.items()}


def _needed(table: dict[Key, Tables], keys: Collection[Key]) -> set[Key]:
    """``keys`` and the ancestors whose writes rebuild their DeltaChannels (stored as a value only now and then)."""
    needed = set(keys)
    for ns, cp in keys:
        tables: Tables | None = table[ns, cp]
        counters = metadata_of(table[ns, cp]).get("counters_since_delta_snapshot") or {}
        open_channels = {c for c in counters if len(table[ns, cp].entries.get(c, ())) < 2}
        while open_channels and tables is not None and tables.up is not None:
            tables = table.get((ns, tables.up))
            if tables is not None:
                needed.add((ns, tables.id))
                open_channels = {c for c in open_channels if len(tables.entries.get(c, ())) < 2}
    return needed
