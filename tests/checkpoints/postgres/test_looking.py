"""What changed in PostgreSQL since one looked: nothing is missed, nothing is told twice; an index over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from checkpoints import DecisionLog, ThreadIndex
from checkpoints.files.folders import folder_name
from checkpoints.index import Watched
from checkpoints.postgres.looking import FORGET_S, PgLook
from tests.checkpoints.cases import checkpoint, config, metadata, review
from tests.checkpoints.postgres.conftest import Machine
from tests.checkpoints.test_index import summarise


def put(machine: Machine, thread_id: str, *reviews: Any, title: str = "방 예약") -> None:
    values = {"title": title, "reviews": [*reviews]}
    made = checkpoint(values, {"title": title, "reviews": f"{len(reviews)}"})
    machine.saver.put(config(thread_id), made, metadata(), {"title": title, "reviews": f"{len(reviews)}"})


def names(*threads: str) -> set[str]:
    return {folder_name(thread) for thread in threads}


def told(look: PgLook) -> tuple[set[str], set[str]] | None:
    found = look.few()
    if found is not None:
        look.done()
    return found


@pytest.fixture
def look(machine: Machine) -> PgLook:
    """One that has seen threads a, b and c."""
    for thread in "abc":
        put(machine, thread)
    made = PgLook(machine.database)
    assert made.few() is None
    assert set(made.all()) == names("a", "b", "c")
    made.done()
    assert told(made) == (set(), set())
    return made


@pytest.fixture
def other(machine: Machine) -> Any:
    """A connection with a transaction that takes its time."""
    db = machine.database.connection()
    db.autocommit = False
    yield db
    db.close()


def test_an_older_transaction_that_commits_late_is_not_missed(
    machine: Machine, look: PgLook, other: psycopg.Connection[Any]
) -> None:
    other.execute("UPDATE checkpoints SET metadata = '{}' WHERE thread_id = 'a'")
    put(machine, "b", title="둘")
    assert told(look) == (names("b"), set())
    put(machine, "c", title="셋")
    assert told(look) == (names("c"), set())
    other.commit()
    assert told(look) == (names("a"), set())
    assert told(look) == (set(), set())


def test_what_was_looked_at_but_not_dealt_with_is_told_again(machine: Machine, look: PgLook) -> None:
    put(machine, "b", title="둘")
    assert look.few() == look.few() == (names("b"), set())
    look.done()
    assert look.few() == (set(), set())


def test_what_was_taken_back_is_no_change(look: PgLook, other: psycopg.Connection[Any]) -> None:
    other.execute("DELETE FROM checkpoints")
    other.rollback()
    assert told(look) == (set(), set())


WRITES = {
    "a task's writes": ("INSERT INTO checkpoint_writes VALUES ('b', '', 'c', 't', 0, 'v', 'x', '')", True),
    "a value": ("UPDATE checkpoint_blobs SET blob = '' WHERE thread_id = 'b'", False),
    "fewer checkpoints": ("DELETE FROM checkpoints WHERE thread_id = 'b'", False),
    "a decision": ("INSERT INTO records VALUES (%(b)s, 'decisions', 1, '{}')", True),
    "another effect": ("INSERT INTO records VALUES (%(b)s, 'ledger', 1, '{}')", None),
    "of no thread": ("INSERT INTO records VALUES ('', 'decisions', 1, '{}')", None),
}


@pytest.mark.parametrize("what", WRITES)
def test_every_change_that_lists_show_is_told(machine: Machine, look: PgLook, what: str) -> None:
    statement, grew = WRITES[what]
    [name] = names("b")
    before = look.signature(name)
    with machine.database.transaction() as db:
        db.execute(statement.encode(), {"b": name})
    assert told(look) == (set() if grew is None else {name}, set())
    after = look.signature(name)
    assert (after != before, look.only_grew(after, before)) == (grew is not None, grew is not False)


def test_deleted_and_made_again(machine: Machine, look: PgLook) -> None:
    machine.saver.delete_thread("a")
    machine.saver.delete_thread("b")
    put(machine, "b")
    assert told(look) == (names("b"), names("a"))
    assert look.names == names("b", "c")
    put(machine, "a")
    assert told(look) == (names("a"), set())
    assert [look.signature(folder_name(thread)) != "" for thread in ("a", "gone")] == [True, False]
    assert look.thread_id(folder_name("a")) == "a"


@pytest.mark.parametrize("how", ["another server", "long ago", "told to"])
def test_all_are_looked_at_where_the_mark_means_nothing(look: PgLook, how: str) -> None:
    if how == "another server":
        look._server = "restored"
    elif how == "long ago":
        look._at -= FORGET_S
    else:
        look.names = None
    assert look.few() is None
    assert set(look.all()) == names("a", "b", "c")


def test_what_happened_since_it_was_made(machine: Machine, look: PgLook, other: psycopg.Connection[Any]) -> None:
    other.execute("UPDATE checkpoints SET metadata = '{}' WHERE thread_id = 'a'")
    put(machine, "c", title="셋")  # a later one that is over when the look is made
    fresh = look.fresh()
    put(machine, "b", title="둘")
    other.commit()
    assert {name for name, now in fresh.all().items() if fresh.later(now)} == names("a", "b")


def test_one_transaction_pays_once(machine: Machine, look: PgLook) -> None:
    with machine.database.transaction() as db:
        for n in range(3):
            db.execute("INSERT INTO checkpoint_writes VALUES ('b', '', 'c', 't', %s, 'v', 'x', '')", (n,))
        found = db.execute("SELECT n_tup_upd FROM pg_stat_xact_user_tables WHERE relname = 'threads'").fetchone()
    assert found == (1,)


def test_an_index_reads_what_changed(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(machine, "a", review("r1", "a"))
    put(machine, "b")
    watched = Watched(machine.saver, DecisionLog(tmp_path / "threads"), PgLook(machine.database))
    index = ThreadIndex(tmp_path / "index.sqlite", watched, summarise)
    index.refresh()
    assert index.counts() == {"threads": 2, "open_reviews": 1}
    assert index.locate("r1") == "a"
    read: list[str] = []
    real = machine.saver.get_tuple

    def spy(where: Any) -> Any:
        read.append(where["configurable"]["thread_id"])
        return real(where)

    monkeypatch.setattr(machine.saver, "get_tuple", spy)
    monkeypatch.setattr(watched.look, "all", lambda: pytest.fail("all were looked at"))
    index.refresh()
    put(machine, "b", review("r2", "b"), title="새 제목")
    index.refresh()
    assert read == ["b"]
    assert {row["thread_id"]: row["title"] for row in index.threads()} == {"a": "방 예약", "b": "새 제목"}
    machine.saver.delete_thread("a")
    index.refresh()
    assert [r["id"] for r in index.reviews()] == ["r2"]
    monkeypatch.undo()
    index.path.unlink()
    assert [r["id"] for r in index.reviews()] == ["r2"]
