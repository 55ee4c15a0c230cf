"""Of a run that does not wait for the disk at each checkpoint a power cut takes nothing that was acknowledged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from checkpoints import DamagedLog, DecisionLog, EffectLedger, FileSaver, KeyRing, verify
from tests.checkpoints.cases import checkpoint, config, decision, dump, metadata
from tests.checkpoints.power import FDS, Disk
from tests.checkpoints.test_damage import ACTION

pytestmark = pytest.mark.skipif(not FDS.exists(), reason="asks /proc which file a descriptor is")
LOG = "checkpoints.jsonl"


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture(params=["plain", "sealed"])
def keys(request: pytest.FixtureRequest) -> KeyRing | None:
    return KeyRing.of(bytes(range(32))) if request.param == "sealed" else None


def put(saver: FileSaver, *numbers: int, size: int = 20) -> None:
    for i in numbers:
        made = checkpoint({"v": f"{i} " * size}, {"v": i}, f"{i:03}")
        saver.put(config(cp=f"{i - 1:03}" if i > 1 else None), made, metadata(i), {"v": i})


def ids(directory: Path, keys: KeyRing | None = None) -> list[str]:
    return [found[1]["id"] for found in dump(FileSaver(directory, keys=keys))]


def log_of(directory: Path) -> Path:
    [path] = directory.glob(f"*/{LOG}")
    return path


def test_a_loose_put_is_seen_at_once_and_waits_once_at_the_end(tmp_path: Path, disk: Disk) -> None:
    saver, home = FileSaver(tmp_path / "threads"), tmp_path / "threads"
    put(saver, 1)
    disk.waits.clear()
    with saver.loose("t"):
        put(saver, 2, 3, 4)
        saver.put_writes(config(cp="004"), [("v", 1)], "task")
        assert ids(home) == ["004", "003", "002", "001"]  # a killed process loses none of it
        assert disk.waits == []
        assert ids(disk.cut(home, tmp_path / "meanwhile")) == ["001"]
    assert disk.waits == [LOG]
    assert ids(disk.cut(home, tmp_path / "after")) == ["004", "003", "002", "001"]
    put(saver, 5)
    assert disk.waits == [LOG, LOG]


def test_who_waits_once_more_waits_for_nothing(tmp_path: Path, disk: Disk) -> None:
    """The mark that a flush leaves behind is not waited for either, and no second one follows it."""
    saver = FileSaver(tmp_path / "threads")
    with saver.loose("t"):
        put(saver, 1, 2)
        saver.flush("t")
        disk.waits.clear()
        written = log_of(tmp_path / "threads").read_bytes()
        saver.flush("t")
    assert disk.waits == []
    assert log_of(tmp_path / "threads").read_bytes() == written


def test_what_is_put_while_somebody_waits_for_the_disk(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who decides waits for the log of a run that goes on; the mark of that wait says nothing that is not so."""
    saver, home = FileSaver(tmp_path / "threads"), tmp_path / "threads"
    put(saver, 1)
    late = iter([3])

    def sync(fd: int) -> None:
        disk._sync(fd)
        put(saver, *late)  # the run's, too late for this sync

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, sync)
    with saver.loose("t"):
        put(saver, 2)
        saver.flush("t")
        assert b'"k":"mark"' in log_of(home).read_bytes()
        assert ids(disk.cut(home, tmp_path / "marked")) == ["003", "002", "001"]
    assert ids(disk.cut(home, tmp_path / "after")) == ["003", "002", "001"]


