"""Many threads and processes at once: one winner, nothing lost, nobody blocked for long."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from checkpoints import (
    AlreadyDecided,
    DecisionLog,
    EffectLedger,
    FileSaver,
    Journal,
    LedgerContradiction,
    ThreadBusy,
    run_lock,
    verify,
)
from checkpoints.backend import Backend
from tests.checkpoints.cases import checkpoint, config, decision, dump, metadata
from tests.checkpoints.test_damage import ACTION, outcome
from tests.processes import Forked, ran

RACER = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from checkpoints import AlreadyDecided, DecisionLog
from tests.checkpoints.cases import decision
log, me = DecisionLog(sys.argv[1]), sys.argv[2]
def vote(n):
    by = f"{me}-{n}"
    try:
        return [by, log.record("t", decision(by=by))["by"], "won"]
    except AlreadyDecided as e:
        return [by, e.winner["by"], "lost"]
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(8) as pool:
    print(json.dumps(list(pool.map(vote, range(8)))), flush=True)
"""
WRITER = """
import sys, threading
from checkpoints import FileSaver
from tests.checkpoints.cases import checkpoint, config, metadata
saver, me = FileSaver(sys.argv[1]), int(sys.argv[2])
def write(worker):
    for i in range(10):
        cp = f"{i:03}-{me}-{worker}"
        for thread in ("shared", f"own-{me}-{worker}"):
            made = checkpoint({"v": cp * 20, "who": [me, worker, i]}, {"v": i + 1, "who": i + 1}, cp)
            saver.put(config(thread), made, metadata(i), {"v": 1, "who": 1})
            saver.put_writes(config(thread, cp), [("v", cp)], "task")
threads = [threading.Thread(target=write, args=(w,)) for w in range(3)]
[t.start() for t in threads]; [t.join() for t in threads]
"""


def _spawn(code: str, *args: str) -> Forked:
    return Forked(words=args, code=code, stdin=True)


def test_64_decisions_one_winner(tmp_path: Path) -> None:
    racers = [_spawn(RACER, str(tmp_path), str(n)) for n in range(8)]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n", racer.communicate()
    results = []
    for racer in racers:
        racer.stdin.write("go\n")
    for racer in racers:
        said, errors = racer.communicate()
        assert errors == ""
        results += json.loads(said)
    assert len(results) == 64
    won = [by for by, _, how in results if how == "won"]
    assert len(won) == 1
    assert {winner for _, winner, _ in results} == set(won)
    assert [d["by"] for d in DecisionLog(tmp_path).of("t").values()] == won


def test_the_same_decision_again_is_the_stored_one(where: Backend) -> None:
    log = DecisionLog(where)
    first = log.record("t", decision(dwell_ms=5))
    assert log.record("t", decision(dwell_ms=9, channel="cli")) == first
    for other in ({"by": "이둘"}, {"type": "reject"}, {"digest": "x"}, {"edited_args": {"a": 1}}, {"message": "m"}):
        with pytest.raises(AlreadyDecided) as caught:
            log.record("t", decision(**other))
        assert caught.value.winner == first
        assert "김하나" in str(caught.value)
    assert log.record("t", decision("r2"))["review_id"] == "r2"
    assert log.record("u", decision(by="이둘"))["by"] == "이둘"
    assert list(DecisionLog(where).of("t")) == ["r", "r2"]
    assert log.of("없음") == {}


def test_processes_and_threads_write_many_threads(tmp_path: Path) -> None:
    writers = [_spawn(WRITER, str(tmp_path), str(n)) for n in range(3)]
    for writer in writers:
        said, errors = writer.communicate()
        assert (writer.returncode, said, errors) == (0, "", "")
    saver = FileSaver(tmp_path)
    shared = dump(saver, "shared")
    assert len(shared) == 90
    for where, made, _, _, writes in shared:
        cp = where["checkpoint_id"]
        i, me, worker = cp.split("-")
        assert made["channel_values"] == {"v": cp * 20, "who": [int(me), int(worker), int(i)]}
        assert writes == [("task", "v", cp)]
    assert len(dump(saver, "own-2-2")) == 10
    assert verify(tmp_path)["damaged"] == []


