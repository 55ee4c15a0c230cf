"""A log that was packed says what it said before, whatever happens while it is packed."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

import checkpoints.files.folders as folders_module
import checkpoints.files.frames as frames_module
import checkpoints.log.moving as moving_module
import checkpoints.log.packing as packing_module
import checkpoints.log.session as session_module
import checkpoints.log.view as view_module
from checkpoints import DiskFault, FileSaver, KeyRing, verify
from checkpoints.log.packing import pack_log
from checkpoints.log.view import View
from tests.checkpoints.cases import checkpoint, config, dump, metadata
from tests.checkpoints.test_golden import GOLDEN, THREAD
from tests.processes import Forked, ran

WRITER = """
import sys
import checkpoints.log.packing as packing
from checkpoints import FileSaver
from langchain_core.messages import HumanMessage
from tests.checkpoints.cases import checkpoint, config, metadata
packing.PACK_MIN, packing.PACK_PART = 3000, 1000
saver, me = FileSaver(sys.argv[1]), sys.argv[2]
for i in range(40):
    thread = f"t{i % 2}"
    found = saver.get_tuple(config(thread))
    said = found.checkpoint["channel_values"]["m"] if found else []
    cp = f"{i:03}-{me}"
    made = checkpoint({"m": [*said, HumanMessage(f"{cp} " * 20, id=cp)]}, {"m": i}, cp)
    saver.put(config(thread, found.checkpoint["id"] if found else None), made, metadata(i), {"m": i})
    saver.put_writes(config(thread, cp), [("m", cp * 30)], "task")
"""


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs of 2 KB, whenever 4 KB are new."""
    monkeypatch.setattr(packing_module, "PACK_MIN", 4000)
    monkeypatch.setattr(packing_module, "PACK_PART", 1000)
    monkeypatch.setattr(moving_module, "PACK_BYTES", 2000)
    monkeypatch.setattr(moving_module, "FLAT_MIN", 1)


def talk(saver: FileSaver, turns: range, thread: str = "t") -> list[Any]:
    """Turns of a conversation as LangGraph stores them; the messages."""
    found = saver.get_tuple(config(thread))
    said = found.checkpoint["channel_values"]["m"] if found else []
    last = found.checkpoint["id"] if found else None
    for i in turns:
        for kind, name in ((HumanMessage, "a"), (AIMessage, "b")):
            cp = f"{i:04}{name}"
            if last is not None:
                saver.put_writes(config(thread, last), [("m", [kind(f"{cp} 말 " * 20)])], "task")
            said = [*said, kind(f"{cp} 말 " * 20, id=cp)]
            made = checkpoint({"m": said, "draft": {"n": i, "글": f"{i} " * 40}}, {"m": i, "draft": i}, cp)
            saver.put(config(thread, last), made, metadata(i), {"m": i, "draft": i})
            last = cp
    return said


