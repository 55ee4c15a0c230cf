"""Our server beside ``langgraph dev`` and Aegra, over HTTP: runs a second, p50 and p99 with 1, 16 and 128 clients.

    python benchmarks/serving.py [--clients 1 16 128] [--seconds 6] [--only ours|peer|aegra]

``langgraph-cli[inmem]`` is installed into ``build/serving-peers`` at the first call (``DOJANG_BENCH_SERVING_PEERS``
names another place). The peer (``serving_peer.py``) serves a graph of one node and keeps everything in memory; ours
(``serving_ours.py``) serves its own graph, with every acknowledged thing on the disk. Aegra (``serving_aegra.py``)
serves the peer's graph out of PostgreSQL, where the machine has one of its own.

Operations: ``wait`` (create a thread, wait for a run), ``pause`` (create a thread, stream a run to its pause),
``resume`` (approve it and wait), ``inbox`` (ten interrupted threads by ``/threads/search``). The client is one process
with httpx, a connection for each that it plays: one pool for all of them costs it 20 ms a request with 128. Its own
work is in the figures of both.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from serving_aegra import aegra, postgres_bin

HERE = Path(__file__).resolve().parent
PEERS = "langgraph-cli[inmem]"
Act = Callable[[httpx.AsyncClient], Awaitable[float]]


def peers() -> Path:
    """The peer's environment; made when it is missing."""
    place = Path(os.environ.get("DOJANG_BENCH_SERVING_PEERS", HERE.parent / "build" / "serving-peers"))
    if not (place / "bin" / "langgraph").exists():
        print(f"making the peer's environment in {place} …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", PEERS]
        subprocess.run(pip, check=True)
    return place


@contextlib.contextmanager
def peer(folder: Path) -> Iterator[str]:
    """``langgraph dev`` over the trivial graph."""
    place, log = peers(), open(folder / "peer.log", "wb")
    (folder / "langgraph.json").write_text(
        json.dumps({"dependencies": ["."], "graphs": {"agent": str(HERE / "serving_peer.py") + ":graph"}})
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(place / "bin" / "langgraph"), "dev", "--no-browser", "--no-reload", "--port", str(port)]
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "LANGSMITH_TRACING": "false", "LOG_LEVEL": "ERROR"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}/"
        for _ in range(600):
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(url + "ok").status_code == 200:
                    break
            time.sleep(0.1)
        else:
            raise RuntimeError((folder / "peer.log").read_text()[-2000:])
        yield url
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def ours(folder: Path, *more: str) -> Iterator[str]:
    """Our server over a home of its own."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    command = [sys.executable, str(HERE / "serving_ours.py"), str(home), *more]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DOJANG_")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(40)


class Client:
    """What one client does; seconds of each are returned."""

    def __init__(self, url: str, assistant: str, resume: Any) -> None:
        self.url, self.assistant, self.resume = url, assistant, resume
        self.paused: list[str] = []

    async def _thread(self, http: httpx.AsyncClient) -> str:
        made = await http.post(self.url + "threads", json={})
        made.raise_for_status()
        return str(made.json()["thread_id"])

    def _asks(self, text: str) -> dict[str, Any]:
        return {"assistant_id": self.assistant, "input": {"messages": [{"role": "user", "content": text}]}}

    async def wait(self, http: httpx.AsyncClient) -> float:
        """Create a thread and wait for a run."""
        began = time.perf_counter()
        thread = await self._thread(http)
        answer = await http.post(f"{self.url}threads/{thread}/runs/wait", json=self._asks("hello"))
        values = answer.json()
        assert [message["type"] for message in values["messages"]] == ["human", "ai"], answer.text
        assert "__interrupt__" not in values, answer.text
        return time.perf_counter() - began

    async def pause(self, http: httpx.AsyncClient) -> float:
        """Create a thread and stream a run to its pause."""
        began = time.perf_counter()
        thread = await self._thread(http)
        body = {**self._asks("pay"), "stream_mode": ["updates"]}
        async with http.stream("POST", f"{self.url}threads/{thread}/runs/stream", json=body) as answer:
            text = "".join([part async for part in answer.aiter_text()])
        assert "__interrupt__" in text, text
        self.paused.append(thread)
        return time.perf_counter() - began

    async def approve(self, http: httpx.AsyncClient) -> float:
        """Approve a pause and wait for the end."""
        thread = self.paused.pop()
        began = time.perf_counter()
        body = {"assistant_id": self.assistant, "command": {"resume": self.resume}}
        answer = await http.post(f"{self.url}threads/{thread}/runs/wait", json=body)
        answer.raise_for_status()
        assert "__interrupt__" not in answer.json(), answer.text
        return time.perf_counter() - began

    async def inbox(self, http: httpx.AsyncClient) -> float:
        """Ten threads that wait."""
        began = time.perf_counter()
        answer = await http.post(self.url + "threads/search", json={"status": "interrupted", "limit": 10})
        answer.raise_for_status()
        return time.perf_counter() - began


async def measured(act: Act, clients: int, seconds: float, most: int = 1_000_000) -> tuple[float, list[float]]:
    """Acts a second, and the seconds of each."""
    took: list[float] = []
    left = most
    tls = httpx.create_ssl_context()  # made once: each of them would take 20 ms
    async with contextlib.AsyncExitStack() as stack:
        each = [
            await stack.enter_async_context(httpx.AsyncClient(timeout=120, verify=tls, trust_env=False))
            for _ in range(clients)
        ]
        began = time.perf_counter()

        async def one(http: httpx.AsyncClient) -> None:
            nonlocal left
            while time.perf_counter() - began < seconds and left > 0:
                left -= 1
                took.append(await act(http))

        await asyncio.gather(*(one(http) for http in each))
        return len(took) / (time.perf_counter() - began), took


def row(name: str, who: str, clients: int, found: tuple[float, list[float]]) -> None:
    """One line of the table."""
    rate, took = found
    ordered = sorted(took)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    print(
        f"| {name} | {who} | {clients} | {len(took)} | {rate:.1f} | {median(took) * 1000:.1f} | {p99 * 1000:.0f} "
        f"| {os.getloadavg()[0]:.1f} |",
        flush=True,
    )


def compare(who: str, url: str, counts: list[int], seconds: float) -> None:
    """All operations of one server."""
    ours_too = who == "ours"
    client = Client(url, "dojang" if ours_too else "agent", {"decisions": [{"type": "approve"}]} if ours_too else True)
    asyncio.run(measured(client.wait, 1, 1, 3))  # the first run opens what is opened once
    for clients in counts:
        row("wait", who, clients, asyncio.run(measured(client.wait, clients, seconds)))
        row("pause", who, clients, asyncio.run(measured(client.pause, clients, seconds)))
        row("inbox", who, clients, asyncio.run(measured(client.inbox, clients, seconds / 2)))
        row("resume", who, clients, asyncio.run(measured(client.approve, clients, seconds, len(client.paused))))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 128])
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--only", choices=["ours", "peer", "aegra"])
    given = parser.parse_args()
    print("| what | server | clients | done | a second | p50 ms | p99 ms | load |\n|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="dojang-serving-") as name:
        folder = Path(name)
        if given.only in (None, "peer"):
            with peer(folder) as url:
                compare("langgraph dev", url, given.clients, given.seconds)
        if given.only in (None, "aegra") and postgres_bin() is not None:
            with aegra(folder) as url:
                compare("aegra", url, given.clients, given.seconds)
        if given.only in (None, "ours"):
            with ours(folder) as url:
                compare("ours", url, given.clients, given.seconds)


if __name__ == "__main__":
    main()
