"""FileSaver through LangGraph: conformance, real graphs, growth, ids, DeltaChannel."""

from __future__ import annotations

import asyncio
import operator
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import HumanMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, StateGraph

import checkpoints.files.folders as folders_module
import checkpoints.log.session as session_module
import checkpoints.log.view as view_module
import checkpoints.values.weave as weave_module
from checkpoints import FileSaver, NeededHistory, UnknownType, verify
from tests.checkpoints.cases import chat_graph, checkpoint, config, dump, metadata
from tests.processes import ran

IDS = [
    "../../etc/passwd",
    "a/b\\c",
    ".",
    "..",
    "nul\0nul",
    "🏯대화",
    "가" * 1365,
    "x" * 4096,
    "CON",
    "a",
    "A",
    " ",
    "\ud800",
]


async def test_conformance(tmp_path: Path) -> None:
    made = 0

    async def factory() -> AsyncIterator[FileSaver]:
        nonlocal made
        made += 1
        yield FileSaver(tmp_path / str(made))

    report = await validate(checkpointer_test(name="FileSaver")(factory))
    assert [r.failures for r in report.results.values() if r.failures] == []
    assert sum(r.tests_passed for r in report.results.values()) == 81


@pytest.mark.parametrize("thread_id", IDS, ids=range(len(IDS)))
def test_ids_of_any_content(thread_id: str, tmp_path: Path) -> None:
    root = tmp_path / "threads"
    saver = FileSaver(root)
    for other in IDS:
        saver.put(config(other), checkpoint({"v": other.encode("utf-8", "replace")}, {"v": 1}), metadata(), {"v": 1})
    found = FileSaver(root).get_tuple(config(thread_id))
    assert found is not None
    assert found.checkpoint["channel_values"] == {"v": thread_id.encode("utf-8", "replace")}
    assert found.config["configurable"]["thread_id"] == thread_id
    assert len(list(root.iterdir())) == len(IDS)
    assert [p.name for p in tmp_path.iterdir()] == ["threads"]
    assert {t for t, _ in saver.sessions.folders.threads()} == set(IDS)


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_private_files_and_no_links(tmp_path: Path) -> None:
    saver = FileSaver(tmp_path / "threads")
    saver.put(config(), checkpoint({}, {}), metadata(), {})
    folder = saver.sessions.folders.path("t")
    assert [oct(p.stat().st_mode & 0o777) for p in (saver.directory, folder)] == ["0o700", "0o700"]
    assert {oct(p.stat().st_mode & 0o777) for p in folder.iterdir()} == {"0o600"}
    log = folder / "checkpoints.jsonl"
    log.rename(tmp_path / "elsewhere")
    log.symlink_to(tmp_path / "elsewhere")
    for act in (lambda: saver.get_tuple(config()), lambda: saver.put(config(), checkpoint({}, {}), metadata(), {})):
        with pytest.raises(Exception, match="symbolic link"):
            act()
    saver.sessions.folders.path("other").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(Exception, match="symbolic link"):
        saver.put(config("other"), checkpoint({}, {}), metadata(), {})


def test_an_unknown_type_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    saver = FileSaver(tmp_path)
    saver.put(config(), checkpoint({"n": 1}, {"n": 1}, "1"), metadata(), {"n": 1})
    before = dump(saver)
    for value in (object(), {"a": [bytearray(b"x")]}, Path("x"), lambda: 1, {1, object()}):
        with pytest.raises(UnknownType, match=r"'n'.*cannot be stored"):
            saver.put(config(cp="1"), checkpoint({"n": value}, {"n": 2}, "2"), metadata(), {"n": 2})
        with pytest.raises(UnknownType, match=r"'n'.*cannot be stored"):
            saver.put_writes(config(cp="1"), [("n", value)], "task")
    assert dump(saver) == dump(FileSaver(tmp_path)) == before


