"""One audit chain: a log of signed records, each with the hash of the one before, and a signed head beside it.

The log ``audit`` holds the records, the note ``audit.head`` the last one's number and hash. In a database both change
together; as files (``audit.jsonl``, ``audit.head``) one after the other. The order of writing decides what a
crash can leave behind, and with it what a checker may forgive (docs/audit.md):

1. the head of an empty chain (seq 0) is on the disk before the first record;
2. a record is on the disk before the head that names it;
3. both happen under one lock.

So a head may lag behind its chain by the records of one append, never run ahead of it, and never be missing.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict, cast

import orjson
import rfc8785

from checkpoints.audit.canonical import canonical
from checkpoints.audit.keys import Keys, signed
from checkpoints.backend import Backend
from state import JSON, BrokenInvariant

KIND, CHAIN, HEAD = "audit", "audit.jsonl", "audit.head"
FORMAT = 1
_RECORD_SEAL, _HEAD_SEAL = b"dojang audit record 1\n", b"dojang audit head 1\n"
"""What precedes the signed bytes, so that a signature on one kind of thing is none on the other."""

NAMING = ("key.made", "key.rotated", "key.joined")
"""Events of the home's chain that name a key (their subject), with its public half among their facts."""

Clock = Callable[[], datetime]


class AuditRecord(TypedDict):
    """One event. Frozen when it is written; the hash of the canonical JSON of all of it is the next one's ``prev``."""

    seq: int  # 1, 2, 3, …
    prev: str  # SHA-256 of the record before, 64 hexadecimal digits; of the chain's name for the first
    at: str  # ISO 8601, UTC: when it was noted, which may be later than when it happened
    actor: str
    event: str
    thread_id: str | None  # None: the chain of the home
    subject: str  # review id, effect key, thread id, key id, …
    facts: dict[str, JSON]  # small; nothing that a person may want erased
    content_sha256: str  # of the content that other files hold; "" where there is none
    key_id: str
    signature: str  # ed25519, over the canonical JSON of everything else


class Head(TypedDict):
    """Where a chain ends."""

    format: int
    thread_id: str | None
    seq: int
    hash: str
    at: str
    key_id: str
    signature: str


