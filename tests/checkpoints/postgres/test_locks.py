"""Run locks in PostgreSQL, and that a run that has lost its own cannot write."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
from typing import Any, TypedDict

import psycopg
import pytest
from langgraph.graph import START, StateGraph

from checkpoints.errors import SessionsAway, ThreadBusy
from checkpoints.postgres.locks import Hold, lock_key
from tests.checkpoints.cases import checkpoint, config, metadata
from tests.checkpoints.postgres.conftest import Machine


def _hold(machine: Machine, thread_id: str = "t") -> Hold:
    found = machine.locks.of(thread_id)
    assert found is not None
    return found


def _cut(machine: Machine, other: Machine) -> None:
    """End the backend that has the lock, as a network that is cut does after a while, or a server that starts again."""
    with other.database.reading() as db:
        assert db.execute("SELECT pg_terminate_backend(%s, 10000)", (_hold(machine).db.info.backend_pid,)).fetchone()


def test_a_second_run_is_told_who_has_the_thread(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    with one.locks.run_lock("t", "kim, process 1"):
        for other in (one, two):
            with pytest.raises(ThreadBusy, match="a run by kim, process 1 @") as busy, other.locks.run_lock("t", "lee"):
                pass
            assert busy.value.pid > 0
        with two.locks.run_lock("another", "lee"):
            pass
    with two.locks.run_lock("t", "lee"), pytest.raises(ThreadBusy, match="lee"), one.locks.run_lock("t", "kim"):
        pass
    with one.database.reading() as db:
        assert db.execute("SELECT holder FROM threads").fetchall() == [("",), ("",)]


def test_connections_are_used_again_and_dead_ones_replaced(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    pids = []
    for _ in range(2):
        with one.locks.run_lock("t", "kim"):
            pids.append(_hold(one).db.info.backend_pid)
    assert pids[0] == pids[1]
    with two.database.reading() as db:
        db.execute("SELECT pg_terminate_backend(%s, 10000)", (pids[0],))
    with one.locks.run_lock("t", "kim"):
        assert _hold(one).db.info.backend_pid != pids[0]


class Steps(TypedDict):
    n: int


def _graph(saver: Any, between: Any) -> Any:
    """Three steps; ``between`` is called in the second."""

    def step(state: Steps) -> Steps:
        return Steps(n=state["n"] + 1)

    def second(state: Steps) -> Steps:
        between()
        return step(state)

    builder = StateGraph(Steps).add_node("one", step).add_node("two", second).add_node("three", step)
    return builder.add_edge(START, "one").add_edge("one", "two").add_edge("two", "three").compile(checkpointer=saver)


@pytest.mark.parametrize("loose", [False, True])
def test_a_run_that_was_cut_off_cannot_write_and_another_goes_on(
    machines: tuple[Machine, Machine], loose: bool
) -> None:
    one, two = machines
    after: list[str] = []

    def cut() -> None:
        _cut(one, two)
        with one.database.reading() as db:  # this machine reaches the database all the same
            db.execute("SELECT 1")
        with two.locks.run_lock("t", "lee"):
            _graph(two.saver, lambda: None).invoke(None, config(), durability="sync")
            after.append(two.saver.get_tuple(config()).checkpoint["id"])  # type: ignore[union-attr]

    with pytest.raises(SessionsAway, match="has lost its lock"), one.locks.run_lock("t", "kim"):  # noqa: PT012
        if loose:
            with one.saver.loose("t"):
                _graph(one.saver, cut).invoke({"n": 0}, config(), durability="sync")
        else:
            _graph(one.saver, cut).invoke({"n": 0}, config(), durability="sync")
    found = one.saver.get_tuple(config())
    assert found is not None
    assert [found.checkpoint["id"]] == after
    assert found.checkpoint["channel_values"]["n"] == 3
    assert not found.pending_writes


def test_what_a_run_leaves_behind_cannot_write_when_it_is_over(machine: Machine) -> None:
    """A thread that was begun inside of a run writes when another run of this process has the thread."""
    with machine.locks.run_lock("t", "kim"):
        straggler = contextvars.copy_context()
    with machine.locks.run_lock("t", "kim"):
        with pytest.raises(SessionsAway):
            straggler.run(machine.saver.put, config(), checkpoint({}, {}), metadata(), {})
        machine.saver.put(config(), checkpoint({}, {}), metadata(), {})
        other = threading.Thread(target=machine.saver.put_writes, args=(config(cp="c"), [("v", 1)], "task"))
        other.start()
        other.join()
    with machine.database.reading() as db:
        assert db.execute("SELECT count(*) FROM checkpoints").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM checkpoint_writes").fetchone() == (1,)


def test_a_killed_process_holds_nothing(machines: tuple[Machine, Machine], postgres_dsn: str) -> None:
    program = (
        "import sys\nfrom tests.checkpoints.postgres.conftest import Machine\n"
        "with Machine(sys.argv[1]).locks.run_lock('t', 'child'):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, postgres_dsn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(ThreadBusy, match="child"), machines[0].locks.run_lock("t", "kim"):
            pass
        child.kill()
        child.wait()
    _until_free(machines[0])


def _until_free(machine: Machine) -> None:
    """The server notices the closed connection in its own time: it is asked for the lock, and waits for it."""
    with machine.database.reading() as db:
        db.execute("SELECT pg_advisory_lock(%(k)s), pg_advisory_unlock(%(k)s)", {"k": lock_key("t")})
    with machine.locks.run_lock("t", "kim"):
        pass


def test_loose_puts_wait_for_no_disk_until_the_end(machine: Machine) -> None:
    with machine.database.reading() as db:
        db.execute("CREATE TABLE told (waits text)")
        db.execute(
            "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO dojang_sessions.told VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$"
        )
        db.execute("CREATE TRIGGER tell AFTER INSERT ON checkpoints EXECUTE FUNCTION tell()")

    def put() -> None:
        machine.saver.put(config(), checkpoint({"v": [1]}, {"v": "1"}), metadata(), {"v": "1"})

    put()
    with machine.locks.run_lock("t", "kim"):
        db = _hold(machine).db
        with machine.saver.loose("t"):
            put()
            reached = _written(db)
            machine.saver.flush("t")
            assert not _behind(db, reached)
            put()
            reached = _written(db)
        assert not _behind(db, reached)
        put()
    with machine.database.reading() as db:
        assert db.execute("SELECT waits FROM told").fetchall() == [("on",), ("off",), ("off",), ("on",)]


def _written(db: psycopg.Connection[Any]) -> str:
    """How far the server's log goes, with what others put into it."""
    found = db.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
    assert found is not None
    return str(found[0])


def _behind(db: psycopg.Connection[Any], lsn: str) -> bool:
    """Whether the disk does not have it up to there."""
    found = db.execute("SELECT pg_current_wal_flush_lsn() < %s::pg_lsn", (lsn,)).fetchone()
    return bool(found and found[0])
