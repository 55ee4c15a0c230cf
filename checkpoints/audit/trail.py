"""Who saw what, decided what and what came of it: hash-chained, signed, one chain a thread and one for the home.

Contents (reasons, arguments, results) stay in the files that hold them; a record has their SHA-256, so that a content
can be erased and the chain still verifies. Nothing is acted on before its record is durable: a failing audit write
is an error of the action. What a crash left out is added by :meth:`AuditLog.catch_up` from the decision log and the
ledger. docs/audit.md has the format, ADR 6 the reasons; ``checkpoints.audit.check.verify_audit`` checks it offline.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import socket
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, cast

import rfc8785

from checkpoints.audit.canonical import canonical
from checkpoints.audit.chain import HEAD, KIND, NAMING, AuditRecord, BrokenAudit, Chain, Clock, Note, read_head
from checkpoints.audit.keys import BadKey, Keys, pem_of
from checkpoints.backend import Backend, backend_at
from checkpoints.errors import AlreadyDecided, Claimed
from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import ThreadFolders
from checkpoints.records.decisions import DecisionLog
from checkpoints.records.ledger import EffectLedger
from state import JSON, Action, Assignment, Claim, Decision, Outcome, Recovery, Review

OPEN_MAX = 256
"""Chains whose hashes are kept in memory; an older one is read again when it is next written to."""
SYSTEM = "dojang"
"""The actor where no person acts."""


class AuditLog:
    """All chains of a home. Safe between threads and processes.

    Args:
        where: the threads directory, where a thread's chain is in its folder; or where else records lie.
        home_keys: the keys folder; of sessions as files, the chain of the home is in the folder above it.
        clock: gives the time with a time zone; the machine's in UTC when None.
        session_keys: what the decision logs and ledgers are sealed with; the chains themselves hold no content.
    """

    def __init__(
        self,
        where: str | os.PathLike[str] | Backend,
        home_keys: str | os.PathLike[str],
        *,
        clock: Clock | None = None,
        session_keys: KeyRing | None = None,
    ) -> None:
        self.backend = backend_at(where, keys=session_keys, home=Path(home_keys).absolute().parent)
        self.keys = Keys(home_keys, self.backend)
        self.home = Chain(self.backend, None, self.keys, clock)
        self.clock, self.session_keys = clock, session_keys
        self._chains: OrderedDict[str, Chain] = OrderedDict()
        self._begun: set[str] = set()  # threads that the home chain is known to know
        self._caught: dict[str, object] = {}  # the files that catch_up last looked at
        self._seen: dict[str, object] = {}  # by event, what changed found, and the home's chain and head as they were
        self._mutex = threading.RLock()

    @property
    def folders(self) -> ThreadFolders:
        """Where the files are; UserError where sessions are none."""
        return self.backend.folders

    # noting

    def note(
        self,
        thread_id: str | None,
        event: str,
        actor: str,
        subject: str,
        facts: dict[str, JSON] | None = None,
        content: JSON = None,
        *,
        once: bool = False,
    ) -> bool:
        """Add one record to a thread's chain, or to the home's (None); on the disk and signed on return.

        Args:
            thread_id: whose chain.
            event: what happened, ``noun.past``.
            actor: who did it.
            subject: what it was done to.
            facts: small plain JSON; nothing that somebody may want erased.
            content: what may be personal: only its digest is kept.
            once: at most one record of this event and subject.

        Returns:
            Whether a record was added; always, unless ``once``.

        Raises:
            BrokenAudit, BadKey, DiskFault, DamagedLog: nothing may go on without the record.
        """
        note = Note(event, actor, subject, facts or {}, digest_of(content))
        if once:
            return self._once(thread_id, [note]) > 0
        return self._extend(thread_id, [note]) > 0

    def changed(self, event: str, actor: str, subject: str, facts: dict[str, JSON]) -> bool:
        """Note in the home's chain that ``subject`` is the one now, unless the newest record of the event says so."""
        looked_at = self.backend.stamp(None, KIND), self.backend.note(None, HEAD)
        if looked_at[0] is not None and self._seen.get(event) == (subject, looked_at):
            return False  # each run asks: no lock is taken as long as nobody has added anything
        note = Note(event, actor, subject, facts, digest_of(None))
        added = self._extending(None, self.home, lambda: [note] if self.home.newest.get(event) != subject else [])
        if not added:
            self._seen[event] = subject, looked_at
        return added > 0

    def opened(self, reviews: Iterable[Review], actor: str = SYSTEM) -> int:
        """Note reviews that were opened, each once."""
        added = 0
        for review in reviews:
            facts: dict[str, JSON] = {
                "kind": review["kind"],
                "tool": review["action"]["tool"],
                "tier": review["tier"],
                "digest": review["digest"],
                "policy_version": review["policy_version"],
                "created_at": review["created_at"],
            }
            note = Note("review.opened", actor, review["id"], facts, digest_of(cast("dict[str, JSON]", review)))
            added += self._once(review["thread_id"], [note])
        return added

    def catch_up(self, thread_id: str) -> int:
        """Add what the decision log and the ledger have and the chain has not; how many records that were.

        Raises:
            BrokenAudit: one of them says something else now than when it was noted.
        """
        looked_at = self.backend.stamp(thread_id, "decisions", "ledger")
        if looked_at is None or looked_at == self._caught.get(thread_id):
            return 0
        chain = self._chain(thread_id)
        added = self._extending(thread_id, chain, lambda: self._missing(thread_id, chain))
        self._caught[thread_id] = looked_at
        return added

    def anchor(self, thread_id: str) -> None:
        """Let the home chain witness how far the thread's chain goes: an older copy put back will show."""
        chain = self._chain(thread_id)
        with chain.mutex:
            seq, tip = len(chain.hashes), chain.hashes[-1] if chain.hashes else ""
        if seq and (seq, tip) not in self.home.threads.get(thread_id, [])[-1:]:
            facts = {"seq": seq, "hash": tip}
            self._extend(None, [Note("thread.anchored", SYSTEM, thread_id, cast("dict[str, JSON]", facts))])

    def deleted(self, thread_id: str, actor: str) -> None:
        """Note that a thread is about to be deleted. Call it before: a chain that is gone without it is a finding."""
        head = self._chain(thread_id).head()
        facts: dict[str, JSON] = {"seq": head["seq"] if head else 0, "hash": head["hash"] if head else ""}
        self._extend(None, [Note("thread.deleted", actor, thread_id, facts)])
        with self._mutex:
            self._chains.pop(thread_id, None)
            self._begun.discard(thread_id)
            self._caught.pop(thread_id, None)

    def copied(self, source: str, target: str, actor: str) -> None:
        """Note in the new thread's chain where it came from."""
        head = self._chain(source).head()
        facts: dict[str, JSON] = {"seq": head["seq"] if head else 0, "hash": head["hash"] if head else ""}
        self._extend(target, [Note("thread.copied", actor, source, facts)])

    # care

    def records(self, thread_id: str | None) -> list[AuditRecord]:
        """The records of one chain, oldest first, as they stand there; check them with ``verify_audit``."""
        return [line["record"] for line in self.backend.log(thread_id, KIND).records() if line["k"] == "note"]

    def stamp(self, thread_id: str | None) -> object:
        """Another one after each change of a chain: what was read of it may be kept until then."""
        return self.backend.stamp(thread_id, KIND)

    def rotate_key(self, actor: str) -> str:
        """Sign with a new key from now on; its id. The old key signs the record that names the new one."""
        self.keys.refresh()
        try:
            old = self.keys.signer()
        except BadKey:
            old = None
        new = self.keys.make()
        self.backend.make_known(new.key_id, pem_of(new.public))
        facts: dict[str, JSON] = {"old": old.key_id if old else "", "public_key": pem_of(new.public).decode("ascii")}
        note = Note("key.rotated", actor, new.key_id, facts)
        if old is None:
            self.keys.use(new)  # nobody is left to vouch for it: the record says so
        self._extend(None, [note])
        self.keys.use(new)
        return new.key_id

    def reopen(self, thread_id: str | None, actor: str, reason: str) -> list[Path]:
        """Put a broken chain aside as evidence and begin a new one; where the old files are now.

        Who did it and why is in the home chain for ever, and ``verify_audit`` repeats it.
        """
        chain = self.home if thread_id is None else self._chain(thread_id)
        suffix = f".broken-{secrets.token_hex(4)}"
        head = chain.head()
        facts: dict[str, JSON] = {"seq": head["seq"] if head else 0, "reason": reason, "kept": suffix}
        note = Note("chain.reopened", actor, thread_id or "", facts)
        if thread_id is not None:
            self._extend(None, [note])
        with chain.log.locked():
            kept = self.backend.set_aside(thread_id, KIND, HEAD, suffix)
        with self._mutex:
            self._begun.clear()
            self._caught.clear()
        if thread_id is None:
            self._extend(None, [note], reopening=True)
        else:
            self.catch_up(thread_id)
        return kept

    # inside

    def _chain(self, thread_id: str) -> Chain:
        with self._mutex:
            chain = self._chains.pop(thread_id, None)
            if chain is None:
                chain = Chain(self.backend, thread_id, self.keys, self.clock)
            self._chains[thread_id] = chain
            while len(self._chains) > OPEN_MAX:
                self._chains.popitem(last=False)
            return chain

    def _once(self, thread_id: str | None, notes: Sequence[Note]) -> int:
        chain = self.home if thread_id is None else self._chain(thread_id)

        def new() -> list[Note]:
            return [note for note in notes if (note.event, note.subject) not in chain.digests]

        return self._extending(thread_id, chain, new) if new() else 0

    def _extend(self, thread_id: str | None, notes: Sequence[Note], *, reopening: bool = False) -> int:
        chain = self.home if thread_id is None else self._chain(thread_id)
        return self._extending(thread_id, chain, lambda: list(notes), reopening=reopening)

    def _extending(self, thread_id: str | None, chain: Chain, make: Any, *, reopening: bool = False) -> int:
        if thread_id is None:
            return self._extend_home(make, reopening=reopening)
        self._extend_home(list)  # the home's first record, which names the key, comes before any other
        self.backend.ensure(thread_id)
        added = chain.extend(lambda _: make(), begin=lambda: self._may_begin(thread_id))
        if added and (thread_id not in self._begun or added == len(chain.hashes)):
            self._extend_home(lambda: self._unknown(thread_id, chain))
            self._begun.add(thread_id)
        return added

    def _extend_home(self, make: Any, *, reopening: bool = False) -> int:
        if make is list and self.home.hashes:
            return 0
        self.backend.ensure(None)

        def notes(home: Chain) -> list[Note]:
            made = cast("list[Note]", make())
            return [*self._naming(home, made), *made]

        return self.home.extend(notes, begin=None if reopening else self._home_may_begin)

    def _naming(self, home: Chain, made: Sequence[Note]) -> list[Note]:
        """The record of a key that the home's chain does not name yet: its first one, or that of one more machine."""
        signer = self.keys.signer()
        named_now = {note.subject for note in made if note.event in NAMING} if home.hashes else set()
        if signer.key_id in home.signers | named_now:
            return []
        pem = pem_of(signer.public)
        self.backend.make_known(signer.key_id, pem)
        named: dict[str, JSON] = {"public_key": pem.decode("ascii")}
        if not home.hashes:
            return [Note("key.made", SYSTEM, signer.key_id, named)]
        return [Note("key.joined", SYSTEM, signer.key_id, {**named, "host": socket.gethostname()})]

    def _unknown(self, thread_id: str, chain: Chain) -> list[Note]:
        if thread_id in self.home.threads or not chain.hashes:
            return []
        return [Note("thread.began", SYSTEM, thread_id, {"seq": 1, "hash": chain.hashes[0]})]

    def _may_begin(self, thread_id: str) -> None:
        self._extend_home(lambda: [])  # reads what other processes added
        if thread_id in self.home.threads:
            raise BrokenAudit(self._chain(thread_id).path, "it is gone, and the home chain knows of it")

    def _home_may_begin(self) -> None:
        """A home without a chain is new, unless its own key signed chains of threads."""
        ours = self.keys.public()
        for name, data in self.backend.notes(HEAD):
            head = read_head(data)
            if head is not None and head["key_id"] in ours:
                raise BrokenAudit(self.home.path, f"it is gone, and {name} was written after it")

    def _missing(self, thread_id: str, chain: Chain) -> list[Note]:
        """What the chain lacks, read under its lock."""
        missing: list[Note] = []
        nth: dict[tuple[str, str], int] = {}
        for note in expected(self.backend, thread_id):
            key = (note.event, note.subject)
            n = nth[key] = nth.get(key, -1) + 1
            noted = chain.digests.get(key, [])
            if n >= len(noted):
                missing.append(note)
            elif noted[n] != note.digest:
                what = f"it says something else of {note.subject} than what was noted ({note.event})"
                raise BrokenAudit(chain.path.with_name(source_of(note.event)), what)
        return missing


