"""Lists over many threads: what they open, what they remember, and that nothing of that is believed blindly."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

import checkpoints.log.heads as heads_module
import checkpoints.log.listing as listing_module
import checkpoints.log.whole as whole_module
from checkpoints import DamagedLog, DiskFault, FileSaver, KeyRing
from checkpoints.files.folders import HEADS
from checkpoints.files.stamps import STAMPS
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
    monkeypatch.setattr(whole_module, "KEPT_BYTES", 3 * kept)
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
        assert len(opened) <= 40
        opened.clear()
        assert listed(saver) == made  # all of it is at hand
        assert listed(saver, filter={"third": True}, limit=2) == [x for x in made if int(x[0][4:]) % 3 == 0][:2]
        assert opened == []
    FileSaver(tmp_path).put(config("대화 7", "000-007"), checkpoint({"v": "1"}, {"v": 2}, "1"), metadata(), {"v": 2})
    FileSaver(tmp_path).put_writes(config("대화 7", "1"), [("v", "1" * 9)], "task")
    assert listed(saver) == [("1", "대화 7"), *made]
    assert len(set(opened)) == 1


def test_what_our_programs_write_is_seen_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without looking at any other log: by what a writer leaves for those who list."""
    made = fill(FileSaver(tmp_path, durability="os"), 30, each=1)
    empty = FileSaver(tmp_path).sessions.folders.ensure("빈 대화")
    saver, other = FileSaver(tmp_path), FileSaver(tmp_path)
    for _ in range(2):
        assert listed(saver) == made
    monkeypatch.setattr(heads_module, "LOOK_EVERY_S", 1e9)
    monkeypatch.setattr(heads_module, "RACY_NS", 0)  # the folders were made a moment ago
    monkeypatch.setattr(heads_module, "WRITE_PART", 0)  # a file beside the folders is a reason to look at all
    assert listed(saver) == made
    looked: list[str] = []
    real = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **how: looked.append(str(path)) or real(path, **how))  # type: ignore[func-returns-value]
    assert listed(saver) == made
    assert len(looked) == 1
    other.put(config("빈 대화"), checkpoint({"v": "2"}, {"v": 1}, "2"), metadata(), {"v": 1})
    other.put_writes(config("빈 대화", "2"), [("v", "2" * 9)], "task")
    assert listed(saver, limit=1) == [("2", "빈 대화")]
    looked.clear()
    other.put(config("빈 대화", "2"), checkpoint({"v": "3"}, {"v": 2}, "3"), metadata(), {"v": 2})
    other.put_writes(config("빈 대화", "3"), [("v", "3" * 9)], "task")
    assert listed(saver) == [("3", "빈 대화"), ("2", "빈 대화"), *made]
    other.prune(["빈 대화"])
    assert listed(saver) == [("3", "빈 대화"), *made]
    assert sum(path.endswith("checkpoints.jsonl") and empty.name not in path for path in looked) == 0
    other.delete_thread("빈 대화")
    assert listed(saver) == made