def packed_bytes(saver: FileSaver, thread: str = "t") -> int:
    session = saver.sessions.of(thread)
    session.packer.wait()
    with session.view():
        return session.where.packed


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.usefixtures("small_packs")
def test_packed_again_and_again(sealed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step by step, beside a saver that never packs: always the same answers, whole and cold."""
    keys = KeyRing.of(os.urandom(32)) if sealed else None
    saver, plain = FileSaver(tmp_path / "a", keys=keys), FileSaver(tmp_path / "b", durability="os")
    plain.sessions.of("t").packer.off = True
    reached = [0]
    for n in range(12):
        talk(saver, range(3 * n, 3 * n + 3))
        talk(plain, range(3 * n, 3 * n + 3))
        if (now := packed_bytes(saver)) != reached[-1]:
            reached.append(now)
        for reader in (saver, FileSaver(tmp_path / "a", keys=keys)):
            assert [(*t[:1], t[1]["channel_values"], *t[2:]) for t in dump(reader)] == [
                (*t[:1], t[1]["channel_values"], *t[2:]) for t in dump(plain)
            ]
            assert len(dump(reader)) == 6 * n + 6
    assert len(reached) > 4
    assert reached == sorted(reached)
    assert verify(tmp_path / "a", keys=keys)["damaged"] == []
    data = (saver.sessions.folders.path("t") / "checkpoints.jsonl").read_bytes()
    assert data.count(b'"k":"pack"') > 8
    if not sealed:
        assert data.count("0001a 말 0001a".encode()) == 10, "a text is stored again and again"


def test_what_is_packed_stays_where_it_is(tmp_path: Path) -> None:
    """The second packing moves none of what the first one wrote: references into it stay good."""
    saver = FileSaver(tmp_path, durability="os")
    talk(saver, range(10))
    log = saver.sessions.of("t").log
    assert pack_log(log, 0)
    first, end = log.path.read_bytes(), packed_bytes(saver)
    talk(saver, range(10, 20))
    assert pack_log(log, end)
    second = log.path.read_bytes()
    lines = zip(first[:end].splitlines()[1:], second[:end].splitlines()[1:], strict=True)
    assert all(a[36:] == b[36:] for a, b in lines)
    assert len(second) > len(first)


def test_golden_files_can_be_packed(tmp_path: Path) -> None:
    root = tmp_path / "threads"
    shutil.copytree(GOLDEN / "v1", root, ignore=shutil.ignore_patterns("expected.json"))
    before = dump(FileSaver(root), THREAD)
    assert pack_log(FileSaver(root).sessions.of(THREAD).log, 0)
    assert dump(FileSaver(root), THREAD) == before
    assert verify(root)["damaged"] == []


def test_the_newest_state_is_read_from_its_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long state beside a longer past: a cold reader parses few records and reads the past's packs not at all."""
    saver = FileSaver(tmp_path, durability="os")
    saver.sessions.of("t").packer.off = True
    said: list[Any] = []
    for i in range(700):
        said = [*said, HumanMessage(f"{i} " * 100, id=str(i))]
        made = checkpoint({"m": said, "v": f"{i} " * 2000}, {"m": i, "v": i}, f"{i:04}")
        saver.put(config(cp=f"{i - 1:04}" if i else None), made, metadata(i), {"m": i, "v": i})
    log = saver.sessions.of("t").log
    assert pack_log(log, 0)
    records = read = 0
    real, real_at = frames_module.parse, folders_module.read_at

    def counting(line: bytes, offset: int) -> Any:
        nonlocal records
        records += 1
        return real(line, offset)

    def counting_at(fd: int, n: int, offset: int) -> bytes:
        nonlocal read
        data = real_at(fd, n, offset)
        read += len(data)
        return data

    def counting_into(fd: int, buffer: memoryview, offset: int) -> int:
        nonlocal read
        came = folders_module.read_into(fd, buffer, offset)
        read += came
        return came

    monkeypatch.setattr(view_module, "parse", counting)
    monkeypatch.setattr(view_module, "read_into", counting_into)
    monkeypatch.setattr(view_module, "read_at", counting_at)
    monkeypatch.setattr(session_module, "read_at", counting_at)
    found = FileSaver(tmp_path).get_tuple(config())
    assert found is not None
    assert found.checkpoint["channel_values"]["m"] == said
    assert records < 12  # the newest checkpoint in full, its list, and the packs
    assert read < log.path.stat().st_size / 3


def test_what_is_appended_meanwhile_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers go on while the bulk is moved; readers always have the newest; a second holder gets its text."""
    saver = FileSaver(tmp_path)
    said = [*talk(saver, range(8)), HumanMessage("홀로 " * 40, id="x")]  # the one holder of its text
    saver.put(config(cp="0007b"), checkpoint({"m": said}, {"m": 99}, "0007c"), metadata(), {"m": 99})
    real, went_on = moving_module.Moving.begin, []

    def begin(self: moving_module.Moving, data: bytes, packed: int) -> None:
        real(self, data, packed)
        saver.put_writes(config(cp="0007c"), [("m", said[-1].content)], "task")
        talk(saver, range(8, 12))
        assert FileSaver(tmp_path).get_tuple(config()) is not None
        went_on.append(dump(saver))

    monkeypatch.setattr(moving_module.Moving, "begin", begin)
    assert pack_log(saver.sessions.of("t").log, 0)
    assert dump(saver) == dump(FileSaver(tmp_path)) == went_on[0]
    assert len(went_on[0]) == 25


def test_a_thread_that_is_deleted_or_rewritten_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver = FileSaver(tmp_path)
    real = moving_module.Moving.begin

    def begin_again() -> None:
        saver.delete_thread("t")
        talk(saver, range(1))

    changes: list[Any] = [lambda: saver.prune(["t"]), lambda: saver.delete_thread("t"), begin_again]
    for change, left in zip(changes, (1, 0, 2), strict=True):
        talk(saver, range(4))
        with monkeypatch.context() as patch:

            def begin(self: moving_module.Moving, data: bytes, packed: int, change: Any = change) -> None:
                real(self, data, packed)
                change()

            patch.setattr(moving_module.Moving, "begin", begin)
            assert not pack_log(saver.sessions.of("t").log, 0)
        assert len(dump(saver)) == left
        names = {p.name for p in tmp_path.glob("*/*")}
        assert names <= {"checkpoints.jsonl", "checkpoints.jsonl.lock", "thread.json"}
        saver.delete_thread("t")


def test_damage_is_not_packed_away(tmp_path: Path) -> None:
    """A wrong byte anywhere must not get a right checksum, in what moves and in what stays."""
    saver = FileSaver(tmp_path, durability="os")
    talk(saver, range(2))
    log = saver.sessions.of("t").log
    assert pack_log(log, 0)
    packed = packed_bytes(saver)
    talk(saver, range(2, 4))
    data = log.path.read_bytes()
    for at in range(0, len(data), 7):
        log.path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert not pack_log(log, packed)
        assert log.path.read_bytes()[at] == data[at] ^ 1
    log.path.write_bytes(data)
    assert pack_log(log, packed)


@pytest.mark.parametrize("call", ["sync_file", "rename_over", "write_all"])
def test_a_failing_disk_leaves_the_old_file(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saver = FileSaver(tmp_path)
    talk(saver, range(3))
    before = dump(saver)
    data = saver.sessions.of("t").log.path.read_bytes()

    def fail(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing_module, call, fail)
    assert not pack_log(saver.sessions.of("t").log, 0)
    assert saver.sessions.of("t").log.path.read_bytes() == data
    assert dump(FileSaver(tmp_path)) == before
    assert len(list(saver.sessions.of("t").folder.iterdir())) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9")
@pytest.mark.parametrize("call", ["sync_file", "rename_over", "sync_dir"])
@pytest.mark.parametrize("after", [False, True])
def test_killed_while_packing(call: str, after: bool, tmp_path: Path) -> None:
    """At each of the calls that make a difference: the old file or the new one, and both say the same."""
    saver = FileSaver(tmp_path)
    talk(saver, range(3))
    before = dump(saver)
    code = f"""
import os, sys
import checkpoints.log.packing as packing
from checkpoints import FileSaver
real = packing.{call}
def dying(*args):
    if {after}:
        real(*args)
    os.kill(os.getpid(), 9)
packing.{call} = dying
packing.pack_log(FileSaver(sys.argv[1]).sessions.of("t").log, 0)
"""
    assert ran(code=code, words=[str(tmp_path)]).returncode == -9
    assert dump(FileSaver(tmp_path)) == before
    assert verify(tmp_path)["damaged"] == []
    assert pack_log(saver.sessions.of("t").log, packed_bytes(saver))
    assert dump(FileSaver(tmp_path)) == before
    assert len(list(saver.sessions.of("t").folder.iterdir())) == 3  # what the dead one left is gone


def test_processes_pack_under_each_others_hands(tmp_path: Path) -> None:
    """Three processes write and pack two threads while one reads: every acknowledged checkpoint is there."""
    writers = [Forked(words=[str(tmp_path), str(n)], code=WRITER) for n in range(3)]
    reader, wrong = FileSaver(tmp_path), []
    done = threading.Event()

    def look() -> None:
        seen = 0
        while not done.wait(0.001):
            found = dump(reader, "t0")
            if len(found) < seen:
                wrong.append(len(found))
            seen = len(found)

    looking = threading.Thread(target=look)
    looking.start()
    said = [writer.communicate()[1] for writer in writers]
    done.set()
    looking.join()
    assert (said, wrong) == ([""] * 3, [])
    for thread in ("t0", "t1"):
        found = dump(FileSaver(tmp_path), thread)
        assert len(found) == 60
        for where, made, _, _, writes in found:
            cp = where["checkpoint_id"]
            assert made["channel_values"]["m"][-1].content == f"{cp} " * 20
            assert writes == [("task", "m", cp * 30)]
        assert b'"packed":' in (FileSaver(tmp_path).sessions.of(thread).log.path).read_bytes()
    assert verify(tmp_path)["damaged"] == []


@pytest.mark.usefixtures("small_packs")
def test_the_saver_that_packed_knows_what_it_knew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packing moves what it remembers; nothing is read again, and the file grows as it would have."""
    saver = FileSaver(tmp_path, durability="os")
    session = saver.sessions.of("t")
    said = talk(saver, range(40))
    session.packer.off = True
    for i in range(4):
        session.packer.moved = pack_log(session.log, packed_bytes(saver))
        before = session.log.path.stat().st_size
        said = [*said, HumanMessage(f"더 {i} " * 9, id=f"x{i}")]
        with monkeypatch.context() as patched:
            for name in ("body", "bodies"):
                patched.setattr(View, name, lambda *args: pytest.fail("something was read again"))
            made = checkpoint({"m": said}, {"m": 99 + i}, f"1{i}")
            saver.put(config(cp=f"1{i - 1}" if i else "0039b"), made, metadata(), {"m": 99 + i})
            found = saver.get_tuple(config())
        assert found is not None
        assert found.checkpoint["channel_values"]["m"] == said
        assert session.log.path.stat().st_size - before < 700
        again = FileSaver(tmp_path).get_tuple(config())
        assert again is not None
        assert again.checkpoint == found.checkpoint
    assert verify(tmp_path)["damaged"] == []


@pytest.mark.usefixtures("small_packs")
def test_a_put_after_packing_does_not_store_the_thread_again(tmp_path: Path) -> None:
    saver = FileSaver(tmp_path, durability="os")
    said = talk(saver, range(40))
    packed_bytes(saver)
    path = saver.sessions.of("t").log.path
    assert pack_log(saver.sessions.of("t").log, packed_bytes(saver))
    size = path.stat().st_size
    saver.sessions.of("t").packer.off = True
    longer = [*said, HumanMessage("더", id="x")]
    saver.put(config(cp="0039b"), checkpoint({"m": longer}, {"m": 99}, "1"), metadata(), {"m": 99})
    assert path.stat().st_size - size < 1000
    found = FileSaver(tmp_path).get_tuple(config())
    assert found is not None
    assert found.checkpoint["channel_values"]["m"] == longer


def test_a_pack_that_cannot_be_read_is_a_disk_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saver = FileSaver(tmp_path, durability="os")
    saver.sessions.of("t").packer.off = True
    said = [HumanMessage(f"{i} " * 500, id=str(i)) for i in range(200)]
    saver.put(config(), checkpoint({"m": said}, {"m": 1}, "1"), metadata(), {"m": 1})
    assert pack_log(saver.sessions.of("t").log, 0)

    def broken(*args: Any) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(view_module, "read_into", broken)
    with pytest.raises(DiskFault, match=r"cannot read .*checkpoints.jsonl: Input/output error"):
        FileSaver(tmp_path).get_tuple(config())


def test_large_messages_are_packed_too(tmp_path: Path) -> None:
    """Texts beyond the size of a pack, one of them twice, among small ones."""
    saver = FileSaver(tmp_path, durability="os")
    saver.sessions.of("t").packer.off = True
    big = "가나다 " * 60_000
    said: list[Any] = []
    for i in range(12):
        said = [*said, HumanMessage(big if i in (3, 7) else f"{i} " * 50, id=str(i)), AIMessage(big[i:], id=f"a{i}")]
        saver.put(config(cp=f"{i - 1:02}"), checkpoint({"m": said}, {"m": i}, f"{i:02}"), metadata(i), {"m": i})
    before = dump(saver)
    assert pack_log(saver.sessions.of("t").log, 0)
    assert dump(FileSaver(tmp_path)) == before
