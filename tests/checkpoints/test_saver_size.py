"""Long threads, large messages, many writers. Small here; the environment names the full sizes.

DOJANG_TEST_TURNS=10000, DOJANG_TEST_MESSAGE_MB=100, DOJANG_TEST_WRITERS=8x8x200 (processes, threads of each, and
threads of conversation). ``-s`` shows the times.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from checkpoints import FileSaver, verify
from checkpoints.values.copies import Items
from tests.checkpoints.cases import checkpoint, config, dump, metadata
from tests.processes import Forked

TURNS = int(os.environ.get("DOJANG_TEST_TURNS", "300"))
MESSAGE_MB = int(os.environ.get("DOJANG_TEST_MESSAGE_MB", "4"))
PROCESSES, WORKERS, THREADS = map(int, os.environ.get("DOJANG_TEST_WRITERS", "3x4x12").split("x"))
WRITER = """
import sys, threading
from checkpoints import FileSaver
from tests.checkpoints.cases import checkpoint, config, metadata
root, me, workers, threads = sys.argv[1], *map(int, sys.argv[2:])
saver = FileSaver(root)
def write(worker):
    for i in range(worker, threads):
        cp = f"{me:03}-{worker:03}"
        saver.put(config(f"대화-{i}"), checkpoint({"v": cp * 20}, {"v": 1}, cp), metadata(), {"v": 1})
        saver.put_writes(config(f"대화-{i}", cp), [("v", cp)], "task")
    for i in range(worker):
        cp = f"{me:03}-{worker:03}"
        saver.put(config(f"대화-{i}"), checkpoint({"v": cp * 20}, {"v": 1}, cp), metadata(), {"v": 1})
        saver.put_writes(config(f"대화-{i}", cp), [("v", cp)], "task")
