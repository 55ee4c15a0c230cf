"""Killed, out of space, failing disk, read-only: what was acknowledged is there, and nothing else is wrong."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

import checkpoints.files.folders as folders_module
import checkpoints.files.journal as journal_module
from checkpoints import DecisionLog, DiskFault, EffectLedger, FileSaver, verify
from tests.checkpoints.cases import checkpoint, config, decision, dump, metadata
from tests.checkpoints.crash_child import write_until_killed
from tests.checkpoints.test_damage import ACTION, outcome
from tests.processes import FORKS, ran

KILLS = int(os.environ.get("DOJANG_TEST_KILLS", "40"))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
@pytest.mark.timeout(max(300, 10 * KILLS))
def test_killed_at_any_instant(tmp_path: Path) -> None:
    """Children write and are killed; whatever they said was done must be there."""
    rng = random.Random(11)
    promised: set[str] = set()
    for _ in range(KILLS):
        acknowledged = _run_and_kill(tmp_path, lines=rng.randint(1, 12), wait_s=rng.random() * 0.003)
        found = FileSaver(tmp_path).get_tuple(config())
        done = int(found.checkpoint["id"]) if found else 0
        assert done >= acknowledged["cp"]
        if found is not None:
            assert [x["번호"] for x in found.checkpoint["channel_values"]["items"]] == list(
                range(max(1, done - 29), done + 1)
            )
            if done == acknowledged["w"]:
                assert found.pending_writes == [("task", "items", done)]
        decided = DecisionLog(tmp_path).of("t")
        promised |= acknowledged["decisions"]
        assert promised <= decided.keys()
        assert len(decided.keys() - promised) <= 1  # in flight when the child died
        promised |= decided.keys()
    assert verify(tmp_path)["damaged"] == []


def _run_and_kill(directory: Path, *, lines: int, wait_s: float) -> dict[str, Any]:
    """Start a writer, take this many of its acknowledgements, kill it a moment later; what it acknowledged."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    child = FORKS.Process(target=write_until_killed, args=(str(directory), theirs))
    child.start()
    theirs.close()
    numbers: dict[str, list[int]] = {"cp": [0], "w": [0], "d": []}
    for n in range(lines):
        assert ours.poll(60), f"the writer said only {n} lines"
        kind, number = ours.recv()
        numbers[kind].append(number)
    child.join(wait_s)
    child.kill()
    child.join()
    with contextlib.suppress(EOFError, OSError):  # what it said in its last moment counts too
        while True:
            kind, number = ours.recv()
            numbers[kind].append(number)
    return {"cp": numbers["cp"][-1], "w": numbers["w"][-1], "decisions": {f"r{i}" for i in numbers["d"]}}


def _put(saver: FileSaver, i: int, size: int = 10) -> None:
    made = checkpoint({"v": f"{i} " * size}, {"v": i}, f"{i:03}")
    saver.put(config(cp=f"{i - 1:03}" if i > 1 else None), made, metadata(i), {"v": i})


@pytest.mark.skipif(os.name == "nt", reason="RLIMIT_FSIZE")
def test_full_disk_leaves_the_last_state(tmp_path: Path) -> None:
    """A real partial write: the process may not make files larger than the limit."""
    code = """
import resource, signal, sys
from checkpoints import DiskFault, FileSaver
from tests.checkpoints.test_crash import _put
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
saver = FileSaver(sys.argv[1])
_put(saver, 1)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    _put(saver, 2, 3000)
except DiskFault as e:
    assert "nothing was written" in str(e), e
else:
    raise SystemExit("no error")
assert saver.get_tuple({"configurable": {"thread_id": "t"}}).checkpoint["id"] == "001"
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
_put(saver, 2)
"""
    for limit in (700, 1000, 4096):
        root = tmp_path / str(limit)
        done = ran(code=code, words=[str(root), str(limit)])
        assert done.returncode == 0, done.stderr
        assert [t[1]["id"] for t in dump(FileSaver(root))] == ["002", "001"]
        assert verify(root)["damaged"] == []