DECIDING = {
    "vote": "vote.recorded",
    "decision": "decision.recorded",
    "undo": "decision.undone",
    "release": "decision.released",
    "claim": "review.claimed",
    "handover": "review.handed_over",
    "unclaim": "review.given_back",
    "assignment": "review.assigned",
    "escalation": "review.escalated",
}
"""Record of ``decisions.jsonl`` → the event that it calls for."""
EFFECTS = {"intent": "effect.intended", "outcome": "effect.ended"}
"""The same of ``ledger.jsonl``."""


def expected(backend: Backend, thread_id: str) -> list[Note]:
    """The records that a thread's decision log and ledger call for, in the order of those logs."""
    decisions = DecisionLog(backend).entries(thread_id)
    effects = EffectLedger(backend).entries(thread_id)
    return [_of_decision(r) for r in decisions if r["k"] in DECIDING] + [_of_effect(r) for r in effects]


def _of_decision(record: dict[str, Any]) -> Note:
    event, said = DECIDING[record["k"]], record.get("decision") or record.get("vote")
    if said is None:
        facts: dict[str, JSON] = {key: record[key] for key in ("at", "until", "role", "to") if key in record}
        return Note(event, record.get("by", SYSTEM), record["review_id"], facts, digest_of(record))
    names = ("type", "digest", "at", "channel", "dwell_ms", *(name for name in ("role", "held_until") if name in said))
    facts = {name: said[name] for name in names}
    return _note_of(record, event, said["by"], said["review_id"], facts, said)


