"""``PgSaver``: LangGraph's checkpointer over ``langgraph-checkpoint-postgres``, with what Dojang asks of one beyond it.

Tables and statements are the library's (3.2.0). Ours are: the strict serializer, values that JSONB would change kept as
they are, one transaction and one way to the server and back for each put, on the connection of the run that holds the
thread (``locks``), copies, and the deletion of runs. The async methods are ``offloop``'s.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, cast

import orjson
import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb

from checkpoints.errors import NeededHistory
from checkpoints.files.folders import folder_name
from checkpoints.offloop import OffLoop
from checkpoints.postgres.boxing import BoxingSerializer, boxed
from checkpoints.postgres.database import Connection, Database
from checkpoints.postgres.locks import FLUSH, Hold, RunLocks, storable
from checkpoints.postgres.whole import COPY, SIZES, check_needed, drop_orphans
from checkpoints.values.codec import StrictSerializer, is_text
from checkpoints.values.refs import Node
from state import UserError

PAGE: Final = 200
"""Checkpoints that ``list`` reads at a time at most; it begins with a few."""
FEW: Final = 10
LOOSE: Final = "SELECT set_config('synchronous_commit', 'off', true)"
"""For the transaction that it stands in."""


_place: ContextVar[Hold | None] = ContextVar("dojang_saver_place", default=None)
"""Through whose connection the library's methods write at the moment."""


