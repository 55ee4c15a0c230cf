"""All that a home holds from files into PostgreSQL, or back: all of it or, as far as anybody can see, nothing.

While it is on its way a note lies in the target, and whoever opens the target is refused. What was copied is read back
and compared; then the source is put aside under another name, and the note is taken away. Cut off at any instant, the
same call goes on. Nobody may work in the source meanwhile: a thread that changed since it was copied is copied again,
and threads that go on changing are an error.

::

    note "moving" in the target: {"state": "copying", …}
    every thread: run lock, checkpoints, logs, notes     a thread that is there and the same is left alone
    the home's own: its chain, standing approvals, the switch, public keys
    every thread once more: has it changed?
    note "moving": {"state": "copied", …}
    the source is put aside
    no note any more
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypedDict, cast

import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, CheckpointTuple

from checkpoints.backend import Backend, Record
from checkpoints.upkeep.home import Home
from checkpoints.upkeep.importing import copy_checkpoint
from checkpoints.values.codec import Encoder
from state import BrokenInvariant, Conflict

MOVING: Final = "moving"
"""The note that lies in a home into which another one is being moved."""
LOGS: Final = ("decisions", "ledger", "prompts", "about", "attachments", "audit")
"""What a thread has beside its checkpoints."""
NOTES: Final = ("audit.head",)
HOME_LOGS: Final = ("audit",)
HOME_NOTES: Final = ("audit.head",)
LISTS: Final = ("notices",)
ROUNDS: Final = 3
"""How often changed threads are copied again before it is an error."""
Tell = Callable[[str], None]
"""Told the id of each thread when it has been copied."""


@dataclass(frozen=True)
class Side:
    """Where sessions are moved from, or to."""

    name: str  # for people
    home: Home
    aside: Callable[[str], str]  # keep them under another name, of which this is the end; what it is called now

    @property
    def backend(self) -> Backend:
        """Of its home."""
        return self.home.backend

    @property
    def saver(self) -> BaseCheckpointSaver[Any]:
        """Of its home."""
        return self.home.saver


class Relocated(TypedDict):
    """What was moved."""

    threads: int
    checkpoints: int
    records: int  # of logs
    kept: str  # where what was in the source is now


def relocate(
    source: Side,
    target: Side,
    *,
    tell: Tell = lambda thread: None,
    may: Callable[[], None] = lambda: None,
    also: Callable[[], None] = lambda: None,
) -> Relocated:
    """Move everything; see the module. Call it while no server or worker has either.

    ``may``: raises where something else keeps the two from being moved into one; called before anything is written.
    ``also``: copies what else there is beside the sessions; called after each round, so it may be called again.

    Raises:
        Conflict: the target has sessions of its own, or somebody works in the source.
        BrokenInvariant: what was read back differs; the source is untouched.
    """
    begun = _note(target.backend)
    if begun is None and next(iter(target.backend.threads()), None) is not None:
        raise Conflict(f"{target.name} has sessions already; nothing was moved: name an empty one")
    if begun is not None and begun["from"] != source.name:
        raise Conflict(f"into {target.name} a move from {begun['from']} is under way; end that one first")
    may()
    said = begun or {"state": "copying", "from": source.name, "at": datetime.now(UTC).isoformat()}
    done = Relocated(threads=0, checkpoints=0, records=0, kept="")
    if said["state"] == "copying" or next(iter(source.backend.threads()), None) is not None:
        # Also where it was cut off just before the source was put aside: somebody may have gone on in it since.
        said = {**said, "state": "copying"}
        _write(target.backend, said)
        done = _copied(source, target, tell, also)
        said = {**said, "state": "copied", "suffix": datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), "done": done}
        _write(target.backend, said)
    done = cast(Relocated, dict(said["done"]))
    done["kept"] = source.aside(str(said["suffix"]))
    target.backend.replace_note(None, MOVING, None)
    return done


def check_not_moving(backend: Backend) -> None:
    """Raise Conflict where another home is being moved into this one: it is not whole."""
    said = _note(backend)
    if said is not None:
        raise Conflict(
            f"the sessions of {said['from']} are on their way here since {said['at']}, and not all of them have come; "
            "run the same `dojang workspace move` again, it goes on"
        )


def _copied(source: Side, target: Side, tell: Tell, also: Callable[[], None]) -> Relocated:
    done = Relocated(threads=0, checkpoints=0, records=0, kept="")
    seen: dict[str, object] = {}
    read: dict[str, _Read] = {}
    for _round in range(ROUNDS):
        changed = [thread for thread in source.backend.threads() if seen.get(thread) != _stamp(source, thread)]
        for thread in changed:
            before = _stamp(source, thread)
            with source.home.run_lock(thread, "moving"):
                read[thread] = _thread(source, target, thread)
            seen[thread] = before
            tell(thread)
        gone = [thread for thread in target.backend.threads() if thread not in seen]
        for thread in [*gone, *(t for t in seen if not source.backend.exists(t))]:
            _removed(target, thread)
            seen.pop(thread, None)
        _home(source, target)
        also()
        if not changed:
            break
    else:
        raise Conflict("the sessions go on changing; nothing was moved: end servers and workers first")
    for thread in seen:
        done["threads"] += 1
        done["checkpoints"] += read[thread].checkpoints
        done["records"] += read[thread].records
    return done


def _stamp(side: Side, thread: str) -> object:
    newest = side.saver.get_tuple(_config(thread))
    return (side.backend.stamp(thread, *LOGS), newest.checkpoint["id"] if newest else "", _writes(newest))


def _writes(found: CheckpointTuple | None) -> int:
    return len(found.pending_writes or []) if found is not None else 0


def _thread(source: Side, target: Side, thread: str) -> _Read:
    """Copy one thread, unless the target has it just so; how it reads there."""
    if target.backend.exists(thread):
        there = _read(target, thread)
        if _read(source, thread) == there:
            return there
        _removed(target, thread)
    given, there = _read(source, thread, into=target), _read(target, thread)
    if given != there:
        raise BrokenInvariant(
            f"thread {thread} reads differently in {target.name}; nothing was moved, {source.name} is as it was"
        )
    return there


def _home(source: Side, target: Side) -> None:
    for kind in HOME_LOGS:
        _log(source, target, kind)
    for name in HOME_NOTES:
        target.backend.replace_note(None, name, source.backend.note(None, name))
    for name in LISTS:
        theirs, ours = set(source.backend.marked(name)), set(target.backend.marked(name))
        for thread in theirs ^ ours:
            target.backend.mark(thread, name, thread in theirs)
    for key_id, pem in source.backend.signers().items():
        target.backend.make_known(key_id, pem)


def _log(source: Side, target: Side, kind: str) -> None:
    records = source.backend.log(None, kind).records()
    if records != target.backend.log(None, kind).records():
        _put(target, None, kind, records)


def _put(side: Side, thread: str | None, kind: str, records: list[Record]) -> None:
    log = side.backend.log(thread, kind)
    with log.locked():
        log.rewrite(records)


def _removed(side: Side, thread: str) -> None:
    side.saver.delete_thread(thread)
    side.backend.remove(thread)


class _Read(NamedTuple):
    """Everything of a thread, as it was read."""

    sha256: str  # over it as plain JSON
    checkpoints: int
    records: int  # of logs


def _read(side: Side, thread: str, *, into: Side | None = None) -> _Read:
    """Read a thread, and put what is read into another side that has nothing of it."""
    whole, checkpoints, records = hashlib.sha256(), 0, 0

    def count(part: Any) -> None:
        whole.update(orjson.dumps(part, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS))

    created_at = side.backend.created_at(thread)
    count(created_at)
    if into is not None:
        into.backend.ensure(thread, created_at=created_at)
    for found in _checkpoints(side, thread):
        checkpoints += 1
        count(_plain(found))  # before it is given away
        if into is not None:
            copy_checkpoint(into.saver, found)
    for kind in LOGS:
        log = side.backend.log(thread, kind).records()
        records += len(log)
        count(log)
        if into is not None and log:
            _put(into, thread, kind, log)
    for name in NOTES:
        note = side.backend.note(thread, name)
        count((note or b"").decode("utf-8", "backslashreplace"))
        if into is not None:
            into.backend.replace_note(thread, name, note)
    return _Read(whole.hexdigest(), checkpoints, records)


def _plain(found: CheckpointTuple) -> list[Any]:
    encode = Encoder().encode
    writes = [[task, channel, encode(value)] for task, channel, value in found.pending_writes or []]
    return [
        found.config["configurable"].get("checkpoint_ns", ""),
        (found.parent_config or {}).get("configurable", {}).get("checkpoint_id"),
        encode(dict(found.metadata)),
        encode(dict(found.checkpoint)),
        sorted(writes, key=orjson.dumps),
    ]


def _checkpoints(side: Side, thread: str) -> list[CheckpointTuple]:
    """All of a thread, oldest first, of each namespace in the order of its ids."""
    found = sorted(side.saver.list(_config(thread)), key=lambda one: str(one.checkpoint["id"]))
    return told_apart(found)


def told_apart(found: Sequence[CheckpointTuple]) -> list[CheckpointTuple]:
    """The same checkpoints, in which no two values of a channel have the same version.

    Session files number versions 1, 2, 3, …, so two branches of a thread can both have a fourth version of a channel;
    PostgreSQL keeps one value for each. Each version gets as its second part what tells its branch: where a checkpoint
    has the version of the one that it follows, that one's, else its own. What a node has seen is told by the nearest
    checkpoint above in which the channel had that version. Versions that are text are told apart already.
    """
    known: dict[tuple[str, str], tuple[str | None, dict[str, Any], dict[str, str]]] = {}
    told: list[CheckpointTuple] = []
    for one in found:
        ns = one.config["configurable"].get("checkpoint_ns", "")
        parent = (one.parent_config or {}).get("configurable", {}).get("checkpoint_id")
        versions = one.checkpoint["channel_versions"]
        above = known.get((ns, parent)) if parent else None
        names = {
            channel: (
                above[2][channel]
                if above is not None and channel in above[2] and above[1].get(channel) == version
                else _version(version, f"{one.checkpoint['id']} {channel}")
            )
            for channel, version in versions.items()
            if isinstance(version, int)
        }
        known[ns, one.checkpoint["id"]] = (parent, dict(versions), names)
        seen = {
            node: {channel: _seen(known, ns, one.checkpoint["id"], channel, version) for channel, version in of.items()}
            for node, of in one.checkpoint["versions_seen"].items()
        }
        checkpoint = cast(
            Checkpoint,
            {**one.checkpoint, "channel_versions": {**versions, **names}, "versions_seen": seen},
        )
        told.append(one._replace(checkpoint=checkpoint))
    return told


def _seen(known: Any, ns: str, checkpoint_id: str | None, channel: str, version: Any) -> Any:
    if not isinstance(version, int):
        return version
    at = checkpoint_id
    while at is not None and (ns, at) in known:
        parent, versions, names = known[ns, at]
        if versions.get(channel) == version and channel in names:
            return names[channel]
        at = parent
    return _version(version, "")  # of a time that is kept no more: older than every version that is


def _version(number: int, branch: str) -> str:
    """As LangGraph's savers for databases write them: a number of 32 digits, a point, 16 digits."""
    tail = int.from_bytes(hashlib.sha256(branch.encode()).digest()[:6]) if branch else 0
    return f"{number:032}.{tail:016}"


def _note(backend: Backend) -> dict[str, Any] | None:
    found = backend.note(None, MOVING)
    return None if found is None else cast("dict[str, Any]", orjson.loads(found))


def _write(backend: Backend, said: dict[str, Any]) -> None:
    backend.replace_note(None, MOVING, orjson.dumps(said))


def _config(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread}}