class BrokenAudit(BrokenInvariant):
    """A chain is not what was written; nothing is added to it, so nothing that it should witness may go on."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path}: {what}; nothing was added: look at `dojang audit verify`, keep the files as evidence, and begin "
            "a new chain with `dojang audit reopen`"
        )
        self.path = path


@dataclass(frozen=True)
class Note:
    """An event that is about to become a record."""

    event: str
    actor: str
    subject: str
    facts: dict[str, JSON] = field(default_factory=dict)
    digest: str = ""
    erased: bool = False  # the content is gone, and the digest is what it was


class Chain:
    """The chain of one thread or (``thread_id`` None) of the home. Shared by threads and processes.

    What is known of it in memory is under :attr:`mutex`, which is taken after the log is locked and never before: in a
    database the log stays locked until all of the caller's transaction is done.
    """

    def __init__(self, backend: Backend, thread_id: str | None, keys: Keys, clock: Clock | None = None) -> None:
        self.backend = backend
        self.thread_id = thread_id
        self.keys = keys
        self.clock = clock or (lambda: datetime.now(UTC))
        self.log = backend.log(thread_id, KIND)
        self.path = self.log.path
        self.head_path = self.path.with_name(HEAD)
        self.mutex = threading.RLock()
        self._good_head = b""  # the bytes of the head that was last found right
        self._forget()

    def _forget(self) -> None:
        self.hashes: list[str] = []
        self.digests: dict[tuple[str, str], list[str]] = {}  # (event, subject) → content digests, in order
        self.newest: dict[str, str] = {}  # event → subject of its newest record
        self.threads: dict[str, list[tuple[int, str]]] = {}  # home: see heads_of
        self.signers: set[str] = set()  # home: the keys that it names
        self._good_head = b""
        self._unproven: list[tuple[int, dict[str, Any]]] = []  # (number, line) since the head was last found right

    def extend(self, make: Callable[[Chain], Sequence[Note]], *, begin: Callable[[], None] | None = None) -> int:
        """Add what ``make`` says, which sees the chain as it is under the lock; durable and signed on return.

        Args:
            make: called once, under the lock.
            begin: called before the first record of all; raises where there ought to be records already.

        Returns:
            How many records were added.

        Raises:
            BrokenAudit: the chain or its head is not what was written.
            DiskFault, DamagedLog: as the journal.
        """
        try:
            return self._extend(make, begin)
        except BaseException:
            with self.mutex:  # in a database nothing of it is there: nothing of it may stay in memory
                self._forget()
                self.log.forget()
            raise

    def _extend(self, make: Callable[[Chain], Sequence[Note]], begin: Callable[[], None] | None) -> int:
        with self.log.locked(), self.mutex:
            data = self._head_data()
            head = None if data is None else read_head(data)
            if head and head["seq"] and not self.log.exists():
                raise BrokenAudit(self.path, f"it is gone, and its head says that it has {head['seq']} records")
            with self.log.writing() as writer:
                self._absorb(writer.reset, writer.records)
                self._check(data, head)
                notes = make(self)
                if not notes:
                    if head is not None and head["seq"] < len(self.hashes):
                        self._write_head()  # a crash came before it
                    return 0
                if not self.hashes:
                    if begin is not None:
                        begin()
                    self._write_head()
                records = self._records(notes)
                writer.write(records)
                self._add(records)
                writer.wait()
                self._write_head()
                self._unproven.clear()
                return len(records)

    def head(self) -> Head | None:
        """The head as it is on the disk, unchecked; None where there is none."""
        data = self._head_data()
        return None if data is None else read_head(data)

    # inside

    def _head_data(self) -> bytes | None:
        return self.backend.note(self.thread_id, HEAD)

    def _absorb(self, reset: bool, news: Sequence[dict[str, Any]]) -> None:
        if reset:
            self._forget()
        try:
            self._add(news)
        except (KeyError, TypeError):
            raise BrokenAudit(self.path, "it has a line that is no audit record") from None

    def _add(self, records: Sequence[dict[str, Any]]) -> None:
        for line in records:
            record: AuditRecord = line["record"]
            self.hashes.append(line["hash"])
            self._unproven.append((len(self.hashes), line))
            self.digests.setdefault((record["event"], record["subject"]), []).append(record["content_sha256"])
            self.newest[record["event"]] = record["subject"]
            heads_of(self.threads, record)
            if record["event"] in NAMING:
                self.signers.add(record["subject"])

    def _check(self, data: bytes | None, head: Head | None) -> None:
        """Raise unless the head stands for this chain. Without this, the next head would hide what is missing."""
        if data is None:
            if self.hashes:
                raise BrokenAudit(self.head_path, "it is gone")
            return
        if head is None or data != self._good_head or head["seq"] > len(self.hashes):
            keys = self.keys.public()
            if problem := head_problem(data, self.thread_id, self.hashes, keys.get):
                raise BrokenAudit(self.head_path, problem)
            self._good_head = data
            self.keys.refresh()
        self._prove(cast(Head, head)["seq"])

    def _prove(self, covered: int) -> None:
        """Check the records that the head does not cover: the next head must not vouch for what somebody slipped in."""
        new = [(seq, line) for seq, line in self._unproven if seq > covered]
        keys = self.keys.public() if new else {}
        for seq, line in new:
            record: AuditRecord = line["record"]
            if (
                (record["seq"], record["thread_id"]) != (seq, self.thread_id)
                or record["prev"] != (self.hashes[seq - 2] if seq > 1 else genesis(self.thread_id))
                or line["hash"] != hash_of(record)
            ):
                raise BrokenAudit(self.path, f"record {seq} does not follow the one before it: it was forged")
            key = keys.get(record["key_id"])
            if key is None or not signed(key, record["signature"], sealed_record(record)):
                raise BrokenAudit(self.path, f"record {seq} is not signed with a key of this home: it was forged")
        self._unproven.clear()

    def _records(self, notes: Sequence[Note]) -> list[dict[str, Any]]:
        signer = self.keys.signer()
        records: list[dict[str, Any]] = []
        seq, prev = len(self.hashes), self.hashes[-1] if self.hashes else genesis(self.thread_id)
        for note in notes:
            seq += 1
            record = AuditRecord(
                seq=seq,
                prev=prev,
                at=self.clock().astimezone(UTC).isoformat(),
                actor=note.actor,
                event=note.event,
                thread_id=self.thread_id,
                subject=note.subject,
                facts=note.facts,
                content_sha256=note.digest,
                key_id=signer.key_id,
                signature="",
            )
            record["signature"] = signer.sign(sealed_record(record))
            prev = hash_of(record)
            records.append({"k": "note", "record": record, "hash": prev})
        return records

    def _write_head(self) -> None:
        signer = self.keys.signer()
        head = Head(
            format=FORMAT,
            thread_id=self.thread_id,
            seq=len(self.hashes),
            hash=self.hashes[-1] if self.hashes else genesis(self.thread_id),
            at=self.clock().astimezone(UTC).isoformat(),
            key_id=signer.key_id,
            signature="",
        )
        head["signature"] = signer.sign(sealed_head(head))
        data = canonical(cast(Any, head)) + b"\n"
        self.backend.replace_note(self.thread_id, HEAD, data)
        self._good_head = data


def genesis(thread_id: str | None) -> str:
    """``prev`` of a chain's first record: binds the chain to its thread."""
    return hashlib.sha256(canonical({"dojang_audit": FORMAT, "thread_id": thread_id})).hexdigest()


