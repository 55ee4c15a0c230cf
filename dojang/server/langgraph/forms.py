"""Threads, states and runs in the SDK's forms. Read from the thread's folder and the accepted runs; keeps nothing."""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from langgraph.types import StateSnapshot

from dojang.runs import UnknownThread
from dojang.server.langgraph.inputs import NotTaken
from dojang.server.work import Row, Work
from dojang.server.work.plain import ASSISTANT_ID, GRAPH, interrupt_form, public_config
from dojang.workspace import Workspace

KNOWN_MAX: Final = 256
KNOWN_BYTES: Final = 128 * 1024
"""Forms that are remembered, and how large the files of one may be: 32 MB of files at most."""
_SOURCES: Final = ("thread.json", "checkpoints.jsonl", "about.jsonl")
_NAME: Final = re.compile(r"[A-Za-z0-9._:@-]{1,200}")


def run_form(row: Row, hook: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A run. ``hook``: how far the delivery of its webhook is."""
    return {
        "run_id": row.run_id,
        "thread_id": row.thread_id,
        "assistant_id": ASSISTANT_ID,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "status": row.status,
        "metadata": row.metadata,
        "multitask_strategy": row.strategy,
        "kwargs": {"stream_mode": row.body["modes"]},
        **({"error": row.error} if row.error else {}),
        **({"webhook": dict(hook)} if hook else {}),
    }


def state_form(snapshot: StateSnapshot) -> dict[str, Any]:
    """A state."""
    return {
        "values": snapshot.values,
        "next": list(snapshot.next),
        "checkpoint": _checkpoint(snapshot.config),
        "metadata": {k: v for k, v in (snapshot.metadata or {}).items() if not k.startswith("__")},
        "created_at": snapshot.created_at,
        "parent_checkpoint": _checkpoint(snapshot.parent_config) if snapshot.parent_config else None,
        "tasks": [
            {
                "id": task.id,
                "name": task.name,
                "path": list(task.path),
                "error": str(task.error) if task.error else None,
                "interrupts": [interrupt_form(interrupt) for interrupt in task.interrupts],
                "checkpoint": None,
                "state": None,
                "result": task.result,
            }
            for task in snapshot.tasks
        ],
        "interrupts": [interrupt_form(interrupt) for task in snapshot.tasks for interrupt in task.interrupts],
    }


def _checkpoint(config: Any) -> dict[str, Any]:
    inner = public_config(config)["configurable"]
    return {
        "thread_id": inner.get("thread_id"),
        "checkpoint_ns": inner.get("checkpoint_ns") or "",
        "checkpoint_id": inner.get("checkpoint_id"),
        "checkpoint_map": inner.get("checkpoint_map"),
    }


Stamp = tuple[tuple[int, int, int] | None, ...]
"""Size, modification time and inode of the files that a thread's form is read from; None for one that is not there."""


class Known:
    """Forms of threads as they were last read, each believed for as long as its stamp is the same. Safe to share.

    Without this a page of an inbox rebuilds ten states that nobody has touched.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[object, dict[str, Any]]] = OrderedDict()

    def of(self, name: str, stamp: object, read: Callable[[], dict[str, Any]], *, size: int | None) -> dict[str, Any]:
        """What ``read`` gives; not to be changed.

        Args:
            name: of the thread.
            stamp: taken before: a change meanwhile makes it another one.
            read: called where nothing is known, or it is another one's.
            size: about how many bytes what it gives may have; None: as its messages are long.
        """
        with self._lock:
            kept = self._kept.pop(name, None)
            if kept is not None and kept[0] == stamp:
                self._kept[name] = kept
                return kept[1]
        found = read()
        if (_length(found) if size is None else size) <= KNOWN_BYTES:
            with self._lock:
                self._kept[name] = (stamp, found)
                while len(self._kept) > KNOWN_MAX:
                    self._kept.popitem(last=False)
        return found


def _length(form: Mapping[str, Any]) -> int:
    """Characters of the messages of a thread's form."""
    return sum(len(str(message.content)) for message in (form["values"] or {}).get("messages") or [])


def _stamp(folder: Path) -> Stamp:
    stamps: list[tuple[int, int, int] | None] = []
    for name in _SOURCES:
        try:
            found = os.stat(f"{folder}/{name}")
            stamps.append((found.st_size, found.st_mtime_ns, found.st_ino))
        except (FileNotFoundError, NotADirectoryError):
            stamps.append(None)
    return tuple(stamps)


@dataclass(frozen=True)
class Threads:
    """The threads of a home, as clients see them."""

    workspace: Workspace
    work: Work
    known: Known
    only: str | None = None  # whose threads a list has; None: everybody's

    def exists(self, thread_id: str) -> bool:
        """Whether there is such a thread."""
        return self.workspace.parts.backend.exists(thread_id)

    def make(self, thread_id: str, metadata: dict[str, Any] | None = None) -> None:
        """Make an empty thread; NotTaken where its id is no name for one."""
        if not _NAME.fullmatch(thread_id):
            raise NotTaken("a thread id has letters, digits and . _ : @ - in it, at most 200")
        self.workspace.parts.about.merge(thread_id, metadata or {})

    def check(self, thread_id: str) -> None:
        """Raise UnknownThread unless it exists."""
        if not self.exists(thread_id):
            raise UnknownThread(f"there is no thread {thread_id!r}; `dojang threads` lists those that exist")

    def metadata(self, thread_id: str) -> dict[str, Any]:
        """What is noted of a thread, and which graph it is of."""
        return {"graph_id": GRAPH, "assistant_id": ASSISTANT_ID, **self.workspace.parts.about.of(thread_id)}

    def form(self, thread_id: str, *, status: str | None = None) -> dict[str, Any]:
        """One thread, whole; its values are not to be changed. ``status``: where it is known already.

        Raises:
            UnknownThread: there is none.
        """
        self.check(thread_id)
        stamp, size = self._stamp(thread_id)
        found = self.known.of(thread_id, stamp, lambda: self._read(thread_id), size=size)
        if status is None:
            failed = any(row.status in ("error", "timeout") for row in self.work.rows.of(thread_id, limit=1))
            busy = self.work.rows.busy(thread_id)
            status = status_of(busy=busy, waits=bool(found["interrupts"]), failed=failed)
        return {**found, "status": status}

    def _stamp(self, thread_id: str) -> tuple[object, int | None]:
        """Another one after each change of what a form shows, and about how large that is."""
        parts = self.workspace.parts
        if parts.sessions.database is not None:
            return parts.changes(thread_id), None
        stamp = _stamp(parts.folders.path(thread_id))
        return stamp, sum(one[0] for one in stamp if one is not None)

    def _read(self, thread_id: str) -> dict[str, Any]:
        """What a thread's own records say of it: all of its form but the status."""
        snapshot = self.workspace.look(thread_id)
        created = self.created_at(thread_id)
        updated = snapshot.created_at or created
        return {
            "thread_id": thread_id,
            "created_at": created,
            "updated_at": updated,
            "state_updated_at": updated,
            "metadata": self.metadata(thread_id),
            "status": "",
            "config": {},
            "values": snapshot.values or None,
            "interrupts": {
                task.id: [interrupt_form(i) for i in task.interrupts] for task in snapshot.tasks if task.interrupts
            },
        }

    def created_at(self, thread_id: str) -> str:
        """When it was made."""
        return self.workspace.parts.backend.created_at(thread_id)


def status_of(*, busy: bool, waits: bool, failed: bool) -> str:
    """A thread's status: a run that waits for nobody or is under way counts first, then a person's turn."""
    return "busy" if busy else "interrupted" if waits else "error" if failed else "idle"
