"""Takes words out of a home. Digests stay, so that the chains still verify; who erased what is a record, too.

Two ways: what one person wrote, in all conversations (:func:`erase_person`), and all content of one finished
conversation, whoever it is about (:func:`erase_thread`). docs/audit.md says what stays in either case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

from checkpoints.audit.trail import DECIDING, EFFECTS, AuditLog, digest_of
from checkpoints.backend import Log
from checkpoints.errors import ThreadBusy
from checkpoints.records.about import KIND as ABOUT
from checkpoints.records.attachments import KIND as ATTACHMENTS
from checkpoints.records.attachments import without_data
from checkpoints.records.decisions import DecisionLog
from checkpoints.records.ledger import EffectLedger
from checkpoints.records.prompts import KIND as PROMPTS
from checkpoints.records.prompts import SPOKEN, blanked
from checkpoints.upkeep.home import Home, home_at
from checkpoints.upkeep.redacting import ERASED, Words, redact
from state import UserError

Record = dict[str, Any]


class Erased(TypedDict):
    """What was erased in one conversation, and what of it stays."""

    thread_id: str
    decisions: int  # records of which the words are gone
    effects: int
    texts: int  # values in the checkpoints of which words are gone
    prompts: int  # kept turns of the model of which what it said is gone
    notes: int  # what clients have noted about it, of which words are gone
    checkpoints: bool  # whether the conversation itself is gone
    left: str  # why nothing, or not all, was erased; "" else


def erase_person(audit: AuditLog, person: str, actor: str, reason: str, *, home: Home | None = None) -> list[Erased]:
    """Erase what ``person`` wrote (reasons, messages, edited arguments, their own messages) in finished conversations.

    In decisions, checkpoints and the ledger. A conversation that waits, or was cut off, or in which a run is under way,
    is left alone: what it will do hangs on those words. ``home``: where the sessions lie, if not as files.
    """
    found = []
    home = home or home_at(audit.folders.root, keys=audit.folders.keys)
    for thread_id in [*audit.backend.threads()]:
        words = _words(home, thread_id, person)
        if not words.reviews and not words.texts:
            continue
        done = Erased(
            thread_id=thread_id, decisions=0, effects=0, texts=0, prompts=0, notes=0, checkpoints=False, left=""
        )
        try:
            with home.run_lock(thread_id, f"{actor}, erasing"):
                done["left"] = _unfinished(home, thread_id)
                if not done["left"]:
                    _erase_words(audit, home, thread_id, words, actor, reason, done)
                    done["left"] = "what the model, the tools and other people wrote stays: erase it with --thread"
        except ThreadBusy as busy:
            done["left"] = str(busy)
        found.append(done)
    return found


def _words(home: Home, thread_id: str, person: str) -> Words:
    """What the person wrote in a thread and what is still there."""
    records = DecisionLog(home.backend).entries(thread_id)
    state = home.saver.get_tuple({"configurable": {"thread_id": thread_id}})
    messages = (state.checkpoint["channel_values"].get("messages") or []) if state is not None else []
    own = {str(m.text) for m in messages if m.type == "human" and m.name == person} - {ERASED}
    return Words.of(person, [_said(r) or {} for r in records if _by(r, person) and _wordy(r)], own)


def _erase_words(
    audit: AuditLog, home: Home, thread_id: str, words: Words, actor: str, reason: str, done: Erased
) -> None:
    """The decisions come last: a crash before them leaves the words by which the next call finds the others."""
    audit.note(thread_id, "content.erased", actor, thread_id, {"what": "words in checkpoints", "reason": reason})
    done["texts"] = redact(home.saver, thread_id, words)
    done["prompts"] = _erase_prompts(
        audit, thread_id, lambda r: blanked(r) if words.taken_from(r["said"]) != r["said"] else r
    )
    done["notes"] = _erase_notes(audit, thread_id, words.taken_from)
    _erase_files(audit, thread_id, words.person)
    edited = {e["key"] for e in _entries(audit, thread_id) if e["k"] == "intent" and e["action"]["args"] in words.args}

    def effect(record: Record) -> Record | None:
        return _blank(record) if record.get("key") in edited else None

    def decision(record: Record) -> Record | None:
        return _blank(record) if _by(record, words.person) else None

    for name, key, blank in (("ledger", "effects", effect), ("decisions", "decisions", decision)):
        log = audit.backend.log(thread_id, name)
        if log.exists():
            done[key] = _erase(audit, thread_id, log, blank, actor, reason)  # type: ignore[literal-required]


def erase_thread(audit: AuditLog, thread_id: str, actor: str, reason: str, *, home: Home | None = None) -> Erased:
    """Erase all content of a finished conversation: its checkpoints, the words of its decisions, arguments and results.

    Raises:
        UserError: there is no such conversation, or it is not finished.
        ThreadBusy: a run is under way in it.
    """
    if not audit.backend.exists(thread_id):
        raise UserError(f"there is no thread {thread_id!r}; `dojang threads` lists those that exist")
    home = home or home_at(audit.folders.root, keys=audit.folders.keys)
    with home.run_lock(thread_id, f"{actor}, erasing"):
        if left := _unfinished(home, thread_id):
            raise UserError(f"thread {thread_id} is not erased: {left}")
        return _erase_all(audit, home, thread_id, actor, reason)


def _erase_all(audit: AuditLog, home: Home, thread_id: str, actor: str, reason: str) -> Erased:
    counts = []
    for name in ("decisions", "ledger"):
        log = audit.backend.log(thread_id, name)
        counts.append(_erase(audit, thread_id, log, _blank, actor, reason) if log.exists() else 0)
    audit.note(thread_id, "content.erased", actor, thread_id, {"what": "checkpoints", "reason": reason})
    prompts = _erase_prompts(audit, thread_id, blanked, bodies=False)
    notes = _erase_notes(audit, thread_id, lambda metadata: {})
    _erase_files(audit, thread_id)
    home.saver.prune([thread_id], strategy="delete")
    return Erased(
        thread_id=thread_id, decisions=counts[0], effects=counts[1], texts=0, prompts=prompts, notes=notes,
        checkpoints=True, left="",
    )  # fmt: skip


def _entries(audit: AuditLog, thread_id: str) -> list[Record]:
    return EffectLedger(audit.backend).entries(thread_id)


def _unfinished(home: Home, thread_id: str) -> str:
    """Why a conversation may not lose its words yet; "" where it may."""
    found = home.saver.get_tuple({"configurable": {"thread_id": thread_id}})
    if found is not None and any(channel == "__interrupt__" for _, channel, _ in found.pending_writes or []):
        return "it waits for a decision; decide it first"
    if found is not None and any(c.startswith("branch:to:") for c in found.checkpoint["channel_values"]):
        return f"a run was cut off; `dojang resume {thread_id}` finishes it first"
    ends: dict[str, str] = {}
    for entry in EffectLedger(home.backend).entries(thread_id):
        ends[entry["key"]] = entry["outcome"]["status"] if entry["k"] == "outcome" else ""
    return "an effect has no certain outcome; settle it first" if {"", "in_doubt"} & set(ends.values()) else ""


def _erase(
    audit: AuditLog, thread_id: str, log: Log, blank: Callable[[Record], Record | None], actor: str, reason: str
) -> int:
    """Note each erasure, then rewrite the file: a crash in between leaves words that the next call erases."""
    audit.catch_up(thread_id)
    with log.locked():
        records = log.records()
        blanked = [blank(record) for record in records]
        for before, after in zip(records, blanked, strict=True):
            if after is not None:
                said = _said(before)
                subject = str((before.get("key") or before["id"]) if said is None else said["review_id"])
                facts = {"sha256": after["erased"]["sha256"], "file": log.path.name, "reason": reason}
                audit.note(thread_id, "content.erased", actor, subject, facts)
        if any(after is not None for after in blanked):
            log.rewrite([after or before for before, after in zip(records, blanked, strict=True)])
    return sum(after is not None for after in blanked)


def _erase_prompts(audit: AuditLog, thread_id: str, without: Callable[[Record], Record], *, bodies: bool = True) -> int:
    """Take words out of kept turns, and the passages that were read too unless ``bodies``; no chain holds them."""
    log = audit.backend.log(thread_id, PROMPTS)
    if not log.exists():
        return 0
    with log.locked():
        records = log.records()
        fresh = {n for n, r in enumerate(records) if r["k"] in SPOKEN and "erased" not in r}
        after = [without(r) if n in fresh else r for n, r in enumerate(records)]
        kept = [r for r in after if bodies or r["k"] != "body"]
        if kept != records:
            log.rewrite(kept)
    return sum(a != b for a, b in zip(records, after, strict=True))


def _erase_notes(audit: AuditLog, thread_id: str, without: Callable[[Any], Any]) -> int:
    """Take words out of what clients have noted about a conversation; earlier notes go, too."""
    log = audit.backend.log(thread_id, ABOUT)
    if not log.exists():
        return 0
    with log.locked():
        records = log.records()
        kept = [{**record, "metadata": without(record["metadata"])} for record in records]
        if kept == records:
            return 0
        log.rewrite(kept[-1:])
    return sum(before != after for before, after in zip(records, kept, strict=True))


def _erase_files(audit: AuditLog, thread_id: str, person: str | None = None) -> None:
    """Take the bytes of attached files out: of those that ``person`` sent, or of all."""
    log = audit.backend.log(thread_id, ATTACHMENTS)
    if not log.exists():
        return
    with log.locked():
        records = log.records()
        kept = [without_data(one) if person in (None, one["by"]) else one for one in records]
        if kept != records:
            log.rewrite(kept)


def _said(record: Record) -> Record | None:
    found: Record | None = record.get("decision") or record.get("vote")
    return found


def _by(record: Record, person: str) -> bool:
    said = _said(record)
    return said is not None and said["by"] == person


def _wordy(record: Record) -> bool:
    said = _said(record) or {}
    return "erased" not in record and any(said.get(key) for key in ("reason", "message", "edited_args"))


def _blank(record: Record) -> Record | None:
    """The record without words, with the digest of what it was; None where there is nothing to erase."""
    said = _said(record)
    if "erased" in record:
        return None
    if said is not None:
        name = "decision" if "decision" in record else "vote"
        empty = {**said, "reason": "", "message": "", "edited_args": None}
        return {**record, name: empty, "erased": {"sha256": digest_of(said)}} if _wordy(record) else None
    if record["k"] == "notice":
        return {**record, "facts": {}, "erased": {"sha256": digest_of(record)}}
    if record["k"] in DECIDING or record["k"] not in EFFECTS:
        return None
    mark = {"sha256": digest_of(record)}
    if record["k"] == "intent":
        return {**record, "action": {**record["action"], "args": {}}, "erased": mark}
    return {**record, "outcome": {**record["outcome"], "result": None, "error": ""}, "erased": mark}
