"""FileSaver against InMemorySaver: the same operations, at every moment the same answers."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME

import checkpoints.log.moving as moving_module
import checkpoints.log.session as session_module
import checkpoints.values.copies as copies_module
from checkpoints import FileSaver
from checkpoints.log.packing import pack_log
from tests.checkpoints.cases import checkpoint, config, metadata

TEXTS = st.sampled_from(["", "짧다", "x" * 64, "가나다" * 40, "long " * 50, "\ud800", '"\\\n$'])
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS | st.binary(max_size=5),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXTS, v, max_size=3) | st.tuples(v),
    max_leaves=8,
)
MESSAGES = st.builds(
    lambda text, kind, mid: kind(text, mid),
    TEXTS.filter(lambda t: "\ud800" not in t),
    st.sampled_from(
        [
            lambda t, i: HumanMessage(t, id=i),
            lambda t, i: AIMessage(t, id=i),
            lambda t, i: ToolMessage(t, tool_call_id="c", artifact={"큰": [1.5, True]}, id=i),
        ]
    ),
    st.none() | st.sampled_from(["a", "b"]),
)
VALUES = (
    PLAIN | MESSAGES | st.lists(MESSAGES, max_size=3) | st.dictionaries(st.sampled_from(["messages", "$"]), MESSAGES)
)
ITEMS = MESSAGES | st.builds(lambda t: {"글": t}, TEXTS) | TEXTS | PLAIN
THREADS = st.sampled_from(["하나", "two/../\0"])
NAMESPACES = st.sampled_from(["", "sub:1"])
CHANNELS = ("messages", "a", "b")


class Exact:
    """An oracle's serializer: an exact copy of anything, which LangGraph's own is not (it turns tuples into lists)."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        return "pickle", pickle.dumps(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return pickle.loads(data[1])


