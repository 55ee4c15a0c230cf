"""A checkpoint as its record has it: versions, values by reference, and the difference from the record before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
from langgraph.checkpoint.base import Checkpoint

from checkpoints.files.frames import Record
from checkpoints.values.codec import Decoder, Encoder
from checkpoints.values.refs import Node, absolute

FULL_EVERY = 64
"""A record in this many is written in full, so that reading one checkpoint follows a bounded chain."""

_DECODER, _ENCODER = Decoder(), Encoder()
_FIELDS = frozenset({"id", "ts", "channel_values", "channel_versions", "versions_seen", "updated_channels"})
_UTC = "+00:00"
"""Left out of a time in a record; any other text ends with "~" there."""
_ABSENT = 0  # in "upd": the checkpoint had no updated_channels at all


@dataclass(slots=True)
class Tables:
    """Everything of a checkpoint but its decoded values."""

    ns: str
    id: str
    up: str | None  # the parent's id
    ts: str
    entries: dict[str, list[Node]]  # channel → [version, node], or [version] where the channel is empty
    seen: dict[str, dict[str, Any]]
    meta: dict[str, Node]
    more: dict[str, Node]  # further members of the checkpoint: v, pending_sends
    upd: list[str] | int | None
    offset: int = 0
    depth: int = 0  # differences between this record and the last full one
    versionless: list[str] = field(default_factory=list)  # values whose channel has no version

    def checkpoint(self, values: dict[str, Any]) -> Checkpoint:
        """The checkpoint with these decoded values."""
        found = _DECODER.members(self.more)
        found |= {
            "id": self.id,
            "ts": self.ts,
            "channel_values": values,
            "channel_versions": {c: e[0] for c, e in self.entries.items() if c not in self.versionless},
            "versions_seen": {n: dict(v) for n, v in self.seen.items()},
        }
        if self.upd != _ABSENT:
            found["updated_channels"] = None if self.upd is None else list(cast("list[str]", self.upd))
        return cast(Checkpoint, found)


def from_checkpoint(
    ns: str, up: str | None, checkpoint: Checkpoint, metadata: dict[str, Any], entries: dict[str, list[Node]]
) -> Tables:
    """The tables of a checkpoint whose channel values were encoded into ``entries``."""
    encode = _ENCODER.encode
    raw = cast("dict[str, Any]", checkpoint)
    upd = raw.get("updated_channels", _ABSENT)
    return Tables(
        ns=ns,
        id=checkpoint["id"],
        up=up,
        ts=checkpoint["ts"],
        entries=entries,
        seen={n: dict(v) for n, v in checkpoint["versions_seen"].items()},
        meta={k: encode(v) for k, v in metadata.items()},
        more={k: encode(v) for k, v in raw.items() if k not in _FIELDS},
        upd=list(upd) if isinstance(upd, (list, tuple, set)) else upd,
        versionless=[c for c in entries if c not in checkpoint["channel_versions"]],
    )


def to_record(new: Tables, base: Tables | None) -> Record:
    """The record of a checkpoint, as a difference from the previous one of its namespace where that is shorter."""
    record: Record = {"k": "cp"}
    if new.ns:
        record["ns"] = new.ns
    record["id"] = new.id
    if base is None or base.depth + 1 >= FULL_EVERY:
        record |= {"up": new.up, "ts": _short(new.ts), "upd": new.upd, "ch": new.entries, "seen": new.seen}
        record |= {"meta": new.meta, "more": new.more}
        if new.versionless:
            record["nover"] = new.versionless
        return record
    record["base"] = base.offset
    if new.up != base.id:
        record["up"] = new.up
    record["ts"] = _short(new.ts)
    changed, gone = _difference(new.entries, base.entries)
    record["ch"] = changed
    if gone:
        record["gone"] = gone
    if new.upd != sorted(c for c, e in changed.items() if len(e) == 2):
        record["upd"] = new.upd
    for name, a, b in (("seen", new.seen, base.seen), ("meta", new.meta, base.meta), ("more", new.more, base.more)):
        changed, gone = _difference(a, b)
        if changed:
            record[name] = changed
        if gone:
            record["un" + name] = gone
    if new.versionless:
        record["nover"] = new.versionless
    return record


def from_record(record: Record, offset: int, base: Tables | None) -> Tables:
    """The tables of a record; ``base`` are those of the record that it names as its base."""
    return from_records([(offset, record)], base)


def from_records(chain: Sequence[tuple[int, Record]], base: Tables | None) -> Tables:
    """The tables of the last of these (offset, record): each is the next one's base, ``base`` is the first one's."""
    entries, seen, meta, more = dict[str, Any](), dict[str, Any](), dict[str, Any](), dict[str, Any]()
    if base is not None:
        entries, seen, meta, more = dict(base.entries), dict(base.seen), dict(base.meta), dict(base.more)
    changed: dict[str, list[Node]] = {}
    for at, step in chain:
        changed = {c: [absolute(n, at) for n in e] for c, e in step["ch"].items()}
        _apply(entries, changed, step.get("gone"))
        for table, name, removed in ((seen, "seen", "unseen"), (meta, "meta", "unmeta"), (more, "more", "unmore")):
            if name in step or removed in step:
                _apply(table, step.get(name), step.get(removed))
    before = chain[-2][1]["id"] if len(chain) > 1 else base.id if base is not None else None
    offset, record = chain[-1]
    return Tables(
        ns=record.get("ns", ""),
        id=record["id"],
        up=record["up"] if "up" in record or before is None else before,
        ts=_long(record["ts"]),
        entries=entries,
        seen=seen,
        meta=meta,
        more=more,
        upd=record["upd"] if "upd" in record else sorted(c for c, e in changed.items() if len(e) == 2),
        offset=offset,
        depth=len(chain) - 1 if base is None else base.depth + len(chain),
        versionless=record.get("nover", []),
    )


def _short(ts: str) -> str:
    return ts.removesuffix(_UTC) if ts.endswith(_UTC) else ts + "~"


def _long(ts: str) -> str:
    return ts[:-1] if ts.endswith("~") else ts + _UTC


def _difference(new: dict[str, Any], old: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    changed = {k: v for k, v in new.items() if k not in old or not _same(v, old[k])}
    return changed, [k for k in old if k not in new]


def _same(a: Any, b: Any) -> bool:
    return bool(a == b) and orjson.dumps(a) == orjson.dumps(b)  # 1 == True == 1.0, but not here


def _apply(table: dict[str, Any], changed: dict[str, Any] | None, gone: list[str] | None) -> None:
    for key in gone or ():
        table.pop(key, None)
    table.update(changed or {})
