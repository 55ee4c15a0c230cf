"""Attached files in a session's folder: once each, sealed like the rest, under another key when that is wanted."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from checkpoints.backend import Backend
from checkpoints.errors import WrongKey
from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import ThreadFolders
from checkpoints.records.attachments import AttachmentLog
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