def _of_effect(record: dict[str, Any]) -> Note:
    if record["k"] == "intent":
        facts = {"tool": record["action"]["tool"], "recovery": record["recovery"], "at": record["at"]}
    else:
        outcome = record["outcome"]
        facts = {"tool": outcome["tool"], "status": outcome["status"], "at": outcome["at"]}
    return _note_of(record, EFFECTS[record["k"]], SYSTEM, record["key"], facts, record)


def _note_of(
    record: dict[str, Any], event: str, actor: str, subject: str, facts: dict[str, JSON], content: JSON
) -> Note:
    """With the digest of the content, or, where that was erased, the digest that stands in its place."""
    erased = record.get("erased")
    digest = digest_of(content) if erased is None else str(erased.get("sha256", ""))
    return Note(event, actor, subject, facts, digest, erased is not None)


def source_of(event: str) -> str:
    """The file that holds what an event's digest is of."""
    return "ledger.jsonl" if event in EFFECTS.values() else "decisions.jsonl"


def digest_of(content: JSON) -> str:
    """SHA-256 of the canonical JSON of a content; "" for None."""
    if content is None:
        return ""
    try:
        data = canonical(content)
    except rfc8785.CanonicalizationError:  # a whole number beyond 2^53, which RFC 8785 leaves out
        data = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    return hashlib.sha256(data).hexdigest()