def test_a_run_that_fails_waits_as_well(tmp_path: Path, disk: Disk) -> None:
    saver, home = FileSaver(tmp_path / "threads"), tmp_path / "threads"

    def fail() -> None:
        with saver.loose("t"):
            put(saver, 1, 2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert ids(disk.cut(home, tmp_path / "after")) == ["002", "001"]


def test_what_an_effect_follows_from_is_on_the_disk_before_its_intent(tmp_path: Path, disk: Disk) -> None:
    """Red without the flush in ``EffectLedger.begin``: the intent would be of a call that nobody knows."""
    saver, home = FileSaver(tmp_path / "threads"), tmp_path / "threads"
    ledger = EffectLedger(home)
    with saver.loose("t"):
        put(saver, 1, 2, 3)
        with ledger.lease("t", "key"):
            assert ledger.begin("t", "key", ACTION, "at_most_once") == "fresh"
            after = disk.cut(home, tmp_path / "after")
    assert ids(after) == ["003", "002", "001"]
    assert [e["k"] for e in EffectLedger(after).entries("t")] == ["intent"]
    assert disk.waits.index(LOG) < disk.waits.index("ledger.jsonl")


@pytest.mark.parametrize("votes", [1, 2])
def test_a_decision_does_not_outlive_its_review(votes: int, tmp_path: Path, disk: Disk) -> None:
    saver, home = FileSaver(tmp_path / "threads"), tmp_path / "threads"
    with saver.loose("t"):
        put(saver, 1, 2)
        log = DecisionLog(home)  # another process, which sees the review before its run has told of it
        log.record("t", decision()) if votes == 1 else log.vote("t", decision(), votes)
        after = disk.cut(home, tmp_path / "after")
    assert ids(after) == ["002", "001"]
    assert len(DecisionLog(after).entries("t")) == 1


def holed(path: Path, number: int) -> tuple[int, int]:
    """Zero the inside of the file's line of this number, and the end of the line before it; where that is."""
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    begin = sum(map(len, lines[:number]))
    end = begin + len(lines[number]) // 2
    path.write_bytes(data[: begin + 8] + bytes(end - begin - 8) + data[end:])
    return begin, end


def test_pages_that_never_reached_the_disk_end_the_log_before_them(tmp_path: Path, keys: KeyRing | None) -> None:
    """File systems write pages in any order: later records may be whole where earlier ones are zeros."""
    saver = FileSaver(tmp_path, keys=keys)
    put(saver, 1, 2)
    with saver.loose("t"):
        put(saver, 3, 4, 5, 6)
        path = log_of(tmp_path)
        as_it_was = path.read_bytes()
    path.write_bytes(as_it_was)  # before the flush and its mark
    begin, _ = holed(path, 4)  # of header, 1, 2, 3, 4: the fourth checkpoint
    assert ids(tmp_path, keys) == ["003", "002", "001"]
    assert verify(tmp_path, keys=keys)["damaged"] == []
    put(FileSaver(tmp_path, keys=keys), 4)
    assert ids(tmp_path, keys) == ["004", "003", "002", "001"]
    assert path.read_bytes()[:begin] == as_it_was[:begin]


@pytest.mark.parametrize(("line", "told"), [(4, True), (2, False)])
def test_a_hole_in_what_was_on_the_disk_is_damage(line: int, told: bool, tmp_path: Path) -> None:
    """``told``: the flush came, and a mark says so. Else the loose records say it of those before them."""
    saver = FileSaver(tmp_path)
    put(saver, 1, 2)
    with saver.loose("t"):
        put(saver, 3, 4, 5, 6)
        path = log_of(tmp_path)
        as_it_was = path.read_bytes()
    if not told:
        path.write_bytes(as_it_was)
    holed(path, line)
    with pytest.raises(DamagedLog):
        put(FileSaver(tmp_path), 7)
    assert len(verify(tmp_path)["damaged"]) == 1


def test_a_run_whose_session_was_pushed_out_waits_all_the_same(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("checkpoints.saver.OPEN_MAX", 1)
    saver, home = FileSaver(tmp_path / "threads"), tmp_path / "threads"
    with saver.loose("t"):
        put(saver, 1, 2)
        for other in ("a", "b"):
            saver.get_tuple({"configurable": {"thread_id": other}})
        saver.sessions.clear()
    assert ids(disk.cut(home, tmp_path / "after")) == ["002", "001"]
