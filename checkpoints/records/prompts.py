"""What the model was given for each turn, and what it said: the raw material of training. Judges nothing.

The log ``prompts`` of each thread. A record names the messages that were read by their ids (of those that the
record before it names too, only how many), tools and passages by the hash of their content; each content is written
once a session. Appends are not waited for on the disk: a power cut may cost a training row, never a decision.

A person may keep a whole conversation out of training; that is a record of the same file, and it is waited for. What a
candidate would have said to the same prompt stands beside the turn as a record of its own kind (``aside``).
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

import orjson

from checkpoints.backend import Backend, Log, backend_at
from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import ThreadFolders
from state import Aside, DojangError, Passage, Prompt, Said

KIND: Final = "prompts"
ASIDE: Final = "aside"
SPOKEN: Final = frozenset({"prompt", ASIDE})
"""Kinds of records that hold what somebody said."""
REMEMBERED: Final = 256
"""Threads whose last record and known contents stay in memory."""
_log = logging.getLogger(__name__)
_PLAIN: Final = ("turn", "round", "at", "language", "rendered", "speaker", "said")
Record = dict[str, Any]


@dataclass
class Kept:
    """What a session's file has: turns oldest first, and what of it cannot be used."""

    prompts: list[Prompt] = field(default_factory=list)
    asides: list[Aside] = field(default_factory=list)  # of candidates, in the order in which they were said
    out: bool = False  # a person keeps the conversation out of training
    erased: set[str] = field(default_factory=set)  # "turn#round" of those whose words were erased
    lost: int = 0  # records that rest on others which are gone


class PromptLog:
    """The log ``prompts`` of each thread. Thread-safe; satisfies ``nodes.ports.Prompts`` by its shape."""

    def __init__(self, where: str | os.PathLike[str] | Backend, *, keys: KeyRing | None = None) -> None:
        self.backend = backend_at(where, keys=keys)
        self._mutex = threading.Lock()
        self._open: OrderedDict[str, tuple[Log, _Fold]] = OrderedDict()

    @property
    def folders(self) -> ThreadFolders:
        """Where the files are; UserError where sessions are none."""
        return self.backend.folders

    def note(self, thread_id: str, prompt: Prompt) -> None:
        """Append a turn, unless the conversation is kept out of training. Never raises; what went wrong is logged."""
        try:
            self._append(thread_id, prompt)
        except (DojangError, OSError) as e:
            _log.warning("thread %s: a turn is not kept for training: %s", thread_id, e)

    def note_aside(self, thread_id: str, aside: Aside) -> bool:
        """Append what a candidate would have said, as :meth:`note`; whether it was kept. Never raises."""
        try:
            return self._write(thread_id, lambda fold: [{"k": ASIDE, **aside}])
        except (DojangError, OSError) as e:
            _log.warning("thread %s: what a candidate said is not kept: %s", thread_id, e)
            return False

    def keep_out(self, thread_id: str, out: bool, by: str, at: datetime) -> bool:
        """Keep a conversation out of training from now on, or let it in again, durable on return; whether that is new.

        What was kept before stays in the file, and is left out of every dataset that is built while this stands.
        """
        with self._log(thread_id, sync=True).writing() as writer:
            fresh = _Fold.over(writer.records).out != out
            if fresh:
                writer.write([{"k": "out" if out else "in", "by": by, "at": at.isoformat()}])
            writer.wait()
        return fresh

    def read(self, thread_id: str) -> Kept:
        """Everything that is kept of a thread, whole. A missing file holds nothing."""
        kept, fold, bodies = Kept(), _Fold(), {}
        for record in self.entries(thread_id):
            fold.take(record)
            if record["k"] == "body":
                bodies[record["sha256"]] = record["body"]
            elif record["k"] == "prompt":
                _collect(record, fold.ids, bodies, kept)
            elif record["k"] == ASIDE and "erased" not in record:
                kept.asides.append(cast(Aside, {key: record[key] for key in Aside.__annotations__}))
        kept.out = fold.out
        return kept

    def entries(self, thread_id: str) -> list[Record]:
        """The records as they were written, oldest first."""
        return self._log(thread_id).records()

    def _append(self, thread_id: str, prompt: Prompt) -> None:
        self._write(thread_id, lambda fold: list(fold.records_of(prompt)))

    def _write(self, thread_id: str, records_of: Callable[[_Fold], list[Record]]) -> bool:
        if not self.backend.exists(thread_id):
            return False  # no session of ours: nothing to keep it beside
        log, fold = self._known(thread_id)
        with log.writing() as writer:
            if writer.reset:
                fold.forget()
            fold.take_all(writer.records)
            if fold.out:
                return False
            records = records_of(fold)
            writer.write(records)
            fold.take_all(records)
            return True

    def _known(self, thread_id: str) -> tuple[Log, _Fold]:
        """What is remembered of a thread; the fold is touched under the log's lock only."""
        with self._mutex:
            found = self._open.get(thread_id)
            if found is None:
                found = self._open[thread_id] = (self._log(thread_id), _Fold())
                while len(self._open) > REMEMBERED:
                    self._open.popitem(last=False)
            self._open.move_to_end(thread_id)
            return found

    def _log(self, thread_id: str, *, sync: bool = False) -> Log:
        return self.backend.log(thread_id, KIND, sync=sync)


