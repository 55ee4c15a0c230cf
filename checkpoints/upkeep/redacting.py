"""Takes one person's words out of a thread's checkpoints. Ids, parents, versions and everything else stay.

The log is written anew beside the old one, checkpoint by checkpoint, and takes its place under its lock: a reader sees
the old or the new one whole. What counts as the person's words is said by :class:`Words`; what others, the model and
the tools have written in their own words stays.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP, CheckpointTuple

from checkpoints.errors import DiskFault
from checkpoints.files.stamps import replace_log
from checkpoints.saver import FileSaver
from checkpoints.values.codec import Decoder, Encoder
from checkpoints.values.messages import MESSAGES
from checkpoints.values.refs import Node

if TYPE_CHECKING:
    from checkpoints.postgres.saver import PgSaver

ERASED = "[erased]"
"""Stands where words were."""
SHORTEST = 3
"""Characters; shorter words are taken out of the decision itself, not out of every text that contains them."""
_SPOKEN = ("answer", "corrected", "rejected")
"""Prefixes of the ids of messages that a decision put into the conversation."""


@dataclass(frozen=True)
class Words:
    """What one person wrote in a thread.

    ``reviews``: those that the person decided; ``texts``: reasons, messages and edited values, as they were written;
    ``args``: whole argument objects that the person put in place of others.
    """

    person: str
    reviews: frozenset[str] = frozenset()
    texts: tuple[str, ...] = ()
    args: tuple[Any, ...] = ()
    ids: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", frozenset(f"{kind}-{r}" for kind in _SPOKEN for r in self.reviews))

    @classmethod
    def of(cls, person: str, decisions: Iterable[Mapping[str, Any]], said: Iterable[str] = ()) -> Words:
        """From a person's decisions and votes, and from their own messages."""
        reviews, texts, args = set(), set(said), []
        for decision in decisions:
            reviews.add(decision["review_id"])
            texts |= {decision["reason"], decision["message"]}
            if edited := decision["edited_args"]:
                texts |= set(_strings(edited))
                args.append(edited)
        longest_first = sorted((text for text in texts if len(text.strip()) >= SHORTEST), key=len, reverse=True)
        return cls(person, frozenset(reviews), tuple(longest_first), tuple(args))

    def taken_from(self, node: Node) -> Node:
        """An encoded value without the words."""
        if isinstance(node, str):
            for text in self.texts:
                node = node.replace(text, ERASED)
            return node
        if isinstance(node, list):
            return [self.taken_from(item) for item in node]
        if not isinstance(node, dict):
            return node
        if any(node == args for args in self.args):
            return {}
        kept = {key: self.taken_from(value) if key != "$" else value for key, value in node.items()}
        if node.get("by") == self.person and node.get("review_id") in self.reviews:
            kept |= {"reason": "", "message": "", "edited_args": None}
        spoke = node.get("$") == "human" and node.get("name") == self.person
        if node.get("$") in MESSAGES and (node.get("id") in self.ids or spoke):
            kept["content"] = ERASED
        return kept


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _strings(inner)


def redact(saver: FileSaver | PgSaver, thread_id: str, words: Words) -> int:
    """Take the words out of every checkpoint and write of a thread, durable on return; how many values had some.

    In a database a value that many checkpoints have is one.

    Raises:
        DiskFault, DamagedLog, SessionsAway: nothing was changed.
    """
    if not isinstance(saver, FileSaver):
        return saver.replace_values(thread_id, words.taken_from)
    session = saver.sessions.of(thread_id)
    folders = saver.sessions.folders
    aside = folders.root / f".erase-{secrets.token_hex(8)}"
    changed = 0
    with session.log.locked():
        paths = {(r.get("ns", ""), r["cp"], r["task"]): r.get("path", "") for r in session.log if r["k"] == "w"}
        config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
        found = sorted(saver.list(config), key=lambda t: str(t.checkpoint["id"]))
        try:
            with FileSaver(aside, keys=saver.sessions.keys, durability="os") as staged:
                for one in found:
                    changed += _put(staged, one, words, paths)
                if changed:
                    staged.sessions.of(thread_id).seal()
                    folder = folders.path(thread_id)
                    replace_log(aside / folder.name / session.log.path.name, session.log.path)
        except OSError as e:
            raise DiskFault(f"cannot rewrite {session.log.path}: {e.strerror}; nothing was erased") from e
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        session.log.forget()
    return changed


def _put(staged: FileSaver, one: CheckpointTuple, words: Words, paths: Mapping[tuple[str, str, str], str]) -> int:
    """Write one checkpoint and its writes without the words; how many values had some."""
    counted = [0]

    def without(value: Any) -> Any:
        node = Encoder().encode(value)
        taken = words.taken_from(node)
        if taken == node:
            return value
        counted[0] += 1
        return Decoder().decode(taken)

    checkpoint = one.checkpoint.copy()
    checkpoint["channel_values"] = {c: without(value) for c, value in checkpoint["channel_values"].items()}
    configurable = one.config["configurable"]
    place = {"thread_id": configurable["thread_id"], "checkpoint_ns": configurable.get("checkpoint_ns", "")}
    parent = {"checkpoint_id": one.parent_config["configurable"]["checkpoint_id"]} if one.parent_config else {}
    above = cast(RunnableConfig, {"configurable": {**place, **parent}})
    stored = staged.put(above, checkpoint, without(one.metadata), checkpoint["channel_versions"])
    writes: dict[str, list[tuple[str, Any]]] = {}
    for task, channel, value in one.pending_writes or []:
        writes.setdefault(task, []).append((channel, without(value)))
    for task, values in writes.items():
        path = paths.get((place["checkpoint_ns"], str(checkpoint["id"]), task), "")
        staged.put_writes(stored, sorted(values, key=lambda w: w[0] in WRITES_IDX_MAP), task, path)
    return counted[0]
