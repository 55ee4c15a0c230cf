"""Many readers of one run on a real server: each gets all of it, whatever slow and vanishing ones beside it do."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from urllib.parse import urlsplit

import pytest
from langgraph_sdk.client import SyncLangGraphClient

from dojang.server import serving
from dojang.server.serving import room_for_readers
from dojang.server.work import Work, events
from tests.dojang.server.langgraph.conftest import Held, own_workers, says

READERS, SLOW, VANISHING = 34, 4, 4
BIG = b'"' + b"x" * 100_000 + b'"'


class Reader:
    """One connection; ``numbers``: of the events that came."""

    def __init__(self, url: str, path: str) -> None:
        self.url, self.path = urlsplit(url), path
        self.numbers: list[int] = []

    async def join(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(self.url.hostname, self.url.port, limit=1 << 20)
        self.writer.write(f"GET {self.path} HTTP/1.1\r\nhost: {self.url.netloc}\r\n\r\n".encode())
        await self.event()

    async def event(self) -> str:
        """The name of the next event."""
        while line := await self.reader.readline():
            if line.startswith(b"id: "):
                self.numbers.append(int(line[4:]))
            elif line.startswith(b"event: "):
                return line[7:-1].decode()
        raise EOFError

    async def until(self, number: int) -> None:
        """Read until an event with at least this number came."""
        while self.numbers[-1] < number:
            await self.event()

    async def to_the_end(self) -> None:
        while await self.event() not in ("end", "error"):
            pass


async def watch(url: str, path: str, model: Held, work: Work, run_id: str) -> tuple[list[Reader], list[Reader]]:
    channel = work.channels.of(run_id, resumable=False)
    quick = [Reader(url, f"{path}?stream_mode=updates") for _ in range(READERS)]
    slow = [Reader(url, path) for _ in range(SLOW)]
    leaving = [Reader(url, path) for _ in range(VANISHING)]
    everybody = [*quick, *slow, *leaving]
    await asyncio.gather(*(reader.join() for reader in everybody))
    for reader in leaving:
        reader.writer.transport.abort()
    for n in range(60):  # 6 MB that the slow ones do not read, beside what the others want
        channel.put("values", BIG)
        channel.put("updates", b'{"n": %d}' % n)
        await asyncio.wait_for(asyncio.gather(*(reader.until(2 * n) for reader in quick)), 50)
    model.free.set()
    await asyncio.wait_for(asyncio.gather(*(reader.to_the_end() for reader in quick)), 50)
    assert channel.size <= events.KEEP_BYTES + len(BIG)
    await asyncio.wait_for(asyncio.gather(*(reader.to_the_end() for reader in slow)), 50)
    for reader in everybody:
        with contextlib.suppress(OSError):
            reader.writer.close()
    return quick, slow


@own_workers
def test_slow_and_vanishing_readers_hold_up_nobody(
    client: SyncLangGraphClient, thread_id: str, url: str, model: Held, work: Work
) -> None:
    with model.held():
        run = client.runs.create(
            thread_id, "dojang", input=says("When is check-out?"), stream_mode=["updates", "values"]
        )
        assert model.speaking.wait(20)
        path = f"/threads/{thread_id}/runs/{run['run_id']}/stream"
        quick, slow = asyncio.run(watch(url, path, model, work, run["run_id"]))
    assert {tuple(reader.numbers) for reader in quick} == {tuple(quick[0].numbers)}
    assert len(quick[0].numbers) > 60
    last = quick[0].numbers[-1]
    for reader in slow:  # the newest 4 MB are there for whoever is late, in order
        assert reader.numbers == sorted(set(reader.numbers))
        assert reader.numbers[-1] == last
    assert client.runs.get(thread_id, run["run_id"])["status"] == "success"


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of open files")
@pytest.mark.parametrize(("limits", "now", "warned"), [((256, 10**6), 8192, False), ((256, 1024), 1024, True)])
def test_a_server_asks_for_room_and_says_where_it_has_none(
    limits: tuple[int, int], now: int, warned: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import resource

    held = [limits]
    monkeypatch.setattr(resource, "getrlimit", lambda which: held[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda which, given: held.append(given))
    assert room_for_readers() == now
    assert held[-1] == (now, limits[1])
    assert (f"only {now} files may be open" in caplog.text) is warned
    assert serving.ENOUGH < serving.OPEN_FILES