class _Fold:
    """What the next record may rest on."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.bodies: set[str] = set()
        self.key = ""  # of the last turn
        self.ids: list[str] | None = []  # that it read; None where that cannot be told
        self.out = False

    @classmethod
    def over(cls, records: Iterable[Record]) -> _Fold:
        fold = cls()
        fold.take_all(records)
        return fold

    def take_all(self, records: Iterable[Record]) -> None:
        for record in records:
            self.take(record)

    def take(self, record: Record) -> None:
        match record["k"]:
            case "body":
                self.bodies.add(record["sha256"])
            case "prompt":
                read = record["messages"]
                rests = not read["keep"] or (self.ids is not None and read["after"] == self.key)
                if rests:
                    self.ids = self.ids or []
                    del self.ids[read["keep"] :]
                    self.ids += read["add"]
                else:
                    self.ids = None
                self.key = key_of(record)
            case "out" | "in":
                self.out = record["k"] == "out"

    def records_of(self, prompt: Prompt) -> Iterable[Record]:
        """The record of a turn, after the contents that the file does not have yet."""
        names: dict[str, list[str]] = {"tools": [], "passages": []}
        new: set[str] = set()
        bodies = [("tools", tool) for tool in prompt["tools"]]
        for kind, body in [*bodies, *(("passages", _unscored(passage)) for passage in prompt["passages"])]:
            name = hash_of(body)
            names[kind].append(name)
            if name not in self.bodies and name not in new:
                new.add(name)
                yield {"k": "body", "sha256": name, "body": body}
        keep = _shared(self.ids or [], prompt["messages"])
        read = {"after": self.key, "keep": keep, "add": prompt["messages"][keep:]}
        yield {"k": "prompt", **{key: prompt[key] for key in _PLAIN}, "messages": read, **names}


def key_of(prompt: Mapping[str, Any]) -> str:
    """``turn#round`` of a turn. A turn that ran again after a crash has two records with one key."""
    return f"{prompt['turn']}#{prompt['round']}"


def hash_of(body: Any) -> str:
    """32 hexadecimal digits of the SHA-256 of a content as JSON with sorted keys."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def blanked(record: Record) -> Record:
    """A turn without what was said in it, with the digest of what it was."""
    empty = Said(calls=[], text="", citations=[], clarification="", about="", abstained=False)
    return {**record, "said": empty, "erased": {"sha256": hash_of(record["said"])}}


def _unscored(passage: Passage) -> dict[str, Any]:
    """Without what differs from question to question and no prompt shows."""
    return {**passage, "scores": {}}


def _shared(old: list[str], new: list[str]) -> int:
    """How many ids two lists have in common at their beginning."""
    for n, (a, b) in enumerate(zip(old, new, strict=False)):
        if a != b:
            return n
    return min(len(old), len(new))


def _collect(record: Record, ids: list[str] | None, bodies: Mapping[str, Any], kept: Kept) -> None:
    if "erased" in record:
        kept.erased.add(key_of(record))
    elif ids is None or not all(name in bodies for name in (*record["tools"], *record["passages"])):
        kept.lost += 1
    else:
        whole = {key: record[key] for key in _PLAIN} | {"messages": list(ids)}
        whole |= {kind: [bodies[name] for name in record[kind]] for kind in ("tools", "passages")}
        kept.prompts.append(cast(Prompt, whole))


__all__ = ["ASIDE", "KIND", "SPOKEN", "Kept", "PromptLog", "blanked", "hash_of", "key_of"]
