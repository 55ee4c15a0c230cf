"""Decisions on several reviews of one thread that overlap: each is recorded, and no run is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from dojang.workspace import Workspace
from state import Conflict
from tests.dojang.workspaces import STAY, Rehearsed, told, workspace_for
from tests.graph.parts import calls

Rows = Callable[[], list[tuple[Any, ...]]]


class Both(Rehearsed):
    """Wants two bookings at once."""

    def reply(self, messages: Any, **given: Any) -> Any:
        results = sum(message.type == "tool" for message in messages)
        wanted = [("book_room", {**STAY, "guest": guest}) for guest in ("Emma Lee", "Kim Hana")]
        return calls(*wanted) if not results else told("Both done.")


def opened(home: Path, dsn: str) -> Workspace:
    return workspace_for(home, dsn, generator=Both())


@pytest.mark.parametrize("second", ["approve", "reject"])
def test_what_is_decided_while_the_first_one_is_carried_out_is_carried_out_by_the_same_run(
    tmp_path: Path, postgres_dsn: str, bookings: Rows, second: Any
) -> None:
    """langgenius/dify #42103: the second resume finds the first one running, and nobody resumes afterwards."""
    notes: list[str] = []
    with opened(tmp_path / "home", postgres_dsn) as kim, opened(tmp_path / "home", postgres_dsn) as lee:
        one, other = kim.ask("please book both").reviews

        def meanwhile(node: str) -> None:
            if node == "review" and not notes:
                notes.append(lee.decide(other["id"], second, by="lee").run.note)

        run = kim.decide(one["id"], "approve", on_node=meanwhile).run
        assert "the decision is recorded" in notes[0]
        assert run.status == "done"
        assert sorted(o["status"] for o in run.outcomes) == ["done", "done" if second == "approve" else "refused"]
    assert len(bookings()) == (2 if second == "approve" else 1)


def test_a_message_to_a_new_thread_that_comes_second_takes_nothing_from_the_first(
    tmp_path: Path, postgres_dsn: str
) -> None:
    """It found no such thread before it waited for it; LangGraph drops the pause of a thread that gets new input."""
    with opened(tmp_path / "home", postgres_dsn) as workspace:
        [one, other] = workspace.send("new", HumanMessage("please book both", id="m1", name="kim")).reviews
        late = HumanMessage("When is check-out?", id="m2", name="lee")
        with pytest.raises(Conflict, match="waits for a decision"):
            workspace._runs.start("new", {"messages": [late]}, None)
        assert [review["id"] for review in workspace.thread("new").reviews] == [one["id"], other["id"]]


def test_two_who_decide_at_once_leave_nothing_waiting(tmp_path: Path, postgres_dsn: str, bookings: Rows) -> None:
    for n in range(5):
        with opened(tmp_path / f"home{n}", postgres_dsn) as kim, opened(tmp_path / f"home{n}", postgres_dsn) as lee:
            one, other = kim.ask("please book both").reviews
            assert lee.parts.deps is not None
            start = threading.Barrier(2, timeout=60)

            def decide(who: Workspace, review: str, start: threading.Barrier = start) -> None:
                start.wait()
                who.decide(review, "reject")

            threads = [threading.Thread(target=decide, args=(w, r["id"])) for w, r in ((kim, one), (lee, other))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert kim.thread(one["thread_id"]).status == "done"
    assert bookings() == []