def test_two_processes_share_a_paused_thread(tmp_path: Path) -> None:
    """One process runs to the pause, another resumes, the first reads the outcome."""
    saver = FileSaver(tmp_path)
    graph = chat_graph(saver, ask=True)
    paused = graph.invoke({"messages": [HumanMessage("안녕")]}, config(), durability="sync")
    assert paused["__interrupt__"][0].value == {"question": "승인?"}
    code = (
        "import sys; from checkpoints import FileSaver; from langgraph.types import Command\n"
        "from tests.checkpoints.cases import chat_graph, config\n"
        "graph = chat_graph(FileSaver(sys.argv[1]), ask=True)\n"
        "print(graph.invoke(Command(resume='승인함'), config(), durability='sync')['messages'][-1].content)"
    )
    result = ran(code=code, words=[str(tmp_path)])
    assert (result.returncode, result.stdout.strip()) == (0, "결재: 승인함"), result.stderr
    state = graph.get_state(config())
    assert state.values["messages"][-1].content == "결재: 승인함"
    assert state.next == ()
    assert len({m.id for m in state.values["messages"]}) == 3
    assert verify(tmp_path)["damaged"] == []


async def test_async_graph_and_failing_node(tmp_path: Path) -> None:
    class State(TypedDict):
        n: int

    def fail(state: State) -> None:
        raise ValueError("고장")

    saver = FileSaver(tmp_path)
    graph = StateGraph(State).add_node("fail", fail).add_edge(START, "fail").compile(checkpointer=saver)
    with pytest.raises(ValueError, match="고장"):
        await graph.ainvoke({"n": 1}, config(), durability="sync")
    found = await saver.aget_tuple(config())
    assert found is not None
    assert found.pending_writes is not None
    assert [(c, v) for _, c, v in found.pending_writes] == [("__error__", "ValueError('고장')")]


async def test_async_does_not_block_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop_thread = threading.get_ident()
    on_loop: list[str] = []
    for name in (
        "open",
        "fsync",
        "fdatasync",
        "read",
        "pread",
        "preadv",
        "write",
        "scandir",
        "stat",
        "replace",
        "mkdir",
    ):
        module, real = os, getattr(os, name, None)

        def spy(*args: Any, real: Any = real, name: str = name, **kwargs: Any) -> Any:
            if threading.get_ident() == loop_thread:
                on_loop.append(name)
            return real(*args, **kwargs)

        if real is not None:
            monkeypatch.setattr(module, name, spy)
    saver = FileSaver(tmp_path)
    await saver.aput(config(), checkpoint({"n": 1}, {"n": 1}, "1"), metadata(run_id="r"), {"n": 1})
    await saver.aput_writes(config(cp="1"), [("n", 1)], "task")
    assert await saver.aget_tuple(config()) is not None
    assert len([t async for t in saver.alist(config())]) == 1
    assert len([t async for t in saver.alist(None)]) == 1
    await asyncio.gather(saver.acopy_thread("t", "u"), saver.aprune(["t"]))
    await saver.adelete_for_runs(["r"])
    await saver.adelete_thread("t")
    assert on_loop == []


def test_forks_see_their_own_branch(tmp_path: Path) -> None:
    """Equal version numbers on two branches hold different values; what is unchanged comes from the parent."""
    saver = FileSaver(tmp_path)
    big = ["항목 " * 30 + str(i) for i in range(20)]
    saver.put(config(), checkpoint({"a": big, "b": 0}, {"a": 1, "b": 1}, "1"), metadata(), {"a": 1, "b": 1})
    saver.put(config(cp="1"), checkpoint({"a": [*big, "왼쪽"], "b": 0}, {"a": 2, "b": 1}, "2"), metadata(), {"a": 2})
    saver.put(config(cp="1"), checkpoint({"a": [*big, "오른쪽"], "b": 0}, {"a": 2, "b": 1}, "3"), metadata(), {"a": 2})
    saver.put(config(cp="2"), checkpoint({"a": None, "b": 9}, {"a": 2, "b": 2}, "4"), metadata(), {"b": 2})
    for reader in (saver, FileSaver(tmp_path)):
        found = reader.get_tuple(config())
        assert found is not None
        assert found.checkpoint["channel_values"] == {"a": [*big, "왼쪽"], "b": 9}


def test_one_true_and_one_point_zero_are_not_the_same(tmp_path: Path) -> None:
    saver = FileSaver(tmp_path)
    for i, value in enumerate([1, True, 1.0, 1]):
        saver.put(config(), checkpoint({"n": [value] * 9}, {"n": i}, f"{i}"), metadata(flag=value), {"n": i})
        for reader in (saver, FileSaver(tmp_path)):
            found = reader.get_tuple(config())
            assert found is not None
            assert repr(found.checkpoint["channel_values"]["n"]) == repr([value] * 9)
            assert repr(found.metadata.get("flag")) == repr(value)


