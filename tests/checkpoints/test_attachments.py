"""Attached files in a session's folder: once each, sealed like the rest, under another key when that is wanted."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from checkpoints.backend import Backend
from checkpoints.errors import WrongKey
from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import ThreadFolders
from checkpoints.records import attachments
from checkpoints.records.attachments import AttachmentLog, without_data
from checkpoints.upkeep.rotation import encrypt, reseal

OLD, NEW = b"\x01" * 32, b"\x02" * 32
NOTE = b"the code of the safe is 4711"


def log(root: Path, keys: KeyRing | None = None) -> AttachmentLog:
    return AttachmentLog(ThreadFolders(root, keys=keys), keys=keys)


def body(root: Path) -> bytes:
    return next(root.glob("*/attachments.jsonl")).read_bytes()


def test_a_file_is_kept_once_and_copied(where: Backend) -> None:
    kept = AttachmentLog(where)
    assert len({kept.put("t", NOTE, by="kim") for _ in range(3)}) == 1
    assert len(where.log("t", "attachments").records()) == 1
    kept.copy("t", "other")
    digest = kept.put("t", NOTE, by="kim")
    assert (kept.get("other", digest), kept.get("t", "0" * 64), kept.get("nobody", digest)) == (NOTE, None, None)


def test_what_is_kept_in_memory_is_what_the_log_says_now(where: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = AttachmentLog(where)
    one, two = (kept.put("t", data, by="kim") for data in (NOTE, b"second"))
    assert kept.some("t", [one]) == {one: NOTE}
    assert kept.some("t", [one, two]) == {one: NOTE, two: b"second"}  # more than was asked for before
    assert AttachmentLog(where).put("t", b"third", by="lee") not in kept.some("t", [one])
    with monkeypatch.context() as broken:
        broken.setattr(AttachmentLog, "_log", None)
        assert kept.some("t", [one]) == {one: NOTE}  # without reading
    other = where.log("t", "attachments")
    with other.locked():
        other.rewrite([without_data(record) for record in other.records()])
    assert kept.some("t", [one, two]) == {}  # erased, by somebody else
    monkeypatch.setattr(attachments, "MEMORY", 2 * len(NOTE))
    digests = {thread: kept.put(thread, NOTE, by="kim") for thread in "abc"}
    for thread, digest in digests.items():
        assert kept.get(thread, digest) == NOTE
    assert sorted(kept._kept) == ["b", "c"]


def test_it_is_sealed_and_sealed_anew(tmp_path: Path) -> None:
    digest = log(tmp_path).put("t", NOTE, by="kim")
    encrypt(tmp_path, KeyRing.of(OLD), "t")
    assert base64.b64encode(NOTE) not in body(tmp_path)
    assert log(tmp_path, KeyRing.of(OLD)).get("t", digest) == NOTE
    reseal(tmp_path, KeyRing.of(NEW, OLD), "t")
    assert log(tmp_path, KeyRing.of(NEW)).get("t", digest) == NOTE
    for others in (KeyRing.of(OLD), None):
        with pytest.raises(WrongKey):
            log(tmp_path, others).get("t", digest)
