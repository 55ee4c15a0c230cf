"""A thread as plain JSON, for other programs: its checkpoints, writes, decisions and effects, oldest first.

Values are written as docs/checkpoint-format.md says (section Values), whole in each checkpoint, without references.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import orjson

from checkpoints.files.crypto import KeyRing
from checkpoints.records.decisions import DecisionLog
from checkpoints.records.ledger import EffectLedger
from checkpoints.records.prompts import PromptLog
from checkpoints.upkeep.home import Home, home_at
from checkpoints.values.codec import Encoder
from state import UserError

FORMAT = 1


def export(
    where: str | os.PathLike[str] | Home, thread_id: str, *, keys: KeyRing | None = None
) -> Iterator[dict[str, Any]]:
    """The records: one ``thread``, then ``checkpoint``, ``decision``, ``intent`` and ``outcome``, ``prompt``, in order.

    Raises:
        UserError: there is no such thread, or the keys do not fit.
    """
    home = home_at(where, keys=keys)
    saver, backend = home.saver, home.backend
    if not backend.exists(thread_id):
        raise UserError(f"there is no thread {thread_id!r}; `dojang threads` lists those that exist")
    places = saver.places(thread_id)
    yield {"k": "thread", "format": FORMAT, "thread_id": thread_id, "checkpoints": len(places)}
    for cp, ns in places:
        found = saver.get_tuple({"configurable": {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": cp}})
        if found is None:
            continue  # pruned meanwhile
        encode = Encoder().encode
        yield {
            "k": "checkpoint",
            "ns": ns,
            "id": cp,
            "parent": found.parent_config["configurable"]["checkpoint_id"] if found.parent_config else None,
            "metadata": encode(dict(found.metadata)),
            "checkpoint": encode(dict(found.checkpoint)),
            "writes": [[task, channel, encode(value)] for task, channel, value in found.pending_writes or []],
        }
    for decision in DecisionLog(backend).of(thread_id).values():
        yield {"k": "decision", "decision": dict(decision)}
    yield from EffectLedger(backend).entries(thread_id)
    kept = PromptLog(backend).read(thread_id)
    yield from ({"k": "prompt", "prompt": dict(prompt)} for prompt in kept.prompts)
    yield from ({"k": "aside", "aside": dict(aside)} for aside in kept.asides)


def as_jsonl(records: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """One line a record."""
    return (orjson.dumps(record) + b"\n" for record in records)


def as_json(records: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """One array of all records."""
    for n, record in enumerate(records):
        yield (b"[\n" if n == 0 else b",\n") + orjson.dumps(record)
    yield b"\n]\n"