def test_a_failed_fsync_is_not_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saver, log = FileSaver(tmp_path), DecisionLog(tmp_path)
    _put(saver, 1)

    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "sync_file", fail)
        with pytest.raises(DiskFault, match="Input/output error"):
            _put(saver, 2)
        with pytest.raises(DiskFault, match="Input/output error"):
            log.record("t", decision())
        patch.setattr("checkpoints.log.session.sync_file", fail)
        with pytest.raises(DiskFault, match="nothing was changed"):
            saver.prune(["t"])
    _put(saver, 3)
    found = saver.get_tuple(config())
    assert found is not None
    assert found.checkpoint["id"] == "003"
    assert log.record("t", decision())["review_id"] == "r"
    assert verify(tmp_path)["damaged"] == []


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("fault", ["write", "short"])
def test_a_failed_write_can_be_tried_again(
    fault: str, error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver = FileSaver(tmp_path)
    _put(saver, 1)
    before = dump(saver)
    real = os.write

    def broken(fd: int, data: Any) -> int:
        if fault == "short" and len(data) > 20:
            return real(fd, data[:20])
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", broken)
        with pytest.raises(DiskFault, match=os.strerror(error)):
            _put(saver, 2)
        assert dump(saver) == dump(FileSaver(tmp_path)) == before
    _put(saver, 2)
    assert len(dump(FileSaver(tmp_path))) == 2


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskFault, match="cannot create"):
        _put(FileSaver(tmp_path / "file" / "threads"), 1)


@pytest.mark.parametrize("call", ["read", "pread"])
def test_a_failing_read_is_a_disk_fault(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what the process knew is still right when the disk answers again."""
    if not hasattr(os, call):
        pytest.skip("there is no pread here")
    saver, log = FileSaver(tmp_path), DecisionLog(tmp_path)
    for i in range(1, 4):
        _put(saver, i, 20_000)
    log.record("t", decision())
    before, real = dump(saver), getattr(os, call)
    path = saver.sessions.of("t").log.path

    def broken(fd: int, *args: Any) -> Any:
        if os.path.samestat(os.fstat(fd), path.stat()):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(fd, *args)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, broken)
        for act in (lambda: FileSaver(tmp_path).get_tuple(config()), lambda: dump(FileSaver(tmp_path))):
            with pytest.raises(DiskFault, match=r"cannot read .*checkpoints.jsonl: Input/output error"):
                act()
    assert dump(saver) == dump(FileSaver(tmp_path)) == before


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX permissions")
@pytest.mark.parametrize("error", [errno.EACCES, errno.EROFS])
def test_a_read_only_directory_can_be_read(error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saver = FileSaver(tmp_path)
    _put(saver, 1)
    real = os.open

    def read_only(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:  # chmod does not stop root
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(error, os.strerror(error))
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", read_only)
    reader = FileSaver(tmp_path)
    assert len(dump(reader)) == 1
    with pytest.raises(DiskFault, match=os.strerror(error)):
        _put(reader, 2)


def test_an_effect_begins_and_ends_only_when_that_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = EffectLedger(tmp_path)
    synced: list[int] = []
    real = folders_module.sync_file

    def sync(fd: int) -> None:
        real(fd)
        synced.append(os.fstat(fd).st_size)

    monkeypatch.setattr(journal_module, "sync_file", sync)
    path = ledger.folders.path("t") / "ledger.jsonl"
    assert ledger.begin("t", "k", ACTION, "at_most_once") == "fresh"
    assert synced[-1] == path.stat().st_size
    assert b'"intent"' in path.read_bytes()
    ledger.finish("t", "k", outcome())
    assert synced[-1] == path.stat().st_size

    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(journal_module, "sync_file", fail)
    with pytest.raises(DiskFault, match="Input/output error"):
        ledger.begin("t", "k2", ACTION, "at_most_once")