jobs = [threading.Thread(target=write, args=(w,)) for w in range(workers)]
[j.start() for j in jobs]; [j.join() for j in jobs]
"""


@pytest.mark.timeout(300 + TURNS)
def test_a_long_thread(tmp_path: Path) -> None:
    """Every append costs its own size in the file, and the end is what was put."""
    saver = FileSaver(tmp_path, durability="os")
    messages: list[Any] = []
    took, sizes = [], []
    for i in range(TURNS):
        messages = [*messages, HumanMessage(f"질문 {i} " * 20, id=f"h{i}"), AIMessage(f"대답 {i} " * 20, id=f"a{i}")]
        began = time.perf_counter()
        made = checkpoint({"messages": messages}, {"messages": i + 1}, f"{i:06}")
        saver.put(config(cp=f"{i - 1:06}" if i else None), made, metadata(i), {"messages": i + 1})
        took.append((time.perf_counter() - began) * 1000)
        sizes.append(saver.sessions.of("t").log.path.stat().st_size)
    began = time.perf_counter()
    found = FileSaver(tmp_path).get_tuple(config())
    opened = (time.perf_counter() - began) * 1000
    assert found is not None
    assert found.checkpoint["channel_values"]["messages"] == messages
    tenth = TURNS // 10
    assert sizes[-1] - sizes[-tenth] < 2 * (sizes[2 * tenth] - sizes[tenth])
    begin, end = sorted(took[:20])[10], sorted(took[-20:])[10]
    print(f"\n{TURNS} turns: put {begin:.2f} ms at first, {end:.2f} ms at last; opened in {opened:.1f} ms")


@pytest.mark.timeout(300 + 10 * MESSAGE_MB)
def test_a_large_message(tmp_path: Path) -> None:
    text = "가나다 abc " * (MESSAGE_MB * 1_000_000 // 14)
    saver = FileSaver(tmp_path)
    began = time.perf_counter()
    messages: list[Any] = [HumanMessage("작다", id="1"), HumanMessage(text, id="2")]
    saver.put(config(), checkpoint({"m": messages}, {"m": 1}, "1"), metadata(), {"m": 1})
    put = time.perf_counter() - began
    size = saver.sessions.of("t").log.path.stat().st_size
    messages = [*messages, AIMessage("대답", id="3")]
    saver.put(config(cp="1"), checkpoint({"m": messages}, {"m": 2}, "2"), metadata(), {"m": 2})
    assert saver.sessions.of("t").log.path.stat().st_size - size < 2000
    began = time.perf_counter()
    found = FileSaver(tmp_path).get_tuple(config())
    read = time.perf_counter() - began
    assert found is not None
    assert found.checkpoint["channel_values"]["m"] == messages
    print(f"\n{len(text.encode()) / 1e6:.0f} MB: put in {put:.2f} s, read in {read:.2f} s")


def test_many_writers_over_many_threads(tmp_path: Path) -> None:
    began = time.perf_counter()
    writers = [Forked(words=[str(tmp_path), str(n), str(WORKERS), str(THREADS)], code=WRITER) for n in range(PROCESSES)]
    for writer in writers:
        _, errors = writer.communicate()
        assert (writer.returncode, errors) == (0, "")
    took = time.perf_counter() - began
    saver = FileSaver(tmp_path)
    names = sorted(f"{p:03}-{w:03}" for p in range(PROCESSES) for w in range(WORKERS))
    for i in range(THREADS):
        found = dump(saver, f"대화-{i}")
        assert sorted(where["checkpoint_id"] for where, *_ in found) == names
        for where, made, _, _, writes in found:
            assert made["channel_values"] == {"v": where["checkpoint_id"] * 20}
            assert writes == [("task", "v", where["checkpoint_id"])]
    assert verify(tmp_path)["damaged"] == []
    writes = 2 * len(names) * THREADS
    print(f"\n{PROCESSES} x {WORKERS} writers, {THREADS} threads: {writes} durable writes in {took:.1f} s")


def test_a_list_is_recognised_by_content() -> None:
    """A change in place is noticed, wherever it is; and 1, 1.0 and True are three values."""
    call = {"name": "f", "args": {"n": 1}, "id": "c", "type": "tool_call"}
    kept: list[Any] = [
        HumanMessage("하나", id="1"),
        AIMessage("둘", id="2", tool_calls=[call]),
        AIMessage("셋", id="3"),
        HumanMessage("넷", id="4", extra_field="e"),
        {"n": 1},
    ]
    assert Items(kept).fresh() == kept
    assert Items(kept).prefix(Items(kept).fresh()) == 5
    changes: list[tuple[int, Any]] = [
        (0, lambda m: setattr(m, "content", "다른")),
        (0, lambda m: m.additional_kwargs.update(a=1)),
        (0, lambda m: setattr(m, "more", 1)),
        (0, lambda m: m.__pydantic_extra__.update(more=1)),
        (1, lambda m: m.tool_calls[0]["args"].update(n=True)),
        (1, lambda m: m.tool_calls[0]["args"].update(n=1.0)),
        (2, lambda m: m.tool_calls.append(call)),
        (2, lambda m: setattr(m, "usage_metadata", {"total_tokens": 1})),
        (3, lambda m: m.__pydantic_extra__.clear()),
        (4, lambda d: d.update(n=True)),
    ]
    for messages in (kept, kept[:4]):  # of messages alone, and mixed
        items = Items(messages)
        for at, change in changes:
            if at < len(messages):
                changed = items.fresh()
                seen = Items(changed)
                change(changed[at])
                assert items.prefix(changed) == seen.prefix(changed) == at
        assert items.fresh() == messages
        assert items.prefix([*items.fresh(), 1]) == len(messages)
        assert items.prefix(items.fresh()[1:]) == 0


def test_a_read_that_was_not_remembered_is_when_it_is_needed(tmp_path: Path) -> None:
    """Read cold, spoilt by its reader, extended by another put, read again: nobody's spoils are stored."""
    messages: list[Any] = [HumanMessage(f"말 {i} " * 30, id=str(i)) for i in range(20)]
    FileSaver(tmp_path).put(config(), checkpoint({"m": messages}, {"m": 1}, "1"), metadata(), {"m": 1})
    saver = FileSaver(tmp_path)
    first = saver.get_tuple(config())
    assert first is not None
    for message in first.checkpoint["channel_values"]["m"]:
        message.content = "망침"
    size = saver.sessions.of("t").log.path.stat().st_size
    longer = [*messages, AIMessage("대답", id="a")]
    saver.put(config(cp="1"), checkpoint({"m": longer}, {"m": 2}, "2"), metadata(), {"m": 2})
    assert saver.sessions.of("t").log.path.stat().st_size - size < 1000
    for again in (saver.get_tuple(config()), FileSaver(tmp_path).get_tuple(config())):
        assert again is not None
        assert again.checkpoint["channel_values"]["m"] == longer


@pytest.mark.parametrize("field", ["content", "id", "name"])
def test_handed_out_messages_share_nothing(field: str, tmp_path: Path) -> None:
    saver = FileSaver(tmp_path)
    saver.put(config(), checkpoint({"m": [AIMessage("x", id="1")] * 3}, {"m": 1}, "1"), metadata(), {"m": 1})
    for _ in range(3):
        found = saver.get_tuple(config())
        assert found is not None
        given = found.checkpoint["channel_values"]["m"]
        assert given == [AIMessage("x", id="1")] * 3
        setattr(given[0], field, "다른")
        given[0].additional_kwargs["a"] = 1
        given[1].tool_calls.append({"name": "f", "args": {}, "id": "c", "type": "tool_call"})
        given[2].response_metadata["a"] = 1
