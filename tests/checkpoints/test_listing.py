"""Lists over many threads: what they open, what they remember, and that nothing of that is believed blindly."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import checkpoints.log.heads as heads_module
import checkpoints.log.listing as listing_module
from checkpoints import DamagedLog, DiskFault, FileSaver, KeyRing
from checkpoints.files.folders import HEADS
from checkpoints.log.listing import Logs
from tests.checkpoints.cases import checkpoint, config, metadata


def fill(saver: FileSaver, threads: int, each: int = 3) -> list[tuple[str, str]]:
    """(checkpoint id, thread) of all, newest first; the threads' checkpoints lie among each other's."""
    made = []
    for i in range(each):
        for t in range(threads):
            cp = f"{i:03}-{t:03}"
            up = f"{i - 1:03}-{t:03}" if i else None
            found = checkpoint({"v": cp}, {"v": i + 1}, cp)
            saver.put(config(f"대화 {t}", up), found, metadata(i, third=t % 3 == 0), {"v": i + 1})
            saver.put_writes(config(f"대화 {t}", cp), [("v", cp * 9)], "task")
            made.append((cp, f"대화 {t}"))
    return made[::-1]


def listed(saver: FileSaver, **asked: Any) -> list[tuple[str, str]]:
    found = []
    for t in saver.list(None, **asked):
        assert t.checkpoint["channel_values"] == {"v": t.checkpoint["id"]}
        assert t.pending_writes == [("task", "v", t.checkpoint["id"] * 9)]
        found.append((t.checkpoint["id"], t.config["configurable"]["thread_id"]))
    return found


@pytest.mark.parametrize("kept", [0, 2000, 1 << 30])
@pytest.mark.parametrize("small", [0, 1 << 20])
def test_newest_first_over_all_threads(kept: int, small: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is kept in memory, and however large a log is thought to be."""
    monkeypatch.setattr(listing_module, "KEPT_BYTES", kept)
    monkeypatch.setattr(listing_module, "SMALL", small)
    monkeypatch.setattr(listing_module, "OPEN_MAX", 2)
    made = fill(FileSaver(tmp_path, durability="os"), 9)
    saver = FileSaver(tmp_path)
    thirds = [(cp, thread) for cp, thread in made if int(thread.split()[1]) % 3 == 0]
    for _ in range(2):
        assert listed(saver) == made
        assert listed(saver, limit=5) == made[:5]
        assert listed(saver, limit=0) == []
        assert listed(saver, filter={"third": True}) == thirds
        assert listed(saver, filter={"third": True, "step": 1}) == [x for x in thirds if x[0] < "002" and x[0] > "001"]
        assert listed(saver, filter={"third": None}) == []
        assert listed(saver, before=config("any", "001-004"), limit=7) == [x for x in made if x[0] < "001-004"][:7]


def test_a_limit_bounds_what_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = fill(FileSaver(tmp_path, durability="os"), 40, each=1)
    opened: list[str] = []
    real = Logs.small
    monkeypatch.setattr(Logs, "small", lambda self, name: opened.append(name) or real(self, name))  # type: ignore[func-returns-value]
    assert listed(FileSaver(tmp_path), limit=3) == made[:3]  # nothing is known yet
    assert len(opened) == 40
    for saver in (FileSaver(tmp_path), FileSaver(tmp_path)):
        opened.clear()
        assert listed(saver, limit=3) == made[:3]
        assert len(opened) <= 4
        opened.clear()
        assert listed(saver) == made
        assert len(opened) == 40


