"""A thread's checkpoints as a time line: what each step changed in the state. Pure.

Strings stay raw in here. The template environment cleans and escapes every one of them on its way out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langgraph.types import StateSnapshot

from dojang.runs import waiting_of
from dojang.server.clean import pretty_json
from dojang.server.console.addresses import review_href
from dojang.server.console.spoken import Line, lines_of
from dojang.server.wording import NODES, Say, label
from dojang.server.work.plain import plain
from dojang.vocabulary import N_

SHOWN: Final = 2_000  # characters of a value
SOURCES: Final = {
    "input": N_("input"),
    "loop": N_("step"),
    "update": N_("changed by hand"),
    "fork": N_("copied from an older one"),
}
"""Where a checkpoint comes from."""


@dataclass(frozen=True)
class Value:
    """A key of the state that differs from the checkpoint before."""

    key: str
    before: str  # JSON for the eye; "" where there was none
    after: str


@dataclass(frozen=True)
class Moment:
    """One checkpoint."""

    id: str
    number: int
    at: str
    source: str
    next: str  # the steps that come next, in words; "" at the end
    added: list[Line]
    changed: list[Value]
    waits: list[tuple[str, str]]  # (address, summary) of reviews
    newest: bool
    forkable: bool


def moments_of(
    snapshots: Sequence[StateSnapshot], newest_id: str, say: Say, *, hidden: Collection[str] = ()
) -> list[Moment]:
    """The time line, newest first. ``snapshots``: newest first, one more than is shown where there is one more.

    ``hidden``: keys of the state that are not shown.
    """
    older: list[StateSnapshot | None] = [*snapshots[1:], None]
    return [_moment(now, before, newest_id, say, hidden) for now, before in zip(snapshots, older, strict=True)]


def _moment(
    now: StateSnapshot, before: StateSnapshot | None, newest_id: str, say: Say, hidden: Collection[str]
) -> Moment:
    metadata: Mapping[str, Any] = now.metadata or {}
    old: Mapping[str, Any] = before.values if before is not None else {}
    checkpoint_id = str(now.config["configurable"]["checkpoint_id"])
    known = {message.id for message in old.get("messages") or []}
    source = str(metadata.get("source", ""))
    return Moment(
        id=checkpoint_id,
        number=int(metadata.get("step", 0)),
        at=now.created_at or "",
        source=label(say, SOURCES, source),
        next=", ".join(label(say, NODES, name) for name in dict.fromkeys(now.next) if not name.startswith("__")),
        added=lines_of([message for message in now.values.get("messages") or [] if message.id not in known]),
        changed=[
            Value(key, shown(old[key]) if key in old else "", shown(value))
            for key, value in now.values.items()
            if key != "messages" and key not in hidden and (key not in old or old[key] != value)
        ],
        waits=[(review_href(review["id"]), review["question"] or review["summary"]) for _, review in waiting_of(now)],
        newest=checkpoint_id == newest_id,
        forkable=bool(now.values.get("messages")),
    )


def shown(value: Any) -> str:
    """A value of the state as JSON for the eye, cut where it is long."""
    text = value if isinstance(value, str) else pretty_json(plain(value))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… +{len(text) - SHOWN:,}"