@pytest.mark.parametrize("chain", [1, 64])
def test_lists_that_grow_and_shrink_read_cold(chain: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of item, by reference or not, in differences and in packed lists, read by another process."""
    monkeypatch.setattr(weave_module, "CHAIN_MIN", chain)
    saver = FileSaver(tmp_path, durability="os")
    makers: list[Any] = [
        lambda i: HumanMessage(f"{i} " * 40, id=str(i)),
        lambda i: {"text": f"{i:070}"},
        lambda i: f"{i} " * 40,
        lambda i: [{"deep": (f"{i:070}",)}, i],
    ]
    for kinds in (makers[:1], makers):
        items: list[Any] = []
        for i in range(40):
            items = [*items, *(make(i) for make in kinds)]
            if i % 11 == 10:
                items = items[:-6]
            if i == 25:
                items = items[8:]
            cp = f"{len(kinds)}{i:03}"
            saver.put(config(), checkpoint({"m": items}, {"m": i}, cp), metadata(), {"m": i})
            found = FileSaver(tmp_path).get_tuple(config())
            assert found is not None
            assert found.checkpoint["channel_values"]["m"] == items
            if i % 7 == 0:
                saver = FileSaver(tmp_path, durability="os")
                saver.get_tuple(config())


def test_growth_is_linear(tmp_path: Path) -> None:
    """A message costs its bytes once however long the thread is."""
    saver = FileSaver(tmp_path, durability="os")
    graph = chat_graph(saver)
    sizes = []
    for i in range(60):
        graph.invoke({"messages": [HumanMessage(f"{i:04} " * 100)]}, config(), durability="sync")
        sizes.append((saver.sessions.folders.path("t") / "checkpoints.jsonl").stat().st_size)
    early, late = sizes[19] - sizes[9], sizes[59] - sizes[49]
    assert late < 1.3 * early
    assert sizes[-1] < 60 * 3200


def test_newest_is_read_without_the_past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saver = FileSaver(tmp_path, durability="os")
    for i in range(2000):
        made = checkpoint({"v": f"{i} " * 100}, {"v": i + 1}, f"{i:05}")
        saver.put(config(cp=f"{i - 1:05}" if i else None), made, metadata(i), {"v": i + 1})
        if i == 1000:
            saver.put_writes(config(cp="02000"), [("v", "이른 쓰기")], "early")
    saver.put(config(cp="01999"), checkpoint({"v": "끝"}, {"v": 2001}, "02000"), metadata(), {"v": 2001})
    size = (saver.sessions.folders.path("t") / "checkpoints.jsonl").stat().st_size
    assert size > 1_000_000
    read, here = 0, threading.get_ident()  # other tests leave threads that read, too
    real_read, real_pread = os.read, folders_module.read_at

    def counted(data: bytes) -> bytes:
        nonlocal read
        read += len(data) if threading.get_ident() == here else 0
        return data

    def counting(fd: int, n: int) -> bytes:
        return counted(real_read(fd, n))

    def counting_at(fd: int, n: int, offset: int) -> bytes:
        return counted(real_pread(fd, n, offset))

    monkeypatch.setattr(os, "read", counting)
    monkeypatch.setattr(session_module, "read_at", counting_at)
    monkeypatch.setattr(view_module, "read_at", counting_at)
    cold = FileSaver(tmp_path)
    found = cold.get_tuple(config())
    assert found is not None
    assert found.checkpoint["channel_values"] == {"v": "끝"}
    assert found.pending_writes == [("early", "v", "이른 쓰기")]
    assert 0 < read < size / 4
    old = cold.get_tuple(config(cp="00003"))
    assert old is not None, "the past is looked at when somebody asks for it"
    assert old.checkpoint["channel_values"] == {"v": "3 " * 100}


def test_a_message_changed_in_place_is_stored(tmp_path: Path) -> None:
    saver = FileSaver(tmp_path)
    messages = [HumanMessage("가", id=str(i)) for i in range(9)]
    saver.put(config(), checkpoint({"m": messages}, {"m": 1}, "1"), metadata(), {"m": 1})
    messages[2].additional_kwargs["x"] = 1
    saver.put(config(cp="1"), checkpoint({"m": messages}, {"m": 2}, "2"), metadata(), {"m": 2})
    for reader in (saver, FileSaver(tmp_path)):
        found = reader.get_tuple(config())
        assert found is not None
        assert found.checkpoint["channel_values"]["m"] == messages


def test_a_foreign_serializer_is_opaque_and_not_mixed(tmp_path: Path) -> None:
    strict = JsonPlusSerializer(allowed_msgpack_modules=[("collections", "Counter")])
    saver = FileSaver(tmp_path, serde=strict)
    saver.put(config(), checkpoint({"m": [HumanMessage("가")]}, {"m": 1}, "1"), metadata(), {"m": 1})
    clone = saver.with_allowlist([("a", "b")])
    found = clone.get_tuple(config())
    assert found is not None
    assert found.checkpoint["channel_values"] == {"m": [HumanMessage("가")]}
    assert clone is not saver
    FileSaver(tmp_path).put(config("plain"), checkpoint({"m": 1}, {"m": 1}, "1"), metadata(), {"m": 1})
    with pytest.raises(Exception, match="without the serializer"):
        saver.get_tuple(config("plain"))


class DeltaState(TypedDict):
    items: Annotated[
        list[str],
        DeltaChannel(lambda state, writes: [*state, *(x for w in writes for x in w)], list, snapshot_frequency=4),
    ]
    total: Annotated[int, operator.add]


def _delta_graph(saver: FileSaver) -> Any:
    def step(state: DeltaState) -> dict[str, Any]:
        return {"items": [f"단계{state['total']}"], "total": 1}

    return StateGraph(DeltaState).add_node("step", step).add_edge(START, "step").compile(checkpointer=saver)


def test_a_copy_up_to_a_checkpoint_never_has_what_came_later(tmp_path: Path) -> None:
    saver = FileSaver(tmp_path, durability="os")
    graph = _delta_graph(saver)
    for i in range(4):
        graph.invoke({"items": [f"입력{i}"], "total": 0}, config(), durability="sync")
    states = list(graph.get_state_history(config()))
    there = next(state for state in states if state.next == ("step",) and state.values["items"][-1] == "입력2")
    saver.copy_thread("t", "early", upto=there.config["configurable"]["checkpoint_id"])
    copied = graph.get_state(config("early"))
    assert (copied.values, copied.next) == (there.values, ("step",))
    assert [task.result for task in copied.tasks] == [None]
    assert len(list(graph.get_state_history(config("early")))) == states[::-1].index(there) + 1
    assert "입력3".encode() not in b"".join(
        file.read_bytes() for file in saver.sessions.folders.path("early").iterdir()
    )
    assert graph.invoke(None, config("early"))["items"] == [*there.values["items"], f"단계{there.values['total']}"]
    saver.copy_thread("t", "none", upto="nowhere")
    assert graph.get_state(config("none")).created_at is None


@pytest.mark.parametrize("turns", range(1, 8))
def test_delta_channels_survive_prune_copy_and_delete(turns: int, tmp_path: Path) -> None:
    saver = FileSaver(tmp_path, durability="os")
    graph = _delta_graph(saver)
    for i in range(turns):
        graph.invoke(
            {"items": [f"입력{i}"], "total": 0}, config() | {"metadata": {"run_id": f"run{i}"}}, durability="sync"
        )
    truth = graph.get_state(config()).values
    assert len(truth["items"]) == 2 * turns
    saver.copy_thread("t", "copy")
    before = len(dump(saver))
    if turns > 1:
        with pytest.raises(NeededHistory, match="DeltaChannel"):
            saver.delete_for_runs(["run0"])
        assert len(dump(saver)) == before
        shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name}-last"))
        shorter = FileSaver(tmp_path.with_name(f"{tmp_path.name}-last"))
        shorter.delete_for_runs([f"run{turns - 1}"])
        assert _delta_graph(shorter).get_state(config()).values["items"] == truth["items"][:-2]
        assert _delta_graph(FileSaver(tmp_path)).get_state(config()).values == truth
    saver.prune(["copy"])
    for name in ("t", "copy"):
        fresh = _delta_graph(FileSaver(tmp_path))
        assert fresh.get_state(config(name)).values == truth
        after = fresh.invoke({"items": ["더"], "total": 0}, config(name), durability="sync")
        assert after["items"] == [*truth["items"], "더", f"단계{turns}"]
    assert len(dump(saver, "copy")) <= before + 3


def test_prune_waits_for_nobody_who_reads(tmp_path: Path) -> None:
    """A reader loops while the log is rewritten again and again: it always sees the newest state."""
    saver = FileSaver(tmp_path, durability="os")
    saver.put(config(), checkpoint({"n": "처음 " * 50}, {"n": 1}, "000"), metadata(), {"n": 1})
    done, wrong = threading.Event(), []

    def look() -> None:
        reader, last = FileSaver(tmp_path), ""
        while not done.is_set():
            found = reader.get_tuple(config())
            if found is None or found.checkpoint["id"] < last:
                wrong.append(found)
                return
            last = found.checkpoint["id"]

    threads = [threading.Thread(target=look) for _ in range(2)]
    for t in threads:
        t.start()
    until = time.monotonic() + 1.5
    i = 0
    while time.monotonic() < until:
        i += 1
        saver.put(config(cp=f"{i - 1:03}"), checkpoint({"n": f"{i} " * 50}, {"n": i}, f"{i:03}"), metadata(), {"n": i})
        if i % 3 == 0:
            saver.prune(["t"])
    done.set()
    for t in threads:
        t.join()
    assert wrong == []
    assert i > 10


def test_a_reader_of_the_same_saver_does_not_wait_for_a_prune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saver = FileSaver(tmp_path)
    for i in range(3):
        saver.put(config(), checkpoint({"n": i}, {"n": i + 1}, f"{i}"), metadata(), {"n": i + 1})
    rewriting, go_on = threading.Event(), threading.Event()
    real = session_module.Session.seal

    def slow(self: session_module.Session) -> None:
        rewriting.set()
        assert go_on.wait(30)
        real(self)

    monkeypatch.setattr(session_module.Session, "seal", slow)
    pruning = threading.Thread(target=saver.prune, args=(["t"],))
    pruning.start()
    assert rewriting.wait(30)
    reading = threading.Thread(target=lambda: seen.append(len(dump(saver))))
    seen: list[int] = []
    reading.start()
    reading.join(10)
    assert seen == [3]
    go_on.set()
    pruning.join()
    assert len(dump(saver)) == 1


def test_writing_while_the_thread_is_deleted(tmp_path: Path) -> None:
    saver = FileSaver(tmp_path, durability="os")
    done = threading.Event()

    def delete() -> None:
        while not done.wait(0.002):
            saver.delete_thread("t")

    deleting = threading.Thread(target=delete)
    deleting.start()
    try:
        for i in range(100):
            saver.put(config(), checkpoint({"n": i}, {"n": 1}, f"{i:03}"), metadata(), {"n": 1})
    finally:
        done.set()
        deleting.join()
    saver.put(config(), checkpoint({"n": "끝"}, {"n": 1}, "999"), metadata(), {"n": 1})
    found = FileSaver(tmp_path).get_tuple(config())
    assert found is not None
    assert found.checkpoint["channel_values"] == {"n": "끝"}


def test_versions_follow_on(tmp_path: Path) -> None:
    saver = FileSaver(tmp_path)
    assert [saver.get_next_version(None, None), saver.get_next_version(3, None)] == [1, 4]
    old = "00000000000000000000000000000009.0.5"
    assert saver.get_next_version(old, None) > old


def _names(saver: FileSaver) -> Sequence[str]:
    return sorted(p.name for p in saver.sessions.folders.path("t").iterdir())


def test_delete_and_prune_leave_no_waste(tmp_path: Path) -> None:
    saver = FileSaver(tmp_path)
    saver.put(config(), checkpoint({"n": 1}, {"n": 1}, "1"), metadata(), {"n": 1})
    saver.prune(["t"], strategy="delete")
    assert _names(saver) == ["checkpoints.jsonl", "checkpoints.jsonl.lock", "thread.json"]
    assert saver.get_tuple(config()) is None
    saver.delete_thread("t")
    assert list(tmp_path.iterdir()) == []
    assert chat_graph(saver).invoke({"messages": [HumanMessage("다시")]}, config())["n"] == 1