class PgSaver(OffLoop, PostgresSaver):
    """A complete checkpointer over PostgreSQL.

    ``Database.setup`` has made the tables. Every method is safe from many threads and processes at once.

    Args:
        database: where.
        locks: of the runs of this process.
    """

    def __init__(self, database: Database, locks: RunLocks) -> None:
        BaseCheckpointSaver.__init__(self, serde=BoxingSerializer())
        self.database, self.locks = database, locks
        self.pipe = None

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> BaseCheckpointSaver[Any]:
        """This saver: its list of types is closed."""
        return self

    def setup(self) -> None:
        """Make the tables."""
        self.database.setup()

    def get_next_version(self, current: Any, channel: None) -> Any:
        """A number and a random one, as text: two branches of a thread never have a version in common.

        That is what the library's table of values rests on. A thread that began under a saver with 1, 2, 3, … goes on
        with those: LangGraph compares them.
        """
        return current + 1 if isinstance(current, int) else super().get_next_version(current, None)

    # reading

    def has(self, thread_id: str) -> bool:
        """Whether anything was ever put into the thread."""
        with self.database.reading() as db:
            found = db.execute(
                "SELECT EXISTS (SELECT FROM checkpoints WHERE thread_id = %(t)s)"
                " OR EXISTS (SELECT FROM checkpoint_writes WHERE thread_id = %(t)s)",
                {"t": storable(str(thread_id))},
            ).fetchone()
        return bool(found and found[0])

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that ``config`` names, else the newest of its namespace, else None."""
        placed = _placed(config)
        return super().get_tuple(placed) if _can_be_there(placed) else None

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Matching checkpoints, newest id first; all threads when ``config`` is None. Read some hundred at a time."""
        if config is not None and "thread_id" in config["configurable"]:
            config = _placed(config, ns=False)
        elif config is not None:
            config = None
        if not (_can_be_there(config) and _can_be_there(before) and _jsonb_has(filter)):
            return
        if config is None or (config["configurable"].get("checkpoint_id")) or limit is not None:
            yield from super().list(config, filter=filter, before=before, limit=limit)
            return
        many = FEW
        while True:
            page = [*super().list(config, filter=filter, before=before, limit=many)]
            if len(page) < many:
                yield from page
                return
            # Copies of a thread have its checkpoints' ids, so the last of this page may go on in the next.
            last = page[-1].checkpoint["id"]
            whole = [one for one in page if one.checkpoint["id"] != last]
            yield from whole
            if whole:
                before = {"configurable": {"checkpoint_id": last + "0"}}
            many = min(2 * many, PAGE) if whole else 2 * many

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What a DeltaChannel is rebuilt from."""
        return super().get_delta_channel_history(config=_placed(config), channels=channels)

    # writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, durable on return unless the run is :meth:`loose`.

        Raises:
            UnknownType: for a value that the serializer does not take.
            SessionsAway: the server is away, or the run has lost its thread.
        """
        config = _placed(config)
        values = {channel: boxed(value) for channel, value in checkpoint["channel_values"].items()}
        with self._writing(config["configurable"]["thread_id"]):
            return super().put(config, {**checkpoint, "channel_values": values}, metadata, new_versions)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store a task's writes, durable on return unless the run is loose; they may come before their checkpoint."""
        if writes:
            config = _placed(config)
            with self._writing(config["configurable"]["thread_id"]):
                super().put_writes(config, writes, task_id, task_path)

    def _dump_blobs(self, thread_id: str, checkpoint_ns: str, values: dict[str, Any], versions: ChannelVersions) -> Any:
        texts = {channel: str(version) for channel, version in versions.items()}  # the column's type
        return super()._dump_blobs(thread_id, checkpoint_ns, values, cast(ChannelVersions, texts))

    @contextmanager
    def loose(self, thread_id: str) -> Iterator[None]:
        """For a run that holds the thread's run lock: put and put_writes inside of the block do not wait for the disk.

        What they put is committed, and seen by whoever asks. It is on the server's disk at the end of the block, at
        :meth:`flush`, and with whatever else is committed in this database, as an effect's intent is, or a decision:
        its log is one. A server that crashes takes back what came after that, from its end backwards, and the run has
        lost its connection then.

        Raises:
            SessionsAway: at the end: the server did not confirm it, or the run has lost its thread.
        """
        hold = self.locks.of(str(thread_id))
        if hold is None:
            yield
            return
        hold.loose += 1
        try:
            yield
        finally:
            hold.loose -= 1
            hold.flush()

    def flush(self, thread_id: str) -> None:
        """Return when all that was put into the thread is on the disk."""
        hold = self.locks.of(str(thread_id))
        if hold is not None:
            hold.flush()
        else:
            with self.database.reading() as db:
                db.execute(FLUSH)

    def places(self, thread_id: str) -> builtins.list[tuple[str, str]]:
        """(Id, namespace) of all checkpoints of a thread, oldest first."""
        with self.database.reading() as db:
            asked = "SELECT checkpoint_id, checkpoint_ns FROM checkpoints WHERE thread_id = %s"
            return sorted((cp, ns) for cp, ns in db.execute(asked, (storable(str(thread_id)),)))

    def sizes(self, thread_id: str) -> tuple[int, int, dict[str, int]]:
        """How many checkpoints and tasks' writes a thread has; bytes of its rows, by table and kind of record."""
        with self.database.reading() as db:
            rows = db.execute(SIZES, {"thread": storable(str(thread_id)), "folder": folder_name(thread_id)}).fetchall()
        many = {name: int(number) for name, number, _ in rows}
        sizes = {name: int(size) for name, _, size in rows if size}
        return many["checkpoints"], many["checkpoint_writes"], sizes

    # deleting, copying, changing

    def delete_thread(self, thread_id: str) -> None:
        """Delete the whole session: checkpoints, decisions, ledger."""
        folder = folder_name(storable(str(thread_id)))
        with self._writing(str(thread_id)), self._together() as db:
            # Who appends holds a log's row, or is about to make one under the thread's: both are waited for, in the
            # order in which they take them, so that no record comes in after the others are gone.
            db.execute("SELECT FROM logs WHERE folder = %s ORDER BY kind FOR UPDATE", (folder,))
            for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
                db.execute(f"DELETE FROM {table} WHERE thread_id = %s", (str(thread_id),))
            for table in ("threads", "records", "logs", "notes"):
                db.execute(f"DELETE FROM {table} WHERE folder = %s", (folder,))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of these runs, in all threads, with their writes.

        Raises:
            NeededHistory: a DeltaChannel of a remaining checkpoint is rebuilt from one of them; nothing was deleted.
        """
        wanted = [str(run) for run in run_ids]
        with self.database.reading() as db:
            found = db.execute(
                "SELECT DISTINCT thread_id FROM checkpoints WHERE metadata ->> 'run_id' = ANY(%s) ORDER BY 1", (wanted,)
            ).fetchall()
        for (thread_id,) in found:
            with self.database.reading() as db:
                check_needed(db, thread_id, wanted)
        for (thread_id,) in found:
            self.delete_runs_of(thread_id, wanted)

    def delete_runs_of(self, thread_id: str, run_ids: Sequence[str]) -> int:
        """``delete_for_runs`` in one thread, which nobody else runs meanwhile; how many checkpoints went."""
        thread_id, wanted = storable(str(thread_id)), [str(run) for run in run_ids]
        with self._writing(thread_id), self._together() as db:
            check_needed(db, thread_id, wanted)
            gone = db.execute(
                "DELETE FROM checkpoints WHERE thread_id = %s AND metadata ->> 'run_id' = ANY(%s)"
                " RETURNING checkpoint_ns, checkpoint_id",
                (thread_id, wanted),
            ).fetchall()
            for ns, cp in gone:
                db.execute(
                    "DELETE FROM checkpoint_writes WHERE thread_id = %s AND checkpoint_ns = %s AND checkpoint_id = %s",
                    (thread_id, ns, cp),
                )
            if gone:
                drop_orphans(db, thread_id)
        return len(gone)

    def copy_thread(self, source_thread_id: str, target_thread_id: str, *, upto: str = "") -> None:
        """Copy all checkpoints and writes, at once; added to what the target has. A missing source copies nothing.

        ``upto``: only this checkpoint and those that led to it; what was begun from it is not copied.
        """
        source, target = storable(str(source_thread_id)), storable(str(target_thread_id))
        if source == target:
            return
        with self._writing(target), self._together() as db:
            for statement in COPY:
                db.execute(statement, {"source": source, "target": target, "upto": upto})

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Keep each namespace's newest checkpoint ("keep_latest") or none ("delete"); decisions and ledger stay.

        Raises:
            NeededHistory: a thread uses a DeltaChannel, whose newest value is rebuilt from older checkpoints.
        """
        if strategy not in ("keep_latest", "delete"):
            raise UserError(f"unknown prune strategy {strategy!r}; use 'keep_latest' or 'delete'")
        for thread_id in map(str, thread_ids):
            try:
                with self._writing(storable(thread_id)):
                    super().prune([thread_id], strategy=strategy)
            except NotImplementedError:
                raise NeededHistory(
                    f"thread {thread_id!r} uses a DeltaChannel, whose newest value is rebuilt from older checkpoints: "
                    "in PostgreSQL they cannot be pruned; delete the thread, or keep it whole"
                ) from None

    def replace_values(self, thread_id: str, taken: Callable[[Node], Node]) -> int:
        """Put what ``taken`` makes of it in the place of every encoded value, all or none; how many it changed."""
        thread_id, changed = storable(str(thread_id)), 0
        with self._writing(thread_id), self._together() as db:
            for table, key in (
                ("checkpoint_blobs", "checkpoint_ns, channel, version"),
                ("checkpoint_writes", "checkpoint_ns, checkpoint_id, task_id, idx"),
            ):
                asked = f"SELECT blob, {key} FROM {table} WHERE thread_id = %s AND type = %s"
                for blob, *place in db.execute(asked, (thread_id, StrictSerializer.TYPE)).fetchall():
                    node = orjson.loads(blob)
                    if (after := taken(node)) != node:
                        put = f"UPDATE {table} SET blob = %s WHERE thread_id = %s AND ({key}) = ({_marks(place)})"
                        db.execute(put, (orjson.dumps(after), thread_id, *place))
                        changed += 1
            asked = "SELECT checkpoint_ns, checkpoint_id, checkpoint, metadata FROM checkpoints WHERE thread_id = %s"
            for ns, cp, checkpoint, meta in db.execute(asked, (thread_id,)).fetchall():
                # Short values stand in the checkpoint itself; everything else in there is versions, of no words.
                values = {c: taken(value) for c, value in (checkpoint.get("channel_values") or {}).items()}
                after, told = {**checkpoint, "channel_values": values}, taken(meta)
                if (after, told) != (checkpoint, meta):
                    put = (
                        "UPDATE checkpoints SET checkpoint = %s, metadata = %s"
                        " WHERE thread_id = %s AND checkpoint_ns = %s AND checkpoint_id = %s"
                    )
                    db.execute(put, (Jsonb(after), Jsonb(told), thread_id, ns, cp))
                    changed += 1
        return changed

    # connections

    @contextmanager
    def _writing(self, thread_id: str) -> Iterator[None]:
        """What is written inside goes where this thread may be written to."""
        hold = self.locks.of(thread_id)
        assert hold is None or not self.database.inside, "what a run puts is no part of a transaction elsewhere"
        token = _place.set(hold)
        try:
            yield
        except psycopg.DataError as error:
            raise UserError(
                f"PostgreSQL cannot keep what was put into thread {thread_id!r}: {error.diag.message_primary or error}"
            ) from error
        finally:
            _place.reset(token)

    @contextmanager
    def _connected(self, *, settling: bool = False) -> Iterator[Connection]:
        hold = _place.get()
        with self.database.reading() if hold is None else hold.use(settling=settling) as db:
            yield db

    @contextmanager
    def _together(self) -> Iterator[Connection]:
        """A durable transaction where this is written."""
        hold = _place.get()
        if hold is None:
            with self.database.transaction() as db:
                yield db
        else:
            with hold.use(settling=True) as db, db.transaction():
                yield db

    @contextmanager
    def _cursor(self, *, pipeline: bool = False) -> Iterator[psycopg.Cursor[DictRow]]:
        """The library's one way to the database; ``pipeline``: it writes, all or nothing, and reads no answer."""
        hold = _place.get()
        with self._connected(settling=hold is not None and not hold.loose) as db:
            if not pipeline:
                with db.cursor(binary=True, row_factory=dict_row) as cursor:
                    yield cursor
                return
            # Without a BEGIN: all up to the end of the pipeline is one transaction, and one way there and back.
            alone = db.info.transaction_status is TransactionStatus.IDLE
            with db.pipeline(), db.cursor(binary=True, row_factory=dict_row) as cursor:
                if hold is not None and hold.loose:
                    cursor.execute(LOOSE)
                try:
                    yield cursor
                except BaseException:
                    if alone:  # a value could not be encoded: what is on its way already must not stand
                        cursor.execute("ROLLBACK")
                    raise


