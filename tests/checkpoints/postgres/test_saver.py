"""PgSaver through LangGraph: conformance, exact values, one transaction a put, copies, deletion."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from typing import Any

import hypothesis
import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres.base import MIGRATIONS
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.types import Command

from checkpoints.errors import NeededHistory, UnknownType
from checkpoints.files.folders import folder_name
from checkpoints.postgres.saver import PgSaver
from state import UserError
from tests.checkpoints.cases import chat_graph, checkpoint, config, dump, metadata
from tests.checkpoints.postgres.conftest import Machine


async def test_conformance(machine: Machine) -> None:
    async def factory() -> AsyncIterator[PgSaver]:
        with machine.database.transaction() as db:
            db.execute("TRUNCATE checkpoints, checkpoint_blobs, checkpoint_writes, threads")
        yield machine.saver

    report = await validate(checkpointer_test(name="PgSaver")(factory))
    assert [r.failures for r in report.results.values() if r.failures] == []
    assert sum(r.tests_passed for r in report.results.values()) == 81


@pytest.mark.parametrize("name", ["\ud800", "a\0b"])
def test_a_checkpoint_that_no_row_could_be_called_like_is_none(machine: Machine, name: str) -> None:
    """A client may ask for any name: it is told that there is none, as over files."""
    there = machine.saver.put(config(), checkpoint({"v": 1}, {"v": 1}), metadata(), {"v": 1})
    named: Any = {"configurable": {**there["configurable"], "checkpoint_id": name}}
    assert machine.saver.get_tuple(named) is None
    assert list(machine.saver.list(named)) == list(machine.saver.list(config(), before=named)) == []
    assert machine.saver.get_tuple(there) is not None
    for hurts in ({"a": name}, {name: 1}, {"a": [float("inf")]}):
        assert list(machine.saver.list(config(), filter=hurts)) == []


VALUES = {
    "text": "짧은 글",
    "nul": "a\0b",
    "half": "\ud800",
    "long": "가" * 500,
    "empty": "",
    "whole": 1.0,
    "large": 1e22,
    "nan_free": 0.1,
    "minus_zero": -0.0,
    "infinite": float("inf"),
    "number": 2**62,
    "huge": 2**80,
    "yes": True,
    "nothing": None,
    "list": [1, "x", {"k": HumanMessage("안녕\0")}],
    "snapshot": _DeltaSnapshot([1, 2]),
}


def test_values_come_back_as_they_were(machine: Machine) -> None:
    saver, versions = machine.saver, dict.fromkeys(VALUES, "1")
    stored = saver.put(config(), checkpoint(VALUES, versions), metadata(), {**versions})
    saver.put_writes(stored, [*VALUES.items()], "task", "path")
    found = saver.get_tuple(config())
    assert found is not None
    for name, value in found.checkpoint["channel_values"].items():
        assert (type(value), repr(value)) == (type(VALUES[name]), repr(VALUES[name]))
    assert {channel: repr(v) for _, channel, v in found.pending_writes or []} == {k: repr(v) for k, v in VALUES.items()}


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize("value", [Colour.RED, object()], ids=["enum", "object"])
def test_an_unknown_type_is_refused_before_anything_is_written(machine: Machine, value: object) -> None:
    with pytest.raises(UnknownType):
        machine.saver.put(config(), checkpoint({"v": value}, {"v": "1"}), metadata(), {"v": "1"})
    assert not machine.saver.has("t")


@pytest.mark.parametrize("thread_id", ["nul\0nul", "\ud800"])
def test_a_thread_id_that_postgres_cannot_hold(machine: Machine, thread_id: str) -> None:
    acts: list[Callable[[], object]] = [
        lambda: machine.saver.put(config(thread_id), checkpoint({}, {}), metadata(), {}),
        lambda: machine.saver.get_tuple(config(thread_id)),
        lambda: [*machine.saver.list(config(thread_id))],
        lambda: machine.saver.has(thread_id),
        lambda: machine.saver.delete_thread(thread_id),
        lambda: machine.locks.run_lock(thread_id, "kim").__enter__(),
    ]
    for act in acts:
        with pytest.raises(UserError, match="cannot be kept in PostgreSQL"):
            act()


def test_metadata_that_postgres_cannot_hold(machine: Machine) -> None:
    with pytest.raises(UserError, match="cannot keep"):
        machine.saver.put(config(), checkpoint({}, {}), metadata(deep={"a": "x\0"}), {})


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40))
@example("../../etc/passwd")
@example("가" * 40)
@example("_-a-_")
@example("")
@hypothesis.settings(max_examples=40, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_the_database_names_folders_as_we_do(machine: Machine, thread_id: str) -> None:
    with machine.database.reading() as db:
        found = db.execute("SELECT folder_of(%s)", (thread_id,)).fetchone()
    assert found == (folder_name(thread_id),)


def test_a_put_is_all_or_nothing(machine: Machine) -> None:
    with machine.database.reading() as db:
        db.execute("ALTER TABLE checkpoints ADD CHECK (metadata ->> 'step' <> '13')")
    for held in (nullcontext(), machine.locks.run_lock("t", "kim")):
        with held, pytest.raises(psycopg.errors.CheckViolation):
            machine.saver.put(config(), checkpoint({"v": [1]}, {"v": "1"}), metadata(13), {"v": "1"})
        with machine.database.reading() as db:
            assert db.execute("SELECT count(*) FROM checkpoint_blobs").fetchone() == (0,)


@pytest.mark.parametrize("loose", [False, True])
def test_a_put_that_fails_here_leaves_nothing_there(machine: Machine, loose: bool) -> None:
    with machine.locks.run_lock("t", "kim"), machine.saver.loose("t") if loose else nullcontext():
        with pytest.raises(TypeError):  # after the values have been sent
            machine.saver.put(config(), checkpoint({"v": [1]}, {"v": "1"}), metadata(what=object()), {"v": "1"})
        machine.saver.put(config(), checkpoint({"v": [2]}, {"v": "1"}), metadata(), {"v": "1"})
    found = machine.saver.get_tuple(config())
    assert found is not None
    assert found.checkpoint["channel_values"] == {"v": [2]}


@pytest.mark.parametrize("loose", [False, True])
def test_a_put_is_one_way_there_and_back(machine: Machine, loose: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with machine.locks.run_lock("t", "kim"):
        hold = machine.locks.of("t")
        assert hold is not None
        syncs = []
        with machine.saver.loose("t") if loose else nullcontext():
            for n in range(8):  # so that every statement is prepared
                machine.saver.put(
                    config(), checkpoint({"v": [n], "w": [n]}, {}), metadata(), {"v": f"{n}", "w": f"{n}"}
                )
            with _counted(hold.db) as syncs:
                machine.saver.put(config(), checkpoint({"v": [1], "w": [2]}, {}), metadata(), {"v": "a", "w": "a"})
                machine.saver.put_writes(config(cp="c"), [("v", 1), ("w", 2)], "task")
    assert len(syncs) == 2


@contextmanager
def _counted(db: psycopg.Connection[Any]) -> Iterator[list[str]]:
    """The times the server said that it is ready for more: each is a way there and back."""
    with tempfile.TemporaryFile("w+") as told:
        db.pgconn.trace(told.fileno())
        ready: list[str] = []
        try:
            yield ready
        finally:
            db.pgconn.untrace()
            told.seek(0)
            ready += [line for line in told if "ReadyForQuery" in line]


def test_a_real_graph_is_as_in_memory(machine: Machine) -> None:
    """State, history, a pause and a resume through the run's own connection."""
    histories = []
    for saver in (machine.saver, InMemorySaver()):
        graph = chat_graph(saver, ask=True)
        with machine.locks.run_lock("t", "kim"), machine.saver.loose("t"):
            graph.invoke({"messages": [HumanMessage("첫째", id="1")]}, config(), durability="sync")
            graph.invoke(Command(resume="예"), config(), durability="sync")
        histories.append([
            ([m.text for m in s.values.get("messages", [])], s.next, [t.name for t in s.tasks], dict(s.metadata or {}))
            for s in graph.get_state_history(config())
        ])  # fmt: skip
    assert histories[0] == histories[1]
    assert len(histories[0]) == 4


