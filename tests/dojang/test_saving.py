"""Who saves what a run comes to: the thread that runs it. LangGraph would make a pool of threads for each run."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.pregel import _executor as private

from dojang import saving
from dojang.runs import Runs
from tests.graph.parts import deps, graph_over, says
from tests.graph.talk import say

_executor: Any = private


class Watched(InMemorySaver):
    """Notes who saves, and fails where it is told to."""

    def __init__(self, fails: BaseException | None = None, at: int = 3) -> None:
        super().__init__()
        self.by: list[tuple[str, int]] = []
        self.fails, self.at = fails, at

    def put(self, *args: Any) -> Any:
        self._note("put")
        return super().put(*args)

    def put_writes(self, *args: Any) -> None:
        self._note("writes")
        super().put_writes(*args)

    def _note(self, what: str) -> None:
        self.by.append((what, threading.get_ident()))
        if self.fails is not None and len(self.by) == self.at:
            raise self.fails


def breakfast(saver: Watched) -> None:
    """A question and its answer, called as every run is."""
    graph = graph_over(saver).with_config(Runs.__new__(Runs).config("t1"))
    say(graph, deps(says("From 7 to 10. [1]")), "When is breakfast?")


def test_a_run_saves_in_its_own_thread_and_makes_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    class Begun(threading.Thread):
        def start(self) -> None:
            begun.append(self.name)
            super().start()

    monkeypatch.setattr(threading, "Thread", Begun)
    saver = Watched()
    breakfast(saver)
    assert {thread for _, thread in saver.by} == {threading.get_ident()}
    assert [what for what, _ in saver.by].count("put") == 7
    assert begun == []


@pytest.mark.parametrize(("what", "at"), [("put", 3), ("writes", 4)])
def test_what_cannot_be_saved_ends_the_run(what: str, at: int) -> None:
    saver = Watched(OSError("the disk is full"), at)
    with pytest.raises(OSError, match="the disk is full"):
        breakfast(saver)
    assert saver.by[at - 1][0] == what


def test_a_ctrl_c_while_it_saves_ends_the_run_there() -> None:
    saver = Watched(KeyboardInterrupt(), 4)  # writes: nobody waits for those
    with pytest.raises(KeyboardInterrupt):
        breakfast(saver)
    assert len(saver.by) == 4


def test_other_graphs_of_the_process_keep_their_pools() -> None:
    assert saving.install() is saving.install() is True
    with _executor.get_executor_for_config({"configurable": {}}) as theirs:
        assert not isinstance(theirs, saving.AtOnce)
    with _executor.get_executor_for_config({"configurable": {saving.MARK: True}, "max_concurrency": 2}) as ours:
        assert ours.submit(lambda: threading.get_ident()).result() != threading.get_ident()


def test_a_langgraph_without_that_function_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(_executor, "get_executor_for_config")
    assert saving.install() is False