def test_journal_group_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers that queue share an fsync, and no append returns before its own bytes were synced."""
    import checkpoints.files.folders as folders
    import checkpoints.files.journal as module

    journal = Journal(tmp_path / "log.jsonl")
    journal.append({"k": "first"})
    synced = 0
    calls = 0
    gate = threading.Event()
    real = folders.sync_file

    def slow(fd: int) -> None:
        nonlocal synced, calls
        calls += 1
        size = os.fstat(fd).st_size
        gate.wait(5)
        real(fd)
        synced = size

    monkeypatch.setattr(module, "sync_file", slow)

    def add(i: int) -> bool:
        offset = journal.append({"k": "n", "i": i})
        return synced > offset

    with ThreadPoolExecutor(16) as pool:
        results = [pool.submit(add, i) for i in range(16)]
        while len(list(journal)) < 17:
            threading.Event().wait(0.001)
        gate.set()
        assert all(r.result() for r in results)
    assert calls <= 3
    assert sorted(r["i"] for r in journal if r["k"] == "n") == list(range(16))


def test_run_lock_names_its_holder_and_dies_with_it(tmp_path: Path) -> None:
    code = (
        "import sys, time; from checkpoints import run_lock\n"
        "with run_lock(sys.argv[1], 't', '야간 근무'):\n    print('held', flush=True); time.sleep(60)"
    )
    holder = _spawn(code, str(tmp_path))
    assert holder.stdout.readline() == "held\n"
    try:
        with pytest.raises(ThreadBusy, match="야간 근무") as caught, run_lock(tmp_path, "t", "낮"):
            pass
        assert caught.value.pid == holder.pid
        assert caught.value.since
        with run_lock(tmp_path, "other", "낮"):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with run_lock(tmp_path, "t", "낮"), pytest.raises(ThreadBusy, match="낮"), run_lock(tmp_path, "t", "또"):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_forked_child_neither_holds_nor_breaks_the_lock(tmp_path: Path) -> None:
    code = """
import os, sys
from checkpoints import FileSaver, ThreadBusy, run_lock
from tests.checkpoints.cases import checkpoint, config, metadata
saver = FileSaver(sys.argv[1])
with run_lock(sys.argv[1], "t", "parent"):
    child = os.fork()
    if child == 0:
        try:
            with run_lock(sys.argv[1], "t", "child"):
                os._exit(1)
        except ThreadBusy:
            saver.put(config(), checkpoint({}, {}), metadata(), {})
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    try:
        with run_lock(sys.argv[1], "t", "again"):
            raise SystemExit("the child's end freed the lock")
    except ThreadBusy:
        pass
assert saver.get_tuple(config()) is not None
"""
    done = ran(code=code, words=[str(tmp_path)])
    assert done.returncode == 0, done.stderr


def test_ledger(where: Backend) -> None:
    ledger = EffectLedger(where)
    assert ledger.begin("t", "k", ACTION, "at_most_once") == "fresh"
    assert EffectLedger(where).begin("t", "k", ACTION, "at_most_once") == "open"
    assert ledger.finish("t", "k", outcome()) == outcome()
    assert ledger.finish("t", "k", outcome()) == outcome()
    assert EffectLedger(where).begin("t", "k", ACTION, "at_most_once") == outcome()
    with pytest.raises(LedgerContradiction, match="ended as done"):
        ledger.finish("t", "k", outcome("failed"))
    with pytest.raises(LedgerContradiction, match="never begun"):
        ledger.finish("t", "other", outcome())
    changed: Any = {**ACTION, "args": {"방": 3}}
    with pytest.raises(LedgerContradiction, match="other arguments"):
        ledger.begin("t", "k", changed, "at_most_once")
    assert ledger.begin("t", "d", ACTION, "at_most_once") == "fresh"
    assert ledger.finish("t", "d", outcome("in_doubt"))["status"] == "in_doubt"
    assert ledger.finish("t", "d", outcome("done"))["status"] == "done"
    assert [e["k"] for e in ledger.entries("t")] == ["intent", "outcome", "intent", "outcome", "outcome"]


def test_64_begins_one_fresh(where: Backend) -> None:
    def begin(_: int) -> Any:
        return EffectLedger(where).begin("t", "k", ACTION, "at_most_once")

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(begin, range(64)))
    assert results.count("fresh") == 1
    assert results.count("open") == 63


def test_writes_share_the_fsync_of_the_checkpoint_after_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task's writes are acknowledged by the next checkpoint's fsync; when none follows, by one of their own."""
    import checkpoints.files.folders as folders
    import checkpoints.files.journal as module

    saver = FileSaver(tmp_path)
    saver.put(config(), checkpoint({"n": 1}, {"n": 1}, "1"), metadata(), {"n": 1})
    log = saver.sessions.of("t").log
    synced: list[int] = []
    real = folders.sync_file

    def counting(fd: int) -> None:
        real(fd)
        synced.append(os.fstat(fd).st_size)

    monkeypatch.setattr(module, "sync_file", counting)
    monkeypatch.setattr(module, "LINGER_MAX_S", 60.0)
    log._sync_s = 60.0
    before = log.path.stat().st_size
    writing = threading.Thread(target=saver.put_writes, args=(config(cp="1"), [("n", 2)], "task"))
    writing.start()
    while log.path.stat().st_size == before:
        threading.Event().wait(0.001)
    saver.put(config(cp="1"), checkpoint({"n": 2}, {"n": 2}, "2"), metadata(), {"n": 2})
    writing.join(30)
    assert not writing.is_alive()
    assert synced == [log.path.stat().st_size]
    monkeypatch.setattr(module, "LINGER_MAX_S", 0.001)
    for _ in range(2):
        saver.put_writes(config(cp="2"), [("n", 3)], "task")
    assert len(synced) == 3
    assert synced[-1] == log.path.stat().st_size
    assert not log._company  # it does not wait in vain again
