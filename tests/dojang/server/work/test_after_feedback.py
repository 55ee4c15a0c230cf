"""A message that comes while somebody is asked what they think of the last answer: it is answered, too."""

from __future__ import annotations

import time
from pathlib import Path

from dojang.server.work import Order, Work
from tests.dojang.workspaces import workspace_for


def test_a_message_that_ends_the_question_of_feedback_is_answered(tmp_path: Path, postgres_dsn: str) -> None:
    with workspace_for(tmp_path / "home", postgres_dsn, feedback="always") as workspace:
        work = Work(workspace)
        with work:
            for said in ("hello", "hello again"):
                run = work.accept("t-1", "kim", Order(message={"id": said, "content": said})).run_id
                began = time.monotonic()
                while not work.rows.get(run).over:
                    assert time.monotonic() - began < 30
                    time.sleep(0.01)
                assert work.rows.get(run).status == "interrupted", "it is asked about this answer now"
        messages = workspace.look("t-1").values["messages"]
        assert [m.content for m in messages if m.type == "human"] == ["hello", "hello again"]
        assert messages[-1].type == "ai"
        [review] = workspace.thread("t-1").reviews
        assert review["kind"] == "feedback"
        assert [r["kind"] for r in workspace.inbox()] == ["feedback"], "the first question is over"