def test_two_branches_do_not_share_values(machine: Machine) -> None:
    graph = chat_graph(machine.saver)
    graph.invoke({"messages": [HumanMessage("첫째")]}, config())
    first = graph.get_state(config())
    graph.invoke({"messages": [HumanMessage("둘째")]}, config())
    second = graph.get_state(config())
    graph.invoke({"messages": [HumanMessage("셋째")]}, first.config)
    texts = [m.text for m in graph.get_state(second.config).values["messages"] if m.type == "human"]
    assert texts == ["첫째", "둘째"]
    assert [m.text for m in graph.get_state(config()).values["messages"] if m.type == "human"] == ["첫째", "셋째"]


def test_copies_up_to_a_checkpoint(machine: Machine) -> None:
    saver = machine.saver
    graph = chat_graph(saver)
    for text in ("첫째", "둘째"):
        graph.invoke({"messages": [HumanMessage(text)]}, config("a"))
    history = [*graph.get_state_history(config("a"))]
    middle = next(s for s in history if len(s.values.get("messages", [])) == 2 and not s.next)
    saver.copy_thread("a", "b", upto=middle.config["configurable"]["checkpoint_id"])
    saver.copy_thread("a", "c")
    copied = [*graph.get_state_history(config("b"))]
    assert [s.values for s in copied] == [s.values for s in history[history.index(middle) :]]
    newest = saver.get_tuple(config("b"))
    assert newest is not None
    assert not newest.pending_writes
    assert [d[1:3] for d in dump(saver, "c")] == [d[1:3] for d in dump(saver, "a")]
    with machine.database.reading() as db:
        told = db.execute(
            "SELECT string_agg(convert_from(blob, 'UTF8'), '') FROM checkpoint_blobs WHERE thread_id = 'b'"
        )
        assert "둘째" not in (told.fetchone() or [""])[0]