def _placed(config: RunnableConfig, *, ns: bool = True) -> RunnableConfig:
    """The same with a thread id that is a text and can be stored, and with a namespace."""
    given = config["configurable"]
    if "thread_id" not in given:
        raise UserError('config["configurable"] has no "thread_id"; name the thread to read or write')
    placed = {**given, "thread_id": storable(str(given["thread_id"]))}
    if ns:
        placed["checkpoint_ns"] = given.get("checkpoint_ns") or ""
    return {**config, "configurable": placed}


def _can_be_there(config: RunnableConfig | None) -> bool:
    """Whether a checkpoint and a namespace may be called so: PostgreSQL's texts have no NUL and no half of a pair."""
    given = {} if config is None else config["configurable"]
    names = f"{given.get('checkpoint_id') or ''}{given.get('checkpoint_ns') or ''}"
    return "\0" not in names and is_text(names)


def _jsonb_has(filter: dict[str, Any] | None) -> bool:
    """Whether metadata may hold this plainly: what JSONB refuses lies in boxes, and no filter looks into them."""
    left: builtins.list[Any] = [filter]
    while left:  # not by calls of itself: a client may send what is deep
        match left.pop():
            case str() as text:
                if "\0" in text or not is_text(text):
                    return False
            case float() as number:
                if not math.isfinite(number):
                    return False
            case dict() as found:
                left += [*found, *found.values()]
            case list() | tuple() as found:
                left += found
    return True


def _marks(values: Collection[object]) -> str:
    return ", ".join(["%s"] * len(values))
