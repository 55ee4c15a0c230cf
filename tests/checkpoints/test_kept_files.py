"""A run leaves its log and the lock of it open between its steps. Nobody else notices."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkpoints import FileSaver
from checkpoints.files.locks import OsLock
from checkpoints.log.packing import pack_log
from tests.checkpoints.cases import checkpoint, config, dump, metadata
from tests.processes import ran

FDS = Path("/proc/self/fd")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="there each append opens its files")


def put(saver: FileSaver, *numbers: int) -> None:
    for i in numbers:
        made = checkpoint({"v": f"{i} " * 20}, {"v": i}, f"{i:03}")
        saver.put(config(cp=f"{i - 1:03}" if i > 1 else None), made, metadata(i), {"v": i})


def ids(saver: FileSaver) -> list[str]:
    return [found[1]["id"] for found in dump(saver)]


def opened(folder: Path) -> list[str]:
    """Names of the files of a folder that this process has open."""
    links: Iterator[str] = (os.readlink(fd) for fd in FDS.iterdir() if os.path.lexists(fd))
    return sorted(Path(link).name for link in links if link.startswith(f"{folder}/"))


def test_others_write_between_two_steps(tmp_path: Path) -> None:
    saver, other = FileSaver(tmp_path), FileSaver(tmp_path)
    with saver.loose("t"):
        put(saver, 1)
        lock = OsLock(next(tmp_path.glob("*/checkpoints.jsonl.lock")))
        assert lock.acquire(wait=False)
        lock.release()
        put(other, 2)
        put(saver, 3)
        assert ids(other) == ids(saver) == ["003", "002", "001"]
    assert ids(FileSaver(tmp_path)) == ["003", "002", "001"]


def test_a_log_that_is_replaced_meanwhile(tmp_path: Path) -> None:
    saver, other = FileSaver(tmp_path), FileSaver(tmp_path)
    with saver.loose("t"):
        put(saver, *range(1, 9))
        assert pack_log(other.sessions.of("t").log, 0) is not None
        put(saver, 9)
        other.prune(["t"])
        put(saver, 10)
        assert ids(FileSaver(tmp_path)) == ["010", "009"]
    assert ids(FileSaver(tmp_path)) == ["010", "009"]


def test_a_thread_that_is_deleted_meanwhile(tmp_path: Path) -> None:
    saver, other = FileSaver(tmp_path), FileSaver(tmp_path)
    with saver.loose("t"):
        put(saver, 1, 2)
        other.delete_thread("t")
        assert dump(saver) == []
        put(saver, 1)
    assert ids(FileSaver(tmp_path)) == ["001"]


@pytest.mark.skipif(not FDS.exists(), reason="asks /proc which files are open")
@pytest.mark.parametrize("fails", [False, True])
def test_nothing_stays_open_when_the_run_is_over(fails: bool, tmp_path: Path) -> None:
    saver = FileSaver(tmp_path)
    with contextlib.suppress(ValueError), saver.loose("t"):
        put(saver, 1, 2)
        assert opened(next(tmp_path.iterdir())) == ["checkpoints.jsonl", "checkpoints.jsonl.lock"]
        if fails:
            raise ValueError
    assert opened(next(tmp_path.iterdir())) == []
    put(saver, 3)
    assert opened(next(tmp_path.iterdir())) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_child_that_is_forked_in_a_run_holds_up_nobody(tmp_path: Path) -> None:
    """The child lives on with a copy of all that was open; its parent dies in the middle of an append."""
    code = """
import os, signal, sys
from checkpoints import FileSaver
from checkpoints.files.locks import OsLock
from checkpoints.log.session import Session
from tests.checkpoints.test_kept_files import ids, put
saver = FileSaver(sys.argv[1])
goes_on, going = os.pipe()
if (parent := os.fork()) == 0:
    with saver.loose("t"):
        put(saver, 1)
        if os.fork() == 0:
            os.close(going)
            os.read(goes_on, 1)
            os._exit(0)
        Session._append = lambda *given: os.kill(os.getpid(), signal.SIGKILL)
        put(saver, 2)
os.waitpid(parent, 0)
lock = OsLock(saver.sessions.of("t").log.path.with_name("checkpoints.jsonl.lock"))
assert lock.acquire(wait=False), "the child has the lock of its dead parent"
lock.release()
put(FileSaver(sys.argv[1]), 2)
assert ids(saver) == ["002", "001"]
os.write(going, b"x")
"""
    done = ran(code=code, words=[str(tmp_path)])
    assert done.returncode == 0, done.stderr