def test_runs_are_deleted_with_what_only_they_had(machine: Machine) -> None:
    saver, up = machine.saver, config()
    for n, run in enumerate(["r1", "r1", "r2"]):
        up = saver.put(up, checkpoint({"v": [n]}, {"v": f"{n}"}), metadata(n, run_id=run), {"v": f"{n}"})
        saver.put_writes(up, [("v", n)], "task")
    assert saver.delete_runs_of("t", ["r2"]) == 1
    assert saver.delete_runs_of("t", ["r2"]) == 0
    found = saver.get_tuple(config())
    assert found is not None
    assert found.checkpoint["channel_values"] == {"v": [1]}
    with machine.database.reading() as db:
        assert db.execute("SELECT count(*) FROM checkpoint_blobs").fetchone() == (2,)
        assert db.execute("SELECT count(*) FROM checkpoint_writes").fetchone() == (2,)


def test_a_run_that_a_delta_channel_needs_stays(machine: Machine) -> None:
    saver, up = machine.saver, config()
    delta = {"counters_since_delta_snapshot": {"d": 1}}
    values = [{"d": _DeltaSnapshot([0])}, {}, {}]
    for n, (run, value) in enumerate(zip(["r1", "r2", "r3"], values, strict=True)):
        up = saver.put(up, checkpoint(value, {"d": f"{n}"}), metadata(n, run_id=run, **delta), {"d": f"{n}"})
    for needed in ("r1", "r2"):
        with pytest.raises(NeededHistory):
            saver.delete_runs_of("t", [needed])
    with pytest.raises(NeededHistory):
        saver.prune(["t"])
    assert saver.delete_runs_of("t", ["r3"]) == 1


def test_lists_of_many_checkpoints_and_copies(machine: Machine) -> None:
    """Pages end between two ids, also where copies have the same."""
    up = config()
    for n in range(25):
        up = machine.saver.put(up, checkpoint({"n": n}, {"n": f"{n}"}), metadata(n), {})
    assert [t.checkpoint["channel_values"]["n"] for t in machine.saver.list(config())] == [*range(24, -1, -1)]
    for n in range(12):  # more of one id than the first page has
        machine.saver.copy_thread("t", f"copy {n}")
    seen = [(t.config["configurable"]["thread_id"], t.checkpoint["id"]) for t in machine.saver.list(None)]
    assert len(seen) == len(set(seen)) == 25 * 13
    assert [cp for _, cp in seen] == sorted((cp for _, cp in seen), reverse=True)


def test_setup_again_and_at_once(machines: tuple[Machine, Machine]) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda m: m.database.setup(), machines))
    assert len(MIGRATIONS) == 10, "a new release: look at its tables, SPARED, and the statements that PgSaver overrides"
    with machines[0].database.reading() as db:
        found = db.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'checkpoint_writes'").fetchall()
    assert found == [("checkpoint_writes_pkey",)]