class SaverMachine(RuleBasedStateMachine):
    points = Bundle("points")

    @initialize()
    def start(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.files = FileSaver(self.directory, durability="os")
        self.other = FileSaver(self.directory, durability="os")  # as another process would have it
        self.memory = InMemorySaver(serde=Exact())
        self.lists: dict[tuple[str, str], list[Any]] = {}
        self.count = 0

    def teardown(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def _compare(self, thread: str) -> None:
        ours = {
            (t.config["configurable"]["checkpoint_ns"], t.checkpoint["id"]): t
            for t in self.files.list(config(thread) | {"configurable": {"thread_id": thread}})
        }
        theirs = {
            (t.config["configurable"]["checkpoint_ns"], t.checkpoint["id"]): t
            for t in self.memory.list({"configurable": {"thread_id": thread}})
        }
        assert list(ours) == sorted(ours, key=lambda k: k[1], reverse=True)
        assert ours.keys() == theirs.keys()
        for key, t in ours.items():
            _same(t, theirs[key])

    @rule(target=points, thread=THREADS, ns=NAMESPACES, data=st.data(), old_id=st.booleans())
    def put(self, thread: str, ns: str, data: st.DataObject, old_id: bool) -> tuple[str, str, str]:
        parents = [t for t in self.memory.list(config(thread, ns=ns))]
        parent = parents[0] if parents else None
        if parents:
            parent = parents[data.draw(st.integers(0, len(parents) - 1) | st.just(0))]
        self.count += 1
        cp = f"{'0' if old_id else '1'}{self.count:05}"
        values = copy.deepcopy(parent.checkpoint["channel_values"]) if parent else {}
        versions: dict[str, Any] = dict(parent.checkpoint["channel_versions"]) if parent else {}
        new: dict[str, Any] = {}
        for channel in data.draw(st.sets(st.sampled_from(CHANNELS), min_size=1)):
            versions[channel] = new[channel] = self.count
            how = data.draw(st.integers(0, 5))
            if channel == "messages" and how:
                before = values.get(channel) if isinstance(values.get(channel), list) else None
                if before is None or how == 1:
                    values[channel] = data.draw(st.lists(ITEMS, min_size=5, max_size=9))
                else:
                    values[channel] = [*before[how == 2 :], *data.draw(st.lists(ITEMS, min_size=1, max_size=4))]
            elif how:
                values[channel] = data.draw(VALUES)
            else:
                values.pop(channel, None)
        where = config(thread, parent.checkpoint["id"] if parent else None, ns)
        made = checkpoint(values, versions, cp)
        meta = metadata(self.count, run_id=f"run{self.count % 3}")
        for saver in (data.draw(st.sampled_from([self.files, self.other])), self.memory):
            saver.put(where, copy.deepcopy(made), meta, new)
        return thread, ns, cp

    @rule(
        point=points,
        early=st.booleans(),
        task=st.sampled_from(["t1", "t2"]),
        path=st.sampled_from(["", "p"]),
        data=st.data(),
    )
    def put_writes(self, point: tuple[str, str, str], early: bool, task: str, path: str, data: st.DataObject) -> None:
        thread, ns, cp = point
        if early:
            cp = f"1{self.count + 1:05}"
        writes = data.draw(
            st.lists(st.tuples(st.sampled_from(["messages", "a", ERROR, INTERRUPT, RESUME]), VALUES), max_size=3)
        )
        for saver in (self.files, self.memory):
            saver.put_writes(config(thread, cp, ns), copy.deepcopy(writes), task, path)

    @rule(thread=THREADS, ns=NAMESPACES, cold=st.booleans())
    def newest(self, thread: str, ns: str, cold: bool) -> None:
        saver = FileSaver(self.directory) if cold else self.other
        ours, theirs = saver.get_tuple(config(thread, ns=ns)), self.memory.get_tuple(config(thread, ns=ns))
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            _same(ours, theirs)
            for value in ours.checkpoint["channel_values"].values():  # what a caller does to its copy is its own affair
                _spoil(value)
            again = saver.get_tuple(config(thread, ns=ns))
            assert again is not None
            _same(again, theirs)

    @rule(thread=THREADS)
    def delete(self, thread: str) -> None:
        self.files.delete_thread(thread)
        self.memory.delete_thread(thread)

    @rule(thread=THREADS, strategy=st.sampled_from(["keep_latest", "delete"]))
    def prune(self, thread: str, strategy: str) -> None:
        self.other.prune([thread], strategy=strategy)
        for ns, points in self.memory.storage.get(thread, {}).items():
            for cp in list(points):
                if strategy == "delete" or cp != max(points):
                    del points[cp]
                    self.memory.writes.pop((thread, ns, cp), None)

    @rule(
        thread=st.none() | THREADS,
        ns=st.none() | NAMESPACES,
        run=st.none() | st.integers(0, 2),
        before=st.none() | st.integers(0, 20),
        limit=st.none() | st.integers(0, 4),
    )
    def listed(
        self, thread: str | None, ns: str | None, run: int | None, before: int | None, limit: int | None
    ) -> None:
        where: Any = None if thread is None else {"configurable": {"thread_id": thread}}
        if thread is not None and ns is not None:
            where["configurable"]["checkpoint_ns"] = ns
        asked: dict[str, Any] = {
            "filter": None if run is None else {"run_id": f"run{run}"},
            "before": None if before is None else config("any", f"1{before:05}"),
        }
        ours, theirs = (
            [(t.checkpoint["id"], *sorted(t.config["configurable"].items())) for t in found]
            for found in (self.other.list(where, **asked, limit=limit), self.memory.list(where, **asked))
        )
        assert [x[0] for x in ours] == sorted((str(x[0]) for x in theirs), reverse=True)[:limit]
        if limit is None:
            assert sorted(map(repr, ours)) == sorted(map(repr, theirs))

    @rule(thread=THREADS, other=st.booleans())
    def pack(self, thread: str, other: bool) -> None:
        session = (self.other if other else self.files).sessions.of(thread)
        with session.view() as view:
            packed = session.where.packed
        if view is not None:
            moved = session.packer.moved = pack_log(session.log, packed)
            assert moved

    @rule(run=st.integers(0, 2))
    def delete_for_runs(self, run: int) -> None:
        self.files.delete_for_runs([f"run{run}"])
        for thread, spaces in self.memory.storage.items():
            for ns, points in spaces.items():
                for cp, saved in list(points.items()):
                    if self.memory.serde.loads_typed(saved[1])["run_id"] == f"run{run}":
                        del points[cp]
                        self.memory.writes.pop((thread, ns, cp), None)

    @rule(thread=THREADS)
    def copy(self, thread: str) -> None:
        self.files.copy_thread(thread, "copy")
        before = [
            (t.checkpoint["id"], t.checkpoint["channel_values"])
            for t in self.files.list({"configurable": {"thread_id": thread}})
        ]
        after = [
            (t.checkpoint["id"], t.checkpoint["channel_values"])
            for t in self.files.list({"configurable": {"thread_id": "copy"}})
        ]
        assert repr(after) == repr(before)
        self.files.delete_thread("copy")

    @invariant()
    def same(self) -> None:
        if hasattr(self, "memory"):
            self._compare("하나")
            self._compare("two/../\0")


def _same(ours: Any, theirs: Any) -> None:
    assert ours.config["configurable"] == {"checkpoint_ns": "", **theirs.config["configurable"]}
    assert repr(sorted(ours.checkpoint.items())) == repr(sorted(_ordered(ours.checkpoint, theirs.checkpoint).items()))
    assert ours.metadata == theirs.metadata
    assert (ours.parent_config or {}).get("configurable") == (theirs.parent_config or {}).get("configurable")
    assert repr(ours.pending_writes) == repr(theirs.pending_writes)


def _ordered(ours: Any, theirs: Any) -> Any:
    """Theirs with channels in our order: which is not part of the contract."""
    values = theirs["channel_values"]
    assert ours["channel_values"].keys() == values.keys()
    return {
        **theirs,
        "channel_values": {k: values[k] for k in ours["channel_values"]},
        "channel_versions": {k: theirs["channel_versions"][k] for k in ours["channel_versions"]},
    }


def _spoil(value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _spoil(item)
        value.append("spoilt")
    elif isinstance(value, dict):
        value["spoilt"] = True
    elif isinstance(value, BaseMessage):
        value.content = "spoilt"


@pytest.mark.parametrize("mark_every", [400, 64 * 1024])
def test_the_same_as_in_memory(mark_every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "MARK_EVERY", mark_every)
    monkeypatch.setattr(moving_module, "PACK_BYTES", 4 * mark_every)
    monkeypatch.setattr(moving_module, "FLAT_MIN", 1)
    monkeypatch.setattr(copies_module, "LEND_MIN", 1)
    machine = SaverMachine.TestCase
    machine.settings = settings(
        max_examples=int(os.environ.get("DOJANG_TEST_EXAMPLES", "40")),
        stateful_step_count=20,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    machine().runTest()
