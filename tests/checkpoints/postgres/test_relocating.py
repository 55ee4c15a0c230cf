"""A whole home from files into PostgreSQL and back: the same in all that can be read, at any instant of a kill."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from checkpoints import run_lock
from checkpoints.audit.trail import AuditedDecisions, AuditLog
from checkpoints.errors import ThreadBusy
from checkpoints.postgres.backend import PostgresBackend
from checkpoints.postgres.locks import RunLocks
from checkpoints.postgres.saver import PgSaver
from checkpoints.upkeep import relocating
from checkpoints.upkeep.home import Home, home_at
from checkpoints.upkeep.importing import copy_checkpoint
from checkpoints.upkeep.relocating import Side, check_not_moving, relocate, told_apart
from state import BrokenInvariant, Conflict
from tests.checkpoints.audited import problems
from tests.checkpoints.cases import decision
from tests.sessions_in_postgres import database_at


class Told(TypedDict, total=False):
    said: Annotated[list[str], operator.add]
    answer: str


def _talks(saver: Any) -> Any:
    def hear(state: Told) -> Told:
        return {"said": [f"heard {len(state['said'])}"]}

    def ask(state: Told) -> Told:
        return {"answer": interrupt("well?")}

    graph = StateGraph(Told)
    graph.add_node("hear", hear)
    graph.add_node("ask", ask)
    graph.add_edge(START, "hear")
    graph.add_edge("hear", "ask")
    graph.add_edge("ask", END)
    return graph.compile(checkpointer=saver)


def _of(thread: str, checkpoint: str = "") -> RunnableConfig:
    found = {"thread_id": thread} | ({"checkpoint_id": checkpoint} if checkpoint else {})
    return {"configurable": found}


@pytest.fixture
def files(tmp_path: Path) -> Side:
    """Sessions as files: one paused, one that was forked at an older checkpoint, decisions, a chain."""
    return _files(tmp_path / "home")


def _files(home: Path) -> Side:
    threads = home / "threads"
    return Side(
        name="files",
        home=home_at(threads),
        aside=lambda suffix: str(threads.rename(threads.with_name(f"threads.{suffix}"))),
    )


@pytest.fixture
def rows(postgres_dsn: str) -> Iterator[Side]:
    """The same place in a database, empty."""
    with ExitStack() as stack:
        database, pool = database_at(postgres_dsn)
        stack.callback(pool.close)
        backend, locks = PostgresBackend(database), RunLocks(database)
        stack.callback(backend.close)
        stack.callback(locks.close)
        yield Side(
            name="postgres",
            home=Home(backend, PgSaver(database, locks), locks.run_lock),
            aside=lambda suffix: suffix,
        )


def _lived(side: Side, home: Path) -> AuditLog:
    talks = _talks(side.saver)
    for thread in ("one", "셋째"):
        talks.invoke({"said": ["hello"]}, _of(thread))
    # A branch: from the state before the question somebody goes on otherwise, so both have a third version of `said`.
    older = next(s for s in talks.get_state_history(_of("one")) if s.next == ("hear",))
    talks.update_state(older.config, {"said": ["otherwise"]}, as_node="__start__")
    talks.invoke(None, _of("one"))
    audit = AuditLog(side.backend, home / "keys")
    log = AuditedDecisions(side.backend, audit)
    log.record("one", decision("rv_1"))
    audit.note("one", "review.shown", "kim", "rv_1")
    return audit


def _seen(side: Side) -> dict[str, Any]:
    talks = _talks(side.saver)
    return {
        thread: [
            (s.config["configurable"]["checkpoint_id"], s.values, s.next, [i.id for i in s.interrupts], s.metadata)
            for s in talks.get_state_history(_of(thread))
        ]
        + [side.backend.created_at(thread), side.backend.log(thread, "decisions").records()]
        for thread in side.backend.threads()
    }


def test_there_and_back(files: Side, rows: Side, tmp_path: Path) -> None:
    home = tmp_path / "home"
    _lived(files, home)
    before = _seen(files)
    assert {s[1]["said"][0] for s in before["one"][:-2] if s[1].get("said")} == {"hello"}

    done = relocate(files, rows)

    assert done["threads"] == 2
    assert done["checkpoints"] == sum(len(of) - 2 for of in before.values())
    assert _seen(rows) == before
    assert not (home / "threads").exists(), "the source is put aside"
    assert Path(done["kept"]).is_dir()
    talks = _talks(rows.saver)
    assert talks.invoke(Command(resume="fine"), _of("셋째"))["answer"] == "fine", "what was paused goes on"
    audit = AuditLog(rows.backend, home / "keys")
    assert audit.note("one", "review.shown", "kim", "rv_1"), "the chain goes on"
    now = _seen(rows)

    back = _files(tmp_path / "other")
    (tmp_path / "other").mkdir()
    relocate(rows, back)

    assert _seen(back) == now
    (home / "keys").rename(tmp_path / "other" / "keys")
    assert problems(tmp_path / "other", thorough=True) == []


def test_branches_keep_their_own_values(files: Side, tmp_path: Path) -> None:
    _lived(files, tmp_path / "home")
    found = sorted(files.saver.list(_of("one")), key=lambda t: str(t.checkpoint["id"]))
    values: dict[tuple[str, Any], Any] = {}
    clashes = 0
    for one in found:
        for channel, version in one.checkpoint["channel_versions"].items():
            value = one.checkpoint["channel_values"].get(channel)
            clashes += values.setdefault((channel, version), value) != value
    assert clashes, "two branches of the same length have the same numbers"
    told: dict[tuple[str, Any], Any] = {}
    for one in told_apart(found):
        for channel, version in one.checkpoint["channel_versions"].items():
            value = one.checkpoint["channel_values"].get(channel)
            assert told.setdefault((channel, version), value) == value
        for node, seen in one.checkpoint["versions_seen"].items():
            for channel, version in seen.items():
                current = one.checkpoint["channel_versions"].get(channel)
                if current is not None and int(str(current).split(".")[0]) == int(str(version).split(".")[0]):
                    assert current == version, f"{node} would run again, or never"


def test_cut_off_anywhere_it_goes_on(files: Side, rows: Side, tmp_path: Path) -> None:
    _lived(files, tmp_path / "home")
    before = _seen(files)

    class Cut(Exception):
        pass

    def cut(thread: str) -> None:
        raise Cut

    with pytest.raises(Cut):
        relocate(files, rows, tell=cut)
    with pytest.raises(Conflict, match="on their way here"):
        check_not_moving(rows.backend)
    assert _seen(files) == before

    def refuse(suffix: str) -> str:
        raise Cut

    with pytest.raises(Cut):
        relocate(Side(files.name, files.home, refuse), rows)
    log = AuditedDecisions(files.backend, AuditLog(files.backend, tmp_path / "home" / "keys"))
    log.record("one", decision("rv_meanwhile"))
    now = _seen(files)
    assert relocate(files, rows)["threads"] == 2
    check_not_moving(rows.backend)
    assert _seen(rows) == now != before


@pytest.mark.parametrize("lost", ["a checkpoint", "a record"])
def test_what_arrives_otherwise_than_it_was_is_found(
    files: Side, rows: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    _lived(files, tmp_path / "home")
    before = _seen(files)
    if lost == "a checkpoint":
        told = iter(range(1000))

        def copy(*given: Any) -> None:
            if next(told) > 0:
                copy_checkpoint(*given)

        monkeypatch.setattr(relocating, "copy_checkpoint", copy)
    else:
        put = relocating._put
        monkeypatch.setattr(relocating, "_put", lambda side, thread, kind, log: put(side, thread, kind, log[:-1]))
    with pytest.raises(BrokenInvariant, match="reads differently in postgres; nothing was moved"):
        relocate(files, rows)
    assert _seen(files) == before


def test_nobody_is_overtaken(files: Side, rows: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _lived(files, tmp_path / "home")
    with run_lock(tmp_path / "home" / "threads", "one", "somebody"), pytest.raises(ThreadBusy):
        relocate(files, rows)

    log = AuditedDecisions(files.backend, AuditLog(files.backend, tmp_path / "home" / "keys"))
    told = iter(range(100))

    def decided(thread: str) -> None:
        if (n := next(told)) < 2:
            log.record(thread, decision(f"rv_late{n}"))

    put = relocating._put

    def meanwhile(side: Side, thread: str | None, kind: str, records: list[Any]) -> None:
        put(side, thread, kind, records)
        if (thread, kind, len(records)) == ("one", "decisions", 1):
            log.record("one", decision("rv_meanwhile"))

    monkeypatch.setattr(relocating, "_put", meanwhile)
    relocate(files, rows, tell=decided)
    late = {r["decision"]["review_id"] for t in ("one", "셋째") for r in rows.backend.log(t, "decisions").records()}
    assert late == {"rv_1", "rv_meanwhile", "rv_late0", "rv_late1"}, "who decided meanwhile has decided"


def test_a_place_that_has_sessions_is_left_alone(files: Side, rows: Side, tmp_path: Path) -> None:
    _lived(files, tmp_path / "home")
    _talks(rows.saver).invoke({"said": ["mine"]}, _of("theirs"))
    with pytest.raises(Conflict, match="has sessions already"):
        relocate(files, rows)
    assert list(rows.backend.threads()) == ["theirs"]
    assert datetime.fromisoformat(rows.backend.created_at("theirs")) <= datetime.now(UTC)