class AuditedDecisions(DecisionLog):
    """A decision log whose every record, and every loser, is in the chain before anybody acts on it."""

    def __init__(self, where: str | os.PathLike[str] | Backend, audit: AuditLog) -> None:
        super().__init__(where, keys=audit.session_keys)
        self.audit = audit

    def record(self, thread_id: str, decision: Decision) -> Decision:
        """As :meth:`DecisionLog.record`; an audit write that fails leaves the decision recorded, not released."""
        with self._noting_losers(thread_id, decision):
            stored = super().record(thread_id, decision)
        self._noted(thread_id)
        return stored

    def vote(self, thread_id: str, approval: Decision, needed: int) -> Decision | None:
        """As :meth:`DecisionLog.vote`."""
        with self._noting_losers(thread_id, approval):
            stored = super().vote(thread_id, approval, needed)
        self._noted(thread_id)
        return stored

    def undo(self, thread_id: str, review_id: str, by: str, at: datetime) -> Decision:
        """As :meth:`DecisionLog.undo`."""
        said = super().undo(thread_id, review_id, by, at)
        self._noted(thread_id)
        return said

    def release(self, thread_id: str, review_ids: Iterable[str], at: datetime) -> dict[str, Decision]:
        """As :meth:`DecisionLog.release`."""
        ready = super().release(thread_id, review_ids, at)
        self.audit.catch_up(thread_id)
        return ready

    def claim(self, thread_id: str, review_id: str, by: str, at: datetime) -> Claim:
        """As :meth:`DecisionLog.claim`."""
        claim = super().claim(thread_id, review_id, by, at)
        self.audit.catch_up(thread_id)
        return claim

    def hand_over(self, thread_id: str, review_id: str, by: str, to: str, at: datetime) -> Claim:
        """As :meth:`DecisionLog.hand_over`."""
        claim = super().hand_over(thread_id, review_id, by, to, at)
        self.audit.catch_up(thread_id)
        return claim

    def unclaim(self, thread_id: str, review_id: str, by: str, at: datetime) -> None:
        """As :meth:`DecisionLog.unclaim`."""
        super().unclaim(thread_id, review_id, by, at)
        self.audit.catch_up(thread_id)

    def assign(self, thread_id: str, review_id: str, assignment: Assignment) -> bool:
        """As :meth:`DecisionLog.assign`."""
        fresh = super().assign(thread_id, review_id, assignment)
        self.audit.catch_up(thread_id)
        return fresh

    def escalate(self, thread_id: str, review_id: str, at: datetime) -> bool:
        """As :meth:`DecisionLog.escalate`."""
        fresh = super().escalate(thread_id, review_id, at)
        self.audit.catch_up(thread_id)
        return fresh

    def _noted(self, thread_id: str) -> None:
        if self.audit.catch_up(thread_id):
            self.audit.anchor(thread_id)

    @contextlib.contextmanager
    def _noting_losers(self, thread_id: str, decision: Decision) -> Iterator[None]:
        try:
            yield
        except (AlreadyDecided, Claimed) as lost:
            self.audit.catch_up(thread_id)
            first = lost.winner["by"] if isinstance(lost, AlreadyDecided) else lost.claim["by"]
            facts: dict[str, JSON] = {
                "type": decision["type"],
                "channel": decision["channel"],
                "why": "somebody was first" if isinstance(lost, AlreadyDecided) else "somebody has claimed it",
                "lost_to": first,
            }
            content = cast("dict[str, JSON]", decision)
            self.audit.note(thread_id, "decision.refused", decision["by"], decision["review_id"], facts, content)
            raise


class AuditedLedger(EffectLedger):
    """A ledger whose intents are in the chain before the effect, and whose outcomes before anybody sees them."""

    def __init__(self, where: str | os.PathLike[str] | Backend, audit: AuditLog) -> None:
        super().__init__(where, keys=audit.session_keys, clock=audit.clock)
        self.audit = audit

    def begin(self, thread_id: str, key: str, action: Action, recovery: Recovery) -> Literal["fresh", "open"] | Outcome:
        """As :meth:`EffectLedger.begin`."""
        found = super().begin(thread_id, key, action, recovery)
        self.audit.catch_up(thread_id)
        return found

    def finish(self, thread_id: str, key: str, outcome: Outcome) -> Outcome:
        """As :meth:`EffectLedger.finish`."""
        stored = super().finish(thread_id, key, outcome)
        self.audit.catch_up(thread_id)
        return stored
