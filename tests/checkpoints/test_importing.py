"""Threads of SqliteSaver and PostgresSaver come over whole, and a paused one goes on."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command

from checkpoints import FileSaver, KeyRing, UnknownType, verify
from checkpoints.upkeep.importing import postgres_source, sqlite_source, take_over
from state import Conflict, PassingFault, UserError
from tests.checkpoints.cases import chat_graph, checkpoint, config, dump, metadata


def talk(saver: Any) -> None:
    """A thread that is over and one that waits for a person."""
    saver.setup()
    chat_graph(saver).invoke({"messages": [("human", "안녕하세요")]}, config("끝난 대화"))
    graph = chat_graph(saver, ask=True)
    graph.invoke({"messages": [("human", "방을 예약해 주세요")]}, config("손님/1"))
    assert graph.get_state(config("손님/1")).next == ("wait",)


def resumes(saver: FileSaver) -> None:
    graph = chat_graph(saver, ask=True)
    state = graph.get_state(config("손님/1"))
    assert state.next == ("wait",)
    assert [i.value for i in state.interrupts] == [{"question": "승인?"}]
    done = graph.invoke(Command(resume="승인"), config("손님/1"))
    assert [m.text for m in done["messages"]][-1] == "결재: 승인"
    assert done["n"] == 1
    assert graph.get_state(config("손님/1")).next == ()


def same(ours: list[Any], theirs: list[Any]) -> None:
    """Config, checkpoint, metadata, parent and writes; the order of writes within a task is not theirs to say."""
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        assert a[:4] == b[:4]
        assert sorted(map(repr, a[4])) == sorted(map(repr, b[4]))


@pytest.mark.parametrize("keys", [None, KeyRing.of(b"k" * 32)])
def test_from_sqlite(keys: KeyRing | None, tmp_path: Path) -> None:
    path = tmp_path / "theirs.sqlite"
    with SqliteSaver.from_conn_string(str(path)) as theirs:
        talk(theirs)
        wanted = {thread: dump(theirs, thread) for thread in ("끝난 대화", "손님/1")}
    before = path.read_bytes()
    told: list[str] = []
    with sqlite_source(path) as source:
        done = take_over(source, tmp_path / "threads", keys=keys, tell=told.append)
    assert path.read_bytes() == before
    assert sorted(done["threads"]) == sorted(told) == sorted(wanted)
    assert done["checkpoints"] == sum(map(len, wanted.values()))
    saver = FileSaver(tmp_path / "threads", keys=keys)
    for thread, found in wanted.items():
        same(dump(saver, thread), found)
    assert verify(tmp_path / "threads", keys=keys)["damaged"] == []
    with sqlite_source(path) as source:
        again = take_over(source, tmp_path / "threads", keys=keys)
    assert (again["threads"], sorted(again["present"])) == ([], sorted(wanted))
    resumes(saver)
    assert not list((tmp_path / "threads").glob(".import-*"))


def test_from_postgres(postgres_dsn: str, tmp_path: Path) -> None:
    with PostgresSaver.from_conn_string(postgres_dsn) as theirs:
        talk(theirs)
        wanted = {thread: dump(theirs, thread) for thread in ("끝난 대화", "손님/1")}
    with postgres_source(postgres_dsn) as source:
        assert len(take_over(source, tmp_path)["threads"]) == 2
    saver = FileSaver(tmp_path)
    for thread, found in wanted.items():
        same(dump(saver, thread), found)
    resumes(saver)


def test_a_database_without_such_tables(postgres_dsn: str) -> None:
    with pytest.raises(UserError, match="no tables"), postgres_source(postgres_dsn):
        pass
    with pytest.raises(UserError, match="connection string"), postgres_source("손님"):
        pass
    with pytest.raises(PassingFault, match="does not answer"), postgres_source("postgresql://u:pw@127.0.0.1:1/x"):
        pass


def test_what_is_no_such_file(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("안녕" * 1000)
    sqlite3.connect(tmp_path / "empty").close()
    for name in ("text", "empty", "missing"):
        with pytest.raises(UserError), sqlite_source(tmp_path / name):
            pass


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langgraph.checkpoint.sqlite", None)
    monkeypatch.setitem(sys.modules, "langgraph.checkpoint.postgres", None)
    with pytest.raises(UserError, match="langgraph-checkpoint-sqlite"), sqlite_source(tmp_path / "x"):
        pass
    with pytest.raises(UserError, match="langgraph-checkpoint-postgres"), postgres_source("postgresql://x/y"):
        pass


def test_all_or_nothing(tmp_path: Path) -> None:
    """The second thread cannot come over; so the first does not either."""
    path, root = tmp_path / "theirs.sqlite", tmp_path / "threads"
    with SqliteSaver.from_conn_string(str(path)) as theirs:
        talk(theirs)
        made = checkpoint({"v": Strange()}, {"v": 1}, "001")
        theirs.put(config("이상한 대화"), made, metadata(1), {"v": 1})
    with sqlite_source(path) as source:
        with pytest.raises(UnknownType, match="이상한 대화"):
            take_over(source, root)
        assert list(root.iterdir()) == []
        assert take_over(source, root, only=["손님/1"])["threads"] == ["손님/1"]
        with pytest.raises(UserError, match="no thread 'x'"):
            take_over(source, root, only=["x"])
    resumes(FileSaver(root))
    with sqlite_source(path) as source, pytest.raises(Conflict, match="differs"):
        take_over(source, root, only=["손님/1", "끝난 대화"])
    assert FileSaver(root).get_tuple(config("끝난 대화")) is None


class Strange:
    """A type that no list allows; msgpack keeps it by its module and name."""

    def __init__(self) -> None:
        self.x = 1

    def model_dump(self) -> dict[str, int]:
        return {"x": self.x}