def test_what_is_remembered_is_not_believed(tmp_path: Path) -> None:
    """Threads that change, come, go and are put back by other programs; a file of heads that is gone or spoilt."""
    root = tmp_path / "threads"
    made = fill(FileSaver(root, durability="os"), 5)
    reader = FileSaver(root)
    assert listed(reader, limit=2) == made[:2]
    old = tmp_path / "old"
    folder = reader.sessions.folders.path("대화 1")
    shutil.copytree(folder, old)
    FileSaver(root).put(config("대화 1", "002-001"), checkpoint({"v": "9"}, {"v": 9}, "9"), metadata(), {"v": 9})
    FileSaver(root).put_writes(config("대화 1", "9"), [("v", "9" * 9)], "task")
    assert listed(reader, limit=2) == [("9", "대화 1"), made[0]]
    shutil.rmtree(folder)
    shutil.copytree(old, folder)
    assert listed(reader) == made
    FileSaver(root).delete_thread("대화 2")
    assert not (root / HEADS).exists()
    left = [x for x in made if x[1] != "대화 2"]
    assert listed(reader) == left
    heads = root / HEADS
    whole = heads.read_bytes()
    assert heads.stat().st_mode & 0o777 == 0o600
    for spoilt in (b"", whole[:-9], whole.replace("대화 3".encode(), "대화 4".encode()), b"[]\n", b"\0" * 99):
        heads.write_bytes(spoilt)
        assert listed(FileSaver(root)) == left
    heads.unlink()
    assert listed(FileSaver(root), limit=1) == left[:1]


def test_what_is_added_meanwhile_is_left_out(tmp_path: Path) -> None:
    made = fill(FileSaver(tmp_path, durability="os"), 4)
    saver = FileSaver(tmp_path)
    assert listed(saver) == made
    found = saver.list(None)
    assert next(found).checkpoint["id"] == made[0][0]
    writer = FileSaver(tmp_path)
    for t in (0, 3):
        writer.put(config(f"대화 {t}"), checkpoint({"v": "9"}, {"v": 9}, f"9{t}"), metadata(), {"v": 9})
    writer.prune(["대화 1"], strategy="keep_latest")
    writer.delete_thread("대화 2")
    rest = [(t.checkpoint["id"], t.config["configurable"]["thread_id"]) for t in found]
    gone = [("001-001", "대화 1"), ("000-001", "대화 1"), *(x for x in made if x[1] == "대화 2")]
    assert rest == [x for x in made[1:] if x not in gone]


def test_an_id_that_json_cannot_hold_is_not_remembered(tmp_path: Path) -> None:
    saver = FileSaver(tmp_path, durability="os")
    made = [("9", "\ud800"), *fill(saver, 3)]
    saver.put(config("\ud800"), checkpoint({"v": "9"}, {"v": 1}, "9"), metadata(), {"v": 1})
    saver.put_writes(config("\ud800", "9"), [("v", "9" * 9)], "task")
    for _ in range(2):
        assert listed(FileSaver(tmp_path)) == made
    assert (tmp_path / HEADS).exists()


def test_damage_is_told(tmp_path: Path) -> None:
    fill(FileSaver(tmp_path, durability="os"), 3)
    saver = FileSaver(tmp_path)
    path = saver.sessions.folders.path("대화 1") / "checkpoints.jsonl"
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedLog) as caught:
        list(saver.list(None))
    assert caught.value.path == path


def test_sealed_threads_leave_no_heads(tmp_path: Path) -> None:
    keys = KeyRing.of(bytes(range(32)))
    root = tmp_path / "threads"
    made = fill(FileSaver(root, durability="os", keys=keys), 4)
    assert listed(FileSaver(root, keys=keys)) == made
    assert not (root / HEADS).exists()


def test_a_directory_that_may_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = fill(FileSaver(tmp_path, durability="os"), 4)

    def refuse(*args: Any, **options: Any) -> None:
        raise DiskFault("read-only file system")

    monkeypatch.setattr(heads_module, "replace_file", refuse)
    for _ in range(2):
        assert listed(FileSaver(tmp_path)) == made
    assert not (tmp_path / HEADS).exists()


async def test_the_same_without_blocking(tmp_path: Path) -> None:
    """Over more than are read ahead, and broken off."""
    made = fill(FileSaver(tmp_path, durability="os"), 60)
    saver = FileSaver(tmp_path)
    found = [t async for t in saver.alist(None)]
    assert [(t.checkpoint["id"], t.config["configurable"]["thread_id"]) for t in found] == made
    assert [t.checkpoint["id"] async for t in saver.alist(None, limit=7)] == [cp for cp, _ in made[:7]]
    async for t in saver.alist(None):
        assert t.checkpoint["id"] == made[0][0]
        break
