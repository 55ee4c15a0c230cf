"""A checkpoint with everything that a saver says of it, decoded; and small ones that one process keeps, frozen.

A list over all threads asks for the same small checkpoints again and again, and opening, reading and checking a file
costs ten times what the decoding does. What is kept is kept with the proof of the log that it was read from
(``heads``), in memory alone, and each time thawed anew: no two callers share any of it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from langgraph.checkpoint.base import Checkpoint

from checkpoints.log.heads import Proof
from checkpoints.log.memory import decoded
from checkpoints.log.positions import Key
from checkpoints.log.session import pending
from checkpoints.log.tables import Tables
from checkpoints.log.view import View
from checkpoints.values.bulk import bulk
from checkpoints.values.codec import Decoder, freeze, thaw

BULK_MIN = 16 * 1024
"""Bytes of a log of which little can be made."""

KEEP_MAX = 16 * 1024
"""Bytes of a log, and of one frozen checkpoint, that is kept at most."""

KEPT_BYTES = 32 * 1024 * 1024
"""Of all that is kept."""

_OVERHEAD = 500  # of a row

_PLAIN = Decoder()


class Whole(NamedTuple):
    """Fresh values, which belong to the caller."""

    ns: str
    id: str
    up: str | None
    checkpoint: Checkpoint
    metadata: dict[str, Any]
    writes: list[tuple[str, str, Any]]


def whole(view: View, tables: Tables, metadata: dict[str, Any], writes: Sequence[int]) -> Whole:
    """The checkpoint with these tables and the writes at these offsets. Nothing is remembered."""
    with contextlib.nullcontext() if view.complete and view.size <= BULK_MIN else bulk():
        made = tables.checkpoint(decoded(view, tables))
        return Whole(tables.ns, tables.id, tables.up, made, metadata, pending(view, writes))


def metadata_of(tables: Tables) -> dict[str, Any]:
    """A checkpoint's metadata, fresh."""
    return _PLAIN.members(tables.meta)


class Row:
    """One checkpoint that is kept."""

    __slots__ = ("frozen", "metadata")

    def __init__(self, metadata: dict[str, Any]) -> None:
        self.metadata = metadata  # to look at, never handed out
        self.frozen: bytes | None = None  # all of it, when it was asked for and is small

    def thawed(self) -> Whole | None:
        """A fresh copy."""
        return None if self.frozen is None else Whole(*thaw(self.frozen))


class ThreadRows:
    """The checkpoints of one small thread as its log was under a proof, and rows of those that a list came upon."""

    __slots__ = ("folder", "keys", "proof", "rows", "size")

    def __init__(self, folder: str, proof: Proof, keys: list[Key]) -> None:
        self.folder = folder
        self.proof = proof
        self.keys = keys  # (checkpoint id, namespace), ascending
        self.rows: dict[Key, Row] = {}
        self.size = 0


class Rows:
    """What is kept of all threads. Safe to share between threads."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._threads: dict[str, ThreadRows] = {}
        self._bytes = 0

    def of(self, folder: str, proof: Proof | None) -> ThreadRows | None:
        """What is kept of a thread whose log has this proof."""
        kept = self._threads.get(folder)
        return kept if kept is not None and kept.proof == proof else None

    def begin(self, folder: str, proof: Proof, keys: list[Key]) -> ThreadRows | None:
        """Keep rows of a thread from now on; None where it is too large."""
        if proof[0] > KEEP_MAX:
            return None
        made = ThreadRows(folder, proof, keys)
        with self._mutex:
            self._drop(folder)
            self._threads[folder] = made
        return made

    def drop(self, folder: str) -> None:
        """Keep nothing of a thread: its log was written."""
        with self._mutex:
            self._drop(folder)

    def add(self, kept: ThreadRows, key: Key, metadata: dict[str, Any], found: Whole | None) -> None:
        """Keep a checkpoint that was read, with ``found`` all of it."""
        row = Row(metadata)
        if found is not None:  # which goes to a caller, metadata and all
            frozen = freeze(tuple(found))
            row.metadata = thaw(freeze(metadata))
            row.frozen = frozen if len(frozen) <= KEEP_MAX else None
        with self._mutex:
            if self._threads.get(kept.folder) is not kept:
                return
            kept.rows[key] = row
            grown = _OVERHEAD + len(row.frozen or b"")
            kept.size += grown
            self._bytes += grown
            while self._bytes > KEPT_BYTES and self._threads:
                self._drop(next(iter(self._threads)))

    def _drop(self, folder: str) -> None:
        if (kept := self._threads.pop(folder, None)) is not None:
            self._bytes -= kept.size