def hash_of(record: AuditRecord) -> str:
    """SHA-256 of the canonical JSON (RFC 8785) of a whole record, its signature included."""
    return hashlib.sha256(canonical(cast(Any, record))).hexdigest()


def sealed_record(record: AuditRecord) -> bytes:
    """The bytes that a record's signature covers."""
    return _RECORD_SEAL + _unsigned(cast("dict[str, Any]", record))


def sealed_head(head: Head) -> bytes:
    """The bytes that a head's signature covers."""
    return _HEAD_SEAL + _unsigned(cast("dict[str, Any]", head))


def _unsigned(record: dict[str, Any]) -> bytes:
    return canonical({k: v for k, v in record.items() if k != "signature"})


def read_head(data: bytes) -> Head | None:
    """The head in these bytes; None unless they are exactly what :class:`Chain` writes."""
    try:
        head = orjson.loads(data)
        whole = isinstance(head, dict) and canonical(head) + b"\n" == data
    except (ValueError, rfc8785.CanonicalizationError):
        return None
    if not whole or head.keys() != Head.__annotations__.keys() or type(head["seq"]) is not int or head["seq"] < 0:
        return None
    return cast(Head, head)


def head_problem(data: bytes, thread_id: str | None, hashes: Sequence[str], key_of: Callable[[str], Any]) -> str:
    """What is wrong with a head, given the hashes of its chain; "" when nothing is. It may lag behind the chain."""
    head = read_head(data)
    if head is None or head["format"] != FORMAT:
        return "it does not hold a head: it was changed"
    key = key_of(head["key_id"])
    if key is None:
        return f"it is signed with key {head['key_id']}, which is not among the public keys"
    if not signed(key, head["signature"], sealed_head(head)):
        return "its signature is wrong: it was forged or changed"
    if head["thread_id"] != thread_id:
        return f"it is the head of another chain ({head['thread_id'] or 'the home'})"
    if head["seq"] > len(hashes):
        return f"it says {head['seq']} records, the chain has {len(hashes)}: records were removed from its end"
    if head["hash"] != (hashes[head["seq"] - 1] if head["seq"] else genesis(thread_id)):
        return f"it does not stand for record {head['seq']} of the chain: the chain was rewritten"
    return ""


def heads_of(threads: dict[str, list[tuple[int, str]]], record: AuditRecord) -> None:
    """Keep what the home chain witnessed of each thread's chain: (seq, hash) pairs, none once it was deleted."""
    if record["thread_id"] is not None:
        return
    event, thread_id = record["event"], record["subject"]
    if event in ("thread.deleted", "chain.reopened"):
        threads.pop(thread_id, None)
    elif event in ("thread.began", "thread.anchored"):
        threads.setdefault(thread_id, []).append((record["facts"]["seq"], record["facts"]["hash"]))