def test_a_log_that_looks_as_before(tmp_path: Path) -> None:
    """A torn tail is cut off, and a record of its length appended within one tick of the file system's clock."""
    root, aside = tmp_path / "threads", tmp_path / "aside"
    made = fill(FileSaver(root, durability="os"), 3, each=1)
    shutil.copytree(root, aside)

    def put(saver: FileSaver) -> Path:
        found = checkpoint({"v": "1"}, {"v": 2}, "1")
        saver.put(config("대화 2", "000-002"), {**found, "ts": "t"}, metadata(), {"v": 2})
        return saver.sessions.folders.path("대화 2") / "checkpoints.jsonl"

    before = put(FileSaver(root)).stat().st_size
    shutil.rmtree(root)
    shutil.copytree(aside, root)
    log = FileSaver(root).sessions.folders.path("대화 2") / "checkpoints.jsonl"
    with log.open("ab") as file:
        file.write(b"x" * (before - log.stat().st_size))
    saver = FileSaver(root)
    for _ in range(2):
        assert listed(saver) == made
    old = log.stat()
    put(FileSaver(root))
    os.utime(log, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert (log.stat().st_size, log.stat().st_ino) == (old.st_size, old.st_ino)
    assert [t.checkpoint["id"] for t in saver.list(None)] == ["1", *(cp for cp, _ in made)]


def test_what_other_programs_do_is_seen_at_the_next_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that is put back in place, inside of its folder."""
    made = fill(FileSaver(tmp_path, durability="os"), 5, each=1)
    saver = FileSaver(tmp_path)
    log = saver.sessions.folders.path("대화 2") / "checkpoints.jsonl"
    old = log.read_bytes()
    FileSaver(tmp_path).put(config("대화 2", "000-002"), checkpoint({"v": "1"}, {"v": 2}, "1"), metadata(), {"v": 2})
    FileSaver(tmp_path).put_writes(config("대화 2", "1"), [("v", "1" * 9)], "task")
    for _ in range(2):
        assert listed(saver) == [("1", "대화 2"), *made]
    log.write_bytes(old)
    monkeypatch.setattr(heads_module, "LOOK_EVERY_S", -1)
    assert listed(saver) == made


@pytest.mark.parametrize("spoil", [b"", b"short", bytes(40_000), None])
def test_stamps_that_are_gone_or_spoilt(spoil: bytes | None, tmp_path: Path) -> None:
    made = fill(FileSaver(tmp_path, durability="os"), 5, each=1)
    saver, other = FileSaver(tmp_path), FileSaver(tmp_path)
    for cp in ("1", "2", "3"):
        assert listed(saver) == made
        other.put(config("대화 2", "000-002"), checkpoint({"v": cp}, {"v": cp}, cp), metadata(), {"v": cp})
        other.put_writes(config("대화 2", cp), [("v", cp * 9)], "task")
        made.insert(0, (cp, "대화 2"))
        (tmp_path / STAMPS).unlink()
        if spoil is not None:
            (tmp_path / STAMPS).write_bytes(spoil)
    assert listed(saver) == made


def test_what_is_listed_twice_is_shared_with_nobody(tmp_path: Path) -> None:
    saver = FileSaver(tmp_path)
    value = {"list": [1, {"a": (1, 2)}], "said": [HumanMessage("말", id="1")]}
    saver.put(config(), checkpoint({"v": value}, {"v": 1}, "1"), metadata(more={"a": [1]}), {"v": 1})
    saver.put_writes(config(cp="1"), [("v", value)], "task")
    saver.put(config(cp="1"), checkpoint({"v": {1: b"2"}}, {"v": 2}, "2"), metadata(), {"v": 2})
    first = list(saver.list(None))
    for _ in range(2):
        found = list(saver.list(None))
        assert found == first
        assert [type(m) for m in found[1].checkpoint["channel_values"]["v"]["said"]] == [HumanMessage]
        for t in found:
            t.checkpoint["channel_values"].clear()
            t.checkpoint["channel_versions"].clear()
            t.config["configurable"].clear()
            t.metadata["parents"]["x"] = "y"
            t.pending_writes.clear()  # type: ignore[union-attr]
        found[1].metadata["more"]["a"].append(2)  # type: ignore[typeddict-item]
    assert list(FileSaver(tmp_path).list(None)) == first


def test_a_page_opens_no_thread_that_is_newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = fill(FileSaver(tmp_path, durability="os"), 20, each=1)
    assert listed(FileSaver(tmp_path)) == made
    opened: list[str] = []
    real = Logs.small
    monkeypatch.setattr(Logs, "small", lambda self, name: opened.append(name) or real(self, name))  # type: ignore[func-returns-value]
    assert listed(FileSaver(tmp_path), before=config("t", made[15][0]), limit=3) == made[16:19]
    assert len(opened) <= 4


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


@pytest.mark.parametrize("at_hand", [True, False])
def test_what_is_added_meanwhile_is_left_out(at_hand: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is deleted too, unless it was at hand: that is listed as it was when the list began."""
    if not at_hand:
        monkeypatch.setattr(whole_module, "KEEP_MAX", 0)
    made = fill(FileSaver(tmp_path, durability="os"), 4)
    saver = FileSaver(tmp_path)
    assert listed(saver) == made
    found = saver.list(None)
    assert next(found).checkpoint["id"] == made[0][0]
    writer = FileSaver(tmp_path)
    for t in (0, 3):
        writer.put(config(f"대화 {t}"), checkpoint({"v": f"9{t}"}, {"v": 9}, f"9{t}"), metadata(), {"v": 9})
        writer.put_writes(config(f"대화 {t}", f"9{t}"), [("v", f"9{t}" * 9)], "task")
    writer.prune(["대화 1"], strategy="keep_latest")
    writer.delete_thread("대화 2")
    rest = [(t.checkpoint["id"], t.config["configurable"]["thread_id"]) for t in found]
    gone = [("001-001", "대화 1"), ("000-001", "대화 1"), *(x for x in made if x[1] == "대화 2")]
    assert rest == [x for x in made[1:] if at_hand or x not in gone]
    assert listed(saver, limit=2) == [("93", "대화 3"), ("90", "대화 0")]


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
