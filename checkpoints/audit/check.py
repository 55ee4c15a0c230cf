"""Checks the audit chains of a home: needs their records and public keys, no private key, no lock.

Of sessions as files it needs no server, of sessions in a database that database, and believes it as little.

Every line, hash, signature and head is checked, each thread against what the home chain witnessed of it, and each
recorded decision and ledger entry against its record. docs/audit.md says what each finding means.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

import orjson
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from checkpoints.audit.chain import (
    CHAIN,
    HEAD,
    KIND,
    NAMING,
    AuditRecord,
    Note,
    genesis,
    hash_of,
    head_problem,
    heads_of,
    read_head,
    sealed_record,
)
from checkpoints.audit.keys import pem_of, public_key, public_keys, signed, told_keys
from checkpoints.audit.trail import DECIDING, EFFECTS, expected, source_of
from checkpoints.backend import Backend, Looked, backend_at
from checkpoints.files.crypto import KeyRing
from state import DojangError


class Finding(TypedDict):
    """One thing that is not as it was written, or worth knowing."""

    level: Literal["problem", "note"]
    thread_id: str | None  # None: the home
    file: str
    record: int  # the record's number from 1; 0 where it is about the whole file
    what: str


class ChainEnd(TypedDict):
    """Where a chain ends: write it down elsewhere, and nobody can put the whole home back unnoticed."""

    thread_id: str | None
    records: int
    hash: str
    key_id: str


class AuditReport(TypedDict):
    """What was found in a home. It is right if ``problems`` is 0."""

    home: str
    chains: int
    records: int
    problems: int
    findings: list[Finding]
    ends: list[ChainEnd]  # the home's first


@dataclass
class _Read:
    """One chain as it was read."""

    thread_id: str | None
    path: Path
    head: bytes | None
    records: list[AuditRecord] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    damaged: bool = False


class _Checker:
    def __init__(self, home: Path, keys: Path, *, thorough: bool) -> None:
        self.home = home
        self.thorough = thorough
        self.findings: list[Finding] = []
        self.keys: dict[str, Ed25519PublicKey] = {}
        self.keys, wrong = public_keys(keys)
        for path, what in wrong:
            self.problem(None, path, 0, what)

    def problem(self, thread_id: str | None, path: Path, record: int, what: str) -> None:
        self.findings.append(Finding(level="problem", thread_id=thread_id, file=str(path), record=record, what=what))

    def remark(self, thread_id: str | None, path: Path, record: int, what: str) -> None:
        self.findings.append(Finding(level="note", thread_id=thread_id, file=str(path), record=record, what=what))

    def signers(self, home: _Read, told: Mapping[str, Ed25519PublicKey], wrong: Sequence[str]) -> None:
        """Whether the keys that machines made known are those that the chain of the home names."""
        named: dict[str, object] = {}
        for record in home.records:
            if record["event"] in NAMING:
                named[record["subject"]] = record["facts"].get("public_key")
            if record["event"] == "key.joined":
                what = (
                    f"a machine ({record['facts'].get('host')}) joined at {record['at']} with key {record['subject']}, "
                    "which nobody but itself vouches for: see that it is one of yours"
                )
                self.remark(None, home.path, record["seq"], what)
        for key_id in wrong:
            what = f"what is known as key {key_id} of a machine is not that key: it was changed"
            self.problem(None, home.path, 0, what)
        for key_id, key in () if home.damaged else told.items():
            if named.get(key_id) != pem_of(key).decode("ascii"):
                what = f"key {key_id} is among those of the machines, and the chain of the home does not name it"
                self.problem(None, home.path, 0, what)

    # one chain

    def chain(self, backend: Backend, thread_id: str | None) -> _Read:
        """Read and check one chain, and its head, which is read first: a writer may go on meanwhile."""
        log = backend.log(thread_id, KIND)
        found = _Read(thread_id, log.path, backend.note(thread_id, HEAD))
        looked = log.looked()
        if looked is None and found.head is None:
            return found
        if looked is not None:
            self._lines(found, looked)
        self._head(found, there=looked is not None)
        return found

    def _lines(self, found: _Read, looked: Looked) -> None:
        for number, line in enumerate(looked.records, 1):
            if not self._record(found, line, number):
                found.damaged = True
                return
        after = len(looked.records) + 1
        if looked.damage:
            found.damaged = True
            self.problem(found.thread_id, found.path, 0 if looked.unfit else after, looked.damage)
        elif looked.torn:
            what = f"{looked.torn} bytes after the last record: an append that a crash cut short, never confirmed"
            self.remark(found.thread_id, found.path, after, what)

    def _record(self, found: _Read, line: dict[str, Any], number: int) -> bool:
        """Whether the line is the record that belongs here; afterwards nothing further of the chain can be trusted."""
        record = line.get("record")
        if line.keys() != {"k", "record", "hash"} or line["k"] != "note" or not _well_formed(record):
            self.problem(found.thread_id, found.path, number, "it is not an audit record: it was changed")
            return False
        made = cast(AuditRecord, record)
        if made["thread_id"] != found.thread_id:
            what = f"it belongs to the chain of {made['thread_id'] or 'the home'}: it was moved here"
        elif made["seq"] != number:
            what = f"it calls itself record {made['seq']}: records were removed, inserted, doubled or swapped"
        elif made["prev"] != (found.hashes[-1] if found.hashes else genesis(found.thread_id)):
            what = "it does not follow the record before it: one of the two was changed or replaced"
        elif line["hash"] != _hash(made):
            what = "its hash is not that of its content: it was changed"
        else:
            found.records.append(made)
            found.hashes.append(line["hash"])
            if made["event"] == "key.rotated":
                self._introduced(made)
            return True
        self.problem(found.thread_id, found.path, number, what)
        return False

    def _introduced(self, record: AuditRecord) -> None:
        """A key that a trusted key vouches for is trusted, so that whoever holds the first one can always check."""
        voucher = self.keys.get(record["key_id"])
        if voucher is not None and signed(voucher, record["signature"], sealed_record(record)):
            try:
                self.keys.setdefault(record["subject"], public_key(str(record["facts"]["public_key"]).encode()))
            except (ValueError, KeyError):
                self.problem(None, self.home / CHAIN, record["seq"], "it introduces a key that it does not hold")

    def _head(self, found: _Read, *, there: bool) -> None:
        """The head, and the signatures of the records that it does not cover."""
        path = found.path.with_name(HEAD)
        covered = 0
        head = read_head(found.head) if found.head is not None else None
        if found.head is None:
            if found.records or found.damaged:
                self.problem(found.thread_id, path, 0, "the head is gone; it is on the disk before the first record")
        elif not there and head is not None and head["seq"]:
            what = f"the chain is gone; its head says that it had {head['seq']} records"
            self.problem(found.thread_id, found.path, 0, what)
        elif found.damaged and head is not None and head["seq"] > len(found.hashes):
            pass  # said already, at the record that is wrong
        elif problem := head_problem(found.head, found.thread_id, found.hashes, self.keys.get):
            self.problem(found.thread_id, path, head["seq"] if head else 0, problem)
        else:
            assert head is not None
            covered = head["seq"]
            if covered < len(found.records):
                what = (
                    f"the head is {len(found.records) - covered} records behind: a crash, or an older head was put back"
                )
                self.remark(found.thread_id, path, covered, what)
        self._signatures(found, 0 if self.thorough else covered)

    def _signatures(self, found: _Read, covered: int) -> None:
        """A right head covers, by the hashes, every record up to it; later ones stand by their own signature."""
        for record in found.records[covered:]:
            key = self.keys.get(record["key_id"])
            if key is None:
                what = f"it is signed with key {record['key_id']}, which is not among the public keys"
            elif not signed(key, record["signature"], sealed_record(record)):
                what = "its signature is wrong: it was forged"
            else:
                continue
            self.problem(found.thread_id, found.path, record["seq"], what)
            return

    # chains against each other, and against the logs

    def witnessed(self, found: _Read, known: Sequence[tuple[int, str]]) -> None:
        """Whether the chain has every record that the home chain saw in it."""
        if not known and found.records:
            what = "the home chain does not know this chain: it began in a crash, or was copied here from another home"
            self.remark(found.thread_id, found.path, 0, what)
        for seq, digest in known:
            if seq > len(found.hashes):
                if not found.damaged:
                    what = (
                        f"the home chain saw {seq} records, there are {len(found.hashes)}: an older copy was put back"
                    )
                    self.problem(found.thread_id, found.path, seq, what)
                return
            if found.hashes[seq - 1] != digest:
                self.problem(
                    found.thread_id, found.path, seq, "it is not the record that the home chain saw: rewritten"
                )
                return

    def logs(self, found: _Read, before: list[Note], after: list[Note]) -> None:
        """Each decision and ledger entry against its record, and the other way round."""
        if found.damaged:
            return
        noted: dict[tuple[str, str], list[AuditRecord]] = {}
        for record in found.records:
            noted.setdefault((record["event"], record["subject"]), []).append(record)
        nth: dict[tuple[str, str], int] = {}
        folder = found.path.parent
        for note in before:
            key = (note.event, note.subject)
            n = nth[key] = nth.get(key, -1) + 1
            records = noted.get(key, [])
            if n >= len(records):
                what = (
                    f"{note.event} of {note.subject} by {note.actor} is missing from the chain: it was left out, or a "
                    f"crash came before it was noted: `dojang resume {found.thread_id}` adds it"
                )
                self.problem(found.thread_id, folder / source_of(note.event), 0, what)
            elif note.erased and not _erasure_holds(note, records[n], noted):
                what = (
                    f"{note.subject} calls itself erased, and the chain does not say so, or more than words was changed"
                )
                self.problem(found.thread_id, folder / source_of(note.event), 0, what)
            elif records[n]["content_sha256"] != note.digest:
                what = (
                    f"{note.subject} is not what record {records[n]['seq']} was noted of ({note.event}): it was changed"
                )
                self.problem(found.thread_id, folder / source_of(note.event), 0, what)
        there = Counter((note.event, note.subject) for note in after)
        for (event, subject), records in noted.items():
            if event in _SOURCED:
                for record in records[there[event, subject] :]:
                    what = f"{event} of {subject} (record {record['seq']}) is gone from this file"
                    self.problem(found.thread_id, folder / source_of(event), 0, what)


def _erasure_holds(note: Note, record: AuditRecord, noted: dict[tuple[str, str], list[AuditRecord]]) -> bool:
    """Whether the chain has the erasure, and everything that is no words is as it was noted."""
    digests = [r["facts"].get("sha256") for r in noted.get(("content.erased", note.subject), [])]
    return note.digest in digests and record["facts"] == note.facts and record["actor"] == note.actor


def verify_audit(
    home: str | os.PathLike[str],
    *,
    keys: str | os.PathLike[str] | None = None,
    thorough: bool = False,
    session_keys: KeyRing | None = None,
    backend: Backend | None = None,
) -> AuditReport:
    """Check every chain of a home. Never raises for what it finds.

    Args:
        home: the home, or a copy of it.
        keys: a folder of public keys (``audit-*.pub``) that the checker trusts; the home's own when None.
        thorough: check the signature of every record, not only of the heads, which cover all records by the hashes,
            and of what comes after them. Three to five times as long.
        session_keys: what the sessions are sealed with, where they are.
        backend: where the sessions lie, if not as files in the home. Then its public keys, which any machine could
            add to, are trusted beside those of the home unless ``keys`` are given, and each has to be in the chain.
    """
    root = Path(home).absolute()
    checker = _Checker(root, Path(keys) if keys is not None else root / "keys", thorough=thorough)
    records = backend if backend is not None else backend_at(root / "threads", keys=session_keys, home=root)
    told, wrong = told_keys(records.signers())
    if keys is None:
        checker.keys = told | checker.keys
    witness = checker.chain(records, None)
    checker.signers(witness, told, wrong)
    known: dict[str, list[tuple[int, str]]] = {}
    for record in witness.records:
        heads_of(known, record)
        if record["event"] == "chain.reopened":
            what = (
                f"{record['actor']} began the chain of {record['subject'] or 'the home'} anew at {record['at']}: "
                f"{record['facts'].get('reason')}; the old files end in {record['facts'].get('kept')}"
            )
            checker.remark(record["subject"] or None, witness.path, record["seq"], what)
    report = AuditReport(home=str(root), chains=0, records=0, problems=0, findings=checker.findings, ends=[])
    chains = [witness]
    for thread_id in records.readable(lambda path, what: checker.problem(None, path, 0, what)):
        found = _thread(checker, records, thread_id, known)
        if found is not None:
            chains.append(found)
    for thread_id, seen in known.items():
        if seen:
            what = f"the chain of {thread_id} is gone: the thread was deleted without a record of it"
            checker.problem(thread_id, records.log(thread_id, KIND).path, 0, what)
    if not witness.records and not witness.damaged and any(c.records for c in chains):
        checker.problem(None, witness.path, 0, "the chain of the home is gone; it is begun before any other")
    for chain in chains:
        if chain.records or chain.head is not None:
            end = ChainEnd(thread_id=chain.thread_id, records=len(chain.records), hash="", key_id="")
            if chain.records:
                end["hash"], end["key_id"] = chain.hashes[-1], chain.records[-1]["key_id"]
            report["ends"].append(end)
    report["chains"], report["records"] = len(report["ends"]), sum(e["records"] for e in report["ends"])
    report["problems"] = sum(f["level"] == "problem" for f in checker.findings)
    return report


def _thread(
    checker: _Checker, backend: Backend, thread_id: str, known: dict[str, list[tuple[int, str]]]
) -> _Read | None:
    before = _expected(checker, backend, thread_id)
    try:
        found = checker.chain(backend, thread_id)
    except DojangError as e:  # a link, a file that may not be read
        checker.problem(thread_id, backend.log(thread_id, KIND).path, 0, str(e))
        known.pop(thread_id, None)
        return None
    seen = known.pop(thread_id, [])
    if found.head is None and not found.records and not found.damaged:
        if seen:
            checker.problem(thread_id, found.path, 0, "the chain is gone, head and all; the home chain knows of it")
    else:
        checker.witnessed(found, seen)
    if before is not None:
        checker.logs(found, before, (_expected(checker, backend, thread_id) or []) if before or found.records else [])
    return found


def _expected(checker: _Checker, backend: Backend, thread_id: str) -> list[Note] | None:
    try:
        return expected(backend, thread_id)
    except DojangError as e:
        place = backend.log(thread_id, KIND).path.parent
        finding = Finding(level="problem", thread_id=thread_id, file=str(place), record=0, what=str(e))
        if finding not in checker.findings:
            checker.findings.append(finding)
        return None


_SOURCED = frozenset((*DECIDING.values(), *EFFECTS.values()))
"""Events that another file holds the content of."""
_TYPES: dict[str, type | tuple[type, ...]] = {
    "seq": int, "prev": str, "at": str, "actor": str, "event": str, "thread_id": (str, type(None)), "subject": str,
    "facts": dict, "content_sha256": str, "key_id": str, "signature": str,
}  # fmt: skip


def _well_formed(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and record.keys() == _TYPES.keys()
        and all(isinstance(record[name], kind) for name, kind in _TYPES.items())
        and not isinstance(record["seq"], bool)
    )


def _hash(record: AuditRecord) -> str:
    try:
        return hash_of(record)
    except (rfc8785.CanonicalizationError, orjson.JSONEncodeError):
        return ""
