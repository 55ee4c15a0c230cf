"""Workers are woken by what is accepted, never by the clock."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dojang.server.work import Order, Row, Work
from dojang.server.work import work as work_module
from tests.flywheel.promotions import front


def test_a_run_that_is_accepted_just_after_a_worker_has_looked_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look, which finds nothing, and its sleep: the only worker must not sleep then."""
    monkeypatch.setattr(work_module, "LOOK_S", 60)
    with front(tmp_path / "home", workers=1) as workspace:
        work, accepted = Work(workspace), list[Row]()
        take = work.rows.take

        def looked() -> Row | None:
            row = take()
            if row is None and not accepted:
                accepted.append(work.accept("t-1", "kim", Order(message={"id": "h1", "content": "hello"})))
            return row

        monkeypatch.setattr(work.rows, "take", looked)
        began = time.monotonic()
        with work:
            while not accepted or not work.rows.get(accepted[0].run_id).over:
                assert time.monotonic() - began < 30
                time.sleep(0.01)
        assert workspace.look("t-1").values["answer"] is not None
