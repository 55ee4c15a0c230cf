"""Very many readers of running streams: what they cost the server, and what slow and vanishing ones do to the others.

    python benchmarks/streams.py [--readers 1000] [--runs 20] [--events 50] [--slow 20] [--vanish 50]

The server (``serving_ours.py``) is a process of its own, the readers are one asyncio client. Each run says so many
events of 1 KB, one after the other (``slow N`` is the question); the readers join the runs' streams in turn. ``--slow``
of them read nothing until the others are through; ``--vanish`` of them go after their second event. Printed: whether
every other reader had every event, in order; the server's memory (VmRSS) and processor time, before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from peers import cpu_of, memory_mib  # noqa: E402
from serving import ours  # noqa: E402

from dojang.server.serving import room_for_readers  # noqa: E402


class Reader:
    """One stream."""

    def __init__(self, path: str, how: str) -> None:
        self.path, self.how = path, how
        self.numbers: list[int] = []
        self.ended = False

    async def read(self, host: str, port: int, free: asyncio.Event, joined: asyncio.Semaphore) -> None:
        """Join; then read as this reader does."""
        async with joined:
            reader, writer = await asyncio.open_connection(host, port, limit=1 << 16)
            writer.write(f"GET {self.path} HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n".encode())
            await writer.drain()
        if self.how == "slow":
            await free.wait()
        while line := await reader.readline():
            if line.startswith(b"id: "):
                self.numbers.append(int(line[4:]))
                if self.how == "vanish" and len(self.numbers) == 2:
                    break
            elif line in (b"event: end\n", b"event: error\n"):
                self.ended = True
                break
        writer.transport.abort()


async def watch(url: str, told: argparse.Namespace, pid: int) -> None:
    """All readers, and what came of them."""
    place = urlsplit(url)
    async with httpx.AsyncClient(base_url=url, timeout=300, trust_env=False) as http:
        paths = []
        for _ in range(told.runs):
            thread = (await http.post("threads", json={})).json()["thread_id"]
            asked: dict[str, Any] = {
                "assistant_id": "dojang",
                "input": {"messages": [{"role": "user", "content": f"slow {told.events}"}]},
                "stream_mode": ["messages-tuple"],
            }
            run = (await http.post(f"threads/{thread}/runs", json=asked)).json()["run_id"]
            paths.append(f"/threads/{thread}/runs/{run}/stream")
        hows = ["slow"] * told.slow + ["vanish"] * told.vanish
        hows += ["reads"] * (told.readers - len(hows))
        readers = [Reader(paths[n % len(paths)], how) for n, how in enumerate(hows)]
        free, joined = asyncio.Event(), asyncio.Semaphore(100)
        cpu, memory = cpu_of(pid), memory_mib(pid)
        began = time.perf_counter()
        tasks = [asyncio.create_task(r.read(str(place.hostname), place.port or 80, free, joined)) for r in readers]
        quick = [task for task, reader in zip(tasks, readers, strict=True) if reader.how != "slow"]
        await asyncio.gather(*quick)
        took, cpu_after, peak = time.perf_counter() - began, cpu_of(pid), memory_mib(pid)
        free.set()
        await asyncio.gather(*tasks)
    whole = [r for r in readers if r.how == "reads" and r.ended and r.numbers == list(range(1, len(r.numbers) + 1))]
    found = {
        "readers": told.readers,
        "runs": told.runs,
        "whole": f"{len(whole)} of {hows.count('reads')}",
        "slow ones whole": f"{sum(r.how == 'slow' and r.ended for r in readers)} of {told.slow}",
        "events a reader": max(len(r.numbers) for r in readers),
        "seconds": round(took, 1),
        "server's CPU s": round(cpu_after - cpu, 2),
        "MB before, after": [round(memory), round(peak)],
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(found))


def main() -> None:
    """Serve, watch, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, number in (("readers", 1000), ("runs", 20), ("events", 50), ("slow", 20), ("vanish", 50)):
        parser.add_argument(f"--{name}", type=int, default=number)
    told = parser.parse_args()
    room_for_readers()
    with tempfile.TemporaryDirectory(prefix="dojang-streams-") as folder, ours(Path(folder)) as url:
        [pid] = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdecimal() and _is_ours(p, folder)]
        asyncio.run(watch(url, told, pid))


def _is_ours(process: Path, folder: str) -> bool:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(word.endswith(b"serving_ours.py") for word in words) and any(folder.encode() in word for word in words)


if __name__ == "__main__":
    main()
