"""What Windows does otherwise, by stand-ins: it does not rename open files, locks bytes, and has no pread or fdatasync.

None of this has run on Windows or macOS; what a stand-in cannot say is in docs/checkpoint-format.md.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import struct
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
from langchain_core.messages import HumanMessage

import checkpoints.files.folders as folders_module
import checkpoints.files.locks as locks_module
import checkpoints.log.packing as packing_module
from checkpoints import DecisionLog, FileSaver, KeyRing, repair, verify
from checkpoints.upkeep.rotation import encrypt
from tests.checkpoints.cases import checkpoint, config, decision, dump, metadata

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the stand-in asks /proc what is open")


def opened() -> set[str]:
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:  # the one that listed them
            continue
    return found


@pytest.fixture
def renamed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was renamed; a file that is open, or in a folder with one, cannot be, nor renamed over."""
    done: list[str] = []
    real = os.replace

    def replace(source: Any, target: Any, **how: Any) -> None:
        for path in (str(source), str(target)):
            if held := [p for p in opened() if p == path or p.startswith(path + os.sep)]:
                raise PermissionError(13, f"{held[0]} is open", path)
        real(source, target, **how)
        done.append(Path(target).name)

    monkeypatch.setattr(os, "replace", replace)
    return done


def fill(saver: FileSaver, turns: int = 12) -> None:
    said: list[Any] = []
    for i in range(turns):
        said = [*said, HumanMessage(f"말 {i} " * 40, id=f"m{i}")]
        made = checkpoint({"m": said}, {"m": i + 1}, f"{i:03}")
        saver.put(config(cp=f"{i - 1:03}" if i else None), made, metadata(i, run_id=f"r{i}"), {"m": i + 1})
        saver.put_writes(config(cp=f"{i:03}"), [("m", said[-1])], "task")


def test_nothing_is_renamed_that_is_open(renamed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packing, pruning, deleting, copying, repairing, sealing, listing."""
    monkeypatch.setattr(packing_module, "PACK_MIN", 4096)
    saver = FileSaver(tmp_path, durability="os")
    log = saver.sessions.of("t").log.path
    fill(saver)
    saver.sessions.of("t").packer.wait()
    assert log.name in renamed
    before = dump(FileSaver(tmp_path))
    assert len(before) == 12
    monkeypatch.setattr(packing_module, "PACK_MIN", 1 << 30)
    renamed.clear()
    saver.delete_for_runs(["r3"])
    assert renamed.count(log.name) == 1
    saver.copy_thread("t", "u")
    saver.prune(["t"])
    assert renamed.count(log.name) == 2
    assert dump(saver) == before[:1]
    assert len(list(saver.list(None))) == 12
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    repair(tmp_path, "t")
    assert verify(tmp_path)["damaged"] == []
    DecisionLog(tmp_path).record("u", decision())
    assert encrypt(tmp_path, KeyRing.of(bytes(32)), "u") == 2
    assert len(dump(FileSaver(tmp_path, keys=KeyRing.of(bytes(32))), "u")) == 11
    saver.delete_thread("u")
    assert not saver.sessions.folders.path("u").exists()


def test_without_pread_and_fdatasync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pread", "preadv", "fdatasync", "pwrite"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(packing_module, "PACK_MIN", 4096)
    monkeypatch.setattr(folders_module, "SAFE_OPEN", 0)
    saver = FileSaver(tmp_path)
    fill(saver)
    saver.sessions.of("t").packer.wait()
    assert dump(FileSaver(tmp_path)) == dump(saver)
    found = FileSaver(tmp_path).get_tuple(config())
    assert found is not None
    assert len(found.checkpoint["channel_values"]["m"]) == 12
    assert len(list(FileSaver(tmp_path).list(None, limit=3))) == 3


def _msvcrt() -> ModuleType:
    """Locks one byte for one open file, as Windows does (here: the locks of open file descriptions)."""

    def locking(fd: int, mode: int, count: int) -> None:
        at = os.lseek(fd, 0, os.SEEK_CUR)
        kind = fcntl.F_UNLCK if mode == 0 else fcntl.F_WRLCK
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, at, count, 0))

    return cast(ModuleType, SimpleNamespace(LK_UNLCK=0, LK_NBLCK=2, locking=locking))


def test_the_lock_of_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its branch of ``locks``, over a stand-in for ``msvcrt``: one holder, also among threads; freed by its holder."""
    monkeypatch.setitem(sys.modules, "msvcrt", _msvcrt())
    monkeypatch.setattr(sys, "platform", "win32")
    spec = importlib.util.spec_from_file_location("locks_of_windows", locks_module.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.undo()
    path = tmp_path / "x.lock"
    held, other = module.OsLock(path), module.OsLock(path)
    assert held.acquire()
    assert not other.acquire(wait=False)
    order: list[str] = []

    def wait() -> None:
        with other:
            order.append("waited")

    waiting = threading.Thread(target=wait)
    waiting.start()
    order.append("released")
    held.release()
    waiting.join()
    assert order == ["released", "waited"]
    assert held.acquire(wait=False)
    held.release()
    path.unlink()
    with module.run_lock(tmp_path, "t", "me"), pytest.raises(module.ThreadBusy) as caught:
        with module.run_lock(tmp_path, "t", "you"):
            raise AssertionError("two holders")
    assert caught.value.owner == "me"
