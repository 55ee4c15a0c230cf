"""Workers are woken by what is accepted, never by the clock; who waits for the end of a run, by nothing but its end."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, cast

import pytest

from dojang.server.work import Order, Row, Work
from dojang.server.work import work as work_module
from dojang.server.work.events import Channel, Event
from tests.flywheel.promotions import front


@pytest.mark.about_files("over PostgreSQL the queue wakes who has looked")
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


@pytest.mark.parametrize("left", [False, True])
async def test_who_waits_for_the_end_is_not_woken_for_each_event(left: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One reader of all events and one of none; the server's loop is woken once for the second of them."""
    channel = Channel("run", cast(Any, None), resumable=False)
    loop, woken = asyncio.get_running_loop(), list[Any]()
    call = loop.call_soon_threadsafe

    def counted(callback: Any, *given: Any) -> Any:
        woken.append(callback.__self__)
        return call(callback, *given)

    async def all_of(after: int | None) -> list[Event | None]:
        return [event async for event in channel.follow(after, 60)]

    reads, waits = asyncio.create_task(all_of(0)), asyncio.create_task(all_of(None))
    await asyncio.sleep(0)
    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    for n in range(5):
        channel.put("values", b"%d" % n)
    assert len(woken) == 5
    assert len(set(woken)) == 1
    if left:
        channel.leave()
        assert [type(e).__name__ for e in await asyncio.gather(reads, waits, return_exceptions=True)] == ["Ending"] * 2
    else:
        channel.close()
        assert await waits == []
        assert [event.data for event in await reads if event] == [b"%d" % n for n in range(5)]
    assert len(woken) == 7
